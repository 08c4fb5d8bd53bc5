"""Values of a program and their places: numbers that have names or are loaded, arrays in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd.compiler.lower.expressions import Expressions
from autograd.compiler.lower.module import Growing, Module, Place, literal
from autograd.ir.block import STEPS, TRUTH, Array, Program, Window, types_of

# Instructions that are not computed in place; their values are loaded where they are used.
FREE = frozenset({"input", "constant", "item", "table", "pos"})

UNROLLED = 16  # elements of an array that are copied or added without a loop
FEW = 3  # the same in scalar code, where a loop goes in lanes
FEWEST_NEIGHBOURS = 16  # numbers that are copied as one block of memory


class Values(Expressions):
    """The values of a program, or of the body of a loop; `where` has its inputs."""

    def __init__(self, module: Module, program: Program, name: str, lanes: int, where: Sequence[Place]) -> None:
        super().__init__(module, lanes)
        self.program, self.name = program, name
        self.where = where
        self.width = 8 * lanes  # bytes of a number in all lanes
        self.here: set[int] = set()  # values that have a name in the function being written
        self.renamed: dict[int, str] = {}  # the names of those that a block has computed which may have been skipped
        self.places: dict[int, Place] = {}  # of arrays
        self.items: dict[int, list[Place]] = {}  # of loops: where their results are
        self.types = types_of(program)
        self.bits = {at for at, t in enumerate(self.types) if t == TRUTH}
        self.changed = self._changed()  # arrays that are added to
        self.slots: dict[int, int] = {}  # value → its slot, if it outlives its function
        self.index_slots: dict[int, int] = {}
        self.virtual: set[int] = set()  # packed arrays whose numbers go to an output one by one
        self.unneeded: set[int] = set()  # values that nothing here computes
        self.mask: int | None = None  # the slot for which lanes take part in the step; None: all
        self.capacity: int | None = None  # the slot for how many steps the results of a loop have memory

    def _changed(self) -> set[int]:
        """Arrays whose elements change: what reads one does so where it stands."""
        changed: set[int] = set()
        for at, (op, operands, data) in enumerate(self.program.code):
            if (
                op in ("zeros", "add_at")
                or (op == "input" and self._is_accumulator(data))
                or (op in ("read", "pos") and operands[0] in changed)
                or (
                    op == "item"
                    and data < (loop := self.program.code[operands[0]].data).handed
                    and data >= loop.carries
                )
            ):
                changed.add(at)
        return changed

    def _is_accumulator(self, number: int) -> bool:
        return False

    def is_free(self, value: int) -> bool:
        """Whether a value is loaded where it is used."""
        op = self.program.code[value].op
        if op == "read":
            return isinstance(self.types[value], Array) or not (value in self.changed or self.scatters(value))
        return op in FREE or (op == "pack" and value in self.virtual)

    def scatters(self, value: int) -> bool:
        """Whether lanes read, or add to, elements at different places."""
        op, operands, window = self.program.code[value]
        indices = operands[1 if op == "read" else 2 :]
        return self.lanes > 1 and not window.shape and not all(map(self._is_same, indices))

    def _is_same(self, index: int) -> bool:
        """Whether a number is the same in all lanes, as far as one sees."""
        op, _, data = self.program.code[index]
        if op == "input" and data == 0 and self.counter is not None:
            return self.counter_is_shared
        return op == "constant" or (op == "input" and not self.where[data].wide)

    # ---- numbers -------------------------------------------------------------------------------------------

    def get(self, value: int) -> str:
        """The name of a number in this function: computed here, a constant, or loaded from where it lies."""
        op, operands, data = self.program.code[value]
        if op == "constant":
            return literal(data, self.lanes)
        if op == "pos":
            return self.get(operands[0])
        name = f"%v{value}"
        if value in self.here:
            return self.renamed.get(value, name)
        if op == "input" and data == 0 and self.counter is not None:
            loaded = self._counter(self.counter)
        elif op == "input":
            return self._load(self.where[data], name, value)
        elif op == "read" and self.is_free(value):
            return self._load(self.window(operands[0], data, operands[1:]), name, value)
        elif op == "item":
            return self._load(self.items[operands[0]][data], name, value)
        else:
            self.here.add(value)
            self._load_slot(name, value)
            return name
        self.here.add(value)
        self.write(f"{name} = {loaded}")
        return name

    counter: int | None = None  # where the number of the step is, in the body of a loop
    counter_is_shared = True  # whether all lanes are in the same step

    def _counter(self, slot: int) -> str:
        number = self.temporary(f"load i64, ptr {self.address('%work', slot)}")
        single = self.temporary(f"uitofp i64 {number} to double")
        if self.lanes == 1:
            return f"freeze double {single}"  # another name
        return f"fadd {self.type} {self.splat(single)}, {self._steps()}"

    def _steps(self) -> str:
        return literal(0.0, self.lanes)

    def _load(self, place: Place, name: str, value: int) -> str:
        """Load a number. One that all lanes share is loaded at every use: keeping it in a register costs more."""
        where = self.pointer(place)
        if not place.wide and self.lanes > 1:
            return self.splat(self.temporary(f"load double, ptr {where}"))
        self.here.add(value)
        align = f", align {place.alignment(self.width)}" if self.lanes > 1 else ""
        self.write(f"{name} = load {self.type}, ptr {where}{align}")
        return name

    def _load_slot(self, name: str, value: int) -> None:
        where = self.address("%work", self.slots[value])
        if value in self.bits:
            number = self.temporary(f"load {self.type}, ptr {where}, align {self.width}")
            zero = "zeroinitializer" if self.lanes > 1 else "0.0"
            self.write(f"{name} = fcmp une {self.type} {number}, {zero}")
        else:
            self.write(f"{name} = load {self.type}, ptr {where}, align {self.width}")

    def store(self, value: int, place: Place) -> None:
        """Store a number in all lanes."""
        name = self.get(value)
        if value in self.bits:
            name = self.as_number(name)
        align = place.alignment(self.width)
        self.write(f"store {self.type} {name}, ptr {self.pointer(place)}, align {align}")

    # ---- arrays --------------------------------------------------------------------------------------------

    def pointer(self, place: Place) -> str:
        """The address of a place."""
        base = place.base
        if place.slot is not None:
            base = self.temporary(f"load ptr, ptr {self.address('%work', place.slot)}")
        where = self.address(base, place.offset)
        for slot, step in place.moves:
            count = self.temporary(f"load i64, ptr {self.address('%work', slot)}")
            moved = self.temporary(f"mul i64 {count}, {step}")
            where = self.temporary(f"getelementptr i8, ptr {where}, i64 {moved}")
        return where

    def room(self, shape: Sequence[Any]) -> Place:
        """Room in the workspace for an array."""
        made = Array(tuple(shape))
        strides = tuple([self.width * stride for stride in made.strides()])
        if shape and shape[0] == STEPS:
            return Place("", 0, strides, self.lanes > 1, (), self._growing(made).slot)
        if any(not isinstance(extent, int) for extent in shape):
            raise NotImplementedError(f"an array of {made} between two loops over the rows of a call")
        # Numbers lie side by side: the body of a map may load thousands of them for every block of rows.
        offset = self.module.layout.take(self.width * made.size(), 64 if shape else self.width)
        return Place("%work", offset, strides, self.lanes > 1)

    def _growing(self, made: Array) -> Growing:
        """Memory for a row for each step of the loop whose results are being laid out."""
        if self.capacity is None:
            self.capacity = self.module.layout.take(8, 8)
        buffer = Growing(self.module.layout.take(8, 8), self.capacity, self.width * made.size())
        self.module.layout_of_memory().buffers.append(buffer)
        return buffer

    def array(self, value: int) -> Place:
        """Where an array is."""
        if value not in self.places:
            op, operands, data = self.program.code[value]
            if op == "input":
                self.places[value] = self.where[data]
            elif op == "item":
                self.places[value] = self.items[operands[0]][data]
            elif op == "read":
                return self.window(operands[0], data, operands[1:])
            elif op in ("add_at", "pos"):
                self.places[value] = self.array(operands[0])
            elif op == "table":
                self.places[value] = Place(self.module.table(data[1]), 0, Place.rows(data[0]), False)
            else:
                self.places[value] = self.room(data)
        return self.places[value]

    def window(self, array: int, window: Window, indices: Sequence[int] = ()) -> Place:
        """Where a part of an array is."""
        place, shape = self.array(array), self.shape(array)
        steps = [place.step(shape, step) for step in window.steps]
        moves = [self._move(index, step) for index, step in zip(indices, steps)]
        strides = tuple([place.step(shape, stride) for stride in window.strides])
        found = place.moved(place.step(shape, window.offset), strides)
        return found._replace(moves=(*found.moves, *moves))

    def shape(self, array: int) -> tuple[Any, ...]:
        """The extents of an array."""
        made = self.types[array]
        assert isinstance(made, Array)
        return made.shape

    def _move(self, index: int, step: int) -> tuple[int, int]:
        """An index as a move: its number goes through a slot."""
        op, _, data = self.program.code[index]
        if op == "input" and data == 0 and self.counter is not None and self.lanes == 1:
            return self.counter, step
        if index not in self.index_slots:
            self.index_slots[index] = self.module.layout.take(8, 8)
        slot = self.index_slots[index]
        name = self.get(index)
        if self.lanes > 1:  # it is the same in all lanes
            name = self.temporary(f"extractelement {self.type} {name}, i64 0")
        whole_number = self.temporary(f"fptosi double {name} to i64")
        self.write(f"store i64 {whole_number}, ptr {self.address('%work', slot)}")
        return slot, step

    def pinned(self, place: Place) -> Place:
        """A place that does not depend on numbers that change: its address is kept in a slot."""
        if not place.moves:
            return place
        slot = self.module.layout.take(8, 8)
        self.write(f"store ptr {self.pointer(place)}, ptr {self.address('%work', slot)}")
        return Place("", 0, place.strides, place.wide, (), slot)

    def elements(self, place: Place, shape: Sequence[int]) -> list[Place]:
        """The places of all elements of an array."""
        found = [place]
        for extent, stride in zip(shape, place.strides):
            found = [p.moved(i * stride, p.strides[1:]) for p in found for i in range(extent)]
        return found

    def copy_array(self, value: int, target: Place) -> None:
        """Store an array somewhere else, row after row."""
        shape = self.shape(value)
        count = Array(tuple(shape)).size()
        if value in self.virtual:
            for o, place in zip(self.program.code[value].operands, self.elements(target, shape)):
                self.make_room()
                self.store(o, place)
            return
        source = self.array(value)
        dense = tuple([self.width * stride for stride in Array(tuple(shape)).strides()])
        if source.strides == target.strides == dense and source.wide == target.wide:
            self.copy_memory(target, source, count)
            return
        if count > UNROLLED:
            self.by_element("copy", source, target, shape)
            return
        for near_place, far_place in zip(self.elements(source, shape), self.elements(target, shape)):
            number = self._number_at(near_place)
            align = far_place.alignment(self.width)
            self.write(f"store {self.type} {number}, ptr {self.pointer(far_place)}, align {align}")

    def copy_memory(self, target: Place, source: Place, count: int) -> None:
        """Copy numbers that lie side by side."""
        self.module.declarations["memcpy"] = "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"
        far, near = self.pointer(target), self.pointer(source)
        self.write(f"call void @llvm.memcpy.p0.p0.i64(ptr {far}, ptr {near}, i64 {self.width * count}, i1 false)")

    def neighbours(self, values: Sequence[int]) -> Place | None:
        """Where the first of these numbers is, if all are results of loops that lie side by side in this order."""
        code = self.program.code
        if len(values) < FEWEST_NEIGHBOURS or any(code[o].op != "item" for o in values):
            return None
        places = [self.items[code[o].operands[0]][code[o].data] for o in values]
        first = places[0]
        if first.wide != (self.lanes > 1):
            return None
        side_by_side = all(place == first.moved(k * self.width, ()) for k, place in enumerate(places))
        return first if side_by_side else None

    def by_element(self, how: str, source: Place, target: Place, shape: Sequence[int]) -> None:
        """Copy an array to another or add it to that, in a loop."""
        raise NotImplementedError

    def _number_at(self, place: Place) -> str:
        where = self.pointer(place)
        if not place.wide and self.lanes > 1:
            return self.splat(self.temporary(f"load double, ptr {where}"))
        return self.temporary(f"load {self.type}, ptr {where}, align {place.alignment(self.width)}")

    def make_room(self) -> None:
        """Called between stores of numbers of which there may be many."""
