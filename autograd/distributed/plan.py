"""Plans a call over Dask collections: the tasks for all blocks of the arguments, made where the user is."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import getitem
from typing import TYPE_CHECKING, Any

from autograd.distributed.tasks import (
    Frames,
    Leaf,
    Place,
    Rows,
    Sums,
    Task,
    Total,
    Travelling,
    added,
    filled,
    parts_of,
    run,
)
from autograd.tree import flatten
from autograd.value import Value

if TYPE_CHECKING:
    from autograd.compiler.run.batch.function import Batch

Layer = dict[Any, Any]  # the tasks of a Dask graph by their names
PARTS = 8  # of a sum that one task adds up


@dataclass
class Plan:
    """A call of `map_blocks` or `reduce`.

    Attributes
    ----------
    name : str
        The name of its tasks; it identifies function and arguments.
    given : list
        The arguments, with a `Place` for each collection.
    leaves, collections : lists
        A description of each collection, and the collection.
    counts : list of int or None
        The number of rows in each block; None if it is not known.
    template : tree
        The result for the sample.
    """

    name: str
    batch: Batch
    travelling: Travelling
    given: list[Any]
    leaves: list[Leaf]
    collections: list[Any]
    counts: list[int | None]
    template: Any

    @property
    def is_frame(self) -> bool:
        """Whether the rows are those of DataFrames or Series."""
        return self.leaves[0].kind != "array"

    @property
    def has_rows(self) -> bool:
        """Whether it is a gradient by an argument that has rows."""
        axes = _axes(self.batch, len(self.given))
        chosen = [[by] if isinstance(by, int) else by for by in self.batch.mapped.argnums]
        return any(axes[i] is not None for numbers in chosen for i in numbers)

    def tasks(self, task: Task) -> Layer:
        """A task for each block; what all blocks use is another task, so that it travels once."""
        from dask.core import flatten as flattened

        function, shared = f"{self.name}-function", f"{self.name}-task"
        columns = [list(flattened(collection.__dask_keys__())) for collection in self.collections]
        layer: Layer = {function: self.travelling, shared: task}
        for number, (count, *blocks) in enumerate(zip(self.counts, *columns)):
            layer[self.name, number] = (run, shared, function, number, count, blocks)
        return layer

    def graph(self, name: str, layer: Layer) -> Any:
        """The graph of a layer on the collections."""
        from dask.highlevelgraph import HighLevelGraph

        return HighLevelGraph.from_collections(name, layer, self.collections)

    def as_arrays(self) -> Any:
        """The results for all blocks as a tree of Dask arrays."""
        import dask.array as da
        from dask.highlevelgraph import HighLevelGraph

        below = self.graph(self.name, self.tasks(Rows(self.given, self.leaves, self.template)))
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

        is_mean = self.batch.mapped.reduce == "mean"
        layer = self.tasks(Sums(self.given, self.leaves, self.template, is_mean))
        parts: list[Any] = [(self.name, number) for number in range(len(self.counts))]
        level = 0
        while len(parts) > 1:
            level += 1
            groups = [parts[k : k + PARTS] for k in range(0, len(parts), PARTS)]
            parts = [(f"{self.name}-{level}", number) for number in range(len(groups))]
            layer |= {key: (added, group) for key, group in zip(parts, groups)}
        end, total = f"{self.name}-end", f"{self.name}-total"
        layer |= {end: Total(self.template, is_mean), total: (run, end, parts[0])}
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

        first, task = self.collections[0], Frames(self.given, self.leaves, self.template)
        graph = self.graph(self.name, self.tasks(task))
        parts = [Delayed((self.name, number), graph, layer=self.name) for number in range(len(self.counts))]
        return dd.from_delayed(parts, task.framed(columns, first._meta.index[:0], 0), first.divisions)


def planned(caller: str, fast: Any, args: Sequence[Any], sample: Sequence[Any] | None) -> Plan:
    """Check the arguments of a call, and trace the function."""
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
    leaves: list[Leaf] = []
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
    travelling = Travelling.of(fast)
    plain = re.sub(r"\W+", "", fast.__name__) or "block"
    token = tokenize(caller, travelling.digest, given, *collections)
    return Plan(f"{plain}-{token}", batch, travelling, given, leaves, collections, counts, template)


def _axes(batch: Batch, count: int) -> Sequence[int | None]:
    axes = batch.mapped.in_axes
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


def _placed(tree: Any, name: str, leaves: list[Leaf], collections: list[Any]) -> Any:
    """An argument with rows, with a place for each collection in it; `leaves` and `collections` get these."""
    from dask import is_dask_collection
    from dask.delayed import Delayed

    if not is_dask_collection(tree):
        parts = parts_of(tree)
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
        leaves.append(Leaf(name, "array", tree.shape[1:], ()))
    elif hasattr(tree, "npartitions") and hasattr(tree, "divisions"):
        if not hasattr(tree._meta, "index"):
            raise TypeError(f"{name} is an index: pass index.to_series()")
        is_frame = tree.ndim == 2
        leaves.append(Leaf(name, "frame" if is_frame else "series", (), tuple(tree.columns) if is_frame else ()))
        tree = tree.optimize()  # what Dask does itself with frames that it computes, and not with those in other graphs
    else:
        raise TypeError(f"{name} must be a Dask array, DataFrame or Series, not {type(tree).__name__}")
    collections.append(tree)
    return Place(len(collections) - 1)


def _counts(leaves: Sequence[Leaf], collections: Sequence[Any]) -> list[int | None]:
    """The number of rows in each block; None if it is not known.

    Raises
    ------
    TypeError, ValueError
        If the collections are not cut into the same blocks.
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


def _traced(fast: Any, given: Sequence[Any], leaves: Sequence[Leaf], sample: Sequence[Any] | None) -> Any:
    """The result for the sample; the call traces the function, unless it has been traced for such arguments.

    Raises
    ------
    TypeError
        If it closes over Values.
    """
    args = [filled(arg, [leaf.ones() for leaf in leaves]) for arg in given] if sample is None else sample
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
