"""Tracers: the Values that stand for the numbers of a program while it is captured."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from math import nan, prod
from pathlib import Path
from threading import get_ident
from types import CodeType
from typing import TYPE_CHECKING, Any

from autograd import rules
from autograd.compiler.capture.watched import Watched, innermost
from autograd.graphs import connected_copy
from autograd.ieee import to_float
from autograd.ir.builder import Predicate, Symbol
from autograd.modes import PACKAGES, caller, current_mode, inside_transform, keeps_copies
from autograd.native import completed, extension, fast
from autograd.refusals import advice_for_the_line
from autograd.rules import Rule
from autograd.tree import ArrayLeaf
from autograd.value import Value, _fill

AN_INDEX = "an index made"
ROUNDING = frozenset({"rint", "floor", "ceil", "trunc"})  # what Python rounds to an int
HERE = str(Path(__file__).parent)  # code that calls functions in place of the user's
FLOAT = "number"  # marks a "stop" that eager code has as a float


def _frozen(
    what: str, convert: Callable[[float], Any], may_be: Callable[[Watched, int], bool]
) -> Callable[[Traced], Any]:
    """A method that makes a plain number: of constants, and of whole numbers of which `may_be` says that they may be.

    The program then holds only while that whole number is the same.
    """

    def freeze(self: Traced) -> Any:
        trace = self.builder
        trace.check_in_use()
        if trace.is_constant(self.index) and what != AN_INDEX:
            return convert(trace.value(self.index))
        if may_be(trace, self.index):
            return convert(trace.whole_number(self.index))
        advice = advice_for_the_line() or (
            "compute with it (autograd.math), compare it, or make the argument static with jit(static_argnames=...)"
        )
        error = TypeError(
            f"{what} of a number that depends on an argument or on a Value from outside would freeze it, at "
            f"{caller()}: {advice}"
        )
        note_refusal(trace, error)
        raise error

    return freeze


def note_refusal(trace: Watched, error: Exception) -> None:
    """Let the capture fail even if the code catches an error: with a float it would do something else.

    With a Value it would do the same, under a transform or where there are Values from outside.
    """
    values = inside_transform.get() or trace.root().leaf_inputs
    if not values and not sys._getframe(2).f_code.co_filename.startswith(PACKAGES):
        trace.root().refused = error


def _is_whole(trace: Watched, value: int) -> bool:
    """Whether eager code has an int, or rounded the number to one."""
    return trace.is_count(value) or trace.code[value].op in ROUNDING


def _comparison(op: str, name: str) -> Callable[[Traced, Any], Any]:
    def compare(self: Traced, other: Any) -> Any:
        if not isinstance(other, (Value, Predicate, Symbol)):
            try:
                other = to_float(other)
            except TypeError:
                return NotImplemented
        trace = innermost((self, other))
        found = trace.predicate(trace.emit(op, (trace.place(self), trace.place(other))))
        return bool(found) if trace.decides_comparisons() else found

    compare.__qualname__ = f"Traced.{name}"
    return fast(compare)


IN_PLACE_OF_THE_USER: set[CodeType] = set()  # functions of ours that do what the user's code says at that place


def is_for_the_user(code: CodeType) -> bool:
    """Whether a number is a key of the user's, and not of ours."""
    return not code.co_filename.startswith(PACKAGES) or code in IN_PLACE_OF_THE_USER


class Traced(Value):
    """A Value whose operations are captured; it stands for a number that differs from call to call."""

    __slots__ = ("builder", "_index", "_array", "_offset")
    builder: Watched
    _index: int  # of its value in the program; below 0 while nothing has asked for it
    _array: int  # the array of which it is an element, or below 0
    _offset: int

    @classmethod
    @fast
    def of(cls, trace: Watched, value: int) -> Traced:
        """The tracer of a value of a program."""
        node: Any = cls.__new__(cls)
        _fill(node, nan, None, (), (), None, 0.0, None)
        node.builder, node._index, node._array, node._offset = trace, value, -1, 0
        traced: Traced = node
        return traced

    @classmethod
    @fast
    def element(cls, trace: Watched, array: int, offset: int) -> Traced:
        """The tracer of an element of an array; it is read when something computes with it."""
        node = cls.of(trace, -1)
        node._array, node._offset = array, offset
        return node

    @classmethod
    @fast
    def elements(cls, trace: Watched, array: int, count: int) -> list[Traced]:
        """The tracers of the first elements of an array."""
        return [cls.element(trace, array, k) for k in range(count)]

    @property
    def index(self) -> int:
        """The number of its value."""
        if self._index < 0:
            self._index = self.builder.element(self._array, self._offset)
        return self._index

    @classmethod
    @fast
    def apply_rule(cls, rule: Rule, operands: Sequence[Any]) -> Traced:
        """Write the operation down."""
        trace = innermost(operands)
        made = trace.apply(rule, operands)
        switches = current_mode()
        if switches is not None and not switches.recording:
            made = trace.emit("stop", (made,))
        return cls.of(trace, made)

    @property
    def data(self) -> Any:
        """The same number with its gradient cut; still traced."""
        return self.builder.as_plain(self._stop(FLOAT))

    @data.setter
    def data(self, number: float) -> None:
        raise AttributeError(
            f"data cannot be assigned inside a compiled function, at {caller()}: return the new number instead"
        )

    def detach(self) -> Traced:
        """The same number with its gradient cut."""
        return self._stop(None)

    @fast
    def _stop(self, kind: str | None) -> Traced:
        trace = innermost((self,))
        return Traced.of(trace, trace.emit("stop", (trace.place(self),), kind))

    def backward(self, seed: float = 1.0) -> None:
        """Not inside a compiled function."""
        raise TypeError(
            f"backward() cannot be compiled, at {caller()}: use autograd.grad inside jit, or call backward() on the "
            "result of the compiled function"
        )

    def __round__(self, digits: int | None = None) -> Value:
        rounded = Value.__round__(self, digits)
        return self.builder.as_int(rounded) if digits is None else rounded

    def __floor__(self) -> Value:
        return self.builder.as_int(rules.floor(self))

    def __ceil__(self) -> Value:
        return self.builder.as_int(rules.ceil(self))

    def __trunc__(self) -> Value:
        return self.builder.as_int(rules.trunc(self))

    def __bool__(self) -> bool:
        return bool(self != 0.0)

    def __repr__(self) -> str:
        trace = self.builder
        where = sys._getframe(1).f_code.co_filename
        told = where.startswith(PACKAGES) and not where.startswith(HERE)  # in a message of ours
        if told or trace.finished or trace.thread != get_ident():  # what shows it is no part of the function
            return f"Traced(v{self._index})"
        return format(self)

    def __format__(self, spec: str) -> str:
        self.builder.check_in_use()
        texts = self.builder.root().texts
        if texts.showing:
            texts.shown = True
            return format(float(self.builder.value(self.index)), spec)
        return format(self.builder.frozen(self.index), spec)  # the text may be read again as a number

    def __copy__(self) -> Value:
        return connected_copy(self)

    def __deepcopy__(self, memo: object) -> Value:
        return connected_copy(self) if keeps_copies() else self.detach()

    def __hash__(self) -> int:
        """That of the int for a count of comparisons, where it is a key of the user's: an equal int finds it."""
        counts = is_for_the_user(sys._getframe(1).f_code) and self.builder.is_count(self.index)
        return hash(int(self)) if counts else object.__hash__(self)

    __int__, __index__ = _frozen("int()", int, lambda trace, value: True), _frozen(AN_INDEX, int, _is_whole)
    __float__ = _frozen("float() (or a function of the math module)", float, Watched.is_count)
    __complex__ = _frozen("complex()", complex, Watched.is_count)
    as_integer_ratio = _frozen("as_integer_ratio()", float.as_integer_ratio, lambda trace, value: False)
    __lt__, __le__ = _comparison("<", "__lt__"), _comparison("<=", "__le__")
    __gt__, __ge__ = _comparison(">", "__gt__"), _comparison(">=", "__ge__")
    __eq__ = _comparison("==", "__eq__")
    __ne__ = _comparison("!=", "__ne__")


if not TYPE_CHECKING and extension is not None:
    Traced = completed(extension.Traced, Traced)


class TracedArray(ArrayLeaf):
    """An array of a program."""

    __slots__ = ("array", "builder")

    def __init__(self, builder: Watched, array: int, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.builder, self.array = builder, array

    def elements(self) -> list[Any]:
        """A tracer for each of its numbers."""
        return Traced.elements(self.builder, self.array, prod(self.shape))


def offsets_in_array(leaves: Sequence[Any]) -> list[int] | None:
    """The offsets of these if they are elements of one array."""
    if not leaves or type(leaves[0]) is not Traced or leaves[0]._array < 0:
        return None
    if set(map(type, leaves)) != {Traced} or len({id(x.builder) for x in leaves}) > 1:
        return None
    arrays = {x._array for x in leaves}
    return [x._offset for x in leaves] if len(arrays) == 1 and min(arrays) >= 0 else None


@fast
def evenly_apart(leaves: Sequence[Any], start: int, stop: int) -> tuple[int, int] | None:
    """The offset of the first and the distance of some of these, if they are elements of one array, evenly apart."""
    offsets = offsets_in_array(leaves[start:stop]) if stop <= len(leaves) else None
    if offsets is None:
        return None
    first, distance = offsets[0], offsets[1] - offsets[0] if len(offsets) > 1 else 1
    even = all(offset == first + k * distance for k, offset in enumerate(offsets))
    return (first, distance) if even and distance else None
