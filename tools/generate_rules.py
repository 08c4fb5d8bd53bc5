"""Write autograd/_c/rules.h: the table of rules.py in C, made by calling its rows on the symbols of a program.

    python tools/generate_rules.py

The local derivatives and the formulas of composite rows become C. The values of other rows are functions named
value_ROW: those of _c/functions.h or, for the rows in FROM_PYTHON, the row's own Python function. A test proves that
the committed header is current.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

# The package beside this script, installed or not.
from autograd.ir.block import COMPARISONS, PREDICATES  # noqa: E402
from autograd.ir.builder import Builder, Selected  # noqa: E402
from autograd.ir.rewriters import number_values  # noqa: E402
from autograd.rules import TABLE, Rule  # noqa: E402

HEADER = ROOT / "autograd" / "_c" / "rules.h"
# C lacks the bits of these: Python has its own gamma, lgamma, hypot and round; digamma and polygamma are SciPy's.
FROM_PYTHON = ("hypot", "gamma", "lgamma", "digamma", "polygamma", "round")
MANY_FROM_PYTHON = ("fsum",)  # of any number of operands: nor of these
IN_PYTHON = ("take",)  # n-ary rows that C leaves to Python
FORMS = {
    "add": "({} + {})", "sub": "({} - {})", "mul": "({} * {})", "neg": "(-{})",
    "select": "({} ? {} : {})", "and": "({} && {})", "or": "({} || {})", "not": "(!{})",
    **{sign: f"({{}} {sign} {{}})" for sign in COMPARISONS},
}  # fmt: skip  # a table; every other operation is a function in C
NO_NAMES: Mapping[int, str] = {}


def constant(number: float) -> str:
    """A number as C."""
    if math.isnan(number):
        return "NAN"
    if math.isinf(number):
        return "INFINITY" if number > 0 else "-INFINITY"
    return repr(number)


class Formula:
    """A row's value or local derivative as a program, and what it is in C.

    Parameters
    ----------
    inputs : list of str
        What the inputs of the program are called in C.
    formula : callable
        Takes a symbol for each input. It returns a symbol or a number; for a derivative also None, which means that
        the operand is not selected.
    """

    def __init__(self, inputs: list[str], formula: Callable[..., Any]) -> None:
        builder = Builder([number_values])
        result = formula(*[builder.wrap(builder.input()) for _ in inputs])
        self.value = builder.place(_number(result))
        self.code, self.inputs = builder.code, inputs
        self.selected = self._selected(result)

    def _selected(self, derivative: Any) -> str:
        """The C condition under which there is a derivative at all."""
        if not isinstance(derivative, Selected):
            return "false" if derivative is None else "true"
        sides = [self._selected(side) for side in (derivative.if_true, derivative.if_false)]
        return FORMS["select"].format(self.text(derivative.condition.index), *sides)

    def text(self, value: int, named: Mapping[int, str] = NO_NAMES) -> str:
        """A value as C, with names for the parts that have one."""
        op, operands, data = self.code[value]
        if value in named:
            return named[value]
        if op == "input":
            return self.inputs[int(data)]
        if op == "constant":
            return constant(data)
        shown = [self.text(operand, named) for operand in operands]
        return FORMS[op].format(*shown) if op in FORMS else f"value_{op}({', '.join(shown)})"

    def parts(self, value: int, named: Mapping[int, str] = NO_NAMES) -> list[int]:
        """The value and all that it is computed from, in order, except for what has a name already."""
        found = {value}
        for part in range(value, -1, -1):
            if part in found and part not in named:
                found.update(self.code[part].operands)
        return sorted(found - named.keys())

    def repeated(self, value: int, named: Mapping[int, str]) -> set[int]:
        """The computed parts without a name that come up more than once in a value."""
        counts = Counter([operand for part in self.parts(value, named) for operand in self.code[part].operands])
        return {part for part, count in counts.items() if count > 1 and self.code[part].operands} - named.keys()

    def statements(self, value: int, form: str, known: Mapping[int, str] = NO_NAMES) -> list[str]:
        """C statements that end in `form` with a value; a part that comes up twice is computed once.

        A select with such parts in one of its sides becomes an ``if``, so that only the side that is taken computes
        them.
        """
        named, lines = dict(known), []

        def name_parts(of: int) -> None:
            repeated = self.repeated(value, named)
            for part in [part for part in self.parts(of, named) if part in repeated]:
                kind, name = "bool" if self.code[part].op in PREDICATES else "double", f"t{len(named)}"
                lines.append(f"const {kind} {name} = {self.text(part, named)};")
                named[part] = name

        op, operands, _ = self.code[value]
        if op == "select":
            condition, *sides = operands
            name_parts(condition)
            if any(self.repeated(side, named) for side in sides):
                yes, no = [[f"    {line}" for line in self.statements(side, form, named)] for side in sides]
                test = self.text(condition, named)
                return [*lines, f"if {test} {{" if test[0] == "(" else f"if ({test}) {{", *yes, "} else {", *no, "}"]
        name_parts(value)
        return [*lines, form.format(self.text(value, named))]


def _number(derivative: Any) -> Any:
    """A local derivative as a number: 0 where there is none."""
    if isinstance(derivative, Selected):
        return derivative.condition.select(_number(derivative.if_true), _number(derivative.if_false))
    return 0.0 if derivative is None else derivative


def names(rule: Rule) -> list[str]:
    """The rule's names for its operands."""
    return list(inspect.signature(rule.derivatives[0]).parameters)[:-1]


def value(rule: Rule) -> Formula:
    """The value of a composite row."""
    return Formula(names(rule), lambda *operands: rule.expand(operands))


def derivatives(rule: Rule) -> list[Formula]:
    """The rule's local derivatives."""
    return [Formula([*names(rule), "y"], derivative) for derivative in rule.derivatives]


def parameters(rule: Rule) -> str:
    """The operands as parameters of a C function."""
    return ", ".join(f"double {name}" for name in names(rule))


def function(head: str, body: list[str]) -> str:
    """A C function."""
    return "\n".join([head, "{", *[f"    {line}" for line in body], "}", ""])


def value_from_python(rule: Rule) -> str:
    """The C function for a value that only Python has."""
    return function(
        f"static double value_{rule.name}({parameters(rule)})",
        [
            f"const double operands[] = {{{', '.join(names(rule))}}};",
            f"return from_python(RULE_{rule.name}, {rule.arity}, operands);",
        ],
    )


def value_of_many_from_python(rule: Rule) -> str:
    """The C function for a value of any number of operands that only Python has."""
    head = f"static double value_{rule.name}(const double *x, Py_ssize_t n)"
    return function(head, [f"return many_from_python(RULE_{rule.name}, x, n);"])


def composite_value(rule: Rule) -> str:
    """The C function for a value that is a formula."""
    head = f"static inline double value_{rule.name}({parameters(rule)})"
    formula = value(rule)
    return function(head, formula.statements(formula.value, "return {};"))


def derivative_functions(rule: Rule) -> Iterator[str]:
    """One C function for each local derivative of a rule."""
    for slot, derivative in enumerate(derivatives(rule)):
        yield function(
            f"static inline bool {rule.name}_d{slot}({parameters(rule)}, double y, double *d)",
            [*derivative.statements(derivative.value, "*d = {};"), f"return {derivative.selected};"],
        )


def may_raise(rule: Rule) -> bool:
    """Whether the value or a derivative calls Python."""
    formulas = [] if rule.arity is None else [*derivatives(rule), *([value(rule)] if rule.formula else [])]
    used = {rule.name, *[formula.code[part].op for formula in formulas for part in formula.parts(formula.value)]}
    return not used.isdisjoint((*FROM_PYTHON, *MANY_FROM_PYTHON, *IN_PYTHON))


def row(rule: Rule) -> str:
    """The rule's entry in the C table."""
    return f'    {{"{rule.name}", {-1 if rule.arity is None else rule.arity}, {str(may_raise(rule)).lower()}}},'


def case(rule: Rule) -> tuple[str, str]:
    """The rule's lines in the switches for values and derivatives."""
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
    """A C function with one switch over the rules."""
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
            *(value_of_many_from_python(TABLE[name]) for name in MANY_FROM_PYTHON),
            *(composite_value(rule) for rule in fixed if rule.formula is not None),
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
