"""Chains of multiply-adds in compiled programs become `dot` and are added up in their written order."""

import math
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import Value, jit, value_and_grad
from autograd.rules import TABLE


def layer(w: Any, x: Any) -> list[Any]:
    """Two units of three weights and a bias."""
    return [sum((a * b for a, b in zip(row[:3], x)), row[3]) for row in w]


WEIGHTS = [[0.5, -0.9, 2.0, 0.25], [1.5, 0.75, -0.5, 0.1]]


def test_neuron_is_one_dot() -> None:
    """Each unit is one instruction that starts from the bias; the result is the eager one."""
    compiled = jit(layer)
    assert pytest.approx(layer(WEIGHTS, [1.0, 2.0, 3.0]), rel=1e-15) == compiled(WEIGHTS, [1.0, 2.0, 3.0])
    dots = [line for line in compiled.program().splitlines() if " = dot " in line]
    assert 2 == len(dots)
    assert all("v" not in line.partition("=")[2] and line.endswith("in order") for line in dots)
    assert " = dot w[1][3] + w[1][0]*x[0] + w[1][1]*x[1] + w[1][2]*x[2] in order" in dots[1]


def test_messages_of_a_unit_are_a_dot() -> None:
    """The adjoint of a layer's input is the sum over the units that use it: the transposed product."""

    def loss(x: Any) -> Any:
        a, b = layer(WEIGHTS, [am.tanh(v) for v in x])
        return am.tanh(a) * am.tanh(b)

    compiled = jit(value_and_grad(loss))
    value, gradient = compiled([0.1, 0.2, 0.3])
    expected = value_and_grad(loss)([0.1, 0.2, 0.3])
    assert (pytest.approx(expected[0], rel=1e-14), pytest.approx(expected[1], rel=1e-14)) == (value, gradient)
    assert 2 + 3 == compiled.program().count(" = dot ")


def test_order_is_kept() -> None:
    """If terms may cancel, a sum is added up as it was written, to the last bit."""

    def total(w: Any, x: Any) -> Any:
        return sum(a * b for a, b in zip(w, x))

    w = [1e16, 1.0, -1e16, 1.0, 3.0, 1e16, 0.5, -1e16, 0.25, 1.0]
    ones = [1.0] * len(w)
    compiled = jit(total)
    expected = total(list(map(Value, w)), ones).data  # from Python 3.12 on, its `sum` of floats is another one
    assert expected == compiled(w, ones) != math.fsum(w)
    assert "in order" in compiled.program()
    assert math.copysign(1.0, jit(lambda x, y: x * y + x * y + x * y)(-0.0, 1.0)) == -1.0


@pytest.mark.parametrize("special", [(), (math.inf,), (math.nan,), (math.inf, math.nan), (1e200,), (0.0, -0.0)])
def test_written_sums_of_squares_keep_their_order(special: tuple[float, ...]) -> None:
    """A sum in another order may differ in its last digit, which a later comparison or root would see."""

    def total(x: Any) -> Any:
        return sum(v * v for v in x)

    x = np.array([*np.random.default_rng(0).normal(size=37), *special])
    compiled = jit(total)
    expected = total(list(map(Value, x.tolist()))).data  # as above
    assert repr(expected) == repr(compiled(x)) == repr(jit(total, accurate=True)(x))
    assert 1 == compiled.program().count(" = dot ")
    assert "in order" in compiled.program()


@pytest.mark.parametrize("name", ["sum", "dot", "mean"])
def test_sums_that_promise_no_order(name: str) -> None:
    """`autograd.math.sum` and `dot` have several accumulators; with `accurate`, the bits of eager code."""
    x = np.random.default_rng(0).normal(size=40).tolist()
    function = {"sum": am.sum, "dot": lambda x: am.dot(x, x), "mean": lambda x: TABLE["mean"](*x)}[name]
    fast, accurate = jit(function), jit(function, accurate=True)
    assert pytest.approx(function(x), rel=1e-14) == fast(x)
    assert function(x) == accurate(x)
    assert math.copysign(1.0, function([-0.0] * 9)) == math.copysign(1.0, accurate([-0.0] * 9))


def test_shared_partial_sums_stay() -> None:
    """A partial sum or product that is also used elsewhere is not put into a chain."""

    def function(a: Any, b: Any, c: Any) -> Any:
        product = a * b
        partial = product + b * c
        return partial + c * a, partial * product

    compiled = jit(function)
    assert function(2.0, 3.0, 5.0) == compiled(2.0, 3.0, 5.0) == (31.0, 126.0)
    assert " = dot " not in compiled.program()


def test_subtractions_belong_to_a_chain() -> None:
    """A subtracted term, as in solving a triangular system, is a term with a minus."""

    def solve(lower: Any, b: Any) -> Any:
        y: list[Any] = []
        for row, right in zip(lower, b):
            for a, known in zip(row, y):
                right = right - a * known
            y.append(right / row[len(y)])
        return y

    random = np.random.default_rng(0)
    lower, b = np.tril(random.normal(size=(5, 5))) + 2.0 * np.eye(5), random.normal(size=5)
    compiled = jit(solve)
    assert np.linalg.solve(lower, b) == pytest.approx(compiled(lower, b), rel=1e-12)
    assert 3 == compiled.program().count(" = dot ")
    assert solve(lower.tolist(), b.tolist()) == jit(solve, accurate=True)(lower, b)
    assert "fneg" not in compiled.llvm_ir()
