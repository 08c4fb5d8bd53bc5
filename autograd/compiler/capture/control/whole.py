"""Whole numbers of a program: tracers where eager code has ints, with Python's arithmetic of ints.

A program computes with floats, which are exact up to 2**53. Where a result may be larger, the program is valid only
while it is not. Whatever needs the int itself, such as an index or a shift, makes a guard of it.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from typing import Any

from autograd import rules
from autograd.compiler.capture.control.plain import Plain, as_plain, raise_at_zero
from autograd.compiler.capture.control.sides import Side, is_predicate, present, sides_open
from autograd.compiler.capture.tracer import ROUNDING, Traced, is_for_the_user
from autograd.rules import Rule

LARGEST = 2**53 - 1  # up to here no two ints are the same float
LARGEST_MADE = 2**40  # of a number that is rounded to an int
LARGEST_CARRIED = 2**52  # of an int that a step hands to the next
MOST_ADDED = 2**20  # by one step to such an int: no loop takes so many steps that it becomes too large
MOST_BITS = 31  # of a shift or a mask
MOST_FACTORS = 4  # of a power that is a product

Bounds = tuple[int, int]


class Whole(Plain):
    """A tracer of a whole number, which lies between two bounds; eager code has an int here."""

    __slots__ = ("low", "high")
    low: int
    high: int

    @classmethod
    def at(cls, trace: Any, place: int, bounds: Bounds = (-LARGEST_CARRIED, LARGEST_CARRIED)) -> Whole:
        """The whole number in a place of a program."""
        made: Any = cls.of(trace, place)
        made.low, made.high = bounds
        trace.wholes.add(place)
        trace.root().whole_numbers = True
        whole: Whole = made
        return whole

    @property  # type: ignore[misc]  # it is never assigned
    def __class__(self) -> Any:  # flow.py answers isinstance()
        return type(self)

    def may_be_zero(self) -> bool:
        """Whether 0 lies between its bounds."""
        return self.low <= 0 <= self.high

    # ---- operators -------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        return _combined(operator.add, self, other, super().__add__)

    def __radd__(self, other: Any) -> Any:
        return _combined(operator.add, other, self, super().__radd__)

    def __sub__(self, other: Any) -> Any:
        return _combined(operator.sub, self, other, super().__sub__)

    def __rsub__(self, other: Any) -> Any:
        return _combined(operator.sub, other, self, super().__rsub__)

    def __mul__(self, other: Any) -> Any:
        return _combined(operator.mul, self, other, super().__mul__)

    def __rmul__(self, other: Any) -> Any:
        return _combined(operator.mul, other, self, super().__rmul__)

    def __floordiv__(self, other: Any) -> Any:
        return _combined(operator.floordiv, self, other, super().__floordiv__)

    def __rfloordiv__(self, other: Any) -> Any:
        return _combined(operator.floordiv, other, self, super().__rfloordiv__)

    def __mod__(self, other: Any) -> Any:
        return _combined(operator.mod, self, other, super().__mod__)

    def __rmod__(self, other: Any) -> Any:
        return _combined(operator.mod, other, self, super().__rmod__)

    def __pow__(self, other: Any) -> Any:
        if type(other) is int and 1 <= other <= MOST_FACTORS:
            power: Any = self
            for _ in range(other - 1):
                power = power * self
            return power
        return super().__pow__(other) if bounds_of(other) is None else int(self) ** _plain(other)

    def __rpow__(self, other: Any) -> Any:
        return super().__rpow__(other) if bounds_of(other) is None else _plain(other) ** int(self)

    def __neg__(self) -> Any:
        return 0 - self

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        if self.low >= 0:
            return self
        found: Any = super().__abs__()
        return Whole.at(found.builder, found.index, (0, max(-self.low, self.high)))

    def __round__(self, digits: Any = None) -> Any:
        return self if digits is None or digits >= 0 else round(int(self), digits)

    def __floor__(self) -> Any:
        return self

    __ceil__ = __trunc__ = __floor__

    def __invert__(self) -> Any:
        return -1 - self

    def __getattr__(self, name: str) -> Any:
        """What ints have besides, such as `bit_length`."""
        if not hasattr(int, name):
            raise AttributeError(f"an int has no attribute {name!r}", name=name, obj=self)
        return getattr(int(self), name)

    def as_integer_ratio(self) -> tuple[int, int]:
        """The int, and 1."""
        return int(self), 1

    def __hash__(self) -> int:
        """That of the int, for a dict or a set of the user's, which then finds an equal one."""
        return hash(int(self)) if is_for_the_user(sys._getframe(1).f_code) else object.__hash__(self)

    def __format__(self, spec: str) -> str:
        return format(int(self), spec)

    def __str__(self) -> str:
        return str(int(self))


def _of_ints(name: str, function: Callable[[Any, Any], Any]) -> None:
    """An operator of ints for which a program has no instruction: with the int of now, which is guarded."""

    def operate(self: Whole, other: Any) -> Any:
        if type(other) is int and name in BY_ARITHMETIC and (found := BY_ARITHMETIC[name](self, other)) is not None:
            return found
        return NotImplemented if bounds_of(other) is None else function(int(self), _plain(other))

    def reflected(self: Whole, other: Any) -> Any:
        if name == "and" and type(other) is int:
            return operate(self, other)
        return NotImplemented if bounds_of(other) is None else function(_plain(other), int(self))

    setattr(Whole, f"__{name}__", operate)
    setattr(Whole, f"__r{name}__", reflected)


# Operators of bits with some plain ints are arithmetic, also of negative ints; None with any other int.
BY_ARITHMETIC: dict[str, Callable[[Any, int], Any]] = {
    "rshift": lambda whole, bits: whole // 2**bits if 0 <= bits <= MOST_BITS else None,
    "lshift": lambda whole, bits: whole * 2**bits if 0 <= bits <= MOST_BITS else None,
    "and": lambda whole, mask: whole % (mask + 1) if 0 <= mask <= 2**MOST_BITS and not mask & (mask + 1) else None,
}


for _name in ("and", "or", "xor", "lshift", "rshift"):
    _of_ints(_name, getattr(operator, f"__{_name}__"))


def bounds_of(thing: Any) -> Bounds | None:
    """Between which ints an int of eager code lies; None if it is no int there."""
    if type(thing) is Whole:
        return thing.low, thing.high
    if isinstance(thing, int) and not is_predicate(thing):
        return int(thing), int(thing)
    return (0, 1) if is_predicate(thing) else None


def _plain(thing: Any) -> int:
    return int(thing)


def _number(thing: Any) -> Any:
    return thing.number() if is_predicate(thing) else thing


def _combined(function: Any, a: Any, b: Any, of_floats: Callable[[Any], Any]) -> Any:
    """The result of an operator of two ints; with anything else, what a float gives."""
    first, second = bounds_of(a), bounds_of(b)
    if first is None or second is None:
        return of_floats(a if type(b) is Whole and type(a) is not Whole else b)
    if max(map(abs, (*first, *second))) > LARGEST:
        return function(_plain(a), _plain(b))
    rule, bounds = OPERATORS[function]
    if function in (operator.floordiv, operator.mod):
        raise_at_zero(function, a, b)
    low, high = bounds(first, second)
    found: Any = rule(_number(a), _number(b))
    if not isinstance(found, Traced):  # of constants
        return int(found)
    if function is not operator.add and function is not operator.sub and not (first[0] >= 0 and second[0] >= 0):
        found = rules.add(found, 0.0)  # ints have no -0
    if low < -LARGEST or high > LARGEST:
        if not abs(found) < float(LARGEST):
            return function(_plain(a), _plain(b))
        low, high = max(low, -LARGEST), min(high, LARGEST)
    return Whole.at(found.builder, found.index, (low, high))


def of_ints(function: Any, a: Any, b: Any) -> Any:
    """The result of an operator of ints, comparisons among them, or of a division of plain numbers."""
    first, second = bounds_of(a), bounds_of(b)
    divides = function is operator.truediv
    if not all(bounds or (divides and type(x) is float) for x, bounds in ((a, first), (b, second))):
        return NotImplemented
    if not divides:
        return _combined(function, a, b, _number)
    raise_at_zero(function, a, b)
    return as_plain(rules.div(_number(a), _number(b)), (a, b))


def _extremes(*ends: int) -> Bounds:
    return min(ends), max(ends)


def _of_product(a: Bounds, b: Bounds) -> Bounds:
    return _extremes(a[0] * b[0], a[0] * b[1], a[1] * b[0], a[1] * b[1])


def _of_quotient(a: Bounds, b: Bounds) -> Bounds:
    if b[0] > 0:
        return _extremes(a[0] // b[0], a[0] // b[1], a[1] // b[0], a[1] // b[1])
    most = max(map(abs, a))
    return -most, most


def _of_rest(a: Bounds, b: Bounds) -> Bounds:
    return min(b[0] + 1, 0), max(b[1] - 1, 0)


OPERATORS: dict[Any, tuple[Rule, Callable[[Bounds, Bounds], Bounds]]] = {
    operator.add: (rules.add, lambda a, b: (a[0] + b[0], a[1] + b[1])),
    operator.sub: (rules.sub, lambda a, b: (a[0] - b[1], a[1] - b[0])),
    operator.mul: (rules.mul, _of_product),
    operator.floordiv: (rules.floordiv, _of_quotient),
    operator.mod: (rules.mod, _of_rest),
}


# ---- where whole numbers come from -----------------------------------------------------------------------------------


def has_ints(trace: Any) -> bool:
    """Whether an int may be a number of the program here.

    In a single call, outside loops, each int is a guard, until there are several paths: it may choose what is computed,
    and one value is there.
    """
    several = trace.parent is not None or sides_open() or isinstance(trace.deciding, Side)
    return bool(trace.root().ints) and several


def as_whole(rounded: Any) -> Any:
    """What is used like the int of a number that has been rounded; None if it must be an int now, which is guarded."""
    if type(rounded) is Whole:
        return rounded
    trace: Any = present()
    if trace is None or not isinstance(rounded, Traced):
        return None
    if not has_ints(trace) or trace.is_constant(trace.place(rounded)):
        return None
    if trace.code[trace.place(rounded)].op not in ROUNDING or not abs(rounded) < float(LARGEST_MADE):
        return None
    trace.root().rounded = True
    found = rules.add(rounded.detach(), 0.0)  # ints have no derivative, and no -0
    return Whole.at(trace, trace.place(found), (-LARGEST_MADE, LARGEST_MADE))


def to_int(*things: Any) -> Any:
    """`int`, called in a capture."""
    if len(things) == 1 and isinstance(things[0], Traced):
        found = as_whole(things[0] if type(things[0]) is Whole else rules.trunc(things[0]))
        if found is not None:
            return found
    return int(*things)


def carried(trace: Any, thing: Any) -> None:
    """Let the program be valid only while an int that a step hands to the next does not become too large."""
    bounds = bounds_of(thing)
    if bounds is not None and max(map(abs, bounds)) > LARGEST_CARRIED + MOST_ADDED:
        bool(abs(_number(thing)) < float(LARGEST_CARRIED))  # it is supposed
