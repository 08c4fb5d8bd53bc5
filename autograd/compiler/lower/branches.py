"""Selections of a step that become branches, in scalar code.

A selection waits for its condition. If the numbers that the next step is handed are selected, each step waits for the
comparison of the one before, while a processor that predicts a branch goes on. A branch that is predicted wrongly costs
about as much as the operations for which such a selection waits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from autograd.compiler.lower.expressions import ARITHMETIC, INTRINSICS, LIBM
from autograd.ir.block import LOGIC, PREDICATES, Loop, Program
from autograd.ir.rewrite import needed

LONG = 16  # cycles from what a step is handed to a condition, for which a selection waits too long
ADD, DIVIDE, CALL = 4, 13, 40  # cycles
PURE = frozenset({*ARITHMETIC, *INTRINSICS, *LIBM, *PREDICATES, *LOGIC, "neg", "select", "not"})


@dataclass
class Branch:
    """Selections with the same condition, in order; instructions before them, and those that only one side needs."""

    condition: int
    selections: list[int]
    before: list[int] = field(default_factory=list)
    sides: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))

    def members(self) -> list[int]:
        """All instructions."""
        return [*self.before, *self.sides[0], *self.sides[1], *self.selections]


def branches_of(loop: Loop) -> dict[int, Branch]:
    """The branches in a step, by the instructions where they are written."""
    body, found, taken = loop.body, {}, set[int]()
    late = _cycles(loop)
    for at, (op, operands, _) in enumerate(body.code):
        if op != "select" or at in taken or late[operands[0]] < LONG:
            continue
        selections = _alike(body, at)
        if not _goes_round(loop, operands[0], selections):
            continue
        branch = _branch(body, operands[0], selections)
        if taken.isdisjoint(branch.members()):
            taken.update(branch.members())
            found[at] = branch
    return found


def _cycles(loop: Loop) -> list[float]:
    """How long after what a step is handed each value is there; 0 for what does not depend on that."""
    carries, cycles = range(loop.first_carry, loop.first_carry + loop.carries), list[float]()
    for op, operands, data in loop.body.code:
        if op == "input":
            cycles.append(0.5 if data in carries else 0.0)
        else:
            before = max((cycles[o] for o in operands), default=0.0)
            cycles.append(before + _latency(op) if before else 0.0)
    return cycles


def _latency(op: str) -> float:
    if op in ("div", "sqrt"):
        return DIVIDE
    return CALL if op in LIBM else 1 if op in ("neg", "abs", "select", *LOGIC, "not", "pos") else ADD


def _goes_round(loop: Loop, condition: int, selections: Sequence[int]) -> bool:
    """Whether what is selected decides, by what is handed on, about the condition in a later step."""
    body = loop.body
    given = {body.code[at].data for at in needed(body.code, [condition], 0) if body.code[at].op == "input"}
    deciding = [o for k, o in enumerate(body.outputs[: loop.carries], loop.first_carry) if k in given]
    return not needed(body.code, deciding, 0).isdisjoint(selections)


def _alike(body: Program, first: int) -> list[int]:
    """A selection, and those after it with its condition that need nothing that has to wait for it."""
    condition = body.code[first].operands[0]
    waiting, selections = {first}, [first]
    for at in range(first + 1, len(body.code)):
        op, operands, _ = body.code[at]
        if op in ("input", "constant"):
            continue
        if op not in PURE or not waiting.isdisjoint(operands):
            waiting.add(at)
        elif op == "select" and operands[0] == condition:
            selections.append(at)
            waiting.add(at)
    return selections


def _branch(body: Program, condition: int, selections: list[int]) -> Branch:
    """The branch with these selections."""
    branch = Branch(condition, selections)
    for side in (0, 1):
        branch.sides[side].extend(_only_for(body, selections, side))
    inside = {*branch.sides[0], *branch.sides[1], *selections}
    used = needed(body.code, selections, 0)
    branch.before = [at for at in range(selections[0] + 1, selections[-1]) if at in used and at not in inside]
    return branch


def _only_for(body: Program, selections: Collection[int], side: int) -> list[int]:
    """Instructions whose values only this side of the selections needs."""
    code, found, inside = body.code, list[int](), set[int]()
    other = {*body.outputs, *[guard.value for guard in body.guards]}  # what something else needs
    for at in range(len(code) - 1, -1, -1):
        op, operands, _ = code[at]
        if at in selections:
            other.update((operands[0], operands[2 - side]))
            inside.add(operands[1 + side])
        elif at in inside and at not in other and op in PURE:
            found.append(at)
            inside.update(operands)
        else:
            other.update(operands)
    return found[::-1]
