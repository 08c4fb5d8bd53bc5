"""Independent steps that are written together, with their inner loops as one (unroll and jam).

A step of an inner loop that adds up a product in order waits for the sum before it, while there is time for the sums of
other steps of the outer loop. Each sum keeps its order.
"""

from __future__ import annotations

from typing import NamedTuple

from autograd.compiler.lower.expressions import LIBM
from autograd.compiler.lower.parallel import is_parallel
from autograd.ir.block import Loop, Program

SHORT, SHORTEST = 24, 4  # instructions of a step of either loop, at most; steps of the inner one, at least
MOST_HANDED = 2  # numbers that the inner loop hands on and adds up
TOGETHER = 4  # such numbers of all steps
CALLS = frozenset({*LIBM, "custom", "round"})


class Jam(NamedTuple):
    """The instruction that is the inner loop, and how many steps go together."""

    inner: int
    steps: int


def jam_of(loop: Loop) -> Jam | None:
    """How steps of a loop may be written together, if it gains anything."""
    inside = [at for at, i in enumerate(loop.body.code) if i.op == "loop"]
    if loop.carries or len(inside) != 1 or not _is_short(loop.body, 1):
        return None
    inner: Loop = loop.body.code[inside[0]].data
    handed = inner.carries + len(inner.kinds)
    known = isinstance(inner.extent, int) and inner.extent >= SHORTEST
    if not known or inner.accumulators or "each" in inner.kinds or not 0 < handed <= MOST_HANDED:
        return None
    if not _is_short(inner.body, 0) or not is_parallel(loop):
        return None
    return Jam(inside[0], TOGETHER // handed)


def _is_short(body: Program, inner: int) -> bool:
    ops = [op for op, _, _ in body.code]
    return len(ops) <= SHORT and ops.count("loop") == inner and CALLS.isdisjoint(ops)
