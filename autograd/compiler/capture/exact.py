"""Keys for settings: immutable values by which the settings of two calls are compared.

A setting is anything in an argument that is no number of the computation. Two settings that a function can
distinguish have different keys, so ``1``, ``1.0`` and ``True`` differ. Equal lists have equal keys, so an equal model
is not compiled again. A list that has changed differs from what it was.
"""

from __future__ import annotations

import functools
import hashlib
import sys
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Hashable
from enum import Enum
from typing import Any

import numpy as np

from autograd.rules import Rule
from autograd.tree import attributes
from autograd.value import Value

LARGEST_COPY = 4096  # bytes of an array that are kept; of a larger one, a digest

# Equal only to what a function cannot distinguish from them.
PLAIN = frozenset({str, types.NoneType, types.EllipsisType, types.FunctionType, types.BuiltinFunctionType, Rule})
WITH_TYPE = frozenset({int, bool, bytes, range})
BY_IDENTITY = (type, types.ModuleType, Enum, Value)
NO_EQUALITY: tuple[Any, ...] = (None, object.__hash__)
FACTORY = vars(defaultdict)["default_factory"]
BY_ATTRIBUTES = frozenset({"types.SimpleNamespace", "argparse.Namespace"})


def exact(thing: Any, around: tuple[int, ...] = ()) -> Hashable:
    """The key of a setting: equal for two that no function can distinguish; it never changes.

    Text, numbers, lists, tuples, dicts, sets, arrays and dataclasses are compared by type and value; methods and
    ``functools.partial`` by their parts; functions, classes, modules and Values by identity. Any other object is
    compared by its own equality, or by identity if it has none, and by its attributes; attributes do not count for
    classes of the standard library (a logger, a lock, a generator of random numbers).

    Parameters
    ----------
    thing : object
        The setting.
    around : tuple of int
        Identities of the containers around it, from the outermost; they show that a container holds itself.
    """
    kind = type(thing)
    if kind in PLAIN:
        return thing  # type: ignore[no-any-return]
    if kind in WITH_TYPE:
        return kind, thing
    if kind is float:
        return kind, thing.hex()  # distinguishes 0.0 from -0.0, and nan equals itself
    if isinstance(thing, BY_IDENTITY):
        return Same(thing)
    if id(thing) in around:
        return "the container around", around.index(id(thing))
    around = (*around, id(thing))
    for base, value in VALUES:
        if isinstance(thing, base):
            found = (kind, *value(thing, around))
            return found if kind is base else (*found, _attributes(thing, around))
    return _object(thing, around)


def _each(things: Any, around: tuple[int, ...]) -> tuple[Hashable, ...]:
    return tuple([exact(x, around) for x in things])


def _items(items: Any, around: tuple[int, ...]) -> tuple[Hashable, ...]:
    return tuple([(exact(key, around), exact(x, around)) for key, x in items])


def _attributes(thing: Any, around: tuple[int, ...]) -> Hashable:
    in_dict, in_slots = attributes(thing)
    return _items((*in_dict.items(), *in_slots.items()), around)


def _array(array: Any, around: tuple[int, ...]) -> tuple[Hashable, ...]:
    array = np.array(array, subok=False)  # another thread may change its shape
    if array.dtype.hasobject:
        return array.dtype, array.shape, _each(array.ravel().tolist(), around)
    found = array.tobytes()
    return array.dtype, array.shape, found if len(found) <= LARGEST_COPY else hashlib.blake2b(found).digest()


# The key of an instance of a class or a subclass, without its class and, for a subclass, its attributes.
VALUES: list[tuple[Any, Callable[[Any, tuple[int, ...]], tuple[Hashable, ...]]]] = [
    (list, lambda x, around: _each(list.__iter__(x), around)),
    (tuple, lambda x, around: _each(tuple.__iter__(x), around)),
    (OrderedDict, lambda x, around: _items(OrderedDict.items(x), around)),
    (defaultdict, lambda x, around: (exact(FACTORY.__get__(x), around), *_items(dict.items(x), around))),
    (dict, lambda x, around: _items(dict.items(x), around)),
    (types.MappingProxyType, lambda x, around: _items(x.items(), around)),
    (set, lambda x, around: (frozenset(_each(set.__iter__(x), around)),)),
    (frozenset, lambda x, around: (frozenset(_each(frozenset.__iter__(x), around)),)),
    (deque, lambda x, around: (x.maxlen, *_each(deque.__iter__(x), around))),
    (bytearray, lambda x, around: (bytes(x),)),
    (np.ndarray, _array),
    (np.generic, lambda x, around: (x.dtype, x.tobytes())),
    (float, lambda x, around: (float.hex(x),)),
    (int, lambda x, around: (int.__index__(x),)),
    (complex, lambda x, around: (x.real.hex(), x.imag.hex())),
    (str, lambda x, around: (str.__str__(x),)),
    (types.MethodType, lambda x, around: (exact(x.__func__), exact(x.__self__, around))),
    (functools.partial, lambda x, around: _each((x.func, x.args, x.keywords), around)),
]


def _object(thing: Any, around: tuple[int, ...]) -> Hashable:
    kind = type(thing)
    if hasattr(kind, "__dataclass_fields__") or hasattr(kind, "tree_flatten") or _name(kind) in BY_ATTRIBUTES:
        return kind, _attributes(thing, around)
    own = thing if _has_equality(thing) else Same(thing)
    if kind.__module__.partition(".")[0] in sys.stdlib_module_names:
        return kind, own
    return kind, own, _attributes(thing, around)


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _has_equality(thing: Any) -> bool:
    if type(thing).__hash__ in NO_EQUALITY:
        return False
    try:
        hash(thing)
    except TypeError:  # of something inside
        return False
    return True


class Same:
    """Equal only for the same object, which it keeps alive so that no other takes its identity."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.thing is other.thing

    def __hash__(self) -> int:
        return id(self.thing)


class Exact:
    """A thing that can be had back, and equals others as `exact` says: the key of a dict."""

    __slots__ = ("thing", "value")

    def __init__(self, thing: Any) -> None:
        self.thing, self.value = thing, exact(thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Exact) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)
