"""Loops in code: what each of them takes and where its results go, and the code of its steps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from autograd.compiler.lower.module import Module, Place, literal
from autograd.compiler.lower.nested import Nesting, view_of
from autograd.compiler.lower.nests.nest import Nest
from autograd.compiler.lower.rows.layout import Rows, adds_in_lanes, entries, fits_lanes
from autograd.compiler.lower.rows.loops import write_map, write_steps
from autograd.compiler.lower.rows.sides import LEAST, Literal, cost, paths
from autograd.compiler.lower.rows.sums import Kept, keep_factors
from autograd.compiler.lower.whiles import Deciding, write_while
from autograd.ir.block import CALL, GOING, STEPS, Array, Loop

LONGEST_ROW = 8000  # instructions of a row in one function: it takes LLVM a third longer, and runs a fifth faster
SHORT = 150  # lines of the body of a map that become part of its loop


class Looping(Nesting):
    """Code with loops in it."""

    def run_loop(self, value: int, operands: tuple[int, ...], loop: Loop) -> None:
        """Lay out what a loop takes and call it."""
        if self.is_short(loop, operands):
            self.call_nest(value, operands, loop)
            return
        if self.is_decided(loop, operands):
            self.call_nest(value, operands, loop, decided=True)
            return
        shared = [self._shared(o) for o in operands[: loop.shared]]
        if self.lanes == 1 and (fits_lanes(loop) or self._adds_in_lanes(loop)):
            self._map(value, operands, loop, shared)
        else:
            self._steps_of(value, operands, loop, shared)

    def _adds_in_lanes(self, loop: Loop) -> bool:
        machine = self.module.machine
        return not machine.in_order and adds_in_lanes(loop, machine.lanes)

    def _shared(self, o: int) -> Place:
        """Where the steps of a loop find a value of this program."""
        if isinstance(self.types[o], Array):
            return self.pinned(self.array(o))
        found = self.place_of(o)
        if found is not None:
            return self.pinned(found)
        place = self.room(())
        self.make_room()
        self.store(o, place)
        return place

    def _steps_of(self, value: int, operands: tuple[int, ...], loop: Loop, shared: Sequence[Place]) -> None:
        """A loop that goes step by step, in all lanes."""
        if loop.extent == CALL:
            raise NotImplementedError("a loop over the rows of a call whose steps add to one array")
        module, room = self.module, self.room
        carries = [room(()) for _ in range(loop.carries)]
        roles = loop.by_role(operands)
        for o, place in zip(roles.carries, carries):
            self.make_room()
            self.store(o, place)
        buffers_before, self.capacity = self.buffers(), None
        added = [self.pinned(self.array(o)) for o in roles.accumulators]
        counter = module.layout.take(8, 8)
        arrays = [self.pinned(self.array(o)) for o in roles.elements]
        elements = [array.at([counter]) for array in arrays]
        results = [self.pinned(place) for place in self.results_of(value, loop)]
        self.items[value] = [*carries, *added, *results]
        following = [room(()) for _ in carries]
        name = module.unique("step")
        where = [Place("%work", 0), *shared, *carries, *added, *elements]
        body = StepCode(module, loop, name, self.lanes, where, counter)
        body.targets = [*following, *added, *results]
        deciding = self._deciding(loop, carries, shared, buffers_before) if loop.extent == STEPS else None
        body.mask = self.mask if deciding is None else deciding.mask
        for kind_, place in zip(loop.kinds, results):
            if kind_ == "sum":
                self.write(
                    f"store {self.type} {literal(0.0, self.lanes)}, ptr {self.pointer(place)}, align {self.width}"
                )
        moves = [(a.offset, b.offset) for a, b in zip(following, carries)]
        chunks = body.lower()
        if deciding is None:
            self.call(write_steps(module, chunks, str(loop.extent), counter, loop.backwards, moves, self.lanes))
        else:
            self.call(write_while(module, chunks, loop, counter, moves, self.lanes, deciding))

    def _deciding(self, loop: Loop, carries: Sequence[Place], shared: Sequence[Place], buffers_before: int) -> Deciding:
        """What decides about the steps of a loop; a lane that takes no part in the step around it has none."""
        number = carries[GOING] if loop.test else self._in_lanes(shared[0])
        memory = self.module.memory
        buffers = memory.buffers[buffers_before:] if memory else []
        if self.mask is not None:
            where = self.pointer(number)
            given = self.temporary(f"load {self.type}, ptr {where}, align {self.width}")
            left = self.masked(self.mask, given, 0.0)
            self.write(f"store {self.type} {left}, ptr {where}, align {self.width}")
        return Deciding(number, self.module.layout.take(self.width, self.width) if self.lanes > 1 else None, buffers)

    def _in_lanes(self, place: Place) -> Place:
        """A copy of a number, one for each lane."""
        copy = self.room(())
        self.write(f"store {self.type} {self._number_at(place)}, ptr {self.pointer(copy)}, align {self.width}")
        return copy

    def _map(self, value: int, operands: tuple[int, ...], loop: Loop, shared: Sequence[Place]) -> None:
        """A loop over rows, in lanes."""
        module, layout, lanes = self.module, self.module.layout, self.module.machine.lanes
        rows = Rows.of(loop)
        totals = layout.take(8 * (sum(rows.reduced) + lanes), 64)
        results = self.results_of(value, loop)
        sums = 0
        for k, kind_ in enumerate(loop.kinds):
            if kind_ == "sum":
                results[k] = Place("%work", totals + 8 * sums)
                sums += 1
        roles = loop.by_role(operands)
        added = [self.array(o) for o in roles.handed]
        self.items[value] = [*added, *results]
        counter = layout.take(8, 8) if rows.counts else None
        each = [place for kind_, place in zip(loop.kinds, results) if kind_ == "each"]
        arrays = [self.array(o) for o in roles.elements]
        table = self._table([*arrays, *each], bool(loop.body.guards))
        kept = keep_factors(loop, rows)

        def write_body(name: str, start: int) -> str:
            after = start + 8 * lanes * rows.vectors if rows.guards else start
            where = [Place("%work", 0), *shared, *rows.sums(after, lanes), *rows.elements(lanes)]
            code = RowCode(module, loop, name, lanes, where, rows, kept, counter)
            code.totals = rows.sums(start, lanes)
            return code.lower_into(0 if kept else SHORT)  # in two blocks, LLVM would not know what lies apart

        function, start = write_map(module, loop, rows, write_body, kept, counter)
        count = self.temporary("load i64, ptr %rows") if loop.extent == CALL else str(loop.extent)
        where = self.address("%work", totals)
        self.write(f"call void @{function}(ptr %inputs, i64 {count}, ptr {table}, ptr {where}, ptr %work)")
        for source, target, shape in zip(rows.sums(start, lanes), added, rows.added):
            self.add_totals(source, target, shape)

    def _table(self, places: Sequence[Place], flags: bool) -> str:
        """The table of a map: for each array its address, and the bytes from row to row and from column to column."""
        first = self._first_given(places)
        if first is not None and (not flags or 8 + entries(first + len(places)) == self.module.flags):
            return self.address("%rows", 8 + entries(first))  # a part of the table of the call
        table = self.module.layout.take(entries(len(places)) + 8, 64)
        for k, place in enumerate(places):
            self.make_room()
            where = self.address("%work", table + entries(k))
            self.write(f"store ptr {self.pointer(place)}, ptr {where}")
            for position, stride in enumerate(self._row_strides(place), 1):
                self.write(f"store i64 {stride}, ptr {self.address(where, 8 * position)}")
        if flags:
            found = self.temporary(f"load ptr, ptr {self.address('%rows', self.module.flags)}")
            self.write(f"store ptr {found}, ptr {self.address('%work', table + entries(len(places)))}")
        return self.address("%work", table)

    def _first_given(self, places: Sequence[Place]) -> int | None:
        """The number of the first array, if all are whole arrays of the call that follow one another."""
        first = places[0].given if places else None
        if first is None or any(place.moves or place.offset for place in places):
            return None
        return first if [place.given for place in places] == list(range(first, first + len(places))) else None

    def _row_strides(self, place: Place) -> tuple[Any, Any]:
        if place.given is not None:
            entry = 8 + entries(place.given)
            return tuple([self.temporary(f"load i64, ptr {self.address('%rows', entry + 8 * k)}") for k in (1, 2)])  # type: ignore[return-value]
        return place.strides[0], place.strides[-1] if len(place.strides) > 1 else 8


class StepCode(Looping):
    """The body of a loop that goes step by step; `targets` are where its outputs go."""

    targets: list[Place]

    def __init__(self, module: Module, loop: Loop, name: str, lanes: int, where: Sequence[Place], counter: int) -> None:
        self.loop = loop
        super().__init__(module, loop.body, name, lanes, where)
        self.counter = counter

    def _is_accumulator(self, number: int) -> bool:
        first = self.loop.first_carry + self.loop.carries
        return first <= number < self.loop.first_element

    def end(self) -> None:
        """Store the carries, stack and sum up the other outputs."""
        loop, counter = self.loop, self.counter
        assert counter is not None
        kinds = ["hand"] * loop.carries + ["accumulator"] * loop.accumulators + list(loop.kinds)
        for kind_, o, target in zip(kinds, self.program.outputs, self.targets):
            self.make_room()
            if kind_ == "hand":
                self.store(o, target)
            elif kind_ == "sum":
                self.add(target, self.get(o))
            elif kind_ == "each" and isinstance(self.types[o], Array):
                self.copy_array(o, target.at([counter]))
            elif kind_ == "each":
                self.store(o, target.at([counter]))

    def lasting(self) -> Sequence[int]:
        """All outputs are stored at the end."""
        return self.program.outputs


class RowCode(Looping):
    """The body of a map, in lanes: its rows come from a stage and go to one."""

    counter_is_shared = False
    longest_with_calls = LONGEST_ROW

    def __init__(
        self,
        module: Module,
        loop: Loop,
        name: str,
        lanes: int,
        where: Sequence[Place],
        rows: Rows,
        kept: Kept | None,
        counter: int | None,
    ) -> None:
        self.loop = loop
        super().__init__(module, loop.body, name, lanes, where)
        self.rows, self.kept, self.counter = rows, kept, counter
        self.totals: list[Place] = []  # what rows that fail no guard have added to arrays
        self.unneeded = kept.unneeded if kept else set()

    def _is_accumulator(self, number: int) -> bool:
        return self.loop.first_carry <= number < self.loop.first_element

    def _steps(self) -> str:
        return f"<{', '.join([f'double {literal(float(k), 1)}' for k in range(self.lanes)])}>"

    def prepare(self) -> None:
        """Decide when each output is stored."""
        self.ends_in_memory = not self.program.guards
        self.early: dict[int, list[Place]] = {}
        self.sums: dict[int, list[Place]] = {}
        self.left: list[tuple[int, Place]] = []  # arrays still to be stored
        outputs = self.program.outputs[self.loop.handed :]
        for output, o in enumerate(outputs) if not self.program.guards else ():
            place = self.rows.target(output, self.lanes)
            if self.loop.kinds[output] == "sum":
                if self.kept is None:
                    self.sums.setdefault(o, []).append(place)
            elif early := self.store_early(o, place):
                for value, places in early.items():
                    self.early[value] = [*self.early.get(value, []), *places]
            else:
                self.left.append((o, place))

    def computed(self, value: int) -> None:
        """Store and add up outputs, and keep factors, as soon as they are there."""
        for place in self.early.pop(value, ()):
            self.store(value, place)
        for place in self.sums.pop(value, ()):
            self.add(place, self.get(value))
        if self.kept and value in self.kept.new:
            self._keep(value)

    def compute(self, values: Sequence[int]) -> None:
        """Write the values of a function; those that few rows need, in blocks that may be skipped."""
        whole = self.lanes > 1 and not self.slots  # all that is needed is in this function
        self.paths = paths(self.program, self.kept.new if self.kept else ()) if whole else []
        if not any(self.paths):
            super().compute(values)
            return
        self.users = self.program.users()
        self.block = ""  # the one being written, if it is not the first
        self._under(values, 0)

    def _under(self, values: Sequence[int], depth: int) -> None:
        """Write values that are all needed under the same `depth` conditions, and perhaps under more."""
        waiting: dict[Literal, dict[int, None]] = {}  # what is needed under one more condition
        for value in values:
            further = self.paths[value][depth:]
            if further:
                waiting.setdefault(further[0], {})[value] = None
                continue
            for o in self.program.code[value].operands:
                for where in self.paths[o][depth : depth + 1]:
                    if o in waiting.get(where, ()):
                        self._side(where, waiting.pop(where), depth + 1)
            super().compute([value])
        for where, left in waiting.items():
            self._side(where, left, depth + 1)

    def _side(self, where: Literal, values: Collection[int], depth: int) -> None:
        """Write values that are needed where a condition has one outcome; they are skipped if no lane has it."""
        if cost(self.program, values) < LEAST:
            self._under(list(values), depth)
            return
        for o in dict.fromkeys([o for value in values for o in self.program.code[value].operands]):
            if o not in values:
                self.get(o)  # loaded in front of the block
        condition = self.get(where.condition)
        if not where.outcome:
            condition = self.temporary(f"xor {self.bit} {condition}, {literal(True, self.lanes)}")
        taken = self.temporary(self.module.of_lanes("or", condition, self.lanes))
        if not self.block:
            self.has_blocks, self.block = True, "entry"
            self.lines.insert(0, "entry:")
        name, before = f"side.{taken[1:]}", self.block
        self.write(f"br i1 {taken}, label %{name}, label %{name}.done")
        self.lines.append(f"{name}:")
        self.block = name
        self._under(list(values), depth)
        self.write(f"br label %{name}.done")
        self.lines.append(f"{name}.done:")
        for value in values:
            if any(user not in values for user in self.users[value]):
                kind_ = self.bit if value in self.bits else self.type
                new = self.temporary(f"phi {kind_} [{self.get(value)}, %{self.block}], [zeroinitializer, %{before}]")
                self.renamed[value] = new
        self.block = f"{name}.done"

    def _keep(self, value: int) -> None:
        assert self.kept is not None
        self.store(value, Place("%sums", self.width * self.kept.new[value], (), True))

    def lasting(self) -> Sequence[int]:
        """Sums of rows that may yet fail a guard wait, and arrays are stored at the end."""
        if self.program.guards:
            return [*self.program.outputs, *[g.value for g in self.program.guards]]
        free = [value for value in (*self.early, *self.sums) if self.is_free(value)]
        return [*free, *[value for value, _ in self.left]]

    def end(self) -> None:
        """Write what is left: of a body with guards, which lanes are valid, and all outputs."""
        for value in [*self.early, *self.sums]:
            self.make_room()
            self.computed(value)
        for value, place in self.left:
            self.make_room()
            self.copy_array(value, place)
        for value in self.kept.new if self.kept else ():
            if self.is_free(value):
                self._keep(value)
        if not self.program.guards:
            return
        self.ok = literal(True, self.lanes)
        for guard in self.program.guards:
            holds = self.get(guard.value)
            if not guard.expected:
                holds = self.temporary(f"xor {self.bit} {holds}, {literal(True, self.lanes)}")
            self.ok = self.temporary(f"and {self.bit} {self.ok}, {holds}")
        place = Place("%outputs", self.rows.results * self.width, (), True)
        self.write(f"store {self.type} {self.as_number(self.ok)}, ptr {self.pointer(place)}, align {self.width}")
        for target, value in zip(self.totals, self.program.outputs):
            self._add_chosen(self.array(value), target, self.shape(value))
        for output, value in enumerate(self.program.outputs[self.loop.handed :]):
            self._output(output, value)

    def _add_chosen(self, source: Place, target: Place, shape: Sequence[int]) -> None:
        """Add what the rows of this block have added to an array, where they fail no guard."""
        made = Array(tuple(shape))
        given = view_of("%source", made, source), view_of("%target", made, target)
        whole = ("chosen", self.lanes, given)
        if whole not in self.module.nests:
            text = Nest(self.module, self.lanes).write_chosen(*given)
            self.add_nest(whole, ["ptr %source", "ptr %target", f"{self.type} %ok"], text)
        numbers = f"{self.type} {self.as_number(self.ok)}"
        self.call_known(whole, [f"ptr {self.pointer(source)}", f"ptr {self.pointer(target)}", numbers])

    def _output(self, output: int, value: int) -> None:
        place = self.rows.target(output, self.lanes)
        if self.loop.kinds[output] == "each":
            if isinstance(self.types[value], Array):
                self.copy_array(value, place)
            else:
                self.store(value, place)
            return
        name = self.get(value)
        if self.program.guards:
            zero = literal(0.0, self.lanes)
            name = self.temporary(f"select {self.bit} {self.ok}, {self.type} {name}, {self.type} {zero}")
        self.add(place, name)
