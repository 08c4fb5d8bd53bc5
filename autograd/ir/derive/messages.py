"""What sweeps over a program share: what depends on what, and local derivatives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from autograd.ir.block import PREDICATES, Instruction
from autograd.ir.builder import Builder, Rewriter, Selected
from autograd.ir.rewriters import fold_constants, identities, known_elements, number_values
from autograd.rules import TABLE, Rule

WITHOUT_DERIVATIVE = frozenset({"input", "constant", "stop", "table", "zeros", *PREDICATES})
FRESH = ("pos",)  # an input of a derivative: it is not merged with what it is equal to


def differentiable(op: str, operands: Sequence[int]) -> Sequence[int]:
    """The operands that messages go to."""
    if op == "select":
        return operands[1:]
    if op == "read":
        return operands[:1]
    return operands[:2] if op == "add_at" else operands


def depends_on(builder: Builder, wanted: Iterable[int], end: int) -> set[int]:
    """The values before `end` that depend on one of those wanted through differentiable operations.

    Nothing before the first of those wanted is looked at, so gradients inside a long program cost what they add to it.
    """
    active = set(wanted)
    return depending(builder.code, active, range(min(active, default=end), end))


def depending(code: Sequence[Instruction], wanted: Iterable[int], among: Iterable[int]) -> set[int]:
    """The wanted values, and the values `among` some that depend on them through differentiable operations."""
    active = set(wanted)
    for value in among:
        op, operands, _ = code[value]
        if op not in WITHOUT_DERIVATIVE and not active.isdisjoint(differentiable(op, operands)):
            active.add(value)
    return active


def local_derivatives(builder: Builder, value: int, wanted: Sequence[bool]) -> Sequence[Any]:
    """∂value/∂operand for every operand wanted, as symbols and floats, from the table."""
    op, operands, data = builder.code[value]
    if op == "select":
        condition = builder.predicate(operands[0])
        return None, Selected(condition, 1.0, None), Selected(condition, None, 1.0)
    rule: Rule = data if op == "custom" else TABLE[op]
    symbol = builder.symbol if op != "custom" else builder.wrap
    return rule.local_derivatives([symbol(o) for o in operands], symbol(value), wanted)


def mapped_rewriters() -> Sequence[Rewriter]:
    """The rewriters of a program during differentiation; they leave its `FRESH` instructions alone."""
    return [fold_constants, identities, known_elements, number_values]
