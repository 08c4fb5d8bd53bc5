"""Compiled loops give what the same steps give one after another, in places where that is easily missed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import grad, hessian, hvp, jacobian, jit, jvp, scan, vjp, vmap

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
