"""Loops whose extent is decided while they run, and the memory in which they store a number for each step.

In lanes, a loop goes on until its last lane is done. A mask says which lanes still take part: the carries of the others
stay as they are, and what they would add to a sum or an array is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from autograd.compiler.lower.module import ARGUMENTS, LEFT, Growing, Module, Place, kind, literal
from autograd.ir.block import STEPS, Loop, Program, loops

FIRST_CAPACITY = 64  # steps for which a loop has memory at first; it doubles
OUT_OF_MEMORY = -1  # what `run` returns if the numbers of all steps would take more memory than is allowed
INTERRUPTED = -2  # what it returns if a signal handler raised, such as that of Ctrl-C
STOPPED = -3  # what it returns if another thread wrote 3 into the slot `LEFT` of its workspace
# Functions of Python that it calls, with their declarations.
OF_PYTHON = {
    name: f"declare {result} @autograd_libc.{name}({', '.join(operands)})"
    for name, result, *operands in [
        ("PyGILState_Ensure", "i32"),
        ("PyErr_CheckSignals", "i32"),
        ("PyErr_Fetch", "void", "ptr", "ptr", "ptr"),
        ("PyErr_NormalizeException", "void", "ptr", "ptr", "ptr"),
        ("PyException_SetTraceback", "i32", "ptr", "ptr"),
        ("PySys_SetObject", "i32", "ptr", "ptr"),
        ("Py_DecRef", "void", "ptr"),
        ("PyGILState_Release", "void", "i32"),
    ]
}
RAISED = "autograd_raised"  # what the handler raised, as an attribute of `sys`
PATIENCE = 1 << 24  # instructions that run until a loop looks for signals: it may never end
MANY_ROWS = 1 << 14  # a map over rows of a call looks for signals if this number of rows takes long


class Deciding(NamedTuple):
    """What decides about the steps of a loop.

    Attributes
    ----------
    number : Place
        Of a loop with a test, the carry that says whether there is another step; else the number of steps.
    mask : int or None
        In lanes, the slot for which of them take part in the step, 1 or 0.
    buffers : sequence of Growing
        Where the numbers of the steps are stored.
    """

    number: Place
    mask: int | None
    buffers: Sequence[Growing]


def write_while(
    module: Module,
    chunks: Sequence[str],
    loop: Loop,
    counter: int,
    moves: Sequence[tuple[int, int]],
    lanes: int,
    deciding: Deciding,
) -> str:
    """Write such a loop; return the name of its function. The parameters are those of `write_steps`."""
    name, steps = module.unique("while"), patience(loop.body)
    calls = [f"call void {chunk}({ARGUMENTS})" for chunk in chunks]
    test, limit = (_test, []) if loop.test else (_count, _limit(module, lanes))
    handed, mask = _handed_on(moves, lanes, deciding.mask is not None), _mask(deciding.mask, lanes)
    number = "sub i64 %limit, %after" if loop.backwards else "add i64 %step, 0"
    on = ["br label %next"]
    if has_decided(loop):
        on = [
            "%left = load i64, ptr %failed.place",
            "%on = icmp eq i64 %left, 0",
            "br i1 %on, label %next, label %done",
        ]
    lines = "\n  ".join
    module.layout_of_memory()
    module.functions.append(f"""define internal void @{name}({ARGUMENTS}) nounwind {{
entry:
  %place = getelementptr i8, ptr %work, i64 {counter}
  %decides = {_address(deciding.number)}
  %failed.place = getelementptr i8, ptr %work, i64 {LEFT}
  %failed = load i64, ptr %failed.place
  %fine = icmp eq i64 %failed, 0
  {lines(limit)}
  br i1 %fine, label %begin, label %done
begin:
  {lines(_room(module, deciding.buffers, "%limit", "next0") if not loop.test else ["br label %next0"])}
next0:
  br label %next
next:
  %step = phi i64 [0, %next0], [%after, %body]
  %after = add i64 %step, 1
  %number = {number}
  {lines(test(module, lanes))}
  br i1 %more, label %look, label %over
look:
  %since = and i64 %after, {steps - 1}
  %due = icmp eq i64 %since, 0
  br i1 %due, label %signals, label %room{module.rarely()}
signals:
  %stop = call i1 @{write_signals(module)}(ptr %work)
  br i1 %stop, label %done, label %room
room:
  {lines(_room(module, deciding.buffers, "%after", "body") if loop.test else ["br label %body"])}
body:
  {lines(mask)}
  store i64 %number, ptr %place
  {lines([*calls, *handed, *on])}
over:
  call void @{write_unheard(module)}(ptr %work, i64 %step, i64 {steps - 1}, i64 {executed(loop.body)})
  br label %done
done:
  ret void
}}""")
    return f"@{name}"


def _handed_on(moves: Sequence[tuple[int, int]], lanes: int, masked: bool) -> list[str]:
    """Copy the carries that a step computed to where the next one reads them: if `masked`, in the active lanes."""
    vector, size = kind(lanes), 8 * lanes
    lines: list[str] = []
    for k, (source, target) in enumerate(moves):
        lines.append(f"%from{k} = getelementptr i8, ptr %work, i64 {source}")
        lines.append(f"%to{k} = getelementptr i8, ptr %work, i64 {target}")
        lines.append(f"%x{k} = load {vector}, ptr %from{k}, align {size}")
    for k in range(len(moves)):
        if masked:
            lines.append(f"%before{k} = load {vector}, ptr %to{k}, align {size}")
            lines.append(f"%kept{k} = select {kind(lanes, 'i1')} %active, {vector} %x{k}, {vector} %before{k}")
        lines.append(f"store {vector} %{'kept' if masked else 'x'}{k}, ptr %to{k}, align {size}")
    return lines


def _mask(slot: int | None, lanes: int) -> list[str]:
    """Note in a slot which lanes take part in the step."""
    if slot is None:
        return []
    vector, one, zero = kind(lanes), literal(1.0, lanes), literal(0.0, lanes)
    return [
        f"%mask = getelementptr i8, ptr %work, i64 {slot}",
        f"%numbers = select {kind(lanes, 'i1')} %active, {vector} {one}, {vector} {zero}",
        f"store {vector} %numbers, ptr %mask, align {8 * lanes}",
    ]


def executed(program: Program) -> int:
    """About how many instructions run in a step. Of a loop whose extent is not known, one step is counted."""
    inner = [i.data for i in program.code if i.op == "loop"]
    return len(program.code) + sum(executed(k.body) * (k.extent if isinstance(k.extent, int) else 1) for k in inner)


def patience(step: Program) -> int:
    """After how many steps a loop looks for signals: a power of two."""
    return 1 << max(PATIENCE // executed(step), 1).bit_length() - 1


def is_long(loop: Loop) -> bool:
    """Whether a loop of known extent, or over the rows of a call, should look for signals."""
    return executed(loop.body) * (loop.extent if isinstance(loop.extent, int) else MANY_ROWS) > PATIENCE


def goes_through(loop: Loop) -> bool:
    """Whether a loop goes through an array or makes one: memory bounds its steps."""
    return len(loop.body.inputs) > loop.first_element or "each" in loop.kinds


def has_decided(loop: Loop) -> bool:
    """Whether a step has loops that may be left, as those whose extent is decided: then so is the loop around it."""
    return any(inner.extent == STEPS or is_long(inner) for inner in loops(loop.body))


def write_unheard(module: Module) -> str:
    """Write the function that counts the last steps of a loop, since it looked for signals: loops around it may not.

    Its operands are the number of steps, a mask that leaves the last ones of it, and how many instructions a step has.
    """
    if "unheard" not in module.helpers:
        slot = module.layout_of_memory().unheard
        module.helpers[
            "unheard"
        ] = f"""define internal void @unheard(ptr %work, i64 %steps, i64 %mask, i64 %each) nounwind {{
  %last = and i64 %steps, %mask
  %new = mul i64 %last, %each
  %place = getelementptr i8, ptr %work, i64 {slot}
  %before = load i64, ptr %place
  %all = add i64 %before, %new
  store i64 %all, ptr %place
  %due = icmp ugt i64 %all, {PATIENCE}
  br i1 %due, label %look, label %out{module.rarely()}
look:
  store i64 0, ptr %place
  call i1 @{write_signals(module)}(ptr %work)
  br label %out
out:
  ret void
}}"""
    return "unheard"


def write_signals(module: Module) -> str:
    """Write the function that lets Python handle signals: true if a handler raised, now or before in this call.

    What it raised becomes `sys.autograd_raised`, for the caller of the machine code. Python runs handlers in one thread
    only: others are told to stop by that one, see `RowBuffers.stop`.
    """
    if "signals" not in module.helpers:
        module.declarations |= OF_PYTHON
        module.layout_of_memory()
        module.helpers["raised"] = f'@raised = private constant [{len(RAISED) + 1} x i8] c"{RAISED}\\00"'
        parts = ("type", "error", "trace")
        slots = "\n".join([f"  %{part}.slot = alloca ptr" for part in parts])
        loaded = "\n".join([f"  %{part} = load ptr, ptr %{part}.slot" for part in parts])
        dropped = "\n".join([f"  call void @autograd_libc.Py_DecRef(ptr %{part})" for part in parts])
        where = ", ".join([f"ptr %{part}.slot" for part in parts])
        module.helpers["signals"] = f"""define internal i1 @signals(ptr %work) noinline nounwind {{
{slots}
  %place = getelementptr i8, ptr %work, i64 {LEFT}
  %failed = load volatile i64, ptr %place
  %left = icmp ne i64 %failed, 0
  br i1 %left, label %out, label %look
out:
  ret i1 true
look:
  %state = call i32 @autograd_libc.PyGILState_Ensure()
  %status = call i32 @autograd_libc.PyErr_CheckSignals()
  %raised = icmp ne i32 %status, 0
  br i1 %raised, label %stop, label %go
stop:
  call void @autograd_libc.PyErr_Fetch({where})
  call void @autograd_libc.PyErr_NormalizeException({where})
{loaded}
  %traced = icmp ne ptr %trace, null
  br i1 %traced, label %with.trace, label %keep
with.trace:
  call i32 @autograd_libc.PyException_SetTraceback(ptr %error, ptr %trace)
  br label %keep
keep:
  call i32 @autograd_libc.PySys_SetObject(ptr @raised, ptr %error)
{dropped}
  store i64 {-INTERRUPTED}, ptr %place
  br label %go
go:
  call void @autograd_libc.PyGILState_Release(i32 %state)
  ret i1 %raised
}}"""
    return "signals"


def _address(place: Place) -> str:
    assert place.slot is None
    return f"getelementptr i8, ptr {place.base}, i64 {place.offset}"


def _test(module: Module, lanes: int) -> list[str]:
    """Whether a lane goes on: its first carry is not 0."""
    vector = kind(lanes)
    loaded = [f"%going = load {vector}, ptr %decides, align {8 * lanes}"]
    if lanes == 1:
        return [*loaded, "%more = fcmp une double %going, 0.0"]
    return [
        *loaded,
        f"%active = fcmp une {vector} %going, zeroinitializer",
        f"%more = {module.of_lanes('or', '%active', lanes)}",
    ]


def _limit(module: Module, lanes: int) -> list[str]:
    """The number of steps: in lanes, the largest."""
    vector = kind(lanes)
    lines = [f"%count = load {vector}, ptr %decides, align {8 * lanes}"]
    largest = "%count"
    if lanes > 1:
        symbol = f"llvm.vector.reduce.fmax.v{lanes}f64"
        module.declarations[symbol] = f"declare double @{symbol}({vector})"
        largest = "%largest"
        lines.append(f"%largest = call double @{symbol}({vector} %count)")
    symbol = "llvm.fptosi.sat.i64.f64"
    module.declarations[symbol] = f"declare i64 @{symbol}(double)"
    return [*lines, f"%limit = call i64 @{symbol}(double {largest})"]


def _count(module: Module, lanes: int) -> list[str]:
    """Whether a step is left; in lanes, which of them have one of this number."""
    lines = ["%more = icmp slt i64 %step, %limit"]
    if lanes > 1:
        vector = kind(lanes)
        lines += [
            "%real = sitofp i64 %number to double",
            f"%real1 = insertelement {vector} poison, double %real, i64 0",
            f"%reals = shufflevector {vector} %real1, {vector} poison, {kind(lanes, 'i32')} zeroinitializer",
            f"%active = fcmp olt {vector} %reals, %count",
        ]
    return lines


def _room(module: Module, buffers: Sequence[Growing], needed: str, then: str) -> list[str]:
    """Make room for the numbers of `needed` steps, and go on at the label `then`; without room, the loop is done."""
    if not buffers:
        return [f"br label %{then}"]
    capacity = buffers[0].capacity
    grow = write_growth(module, buffers)
    return [
        f"%capacity.place = getelementptr i8, ptr %work, i64 {capacity}",
        "%capacity = load i64, ptr %capacity.place",
        f"%full = icmp sgt i64 {needed}, %capacity",
        f"br i1 %full, label %grow, label %{then}{module.rarely()}",
        "grow:",
        f"%grown = call i1 {grow}(ptr %work, i64 {needed})",
        f"br i1 %grown, label %{then}, label %done",
    ]


def write_growth(module: Module, buffers: Sequence[Growing]) -> str:
    """Write the function that makes room for a number of steps, at least doubling it: false if it cannot."""
    name, memory = module.unique("grow"), module.layout_of_memory()
    module.declarations["llvm.umax.i64"] = "declare i64 @llvm.umax.i64(i64, i64)"
    module.declarations["realloc"] = "declare ptr @autograd_libc.realloc(ptr, i64)"
    each = sum(buffer.bytes for buffer in buffers)
    lines: list[str] = []
    for k, buffer in enumerate(buffers):
        lines.append(f"""  %slot{k} = getelementptr i8, ptr %work, i64 {buffer.slot}
  %old{k} = load ptr, ptr %slot{k}
  %size{k} = mul i64 %wanted, {buffer.bytes}
  %new{k} = call ptr @autograd_libc.realloc(ptr %old{k}, i64 %size{k})
  %null{k} = icmp eq ptr %new{k}, null
  br i1 %null{k}, label %out, label %got{k}
got{k}:
  store ptr %new{k}, ptr %slot{k}""")
    body = "\n".join(lines)
    module.functions.append(f"""define internal i1 @{name}(ptr %work, i64 %needed) nounwind {{
entry:
  %capacity.place = getelementptr i8, ptr %work, i64 {buffers[0].capacity}
  %capacity = load i64, ptr %capacity.place
  %has = icmp sle i64 %needed, %capacity
  br i1 %has, label %done, label %more.room
more.room:
  %twice = shl i64 %capacity, 1
  %usual = call i64 @llvm.umax.i64(i64 %twice, i64 {FIRST_CAPACITY})
  %wanted = call i64 @llvm.umax.i64(i64 %usual, i64 %needed)
  %more = sub i64 %wanted, %capacity
  %bytes = mul i64 %more, {each}
  %used.place = getelementptr i8, ptr %work, i64 {memory.used}
  %used = load i64, ptr %used.place
  %total = add i64 %used, %bytes
  %allowed = icmp ule i64 %total, {module.machine.loop_memory}
  br i1 %allowed, label %enough, label %out
enough:
  store i64 %total, ptr %used.place
{body}
  store i64 %wanted, ptr %capacity.place
  br label %done
done:
  ret i1 true
out:
  %failed = getelementptr i8, ptr %work, i64 {LEFT}
  store i64 {-OUT_OF_MEMORY}, ptr %failed
  ret i1 false
}}""")
    return f"@{name}"


def begin_memory(module: Module) -> list[str]:
    """The lines at the start of a call: there is no memory for steps yet."""
    memory = module.memory
    if memory is None:
        return []
    places = [
        LEFT,
        memory.used,
        memory.unheard,
        *[p for buffer in memory.buffers for p in (buffer.slot, buffer.capacity)],
    ]
    lines: list[str] = []
    for k, place in enumerate(places):
        lines.append(f"%memory{k} = getelementptr i8, ptr %work, i64 {place}")
        lines.append(f"store i64 0, ptr %memory{k}")
    return lines


def end_memory(module: Module) -> list[str]:
    """The lines at the end of a call: the memory is freed, and `%answer` is why a loop was left, if one was."""
    memory = module.memory
    if memory is None:
        return ["%answer = add i64 %result, 0"]
    module.declarations["free"] = "declare void @autograd_libc.free(ptr)"
    lines: list[str] = []
    for k, buffer in enumerate(memory.buffers):
        lines.append(f"%buffer{k} = getelementptr i8, ptr %work, i64 {buffer.slot}")
        lines.append(f"%memory.at{k} = load ptr, ptr %buffer{k}")
        lines.append(f"call void @autograd_libc.free(ptr %memory.at{k})")
    lines.append(f"%out.place = getelementptr i8, ptr %work, i64 {LEFT}")
    lines.append("%out = load i64, ptr %out.place")
    lines.append("%enough = icmp eq i64 %out, 0")
    lines.append("%why = sub i64 0, %out")
    lines.append("%answer = select i1 %enough, i64 %result, i64 %why")
    return lines
