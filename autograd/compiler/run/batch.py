"""`vmap` at the top of a compiled function: the rows stay in their arrays, and any number of them runs the same code.

Rows whose guards fail are regrouped: another specialization computes them, and the results are returned in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from autograd.compiler import locks
from autograd.compiler.capture import outside
from autograd.compiler.capture.signature import Reader, read
from autograd.compiler.capture.trace import finish
from autograd.compiler.run import fast_path
from autograd.compiler.run.batch_rows import Argument, NotRowsError, rows_of
from autograd.compiler.run.batch_trace import BatchReading, Mapped, is_given, taken_apart
from autograd.compiler.run.specialization import (
    Options,
    Report,
    Specialization,
    options_for,
    same_branches,
    usual_options,
)
from autograd.ir.block import CALL, Array, Type, types_of
from autograd.ir.evaluate import evaluate, flat
from autograd.tree import flatten, only_floats
from autograd.value import Value

Function = Callable[..., Any]
MOST_KEPT = 1 << 18  # numbers of a call whose rows are remembered


class RaggedRowsError(Exception):
    """Results of rows that take different branches differ in shape."""


class ValuesOutsideError(Exception):
    """The function closes over Values, of which its results are more than numbers: see `Batch.parents`."""


@dataclass
class RowCode:
    """A specialization, and the form of its results."""

    specialization: Specialization
    row: Any  # the results of one row, where there is one for each
    shapes: list[tuple[int, ...]]  # of what each row has in the arrays of results


class Served(NamedTuple):
    """A run of a specialization: the rows that it was given, None for all, and those of which a guard failed."""

    captured: RowCode
    given: Any
    wrong: Any


@dataclass
class Group:
    """The rows of a call that one specialization served, with the memory in which it takes them and gives results.

    Most rows of the next call take the same paths.
    """

    captured: RowCode
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

    def __init__(self, mapped: Mapped, options: Options, around: outside.Outsides) -> None:
        self.mapped, self.options, self.outside = mapped, options, around
        self.name = getattr(mapped.function, "__name__", repr(mapped.function))
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

    def read(self, args: tuple[Any, ...]) -> BatchReading:
        """One reading at the arguments of a call.

        Raises
        ------
        NotRowsError
            If they are not arrays and lists of rows, as many in each.
        """
        in_axes = self.mapped.in_axes
        axes = tuple(in_axes) if isinstance(in_axes, Sequence) else (in_axes,) * len(args)
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
        return BatchReading(self.mapped, axes, arguments, arrays, reader, counts.pop(), by)

    def _run(self, args: tuple[Any, ...]) -> Any:
        reading = self.read(args)
        call, key = _Call(self, reading), reading.signature()
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
            simple = self.options.threads == 1 and reading.by is None and len(state.rows[key]) == 1
            row = first.row if self.mapped.stacks else None
            known = self.fast_paths[key] = (
                watch,
                fast_path.for_batch(key, first.specialization, row, watch) if simple else None,
            )
        self.fast_path = known[1]
        return result

    def _by_rows(self, axes: Sequence[int | None]) -> list[int] | None:
        """The arguments by which the gradient is taken, if rows are among them."""
        chosen = [[argnums] if isinstance(argnums, int) else list(argnums) for argnums in self.mapped.argnums]
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
    reading: BatchReading
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
            outputs = self._outputs(first, self.reading.count)
            totals = np.zeros(first.specialization.sizes[1])
            left: Any = None  # numbers of the rows that are still to run; None: all
            number = 0
            served: list[Served] = []
            if len(versions) > 1 and self.batch.mapped.stacks:
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
            if number <= len(known) or self.batch.mapped.stacks:
                self._remember(structure, served)
                return self._result(first, outputs, totals), state

    def _run_known(self, structure: Hashable, versions: list[RowCode], outputs: list[Any], served: list[Served]) -> Any:
        """Run each row with the specialization that served it in the last call; the rows that are left, None for all.

        `served` gets the rows of each, if any are left.
        """
        known = self.batch.known_rows.pop(structure, None)  # another thread does not use its memory
        if known is None or known.length != self.reading.count:
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
        for array, taken in zip(self.reading.arrays, group.arrays):
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
        size = self.reading.count * sum(array.shape[1] for array in self.reading.arrays)
        if len(served) < 2 or not self.batch.mapped.stacks or self.batch.options.threads > 1 or size > MOST_KEPT:
            return
        together: dict[int, tuple[RowCode, list[Any]]] = {}
        for captured, given, wrong in served:
            rows = np.arange(self.reading.count) if given is None else given
            rows = np.setdiff1d(rows, wrong, assume_unique=True) if len(wrong) else rows
            if len(rows):
                together.setdefault(id(captured), (captured, []))[1].append(rows)
        if sum([len(rows) for _, parts in together.values() for rows in parts]) < self.reading.count:
            return  # the others were evaluated: no machine code is right for them
        groups = []
        for captured, parts in together.values():
            rows = np.sort(np.concatenate(parts))
            arrays, targets = [array[rows] for array in self.reading.arrays], self._outputs(captured, len(rows))
            failed = self._flags(captured, len(rows))
            table = self._table(arrays, targets, failed, len(rows), 0)
            groups.append(Group(captured, rows, arrays, targets, failed, table))
        self.batch.known_rows[structure] = KnownRows(self.reading.count, groups)

    def _in_order(self, versions: list[RowCode]) -> list[RowCode]:
        """The specializations in an order that does not depend on which rows came first, nor on the process.

        So sums over rows on several paths always have the same bits.
        """
        if len(versions) == 1 or self.batch.mapped.stacks:
            return versions.copy()
        return sorted(versions, key=lambda captured: captured.specialization.order)

    def _place(self, captured: RowCode, results: list[Any], row: int, outputs: list[Any], totals: Any) -> None:
        """Put the results of one row where they belong."""
        arrays = iter(outputs)
        sums: list[float] = []
        for kind, numbers in zip(self._output_types(captured), results):
            if is_given(kind):
                out = next(arrays)
                out[row] = np.reshape(numbers, out.shape[1:])
            else:
                sums += flat([numbers])
        totals += sums

    @staticmethod
    def _output_types(captured: RowCode) -> list[Type]:
        program = captured.specialization.captured
        types = types_of(program)
        return [types[o] for o in program.outputs]

    def _outputs(self, captured: RowCode, count: int) -> list[Any]:
        """One array for each result that every row has."""
        return [np.empty((count, *shape)) for shape in captured.shapes]

    def _run_path(self, captured: RowCode, left: Any, outputs: list[Any], totals: Any) -> Any:
        arrays = self.reading.arrays if left is None else [array[left] for array in self.reading.arrays]
        count = self.reading.count if left is None else len(left)
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

    def _in_threads(self, captured: RowCode, arrays: Any, targets: Any, failed: Any, count: int) -> list[Any]:
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
    def _flags(captured: RowCode, count: int) -> Any:
        """Which rows fail a guard."""
        return np.zeros(count if captured.specialization.guards else 0, dtype=np.uint8)

    def _run_part(self, captured: RowCode, arrays: Any, targets: Any, failed: Any, count: int, start: int) -> Any:
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

    def _run_table(self, captured: RowCode, table: Any) -> tuple[BaseException | None, Any]:
        """Run the machine code: what Python code that it called has raised, and the totals."""
        specialization = captured.specialization
        frame = specialization.frame()
        given = [*self.reading.reader.leaves, float(self.reading.count), *[leaf.data for leaf in specialization.leaves]]
        frame.numbers[: len(given)] = given
        frame.block[1] = table.ctypes.data
        _, error = specialization.attempt(frame)
        totals = frame.results.copy()[: specialization.sizes[1]]
        specialization.pool.append(frame)
        return error, totals

    def _raise(self, error: BaseException, captured: RowCode, arrays: Any, failed: Any, start: int) -> None:
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

    def _result(self, captured: RowCode, outputs: list[Any], totals: Any) -> Any:
        reading = self.reading
        if reading.by is not None:
            return self._gradient(reading.by, iter(totals.tolist()), iter(outputs))
        if not self.batch.mapped.stacks:
            return captured.specialization.rebuild(totals.tolist())
        if any(argument.in_arrays for argument in reading.arguments):
            return flatten(captured.row, arrays=True)[1](outputs)
        rebuild = flatten(captured.row)[1]
        columns = [out.reshape(reading.count, -1) for out in [np.empty((reading.count, 0)), *outputs]]
        return [rebuild(row) for row in np.concatenate(columns, axis=1).tolist()]

    def _gradient(self, by: Sequence[int], numbers: Iterator[float], arrays: Iterator[Any]) -> Any:
        """A gradient by rows, with the value if it was asked for."""
        reading, count = self.reading, self.reading.count
        value = next(numbers) if self.batch.mapped.with_value else None
        parts = []
        for i in by:
            argument = reading.arguments[i]
            if reading.axes[i] is None:
                parts.append(argument.build(numbers))
            else:
                widths = [array.shape[1] for array in argument.arrays]
                given = [next(arrays).reshape(count, w) if w else np.empty((count, 0)) for w in widths]
                parts.append(argument.build(iter(given)))
        (argnums,) = self.batch.mapped.argnums
        gradient = parts[0] if isinstance(argnums, int) else tuple(parts)
        return (value, gradient) if self.batch.mapped.with_value else gradient

    # ---- capture -------------------------------------------------------------------------------------------

    def _capture(
        self, versions: list[RowCode], row: int, tried: int, watched: AbstractContextManager[None]
    ) -> list[Any] | None:
        """Capture and compile a specialization for a row, unless another thread has made one that was not tried.

        If no machine code takes the right branches for this row, return the results of the row instead. The function
        may change its arguments: they are copies.
        """
        batch = self.batch
        self.reading.arrays = [array.copy() for array in self.reading.arrays]
        with batch.lock:
            if len(versions) > tried:
                return None
            start = time.perf_counter()
            with watched:
                trace, outputs, template = self.reading.traced(row, assumes=not tried)
            if versions and read(trace.row).signature != read(versions[0].row).signature:
                raise RaggedRowsError
            self.settled = self.settled and self.reading.reader.settled()
            parents = trace.parents(outputs)
            if parents and not batch.mapped.argnums:
                batch.parents = parents
                raise ValuesOutsideError
            closed = [leaf for leaf, _ in trace.leaf_inputs]
            program = finish(trace, outputs)
            specializations = [captured.specialization for captured in versions]
            same = same_branches(program, specializations)
            if same is not None and same.options.accurate:
                return evaluate(program, trace.given, {CALL: 1})[0]
            report = Report(batch.name, time.perf_counter() - start, trace.unrolled, trace.flow, trace.exact)
            options = options_for(same, specializations, usual_options(batch.options, report), "the map")
            specialization = Specialization(program, template, options, closed, parents, self.reading.names(), report)
            try:
                specialization.compile()
            except NotImplementedError as error:  # machine code over any number of rows cannot do this
                raise NotRowsError from error
            shapes = [_row_shape(k) for k in map(trace.type_of, outputs) if is_given(k)]
            if batch.mapped.stacks:
                shapes = [getattr(part, "shape", ()) for part in flatten(trace.row, arrays=True)[0]]
            versions.append(RowCode(specialization, trace.row, shapes))
            return None


def _row_shape(kind: Type) -> tuple[int, ...]:
    """What each row of the call has in an array."""
    return tuple([int(extent) for extent in kind.shape[1:]]) if isinstance(kind, Array) else ()


def find(function: Function, options: Options, around: outside.Outsides) -> Batch | None:
    """The batch that a function is by its transforms, if it is one."""
    mapped = taken_apart(function)
    return mapped and Batch(mapped, options, around)
