"""The standard `math` module for Values, floats and arrays, with all other primitives of the table.

A float gives a float, a Value gives a Value, an ndarray is handled element by element. Results follow IEEE 754
where the standard module raises: ``log(0.0)`` is -inf, ``exp(1000.0)`` is inf. `floor`, `ceil` and `trunc` return
floats. Functions without a meaning for a real variable are left out: `comb`, `factorial`, `gcd`, `isqrt`, `lcm`,
`perm`, `nextafter`, `ulp`.

Examples
--------
>>> import autograd.math as am
>>> from autograd import Value
>>> am.exp(0.0), am.log(0.0)
(1.0, -inf)
>>> x = Value(3.0)
>>> y = am.hypot(x, 4.0)
>>> y.backward()
>>> y.data, x.grad
(5.0, 0.6)
"""

from __future__ import annotations

import builtins
import math as _math
from collections.abc import Callable, Iterable
from math import e, inf, nan, pi, tau
from typing import Any, Protocol, overload

from autograd import rules as _rules
from autograd.arrays import UFUNCS as _UFUNCS
from autograd.arrays import by_rows as _by_rows
from autograd.arrays import elementwise as _elementwise
from autograd.help_text import HELP as _HELP
from autograd.ieee import refuse_masked as _refuse_masked
from autograd.ieee import refuse_tensor as _refuse_tensor
from autograd.modes import mode as _mode
from autograd.native import fast as _fast
from autograd.tree import flatten as _flatten
from autograd.tree import is_array as _is_array
from autograd.tree import leaves_like as _leaves_like
from autograd.value import Operand, Value

__all__ = [
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "clip", "copysign",
    "cos", "cosh", "degrees", "digamma", "dist", "dot", "e", "elu", "erf", "erfc", "exp", "exp2", "expm1",
    "fabs", "floor", "floordiv", "fma", "fmod", "frexp", "fsum", "gamma", "gelu", "hypot", "inf", "isclose",
    "isfinite", "isinf", "isnan", "ldexp", "leaky_relu", "lgamma", "log", "log10", "log1p", "log2", "log_softmax",
    "logaddexp", "logsumexp", "max", "mean", "min", "mod", "modf", "nan", "pi", "polygamma", "pow", "prod", "radians",
    "relu", "remainder", "rint", "round", "sigmoid", "sign", "silu", "sin", "sinh", "softmax", "softplus", "sqrt",
    "sum", "sumprod", "take", "tan", "tanh", "tau", "trunc", "where",
]  # fmt: skip  # a list of words


class _Unary(Protocol):
    @overload
    def __call__(self, x: float, /) -> float: ...
    @overload
    def __call__(self, x: Value, /) -> Value: ...
    @overload
    def __call__(self, x: Any, /) -> Any: ...


class _Nary(Protocol):
    @overload
    def __call__(self, *x: float) -> float: ...  # type: ignore[overload-overlap]  # no float is a Value
    @overload
    def __call__(self, *x: Operand) -> Value: ...
    @overload
    def __call__(self, *x: Any) -> Any: ...


def _apply(rule: Callable[..., Any], *operands: Any) -> Any:
    if not any(hasattr(operand, "ndim") for operand in operands):
        return rule(*operands)
    for operand in operands:
        _refuse_tensor(operand)
    if any(getattr(operand, "ndim", 0) for operand in operands):
        return _elementwise(rule, operands)
    return rule(*[operand.item() if hasattr(operand, "ndim") else operand for operand in operands])


def _function(rule: _rules.Rule) -> Any:
    def function(*operands: Any) -> Any:
        if len(operands) != rule.arity:
            raise TypeError(f"{rule.name} takes {rule.arity} operand{'s' * (rule.arity != 1)}, not {len(operands)}")
        return _apply(rule, *operands)

    function.__name__ = function.__qualname__ = rule.name
    function.__doc__ = _HELP[rule.name]
    return _fast(function, rule.name)


acos: _Unary = _function(_rules.acos)
acosh: _Unary = _function(_rules.acosh)
asin: _Unary = _function(_rules.asin)
asinh: _Unary = _function(_rules.asinh)
atan: _Unary = _function(_rules.atan)
atanh: _Unary = _function(_rules.atanh)
cbrt: _Unary = _function(_rules.cbrt)
ceil: _Unary = _function(_rules.ceil)
cos: _Unary = _function(_rules.cos)
cosh: _Unary = _function(_rules.cosh)
digamma: _Unary = _function(_rules.digamma)
erf: _Unary = _function(_rules.erf)
erfc: _Unary = _function(_rules.erfc)
exp: _Unary = _function(_rules.exp)
exp2: _Unary = _function(_rules.exp2)
expm1: _Unary = _function(_rules.expm1)
abs: _Unary = _function(_rules.abs)
fabs: _Unary = abs
floor: _Unary = _function(_rules.floor)
gamma: _Unary = _function(_rules.gamma)
gelu: _Unary = _function(_rules.gelu)
lgamma: _Unary = _function(_rules.lgamma)
log10: _Unary = _function(_rules.log10)
log1p: _Unary = _function(_rules.log1p)
log2: _Unary = _function(_rules.log2)
relu: _Unary = _function(_rules.relu)
rint: _Unary = _function(_rules.rint)
sigmoid: _Unary = _function(_rules.sigmoid)
sign: _Unary = _function(_rules.sign)
silu: _Unary = _function(_rules.silu)
sin: _Unary = _function(_rules.sin)
sinh: _Unary = _function(_rules.sinh)
softplus: _Unary = _function(_rules.softplus)
sqrt: _Unary = _function(_rules.sqrt)
tan: _Unary = _function(_rules.tan)
tanh: _Unary = _function(_rules.tanh)
trunc: _Unary = _function(_rules.trunc)

atan2: _Nary = _function(_rules.atan2)
clip: _Nary = _function(_rules.clip)
copysign: _Nary = _function(_rules.copysign)
floordiv: _Nary = _function(_rules.floordiv)
fma: _Nary = _function(_rules.fma)
fmod: _Nary = _function(_rules.fmod)
logaddexp: _Nary = _function(_rules.logaddexp)
mod: _Nary = _function(_rules.mod)
polygamma: _Nary = _function(_rules.polygamma)
pow: _Nary = _function(_rules.pow)
remainder: _Nary = _function(_rules.remainder)
where: _Nary = _function(_rules.where)


@_fast
def log(x: Any, base: Any = None) -> Any:
    """The natural logarithm, or the logarithm to a base.

        ∂y/∂x = 1/x, and 1/(x·log(base)) with a base
        domain: x > 0
        at x = 0: y = −∞, derivative ∞

    Examples
    --------
    >>> import autograd.math as am
    >>> am.log(8.0, 2.0)
    3.0
    """
    natural = _apply(_rules.log, x)
    return natural if base is None else _apply(_rules.div, natural, _apply(_rules.log, base))


@_fast
def leaky_relu(x: Any, slope: Any = 0.01) -> Any:
    """x if it is positive, else slope * x.

        ∂y/∂x = 1 where x > 0, else slope (also at the kink, x = 0)
        ∂y/∂slope = 0 where x > 0, else x
        domain: all numbers

    Examples
    --------
    >>> import autograd.math as am
    >>> from autograd import grad
    >>> am.leaky_relu(-2.0), grad(am.leaky_relu)(-2.0)
    (-0.02, 0.01)
    """
    return _apply(_rules.leaky_relu, x, slope)


@_fast
def elu(x: Any, alpha: Any = 1.0) -> Any:
    """x if it is positive, else alpha * (exp(x) - 1): the exponential linear unit.

        ∂y/∂x = 1 where x > 0, else alpha·exp(x) (also at x = 0)
        ∂y/∂alpha = 0 where x > 0, else exp(x) − 1
        domain: all numbers

    Examples
    --------
    >>> import autograd.math as am
    >>> from autograd import grad
    >>> round(am.elu(-1.0), 6), round(grad(am.elu)(-1.0), 6)
    (-0.632121, 0.367879)
    """
    return _apply(_rules.elu, x, alpha)


def round(x: Any, digits: int | None = None) -> Any:
    """The nearest whole number (the even one of two), or the nearest number with that many decimal digits.

        ∂y/∂x = 0, also where it jumps
        domain: all numbers

    Examples
    --------
    >>> import autograd.math as am
    >>> am.round(2.5), am.round(2.345, 1)
    (2.0, 2.3)
    """
    return _apply(_rules.rint, x) if digits is None else _apply(_rules.round, x, float(digits))


def degrees(x: Any) -> Any:
    """Radians to degrees: x · 180/π.

        ∂y/∂x = 180/π
        domain: all numbers

    Examples
    --------
    >>> import autograd.math as am
    >>> am.degrees(am.pi)
    180.0
    """
    return _apply(_rules.mul, x, 180.0 / pi)


def radians(x: Any) -> Any:
    """Degrees to radians: x · π/180.

        ∂y/∂x = π/180
        domain: all numbers

    Examples
    --------
    >>> import autograd.math as am
    >>> am.radians(180.0) == am.pi
    True
    """
    return _apply(_rules.mul, x, pi / 180.0)


def ldexp(x: Any, exponent: int) -> Any:
    """x * 2**exponent.

        ∂y/∂x = 2**exponent
        domain: all numbers; the exponent is an int

    Examples
    --------
    >>> import autograd.math as am
    >>> am.ldexp(0.75, 2)
    3.0
    """
    exponent = builtins.max(-5000, builtins.min(5000, exponent))  # beyond these, the result is 0 or infinite anyway
    largest = 1023 if exponent > 0 else -1022
    whole, part = divmod(builtins.abs(exponent), builtins.abs(largest))
    for step in [part if exponent > 0 else -part] + [largest] * whole:  # in this order only the last one rounds
        x = _apply(_rules.mul, x, _math.ldexp(1.0, step))
    return x


def frexp(x: Any) -> tuple[Any, int]:
    """Mantissa and exponent, x = mantissa * 2**exponent; the exponent is an int and carries no gradient.

        ∂mantissa/∂x = 2**-exponent
        domain: all numbers

    Examples
    --------
    >>> import autograd.math as am
    >>> am.frexp(3.0)
    (0.75, 2)
    """
    mantissa, exponent = _math.frexp(x.data if isinstance(x, Value) else x)
    return (ldexp(x, -exponent) if isinstance(x, Value) else mantissa), exponent


def modf(x: Any) -> tuple[Any, Any]:
    """Fractional and whole part, both with the sign of x.

        ∂fraction/∂x = 1, ∂whole/∂x = 0
        domain: all numbers

    Examples
    --------
    >>> import autograd.math as am
    >>> am.modf(-2.5)
    (-0.5, -2.0)
    """
    if isinf(x):
        return copysign(0.0, x), x
    return _apply(_rules.fmod, x, 1.0), _apply(_rules.trunc, x)


@_fast
def hypot(*coordinates: Any) -> Any:
    """The length of the vector with these coordinates, without intermediate overflow or underflow.

    More than two are combined in pairs, so the last digits may differ from those of `math.hypot`.

        ∂y/∂x = x/y for each coordinate x
        domain: all numbers; at the origin y = 0 and all derivatives are 0

    Examples
    --------
    >>> import autograd.math as am
    >>> am.hypot(3.0, 4.0), am.hypot(1.0, 2.0, 2.0)
    (5.0, 3.0)
    """
    lengths = list(coordinates) if len(coordinates) > 1 else [0.0, *coordinates, 0.0][:2]
    while len(lengths) > 1:  # in pairs, so that the rounding error grows with the logarithm of their number
        odd = lengths[len(lengths) & ~1 :]
        lengths = [_apply(_rules.hypot, a, b) for a, b in zip(lengths[::2], lengths[1::2])] + odd
    return lengths[0]


def dist(p: Iterable[Any], q: Iterable[Any]) -> Any:
    """The distance between two points with the same number of coordinates.

        ∂y/∂a = (a − b)/y for the coordinates a of p and b of q; ∂y/∂b is the negative of it
        domain: all numbers; where the points are equal, y = 0 and all derivatives are 0

    Examples
    --------
    >>> import autograd.math as am
    >>> am.dist([0.0, 0.0], [3.0, 4.0])
    5.0
    """
    return hypot(*[a - b for a, b in zip(p, q, strict=True)])


def _elements(operands: Iterable[Any]) -> Iterable[Any]:
    """The operands in one iterable: an array is flattened."""
    if not hasattr(operands, "ravel"):
        if not hasattr(operands, "__iter__") and not hasattr(operands, "__getitem__"):
            kind = type(operands).__name__
            raise TypeError(f"an iterable of numbers is expected, such as [x, y], not {operands!r} of type {kind}")
        return operands
    _refuse_masked(operands)
    _refuse_tensor(operands)
    elements: Iterable[Any] = operands.ravel()
    return elements


def _many(name: str, operands: tuple[Any, ...]) -> list[Any]:
    """The operands of an n-ary function, given as one iterable or one by one."""
    if len(operands) == 1 and not isinstance(operands[0], (Value, float, int)):
        operands = tuple(_elements(operands[0]))
    if not operands:
        raise ValueError(f"{name} of no operands has no value: pass at least one")
    return list(operands)


@_fast
def max(*operands: Any) -> Any:
    """The largest of the operands (or of one iterable), as one node; a tie shares the gradient equally.

        ∂y/∂x = 1 for the largest, 1/n for each of n equal ones; the others get no message
        domain: all numbers

    Examples
    --------
    >>> import autograd.math as am
    >>> from autograd import Value
    >>> x = Value(1.0)
    >>> am.max(x, 1.0).backward()
    >>> x.grad
    0.5
    """
    return _rules.max(*_many("max", operands))


@_fast
def min(*operands: Any) -> Any:
    """The smallest of the operands (or of one iterable), as one node; a tie shares the gradient equally.

        ∂y/∂x = 1 for the smallest, 1/n for each of n equal ones; the others get no message
        domain: all numbers

    Examples
    --------
    >>> import autograd.math as am
    >>> am.min([3.0, 1.0, 2.0])
    1.0
    """
    return _rules.min(*_many("min", operands))


@_fast
def mean(*operands: Any) -> Any:
    """The mean of the operands (or of one iterable), as one node.

        ∂y/∂x = 1/n for each of n operands
        domain: all numbers

    Examples
    --------
    >>> import autograd.math as am
    >>> am.mean([1.0, 2.0, 6.0])
    3.0
    """
    return _rules.mean(*_many("mean", operands))


@_fast
def logsumexp(*operands: Any) -> Any:
    """log Σ exp(x) of the operands (or of one iterable), as one node, without overflow.

        ∂y/∂x = exp(x − y), which is the softmax
        domain: all numbers

    Examples
    --------
    >>> import autograd.math as am
    >>> round(am.logsumexp(1000.0, 1000.0), 6)
    1000.693147
    """
    return _rules.logsumexp(*_many("logsumexp", operands))


def log_softmax(logits: Any) -> Any:
    """x - log Σ exp(x) for each x of a sequence: the logarithms of `softmax`, which keep their digits near 0.

        ∂yᵢ/∂xⱼ = (1 if i = j, else 0) − softmax(x)ⱼ
        domain: all numbers

    Parameters
    ----------
    logits : iterable or ndarray
        Numbers and Values. In an array of several dimensions each row along the last axis is one sequence.

    Returns
    -------
    list or ndarray
        An array for an array, else a list.

    Raises
    ------
    ValueError
        If there are no numbers.

    Examples
    --------
    >>> import autograd.math as am
    >>> am.log_softmax([1000.0, 0.0])
    [0.0, -1000.0]
    """
    return _rows(_log_softmax, "log_softmax", logits)


def softmax(logits: Any) -> Any:
    """exp(x) / Σ exp(x) for each x of a sequence, without overflow: probabilities that add up to 1.

        ∂yᵢ/∂xⱼ = yᵢ·((1 if i = j, else 0) − yⱼ)
        domain: all numbers

    Parameters, result and errors are those of `log_softmax`. For a loss take `log_softmax`, or the loss functions of
    `nn`: the logarithm of a probability that underflows is infinite.

    Examples
    --------
    >>> import autograd.math as am
    >>> from autograd import Value
    >>> am.softmax([1000.0, 1000.0])
    [0.5, 0.5]
    >>> x = Value(0.0)
    >>> am.softmax([x, 0.0])[0].backward()
    >>> round(x.grad, 6)
    0.25
    """
    return _rows(_softmax, "softmax", logits)


def _below_largest(xs: list[Any]) -> list[Any]:
    """Each number less the largest: nothing overflows, and large numbers keep their differences."""
    largest = max(xs)
    return [_rules.sub(x, largest) for x in xs]


def _log_softmax(xs: list[Any]) -> list[Any]:
    below = _below_largest(xs)
    total = logsumexp(below)
    return [_rules.sub(x, total) for x in below]


def _softmax(xs: list[Any]) -> list[Any]:
    powers = [exp(x) for x in _below_largest(xs)]
    total = sum(powers)
    return [_rules.div(power, total) for power in powers]


def _rows(function: Callable[[list[Any]], list[Any]], name: str, given: Any) -> Any:
    """A function of a list, for one iterable, or for every row of an array along its last axis."""
    if not hasattr(given, "ravel"):
        return function(_many(name, (list(given),)))
    if not given.size:
        raise ValueError(f"{name} of an array without elements has no value: its shape is {given.shape}")
    return _by_rows(function, _elements(given), given.shape)


@_fast
def sum(operands: Iterable[Any], start: Any = 0.0) -> Any:
    """The sum of an iterable, as one node: from left to right, rounded at every step.

    Compiled code uses several accumulators, unless `accurate=True`. `fsum` is exact, and slower.

        ∂y/∂x = 1 for each operand
        domain: all numbers

    Examples
    --------
    >>> import autograd.math as am
    >>> am.sum([1.0, 2.0, 3.0])
    6.0
    """
    total = _rules.sum(*_elements(operands))
    return total if isinstance(start, (float, int)) and start == 0 else total + start


@_fast
def fsum(operands: Iterable[Any]) -> Any:
    """The exact sum of an iterable, rounded once, as one node.

    Compiled code calls Python for it, with at most 1024 operands.

        ∂y/∂x = 1 for each operand
        domain: all numbers

    Examples
    --------
    >>> import autograd.math as am
    >>> am.fsum([1e16, 1.0, -1e16]), am.sum([1e16, 1.0, -1e16])
    (1.0, 0.0)
    """
    return _rules.fsum(*_elements(operands))


@_fast
def prod(operands: Iterable[Any], *, start: Any = 1.0) -> Any:
    """The product of an iterable, as one node; the gradient is right even if factors are zero.

        ∂y/∂x = the product of the other operands
        domain: all numbers

    Examples
    --------
    >>> import autograd.math as am
    >>> from autograd import grad
    >>> am.prod([2.0, 3.0, 4.0]), grad(am.prod)([0.0, 3.0, 4.0])
    (24.0, [12.0, 0.0, 0.0])
    """
    product = _rules.prod(*_elements(operands))
    return product if isinstance(start, (float, int)) and start == 1 else product * start


@_fast
def dot(xs: Iterable[Any], ys: Iterable[Any]) -> Any:
    """The inner product Σ x·y of two sequences of the same length, as one node.

    It is added up like `sum`. `sumprod` is the same function; that of the standard library carries more digits.

        ∂y/∂x = the number that x is multiplied by
        domain: all numbers

    Examples
    --------
    >>> import autograd.math as am
    >>> from autograd import Value
    >>> w = [Value(1.0), Value(2.0)]
    >>> am.dot(w, [3.0, 4.0]).backward()
    >>> [v.grad for v in w]
    [3.0, 4.0]
    """
    for given in (xs, ys):
        _refuse_masked(given)
        _refuse_tensor(given)
    left, right = list(xs), list(ys)
    if len(left) != len(right):
        raise ValueError(f"dot needs two sequences of the same length, not {len(left)} and {len(right)}")
    return _rules.dot(*left, *right)


sumprod = dot


@_fast
def take(values: Any, index: Any) -> Any:
    """The element of a sequence at a computed place.

        ∂y/∂x = 1 for the element that is taken; the others, and the place, get no message
        domain: all numbers; the place is a whole number, from 0 to the length less 1

    Parameters
    ----------
    values : sequence, or ndarray
        Numbers, or trees of numbers of one shape, such as the rows of a table.
    index : number
        Rounded to the nearest whole number, the even one of two. The first place is 0; there are none below it.

    Returns
    -------
    number or tree of numbers
        The element; nan where there is none at that place. The chosen element has the derivative 1. The others get no
        message, and the index has no derivative.

    Raises
    ------
    ValueError
        If there are no values, or they differ in shape.

    Notes
    -----
    In a function compiled by `jit`, the index is data: one compilation serves every index, at the cost of one element.

    Examples
    --------
    >>> import autograd.math as am
    >>> from autograd import grad, jit
    >>> am.take([10.0, 20.0, 30.0], 1.0), am.take([10.0, 20.0, 30.0], 1.5), am.take([10.0, 20.0, 30.0], 3.0)
    (20.0, 30.0, nan)
    >>> am.take([[1.0, 2.0], [3.0, 4.0]], 1)
    [3.0, 4.0]
    >>> jit(grad(lambda table, k: am.take(table, k) ** 2))([1.0, 2.0, 3.0], 2)
    [0.0, 0.0, 6.0]
    """
    rows = values.tolist() if getattr(values, "ndim", 0) == 1 else list(values)
    if not rows:
        raise ValueError("take of no values has no value: pass at least one")
    if all(isinstance(x, (Value, float, int)) for x in rows):
        return _rules.take(index, *rows)
    if all(map(_is_array, rows)) and len({row.shape for row in rows}) == 1:
        return _elementwise(lambda *column: _rules.take(index, *column), rows)
    leaves = [_leaves_like(rows[0], row, ("value 0", f"value {k}")) for k, row in enumerate(rows)]
    return _flatten(rows[0])[1]([_rules.take(index, *column) for column in zip(*leaves)])


def _test(name: str) -> Callable[[Any], Any]:
    test = _UFUNCS[name]

    def function(x: Any) -> Any:
        if hasattr(x, "ndim") and x.ndim:
            return _elementwise(function, (x,)).astype(bool)
        return test(x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"`math.{name}` of the number: True or False, so there is no derivative; of arrays, for each element."
    )
    return function


isfinite, isinf, isnan = _test("isfinite"), _test("isinf"), _test("isnan")


def isclose(a: Any, b: Any, *, rel_tol: float = 1e-9, abs_tol: float = 0.0) -> Any:
    """`math.isclose` of the numbers: True or False, so there is no derivative; of arrays, for each element.

    Examples
    --------
    >>> import autograd.math as am
    >>> am.isclose(0.1 + 0.2, 0.3)
    True
    """
    if rel_tol < 0.0 or abs_tol < 0.0:
        raise ValueError(f"tolerances must not be negative: rel_tol={rel_tol!r}, abs_tol={abs_tol!r}")

    def close(a: Any, b: Any) -> builtins.bool:
        with _mode(recording=False, anomaly=False):
            gap, size = abs(a - b), max(abs(a), abs(b))
            return bool((a == b) | ((gap < inf) & ((gap <= rel_tol * size) | (gap <= abs_tol))))

    arrays = any(getattr(x, "ndim", 0) for x in (a, b))
    return _elementwise(close, (a, b)).astype(bool) if arrays else close(a, b)
