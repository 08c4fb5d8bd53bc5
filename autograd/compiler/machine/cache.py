"""Object code on disk, so that the same program is compiled once per machine and not once per process."""

from __future__ import annotations

import sys
from collections.abc import Callable

from autograd import storage
from autograd.compiler.lower.module import Module
from autograd.compiler.machine import llvm


def load(module: Module, before: Callable[[], None] = lambda: None) -> llvm.MachineCode:
    """The module's machine code, from disk if a valid entry exists; `before` is called before compiling."""
    # The name of an entry: the module's text, the CPU and the versions. Functions in Python have no address elsewhere.
    parts = module.text(), *map(str, llvm.host()[1:]), llvm.versions(), sys.version, sys.byteorder
    entry = None if module.custom else storage.entry(*parts)
    code = None if entry is None else storage.read(entry)
    if code is None:
        before()
        code = llvm.generate(module)
        if entry is not None:
            storage.write(entry, code)
    return llvm.load(module, code)
