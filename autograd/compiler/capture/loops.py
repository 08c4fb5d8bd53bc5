"""Loops while a function is captured: one step is recorded, and runs as often as the loop's length says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from autograd.compiler.capture.branches import begins_where_it_counts, explored, masked, path
from autograd.compiler.capture.maps import FEWEST_ROWS, elements, finished, rows_of
from autograd.compiler.capture.results import flatten_result
from autograd.compiler.capture.spent import captured_once
from autograd.compiler.capture.tracer import Traced
from autograd.compiler.capture.watched import Reason, UnrollError
from autograd.ir.block import STEPS, Extent
from autograd.ir.builder import LoopBuilder
from autograd.rows import (
    MOST_STEPS,
    count_of,
    loop_in_turn,
    next_carry,
    pair,
    repeat_in_turn,
    steps_of,
    together,
    too_many_steps,
    truth_of,
    while_in_turn,
    wrong_count,
)
from autograd.tree import Rebuild, columns_of, flatten
from autograd.value import Value

if TYPE_CHECKING:
    from autograd.compiler.capture.trace import Trace


def scan_steps(
    trace: Trace, function: Callable[[Any, Any], Any], initial: Any, xs: Any, length: int | None, reverse: bool
) -> tuple[Any, Any]:
    """`scan` inside a capture: one step is captured, and runs as a loop where that is possible."""
    rows, as_arrays = steps_of(xs, length)
    if not trace.root().maps or len(rows) < FEWEST_ROWS:
        return loop_in_turn(function, initial, xs, length, reverse)
    try:
        with captured_once(trace, function):
            return _scan(trace, function, initial, rows, as_arrays, reverse)
    except UnrollError as error:
        _note_unrolled(trace, len(rows), error)
        return loop_in_turn(function, initial, xs, length, reverse)


def _scan(
    trace: Trace, function: Callable[[Any, Any], Any], initial: Any, rows: Sequence[Any], as_arrays: bool, reverse: bool
) -> tuple[Any, Any]:
    made = LoopBuilder(trace, child := trace.inner(), len(rows), reverse)
    leaves, rebuild = flatten(initial, "the initial carry")
    carries = [child.carried_on(Traced.of(child, made.carry(trace.place(x))), x) for x in leaves]
    row, first = rows[0], list[Any]()
    if row is not None:
        columns = columns_of(rows)
        if columns is None:
            raise UnrollError(Reason("rows", "rows of different lengths"))
        first, rebuild_row = elements(trace, made, child, columns), flatten(row)[1]

    def step() -> tuple[list[Any], Rebuild]:
        carry = rebuild(carries)
        following, y = pair(function, function(carry, None if row is None else rebuild_row(first)))
        after, rebuild_carry = _after(carry, following, len(rows) - 1 if reverse else 0)
        results, rebuild_result = ([], _nothing) if y is None else flatten_result(y)
        count = len(after)
        return [*after, *results], lambda given: (rebuild_carry(given[:count]), rebuild_result(given[count:]))

    branches = explored(child, step, [carries, first])
    found, count = masked(child, branches), len(carries)
    outputs = child.outputs(found[count:])
    handed = [child.place(x) for x in found[:count]]
    loop = finished(trace, made, handed, [(output, "each") for output in outputs])
    last = _last(trace, loop, count)
    items = [trace.emit("item", (loop,), count + k) for k in range(len(outputs))]
    carry, y = branches[0].rebuild([*last, *found[count:]])
    if y is None:
        return carry, None
    results = [branches[0].rebuild([*last, *row])[1] for row in rows_of(trace, items, len(rows))]
    return carry, together(results, as_arrays, None)


def _note_unrolled(trace: Trace, steps: int, error: UnrollError) -> None:
    trace.root().note_unrolled(steps, replace(error.reason, where="steps of a loop"))


def _nothing(given: Sequence[Any]) -> None:
    return None


def _after(carry: Any, following: Any, step: int) -> tuple[list[Any], Rebuild]:
    """The numbers of the carry that a step returns."""
    return flatten(next_carry(carry, following, step), "the carry after a step")


def _last(trace: Trace, loop: int, count: int, first: int = 0) -> list[Traced]:
    """The numbers of the last carry."""
    return [trace.wrap(trace.emit("item", (loop,), k)) for k in range(first, first + count)]


def repeat_steps(trace: Trace, n: Any, function: Callable[[Any, Any], Any], initial: Any) -> Any:
    """`fori` inside a capture; the number of steps may be one of the program."""
    constant = n if not isinstance(n, Value) else trace.number(trace.place(n))
    if constant is not None:
        n = count_of(constant)
        if not trace.root().maps or n < FEWEST_ROWS:
            return repeat_in_turn(n, function, initial)
    try:
        if constant is None and not trace.root().maps:
            raise UnrollError(Reason("sweep", "a sweep that goes beyond a row"))
        with captured_once(trace, function):
            return _repeat(trace, n, function, initial, constant is not None)
    except UnrollError as error:
        steps = n if constant is not None else int(trace.wrap(trace.place(n)))  # a guard
        _note_unrolled(trace, steps, error)
        return repeat_in_turn(steps, function, initial)


def _repeat(trace: Trace, n: Any, function: Callable[[Any, Any], Any], initial: Any, known: bool) -> Any:
    extent: Extent = n if known else STEPS
    steps = None if known else _whole_steps(trace, n)
    made = LoopBuilder(trace, child := trace.inner(), extent, steps=steps)
    leaves, rebuild = flatten(initial, "the initial carry")
    carries = [child.carried_on(Traced.of(child, made.carry(trace.place(x))), x) for x in leaves]
    counter = [Traced.of(child, made.counter)]

    def step() -> tuple[list[Any], Rebuild]:
        carry = rebuild(carries)
        return _after(carry, function(counter[0], carry), 0)

    branches = explored(child, step, [carries, counter])
    loop = finished(trace, made, [child.place(x) for x in masked(child, branches)], [])
    return branches[0].rebuild(_last(trace, loop, len(carries)))


def _whole_steps(trace: Trace, n: Any) -> int:
    """The place of a number of steps, which must be whole: no steps where what is captured does not count."""
    steps = trace.place(n)
    number = trace.wrap(steps)
    whole = trace.predicate(trace.emit("==", (trace.emit("floor", (steps,)), steps)))
    low = trace.predicate(trace.emit(">=", (steps, trace.constant(0.0))))
    right = whole.with_("and", low).with_("and", trace.predicate(trace.emit("<=", (steps, trace.constant(MOST_STEPS)))))
    known = trace.parent is None or trace.rows_branch
    trace.demand(right, lambda: wrong_count(trace.value(steps) if known else None))
    counts = path(trace)
    return steps if counts is None else trace.place(counts.select(number, 0.0))


def while_steps(
    trace: Trace, condition: Callable[[Any], Any], function: Callable[[Any], Any], initial: Any, at_most: int | None
) -> Any:
    """`while_loop` inside a capture: one step is captured, and runs until its condition is false."""
    if not trace.root().maps:
        return while_in_turn(condition, function, initial, at_most)
    try:
        with captured_once(trace, condition, function):
            return _while(trace, condition, function, initial, at_most)
    except UnrollError as error:
        _note_unrolled(trace, 0, error)
        return while_in_turn(condition, function, initial, at_most)


def _while(
    trace: Trace, condition: Callable[[Any], Any], function: Callable[[Any], Any], initial: Any, at_most: int | None
) -> Any:
    leaves, rebuild = flatten(initial, "the initial carry")
    begins = _tested(trace, condition, rebuild, leaves)
    if (counts := path(trace)) is not None:
        begins = trace.place(counts.select(trace.wrap(begins), 0.0))
    if trace.number(begins) == 0.0:
        return rebuild(leaves)
    zero = trace.constant(0.0)
    made = LoopBuilder(trace, child := trace.inner(), STEPS, test=True)
    made.carry(begins if at_most is None or at_most > 0 else zero)
    made.carry(zero)
    if at_most is not None:
        made.carry(begins)  # whether there would be another step without the bound
    carries = [child.carried_on(Traced.of(child, made.carry(trace.place(x))), x) for x in leaves]
    branches = explored(child, lambda: _after(rebuild(carries), function(rebuild(carries)), 0), [carries])
    found = masked(child, branches)
    goes_on = _tested(child, condition, branches[0].rebuild, found, [found])
    count = child.emit("add", (made.counter, child.constant(1.0)))
    handed = [goes_on, count]
    if at_most is not None:
        bound = child.predicate(child.emit("<", (count, child.constant(float(at_most)))))
        handed = [child.place(bound.select(child.wrap(goes_on), 0.0)), count, goes_on]
    begins_where_it_counts(trace, made, counts)
    loop = finished(trace, made, [*handed, *[child.place(x) for x in found]], [])
    if at_most is not None:
        done = trace.emit("==", (trace.emit("item", (loop,), len(handed) - 1), zero))
        trace.demand(trace.predicate(done), lambda: too_many_steps(at_most))
    return branches[0].rebuild(_last(trace, loop, len(carries), len(handed)))


def _tested(
    trace: Trace,
    condition: Callable[[Any], Any],
    rebuild: Rebuild,
    leaves: list[Any],
    given: Sequence[list[Any]] | None = None,
) -> int:
    """Where the outcome of a condition is, as 1 or 0; `given` is for `explored`."""

    def test() -> tuple[list[Any], Rebuild]:
        return flatten_result(truth_of(condition, condition(rebuild(leaves))))

    branches = explored(trace, test, given)
    (outcome,) = masked(trace, branches)
    truth = trace.emit("!=", (trace.place(outcome), trace.constant(0.0)))
    return trace.emit("select", (truth, trace.constant(1.0), trace.constant(0.0)))
