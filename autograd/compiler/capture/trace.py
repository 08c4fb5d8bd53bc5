"""Capture: one run of a function on tracers, whose operations are recorded as the instructions of a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from typing import Any, NoReturn

from autograd.compiler.capture.branches import path
from autograd.compiler.capture.control.flow import followed
from autograd.compiler.capture.control.kinds import best_of, refuse_mixed
from autograd.compiler.capture.control.plain import Plain, carried_on
from autograd.compiler.capture.control.rounded import as_rounded
from autograd.compiler.capture.control.whole import as_whole, of_ints
from autograd.compiler.capture.loops import repeat_steps, scan_steps, while_steps
from autograd.compiler.capture.maps import Column, gathered, map_rows
from autograd.compiler.capture.sweeps import TraceSweeps
from autograd.compiler.capture.tracer import FLOAT, Traced, TracedArray, evenly_apart
from autograd.compiler.capture.truth import TracedTruth
from autograd.compiler.capture.watched import Watched, innermost
from autograd.ieee import to_float
from autograd.ir.block import NUMBER, PREDICATES, Array, Guard, Instruction, Program, Type, Window, size_of
from autograd.ir.builder import LoopBuilder, Predicate, Symbol
from autograd.ir.elements import FEWEST_ELEMENTS, MANY
from autograd.ir.rewrite import without_dead_code
from autograd.ir.roll.stages import interleaved
from autograd.modes import PACKAGES, Mode, caller, current_recorder, recording_with
from autograd.native import extension, fast
from autograd.recorder import Sweeps
from autograd.rows import cut, together
from autograd.rules import Rule
from autograd.value import Value


class Trace(Watched):
    """The program being captured: the recorder of a compilation."""

    __slots__ = ()
    parent: Trace | None

    def inputs_of(self, kinds: Sequence[Type], numbers: Sequence[float]) -> list[Traced]:
        """Inputs of these types, and a tracer for each of their numbers."""
        traced = [x.elements() if isinstance(x, TracedArray) else [x] for x in self.whole_inputs_of(kinds, numbers)]
        return traced[0] if len(traced) == 1 else list(chain.from_iterable(traced))

    def whole_inputs_of(self, kinds: Sequence[Type], numbers: Sequence[float]) -> list[Traced | TracedArray]:
        """Inputs of these types: a tracer for each number, and each array as a whole."""
        found: list[Traced | TracedArray] = []
        start = 0
        for kind in kinds:
            if isinstance(kind, Array):
                given = numbers[start : start + kind.size()]
                found.append(TracedArray(self, self.input(kind, given), tuple(map(int, kind.shape))))
                start += len(given)
            else:
                found.append(Traced.of(self, self.input(NUMBER, numbers[start])))
                start += 1
        return found

    def wrap(self, value: int) -> Traced:
        """The tracer of a value."""
        return Traced.of(self, value)

    def logic(self, op: str, predicates: Sequence[Predicate]) -> Predicate:
        """A comparison made of others, which may be of several programs."""
        if all(p.builder is self for p in predicates):
            return super().logic(op, predicates)
        trace = innermost(predicates)
        places = [
            p.index if p.builder is trace else trace.emit("!=", (trace.place(p), trace.constant(0.0)))
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

    def now(self, node: Value) -> float:
        """The number of a node, traced or not, in the run that is being watched."""
        traced = node if isinstance(node, Traced) else self.read(node)
        traced.builder.check_in_use()
        return float(traced.builder.value(traced.index))

    def as_int(self, rounded: Value) -> Value:
        """A number of the program that is the int where Python needs one."""
        number: Value = as_rounded(rounded)
        return number

    def integer(self, rounded: Value) -> Any:
        """A number of the program that is used like an int, or None."""
        return as_whole(rounded)

    def of_ints(self, function: Any, a: Any, b: Any) -> Any:
        """The result of an operator of comparisons and ints; NotImplemented with other operands."""
        return of_ints(function, a, b)

    def as_plain(self, number: Any) -> Any:
        """A number of the program that eager code has as a float, and not as a Value."""
        return Plain.like(number)

    def carried_on(self, number: Any, first: Any) -> Any:
        """The number that a step gets, which is a plain one in the first step if that begins with one."""
        return carried_on(number, first)

    def best_of(self, function: Any, numbers: Sequence[Any]) -> Any:
        """`max` or `min` of numbers, as a choice."""
        return best_of(function, numbers)

    def is_integer(self, node: Value) -> bool:
        """Whether the code would have an int; refused where it is not known."""
        return refuse_mixed(node)

    def refuse(self, what: str) -> NoReturn:
        """Refuse side effects during capture: they would run once, not at every call."""
        raise TypeError(
            f"{what} inside a compiled function, at {caller()}: it would happen only once, when the function is "
            "captured. Use autograd.grad there, or do it outside, on the result of the compiled function"
        )

    def note_made(self, node: Any) -> None:
        """A node of another thread must not become a part of the program: see `leaf`."""
        self.made_elsewhere[id(node)] = node

    def fresh_leaves(self, numbers: Sequence[Any]) -> list[Any]:
        """An instruction for each number, or for each whole array, which is not merged with any other."""
        leaves: list[list[Any]] = []
        for piece in self._pieces(numbers):
            for value in [piece.array] if isinstance(piece, TracedArray) else self._places_of(piece):
                fresh = self.emit("pos", (value,))
                kind = self.type_of(value)
                if isinstance(piece, TracedArray):
                    leaves.append([TracedArray(self, fresh, piece.shape)])
                elif isinstance(kind, Array):
                    leaves.append(Traced.elements(self, fresh, kind.size()))
                else:
                    leaves.append([self.wrap(fresh)])
        return leaves[0] if len(leaves) == 1 else list(chain.from_iterable(leaves))

    def sweeps(self, outputs: Sequence[Any], inputs: Sequence[Any], differentiable: bool) -> Sweeps:
        """Sweeps that add their instructions to the program."""
        return TraceSweeps(self, outputs, inputs, differentiable)

    def followed(self, function: Any) -> Any:
        """The function with its branches and loops as part of the program, where that is possible."""
        return followed(function)

    def derivative(self, number: Any, by: Any) -> Any:
        """A Value where the argument is one from outside: a tracer may stand for a float."""
        plain = isinstance(number, Value) or not isinstance(by, Value) or isinstance(by, Traced)
        return number if plain else Value(number)

    def map(
        self, function: Callable[..., Any], args: Sequence[Any], axes: Sequence[int | None], reduce: str | None
    ) -> Any:
        """Record one loop if possible, else the rows one after another."""
        rows, as_arrays = cut(function, args, axes)
        function = followed(function)
        results = map_rows(self, function, rows, as_arrays, reduce) if self.root().maps else NotImplemented
        if results is not NotImplemented:
            return results
        return together([function(*row) for row in rows], as_arrays, reduce)

    def apply(self, rule: Rule, operands: Sequence[Any]) -> int:
        """Record an operation; many elements of an array are one operand."""
        if rule.arity is None and rule.name in MANY and len(operands) >= FEWEST_ELEMENTS:
            arrays = self._arrays(rule, operands)
            if arrays:
                return self.emit(rule.name, arrays)
        return super().apply(rule, operands)

    def _arrays(self, rule: Rule, operands: Sequence[Any]) -> tuple[int, ...]:
        """The arrays of which the operands are the elements, in order; none if they are anything else."""
        half = len(operands) // 2
        halves = [operands[:half], operands[half:]] if rule.name == "dot" else [operands]
        columns = [Column(self, part) for part in halves]
        if all(column.constants for column in columns) or any(not c.constants and c.array < 0 for c in columns):
            return ()
        return tuple([gathered(self, [column]) for column in columns])

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

    @fast
    def places(self, operands: Sequence[Any]) -> tuple[int, ...]:
        """Where operands of any kind are in this program."""
        return super().places(operands)

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
        place = self.parent.place(operand)
        lifted = self.body_of.shared(place)
        if self.root().whole_numbers and self.parent.is_count(place):
            self.wholes.add(lifted)
        if self.root().whole_numbers and self.parent.is_mixed(place):
            self.mix(lifted)
        return lifted

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
        found = inputs_of_graph(self.code, outputs) if self.leaves else set()
        return [node for node, at in self.leaves.items() if self.code[at].data in found]

    # ---- loops -----------------------------------------------------------------------------------------------

    def inner(self) -> Trace:
        """The body of a loop is captured too, in its first step: a derivative may branch."""
        return Trace(self)

    def watched(self) -> AbstractContextManager[None]:
        """In its `with` block, what derivatives ask of Values from outside is a matter of this program."""
        return tracing(self)

    def outputs(self, leaves: Sequence[Any]) -> list[int]:
        """Where these numbers are: an array where all numbers of one follow one another, else one by one."""
        return list(chain.from_iterable(map(self._places_of, self._pieces(leaves))))

    def outputs_of_call(self, leaves: Sequence[Any]) -> list[int]:
        """Where the numbers of a result are: many that stand side by side become an array."""
        pieces = self._pieces(leaves)
        found = [self._side_by_side(piece) if isinstance(piece, list) else self._places_of(piece) for piece in pieces]
        return list(chain.from_iterable(found))

    def _places_of(self, piece: int | TracedArray | list[Any]) -> list[int]:
        """Where the numbers of a piece are."""
        if isinstance(piece, TracedArray):
            return [piece.array]
        return [piece] if isinstance(piece, int) else list(map(self.place, piece))

    def _pieces(self, leaves: Sequence[Any]) -> list[int | TracedArray | list[Any]]:
        """Numbers cut into whole arrays and what lies between them."""
        found: list[int | TracedArray | list[Any]] = []
        at = 0
        while at < len(leaves):
            if isinstance(leaves[at], TracedArray):
                found.append(leaves[at])
                at += 1
                continue
            array = self._whole_array(leaves, at)
            if array is not None:
                found.append(array)
                at += size_of(self.type_of(array))
                continue
            if not found or not isinstance(found[-1], list):
                found.append([])
            found[-1].append(leaves[at])  # type: ignore[union-attr]
            at += 1
        return found

    def _side_by_side(self, leaves: Sequence[Any]) -> list[int]:
        """Where these numbers are: in one array, if they are many."""
        if len(leaves) < FEWEST_ELEMENTS:
            return [self.place(leaf) for leaf in leaves]
        places = self._places_in_arrays(leaves)
        array = None if places is None else interleaved(self, places)
        return [self.emit("pack", tuple([self.place(x) for x in leaves]), (len(leaves),)) if array is None else array]

    def _places_in_arrays(self, leaves: Sequence[Any]) -> list[tuple[int, int]] | None:
        """The array and the offset of each of these numbers, if all are elements of arrays."""
        found = []
        for leaf in leaves:
            if isinstance(leaf, Traced) and leaf.builder is self and leaf._array >= 0:
                found.append((leaf._array, leaf._offset))
                continue
            op, operands, data = self.code[self.place(leaf)]
            if op != "read" or len(operands) != 1 or data.shape:
                return None
            found.append((operands[0], data.offset))
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

    def gathered(self, operands: Sequence[Any]) -> tuple[int, int, int]:
        """The array of which these are elements already, evenly apart, or else a new one."""
        column = Column(self, operands)
        if column.array >= 0:
            return column.array, column.offset, column.stride
        if column.constants:
            return self.emit("table", (), ((len(operands),), tuple(operands))), 0, 1
        return super().gathered(operands)

    def _whole_array(self, leaves: Sequence[Any], at: int) -> int | None:
        """The array whose elements begin here, if all of them are there in order."""
        first = leaves[at]
        if not isinstance(first, Traced) or first.builder is not self or first._array < 0 or first._offset:
            return None
        size = size_of(self.type_of(first._array))
        same = at + size <= len(leaves) and evenly_apart(leaves, at, at + size) == (0, 1)
        return first._array if same else None

    def arrays_among(self, leaves: Sequence[Any]) -> list[tuple[int, int]]:
        """Where these are, each with how many leaves it is: an array, all elements of one in order, or a number."""
        found: list[tuple[int, int]] = []
        at = 0
        while at < len(leaves):
            if isinstance(leaves[at], TracedArray):
                found.append((leaves[at].array, 1))
                at += 1
                continue
            array = self._whole_array(leaves, at)
            found.append((self.target(leaves[at]), 1) if array is None else (array, size_of(self.type_of(array))))
            at += found[-1][1]
        return found

    def loop(
        self, function: Callable[[Any, Any], Any], initial: Any, xs: Any, length: int | None, reverse: bool
    ) -> tuple[Any, Any]:
        """Record one step as a loop if possible, else the steps one after another."""
        return scan_steps(self, followed(function), initial, xs, length, reverse)

    def repeat(self, n: Any, function: Callable[[Any, Any], Any], initial: Any) -> Any:
        """Record one step as a loop if possible; its length may be a number of the program."""
        return repeat_steps(self, n, followed(function), initial)

    def loop_while(
        self, condition: Callable[[Any], Any], function: Callable[[Any], Any], initial: Any, at_most: int | None
    ) -> Any:
        """Record one step as a loop that goes on while its condition holds."""
        return while_steps(self, followed(condition), followed(function), initial, at_most)

    def demand(self, holds: Predicate, error: Callable[[], Exception]) -> None:
        """Raise the error unless this holds; the program is valid only while it does.

        In the steps of a loop what does not hold is counted, and the program around demands that there was nothing.
        """
        if self.code[holds.index].op == "constant":
            if not self.code[holds.index].data:
                raise error()
            return
        counts = path(self)
        wrong = holds.negated() if counts is None else counts.with_("and", holds.negated())
        if self.parent is None or self.rows_branch:
            right = self.emit("not", (wrong.index,))
            if self.root().assumes and self.code[right].op != "constant":
                self.note_guard(right, True)
                return
            around, self.deciding = self.deciding, None
            try:
                fine = self.truth(right)
            finally:
                self.deciding = around
            if not fine:
                raise error()
        else:
            self.demands.append((wrong, error))


@contextmanager
def tracing(trace: Trace) -> Iterator[None]:
    """Write down the operations of the `with` block."""
    trace.finished = False
    try:
        with recording_with(trace):
            yield
    finally:
        trace.finished, trace.journal = True, None
        trace.made.clear()  # what the function made may hold tracers, which the collector does not know


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


def current_trace() -> Trace | None:
    """The trace that records in this context."""
    recorder = current_recorder()
    return recorder if isinstance(recorder, Trace) else None


def is_capturing() -> bool:
    """Whether a capture is going on."""
    return current_trace() is not None


def finish(trace: Trace, outputs: Sequence[int]) -> Program:
    """The captured program; flat code in place of which there are loops is left out."""
    program = trace.program(outputs)
    return without_dead_code(program) if trace.moved else program


if extension is not None:
    extension.trace(Trace, LoopBuilder, Mode, Instruction, Window, TracedTruth, Guard, PACKAGES)
