"""Passes: functions from a program to an equal one.

The only ones that may change a last digit are `small_powers` and the several accumulators of `chains.spread`; where a
program is to have eager's bits (`accurate`), neither is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from heapq import heappop, heappush
from operator import itemgetter, or_
from typing import Any

from autograd.ir.block import CALL, Instruction, Loop, Program, with_inputs
from autograd.ir.builder import Builder, Rewriter, only
from autograd.ir.memory import all_roots, arrays_written
from autograd.ir.passes.chains import gather, spread
from autograd.ir.passes.in_place import add_in_place
from autograd.ir.passes.kept import MOST_KEPT, keep_expensive
from autograd.ir.passes.legalize import expand, sums_in_order
from autograd.ir.passes.map_passes import add_up_in_maps, join_maps
from autograd.ir.passes.recompute import compute_again
from autograd.ir.passes.same_steps import join_same_steps
from autograd.ir.passes.steady import steady_carries
from autograd.ir.rewrite import copy, dependencies, reordered, roots, trimmed, with_bodies, with_shared_bodies
from autograd.ir.rewriters import (
    drop_stops,
    exact_powers,
    fold_constants,
    identities,
    known_elements,
    number_values,
    size_of_difference,
    small_powers,
)

NOTHING_TO_COMPUTE = frozenset({"input", "constant", "item", "read", "zeros", "pack", "table", "loop", "stop"})


def fuse_loops(program: Program) -> Program:
    """The results of a loop come from a derivative that computes them as well, where its seeds allow it."""
    sweeps = _sweeps(program)
    if not sweeps:
        return program
    source = _schedule(program, sweeps)
    code = list(program.code)
    for at, (op, operands, data) in enumerate(code):
        if op == "item":
            loop = operands[0]
            while loop != source[operands[0]]:
                loop = sweeps[loop]
                data = program.code[loop].data.place(data)
            code[at] = Instruction("item", (loop,), data)
    return in_order_of_need(Program(code, program.outputs, program.inputs, program.guards))


def _sweeps(program: Program) -> dict[int, int]:
    """Loop → the last derivative that computes its results and does not itself depend on them."""
    place = {instruction.data: at for at, instruction in enumerate(program.code) if instruction.op == "loop"}
    bit = {place[loop.primal]: 0 for loop in place if loop.primal in place}
    bit = {at: 1 << number for number, at in enumerate(bit)}
    if not bit:
        return {}
    depends: list[int] = []  # the loops that a value depends on, as bits
    for at, (_, operands, _) in enumerate(program.code):
        depends.append(reduce(or_, map(depends.__getitem__, operands), bit.get(at, 0)))
    pairs = [(place[loop.primal], at) for loop, at in place.items() if loop.primal in place]
    return {primal: at for primal, at in pairs if not depends[at] & bit[primal]}


def _schedule(program: Program, sweeps: Mapping[int, int]) -> dict[int, int]:
    """The loop that computes each loop's results: itself, or a sweep that can run before anything needs them.

    Two sweeps may each wait for results of the other's loop, so they cannot both stand for them. The instructions are
    therefore put in an order in which they can run (Kahn's algorithm). A loop that has a sweep waits for it; when all
    that is left waits, the loop furthest along its chain (loop ← sweep ← sweep of the sweep) runs on its own.
    """
    needs = dependencies(program)
    users: list[list[int]] = [[] for _ in needs]
    missing = [len(set(before)) for before in needs]
    for at, before in enumerate(needs):
        for o in set(before):
            users[o].append(at)
    primal = {sweep: at for at, sweep in sweeps.items()}
    depth: dict[int, int] = {}
    for at in sorted({*sweeps, *primal}):  # a sweep comes after its loop
        depth[at] = depth[primal[at]] + 1 if at in primal else 0
    source: dict[int, int] = {}
    ready = [at for at, count in enumerate(missing) if not count]
    waiting: list[tuple[int, int]] = []
    while ready or waiting:
        if ready:
            at = ready.pop()
            if at in sweeps and at not in source:
                heappush(waiting, (-depth[at], at))
                continue
        else:
            at = heappop(waiting)[1]
        computed = [at]
        while computed[-1] in primal:
            computed.append(primal[computed[-1]])
        for value in computed:
            if value in source:
                break  # so are those before it
            source[value] = at
            for user in users[value]:
                missing[user] -= 1
                if not missing[user]:
                    ready.append(user)
    return source


def in_order_of_need(program: Program, first: int = 0) -> Program:
    """Put each instruction right before the first that needs it: few values are alive at a time, and none is dead.

    Those before number `first` stay where they are.

    Raises
    ------
    ValueError
        If an instruction depends on itself.
    """
    needs = dependencies(program)
    order: dict[int, None] = dict.fromkeys(range(first))
    begun: set[int] = set()
    stack = [*reversed(roots(program))]
    while stack:
        at = stack[-1]
        if at in order:
            stack.pop()
            continue
        missing = [o for o in needs[at] if o not in order]
        if missing:
            if at in begun:
                raise ValueError(f"v{at} = {program.code[at].op} depends on itself: this is a bug in the compiler")
            begun.add(at)
            stack += reversed(missing)
            continue
        order[stack.pop()] = None
    return reordered(program, order)


def rewrite(
    program: Program,
    *rewriters: Rewriter,
    inputs: Mapping[int, float] | None = None,
    made: dict[Any, Program] | None = None,
) -> Program:
    """Copy a program, and the bodies of its loops, through rewriters; `inputs` become constants.

    `made` has the bodies that are written already.
    """
    bodies: dict[Any, Program] = {} if made is None else made

    def rewritten(builder: Builder, at: int, instruction: Instruction, place: Mapping[int, int]) -> int:
        _, operands, loop = instruction
        first = 2 if loop.is_counted else 1  # the number of steps stays an operand
        shared = {k: builder.number(o) for k, o in enumerate(operands[first - 1 : loop.shared], first)}
        constants = {k: number for k, number in shared.items() if number is not None}
        key = id(loop.body), *[(k, repr(number)) for k, number in constants.items()]
        if key not in bodies:
            bodies[key] = rewrite(loop.body, *rewriters, inputs=constants, made=bodies)
        body = bodies[key]
        left = tuple([o for k, o in enumerate(operands, 1) if k not in constants])
        new = replace(loop, body=body, shared=loop.shared - len(constants), primal=None)
        return builder.emit("loop", left, new)

    special = {at: rewritten for at, (op, _, _) in enumerate(program.code) if op == "loop"}
    new = copy(program, rewriters, special=special, inputs=inputs)
    first = {g.value: g for g in reversed(new.guards) if new.code[g.value].op != "constant"}
    new.guards = [g for g in new.guards if first.get(g.value) is g]
    return new


def remove_dead_code(program: Program, made: dict[Any, Any] | None = None) -> Program:
    """Only what an output or a guard depends on is kept; a loop keeps only the results that are used.

    `made` has the loops that are trimmed already.
    """
    loops: dict[Any, Any] = {} if made is None else made
    alive = set(roots(program))
    code = list(program.code)
    used: dict[int, set[int]] = {}
    renumbered: dict[int, dict[int, int]] = {}
    for at in range(len(code) - 1, -1, -1):
        if at not in alive:
            continue
        op, operands, data = code[at]
        if op == "item":
            used.setdefault(operands[0], set()).add(data)
        elif op == "loop":
            loop, kept, renumbered[at] = _trimmed(data, frozenset(used.get(at, ())), loops)
            operands = tuple([operands[k] for k in kept])
            code[at] = Instruction(op, operands, loop)
        alive.update(operands)
    for at in alive:
        op, operands, data = code[at]
        if op == "item":
            code[at] = Instruction(op, operands, renumbered[operands[0]][data])
    left = Program(code, program.outputs, program.inputs, program.guards)
    return left if len(alive) == len(code) else reordered(left, sorted(alive))


def _trimmed(loop: Loop, used: frozenset[int], made: dict[Any, Any]) -> tuple[Loop, tuple[int, ...], dict[int, int]]:
    """A loop without dead code, which of its operands are left, and the new numbers of its results."""
    key = id(loop.body), used, loop.extent, loop.shared, loop.carries, loop.accumulators, loop.kinds, loop.backwards
    if (*key, loop.test) not in made:
        new, kept, results = trimmed(loop, range(len(loop.body.inputs) - 1), set(used))
        made[*key, loop.test] = replace(new, body=remove_dead_code(new.body, made)), kept, results
    found: tuple[Loop, tuple[int, ...], dict[int, int]] = made[*key, loop.test]
    return found


def share_unchanged(program: Program, made: dict[int, Program] | None = None) -> Program:
    """Share the carries that no step changes, so the steps may be independent; results that are equal become one.

    Carries that stay at the constant they begin with are shared, too. Results to which something is added later stay
    apart. `made` has the bodies in which this is done already.
    """
    bodies: dict[int, Program] = {} if made is None else made
    code = list(program.code)
    renumbered: dict[int, dict[int, int]] = {}  # loop → the new numbers of its results
    changed = _changed_results(program)
    for at, (op, operands, data) in enumerate(code):
        if op == "loop":
            if id(data.body) not in bodies:
                bodies[id(data.body)] = share_unchanged(data.body, bodies)
            loop = replace(data, body=bodies[id(data.body)])
            inputs = {value: i.data for value, i in enumerate(loop.body.code) if i.op == "input"}
            first = loop.first_carry
            steady = steady_carries(program, loop, operands)
            same = [k for k in range(loop.carries) if k in steady or inputs.get(loop.body.outputs[k]) == first + k]
            results = [k for k in range(loop.handed + len(loop.kinds)) if k not in same]
            place = {old: new for new, old in enumerate(results)}
            first_of: dict[tuple[int, str], int] = {}
            for k, out in enumerate(zip(loop.body.outputs[loop.handed :], loop.kinds), loop.handed):
                own = loop.extent == CALL and out[1] == "each"  # an array of the call holds one result
                if (at, k) not in changed and not own:
                    place[k] = place[first_of.setdefault(out, k)]
            if any(new != old for old, new in place.items()) or same:
                renumbered[at] = place
            code[at] = Instruction(op, *_with_shared(loop, operands, same))
        elif op == "item" and operands[0] in renumbered:
            number = renumbered[operands[0]].get(data)
            if number is None:
                _, given, loop = program.code[operands[0]]
                code[at] = Instruction("pos", (given[loop.shared + data],))
            else:
                code[at] = Instruction(op, operands, number)
    return Program(code, program.outputs, program.inputs, program.guards)


def _changed_results(program: Program) -> set[tuple[int, int]]:
    """The results of loops to which something is added: the loop, and the number of the result."""
    changed = [array for instruction in program.code for array in arrays_written(instruction)]
    root = all_roots(program.code) if changed else []
    made = [program.code[root[array]] for array in changed]
    return {(operands[0], data) for op, operands, data in made if op == "item"}


def _with_shared(loop: Loop, operands: tuple[int, ...], carries: Sequence[int]) -> tuple[tuple[int, ...], Loop]:
    """A loop, and its operands, in which some of the carries are shared."""
    if not carries:
        return operands, loop
    body, first, moved = loop.body, loop.first_carry, [loop.first_carry + k for k in carries]
    order = [*range(first), *moved, *[k for k in range(first, len(body.inputs)) if k not in moved]]
    outputs = [o for k, o in enumerate(body.outputs) if k not in carries]
    new = Program(with_inputs(body.code, order), outputs, tuple([body.inputs[k] for k in order]), body.guards)
    shared, left = loop.shared + len(carries), loop.carries - len(carries)
    changed = replace(loop, body=new, shared=shared, carries=left, primal=None, stored=None)
    return tuple([operands[k - 1] for k in order[1:]]), changed


def simplify(program: Program, accurate: bool = False) -> Program:
    """What is done to a captured program before anything else."""
    rewriters = (fold_constants, identities, known_elements, *_powers(accurate), number_values)
    simple = remove_dead_code(rewrite(with_shared_bodies(fuse_loops(program)), *rewriters))
    joined = join_same_steps(simple)
    return simple if joined is simple else remove_dead_code(joined)


def prepare(program: Program, accurate: bool = False, most_kept: int = MOST_KEPT) -> Program:
    """What comes before lowering: formulas in place of primitives that no machine instruction or library has.

    No more than `most_kept` numbers are stored so that they are not computed again.
    """
    written_out = (expand, sums_in_order) if accurate else (expand,)
    everything = (
        drop_stops,
        fold_constants,
        identities,
        known_elements,
        *_powers(accurate),
        *written_out,
        size_of_difference,
        number_values,
    )
    simpler = rewrite(share_unchanged(program), *everything)
    kept = keep_expensive(simpler := remove_dead_code(simpler), most_kept)
    if kept is not simpler:
        simpler = remove_dead_code(kept)
    added = remove_dead_code(simpler if accurate else add_up_in_maps(simpler))
    again = compute_again(added)
    if again is not added:
        added = remove_dead_code(again)
    return remove_dead_code(add_in_place(gather(join_maps(added))))


def _powers(accurate: bool) -> tuple[Rewriter, ...]:
    return (exact_powers,) if accurate else (exact_powers, small_powers)


def unroll(program: Program, fewest: int | None = None) -> Program:
    """The last step before lowering: sums of many are written out, and the bodies of loops put in order.

    Sums of `fewest` terms or more stay as they are.
    """

    @only(("dot", "sum"))
    def written_out(builder: Builder, op: str, operands: tuple[int, ...], data: Any) -> int | None:
        terms = len(operands) if op == "sum" else len(operands) // 2
        return spread(builder, op, operands, data) if fewest is None or terms < fewest else None

    return _ordered(remove_dead_code(rewrite(program, written_out, identities, number_values)))


def _ordered(program: Program) -> Program:
    return with_bodies(program, lambda body: in_order_of_need(_ordered(body)))


def count(program: Program) -> int:
    """How many instructions compute something, those of a loop's body counted once."""
    operations = Counter(map(itemgetter(0), program.code))
    own = sum([number for op, number in operations.items() if op not in NOTHING_TO_COMPUTE])
    if not operations["loop"]:
        return own
    return own + sum([count(data.body) for op, _, data in program.code if op == "loop"])
