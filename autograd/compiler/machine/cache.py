"""The cache on disk: a program is prepared and compiled once on a machine, not once in each process.

Object code is found by the LLVM IR that it was made from. Programs of some length are also found by themselves, so that
the passes and the writing of IR are left out too.
"""

from __future__ import annotations

import marshal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from autograd import storage
from autograd.compiler.lower.module import Module
from autograd.compiler.machine import llvm

# What decides which machine code a program becomes: these folders and modules of the package.
PREPARING = (
    *("ieee", "modes", "native", "once", "rules", "symbols", "ir"),
    *("compiler/locks", "compiler/lower", "compiler/machine", "compiler/run/specialization"),
)


def load(module: Module, before: Callable[[], None] = lambda: None) -> llvm.MachineCode:
    """The module's machine code, from disk if a valid entry exists; `before` is called before compiling."""

    def generate() -> bytes:
        before()
        return llvm.generate(module)

    needs = llvm.Needs.of(module)
    llvm.share(needs.shared, _shared)
    if module.custom:  # functions in Python have no address elsewhere
        return llvm.load(needs, generate(), module.custom)
    entry = _entry("\0".join([module.text(), *module.shared.values()]))
    return llvm.load(needs, _object_code(entry, generate), name=entry.name if entry else None)


def find(key: tuple[object, ...]) -> tuple[llvm.MachineCode, Any] | None:
    """The machine code of a program, and what was noted about it; None if they are not on disk.

    The key has a digest of the program, and how it is to be compiled.
    """
    if (entry := _entry_of_program(key)) is None or (kept := storage.read(entry)) is None:
        return None
    name, needed, notes = marshal.loads(kept)
    code, needs = storage.read(entry.parent / name), llvm.Needs(*needed)
    if code is None:
        return None
    llvm.share(needs.shared, _shared)
    return llvm.load(needs, code, name=name), notes


def keep(key: tuple[object, ...], code: llvm.MachineCode, notes: Any) -> None:
    """Note for `find` where the machine code of a program is; `notes` are plain data."""
    entry = _entry_of_program(key)
    if entry is not None and code.name is not None:
        storage.write(entry, marshal.dumps((code.name, [*code.needs], notes)))


def _shared(text: str) -> bytes:
    """The object code of a function that many programs call."""
    return _object_code(_entry(text), lambda: llvm.generate_shared(text))


def _object_code(entry: Path | None, generate: Callable[[], bytes]) -> bytes:
    """The object code of an entry: from disk, or generated and kept there."""
    code = None if entry is None else storage.read(entry)
    if code is None:
        code = generate()
        if entry is not None:
            storage.write(entry, code)
    return code


def _entry(*parts: str, made_by: Sequence[str] = ()) -> Path | None:
    """An entry that depends on these texts, the CPU and the versions."""
    machine = *map(str, llvm.host()[1:]), llvm.versions(), sys.version, sys.byteorder
    return storage.entry(*parts, *machine, made_by=made_by)


def _entry_of_program(key: tuple[object, ...]) -> Path | None:
    """The entry of a program, which also depends on the libraries and on what prepares programs."""
    return _entry("program", repr(key), *llvm.vector_math(llvm.lanes()), made_by=PREPARING)
