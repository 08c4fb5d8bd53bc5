"""Rolled statements as nests of loops: where each statement stands.

A statement's position counts the statements of the trace before it. In a nest it is affine in the counters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from autograd.ir.roll.recognition import COUNT, SHIFT, Rolled, Shape, Vector, width_of

if TYPE_CHECKING:
    from autograd.ir.roll.places import Group

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

    def at(self, counters: Sequence[int]) -> int:
        """The number in a step."""
        return self.base + sum([step * i for step, i in zip(self.steps, counters)])

    def of(self, indices: Sequence[Affine]) -> Affine:
        """The number where the counters are affine in others."""
        base = self.base + sum([step * index.base for step, index in zip(self.steps, indices)])
        along = zip(*[index.steps for index in indices])
        return Affine(base, tuple([sum([s * x for s, x in zip(self.steps, steps)]) for steps in along]))

    def minus(self, other: Affine) -> Affine:
        """The difference from another one."""
        return Affine(self.base - other.base, tuple([x - y for x, y in zip(self.steps, other.steps)]))


class Listed(NamedTuple):
    """A number that follows no rule: one for each step, as if all loops had as many steps as in their longest run."""

    numbers: tuple[int | None, ...]


class First(NamedTuple):
    """An operand in the first step of a loop, where later steps take a value of the step before.

    `source` tells where it comes from, `number` its number there. `start` is the position of the statement, whose
    operand number `slot` it is, in the first step of all. Or there are `values`: what it is in the code, each time.
    """

    source: tuple[str, Any]
    number: Any  # affine or listed
    start: int
    slot: int
    values: tuple[int | None, ...] = ()


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
        """The extents of the loops around it."""
        return [nest.extent for nest in self.path]

    def place(self) -> Affine:
        """Its position."""
        return Affine(self.start, tuple([nest.step for nest in self.path]))


@dataclass(eq=False, slots=True)
class Leaf(Statement):
    """A statement that is no loop; `numbers` has its vector, each number affine or listed."""

    kind: int = 0
    numbers: tuple[Any, ...] = ()
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
    """A loop: `step` statements of the trace are one step.

    In a triangle the number of steps, `count`, is affine in the counters around it; `extent` is the largest.
    """

    extent: int = 0
    step: int = 0
    count: Affine | None = None
    body: list[Leaf | Nest] = field(default_factory=list)
    carries: dict[Leaf, Any] = field(default_factory=dict)  # value of a step that the next one uses → what it is first
    finals: dict[Leaf, None] = field(default_factory=dict)  # values whose last one is used after the loop
    stacks: dict[Kept, None] = field(default_factory=dict)  # what is kept from all steps
    fails: dict[Leaf, None] = field(default_factory=dict)  # comparisons that are guards
    writes: dict[Group, None] = field(default_factory=dict)  # memory that statements in it add to
    begins: dict[Leaf, First] = field(default_factory=dict)  # what is carried → what it is first, if that is known

    def steps_at(self, counters: Sequence[int]) -> int:
        """How many steps it has, given the counters around it."""
        return self.extent if self.count is None else self.count.at(counters)


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


def progression(place: Affine, path: Sequence[Nest]) -> Iterator[range]:
    """All numbers that an affine number is, as ranges along its longest axis."""
    depth = innermost_triangle(path)
    if depth:
        for at in domain(path[: depth - 1]):
            first, count = Affine(place.at(at), place.steps[depth - 1 :]), path[depth - 1].steps_at(at)
            if count:
                yield from _progression(first, [count, *[nest.extent for nest in path[depth:]]])
    else:
        yield from _progression(place, [nest.extent for nest in path])


def _progression(place: Affine, extents: Sequence[int]) -> Iterator[range]:
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


# ---- triangles -----------------------------------------------------------------------------------------------------


def innermost_triangle(path: Sequence[Nest]) -> int:
    """The depth of the steps of the innermost loop whose number of steps differs; 0 if there is none."""
    return max([k for k, nest in enumerate(path, 1) if nest.count is not None], default=0)


def domain(path: Sequence[Nest], outer: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """The counters of all steps, in order."""
    if len(outer) == len(path):
        yield outer
    elif innermost_triangle(path) <= len(outer):
        for rest in product(*[range(nest.extent) for nest in path[len(outer) :]]):
            yield (*outer, *rest)
    else:
        for k in range(path[len(outer)].steps_at(outer)):
            yield from domain(path, (*outer, k))


def middle(path: Sequence[Nest]) -> tuple[int, ...]:
    """The counters of a step in the middle, where operands are what they are in most steps."""
    chosen: list[int] = []
    for nest in path:
        count = nest.steps_at(chosen)
        chosen.append(max(min(2, count - 1), count // 2))
    return tuple(chosen)


def least(number: Affine, path: Sequence[Nest]) -> int:
    """The least that a number is in the steps of loops; less if some of these have no steps."""
    base, steps = number.base, list(number.steps)
    for axis in range(len(path) - 1, -1, -1):
        step, count = steps[axis], path[axis].count
        if step < 0 and count is None:
            base += step * (path[axis].extent - 1)
        elif step < 0 and count is not None:
            base += step * (count.base - 1)
            for k, more in enumerate(count.steps):
                steps[k] += step * more
    return base


def most(number: Affine, path: Sequence[Nest]) -> int:
    """The greatest that a number is in the steps of loops; more if some of these have no steps."""
    return -least(Affine(-number.base, tuple([-step for step in number.steps])), path)
