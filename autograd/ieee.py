"""The float functions of the table: those of the standard library, made total by IEEE 754.

The `math` module raises where IEEE arithmetic has an answer: `math.log(0.0)` is a ValueError, and -inf here.
Every function below takes floats and returns a float for any of them. `floor_divide`, `modulo`, `maximum`, `minimum`
and `logsumexp` stand for formulas of the table, which would be slower; a test compares their bits.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from math import inf, isfinite, isnan, nan
from numbers import Complex, Real

TIMES = {  # classes of times → a unit of theirs
    **dict.fromkeys(["date", "datetime", "time", "timedelta"], "timedelta(seconds=1)"),
    **dict.fromkeys(["datetime64", "timedelta64"], "np.timedelta64(1, 's')"),
    **dict.fromkeys(["Timestamp", "Timedelta"], "pd.Timedelta(seconds=1)"),
}


def is_real(number: object) -> bool:
    """Whether it is a real number of a kind that becomes a float; an array is not one number."""
    kind = type(number).__name__
    return (isinstance(number, Real) and kind != "timedelta64") or kind in ("bool", "bool_")


def to_float(number: object) -> float:
    """A real number of any kind as a float: int, bool, Fraction, a NumPy scalar or array of no dimensions.

    Raises
    ------
    TypeError
        For anything else, saying what to pass instead.
    """
    if type(number) is float:
        return number
    if is_real(number):
        try:
            return float(number)  # type: ignore[arg-type]
        except OverflowError:  # an int beyond the range of floats
            return inf if number > 0 else -inf  # type: ignore[operator]
    if getattr(number, "ndim", None) == 0 and hasattr(number, "__setitem__") and not is_tensor(number):  # an array
        refuse_masked(number)
        return to_float(number.item())  # type: ignore[attr-defined]
    raise TypeError(_why_not_real(number))


def is_tensor(thing: object) -> bool:
    """Whether it is a tensor of PyTorch: its operations would be recorded there, not here."""
    return hasattr(thing, "requires_grad")


def refuse_tensor(thing: object, path: str = "") -> None:
    """Raise for a tensor of PyTorch; `path` is its name in the message.

    Raises
    ------
    TypeError
        With what to pass instead.
    """
    if is_tensor(thing):
        raise TypeError(f"{path + ': ' if path else ''}{_why_not_real(thing)}")


def refuse_masked(array: object, path: str = "") -> None:
    """Raise for a masked array: its elements do not show which of them are masked.

    Raises
    ------
    TypeError
        If any element is masked.
    """
    if hasattr(array, "filled") and hasattr(array, "compressed") and array.mask.any():  # type: ignore[attr-defined]
        raise TypeError(
            f"{path + ': ' if path else ''}a {type(array).__name__} would lose its mask here: pass .filled(number) "
            "to replace the masked elements, or .compressed() to leave them out"
        )


def _why_not_real(number: object) -> str:
    kind = type(number).__name__
    if hasattr(number, "to_numpy"):
        return f"a {kind} is none of the containers known here: pass its numbers, .to_numpy()"
    if is_tensor(number):
        return f"a {kind} belongs to another library: pass its numbers, .detach().numpy(), or .item() if it is only one"
    shown = f"{number!r:.80} of type {kind}"
    if kind == "Decimal":
        return f"{shown} does not mix with binary floats without losing digits: pass float({number})"
    if isinstance(number, (str, bytes)):
        return f"{shown} is text, not a number: pass float(text)"
    if kind in TIMES:
        return f"{shown} is a time, not a number: divide a difference of times by the unit, (t - t0) / {TIMES[kind]}"
    if isinstance(number, Complex):
        return f"{shown} is complex; derivatives here are of real numbers: pass its .real or .imag"
    if number is None:
        return "None is not a number: pass a float (did a function forget to return its result?)"
    if hasattr(number, "ndim") or isinstance(number, (list, tuple)):
        return (
            f"{shown} holds many numbers and a Value is one: make one Value of each element, "
            "or pass the whole container to a function of autograd.grad"
        )
    if isinstance(number, Iterable):
        return f"{shown} is not a real number, nor a container known here: pass a list, tuple, dict or ndarray"
    if callable(number):
        return f"{shown} is not a real number: call it, or pass its result"
    if hasattr(number, "__dict__"):
        return f"{shown} is not a real number: pass its numbers, or make its class a dataclass, which holds them"
    return f"{shown} is not a real number: pass an int, a float, a Fraction or a NumPy scalar"


def _total(
    function: Callable[[float], float],
    domain: Callable[[float], float] = lambda x: nan,
    overflow: Callable[[float], float] = lambda x: inf,
) -> Callable[[float], float]:
    """`function` with a result where it would raise ValueError (`domain`) or OverflowError (`overflow`)."""

    @functools.wraps(function)
    def total(x: float) -> float:
        try:
            return function(x)
        except ValueError:
            return domain(x)
        except OverflowError:
            return overflow(x)

    return total


def _total_of_two(
    function: Callable[[float, float], float],
    domain: Callable[[float, float], float] = lambda x, y: nan,
    overflow: Callable[[float, float], float] = lambda x, y: inf,
) -> Callable[[float, float], float]:
    """`_total` for a function of two numbers; one definition for any number of them would be slower."""

    @functools.wraps(function)
    def total(x: float, y: float) -> float:
        try:
            return function(x, y)
        except ValueError:
            return domain(x, y)
        except OverflowError:
            return overflow(x, y)

    return total


def _pole(at: float) -> Callable[[float], float]:
    """-inf at the pole and nan outside the domain, as every logarithm has it."""
    return lambda x: -inf if x == at else nan


def _odd(x: float) -> bool:
    return math.fmod(x, 2.0) in (1.0, -1.0)


def _pow_pole(x: float, y: float) -> float:
    """0 to a negative power is infinite; a negative number to a fractional power is not real."""
    if x != 0.0:
        return nan
    return copysign(inf, x) if _odd(y) else inf


exp = _total(math.exp)
exp2 = _total(math.exp2)
expm1 = _total(math.expm1)
log = _total(math.log, _pole(0.0))
log2 = _total(math.log2, _pole(0.0))
log10 = _total(math.log10, _pole(0.0))
log1p = _total(math.log1p, _pole(-1.0))
sqrt = _total(math.sqrt)
sin = _total(math.sin)
cos = _total(math.cos)
tan = _total(math.tan)
asin = _total(math.asin)
acos = _total(math.acos)


def copysign(x: float, y: float) -> float:
    """|x| with the sign of y. A nan counts as positive: its sign differs between machines and libraries."""
    return abs(x) if isnan(y) else math.copysign(x, y)


sinh = _total(math.sinh, overflow=lambda x: copysign(inf, x))
cosh = _total(math.cosh)
acosh = _total(math.acosh)
atanh = _total(math.atanh, lambda x: copysign(inf, x) if abs(x) == 1.0 else nan)
fmod = _total_of_two(math.fmod)
remainder = _total_of_two(math.remainder)
lgamma = _total(math.lgamma, lambda x: inf)
gamma = _total(
    math.gamma,
    lambda x: copysign(inf, x) if x == 0.0 else nan,
    lambda x: copysign(inf, x),
)
power = _total_of_two(math.pow, _pow_pole, lambda x, y: -inf if x < 0.0 and _odd(y) else inf)


def divide(x: float, y: float) -> float:
    """x / y, with x / 0 = ±inf and 0 / 0 = nan."""
    try:
        return x / y
    except ZeroDivisionError:
        return nan if x == 0.0 or isnan(x) else copysign(inf, x) * copysign(1.0, y)


def floor_divide(x: float, y: float) -> float:
    """x // y; like x / y where y is 0."""
    return divide(x, y) if y == 0.0 else x // y


def modulo(x: float, y: float) -> float:
    """x % y, with the sign of y; nan where y is 0."""
    return nan if y == 0.0 else x % y


def floor(x: float) -> float:
    """The largest whole number not above x, as a float (inf and nan are themselves)."""
    return copysign(float(math.floor(x)), x) if isfinite(x) else x


def ceil(x: float) -> float:
    """The smallest whole number not below x, as a float."""
    return copysign(float(math.ceil(x)), x) if isfinite(x) else x


def trunc(x: float) -> float:
    """The whole part of x, towards 0, as a float."""
    return copysign(float(math.trunc(x)), x) if isfinite(x) else x


def rint(x: float) -> float:
    """The nearest whole number; the even one if two are equally near."""
    return copysign(float(round(x)), x) if isfinite(x) else x


def _round(x: float, digits: float) -> float:
    return round(x, int(digits)) if isfinite(x) else x


round_digits = _total_of_two(_round, overflow=lambda x, digits: copysign(inf, x))


def fma(x: float, y: float, z: float) -> float:
    """x * y + z, rounded once (IEEE 754 fusedMultiplyAdd)."""
    if not (isfinite(x) and isfinite(y)) or x == 0.0 or y == 0.0:
        return x * y + z
    if not isfinite(z):
        return z  # also where x * y alone would overflow
    from fractions import Fraction  # long to import, and for few numbers only

    total = Fraction(x) * Fraction(y) + Fraction(z)
    if total == 0:
        return x * y + z
    try:
        return float(total)
    except OverflowError:
        return inf if total > 0 else -inf


def logsumexp(xs: Sequence[float]) -> float:
    """The log of the sum of the exponentials: the largest term is taken out, and the rest goes through log1p."""
    largest = maximum(xs)
    if not isfinite(largest):
        return largest
    rest = sum_(math.exp(x - largest) for x in xs if x != largest)
    ties = xs.count(largest)  # one is left out of the sum, not subtracted from it: (1 + 1e-20) - 1 is 0
    return largest + math.log1p(rest + (ties - 1.0))


def sum_(xs: Iterable[float]) -> float:
    """The sum from left to right, as in machine code. The builtin compensates rounding errors from Python 3.12 on."""
    return functools.reduce(operator.add, xs, 0.0)


def fsum(xs: Sequence[float]) -> float:
    """The exact sum, rounded once; infinite if that is beyond the range, nan for infinities of both signs."""
    try:
        return math.fsum(xs)
    except ValueError:
        return nan
    except OverflowError:  # of a partial sum: the whole sum may still be in range
        from fractions import Fraction

        return to_float(sum(map(Fraction, xs))) if all(map(isfinite, xs)) else sum_(xs)


def take(xs: Sequence[float]) -> float:
    """Of the numbers after the first, that whose place is nearest to the first; nan if there is none."""
    index = rint(xs[0])
    return xs[1 + int(index)] if 0.0 <= index < len(xs) - 1 else nan


def maximum(xs: Sequence[float]) -> float:
    """The largest; nan if any is nan."""
    return nan if any(map(isnan, xs)) else max(xs)


def minimum(xs: Sequence[float]) -> float:
    """The smallest; nan if any is nan."""
    return nan if any(map(isnan, xs)) else min(xs)


def scipy_special(name: str) -> Callable[..., float]:
    """A function of `scipy.special`.

    Raises
    ------
    ImportError
        If SciPy is not installed.
    """
    try:
        import scipy.special
    except ImportError:
        raise ImportError(
            "digamma and polygamma, and so the derivatives of gamma and lgamma, come from SciPy, "
            "which is not installed: pip install 'scalar-autograd[special]'"
        ) from None
    function: Callable[..., float] = getattr(scipy.special, name)
    return function


def digamma(x: float) -> float:
    """The logarithmic derivative of the gamma function; nan at its poles 0, -1, -2, …."""
    if x == -inf or (x <= 0.0 and x == math.floor(x)):
        return nan
    psi = scipy_special("psi")
    right_of_pole = math.remainder(x, 1.0) if x < 0.0 and isfinite(x) else 0.0
    if 0.0 < right_of_pole < 0.25:  # where SciPy loses the distance from the pole; NIST DLMF 5.5.4
        return float(psi(1.0 - x)) - math.pi / math.tan(math.pi * right_of_pole)
    return float(psi(x))


def polygamma(order: float, x: float) -> float:
    """The derivative of digamma of a whole order ≥ 0; nan for any other order.

    Where x is negative: (-1)ⁿ ψₙ(1 - x) - ψₙ(x) = π dⁿ cot(πx)/dxⁿ (NIST DLMF 5.15.6).
    """
    if order == 0.0:
        return digamma(x)
    if not isfinite(order) or order < 0.0 or order != math.floor(order) or x == -inf:
        return nan
    n = int(order)
    if x < 0.0 and x != math.floor(x):  # where SciPy would count up from x in steps of 1
        if n > 170:  # n! is beyond the range, and the nearest pole decides the sign
            return inf if n % 2 else -copysign(inf, math.remainder(x, 1.0))
        turned = float(scipy_special("polygamma")(n, 1.0 - x))
        return (-turned if n % 2 else turned) - math.pi * _derivative_of_cot(n, x)
    return float(scipy_special("polygamma")(n, x))


def _derivative_of_cot(n: int, x: float) -> float:
    """The n-th derivative of cot(πx): a polynomial in c = cot(πx), because c' = -π(1 + c²)."""
    coefficients = [0.0, 1.0]
    for _ in range(n):
        slopes = [-math.pi * k * p for k, p in enumerate(coefficients)][1:]
        coefficients = [a + b for a, b in zip([*slopes, 0.0, 0.0], [0.0, 0.0, *slopes])]
    c = 1.0 / math.tan(math.pi * math.remainder(x, 1.0))
    return functools.reduce(lambda total, p: total * c + p, reversed(coefficients), 0.0)


def gap(xs: Sequence[float], winner: float) -> float:
    """How far the runner-up is from the winner of a `max` or `min`: 0 at a tie."""
    distances = sorted(abs(x - winner) for x in xs)
    return distances[1] if len(distances) > 1 else 1.0
