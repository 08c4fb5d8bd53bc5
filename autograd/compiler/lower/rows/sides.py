"""Sides of branches in the rows of a map: what only rows on one side need is left out where no lane is there.

A selection needs one of its operands only where its condition holds, the other only where it does not. What nothing
else needs is computed under that condition: in a block of its own, which is skipped if the condition holds in no lane.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from autograd.compiler.lower.branches import PURE
from autograd.compiler.lower.expressions import LIBM
from autograd.ir.block import Program

LEAST = 48  # operations that a skipped block must save; with fewer, a branch costs about as much
CALL, DIVIDE = 16, 8  # operations that a call of the library, and a division or a root, take as long as


class Literal(NamedTuple):
    """A condition and its outcome."""

    condition: int
    outcome: bool


Path = tuple[Literal, ...]  # from the outermost to the innermost
ALWAYS: Path = ()


def paths(program: Program, kept: Collection[int]) -> list[Path]:
    """Under which conditions each value is needed; those that are `kept` are needed in any case."""
    code = program.code
    found: list[Path | None] = [None] * len(code)
    for value in [*kept, *program.outputs, *[guard.value for guard in program.guards]]:
        found[value] = ALWAYS
    for at in range(len(code) - 1, -1, -1):
        op, operands, _ = code[at]
        if op not in PURE:
            found[at] = ALWAYS
        mine = found[at] or ALWAYS
        for o, path in zip(operands, _needs(op, operands, mine)):
            before = found[o]
            found[o] = path if before is None else _common(before, path)
    return [path or ALWAYS for path in found]


def _needs(op: str, operands: Sequence[int], path: Path) -> Iterator[Path]:
    """Where an operation that is needed on a path needs each operand."""
    if op == "select":
        condition = operands[0]
        yield path
        yield (*path, Literal(condition, True))
        yield (*path, Literal(condition, False))
    elif op in ("and", "or") and operands[0] < operands[1]:
        yield path
        yield (*path, Literal(operands[0], op == "and"))
    else:
        yield from [path] * len(operands)


def _common(one: Path, other: Path) -> Path:
    """What two paths begin with."""
    k = 0
    while k < min(len(one), len(other)) and one[k] == other[k]:
        k += 1
    return one[:k]


def cost(program: Program, values: Collection[int]) -> int:
    """How long values take to compute, in operations."""
    ops = [program.code[value].op for value in values]
    return sum([CALL if op in LIBM else DIVIDE if op in ("div", "sqrt") else 1 for op in ops])
