"""Run a captured program again in Python: on Values it makes a graph, in a capture it joins the new program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd.compiler.capture.trace import Trace, current_trace
from autograd.compiler.capture.tracer import FLOAT, Traced
from autograd.ir.block import LOGIC, Array, Instruction, Program, size_of
from autograd.ir.evaluate import Cells, Evaluator
from autograd.ir.rewrite import reached
from autograd.rules import select
from autograd.value import Value


def replay(program: Program, inputs: Sequence[Any], outputs: Sequence[int] | None = None) -> list[Any]:
    """Run a program on floats, Values or tracers. Guards are not checked: every branch is the one that was captured.

    Parameters
    ----------
    program : Program
        As captured.
    inputs : sequence
        The numbers of all inputs, those of arrays one after the other.
    outputs : sequence of int, optional
        The numbers that are wanted, by default the outputs of the program; those of arrays one after the other.
    """
    outputs = program.outputs if outputs is None else outputs
    trace = current_trace()
    order = sorted(reached(program, outputs))
    if trace is not None:
        return _inlined(program, order, inputs, outputs, trace)
    values: dict[int, Any] = {}
    runner = _Replay()
    starts = _starts(program)
    for at in order:
        instruction = program.code[at]
        if instruction.op == "input":
            start, kind = starts[instruction.data], program.inputs[instruction.data]
            values[at] = (
                Cells(list(inputs[start : start + kind.size()]), _shape(kind))
                if isinstance(kind, Array)
                else inputs[start]
            )
        else:
            values[at] = runner.instruction(instruction, [values[o] for o in instruction.operands])
    return [x for o in outputs for x in (values[o].numbers() if isinstance(values[o], Cells) else [values[o]])]


def _starts(program: Program) -> list[int]:
    """The start of each input among the numbers."""
    starts, total = [], 0
    for kind in program.inputs:
        starts.append(total)
        total += size_of(kind)
    return starts


def _shape(kind: Array) -> tuple[int, ...]:
    return tuple([int(extent) for extent in kind.shape])


def _inlined(
    program: Program, order: Sequence[int], inputs: Sequence[Any], outputs: Sequence[int], trace: Trace
) -> list[Any]:
    """Copy the instructions into the program that is being captured."""
    starts = _starts(program)
    place: dict[int, int] = {}
    for at in order:
        op, operands, data = program.code[at]
        if op == "input":
            start, kind = starts[data], program.inputs[data]
            if isinstance(kind, Array):
                place[at] = trace.array_of(inputs[start : start + kind.size()], kind)
            else:
                place[at] = trace.place(inputs[start])
        elif op == "constant":
            place[at] = trace.truth_constant(data) if isinstance(data, bool) else trace.constant(data)
        else:
            place[at] = trace.emit(op, tuple([place[o] for o in operands]), data)
    found: list[Any] = []
    for o in outputs:
        kind = trace.type_of(place[o])
        if isinstance(kind, Array):
            found += [Traced.element(trace, place[o], k) for k in range(kind.size())]
        else:
            found.append(trace.wrap(place[o]))
    return found


class _Replay(Evaluator):
    """Computes on Values, which makes a graph."""

    def __init__(self) -> None:
        super().__init__(apply=lambda rule, operands: rule(*operands))

    def instruction(self, instruction: Instruction, operands: Sequence[Any]) -> Any:
        """The value of an instruction; a stopped gradient stays stopped."""
        op, _, data = instruction
        if op == "select":
            return select(*operands)
        if op == "stop" and isinstance(operands[0], Value):
            return operands[0].data if data == FLOAT else operands[0].detach()
        if op in LOGIC:
            return LOGIC[op](*operands)
        return super().instruction(instruction, operands)
