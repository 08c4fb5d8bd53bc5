"""Maps and loops while a function is captured: one row, or one step, is recorded, and runs as a loop of the program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce as reduce_by
from typing import TYPE_CHECKING, Any, NamedTuple

from autograd.compiler.capture.results import flatten_result
from autograd.compiler.capture.signature import read
from autograd.compiler.capture.tracer import Traced
from autograd.compiler.capture.watched import UnrollError
from autograd.ir.block import Array, Guard, Window, size_of, whole
from autograd.ir.builder import LoopBuilder, Predicate
from autograd.modes import caller
from autograd.rows import loop_in_turn, next_carry, pair, steps_of, together
from autograd.tree import Rebuild, flatten

if TYPE_CHECKING:
    from autograd.compiler.capture.trace import Trace

FEWEST_ROWS = 4  # a map or loop over fewer is unrolled
MOST_BRANCHES = 8  # combinations that become masks in a map; with more, its rows are unrolled
FEWEST_INNER_ROWS = 33  # the same, inside the row of another map: lanes are full already


def map_rows(trace: Trace, function: Callable[..., Any], rows: Sequence[Sequence[Any]], reduce: str | None) -> Any:
    """`vmap` inside a capture: one row is captured, the others are a loop. NotImplemented: unroll it."""
    if len(rows) < (FEWEST_ROWS if trace.parent is None else FEWEST_INNER_ROWS):
        return NotImplemented
    made = LoopBuilder(trace, child := trace.inner(), len(rows))
    parts: list[Callable[[], Any]] = []
    for position, part in enumerate(rows[0]):
        if all(row[position] is part for row in rows):
            parts.append(lambda part=part: part)  # type: ignore[misc]  # the same for all rows: lifted where it is used
            continue
        flat = [flatten(row[position])[0] for row in rows]
        if len({len(leaves) for leaves in flat}) != 1:
            return NotImplemented
        rebuild, elements = flatten(part)[1], _elements(trace, made, child, flat)
        parts.append(lambda rebuild=rebuild, elements=elements: rebuild(elements))  # type: ignore[misc]
    try:
        branches = _branches(trace, child, lambda: function(*[part() for part in parts]), len(rows))
        leaves = _masked(child, branches)
    except UnrollError as error:
        trace.root().note_unrolled(len(rows), str(error))
        return NotImplemented
    rebuild = branches[0].rebuild
    outputs = child.outputs(leaves) if reduce is None else [child.place(leaf) for leaf in leaves]
    kind = "each" if reduce is None else "sum"
    outs = [(output, kind) for output in outputs]
    covered = _covers([branch.taken for branch in branches])
    if not covered:
        outs.append((child.place(_any(child, branches).negated()), "sum"))
    loop = made.finish([], outs)
    items = [trace.emit("item", (loop,), k) for k in range(len(outs))]
    if not covered:
        _guard_branches(trace, items.pop(), branches)
    if reduce is None:
        return [rebuild(row) for row in _rows_of(trace, items, len(rows))]
    totals = [trace.wrap(item) for item in items]
    return rebuild([t / float(len(rows)) for t in totals] if reduce == "mean" else totals)


def _branches(trace: Trace, child: Trace, run: Callable[[], Any], count: int) -> list[_Branch]:
    """What a function does in all rows of a map: one run for each combination of branches that rows take."""
    child.taken = {} if trace.parent is None or trace.rows_branch else None
    branches: list[_Branch] = []
    left = list(range(count))
    while left:
        child.watch(left[0])
        with child.watched():
            leaves, rebuild = flatten_result(run())
            leaves = [child.wrap(child.place(leaf)) if child.taken else leaf for leaf in leaves]
        branches.append(_Branch(dict(child.taken or {}), leaves, rebuild, caller(source=True)))
        if not child.taken:
            return branches
        if any(instruction.op == "custom" for instruction in child.code):
            line = branches[0].line
            raise UnrollError(f"the comparison at {line}, for Python code may raise in rows of another branch")
        if len(branches) > MOST_BRANCHES:
            raise UnrollError(f"more than {MOST_BRANCHES} combinations of branches, the last at {caller(source=True)}")
        left = [row for row in left[1:] if not child.holds(branches[-1].taken, row)]
        child.taken = {}
    return branches


def _guard_branches(trace: Trace, others: int, branches: Sequence[_Branch]) -> None:
    """The program is valid while no row takes another branch; the line tells which ones it has."""
    none = trace.emit("==", (others, trace.constant(0.0)))
    trace.guarded.add(none)
    known = sorted([" ".join([str(truth) for truth in branch.taken.values()]) for branch in branches])
    trace.guards.append(Guard(none, True, f"{caller(source=True)} (comparisons: {'; '.join(known)})"))


def scan_steps(
    trace: Trace, function: Callable[[Any, Any], Any], initial: Any, xs: Any, length: int | None, reverse: bool
) -> tuple[Any, Any]:
    """`scan` inside a capture: one step is captured, and runs as a loop where that is possible."""
    rows, as_arrays = steps_of(xs, length)
    if not trace.root().maps or len(rows) < FEWEST_ROWS:
        return loop_in_turn(function, initial, xs, length, reverse)
    try:
        return _loop(trace, function, initial, rows, as_arrays, reverse)
    except UnrollError as error:
        trace.root().note_unrolled(len(rows), str(error))
        return loop_in_turn(function, initial, xs, length, reverse)


def _loop(
    trace: Trace, function: Callable[[Any, Any], Any], initial: Any, rows: Sequence[Any], as_arrays: bool, reverse: bool
) -> tuple[Any, Any]:
    made = LoopBuilder(trace, child := trace.inner(), len(rows), reverse)
    leaves, rebuild = flatten(initial, "the initial carry")
    carry = rebuild([Traced.of(child, made.carry(trace.place(x))) for x in leaves])
    row = rows[0]
    if row is not None:
        flat = [flatten(x)[0] for x in rows]
        if len({len(numbers) for numbers in flat}) != 1:
            raise UnrollError("rows of different lengths")
        row = flatten(row)[1](_elements(trace, made, child, flat))
    with child.watched():
        following, y = pair(function, function(carry, row))
        following = next_carry(carry, following, len(rows) - 1 if reverse else 0)
        after, rebuild = flatten(following, "the carry after a step")
        handed = [child.place(x) for x in after]
        results, rebuild_result = flatten_result(y) if y is not None else ([], None)
        outputs = child.outputs(results)
    loop = made.finish(handed, [(output, "each") for output in outputs])
    last = rebuild([trace.wrap(trace.emit("item", (loop,), k)) for k in range(len(handed))])
    if rebuild_result is None:
        return last, None
    items = [trace.emit("item", (loop,), len(handed) + k) for k in range(len(outputs))]
    return last, together([rebuild_result(x) for x in _rows_of(trace, items, len(rows))], as_arrays, None)


def _rows_of(trace: Trace, arrays: Sequence[int], count: int) -> Iterator[list[Traced]]:
    """The numbers of each row of some arrays."""
    sizes = [(array, size_of(trace.type_of(array)) // count) for array in arrays]
    for row in range(count):
        yield [Traced.element(trace, array, row * size + k) for array, size in sizes for k in range(size)]


class _Branch(NamedTuple):
    """One run of a function on a row: how comparisons came out, the numbers of the result, and what it looks like."""

    taken: dict[int, bool]
    leaves: list[Any]
    rebuild: Rebuild
    line: str

    def condition(self, child: Trace) -> Predicate:
        """The truth that a row takes this branch."""
        parts = [
            child.predicate(at) if outcome else child.predicate(at).negated() for at, outcome in self.taken.items()
        ]
        return reduce_by(lambda one, other: one.with_("and", other), parts)


def _any(child: Trace, branches: Sequence[_Branch]) -> Predicate:
    """The truth that a row takes one of these branches."""
    return reduce_by(lambda one, other: one.with_("or", other), [branch.condition(child) for branch in branches])


def _masked(child: Trace, branches: Sequence[_Branch]) -> list[Any]:
    """The numbers of the result, whichever branch a row takes."""
    shapes = {read(branch.rebuild([0.0] * len(branch.leaves))).signature for branch in branches}
    if len(shapes) > 1:
        raise UnrollError(f"results of different shapes at {branches[-1].line}")
    leaves = branches[-1].leaves
    for branch in reversed(branches[:-1]):
        condition = branch.condition(child)
        leaves = [condition.select(x, other) for x, other in zip(branch.leaves, leaves)]
    return leaves


def _covers(branches: Sequence[Mapping[int, bool]]) -> bool:
    """Whether any row takes one of these branches, however its comparisons come out."""
    if not all(branches):
        return True
    if not branches:
        return False
    first = next(iter(branches[0]))
    sides = [[taken for taken in branches if taken.get(first) is side] for side in (True, False)]
    return all(_covers([{k: v for k, v in taken.items() if k != first} for taken in side]) for side in sides)


class _Column:
    """What the rows of a map have in one place: elements of an array, evenly apart, constants, or any values."""

    def __init__(self, trace: Trace, leaves: Sequence[Any]) -> None:
        self.leaves = leaves
        self.array, self.offset, self.stride = -1, 0, 0
        self.constants = all(type(x) is float for x in leaves)
        if (
            all(type(x) is Traced and x._array >= 0 for x in leaves)
            and len({(x.builder, x._array) for x in leaves}) == 1
        ):
            offsets = [x._offset for x in leaves]
            stride = offsets[1] - offsets[0]
            if offsets == list(range(offsets[0], offsets[0] + stride * len(offsets), stride or 1)):
                self.array, self.offset, self.stride = trace.array(leaves[0]), offsets[0], stride

    def continues(self, first: _Column, distance: int) -> bool:
        """Whether this column is so many columns behind another one of the same array."""
        if self.constants or self.array < 0:
            return self.constants and first.constants
        place = first.array, first.offset + distance, first.stride
        return place == (self.array, self.offset, self.stride)


def _elements(trace: Trace, made: LoopBuilder, child: Trace, rows: Sequence[Sequence[Any]]) -> list[Any]:
    """Tracers in the body of a map for the numbers of a row; what is the same in all rows stays as it is."""
    columns = [_Column(trace, column) for column in zip(*rows)]
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
        element = made.element(_gathered(trace, group))
        if len(group) == 1:
            found.append(Traced.of(child, element))
        else:
            found += [Traced.element(child, element, k) for k in range(len(group))]
    return found


def _gathered(trace: Trace, group: Sequence[_Column]) -> int:
    """The array of one or more columns next to one another."""
    first, count = group[0], len(group[0].leaves)
    shape = (count, len(group)) if len(group) > 1 else (count,)
    if first.constants:
        return trace.emit("table", (), (shape, tuple([x for row in zip(*[c.leaves for c in group]) for x in row])))
    if first.array < 0:
        return trace.emit("pack", tuple([trace.place(x) for x in first.leaves]), shape)
    window = Window(shape, first.offset, (first.stride, 1)[: len(shape)])
    kind = trace.type_of(first.array)
    assert isinstance(kind, Array)
    return first.array if window == whole(kind) else trace.emit("read", (first.array,), window)
