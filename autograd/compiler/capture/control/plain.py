"""Plain numbers of a program: tracers where eager code has floats or ints, of which Python's own arithmetic raises.

A branch that chooses between two floats, and a count times a float, make such numbers. Whatever needs the float itself
makes a guard of it.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any

from autograd import rules
from autograd.compiler.capture.control.sides import Refused, is_predicate, suppose, truth_of
from autograd.compiler.capture.tracer import Traced, is_for_the_user
from autograd.compiler.capture.watched import Decisions
from autograd.ir.block import PREDICATES
from autograd.rules import Rule


class Plain(Traced):
    """A tracer of a number that is plain in eager code, so that Python divides by it, and not the engine."""

    __slots__ = ("nonzero",)
    sure = True  # whether it is plain on all paths
    nonzero: bool  # whether it is known not to be 0 where it is plain

    @classmethod
    def like(cls, number: Any, nonzero: bool = False) -> Any:
        """The same number of a program as one of this class."""
        made: Any = cls.of(number.builder, number.index)
        made.nonzero = nonzero
        return made

    @classmethod
    def apply_rule(cls, rule: Rule, operands: Sequence[Any]) -> Any:
        """What is computed from plain numbers only is plain."""
        return as_plain(Traced.apply_rule(rule, operands), operands)

    @property  # type: ignore[misc]  # it is never assigned
    def __class__(self) -> Any:  # isinstance() reads it
        return float if self.sure else type(self)

    def may_be_zero(self) -> bool:
        """Whether it may be 0 where it is plain."""
        return not self.nonzero

    # ---- operators -------------------------------------------------------------------------------------------

    def __truediv__(self, other: Any) -> Any:
        raise_at_zero(operator.truediv, self, other)
        return super().__truediv__(other)

    def __rtruediv__(self, other: Any) -> Any:
        raise_at_zero(operator.truediv, other, self)
        return super().__rtruediv__(other)

    def __floordiv__(self, other: Any) -> Any:
        raise_at_zero(operator.floordiv, self, other)
        return super().__floordiv__(other)

    def __rfloordiv__(self, other: Any) -> Any:
        raise_at_zero(operator.floordiv, other, self)
        return super().__rfloordiv__(other)

    def __mod__(self, other: Any) -> Any:
        raise_at_zero(operator.mod, self, other)
        return super().__mod__(other)

    def __rmod__(self, other: Any) -> Any:
        raise_at_zero(operator.mod, other, self)
        return super().__rmod__(other)

    def __pow__(self, other: Any) -> Any:
        return _power(self, other, super().__pow__)

    def __rpow__(self, other: Any) -> Any:
        return _power(other, self, super().__rpow__)

    # ---- what needs the number itself ------------------------------------------------------------------------

    def __round__(self, digits: Any = None) -> Any:
        return super().__round__(digits) if digits is not None else self._rounded(rules.rint, "__round__")

    def __floor__(self) -> Any:
        return self._rounded(rules.floor, "__floor__")

    def __ceil__(self) -> Any:
        return self._rounded(rules.ceil, "__ceil__")

    def __trunc__(self) -> Any:
        return self._rounded(rules.trunc, "__trunc__")

    def _rounded(self, rule: Rule, name: str) -> Any:
        """The int that Python rounds it to; a Value that is rounded is a Value."""
        if not self.sure:
            return getattr(super(), name)()
        trace: Any = self.builder
        whole = trace.integer(rule(self))
        return getattr(float(self), name)() if whole is None else whole

    def __float__(self) -> Any:
        """The float, which is guarded, if comparisons choose it among constants; any other is refused."""
        if not (self.sure and self._is_chosen()):
            return super().__float__()
        self.builder.check_in_use()
        return self.builder.frozen(self.index)

    def _is_chosen(self) -> bool:
        """Whether it depends on numbers of the program by comparisons only."""
        code, waiting, seen = self.builder.code, [self.index], {self.index}
        while waiting:
            op, operands, _ = code[waiting.pop()]
            if op != "constant" and not operands:
                return False
            new = {o for o in operands if code[o].op not in PREDICATES} - seen
            waiting += new
            seen |= new
        return True

    def __hash__(self) -> int:
        """That of the float, for a dict or a set of the user's, which then finds an equal one."""
        mine = is_for_the_user(sys._getframe(1).f_code) and self.sure and self._is_chosen()
        return hash(float(self)) if mine else object.__hash__(self)


class Unsure(Plain):
    """A tracer of a number that is plain on some paths, and a Value on others."""

    __slots__ = ()
    sure = False


def is_plain(thing: Any) -> bool | None:
    """Whether eager code has Python's own float, int or bool here; None if that differs from path to path."""
    if isinstance(thing, Plain):
        return True if thing.sure else None
    return type(thing) in (float, int, bool) or is_predicate(thing)


def plainness(things: Iterable[Any]) -> bool | None:
    """Whether all of these are plain; None if it differs from path to path."""
    found = {is_plain(x) for x in things}
    return False if False in found else None if None in found else True


def as_plain(number: Any, operands: Iterable[Any]) -> Any:
    """A number of the program that is computed from these: plain if all of them are."""
    known = plainness(operands)
    return number if known is False or not isinstance(number, Traced) else (Plain if known else Unsure).like(number)


def carried_on(number: Any, first: Any) -> Any:
    """The number that a step of `fori` or the like gets, which is plain in the first step if it is plain there."""
    return number if is_plain(first) is False else Unsure.like(number)


def chosen(number: Any, *things: Any) -> Any:
    """A number of the program that is one of these: plain where that one is plain."""
    kinds = {is_plain(x) for x in things}
    if kinds == {False}:
        return number
    nonzero = not any(map(may_be_zero, things))
    return (Plain if kinds == {True} else Unsure).like(number, nonzero)


def may_be_zero(thing: Any) -> bool:
    """Whether a thing may be a plain 0."""
    if isinstance(thing, Plain):
        return thing.may_be_zero()
    return is_predicate(thing) or (type(thing) in (float, int, bool) and thing == 0)


def raise_at_zero(function: Callable[[Any, Any], Any], a: Any, b: Any) -> None:
    """Raise where Python does: where a plain number is divided by a plain 0."""
    known = plainness((a, b))
    if known is False or not may_be_zero(b):
        return
    note_arithmetic(a, b)
    if not holds(b == 0):
        return
    if known is None:
        raise Refused("what divides, or is divided by, 0 is a Value on some paths only")
    function(*((1.0, 0.0) if {float, Plain} & {type(a), type(b)} else (1, 0)))  # this raises


def note_arithmetic(*things: Any) -> None:
    """Note that Python's arithmetic may raise: what a tape tells of other runs is not enough to share a program."""
    for thing in things:
        if isinstance(thing, Traced):
            thing.builder.root().raises = True


def holds(unlikely: Any) -> bool:
    """The outcome of a comparison that rarely holds: a step of `fori` or the like supposes that it does not."""
    found = truth_of(unlikely)
    if found is None or type(found[0].deciding) is not Decisions:
        return bool(unlikely)
    suppose(found[0], found[1].negated())
    return False


def _power(a: Any, b: Any, of_values: Callable[[Any], Any]) -> Any:
    """``a ** b``; where Python raises, or gives a complex number, it does so with the numbers of now."""
    found = of_values(a if isinstance(b, Plain) and not isinstance(a, Plain) else b)
    known = plainness((a, b))
    if known is False or found is NotImplemented:
        return found
    note_arithmetic(a, b)
    if type(b) not in (int, float):
        odd = a <= 0
    elif float(b).is_integer():
        odd = b < 0 and a == 0
    else:
        odd = a < 0 if b > 0 else a <= 0
    if not holds(odd) and not holds(abs(found) == inf):
        return found
    if known is None:
        raise Refused("a power is that of a Value on some paths only")
    return _now(a) ** _now(b)


def _now(thing: Any) -> Any:
    """The number of now, which is guarded."""
    return thing.builder.frozen(thing.index) if isinstance(thing, Plain) else thing
