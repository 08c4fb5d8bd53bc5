"""What adopted code calls in place of operators, classes and builtins: floats exactly as in Python, Values as floats.

A float, an int, a text, an array: the function is Python's own. A Value: the result is a Value with the same number, or
what a float gives there (an int, a bool, a text), and an exception is raised where a float would raise it. What depends
on the number becomes a guard of compiled code, because it is decided by a comparison of Values.
"""

from __future__ import annotations

import builtins
import operator
import sys
from collections.abc import Callable, Iterable, KeysView, Sequence
from math import inf
from types import UnionType
from typing import Any

from autograd import rules
from autograd.adoption.rewrite import hidden
from autograd.modes import caller, current_recorder, note_without_derivative, now
from autograd.rules import Rule
from autograd.value import Value

Function = Callable[..., Any]

SETS = (set, frozenset, dict, KeysView)
ORIGINAL = hidden("original")  # the attribute of an adopted class that has the class for which it stands
COMPENSATED = sys.version_info >= (3, 12)  # how the builtin sum adds floats


def guard_kinds(things: Iterable[Any]) -> None:
    """Compare Values with 0, infinity and nan: on these depends whether Python raises, and what.

    When compiled, the comparisons are guards; eager, they have no effect.
    """
    if current_recorder() is None:
        return
    for x in things:
        if isinstance(x, Value) and x == x:
            _ = bool(abs(x) < inf), bool(x == 0.0), bool(x < 0.0)


def whole(rule: Rule, x: Value) -> int:
    """The int of a rounding rule; when compiled, a number of the program that is used like one, or a guard."""
    recorder = current_recorder()
    if recorder is None:
        note_without_derivative(x)
        return int(rule.value(x.data)) if abs(x.data) < inf else int(x.data)
    y = rule(x)
    found: int | None = recorder.integer(x if is_integer(x) else y)
    if found is not None:
        return found
    if not (abs(y) < inf):
        guard_kinds([x])
        return int(now(x))  # this raises
    number = int(now(y))
    if y == float(number):  # a guard
        return number
    raise AssertionError(f"{number} is not the whole number of {y!r}")


def is_integer(x: Any) -> bool:
    """Whether a Value stands for an int, in a program."""
    recorder = current_recorder()
    return recorder is not None and isinstance(x, Value) and recorder.is_integer(x)


def shown(x: Any) -> Any:
    """The number for a text, which may be read again as a number: compiled, it is a guard."""
    if is_integer(x):
        return int(x)
    number = now(x)
    if isinstance(x, Value):
        if current_recorder() is None:
            note_without_derivative(x)
        elif x != number:
            guard_kinds([x])
    return number


# ---- operators that raise ------------------------------------------------------------------------------------------


def _raises_at_zero(plain: Function) -> Function:
    """A division: a number by 0 raises, in Python's own words."""

    def operate(a: Any, b: Any) -> Any:
        if isinstance(b, Value):
            if isinstance(a, (Value, float, int)) and b == 0.0:
                plain(now(a), now(b))
        elif isinstance(a, Value) and isinstance(b, (float, int)) and b == 0:
            plain(now(a), b)
        return plain(a, b)

    operate.__name__ = operate.__qualname__ = plain.__name__
    operate.__doc__ = f"`operator.{plain.__name__}`; a Value divided by 0 raises."
    return operate


divide, floor_divide = _raises_at_zero(operator.truediv), _raises_at_zero(operator.floordiv)
_remainder = _raises_at_zero(operator.mod)


def modulo(a: Any, b: Any) -> Any:
    """`a % b` of numbers and of texts; a text shows the numbers of Values."""
    if isinstance(a, (str, bytes)):
        return a % (tuple(map(shown, b)) if type(b) is tuple else shown(b))
    return _remainder(a, b)


def power(a: Any, b: Any) -> Any:
    """`a ** b`, which raises for 0 to a negative power and where the result is too large."""
    y = a**b
    if not isinstance(y, Value) or abs(y) < inf:
        return y
    guard_kinds((a, b))
    plain = now(a) ** now(b)  # this raises for most of them
    if isinstance(plain, complex):
        raise TypeError(
            f"{now(a)!r} ** {now(b)!r} at {caller(source=True)} is complex; derivatives here are of real numbers: "
            "choose arguments for which the base is positive"
        )
    return y


BINARY: dict[str, Function] = {"divide": divide, "floor_divide": floor_divide, "modulo": modulo, "power": power}


class InPlace:
    """The right side of ``a /= b`` where `b` is a Value or may raise: the left side hands the operation over."""

    __slots__ = ("name", "operand")

    def __init__(self, name: str, operand: Any) -> None:
        self.name, self.operand = name, operand

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, **options: Any
    ) -> Any:  # the left side is an array
        given = [x.operand if isinstance(x, InPlace) else x for x in inputs]
        return getattr(ufunc, method)(*given, **options)

    def _operate(self, left: Any) -> Any:
        return BINARY[self.name](left, self.operand)

    __rtruediv__ = __rfloordiv__ = __rmod__ = _operate

    def __rpow__(self, left: Any, modulus: None = None) -> Any:
        return self._operate(left)

    def __float__(self) -> float:  # for a text before ``%=``
        return float(shown(self.operand))

    def __str__(self) -> str:
        return str(shown(self.operand))


def in_place(name: str, operand: Any) -> Any:
    """The right side of ``a /= b``, ``a //= b``, ``a %= b`` or ``a **= b``."""
    number = isinstance(operand, (float, int))
    raises = isinstance(operand, Value) or (number and (name == "power" or operand == 0))
    return InPlace(name, operand) if raises else operand


# ---- classes that are called ---------------------------------------------------------------------------------------


def _complex(*parts: Any) -> complex:
    if any(isinstance(part, Value) for part in parts):
        raise TypeError(
            f"complex() of a Value at {caller(source=True)}: derivatives here are of real numbers. Choose arguments "
            "for which the code stays real, or pass .data where no derivative is wanted"
        )
    return complex(*parts)


OF_VALUES: dict[Any, Function] = {
    float: lambda x: x,
    int: lambda x: whole(rules.trunc, x),
    str: lambda x: str(shown(x)),
    repr: lambda x: repr(shown(x)),
    type: lambda x: int if is_integer(x) else float,
}


def call(function: Any, *arguments: Any, **options: Any) -> Any:
    """`function(...)`, where it may be `float`, `int`, `str`, `type`, `repr` or `complex`."""
    if function is complex:
        return _complex(*arguments, **options)
    if len(arguments) == 1 and not options:
        x = arguments[0]
        if getattr(x, "ndim", None) == 0 and x.dtype.hasobject and function in (float, int):
            x = x.item()  # of `numpy.where` and the like
        if isinstance(x, Value):
            for kind, answer in OF_VALUES.items():
                if function is kind:
                    return answer(x)
    return function(*arguments, **options)


def class_of(x: Any) -> Any:
    """`x.__class__`."""
    return OF_VALUES[type](x) if isinstance(x, Value) else x.__class__


class Conversion(type):
    """The class of what stands for `float` or `int` where code keeps it to call it later."""

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        """The conversion."""
        return call(cls.__mro__[1], *arguments, **options)

    def __instancecheck__(cls, thing: Any) -> bool:
        return _isinstance(thing, cls.__mro__[1])

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, cls.__mro__[1])

    def __eq__(cls, other: object) -> bool:
        return other is cls or other is cls.__mro__[1]

    def __hash__(cls) -> int:
        return hash(cls.__mro__[1])


CONVERSIONS = {kind.__name__: Conversion(kind.__name__, (kind,), {"__doc__": kind.__doc__}) for kind in (float, int)}


def plain(x: Any) -> Any:
    """What an f-string shows."""
    return shown(x)


def contains(container: Any, x: Any) -> bool:
    """`x in container`; a set or dict is asked for the number."""
    if isinstance(x, Value) and isinstance(container, SETS):
        return any(bool(x == key) for key in container if isinstance(key, (Value, float, int)))
    return x in container


# ---- builtins ------------------------------------------------------------------------------------------------------


def _chosen(plain: Function) -> Function:
    """`max` or `min`: which operand it is is no guard when compiled, but a choice."""

    def choose(*arguments: Any, **options: Any) -> Any:
        things = list(arguments[0]) if len(arguments) == 1 else arguments
        numbers, recorder = all(isinstance(x, (Value, float, int)) for x in things), current_recorder()
        if options or recorder is None or not numbers or not any(isinstance(x, Value) for x in things):
            return plain(things, **options)
        return recorder.best_of(plain, things)

    choose.__name__ = choose.__qualname__ = plain.__name__
    choose.__doc__ = plain.__doc__
    return choose


def total(iterable: Iterable[Any], /, start: Any = 0) -> Any:
    """`sum`; from Python 3.12 on it compensates rounding errors, which have no derivative."""
    things = list(iterable)
    numbers = all(isinstance(x, (Value, float, int)) for x in (*things, start))
    values = any(isinstance(x, Value) and not is_integer(x) for x in things)
    if not COMPENSATED or not numbers or not values:
        return sum(things, start)
    return compensated(things, start)


def compensated(things: Sequence[Any], start: Any) -> Any:
    """A sum from left to right, with the rounding errors added up beside it (Neumaier)."""
    added, error = start, 0.0
    for x in things:
        after = added + x
        a, b, c = (t.data if isinstance(t, Value) else float(t) for t in (added, x, after))
        error = error + rules.where(abs(a) >= abs(b), (a - c) + b, (b - c) + a)
        added = after
    return rules.where((error != 0.0) & (abs(error) < inf), added + error, added)


def _divmod(a: Any, b: Any) -> Any:
    values = isinstance(a, Value) or isinstance(b, Value)
    return (floor_divide(a, b), _remainder(a, b)) if values else divmod(a, b)


def _pow(base: Any, exp: Any, mod: Any = None) -> Any:
    return power(base, exp) if mod is None else pow(base, exp, mod)


def _round(number: Any, ndigits: Any = None) -> Any:
    if isinstance(number, Value) and ndigits is None:
        return whole(rules.rint, number)
    return round(number, ndigits)


def originals(classes: Any) -> Any:
    """The classes for which adopted ones stand, in what `isinstance` takes: these are not subclasses of one another."""
    if isinstance(classes, tuple):
        return tuple(map(originals, classes))
    if isinstance(classes, UnionType):
        return originals(classes.__args__)
    return vars(classes).get(ORIGINAL, classes) if isinstance(classes, type) else classes


def _issubclass(cls: Any, classes: Any, /) -> bool:
    return issubclass(cls, originals(classes))


def _isinstance(x: Any, classes: Any, /) -> bool:
    classes = originals(classes)
    if is_integer(x):
        return isinstance(0, classes)
    return isinstance(x, classes) or (isinstance(x, Value) and isinstance(0.0, classes))


def _map(function: Any, *iterables: Any) -> Any:
    if any(function is kind for kind in (*OF_VALUES, *CONVERSIONS.values())):
        return map(lambda x: call(function, x), *iterables)
    return map(function, *iterables)


def _format(x: Any, spec: str = "", /) -> str:
    return format(shown(x), spec)


BUILTINS: dict[str, Function] = {
    "divmod": _divmod,
    "format": _format,
    "isinstance": _isinstance,
    "issubclass": _issubclass,
    "map": _map,
    "max": _chosen(max),
    "min": _chosen(min),
    "pow": _pow,
    "round": _round,
    "sum": total,
}
ANSWERS: dict[str, Any] = {
    **BINARY,
    **CONVERSIONS,
    "call": call,
    "class_of": class_of,
    "contains": contains,
    "in_place": in_place,
    "plain": plain,
}
HIDDEN: dict[str, Any] = {hidden(name): function for name, function in ANSWERS.items()}


def namespace() -> dict[str, Any]:
    """The builtins of adopted code."""
    return {**vars(builtins), **BUILTINS, **HIDDEN}
