"""Lowering: a program as the text of LLVM's intermediate language.

The program itself becomes scalar code; the body of a map becomes a loop over its rows, as many at a time as the
machine's vectors have lanes. Either is cut into functions of bounded size, since compile time grows faster than
the length of a function; values that outlive their function pass through slots in a workspace.

A map's loop copies each block of rows into a stage, one vector a column, and runs the body on the stage. Rows that
do not fill a block go first: the lanes left over repeat the last of them, so nothing is read or written out of
bounds, and what they added to the sums is taken out before the full blocks come.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from autograd.jit.program import COMPARISONS, LOGIC, Map, Program
from autograd.rules import Rule

CHUNK = 300  # instructions in a function: compile time grows faster than the length
LONGEST = 2000  # where nothing is called, so that values stay in registers, so many may stay together
ALIGNMENT = 64
ENTRY = 24  # bytes of a table entry: address, bytes from row to row, bytes from column to column
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
        reduced = mapped.reduced if mapped is not None else ()
        before = list(accumulate(reduced, initial=0))  # how many outputs before each are sums
        self.ranks = [before[k] if r else k - before[k] for k, r in enumerate(reduced)]
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
        calls = any(code[i].op in LIBM or code[i].op in ("map", "custom") for i in computed)
        length = CHUNK if calls or len(computed) > LONGEST else LONGEST
        parts = [computed[start : start + length] for start in range(0, len(computed), length)] or [[]]
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
        place = self.ranks[output] * 8 * self.lanes
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
        function = lower_map(self.module, mapped, shared, widths, results_widths)
        sums = self.address("%work", totals)
        self.write(f"call void @{function}(ptr %inputs, i64 {count}, ptr {table}, ptr {sums}, ptr %work)")

    def _tables(self, operands: Sequence[int], mapped: Map, results: int) -> tuple[str, list[int]]:
        """The table of a map whose rows are values of this program, and the widths of its groups of inputs."""
        layout, columns, rows = self.module.layout, mapped.columns, mapped.rows or 0
        entries: list[tuple[str, int, int]] = []
        widths: list[int] = []
        end: tuple[int, int] | None = None  # of the group so far: its last column's first input, and its step
        for column in range(columns):
            values = operands[column::columns]
            step = self._even_step(values)
            if step is None:
                start = layout.take(8 * rows)
                for row, o in enumerate(values):
                    self._store(o, "%work", start + 8 * row)
                entries.append((self.address("%work", start), 8, 8))
                widths.append(1)
                end = None
                continue
            first = self.program.code[values[0]].data
            if end == (first - 1, step):
                widths[-1] += 1
            else:
                entries.append((self.address("%inputs", 8 * first), 8 * step, 8))
                widths.append(1)
            end = first, step
        each = len(mapped.reduced) - sum(mapped.reduced)
        if each:
            entries.append((self.address("%work", results), 8, 8 * rows))
        table = self.address("%work", layout.take(ENTRY * len(entries) + 8))
        for i, (pointer, stride, step) in enumerate(entries):
            self.write(f"store ptr {pointer}, ptr {self.address(table, ENTRY * i)}")
            self.write(f"store i64 {stride}, ptr {self.address(table, ENTRY * i + 8)}")
            self.write(f"store i64 {step}, ptr {self.address(table, ENTRY * i + 16)}")
        return table, widths

    def _even_step(self, values: Sequence[int]) -> int | None:
        """How far apart these inputs are, if they are inputs and evenly apart."""
        numbers = [self.program.code[o].data if self.program.code[o].op == "input" else None for o in values]
        if None in numbers:
            return None
        steps = {b - a for a, b in zip(numbers, numbers[1:])}
        return steps.pop() if len(steps) == 1 else None


def _sums_of_lanes(lanes: int) -> str:
    """As many vectors as there are lanes, each added up across its lanes: all together, as columns of a square."""
    vector = kind(lanes)
    lines = []
    for i in range(lanes):
        lines.append(f"%sa{i} = getelementptr i8, ptr %sbase, i64 {8 * lanes * i}")
        lines.append(f"%sx{i} = load {vector}, ptr %sa{i}, align {8 * lanes}")
    more, names = _transposed(lanes, [f"%sx{i}" for i in range(lanes)], "st")
    lines += more
    level = 0
    while len(names) > 1:
        level += 1
        pairs = [f"%sy{level}.{i}" for i in range(len(names) // 2)]
        lines += [f"{pair} = fadd {vector} {names[2 * i]}, {names[2 * i + 1]}" for i, pair in enumerate(pairs)]
        names = pairs
    lines.append(f"%total = fadd {vector} {names[0]}, {literal(0.0, lanes)}")
    return "\n  ".join(lines)


def _transposed(lanes: int, names: Sequence[str], prefix: str) -> tuple[list[str], list[str]]:
    """The lines that transpose a square of vectors, and the names of the results."""
    vector, names, lines, width = kind(lanes), list(names), [], 1
    while width < lanes:
        for i in range(lanes):
            if i & width:
                continue
            one, other = names[i], names[i + width]
            for k, base in ((i, 0), (i + width, width)):
                picks = [(lane & ~width) + base + (lanes if lane & width else 0) for lane in range(lanes)]
                mask = ", ".join(f"i32 {pick}" for pick in picks)
                names[k] = f"%{prefix}{width}.{k}"
                lines.append(
                    f"{names[k]} = shufflevector {vector} {one}, {vector} {other}, <{lanes} x i32> <{mask}>"
                )
        width *= 2
    return lines, names


def _copy_group(lanes: int, name: str, entry: int, width: int, stage: str, first: int, load: bool) -> str:
    """Copy a group of columns of a block of rows between its array and the stage: from label `name` to `name`.done.

    Three ways: column by column if a column's numbers are neighbours, by transposed squares if a row's are, else
    number by number, which is how the last rows go that do not fill a block.
    """
    vector, size, n = kind(lanes), 8 * lanes, name

    def move(value: str, far: str, near: str, type_: str, near_align: int) -> list[str]:
        if load:
            return [f"{value} = load {type_}, ptr {far}, align 8", f"store {type_} {value}, ptr {near}, align {near_align}"]
        return [f"{value} = load {type_}, ptr {near}, align {near_align}", f"store {type_} {value}, ptr {far}, align 8"]

    def loop(label: str, step: int, body: list[str], last: int | None = None) -> str:
        bound = [f"%{label}.over = icmp ugt i64 %{label}.c, {last}",
                 f"%{label}.j = select i1 %{label}.over, i64 {last}, i64 %{label}.c"] if last is not None else [
                 f"%{label}.j = add i64 %{label}.c, 0"]
        lines = [
            f"%{label}.c = phi i64 [0, %{n}.{'slow' if label.endswith('l') else 'fast'}], [%{label}.next, %{label}]",
            *bound,
            f"%{label}.near0 = add i64 %{label}.j, {first}",
            f"%{label}.near1 = mul i64 %{label}.near0, {size}",
            f"%{label}.near = getelementptr i8, ptr {stage}, i64 %{label}.near1",
            f"%{label}.far0 = mul i64 %{label}.j, %{n}.step",
            f"%{label}.far = getelementptr i8, ptr %{n}.base, i64 %{label}.far0",
            *body,
            f"%{label}.next = add i64 %{label}.c, {step}",
            f"%{label}.more = icmp ult i64 %{label}.next, {width}",
            f"br i1 %{label}.more, label %{label}, label %{n}.done",
        ]
        return f"{label}:\n  " + "\n  ".join(lines)

    column = loop(f"{n}.v", 1, move(f"%{n}.v.x", f"%{n}.v.far", f"%{n}.v.near", vector, size))
    single: list[str] = []
    for i in range(lanes):
        single.append(f"%{n}.l.o{i} = mul i64 %row{i}, %{n}.stride")
        single.append(f"%{n}.l.f{i} = getelementptr i8, ptr %{n}.l.far, i64 %{n}.l.o{i}")
        single.append(f"%{n}.l.n{i} = getelementptr i8, ptr %{n}.l.near, i64 {8 * i}")
        single += move(f"%{n}.l.x{i}", f"%{n}.l.f{i}", f"%{n}.l.n{i}", "double", 8)
    number = loop(f"{n}.l", 1, single)
    square, squares = "", f"br i1 %{n}.column, label %{n}.v, label %{n}.slow"
    if width >= lanes:
        body: list[str] = []
        for i in range(lanes):
            body.append(f"%{n}.t.o{i} = mul i64 {i}, %{n}.stride")
            body.append(f"%{n}.t.f{i} = getelementptr i8, ptr %{n}.t.far, i64 %{n}.t.o{i}")
            body.append(f"%{n}.t.n{i} = getelementptr i8, ptr %{n}.t.near, i64 {size * i}")
        source, target = ("f", "n") if load else ("n", "f")
        aligned = {"f": 8, "n": size}
        body += [f"%{n}.t.x{i} = load {vector}, ptr %{n}.t.{source}{i}, align {aligned[source]}" for i in range(lanes)]
        lines, names = _transposed(lanes, [f"%{n}.t.x{i}" for i in range(lanes)], f"{n}.t.s")
        body += lines
        body += [f"store {vector} {x}, ptr %{n}.t.{target}{i}, align {aligned[target]}" for i, x in enumerate(names)]
        square = loop(f"{n}.t", lanes, body, width - lanes) + "\n"
        squares = f"""%{n}.near = icmp eq i64 %{n}.step, 8
  br i1 %{n}.column, label %{n}.v, label %{n}.other
{n}.other:
  br i1 %{n}.near, label %{n}.fast2, label %{n}.slow
{n}.fast2:
  br label %{n}.t"""
        square = square.replace(f"%{n}.fast]", f"%{n}.fast2]")
    return f"""{n}:
  %{n}.entry = getelementptr i8, ptr %table, i64 {entry}
  %{n}.start = load ptr, ptr %{n}.entry
  %{n}.entry1 = getelementptr i8, ptr %{n}.entry, i64 8
  %{n}.stride = load i64, ptr %{n}.entry1
  %{n}.entry2 = getelementptr i8, ptr %{n}.entry, i64 16
  %{n}.step = load i64, ptr %{n}.entry2
  %{n}.offset = mul i64 %r, %{n}.stride
  %{n}.base = getelementptr i8, ptr %{n}.start, i64 %{n}.offset
  %{n}.column = icmp eq i64 %{n}.stride, 8
  br i1 %full, label %{n}.fast, label %{n}.slow
{n}.fast:
  {squares}
{n}.slow:
  br label %{n}.l
{column}
{number}
{square}{n}.done:"""


def _copies(lanes: int, name: str, entry: int, widths: Sequence[int], stage: str, load: bool) -> str:
    """All groups one after another; falls in at the top and out at the bottom."""
    parts, first = [], 0
    for k, width in enumerate(widths):
        parts.append(f"  br label %{name}{k}")
        parts.append(_copy_group(lanes, f"{name}{k}", entry + ENTRY * k, width, stage, first, load))
        first += width
    return "\n".join(parts)


def lower_map(
    module: Module, mapped: Map, shared: Sequence[tuple[str, int]], widths: Sequence[int], results: Sequence[int]
) -> str:
    """Write the loop of a map; the name of its function.

    It takes the inputs of the program, the count of rows, the table, where the sums go, and the workspace. The table
    has an entry for each group of input columns and of result columns (of the given widths), then the address of one
    byte a row, which becomes 1 where a guard failed.
    """
    lanes, name = module.machine.lanes, module.unique("map")
    size, vector, layout = 8 * lanes, kind(module.machine.lanes), module.layout
    reduced = sum(mapped.reduced)
    each = len(mapped.reduced) - reduced
    stage, out = layout.take(size * mapped.columns), layout.take(size * (each + 1))
    padded = -(-reduced // lanes) * lanes
    sums = layout.take(size * padded)
    chunks = Code(module, mapped.body, name, lanes, mapped, shared).lower()
    calls = "\n  ".join(f"call void {c}(ptr %shared, ptr %stage, ptr %out, ptr %sums, ptr %work)" for c in chunks)
    module.declarations["memset"] = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"
    lane_rows = "\n  ".join(
        f"%last{i} = icmp ult i64 {i}, %valid\n  %row{i} = select i1 %last{i}, i64 {i}, i64 %clamp" for i in range(lanes)
    )
    inputs = _copies(lanes, "i", 0, widths, "%stage", load=True)
    outputs = _copies(lanes, "o", ENTRY * len(widths), results, "%out", load=False)
    last = f"o{len(results) - 1}.done" if results else f"i{len(widths) - 1}.done" if widths else "block"
    flag = ""
    if mapped.body.guards:
        flag = f"  %ftable = getelementptr i8, ptr %table, i64 {ENTRY * (len(widths) + len(results))}\n"
        flag += "  %fbytes = load ptr, ptr %ftable\n  %fbase = getelementptr i8, ptr %fbytes, i64 %r\n  "
        flag += "\n  ".join(
            f"%fs{i} = getelementptr i8, ptr %out, i64 {size * each + 8 * i}\n  %fl{i} = load double, ptr %fs{i}\n  "
            f"%fz{i} = fcmp oeq double %fl{i}, 0.0\n  %fb{i} = zext i1 %fz{i} to i8\n  "
            f"%fp{i} = getelementptr i8, ptr %fbase, i64 %row{i}\n  store i8 %fb{i}, ptr %fp{i}"
            for i in range(lanes)
        )
    iota = ", ".join(f"i64 {i}" for i in range(lanes))
    module.functions.append(f"""define internal void @{name}(ptr %shared, i64 %n, ptr %table, ptr %totals, ptr %work) nounwind {{
entry:
  %stage = getelementptr i8, ptr %work, i64 {stage}
  %out = getelementptr i8, ptr %work, i64 {out}
  %sums = getelementptr i8, ptr %work, i64 {sums}
  %rest = urem i64 %n, {lanes}
  %even = icmp eq i64 %rest, 0
  %rest1 = insertelement <{lanes} x i64> poison, i64 %rest, i64 0
  %rests = shufflevector <{lanes} x i64> %rest1, <{lanes} x i64> poison, <{lanes} x i32> zeroinitializer
  %within = icmp ult <{lanes} x i64> <{iota}>, %rests
  call void @llvm.memset.p0.i64(ptr align 64 %sums, i8 0, i64 {size * padded}, i1 false)
  %first = select i1 %even, i64 {lanes}, i64 %rest
  br label %next
next:
  %r = phi i64 [0, %entry], [%r.next, %stored]
  %valid = phi i64 [%first, %entry], [{lanes}, %stored]
  %more = icmp ult i64 %r, %n
  br i1 %more, label %block, label %finish
block:
  %full = icmp eq i64 %valid, {lanes}
  %clamp = sub i64 %valid, 1
  {lane_rows}
{inputs}
  {calls}
{flag}
{outputs}
  br i1 %full, label %stored, label %pnext
pnext:
  %pc = phi i64 [0, %{last}], [%pc.next, %pcolumn]
  %pmore = icmp ult i64 %pc, {reduced}
  br i1 %pmore, label %pcolumn, label %stored
pcolumn:
  %poffset = mul i64 %pc, {size}
  %sp = getelementptr i8, ptr %sums, i64 %poffset
  %sv = load {vector}, ptr %sp, align {size}
  %sz = select <{lanes} x i1> %within, {vector} %sv, {vector} zeroinitializer
  store {vector} %sz, ptr %sp, align {size}
  %pc.next = add i64 %pc, 1
  br label %pnext
stored:
  %r.next = add i64 %r, %valid
  br label %next
finish:
  br label %snext
snext:
  %sc = phi i64 [0, %finish], [%sc.next, %scolumn]
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

    ``i64 run(block)`` takes the address of four addresses, of the inputs, the table of a map over arrays, the outputs
    and the workspace. It returns 0, or the number of the first guard that failed, from 1.
    """
    module = Module(machine)
    status = module.layout.take(8)
    chunks = Code(module, program, "program", 1).lower()
    calls = "\n  ".join(
        f"call void {c}(ptr %inputs, ptr %rows, ptr %outputs, ptr %status, ptr %work)" for c in chunks
    )
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
