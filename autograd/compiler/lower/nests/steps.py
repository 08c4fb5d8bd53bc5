"""The instructions of one step of a loop in a nest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from autograd.compiler.lower.branches import Branch
from autograd.compiler.lower.expressions import ARITHMETIC, INTRINSICS, LIBM
from autograd.compiler.lower.nests.columns import columns_of, row_layout
from autograd.compiler.lower.nests.counted import FEWEST_NEIGHBOURS, one_of
from autograd.compiler.lower.nests.views import Index, Number, Operand, Task, View, neighbours, run_of
from autograd.compiler.lower.parallel import stored_carries
from autograd.ir.block import PREDICATES, Array, Loop, Program, types_of
from autograd.ir.memory import arrays_written, root_of

if TYPE_CHECKING:
    from autograd.compiler.lower.nests.nest import Nest
    from autograd.compiler.lower.nests.tiles import Tile

DIVIDE, CALL = 8, 30  # what these cost, in additions


class InMemory(NamedTuple):
    """What a step finds in memory, and what it leaves there.

    Attributes
    ----------
    made : mapping
        Instruction → where the array goes that it makes.
    views : mapping
        Input → where it lies.
    early : mapping
        Number → where it goes as soon as it is computed.
    """

    made: Mapping[int, View] = {}
    views: Mapping[int, View] = {}
    early: Mapping[int, list[View]] = {}


NOTHING = InMemory()


class Step:
    """The values of a body, being written."""

    def __init__(
        self,
        nest: Nest,
        body: Program,
        inputs: Sequence[Operand],
        memory: InMemory = NOTHING,
        branches: Mapping[int, Branch] | None = None,
        tile: Tile | None = None,
        left_out: Collection[int] = (),
    ) -> None:
        self.nest, self.body, self.inputs, self.tile, self.left_out = nest, body, inputs, tile, left_out
        self.places, self.views, self.early = memory
        self.stored: set[int] = set()  # the numbers that are where they go early
        self.branches = branches or {}
        self.values: list[Any] = [None] * len(body.code)
        self.loaded: dict[int, View] = {}  # where numbers lie that have been loaded
        self.types = types_of(body)
        self.changing = _changing(body)
        self.item_of: dict[tuple[int, int], int] = {}
        for at, (op, operands, data) in enumerate(body.code):
            if op == "item":
                self.item_of.setdefault((operands[0], data), at)

    def run(self, first: int = 0, last: int | None = None) -> list[Any]:
        """Write all instructions, or those from one to another."""
        elsewhere = {at for branch in self.branches.values() for at in branch.members()}.union(self.left_out)
        for at in range(first, len(self.body.code) if last is None else last):
            if at in self.branches:
                self._branch(self.branches[at])
            elif at not in elsewhere:
                self._instruction(at)
        return self.values

    def _instruction(self, at: int) -> None:
        op, operands, data = self.body.code[at]
        special = _SPECIAL.get(op)
        if special is not None:
            self.values[at] = special(self, at, operands, data)
        else:
            self.values[at] = self._operation(op, [self.number(o) for o in operands], data)
            for place in self.early.get(at, ()):
                self.nest.store(self.number(at), place)
                self.stored.add(at)

    def _branch(self, branch: Branch) -> None:
        """Write selections as a branch, with what only one side needs in that side."""
        nest, code = self.nest, self.body.code
        for at in branch.before:
            self._instruction(at)
        inside = {*branch.sides[0], *branch.sides[1]}
        for at in [*inside, *branch.selections]:
            for o in code[at].operands:
                if o not in inside:
                    self.number(o)  # loaded in front of both sides
        condition = nest.name(self.number(branch.condition))
        nest.temporaries += 1
        head, chosen, ends = f"branch{nest.temporaries}", [], []
        nest.write(f"br i1 {condition}, label %{head}.1, label %{head}.2")
        for side, members in enumerate(branch.sides, 1):
            nest.begin(f"{head}.{side}")
            made = dict(nest.made)
            for at in members:
                self._instruction(at)
            chosen.append([nest.name(self.number(code[at].operands[side])) for at in branch.selections])
            ends.append(nest.block)
            nest.write(f"br label %{head}.done")
            nest.made = made
        nest.begin(f"{head}.done")
        for at, *names in zip(branch.selections, *chosen, strict=True):
            self.values[at] = Number(nest.temporary(one_of(nest.type, zip(names, ends, strict=True))))

    def number(self, o: int) -> Number:
        """The number that a value is."""
        before = self.values[o]
        found = self.values[o] = self.nest.number(before)
        if isinstance(before, View):
            self.loaded[o] = before
        return found

    def _in_place(self, o: int) -> Operand:
        """A value where it lies in memory, if it does."""
        op, _, data = self.body.code[o]
        if op == "input" and data in self.views:
            return self.views[data]
        found: Operand = self.loaded.get(o, self.values[o])
        return found

    def _operation(self, op: str, numbers: Sequence[Number], data: Any) -> Number:
        nest = self.nest
        lanes = nest.lanes
        wide = any(nest.is_wide(x) for x in numbers)
        nest.set_lanes(lanes if wide else 1)
        names = [nest.name(x) for x in numbers]
        name = self._computed(op, names, data)
        nest.set_lanes(lanes)
        condition = names[0] if op == "select" and [x.constant for x in numbers[1:]] == [1.0, 0.0] else ""
        return Number(name, wide, truth=op in PREDICATES, condition=condition)

    def _computed(self, op: str, names: list[str], data: Any) -> str:
        """The name of the result of an operation; the steps of a tile compute some numbers alike."""
        nest, known = self.nest, ("operation", op, *names, self.nest.lanes)
        if self.tile is None or op == "custom":
            known = ()
        elif known in nest.made:
            return nest.made[known]
        nest.spend(_cost(nest, op))
        name = nest.temporary(nest.expression(op, names, data))
        if known:
            nest.made[known] = name
        return name

    def _input(self, at: int, operands: tuple[int, ...], data: Any) -> Operand:
        found: Operand = self.inputs[data]
        return found

    def _constant(self, at: int, operands: tuple[int, ...], data: Any) -> Operand:
        return Number("", constant=data)

    def _window(self, at: int, operands: tuple[int, ...], data: Any) -> View:
        array, *indices = operands
        return self.nest.window(self.values[array], data, [self.number(o) for o in indices])

    def _read(self, at: int, operands: tuple[int, ...], data: Any) -> Operand:
        view = self._window(at, operands, data)
        return self.nest.load(view) if not view.shape and root_of(self.body, operands[0]) in self.changing else view

    def _add_at(self, at: int, operands: tuple[int, ...], data: Any) -> Operand:
        nest, (array, added, *indices) = self.nest, operands
        if self.tile is not None and at in self.tile.held:
            self.tile.add(nest, at, self.number(added))
            found: View = self.values[array]
            return found
        view = self._window(at, (array, *indices), data)
        if view.shape:
            nest.add_array(self.values[added], view)
        else:
            nest.add_to(self.number(added), view)
        found = self.values[array]
        return found

    def _zeros(self, at: int, operands: tuple[int, ...], data: Any) -> Operand:
        nest = self.nest
        made = self.places.get(at) or nest.room(data)
        nest.elementwise([made], lambda one: nest.store(Number("", constant=0.0), one[0]), again=True)
        return made

    def _pack(self, at: int, operands: tuple[int, ...], data: Any) -> Operand:
        nest, numbers = self.nest, [self._in_place(o) for o in operands]
        together = len(numbers) >= FEWEST_NEIGHBOURS and run_of(numbers, 0) == len(numbers) and len(data) == 1
        if together and at not in self.places and at not in self.changing:
            return neighbours(numbers)
        made = self.places.get(at) or nest.room(data)
        nest.copy_numbers(numbers, [nest.element(made, _position(data, k)) for k in range(len(numbers))])
        return made

    def _table(self, at: int, operands: tuple[int, ...], data: Any) -> Operand:
        shape, numbers = data
        return View(self.nest.module.table(numbers), shape, tuple([8 * s for s in Array(shape).strides()]))

    def _same(self, at: int, operands: tuple[int, ...], data: Any) -> Operand:
        found: Operand = self.values[operands[0]]
        return found

    def _item(self, at: int, operands: tuple[int, ...], data: Any) -> Operand:
        found: Operand = self.values[operands[0]][data]
        return found

    def _loop(self, at: int, operands: tuple[int, ...], loop: Loop) -> Any:
        nest = self.nest
        if self.tile is not None:
            return self.tile.run(nest, loop, self.given(at))
        types = loop.result_types()
        targets: list[View | None] = []
        elsewhere = [item for (loop_at, item), place in self.item_of.items() if loop_at == at and place in self.places]
        columns = columns_of(loop, elsewhere)
        kept, block, rows = stored_carries(loop), None, None
        if columns is not None and columns.stored:
            layout = row_layout(loop, columns, 8 * nest.lanes)
            kept, more = columns.stored, nest.rows(int(loop.extent) + 1, len(columns.of), layout)
            rows = more._replace(
                start=more.start + more.strides[0] * loop.backwards, shape=(int(loop.extent), more.shape[1])
            )
        elif len(kept) > 1:
            block = nest.room((int(loop.extent), len(kept)))
        table = rows or block
        by_column = table and table._replace(shape=table.shape[::-1], strides=table.strides[::-1])
        for k, kind_ in enumerate(loop.kinds, loop.handed):
            made = types[k]
            if kind_ == "sum":
                targets.append(None)
                continue
            assert isinstance(made, Array)
            place = self.places.get(self.item_of.get((at, k), -1))
            if place is None and by_column is not None and k in kept:
                place = nest.at(by_column, Index(str(kept[k])))
            targets.append(place or nest.room(tuple([int(e) for e in made.shape])))
        return nest.run_loop(Task(loop, self.given(at), targets), rows)

    def given(self, at: int) -> list[Operand]:
        """The operands of a loop."""
        operands = self.body.code[at].operands
        return [self.values[o] if isinstance(self.types[o], Array) else self.number(o) for o in operands]


def early_stores(loop: Loop, places: Sequence[View]) -> dict[int, list[View]]:
    """Which numbers that a step hands on are stored as soon as they are computed, and where.

    The next step may load them with their neighbours as a vector, which waits until they have reached memory. So they
    are stored before the loops of this step that come after them.
    """
    found: dict[int, list[View]] = {}
    code = loop.body.code
    last = max([at for at, i in enumerate(code) if i.op == "loop"], default=0)
    for o, place in zip(loop.body.outputs, places):
        if o < last and code[o].op in ARITHMETIC:
            found.setdefault(o, []).append(place)
    return found


def _changing(program: Program) -> set[int]:
    """The instructions that made arrays which are added to."""
    return {root_of(program, o) for instruction in program.code for o in arrays_written(instruction)}


def _position(shape: Sequence[int], k: int) -> list[int]:
    """The indices of element number k of an array."""
    found = []
    for unit in Array(tuple(shape)).strides():
        index, k = divmod(k, unit)
        found.append(index)
    return found


def _cost(nest: Nest, op: str) -> float:
    if op in ("div", "sqrt"):
        return DIVIDE if nest.lanes == 1 else 2 * DIVIDE
    if op in ARITHMETIC or op in INTRINSICS or op in PREDICATES or op in ("neg", "select"):
        return 1
    in_lanes = nest.lanes == 1 or LIBM.get(op) in nest.module.machine.vector_math
    return CALL if in_lanes else CALL * nest.lanes


_SPECIAL: dict[str, Callable[[Step, int, tuple[int, ...], Any], Any]] = {
    "input": Step._input,
    "constant": Step._constant,
    "read": Step._read,
    "add_at": Step._add_at,
    "zeros": Step._zeros,
    "pack": Step._pack,
    "table": Step._table,
    "pos": Step._same,
    "item": Step._item,
    "loop": Step._loop,
}
