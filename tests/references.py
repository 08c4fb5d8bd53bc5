"""The primitives in exact arithmetic: one mpmath function for each."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import mpmath
from mpmath import mpf


@dataclass(frozen=True)
class Reference:
    """A primitive on mpmath numbers.

    Attributes
    ----------
    value : callable
        Takes one mpf per operand.
    ulps : float
        The allowed error of the value in units in the last place: 4, where the standard library is as good.
    partials : mapping
        Orders of derivation → function, if differences of values take too long or the values may not be smooth.
    within : float
        Operands beyond ``within``, or closer to 0 than its reciprocal, may make an intermediate result leave the double
        range although the value would not.
    cancels : tuple of int
        Orders of derivation (0 is the value) that are sums of terms which may cancel, so the last bit of an
        operand changes more than the last bits of the result: the allowed error is that of 16 such bits.
    terms : mapping
        Order of derivation → the size of the terms that cancel where the derivative is near 0: an error of
        16 of their last bits is allowed.
    """

    value: Callable[..., Any]
    ulps: float = 4.0
    partials: dict[tuple[int, ...], Callable[..., Any]] = field(default_factory=dict)
    within: float = 2.0**1023  # two such numbers still have a finite hypot
    cancels: tuple[int, ...] = ()
    terms: dict[int, Callable[..., Any]] = field(default_factory=dict)


def quotient(rounding: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """The whole number of times that b goes into a, with enough digits for the whole double range."""

    def whole(a: mpf, b: mpf) -> mpf:
        with mpmath.workdps(1000):
            return rounding(a / b)

    return whole


def remaining(rounding: Callable[[Any], Any]) -> Reference:
    """A remainder a - q b; q is constant except for jumps."""
    whole = quotient(rounding)

    def value(a: mpf, b: mpf) -> mpf:
        with mpmath.workdps(1000):
            return a - b * whole(a, b)

    partials = {(1, 0): lambda a, b: mpf(1), (0, 1): lambda a, b: -whole(a, b), **NO_SECOND}
    return Reference(value, ulps=1, partials=partials)


NO_SECOND = {(i, k - i): lambda a, b: mpf(0) for k in (2, 3, 4) for i in range(k + 1)}  # and all higher ones


def round_half_even(x: mpf) -> mpf:
    """The nearest whole number, the even one of two."""
    below = mpmath.floor(x)
    up = x - below > mpf(1) / 2 or (x - below == mpf(1) / 2 and int(below) % 2)
    return below + 1 if up else below


def truncate(x: mpf) -> mpf:
    """The whole part, towards 0."""
    return mpmath.floor(x) if x >= 0 else mpmath.ceil(x)


def sigmoid(x: mpf) -> mpf:
    """The logistic function."""
    return 1 / (1 + mpmath.exp(-x))


def erfc(x: mpf) -> mpf:
    """The complementary error function; beyond 1e6 it is below 10**-400000000000, which mpmath does not compute."""
    return mpf(0) if x > 1e6 else mpmath.erfc(x)


def normal(x: mpf) -> mpf:
    """The normal distribution function, without cancellation on either side."""
    return erfc(-x / mpmath.sqrt(2)) / 2


def bell(*slopes: mpf) -> mpf:
    """The third or fourth derivative of exp(f) over exp(f), from the derivatives of f (Faà di Bruno)."""
    a, b, c, *d = slopes
    return a**4 + 6 * a * a * b + 3 * b * b + 4 * a * c + d[0] if d else a**3 + 3 * a * b + c


def dot(*xs: mpf) -> mpf:
    """The inner product of the first half of the operands with the second."""
    half = len(xs) // 2
    return mpmath.fsum(a * b for a, b in zip(xs[:half], xs[half:], strict=True))


def logsumexp(*xs: mpf) -> mpf:
    """The logarithm of the sum of the exponentials; the largest is factored out, so that log1p has all its digits."""
    largest = max(xs)
    rest = list(xs)
    rest.remove(largest)
    return largest + mpmath.log1p(mpmath.fsum(mpmath.exp(x - largest) for x in rest))


REFERENCES = {
    "add": Reference(lambda a, b: a + b),
    "sub": Reference(lambda a, b: a - b),
    "mul": Reference(lambda a, b: a * b),
    "div": Reference(lambda a, b: a / b),
    "neg": Reference(lambda x: -x),
    "pos": Reference(lambda x: x),
    "pow": Reference(
        mpmath.power,
        partials={
            (1, 0): lambda a, b: b * mpmath.power(a, b - 1),
            (0, 1): lambda a, b: mpmath.power(a, b) * mpmath.log(a),
            (2, 0): lambda a, b: b * (b - 1) * mpmath.power(a, b - 2),
            (1, 1): lambda a, b: mpmath.power(a, b - 1) * (1 + b * mpmath.log(a)),
            (0, 2): lambda a, b: mpmath.power(a, b) * mpmath.log(a) ** 2,
        },
        terms={2: lambda a, b: mpmath.power(a, b - 1)},
    ),
    "fma": Reference(lambda a, b, c: a * b + c),
    "sqrt": Reference(mpmath.sqrt),
    "cbrt": Reference(lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x))),
    "exp": Reference(mpmath.exp),
    "exp2": Reference(lambda x: mpmath.exp(x * mpmath.log(2))),
    "expm1": Reference(mpmath.expm1),
    "log": Reference(mpmath.log),
    "log2": Reference(lambda x: mpmath.log(x) / mpmath.log(2)),
    "log10": Reference(lambda x: mpmath.log(x) / mpmath.log(10)),
    "log1p": Reference(mpmath.log1p),
    "hypot": Reference(mpmath.hypot, terms={2: lambda a, b: 1 / mpmath.hypot(a, b)}),
    "sin": Reference(mpmath.sin),
    "cos": Reference(mpmath.cos),
    "tan": Reference(mpmath.tan),
    "asin": Reference(mpmath.asin),
    "acos": Reference(mpmath.acos),
    "atan": Reference(mpmath.atan),
    "atan2": Reference(mpmath.atan2, cancels=(2,)),
    "sinh": Reference(mpmath.sinh),
    "cosh": Reference(mpmath.cosh),
    "tanh": Reference(mpmath.tanh),
    "asinh": Reference(mpmath.asinh),
    "acosh": Reference(mpmath.acosh),
    "atanh": Reference(mpmath.atanh),
    "erf": Reference(mpmath.erf),
    "erfc": Reference(erfc),
    "gamma": Reference(
        mpmath.gamma,
        ulps=20,  # from Python's math
        partials={
            (1,): lambda x: mpmath.gamma(x) * mpmath.psi(0, x),
            (2,): lambda x: mpmath.gamma(x) * (mpmath.psi(0, x) ** 2 + mpmath.psi(1, x)),
            (3,): lambda x: mpmath.gamma(x) * bell(*[mpmath.psi(k, x) for k in range(3)]),
            (4,): lambda x: mpmath.gamma(x) * bell(*[mpmath.psi(k, x) for k in range(4)]),
        },
    ),
    "lgamma": Reference(
        mpmath.loggamma,
        cancels=(0, 1),
        partials={(k + 1,): lambda x, k=k: mpmath.psi(k, x) for k in range(4)},
    ),
    "digamma": Reference(
        lambda x: mpmath.psi(0, x),
        cancels=(0,),
        partials={(k,): lambda x, k=k: mpmath.psi(k, x) for k in range(1, 5)},
    ),
    "polygamma": Reference(
        lambda n, x: mpmath.psi(int(n), x),
        ulps=100,  # from SciPy
        partials={(0, k): lambda n, x, k=k: mpmath.psi(int(n) + k, x) for k in range(1, 5)},
    ),
    "floor": Reference(mpmath.floor, ulps=0),
    "ceil": Reference(mpmath.ceil, ulps=0),
    "trunc": Reference(truncate, ulps=0),
    "rint": Reference(round_half_even, ulps=0),
    "round": Reference(lambda x, n: round_half_even(x * mpf(10) ** n) / mpf(10) ** n, ulps=1),
    "sign": Reference(mpmath.sign, ulps=0),
    "floordiv": Reference(
        quotient(mpmath.floor),
        ulps=1,
        partials={orders: lambda a, b: mpf(0) for orders in [(1, 0), (0, 1), *NO_SECOND]},
    ),
    "mod": remaining(mpmath.floor),
    "fmod": remaining(truncate),
    "remainder": remaining(round_half_even),
    "abs": Reference(abs, ulps=0),
    "copysign": Reference(lambda a, b: abs(a) * mpmath.sign(b), ulps=0),
    "where": Reference(lambda c, a, b: a if c else b, ulps=0),
    "clip": Reference(lambda x, a, b: min(max(x, a), b), ulps=0),
    "max": Reference(lambda *xs: max(xs), ulps=0),
    "min": Reference(lambda *xs: min(xs), ulps=0),
    "relu": Reference(lambda x: max(x, mpf(0)), ulps=0),
    "leaky_relu": Reference(lambda x, s: x if x > 0 else s * x),
    "elu": Reference(lambda x, s: x if x > 0 else s * mpmath.expm1(x)),
    "sigmoid": Reference(sigmoid, terms={2: lambda x: 0.125}),
    "silu": Reference(lambda x: x * sigmoid(x), cancels=(1, 2)),
    "gelu": Reference(lambda x: x * normal(x), ulps=2000, cancels=(1, 2)),
    "softplus": Reference(lambda x: mpmath.log1p(mpmath.exp(x))),
    "logaddexp": Reference(logsumexp, cancels=(0, 2), terms={2: lambda *xs: 0.25}),
    "sum": Reference(lambda *xs: mpmath.fsum(xs), cancels=(0,)),
    "fsum": Reference(lambda *xs: mpmath.fsum(xs), ulps=0.5),
    "prod": Reference(lambda *xs: mpmath.fprod(xs), within=1e75),
    "mean": Reference(lambda *xs: mpmath.fsum(xs) / len(xs), cancels=(0,)),
    "dot": Reference(dot, cancels=(0,)),
    "take": Reference(lambda i, *xs: xs[int(mpmath.nint(i))] if mpmath.nint(i) < len(xs) else mpmath.nan, ulps=0),
    "logsumexp": Reference(logsumexp, cancels=(0, 2), terms={2: lambda *xs: 0.25}),
}
