"""Cheap results of a map are computed again where another map reads them at other places.

The derivative of a stencil is a map whose results the next map adds up with their neighbours. Stored first, these must
reach memory before a shifted vector of them can be loaded. Computed again, they need only what the first map reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from autograd.ir.block import NUMBER, Instruction, Program, Window
from autograd.ir.builder import Builder, LoopBuilder
from autograd.ir.memory import arrays_written, continued
from autograd.ir.passes.map_passes import is_plain
from autograd.ir.rewrite import copy, with_bodies
from autograd.ir.rewriters import known_elements, number_values

FEWEST = 16  # steps of a map whose results are computed again
CHEAP = frozenset({"add", "sub", "mul", "neg"})
MOST = 4  # such operations for a result


def compute_again(program: Program) -> Program:
    """The same program, in which maps do not read neighbours among the results of a map that are cheap to compute."""
    inside = with_bodies(program, compute_again)
    if any(one.data.body is not other.data.body for one, other in _pairs(inside, program)):
        program = inside
    sources = _sources(program)
    if not sources:
        return program

    def number(builder: Builder, at: int, instruction: Instruction, place: Mapping[int, int]) -> int:
        item, window = sources[program.code[at].operands[0]], instruction.data
        return _written(builder, program, item, lambda o: builder.emit("read", (place[o],), window), place.__getitem__)

    def loop(builder: Builder, at: int, instruction: Instruction, place: Mapping[int, int]) -> int:
        return _with_sources(builder, program, at, sources, place)

    special: dict[int, Any] = {}
    for at, (op, operands, data) in enumerate(program.code):
        if op == "read" and operands[0] in sources and not data.shape:
            special[at] = number
        elif op == "loop" and any(_window_of(program, o, sources) for o in operands):
            special[at] = loop
    return copy(program, (known_elements, number_values), special=special)


def _pairs(one: Program, other: Program) -> list[tuple[Instruction, Instruction]]:
    """The loops of two programs that differ in the bodies of these only."""
    return [pair for pair in zip(one.code, other.code) if pair[0].op == "loop"]


def _sources(program: Program) -> dict[int, Instruction]:
    """Results of maps that are computed again: item → itself."""
    items = [(at, i) for at, i in enumerate(program.code) if i.op == "item" and _may_be_cheap(program, i)]
    if not items:
        return {}
    memory = _memory(program)
    changed = {memory[o] for instruction in program.code for o in arrays_written(instruction)}
    stays = [there not in changed for there in memory]
    found = {at: i for at, i in items if _is_cheap(program, i, stays)}
    if not found:
        return {}
    shifted: set[int] = set()
    other = set(program.outputs)
    for op, operands, data in program.code:
        for k, o in enumerate(operands):
            item = _window_of(program, o, found)
            if o in found and (op != "read" or len(operands) > 1):
                other.add(o)
            elif item is not None:
                is_element = op == "loop" and k >= data.first_element - 1
                if is_element and is_plain(data):
                    shifted.add(item)
                else:
                    other.add(item)
    other |= {item for o in program.outputs if (item := _window_of(program, o, found)) is not None}
    return {at: i for at, i in found.items() if at in shifted and at not in other}


def _window_of(program: Program, value: int, items: Mapping[int, Instruction]) -> int | None:
    """The result of which a value is a part with a known place, if it is an array."""
    op, operands, data = program.code[value]
    return operands[0] if op == "read" and data.shape and len(operands) == 1 and operands[0] in items else None


def _may_be_cheap(program: Program, item: Instruction) -> bool:
    """Whether a value is an array of what the steps of a short map make, and these are enough."""
    loop = program.code[item.operands[0]].data
    return loop.is_map() and loop.kinds[item.data] == "each" and is_plain(loop) and loop.extent >= FEWEST


def _is_cheap(program: Program, item: Instruction, stays: Sequence[bool]) -> bool:
    """Whether an array holds what few operations of each step of a map make of numbers that stay as they are."""
    _, operands, loop = program.code[item.operands[0]]
    body: Program = loop.body
    cone = _cone(body, body.outputs[item.data])
    if any(body.code[at].op not in (*CHEAP, "input", "constant") for at in cone):
        return False
    inputs = [body.code[at].data for at in cone if body.code[at].op == "input"]
    known = all(k and body.inputs[k] == NUMBER for k in inputs)
    unchanged = all(stays[operands[k - 1]] for k in inputs if k >= loop.first_element)
    return known and unchanged and sum(body.code[at].op in CHEAP for at in cone) <= MOST


def _memory(program: Program) -> list[int]:
    """For each value the instruction that made the array which it is, or of which it is a part."""
    found: list[int] = []
    for at, (op, operands, _) in enumerate(program.code):
        before = operands[0] if op in ("pos", "read") else continued(program.code, at)
        found.append(at if before is None else found[before])
    return found


def _cone(body: Program, value: int) -> list[int]:
    """The instructions that a value is computed from, in order."""
    found: set[int] = set()
    left = [value]
    while left:
        at = left.pop()
        if at not in found:
            found.add(at)
            left += body.code[at].operands
    return sorted(found)


def _written(
    builder: Builder,
    program: Program,
    item: Instruction,
    element: Callable[[int], int],
    shared: Callable[[int], int],
) -> int:
    """Emit what a step of a map computes; `element` and `shared` say where its operands are."""
    _, operands, loop = program.code[item.operands[0]]
    body: Program = loop.body
    place: dict[int, int] = {}
    for at in _cone(body, body.outputs[item.data]):
        op, given, data = body.code[at]
        if op == "input":
            place[at] = (shared if data < loop.first_element else element)(operands[data - 1])
        elif op == "constant":
            place[at] = builder.constant(data)
        else:
            place[at] = builder.emit(op, tuple([place[o] for o in given]), data)
    return place[body.outputs[item.data]]


def _with_sources(
    builder: Builder, program: Program, at: int, sources: Mapping[int, Instruction], place: Mapping[int, int]
) -> int:
    """Emit a map that computes again what it read."""
    _, operands, loop = program.code[at]
    inner = Builder((number_values,))
    made = LoopBuilder(builder, inner, loop.extent, loop.backwards)
    elements: dict[int, int] = {}

    def element(array: int) -> int:
        if array not in elements:
            elements[array] = made.element(array)
        return elements[array]

    def part(window: Window, array: int) -> int:
        return element(builder.emit("read", (place[array],), window))

    def shared(o: int) -> int:
        return made.shared(place[o])

    values: list[int] = []
    for op, given, data in loop.body.code:
        o = operands[data - 1] if op == "input" and data else -1
        item = _window_of(program, o, sources) if o >= 0 and data >= loop.first_element else None
        if op != "input":
            values.append(inner.emit(op, tuple([values[o] for o in given]), data))
        elif item is not None:
            values.append(_written(inner, program, sources[item], partial(part, program.code[o].data), shared))
        elif data >= loop.first_element:
            values.append(element(place[o]))
        else:
            values.append(shared(o) if data else made.counter)
    return made.finish([], [(values[o], kind) for o, kind in zip(loop.body.outputs, loop.kinds)])
