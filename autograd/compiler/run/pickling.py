"""Functions in pickles: by name, through the transforms that made them, or, where there is no way, as a promise."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable
from typing import Any, NoReturn

from autograd import transforms
from autograd.transforms.origin import origin_of

Function = Callable[..., Any]
Packed = tuple[Any, ...]


def pack(function: Function) -> Packed:
    """What is pickled in place of a function."""
    origin = origin_of(function)
    if origin is not None:
        return ("made", origin.transform, pack(origin.function), list(origin.parameters))
    module, path = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if module and path:
        found = _named(module, path)
        if found is function or getattr(found, "function", None) is function:
            return ("named", module, path)
    try:
        return ("pickled", pickle.dumps(function))
    except (pickle.PicklingError, AttributeError, TypeError):
        return ("lost", getattr(function, "__name__", repr(function)))


def unpack(packed: Packed) -> Function:
    """The function again."""
    kind, *rest = packed
    function: Function
    if kind == "made":
        name, inner, parameters = rest
        function = getattr(transforms, name)(unpack(inner), *parameters)
    elif kind == "named":
        found = _named(*rest)
        function = getattr(found, "function", found)
    elif kind == "pickled":
        function = pickle.loads(rest[0])
    else:
        function = _lost(rest[0])
    return function


def is_lost(packed: Packed) -> bool:
    """Whether it is a promise, or a transform of one: such a function cannot be run."""
    while packed[0] == "made":
        packed = packed[2]
    return bool(packed[0] == "lost")


def _named(module: str, path: str) -> Any:
    try:
        found: Any = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError):
        return None
    return found


def _lost(name: str) -> Function:
    def lost(*args: Any, **keywords: Any) -> NoReturn:
        raise RuntimeError(
            f"the function {name} could not be pickled, only what was compiled of it: call it with arguments of a "
            "structure, and on a path, that it had been called with before, or define it at the top of a module"
        )

    lost.__name__ = name
    return lost
