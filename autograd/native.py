"""Which build of the engine is in use: the C build if there is one, or pure Python.

Set AUTOGRAD_PURE_PYTHON=1 before the first import to refuse the C build.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def load(name: str, *needs: Any) -> tuple[Any, str]:
    """Import a module of the C build and pass `needs` to its `setup`: the module and "", or None and the reason."""
    if os.environ.get("AUTOGRAD_PURE_PYTHON", "0") not in ("", "0"):
        return None, "AUTOGRAD_PURE_PYTHON is set"
    if "free-threading" in sys.version:  # sysconfig has Py_GIL_DISABLED, but takes a millisecond to load
        return None, "free-threaded Python: the C relies on the GIL"
    try:
        module = importlib.import_module(name)
        if needs:
            module.setup(*needs)
    except ImportError as error:
        return None, str(error)
    return module, ""


extension, why_python = load("autograd._value")


def backend() -> str:
    """The build in use: "c" or "python"; for the latter ``autograd.native.why_python`` has the reason.

    Examples
    --------
    >>> import autograd
    >>> autograd.backend() in ("c", "python")
    True
    """
    return "python" if extension is None else "c"


def fast(function: Function, row: str | None = None) -> Function:
    """The function, with its common case in C if the C build has one for it.

    Parameters
    ----------
    function : callable
        The definition, which runs in all other cases. The C build finds its own by the qualified name.
    row : str, optional
        The primitive that the function applies, if it applies one.
    """
    accelerated: Function = function if extension is None else extension.fast(function, *([] if row is None else [row]))
    return accelerated


def completed(kind: type, python: type) -> Any:
    """A class of the C build, completed with what only the class in Python defines."""
    for name, attribute in vars(python).items():
        if name not in vars(kind) and (callable(attribute) or isinstance(attribute, (classmethod, property))):
            own = isinstance(attribute, FunctionType)
            setattr(kind, name, fast(attribute) if own else attribute)
    kind.__doc__, kind.__annotations__ = python.__doc__, python.__annotations__
    return kind
