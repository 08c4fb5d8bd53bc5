"""Primitives that users define."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

from autograd.modes import inside_transform
from autograd.rules import REAL, Interval, Rule
from autograd.transforms.origin import Function
from autograd.tree import only_floats


def custom_gradient(
    *derivatives: Function,
    symbol: str | None = None,
    domain: Sequence[Interval] | None = None,
    kink: Callable[..., float] | None = None,
) -> Callable[[Callable[..., float]], Rule]:
    """Define a primitive from any function of floats; it behaves like a built-in one.

    Parameters
    ----------
    *derivatives : callable
        One local derivative per operand, called as ``derivative(*operands, output)``. Written in plain arithmetic and
        `autograd.math`, it serves floats and Values, so higher derivatives work too.
    symbol : str, optional
        What pictures print; the function's name by default.
    domain : sequence of (low, high), optional
        For each operand, where the function may be tested.
    kink : callable, optional
        Zero where the function is not differentiable.

    Returns
    -------
    callable
        A decorator for the function on floats; it returns a `Rule`, callable on floats and Values.

    Raises
    ------
    TypeError
        If no derivative is given, or one is not callable; if the function or a derivative takes another number of
        arguments.

    Examples
    --------
    >>> from autograd import custom_gradient, grad
    >>> @custom_gradient(lambda x, y: 3 * x**2)
    ... def cube(x):
    ...     return x**3
    >>> cube(2.0), grad(cube)(2.0), grad(grad(cube))(2.0)
    (8.0, 12.0, 12.0)
    """
    if not derivatives or not all(map(callable, derivatives)):
        raise TypeError("custom_gradient takes one callable derivative for each operand")

    def decorate(function: Callable[..., float]) -> Rule:
        if not callable(function):
            name = getattr(derivatives[0], "__name__", "function")
            raise TypeError(
                f"custom_gradient was given {name} as a derivative, and then {function!r:.80} in place of a function: "
                "it does not work bare, it takes the derivatives: @custom_gradient(lambda x, y: derivative), "
                "with one for each operand, then the function"
            )
        count, name = len(derivatives), getattr(function, "__name__", "the function")
        if not _takes(function, count):
            operands = f"{count} operand{'s' * (count > 1)}"
            raise TypeError(f"{name} must take {operands}, as it has one derivative for each here")
        for k, derivative in enumerate(derivatives):
            if not _takes(derivative, count + 1):
                raise TypeError(
                    f"derivative {k} of {name} must take {count + 1} arguments: the operands, then the output"
                )
        return Rule(
            name=function.__name__,
            symbol=symbol or function.__name__,
            value=_at_top_level(function),
            derivatives=tuple(map(_at_top_level, derivatives)),
            arity=len(derivatives),
            domain=tuple(domain) if domain is not None else (REAL,) * len(derivatives),
            kink=kink,
            module=function.__module__,
        )

    return decorate


def _takes(function: Function, count: int) -> bool:
    """Whether a function takes this many arguments, as far as Python knows."""
    try:
        parameters = signature(function)
    except (TypeError, ValueError):  # Python knows no signature of it
        return True
    try:
        parameters.bind(*[None] * count)
    except TypeError:
        return False
    return True


def _at_top_level(function: Function) -> Function:
    """The function; on floats it runs as if no transform were around it, so that a gradient in it is a float."""

    @functools.wraps(function)
    def on_numbers(*operands: Any) -> Any:
        if not only_floats(operands):
            return function(*operands)
        token = inside_transform.set(False)
        try:
            return function(*operands)
        finally:
            inside_transform.reset(token)

    return on_numbers
