"""Triangles as nests: where each operand of a statement is among the places that statements have.

An operand must be affine in each step, or carried: then in the first step of its loop, or after a loop of no steps, it
is what the loop begins with. Few operands may be anywhere: their places are listed. Each instance is checked. A loop in
which one is none of these is given up: without its first or last step if that is the reason, or else altogether.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

from autograd.ir.roll import nest as nests
from autograd.ir.roll.laid_out import Counters, Layout
from autograd.ir.roll.nest import Affine, First, Leaf, Listed, Nest, Statement, domain, least
from autograd.ir.roll.places import Places, is_unit
from autograd.ir.roll.recognition import COUNT, SHIFT
from autograd.ir.roll.statements import ELEMENT, INPUT, POSITION, Kind, Statements
from autograd.ir.roll.triangles import Part, Parts

MOST_ATTEMPTS = 5
MOST_PLACES = 32  # for each statement of the trace: so much memory may be empty
MOST_LISTED = 4  # statements of the trace for each number that is listed


class Fitted(NamedTuple):
    """Nests, and the trace by place: an empty place has what the last one before it has."""

    body: list[Leaf | Nest]
    code: list[int]
    kinds: list[Kind]


class Operand(NamedTuple):
    """Of an instance: where it comes from, its number there, and the value that it is in the code."""

    source: tuple[str, Any]
    number: int
    value: int


def fitted(trace: Statements, parts: Parts, code: Sequence[Any]) -> Fitted | None:
    """The nests of a trace with triangles; None if none of them fits."""
    found = parts.found
    for _ in range(MOST_ATTEMPTS):
        if not any(parts.blocks.differs(part.shape) for part in found):
            break
        layout = Layout(parts._replace(found=found))
        if layout.size > MOST_PLACES * len(trace.code):
            break
        operands = _Operands(trace, parts, layout, code)
        trouble = operands.find()
        if not trouble:
            return Fitted(layout.body, layout.by_place(trace.code), operands.kinds)
        found = [
            piece
            for part in found
            for piece in (_without(parts, part, trouble[part.start]) if part.start in trouble else [part])
        ]
    return None


def _without(parts: Parts, part: Part, steps: set[int]) -> list[Part]:
    """A loop whose first or last step is apart, or all that the roller had found in it."""
    count = part.counts[0] if part.counts else 0
    if steps <= {0, count - 1} and not (part.first or part.last) and count > 3:
        return [part._replace(first=int(0 in steps), last=int(count - 1 in steps))]
    return _cut(parts, part.start, part.start + part.size)


def _cut(parts: Parts, start: int, end: int) -> list[Part]:
    """What the roller had found in a part of the trace; a loop that is only partly in it is written out."""
    found: list[Part] = []
    for part in parts.before:
        if start <= part.start and part.start + part.size <= end:
            found.append(part)
        elif part.start < end and start < part.start + part.size:
            for at in range(max(start, part.start), min(end, part.start + part.size)):
                found.append(Part(parts.word[at], (), at, 1))
    return found


class _Operands:
    """The operands of all statements of a layout."""

    def __init__(self, trace: Statements, parts: Parts, layout: Layout, program: Sequence[Any]) -> None:
        self.trace, self.parts, self.layout, self.program = trace, parts, layout, program
        self.places = Places(layout.body)
        self.kinds = list(trace.kinds)
        self.known = {kind: number for number, kind in enumerate(self.kinds)}
        self.instances: list[list[int]] = [[] for _ in trace.kinds]
        for at, kind in enumerate(parts.kinds):
            self.instances[kind].append(at)
        self.domains: dict[tuple[Nest, ...], list[Counters]] = {}
        self.indexed: dict[tuple[Nest, ...], dict[Counters, int]] = {}
        self.runs: dict[tuple[Nest, ...], list[tuple[Counters, int, int]]] = {}
        self.firsts: dict[tuple[Leaf, int], dict[Counters, Operand]] = {}
        self.trouble: dict[int, set[int]] = {}
        self.listed = 0

    def find(self) -> dict[int, set[int]]:
        """Find the operands of all leaves; for each piece in which some do not follow, the steps where they do not."""
        for leaf, at in self.layout.instances.items():
            self._leaf(leaf, at)
        while self.firsts and not self.trouble:
            leaf, axis = max(self.firsts, key=lambda key: key[1])
            self._begin(leaf, axis, self.firsts.pop((leaf, axis)))
        return self.trouble

    def _domain(self, path: tuple[Nest, ...]) -> list[Counters]:
        if path not in self.domains:
            self.domains[path] = [*domain(path)]
        return self.domains[path]

    def _operand(self, at: int, slot: int) -> Operand:
        source = self.trace.kinds[self.parts.kinds[at]].operands[slot]
        number = self.parts.vectors[at][slot]
        if source[0] == POSITION:
            number = self.layout.places[self.instances[number >> SHIFT][number & COUNT]]
        return Operand(source, number, self.program[self.trace.code[at]].operands[slot])

    def _leaf(self, leaf: Leaf, at: list[int]) -> None:
        counters = self._domain(leaf.path)
        op, data, operands, line = self.trace.kinds[self.parts.kinds[at[0]]]
        sources: list[tuple[str, Any]] = []
        numbers: list[Affine | Listed] = []
        number: Affine | Listed | None
        same = len({self.parts.kinds[k] for k in at}) == 1
        for slot in range(len(operands)):
            source, number = operands[slot], self._regular(leaf, at, slot, operands[slot]) if same else None
            if number is None:
                found = {c: self._operand(k, slot) for c, k in zip(counters, at)}
                source, number = self._fit(leaf, found, leaf)
            sources.append(source)
            numbers.append(number)
        kind = Kind(op, data, tuple(sources), line)
        leaf.kind = self.known.setdefault(kind, len(self.kinds))
        if leaf.kind == len(self.kinds):
            self.kinds.append(kind)
        leaf.numbers = tuple(numbers)

    def _regular(self, leaf: Leaf, at: list[int], slot: int, source: tuple[str, Any]) -> Affine | None:
        """The number of an operand that is affine in all steps, and not handed on; None for any other."""
        vectors, path = self.parts.vectors, leaf.path
        numbers = [vectors[k][slot] for k in at]
        if source[0] == POSITION:
            numbers = [self.layout.places[self.instances[n >> SHIFT][n & COUNT]] for n in numbers]
        middle, index = nests.middle(path), self._index(path)
        if middle not in index:
            return None
        steps = self._steps(path, {c: numbers[k] for c, k in self._near(middle, index)}, middle)
        number = _through(middle, numbers[index[middle]], steps)
        step = steps[-1] if steps else 0
        for c, first, count in self.runs[path]:
            start = number.at(c)
            expected = [*range(start, start + step * count, step)] if step else [start] * count
            if numbers[first : first + count] != expected:
                return None
        indices = self.places.indices(leaf, number, middle) if source[0] == POSITION else None
        return None if indices is not None and self._is_handed_on(leaf, *indices) else number

    def _index(self, path: tuple[Nest, ...]) -> dict[Counters, int]:
        """Which instance has which counters; notes the runs along the innermost loop, too."""
        if path not in self.indexed:
            every = self._domain(path)
            self.indexed[path] = {c: k for k, c in enumerate(every)}
            starts = [k for k, c in enumerate(every) if not c or c[-1] == 0]
            ends = [*starts[1:], len(every)]
            self.runs[path] = [(every[k], k, end - k) for k, end in zip(starts, ends)]
        return self.indexed[path]

    @staticmethod
    def _near(middle: Counters, index: dict[Counters, int]) -> Iterator[tuple[Counters, int]]:
        """The instances next to the one with these counters, and itself at the end."""
        for axis in range(len(middle)):
            for sign in (-1, 1):
                c = (*middle[:axis], middle[axis] + sign, *middle[axis + 1 :])
                if c in index:
                    yield c, index[c]
        yield middle, index[middle]

    @staticmethod
    def _steps(path: tuple[Nest, ...], near: dict[Counters, int], middle: Counters) -> list[int]:
        """How a number advances along each axis, from a step to one next to it."""
        steps: list[int] = []
        for axis in range(len(path)):
            before, after = (near.get((*middle[:axis], middle[axis] + sign, *middle[axis + 1 :])) for sign in (-1, 1))
            if before is not None:
                steps.append(near[middle] - before)
            else:
                steps.append(0 if after is None else after - near[middle])
        return steps

    def _begin(self, leaf: Leaf, axis: int, found: dict[Counters, Operand]) -> None:
        """What a loop begins with that carries a leaf."""
        nest = leaf.path[axis]
        place = nest.place()
        late = [c for c, o in found.items() if o.source[0] == POSITION and o.number >= place.at(c)]
        if late:
            self._fail(leaf, [c or (0,) for c in late])
        source, number = self._fit(nest, found, leaf)
        values = tuple([found[c].value if c in found else None for c in hull(nest.path)])
        nest.begins[leaf] = First(source, number, leaf.start, 0, values)

    def _fit(
        self, reader: Statement, found: dict[Counters, Operand], leaf: Leaf
    ) -> tuple[tuple[str, Any], Affine | Listed]:
        """Where an operand comes from in most steps, and its number; what is different in others is noted."""
        middle = nests.middle(reader.path)
        if middle not in found:
            self._fail(leaf, [*found][:1])
            return next(iter(found.values())).source, Affine(0, (0,) * reader.depth)
        source, base, _ = found[middle]
        others = {c: o.number for c, o in found.items() if o.source == source} if reader.depth else {middle: base}
        steps = self._steps(reader.path, others, middle)
        number = _through(middle, base, steps)
        wrong = [c for c, o in found.items() if o.source != source or o.number != number.at(c)]
        indices = None
        if source[0] == POSITION:
            indices = self.places.indices(reader, number, middle)
        handed_on = indices is not None and self._is_handed_on(reader, *indices)
        if indices is not None and handed_on:
            wrong = self._with_empty(reader, found, wrong, *indices)
        if wrong:
            if indices is not None and handed_on:
                for c in wrong:
                    if not self._note(*indices, c, found[c]):
                        self._fail(leaf, [c])
            elif self._may_be_listed(source, found, wrong, reader):
                return source, Listed(tuple([found[c].number if c in found else None for c in hull(reader.path)]))
            else:
                self._fail(leaf, wrong)
        if len(found) < len(self._domain(reader.path)):
            self._check_others(reader, found, source, number, indices, leaf)
        return source, number

    def _with_empty(
        self,
        reader: Statement,
        found: dict[Counters, Operand],
        wrong: list[Counters],
        owner: Leaf,
        along: Sequence[Affine],
    ) -> list[Counters]:
        """The steps in which an operand is not what the indices tell, or these are of a step that is not there."""
        sure = all(
            least(index, reader.path) >= 0 and least(room_after(owner, along, axis), reader.path) >= 0
            for axis, index in enumerate(along)
        )
        if sure:
            return wrong
        already = set(wrong)
        empty = [c for c in found if c not in already and _missing(owner, along, c) is not None]
        return [*wrong, *empty]

    def _is_handed_on(self, reader: Statement, owner: Leaf, along: Sequence[Affine]) -> bool:
        """Whether an operand is the last value of loops that have ended, or one of the step before."""
        level = owner.depth
        while level and self.places.is_last(owner, along, level - 1):
            level -= 1
        shared = nests.common(owner.path, reader.path)
        if level > shared:
            return False
        same = [index.base == 0 and is_unit(index, axis) for axis, index in enumerate(along[:level])]
        if all(same):
            return level < owner.depth
        before = along[level - 1]
        return all(same[:-1]) and before.base == -1 and is_unit(before, level - 1)

    def _note(self, owner: Leaf, along: Sequence[Affine], c: Counters, operand: Operand) -> bool:
        """Note what the loop begins with that carries a value; whether that is possible."""
        missing = _missing(owner, along, c)
        if missing is None:
            return False
        axis, outer = missing
        if along[axis].at(c) != -1:
            return False
        known = self.firsts.setdefault((owner, axis), {}).setdefault(outer, operand)
        return known.source == operand.source and (known.number, known.value) == (operand.number, operand.value)

    def _may_be_listed(
        self, source: tuple[str, Any], found: dict[Counters, Operand], wrong: list[Counters], reader: Statement
    ) -> bool:
        """Whether numbers that follow no rule are few enough, and all of one source."""
        if source[0] not in (POSITION, ELEMENT, INPUT) or any(o.source != source for o in found.values()):
            return False
        if len({c[0] for c in wrong}) == 1:
            return False
        size = 1
        for extent in reader.extents:
            size *= extent
        self.listed += size
        return MOST_LISTED * self.listed <= len(self.trace.code)

    def _check_others(
        self,
        reader: Statement,
        found: dict[Counters, Operand],
        source: tuple[str, Any],
        number: Affine,
        indices: tuple[Leaf, list[Affine]] | None,
        leaf: Leaf,
    ) -> None:
        """What a loop of no steps begins with, whose result nothing uses, must be there nevertheless."""
        for c in self._domain(reader.path):
            if c in found:
                continue
            if source[0] == POSITION:
                fine = indices is not None and _missing(*indices, c) is None
            elif source[0] in (ELEMENT, INPUT):
                fine = number.at(c) in self.trace.elements[source]
            else:
                fine = True
            if not fine:
                self._fail(leaf, [c])

    def _fail(self, leaf: Leaf, wrong: Sequence[Counters]) -> None:
        self.trouble.setdefault(self.layout.owners[leaf], set()).update([c[0] if c else -1 for c in wrong])


def _through(counters: Counters, number: int, steps: Sequence[int]) -> Affine:
    """The affine number that is a given one in a step."""
    return Affine(number - sum([s * c for s, c in zip(steps, counters)]), tuple(steps))


def hull(path: Sequence[Nest]) -> Iterator[Counters]:
    """All counters as if each loop had as many steps as in its longest run."""
    return product(*[range(nest.extent) for nest in path])


def room_after(owner: Leaf, along: Sequence[Affine], axis: int) -> Affine:
    """How many steps of a loop come after the one that an index tells."""
    nest = owner.path[axis]
    count = Affine(nest.extent, (0,) * len(along[axis].steps)) if nest.count is None else nest.count.of(along[:axis])
    return Affine(count.base - 1 - along[axis].base, tuple([x - y for x, y in zip(count.steps, along[axis].steps)]))


def _missing(owner: Leaf, along: Sequence[Affine], c: Counters) -> tuple[int, Counters] | None:
    """The outermost loop that has no step of the number that an index tells, and the steps of the loops around it."""
    outer: list[int] = []
    for axis, index in enumerate(along):
        at, nest = index.at(c), owner.path[axis]
        if not 0 <= at < (nest.steps_at(outer)):
            return axis, tuple(outer)
        outer.append(at)
    return None
