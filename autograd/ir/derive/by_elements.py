"""Derivatives by the elements of an array that is the operand of a primitive: loops, as the primitive itself."""

from __future__ import annotations

from math import isfinite
from typing import Any

from autograd.ir.builder import Builder, Predicate, Selected, Symbol, times
from autograd.ir.derive.presence import is_there, where_there
from autograd.ir.elements import Elements, Halves, elements_of
from autograd.rules import TABLE


def derivatives_by_elements(builder: Builder, value: int) -> list[Elements]:
    """∂value/∂element for the elements of each operand of such a primitive."""
    op, operands, _ = builder.code[value]
    found = TABLE[op].derivatives[0](elements_of(builder, operands), Symbol(builder, value))
    return [found.first, found.second] if isinstance(found, Halves) else [found]


def messages(derivative: Elements, adjoint: int, presence: Predicate | None, guessed: bool) -> tuple[int, bool]:
    """The adjoint of a number times its derivatives by the elements of an array; whether some may be missing.

    The adjoint is there under its `presence`; where that is `guessed`, it is that the adjoint is not 0.
    """
    builder = derivative.builder
    around, missing = Symbol(builder, adjoint), presence is not None
    there = None if presence is None else Symbol(builder, builder.place(presence))

    def message(local: Any) -> Any:
        nonlocal missing
        sent = times(around, local)
        missing = missing or isinstance(local, Selected)
        if there is None or (isinstance(local, float) and isfinite(local)):
            return sent
        here = is_there(sent.builder, sent.builder.place(there))
        return where_there(sent.builder, here, sent) if guessed else here.select(sent, 0.0)

    found = derivative.each(message).array()
    return found, missing


def change(derivative: Elements, tangent: int) -> tuple[Symbol, bool]:
    """What the tangents of the elements of an array add up to; whether all may be missing."""
    builder = derivative.builder
    gaps = missing = tangent in builder.gaps

    def one(local: Any, tangent: Symbol) -> Any:
        nonlocal missing
        missing = missing or isinstance(local, Selected)
        sent = times(tangent, local)
        if gaps and not (isinstance(local, float) and isfinite(local)):
            sent = where_there(tangent.builder, is_there(tangent.builder, tangent.index), sent)
        return sent

    total = derivative.each(one, Elements(builder, (tangent,))).of(TABLE["sum"])
    return total, missing
