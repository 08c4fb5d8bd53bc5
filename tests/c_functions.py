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
from autograd.ir.block import CALL, Array, Instruction, Loop, loops, types_of
from autograd.ir.evaluate import Cells, Evaluator, cells_of
from autograd.ir.passes.simplify import unroll
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


def defined(example: Example, lanes: int = 2) -> list[float]:
    """What the program that was written gives, by its definition, with the functions that C calls in so many lanes."""
    extents = {CALL: example.rows}
    program = unroll(example.program)
    ours, theirs = list(loops(program)), list(loops(example.program))
    assert len(ours) == len(theirs)
    wide = {id(own) for own, one in zip(ours, theirs) if any(one is written for written in example.source.loops)}
    values = _AsWritten(extents, wide, lanes).run(program, cells_of(program, example.given, extents))
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


class _AsWritten(Evaluator):
    """Adds up in each lane as C does, and has the functions that come along there."""

    def __init__(self, extents: Any, wide: set[int], lanes: int) -> None:
        super().__init__(extents, _apply)
        self.wide, self.lanes = wide, lanes

    def instruction(self, instruction: Instruction, operands: Sequence[Any]) -> Any:
        """As usual, with other functions in loops of which several steps are taken at a time."""
        apply = self.apply
        if instruction.op == "loop" and id(instruction.data) in self.wide:
            self.apply = lambda rule, given: COMES_ALONG.get(rule.name, rule.evaluate)(given)
        try:
            return super().instruction(instruction, operands)
        finally:
            self.apply = apply

    def _out(self, loop: Loop, k: int, column: list[Any]) -> Any:
        if loop.kinds[k] != "sum" or id(loop) not in self.wide:
            return super()._out(loop, k, column)
        sums = [0.0] * self.lanes
        left = len(column) % self.lanes or self.lanes
        for number, x in enumerate(column):
            sums[number if number < left else (number - left) % self.lanes] += x
        while len(sums) > 1:
            half = len(sums) // 2
            sums = [one + other for one, other in zip(sums[:half], sums[half:])]
        return sums[0]


ROUNDED, LOG_2 = 6755399441055744.0, (0.6931471803691238, 1.9082149292705877e-10)
FACTORS = (
    2.510038549551032e-08, 2.7620088445409746e-07, 2.7557268459997064e-06, 2.4801521295954376e-05,
    0.00019841269863053618, 0.0013888888917213717, 0.008333333333330062, 0.04166666666662413, 0.16666666666666669,
    0.5000000000000001,
)  # fmt: skip  # a table


def _power_of_2(k: float) -> float:
    return math.ldexp(1.0, int(k))


def exp(x: float) -> float:
    """The exponential function that comes along."""
    y = -746.0 if x < -746.0 else 710.0 if x > 710.0 else x
    if y != y:
        return y
    k = (y * 1.4426950408889634 + ROUNDED) - ROUNDED
    half = (k * 0.5 + ROUNDED) - ROUNDED
    r = (y - k * LOG_2[0]) - k * LOG_2[1]
    q = FACTORS[0]
    for factor in FACTORS[1:]:
        q = q * r + factor
    return (1.0 + (r * r * q + r)) * _power_of_2(half) * _power_of_2(k - half)


def _split(x: float) -> tuple[float, float]:
    bits = struct.unpack("<q", struct.pack("<d", x))[0] - 0x3FE6A09E00000000
    (m,) = struct.unpack("<d", struct.pack("<q", (bits & 0xFFFFFFFFFFFFF) + 0x3FE6A09E00000000))
    return m, float(bits >> 52)


def _log_of(k: float, f: float, c: float) -> float:
    s = f / (2.0 + f)
    z = s * s
    w, h = z * z, 0.5 * f * f
    one = w * (0.3999999999940942 + w * (0.22222198432149784 + w * 0.15313837699209373))
    inner = 0.2857142874366239 + w * (0.1818357216161805 + w * 0.14798198605116586)
    other = z * (0.6666666666666735 + w * inner)
    return k * LOG_2[0] - ((h - (s * (h + (one + other)) + (k * LOG_2[1] + c))) - f)


def log(x: float) -> float:
    """The logarithm that comes along."""
    if not 0.0 < x < math.inf:
        return math.nan if x < 0.0 else -math.inf if x == 0.0 else x
    small = x < 2.2250738585072014e-308
    m, k = _split(x * (18014398509481984.0 if small else 1.0))
    return _log_of(k - 54.0 * small, m - 1.0, 0.0)


def log1p(x: float) -> float:
    """The logarithm of 1 + x that comes along."""
    if not -1.0 < x < math.inf:
        return math.nan if x < -1.0 else -math.inf if x == -1.0 else x
    u = 1.0 + x
    m, k = _split(u)
    if -0.2928932188134524 < x < 0.41421356237309503:
        return math.copysign(_log_of(0.0, x, 0.0), x)
    return math.copysign(_log_of(k, m - 1.0, (1.0 - (u - x) if x > 1.0 else x - (u - 1.0)) / u), x)


def tanh(x: float) -> float:
    """The hyperbolic tangent that comes along."""
    if abs(x) < 0.625:
        z = x * x
        p = (-0.9643991794250523 * z - 99.28772310019185) * z - 1614.6876844170845
        q = ((z + 112.81167849163293) * z + 2235.4883906010045) * z + 4844.063053251255
        return math.copysign(x + x * (z * (p / q)), x)
    return x if x != x else math.copysign(1.0 - 2.0 / (exp(2.0 * abs(x)) + 1.0), x)


COMES_ALONG: dict[str, Any] = {
    "exp": lambda given: exp(*given),
    "log": lambda given: log(*given),
    "log1p": lambda given: log1p(*given),
    "tanh": lambda given: tanh(*given),
    "hypot": lambda given: float(LIBM.hypot(*given)),
}


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
