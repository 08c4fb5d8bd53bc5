"""Nests: loops with short bodies, and the loops in them, as one function that keeps counters and carries in registers.

In scalar code, a loop with independent steps may run in lanes. Both ways are written and the cheaper one is kept: for a
product of a matrix and a vector, the rows of the matrix go into lanes, and each sum keeps its order.
Nests that are equal but for what they are given share one function.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from autograd.compiler.lower.branches import branches_of
from autograd.compiler.lower.module import kind, literal
from autograd.compiler.lower.nests.columns import Columns, columns_of, made_in_place, row_layout
from autograd.compiler.lower.nests.counted import Counted
from autograd.compiler.lower.nests.jam import Jam, jam_of
from autograd.compiler.lower.nests.ordered import Ordered, ordered_sums
from autograd.compiler.lower.nests.steps import NOTHING, InMemory, Step, early_stores
from autograd.compiler.lower.nests.tiles import tiling_of, write_tiles
from autograd.compiler.lower.nests.views import Index, Number, Operand, Task, View
from autograd.compiler.lower.parallel import is_parallel
from autograd.compiler.lower.rows.staging import transposed
from autograd.ir.block import Instruction, Loop, Program, calls_python
from autograd.ir.memory import root_of

MOST_BLOCKS = 2  # of lanes whose inner loops are written together: a square of numbers takes many registers
SHORT, SQUARE = 24, 4  # instructions of a step, and steps, that go by squares


class Begun(NamedTuple):
    """A step that is being written, and where its results go that are stacked."""

    step: Step
    rows: list[View | None]
    roots: dict[int, int]  # output → the array that it is


class Nest(Counted):
    """The function of a nest; in code for lanes, all of it runs in these lanes."""

    holds = True  # whether sums may be held in registers while an outer loop runs

    def write_function(
        self,
        loop: Loop,
        operands: Sequence[Operand],
        targets: Sequence[View | None],
        results: Sequence[str],
        rows: View | None = None,
    ) -> str:
        """The text of the function; carries and sums go to the addresses `results`."""
        found = self.run_loop(Task(loop, operands, targets), rows)
        numbers = [x for x in found if isinstance(x, Number)]
        for x, where in zip(numbers, results, strict=True):
            self.write(f"store {self.type} {self.name(x)}, ptr {where}, align 8")
        return self.text()

    def run_loop(self, task: Task, rows: View | None = None) -> list[Operand]:
        """Write a loop; its results.

        `rows` has the carries of each step, if they are kept in memory of this loop's own: one row more than there are
        steps.
        """
        loop = task.loop
        ways = [lambda: self.in_turn(task, rows)]
        # Functions in Python are not called for lanes that do not count.
        calls = calls_python(loop.body.code)
        lanes = loop.extent and self.lanes == 1 and not calls
        if lanes and is_parallel(loop):
            ways.append(lambda: self._in_lanes(task))
        ordered = ordered_sums(loop) if lanes else None
        if ordered is not None:
            ways.append(lambda: self._in_lanes_and_order(task, ordered))
        tiling = tiling_of(loop) if self.holds and not calls else None
        if tiling is not None:
            ways.append(lambda: write_tiles(self, loop, task.operands, tiling))
        return self._cheapest(ways)

    def in_turn(self, task: Task, rows: View | None) -> list[Operand]:
        """A loop that goes step by step, with its carries in registers or in memory."""
        columns = columns_of(task.loop)
        return self._in_steps(task) if columns is None else self._in_rows(task, columns, rows)

    def _cheapest(self, ways: Sequence[Callable[[], list[Operand]]]) -> list[Operand]:
        """Write something in several ways, and keep the one that costs least; the last of these."""
        if len(ways) == 1:
            return ways[0]()
        mark, before = len(self.lines), (self.cost, self.block, dict(self.made))
        results: list[Operand] = []
        found: tuple[Any, ...] = ()
        for way in ways:
            self.cost, self.block, self.made = before[0], before[1], dict(before[2])
            written = way()
            if not found or self.cost <= found[0]:
                found, results = (self.cost, self.block, self.made, self.lines[mark:]), written
            del self.lines[mark:]
        self.cost, self.block, self.made, lines = found
        self.lines += lines
        return results

    def _in_steps(self, task: Task) -> list[Operand]:
        """A loop that goes step by step, with its carries in registers."""
        jam = jam_of(task.loop) if self.lanes > 1 else None
        return self._together([task])[0] if jam is None else self._in_jammed_steps(task, jam)

    def _together(self, several: Sequence[Task]) -> list[list[Operand]]:
        """Write tasks of the same loop and targets at once, step by step; the results of each of them."""
        loop, targets = several[0].loop, several[0].targets
        wide, groups = self.lanes > 1, [task.roles() for task in several]
        starts, width = list[str](), loop.carries + sum(kind_ == "sum" for kind_ in loop.kinds)
        for roles in groups:
            starts += [self.name(self.number(x)) for x in roles.carries]
            starts += [literal(0.0, self.lanes)] * (width - loop.carries)

        def step(index: Index, names: list[str], elements: Sequence[Operand]) -> list[str]:
            found, count = list[str](), len(elements) // len(several)
            for k, roles in enumerate(groups):
                own = names[k * width : (k + 1) * width]
                carries = [Number(name, wide) for name in own[: loop.carries]]
                here = elements[k * count : (k + 1) * count]
                after, added = self._step(loop, index, [*roles.shared, *carries, *roles.accumulators, *here], targets)
                found += [*[self.name(self.number(x)) for x in after], *self._added(own[loop.carries :], added)]
            return found

        arrays = [x for roles in groups for x in roles.elements if isinstance(x, View)]
        if wide and int(loop.extent) >= SQUARE and _is_short(loop.body) and any(map(_is_turned, arrays)):
            names = self._by_squares(loop, arrays, starts, step)
        else:

            def single(i: str, names: list[str]) -> list[str]:
                return step(Index(i), names, [self.at(x, Index(i)) for x in arrays])

            names = self.counted(int(loop.extent), 1, loop.backwards, starts, single)
        results = []
        for k, task in enumerate(several):
            numbers = [Number(name, wide) for name in names[k * width : (k + 1) * width]]
            results.append(task.results(numbers[: loop.carries], numbers[loop.carries :]))
        return results

    def _in_jammed_steps(self, task: Task, jam: Jam) -> list[Operand]:
        """A loop that goes some independent steps at a time."""
        loop = task.loop
        sums = [literal(0.0, self.lanes) for kind_ in loop.kinds if kind_ == "sum"]
        full, rest = divmod(int(loop.extent), jam.steps)

        def some(i: str, names: list[str], steps: int = jam.steps) -> list[str]:
            indices = [Index(self.plus(i, k)) for k in range(steps)]
            return self._jammed(task, jam, indices[::-1] if loop.backwards else indices, names)

        names, last = sums, str(full * jam.steps)
        if rest and loop.backwards:
            names = some(last, names, rest)
        names = self.counted(full, jam.steps, loop.backwards, names, some)
        if rest and not loop.backwards:
            names = some(last, names, rest)
        return task.results([], [Number(name, self.lanes > 1) for name in names])

    def _jammed(self, task: Task, jam: Jam, indices: Sequence[Index], names: list[str]) -> list[str]:
        """Write independent steps with their inner loops as one; the sums after them."""
        loop, operands, targets = task
        count, inner = loop.shared + loop.handed, loop.body.code[jam.inner].data
        arrays = [x for x in operands[count:] if isinstance(x, View)]
        begun = []
        for index in indices:
            given = [*operands[:count], *[self.at(x, index) for x in arrays]]
            begun.append(self._begun(loop, index, given, targets))
            begun[-1].step.run(0, jam.inner)
        several = [Task(inner, one.step.given(jam.inner), [None] * len(inner.kinds)) for one in begun]
        for one, found in zip(begun, self._together(several), strict=True):
            one.step.values[jam.inner] = found
            one.step.run(jam.inner + 1)
        for one in begun:
            names = self._added(names, self._ended(loop, one)[1])
        return names

    def _in_rows(self, task: Task, columns: Columns, rows: View | None) -> list[Operand]:
        """A loop that goes step by step and hands on more numbers than there are registers.

        Each step reads one row of memory and writes the next. Without memory for all of them, two rows take turns.
        """
        loop, operands, targets = task
        extent, layout, roles = int(loop.extent), row_layout(loop, columns, 8 * self.lanes), task.roles()
        table = self.rows(2, len(columns.of), layout) if rows is None else rows
        carries = [columns.of[loop.first_carry + k] for k in range(loop.carries)]
        beside = columns.shared(loop)
        handed = made_in_place(loop, columns)
        arrays = [x for x in roles.elements if isinstance(x, View)]
        sums = [literal(0.0, self.lanes) for kind_ in loop.kinds if kind_ == "sum"]
        stored = columns.stored if rows is not None else {}  # the rows have them
        others = [None if item in stored else target for item, target in enumerate(targets, loop.handed)]

        def places(row: View, numbers: Sequence[int]) -> list[View]:
            return [self.element(row, [column]) for column in numbers]

        def fill(row: View) -> None:
            """Store what all steps share between the carries."""
            self.copy_numbers([operands[k - 1] for k in beside], places(row, [columns.of[k] for k in beside]))

        def step(i: str, names: list[str]) -> list[str]:
            now, following = (
                self._two_rows(table, i, loop.backwards) if rows is None else self._neighbours(rows, i, loop.backwards)
            )
            if rows is not None:
                fill(now)
            elements = [self.at(x, Index(i)) for x in arrays]
            given = [*roles.shared, *places(now, carries), *roles.accumulators, *elements]
            made = {at: self._part(following, *part) for at, part in handed.items()}
            views = {k: self.element(now, [column]) for k, column in columns.of.items()}
            later = places(following, carries)
            begun = self._begun(loop, Index(i), given, others, InMemory(made, views, early_stores(loop, later)))
            begun.step.run()
            after, added = self._ended(loop, begun)
            ends = zip(loop.body.outputs, after, later)
            left = [(x, place) for o, x, place in ends if x != place and o not in begun.step.stored]
            self.copy_numbers([x for x, _ in left], [place for _, place in left])
            return self._added(names, added)

        if rows is None:
            fill(self._row(table, 0))
            fill(self._row(table, 1))
        begin, finish = self._ends(table, extent, loop.backwards, rows is None)
        self.copy_numbers(roles.carries, places(begin, carries))
        names = self.counted(extent, 1, loop.backwards, sums, step)
        numbers = [Number(name, self.lanes > 1) for name in names]
        return task.results([self.load(place) for place in places(finish, carries)], numbers)

    def _neighbours(self, rows: View, i: str, backwards: bool) -> tuple[View, View]:
        """The row that a step reads and the one that it writes, if there is a row for each step."""
        now, stride = self.at(rows, Index(i)), rows.strides[0]
        return now, now._replace(start=now.start + (-stride if backwards else stride))

    def _ends(self, table: View, extent: int, backwards: bool, in_turn: bool) -> tuple[View, View]:
        """The row that the first step reads, and the one that the last step writes."""
        if in_turn:
            one, other = self._row(table, 0), self._row(table, extent % 2)
            return (other, one) if backwards else (one, other)
        first, last = (extent - 1, -1) if backwards else (0, extent)
        return self._row(table, first), self._row(table, last)

    def _two_rows(self, pair: View, i: str, backwards: bool) -> tuple[View, View]:
        """The row that a step reads and the one that it writes: an even step of a loop forwards reads the first."""
        if i.isdigit():
            odd, even = str(int(i) % 2), str(1 - int(i) % 2)
        else:
            odd = self.temporary(f"and i64 {i}, 1")
            even = self.temporary(f"xor i64 {odd}, 1")
        one, other = self.at(pair, Index(odd)), self.at(pair, Index(even))
        return (other, one) if backwards else (one, other)

    @staticmethod
    def _row(rows: View, k: int) -> View:
        """Row number k, which may be the one before the first or after the last."""
        return rows._replace(shape=rows.shape[1:], strides=rows.strides[1:], start=rows.start + k * rows.strides[0])

    @staticmethod
    def _part(row: View, column: int, count: int) -> View:
        """Some columns of a row."""
        return row._replace(shape=(count,), start=row.start + column * row.strides[0])

    def _in_lanes(self, task: Task) -> list[Operand]:
        """A loop with independent steps, as many at a time as there are lanes."""
        loop, operands, targets = task = self.with_numbers(task)
        lanes = self.module.machine.lanes
        sums = [literal(0.0, lanes) for kind_ in loop.kinds if kind_ == "sum"]
        count, jam = loop.shared + loop.handed, jam_of(loop)
        arrays = [x for x in operands[count:] if isinstance(x, View)]

        def block(indices: Sequence[Index], names: list[str]) -> list[str]:
            if jam is not None and len(indices) > 1:
                return self._jammed(task, jam, indices, names)
            given = [*operands[:count], *[self.at(x, indices[0]) for x in arrays]]
            _, added = self._step(loop, indices[0], given, targets)
            return self._added(names, added)

        together = 1 if jam is None else MOST_BLOCKS
        names = self.blocks(int(loop.extent), sums, block, not (sums or loop.accumulators), together)
        return task.results([], [self.total(name) for name in names])

    def _in_lanes_and_order(self, task: Task, ordered: Ordered) -> list[Operand]:
        """A loop that hands on sums in order, with their terms in lanes."""
        task = self.with_numbers(task)
        loop, lanes = task.loop, self.module.machine.lanes
        sums = [literal(0.0, lanes) for kind_ in loop.kinds if kind_ == "sum"]
        carries = [self.name(self.number(x)) for x in task.roles().carries]
        types = ["double"] * len(carries) + [kind(lanes)] * len(sums)

        def block(indices: Sequence[Index], names: list[str]) -> list[str]:
            return self.ordered_block(task, indices[0], ordered, names)

        again = False  # no term is added twice
        names = self.blocks(int(loop.extent), [*carries, *sums], block, again, types=types)
        totals = [self.total(name) for name in names[loop.carries :]]
        return task.results([Number(name) for name in names[: loop.carries]], totals)

    def ordered_block(self, task: Task, index: Index, ordered: Ordered, names: list[str]) -> list[str]:
        """Write a block of steps: the sums in order after it, then the others."""
        loop, operands, targets = task
        count, flags = loop.shared + loop.handed, self.module.machine.flags
        arrays = [self.at(x, index) for x in operands[count:] if isinstance(x, View)]
        begun = self._begun(loop, index, [*operands[:count], *arrays], targets, left_out=ordered.sums)
        begun.step.run()
        others = self._added(names[loop.carries :], self._ended(loop, begun)[1])
        totals = list(names[: loop.carries])
        for lane in range(self.valid):
            for k, terms in enumerate(ordered.terms):
                for op, term in terms:
                    x = begun.step.number(term)
                    name = self.name(x, False)
                    if self.is_wide(x):
                        name = self.temporary(f"extractelement {self.type} {self.name(x)}, i64 {lane}")
                    self.spend(2)
                    totals[k] = self.temporary(f"f{op} {flags}double {totals[k]}, {name}")
        return [*totals, *others]

    def _by_squares(
        self, loop: Loop, arrays: Sequence[View], given: Sequence[str], step: Callable[..., list[str]]
    ) -> list[str]:
        """Steps whose elements are neighbours in memory, in each lane: as many are loaded at once as there are lanes.

        The square of numbers is transposed in registers.
        """
        lanes = self.lanes
        full, rest = divmod(int(loop.extent), lanes)

        def block(base: str, names: list[str], count: int = lanes) -> list[str]:
            squares = {k: self._square(x, base, count) for k, x in enumerate(arrays) if _is_turned(x)}
            for t in reversed(range(count)) if loop.backwards else range(count):
                index = Index(self.plus(base, t))
                elements = [
                    Number(squares[k][t], True) if k in squares else self.at(x, index) for k, x in enumerate(arrays)
                ]
                names = step(index, names, elements)
            return names

        names = list(given)
        if rest and loop.backwards:
            names = block(str(full * lanes), names, rest)
        names = self.counted(full, lanes, loop.backwards, names, block)
        if rest and not loop.backwards:
            names = block(str(full * lanes), names, rest)
        return names

    def _square(self, view: View, base: str, count: int) -> list[str]:
        """The elements `base` to `base + count` of an array in each lane: a vector for each."""
        lanes, names = self.lanes, []
        for lane in range(self.valid):
            where = self.moved(self.address(view.pointer, view.start + lane * view.lane), base, 8)
            names.append(self.load_first(where, count))
        names += ["zeroinitializer"] * (lanes - self.valid)
        self.spend(lanes + lanes * (lanes.bit_length() - 1))
        self.temporaries += 1
        lines, names = transposed(lanes, names, f"s{self.temporaries}.")
        for line in lines:
            self.write(line)
        return names

    def with_numbers(self, task: Task) -> Task:
        """A task whose operands that are numbers in memory are loaded."""
        loaded = [self.number(x) if isinstance(x, View) and not x.shape else x for x in task.operands]
        return task._replace(operands=loaded)

    def _added(self, before: Sequence[str], added: Sequence[Number]) -> list[str]:
        """Sums after a step; lanes that do not count add nothing."""
        self.spend(len(added))
        names = [self.name(x) for x in added]
        if self.lanes > 1 and self.valid < self.lanes:
            zero = literal(0.0, self.lanes)
            choices = [f"{self.bit} {self.mask(self.valid)}, {self.type} {name}, {self.type} {zero}" for name in names]
            names = [self.temporary(f"select {choice}") for choice in choices]
        flags = self.module.machine.flags
        return [self.temporary(f"fadd {flags}{self.type} {x}, {y}") for x, y in zip(before, names)]

    # ---- steps ---------------------------------------------------------------------------------------------

    def _step(
        self,
        loop: Loop,
        index: Index,
        operands: Sequence[Operand],
        targets: Sequence[View | None],
    ) -> tuple[list[Operand], list[Number]]:
        """Write one step, given the elements that it takes: the carries after it, and what is added to the sums."""
        begun = self._begun(loop, index, operands, targets)
        begun.step.run()
        return self._ended(loop, begun)

    def _begun(
        self,
        loop: Loop,
        index: Index,
        operands: Sequence[Operand],
        targets: Sequence[View | None],
        memory: InMemory = NOTHING,
        left_out: Collection[int] = (),
    ) -> Begun:
        """A step, of which nothing is written yet."""
        body = loop.body
        rows = [None if target is None else self.at(target, index) for target in targets]
        roots = {o: root_of(body, o) for o in body.outputs[loop.handed :]}
        places = dict(memory.made)  # arrays that are made where they are to be stacked
        for o, row in zip(body.outputs[loop.handed :], rows):
            if row is not None and row.shape and self._may_be_made(body.code[roots[o]], row):
                places.setdefault(roots[o], row)
        inputs: list[Operand] = [Number("", counter=index), *operands]
        branches = branches_of(loop) if self.lanes == 1 and loop.carries else {}
        step = Step(self, body, inputs, memory._replace(made=places), branches, left_out=left_out)
        return Begun(step, rows, roots)

    def _ended(self, loop: Loop, begun: Begun) -> tuple[list[Operand], list[Number]]:
        """Store what a step computes: the carries after it, and what is added to the sums."""
        body, values, places = loop.body, begun.step.values, begun.step.places
        pairs = [(o, row) for o, row in zip(body.outputs[loop.handed :], begun.rows) if row is not None]
        single = [(values[o], row) for o, row in pairs if not row.shape]
        self.copy_numbers([x for x, _ in single], [row for _, row in single])
        for o, row in pairs:
            if row.shape and places.get(begun.roots[o]) is not row:
                self.copy(values[o], row)
        after = [values[o] for o in body.outputs[: loop.carries]]
        outs = zip(body.outputs[loop.handed :], loop.kinds)
        return after, [self.number(values[o]) for o, kind_ in outs if kind_ == "sum"]

    def _may_be_made(self, instruction: Instruction, row: View) -> bool:
        """Whether an array may be made where it is to be stacked; one that is added to is better in one piece."""
        op = instruction.op
        return op in ("pack", "item") or (op == "zeros" and (self.lanes == 1 or row.lane == 8))


def _is_short(body: Program) -> bool:
    """Whether a body may be written once for each lane."""
    return len(body.code) <= SHORT and all(op != "loop" for op, _, _ in body.code)


def _is_turned(view: View) -> bool:
    """Whether the elements of an array are neighbours in memory, but those of neighbouring lanes are not."""
    return view.strides == (8,) and view.lane not in (0, 8) and not view.offsets
