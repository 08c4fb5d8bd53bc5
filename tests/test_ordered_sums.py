"""Loops that hand on sums: terms are computed in lanes, and added in the order of the steps."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd.math as m
from autograd import fori, jit, scan, value_and_grad
from autograd.compiler.lower.nests.ordered import ordered_sums
from autograd.ir.block import Loop, Program
from autograd.ir.passes.simplify import prepare, simplify, unroll


def loops_of(program: Program) -> list[Loop]:
    """All loops, with those inside."""
    own = [i.data for i in program.code if i.op == "loop"]
    return [*own, *[inner for loop in own for inner in loops_of(loop.body)]]


def sums_in(function: Any, *arguments: Any) -> list[int]:
    """For each loop whose terms may go in lanes, how many sums it hands on."""
    compiled = jit(function)
    compiled(*arguments)
    (path,) = compiled.paths()
    found = map(ordered_sums, loops_of(unroll(prepare(simplify(path.captured)))))
    return [len(ordered.terms) for ordered in found if ordered is not None]


def weighted(xs: Any) -> Any:
    """Two sums, one of several terms; what is subtracted keeps its place."""

    def step(carry: Any, x: Any) -> Any:
        total, other = carry
        total = total + m.exp(-x * x) - 0.25 * x
        return (total + 2.0, other - m.sin(x) * x), m.cos(x)

    (total, other), cosines = scan(step, (1.0, -0.0), xs)
    return total * other + sum(cosines)


@pytest.mark.parametrize("accurate", [False, True])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 16, 23, 1000])
def test_sums_are_those_of_eager_code(count: int, accurate: bool) -> None:
    """Value and gradient for lengths that fill lanes and that do not; with `accurate`, the value has the same bits."""
    xs = np.random.default_rng(count).normal(size=count)
    expected = value_and_grad(weighted)(xs)
    value, gradient = jit(value_and_grad(weighted), accurate=accurate)(xs)
    assert np.allclose(expected[0], value, rtol=1e-12)
    assert np.allclose(expected[1], gradient, rtol=1e-11, atol=1e-13)
    if accurate:
        assert jit(weighted, accurate=True)(xs) == weighted(xs)


def rational(a: Any, n: Any) -> Any:
    """Division has the same bits in lanes, so the sum shows whether its order is kept."""
    return fori(n, lambda i, total: total + (-1.0) ** 2 * 1e16 / (a + i * i) - 3.0 / (1.0 + a * i), 0.5 * a)


@given(a=st.floats(0.5, 100.0), n=st.integers(0, 40))
@settings(max_examples=60)
def test_a_number_of_steps_that_is_a_value_keeps_the_order(a: float, n: int) -> None:
    """Blocks of lanes first, then the steps that are left: every bit is the same."""
    assert _rational(a, float(n)) == rational(a, n)


_rational = jit(rational)


def kernel(x: Any) -> Any:
    """A triangle: each row has one term more than the one before."""
    total = 0.0
    for i in range(40):
        row = 1.0
        for j in range(i):
            row = row + m.exp(-(x[i] - x[j]) * (x[i] - x[j])) * x[40 + j]
        total = total + row * row
    return total


def test_triangles() -> None:
    """The loops of a triangle have a number of steps that is a counter."""
    x = np.random.default_rng(1).normal(size=80)
    expected = value_and_grad(kernel)(x)
    value, gradient = jit(value_and_grad(kernel))(x)
    assert np.allclose(expected[0], value, rtol=1e-12)
    assert np.allclose(expected[1], gradient, rtol=1e-10, atol=1e-12)


def test_what_goes_in_lanes() -> None:
    """Sums with costly terms; not what another number depends on, what waits anyway, or a sum of few operations."""
    xs = np.linspace(0.0, 1.0, 50)
    assert sums_in(weighted, xs) == [2]
    assert sums_in(lambda xs: scan(lambda s, x: (s + x * x, None), 0.0, xs)[0], xs) == []
    assert sums_in(lambda xs: scan(lambda s, x: (s + m.exp(x * s), None), 0.0, xs)[0], xs) == []
    assert sums_in(lambda xs: scan(lambda s, x: (m.exp(x) - s, None), 0.0, xs)[0], xs) == []
    assert sums_in(lambda xs: sum(scan(lambda s, x: (s + m.exp(x), s), 0.0, xs)[1]), xs) == []
    assert sums_in(lambda xs: scan(lambda s, x: ((s + m.exp(x)) * 0.5, None), 0.0, xs)[0], xs) == []
