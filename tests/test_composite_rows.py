"""Composite rows: floats, nodes and the forms written for speed have the bits of the formula in the table."""

from __future__ import annotations

import math
import struct
from itertools import product
from random import Random

import pytest
from two_builds import bits

from autograd import Value, grad
from autograd.rules import TABLE

COMPOSITE = [name for name, rule in TABLE.items() if rule.formula is not None]
EXTREMES = [
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 3.0, -3.0, 5e-324, -5e-324, 2.0**-1022, -(2.0**-1022), 1e-160, 1e160, 2.0**53,
    709.0, 710.0, -745.0, -746.0, 37.0, -37.0, math.nextafter(1.0, 0.0), 1.7976931348623157e308,
    -1.7976931348623157e308, math.inf, -math.inf, math.nan,
]  # fmt: skip  # a list of numbers


def points(name: str, count: int = 3000) -> list[tuple[float, ...]]:
    """All combinations of few extreme operands, and random numbers: ordinary ones, whole ones, any bits, and ties."""
    arity, random = TABLE[name].arity, Random(name)
    draws = [
        lambda: random.gauss(0.0, 3.0),
        lambda: float(random.randint(-6, 6)),
        lambda: struct.unpack("<d", random.randbytes(8))[0],
        lambda: random.choice(EXTREMES),
    ]
    found = list(product(EXTREMES, repeat=arity)) if arity in (1, 2) else []
    for k in range(count):
        length = arity or random.randint(1, 6)
        if k % 5 < 4:
            found.append(tuple(draws[k % 5]() for _ in range(length)))
        else:
            found.append(tuple(random.choice(draws)() for _ in range(length)))
    return found


@pytest.mark.parametrize("name", COMPOSITE)
def test_every_value_is_its_formula(name: str) -> None:
    """The float function, whether derived or written for speed, and the node give the formula's bits."""
    rule = TABLE[name]
    for point in points(name):
        expected = bits(rule.expand(point))
        assert expected == bits(rule.evaluate(point)), point
        assert expected == bits(rule(*point)), point
        assert expected == bits(rule(*map(Value, point)).data), point


@pytest.mark.parametrize("name", [name for name in COMPOSITE if TABLE[name].arity is not None])
def test_derivatives_are_those_of_the_formula(name: str) -> None:
    """Backpropagation through the formula gives the row's local derivatives where both are smooth."""
    rule, random = TABLE[name], Random(name)
    slots = tuple(range(rule.arity))
    for _ in range(50):
        point = [random.uniform(-3.0, 3.0) for _ in slots]
        written_out = grad(lambda *x: rule.expand(x) + 0.0, argnums=slots)(*point)
        assert written_out == pytest.approx(grad(rule, argnums=slots)(*point), rel=1e-12, abs=1e-14), point


def test_numbers_that_are_no_floats_become_floats() -> None:
    """A row called on ints and bools gives a float, as with floats."""
    assert "2.0" == repr(TABLE["pos"](2))
    assert "1.0" == repr(TABLE["relu"](True))
    assert "3.0" == repr(TABLE["floordiv"](7, 2))
    assert "6.0" == repr(TABLE["sum"](1, 2, 3.0))


def test_rows_of_no_operands() -> None:
    """The empty sum and product are what they are in `math`; a mean or maximum of nothing is an error."""
    assert ("0.0", "1.0") == (repr(TABLE["sum"]()), repr(TABLE["prod"]()))
    with pytest.raises(ZeroDivisionError):
        TABLE["mean"]()
    with pytest.raises(ValueError, match="empty"):
        TABLE["max"]()
