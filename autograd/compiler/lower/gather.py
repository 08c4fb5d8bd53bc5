"""Elements at computed places in lanes: each lane reads another one, or adds to another one."""

from __future__ import annotations

from collections.abc import Sequence

from autograd.compiler.lower.module import kind
from autograd.compiler.lower.values import Values
from autograd.ir.block import Array, Window


def read_in_lanes(code: Values, array: int, window: Window, indices: Sequence[int]) -> str:
    """The element that each lane reads."""
    found = "poison"
    for lane, where in enumerate(_addresses(code, array, window, indices)):
        number = code.temporary(f"load double, ptr {where}, align 8")
        found = code.temporary(f"insertelement {code.type} {found}, double {number}, i64 {lane}")
    return found


def add_in_lanes(code: Values, array: int, window: Window, indices: Sequence[int], added: str) -> None:
    """Add each lane's number to its element; those of several lanes may be the same one."""
    flags = code.module.machine.flags
    for lane, where in enumerate(_addresses(code, array, window, indices)):
        number = code.temporary(f"extractelement {code.type} {added}, i64 {lane}")
        before = code.temporary(f"load double, ptr {where}, align 8")
        total = code.temporary(f"fadd {flags}double {before}, {number}")
        code.write(f"store double {total}, ptr {where}, align 8")


def _addresses(code: Values, array: int, window: Window, indices: Sequence[int]) -> list[str]:
    """The address of each lane's element."""
    place, made, whole = code.array(array), code.types[array], kind(code.lanes, "i64")
    assert isinstance(made, Array)
    first = code.pointer(place.moved(place.step(made.shape, window.offset), ()))
    lanes = ", ".join([f"i64 {8 * lane if place.wide else 0}" for lane in range(code.lanes)])
    total = f"<{lanes}>"
    for index, step in zip(indices, window.steps):
        number = code.temporary(f"fptosi {code.type} {code.get(index)} to {whole}")
        moved = code.temporary(f"mul {whole} {number}, splat (i64 {place.step(made.shape, step)})")
        total = code.temporary(f"add {whole} {total}, {moved}")
    found = []
    for lane in range(code.lanes):
        offset = code.temporary(f"extractelement {whole} {total}, i64 {lane}")
        found.append(code.temporary(f"getelementptr i8, ptr {first}, i64 {offset}"))
    return found
