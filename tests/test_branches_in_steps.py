"""Selections in the steps of loops: as branches in scalar code they give what eager code gives, in fewer cycles."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd.math as m
from autograd import Value, fori, jit, value_and_grad, vmap, while_loop
from autograd.compiler.lower.branches import branches_of
from autograd.ir.block import Loop
from autograd.ir.passes.simplify import prepare, simplify, unroll


def bisection(a: Any) -> Any:
    """Each step halves one side or the other."""

    def step(_: Any, ends: Any) -> Any:
        low, high = ends
        middle = (low + high) / 2
        f = middle * m.exp(middle) - a
        return m.where(f < 0, middle, low), m.where(f < 0, high, middle)

    low, high = fori(40, step, (0.0 * a, a + 1.0))
    return low + high


def clipped(a: Any) -> Any:
    """One side is not finite where it is not selected, and only that side needs a logarithm."""

    def step(_: Any, carry: Any) -> Any:
        x, total = carry
        y = 3.9 * x * (1 - x) - 0.01 * x * x * x
        return m.where(y > 0.5, y * m.log(y - 0.5), y + 0.05 / (1 + y * y)), total + y

    x, total = fori(30, step, (a / 10, 0.0 * a))
    return x + total


def halved(a: Any) -> Any:
    """A loop with a test, which selects how far it goes."""

    def step(carry: Any) -> Any:
        x, rate, k = carry
        y = x - rate * (2 * x + 1.2 * x * x * x - 1.0)
        better = y * y + 0.3 * y * y * y * y - y < x * x + 0.3 * x * x * x * x - x
        return m.where(better, y, x), m.where(better, 1.1 * rate, rate / 2), k + 1

    return while_loop(lambda c: (c[1] > 1e-3) & (c[2] < 60), step, (a, 0.9 + 0.0 * a, 0.0 * a))[0]


FUNCTIONS = [bisection, clipped, halved]


@pytest.mark.parametrize("function", FUNCTIONS)
@given(a=st.floats(0.25, 9.0))
@settings(max_examples=25)
def test_a_step_with_a_branch_is_that_of_eager_code(function: Any, a: float) -> None:
    """Value and gradient; the same of a batch, whose lanes select."""
    expected = value_and_grad(function)(a)
    with np.errstate(all="ignore"):
        assert np.allclose(expected, _compiled(function)(a), rtol=1e-9, atol=1e-12, equal_nan=True)
        found = _batch(function)(np.array([a, 1.0, a + 0.5]))
    assert np.allclose(expected, [found[0][0], found[1][0]], rtol=1e-9, atol=1e-12, equal_nan=True)


_made: dict[Any, Any] = {}


def _compiled(function: Any) -> Any:
    if function not in _made:
        _made[function] = jit(value_and_grad(function))
    return _made[function]


def _batch(function: Any) -> Any:
    if (function, "batch") not in _made:
        _made[function, "batch"] = jit(vmap(value_and_grad(function)))
    return _made[function, "batch"]


def _loops(function: Any) -> list[Loop]:
    compiled = jit(function)
    compiled(1.5)
    (path,) = compiled.paths()
    code = unroll(prepare(simplify(path.captured))).code
    return [i.data for i in code if i.op == "loop"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_decides_about_later_steps_is_a_branch(function: Any) -> None:
    """The selections of a condition are one branch, with what only one side needs inside it."""
    (loop,) = _loops(function)
    (branch,) = branches_of(loop).values()
    assert len(branch.selections) == (1 if function is clipped else 2)
    inside = [{loop.body.code[at].op for at in side} for side in branch.sides]
    assert ("log" in inside[0]) == (function is clipped)
    assert "log" not in inside[1]


def test_a_selection_of_what_decides_nothing_later_stays_one() -> None:
    """A sum of selected numbers waits for nothing, and the last step's comparison is no reason either."""

    def total(a: Any) -> Any:
        def step(i: Any, carry: Any) -> Any:
            x, s = carry
            y = 3.9 * x * (1 - x)
            z = y * y * y * y - 0.1
            return y, s + m.where(z * z > 0.1, z, y)

        return fori(30, step, (a / 10, 0.0 * a))[1]

    (loop,) = _loops(total)
    assert branches_of(loop) == {}


def test_a_carry_that_stays_what_it_is_at_first_is_a_constant() -> None:
    """A message of 0 that no step changes is known, and nothing is computed for it in the steps."""

    def function(a: Any) -> Any:
        def step(_: Any, carry: Any) -> Any:
            x, zero, one = carry
            return x * 0.5 + zero, m.where(x > 1.0, zero * 1.0, 0.0), one * one

        x, zero, one = fori(10, step, (a, 0.0, 1.0))
        return x + zero + one

    (loop,) = _loops(function)
    assert loop.carries == 1
    assert jit(function)(3.0) == function(3.0)


def test_a_carry_that_only_begins_as_a_constant_is_none() -> None:
    """-0.0 and 0.0 are different; so are what a step makes of them."""

    def function(a: Any) -> Any:
        def step(_: Any, carry: Any) -> Any:
            x, zero = carry
            return x + 1.0 / (1.0 + zero), -zero

        return m.copysign(1.0, fori(3, step, (a, 0.0))[1])

    assert jit(function)(3.0) == function(3.0) == -1.0


def test_values_from_outside_flow_through_branches() -> None:
    """A Value that the function closes over has its gradient through the side that is taken."""
    w = Value(1.3)

    def loss(a: Any) -> Any:
        def step(_: Any, x: Any) -> Any:
            y = w * x * (1 - x) + 0.1 * x * x
            return m.where(y * y - y < -0.2, y, w * y)

        return fori(7, step, a)

    jit(loss)(0.3).backward()
    found, w.grad = w.grad, 0.0
    loss(Value(0.3)).backward()
    assert np.isclose(w.grad, found, rtol=1e-12)
