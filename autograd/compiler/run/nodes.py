"""Results of compiled functions as nodes of a graph, which keep the program for higher derivatives."""

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
from autograd.tree import flatten, is_array, only_floats
from autograd.value import Value, _node

if TYPE_CHECKING:
    from autograd.compiler.run.call import Compiled

SAME = 1e-9  # relative: rounding differences that two programs for the same rows may have


class Again:
    """What a compiled function with its derivatives did: a program that can run again, on any numbers.

    Attributes
    ----------
    program : Program
        Its first output is ignored. Then follow the results, the row of derivatives of each result, and the `closed`
        inputs, which come from outside.
    operands : tuple of int
        The inputs of the program by which the derivatives are taken.
    """

    def __init__(self, name: str, program: Program, operands: tuple[int, ...], closed: int, options: Options) -> None:
        self.name, self.program, self.operands, self.closed, self.options = name, program, operands, closed, options
        outputs = program.outputs[1 : len(program.outputs) - closed]
        results = len(outputs) // (1 + len(operands))
        self.results, self.rows = outputs[:results], outputs[results:]

    @cached_property
    def values(self) -> Compiled[..., Any]:
        """A compiled function from all inputs to the results."""
        return self._compiled(self.results)

    @cached_property
    def derivatives(self) -> Compiled[..., Any]:
        """A compiled function from all inputs to the rows, one after the other."""
        return self._compiled(self.rows)

    def _compiled(self, outputs: Sequence[int]) -> Compiled[..., Any]:
        def again(inputs: list[Any]) -> list[Any]:
            return replay(self.program, inputs, outputs)

        again.__name__ = self.name
        from autograd.compiler.run.call import Compiled  # which makes nodes itself

        return Compiled(again, self.options, returns_floats=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return Again, (self.name, self.program, self.operands, self.closed, self.options)


@dataclass(frozen=True)
class Recorded:
    """A capture of a compiled function with its derivatives, and the Values from outside in these."""

    specialization: Specialization
    again: Again
    closed: Sequence[Value]


class CompiledCall:
    """A call of a compiled function: its program, the arguments, and the numbers that it read from outside."""

    def __init__(self, again: Again, arguments: Any, closed: Any) -> None:
        self.again, self.arguments, self.closed = again, arguments, closed

    @property
    def name(self) -> str:
        """What the function is called."""
        return self.again.name

    def inputs(self) -> list[Any]:
        """The program's inputs as they were."""
        return [*flatten(self.arguments)[0], *self.closed.tolist()]

    def on(self, operands: Sequence[Any]) -> list[Any]:
        """The inputs with other operands."""
        inputs = self.inputs()
        for i, operand in zip(self.again.operands, operands, strict=True):
            inputs[i] = operand
        return inputs

    def value(self, index: int, operands: Sequence[Any]) -> Any:
        """A number of the result for other operands: floats, Values or tracers."""
        inputs = self.on(operands)
        if only_floats(inputs) and not is_capturing():
            return self.again.values(inputs)[index]
        return replay(self.again.program, inputs, [self.again.results[index]])[0]

    def row(self, index: int, operands: Sequence[Any]) -> Sequence[Any]:
        """The derivatives of a number of the result, as Values or tracers."""
        before = self.inputs()
        for i, x in zip(self.again.operands, operands):
            _refuse_change(self.name, before[i], x)
        inputs, count = self.on(operands), len(operands)
        chosen = slice(index * count, (index + 1) * count)
        if is_capturing():
            return replay(self.again.program, inputs, self.again.rows[chosen])
        row: Sequence[Any] = self.again.derivatives.nodes(inputs)[chosen]
        return row

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledCall, (self.again, flatten(self.arguments)[0], self.closed)


class BatchCall:
    """A call of a map over rows that closes over Values: its program is captured when it is first needed."""

    def __init__(self, compiled: Compiled[..., Any], arguments: Any, result: Any, closed: Sequence[Value]) -> None:
        self.compiled, self.arguments, self.result, self.closed = compiled, arguments, result, closed
        self.name, self.before = compiled.__name__, [x.data for x in closed]

    @cached_property
    def _program(self) -> tuple[CompiledCall, list[int]]:
        """The call of the program, and the places of its operands among those of the nodes.

        Raises
        ------
        ValueError
            If something that the function reads has changed since.
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
        recorded = with_derivatives.recorded(int(number))
        place = {id(x): k for k, x in enumerate(self.closed)}
        return CompiledCall(recorded.again, self.arguments, numbers), [place[id(x)] for x in recorded.closed]

    def value(self, index: int, operands: Sequence[Any]) -> Any:
        """A number of the result for other operands: floats, Values or tracers."""
        call, places = self._program
        return call.value(index, [operands[place] for place in places])

    def row(self, index: int, operands: Sequence[Any]) -> Sequence[Any]:
        """The derivatives of a number of the result, as Values or tracers."""
        call, places = self._program
        row: list[Any] = [0.0] * len(operands)
        for place, derivative in zip(places, call.row(index, [operands[place] for place in places])):
            row[place] = derivative
        return row

    def __reduce__(self) -> tuple[Any, ...]:
        return _batch_call, (self.name, *self._program)


def _batch_call(name: str, call: CompiledCall, places: list[int]) -> BatchCall:
    restored = BatchCall.__new__(BatchCall)
    vars(restored).update(name=name, _program=(call, places))
    return restored


def _refuse_change(name: str, before: float, now: Any) -> None:
    if now._data.hex() != before.hex():
        raise ValueError(
            f"jit({name}) was computed from {before!r}, which has been changed to {now!r} since: a higher derivative "
            "would mix the two. Differentiate before assigning .data"
        )


def as_it_is(argument: Any) -> Any:
    """A copy of an argument as it is now; Values are not copied."""
    return argument.copy() if is_array(argument) else Snapshot().tree(argument)


def nodes_of(result: Any, rows: Sequence[Sequence[float] | None], call: Any, operands: tuple[Value, ...]) -> Any:
    """The result as nodes; `rows` has the derivatives of each number by the operands (None: no node)."""
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
        """The number as a function of the operands: the program, run again."""
        return functools.partial(self.call.value, self.index)

    def local_derivatives(
        self, operands: Sequence[Any], output: Any, wanted: Sequence[bool] | None = None
    ) -> tuple[Any, ...]:
        """The local derivatives as Values: the program's, compiled with their own derivatives."""
        row = self.call.row(self.index, operands)
        return tuple([d if wanted is None or wanted[k] else None for k, d in enumerate(row)])

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledRule, (self.call, self.index)
