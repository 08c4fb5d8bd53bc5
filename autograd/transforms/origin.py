"""Which transform made a function, and from which function: the compiler looks through some transforms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import ref

Function = Callable[..., Any]
WORDS = {
    "grad": "the gradient of {}",
    "value_and_grad": "{} with its gradient",
    "jacobian": "the Jacobian of {}",
    "hessian": "the Hessian of {}",
    "nodes": "{} with the derivatives of its result",
    "derivatives": "the derivatives of {}",
}
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
    """How a transform made a function; the function keeps it in its attribute `transform_origin`.

    Attributes
    ----------
    transform : str
        The name of the transform in `autograd.transforms`.
    function : callable
        The function that the transform was given.
    parameters : tuple
        Its other arguments, in order.
    result : weak reference
        To the function that it made. `functools.wraps` copies the attribute to other functions, which have another
        origin.
    """

    transform: str
    function: Function
    parameters: tuple[Any, ...]
    result: ref[Any]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()  # cloudpickle makes a new function from its parts: that has no origin


def check_function(transform: str, function: Any) -> None:
    """Check that a transform was given a function.

    Raises
    ------
    TypeError
        If it was not; the message says what to write instead.
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
    """Note how a transform made a function."""
    result.transform_origin = Origin(transform, function, parameters, ref(result))
    describe(result, transform, function)


def describe(result: Any, what: str, function: Function) -> None:
    """Note what a function computes of another one, if `WORDS` has words for it."""
    if what in WORDS:
        result.described = WORDS[what].format(described(function))


def described(function: Any) -> str:
    """What a function computes, in words: "the gradient of f"; of a function that no transform made, its name."""
    return str(getattr(function, "described", None) or getattr(function, "__name__", "a function"))


def origin_of(function: Any) -> Origin | None:
    """How a transform made a function; None for any other function."""
    found = vars(function).get("transform_origin") if type(function) is FunctionType else None
    return found if isinstance(found, Origin) and found.result() is function else None
