"""A loop while its body is written: how values of the loops around it get there."""

from __future__ import annotations

from collections.abc import Iterable

from autograd.ir.block import TRUTH, Extent, Final, Window, whole
from autograd.ir.builder import Builder, LoopBuilder
from autograd.ir.rewriters import number_values
from autograd.ir.roll.nest import Affine, Kept, Leaf, Nest, innermost_triangle
from autograd.ir.roll.places import Group
from autograd.ir.roll.stages import renewed


class Level:
    """A loop while its body is written, or the program around all loops."""

    def __init__(self, builder: Builder, parent: Level | None = None, nest: Nest | None = None) -> None:
        self.builder, self.parent, self.nest = builder, parent, nest
        self.around: list[Level] = [*(parent.around if parent else ()), self]
        self.made: LoopBuilder | None = None
        self.values: dict[Leaf, int] = {}  # in this step, of leaves here, and the last ones of loops within
        self.carried: dict[Leaf, int] = {}  # values of the step before
        self.stacks: dict[Kept, int] = {}
        self.fails: dict[Leaf, int] = {}  # in how many steps guards do not hold
        self.memory: dict[Group, int] = {}
        self.parts: dict[int, int] = {}  # array around → its element in this step

    @property
    def depth(self) -> int:
        """How many loops are around its statements."""
        return len(self.around) - 1

    def lift(self, value: int, depth: int) -> int:
        """A value of a level around this one, at this level."""
        source = self.around[depth].builder
        if depth == 0:
            value = renewed(source, value)
        truth = depth < self.depth and source.type_of(value) == TRUTH
        if truth:
            value = source.emit("select", (value, source.constant(1.0), source.constant(0.0)))
        for level in self.around[depth + 1 :]:
            assert level.made is not None
            value = level.made.shared(value)
        if truth:
            value = self.builder.emit("!=", (value, self.builder.constant(0.0)))
        return value

    def lift_from(self, array: int, depth: int) -> int:
        """An array of a level around this one, at this level."""
        for level in self.around[depth + 1 :]:
            assert level.made is not None
            array = level.made.shared(array)
        return array

    def affine(self, number: Affine) -> int:
        """A number that is affine in the counters around."""
        builder = self.builder
        value = builder.constant(float(number.base))
        for depth, step in enumerate(number.steps, 1):
            if not step:
                continue
            term = self.counter(depth)
            if abs(step) != 1:
                term = builder.emit("mul", (term, builder.constant(float(abs(step)))))
            if step < 0:
                value = builder.emit("sub", (value, term))
            else:
                value = term if builder.number(value) == 0.0 else builder.emit("add", (value, term))
        return value

    def counter(self, depth: int) -> int:
        """The counter of a loop around, which is at this depth."""
        made = self.around[depth].made
        assert made is not None
        return self.lift(made.counter, depth)

    def indices(self, place: Affine, depths: Iterable[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The counters that a place depends on, and their steps."""
        used = [depth for depth in depths if place.steps[depth - 1]]
        return tuple([self.counter(depth) for depth in used]), tuple([place.steps[depth - 1] for depth in used])

    def element(self, array: int) -> int:
        """The element in this step of an array around."""
        assert self.made is not None
        if array not in self.parts:
            self.parts[array] = self.made.element(array)
        return self.parts[array]

    def kept(self, kept: Kept) -> int:
        """What a loop keeps of this step: the value of a leaf, or what a loop within kept of it."""
        return self.stacks[kept] if kept.depth > self.depth else as_number(self.builder, self.values[kept.leaf])

    def buffer(self, group: Group) -> int:
        """An array of memory as it is now."""
        if group not in self.memory:
            if group.depth == self.depth:
                self.memory[group] = memory(self.builder, group.size)
            else:
                assert self.parent is not None
                assert self.made is not None
                return self.made.shared(self.parent.buffer(group))
        return self.memory[group]

    def fetch(
        self,
        depth: int,
        array: int,
        place: Affine,
        kind: type[Window] = Window,
        shape: tuple[Extent, ...] = (),
        strides: tuple[int, ...] = (),
    ) -> int:
        """A number or a window of an array at a depth around; the loops from there go through a part of the array."""
        if depth == 0:
            array = renewed(self.around[0].builder, array)
        triangle = innermost_triangle([level.nest for level in self.around[1:] if level.nest is not None])
        if triangle > depth:  # its steps read for themselves: there may be none
            array, depth = self.around[triangle].lift_from(array, depth), triangle
        source = self.around[depth]
        inner = [k for k in range(depth + 1, self.depth + 1) if place.steps[k - 1]]
        indices, steps = source.indices(place, range(1, depth + 1))
        if not inner:
            window = (kind if shape else Window)(shape, place.base, strides, steps)
            return self.lift(source.builder.emit("read", (array, *indices), window), depth)
        extents = [self.around[k].nest.extent for k in inner]  # type: ignore[union-attr]
        window = kind((*extents, *shape), place.base, (*[place.steps[k - 1] for k in inner], *strides), steps)
        if kind is Final or window != whole(source.builder.type_of(array)):  # type: ignore[arg-type]
            array = source.builder.emit("read", (array, *indices), window)
        for k in range(depth + 1, self.depth + 1):
            level = self.around[k]
            assert level.made is not None
            array = level.element(array) if k in inner else level.made.shared(array)
        return array


def as_number(builder: Builder, value: int) -> int:
    """A truth as 1 or 0: only numbers leave a step."""
    if builder.type_of(value) != TRUTH:
        return value
    return builder.emit("select", (value, builder.constant(1.0), builder.constant(0.0)))


def memory(builder: Builder, size: int) -> int:
    """A new array of -0.0: whatever is added to it first keeps its sign, even a zero."""
    inner = Builder((number_values,), builder.kept)
    made = LoopBuilder(builder, inner, size)
    loop = made.finish([], [(inner.constant(-0.0), "each")])
    return builder.emit("item", (loop,), 0)
