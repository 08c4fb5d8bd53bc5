"""Functions as they are called while a program is captured: rewritten, with the variables that they have."""

from __future__ import annotations

import builtins
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

from autograd.compiler.source.jumps import FLOW
from autograd.compiler.source.rewrite import Rewritten, rewritten
from autograd.modes import PACKAGES
from autograd.sources import adapted, definition, is_same_code, recompiled

MOST = 4096  # functions whose new code is kept
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


def _made(function: FunctionType) -> Rewritten | None:
    code = function.__code__
    if code.co_filename.startswith(PACKAGES) or FLOW in code.co_freevars:
        return None
    thing: Any = function
    own = function.__globals__.get("range", thing.__builtins__.get("range"))
    try:
        found = definition(code, function.__globals__)
        if found is None or not adapted(function, found.node):
            return None
        written = recompiled(found.node, found.classes, code, ())
        if written is None or not is_same_code(written, code):
            return None  # the file has changed since, or something rewrote the code
        return rewritten(found, code, own is builtins.range)
    except (SyntaxError, RecursionError, ValueError):  # not what is written there any more, or too deep
        return None


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
