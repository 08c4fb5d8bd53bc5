"""Arguments and results as trees: containers of any depth with numbers at the leaves.

Containers are list, tuple (and namedtuple), dict, dataclass, ndarray, and every class with a `tree_flatten` method
(such as `nn.Module`); None is an empty container. Subclasses of list, tuple and dict are read and rebuilt with the
methods of list, tuple and dict themselves: their own methods do not run, their attributes stay.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import chain
from numbers import Number
from typing import Any, NamedTuple

from autograd.ieee import is_real, refuse_masked, refuse_tensor, to_float
from autograd.native import fast
from autograd.rules import Rule
from autograd.value import Value

Rebuild = Callable[[Sequence[Any]], Any]
LEAVES = frozenset({float, Value})  # the most common leaves


class ArrayLeaf:
    """An ndarray that a recorder holds as one array: a single leaf, until user code needs the elements."""

    __slots__ = ("shape",)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def elements(self) -> list[Any]:
        """A new node for each of its numbers."""
        raise NotImplementedError

    def opened(self) -> Any:
        """The ndarray of its elements."""
        return make_array(self.elements(), self.shape)


def opened(tree: Any) -> Any:
    """An argument as user code gets it: an `ArrayLeaf` becomes an ndarray of elements."""
    return tree.opened() if isinstance(tree, ArrayLeaf) else tree


def zeros_like(leaf: Any) -> Any:
    """A 0 in place of a leaf."""
    if not isinstance(leaf, ArrayLeaf):
        return 0.0
    import numpy

    return numpy.zeros(leaf.shape)


class Parts(NamedTuple):
    """The parts of a container at one moment.

    Attributes
    ----------
    named : list of (str, tree)
        The children, with their names in messages.
    rebuild : callable
        Makes the same container with other children. It does not read the original again.
    keys : sequence
        The keys of a dict.
    kept : mapping
        Everything else in it, by name: attributes, a default factory. The rebuilt container has it too.
    """

    named: list[tuple[str, Any]]
    rebuild: Rebuild
    keys: Sequence[Any] = ()
    kept: Mapping[str, Any] = {}


def children(tree: Any) -> Parts | None:
    """The children of a container, and how to rebuild it with others; None for a leaf.

    A field of a dataclass is not a child if it holds something other than numbers (text, a function, a list of names):
    it stays as it is. A class with a method `tree_flatten` defines its own children. The method returns
    ``(named, rebuild)``, and everything else in the object is taken from its attributes; or it returns
    ``(named, rebuild, kept)``. `Parts` explains these words.

    Raises
    ------
    TypeError
        From ``rebuild``, if a class can only be built by its own constructor.
    """
    if isinstance(tree, Value):
        return None
    if tree is None:
        return Parts([], lambda new: None)
    if hasattr(tree, "tree_flatten"):
        return _flattened(tree)
    if isinstance(tree, dict):
        return _of_dict(tree)
    if isinstance(tree, tuple):
        return _of_tuple(tree)
    if isinstance(tree, list):
        items = list.copy(tree)
        named = [(f"[{i}]", v) for i, v in enumerate(items)]
        return Parts(named, list) if type(tree) is list else _subclass(tree, list, named)
    if hasattr(type(tree), "__dataclass_fields__") and not isinstance(tree, Rule):
        return _of_dataclass(tree)
    if is_array(tree):
        numbers, shape = elements(tree)
        return Parts([(f"[{i}]", x) for i, x in enumerate(numbers)], lambda new: make_array(new, shape))
    return None


def _flattened(tree: Any) -> Parts:
    named, rebuild, *kept = tree.tree_flatten()
    if kept:
        return Parts(named, rebuild, (), kept[0])
    in_dict, in_slots = attributes(tree)
    inside = {name.removeprefix(".").partition("[")[0].partition(".")[0] for name, _ in named}
    rest = {name: x for name, x in (*in_dict.items(), *in_slots.items()) if name not in inside}
    return Parts(named, rebuild, (), rest)


def _of_dict(tree: dict[Any, Any]) -> Parts:
    base: Any = next(base for base in (OrderedDict, defaultdict, dict) if isinstance(tree, base))
    items = list(base.items(tree))
    keys = [key for key, _ in items]
    named = [(f"[{key!r}]", value) for key, value in items]
    if type(tree) is dict:
        return Parts(named, lambda new: dict(zip(keys, new)), keys)
    return _subclass(tree, base, named, keys)


def _of_tuple(tree: tuple[Any, ...]) -> Parts:
    items = tuple.__getitem__(tree, slice(None))
    names = getattr(tree, "_fields", ())
    if names and len(names) == len(items):
        return _subclass(tree, tuple, [(f".{name}", x) for name, x in zip(names, items)])
    named = [(f"[{i}]", x) for i, x in enumerate(items)]
    return Parts(named, tuple) if type(tree) is tuple else _subclass(tree, tuple, named)


def _subclass(tree: Any, base: Any, named: list[tuple[str, Any]], keys: Sequence[Any] = ()) -> Parts:
    """An instance of a subclass of list, tuple or dict: rebuilt by its base, with its attributes."""
    kind, (in_dict, in_slots) = type(tree), attributes(tree)
    kept = {**in_dict, **in_slots}
    factory = vars(defaultdict)["default_factory"] if base is defaultdict else None
    if factory is not None:
        kept["default_factory"] = factory.__get__(tree)

    def rebuild(new: Sequence[Any]) -> Any:
        twin = _made(base, kind, new) if base is tuple else _made(base, kind)
        if base is list:
            list.extend(twin, new)
        elif base is not tuple:
            for key, value in zip(keys, new):
                base.__setitem__(twin, key, value)
        if factory is not None:
            factory.__set__(twin, kept["default_factory"])
        _restore(twin, in_dict, in_slots)
        return twin

    return Parts(named, rebuild, keys, kept)


def _of_dataclass(tree: Any) -> Parts:
    kind, (in_dict, in_slots) = type(tree), attributes(tree)
    own = [field.name for field in dataclasses.fields(kind)]
    found = {name: getattr(tree, name) for name in own if hasattr(tree, name)}  # a field with init=False may not be set
    names = [name for name, x in found.items() if not is_setting(x)]
    pseudo = {name: getattr(kind, name, None) for name in kind.__dataclass_fields__ if name not in own}
    kept = {name: x for name, x in {**pseudo, **found, **in_dict, **in_slots}.items() if name not in names}

    def rebuild(new: Sequence[Any]) -> Any:
        twin = _made(object, kind)
        _restore(twin, in_dict, in_slots)
        for name, x in zip(names, new):
            object.__setattr__(twin, name, x)
        return twin

    return Parts([(f".{name}", found[name]) for name in names], rebuild, (), kept)


def attributes(thing: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The attributes of an object, in its `__dict__` and in slots, without those that a `cached_property` stores."""
    state: Any = object.__getstate__(thing)
    in_dict, in_slots = state if type(state) is tuple else (state, None)
    own = dict(in_dict or {})
    kind: Any = type(thing)
    for name in cached_properties(kind):
        own.pop(name, None)
    return own, in_slots or {}


@lru_cache(1024)  # the cache keeps at most this many classes alive
def cached_properties(kind: type) -> frozenset[str]:
    """The names of the cached properties of a class; their values are wrong in an instance with other numbers."""
    found = [name for base in kind.__mro__ for name, x in vars(base).items() if isinstance(x, cached_property)]
    return frozenset(found)


def _made(base: Any, kind: type, *args: Any) -> Any:
    """A new instance, made without the constructor of its class."""
    try:
        return base.__new__(kind, *args)
    except TypeError as error:
        raise TypeError(
            f"a {kind.__name__} cannot hold other numbers, because only its own constructor makes one ({error}): pass "
            f"a list, tuple, dict or dataclass, or give {kind.__name__} a method tree_flatten"
        ) from None


def _restore(twin: Any, in_dict: Mapping[str, Any], in_slots: Mapping[str, Any]) -> None:
    if in_dict:
        vars(twin).update(in_dict)
    for name, x in in_slots.items():
        object.__setattr__(twin, name, x)  # also if the class is frozen


def is_setting(tree: Any) -> bool:
    """Whether it is a setting: not empty and without numbers, such as text, a function, a list of names."""
    if is_leaf(tree):
        return False
    stack, seen, found = [tree], {id(tree): tree}, False
    while stack:
        at = stack.pop()
        if isinstance(at, (Value, Number)) or is_real(at) or (is_array(at) and at.dtype.kind in "biufc"):
            return False
        inside = _inside(at)
        if inside is None:
            found = True
            continue
        new = {id(child): child for child in inside if id(child) not in seen}
        seen.update(new)
        stack += new.values()
    return found


def _inside(tree: Any) -> Sequence[Any] | None:
    """The contents of a container, with every field of a dataclass; None for anything else."""
    if hasattr(type(tree), "__dataclass_fields__") and not isinstance(tree, Rule) and not hasattr(tree, "tree_flatten"):
        return [getattr(tree, field.name, None) for field in dataclasses.fields(tree)]
    if is_array(tree) and tree.dtype.kind != "O":
        return None  # text, dates
    parts = children(tree)
    return None if parts is None else [child for _, child in parts.named]


def is_array(tree: Any, path: str = "") -> bool:
    """Whether it is an ndarray (a NumPy scalar is not).

    Raises
    ------
    TypeError
        For a masked array, because no tree operation may lose the mask, and for a tensor of PyTorch, whose operations
        are recorded elsewhere. `path` is its name in the message.
    """
    if not (hasattr(tree, "ravel") and hasattr(tree, "__setitem__")):
        return False
    refuse_tensor(tree, path)
    refuse_masked(tree, path)
    return True


def as_doubles(array: Any, path: str) -> Any:
    """The array as float64, if its numbers are real.

    Raises
    ------
    TypeError
        For complex numbers, text, dates and the like.
    """
    import numpy

    if array.dtype.kind == "b" or numpy.can_cast(array.dtype, numpy.float64, casting="same_kind"):
        return numpy.asarray(array, dtype=numpy.float64)
    raise TypeError(f"{path}: an ndarray of {array.dtype} cannot be used as float64: convert it with .astype(float)")


def in_doubles(tree: Any, path: str) -> Any:
    """The same tree with NumPy's numbers as doubles: NumPy's integers overflow silently, and float32 rounds.

    Python's own numbers stay as they are.

    Raises
    ------
    TypeError
        For an ndarray or NumPy scalar that does not hold real numbers; the message names it.
    """
    if is_leaf(tree) or (type(tree) in (list, tuple) and only_leaves(tree)):
        return tree
    if is_array(tree, path):
        if tree.dtype != object:
            return as_doubles(tree, path)
        numbers, shape = elements(tree)
        return make_array(_numbers(numbers, path), shape)
    if hasattr(tree, "dtype"):
        return _leaf(tree, path)[0][0]
    return _with_children(tree, lambda child, name: in_doubles(child, path + name))


def _with_children(tree: Any, change: Callable[[Any, str], Any]) -> Any:
    """A container with changed children; itself if none changes, or if it is no container."""
    parts = children(tree)
    if parts is None:
        return tree
    new = [change(child, name) for name, child in parts.named]
    return tree if all(x is child for x, (_, child) in zip(new, parts.named)) else parts.rebuild(new)


WIDE = {"f": "float64", "i": "int64", "u": "int64"}


def widened(tree: Any) -> Any:
    """Any tree with NumPy's numbers and arrays of less than 64 bits as such of 64: see `in_doubles`."""
    kind = getattr(getattr(tree, "dtype", None), "kind", None)
    if kind in WIDE and is_array(tree):
        return tree.astype(WIDE[kind]) if tree.dtype.itemsize < 8 else tree
    if kind in WIDE and tree.ndim == 0:
        return tree.item()
    if kind is not None or is_leaf(tree) or (type(tree) in (list, tuple) and only_leaves(tree)):
        return tree
    return _with_children(tree, lambda child, _: widened(child))


def is_leaf(tree: Any) -> bool:
    """Whether it is a float or a Value, so surely not a container; other numbers are leaves too."""
    return type(tree) is float or isinstance(tree, Value)


@fast
def only_leaves(items: Sequence[Any]) -> bool:
    """Whether all of them are floats or Values."""
    kinds = set(map(type, items))
    return kinds <= LEAVES or all(kind is float or issubclass(kind, Value) for kind in kinds)


@fast
def only_floats(leaves: Sequence[Any]) -> bool:
    """Whether all of them are floats and none is a Value."""
    return set(map(type, leaves)) <= {float}


def elements(array: Any) -> tuple[list[Any], tuple[int, ...]]:
    """The elements of an ndarray, and its shape at that moment."""
    copied = array.copy()  # another thread may give the array another shape
    found: list[Any] = copied.ravel().tolist()
    return found, copied.shape


def make_array(leaves: Sequence[Any], shape: tuple[int, ...]) -> Any:
    """An ndarray of the leaves: float64 if they are floats, of objects if not."""
    import numpy

    dtype = float if only_floats(leaves) else object
    return numpy.fromiter(leaves, dtype, len(leaves)).reshape(shape)


def flatten(tree: Any, path: str = "", arrays: bool = False) -> tuple[list[Any], Rebuild]:
    """The leaves of a tree, each a float or a Value, and how to build the same tree from other leaves.

    Parameters
    ----------
    tree : tree of numbers
        Real numbers of any type become floats, Values stay.
    path : str
        The name of the tree in error messages.
    arrays : bool
        Whether to keep an ndarray whole, as one leaf.

    Raises
    ------
    TypeError
        If a leaf is not a real number; the message names it.

    Examples
    --------
    >>> from autograd.tree import flatten
    >>> leaves, rebuild = flatten({"a": 1, "b": [2.0, (3.0, None)]})
    >>> leaves
    [1.0, 2.0, 3.0]
    >>> rebuild([10.0, 20.0, 30.0])
    {'a': 10.0, 'b': [20.0, (30.0, None)]}
    """
    if isinstance(tree, ArrayLeaf) or (arrays and is_array(tree, path)):
        return [tree], lambda new: new[0]
    if type(tree) is list and only_leaves(numbers := tree.copy()):
        return numbers, list
    if is_array(tree, path):
        numbers, shape = elements(tree)
        return _numbers(numbers, path), lambda new: make_array(new, shape)
    parts = children(tree)
    if parts is None:
        return _leaf(tree, path)
    flat = [flatten(child, path + name, arrays) for name, child in parts.named]
    leaves = list(chain.from_iterable([leaves for leaves, _ in flat]))

    def rebuild(new: Sequence[Any]) -> Any:
        rebuilt, start = [], 0
        for child_leaves, rebuild_child in flat:
            stop = start + len(child_leaves)
            rebuilt.append(rebuild_child(new[start:stop]))
            start = stop
        return parts.rebuild(rebuilt)

    return leaves, rebuild


def columns_of(trees: Sequence[Any]) -> list[Sequence[Any]] | None:
    """The leaves of many trees, as `flatten` finds them: the first leaves of all trees, the second ones, and so on.

    None if the trees have different numbers of leaves. It is fast if all are numbers, or arrays.

    Raises
    ------
    TypeError
        If a leaf is not a real number.
    """
    if only_leaves(trees):
        return [trees]
    rows: list[list[Any]] = []
    if len(set(map(type, trees))) == 1 and is_array(trees[0]):
        rows = [tree.ravel().tolist() for tree in trees]
    if not rows or not all(map(only_leaves, rows)):
        rows = [flatten(tree)[0] for tree in trees]
    return list(zip(*rows)) if len(set(map(len, rows))) == 1 else None


def leaf_names(tree: Any, name: str = "") -> list[str]:
    """The names of the leaves of a tree, in order.

    Examples
    --------
    >>> from autograd.tree import leaf_names
    >>> leaf_names({"a": 1.0, "b": [2.0, (3.0, None)]}, "x")
    ["x['a']", "x['b'][0]", "x['b'][1][0]"]
    """
    parts = children(tree)
    if parts is None:
        return [name]
    return [leaf for part, child in parts.named for leaf in leaf_names(child, name + part)]


def _numbers(found: list[Any], path: str) -> list[Any]:
    """The elements of an array as numbers."""
    return found if only_leaves(found) else [_leaf(x, f"{path}[{i}]")[0][0] for i, x in enumerate(found)]


def _leaf(tree: Any, path: str) -> tuple[list[Any], Rebuild]:
    """The leaf of a tree that is a number."""
    try:
        leaf = tree if isinstance(tree, Value) else to_float(tree)
    except TypeError as error:
        raise TypeError(f"{path or 'the tree'}: {error}") from None
    return [leaf], lambda new: new[0]


def pairs(first: Any, second: Any, names: tuple[str, str] = ("the first", "the second")) -> list[tuple[Any, Any]]:
    """The leaves of two trees of the same shape, in pairs and unchanged, in the order of the first tree.

    Dictionaries are matched by their keys, everything else by position; an ndarray matches lists of its shape.

    Parameters
    ----------
    first, second : tree of numbers
        The trees.
    names : (str, str)
        Their names in error messages.

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
        if type(a) in (list, tuple) and type(b) in (list, tuple) and len(a) == len(b) and only_leaves((*a, *b)):
            found.extend(zip(a, b))
            continue
        if is_array(a) != is_array(b):
            a, b = (tree.tolist() if is_array(tree) else tree for tree in (a, b))
        if is_array(a) and is_array(b) and a.shape == b.shape:
            found.extend(zip(a.ravel().tolist(), b.ravel().tolist()))
            continue
        parts, others = children(a), children(b)
        if parts is None and others is None:
            found.append((a, b))
            continue
        matched = None if parts is None or others is None else _matched(a, parts, b, others)
        if matched is None:
            shapes = f"{_shape(a, parts)}, {_shape(b, others)}"
            raise ValueError(f"{names[0]}{path} and {names[1]}{path} differ in shape: {shapes}")
        stack.extend((path + name, x, y) for name, x, y in reversed(matched))
    return found


def leaves_like(tree: Any, other: Any, names: tuple[str, str]) -> list[Any]:
    """The leaves of another tree of the same shape as floats and Values, in the order of the first.

    Errors are those of `pairs` and `flatten`.
    """
    leaves = [leaf for _, leaf in pairs(tree, other, names)]
    if all(map(is_leaf, leaves)):
        return leaves
    flatten(other, names[1])  # an error has the path of the leaf that is not a number
    return flatten(leaves)[0]


def _matched(a: Any, parts: Parts, b: Any, others: Parts) -> list[tuple[str, Any, Any]] | None:
    """The children of two containers in pairs; None if they do not match."""
    second = [child for _, child in others.named]
    if isinstance(a, dict) and isinstance(b, dict):
        if set(parts.keys) != set(others.keys):
            return None
        by_key = dict(zip(others.keys, second))
        second = [by_key[key] for key in parts.keys]
    elif _shape(a, parts) != _shape(b, others):
        return None
    return [(name, x, y) for (name, x), y in zip(parts.named, second)]


def _shape(tree: Any, parts: Parts | None) -> str:
    """The outermost shape of a tree, for messages."""
    if parts is None:
        return "one number"
    if isinstance(tree, dict):
        return f"the keys {list(parts.keys)!r}"
    return f"an array of shape {tree.shape}" if is_array(tree) else f"{len(parts.named)} numbers"


def to_floats(tree: Any) -> Any:
    """The same tree with plain floats instead of Values; anything that is neither container nor Value stays."""
    if isinstance(tree, Value):
        return tree.data
    parts = children(tree)
    if parts is None:
        return tree
    return parts.rebuild([to_floats(child) for _, child in parts.named])
