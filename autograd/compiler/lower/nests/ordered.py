"""Sums in order whose terms go in lanes: a loop that hands on nothing but such sums has independent terms.

The terms of as many steps as there are lanes are computed at once, and then added one after the other.
"""

from __future__ import annotations

from typing import NamedTuple

from autograd.compiler.lower.expressions import LIBM
from autograd.compiler.lower.nests.steps import CALL, DIVIDE
from autograd.compiler.lower.parallel import steps_are_apart
from autograd.ir.block import Loop

LONGEST = 4  # terms of a sum in a step
FEWEST = 12  # additions that computing the terms of a step costs: less is done while a sum waits for the one before


class Ordered(NamedTuple):
    """For each carry, what is added to it or subtracted, in order; the instructions that do so."""

    terms: list[list[tuple[str, int]]]
    sums: frozenset[int]


def ordered_sums(loop: Loop) -> Ordered | None:
    """The sums of such a loop."""
    if not loop.carries or loop.test or loop.backwards or any(i.op == "loop" for i in loop.body.code):
        return None
    users, uses, terms, sums = loop.body.users(), loop.body.uses(), list[list[tuple[str, int]]](), set[int]()
    given = {i.data: at for at, i in enumerate(loop.body.code) if i.op == "input"}
    for k, end in enumerate(loop.body.outputs[: loop.carries], loop.first_carry):
        chain = _chain(loop, given.get(k, end), end, users, uses)
        if chain is None:
            return None
        terms.append([(loop.body.code[at].op, term) for at, term in chain])
        sums.update(at for at, _ in chain)
    work = sum(_cost(i.op) for at, i in enumerate(loop.body.code) if at not in sums)
    return Ordered(terms, frozenset(sums)) if work >= FEWEST and steps_are_apart(loop) else None


def _chain(loop: Loop, start: int, end: int, users: list[list[int]], uses: list[int]) -> list[tuple[int, int]] | None:
    """The additions that lead from a carry to what is handed on, each with its term; nothing else uses them."""
    found: list[tuple[int, int]] = []
    at = start
    while at != end:
        if uses[at] != 1 or len(found) == LONGEST or not users[at]:
            return None
        (following,) = users[at]
        op, operands, _ = loop.body.code[following]
        if op not in ("add", "sub") or (op == "sub" and operands[0] != at):
            return None
        found.append((following, operands[1] if operands[0] == at else operands[0]))
        at = following
    return found if found and uses[end] == 1 else None


def _cost(op: str) -> float:
    if op in ("input", "constant"):
        return 0
    return CALL if op in LIBM else DIVIDE if op in ("div", "sqrt") else 1
