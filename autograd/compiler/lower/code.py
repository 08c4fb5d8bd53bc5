"""Lowering: a program as the text of LLVM's intermediate language.

The program itself becomes scalar code; the body of a map becomes a loop over its rows, as many at a time as the
machine's vectors have lanes. Either is cut into functions of bounded size, since compile time grows faster than
the length of a function; values that outlive their function pass through slots in a workspace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

from autograd.compiler.lower.loops import ENTRY, write_loop
from autograd.compiler.lower.module import Machine, Module, Writer, kind, literal
from autograd.compiler.lower.rounding import write_round
from autograd.compiler.lower.sums import Kept, keep_factors
from autograd.ir.block import COMPARISONS, LOGIC, Map, Program

CHUNK = 300  # instructions in a function: compile time grows faster than the length
LONGEST = 2000  # where nothing is called, so that values stay in registers, so many may stay together
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
FREE = frozenset({"input", "constant", "item"})  # nothing is computed for these


# %sums: of a map's body, what it adds up or the factors that it keeps; of a program, the first guard that failed.
ARGUMENTS = "ptr noalias %inputs, ptr noalias %rows, ptr noalias %outputs, ptr noalias %sums, ptr noalias %work"


class Code(Writer):
    """A program (or a map's body) being written as functions of bounded size."""

    def __init__(
        self,
        module: Module,
        program: Program,
        name: str,
        lanes: int,
        mapped: Map | None = None,
        shared: Sequence[tuple[str, int]] = (),
        kept: Kept | None = None,
    ) -> None:
        super().__init__()
        self.module, self.program, self.name, self.lanes, self.mapped = module, program, name, lanes, mapped
        self.shared = shared  # where each shared input of a body lies: a pointer and an offset
        self.kept = kept  # what a body keeps for its sums, if it does not add up itself
        self.type, self.bit = kind(lanes), kind(lanes, "i1")
        self.here: set[int] = set()  # values that have a name in the function being written
        self.failed = ""  # the number of the first guard that failed so far, in this function
        self.in_memory = False  # whether all that is still needed can be loaded from memory
        self.chunks: list[str] = []
        self.items: dict[int, Callable[[int], int]] = {}  # a map's value → where in the workspace its items are
        reduced = mapped.reduced if mapped is not None else ()
        before = list(accumulate(reduced, initial=0))  # how many outputs before each are sums
        self.ranks = [before[k] if r else k - before[k] for k, r in enumerate(reduced)]
        self.bits = {i for i, (op, _, _) in enumerate(program.code) if op in COMPARISONS or op in LOGIC}

    # ---- values --------------------------------------------------------------------------------------------

    def get(self, value: int) -> str:
        """The name of a value in this function: computed here, a constant, or loaded from where it lies."""
        op, operands, data = self.program.code[value]
        if op == "constant":
            return literal(data, self.lanes)
        name = f"%v{value}"
        if op == "input" and self.mapped is not None and data < self.mapped.shared:
            return self._broadcast(data)  # at every use: a register that is kept costs more than a load
        if value not in self.here:
            self.here.add(value)
            if op == "input":
                self._load_input(name, data)
            elif op == "item":
                where = self.address("%work", self.items[operands[0]](data))
                self.write(f"{name} = load double, ptr {where}")
            else:
                self._load_slot(name, value)
        return name

    def _load_input(self, name: str, number: int) -> None:
        if self.mapped is not None and number >= self.mapped.shared:
            column = number - self.mapped.shared
            where = self.address("%rows", column * 8 * self.lanes)
            self.write(f"{name} = load {self.type}, ptr {where}, align {8 * self.lanes}")
            return
        self.write(f"{name} = load double, ptr {self.address('%inputs', 8 * number)}")

    def _broadcast(self, number: int) -> str:
        """What all rows share, in every lane."""
        loaded = self.temporary(f"load double, ptr {self.address(*self.shared[number])}")
        if self.lanes == 1:
            return loaded
        first = self.temporary(f"insertelement {self.type} poison, double {loaded}, i64 0")
        mask = f"{kind(self.lanes, 'i32')} zeroinitializer"
        return self.temporary(f"shufflevector {self.type} {first}, {self.type} poison, {mask}")

    def _load_slot(self, name: str, value: int) -> None:
        where = self.address("%work", self.slots[value])
        if value in self.bits:
            number = self.temporary(f"load {self.type}, ptr {where}, align {8 * self.lanes}")
            self.write(
                f"{name} = fcmp une {self.type} {number}, zeroinitializer"
                if self.lanes > 1
                else f"{name} = fcmp une double {number}, 0.0"
            )
        else:
            self.write(f"{name} = load {self.type}, ptr {where}, align {8 * self.lanes}")

    def _as_number(self, bit: str) -> str:
        """A comparison as 1 or 0."""
        one, zero = literal(1.0, self.lanes), literal(0.0, self.lanes)
        return self.temporary(f"select {self.bit} {bit}, {self.type} {one}, {self.type} {zero}")

    def _store(self, value: int, base: str, offset: int) -> None:
        name = self.get(value)
        if value in self.bits:
            name = self._as_number(name)
        self.write(f"store {self.type} {name}, ptr {self.address(base, offset)}, align {8 * self.lanes}")

    # ---- functions -----------------------------------------------------------------------------------------

    def lower(self) -> list[str]:
        """Write everything; the names of the functions, to be called in this order."""
        code = self.program.code
        unneeded = self.kept.unneeded if self.kept else ()
        computed = [i for i, (op, _, _) in enumerate(code) if op not in FREE and i not in unneeded]
        calls = any(code[i].op in LIBM or code[i].op in ("map", "custom") for i in computed)
        length = CHUNK if calls or len(computed) > LONGEST else LONGEST
        parts: list[list[int]] = [[]]
        for value in computed:
            if len(parts[-1]) == length or (parts[-1] and (self._is_large(value) or self._is_large(parts[-1][-1]))):
                parts.append([])
            parts[-1].append(value)
        self._assign_slots(parts)
        uses = self._outputs_by_value()
        for part in parts:
            self._begin()
            self.in_memory = bool(part) and self._is_large(part[0])
            for value in part:
                self._instruction(value)
                for output in uses.pop(value, ()):
                    self._output(output, value)
                if value in self.slots:
                    self._store(value, "%work", self.slots[value])
                for position in self.guards_at.get(value, ()):
                    self._guard(position)
                if self.kept and value in self.kept.new:
                    self._store(value, "%sums", 8 * self.lanes * self.kept.new[value])
            if part is parts[-1]:
                self.in_memory = True
                for value, outputs in uses.items():  # inputs, constants and results of maps
                    for output in outputs:
                        self._make_room()
                        self._output(output, value)
                for value, place in self.kept.new.items() if self.kept else ():
                    if code[value].op in FREE:
                        self._store(value, "%sums", 8 * self.lanes * place)
                self._end_of_body()
            self._finish()
        return self.chunks

    def _is_large(self, value: int) -> bool:
        """Whether so much is to be stored for a map that it needs functions of its own."""
        op, operands, _ = self.program.code[value]
        return op == "map" and len(operands) > CHUNK

    def _make_room(self) -> None:
        """Go on in a new function if this one is long and all that is still needed lies in memory."""
        if self.in_memory and len(self.lines) > 4 * CHUNK:
            self._finish()
            self._begin()

    def _begin(self) -> None:
        self.lines, self.here, self.failed = [], set(), ""

    def _finish(self) -> None:
        if self.failed:
            self.write(f"store i64 {self.failed}, ptr %sums")
        name = f"@{self.name}.{len(self.chunks)}"
        body = "\n".join(self.lines)
        self.module.functions.append(
            f"define internal void {name}({ARGUMENTS}) nounwind alignstack(64) {{\n{body}\n  ret void\n}}"
        )
        self.chunks.append(name)

    def _assign_slots(self, parts: Sequence[Sequence[int]]) -> None:
        """A slot for each value that is used in a later function; free again after its last use."""
        code = self.program.code
        chunk_of = {value: c for c, part in enumerate(parts) for value in part}
        last = dict(chunk_of)
        for c, part in enumerate(parts):
            for value in part:
                for o in code[value].operands:
                    if o in last:
                        last[o] = c
        end = len(parts) - 1
        deferred = self.program.outputs if self._waits() else []
        for value in [*deferred, *([g.value for g in self.program.guards] if self.mapped else [])]:
            if value in last:
                last[value] = end
        self.slots: dict[int, int] = {}
        free: list[int] = []
        freed: dict[int, list[int]] = {}
        for c, part in enumerate(parts):
            free += freed.pop(c, [])
            for value in part:
                if last[value] > c and code[value].op != "map":
                    slot = free.pop() if free else self.module.layout.take(8 * self.lanes, 8 * self.lanes)
                    self.slots[value] = slot
                    freed.setdefault(last[value] + 1, []).append(slot)

    def _waits(self) -> bool:
        """Whether outputs are written at the end: sums of rows that may yet fail a guard."""
        return self.mapped is not None and bool(self.program.guards)

    def _outputs_by_value(self) -> dict[int, list[int]]:
        uses: dict[int, list[int]] = {}
        self.guards_at: dict[int, list[int]] = {}
        if not self._waits():
            for output, value in enumerate(self.program.outputs):
                if self.program.code[value].op == "map":
                    continue  # its results went to the arrays of the call
                if self.kept is None or not self.mapped or not self.mapped.reduced[output]:
                    uses.setdefault(value, []).append(output)
        if self.mapped is None:
            for position, guard in enumerate(self.program.guards):
                self.guards_at.setdefault(guard.value, []).append(position)
        return uses

    def _output(self, output: int, value: int) -> None:
        if self.mapped is None:
            self._store(value, "%outputs", 8 * output)
            return
        reduced = self.mapped.reduced
        place = self.ranks[output] * 8 * self.lanes
        if not reduced[output]:
            self._store(value, "%outputs", place)
            return
        where = self.address("%sums", place)
        name = self.get(value)
        if self._waits():
            name = self.temporary(
                f"select {self.bit} {self.ok}, {self.type} {name}, {self.type} {literal(0.0, self.lanes)}"
            )
        total = self.temporary(f"load {self.type}, ptr {where}, align {8 * self.lanes}")
        total = self.temporary(f"fadd {self.module.machine.flags}{self.type} {total}, {name}")
        self.write(f"store {self.type} {total}, ptr {where}, align {8 * self.lanes}")

    def _guard(self, position: int) -> None:
        """Note the first guard that fails, counted from 1; `_finish` stores it in front of the workspace."""
        guard = self.program.guards[position]
        number, none = position + 1, 1 << 62
        yes, no = (none, number) if guard.expected else (number, none)
        failed = self.temporary(f"select i1 {self.get(guard.value)}, i64 {yes}, i64 {no}")
        before = self.failed or self.temporary("load i64, ptr %sums")
        self.failed = self.temporary(f"call i64 @llvm.umin.i64(i64 {before}, i64 {failed})")
        self.module.declarations["llvm.umin.i64"] = "declare i64 @llvm.umin.i64(i64, i64)"

    def _end_of_body(self) -> None:
        """Of a body with guards: which lanes are valid, and then the outputs."""
        if not self._waits():
            return
        self.ok = literal(True, self.lanes)
        for guard in self.program.guards:
            holds = self.get(guard.value)
            if not guard.expected:
                holds = self.temporary(f"xor {self.bit} {holds}, {literal(True, self.lanes)}")
            self.ok = self.temporary(f"and {self.bit} {self.ok}, {holds}")
        assert self.mapped is not None
        flags = self._as_number(self.ok)
        place = sum(not r for r in self.mapped.reduced) * 8 * self.lanes
        self.write(f"store {self.type} {flags}, ptr {self.address('%outputs', place)}, align {8 * self.lanes}")
        for output, value in enumerate(self.program.outputs):
            self._output(output, value)

    # ---- instructions --------------------------------------------------------------------------------------

    def _instruction(self, value: int) -> None:
        op, operands, data = self.program.code[value]
        if op == "map":
            self._map(value, operands, data)
            return
        names = [self.get(o) for o in operands]
        self.here.add(value)
        self.write(f"%v{value} = {self._expression(op, names, data)}")

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

    # ---- maps ----------------------------------------------------------------------------------------------

    def _map(self, value: int, operands: tuple[int, ...], mapped: Map) -> None:
        """Lay out what a map's loop takes and call it."""
        layout, lanes = self.module.layout, self.module.machine.lanes
        shared: list[tuple[str, int]] = []
        for o in operands[: mapped.shared]:
            op, _, data = self.program.code[o]
            if op == "input":
                shared.append(("%inputs", 8 * data))
            else:
                shared.append(("%work", layout.take(8, 8)))
                self._make_room()
                self._store(o, *shared[-1])
        each = len(mapped.reduced) - sum(mapped.reduced)
        results = layout.take(8 * each * (mapped.rows or 0))
        totals = layout.take(8 * (sum(mapped.reduced) + lanes))
        places: dict[int, int] = {}  # item → its offset
        ranks = {True: 0, False: 0}
        for start, reduced in zip(mapped.positions(), mapped.reduced):
            for row in range(1 if reduced else mapped.rows or 0):
                rank = ranks[reduced]
                places[start + row] = totals + 8 * rank if reduced else results + 8 * (rank * (mapped.rows or 0) + row)
            ranks[reduced] += 1
        self.items[value] = places.__getitem__
        if mapped.rows is None:
            count = self.temporary("load i64, ptr %rows")
            table, widths = self.address("%rows", 8), list(mapped.widths)
            results_widths = list(mapped.results)
        else:
            count = str(mapped.rows)
            table, widths = self._tables(operands[mapped.shared :], mapped, results)
            results_widths = [each] if each else []

        kept = keep_factors(mapped.body, mapped.reduced, mapped.shared)

        def write_body(name: str) -> list[str]:
            return Code(self.module, mapped.body, name, lanes, mapped, shared, kept).lower()

        function = write_loop(self.module, mapped, write_body, widths, results_widths, kept)
        sums = self.address("%work", totals)
        self.write(f"call void @{function}(ptr %inputs, i64 {count}, ptr {table}, ptr {sums}, ptr %work)")

    def _tables(self, operands: Sequence[int], mapped: Map, results: int) -> tuple[str, list[int]]:
        """The table of a map whose rows are values of this program, and the widths of its groups of inputs."""
        layout, columns, rows = self.module.layout, mapped.columns, mapped.rows or 0
        entries: list[tuple[str, int, int, int]] = []  # a pointer and an offset, the steps from row to row and column
        widths: list[int] = []
        end: tuple[int, int] | None = None  # of the group so far: its last column's first input, and its step
        for column in range(columns):
            values = operands[column::columns]
            step = self._even_step(values)
            if step is None:
                start = layout.take(8 * rows)
                for row, o in enumerate(values):
                    self._make_room()
                    self._store(o, "%work", start + 8 * row)
                entries.append(("%work", start, 8, 8))
                widths.append(1)
                end = None
                continue
            first = self.program.code[values[0]].data
            if end == (first - 1, step):
                widths[-1] += 1
            else:
                entries.append(("%inputs", 8 * first, 8 * step, 8))
                widths.append(1)
            end = first, step
        each = len(mapped.reduced) - sum(mapped.reduced)
        if each:
            entries.append(("%work", results, 8, 8 * rows))
        table = layout.take(ENTRY * len(entries) + 8)
        for i, (base, offset, stride, step) in enumerate(entries):
            self._make_room()
            where = self.address("%work", table + ENTRY * i)
            self.write(f"store ptr {self.address(base, offset)}, ptr {where}")
            self.write(f"store i64 {stride}, ptr {self.address(where, 8)}")
            self.write(f"store i64 {step}, ptr {self.address(where, 16)}")
        return self.address("%work", table), widths

    def _even_step(self, values: Sequence[int]) -> int | None:
        """How far apart these inputs are, if they are inputs and evenly apart."""
        if any(self.program.code[o].op != "input" for o in values):
            return None
        numbers = [self.program.code[o].data for o in values]
        steps = {b - a for a, b in pairwise(numbers)}
        return steps.pop() if len(steps) == 1 else None


def lower(program: Program, machine: Machine) -> Module:
    """The module of a prepared program, with the entry that Python calls.

    ``i64 run(block)`` takes the address of four addresses, of the inputs, the table of a map over arrays, the outputs
    and the workspace. It returns 0, or the number of the first guard that failed, from 1.
    """
    module = Module(machine)
    status = module.layout.take(8)
    chunks = Code(module, program, "program", 1).lower()
    calls = "\n  ".join(f"call void {c}(ptr %inputs, ptr %rows, ptr %outputs, ptr %status, ptr %work)" for c in chunks)
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
  {calls}
  %failed = load i64, ptr %status
  %fine = icmp eq i64 %failed, {1 << 62}
  %result = select i1 %fine, i64 0, i64 %failed
  ret i64 %result
}}""")
    return module
