"""Products of derivatives with vectors: Jacobian times vector, vector times Jacobian, Hessian times vector."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, TypeVarTuple

from autograd.transforms.gradients import grad
from autograd.transforms.origin import A, Function, P, R, check_function
from autograd.transforms.run import Run
from autograd.tree import flatten, leaves_like
from autograd.value import Value

Ts = TypeVarTuple("Ts")  # the types of the arguments


def jvp(function: Callable[..., R], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[R, R]:
    """Value and directional derivative: the Jacobian times a vector, in one forward sweep.

    Parameters
    ----------
    function : callable
        Returns a tree of numbers.
    primals : sequence
        The arguments.
    tangents : sequence
        The direction: for each argument a tree of the same shape; dictionaries are matched by their keys.

    Returns
    -------
    (value, tangent)
        Both in the shape of the function's result.

    Raises
    ------
    TypeError
        If primals or tangents are not a sequence, or a leaf is not a real number.
    ValueError
        If primals and tangents differ in shape.

    Examples
    --------
    >>> from autograd import jvp
    >>> jvp(lambda x, y: x * y, (2.0, 3.0), (1.0, 10.0))
    (6.0, 23.0)
    """
    check_function("jvp", function)
    for what, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, Sequence):
            raise TypeError(f"{what} must be a tuple with an entry for each argument, not {given!r:.80}")
    directions = leaves_like(tuple(primals), tuple(tangents), ("primals", "tangents"))
    run = Run(function, primals, tuple(range(len(primals))), tangents=directions)
    outputs, rebuild = flatten(run.result, f"the result of {run.name}")
    # a direction of 0 is left out, because 0 · inf would be nan
    seeds = {x: d for x, d in zip(run.inputs, directions) if type(d) is not float or d != 0.0}
    return run.returned(run.result), rebuild(run.sweeps(outputs).forward(seeds))


def vjp(function: Callable[[*Ts], R], *primals: *Ts) -> tuple[R, Callable[[Any], tuple[*Ts]]]:
    """Value and pullback: the pullback multiplies a vector, in the shape of the result, with the Jacobian.

    Returns
    -------
    (value, pullback)
        ``pullback(seeds)`` returns a tuple with, for each argument, a tree of its shape. It may be called often.

    Raises
    ------
    ValueError
        From the pullback, if the seeds do not have the shape of the result.

    Examples
    --------
    >>> from autograd import vjp
    >>> value, pullback = vjp(lambda x, y: [x * y, x], 2.0, 3.0)
    >>> value, pullback([1.0, 10.0])
    ([6.0, 2.0], (13.0, 2.0))
    """
    check_function("vjp", function)
    run = Run(function, primals, tuple(range(len(primals))))
    outputs, rebuild = flatten(run.result, f"the result of {run.name}")
    shape, sweeps = rebuild(outputs), run.sweeps(outputs)  # the caller may change the result

    def pullback(seeds: Any) -> Any:
        weights = leaves_like(shape, seeds, ("the result", "seeds"))
        starts: dict[Value, Any] = {}
        for y, weight in zip(outputs, weights):
            if isinstance(y, Value):
                starts[y] = starts[y] + weight if y in starts else weight
        return run.like_argument(sweeps.reverse(starts))

    return run.returned(run.result), pullback


def hvp(function: Callable[Concatenate[A, P], Any]) -> Callable[Concatenate[A, A, P], A]:
    """A function ``(x, v, *args)`` that returns the Hessian of `function` in `x`, times `v`.

    A forward sweep over the gradient: the cost is a small multiple of the function's, whatever the size of `x`.
    The order of arguments is that of ``hessp=`` in ``scipy.optimize.minimize``.

    Examples
    --------
    >>> from autograd import hvp
    >>> hvp(lambda x: x[0] ** 2 * x[1])([3.0, 5.0], [1.0, 0.0])
    [10.0, 6.0]
    """
    check_function("hvp", function)
    gradient: Function = grad(function)

    def product(x: Any, v: Any, *args: Any, **options: Any) -> Any:
        return jvp(lambda y: gradient(y, *args, **options), (x,), (v,))[1]

    wrapped: Function = functools.update_wrapper(product, function)
    return wrapped
