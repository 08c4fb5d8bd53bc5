"""Branches in the rows of a map and in the steps of a loop: what each does is captured, and masks select."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import reduce as reduce_by
from typing import TYPE_CHECKING, Any, NamedTuple

from autograd.compiler.capture.repeats import check_repeats
from autograd.compiler.capture.signature import read
from autograd.compiler.capture.watched import Decisions, Reason, UnrollError
from autograd.ir.block import calls_python
from autograd.ir.builder import LoopBuilder, Predicate
from autograd.modes import caller, current_recorder
from autograd.tree import Rebuild

if TYPE_CHECKING:
    from autograd.compiler.capture.trace import Trace

MOST_BRANCHES = 8  # combinations that become masks; with more, rows or steps are unrolled
Run = Callable[[], "tuple[list[Any], Rebuild]"]


class Branch(NamedTuple):
    """One run of a function on a row: how comparisons came out, the numbers of the result, and what it looks like."""

    taken: dict[int, bool]
    leaves: list[Any]
    rebuild: Rebuild
    line: str

    def condition(self, child: Trace) -> Predicate:
        """The truth that a row takes this branch."""
        return reduce_by(lambda one, other: one.with_("and", other), _outcomes(child, self.taken))


def explored(trace: Trace, run: Run, given: Sequence[list[Any]] | None = None) -> list[Branch]:
    """All that a function may do, however its comparisons come out: one run for each combination.

    Each run returns numbers of the trace, and how a result is made of them. A comparison comes out as the watched
    numbers say, and in another run the other way. `given` is what `check_repeats` takes; without it, the function runs
    for itself only.
    """
    branches: list[Branch] = []
    waiting: list[tuple[bool, ...]] = [()]
    while waiting:
        forced = waiting.pop()
        if len(branches) == MOST_BRANCHES:
            raise too_many()
        taken, leaves, rebuild = _run(trace, run, forced)
        branches.append(Branch(taken, leaves, rebuild, caller(source=True)))
        outcomes = tuple(taken.values())
        waiting += [(*outcomes[:k], not outcomes[k]) for k in range(len(forced), len(outcomes))]
    if len(branches) > 1:
        refuse_python(trace, branches)
    if given is not None:
        outcomes = tuple(branches[0].taken.values())
        check_repeats(trace, branches[0].leaves, lambda: _run(trace, run, outcomes)[1], given)
    return branches


def _run(trace: Trace, run: Run, forced: tuple[bool, ...]) -> tuple[dict[int, bool], list[Any], Rebuild]:
    """A run whose first comparisons are forced: how all came out, the numbers, and how a result is made of them."""
    around = trace.deciding
    trace.deciding = decisions = Decisions(forced, around)
    try:
        with nullcontext() if current_recorder() is trace else trace.watched():
            leaves, rebuild = run()
            if decisions.taken:
                leaves = [trace.wrap(trace.place(leaf)) for leaf in leaves]
    finally:
        trace.deciding = around
    return decisions.taken, leaves, rebuild


def too_many() -> UnrollError:
    """The error for more branches than masks are made for."""
    last = caller(source=True)
    return UnrollError(Reason("branches", f"more than {MOST_BRANCHES} combinations of branches, the last at {last}"))


def refuse_python(trace: Trace, branches: Sequence[Branch]) -> None:
    """Raise if masks would let Python code run where its branch is not taken."""
    if calls_python(trace.code):
        where = f"the comparison at {branches[0].line}, for Python code may raise in rows of another branch"
        raise UnrollError(Reason("python", where))


def path(trace: Trace) -> Predicate | None:
    """The truth that what is being captured counts at all; None if it does in any case.

    A loop whose length is data has no step where it does not count: there it might never end.
    """
    parts = _outcomes(trace, {guard.value: guard.expected for guard in trace.guards})
    decisions = trace.deciding
    while decisions is not None:
        parts += _outcomes(trace, decisions.taken)
        decisions = decisions.around
    parts += _outcomes(trace, trace.taken or {})
    if trace.parent is not None and (outside := path(trace.parent)) is not None:
        parts.append(trace.predicate(trace.emit("!=", (trace.place(outside), trace.constant(0.0)))))
    return reduce_by(lambda one, other: one.with_("and", other), parts) if parts else None


def begins_where_it_counts(trace: Trace, made: LoopBuilder, before: Predicate | None) -> None:
    """Let a loop that its condition ends take no step where a guard fails that was noted while its step was captured.

    `before` is the path when the capture of the step began. Such a guard is of what all steps share.
    """
    counts = path(trace)
    if counts is not None and (before is None or counts.index != before.index):
        goes, number = made.given["carry"][0]
        made.given["carry"][0] = trace.place(counts.select(trace.wrap(goes), 0.0)), number


def _outcomes(trace: Trace, taken: Mapping[int, bool]) -> list[Predicate]:
    return [trace.predicate(at) if outcome else trace.predicate(at).negated() for at, outcome in taken.items()]


def any_of(child: Trace, branches: Sequence[Branch]) -> Predicate:
    """The truth that a row takes one of these branches."""
    return reduce_by(lambda one, other: one.with_("or", other), [branch.condition(child) for branch in branches])


def masked(child: Trace, branches: Sequence[Branch]) -> list[Any]:
    """The numbers of the result, whichever branch a row takes."""
    shapes = {read(branch.rebuild([0.0] * len(branch.leaves))).signature for branch in branches}
    if len(shapes) > 1:
        raise UnrollError(Reason("shapes", f"results of different shapes at {branches[-1].line}"))
    leaves = branches[-1].leaves
    for branch in reversed(branches[:-1]):
        condition = branch.condition(child)
        leaves = [condition.select(x, other) for x, other in zip(branch.leaves, leaves)]
    return leaves


def covers(branches: Sequence[Mapping[int, bool]]) -> bool:
    """Whether any row takes one of these branches, however its comparisons come out."""
    if not all(branches):
        return True
    if not branches:
        return False
    first = next(iter(branches[0]))
    sides = [[taken for taken in branches if taken.get(first) is side] for side in (True, False)]
    return all(covers([{k: v for k, v in taken.items() if k != first} for taken in side]) for side in sides)
