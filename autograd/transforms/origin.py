"""Which transform made a function, and of what: the compiler looks through some of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import ref

Function = Callable[..., Any]
P = ParamSpec("P")  # the parameters of a function
R = TypeVar("R")  # the type of its result
if TYPE_CHECKING:
    from typing_extensions import TypeVar as WithDefault

    # The first two parameters. Bound and default let pyright accept `grad(lambda x: x**2)`, at its strictest too.
    A = WithDefault("A", bound=Any, default=Any)
    B = WithDefault("B", bound=Any, default=Any)
else:
    A, B = TypeVar("A"), TypeVar("B")  # TypeVar takes a default from Python 3.13 on


@dataclass(frozen=True, eq=False)
class Origin:
    """What is kept in the attribute `transform_origin` of a function that a transform made.

    Attributes
    ----------
    transform : str
        The name of the transform in `autograd.transforms`.
    function : callable
        What it was given.
    parameters : tuple
        What it was given besides, in order.
    result : weak reference
        To the function that it made. `functools.wraps` copies attributes to other functions, of which the rest is not
        true.
    """

    transform: str
    function: Function
    parameters: tuple[Any, ...]
    result: ref[Any]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()  # a pickle that takes functions apart (cloudpickle) makes others, with no origin


def check_function(transform: str, function: Any) -> None:
    """Raise unless a transform was given a function.

    Raises
    ------
    TypeError
        With what to write instead, for a Value and for anything else.
    """
    if callable(function):
        return
    if hasattr(function, "operands"):
        raise TypeError(
            f"{transform} takes a function, not {function!r:.80}, which is computed already. Either call .backward() "
            "on this Value, and read .grad of those it was computed from; or write the computation as a function f, "
            f"for {transform}(f)"
        )
    raise TypeError(
        f"{transform} takes a function, not {function!r:.80} of type {type(function).__name__}: "
        "pass the function itself, not its result"
    )


def set_origin(result: Any, transform: str, function: Function, *parameters: Any) -> None:
    """Note where a function comes from."""
    result.transform_origin = Origin(transform, function, parameters, ref(result))


def origin_of(function: Any) -> Origin | None:
    """Where a function comes from, if a transform made it."""
    found = vars(function).get("transform_origin") if type(function) is FunctionType else None
    return found if isinstance(found, Origin) and found.result() is function else None
