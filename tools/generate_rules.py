"""Write autograd/_c/rules.h: the table of rules.py in C, made by calling its rows on symbols.

    python tools/generate_rules.py

The local derivatives and the formulas of composite rows become C. The values of other rows are functions named
value_ROW: those of _c/functions.h or, for the rows in FROM_PYTHON, the row's own Python function. A test proves that
the committed header is current.
"""

from __future__ import annotations

import collections
import inspect
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from autograd.rules import TABLE, Rule  # noqa: E402 (the package beside this script, installed or not)
from autograd.symbols import Arithmetic  # noqa: E402

HEADER = ROOT / "autograd" / "_c" / "rules.h"
# C lacks the bits of these: Python has its own gamma, lgamma, hypot and round; digamma and polygamma are SciPy's.
FROM_PYTHON = ("hypot", "gamma", "lgamma", "digamma", "polygamma", "round")
IN_PYTHON = ("fsum",)  # n-ary rows that C leaves to Python
SIGNS = {"add": "+", "sub": "-", "mul": "*"}
COMPARISONS = {
    "__lt__": "({} < {})", "__le__": "({} <= {})", "__gt__": "({} > {})", "__ge__": "({} >= {})",
    "__eq__": "({} == {})", "__ne__": "({} != {})",
}  # fmt: skip  # a table
CHOICE = "({} ? {} : {})"
NO_NAMES: Mapping[Any, str] = {}


def code(number: float) -> str:
    """A number as C."""
    if math.isnan(number):
        return "NAN"
    if math.isinf(number):
        return "INFINITY" if number > 0 else "-INFINITY"
    return repr(float(number))


class Symbol(Arithmetic):
    """A C expression that does Python's arithmetic: a form such as ``({} + {})`` and the symbols in it.

    Equal expressions are one object. `selected` is the C condition under which there is a derivative at all.
    """

    known: ClassVar[dict[tuple[Any, ...], Symbol]] = {}
    form: str
    operands: tuple[Symbol, ...]
    selected: str

    def __new__(cls, form: str, *operands: Symbol, selected: str = "true") -> Symbol:
        """The symbol of this form, new or known."""
        key = (form, *map(id, operands), selected)
        if key not in cls.known:
            cls.known[key] = symbol = super().__new__(cls)
            symbol.form, symbol.operands, symbol.selected = form, operands, selected
        return cls.known[key]

    @classmethod
    def of(cls, number: Any) -> Symbol:
        """A symbol of what a row may return: an expression, a number, or None for an operand that is not selected."""
        if isinstance(number, Symbol):
            return number
        return cls("0.0", selected="false") if number is None else cls(code(number))

    @classmethod
    def apply_rule(cls, rule: Rule, operands: tuple[Any, ...]) -> Symbol:
        """A row applied to expressions."""
        places = ", ".join("{}" for _ in operands)
        form = "(-{})" if rule.name == "neg" else f"value_{rule.name}({places})"
        if rule.name in SIGNS:
            form = f"({{}} {SIGNS[rule.name]} {{}})"
        return cls(form, *map(cls.of, operands))

    def text(self, names: Mapping[Symbol, str] = NO_NAMES) -> str:
        """The expression as C, with names for the parts that have one."""
        return names.get(self) or self.form.format(*[operand.text(names) for operand in self.operands])

    def parts(self, names: Mapping[Symbol, str]) -> Iterator[Symbol]:
        """The expression and all within it, operands first, except for what has a name already."""
        if self not in names:
            for operand in self.operands:
                yield from operand.parts(names)
            yield self

    __hash__ = object.__hash__


class Condition:
    """A comparison of expressions."""

    def __init__(self, comparison: Symbol) -> None:
        self.comparison = comparison

    def select(self, if_true: Any, if_false: Any) -> Symbol:
        """C's conditional expression, for the derivative and for whether there is one."""
        yes, no, condition = Symbol.of(if_true), Symbol.of(if_false), self.comparison.text()
        selected = yes.selected if yes.selected == no.selected else f"({condition} ? {yes.selected} : {no.selected})"
        return Symbol(CHOICE, self.comparison, yes, no, selected=selected)


for _method, _form in COMPARISONS.items():
    setattr(Symbol, _method, lambda a, b, form=_form: Condition(Symbol(form, Symbol.of(a), Symbol.of(b))))


def repeated(symbol: Symbol, names: Mapping[Symbol, str]) -> set[Symbol]:
    """The parts without a name that come up more than once in an expression."""
    counts: collections.Counter[Symbol] = collections.Counter()
    for part in set(symbol.parts(names)):
        counts.update(part.operands)
    return {part for part, count in counts.items() if count > 1 and part.operands and part not in names}


def statements(symbol: Symbol, result: str, known: Mapping[Symbol, str] = NO_NAMES) -> list[str]:
    """C statements that end in `result` with the expression; a part that comes up twice is computed once.

    A choice with such parts in one of its sides becomes an ``if``, so that only the side that is taken computes them.
    """
    named, lines = dict(known), []

    def name_parts(of: Symbol) -> None:
        found = repeated(symbol, named)
        for part in dict.fromkeys(of.parts(named)):
            if part in found:
                kind, name = "bool" if part.form in COMPARISONS.values() else "double", f"t{len(named)}"
                lines.append(f"const {kind} {name} = {part.text(named)};")
                named[part] = name

    if symbol.form == CHOICE:
        condition, *sides = symbol.operands
        name_parts(condition)
        if any(repeated(side, named) for side in sides):
            yes, no = [[f"    {line}" for line in statements(side, result, named)] for side in sides]
            test = condition.text(named)
            return [*lines, f"if {test} {{" if test[0] == "(" else f"if ({test}) {{", *yes, "} else {", *no, "}"]
    name_parts(symbol)
    return [*lines, result.format(symbol.text(named))]


def names(rule: Rule) -> list[str]:
    """The rule's names for its operands."""
    return list(inspect.signature(rule.derivatives[0]).parameters)[:-1]


def value(rule: Rule) -> Symbol:
    """The value of a composite row as C."""
    return Symbol.of(rule.expand(list(map(Symbol, names(rule)))))


def derivatives(rule: Rule) -> list[Symbol]:
    """The rule's local derivatives as C."""
    operands = [Symbol(name) for name in names(rule)]
    return [Symbol.of(derivative(*operands, Symbol("y"))) for derivative in rule.derivatives]


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


def composite_value(rule: Rule) -> str:
    """The C function for a value that is a formula."""
    head = f"static inline double value_{rule.name}({parameters(rule)})"
    return function(head, statements(value(rule), "return {};"))


def derivative_functions(rule: Rule) -> Iterator[str]:
    """One C function for each local derivative of a rule."""
    for slot, derivative in enumerate(derivatives(rule)):
        yield function(
            f"static inline bool {rule.name}_d{slot}({parameters(rule)}, double y, double *d)",
            [*statements(derivative, "*d = {};"), f"return {derivative.selected};"],
        )


def may_raise(rule: Rule) -> bool:
    """Whether the value or a derivative calls Python."""
    if rule.name in IN_PYTHON:
        return True
    texts = [f"value_{rule.name}("]
    if rule.arity is not None:
        texts += [symbol.text() for symbol in derivatives(rule) + ([value(rule)] if rule.formula else [])]
    return any(f"value_{name}(" in text for name in FROM_PYTHON for text in texts)


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
