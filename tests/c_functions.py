"""Functions that were exported as C, compiled together by gcc or clang, and called through ctypes."""

from __future__ import annotations

import ctypes
import ctypes.util
import math
import os
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autograd.compiler.run.exports import Example, example_of
from autograd.ir.block import CALL, Array, types_of
from autograd.ir.evaluate import Cells, Evaluator, cells_of
from autograd.ir.simplify import unroll
from autograd.rules import Rule

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-ffp-contract=off", "-fno-math-errno"]
LIBM = ctypes.CDLL(ctypes.util.find_library("m") or "libm.so.6")
LIBM.hypot.restype, LIBM.hypot.argtypes = ctypes.c_double, [ctypes.c_double] * 2


def exported(compiled: Any, *args: Any, name: str | None = None, closed: str = "constants", **keywords: Any) -> Example:
    """A compiled function in C, with the numbers of a call."""
    return example_of(compiled, args, keywords, name, closed)


def run_compiler(compiler: str, flags: Sequence[str], *files: Path, folder: Path, output: str) -> None:
    """Compile files; what a compiler says is an error."""
    command = [compiler, *STRICT, *flags, *map(str, files), "-o", output, "-lm"]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[:3000]
    assert not found.stderr, found.stderr[:3000]


class Library:
    """Several functions in one shared library."""

    def __init__(
        self, examples: Sequence[Example], folder: Path, compiler: str = "gcc", flags: Sequence[str] = ("-O1",)
    ) -> None:
        texts = []
        for example in examples:
            texts.append(example.source.text())
        (folder / "all.c").write_text("\n".join(texts), encoding="utf-8")
        run_compiler(compiler, [*flags, "-shared", "-fPIC"], folder / "all.c", folder=folder, output="all.so")
        self.library = ctypes.CDLL(os.fspath(folder / "all.so"))

    def call(self, example: Example, inputs: Sequence[Sequence[float]] | None = None, steps: int = 5000) -> Any:
        """The status, and the numbers of each output."""
        source, rows = example.source, example.rows
        own = [p for p in source.parameters if not p.is_output]
        results = [p for p in source.parameters if p.is_output]
        arrays = [(ctypes.c_double * max(len(x), 1))(*x) for x in (inputs or example.inputs)]
        made = [(ctypes.c_double * max(_size(p, rows), 1))() for p in results]
        passed: list[Any] = [ctypes.c_size_t(rows)] if source.rows else []
        passed += [ctypes.c_double(x[0]) if p.shape is None else x for p, x in zip(own, arrays, strict=True)]
        passed += made
        passed += [ctypes.c_size_t(steps)] if source.steps else []
        if any(source.work):
            fixed, by_row, by_step = source.work
            size = fixed + by_row * rows + by_step * steps
            passed.append((ctypes.c_double * max(size, 1))(*[math.nan] * size))
        status = getattr(self.library, source.name)(*passed)
        return status, [list(x)[: _size(p, rows)] for p, x in zip(results, made)]


def _size(parameter: Any, rows: int) -> int:
    by_row = parameter.shape is not None and CALL in parameter.shape
    return int(parameter.size() * (rows if by_row else 1))


def defined(example: Example) -> list[float]:
    """What the program that was written gives, by its definition, with libm's `hypot`."""
    extents = {CALL: example.rows}
    program = unroll(example.program)
    values = Evaluator(extents, _apply).run(program, cells_of(program, example.given, extents))
    outputs = [values[o] for o in program.outputs]
    kinds = [isinstance(k, Array) and CALL in k.shape for k in map(types_of(program).__getitem__, program.outputs)]
    ordered = [x for x, given in zip(outputs, kinds) if not given] + [x for x, given in zip(outputs, kinds) if given]
    return [number for x in ordered for number in (x.numbers() if isinstance(x, Cells) else [x])]


def in_the_same_order(example: Example, outputs: Sequence[Sequence[float]]) -> list[float]:
    """The numbers of outputs in the order of `defined`: those of rows last."""
    results = [p for p in example.source.parameters if p.is_output]
    by_row = [p.shape is not None and CALL in p.shape for p in results]
    ordered = [x for x, given in zip(outputs, by_row) if not given] + [x for x, given in zip(outputs, by_row) if given]
    return [number for x in ordered for number in x]


def _apply(rule: Rule, operands: Sequence[float]) -> float:
    if rule.name == "hypot":
        return float(LIBM.hypot(*operands))
    return rule.evaluate(operands)


def same_bits(expected: Sequence[float], actual: Sequence[float]) -> bool:
    """Whether numbers are the same, the signs of zeros included; a nan is like another."""
    return len(expected) == len(actual) and all(map(_same, expected, actual))


def _same(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return struct.pack("<d", one) == struct.pack("<d", other)
