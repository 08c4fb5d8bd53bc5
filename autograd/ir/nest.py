"""Rolled statements as nests of loops: where each statement stands, and where its operands come from.

A statement's position counts the statements of the trace before it. In a nest it is affine in the counters, and so is
the position of an operand. So a few instances tell where an operand comes from:

- from a statement of the same step: a value;
- from one step before, in the innermost loop that both are in: a carry;
- from a loop of the same step that has ended: its stacked results;
- from anywhere else: memory, an array to which statements add their values and which is read at affine places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import gcd, prod
from typing import Any, NamedTuple

from autograd.ir.roll import COUNT, SHIFT, Rolled, Shape, Vector, width_of

SMALLEST = 16  # statements in all steps of a loop; a smaller one is written out


@dataclass(eq=False, slots=True)
class Affine:
    """A number that is affine in the counters around it, the outermost first."""

    base: int
    steps: tuple[int, ...] = ()

    def range(self, extents: Sequence[int]) -> tuple[int, int]:
        """The least and the greatest number."""
        ends = [step * (extent - 1) for step, extent in zip(self.steps, extents)]
        return self.base + sum([min(end, 0) for end in ends]), self.base + sum([max(end, 0) for end in ends])


class First(NamedTuple):
    """An operand in the first step of a loop, where later steps take a value of the step before.

    `source` tells where it comes from, `number` its number there. `start` is the position of the statement, whose
    operand number `slot` it is, in the first step of all.
    """

    source: tuple[str, Any]
    number: Affine
    start: int
    slot: int


@dataclass(eq=False, slots=True)
class Statement:
    """What stands in a nest: a leaf, or a loop.

    Attributes
    ----------
    path : tuple of Nest
        The loops around it, the outermost first.
    start : int
        The position of its first instance.
    size : int
        How many statements of the trace it is, each time.
    """

    path: tuple[Nest, ...]
    start: int
    size: int = 1

    @property
    def depth(self) -> int:
        """How many loops are around it."""
        return len(self.path)

    @property
    def extents(self) -> list[int]:
        """Those of the loops around it."""
        return [nest.extent for nest in self.path]

    def place(self) -> Affine:
        """Its position."""
        return Affine(self.start, tuple([nest.step for nest in self.path]))


@dataclass(eq=False, slots=True)
class Leaf(Statement):
    """A statement that is no loop; `numbers` has its vector, each number affine."""

    kind: int = 0
    numbers: tuple[Affine, ...] = ()
    firsts: dict[int, First] = field(default_factory=dict)  # operands that are others in the first step of a loop
    sources: list[Any] = field(default_factory=list)  # of its operands
    group: Group | None = None  # the memory that its values are added to
    read: bool = False  # whether each of them is read there
    level: int = 0  # the depth at which they are added
    inner: int = 0  # only the last values of loops deeper than this are

    def last(self, inner: int) -> Affine:
        """Its position in the last steps of the loops deeper than this."""
        last = sum([nest.step * (nest.extent - 1) for nest in self.path[inner:]])
        return Affine(self.start + last, tuple([nest.step for nest in self.path[:inner]]))


@dataclass(eq=False, slots=True)
class Nest(Statement):
    """A loop: `step` statements of the trace are one step."""

    extent: int = 0
    step: int = 0
    body: list[Leaf | Nest] = field(default_factory=list)
    carries: dict[Leaf, Any] = field(default_factory=dict)  # value of a step that the next one uses → what it is first
    finals: dict[Leaf, None] = field(default_factory=dict)  # values whose last one is used after the loop
    stacks: dict[Kept, None] = field(default_factory=dict)  # what is kept from all steps
    fails: dict[Leaf, None] = field(default_factory=dict)  # comparisons that are guards
    writes: dict[Group, None] = field(default_factory=dict)  # memory that statements in it add to


class Kept(NamedTuple):
    """The values of a leaf in all steps of loops: in those at a depth and around it, the last ones of loops within."""

    leaf: Leaf
    depth: int


def tree(rolled: Rolled, widths: Sequence[int], smallest: int | None = None) -> list[Leaf | Nest]:
    """The nests of rolled statements. Loops with fewer than `smallest` statements are written out."""
    sizes: list[int] = []
    for shapes, _ in rolled.bodies:
        sizes.append(sum([_size(shape, sizes) for shape in shapes]))
    maker = _Tree(rolled, widths, sizes, SMALLEST if smallest is None else smallest)
    found: list[Leaf | Nest] = []
    start = 0
    for shape, vector in zip(rolled.shapes, rolled.vectors):
        maker.add(found, (), start, shape, vector, ())
        start += _size(shape, sizes)
    return found


def _size(shape: Shape, sizes: Sequence[int]) -> int:
    return 1 if shape < 0 else (shape & COUNT) * sizes[shape >> SHIFT]


@dataclass
class _Tree:
    rolled: Rolled
    widths: Sequence[int]
    sizes: Sequence[int]
    smallest: int

    def add(
        self,
        into: list[Leaf | Nest],
        path: tuple[Nest, ...],
        start: int,
        shape: Shape,
        base: Vector,
        steps: tuple[Vector, ...],
    ) -> None:
        """Append a statement."""
        if shape < 0:
            numbers = tuple([Affine(x, tuple([s[k] for s in steps])) for k, x in enumerate(base)])
            into.append(Leaf(path, start, 1, -1 - shape, numbers))
            return
        number, count = shape >> SHIFT, shape & COUNT
        size = self.sizes[number]
        step = self.rolled.bodies[number].step
        if size * count < self.smallest:
            for k in range(count):
                moved = tuple([x + k * s for x, s in zip(base, step)])
                self._body(into, path, start + k * size, number, moved, steps)
            return
        nest = Nest(path, start, size * count, count, size)
        self._body(nest.body, (*path, nest), start, number, base, (*steps, step))
        into.append(nest)

    def _body(
        self,
        into: list[Leaf | Nest],
        path: tuple[Nest, ...],
        start: int,
        number: int,
        base: Vector,
        steps: tuple[Vector, ...],
    ) -> None:
        at = 0
        for shape in self.rolled.bodies[number].shapes:
            end = at + width_of(self.rolled, shape, self.widths)
            self.add(into, path, start, shape, base[at:end], tuple([s[at:end] for s in steps]))
            start += _size(shape, self.sizes)
            at = end


def leaves(body: Iterable[Leaf | Nest]) -> Iterator[Leaf]:
    """All statements that are no loops, in order."""
    for one in body:
        if isinstance(one, Leaf):
            yield one
        else:
            yield from leaves(one.body)


def length(body: Iterable[Leaf | Nest]) -> int:
    """How many statements of the trace these are."""
    return sum([one.size for one in body])


def common(one: Sequence[Nest], other: Sequence[Nest]) -> int:
    """How many loops two statements share."""
    count = 0
    for a, b in zip(one, other):
        if a is not b:
            break
        count += 1
    return count


def progression(place: Affine, extents: Sequence[int]) -> Iterator[range]:
    """All numbers that an affine number is, as ranges along its longest axis."""
    if not extents:
        yield range(place.base, place.base + 1)
        return
    axis = max([k for k, step in enumerate(place.steps) if step] or [0], key=lambda k: extents[k])
    rest = [
        range(extent) if k != axis and step else range(1) for k, (extent, step) in enumerate(zip(extents, place.steps))
    ]
    step, extent = place.steps[axis], extents[axis]
    for at in product(*rest):
        first = place.base + sum([i * s for i, s in zip(at, place.steps)])
        yield range(first, first + step * extent, step) if step else range(first, first + 1)


# ---- where operands come from --------------------------------------------------------------------------------------


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
    place: Affine


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


class Places:
    """Finds where the operands of statements come from."""

    def __init__(self, body: Sequence[Leaf | Nest]) -> None:
        self.body = list(body)
        self.starts = [one.start for one in body]
        self.owner: list[Leaf] = []  # of each position
        self.groups: list[Group] = []
        self.read = bytearray()  # which positions are read from memory
        self._number(self.body)
        self.read = bytearray(len(self.owner))

    def _number(self, body: Sequence[Leaf | Nest]) -> None:
        for one in body:
            if isinstance(one, Leaf):
                self.owner.append(one)
                continue
            first = len(self.owner)
            self._number(one.body)
            step = self.owner[first:]
            self.owner += step * (one.extent - 1)

    def locate(self, position: int) -> tuple[Leaf, list[int]]:
        """The statement at a position of the trace, and the counters there."""
        leaf = self.owner[position]
        counters: list[int] = []
        for nest in leaf.path:
            counters.append(
                (position - nest.start - sum([i * n.step for i, n in zip(counters, leaf.path)])) // nest.step
            )
        return leaf, counters

    def source(self, reader: Statement, place: Affine, first: Callable[[Nest], Any] | None = None) -> Any:
        """Where an operand of a statement comes from; `first` tells where it does in the first step of a loop."""
        path, depth, extents = reader.path, reader.depth, reader.extents
        level = self._level(reader, place)
        at = place.base + sum(place.steps)  # in the second steps: the first may be special
        leaf, counters = self.locate(at)
        rows: list[list[int]] = []
        for step in place.steps:
            other, moved = self.locate(at + step)
            if other is not leaf:
                return self._read(reader, level, place)
            rows.append([y - x for x, y in zip(counters, moved)])
        indices = [
            Affine(counters[k] - sum([row[k] for row in rows]), tuple([row[k] for row in rows]))
            for k in range(leaf.depth)
        ]
        inside = all(0 <= low and high < n for n, (low, high) in zip(leaf.extents, [i.range(extents) for i in indices]))
        if common(leaf.path, path) < level:
            return self._read(reader, level, place)
        same = [index.base == 0 and _is_unit(index, k) for k, index in enumerate(indices[:level])]
        inner = leaf.depth
        while (
            inner > level
            and not any(indices[inner - 1].steps)
            and indices[inner - 1].base == leaf.extents[inner - 1] - 1
        ):
            inner -= 1
        last = inner == level
        if all(same) and inside:
            kept = self.keep(leaf, level, inner)
            if last:
                return Direct(leaf, level)
            return Stacked(kept, level, _row_major(indices[level:inner], leaf.extents[level:inner], depth))
        carried = (
            level
            and last
            and all(same[:-1])
            and indices[level - 1].base == -1
            and _is_unit(indices[level - 1], level - 1)
        )
        if carried and not any(place.steps[level:]):
            nest = path[level - 1]
            if leaf not in nest.carries:
                self.keep(leaf, level, level)
                nest.carries[leaf] = None  # before what it is first, which may be carried too
                outer = Affine(place.base, place.steps[: level - 1])
                nest.carries[leaf] = self.source(nest, outer) if first is None else first(nest)
            return Carried(leaf, level)
        return self._read(reader, level, place)

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
            if Affine(place.base - child.start, tuple(steps)).range(reader.extents)[1] < 0:
                return level
        return reader.depth

    def _read(self, reader: Statement, level: int, place: Affine) -> Read:
        touched: set[Leaf] = set()
        for positions in progression(place, reader.extents):
            stop = positions.stop if positions.stop >= 0 else None
            touched.update(self.owner[positions.start : stop : positions.step])
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
        places = [(leaf.extents, leaf.place()) for leaf in members]
        for extents, place in places:
            ranges.append(Affine(place.base, (0,) * depth + place.steps[depth:]).range(extents))
        for extents, place in [*places, *[(reader.extents, read.place) for reader, read in group.reads]]:
            differences += [s for s, n in zip(place.steps[depth:], extents[depth:]) if n > 1]
            differences.append(place.base - places[0][1].base)
        group.unit = gcd(*differences) or 1
        group.first = min([low for low, _ in ranges])
        group.size = (max([high for _, high in ranges]) - group.first) // group.unit + 1
        for leaf in members:
            leaf.group = group
            leaf.level = min(
                leaf.depth, max([min(read.depth, common(leaf.path, reader.path)) for reader, read in group.reads])
            )
            leaf.inner = self._inner(leaf)
            leaf.read = self._read_in(leaf, leaf.inner) == prod(leaf.extents[: leaf.inner])
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
        place, extents = leaf.last(inner), leaf.extents[:inner]
        return sum([self.read[at.start : at.stop : at.step].count(1) for at in progression(place, extents)])

    @staticmethod
    def _is_local(reader: Statement, place: Affine, depth: int) -> bool:
        """Whether an operand comes from the same step of the loop at a depth."""
        nest = reader.path[depth - 1]
        steps = [s - (reader.path[k].step if k < depth else 0) for k, s in enumerate(place.steps)]
        return not any(steps[:depth]) and Affine(place.base - nest.start, tuple(steps)).range(reader.extents)[0] >= 0


def _is_unit(index: Affine, axis: int) -> bool:
    return all(step == (k == axis) for k, step in enumerate(index.steps))


def _row_major(indices: Sequence[Affine], extents: Sequence[int], depth: int) -> Affine:
    """The place in an array that is stored row after row."""
    base, steps = 0, [0] * depth
    for index, extent in zip(indices, extents):
        base = base * extent + index.base
        steps = [x * extent + s for x, s in zip(steps, index.steps)]
    return Affine(base, tuple(steps))
