"""The same function many times: over the rows of its arguments, or step by step."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

from autograd.eager import active_recorder
from autograd.transforms.origin import Function, R, check_function, set_origin


# The mapped function takes rows where the function takes one, so for a type checker its parameters have other types.
@overload
def vmap(
    function: Function, in_axes: int | Sequence[int | None] | None = 0, reduce: None = None
) -> Callable[..., Any]: ...
@overload
def vmap(
    function: Callable[..., R], in_axes: int | Sequence[int | None] | None = 0, *, reduce: Literal["sum", "mean"]
) -> Callable[..., R]: ...
@overload
def vmap(
    function: Callable[..., R], in_axes: int | Sequence[int | None] | None, reduce: Literal["sum", "mean"]
) -> Callable[..., R]: ...
def vmap(
    function: Function,
    in_axes: int | Sequence[int | None] | None = 0,
    reduce: Literal["sum", "mean"] | None = None,
) -> Function:
    """Map a function over the rows of its arguments.

    Parameters
    ----------
    function : callable
        Works on one row; returns a tree of numbers.
    in_axes : int, None or a sequence with one for each argument
        Along which axis the rows of an argument lie; None for an argument that is the same for all rows. The rows
        of a list are its elements; in a tuple, dict or dataclass every part is mapped.
    reduce : {None, "sum", "mean"}
        Stack the results, or add them up, or take their mean.

    Returns
    -------
    callable
        Its results are stacked along a new first axis: in ndarrays if any mapped argument holds one, else in lists.

    Raises
    ------
    TypeError
        If an axis is not an int.
    ValueError
        For unknown `reduce`; when called, if the arguments have different numbers of rows or none is mapped, if the
        results to be stacked or added up differ in shape, or for the mean over no rows.

    Examples
    --------
    >>> import numpy as np
    >>> from autograd import grad, vmap
    >>> vmap(grad(lambda x: x**2))(np.array([1.0, 2.0, 3.0]))
    array([2., 4., 6.])
    >>> loss = vmap(lambda w, x: (w * x - 1.0) ** 2, in_axes=(None, 0), reduce="mean")
    >>> loss(2.0, [0.0, 1.0])
    1.0
    """
    if reduce not in (None, "sum", "mean"):
        raise ValueError(f"reduce must be None, 'sum' or 'mean', not {reduce!r}")
    check_function("vmap", function)
    for axis in in_axes if isinstance(in_axes, Sequence) else (in_axes,):
        if isinstance(axis, bool) or not isinstance(axis, int | None):
            raise TypeError(
                f"in_axes must be an int, None or a sequence with one of these for each argument, not {in_axes!r}: "
                "of a container all parts are mapped, so pass what should not be mapped as a separate argument"
            )

    @functools.wraps(function)
    def mapped(*args: Any, **options: Any) -> Any:
        axes = tuple(in_axes) if isinstance(in_axes, Sequence) else (in_axes,) * len(args)
        if len(axes) != len(args):
            raise ValueError(f"in_axes has {len(axes)} entries for {len(args)} arguments")
        row_function = function
        if options:
            row_function = functools.update_wrapper(functools.partial(function, **options), function)
        return active_recorder().map(row_function, args, axes, reduce)

    set_origin(mapped, "vmap", function, in_axes, reduce)
    return mapped


def scan(
    function: Callable[[Any, Any], Any], initial: Any, xs: Any = None, length: int | None = None, reverse: bool = False
) -> tuple[Any, Any]:
    """A loop whose steps hand something to the next: ``carry, y = function(carry, x)`` for each row of `xs`.

    Parameters
    ----------
    function : callable
        One step: takes the carry and a row of `xs`, returns the next carry and a result, a tree of numbers or None.
    initial : tree of numbers
        The first carry. Each carry has the same structure.
    xs : tree, optional
        What the steps take, a row each, as `vmap` cuts rows along axis 0. Without it, `function` is given None, and
        `length` says how many steps there are.
    length : int, optional
        The number of steps; needed only without `xs`.
    reverse : bool
        Whether the steps go from the last row to the first. The results still lie in the order of the rows.

    Returns
    -------
    (carry, ys)
        The last carry, and the results stacked along a new first axis: in ndarrays if `xs` holds one, else in lists;
        None if all results are None. Without any step the carry is the initial one, and there are no results: an empty
        array or list.

    Raises
    ------
    TypeError
        If `length` is not an int, `xs` has no rows, a leaf is not a real number, or `function` does not return a pair.
    ValueError
        If the carry changes its structure; if the parts of `xs`, or `xs` and `length`, have different numbers of rows;
        if neither is given, or `length` is negative; if results to be stacked in arrays differ in shape.

    Examples
    --------
    >>> from autograd import grad, scan
    >>> def newton(x, _):
    ...     step = (x * x - 2.0) / (2.0 * x)
    ...     return x - step, x
    >>> root, path = scan(newton, 1.0, length=5)
    >>> round(root, 12), path[:2]
    (1.414213562373, [1.0, 1.5])
    >>> def savings(rate):
    ...     return scan(lambda total, paid: (total * (1.0 + rate) + paid, None), 0.0, [100.0, 100.0, 100.0])[0]
    >>> round(savings(0.1), 9), round(grad(savings)(0.1), 9)
    (331.0, 320.0)
    """
    check_function("scan", function)
    steps = None if length is None else _checked(length)
    return active_recorder().loop(function, initial, xs, steps, reverse)


def _checked(length: Any) -> int:
    """A number of steps as an int."""
    try:
        steps = operator.index(length)
    except TypeError:
        steps = None
    if steps is None or isinstance(length, bool):
        raise TypeError(f"length must be an int, not {length!r} of type {type(length).__name__}")
    if steps < 0:
        raise ValueError(f"length must not be negative, but is {steps}")
    return steps
