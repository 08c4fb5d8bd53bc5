"""Sums over the rows of a map that are products of few factors, such as the gradients of a layer's weights.

There are more such sums than registers, so each is loaded and stored for every block of rows. These loads and stores
cost more than the arithmetic. So the body only keeps the factors, for two blocks of rows. Then a function adds the
products of both blocks to each sum. It goes through the sums in tiles, so that each loaded factor is used many times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autograd.compiler.lower.module import Module, Writer, kind
from autograd.compiler.lower.rows import Rows
from autograd.ir.block import Loop

BLOCKS = 2  # blocks of rows that are added up together
TILE = 4  # factors that stay in registers
CHUNK = 400  # sums in a function
SAVING = 4  # sums per factor below which storing the factors costs as much as it saves
Factors = tuple[int, int | None]  # x and y of the product x*y; x alone if y is None


@dataclass
class Kept:
    """The factors that a body keeps for its sums.

    Attributes
    ----------
    sums : list of Factors
        The factors of each sum, in order.
    places : dict
        Factor → the number of its vector in the block; the columns of the rows come first.
    new : dict
        The factors that are no columns, so that the body must keep them → the number of the vector after the columns.
    vectors : int
        The number of vectors in a block.
    unneeded : set
        Products that only the sums need: the body does not compute them.
    """

    sums: list[Factors]
    places: dict[int, int]
    new: dict[int, int]
    vectors: int
    unneeded: set[int]


def keep_factors(loop: Loop, rows: Rows) -> Kept | None:
    """The factors of a body's sums to keep; None if adding up in the body costs no more."""
    body = loop.body
    uses = body.uses()
    sums: list[Factors] = []
    unneeded: set[int] = set()
    for value in [o for o, out in zip(body.outputs, loop.kinds) if out == "sum"]:
        op, operands, _ = body.code[value]
        if op == "mul" and uses[value] == 1:
            sums.append((operands[0], operands[1]))
            unneeded.add(value)
        else:
            sums.append((value, None))
    factors = dict.fromkeys(x for pair in sums for x in pair if x is not None)
    places = {x: column for x in factors if (column := _column(loop, rows, x)) is not None}
    new = {x: place for place, x in enumerate(x for x in factors if x not in places)}
    if body.guards or loop.accumulators or SAVING * len(new) > len(sums):
        return None
    places |= {x: rows.columns + place for x, place in new.items()}
    return Kept(sums, places, new, rows.columns + len(new), unneeded)


def _column(loop: Loop, rows: Rows, value: int) -> int | None:
    """The column of the rows that a value is; None if it is none."""
    op, operands, data = loop.body.code[value]
    offset = 0
    if op == "read" and len(operands) == 1 and not data.shape:
        offset = data.offset
        op, _, data = loop.body.code[operands[0]]
    if op != "input" or data < loop.first_element:
        return None
    return sum(rows.widths[: data - loop.first_element]) + offset


def _tiles(sums: Sequence[Factors]) -> Iterator[tuple[list[int], list[int]]]:
    """Tiles: factors to hold in registers, and the sums that use them, ordered by their other factor."""
    sums_of: dict[int, list[int]] = {}
    for number, pair in enumerate(sums):
        for x in {x for x in pair if x is not None}:
            sums_of.setdefault(x, []).append(number)
    # Those that are multiplied by the same others are best held together.
    others_of = {x: frozenset([y for n in sums_of[x] for y in sums[n]]) - {x} for x in sums_of}
    rank = {others: at for at, (others, _) in enumerate(Counter(others_of.values()).most_common())}
    order = sorted(sums_of, key=lambda x: (-len(sums_of[x]), rank[others_of[x]]))
    done: set[int] = set()
    for start in range(0, len(order), TILE):
        held = order[start : start + TILE]
        tile = {number for x in held for number in sums_of[x]} - done
        done |= tile
        if tile:
            others = [(sums[n][1] or -1 if sums[n][0] in held else sums[n][0], n) for n in tile]
            yield held, [n for _, n in sorted(others)]


def write_sums(module: Module, name: str, kept: Kept) -> list[str]:
    """Write the functions that add up two blocks; return their names. They take the blocks' vectors and the sums."""
    writer = _Sums(module.machine.lanes, module.machine.flags, kept)
    names: list[str] = []
    for held, numbers in _tiles(kept.sums):
        if len(writer.lines) > 6 * CHUNK:
            names.append(writer.finish(module, f"{name}.sums{len(names)}"))
        writer.tile(held, numbers)
    return [*names, writer.finish(module, f"{name}.sums{len(names)}")]


class _Sums(Writer):
    """Writes one function."""

    def __init__(self, lanes: int, flags: str, kept: Kept) -> None:
        super().__init__()
        self.type, self.size, self.flags = kind(lanes), 8 * lanes, flags
        self.kept = kept

    def load(self, base: str, vector: int) -> str:
        """Load a vector from an array of vectors."""
        return self.temporary(f"load {self.type}, ptr {self.address(base, self.size * vector)}, align {self.size}")

    def factor(self, value: int) -> list[str]:
        """Load a factor from every block."""
        place = self.kept.places[value]
        return [self.load("%blocks", block * self.kept.vectors + place) for block in range(BLOCKS)]

    def tile(self, held: Sequence[int], numbers: Sequence[int]) -> None:
        """Add to these sums while the factors `held` are in registers."""
        names = {x: self.factor(x) for x in held}
        last: int | None = None
        for number in numbers:
            x, y = self.kept.sums[number]
            x, y = (x, y) if x in names or y is None else (y, x)
            if y is not None and y not in names:
                if last is not None:
                    names.pop(last, None)
                names[y], last = self.factor(y), y
            total = self.load("%sums", number)
            for block in range(BLOCKS):
                added = names[x][block]
                if y is not None:
                    added = self.temporary(f"fmul {self.flags}{self.type} {added}, {names[y][block]}")
                total = self.temporary(f"fadd {self.flags}{self.type} {total}, {added}")
            where = self.address("%sums", self.size * number)
            self.write(f"store {self.type} {total}, ptr {where}, align {self.size}")

    def finish(self, module: Module, name: str) -> str:
        """Add the function to the module and begin the next one; return its name."""
        self.write("ret void")
        body = "\n".join(self.lines)
        arguments = "ptr noalias %blocks, ptr noalias %sums"
        module.functions.append(f"define internal void @{name}({arguments}) nounwind {{\n{body}\n}}")
        self.lines = []
        return f"@{name}"
