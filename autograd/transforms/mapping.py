"""`vmap`: a function for the rows of its arguments."""

from __future__ import annotations

import functools
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
