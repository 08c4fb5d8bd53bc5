"""Functions in pickles: by name, or by the transforms that made them; if neither works, only the name is kept.

To another machine a function may also travel with its code, by cloudpickle.
"""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

from autograd import transforms
from autograd.transforms.origin import origin_of

Function = Callable[..., Any]
Packed = tuple[Any, ...]
_by_code: ContextVar[bool] = ContextVar("_by_code", default=False)


@contextmanager
def by_code() -> Iterator[None]:
    """In this context, functions that no other process can import are pickled with their code. It needs cloudpickle.

    Compiled functions are pickled with the code for the present state only of what they read outside their arguments.
    """
    token = _by_code.set(True)
    try:
        yield
    finally:
        _by_code.reset(token)


def is_by_code() -> bool:
    """Whether functions are pickled with their code."""
    return _by_code.get()


def pack(function: Function) -> Packed:
    """What is pickled in place of a function: a kind, and what `unpack` needs for it."""
    origin = origin_of(function)
    if origin is not None:
        return ("made", origin.transform, pack(origin.function), list(origin.parameters))
    module, path = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if module and path and not (is_by_code() and module == "__main__"):  # on a worker, that is another module
        found = _named(module, path)
        if found is function or getattr(found, "function", None) is function:
            return ("named", module, path)
    try:
        return ("pickled", _dumps(function))
    except (pickle.PicklingError, AttributeError, TypeError):
        return ("lost", getattr(function, "__name__", repr(function)))


def _dumps(function: Function) -> bytes:
    if not is_by_code():
        return pickle.dumps(function)
    import cloudpickle

    code: bytes = cloudpickle.dumps(function)
    return code


def unpack(packed: Packed) -> Function:
    """The function that `pack` was given; one that raises an error when it is called, if it is lost."""
    kind, *rest = packed
    function: Function
    if kind == "made":
        name, inner, parameters = rest
        function = getattr(transforms, name)(unpack(inner), *parameters)
    elif kind == "named":
        found = _named(*rest)
        function = _lost(rest[1]) if found is None else getattr(found, "function", found)
    elif kind == "pickled":
        function = pickle.loads(rest[0])
    else:
        function = _lost(rest[0])
    return function


def is_lost(packed: Packed) -> bool:
    """Whether only the name is known, of the function or of the one that it transforms: then it cannot run."""
    while packed[0] == "made":
        packed = packed[2]
    return packed[0] == "lost" or (packed[0] == "named" and _named(*packed[1:]) is None)


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
            f"the function {name} could not be pickled, or cannot be imported here: only its programs are known. Call "
            "it with arguments of a structure and on a path through its branches that it was called with before, or "
            "define it at the top of a module"
        )

    lost.__name__ = name
    return lost
