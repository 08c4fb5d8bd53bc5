"""Derivatives of solutions: of x(a) with f(x, a) = 0, by the implicit function theorem and not through iterations.

A solver's iterations have a derivative too, but not always the right one: a bisection depends on its arguments only by
comparisons, and Newton's method stops before the derivatives have converged. Here the solver's result is a plain
number, and the equation that it solves is differentiated: dx/da = -(∂f/∂x)⁻¹ ∂f/∂a.

This is done by steps of Newton's method from the solution, with a fixed Jacobian matrix. They do not change the number,
and each step makes derivatives of one more order right.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from autograd import linalg, rules
from autograd.modes import current_recorder, mode, now
from autograd.rules import REAL, Rule
from autograd.transforms import jacobian, while_loop
from autograd.tree import flatten, to_floats
from autograd.value import Value

Function = Callable[..., Any]

__all__ = ["root", "solution_of"]

FAR = 1e-2  # relative to 1 + |x|; if a Newton step from a solver's result is longer, that is no solution
HALVINGS = 30  # of a step that leads to larger residuals
ENDING = 1e-8  # relative; rounding may keep steps shorter than this from getting shorter
LARGE = 1e300  # in place of infinity, which means that a step has failed


def root(
    f: Function,
    start: Any,
    *args: Any,
    bracket: tuple[float, float] | None = None,
    order: int = 2,
    rtol: float = 1e-14,
    max_steps: int = 100,
) -> Any:
    """The solution x of f(x, *args) = 0, found by Newton's method, with its derivatives by `args`.

    Parameters
    ----------
    f : callable
        Takes x and the arguments; returns as many numbers as x has, in any containers. It may also close over Values.
    start : number or tree of numbers
        Where to start; the solution has its form.
    *args : trees of numbers
        What the solution depends on.
    bracket : (low, high), optional
        For one unknown: where f has different signs at its ends. Newton steps that leave it become bisections, so the
        solution is found whatever the start.
    order : int
        The highest order of derivatives that is wanted. Higher ones come out infinite or nan, never as wrong numbers.
    rtol : float
        It stops when a step is not longer than ``rtol * (1 + |x|)``, or when steps no longer get shorter.
    max_steps : int
        It gives up after so many steps.

    Returns
    -------
    number or tree of numbers
        Values if an argument is one.

    Raises
    ------
    ArithmeticError
        If it does not converge, or the derivative of `f` by x is 0 or not finite at a step or at the solution.
    ValueError
        If `f` returns another number of residuals than x has numbers, or has no change of sign in the bracket.

    Examples
    --------
    Kepler's equation; by the theorem, dE/dM = 1 / (1 - e cos E).

    >>> import autograd.math as am
    >>> from autograd import grad, implicit
    >>> def anomaly(mean, e):
    ...     return implicit.root(lambda x, mean, e: x - e * am.sin(x) - mean, mean, mean, e)
    >>> anomaly(1.0, 0.3)
    1.288091
    >>> grad(anomaly)(1.0, 0.3)
    1.091329
    """
    _check_order(order)
    equation = _Equation(f, start, args)
    x = [_stopped(leaf) for leaf in flatten(start, "start")[0]]
    if bracket is not None and len(x) != 1:
        raise ValueError(f"a bracket is for one unknown, not for {len(x)}")
    if bracket is not None:
        x = [_bracketed(equation, x[0], bracket, rtol, max_steps)]
    elif len(x) == 1:
        x = [_newton_of_one(equation, x[0], rtol, max_steps)]
    else:
        x = _newton(equation, x, rtol, max_steps)
    return equation.rebuild(_differentiable(equation, x, order))


def solution_of(solver: Function, f: Function, order: int = 2, tolerance: float = FAR) -> Function:
    """A solver with derivatives: its result is differentiated as the solution of f(x, *args) = 0.

    Parameters
    ----------
    solver : callable
        Takes the arguments as plain numbers, and returns x: a number or a tree of numbers. It may be anything: plain
        Python, a bisection, a function of SciPy or of an extension. Compiled code calls it in Python.
    f : callable
        Takes x and the same arguments; returns as many numbers as x has. It must compute on Values: adopt it if needed.
    order : int
        The highest order of derivatives that is wanted; higher ones come out infinite or nan.
    tolerance : float
        If a step of Newton's method from the result is longer than ``tolerance * (1 + |x|)``, it is no solution of `f`.

    Returns
    -------
    callable
        Takes the arguments of the solver, Values among them, and returns what the solver does, to the last bit.

    Raises
    ------
    ArithmeticError
        From the result, if it is no solution of `f`, or the derivative of `f` by x is 0 there.
    ValueError
        From the result, if `f` returns another number of residuals than x has numbers.

    Examples
    --------
    >>> from autograd import grad, implicit
    >>> def bisection(a):
    ...     low, high = 0.0, a + 1.0
    ...     for _ in range(60):
    ...         middle = 0.5 * (low + high)
    ...         low, high = (middle, high) if middle * middle < a else (low, middle)
    ...     return low
    >>> root_of = implicit.solution_of(bisection, lambda x, a: x * x - a)
    >>> grad(bisection)(4.0), grad(root_of)(4.0)
    (0.4, 0.25)
    """
    _check_order(order)

    @functools.wraps(solver)
    def solution(*args: Any) -> Any:
        leaves, rebuild = flatten(args, "args")
        numbers = [float(now(leaf)) for leaf in leaves]

        def solved(*numbers: float) -> Any:
            with mode(recording=False, recorder=None):
                return solver(*rebuild(numbers))

        found = solved(*numbers)
        equation = _Equation(f, found, args)
        x = to_floats(flatten(found, "the solver's result")[0])
        if current_recorder() is not None:
            stopped = [_stopped(leaf) for leaf in leaves]
            x = [rule(*stopped) for rule in _calls(solver, solved, len(leaves), len(x))]
        equation.check(x, tolerance)
        return equation.rebuild(_differentiable(equation, x, order))

    return solution


def _calls(solver: Function, solved: Function, count: int, results: int) -> list[Rule]:
    """A rule for each number of the result: compiled code calls the solver, which remembers its last call."""
    last: list[Any] = [None, None]

    def call(*numbers: float) -> list[float]:
        if last[0] != numbers:
            last[:] = numbers, to_floats(flatten(solved(*numbers), "the solver's result")[0])
        made: list[float] = last[1]
        if len(made) != results:
            raise ValueError(f"the solver returned {results} numbers when it was compiled, and {len(made)} now")
        return made

    name = getattr(solver, "__name__", "solver")
    return [
        Rule(name, name, lambda *xs, k=k: call(*xs)[k], (lambda *_: 0.0,) * count, count, (REAL,) * count)
        for k in range(results)
    ]


def _check_order(order: int) -> None:
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ValueError(f"order must be a whole number of at least 1, not {order!r}")


def _stopped(x: Any) -> Any:
    """The number without its derivative; in a capture it is still traced."""
    return x.data if isinstance(x, Value) else x


class _Equation:
    """f(x, *args) = 0 on lists of numbers."""

    def __init__(self, f: Function, x: Any, args: tuple[Any, ...]) -> None:
        self.f, self.args = f, args
        self.leaves, self.rebuild = flatten(x, "x")
        leaves, rebuild = flatten(args, "args")
        self.stopped: Sequence[Any] = rebuild([_stopped(leaf) for leaf in leaves])

    def residuals(self, x: Sequence[Any], args: Sequence[Any]) -> list[Any]:
        """The numbers that are to be 0."""
        found = flatten(self.f(self.rebuild(x), *args), "the result of f")[0]
        if len(found) != len(x):
            raise ValueError(f"f returned {len(found)} numbers for {len(x)} unknowns: an equation for each is needed")
        return found

    def at(self, x: Sequence[Any]) -> list[Any]:
        """The residuals as plain numbers."""
        with mode(recording=False) if current_recorder() is None else mode():
            return [_stopped(r) for r in self.residuals(x, self.stopped)]

    def jacobian(self, x: Sequence[Any]) -> list[list[Any]]:
        """Their derivatives by x, as plain numbers."""
        rows = jacobian(lambda xs: self.residuals(xs, self.stopped))(list(x))
        return [[_stopped(d) for d in row] for row in rows]

    def step(self, x: Sequence[Any], residuals: Sequence[Any]) -> list[Any]:
        """The step of Newton's method that is to be subtracted."""
        return solved(self.jacobian(x), residuals)

    def check(self, x: Sequence[Any], tolerance: float) -> None:
        """Raise if a solver's result is no solution."""
        for number, step in zip(x, self.step(x, self.at(x))):
            if not abs(step) <= tolerance * (1.0 + abs(number)):
                raise ArithmeticError(
                    f"{now(number)!r} is no solution of f(x, ...) = 0: a step of Newton's method leads on by "
                    f"{-now(step)!r}. Is f the equation that the solver solves? If the solver is less exact, pass a "
                    "larger tolerance"
                )


def solved(matrix: Sequence[Sequence[Any]], right: Sequence[Any]) -> list[Any]:
    """The solution of a linear system, or an error that says what it means."""
    if len(matrix) == 1:
        slope = matrix[0][0]
        if slope == 0.0 or not abs(slope) < inf:
            raise ArithmeticError(_singular(f"is {now(slope)!r}"))
        return [right[0] / slope]
    import numpy

    try:
        found: list[Any] = linalg.solve(matrix, right).tolist()
    except numpy.linalg.LinAlgError:
        raise ArithmeticError(_singular("is singular")) from None
    return found


def _singular(what: str) -> str:
    return (
        f"the derivative of f by x {what}, so there is no step of Newton's method, and no derivative of the solution: "
        "choose another start or other arguments, or pass a bracket"
    )


def _newton(equation: _Equation, x: list[Any], rtol: float, max_steps: int) -> list[Any]:
    """Newton's method, with steps halved until the residuals get smaller."""
    residuals = equation.at(x)
    before = inf
    for _ in range(max_steps):
        step = equation.step(x, residuals)
        size = _largest([d / (1.0 + abs(number)) for d, number in zip(step, x)])
        if size <= rtol or (before < ENDING and size >= before):
            return [number - d for number, d in zip(x, step)]
        if not size < inf:
            break
        part = size
        for _ in range(HALVINGS):
            there = [number - d for number, d in zip(x, step)]
            next_residuals = equation.at(there)
            if _largest(next_residuals) <= _largest(residuals) or part < ENDING:
                break
            step, part = [0.5 * d for d in step], 0.5 * part
        x, residuals, before = there, next_residuals, size
    raise ArithmeticError(_not_found(equation, x, max_steps))


def _newton_of_one(equation: _Equation, x: Any, rtol: float, max_steps: int) -> Any:
    """Newton's method for one unknown, as a loop that compiles once for any number of steps."""

    def goes_on(carry: Any) -> Any:
        _, size, before, _, count = carry
        return (size > rtol) & ((before >= ENDING) | (size < before)) & (size < inf) & (count < float(max_steps))

    def step(carry: Any) -> Any:
        x, before, _, _, count = carry
        value, slope = equation.at([x])[0], equation.jacobian([x])[0][0]

        def worse(d: Any) -> Any:
            there = equation.at([x - d])[0]
            larger = rules.where(there == there, abs(there), inf) > abs(value)
            return larger & (abs(d) > ENDING * (1.0 + abs(x))) & (abs(d) < inf)

        whole = rules.div(value, slope)
        part = while_loop(worse, lambda d: 0.5 * d, whole)
        return x - part, abs(whole) / (1.0 + abs(x)), before, slope, count + 1.0

    x, size, before, slope, _ = while_loop(goes_on, step, (x, LARGE, 2.0 * LARGE, 1.0, 0.0))
    if (size <= rtol) | ((before < ENDING) & (size >= before)):
        return x
    if slope == 0.0:
        raise ArithmeticError(_singular("is 0.0"))
    raise ArithmeticError(_not_found(equation, [x], max_steps))


def _not_found(equation: _Equation, x: Sequence[Any], max_steps: int) -> str:
    return (
        f"no solution of f(x, ...) = 0 in {max_steps} steps of Newton's method: x = {[now(v) for v in x]}, "
        f"residuals {[now(r) for r in equation.at(x)]}. Start closer, or pass a bracket"
    )


def _largest(numbers: Sequence[Any]) -> Any:
    """The largest absolute value; nan counts as infinite."""
    largest: Any = 0.0
    for x in numbers:
        size = abs(x)
        largest = rules.where(size > largest, size, largest)
        largest = rules.where(size == size, largest, inf)
    return largest


def _bracketed(equation: _Equation, x: Any, bracket: tuple[Any, Any], rtol: float, max_steps: int) -> Any:
    """Newton's method inside a bracket; a step that leaves it, or is not shorter than half of the last, bisects it."""
    low, high = (_stopped(end) for end in bracket)
    f_low, f_high = equation.at([low])[0], equation.at([high])[0]
    if not (f_low * f_high <= 0.0):
        raise ValueError(
            f"f has no change of sign between {now(low)!r} and {now(high)!r}, where it is {now(f_low)!r} and "
            f"{now(f_high)!r}: pass a bracket around the solution"
        )
    falls = f_low > 0.0
    low, high = rules.where(falls, high, low), rules.where(falls, low, high)  # f is negative at `low`
    inside = (x - low) * (x - high) <= 0.0

    def goes_on(carry: Any) -> Any:
        x, _, _, size, count = carry
        return (size > rtol * (1.0 + abs(x))) & (count < float(max_steps))

    def step(carry: Any) -> Any:
        x, low, high, before, count = carry
        value, slope = equation.at([x])[0], equation.jacobian([x])[0][0]
        negative = value < 0.0
        low, high = rules.where(negative, x, low), rules.where(negative, high, x)
        d = rules.div(value, slope)
        good = (abs(d) <= 0.5 * before) & ((x - d - low) * (x - d - high) <= 0.0)
        d = rules.where(value == 0.0, 0.0, rules.where(good, d, x - 0.5 * (low + high)))
        return x - d, low, high, abs(d), count + 1.0

    start = rules.where(inside, x, 0.5 * (low + high))
    x, low, high, size, _ = while_loop(goes_on, step, (start, low, high, 2.0 * abs(high - low), 0.0))
    if not (size <= rtol * (1.0 + abs(x))):
        raise ArithmeticError(
            f"no solution of f(x, ...) = 0 in {max_steps} steps: x is between {now(low)!r} and {now(high)!r}"
        )
    return x


def _differentiable(equation: _Equation, x: Sequence[Any], order: int) -> list[Any]:
    """The same numbers, with derivatives by the arguments up to some order."""
    if not _depends(equation, x):
        return list(x)
    matrix = equation.jacobian(x)
    made = list(x)
    for _ in range(order):
        residuals = equation.residuals(made, equation.args)
        correction = solved(matrix, [r - _stopped(r) for r in residuals])
        made = [number - d for number, d in zip(made, correction)]
    # a term that is 0 with derivatives of 0 up to this order; the next one is infinite
    return [number + rules.pow(number - _stopped(number), order + 0.5) for number in made]


def _depends(equation: _Equation, x: Sequence[Any]) -> bool:
    """Whether the residuals depend on an argument, or on a Value that f closes over."""
    return any(isinstance(r, Value) for r in equation.residuals(x, equation.args))
