"""Loops: a map runs over blocks of rows, any other loop runs step by step.

Each block of rows is copied into a stage, one vector per column, and the body runs on the stage. The rows that do not
fill a block come first. The remaining lanes repeat the last of these rows, so nothing is read or written out of bounds;
what these lanes added to the sums is set to 0 before the full blocks follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autograd.compiler.lower.module import Module, kind
from autograd.compiler.lower.rows import ENTRY, Rows
from autograd.compiler.lower.sums import BLOCKS, Kept, write_sums


def _sums_of_lanes(lanes: int) -> str:
    """Add up each of `lanes` vectors across its lanes; the sums go to `%total`.

    The two halves of each vector are loaded and added first, which takes no shuffle. Then pairs of vectors are added
    until one is left. After `level` additions of pairs, lane ``p * 2**level + s`` has part p of sum number s.
    """
    width = max(lanes // 2, 2)
    half, lines, names = kind(width), [], []
    for i in range(lanes):
        parts = [8 * lanes * i] if width == lanes else [8 * lanes * i, 8 * lanes * i + 8 * width]
        for k, offset in enumerate(parts):
            lines.append(f"%sa{i}.{k} = getelementptr i8, ptr %sbase, i64 {offset}")
            lines.append(f"%sx{i}.{k} = load {half}, ptr %sa{i}.{k}, align {8 * width}")
        names.append(f"%sx{i}.0")
        if len(parts) == 2:
            names[i] = f"%sh{i}"
            lines.append(f"%sh{i} = fadd {half} %sx{i}.0, %sx{i}.1")
    step = 1
    while step < width:
        lanes_of_pair = [divmod(lane, 2 * step) for lane in range(width)]
        first = [2 * step * part + s % step + (width if s >= step else 0) for part, s in lanes_of_pair]
        pairs = [f"%sy{step}.{i}" for i in range(len(names) // 2)]
        for pair, one, other in zip(pairs, names[::2], names[1::2]):
            for part, picks in (("e", first), ("o", [pick + step for pick in first])):
                order = ", ".join(f"i32 {pick}" for pick in picks)
                lines.append(f"{pair}{part} = shufflevector {half} {one}, {half} {other}, <{width} x i32> <{order}>")
            lines.append(f"{pair} = fadd {half} {pair}e, {pair}o")
        names, step = pairs, 2 * step
    for i, name in enumerate(names):
        lines.append(f"%splace{i} = getelementptr i8, ptr %totalplace, i64 {8 * width * i}")
        lines.append(f"store {half} {name}, ptr %splace{i}, align 8")
    return "\n  ".join(lines)


def transposed(lanes: int, names: Sequence[str], prefix: str) -> tuple[list[str], list[str]]:
    """The lines that transpose a square of vectors, and the names of the results."""
    vector, names, lines, width = kind(lanes), list(names), [], 1
    while width < lanes:
        for i in range(lanes):
            if i & width:
                continue
            one, other = names[i], names[i + width]
            for k, base in ((i, 0), (i + width, width)):
                picks = [(lane & ~width) + base + (lanes if lane & width else 0) for lane in range(lanes)]
                order = ", ".join(f"i32 {pick}" for pick in picks)
                names[k] = f"%{prefix}{width}.{k}"
                lines.append(f"{names[k]} = shufflevector {vector} {one}, {vector} {other}, <{lanes} x i32> <{order}>")
        width *= 2
    return lines, names


def _copy_group(lanes: int, name: str, entry: int, width: int, stage: str, first: int, load: bool) -> str:
    """Copy a group of columns of a block of rows between its array and the stage: from label `name` to `name`.done.

    It copies column by column if the numbers of a column are neighbours in memory, by transposed squares if those of a
    row are. Otherwise, and for the rows that do not fill a block, it copies number by number.
    """
    vector, size, n = kind(lanes), 8 * lanes, name

    def move(value: str, far: str, near: str, type_: str, near_align: int) -> list[str]:
        if load:
            return [
                f"{value} = load {type_}, ptr {far}, align 8",
                f"store {type_} {value}, ptr {near}, align {near_align}",
            ]
        return [f"{value} = load {type_}, ptr {near}, align {near_align}", f"store {type_} {value}, ptr {far}, align 8"]

    def loop(label: str, step: int, body: list[str], last: int | None = None) -> str:
        bound = (
            [
                f"%{label}.over = icmp ugt i64 %{label}.c, {last}",
                f"%{label}.j = select i1 %{label}.over, i64 {last}, i64 %{label}.c",
            ]
            if last is not None
            else [f"%{label}.j = add i64 %{label}.c, 0"]
        )
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
        lines, names = transposed(lanes, [f"%{n}.t.x{i}" for i in range(lanes)], f"{n}.t.s")
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
    """Copy all groups one after another; control enters at the top and leaves at the bottom."""
    parts, first = [], 0
    for k, width in enumerate(widths):
        parts.append(f"  br label %{name}{k}")
        parts.append(_copy_group(lanes, f"{name}{k}", entry + ENTRY * k, width, stage, first, load))
        first += width
    return "\n".join(parts)


def write_map(
    module: Module,
    rows: Rows,
    write_body: Callable[[str, int], list[str]],
    kept: Kept | None,
    counter: int | None,
) -> tuple[str, int]:
    """Write the loop of a map; return the name of its function, and where the arrays are that the lanes add to.

    `write_body` writes the functions of the body, given the name and that place, and returns their names.

    If the body keeps the factors of its sums, these are added up for two blocks at a time; `%half` says which of them
    this block is. The number of a block's first row is in the slot `counter` if the body uses it.

    The function takes the inputs of the program, the count of rows, the table, the address of the sums, and the
    workspace. The table has an entry for each element and each result, then the address of one byte per row, which is
    set to 1 if a guard fails.
    """
    widths, results = rows.widths, rows.out_widths
    lanes, name = module.machine.lanes, module.unique("map")
    size, vector, layout = 8 * lanes, kind(module.machine.lanes), module.layout
    reduced = len(rows.reduced)
    each = rows.results
    vectors = rows.columns + (len(kept.new) if kept else 0)
    stage, out = layout.take(size * vectors * (BLOCKS if kept else 1)), layout.take(size * (each + 1))
    padded = -(-reduced // lanes) * lanes
    # A row that may fail a guard adds to arrays of its block first.
    added = rows.vectors * (2 if rows.guards else 1)
    sums = layout.take(size * (padded + added))
    into = "%kept" if kept else "%sums"
    calls = "\n  ".join(
        f"call void {chunk}(ptr %shared, ptr %stage, ptr %out, ptr {into}, ptr %work)"
        for chunk in write_body(name, sums + size * padded)
    )
    adders = write_sums(module, name, kept) if kept else []
    add_up = "\n  ".join(f"call void {adder}(ptr %stages, ptr %sums)" for adder in adders)
    module.declarations["memset"] = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"
    lane_rows = "\n  ".join(
        f"%last{i} = icmp ult i64 {i}, %valid\n  %row{i} = select i1 %last{i}, i64 {i}, i64 %clamp"
        for i in range(lanes)
    )
    inputs = _copies(lanes, "i", 0, widths, "%stage", load=True)
    outputs = _copies(lanes, "o", ENTRY * len(widths), results, "%out", load=False)
    last = f"o{len(results) - 1}.done" if results else f"i{len(widths) - 1}.done" if widths else "block"
    flag = ""
    if rows.guards:
        flag = f"  %ftable = getelementptr i8, ptr %table, i64 {ENTRY * (len(widths) + len(results))}\n"
        flag += "  %fbytes = load ptr, ptr %ftable\n  %fbase = getelementptr i8, ptr %fbytes, i64 %r\n  "
        flag += "\n  ".join(
            f"%fs{i} = getelementptr i8, ptr %out, i64 {size * each + 8 * i}\n  %fl{i} = load double, ptr %fs{i}\n  "
            f"%fz{i} = fcmp oeq double %fl{i}, 0.0\n  %fb{i} = zext i1 %fz{i} to i8\n  "
            f"%fp{i} = getelementptr i8, ptr %fbase, i64 %row{i}\n  store i8 %fb{i}, ptr %fp{i}"
            for i in range(lanes)
        )
    count = (
        "" if counter is None else f"%rplace = getelementptr i8, ptr %work, i64 {counter}\n  store i64 %r, ptr %rplace"
    )
    iota = ", ".join(f"i64 {i}" for i in range(lanes))
    arguments = "ptr %shared, i64 %n, ptr %table, ptr %totals, ptr %work"
    module.functions.append(f"""define internal void @{name}({arguments}) nounwind {{
entry:
  %stages = getelementptr i8, ptr %work, i64 {stage}
  %out = getelementptr i8, ptr %work, i64 {out}
  %sums = getelementptr i8, ptr %work, i64 {sums}
  %rest = urem i64 %n, {lanes}
  %even = icmp eq i64 %rest, 0
  %rest1 = insertelement <{lanes} x i64> poison, i64 %rest, i64 0
  %rests = shufflevector <{lanes} x i64> %rest1, <{lanes} x i64> poison, <{lanes} x i32> zeroinitializer
  %within = icmp ult <{lanes} x i64> <{iota}>, %rests
  call void @llvm.memset.p0.i64(ptr align 64 %sums, i8 0, i64 {size * (padded + added)}, i1 false)
  %first = select i1 %even, i64 {lanes}, i64 %rest
  br label %next
next:
  %r = phi i64 [0, %entry], [%r.next, %again]
  %valid = phi i64 [%first, %entry], [{lanes}, %again]
  %half = phi i1 [false, %entry], [%half.next, %again]
  %more = icmp ult i64 %r, %n
  br i1 %more, label %block, label %finish
block:
  %full = icmp eq i64 %valid, {lanes}
  %clamp = sub i64 %valid, 1
  %stage0 = select i1 %half, i64 {size * vectors}, i64 0
  %stage = getelementptr i8, ptr %stages, i64 %stage0
  %kept = getelementptr i8, ptr %stage, i64 {size * rows.columns}
  {lane_rows}
  {count}
{inputs}
  {calls}
{flag}
{outputs}
  br i1 %full, label %stored, label %pnext
pnext:
  %pc = phi i64 [0, %{last}], [%pc.next, %pcolumn]
  %pmore = icmp ult i64 %pc, {vectors if kept else padded + added if added else reduced}
  br i1 %pmore, label %pcolumn, label %stored
pcolumn:
  %poffset = mul i64 %pc, {size}
  %sp = getelementptr i8, ptr {"%stage" if kept else "%sums"}, i64 %poffset
  %sv = load {vector}, ptr %sp, align {size}
  %sz = select <{lanes} x i1> %within, {vector} %sv, {vector} zeroinitializer
  store {vector} %sz, ptr %sp, align {size}
  %pc.next = add i64 %pc, 1
  br label %pnext
stored:
  br i1 %half, label %add, label %again
add:
  {add_up}
  br label %again
again:
  %r.next = add i64 %r, %valid
  %half.next = xor i1 %half, {str(kept is not None).lower()}
  br label %next
finish:
  br i1 %half, label %alone, label %sum
alone:
  %empty = getelementptr i8, ptr %stages, i64 {size * vectors}
  call void @llvm.memset.p0.i64(ptr align {size} %empty, i8 0, i64 {size * vectors}, i1 false)
  {add_up}
  br label %sum
sum:
  br label %snext
snext:
  %sc = phi i64 [0, %sum], [%sc.next, %scolumn]
  %smore = icmp ult i64 %sc, {padded}
  br i1 %smore, label %scolumn, label %done
scolumn:
  %soffset = mul i64 %sc, {size}
  %sbase = getelementptr i8, ptr %sums, i64 %soffset
  %totaloffset = mul i64 %sc, 8
  %totalplace = getelementptr i8, ptr %totals, i64 %totaloffset
  {_sums_of_lanes(lanes)}
  %sc.next = add i64 %sc, {lanes}
  br label %snext
done:
  ret void
}}""")
    return name, sums + size * padded


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
    calls = [f"call void {chunk}(ptr %inputs, ptr %rows, ptr %outputs, ptr %sums, ptr %work)" for chunk in chunks]
    handed: list[str] = []
    for k, (source, _) in enumerate(moves):
        handed.append(f"%from{k} = getelementptr i8, ptr %work, i64 {source}")
        handed.append(f"%x{k} = load {vector}, ptr %from{k}, align {size}")
    for k, (_, target) in enumerate(moves):
        handed.append(f"%to{k} = getelementptr i8, ptr %work, i64 {target}")
        handed.append(f"store {vector} %x{k}, ptr %to{k}, align {size}")
    body = "\n  ".join([*calls, *handed])
    number = f"sub i64 {count}, %after" if backwards else "add i64 %step, 0"
    arguments = "ptr %inputs, ptr %rows, ptr %outputs, ptr %sums, ptr %work"
    module.functions.append(f"""define internal void @{name}({arguments}) nounwind {{
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
