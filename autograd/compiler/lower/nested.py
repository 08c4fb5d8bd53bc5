"""Calls of nests: what a loop with a short body is given, in the code around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd.compiler.lower.code import Code
from autograd.compiler.lower.module import Place
from autograd.compiler.lower.nests.columns import Columns, columns_of, row_layout
from autograd.compiler.lower.nests.decided import DecidedNest, fits_registers, is_decided
from autograd.compiler.lower.nests.nest import Nest
from autograd.compiler.lower.nests.views import Index, Number, Operand, View
from autograd.compiler.lower.parallel import has_known_extents, key, size_of_nest, stored_carries
from autograd.compiler.lower.rows.layout import fits_lanes, is_long_map
from autograd.ir.block import STEPS, TRUTH, Array, Loop, loops

LONGEST = 1000  # instructions in a nest of loops that is one function
MOST_OPERANDS = 512  # of such a nest
MOST_SUMS, FEW_ROWS = 16, 256  # of a map that is one, in scalar code
SIMPLE = 32  # instructions of a step; then it is one for any number of rows: they need no stage


class Nesting(Code):
    """Code that calls nests."""

    def is_short(self, loop: Loop, operands: tuple[int, ...]) -> bool:
        """Whether a loop and those in it are one function, with what they hand on in registers."""
        if self.mask is not None and loop.accumulators:
            return False  # lanes that take no part in the step add nothing
        if size_of_nest(loop) > LONGEST or len(operands) > MOST_OPERANDS or not has_known_extents(loop):
            return False
        if any(is_long_map(inner) for inner in (loop, *loops(loop.body))):
            return False
        if self.lanes > 1 or not fits_lanes(loop):
            return True
        few = isinstance(loop.extent, int) and (loop.extent <= FEW_ROWS or len(loop.body.code) <= SIMPLE)
        return few and loop.kinds.count("sum") <= MOST_SUMS

    def is_decided(self, loop: Loop, operands: tuple[int, ...]) -> bool:
        """Whether it is one function, though extents are decided while it runs."""
        short = size_of_nest(loop) <= LONGEST and len(operands) <= MOST_OPERANDS
        if not (short and is_decided(loop) and fits_registers(loop)):
            return False
        return self.lanes > 1 or not fits_lanes(loop)

    def call_nest(self, value: int, operands: tuple[int, ...], loop: Loop, decided: bool = False) -> None:
        """A loop as a function that keeps counters and carries in registers."""
        parameters: list[str] = []
        arguments: list[str] = []
        known: dict[Place, tuple[str, int]] = {}  # blocks of arrays that are passed
        given = [self._argument(o, parameters, arguments, known) for o in operands]
        carries = [self.room(()) for _ in range(loop.carries)]
        added = [self.array(o) for o in loop.by_role(operands).accumulators]
        buffers_before, self.capacity = self.buffers(), None
        columns = None if decided else self._columns(value, loop)
        table = self._rows_of_carries(loop, columns) if columns is not None and columns.stored else None
        results = self.results_of(value, loop, columns, table)
        memory = self.module.memory
        buffers = iter(memory.buffers[buffers_before:] if memory else [])
        types = loop.result_types()[loop.handed :]
        views: list[View | None] = []
        numbers: list[str] = []
        sums = [place for place, kind_ in zip(results, loop.kinds) if kind_ == "sum"]
        for place in [*carries, *sums]:
            numbers.append(f"%r{len(numbers)}")
            parameters.append(f"ptr {numbers[-1]}")
            arguments.append(f"ptr {self.pointer(place)}")
        for k, (place, kind_, made) in enumerate(zip(results, loop.kinds, types)):
            if kind_ == "sum" or not isinstance(made, Array):
                views.append(None)
                continue
            views.append(self._passed(f"%o{k}", made, place, parameters, arguments, known))
        rows = None
        if columns is not None and table is not None:
            several = Array((loop.extent, len(columns.of)))
            rows = self._passed("%rows", several, table, parameters, arguments, known)
        self.items[value] = [*carries, *added, *results]
        growing = {k: next(buffers) for k, t in enumerate(types) if isinstance(t, Array) and t.shape[0] == STEPS}
        active = "%active" if decided and self.mask is not None else ""
        if active:
            parameters.append(f"{self.type} {active}")
            arguments.append(f"{self.type} {self.mask_numbers()}")
        whole = (key(loop), self.lanes, tuple(given), tuple(views), rows, tuple(growing.items()), active)
        if whole not in self.module.nests:
            nest = DecidedNest(self.module, self.lanes, growing, active) if decided else Nest(self.module, self.lanes)
            text = nest.write_function(loop, given, views, numbers, rows)
            self.add_nest(whole, parameters, text)
        self.call_known(whole, arguments)

    def mask_numbers(self) -> str:
        """Which lanes take part in the step: 1 or 0 in each."""
        assert self.mask is not None
        return self.temporary(f"load {self.type}, ptr {self.address('%work', self.mask)}, align {self.width}")

    def buffers(self) -> int:
        """How many arrays are in memory that grows."""
        return len(self.module.memory.buffers) if self.module.memory else 0

    def _passed(
        self,
        name: str,
        made: Array,
        place: Place,
        parameters: list[str],
        arguments: list[str],
        known: dict[Place, tuple[str, int]],
    ) -> View:
        """An array as a nest sees it. Arrays whose elements lie between one another are passed as one pointer."""
        block = place._replace(offset=0)
        if block in known:
            pointer, first = known[block]
            if 0 < place.offset - first < place.strides[0]:
                return view_of(pointer, made, place)._replace(start=place.offset - first)
        known[block] = name, place.offset
        parameters.append(f"ptr {name}")
        arguments.append(f"ptr {self.pointer(place)}")
        return view_of(name, made, place)

    def _argument(
        self, o: int, parameters: list[str], arguments: list[str], known: dict[Place, tuple[str, int]]
    ) -> Operand:
        """An operand of a nest: what it is there. What is passed for it is added to the arguments."""
        name, made = f"%a{len(parameters)}", self.types[o]
        op, _, data = self.program.code[o]
        if isinstance(made, Array):
            return self._passed(name, made, self.array(o), parameters, arguments, known)
        if op == "input" and data == 0 and self.counter is not None and self.counter_is_shared:
            parameters.append(f"i64 {name}")
            where = self.address("%work", self.counter)
            arguments.append(f"i64 {self.temporary(f'load i64, ptr {where}')}")
            return Number("", counter=Index(name))
        place_of = self.place_of(o)
        if self.lanes > 1 and place_of is not None and not place_of.wide:
            parameters.append(f"double {name}")
            arguments.append(f"double {self.temporary(f'load double, ptr {self.pointer(place_of)}')}")
            return Number(name)
        type_ = self.bit if made == TRUTH else self.type
        parameters.append(f"{type_} {name}")
        arguments.append(f"{type_} {self.get(o)}")
        return Number(name, self.lanes > 1, truth=made == TRUTH)

    def place_of(self, o: int) -> Place | None:
        """Where a number lies in memory that is loaded where it is used."""
        op, operands, data = self.program.code[o]
        if op == "input" and not (data == 0 and self.counter is not None):
            return self.where[int(data)]
        if op == "read" and self.is_free(o):
            return self.window(operands[0], data, operands[1:])
        return self.items[operands[0]][int(data)] if op == "item" else None

    def destination(self, value: int, item: int, row: Sequence[Any]) -> Place:
        """Where a result of a loop that is an array goes."""
        return self.room(row)

    def _columns(self, value: int, loop: Loop) -> Columns | None:
        """The columns of the rows of a loop that keeps its carries in memory."""
        return columns_of(loop, [k for k in range(loop.handed + len(loop.kinds)) if self.is_output(value, k)])

    def _rows_of_carries(self, loop: Loop, columns: Columns) -> Place:
        """Memory for the carries of each step, and of one more."""
        length, before = row_layout(loop, columns, self.width)
        start = self.module.layout.take(before + length * (int(loop.extent) + 1)) + before
        return Place("%work", start + length * loop.backwards, (length, self.width), self.lanes > 1)

    def results_of(
        self, value: int, loop: Loop, columns: Columns | None = None, table: Place | None = None
    ) -> list[Place]:
        """Where the results of a loop go that are stacked or added up; `table` has the columns."""
        types = loop.result_types()
        kept, block = stored_carries(loop), table
        if columns is not None and table is not None:
            kept = columns.stored
        elif len(kept) > 1 and isinstance(loop.extent, int) and not any(self.is_output(value, item) for item in kept):
            block = self.room((loop.extent, len(kept)))
        places = []
        for item in range(loop.handed, len(types)):
            made = types[item]
            if block is not None and item in kept:
                places.append(block.moved(self.width * kept[item], block.strides[:1]))
            elif isinstance(made, Array):
                places.append(self.destination(value, item, made.shape))
            else:
                places.append(self.room(()))
        return places

    def is_output(self, value: int, item: int) -> bool:
        """Whether a result of a loop is an output of the program."""
        return False

    def by_element(self, how: str, source: Place, target: Place, shape: Sequence[int]) -> None:
        """Copy an array to another or add it to that, in a loop."""
        made = Array(tuple(shape))
        given = view_of("%source", made, source), view_of("%target", made, target)
        whole = (how, self.lanes, given)
        if whole not in self.module.nests:
            text = Nest(self.module, self.lanes).write_elements(how, *given)
            self.add_nest(whole, ["ptr %source", "ptr %target"], text)
        self.call_known(whole, [f"ptr {self.pointer(source)}", f"ptr {self.pointer(target)}"])

    def add_totals(self, source: Place, target: Place, shape: tuple[int, ...]) -> None:
        """Add what the lanes have added up to the array for which they did."""
        given = view_of("%source", Array(shape), source)._replace(lane=0), view_of("%target", Array(shape), target)
        whole = ("totals", given)
        if whole not in self.module.nests:
            text = Nest(self.module, 1).write_totals(*given)
            self.add_nest(whole, ["ptr %source", "ptr %target"], text)
        self.call_known(whole, [f"ptr {self.pointer(source)}", f"ptr {self.pointer(target)}"])

    def add_nest(self, whole: tuple[Any, ...], parameters: Sequence[str], text: str) -> None:
        """Add the function of a nest to the module."""
        name = self.module.nests[whole] = f"@{self.module.unique('nest')}"
        head = f"define internal void {name}({', '.join([*parameters, 'ptr %work'])}) nounwind alignstack(64)"
        self.module.functions.append(f"{head} {{\n{text}\n}}")

    def call_known(self, whole: tuple[Any, ...], arguments: Sequence[str]) -> None:
        """Call a nest that the module has."""
        self.write(f"call void {self.module.nests[whole]}({', '.join([*arguments, 'ptr %work'])})")


def view_of(name: str, made: Array, place: Place) -> View:
    """An array as a nest sees it."""
    shape = tuple([e if isinstance(e, int) else 0 for e in made.shape])  # nobody asks for the number of steps
    return View(name, shape, place.strides, 8 if place.wide else 0)
