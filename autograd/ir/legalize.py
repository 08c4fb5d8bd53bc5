"""Rows that no machine instruction or library function computes, written in rows that one does.

The formulas are those of `autograd.ieee`, with a `select` for every `if`, so that compiled and eager agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from math import inf
from operator import add
from typing import Any

from autograd import rules
from autograd.ieee import LN2, SQRT_HALF
from autograd.ir.builder import Builder, only
from autograd.rules import select


def _sigmoid(x: Any) -> Any:
    e = rules.exp(-abs(x))
    return select(x >= 0.0, 1.0, e) / (1.0 + e)


def _sign(x: Any) -> Any:
    return select((x < 0.0) | (x > 0.0), rules.copysign(1.0, x), x)


def _extreme(xs: Sequence[Any], better: Callable[[Any, Any], Any]) -> Any:
    """The first of the best; nan if any is nan."""
    best = xs[0]
    for x in xs[1:]:
        best = select(better(x, best) | (x != x), x, best)
    return best


def _max(*xs: Any) -> Any:
    return _extreme(xs, lambda x, best: x > best)


def _min(*xs: Any) -> Any:
    return _extreme(xs, lambda x, best: x < best)


def _prod(*xs: Any) -> Any:
    product = xs[0]
    for x in xs[1:]:
        product = product * x
    return product


def _logsumexp(*xs: Any) -> Any:
    largest = _max(*xs)
    total: Any = 0.0
    searching: Any = None  # whether the largest, which is left out, is still to come
    for x in xs:
        here = (x == largest) if searching is None else (x == largest) & searching
        searching = here.negated() if searching is None else searching & here.negated()
        total = total + select(here, 0.0, rules.exp(x - largest))
    return select(abs(largest) < inf, largest + rules.log1p(total), largest)


def _logaddexp(a: Any, b: Any) -> Any:
    return select(a == b, a + LN2, _max(a, b) + rules.log1p(rules.exp(-abs(a - b))))


def _divided(a: Any, b: Any) -> tuple[Any, Any]:
    """Whole quotient and remainder with the sign of the divisor, as Python divides floats."""
    remainder = rules.fmod(a, b)
    quotient = (a - remainder) / b
    other_sign = select(remainder < 0.0, 1.0, 0.0) != select(b < 0.0, 1.0, 0.0)
    adjust = other_sign & (remainder != 0.0)
    quotient = select(adjust, quotient - 1.0, quotient)
    remainder = select(adjust, remainder + b, remainder)
    remainder = select(remainder != 0.0, remainder, rules.copysign(0.0, b))
    whole = rules.floor(quotient)
    whole = select(quotient - whole > 0.5, whole + 1.0, whole)
    return select(quotient != 0.0, whole, rules.copysign(0.0, a / b)), remainder


def _elu(x: Any, alpha: Any) -> Any:
    return select(x > 0.0, x, alpha * rules.expm1(x))


def _gelu(x: Any) -> Any:
    return select(x == -inf, -0.0, 0.5 * x * rules.erfc(-x * SQRT_HALF))


FORMULAS: dict[str, Callable[..., Any]] = {
    "pos": lambda x: x,
    "sign": _sign,
    "sigmoid": _sigmoid,
    "silu": lambda x: select(x == -inf, -0.0, x * _sigmoid(x)),
    "gelu": _gelu,
    "softplus": lambda x: select(x < 0.0, 0.0, x) + rules.log1p(rules.exp(-abs(x))),
    "logaddexp": _logaddexp,
    "logsumexp": _logsumexp,
    "relu": lambda x: select(x <= 0.0, 0.0, x),
    "leaky_relu": lambda x, slope: select(x > 0.0, x, slope * x),
    "elu": _elu,
    "clip": lambda x, low, high: select(x < low, low, select(x > high, high, x)),
    "where": lambda c, x, y: select(c != 0.0, x, y),
    "max": _max,
    "min": _min,
    "mean": lambda *xs: rules.sum(*xs) / float(len(xs)),
    "prod": _prod,
    "floordiv": lambda a, b: select(b == 0.0, a / b, _divided(a, b)[0]),
    "mod": lambda a, b: select(b == 0.0, math.nan, _divided(a, b)[1]),
}


@only(FORMULAS)
def expand(builder: Builder, op: str, operands: tuple[int, ...], data: Any) -> int | None:
    """The formula in place of a row, as a rewriter."""
    return builder.place(FORMULAS[op](*[builder.wrap(o) for o in operands]))


def _sum_in_order(*xs: Any) -> Any:
    return reduce(add, xs, 0.0)


def _dot_in_order(*xs: Any) -> Any:
    return _sum_in_order(*[x * y for x, y in zip(xs[: len(xs) // 2], xs[len(xs) // 2 :])])


IN_ORDER: dict[str, Callable[..., Any]] = {"sum": _sum_in_order, "dot": _dot_in_order}


@only(IN_ORDER)
def sums_in_order(builder: Builder, op: str, operands: tuple[int, ...], data: Any) -> int | None:
    """The additions of a sum from left to right, as eager code makes them."""
    return builder.place(IN_ORDER[op](*[builder.wrap(o) for o in operands]))
