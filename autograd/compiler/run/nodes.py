"""Results of compiled functions as nodes of a graph; the nodes keep the program for higher derivatives."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from math import isclose
from typing import TYPE_CHECKING, Any

from autograd.calls import CallRule, Snapshot
from autograd.compiler.capture.replay import replay
from autograd.compiler.capture.trace import is_capturing
from autograd.compiler.run.specialization import Options, Specialization
from autograd.ir.block import Program
from autograd.once import cached_property
from autograd.transforms.origin import describe
from autograd.tree import flatten, is_array, only_floats
from autograd.value import Value, _node

if TYPE_CHECKING:
    from autograd.compiler.run.call import Compiled

SAME = 1e-9  # relative difference that rounding may make between two programs for the same rows


class DerivativeProgram:
    """The program of a compiled function with its derivatives, which can run again on other numbers.

    Attributes
    ----------
    captured : Program
        Its outputs are: one that is not used; the results; for each result the row of its derivatives; and the numbers
        that were read from outside.
    operands : tuple of int
        The inputs of the program by which the derivatives are taken.
    closed : int
        How many numbers are read from outside.
    results, rows : sequences of int
        The outputs that are the results, and those that are derivatives.
    """

    def __init__(self, name: str, captured: Program, operands: tuple[int, ...], closed: int, options: Options) -> None:
        self.name, self.captured, self.operands, self.closed, self.options = name, captured, operands, closed, options
        outputs = captured.outputs[1 : len(captured.outputs) - closed]
        results = len(outputs) // (1 + len(operands))
        self.results, self.rows = outputs[:results], outputs[results:]

    @cached_property
    def values(self) -> Compiled[..., Any]:
        """A compiled function from all inputs to the results."""
        return self._compiled(self.results)

    @cached_property
    def derivatives(self) -> Compiled[..., Any]:
        """A compiled function from all inputs to the rows of derivatives, one after the other."""
        return self._compiled(self.rows)

    def _compiled(self, outputs: Sequence[int]) -> Compiled[..., Any]:
        def again(inputs: list[Any]) -> list[Any]:
            return replay(self.captured, inputs, outputs)

        again.__name__ = self.name
        describe(again, "derivatives", again)
        from autograd.compiler.run.call import Compiled  # here, because it imports this module

        return Compiled(again, self.options, returns_floats=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return DerivativeProgram, (self.name, self.captured, self.operands, self.closed, self.options)


@dataclass(frozen=True)
class DerivativeCapture:
    """A capture of a compiled function with its derivatives.

    Attributes
    ----------
    closed : sequence of Value
        The Values from outside by which derivatives are taken.
    """

    specialization: Specialization
    program: DerivativeProgram
    closed: Sequence[Value]


class CompiledCall:
    """A call of a compiled function: its program, the arguments, and the numbers that it read from outside."""

    def __init__(self, program: DerivativeProgram, arguments: Any, closed: Any) -> None:
        self.program, self.arguments, self.closed = program, arguments, closed

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.program.name

    def inputs(self) -> list[Any]:
        """The inputs of the program in this call."""
        return [*flatten(self.arguments)[0], *self.closed.tolist()]

    def inputs_with(self, operands: Sequence[Any]) -> list[Any]:
        """The inputs with other operands."""
        inputs = self.inputs()
        for i, operand in zip(self.program.operands, operands, strict=True):
            inputs[i] = operand
        return inputs

    def value(self, index: int, operands: Sequence[Any]) -> Any:
        """A number of the result for other operands: floats, Values or tracers."""
        inputs = self.inputs_with(operands)
        if only_floats(inputs) and not is_capturing():
            return self.program.values(inputs)[index]
        return replay(self.program.captured, inputs, [self.program.results[index]])[0]

    def row(self, index: int, operands: Sequence[Any]) -> Sequence[Any]:
        """The derivatives of a number of the result, as Values or tracers."""
        before = self.inputs()
        for i, x in zip(self.program.operands, operands):
            _refuse_change(self.name, before[i], x)
        inputs, count = self.inputs_with(operands), len(operands)
        chosen = slice(index * count, (index + 1) * count)
        if is_capturing():
            return replay(self.program.captured, inputs, self.program.rows[chosen])
        row: Sequence[Any] = self.program.derivatives.nodes(inputs)[chosen]
        return row

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledCall, (self.program, flatten(self.arguments)[0], self.closed)


class BatchCall:
    """A call of a map over rows that closes over Values; its program is captured when it is first needed."""

    def __init__(self, compiled: Compiled[..., Any], arguments: Any, result: Any, closed: Sequence[Value]) -> None:
        self.compiled, self.arguments, self.result, self.closed = compiled, arguments, result, closed
        self.name, self.before = compiled.__name__, [x.data for x in closed]

    @cached_property
    def _captured(self) -> tuple[CompiledCall, list[int]]:
        """The same call as a `CompiledCall`, and the index of each of its operands among those of the nodes.

        Raises
        ------
        ValueError
            If something that the function reads has changed since the call.
        """
        for x, before in zip(self.closed, self.before):
            _refuse_change(self.name, before, x)
        with_derivatives = self.compiled._with_derivatives(())
        number, result, _, numbers = Context().run(with_derivatives, *self.arguments)  # at the top level, in no mode
        for old, new in zip(flatten(self.result)[0], flatten(result)[0]):
            if not (isclose(old, new, rel_tol=SAME) or old != old):
                raise ValueError(
                    f"jit({self.name}) computed {old!r}, and {new!r} when it was captured again, for a higher "
                    "derivative or for other operands: something that it reads has changed since. Differentiate before "
                    "changing it, or make it an argument"
                )
        capture = with_derivatives.capture_of(int(number))
        place = {id(x): k for k, x in enumerate(self.closed)}
        return CompiledCall(capture.program, self.arguments, numbers), [place[id(x)] for x in capture.closed]

    def value(self, index: int, operands: Sequence[Any]) -> Any:
        """A number of the result for other operands: floats, Values or tracers."""
        call, places = self._captured
        return call.value(index, [operands[place] for place in places])

    def row(self, index: int, operands: Sequence[Any]) -> Sequence[Any]:
        """The derivatives of a number of the result, as Values or tracers."""
        call, places = self._captured
        row: list[Any] = [0.0] * len(operands)
        for place, derivative in zip(places, call.row(index, [operands[place] for place in places])):
            row[place] = derivative
        return row

    def __reduce__(self) -> tuple[Any, ...]:
        return _batch_call, (self.name, *self._captured)


def _batch_call(name: str, call: CompiledCall, places: list[int]) -> BatchCall:
    restored = BatchCall.__new__(BatchCall)
    vars(restored).update(name=name, _captured=(call, places))
    return restored


def _refuse_change(name: str, before: float, now: Any) -> None:
    if now._data.hex() != before.hex():
        raise ValueError(
            f"jit({name}) was computed from {before!r}, which has been changed to {now!r} since: a higher derivative "
            "would mix the two. Differentiate before assigning .data"
        )


def copy_of(argument: Any) -> Any:
    """A copy of an argument and of its containers; Values are not copied."""
    return argument.copy() if is_array(argument) else Snapshot().tree(argument)


def nodes_of(result: Any, rows: Sequence[Sequence[float] | None], call: Any, operands: tuple[Value, ...]) -> Any:
    """The result as nodes; `rows` has the derivatives of each number by the operands, or None if it is no node."""
    if not operands:
        return result
    values, rebuild = flatten(result)
    made = enumerate(zip(values, rows))
    return rebuild(
        [y if row is None else _node(y, CompiledRule(call, k), operands, tuple(row)) for k, (y, row) in made]
    )


class CompiledRule(CallRule):
    """The rule of a node that stands for one number of a compiled function's result."""

    __slots__ = ()
    kind = "jit"
    call: CompiledCall | BatchCall

    def again(self) -> Callable[[Sequence[Any]], Any]:
        """The number as a function of the operands, which runs the program again."""
        return functools.partial(self.call.value, self.index)

    def local_derivatives(
        self, operands: Sequence[Any], output: Any, wanted: Sequence[bool] | None = None
    ) -> tuple[Any, ...]:
        """The local derivatives as Values, which can be differentiated again; None for those not wanted."""
        row = self.call.row(self.index, operands)
        return tuple([d if wanted is None or wanted[k] else None for k, d in enumerate(row)])

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledRule, (self.call, self.index)
