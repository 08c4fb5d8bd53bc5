"""Code: a program, or the body of a loop, as functions of bounded size.

Compile time grows faster than the length of a function, so all code is cut. Values that outlive their function are
stored in slots of a workspace.
"""

from __future__ import annotations

from collections.abc import Sequence

from autograd.compiler.lower.expressions import LIBM
from autograd.compiler.lower.gather import add_in_lanes, read_in_lanes
from autograd.compiler.lower.module import ARGUMENTS, Module, Place, literal
from autograd.compiler.lower.values import FEW, UNROLLED, Values
from autograd.ir.block import NUMBER, Array, Loop, Program, Window, size_of

CHUNK = 300  # instructions in a function: compile time grows faster than the length
LONGEST = 2000  # instructions in a function without calls, which can keep values in registers
# %sums: in a map, the sums over its rows or the factors that they keep; in a program, the first guard that failed.
PARAMETERS = ARGUMENTS.replace("ptr", "ptr noalias")


class Code(Values):
    """A program, or the body of a loop, being written as functions."""

    def __init__(self, module: Module, program: Program, name: str, lanes: int, where: Sequence[Place]) -> None:
        super().__init__(module, program, name, lanes, where)
        self.in_memory = False  # whether all that is still needed can be loaded from memory
        self.has_blocks = False  # whether there is more than one block in a function
        self.chunks: list[str] = []  # the functions' names
        self.bodies: list[str] = []

    def lower(self) -> list[str]:
        """Write everything; return the names of the functions in the order of their calls."""
        self._write()
        return self._functions()

    def lower_into(self, longest: int = 1 << 62) -> str:
        """Write everything, for a function with the same arguments; return what it has to do.

        That is the code itself if it is one function of no more than so many lines: LLVM takes long for each function.
        """
        self._write()
        if len(self.bodies) == 1 and not self.has_blocks and self.bodies[0].count("\n") < longest:
            return self.bodies[0]
        return "\n".join([f"  call void {function}({ARGUMENTS})" for function in self._functions()])

    def _functions(self) -> list[str]:
        for name, body in zip(self.chunks, self.bodies):
            self.module.functions.append(
                f"define internal void {name}({PARAMETERS}) nounwind alignstack(64) {{\n{body}\n  ret void\n}}"
            )
        return self.chunks

    def _write(self) -> None:
        code = self.program.code
        self.virtual = self._virtual()
        computed = [at for at in range(len(code)) if not self.is_free(at) and at not in self.unneeded]
        calls = any(code[at].op in LIBM or code[at].op in ("loop", "custom") for at in computed)
        whole = len(computed) <= (self.longest_with_calls if calls else LONGEST)
        length = max(len(computed), 1) if whole else CHUNK
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
            self.compute(part)
            if part is parts[-1]:
                self.in_memory = self.ends_in_memory
                self.end()
            self.finish()

    def compute(self, values: Sequence[int]) -> None:
        """Write the values of a function."""
        for value in values:
            self._instruction(value)
            if value in self.slots:
                self.store(value, Place("%work", self.slots[value], (), True))
            self.computed(value)

    def _virtual(self) -> set[int]:
        """Packed arrays that are only outputs, so that their numbers go there one by one."""
        uses = self.program.uses()
        found = [o for o in self.program.outputs if self.program.code[o].op == "pack"]
        return {o for o in found if uses[o] == self.program.outputs.count(o)}

    longest_with_calls = CHUNK
    ends_in_memory = False  # whether what is written last needs no number of the function before

    def prepare(self) -> None:
        """Prepare before anything is written."""

    def store_early(self, output: int, place: Place) -> dict[int, list[Place]]:
        """Numbers that go to an output as soon as they are computed, and where to."""
        if not isinstance(self.types[output], Array):
            return {output: [place]}
        found: dict[int, list[Place]] = {}
        if output in self.virtual:
            elements = self.elements(place, self.shape(output))
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
        self.lines, self.here, self.renamed = [], set(), {}

    def finish(self) -> None:
        """End the function."""
        self.chunks.append(f"@{self.name}.{len(self.chunks)}")
        self.bodies.append("\n".join(self.lines))

    def _assign_slots(self, parts: Sequence[Sequence[int]]) -> None:
        """A slot for each number that is used in a later function; free again after its last use."""
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
            self.run_loop(value, operands, data)
        elif op == "zeros":
            where, size = self.pointer(self.array(value)), self.width * size_of(self.types[value])
            self.module.declarations["memset"] = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"
            self.write(f"call void @llvm.memset.p0.i64(ptr {where}, i8 0, i64 {size}, i1 false)")
        elif op == "pack" and (source := self.neighbours(operands)) is not None:
            self.copy_memory(self.array(value), source, len(operands))
        elif op == "pack":
            for o, place in zip(operands, self.elements(self.array(value), data)):
                self.make_room()
                self.store(o, place)
        elif op == "add_at":
            self._add_at(value, operands, data)
        elif op == "read":
            if self.scatters(value):
                number = read_in_lanes(self, operands[0], data, operands[1:])
            else:
                number = self._number_at(self.window(operands[0], data, operands[1:]))
            self.here.add(value)
            self.write(f"%v{value} = freeze {self.type} {number}")  # another name
        else:
            names = [self.get(o) for o in operands]
            self.here.add(value)
            self.write(f"%v{value} = {self.expression(op, names, data)}")

    def run_loop(self, value: int, operands: tuple[int, ...], loop: Loop) -> None:
        """Run a loop."""
        raise NotImplementedError

    def _add_at(self, value: int, operands: Sequence[int], window: Window) -> None:
        array, added, *indices = operands
        if self.scatters(value):
            number = self.get(added)
            add_in_lanes(
                self, array, window, indices, number if self.mask is None else self.masked(self.mask, number, -0.0)
            )
            return
        target = self.window(array, window, indices)
        if not window.shape:
            self.add(target, self.get(added))
            return
        shape = [extent for extent in window.shape if isinstance(extent, int)]
        if Array(tuple(shape)).size() > (UNROLLED if self.lanes > 1 else FEW) and self.mask is None:
            self.by_element("add", self.array(added), target, shape)
            return
        for far, near in zip(self.elements(target, shape), self.elements(self.array(added), shape)):
            self.make_room()
            self.add(far, self._number_at(near))

    def add(self, place: Place, number: str) -> None:
        """Add a number to that at a place."""
        before = self._number_at(place)
        if self.mask is not None:  # to add -0.0 changes nothing
            number = self.masked(self.mask, number, -0.0)
        total = self.temporary(f"fadd {self.module.machine.flags}{self.type} {before}, {number}")
        align = place.alignment(self.width)
        self.write(f"store {self.type} {total}, ptr {self.pointer(place)}, align {align}")

    def masked(self, mask: int, number: str, other: float) -> str:
        """A number in the lanes of a mask, another one in the others."""
        where = self.address("%work", mask)
        loaded = self.temporary(f"load {self.type}, ptr {where}, align {self.width}")
        active = self.temporary(f"fcmp une {self.type} {loaded}, zeroinitializer")
        return self.temporary(
            f"select {self.bit} {active}, {self.type} {number}, {self.type} {literal(other, self.lanes)}"
        )

    def call(self, function: str) -> None:
        """Call a function that takes what this one was given."""
        self.write(f"call void {function}({ARGUMENTS})")
