"""Write autograd/view/static/flow/rules.js: the table of rules.py in JavaScript, for "what if" in the viewer.

    python tools/generate_javascript.py

Local derivatives and the formulas of composite rows are made as for C, by tools/generate_rules.py. The values of other
rows are the functions of floats.js. Tests prove that the committed file is current, and that it computes what Python
does.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(Path(__file__).parent))

# The package and the script beside this one, installed or not.
import generate_rules  # noqa: E402

from autograd.ir.block import COMPARISONS  # noqa: E402
from autograd.rules import TABLE, Rule  # noqa: E402

FILE = ROOT / "autograd" / "view" / "static" / "flow" / "rules.js"
SAME = {"==": "===", "!=": "!=="}


class Formula(generate_rules.Formula):
    """A row's value or local derivative in JavaScript."""

    def text(self, value: int, named: Mapping[int, str] = generate_rules.NO_NAMES) -> str:
        """A value as JavaScript, with names for the parts that have one."""
        op, operands, data = self.code[value]
        if value in named:
            return named[value]
        if op == "input":
            return self.inputs[int(data)]
        if op == "constant":
            return constant(data)
        shown = [self.text(operand, named) for operand in operands]
        if op in COMPARISONS:
            return f"({shown[0]} {SAME.get(op, op)} {shown[1]})"
        if op in generate_rules.FORMS:
            return generate_rules.FORMS[op].format(*shown)
        return f"f.{op}({', '.join(shown)})"

    def body(self, value: int) -> list[str]:
        """Statements that return a value."""
        lines = self.statements(value, "return {};")
        return [line.replace("const double ", "const ").replace("const bool ", "const ") for line in lines]


def constant(number: float) -> str:
    """A number as JavaScript."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return repr(number)


def function(parameters: list[str], lines: list[str]) -> str:
    """An arrow function."""
    head = f"({', '.join(parameters)}) =>"
    if len(lines) == 1:
        return f"{head} {lines[0].removeprefix('return ').removesuffix(';')}"
    return "\n".join([f"{head} {{", *[f"    {line}" for line in lines], "  }"])


def value(rule: Rule) -> str:
    """The value of a composite row."""
    inputs = generate_rules.names(rule)
    formula = Formula(inputs, lambda *operands: rule.expand(operands))
    return f"  {rule.name}: {function(inputs, formula.body(formula.value))},"


def derivative_formulas(rule: Rule) -> list[Formula]:
    """The rule's local derivatives."""
    return [Formula([*generate_rules.names(rule), "y"], derivative) for derivative in rule.derivatives]


def derivatives(rule: Rule) -> str:
    """The local derivatives of a row; null where an operand is not selected."""
    made = []
    for formula in derivative_formulas(rule):
        lines = formula.body(formula.value)
        if formula.selected == "false":
            lines = ["return null;"]
        elif formula.selected != "true":
            lines = [f"if (!{formula.selected}) return null;", *lines]
        made.append(function(formula.inputs, lines))
    return f"  {rule.name}: [{', '.join(made)}],"


def branches(rule: Rule) -> str | None:
    """The comparisons that decide which formulas a row's local derivatives have; None if there are none."""
    if rule.kink is None and rule.name != "pow":
        return None
    found = []
    for formula in derivative_formulas(rule):
        parts = formula.parts(formula.value)
        found += [formula.text(part) for part in parts if formula.code[part].op in COMPARISONS]
    if not found:
        return None
    inputs = [*generate_rules.names(rule), "y"]
    return f"  {rule.name}: ({', '.join(inputs)}) => [{', '.join(dict.fromkeys(found))}],"


def module() -> str:
    """The text of rules.js."""
    fixed = [rule for rule in TABLE.values() if rule.arity is not None]
    return "\n".join(
        [
            "// Written by tools/generate_javascript.py from autograd/rules.py: do not edit.",
            "",
            'import { floats } from "./floats.js";',
            "",
            "/** The value of every primitive on numbers: that of a row with many operands takes a list. */",
            "const f = Object.assign(Object.create(null), floats, {",
            *(value(rule) for rule in fixed if rule.formula is not None),
            "});",
            "export const values = f;",
            "",
            "/** A local derivative for each operand, called with the operands and the value; null: not selected. */",
            "export const derivatives = Object.assign(Object.create(null), {",
            *(derivatives(rule) for rule in fixed),
            "});",
            "",
            "/** Comparisons in the local derivatives of rows with a kink: where they agree, so do the formulas. */",
            "export const branches = Object.assign(Object.create(null), {",
            *filter(None, (branches(rule) for rule in fixed)),
            "});",
            "",
        ]
    )


if __name__ == "__main__":
    FILE.write_text(module(), encoding="utf-8")
