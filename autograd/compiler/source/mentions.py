"""What a code object mentions: globals, attributes, imports, and the names that it rebinds."""

from __future__ import annotations

import functools
import os
import re
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import CodeType
from typing import cast

import numpy as np

from autograd.modes import PACKAGES
from autograd.once import cached_property
from autograd.sources import instructions

# Code that mentions one of these may read attributes whose names are not in the code.
DYNAMIC = frozenset(
    [
        *("__dict__", "__getattribute__", "asdict", "astuple", "attrgetter", "eval", "exec", "fields", "getattr"),
        *("getattr_static", "getmembers", "globals", "locals", "methodcaller", "vars"),
    ]
)
FORMATTING = frozenset({"format", "format_map", "vformat"})  # methods that read attributes which a text names
IMPORTING = frozenset({"__import__", "import_module", "modules"})  # code that mentions one may find modules by texts
READING = frozenset({"eval", "exec", "globals"})  # code that mentions one of these may read globals by texts
CHANGING = frozenset(  # what changes a container, an iterator, or an object by a name
    [
        *("__next__", "move_to_end", "next", "rotate", "send"),
        *("add", "append", "appendleft", "clear", "discard", "extend", "fill", "insert", "pop", "popitem", "popleft"),
        *("remove", "reverse", "setattr", "setdefault", "sort", "update"),
    ]
)
GROWING = frozenset({"append", "appendleft", "extend"})
LOADING = frozenset({"LOAD_ATTR", "LOAD_DEREF", "LOAD_GLOBAL", "LOAD_METHOD", "LOAD_NAME", "LOAD_SUPER_ATTR"})
# Code that mentions one of these may find out that an attribute is missing.
ASKING = frozenset({"hasattr", "AttributeError", "Exception", "BaseException"})
WORD = re.compile(r"[^\W\d]\w*")
FIELD = re.compile(r"\{([^{}:!]*)")  # of a text with a format, up to what says how the field looks
IN_FIELD = re.compile(r"\.([^\W\d]\w*)")
DOTTED = re.compile(rf"{WORD.pattern}(\.{WORD.pattern})*")
ANY = "*"  # stands for all attributes
MISSING = "?"  # before the name of an attribute: an object may have none

LIBRARY = sysconfig.get_paths()["stdlib"] + os.sep
NUMPY = Path(np.__file__).parent
FOREIGN_PATHS = ("<frozen ", *[f"{folder}{os.sep}" for folder in (*PACKAGES, NUMPY, NUMPY.parent / "scipy")])
FOREIGN_MODULES = frozenset({"autograd", "builtins", "llvmlite", "nn", "numpy", "scipy"})


@dataclass(frozen=True)
class Mentions:
    """What a code object, and those inside it, mention.

    Attributes
    ----------
    names : tuple of str
        Globals that it reads.
    attributes : frozenset of str
        Attributes that it reads, of any object; `ANY` if it may read others too; after `MISSING`, those that an object
        may not have.
    modules : tuple of (str, int)
        Imports: the name, and the level (0 for an absolute name).
    rebound : mapping of str to str
        Globals, and variables of enclosing functions, that it rebinds, and the line that does so.
    used : frozenset of str
        Globals, attributes and variables of enclosing functions with which it does more than to append to them.
    changes : bool
        Whether it may change an attribute or the contents of a container.
    """

    names: tuple[str, ...]
    attributes: frozenset[str]
    modules: tuple[tuple[str, int], ...]
    rebound: Mapping[str, str]
    used: frozenset[str]
    changes: bool

    @cached_property
    def certain(self) -> frozenset[str]:
        """The attributes that it reads by name, which an object has."""
        return frozenset([name for name in self.attributes if name != ANY and not name.startswith(MISSING)])


def in_fields(text: str) -> list[str]:
    """The attributes that the fields of a format name, such as ``k`` in ``{0.k:.3f}``."""
    return [name for field in FIELD.findall(text) for name in IN_FIELD.findall(field)]


@functools.lru_cache(maxsize=4096)
def mentions(code: CodeType) -> Mentions:
    """Read a code object."""
    names: dict[str, None] = {}
    attributes: set[str] = set()
    modules: dict[tuple[str, int], None] = {}
    rebound: dict[str, str] = {}
    constants: list[object] = []
    used = _used(code)
    changes, dynamic, before = False, False, None
    for instruction in instructions(code):
        op, name = instruction.opname, instruction.argval
        if op in ("LOAD_ATTR", "LOAD_METHOD") and name in FORMATTING:
            if isinstance(before, str):
                attributes.update(in_fields(before))
            else:
                dynamic = True
        before = name if op == "LOAD_CONST" else None
        if op in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
            names[name] = None
        elif op in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"):
            attributes.add(name)
        elif op == "IMPORT_NAME":
            modules[name, int(str(constants[-2]))] = None  # the level and the names to import come before it
            attributes.update(name.split("."))
        elif op in ("STORE_GLOBAL", "DELETE_GLOBAL") or (
            op in ("STORE_DEREF", "DELETE_DEREF") and name in code.co_freevars
        ):
            line = instruction.positions.lineno if instruction.positions is not None else code.co_firstlineno
            rebound[name] = f"{code.co_filename}:{line} in {code.co_name}"
        elif op in ("LOAD_CONST", "LOAD_SMALL_INT"):
            constants.append(name)
        elif op == "MATCH_CLASS":  # the names of a pattern come before it; `__match_args__` has those that it counts
            found = cast("tuple[str, ...]", constants[-1])
            attributes.update([*found, *[MISSING + key for key in found], *([ANY, "__match_args__"] if name else ())])
        changes = changes or op in ("STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE", "STORE_ATTR", "DELETE_ATTR")
    changes = changes or not CHANGING.isdisjoint(attributes | names.keys())
    if not ASKING.isdisjoint(names):
        texts = [text for text in constants if isinstance(text, str) and text.isidentifier()]
        attributes.update(texts if "hasattr" in names else ())
        attributes.update([MISSING + name for name in attributes])
    if dynamic or not DYNAMIC.isdisjoint(names) or not DYNAMIC.isdisjoint(attributes):
        texts = [word for text in constants if isinstance(text, str) for word in WORD.findall(text)]
        attributes.update([ANY, *texts])
        names.update(dict.fromkeys(texts if not READING.isdisjoint(names) else ()))
    if not IMPORTING.isdisjoint(attributes | names.keys()):
        modules.update({(text, 0): None for text in constants if isinstance(text, str) and DOTTED.fullmatch(text)})
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner = mentions(constant)
            names.update(dict.fromkeys(inner.names))
            attributes |= inner.attributes
            modules.update(dict.fromkeys(inner.modules))
            rebound.update(inner.rebound)
            used |= inner.used
            changes = changes or inner.changes
    return Mentions(tuple(names), frozenset(attributes), tuple(modules), rebound, frozenset(used), changes)


def _used(code: CodeType) -> set[str]:
    """The names and attributes that a code object does not only append to."""
    found = [one for one in instructions(code) if one.opname not in ("CACHE", "EXTENDED_ARG")]
    pairs = [(one, then) for one, then in pairwise(found) if then.argval not in GROWING]
    loads = [one.argval for one, _ in pairs if one.opname.startswith("LOAD_FAST")]  # some load two
    local = {name for names in loads for name in (names if isinstance(names, tuple) else (names,))}
    return {
        str(one.argval)
        for one, then in pairs
        if one.opname in LOADING and not (then.opname == "STORE_FAST" and then.argval not in local)
    }


@functools.lru_cache(maxsize=4096)
def is_foreign_file(path: str) -> bool:
    """Whether a file belongs to Python, NumPy, SciPy or this project, whose globals do not change."""
    return path.startswith(FOREIGN_PATHS) or (path.startswith(LIBRARY) and not is_package_file(path))


def is_package_file(path: str) -> bool:
    """Whether a file belongs to an installed package, which may have very much code."""
    return f"-packages{os.sep}" in path


def is_foreign_module(name: str) -> bool:
    """Whether a module belongs to Python, NumPy, SciPy or this project."""
    top = name.partition(".")[0]
    if top in FOREIGN_MODULES:
        return True
    if top not in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(top), "__file__", None)  # a user's module may have the name of one of Python's
    return file is None or is_foreign_file(file) or not file.endswith(".py")
