"""Building programs: an instruction may be rewritten the moment it is emitted.

A rewriter looks at one instruction about to be emitted and answers with the number of an equal value, or None.
Replaying a program through a builder with some rewriters is a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from autograd.ieee import to_float
from autograd.jit.program import Guard, Instruction, Map, Program
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


class Predicate(Arithmetic):
    """A comparison of symbols; its truth, if anything asks for it, becomes a guard."""

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

    def __bool__(self) -> bool:
        return self.builder.truth(self.index)

    def __int__(self) -> int:
        return int(bool(self))

    __index__ = __int__

    def __float__(self) -> float:
        return float(bool(self))

    def __and__(self, other: Any) -> Any:
        return self.with_("and", other) if isinstance(other, Predicate) else other and self

    def __or__(self, other: Any) -> Any:
        return self.with_("or", other) if isinstance(other, Predicate) else other or self

    __rand__, __ror__ = __and__, __or__

    def with_(self, op: str, other: Predicate) -> Predicate:
        """The comparison that both of these, or either, come out true."""
        return Predicate(self.builder, self.builder.emit(op, (self.index, other.index)))

    def negated(self) -> Predicate:
        """True where this is false."""
        return Predicate(self.builder, self.builder.emit("not", (self.index,)))

    def _number(self) -> Any:
        return self.select(1.0, 0.0)

    def __eq__(self, other: object) -> Any:
        return self._number() == (other._number() if isinstance(other, Predicate) else other)

    def __ne__(self, other: object) -> Any:
        return self._number() != (other._number() if isinstance(other, Predicate) else other)

    __hash__ = object.__hash__


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
