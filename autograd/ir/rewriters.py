"""Rewriters: what an instruction becomes when it is emitted. Each is right for every IEEE number.

The only one that may change a last digit is `small_powers` (``x*x`` is nearer to the truth than ``pow(x, 2)``); where a
program is to have eager's bits (`accurate`), it is not used.
"""

from __future__ import annotations

import math
from typing import Any

from autograd.ir.block import PREDICATES, Array, Instruction, exact, whole
from autograd.ir.builder import Builder, only
from autograd.ir.evaluate import UNFOLDED, evaluate_one

UNSHARED = frozenset({"zeros", "add_at", "loop"})  # each has, or changes, an array of its own
COMMUTATIVE = frozenset({"add", "mul", "and", "or", "==", "!="})


def fold_constants(builder: Builder, op: str, operands: tuple[int, ...], data: Any) -> int | None:
    """An operation on constants is a constant."""
    if op in UNFOLDED:
        return None
    for o in operands:
        if builder.code[o].op != "constant":
            return None
    result = evaluate_one(Instruction(op, operands, data), [builder.code[o].data for o in operands])
    return builder.truth_constant(result) if op in PREDICATES else builder.constant(result)


def ordered(op: str, operands: tuple[int, ...]) -> tuple[int, ...]:
    """The operands as a key has them: those of a commutative operation in order."""
    return operands[::-1] if op in COMMUTATIVE and operands[0] > operands[1] else operands


def number_values(builder: Builder, op: str, operands: tuple[int, ...], data: Any) -> int | None:
    """The same operation on the same operands is the same value (common subexpressions)."""
    if op == "constant":
        return builder.truth_constant(data) if isinstance(data, bool) else builder.constant(data)
    if op in UNSHARED:
        return None
    new = len(builder.code)  # where the instruction is about to go
    found = builder.known.setdefault((op, ordered(op, operands), exact(op, data) if op == "table" else data), new)
    return None if found == new else found


def _negated(builder: Builder, value: int) -> int | None:
    """x if the value is -x."""
    op, operands, _ = builder.code[value]
    return operands[0] if op == "neg" else None


def _is(builder: Builder, value: int, number: float) -> bool:
    constant = builder.number(value)
    return constant == number and (number != 0.0 or math.copysign(1.0, constant) == math.copysign(1.0, number))


def _add(builder: Builder, a: int, b: int) -> int | None:
    kinds = builder.code[a].op, builder.code[b].op
    if "constant" in kinds:
        if _is(builder, a, -0.0):
            return b
        if _is(builder, b, -0.0):
            return a
    if "neg" in kinds:
        if (y := _negated(builder, b)) is not None:
            return builder.emit("sub", (a, y))
        if (x := _negated(builder, a)) is not None:
            return builder.emit("sub", (b, x))
    return None


def _sub(builder: Builder, a: int, b: int) -> int | None:
    if _is(builder, b, 0.0):
        return a
    if (y := _negated(builder, b)) is not None:
        return builder.emit("add", (a, y))
    return None


def _mul(builder: Builder, a: int, b: int) -> int | None:
    kinds = builder.code[a].op, builder.code[b].op
    if "constant" in kinds:
        for other, factor in ((a, b), (b, a)):
            if _is(builder, factor, 1.0):
                return other
            if _is(builder, factor, -1.0):
                return builder.emit("neg", (other,))
    if kinds == ("neg", "neg"):
        return builder.emit("mul", (builder.code[a].operands[0], builder.code[b].operands[0]))
    return None


def _div(builder: Builder, a: int, b: int) -> int | None:
    divisor = builder.number(b)
    if divisor is None or divisor == 0.0 or not math.isfinite(divisor):
        return None
    if abs(math.frexp(divisor)[0]) == 0.5 and 2.0**-1000 < abs(divisor) < 2.0**1000:  # a power of two
        return builder.emit("mul", (a, builder.constant(1.0 / divisor)))
    return None


def _select(builder: Builder, condition: int, a: int, b: int) -> int | None:
    op, operands, data = builder.code[condition]
    if op == "constant":
        return a if data else b
    if a == b:
        return a
    if op == "not":
        return builder.emit("select", (operands[0], b, a))
    return None


def _not_equal(builder: Builder, a: int, b: int) -> int | None:
    """The comparison that a number was made of is found again: (p ? 1 : 0) != 0 is p."""
    op, operands, _ = builder.code[a]
    if op == "select" and _is(builder, operands[1], 1.0) and _is(builder, operands[2], 0.0):
        return operands[0] if builder.number(b) == 0.0 else None
    return None


def _and(builder: Builder, a: int, b: int) -> int | None:
    for known, other in ((a, b), (b, a)):
        op, _, data = builder.code[known]
        if op == "constant":
            return other if data else known
    return a if a == b else None


def _or(builder: Builder, a: int, b: int) -> int | None:
    for known, other in ((a, b), (b, a)):
        op, _, data = builder.code[known]
        if op == "constant":
            return known if data else other
    return a if a == b else None


def _not(builder: Builder, a: int) -> int | None:
    op, operands, data = builder.code[a]
    if op == "constant":
        return builder.truth_constant(not data)
    return operands[0] if op == "not" else None


@only(("read",))
def known_elements(builder: Builder, op: str, operands: tuple[int, ...], data: Any) -> int | None:
    """An element of an array that is packed or constant, and a part of a part."""
    array, *indices = operands
    made, given, inner = builder.code[array]
    if indices:
        return None
    if made == "pack" and not data.shape:
        element: int = given[data.offset]
        return element
    if made == "table" and not data.shape:
        return builder.constant(inner[1][data.offset])
    if not data.shape:
        return None
    kind = builder.type_of(array)
    return array if isinstance(kind, Array) and data == whole(kind) else None


def _abs(builder: Builder, a: int) -> int | None:
    """|-x| is |x|: so the exponential of a sigmoid is that of its derivative."""
    op, operands, _ = builder.code[a]
    if op == "neg":
        return builder.emit("abs", operands)
    return a if op == "abs" else None


# `may_be_rewritten` in _c/capture.h says when those of the table's rows may have an answer: keep both in step.
IDENTITIES: dict[str, Any] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": lambda builder, a: _negated(builder, a),
    "pos": lambda builder, a: a,
    "abs": _abs,
    "select": _select,
    "!=": _not_equal,
    "and": _and,
    "or": _or,
    "not": _not,
}


@only(IDENTITIES)
def identities(builder: Builder, op: str, operands: tuple[int, ...], data: Any) -> int | None:
    """Algebra that is exact in IEEE arithmetic, zeros' signs included."""
    found: int | None = IDENTITIES[op](builder, *operands)
    return found


@only(("abs",))
def size_of_difference(builder: Builder, op: str, operands: tuple[int, ...], data: Any) -> int | None:
    """|b - a| is |a - b| if that difference is there, as in the derivatives of `logaddexp`."""
    made, given, _ = builder.code[operands[0]]
    other = builder.known.get((made, given[::-1], None), operands[0]) if made == "sub" else operands[0]
    return builder.emit("abs", (other,)) if other < operands[0] else None


@only(("pow",))
def exact_powers(builder: Builder, op: str, operands: tuple[int, ...], data: Any) -> int | None:
    """Powers that equal libm's `pow` to the last bit for every x."""
    exponent = builder.number(operands[1])
    return builder.constant(1.0) if exponent == 0.0 else operands[0] if exponent == 1.0 else None


@only(("pow",))
def small_powers(builder: Builder, op: str, operands: tuple[int, ...], data: Any) -> int | None:
    """A power with a small whole exponent is a product: same infinities and zeros as `pow`, maybe another last bit."""
    exponent, x = builder.number(operands[1]), operands[0]
    if exponent not in (-1.0, 2.0, 3.0, 4.0):
        return None
    if exponent == -1.0:
        return builder.emit("div", (builder.constant(1.0), x))
    square = builder.emit("mul", (x, x))
    if exponent == 2.0:
        return square
    return builder.emit("mul", (square, x if exponent == 3.0 else square))


@only(("stop",))
def drop_stops(builder: Builder, op: str, operands: tuple[int, ...], data: Any) -> int | None:
    """After the last differentiation, a value whose gradient is cut is just the value."""
    return operands[0]
