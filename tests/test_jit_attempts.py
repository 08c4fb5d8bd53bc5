"""A `try` in rows and in steps: where the body raises what a handler catches, the handler runs under a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agreement import agree
from test_jit_flow import caught

import autograd.math as am
from autograd import jit, vmap


class NotFoundError(Exception):
    """An error of the user's."""


def raised_here(x: Any) -> Any:
    """The body raises."""
    try:
        if x < 0.0:
            raise ValueError(f"{x} is negative")
        y = x * x
    except ValueError:
        y = -x
    return y


def in_turn(x: Any) -> Any:
    """A `try` in each step of Python's loop; the last statement of the body changes what the handler reads."""
    total = 0.0
    for k in range(5):
        try:
            if x - k < 0.5:
                raise ValueError
            total = total + 1.0 / (x + k)
        except ValueError:
            total = total - am.sin(x)
    return total


def cube_root(x: Any) -> Any:
    """Newton's method, which raises if it is slow."""
    y = 1.0 + 0.0 * x
    for _ in range(12):
        step = (y * y * y - x) / (3.0 * y * y)
        y = y - step
        if abs(step) < 1e-10 * abs(y):
            return y
    raise NotFoundError


def raised_by_a_function(x: Any) -> Any:
    """A function raises that the body calls; the whole ends there."""
    try:
        return cube_root(x)
    except (NotFoundError, ZeroDivisionError):
        return 0.5 * x


def checked(x: Any) -> Any:
    """A number, unless it is too small or too large."""
    if x < 0.0:
        raise ValueError("small")
    if x > 3.0:
        raise KeyError("large")
    return x


def several_handlers(x: Any) -> Any:
    """Each error has its handler, and what comes after it in the body is left out."""
    try:
        z = checked(x) * 2.0
        if z > 4.0:
            raise TypeError
        w = z + checked(x - 0.3)
    except ValueError:
        z, w = x, 1.0
    except (KeyError, TypeError):
        z = 5.0 * x
        w = am.sin(x)
    return z * w


def branches_inside(x: Any) -> Any:
    """Branches and loops in the body, of which one raises in a side of another."""
    try:
        if x > 2.0:
            if x > 30.0:
                raise ArithmeticError
            y = x * 2.0
        else:
            y = x
        y = y + 1.0 if y > 1.0 else y - 1.0
        while y > 3.0:
            y = y * 0.7
    except ArithmeticError:
        y = x * 3.0
    return y


def plain_errors(x: Any) -> Any:
    """What Python itself raises, where a row would come to it."""
    try:
        y = am.cos(x) if x > 0.2 else 1 / 0
    except ZeroDivisionError:
        y = x
    return y


@pytest.mark.parametrize(
    "function", [raised_here, in_turn, raised_by_a_function, several_handlers, branches_inside, plain_errors]
)
def test_handlers_are_sides(function: Any) -> None:
    """One program serves all rows, with the values and derivatives of eager code."""
    agree(function)


def test_infinite_derivatives_stay_out() -> None:
    """The body sends no message where it raised, and neither does the handler where it did not."""

    def f(x: Any) -> Any:
        try:
            if x <= 0.0:
                raise ValueError
            y = am.log(x) + 1.0 / x
        except ValueError:
            y = am.sqrt(-x) + 1.0 / (1.0 - x)
        return y

    agree(f, np.array([-2.0, -1e-300, 0.5, 1.0, 2.0]))


def test_what_a_handler_would_see() -> None:
    """Where a handler reads what the body assigned before, or names the error, it is a guard, as Python has it."""

    def named(x: Any) -> Any:
        try:
            if x > 1.0:
                raise ValueError("abc" if x > 2.0 else "ab")
            y = x
        except ValueError as error:
            y = x * len(str(error))
        return y

    def appended(x: Any) -> Any:
        out = [x]
        try:
            out.append(1.0)
            if x > 1.0:
                raise ValueError
            out.append(2.0 * x)
        except ValueError:
            out.append(3.0)
        return out[-1] * len(out)

    def finished(x: Any) -> Any:
        y = x
        try:
            if x > 1.0:
                raise ValueError
        except ValueError:
            y = y + 1.0
        finally:
            y = y * 2.0
        return y

    for function, paths in ((caught, 2), (named, 3), (appended, 2), (finished, 2)):
        agree(function, paths=paths)


def test_what_no_handler_catches() -> None:
    """It is raised, and so is what a handler raises."""

    def f(x: Any) -> Any:
        try:
            y = checked(x)
        except KeyError:
            raise RuntimeError("too large") from None
        return y

    rows = np.array([0.5, 2.0])
    for wrong, error in ((4.0, RuntimeError), (-1.0, ValueError)):
        compiled = jit(vmap(f), quiet=True)
        assert rows.tolist() == compiled(rows).tolist()
        with pytest.raises(error):
            compiled(np.array([0.5, wrong]))
        with pytest.raises(error):
            jit(vmap(f), quiet=True)(np.array([wrong, 0.5]))
