"""Forward mode as a pass: tangents of a program's values, appended to it."""

from __future__ import annotations

import functools
from collections.abc import Container, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

from autograd.ir.block import Array, Instruction, Loop
from autograd.ir.builder import Builder, Predicate, Symbol, times
from autograd.ir.derive.by_elements import change, derivatives_by_elements
from autograd.ir.derive.derived_loop import Body, active_inputs, name_finished, with_finished
from autograd.ir.derive.messages import depends_on, differentiable, local_derivatives
from autograd.ir.derive.presence import both, either, is_there, marked, part, presence_of, where_there
from autograd.ir.elements import takes_arrays
from autograd.ir.first_step import has_stepped, takes_a_step
from autograd.ir.memory import follow, last_states, roots
from autograd.ir.rewrite import needed


def forward(
    builder: Builder,
    seeds: Mapping[int, int],
    wanted: Iterable[int] | None = None,
    finished: Mapping[int, Sequence[int]] | None = None,
) -> dict[int, int]:
    """One forward sweep: appends the tangents of all values that depend on the seeds and returns their numbers.

    Parameters
    ----------
    builder : Builder
        The program so far.
    seeds : mapping
        Value → its tangent.
    wanted : iterable of int, optional
        Only what these values depend on has tangents.
    finished : mapping, optional
        State of an array → the finished arrays that are read in its place: they have its tangent.
    """
    tangents = dict(seeds)
    there: dict[int, Predicate] = {}
    active = depends_on(builder, seeds, len(builder.code)) - seeds.keys()
    if wanted is not None:
        active &= needed(builder.code, wanted, min(seeds, default=0))
    name_finished(builder, active)
    states = dict(finished or {})
    if states:
        follow(builder.code, states)
    last = {array: end for array, end in last_states(roots(builder.code, active)).items() if array not in states}
    for value in sorted(active):
        tangent = tangent_of(builder, value, tangents, there, States(states, last))
        if tangent is not None:
            tangents[value] = tangent
            tangents.update(dict.fromkeys(states.get(value, ()), tangent))
    return tangents


class States(NamedTuple):
    """Of arrays that steps read and add to: which finished arrays are read in place of one, and its last state."""

    finished: Mapping[int, Sequence[int]]
    last: Mapping[int, int]


def tangent_of(
    builder: Builder, value: int, tangents: Mapping[int, int], there: dict[int, Predicate], states: States
) -> int | None:
    """The tangent of a value, given those of its operands; None if it has none.

    Where a tangent may be missing, `there` has the comparison that tells when it is there, if the program has one.
    """
    op, operands, _ = builder.code[value]
    if op == "loop":
        return _tangent_loop(builder, value, tangents, states)
    if op == "item":
        return _tangent_item(builder, value, tangents, there)
    if op in ("read", "pack", "add_at") or (op == "pos" and isinstance(builder.type_of(value), Array)):
        return _tangent_array(builder, builder.code[value], tangents)
    if takes_arrays(builder, op, operands):
        return _tangent_of_many(builder, value, tangents)
    return _tangent_of_number(builder, value, tangents, there)


def _tangent_item(builder: Builder, value: int, tangents: Mapping[int, int], there: dict[int, Predicate]) -> int | None:
    """The tangent of a result of a loop."""
    _, (loop,), data = builder.code[value]
    results, gaps = builder.tangent_items[loop], builder.tangent_gaps[loop]
    if data not in results:
        return None
    found = builder.emit("item", (tangents[loop],), results[data])
    if data in gaps:
        builder.gaps.add(found)
        stepped = has_stepped(builder, tangents[loop]) if gaps[data] else None
        if stepped is not None:
            there[value] = stepped
    return found


def _tangent_of_number(
    builder: Builder, value: int, tangents: Mapping[int, int], there: dict[int, Predicate]
) -> int | None:
    """The tangent of a primitive of numbers: the sum of the operands' tangents times the local derivatives."""
    operands = builder.code[value].operands
    derivatives = local_derivatives(builder, value, [o in tangents for o in operands])
    terms = [
        (o, derivative) for o, derivative in zip(operands, derivatives) if derivative is not None and o in tangents
    ]
    total: Any = None
    presences: list[Predicate | None] = []  # of the terms that may be missing; None: not known
    for operand, derivative in terms:
        tangent = tangents[operand]
        change = times(Symbol(builder, tangent), derivative)
        missing, present = tangent in builder.gaps, there.get(operand)
        if missing and not (isinstance(derivative, float) and isfinite(derivative)):
            if present is None:
                change = where_there(builder, is_there(builder, tangent), change)
            else:
                change = present.select(change, 0.0)
        selected = presence_of(derivative)
        if missing or selected is not None:
            presences.append(None if missing and present is None else both(present, selected))
        total = change if total is None else total + change
    if total is None:
        return None
    partial = len(presences) == len(terms)
    if partial and None not in presences:
        present = functools.reduce(either, presences)
        partial = present is not None
        if present is not None:
            there[value] = present
    return marked(builder, builder.place(total), partial)


def _tangent_of_many(builder: Builder, value: int, tangents: Mapping[int, int]) -> int | None:
    """The tangent of a primitive whose operands are the elements of arrays."""
    total: Any = None
    partial = True
    for operand, derivative in zip(builder.code[value].operands, derivatives_by_elements(builder, value)):
        if operand not in tangents:
            continue
        added, missing = change(derivative, tangents[operand])
        partial = partial and missing
        total = added if total is None else total + added
    return None if total is None else marked(builder, builder.place(total), partial)


def _tangent_array(builder: Builder, instruction: Instruction, tangents: Mapping[int, int]) -> int | None:
    """The tangent of what reads an array or makes one."""
    op, operands, data = instruction
    if not any(o in tangents for o in differentiable(op, operands)):
        return None  # a result of a loop that has no tangent, though others have one
    if op == "pos":
        return tangents[operands[0]]
    if op == "read":
        found = builder.emit("read", (tangents[operands[0]], *operands[1:]), data)
        if builder.number(found) == 0.0:
            return None  # 0 times infinity is no tangent
        return part(builder, found, tangents[operands[0]])
    if op == "pack":
        zero = builder.constant(0.0)
        places = tuple([tangents.get(o, zero) for o in operands])
        partial = any(o not in tangents or tangents[o] in builder.gaps for o in operands)
        return marked(builder, builder.emit("pack", places, data), partial)
    kind = builder.type_of(operands[0])
    assert isinstance(kind, Array)
    array = tangents[operands[0]] if operands[0] in tangents else builder.emit("zeros", (), kind.shape)
    if operands[1] not in tangents:
        return array
    found = builder.emit("add_at", (array, tangents[operands[1]], *operands[2:]), data)
    return marked(builder, found, operands[0] not in tangents or array in builder.gaps)


def _tangent_loop(builder: Builder, value: int, tangents: Mapping[int, int], states: States) -> int:
    """The loop that computes a loop's results and their tangents."""
    given, loop, found = with_finished(builder, value, states.last)
    first = loop.first_carry
    read_in = {loop.shared - len(found) + k: first + number for k, number in enumerate(found, 1)}
    for k in range(loop.carries, loop.handed):
        for array in states.finished.get(given[loop.shared + k], ()):
            read_in.update({number: first + k for number, o in enumerate(given[: loop.shared], 1) if o == array})
    return _with_tangents(builder, value, _Copied(loop, given, read_in, states.last), tangents)


class _Copied(NamedTuple):
    """A loop, its operands, and its inputs that are finished arrays: which accumulator each belongs to.

    `last` has the last states of arrays.
    """

    loop: Loop
    operands: tuple[int, ...]
    read_in: Mapping[int, int]
    last: Mapping[int, int]


def _with_tangents(builder: Builder, value: int, copied: _Copied, tangents: Mapping[int, int]) -> int:
    loop, operands, read_in, _ = copied
    active = active_inputs(loop, [o in tangents for o in operands])
    while not (more := {k for k, number in read_in.items() if number in active}) <= active:
        active = active_inputs(loop, [k in active or k in more for k in range(1, len(operands) + 1)])
    partial = {k for k in active if (o := operands[k - 1]) not in tangents or tangents[o] in builder.gaps}
    absent = {k for k in active if operands[k - 1] not in tangents}
    handed = [(k, loop.first_carry + k) for k in range(loop.handed) if loop.first_carry + k in active]
    while True:  # until it is known which tangents of carries may be missing: in some step, or in one after it
        body, found = _tangent_body(builder, copied, tangents, active, partial)
        after = [(k, found.get(body.output(number))) for number, k in handed]
        more = {k for k, tangent in after if tangent is None or tangent in body.inner.gaps} - partial
        if not more:
            return _emit_tangents(builder, value, body, found, dict(handed), partial, absent)
        partial |= more


def _tangent_body(
    builder: Builder, copied: _Copied, tangents: Mapping[int, int], active: Container[int], partial: Container[int]
) -> tuple[Body, dict[int, int]]:
    """A copy of a loop's body, and the tangents in it; those of some of its inputs may be missing."""
    loop, operands, read_in, last = copied
    body = Body(builder, loop, loop.backwards, operands[0] if loop.is_counted else None, loop.test)
    made, inner = body.made, body.inner
    ends = loop.first_carry, loop.first_carry + loop.carries, loop.first_element
    seeds: dict[int, int] = {}

    def seed(k: int, tangent: int) -> None:
        seeds[body.inputs[k]] = marked(inner, tangent, k in partial)

    def start(k: int) -> int:
        """The tangent of an operand, or zeros."""
        if operands[k - 1] in tangents:
            return tangents[operands[k - 1]]
        kind = loop.body.inputs[k]
        return builder.emit("zeros", (), kind.shape) if isinstance(kind, Array) else builder.constant(0.0)

    for k in range(1, ends[0]):
        body.inputs.append(made.shared(last.get(operands[k - 1], operands[k - 1])))
        if k in active and k not in read_in:
            seed(k, made.shared(tangents[operands[k - 1]]))
    roles = [(made.carry, range(*ends[:2])), (made.accumulator, range(*ends[1:]))]
    body.inputs += [made.carry(operands[k - 1]) for k in range(*ends[:2])]
    for k in range(*ends[1:]):  # what the primal adds up is not computed twice: its accumulator is taken over
        body.inputs.append(inner.emit("zeros", (), loop.body.inputs[k].shape))  # type: ignore[union-attr]
    for add, numbers in roles:
        for k in numbers:
            if k in active:
                seed(k, add(start(k)))
    for k in range(ends[2], len(loop.body.inputs)):
        body.inputs.append(made.element(operands[k - 1]))
        if k in active:
            seed(k, made.element(tangents[operands[k - 1]]))
    body.copy()
    finished: dict[int, list[int]] = {}
    for k, number in read_in.items():
        if number in active:
            seed(k, seeds[body.inputs[number]])
            finished.setdefault(body.inputs[number], []).append(body.inputs[k])
    with inner.watched():
        return body, forward(inner, seeds, finished=finished)


def _emit_tangents(
    builder: Builder,
    value: int,
    body: Body,
    found: Mapping[int, int],
    active: Mapping[int, int],
    partial: Container[int],
    absent: Container[int],
) -> int:
    """Emit the loop of the results and their tangents; `active` has the input of each carry that has a tangent.

    Those that are `absent` at first have one after a step.
    """
    loop, inner = body.loop, body.inner
    none = inner.constant(0.0)
    kept = [body.output(k) for k in range(loop.carries)]
    handed = kept + [found.get(body.output(k), none) for k in active]
    outs = [(body.output(k), kind) for k, kind in enumerate(loop.kinds, loop.handed)]
    places = {k: loop.carries + position for position, k in enumerate(active)}
    certain = takes_a_step(builder, value)  # then only what a step leaves out is missing
    after = {k: found.get(body.output(k)) for k in active}
    left_out = {k for k, tangent in after.items() if tangent is None or tangent in inner.gaps}
    missing = [k for k, number in active.items() if number in partial and not (certain and k not in left_out)]
    gaps = {k: k not in left_out and body.loop.first_carry + k in absent for k in missing}
    for k, kind in enumerate(loop.kinds, loop.handed):
        if body.output(k) in found:
            places[k] = len(handed) + len(outs)
            outs.append((found[body.output(k)], kind))
            if found[body.output(k)] in inner.gaps:
                gaps[k] = False
    builder.tangent_items[value], builder.tangent_gaps[value] = places, gaps
    return body.made.finish(handed, outs, None if loop.accumulators else loop)
