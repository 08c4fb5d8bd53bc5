"""Sums in place: what a loop makes only to have it added to an array, its steps add to that array themselves.

The gradient of a matrix is the sum of an outer product for each use. This way none of them is stored.
"""

from __future__ import annotations

from autograd.ir.block import NUMBER, Array, Instruction, Loop, Program, Type, Window, types_of
from autograd.ir.rewrite import with_bodies, with_shared_bodies

MOVABLE = frozenset({"zeros", "input"})  # what needs nothing before it
MOST_ROWS = 256  # of a map: with more, its rows fill the lanes


def add_in_place(program: Program) -> Program:
    """Let loops add to arrays, in the bodies of loops too."""
    changed = False
    while found := _additions(program):
        program, changed = _rewritten(program, found), True
    return with_bodies(with_shared_bodies(program) if changed else program, add_in_place)


def _additions(program: Program) -> dict[int, list[int]]:
    """Loops with results that are only added to an array: loop → the additions."""
    code, uses = program.code, program.uses()
    found: dict[int, list[int]] = {}
    for at, (op, operands, window) in enumerate(code):
        if op != "add_at":
            continue
        array, item, *indices = operands
        if code[item].op != "item" or uses[item] != 1 or uses[array] != 1:
            continue
        loop_at, number = code[item].operands[0], code[item].data
        loop: Loop = code[loop_at].data
        there = all(o < loop_at or code[o].op in MOVABLE for o in (array, *indices))
        if there and _has_rows(loop, number) and _is_apart(loop, window):
            found.setdefault(loop_at, []).append(at)
    return found


def _has_rows(loop: Loop, number: int) -> bool:
    if number < loop.handed or loop.kinds[number - loop.handed] != "each" or loop.test:
        return False
    return isinstance(loop.extent, int) and (loop.handed > 0 or loop.extent <= MOST_ROWS)


def _is_apart(loop: Loop, window: Window) -> bool:
    """Whether each step adds to elements of its own, and to each of them once."""
    if not window.shape or window.shape[0] != loop.extent or not all(isinstance(e, int) for e in window.shape):
        return False
    last = 0  # the place of the last element of a row, seen from the first
    for extent, stride in zip(reversed(window.shape), reversed(window.strides)):
        if stride <= last:
            return False
        last += (int(extent) - 1) * stride
    return True


def _rewritten(program: Program, found: dict[int, list[int]]) -> Program:
    added = {at: loop_at for loop_at, additions in found.items() for at in additions}
    arrays = {program.code[at].operands[0] for at in added}
    gone = {program.code[at].operands[1] for at in added}  # results that are no more
    place: dict[int, int] = {}
    results: dict[int, list[int]] = {}  # of the loops: where their results are now
    code: list[Instruction] = []

    def put(at: int) -> int:
        """Where an instruction is now; it is written here if it was not written before."""
        if at not in place:
            op, operands, data = program.code[at]
            if op == "item" and operands[0] in results:
                data = results[operands[0]][data]
            place[at] = len(code)
            code.append(Instruction(op, tuple([place[o] for o in operands]), data))
        return place[at]

    for at, (_, operands, data) in enumerate(program.code):
        if at in added:
            place[at] = len(code)
            item = program.code[program.code[at].operands[1]]
            code.append(Instruction("item", (place[added[at]],), results[added[at]][item.data]))
        elif at in found:
            given = [put(o) for o in operands]
            numbers = results[at] = list(range(data.handed + len(data.kinds)))
            for addition in found[at]:
                _, (array, item_at, *indices), window = program.code[addition]
                number, first, end = program.code[item_at].data, data.shared, data.shared + data.handed
                shared = [put(o) for o in indices]
                given = [*given[:first], *shared, *given[first:end], put(array), *given[end:]]
                new = _adding(data, numbers[number], _kind(program, array), window, len(indices))
                moved, handed = numbers[number], data.handed  # the new accumulator comes behind the others
                numbers[:] = [k + (handed <= k < moved) for k in numbers]
                numbers[number], data = handed, new
            place[at] = len(code)
            code.append(Instruction("loop", tuple(given), data))
        elif not (at in gone or (program.code[at].op == "zeros" and at in arrays)):
            put(at)
    guards = [g._replace(value=place[g.value]) for g in program.guards]
    return Program(code, [place[o] for o in program.outputs], program.inputs, guards)


def _kind(program: Program, array: int) -> Type:
    """The type of an array that is added to."""
    while True:
        op, operands, data = program.code[array]
        if op == "add_at":
            array = operands[0]
        elif op == "item" and data < (loop := program.code[operands[0]].data).handed:
            array = program.code[operands[0]].operands[loop.shared + data]
        elif op in MOVABLE:
            return Array(data) if op == "zeros" else program.inputs[data]
        else:
            return types_of(program)[array]


def _adding(loop: Loop, number: int, array: Type, window: Window, count: int) -> Loop:
    """A loop whose steps add one of its results to a further accumulator instead; all of them share the indices."""
    body = loop.body
    shared, new = loop.first_carry, loop.first_element + count
    order = [k + count * (k >= shared) + (k >= loop.first_element) for k in range(len(body.inputs))]
    code = [Instruction("input", (), order[i.data]) if i.op == "input" else i for i in body.code]
    value, into = body.outputs[number], len(code)
    code += [Instruction("input", (), k) for k in (new, *range(shared, shared + count), 0)]
    row = type(window)(window.shape[1:], window.offset, window.strides[1:], (*window.steps, window.strides[0]))
    code.append(Instruction("add_at", (into, value, *range(into + 1, len(code))), row))
    outs = loop.handed + len(loop.kinds)
    outputs = [*body.outputs[: loop.handed], len(code) - 1]
    outputs += [body.outputs[k] for k in range(loop.handed, outs) if k != number]
    kinds = tuple([kind for k, kind in enumerate(loop.kinds, loop.handed) if k != number])
    before, after = body.inputs[: loop.first_element], body.inputs[loop.first_element :]
    inputs = (*before[:shared], *[NUMBER] * count, *before[shared:], array, *after)
    changed = Program(code, outputs, inputs, body.guards)
    return Loop(changed, loop.extent, loop.shared + count, loop.carries, loop.accumulators + 1, kinds, loop.backwards)
