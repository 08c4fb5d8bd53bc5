"""Rows of memory for loops that hand on more numbers than there are registers: which number is in which column.

Numbers that a step packs into an array lie side by side, so the array is a part of the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from autograd.compiler.lower.module import ALIGNMENT
from autograd.ir.block import Array, Loop, Program

FEWEST_ALIGNED = 32  # elements of an array for which rows are padded
MOST_CARRIES = 16  # that are handed on in registers


class Columns(NamedTuple):
    """The columns of the row that a step is given.

    Attributes
    ----------
    of : dict
        Input of the body → its column: all carries, and numbers that all steps share where they lie between carries.
    stored : dict
        Result of the loop → the column that it keeps from all steps. Without any, two rows take turns.
    """

    of: dict[int, int]
    stored: dict[int, int]

    def shared(self, loop: Loop) -> list[int]:
        """The inputs among them that all steps share."""
        return [k for k in self.of if k < loop.first_carry]


def columns_of(loop: Loop, outputs: Iterable[int] = ()) -> Columns | None:
    """The columns of a loop; None if its carries are few. `outputs` are results that lie elsewhere."""
    if loop.carries <= MOST_CARRIES:
        return None
    body, first = loop.body, loop.first_carry
    carries = range(first, first + loop.carries)
    numbers = {
        at: i.data for at, i in enumerate(body.code) if i.op == "input" and not isinstance(body.inputs[i.data], Array)
    }
    numbers = {at: k for at, k in numbers.items() if 0 < k < first or k in carries}
    outs = zip(body.outputs[loop.handed :], loop.kinds)
    kept = {item: numbers[o] for item, (o, kind) in enumerate(outs, loop.handed) if kind == "each" and o in numbers}
    order = _in_line(body, numbers, [*kept.values(), *carries], set(carries))
    if sum(k not in carries for k in order) * 4 > loop.carries:
        order = [k for k in order if k in carries]
    of = {k: column for column, k in enumerate(order)}
    elsewhere = set(outputs)
    stored = {item: of[k] for item, k in kept.items() if k in of}
    if elsewhere.intersection(stored) or 2 * len(stored) < len(of):
        stored = {}
    return Columns(of, stored)


def _in_line(body: Program, numbers: dict[int, int], wanted: Sequence[int], carries: set[int]) -> list[int]:
    """Inputs in such an order that those which are packed side by side are neighbours."""
    after: dict[int, int] = {}
    before: dict[int, int] = {}
    for op, operands, _ in body.code:
        if op != "pack":
            continue
        for one, other in pairwise(operands):
            a, b = numbers.get(one), numbers.get(other)
            if a is None or b is None or a == b or not carries.intersection((a, b)):
                continue
            if a not in after and b not in before:
                after[a], before[b] = b, a
    order: dict[int, None] = {}
    for start in wanted:
        k = start
        while k in before and before[k] != start and k not in order:
            k = before[k]
        while k not in order:
            order[k] = None
            if k not in after:
                break
            k = after[k]
    return list(order)


def made_in_place(loop: Loop, columns: Columns) -> dict[int, tuple[int, int]]:
    """Results of loops in a step that are handed on as they are: instruction → its first column, and how many."""
    body = loop.body
    found: dict[int, dict[int, int]] = {}  # instruction → element → column
    for k, o in enumerate(body.outputs[: loop.carries], loop.first_carry):
        op, operands, data = body.code[o]
        if op == "read" and len(operands) == 1 and not data.shape and body.code[operands[0]].op == "item":
            found.setdefault(operands[0], {})[data.offset] = columns.of[k]
    made: dict[int, tuple[int, int]] = {}
    for at, elements in found.items():
        (inner,), item = body.code[at].operands, body.code[at].data
        step: Loop = body.code[inner].data
        if item < step.handed or step.kinds[item - step.handed] != "each" or not isinstance(step.extent, int):
            continue
        row = 0 in elements and len(elements) == step.extent
        if row and all(column == elements[0] + k for k, column in elements.items()):
            made[at] = elements[0], len(elements)
    return made


def row_layout(loop: Loop, columns: Columns, width: int) -> tuple[int, int]:
    """The bytes from one row to the next, and those before the first row.

    Arrays that a step makes in place begin where vectors in memory are fast, unless these bytes are many.
    """
    length, parts = width * len(columns.of), made_in_place(loop, columns).values()
    first, count = max(parts, key=lambda part: part[1], default=(0, 0))
    if count < FEWEST_ALIGNED:
        return length, 0
    return -(-length // ALIGNMENT) * ALIGNMENT, -width * first % ALIGNMENT
