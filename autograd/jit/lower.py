"""Lowering: a program as the text of LLVM's intermediate language.

The program itself becomes scalar code; the body of a map becomes a loop over its rows, as many at a time as the
machine's vectors have lanes. Either is cut into functions of bounded size, since compile time grows faster than
the length of a function; values that outlive their function pass through slots in a workspace.

A map's loop copies each block of rows into a stage, one vector a column, and runs the body on the stage. Lanes
beyond the last row repeat it, so nothing is read or written out of bounds, and their sums are left out.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from autograd.jit.program import COMPARISONS, LOGIC, Map, Program
from autograd.rules import Rule

CHUNK = 500  # instructions in a function: more take the compiler longer, fewer store and load more
ALIGNMENT = 64
CODES = {"<": "olt", "<=": "ole", ">": "ogt", ">=": "oge", "==": "oeq", "!=": "une"}
ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
INTRINSICS = {"abs": "fabs", "rint": "roundeven", **{n: n for n in "sqrt floor ceil trunc copysign fma".split()}}
LIBM = {
    "gamma": "tgamma", "lgamma": "lgamma",
    **{name: name for name in (
        "exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh "
        "cbrt hypot pow erf erfc fmod remainder"
    ).split()},
}  # fmt: skip  # a table
BINARY = frozenset({"atan2", "hypot", "pow", "fmod", "remainder"})
FREE = frozenset({"input", "constant", "item"})  # nothing is computed for these


@dataclass(frozen=True)
class Machine:
    """What lowering must know of the machine, and how it is asked to compute.

    Attributes
    ----------
    lanes : int
        Doubles in a vector register.
    vector_math : mapping
        libm's name → the symbol of its vector form; what is missing goes lane by lane.
    flags : str
        LLVM's flags of floating-point operations.
    """

    lanes: int
    vector_math: dict[str, str]
    flags: str = "contract "


@dataclass
class Layout:
    """The workspace: who has which bytes."""

    size: int = 0

    def take(self, bytes_: int) -> int:
        """The offset of so many new bytes."""
        start = self.size
        self.size += -(-bytes_ // ALIGNMENT) * ALIGNMENT
        return start


@dataclass
class Module:
    """The text of a module in the making."""

    machine: Machine
    functions: list[str] = field(default_factory=list)
    declarations: dict[str, str] = field(default_factory=dict)  # symbol → its declaration
    helpers: dict[str, str] = field(default_factory=dict)
    layout: Layout = field(default_factory=Layout)
    custom: dict[str, Rule] = field(default_factory=dict)  # symbol → the rule that it calls
    counter: int = 0

    def unique(self, stem: str) -> str:
        """A name that no other function has."""
        self.counter += 1
        return f"{stem}{self.counter}"

    def text(self) -> str:
        """The whole module."""
        return "\n".join([*self.declarations.values(), *self.helpers.values(), *self.functions])

    def custom_symbol(self, rule: Rule, arity: int) -> str:
        """The symbol by which machine code calls back a rule written in Python."""
        for name, known in self.custom.items():
            if known is rule and name.endswith(f".{arity}"):
                return name
        name = f"{rule.name}.{len(self.custom)}.{arity}"
        name = "autograd_call." + "".join(c if c.isalnum() or c in "._" else "_" for c in name)
        self.custom[name] = rule
        return name


def kind(lanes: int, element: str = "double") -> str:
    """LLVM's type of a value in so many lanes."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


def literal(number: float | bool, lanes: int) -> str:
    """A constant in all lanes."""
    if isinstance(number, bool):
        return str(number).lower() if lanes == 1 else f"splat (i1 {str(number).lower()})"
    bits = f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
    return bits if lanes == 1 else f"splat (double {bits})"


ARGUMENTS = "ptr noalias %inputs, ptr noalias %rows, ptr noalias %outputs, ptr noalias %sums, ptr noalias %work"


class Code:
    """A program (or a map's body) being written as functions of bounded size."""

    def __init__(
        self,
        module: Module,
        program: Program,
        name: str,
        lanes: int,
        mapped: Map | None = None,
        shared: Sequence[tuple[str, int]] = (),
    ) -> None:
        self.module, self.program, self.name, self.lanes, self.mapped = module, program, name, lanes, mapped
        self.shared = shared  # where each shared input of a body lies: a pointer and an offset
        self.type, self.bit = kind(lanes), kind(lanes, "i1")
        self.lines: list[str] = []
        self.here: set[int] = set()  # values that have a name in the function being written
        self.chunks: list[str] = []
        self.temporaries = 0
        self.items: dict[int, Callable[[int], int]] = {}  # a map's value → where in the workspace its items are
        self.bits = {i for i, (op, _, _) in enumerate(program.code) if op in COMPARISONS or op in LOGIC}

    # ---- values --------------------------------------------------------------------------------------------

    def write(self, line: str) -> None:
        """One more line of the function."""
        self.lines.append("  " + line)

    def temporary(self, expression: str) -> str:
        """A new name for an expression."""
        self.temporaries += 1
        name = f"%t{self.temporaries}"
        self.write(f"{name} = {expression}")
        return name

    def address(self, base: str, offset: int) -> str:
        """The address so many bytes behind a pointer."""
        return base if offset == 0 else self.temporary(f"getelementptr i8, ptr {base}, i64 {offset}")

    def get(self, value: int) -> str:
        """The name of a value in this function: computed here, a constant, or loaded from where it lies."""
        op, operands, data = self.program.code[value]
        if op == "constant":
            return literal(data, self.lanes)
        name = f"%v{value}"
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
        where = self.address(*self.shared[number]) if self.mapped else self.address("%inputs", 8 * number)
        if self.lanes == 1:
            self.write(f"{name} = load double, ptr {where}")
            return
        number_ = self.temporary(f"load double, ptr {where}")
        first = self.temporary(f"insertelement {self.type} poison, double {number_}, i64 0")
        self.write(f"{name} = shufflevector {self.type} {first}, {self.type} poison, {kind(self.lanes, 'i32')} zeroinitializer")

    def _load_slot(self, name: str, value: int) -> None:
        where = self.address("%work", self.slots[value])
        if value in self.bits:
            number = self.temporary(f"load {self.type}, ptr {where}, align {8 * self.lanes}")
            self.write(f"{name} = fcmp une {self.type} {number}, zeroinitializer" if self.lanes > 1
                       else f"{name} = fcmp une double {number}, 0.0")
        else:
            self.write(f"{name} = load {self.type}, ptr {where}, align {8 * self.lanes}")

    def _store(self, value: int, base: str, offset: int) -> None:
        name = self.get(value)
        if value in self.bits:
            name = self.temporary(
                f"select {self.bit} {name}, {self.type} {literal(1.0, self.lanes)}, {self.type} {literal(0.0, self.lanes)}"
            )
        self.write(f"store {self.type} {name}, ptr {self.address(base, offset)}, align {8 * self.lanes}")

    # ---- functions -----------------------------------------------------------------------------------------

    def lower(self) -> list[str]:
        """Write everything; the names of the functions, to be called in this order."""
        code = self.program.code
        computed = [i for i, (op, _, _) in enumerate(code) if op not in FREE]
        parts = [computed[start : start + CHUNK] for start in range(0, len(computed), CHUNK)] or [[]]
        self._assign_slots(parts)
        uses = self._outputs_by_value()
        for part in parts:
            self._begin()
            for value in part:
                self._instruction(value)
                for output in uses.pop(value, ()):
                    self._output(output, value)
                if value in self.slots:
                    self._store(value, "%work", self.slots[value])
                for position in self.guards_at.get(value, ()):
                    self._guard(position)
            if part is parts[-1]:
                for value, outputs in uses.items():  # inputs, constants and results of maps
                    for output in outputs:
                        self._output(output, value)
                self._end_of_body()
            self._finish()
        return self.chunks

    def _begin(self) -> None:
        self.lines, self.here = [], set()

    def _finish(self) -> None:
        name = f"@{self.name}.{len(self.chunks)}"
        body = "\n".join(self.lines)
        self.module.functions.append(f"define internal void {name}({ARGUMENTS}) nounwind alignstack(64) {{\n{body}\n  ret void\n}}")
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
                    slot = free.pop() if free else self.module.layout.take(8 * self.lanes)
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
        place = sum(r == reduced[output] for r in reduced[:output]) * 8 * self.lanes
        if not reduced[output]:
            self._store(value, "%outputs", place)
            return
        where = self.address("%sums", place)
        name = self.get(value)
        if self._waits():
            name = self.temporary(f"select {self.bit} {self.ok}, {self.type} {name}, {self.type} {literal(0.0, self.lanes)}")
        total = self.temporary(f"load {self.type}, ptr {where}, align {8 * self.lanes}")
        total = self.temporary(f"fadd {self.module.machine.flags}{self.type} {total}, {name}")
        self.write(f"store {self.type} {total}, ptr {where}, align {8 * self.lanes}")

    def _guard(self, position: int) -> None:
        """Note the first guard that fails, counted from 1, in front of the workspace."""
        guard = self.program.guards[position]
        failed = self.temporary(f"xor i1 {self.get(guard.value)}, {str(guard.expected).lower()}")
        before = self.temporary("load i64, ptr %sums")
        number = self.temporary(f"select i1 {failed}, i64 {position + 1}, i64 {1 << 62}")
        first = self.temporary(f"call i64 @llvm.umin.i64(i64 {before}, i64 {number})")
        self.module.declarations["llvm.umin.i64"] = "declare i64 @llvm.umin.i64(i64, i64)"
        self.write(f"store i64 {first}, ptr %sums")

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
        flags = self.temporary(
            f"select {self.bit} {self.ok}, {self.type} {literal(1.0, self.lanes)}, {self.type} {literal(0.0, self.lanes)}"
        )
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
        if op in INTRINSICS:
            suffix = "f64" if self.lanes == 1 else f"v{self.lanes}f64"
            return self._call(f"llvm.{INTRINSICS[op]}.{suffix}", names)
        if op in LIBM:
            return self._library(LIBM[op], names)
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
            self.module.helpers[helper] = (
                f"define internal {self.type} @{helper}({arguments}) nounwind {{\n  {body}\n  ret {self.type} {last}\n}}"
            )
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
                shared.append(("%work", layout.take(8)))
                self._store(o, *shared[-1])
        each = len(mapped.reduced) - sum(mapped.reduced)
        results = layout.take(8 * each * (mapped.rows or 0))
        totals = layout.take(8 * (sum(mapped.reduced) + lanes))
        places: dict[int, int] = {}  # item → its offset
        for k, reduced in enumerate(mapped.reduced):
            rank = sum(r == reduced for r in mapped.reduced[:k])
            for row in range(1 if reduced else mapped.rows or 0):
                places[mapped.position(k, row)] = (
                    totals + 8 * rank if reduced else results + 8 * (rank * (mapped.rows or 0) + row)
                )
        self.items[value] = places.__getitem__
        if mapped.rows is None:
            count = self.temporary("load i64, ptr %rows")
            table = self.address("%rows", 8)
        else:
            count = str(mapped.rows)
            table = self._tables(operands[mapped.shared :], mapped, results)
        function = lower_map(self.module, mapped, shared)
        sums = self.address("%work", totals)
        self.write(f"call void @{function}(ptr %inputs, i64 {count}, ptr {table}, ptr {sums}, ptr %work)")

    def _tables(self, operands: Sequence[int], mapped: Map, results: int) -> str:
        """Where each column of rows begins and how far apart its numbers are, for inputs and then results."""
        layout, columns = self.module.layout, mapped.columns
        rows = mapped.rows or 0
        table = self.address("%work", layout.take(16 * (columns + len(mapped.reduced)) + 8))
        entries: list[tuple[str, int]] = []
        for column in range(columns):
            values = operands[column::columns]
            step = self._even_step(values)
            if step is None:
                start = layout.take(8 * rows)
                for row, o in enumerate(values):
                    self._store(o, "%work", start + 8 * row)
                entries.append((self.address("%work", start), 8))
            else:
                first = self.program.code[values[0]].data
                entries.append((self.address("%inputs", 8 * first), 8 * step))
        each = len(mapped.reduced) - sum(mapped.reduced)
        entries += [(self.address("%work", results + 8 * rows * rank), 8) for rank in range(each)]
        for i, (pointer, stride) in enumerate(entries):
            self.write(f"store ptr {pointer}, ptr {self.address(table, 16 * i)}")
            self.write(f"store i64 {stride}, ptr {self.address(table, 16 * i + 8)}")
        return table

    def _even_step(self, values: Sequence[int]) -> int | None:
        """How far apart these inputs are, if they are inputs and evenly apart."""
        numbers = [self.program.code[o].data if self.program.code[o].op == "input" else None for o in values]
        if None in numbers:
            return None
        steps = {b - a for a, b in zip(numbers, numbers[1:])}
        return steps.pop() if len(steps) == 1 else None


def _sums_of_lanes(lanes: int) -> str:
    """As many vectors as there are lanes, each added up across its lanes: all together, pair by pair."""
    vector = kind(lanes)
    lines, names = [], []
    for i in range(lanes):
        lines.append(f"%sa{i} = getelementptr i8, ptr %sbase, i64 {8 * lanes * i}")
        lines.append(f"%sx{i} = load {vector}, ptr %sa{i}, align {8 * lanes}")
        names.append(f"%sx{i}")
    width = 1  # of the runs of lanes that still belong to one vector, counted from the other end
    while len(names) > 1:
        pairs = []
        for i in range(0, len(names), 2):
            name = f"%sy{width}.{i}"
            halves = []
            for start, suffix in ((0, "l"), (width, "h")):
                picks = [
                    lane - lane % (2 * width) + start + lane % width + (lanes if lane % (2 * width) >= width else 0)
                    for lane in range(lanes)
                ]
                mask = ", ".join(f"i32 {pick}" for pick in picks)
                lines.append(
                    f"{name}{suffix} = shufflevector {vector} {names[i]}, {vector} {names[i + 1]}, <{lanes} x i32> <{mask}>"
                )
                halves.append(name + suffix)
            lines.append(f"{name} = fadd {vector} {halves[0]}, {halves[1]}")
            pairs.append(name)
        names, width = pairs, 2 * width
    lines.append(f"%total = fadd {vector} {names[0]}, {literal(-0.0, lanes)}")
    return "\n  ".join(lines)


def lower_map(module: Module, mapped: Map, shared: Sequence[tuple[str, int]]) -> str:
    """Write the loop of a map; the name of its function.

    It takes the shared numbers, the count of rows, the table of columns (address and stride of each input column,
    then of each result that is not reduced, then the address for one byte a row that says whether a guard failed),
    where the sums go, and the workspace.
    """
    lanes, name = module.machine.lanes, module.unique("map")
    size, vector, layout = 8 * lanes, kind(module.machine.lanes), module.layout
    reduced = sum(mapped.reduced)
    each = len(mapped.reduced) - reduced
    stage, out = layout.take(size * mapped.columns), layout.take(size * (each + 1))
    padded = -(-reduced // lanes) * lanes
    sums, tail = layout.take(size * padded), layout.take(size * padded)
    chunks = Code(module, mapped.body, name, lanes, mapped, shared).lower()
    calls = "\n  ".join(f"call void {c}(ptr %shared, ptr %stage, ptr %out, ptr %into, ptr %work)" for c in chunks)
    module.declarations["memset"] = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"
    lane_rows = "\n  ".join(
        f"%last{i} = icmp ult i64 {i}, %valid\n  %row{i} = select i1 %last{i}, i64 {i}, i64 %clamp" for i in range(lanes)
    )

    def per_lane(what: Callable[[int], str]) -> str:
        return "\n  ".join(what(i) for i in range(lanes))

    gather = per_lane(
        lambda i: f"%io{i} = mul i64 %row{i}, %istride\n  %ip{i} = getelementptr i8, ptr %ibase, i64 %io{i}\n  "
        f"%il{i} = load double, ptr %ip{i}\n  %is{i} = getelementptr i8, ptr %istage, i64 {8 * i}\n  "
        f"store double %il{i}, ptr %is{i}"
    )
    scatter = per_lane(
        lambda i: f"%oo{i} = mul i64 %row{i}, %ostride\n  %op{i} = getelementptr i8, ptr %obase, i64 %oo{i}\n  "
        f"%os{i} = getelementptr i8, ptr %ostage, i64 {8 * i}\n  %ol{i} = load double, ptr %os{i}\n  "
        f"store double %ol{i}, ptr %op{i}"
    )
    flag = ""
    if mapped.body.guards:
        flag = f"%ftable = getelementptr i8, ptr %table, i64 {16 * (mapped.columns + each)}\n  "
        flag += "%fbytes = load ptr, ptr %ftable\n  %fbase = getelementptr i8, ptr %fbytes, i64 %r\n  "
        flag += per_lane(
            lambda i: f"%fs{i} = getelementptr i8, ptr %out, i64 {size * each + 8 * i}\n  %fl{i} = load double, ptr %fs{i}\n  "
            f"%fz{i} = fcmp oeq double %fl{i}, 0.0\n  %fb{i} = zext i1 %fz{i} to i8\n  "
            f"%fp{i} = getelementptr i8, ptr %fbase, i64 %row{i}\n  store i8 %fb{i}, ptr %fp{i}"
        )
    iota = ", ".join(f"i64 {i}" for i in range(lanes))
    module.functions.append(f"""define internal void @{name}(ptr %shared, i64 %n, ptr %table, ptr %totals, ptr %work) nounwind {{
entry:
  %stage = getelementptr i8, ptr %work, i64 {stage}
  %out = getelementptr i8, ptr %work, i64 {out}
  %sums = getelementptr i8, ptr %work, i64 {sums}
  %tail = getelementptr i8, ptr %work, i64 {tail}
  %rest = urem i64 %n, {lanes}
  %even = icmp eq i64 %rest, 0
  %tailsize = select i1 %even, i64 0, i64 {size * padded}
  call void @llvm.memset.p0.i64(ptr align 64 %sums, i8 0, i64 {size * padded}, i1 false)
  call void @llvm.memset.p0.i64(ptr align 64 %tail, i8 0, i64 %tailsize, i1 false)
  br label %next
next:
  %r = phi i64 [0, %entry], [%r.next, %stored]
  %left = sub i64 %n, %r
  %more = icmp sgt i64 %left, 0
  br i1 %more, label %block, label %finish
block:
  %full = icmp uge i64 %left, {lanes}
  %valid = select i1 %full, i64 {lanes}, i64 %left
  %clamp = sub i64 %valid, 1
  %into = select i1 %full, ptr %sums, ptr %tail
  {lane_rows}
  br label %inext
inext:
  %ic = phi i64 [0, %block], [%ic.next, %idone]
  %imore = icmp ult i64 %ic, {mapped.columns}
  br i1 %imore, label %icolumn, label %run
icolumn:
  %ioffset = mul i64 %ic, 16
  %ientry = getelementptr i8, ptr %table, i64 %ioffset
  %istart = load ptr, ptr %ientry
  %isecond = getelementptr i8, ptr %ientry, i64 8
  %istride = load i64, ptr %isecond
  %ir = mul i64 %r, %istride
  %ibase = getelementptr i8, ptr %istart, i64 %ir
  %iplace = mul i64 %ic, {size}
  %istage = getelementptr i8, ptr %stage, i64 %iplace
  %iunit = icmp eq i64 %istride, 8
  %ifast = and i1 %iunit, %full
  br i1 %ifast, label %ivector, label %ilanes
ivector:
  %ivalue = load {vector}, ptr %ibase, align 8
  store {vector} %ivalue, ptr %istage, align {size}
  br label %idone
ilanes:
  {gather}
  br label %idone
idone:
  %ic.next = add i64 %ic, 1
  br label %inext
run:
  {calls}
  {flag}
  br label %onext
onext:
  %oc = phi i64 [0, %run], [%oc.next, %odone]
  %omore = icmp ult i64 %oc, {each}
  br i1 %omore, label %ocolumn, label %stored
ocolumn:
  %onumber = add i64 %oc, {mapped.columns}
  %ooffset = mul i64 %onumber, 16
  %oentry = getelementptr i8, ptr %table, i64 %ooffset
  %ostart = load ptr, ptr %oentry
  %osecond = getelementptr i8, ptr %oentry, i64 8
  %ostride = load i64, ptr %osecond
  %or = mul i64 %r, %ostride
  %obase = getelementptr i8, ptr %ostart, i64 %or
  %oplace = mul i64 %oc, {size}
  %ostage = getelementptr i8, ptr %out, i64 %oplace
  %ounit = icmp eq i64 %ostride, 8
  %ofast = and i1 %ounit, %full
  br i1 %ofast, label %ovector, label %olanes
ovector:
  %ovalue = load {vector}, ptr %ostage, align {size}
  store {vector} %ovalue, ptr %obase, align 8
  br label %odone
olanes:
  {scatter}
  br label %odone
odone:
  %oc.next = add i64 %oc, 1
  br label %onext
stored:
  %r.next = add i64 %r, {lanes}
  br label %next
finish:
  br i1 %even, label %snext, label %pnext
pnext:
  %pc = phi i64 [0, %finish], [%pc.next, %pcolumn]
  %pmore = icmp ult i64 %pc, {padded}
  br i1 %pmore, label %pcolumn, label %snext
pcolumn:
  %rest1 = insertelement <{lanes} x i64> poison, i64 %rest, i64 0
  %rests = shufflevector <{lanes} x i64> %rest1, <{lanes} x i64> poison, <{lanes} x i32> zeroinitializer
  %within = icmp ult <{lanes} x i64> <{iota}>, %rests
  %poffset = mul i64 %pc, {size}
  %sp = getelementptr i8, ptr %sums, i64 %poffset
  %tp = getelementptr i8, ptr %tail, i64 %poffset
  %sv = load {vector}, ptr %sp, align {size}
  %tv = load {vector}, ptr %tp, align {size}
  %tz = select <{lanes} x i1> %within, {vector} %tv, {vector} zeroinitializer
  %st = fadd {vector} %sv, %tz
  store {vector} %st, ptr %sp, align {size}
  %pc.next = add i64 %pc, 1
  br label %pnext
snext:
  %sc = phi i64 [0, %finish], [0, %pnext], [%sc.next, %scolumn]
  %smore = icmp ult i64 %sc, {padded}
  br i1 %smore, label %scolumn, label %done
scolumn:
  %soffset = mul i64 %sc, {size}
  %sbase = getelementptr i8, ptr %sums, i64 %soffset
  {_sums_of_lanes(lanes)}
  %totaloffset = mul i64 %sc, 8
  %totalplace = getelementptr i8, ptr %totals, i64 %totaloffset
  store {vector} %total, ptr %totalplace, align 8
  %sc.next = add i64 %sc, {lanes}
  br label %snext
done:
  ret void
}}""")
    return name


def lower(program: Program, machine: Machine) -> Module:
    """The module of a prepared program, with the entry that Python calls.

    ``i64 run(inputs, rows, outputs, work)`` returns 0, or the number of the first guard that failed, from 1.
    """
    module = Module(machine)
    status = module.layout.take(8)
    chunks = Code(module, program, "program", 1).lower()
    calls = "\n  ".join(
        f"call void {c}(ptr %inputs, ptr %rows, ptr %outputs, ptr %status, ptr %work)" for c in chunks
    )
    module.functions.append(f"""define i64 @run(ptr %inputs, ptr %rows, ptr %outputs, ptr %work) nounwind {{
  %status = getelementptr i8, ptr %work, i64 {status}
  store i64 {1 << 62}, ptr %status
  {calls}
  %failed = load i64, ptr %status
  %fine = icmp eq i64 %failed, {1 << 62}
  %result = select i1 %fine, i64 0, i64 %failed
  ret i64 %result
}}""")
    return module
