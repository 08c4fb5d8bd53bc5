"""Capture: one run of a function on tracers, which are Values whose operations are recorded as instructions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import reduce as reduce_by
from math import nan
from threading import get_ident
from typing import Any, NamedTuple, NoReturn
from weakref import WeakValueDictionary

from autograd.compiler.capture.identity import asks_for_real_bools, calling_code, indexes_by_comparison
from autograd.compiler.capture.signature import read
from autograd.compiler.capture.truth import TracedTruth
from autograd.graphs import connected_copy
from autograd.ieee import to_float
from autograd.ir import derive
from autograd.ir.block import (
    CALL,
    NUMBER,
    PREDICATES,
    Array,
    Guard,
    Instruction,
    Program,
    Type,
    Window,
    size_of,
    whole,
)
from autograd.ir.builder import Builder, LoopBuilder, Predicate, Symbol
from autograd.ir.evaluate import Cells, Evaluator
from autograd.ir.rolling import roll_code
from autograd.modes import PACKAGES, Mode, caller, current_mode, current_recorder, keeps_copies, recording_with
from autograd.native import extension, fast
from autograd.recorder import Sweeps
from autograd.rows import cut, loop_in_turn, next_carry, pair, steps_of, together
from autograd.rules import Rule
from autograd.tree import Rebuild, children, flatten, only_leaves, to_floats
from autograd.value import Value, _fill

FLOAT = "number"  # marks a "stop" that eager code has as a float
COUNTING = frozenset({"select", "add", "sub", "mul", "neg", "abs", "sum"})  # of comparisons they make whole numbers
FEWEST_ROWS = 4  # a map or loop over fewer is unrolled
MOST_BRANCHES = 8  # combinations that become masks in a map; with more, its rows are unrolled
FEWEST_INNER_ROWS = 33  # the same, inside the row of another map: lanes are full already
ONE_ROW = Evaluator({CALL: 1}, copies=True)  # what a capture watches of a batch is one row


class UnrollError(NotImplementedError):
    """A map cannot be one loop, for the reason in the message; the capture runs its rows one after another."""


class Trace(Builder):
    """The program being captured, with the numbers of the run that is being watched."""

    __slots__ = ("finished", "leaves", "parent", "thread")  # read by the C build

    def __init__(self, parent: Trace | None = None, real_bools: bool = False, maps: bool = True) -> None:
        super().__init__(derive.mapped_rewriters(), derive.FRESH)
        self.parent = parent
        self.real_bools = real_bools  # of the root: comparisons are guards at once
        self.maps = maps  # whether `vmap` and `scan` are loops; or else their steps are computed one after another
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
        self.row = 0  # which row of a map is watched
        self.taken: dict[int, bool] | None = None  # how comparisons of a row came out, where branches become masks
        self.unrolled: dict[str, int] = {}  # of the root: why maps were unrolled → how many rows they had

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

    def inputs_of(self, kinds: Sequence[Type], numbers: Sequence[float]) -> list[Traced]:
        """Inputs of these types, and a tracer for each of their numbers."""
        traced: list[Traced] = []
        for kind in kinds:
            start = len(traced)
            if isinstance(kind, Array):
                size = kind.size()
                array = self.input(kind, numbers[start : start + size])
                traced += [Traced.element(self, array, k) for k in range(size)]
            else:
                traced.append(Traced.of(self, self.input(NUMBER, numbers[start])))
        return traced

    @property
    def rows_branch(self) -> bool:
        """Whether a guard may hold for some rows and not for others; else it unrolls the map."""
        return self.body_of is None or self.body_of.extent == CALL

    def wrap(self, value: int) -> Traced:
        """The tracer of a value."""
        return Traced.of(self, value)

    def root(self) -> Trace:
        """The program around all others: that of the compiled function."""
        trace = self
        while trace.parent is not None:
            trace = trace.parent
        return trace

    def note_unrolled(self, rows: int, why: str) -> None:
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
        return root.real_bools or indexes_by_comparison(code)

    def logic(self, op: str, predicates: Sequence[Predicate]) -> Predicate:
        """A comparison made of others, which may be of several programs."""
        if all(p.builder is self for p in predicates):
            return super().logic(op, predicates)
        trace = innermost(predicates)
        places = [
            p.index if p.builder is trace else trace.emit("!=", (trace.lift(p), trace.constant(0.0)))
            for p in predicates
        ]
        return trace.predicate(trace.emit(op, tuple(places)))

    def predicate(self, value: int) -> TracedTruth:
        """A truth that behaves like a bool."""
        return TracedTruth(self, value)

    # ---- the protocol of a recorder -------------------------------------------------------------------------

    def apply_rule(self, rule: Rule, operands: Sequence[Any]) -> Traced:
        """Record an operation on any operands."""
        return Traced.apply_rule(rule, operands)

    def read(self, node: Value) -> Traced:
        """The tracer of a Value that is not traced: its number may be another at the next call."""
        return self.wrap(self.place(node))

    def refuse(self, what: str) -> NoReturn:
        """Refuse side effects during capture: they would run once, not at every call."""
        raise TypeError(
            f"{what} inside a compiled function, at {caller()}: it would happen only once, when the function is "
            "captured. Use autograd.grad there, or do it outside, on the result of the compiled function"
        )

    def note_made(self, node: Any) -> None:
        """A node of another thread must not become a part of the program: see `leaf`."""
        self.made_elsewhere[id(node)] = node

    def fresh_leaves(self, numbers: Sequence[Any]) -> list[Traced]:
        """An instruction for each number, or for each whole array, which is not merged with any other."""
        leaves: list[Traced] = []
        for value in self.outputs(numbers):
            fresh = self.emit("pos", (value,))
            kind = self.type_of(value)
            if isinstance(kind, Array):
                leaves += [Traced.element(self, fresh, k) for k in range(kind.size())]
            else:
                leaves.append(self.wrap(fresh))
        return leaves

    def sweeps(self, outputs: Sequence[Any], inputs: Sequence[Any], differentiable: bool) -> Sweeps:
        """Sweeps that add their instructions to the program."""
        return TraceSweeps(self, outputs, inputs, differentiable)

    def derivative(self, number: Any, by: Any) -> Any:
        """A Value where the argument is one from outside: a tracer may stand for a float."""
        plain = isinstance(number, Value) or not isinstance(by, Value) or isinstance(by, Traced)
        return number if plain else Value(number)

    def map(
        self, function: Callable[..., Any], args: Sequence[Any], axes: Sequence[int | None], reduce: str | None
    ) -> Any:
        """Record one loop if possible, else the rows one after another."""
        rows, as_arrays = cut(function, args, axes)
        results = self.map_rows(function, rows, reduce) if self.root().maps else NotImplemented
        if results is NotImplemented:
            results = [function(*row) for row in rows]
        elif reduce is not None:
            return results
        return together(results, as_arrays, reduce)

    # ---- where things are -------------------------------------------------------------------------------------

    def place(self, operand: Any) -> int:
        """Where an operand of any kind is in this program."""
        if isinstance(operand, (Traced, Symbol, Predicate)):
            if operand.builder is self:
                return super().place(operand) if isinstance(operand, Predicate) else operand.index
            return self.lift(operand)
        if isinstance(operand, Value):
            return self.leaf(operand)
        return self.constant(operand if type(operand) is float else to_float(operand))

    def lift(self, operand: Any) -> int:
        """A value of the program around this one, as an input that all rows share."""
        if isinstance(trace := getattr(operand, "builder", None), Trace):
            trace.check_in_use()
        if self.parent is None:
            raise TypeError(
                f"a number traced by one compilation was used in another, at {caller()}: do not keep traced "
                "values in globals or attributes"
            )
        assert self.body_of is not None
        if isinstance(operand, Traced) and operand._array >= 0:
            return self.element(self.array(operand), operand._offset)
        return self.body_of.shared(self.parent.place(operand))

    def array(self, element: Traced) -> int:
        """Where the array of an element is in this program."""
        if element.builder is self:
            return element._array
        assert self.parent is not None
        assert self.body_of is not None
        return self.body_of.shared(self.parent.array(element))

    def leaf(self, node: Value) -> int:
        """A Value that is not traced comes from outside, and is read afresh at every call."""
        if node not in self.leaves and self.parent is not None:
            self.leaves[node] = self.lift(node)
        elif node not in self.leaves:
            if self.made_elsewhere.get(id(node)) is node:
                raise TypeError(
                    f"{node!r} was made in another thread while the function was captured, and is used at {caller()}: "
                    "its number would never change again. Compute it in the thread that calls the function, or before"
                )
            self.leaf_inputs.append((node, len(self.given)))
            self.leaves[node] = self.input(NUMBER, node._data)
        return self.leaves[node]

    def parents(self, outputs: Sequence[int]) -> list[Value]:
        """The Values from outside that results are computed from, if they are more to them than numbers."""
        reached = inputs_of_graph(self.code, outputs)
        return [node for node, at in self.leaves.items() if self.code[at].data in reached]

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
        """Whether eager code has an int: comparisons and whole numbers, added up or multiplied."""
        stack = [value]
        for at in stack:
            op, operands, data = self.code[at]
            if op in COUNTING:
                stack += operands[1:] if op == "select" else operands
            elif op != "constant" or not data.is_integer():
                return False
        return self.code[value].op != "constant"

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

    def truth(self, predicate: int) -> bool:
        """What a comparison comes out as in this run; the program holds only while it does."""
        self.check_in_use()
        if not self.rows_branch and self.parent is not None and self.code[predicate].op != "constant":
            shared = self.hoist(predicate)
            if shared is not None:
                return self.parent.truth(shared)
            if self.taken is None:
                raise UnrollError(f"the comparison at {caller(source=True)}")
            return self.taken.setdefault(predicate, bool(self.value(predicate)))
        outcome = bool(self.value(predicate))
        if self.code[predicate].op != "constant" and predicate not in self.guarded:
            self.guarded.add(predicate)
            self.guards.append(Guard(predicate, outcome, caller(source=True)))
        return outcome

    # ---- loops -----------------------------------------------------------------------------------------------

    def inner(self) -> Trace:
        """The body of a loop is captured too, in its first step: a derivative may branch."""
        return Trace(self)

    def watched(self) -> AbstractContextManager[None]:
        """In its `with` block, what derivatives ask of Values from outside is a matter of this program."""
        return tracing(self)

    def outputs(self, leaves: Sequence[Any]) -> list[int]:
        """Where these numbers are: an array where all numbers of one follow one another, else one by one."""
        found: list[int] = []
        at = 0
        while at < len(leaves):
            array = self._whole_array(leaves, at)
            if array is None:
                found.append(self.place(leaves[at]))
                at += 1
            else:
                found.append(array)
                at += size_of(self.type_of(array))
        return found

    def target(self, leaf: Any) -> int:
        """What is differentiated, or differentiated by, for this number: the array of which it is an element, or it."""
        if isinstance(leaf, Traced) and leaf.builder is self and leaf._array >= 0:
            return leaf._array
        return self.place(leaf)

    def array_of(self, leaves: Sequence[Any], kind: Array) -> int:
        """These numbers as an array."""
        found = self._whole_array(leaves, 0)
        if found is not None and self.type_of(found) == kind:
            return found
        if all(type(x) is float for x in leaves):
            return self.emit("table", (), (kind.shape, tuple(leaves)))
        return self.emit("pack", tuple([self.place(x) for x in leaves]), kind.shape)

    def _whole_array(self, leaves: Sequence[Any], at: int) -> int | None:
        """The array whose elements begin here, if all of them are there in order."""
        first = leaves[at]
        if not isinstance(first, Traced) or first.builder is not self or first._array < 0 or first._offset:
            return None
        size = size_of(self.type_of(first._array))
        run = leaves[at : at + size]
        same = len(run) == size and all(
            isinstance(x, Traced) and x.builder is self and x._array == first._array and x._offset == k
            for k, x in enumerate(run)
        )
        return first._array if same else None

    def map_rows(self, function: Callable[..., Any], rows: Sequence[Sequence[Any]], reduce: str | None) -> Any:
        """`vmap` inside a capture: one row is captured, the others are a loop. NotImplemented: unroll it."""
        if len(rows) < (FEWEST_ROWS if self.parent is None else FEWEST_INNER_ROWS):
            return NotImplemented
        made = LoopBuilder(self, child := self.inner(), len(rows))
        parts: list[Callable[[], Any]] = []
        for position, part in enumerate(rows[0]):
            if all(row[position] is part for row in rows):
                parts.append(lambda part=part: part)  # type: ignore[misc]  # the same for all rows: lifted where it is used
                continue
            flat = [flatten(row[position])[0] for row in rows]
            if len({len(leaves) for leaves in flat}) != 1:
                return NotImplemented
            rebuild, elements = flatten(part)[1], _elements(made, child, flat)
            parts.append(lambda rebuild=rebuild, elements=elements: rebuild(elements))  # type: ignore[misc]
        try:
            branches = self._branches(child, lambda: function(*[part() for part in parts]), len(rows))
            leaves = _masked(child, branches)
        except UnrollError as error:
            self.root().note_unrolled(len(rows), str(error))
            return NotImplemented
        rebuild = branches[0].rebuild
        outputs = child.outputs(leaves) if reduce is None else [child.place(leaf) for leaf in leaves]
        kind = "each" if reduce is None else "sum"
        outs = [(output, kind) for output in outputs]
        covered = _covers([branch.taken for branch in branches])
        if not covered:
            outs.append((child.place(_any(child, branches).negated()), "sum"))
        loop = made.finish([], outs)
        items = [self.emit("item", (loop,), k) for k in range(len(outs))]
        if not covered:
            self._guard_branches(items.pop(), branches)
        if reduce is None:
            return [rebuild(row) for row in self._rows_of(items, len(rows))]
        totals = [self.wrap(item) for item in items]
        return rebuild([t / float(len(rows)) for t in totals] if reduce == "mean" else totals)

    def _branches(self, child: Trace, run: Callable[[], Any], count: int) -> list[_Branch]:
        """What a function does in all rows of a map: one run for each combination of branches that rows take."""
        child.taken = {} if self.parent is None or self.rows_branch else None
        branches: list[_Branch] = []
        left = list(range(count))
        while left:
            child.watch(left[0])
            with tracing(child):
                leaves, rebuild = flatten_result(run())
                leaves = [child.wrap(child.place(leaf)) if child.taken else leaf for leaf in leaves]
            branches.append(_Branch(dict(child.taken or {}), leaves, rebuild, caller(source=True)))
            if not child.taken:
                return branches
            if any(instruction.op == "custom" for instruction in child.code):
                line = branches[0].line
                raise UnrollError(f"the comparison at {line}, for Python code may raise in rows of another branch")
            if len(branches) > MOST_BRANCHES:
                raise UnrollError(
                    f"more than {MOST_BRANCHES} combinations of branches, the last at {caller(source=True)}"
                )
            left = [row for row in left[1:] if not child.holds(branches[-1].taken, row)]
            child.taken = {}
        return branches

    def _guard_branches(self, others: int, branches: Sequence[_Branch]) -> None:
        """The program is valid while no row takes another branch; the line tells which ones it has."""
        none = self.emit("==", (others, self.constant(0.0)))
        self.guarded.add(none)
        known = sorted([" ".join([str(truth) for truth in branch.taken.values()]) for branch in branches])
        self.guards.append(Guard(none, True, f"{caller(source=True)} (comparisons: {'; '.join(known)})"))

    def watch(self, row: int) -> None:
        """Watch another row of a map."""
        self.row = row
        self.numbers.clear()

    def holds(self, taken: Mapping[int, bool], row: int) -> bool:
        """Whether comparisons come out like this in a row."""
        self.watch(row)
        return all(bool(self.value(predicate)) == outcome for predicate, outcome in taken.items())

    def loop(
        self, function: Callable[[Any, Any], Any], initial: Any, xs: Any, length: int | None, reverse: bool
    ) -> tuple[Any, Any]:
        """`scan` inside a capture: one step is captured, and runs as a loop where that is possible."""
        rows, as_arrays = steps_of(xs, length)
        if not self.root().maps or len(rows) < FEWEST_ROWS:
            return loop_in_turn(function, initial, xs, length, reverse)
        try:
            return self._loop(function, initial, rows, as_arrays, reverse)
        except UnrollError as error:
            self.root().note_unrolled(len(rows), str(error))
            return loop_in_turn(function, initial, xs, length, reverse)

    def _loop(
        self, function: Callable[[Any, Any], Any], initial: Any, rows: Sequence[Any], as_arrays: bool, reverse: bool
    ) -> tuple[Any, Any]:
        made = LoopBuilder(self, child := self.inner(), len(rows), reverse)
        leaves, rebuild = flatten(initial, "the initial carry")
        carry = rebuild([Traced.of(child, made.carry(self.place(x))) for x in leaves])
        row = rows[0]
        if row is not None:
            flat = [flatten(x)[0] for x in rows]
            if len({len(numbers) for numbers in flat}) != 1:
                raise UnrollError("rows of different lengths")
            row = flatten(row)[1](_elements(made, child, flat))
        with tracing(child):
            following, y = pair(function, function(carry, row))
            following = next_carry(carry, following, len(rows) - 1 if reverse else 0)
            after, rebuild = flatten(following, "the carry after a step")
            handed = [child.place(x) for x in after]
            results, rebuild_result = flatten_result(y) if y is not None else ([], None)
            outputs = child.outputs(results)
        loop = made.finish(handed, [(output, "each") for output in outputs])
        last = rebuild([self.wrap(self.emit("item", (loop,), k)) for k in range(len(handed))])
        if rebuild_result is None:
            return last, None
        items = [self.emit("item", (loop,), len(handed) + k) for k in range(len(outputs))]
        return last, together([rebuild_result(x) for x in self._rows_of(items, len(rows))], as_arrays, None)

    def _rows_of(self, arrays: Sequence[int], count: int) -> Iterator[list[Traced]]:
        """The numbers of each row of some arrays."""
        sizes = [(array, size_of(self.type_of(array)) // count) for array in arrays]
        for row in range(count):
            yield [Traced.element(self, array, row * size + k) for array, size in sizes for k in range(size)]


class _Branch(NamedTuple):
    """One run of a function on a row: how comparisons came out, the numbers of the result, and what it looks like."""

    taken: dict[int, bool]
    leaves: list[Any]
    rebuild: Rebuild
    line: str

    def condition(self, child: Trace) -> Predicate:
        """The truth that a row takes this branch."""
        parts = [
            child.predicate(at) if outcome else child.predicate(at).negated() for at, outcome in self.taken.items()
        ]
        return reduce_by(lambda one, other: one.with_("and", other), parts)


def _any(child: Trace, branches: Sequence[_Branch]) -> Predicate:
    """The truth that a row takes one of these branches."""
    return reduce_by(lambda one, other: one.with_("or", other), [branch.condition(child) for branch in branches])


def _masked(child: Trace, branches: Sequence[_Branch]) -> list[Any]:
    """The numbers of the result, whichever branch a row takes."""
    shapes = {read(branch.rebuild([0.0] * len(branch.leaves))).signature for branch in branches}
    if len(shapes) > 1:
        raise UnrollError(f"results of different shapes at {branches[-1].line}")
    leaves = branches[-1].leaves
    for branch in reversed(branches[:-1]):
        condition = branch.condition(child)
        leaves = [condition.select(x, other) for x, other in zip(branch.leaves, leaves)]
    return leaves


def _covers(branches: Sequence[Mapping[int, bool]]) -> bool:
    """Whether any row takes one of these branches, however its comparisons come out."""
    if not all(branches):
        return True
    if not branches:
        return False
    first = next(iter(branches[0]))
    sides = [[taken for taken in branches if taken.get(first) is side] for side in (True, False)]
    return all(_covers([{k: v for k, v in taken.items() if k != first} for taken in side]) for side in sides)


class _Column:
    """What the rows of a map have in one place: elements of an array, evenly apart, constants, or any values."""

    def __init__(self, trace: Trace, leaves: Sequence[Any]) -> None:
        self.leaves = leaves
        self.array, self.offset, self.stride = -1, 0, 0
        self.constants = all(type(x) is float for x in leaves)
        if (
            all(type(x) is Traced and x._array >= 0 for x in leaves)
            and len({(x.builder, x._array) for x in leaves}) == 1
        ):
            offsets = [x._offset for x in leaves]
            stride = offsets[1] - offsets[0]
            if offsets == list(range(offsets[0], offsets[0] + stride * len(offsets), stride or 1)):
                self.array, self.offset, self.stride = trace.array(leaves[0]), offsets[0], stride

    def continues(self, first: _Column, distance: int) -> bool:
        """Whether this column is so many columns behind another one of the same array."""
        if self.constants or self.array < 0:
            return self.constants and first.constants
        place = first.array, first.offset + distance, first.stride
        return place == (self.array, self.offset, self.stride)


def _elements(made: LoopBuilder, child: Trace, rows: Sequence[Sequence[Any]]) -> list[Any]:
    """Tracers in the body of a map for the numbers of a row; what is the same in all rows stays as it is."""
    trace = made.outer
    assert isinstance(trace, Trace)
    columns = [_Column(trace, column) for column in zip(*rows)]
    found: list[Any] = []
    while len(found) < len(columns):
        first = columns[len(found)]
        if all(other is first.leaves[0] for other in first.leaves):
            found.append(first.leaves[0])
            continue
        group = [first]
        for column in columns[len(found) + 1 :]:
            if not column.continues(first, len(group)):
                break
            group.append(column)
        element = made.element(_gathered(trace, group))
        if len(group) == 1:
            found.append(Traced.of(child, element))
        else:
            found += [Traced.element(child, element, k) for k in range(len(group))]
    return found


def _gathered(trace: Trace, group: Sequence[_Column]) -> int:
    """The array of one or more columns next to one another."""
    first, count = group[0], len(group[0].leaves)
    shape = (count, len(group)) if len(group) > 1 else (count,)
    if first.constants:
        return trace.emit("table", (), (shape, tuple([x for row in zip(*[c.leaves for c in group]) for x in row])))
    if first.array < 0:
        return trace.emit("pack", tuple([trace.place(x) for x in first.leaves]), shape)
    window = Window(shape, first.offset, (first.stride, 1)[: len(shape)])
    kind = trace.type_of(first.array)
    assert isinstance(kind, Array)
    return first.array if window == whole(kind) else trace.emit("read", (first.array,), window)


def flatten_result(result: Any) -> tuple[list[Any], Rebuild]:
    """`flatten` for what a captured function returns: a comparison is 1 or 0."""
    name = "the result of the compiled function"
    _refuse_kept(result, name)
    return flatten(_as_numbers(result), name)


def _refuse_kept(tree: Any, path: str) -> None:
    """Raise for a traced number that a result holds, but not as one of its numbers: it would be frozen."""
    if type(tree) in (list, tuple) and only_leaves(tree):
        return
    parts = children(tree)
    for name, child in parts.named if parts else ():
        _refuse_kept(child, path + name)
    for name, kept in parts.kept.items() if parts else ():
        if _is_traced(kept):
            raise TypeError(
                f"the attribute {name!r} of {path}, a {type(tree).__name__}, holds a traced number, which "
                "would be that of the first call for ever: return it as an element or a field"
            )


def _is_traced(thing: Any) -> bool:
    if isinstance(thing, (Traced, Predicate)):
        return True
    parts = children(thing)
    return parts is not None and any(map(_is_traced, [child for _, child in parts.named]))


def _as_numbers(tree: Any) -> Any:
    if isinstance(tree, Predicate):
        return tree.select(1.0, 0.0)
    parts = children(tree)
    if parts is None:
        return tree
    before = [child for _, child in parts.named]
    now = [_as_numbers(child) for child in before]
    return tree if all(new is old for new, old in zip(now, before)) else parts.rebuild(now)


@contextmanager
def tracing(trace: Trace) -> Iterator[None]:
    """Write down the operations of the `with` block."""
    trace.finished = False
    try:
        with recording_with(trace):
            yield
    finally:
        trace.finished = True


def inputs_of_graph(code: Sequence[Instruction], outputs: Sequence[int]) -> set[int]:
    """The inputs from which eager code computes the outputs as Values, not by way of `.data` or a comparison."""
    wanted, found = set(outputs), set()
    for at in range(len(code) - 1, -1, -1):
        op, operands, data = code[at]
        if at not in wanted or op in PREDICATES or (op == "stop" and data == FLOAT):
            continue
        if op == "input":
            found.add(data)
        elif op == "loop":
            inner = inputs_of_graph(data.body.code, data.body.outputs)
            wanted.update([operands[k - 1] for k in inner if k])
        else:
            wanted.update(operands)
    return found


def _frozen(
    what: str, convert: Callable[[float], Any] | None = None, whole: Callable[[float], Any] | None = None
) -> Callable[[Traced], Any]:
    """A method that makes a plain number: of constants by `convert`, of counts of comparisons by `whole`."""

    def freeze(self: Traced) -> Any:
        trace = self.builder
        trace.check_in_use()
        if convert is not None and trace.is_constant(self.index):
            return convert(trace.value(self.index))
        if whole is not None and trace.is_count(self.index):
            number = trace.value(self.index)
            trace.truth(trace.emit("==", (self.index, trace.constant(number))))
            return whole(number)
        raise TypeError(
            f"{what} of a number that depends on an argument or on a Value from outside would freeze it, at "
            f"{caller()}: compute with it (autograd.math), compare it, or fix an argument that is no number "
            "of the computation with functools.partial before jit"
        )

    return freeze


def _comparison(op: str) -> Callable[[Traced, Any], Any]:
    def compare(self: Traced, other: Any) -> Any:
        if not isinstance(other, (Value, Predicate, Symbol)):
            try:
                other = to_float(other)
            except TypeError:
                return NotImplemented
        trace = innermost((self, other))
        found = trace.predicate(trace.emit(op, (trace.place(self), trace.place(other))))
        return bool(found) if trace.decides_comparisons() else found

    return compare


def current_trace() -> Trace | None:
    """The trace that records in this context."""
    recorder = current_recorder()
    return recorder if isinstance(recorder, Trace) else None


def is_capturing() -> bool:
    """Whether a capture is going on."""
    return current_trace() is not None


def innermost(operands: Sequence[Any]) -> Trace:
    """The trace in which an operation on these operands is written down."""
    found: Trace | None = None
    for operand in operands:
        trace = getattr(operand, "builder", None)
        if isinstance(trace, Trace) and (found is None or _is_inside(trace, found)):
            found = trace
    current = current_trace()
    if current is not None and (found is None or _is_inside(current, found)):
        found = current
    assert found is not None
    found.check_in_use()
    return found


def _is_inside(trace: Trace, other: Trace) -> bool:
    while trace is not other and trace.parent is not None:
        trace = trace.parent
    return trace is other


class Traced(Value):
    """A Value whose operations are captured; it stands for a number that differs from call to call."""

    __slots__ = ("builder", "_index", "_array", "_offset")
    builder: Trace
    _index: int  # of its value in the program; below 0 while nothing has asked for it
    _array: int  # the array of which it is an element, or below 0
    _offset: int

    @classmethod
    @fast
    def of(cls, trace: Trace, value: int) -> Traced:
        """The tracer of a value of a program."""
        node: Any = cls.__new__(cls)
        _fill(node, nan, None, (), (), None, 0.0, None)
        node.builder, node._index, node._array, node._offset = trace, value, -1, 0
        traced: Traced = node
        return traced

    @classmethod
    @fast
    def element(cls, trace: Trace, array: int, offset: int) -> Traced:
        """The tracer of an element of an array; it is read when something computes with it."""
        node = cls.of(trace, -1)
        node._array, node._offset = array, offset
        return node

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
        return self._stop(FLOAT)

    @data.setter
    def data(self, number: float) -> None:
        raise AttributeError(
            f"data cannot be assigned inside a compiled function, at {caller()}: return the new number instead"
        )

    def detach(self) -> Traced:
        """The same number with its gradient cut."""
        return self._stop(None)

    def _stop(self, kind: str | None) -> Traced:
        trace = innermost((self,))
        return trace.wrap(trace.emit("stop", (trace.place(self),), kind))

    def backward(self, seed: float = 1.0) -> None:
        """Not inside a compiled function."""
        raise TypeError(
            f"backward() cannot be compiled, at {caller()}: use autograd.grad inside jit, or call backward() on the "
            "result of the compiled function"
        )

    def __bool__(self) -> bool:
        return bool(self != 0.0)

    def __repr__(self) -> str:
        return f"Traced(v{self.index}={self.builder.value(self.index)!r})"

    def __format__(self, spec: str) -> str:
        self.builder.check_in_use()
        return format(self.builder.value(self.index), spec)

    def __copy__(self) -> Value:
        return connected_copy(self)

    def __deepcopy__(self, memo: object) -> Value:
        return connected_copy(self) if keeps_copies() else self.detach()

    def __hash__(self) -> int:
        if not sys._getframe(1).f_code.co_filename.startswith(PACKAGES) and self.builder.is_count(self.index):
            raise TypeError(
                f"a count of comparisons is a key at {caller()}: it is a number of the program, and would not be found "
                "where an equal whole number is. Make it one with int()"
            )
        return object.__hash__(self)

    __int__, __index__ = _frozen("int()", int, int), _frozen("an index made", None, int)
    __float__ = _frozen("float() (or a function of the math module)", float, float)
    __complex__ = _frozen("complex()", complex, complex)
    __lt__, __le__ = _comparison("<"), _comparison("<=")
    __gt__, __ge__ = _comparison(">"), _comparison(">=")
    __eq__ = _comparison("==")
    __ne__ = _comparison("!=")


class TraceSweeps:
    """Sweeps between the inputs and the outputs of a run in a trace: each adds its instructions to the program."""

    def __init__(self, trace: Trace, outputs: Sequence[Any], inputs: Sequence[Any], differentiable: bool) -> None:
        self.trace, self.outputs, self.inputs, self.differentiable = trace, outputs, inputs, differentiable
        self.rolled = False

    def _roll(self) -> None:
        """Find the loops in what the run computed, before its derivatives are taken: they have no such pattern."""
        if not self.rolled:
            self.rolled = True
            trace = self.trace
            targets = [trace.target(x) for x in self.inputs]
            outputs = [trace.target(y) for y in self.outputs if isinstance(y, Value)]
            roll_code(trace, min(targets, default=0), len(trace.code), outputs)

    def reverse(self, seeds: Mapping[Any, Any]) -> list[Any]:
        """The adjoint of every input."""
        self._check(seeds)
        if self.differentiable:
            return _zero_without_message(self._adjoints(seeds))
        nodes = {y: seed for y, seed in seeds.items() if isinstance(seed, Value)}
        totals = to_floats(self._adjoints({y: seed for y, seed in seeds.items() if y not in nodes}))
        for y, seed in nodes.items():  # the result depends on the seeds, but not on what the derivatives depend on
            terms = [None if d is None else seed * d for d in to_floats(self._adjoints({y: 1.0}))]
            totals = [b if a is None else a if b is None else a + b for a, b in zip(totals, terms)]
        return _zero_without_message(totals)

    def forward(self, seeds: Mapping[Any, Any]) -> list[Any]:
        """The tangent of every output."""
        self._check(seeds)
        self._roll()
        trace = self.trace
        starts: dict[int, int] = {}
        elements: dict[int, dict[int, Any]] = {}  # array → the directions of its elements
        for x, direction in seeds.items():
            target = trace.target(x)
            if isinstance(trace.type_of(target), Array):
                elements.setdefault(target, {})[x._offset] = direction
            else:
                starts[target] = trace.place(direction)
        for array, directions in elements.items():
            kind = trace.type_of(array)
            assert isinstance(kind, Array)
            starts[array] = trace.array_of([directions.get(k, 0.0) for k in range(kind.size())], kind)
            if len(directions) < kind.size():
                trace.gaps.add(starts[array])
        targets = [trace.where(trace.target(y)) if isinstance(y, Value) else -1 for y in self.outputs]
        found = derive.forward(trace, starts, [t for t in targets if t >= 0])
        tangents = _zero_without_message([_result(trace, found.get(t), y) for t, y in zip(targets, self.outputs)])
        return tangents if self.differentiable else list(map(to_floats, tangents))

    def _check(self, seeds: Mapping[Any, Any]) -> None:
        """Raise where the seeds belong to a row of a map, but the run does not: it has no place for them."""
        if seeds and innermost([*seeds, *seeds.values()]) is not self.trace:
            raise UnrollError(f"the sweep at {caller(source=True)}, which goes beyond the row")

    def _adjoints(self, seeds: Mapping[Any, Any]) -> list[Any]:
        """The adjoint of every input; None where no message arrives."""
        self._roll()
        trace, starts = self.trace, dict[int, int]()
        for output, seed in seeds.items():
            at, weight = trace.where(trace.place(output)), trace.place(seed)
            starts[at] = trace.emit("add", (starts[at], weight)) if at in starts else weight
        targets = [trace.target(x) for x in self.inputs]
        found = derive.reverse(trace, starts, targets)
        return [_result(trace, found.get(target), x) for target, x in zip(targets, self.inputs)]


def _zero_without_message(derivatives: Sequence[Any]) -> list[Any]:
    return [0.0 if d is None else d for d in derivatives]


def _result(trace: Trace, value: int | None, of: Any) -> Any:
    """The adjoint or tangent of a number as user code sees it, given that of the number or of its array."""
    if value is None:
        return None
    return Traced.element(trace, value, of._offset) if isinstance(trace.type_of(value), Array) else _user(trace, value)


def _user(trace: Trace, value: int) -> Any:
    """A value as user code sees it: a float if it is constant, else a tracer."""
    number = trace.number(value)
    return Traced.of(trace, value) if number is None else number


def finish(trace: Trace, outputs: Sequence[int]) -> Program:
    """The captured program."""
    return trace.program(outputs)


if extension is not None:
    extension.trace(Traced, Trace, LoopBuilder, Mode, Instruction, Window)
