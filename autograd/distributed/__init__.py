"""Compiled functions over the blocks of Dask collections: on threads, on processes, on the machines of a cluster.

Dask holds the data, plans the tasks and repeats those that a lost worker did not finish. This package adds two things:
functions that travel as their programs and are compiled once in each process, and sums whose order does not depend on
which worker finishes first. `plan` makes the tasks where the user is; `tasks` runs on the workers.

>>> import dask.array as da
>>> import numpy as np
>>> from autograd import distributed, jit, value_and_grad, vmap
>>> X = da.from_array(np.arange(6.0), chunks=2)
>>> fast = jit(vmap(lambda x: x * x))
>>> squares = distributed.map_blocks(fast, X)
>>> squares.chunks, squares.compute()
(((2, 2, 2),), array([ 0.,  1.,  4.,  9., 16., 25.]))
>>> error = vmap(lambda w, x: (w * x - 2.0) ** 2, in_axes=(None, 0), reduce="sum")
>>> distributed.reduce(jit(value_and_grad(error)), 1.0, X).compute()
(19.0, 50.0)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from autograd.distributed.plan import planned
from autograd.distributed.tasks import BlockError

if TYPE_CHECKING:
    from autograd.compiler import Compiled

__all__ = ["BlockError", "map_blocks", "reduce"]


def map_blocks(fast: Compiled[..., Any], *args: Any, sample: Sequence[Any] | None = None) -> Any:
    """Run a compiled map over the rows of Dask collections, block by block; nothing is computed yet.

    The function is traced here, on `sample`. It travels to the workers as its programs, and each process compiles them
    once; processes on one machine share the cache on disk. Rows that take a branch that has no program yet are traced
    where they are, so the function must be importable there, or cloudpickle must be able to pickle it.

    Parameters
    ----------
    fast : Compiled
        ``jit(vmap(f))`` with any `in_axes` and options; it must not close over Values. If ``threads=`` is given, each
        block uses as many.
    *args : Dask collections and trees of numbers
        What has rows is a Dask array, DataFrame or Series, or a tuple, dict or dataclass of them. Arrays are in
        chunks along the rows only, all in the same ones. A DataFrame is taken as the dict of its columns. What all
        rows share (None in `in_axes`) is a tree of numbers.
    sample : sequence, optional
        Arguments for one block, on which to trace: a few rows as NumPy arrays, and what they share. By default one row
        of ones, which is right unless `f` refuses ones.

    Returns
    -------
    tree of Dask arrays, Dask Series or Dask DataFrame
        What `fast` returns, with the rows of all blocks. If the rows come from DataFrames or Series: a Series if `f`
        returns a number, a DataFrame if it returns a dict of numbers, with the same index and divisions.

    Raises
    ------
    BlockError
        When computed: if a block has another shape than its collection says, or numbers of another kind, or if `f`
        raises. The message has the number of the block.
    ImportError
        If Dask is not installed.
    TypeError
        If `fast` is not ``jit(vmap(f))`` or closes over Values, or an argument with rows is not a Dask collection.
    ValueError
        If the collections are not cut into the same blocks of rows; if results of rows of DataFrames are neither
        numbers nor dicts of numbers.

    Examples
    --------
    >>> import autograd.math as am
    >>> import dask.array as da
    >>> from autograd import distributed, grad, jit, vmap
    >>> slopes = jit(vmap(grad(am.sin)))
    >>> distributed.map_blocks(slopes, da.zeros(4, chunks=2)).compute()
    array([1., 1., 1., 1.])
    """
    plan = planned("map_blocks", fast, args, sample)
    if not plan.batch.mapped.stacks:
        raise TypeError(
            "map_blocks takes a function with a result for every row, as jit(vmap(f)) is; for sums over the rows and "
            "their gradients use reduce"
        )
    return plan.as_frame() if plan.is_frame else plan.as_arrays()


def reduce(step: Compiled[..., Any], *args: Any, sample: Sequence[Any] | None = None) -> Any:
    """Add up what a compiled function returns for each block of Dask collections, in a fixed order.

    The blocks are added in their order, eight at a time, then these sums, and so on. Which worker computes a block, and
    when, has no effect on any bit of the result, as long as the workers have the same processors: sums over the rows
    of a block are computed in the lanes of the processor.

    Parameters
    ----------
    step : Compiled
        Such as ``jit(value_and_grad(vmap(loss, in_axes=(None, 0, 0), reduce="mean")))``: a function that reduces over
        rows, or its gradient by arguments that all rows share. With "mean", blocks count by their rows.
    *args, sample
        As for `map_blocks`.

    Returns
    -------
    Delayed
        Its ``compute()`` gives what `step` returns for all rows.

    Raises
    ------
    BlockError, ImportError
        As for `map_blocks`.
    TypeError, ValueError
        Also if `step` has results for every row, or, when computed, for the mean over no rows.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from autograd import distributed, jit, value_and_grad, vmap
    >>> def loss(p, x, y):
    ...     return (p["slope"] * x + p["base"] - y) ** 2
    >>> step = jit(value_and_grad(vmap(loss, in_axes=(None, 0, 0), reduce="mean")))
    >>> x = da.arange(5, chunks=2)
    >>> distributed.reduce(step, {"slope": 1.0, "base": 0.0}, x, 2 * x + 1).compute()
    (11.0, {'slope': -16.0, 'base': -6.0})
    """
    plan = planned("reduce", step, args, sample)
    if plan.batch.mapped.reduce is None or plan.has_rows:
        raise TypeError(
            "reduce takes a function that adds up its rows, such as jit(value_and_grad(vmap(loss, in_axes=(None, 0), "
            "reduce='sum'))); for results of every row use map_blocks"
        )
    return plan.as_total()
