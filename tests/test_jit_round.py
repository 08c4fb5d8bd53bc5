"""`round(x, n)` in machine code: Python's result to the last bit, with Python called only for odd cases."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from two_builds import bits

from autograd import jit, rules, value_and_grad, vmap
from autograd.compiler.lower import rounding
from autograd.compiler.machine import llvm

DIGITS = [*range(-24, 26), 40, 330, -330]


def numbers(digits: int) -> list[float]:
    """Ordinary, tied, nearly tied, huge and subnormal numbers for this number of digits."""
    random = np.random.default_rng(digits + 500)
    step = Fraction(10) ** -digits
    found = random.normal(scale=10.0, size=60).tolist()
    found += random.integers(0, 2**64, size=100, dtype=np.uint64).view(np.float64).tolist()
    largest = 2**53
    for whole in [*range(6), *random.integers(0, 10**6, size=30).tolist(), *random.integers(0, largest, 30).tolist()]:
        for middle in (whole * step, (whole + Fraction(1, 2)) * step):
            if middle < Fraction(10) ** 308:
                near = float(middle)
                found += [near, math.nextafter(near, math.inf), math.nextafter(near, -math.inf)]
    for edge in (2.0**51, 2.0**52, 2.0**53):
        near = float(min(Fraction(edge) * step, Fraction(10) ** 308))
        found += [near, math.nextafter(near, 0.0), math.nextafter(near, math.inf)]
    found += [0.5 * k * 2.0**e for e in (-1074, -60, -10, -3, -1, 0, 3, 20, 50) for k in range(1, 12)]
    found += [0.0, math.inf, math.nan, 5e-324, 2.0**-1022, 1.7976931348623157e308]
    return [*found, *[-x for x in found]]


def expected(x: float, digits: float) -> str:
    """The table's result, as bits."""
    return bits(rules.round.evaluate((x, float(digits))))


@pytest.mark.slow
@pytest.mark.parametrize("digits", DIGITS)
def test_every_bit(digits: int) -> None:
    """The same bits as Python's round for a constant number of digits, in calls and in lanes."""
    x = numbers(digits)
    one, many = jit(lambda x: round(x, digits)), jit(vmap(lambda x: round(x, digits)))
    wanted = [expected(v, digits) for v in x]
    assert wanted == [bits(one(v)) for v in x]
    assert wanted == [bits(y) for y in many(np.array(x)).tolist()]


@pytest.mark.parametrize("accurate", [False, True])
def test_digits_that_differ_from_row_to_row(accurate: bool) -> None:
    """The number of digits may differ from row to row; of a fraction the whole part is used."""
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(scale=100.0, size=3000), 0.5 * random.integers(-50, 50, 1000)])
    n = np.concatenate([random.uniform(-4.0, 8.0, size=3000), random.integers(-2, 3, 1000).astype(float)])
    n[:4] = [math.nan, math.inf, -math.inf, 1e300]
    actual = jit(vmap(rules.round.__call__), accurate=accurate)(x, n)
    assert [expected(a, b) for a, b in zip(x.tolist(), n.tolist(), strict=True)] == [bits(y) for y in actual.tolist()]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The calls into Python that machine code makes for `round`."""
    made: list[Any] = []

    class Watched:
        """The rule, with a record of its calls."""

        def evaluate(self, numbers: Any) -> float:
            """The value."""
            made.append(numbers)
            return rules.round.evaluate(numbers)

    llvm._add_library_symbols()
    keep = [llvm._add_callback(rounding.PYTHON, Watched(), 2)]
    yield made
    keep.append(llvm._add_callback(rounding.PYTHON, rules.round, 2))
    llvm._callbacks.extend(keep)


def test_ordinary_numbers_do_not_call_python(calls: list[Any]) -> None:
    """Only numbers without digits to round, or with more digits than a double has, call Python."""
    x = np.random.default_rng(0).normal(scale=1e6, size=1000)
    mapped = jit(vmap(lambda x: round(x, 2) + round(x, -3)))
    assert [round(v, 2) + round(v, -3) for v in x.tolist()] == mapped(x).tolist()
    assert [] == calls
    mapped(np.array([1e300]))
    assert calls
    assert {(1e300, 2.0), (1e300, -3.0)} == set(calls)


def test_derivative() -> None:
    """It is 0, by either operand."""
    assert (1.23, (0.0, 0.0)) == jit(value_and_grad(lambda x, n: rules.round(x, n), argnums=(0, 1)))(1.2345, 2.0)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: pow(round(x), 3, 5) * x,
        lambda x: round(x) ** 2 * x,
        lambda x: round(x).bit_length() * x,
        lambda x: (round(x).numerator + round(x).denominator) * x,
        lambda x: len(round(x).to_bytes(2, "big")) * x + round(x).bit_count(),
    ],
)
def test_what_only_ints_have(function: Any) -> None:
    """Methods and powers of ints work with what `round` gives, in single calls and in rows."""
    xs = [0.5, 1.5, 2.25, 7.0]
    single = jit(function, quiet=True)
    assert [function(x) for x in xs] == [single(x) for x in xs]
    assert [function(x) for x in xs] == jit(vmap(function), quiet=True)(np.array(xs)).tolist()


def test_an_int_has_no_other_attributes() -> None:
    """The error is that of Python."""
    with pytest.raises(AttributeError, match="no attribute 'bits'"):
        jit(lambda x: round(x).bits)(2.0)
