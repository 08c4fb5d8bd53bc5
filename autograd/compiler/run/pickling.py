"""Functions in pickles: by name or by the transforms that made them; if neither works, only the name is kept."""

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
    """Whether only the name was kept, of the function or of what it transforms: such a function cannot run."""
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
            f"the function {name} could not be pickled, only its programs: call it with arguments of a structure and "
            "on a path through its branches that it was called with before, or define it at the top of a module"
        )

    lost.__name__ = name
    return lost
