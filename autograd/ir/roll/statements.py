"""Flat code as statements that can be rolled: what they have in common, and the numbers in which they differ.

The C build has the common work of this module and of `roll` in one function; this is its definition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from autograd.ir.block import COMPARISONS, LOGIC, Guard, Instruction
from autograd.ir.elements import MANY
from autograd.ir.rewrite import needed
from autograd.ir.roll.ranges import side_by_side
from autograd.ir.roll.recognition import LONGEST, PAIRS, SHIFT, Body, Rolled, Vector, roll
from autograd.native import extension
from autograd.rules import TABLE

ROLLABLE = frozenset({*TABLE, "select", "custom", "stop", *COMPARISONS, *LOGIC}) - {"pos"}
EXACT = frozenset({"pow"})  # operations whose constants are part of their kind: x**2 is no x**y
# Where an operand comes from: from the code that is rolled, or else
POSITION, CONSTANT, ELEMENT, INPUT, VALUE = "position", "constant", "element", "input", "value"


class Kind(NamedTuple):
    """What the instances of a statement have in common.

    Attributes
    ----------
    op, data : str, object
        The operation.
    operands : tuple of (where, what)
        Where each operand comes from, and what does not change from instance to instance.
    line : str or None
        The line of the guard, if it is one.
    """

    op: str
    data: Any
    operands: tuple[tuple[str, Any], ...]
    line: str | None


class Statements(NamedTuple):
    """Code, rolled.

    Attributes
    ----------
    code : list of int
        The instructions that are rolled, in order.
    kinds : list of Kind
        The leaves of `rolled`. Their vectors have one number for each operand: the position of the instruction that
        computes it, its offset in an array, the number of an input, or 0.
    elements : dict
        What is read from outside: where and what → number → value.
    rolled : Rolled
        The loops.
    read : list of (int, tuple of int)
        The statements before loops were found among them, each as its kind and its vector; empty without ordinals.
    """

    code: list[int]
    kinds: list[Kind]
    elements: dict[tuple[str, Any], dict[int, int]]
    rolled: Rolled
    read: list[tuple[int, Vector]]


def rollable(code: Sequence[Instruction], first: int, wanted: Sequence[int]) -> list[int] | None:
    """The code from `first` on that computes some values; None if a part of it cannot be rolled."""
    inside: dict[int, None] = {}
    for at in sorted(needed(code, wanted, first)):
        if at < first:
            continue
        op, operands, _ = code[at]
        if op in ROLLABLE:
            inside[at] = None
        elif not inside.keys().isdisjoint(operands):
            return None
    return list(inside)


def kept_by_comparisons(
    code: Sequence[Instruction], first: int, end: int, guards: Mapping[int, Guard]
) -> Sequence[Instruction]:
    """The code in which what the comparisons of `max` and `min` keep is their selection, not the number that it was.

    Which of some numbers is the largest differs from step to step, so it has no place that is affine in a counter. A
    selection has the same place in each step, and the same value while the guards hold.
    """
    chosen = [at for at in range(first, end) if code[at][0] == "select" and code[at][1][0] in guards] if guards else []
    if not chosen:
        return code
    changed: dict[int, Instruction] = {}
    kept: dict[int, int] = {}  # number → the last selection that it came out of
    apart = kept.keys().isdisjoint
    for at in range(chosen[0], end):
        op, operands, data = code[at]
        if not apart(operands):
            changed[at] = Instruction(op, tuple([kept.get(o, o) for o in operands]), data)
        if op == "select" and operands[0] in guards:
            condition, yes, no = operands
            if code[condition].operands == (yes, no) and code[yes].op == code[no].op == "stop":
                kept[yes if guards[condition].expected else no] = at
    if not changed:
        return code
    new = list(code)
    for at, instruction in changed.items():
        new[at] = instruction
    return new


def find_loops(
    code: Sequence[Instruction],
    first: int,
    wanted: Sequence[int],
    lines: Mapping[int, str],
    fewest: int,
    ordinals: bool = False,
) -> Statements | None:
    """The loops in the code that computes some values.

    Parameters
    ----------
    code : sequence of Instruction
        A program.
    first : int
        Where the code begins that may be rolled.
    wanted : sequence of int
        The values, among them the comparisons that are guards.
    lines : mapping
        Their lines.
    fewest : int
        Of fewer instructions the answer is None, as it is if there is one that cannot be rolled.
    ordinals : bool
        Whether the number of an operand that is rolled is that of its kind, shifted, and how many of this kind came
        before it, instead of its position: where loops within differ in length, only these are evenly apart.
    """
    positions = rollable(code, first, wanted)
    if positions is None or len(positions) < fewest:
        return None
    position = {value: k for k, value in enumerate(positions)}
    kinds: list[Kind] = []
    known: dict[Kind, int] = {}
    shapes: list[int] = []
    vectors: list[tuple[int, ...]] = []
    elements: dict[tuple[str, Any], dict[int, int]] = {}
    places: dict[int, tuple[str, Any, int]] = {}
    numbered: dict[int, int] = {}
    counts: list[int] = []
    for value in positions:
        op, operands, data = code[value]
        sources: list[tuple[str, Any]] = []
        numbers: list[int] = []
        many = side_by_side(code, value, [position.get(o, -1) for o in operands]) if op in MANY else None
        if many is not None:
            sources, numbers = list(many[0]), list(many[1])
        for o in operands if many is None else ():
            if o in position:
                sources.append((POSITION, None))
                numbers.append(numbered[o] if ordinals else position[o])
                continue
            if o not in places:
                where, what, number = places[o] = outside(code, o)
                if where in (ELEMENT, INPUT):
                    elements.setdefault((where, what), {})[number] = o
            where, what, number = places[o]
            sources.append((where, o if where == CONSTANT and op in EXACT else what))
            numbers.append(number)
        kind = Kind(op, data, tuple(sources), lines.get(value))
        shapes.append(known.setdefault(kind, len(kinds)))
        if shapes[-1] == len(kinds):
            kinds.append(kind)
            counts.append(0)
        numbered[value] = shapes[-1] << SHIFT | counts[shapes[-1]]
        counts[shapes[-1]] += 1
        vectors.append(tuple(numbers))
    read = [*zip(shapes, vectors)] if ordinals else []
    return Statements(positions, kinds, elements, roll(shapes, vectors), read)


def outside(code: Sequence[Instruction], value: int) -> tuple[str, Any, int]:
    """Where a value comes from that is not rolled, and its number there."""
    op, operands, data = code[value]
    if op == "constant":
        return CONSTANT, value if isinstance(data, bool) else None, 0
    if op == "read" and len(operands) == 1 and not data.shape:
        return ELEMENT, operands[0], data.offset
    if op == "input":
        return INPUT, None, data
    if op == "pos":
        return INPUT, op, value
    return VALUE, value, 0


def _find_loops_in_c(
    code: Sequence[Instruction],
    first: int,
    wanted: Sequence[int],
    lines: Mapping[int, str],
    fewest: int,
    ordinals: bool = False,
) -> Statements | None:
    found = extension.find_loops(
        code, first, wanted, lines, fewest, LONGEST, PAIRS, ROLLABLE, EXACT, MANY, side_by_side, ordinals
    )
    if found is None:
        return None
    positions, kinds, elements, shapes, vectors, bodies, read = found
    kinds = [Kind(*kind) for kind in kinds]
    return Statements(positions, kinds, elements, Rolled(shapes, vectors, [Body(*body) for body in bodies]), read)


find_loops_fast = find_loops if extension is None else _find_loops_in_c
