"""Copies between the arrays of a map's rows and the stage, and sums across lanes: functions that all maps share."""

from __future__ import annotations

from collections.abc import Sequence

from autograd.compiler.lower.module import Module, kind
from autograd.compiler.lower.rows.layout import ENTRY


def copies(module: Module, name: str, entry: int, widths: Sequence[int], stage: str, load: bool) -> str:
    """Copy the columns of each array between it and the stage, for one block of rows.

    A block of a single column whose numbers are neighbours in memory is one vector. All else takes a call.
    """
    lanes, lines, first = module.machine.lanes, [], 0
    module.helpers["often"] = '!0 = !{!"branch_weights", i32 1000, i32 1}'
    vector, size = kind(lanes), 8 * lanes
    for k, width in enumerate(widths):
        n = f"{name}{k}"
        lines.append(f"""  %{n}.entry = getelementptr i8, ptr %table, i64 {entry + ENTRY * k}
  %{n}.near = getelementptr i8, ptr {stage}, i64 {size * first}""")
        copy = _copier(module, load, width >= lanes)
        call = f"call void {copy}(ptr %{n}.near, ptr %{n}.entry, i64 %r, i64 %valid, i64 {width})"
        first += width
        if width != 1:
            lines.append(f"  {call}")
            continue
        moved = _joined(_move(f"%{n}.x", f"%{n}.far", f"%{n}.near", vector, size, load))
        lines.append(f"""  %{n}.strides = getelementptr i8, ptr %{n}.entry, i64 8
  %{n}.stride = load i64, ptr %{n}.strides
  %{n}.column = icmp eq i64 %{n}.stride, 8
  %{n}.whole = and i1 %full, %{n}.column
  br i1 %{n}.whole, label %{n}.fast, label %{n}.slow, !prof !0
{n}.fast:
  %{n}.start = load ptr, ptr %{n}.entry
  %{n}.far = getelementptr double, ptr %{n}.start, i64 %r
  {moved}
  br label %{n}.done
{n}.slow:
  {call}
  br label %{n}.done
{n}.done:""")
    return "\n".join(lines)


def _copier(module: Module, load: bool, wide: bool) -> str:
    """The function that copies the columns of an array; `wide`: whether there are at least as many as lanes.

    It copies column by column if the numbers of a column are neighbours in memory, by transposed squares if those of a
    row are. Otherwise, and for the rows that do not fill a block, it copies number by number.
    """
    lanes = module.machine.lanes
    name = f"@autograd_rows.{'load' if load else 'store'}_{'wide' if wide else 'narrow'}.{lanes}"
    if name in module.shared:
        return name
    column = _move("%v.x", "%v.far", "%v.near", kind(lanes), 8 * lanes, load)
    single, offsets = [], ["%o0 = add i64 0, 0"]
    for i in range(1, lanes):  # lanes without a row repeat the last one
        offsets.append(f"%is{i} = icmp ult i64 {i}, %valid")
        offsets.append(f"%by{i} = select i1 %is{i}, i64 %stride, i64 0")
        offsets.append(f"%o{i} = add i64 %o{i - 1}, %by{i}")
    for i in range(lanes):
        single.append(f"%l.f{i} = getelementptr i8, ptr %l.far, i64 %o{i}")
        single.append(f"%l.n{i} = getelementptr i8, ptr %l.near, i64 {8 * i}")
        single += _move(f"%l.x{i}", f"%l.f{i}", f"%l.n{i}", "double", 8, load)
    arguments = "ptr %near, ptr %array, i64 %r, i64 %valid, i64 %width"
    body = f"""entry:
  %start = load ptr, ptr %array
  %strides = getelementptr i8, ptr %array, i64 8
  %stride = load i64, ptr %strides
  %steps = getelementptr i8, ptr %array, i64 16
  %step = load i64, ptr %steps
  %offset = mul i64 %r, %stride
  %base = getelementptr i8, ptr %start, i64 %offset
  %full = icmp eq i64 %valid, {lanes}
  br i1 %full, label %whole, label %single
whole:
  %column = icmp eq i64 %stride, 8
  br i1 %column, label %v, label %{"other" if wide else "single"}
{_columns("v", "whole", 1, lanes, column)}
{_squares(lanes, load) if wide else ""}
single:
  {_joined(offsets)}
  br label %l
{_columns("l", "single", 1, lanes, single)}
done:
  ret void"""
    return module.share(name, arguments, body, "declare ptr @llvm.launder.invariant.group.p0(ptr)")


def _joined(lines: Sequence[str]) -> str:
    return "\n  ".join(lines)


def _move(value: str, far: str, near: str, type_: str, near_align: int, load: bool) -> list[str]:
    """Move a value to the stage, or from it."""
    here, there = f"ptr {near}, align {near_align}", f"ptr {far}, align 8"
    source, target = (there, here) if load else (here, there)
    return [f"{value} = load {type_}, {source}", f"store {type_} {value}, {target}"]


def _columns(label: str, before: str, step: int, lanes: int, body: Sequence[str]) -> str:
    """A loop over columns, some in a step; if the last step would go beyond the last column, it begins earlier."""
    n, number = label, f"%{label}.c"
    bound = []
    if step > 1:
        number = f"%{n}.j"
        bound = [f"%{n}.over = icmp ugt i64 %{n}.c, %last", f"{number} = select i1 %{n}.over, i64 %last, i64 %{n}.c"]
    lines = [
        f"%{n}.c = phi i64 [0, %{before}], [%{n}.next, %{n}]",
        *bound,
        f"%{n}.vector = mul i64 {number}, {8 * lanes}",
        f"%{n}.near = getelementptr i8, ptr %near, i64 %{n}.vector",
        f"%{n}.distance = mul i64 {number}, %step",
        f"%{n}.there = getelementptr i8, ptr %base, i64 %{n}.distance",
        # To LLVM this is another pointer: it would think long about how to step through rows and columns at once.
        f"%{n}.far = call ptr @llvm.launder.invariant.group.p0(ptr %{n}.there)",
        *body,
        f"%{n}.next = add i64 %{n}.c, {step}",
        f"%{n}.more = icmp ult i64 %{n}.next, %width",
        f"br i1 %{n}.more, label %{n}, label %done",
    ]
    return f"{n}:\n  {_joined(lines)}"


def _squares(lanes: int, load: bool) -> str:
    """Copy squares of as many rows as columns, if the numbers of a row are neighbours in memory."""
    vector, size, body = kind(lanes), 8 * lanes, []
    for i in range(lanes):
        body.append(f"%t.o{i} = mul i64 {i}, %stride")
        body.append(f"%t.f{i} = getelementptr i8, ptr %t.far, i64 %t.o{i}")
        body.append(f"%t.n{i} = getelementptr i8, ptr %t.near, i64 {size * i}")
    source, target = ("f", "n") if load else ("n", "f")
    aligned = {"f": 8, "n": size}
    body += [f"%t.x{i} = load {vector}, ptr %t.{source}{i}, align {aligned[source]}" for i in range(lanes)]
    lines, names = transposed(lanes, [f"%t.x{i}" for i in range(lanes)], "t.s")
    body += lines
    body += [f"store {vector} {x}, ptr %t.{target}{i}, align {aligned[target]}" for i, x in enumerate(names)]
    return f"""other:
  %last = sub i64 %width, {lanes}
  %neighbours = icmp eq i64 %step, 8
  br i1 %neighbours, label %t, label %single
{_columns("t", "other", lanes, lanes, body)}"""


def lane_adder(module: Module) -> str:
    """The function that adds up vectors across their lanes, as many at a time as lanes, into numbers."""
    lanes = module.machine.lanes
    body = f"""entry:
  br label %next
next:
  %c = phi i64 [0, %entry], [%c.next, %next]
  %offset = mul i64 %c, {8 * lanes}
  %base = getelementptr i8, ptr %sums, i64 %offset
  %place = getelementptr double, ptr %totals, i64 %c
  {_sums_of_lanes(lanes)}
  %c.next = add i64 %c, {lanes}
  %more = icmp ult i64 %c.next, %count
  br i1 %more, label %next, label %done
done:
  ret void"""
    return module.share(f"@autograd_rows.add_lanes.{lanes}", "ptr %sums, ptr %totals, i64 %count", body)


def _sums_of_lanes(lanes: int) -> str:
    """Add up each of `lanes` vectors across its lanes; the sums go to `%place`.

    The two halves of each vector are loaded and added first, which takes no shuffle. Then pairs of vectors are added
    until one is left. After `level` additions of pairs, lane ``p * 2**level + s`` has part p of sum number s.
    """
    width = max(lanes // 2, 2)
    half, lines, names = kind(width), [], []
    for i in range(lanes):
        parts = [8 * lanes * i] if width == lanes else [8 * lanes * i, 8 * lanes * i + 8 * width]
        for k, offset in enumerate(parts):
            lines.append(f"%sa{i}.{k} = getelementptr i8, ptr %base, i64 {offset}")
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
        lines.append(f"%place{i} = getelementptr i8, ptr %place, i64 {8 * width * i}")
        lines.append(f"store {half} {name}, ptr %place{i}, align 8")
    return _joined(lines)


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
