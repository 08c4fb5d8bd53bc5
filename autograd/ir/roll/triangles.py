"""Triangles: nests in which the extents of inner loops advance from step to step of an outer one.

`for i in range(n): for j in range(i): …` is a loop of loops of 0, 1, 2, … steps. The roller finds the innermost loops.
Here their numbers of steps are numbers that may advance, and statements are told apart by their operation alone. So
loops of loops are found, each as a prediction of what the trace has next to it: a step that was written out because it
is short is taken in if it is what the loop's next step, or the one before its first, looks like.

What the operands are is for `fitted` to find out; a loop in which they do not follow is given up there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from autograd.ir.roll.ranges import RANGE, WINDOW
from autograd.ir.roll.recognition import COUNT, LONGEST, SHIFT, Shape, Vector, is_loop, leaf
from autograd.ir.roll.statements import POSITION, Statements

LEAST_IN_LOOPS = 8  # statements of the trace for each one that loops must save


class Block(NamedTuple):
    """The body of a loop: the shapes of its statements, and how the counts of the loops among them advance."""

    shapes: tuple[Shape, ...]
    step: Vector


class Part(NamedTuple):
    """A piece of the trace: a statement, or a loop with its count and those of the loops in its first step.

    `first` steps at its beginning and `last` steps at its end are apart: their operands come from elsewhere.
    """

    shape: Shape
    counts: Vector
    start: int
    size: int
    first: int = 0
    last: int = 0


class Blocks:
    """The bodies that are known, and what a loop of each looks like when it is written out."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.widths: list[int] = []  # how many counts a loop has
        self.outer: list[bool] = []  # whether there are loops in it
        self.known: dict[Block, int] = {}
        self.sizes: dict[tuple[Shape, Vector], int] = {}

    def number(self, block: Block) -> int:
        """The number of a body."""
        found = self.known.setdefault(block, len(self.blocks))
        if found == len(self.blocks):
            self.blocks.append(block)
            self.widths.append(1 + len(block.step))
            self.outer.append(any(map(is_loop, block.shapes)))
        return found

    def children(self, shape: Shape, counts: Vector) -> Iterator[tuple[Shape, Vector]]:
        """The statements of a step, given the counts in it."""
        at = 0
        for child in self.blocks[shape].shapes:
            end = at + (self.widths[child] if is_loop(child) else 0)
            yield child, counts[at:end]
            at = end

    def differs(self, shape: Shape) -> bool:
        """Whether the counts in a loop differ from step to step."""
        if not is_loop(shape):
            return False
        block = self.blocks[shape]
        return any(block.step) or any(map(self.differs, block.shapes))

    def step(self, shape: Shape, counts: Vector, number: int) -> Vector:
        """The counts in a step of a loop; `counts` are those in its first step."""
        return tuple([x + number * s for x, s in zip(counts, self.blocks[shape].step)])

    def size(self, shape: Shape, counts: Vector) -> int:
        """How many statements of the trace there are; -1 if a loop would have a negative number of steps."""
        if not is_loop(shape) or counts[0] <= 0:
            return 1 if not is_loop(shape) else counts[0] and -1
        if (shape, counts) not in self.sizes:
            count, first = counts[0], counts[1:]
            if any(self.blocks[shape].step):
                sizes = [self.step_size(shape, self.step(shape, first, k)) for k in range(count)]
            else:
                sizes = [self.step_size(shape, first)] * count
            self.sizes[shape, counts] = -1 if -1 in sizes else sum(sizes)
        return self.sizes[shape, counts]

    def step_size(self, shape: Shape, counts: Vector) -> int:
        """How many statements of the trace a step has; -1 if a loop in it would have a negative number of steps."""
        sizes = [self.size(*child) for child in self.children(shape, counts)]
        return -1 if -1 in sizes else sum(sizes)

    def step_word(self, shape: Shape, counts: Vector) -> list[Shape]:
        """The statements of a step, written out."""
        word: list[Shape] = []
        for child, inner in self.children(shape, counts):
            if not is_loop(child):
                word.append(child)
            elif any(self.blocks[child].step):
                for k in range(inner[0]):
                    word += self.step_word(child, self.step(child, inner[1:], k))
            elif inner[0]:
                word += self.step_word(child, inner[1:]) * inner[0]
        return word


class Parts(NamedTuple):
    """What was found: pieces that make up the trace, in order, and those that the roller had found."""

    found: list[Part]
    before: list[Part]
    blocks: Blocks
    word: list[Shape]  # of each statement of the trace
    kinds: list[int]
    vectors: list[Vector]


def triangles(trace: Statements) -> Parts | None:
    """The triangles in a trace whose operands are numbered by their ordinals; None if there are none."""
    many = any(where in (RANGE, WINDOW) for kind in trace.kinds for where, _ in kind.operands)
    if many or LEAST_IN_LOOPS * len(trace.rolled.shapes) > (LEAST_IN_LOOPS - 1) * len(trace.code):
        return None
    finder = _Finder(trace)
    for part in finder.parts.before:
        finder.push(part)
    found = finder.parts.found
    return finder.parts if any(finder.blocks.differs(part.shape) for part in found) else None


class _Finder:
    def __init__(self, trace: Statements) -> None:
        classes: dict[tuple[object, ...], int] = {}
        self.trace = trace
        self.classes = [
            leaf(classes.setdefault((k.op, k.data, k.line, len(k.operands)), len(classes))) for k in trace.kinds
        ]
        kinds, vectors = [kind for kind, _ in trace.read], [vector for _, vector in trace.read]
        self.word = [self.classes[kind] for kind in kinds]
        self.blocks = Blocks()
        self.parts = Parts([], [], self.blocks, self.word, kinds, vectors)
        self.shapes: list[Shape] = []  # of the pieces on the stack
        self.recent: list[int] = []  # for each of them, the last loop up to there
        self.instances: list[list[int]] = [[] for _ in trace.kinds]
        for at, kind in enumerate(kinds):
            self.instances[kind].append(at)
        start = 0
        for shape in trace.rolled.shapes:
            start = self._add(start, *self._converted(shape))

    def _converted(self, shape: Shape) -> tuple[Shape, Vector]:
        """A statement of the roller."""
        if not is_loop(shape):
            return self.classes[-1 - shape], ()
        inside = [self._converted(child) for child in self.trace.rolled.bodies[shape >> SHIFT].shapes]
        counts = tuple([count for _, counts in inside for count in counts])
        block = Block(tuple([child for child, _ in inside]), (0,) * len(counts))
        return self.blocks.number(block), (shape & COUNT, *counts)

    def _add(self, start: int, shape: Shape, counts: Vector) -> int:
        """Note a statement of the roller; a loop begins with the step in front of it that is its first one."""
        size, before = self.blocks.size(shape, counts), self.parts.before
        if is_loop(shape) and not self.blocks.outer[shape]:
            length = len(self.blocks.blocks[shape].shapes)
            single = before[-length:] if len(before) >= length else []
            if single and all(not is_loop(part.shape) for part in single) and self._begins(start, length):
                del before[-length:]
                counts = (counts[0] + 1,)
                before.append(Part(shape, counts, start - length, size + length))
                return start + size
        before.append(Part(shape, counts, start, size))
        return start + size

    def _begins(self, start: int, length: int) -> bool:
        """Whether the statements in front of a loop are its first step: what differs is what a step hands on."""
        parts = self.parts
        for at in range(start, start + length):
            if self.word[at - length] != self.word[at]:
                return False
            operands, first = (self.trace.kinds[parts.kinds[k]].operands for k in (at, at - length))
            numbers = zip(parts.vectors[at - length], parts.vectors[at], parts.vectors[at + length])
            for (x, y, z), source, other in zip(numbers, operands, first):
                if source == other and z - y == y - x:
                    continue
                if source[0] != POSITION or not start <= self.instances[z >> SHIFT][z & COUNT] < start + length:
                    return False
        return True

    def push(self, part: Part) -> None:
        """Put a piece on the stack, and make loops of the last ones as long as that is possible."""
        self._put(part)
        while self._extend() or self._create():
            pass

    def _put(self, part: Part) -> None:
        at = len(self.shapes)
        self.recent.append(at if is_loop(part.shape) else self.recent[-1] if at else -1)
        self.shapes.append(part.shape)
        self.parts.found.append(part)

    def _take(self, first: int) -> None:
        """Take pieces from the stack."""
        del self.parts.found[first:], self.shapes[first:], self.recent[first:]

    def _matches(self, start: int, end: int, shape: Shape, counts: Vector) -> bool:
        """Whether a part of the trace is a step."""
        return self.word[start:end] == self.blocks.step_word(shape, counts)

    def _extend(self) -> bool:
        """Whether the last pieces were the next step of the loop before them."""
        found, blocks, top = self.parts.found, self.blocks, len(self.shapes) - 1
        end = found[top].start + found[top].size
        t = self.recent[top - 1] if top else -1
        while t >= max(top - LONGEST, 0):
            shape, counts, start, size = found[t][:4]
            following = blocks.step(shape, counts[1:], counts[0])
            length = blocks.step_size(shape, following) if blocks.outer[shape] else 0
            if length > 0 and start + size + length == end and self._matches(start + size, end, shape, following):
                self._take(t)
                self._put(Part(shape, (counts[0] + 1, *counts[1:]), start, end - start))
                return True
            t = self.recent[t - 1] if t else -1
        return False

    def _create(self) -> bool:
        """Whether the last three groups of pieces were a loop."""
        found, shapes, top = self.parts.found, self.shapes, len(self.shapes) - 1
        for k in range(top + 1 - self.recent[top], min(LONGEST, (top + 1) // 3) + 1):
            if shapes[top - k] != shapes[top] or shapes[top - 2 * k] != shapes[top]:
                continue
            first = top + 1 - 3 * k
            if shapes[first : first + k] != shapes[top + 1 - k :] or shapes[first + k : -k] != shapes[top + 1 - k :]:
                continue
            groups = [found[first + k * n : first + k * (n + 1)] for n in range(3)]
            x, y, z = (tuple([count for part in group for count in part.counts]) for group in groups)
            step = tuple([b - a for a, b in zip(x, y)])
            if step != tuple([b - a for a, b in zip(y, z)]):
                continue
            shape, start = self.blocks.number(Block(tuple(shapes[first : first + k]), step)), found[first].start
            size = found[top].start + found[top].size - start
            self._take(first)
            self._put(self._with_earlier(Part(shape, (3, *x), start, size)))
            return True
        return False

    def _with_earlier(self, part: Part) -> Part:
        """A loop with the steps before its first one that were written out."""
        found, blocks = self.parts.found, self.blocks
        shape, counts, start, size = part[:4]
        while True:
            before = blocks.step(shape, counts[1:], -1)
            length = blocks.step_size(shape, before)
            at = len(found) - 1
            while at >= 0 and found[at].start > start - length:
                at -= 1
            there = length > 0 and at >= 0 and found[at].start == start - length
            if not there or not self._matches(start - length, start, shape, before):
                return Part(shape, counts, start, size)
            self._take(at)
            counts, start, size = (counts[0] + 1, *before), start - length, size + length
