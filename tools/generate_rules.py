"""Write autograd/_c/rules.h: the table of rules.py in C, from the rows themselves called on symbols.

    python tools/generate_rules.py

The local derivatives become C expressions; the values are functions named value_ROW, of _c/functions.h or, for the
rows in FROM_PYTHON, the row's own Python function. A test proves that the committed header is current.
"""

from __future__ import annotations

import collections
import inspect
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from autograd.rules import TABLE, Rule  # noqa: E402 (the package beside this script, installed or not)
from autograd.symbols import Arithmetic  # noqa: E402

SIGNS = {"add": "+", "sub": "-", "mul": "*"}
HEADER = ROOT / "autograd" / "_c" / "rules.h"
# What C cannot say bit for bit: Python has its own gamma, lgamma, hypot and rounding to digits; SciPy has the others.
FROM_PYTHON = ("hypot", "gamma", "lgamma", "digamma", "polygamma", "round")
IN_PYTHON = ("fsum",)  # n-ary rows that C leaves to Python altogether


def code(number: Any) -> str:
    """A number as C."""
    if isinstance(number, Symbol):
        return number.text
    if math.isnan(number):
        return "NAN"
    if math.isinf(number):
        return "INFINITY" if number > 0 else "-INFINITY"
    return repr(float(number))


class Symbol(Arithmetic):
    """A C expression that does Python's arithmetic, and the C condition under which there is a derivative at all."""

    def __init__(self, text: str, selected: str = "true") -> None:
        self.text, self.selected = text, selected

    @classmethod
    def of(cls, number: Any) -> Symbol:
        """Whatever a row may return: an expression, a number, or None for an operand that is not selected."""
        if isinstance(number, Symbol):
            return number
        return cls("0.0", "false") if number is None else cls(code(number))

    @classmethod
    def apply_rule(cls, rule: Rule, operands: tuple[Any, ...]) -> Symbol:
        """A row applied to expressions."""
        texts = [code(operand) for operand in operands]
        if rule.name in SIGNS:
            return cls(f"({f' {SIGNS[rule.name]} '.join(texts)})")
        return cls(f"(-{texts[0]})" if rule.name == "neg" else f"value_{rule.name}({', '.join(texts)})")


class Condition:
    """A comparison of expressions."""

    def __init__(self, text: str) -> None:
        self.text = text

    def select(self, if_true: Any, if_false: Any) -> Symbol:
        """C's conditional expression, for the derivative and for whether there is one."""
        yes, no = Symbol.of(if_true), Symbol.of(if_false)
        same = yes.selected == no.selected
        return Symbol(
            f"({self.text} ? {yes.text} : {no.text})",
            yes.selected if same else f"({self.text} ? {yes.selected} : {no.selected})",
        )


for _name, _sign in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items():
    setattr(Symbol, f"__{_name}__", lambda a, b, sign=_sign: Condition(f"({code(a)} {sign} {code(b)})"))


def calls(text: str) -> Iterator[str]:
    """The calls of rows in an expression, outer ones first."""
    for match in re.finditer(r"value_\w+\(", text):
        end, depth = match.end(), 1
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        yield text[match.start() : end]


def statements(derivative: Symbol) -> list[str]:
    """C statements for a derivative; a call that comes up twice is made once (but in a choice it may not be due)."""
    text, lines = derivative.text, []
    if "?" not in text:
        for call, times in collections.Counter(calls(text)).items():
            if times > 1 and call in text:
                name = f"t{len(lines)}"
                lines.append(f"const double {name} = {call};")
                text = text.replace(call, name)
    return [*lines, f"*d = {text};", f"return {derivative.selected};"]


def names(rule: Rule) -> list[str]:
    """What the row calls its operands."""
    return list(inspect.signature(rule.derivatives[0]).parameters)[:-1]


def derivatives(rule: Rule) -> list[Symbol]:
    """The row's local derivatives as C."""
    operands = [Symbol(name) for name in names(rule)]
    return [Symbol.of(derivative(*operands, Symbol("y"))) for derivative in rule.derivatives]


def parameters(rule: Rule) -> str:
    """The operands as parameters of a C function."""
    return ", ".join(f"double {name}" for name in names(rule))


def value_from_python(rule: Rule) -> str:
    """The C function for a value that only Python has."""
    return (
        f"static double value_{rule.name}({parameters(rule)})\n{{\n"
        f"    const double operands[] = {{{', '.join(names(rule))}}};\n"
        f"    return from_python(RULE_{rule.name}, {rule.arity}, operands);\n}}\n"
    )


def derivative_functions(rule: Rule) -> Iterator[str]:
    """One C function for each local derivative of a row."""
    for slot, derivative in enumerate(derivatives(rule)):
        body = "\n".join(f"    {line}" for line in statements(derivative))
        yield f"static inline bool {rule.name}_d{slot}({parameters(rule)}, double y, double *d)\n{{\n{body}\n}}\n"


def may_raise(rule: Rule) -> bool:
    """Whether Python is called for the value or a derivative."""
    if rule.name in IN_PYTHON:
        return True
    texts = [f"value_{rule.name}("] if rule.arity is None else [f"value_{rule.name}(", *map(code, derivatives(rule))]
    return any(f"value_{name}(" in text for name in FROM_PYTHON for text in texts)


def row(rule: Rule) -> str:
    """The row's entry in the C table."""
    return f'    {{"{rule.name}", {-1 if rule.arity is None else rule.arity}, {str(may_raise(rule)).lower()}}},'


def case(rule: Rule) -> tuple[str, str]:
    """The row's lines in the switches for values and derivatives."""
    if rule.arity is None:
        return (
            f"    case RULE_{rule.name}: return value_{rule.name}(x, n);",
            f"    case RULE_{rule.name}: derivatives_{rule.name}(x, n, y, d, selected); return;",
        )
    operands = ", ".join(f"x[{slot}]" for slot in range(rule.arity))
    choice = f"{rule.name}_d{rule.arity - 1}({operands}, y, d)"
    for slot in reversed(range(rule.arity - 1)):
        choice = f"slot == {slot} ? {rule.name}_d{slot}({operands}, y, d) : {choice}"
    return (
        f"    case RULE_{rule.name}: return value_{rule.name}({operands});",
        f"    case RULE_{rule.name}: return {choice};",
    )


def switch(head: str, cases: list[str], otherwise: str) -> str:
    """A C function of one switch over the rows."""
    return "\n".join([head, "{", "    switch (rule) {", *cases, f"    default: {otherwise}", "    }", "}", ""])


def header() -> str:
    """The text of _c/rules.h."""
    fixed = [rule for rule in TABLE.values() if rule.arity is not None]
    many = [rule for rule in TABLE.values() if rule.arity is None and rule.name not in IN_PYTHON]
    fixed_values, fixed_derivatives = map(list, zip(*map(case, fixed)))
    many_values, many_derivatives = map(list, zip(*map(case, many)))
    return "\n".join(
        [
            "/* Generated by tools/generate_rules.py from autograd/rules.py: do not edit. */\n",
            "enum rule {",
            *(f"    RULE_{name}," for name in TABLE),
            "    RULE_COUNT\n};\n",
            "static const struct { const char *name; int arity; bool may_raise; } ROWS[RULE_COUNT] = {",
            *map(row, TABLE.values()),
            "};\n",
            *(value_from_python(TABLE[name]) for name in FROM_PYTHON),
            *(text for rule in fixed for text in derivative_functions(rule)),
            switch("static inline double value_of(int rule, const double *x)", fixed_values, "return NAN;"),
            switch(
                "static inline bool derivative_of(int rule, int slot, const double *x, double y, double *d)",
                fixed_derivatives,
                "return false;",
            ),
            switch("static double value_of_many(int rule, const double *x, Py_ssize_t n)", many_values, "return NAN;"),
            switch(
                "static void derivatives_of_many(int rule, const double *x, Py_ssize_t n, double y, double *d, "
                "bool *selected)",
                many_derivatives,
                "return;",
            ),
        ]
    )


if __name__ == "__main__":
    HEADER.write_text(header(), encoding="utf-8")
