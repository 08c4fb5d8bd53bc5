"""Where the statements of a trace with triangles stand: nests, and a place for each statement.

In a triangle the position of a statement is not affine in the counters. Its place is: as if all loops had as many steps
as in their longest run. A place that no statement has stays empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from autograd.ir.roll import nest as nests
from autograd.ir.roll.nest import Affine, Leaf, Nest, leaves
from autograd.ir.roll.recognition import Shape, Vector, is_loop
from autograd.ir.roll.triangles import Part, Parts

Counters = tuple[int, ...]


class Around(NamedTuple):
    """The loops around a statement, also those whose first and last steps are written out.

    Attributes
    ----------
    path : tuple of Nest
        Those that are nests.
    axes : tuple of int or None
        For each loop, which of the nests it is; None for a step that is written out.
    bases, extents : tuple of int
        For each loop, the first step that is meant, and how many steps the places are laid out for.
    steps : tuple of Vector
        For each loop, how the counts of the statement advance from step to step.
    """

    path: tuple[Nest, ...] = ()
    axes: tuple[int | None, ...] = ()
    bases: tuple[int, ...] = ()
    extents: tuple[int, ...] = ()
    steps: tuple[Vector, ...] = ()

    def of_counts(self, start: int, end: int | None = None) -> Around:
        """The loops around a statement that has only the counts from `start` to `end`."""
        return self._replace(steps=tuple([step[start:end] for step in self.steps]))

    def within(self, nest: Nest, longest: int, step: Vector) -> Around:
        """The loops around the statements of a nest."""
        return Around(
            (*self.path, nest),
            (*self.axes, len(self.path)),
            (*self.bases, 0),
            (*self.extents, longest),
            (*self.steps, step),
        )

    def in_nests(self, count: Affine) -> Affine:
        """A number in terms of the nests."""
        steps = [0] * len(self.path)
        for axis, step in zip(self.axes, count.steps):
            if axis is not None:
                steps[axis] = step
        return Affine(count.at(self.bases), tuple(steps))


class Layout:
    """The nests of some pieces of a trace, and the place of each statement.

    Attributes
    ----------
    body : list of Leaf or Nest
        The nests; the position of a leaf is its place.
    owners : dict of Leaf to int
        Where the piece begins that a leaf is in.
    places : list of int
        The place of each statement of the trace.
    instances : dict of Leaf to list of int
        Which statements of the trace a leaf is.
    size : int
        How many places there are.
    """

    def __init__(self, parts: Parts) -> None:
        self.blocks = parts.blocks
        self.body: list[Leaf | Nest] = []
        self.owners: dict[Leaf, int] = {}
        self.steps: dict[int, int] = {}  # of a loop that has been appended, how many places there are for a step
        self.size = 0
        for part in parts.found:
            mark = len(self.body)
            self.size += self._piece(self.size, part)
            for leaf in leaves(self.body[mark:]):
                self.owners[leaf] = part.start
        self.places = [0] * len(parts.kinds)
        self.instances: dict[Leaf, list[int]] = {leaf: [] for leaf in leaves(self.body)}
        self._walk(self.body, 0, 0)

    def by_place(self, code: Sequence[int]) -> list[int]:
        """Something that each statement has, by place: an empty place has what the last one before it has."""
        found = [-1] * self.size
        for place, value in zip(self.places, code):
            found[place] = value
        for place in range(1, self.size):
            if found[place] < 0:
                found[place] = found[place - 1]
        return found

    def _piece(self, start: int, part: Part) -> int:
        """Append a piece; how many places it takes."""
        shape, counts, _, _, first, last = part
        if not first and not last:
            return self._add(self.body, start, shape, counts, Around())
        count, rest, step = counts[0], counts[1:], self.blocks.blocks[shape].step

        def write_out(into: list[Leaf | Nest], place: int, k: int) -> int:
            return self._step(into, place, shape, rest, Around((), (None,), (k,), (count,), (step,)))

        size = write_out([], start, 0)
        for k in range(first):
            write_out(self.body, start + k * size, k)
        nest = Nest((), start + first * size, size * (count - first - last), count - first - last, size)
        self._step(nest.body, nest.start, shape, rest, Around((nest,), (0,), (first,), (count,), (step,)))
        self.body.append(nest)
        for k in range(count - last, count):
            write_out(self.body, start + k * size, k)
        return count * size

    def _add(self, into: list[Leaf | Nest], start: int, shape: Shape, counts: Vector, around: Around) -> int:
        """Append a statement; how many places it takes."""
        path = around.path
        if not is_loop(shape):
            into.append(Leaf(path, start))
            return 1
        count = Affine(counts[0], tuple([step[0] for step in around.steps]))
        longest = count.range(around.extents)[1]
        if longest <= 0:
            return 0
        rest, around = counts[1:], around.of_counts(1)
        fixed = not any(count.steps) and not any(map(any, around.steps)) and not self.blocks.differs(shape)
        if fixed and self.blocks.size(shape, counts) < nests.SMALLEST:
            size = 0
            for _ in range(counts[0]):
                size += self._step(into, start + size, shape, rest, around)
            return size
        count = around.in_nests(count)
        nest = Nest(path, start, count=count if any(count.steps) else None)
        nest.extent = count.range([outer.extent for outer in path])[1]
        body = nest.body if nest.extent > 0 else []
        inner = around.within(nest, longest, self.blocks.blocks[shape].step)
        nest.step = self._step(body, start, shape, rest, inner)
        nest.size = nest.step * longest
        self.steps[shape] = nest.step
        if nest.extent > 0:
            into.append(nest)
        return nest.size

    def _step(self, into: list[Leaf | Nest], start: int, shape: Shape, counts: Vector, around: Around) -> int:
        """Append the statements of a step of a loop; `counts` are those in its first step."""
        size, at, unit = 0, 0, 1
        for child, inner in self.blocks.children(shape, counts):
            end = at + len(inner)
            size += self._add(into, start + size, child, inner, around.of_counts(at, end))
            unit = max(unit, self.steps.pop(child, 1))
            at = end
        return -(-size // unit) * unit  # then the places of a statement within are evenly apart, and memory is dense

    def _walk(self, body: Sequence[Leaf | Nest], moved: int, at: int, counters: Counters = ()) -> int:
        """Note where each statement of the trace is, from number `at` on."""
        for one in body:
            if isinstance(one, Leaf):
                self.places[at] = one.start + moved
                self.instances[one].append(at)
                at += 1
                continue
            for k in range(one.steps_at(counters)):
                at = self._walk(one.body, moved + k * one.step, at, (*counters, k))
        return at
