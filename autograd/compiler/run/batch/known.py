"""Which rows of the last call took which path: most rows of the next call take the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from autograd.compiler.run.batch.code import RowBuffers, RowCode
from autograd.compiler.run.batch.trace import BatchReading

MOST_KEPT = 1 << 18  # numbers of a call whose rows are remembered


class Served(NamedTuple):
    """A run of machine code.

    Attributes
    ----------
    code : RowCode
        The machine code.
    rows : ndarray of int or None
        The rows that it was given; None for all.
    wrong : ndarray of int
        The rows of which a guard failed.
    """

    code: RowCode
    rows: Any
    wrong: Any


class Group(NamedTuple):
    """The rows that one machine code served, with buffers for them."""

    rows: Any
    buffers: RowBuffers

    def run(self, reading: BatchReading, outputs: list[Any]) -> Any:
        """Run these rows of a call and put their results into place; return the rows of which a guard failed."""
        rows, buffers = self
        for array, taken in zip(reading.arrays, buffers.arrays):
            array.take(rows, 0, taken, "clip")  # with another mode, NumPy makes a copy first
        buffers.run(reading.shared())
        return scatter(buffers, rows, outputs)


class KnownRows(NamedTuple):
    """How the rows of a call were served, and how many there were."""

    length: int
    groups: list[Group]

    def fit(self, reading: BatchReading, codes: Sequence[RowCode]) -> bool:
        """Whether a call has as many rows, and all this machine code is still in use."""
        return self.length == reading.count and {id(group.buffers.code) for group in self.groups} <= set(map(id, codes))

    def run(self, reading: BatchReading, outputs: list[Any]) -> list[Served]:
        """Run each row of a call with the machine code that served it before."""
        return [Served(group.buffers.code, group.rows, group.run(reading, outputs)) for group in self.groups]


def scatter(buffers: RowBuffers, rows: Any, outputs: list[Any]) -> Any:
    """Put the results of some rows of a call into place; return the rows of which a guard failed."""
    if not buffers.failed.any():
        for out, target in zip(outputs, buffers.targets):
            out[rows] = target
        return rows[:0]
    right = np.flatnonzero(buffers.failed == 0)
    for out, target in zip(outputs, buffers.targets):
        out[rows[right]] = target[right]
    return rows[buffers.failed != 0]


def remembered(reading: BatchReading, served: Sequence[Served]) -> KnownRows | None:
    """How the rows of a call were served; None if the next call gains nothing from it."""
    size = reading.count * sum(array.shape[1] for array in reading.arrays)
    if len(served) < 2 or size > MOST_KEPT:
        return None
    by_code: dict[int, tuple[RowCode, list[Any]]] = {}
    for code, given, wrong in served:
        rows = np.arange(reading.count) if given is None else given
        rows = np.setdiff1d(rows, wrong, assume_unique=True) if len(wrong) else rows
        if len(rows):
            by_code.setdefault(id(code), (code, []))[1].append(rows)
    if sum([len(rows) for _, parts in by_code.values() for rows in parts]) < reading.count:
        return None  # the others were evaluated: no machine code is right for them
    groups = []
    for code, parts in by_code.values():
        rows = np.sort(np.concatenate(parts))
        groups.append(Group(rows, RowBuffers(code, [array[rows] for array in reading.arrays])))
    return KnownRows(reading.count, groups)
