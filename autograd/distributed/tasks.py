"""What runs on the workers: a compiled function that has travelled there, on one block at a time."""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from autograd.compiler import locks
from autograd.tree import children, flatten

SENT = "_sent"  # the attribute in which a compiled function keeps its last pickle
MOST_FUNCTIONS = 32  # that a process keeps compiled; then the one that was not used for longest is dropped


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


class Place(NamedTuple):
    """Stands in an argument where a collection was."""

    number: int


class Leaf(NamedTuple):
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
        """A block as the compiled function takes it; it is not copied.

        Raises
        ------
        TypeError, ValueError
            If the block differs from what its collection says.
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


def parts_of(tree: Any) -> Any:
    """The parts of a tuple, dict or dataclass; None for anything else."""
    return children(tree) if isinstance(tree, (tuple, dict)) or hasattr(tree, "__dataclass_fields__") else None


def filled(tree: Any, blocks: Sequence[Any]) -> Any:
    """An argument with blocks in its places."""
    if isinstance(tree, Place):
        return blocks[tree.number]
    parts = parts_of(tree)
    if parts is None:
        return tree
    return parts.rebuild([filled(part, blocks) for _, part in parts.named])


class Travelling:
    """A compiled function that travels to other processes; each process compiles it once."""

    def __init__(self, fast: Any, payload: bytes, digest: str) -> None:
        self.fast, self.payload, self.digest = fast, payload, digest

    @classmethod
    def of(cls, fast: Any) -> Travelling:
        """For a compiled function of this process; it is pickled again only if it has changed."""
        from autograd.compiler.run import pickling

        now = [*fast.outside.present(), *fast.paths()]
        before, payload = vars(fast).get(SENT, ((), b""))
        if len(before) != len(now) or any(a is not b for a, b in zip(before, now)):
            with pickling.by_code():
                payload = pickle.dumps(fast)
            vars(fast)[SENT] = now, payload
        return cls(fast, payload, hashlib.sha256(payload).hexdigest())

    def __reduce__(self) -> tuple[Any, ...]:
        return arrived, (self.payload, self.digest)


_functions: OrderedDict[str, Travelling] = OrderedDict()  # those that have arrived, the last used last
_lock = locks.Lock()


def arrived(payload: bytes, digest: str) -> Travelling:
    """The function in this process.

    Raises
    ------
    ValueError
        If something that it reads differs here from where it was traced.
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
            _functions[digest] = Travelling(fast, payload, digest)
            if len(_functions) > MOST_FUNCTIONS:
                _functions.popitem(last=False)
        _functions.move_to_end(digest)
        return _functions[digest]


def run(task: Any, *args: Any) -> Any:
    """Do a task that is itself a value of the Dask graph."""
    return task(*args)


@dataclass
class Task:
    """What is done with each block."""

    given: list[Any]
    leaves: list[Leaf]
    template: Any

    def __call__(self, function: Travelling, number: int, count: int | None, blocks: list[Any]) -> Any:
        """The result for a block.

        Raises
        ------
        BlockError
            If anything is wrong with it.
        """
        try:
            rows = [leaf.rows_of(block, count) for leaf, block in zip(self.leaves, blocks)]
            args = [filled(arg, rows) for arg in self.given]
            return self.of_rows(function.fast, args, len(blocks[0]), blocks)
        except Exception as error:
            raise BlockError(f"block {number}: {type(error).__name__}: {error}", number) from error

    def of_rows(self, fast: Any, args: list[Any], count: int, blocks: list[Any]) -> Any:
        """The result for the rows of a block."""
        raise NotImplementedError


class Rows(Task):
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


class Frames(Rows):
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
class Sums(Task):
    """The sum over the rows: the number of rows and the leaves of the result; None if there are no rows."""

    is_mean: bool

    def of_rows(self, fast: Any, args: list[Any], count: int, blocks: list[Any]) -> tuple[int, list[Any]] | None:
        """The sum over the rows of a block."""
        if count == 0:
            return None
        leaves = flatten(fast(*args), arrays=True)[0]
        return count, [leaf * float(count) for leaf in leaves] if self.is_mean else leaves


def added(parts: Sequence[tuple[int, list[Any]] | None]) -> tuple[int, list[Any]] | None:
    """The sum of several sums, in their order."""
    held = [part for part in parts if part is not None]
    if not held:
        return None
    count, total = held[0]
    for more, leaves in held[1:]:
        count, total = count + more, [a + b for a, b in zip(total, leaves, strict=True)]
    return count, total


@dataclass
class Total:
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
