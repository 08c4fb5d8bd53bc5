"""Primitives of many operands over the elements of an array: loops of the program, equal to eager code."""

from __future__ import annotations

import numpy as np
import pytest

import autograd.math as am
from autograd import hvp, jit, jvp, value_and_grad
from autograd.ir.block import loops
from autograd.ir.elements import FEWEST_ELEMENTS
from autograd.ir.evaluate import evaluate, flat
from autograd.ir.verify import verify

RANDOM = np.random.default_rng(7)
FUNCTIONS = {
    "sum": lambda x: am.sum(x) ** 2,
    "mean": lambda x: am.mean(x) ** 3,
    "prod": lambda x: am.prod(x),
    "dot": lambda x: am.dot(x, x) ** 2,
    "dot of a table": lambda x: am.dot([0.1 * k for k in range(len(x))], x) ** 2,
    "max": lambda x: am.max(x) * x[3],
    "min": lambda x: am.min(x) ** 2,
    "logsumexp": lambda x: am.logsumexp(x),
    "norm": lambda x: am.sqrt(am.dot(x, x)),
    "parts": lambda x: am.logsumexp(x[::2]) * am.sum(x[3:]) + am.max(x[::-1]) * am.dot(x[:-1], x[1:]),
}


def a_point(count: int) -> np.ndarray:
    """Numbers of which two are the largest and two the smallest: ties share a gradient."""
    x = np.random.default_rng(3).uniform(0.5, 1.5, count)
    x[7] = x[count // 2] = 1.75
    x[9] = x[count // 3] = 0.25
    return x


def relative(found: object, expected: object) -> float:
    """The largest error, over the largest number."""
    a, b = np.asarray(found, float), np.asarray(expected, float)
    return float(np.max(np.abs(a - b)) / np.max(np.abs(b)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_equal_the_eager_ones(name: str) -> None:
    """Value, gradient, tangent, Hessian-vector product: compiled as loops, and node by node."""
    f, x, v = FUNCTIONS[name], a_point(3 * FEWEST_ELEMENTS + 5), RANDOM.normal(size=3 * FEWEST_ELEMENTS + 5)

    def everything(x: np.ndarray, v: np.ndarray) -> object:
        return value_and_grad(f)(x), jvp(f, (x,), (v,)), hvp(f)(x, v)

    (y, slope), (y_again, tangent), product = jit(everything)(x, v)
    (expected, eager_slope), (_, eager_tangent), eager_product = everything(x, v)
    assert relative([y, y_again, tangent], [expected, expected, eager_tangent]) < 1e-14
    assert relative(slope, eager_slope) < 1e-14
    assert np.max(np.abs(product - eager_product)) <= 1e-13 * max(1.0, np.max(np.abs(eager_product)))


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "dot", "max", "min", "logsumexp"])
def test_accurate_code_has_the_bits_of_eager_code(name: str) -> None:
    """With `accurate`, sums are in order, and functions are those of eager code: not one bit differs."""
    f, x = FUNCTIONS[name], a_point(2 * FEWEST_ELEMENTS + 1)
    y, slope = jit(value_and_grad(f), accurate=True)(x)
    expected, eager_slope = value_and_grad(f)(x)
    assert (expected, eager_slope.tolist()) == (y, slope.tolist())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_programs_do_not_grow_with_the_array(name: str) -> None:
    """An array a thousand elements longer makes as many instructions, of the gradient and of its tangent."""
    f, counts = FUNCTIONS[name], set()
    if name == "dot of a table":
        pytest.skip("the table is written out")
    for count in (201, 1201):
        compiled = jit(lambda x, v: (value_and_grad(f)(x), hvp(f)(x, v)))
        compiled(a_point(count), np.ones(count))
        counts.add(len(compiled.program().splitlines()))
    assert len(counts) == 1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_programs_keep_the_rules_of_the_form(name: str) -> None:
    """The programs captured and compiled are valid and have loops, and the evaluator agrees with the machine code."""
    f, x = FUNCTIONS[name], a_point(FEWEST_ELEMENTS + 1)
    compiled = jit(value_and_grad(f))
    y, slope = compiled(x)
    one = compiled.paths()[0]
    assert list(loops(one.program))
    for program in (one.captured, one.program):
        found, failed = evaluate(verify(program), [x.tolist()])
        assert failed == -1
        assert relative(flat(found), [y, *slope]) < 1e-14
