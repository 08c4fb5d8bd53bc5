"""Whether a loop takes a step: then its carries no longer are what they began with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autograd.ir.block import COUNT, GOING, Guard, Instruction
from autograd.ir.builder import Builder, Predicate

NONE, ONE = Instruction("constant", (), 0.0), Instruction("constant", (), 1.0)


def conditions(code: Sequence[Instruction], guards: Iterable[Guard], start: int) -> frozenset[int]:
    """The truths on which it depends whether a number is not 0, besides guards: where one fails, no result counts."""
    held = {(guard.value, guard.expected) for guard in guards}
    found, waiting = set[int](), [start]
    while waiting:
        at = waiting.pop()
        op, operands, _ = code[at]
        if op == "select" and code[operands[2]] == NONE:
            waiting += operands[:2]
        elif op == "and":
            waiting += operands
        elif not (code[at] == ONE or (at, True) in held or (op == "not" and (operands[0], False) in held)):
            found.add(at)
    return frozenset(found)


def takes_a_step(builder: Builder, value: int) -> bool:
    """Whether a loop takes a step wherever its results count."""
    _, operands, loop = builder.code[value]
    if isinstance(loop.extent, int):
        return loop.extent > 0
    if loop.test:
        return not conditions(builder.code, builder.guards, operands[loop.shared + GOING])
    if loop.is_counted:
        op, given, data = builder.code[operands[0]]
        return op == "item" and data == COUNT and builder.code[given[0]].data.test and takes_a_step(builder, given[0])
    return False


def has_stepped(builder: Builder, value: int) -> Predicate | None:
    """The comparison that tells whether a loop has taken a step; None if it certainly does, or no one can tell."""
    steps = None if takes_a_step(builder, value) else builder.steps_of(value)
    return None if steps is None else builder.predicate(builder.emit(">", (steps, builder.constant(0.0))))
