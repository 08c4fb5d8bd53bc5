"""Compiled functions over the blocks of Dask collections: on threads, on processes, on the machines of a cluster.

Dask holds the data, plans the tasks and repeats those that a lost worker did not finish. Here is what it needs besides:
a function that travels as its programs and is compiled once in each process, and sums whose order does not depend on
which worker finishes first.

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

import hashlib
import math
import pickle
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from operator import getitem
from typing import TYPE_CHECKING, Any, NamedTuple

from autograd.compiler import locks
from autograd.tree import children, flatten
from autograd.value import Value

if TYPE_CHECKING:
    from autograd.compiler import Compiled
    from autograd.compiler.run.batch import Batch

Layer = dict[Any, Any]  # the tasks of a Dask graph by their names

__all__ = ["BlockError", "map_blocks", "reduce"]

TOGETHER = 8  # parts of a sum that one task adds up
SENT = "_sent"  # the attribute of a compiled function with its last pickle
MOST_FUNCTIONS = 32  # that a process keeps compiled; the one used for longest ago is dropped


class BlockError(RuntimeError):
    """The computation of a block failed; the message says why.

    Attributes
    ----------
    block : int
        The number of the block along the rows, counted from 0.
    """

    def __init__(self, message: str, block: int) -> None:
        super().__init__(message, block)
        self.block = block

    def __str__(self) -> str:
        return str(self.args[0])


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
    plan = _plan("map_blocks", fast, args, sample)
    if not plan.batch.stacks:
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
    plan = _plan("reduce", step, args, sample)
    if plan.batch.reduce is None or plan.has_rows:
        raise TypeError(
            "reduce takes a function that adds up its rows, such as jit(value_and_grad(vmap(loss, in_axes=(None, 0), "
            "reduce='sum'))); for results of every row use map_blocks"
        )
    return plan.as_total()


# ---- what is planned where the user is -----------------------------------------------------------------------------


class _Place(NamedTuple):
    """Stands in an argument where a collection was."""

    number: int


class _Leaf(NamedTuple):
    """A collection among the arguments: what each of its blocks must be.

    Attributes
    ----------
    name : str
        What messages call it.
    kind : str
        "array", "series" or "frame".
    shape : tuple of int
        The shape of one row of an array.
    columns : tuple
        The names of the columns of a DataFrame.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    columns: tuple[Any, ...]

    def ones(self) -> Any:
        """A block of one row."""
        import numpy as np

        if self.kind == "frame":
            return {column: np.ones(1) for column in self.columns}
        return np.ones((1, *self.shape))

    def rows_of(self, block: Any, count: int | None) -> Any:
        """A block as the compiled function takes it, without a copy.

        Raises
        ------
        TypeError, ValueError
            If it is not what its collection says.
        """
        import numpy as np

        if self.kind == "frame":
            if (found := tuple(block.columns)) != self.columns:
                raise ValueError(f"{self.name} has the columns {list(found)}, and {list(self.columns)} by its meta")
            return {column: block[column].to_numpy() for column in self.columns}
        array = block.to_numpy() if self.kind == "series" else block
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{self.name} is of type {type(array).__name__}, not a NumPy array")
        if array.shape[1:] != self.shape or array.ndim == 0 or (count is not None and len(array) != count):
            rows = "any number of rows" if count is None else f"{count:,} rows"
            raise ValueError(f"{self.name} has the shape {array.shape}, but should have {rows} of shape {self.shape}")
        return array


@dataclass
class _Plan:
    """A call of `map_blocks` or `reduce`."""

    name: str  # of its tasks, with what identifies function and arguments
    batch: Batch
    travelling: _Travelling
    given: list[Any]  # the arguments, with places where collections were
    leaves: list[_Leaf]
    collections: list[Any]
    counts: list[int | None]  # of the rows in each block, where they are known
    template: Any  # the result for the sample

    @property
    def is_frame(self) -> bool:
        """Whether the rows are those of DataFrames or Series."""
        return self.leaves[0].kind != "array"

    @property
    def has_rows(self) -> bool:
        """Whether it is a gradient by an argument that has rows."""
        axes = _axes(self.batch, len(self.given))
        chosen = [[by] if isinstance(by, int) else by for by in self.batch.argnums]
        return any(axes[i] is not None for numbers in chosen for i in numbers)

    def tasks(self, task: _Task) -> Layer:
        """A task for each block; what all of them use is a task of its own, so it travels once."""
        from dask.core import flatten as flattened

        function, shared = f"{self.name}-function", f"{self.name}-task"
        columns = [list(flattened(collection.__dask_keys__())) for collection in self.collections]
        layer: Layer = {function: self.travelling, shared: task}
        for number, (count, *blocks) in enumerate(zip(self.counts, *columns)):
            layer[self.name, number] = (_run, shared, function, number, count, blocks)
        return layer

    def graph(self, name: str, layer: Layer) -> Any:
        """The graph of a layer on the collections."""
        from dask.highlevelgraph import HighLevelGraph

        return HighLevelGraph.from_collections(name, layer, self.collections)

    def as_arrays(self) -> Any:
        """The results for all blocks as a tree of Dask arrays."""
        import dask.array as da
        from dask.highlevelgraph import HighLevelGraph

        below = self.graph(self.name, self.tasks(_Rows(self.given, self.leaves, self.template)))
        leaves, rebuild = flatten(self.template, arrays=True)
        counts = tuple([math.nan if count is None else count for count in self.counts])
        found = []
        for k, leaf in enumerate(leaves):
            name, rest = f"{self.name}-{k}", leaf.shape[1:]
            layer = {(name, i, *[0] * len(rest)): (getitem, (self.name, i), k) for i in range(len(counts))}
            graph = HighLevelGraph({**below.layers, name: layer}, {**below.dependencies, name: {self.name}})
            found.append(da.Array(graph, name, (counts, *[(size,) for size in rest]), float))
        return rebuild(found)

    def as_total(self) -> Any:
        """The sum over all blocks, or their mean, as a task."""
        from dask.delayed import Delayed

        is_mean = self.batch.reduce == "mean"
        layer = self.tasks(_Sums(self.given, self.leaves, self.template, is_mean))
        parts: list[Any] = [(self.name, number) for number in range(len(self.counts))]
        level = 0
        while len(parts) > 1:
            level += 1
            groups = [parts[k : k + TOGETHER] for k in range(0, len(parts), TOGETHER)]
            parts = [(f"{self.name}-{level}", number) for number in range(len(groups))]
            layer |= {key: (_added, group) for key, group in zip(parts, groups)}
        end, total = f"{self.name}-end", f"{self.name}-total"
        layer |= {end: _Total(self.template, is_mean), total: (_run, end, parts[0])}
        return Delayed(total, self.graph(self.name, layer), layer=self.name)

    def as_frame(self) -> Any:
        """The results for all partitions as a Dask Series or DataFrame with the index of the arguments."""
        import dask.dataframe as dd
        import numpy as np

        columns = list(self.template.values()) if type(self.template) is dict else [self.template]
        if not columns or not all(isinstance(column, np.ndarray) and column.ndim == 1 for column in columns):
            raise TypeError(
                "for a row of a DataFrame or Series the function must return a number or a dict of numbers, not "
                f"{self.template!r:.80}; of frame.to_dask_array(lengths=True) it may return any tree"
            )
        from dask.delayed import Delayed

        first, task = self.collections[0], _Frames(self.given, self.leaves, self.template)
        graph = self.graph(self.name, self.tasks(task))
        parts = [Delayed((self.name, number), graph, layer=self.name) for number in range(len(self.counts))]
        return dd.from_delayed(parts, task.framed(columns, first._meta.index[:0], 0), first.divisions)


def _plan(caller: str, fast: Any, args: Sequence[Any], sample: Sequence[Any] | None) -> _Plan:
    try:
        import dask.array  # noqa: F401
        from dask.base import tokenize
    except ImportError as error:
        raise ImportError(
            f"autograd.distributed needs Dask ({error}): pip install 'scalar-autograd[distributed]'"
        ) from error
    batch = getattr(fast, "batch", None)
    if batch is None:
        raise TypeError(f"{caller} takes jit(vmap(f)) or a gradient of jit(vmap(f, reduce=...)), not {fast!r:.80}")
    leaves: list[_Leaf] = []
    collections: list[Any] = []
    given = []
    for k, (arg, axis) in enumerate(zip(args, _axes(batch, len(args)))):
        name = f"argument {k} of {fast.__name__}"
        if axis not in (None, 0):
            raise ValueError(f"{name} has its rows along axis {axis}: blocks have them along axis 0")
        given.append(_same_for_all(arg, name) if axis is None else _placed(arg, name, leaves, collections))
    if not collections:
        raise ValueError(f"{fast.__name__} maps over no argument: in_axes must have a 0")
    counts = _counts(leaves, collections)
    template = _traced(fast, given, leaves, sample)
    travelling = _Travelling.of(fast)
    plain = re.sub(r"\W+", "", fast.__name__) or "block"
    token = tokenize(caller, travelling.digest, given, *collections)
    return _Plan(f"{plain}-{token}", batch, travelling, given, leaves, collections, counts, template)


def _axes(batch: Batch, count: int) -> Sequence[int | None]:
    axes = batch.in_axes
    found: Sequence[int | None] = tuple(axes) if isinstance(axes, Sequence) else (axes,) * count
    if len(found) != count:
        raise ValueError(f"in_axes of {batch.name} has {len(found)} entries for {count} arguments")
    return found


def _same_for_all(tree: Any, name: str) -> Any:
    """An argument that all rows share."""
    from dask import is_dask_collection

    if is_dask_collection(tree):
        raise TypeError(f"{name} is a Dask collection, but in_axes says that all rows share it: give it the axis 0")
    if any(isinstance(leaf, Value) for leaf in flatten(tree, name)[0]):
        raise TypeError(f"{name} holds Values, whose graph does not travel: pass their numbers, .data")
    return tree


def _placed(tree: Any, name: str, leaves: list[_Leaf], collections: list[Any]) -> Any:
    """An argument with rows: each collection in it is noted, and a place put there."""
    from dask import is_dask_collection
    from dask.delayed import Delayed

    if not is_dask_collection(tree):
        parts = children(tree) if isinstance(tree, (tuple, dict)) or hasattr(tree, "__dataclass_fields__") else None
        if parts is None:
            raise TypeError(
                f"{name} has rows, so it must be a Dask array, DataFrame or Series, or a tuple, dict or dataclass of "
                f"them, not {type(tree).__name__}: dask.array.from_array(x, chunks=...) cuts an array into blocks"
            )
        return parts.rebuild([_placed(part, name + key, leaves, collections) for key, part in parts.named])
    if isinstance(tree, Delayed):
        raise TypeError(f"{name} is a Delayed: dask.array.from_delayed makes an array of it")
    if hasattr(tree, "chunks"):
        if tree.ndim == 0 or any(len(along) > 1 for along in tree.chunks[1:]):
            raise ValueError(
                f"{name} has the chunks {tree.chunks!r:.80}, but must be cut along its rows only: "
                "x.rechunk({k: -1 for k in range(1, x.ndim)})"
            )
        if any(size != size for size in tree.shape[1:]):
            raise ValueError(f"{name} has rows of unknown shape {tree.shape[1:]}: call compute_chunk_sizes() on it")
        leaves.append(_Leaf(name, "array", tree.shape[1:], ()))
    elif hasattr(tree, "npartitions") and hasattr(tree, "divisions"):
        if not hasattr(tree._meta, "index"):
            raise TypeError(f"{name} is an index: pass index.to_series()")
        is_frame = tree.ndim == 2
        leaves.append(_Leaf(name, "frame" if is_frame else "series", (), tuple(tree.columns) if is_frame else ()))
        tree = tree.optimize()  # what Dask does itself with frames that it computes, and not with those in other graphs
    else:
        raise TypeError(f"{name} must be a Dask array, DataFrame or Series, not {type(tree).__name__}")
    collections.append(tree)
    return _Place(len(collections) - 1)


def _counts(leaves: Sequence[_Leaf], collections: Sequence[Any]) -> list[int | None]:
    """The number of rows in each block, which all collections share; None where it is not known.

    Raises
    ------
    TypeError, ValueError
        If they are not cut alike.
    """
    if len({leaf.kind == "array" for leaf in leaves}) > 1:
        raise TypeError(
            f"{leaves[0].name} and others are Dask arrays and DataFrames or Series: make them one kind, for example by "
            "to_dask_array(lengths=True)"
        )
    cuts = [list(c.chunks[0]) if leaf.kind == "array" else list(c.divisions) for leaf, c in zip(leaves, collections)]
    first, *others = [[None if at != at else at for at in cut] for cut in cuts]  # nan: not known
    for leaf, other in zip(leaves[1:], others):
        if len(other) != len(first) or any(a != b and None not in (a, b) for a, b in zip(first, other)):
            raise ValueError(
                f"{leaves[0].name} and {leaf.name} are cut into different blocks, {first!r:.80} and {other!r:.80}: "
                "cut them alike with rechunk or repartition"
            )
    if leaves[0].kind != "array":
        return [None] * (len(first) - 1)
    return [next((n for n in column if n is not None), None) for column in zip(first, *others)]


def _traced(fast: Any, given: Sequence[Any], leaves: Sequence[_Leaf], sample: Sequence[Any] | None) -> Any:
    """Trace the function, unless it has been traced for such arguments; the result for the sample.

    Raises
    ------
    TypeError
        If it closes over Values.
    """
    args = [_filled(arg, [leaf.ones() for leaf in leaves]) for arg in given] if sample is None else sample
    try:
        result = fast(*args)
    except Exception as error:
        if sample is None:
            error.add_note("This was raised for one row of ones, which is used to trace: pass other rows as sample=")
        raise
    found = flatten(result)[0]
    if any(isinstance(y, Value) for y in found) or any(one.leaves for one in fast.paths()):
        raise TypeError(
            f"{fast.__name__} reads Values from outside its arguments, and later changes of them would not reach the "
            "workers: make them an argument with None in in_axes"
        )
    if not found:
        raise ValueError(f"{fast.__name__} returns no numbers")
    return result


def _filled(tree: Any, blocks: Sequence[Any]) -> Any:
    """An argument with blocks in its places."""
    if isinstance(tree, _Place):
        return blocks[tree.number]
    parts = children(tree) if isinstance(tree, (tuple, dict)) or hasattr(tree, "__dataclass_fields__") else None
    if parts is None:
        return tree
    return parts.rebuild([_filled(part, blocks) for _, part in parts.named])


# ---- what runs on the workers --------------------------------------------------------------------------------------


class _Travelling:
    """A compiled function on its way: each process that it reaches compiles it once."""

    def __init__(self, fast: Any, payload: bytes, digest: str) -> None:
        self.fast, self.payload, self.digest = fast, payload, digest

    @classmethod
    def of(cls, fast: Any) -> _Travelling:
        """A compiled function of this process; it is pickled again only if it has changed."""
        from autograd.compiler.run import pickling

        now = [*fast.outside.present(), *fast.paths()]
        before, payload = vars(fast).get(SENT, ((), b""))
        if len(before) != len(now) or any(a is not b for a, b in zip(before, now)):
            with pickling.by_code():
                payload = pickle.dumps(fast)
            vars(fast)[SENT] = now, payload
        return cls(fast, payload, hashlib.sha256(payload).hexdigest())

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self.payload, self.digest)


_functions: OrderedDict[str, _Travelling] = OrderedDict()  # what has arrived, the last used last
_lock = locks.Lock()


def _arrived(payload: bytes, digest: str) -> _Travelling:
    """The function in this process.

    Raises
    ------
    ValueError
        If something that it reads here is not as it was where it was traced.
    """
    with _lock:
        if digest not in _functions:
            fast = pickle.loads(payload)
            if fast.outside.is_elsewhere():
                names = ", ".join([read.name for read in fast.reads() if read.watched and read.kind != "function"])
                raise ValueError(
                    f"{fast.__name__} reads {names or 'something'} outside its arguments, which is not the same here "
                    "as where it was traced: make it an argument with None in in_axes"
                )
            _functions[digest] = _Travelling(fast, payload, digest)
            if len(_functions) > MOST_FUNCTIONS:
                _functions.popitem(last=False)
        _functions.move_to_end(digest)
        return _functions[digest]


def _run(task: Any, *args: Any) -> Any:
    return task(*args)


@dataclass
class _Task:
    """What is done with each block."""

    given: list[Any]
    leaves: list[_Leaf]
    template: Any

    def __call__(self, function: _Travelling, number: int, count: int | None, blocks: list[Any]) -> Any:
        """The result for a block.

        Raises
        ------
        BlockError
            If anything is wrong with it.
        """
        try:
            rows = [leaf.rows_of(block, count) for leaf, block in zip(self.leaves, blocks)]
            args = [_filled(arg, rows) for arg in self.given]
            return self.of_rows(function.fast, args, len(blocks[0]), blocks)
        except Exception as error:
            raise BlockError(f"block {number}: {type(error).__name__}: {error}", number) from error

    def of_rows(self, fast: Any, args: list[Any], count: int, blocks: list[Any]) -> Any:
        """The result for the rows of a block."""
        raise NotImplementedError


class _Rows(_Task):
    """Results of every row, as arrays."""

    def of_rows(self, fast: Any, args: list[Any], count: int, blocks: list[Any]) -> list[Any]:
        """The arrays of the result, in order."""
        import numpy as np

        expected = [(count, *leaf.shape[1:]) for leaf in flatten(self.template, arrays=True)[0]]
        if count == 0:
            return [np.empty(shape) for shape in expected]
        arrays = flatten(fast(*args), arrays=True)[0]
        if (found := [array.shape for array in arrays]) != expected:
            raise ValueError(
                f"results have the shapes {found}, and for the sample they had rows of "
                f"{[shape[1:] for shape in expected]}: a branch returns another shape, so pass a sample that takes it"
            )
        return arrays


class _Frames(_Rows):
    """Results of every row, as a Series or DataFrame."""

    def of_rows(self, fast: Any, args: list[Any], count: int, blocks: list[Any]) -> Any:
        """The results with the index of the partition."""
        index = blocks[0].index
        for leaf, block in zip(self.leaves[1:], blocks[1:]):
            if not index.equals(block.index):
                raise ValueError(f"{self.leaves[0].name} and {leaf.name} have different indexes: align them first")
        return self.framed(super().of_rows(fast, args, count, blocks), index, count)

    def framed(self, arrays: list[Any], index: Any, count: int) -> Any:
        """Arrays of results as a Series or DataFrame."""
        import pandas as pd

        arrays = [array[:count] for array in arrays]
        if type(self.template) is dict:
            return pd.DataFrame(dict(zip(self.template, arrays)), index)
        return pd.Series(arrays[0], index)


@dataclass
class _Sums(_Task):
    """The sum over the rows: the number of rows and the leaves of the result; None if there are no rows."""

    is_mean: bool

    def of_rows(self, fast: Any, args: list[Any], count: int, blocks: list[Any]) -> tuple[int, list[Any]] | None:
        """The sum over the rows of a block."""
        if count == 0:
            return None
        leaves = flatten(fast(*args), arrays=True)[0]
        return count, [leaf * float(count) for leaf in leaves] if self.is_mean else leaves


def _added(parts: Sequence[tuple[int, list[Any]] | None]) -> tuple[int, list[Any]] | None:
    """The sum of several sums, in their order."""
    held = [part for part in parts if part is not None]
    if not held:
        return None
    count, total = held[0]
    for more, leaves in held[1:]:
        count, total = count + more, [a + b for a, b in zip(total, leaves, strict=True)]
    return count, total


@dataclass
class _Total:
    """What `reduce` returns."""

    template: Any
    is_mean: bool

    def __call__(self, part: tuple[int, list[Any]] | None) -> Any:
        """The sum over all blocks in its tree, or their mean.

        Raises
        ------
        ValueError
            For the mean over no rows.
        """
        leaves, rebuild = flatten(self.template, arrays=True)
        if part is None:
            if self.is_mean:
                raise ValueError("the mean over no rows has no value: all blocks are empty")
            return rebuild([leaf * 0.0 for leaf in leaves])
        count, total = part
        return rebuild([leaf / float(count) for leaf in total] if self.is_mean else total)
