"""Flat code with instructions on arrays in it: what is rolled between them, and what is written again after it.

Arrays are no operands of the statements that are rolled. So flat code is cut where an instruction puts its values into
an array (`pack`), or gives such an array to a loop. What follows is a stage of its own: it reads the results of that
instruction as it reads an argument.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

from autograd.ir.block import Instruction
from autograd.ir.builder import Builder, LoopBuilder
from autograd.ir.simplify import number_values


class Stage(NamedTuple):
    """A stretch of flat code, and the instructions on arrays that follow it.

    Attributes
    ----------
    flat : list of int
        The code that may be rolled, in order.
    wanted : list of int
        What other instructions than `pack` use of it after the stage or behind it, or what is wanted at the end.
    after : list of int
        The instructions on arrays, in order.
    """

    flat: list[int]
    wanted: list[int]
    after: list[int]


class Packed(NamedTuple):
    """A `pack` whose columns are evenly apart: each is (position of the first, distance), or a value for all rows."""

    shape: tuple[int, ...]
    columns: list[tuple[int, int] | int]

    @property
    def rows(self) -> int:
        """How long the columns are."""
        return self.shape[0]


def stages(code: Sequence[Instruction], first: int, wanted: Iterable[int], rollable: Container[str]) -> list[Stage]:
    """The stages of the code from `first` on that computes some values."""
    wanted = list(wanted)
    found = set(wanted)
    for at in range(max(found, default=-1), first - 1, -1):
        if at in found:
            found.update(code[at].operands)
    order = [at for at in sorted(found) if at >= first]
    stage_of: dict[int, int] = {}
    inside: set[int] = set()  # what depends on flat code
    made = [Stage([], [], [])]
    for at in order:
        op, operands, _ = code[at]
        if op in rollable:
            if made[-1].after:
                made.append(Stage([], [], []))
            made[-1].flat.append(at)
            stage_of[at] = len(made) - 1
            inside.add(at)
        elif not inside.isdisjoint(operands):
            inside.add(at)
            if op != "read" or len(operands) > 1:  # parts of arrays are read where they are used
                made[-1].after.append(at)
    used: list[dict[int, None]] = [{} for _ in made]
    number = 0
    for at in order:
        number = stage_of.get(at, number)  # instructions on arrays belong to the stage before them
        for o in code[at].operands:
            if o in stage_of and stage_of.get(at) != stage_of[o] and (code[at].op != "pack" or number != stage_of[o]):
                used[stage_of[o]][o] = None
    for w in wanted:
        if w in stage_of:
            used[stage_of[w]][w] = None
    return [stage._replace(wanted=list(uses)) for stage, uses in zip(made, used)]


def packed(shape: tuple[int, ...], positions: Sequence[int], operands: Sequence[int]) -> Packed | None:
    """A `pack`, given where its operands are in the code that is rolled (-1: elsewhere); None if it has no such form."""
    rows = shape[0]
    width = len(operands) // rows if rows > 1 else 0
    columns: list[tuple[int, int] | int] = []
    for k in range(width):
        at, values = positions[k::width], operands[k::width]
        if -1 not in at:
            step = at[1] - at[0]
            if not step or any(p != at[0] + i * step for i, p in enumerate(at)):
                return None
            columns.append((at[0], step))
        elif all(o == values[0] for o in values):
            columns.append(values[0])
        else:
            return None
    return Packed(shape, columns) if any(isinstance(column, tuple) for column in columns) else None


def side_by_side(builder: Builder, shape: tuple[int, ...], columns: Sequence[tuple[int, bool]]) -> int:
    """An array made of its columns: each is an array, or (if it is no array) the same number in all rows."""
    inner = Builder((number_values,), builder.kept)
    made = LoopBuilder(builder, inner, shape[0])
    row = [made.element(value) if is_array else made.shared(value) for value, is_array in columns]
    loop = made.finish([], [(inner.emit("pack", tuple(row), shape[1:]), "each")])
    return builder.emit("item", (loop,), 0)


def renewed(builder: Builder, value: int) -> int:
    """Where a value is now: what was rolled in loops, and a part of an array that was made again, there."""
    if not builder.moved:
        return value
    now = builder.where(value)
    op, operands, data = builder.code[now]
    if op == "read" and len(operands) == 1 and (array := renewed(builder, operands[0])) != operands[0]:
        builder.moved[now] = builder.append(Instruction(op, (array,), data))
        return builder.moved[now]
    return now


def again(builder: Builder, values: Iterable[int]) -> None:
    """Write instructions again whose operands have moved."""
    for at in values:
        op, operands, data = builder.code[at]
        new = tuple([renewed(builder, o) for o in operands])
        if at not in builder.moved and new != operands:
            builder.moved[at] = builder.append(Instruction(op, new, data))
