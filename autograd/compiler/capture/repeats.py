"""The row of a map and the step of a loop stand for all others: they run once more, and must compute the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from autograd.compiler.capture.spent import as_now, counted, refuse_counters
from autograd.compiler.capture.tracer import Traced
from autograd.compiler.capture.watched import DifferentRunError, InTurnError, UnrollError, Watched
from autograd.ir.block import Instruction, Loop
from autograd.ir.builder import Predicate
from autograd.ir.rewrite import without_dead_code
from autograd.modes import caller

if TYPE_CHECKING:
    from autograd.compiler.capture.trace import Trace


def check_repeats(
    trace: Trace,
    first: Sequence[Any],
    run: Callable[[], Sequence[Any]],
    given: Sequence[list[Any]],
) -> None:
    """Raise unless another run gives what the first one gave, where the code of the function may change what it reads.

    Parameters
    ----------
    trace : Trace
        The body of a loop.
    first : sequence
        The numbers that the first run gave.
    run : callable
        Runs again, and gives its numbers.
    given : sequence of lists
        What both runs take of a row or a carry. The second one finds other tracers in these lists, so that those that
        the first has kept are known.

    Raises
    ------
    DifferentRunError
        If it goes on with an iterator, or keeps for the next row or step what it computes from in another way.
    UnrollError
        If it counts: then the rows or steps run in turn.
    """
    root = trace.root()
    if root.repeating or not root.may_change:
        return
    root.repeating, demands, spent = True, trace.demands[:], root.spent
    guards, guarded = trace.guards, trace.guarded
    trace.guards, trace.guarded = [], set()  # they are noted again: a loop takes steps only where those before it hold
    begun, numbers, loops = len(trace.code), counted(trace), root.loops
    root.loops = root.reached[-1].loops if root.reached else loops  # those that run in turn do so again
    try:
        with as_now(trace), _other_tracers(trace, given) as other:
            again = run()
            counts_for_itself = refuse_counters(trace, numbers)
        wanted, found = [[trace.place(x) for x in leaves] for leaves in (first, again)]
        alike = same_computation(trace.code, wanted, trace.code, found) and not _kept(trace, found, begun, other)
        alike = alike and counts_for_itself
    except (UnrollError, InTurnError, RecursionError, MemoryError):
        raise
    except Exception as error:
        raise _refusal() from error
    finally:
        root.repeating, root.loops, trace.demands, root.spent = False, loops, demands, spent
        trace.guards, trace.guarded = guards, guarded
        trace.repeated = True
    if not alike:
        if root.reached:
            refuse_counters(trace, root.reached[-1].before)
        raise _refusal()


@contextmanager
def _other_tracers(trace: Trace, given: Sequence[list[Any]]) -> Iterator[dict[int, int]]:
    """Tracers of the same numbers, computed once more, in place of those in these lists; where they are."""
    before, found = [tracers[:] for tracers in given], dict[int, int]()

    def again(value: int) -> int:
        if value not in found:
            found[value] = trace.append(trace.code[value])
        return found[value]

    def other(thing: Any) -> Any:
        if not isinstance(thing, (Traced, Predicate)) or thing.builder is not trace:
            return thing  # the same for all rows
        if isinstance(thing, Predicate):
            return trace.predicate(again(thing.index))
        if thing._array >= 0:
            return Traced.element(trace, again(thing._array), thing._offset)
        return trace.carried_on(Traced.of(trace, again(thing.index)), thing)

    for tracers in given:
        tracers[:] = map(other, tracers)
    try:
        yield found
    finally:
        for tracers, ones in zip(given, before):
            tracers[:] = ones


def _kept(trace: Trace, found: Sequence[int], begun: int, other: Mapping[int, int]) -> bool:
    """Whether the second run takes something that the first has made of its row; what all rows share may be kept."""
    stack, seen = list({*found} - {*other.values()}), {*found, *other.values()}
    while stack:
        at = stack.pop()
        op, operands, _ = trace.code[at]
        if at < begun and op == "input" and trace.hoisted.get(at) is None:
            return True
        new = set(operands) - seen
        stack += new
        seen |= new
    return False


def without_repeats(trace: Watched, wanted: Sequence[int]) -> list[int]:
    """Drop what only second runs have computed; where the values that are wanted are now."""
    if not trace.repeated:
        return list(wanted)
    program = without_dead_code(trace.program(wanted))
    trace.restart(program)
    if (made := trace.body_of) is not None:  # it knows where its inputs are
        places = {i.data: at for at, i in enumerate(program.code) if i.op == "input"}
        made.known.clear()
        made.known.update({operand: places[number] for operand, number in made.given["shared"] if number in places})
    return list(program.outputs)


def _refusal() -> DifferentRunError:
    return DifferentRunError(
        f"the function of a row or a step computes something else when it runs again, at {caller()}: it changes what "
        "it reads, such as a counter, an iterator or an attribute. Compiled, one run stands for all: hand on what "
        "changes as the carry of a `scan`, pass an array with what each row needs, or write a plain loop"
    )


def same_computation(
    code: Sequence[Instruction], ones: Sequence[int], other_code: Sequence[Instruction], others: Sequence[int]
) -> bool:
    """Whether two lists of values are computed by the same instructions from the same inputs."""
    stack, seen = list(zip(ones, others)), set[tuple[int, int]]()
    while stack:
        pair = stack.pop()
        if pair in seen or (code is other_code and pair[0] == pair[1]):
            continue
        seen.add(pair)
        one, other = code[pair[0]], other_code[pair[1]]
        if one.op != other.op or len(one.operands) != len(other.operands) or not _same_data(one.data, other.data):
            return False
        stack += zip(one.operands, other.operands)
    return len(ones) == len(others)


def _same_data(one: Any, other: Any) -> bool:
    if not isinstance(one, Loop) or not isinstance(other, Loop):
        return one is other or repr(one) == repr(other)  # 0.0 is not -0.0, and nan is itself
    sizes, other_sizes = [
        (x.extent, x.shared, x.carries, x.accumulators, x.kinds, x.backwards, x.stored, x.test) for x in (one, other)
    ]
    return sizes == other_sizes and same_computation(
        one.body.code, one.body.outputs, other.body.code, other.body.outputs
    )
