"""Sums over the rows of a map that are products of few factors, such as the gradients of a layer's weights.

There are more such sums than registers, so each is loaded and stored for every block of rows. These loads and stores
cost more than the arithmetic. So the body only keeps the factors, for two blocks of rows. Then a function adds the
products of both blocks to each sum. It goes through the sums in tiles, so that each loaded factor is used many times.
Where the factors and the sums of a tile lie at regular distances, as those of a layer do, the tile is a loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from autograd.compiler.lower.module import Module, Writer, kind
from autograd.compiler.lower.rows.layout import Rows
from autograd.ir.block import Loop

BLOCKS = 2  # blocks of rows that are added up together
TILE = 4  # factors that stay in registers
CHUNK = 400  # sums in a function
FEWEST_LINES = 4  # of a tile that become a loop
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
    if not sums or body.guards or loop.accumulators or SAVING * len(new) > len(sums):
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


class Line(NamedTuple):
    """The sums of a tile that have one factor in common.

    Attributes
    ----------
    factor : int or None
        The factor to load for them; None if they need only those that the tile holds.
    sums : list of (int, int or None, int)
        The factors and the number of each sum; the first factor is held.
    """

    factor: int | None
    sums: list[tuple[int, int | None, int]]

    def held(self) -> list[int]:
        """The factors that are held, in the order of the sums."""
        return [x for x, _, _ in self.sums]

    def distances(self, places: Mapping[int, int], following: Line) -> tuple[int, ...] | None:
        """How far the factor and the sums of the following line are from these; None if they are of another kind."""
        if self.factor is None or following.factor is None or self.held() != following.held():
            return None
        of_sums = [there[2] - here[2] for here, there in zip(self.sums, following.sums)]
        return places[following.factor] - places[self.factor], *of_sums


def _lines(sums: Sequence[Factors], held: Sequence[int], numbers: Sequence[int]) -> list[Line]:
    """The sums of a tile, those with the same factor that is not held together."""
    lines: list[Line] = []
    for number in numbers:
        x, y = sums[number]
        if y is not None and x not in held:
            x, y = y, x
        factor = None if y is None or y in held else y
        if factor is None or not lines or lines[-1].factor != factor:
            lines.append(Line(factor, []))
        lines[-1].sums.append((x, y, number))
    return lines


def _runs(lines: Sequence[Line], places: Mapping[int, int]) -> Iterator[tuple[list[Line], tuple[int, ...]]]:
    """Lines that follow one another at the same distances, and these."""
    run: list[Line] = []
    step: tuple[int, ...] | None = None
    for line in lines:
        further = run[-1].distances(places, line) if run else None
        if run and (further is None or (step is not None and further != step)):
            yield run, step or ()
            run, step = [], None
        else:
            step = further
        run.append(line)
    if run:
        yield run, step or ()


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
        self.loops = 0
        self.block = "entry"  # the label of the code that is being written

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
        for run, step in _runs(_lines(self.kept.sums, held, numbers), self.kept.places):
            if len(run) < FEWEST_LINES:
                for line in run:
                    self.line(names, line)
            else:
                self.loop(names, run, step)

    def line(self, names: Mapping[int, list[str]], line: Line) -> None:
        """Add to the sums of a line."""
        names = names if line.factor is None else {**names, line.factor: self.factor(line.factor)}
        for x, y, number in line.sums:
            self.add(names[x], None if y is None else names[y], self.address("%sums", self.size * number))

    def loop(self, names: Mapping[int, list[str]], run: Sequence[Line], step: Sequence[int]) -> None:
        """Add to the sums of lines at equal distances, line after line."""
        self.loops += 1
        label, first = f"run{self.loops}", run[0]
        counter, following = f"%{label}.i", f"%{label}.next"
        self.lines += [f"  br label %{label}", f"{label}:"]
        self.write(f"{counter} = phi i64 [0, %{self.block}], [{following}, %{label}]")

        def moved(base: str, vector: int, by: int) -> str:
            far = self.temporary(f"mul i64 {counter}, {self.size * by}")
            return self.temporary(f"getelementptr i8, ptr {self.address(base, self.size * vector)}, i64 {far}")

        assert first.factor is not None
        place = self.kept.places[first.factor]
        other = []
        for block in range(BLOCKS):
            where = moved("%blocks", block * self.kept.vectors + place, step[0])
            other.append(self.temporary(f"load {self.type}, ptr {where}, align {self.size}"))
        for (x, _, number), by in zip(first.sums, step[1:]):
            self.add(names[x], other, moved("%sums", number, by))
        self.write(f"{following} = add i64 {counter}, 1")
        more = self.temporary(f"icmp ult i64 {following}, {len(run)}")
        self.block = f"{label}.done"
        self.write(f"br i1 {more}, label %{label}, label %{self.block}")
        self.lines.append(f"{self.block}:")

    def add(self, x: Sequence[str], y: Sequence[str] | None, where: str) -> None:
        """Add the products of both blocks to the sum at an address."""
        total = self.temporary(f"load {self.type}, ptr {where}, align {self.size}")
        for block in range(BLOCKS):
            added = x[block]
            if y is not None:
                added = self.temporary(f"fmul {self.flags}{self.type} {added}, {y[block]}")
            total = self.temporary(f"fadd {self.flags}{self.type} {total}, {added}")
        self.write(f"store {self.type} {total}, ptr {where}, align {self.size}")

    def finish(self, module: Module, name: str) -> str:
        """Add the function to the module and begin the next one; return its name."""
        self.write("ret void")
        body = "\n".join(self.lines)
        arguments = "ptr noalias %blocks, ptr noalias %sums"
        module.functions.append(f"define internal void @{name}({arguments}) nounwind {{\nentry:\n{body}\n}}")
        self.lines, self.block = [], "entry"
        return f"@{name}"
