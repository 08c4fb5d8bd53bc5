"""Rolling a stretch of flat code: the same values, computed by loops that are appended to the program.

Nothing of the flat code changes. The answer tells where the values that are wanted are now; what nothing uses any more
is dead code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from itertools import chain

from autograd.ir.block import NUMBER, Final, Instruction, Loop, Program, types_of
from autograd.ir.builder import Builder
from autograd.ir.memory import arrays_written, continued
from autograd.ir.passes.simplify import in_order_of_need
from autograd.ir.rewrite import without_dead_code
from autograd.ir.rewriters import number_values
from autograd.ir.roll.fitted import Fitted, fitted
from autograd.ir.roll.nest import SMALLEST, leaves, tree
from autograd.ir.roll.peeled import take_in_first_steps
from autograd.ir.roll.ranges import weight
from autograd.ir.roll.recognition import is_loop
from autograd.ir.roll.stages import again, stages
from autograd.ir.roll.statements import ROLLABLE, find_loops_fast, kept_by_comparisons
from autograd.ir.roll.triangles import triangles
from autograd.ir.roll.written import Writer

FEWEST = 1000  # statements that are rolled; shorter code compiles fast and runs best as it is
FEWEST_IN_STAGES = 48  # the same between instructions on arrays
FEWEST_AGAIN = 200  # the same where derivatives of derivatives are taken: each multiplies the code
LEAST_GAIN = 0.75  # of the statements that may be left: loops cost time that few statements do not
FLAT = 0.9  # of the statements, before first steps are taken into loops: with more, too many are left after that, too
MANY_CARRIES, FEWEST_AT_END = 16, 48  # a loop with more carries keeps them in memory: flat code at its end is rolled
MANY_LEFT = 1000  # statements that are left of rolled code, or as good as all: then triangles are looked for
TRIANGLES_GAIN = 0.5  # of them that may be left then: a loop whose extent is known runs in lanes, and faster
FEWEST_IN_MAPS = 20_000  # statements of the body of a map that are rolled: loops in it take up to three times as long
SUMS = 0.25  # of the values of a map's body; with more, it stays flat
# The fewest statements that are rolled outside of all loops, for code that people read; None: `FEWEST`. The bodies of
# loops run often: what makes them fast does not change.
fewest_to_read: ContextVar[int | None] = ContextVar("fewest_to_read", default=None)


def rolled(program: Program, inside: bool = False) -> Program:
    """A program, and the bodies of its loops, with loops in place of flat code; `inside`: whether it is such a body."""
    loops = [(at, instruction) for at, instruction in enumerate(program.code) if instruction[0] == "loop"]
    changed = {at: body for at, old in loops if (body := _with_rolled_body(old)) is not old}
    if changed:
        code = [changed.get(at, instruction) for at, instruction in enumerate(program.code)]
        program = Program(code, program.outputs, program.inputs, program.guards)
    if len(program.code) < _fewest(FEWEST, inside):
        return program
    builder = _builder_of(program)
    roll_code(builder, 0, len(program.code), program.outputs)
    if not builder.moved:
        return program
    new = builder.program(program.outputs)
    return without_dead_code(new)


def _fewest(usual: int, inside: bool) -> int:
    """The fewest statements that are rolled."""
    return usual if inside else fewest_to_read.get() or usual


def _with_rolled_body(instruction: Instruction) -> Instruction:
    """The loop itself if nothing changes: loops know their derivatives by identity."""
    if _stays_flat(instruction.data):
        return instruction
    loop: Loop = instruction.data
    body = rolled(loop.body, inside=True)
    if loop.carries > MANY_CARRIES:
        body = _with_rolled_end(body)
    return instruction if body is loop.body else instruction._replace(data=replace(loop, body=body))


def _with_rolled_end(body: Program) -> Program:
    """A body in which the flat code behind its last loop is rolled, such as the sums of messages to each carry."""
    last = max([at for at, i in enumerate(body.code) if i.op == "loop"], default=-1)
    if len(body.code) - last <= FEWEST_AT_END:
        return body
    ordered = in_order_of_need(body, last + 1)  # all sums for one carry, then all for the next
    builder = _builder_of(ordered)
    roll_code(builder, last + 1, len(ordered.code), ordered.outputs, FEWEST_AT_END)
    return builder.program(ordered.outputs) if builder.moved else body


def _builder_of(program: Program) -> Builder:
    builder = Builder((number_values,))
    builder.code, builder.inputs, builder.guards = list(program.code), list(program.inputs), list(program.guards)
    builder.types = {at: kind for at, kind in enumerate(types_of(program)) if kind != NUMBER}
    return builder


def _stays_flat(loop: Loop) -> bool:
    """Whether a map's body stays flat: its rows fill the lanes, so loops in it only make it slower.

    If much of it is there for its sums, these are added up in tiles of registers where it is flat, however long it is.
    """
    length = len(loop.body.code)
    return loop.is_map() and (length < FEWEST_IN_MAPS or loop.kinds.count("sum") > SUMS * length)


def roll_code(builder: Builder, first: int, end: int, wanted: Iterable[int], fewest: int | None = None) -> None:
    """Append loops that compute values from flat code, and note where those that are wanted are now.

    Parameters
    ----------
    builder : Builder
        The program. Guards of the code move into the loops.
    first, end : int
        The code that may be rolled.
    wanted : iterable of int
        The values that are used later.
    fewest : int, optional
        Code of fewer statements stays as it is.
    """
    fewest = _fewest(FEWEST if fewest is None else fewest, builder.body_of is not None)
    if end - first < 4 * fewest:
        fewest = min(fewest, max(SMALLEST, fewest - weight(builder.code[first:end])))
    wanted = [w for w in dict.fromkeys(wanted) if first <= w < end and w not in builder.moved]
    guards = [g.value for g in builder.guards if first <= g.value < end]
    if end - first < fewest or _roll(builder, range(first, end), wanted, guards, fewest) is not None:
        return
    found = stages(builder.code, first, wanted, guards, ROLLABLE)
    if len(found) == 1 and not found[0].after:
        return
    if _overtakes(builder.code, first, {at for stage in found for at in (*stage.flat, *stage.after)}):
        return
    for stage in found:
        values = set(stage.flat)
        packs = [at for at in stage.after if builder.code[at].op == "pack"]
        mine = [g for g in guards if g in values]
        if len(stage.flat) < max(fewest, FEWEST_IN_STAGES) or not _roll(
            builder, range(stage.flat[0], stage.flat[-1] + 1), stage.wanted, mine, fewest, packs
        ):
            again(builder, stage.flat)
        again(builder, stage.after)


def _overtakes(code: Sequence[Instruction], first: int, moved: set[int]) -> bool:
    """Whether instructions that are written again at the end look at an array that others, which stay, change."""
    root = list(range(len(code)))
    looked: set[int] = set()  # arrays that the former look at
    for at, instruction in enumerate(code):
        op, operands, data = instruction
        if at >= first and at in moved:
            looked.update([root[o] for o in operands])
        elif any(root[o] in looked for o in arrays_written(instruction)):
            return True
        if op in ("read", "pos") and not isinstance(data, Final):
            root[at] = root[operands[0]]
        elif (before := continued(code, at)) is not None:
            root[at] = root[before]
    return False


def _roll(
    builder: Builder, among: range, wanted: Sequence[int], guards: Sequence[int], fewest: int, packs: Sequence[int] = ()
) -> bool | None:
    """Roll the code `among` some that computes some values; whether there are loops now.

    None if it has instructions that cannot be rolled, or is too short. The operands of `packs` are among the values;
    those that loops compute side by side become arrays as a whole.
    """
    expected = {g.value: g for g in builder.guards}
    lines = {value: expected[value].line for value in guards}
    kept = {at: [o for o in builder.code[at].operands if o >= among.start] for at in packs}
    code = kept_by_comparisons(builder.code, among.start, among.stop, expected)
    needed = [*wanted, *guards, *chain(*kept.values())]
    trace = find_loops_fast(code, among.start, needed, lines, fewest)
    if trace is None:
        return None
    body, left = [], len(trace.rolled.shapes)
    if left <= max(FLAT, LEAST_GAIN) * len(trace.code):
        body = tree(trace.rolled, [len(kind.operands) for kind in trace.kinds])
        take_in_first_steps(body, trace.kinds)
        left = sum([1 for _ in leaves(body)])
    flat = left > LEAST_GAIN * len(trace.code)
    found = _triangles(code, among.start, needed, lines, left) if flat or left >= MANY_LEFT else None
    if found is not None:
        trace, body = trace._replace(code=found.code, kinds=found.kinds), found.body
    elif flat or not any(map(is_loop, trace.rolled.shapes)):
        return False
    writer = Writer(builder, trace, body, {value: expected[value] for value in guards})
    arrays = writer.packs(packs)
    wanted = list(dict.fromkeys([*wanted, *chain(*[kept[at] for at in packs if at not in arrays])]))
    builder.moved.update({old: new for old, new in writer.write(wanted, arrays).items() if new != old})
    builder.guards[:] = [g for g in builder.guards if g.value not in writer.checked] + writer.guards
    return True


def _triangles(
    code: Sequence[Instruction], first: int, wanted: Sequence[int], lines: Mapping[int, str], left: int
) -> Fitted | None:
    """The code as nests with triangles, if they are worth more than the loops, which left `left` statements."""
    trace = find_loops_fast(code, first, wanted, lines, 0, ordinals=True)
    assert trace is not None
    parts = triangles(trace)
    found = parts and fitted(trace, parts, code)
    return found if found and sum([1 for _ in leaves(found.body)]) <= TRIANGLES_GAIN * left else None
