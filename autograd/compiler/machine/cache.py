"""The cache of object code on disk: a program is compiled once on a machine, not once in each process."""

from __future__ import annotations

import sys
from collections.abc import Callable

from autograd import storage
from autograd.compiler.lower.module import Module
from autograd.compiler.machine import llvm


def load(module: Module, before: Callable[[], None] = lambda: None) -> llvm.MachineCode:
    """The module's machine code, from disk if a valid entry exists; `before` is called before compiling."""

    def generate() -> bytes:
        before()
        return llvm.generate(module)

    llvm.share(module, lambda text: _object_code(text, lambda: llvm.generate_shared(text)))
    if module.custom:  # functions in Python have no address elsewhere
        return llvm.load(module, generate())
    return llvm.load(module, _object_code("\0".join([module.text(), *module.shared.values()]), generate))


def _object_code(text: str, generate: Callable[[], bytes]) -> bytes:
    """The object code for a text in LLVM IR: from disk, or generated and kept there.

    The entry depends on the text, the CPU and the versions.
    """
    entry = storage.entry(text, *map(str, llvm.host()[1:]), llvm.versions(), sys.version, sys.byteorder)
    code = None if entry is None else storage.read(entry)
    if code is None:
        code = generate()
        if entry is not None:
            storage.write(entry, code)
    return code
