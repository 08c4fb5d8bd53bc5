"""`accurate=True`: values have the bits of eager ones, for every primitive, scalar and in lanes."""

import math

import numpy as np
import pytest
from test_jit_rules import SPECIAL
from two_builds import bits

from autograd import Value, jit, vmap
from autograd.rules import TABLE

SMALL_WHOLE = {"polygamma": (0,), "round": (1,)}  # operands that stand for small whole numbers
EXTREMES = [*SPECIAL, math.nextafter(1.0, 0.0), 5e-309, 2.0**-1022, -(2.0**-1074) * 3, 1.7976931348623157e308, 2.0**53]


def operands(name: str, arity: int, count: int) -> list[tuple[float, ...]]:
    """Random numbers of ordinary size, numbers of random bits, and extreme ones, all mixed."""
    random = np.random.default_rng(7)
    ordinary = random.normal(scale=3.0, size=(count, arity))
    uniform = random.uniform(-1.0, 1.0, size=(count, arity))
    whole = random.integers(-6, 7, size=(count, arity)).astype(float)
    any_bits = random.integers(0, 2**64, size=(count, arity), dtype=np.uint64).view(np.float64)
    extreme = random.choice(EXTREMES, size=(count, arity))
    mixed = np.choose(random.integers(0, 5, size=(count, arity)), [ordinary, uniform, whole, any_bits, extreme])
    rows = np.concatenate([ordinary, uniform, whole, any_bits, extreme, mixed])
    for k in SMALL_WHOLE.get(name, ()):
        rows[:, k] = random.integers(0, 5, size=len(rows))
    return [tuple(row) for row in rows.tolist()]


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # SciPy warns of numbers out of range
def test_every_row(name: str) -> None:
    """The values on plain floats, in a node, in a compiled call and in lanes are the same."""
    rule = TABLE[name]
    rows = operands(name, rule.arity or 11, 100 if name == "polygamma" else 300)
    expected = [bits(rule.evaluate(row)) for row in rows]
    one = jit(lambda *x: rule(*x), accurate=True)
    many = jit(vmap(lambda *x: rule(*x)), accurate=True)
    nodes = [bits(rule(*map(Value, row)).data) for row in rows]
    scalars = [bits(one(*row)) for row in rows]
    lanes = [bits(y) for y in many(*[np.array(column) for column in zip(*rows, strict=True)]).tolist()]
    for way, actual in {"node": nodes, "scalar": scalars, "lanes": lanes}.items():
        different = [(row, e, a) for row, e, a in zip(rows, expected, actual, strict=True) if e != a]
        assert not different, (way, len(different), different[0])


@pytest.mark.parametrize("exponent", [-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0])
def test_constant_powers(exponent: float) -> None:
    """A power with a constant exponent is a product only where that gives the bits of `pow`."""
    x = [row[0] for row in operands("pow", 1, 2000)]
    one, many = jit(lambda x: x**exponent, accurate=True), jit(vmap(lambda x: x**exponent), accurate=True)
    expected = [bits(TABLE["pow"].evaluate((v, exponent))) for v in x]
    assert expected == [bits(one(v)) for v in x]
    assert expected == [bits(y) for y in many(np.array(x)).tolist()]


@pytest.mark.parametrize("exponent", [-1.0, 2.0, 3.0, 4.0])
def test_small_powers_at_extremes(exponent: float) -> None:
    """Without `accurate` they are products, with the zeros and infinities of `pow` and nearly the same digits."""
    one = jit(lambda x: x**exponent)
    for (x,) in operands("pow", 1, 2000):
        expected, actual = TABLE["pow"].evaluate((x, exponent)), one(x)
        if expected == 0.0 or not math.isfinite(expected):
            assert bits(expected) == bits(actual), x
        else:
            assert abs(expected - actual) <= 2.0 * math.ulp(expected), x
