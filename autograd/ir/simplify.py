"""Passes: functions from a program to an equal one. Each rewriter here is right for every IEEE number.

The only ones that may change a last digit are `small_powers` (``x*x`` is nearer to the truth than ``pow(x, 2)``) and
the several accumulators of `chains.spread`; where a program is to have eager's bits (`accurate`), neither is used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from heapq import heappop, heappush
from operator import or_
from typing import Any

from autograd.ir.block import PREDICATES, Guard, Instruction, Map, Program, evaluate_one
from autograd.ir.builder import Builder, Rewriter, only
from autograd.ir.chains import gather, spread
from autograd.ir.legalize import expand, sums_in_order

UNFOLDED = frozenset({"input", "constant", "custom", "map", "item"})
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


def number_values(builder: Builder, op: str, operands: tuple[int, ...], data: Any) -> int | None:
    """The same operation on the same operands is the same value (common subexpressions)."""
    if op == "constant":
        return builder.truth_constant(data) if isinstance(data, bool) else builder.constant(data)
    if op in COMMUTATIVE and operands[0] > operands[1]:
        operands = operands[1], operands[0]
    new = len(builder.code)  # where the instruction is about to go
    found = builder.known.setdefault((op, operands, data), new)
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


def _not(builder: Builder, a: int) -> int | None:
    op, operands, data = builder.code[a]
    if op == "constant":
        return builder.truth_constant(not data)
    return operands[0] if op == "not" else None


IDENTITIES: dict[str, Any] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": lambda builder, a: _negated(builder, a),
    "pos": lambda builder, a: a,
    "abs": lambda builder, a: a if builder.code[a].op == "abs" else None,
    "select": _select,
    "!=": _not_equal,
    "not": _not,
}


@only(IDENTITIES)
def identities(builder: Builder, op: str, operands: tuple[int, ...], data: Any) -> int | None:
    """Algebra that is exact in IEEE arithmetic, zeros' signs included."""
    found: int | None = IDENTITIES[op](builder, *operands)
    return found


@only(("pow",))
def exact_powers(builder: Builder, op: str, operands: tuple[int, ...], data: Any) -> int | None:
    """The powers that libm's `pow` has to the last bit for every x."""
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


def fuse_maps(program: Program) -> Program:
    """A map whose adjoint is swept over the same rows is taken from that sweep, where its seeds allow it."""
    sweeps = _sweeps(program)
    if not sweeps:
        return program
    source = _schedule_maps(program, sweeps)
    code = [i._replace(operands=(source[i.operands[0]],)) if i.op == "item" else i for i in program.code]
    return in_order_of_need(Program(code, program.outputs, program.inputs, program.guards))


def _sweeps(program: Program) -> dict[int, int]:
    """Map → its last sweep that does not itself depend on the map's results."""
    place = {instruction.data: at for at, instruction in enumerate(program.code) if instruction.op == "map"}
    bit = {place[mapped.primal]: 0 for mapped in place if mapped.primal in place}
    bit = {at: 1 << number for number, at in enumerate(bit)}
    if not bit:
        return {}
    depends: list[int] = []  # the maps that a value depends on, as bits
    for at, (_, operands, _) in enumerate(program.code):
        depends.append(reduce(or_, map(depends.__getitem__, operands), bit.get(at, 0)))
    pairs = [(place[mapped.primal], at) for mapped, at in place.items() if mapped.primal in place]
    return {primal: at for primal, at in pairs if not depends[at] & bit[primal]}


def _schedule_maps(program: Program, sweeps: Mapping[int, int]) -> dict[int, int]:
    """Which map computes each map's results: itself, or a sweep that can run before anything needs them.

    Two sweeps may each wait for results of the other's map, so they cannot both stand for them. The instructions are
    therefore put in an order in which they can run (Kahn's algorithm). A map that has a sweep waits for it; when all
    that is left waits, the map furthest along its chain (map ← sweep ← sweep of the sweep) runs on its own.
    """
    code = program.code
    users: list[list[int]] = [[] for _ in code]
    missing = [len(set(i.operands)) for i in code]
    for at, instruction in enumerate(code):
        for o in set(instruction.operands):
            users[o].append(at)
    primal = {sweep: at for at, sweep in sweeps.items()}
    depth: dict[int, int] = {}
    for at in sorted({*sweeps, *primal}):  # a sweep comes after its map
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


def in_order_of_need(program: Program) -> Program:
    """Every instruction right before the first that needs it: few values are alive at a time, and none is dead.

    Raises
    ------
    ValueError
        If an instruction depends on itself.
    """
    code = program.code
    order: dict[int, int] = {}
    begun: set[int] = set()
    stack = [*reversed([*[g.value for g in program.guards], *program.outputs])]
    while stack:
        at = stack[-1]
        missing = [o for o in code[at].operands if o not in order]
        if missing and at not in order:
            if at in begun:
                raise ValueError(f"v{at} = {code[at].op} depends on itself: this is a bug in the compiler")
            begun.add(at)
            stack += reversed(missing)
            continue
        order.setdefault(stack.pop(), len(order))
    return Program(
        [code[at]._replace(operands=tuple([order[o] for o in code[at].operands])) for at in order],
        [order[o] for o in program.outputs],
        program.inputs,
        [Guard(order[g.value], g.expected, g.line) for g in program.guards],
    )


def _without_constants(program: Program, mapped: Map, operands: tuple[int, ...]) -> tuple[Map, tuple[int, ...]]:
    """What all rows share and is constant becomes a constant of the body."""
    constants = [program.code[o].data if program.code[o].op == "constant" else None for o in operands[: mapped.shared]]
    if not any(number is not None for number in constants):
        return mapped, operands
    kept = [k for k in range(mapped.body.inputs) if k >= mapped.shared or constants[k] is None]
    renumbered = {old: new for new, old in enumerate(kept)}
    code = [
        i
        if i.op != "input"
        else Instruction("input", (), renumbered[i.data])
        if i.data in renumbered
        else Instruction("constant", (), constants[i.data])
        for i in mapped.body.code
    ]
    body = Program(code, mapped.body.outputs, len(kept), mapped.body.guards)
    dropped = sum(number is not None for number in constants)
    left = [o for k, o in enumerate(operands) if k >= mapped.shared or constants[k] is None]
    return replace(mapped, body=body, shared=mapped.shared - dropped), tuple(left)


def rewrite(program: Program, *rewriters: Rewriter) -> Program:
    """Replay a program, and the bodies of its maps, through rewriters."""
    builder = Builder(rewriters)
    place: list[int] = []
    for op, operands, data in program.code:
        if op == "map":
            data, operands = _without_constants(program, data, operands)
            data = replace(data, body=rewrite(data.body, *rewriters), primal=None)
        elif op == "constant" and isinstance(data, bool):
            place.append(builder.truth_constant(data))
            continue
        elif op == "constant":
            place.append(builder.constant(data))
            continue
        place.append(builder.emit(op, tuple([place[o] for o in operands]), data))
    guards = [Guard(place[g.value], g.expected, g.line) for g in program.guards]
    kept = {g.value: g for g in reversed(guards) if builder.code[g.value].op != "constant"}
    ordered = [g for g in guards if kept.get(g.value) is g]
    return Program(builder.code, [place[o] for o in program.outputs], program.inputs, ordered)


def remove_dead_code(program: Program) -> Program:
    """Only what an output or a guard depends on is kept; a map keeps only the results that are used."""
    program = _remove_unused_results(program)
    alive = _alive(program)
    if all(alive) and not any(instruction.op == "map" for instruction in program.code):
        return program
    place = [-1] * len(alive)
    code: list[Instruction] = []
    for i, (op, operands, data) in enumerate(program.code):
        if alive[i]:
            place[i] = len(code)
            if op == "map":
                data = replace(data, body=remove_dead_code(data.body))
            code.append(Instruction(op, tuple([place[o] for o in operands]), data))
    guards = [Guard(place[g.value], g.expected, g.line) for g in program.guards]
    return Program(code, [place[o] for o in program.outputs], program.inputs, guards)


def _alive(program: Program) -> list[bool]:
    alive = [False] * len(program.code)
    for o in program.outputs:
        alive[o] = True
    for guard in program.guards:
        alive[guard.value] = True
    for i in range(len(alive) - 1, -1, -1):
        if alive[i]:
            for o in program.code[i].operands:
                alive[o] = True
    return alive


def _remove_unused_results(program: Program) -> Program:
    maps = [i for i, instruction in enumerate(program.code) if instruction.op == "map"]
    if not maps:
        return program
    alive = _alive(program)
    used: dict[int, set[int]] = {i: set() for i in maps}
    for i, (op, operands, data) in enumerate(program.code):
        if op == "item" and alive[i]:
            used[operands[0]].add(data)
    code = list(program.code)
    renumbered: dict[int, dict[int, int]] = {}
    for i in maps:
        old: Map = code[i].data
        starts = old.positions()
        kept = [
            k
            for k, reduced in enumerate(old.reduced)
            if (old.rows is None and not reduced)  # it goes to an array of the call
            or any(item in used[i] for item in range(starts[k], starts[k + 1]))
        ]
        body = Program(old.body.code, [old.body.outputs[k] for k in kept], old.body.inputs, old.body.guards)
        new = replace(old, body=body, reduced=tuple([old.reduced[k] for k in kept]))
        code[i] = code[i]._replace(data=new)
        renumbered[i] = {
            starts[k] + row: start + row
            for k, start in zip(kept, new.positions())
            for row in range(starts[k + 1] - starts[k])
        }
    for i, (op, operands, data) in enumerate(code):
        if op == "item" and data in renumbered[operands[0]]:
            code[i] = code[i]._replace(data=renumbered[operands[0]][data])
    return Program(code, program.outputs, program.inputs, program.guards)


def simplify(program: Program, accurate: bool = False) -> Program:
    """What is done to a captured program before anything else."""
    rewriters = (fold_constants, identities, *_powers(accurate), number_values)
    return remove_dead_code(rewrite(fuse_maps(program), *rewriters))


def prepare(program: Program, accurate: bool = False) -> Program:
    """What comes before lowering: formulas in place of rows that no machine instruction or library has."""
    written_out = (expand, sums_in_order) if accurate else (expand,)
    everything = (drop_stops, fold_constants, identities, *_powers(accurate), *written_out, number_values)
    ready = remove_dead_code(rewrite(program, *everything))
    return remove_dead_code(gather(ready))


def _powers(accurate: bool) -> tuple[Rewriter, ...]:
    return (exact_powers,) if accurate else (exact_powers, small_powers)


def unroll(program: Program) -> Program:
    """The last step before lowering: sums and products of many are written out, and the rows of maps put in order."""
    ready = remove_dead_code(rewrite(program, spread, identities, number_values))
    for at, (op, _, data) in enumerate(ready.code):
        if op == "map":
            ready.code[at] = ready.code[at]._replace(data=replace(data, body=in_order_of_need(data.body)))
    return ready


def count(program: Program) -> int:
    """How many instructions compute something, those of a map's body counted once."""
    own = sum(op not in ("input", "constant", "item", "map", "stop") for op, _, _ in program.code)
    return own + sum(count(data.body) for op, _, data in program.code if op == "map")


__all__: Sequence[str] = [
    "count", "drop_stops", "exact_powers", "fold_constants", "fuse_maps", "identities", "number_values", "prepare",
    "remove_dead_code", "rewrite", "simplify", "small_powers", "unroll",
]  # fmt: skip  # a list of words
