"""Terms: derivatives of the elements of a value by columns of a Jacobian, many at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LOOSE = -2  # in place of an array: the terms are numbers that are not packed in one


class UnfitError(Exception):
    """The terms of this program cannot be computed step by step: steps depend on one another, for example."""


class Terms(NamedTuple):
    """Derivatives of elements of a value by columns.

    Attributes
    ----------
    rows, columns : ndarrays of int
        Term k is the derivative of element ``rows[k]`` by column ``columns[k]``.
    numbers : ndarray or None
        The terms, if they are the same in every call.
    array, places : int, ndarray of int
        Else the array of the program that has the terms, and where in it they are. With `LOOSE` for the array, `places`
        are values of the program.
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
    """The terms, with all that are the same in every call as one `Terms`, each entry once."""
    fixed = [t for t in terms if t.numbers is not None]
    if len(fixed) < 2:
        return terms
    rows, columns, numbers = (np.concatenate(parts) for parts in zip(*[t[:3] for t in fixed]))
    return [Terms(*summed(rows, columns, numbers)), *[t for t in terms if t.numbers is None]]


def summed(rows: Any, columns: Any, numbers: Any) -> tuple[Any, Any, Any]:
    """Entries in order; those with the same row and column are added up."""
    order = np.lexsort((columns, rows))
    rows, columns, numbers = rows[order], columns[order], numbers[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    starts = np.flatnonzero(first)
    return rows[starts], columns[starts], np.add.reduceat(numbers, starts) if len(starts) else numbers
