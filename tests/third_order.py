"""Difficult points of every primitive, and the error of a derivative against mpmath's, for test_third_order.py."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import mpmath
from exact import STENCILS
from mpmath import mpf
from references import REFERENCES

from autograd.rules import TABLE, Rule

SIZES = [5e-324, 1e-310, 1e-300, 1e-160, 1e-80, 1e-20, 1e-8, 1e-3, 0.3, 0.9, 1.7, 3.0, 19.0, 40.0, 709.0, 1e3, 1e5]
SIZES += [1e8, 1e20, 1e80, 1e160, 1e300, 1e308]
ENDS = {  # near the ends of domains and near kinks
    "asin": [0.5, 1.0 - 2.0**-53, -1.0 + 2.0**-53, 1.0 - 1e-8, -0.99],
    "acosh": [1.0 + 2.0**-52, 1.0 + 1e-8, 1.001],
    "log1p": [-1.0 + 2.0**-53, -1.0 + 1e-8, -0.99, -0.5],
    "floor": [2.0 - 2.0**-51, 2.0 + 2.0**-51, 2.5 + 2.0**-51, -2.5 - 2.0**-51],
    "erf": [5.0, 26.0, -26.0, 26.9, 28.2],
    "exp": [708.0, -708.0, -744.0, 1.0],
    "log": [1.0, 1.0 + 2.0**-52, 1.0 - 2.0**-53],
    "sin": [math.pi, math.pi / 2.0, 1e15],
    "gamma": [0.5, 1.46163214496836, 1.0, 2.0, 170.0],
}
for _like, _names in {
    "asin": "acos atanh", "floor": "ceil trunc rint", "erf": "erfc gelu", "sin": "cos tan", "gamma": "lgamma digamma",
    "exp": "exp2 expm1 sinh cosh tanh sigmoid silu softplus", "log": "log2 log10 sqrt cbrt",
}.items():  # fmt: skip  # a table
    ENDS |= dict.fromkeys(_names.split(), ENDS[_like])


# Here 12 digits of the terms are required, not of their difference: order → the size of the terms.
BEND = "the bend at 0 is a difference of terms of one size, which is small where they are equal: it has their last bits"
DIFFERENCES: dict[str, tuple[dict[int, float], str]] = {
    "sigmoid": ({2: 0.125}, BEND),
    "silu": ({3: 0.5}, BEND),
    "softplus": ({3: 0.125}, BEND),
    "logaddexp": ({3: 0.125}, BEND),
    "logsumexp": ({3: 0.125}, BEND),
}
# Points that are not tested.
LEFT_OUT = {
    "pow": (
        lambda a, b: abs(a) < 1e-100 or abs(b) > 1e100,
        "1 / a³ and b³ are factors of derivatives that may be in range where these are not",
    )
}


def candidates(name: str, interval: tuple[float, float]) -> list[float]:
    """Numbers of an operand's domain, from the smallest to the largest, and near its ends."""
    low, high = interval
    if low == high:
        return [1.0, 2.0] if name == "polygamma" else [0.0, 2.0]
    both = [sign * size for size in [*SIZES, *map(abs, ENDS.get(name, []))] for sign in (1.0, -1.0)]
    return sorted({x for x in both + ENDS.get(name, []) if low < x < high})


def points(rule: Rule, count: int) -> list[tuple[float, ...]]:
    """`count` difficult points in the domain, not on kinks; several operands are of similar or different size."""
    source = random.Random(rule.name)
    arity = rule.arity or 2
    domain = rule.domain if rule.arity else rule.domain * arity
    columns = [candidates(rule.name, interval) for interval in domain]
    if arity == 1:
        drawn = [(x,) for x in columns[0]]
    else:
        drawn = [tuple(source.choice(column) for column in columns) for _ in range(3 * count)]
        for x in source.sample(columns[-1], min(count, len(columns[-1]))):  # of equal size, or slightly different
            near = [x * (1.0 + source.choice([0.0, 2.0**-40, 1e-3, 0.5])) for _ in domain]
            drawn.append(tuple(d[0] if d[0] == d[1] else y for d, y in zip(domain, near)))
    fine = [point for point in dict.fromkeys(drawn) if _usable(rule, domain, point)]
    return fine if arity == 1 else source.sample(fine, min(count, len(fine)))


def _usable(rule: Rule, domain: Sequence[tuple[float, float]], point: Sequence[float]) -> bool:
    inside = all(a < x < b or a == b for x, (a, b) in zip(point, domain))
    if not inside or (rule.kink is not None and (rule.kink(point) if rule.arity is None else rule.kink(*point)) == 0.0):
        return False
    if rule.name in LEFT_OUT and LEFT_OUT[rule.name][0](*point):
        return False
    return math.isfinite(rule.evaluate(point))


@cache
def exact(name: str, point: tuple[float, ...], orders: tuple[int, ...]) -> mpf:
    """A partial derivative to about 60 digits, from mpmath's values or from the reference's formula."""
    reference = REFERENCES[name]
    if orders in reference.partials:
        with mpmath.workdps(60):
            return +reference.partials[orders](*map(mpf, point))
    exponents = [math.frexp(x)[1] for x in point if x]
    size = max(map(abs, exponents), default=0)
    with mpmath.workprec(1500 + 2 * size + sum(orders) * (110 + size)):
        step = mpf(2) ** (min([0, *exponents]) - 100)
        total = largest = mpf(0)
        for corner in itertools.product(*[STENCILS[order] for order in orders]):
            weight = mpmath.fprod(factor for _, factor in corner)
            moved = [mpf(x) + shift * step for x, (shift, _) in zip(point, corner)]
            total += weight * reference.value(*moved)
            largest = max(largest, abs(total))
        return mpf(0) if abs(total) <= largest * mpf(2) ** (30 - mpmath.mp.prec) else total / step ** sum(orders)


def condition(name: str, point: tuple[float, ...], orders: tuple[int, ...]) -> mpf:
    """The largest change of a derivative, to first order, if the operands change by their own size: Σ |x ∂/∂x|."""
    total = mpf(0)
    for slot, x in enumerate(point):
        if x and TABLE[name].domain[slot if TABLE[name].arity else 0] != (0.0, 0.0):
            total += abs(mpf(x) * exact(name, point, tuple([o + (i == slot) for i, o in enumerate(orders)])))
    return total


def error(name: str, point: tuple[float, ...], orders: tuple[int, ...], actual: float, tolerance: float) -> float:
    """The relative error of a derivative, less the error that its condition and underflow allow."""
    true = exact(name, point, orders)
    with mpmath.workdps(60):
        if not math.isfinite(actual):
            return 0.0 if abs(true) > 1.7e308 else math.inf  # there is no double beyond the range
        off = abs(mpf(actual) - true) - 16 * mpf(5e-324) * max(1.0, *[min(abs(x), 1e3) for x in point], 1.0)
        if off <= tolerance * abs(true):
            return 0.0
        off -= 16 * mpf(2) ** -53 * DIFFERENCES.get(name, ({}, ""))[0].get(sum(orders), 0.0)
        off -= 32 * mpf(2) ** -53 * condition(name, point, orders)
        return 0.0 if off <= tolerance * abs(true) else float(off / abs(true)) if true else math.inf


def partials(slots: Sequence[int], arity: int, order: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Every entry of the derivatives of an order: its place in the nested lists, and its order by each operand."""
    for place in itertools.product(range(len(slots)), repeat=order):
        yield place, tuple([sum(slots[k] == i for k in place) for i in range(arity)])


def entry(nested: Any, place: Sequence[int]) -> float:
    """The number at a place of nested lists."""
    for k in place:
        nested = nested[k]
    number: float = nested
    return number
