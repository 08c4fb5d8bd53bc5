"""Messages that may be missing: when one is sent, and what is added up where it is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from autograd.ir.block import Instruction
from autograd.ir.builder import Builder, Predicate, Selected
from autograd.ir.rewrite import occurrences


def is_there(builder: Builder, derivative: int) -> Predicate:
    """Whether a derivative is not 0."""
    return builder.predicate(builder.emit("!=", (derivative, builder.constant(0.0))))


def where_there(builder: Builder, presence: Predicate, sent: Any) -> Any:
    """What is sent, given a presence that may be false of what is there but 0: only 0 times infinity is left out."""
    value = builder.place(sent)
    is_number = builder.predicate(builder.emit("==", (value, value)))
    return presence.with_("or", is_number).select(sent, 0.0)


def presence_of(derivative: Any) -> Predicate | None:
    """When a derivative sends a message; None for always."""
    if not isinstance(derivative, Selected):
        return None
    condition, yes, no = derivative.condition, derivative.if_true, derivative.if_false
    if yes is None:
        return both(condition.negated(), presence_of(no))
    if no is None:
        return both(condition, presence_of(yes))
    when_true, when_false = both(condition, presence_of(yes)), both(condition.negated(), presence_of(no))
    assert when_true is not None
    assert when_false is not None
    return when_true.with_("or", when_false)


def both(one: Predicate | None, other: Predicate | None) -> Predicate | None:
    """The comparison that both come out true; None for always."""
    if one is None or other is None:
        return other if one is None else one
    return one.with_("and", other)


FEW_TERMS = 8  # of an "or" that are looked at


def either(one: Predicate | None, other: Predicate | None) -> Predicate | None:
    """The comparison that one of two comes out true; None for always."""
    if one is None or other is None:
        return None
    builder = one.builder
    first, second = (_terms(builder.code, "or", p.index) for p in (one, other))
    terms = first | second
    if any(op == "not" and operands[0] in terms for op, operands, _ in map(builder.code.__getitem__, terms)):
        return None
    needed = {term for term in terms if terms.isdisjoint(_terms(builder.code, "and", term) - {term})}
    if needed <= first or needed <= second:
        return one if needed <= first else other
    return one.with_("or", other)


def _terms(code: Sequence[Instruction], op: str, truth: int) -> set[int]:
    """The truths of which this one is made by ``and`` or ``or``, if they are few; else itself."""
    found, waiting = set[int](), [truth]
    while waiting and len(found) + len(waiting) <= FEW_TERMS:
        at = waiting.pop()
        if code[at].op == op:
            waiting += code[at].operands
        else:
            found.add(at)
    return {truth} if waiting else found


def marked(builder: Builder, derivative: int, partial: bool) -> int:
    """A derivative, which may be 0 because no message arrived."""
    if partial and builder.code[derivative].op != "constant":
        builder.gaps.add(derivative)
    return derivative


def part(builder: Builder, found: int, array: int) -> int:
    """A part of a derivative, which has gaps if it was read from an array with gaps."""
    return marked(builder, found, array in builder.gaps and builder.code[found].op == "read")


def added(builder: Builder, one: int, other: int) -> int:
    """The sum of two messages; it may be missing if both may be."""
    total = builder.emit("add", (one, other))
    if one in builder.gaps and other in builder.gaps:
        builder.gaps.add(total)
    return total


_ZERO_IF: dict[str, Callable[[Sequence[bool]], bool]] = {  # given which operands are 0
    "mul": any,
    "neg": all,
    "add": all,
    "sub": all,
    "div": lambda zeros: zeros[0],
    "select": lambda zeros: zeros[1] and zeros[2],
}


def _is_zero(instruction: Instruction) -> bool:
    return instruction.op == "constant" and instruction.data == 0.0


def zero_if_missing(code: Sequence[Instruction], among: range) -> set[int]:
    """Derivatives in a block that are 0 where they may be missing: those that `where_there` looks at, and multiples.

    What a multiple of one sends to its other factor may be missing too, in the next derivative.
    """
    found: set[int] = set()
    seen: set[int] = set()  # conditions are made of one another, in many ways
    selections = [at for at in occurrences(code, "select", among.start) if at in among]
    for condition, value, otherwise in [code[at].operands for at in selections]:
        terms = code[condition].operands if code[condition].op == "or" else ()
        is_number = any(code[term].op == "==" and code[term].operands == (value, value) for term in terms)
        if not is_number or not _is_zero(code[otherwise]):
            continue
        stack = list(terms)
        while stack:
            op, operands, _ = code[term := stack.pop()]
            if term in seen:
                continue
            seen.add(term)
            if op in ("and", "or"):
                stack += operands
            elif op == "!=" and code[operands[1]].op == "constant":
                found.add(operands[0])
    for at in range(min(found, default=among.stop), among.stop):
        op, operands, _ = code[at]
        zeros = [o in found or _is_zero(code[o]) for o in operands] if op in _ZERO_IF else []
        if not found.isdisjoint(operands) and zeros and _ZERO_IF[op](zeros):
            found.add(at)
    return found
