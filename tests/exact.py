"""Derivatives of the primitives in exact arithmetic, from mpmath's values alone."""

import itertools
from collections.abc import Sequence
from math import frexp, inf, isfinite

import mpmath
from mpmath import mpf
from references import REFERENCES

STENCILS = {  # central differences: shifts in steps, and their weights
    0: [(0, mpf(1))],
    1: [(-1, mpf(-1) / 2), (1, mpf(1) / 2)],
    2: [(-1, mpf(1)), (0, mpf(-2)), (1, mpf(1))],
    3: [(-2, mpf(-1) / 2), (-1, mpf(1)), (1, mpf(-1)), (2, mpf(1) / 2)],
    4: [(-2, mpf(1)), (-1, mpf(-4)), (0, mpf(6)), (1, mpf(-4)), (2, mpf(1))],
}


def exact_value(name: str, point: Sequence[float]) -> mpf:
    """The primitive at a point, to 50 digits."""
    with mpmath.workdps(50):
        return REFERENCES[name].value(*map(mpf, point))


def exact_partial(name: str, point: Sequence[float], orders: Sequence[int]) -> mpf:
    """A partial derivative of the primitive, to 50 digits.

    Steps are 2**-100 of the smallest operand, or of 1, so the relative error is about 1e-60. There are enough digits
    for differences of values whose first 320 digits agree; a difference below their rounding is taken as 0.
    """
    reference = REFERENCES[name]
    if tuple(orders) in reference.partials:
        with mpmath.workdps(50):
            return +reference.partials[tuple(orders)](*map(mpf, point))
    exponents = [frexp(x)[1] for x in point if x]
    size = max(map(abs, exponents), default=0)
    with mpmath.workprec(1300 + 2 * size + sum(orders) * (100 + size)):
        step = mpf(2) ** (min([0, *exponents]) - 100)
        total = largest = mpf(0)
        for corner in itertools.product(*[STENCILS[order] for order in orders]):
            weight = mpmath.fprod(factor for _, factor in corner)
            term = weight * reference.value(
                *[mpf(x) + shift * step for x, (shift, _) in zip(point, corner, strict=True)]
            )
            total += term
            largest = max(largest, abs(term))
        if abs(total) <= largest * mpf(2) ** (20 - mpmath.mp.prec):
            return mpf(0)
        return total / step ** sum(orders)


def allowed_rounding(name: str, point: Sequence[float], orders: Sequence[int]) -> mpf:
    """The absolute error allowed for cancellation, where the reference says that terms cancel: 16 last bits."""
    reference, order = REFERENCES[name], sum(orders)
    with mpmath.workdps(50):
        total = mpf(0)
        if order in reference.cancels:
            for slot, x in enumerate(point):
                if x:
                    total += abs(x * exact_partial(name, point, [o + (slot == i) for i, o in enumerate(orders)]))
        if order in reference.terms:
            total += reference.terms[order](*map(mpf, point))
        return 16 * total * mpf(2) ** -53


def relative_error(name: str, point: Sequence[float], orders: Sequence[int], actual: float) -> float:
    """The relative error of a value or partial derivative, less the error allowed for cancellation and underflow."""
    exact = exact_partial(name, point, orders) if any(orders) else exact_value(name, point)
    if not isfinite(actual):
        return 0.0 if actual == float(exact) else inf
    with mpmath.workdps(50):
        error = abs(actual - exact) - 4 * mpf(5e-324)
        if error > 1e-16 * abs(exact):
            error -= allowed_rounding(name, point, orders)
        return float(error / abs(exact)) if error > 0 else 0.0
