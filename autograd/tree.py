"""Arguments and results as trees: containers of any depth with numbers at the leaves.

Containers are list, tuple (and namedtuple), dict, dataclass, ndarray, and every class that has a
`tree_flatten` method (such as `nn.Module`); None is an empty one.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from autograd.ieee import refuse_masked, to_float
from autograd.value import Value

Rebuild = Callable[[Sequence[Any]], Any]


def children(tree: Any) -> tuple[list[tuple[str, Any]], Rebuild] | None:
    """The named children of a container and how to put others in their place; None for a leaf."""
    if isinstance(tree, Value):
        return None
    if tree is None:
        return [], lambda new: None
    if hasattr(tree, "tree_flatten"):
        named: list[tuple[str, Any]]
        named, rebuild = tree.tree_flatten()
        return named, rebuild
    if isinstance(tree, dict):
        return [(f"[{k!r}]", v) for k, v in tree.items()], lambda new: _updated(tree, new)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        names = [f".{name}" for name in tree._fields]
        return list(zip(names, tree)), lambda new: type(tree)(*new)
    if isinstance(tree, (list, tuple)):
        return [(f"[{i}]", v) for i, v in enumerate(tree)], lambda new: type(tree)(new)
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        names = [f.name for f in dataclasses.fields(tree) if f.init]
        return [(f".{n}", getattr(tree, n)) for n in names], lambda new: dataclasses.replace(
            tree, **dict(zip(names, new))
        )
    if is_array(tree):
        names = [f"[{i}]" for i in range(tree.size)]
        return list(zip(names, tree.ravel().tolist())), lambda new: make_array(new, tree.shape)
    return None


def is_array(tree: Any, path: str = "") -> bool:
    """Whether it is an ndarray (a NumPy scalar is not).

    Raises
    ------
    TypeError
        For a masked array, so that none loses its mask wherever a tree is taken apart; `path` is what it is called.
    """
    if not (hasattr(tree, "ravel") and hasattr(tree, "__setitem__")):
        return False
    refuse_masked(tree, path)
    return True


def as_doubles(array: Any, path: str) -> Any:
    """The array as float64, where NumPy would cast it without being told to.

    Raises
    ------
    TypeError
        For complex numbers, text, dates and the like.
    """
    import numpy

    if array.dtype.kind == "b" or numpy.can_cast(array.dtype, numpy.float64, casting="same_kind"):
        return numpy.asarray(array, dtype=numpy.float64)
    raise TypeError(f"{path}: an ndarray of {array.dtype} does not become float64: convert it with .astype(float)")


def in_doubles(tree: Any, path: str) -> Any:
    """The same tree with NumPy's numbers as doubles: its whole numbers overflow in silence, and float32 rounds.

    Python's own numbers stay as they are.

    Raises
    ------
    TypeError
        For an ndarray or NumPy scalar that is not of real numbers; the message gives its path.
    """
    if is_leaf(tree) or (type(tree) in (list, tuple) and all(map(is_leaf, tree))):
        return tree
    if is_array(tree, path):
        return make_array(_numbers(tree, path), tree.shape) if tree.dtype == object else as_doubles(tree, path)
    if hasattr(tree, "dtype"):
        return _leaf(tree, path)[0][0]
    parts = children(tree)
    if parts is None:
        return tree
    named, put_together = parts
    new = [in_doubles(child, path + name) for name, child in named]
    return tree if all(x is child for x, (_, child) in zip(new, named)) else put_together(new)


def is_leaf(tree: Any) -> bool:
    """Whether it is a float or a Value, and so no container; other numbers are leaves too."""
    return type(tree) is float or isinstance(tree, Value)


def only_floats(leaves: Sequence[Any]) -> bool:
    """Whether all of them are floats, and none a Value."""
    return set(map(type, leaves)) <= {float}


def _updated(tree: dict[Any, Any], new: Sequence[Any]) -> dict[Any, Any]:
    twin = copy.copy(tree)  # keeps the class of the dict and what else it holds
    twin.update(zip(tree, new))
    return twin


def make_array(leaves: Sequence[Any], shape: tuple[int, ...]) -> Any:
    """An ndarray of the leaves: float64 if they are floats, of objects if not."""
    import numpy

    array = numpy.empty(len(leaves), dtype=float if only_floats(leaves) else object)
    array[:] = leaves
    return array.reshape(shape)


def flatten(tree: Any, path: str = "", arrays: bool = False) -> tuple[list[Any], Rebuild]:
    """The leaves of a tree, each a float or a Value, and how to build the same tree from others.

    Parameters
    ----------
    tree : tree of numbers
        Numbers of any real kind become floats, Values stay.
    path : str
        What error messages call the tree.
    arrays : bool
        Whether to keep an ndarray whole, as one leaf.

    Raises
    ------
    TypeError
        If a leaf is not a real number; the message gives its path.

    Examples
    --------
    >>> from autograd.tree import flatten
    >>> leaves, rebuild = flatten({"a": 1, "b": [2.0, (3.0, None)]})
    >>> leaves
    [1.0, 2.0, 3.0]
    >>> rebuild([10.0, 20.0, 30.0])
    {'a': 10.0, 'b': [20.0, (30.0, None)]}
    """
    if arrays and is_array(tree, path):
        return [tree], lambda new: new[0]
    if type(tree) is list and all(map(is_leaf, tree)):
        return tree.copy(), list
    if is_array(tree, path):
        return _numbers(tree, path), lambda new: make_array(new, tree.shape)
    parts = children(tree)
    if parts is None:
        return _leaf(tree, path)
    named, put_together = parts
    flat = [flatten(child, path + name, arrays) for name, child in named]
    leaves = [leaf for leaves, _ in flat for leaf in leaves]

    def rebuild(new: Sequence[Any]) -> Any:
        rebuilt, start = [], 0
        for child_leaves, rebuild_child in flat:
            stop = start + len(child_leaves)
            rebuilt.append(rebuild_child(new[start:stop]))
            start = stop
        return put_together(rebuilt)

    return leaves, rebuild


def leaf_names(tree: Any, name: str = "") -> list[str]:
    """What the leaves of a tree are called, in their order.

    Examples
    --------
    >>> from autograd.tree import leaf_names
    >>> leaf_names({"a": 1.0, "b": [2.0, (3.0, None)]}, "x")
    ["x['a']", "x['b'][0]", "x['b'][1][0]"]
    """
    parts = children(tree)
    if parts is None:
        return [name]
    return [leaf for part, child in parts[0] for leaf in leaf_names(child, name + part)]


def _numbers(array: Any, path: str) -> list[Any]:
    """The numbers in an array."""
    found: list[Any] = array.ravel().tolist()
    return found if only_floats(found) else [_leaf(x, f"{path}[{i}]")[0][0] for i, x in enumerate(found)]


def _leaf(tree: Any, path: str) -> tuple[list[Any], Rebuild]:
    """A number as a tree."""
    try:
        leaf = tree if isinstance(tree, Value) else to_float(tree)
    except TypeError as error:
        raise TypeError(f"{path or 'the tree'}: {error}") from None
    return [leaf], lambda new: new[0]


def pairs(first: Any, second: Any, names: tuple[str, str] = ("the first", "the second")) -> list[tuple[Any, Any]]:
    """The leaves of two trees of the same shape, side by side and as they are, in the order of the first.

    Dictionaries are matched by their keys, all else by position; an ndarray matches lists of its shape.

    Parameters
    ----------
    first, second : tree of numbers
        What to compare.
    names : (str, str)
        What error messages call the two.

    Raises
    ------
    ValueError
        If the trees differ in shape; the message says where.

    Examples
    --------
    >>> from autograd.tree import pairs
    >>> pairs({"a": 1.0, "b": [2.0]}, {"b": (20.0,), "a": 10.0})
    [(1.0, 10.0), (2.0, 20.0)]
    """
    found: list[tuple[Any, Any]] = []
    stack = [("", first, second)]
    while stack:
        path, a, b = stack.pop()
        if type(a) in (list, tuple) and type(b) in (list, tuple) and len(a) == len(b) and all(map(is_leaf, (*a, *b))):
            found.extend(zip(a, b))
            continue
        if is_array(a) != is_array(b):
            a, b = (tree.tolist() if is_array(tree) else tree for tree in (a, b))
        if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
            b = {key: b[key] for key in a}
        if is_array(a) and is_array(b) and a.shape == b.shape:
            found.extend(zip(a.ravel().tolist(), b.ravel().tolist()))
            continue
        parts, others = children(a), children(b)
        if parts is None and others is None:
            found.append((a, b))
            continue
        if parts is None or others is None or _shape(a, parts) != _shape(b, others):
            shapes = f"{_shape(a, parts)}, {_shape(b, others)}"
            raise ValueError(f"{names[0]}{path} and {names[1]}{path} differ in shape: {shapes}")
        stack.extend((path + name, x, y) for (name, x), (_, y) in reversed(list(zip(parts[0], others[0]))))
    return found


def _shape(tree: Any, parts: tuple[list[tuple[str, Any]], Rebuild] | None) -> str:
    """The outermost shape of a tree, for messages."""
    if parts is None:
        return "one number"
    if isinstance(tree, dict):
        return f"the keys {list(tree)!r}"
    return f"an array of shape {tree.shape}" if is_array(tree) else f"{len(parts[0])} numbers"


def lower(tree: Any) -> Any:
    """The same tree with plain floats for Values; what is neither container nor Value stays as it is."""
    if isinstance(tree, Value):
        return tree.data
    parts = children(tree)
    if parts is None:
        return tree
    named, put_together = parts
    return put_together([lower(child) for _, child in named])
