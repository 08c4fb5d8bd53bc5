"""Building programs: an instruction may be rewritten the moment it is emitted.

A rewriter looks at one instruction about to be emitted and answers with the number of an equal value, or None.
Replaying a program through a builder with some rewriters is a pass.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager, nullcontext
from numbers import Real
from typing import Any

import numpy as np

from autograd.arrays import UFUNCS, apply_ufunc
from autograd.ieee import to_float
from autograd.ir.block import Guard, Instruction, Map, Program
from autograd.modes import caller
from autograd.rules import TABLE, Rule
from autograd.symbols import Arithmetic

CALLED = frozenset({"fsum"})  # n-ary rows without an instruction: calls back into Python, as rules made by users
MOST_OPERANDS = 1024  # of a call into Python: ctypes takes no more
Rewriter = Callable[["Builder", str, "tuple[int, ...]", Any], "int | None"]


def only(operations: Container[str]) -> Callable[[Rewriter], Rewriter]:
    """Mark a rewriter as one that looks at these operations alone: it is not asked about others."""

    def mark(rewriter: Any) -> Rewriter:
        rewriter.operations = operations
        marked: Rewriter = rewriter
        return marked

    return mark


class Builder:
    """A program in the making; instructions of a `kept` operation are not rewritten."""

    def __init__(self, rewriters: Sequence[Rewriter] = (), kept: Sequence[str] = ()) -> None:
        self.code: list[Instruction] = []
        self.rewriters, self.kept = rewriters, kept
        self.rewriters_of: dict[str, Sequence[Rewriter]] = dict.fromkeys(kept, ())  # operation → those that look at it
        self.known: dict[Any, int] = {}
        self.constants: dict[Any, int] = {}
        self.guards: list[Guard] = []
        self.lifted_inputs: list[tuple[int, int]] = []  # values of the program around → numbers of inputs

    def emit(self, op: str, operands: tuple[int, ...] = (), data: Any = None) -> int:
        """The number of the value that an instruction defines, new or known."""
        rewriters = self.rewriters_of.get(op)
        for rewrite in self._choose(op) if rewriters is None else rewriters:
            found = rewrite(self, op, operands, data)
            if found is not None:
                return found
        self.code.append(Instruction(op, operands, data))
        return len(self.code) - 1

    def _choose(self, op: str) -> Sequence[Rewriter]:
        chosen = [rewrite for rewrite in self.rewriters if op in getattr(rewrite, "operations", (op,))]
        return self.rewriters_of.setdefault(op, chosen)

    def constant(self, number: float) -> int:
        """The number of a constant; each is there once."""
        key = number.hex()  # tells 0.0 from -0.0 and knows nan
        if key not in self.constants:
            self.code.append(Instruction("constant", (), number))
            self.constants[key] = len(self.code) - 1
        return self.constants[key]

    def truth_constant(self, truth: bool) -> int:
        """The number of a comparison whose outcome is known."""
        if truth not in self.constants:
            self.code.append(Instruction("constant", (), bool(truth)))
            self.constants[truth] = len(self.code) - 1
        return self.constants[truth]

    def number(self, value: int) -> float | None:
        """The float if a value is a constant, else None."""
        op, _, data = self.code[value]
        return data if op == "constant" and type(data) is float else None

    def negated(self, value: int) -> int:
        """The number of -value."""
        number = self.number(value)
        return self.emit("neg", (value,)) if number is None else self.constant(-number)

    def place(self, operand: Any) -> int:
        """The number of an operand: a symbol, a comparison of symbols, or a constant."""
        if isinstance(operand, Symbol):
            return operand.index
        if isinstance(operand, Predicate):
            return self.emit("select", (operand.index, self.constant(1.0), self.constant(0.0)))
        return self.constant(operand if type(operand) is float else to_float(operand))

    def apply(self, rule: Rule, operands: Sequence[Any]) -> int:
        """Emit a row of the table (or a rule made by a user) on symbols and numbers."""
        places = tuple([self.place(operand) for operand in operands])
        if TABLE.get(rule.name) is rule and rule.name not in CALLED:
            return self.emit(rule.name, places)
        if len(places) > MOST_OPERANDS:
            raise TypeError(
                f"{rule.name} of {len(places):,} operands cannot be compiled, at {caller()}: that calls Python, "
                f"with at most {MOST_OPERANDS} numbers. Add up fewer, or use autograd.math.sum"
            )
        return self.emit("custom", places, rule)

    def symbol(self, value: int) -> Any:
        """A value as the rows of the table take it: a float if it is constant, else a symbol."""
        number = self.number(value)
        return Symbol(self, value) if number is None else number

    def wrap(self, value: int) -> Any:
        """A value as an operand of formulas."""
        return Symbol(self, value)

    def logic(self, op: str, predicates: Sequence[Predicate]) -> Predicate:
        """A comparison made of others."""
        return Predicate(self, self.emit(op, tuple([p.index for p in predicates])))

    def truth(self, predicate: int) -> bool:
        """What a comparison comes out as; only a capture knows."""
        raise TypeError("a comparison of symbols has no truth value: use select")

    def inner(self, mapped: Map, shared_seeds: Sequence[int], seeds: Sequence[int]) -> Builder:
        """Where the adjoint of a map's body is built; its seeds in this program, of the first row where they differ."""
        return Builder(self.rewriters, self.kept)

    def watched(self) -> AbstractContextManager[None]:
        """In its `with` block, derivatives that users wrote belong to this program."""
        return nullcontext()

    def keep_sample(self, mapped: Map, inner: Builder, order: Sequence[int]) -> None:
        """What a capture notes of a new map: the old numbers of its inputs, in order."""

    def program(self, outputs: Sequence[int], inputs: int) -> Program:
        """What has been built."""
        return Program(self.code, list(outputs), inputs)


def _comparison(op: str) -> Callable[[Any, Any], Any]:
    def compare(self: Any, other: Any) -> Any:
        return Predicate(self.builder, self.builder.emit(op, (self.index, self.builder.place(other))))

    return compare


class Symbol(Arithmetic):
    """A value of a program in the making; arithmetic on it emits instructions."""

    __slots__ = ("builder", "index")

    def __init__(self, builder: Builder, index: int) -> None:
        self.builder, self.index = builder, index

    @classmethod
    def apply_rule(cls, rule: Rule, operands: Sequence[Any]) -> Any:
        """Emit the rule's instruction into the program of its operands."""
        builder: Builder = next(o.builder for o in operands if isinstance(o, (Symbol, Predicate)))
        return Symbol(builder, builder.apply(rule, operands))

    __lt__, __le__ = _comparison("<"), _comparison("<=")
    __gt__, __ge__ = _comparison(">"), _comparison(">=")
    __eq__ = _comparison("==")
    __ne__ = _comparison("!=")
    __hash__ = object.__hash__


def _plain(operand: Any) -> Any:
    return bool(operand) if isinstance(operand, Predicate) else operand


def _has_own_way(operand: Any) -> bool:
    """Whether an operand does its arithmetic itself: a tracer, a Value or a symbol."""
    return hasattr(type(operand), "apply_rule") and not isinstance(operand, Predicate)


def _order(compare: Callable[[Any, Any], Any]) -> Callable[[Predicate, Any], Any]:
    def method(self: Predicate, other: Any) -> Any:
        return compare(self._number(), other._number() if isinstance(other, Predicate) else other)

    return method


def _of_numbers(name: str) -> Callable[..., Any]:
    """An operator of arithmetic, on numbers alone: a list or a text is repeated, an array does it its own way."""
    method: Callable[..., Any] = getattr(Arithmetic, name)

    def operate(self: Predicate, *others: Any) -> Any:
        numbers = all(isinstance(other, Real) or hasattr(type(other), "apply_rule") for other in others)
        return method(self, *others) if numbers else NotImplemented

    return operate


def _of_bools(function: Callable[..., Any]) -> Callable[..., Any]:
    """A use of a bool that a program has no instruction for."""

    def use(self: Predicate, *others: Any) -> Any:
        return NotImplemented if any(map(_has_own_way, others)) else function(bool(self), *map(_plain, others))

    return use


def _of_bools_reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    def use(self: Predicate, other: Any) -> Any:
        return NotImplemented if _has_own_way(other) else function(_plain(other), bool(self))

    return use


def _logical(op: str, function: Callable[[Any, Any], Any]) -> Callable[[Predicate, Any], Any]:
    def combine(self: Predicate, other: Any) -> Any:
        if isinstance(other, Predicate):
            return self.with_(op, other)
        if type(other) is bool:
            return {"and": (False, self), "or": (self, True), "xor": (self, self.negated())}[op][other]
        return function(bool(self), other) if isinstance(other, int) else NotImplemented

    return combine


class Predicate(Arithmetic):
    """A comparison of symbols, in place of a bool.

    Combined with others by ``&``, ``|`` and ``^``, as a condition of `where`, or as a number (1 or 0), it is a part
    of the program. Whatever else Python does with a bool asks for its truth, which becomes a guard, and gets the answer
    that the bool would give. Only ``is`` and ``type()`` see through it: see `autograd.compiler.capture.identity`.
    """

    __slots__ = ("builder", "index")

    def __init__(self, builder: Builder, index: int) -> None:
        self.builder, self.index = builder, index

    @classmethod
    def apply_rule(cls, rule: Rule, operands: Sequence[Any]) -> Any:
        """As the other operands would: a comparison among numbers is 1 or 0."""
        for operand in operands:
            if not isinstance(operand, cls) and hasattr(operand, "apply_rule"):
                return operand.apply_rule(rule, operands)
        builder: Builder = next(o.builder for o in operands if isinstance(o, cls))
        return builder.wrap(builder.apply(rule, operands))

    def select(self, if_true: Any, if_false: Any) -> Any:
        """One of two values by this comparison; None stands for no message."""
        if _no_message(if_true) or _no_message(if_false):
            return Selected(self, if_true, if_false)
        places = (self.index, self.builder.place(if_true), self.builder.place(if_false))
        return self.builder.wrap(self.builder.emit("select", places))

    def with_(self, op: str, other: Predicate) -> Predicate:
        """The comparison that both of these, or either, come out true, or just one of them (``xor``)."""
        if op == "xor":
            return self.with_("or", other).with_("and", self.with_("and", other).negated())
        return self.builder.logic(op, (self, other))

    def negated(self) -> Predicate:
        """True where this is false."""
        return self.builder.logic("not", (self,))

    def _number(self) -> Any:
        return self.select(1.0, 0.0)

    def __bool__(self) -> bool:
        return self.builder.truth(self.index)

    @property  # type: ignore[misc]  # it is never assigned
    def __class__(self) -> Any:  # what isinstance() goes by
        return bool

    def __getattr__(self, name: str) -> Any:
        if not hasattr(bool, name):
            raise AttributeError(f"a bool has no attribute {name!r}", name=name, obj=self)
        return getattr(bool(self), name)

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
    __add__, __radd__ = _of_numbers("__add__"), _of_numbers("__radd__")
    __sub__, __rsub__ = _of_numbers("__sub__"), _of_numbers("__rsub__")
    __mul__, __rmul__ = _of_numbers("__mul__"), _of_numbers("__rmul__")
    __truediv__, __rtruediv__ = _of_numbers("__truediv__"), _of_numbers("__rtruediv__")
    __pow__, __rpow__ = _of_numbers("__pow__"), _of_numbers("__rpow__")
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


def _no_message(derivative: Any) -> bool:
    return derivative is None or isinstance(derivative, Selected)


class Selected:
    """A local derivative that is None (no message) on one side of a comparison."""

    __slots__ = ("condition", "if_true", "if_false")

    def __init__(self, condition: Predicate, if_true: Any, if_false: Any) -> None:
        self.condition, self.if_true, self.if_false = condition, if_true, if_false

    def message(self, adjoint: Any) -> Any:
        """The adjoint times the derivative; 0 where nothing is sent, whatever the adjoint."""
        return self.condition.select(
            *[0.0 if side is None else times(adjoint, side) for side in (self.if_true, self.if_false)]
        )


def times(adjoint: Any, derivative: Any) -> Any:
    """The message that an adjoint sends over a local derivative."""
    return derivative.message(adjoint) if isinstance(derivative, Selected) else adjoint * derivative
