"""Numbers and arrays in the code of a nest: their names, and what is loaded from memory and stored there.

All lanes may share a number, or each lane has its own. An array is a view of memory, with bytes from lane to lane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from autograd.compiler.lower.expressions import Expressions
from autograd.compiler.lower.module import Module, kind, literal
from autograd.ir.block import Array, Loop, Roles, Window

LOAD, STRIDED = 1, 1.5  # what a number costs, in additions


class Index(NamedTuple):
    """A whole number: its name, for the first lane, and by how much it grows from lane to lane."""

    name: str
    lane: int = 0


class Number(NamedTuple):
    """A number or truth: its name, or the counter or constant that it is; `wide` if each lane has its own.

    `condition` is the name of the truth of which it is 1 or 0, if it is one.
    """

    name: str
    wide: bool = False
    counter: Index | None = None
    constant: float | bool | None = None
    truth: bool = False
    condition: str = ""


class View(NamedTuple):
    """An array, or a number in memory if the shape is empty. In the first lane it begins `start` bytes after `pointer`.

    `strides` are the bytes between neighbours along each axis, `lane` those from lane to lane. If the lanes are at
    computed places, `offsets` is the name of a vector with the bytes to be added for each.
    """

    pointer: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    lane: int = 0
    offsets: str = ""
    start: int = 0

    def bytes_of(self, elements: int) -> int:
        """The bytes from an element to the one `elements` further, counted row after row."""
        total, dense = 0, Array(self.shape).strides()
        if len({stride / unit for stride, unit in zip(self.strides, dense)}) == 1:
            return elements * self.strides[-1] // dense[-1]
        for stride, unit in zip(self.strides, dense):
            count, elements = divmod(elements, unit)
            total += count * stride
        return total


Operand = Number | View


class Task(NamedTuple):
    """A loop to be written: its operands, and where those of its results go that are stacked (None: not stacked)."""

    loop: Loop
    operands: Sequence[Operand]
    targets: Sequence[View | None]

    def roles(self) -> Roles[Operand]:
        """The operands by what they are."""
        return self.loop.by_role(self.operands)

    def results(self, carries: Sequence[Operand], sums: Sequence[Operand]) -> list[Operand]:
        """The results of the loop in their order."""
        left = iter(sums)
        return [*carries, *self.roles().accumulators, *[next(left) if t is None else t for t in self.targets]]


class Access(Expressions):
    """Writes code that loads and stores; `lanes` change as loops in lanes begin and end."""

    def __init__(self, module: Module, lanes: int) -> None:
        super().__init__(module, lanes)
        self.valid = module.machine.lanes  # lanes that count: fewer in the last block of a loop in lanes
        self.block = "entry"
        self.cost, self.weight = 0.0, 1.0
        self.made: dict[tuple[Any, ...], str] = {}  # conversions that have a name

    def set_lanes(self, lanes: int) -> None:
        """Choose for how many lanes code is written from now on."""
        self.lanes, self.type, self.bit = lanes, kind(lanes), kind(lanes, "i1")

    def spend(self, cost: float) -> None:
        """Count what is written, as often as it runs."""
        self.cost += self.weight * cost

    # ---- numbers -------------------------------------------------------------------------------------------

    def name(self, x: Number, wide: bool | None = None) -> str:
        """The name of a number, in all lanes if it is to be wide."""
        wide = self.lanes > 1 if wide is None else wide
        if x.constant is not None:
            return literal(x.constant, self.lanes if wide else 1)
        if x.counter is not None and not x.name:
            return self._counted_number(x.counter, wide)
        return self._spread(x) if wide and not x.wide else x.name

    def _spread(self, x: Number) -> str:
        if ("spread", x.name) not in self.made:
            self.made["spread", x.name] = self.splat(x.name, "i1" if x.truth else "double")
        return self.made["spread", x.name]

    def _counted_number(self, index: Index, wide: bool) -> str:
        key = ("number", index, wide)
        if key not in self.made:
            single = self.temporary(f"uitofp i64 {index.name} to double")
            if wide and index.lane:
                steps = ", ".join(f"double {literal(float(index.lane * k), 1)}" for k in range(self.lanes))
                self.made[key] = self.temporary(f"fadd {self.type} {self.splat(single)}, <{steps}>")
            else:
                self.made[key] = self.splat(single) if wide else single
        return self.made[key]

    def is_wide(self, x: Number) -> bool:
        """Whether the lanes differ."""
        return x.wide or (x.counter is not None and x.counter.lane != 0)

    def number(self, x: Operand) -> Number:
        """An operand as a number: it is loaded if it is in memory."""
        return self.load(x) if isinstance(x, View) else x

    # ---- places --------------------------------------------------------------------------------------------

    def room(self, shape: tuple[int, ...]) -> View:
        """An array in the workspace, with a place for each lane."""
        made = Array(shape)
        offset = self.module.layout.take(8 * self.lanes * made.size(), 64)
        strides = tuple([8 * self.lanes * stride for stride in made.strides()])
        return View("%work", shape, strides, 8 if self.lanes > 1 else 0, "", offset)

    def rows(self, count: int, columns: int, layout: tuple[int, int]) -> View:
        """Rows in the workspace; `layout` has the bytes from one to the next, and those before the first."""
        length, before = layout
        offset = self.module.layout.take(before + length * count, 64) + before
        return View("%work", (count, columns), (length, 8 * self.lanes), 8 if self.lanes > 1 else 0, "", offset)

    def moved(self, pointer: str, count: str, stride: int) -> str:
        """An address `count` times `stride` bytes further."""
        if stride == 0 or count == "0":
            return pointer
        if count.lstrip("-").isdigit():
            return self.address(pointer, int(count) * stride)
        if ("bytes", count, stride) not in self.made:
            self.made["bytes", count, stride] = self.temporary(f"mul nsw i64 {count}, {stride}")
        distance = self.made["bytes", count, stride]
        if ("moved", pointer, distance) not in self.made:
            self.made["moved", pointer, distance] = self.temporary(f"getelementptr i8, ptr {pointer}, i64 {distance}")
        return self.made["moved", pointer, distance]

    def at(self, view: View, index: Index) -> View:
        """The element of an array at an index along the first axis."""
        stride = view.strides[0]
        pointer, start = view.pointer, view.start
        if index.name.isdigit():
            start += int(index.name) * stride
        else:
            pointer = self.moved(pointer, index.name, stride)
        lane = view.lane + stride * index.lane
        return View(pointer, view.shape[1:], view.strides[1:], lane, view.offsets, start)

    def element(self, view: View, at: Sequence[int]) -> View:
        """The element of an array at fixed indices."""
        distance = sum(k * stride for k, stride in zip(at, view.strides))
        return View(view.pointer, (), (), view.lane, view.offsets, view.start + distance)

    def where(self, view: View) -> str:
        """The address of the first element."""
        return self.address(view.pointer, view.start)

    def window(self, view: View, window: Window, indices: Sequence[Number]) -> View:
        """A part of an array."""
        pointer, lane, offsets = view.pointer, view.lane, view.offsets
        start = view.start + view.bytes_of(window.offset)
        for x, step in zip(indices, window.steps):
            stride = view.bytes_of(step)
            if x.constant is not None:
                start += int(x.constant) * stride
            elif x.counter is not None or not x.wide:
                index = x.counter or Index(self._whole(x.name))
                lane += stride * index.lane
                if index.name.isdigit():
                    start += int(index.name) * stride
                else:
                    pointer = self.moved(pointer, index.name, stride)
            else:
                offsets = self._offsets(offsets, x.name, stride)
        strides = tuple([view.bytes_of(stride) for stride in window.strides])
        return View(pointer, tuple([int(e) for e in window.shape]), strides, lane, offsets, start)

    def _whole(self, name: str) -> str:
        key = ("whole", name)
        if key not in self.made:
            self.made[key] = self.temporary(f"fptosi double {name} to i64")
        return self.made[key]

    def _offsets(self, before: str, name: str, stride: int) -> str:
        """The bytes by which each lane is further."""
        whole, type_ = kind(self.lanes, "i64"), kind(self.lanes)
        index = self.temporary(f"fptosi {type_} {name} to {whole}")
        moved = self.temporary(f"mul {whole} {index}, splat (i64 {stride})")
        return self.temporary(f"add {whole} {before}, {moved}") if before else moved

    def _pointer_of_lane(self, view: View, lane: int) -> str:
        where = self.address(view.pointer, view.start + lane * view.lane)
        if not view.offsets:
            return where
        offset = self.temporary(f"extractelement {kind(self.lanes, 'i64')} {view.offsets}, i64 {lane}")
        return self.temporary(f"getelementptr i8, ptr {where}, i64 {offset}")

    # ---- loads and stores ----------------------------------------------------------------------------------

    def load(self, view: View) -> Number:
        """A number from memory."""
        if self.lanes == 1 or (not view.lane and not view.offsets):
            self.spend(LOAD)
            return Number(self.temporary(f"load double, ptr {self.where(view)}, align 8"))
        if view.lane == 8 and not view.offsets:
            self.spend(LOAD)
            return Number(self.load_first(self.where(view), self.valid), True)
        self.spend(STRIDED * self.lanes)
        name = "zeroinitializer"
        for lane in range(self.valid):
            single = self.temporary(f"load double, ptr {self._pointer_of_lane(view, lane)}, align 8")
            name = self.temporary(f"insertelement {self.type} {name}, double {single}, i64 {lane}")
        return Number(name, True)

    def load_first(self, where: str, count: int) -> str:
        """A vector of which the first numbers are loaded; the others are 0."""
        if count == self.lanes:
            return self.temporary(f"load {self.type}, ptr {where}, align 8")
        symbol = f"llvm.masked.load.v{self.lanes}f64.p0"
        self.module.declarations[symbol] = f"declare {self.type} @{symbol}(ptr, i32, {self.bit}, {self.type})"
        given = f"ptr {where}, i32 8, {self.bit} {self.mask(count)}, {self.type} zeroinitializer"
        return self.temporary(f"call {self.type} @{symbol}({given})")

    def mask(self, count: int) -> str:
        """For each lane, whether it is one of the first `count`."""
        return f"<{', '.join(['i1 ' + str(k < count).lower() for k in range(self.lanes)])}>"

    def store(self, x: Number, view: View) -> None:
        """Store a number: in each lane that counts."""
        if self.lanes == 1:
            self.spend(LOAD)
            name = self.name(x)
            self.write(f"store double {name}, ptr {self.where(view)}, align 8")
        elif view.lane == 8 and not view.offsets:
            self.spend(LOAD)
            name = self.name(x)
            if self.valid == self.lanes:
                self.write(f"store {self.type} {name}, ptr {self.where(view)}, align 8")
                return
            symbol = f"llvm.masked.store.v{self.lanes}f64.p0"
            self.module.declarations[symbol] = f"declare void @{symbol}({self.type}, ptr, i32, {self.bit})"
            mask, where = self.mask(self.valid), self.where(view)
            self.write(f"call void @{symbol}({self.type} {name}, ptr {where}, i32 8, {self.bit} {mask})")
        else:
            self._lane_by_lane_at(view, lambda single, where: single, self.name(x))

    def add_to(self, x: Number, view: View) -> None:
        """Add a number to one in memory; lanes at the same place add one after the other."""
        flags = self.module.machine.flags
        if self.lanes == 1 or (view.lane == 8 and not view.offsets):
            self.spend(1)
            before = self.name(self.load(view))
            total = self.temporary(f"fadd {flags}{self.type} {before}, {self.name(x)}")
            self.store(Number(total, self.lanes > 1), view)
            return

        def added(single: str, where: str) -> str:
            before = self.temporary(f"load double, ptr {where}, align 8")
            return self.temporary(f"fadd {flags}double {before}, {single}")

        self._lane_by_lane_at(view, added, self.name(x))

    def _lane_by_lane_at(self, view: View, number: Callable[[str, str], str], name: str) -> None:
        self.spend(2 * STRIDED * self.lanes)
        for lane in range(self.valid):
            single = self.temporary(f"extractelement {self.type} {name}, i64 {lane}")
            where = self._pointer_of_lane(view, lane)
            self.write(f"store double {number(single, where)}, ptr {where}, align 8")


def run_of(numbers: Sequence[Operand], at: int) -> int:
    """How many numbers from one on are neighbours in memory: as many bytes apart as a number has in all lanes."""
    first = numbers[at]
    if not isinstance(first, View) or first.offsets or first.shape or len(numbers) == at + 1:
        return 1
    second = numbers[at + 1]
    unit = second.start - first.start if isinstance(second, View) else 0
    if unit <= 0 or (first.lane == 8 and unit % 64):
        return 1
    end = at + 1
    while end < len(numbers) and numbers[end] == first._replace(start=first.start + (end - at) * unit):
        end += 1
    return end - at


def neighbours(numbers: Sequence[Operand]) -> View:
    """The array of numbers that are neighbours in memory."""
    first, second = numbers[0], numbers[1]
    assert isinstance(first, View)
    assert isinstance(second, View)
    return first._replace(shape=(len(numbers),), strides=(second.start - first.start,))
