"""Rolling a stretch of flat code: the same values, computed by loops that are appended to the program.

Nothing of the flat code changes. The answer tells where the values that are wanted are now; what nothing uses any more
is dead code.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from itertools import chain, groupby, product
from math import prod
from typing import Any, NamedTuple

from autograd.ir.block import (
    LOGIC,
    NUMBER,
    TRUTH,
    Extent,
    Final,
    Guard,
    Instruction,
    Loop,
    Program,
    Used,
    Window,
    types_of,
    whole,
)
from autograd.ir.builder import Builder, LoopBuilder
from autograd.ir.nest import (
    SMALLEST,
    Affine,
    Carried,
    Direct,
    First,
    Group,
    Kept,
    Leaf,
    Nest,
    Places,
    Read,
    Stacked,
    Statement,
    leaves,
    tree,
)
from autograd.ir.peeled import take_in_first_steps
from autograd.ir.ranges import RANGE, WINDOW, weight
from autograd.ir.rewrite import without_dead_code
from autograd.ir.roll import is_loop
from autograd.ir.simplify import in_order_of_need, number_values
from autograd.ir.stages import Packed, Piece, again, packed, put_together, renewed, shaped, side_by_side, stages
from autograd.ir.statements import (
    CONSTANT,
    ELEMENT,
    POSITION,
    ROLLABLE,
    VALUE,
    Statements,
    find_loops_fast,
    kept_by_comparisons,
)

FEWEST = 1000  # statements that are rolled; shorter code compiles fast and runs best as it is
FEWEST_IN_STAGES = 48  # the same between instructions on arrays
FEWEST_AGAIN = 200  # the same where derivatives of derivatives are taken: each multiplies the code
LEAST_GAIN = 0.75  # of the statements that may be left: loops cost time that few statements do not
MANY_CARRIES, FEWEST_AT_END = 16, 48  # a loop with more carries keeps them in memory: flat code at its end is rolled
FEWEST_IN_MAPS = 20_000  # statements of the body of a map that are rolled: loops in it take up to three times as long
SUMS = 0.25  # of the values of a map's body; with more, it stays flat
# The fewest statements that are rolled outside of all loops, for code that people read; None: `FEWEST`. The bodies of
# loops run often: what makes them fast does not change.
fewest_to_read: ContextVar[int | None] = ContextVar("fewest_to_read", default=None)


def rolled(program: Program, inside: bool = False) -> Program:
    """A program, and the bodies of its loops, with loops in place of flat code; `inside`: whether it is such a body."""
    code = [_with_rolled_body(instruction) for instruction in program.code]
    if any(new is not old for new, old in zip(code, program.code)):
        program = Program(code, program.outputs, program.inputs, program.guards)
    if len(program.code) < _fewest(FEWEST, inside):
        return program
    builder = _builder_of(program)
    roll_code(builder, 0, len(program.code), program.outputs)
    if not builder.moved:
        return program
    new = builder.program(program.outputs)
    return without_dead_code(new)


def _fewest(usual: int, inside: bool) -> int:
    """The fewest statements that are rolled."""
    return usual if inside else fewest_to_read.get() or usual


def _with_rolled_body(instruction: Instruction) -> Instruction:
    """The instruction itself if nothing changes: loops know their derivatives by identity."""
    if instruction.op != "loop" or _stays_flat(instruction.data):
        return instruction
    loop: Loop = instruction.data
    body = rolled(loop.body, inside=True)
    if loop.carries > MANY_CARRIES:
        body = _with_rolled_end(body)
    return instruction if body is loop.body else instruction._replace(data=replace(loop, body=body))


def _with_rolled_end(body: Program) -> Program:
    """A body in which the flat code behind its last loop is rolled, such as the sums of messages to each carry."""
    last = max([at for at, i in enumerate(body.code) if i.op == "loop"], default=-1)
    if len(body.code) - last <= FEWEST_AT_END:
        return body
    ordered = in_order_of_need(body, last + 1)  # all sums for one carry, then all for the next
    builder = _builder_of(ordered)
    roll_code(builder, last + 1, len(ordered.code), ordered.outputs, FEWEST_AT_END)
    return builder.program(ordered.outputs) if builder.moved else body


def _builder_of(program: Program) -> Builder:
    builder = Builder((number_values,))
    builder.code, builder.inputs, builder.guards = list(program.code), list(program.inputs), list(program.guards)
    builder.types = {at: kind for at, kind in enumerate(types_of(program)) if kind != NUMBER}
    return builder


def _stays_flat(loop: Loop) -> bool:
    """Whether a map's body stays flat: its rows fill the lanes, so loops in it only make it slower.

    If much of it is there for its sums, these are added up in tiles of registers where it is flat, however long it is.
    """
    length = len(loop.body.code)
    return loop.is_map() and (length < FEWEST_IN_MAPS or loop.kinds.count("sum") > SUMS * length)


def roll_code(builder: Builder, first: int, end: int, wanted: Iterable[int], fewest: int | None = None) -> None:
    """Append loops that compute values from flat code, and note where those that are wanted are now.

    Parameters
    ----------
    builder : Builder
        The program. Guards of the code move into the loops.
    first, end : int
        The code that may be rolled.
    wanted : iterable of int
        The values that are used later.
    fewest : int, optional
        Code of fewer statements stays as it is.
    """
    fewest = _fewest(FEWEST if fewest is None else fewest, builder.body_of is not None)
    if end - first < 4 * fewest:
        fewest = min(fewest, max(SMALLEST, fewest - weight(builder.code[first:end])))
    wanted = [w for w in dict.fromkeys(wanted) if first <= w < end and w not in builder.moved]
    guards = [g.value for g in builder.guards if first <= g.value < end]
    if end - first < fewest or _roll(builder, range(first, end), wanted, guards, fewest) is not None:
        return
    found = stages(builder.code, first, [*wanted, *guards], ROLLABLE)
    if len(found) == 1 and not found[0].after:
        return
    for stage in found:
        values = set(stage.flat)
        packs = [at for at in stage.after if builder.code[at].op == "pack"]
        mine = [g for g in guards if g in values]
        if len(stage.flat) < max(fewest, FEWEST_IN_STAGES) or not _roll(
            builder, range(stage.flat[0], stage.flat[-1] + 1), stage.wanted, mine, fewest, packs
        ):
            again(builder, stage.flat)
        again(builder, stage.after)


def _roll(
    builder: Builder, among: range, wanted: Sequence[int], guards: Sequence[int], fewest: int, packs: Sequence[int] = ()
) -> bool | None:
    """Roll the code `among` some that computes some values; whether there are loops now.

    None if it has instructions that cannot be rolled, or is too short. The operands of `packs` are among the values;
    those that loops compute side by side become arrays as a whole.
    """
    expected = {g.value: g for g in builder.guards}
    lines = {value: expected[value].line for value in guards}
    kept = {at: [o for o in builder.code[at].operands if o >= among.start] for at in packs}
    code = kept_by_comparisons(builder.code, among.start, among.stop, expected)
    trace = find_loops_fast(code, among.start, [*wanted, *guards, *chain(*kept.values())], lines, fewest)
    if trace is None:
        return None
    if not any(map(is_loop, trace.rolled.shapes)):
        return False
    body = tree(trace.rolled, [len(kind.operands) for kind in trace.kinds])
    take_in_first_steps(body, trace.kinds)
    if sum(1 for _ in leaves(body)) > LEAST_GAIN * len(trace.code):
        return False
    writer = _Writer(builder, trace, body, {value: expected[value] for value in guards})
    arrays = writer.packs(packs)
    wanted = list(dict.fromkeys([*wanted, *chain(*[kept[at] for at in packs if at not in arrays])]))
    builder.moved.update({old: new for old, new in writer.write(wanted, arrays).items() if new != old})
    builder.guards[:] = [g for g in builder.guards if g.value not in writer.checked] + writer.guards
    return True


class _Level:
    """A loop while its body is written, or the program around all loops."""

    def __init__(self, builder: Builder, parent: _Level | None = None, nest: Nest | None = None) -> None:
        self.builder, self.parent, self.nest = builder, parent, nest
        self.around: list[_Level] = [*(parent.around if parent else ()), self]
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
        return self.stacks[kept] if kept.depth > self.depth else _as_number(self.builder, self.values[kept.leaf])

    def buffer(self, group: Group) -> int:
        """An array of memory as it is now."""
        if group not in self.memory:
            if group.depth == self.depth:
                self.memory[group] = _memory(self.builder, group.size)
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
        source = self.around[depth]
        if depth == 0:
            array = renewed(source.builder, array)
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


class Side(NamedTuple):
    """Operands side by side: where they come from, and how they lie there."""

    source: Any
    shape: tuple[Extent, ...]
    strides: tuple[int, ...]


class _Writer:
    """Writes nests as loops."""

    def __init__(
        self, builder: Builder, trace: Statements, body: Sequence[Leaf | Nest], guards: Mapping[int, Guard]
    ) -> None:
        self.builder, self.trace, self.body, self.expected = builder, trace, body, guards
        self.places = Places(body)
        self.packed: dict[Any, int] = {}
        self.guards: list[Guard] = []
        self.checked: set[int] = set()  # the guards that these stand for

    def packs(self, packs: Iterable[int]) -> dict[int, Packed]:
        """Those of some arrays whose columns are evenly apart in the code that is rolled."""
        program, code = self.builder.code, self.trace.code
        position = {value: k for k, value in enumerate(code)} if packs else {}
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
        top = _Level(builder)
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
        return put_together(self.builder, pack, parts, _memory(self.builder, prod(pack.shape)))

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
        if where == CONSTANT and what is None:
            steps = tuple([outer.step for outer in nest.path])
            found = [self.trace.code[at] for at in _positions(Affine(first.start, steps), nest.extents)]
            return self._constants(nest, found, first.slot)
        return what if where in (CONSTANT, VALUE) else self._element(nest, first.source, first.number)

    def _element(self, leaf: Statement, family: tuple[str, Any], number: Affine) -> Any:
        """A number from outside: a value, or an array and a place in it."""
        values = self.trace.elements[family]
        if not any(number.steps):
            return values[number.base]
        where, what = family
        if where == ELEMENT:
            return what, number
        low, high = number.range(leaf.extents)
        unit = min([abs(s) for s in number.steps if s])
        if any(s % unit for s in number.steps):
            unit = 1
        key = family, low, high, unit
        if key not in self.packed:
            builder = self.builder
            zero = builder.constant(0.0)
            numbers = tuple([values.get(k, zero) for k in range(low, high + 1, unit)])
            self.packed[key] = builder.emit("pack", numbers, (len(numbers),))
        return self.packed[key], Affine((number.base - low) // unit, tuple([s // unit for s in number.steps]))

    def _instances(self, leaf: Leaf) -> list[int]:
        """The code of all instances of a leaf, in the order of their counters."""
        code = self.trace.code
        return [code[at] for at in _positions(leaf.place(), leaf.extents)]

    def _constant(self, leaf: Leaf, slot: int) -> Any:
        """A constant, or a table of constants and a place in it."""
        return self._constants(leaf, self._instances(leaf), slot)

    def _constants(self, leaf: Statement, instances: Sequence[int], slot: int) -> Any:
        program = self.builder.code
        values = [program[at].operands[slot] for at in instances]
        return self._tabled(
            leaf, values, [program[v].data for v in values] if values.count(values[0]) < len(values) else []
        )

    def _tabled(self, leaf: Statement, values: Sequence[int], numbers: Sequence[float]) -> Any:
        if not numbers:
            return values[0]
        keys, numbers, steps = list(values), list(numbers), [0] * leaf.depth
        inner = 1
        kept: list[int] = []
        for axis in range(leaf.depth - 1, -1, -1):  # axes along which nothing changes are left out
            extent = leaf.extents[axis]
            block = inner * extent
            if all(keys[k : k + block] == keys[k : k + inner] * extent for k in range(0, len(keys), block)):
                keys = [x for k in range(0, len(keys), block) for x in keys[k : k + inner]]
                numbers = [x for k in range(0, len(numbers), block) for x in numbers[k : k + inner]]
            else:
                kept.append(axis)
                steps[axis] = inner
                inner = block
        builder = self.builder
        table = builder.emit("table", (), ((len(numbers),), tuple(numbers)))
        return table, Affine(0, tuple(steps))

    # ---- writing -------------------------------------------------------------------------------------------------

    def _block(self, level: _Level, body: Iterable[Leaf | Nest]) -> None:
        for one in body:
            if isinstance(one, Leaf):
                self._leaf(level, one)
            else:
                self._nest(level, one)

    def _value(self, level: _Level, source: Any) -> int:
        """The value of an operand at a level."""
        if isinstance(source, int):
            return level.lift(source, 0)
        if isinstance(source, Side):
            return self._side(level, source)
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
        return level.fetch(source.depth, level.around[source.depth].buffer(group), group.address(source.place), Final)

    def _side(self, level: _Level, side: Side) -> int:
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

    def _leaf(self, level: _Level, leaf: Leaf) -> None:
        kind, builder = self.trace.kinds[leaf.kind], level.builder
        operands = [self._value(level, source) for source in leaf.sources]
        wanted = _takes(kind.op, len(operands))
        operands = [self._typed(builder, o, t) for o, t in zip(operands, wanted)]
        value = level.values[leaf] = builder.emit(kind.op, tuple(operands), kind.data)
        if kind.line is not None:
            self._guard(level, leaf, value)
        if leaf.group is not None and leaf.level == leaf.inner == level.depth:
            self._add(level, leaf, _as_number(builder, value))

    def _add(self, level: _Level, leaf: Leaf, value: int) -> None:
        """Add a value, or those of loops within that have ended, to memory."""
        assert leaf.group is not None
        group = leaf.group.root()
        place = group.address(leaf.last(leaf.inner))
        indices, steps = level.indices(place, range(1, level.depth + 1))
        kind = Used if leaf.read else Window
        window = kind(tuple(leaf.extents[level.depth : leaf.inner]), place.base, place.steps[level.depth :], steps)
        array = level.buffer(group)
        level.memory[group] = level.builder.emit("add_at", (array, value, *indices), window)

    def _nest(self, level: _Level, nest: Nest) -> None:
        inner = _Level(Builder((number_values,), level.builder.kept), level, nest)
        made = inner.made = LoopBuilder(level.builder, inner.builder, nest.extent)
        for leaf, source in nest.carries.items():
            inner.carried[leaf] = made.carry(_as_number(level.builder, self._value(level, source)))
        handed: list[Leaf] = list(nest.carries)
        finals = [leaf for leaf in nest.finals if leaf not in nest.carries]
        if nest.carries or nest.writes:  # its steps run in turn anyway
            for _ in finals:
                made.carry(level.builder.constant(0.0))
            handed += finals
            finals = []
        for group in nest.writes:
            inner.memory[group] = made.accumulator(level.buffer(group))
        self._block(inner, nest.body)
        number = [_as_number(inner.builder, inner.values[leaf]) for leaf in handed]
        outs = [(inner.kept(kept), "each") for kept in nest.stacks]
        outs += [(_as_number(inner.builder, inner.values[leaf]), "each") for leaf in finals]
        outs += [(inner.fails[leaf], "sum") for leaf in nest.fails]
        loop = made.finish([*number, *[inner.memory[group] for group in nest.writes]], outs)
        emit = level.builder.emit
        items = iter([emit("item", (loop,), k) for k in range(len(number) + len(nest.writes) + len(outs))])
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

    def _outcomes(self, leaf: Leaf) -> list[bool]:
        """How a comparison must come out in each step."""
        instances = self._instances(leaf)
        self.checked.update(instances)
        return [self.expected[at].expected for at in instances]

    def _guard(self, level: _Level, leaf: Leaf, value: int) -> None:
        """A comparison that is a guard; in a loop, the steps in which it fails are counted."""
        outcomes, builder = self._outcomes(leaf), level.builder
        if level.depth == 0:
            self.guards.append(Guard(value, outcomes[0], self._line(leaf)))
            return
        zero, one = builder.constant(0.0), builder.constant(1.0)
        yes, no = (zero, one) if outcomes[0] else (one, zero)
        if len(set(outcomes)) > 1:
            no = self._value(level, self._tabled(leaf, outcomes, list(map(float, outcomes))))
            yes = builder.emit("sub", (one, no))
        level.fails[leaf] = builder.emit("select", (value, yes, no))

    def _line(self, leaf: Leaf) -> str:
        """The line of a guard, and the outcomes in its steps if they differ."""
        line, outcomes = self.trace.kinds[leaf.kind].line, self._outcomes(leaf)
        assert line is not None
        if len(set(outcomes)) == 1:
            return line
        return f"{line} (in turn: {', '.join([f'{len(list(same))} {truth}' for truth, same in groupby(outcomes)])})"


def _memory(builder: Builder, size: int) -> int:
    """A new array of -0.0: whatever is added to it first keeps its sign, even a zero."""
    inner = Builder((number_values,), builder.kept)
    made = LoopBuilder(builder, inner, size)
    loop = made.finish([], [(inner.constant(-0.0), "each")])
    return builder.emit("item", (loop,), 0)


def _as_number(builder: Builder, value: int) -> int:
    """A truth as 1 or 0: only numbers leave a step."""
    if builder.type_of(value) != TRUTH:
        return value
    return builder.emit("select", (value, builder.constant(1.0), builder.constant(0.0)))


def _takes(op: str, count: int) -> tuple[str, ...]:
    """The types of the operands of an operation."""
    if op == "select":
        return TRUTH, NUMBER, NUMBER
    return (TRUTH if op in LOGIC else NUMBER,) * count


def _positions(place: Affine, extents: Sequence[int]) -> Iterator[int]:
    """All numbers that an affine number is, in the order of the counters."""
    if not extents:
        yield place.base
        return
    for at in product(*[range(n) for n in extents[:-1]]):
        first = place.base + sum([i * s for i, s in zip(at, place.steps)])
        step, count = place.steps[-1], extents[-1]
        yield from range(first, first + step * count, step) if step else (first,) * count
