"""The entries of a Jacobian by forward or reverse sweeps; each sweep takes all columns or rows of one colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd.compiler.sparse import colours
from autograd.compiler.sparse.order import in_order
from autograd.compiler.sparse.problem import Entries, Problem, without_numbers
from autograd.ir.block import Program, size_of, types_of
from autograd.ir.derive import seeded
from autograd.ir.passes import simplify

FORWARD_COST, REVERSE_COST = 2.0, 4.0  # of a sweep, where the function costs 1


def by_colours(given: Problem, found: Any, mode: str, symmetric: bool) -> tuple[Program, Entries]:
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


def _forward(given: Problem, found: Any, colour: Any, rows: Any, colour_of: Any, how: str) -> tuple[Program, Entries]:
    count = int(colour.max(initial=-1)) + 1
    seeds = {k: _seeds(colour, count, first, size_of(given.program.inputs[k])) for k, first in given.columns.items()}
    program, outputs = seeded.sweeps(given.program, seeds, count)
    program = simplify.remove_dead_code(program)
    types = types_of(given.program)
    sizes = [size_of(types[o]) for o in given.program.outputs]
    places = _places(sizes, outputs, count, given.rows[rows], colour_of)
    return _finished(program, found, places, f"{count} forward sweeps ({how})", count)


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
    return _finished(program, found, places, f"{count} reverse sweeps (colouring of rows)", count)


def _seeds(colour: Any, count: int, first: int, size: int) -> list[float]:
    seeds = np.zeros((count, size))
    seeds[colour[first : first + size], np.arange(size)] = 1.0
    numbers: list[float] = seeds.ravel().tolist()
    return numbers


def _places(sizes: Sequence[int], outputs: Sequence[int], count: int, numbers: Any, colour: Any) -> Any:
    """Where in the result these numbers of the derivatives are; `outputs` are those that have derivatives, in order."""
    starts = np.full(len(sizes), -1, dtype=np.intp)
    total = 0
    for k in outputs:
        starts[k] = total
        total += count * sizes[k]
    ends = np.cumsum([0, *sizes])
    which = np.searchsorted(ends, numbers, side="right") - 1
    assert (starts[which] >= 0).all()
    return starts[which] + colour * np.array([*sizes, 0])[which] + numbers - ends[which]


def _finished(program: Program, found: Any, places: Any, method: str, sweeps: int) -> tuple[Program, Entries]:
    program, left = in_order(program, places)
    return program, Entries(without_numbers(found.indices, found.indptr, found.shape), left, None, method, sweeps)
