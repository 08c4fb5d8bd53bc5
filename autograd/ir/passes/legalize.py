"""Legalization: primitives without a machine instruction or library function become their formulas in the table."""

from __future__ import annotations

from typing import Any

from autograd.ir.builder import Builder, only
from autograd.ir.elements import elements_of, takes_arrays
from autograd.rules import TABLE

IN_ORDER = frozenset({"sum", "dot"})  # instructions until the order of their additions is chosen
COMPOSITE = frozenset(name for name, rule in TABLE.items() if rule.formula is not None) - IN_ORDER


def _write_out(builder: Builder, op: str, operands: tuple[int, ...]) -> int:
    if takes_arrays(builder, op, operands):
        return builder.place(TABLE[op].expand(elements_of(builder, operands)))  # type: ignore[arg-type]
    return builder.place(TABLE[op].expand([builder.wrap(o) for o in operands]))


@only(COMPOSITE)
def expand(builder: Builder, op: str, operands: tuple[int, ...], data: Any) -> int | None:
    """Replace a primitive by its formula, as a rewriter."""
    return _write_out(builder, op, operands)


@only(IN_ORDER)
def sums_in_order(builder: Builder, op: str, operands: tuple[int, ...], data: Any) -> int | None:
    """The additions of a sum from left to right, as eager code makes them."""
    return _write_out(builder, op, operands)
