"""Terms: derivatives of the elements of a value by columns of a Jacobian, many at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LOOSE = -2


class UnfitError(Exception):
    """A program has steps that depend on one another, or parts that are computed in other ways."""


class Terms(NamedTuple):
    """Derivatives of the elements of a value: ``rows[k]`` by ``columns[k]``.

    They are `numbers`, or if there are none, elements `places` of an array of the program, number `array`. Of results
    of the program they may also be `LOOSE`: then `places` are numbers of the program.
    """

    rows: Any
    columns: Any
    numbers: Any
    array: int = -1
    places: Any = None

    def chosen(self, kept: Any, rows: Any) -> Terms:
        """Some of them, as terms of other rows."""
        numbers = None if self.numbers is None else self.numbers[kept]
        places = None if self.places is None else self.places[kept]
        return Terms(rows, self.columns[kept], numbers, self.array, places)


def constants_together(terms: list[Terms]) -> list[Terms]:
    """The terms that are always the same as one, without duplicates."""
    fixed = [t for t in terms if t.numbers is not None]
    if len(fixed) < 2:
        return terms
    rows, columns, numbers = (np.concatenate(parts) for parts in zip(*[t[:3] for t in fixed]))
    return [Terms(*summed(rows, columns, numbers)), *[t for t in terms if t.numbers is None]]


def summed(rows: Any, columns: Any, numbers: Any) -> tuple[Any, Any, Any]:
    """Entries in order, those of the same place added up."""
    order = np.lexsort((columns, rows))
    rows, columns, numbers = rows[order], columns[order], numbers[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    starts = np.flatnonzero(first)
    return rows[starts], columns[starts], np.add.reduceat(numbers, starts) if len(starts) else numbers
