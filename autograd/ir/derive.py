"""Differentiation as a pass: sweeps over a program that append their own instructions to it.

Local derivatives come from the rows of the table, applied to symbols; there is no second table. The result is
a program like any other, so a higher derivative is the same pass once more.

A branch that was not selected sends no message. In a program both branches are computed, so an adjoint that came
through a selection carries its `presence`: the comparison under which there is a message at all. Where it is
false the message is 0, whatever the local derivatives upstream of it are.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import pairwise
from math import isfinite
from typing import Any

from autograd.ir.block import PREDICATES, Map, Program, with_inputs
from autograd.ir.builder import Builder, Predicate, Rewriter, Selected, Symbol, times
from autograd.modes import caller
from autograd.rules import TABLE, Rule

WITHOUT_DERIVATIVE = frozenset({"input", "constant", "stop", *PREDICATES})
FRESH = ("pos",)  # an input of a derivative: it is not merged with what it is equal to
Adjoint = tuple[int, "Predicate | None"]  # a value, and when it is there (None: always)


class UnrollError(NotImplementedError):
    """A map cannot be one loop: the message says why, and whoever captures it runs its rows one after another."""


def depends_on(builder: Builder, wanted: Iterable[int], end: int) -> set[int]:
    """The values before `end` that depend on one of those wanted through differentiable operations.

    Nothing before the first of those wanted is looked at, so gradients inside a long program cost what they add to it.
    """
    active = set(wanted)
    for value in range(min(active, default=end), end):
        op, operands, _ = builder.code[value]
        if op not in WITHOUT_DERIVATIVE and not active.isdisjoint(operands[1:] if op == "select" else operands):
            active.add(value)
    return active


def local_derivatives(builder: Builder, value: int, wanted: Sequence[bool]) -> Sequence[Any]:
    """∂value/∂operand for every operand wanted, as symbols and floats, from the row of the table."""
    op, operands, data = builder.code[value]
    if op == "select":
        condition = Predicate(builder, operands[0])
        return None, Selected(condition, 1.0, None), Selected(condition, None, 1.0)
    rule: Rule = data if op == "custom" else TABLE[op]
    symbol = builder.symbol if op != "custom" else builder.wrap
    return rule.local_derivatives([symbol(o) for o in operands], symbol(value), wanted)


def reverse(builder: Builder, seeds: Mapping[int, int], wanted: Iterable[int]) -> dict[int, int]:
    """One reverse sweep: appends the adjoints of the `wanted` values and tells where they are.

    Parameters
    ----------
    builder : Builder
        The program so far.
    seeds : mapping
        Output → the value that its adjoint starts with.
    wanted : iterable of int
        Where the sweep ends. Values without a message are missing from the result.
    """
    targets = set(wanted)
    end = max(seeds, default=-1) + 1
    active = depends_on(builder, targets, end)
    adjoints: dict[int, Adjoint] = {y: (seed, None) for y, seed in seeds.items()}
    results: dict[int, dict[int, int]] = {}  # of each map: item → adjoint
    for value in range(end - 1, min(targets, default=end) - 1, -1):
        if value in targets:
            continue
        if value in results:
            _map_messages(builder, value, results[value], active, adjoints)
        elif value in adjoints and value in active:
            op, operands, data = builder.code[value]
            if op == "item":
                results.setdefault(operands[0], {})[data] = adjoints[value][0]
            else:
                _messages(builder, value, active, adjoints)
    return {x: adjoints[x][0] for x in targets if x in adjoints}


def _messages(builder: Builder, value: int, active: Container[int], adjoints: dict[int, Adjoint]) -> None:
    operands = builder.code[value].operands
    adjoint, presence = adjoints[value]
    derivatives = local_derivatives(builder, value, [o in active for o in operands])
    for operand, derivative in zip(operands, derivatives):
        if derivative is None or operand not in active:
            continue
        sent = times(Symbol(builder, adjoint), derivative)
        present = presence
        if presence is not None and not (isinstance(derivative, float) and isfinite(derivative)):
            sent = presence.select(sent, 0.0)
        if isinstance(derivative, Selected):
            present = _both(presence, _presence(derivative))
        _receive(builder, adjoints, operand, builder.place(sent), present)


def _presence(derivative: Any) -> Predicate | None:
    """When a derivative sends a message: None for always."""
    if not isinstance(derivative, Selected):
        return None
    condition, yes, no = derivative.condition, derivative.if_true, derivative.if_false
    if yes is None:
        return _both(condition.negated(), _presence(no))
    if no is None:
        return _both(condition, _presence(yes))
    when_true, when_false = _both(condition, _presence(yes)), _both(condition.negated(), _presence(no))
    assert when_true is not None
    assert when_false is not None
    return when_true.with_("or", when_false)


def _both(one: Predicate | None, other: Predicate | None) -> Predicate | None:
    if one is None or other is None:
        return other if one is None else one
    return one.with_("and", other)


def _receive(
    builder: Builder, adjoints: dict[int, Adjoint], operand: int, message: int, present: Predicate | None
) -> None:
    if operand not in adjoints:
        adjoints[operand] = message, present
        return
    total, before = adjoints[operand]
    either = None if before is None or present is None else before.with_("or", present)
    adjoints[operand] = builder.emit("add", (total, message)), either


def _map_messages(
    builder: Builder, value: int, seeds: dict[int, int], active: Container[int], adjoints: dict[int, Adjoint]
) -> None:
    """The adjoint of a map is a map: of the body's adjoint over the same rows.

    What is shared by the rows receives the sum of their messages, what belongs to a row that row's message.
    """
    _, operands, mapped = builder.code[value]
    wanted = [o in active for o in operands[: mapped.shared]]
    wanted += [
        any(o in active for o in operands[mapped.shared + column :: mapped.columns]) for column in range(mapped.columns)
    ]
    starts = mapped.positions()
    reached = [any(i in seeds for i in range(*ends)) for ends in pairwise(starts)]
    zero = builder.constant(0.0)
    seeded = sorted([k for k, seed in enumerate(reached) if seed], key=lambda k: not mapped.reduced[k])
    first = [seeds.get(starts[k], zero) for k in seeded]
    together = sum(mapped.reduced[k] for k in seeded)
    inner = builder.inner(mapped, first[:together], first[together:])
    body, order = _adjoint_body(inner, mapped, seeded, wanted)
    shared = [*operands[: mapped.shared], *first[:together], *[outer for outer, _ in inner.lifted_inputs]]
    rows: list[int] = []
    for row in range(mapped.rows or 0):
        start = mapped.shared + row * mapped.columns
        rows += operands[start : start + mapped.columns]
        rows += [seeds.get(starts[k] + row, zero) for k in seeded if not mapped.reduced[k]]
    if mapped.rows is None and together < len(seeded):
        raise ValueError("a map over arrays of the call has no adjoints of single rows")
    kinds = (*mapped.reduced, *[i < mapped.shared for i, want in enumerate(wanted) if want])
    new = Map(body, len(shared), kinds, mapped.rows, mapped.widths, mapped.results, mapped)
    builder.keep_sample(new, inner, order)
    sweep = builder.emit("map", (*shared, *rows), new)
    items = iter(new.positions()[len(mapped.reduced) :])
    for i, want in enumerate(wanted):
        if not want:
            continue
        item = next(items)
        if i < mapped.shared:
            message = builder.emit("item", (sweep,), item)
            _receive(builder, adjoints, operands[i], message, None)
        else:
            for row in range(mapped.rows or 0):
                operand = operands[mapped.shared + row * mapped.columns + i - mapped.shared]
                if operand in active:
                    message = builder.emit("item", (sweep,), item + row)
                    _receive(builder, adjoints, operand, message, None)


def _adjoint_body(
    builder: Builder, mapped: Map, seeded: Sequence[int], wanted: Sequence[bool]
) -> tuple[Program, list[int]]:
    """The body with its outputs and, after them, the adjoints of the inputs wanted.

    Its shared inputs are the old ones, the seeds of reduced outputs and what the derivatives themselves use of the
    program around; then follow the old columns and the seeds of the other outputs. Those used by the derivatives are
    numbered last while the sweep goes on: the second result has those numbers in their order at the end.
    """
    together = sum(mapped.reduced[k] for k in seeded)
    inputs: dict[int, int] = {}
    for i, (op, operands, data) in enumerate(mapped.body.code):
        if op == "input":
            data = data if data < mapped.shared else data + together
            inputs[data] = i
        builder.code.append(mapped.body.code[i]._replace(data=data))
        if op == "constant":
            builder.constants[data if isinstance(data, bool) else data.hex()] = i
        else:
            builder.known.setdefault((op, operands, data), i)
    total = mapped.body.inputs + len(seeded)
    seeds: dict[int, int] = {}
    for position, k in enumerate(seeded):
        number = (mapped.shared if mapped.reduced[k] else mapped.body.inputs) + position
        seed = builder.emit("input", (), number)
        output = mapped.body.outputs[k]
        seeds[output] = builder.emit("add", (seeds[output], seed)) if output in seeds else seed
    targets: list[int] = []
    for i, want in enumerate(wanted):
        if want:
            number = i if i < mapped.shared else i + together
            targets.append(inputs[number] if number in inputs else builder.emit("input", (), number))
    with builder.watched():
        found = reverse(builder, seeds, targets)
    zero = builder.constant(0.0)
    outputs = [*mapped.body.outputs, *[found.get(x, zero) for x in targets]]
    shared = range(mapped.shared + together)
    order = [*shared, *[number for _, number in builder.lifted_inputs], *range(len(shared), total)]
    guards = [*mapped.body.guards, *builder.guards]
    return Program(with_inputs(builder.code, order), outputs, len(order), guards), order


def mapped_rewriters() -> Sequence[Rewriter]:
    """What a program in the middle of differentiation is rewritten by, but for its `FRESH` instructions."""
    from autograd.ir.simplify import fold_constants, identities, number_values

    return [fold_constants, identities, number_values]


def forward(builder: Builder, seeds: Mapping[int, int]) -> dict[int, int]:
    """One forward sweep: appends the tangents of all values that depend on the seeds and tells where they are.

    Raises
    ------
    UnrollError
        If a seed flows into a map.
    """
    tangents = dict(seeds)
    for value in sorted(depends_on(builder, seeds, len(builder.code)) - seeds.keys()):
        op, operands, _ = builder.code[value]
        if op in ("map", "item"):
            raise UnrollError(f"the forward sweep at {caller(source=True)}")
        total: Any = None
        derivatives = local_derivatives(builder, value, [o in tangents for o in operands])
        for operand, derivative in zip(operands, derivatives):
            if derivative is not None and operand in tangents:
                change = times(Symbol(builder, tangents[operand]), derivative)
                total = change if total is None else total + change
        if total is not None:
            tangents[value] = builder.place(total)
    return tangents
