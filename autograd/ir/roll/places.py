"""Where the operands of rolled statements come from.

The position of an operand is affine in the counters, as that of a statement is. So a few instances tell where it comes
from:

- from a statement of the same step: a value;
- from one step before, in the innermost loop that both are in: a carry;
- from a loop of the same step that has ended: its stacked results;
- from anywhere else: memory, an array to which statements add their values and which is read at affine places.

In a triangle, nothing is stacked: the loops whose number of steps differs use memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import gcd, prod
from typing import Any

from autograd.ir.roll.nest import (
    Affine,
    First,
    Kept,
    Leaf,
    Listed,
    Nest,
    Statement,
    common,
    domain,
    innermost_triangle,
    least,
    leaves,
    middle,
    most,
    progression,
)


@dataclass(eq=False, slots=True)
class Direct:
    """The value of a leaf in this step of the loop at a depth; of the last steps of the loops within."""

    leaf: Leaf
    depth: int


@dataclass(eq=False, slots=True)
class Carried:
    """The value of a leaf in the step before, of the loop at a depth."""

    leaf: Leaf
    depth: int


@dataclass(eq=False, slots=True)
class Stacked:
    """An element of the values that a loop has kept, at a depth, and its place in their array."""

    kept: Kept
    depth: int
    place: Affine


@dataclass(eq=False, slots=True)
class Read:
    """An element of memory, read before a statement at a depth: the place in the trace."""

    group: Group
    depth: int
    place: Affine | Listed


@dataclass(eq=False)
class Group:
    """Statements whose values share one array of memory.

    Attributes
    ----------
    depth : int
        The depth at which the array is made: all that reads and writes it is in one step of the loops there.
    """

    leaves: dict[Leaf, None] = field(default_factory=dict)
    reads: list[tuple[Statement, Read]] = field(default_factory=list)
    merged: Group | None = None
    depth: int = 0
    first: int = 0
    unit: int = 1
    size: int = 0

    def root(self) -> Group:
        """The group that this one has become a part of."""
        group = self
        while group.merged is not None:
            group = group.merged
        return group

    def merge(self, other: Group) -> Group:
        """One group of both."""
        one, two = self.root(), other.root()
        if one is not two:
            if len(one.leaves) + len(one.reads) < len(two.leaves) + len(two.reads):
                one, two = two, one
            one.leaves.update(two.leaves)
            one.reads += two.reads
            two.merged = one
        return one

    def address(self, place: Affine) -> Affine:
        """The place in the array, given that in the trace."""
        steps = [0 if k < self.depth else step // self.unit for k, step in enumerate(place.steps)]
        return Affine((place.base - self.first) // self.unit, tuple(steps))

    def addresses(self, listed: Listed) -> list[int | None]:
        """The places in the array, given those in the trace."""
        return [None if n is None else (n - self.first) // self.unit for n in listed.numbers]


class Places:
    """Finds where the operands of statements come from."""

    def __init__(self, body: Sequence[Leaf | Nest], begin: Callable[[First, Nest], Any] | None = None) -> None:
        self.begin = begin  # tells where something comes from that a loop begins with
        self.triangles = any(innermost_triangle(leaf.path) for leaf in leaves(body))
        self.body = list(body)
        self.starts = [one.start for one in body]
        self.owner: list[Leaf] = []  # of each position
        self.groups: list[Group] = []
        self.read = bytearray()  # which positions are read from memory
        self._number(self.body)
        self.read = bytearray(len(self.owner))

    def _number(self, body: Sequence[Leaf | Nest]) -> None:
        for one in body:
            self._fill(one.start)
            if isinstance(one, Leaf):
                self.owner.append(one)
                continue
            first = len(self.owner)
            self._number(one.body)
            self._fill(first + one.step)
            step = self.owner[first:]
            self.owner += step * (one.size // one.step - 1)

    def _fill(self, end: int) -> None:
        """Leave places empty."""
        if end > len(self.owner):
            self.owner += [Leaf((), -1)] * (end - len(self.owner))

    def locate(self, position: int) -> tuple[Leaf, list[int]]:
        """The statement at a position of the trace, and the counters there."""
        leaf = self.owner[position]
        counters: list[int] = []
        for nest in leaf.path:
            counters.append(
                (position - nest.start - sum([i * n.step for i, n in zip(counters, leaf.path)])) // nest.step
            )
        return leaf, counters

    def indices(
        self, reader: Statement, place: Affine, at: Sequence[int] | None = None
    ) -> tuple[Leaf, list[Affine]] | None:
        """The statement at an affine place, and the counters there; None if it is not always the same one.

        `at` are the counters of the reader in an instance. If they are not given, they are those of the second steps:
        the first may be special. In triangles those in the middle are.
        """
        if at is None:
            at = middle(reader.path) if self.triangles else [min(1, extent - 1) for extent in reader.extents]
        first = place.at(at)
        if not 0 <= first < len(self.owner):
            return None
        leaf, counters = self.locate(first)
        rows: list[list[int]] = []
        for k, step in enumerate(place.steps):
            sign = -1 if at[k] > 1 or at[k] + 1 == reader.path[k].extent else 1  # towards another instance
            other = first + sign * step
            if not 0 <= other < len(self.owner) or self.owner[other] is not leaf:
                return None
            rows.append([sign * (y - x) for x, y in zip(counters, self.locate(other)[1])])
        return leaf, [
            Affine(counters[k] - sum([row[k] * i for row, i in zip(rows, at)]), tuple([row[k] for row in rows]))
            for k in range(leaf.depth)
        ]

    def is_last(self, leaf: Leaf, indices: Sequence[Affine], axis: int) -> bool:
        """Whether an index is that of the last step of a loop."""
        nest, index = leaf.path[axis], indices[axis]
        if nest.count is None:
            return not any(index.steps) and index.base == nest.extent - 1
        count = nest.count.of(indices[:axis])
        return (count.base - 1, count.steps) == (index.base, index.steps)

    def source(self, reader: Statement, place: Affine | Listed, first: Callable[[Nest], Any] | None = None) -> Any:
        """Where an operand of a statement comes from; `first` tells where it does in the first step of a loop."""
        if isinstance(place, Listed):
            return self._read(reader, reader.depth, place)
        path, depth = reader.path, reader.depth
        level = self._level(reader, place)
        found = self.indices(reader, place)
        if found is None:
            return self._read(reader, level, place)
        leaf, indices = found
        if common(leaf.path, path) < level:
            return self._read(reader, level, place)
        same = [index.base == 0 and is_unit(index, k) for k, index in enumerate(indices[:level])]
        inner = leaf.depth
        while inner > level and self.is_last(leaf, indices, inner - 1):
            inner -= 1
        last = inner == level
        if all(same) and (last or self._are_kept(leaf, indices, level, inner, path)):
            kept = self.keep(leaf, level, inner)
            self._carry_last(leaf, inner)
            if last:
                return Direct(leaf, level)
            return Stacked(kept, level, _row_major(indices[level:inner], leaf.extents[level:inner], depth))
        carried = (
            level
            and last
            and all(same[:-1])
            and indices[level - 1].base == -1
            and is_unit(indices[level - 1], level - 1)
        )
        if carried and not any(place.steps[level:]):
            self.keep(leaf, level, level)
            self._carry_last(leaf, level)
            outer = Affine(place.base, place.steps[: level - 1])
            self._carry(leaf, path[level - 1], first or (lambda nest: self.source(nest, outer)))
            return Carried(leaf, level)
        return self._read(reader, level, place)

    def _are_kept(self, leaf: Leaf, indices: Sequence[Affine], level: int, inner: int, path: Sequence[Nest]) -> bool:
        """Whether loops stack the values of a leaf, and these are among them."""
        return innermost_triangle(leaf.path[level:inner]) == 0 and all(
            0 <= least(index, path) and most(index, path) < nest.extent
            for index, nest in zip(indices[level:inner], leaf.path[level:inner])
        )

    def _carry(self, leaf: Leaf, nest: Nest, first: Callable[[Nest], Any]) -> None:
        """Let a loop hand on the values of a leaf from step to step."""
        if leaf not in nest.carries:
            nest.carries[leaf] = None  # before what it is first, which may be carried too
            begins = nest.begins.get(leaf)
            nest.carries[leaf] = first(nest) if begins is None or self.begin is None else self.begin(begins, nest)

    def _carry_last(self, leaf: Leaf, inner: int) -> None:
        """Let loops of no steps hand on what there was before them, if the last value of a leaf in them is used."""
        for nest in leaf.path[inner:]:
            if leaf in nest.begins:
                self._carry(leaf, nest, lambda nest: None)

    @staticmethod
    def keep(leaf: Leaf, level: int, inner: int) -> Kept:
        """Let loops keep the values of a leaf: those between two depths all, those within the last ones."""
        kept = Kept(leaf, inner)
        for nest in leaf.path[level:inner]:
            nest.stacks[kept] = None
        for nest in leaf.path[inner:]:
            nest.finals[leaf] = None
        return kept

    def _level(self, reader: Statement, place: Affine) -> int:
        """The least depth at which all instances of an operand are there before the statement begins."""
        path = reader.path
        for level in range(reader.depth):
            child = path[level]
            steps = [s - (path[k].step if k < level else 0) for k, s in enumerate(place.steps)]
            if most(Affine(place.base - child.start, tuple(steps)), path) < 0:
                return level
        return reader.depth

    def _read(self, reader: Statement, level: int, place: Affine | Listed) -> Read:
        touched: dict[Leaf, None] = {}  # in order, so that every process writes the same program
        if isinstance(place, Listed):
            for number in place.numbers:
                if number is not None:
                    touched[self.owner[number]] = None
                    self.read[number] = 1
        for positions in progression(place, reader.path) if isinstance(place, Affine) else ():
            stop = positions.stop if positions.stop >= 0 else None
            touched.update(dict.fromkeys(self.owner[positions.start : stop : positions.step]))
            self.read[positions.start : stop : positions.step] = b"\1" * len(positions)
        group: Group | None = None
        for leaf in touched:
            mine = leaf.group or Group({leaf: None})
            group = mine.root() if group is None else group.merge(mine)
            leaf.group = group
        assert group is not None
        read = Read(group, level, place)
        group.reads.append((reader, read))
        self.groups.append(group)
        return read

    def settle(self) -> None:
        """Decide for each group of memory where it is made, how it is laid out, and where statements add to it."""
        for group in {id(g.root()): g.root() for g in self.groups}.values():
            self._settle(group)

    def _settle(self, group: Group) -> None:
        members = list(group.leaves)
        shared = members[0].path
        for one in (*members[1:], *[reader for reader, _ in group.reads]):
            shared = shared[: common(shared, one.path)]
        depth = len(shared)
        while depth and not all(self._is_local(reader, read.place, depth) for reader, read in group.reads):
            depth -= 1
        group.depth = depth
        ranges, differences = [], [0]
        places: list[tuple[list[int], Any]] = [(leaf.extents, leaf.place()) for leaf in members]
        for extents, place in places:
            ranges.append(Affine(place.base, (0,) * depth + place.steps[depth:]).range(extents))
        base = places[0][1].base
        for extents, place in [*places, *[(reader.extents, read.place) for reader, read in group.reads]]:
            if isinstance(place, Listed):
                differences += [number - base for number in place.numbers if number is not None]
                continue
            differences += [s for s, n in zip(place.steps[depth:], extents[depth:]) if n > 1]
            differences.append(place.base - base)
        group.unit = gcd(*differences) or 1
        group.first = min([low for low, _ in ranges])
        group.size = (max([high for _, high in ranges]) - group.first) // group.unit + 1
        for leaf in members:
            leaf.group = group
            levels = [min(read.depth, common(leaf.path, reader.path)) for reader, read in group.reads]
            leaf.level = min(leaf.depth, max(*levels, innermost_triangle(leaf.path)))
            leaf.inner = self._inner(leaf)
            leaf.read = self._read_in(leaf, leaf.inner) == _instances(leaf.path[: leaf.inner])
            self.keep(leaf, leaf.level, leaf.inner)
            for nest in leaf.path[depth : leaf.level]:
                nest.writes[group] = None

    def _inner(self, leaf: Leaf) -> int:
        """The depth of the loops within which only last values are read from memory."""
        wanted, inner = self._read_in(leaf, leaf.depth), leaf.depth
        while inner > leaf.level and self._read_in(leaf, inner - 1) == wanted:
            inner -= 1
        return inner

    def _read_in(self, leaf: Leaf, inner: int) -> int:
        """How many values of a leaf are read from memory, of the last steps of the loops deeper than this."""
        found = progression(leaf.last(inner), leaf.path[:inner])
        return sum([self.read[at.start : at.stop : at.step].count(1) for at in found])

    @staticmethod
    def _is_local(reader: Statement, place: Affine | Listed, depth: int) -> bool:
        """Whether an operand comes from the same step of the loop at a depth."""
        if isinstance(place, Listed):
            return False
        nest = reader.path[depth - 1]
        steps = [s - (reader.path[k].step if k < depth else 0) for k, s in enumerate(place.steps)]
        return not any(steps[:depth]) and least(Affine(place.base - nest.start, tuple(steps)), reader.path) >= 0


def _instances(path: Sequence[Nest]) -> int:
    """How many steps loops have in all."""
    if not innermost_triangle(path):
        return prod([nest.extent for nest in path])
    return sum([1 for _ in domain(path)])


def is_unit(index: Affine, axis: int) -> bool:
    """Whether a number is one of the counters."""
    return all(step == (k == axis) for k, step in enumerate(index.steps))


def _row_major(indices: Sequence[Affine], extents: Sequence[int], depth: int) -> Affine:
    """The place in an array that is stored row after row."""
    base, steps = 0, [0] * depth
    for index, extent in zip(indices, extents):
        base = base * extent + index.base
        steps = [x * extent + s for x, s in zip(steps, index.steps)]
    return Affine(base, tuple(steps))
