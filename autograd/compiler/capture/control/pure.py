"""What may be called where a side is captured that may not be taken: functions that only compute a result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from autograd.compiler.capture.control.made import note_iterator, refuse_begun
from autograd.compiler.capture.control.sides import Refused
from autograd.compiler.capture.tracer import IN_PLACE_OF_THE_USER
from autograd.compiler.source.functions import inner_function, new_code
from autograd.compiler.source.jumps import FLOW
from autograd.compiler.watch import closure_of
from autograd.modes import PACKAGES
from autograd.transforms.origin import origin_of
from autograd.value import Value

PURE = frozenset(
    [
        *(abs, all, any, bool, complex, divmod, enumerate, float, hash, int, isinstance),
        *(issubclass, len, list, max, min, pow, range, repr, reversed, round, sorted, str, sum, tuple, type, zip),
        *(dict, frozenset, map, slice, format, ord, chr),
    ]
)
PURE_MODULES = frozenset({"_operator", "cmath", "math", "operator"})
CHANGES = frozenset(  # what functions of `operator` do in place
    [
        *("delitem", "iadd", "iand", "iconcat", "ifloordiv", "ilshift", "imatmul", "imod", "imul", "ior", "ipow"),
        *("irshift", "isub", "itruediv", "ixor", "setitem"),
    ]
)
OWN_PURE = ("autograd.math", "autograd.adoption", "autograd.value", "autograd.rules", "autograd.special")
TRANSFORMS = "autograd.transforms"
METHODS = frozenset(
    [
        *("as_integer_ratio", "bit_length", "conjugate", "copy", "count", "endswith", "format", "get", "hex", "index"),
        *("is_integer", "items", "join", "keys", "lower", "replace", "split", "startswith", "strip", "upper", "values"),
    ]
)


def impure(thing: Any, assigns: bool = False) -> str | None:
    """Why a call of a thing may do more than compute a result; None if it does not.

    With `assigns`, it may assign attributes and elements, where its new code is called, which notes them.
    """
    kind = type(thing)
    if isinstance(thing, type):
        pure = thing in PURE or issubclass(thing, BaseException) or thing.__module__ in PURE_MODULES
        return None if pure else f"it makes a {thing.__name__}"
    if kind is np.ufunc:
        return None
    if kind not in (FunctionType, MethodType, partial):
        return _impure_builtin(thing)
    if kind is MethodType and isinstance(thing.__self__, Value):
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
    why = found.impure or (None if assigns else found.assigns)
    return None if why is None else f"it calls {function.__qualname__}: {why}"


def _impure_builtin(thing: Any) -> str | None:
    if type(thing) is BuiltinFunctionType:
        own = getattr(thing, "__self__", None)
        if isinstance(own, ModuleType) or own is None:
            pure = thing in PURE or (thing.__module__ in PURE_MODULES and thing.__name__ not in CHANGES)
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


PLAIN = ("autograd", "builtins", "enum", "numpy")  # modules whose classes have operators that change nothing
OPERATORS = frozenset(
    [
        f"__{prefix}{name}__"
        for prefix in ("", "r")
        for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")
    ]
    + [
        "__abs__",
        "__bool__",
        "__contains__",
        "__ge__",
        "__gt__",
        "__iter__",
        "__le__",
        "__lt__",
        "__matmul__",
        "__neg__",
    ]
    + ["__next__", "__pos__"]
)


@lru_cache(maxsize=4096)
def has_operators(kind: type) -> bool:
    """Whether operators on things of a class run Python code, about which nothing is known."""
    own = [cls for cls in kind.__mro__ if not str(cls.__module__).startswith(PLAIN)]
    return any(isinstance(vars(cls).get(name), FunctionType) for cls in own for name in OPERATORS)


def refuse_operators(things: Iterable[Any]) -> None:
    """Raise if operators on one of these things run code about which nothing is known."""
    for thing in things:
        kind: Any = type(thing)
        if kind is not type and has_operators(kind):
            raise Refused(f"it uses a {kind.__name__}, whose operators are not looked at")


def used_by(function: FunctionType) -> list[Any]:
    """What the names in a function stand for that are not its own."""
    found = [function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__]
    return [thing for thing in [*found, *closure_of(function)] if not isinstance(thing, ModuleType)]


class Checked:
    """A function that takes functions, called where a side is captured: they must be pure too."""

    __slots__ = ("follow", "function")

    def __init__(self, function: Any, follow: Callable[[Any], Any]) -> None:
        self.function, self.follow = function, follow

    def __call__(self, *args: Any, **options: Any) -> Any:
        """The result, unless an argument is a function that is not pure."""
        if isinstance(self.function, np.ufunc) and ("out" in options or len(args) > self.function.nin):
            raise Refused("it changes an array")
        result = self.function(*map(self.pure, args), **{name: self.pure(x) for name, x in options.items()})
        return note_iterator(result)

    def pure(self, thing: Any) -> Any:
        """An argument; if it is a function, one that looks at what it calls."""
        refuse_begun(thing)
        if not callable(thing) or isinstance(thing, (type, Value)):
            return thing
        if (why := impure(thing)) is not None:
            raise Refused(why)
        return self.follow(thing)


IN_PLACE_OF_THE_USER.add(Checked.__call__.__code__)
