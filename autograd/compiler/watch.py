"""Watches: they check whether places that a function read outside its arguments still hold what was found there.

`_watch.h` does the same in C. Nothing here runs code of the objects that it compares.
"""

from __future__ import annotations

import struct
import threading
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, NamedTuple

import numpy as np

PLAIN = (float, int, str)  # compared by value, because programs make new equal ones all the time


class Place(NamedTuple):
    """A place that a function read, and what was there.

    Attributes
    ----------
    kind : str
        "item" (of a dict, by a text), "attribute" (in the dict of an object), "attributes" (all of that dict), "slot",
        "class" (an attribute of a class or of one of its bases), "cell", "context" (a context variable), "type",
        "function" (code and defaults); or the contents of a "list", "dict", "set" or "array". C does not know "local"
        (an attribute that each thread has for itself), a "setting" (what a function gives), nor the contents of another
        "container".
    where, key : object
        The object, and the name or the slot.
    found : tuple
        What was there; empty if there was nothing. For an array: a copy, the size of an element and its type; a view in
        place of the copy if its memory never changes.
    """

    kind: str
    where: Any
    key: Any
    found: tuple[Any, ...]

    def holds(self) -> bool:
        """Whether the place still holds what was found."""
        if self.kind == "array":
            return _same_array(self.where, *self.found)
        return all_same(self.now(), self.found)

    def now(self) -> tuple[Any, ...]:
        """What is there now; of an array, its bytes."""
        return (self.where.tobytes(),) if self.kind == "array" else LIVE[self.kind](self.where, self.key)

    def before(self) -> tuple[Any, ...]:
        """What was found, in the same form."""
        return (self.found[0].tobytes(),) if self.kind == "array" else self.found

    def restore(self) -> None:
        """Put back what was found: what a list, dict, set or array has, or an object in its attributes."""
        if self.kind == "array":
            if self.where.flags.writeable and self.where.shape == self.found[0].shape:
                self.where[...] = self.found[0]
        elif self.kind in PUT:
            PUT[self.kind](self.where, self.key, self.found)


def same(one: Any, other: Any) -> bool:
    """Whether two objects are identical, or equal floats (bit for bit), ints or texts."""
    if one is other:
        return True
    if type(one) is not type(other) or type(one) not in PLAIN:
        return False
    return struct.pack("d", one) == struct.pack("d", other) if type(one) is float else bool(one == other)


def all_same(ones: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether two sequences have the same objects in the same order."""
    return len(ones) == len(others) and all(map(same, ones, others))


def vars_of(thing: Any) -> dict[str, Any]:
    """The dict of an object that has one; of what is local to threads, that of this thread."""
    getter = threading.local if threading.local in type(thing).__mro__ else object
    found: dict[str, Any] = getter.__getattribute__(thing, "__dict__")
    return found


def own_attributes(thing: Any) -> dict[str, Any]:
    """The dict of an object; empty if it has none, or if its class computes what is said to be it."""
    described = static(type(thing), "__dict__")
    return vars_of(thing) if described and type(described[0]) is GetSetDescriptorType else {}


def context(variable: ContextVar[Any], _: None = None) -> tuple[Any, ...]:
    """What a context variable has in the present context, or its default; empty if it has none."""
    try:
        return (variable.get(),)
    except LookupError:
        return ()


def _same_array(live: Any, copy: Any, _: int, dtype: Any) -> bool:
    if live.shape != copy.shape or live.dtype is not dtype:
        return False
    live = live.view(np.ndarray)
    if live.ctypes.data == copy.ctypes.data and live.strides == copy.strides:
        return True
    if dtype.hasobject:
        return all(map(same, live.ravel(), copy.ravel()))
    return bool(live.tobytes() == copy.tobytes())


def static(cls: type, name: str) -> tuple[Any, ...]:
    """The attribute of a class or of one of its bases; empty if there is none."""
    return next(((vars(base)[name],) for base in cls.__mro__ if name in vars(base)), ())


def _item(where: dict[str, Any], key: str) -> tuple[Any, ...]:
    return (where[key],) if key in where else ()


def _slot(where: Any, slot: MemberDescriptorType | GetSetDescriptorType) -> tuple[Any, ...]:
    try:
        return (slot.__get__(where),)
    except AttributeError:
        return ()


def cell_of(cell: Any, _: None = None) -> tuple[Any, ...]:
    """What a variable of an enclosing function has; empty if it is not bound."""
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def closure_of(function: Any) -> list[Any]:
    """What the variables of functions around a function hold that it uses, as far as they are bound."""
    return [thing for cell in function.__closure__ or () for thing in cell_of(cell)]


def _function(function: Any, _: None) -> tuple[Any, ...]:
    return function.__code__, function.__defaults__, function.__kwdefaults__


def _pairs(where: dict[Any, Any], _: None) -> tuple[Any, ...]:
    return tuple([thing for pair in list(dict.items(where)) for thing in pair])


def ordered_pairs(where: OrderedDict[Any, Any]) -> tuple[Any, ...]:
    """The keys and values of an OrderedDict in its order, which is not that of the dict in it."""
    return tuple([thing for key in list(OrderedDict.__iter__(where)) for thing in (key, dict.__getitem__(where, key))])


def _elements(where: Any) -> tuple[Any, ...]:
    if isinstance(where, OrderedDict):
        return ordered_pairs(where)
    base = next((base for base in (set, deque, bytearray, array) if isinstance(where, base)), None)
    return tuple(bytes_of(where) if base is None else base.__iter__(where))


def bytes_of(where: Any) -> bytes:
    """The bytes of an object that gives access to memory; empty if it has been closed."""
    try:
        return memoryview(where).tobytes()
    except ValueError:
        return b""


# Kind of place → the function that reads what is there now.
LIVE: dict[str, Callable[[Any, Any], tuple[Any, ...]]] = {
    "item": _item,
    "attribute": lambda where, key: _item(vars_of(where), key),
    "attributes": lambda where, _: _pairs(vars_of(where), _),
    "slot": _slot,
    "class": static,
    "cell": cell_of,
    "context": context,
    "setting": lambda where, _: where(),
    "local": lambda where, key: _item(vars_of(where), key),
    "type": lambda where, _: (type(where),),
    "function": _function,
    "list": lambda where, _: tuple(list.__iter__(where)),
    "dict": _pairs,
    "set": lambda where, _: tuple(set.__iter__(where)),
    "container": lambda where, _: _elements(where),
}


def _refill(kind: Any, where: Any, found: Any) -> None:
    kind.clear(where)
    kind.update(where, found)


def _put_item(where: dict[str, Any], key: str, found: tuple[Any, ...]) -> None:
    if found:
        where[key] = found[0]
    else:
        where.pop(key, None)


def _put_in_slot(where: Any, slot: Any, found: tuple[Any, ...]) -> None:
    if found:
        slot.__set__(where, found[0])
    elif _slot(where, slot):
        slot.__delete__(where)


# For kinds of places that code fills and empties: puts back what was there. No code of the objects runs.
PUT: dict[str, Callable[[Any, Any, tuple[Any, ...]], None]] = {
    **dict.fromkeys(("attribute", "local"), lambda where, key, found: _put_item(vars_of(where), key, found)),
    "attributes": lambda where, _, found: _refill(dict, vars_of(where), zip(found[::2], found[1::2])),
    "slot": _put_in_slot,
    "list": lambda where, _, found: list.__setitem__(where, slice(None), found),
    "dict": lambda where, _, found: _refill(dict, where, zip(found[::2], found[1::2])),
    "set": lambda where, _, found: _refill(set, where, found),
}


class Watch:
    """A watch over all places that a function reads."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = places

    def holds(self) -> bool:
        """Whether all of them are unchanged."""
        return all(map(Place.holds, self.places))
