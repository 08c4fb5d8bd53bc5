"""A captured program, run again in Python: on Values it leaves a graph, in a capture it is part of the new program."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from math import nan
from typing import Any

from autograd.compiler.capture.trace import NUMBER, current_trace
from autograd.ir.block import COMPARISONS, Instruction, Map, Program
from autograd.ir.builder import Predicate
from autograd.rules import TABLE, select
from autograd.value import Value


def replay(program: Program, inputs: Sequence[Any], outputs: Sequence[int] | None = None) -> list[Any]:
    """Run a program on floats, Values or tracers; guards are left out, so every branch is the one that was captured.

    Parameters
    ----------
    program : Program
        As captured.
    inputs : sequence
        One for each input.
    outputs : sequence of int, optional
        The values wanted; the program's outputs if they are not given.
    """
    outputs = program.outputs if outputs is None else outputs
    values: list[Any] = [None] * len(program.code)
    for at in _needed(program, outputs):
        instruction = program.code[at]
        if instruction.op == "input":
            values[at] = inputs[instruction.data]
        else:
            values[at] = _apply(instruction, [values[o] for o in instruction.operands])
    return [values[o] for o in outputs]


def _needed(program: Program, outputs: Sequence[int]) -> list[int]:
    """The instructions that these values depend on, in order."""
    needed = [False] * len(program.code)
    for at in outputs:
        needed[at] = True
    for at in range(len(needed) - 1, -1, -1):
        if needed[at]:
            for o in program.code[at].operands:
                needed[o] = True
    return [at for at, wanted in enumerate(needed) if wanted]


def _apply(instruction: Instruction, operands: Sequence[Any]) -> Any:
    op, _, data = instruction
    if op == "constant":
        return data
    if op in LOGIC:
        return LOGIC[op](*operands)
    if op in COMPARISONS:
        return COMPARISONS[op](*operands)
    if op == "select":
        return select(*operands)
    if op == "stop":
        return _stop(operands[0], data)
    if op == "item":
        return operands[0][data]
    if op == "map":
        return _map(data, operands)
    return (data if op == "custom" else TABLE[op])(*operands)


def _stop(operand: Any, kind: str | None) -> Any:
    if not isinstance(operand, Value):
        return operand
    return operand.data if kind == NUMBER else operand.detach()


def _not(truth: Any) -> Any:
    return truth.negated() if isinstance(truth, Predicate) else not truth


LOGIC: dict[str, Callable[..., Any]] = {"and": operator.and_, "or": operator.or_, "not": _not}


def _map(mapped: Map, operands: Sequence[Any]) -> list[Any]:
    """The items of a map: one instruction again in a capture that has maps, else row by row."""
    trace = current_trace()
    assert mapped.rows is not None  # maps over the arrays of a call have no derivatives by their rows
    if trace is not None and trace.maps:
        at = trace.emit("map", tuple([trace.place(o) for o in operands]), mapped)
        trace.samples[mapped] = [nan] * mapped.body.inputs  # only a map over the arrays of a call asks for numbers
        return [trace.wrap(trace.emit("item", (at,), k)) for k in range(mapped.positions()[-1])]
    shared, width = operands[: mapped.shared], mapped.columns
    starts = [mapped.shared + row * width for row in range(mapped.rows)]
    results = [replay(mapped.body, [*shared, *operands[start : start + width]]) for start in starts]
    items: list[Any] = []
    for output, reduced in enumerate(mapped.reduced):
        column = [result[output] for result in results]
        items += [TABLE["sum"](*column)] if reduced else column
    return items
