"""custom_gradient with a value or derivative that itself takes derivatives is right at every order, in every mode."""

import itertools
from math import cos, floor, sin
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import (
    Value,
    checkpoint,
    custom_gradient,
    grad,
    hessian,
    hvp,
    jacobian,
    jit,
    jvp,
    scan,
    value_and_grad,
    vmap,
)


def cube(t: Any) -> Any:
    """A function to differentiate."""
    return t * t * t


@custom_gradient(lambda x, y: grad(grad(cube))(x))  # the derivative of 3 x²
def slope(x):
    """The slope of a cube."""
    assert type(x) is float
    found = grad(cube)(x)
    assert type(found) is float
    return found


@custom_gradient(lambda x, y: jvp(am.sin, (x,), (1.0,))[1])
def sine(x):
    """A sine from a library for floats, with another transform in its derivative."""
    return sin(x)


@custom_gradient(
    lambda a, b, y: grad(lambda t: am.sin(t * a) * b)(1.0) / a,  # a closure over the operands
    lambda a, b, y: value_and_grad(lambda t: am.sin(a) * t)(b)[1],
)
def product(a, b):
    """sin(a) b."""
    return hvp(lambda t: 0.5 * sin(a) * b * t * t)(1.0, 1.0)


PLAIN = {slope: lambda x: 3.0 * x * x, sine: am.sin}


def by_modes(function, modes):
    """The derivative by one mode after the other."""
    for mode in modes:
        function = jacobian(function, mode=mode)
    return function


@pytest.mark.parametrize("rule", PLAIN, ids=repr)
@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_every_order_and_mode(rule, order):
    """Derivatives to third order, in both modes and nested, eager and compiled, are those of the plain function."""
    for modes in itertools.product(("rev", "fwd"), repeat=order):
        expected = pytest.approx(by_modes(PLAIN[rule], modes)(0.7), rel=1e-13)
        derivative = by_modes(rule, modes)
        assert expected == derivative(0.7)
        assert expected == jit(derivative)(0.7)
        assert expected == by_modes(jit(rule), modes)(0.7)
        assert [expected] * 4 == vmap(derivative)([0.7] * 4)


def test_derivatives_that_close_over_operands():
    """A derivative may differentiate a function that closes over the operands: they are Values where necessary."""
    assert sin(0.7) * 2.0 == pytest.approx(product(0.7, 2.0))
    expected = [[-sin(0.7) * 2.0, cos(0.7)], [cos(0.7), 0.0]]
    for function in (lambda p: product(*p), jit(lambda p: product(*p))):
        found = hessian(function)([0.7, 2.0])
        assert expected[0] == pytest.approx(found[0])
        assert expected[1] == pytest.approx(found[1])


def test_gradients_of_values():
    """Derivatives by Values are Values, which can be swept again."""
    x = Value(0.7)
    grad(grad(sine))(x).backward()
    assert -cos(0.7) == pytest.approx(x.grad)
    x = Value(0.7)
    grad(lambda t: product(t, 2.0))(x).backward()
    assert -2.0 * sin(0.7) == pytest.approx(x.grad)


def test_in_a_checkpoint():
    """A checkpoint that is differentiated twice runs such a primitive again."""
    assert -sin(0.7) == pytest.approx(grad(grad(checkpoint(sine)))(0.7))
    assert 6.0 == pytest.approx(grad(grad(checkpoint(slope)))(0.7))


def test_an_error_leaves_no_trace():
    """After an error in a primitive, transforms are at the same level as before."""

    @custom_gradient(lambda x, y: 1.0)
    def broken(x):
        raise RuntimeError("broken")

    def caught(x):
        with pytest.raises(RuntimeError, match="broken"):
            broken(x)
        return grad(lambda t: t * x)(1.0) * x  # the inner gradient is a Value

    assert 1.4 == grad(caught)(0.7)


@custom_gradient(lambda x, y: -y * y)
def reciprocal(x: float) -> float:
    """A function for floats that raises where no caller calls it."""
    if x == 0.0:
        raise ValueError("one over zero")
    return 1.0 / x


@pytest.mark.parametrize("count", [5, 8, 11, 300])
def test_loops_call_python_for_their_steps_only(count: int) -> None:
    """Lanes without a step call no function in Python: it might raise."""

    def mapped(x: Any) -> Any:
        return vmap(lambda v: reciprocal(v) * am.exp(-v), reduce="sum")(x)

    def handed_on(x: Any) -> Any:
        return scan(lambda total, v: (total + reciprocal(v) * am.exp(-v), None), 0.0, x)[0]

    x = np.arange(1.0, count + 1)
    for function in (mapped, handed_on):
        expected, gradient = value_and_grad(function)(x)
        found = jit(value_and_grad(function))(x)
        assert np.isclose(expected, found[0], rtol=1e-12)
        assert np.allclose(gradient, found[1], rtol=1e-12)


@pytest.mark.parametrize(
    ("derivatives", "function", "told"),
    [
        ([lambda x: 1.0], lambda x: x, "derivative 0 of <lambda> must take 2 arguments: the operands, then the output"),
        ([lambda a, b, y: b, lambda a, b: a], lambda a, b: a * b, "derivative 1 of <lambda> must take 3 arguments"),
        ([lambda x, y: 1.0], lambda a, b: a * b, "<lambda> must take 1 operand, as it has one derivative for each"),
    ],
)
def test_numbers_of_arguments(derivatives, function, told):
    """A derivative that forgets the output, or one derivative for two operands, is an error where it is written."""
    with pytest.raises(TypeError, match=told):
        custom_gradient(*derivatives)(function)
    assert 3.0 == custom_gradient(lambda *operands: 1.0)(floor)(3.5)
