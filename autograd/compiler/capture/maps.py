"""Maps while a function is captured: one row is recorded, and runs as a loop of the program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from autograd.compiler.capture.branches import (
    MOST_BRANCHES,
    Branch,
    any_of,
    covers,
    explored,
    masked,
    refuse_python,
    too_many,
)
from autograd.compiler.capture.repeats import check_repeats, without_repeats
from autograd.compiler.capture.results import flatten_result
from autograd.compiler.capture.spent import captured_once
from autograd.compiler.capture.tracer import Traced, evenly_apart, offsets_in_array
from autograd.compiler.capture.watched import UnrollError, Watched
from autograd.ir.block import Array, Guard, Window, size_of, whole
from autograd.ir.builder import LoopBuilder
from autograd.ir.roll.rolling import FEWEST_IN_MAPS, roll_code
from autograd.modes import caller
from autograd.rows import in_arrays
from autograd.tree import Rebuild, columns_of, flatten, only_floats

if TYPE_CHECKING:
    from autograd.compiler.capture.trace import Trace

FEWEST_ROWS = 4  # a map or loop over fewer is unrolled
MOST_PACKED = 64  # rows whose elements are packed one by one; of more, a loop reads them at their places
FEWEST_INNER_ROWS = 33  # the same, inside the row of another map: lanes are full already


def map_rows(
    trace: Trace, function: Callable[..., Any], rows: Sequence[Sequence[Any]], as_arrays: bool, reduce: str | None
) -> Any:
    """`vmap` inside a capture: one row is captured, the others are a loop. NotImplemented: unroll it."""
    if len(rows) < (FEWEST_INNER_ROWS if _is_in_map(trace) else FEWEST_ROWS):
        return NotImplemented
    made = LoopBuilder(trace, child := trace.inner(), len(rows))
    parts: list[Callable[[], Any]] = []
    tracers: list[list[Any]] = []
    for position, part in enumerate(rows[0]):
        if all(row[position] is part for row in rows):
            parts.append(lambda part=part: part)  # type: ignore[misc]  # the same for all rows: lifted where it is used
            continue
        columns = columns_of([row[position] for row in rows])
        if columns is None:
            return NotImplemented
        rebuild, given = flatten(part)[1], elements(trace, made, child, columns)
        parts.append(lambda rebuild=rebuild, given=given: rebuild(given))  # type: ignore[misc]
        tracers.append(given)
    try:
        with captured_once(trace, function):
            branches = _branches(trace, child, lambda: function(*[part() for part in parts]), len(rows), tracers)
            leaves = masked(child, branches)
    except UnrollError as error:
        trace.root().note_unrolled(len(rows), error.reason)
        return NotImplemented
    rebuild = branches[0].rebuild
    outputs = child.outputs(leaves) if reduce is None else [child.place(leaf) for leaf in leaves]
    kind = "each" if reduce is None else "sum"
    outs = [(output, kind) for output in outputs]
    covered = covers([branch.taken for branch in branches])
    if not covered:
        outs.append((child.place(any_of(child, branches).negated()), "sum"))
    loop = finished(trace, made, [], outs)
    items = [trace.emit("item", (loop,), k) for k in range(len(outs))]
    if not covered:
        _guard_branches(trace, items.pop(), branches)
    if reduce is None:
        results = rows_of(trace, items, len(rows))
        return in_arrays(rebuild(results[0]), results) if as_arrays else [rebuild(row) for row in results]
    totals = [trace.wrap(item) for item in items]
    return rebuild([t / float(len(rows)) for t in totals] if reduce == "mean" else totals)


def _is_in_map(trace: Trace) -> bool:
    """Whether what is captured runs for rows, by which lanes are filled, rather than in the steps of a loop."""
    while trace.parent is not None:
        if trace.body_of is None or not trace.body_of.given["carry"]:
            return True
        trace = trace.parent
    return False


def finished(trace: Trace, made: LoopBuilder, handed: Sequence[int], outs: Sequence[tuple[int, str]]) -> int:
    """Emit the loop; what its steps demand is demanded of all of them here."""
    child = made.inner
    assert isinstance(child, Watched)
    values = [*handed, *[value for value, _ in outs], *[child.place(what) for what, _ in child.demands]]
    values = without_repeats(child, values)
    handed = values[: len(handed)]
    outs = list(zip(values[len(handed) :], [*[kind for _, kind in outs], *["sum"] * len(child.demands)]))
    if handed or len(child.code) >= FEWEST_IN_MAPS:  # before its derivatives are taken: shorter rows of a map stay flat
        roll_code(child, 0, len(child.code), values)
    loop = made.finish(handed, outs)
    for k, (_, error) in enumerate(child.demands, len(values) - len(child.demands)):
        none = trace.emit("==", (trace.emit("item", (loop,), k), trace.constant(0.0)))
        trace.demand(trace.predicate(none), error)
    return loop


def _branches(
    trace: Trace, child: Trace, run: Callable[[], Any], count: int, given: Sequence[list[Any]]
) -> list[Branch]:
    """What a function does in all rows of a map: one run for each combination of branches that rows take."""
    if trace.parent is not None and not trace.rows_branch:  # nobody knows what the rows are in each step
        return explored(child, lambda: flatten_result(run()), given)
    branches: list[Branch] = []
    left = list(range(count))

    def run_row(row: int) -> tuple[list[Any], Rebuild]:
        child.taken = {}
        child.watch(row)
        with child.watched():
            leaves, rebuild = flatten_result(run())
            return [child.wrap(child.place(leaf)) if child.taken else leaf for leaf in leaves], rebuild

    while left:
        leaves, rebuild = run_row(left[0])
        taken: dict[int, bool] = child.taken or {}
        if not branches:
            check_repeats(child, leaves, lambda: run_row(0)[0], given)
        child.taken = {}
        branches.append(Branch(taken, leaves, rebuild, caller(source=True)))
        if not taken:
            return branches
        refuse_python(child, branches)
        if len(branches) > MOST_BRANCHES:
            raise too_many()
        left = [row for row in left[1:] if not child.holds(branches[-1].taken, row)]
    return branches


def _guard_branches(trace: Trace, others: int, branches: Sequence[Branch]) -> None:
    """The program is valid while no row takes another branch; the line tells which ones it has."""
    none = trace.emit("==", (others, trace.constant(0.0)))
    trace.guarded.add(none)
    known = sorted([" ".join([str(truth) for truth in branch.taken.values()]) for branch in branches])
    trace.guards.append(Guard(none, True, f"{caller(source=True)} (comparisons: {'; '.join(known)})"))


def rows_of(trace: Trace, arrays: Sequence[int], count: int) -> list[tuple[Traced, ...]]:
    """The numbers of each row of some arrays."""
    columns: list[list[Traced]] = []
    for array in arrays:
        size = size_of(trace.type_of(array)) // count
        numbers = Traced.elements(trace, array, size * count)
        columns += [numbers[k::size] for k in range(size)]
    return list(zip(*columns)) if columns else [()] * count


class Column:
    """What the rows of a map have in one place: elements of an array, evenly apart, constants, or any values."""

    def __init__(self, trace: Trace, leaves: Sequence[Any]) -> None:
        self.leaves = leaves
        self.array, self.offset, self.stride = -1, 0, 0
        self.places: list[int] | None = None  # of elements of one array that are not evenly apart
        self.constants = only_floats(leaves)
        found = None if self.constants else evenly_apart(leaves, 0, len(leaves))
        if found is not None:
            self.array = trace.array(leaves[0])
            self.offset, self.stride = found
        elif len(leaves) >= MOST_PACKED:
            self.places = offsets_in_array(leaves)

    def continues(self, first: Column, distance: int) -> bool:
        """Whether this column is so many columns behind another one of the same array."""
        if self.places is not None and first.places is not None:
            same = self.leaves[0].builder is first.leaves[0].builder and self.leaves[0]._array == first.leaves[0]._array
            return same and all(there == here + distance for there, here in zip(self.places, first.places))
        if self.constants or self.array < 0:
            return self.constants and first.constants
        place = first.array, first.offset + distance, first.stride
        return place == (self.array, self.offset, self.stride)


def elements(trace: Trace, made: LoopBuilder, child: Trace, of_rows: Sequence[Sequence[Any]]) -> list[Any]:
    """Tracers in the body of a map for the numbers of a row; what is the same in all rows stays as it is.

    `of_rows` has for each of the numbers what it is in all rows.
    """
    columns = [Column(trace, column) for column in of_rows]
    found: list[Any] = []
    while len(found) < len(columns):
        first = columns[len(found)]
        if all(other is first.leaves[0] for other in first.leaves):
            found.append(first.leaves[0])
            continue
        group = [first]
        for column in columns[len(found) + 1 :]:
            if not column.continues(first, len(group)):
                break
            group.append(column)
        element = made.element(gathered(trace, group))
        if len(group) == 1:
            found.append(Traced.of(child, element))
        else:
            found += Traced.elements(child, element, len(group))
    return found


def gathered(trace: Trace, group: Sequence[Column]) -> int:
    """The array of one or more columns next to one another."""
    first, count = group[0], len(group[0].leaves)
    shape = (count, len(group)) if len(group) > 1 else (count,)
    if first.constants:
        return trace.emit("table", (), (shape, tuple([x for row in zip(*[c.leaves for c in group]) for x in row])))
    if first.places is not None:
        return _read_at(trace, trace.array(first.leaves[0]), first.places, len(group))
    if first.array < 0:
        return trace.emit("pack", tuple([trace.place(x) for x in first.leaves]), shape)
    window = Window(shape, first.offset, (first.stride, 1)[: len(shape)])
    kind = trace.type_of(first.array)
    assert isinstance(kind, Array)
    return first.array if window == whole(kind) else trace.emit("read", (first.array,), window)


def _read_at(trace: Trace, array: int, places: Sequence[int], width: int) -> int:
    """An array with a row for each place: so many elements of another array, beginning there."""
    made = LoopBuilder(trace, child := trace.inner(), len(places))
    index = made.element(trace.emit("table", (), ((len(places),), tuple(map(float, places)))))
    source = made.shared(array)
    row = [child.emit("read", (source, index), Window((), k, (), (1,))) for k in range(width)]
    out = child.emit("pack", tuple(row), (width,)) if width > 1 else row[0]
    return trace.emit("item", (finished(trace, made, [], [(out, "each")]),), 0)
