"""Comparisons of traced numbers: they behave like bools, and become part of the program, or guards."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np

from autograd.arrays import UFUNCS, apply_ufunc
from autograd.compiler.capture.watched import innermost
from autograd.ir.builder import Predicate
from autograd.native import fast
from autograd.rules import Rule
from autograd.symbols import Arithmetic


def _plain(operand: Any) -> Any:
    return bool(operand) if isinstance(operand, Predicate) else operand


def _has_own_way(operand: Any) -> bool:
    """Whether an operand does the arithmetic itself: a tracer, a Value or a symbol."""
    return hasattr(type(operand), "apply_rule") and not isinstance(operand, Predicate)


def _order(compare: Callable[[Any, Any], Any]) -> Callable[[Predicate, Any], Any]:
    def method(self: Predicate, other: Any) -> Any:
        innermost((self, other))  # raises after the capture
        return compare(self.number(), other.number() if isinstance(other, Predicate) else other)

    return method


def _of_numbers(name: str) -> Callable[..., Any]:
    """An arithmetic operator for numbers only: ``*`` repeats a list or a text, and an array has its own operators."""
    method: Callable[..., Any] = getattr(Arithmetic, name)

    def operate(self: Predicate, *others: Any) -> Any:
        numbers = all(isinstance(other, Real) or hasattr(type(other), "apply_rule") for other in others)
        return method(self, *others) if numbers else NotImplemented

    return operate


def _of_ints(function: Callable[[Any, Any], Any], name: str) -> Callable[[Predicate, Any], Any]:
    """An arithmetic operator of a bool and an int, or a division of plain numbers; else it is one for numbers."""
    of_numbers, reflected = _of_numbers(name), name.startswith("__r")

    def operate(self: Predicate, other: Any) -> Any:
        builder: Any = self.builder
        found = builder.of_ints(function, *((other, self) if reflected else (self, other)))
        return of_numbers(self, other) if found is NotImplemented else found

    return operate


def _negative(self: Predicate) -> Any:
    builder: Any = self.builder
    return builder.of_ints(operator.sub, 0, self)  # ints have no -0


def _absolute(self: Predicate) -> Any:
    builder: Any = self.builder
    return builder.of_ints(operator.add, 0, self)


_POWER = _of_numbers("__pow__")


def _power(self: Predicate, other: Any) -> Any:
    if type(other) in (int, float) and other < 0:
        return bool(self) ** other  # of False it raises
    return _POWER(self, other)


def _of_bools(function: Callable[..., Any]) -> Callable[..., Any]:
    """A use of a bool for which a program has no instruction."""

    def use(self: Predicate, *others: Any) -> Any:
        return NotImplemented if any(map(_has_own_way, others)) else function(bool(self), *map(_plain, others))

    return use


def _of_bools_reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    def use(self: Predicate, other: Any) -> Any:
        return NotImplemented if _has_own_way(other) else function(_plain(other), bool(self))

    return use


def _logical(op: str, function: Callable[[Any, Any], Any]) -> Callable[[Predicate, Any], Any]:
    def combine(self: Predicate, other: Any) -> Any:
        innermost((self, other))  # raises after the capture
        if isinstance(other, Predicate):
            return self.with_(op, other)
        if type(other) is bool:
            return {"and": (False, self), "or": (self, True), "xor": (self, self.negated())}[op][other]
        return function(bool(self), other) if isinstance(other, int) else NotImplemented

    return combine


class TracedTruth(Predicate):
    """A comparison of traced numbers, in place of a bool.

    It stays part of the program if it is combined with others by ``&``, ``|`` and ``^``, used as a condition of
    `where`, or as a number (1 or 0). Any other use reads its truth, which becomes a guard, and gives the same result as
    a bool. Only ``is`` and ``type()`` can distinguish it from a bool: see `autograd.compiler.source.identity`.
    """

    __slots__ = ()

    @classmethod
    def apply_rule(cls, rule: Rule, operands: Sequence[Any]) -> Any:
        """Write the operation down, in a program that is being captured."""
        innermost(operands)
        return super().apply_rule(rule, operands)

    @property  # type: ignore[misc]  # it is never assigned
    def __class__(self) -> Any:  # isinstance() reads it
        return bool

    def __getattr__(self, name: str) -> Any:
        if not hasattr(bool, name):
            raise AttributeError(f"a bool has no attribute {name!r}", name=name, obj=self)
        return getattr(bool(self), name)

    @fast
    def __bool__(self) -> bool:
        return self.builder.truth(self.index)

    def __hash__(self) -> int:
        return hash(bool(self))

    def __copy__(self) -> Predicate:
        return self

    def __deepcopy__(self, memo: object) -> Predicate:
        return self

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return bool, (bool(self),)

    # ---- NumPy -----------------------------------------------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if dtype != np.dtype(object):
            return np.array(bool(self), dtype)
        array = np.empty((), object)
        array[()] = self
        return array

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        others = [np.asarray(x, object if _has_own_way(x) else None) for x in inputs if not isinstance(x, Predicate)]
        if method == "__call__" and ufunc.__name__ in UFUNCS and any(x.dtype.kind in "fO" for x in others):
            return apply_ufunc(ufunc, method, inputs, options)  # among floats it is a number
        return getattr(ufunc, method)(*map(_plain, inputs), **options)

    # ---- operators -------------------------------------------------------------------------------------------

    __lt__, __le__, __gt__, __ge__ = map(_order, (operator.lt, operator.le, operator.gt, operator.ge))
    __eq__, __ne__ = map(_order, (operator.eq, operator.ne))
    __add__, __radd__ = _of_ints(operator.add, "__add__"), _of_ints(operator.add, "__radd__")
    __sub__, __rsub__ = _of_ints(operator.sub, "__sub__"), _of_ints(operator.sub, "__rsub__")
    __mul__, __rmul__ = _of_ints(operator.mul, "__mul__"), _of_ints(operator.mul, "__rmul__")
    __truediv__, __rtruediv__ = _of_ints(operator.truediv, "__truediv__"), _of_ints(operator.truediv, "__rtruediv__")
    __pow__, __rpow__ = _power, _of_numbers("__rpow__")
    __neg__, __abs__ = _negative, _absolute
    __and__ = __rand__ = _logical("and", operator.and_)
    __or__ = __ror__ = _logical("or", operator.or_)
    __xor__ = __rxor__ = _logical("xor", operator.xor)
    __floordiv__, __rfloordiv__ = _of_bools(operator.floordiv), _of_bools_reflected(operator.floordiv)
    __mod__, __rmod__ = _of_bools(operator.mod), _of_bools_reflected(operator.mod)
    __divmod__, __rdivmod__ = _of_bools(divmod), _of_bools_reflected(divmod)
    __lshift__, __rlshift__ = _of_bools(operator.lshift), _of_bools_reflected(operator.lshift)
    __rshift__, __rrshift__ = _of_bools(operator.rshift), _of_bools_reflected(operator.rshift)
    __int__ = __index__ = __trunc__ = _of_bools(int)
    __float__, __complex__, __round__ = _of_bools(float), _of_bools(complex), _of_bools(round)
    __pos__, __invert__ = _of_bools(operator.pos), _of_bools(operator.invert)
    __str__, __repr__, __format__ = _of_bools(str), _of_bools(repr), _of_bools(format)
