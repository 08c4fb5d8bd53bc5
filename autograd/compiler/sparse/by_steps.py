"""The entries of a Jacobian from the derivatives of each step of a loop: see `program_terms`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse

from autograd.compiler.sparse.order import in_order
from autograd.compiler.sparse.problem import Entries, Problem, without_numbers
from autograd.compiler.sparse.program_terms import ProgramTerms
from autograd.compiler.sparse.terms import LOOSE, Terms
from autograd.ir.block import Program, Window, size_of, types_of
from autograd.ir.passes import simplify

SHORTEST_DIAGONAL = 32  # terms; those of shorter diagonals are not added up in the program


def by_steps(given: Problem, symmetric: bool) -> tuple[Program, Entries]:
    """A program that computes the terms of the entries, and the sparse array they belong to.

    Raises
    ------
    UnfitError
        If this method does not fit the program.
    """
    local = ProgramTerms(given.program, given.columns)
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
    """The terms of the rows, given those of the numbers of the outputs; a number may be the result of several rows."""
    order = np.argsort(results, kind="stable")
    low, high = np.searchsorted(results[order], terms.rows), np.searchsorted(results[order], terms.rows, side="right")
    for k in range(int((high - low).max(initial=0))):
        kept = np.flatnonzero(high - low > k)
        yield terms.chosen(kept, order[low[kept] + k])


def _one_half(terms: Sequence[Terms], width: int) -> list[Terms]:
    """The terms of one half of a symmetric matrix: those below the diagonal, and those without a counterpart there."""
    if not terms:
        return []
    rows, columns = (np.concatenate(part) for part in zip(*[(t.rows, t.columns) for t in terms]))
    below = rows >= columns
    kept = below | ~np.isin(columns * width + rows, np.unique(rows[below] * width + columns[below]))
    ends = np.cumsum([0, *[len(t.rows) for t in terms]])
    masks = [np.flatnonzero(kept[start:end]) for start, end in pairwise(ends)]
    return [t.chosen(mask, t.rows[mask]) for t, mask in zip(terms, masks) if len(mask)]


def _added_up(local: ProgramTerms, terms: list[Terms]) -> list[Terms]:
    """The terms, where long terms that overlap along a diagonal are added up in one array."""
    diagonals: dict[int, list[Terms]] = {}
    found = []
    for t in terms:
        steady = len(t.rows) >= SHORTEST_DIAGONAL and t.array >= 0
        if steady and all((np.diff(numbers) == 1).all() for numbers in (t.rows, t.columns, t.places)):
            diagonals.setdefault(int(t.rows[0] - t.columns[0]), []).append(t)
        else:
            found.append(t)
    for distance, parts in diagonals.items():
        for together in _overlapping(parts):
            found += [_total(local, together, distance)] if len(together) > 1 else together
    return found


def _overlapping(terms: list[Terms]) -> Iterator[list[Terms]]:
    """Terms along one diagonal, in groups that overlap."""
    group: list[Terms] = []
    end = -1
    for t in sorted(terms, key=lambda t: int(t.rows[0])):
        if group and t.rows[0] >= end:
            yield group
            group = []
        end = max(end, int(t.rows[-1]) + 1) if group else int(t.rows[-1]) + 1
        group.append(t)
    yield group


def _total(local: ProgramTerms, terms: list[Terms], distance: int) -> Terms:
    """The sum of terms along one diagonal, in a new array."""
    builder = local.builder
    low, high = int(terms[0].rows[0]), max(int(t.rows[-1]) for t in terms) + 1
    total = builder.emit("zeros", (), (high - low,))
    for t in terms:
        part = builder.emit("read", (t.array,), Window((len(t.rows),), int(t.places[0]), (1,)))
        total = builder.emit("add_at", (total, part), Window((len(t.rows),), int(t.rows[0]) - low, (1,)))
    rows = np.arange(low, high)
    return Terms(rows, rows - distance, None, total, rows - low)


def _sources(local: ProgramTerms, terms: Sequence[Terms]) -> tuple[Any, Any, Any, list[int]]:
    """For all terms their rows, columns and places in the result; and the outputs of the program."""
    outputs: dict[int, int] = {}  # value of the program → where its numbers begin in the result
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
    empty = without_numbers(columns[starts], ends, shape)
    if new.all():
        program, places = in_order(program, source)
        return program, Entries(empty, places, None, method, 0)
    several = np.array([*starts, len(rows)])
    sums = scipy.sparse.csr_array((np.ones(len(rows)), source, several), shape=(len(starts), int(source.max()) + 1))
    return program, Entries(empty, None, sums, method, 0)
