"""`vmap` at the top of a compiled function: the rows stay in their arrays, and any number of them runs the same code.

Rows whose guards fail are regrouped: another specialization computes them, and the results are returned in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import nan
from typing import Any, NamedTuple

import numpy as np

from autograd.compiler import locks
from autograd.compiler.capture import outside
from autograd.compiler.capture.identity import reaches_code_that_asks
from autograd.compiler.capture.results import flatten_result
from autograd.compiler.capture.sides import refuse_spoiled, with_less
from autograd.compiler.capture.signature import (
    NUMBER,
    Build,
    Call,
    Listed,
    Reader,
    Rows,
    Signature,
    argument_names,
    parameter_names,
    read,
    types_of_numbers,
)
from autograd.compiler.capture.trace import Trace, finish, tracing
from autograd.compiler.capture.tracer import Traced
from autograd.compiler.run import fast_path
from autograd.compiler.run.specialization import Options, Specialization, Story, options_for, same_branches, usual
from autograd.ir.block import CALL, Array, Type, numbers_in, types_of
from autograd.ir.builder import LoopBuilder
from autograd.ir.evaluate import evaluate, flat
from autograd.rows import rows_of as rows_of_tree
from autograd.transforms.origin import origin_of
from autograd.tree import as_doubles, children, flatten, is_array, only_floats
from autograd.value import Value

Function = Callable[..., Any]
MOST_KEPT = 1 << 18  # numbers of a call whose rows are remembered


class NotRowsError(Exception):
    """The arguments or the results cannot be arrays of floats: the call takes the slow path."""


class RaggedRowsError(Exception):
    """Results of rows that take different branches differ in shape."""


class ValuesOutsideError(Exception):
    """The function closes over Values, of which its results are more than numbers: see `Batch.parents`."""


class Argument(NamedTuple):
    """One look at an argument of a batch.

    Attributes
    ----------
    signature : hashable
        What two calls must share to run the same machine code.
    build : callable
        Makes the argument of the numbers that rows share or, of one that is mapped, of arrays with rows.
    arrays : list of ndarray
        Of one that is mapped: (n, width) of float64.
    in_arrays : bool
        Whether an ndarray with rows is in it.
    """

    signature: Signature
    build: Build
    arrays: list[Any]
    in_arrays: bool = False


def rows_of(tree: Any, axis: int, path: str, reader: Reader) -> Argument:
    """The rows of an argument, as `vmap` takes them; the reader is for what its containers hold besides."""
    if is_array(tree):
        return _rows_of_array(tree, axis, path)
    if isinstance(tree, list):
        if axis != 0:
            raise NotRowsError
        return _rows_of_list(tree, path, reader)
    parts = children(tree)
    if parts is None or hasattr(tree, "tree_flatten"):
        raise NotRowsError
    inside = [rows_of(part, axis, path + name, reader) for name, part in parts.named]
    signature = reader.node(tree, parts, [part.signature for part in inside])
    arrays = [array for part in inside for array in part.arrays]
    in_arrays = any(part.in_arrays for part in inside)
    rebuild = parts.rebuild
    return Argument(signature, lambda rows: rebuild([part.build(rows) for part in inside]), arrays, in_arrays)


def _rows_of_array(array: Any, axis: int, path: str) -> Argument:
    if array.dtype == object or not -array.ndim <= axis < array.ndim:
        raise NotRowsError
    moved = np.moveaxis(as_doubles(array, path), axis, 0)
    shape = moved.shape
    flat = moved.reshape(len(moved), -1) if moved.size else np.empty((len(moved), 0))

    def build(rows: Iterator[Any]) -> Any:
        given = next(rows)
        return np.moveaxis(given.reshape(len(given), *shape[1:]), 0, axis)

    return Argument(Rows(axis, shape[1:]), build, [flat], True)


def _rows_of_list(tree: list[Any], path: str, reader: Reader) -> Argument:
    items = list.copy(tree)
    if items and only_floats(items):  # the common case
        return Argument(Listed((NUMBER,)), lambda given: next(given)[:, 0].tolist(), [np.array(items).reshape(-1, 1)])
    inside = Reader()
    rows = [inside.read(row, path) for row in items]
    signatures = dict.fromkeys([signature for signature, _ in rows])
    if len(signatures) > 1 or not only_floats(inside.leaves):
        raise NotRowsError
    reader.kept += inside.kept
    array = np.array(inside.leaves, dtype=float).reshape(len(rows), -1) if rows else np.empty((0, 0))
    build = rows[0][1] if rows else next

    def build_rows(given: Iterator[Any]) -> list[Any]:
        return [build(iter(row)) for row in next(given).tolist()]

    return Argument(Listed(tuple(signatures)), build_rows, [array])


@dataclass
class Captured:
    """A specialization, and the form of its results."""

    specialization: Specialization
    row: Any  # the results of one row, where there is one for each
    shapes: list[tuple[int, ...]]  # of what each row has in the arrays of results


class Served(NamedTuple):
    """A run of a specialization: the rows that it was given, None for all, and those of which a guard failed."""

    captured: Captured
    given: Any
    wrong: Any


@dataclass
class Group:
    """The rows of a call that one specialization served, with the memory in which it takes them and gives results.

    Most rows of the next call take the same paths.
    """

    captured: Captured
    rows: Any
    arrays: list[Any]
    targets: list[Any]
    failed: Any
    table: Any


class KnownRows(NamedTuple):
    """How the rows of a call were served, and how many there were."""

    length: int
    groups: list[Group]


class Batch:
    """A function that maps over rows: ``vmap(f)``, or a gradient of a reduced one by what its rows share or are."""

    def __init__(
        self, function: Function, mapped: Function, argnums: list[Any], options: Options, around: outside.Outsides
    ) -> None:
        self.function, self.argnums, self.options, self.outside = function, argnums, options, around
        origin = origin_of(mapped)
        assert origin is not None
        self.inner, (self.in_axes, self.reduce) = origin.function, origin.parameters
        self.stacks = function is mapped and self.reduce is None
        outermost = origin_of(function)
        self.with_value = outermost is not None and outermost.transform == "value_and_grad"
        self.name = getattr(function, "__name__", repr(function))
        self.lock = locks.Lock()
        self.fast_paths: dict[Hashable, tuple[Any, Any]] = {}  # signature → the watch, and the fast path or None
        self.refused: set[Hashable] = set()  # signatures for which the slow path must take the call
        self.fast_path: Any | None = None  # the one for arguments like the last
        self.known_rows: dict[Hashable, KnownRows] = {}  # signature → which specializations served the last call
        self.parents: list[Value] = []  # what results were computed from, as Values from outside

    def call(self, args: tuple[Any, ...]) -> Any:
        """The result, or NotImplemented if the call needs the slow path."""
        try:
            return self._run(args)
        except NotRowsError:
            return NotImplemented

    def looked_at(self, args: tuple[Any, ...]) -> _Call:
        """One look at the arguments of a call.

        Raises
        ------
        NotRowsError
            If they are not arrays and lists of rows, as many in each.
        """
        axes = tuple(self.in_axes) if isinstance(self.in_axes, Sequence) else (self.in_axes,) * len(args)
        if len(axes) != len(args) or all(axis is None for axis in axes):
            raise NotRowsError
        by = self._by_rows(axes)
        reader, arguments = Reader(), []
        for k, (arg, axis) in enumerate(zip(args, axes)):
            path = f"argument {k} of {self.name}"
            if axis is not None:
                arguments.append(rows_of(arg, axis, path, reader))
            else:
                arguments.append(Argument(*reader.read(arg, path), []))
                if not only_floats(reader.leaves):
                    raise NotRowsError
        arrays = [array for argument in arguments for array in argument.arrays]
        counts = {len(array) for array in arrays}
        if len(counts) != 1 or counts == {0}:
            raise NotRowsError
        return _Call(self, axes, arguments, arrays, reader, counts.pop(), by)

    def _run(self, args: tuple[Any, ...]) -> Any:
        call = self.looked_at(args)
        arguments, by = call.arguments, call.by
        key = tuple([argument.signature for argument in arguments])
        if key in self.refused:
            raise NotRowsError
        try:
            result, state = outside.steadily(lambda: call.run(key))
        except NotRowsError:
            self.refused.add(key)  # it is not captured for nothing again
            raise
        if not call.settled:
            state.rows.pop(key, None)  # nothing says which call what was captured would be right for
            self.fast_paths.pop(key, None)
            self.fast_path = None
            return result
        watch, known = state.watch, self.fast_paths.get(key)
        if known is None or known[0] is not watch:
            first = state.rows[key][0]
            simple = self.options.threads == 1 and by is None and len(state.rows[key]) == 1
            row = first.row if self.stacks else None
            known = self.fast_paths[key] = (
                watch,
                fast_path.for_batch(key, first.specialization, row, watch) if simple else None,
            )
        self.fast_path = known[1]
        return result

    def _by_rows(self, axes: Sequence[int | None]) -> list[int] | None:
        """The arguments by which the gradient is taken, if rows are among them."""
        chosen = [[argnums] if isinstance(argnums, int) else list(argnums) for argnums in self.argnums]
        if not all(-len(axes) <= i < len(axes) for numbers in chosen for i in numbers):
            raise NotRowsError
        if all(axes[i] is None for numbers in chosen for i in numbers):
            return None
        positions = [i % len(axes) for i in chosen[0]]
        if len(chosen) > 1 or len(set(positions)) < len(positions):
            raise NotRowsError
        return positions


@dataclass
class _Call:
    """One call of a batch."""

    batch: Batch
    axes: Sequence[int | None]
    arguments: Sequence[Argument]
    arrays: list[Any]
    reader: Reader
    count: int
    by: list[int] | None  # the arguments by which the gradient is taken, if rows are among them
    settled: bool = True  # whether what the arguments hold besides their numbers stayed as it was during a capture

    def run(self, structure: Hashable) -> tuple[Any, outside.State]:
        """Run each row with the specialization whose guards hold, in the present state of what is read outside."""
        around = self.batch.outside.of(structure)
        state = around.state()
        versions = state.rows.setdefault(structure, [])
        if not versions:
            self._capture(versions, 0, 0, around.capturing(state))
        first = versions[0]
        while True:
            known = self._in_order(versions)
            outputs = self._outputs(first, self.count)
            totals = np.zeros(first.specialization.sizes[1])
            left: Any = None  # numbers of the rows that are still to run; None: all
            number = 0
            served: list[Served] = []
            if len(versions) > 1 and self.batch.stacks:
                left = self._run_known(structure, versions, outputs, served)
                if left is not None and not len(left):
                    return self._result(first, outputs, totals), state
            while left is None or len(left):
                if number < len(versions):
                    captured = known[number] if number < len(known) else versions[number]
                    before = left
                    left = self._run_path(captured, left, outputs, totals)
                    served.append(Served(captured, before, left))
                    number += 1
                elif (results := self._capture(versions, int(left[0]), number, around.capturing(state))) is not None:
                    self._place(first, results, int(left[0]), outputs, totals)
                    left = left[1:]
            if number <= len(known) or self.batch.stacks:
                self._remember(structure, served)
                return self._result(first, outputs, totals), state

    def _run_known(
        self, structure: Hashable, versions: list[Captured], outputs: list[Any], served: list[Served]
    ) -> Any:
        """Run each row with the specialization that served it in the last call; the rows that are left, None for all.

        `served` gets the rows of each, if any are left.
        """
        known = self.batch.known_rows.pop(structure, None)  # another thread does not use its memory
        if known is None or known.length != self.count:
            return None
        if not {id(group.captured) for group in known.groups} <= set(map(id, versions)):
            return None
        left = [self._run_group(group, outputs) for group in known.groups]
        if not any(map(len, left)):
            self.batch.known_rows[structure] = known
            return left[0]
        served += [Served(group.captured, group.rows, wrong) for group, wrong in zip(known.groups, left)]
        return np.sort(np.concatenate(left))

    def _run_group(self, group: Group, outputs: list[Any]) -> Any:
        """Run the rows of a group, and put their results where they belong; the rows whose guards fail."""
        rows = group.rows
        for array, taken in zip(self.arrays, group.arrays):
            array.take(rows, 0, taken, "clip")  # with another mode, NumPy makes a copy first
        error, _ = self._run_table(group.captured, group.table)
        if error is not None:
            self._raise(error, group.captured, group.arrays, group.failed, 0)
        if not group.failed.any():
            for out, target in zip(outputs, group.targets):
                out[rows] = target
            return rows[:0]
        right = np.flatnonzero(group.failed == 0)
        for out, target in zip(outputs, group.targets):
            out[rows[right]] = target[right]
        return rows[group.failed != 0]

    def _remember(self, structure: Hashable, served: list[Served]) -> None:
        """Keep which specialization served which rows."""
        size = self.count * sum(array.shape[1] for array in self.arrays)
        if len(served) < 2 or not self.batch.stacks or self.batch.options.threads > 1 or size > MOST_KEPT:
            return
        together: dict[int, tuple[Captured, list[Any]]] = {}
        for captured, given, wrong in served:
            rows = np.arange(self.count) if given is None else given
            rows = np.setdiff1d(rows, wrong, assume_unique=True) if len(wrong) else rows
            if len(rows):
                together.setdefault(id(captured), (captured, []))[1].append(rows)
        groups = []
        for captured, parts in together.values():
            rows = np.sort(np.concatenate(parts))
            arrays, targets = [array[rows] for array in self.arrays], self._outputs(captured, len(rows))
            failed = self._flags(captured, len(rows))
            table = self._table(arrays, targets, failed, len(rows), 0)
            groups.append(Group(captured, rows, arrays, targets, failed, table))
        self.batch.known_rows[structure] = KnownRows(self.count, groups)

    def _in_order(self, versions: list[Captured]) -> list[Captured]:
        """The specializations in an order that does not depend on which rows came first, nor on the process.

        So sums over rows on several paths always have the same bits.
        """
        if len(versions) == 1 or self.batch.stacks:
            return versions.copy()
        return sorted(versions, key=lambda captured: captured.specialization.order)

    def _place(self, captured: Captured, results: list[Any], row: int, outputs: list[Any], totals: Any) -> None:
        """Put the results of one row where they belong."""
        arrays = iter(outputs)
        sums: list[float] = []
        for kind, numbers in zip(self._output_types(captured), results):
            if _is_given(kind):
                out = next(arrays)
                out[row] = np.reshape(numbers, out.shape[1:])
            else:
                sums += flat([numbers])
        totals += sums

    @staticmethod
    def _output_types(captured: Captured) -> list[Type]:
        program = captured.specialization.captured
        types = types_of(program)
        return [types[o] for o in program.outputs]

    def _outputs(self, captured: Captured, count: int) -> list[Any]:
        """One array for each result that every row has."""
        return [np.empty((count, *shape)) for shape in captured.shapes]

    def _run_path(self, captured: Captured, left: Any, outputs: list[Any], totals: Any) -> Any:
        arrays = self.arrays if left is None else [array[left] for array in self.arrays]
        count = self.count if left is None else len(left)
        targets = outputs if left is None else self._outputs(captured, count)
        failed = self._flags(captured, count)
        for part in self._in_threads(captured, arrays, targets, failed, count):
            totals += part
        wrong = np.flatnonzero(failed)
        if left is None:
            return wrong
        if len(wrong):
            right = np.flatnonzero(failed == 0)
            for out, target in zip(outputs, targets):
                out[left[right]] = target[right]
            return left[wrong]
        for out, target in zip(outputs, targets):
            out[left] = target
        return wrong

    def _in_threads(self, captured: Captured, arrays: Any, targets: Any, failed: Any, count: int) -> list[Any]:
        threads = min(self.batch.options.threads, -(-count // 64))
        if threads == 1:
            return [self._run_part(captured, arrays, targets, failed, count, 0)]
        size = -(-count // (threads * 8)) * 8  # whole blocks of lanes
        parts = [(start, min(size, count - start)) for start in range(0, count, size)]

        def run(start: int, length: int) -> Any:
            return self._run_part(captured, arrays, targets, failed, length, start)

        with ThreadPoolExecutor(threads - 1) as pool:
            others = [pool.submit(run, *part) for part in parts[1:]]
            return [run(*parts[0]), *[other.result() for other in others]]  # this thread does not only wait

    @staticmethod
    def _flags(captured: Captured, count: int) -> Any:
        """Which rows fail a guard."""
        return np.zeros(count if captured.specialization.captured_guards else 0, dtype=np.uint8)

    def _run_part(self, captured: Captured, arrays: Any, targets: Any, failed: Any, count: int, start: int) -> Any:
        error, totals = self._run_table(captured, self._table(arrays, targets, failed, count, start))
        if error is not None:
            self._raise(error, captured, arrays, failed[start : start + count], start)
        return totals

    @staticmethod
    def _table(arrays: Any, targets: Any, failed: Any, count: int, start: int) -> Any:
        """The table of a call: addresses and strides of the rows from `start` on, and of their results."""
        table = [count]
        for array in arrays:
            row, column = array.strides
            base = array.ctypes.data + start * row
            if array.shape[1]:
                table += (base, row, column)
        for target in targets:
            row = target.strides[0] if count else 8
            base = target.ctypes.data + start * row
            table += (base, row, 8)
        table.append(failed.ctypes.data + start)
        return np.array(table, dtype=np.int64)

    def _run_table(self, captured: Captured, table: Any) -> tuple[BaseException | None, Any]:
        """Run the machine code: what Python code that it called has raised, and the totals."""
        specialization = captured.specialization
        frame = specialization.frame()
        given = [*self.reader.leaves, float(self.count), *[leaf.data for leaf in specialization.leaves]]
        frame.numbers[: len(given)] = given
        frame.block[1] = table.ctypes.data
        _, error = specialization.attempt(frame)
        totals = frame.results.copy()[: specialization.sizes[1]]
        specialization.pool.append(frame)
        return error, totals

    def _raise(self, error: BaseException, captured: Captured, arrays: Any, failed: Any, start: int) -> None:
        """Raise what a rule written in Python raised, unless only rows that take another branch raised it.

        All lanes call the rule, and it is not known which of them raised. So the rows of this branch run again without
        the others.
        """
        held = start + np.flatnonzero(failed == 0)
        if len(held) == len(failed) or not isinstance(error, Exception):
            raise error
        if len(held):
            rows = [array[held] for array in arrays]
            self._run_part(captured, rows, self._outputs(captured, len(held)), np.zeros_like(failed), len(held), 0)

    def _result(self, captured: Captured, outputs: list[Any], totals: Any) -> Any:
        if self.by is not None:
            return self._gradient(self.by, iter(totals.tolist()), iter(outputs))
        if not self.batch.stacks:
            return captured.specialization.rebuild(totals.tolist())
        if any(argument.in_arrays for argument in self.arguments):
            return flatten(captured.row, arrays=True)[1](outputs)
        rebuild = flatten(captured.row)[1]
        columns = [out.reshape(self.count, -1) for out in [np.empty((self.count, 0)), *outputs]]
        return [rebuild(row) for row in np.concatenate(columns, axis=1).tolist()]

    def _gradient(self, by: Sequence[int], numbers: Iterator[float], arrays: Iterator[Any]) -> Any:
        """A gradient by rows, with the value if it was asked for."""
        value = next(numbers) if self.batch.with_value else None
        parts = []
        for i in by:
            argument = self.arguments[i]
            if self.axes[i] is None:
                parts.append(argument.build(numbers))
            else:
                widths = [array.shape[1] for array in argument.arrays]
                given = [next(arrays).reshape(self.count, w) if w else np.empty((self.count, 0)) for w in widths]
                parts.append(argument.build(iter(given)))
        (argnums,) = self.batch.argnums
        gradient = parts[0] if isinstance(argnums, int) else tuple(parts)
        return (value, gradient) if self.batch.with_value else gradient

    # ---- capture -------------------------------------------------------------------------------------------

    def _capture(
        self, versions: list[Captured], row: int, tried: int, watched: AbstractContextManager[None]
    ) -> list[Any] | None:
        """Capture and compile a specialization for a row, unless another thread has made one that was not tried.

        If no machine code takes the right branches for this row, return the results of the row instead. The function
        may change its arguments: they are copies.
        """
        batch = self.batch
        self.arrays = [array.copy() for array in self.arrays]
        with batch.lock:
            if len(versions) > tried:
                return None
            start = time.perf_counter()
            with watched:
                trace, outputs, template = self.traced(row, assumes=not tried)
            if versions and read(trace.row).signature != read(versions[0].row).signature:
                raise RaggedRowsError
            self.settled = self.settled and self.reader.settled()
            parents = trace.parents(outputs)
            if parents and not batch.argnums:
                batch.parents = parents
                raise ValuesOutsideError
            closed = [leaf for leaf, _ in trace.leaf_inputs]
            program = finish(trace, outputs)
            specializations = [captured.specialization for captured in versions]
            same = same_branches(program, specializations)
            if same is not None and same.options.accurate:
                return evaluate(program, trace.given, {CALL: 1})[0]
            story = Story(batch.name, time.perf_counter() - start, trace.unrolled, trace.flow, trace.exact)
            options = options_for(same, specializations, usual(batch.options, story), "the map")
            specialization = Specialization(program, template, options, closed, parents, self.names(), story)
            try:
                specialization.compile()
            except NotImplementedError as error:  # machine code over any number of rows cannot do this
                raise NotRowsError from error
            shapes = [_row_shape(k) for k in map(trace.type_of, outputs) if _is_given(k)]
            if batch.stacks:
                shapes = [getattr(part, "shape", ()) for part in flatten(trace.row, arrays=True)[0]]
            versions.append(Captured(specialization, trace.row, shapes))
            return None

    def traced(self, row: int, assumes: bool) -> tuple[_BatchTrace, list[int], Any]:
        """Run the function once on tracers, on a row of the arrays: the trace, its outputs, and the result's form.

        Branches of the source are part of it if possible. The form is None where each row has a result.
        """
        trace = self._new_trace(assumes)
        while True:
            try:
                return trace, *self._trace(trace, row)
            except Exception:
                simpler = with_less(trace)
                if simpler is None:
                    raise
            trace = self._new_trace(assumes)
            trace.ints, trace.flows, trace.texts.allowed = simpler

    def _new_trace(self, assumes: bool) -> _BatchTrace:
        trace = _BatchTrace(reaches_code_that_asks(self.batch.function))
        trace.assumes = assumes
        return trace

    def _trace(self, trace: _BatchTrace, row: int) -> tuple[list[int], Any]:
        batch = self.batch
        shared = trace.inputs_of(self._shared_types(), self.reader.leaves)
        trace.count = Traced.of(trace, trace.input(given=float(self.count)))
        args = self._traced_arguments(trace, shared, row)
        with tracing(trace), trace.texts:
            if batch.stacks:
                trace.map(batch.inner, args, self.axes, None)
                leaves, rebuild = list[Any](), None
                outputs = trace.stacked
            else:
                leaves, rebuild = flatten_result(trace.followed(batch.function)(*args))
                outputs = trace.outputs(leaves) if self.by is None else self._row_outputs(trace, leaves)
        refuse_spoiled(trace)
        return outputs, rebuild and rebuild([0.0] * len(leaves))

    def count_input(self) -> int:
        """The program's input that is the number of rows."""
        return len(self._shared_types())

    def names(self) -> list[str]:
        """The names of the program's inputs: what the rows share, their number, and the arrays of rows."""
        call = Call(tuple([argument.signature for argument in self.arguments]), ())
        return [*argument_names(self.batch.inner, call, self.axes), "n", *self._names_of_rows()]

    def _row_outputs(self, trace: Trace, leaves: Sequence[Any]) -> list[int]:
        """The outputs of a gradient by rows: the same kinds of them for every branch."""
        assert self.by is not None
        at = 1 if self.batch.with_value else 0
        outputs = trace.outputs(leaves[:at])
        for i in self.by:
            argument = self.arguments[i]
            if self.axes[i] is None:
                size = numbers_in(types_of_numbers(argument.signature))
                outputs += trace.outputs(leaves[at : at + size])
                at += size
                continue
            for width in [array.shape[1] for array in argument.arrays if array.shape[1]]:
                outputs.append(_row_output(trace, leaves[at : at + width]))
                at += width
        return outputs

    def _shared_types(self) -> list[Type]:
        """The types of the inputs that are the same for all rows."""
        shared = [argument.signature for argument, axis in zip(self.arguments, self.axes) if axis is None]
        return [kind for signature in shared for kind in types_of_numbers(signature)]

    def _names_of_rows(self) -> list[str]:
        """What the arrays of rows are called."""
        parameters = parameter_names(self.batch.inner, len(self.arguments))
        found = []
        for name, argument in zip(parameters, self.arguments):
            arrays = [array for array in argument.arrays if array.shape[1]]
            found += [name] if len(arrays) == 1 else [f"{name}{k}" for k in range(len(arrays))]
        return found

    def _traced_arguments(self, trace: Trace, shared: Sequence[Traced], row: int) -> list[Any]:
        """Tracers for what the rows share; of a mapped argument, one row of them."""
        rows = []
        for array in self.arrays:
            width = array.shape[1]
            traced = np.empty((1, width), dtype=object)
            if width:
                kind = Array((CALL, width) if width > 1 else (CALL,))
                value = trace.input(kind, array[row].tolist())
                traced[0, :] = Traced.elements(trace, value, width)
            rows.append(traced)
        given, left = iter(shared), iter(rows)
        return [argument.build(given if axis is None else left) for argument, axis in zip(self.arguments, self.axes)]


class _BatchTrace(Trace):
    """The program around a batch: its outermost map is over the arrays of the call, of which it sees one row."""

    count: Traced  # how many rows the call has

    def __init__(self, real_bools: bool) -> None:
        super().__init__(real_bools=real_bools)
        self.outermost = True
        self.row: Any = None
        self.stacked: list[int] = []

    def map(self, function: Function, args: Sequence[Any], axes: Sequence[int | None], reduce: str | None) -> Any:
        """The outermost map once, then maps like those of any program."""
        if not self.outermost:
            return super().map(function, args, axes, reduce)
        self.outermost = False
        made = LoopBuilder(self, child := self.inner(), CALL)
        given = []
        for part, axis in zip(args, axes):
            if axis is None:
                given.append(part)
                continue
            leaves, rebuild = flatten(rows_of_tree(part, axis)[0])
            elements: list[Traced] = []
            for array in self.outputs(leaves):
                element, kind = made.element(array), self.type_of(array)
                assert isinstance(kind, Array)
                if len(kind.shape) == 1:
                    elements.append(Traced.of(child, element))
                else:
                    elements += [Traced.element(child, element, k) for k in range(kind.size())]
            given.append(rebuild(elements))
        with tracing(child):
            self.row = self.followed(function)(*given)
            leaves, rebuild = flatten_result(self.row)
            outputs = [child.place(leaf) for leaf in leaves] if reduce is not None else _parts(child, self.row)
        self.row = rebuild([nan] * len(leaves))
        kind_ = "each" if reduce is None else "sum"
        loop = made.finish([], [(output, kind_) for output in outputs])
        self.stacked = [self.emit("item", (loop,), k) for k in range(len(outputs))]
        if reduce is None:
            return None
        totals = [self.wrap(result) for result in self.stacked]
        return rebuild([t / self.count for t in totals] if reduce == "mean" else totals)


def _parts(child: Trace, row: Any) -> list[int]:
    """The results of a row: a value for each number, and one for each array."""
    numbers, _ = flatten_result(row)
    found = []
    for part in flatten(row, arrays=True)[0]:
        size = getattr(part, "size", 1)
        leaves, numbers = numbers[:size], numbers[size:]
        found.append(child.array_of(leaves, Array((size,))) if is_array(part) and size else child.place(leaves[0]))
    return found


def _is_given(kind: Type) -> bool:
    """Whether every row of the call has such a result."""
    return isinstance(kind, Array) and CALL in kind.shape


def _row_shape(kind: Type) -> tuple[int, ...]:
    """What each row of the call has in an array."""
    return tuple([int(extent) for extent in kind.shape[1:]]) if isinstance(kind, Array) else ()


def _row_output(trace: Trace, leaves: Sequence[Any]) -> int:
    """The array of what rows have here; zeros if nothing depends on them."""
    found = trace.outputs(leaves)
    if len(found) == 1 and _is_given(trace.type_of(found[0])):
        return found[0]
    if any(x != 0.0 for x in leaves if not isinstance(x, Value)) or any(isinstance(x, Value) for x in leaves):
        raise NotRowsError
    made = LoopBuilder(trace, body := trace.inner(), CALL)
    zeros = [body.constant(0.0)] * len(leaves)
    row = body.emit("pack", tuple(zeros), (len(zeros),)) if len(zeros) > 1 else zeros[0]
    return trace.emit("item", (made.finish([], [(row, "each")]),), 0)


def find(function: Function, options: Options, around: outside.Outsides) -> Batch | None:
    """The batch that a function is by its transforms, if it is one."""
    argnums: list[Any] = []
    inner = function
    while (origin := origin_of(inner)) is not None and origin.transform in ("grad", "value_and_grad"):
        by, has_aux = origin.parameters
        if has_aux:
            return None
        argnums.append(by)
        inner = origin.function
    if origin is None or origin.transform != "vmap" or (argnums and origin.parameters[1] is None):
        return None
    return Batch(function, inner, argnums, options, around)
