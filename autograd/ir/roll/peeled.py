"""First steps of loops that were written out.

The first step of a loop often takes from elsewhere what later steps take from the step before: `0 + x`, an initial
state. So it has another shape, and the roller leaves it in front of the loop. Here it becomes the loop's first step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autograd.ir.roll.nest import Affine, First, Leaf, Nest
from autograd.ir.roll.statements import POSITION, Kind


def take_in_first_steps(body: list[Leaf | Nest], kinds: Sequence[Kind]) -> None:
    """Let loops begin with the statements in front of them that are their first steps."""
    for one in body:
        if isinstance(one, Nest):
            take_in_first_steps(one.body, kinds)
    at = 0
    while at < len(body):
        nest = body[at]
        if isinstance(nest, Nest) and len(nest.body) <= at:
            before = body[at - len(nest.body) : at]
            if _Step(nest, before, kinds).taken_in():
                del body[at - len(before) : at]
                at -= len(before)
                continue
        at += 1


class _Step:
    """The statements in front of a loop, which may be its first step."""

    def __init__(self, nest: Nest, before: Sequence[Leaf | Nest], kinds: Sequence[Kind]) -> None:
        self.nest, self.before, self.kinds, self.axis = nest, before, kinds, nest.depth
        self.firsts: dict[tuple[Leaf, int], First] = {}  # leaf of the loop and slot → its operand in the first step
        self.origins: dict[Leaf, First] = {}  # what is carried → what it is first

    def taken_in(self) -> bool:
        """Whether they are; then the loop begins with them."""
        pairs = list(zip(self.before, self.nest.body))
        if not all(self._matches(a, b) for a, b in pairs) or not self._agrees():
            return False
        nest, axis = self.nest, self.axis
        for leaf, slot in self.firsts:
            leaf.firsts[slot] = self.firsts[leaf, slot]
        nest.start -= nest.step
        nest.size += nest.step
        nest.extent += 1
        for one in _all(nest.body):
            one.start -= nest.step
            if isinstance(one, Leaf):
                one.numbers = tuple([Affine(n.base - n.steps[axis], n.steps) for n in one.numbers])
        return True

    def _matches(self, a: Leaf | Nest, b: Leaf | Nest) -> bool:
        if b.start - a.start != self.nest.step:
            return False
        if isinstance(a, Nest) and isinstance(b, Nest):
            alike = (a.extent, a.step, len(a.body)) == (b.extent, b.step, len(b.body))
            return alike and all(self._matches(x, y) for x, y in zip(a.body, b.body))
        if isinstance(a, Nest) or isinstance(b, Nest) or a.firsts or b.firsts:
            return False
        one, other = self.kinds[a.kind], self.kinds[b.kind]
        same = (one.op, one.data, one.line) == (other.op, other.data, other.line)
        return same and len(a.numbers) == len(b.numbers) and all(self._fits(a, b, k) for k in range(len(a.numbers)))

    def _fits(self, a: Leaf, b: Leaf, slot: int) -> bool:
        """Whether an operand of the first step continues those of the others, or is where something carried begins."""
        axis, x, y = self.axis, a.numbers[slot], b.numbers[slot]
        source, other = self.kinds[a.kind].operands[slot], self.kinds[b.kind].operands[slot]
        rest = y.steps[:axis] + y.steps[axis + 1 :]
        if source == other and x.base == y.base - y.steps[axis] and x.steps == rest:
            return True
        origin = self._carried(b, slot)
        inside = source[0] == POSITION and x.base >= self.before[0].start  # not there yet when the loop begins
        if origin is None or any(x.steps[axis:]) or inside:
            return False
        first = First(source, Affine(x.base, x.steps[:axis]), a.start, slot)
        self.firsts[b, slot] = first
        known = self.origins.setdefault(origin, first)
        return (known.source, known.number.base, known.number.steps) == (source, x.base, x.steps[:axis]) and (
            known is first or source[0] == POSITION
        )

    def _carried(self, leaf: Leaf, slot: int) -> Leaf | None:
        """The statement of the loop whose value in the step before an operand is."""
        nest, axis, number = self.nest, self.axis, leaf.numbers[slot]
        if self.kinds[leaf.kind].operands[slot][0] != POSITION or any(number.steps[axis + 1 :]):
            return None
        if number.steps[: axis + 1] != (*[n.step for n in nest.path], nest.step):
            return None
        body, position = nest.body, number.base + nest.step
        while True:
            inside = [one for one in body if one.start <= position < one.start + one.size]
            if not inside:
                return None
            if isinstance(inside[0], Leaf):
                return inside[0]
            position -= (inside[0].extent - 1) * inside[0].step
            body = inside[0].body

    def _agrees(self) -> bool:
        """Whether all operands that are carried begin alike."""
        for leaf in _all(self.nest.body):
            if isinstance(leaf, Leaf):
                others = [slot for slot in range(len(leaf.numbers)) if (leaf, slot) not in self.firsts]
                if any(origin in self.origins for slot in others if (origin := self._carried(leaf, slot)) is not None):
                    return False
        return True


def _all(body: Sequence[Leaf | Nest]) -> Iterator[Leaf | Nest]:
    for one in body:
        yield one
        if isinstance(one, Nest):
            yield from _all(one.body)
