"""The entries of a sparse Jacobian as a program: by which method, and where each number of its result belongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse

from autograd.compiler.sparse import colours
from autograd.compiler.sparse.local import Local, UnfitError
from autograd.compiler.sparse.pattern import pattern
from autograd.ir import seeded
from autograd.ir.block import NUMBER, Array, Loop, Program, size_of, types_of


@dataclass(eq=False)
class Entries:
    """A sparse array without its numbers, and where these are among the numbers of a program's result.

    Attributes
    ----------
    shape, indices, indptr
        Of the array in CSR form.
    places : ndarray
        For each entry, its number in the result.
    again : tuple of ndarray
        Entries to which another number of the result is added, and that number.
    method : str
        How the numbers are computed, for readers.
    sweeps : int
        How many sweeps that takes.
    """

    shape: tuple[int, int]
    indices: Any
    indptr: Any
    places: Any
    again: tuple[Any, Any]
    method: str
    sweeps: int

    def array(self, numbers: Any) -> Any:
        """The sparse array."""
        data = numbers[self.places]
        if len(self.again[0]):
            np.add.at(data, self.again[0], numbers[self.again[1]])
        return scipy.sparse.csr_array((data, self.indices.copy(), self.indptr.copy()), shape=self.shape)

    def describe(self) -> str:
        """A line about it."""
        return f"{len(self.indices):,} entries of {self.shape[0]:,} × {self.shape[1]:,}: {self.method}"


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


def problem(program: Program, columns: dict[int, int], width: int) -> Problem:
    """The derivatives of all outputs of a program by some inputs; `columns` has the first column of each."""
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
    return Problem(replace(program, outputs=outputs), columns, rows, (len(rows), width))


def entries(given: Problem, mode: str, symmetric: bool) -> tuple[Program, Entries]:
    """A program that computes the entries, and where they belong."""
    if mode == "auto":
        try:
            return _by_steps(given, symmetric)
        except UnfitError:
            pass
    found = pattern(given.program, given.columns, given.shape[1])[given.rows]
    if symmetric:
        found = _both(found)
    return _by_colours(given, found, mode, symmetric)


def _by_steps(given: Problem, symmetric: bool) -> tuple[Program, Entries]:
    """The entries from the derivatives of each step."""
    local = Local(given.program, given.columns)
    types = types_of(given.program)
    outputs: dict[int, int] = {}  # array of the new program → where its numbers begin in the result
    first, end, fixed = 0, 0, []
    parts = []
    for o, terms in zip(given.program.outputs, local.run()):
        for t in terms:
            if t.numbers is not None:
                fixed.append(t.numbers)
                source = np.full(len(t.rows), -1)
            else:
                kind = local.builder.type_of(t.array)
                if t.array not in outputs:
                    outputs[t.array] = end
                    end += size_of(kind)
                source = outputs[t.array] + t.places
            parts.append((t.rows + first, t.columns, source))
        first += size_of(types[o])
    none = np.empty(0, dtype=np.intp)
    rows, columns, source = (np.concatenate([none, *part]) for part in zip(*parts)) if parts else (none, none, none)
    numbers, which = np.unique(np.concatenate([np.empty(0), *fixed]), return_inverse=True)
    source[source < 0] = end + which
    arrays = list(outputs)
    if len(numbers):
        arrays.append(local.builder.emit("table", (), ((len(numbers),), tuple(numbers.tolist()))))
    program = local.builder.program(arrays)
    return program, _collected(given, rows, columns, source)


def _collected(given: Problem, rows: Any, columns: Any, source: Any) -> Entries:
    """The entries in the order of CSR, from elements of the outputs, columns and numbers of the result."""
    order = np.lexsort((columns, rows))
    rows, columns, source = rows[order], columns[order], source[order]
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    group = np.cumsum(new) - 1
    starts = np.flatnonzero(new)
    height = int(max(rows.max(initial=-1), given.rows.max(initial=-1))) + 1
    ends = np.searchsorted(rows[starts], np.arange(height + 1))
    counts = (ends[1:] - ends[:-1])[given.rows]
    indptr = np.cumsum([0, *counts])
    entry = np.repeat(ends[:-1][given.rows], counts) + np.arange(indptr[-1]) - np.repeat(indptr[:-1], counts)
    more = np.flatnonzero(~new)  # further numbers of an entry
    by_group = np.argsort(entry, kind="stable")
    low = np.searchsorted(entry[by_group], group[more])
    high = np.searchsorted(entry[by_group], group[more], side="right")
    again = by_group[np.repeat(low, high - low) + _within(high - low)], np.repeat(source[more], high - low)
    small = np.int32 if max(indptr[-1], given.shape[1]) < 2**31 else np.int64
    return Entries(
        given.shape, columns[starts][entry].astype(small), indptr.astype(small), source[starts][entry], again, "by steps", 0
    )


def _within(counts: Any) -> Any:
    """0, 1, … for each of some counts."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


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
    types = types_of(given.program)
    sizes = [size_of(types[o]) for o in given.program.outputs]
    places = _places(sizes, outputs, count, given.rows[rows], colour_of)
    return program, _made(found, places, f"{count} forward sweeps ({how})", count)


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
    widths = [size_of(given.program.inputs[k]) for k in wanted]
    place = np.empty(given.shape[1], dtype=np.intp)
    start = 0
    for k, width in zip(wanted, widths):
        place[given.columns[k] : given.columns[k] + width] = np.arange(start, start + width)
        start += width
    found_at = [wanted.index(k) for k in inputs]
    places = _places(widths, found_at, count, place[found.indices], colour[rows])
    return program, _made(found, places, f"{count} reverse sweeps (colouring of rows)", count)


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


def _made(found: Any, places: Any, method: str, sweeps: int) -> Entries:
    none = np.empty(0, dtype=np.intp)
    return Entries(found.shape, found.indices, found.indptr, places, (none, none), method, sweeps)
