"""Colours: which columns of a sparse matrix one sweep can take together.

A sweep with a seed of 1 for each column of a colour gives the sum of these columns. If no two of them have an entry in
the same row, each number of the sum is an entry (Curtis, Powell and Reid, On the estimation of sparse Jacobian
matrices, 1974). Of a symmetric matrix either of two entries is enough, so it needs fewer colours (Powell and Toint, On
the estimation of sparse Hessian matrices, 1979; the algorithm is that of Gebremedhin, Manne and Pothen, What color is
your Jacobian?, 2005, section 4).
"""

from __future__ import annotations

from typing import Any

import numpy as np


def of_columns(pattern: Any) -> Any:
    """A colour for each column of a matrix in CSR form, so that columns with an entry in the same row differ.

    The columns with the most entries come first. A row keeps the colours that it has seen as the bits of a number, so
    the work is proportional to the entries.

    Examples
    --------
    >>> import scipy.sparse
    >>> of_columns(scipy.sparse.csr_array([[1, 1, 0], [0, 1, 1]])).tolist()
    [1, 0, 1]
    """
    by_columns = pattern.tocsc()
    rows, ends = by_columns.indices.tolist(), by_columns.indptr.tolist()
    seen = [0] * pattern.shape[0]
    colours = [0] * pattern.shape[1]
    for column in np.argsort(-np.diff(by_columns.indptr), kind="stable").tolist():
        mine = rows[ends[column] : ends[column + 1]]
        taken = 0
        for row in mine:
            taken |= seen[row]
        free = ~taken & (taken + 1)  # the lowest bit that is 0
        for row in mine:
            seen[row] |= free
        colours[column] = free.bit_length() - 1
    return np.array(colours, dtype=np.intp)


def of_symmetric(pattern: Any) -> Any:
    """A colour for each column of a symmetric matrix in CSR form, so that one of each two entries can be read off.

    Neighbours differ, and the two ends of a path of three differ unless the one between them has a smaller colour.

    Examples
    --------
    >>> import scipy.sparse
    >>> arrow = scipy.sparse.csr_array([[1, 1, 1], [1, 1, 0], [1, 0, 1]])
    >>> of_symmetric(arrow).tolist(), of_columns(arrow).tolist()
    ([0, 1, 1], [0, 1, 2])
    """
    indices, ends = pattern.indices.tolist(), pattern.indptr.tolist()
    near = [[j for j in indices[ends[i] : ends[i + 1]] if j != i] for i in range(pattern.shape[0])]
    colours = [-1] * pattern.shape[0]
    for v in np.argsort(-np.diff(pattern.indptr), kind="stable").tolist():
        forbidden = set()
        for w in near[v]:
            if colours[w] >= 0:
                forbidden.add(colours[w])
            for x in near[w]:
                if x != v and colours[x] >= 0 and not 0 <= colours[w] < colours[x]:
                    forbidden.add(colours[x])
        colour = 0
        while colour in forbidden:
            colour += 1
        colours[v] = colour
    return np.array(colours, dtype=np.intp)


def symmetric_entries(pattern: Any, colours: Any) -> tuple[Any, Any]:
    """Where to read each entry of a symmetric matrix: the row of the product, and its colour.

    Entry (i, j) is number i of the sweep with the colour of j if no other neighbour of i has that colour; else (j, i)
    is read in the same way.
    """
    rows = np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))
    columns = pattern.indices
    width = int(colours.max(initial=-1)) + 1
    key = rows * width + colours[columns]
    _, inverse, counts = np.unique(key, return_inverse=True, return_counts=True)
    alone = counts[inverse] == 1
    return np.where(alone, rows, columns), np.where(alone, colours[columns], colours[rows])
