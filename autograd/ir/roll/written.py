"""Nests of rolled statements, written as loops of a program."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, groupby, product
from math import prod
from typing import Any, NamedTuple

from autograd.ir.block import LOGIC, NUMBER, STEPS, TRUTH, Extent, Final, Guard, Used, Window
from autograd.ir.builder import Builder, LoopBuilder
from autograd.ir.rewriters import number_values
from autograd.ir.roll.levels import Level, as_number, memory
from autograd.ir.roll.nest import Affine, First, Kept, Leaf, Listed, Nest, Statement, domain, innermost_triangle, leaves
from autograd.ir.roll.places import Carried, Direct, Group, Places, Read, Stacked
from autograd.ir.roll.ranges import RANGE, WINDOW
from autograd.ir.roll.stages import Packed, Piece, packed, put_together, renewed, shaped, side_by_side
from autograd.ir.roll.statements import CONSTANT, ELEMENT, POSITION, VALUE, Statements


class Looked(NamedTuple):
    """Elements of an array at places that follow no rule."""

    array: int
    numbers: Sequence[int | None]


class Side(NamedTuple):
    """Operands side by side: where they come from, and how they lie there."""

    source: Any
    shape: tuple[Extent, ...]
    strides: tuple[int, ...]


class Writer:
    """Writes nests as loops."""

    def __init__(
        self, builder: Builder, trace: Statements, body: Sequence[Leaf | Nest], guards: Mapping[int, Guard]
    ) -> None:
        self.builder, self.trace, self.body, self.expected = builder, trace, body, guards
        self.places = Places(body, self._first)
        self.packed: dict[Any, int] = {}
        self.guards: list[Guard] = []
        self.checked: set[int] = set()  # the guards that these stand for

    def packs(self, packs: Iterable[int]) -> dict[int, Packed]:
        """The arrays, among some, whose columns are evenly apart in the code that is rolled."""
        program, code = self.builder.code, self.trace.code
        position = {code[k]: k for k in range(len(code) - 1, -1, -1)} if packs else {}  # empty places come after
        found: dict[int, Packed] = {}
        for at in packs:
            _, operands, shape = program[at]
            one = packed(program, shape, operands, [position.get(o, -1) for o in operands])
            if one is not None:
                found[at] = one
        return found

    def write(self, wanted: Sequence[int], packs: Mapping[int, Packed]) -> dict[int, int]:
        """Append everything; where the values wanted are, and arrays of such values."""
        for leaf in leaves(self.body):
            self._sources(leaf)
        builder, code = self.builder, self.trace.code
        end = Statement((), len(code))
        at = {w: bisect_left(code, w) for w in wanted}
        rolled = {w: p for w, p in at.items() if p < len(code) and code[p] == w}
        results = {w: self.places.source(end, Affine(p)) for w, p in rolled.items()}
        columns = {
            array: [[self._piece(end, piece) for piece in pieces] for pieces in pack.columns]
            for array, pack in packs.items()
        }
        self.places.settle()
        top = Level(builder)
        self._block(top, self.body)
        found = {w: self._value(top, source) for w, source in results.items()}
        found = {w: self._typed(builder, value, builder.type_of(w)) for w, value in found.items()}
        for array, pack in packs.items():
            parts = [[self._value(top, source) for source in sources] for sources in columns[array]]
            found[array] = shaped(builder, self._packed(pack, parts), pack.shape)
        return found

    def _piece(self, end: Statement, piece: Piece) -> Any:
        """Where the numbers of a piece come from."""
        if piece.value is not None:
            return piece.value
        if piece.array is not None:
            return Side((piece.array, Affine(piece.place)), (piece.length,), (piece.step,))
        if piece.length == 1:
            return self.places.source(end, Affine(piece.place))
        return self._range(end, Affine(piece.place), piece.length, piece.step)

    def _packed(self, pack: Packed, parts: Sequence[Sequence[int]]) -> int:
        """An array made of its pieces."""
        if pack.is_whole and len(parts) == 1:
            return parts[0][0]
        if pack.is_whole:
            return side_by_side(self.builder, pack.rows, [values[0] for values in parts])
        return put_together(self.builder, pack, parts, memory(self.builder, prod(pack.shape)))

    def _typed(self, builder: Builder, value: int, kind: Any) -> int:
        """A truth that was kept as a number is a truth again."""
        if kind == TRUTH and builder.type_of(value) == NUMBER:
            return builder.emit("!=", (value, builder.constant(0.0)))
        return value

    def _sources(self, leaf: Leaf) -> None:
        """Find where the operands of a leaf come from."""
        kind = self.trace.kinds[leaf.kind]
        for slot, ((where, what), number) in enumerate(zip(kind.operands, leaf.numbers)):
            source: Any
            if where == POSITION:
                first = leaf.firsts.get(slot)
                source = self.places.source(leaf, number, first and partial(self._first, first))
            elif where == CONSTANT and what is None:
                source = self._constant(leaf, slot)
            elif where in (CONSTANT, VALUE):
                source = what
            elif where == RANGE:
                source = self._range(leaf, number, *what)
            elif where == WINDOW:
                array, shape, strides = what
                source = Side((array, number), shape, strides)
            else:
                source = self._element(leaf, (where, what), number)
            leaf.sources.append(source)
        if kind.line is not None:
            for nest in leaf.path:
                nest.fails[leaf] = None

    def _range(self, leaf: Statement, first: Affine, count: int, step: int) -> Side:
        """Where values of the code come from that are evenly apart: as those that a loop would take in its steps."""
        nest = Nest(leaf.path, leaf.start, extent=count)
        found = self.places.source(Statement((*leaf.path, nest), leaf.start), Affine(first.base, (*first.steps, step)))
        return Side(found, (count,), (found.place.steps[-1],))

    def _first(self, first: First, nest: Nest) -> Any:
        """What a carry of a loop is in the first step."""
        where, what = first.source
        if where == POSITION:
            return self.places.source(nest, first.number)
        if where == CONSTANT and what is None and first.values:
            return self._constants(nest, first.values)
        if where == CONSTANT and what is None:
            steps = tuple([outer.step for outer in nest.path])
            found = [self.trace.code[at] for at in _positions(Affine(first.start, steps), nest.extents)]
            return self._constants(nest, [self.builder.code[at].operands[first.slot] for at in found])
        return what if where in (CONSTANT, VALUE) else self._element(nest, first.source, first.number)

    def _element(self, leaf: Statement, family: tuple[str, Any], number: Affine | Listed) -> Any:
        """A number from outside: a value, or an array and a place in it."""
        values = self.trace.elements[family]
        if isinstance(number, Affine) and not any(number.steps):
            return values[number.base]
        where, what = family
        if where == ELEMENT:
            return (what, number) if isinstance(number, Affine) else Looked(what, number.numbers)
        if isinstance(number, Affine):
            low, high = number.range(leaf.extents)
            unit = min([abs(s) for s in number.steps if s])
            if any(s % unit for s in number.steps):
                unit = 1
        else:
            known = [n for n in number.numbers if n is not None]
            low, high, unit = min(known), max(known), 1
        key = family, low, high, unit
        if key not in self.packed:
            builder = self.builder
            zero = builder.constant(0.0)
            numbers = tuple([values.get(k, zero) for k in range(low, high + 1, unit)])
            self.packed[key] = builder.emit("pack", numbers, (len(numbers),))
        if isinstance(number, Listed):
            return Looked(self.packed[key], [None if n is None else n - low for n in number.numbers])
        return self.packed[key], Affine((number.base - low) // unit, tuple([s // unit for s in number.steps]))

    def _instances(self, leaf: Leaf) -> list[int | None]:
        """The code of all instances of a leaf, in the order of their counters; None for those that are not there."""
        code, place = self.trace.code, leaf.place()
        if not innermost_triangle(leaf.path):
            return list(map(code.__getitem__, _positions(place, leaf.extents)))
        there = set(domain(leaf.path))
        every = product(*[range(extent) for extent in leaf.extents])
        return [code[place.at(counters)] if counters in there else None for counters in every]

    def _constant(self, leaf: Leaf, slot: int) -> Any:
        """A constant, or a table of constants and a place in it."""
        program = self.builder.code
        found = self._instances(leaf)
        return self._constants(leaf, [None if at is None else program[at].operands[slot] for at in found])

    def _constants(self, leaf: Statement, values: Sequence[int | None]) -> Any:
        """A constant, or a table of constants and a place in it, given the constant in each step."""
        program = self.builder.code
        known = [v for v in values if v is not None]
        if known.count(known[0]) == len(known):
            return known[0]
        return self._tabled(leaf, values, [0.0 if v is None else program[v].data for v in values])

    def _tabled(self, leaf: Statement, values: Sequence[object], numbers: Sequence[float]) -> Any:
        """A table of numbers, equal where the values are, and a place in it; where the values are None, any will do."""
        keys, numbers, steps = list(values), list(numbers), [0] * leaf.depth
        inner = 1
        for axis in range(leaf.depth - 1, -1, -1):  # axes along which nothing changes are left out
            block = inner * leaf.extents[axis]
            same = [_one_of(keys[k : k + block], inner) for k in range(0, len(keys), block)]
            if None not in same:
                chosen = [k * block + x for k, places in enumerate(same) for x in places or ()]
                keys, numbers = [keys[x] for x in chosen], [numbers[x] for x in chosen]
            else:
                steps[axis] = inner
                inner = block
        builder = self.builder
        table = builder.emit("table", (), ((len(numbers),), tuple(numbers)))
        return table, Affine(0, tuple(steps))

    # ---- writing -------------------------------------------------------------------------------------------------

    def _block(self, level: Level, body: Iterable[Leaf | Nest]) -> None:
        for one in body:
            if isinstance(one, Leaf):
                self._leaf(level, one)
            else:
                self._nest(level, one)

    def _value(self, level: Level, source: Any) -> int:
        """The value of an operand at a level."""
        if isinstance(source, int):
            return level.lift(source, 0)
        if isinstance(source, Side):
            return self._side(level, source)
        if isinstance(source, Looked):
            return self._looked(level, source.array, source.numbers)
        if isinstance(source, tuple):
            array, place = source
            return level.fetch(0, array, place)
        if isinstance(source, Direct):
            return level.lift(level.around[source.depth].values[source.leaf], source.depth)
        if isinstance(source, Carried):
            return level.lift(level.around[source.depth].carried[source.leaf], source.depth)
        if isinstance(source, Stacked):
            return level.fetch(source.depth, level.around[source.depth].stacks[source.kept], source.place)
        assert isinstance(source, Read)
        group = source.group.root()
        if isinstance(source.place, Listed):
            return self._looked(level, None, group.addresses(source.place), group)
        triangle = innermost_triangle([around.nest for around in level.around[1:] if around.nest is not None])
        if triangle > source.depth:
            around = level.around[triangle]
            return level.fetch(triangle, around.buffer(group), group.address(source.place), Final)
        return level.fetch(source.depth, level.around[source.depth].buffer(group), group.address(source.place), Final)

    def _looked(
        self, level: Level, array: int | None, numbers: Sequence[int | None], group: Group | None = None
    ) -> int:
        """An element of an array, or of memory, whose place is in a table."""
        assert level.nest is not None
        known = next(n for n in numbers if n is not None)
        around = Statement((*level.nest.path, level.nest), 0)
        table, place = self._tabled(around, numbers, [float(known if n is None else n) for n in numbers])
        index = level.fetch(0, table, place)
        if group is not None:
            return level.builder.emit("read", (level.buffer(group), index), Final((), 0, (), (1,)))
        assert array is not None
        array = level.lift_from(renewed(self.builder, array), 0)
        return level.builder.emit("read", (array, index), Window((), 0, (), (1,)))

    def _side(self, level: Level, side: Side) -> int:
        """Operands side by side as an array."""
        source, shape, strides = side
        if isinstance(source, tuple):
            array, place = source
            return level.fetch(0, array, place, Window, shape, strides)
        around = level.around[source.depth]
        if isinstance(source, Stacked):
            return level.fetch(source.depth, around.stacks[source.kept], source.place, Window, shape, strides)
        group = source.group.root()
        place = group.address(source.place)
        return level.fetch(source.depth, around.buffer(group), place, Final, shape, (place.steps[-1],))

    def _leaf(self, level: Level, leaf: Leaf) -> None:
        kind, builder = self.trace.kinds[leaf.kind], level.builder
        operands = [self._value(level, source) for source in leaf.sources]
        wanted = _takes(kind.op, len(operands))
        operands = [self._typed(builder, o, t) for o, t in zip(operands, wanted)]
        value = level.values[leaf] = builder.emit(kind.op, tuple(operands), kind.data)
        if kind.line is not None:
            self._guard(level, leaf, value)
        if leaf.group is not None and leaf.level == leaf.inner == level.depth:
            self._add(level, leaf, as_number(builder, value))

    def _add(self, level: Level, leaf: Leaf, value: int) -> None:
        """Add a value, or those of loops within that have ended, to memory."""
        assert leaf.group is not None
        group = leaf.group.root()
        place = group.address(leaf.last(leaf.inner))
        indices, steps = level.indices(place, range(1, level.depth + 1))
        kind = Used if leaf.read else Window
        window = kind(tuple(leaf.extents[level.depth : leaf.inner]), place.base, place.steps[level.depth :], steps)
        array = level.buffer(group)
        level.memory[group] = level.builder.emit("add_at", (array, value, *indices), window)

    def _nest(self, level: Level, nest: Nest) -> None:
        """Write a loop, and note at the level around where its results are."""
        inner = Level(Builder((number_values,), level.builder.kept), level, nest)
        if nest.count is None:
            made = inner.made = LoopBuilder(level.builder, inner.builder, nest.extent)
        else:
            made = inner.made = LoopBuilder(level.builder, inner.builder, STEPS, steps=level.affine(nest.count))
        for leaf, source in nest.carries.items():
            inner.carried[leaf] = made.carry(as_number(level.builder, self._value(level, source)))
        handed: list[Leaf] = list(nest.carries)
        finals = [leaf for leaf in nest.finals if leaf not in nest.carries]
        if nest.carries or nest.writes or nest.count is not None:  # its steps run in turn anyway
            for _ in finals:
                made.carry(level.builder.constant(0.0))
            handed += finals
            finals = []
        for group in nest.writes:
            inner.memory[group] = made.accumulator(level.buffer(group))
        self._block(inner, nest.body)
        number = [as_number(inner.builder, inner.values[leaf]) for leaf in handed]
        outs = [(inner.kept(kept), "each") for kept in nest.stacks]
        outs += [(as_number(inner.builder, inner.values[leaf]), "each") for leaf in finals]
        outs += [(inner.fails[leaf], "sum") for leaf in nest.fails]
        loop = made.finish([*number, *[inner.memory[group] for group in nest.writes]], outs)
        count = len(number) + len(nest.writes) + len(outs)
        items = iter([level.builder.emit("item", (loop,), k) for k in range(count)])
        self._take_results(level, nest, handed, finals, items)

    def _take_results(
        self, level: Level, nest: Nest, handed: Sequence[Leaf], finals: Sequence[Leaf], items: Iterator[int]
    ) -> None:
        """Note where the results of a loop are, and add to memory what only its last step computes."""
        emit = level.builder.emit
        for leaf in handed:
            level.values[leaf] = next(items)
        for group in nest.writes:
            level.memory[group] = next(items)
        for kept in nest.stacks:
            level.stacks[kept] = next(items)
        for leaf in finals:
            level.values[leaf] = emit("read", (next(items),), Window((), nest.extent - 1))
        for leaf, inner_depth in [*[(leaf, level.depth) for leaf in nest.finals], *nest.stacks]:
            if leaf.group is not None and (leaf.level, leaf.inner) == (level.depth, inner_depth):
                stacked = inner_depth > level.depth
                self._add(level, leaf, level.stacks[Kept(leaf, inner_depth)] if stacked else level.values[leaf])
        for leaf in nest.fails:
            level.fails[leaf] = next(items)
            if level.depth == 0:
                none = emit("==", (level.fails[leaf], level.builder.constant(0.0)))
                self.guards.append(Guard(none, True, self._line(leaf)))

    # ---- guards --------------------------------------------------------------------------------------------------

    def _outcomes(self, leaf: Leaf) -> list[bool | None]:
        """How a comparison must come out in each step; None for one that is not there."""
        instances = self._instances(leaf)
        self.checked.update([at for at in instances if at is not None])
        return [None if at is None else self.expected[at].expected for at in instances]

    def _guard(self, level: Level, leaf: Leaf, value: int) -> None:
        """A comparison that is a guard; in a loop, the steps in which it fails are counted."""
        outcomes, builder = self._outcomes(leaf), level.builder
        known = [truth for truth in outcomes if truth is not None]
        if level.depth == 0:
            self.guards.append(Guard(value, known[0], self._line(leaf)))
            return
        zero, one = builder.constant(0.0), builder.constant(1.0)
        yes, no = (zero, one) if known[0] else (one, zero)
        if len(set(known)) > 1:
            no = self._value(level, self._tabled(leaf, outcomes, [float(truth or 0.0) for truth in outcomes]))
            yes = builder.emit("sub", (one, no))
        level.fails[leaf] = builder.emit("select", (value, yes, no))

    def _line(self, leaf: Leaf) -> str:
        """The line of a guard, and the outcomes in its steps if they differ."""
        line = self.trace.kinds[leaf.kind].line
        outcomes = [truth for truth in self._outcomes(leaf) if truth is not None]
        assert line is not None
        if len(set(outcomes)) == 1:
            return line
        return f"{line} (in turn: {', '.join([f'{len(list(same))} {truth}' for truth, same in groupby(outcomes)])})"


def _one_of(keys: Sequence[object], length: int) -> list[int] | None:
    """For each place in runs of `length` keys, where in `keys` a known key at this place is; None if runs differ."""
    chosen = []
    for k in range(length):
        places = [x for x in range(k, len(keys), length) if keys[x] is not None]
        if any(keys[x] != keys[places[0]] for x in places):
            return None
        chosen.append(places[0] if places else k)
    return chosen


def _takes(op: str, count: int) -> tuple[str, ...]:
    """The types of the operands of an operation."""
    if op == "select":
        return TRUTH, NUMBER, NUMBER
    return (TRUTH if op in LOGIC else NUMBER,) * count


def _positions(place: Affine, extents: Sequence[int]) -> Iterator[int]:
    """All numbers that an affine number is, in the order of the counters."""
    if not extents:
        return iter([place.base])
    step, count = place.steps[-1], extents[-1]
    firsts = [
        place.base + sum([i * s for i, s in zip(at, place.steps)]) for at in product(*[range(n) for n in extents[:-1]])
    ]
    return chain.from_iterable([range(at, at + step * count, step) if step else (at,) * count for at in firsts])
