"""Building programs: an instruction may be rewritten the moment it is emitted.

A rewriter takes one instruction about to be emitted and returns the number of an equal value, or None.
Replaying a program through a builder with some rewriters is a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import nan
from typing import Any

from autograd.ieee import to_float
from autograd.ir.block import (
    COUNT,
    NUMBER,
    TYPED,
    Array,
    Extent,
    Guard,
    Instruction,
    Loop,
    Program,
    Type,
    Window,
    type_of,
    with_inputs,
)
from autograd.modes import caller
from autograd.rules import TABLE, Rule, rint, take
from autograd.symbols import Arithmetic

CALLED = frozenset({"fsum"})  # n-ary rows without an instruction: calls back into Python, as rules made by users
MOST_OPERANDS = 1024  # of a call into Python: ctypes takes no more
new_tuple = tuple.__new__  # makes an instance of a NamedTuple faster than its class does
Rewriter = Callable[["Builder", str, "tuple[int, ...]", Any], "int | None"]


def key_of(constant: float | bool) -> float | str:
    """Under what a constant is known: 0.0 is not -0.0, but nan is nan, and as a key True would be 1.0."""
    return repr(constant) if type(constant) is bool or constant != constant or constant == 0.0 else constant


def only(operations: Container[str]) -> Callable[[Rewriter], Rewriter]:
    """Mark a rewriter as one for these operations only: it is not called for others."""

    def mark(rewriter: Any) -> Rewriter:
        rewriter.operations = operations
        marked: Rewriter = rewriter
        return marked

    return mark


class Builder:
    """Builds a program; instructions of a `kept` operation are not rewritten."""

    # The C build reads the slots that have a name here, and writes to them late: see `_c/settle.h`.
    __slots__ = ("__dict__", "__weakref__", "body_of", "code", "constants", "guards", "known", "types")

    def __init__(self, rewriters: Sequence[Rewriter] = (), kept: Sequence[str] = ()) -> None:
        self.code: list[Instruction] = []
        self.inputs: list[Type] = []
        self.types: dict[int, Type] = {}  # of values that are no numbers
        self.tangent_items: dict[int, dict[int, int]] = {}  # of loops in the last forward sweep: result → its tangent
        self.gaps: set[int] = set()  # derivatives that may be 0 because no message arrived: see `reverse`
        # of the same loops: the results whose tangents are such, and whether that is only for want of a step
        self.tangent_gaps: dict[int, dict[int, bool]] = {}
        self.rewriters, self.kept = rewriters, kept
        self.rewriters_of: dict[str, Sequence[Rewriter]] = dict.fromkeys(kept, ())  # operation → those that look at it
        self.known: dict[Any, int] = {}
        self.constants: dict[float | str, int] = {}
        self.guards: list[Guard] = []
        self.moved: dict[int, int] = {}  # values of flat code → where loops compute them: see `rolling`
        self.body_of: LoopBuilder | None = None  # that of which this is the body

    def emit(self, op: str, operands: tuple[int, ...] = (), data: Any = None) -> int:
        """The number of the value that an instruction defines, new or known."""
        rewriters = self.rewriters_of.get(op)
        for rewrite in self._choose(op) if rewriters is None else rewriters:
            found = rewrite(self, op, operands, data)
            if found is not None:
                return found
        return self.append(new_tuple(Instruction, (op, operands, data)))

    def append(self, instruction: Instruction) -> int:
        """The number of the value of an instruction that is not rewritten."""
        code = self.code
        code.append(instruction)
        at = len(code) - 1
        if instruction[0] in TYPED and (kind := self._type(instruction)) != NUMBER:
            self.types[at] = kind
        return at

    def _type(self, instruction: Instruction) -> Type:
        if instruction.op == "item":
            kind: Type = self.code[instruction.operands[0]].data.result_types()[instruction.data]
        elif instruction.op in ("add_at", "pos"):
            kind = self.type_of(instruction.operands[0])
        else:
            kind = type_of(instruction, (), self.inputs)
        return kind

    def steps_of(self, value: int) -> int | None:
        """The number of steps of a loop, if that is decided while it runs."""
        operands, loop = self.code[value].operands, self.code[value].data
        if loop.test:
            return self.emit("item", (value,), COUNT)
        return operands[0] if loop.is_counted else None

    def replace_loop(self, value: int, loop: Loop) -> None:
        """Give a loop further results, and so the loop that rolling wrote in its place."""
        before = self.code[value].data
        self.code[value] = self.code[value]._replace(data=loop)
        if value in self.moved and self.code[self.moved[value]].data is before:
            self.replace_loop(self.moved[value], loop)

    def type_of(self, value: int) -> Type:
        """The type of a value."""
        return self.types.get(value, NUMBER)

    def _choose(self, op: str) -> Sequence[Rewriter]:
        chosen = [rewrite for rewrite in self.rewriters if op in getattr(rewrite, "operations", (op,))]
        return self.rewriters_of.setdefault(op, chosen)

    def input(self, kind: Type = NUMBER) -> int:
        """A new input."""
        self.inputs.append(kind)
        return self.emit("input", (), len(self.inputs) - 1)

    def constant(self, number: float) -> int:
        """The number of a constant; a program has each constant once."""
        key = key_of(number)
        if key not in self.constants:
            self.constants[key] = self.append(Instruction("constant", (), number))
        return self.constants[key]

    def truth_constant(self, truth: bool) -> int:
        """The number of a comparison whose outcome is known."""
        key = key_of(bool(truth))
        if key not in self.constants:
            self.constants[key] = self.append(Instruction("constant", (), bool(truth)))
        return self.constants[key]

    def replay(self, code: Sequence[Instruction], inputs: Sequence[int], merged: bool = True) -> list[int]:
        """Write instructions again on other inputs; where their values are. Unless `merged`, each gets a new number."""
        place: list[int] = []
        for op, operands, data in code:
            if op == "input":
                place.append(inputs[data])
            elif op == "constant":
                place.append(self.truth_constant(data) if isinstance(data, bool) else self.constant(data))
            else:
                new = tuple([place[o] for o in operands])
                place.append(self.emit(op, new, data) if merged else self.append(Instruction(op, new, data)))
        return place

    def number(self, value: int) -> float | None:
        """The float if a value is a constant, else None."""
        op, _, data = self.code[value]
        return data if op == "constant" and type(data) is float else None

    def negated(self, value: int) -> int:
        """The number of -value."""
        number = self.number(value)
        return self.emit("neg", (value,)) if number is None else self.constant(-number)

    def element(self, array: int, offset: int) -> int:
        """The number of an element of an array."""
        return self.emit("read", (array,), Window((), offset))

    def place(self, operand: Any) -> int:
        """The number of an operand: a symbol (of a program around, too), a comparison of symbols, or a constant."""
        if isinstance(operand, Symbol):
            return operand.index if operand.builder is self else self.shared(operand.builder, operand.index)
        if isinstance(operand, Predicate):
            return self.emit("select", (operand.index, self.constant(1.0), self.constant(0.0)))
        return self.constant(operand if type(operand) is float else to_float(operand))

    def places(self, operands: Sequence[Any]) -> tuple[int, ...]:
        """The numbers of operands."""
        return tuple([self.place(operand) for operand in operands])

    def shared(self, around: Builder, value: int) -> int:
        """A value of a program around this one, which is the body of a loop there."""
        made = self.body_of
        assert made is not None
        return made.shared(value if made.outer is around else made.outer.shared(around, value))

    def apply(self, rule: Rule, operands: Sequence[Any]) -> int:
        """Emit a primitive of the table (or one made by a user) on symbols and numbers."""
        places = self.places(operands)
        if rule is take:
            return self.element_at(operands)
        if TABLE.get(rule.name) is rule and rule.name not in CALLED:
            return self.emit(rule.name, places)
        if len(places) > MOST_OPERANDS:
            raise TypeError(
                f"{rule.name} of {len(places):,} operands cannot be compiled, at {caller()}: that calls Python, "
                f"with at most {MOST_OPERANDS} numbers. Add up fewer, or use autograd.math.sum"
            )
        return self.emit("custom", places, rule)

    def element_at(self, operands: Sequence[Any]) -> int:
        """The element of an array at a computed number: nan where there is none."""
        index, count = self.place(operands[0]), len(operands) - 1
        nearest = self.wrap(self.place(rint(self.wrap(index))))
        inside = self.predicate(self.emit(">=", (nearest.index, self.constant(0.0)))).with_(
            "and", self.predicate(self.emit("<=", (nearest.index, self.constant(count - 1.0))))
        )
        at = self.place(inside.select(nearest, 0.0))
        array, first, step = self.gathered(operands[1:])
        found = self.emit("read", (array, at), Window((), first, (), (step,)))
        return self.place(inside.select(self.wrap(found), nan))

    def gathered(self, operands: Sequence[Any]) -> tuple[int, int, int]:
        """An array in which these numbers lie evenly apart, the first of them, and how far apart they are."""
        return self.emit("pack", tuple([self.place(x) for x in operands]), (len(operands),)), 0, 1

    def symbol(self, value: int) -> Any:
        """A value as the primitives of the table take it: a float if it is constant, else a symbol."""
        number = self.number(value)
        return Symbol(self, value) if number is None else number

    def wrap(self, value: int) -> Any:
        """A value as an operand of formulas."""
        return Symbol(self, value)

    def predicate(self, value: int) -> Predicate:
        """A truth as a condition."""
        return Predicate(self, value)

    def logic(self, op: str, predicates: Sequence[Predicate]) -> Predicate:
        """A comparison made of others."""
        return self.predicate(self.emit(op, tuple([p.index for p in predicates])))

    def truth(self, predicate: int) -> bool:
        """The outcome of a comparison; only a capture knows it."""
        raise TypeError("a comparison of symbols has no truth value: use select")

    def body_input(self, kind: Type, role: str, operand: int) -> int:
        """A new input of a loop's body; a capture notes what it is in the step that it watches."""
        return self.input(kind)

    def inner(self) -> Builder:
        """The builder for the body of a loop of this program."""
        return Builder(self.rewriters, self.kept)

    def watched(self) -> AbstractContextManager[None]:
        """In its `with` block, derivatives that users wrote belong to this program."""
        return nullcontext()

    def where(self, value: int, before: int | None = None) -> int:
        """Where a value is computed by loops, as far as an instruction after them uses it; else where it was."""
        while value in self.moved and (before is None or self.moved[value] < before):
            value = self.moved[value]
        return value

    def settled(self) -> list[Instruction]:
        """The code in which what was rolled is used from then on, so that flat copies of it are dead."""
        if not self.moved:
            return self.code
        code = list(self.code)
        moved, first = self.moved, min(self.moved.values())
        for at in range(first, len(code)):
            op, operands, data = code[at]
            if not moved.keys().isdisjoint(operands):
                code[at] = Instruction(op, tuple([self.where(o, at) for o in operands]), data)
        return code

    def program(self, outputs: Sequence[int]) -> Program:
        """The program that has been built."""
        guards = [g._replace(value=self.where(g.value)) for g in self.guards] if self.moved else self.guards
        return Program(self.settled(), [self.where(o) for o in outputs], tuple(self.inputs), guards)


class LoopBuilder:
    """Builds a loop: the inputs of its body come in any order, each with its operand in the enclosing program."""

    __slots__ = ("__dict__", "known")  # the latter for the C build

    def __init__(
        self,
        outer: Builder,
        inner: Builder,
        extent: Extent,
        backwards: bool = False,
        steps: int | None = None,
        test: bool = False,
    ) -> None:
        self.outer, self.inner, self.extent, self.backwards, self.test = outer, inner, extent, backwards, test
        inner.body_of = self
        self.counter = inner.body_input(NUMBER, "counter", -1)
        # for each class of inputs, operand in the program around and number of the input
        self.given: dict[str, list[tuple[int, int]]] = {"shared": [], "carry": [], "accumulator": [], "element": []}
        self.known: dict[int, int] = {}  # shared operand → value of the body
        if steps is not None:
            self.known[steps] = self._input("shared", steps, NUMBER)

    def _input(self, role: str, operand: int, kind: Type) -> int:
        value = self.inner.body_input(kind, role, operand)
        self.given[role].append((operand, len(self.inner.inputs) - 1))
        return value

    def shared(self, operand: int) -> int:
        """A value that all steps share."""
        if operand not in self.known:
            number = self.outer.number(operand)
            if number is not None:
                return self.inner.constant(number)
            self.known[operand] = self._input("shared", operand, self.outer.type_of(operand))
        return self.known[operand]

    def carry(self, initial: int) -> int:
        """A carry, which one step hands to the next."""
        return self._input("carry", initial, NUMBER)

    def accumulator(self, initial: int) -> int:
        """An array into which the steps add."""
        return self._input("accumulator", initial, self.outer.type_of(initial))

    def element(self, array: int) -> int:
        """The element of an array in each step."""
        kind = self.outer.type_of(array)
        assert isinstance(kind, Array)
        return self._input("element", array, kind.rest())

    def finish(
        self,
        handed: Sequence[int],
        outs: Sequence[tuple[int, str]],
        primal: Loop | None = None,
        stored: int | None = None,
    ) -> int:
        """Emit the loop: the carries and accumulators after a step, and the other results with their kinds."""
        roles = self.given
        given = [*roles["shared"], *roles["carry"], *roles["accumulator"], *roles["element"]]
        order = [0, *[number for _, number in given]]
        inner = self.inner
        outputs = [inner.where(value) for value in (*handed, *[value for value, _ in outs])]
        body = Program(
            with_inputs(inner.settled(), order), outputs, tuple([inner.inputs[k] for k in order]), inner.guards
        )
        if inner.moved:
            from autograd.ir.rewrite import without_dead_code

            body = without_dead_code(body)
        kinds = tuple([kind for _, kind in outs])
        sizes = len(roles["shared"]), len(roles["carry"]), len(roles["accumulator"])
        loop = Loop(body, self.extent, *sizes, kinds, self.backwards, primal, stored, self.test)
        return self.outer.emit("loop", tuple([operand for operand, _ in given]), loop)


def _comparison(op: str) -> Callable[[Any, Any], Any]:
    def compare(self: Any, other: Any) -> Any:
        builder = _innermost([self.builder, getattr(other, "builder", self.builder)])
        return builder.predicate(builder.emit(op, (builder.place(self), builder.place(other))))

    return compare


def _innermost(builders: Sequence[Builder]) -> Builder:
    """The builder whose program is inside the programs of all others."""
    found = builders[0]
    for builder in builders[1:]:
        inner: Builder | None = builder
        while inner is not None and inner is not found:
            inner = None if inner.body_of is None else inner.body_of.outer
        if inner is found:
            found = builder
    return found


class Symbol(Arithmetic):
    """A value of a program that is being built; arithmetic on it emits instructions."""

    __slots__ = ("builder", "index")

    def __init__(self, builder: Builder, index: int) -> None:
        self.builder, self.index = builder, index

    @classmethod
    def apply_rule(cls, rule: Rule, operands: Sequence[Any]) -> Any:
        """Emit the rule's instruction into the program of its operands."""
        builder = _innermost([o.builder for o in operands if isinstance(o, (Symbol, Predicate))])
        return Symbol(builder, builder.apply(rule, operands))

    __lt__, __le__ = _comparison("<"), _comparison("<=")
    __gt__, __ge__ = _comparison(">"), _comparison(">=")
    __eq__ = _comparison("==")
    __ne__ = _comparison("!=")
    __hash__ = object.__hash__


def _combined(op: str) -> Callable[[Predicate, Any], Any]:
    def combine(self: Predicate, other: Any) -> Any:
        if type(other) is bool:
            return {"and": (False, self), "or": (self, True)}[op][other]
        return self.with_(op, other) if isinstance(other, Predicate) else NotImplemented

    return combine


class Predicate(Arithmetic):
    """A comparison of symbols: a condition for `select`, combined with others by ``&`` and ``|``."""

    __slots__ = ("builder", "index")

    def __init__(self, builder: Builder, index: int) -> None:
        self.builder, self.index = builder, index

    @classmethod
    def apply_rule(cls, rule: Rule, operands: Sequence[Any]) -> Any:
        """Apply the rule as the other operands do; among numbers, a comparison is 1 or 0."""
        for operand in operands:
            if not isinstance(operand, Predicate) and hasattr(operand, "apply_rule"):
                return operand.apply_rule(rule, operands)
        builder: Builder = next(o.builder for o in operands if isinstance(o, Predicate))
        return builder.wrap(builder.apply(rule, operands))

    def select(self, if_true: Any, if_false: Any) -> Any:
        """One of two values by this comparison; None stands for no message."""
        if _no_message(if_true) or _no_message(if_false):
            return Selected(self, if_true, if_false)
        places = (self.index, self.builder.place(if_true), self.builder.place(if_false))
        return self.builder.wrap(self.builder.emit("select", places))

    def with_(self, op: str, other: Predicate) -> Predicate:
        """Both comparisons (``and``), at least one of them (``or``), or exactly one (``xor``)."""
        if op == "xor":
            return self.with_("or", other).with_("and", self.with_("and", other).negated())
        return self.builder.logic(op, (self, other))

    def negated(self) -> Predicate:
        """True where this is false."""
        return self.builder.logic("not", (self,))

    def number(self) -> Any:
        """1 where this is true, else 0."""
        return self.select(1.0, 0.0)

    def __bool__(self) -> bool:
        return self.builder.truth(self.index)

    __and__, __or__ = _combined("and"), _combined("or")


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
