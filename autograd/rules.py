"""THE table: every primitive the engine knows, its value and its local derivatives.

A row is one primitive. Its derivatives are written with the operands *and* the output `y`, in arithmetic that
floats, Values and the compiler's symbols all understand, so that one line serves the eager engine, higher
derivatives and the compiler alike. The value of a composite row (`sigmoid`) is a formula in the same arithmetic, from
which the float function, the C code and the machine code are made. Everything else is derived from the rows: methods,
pictures, code, tests.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import accumulate
from math import inf, nan, pi
from types import FunctionType
from typing import Any, TypeAlias

from autograd import ieee

MANY_OPERANDS = 8  # with fewer, their types are looked at one by one
Number: TypeAlias = Any  # a float, a Value, a symbol of the compiler: anything that does arithmetic
Interval: TypeAlias = tuple[float, float]
Corner: TypeAlias = tuple[float, tuple[float | None, ...]]


@dataclass(frozen=True, eq=False, slots=True)
class Rule:
    """One primitive: a row of the table, callable on floats, Values and symbols.

    Attributes
    ----------
    name : str
        Unique name; also the method on `Value` and the function in `autograd.math`.
    symbol : str
        What pictures and formulas print; an operator sign, or the name.
    value : callable
        The value on floats. An n-ary row (`arity` None) takes one sequence of floats, others one float each.
    derivatives : tuple of callables
        One local derivative per operand, called as ``derivative(*operands, output)``. An n-ary row has a single
        entry, called as ``derivative(operands, output)``, that returns the list of all local derivatives.
        A derivative of None means that the operand was not selected: no message is sent to it.
    arity : int or None
        Number of operands; None for any number.
    domain : tuple of (low, high)
        For each operand the open interval in which the value is real, finite and, except at kinks, differentiable. It
        is empty, (0, 0), for an operand without a derivative, such as the order of `polygamma`.
    kink : callable or None
        Zero exactly where the primitive is not differentiable inside its domain; operands as for `value`.
    corners : mapping
        Operands → (value, local derivatives): the convention at every kink and boundary point.
    module : str
        The module that has the row under its name; a pickle imports it from there.
    formula : callable or None
        The value of a composite row in terms of simpler rows, on any kind of number; called as `value` is. None for
        all other rows.

    Examples
    --------
    >>> from autograd import rules
    >>> rules.tanh(0.0), rules.log(0.0)
    (0.0, -inf)
    >>> rules.hypot.local_derivatives((3.0, 4.0), 5.0)
    (0.6, 0.8)
    >>> rules.sigmoid.formula(0.0) == rules.sigmoid(0.0)
    True
    """

    name: str
    symbol: str
    value: Callable[..., float]
    derivatives: tuple[Callable[..., Number], ...]
    arity: int | None
    domain: tuple[Interval, ...]
    kink: Callable[..., float] | None = None
    corners: Mapping[tuple[float, ...], Corner] = field(default_factory=dict)
    module: str = __name__
    formula: Callable[..., Number] | None = None

    def __call__(self, *operands: Number) -> Number:
        """Apply the primitive: numbers give a float; the class of any other operand decides, by its `apply_rule`."""
        handler: Any = None
        floats = True
        for kind in map(type, operands) if len(operands) < MANY_OPERANDS else dict.fromkeys(map(type, operands)):
            if kind is float:
                continue
            floats = False
            if hasattr(kind, "apply_rule") and (handler is None or issubclass(kind, handler)):
                handler = kind
        if handler is not None:
            return handler.apply_rule(self, operands)
        return self.evaluate(operands if floats else tuple(map(ieee.to_float, operands)))

    def evaluate(self, numbers: Sequence[float]) -> float:
        """The value on floats, whatever the arity."""
        return self.value(numbers) if self.arity is None else self.value(*numbers)

    def expand(self, operands: Sequence[Number]) -> Number:
        """The formula of a composite row on any kind of number, whatever the arity."""
        formula: Any = self.formula
        return formula(operands) if self.arity is None else formula(*operands)

    def local_derivatives(
        self, operands: Sequence[Number], output: Number, wanted: Sequence[bool] | None = None
    ) -> tuple[Number, ...]:
        """∂output/∂operand for every operand, on any kind of number; None for those that are not `wanted`."""
        if self.arity is None:
            every = self.derivatives[0](operands, output)
            return tuple([d if want else None for d, want in zip(every, wanted)] if wanted else every)
        return tuple(
            [
                derivative(*operands, output) if wanted is None or wanted[slot] else None
                for slot, derivative in enumerate(self.derivatives)
            ]
        )

    def __repr__(self) -> str:
        return self.name

    def __copy__(self) -> Rule:
        return self

    def __deepcopy__(self, memo: object) -> Rule:
        return self

    def __reduce__(self) -> tuple[Callable[[str, str], Rule], tuple[str, str]]:
        return _import_rule, (self.module, self.name)


def _import_rule(module: str, name: str) -> Rule:
    __import__(module)
    rule = getattr(sys.modules[module], name, None)
    if not isinstance(rule, Rule):
        raise LookupError(f"the primitive {name!r} is not defined in {module!r}: import it before unpickling")
    return rule


TABLE: dict[str, Rule] = {}  # name → row, in the order below
REAL: Interval = (-inf, inf)
POSITIVE: Interval = (0.0, inf)
UNIT: Interval = (-1.0, 1.0)


def _row(
    name: str,
    symbol: str,
    value: Callable[..., float],
    *derivatives: Callable[..., Number],
    domain: tuple[Interval, ...] = (),
    kink: Callable[..., float] | None = None,
    corners: Mapping[tuple[float, ...], Corner] | None = None,
    nary: bool = False,
    formula: Callable[..., Number] | None = None,
) -> Rule:
    arity = None if nary else len(derivatives)
    intervals = domain or (REAL,) * (arity or 1)
    TABLE[name] = Rule(name, symbol, value, derivatives, arity, intervals, kink, corners or {}, formula=formula)
    return TABLE[name]


def _composite(
    name: str,
    symbol: str,
    formula: Callable[..., Number],
    *derivatives: Callable[..., Number],
    fast: Callable[..., float] | None = None,
    **rest: Any,
) -> Rule:
    """A row whose value is a formula. Where that is slow on floats, `fast` gives the same bits sooner."""
    return _row(name, symbol, fast or _on_floats(formula), *derivatives, formula=formula, **rest)


_FLOATS: dict[str, Any] = {"__name__": __name__}  # what formulas on floats see; filled at the end of the file


def _on_floats(formula: Any) -> Callable[..., float]:
    """The same code with float functions in place of the rows, which would first look at the type of each operand."""
    return FunctionType(formula.__code__, _FLOATS, formula.__name__, formula.__defaults__, formula.__closure__)


def select(condition: Any, if_true: Number, if_false: Number) -> Number:
    """One of two, by a comparison of numbers or of the compiler's symbols."""
    if hasattr(condition, "select"):
        return condition.select(if_true, if_false)
    return if_true if condition else if_false


# ---- formulas over many operands: on a list they are Python's own loops; on an array of the compiler, which has these
# methods (`autograd.ir.elements`), they become loops of the program ----


def _each(function: Callable[..., Number], *sequences: Sequence[Number]) -> Sequence[Number]:
    """The results of a function for each operand, or for operands side by side."""
    first: Any = sequences[0]
    return first.each(function, *sequences[1:]) if hasattr(first, "each") else list(map(function, *sequences))


def _same(number: float, xs: Sequence[Number]) -> Sequence[Number]:
    """The same number for each operand."""
    return _each(lambda x: number, xs) if hasattr(xs, "each") else [number] * len(xs)


def _of(rule: Callable[..., Number], xs: Sequence[Number]) -> Number:
    """A primitive of many operands."""
    return xs.of(rule) if hasattr(xs, "of") else rule(*xs)


def _fold(step: Callable[[Number, Number], Number], start: Number, xs: Sequence[Number]) -> Number:
    """What a step makes of the start and the operands, one after another."""
    return xs.fold(step, start) if hasattr(xs, "fold") else reduce(step, xs, start)


def _grouped(step: Callable[[Number, Number], Number], xs: Sequence[Number]) -> Number:
    """What a step makes of the operands in order; groups of them may go first, because that gives the same number."""
    return xs.grouped(step) if hasattr(xs, "grouped") else reduce(step, xs)


def _before(step: Callable[[Number, Number], Number], start: Number, xs: Sequence[Number]) -> Sequence[Number]:
    """For each operand what a step made of the start and the operands before it."""
    if hasattr(xs, "before"):
        found: Sequence[Number] = xs.before(step, start)
        return found
    return list(accumulate(xs[:-1], step, initial=start))


def _swapped(xs: Sequence[Number]) -> Sequence[Number]:
    """The second half, then the first."""
    half = len(xs) // 2
    return xs.swapped() if hasattr(xs, "swapped") else [*xs[half:], *xs[:half]]


LN2, LN10 = math.log(2.0), math.log(10.0)
LOG2_E, LOG10_E = 1.0 / LN2, 1.0 / LN10
TWO_OVER_SQRT_PI, SQRT_HALF, NORMAL = 2.0 / math.sqrt(pi), math.sqrt(0.5), 1.0 / math.sqrt(2.0 * pi)


def _square(x: Number) -> Number:
    return x * x


def _cosine(a: Number, b: Number, y: Number) -> Number:
    """a / y for y = hypot(a, b); from the slope b / a where it is nearly 1, so that its derivatives keep their digits."""
    flat = abs(a) > abs(b)
    slope = div(select(flat, b, 0.0), select(flat, a, 1.0))
    return select(y == 0.0, 0.0, select(flat, div(copysign(1.0, a), hypot(1.0, slope)), div(a, y)))


def _square_of_sech(x: Number) -> Number:
    """1 / cosh² x, by way of exp(-2|x|): 1 - tanh² x may have no digits left, and cosh x may overflow."""
    e = exp(-2.0 * abs(x))
    return div(4.0 * e, _square(1.0 + e))


def _bell(square: Number) -> Number:
    """exp(-square). Where it underflows it is the constant 0, so its derivatives are 0 and not 0 times infinity."""
    return select(square < 800.0, exp(-square), 0.0)


def _shares(xs: Sequence[Number]) -> Sequence[Number]:
    """Each x over the sum of all: an error of logsumexp changes all exp(x - logsumexp) by one factor, which cancels."""
    total = _of(sum, xs)
    return _each(lambda x: div(x, total), xs)


def _shared(xs: Sequence[Number], below: Callable[[Number], Any]) -> Sequence[Number]:
    """A tie is shared equally; an operand `below` the winner was not selected and gets no message."""
    tied = _of(sum, _each(lambda x: select(below(x), 0.0, 1.0), xs))
    return _each(lambda x: select(below(x), None, div(1.0, tied)), xs)


def _products_of_others(xs: Sequence[Number]) -> Sequence[Number]:
    """∏ x_j over j ≠ i for every i, from products of prefixes and suffixes (no division by a zero)."""
    before = _before(lambda product, x: product * x, 1.0, xs)
    after = _before(lambda product, x: product * x, 1.0, xs[::-1])[::-1]
    return _each(lambda b, a: b * a, before, after)


# ---- formulas that take more than a line: `select` stands for `if`, and both of its sides are computed ----


def _sigmoid(x: Number) -> Number:
    """1 / (1 + exp(-x)), from the side where exp does not overflow."""
    e = exp(-abs(x))
    return select(x >= 0.0, 1.0, e) / (1.0 + e)


def _softplus(x: Number) -> Number:
    """log(1 + exp(x)), where exp does not overflow and log loses no digits."""
    return select(x < 0.0, 0.0, x) + log1p(exp(-abs(x)))


def _logaddexp(a: Number, b: Number) -> Number:
    """log(exp(a) + exp(b)), with the larger one taken out; where a == b there may be no difference: inf - inf is nan."""
    return select(a == b, a + LN2, select(b > a, b, a) + log1p(exp(-abs(a - b))))


def _logsumexp(xs: Sequence[Number]) -> Number:
    """The largest is taken out, and the rest goes through log1p: it is left out, as (1 + 1e-20) - 1 would be 0."""
    largest = _of(max, xs)
    rest = _of(sum, _each(lambda x: select(x == largest, 0.0, exp(x - largest)), xs))
    ties = _of(sum, _each(lambda x: select(x == largest, 1.0, 0.0), xs))
    return select(abs(largest) < inf, largest + log1p(rest + (ties - 1.0)), largest)


def _first_best(xs: Sequence[Number], better: Callable[[Number, Number], Any]) -> Number:
    """The first of the best; nan if any is nan."""
    return _grouped(lambda best, x: select(better(x, best) | (x != x), x, best), xs)


def _floordiv(a: Number, b: Number) -> Number:
    """As Python: a less its remainder, over b; 1 less where the remainder and b have different signs."""
    rest = fmod(a, b)
    quotient = div(a - rest, b)
    quotient = select(select(b < 0.0, -rest, rest) < 0.0, quotient - 1.0, quotient)
    whole = floor(quotient)
    whole = select(quotient - whole > 0.5, whole + 1.0, whole)
    return select(b == 0.0, div(a, b), select(quotient == 0.0, copysign(0.0, div(a, b)), whole))


def _mod(a: Number, b: Number) -> Number:
    """As Python: the remainder with the sign of b."""
    rest = fmod(a, b)
    moved = select(select(b < 0.0, -rest, rest) < 0.0, rest + b, rest)
    return select(b == 0.0, nan, select(rest == 0.0, copysign(0.0, b), moved))


# Rows that others use before they are defined, for the type checker.
div: Rule
sum: Rule
max: Rule
pow: Rule
log: Rule
cos: Rule
cosh: Rule
digamma: Rule
polygamma: Rule
copysign: Rule
floordiv: Rule
hypot: Rule
sigmoid: Rule

# fmt: off
# (a table is read in columns)
# ruff: noqa: A001, E501 (rows have the names of the builtins they stand for; one row is one line)

# ---- arithmetic ------------ value ------------------ ∂y/∂a ----------------------- ∂y/∂b ----------------------------
add  = _row("add",  "+",  operator.add,   lambda a, b, y: 1.0,           lambda a, b, y: 1.0)
sub  = _row("sub",  "−",  operator.sub,   lambda a, b, y: 1.0,           lambda a, b, y: -1.0)
mul  = _row("mul",  "×",  operator.mul,   lambda a, b, y: b,             lambda a, b, y: a)
div  = _row("div",  "/",  ieee.divide,    lambda a, b, y: div(1.0, b),   lambda a, b, y: div(-y, b), domain=(REAL, POSITIVE),
            corners={(1.0, 0.0): (inf, (inf, -inf)), (0.0, 0.0): (nan, (inf, nan))})
neg  = _row("neg",  "−",  operator.neg,   lambda x, y: -1.0)
pos  = _composite("pos", "+", lambda x: x, lambda x, y: 1.0)
pow  = _row("pow",  "^",  ieee.power,     lambda a, b, y: select(b == 0.0, select(a == 0.0, 0.0, div(b * y, a)), b * pow(a, b - 1.0)),
                                          lambda a, b, y: select(a == 0.0, select(b < 0.0, -inf, 0.0), y * log(a)),
            domain=(POSITIVE, REAL),
            corners={(0.0, 0.0): (1.0, (0.0, 0.0)), (0.0, 1.0): (0.0, (1.0, 0.0)), (0.0, 2.0): (0.0, (0.0, 0.0)),
                     (0.0, 0.5): (0.0, (inf, 0.0)), (0.0, -1.0): (inf, (-inf, -inf)), (-2.0, 0.0): (1.0, (0.0, nan)),
                     (-2.0, 3.0): (-8.0, (12.0, nan)), (-8.0, 1 / 3): (nan, (nan, nan))})
fma  = _row("fma",  "fma", ieee.fma,      lambda a, b, c, y: b,          lambda a, b, c, y: a,       lambda a, b, c, y: 1.0)

# ---- roots, exponentials, logarithms ---------------------------------------------------------------------------------
sqrt  = _row("sqrt",  "√",     ieee.sqrt,   lambda x, y: div(0.5, y),           domain=(POSITIVE,), corners={(0.0,): (0.0, (inf,)), (-1.0,): (nan, (nan,))})
cbrt  = _row("cbrt",  "∛",     math.cbrt,   lambda x, y: div(1.0, 3.0 * y * y), domain=(REAL,), kink=lambda x: x, corners={(0.0,): (0.0, (inf,))})
exp   = _row("exp",   "exp",   ieee.exp,    lambda x, y: y)
exp2  = _row("exp2",  "exp2",  ieee.exp2,   lambda x, y: y * LN2)
expm1 = _row("expm1", "expm1", ieee.expm1,  lambda x, y: exp(x))
log   = _row("log",   "log",   ieee.log,    lambda x, y: div(1.0, x),           domain=(POSITIVE,), corners={(0.0,): (-inf, (inf,)), (-1.0,): (nan, (-1.0,))})
log2  = _row("log2",  "log2",  ieee.log2,   lambda x, y: div(LOG2_E, x),        domain=(POSITIVE,), corners={(0.0,): (-inf, (inf,))})
log10 = _row("log10", "log10", ieee.log10,  lambda x, y: div(LOG10_E, x),       domain=(POSITIVE,), corners={(0.0,): (-inf, (inf,))})
log1p = _row("log1p", "log1p", ieee.log1p,  lambda x, y: div(1.0, 1.0 + x),     domain=((-1.0, inf),), corners={(-1.0,): (-inf, (inf,))})
hypot = _row("hypot", "hypot", math.hypot,  lambda a, b, y: _cosine(a, b, y), lambda a, b, y: _cosine(b, a, y),
             kink=math.hypot, corners={(0.0, 0.0): (0.0, (0.0, 0.0))})

# ---- trigonometry and its inverses, circular and hyperbolic ----------------------------------------------------------
sin   = _row("sin",   "sin",   ieee.sin,    lambda x, y: cos(x))
cos   = _row("cos",   "cos",   ieee.cos,    lambda x, y: -sin(x))
tan   = _row("tan",   "tan",   ieee.tan,    lambda x, y: 1.0 + y * y)
asin  = _row("asin",  "asin",  ieee.asin,   lambda x, y: div(1.0, sqrt(fma(-x, x, 1.0))),  domain=(UNIT,), corners={(1.0,): (pi / 2, (inf,))})
acos  = _row("acos",  "acos",  ieee.acos,   lambda x, y: div(-1.0, sqrt(fma(-x, x, 1.0))), domain=(UNIT,), corners={(1.0,): (0.0, (-inf,))})
atan  = _row("atan",  "atan",  math.atan,   lambda x, y: _square(div(1.0, hypot(1.0, x))))
atan2 = _row("atan2", "atan2", math.atan2,  lambda a, b, y: div(div(b, hypot(a, b)), hypot(a, b)), lambda a, b, y: div(div(-a, hypot(a, b)), hypot(a, b)),
             kink=lambda a, b: a if b <= 0.0 else 1.0, corners={(0.0, 0.0): (0.0, (nan, nan))})
sinh  = _row("sinh",  "sinh",  ieee.sinh,   lambda x, y: cosh(x))
cosh  = _row("cosh",  "cosh",  ieee.cosh,   lambda x, y: sinh(x))
tanh  = _row("tanh",  "tanh",  math.tanh,   lambda x, y: select(y * y < 0.25, 1.0 - y * y, _square_of_sech(x)))
asinh = _row("asinh", "asinh", math.asinh,  lambda x, y: div(1.0, hypot(1.0, x)))
acosh = _row("acosh", "acosh", ieee.acosh,  lambda x, y: div(1.0, sqrt(x - 1.0) * sqrt(x + 1.0)), domain=((1.0, inf),), corners={(1.0,): (0.0, (inf,))})
atanh = _row("atanh", "atanh", ieee.atanh,  lambda x, y: div(1.0, fma(-x, x, 1.0)), domain=(UNIT,), corners={(1.0,): (inf, (inf,)), (-1.0,): (-inf, (inf,))})

# ---- special functions -----------------------------------------------------------------------------------------------
erf       = _row("erf",       "erf",  math.erf,       lambda x, y: TWO_OVER_SQRT_PI * _bell(x * x))
erfc      = _row("erfc",      "erfc", math.erfc,      lambda x, y: -TWO_OVER_SQRT_PI * _bell(x * x))
gamma     = _row("gamma",     "Γ",    ieee.gamma,     lambda x, y: y * digamma(x),  domain=(POSITIVE,), corners={(-1.0,): (nan, (nan,))})
lgamma    = _row("lgamma",    "logΓ", ieee.lgamma,    lambda x, y: digamma(x),      domain=(POSITIVE,), corners={(-1.0,): (inf, (nan,))})
digamma   = _row("digamma",   "ψ",    ieee.digamma,   lambda x, y: polygamma(1.0, x), domain=(POSITIVE,), corners={(0.0,): (nan, (inf,))})
polygamma = _row("polygamma", "ψₙ",   ieee.polygamma, lambda n, x, y: nan,          lambda n, x, y: polygamma(n + 1.0, x), domain=((0.0, 0.0), POSITIVE), corners={(1.0, 0.0): (inf, (nan, -inf))})

# ---- steps: piecewise constant, derivative 0 everywhere, jumps included ----------------------------------------------
floor     = _row("floor", "floor", ieee.floor, lambda x, y: 0.0, kink=lambda x: ieee.remainder(x, 1.0), corners={(2.0,): (2.0, (0.0,))})
ceil      = _row("ceil",  "ceil",  ieee.ceil,  lambda x, y: 0.0, kink=lambda x: ieee.remainder(x, 1.0), corners={(2.0,): (2.0, (0.0,))})
trunc     = _row("trunc", "trunc", ieee.trunc, lambda x, y: 0.0, kink=lambda x: ieee.remainder(x, 1.0), corners={(2.0,): (2.0, (0.0,))})
rint      = _row("rint",  "rint",  ieee.rint,  lambda x, y: 0.0, kink=lambda x: ieee.remainder(x + 0.5, 1.0), corners={(2.5,): (2.0, (0.0,))})
round     = _row("round", "round", ieee.round_digits, lambda x, n, y: 0.0, lambda x, n, y: 0.0, domain=(REAL, (0.0, 0.0)), kink=lambda x, n: ieee.remainder(x * 10.0**n + 0.5, 1.0), corners={(2.5, 0.0): (2.0, (0.0, 0.0))})
sign      = _composite("sign",  "sign",  lambda x: select(x < 0.0, -1.0, select(x > 0.0, 1.0, x)), lambda x, y: 0.0, kink=lambda x: x, corners={(0.0,): (0.0, (0.0,))})
floordiv  = _composite("floordiv", "//", _floordiv, lambda a, b, y: 0.0, lambda a, b, y: 0.0, fast=ieee.floor_divide, domain=(REAL, POSITIVE), kink=lambda a, b: ieee.remainder(a, b), corners={(6.0, 3.0): (2.0, (0.0, 0.0))})

# ---- remainders: y = a - q b with a whole number q, which is constant between jumps ----------------------------------
mod       = _composite("mod", "mod", _mod,               lambda a, b, y: 1.0, lambda a, b, y: -floordiv(a, b), fast=ieee.modulo, domain=(REAL, POSITIVE), kink=lambda a, b: ieee.remainder(a, b), corners={(6.0, 3.0): (0.0, (1.0, -2.0))})
fmod      = _row("fmod",      "fmod",      ieee.fmod,      lambda a, b, y: 1.0, lambda a, b, y: -copysign(floordiv(abs(a), abs(b)), a * b), domain=(REAL, POSITIVE), kink=lambda a, b: ieee.remainder(a, b), corners={(6.0, 3.0): (0.0, (1.0, -2.0))})
remainder = _row("remainder", "remainder", ieee.remainder, lambda a, b, y: 1.0, lambda a, b, y: -copysign(floordiv(abs(a), abs(b)) + select(copysign(1.0, y) * copysign(1.0, a) < 0.0, 1.0, 0.0), a * b), domain=(REAL, POSITIVE), kink=lambda a, b: ieee.remainder(a + 0.5 * b, b), corners={(6.0, 3.0): (0.0, (1.0, -2.0))})

# ---- choices and kinks: 0 at the kink, ties shared, no message to what was not selected ------------------------------
abs      = _row("abs",      "abs",      operator.abs,  lambda x, y: sign(x), kink=lambda x: x, corners={(0.0,): (0.0, (0.0,))})
copysign = _row("copysign", "copysign", ieee.copysign, lambda a, b, y: sign(a) * copysign(1.0, b), lambda a, b, y: 0.0, kink=lambda a, b: a * b, corners={(0.0, 1.0): (0.0, (0.0, 0.0))})
where    = _composite("where", "where", lambda c, a, b: select(c != 0.0, a, b), lambda c, a, b, y: None, lambda c, a, b, y: select(c != 0.0, 1.0, None), lambda c, a, b, y: select(c != 0.0, None, 1.0), kink=lambda c, a, b: c,
                corners={(0.0, 1.0, 2.0): (2.0, (None, None, 1.0)), (1.0, 1.0, 2.0): (1.0, (None, 1.0, None))})
clip     = _composite("clip", "clip", lambda x, a, b: select(x < a, a, select(x > b, b, x)), lambda x, a, b, y: select(x < a, None, select(x > b, None, 1.0)), lambda x, a, b, y: select(x < a, 1.0, None), lambda x, a, b, y: select(x < a, None, select(x > b, 1.0, None)),
                domain=(REAL, (-inf, 0.0), POSITIVE), kink=lambda x, a, b: (x - a) * (x - b), corners={(1.0, -1.0, 1.0): (1.0, (1.0, None, None))})
max      = _composite("max", "max", lambda xs: _first_best(xs, lambda x, best: x > best), lambda xs, y: _shared(xs, lambda x: x < y), fast=ieee.maximum, nary=True, kink=lambda xs: ieee.gap(xs, ieee.maximum(xs)), corners={(1.0, 1.0): (1.0, (0.5, 0.5)), (2.0, 1.0): (2.0, (1.0, None))})
min      = _composite("min", "min", lambda xs: _first_best(xs, lambda x, best: x < best), lambda xs, y: _shared(xs, lambda x: x > y), fast=ieee.minimum, nary=True, kink=lambda xs: ieee.gap(xs, ieee.minimum(xs)), corners={(1.0, 1.0): (1.0, (0.5, 0.5)), (2.0, 1.0): (1.0, (None, 1.0))})

# ---- activations -----------------------------------------------------------------------------------------------------
relu       = _composite("relu",       "relu",       lambda x: select(x <= 0.0, 0.0, x),                 lambda x, y: select(x > 0.0, 1.0, 0.0), kink=lambda x: x, corners={(0.0,): (0.0, (0.0,))})
leaky_relu = _composite("leaky_relu", "leaky_relu", lambda x, s: select(x > 0.0, x, s * x),             lambda x, s, y: select(x > 0.0, 1.0, s), lambda x, s, y: select(x > 0.0, 0.0, x), kink=lambda x, s: x, corners={(0.0, 0.1): (0.0, (0.1, 0.0))})
elu        = _composite("elu",        "elu",        lambda x, s: select(x > 0.0, x, s * expm1(x)),      lambda x, s, y: select(x > 0.0, 1.0, s * exp(x)), lambda x, s, y: select(x > 0.0, 0.0, expm1(x)), kink=lambda x, s: x, corners={(0.0, 2.0): (0.0, (2.0, 0.0))})
sigmoid    = _composite("sigmoid",    "σ",          _sigmoid,                                           lambda x, y: y * sigmoid(-x))  # 1 - y has no digits left at x = 37
silu       = _composite("silu",       "silu",       lambda x: select(x == -inf, -0.0, x * sigmoid(x)),  lambda x, y: sigmoid(x) * (1.0 + x * sigmoid(-x)))
gelu       = _composite("gelu",       "gelu",       lambda x: select(x == -inf, -0.0, 0.5 * x * erfc(-x * SQRT_HALF)), lambda x, y: 0.5 * erfc(-x * SQRT_HALF) + NORMAL * x * _bell(0.5 * x * x))
softplus   = _composite("softplus",   "softplus",   _softplus,                                          lambda x, y: sigmoid(x))
logaddexp  = _composite("logaddexp",  "logaddexp",  _logaddexp,                                         lambda a, b, y: sigmoid(a - b), lambda a, b, y: sigmoid(b - a))

# ---- many operands, one node: sums from left to right, uncompensated (unlike the builtin's from Python 3.12 on) ------
sum       = _composite("sum",       "Σ",         lambda xs: _fold(add, 0.0, xs),       lambda xs, y: _same(1.0, xs), nary=True)
fsum      = _row("fsum",            "Σ exact",   ieee.fsum,                            lambda xs, y: _same(1.0, xs), nary=True)
prod      = _composite("prod",      "∏",         lambda xs: _fold(mul, 1.0, xs),       lambda xs, y: _products_of_others(xs), nary=True)
mean      = _composite("mean",      "mean",      lambda xs: _of(sum, xs) / float(len(xs)), lambda xs, y: _same(1.0 / len(xs), xs), nary=True)
dot       = _composite("dot",       "·",         lambda xs: _fold(add, 0.0, _each(mul, xs[:len(xs) // 2], xs[len(xs) // 2:])), lambda xs, y: _swapped(xs), nary=True)
take      = _row("take",            "take",      ieee.take,                            lambda xs, y: [None, *[select(rint(xs[0]) == float(k), 1.0, None) for k in range(len(xs) - 1)]], nary=True,
                 domain=((0.0, 1.0),), kink=lambda xs: ieee.remainder(xs[0] + 0.5, 1.0), corners={(0.5, 3.0, 4.0): (3.0, (None, 1.0, None)), (1.5, 3.0, 4.0): (nan, (None, None, None))})
logsumexp = _composite("logsumexp", "logsumexp", _logsumexp,                           lambda xs, y: _shares(_each(lambda x: exp(x - y), xs)), fast=ieee.logsumexp, nary=True)
# fmt: on


def _one_by_one(value: Callable[..., float]) -> Callable[..., float]:
    """An n-ary row's float function, called as the row is."""
    return lambda *xs: value(xs)


# What the names in a formula mean where all numbers are floats.
_FLOATS.update(globals())
_FLOATS.update({n: _on_floats(thing) for n, thing in globals().items() if isinstance(thing, FunctionType)})
_FLOATS.update({n: _one_by_one(rule.value) if rule.arity is None else rule.value for n, rule in TABLE.items()})
_FLOATS["select"] = lambda condition, if_true, if_false: if_true if condition else if_false
