"""Lowering: writes a program as LLVM IR.

The program itself becomes scalar code. A loop with independent steps computes as many rows at a time as the machine's
vectors have lanes; any other loop runs step by step. All code is cut into functions of bounded size, because compile
time grows faster than the length of a function. Values that outlive their function are stored in slots of a workspace.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from autograd.compiler.lower.loops import write_map, write_steps
from autograd.compiler.lower.module import Growing, Machine, Module, Place, Writer, kind, literal
from autograd.compiler.lower.rounding import write_round
from autograd.compiler.lower.rows import Rows, entries, fits_lanes
from autograd.compiler.lower.sums import Kept, keep_factors
from autograd.compiler.lower.whiles import Deciding, begin_memory, end_memory, write_while
from autograd.ir.block import CALL, GOING, LOGIC, NUMBER, STEPS, TRUTH, Array, Loop, Program, Window, size_of, types_of

CHUNK = 300  # instructions in a function: compile time grows faster than the length
LONGEST = 2000  # instructions in a function without calls, which can keep values in registers
CODES = {"<": "olt", "<=": "ole", ">": "ogt", ">=": "oge", "==": "oeq", "!=": "une"}
ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
INTRINSICS = {
    "abs": "fabs", "rint": "roundeven", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
    "copysign": "copysign", "fma": "fma",
}  # fmt: skip  # a table
BY_NAME = (
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "atan2",
    "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "cbrt", "hypot", "pow", "erf", "erfc", "fmod", "remainder",
)  # fmt: skip  # a list of words
LIBM = {"gamma": "tgamma", "lgamma": "lgamma", **{name: name for name in BY_NAME}}
BINARY = frozenset({"atan2", "hypot", "pow", "fmod", "remainder"})
# Instructions that are not computed in place; their values are loaded where they are used.
FREE = frozenset({"input", "constant", "item", "table", "pos"})

# %sums: in a map, the sums over its rows or the factors that they keep; in a program, the first guard that failed.
ARGUMENTS = "ptr noalias %inputs, ptr noalias %rows, ptr noalias %outputs, ptr noalias %sums, ptr noalias %work"


class Code(Writer):
    """A program, or the body of a loop, being written as functions of bounded size; `where` has its inputs."""

    def __init__(self, module: Module, program: Program, name: str, lanes: int, where: Sequence[Place]) -> None:
        super().__init__()
        self.module, self.program, self.name, self.lanes = module, program, name, lanes
        self.where = where
        self.width = 8 * lanes  # bytes of a number in all lanes
        self.type, self.bit = kind(lanes), kind(lanes, "i1")
        self.here: set[int] = set()  # values that have a name in the function being written
        self.in_memory = False  # whether all that is still needed can be loaded from memory
        self.chunks: list[str] = []
        self.places: dict[int, Place] = {}  # of arrays
        self.items: dict[int, list[Place]] = {}  # of loops: where their results are
        self.types = types_of(program)
        self.bits = {at for at, t in enumerate(self.types) if t == TRUTH}
        self.changed = self._changed()  # arrays that are added to
        self.unneeded: set[int] = set()  # values that nothing here computes
        self.mask: int | None = None  # the slot for which lanes take part in the step; None: all
        self.capacity: int | None = None  # the slot for how many steps the results of a loop have memory

    def _changed(self) -> set[int]:
        """Arrays whose elements change: what reads one does so where it stands."""
        changed: set[int] = set()
        for at, (op, operands, data) in enumerate(self.program.code):
            if (
                op == "zeros"
                or (op == "input" and self._is_accumulator(data))
                or (op in ("read", "add_at", "pos") and operands[0] in changed)
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
            return isinstance(self.types[value], Array) or value not in self.changed
        return op in FREE or (op == "pack" and value in self.virtual)

    # ---- values --------------------------------------------------------------------------------------------

    def get(self, value: int) -> str:
        """The name of a number in this function: computed here, a constant, or loaded from where it lies."""
        op, operands, data = self.program.code[value]
        if op == "constant":
            return literal(data, self.lanes)
        if op == "pos":
            return self.get(operands[0])
        name = f"%v{value}"
        if value in self.here:
            return name
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

    def _counter(self, slot: int) -> str:
        number = self.temporary(f"load i64, ptr {self.address('%work', slot)}")
        single = self.temporary(f"uitofp i64 {number} to double")
        if self.lanes == 1:
            return f"fadd double {single}, {literal(0.0, 1)}"
        return f"fadd {self.type} {self._splat(single)}, {self._steps()}"

    def _steps(self) -> str:
        return literal(0.0, self.lanes)

    def _load(self, place: Place, name: str, value: int) -> str:
        """Load a number. One that all lanes share is loaded at every use: keeping it in a register costs more."""
        where = self.pointer(place)
        if not place.wide and self.lanes > 1:
            return self._splat(self.temporary(f"load double, ptr {where}"))
        self.here.add(value)
        align = f", align {place.alignment(self.width)}" if self.lanes > 1 else ""
        self.write(f"{name} = load {self.type}, ptr {where}{align}")
        return name

    def _splat(self, single: str) -> str:
        """A number in every lane."""
        first = self.temporary(f"insertelement {self.type} poison, double {single}, i64 0")
        order = f"{kind(self.lanes, 'i32')} zeroinitializer"
        return self.temporary(f"shufflevector {self.type} {first}, {self.type} poison, {order}")

    def _load_slot(self, name: str, value: int) -> None:
        where = self.address("%work", self.slots[value])
        if value in self.bits:
            number = self.temporary(f"load {self.type}, ptr {where}, align {self.width}")
            zero = "zeroinitializer" if self.lanes > 1 else "0.0"
            self.write(f"{name} = fcmp une {self.type} {number}, {zero}")
        else:
            self.write(f"{name} = load {self.type}, ptr {where}, align {self.width}")

    def _as_number(self, bit: str) -> str:
        """A comparison as 1 or 0."""
        one, zero = literal(1.0, self.lanes), literal(0.0, self.lanes)
        return self.temporary(f"select {self.bit} {bit}, {self.type} {one}, {self.type} {zero}")

    def store(self, value: int, place: Place) -> None:
        """Store a number in all lanes."""
        name = self.get(value)
        if value in self.bits:
            name = self._as_number(name)
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
        offset = self.module.layout.take(self.width * made.size(), 64)
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
        place, shape = self.array(array), self._shape(array)
        steps = [place.step(shape, step) for step in window.steps]
        moves = [self._move(index, step) for index, step in zip(indices, steps)]
        strides = tuple([place.step(shape, stride) for stride in window.strides])
        found = place.moved(place.step(shape, window.offset), strides)
        return found._replace(moves=(*found.moves, *moves))

    def _shape(self, array: int) -> tuple[Any, ...]:
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

    def elements(self, place: Place, shape: Sequence[int]) -> list[Place]:
        """The places of all elements of an array."""
        found = [place]
        for extent, stride in zip(shape, place.strides):
            found = [p.moved(i * stride, p.strides[1:]) for p in found for i in range(extent)]
        return found

    def copy_array(self, value: int, target: Place) -> None:
        """Store an array somewhere else, row after row."""
        shape = self._shape(value)
        count = Array(tuple(shape)).size()
        if value in self.virtual:
            for o, place in zip(self.program.code[value].operands, self.elements(target, shape)):
                self.make_room()
                self.store(o, place)
            return
        source = self.array(value)
        dense = tuple([self.width * stride for stride in Array(tuple(shape)).strides()])
        if source.strides == target.strides == dense and source.wide == target.wide:
            self.module.declarations["memcpy"] = "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"
            far, near = self.pointer(target), self.pointer(source)
            self.write(f"call void @llvm.memcpy.p0.p0.i64(ptr {far}, ptr {near}, i64 {self.width * count}, i1 false)")
            return
        for near_place, far_place in zip(self.elements(source, shape), self.elements(target, shape)):
            self.make_room()
            number = self._number_at(near_place)
            align = far_place.alignment(self.width)
            self.write(f"store {self.type} {number}, ptr {self.pointer(far_place)}, align {align}")

    def _number_at(self, place: Place) -> str:
        where = self.pointer(place)
        if not place.wide and self.lanes > 1:
            return self._splat(self.temporary(f"load double, ptr {where}"))
        return self.temporary(f"load {self.type}, ptr {where}, align {place.alignment(self.width)}")

    # ---- functions -----------------------------------------------------------------------------------------

    def lower(self) -> list[str]:
        """Write everything; return the names of the functions in the order of their calls."""
        code = self.program.code
        self.index_slots: dict[int, int] = {}
        self.virtual = self._virtual()
        computed = [at for at in range(len(code)) if not self.is_free(at) and at not in self.unneeded]
        calls = any(code[at].op in LIBM or code[at].op in ("loop", "custom") for at in computed)
        length = CHUNK if calls or len(computed) > LONGEST else LONGEST
        parts: list[list[int]] = [[]]
        for value in computed:
            if len(parts[-1]) == length or (parts[-1] and (self._is_large(value) or self._is_large(parts[-1][-1]))):
                parts.append([])
            parts[-1].append(value)
        self.prepare()
        self._assign_slots(parts)
        for part in parts:
            self.begin()
            self.in_memory = bool(part) and self._is_large(part[0])
            for value in part:
                self._instruction(value)
                if value in self.slots:
                    self.store(value, Place("%work", self.slots[value], (), True))
                self.computed(value)
            if part is parts[-1]:
                self.in_memory = self.ends_in_memory
                self.end()
            self.finish()
        return self.chunks

    def _virtual(self) -> set[int]:
        """Packed arrays that are only outputs, so that their numbers go there one by one."""
        uses = self.program.uses()
        found = [o for o in self.program.outputs if self.program.code[o].op == "pack"]
        return {o for o in found if uses[o] == self.program.outputs.count(o)}

    ends_in_memory = False  # whether what is written last needs no number of the function before

    def prepare(self) -> None:
        """Prepare before anything is written."""

    def store_early(self, output: int, place: Place) -> dict[int, list[Place]]:
        """Numbers that go to an output as soon as they are computed, and where to."""
        if not isinstance(self.types[output], Array):
            return {output: [place]}
        found: dict[int, list[Place]] = {}
        if output in self.virtual:
            elements = self.elements(place, self._shape(output))
            for o, element in zip(self.program.code[output].operands, elements):
                found.setdefault(o, []).append(element)
        return found

    def computed(self, value: int) -> None:
        """Act on a value that has just been computed."""

    def end(self) -> None:
        """Write the end."""

    def _is_large(self, value: int) -> bool:
        """Whether so much is stored for an instruction that it needs functions of its own."""
        op, operands, _ = self.program.code[value]
        return op in ("loop", "pack") and len(operands) > CHUNK

    def make_room(self) -> None:
        """Begin a new function if this one is long and everything still needed is in memory."""
        if self.in_memory and len(self.lines) > 4 * CHUNK:
            self.finish()
            self.begin()

    def begin(self) -> None:
        """Begin a function."""
        self.lines, self.here = [], set()

    def finish(self) -> None:
        """Add the function to the module."""
        name = f"@{self.name}.{len(self.chunks)}"
        body = "\n".join(self.lines)
        self.module.functions.append(
            f"define internal void {name}({ARGUMENTS}) nounwind alignstack(64) {{\n{body}\n  ret void\n}}"
        )
        self.chunks.append(name)

    def _assign_slots(self, parts: Sequence[Sequence[int]]) -> None:
        """A slot for each number that is used in a later function; free again after its last use."""
        self.slots: dict[int, int] = {}
        if len(parts) == 1:
            return
        code = self.program.code
        chunk_of = {value: c for c, part in enumerate(parts) for value in part}
        last = dict(chunk_of)
        for c, part in enumerate(parts):
            for value in part:
                for o in self._needed(value):
                    if o in last:
                        last[o] = c
        for value in [v for o in self.lasting() for v in (o, *self._needed(o))]:
            if value in last:
                last[value] = len(parts) - 1
        free: list[int] = []
        freed: dict[int, list[int]] = {}
        for c, part in enumerate(parts):
            free += freed.pop(c, [])
            for value in part:
                if last[value] > c and (self.types[value] == NUMBER or value in self.bits) and code[value].op != "loop":
                    slot = free.pop() if free else self.module.layout.take(self.width, self.width)
                    self.slots[value] = slot
                    freed.setdefault(last[value] + 1, []).append(slot)

    def _needed(self, value: int) -> list[int]:
        """The values that are needed to write an instruction: its operands, and those that they are read from."""
        code = self.program.code
        found = list(code[value].operands)
        for o in found:  # it grows
            if code[o].op in ("read", "pos", "pack") and self.is_free(o):
                found += code[o].operands
        return found

    def lasting(self) -> Sequence[int]:
        """Values that are needed at the end."""
        return [g.value for g in self.program.guards]

    # ---- instructions --------------------------------------------------------------------------------------

    def _instruction(self, value: int) -> None:
        op, operands, data = self.program.code[value]
        if op == "loop":
            self._loop(value, operands, data)
        elif op == "zeros":
            where, size = self.pointer(self.array(value)), self.width * size_of(self.types[value])
            self.module.declarations["memset"] = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"
            self.write(f"call void @llvm.memset.p0.i64(ptr {where}, i8 0, i64 {size}, i1 false)")
        elif op == "pack":
            for o, place in zip(operands, self.elements(self.array(value), data)):
                self.make_room()
                self.store(o, place)
        elif op == "add_at":
            self._add_at(value, operands, data)
        elif op == "read":
            self.here.add(value)
            number = self._number_at(self.window(operands[0], data, operands[1:]))
            self.write(f"%v{value} = fadd {self.type} {number}, {literal(-0.0, self.lanes)}")
        else:
            names = [self.get(o) for o in operands]
            self.here.add(value)
            self.write(f"%v{value} = {self._expression(op, names, data)}")

    def _add_at(self, value: int, operands: Sequence[int], window: Window) -> None:
        array, added, *indices = operands
        target = self.window(array, window, indices)
        if not window.shape:
            self._add(target, self.get(added))
            return
        shape = [extent for extent in window.shape if isinstance(extent, int)]
        if Array(tuple(shape)).size() > CHUNK:
            self._add_by_loop(target, self.array(added), shape)
            return
        for far, near in zip(self.elements(target, shape), self.elements(self.array(added), shape)):
            self.make_room()
            self._add(far, self._number_at(near))

    def _add(self, place: Place, number: str) -> None:
        before = self._number_at(place)
        if self.mask is not None:  # to add -0.0 changes nothing
            number = self._where(self.mask, number, literal(-0.0, self.lanes))
        total = self.temporary(f"fadd {self.module.machine.flags}{self.type} {before}, {number}")
        align = place.alignment(self.width)
        self.write(f"store {self.type} {total}, ptr {self.pointer(place)}, align {align}")

    def _where(self, mask: int, number: str, other: str) -> str:
        """A number in the lanes of a mask, another one in the others."""
        where = self.address("%work", mask)
        loaded = self.temporary(f"load {self.type}, ptr {where}, align {self.width}")
        active = self.temporary(f"fcmp une {self.type} {loaded}, zeroinitializer")
        return self.temporary(f"select {self.bit} {active}, {self.type} {number}, {self.type} {other}")

    def _add_by_loop(self, target: Place, source: Place, shape: Sequence[int]) -> None:
        """Add a large array to a part of another, element by element."""
        counters = [self.module.layout.take(8, 8) for _ in shape]
        inside = AddCode(self.module, Program(), self.module.unique("add"), self.lanes, ())
        far, near = self.pinned(target), self.pinned(source)
        inside.moved = far.at(counters), near.at(counters)
        inside.mask = self.mask
        chunks = inside.lower()
        for counter, extent in reversed(list(zip(counters, shape))):
            chunks = [write_steps(self.module, chunks, str(extent), counter, False, ())]
        self.call(chunks[0])

    def pinned(self, place: Place) -> Place:
        """A place that does not depend on numbers that change: its address is kept in a slot."""
        if not place.moves:
            return place
        slot = self.module.layout.take(8, 8)
        self.write(f"store ptr {self.pointer(place)}, ptr {self.address('%work', slot)}")
        return Place("", 0, place.strides, place.wide, (), slot)

    def call(self, function: str) -> None:
        """Call a function that takes what this one was given."""
        self.write(f"call void {function}(ptr %inputs, ptr %rows, ptr %outputs, ptr %sums, ptr %work)")

    def _expression(self, op: str, names: list[str], data: Any) -> str:
        flags, t = self.module.machine.flags, self.type
        if op in ARITHMETIC:
            return f"{ARITHMETIC[op]} {flags}{t} {names[0]}, {names[1]}"
        if op == "neg":
            return f"fneg {flags}{t} {names[0]}"
        if op in CODES:
            return f"fcmp {CODES[op]} {t} {names[0]}, {names[1]}"
        if op == "select":
            return f"select {self.bit} {names[0]}, {t} {names[1]}, {t} {names[2]}"
        if op == "not":
            return f"xor {self.bit} {names[0]}, {literal(True, self.lanes)}"
        if op in LOGIC:
            return f"{op} {self.bit} {names[0]}, {names[1]}"
        if op == "copysign":  # the sign of a nan counts as plus
            ordered = self.temporary(f"fcmp ord {t} {names[1]}, {names[1]}")
            names[1] = self.temporary(f"select {self.bit} {ordered}, {t} {names[1]}, {t} {literal(0.0, self.lanes)}")
        if op in INTRINSICS:
            suffix = "f64" if self.lanes == 1 else f"v{self.lanes}f64"
            return self._call(f"llvm.{INTRINSICS[op]}.{suffix}", names)
        if op in LIBM and op not in self.module.machine.from_python:
            return self._library(LIBM[op], names)
        if op == "round":
            return self._lane_by_lane(write_round(self.module), names)
        rule = data if op == "custom" else None
        symbol = self.module.custom_symbol(rule, len(names)) if rule else f"autograd_python.{op}"
        return self._lane_by_lane(symbol, names)

    def _call(self, symbol: str, names: Sequence[str]) -> str:
        if not symbol.startswith("lanes."):
            parameters = ", ".join([self.type] * len(names))
            self.module.declarations[symbol] = f"declare {self.type} @{symbol}({parameters}) nounwind memory(none)"
        return f"call {self.type} @{symbol}({', '.join(f'{self.type} {name}' for name in names)})"

    def _library(self, name: str, names: Sequence[str]) -> str:
        vector = self.module.machine.vector_math.get(name)
        if self.lanes > 1 and vector is not None:
            return self._call(vector, names)
        return self._lane_by_lane(f"autograd_libm.{name}", names)

    def _lane_by_lane(self, symbol: str, names: Sequence[str]) -> str:
        """A scalar function in every lane, through a helper that is written once."""
        scalars = ", ".join(["double"] * len(names))
        if symbol not in self.module.helpers:
            self.module.declarations[symbol] = f"declare double @{symbol}({scalars}) nounwind"
        if self.lanes == 1:
            return self._call_scalar(symbol, names)
        helper = f"lanes.{symbol}"
        if helper not in self.module.helpers:
            arguments = ", ".join(f"{self.type} %x{i}" for i in range(len(names)))
            lines, last = [], "poison"
            for lane in range(self.lanes):
                for i in range(len(names)):
                    lines.append(f"%e{lane}.{i} = extractelement {self.type} %x{i}, i64 {lane}")
                passed = ", ".join(f"double %e{lane}.{i}" for i in range(len(names)))
                lines.append(f"%r{lane} = call double @{symbol}({passed})")
                lines.append(f"%y{lane} = insertelement {self.type} {last}, double %r{lane}, i64 {lane}")
                last = f"%y{lane}"
            body = "\n  ".join(lines)
            head = f"define internal {self.type} @{helper}({arguments}) nounwind"
            self.module.helpers[helper] = f"{head} {{\n  {body}\n  ret {self.type} {last}\n}}"
        return self._call(helper, names)

    def _call_scalar(self, symbol: str, names: Sequence[str]) -> str:
        return f"call double @{symbol}({', '.join(f'double {name}' for name in names)})"

    # ---- loops ---------------------------------------------------------------------------------------------

    def _loop(self, value: int, operands: tuple[int, ...], loop: Loop) -> None:
        """Lay out what a loop takes and call it."""
        shared = [self._shared(o) for o in operands[: loop.shared]]
        if self.lanes == 1 and fits_lanes(loop):
            self._map(value, operands, loop, shared)
        else:
            self._steps_of(value, operands, loop, shared)

    def _shared(self, o: int) -> Place:
        """Where the steps of a loop find a value of this program."""
        if isinstance(self.types[o], Array):
            return self.pinned(self.array(o))
        op, operands, data = self.program.code[o]
        if op == "input" and not (data == 0 and self.counter is not None):
            return self.where[int(data)]
        if op == "read" and self.is_free(o):
            return self.pinned(self.window(operands[0], data, operands[1:]))
        if op == "item":
            return self.items[operands[0]][int(data)]
        place = self.room(())
        self.make_room()
        self.store(o, place)
        return place

    def destination(self, value: int, item: int, row: Sequence[Any]) -> Place:
        """Where a result of a loop that is an array goes."""
        return self.room(row)

    def _results(self, value: int, loop: Loop) -> list[Place]:
        """Where the results of a loop go that are stacked or added up."""
        types = loop.result_types(types_of(loop.body))
        places = []
        for item in range(loop.handed, len(types)):
            made = types[item]
            single = not isinstance(made, Array)
            places.append(self.room(()) if single else self.destination(value, item, made.shape))  # type: ignore[union-attr]
        return places

    def _steps_of(self, value: int, operands: tuple[int, ...], loop: Loop, shared: Sequence[Place]) -> None:
        """A loop that goes step by step, in all lanes."""
        if loop.extent == CALL:
            raise NotImplementedError("a loop over the rows of a call whose steps add to one array")
        module, room = self.module, self.room
        carries = [room(()) for _ in range(loop.carries)]
        for o, place in zip(operands[loop.shared :], carries):
            self.make_room()
            self.store(o, place)
        buffers_before = len(module.memory.buffers) if module.memory else 0
        self.capacity = None
        added = [self.pinned(self.array(o)) for o in operands[loop.shared + loop.carries : loop.shared + loop.handed]]
        counter = module.layout.take(8, 8)
        arrays = [self.pinned(self.array(o)) for o in operands[loop.shared + loop.handed :]]
        elements = [array.at([counter]) for array in arrays]
        results = [self.pinned(place) for place in self._results(value, loop)]
        self.items[value] = [*carries, *added, *results]
        following = [room(()) for _ in carries]
        name = module.unique("step")
        where = [Place("%work", 0), *shared, *carries, *added, *elements]
        body = StepCode(module, loop, name, self.lanes, where, counter)
        body.targets = [*following, *added, *results]
        body.mask = self.mask
        deciding = self._deciding(loop, carries, shared, buffers_before) if loop.extent == STEPS else None
        if deciding is not None:
            body.mask = deciding.mask
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
            zero = literal(0.0, self.lanes)
            self.write(f"store {self.type} {self._where(self.mask, given, zero)}, ptr {where}, align {self.width}")
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
        results = self._results(value, loop)
        sums = 0
        for k, kind_ in enumerate(loop.kinds):
            if kind_ == "sum":
                results[k] = Place("%work", totals + 8 * sums)
                sums += 1
        self.items[value] = results
        counter = layout.take(8, 8) if rows.counts else None
        each = [place for kind_, place in zip(loop.kinds, results) if kind_ == "each"]
        arrays = [self.array(o) for o in operands[loop.shared :]]
        table = self._table([*arrays, *each], bool(loop.body.guards))
        kept = keep_factors(loop, rows)

        def write_body(name: str) -> list[str]:
            where = [Place("%work", 0), *shared, *rows.elements(lanes)]
            return RowCode(module, loop, name, lanes, where, rows, kept, counter).lower()

        function = write_map(module, rows, write_body, kept, counter)
        count = self.temporary("load i64, ptr %rows") if loop.extent == CALL else str(loop.extent)
        where = self.address("%work", totals)
        self.write(f"call void @{function}(ptr %inputs, i64 {count}, ptr {table}, ptr {where}, ptr %work)")

    def _table(self, places: Sequence[Place], flags: bool) -> str:
        """The table of a map: for each array its address, and the bytes from row to row and from column to column."""
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

    def _row_strides(self, place: Place) -> tuple[Any, Any]:
        if place.given is not None:
            entry = 8 + entries(place.given)
            return tuple([self.temporary(f"load i64, ptr {self.address('%rows', entry + 8 * k)}") for k in (1, 2)])  # type: ignore[return-value]
        return place.strides[0], place.strides[-1] if len(place.strides) > 1 else 8


class AddCode(Code):
    """The step of an addition of arrays: adds one element."""

    moved: tuple[Place, Place]

    def end(self) -> None:
        """Add the element."""
        far, near = self.moved
        self._add(far, self._number_at(near))


class TopCode(Code):
    """The program itself: scalar code, whose results go to the outputs."""

    ends_in_memory = True

    def prepare(self) -> None:
        """Find where each output goes."""
        self.failed = ""  # the number of the first guard that failed so far, in this function
        self.guards_at: dict[int, list[int]] = {}
        for position, guard in enumerate(self.program.guards):
            self.guards_at.setdefault(guard.value, []).append(position)
        sizes = [0 if self._given(o) else size_of(self.types[o]) for o in self.program.outputs]
        starts = [8 * start for start in accumulate(sizes, initial=0)]
        self.targets = [
            Place("%outputs", start, Place.rows(self.types[o].shape) if isinstance(self.types[o], Array) else (), False)  # type: ignore[union-attr]
            for start, o in zip(starts, self.program.outputs)
        ]
        self.left = dict(enumerate(self.program.outputs))  # those still to be stored
        self.early: dict[int, list[Place]] = {}
        self.direct: dict[tuple[int, int], int] = {}  # results of loops that are outputs
        given = 0
        for output, o in enumerate(self.program.outputs):
            op, operands, data = self.program.code[o]
            if self._given(o):
                self.targets[output] = Place("", given=self.inputs_given() + given)
                given += 1
            if isinstance(self.types[o], Array) and op == "item" and o not in self.changed:
                self.direct.setdefault((operands[0], data), output)
            early = {} if self._given(o) else self.store_early(o, self.targets[output])
            for value, places in early.items():
                self.early[value] = [*self.early.get(value, []), *places]
            if early:
                del self.left[output]

    def inputs_given(self) -> int:
        """How many arrays of the call are inputs."""
        return sum(isinstance(t, Array) and CALL in t.shape for t in self.program.inputs)

    def _given(self, o: int) -> bool:
        made = self.types[o]
        return isinstance(made, Array) and CALL in made.shape

    def destination(self, value: int, item: int, row: Sequence[Any]) -> Place:
        """An output, or room in the workspace."""
        output = self.direct.get((value, item))
        if output is None:
            return self.room(row)
        self.left.pop(output)
        return self.targets[output]

    def pointer(self, place: Place) -> str:
        """The address of a place; those of arrays of the call are in their table."""
        if place.given is None:
            return super().pointer(place)
        return self.temporary(f"load ptr, ptr {self.address('%rows', 8 + entries(place.given))}")

    def begin(self) -> None:
        """Begin a function."""
        super().begin()
        self.failed = ""

    def finish(self) -> None:
        """End a function; the first guard that failed is in front of the workspace."""
        if self.failed:
            self.write(f"store i64 {self.failed}, ptr %sums")
        super().finish()

    def computed(self, value: int) -> None:
        """Store outputs and check guards as soon as they are there."""
        for place in self.early.pop(value, ()):
            self.store(value, place)
        for position in self.guards_at.get(value, ()):
            self._guard(position)

    def end(self) -> None:
        """Store inputs, constants, results of loops, and arrays."""
        for value, places in self.early.items():
            for place in places:
                self.make_room()
                self.store(value, place)
        for output, o in self.left.items():
            self.make_room()
            if self._given(o):
                raise NotImplementedError("an output over the rows of a call that no loop makes")
            self.copy_array(o, self.targets[output])

    def lasting(self) -> Sequence[int]:
        """What is not stored as soon as it is computed: arrays, and what is read from other places."""
        return [*[value for value in self.early if self.is_free(value)], *self.left.values()]

    def _guard(self, position: int) -> None:
        """Note the first guard that fails, counted from 1."""
        guard = self.program.guards[position]
        number, none = position + 1, 1 << 62
        yes, no = (none, number) if guard.expected else (number, none)
        failed = self.temporary(f"select i1 {self.get(guard.value)}, i64 {yes}, i64 {no}")
        before = self.failed or self.temporary("load i64, ptr %sums")
        self.failed = self.temporary(f"call i64 @llvm.umin.i64(i64 {before}, i64 {failed})")
        self.module.declarations["llvm.umin.i64"] = "declare i64 @llvm.umin.i64(i64, i64)"


class StepCode(Code):
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
                self._add(target, self.get(o))
            elif kind_ == "each" and isinstance(self.types[o], Array):
                self.copy_array(o, target.at([counter]))
            elif kind_ == "each":
                self.store(o, target.at([counter]))

    def lasting(self) -> Sequence[int]:
        """All outputs are stored at the end."""
        return self.program.outputs


class RowCode(Code):
    """The body of a map, in lanes: its rows come from a stage and go to one."""

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
        super().__init__(module, loop.body, name, lanes, where)
        self.loop, self.rows, self.kept, self.counter = loop, rows, kept, counter
        self.unneeded = kept.unneeded if kept else set()

    def _steps(self) -> str:
        return f"<{', '.join([f'double {literal(float(k), 1)}' for k in range(self.lanes)])}>"

    def prepare(self) -> None:
        """Decide when each output is stored."""
        self.ends_in_memory = not self.program.guards
        self.early: dict[int, list[Place]] = {}
        self.sums: dict[int, list[Place]] = {}
        self.left: list[tuple[int, Place]] = []  # arrays still to be stored
        for output, o in enumerate(self.program.outputs) if not self.program.guards else ():
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
            self._add(place, self.get(value))
        if self.kept and value in self.kept.new:
            self._keep(value)

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
        self.write(f"store {self.type} {self._as_number(self.ok)}, ptr {self.pointer(place)}, align {self.width}")
        for output, value in enumerate(self.program.outputs):
            self._output(output, value)

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
        self._add(place, name)


def lower(program: Program, machine: Machine) -> Module:
    """The module of a prepared program, with the entry that Python calls.

    ``i64 run(block)`` takes the address of four addresses, of the inputs, the table of a map over arrays, the outputs
    and the workspace. It returns 0, the number of the first guard that failed, from 1, or `OUT_OF_MEMORY`.
    """
    module = Module(machine)
    status = module.layout.take(8)
    where, offset, given = [], 0, 0
    for made in program.inputs:
        if isinstance(made, Array) and CALL in made.shape:
            where.append(Place("", 0, (0,) * len(made.shape), False, (), None, given))
            given += 1
            continue
        where.append(Place("%inputs", offset, Place.rows(made.shape) if isinstance(made, Array) else (), False))
        offset += 8 * size_of(made)
    code = TopCode(module, program, "program", 1, where)
    given += sum(isinstance(t, Array) and CALL in t.shape for t in [code.types[o] for o in program.outputs])
    module.flags = 8 + entries(given)
    chunks = code.lower()
    calls = "\n  ".join(f"call void {c}(ptr %inputs, ptr %rows, ptr %outputs, ptr %status, ptr %work)" for c in chunks)
    begin, end = "\n  ".join(begin_memory(module)), "\n  ".join(end_memory(module))
    module.functions.append(f"""define i64 @run(ptr %block) nounwind {{
  %inputs = load ptr, ptr %block
  %block1 = getelementptr i8, ptr %block, i64 8
  %rows = load ptr, ptr %block1
  %block2 = getelementptr i8, ptr %block, i64 16
  %outputs = load ptr, ptr %block2
  %block3 = getelementptr i8, ptr %block, i64 24
  %work = load ptr, ptr %block3
  %status = getelementptr i8, ptr %work, i64 {status}
  store i64 {1 << 62}, ptr %status
  {begin}
  {calls}
  %failed = load i64, ptr %status
  %fine = icmp eq i64 %failed, {1 << 62}
  %result = select i1 %fine, i64 0, i64 %failed
  {end}
  ret i64 %answer
}}""")
    return module
