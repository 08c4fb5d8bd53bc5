"""Every primitive, compiled alone and compared with eager code: values, gradients, corners, lanes."""

import math
import struct
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest

from autograd import Value, jit, rules, value_and_grad, vmap
from autograd.compiler.lower.expressions import LIBM
from autograd.rules import TABLE

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, 5e-324, -1e-310, 1e-160, 1e308, -1e308, math.inf, -math.inf]
SPECIAL += [math.nan, 0.3, 17.5, -17.5, 709.0, 710.0, -745.0, 1e-8, -1e-8, 22.0, 1e5 + 0.5]
ULPS = 4


def key(x: float) -> int:
    """A whole number for each float, in order: neighbours differ by one."""
    bits = struct.unpack("<q", struct.pack("<d", x))[0]
    return bits if bits >= 0 else -(bits & 0x7FFFFFFFFFFFFFFF)


def ulps(expected: float, actual: float) -> float:
    """The distance in floats; infinite if only one of them is nan or infinite."""
    if math.isnan(expected) or math.isnan(actual):
        return 0.0 if math.isnan(expected) and math.isnan(actual) else math.inf
    if math.isinf(expected) or math.isinf(actual):
        return 0.0 if expected == actual else math.inf
    return abs(key(expected) - key(actual))


def points(rule: rules.Rule, count: int = 40) -> list[tuple[float, ...]]:
    """Points of the domain, special numbers, and the primitive's corners."""
    random = np.random.default_rng(1)
    arity = rule.arity or 3
    domain = rule.domain if rule.arity else (rule.domain * arity)
    drawn = []
    for low, high in domain:
        if low == high:
            drawn.append(np.full(count, low))
        else:
            bottom, top = max(low, -20.0), min(high, 20.0)
            drawn.append(random.uniform(bottom, top, count))
    rows = [tuple(map(float, row)) for row in zip(*drawn, strict=True)]
    if rule.name not in ("polygamma", "round"):
        rows += [tuple([SPECIAL[(k * (3 * i + 1) + i) % len(SPECIAL)] for i in range(arity)]) for k in range(60)]
        rows += [corner for corner in rule.corners if len(corner) == arity]
    return rows


@cache
def eager(name: str) -> list[tuple[float, tuple[float, ...]]]:
    """Values and gradients of the eager engine at the points."""
    rule, results = TABLE[name], []
    for row in points(rule):
        leaves = [Value(x) for x in row]
        y = rule(*leaves)
        y.backward()
        results.append((y.data, tuple([x.grad for x in leaves])))
    return results


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("options", [{}, {"accurate": True}], ids=["default", "accurate"])
def test_row_alone(name: str, options: dict[str, bool]) -> None:
    """One primitive, compiled and called with floats, has the eager value and gradient."""
    rule = TABLE[name]
    argnums = tuple(range(rule.arity or 3))
    step = jit(value_and_grad(lambda *x: rule(*x), argnums=argnums), **options)
    for row, (value, gradient) in zip(points(rule), eager(name), strict=True):
        actual_value, actual_gradient = step(*row)
        bound = value_bound(name)
        assert ulps(value, actual_value) <= bound, (row, value, actual_value)
        for expected, actual in zip(gradient, actual_gradient, strict=True):
            assert ulps(expected, actual) <= gradient_bound(name), (row, gradient, actual_gradient)


@pytest.mark.parametrize("name", TABLE)
def test_row_in_lanes(name: str) -> None:
    """One primitive over a batch has the same results in every lane, also in the remainder."""
    rule = TABLE[name]
    argnums = tuple(range(rule.arity or 3))
    step = jit(vmap(value_and_grad(lambda *x: rule(*x), argnums=argnums)))
    rows = points(rule)
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    values, gradients = step(*columns)
    for k, (value, gradient) in enumerate(eager(name)):
        assert ulps(value, values[k]) <= value_bound(name), (rows[k], value, values[k])
        for expected, actual in zip(gradient, [column[k] for column in gradients], strict=True):
            assert ulps(expected, actual) <= gradient_bound(name), (rows[k], expected, actual)


WITH_VECTOR_MATH = [name for name in LIBM if name not in ("fmod", "remainder", "gamma", "lgamma")]


@pytest.mark.parametrize("name", WITH_VECTOR_MATH)
def test_vector_math_against_mpmath(name: str) -> None:
    """The functions that lanes call are within 4 units in the last place of the true value over their domain."""
    rule, random = TABLE[name], np.random.default_rng(2)
    columns = []
    for low, high in rule.domain:
        bottom, top = max(low, -30.0), min(high, 30.0)
        columns.append(np.concatenate([random.uniform(bottom, top, 150), random.uniform(bottom, top, 50) * 1e-3]))
        columns[-1] = np.clip(columns[-1], bottom, top)
    actual = jit(vmap(lambda *x: rule(*x)))(*columns)
    true = {"asin": mpmath.asin, "exp2": lambda x: mpmath.power(2, x), "pow": mpmath.power, "log10": mpmath.log10}
    true |= {"log2": lambda x: mpmath.log(x, 2)}
    function = true.get(name) or getattr(mpmath, name)
    with mpmath.workprec(200):
        for row, y in zip(zip(*columns, strict=True), actual, strict=True):
            expected = function(*map(mpmath.mpf, map(float, row)))
            if mpmath.im(expected) != 0 or not mpmath.isfinite(expected) or abs(expected) < 1e-300:
                continue
            assert abs(mpmath.mpf(float(y)) - expected) <= ULPS * mpmath.mpf(math.ulp(float(expected))), (row, y)


def value_bound(name: str) -> float:
    """The bound: each may be off by the bound of one operation; a composite primitive has several."""
    return COMPOSED.get(name, 1) * ULPS


def gradient_bound(name: str) -> float:
    """The bound of a gradient, which takes a few operations."""
    return COMPOSED.get(name, 1) * 4 * ULPS


COMPOSED = {"logsumexp": 2, "logaddexp": 2, "silu": 2, "gelu": 4, "softplus": 2, "gamma": 8, "lgamma": 8, "pow": 2}


def test_fmod_has_the_bits_of_c() -> None:
    """In lanes and alone: quotients of any size, those that round up to a whole number, and what is no number."""
    random = np.random.default_rng(4)
    special = [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1.7e308, 1.0, -1.0, 2.0**52, 2.0**53]
    y = np.concatenate([random.uniform(-10.0, 10.0, 4000), random.uniform(-1.0, 1.0, 1000) * 1e-310, special * 11])
    multiples = np.floor(random.uniform(0.0, 2.0**40, 5000)) * y[:5000]
    x = np.nextafter(multiples, random.choice([-np.inf, 0.0, np.inf], 5000))
    x = np.concatenate(
        [np.where(random.random(5000) < 0.3, random.uniform(-1e3, 1e3, 5000), x), np.repeat(special, 11)]
    )
    with np.errstate(invalid="ignore"):
        expected = np.fmod(x, y)
    assert_same_bits(expected, jit(vmap(lambda a, b: TABLE["fmod"](a, b)))(x, y))
    alone = jit(lambda a, b: TABLE["fmod"](a, b))
    assert_same_bits(expected[::50], np.array([alone(a, b) for a, b in zip(x[::50].tolist(), y[::50].tolist())]))


def assert_same_bits(expected: Any, found: Any) -> None:
    """Numbers are equal, signs of zeros included; any nan is like any other."""
    assert np.array_equal(expected, found, equal_nan=True)
    numbers = ~np.isnan(expected)
    assert np.array_equal(np.signbit(expected[numbers]), np.signbit(found[numbers]))
