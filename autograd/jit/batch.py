"""`vmap` at the top of a compiled function: the rows stay in their arrays, and any number of them runs the same code.

Rows whose guards fail are regrouped: they run on another path, and their results go where they belong.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np

from autograd import transforms
from autograd.jit import fast, outside
from autograd.jit.capture import Trace, Traced, finish, flatten_result, tracing
from autograd.jit.paths import Options, Path, check_paths
from autograd.jit.program import Map, Program, with_inputs
from autograd.jit.structure import argument_names, as_doubles, inspect
from autograd.tree import children, flatten, is_array, only_floats

Function = Callable[..., Any]


class NotRowsError(Exception):
    """The arguments, or the results, do not lie in arrays of floats: the general way takes the call."""


class RaggedRowsError(Exception):
    """The results of rows differ in shape from path to path."""


@dataclass
class Rows:
    """A mapped argument: arrays (n, width) of float64, the structure of a row, and one row as a tree."""

    arrays: list[Any]
    structure: Hashable
    single: Callable[[int], Any]  # the argument with one row only


def rows_of(tree: Any, axis: int, path: str) -> Rows:
    """The rows of an argument, as `vmap` takes them."""
    if is_array(tree):
        if tree.dtype == object or not -tree.ndim <= axis < tree.ndim:
            raise NotRowsError
        moved = np.moveaxis(as_doubles(tree, path), axis, 0)
        flat = moved.reshape(len(moved), -1) if moved.size else np.empty((len(moved), 0))
        return Rows([flat], ("array", axis, moved.shape[1:]), lambda i: np.moveaxis(moved[i : i + 1], 0, axis))
    if isinstance(tree, list) and axis == 0:
        leaves: list[Any] = []
        structures = {inspect(row, path, leaves) for row in tree}
        if len(structures) > 1 or not only_floats(leaves):
            raise NotRowsError
        array = np.array(leaves, dtype=float).reshape(len(tree), -1) if tree else np.empty((0, 0))
        return Rows([array], ("list", *structures), lambda i: tree[i : i + 1])
    parts = None if isinstance(tree, list) else children(tree)
    if parts is None or hasattr(tree, "tree_flatten"):
        raise NotRowsError
    named, rebuild = parts
    inside = [rows_of(part, axis, path + name) for name, part in named]
    structure = (type(tree), tuple([(name, rows.structure) for (name, _), rows in zip(named, inside)]))
    return Rows(
        [array for rows in inside for array in rows.arrays],
        structure,
        lambda i: rebuild([rows.single(i) for rows in inside]),
    )


@dataclass
class Captured:
    """A path with what its results look like."""

    path: Path
    row: Any  # the results of one row, where there is one for each


class Batch:
    """A function that maps over rows: ``vmap(f)``, or a gradient of a reduced one by what its rows share."""

    def __init__(
        self, function: Function, mapped: Function, argnums: list[Any], options: Options, around: outside.Outsides
    ) -> None:
        self.function, self.argnums, self.options, self.outside = function, argnums, options, around
        _, self.inner, self.in_axes, self.reduce = transforms.made_by[mapped]
        self.stacks = function is mapped and self.reduce is None
        self.name = getattr(function, "__name__", repr(function))
        self.lock = threading.RLock()
        self.callers: dict[
            Hashable, tuple[Any, Any]
        ] = {}  # for each structure: what is watched, and the short way or None
        self.caller: Any | None = None  # the one for arguments like the last

    def call(self, args: tuple[Any, ...]) -> Any:
        """The result, or NotImplemented where the general way must take the call."""
        try:
            return self._run(args)
        except NotRowsError:
            return NotImplemented

    def _run(self, args: tuple[Any, ...]) -> Any:
        axes = tuple(self.in_axes) if isinstance(self.in_axes, Sequence) else (self.in_axes,) * len(args)
        if len(axes) != len(args) or all(axis is None for axis in axes) or self._differentiates_rows(axes):
            raise NotRowsError
        shared: list[Any] = []
        mapped: list[Rows] = []
        structure: list[Hashable] = []
        for k, (arg, axis) in enumerate(zip(args, axes)):
            if axis is None:
                structure.append(inspect(arg, f"argument {k} of {self.name}", shared))
                if not only_floats(shared):
                    raise NotRowsError
            else:
                mapped.append(rows_of(arg, axis, f"argument {k} of {self.name}"))
                structure.append(mapped[-1].structure)
        arrays = [array for rows in mapped for array in rows.arrays]
        counts = {len(array) for array in arrays}
        if len(counts) != 1 or counts == {0}:
            raise NotRowsError
        call = _Call(self, args, axes, mapped, arrays, shared, counts.pop())
        key = tuple(structure)
        result, state = outside.steadily(lambda: call.run(key))
        watch = state.watch
        if key not in self.callers or self.callers[key][0] is not watch:
            first = state.rows[key][0]
            simple = not first.path.captured_guards and self.options.threads == 1
            row = first.row if self.stacks else None
            caller = fast.batch_caller(args, axes, first.path, row, watch) if simple else None
            self.callers[key] = (watch, caller)
        self.caller = self.callers[key][1]
        return result

    def _differentiates_rows(self, axes: Sequence[int | None]) -> bool:
        for argnums in self.argnums:
            for i in (argnums,) if isinstance(argnums, int) else argnums:
                if not -len(axes) <= i < len(axes) or axes[i] is not None:
                    return True
        return False


@dataclass
class _Call:
    """One call of a batch."""

    batch: Batch
    args: tuple[Any, ...]
    axes: Sequence[int | None]
    mapped: list[Rows]
    arrays: list[Any]
    shared: list[float]
    count: int

    def run(self, structure: Hashable) -> tuple[Any, outside.State]:
        """Run all rows on the paths that they take, in the present state of what is read outside."""
        around = self.batch.outside.of(structure)
        state = around.state()
        versions = state.rows.setdefault(structure, [])
        if not versions:
            self._capture(versions, 0, around.capturing(state))
        first = versions[0]
        outputs = self._outputs(first)
        totals = np.zeros(len(first.path.program.outputs))
        left: Any = None  # numbers of the rows that are still to run; None: all
        number = 0
        while True:
            if number == len(versions):
                self._capture(versions, int(left[0]), around.capturing(state))
            left = self._run_path(versions[number], left, outputs, totals)
            if left is None:
                return self._result(first, outputs, totals), state
            number += 1

    def _outputs(self, captured: Captured) -> list[Any]:
        """One array for each leaf of a row's result, or one matrix."""
        if not self.batch.stacks:
            return []
        leaves, _ = flatten(captured.row, arrays=True)
        return [np.empty((self.count, *getattr(leaf, "shape", ()))) for leaf in leaves]

    def _run_path(self, captured: Captured, left: Any, outputs: list[Any], totals: Any) -> Any:
        arrays = self.arrays if left is None else [array[left] for array in self.arrays]
        count = self.count if left is None else len(left)
        targets = outputs if left is None else [np.empty((count, *out.shape[1:])) for out in outputs]
        failed = np.zeros(count if captured.path.captured_guards else 0, dtype=np.uint8)
        for part in self._in_threads(captured, arrays, targets, failed, count):
            totals += part
        wrong = np.flatnonzero(failed)
        if left is not None:
            right = np.flatnonzero(failed == 0) if len(failed) else slice(None)
            for out, target in zip(outputs, targets):
                out[left[right]] = target[right]
        if not len(wrong):
            return None
        return wrong if left is None else left[wrong]

    def _in_threads(self, captured: Captured, arrays: Any, targets: Any, failed: Any, count: int) -> list[Any]:
        threads = min(self.batch.options.threads, -(-count // 64))
        if threads == 1:
            return [self._run_part(captured, arrays, targets, failed, count, 0)]
        size = -(-count // (threads * 8)) * 8  # whole blocks of lanes
        parts = [(start, min(size, count - start)) for start in range(0, count, size)]
        with ThreadPoolExecutor(threads) as pool:
            jobs = [
                pool.submit(self._run_part, captured, arrays, targets, failed, length, start) for start, length in parts
            ]
            return [job.result() for job in jobs]

    def _run_part(self, captured: Captured, arrays: Any, targets: Any, failed: Any, count: int, start: int) -> Any:
        path = captured.path
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
        buffer = np.array(table, dtype=np.int64)
        frame = path.frame()
        given = [*self.shared, float(self.count), *[leaf.data for leaf in path.leaves]]
        frame.numbers[: len(given)] = given
        frame.block[1] = buffer.ctypes.data
        path.run(frame)
        totals = frame.results.copy()[: len(path.program.outputs)]
        path.pool.append(frame)
        return totals

    def _result(self, captured: Captured, outputs: list[Any], totals: Any) -> Any:
        if not self.batch.stacks:
            return captured.path.rebuild(totals.tolist())
        as_arrays = any(transforms._holds_array(arg) for arg, axis in zip(self.args, self.axes) if axis is not None)
        if as_arrays:
            return flatten(captured.row, arrays=True)[1](outputs)
        rebuild = flatten(captured.row)[1]
        columns = [out.reshape(self.count, -1) for out in [np.empty((self.count, 0)), *outputs]]
        return [rebuild(row) for row in np.concatenate(columns, axis=1).tolist()]

    # ---- capture -------------------------------------------------------------------------------------------

    def _capture(self, versions: list[Captured], row: int, watched: AbstractContextManager[None]) -> None:
        """Capture and compile the path that a row takes."""
        batch = self.batch
        with batch.lock:
            guards = [guard for captured in versions for guard in captured.path.captured_guards]
            check_paths(len(versions), batch.options, "the map", guards)
            trace = Trace()
            args = self._traced_arguments(trace, row)
            count = Traced.of(trace, trace.input(float(self.count)))
            widths = tuple([array.shape[1] for array in self.arrays if array.shape[1]])
            mapper = _Mapper(trace, self.axes, count, widths)
            with watched, tracing(trace, mapper):
                if batch.stacks:
                    first = [a if axis is None else transforms._rows(a, axis)[0] for a, axis in zip(args, self.axes)]
                    mapper(batch.inner, [first], None)
                    outputs, template = [mapper.at], None
                else:
                    leaves, rebuild = flatten_result(batch.function(*args))
                    outputs, template = [trace.place(leaf) for leaf in leaves], rebuild([0.0] * len(leaves))
            if versions and inspect(mapper.row, "", []) != inspect(versions[0].row, "", []):
                raise RaggedRowsError
            parents = trace.parents(outputs)
            if parents and not batch.argnums:
                raise NotRowsError  # results are Values, which the general way makes
            closed = [leaf for leaf, _ in trace.leaf_inputs]
            names = [*argument_names(batch.inner, self.args, {}, self.axes), "rows"]
            path = Path(finish(trace, outputs), template, batch.options, closed, parents, names)
            versions.append(Captured(path, mapper.row))

    def _traced_arguments(self, trace: Trace, row: int) -> list[Any]:
        """Tracers for what the rows share; of a mapped argument, one row in numbers."""
        traced = [Traced.of(trace, trace.input(x)) for x in self.shared]
        args, start, mapped = [], 0, iter(self.mapped)
        for arg, axis in zip(self.args, self.axes):
            if axis is not None:
                args.append(next(mapped).single(row))
                continue
            leaves, rebuild = flatten(arg)
            args.append(rebuild(traced[start : start + len(leaves)]))
            start += len(leaves)
        return args


class _Mapper:
    """What `vmap` calls while a batch is captured: maps over the arrays of the call, of which it sees one row."""

    def __init__(self, trace: Trace, axes: Sequence[int | None], count: Traced, widths: tuple[int, ...]) -> None:
        self.trace, self.axes, self.count, self.widths = trace, axes, count, widths
        self.row: Any = None
        self.at = -1

    def __call__(self, function: Function, rows: Sequence[Sequence[Any]], reduce: str | None) -> Any:
        transforms.map_rows.set(self.trace.map_rows)  # only the outermost map is over the arrays
        trace, child = self.trace, Trace(self.trace)
        args, columns = [], []
        for part, axis in zip(rows[0], self.axes):
            if axis is None:
                args.append(part)
                continue
            leaves, rebuild = flatten(part)
            columns += [child.input(x) for x in leaves]
            args.append(rebuild([Traced.of(child, x) for x in columns[len(columns) - len(leaves) :]]))
        with tracing(child, None):
            self.row = function(*args)
            leaves, rebuild = flatten_result(self.row)
            outputs = [child.place(leaf) for leaf in leaves]
        self.row = rebuild([nan] * len(leaves))
        shared = child.lifted_inputs
        order = [number for _, number in shared] + [child.code[column].data for column in columns]
        body = Program(with_inputs(child.code, order), outputs, len(order), child.guards)
        reduced = (reduce is not None,) * len(outputs)
        parts, _ = flatten(self.row, arrays=True)
        results = () if reduce is not None else tuple([getattr(part, "size", 1) for part in parts])
        data = Map(body, len(shared), reduced, None, self.widths, results)
        trace.keep_sample(data, child, order)
        self.at = trace.emit("map", tuple([outer for outer, _ in shared]), data)
        if reduce is None:
            return None
        totals = [trace.wrap(trace.emit("item", (self.at,), k)) for k in range(len(outputs))]
        return rebuild([t / self.count for t in totals] if reduce == "mean" else totals)


def find(function: Function, options: Options, around: outside.Outsides) -> Batch | None:
    """The batch that a function is by its transforms, if it is one."""
    argnums: list[Any] = []
    inner: Any = function
    made = made_by(inner)
    while made is not None and made[0] in ("grad", "value_and_grad") and not made[3]:
        argnums.append(made[2])
        inner = made[1]
        made = made_by(inner)
    if made is None or made[0] != "vmap" or (argnums and made[3] is None):
        return None
    return Batch(function, inner, argnums, options, around)


def made_by(function: Any) -> tuple[Any, ...] | None:
    """Which transform made a function, and of what; None for any other function."""
    try:
        return transforms.made_by.get(function)
    except TypeError:  # not hashable or not weakly referable: not a transform's
        return None
