"""Whole derivatives of a function: gradients, Jacobians, Hessians."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, Literal, overload

from autograd.transforms.origin import A, B, Function, P, R, check_function, describe, set_origin
from autograd.transforms.run import Argnums, Run, check_argnums
from autograd.transforms.sparse import sparse_hessian, sparse_jacobian
from autograd.tree import flatten, is_array, make_array
from autograd.value import Value


# For a type checker, parameters and value keep their types, and the gradient has the type of its argument, if that is
# the first one or these are the first two; for others it is `Any`.
@overload
def value_and_grad(  # type: ignore[overload-overlap]  # 0 is an int
    function: Callable[Concatenate[A, P], R], argnums: Literal[0] = 0, has_aux: bool = False
) -> Callable[Concatenate[A, P], tuple[R, A]]: ...
@overload
def value_and_grad(  # type: ignore[overload-overlap]  # (0, 1) is a sequence of int
    function: Callable[Concatenate[A, B, P], R], argnums: tuple[Literal[0], Literal[1]], has_aux: bool = False
) -> Callable[Concatenate[A, B, P], tuple[R, tuple[A, B]]]: ...
@overload
def value_and_grad(function: Callable[P, R], argnums: int, has_aux: bool = False) -> Callable[P, tuple[R, Any]]: ...
@overload
def value_and_grad(
    function: Callable[P, R], argnums: Sequence[int], has_aux: bool = False
) -> Callable[P, tuple[R, tuple[Any, ...]]]: ...
def value_and_grad(function: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """A function that returns the value of `function` and its gradient.

    Parameters
    ----------
    function : callable
        Returns one number.
    argnums : int or sequence of int
        Which positional arguments to differentiate by. Each is a tree of numbers: a number, list, tuple, dict,
        dataclass, ndarray or module.
    has_aux : bool
        Whether `function` returns ``(value, aux)``; aux is passed on: ``((value, aux), gradient)``.

    Returns
    -------
    callable
        Takes what `function` takes; returns ``(value, gradient)``, the gradient in the shape of the argument (a
        tuple of them for a sequence of `argnums`). Values give Values. Plain numbers give plain numbers outside other
        transforms, also if `function` reads a Value from outside: no `backward` goes through them. For that,
        differentiate by ``Value(x)`` in place of ``x``, or take the outer derivative by a transform too.

    Raises
    ------
    TypeError
        If `argnums` are no ints; when called: if an argument has a leaf that is not a real number, or the result is
        not one number.
    ValueError
        When called: if `argnums` names an argument that was not given, or one twice.

    Examples
    --------
    >>> from autograd import value_and_grad
    >>> value_and_grad(lambda x: x[0] * x[1] ** 2)([3.0, 2.0])
    (12.0, [4.0, 12.0])
    """
    check_function("value_and_grad", function)
    check_argnums(argnums)

    @functools.wraps(function)
    def value_and_gradient(*args: Any, **options: Any) -> Any:
        run = Run(function, args, argnums, options, has_aux)
        result = run.scalar()
        seeds: dict[Value, Any] = {result: 1.0} if isinstance(result, Value) else {}
        gradient = run.like_argument(run.sweeps([result]).reverse(seeds))
        value = run.returned(result)
        return ((value, run.returned(run.aux)) if has_aux else value), gradient

    set_origin(value_and_gradient, "value_and_grad", function, argnums, has_aux)
    return value_and_gradient


@overload
def grad(
    function: Callable[Concatenate[A, P], Any], argnums: Literal[0] = 0, has_aux: Literal[False] = False
) -> Callable[Concatenate[A, P], A]: ...
@overload
def grad(
    function: Callable[Concatenate[A, P], tuple[Any, R]], argnums: Literal[0] = 0, *, has_aux: Literal[True]
) -> Callable[Concatenate[A, P], tuple[A, R]]: ...
@overload
def grad(
    function: Callable[Concatenate[A, B, P], Any],
    argnums: tuple[Literal[0], Literal[1]],
    has_aux: Literal[False] = False,
) -> Callable[Concatenate[A, B, P], tuple[A, B]]: ...
@overload
def grad(function: Callable[P, Any], argnums: int, has_aux: Literal[False] = False) -> Callable[P, Any]: ...
@overload
def grad(
    function: Callable[P, Any], argnums: Sequence[int], has_aux: Literal[False] = False
) -> Callable[P, tuple[Any, ...]]: ...
@overload
def grad(
    function: Callable[P, tuple[Any, R]], argnums: Argnums, has_aux: Literal[True]
) -> Callable[P, tuple[Any, R]]: ...
def grad(function: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """A function that returns the gradient of `function`; parameters and errors as for `value_and_grad`.

    With `has_aux` it returns ``(gradient, aux)``.

    Examples
    --------
    >>> from autograd import grad
    >>> import autograd.math as am
    >>> grad(lambda x: x**3)(2.0), grad(grad(lambda x: x**3))(2.0)
    (12.0, 12.0)
    >>> grad(lambda p: p["a"] * am.exp(p["b"]))({"a": 3.0, "b": 0.0})
    {'a': 1.0, 'b': 3.0}

    A Value from outside is a number like any other, unless the gradient is taken by a Value or inside a transform:

    >>> from autograd import Value
    >>> w = Value(3.0)
    >>> slope = grad(lambda x: w * x * x)
    >>> slope(2.0), slope(Value(2.0)), grad(lambda w: grad(lambda x: w * x * x)(2.0))(3.0)
    (12.0, Value(data=12.0, grad=0.0), 4.0)
    """
    check_function("grad", function)
    both: Function = value_and_grad(function, argnums, has_aux)

    @functools.wraps(function)
    def gradient(*args: Any, **options: Any) -> Any:
        value, result = both(*args, **options)
        return (result, value[1]) if has_aux else result

    set_origin(gradient, "grad", function, argnums, has_aux)
    return gradient


# The results of `jacobian` and `hessian` are nested as two shapes say, so for a type checker they are `Any`.
def jacobian(
    function: Callable[Concatenate[A, P], Any],
    argnums: Argnums = 0,
    mode: Literal["auto", "rev", "fwd"] = "auto",
    sparse: bool = False,
) -> Callable[Concatenate[A, P], Any]:
    """A function that returns all first derivatives of `function`, whose result may be any tree of numbers.

    Parameters
    ----------
    function : callable
        Returns a tree of numbers.
    argnums : int or sequence of int
        Which positional arguments to differentiate by.
    mode : {"auto", "rev", "fwd"}
        One reverse sweep per output, one forward sweep per input, or whichever are fewer. If `sparse`, and under
        `jit`, whichever computes less.
    sparse : bool
        Whether to return a ``scipy.sparse.csr_array`` of the entries that `sparsity` finds, and to compute no others.
        It has a row for each number of the result and a column for each number of the arguments, in the order of
        their trees (arrays row after row). Under `jit`, the pattern is that of all sides of `where`, `max` and `min`.
        The result holds plain numbers, so it cannot be differentiated again.

    Returns
    -------
    callable
        Its result has the shape of the function's result with, at each leaf, the shape of the argument. For an
        ndarray result of shape ``s`` and an ndarray argument of shape ``t`` it is one ndarray of shape ``s + t``.

    Raises
    ------
    TypeError, ValueError
        As for `value_and_grad`; ValueError for an unknown `mode`; TypeError if `sparse` inside another transform, or
        by Values.
    ImportError
        When called: if `sparse`, and SciPy is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from autograd import jacobian
    >>> jacobian(lambda x: x[0] * x)(np.array([2.0, 3.0]))
    array([[4., 0.],
           [3., 2.]])
    >>> jacobian(lambda x: x**2, sparse=True)(np.array([2.0, 3.0])).data
    array([4., 6.])
    """
    if mode not in ("auto", "rev", "fwd"):
        raise ValueError(f"mode must be 'auto', 'rev' or 'fwd', not {mode!r}")
    check_function("jacobian", function)
    check_argnums(argnums)
    if sparse:
        return sparse_jacobian(function, argnums, mode)

    @functools.wraps(function)
    def all_derivatives(*args: Any, **options: Any) -> Any:
        run = Run(function, args, argnums, options)
        outputs, _ = flatten(run.result, f"the result of {run.name}")
        sweeps = run.sweeps(outputs)
        if (sweeps.cheaper() if mode == "auto" else mode) == "rev":
            rows = [sweeps.reverse({y: 1.0} if isinstance(y, Value) else {}) for y in outputs]
        else:
            columns = [sweeps.forward({x: 1.0}) for x in run.inputs]
            rows = [list(row) for row in zip(*columns)]
        return _blocks(rows, run)

    describe(all_derivatives, "jacobian", function)
    return all_derivatives


def _blocks(rows: list[list[Any]], run: Run) -> Any:
    """The matrix of derivatives cut along the leaves of result and argument, ndarrays kept whole."""
    results, rebuild_result = flatten(run.result, arrays=True)
    arguments, rebuild_argument = flatten(run.like_argument(run.leaves), arrays=True)
    blocks, top = [], 0
    for result in results:
        bottom = top + (result.size if is_array(result) else 1)
        row_of_blocks, left = [], 0
        for argument in arguments:
            right = left + (argument.size if is_array(argument) else 1)
            numbers = [x for row in rows[top:bottom] for x in row[left:right]]
            if is_array(result) or is_array(argument):
                shape = getattr(result, "shape", ()) + getattr(argument, "shape", ())
                row_of_blocks.append(make_array(numbers, shape))
            else:
                row_of_blocks.append(numbers[0])
            left = right
        blocks.append(rebuild_argument(row_of_blocks))
        top = bottom
    return rebuild_result(blocks)


def hessian(
    function: Callable[Concatenate[A, P], Any], argnums: Argnums = 0, sparse: bool = False
) -> Callable[Concatenate[A, P], Any]:
    """A function that returns all second derivatives of `function`: the Jacobian of its gradient.

    Parameters and errors are those of `value_and_grad`. For an ndarray argument of shape ``(n,)`` the result is
    an ndarray of shape ``(n, n)``, as ``scipy.optimize.minimize`` takes it for ``hess=``. If `sparse`, the result is a
    ``scipy.sparse.csr_array``, as `jacobian` returns it.

    Examples
    --------
    >>> from autograd import hessian
    >>> hessian(lambda x: x[0] ** 2 * x[1])([3.0, 5.0])
    [[10.0, 6.0], [6.0, 0.0]]
    """
    check_function("hessian", function)
    gradient = grad(function, argnums)
    found = sparse_hessian(function, gradient, argnums) if sparse else jacobian(gradient, argnums)
    describe(found, "hessian", function)
    return found
