"""Loops of a known number of steps that is so large that they must look for signals in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from autograd.compiler.lower.module import Machine
from autograd.compiler.lower.rows.layout import adds_in_lanes, fits_lanes
from autograd.compiler.lower.whiles import goes_through, is_long
from autograd.ir.block import NUMBER, STEPS, Instruction, Loop, Program, with_inputs
from autograd.ir.builder import Builder
from autograd.ir.rewrite import Special, copy


def with_signals(program: Program, machine: Machine, in_lanes: bool = False) -> Program:
    """The same program with its long loops as loops that are told the number of their steps, which look for signals.

    Stay as they are: loops that go through arrays or make them, which are as long as memory allows; and maps in blocks
    of rows, which look for signals themselves. There are none of these where all is done `in_lanes`.
    """

    def in_blocks(loop: Loop) -> bool:
        return not in_lanes and (fits_lanes(loop) or (not machine.in_order and adds_in_lanes(loop, machine.lanes)))

    code, long = list(program.code), dict[int, Special]()
    for at, (op, operands, loop) in enumerate(code):
        if op == "loop":
            body = with_signals(loop.body, machine, in_lanes or in_blocks(loop))
            if body is not loop.body:
                code[at] = Instruction(op, operands, replace(loop, body=body))
            if isinstance(loop.extent, int) and is_long(loop) and not goes_through(loop) and not in_blocks(loop):
                long[at] = _told
    if all(new is old for new, old in zip(code, program.code, strict=True)) and not long:
        return program
    return copy(Program(code, program.outputs, program.inputs, program.guards), special=long)


def _told(builder: Builder, _: int, instruction: Instruction, __: Mapping[int, int]) -> int:
    """Write a loop that is told the number of its steps: one more number that they share."""
    loop, body = instruction.data, instruction.data.body
    order = [0, len(body.inputs), *range(1, len(body.inputs))]
    inputs = (body.inputs[0], NUMBER, *body.inputs[1:])
    new = Program(with_inputs(body.code, order), body.outputs, inputs, body.guards)
    told = replace(loop, body=new, extent=STEPS, shared=loop.shared + 1, primal=None, stored=None)
    return builder.emit("loop", (builder.constant(float(loop.extent)), *instruction.operands), told)
