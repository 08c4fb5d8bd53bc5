"""`vmap` at the top of a compiled function: the rows stay in their arrays, and any number of rows runs the same code.

Rows whose guards fail are regrouped: another specialization computes them, and the results are returned in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from autograd.compiler import locks
from autograd.compiler.capture.outside import Outsides, State, steadily
from autograd.compiler.capture.signature import Reader, read
from autograd.compiler.capture.trace import finish
from autograd.compiler.run import fast_path
from autograd.compiler.run.batch.arguments import Argument, NotRowsError, rows_of
from autograd.compiler.run.batch.code import RowBuffers, RowCode
from autograd.compiler.run.batch.known import KnownRows, Served, remembered, scatter
from autograd.compiler.run.batch.trace import BatchReading, Mapped, taken_apart
from autograd.compiler.run.specialization import (
    Options,
    Report,
    Specialization,
    options_for,
    same_branches,
    usual_options,
)
from autograd.ir.block import CALL, Array, Type, has_rows
from autograd.ir.evaluate import evaluate, flat
from autograd.transforms.origin import described
from autograd.tree import flatten, only_floats
from autograd.value import Value

Function = Callable[..., Any]
STOP_AGAIN = 0.05  # seconds until threads are told again to stop: a thread that begins later has missed it


class RaggedRowsError(Exception):
    """Rows that take different branches have results of different shapes."""


class ValuesOutsideError(Exception):
    """The results depend on Values from outside, so they are Values: `Batch.parents` has them."""


class Batch:
    """A function that maps over rows: ``vmap(f)``, or the gradient of a reduced one.

    Attributes
    ----------
    fast_paths : dict
        Signature → the watch, and the fast path or None.
    fast_path : object or None
        The fast path for arguments like those of the last call.
    not_rows : set
        The signatures for which the slow path must take the call.
    known_rows : dict
        Signature → which machine code served which rows in the last call.
    parents : list of Value
        The Values from outside on which results depend.
    """

    def __init__(self, mapped: Mapped, options: Options, outside: Outsides) -> None:
        self.mapped, self.options, self.outside = mapped, options, outside
        self.name = getattr(mapped.function, "__name__", repr(mapped.function))
        self.lock = locks.Lock()
        self.fast_paths: dict[Hashable, tuple[Any, Any]] = {}
        self.fast_path: Any | None = None
        self.not_rows: set[Hashable] = set()
        self.known_rows: dict[Hashable, KnownRows] = {}
        self.parents: list[Value] = []

    def call(self, args: tuple[Any, ...]) -> Any:
        """The result, or NotImplemented if the call needs the slow path."""
        try:
            return self._run(args)
        except NotRowsError:
            return NotImplemented

    def read(self, args: tuple[Any, ...]) -> BatchReading:
        """Read the arguments of a call.

        Raises
        ------
        NotRowsError
            If they are not arrays and lists with the same number of rows.
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
        if key in self.not_rows:
            raise NotRowsError
        try:
            result, state = steadily(lambda: call.run(key))
        except NotRowsError:
            self.not_rows.add(key)  # the next call does not try again
            raise
        if call.settled and key not in state.unsettled:
            self.fast_path = self._fast_path(key, state, reading)
        else:
            if not call.settled:  # the function changed its arguments: no later call may use this
                state.rows.pop(key, None)
            self.fast_paths.pop(key, None)
            self.fast_path = None
        return result

    def _fast_path(self, key: Any, state: State, reading: BatchReading) -> Any | None:
        """The fast path for calls like this one; None if they have none."""
        watch, known = state.watch, self.fast_paths.get(key)
        if known is None or known[0] is not watch:
            codes = state.rows[key]
            simple = self.options.threads == 1 and reading.by is None and len(codes) == 1
            row = codes[0].row if self.mapped.stacks else None
            new = fast_path.for_batch(key, codes[0].specialization, row, watch) if simple else None
            known = self.fast_paths[key] = watch, new
        return known[1]

    def _by_rows(self, axes: Sequence[int | None]) -> list[int] | None:
        """The arguments by which the gradient is taken; None if none of them has rows."""
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
    """One call of a batch.

    Attributes
    ----------
    settled : bool
        Whether captures left unchanged what the arguments hold besides their numbers.
    """

    batch: Batch
    reading: BatchReading
    settled: bool = True

    def run(self, signature: Hashable) -> tuple[Any, State]:
        """Run each row with the machine code whose guards hold: the result, and the state in which that is valid."""
        outside = self.batch.outside.of(signature)
        outside.forget_unsettled(signature)
        state = outside.state()
        codes: list[RowCode] = state.rows.setdefault(signature, [])
        watched = partial(outside.capturing, state, signature, repeated=True)
        if not codes:
            self._capture(codes, 0, 0, watched())
        first = codes[0]
        while True:
            known = self._in_order(codes)
            outputs = first.outputs(self.reading.count)
            totals = np.zeros(first.specialization.sizes[1])
            left: Any = None  # the rows that are still to run; None: all
            index = 0
            served: list[Served] = []
            if len(codes) > 1 and self.batch.mapped.stacks:
                left, served = self._run_known(signature, codes, outputs)
                if left is not None and not len(left):
                    return self._result(first, outputs, totals), state
            while left is None or len(left):
                if index < len(codes):
                    code = known[index] if index < len(known) else codes[index]
                    wrong = self._run_path(code, left, outputs, totals)
                    served.append(Served(code, left, wrong))
                    left = wrong
                    index += 1
                elif (results := self._capture(codes, int(left[0]), index, watched())) is not None:
                    self._place(first, results, int(left[0]), outputs, totals)
                    left = left[1:]
            if index <= len(known) or self.batch.mapped.stacks:
                self._remember(signature, served)
                return self._result(first, outputs, totals), state

    def _run_known(self, signature: Hashable, codes: list[RowCode], outputs: list[Any]) -> tuple[Any, list[Served]]:
        """Run each row with the machine code that served it in the last call.

        Returns the rows that are left, None for all; and what was run, if rows are left.
        """
        known = self.batch.known_rows.pop(signature, None)  # another thread does not use its memory
        if known is None or not known.fit(self.reading, codes):
            return None, []
        served = known.run(self.reading, outputs)
        left = [one.wrong for one in served]
        if not any(map(len, left)):
            self.batch.known_rows[signature] = known
            return left[0], []
        return np.sort(np.concatenate(left)), served

    def _remember(self, signature: Hashable, served: list[Served]) -> None:
        """Keep which machine code served which rows."""
        if self.batch.mapped.stacks and self.batch.options.threads == 1:
            known = remembered(self.reading, served)
            if known is not None:
                self.batch.known_rows[signature] = known

    def _in_order(self, codes: list[RowCode]) -> list[RowCode]:
        """The machine code in an order that does not depend on which rows came first, nor on the process.

        So sums over rows on several paths always have the same bits.
        """
        if len(codes) == 1 or self.batch.mapped.stacks:
            return codes.copy()
        return sorted(codes, key=lambda code: code.specialization.order)

    @staticmethod
    def _place(code: RowCode, results: list[Any], row: int, outputs: list[Any], totals: Any) -> None:
        """Put the results of one row where they belong."""
        arrays = iter(outputs)
        sums: list[float] = []
        for kind, numbers in zip(code.output_types(), results):
            if has_rows(kind):
                out = next(arrays)
                out[row] = np.reshape(numbers, out.shape[1:])
            else:
                sums += flat([numbers])
        totals += sums

    def _run_path(self, code: RowCode, left: Any, outputs: list[Any], totals: Any) -> Any:
        """Run the rows that are left with one machine code; return those of which a guard failed."""
        if left is None:
            buffers = RowBuffers(code, self.reading.arrays, outputs)
            self._run(buffers, totals)
            return np.flatnonzero(buffers.failed)
        buffers = RowBuffers(code, [array[left] for array in self.reading.arrays])
        self._run(buffers, totals)
        return scatter(buffers, left, outputs)

    def _run(self, buffers: RowBuffers, totals: Any) -> None:
        """Run rows, in as many threads as are allowed, and add to the totals."""
        shared, count = self.reading.shared(), len(buffers.arrays[0])
        threads = min(self.batch.options.threads, -(-count // 64))
        if threads == 1:
            totals += buffers.run(shared)
            return
        size = -(-count // (threads * 8)) * 8  # whole blocks of lanes
        first, *others = [buffers.part(start, min(start + size, count)) for start in range(0, count, size)]
        specialization = buffers.code.specialization
        for part in others:
            part.frame = specialization.frame()
        from concurrent.futures import ThreadPoolExecutor, wait  # long to import, and for batches in threads only

        running: list[Any] = []
        with ThreadPoolExecutor(threads - 1) as pool:
            try:
                running += [pool.submit(part.run, shared) for part in others]
                done = [first.run(shared), *[one.result() for one in running]]  # this thread does not only wait
            except BaseException:  # one part failed, or a signal came: only this thread gets it
                while wait(running, timeout=STOP_AGAIN).not_done:
                    for part in others:
                        part.stop()
                raise
        specialization.pool += [part.frame for part in others if part.frame is not None]
        for sums in done:
            totals += sums

    def _result(self, code: RowCode, outputs: list[Any], totals: Any) -> Any:
        """The result of the call, from what each row has and the totals over the rows."""
        reading = self.reading
        if reading.by is not None:
            return self._gradient(reading.by, iter(totals.tolist()), iter(outputs))
        if not self.batch.mapped.stacks:
            return code.specialization.rebuild(totals.tolist())
        if any(argument.in_arrays for argument in reading.arguments):
            return flatten(code.row, arrays=True)[1](outputs)
        rebuild = flatten(code.row)[1]
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
        self, codes: list[RowCode], row: int, tried: int, watched: AbstractContextManager[None]
    ) -> list[Any] | None:
        """Capture and compile machine code for a row, unless another thread has added some that was not tried.

        If no machine code takes the right branches for this row, return the results of the row. The arguments are
        copied, because the function may change them.
        """
        batch = self.batch
        self.reading.arrays = [array.copy() for array in self.reading.arrays]
        with batch.lock:
            if len(codes) > tried:
                return None
            start = time.perf_counter()
            with watched:
                trace, outputs, template = self.reading.traced(row, assumes=not tried)
            if codes and read(trace.row).signature != read(codes[0].row).signature:
                raise RaggedRowsError
            self.settled = self.settled and self.reading.reader.settled()
            parents = trace.parents(outputs)
            if parents and not batch.mapped.argnums:
                batch.parents = parents
                raise ValuesOutsideError
            closed = [leaf for leaf, _ in trace.leaf_inputs]
            program = finish(trace, outputs)
            specializations = [code.specialization for code in codes]
            same = same_branches(program, specializations)
            if same is not None and same.options.accurate:
                return evaluate(program, trace.given, {CALL: 1})[0]
            computes, seconds = described(batch.mapped.function), time.perf_counter() - start
            report = Report(batch.name, computes, seconds, trace.unrolled, trace.flow, trace.exact)
            options = options_for(same, specializations, usual_options(batch.options, report), "the map")
            specialization = Specialization(program, template, options, closed, parents, self.reading.names(), report)
            try:
                specialization.compile()
            except NotImplementedError as error:  # this needs the number of rows when it is compiled
                raise NotRowsError from error
            shapes = [_row_shape(k) for k in map(trace.type_of, outputs) if has_rows(k)]
            if batch.mapped.stacks:
                shapes = [getattr(part, "shape", ()) for part in flatten(trace.row, arrays=True)[0]]
            codes.append(RowCode(specialization, trace.row, shapes))
            return None


def _row_shape(kind: Type) -> tuple[int, ...]:
    """The shape of what each row has in an array of the call."""
    return tuple([int(extent) for extent in kind.shape[1:]]) if isinstance(kind, Array) else ()


def batch_of(function: Function, options: Options, outside: Outsides) -> Batch | None:
    """The batch for a function that its transforms make a map over rows; None for any other function."""
    mapped = taken_apart(function)
    return mapped and Batch(mapped, options, outside)
