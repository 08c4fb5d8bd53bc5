"""Nests: loops with short bodies, and the loops in them, as one function that keeps counters and carries in registers.

In scalar code, a loop with independent steps may run in lanes. Both ways are written and the cheaper one is kept: for a
product of a matrix and a vector, the rows of the matrix go into lanes, and each sum keeps its order.
Nests that are equal but for what they are given share one function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from autograd.compiler.lower.expressions import ARITHMETIC, INTRINSICS, LIBM, Expressions
from autograd.compiler.lower.loops import transposed
from autograd.compiler.lower.module import Module, kind, literal
from autograd.compiler.lower.parallel import is_parallel, stored_carries
from autograd.compiler.lower.values import UNROLLED
from autograd.ir.block import PREDICATES, Array, Instruction, Loop, Program, Window, types_of

MOST_CARRIES = 16  # that are handed on in registers
FEWEST_NEIGHBOURS = 4  # numbers that are copied as an array
SHORT, SQUARE = 24, 4  # instructions of a step, and steps, that go by squares
LOAD, STRIDED, DIVIDE, CALL, STEP, HANDED = 1, 1.5, 8, 30, 2, 4  # what they cost, in additions


class Index(NamedTuple):
    """A whole number: its name, for the first lane, and by how much it grows from lane to lane."""

    name: str
    lane: int = 0


class Number(NamedTuple):
    """A number or truth: its name, or the counter or constant that it is; `wide` if each lane has its own."""

    name: str
    wide: bool = False
    counter: Index | None = None
    constant: float | bool | None = None
    truth: bool = False


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
Emit = Callable[[str, list[str]], list[str]]


class Nest(Expressions):
    """The function of a nest; in code for lanes, all of it runs in these lanes."""

    def __init__(self, module: Module, lanes: int) -> None:
        super().__init__(module, lanes)
        self.valid = module.machine.lanes  # lanes that count: fewer in the last block of a loop in lanes
        self.block = "entry"
        self.cost, self.weight = 0.0, 1.0
        self.made: dict[tuple[Any, ...], str] = {}  # conversions that have a name

    def write_function(
        self, loop: Loop, operands: Sequence[Operand], targets: Sequence[View | None], results: Sequence[str]
    ) -> str:
        """The text of the function; carries and sums go to the addresses `results`."""
        found = self.run_loop(loop, operands, targets)
        numbers = [x for x in found if isinstance(x, Number)]
        for x, where in zip(numbers, results, strict=True):
            self.write(f"store {self.type} {self.name(x)}, ptr {where}, align 8")
        return self._text()

    def write_elements(self, how: str, source: View, target: View) -> str:
        """The text of a function that copies an array to another or adds it to that."""
        if how == "copy":
            self.copy(source, target)
        else:
            self.add_array(source, target)
        return self._text()

    def write_totals(self, source: View, target: View) -> str:
        """The text of a function that adds up the lanes of an array and adds the sums to another array."""
        lanes = self.module.machine.lanes

        def add(pair: Sequence[View]) -> None:
            self._width(lanes)
            name = self.temporary(f"load {self.type}, ptr {self.where(pair[0])}, align 8")
            self._width(1)
            self.add_to(self._total(name), pair[1])

        self.elementwise([source, target], add)
        return self._text()

    def write_chosen(self, source: View, target: View) -> str:
        """The text of a function that adds an array to another in the lanes where %ok is not 0, and clears it."""
        zero = literal(0.0, self.lanes)
        chosen = self.temporary(f"fcmp une {self.type} %ok, {zero}")

        def add(pair: Sequence[View]) -> None:
            name = self.name(self.load(pair[0]))
            name = self.temporary(f"select {self.bit} {chosen}, {self.type} {name}, {self.type} {zero}")
            self.add_to(Number(name, True), pair[1])
            self.store(Number("", constant=0.0), pair[0])

        self.elementwise([source, target], add)
        return self._text()

    def _text(self) -> str:
        return "entry:\n" + "\n".join(self.lines) + "\n  ret void"

    # ---- numbers -------------------------------------------------------------------------------------------

    def _width(self, lanes: int) -> None:
        self.lanes, self.type, self.bit = lanes, kind(lanes), kind(lanes, "i1")

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

    def _is_wide(self, x: Number) -> bool:
        return x.wide or (x.counter is not None and x.counter.lane != 0)

    def number(self, x: Operand) -> Number:
        """An operand as a number: it is loaded if it is in memory."""
        return self.load(x) if isinstance(x, View) else x

    # ---- memory --------------------------------------------------------------------------------------------

    def _moved(self, pointer: str, count: str, stride: int) -> str:
        """An address `count` times `stride` bytes further."""
        if stride == 0 or count == "0":
            return pointer
        if count.lstrip("-").isdigit():
            return self.address(pointer, int(count) * stride)
        if ("bytes", count, stride) not in self.made:
            self.made["bytes", count, stride] = self.temporary(f"mul nsw i64 {count}, {stride}")
        distance = self.made["bytes", count, stride]
        return self.temporary(f"getelementptr i8, ptr {pointer}, i64 {distance}")

    def at(self, view: View, index: Index) -> View:
        """The element of an array at an index along the first axis."""
        stride = view.strides[0]
        pointer, start = view.pointer, view.start
        if index.name.isdigit():
            start += int(index.name) * stride
        else:
            pointer = self._moved(pointer, index.name, stride)
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
                    pointer = self._moved(pointer, index.name, stride)
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

    def _spend(self, cost: float) -> None:
        self.cost += self.weight * cost

    def load(self, view: View) -> Number:
        """A number from memory."""
        if self.lanes == 1 or (not view.lane and not view.offsets):
            self._spend(LOAD)
            return Number(self.temporary(f"load double, ptr {self.where(view)}, align 8"))
        if view.lane == 8 and not view.offsets:
            self._spend(LOAD)
            return Number(self._load_first(self.where(view), self.valid), True)
        self._spend(STRIDED * self.lanes)
        name = "zeroinitializer"
        for lane in range(self.valid):
            single = self.temporary(f"load double, ptr {self._pointer_of_lane(view, lane)}, align 8")
            name = self.temporary(f"insertelement {self.type} {name}, double {single}, i64 {lane}")
        return Number(name, True)

    def _load_first(self, where: str, count: int) -> str:
        """A vector of which the first numbers are loaded; the others are 0."""
        if count == self.lanes:
            return self.temporary(f"load {self.type}, ptr {where}, align 8")
        symbol = f"llvm.masked.load.v{self.lanes}f64.p0"
        self.module.declarations[symbol] = f"declare {self.type} @{symbol}(ptr, i32, {self.bit}, {self.type})"
        given = f"ptr {where}, i32 8, {self.bit} {self._mask(count)}, {self.type} zeroinitializer"
        return self.temporary(f"call {self.type} @{symbol}({given})")

    def _mask(self, count: int) -> str:
        return f"<{', '.join(['i1 ' + str(k < count).lower() for k in range(self.lanes)])}>"

    def store(self, x: Number, view: View) -> None:
        """Store a number: in each lane that counts."""
        if self.lanes == 1:
            self._spend(LOAD)
            name = self.name(x)
            self.write(f"store double {name}, ptr {self.where(view)}, align 8")
        elif view.lane == 8 and not view.offsets:
            self._spend(LOAD)
            name = self.name(x)
            if self.valid == self.lanes:
                self.write(f"store {self.type} {name}, ptr {self.where(view)}, align 8")
                return
            symbol = f"llvm.masked.store.v{self.lanes}f64.p0"
            self.module.declarations[symbol] = f"declare void @{symbol}({self.type}, ptr, i32, {self.bit})"
            mask, where = self._mask(self.valid), self.where(view)
            self.write(f"call void @{symbol}({self.type} {name}, ptr {where}, i32 8, {self.bit} {mask})")
        else:
            self._lane_by_lane_at(view, lambda single, where: single, self.name(x))

    def add_to(self, x: Number, view: View) -> None:
        """Add a number to one in memory; lanes at the same place add one after the other."""
        flags = self.module.machine.flags
        if self.lanes == 1 or (view.lane == 8 and not view.offsets):
            self._spend(1)
            before = self.name(self.load(view))
            total = self.temporary(f"fadd {flags}{self.type} {before}, {self.name(x)}")
            self.store(Number(total, self.lanes > 1), view)
            return

        def added(single: str, where: str) -> str:
            before = self.temporary(f"load double, ptr {where}, align 8")
            return self.temporary(f"fadd {flags}double {before}, {single}")

        self._lane_by_lane_at(view, added, self.name(x))

    def _lane_by_lane_at(self, view: View, number: Callable[[str, str], str], name: str) -> None:
        self._spend(2 * STRIDED * self.lanes)
        for lane in range(self.valid):
            single = self.temporary(f"extractelement {self.type} {name}, i64 {lane}")
            where = self._pointer_of_lane(view, lane)
            self.write(f"store double {number(single, where)}, ptr {where}, align 8")

    def room(self, shape: tuple[int, ...]) -> View:
        """An array in the workspace, with a place for each lane."""
        made = Array(shape)
        offset = self.module.layout.take(8 * self.lanes * made.size(), 64)
        strides = tuple([8 * self.lanes * stride for stride in made.strides()])
        return View("%work", shape, strides, 8 if self.lanes > 1 else 0, "", offset)

    def elementwise(self, views: Sequence[View], act: Callable[[Sequence[View]], None]) -> None:
        """Do something with the elements of arrays of the same shape, in lanes if they are neighbours."""
        shape = views[0].shape
        if not shape:
            act(views)
            return

        def row(index: Index, names: list[str]) -> list[str]:
            self.elementwise([self.at(view, index) for view in views], act)
            return names

        if Array(shape).size() <= UNROLLED and (self.lanes > 1 or shape[-1] < self.module.machine.lanes):
            for k in range(shape[0]):
                row(Index(str(k)), [])
        elif self.lanes == 1 and len(shape) == 1 and all(view.strides == (8,) for view in views):
            self._blocks(shape[0], [], row)
        else:
            self._counted(shape[0], 1, False, [], lambda i, names: row(Index(i), names))

    def copy(self, source: View, target: View) -> None:
        """Copy an array."""
        self.elementwise([source, target], lambda pair: self.store(self.load(pair[0]), pair[1]))

    def copy_numbers(self, numbers: Sequence[Operand], targets: Sequence[View]) -> None:
        """Store numbers; those that are neighbours in memory, in both places, are copied as arrays."""
        at = 0
        while at < len(numbers):
            length = min(_run(numbers, at), _run(targets, at))
            if length < FEWEST_NEIGHBOURS:
                self.store(self.number(numbers[at]), targets[at])
                at += 1
                continue
            self.copy(_neighbours(numbers[at : at + length]), _neighbours(targets[at : at + length]))
            at += length

    def add_array(self, source: View, target: View) -> None:
        """Add an array to another."""
        self.elementwise([source, target], lambda pair: self.add_to(self.load(pair[0]), pair[1]))

    # ---- loops ---------------------------------------------------------------------------------------------

    def _counted(self, count: int, step: int, backwards: bool, given: Sequence[str], emit: Emit) -> list[str]:
        """A loop over a counter that hands numbers from step to step; `emit` writes a step."""
        if count < 2:
            return emit("0", list(given)) if count else list(given)
        self.temporaries += 1
        head = f"loop{self.temporaries}"
        names = [f"%{head}.x{k}" for k in range(len(given))]
        counter, before, type_ = f"%{head}.i", self.block, self.type
        self.write(f"br label %{head}")
        self.lines.append(f"{head}:")
        places = range(len(self.lines), len(self.lines) + len(names) + 1)
        self.lines += [""] * len(places)
        self.block = head
        self.weight *= count
        self._spend(STEP + (HANDED if names else 0))
        after = emit(counter, names)
        self.weight /= count
        first, stride, end = (step * (count - 1), -step, -step) if backwards else (0, step, step * count)
        self.write(f"{counter}.next = add nsw i64 {counter}, {stride}")
        self.write(f"%{head}.more = icmp ne i64 {counter}.next, {end}")
        self.lines[places[0]] = f"  {counter} = phi i64 [{first}, %{before}], [{counter}.next, %{self.block}]"
        for place, name, start, following in zip(places[1:], names, given, after, strict=True):
            self.lines[place] = f"  {name} = phi {type_} [{start}, %{before}], [{following}, %{self.block}]"
        self.write(f"br i1 %{head}.more, label %{head}, label %{head}.done")
        self.lines.append(f"{head}.done:")
        self.block = f"{head}.done"
        return after

    def _blocks(self, count: int, given: Sequence[str], emit: Callable[[Index, list[str]], list[str]]) -> list[str]:
        """A loop in lanes: whole blocks, then one with fewer lanes that count."""
        lanes = self.module.machine.lanes
        self._width(lanes)
        full, rest = divmod(count, lanes)
        names = self._counted(full, lanes, False, given, lambda i, names: emit(Index(i, 1), names))
        if rest:
            self.valid = rest
            names = emit(Index(str(full * lanes), 1), names)
            self.valid = lanes
        self._width(1)
        return names

    def run_loop(self, loop: Loop, operands: Sequence[Operand], targets: Sequence[View | None]) -> list[Operand]:
        """Write a loop; its results. `targets` are where those of them go that are stacked."""
        if loop.extent and self.lanes == 1 and is_parallel(loop):
            return self._cheaper(
                lambda: self._in_steps(loop, operands, targets), lambda: self._in_lanes(loop, operands, targets)
            )
        return self._in_steps(loop, operands, targets)

    def _cheaper(self, one: Callable[[], list[Operand]], other: Callable[[], list[Operand]]) -> list[Operand]:
        """Write something in two ways, and keep the one that costs less."""
        mark, start, block, made = len(self.lines), self.cost, self.block, dict(self.made)
        first = one()
        lines, cost, after, names = self.lines[mark:], self.cost, self.block, self.made
        del self.lines[mark:]
        self.cost, self.block, self.made = start, block, made
        second = other()
        if self.cost <= cost:
            return second
        self.lines[mark:] = lines
        self.cost, self.block, self.made = cost, after, names
        return first

    def _in_steps(self, loop: Loop, operands: Sequence[Operand], targets: Sequence[View | None]) -> list[Operand]:
        """A loop that goes step by step."""
        if loop.carries > MOST_CARRIES:
            return self._in_memory(loop, operands, targets)
        first, last = loop.shared, loop.shared + loop.carries
        wide = self.lanes > 1
        carries = [self.name(self.number(x)) for x in operands[first:last]]
        sums = [literal(0.0, self.lanes) for kind_ in loop.kinds if kind_ == "sum"]

        def step(index: Index, names: list[str], elements: Sequence[Operand]) -> list[str]:
            handed = [Number(name, wide) for name in names[: loop.carries]]
            given = [*operands[:first], *handed, *operands[last : loop.shared + loop.handed], *elements]
            after, added = self._step(loop, index, given, targets)
            return [*[self.name(self.number(x)) for x in after], *self._added(names[loop.carries :], added)]

        arrays = [x for x in operands[loop.shared + loop.handed :] if isinstance(x, View)]
        if wide and int(loop.extent) >= SQUARE and _is_short(loop.body) and any(map(_is_turned, arrays)):
            names = self._by_squares(loop, arrays, [*carries, *sums], step)
        else:

            def single(i: str, names: list[str]) -> list[str]:
                return step(Index(i), names, [self.at(x, Index(i)) for x in arrays])

            names = self._counted(int(loop.extent), 1, loop.backwards, [*carries, *sums], single)
        numbers = [Number(name, wide) for name in names]
        return self._results(loop, operands, targets, numbers[: loop.carries], numbers[loop.carries :])

    def _in_memory(self, loop: Loop, operands: Sequence[Operand], targets: Sequence[View | None]) -> list[Operand]:
        """A loop that goes step by step and hands on more numbers than there are registers: two arrays hold them."""
        first, last = loop.shared, loop.shared + loop.carries
        now, following = self.room((loop.carries,)), self.room((loop.carries,))
        places, later = [[self.element(x, [k]) for k in range(loop.carries)] for x in (now, following)]
        self.copy_numbers(operands[first:last], places)
        arrays = [x for x in operands[loop.shared + loop.handed :] if isinstance(x, View)]
        sums = [literal(0.0, self.lanes) for kind_ in loop.kinds if kind_ == "sum"]

        def step(i: str, names: list[str]) -> list[str]:
            elements = [self.at(x, Index(i)) for x in arrays]
            given = [*operands[:first], *places, *operands[last : loop.shared + loop.handed], *elements]
            after, added = self._step(loop, Index(i), given, targets)
            self.copy_numbers(after, later)
            self.copy(following, now)
            return self._added(names, added)

        names = self._counted(int(loop.extent), 1, loop.backwards, sums, step)
        numbers = [Number(name, self.lanes > 1) for name in names]
        return self._results(loop, operands, targets, [self.load(place) for place in places], numbers)

    def _in_lanes(self, loop: Loop, operands: Sequence[Operand], targets: Sequence[View | None]) -> list[Operand]:
        """A loop with independent steps, as many at a time as there are lanes."""
        lanes = self.module.machine.lanes
        sums = [literal(0.0, lanes) for kind_ in loop.kinds if kind_ == "sum"]
        operands = [self.number(x) if isinstance(x, View) and not x.shape else x for x in operands]

        count = loop.shared + loop.handed
        arrays = [x for x in operands[count:] if isinstance(x, View)]

        def block(index: Index, names: list[str]) -> list[str]:
            given = [*operands[:count], *[self.at(x, index) for x in arrays]]
            _, added = self._step(loop, index, given, targets)
            return self._added(names, added)

        names = self._blocks(int(loop.extent), sums, block)
        return self._results(loop, operands, targets, [], [self._total(name) for name in names])

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
                index = Index(self._plus(base, t))
                elements = [
                    Number(squares[k][t], True) if k in squares else self.at(x, index) for k, x in enumerate(arrays)
                ]
                names = step(index, names, elements)
            return names

        names = list(given)
        if rest and loop.backwards:
            names = block(str(full * lanes), names, rest)
        names = self._counted(full, lanes, loop.backwards, names, block)
        if rest and not loop.backwards:
            names = block(str(full * lanes), names, rest)
        return names

    def _plus(self, base: str, more: int) -> str:
        """A whole number and a constant."""
        if base.isdigit():
            return str(int(base) + more)
        return self.temporary(f"add nsw i64 {base}, {more}") if more else base

    def _square(self, view: View, base: str, count: int) -> list[str]:
        """The elements `base` to `base + count` of an array in each lane: a vector for each."""
        lanes, names = self.lanes, []
        for lane in range(self.valid):
            where = self._moved(self.address(view.pointer, view.start + lane * view.lane), base, 8)
            names.append(self._load_first(where, count))
        names += ["zeroinitializer"] * (lanes - self.valid)
        self._spend(lanes + lanes * (lanes.bit_length() - 1))
        self.temporaries += 1
        lines, names = transposed(lanes, names, f"s{self.temporaries}.")
        for line in lines:
            self.write(line)
        return names

    def _added(self, before: Sequence[str], added: Sequence[Number]) -> list[str]:
        """Sums after a step; lanes that do not count add nothing."""
        self._spend(len(added))
        names = [self.name(x) for x in added]
        if self.lanes > 1 and self.valid < self.lanes:
            zero = literal(0.0, self.lanes)
            choices = [f"{self.bit} {self._mask(self.valid)}, {self.type} {name}, {self.type} {zero}" for name in names]
            names = [self.temporary(f"select {choice}") for choice in choices]
        flags = self.module.machine.flags
        return [self.temporary(f"fadd {flags}{self.type} {x}, {y}") for x, y in zip(before, names)]

    def _total(self, name: str) -> Number:
        """The sum over the lanes of a vector: halves are added until one number is left."""
        lanes, flags = self.module.machine.lanes, self.module.machine.flags
        self._spend(2 * lanes.bit_length())
        while lanes > 1:
            half, type_ = lanes // 2, kind(lanes)
            parts = []
            for start in (0, half):
                order = ", ".join(f"i32 {start + k}" for k in range(half))
                shuffle = f"shufflevector {type_} {name}, {type_} poison, <{half} x i32> <{order}>"
                parts.append(self.temporary(shuffle))
            name = self.temporary(f"fadd {flags}{kind(half) if half > 1 else '<1 x double>'} {parts[0]}, {parts[1]}")
            lanes = half
        return Number(self.temporary(f"extractelement <1 x double> {name}, i64 0"))

    def _results(
        self,
        loop: Loop,
        operands: Sequence[Operand],
        targets: Sequence[View | None],
        carries: Sequence[Operand],
        sums: Sequence[Operand],
    ) -> list[Operand]:
        """The results of a loop in their order."""
        left = iter(sums)
        outs = [next(left) if target is None else target for target in targets]
        return [*carries, *operands[loop.shared + loop.carries : loop.shared + loop.handed], *outs]

    # ---- steps ---------------------------------------------------------------------------------------------

    def _step(
        self, loop: Loop, index: Index, operands: Sequence[Operand], targets: Sequence[View | None]
    ) -> tuple[list[Operand], list[Number]]:
        """Write one step, given the elements that it takes: the carries after it, and what is added to the sums."""
        body = loop.body
        rows = [None if target is None else self.at(target, index) for target in targets]
        roots = {o: _root(body, o) for o in body.outputs[loop.handed :]}
        places: dict[int, View] = {}  # arrays that are made where they are to be stacked
        for o, row in zip(body.outputs[loop.handed :], rows):
            if row is not None and row.shape and self._may_be_made(body.code[roots[o]], row):
                places.setdefault(roots[o], row)
        inputs: list[Operand] = [Number("", counter=index), *operands]
        values = _Values(self, body, inputs, places).run()
        pairs = [(o, row) for o, row in zip(body.outputs[loop.handed :], rows) if row is not None]
        single = [(values[o], row) for o, row in pairs if not row.shape]
        self.copy_numbers([x for x, _ in single], [row for _, row in single])
        for o, row in pairs:
            if row.shape and places.get(roots[o]) is not row:
                self.copy(values[o], row)
        after = [values[o] for o in body.outputs[: loop.carries]]
        outs = zip(body.outputs[loop.handed :], loop.kinds)
        return after, [self.number(values[o]) for o, kind_ in outs if kind_ == "sum"]

    def _may_be_made(self, instruction: Instruction, row: View) -> bool:
        """Whether an array may be made where it is to be stacked; one that is added to is better in one piece."""
        op = instruction.op
        return op in ("pack", "item") or (op == "zeros" and (self.lanes == 1 or row.lane == 8))


def _run(numbers: Sequence[Operand], at: int) -> int:
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


def _neighbours(numbers: Sequence[Operand]) -> View:
    """The array of numbers that are neighbours in memory."""
    first, second = numbers[0], numbers[1]
    assert isinstance(first, View)
    assert isinstance(second, View)
    return first._replace(shape=(len(numbers),), strides=(second.start - first.start,))


def _is_short(body: Program) -> bool:
    """Whether a body may be written once for each lane."""
    return len(body.code) <= SHORT and all(op != "loop" for op, _, _ in body.code)


def _is_turned(view: View) -> bool:
    """Whether the elements of an array are neighbours in memory, but those of neighbouring lanes are not."""
    return view.strides == (8,) and view.lane not in (0, 8) and not view.offsets


def _root(program: Program, value: int) -> int:
    """The instruction that made the array that a value is."""
    while True:
        op, operands, data = program.code[value]
        if op in ("add_at", "pos"):
            value = operands[0]
        elif op == "item" and (made := program.code[operands[0]]).data.carries <= data < made.data.handed:
            value = made.operands[made.data.shared + data]
        else:
            return value


def _changing(program: Program) -> set[int]:
    """The instructions that made arrays which are added to."""
    found: set[int] = set()
    for op, operands, data in program.code:
        if op == "add_at":
            found.add(_root(program, operands[0]))
        elif op == "loop":
            taken = operands[data.shared + data.carries : data.shared + data.handed]
            found |= {_root(program, o) for o in taken}
    return found


class _Values:
    """The values of a body, being written."""

    def __init__(self, nest: Nest, body: Program, inputs: Sequence[Operand], places: Mapping[int, View]) -> None:
        self.nest, self.body, self.inputs, self.places = nest, body, inputs, places
        self.values: list[Any] = []
        self.types = types_of(body)
        self.changing = _changing(body)
        self.item_of: dict[tuple[int, int], int] = {}
        for at, (op, operands, data) in enumerate(body.code):
            if op == "item":
                self.item_of.setdefault((operands[0], data), at)

    def run(self) -> list[Any]:
        """Write all instructions."""
        for at, (op, operands, data) in enumerate(self.body.code):
            special = _SPECIAL.get(op)
            if special is not None:
                self.values.append(special(self, at, operands, data))
            else:
                self.values.append(self._operation(op, [self.number(o) for o in operands], data))
        return self.values

    def number(self, o: int) -> Number:
        """The number that a value is."""
        found = self.values[o] = self.nest.number(self.values[o])
        return found

    def _operation(self, op: str, numbers: Sequence[Number], data: Any) -> Number:
        nest = self.nest
        lanes = nest.lanes
        wide = any(nest._is_wide(x) for x in numbers)
        nest._width(lanes if wide else 1)
        nest._spend(_cost(nest, op))
        names = [nest.name(x) for x in numbers]
        name = nest.temporary(nest.expression(op, names, data))
        nest._width(lanes)
        return Number(name, wide, truth=op in PREDICATES)

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
        return self.nest.load(view) if not view.shape and _root(self.body, operands[0]) in self.changing else view

    def _add_at(self, at: int, operands: tuple[int, ...], data: Any) -> Operand:
        nest, (array, added, *indices) = self.nest, operands
        view = self._window(at, (array, *indices), data)
        if view.shape:
            nest.add_array(self.values[added], view)
        else:
            nest.add_to(self.number(added), view)
        found: View = self.values[array]
        return found

    def _zeros(self, at: int, operands: tuple[int, ...], data: Any) -> Operand:
        nest = self.nest
        made = self.places.get(at) or nest.room(data)
        nest.elementwise([made], lambda one: nest.store(Number("", constant=0.0), one[0]))
        return made

    def _pack(self, at: int, operands: tuple[int, ...], data: Any) -> Operand:
        nest, numbers = self.nest, [self.values[o] for o in operands]
        together = len(numbers) >= FEWEST_NEIGHBOURS and _run(numbers, 0) == len(numbers) and len(data) == 1
        if together and at not in self.places and at not in self.changing:
            return _neighbours(numbers)
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
        types = loop.result_types(types_of(loop.body))
        targets: list[View | None] = []
        kept, block = stored_carries(loop), None
        if len(kept) > 1:  # column by column, in an array of which each step has a row
            rows = nest.room((int(loop.extent), len(kept)))
            block = rows._replace(shape=rows.shape[::-1], strides=rows.strides[::-1])
        for k, kind_ in enumerate(loop.kinds, loop.handed):
            made = types[k]
            if kind_ == "sum":
                targets.append(None)
                continue
            assert isinstance(made, Array)
            place = self.places.get(self.item_of.get((at, k), -1))
            if place is None and block is not None and k in kept:
                place = nest.at(block, Index(str(kept.index(k))))
            targets.append(place or nest.room(tuple([int(e) for e in made.shape])))
        given = [self.values[o] if isinstance(self.types[o], Array) else self.number(o) for o in operands]
        return nest.run_loop(loop, given, targets)


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


_SPECIAL: dict[str, Callable[[_Values, int, tuple[int, ...], Any], Any]] = {
    "input": _Values._input,
    "constant": _Values._constant,
    "read": _Values._read,
    "add_at": _Values._add_at,
    "zeros": _Values._zeros,
    "pack": _Values._pack,
    "table": _Values._table,
    "pos": _Values._same,
    "item": _Values._item,
    "loop": _Values._loop,
}
