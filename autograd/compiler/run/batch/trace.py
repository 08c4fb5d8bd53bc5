"""The program of a batch: the function of a row is captured once, as the body of a loop over the rows of the call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, NamedTuple

import numpy as np

from autograd.compiler.capture import outside
from autograd.compiler.capture.control.sides import refuse_spoiled, with_less
from autograd.compiler.capture.repeats import check_repeats, without_repeats
from autograd.compiler.capture.results import flatten_result
from autograd.compiler.capture.signature import (
    Call,
    Reader,
    Signature,
    argument_names,
    parameter_names,
    types_of_numbers,
)
from autograd.compiler.capture.spent import unspent
from autograd.compiler.capture.trace import Trace, tracing
from autograd.compiler.capture.tracer import Traced
from autograd.compiler.capture.watched import UnrollError
from autograd.compiler.run.batch.arguments import Argument, NotRowsError
from autograd.compiler.source.identity import reaches_code_that_asks
from autograd.ir.block import CALL, Array, Type, has_rows, numbers_in
from autograd.ir.builder import LoopBuilder
from autograd.rows import rows_of as rows_of_tree
from autograd.transforms.origin import origin_of
from autograd.tree import flatten, is_array
from autograd.value import Value

Function = Callable[..., Any]


class Mapped(NamedTuple):
    """The parts of a function that maps over rows.

    Attributes
    ----------
    function : callable
        The function itself.
    inner : callable
        The function of one row.
    in_axes : int, None or sequence of those
        The axis of each argument along which its rows lie; None if all rows share the argument.
    reduce : str or None
        "sum" or "mean" of the results of the rows.
    argnums : list
        The arguments by which gradients are taken, the outermost first.
    with_value : bool
        Whether the result is the value and the gradient.
    """

    function: Function
    inner: Function
    in_axes: Any
    reduce: Any
    argnums: list[Any]
    with_value: bool

    @property
    def stacks(self) -> bool:
        """Whether each row has its own result."""
        return not self.argnums and self.reduce is None


def taken_apart(function: Function) -> Mapped | None:
    """The parts of a function that its transforms make a map over rows; None for any other function."""
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
    outermost = origin_of(function)
    with_value = outermost is not None and outermost.transform == "value_and_grad"
    in_axes, reduce = origin.parameters
    return Mapped(function, origin.function, in_axes, reduce, argnums, with_value)


@dataclass
class BatchReading:
    """What one reading of the arguments of a batch found.

    Attributes
    ----------
    mapped : Mapped
        The function.
    axes : sequence of int or None
        The axis of each argument along which its rows lie; None if all rows share the argument.
    arguments : sequence of Argument
        What was found of each.
    arrays : list of ndarray
        The rows of all of them.
    reader : Reader
        Its leaves are the numbers that all rows share.
    count : int
        How many rows there are.
    by : list of int or None
        The arguments by which the gradient is taken; None if none of them has rows.
    """

    mapped: Mapped
    axes: Sequence[int | None]
    arguments: Sequence[Argument]
    arrays: list[Any]
    reader: Reader
    count: int
    by: list[int] | None

    def signature(self) -> Signature:
        """What two calls must share to run the same machine code."""
        return tuple([argument.signature for argument in self.arguments])

    def shared(self) -> list[float]:
        """The numbers that all rows share; the number of rows is the last."""
        return [*self.reader.leaves, float(self.count)]

    def traced(self, row: int, assumes: bool) -> tuple[BatchTrace, list[int], Any]:
        """Run the function once on tracers, on a row of the arrays: the trace, its outputs, and the result's form.

        The form is None if each row has its own result. What cannot be captured with loops and branches of the source
        is captured with fewer of them.
        """
        trace = self._new_trace(assumes)
        while True:
            try:
                return trace, *self._trace(trace, row)
            except Exception as error:
                simpler = with_less(trace, error)
                if simpler is None:
                    raise
                outside.begin_again(error)
            trace = self._new_trace(assumes)
            simpler.prepare(trace)

    def _new_trace(self, assumes: bool) -> BatchTrace:
        trace = BatchTrace(reaches_code_that_asks(self.mapped.function))
        trace.assumes = assumes
        outside.tell(trace)
        return trace

    def _trace(self, trace: BatchTrace, row: int) -> tuple[list[int], Any]:
        mapped = self.mapped
        shared = trace.inputs_of(self._shared_types(), self.reader.leaves)
        trace.count = trace.input(given=float(self.count))
        args = self._traced_arguments(trace, shared, row)
        with tracing(trace), trace.texts:
            if mapped.stacks:
                trace.map(mapped.inner, args, self.axes, None)
                leaves, rebuild = list[Any](), None
                outputs = trace.stacked
            else:
                leaves, rebuild = flatten_result(trace.followed(mapped.function)(*args))
                outputs = trace.outputs(leaves) if self.by is None else self._row_outputs(trace, leaves)
        refuse_spoiled(trace)
        return outputs, rebuild and rebuild([0.0] * len(leaves))

    def count_input(self) -> int:
        """The index of the program's input that is the number of rows."""
        return len(self._shared_types())

    def names(self) -> list[str]:
        """The names of the program's inputs: what the rows share, the number of rows, and the arrays of rows."""
        call = Call(tuple([argument.signature for argument in self.arguments]), ())
        return [*argument_names(self.mapped.inner, call, self.axes), "n", *self._names_of_rows()]

    def _row_outputs(self, trace: Trace, leaves: Sequence[Any]) -> list[int]:
        """The outputs of a gradient by rows; they have the same types on every path."""
        assert self.by is not None
        at = 1 if self.mapped.with_value else 0
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
        """The types of the inputs that all rows share."""
        shared = [argument.signature for argument, axis in zip(self.arguments, self.axes) if axis is None]
        return [kind for signature in shared for kind in types_of_numbers(signature)]

    def _names_of_rows(self) -> list[str]:
        """The names of the arrays of rows."""
        parameters = parameter_names(self.mapped.inner, len(self.arguments))
        found = []
        for name, argument in zip(parameters, self.arguments):
            arrays = [array for array in argument.arrays if array.shape[1]]
            found += [name] if len(arrays) == 1 else [f"{name}{k}" for k in range(len(arrays))]
        return found

    def _traced_arguments(self, trace: Trace, shared: Sequence[Traced], row: int) -> list[Any]:
        """The arguments as tracers; a mapped one has a single row."""
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


class BatchTrace(Trace):
    """The trace of a batch: its outermost map runs over the arrays of the call, of which it sees one row.

    Attributes
    ----------
    count : int
        The place of the number of rows.
    row : tree
        The result of one row, with other numbers in it.
    stacked : list of int
        The places of the results of the outermost map.
    """

    count: int

    def __init__(self, real_bools: bool) -> None:
        super().__init__(real_bools=real_bools)
        self.outermost = True
        self.row: Any = None
        self.stacked: list[int] = []

    def map(self, function: Function, args: Sequence[Any], axes: Sequence[int | None], reduce: str | None) -> Any:
        """The first map is the outermost; the others are like those of any program."""
        if not self.outermost:
            return super().map(function, args, axes, reduce)
        self.outermost = False
        made = LoopBuilder(self, child := self.inner(), CALL)
        parts: list[Callable[[], Any]] = []
        tracers: list[list[Any]] = []
        for part, axis in zip(args, axes):
            if axis is None:
                parts.append(lambda part=part: part)  # type: ignore[misc]
                continue
            leaves, rebuild = flatten(rows_of_tree(part, axis)[0])
            elements: list[Any] = []
            for array in self.outputs(leaves):
                element, kind = made.element(array), self.type_of(array)
                assert isinstance(kind, Array)
                if len(kind.shape) == 1:
                    elements.append(Traced.of(child, element))
                else:
                    elements += [Traced.element(child, element, k) for k in range(kind.size())]
            parts.append(lambda rebuild=rebuild, given=elements: rebuild(given))  # type: ignore[misc]
            tracers.append(elements)
        followed = self.followed(function)
        try:
            with unspent(self, function), tracing(child):
                row = followed(*[part() for part in parts])
                leaves, rebuild = flatten_result(row)
                check_repeats(child, leaves, lambda: flatten_result(followed(*[part() for part in parts]))[0], tracers)
                outputs = [child.place(leaf) for leaf in leaves] if reduce is not None else _parts(child, row)
        except UnrollError as error:
            if error.reason.kind != "spent":
                raise
            raise TypeError(
                f"the rows of vmap are compiled as one, but they share {error.reason.told}. Pass what each row needs "
                "as an argument with rows"
            ) from None
        self.row = rebuild([nan] * len(leaves))
        kind_ = "each" if reduce is None else "sum"
        loop = made.finish([], [(output, kind_) for output in without_repeats(child, outputs)])
        self.stacked = [self.emit("item", (loop,), k) for k in range(len(outputs))]
        if reduce is None:
            return None
        totals = [self.wrap(result) for result in self.stacked]
        return rebuild([t / self.wrap(self.count) for t in totals] if reduce == "mean" else totals)


def _parts(child: Trace, row: Any) -> list[int]:
    """The places of the results of a row: one for each number, and one for each array."""
    numbers, _ = flatten_result(row)
    found = []
    for part in flatten(row, arrays=True)[0]:
        size = getattr(part, "size", 1)
        leaves, numbers = numbers[:size], numbers[size:]
        found.append(child.array_of(leaves, Array((size,))) if is_array(part) and size else child.place(leaves[0]))
    return found


def _row_output(trace: Trace, leaves: Sequence[Any]) -> int:
    """The place of the array with these results of all rows; zeros if they depend on nothing."""
    found = trace.outputs(leaves)
    if len(found) == 1 and has_rows(trace.type_of(found[0])):
        return found[0]
    if any(x != 0.0 for x in leaves if not isinstance(x, Value)) or any(isinstance(x, Value) for x in leaves):
        raise NotRowsError
    made = LoopBuilder(trace, body := trace.inner(), CALL)
    zeros = [body.constant(0.0)] * len(leaves)
    row = body.emit("pack", tuple(zeros), (len(zeros),)) if len(zeros) > 1 else zeros[0]
    return trace.emit("item", (made.finish([], [(row, "each")]),), 0)
