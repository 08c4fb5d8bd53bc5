"""Carries that stay at the constant they begin with, such as a message of 0 that no step changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd.ir.block import Instruction, Loop, Program, exact
from autograd.ir.evaluate import UNFOLDED, evaluate_one

UNKNOWN = None
KEPT = 2  # the first carries of a loop with a test: whether there is another step, and how many there were


def steady_carries(program: Program, loop: Loop, operands: Sequence[int]) -> list[int]:
    """The numbers of such carries.

    All that begin as constants are first assumed to stay constant; those that change are taken out until none changes.
    """
    given = [program.code[o] for o in loop.by_role(operands).carries]
    supposed = {k: i.data for k, i in enumerate(given) if i.op == "constant" and not (loop.test and k < KEPT)}
    while supposed:
        known = _known(loop, supposed)
        after = {k: known[loop.body.outputs[k]] for k in supposed}
        right = {k: number for k, number in supposed.items() if _same(after[k], number)}
        if len(right) == len(supposed):
            break
        supposed = right
    return list(supposed)


def _same(one: Any, other: Any) -> bool:
    return bool(exact("constant", one) == exact("constant", other))


def _known(loop: Loop, carries: dict[int, Any]) -> list[Any]:
    """The constants among the values of a step, given those of some carries."""
    known: list[Any] = []
    for op, operands, data in loop.body.code:
        if op == "constant":
            known.append(data)
        elif op == "input":
            known.append(carries.get(data - loop.first_carry, UNKNOWN))
        else:
            known.append(_result(op, [known[o] for o in operands], operands, data))
    return known


def _result(op: str, numbers: Sequence[Any], operands: tuple[int, ...], data: Any) -> Any:
    if op in ("select", "where"):
        condition, one, other = numbers
        if condition is not UNKNOWN:
            return one if condition else other
        return one if one is not UNKNOWN and _same(one, other) else UNKNOWN
    if op in UNFOLDED or any(number is UNKNOWN for number in numbers):
        return UNKNOWN
    return evaluate_one(Instruction(op, operands, data), numbers)
