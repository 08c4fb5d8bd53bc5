"""What may be called where a side is captured that may not be taken: functions that only compute a result."""

from __future__ import annotations

from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from autograd.compiler.capture.sides import Refused
from autograd.compiler.source.functions import inner_function, new_code
from autograd.compiler.source.jumps import FLOW
from autograd.modes import PACKAGES
from autograd.transforms.origin import origin_of
from autograd.value import Value

PURE = frozenset(
    [
        *(abs, all, any, bool, complex, divmod, enumerate, float, getattr, hasattr, hash, id, int, isinstance),
        *(issubclass, len, list, max, min, pow, range, repr, reversed, round, sorted, str, sum, tuple, type, zip),
        *(dict, frozenset, map, slice, format, ord, chr),
    ]
)
PURE_MODULES = frozenset({"_operator", "cmath", "math", "operator"})
OWN_PURE = ("autograd.math", "autograd.adoption", "autograd.value", "autograd.rules", "autograd.special")
TRANSFORMS = "autograd.transforms"
METHODS = frozenset(
    [
        *("as_integer_ratio", "bit_length", "conjugate", "copy", "count", "endswith", "format", "get", "hex", "index"),
        *("is_integer", "items", "join", "keys", "lower", "replace", "split", "startswith", "strip", "upper", "values"),
    ]
)


def impure(thing: Any) -> str | None:
    """Why a call of a thing may do more than compute a result; None if it does not."""
    kind = type(thing)
    if isinstance(thing, type):
        pure = thing in PURE or issubclass(thing, BaseException) or thing.__module__ in PURE_MODULES
        return None if pure else f"it makes a {thing.__name__}"
    if kind is np.ufunc:
        return None
    if kind is BuiltinFunctionType or not isinstance(thing, (FunctionType, MethodType, partial)):
        return _impure_builtin(thing)
    if isinstance(thing, MethodType) and isinstance(thing.__self__, Value):
        return None
    function = inner_function(thing)
    if function is None:
        return f"it calls {thing!r:.40}"
    if function.__code__.co_filename.startswith(PACKAGES):
        return _impure_own(function)
    if FLOW in function.__code__.co_freevars:
        return None  # it was made here, and looked at before
    found = new_code(function)
    if found is None:
        return f"it calls {function.__qualname__}, whose source is not there or is not of the class"
    return None if found.impure is None else f"it calls {function.__qualname__}: {found.impure}"


def _impure_builtin(thing: Any) -> str | None:
    if type(thing) is BuiltinFunctionType:
        own = getattr(thing, "__self__", None)
        if isinstance(own, ModuleType) or own is None:
            pure = thing in PURE or thing.__module__ in PURE_MODULES
        else:
            pure = isinstance(own, Value) or thing.__name__ in METHODS
        return None if pure else f"it calls {thing.__name__}"
    if type(thing).__module__.startswith("autograd") and str(getattr(thing, "__module__", "")).startswith(OWN_PURE):
        return None
    inner = getattr(thing, "function", None)
    if type(thing).__module__.startswith("autograd.compiler") and callable(inner):
        return impure(inner)
    return f"it calls {getattr(thing, '__name__', type(thing).__name__)}"


def _impure_own(function: FunctionType) -> str | None:
    origin = origin_of(function)
    if origin is not None:
        return impure(origin.function)
    pure = (function.__module__ or "").startswith((*OWN_PURE, TRANSFORMS))
    return None if pure else f"it calls {function.__qualname__}"


class Checked:
    """A function that takes functions, called where a side is captured: they must be pure too."""

    __slots__ = ("function",)

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any, **options: Any) -> Any:
        """The result, unless an argument is a function that is not pure."""
        for x in (*args, *options.values()):
            if callable(x) and not isinstance(x, (type, Value)) and (why := impure(x)) is not None:
                raise Refused(why)
        return self.function(*args, **options)
