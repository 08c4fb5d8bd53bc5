"""Many operands of a primitive that lie side by side: while code is rolled, they are one operand.

A statement has a number for each operand. With an operand for each element of a long list, loops over such lists would
not be found: the number of operands is a part of a statement's kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd.ir.block import Instruction
from autograd.ir.elements import FEWEST_ELEMENTS, MANY

WEIGHT = 50  # statements that a primitive of an array stands for
# What such an operand is, its `what` in a Kind, and the number that advances:
RANGE = "range"  # values of the code: (how many, how far apart), the position of the first
WINDOW = "window"  # a part of an array: (array, shape, strides), the offset
Sources = tuple[tuple[str, Any], ...]


def weight(code: Sequence[Instruction]) -> int:
    """How many statements the primitives of many operands stand for: they are written out later, as loops or flat."""
    found = 0
    for op, operands, _ in code:
        if op in MANY:
            found += WEIGHT if len(operands) <= 2 else len(operands) if len(operands) >= FEWEST_ELEMENTS else 0
    return found


def side_by_side(
    code: Sequence[Instruction], value: int, positions: Sequence[int]
) -> tuple[Sources, tuple[int, ...]] | None:
    """The operands of a primitive as ranges and windows, and their numbers; None if they are operands of their own.

    Parameters
    ----------
    code : sequence of Instruction
        A program.
    value : int
        The instruction.
    positions : sequence of int
        For each operand where it is in the code that is rolled; -1 for others.
    """
    op, operands, _ = code[value]
    if op not in MANY:
        return None
    half = len(operands) // 2 if op == "dot" else len(operands)
    found = [
        _side(code, operands[start : start + half], positions[start : start + half])
        for start in range(0, len(operands), half or 1)
    ]
    known = [one for one in found if one is not None]
    return (tuple([one[0] for one in known]), tuple([one[1] for one in known])) if len(known) == len(found) else None


def _side(
    code: Sequence[Instruction], operands: Sequence[int], positions: Sequence[int]
) -> tuple[tuple[str, Any], int] | None:
    """Operands as one, and its number; None if they are not side by side."""
    op, given, data = code[operands[0]]
    if len(operands) == 1 and op == "read" and len(given) == 1 and data.shape and positions[0] < 0:
        return (WINDOW, (given[0], data.shape, data.strides)), data.offset
    if len(operands) < FEWEST_ELEMENTS:
        return None
    if -1 not in positions:
        step = positions[1] - positions[0]
        even = step and list(positions) == [*range(positions[0], positions[0] + len(positions) * step, step)]
        return ((RANGE, (len(positions), step)), positions[0]) if even else None
    if any(p >= 0 for p in positions):
        return None
    reads = [code[o] for o in operands]
    if not all(i.op == "read" and i.operands == given and not i.data.shape for i in reads):
        return None
    offsets = [i.data.offset for i in reads]
    step = offsets[1] - offsets[0]
    even = len(given) == 1 and step and offsets == [*range(offsets[0], offsets[0] + len(offsets) * step, step)]
    return ((WINDOW, (given[0], (len(offsets),), (step,))), offsets[0]) if even else None
