"""Accumulators that a loop reads as well: which ones they are, and their parts that are final.

A step may read an element of an accumulator to which nothing is added afterwards. So once the loop is done, the step
can be computed again from the finished array: `split` makes the loop that reads there and adds elsewhere. Derivatives
are made of such loops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from autograd.ir.block import Instruction, Loop, Program, Used

T = TypeVar("T")


def written(op: str, data: Any) -> range:
    """The positions of the operands that an instruction adds to."""
    if op == "add_at":
        return range(1)
    return range(data.shared + data.carries, data.shared + data.handed) if op == "loop" else range(0)


def arrays_written(instruction: Instruction) -> Sequence[int]:
    """The arrays that an instruction adds to."""
    op, operands, data = instruction
    if op == "add_at":
        return operands[:1]
    return data.by_role(operands).accumulators if op == "loop" else ()


def continued(code: Sequence[Instruction], at: int) -> int | None:
    """The array of which an instruction's value is a later state, or None."""
    op, operands, data = code[at]
    if op == "add_at":
        return operands[0]
    if op == "item":
        _, given, loop = code[operands[0]]
        if loop.carries <= data < loop.handed:
            array: int = given[loop.shared + data]
            return array
    return None


def follow(code: Sequence[Instruction], found: MutableMapping[int, T], start: int = 0) -> None:
    """Extend what is known of some arrays to their later states."""
    for at in range(start, len(code)):
        if code[at].op in ("add_at", "item") and (before := continued(code, at)) in found:
            found[at] = found[before]  # type: ignore[index]


def memories(loop: Loop) -> list[int]:
    """The accumulators that the steps read, by their numbers among what is handed on."""
    if not loop.accumulators:
        return []
    code, first = loop.body.code, loop.first_carry
    chain = {at: i.data - first for at, i in enumerate(code) if i.op == "input" and i.data >= first + loop.carries}
    chain = {at: k for at, k in chain.items() if k < loop.handed}
    follow(code, chain)
    found: set[int] = set()
    for op, operands, data in code:
        if chain.keys().isdisjoint(operands) or op == "item":
            continue
        added = written(op, data)
        found.update([chain[o] for k, o in enumerate(operands) if o in chain and k not in added])
        if op == "loop":
            found.update([chain[o] for k in memories(data) if (o := operands[data.shared + k]) in chain])
    return sorted(found)


def split(loop: Loop, numbers: Sequence[int]) -> Loop:
    """The loop that reads some accumulators in finished arrays, which come after all else that its steps share."""
    body, first, count = loop.body, loop.first_carry, len(numbers)
    code = [Instruction("input", (), first + k) for k in range(count)]
    place: list[int] = []
    final: dict[int, int] = {}  # array → the finished one
    for at, (op, operands, data) in enumerate(body.code):
        if op == "input":
            if data >= first and data - first in numbers:
                final[at] = numbers.index(data - first)
            data = data if data < first else data + count
        elif (before := continued(body.code, at)) in final:
            final[at] = final[before]
        added = written(op, data)
        new = [place[o] if k in added or op == "item" else final.get(o, place[o]) for k, o in enumerate(operands)]
        if op == "loop" and (inner := [k for k in memories(data) if operands[data.shared + k] in final]):
            new[data.shared : data.shared] = [final[operands[data.shared + k]] for k in inner]
            data = split(data, inner)
        place.append(len(code))
        code.append(Instruction(op, tuple(new), data))
    inputs = (*body.inputs[:first], *[body.inputs[first + k] for k in numbers], *body.inputs[first:])
    guards = [g._replace(value=place[g.value]) for g in body.guards]
    new_body = Program(code, [place[o] for o in body.outputs], inputs, guards)
    return replace(loop, body=new_body, shared=loop.shared + count, primal=None)


def pairs(loop: Loop, operands: Sequence[int], known: MutableMapping[int, T]) -> dict[int, int]:
    """Which of the body's inputs are finished arrays, and the accumulators (also inputs) that they belong to."""
    accumulators = {
        id(known[o]): loop.first_carry + k
        for k in range(loop.carries, loop.handed)
        if (o := operands[loop.shared + k]) in known
    }
    return {
        k: accumulators[id(known[o])]
        for k, o in enumerate(operands[: loop.shared], 1)
        if o in known and id(known[o]) in accumulators
    }


def last_states(first: Mapping[int, int]) -> dict[int, int]:
    """What `roots` found → the last state of the same array: what was read in an earlier one is the same there."""
    last: dict[int, int] = {}
    for array, root in first.items():
        last[root] = max(last.get(root, root), array)
    return {array: last[root] for array, root in first.items()}


def roots(code: Sequence[Instruction], among: Iterable[int]) -> dict[int, int]:
    """The arrays in a block that some instructions use as memory, in all their states: array → its first state.

    They are those that a loop reads and adds to, and those to which values are added that are read afterwards.
    """
    first: dict[int, int] = {}
    for at in among:
        op, operands, data = code[at]
        if op == "loop":
            states = [operands[data.shared + k] for k in memories(data)]
        else:
            states = [at] if op == "add_at" and isinstance(data, Used) else []
        for root in states:
            while (before := continued(code, root)) is not None:
                root = before
            first[root] = root
    if first:
        follow(code, first, min(first))
    return first


def root_of(program: Program, value: int) -> int:
    """The instruction that made the array that a value is."""
    while (before := _before(program.code, value)) is not None:
        value = before
    return value


def all_roots(code: Sequence[Instruction]) -> list[int]:
    """The same of each value, in one pass: an array may be added to thousands of times."""
    root = list(range(len(code)))
    for at, instruction in enumerate(code):
        if instruction.op in ("add_at", "item", "pos") and (before := _before(code, at)) is not None:
            root[at] = root[before]
    return root


def _before(code: Sequence[Instruction], value: int) -> int | None:
    """The array that a value is, in an earlier state or before it was copied."""
    return code[value].operands[0] if code[value].op == "pos" else continued(code, value)
