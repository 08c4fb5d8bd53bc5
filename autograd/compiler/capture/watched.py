"""A program being captured, together with the numbers of the run that is being watched."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from math import copysign, nan
from threading import get_ident
from types import CodeType
from typing import Any, Literal
from weakref import WeakValueDictionary

from autograd.compiler.capture.counters import Reached
from autograd.compiler.capture.texts import Texts
from autograd.compiler.source.identity import asks_for_real_bools, calling_code, indexes_by_comparison
from autograd.ir.block import CALL, NUMBER, Array, Guard, Program, Type, types_of
from autograd.ir.builder import Builder, Predicate, key_of
from autograd.ir.derive.messages import FRESH, mapped_rewriters
from autograd.ir.evaluate import Cells, Evaluator
from autograd.modes import caller, calling_frame, current_recorder, place_of
from autograd.native import extension, fast
from autograd.value import Value

# Of comparisons these make whole numbers.
COUNTING = frozenset({"select", "where", "add", "sub", "mul", "neg", "abs", "sum", "floordiv", "mod"})
OF_INTS = frozenset(  # of ints they make ints
    ["abs", "add", "floordiv", "max", "min", "mod", "mul", "neg", "pos", "pow", "select", "stop", "sub", "where"]
)
MOST_COMPARISONS = 16  # in one run of a step that branches; with more, its loop is unrolled
ONE_ROW = Evaluator({CALL: 1}, copies=True)  # what a capture watches of a batch is one row


@dataclass(frozen=True)
class Reason:
    """Why a map or a loop is not one of the program: a kind, and what a user is told."""

    kind: Literal["comparison", "branches", "python", "shapes", "rows", "spent", "sweep", "number"]
    told: str
    where: str = "rows of a vmap"  # what was unrolled


class UnrollError(NotImplementedError):
    """A map or loop cannot be one of the program; the capture runs its rows or steps one after another."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.told)
        self.reason = reason


class InTurnError(NotImplementedError):
    """A map or loop cannot be one of the program, and its code has run: what it changed stays changed.

    So the whole function is captured again, and runs the rows or steps of this one in turn from the start.
    """

    def __init__(self, number: int, reason: Reason) -> None:
        super().__init__(reason.told)
        self.number, self.reason = number, reason


class DifferentRunError(TypeError):
    """A row or a step computes something else when it runs again."""


@dataclass
class Decisions:
    """How comparisons come out in one run of what may branch: the first ones as they are `forced` to.

    `around` has those of the run in whose course this one is.
    """

    forced: tuple[bool, ...] = ()
    around: Decisions | None = None
    taken: dict[int, bool] = field(default_factory=dict)

    def outcome(self, trace: Watched, predicate: int) -> bool:
        """How a comparison comes out: unless it is forced, as the watched numbers say."""
        if predicate not in self.taken:
            at = len(self.taken)
            if at == MOST_COMPARISONS:
                where = f"more than {MOST_COMPARISONS} comparisons in a step, the last at {caller(source=True)}"
                raise UnrollError(Reason("branches", where))
            self.taken[predicate] = self.forced[at] if at < len(self.forced) else bool(trace.value(predicate))
        return self.taken[predicate]


class Watched(Builder):
    """A program and the numbers of one run of it, computed when something asks for them.

    What may depend on them: how comparisons come out (`truth`), and whether eager code has a float or a whole number.
    """

    # Read by the C build.
    __slots__ = (
        "deciding", "finished", "flow", "flows", "given", "guarded", "journal", "leaves", "lines", "made", "maps",
        "numbers", "parent", "plain", "sides", "taken", "thread", "whole_numbers",
    )  # fmt: skip  # a list of words

    def __init__(self, parent: Watched | None = None, real_bools: bool = False, maps: bool = True) -> None:
        super().__init__(mapped_rewriters(), FRESH)
        if extension is not None:
            self.known = extension.Known()
        self.parent = parent
        self.real_bools = real_bools  # of the root: comparisons are guards at once
        # Code to which they need not be bools, by id: to hash code takes long.
        self.plain: dict[int, CodeType] = {} if parent is None else parent.plain
        # Of the root: demands are guards that hold, whatever the watched numbers say: see `demand`.
        self.assumes = False
        self.maps = maps  # whether `vmap` and `scan` are loops; or else their steps are computed one after another
        self.loops = 0  # of the root: how many maps and loops have begun
        self.in_turn: dict[int, Reason] = {}  # of the root: the numbers of those whose rows run in turn, and why
        self.finished = False
        self.thread = get_ident()
        self.made_elsewhere: WeakValueDictionary[int, Value] = WeakValueDictionary()  # by id, by threads not traced
        self.numbers: dict[int, Any] = {}
        self.given: list[Any] = []  # what every input is in this run, or a function that tells
        self.leaves: dict[Any, int] = {}  # Values from outside → where they are
        self.leaf_inputs: list[tuple[Value, int]] = []  # in the order of their inputs
        self.hoisted: dict[int, int | None] = {}  # values → where they are in the parent, if all rows share them
        self.constancy: dict[int, bool] = {}  # whether values depend on no input
        self.guarded: set[int] = set()
        self.lines: dict[tuple[int, int], tuple[CodeType, str]] = {}  # of guards, by code and offset; it keeps the code
        self.row = 0  # which row of a map is watched
        self.taken: dict[int, bool] | None = None  # how comparisons of a row came out, where branches become masks
        self.deciding: Decisions | None = None  # how comparisons come out, where all branches are captured
        self.demands: list[tuple[Predicate, Callable[[], Exception]]] = []  # of a step: see `demand`
        self.unrolled: dict[Reason, int] = {}  # of the root: why maps were unrolled → how many rows they had
        self.wholes: set[int] = set()  # numbers of which eager code has ints: after branches, and in carries
        self.mixed: set[int] = set()  # numbers of which eager code has ints on some paths and floats on others
        self.unmixed: set[int] = set()  # numbers of which it is known that they are not
        self.truths: set[int] = set()  # comparisons of a number that is 1 or 0
        self.spent = 0  # of the root: instructions of the steps of loops that are complete
        self.journal: Any = None  # of the root: what the side that is captured now assigns, see `journal`
        # Of the root: by id, things that the function made, and in which journal.
        self.made: dict[int, tuple[Any, Any]] = {}
        self.too_deep: set[Any] = set()  # of the root: branches of functions that call themselves too often
        self.attempts: list[Any] = []  # of the root: the bodies of `try` that are captured now
        self.numbers_of_texts: dict[Any, int] = {}  # of the root
        self.may_change = True  # of the root: whether the code may change what it reads, see `repeats`
        self.outside: frozenset[int] = frozenset()  # of the root: lists from before the call that it may read, by id
        # Of the root: the containers that the functions of rows and steps may use, each with its class and contents.
        self.around: list[tuple[Any, Any, list[Any]]] = []
        self.reached: list[Reached] = []  # of the root: what the rows and steps that are captured now may use
        self.repeating = False  # of the root: whether a row or a step runs again
        self.repeated = False  # whether it has what a second run computed
        self.sides = 0  # of the root: how many sides of branches and steps of loops are open, one inside the other
        self.whole_numbers = False  # of the root: whether an int of eager code is a number of the program
        self.texts: Texts = Texts() if parent is None else parent.texts
        self.raises = False  # of the root: whether arithmetic of plain numbers may raise, as Python's does
        self.spoiled = False  # of the root: whether the code asked what a whole number of the program cannot answer
        self.refused: Exception | None = None  # of the root: what the code was told that asked for a plain float
        self.exact = False  # of the root: whether the machine code must have the bits of eager code
        self.ints = True  # of the root: whether ints that numbers are rounded to may be numbers of the program
        self.rounded = False  # of the root: whether any is
        self.flows = True  # of the root: whether branches and loops of the source may be part of the program
        self.flow: dict[Any, str | None] = {}  # of the root: branches and loops of the source → why they are guards

    def input(self, kind: Type = NUMBER, given: Any = nan) -> int:
        """A new input; `given` is what it is in this run: a number, a list of numbers, or a function that tells."""
        self.given.append(given)
        return super().input(kind)

    def body_input(self, kind: Type, role: str, operand: int) -> int:
        """A new input of a loop's body, which is watched in its first step."""
        parent = self.parent
        assert parent is not None
        if role == "counter":
            return self.input(kind, 0.0)
        value = self.input(
            kind, lambda: parent.value(operand).row(self.row) if role == "element" else parent.value(operand)
        )
        if role == "shared":
            self.hoisted[value] = operand
        return value

    @property
    def rows_branch(self) -> bool:
        """Whether a guard may hold for some rows and not for others; else it unrolls the map."""
        return self.body_of is None or self.body_of.extent == CALL

    def root(self) -> Watched:
        """The program around all others: that of the compiled function."""
        trace = self
        while trace.parent is not None:
            trace = trace.parent
        return trace

    def prints(self) -> None:
        """The function prints something: it must not run twice."""

    def as_int(self, rounded: Value) -> Value:
        """A number that Python's own rounding makes an int."""
        return rounded

    def as_plain(self, number: Any) -> Any:
        """A number that eager code has as a float, and not as a Value."""
        return number

    def note_unrolled(self, rows: int, why: Reason) -> None:
        """A map becomes as many copies of its row as it has rows."""
        self.unrolled[why] = self.unrolled.get(why, 0) + rows

    def check_in_use(self) -> None:
        """Raise if the function that was captured has returned, or another thread runs now."""
        if self.finished and self.parent is not None:
            raise TypeError(
                f"a number of one row is used after its row, at {caller()}: compiled, all rows are computed at once. "
                "Return it from the mapped function instead of keeping it in a list, a variable or an attribute"
            )
        if self.finished:
            raise TypeError(
                f"a number traced by one compilation was used in another, or after it, at {caller()}: do not keep "
                "traced values in globals, lists or attributes; return them from the compiled function instead"
            )
        if self.thread != get_ident():
            raise TypeError(
                f"a number of a compiled function is used in another thread, at {caller()}: what threads do cannot be "
                "captured. Compute in the thread that calls the function, or compile what the threads run"
            )

    def decides_comparisons(self) -> bool:
        """Whether a comparison must be a real bool, because the code can distinguish a traced one from a bool."""
        root = self.root()
        if root.real_bools:
            return True
        code = calling_code()
        root.real_bools = asks_for_real_bools(code)
        if root.real_bools:
            self.plain.clear()
        elif not indexes_by_comparison(code):
            self.plain[id(code)] = code
        return id(code) not in self.plain

    # ---- the numbers of the run --------------------------------------------------------------------------------

    def value(self, wanted: int) -> Any:
        """The number (or truth) of a value in this run, computed when something asks for it."""
        stack = [wanted]
        while stack:
            at = stack[-1]
            instruction = self.code[at]
            missing = [o for o in instruction.operands if o not in self.numbers]
            if at in self.numbers or not missing:
                stack.pop()
            if at not in self.numbers:
                if missing:
                    stack += missing
                elif instruction.op == "input":
                    self.numbers[at] = self._given(instruction.data)
                else:
                    operands = [self.numbers[o] for o in instruction.operands]
                    self.numbers[at] = ONE_ROW.instruction(instruction, operands)
        return self.numbers[wanted]

    def _given(self, number: int) -> Any:
        """What an input is in this run."""
        given, kind = self.given[number], self.inputs[number]
        found = given() if callable(given) else given
        if isinstance(kind, Array) and isinstance(found, (list, tuple)):
            found = Cells(list(found), tuple([1 if extent == CALL else int(extent) for extent in kind.shape]))
        return found

    def needed(self, value: int, known: Container[int]) -> list[int]:
        """All values that a value depends on, and itself, in order; those that are known, and theirs, are left out."""
        found: set[int] = set()
        stack = [value]
        while stack:
            at = stack.pop()
            if at not in known and at not in found:
                found.add(at)
                stack += self.code[at].operands
        return sorted(found)

    def is_constant(self, value: int) -> bool:
        """Whether a value depends on no input."""
        for at in self.needed(value, self.constancy):
            op, operands, _ = self.code[at]
            self.constancy[at] = op != "input" and all(self.constancy[o] for o in operands)
        return self.constancy[value]

    def is_count(self, value: int) -> bool:
        """Whether eager code has an int: comparisons and whole numbers, added up, multiplied, or divided by an int."""
        stack, seen = [value], {value}
        for at in stack:
            op, operands, data = self.code[at]
            if at in self.wholes:
                continue
            if op in COUNTING:
                if op in ("floordiv", "mod") and not self.number(operands[1]):
                    return False  # of ints, 0 raises
                new = set(operands[1:] if op in ("select", "where") else operands) - seen
                stack += new
                seen |= new
            elif op != "constant" or not data.is_integer():
                return False
        return self.code[value].op != "constant"

    def is_mixed(self, value: int) -> bool:
        """Whether eager code may have an int or a float: what a branch or a loop leaves open, computed with."""
        if not self.mixed:
            return False
        stack, seen = [value], {value}
        for at in stack:
            if at in self.mixed:
                return True
            op, operands, _ = self.code[at]
            if op in OF_INTS and at not in self.unmixed:
                new = set(operands) - seen
                stack += new
                seen |= new
        self.unmixed |= seen
        return False

    def mix(self, value: int) -> None:
        """Note a number of which eager code has ints on some paths and floats on others."""
        self.root().whole_numbers = True
        if value not in self.mixed:
            self.mixed.add(value)
            self.unmixed.clear()

    def frozen(self, value: int) -> float:
        """The number of a value; the program holds only while it is the same, to the sign of 0."""
        number = float(self.value(value))
        same = (
            [self.emit("==", (value, self.constant(number)))] if number == number else [self.emit("!=", (value,) * 2)]
        )
        if number == 0.0:
            sign = self.emit("copysign", (self.constant(1.0), value))
            same.append(self.emit("==", (sign, self.constant(copysign(1.0, number)))))
        if not all(map(self.truth, same)):  # a run in which this is supposed
            raise UnrollError(Reason("number", f"the number at {caller(source=True)}"))
        return number

    def whole_number(self, value: int) -> int:
        """The whole number of a value, towards 0; the program holds only while it is the same."""
        number = int(self.value(value))
        same = self.emit("==", (self.emit("trunc", (value,)), self.constant(float(number))))
        if not self.truth(same):  # a run in which this is supposed
            raise UnrollError(Reason("number", f"the whole number at {caller(source=True)}"))
        return number

    def hoist(self, value: int) -> int | None:
        """Where the program around has a value that is the same for all rows; None if it is not."""
        assert self.parent is not None
        for at in self.needed(value, self.hoisted):
            op, operands, data = self.code[at]
            places = tuple([place for o in operands if (place := self.hoisted[o]) is not None])
            if op == "constant":
                number = type(data) is float
                self.hoisted[at] = self.parent.constant(data) if number else self.parent.truth_constant(data)
            else:  # an input that is not lifted belongs to a row
                shared = op != "input" and len(places) == len(operands)
                self.hoisted[at] = self.parent.emit(op, places, data) if shared else None
        return self.hoisted[value]

    def is_decided(self, predicate: int) -> bool:
        """Whether a comparison comes out the same in every run."""
        return self.code[predicate].op == "constant"

    @fast
    def truth(self, predicate: int) -> bool:
        """What a comparison comes out as in this run; the program holds only while it does."""
        self.check_in_use()
        in_a_body = not self.rows_branch and self.parent is not None
        if self.code[predicate].op == "constant":
            return bool(self.code[predicate].data)
        if in_a_body and self.parent is not None and (shared := self.hoist(predicate)) is not None:
            return self.parent.truth(shared)
        if self.deciding is not None:
            return self.deciding.outcome(self, predicate)
        if in_a_body and self.taken is None:
            raise UnrollError(Reason("comparison", f"the comparison at {caller(source=True)}"))
        if in_a_body and self.taken is not None:
            return self.taken.setdefault(predicate, bool(self.value(predicate)))
        outcome = bool(self.value(predicate))
        return outcome if predicate in self.guarded else self.note_guard(predicate, outcome)

    def note_guard(self, predicate: int, outcome: bool) -> bool:
        """The program holds only while this comparison comes out so."""
        frame = calling_frame()
        at = id(frame.f_code), frame.f_lasti
        if at not in self.lines:
            self.lines[at] = frame.f_code, place_of(frame, source=True)
        self.guarded.add(predicate)
        self.guards.append(Guard(predicate, outcome, self.lines[at][1]))
        op, operands, _ = self.code[predicate]
        if op in (">", "<") and all(self.code[o].op == "stop" for o in operands):
            self.emit("select", (predicate, *operands))  # what `max` and `min` keep: it tells the roller what they do
        return outcome

    def restart(self, program: Program) -> None:
        """Go on from a program of the same inputs, of which nothing is known yet."""
        self.code, self.guards = list(program.code), list(program.guards)
        self.types = {at: kind for at, kind in enumerate(types_of(program)) if kind != NUMBER}
        self.constants = {key_of(i.data): at for at, i in enumerate(program.code) if i.op == "constant"}
        self.known = type(self.known)()
        self.numbers.clear()
        self.moved.clear()  # the program uses what loops compute

    def watch(self, row: int) -> None:
        """Watch another row of a map."""
        self.row = row
        self.numbers.clear()

    def holds(self, taken: Mapping[int, bool], row: int) -> bool:
        """Whether comparisons come out like this in a row."""
        self.watch(row)
        return all(bool(self.value(predicate)) == outcome for predicate, outcome in taken.items())


@fast
def innermost(operands: Sequence[Any]) -> Watched:
    """The program in which an operation on these operands is written down."""
    found: Watched | None = None
    builders = {getattr(operand, "builder", None): None for operand in operands}
    for trace in (*builders, current_recorder()):
        if isinstance(trace, Watched) and (found is None or _is_inside(trace, found)):
            found = trace
    assert found is not None
    found.check_in_use()
    return found


def _is_inside(trace: Watched, other: Watched) -> bool:
    while trace is not other and trace.parent is not None:
        trace = trace.parent
    return trace is other
