"""Linear systems, inverse, determinant and interpolation on numbers of any kind: floats, Values, and arrays of them.

NumPy has no dispatch for arrays of objects in `numpy.linalg` and `numpy.interp`; these functions take them. The results
are arrays of Values if a Value is among the operands, else arrays of floats.
"""

from __future__ import annotations

from typing import Any

from autograd import rules
from autograd.ieee import to_float
from autograd.modes import now

__all__ = ["det", "interp", "inv", "solve"]

MINORS = 3  # rows; the determinant of a larger matrix is first made smaller by elimination
THRESHOLD = 0.1  # a pivot may be this fraction of the largest one, so that fewer orders of rows are compiled


def _is_value(x: Any) -> bool:
    return hasattr(type(x), "apply_rule")


def _matrix(a: Any, name: str) -> list[list[Any]]:
    """The rows of a square matrix, as lists of Values and floats."""
    import numpy

    array = numpy.asarray(a, dtype=object)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise ValueError(f"{name} takes one square matrix, not an array of shape {array.shape}")
    return [[x if _is_value(x) else to_float(x) for x in row] for row in array.tolist()]


def _array(numbers: Any) -> Any:
    import numpy

    array = numpy.array(numbers, dtype=object)
    return array if any(map(_is_value, array.ravel())) else array.astype(float)


def _clear(rows: list[list[Any]], k: int) -> int:
    """One step of Gaussian elimination: clear column k below the diagonal; -1 if rows were exchanged, else 1."""
    sign, size = 1, len(rows)
    best = max(range(k, size), key=lambda i: abs(now(rows[i][k])))
    if abs(now(rows[k][k])) < THRESHOLD * abs(now(rows[best][k])):
        rows[k], rows[best], sign = rows[best], rows[k], -1
    pivot = rows[k][k]
    for row in rows[k + 1 :]:  # guards: compiled code is valid while this pivot is large enough
        if abs(pivot) < THRESHOLD * abs(row[k]):
            raise AssertionError("the pivot was chosen by the same numbers")
    for i in range(k + 1, size):
        if not _is_value(rows[i][k]) and rows[i][k] == 0.0:
            continue
        factor = rules.div(rows[i][k], pivot)
        rows[i] = [*rows[i][: k + 1], *[x - factor * y for x, y in zip(rows[i][k + 1 :], rows[k][k + 1 :])]]
    return sign


def solve(a: Any, b: Any) -> Any:
    """The solution x of a·x = b, as `numpy.linalg.solve` returns it for one matrix.

    Parameters
    ----------
    a : array of shape (n, n)
        Numbers, Values, or both.
    b : array of shape (n,) or (n, k)
        The right sides, as columns.

    Returns
    -------
    ndarray
        Of the shape of `b`.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    numpy.linalg.LinAlgError
        If the matrix is singular.

    Examples
    --------
    >>> from autograd import Value, linalg
    >>> a = Value(2.0)
    >>> x = linalg.solve([[a, 1.0], [0.0, 4.0]], [3.0, 4.0])
    >>> x[0].backward()
    >>> x[0].data, a.grad
    (1.0, -0.5)
    """
    import numpy

    rows = _matrix(a, "solve")
    size = len(rows)
    right = numpy.asarray(b, dtype=object)
    if right.ndim not in (1, 2) or right.shape[0] != size:
        raise ValueError(f"a matrix of shape {(size, size)} and right sides of shape {right.shape} do not fit")
    width = 1 if right.ndim == 1 else right.shape[1]
    columns = right.reshape(size, width).tolist()
    upper = [[*row, *[x if _is_value(x) else to_float(x) for x in more]] for row, more in zip(rows, columns)]
    for k in range(size):
        _clear(upper, k)
    found: list[list[Any]] = [[]] * size
    for i in reversed(range(size)):
        if upper[i][i] == 0.0:
            raise numpy.linalg.LinAlgError("Singular matrix")
        row = [upper[i][size + c] for c in range(width)]
        for j in range(i + 1, size):
            row = [x - upper[i][j] * y for x, y in zip(row, found[j])]
        found[i] = [x / upper[i][i] for x in row]
    return _array(found).reshape(right.shape)


def inv(a: Any) -> Any:
    """The inverse of a square matrix, as `numpy.linalg.inv` returns it for one matrix.

    Raises
    ------
    ValueError, numpy.linalg.LinAlgError
        As `solve` does.

    Examples
    --------
    >>> from autograd import linalg
    >>> linalg.inv([[2.0, 0.0], [0.0, 4.0]])
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    size = len(_matrix(a, "inv"))
    return solve(a, [[float(i == j) for j in range(size)] for i in range(size)])


def det(a: Any) -> Any:
    """The determinant of a square matrix; its derivatives are right also for singular ones.

    Raises
    ------
    ValueError
        If it is not one square matrix.

    Examples
    --------
    >>> from autograd import Value, linalg
    >>> a = Value(2.0)
    >>> d = linalg.det([[a, 1.0], [3.0, 4.0]])
    >>> d.backward()
    >>> d.data, a.grad
    (5.0, 4.0)
    """
    rows = _matrix(a, "det")
    product: Any = 1.0
    for k in range(len(rows) - MINORS):
        column = next((j for j in range(k, len(rows)) if any(row[j] != 0.0 for row in rows[k:])), None)
        if column is None:
            return 0.0
        if column != k:  # there is no pivot in a column of zeros
            product = -product
            for row in rows:
                row[k], row[column] = row[column], row[k]
        product = product * _clear(rows, k) * rows[k][k]
    return product * _det_by_minors([row[-MINORS:] for row in rows[-MINORS:]])


def _det_by_minors(rows: list[list[Any]]) -> Any:
    """The determinant by minors, which is right also where a pivot would be 0."""
    if not rows:
        return 1.0
    total: Any = 0.0
    for j, x in enumerate(rows[0]):
        minor = x * _det_by_minors([[*row[:j], *row[j + 1 :]] for row in rows[1:]])
        total = total - minor if j % 2 else total + minor
    return total


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    """Linear interpolation in a table, as `numpy.interp` returns it.

    Parameters
    ----------
    x : number, Value or array of them
        Where to interpolate.
    xp, fp : sequences of the same length
        The places, which do not decrease, and the numbers there; both may hold Values. It jumps where two places are
        equal.
    left, right : number or Value, optional
        The results below and above the table; by default the first and the last of `fp`.

    Raises
    ------
    ValueError
        If the table is empty, or its parts have different lengths.

    Examples
    --------
    >>> from autograd import Value, linalg
    >>> x = Value(1.5)
    >>> y = linalg.interp(x, [0.0, 1.0, 2.0], [0.0, 1.0, 4.0])
    >>> y.backward()
    >>> y.data, x.grad
    (2.5, 3.0)
    """
    places, numbers = list(xp), list(fp)
    if len(places) != len(numbers) or not places:
        raise ValueError(f"interp takes as many places as numbers, at least one, not {len(places)} and {len(numbers)}")
    first, last = numbers[0] if left is None else left, numbers[-1] if right is None else right

    def at(x: Any) -> Any:
        y = numbers[-1]
        for k in reversed(range(len(places) - 1)):
            slope = rules.div(
                numbers[k + 1] - numbers[k], places[k + 1] - places[k]
            )  # not selected between equal places
            y = rules.where(x < places[k + 1], slope * (x - places[k]) + numbers[k], y)
        y = rules.where(x < places[0], first, y)
        y = rules.where(x > places[-1], last, y)
        return rules.where(x == x, y, x)  # nan

    if getattr(x, "ndim", 0) or isinstance(x, (list, tuple)):
        import numpy

        array = numpy.asarray(x, dtype=object)
        return _array([at(each) for each in array.ravel()]).reshape(array.shape)
    return at(x)
