"""Flat code with instructions on arrays in it: what is rolled between them, and what is written again after it.

Arrays are no operands of the statements that are rolled. So flat code is cut where an instruction puts its values into
an array (`pack`), or gives such an array to a loop. What follows is a stage of its own: it reads the results of that
instruction as it reads an argument.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from math import prod
from typing import NamedTuple

from autograd.ir.block import Array, Instruction, Window, whole
from autograd.ir.builder import Builder, LoopBuilder
from autograd.ir.memory import arrays_written
from autograd.ir.rewrite import needed
from autograd.ir.rewriters import number_values

MOST_COLUMNS, MOST_PIECES = 8, 8  # of an array that is packed: columns that are looked for, and pieces of each
LEAST_LENGTH = 3  # of a piece of several values: as many steps as the shortest loop has


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


class Piece(NamedTuple):
    """Neighbours in a column of an array that is packed: `length` of them from row `start` on.

    They are values of the code that is rolled (at `place` and every `step` behind it), elements of an `array` from
    outside (likewise), or one `value` from outside.
    """

    start: int
    length: int
    place: int = 0
    step: int = 0
    array: int | None = None
    value: int | None = None


class Packed(NamedTuple):
    """An array that is packed: its shape, and the pieces of each of its columns."""

    shape: tuple[int, ...]
    columns: list[list[Piece]]

    @property
    def rows(self) -> int:
        """How long the columns are."""
        return prod(self.shape) // len(self.columns)

    @property
    def is_whole(self) -> bool:
        """Whether each column is one piece."""
        return all(len(pieces) == 1 for pieces in self.columns)


def stages(
    code: Sequence[Instruction], first: int, wanted: Iterable[int], guards: Iterable[int], rollable: Container[str]
) -> list[Stage]:
    """The stages of the code from `first` on that computes some values, and comparisons that are only guards."""
    wanted = list(wanted)
    order = [at for at in sorted(needed(code, {*wanted, *guards}, first)) if at >= first]
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
    uses = _uses_elsewhere(code, order, stage_of, wanted)
    return [stage._replace(wanted=list(uses.get(k, ()))) for k, stage in enumerate(made)]


def _uses_elsewhere(
    code: Sequence[Instruction], order: Iterable[int], stage_of: Mapping[int, int], wanted: Iterable[int]
) -> dict[int, dict[int, None]]:
    """Stage → what is used of it elsewhere, or is wanted; not what only a `pack` that follows it uses."""
    used: dict[int, dict[int, None]] = {}
    number = 0
    for at in order:
        number = stage_of.get(at, number)  # instructions on arrays belong to the stage before them
        for o in code[at].operands:
            if o in stage_of and stage_of.get(at) != stage_of[o] and (code[at].op != "pack" or number != stage_of[o]):
                used.setdefault(stage_of[o], {})[o] = None
    for w in wanted:
        if w in stage_of:
            used.setdefault(stage_of[w], {})[w] = None
    return used


def packed(
    code: Sequence[Instruction], shape: tuple[int, ...], operands: Sequence[int], positions: Sequence[int]
) -> Packed | None:
    """A `pack` in pieces, given where its operands are in the code that is rolled (-1: elsewhere).

    None if it is in too many pieces, or none of it is rolled.
    """
    count = len(operands)
    widths = [count // shape[0]] if len(shape) > 1 else [w for w in range(1, MOST_COLUMNS + 1) if count % w == 0]
    for width in widths:
        columns: list[list[Piece]] = []
        for k in range(width):
            pieces = _pieces(code, operands[k::width], positions[k::width])
            if pieces is None:
                break
            columns.append(pieces)
        else:
            rolled = any(one.array is None and one.value is None for pieces in columns for one in pieces)
            return Packed(shape, columns) if rolled else None
    return None


def _pieces(code: Sequence[Instruction], operands: Sequence[int], positions: Sequence[int]) -> list[Piece] | None:
    """A column in pieces; None if there are too many."""
    found: list[Piece] = []
    at, end = 0, len(operands)
    while at < end:
        if len(found) == MOST_PIECES:
            return None
        here, length = _place(code, operands[at], positions[at]), 1
        if here is None:
            while at + length < end and operands[at + length] == operands[at]:
                length += 1
            found.append(Piece(at, length, value=operands[at]))
        else:
            place, array = here
            following = _place(code, operands[at + 1], positions[at + 1]) if at + 1 < end else None
            step = following[0] - place if following is not None and following[1] == array else 0
            while step and at + length < end:
                if _place(code, operands[at + length], positions[at + length]) != (place + length * step, array):
                    break
                length += 1
            if length < LEAST_LENGTH:
                length = 1
            alone = array is not None and length == 1
            found.append(Piece(at, 1, value=operands[at]) if alone else Piece(at, length, place, step, array))
        at += length
    return found


def _place(code: Sequence[Instruction], value: int, position: int) -> tuple[int, int | None] | None:
    """Where a value is in the code that is rolled, or in which array; None if it is elsewhere."""
    if position >= 0:
        return position, None
    op, operands, data = code[value]
    return (data.offset, operands[0]) if op == "read" and len(operands) == 1 and not data.shape else None


def put_together(builder: Builder, pack: Packed, parts: Sequence[Sequence[int]], memory: int) -> int:
    """An array made of its pieces; `memory` is a new array of -0.0 with as many elements."""
    width = len(pack.columns)
    for k, (pieces, values) in enumerate(zip(pack.columns, parts)):
        for piece, value in zip(pieces, values):
            array = isinstance(builder.type_of(value), Array)
            for row in (piece.start,) if array else range(piece.start, piece.start + piece.length):
                window = Window((piece.length,), row * width + k, (width,)) if array else Window((), row * width + k)
                memory = builder.emit("add_at", (memory, value), window)
    return memory


def side_by_side(builder: Builder, rows: int, columns: Sequence[int]) -> int:
    """An array made of its columns: each is an array, or the same number in all rows."""
    inner = Builder((number_values,), builder.kept)
    made = LoopBuilder(builder, inner, rows)
    row = [made.element(c) if isinstance(builder.type_of(c), Array) else made.shared(c) for c in columns]
    loop = made.finish([], [(inner.emit("pack", tuple(row), (len(row),)), "each")])
    return builder.emit("item", (loop,), 0)


def interleaved(builder: Builder, places: Sequence[tuple[int, int]]) -> int | None:
    """An array of elements of arrays that are taken in turn: ``a[0], b[0], a[1], b[1], …``; None if they are not.

    A place is an array and an offset. The elements of an array need not be neighbours, but must be evenly apart.
    """
    width = next((k for k in range(1, len(places)) if places[k][0] == places[0][0] and places[k] != places[0]), 0)
    if not width or len(places) % width or len(places) == width:
        return None
    steps = [places[width + k][1] - places[k][1] for k in range(width)]
    for k in range(width, len(places)):
        (array, offset), before = places[k], places[k - width]
        if array != before[0] or offset != before[1] + steps[k % width]:
            return None
    rows = len(places) // width
    arrays = {array for array, _ in places[:width]}
    if min(steps) < 0 or any(not arrays.isdisjoint(arrays_written(instruction)) for instruction in builder.code):
        return None
    columns = []
    for (array, offset), step in zip(places, steps):
        window = Window((rows,), offset, (step,))
        columns.append(array if builder.type_of(array) == Array((rows,)) else builder.emit("read", (array,), window))
    return columns[0] if width == 1 else side_by_side(builder, rows, columns)


def shaped(builder: Builder, array: int, shape: tuple[int, ...]) -> int:
    """The same numbers in another shape."""
    kind = Array(shape)
    return array if builder.type_of(array) == kind else builder.emit("read", (array,), whole(kind))


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
        instruction = builder.code[at]
        if at not in builder.moved and any(renewed(builder, o) != o for o in instruction.operands):
            for o in arrays_written(instruction):
                _copy_array(builder, o)
            builder.moved[at] = builder.append(_with_moved(builder, instruction))


def _with_moved(builder: Builder, instruction: Instruction) -> Instruction:
    return instruction._replace(operands=tuple([renewed(builder, o) for o in instruction.operands]))


def _copy_array(builder: Builder, array: int) -> None:
    """Make an array again, with all that was added to it: the flat code has changed the first one."""
    chain = [array]
    while chain[-1] not in builder.moved:
        instruction = builder.code[chain[-1]]
        if instruction.op == "item":
            chain.append(instruction.operands[0])
        elif taken := arrays_written(instruction):
            chain.append(taken[0])
        else:
            break
    for at in reversed(chain):
        if at not in builder.moved and builder.code[at].op != "input":
            builder.moved[at] = builder.append(_with_moved(builder, builder.code[at]))
