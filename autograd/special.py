"""SciPy's special functions on Values: a call of a function of `scipy.special` with a Value leads here.

Functions that are formulas of primitives compile to machine code. The others are primitives of their own: their values
come from SciPy, and compiled code calls Python for them. The sources of the derivatives are sections of NIST's DLMF.
`norm` is the normal distribution: `scipy.stats` looks into its arguments and cannot take Values.

Examples
--------
>>> import scipy.special
>>> from autograd import Value, special
>>> x = Value(1.0)
>>> y = scipy.special.j0(x) + special.norm.cdf(x)
>>> y.backward()
>>> y.data, x.grad
(1.606542, -0.198080)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from math import inf, nan, pi
from typing import Any

from autograd import rules
from autograd.ieee import scipy_special as _scipy
from autograd.rules import POSITIVE, REAL, UNIT, Interval, Rule, exp, log

Number = Any
NONE: Interval = (0.0, 0.0)  # of an operand without a derivative
FAR = 15.0  # from 0: the series has all digits, and nearer the difference keeps twelve of them
SQRT_PI, SQRT_2PI, SQRT_HALF = math.sqrt(pi), math.sqrt(2.0 * pi), math.sqrt(0.5)

__all__ = [
    "beta", "betainc", "betaln", "dawsn", "digamma", "entr", "erf", "erfc", "erfcinv", "erfcx", "erfinv", "exp1",
    "exp10", "expi", "expit", "gamma", "gammainc", "gammaincc", "gammaln", "i0", "i1", "iv", "j0", "j1", "jv", "k0", "k1",
    "kl_div", "kv", "lambertw", "log_expit", "log_ndtr", "logit", "ndtr", "ndtri", "norm", "psi", "rel_entr", "rgamma",
    "xlog1py", "xlogy", "y0", "y1", "yv",
]  # fmt: skip  # a list of words


def _no_derivative(*_: Number) -> Number:
    """The derivative by an order or a shape, for which there is no closed form."""
    return nan


def _row(name: str, *derivatives: Callable[..., Number], domain: tuple[Interval, ...] = ()) -> Rule:
    """A primitive whose value comes from SciPy."""

    def value(*numbers: float) -> float:
        return float(_scipy(name)(*numbers))

    intervals = domain or (REAL,) * len(derivatives)
    return Rule(name, name, value, derivatives, len(derivatives), intervals, module=__name__)


def _lambertw(z: float) -> float:
    found = complex(_scipy("lambertw")(z))
    return found.real if found.imag == 0.0 else nan


def _psi(a: Number, b: Number) -> Number:
    return rules.digamma(a) - rules.digamma(a + b)


def _gamma_density(a: Number, x: Number) -> Number:
    return exp(xlogy(a - 1.0, x) - x - rules.lgamma(a))


def _beta_density(a: Number, b: Number, x: Number) -> Number:
    return exp(xlogy(a - 1.0, x) + xlog1py(b - 1.0, -x) - betaln(a, b))


def _far_out(x: Number, near: Number, sign: float) -> Number:
    """What `near` is, where its terms do not cancel; far out the asymptotic series ½ x⁻² (1 ± 3/2 x⁻² (1 ± 5/2 x⁻² …)).

    Sources: DLMF 7.12.1 for `erfcx`, and 7.5.1 with it for Dawson's integral.
    """
    inverse = rules.div(1.0, x * x)
    series: Number = 1.0
    for k in range(8, 0, -1):
        series = 1.0 + sign * (k + 0.5) * inverse * series
    return rules.where(x * x > FAR * FAR, 0.5 * inverse * series, near)


# ruff: noqa: E501 (one row is one line)
# fmt: off
# ---- rows: DLMF 7.10, 8.8, 5.5, 8.17 ---------------------------------------------------------------------------------
erfinv    = _row("erfinv",   lambda x, y: 0.5 * SQRT_PI * exp(y * y),                   domain=(UNIT,))
erfcinv   = _row("erfcinv",  lambda x, y: -0.5 * SQRT_PI * exp(y * y),                  domain=((0.0, 2.0),))
erfcx     = _row("erfcx",    lambda x, y: rules.where(x > 0.0, -2.0 / SQRT_PI * _far_out(x, 1.0 - SQRT_PI * (x * y), -1.0), 2.0 * (x * y) - 2.0 / SQRT_PI))
dawsn     = _row("dawsn",    lambda x, y: -_far_out(x, 2.0 * (x * y) - 1.0, 1.0))
log_ndtr  = _row("log_ndtr", lambda x, y: exp(-0.5 * (x * x) - y) / SQRT_2PI)
ndtri     = _row("ndtri",    lambda x, y: SQRT_2PI * exp(0.5 * (y * y)),                domain=((0.0, 1.0),))
exp1      = _row("exp1",     lambda x, y: -exp(-x) / x,                                 domain=(POSITIVE,))
expi      = _row("expi",     lambda x, y: exp(x) / x,                                   domain=(POSITIVE,))
rgamma    = _row("rgamma",   lambda x, y: -y * rules.digamma(x),                        domain=(POSITIVE,))
beta      = _row("beta",     lambda a, b, y: y * _psi(a, b), lambda a, b, y: y * _psi(b, a), domain=(POSITIVE, POSITIVE))
betaln    = _row("betaln",   lambda a, b, y: _psi(a, b),     lambda a, b, y: _psi(b, a),     domain=(POSITIVE, POSITIVE))
gammainc  = _row("gammainc",  _no_derivative, lambda a, x, y: _gamma_density(a, x),          domain=(NONE, POSITIVE))
gammaincc = _row("gammaincc", _no_derivative, lambda a, x, y: -_gamma_density(a, x),         domain=(NONE, POSITIVE))
betainc   = _row("betainc", _no_derivative, _no_derivative, lambda a, b, x, y: _beta_density(a, b, x), domain=(NONE, NONE, (0.0, 1.0)))

# lambertw: DLMF 4.13
lambertw = Rule("lambertw", "W", _lambertw, (lambda x, y: exp(-y) / (1.0 + y),), 1, ((-1.0 / math.e, inf),), module=__name__)

# ---- Bessel functions: DLMF 10.6, 10.29 ------------------------------------------------------------------------------
jv: Rule = _row("jv", _no_derivative, lambda n, x, y: 0.5 * (jv(n - 1.0, x) - jv(n + 1.0, x)), domain=(NONE, POSITIVE))
yv: Rule = _row("yv", _no_derivative, lambda n, x, y: 0.5 * (yv(n - 1.0, x) - yv(n + 1.0, x)), domain=(NONE, POSITIVE))
iv: Rule = _row("iv", _no_derivative, lambda n, x, y: 0.5 * (iv(n - 1.0, x) + iv(n + 1.0, x)), domain=(NONE, POSITIVE))
kv: Rule = _row("kv", _no_derivative, lambda n, x, y: -0.5 * (kv(n - 1.0, x) + kv(n + 1.0, x)), domain=(NONE, POSITIVE))
j0: Rule = _row("j0", lambda x, y: -j1(x))
j1: Rule = _row("j1", lambda x, y: 0.5 * (j0(x) - jv(2.0, x)))
y0: Rule = _row("y0", lambda x, y: -y1(x),                      domain=(POSITIVE,))
y1: Rule = _row("y1", lambda x, y: 0.5 * (y0(x) - yv(2.0, x)),  domain=(POSITIVE,))
i0: Rule = _row("i0", lambda x, y: i1(x))
i1: Rule = _row("i1", lambda x, y: 0.5 * (i0(x) + iv(2.0, x)))
k0: Rule = _row("k0", lambda x, y: -k1(x),                      domain=(POSITIVE,))
k1: Rule = _row("k1", lambda x, y: -0.5 * (k0(x) + kv(2.0, x)), domain=(POSITIVE,))
# fmt: on

# ---- formulas of primitives -----------------------------------------------------------------------------------------

erf, erfc, gamma = rules.erf, rules.erfc, rules.gamma
expit, gammaln, digamma = rules.sigmoid, rules.lgamma, rules.digamma
psi = digamma


def ndtr(x: Number) -> Number:
    """The cumulative distribution of the standard normal."""
    return 0.5 * erfc(-SQRT_HALF * x)


def logit(x: Number) -> Number:
    """The inverse of `expit`."""
    return log(x) - rules.log1p(-x)


def log_expit(x: Number) -> Number:
    """log expit(x), without underflow."""
    return -rules.softplus(-x)


def exp10(x: Number) -> Number:
    """10 to the power of x."""
    return rules.pow(10.0, x)


def _product_with_zero(x: Number, logarithm: Number) -> Number:
    return rules.where(x == 0.0, 0.0, x * logarithm)


def xlogy(x: Number, y: Number) -> Number:
    """x log(y), which is 0 where x is 0."""
    return _product_with_zero(x, log(y))


def xlog1py(x: Number, y: Number) -> Number:
    """x log(1 + y), which is 0 where x is 0."""
    return _product_with_zero(x, rules.log1p(y))


def entr(x: Number) -> Number:
    """-x log(x), which is 0 where x is 0."""
    return -xlogy(x, x)


def rel_entr(x: Number, y: Number) -> Number:
    """x log(x / y), which is 0 where x is 0."""
    return xlogy(x, rules.div(x, y))


def kl_div(x: Number, y: Number) -> Number:
    """x log(x / y) - x + y."""
    return rel_entr(x, y) - x + y


class Normal:
    """The normal distribution with the functions of `scipy.stats.norm`, for floats and Values."""

    def pdf(self, x: Number, loc: Number = 0.0, scale: Number = 1.0) -> Number:
        """The density."""
        z = rules.div(x - loc, scale)
        return rules.div(exp(-0.5 * (z * z)), SQRT_2PI * scale)

    def logpdf(self, x: Number, loc: Number = 0.0, scale: Number = 1.0) -> Number:
        """The logarithm of the density."""
        z = rules.div(x - loc, scale)
        return -0.5 * (z * z) - log(SQRT_2PI * scale)

    def cdf(self, x: Number, loc: Number = 0.0, scale: Number = 1.0) -> Number:
        """The probability of being at most x."""
        return ndtr(rules.div(x - loc, scale))

    def logcdf(self, x: Number, loc: Number = 0.0, scale: Number = 1.0) -> Number:
        """The logarithm of `cdf`, without underflow."""
        return log_ndtr(rules.div(x - loc, scale))

    def sf(self, x: Number, loc: Number = 0.0, scale: Number = 1.0) -> Number:
        """The probability of being larger than x."""
        return ndtr(rules.div(loc - x, scale))

    def logsf(self, x: Number, loc: Number = 0.0, scale: Number = 1.0) -> Number:
        """The logarithm of `sf`, without underflow."""
        return log_ndtr(rules.div(loc - x, scale))

    def ppf(self, q: Number, loc: Number = 0.0, scale: Number = 1.0) -> Number:
        """The inverse of `cdf`."""
        return loc + scale * ndtri(q)

    def isf(self, q: Number, loc: Number = 0.0, scale: Number = 1.0) -> Number:
        """The inverse of `sf`."""
        return loc - scale * ndtri(q)


norm = Normal()

# ufuncs of SciPy by name; `lambertw` is a function around a ufunc that has also a branch and a tolerance
UFUNCS: dict[str, Callable[..., Number]] = {
    name: function for name, function in globals().items() if name in __all__ and name not in ("lambertw", "norm")
}


def _principal(z: Number, branch: Number = 0, tolerance: float = 1e-8) -> Number:
    if branch != 0:
        raise TypeError(f"lambertw of a Value has the branch 0 only, not {branch!r}")
    return lambertw(z)


UFUNCS["_lambertw"] = _principal
