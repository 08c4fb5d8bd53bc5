"""Passes on maps, the loops with independent steps: what several of them read goes through the processor once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

from autograd.ir.block import NUMBER, Instruction, Loop, Program, types_of
from autograd.ir.builder import Builder, LoopBuilder
from autograd.ir.rewrite import copy, with_bodies
from autograd.ir.rewriters import number_values

MOST_JOINED = 100  # instructions of maps that become one: longer bodies want more registers than there are


def add_up_in_maps(program: Program) -> Program:
    """The sum of what the steps of a map compute is added up there; this is another order of the same additions."""
    program = with_bodies(program, add_up_in_maps)
    code = list(program.code)
    for at, (op, operands, _) in enumerate(code):
        made = code[operands[0]] if op == "sum" and len(operands) == 1 else None
        loop = code[made.operands[0]].data if made is not None and made.op == "item" else None
        if made is None or loop is None or not loop.is_map() or loop.kinds[made.data] != "each":
            continue
        body = loop.body
        if types_of(body)[body.outputs[made.data]] != NUMBER:
            continue
        new = Program(body.code, [*body.outputs, body.outputs[made.data]], body.inputs, body.guards)
        where = made.operands[0]
        code[where] = code[where]._replace(data=replace(loop, body=new, kinds=(*loop.kinds, "sum")))
        code[at] = Instruction("item", (where,), len(loop.kinds))
    return Program(code, program.outputs, program.inputs, program.guards)


def join_maps(program: Program) -> Program:
    """Short maps over the same array become one map if none of them needs another."""
    program = with_bodies(program, join_maps)
    joined = _joined(program)
    if not joined:
        return program
    loops: dict[int, list[int]] = {}
    for at, first in joined.items():
        loops.setdefault(first, [first]).append(at)
    starts = dict.fromkeys(loops, 0)  # of each loop the number of its first result in the new one
    for members in loops.values():
        for before, at in pairwise(members):
            starts[at] = starts[before] + len(program.code[before].data.kinds)

    def write(builder: Builder, at: int, instruction: Instruction, place: Mapping[int, int]) -> int:
        if at in joined:
            return place[joined[at]]
        return _write(builder, [program.code[k] for k in loops[at]], place)

    def item(builder: Builder, at: int, instruction: Instruction, place: Mapping[int, int]) -> int:
        start = starts[program.code[at].operands[0]]
        return builder.emit("item", instruction.operands, instruction.data + start)

    items = {at: item for at, (op, operands, _) in enumerate(program.code) if op == "item" and operands[0] in starts}
    return copy(program, special={**items, **dict.fromkeys(starts, write)})


def _joined(program: Program) -> dict[int, int]:
    """Maps that become parts of earlier ones."""
    found: dict[int, int] = {}
    sizes: dict[int, int] = {}  # of maps that others may join
    for at, (op, operands, loop) in enumerate(program.code):
        if op != "loop" or not is_plain(loop):
            continue
        size = len(loop.body.code)
        for first in sizes:
            _, others, other = program.code[first]
            together = set(operands[loop.shared :]) & set(others[other.shared :])
            alike = (loop.extent, loop.backwards) == (other.extent, other.backwards)
            if alike and together and max(operands) < first and sizes[first] + size <= MOST_JOINED:
                found[at] = first
                sizes[first] += size
                break
        else:
            sizes[at] = size
    return found


def is_plain(loop: Loop) -> bool:
    """Whether it is a short map of a known extent, without guards or loops in it."""
    body = loop.body
    short = isinstance(loop.extent, int) and len(body.code) <= MOST_JOINED and loop.is_map()
    return short and not body.guards and all(op not in ("loop", "custom") for op, _, _ in body.code)


def _write(builder: Builder, loops: list[Instruction], place: Mapping[int, int]) -> int:
    """Emit one loop in place of several."""
    first: Loop = loops[0].data
    inner = Builder((number_values,))
    made = LoopBuilder(builder, inner, first.extent, first.backwards)
    elements: dict[int, int] = {}
    outs: list[tuple[int, str]] = []
    for _, operands, loop in loops:
        inputs = [made.counter]
        for k, o in enumerate(operands):
            if k >= loop.shared and place[o] not in elements:
                elements[place[o]] = made.element(place[o])
            inputs.append(made.shared(place[o]) if k < loop.shared else elements[place[o]])
        values = inner.replay(loop.body.code, inputs)
        outs += [(values[o], kind) for o, kind in zip(loop.body.outputs, loop.kinds)]
    return made.finish([], outs)
