"""Chains of additions, most of them of products, gathered into one `dot` instruction.

A neuron's ``b + w[0]*x[0] + w[1]*x[1] + …`` is captured as many instructions, and so is the sum of the messages that a
unit receives. Each becomes one instruction, which people can read and later passes can treat as a whole. `spread`
writes the additions out again for lowering.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

from autograd.ir.block import Instruction, Program
from autograd.ir.builder import Builder, only
from autograd.ir.elements import Elements, takes_arrays
from autograd.ir.rewrite import copy, with_bodies
from autograd.rules import TABLE

FEWEST_PRODUCTS = 2  # in a chain that becomes a `dot`
ACCUMULATORS = 4
IN_ORDER = "in order"  # the data of a `dot` that adds up from left to right


class Term(NamedTuple):
    """x, or x times y; subtracted if `minus`."""

    x: int
    y: int | None
    minus: bool


def gather(program: Program, fewest_terms: int | None = None) -> Program:
    """The program with `dot` in place of chains. They keep their order: in another one, sums may cancel differently.

    Chains with few products become one too if they have `fewest_terms` terms.
    """
    chains = _chains(program)

    def gathered(builder: Builder, at: int, instruction: Instruction, place: Mapping[int, int]) -> int:
        return _emit(builder, chains[at], place)

    def is_long(terms: Sequence[Term]) -> bool:
        products = sum(term.y is not None for term in terms)
        return products >= FEWEST_PRODUCTS or (fewest_terms is not None and len(terms) >= fewest_terms)

    long = [at for at, terms in chains.items() if is_long(terms)]
    inside = with_bodies(program, lambda body: gather(body, fewest_terms))
    return copy(inside, special=dict.fromkeys(long, gathered))


def _chains(program: Program) -> dict[int, list[Term]]:
    """The last addition of each chain, with its terms from left to right."""
    code, uses = program.code, program.uses()
    within: set[int] = set()  # additions of a chain before its last
    chains: dict[int, list[Term]] = {}

    def continues(value: int) -> bool:
        return code[value].op in ("add", "sub") and uses[value] == 1

    def term(value: int, minus: bool = False) -> Term:
        op, operands, _ = code[value]
        if op == "mul" and uses[value] == 1:
            return Term(operands[0], operands[1], minus)
        return Term(value, None, minus)

    for last in range(len(code) - 1, -1, -1):
        if code[last].op not in ("add", "sub") or last in within:
            continue
        terms: list[Term] = []
        at = last
        while True:
            within.add(at)
            op, (before, added), _ = code[at]
            if op == "add" and not continues(before):
                before, added = (added, before) if continues(added) else (before, added)
            terms.append(term(added, minus=op == "sub"))
            at = before
            if not continues(at):
                break
        chains[last] = [term(at), *reversed(terms)]
    return chains


def _emit(builder: Builder, terms: Sequence[Term], place: Mapping[int, int]) -> int:
    """A `dot` in which a term that is no product is multiplied by 1."""
    left = [builder.negated(place[x]) if minus else place[x] for x, _, minus in terms]
    right = [builder.constant(1.0) if y is None else place[y] for _, y, _ in terms]
    return builder.emit("dot", (*left, *right), IN_ORDER)


@only(("dot", "sum"))
def spread(builder: Builder, op: str, operands: tuple[int, ...], data: Any) -> int | None:
    """The additions and products of a `dot` or `sum`, as a rewriter; several accumulators where the order is free."""
    if takes_arrays(builder, op, operands):
        parts = [Elements(builder, (o,)) for o in operands]
        return builder.place((parts[0] if op == "sum" else parts[0].each(TABLE["mul"], parts[1])).total())
    half = len(operands) // 2
    terms = operands if op == "sum" else [_product(builder, x, y) for x, y in zip(operands[:half], operands[half:])]

    def total(values: Sequence[int]) -> int:
        return reduce(lambda sum_, value: builder.emit("add", (sum_, value)), values)

    if data == IN_ORDER:
        return total(terms)
    lanes = ACCUMULATORS if len(terms) >= 2 * ACCUMULATORS else 1
    first = builder.emit("add", (builder.constant(0.0), terms[0]))
    totals = [total([first if i == 0 else terms[i], *terms[i + lanes :: lanes]]) for i in range(lanes)]
    while len(totals) > 1:
        totals = [total(totals[i : i + 2]) for i in range(0, len(totals), 2)]
    return totals[0]


def _product(builder: Builder, x: int, y: int) -> int:
    """x * y; a minus comes last, so that adding the product becomes a subtraction."""
    op, operands, _ = builder.code[x]
    if op == "neg":
        return builder.emit("neg", (builder.emit("mul", (operands[0], y)),))
    return builder.emit("mul", (x, y))
