"""The error if code needs a plain float and gets a Value: it names the call, its line and what to do instead."""

from __future__ import annotations

import linecache
import sys
from dis import opname
from itertools import islice
from types import BuiltinFunctionType, FrameType
from typing import Any, NoReturn

from autograd.modes import PACKAGES, place_of
from autograd.rules import TABLE

PREFIX = "__adopted_"  # of the names in adopted code that stand for what it calls
ADOPTED = f"{PREFIX}call__"  # adopted code has it among its builtins or in its closure
INDEX = "use int() of its .data, or autograd.math.take for the element at a computed place"


def refuse_conversion(node: Any, wanted: str = "a float") -> NoReturn:
    """Raise the error for the line that needs `wanted`."""
    frame = _asking()
    asking = _segment(frame)
    where = f"{f'{asking!r} at ' if asking else 'at '}{place_of(frame)}"
    advice = INDEX if wanted == "an index" else _advice(frame, asking)
    raise TypeError(
        f"{node!r} does not turn into {wanted} silently, because its gradient would be lost ({where}): {advice}"
    )


def is_asked_by_adopted_code() -> bool:
    """Whether adopted code is asking: there a Value has the attributes of a float too."""
    return _is_adopted(_asking())


def _asking() -> FrameType:
    """The frame of the nearest caller outside these packages."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGES):
        frame = frame.f_back
    return frame


def _is_adopted(frame: FrameType) -> bool:
    return ADOPTED in frame.f_builtins or ADOPTED in frame.f_code.co_freevars


def _advice(frame: FrameType, asking: str) -> str:
    """What the user can do; it depends on what was called, and by which code."""
    called = _called(frame, asking)
    if isinstance(called, type) and issubclass(called, float) and called is not float:
        return (
            f"{called.__qualname__} is a class built on float, whose objects cannot keep a gradient. Pass plain "
            "numbers where it is used, or replace it by a class that holds its number in an attribute"
        )
    if _is_adopted(frame):
        name = getattr(called, "__qualname__", "what is called")
        return (
            f"the code is adopted, but {name} is compiled code, which takes plain numbers only. Adopt the code without "
            "it (without=...), pass .data where no derivative is wanted, or give it a derivative with "
            "autograd.custom_gradient"
        )
    if frame.f_globals.get("__name__") == "statistics":
        return "statistics computes with fractions and plain floats. Load it with autograd.adopt('statistics')"
    if "-packages" in frame.f_code.co_filename:
        package = str(frame.f_globals.get("__name__", "the package")).partition(".")[0]
        if package == "numpy":
            return (
                "this function of NumPy computes with floats only. Write it with arithmetic on the elements, take "
                "autograd.linalg or autograd.math, or give it a derivative with autograd.custom_gradient"
            )
        if isinstance(called, BuiltinFunctionType) and called.__module__ != "math":
            return (
                f"{package} calls compiled code here, which takes plain numbers only. Give its result a derivative: "
                "autograd.implicit.solution_of for the solution of an equation, autograd.custom_gradient for a formula"
            )
        return (
            f"{package} computes with Python's own math. Load it with autograd.adopt({package!r}), or pass "
            f"also=({package!r},) where the code that calls it is adopted"
        )
    if name := _of_math(called):
        return f"use autograd.math.{name}, or its .data where no gradient is wanted"
    return _array_of_floats(frame, called) or "use its .data for the number, autograd.math (not math) for functions"


def advice_for_the_line() -> str:
    """What to write in the line that needs a plain number, if the line shows it; else empty."""
    frame = _asking()
    called = _called(frame, _segment(frame))
    if name := _of_math(called):
        return f"use autograd.math.{name}"
    return _array_of_floats(frame, called)


def _of_math(called: Any) -> str:
    """The name of a function of the math module for which the table has a row; else empty."""
    known = isinstance(called, BuiltinFunctionType) and called.__module__ == "math" and called.__name__ in TABLE
    return called.__name__ if known else ""


def _array_of_floats(frame: FrameType, called: Any) -> str:
    """What to do if a Value is put into an array of floats; else empty."""
    if _stores(frame):
        return "an array of floats holds no Values. Use a list, or make it with dtype=object: np.zeros(n, dtype=object)"
    if getattr(called, "__module__", None) == "numpy":
        return "an array of floats holds no Values. Leave dtype out, or say dtype=object"
    return ""


def _stores(frame: FrameType) -> bool:
    """Whether a frame is about to put something into a place of a container."""
    if opname[frame.f_code.co_code[frame.f_lasti]] == "STORE_SUBSCR":
        return True
    place, _, behind = _segment(frame).partition("]")  # rewritten code calls a function for it
    return "[" in place and "(" not in place and behind.lstrip(" +-*/").startswith("=")


def _segment(frame: FrameType) -> str:
    """The text of the expression that runs in a frame, if it is in one line."""
    code = frame.f_code
    place = next(islice(code.co_positions(), frame.f_lasti // 2, None), (None, None, None, None))
    line, last, left, right = place
    if line is None or line != last or left is None or right is None:
        return ""
    return linecache.getline(code.co_filename, line, frame.f_globals).encode()[left:right].decode(errors="replace")


def _called(frame: FrameType, asking: str) -> Any:
    """The object that a call such as ``module.function(x)`` calls, looked up by its names; None if that fails."""
    names = asking.partition("(")[0].strip().split(".")
    if "(" not in asking or not all(map(str.isidentifier, names)):
        return None
    scopes = (frame.f_locals, frame.f_globals, frame.f_builtins)
    found: Any = next((scope[names[0]] for scope in scopes if names[0] in scope), None)
    for name in names[1:]:
        found = vars(found).get(name) if hasattr(found, "__dict__") else None
    return found
