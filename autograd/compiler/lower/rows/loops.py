"""Loops: a map runs over blocks of rows, any other loop runs step by step.

Each block of rows is copied into a stage, one vector per column, and the body runs on the stage. The rows that do not
fill a block come first. The remaining lanes repeat the last of these rows, so nothing is read or written out of bounds;
what these lanes added to the sums is set to 0 before the full blocks follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autograd.compiler.lower.module import ARGUMENTS, LEFT, Module, kind
from autograd.compiler.lower.rows.layout import ENTRY, Rows
from autograd.compiler.lower.rows.staging import copies, lane_adder
from autograd.compiler.lower.rows.sums import BLOCKS, Kept, write_sums
from autograd.compiler.lower.whiles import is_long, patience, write_signals
from autograd.ir.block import Loop


def write_map(
    module: Module,
    loop: Loop,
    rows: Rows,
    write_body: Callable[[str, int], str],
    kept: Kept | None,
    counter: int | None,
) -> tuple[str, int]:
    """Write the loop of a map; return the name of its function, and where the arrays are that the lanes add to.

    `write_body` writes the functions of the body, given the name and that place, and returns the code for a block.

    If the body keeps the factors of its sums, these are added up for two blocks at a time; `%half` says which of them
    this block is. The number of a block's first row is in the slot `counter` if the body uses it.

    The function takes the inputs of the program, the count of rows, the table, the address of the sums, and the
    workspace. The table has an entry for each element and each result, then the address of one byte per row, which is
    set to 1 if a guard fails.
    """
    lanes, name, layout = module.machine.lanes, module.unique("map"), module.layout
    size, reduced = 8 * lanes, len(rows.reduced)
    vectors = rows.columns + (len(kept.new) if kept else 0)
    stage = layout.take(size * vectors * (BLOCKS if kept else 1))
    out = layout.take(size * (rows.results + 1))
    padded = -(-reduced // lanes) * lanes
    # A row that may fail a guard adds to arrays of its block first.
    added = rows.vectors * (2 if rows.guards else 1)
    sums = layout.take(size * (padded + added))
    body = write_body(name, sums + size * padded)
    added_up = "%added" if kept else "%sums"
    two = _TwoBlocks(module, name, kept, size * vectors, size * rows.columns) if kept else None
    cleared = vectors if kept else padded + added if added else reduced
    begin, look = _look(module, lanes, patience(loop.body)) if is_long(loop) else ("%count = add i64 %n, 0", "")
    first_row = f"%rplace = getelementptr i8, ptr %work, i64 {counter}\n  store i64 %r, ptr %rplace"
    arguments = "ptr noalias %inputs, i64 %n, ptr noalias %table, ptr noalias %totals, ptr noalias %work"
    module.functions.append(f"""define internal void @{name}({arguments}) nounwind alignstack(64) {{
entry:
  {"%stages" if two else "%rows"} = getelementptr i8, ptr %work, i64 {stage}
  %outputs = getelementptr i8, ptr %work, i64 {out}
  {added_up} = getelementptr i8, ptr %work, i64 {sums}
  {begin}
  %rest = urem i64 %n, {lanes}
  %even = icmp eq i64 %rest, 0
  %first = select i1 %even, i64 {lanes}, i64 %rest
  {_zeros(module, added_up, size * (padded + added)) if padded + added else ""}
  br label %next
next:
  %r = phi i64 [0, %entry], [%r.next, %again]
  %valid = phi i64 [%first, %entry], [{lanes}, %again]
  {two.phi if two else ""}
  %more = icmp ult i64 %r, %count
  br i1 %more, label %{"look" if look else "block"}, label %finish
{look}block:
  %full = icmp eq i64 %valid, {lanes}
  {two.begin if two else ""}
  {"" if counter is None else first_row}
{copies(module, "i", 0, rows.widths, "%rows", load=True)}
{body}
{_flags(rows, lanes) if rows.guards else ""}
{copies(module, "o", ENTRY * len(rows.widths), rows.out_widths, "%outputs", load=False)}
{_clear_missing(lanes, "%rows" if kept else "%sums", cleared) if cleared else ""}
  br {two.middle if two else "label %again"}
again:
  %r.next = add i64 %r, %valid
  {two.next if two else ""}
  br label %next
finish:
  {two.end if two else ""}
  {f"call void {lane_adder(module)}(ptr {added_up}, ptr %totals, i64 {padded})" if padded else ""}
  ret void
}}""")
    return name, sums + size * padded


def _look(module: Module, lanes: int, rows: int) -> tuple[str, str]:
    """Look for signals once in this number of rows. If a loop was left before, no row runs."""
    begin = f"""%left.place = getelementptr i8, ptr %work, i64 {LEFT}
  %left = load i64, ptr %left.place
  %fine = icmp eq i64 %left, 0
  %count = select i1 %fine, i64 %n, i64 0"""
    look = f"""look:
  %since = and i64 %r, {rows - 1}
  %due = icmp uge i64 %since, {max(rows - lanes, 0)}
  br i1 %due, label %signals, label %block{module.rarely()}
signals:
  %stop = call i1 @{write_signals(module)}(ptr %work)
  br i1 %stop, label %finish, label %block
"""
    return begin, look


def _zeros(module: Module, place: str, count: int) -> str:
    module.declarations["memset"] = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"
    return f"call void @llvm.memset.p0.i64(ptr align 64 {place}, i8 0, i64 {count}, i1 false)"


class _TwoBlocks:
    """The parts of a map that adds up the factors of two blocks at a time."""

    phi = "%half = phi i1 [false, %entry], [%half.next, %again]"
    next = "%half.next = xor i1 %half, true"

    def __init__(self, module: Module, name: str, kept: Kept, block: int, columns: int) -> None:
        adders = "\n  ".join(f"call void {adder}(ptr %stages, ptr %added)" for adder in write_sums(module, name, kept))
        self.begin = f"""%stage0 = select i1 %half, i64 {block}, i64 0
  %rows = getelementptr i8, ptr %stages, i64 %stage0
  %sums = getelementptr i8, ptr %rows, i64 {columns}"""
        self.middle = f"""i1 %half, label %add, label %again
add:
  {adders}
  br label %again"""
        self.end = f"""br i1 %half, label %alone, label %sum
alone:
  %empty = getelementptr i8, ptr %stages, i64 {block}
  {_zeros(module, "%empty", block)}
  {adders}
  br label %sum
sum:"""


def _flags(rows: Rows, lanes: int) -> str:
    """Write a byte for each row of a block: whether a guard failed. The lanes' numbers are behind the results."""
    return f"""  %ftable = getelementptr i8, ptr %table, i64 {ENTRY * (len(rows.widths) + len(rows.out_widths))}
  %fbytes = load ptr, ptr %ftable
  %fbase = getelementptr i8, ptr %fbytes, i64 %r
  %fplace = getelementptr i8, ptr %outputs, i64 {8 * lanes * rows.results}
  %fnumbers = load {kind(lanes)}, ptr %fplace, align {8 * lanes}
  %ffailed = fcmp oeq {kind(lanes)} %fnumbers, zeroinitializer
  %fflags = zext {kind(lanes, "i1")} %ffailed to {kind(lanes, "i8")}
  br i1 %full, label %fall, label %fsome
fall:
  store {kind(lanes, "i8")} %fflags, ptr %fbase, align 1
  br label %fdone
fsome:
  store {kind(lanes, "i8")} %fflags, ptr %fplace, align 8
  br label %fnext
fnext:
  %fc = phi i64 [0, %fsome], [%fc.next, %fnext]
  %fnear = getelementptr i8, ptr %fplace, i64 %fc
  %fflag = load i8, ptr %fnear
  %ffar = getelementptr i8, ptr %fbase, i64 %fc
  store i8 %fflag, ptr %ffar
  %fc.next = add i64 %fc, 1
  %fmore = icmp ult i64 %fc.next, %valid
  br i1 %fmore, label %fnext, label %fdone
fdone:"""


def _clear_missing(lanes: int, place: str, count: int) -> str:
    """Set what lanes without a row have in some vectors to 0."""
    vector, numbers = kind(lanes), kind(lanes, "i64")
    return f"""  br i1 %full, label %stored, label %partial
partial:
  %rest1 = insertelement {numbers} poison, i64 %valid, i64 0
  %rests = shufflevector {numbers} %rest1, {numbers} poison, <{lanes} x i32> zeroinitializer
  %within = icmp ult {numbers} <{", ".join(f"i64 {i}" for i in range(lanes))}>, %rests
  br label %pnext
pnext:
  %pc = phi i64 [0, %partial], [%pc.next, %pnext]
  %poffset = mul i64 %pc, {8 * lanes}
  %sp = getelementptr i8, ptr {place}, i64 %poffset
  %sv = load {vector}, ptr %sp, align {8 * lanes}
  %sz = select {kind(lanes, "i1")} %within, {vector} %sv, {vector} zeroinitializer
  store {vector} %sz, ptr %sp, align {8 * lanes}
  %pc.next = add i64 %pc, 1
  %pmore = icmp ult i64 %pc.next, {count}
  br i1 %pmore, label %pnext, label %stored
stored:"""


def write_steps(
    module: Module,
    chunks: Sequence[str],
    count: str,
    counter: int,
    backwards: bool,
    moves: Sequence[tuple[int, int]],
    lanes: int = 1,
) -> str:
    """Write a loop that runs step by step; return the name of its function.

    Each step writes its number to the slot `counter` and calls the functions of the body. The carries that they compute
    are in slots of their own, and are then copied to the slots that the next step reads: `moves` has pairs of slots.
    """
    name, vector, size = module.unique("steps"), kind(lanes), 8 * lanes
    calls = [f"call void {chunk}({ARGUMENTS})" for chunk in chunks]
    handed: list[str] = []
    for k, (source, _) in enumerate(moves):
        handed.append(f"%from{k} = getelementptr i8, ptr %work, i64 {source}")
        handed.append(f"%x{k} = load {vector}, ptr %from{k}, align {size}")
    for k, (_, target) in enumerate(moves):
        handed.append(f"%to{k} = getelementptr i8, ptr %work, i64 {target}")
        handed.append(f"store {vector} %x{k}, ptr %to{k}, align {size}")
    body = "\n  ".join([*calls, *handed])
    number = f"sub i64 {count}, %after" if backwards else "add i64 %step, 0"
    module.functions.append(f"""define internal void @{name}({ARGUMENTS}) nounwind {{
entry:
  %place = getelementptr i8, ptr %work, i64 {counter}
  br label %next
next:
  %step = phi i64 [0, %entry], [%after, %body]
  %more = icmp ult i64 %step, {count}
  br i1 %more, label %body, label %done
body:
  %after = add i64 %step, 1
  %number = {number}
  store i64 %number, ptr %place
  {body}
  br label %next
done:
  ret void
}}""")
    return f"@{name}"
