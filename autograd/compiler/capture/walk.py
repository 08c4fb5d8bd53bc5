"""What a function reads outside its arguments, found by walking its code and what the code mentions.

The walk starts at the function. It follows globals, closure cells, defaults, attributes of modules, classes and
instances, the contents of containers and arrays, and the functions among all these. It runs no code of what it visits.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import gc
import importlib.util
import io
import operator
import os
import random
import re
import sys
import threading
import weakref
from abc import ABCMeta
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date, time, timedelta, tzinfo
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    GenericAlias,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, NamedTuple

import numpy as np

from autograd.compiler import c_build
from autograd.compiler.capture.exact import Same
from autograd.compiler.capture.settings import Setting, of_classes, setting_of
from autograd.compiler.source.mentions import (
    ANY,
    DOTTED,
    MISSING,
    in_fields,
    is_foreign_file,
    is_foreign_module,
    is_package_file,
    mentions,
)
from autograd.compiler.watch import LIVE, Place, bytes_of, ordered_pairs, static, vars_of
from autograd.once import cached_property
from autograd.rules import TABLE, Rule
from autograd.value import Value

ASKING_CLASSES = frozenset({"isinstance", "issubclass"})
MOST_OBJECTS = 100_000  # visited
MOST_OF_PACKAGES = 100  # functions, classes and modules of installed packages
LONGEST = 1_000_000  # elements of a container that is watched
LARGEST_ARRAY = 1 << 26  # bytes
LONGEST_NAME = 200  # characters

CODE: tuple[type, ...] = (FunctionType, staticmethod, classmethod, property)
VIEWS: tuple[type, ...] = (MappingProxyType, type({}.keys()), type({}.values()), type({}.items()))  # of dicts
DEFINED = frozenset([*CODE, ModuleType, type, BuiltinFunctionType])
DESCRIPTORS: tuple[type, ...] = (GetSetDescriptorType, MemberDescriptorType)
IMMUTABLE: frozenset[type] = frozenset(
    [
        *(np.dtype, re.Pattern, date, time, timedelta, tzinfo, slice, GenericAlias),
        *(BuiltinFunctionType, GetSetDescriptorType, MemberDescriptorType, MethodDescriptorType),
        *(ClassMethodDescriptorType, WrapperDescriptorType, type(vars(Place)["kind"])),
    ]
)
TEXTS: tuple[type, ...] = (bool, int, str, bytes, type(None), type(...), type(NotImplemented))
BY_REPR = (("builtins", "complex"), ("builtins", "range"), ("decimal", "Decimal"), ("fractions", "Fraction"))
NUMPY_GENERATORS = frozenset(
    {"BitGenerator", "Generator", "RandomState"}
)  # their module is imported only when it is used
OPAQUE_MODULES = frozenset(["datetime", "io", "locale", "os", "secrets", "socket", "subprocess", "time", "uuid"])
OPAQUE_NAMES = frozenset({"input", "open"})
OPAQUE, FILE, ITERATOR = "clock, file or system", "file", "iterator"  # what gives another answer when it is asked again
OF_TEXT = ("join", "split", "splitext", "basename", "dirname", "normpath", "isabs", "sep")  # of os.path
NOW = frozenset({"now", "today", "utcnow"})  # of the classes of datetime
# Their code is not read, so it is not known which attributes of their objects it reads.
HIDING_MODULES = frozenset(
    [
        *("_weakrefset", "autograd", "collections", "configparser", "functools", "nn", "numpy", "queue", "scipy"),
        *("statistics", "string", "weakref"),
    ]
)
POINTERS = frozenset({"_Pointer", "c_char_p", "c_void_p", "c_wchar_p", "py_object"})  # of ctypes

# Attributes of classes written in C that are read without running code: where pandas has its numbers.
IN_C = {
    ("pandas._libs.internals", "BlockManager"): ("blocks", "axes"),
    ("pandas._libs.internals", "Block"): ("values",),
}

# Their objects do not change, and may be very large.
COMPILER = ("autograd.adoption.", "autograd.compiler.", "autograd.ir.")

ROWS = dict(TABLE)  # as they are defined; they never change

Handle = Callable[[Any, Any, str], None]


class Read(NamedTuple):
    """Something that a compiled function reads outside its arguments.

    Attributes
    ----------
    name : str
        Its place, such as ``K``, ``settings.rate``, or ``table[]`` for the contents of a container.
    kind : str
        Its kind: "global", "closure", "attribute", "function", "list", "array" and so on.
    watched : bool
        Whether a change is noticed.
    """

    name: str
    kind: str
    watched: bool


class AllSame:
    """Equal only for the same objects in the same order."""

    __slots__ = ("things",)

    def __init__(self, things: tuple[Any, ...]) -> None:
        self.things = things

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, AllSame)
            and len(self.things) == len(other.things)
            and all(a is b for a, b in zip(self.things, other.things))
        )

    __hash__ = None  # type: ignore[assignment]


@dataclass
class Look:
    """What one walk found.

    Attributes
    ----------
    tokens : list
        Everything that was found, for comparison: plain things by value, containers by contents, the rest by identity.
    places, names : lists
        The places that are watched, and the name of each.
    rebound : dict
        Names that the code rebinds, with the line.
    used : set
        Names and attributes with which the code does more than to append to them.
    changes : bool
        Whether the code may change attributes and containers.
    generators : list
        Generators of random numbers that the code can use.
    called : set
        Names of things outside that functions mention, other than methods such as `__init__`.
    lists : set
        The ids of lists and the like.
    """

    tokens: list[Any] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    reads: dict[Read, None] = field(default_factory=dict)
    rebound: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    changes: bool = False
    generators: list[Any] = field(default_factory=list)
    called: set[str] = field(default_factory=set)
    lists: set[int] = field(default_factory=set)

    @property
    def steady(self) -> bool:
        """Whether the code must do the same if it runs again: it reads no iterator, file, clock or the like."""
        return all(read.watched or read.kind == "code" for read in list(self.reads))

    @property
    def once(self) -> dict[str, None]:
        """The names of the clocks, files and iterators that the user's own code reads."""
        reads = [read.name.rpartition(".") for read in self.reads if read.kind in (OPAQUE, FILE, ITERATOR)]
        modules = {module: sys.modules.get(module) for module, _, _ in reads}
        own = {name for name, module in modules.items() if not (module and _is_of_a_package(module))}
        return {name: None for module, _, name in reads if name in self.called and module in own}

    def changed(self) -> list[int]:
        """The numbers of the places that have changed."""
        return [i for i, place in enumerate(self.places) if not place.holds()]

    @cached_property
    def watch(self) -> Any:
        """The same places for quick comparison, in C if it knows all their kinds."""
        return c_build.watch(self.places)


class Walk:
    """One walk from the roots; `attributes` are the names of the attributes to follow."""

    def __init__(self, roots: Sequence[Any], attributes: frozenset[str], ignored: frozenset[tuple[str, str]]) -> None:
        self.attributes, self.ignored = attributes, ignored
        self.missing = {key for key in attributes if MISSING + key in attributes}  # those that an object may not have
        self.mentioned = set(attributes)
        self.look = Look()
        self.seen: dict[int, int] = {}
        self.watched: set[tuple[str, int, Any]] = set()
        self.abstract = False  # whether a class is reached of which others may be registered as subclasses
        self.home = _module_of(roots[0])
        self.stack: list[tuple[Any, str]] = [(root, _name_of(root)) for root in reversed(roots)]
        self.later: deque[tuple[Any, str]] = deque()  # things of packages: the nearest first, up to a limit
        self.run()

    def run(self) -> None:
        """Visit everything."""
        packages = 0
        while self.stack or self.later:
            if self.stack:
                self.visit(*self.stack.pop())
                continue
            thing, name = self.later.popleft()
            packages += 1
            if packages > MOST_OF_PACKAGES:
                self.put(Same(thing))
                self.note("more of installed packages", "code", False)
            else:
                self.handle(thing, name)
        if self.abstract and not ASKING_CLASSES.isdisjoint(self.look.called):
            self.setting("ABCMeta.register", of_classes)

    # ---- notes -----------------------------------------------------------------------------------------------

    def push(self, things: Sequence[tuple[Any, str]]) -> None:
        """Visit these next, in this order."""
        self.stack.extend(reversed(things))

    def note(self, name: str, kind: str, watched: bool = True) -> None:
        """Add to the list of reads."""
        self.look.reads[Read(name, kind, watched)] = None

    def put(self, *tokens: Any) -> None:
        """Add tokens to compare."""
        self.look.tokens += tokens

    def watch(self, kind: str, where: Any, key: Any, name: str, said: str, of_a_package: bool = False) -> None:
        """Watch a place that is not watched yet, and follow what is there.

        The functions, classes and modules of an installed package are followed but not watched: they are not replaced.
        """
        at = (kind, id(where), key if type(key) is str else id(key))
        if (kind, name) in self.ignored:
            self.note(name, f"{said} that the function itself changes", False)
        if (kind, name) in self.ignored or at in self.watched:
            return
        self.watched.add(at)
        found = LIVE[kind](where, key)
        if not of_a_package or any(DEFINED.isdisjoint(type(thing).__mro__) for thing in found):
            self.place(Place(kind, where, key, found), name)
            self.note(name, said)
        self.put(name, len(found))
        self.push([(thing, name) for thing in found])

    def place(self, place: Place, name: str) -> None:
        """Watch a place as it is."""
        self.look.places.append(place)
        self.look.names.append(name)

    # ---- things ----------------------------------------------------------------------------------------------

    def visit(self, thing: Any, name: str) -> None:
        """Note one thing, and find what it leads to."""
        kind = type(thing)
        name = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
        if kind in TEXTS:
            self.put(kind.__name__, thing)
            if kind is str and ANY in self.attributes:  # a name for `getattr`, or a text for `format`
                self.mentioned.update(in_fields(thing), thing.split(".") if DOTTED.fullmatch(thing) else ())
        elif kind is float:
            self.put(thing.hex())
        elif np.generic in kind.__mro__ and not thing.dtype.hasobject and np.void not in kind.__mro__:
            self.put(thing.dtype.str, thing.tobytes())
        elif Value in kind.__mro__ or kind is CodeType:
            self.put(Same(thing))
        elif _is_by_repr(kind):
            self.put(kind.__name__, repr(thing))
        elif id(thing) in self.seen:
            self.put("again", self.seen[id(thing)])
        else:
            self.seen[id(thing)] = len(self.seen)
            self.put(Same(kind))
            if len(self.seen) > MOST_OBJECTS:
                self.put(Same(thing))
                self.note("more than can be watched", "objects", False)
                return
            if _is_of_a_package(thing):
                self.later.append((thing, name))
            else:
                self.handle(thing, name)

    def handle(self, thing: Any, name: str) -> None:
        """Follow a thing, in the way of its type."""
        if (found := setting_of(thing, self.attributes)) is not None:
            self.setting(*found, thing)
        bases = type(thing).__mro__
        next((handle for base, handle in HANDLERS.items() if base in bases), Walk.instance)(self, thing, name)

    def setting(self, name: str, setting: Setting, thing: Any = None) -> None:
        """A setting that functions read of which the source is not there."""
        at = name, id(thing), None
        if at not in self.watched:
            self.watched.add(at)
            found = setting()
            self.put(name, *found)
            self.place(Place("setting", setting, None, found), name)
            self.note(name, "setting")

    def function(self, function: FunctionType, name: str) -> None:
        """A function: its closure and defaults, and what its code mentions."""
        code = function.__code__
        self.put(code)
        cells = list(zip(code.co_freevars, function.__closure__ or ()))
        if is_foreign_file(code.co_filename):
            if _module_of(function) in OPAQUE_MODULES:
                self.note(name, OPAQUE, False)
            inside = [(thing, name) for _, cell in cells for thing in LIVE["cell"](cell, None)]
            self.push([*inside, (function.__defaults__, name), (function.__kwdefaults__, name)])
            return
        if not is_package_file(code.co_filename):
            self.place(
                Place("function", function, None, LIVE["function"](function, None)), name or function.__qualname__
            )
            self.note(name or function.__qualname__, "function")
        self.push([(function.__defaults__, f"{name or function.__name__}.__defaults__")])
        self.push([(function.__kwdefaults__, f"{name or function.__name__}.__kwdefaults__")])
        self.named_attributes(function, name or function.__name__)
        for variable, cell in cells:
            self.watch("cell", cell, None, variable, "closure")
        self.mentions(code, function.__globals__)

    def mentions(self, code: CodeType, names: dict[str, Any]) -> None:
        """The globals and imports of a user's code."""
        found = mentions(code)
        if not code.co_name.startswith("__") or code.co_name == "__call__":
            self.look.called.update(found.names, code.co_freevars)
        of_a_package = is_package_file(code.co_filename)  # such code often reads attributes by computed names
        self.mentioned |= found.certain if of_a_package else found.attributes
        self.look.rebound.update(found.rebound)
        self.look.used |= found.used
        self.look.changes = self.look.changes or found.changes
        module = names.get("__name__", "")
        prefix = "" if module == self.home else f"{module}."
        for name in filter(str.isidentifier, found.names):  # pytest adds names like `@pytest_ar` to rewritten asserts
            self.watch("item", names, name, prefix + name, "global", of_a_package)
            if name in OPAQUE_NAMES and name not in names:
                self.note(name, FILE, False)
        for name, level in found.modules:
            full = name
            if level:
                full = importlib.util.resolve_name("." * level + name, names.get("__package__") or module)
            parts = full.split(".")
            for k in range(len(parts)):
                self.watch("item", sys.modules, ".".join(parts[: k + 1]), ".".join(parts[: k + 1]), "module")

    def module(self, module: ModuleType, name: str) -> None:
        """A module: the attributes that the code mentions."""
        full = vars(module).get("__name__", "")
        self.put(Same(module))
        if full in ("random", "numpy.random") or (full == "numpy" and "random" in self.attributes):
            self.look.generators += global_generators()
        of_text = full == "os" and self.attributes & (vars(os).keys() | vars(os.path).keys()) <= {"path", *OF_TEXT}
        if full in OPAQUE_MODULES and not (of_text and "path" in self.attributes):
            self.note(name, OPAQUE, False)
        if not is_foreign_module(full):
            data = _data_in(module) if ANY in self.attributes else ()
            for attribute in sorted(self.attributes & (self.missing | vars(module).keys()) | set(data)):
                of_a_package = _is_of_a_package(module)
                self.watch("item", vars(module), attribute, f"{name}.{attribute}", "attribute", of_a_package)

    def cls(self, cls: type, name: str) -> None:
        """A class: its own methods with double underscores, and the attributes that the code mentions."""
        self.put(Same(cls))
        self.abstract = self.abstract or (issubclass(type(cls), ABCMeta) and not _is_foreign(cls))
        if issubclass(cls, date) and not NOW.isdisjoint(self.attributes):
            self.note(name, OPAQUE, False)
        for base in cls.__mro__:
            if _is_foreign(base):
                continue
            data = _data_in(base) if ANY in self.attributes else ()
            for attribute, thing in list(vars(base).items()):
                wanted = attribute in self.attributes or attribute in data
                if wanted or (attribute.startswith("__") and type(thing) in CODE) or _sets(thing):
                    if type(thing) not in DESCRIPTORS:
                        hidden = static(cls, attribute)[0] is not thing  # `super()` finds it
                        owner = base if hidden else cls
                        said = f"{owner.__name__}.{attribute}"
                        self.watch("class", owner, attribute, said, "attribute", _is_of_a_package(base))
                    if attribute in ("__getattr__", "__getattribute__"):
                        self.note(f"{cls.__name__}.{attribute}", "computed attributes", False)
        kind: type = type(cls)
        if kind is not type:
            self.push([(kind, kind.__name__)])
            bases = [base for base in kind.__mro__ if not _is_foreign(base)]
            for attribute in sorted(self.attributes):
                if not static(cls, attribute) and any(attribute in vars(base) for base in bases):
                    self.watch("class", cls, attribute, f"{cls.__name__}.{attribute}", "attribute")

    def instance(self, thing: Any, name: str) -> None:
        """Any other object; without watched attributes it is compared by identity."""
        cls = type(thing)
        if cls.__name__ in NUMPY_GENERATORS and _module_of(cls).startswith("numpy."):
            self.generator(thing, name)
            return
        if _module_of(cls).startswith(COMPILER):
            self.put(Same(thing))
            return
        places = len(self.look.places)
        self.attributes_of(thing, name)
        if places == len(self.look.places) or enum.Enum in cls.__mro__:
            self.put(Same(thing))
            if _module_of(cls) in OPAQUE_MODULES and IMMUTABLE.isdisjoint(cls.__mro__):
                self.note(name, OPAQUE, False)
            elif static(cls, "__next__") and name:  # our own have none
                self.note(name, ITERATOR, False)
            elif not _has_dict(cls) and cls is not object and IMMUTABLE.isdisjoint(cls.__mro__):
                self.note(name, f"object of {cls.__module__}.{cls.__qualname__}", False)

    def attributes_of(self, thing: Any, name: str) -> None:
        """The class of an object, and the attributes in its dict and in slots."""
        cls, places = type(thing), len(self.look.places)
        self.push([(cls, cls.__name__)])
        if static(cls, "tree_flatten") or static(cls, "__dataclass_fields__"):
            everything = True  # code that flattens it reads all attributes
        elif _is_foreign(cls):
            everything = _module_of(cls).partition(".")[0] in HIDING_MODULES
        else:
            everything = ANY in self.attributes
        if threading.local in cls.__mro__:
            self.named_attributes(thing, name, "local", vars_of(thing) if everything else ())
        elif _has_dict(cls):
            if everything:
                self.all_attributes(thing, name)
            else:
                self.named_attributes(thing, name)
            if len(self.look.places) > places:
                self.place(Place("type", thing, None, (cls,)), name)
        for base in cls.__mro__:
            for key, slot in list(vars(base).items()) if "__slots__" in vars(base) else ():
                if type(slot) is MemberDescriptorType and (everything or key in self.attributes):
                    self.watch("slot", thing, slot, f"{name}.{key}", "attribute")
            for key in IN_C.get((_module_of(base), base.__name__), ()):
                if type(getter := vars(base).get(key)) is GetSetDescriptorType:
                    self.watch("slot", thing, getter, f"{name}.{key}", "attribute")

    def all_attributes(self, thing: Any, name: str) -> None:
        """Everything in the dict of an object, except what the function itself changes."""
        found = LIVE["attributes"](thing, None)
        named = [(key, value, f"{name}.{key}") for key, value in zip(found[::2], found[1::2])]
        if any(("attribute", said) in self.ignored for _, _, said in named):
            for key, _, said in named:
                self.watch("attribute", thing, key, said, "attribute")
            return
        self.place(Place("attributes", thing, None, found), f"{name}.")
        self.put(len(named))
        for key, value, said in reversed(named):
            self.push([(key, name), (value, said)])
        for _, _, said in named:
            self.note(said, "attribute")

    def named_attributes(self, thing: Any, name: str, kind: str = "attribute", more: Iterable[str] = ()) -> None:
        """The attributes that the code mentions; one that is missing, or that only the class has, must not appear."""
        items = vars_of(thing)
        bases = [base for base in type(thing).__mro__ if not (_is_of_a_package(base) or _is_foreign(base))]
        there = {*items, *self.missing, *[key for base in bases for key in vars(base)]}
        for key in sorted(self.attributes & there | set(more)):
            self.watch(kind, thing, key, f"{name}.{key}", "attribute")

    # ---- containers ------------------------------------------------------------------------------------------

    def refused(self, kind: str, thing: Any, name: str, too_large: bool) -> bool:
        """Whether the contents of a container are not watched, because it is too large or changed by the function."""
        ignored = (kind, name) in self.ignored
        if ignored or too_large:
            why = "that the function itself changes" if ignored else "too large to be watched"
            self.note(name, f"{type(thing).__name__} {why}", False)
            if too_large:
                self.put(Same(thing))
        return ignored or too_large

    def contents(self, kind: str | None, thing: Any, name: str, items: tuple[Any, ...]) -> None:
        """The contents of a container that is no dict; a container without a `kind` is immutable."""
        if not _is_foreign(type(thing)):
            self.attributes_of(thing, name)  # a subclass may have attributes too
        inside = f"{name}[]"
        if kind is not None:
            self.look.lists.add(id(thing))
        if self.refused(kind or "", thing, inside, len(items) > LONGEST):
            return
        self.put(len(items))
        if kind is not None:
            self.place(Place(kind, thing, None, items), inside)
            self.note(inside, type(thing).__name__)
        kinds = set(map(type, items))
        if kinds == {float}:
            self.put(np.array(items).tobytes())
        elif kinds == {Value}:
            self.put(AllSame(items))
        elif kinds == {int}:
            self.put(items)
        else:
            self.push([(item, f"{name}[{i}]") for i, item in enumerate(items)])

    def dictionary(self, thing: dict[Any, Any], name: str) -> None:
        """A dict: keys and values in their order."""
        if isinstance(thing, OrderedDict):
            self.contents("container", thing, name, ordered_pairs(thing))
            return
        if not _is_foreign(type(thing)):
            self.attributes_of(thing, name)
        inside = f"{name}[]"
        if self.refused("dict", thing, inside, len(thing) > LONGEST):
            return
        items = LIVE["dict"](thing, None)
        self.put(len(items))
        self.place(Place("dict", thing, None, items), inside)
        self.note(inside, type(thing).__name__)
        for key, value in reversed(list(zip(items[::2], items[1::2]))):
            said = f"{name}[{key!r}]" if type(key) in TEXTS else inside
            self.push([(key, inside), (value, said)])

    def ndarray(self, array: Any, name: str) -> None:
        """An ndarray: its contents, which are watched. Read-only ones too, which may be made writeable."""
        if type(array) is not np.ndarray:
            self.attributes_of(array, name)
        self.put(array.shape, array.dtype.str)
        inside = f"{name}[]"
        if self.refused("array", array, inside, array.nbytes > LARGEST_ARRAY):
            return
        copy = array.view(np.ndarray) if _never_changes(array) else np.array(array, order="C", subok=False)
        self.place(Place("array", array, None, (copy, copy.itemsize, array.dtype)), inside)
        self.note(inside, "array")
        if array.dtype.hasobject:
            self.push([(x, f"{name}[{i}]") for i, x in enumerate(copy.ravel().tolist())])
        else:
            self.put(copy.tobytes())

    def memory(self, thing: Any, name: str) -> None:
        """What gives access to memory: its bytes. What a pointer in it points to is not watched."""
        try:
            found = bytes_of(thing)
        except (TypeError, BufferError):  # objects in it
            self.instance(thing, name)
            return
        self.contents("container", thing, name, tuple(found))
        if any(kind.__name__ in POINTERS for kind in type(thing).__mro__):
            self.note(name, f"object of {type(thing).__module__}.{type(thing).__qualname__}", False)

    def proxy(self, proxy: Any, name: str) -> None:
        """The proxy of a weak reference: what it stands for, if that is still there."""
        with suppress(ReferenceError):
            self.push([(proxy.__init__.__self__, name)])

    def ufunc(self, ufunc: np.ufunc, name: str) -> None:
        """A function of NumPy; `numpy.frompyfunc` has made it of a function of Python."""
        self.put(Same(ufunc))
        self.push([(thing, name) for thing in gc.get_referents(ufunc) if type(thing) is not dict])

    def file(self, file: Any, name: str) -> None:
        """A file, on a disk or in memory: what it reads next may be something else."""
        self.instance(file, name)
        self.note(name, FILE, False)

    def context(self, variable: ContextVar[Any], name: str) -> None:
        """A context variable: what it has where the function is called."""
        self.put(Same(variable))
        self.watch("context", variable, None, f"{name}.get()", "context variable")

    def generator(self, generator: Any, name: str) -> None:
        """A generator of random numbers: it must not be used."""
        self.put(Same(generator))
        self.note(name, "random generator", False)
        self.look.generators.append(generator)

    def row(self, rule: Rule, name: str) -> None:
        """A primitive: what one of this project computes never changes, one that a user made is an instance."""
        if type(rule) is Rule and ROWS.get(rule.name) is rule:
            self.put(rule.name)
        else:
            self.instance(rule, name)

    def getter(self, getter: Any, name: str) -> None:
        """What reads attributes or items by names of its own: an ``operator.attrgetter`` and its like."""
        inside = getter.__reduce__()
        words = [word for text in inside[1] if type(text) is str for word in text.split(".")]
        self.mentioned |= {*words, *([ANY] if "__getattribute__" in words else ())}
        self.push([(inside, name)])


def _inside(*names: str) -> Handle:
    """Follow these attributes of a built-in type."""
    return lambda walk, thing, name: walk.push([(getattr(thing, attribute), name) for attribute in names])


def _sequence(kind: str | None, items: Callable[[Any], Any]) -> Handle:
    """The contents of a container; `items` iterates over them, ignoring methods of a subclass."""
    return lambda walk, thing, name: walk.contents(kind, thing, name, tuple(items(thing)))


# How each type is followed, subclasses included; anything else is an instance.
HANDLERS: dict[type, Handle] = {
    c_build.Entry: lambda walk, thing, name: walk.push([(vars_of(thing).get("function"), name)]),
    FunctionType: Walk.function,
    MethodType: lambda walk, thing, name: walk.push([(thing.__func__, name), (thing.__self__, "self")]),
    BuiltinFunctionType: _inside("__name__", "__self__"),
    MethodWrapperType: _inside("__name__", "__self__"),
    functools.partial: _inside("func", "args", "keywords"),
    **dict.fromkeys([operator.attrgetter, operator.itemgetter, operator.methodcaller], Walk.getter),
    staticmethod: _inside("__func__"),
    classmethod: _inside("__func__"),
    property: _inside("fget", "fset", "fdel"),
    functools.cached_property: _inside("func"),
    ModuleType: Walk.module,
    type: Walk.cls,
    list: _sequence("list", list.__iter__),
    tuple: _sequence(None, tuple.__iter__),
    dict: Walk.dictionary,
    **dict.fromkeys(VIEWS, lambda walk, thing, name: walk.push([(each, name) for each in gc.get_referents(thing)])),
    set: lambda walk, thing, name: walk.contents(
        "set" if type(thing) is set else "container", thing, name, tuple(set.__iter__(thing))
    ),
    frozenset: _sequence(None, frozenset.__iter__),
    deque: _sequence("container", deque.__iter__),
    bytearray: _sequence("container", bytearray.__iter__),
    array: _sequence("container", array.__iter__),
    Rule: Walk.row,
    np.ndarray: Walk.ndarray,
    np.flatiter: _inside("base"),
    np.ufunc: Walk.ufunc,
    np.void: Walk.memory,
    memoryview: Walk.memory,
    ctypes.Structure.__mro__[1]: Walk.memory,  # what all types of ctypes derive from
    **dict.fromkeys(weakref.ProxyTypes, Walk.proxy),
    weakref.ref: lambda walk, thing, name: walk.push([(weakref.ref.__call__(thing), f"{name}()")]),
    ContextVar: Walk.context,
    random.Random: Walk.generator,
    io.IOBase.__mro__[1]: Walk.file,  # what all files derive from
}


def _is_by_repr(kind: type) -> bool:
    """Whether things of a type are what they show; its module may not be imported yet."""
    return any(kind is vars(sys.modules.get(module, object)).get(name) for module, name in BY_REPR)


def _is_of_a_package(thing: Any) -> bool:
    """Whether a function, a class or a module belongs to an installed package."""
    file: Any = ""
    if type(thing) is FunctionType:
        file = thing.__code__.co_filename
    elif ModuleType in type(thing).__mro__:
        file = vars(thing).get("__file__")
    elif type in type(thing).__mro__:
        file = getattr(sys.modules.get(_module_of(thing)), "__file__", "")
    return type(file) is str and is_package_file(file)


def _never_changes(array: Any) -> bool:
    """Whether the memory of an array, which is in one piece, is that of bytes."""
    base = array
    while type(base) is np.ndarray and not base.flags.owndata:
        base = base.base
    return type(base) is bytes and bool(array.flags.c_contiguous)


def _data_in(space: type | ModuleType) -> set[str]:
    """The names of a class or of a module, of the user's, for what is no function, class or module."""
    if _is_of_a_package(space):
        return set()
    items = list(vars(space).items())
    return {name for name, x in items if not name.startswith("__") and DEFINED.isdisjoint(type(x).__mro__)}


def _is_foreign(cls: type) -> bool:
    """Whether a class belongs to Python, NumPy, SciPy or this project."""
    return is_foreign_module(_module_of(cls))


def _sets(thing: Any) -> bool:
    """Whether an attribute of a class runs code where code assigns to it: a property with a setter, and its like."""
    return thing.fset is not None if type(thing) is property else bool(static(type(thing), "__set__"))


def _has_dict(cls: type) -> bool:
    """Whether objects of a class have a dict that can be read without running their code."""
    return cls.__dictoffset__ != 0 and all(type(x) in DESCRIPTORS for x in static(cls, "__dict__"))


def _name_of(root: Any) -> str:
    """The prefix of the names of a root's attributes."""
    return (
        "" if isinstance(root, (FunctionType, c_build.Entry)) else str(getattr(root, "__name__", type(root).__name__))
    )


def _module_of(thing: Any) -> str:
    """The module of a class or a function."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    return str(getattr(thing, "__module__", ""))


def global_generators() -> list[Any]:
    """The generators that the functions of `random`, and of `numpy.random` once it is imported, use."""
    numpys = sys.modules.get("numpy.random")
    return [vars(random)["_inst"], *([] if numpys is None else [numpys.mtrand._rand])]
