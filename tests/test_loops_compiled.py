"""Compiled loops give what the same steps give one after another, in places where that is easily missed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import fori, grad, hessian, hvp, jacobian, jit, jvp, scan, value_and_grad, vjp, vmap

ZEROS = np.array([0.0, 0.25, 0.5, 1.0, 0.0])  # the square root's derivative is infinite at 0
SOME = np.array([0.0, 1.0, 0.0, 1.0, 0.0])


def roots(x: Any) -> Any:
    """A map."""
    return vmap(am.sqrt)(x)


def sums_of_roots(x: Any) -> Any:
    """A loop."""
    return scan(lambda total, row: (total + am.sqrt(row), am.sqrt(row)), 0.0, x)


def roots_of_carries(x: Any) -> Any:
    """A loop, of which each step takes the root of what the one before has handed on."""
    return scan(lambda carry, row: (am.sqrt(carry) + row, carry), 0.0, x)


def last_root(x: Any) -> Any:
    """A loop, of which each step forgets what the one before has handed on."""
    return scan(lambda _, row: (am.sqrt(row), None), 0.0, x)[0]


def chosen(x: Any) -> Any:
    """A map in which some rows have no part of a number that all share."""
    shared = am.sqrt(x[0])
    return vmap(lambda row: am.where(row > 5.0, shared * row, row), reduce="sum")(x)


def chosen_step(x: Any) -> Any:
    """A loop in which some steps forget the carry."""
    return scan(lambda carry, row: (am.where(row > 0.3, row, am.sqrt(carry)), None), x[0], x)[0]


CASES: dict[str, Callable[[Any], Any]] = {
    "some directions, map": lambda x: jvp(roots, (x,), (SOME,)),
    "some directions, sum": lambda x: jvp(vmap(am.sqrt, reduce="sum"), (x,), (SOME,)),
    "some directions, scan": lambda x: jvp(sums_of_roots, (x,), (SOME,)),
    "no direction": lambda x: jvp(roots, (x,), (0.0 * SOME,)),
    "directions that end": lambda x: jvp(last_root, (x,), (SOME,)),
    "a direction that is not chosen": lambda x: jvp(chosen, (x,), (SOME,)),
    "a direction that steps forget": lambda x: jvp(chosen_step, (x,), (1.0 + SOME,)),
    "Jacobian of a map": jacobian(roots),
    "Jacobian of a scan": jacobian(sums_of_roots),
    "Jacobian of carries": jacobian(roots_of_carries),
    "one result of a map": grad(lambda x: roots(x)[1]),
    "two results of a map": lambda x: vjp(lambda x: roots(x)[1:3], x)[1](np.array([1.0, 2.0])),
    "one result of a scan": grad(lambda x: sums_of_roots(x)[1][1]),
    "the last carry only": grad(last_root),
    "what no row has chosen": grad(chosen),
    "what steps forget": grad(chosen_step),
    "second derivatives": hessian(lambda x: roots(x)[1] * x[1]),
    "second derivatives in a direction": lambda x: hvp(vmap(lambda row: row**1.5, reduce="sum"))(x, SOME),
    "one of two results": grad(lambda x: vmap(lambda row: [am.sqrt(row), row * row])(list(x))[0][1]),
}


@pytest.mark.parametrize("case", CASES)
def test_no_message_is_not_zero_times_infinity(case: str) -> None:
    """Where no message arrives, an infinite derivative does not make nan of it."""
    expected, actual = CASES[case](ZEROS), jit(CASES[case])(ZEROS)
    for one, other in zip(_leaves(expected), _leaves(actual), strict=True):
        assert np.array_equal(one, other, equal_nan=True)


def _leaves(tree: Any) -> list[Any]:
    return [x for part in tree for x in _leaves(part)] if isinstance(tree, (list, tuple)) else [tree]


def test_a_direction_that_a_branch_cuts_off() -> None:
    """The same without a loop, in forward mode."""

    def direction(x: Any) -> Any:
        return jvp(lambda x: am.sqrt(am.where(x > 1.0, x, 0.0)), (x,), (1.0,))

    assert jit(direction)(0.5) == direction(0.5) == (0.0, 0.0)


def test_some_results_of_a_loop_have_no_tangent() -> None:
    """Elements of a stacked result that does not depend on what is differentiated by, beside one that does."""

    def mixed(a: float, x: Any) -> Any:
        ends, ys = scan(lambda c, row: ((c[0] * a, c[1] * row), (c[1] * row, c[0])), (1.0, 2.0), x)
        return ys[0][1] * ys[0][2] + ys[1][2] + ends[1]

    x = np.array([0.5, 1.5, 2.5, 3.0, 0.25])
    for f in (lambda a, x: jvp(lambda a: mixed(a, x), (a,), (1.0,)), lambda a, x: hvp(mixed)(a, a, x)):
        assert jit(f)(0.7, x) == pytest.approx(f(0.7, x), rel=1e-13)


@pytest.mark.parametrize("x", [[4.0, 1.0, 0.0], [4.0, 0.0, 1.0], [0.0, 0.0, 0.0], [5.0, 1.0, 2.0]], ids=str)
@pytest.mark.parametrize("derivative", [hessian, jacobian], ids=["reverse", "forward"])
def test_a_message_that_is_0_has_derivatives(derivative: Any, x: list[float]) -> None:
    """A carry may get no message, so one that is 0 may be missing; if it is there, its derivative counts."""

    def largest(x: Any) -> Any:
        return fori(4, lambda _, a: am.max(a * x[1] + 1.0, 0.5), x[0]) * x[2]

    def chosen(x: Any) -> Any:
        return scan(lambda a, row: (am.where(row > 0.5, a * row * x[1], a - x[1]), None), x[0], SOME)[0] * x[2]

    for f in (largest, chosen):
        g = hessian(f) if derivative is hessian else jacobian(lambda x, f=f: jvp(f, (x,), (x,))[1])
        assert jit(g)(x) == pytest.approx(np.array(g(x)), rel=1e-13)


def test_a_direction_that_is_0_has_derivatives() -> None:
    """The same in forward mode: the tangent t·a² of a carry, at t = 0, by t."""

    def along(t: Any) -> Any:
        def f(a: Any) -> Any:
            return scan(lambda c, row: (am.where(row > 0.5, c * c, c * row + c), None), a, SOME)[0]

        return jvp(f, (0.7,), (t,))[1]

    assert jit(grad(along))(0.0) == pytest.approx(grad(along)(0.0), rel=1e-13)
    assert jit(grad(along))(0.0) > 0.1


def test_second_derivatives_of_a_branch_that_forgets_the_carry() -> None:
    """The second derivative of a power is infinite at 0; steps that forget its result send no message, in any order."""

    def last(x: Any) -> Any:
        rows = [0.0, 1.0, 0.0, 1.0]
        steps = scan(lambda c, r: (am.where(r > 0.5, x[1] * r, c**1.5 * x[0] + c * c), 0.0), x[0], rows)
        return steps[0] * x[1]

    assert [[0.0, 0.0], [0.0, 2.0]] == hessian(last)([0.0, 0.5])
    assert [[0.0, 0.0], [0.0, 2.0]] == jit(hessian(last))([0.0, 0.5])


def turned(x: Any) -> Any:
    """Three carries, of which only one is a result."""

    def step(c: Any, r: Any) -> Any:
        return (c[0] + 0.1 * c[1], c[1] - 0.1 * c[2] * c[0] * r, c[2] + 0.1 * c[1]), None

    return scan(step, (x[0], x[1], x[2]), x)[0][0]


def turned_with_rows(x: Any) -> Any:
    """The same, with a row for each step, and one carry that nothing reads."""

    def step(c: Any, r: Any) -> Any:
        return (am.sin(c[1]) * r, c[0] + c[1], c[2] * r), c[1] * c[0]

    (last, _, _), rows = scan(step, (x[0], x[1], x[2]), x)
    return last + rows[1] * rows[4]


def products(x: Any) -> Any:
    """Infinite and zero factors: the first of the carries has messages from the step before the last one only."""

    def step(c: Any, r: Any) -> Any:
        return (c[0] * r, am.log(c[0]) + c[1] * r), None

    return scan(step, (x[0], x[1]), x)[0][1]


POINTS = [[0.5, 1.5, -0.5, 2.0, 0.25], [0.0, 1.0, 2.0, 0.0, 1.0], [1.0, 0.0, 0.0, 3.0, 1.0]]


@pytest.mark.parametrize("x", POINTS, ids=str)
@pytest.mark.parametrize("function", [turned, turned_with_rows, products])
def test_carries_without_a_message_in_the_last_step(function: Any, x: list[float]) -> None:
    """The last step is written out where that tells which messages arrive; infinities and nan come out as without."""
    for derivative in (grad, hessian):
        if derivative is grad or function is not products or x == POINTS[0]:
            expected = derivative(function)(np.array(x))
            np.testing.assert_allclose(jit(derivative(function))(np.array(x)), expected, rtol=1e-12, atol=1e-15)
    if function is turned:
        assert "!=" not in first_derivative(function, x)


def first_derivative(function: Any, x: list[float]) -> str:
    """The program of a gradient."""
    compiled = jit(grad(function))
    compiled(np.array(x))
    return compiled.program()


@pytest.mark.parametrize("rows", [1, 3, 8, 27])
def test_outer_products_are_added_in_place(rows: int) -> None:
    """A matrix that is used several times has one array of messages, into which each use adds."""

    def network(weights: Any, x: Any) -> Any:
        for _ in range(3):
            x = vmap(lambda row, x: am.tanh(vmap(lambda w, x: w * x, reduce="sum")(row, x)), in_axes=(0, None))(
                weights[: len(x)], x
            )
        return vmap(lambda x: x * x, reduce="sum")(x)

    def along(weights: Any, x: Any) -> Any:
        return hvp(lambda x: network(weights, x))(x, x)

    random = np.random.default_rng(rows)
    weights, x = random.normal(0, 0.5, (rows, rows)), random.normal(size=rows)
    compiled = jit(grad(network, argnums=(0, 1)))
    for one, other in zip(compiled(weights, x), grad(network, argnums=(0, 1))(weights, x)):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-14)
    for one, other in zip(jit(along)(weights, x), along(weights, x)):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("seed", range(8))
def test_carries_in_memory(seed: int) -> None:
    """Steps that take parts of many carries, some of which no step changes, and hand them on in another order."""
    random = np.random.default_rng(seed)
    count, length = int(random.choice([17, 20, 33])), int(random.choice([0, 1, 2, 3, 6]))
    before, after = random.integers(0, 3, 2)
    inside = count - before - after
    starts, turned = random.integers(0, before + after + 1, 3), bool(seed % 2)

    def misfit(u: Any, c: Any, rows: Any) -> Any:
        def step(x: Any, row: Any) -> Any:
            one, two, three = [x[k : k + inside] for k in starts]
            found = vmap(lambda p, q, r: am.sin(p) * c + q * r * 0.3)(one, two, three)
            new = [*x[:before], *[found[k] for k in range(inside)], *x[count - after :]]
            new = [*new[1:], new[0] + row] if turned else new
            return new, x[1] * row

        last, kept = scan(step, [u[k] for k in range(count)], rows)
        return vmap(lambda x: x * x * c, reduce="sum")(last) + (kept[1] if length > 1 else 0.0)

    gradient, both = grad(misfit, argnums=(0, 1, 2)), jit(grad(misfit, argnums=(0, 1, 2)))
    u, rows = random.normal(size=(3, count)), random.normal(size=length)
    for one, other in zip(both(u[0], 0.9, rows), gradient(u[0], 0.9, rows), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-13)
    batch = jit(vmap(grad(misfit), in_axes=(0, None, None)))(u, 0.9, rows)
    np.testing.assert_allclose(batch, [gradient(x, 0.9, rows)[0] for x in u], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("width", [15, 17, 22])
def test_numbers_between_maps(width):
    """Numbers that a step computes before, between and behind maps are handed on right, also those of a branch."""

    def function(x):
        def step(carry, y):
            a, b, c, *row = carry
            early = a * b + y
            row = vmap(lambda u, v: 0.5 * (u + v) * x[0])(
                np.array(row, dtype=object), np.array([*row[1:], early], dtype=object)
            )
            between = am.where(early > c, am.sin(early) * row[0], b - row[1])
            total = vmap(lambda u: u * between, reduce="sum")(row)
            return (early, between, c + 0.125 * total, *[row[k] for k in range(width)]), early * c

        end, seen = scan(step, tuple(x[k] for k in range(width + 3)), x[width + 3 :])
        return am.sum([u * u for u in end]) + seen[1]

    x = np.random.default_rng(width).uniform(-1.0, 1.0, width + 8)
    expected, slopes = value_and_grad(function)(x)
    value, found = jit(value_and_grad(function), quiet=True)(x)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(found, slopes, rtol=1e-10, atol=1e-12)
    rows = np.stack([x, -x, 0.5 * x])
    np.testing.assert_allclose(
        jit(vmap(grad(function)), quiet=True)(rows), [grad(function)(row) for row in rows], rtol=1e-10, atol=1e-12
    )
