"""Loops whose steps hand something to the next: over rows, for a number of steps, or while a condition holds."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from autograd.eager import active_recorder
from autograd.transforms.origin import check_function


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
    steps = None if length is None else _as_int("length", "an int", length)
    return active_recorder().loop(function, initial, xs, steps, reverse)


def fori(n: Any, function: Callable[[Any, Any], Any], initial: Any) -> Any:
    """A loop of `n` steps that hand something to the next: ``carry = function(i, carry)`` for i in 0, 1, …, n - 1.

    Parameters
    ----------
    n : int, float or Value
        The number of steps, a whole number. Its own derivative is 0.
    function : callable
        One step: takes the number of the step and the carry, returns the next carry. The number is an int; in a
        compiled function it is a number of the program, with which one can compute (`autograd.math.take` finds an
        element by it).
    initial : tree of numbers
        The first carry. Each carry has the same structure.

    Returns
    -------
    tree of numbers
        The last carry.

    Raises
    ------
    TypeError
        If `n` is not a number, or a leaf is not a real number.
    ValueError
        If `n` is negative or not whole, or the carry changes its structure.

    Notes
    -----
    In a function compiled by `jit`, one compilation serves every `n` that depends on an argument or on a Value. One
    that does not (``fori(10, …)``) is a constant of the program. Comparisons in a step become masks; with more than
    eight combinations of them, the steps are computed one after another, and `n` becomes a guard.

    Examples
    --------
    >>> from autograd import fori, grad, jit
    >>> def compound(rate, years):
    ...     return fori(years, lambda i, total: total * (1.0 + rate) + i, 100.0)
    >>> round(compound(0.1, 3), 9), round(grad(compound)(0.1, 3), 9)
    (136.2, 364.0)
    >>> compiled = jit(grad(compound))
    >>> round(compiled(0.1, 3), 9), round(compiled(0.1, 300), 3) == round(grad(compound)(0.1, 300), 3)
    (364.0, True)
    """
    return active_recorder().repeat(n, function, initial)


def while_loop(
    condition: Callable[[Any], Any], function: Callable[[Any], Any], initial: Any, at_most: int | None = None
) -> Any:
    """A loop that goes on while a condition holds: ``while condition(carry): carry = function(carry)``.

    Parameters
    ----------
    condition : callable
        Takes the carry, returns a comparison, or a number that is 0 when the loop is to end.
    function : callable
        One step: takes the carry, returns the next one.
    initial : tree of numbers
        The first carry. Each carry has the same structure.
    at_most : int, optional
        An error is raised if the condition still holds after so many steps.

    Returns
    -------
    tree of numbers
        The last carry: the first one for which the condition does not hold.

    Raises
    ------
    TypeError
        If `at_most` is not an int, the condition is not a comparison or a number, or a leaf is not a real number.
    ValueError
        If the carry changes its structure, or `at_most` is negative.
    RuntimeError
        If the loop would take more than `at_most` steps.
    MemoryError
        In a compiled function, if a reverse derivative would need more bytes than ``jit(loop_memory=)`` for the
        carries of all steps.

    Notes
    -----
    The derivative is that of the steps that were taken; how many there are is piecewise constant. A root that is found
    by such steps has a better one, by the implicit function theorem.

    In a function compiled by `jit` the steps run until the condition is false, however many there are: one compilation
    serves them all. In the rows of a `vmap` each row ends on its own. Comparisons in a step and in the condition become
    masks; with more than eight combinations of them, the steps are computed one after another, and each comparison is a
    guard.

    Examples
    --------
    >>> from autograd import grad, jit, while_loop
    >>> def root(a):
    ...     return while_loop(lambda x: abs(x * x - a) > 1e-12, lambda x: 0.5 * (x + a / x), 1 + a, at_most=100)
    >>> round(root(2.0), 9), round(grad(root)(2.0), 9)
    (1.414213562, 0.353553391)
    >>> compiled = jit(grad(root))
    >>> round(compiled(2.0), 9), round(compiled(1e6), 9)
    (0.353553391, 0.0005)
    """
    bound = None if at_most is None else _as_int("at_most", "an int or None", at_most)
    return active_recorder().loop_while(condition, function, initial, bound)


def _as_int(name: str, expected: str, given: Any) -> int:
    """A number of steps as an int; errors name the parameter and what is expected of it."""
    try:
        found = operator.index(given)
    except TypeError:
        found = None
    if found is None or isinstance(given, bool):
        raise TypeError(f"{name} must be {expected}, not {given!r} of type {type(given).__name__}")
    if found < 0:
        raise ValueError(f"{name} must not be negative, but is {found}")
    return found
