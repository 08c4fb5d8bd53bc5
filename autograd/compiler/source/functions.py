"""Functions as they are called while a program is captured: rewritten, with the variables that they have."""

from __future__ import annotations

import builtins
import hashlib
import linecache
import marshal
import sys
from functools import partial
from pathlib import Path
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

from autograd import storage
from autograd.compiler.source.jumps import FLOW
from autograd.compiler.source.rewrite import Rewritten, Site, rewritten
from autograd.modes import PACKAGES
from autograd.refusals import PREFIX
from autograd.sources import adapted, definition, is_same_code, recompiled

REWRITING = "sources", "refusals", "compiler/source", "adoption/functions", "adoption/rewrite"  # decide about new code
OTHER_FORMS = ("co_consts", "co_lines", "co_lnotab", "co_positions", "co_branches")  # of what other parts say
PARTS = [name for name in dir(CodeType) if name.startswith("co_") and name not in OTHER_FORMS]
UNREADABLE = "its source cannot be read (typed at a prompt, or run by python -c or exec): put the function in a file"
MOST = 4096  # functions whose new code is kept
_digests: dict[str, tuple[list[str], str]] = {}  # file → its lines and their digest
codes: dict[int, tuple[CodeType, Rewritten | None]] = {}  # by id: to hash code takes long; the C build reads it


def new_code(function: FunctionType) -> Rewritten | None:
    """The new code of a function, made once; None if it stays as it is."""
    code = function.__code__
    known = codes.get(id(code))
    if known is None:
        if len(codes) >= MOST:
            codes.clear()
        known = codes[id(code)] = code, _made(function)
    return known[1]


def unreadable(function: FunctionType) -> Site | None:
    """What is told of a function whose source is not there; None if it is, or if a library has made the function."""
    code = function.__code__
    if (
        code.co_name.startswith("__")
        or code.co_filename.startswith("<frozen")
        or linecache.getlines(code.co_filename, function.__globals__)
    ):
        return None
    kind = "each comparison in it, and in what it calls,"
    return Site(kind, code.co_firstlineno, code.co_qualname, UNREADABLE)


def _made(function: FunctionType) -> Rewritten | None:
    """The new code, from disk if this function was rewritten before."""
    code = function.__code__
    if code.co_filename.startswith(PACKAGES) or FLOW in code.co_freevars:
        return None
    entry = _entry(function)
    kept = None if entry is None else storage.read(entry)
    if kept is not None:
        return _unpacked(marshal.loads(kept))
    try:
        made = _rewritten(function)
    except RecursionError:  # too deep here and now: another call may have more room
        return None
    if entry is not None:
        storage.write(entry, marshal.dumps(_packed(made)))
    return made


def _rewritten(function: FunctionType) -> Rewritten | None:
    code = function.__code__
    try:
        found = definition(code, function.__globals__)
        if found is None or not adapted(function, found.node):
            return None
        written = recompiled(found.node, found.classes, code, ())
        if written is None or not is_same_code(written, code):
            return None  # the file has changed since, or something rewrote the code
        return rewritten(found, code, _has_own_range(function))
    except (SyntaxError, ValueError):  # not what is written there any more
        return None


def _has_own_range(function: Any) -> bool:
    """Whether the name `range` is Python's in a function."""
    return function.__globals__.get("range", function.__builtins__.get("range")) is builtins.range


def _entry(function: Any) -> Path | None:
    """The file of all on which the new code depends; None if nothing is kept on disk."""
    code = function.__code__
    lines = linecache.getlines(code.co_filename, function.__globals__)
    if not lines:
        return None
    names = [name for name in function.__builtins__ if name.startswith(PREFIX)]  # those of adopted modules
    around, text = repr((_parts(code), _has_own_range(function), names)), _digest(code.co_filename, lines)
    return storage.entry("rewritten", around, text, sys.version, str(sys.flags.optimize), made_by=REWRITING)


def _parts(code: CodeType) -> list[Any]:
    """All of a code object, in a form with the same text in every process."""
    parts = [getattr(code, name) for name in PARTS]
    for constant in code.co_consts:
        parts.append(_parts(constant) if isinstance(constant, CodeType) else constant)
        if isinstance(constant, frozenset):
            parts[-1] = sorted(map(repr, constant))
    return parts


def _digest(file: str, lines: list[str]) -> str:
    """A digest of the lines of a file, made once for all functions in it."""
    known = _digests.get(file)
    if known is None or known[0] is not lines:
        known = _digests[file] = lines, hashlib.sha256("".join(lines).encode(errors="surrogatepass")).hexdigest()
    return known[1]


def _packed(made: Rewritten | None) -> Any:
    """Plain data, for `marshal`."""
    return made and (made.code, made.impure, made.assigns, [tuple(vars(site).values()) for site in made.sites])


def _unpacked(data: Any) -> Rewritten | None:
    if data is None:
        return None
    code, impure, assigns, sites = data
    return Rewritten(code, impure, assigns, [Site(*site) for site in sites])


def with_code(function: FunctionType, made: Rewritten, flow: Any) -> FunctionType:
    """The function with its new code."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
    cells[FLOW] = CellType(flow)
    closure = tuple([cells[name] for name in made.code.co_freevars])
    new = FunctionType(made.code, function.__globals__, function.__name__, function.__defaults__, closure)
    new.__kwdefaults__ = function.__kwdefaults__
    new.__dict__.update(function.__dict__)
    new.__qualname__, new.__module__ = function.__qualname__, function.__module__
    return new


def inner_function(thing: Any) -> FunctionType | None:
    """The function in Python that a call of a thing runs, if it is one: of a method, or with some arguments given."""
    while type(thing) is not FunctionType:
        if type(thing) is MethodType:
            thing = thing.__func__
        elif type(thing) is partial:
            thing = thing.func
        else:
            return None
    return thing
