"""Primitives of many operands over the elements of an array: loops of the program, equal to eager code."""

from __future__ import annotations

import math

import numpy as np
import pytest

import autograd.math as am
from autograd import hessian, hvp, jit, jvp, scan, value_and_grad, vmap
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


@pytest.mark.parametrize("name", ["max", "min", "logsumexp", "dot", "sum"])
def test_special_numbers(name: str) -> None:
    """Infinities and nan go through as in eager code."""
    f, x = FUNCTIONS[name], a_point(FEWEST_ELEMENTS + 2)
    compiled = jit(value_and_grad(f), accurate=True)
    for place, number in [(3, math.inf), (5, -math.inf), (40, math.nan), (60, 0.0)]:
        x[place] = number
        y, slope = compiled(x)
        expected, eager = value_and_grad(f)(x)
        assert np.array_equal([expected, *eager], [y, *slope], equal_nan=True)


def test_a_branch_that_is_not_selected_sends_no_message() -> None:
    """Where `max` selects an operand, the others get no message, however many there are: no 0 times infinity."""

    def f(x: np.ndarray) -> object:
        return am.max([am.sqrt(a) for a in x]) + am.where(x[0] > 0.0, am.logsumexp(x), am.sum([1.0 / a for a in x]))

    x = np.append(1.0, np.zeros(400))
    assert value_and_grad(f)(x)[1].tolist() == jit(value_and_grad(f), accurate=True)(x)[1].tolist()


# ---- rows, and what loops in plain Python computed -------------------------------------------------------------------


def rows_in_turn(x: np.ndarray) -> object:
    """Rows of an array, one after another."""
    total = 0.0
    for row in x.reshape(-1, FEWEST_ELEMENTS):
        total = total * 0.5 + am.logsumexp(row) * am.max(row) + am.dot(row, row)
    return total


def rows_of_a_map(x: np.ndarray) -> object:
    """Rows of an array in a map."""
    return am.sum(vmap(lambda row: am.logsumexp(row) * am.min(row))(x.reshape(-1, FEWEST_ELEMENTS)))


def rows_of_a_scan(x: np.ndarray) -> object:
    """Rows of an array in a scan."""
    return scan(lambda c, row: (c * 0.5 + am.logsumexp(row), None), 0.0, x.reshape(-1, FEWEST_ELEMENTS))[0]


def sums_of_lists(x: np.ndarray) -> object:
    """Sums of what a loop in plain Python put into lists."""
    squares = [a * a + 1.0 for a in x]
    return am.sum([am.log(s) for s in squares]) * am.dot(squares, x) + am.logsumexp([0.1 * s for s in squares])


def lists_in_loops(x: np.ndarray) -> object:
    """A list in each step of a loop."""
    total = 0.0
    for row in x.reshape(-1, FEWEST_ELEMENTS):
        total = total + am.logsumexp([am.exp(0.1 * a) * a for a in row])
    return total


def softmax(x: np.ndarray) -> object:
    """Differences from the largest, their exponentials, and sums of these."""
    return am.dot(am.softmax(x), am.log_softmax(x))


def a_list_for_a_map(x: np.ndarray) -> object:
    """A list of pairs that a map takes."""
    return am.sum(vmap(lambda pair: am.exp(-pair[0]) * pair[1])([(am.sin(a) * a, 0.5 * a + a * a) for a in x]))


def a_list_for_a_scan(x: np.ndarray) -> object:
    """A list that a scan takes, and a loop over its results."""
    last, ys = scan(lambda c, a: (0.9 * c + a, c * a), 0.0, [a * a for a in x])
    total = last
    for y in ys:
        total = 0.99 * total + am.log(1.0 + y * y)
    return total


def a_list_with_branches(x: np.ndarray) -> object:
    """A list whose numbers depend on comparisons."""
    return am.sum(vmap(lambda b: am.exp(-b) * b)([am.sin(a) if a > 0.4 else a for a in x]))


LOOPS = [rows_in_turn, rows_of_a_map, rows_of_a_scan, sums_of_lists, lists_in_loops, softmax, a_list_for_a_map]
LOOPS += [a_list_for_a_scan, a_list_with_branches]


@pytest.mark.parametrize("function", LOOPS, ids=lambda f: f.__name__)
def test_loops_around_and_before_them(function: object) -> None:
    """Value, gradient and second derivatives equal the eager ones, and the programs do not grow with the data."""
    counts = set()
    for size in (16 * FEWEST_ELEMENTS, 24 * FEWEST_ELEMENTS):
        x = np.random.default_rng(1).uniform(0.5, 1.5, size)
        v = np.random.default_rng(2).normal(size=size)

        def everything(x: np.ndarray, v: np.ndarray) -> object:
            return value_and_grad(function)(x), hvp(function)(x, v)

        compiled = jit(everything, quiet=True)
        (y, slope), product = compiled(x, v)
        counts.add(len(compiled.program().splitlines()))
    (expected, eager_slope), eager_product = everything(x, v)
    assert relative(y, expected) < 1e-13
    assert np.allclose(slope, eager_slope, rtol=1e-12, atol=1e-13)  # messages of size 1 that cancel
    assert np.allclose(product, eager_product, rtol=1e-12, atol=1e-13)
    assert len(counts) == 1


def test_the_hessian_of_a_few_elements() -> None:
    """All second derivatives of a sum over an array by some of its elements."""
    c = np.linspace(0.1, 1.0, FEWEST_ELEMENTS)

    def f(p: np.ndarray) -> object:
        return am.logsumexp(vmap(lambda a: p[0] * a + p[1] * a * a)(c))

    p = np.array([0.3, -0.2])
    assert relative(jit(hessian(f))(p), hessian(f)(p)) < 1e-13


# ---- results that a loop appends to a list ---------------------------------------------------------------------------


def one_list(x: np.ndarray) -> object:
    """A list with one number for each step."""
    return [am.sin(a) * a + 1.0 for a in x]


def rows_of_pairs(x: np.ndarray) -> object:
    """Rows, of which one number is an argument."""
    return np.array([[am.sin(a) * a, a] for a in x])


def a_path(x: np.ndarray) -> object:
    """A loop that hands numbers on and keeps one of each step."""
    place, speed, found = x[0], x[1], []
    for a in x:
        place = place + 0.01 * speed
        speed = speed - 0.01 * am.sin(place) + 0.001 * a
        found.append(place * place)
    return {"path": found, "last": (place, speed)}


@pytest.mark.parametrize("function", [one_list, rows_of_pairs, a_path, am.softmax], ids=lambda f: f.__name__)
def test_results_of_loops(function: object) -> None:
    """A list of results is one array of the program: it does not grow with the list, and the result has its shape."""
    counts = set()
    for size in (603, 907):
        x = np.random.default_rng(4).normal(size=size)
        compiled = jit(function, quiet=True)
        found = compiled(x)
        counts.add(len(compiled.program().splitlines()))
        expected = function(x)
        assert type(expected) is type(found)
        if isinstance(expected, dict):
            assert found["last"] == expected["last"]
            found, expected = found["path"], expected["path"]
        assert np.allclose(np.asarray(found, float), np.asarray(expected, float), rtol=1e-14, atol=1e-15)
    assert len(counts) == 1
