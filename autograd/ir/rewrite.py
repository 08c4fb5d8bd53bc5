"""Copies of programs: every pass that keeps the structure of a program is a copy with some changes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from autograd.ir.block import COUNT, GOING, Array, Guard, Instruction, Loop, Program, Window, exact, types_of
from autograd.ir.builder import Builder, Rewriter, new_tuple
from autograd.ir.memory import arrays_written, continued
from autograd.native import fast

Special = Callable[[Builder, int, Instruction, Mapping[int, int]], int]


def copy(
    program: Program,
    rewriters: Sequence[Rewriter] = (),
    special: Mapping[int, Special] | None = None,
    inputs: Mapping[int, float] | None = None,
) -> Program:
    """Write a program anew.

    Parameters
    ----------
    program : Program
        What is copied.
    rewriters : sequence of Rewriter
        Look at every instruction that is emitted.
    special : mapping, optional
        For some instructions, by their numbers, what is done with them: a function that takes the builder, the number
        of the instruction, the instruction on its new operands, and where all values before it are. It answers with
        the number of the value that stands for it.
    inputs : mapping, optional
        Inputs that become constants.
    """
    builder = Builder(rewriters)
    constants, special = inputs or {}, special or {}
    kept = [k for k in range(len(program.inputs)) if k not in constants]
    renumbered = {old: new for new, old in enumerate(kept)}
    builder.inputs = [program.inputs[k] for k in kept]
    place: dict[int, int] = {}
    for at, (op, operands, data) in enumerate(program.code):
        if op == "constant":
            place[at] = builder.truth_constant(data) if isinstance(data, bool) else builder.constant(data)
            continue
        if op == "input":
            place[at] = (
                builder.constant(constants[data]) if data in constants else builder.emit("input", (), renumbered[data])
            )
            continue
        operands = tuple([place[o] for o in operands])
        if at in special:
            place[at] = special[at](builder, at, Instruction(op, operands, data), place)
        else:
            place[at] = builder.emit(op, operands, data)
    guards = [Guard(place[g.value], g.expected, g.line) for g in program.guards]
    return Program(builder.code, [place[o] for o in program.outputs], tuple(builder.inputs), guards)


def reordered(program: Program, order: Iterable[int]) -> Program:
    """Some of the instructions, or all in another order; several passes end with this, so it does without a builder."""
    place: dict[int, int] = {}
    code: list[Instruction] = []
    for at in order:
        op, operands, data = instruction = program.code[at]
        place[at] = len(code)
        new = (op, tuple([place[o] for o in operands]), data)
        code.append(new_tuple(Instruction, new) if operands else instruction)
    guards = [Guard(place[g.value], g.expected, g.line) for g in program.guards]
    return Program(code, [place[o] for o in program.outputs], program.inputs, guards)


def with_bodies(program: Program, change: Callable[[Program], Program]) -> Program:
    """The same program with something done to the bodies of its loops, once to a body that several of them share."""
    bodies = {id(i.data.body): i.data.body for i in program.code if i.op == "loop"}
    if not bodies:
        return program
    changed = {one: change(body) for one, body in bodies.items()}
    code = [
        Instruction(op, operands, replace(data, body=changed[id(data.body)])) if op == "loop" else i
        for i in program.code
        for op, operands, data in [i]
    ]
    return Program(code, program.outputs, program.inputs, program.guards)


def with_shared_bodies(program: Program, known: dict[Any, Program] | None = None) -> Program:
    """The same program in which equal bodies of loops are one object, so that passes need to look at it only once."""
    known = {} if known is None else known
    code, kinds = list(program.code), []
    for at, (op, operands, data) in enumerate(code):
        if op == "loop":
            loop = replace(data, body=with_shared_bodies(data.body, known), primal=None)
            code[at] = Instruction(op, operands, loop)
            data = tuple([id(part) if name == "body" else part for name, part in _fields(loop)])
        kinds.append((op, operands, exact(op, data)))
    new = Program(code, program.outputs, program.inputs, program.guards)
    return known.setdefault((tuple(kinds), tuple(new.outputs), new.inputs, tuple(new.guards)), new)


FIELDS = tuple([field.name for field in fields(Loop) if field.init])


def _fields(loop: Loop) -> list[tuple[str, Any]]:
    return [(name, getattr(loop, name)) for name in FIELDS]


def dependencies(program: Program) -> list[tuple[int, ...]]:
    """What must come before each instruction: its operands, and whatever else looks at an array that it changes.

    Of what looked at the array, what an earlier change comes after already is left out.
    """
    code = program.code
    found = [i.operands for i in code]
    takers = [at for at, (op, _, data) in enumerate(code) if op == "add_at" or (op == "loop" and data.accumulators)]
    if not takers:
        return found
    root = list(range(len(code)))
    users: dict[int, list[int]] = {}
    for at, (op, operands, _) in enumerate(code):
        before = operands[0] if op in ("read", "pos") else continued(code, at)
        if before is not None:
            root[at] = root[before]
        for o in operands:
            users.setdefault(root[o], []).append(at)
    changed: dict[int, int] = {}  # array → how many of its users come before the last change
    for at in takers:
        earlier: list[int] = []
        for array in [root[o] for o in arrays_written(code[at])]:
            end = bisect_left(users[array], at)
            earlier += users[array][changed.get(array, 0) : end]
            changed[array] = end
        found[at] = (*code[at].operands, *earlier)
    return found


def trimmed(loop: Loop, operands: Sequence[int], used: set[int]) -> tuple[Loop, tuple[int, ...], dict[int, int]]:
    """A loop with only the results that are used, and what they need; its operands; the results' new numbers.

    The instructions of the body that nothing needs any more are still there.
    """
    body = loop.body
    wanted = {k for k in range(loop.handed) if k in used or (loop.test and k in (GOING, COUNT))}
    outs = [k for k in range(loop.handed, loop.handed + len(loop.kinds)) if k in used]
    always = [g.value for g in body.guards]
    while True:
        roots = [*[body.outputs[k] for k in (*sorted(wanted), *outs)], *always]
        alive = reached(body, roots)
        inputs = {body.code[at].data for at in alive if body.code[at].op == "input"}
        more = {k for k in range(loop.handed) if loop.first_carry + k in inputs} - wanted
        if not more:
            break
        wanted |= more
    handed = sorted(wanted)
    first = loop.first_carry
    kept = [0]
    for k in range(1, len(body.inputs)):
        is_handed = first <= k < loop.first_element
        is_count = k == 1 and loop.is_counted
        if (k - first in wanted) if is_handed else k in inputs or is_count:
            kept.append(k)
    order = {old: new for new, old in enumerate(kept)}
    code = body.code
    if len(kept) < len(body.inputs):
        code = [Instruction("input", (), order.get(i.data, -1)) if i.op == "input" else i for i in code]
    results = [*handed, *outs]
    smaller = Program(code, [body.outputs[k] for k in results], tuple([body.inputs[k] for k in kept]), body.guards)
    carries = sum(k < loop.carries for k in handed)
    new = Loop(
        smaller,
        loop.extent,
        sum(0 < k < first for k in kept),
        carries,
        len(handed) - carries,
        tuple([loop.kinds[k - loop.handed] for k in outs]),
        loop.backwards,
        test=loop.test,
    )
    return new, tuple([operands[k - 1] for k in kept[1:]]), {old: at for at, old in enumerate(results)}


def roots(program: Program) -> list[int]:
    """What a program is for: its guards, the loops whose rows have some, and its outputs."""
    loops = [at for at in occurrences(program.code, "loop", 0) if program.code[at].data.body.guards]
    return [*[g.value for g in program.guards], *loops, *program.outputs]


def reached(program: Program, roots: Iterable[int]) -> set[int]:
    """The instructions that these values depend on, and their own."""
    return needed(program.code, roots, 0)


def without_dead_code(program: Program) -> Program:
    """The instructions that guards and outputs depend on, with all results of their loops."""
    return reordered(program, sorted(reached(program, roots(program))))


def with_numbers_only(program: Program) -> Program:
    """The program with each number of its arrays as an output of its own."""
    types = types_of(program)
    code = list(program.code)
    outputs: list[int] = []
    for o in program.outputs:
        kind = types[o]
        if isinstance(kind, Array):
            outputs += range(len(code), len(code) + kind.size())
            code += [Instruction("read", (o,), Window((), k)) for k in range(kind.size())]
        else:
            outputs.append(o)
    return Program(code, outputs, program.inputs, program.guards)


@fast
def occurrences(code: Sequence[Instruction], op: str, first: int) -> list[int]:
    """Where an operation stands in code, from `first` on."""
    return [at for at in range(first, len(code)) if code[at].op == op]


@fast
def needed(code: Sequence[Instruction], wanted: Iterable[int], first: int) -> set[int]:
    """The values from `first` on that some depend on."""
    found = set(wanted)
    for value in range(max(found, default=-1), first - 1, -1):
        if value in found:
            found.update(code[value].operands)
    return found
