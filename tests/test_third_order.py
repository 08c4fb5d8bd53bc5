"""Derivatives of every primitive to third order, in every mix of modes, eager and compiled, against mpmath.

Points range from the smallest double to the largest, also near kinks and ends of domains. 12 digits are required, or
what the condition of the derivative allows; `third_order.DIFFERENCES` and `LEFT_OUT` list all exceptions.
"""

import itertools

import pytest
from third_order import DIFFERENCES, LEFT_OUT, entry, error, partials, points

from autograd import jacobian, jit
from autograd.rules import TABLE

pytestmark = pytest.mark.slow

TOLERANCE = 1e-12
ROWS = pytest.mark.parametrize("name", TABLE)


def slots_of(rule, count):
    """The operands by which there is a derivative."""
    return [i for i in range(count) if rule.arity is None or rule.domain[i][0] < rule.domain[i][1]]


def of_active(rule, slots):
    """The rule as a function of a list of its active operands and of a point with all operands."""

    def function(xs, point):
        operands = list(point)
        for slot, x in zip(slots, xs, strict=True):
            operands[slot] = x
        return rule(*operands)

    return function


def derivative(function, modes):
    """Derivatives by the first argument, by one mode over another."""
    for mode in modes:
        function = jacobian(function, mode=mode)
    return function


def check(name, order, some, count, compiled=False):
    """Check all derivatives of an order at this many points."""
    rule = TABLE[name]
    chosen = points(rule, count)
    assert chosen
    slots = slots_of(rule, len(chosen[0]))
    for modes in some:
        nested = derivative(of_active(rule, slots), modes)
        nested = jit(nested) if compiled else nested
        for point in chosen:
            fixed = [0.0 if i in slots else x for i, x in enumerate(point)]
            if not compiled or len(slots) == len(point):
                fixed = list(point)
            found = nested([point[slot] for slot in slots], fixed)
            for place, orders in partials(slots, len(point), order):
                off = error(name, point, orders, entry(found, place), TOLERANCE)
                assert 0.0 == off, (point, modes, orders, entry(found, place))


@ROWS
@pytest.mark.parametrize("order", [1, 2, 3])
def test_every_mix_of_modes(name, order):
    """Reverse, forward and every nesting of the two agree with mpmath."""
    check(name, order, itertools.product(("rev", "fwd"), repeat=order), 14 if order < 3 else 10)


@ROWS
@pytest.mark.parametrize("modes", [("rev",), ("rev", "fwd")])
def test_compiled(name, modes):
    """First and second derivatives in machine code at the same points."""
    check(name, len(modes), [modes], 14, compiled=True)


def test_exceptions_are_needed():
    """Every primitive that is listed as an exception exists and has a reason."""
    for table in (DIFFERENCES, LEFT_OUT):
        assert set(table) <= set(TABLE)
        assert all(reason for _, reason in table.values())
