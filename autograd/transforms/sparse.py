"""Sparse derivatives: the pattern of a Jacobian, and Jacobians and Hessians that hold only its entries.

The rows are the numbers of the result, the columns those of the argument, both in the order of their trees. An entry is
structural if a chain of operations leads from the input to the output on the path that this run took; its number may
still be 0.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autograd.eager import GraphSweeps
from autograd.transforms.origin import Function, P, check_function, set_origin
from autograd.transforms.run import Argnums, Run, check_argnums
from autograd.tree import flatten


def scipy_sparse() -> Any:
    """The module `scipy.sparse`.

    Raises
    ------
    ImportError
        If SciPy is not installed.
    """
    try:
        import scipy.sparse
    except ImportError:
        raise ImportError(
            "sparse Jacobians and Hessians are arrays of scipy.sparse, and SciPy is not installed: "
            "pip install 'scalar-autograd[sparse]'"
        ) from None
    return scipy.sparse


def sparsity(function: Callable[P, Any], argnums: Argnums = 0) -> Callable[P, Any]:
    """A function that returns the pattern of the Jacobian of `function`: which output depends on which input.

    Parameters
    ----------
    function : callable
        Returns a tree of numbers.
    argnums : int or sequence of int
        Which positional arguments to differentiate by; each is a tree of numbers.

    Returns
    -------
    callable
        Takes what `function` takes; returns a ``scipy.sparse.csr_array`` of booleans with a row for each number of the
        result and a column for each number of the arguments, in the order of their trees (arrays row after row). An
        entry is there if there is a message from the output to the input: on the path that the function takes with
        these arguments, through the selected sides of `where`, `max` and `min`.

    Raises
    ------
    TypeError, ValueError
        As for `jacobian`.
    ImportError
        When called, if SciPy is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from autograd import sparsity
    >>> sparsity(lambda x: x[1:] * x[:-1])(np.array([1.0, 2.0, 3.0])).toarray().astype(int)
    array([[1, 1, 0],
           [0, 1, 1]])
    """
    check_function("sparsity", function)
    check_argnums(argnums)

    @functools.wraps(function)
    def pattern(*args: Any, **options: Any) -> Any:
        rows, columns = _entries("sparsity", function, args, argnums, options, "auto")
        return _csr([dict.fromkeys(row, True) for row in rows], columns, bool)

    return pattern


def sparse_jacobian(function: Function, argnums: Argnums, mode: str) -> Function:
    """`jacobian` with ``sparse=True``."""

    @functools.wraps(function)
    def entries(*args: Any, **options: Any) -> Any:
        rows, columns = _entries("jacobian(sparse=True)", function, args, argnums, options, mode)
        return _csr(rows, columns, float)

    set_origin(entries, "jacobian", function, argnums, mode, True)
    return entries


def sparse_hessian(function: Function, gradient: Function, argnums: Argnums) -> Function:
    """`hessian` with ``sparse=True``, given the gradient."""

    @functools.wraps(function)
    def entries(*args: Any, **options: Any) -> Any:
        rows, columns = _entries("hessian(sparse=True)", gradient, args, argnums, options, "auto")
        return _csr(rows, columns, float)

    set_origin(entries, "hessian", function, argnums, True)
    return entries


def _entries(
    asked: str, function: Function, args: Sequence[Any], argnums: Argnums, options: Any, mode: str
) -> tuple[Sequence[Mapping[int, Any]], int]:
    """The rows of the Jacobian as dicts from columns to entries, and how many columns there are.

    Raises
    ------
    TypeError
        If the entries would be Values: an array of `scipy.sparse` holds plain numbers.
    """
    scipy_sparse()
    run = Run(function, args, argnums, options)
    outputs, _ = flatten(run.result, f"the result of {run.name}")
    sweeps = run.sweeps(outputs)
    if run.symbolic and isinstance(sweeps, GraphSweeps):
        raise TypeError(
            f"{asked} of {run.name} holds plain numbers, so it cannot be differentiated again or taken by Values: use "
            "jacobian or hessian without sparse=True inside another transform, and pass plain numbers"
        )
    return sweeps.rows(mode), len(run.inputs)


def _csr(rows: Sequence[Mapping[int, Any]], columns: int, kind: type) -> Any:
    """The array with these rows: columns in order, no column twice."""
    import numpy

    count, shape = sum(map(len, rows)), (len(rows), columns)
    index = index_type(count, shape)
    ends = numpy.cumsum([0, *map(len, rows)]).astype(index)
    places = numpy.fromiter((column for row in rows for column in sorted(row)), dtype=index, count=count)
    numbers: Any = numpy.fromiter((row[column] for row in rows for column in sorted(row)), dtype=kind, count=count)
    return scipy_sparse().csr_array((numbers, places, ends), shape=shape)


def index_type(count: int, shape: tuple[int, int]) -> Any:
    """The smallest type for the indices of an array with this number of entries: most solvers take 32 bits only."""
    return scipy_sparse().get_index_dtype(maxval=max(count, *shape))
