"""The row of a map and the step of a loop stand for all others: they run once more, and must compute the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from autograd.compiler.capture.watched import InTurnError, UnrollError
from autograd.ir.block import Instruction, Loop
from autograd.modes import caller

if TYPE_CHECKING:
    from autograd.compiler.capture.trace import Trace


class DifferentRunError(TypeError):
    """A row or a step computes something else when it runs again."""


def check_repeats(trace: Trace, first: Sequence[Any], run: Callable[[], Sequence[Any]]) -> None:
    """Raise unless another run gives what the first one gave, where the code of the function may change what it reads.

    Raises
    ------
    DifferentRunError
        If it counts, goes on with an iterator, or keeps for the next row or step what it computes from in another way.
    """
    root = trace.root()
    if root.repeating or not root.may_change:
        return
    root.repeating, demands, spent = True, trace.demands[:], root.spent
    guards, guarded = trace.guards, trace.guarded
    trace.guards, trace.guarded = [], set()  # they are noted again: a loop takes steps only where those before it hold
    try:
        again = run()
        wanted, found = [[trace.place(x) for x in leaves] for leaves in (first, again)]
        alike = same_computation(trace.code, wanted, trace.code, found)
    except (UnrollError, InTurnError, RecursionError, MemoryError):
        raise
    except Exception as error:
        raise _refusal() from error
    finally:
        root.repeating, trace.demands, root.spent = False, demands, spent
        trace.guards, trace.guarded = guards, guarded
    if not alike:
        raise _refusal()


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
