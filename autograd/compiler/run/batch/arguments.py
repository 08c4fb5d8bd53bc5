"""Reading the arguments of a batch: arrays and lists of rows, as matrices of numbers.

The rows of an array are not copied if NumPy can view them as a matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from autograd.compiler.capture.signature import NUMBER, Build, Listed, Reader, Rows, Signature
from autograd.tree import as_doubles, children, is_array, only_floats


class NotRowsError(Exception):
    """The arguments or the results cannot be arrays of floats: the call takes the slow path."""


class Argument(NamedTuple):
    """What one reading of an argument of a batch found.

    Attributes
    ----------
    signature : hashable
        What two calls must share to run the same machine code.
    build : callable
        Makes the argument from numbers; or from arrays of rows, if it is mapped.
    arrays : list of ndarray of float64, shape (n, width)
        The rows, if it is mapped.
    in_arrays : bool
        Whether some of its rows lie in an ndarray.
    """

    signature: Signature
    build: Build
    arrays: list[Any]
    in_arrays: bool = False


def rows_of(tree: Any, axis: int, path: str, reader: Reader) -> Argument:
    """The rows of a mapped argument; the reader keeps what containers hold besides their numbers."""
    if is_array(tree):
        return _rows_of_array(tree, axis, path)
    if isinstance(tree, list):
        if axis != 0:
            raise NotRowsError
        return _rows_of_list(tree, path, reader)
    parts = children(tree)
    if parts is None or hasattr(tree, "tree_flatten"):
        raise NotRowsError
    inside = [rows_of(part, axis, path + name, reader) for name, part in parts.named]
    signature = reader.node(tree, parts, [part.signature for part in inside])
    arrays = [array for part in inside for array in part.arrays]
    in_arrays = any(part.in_arrays for part in inside)
    rebuild = parts.rebuild
    return Argument(signature, lambda rows: rebuild([part.build(rows) for part in inside]), arrays, in_arrays)


def _rows_of_array(array: Any, axis: int, path: str) -> Argument:
    if array.dtype == object or not -array.ndim <= axis < array.ndim:
        raise NotRowsError
    moved = np.moveaxis(as_doubles(array, path), axis, 0)
    shape = moved.shape
    flat = moved.reshape(len(moved), -1) if moved.size else np.empty((len(moved), 0))

    def build(rows: Iterator[Any]) -> Any:
        given = next(rows)
        return np.moveaxis(given.reshape(len(given), *shape[1:]), 0, axis)

    return Argument(Rows(axis, shape[1:]), build, [flat], True)


def _rows_of_list(tree: list[Any], path: str, reader: Reader) -> Argument:
    items = list.copy(tree)
    if items and only_floats(items):  # the common case
        return Argument(Listed((NUMBER,)), lambda given: next(given)[:, 0].tolist(), [np.array(items).reshape(-1, 1)])
    inside = Reader()
    rows = [inside.read(row, path) for row in items]
    signatures = dict.fromkeys([signature for signature, _ in rows])
    if len(signatures) > 1 or not only_floats(inside.leaves):
        raise NotRowsError
    reader.kept += inside.kept
    array = np.array(inside.leaves, dtype=float).reshape(len(rows), -1) if rows else np.empty((0, 0))
    build = rows[0][1] if rows else next

    def build_rows(given: Iterator[Any]) -> list[Any]:
        return [build(iter(row)) for row in next(given).tolist()]

    return Argument(Listed(tuple(signatures)), build_rows, [array])
