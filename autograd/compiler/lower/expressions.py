"""Expressions: an operation of a program on numbers that have names, as LLVM IR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd.compiler.lower.module import Module, Writer, kind, literal
from autograd.compiler.lower.remainders import write_remainder
from autograd.compiler.lower.rounding import write_round
from autograd.ir.block import LOGIC

CODES = {"<": "olt", "<=": "ole", ">": "ogt", ">=": "oge", "==": "oeq", "!=": "une"}
ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
INTRINSICS = {
    "abs": "fabs", "rint": "roundeven", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
    "copysign": "copysign", "fma": "fma",
}  # fmt: skip  # a table
BY_NAME = (
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "atan2",
    "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "cbrt", "hypot", "pow", "erf", "erfc", "fmod", "remainder",
)  # fmt: skip  # a list of words
LIBM = {"gamma": "tgamma", "lgamma": "lgamma", **{name: name for name in BY_NAME}}
BINARY = frozenset({"atan2", "hypot", "pow", "fmod", "remainder"})


class Expressions(Writer):
    """Writes operations on numbers, each of which is in all `lanes`."""

    def __init__(self, module: Module, lanes: int) -> None:
        super().__init__()
        self.module, self.lanes = module, lanes
        self.type, self.bit = kind(lanes), kind(lanes, "i1")

    def expression(self, op: str, names: list[str], data: Any) -> str:
        """The expression of an operation on numbers and truths."""
        flags, t = self.module.machine.flags, self.type
        if op in ARITHMETIC:
            return f"{ARITHMETIC[op]} {flags}{t} {names[0]}, {names[1]}"
        if op == "neg":
            return f"fneg {flags}{t} {names[0]}"
        if op in CODES:
            return f"fcmp {CODES[op]} {t} {names[0]}, {names[1]}"
        if op == "select":
            return f"select {self.bit} {names[0]}, {t} {names[1]}, {t} {names[2]}"
        if op == "not":
            return f"xor {self.bit} {names[0]}, {literal(True, self.lanes)}"
        if op in LOGIC:
            return f"{op} {self.bit} {names[0]}, {names[1]}"
        if op == "copysign":  # the sign of a nan counts as plus
            ordered = self.temporary(f"fcmp ord {t} {names[1]}, {names[1]}")
            names[1] = self.temporary(f"select {self.bit} {ordered}, {t} {names[1]}, {t} {literal(0.0, self.lanes)}")
        if op in INTRINSICS:
            suffix = "f64" if self.lanes == 1 else f"v{self.lanes}f64"
            return self._call(f"llvm.{INTRINSICS[op]}.{suffix}", names)
        if op == "fmod":
            slowly = self._each_lane("autograd_libm.fmod", 2)
            return f"call {t} @{write_remainder(self.module, self.lanes, slowly)}({t} {names[0]}, {t} {names[1]})"
        if op in LIBM and op not in self.module.machine.from_python:
            return self._library(LIBM[op], names)
        if op == "round":
            return self._lane_by_lane(write_round(self.module), names)
        rule = data if op == "custom" else None
        symbol = self.module.custom_symbol(rule, len(names)) if rule else f"autograd_python.{op}"
        return self._lane_by_lane(symbol, names)

    def splat(self, single: str, element: str = "double") -> str:
        """A number, or a value of another type, in every lane."""
        type_ = kind(self.lanes, element)
        first = self.temporary(f"insertelement {type_} poison, {element} {single}, i64 0")
        order = f"{kind(self.lanes, 'i32')} zeroinitializer"
        return self.temporary(f"shufflevector {type_} {first}, {type_} poison, {order}")

    def as_number(self, bit: str) -> str:
        """A comparison as 1 or 0."""
        one, zero = literal(1.0, self.lanes), literal(0.0, self.lanes)
        return self.temporary(f"select {self.bit} {bit}, {self.type} {one}, {self.type} {zero}")

    def _call(self, symbol: str, names: Sequence[str]) -> str:
        if not symbol.startswith("lanes."):
            parameters = ", ".join([self.type] * len(names))
            self.module.declarations[symbol] = f"declare {self.type} @{symbol}({parameters}) nounwind memory(none)"
        return f"call {self.type} @{symbol}({', '.join(f'{self.type} {name}' for name in names)})"

    def _library(self, name: str, names: Sequence[str]) -> str:
        vector = self.module.machine.vector_math.get(name)
        if self.lanes > 1 and vector is not None:
            return self._call(vector, names)
        return self._lane_by_lane(f"autograd_libm.{name}", names)

    def _lane_by_lane(self, symbol: str, names: Sequence[str]) -> str:
        """A scalar function in every lane."""
        function = self._each_lane(symbol, len(names))
        if self.lanes == 1:
            return f"call double @{function}({', '.join(f'double {name}' for name in names)})"
        return self._call(function, names)

    def _each_lane(self, symbol: str, arity: int) -> str:
        """A function that calls a scalar one in every lane: a helper that is written once, or that one for one lane."""
        scalars = ", ".join(["double"] * arity)
        if symbol not in self.module.helpers:
            self.module.declarations[symbol] = f"declare double @{symbol}({scalars}) nounwind"
        helper = f"lanes.{symbol}"
        if self.lanes == 1:
            return symbol
        if helper not in self.module.helpers:
            arguments = ", ".join(f"{self.type} %x{i}" for i in range(arity))
            lines, last = [], "poison"
            for lane in range(self.lanes):
                for i in range(arity):
                    lines.append(f"%e{lane}.{i} = extractelement {self.type} %x{i}, i64 {lane}")
                passed = ", ".join(f"double %e{lane}.{i}" for i in range(arity))
                lines.append(f"%r{lane} = call double @{symbol}({passed})")
                lines.append(f"%y{lane} = insertelement {self.type} {last}, double %r{lane}, i64 {lane}")
                last = f"%y{lane}"
            body = "\n  ".join(lines)
            head = f"define internal {self.type} @{helper}({arguments}) nounwind"
            self.module.helpers[helper] = f"{head} {{\n  {body}\n  ret {self.type} {last}\n}}"
        return helper
