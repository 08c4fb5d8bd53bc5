"""The entries of a sparse Jacobian as a program: by which method, and where each number of its result belongs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse

from autograd.compiler.sparse import colours
from autograd.compiler.sparse.local import Local
from autograd.compiler.sparse.order import in_order
from autograd.compiler.sparse.pattern import pattern
from autograd.compiler.sparse.terms import LOOSE, Terms, UnfitError
from autograd.ir import seeded, simplify
from autograd.ir.block import NUMBER, Instruction, Program, Window, size_of, types_of
from autograd.ir.fusion import fused
from autograd.transforms.sparse import index_type


@dataclass(eq=False)
class Entries:
    """A sparse array without its numbers, and where these are among the numbers of a program's result.

    Attributes
    ----------
    empty : csr_array
        The array with other numbers.
    places : ndarray or None
        For each entry, its number in the result; None if the result is the entries in order.
    sums : csr_array or None
        If entries are sums of numbers of the result: the matrix that adds them up.
    method : str
        How the numbers are computed, for readers.
    sweeps : int
        How many sweeps over the function that takes; 0 if there are none.
    """

    empty: Any
    places: Any
    sums: Any
    method: str
    sweeps: int

    def __call__(self, numbers: Any) -> Any:
        """The sparse array of a result, which belongs to it."""
        if self.sums is not None:
            data = self.sums @ numbers[: self.sums.shape[1]]
        else:
            data = numbers if self.places is None else numbers.take(self.places)
        empty = self.empty
        found = empty.__class__.__new__(empty.__class__)
        found.__dict__.update(empty.__dict__, data=data, indices=empty.indices.copy(), indptr=empty.indptr.copy())
        return found

    def describe(self) -> str:
        """A line about it."""
        rows, columns = self.empty.shape
        return f"{self.empty.nnz:,} entries of {rows:,} × {columns:,}: {self.method}"


@dataclass(eq=False)
class Problem:
    """What is differentiated: a program, the columns of its inputs, and the rows of its outputs.

    Attributes
    ----------
    program : Program
        Its outputs are whole arrays where numbers of the result are elements of one.
    columns : dict
        Input → the column of its first number.
    rows : ndarray
        For each row, the number of the output among all numbers of the outputs.
    shape : tuple of int
        Of the Jacobian.
    """

    program: Program
    columns: dict[int, int]
    rows: Any
    shape: tuple[int, int]

    def simplified(self, accurate: bool) -> Problem:
        """The same with a program whose loops hand on nothing that does not change."""
        simple = simplify.simplify(self.program, accurate)
        if any(data.carries for op, _, data in simple.code if op == "loop"):
            simple = simplify.simplify(simplify.share_unchanged(simple), accurate)
        if any(op == "loop" for op, _, _ in simple.code):
            simple = simplify.simplify(fused(simple), accurate)
        return replace(self, program=simple)


def problem(program: Program, columns: dict[int, int], width: int) -> Problem:
    """The derivatives of all outputs of a program by some inputs; `columns` has the first column of each."""
    program = _shared_items(simplify.remove_dead_code(program))
    types = types_of(program)
    arrays: dict[int, None] = {}
    places: list[tuple[int, int]] = []  # value, and which of its elements
    for output in program.outputs:
        op, operands, window = program.code[output]
        kind = types[output]
        if op == "read" and len(operands) == 1 and kind == NUMBER:
            places.append((operands[0], window.offset))
        else:
            places += [(output, k) for k in range(size_of(kind))]
        arrays[places[-1][0] if places else output] = None
    used = {value for value, _ in places}
    outputs = [value for value in arrays if value in used]
    ends = np.cumsum([0, *[size_of(types[value]) for value in outputs]]).tolist()
    first = dict(zip(outputs, ends))
    rows = np.array([first[value] + k for value, k in places], dtype=np.intp)
    left = simplify.remove_dead_code(replace(program, outputs=outputs))
    return Problem(left, columns, rows, (len(rows), width))


def _shared_items(program: Program) -> Program:
    """The same program with one item for results of a loop that are the same."""
    known: dict[Any, int] = {}
    code = list(program.code)

    def moved(value: int) -> int:
        op, operands, data = code[value]
        return known.get((operands[0], data), value) if op == "item" else value

    for at, (op, operands, data) in enumerate(code):
        if op == "item" and data >= (loop := code[operands[0]].data).handed:
            results = [*zip(loop.body.outputs[loop.handed :], loop.kinds)]
            same = loop.handed + results.index(results[data - loop.handed])
            code[at] = Instruction(op, operands, same)
            known.setdefault((operands[0], same), at)
        else:
            code[at] = Instruction(op, tuple([moved(o) for o in operands]), data)
    return replace(program, code=code, outputs=[moved(o) for o in program.outputs])


def entries(given: Problem, mode: str, symmetric: bool) -> tuple[Program, Entries]:
    """A program that computes the entries, and where they belong: by the method that computes least."""
    by_steps = None
    if mode == "auto":
        try:
            by_steps = _by_steps(given, symmetric)
        except UnfitError:
            pass
        else:
            sweeps = CHEAP if symmetric else max(CHEAP, 1 + _fewest_colours(by_steps[1].empty))
            if executed(by_steps[0]) <= sweeps * executed(given.program) + FEW:
                return by_steps
    found = pattern(given.program, given.columns, given.shape[1])[given.rows]
    if symmetric:
        found = _both(found)
    by_colours = _by_colours(given, found, mode, symmetric)
    if by_steps is not None and executed(by_steps[0]) <= executed(by_colours[0]):
        return by_steps
    return by_colours


def _fewest_colours(found: Any) -> int:
    """As many colours as any colouring of rows or columns has: entries of one row are of several colours."""
    rows, columns = np.diff(found.indptr), np.bincount(found.indices)
    return int(min(rows.max(initial=0), columns.max(initial=0)))


def executed(program: Program) -> int:
    """About how many operations a program executes: a loop whose number of steps is data counts as one of few."""
    total = 0
    for op, _, data in program.code:
        if op == "loop":
            total += (data.extent if isinstance(data.extent, int) else UNKNOWN_STEPS) * executed(data.body)
        elif op not in simplify.NOTHING_TO_COMPUTE:
            total += 1
    return total


CHEAP = 4  # times the operations of the function: sweeps for two colours execute more, those for n at least 1 + n
FEW = 200  # operations, of which it does not matter how many there are
UNKNOWN_STEPS = 10


def _by_steps(given: Problem, symmetric: bool) -> tuple[Program, Entries]:
    """The entries from the derivatives of each step."""
    local = Local(given.program, given.columns)
    types = types_of(given.program)
    terms: list[Terms] = []
    first = 0
    for o, found in zip(given.program.outputs, local.run()):
        terms += [t._replace(rows=t.rows + first) for t in found]
        first += size_of(types[o])
    terms = [part for t in terms for part in _of_rows(given.rows, t) if len(part.rows)]
    if symmetric:
        terms = _one_half(terms, given.shape[1])
    terms = _added_up(local, terms)
    rows, columns, source, arrays = _sources(local, terms)
    if symmetric:
        other = rows != columns
        pairs = (rows, columns[other]), (columns, rows[other]), (source, source[other])
        rows, columns, source = (np.concatenate(pair) for pair in pairs)
    program = simplify.remove_dead_code(local.builder.program(arrays))
    return _collected(program, given.shape, rows, columns, source, "derivatives of each step")


def _of_rows(results: Any, terms: Terms) -> Iterator[Terms]:
    """The terms of the rows of the result, given those of the outputs' numbers; several results may be one number."""
    order = np.argsort(results, kind="stable")
    low, high = np.searchsorted(results[order], terms.rows), np.searchsorted(results[order], terms.rows, side="right")
    for k in range(int((high - low).max(initial=0))):
        kept = np.flatnonzero(high - low > k)
        yield terms.chosen(kept, order[low[kept] + k])


def _one_half(terms: Sequence[Terms], width: int) -> list[Terms]:
    """Of a symmetric matrix the terms below the diagonal, and those above it that have no counterpart."""
    if not terms:
        return []
    rows, columns = (np.concatenate(part) for part in zip(*[(t.rows, t.columns) for t in terms]))
    below = rows >= columns
    kept = below | ~np.isin(columns * width + rows, np.unique(rows[below] * width + columns[below]))
    ends = np.cumsum([0, *[len(t.rows) for t in terms]])
    masks = [np.flatnonzero(kept[start:end]) for start, end in pairwise(ends)]
    return [t.chosen(mask, t.rows[mask]) for t, mask in zip(terms, masks) if len(mask)]


def _added_up(local: Local, terms: list[Terms]) -> list[Terms]:
    """The same terms, in which those along one diagonal are added up in one array, if there are several such."""
    diagonals: dict[int, list[Terms]] = {}
    found = []
    for t in terms:
        steady = len(t.rows) >= SHORTEST and t.array >= 0
        if steady and all((np.diff(numbers) == 1).all() for numbers in (t.rows, t.columns, t.places)):
            diagonals.setdefault(int(t.rows[0] - t.columns[0]), []).append(t)
        else:
            found.append(t)
    for distance, parts in diagonals.items():
        for together in _overlapping(parts):
            found += [_total(local, together, distance)] if len(together) > 1 else together
    return found


def _overlapping(terms: list[Terms]) -> Iterator[list[Terms]]:
    """Terms along one diagonal, in groups that have no gap between them."""
    group: list[Terms] = []
    end = -1
    for t in sorted(terms, key=lambda t: int(t.rows[0])):
        if group and t.rows[0] >= end:
            yield group
            group = []
        end = max(end, int(t.rows[-1]) + 1) if group else int(t.rows[-1]) + 1
        group.append(t)
    yield group


def _total(local: Local, terms: list[Terms], distance: int) -> Terms:
    """The sum of terms along one diagonal, in an array of their own."""
    builder = local.builder
    low, high = int(terms[0].rows[0]), max(int(t.rows[-1]) for t in terms) + 1
    total = builder.emit("zeros", (), (high - low,))
    for t in terms:
        part = builder.emit("read", (t.array,), Window((len(t.rows),), int(t.places[0]), (1,)))
        total = builder.emit("add_at", (total, part), Window((len(t.rows),), int(t.rows[0]) - low, (1,)))
    rows = np.arange(low, high)
    return Terms(rows, rows - distance, None, total, rows - low)


SHORTEST = 32  # terms along a diagonal that are added up in the program


def _sources(local: Local, terms: Sequence[Terms]) -> tuple[Any, Any, Any, list[int]]:
    """Rows, columns, and where in the result the number of each term is; the outputs of the program."""
    outputs: dict[int, int] = {}  # value of the new program → where its numbers begin in the result
    end = 0
    none = np.empty(0, dtype=np.intp)
    parts = [(none, none, none)]
    fixed: list[Any] = [np.empty(0)]
    for t in terms:
        if t.numbers is not None:
            fixed.append(t.numbers)
            parts.append((t.rows, t.columns, np.full(len(t.rows), -1)))
            continue
        values = t.places.tolist() if t.array == LOOSE else [t.array]
        for value in values:
            if value not in outputs:
                outputs[value] = end
                end += size_of(local.builder.type_of(value))
        starts = np.array([outputs[value] for value in values])
        parts.append((t.rows, t.columns, starts if t.array == LOOSE else starts + t.places))
    rows, columns, source = (np.concatenate(part) for part in zip(*parts))
    numbers = np.concatenate(fixed)
    arrays = list(outputs)
    if len(numbers):
        constant = np.flatnonzero(source < 0)
        order = np.lexsort((columns[constant], rows[constant]))  # as in the array
        source[constant[order]] = end + np.arange(len(numbers))
        arrays.append(local.builder.emit("table", (), ((len(numbers),), tuple(numbers[order].tolist()))))
    return rows, columns, source, arrays


def _collected(
    program: Program, shape: tuple[int, int], rows: Any, columns: Any, source: Any, method: str
) -> tuple[Program, Entries]:
    """The entries in the order of CSR; several terms of one entry are added up at each call."""
    order = np.argsort(rows.astype(np.int64) * shape[1] + columns, kind="stable")  # often in order: faster than lexsort
    rows, columns, source = rows[order], columns[order], source[order]
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    starts = np.flatnonzero(new)
    ends = np.searchsorted(rows[starts], np.arange(shape[0] + 1))
    empty = _empty(columns[starts], ends, shape)
    if new.all():
        program, places = in_order(program, source)
        return program, Entries(empty, places, None, method, 0)
    several = np.array([*starts, len(rows)])
    sums = scipy.sparse.csr_array((np.ones(len(rows)), source, several), shape=(len(starts), int(source.max()) + 1))
    return program, Entries(empty, None, sums, method, 0)


def _empty(columns: Any, ends: Any, shape: tuple[int, int]) -> Any:
    index = index_type(len(columns), shape)
    given = np.zeros(len(columns)), columns.astype(index), ends.astype(index)
    found = scipy.sparse.csr_array(given, shape=shape)
    assert found.has_canonical_format
    return found


def _both(found: Any) -> Any:
    """A pattern with the transpose of each entry."""
    union = (found + found.T).tocsr()
    union.sort_indices()
    return union


def _by_colours(given: Problem, found: Any, mode: str, symmetric: bool) -> tuple[Program, Entries]:
    """The entries by forward or reverse sweeps, with a seed for each colour."""
    rows = np.repeat(np.arange(found.shape[0]), np.diff(found.indptr))
    forward = colours.of_columns(found)
    if symmetric and (star := colours.of_symmetric(found)).max(initial=-1) < forward.max(initial=-1):
        where, colour = colours.symmetric_entries(found, star)
        return _forward(given, found, star, where, colour, "star colouring")
    count = int(forward.max(initial=-1)) + 1
    if mode != "fwd" and not symmetric:
        backward = colours.of_columns(found.T.tocsr())
        sweeps = int(backward.max(initial=-1)) + 1
        if mode == "rev" or REVERSE_COST * sweeps < FORWARD_COST * count:
            return _reverse(given, found, backward, rows)
    return _forward(given, found, forward, rows, forward[found.indices], "colouring of columns")


FORWARD_COST, REVERSE_COST = 2.0, 4.0  # of a sweep, for that of the function


def _forward(given: Problem, found: Any, colour: Any, rows: Any, colour_of: Any, how: str) -> tuple[Program, Entries]:
    count = int(colour.max(initial=-1)) + 1
    seeds = {k: _seeds(colour, count, first, size_of(given.program.inputs[k])) for k, first in given.columns.items()}
    program, outputs = seeded.sweeps(given.program, seeds, count)
    program = simplify.remove_dead_code(program)
    types = types_of(given.program)
    sizes = [size_of(types[o]) for o in given.program.outputs]
    places = _places(sizes, outputs, count, given.rows[rows], colour_of)
    return _made(program, found, places, f"{count} forward sweeps ({how})", count)


def _reverse(given: Problem, found: Any, colour: Any, rows: Any) -> tuple[Program, Entries]:
    count = int(colour.max(initial=-1)) + 1
    types = types_of(given.program)
    sizes = [size_of(types[o]) for o in given.program.outputs]
    ends = np.cumsum([0, *sizes])
    seeds = np.zeros((count, ends[-1]))
    np.add.at(seeds, (colour, given.rows), 1.0)
    by_output = {k: seeds[:, ends[k] : ends[k + 1]].ravel().tolist() for k in range(len(sizes))}
    wanted = list(given.columns)
    program, inputs = seeded.sweeps(given.program, by_output, count, wanted)
    program = simplify.remove_dead_code(program)
    widths = [size_of(given.program.inputs[k]) for k in wanted]
    place = np.empty(given.shape[1], dtype=np.intp)
    start = 0
    for k, width in zip(wanted, widths):
        place[given.columns[k] : given.columns[k] + width] = np.arange(start, start + width)
        start += width
    found_at = [wanted.index(k) for k in inputs]
    places = _places(widths, found_at, count, place[found.indices], colour[rows])
    return _made(program, found, places, f"{count} reverse sweeps (colouring of rows)", count)


def _seeds(colour: Any, count: int, first: int, size: int) -> list[float]:
    seeds = np.zeros((count, size))
    seeds[colour[first : first + size], np.arange(size)] = 1.0
    numbers: list[float] = seeds.ravel().tolist()
    return numbers


def _places(sizes: Sequence[int], outputs: Sequence[int], count: int, numbers: Any, colour: Any) -> Any:
    """Where a number of the derivatives for a colour is in the result; `outputs` tells which ones have derivatives."""
    starts = np.full(len(sizes), -1, dtype=np.intp)
    total = 0
    for k in outputs:
        starts[k] = total
        total += count * sizes[k]
    ends = np.cumsum([0, *sizes])
    which = np.searchsorted(ends, numbers, side="right") - 1
    assert (starts[which] >= 0).all()
    return starts[which] + colour * np.array([*sizes, 0])[which] + numbers - ends[which]


def _made(program: Program, found: Any, places: Any, method: str, sweeps: int) -> tuple[Program, Entries]:
    program, left = in_order(program, places)
    return program, Entries(_empty(found.indices, found.indptr, found.shape), left, None, method, sweeps)
