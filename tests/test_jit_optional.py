"""Names that hold None or a number, names that may be unbound, and long bodies with jumps, in branches and loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agreement import agree

import autograd.math as am
from autograd import jit, vmap
from autograd.compiler.source.functions import new_code


def bracketed(x: Any) -> Any:
    """Newton's method with a bracket that is not there at first, and a memory of the last points."""
    low, high = None, None
    before, point = None, 0.1 + abs(x)
    for _ in range(50):
        error = point * point - 2.0
        if error < 0.0:
            low = point
        else:
            high = point
        new = point - error / (2.0 * point)
        if low is not None and high is not None and not low < new < high:
            new = 0.5 * (low + high)
        if before is not None and before == new:
            return new * x
        if abs(new - point) <= 1e-14 * new:
            return new * x
        before = point
        point = new
    return point


def test_none_or_a_number() -> None:
    """A name that is None in some rows and steps is a number in others, in one program."""
    assert "for is a loop" in agree(bracketed).branches()

    def chosen(x: Any) -> Any:
        best, other = None, None
        if x > 1.0:
            best = x * x
        elif x < 0.0:
            best = other = 2.0 - x
        y = x
        if best is None:
            y = y + 1.0
        elif other is None:
            y = y + best
        if other is not None:
            y = y * other - 2.0 * best
        return y + (3.0 if best == other else 5.0) + (7.0 if best != x else 9.0)

    agree(chosen)


def test_none_raises() -> None:
    """To compute with None raises as in Python, where a row does."""

    def f(x: Any) -> Any:
        y = None
        if x > 1.0:
            y = x
        return y + 1.0

    compiled = jit(vmap(f), quiet=True)
    np.testing.assert_array_equal([3.0, 4.0], compiled(np.array([2.0, 3.0])))
    with pytest.raises(TypeError):
        compiled(np.array([2.0, 0.5]))


def test_none_that_others_see() -> None:
    """Where a name with None is returned, passed on, kept or captured, each outcome is a path of its own."""

    def passed(x: Any) -> Any:
        y = None
        if x > 1.0:
            y = x
        return x if (lambda z: z is None)(y) else 2.0 * x

    def kept(x: Any) -> Any:
        y = None
        if x > 1.0:
            y = x
        return x if [y] == [None] else 3.0 * x

    def captured(x: Any) -> Any:
        y = None
        if x > 1.0:
            y = x

        def read() -> Any:
            return y

        return x if read() is None else 3.0 * x

    def typed(x: Any) -> Any:
        y = z = None
        if x > 1.0:
            y = x
        z = y
        return x if isinstance(z, type(None)) else 3.0 * x

    for function in (passed, kept, captured, typed):
        agree(function, paths=2)


def test_names_that_may_be_unbound() -> None:
    """They are unbound in a side or a step too, and a read raises as in Python, where a row does it."""

    def f(x: Any) -> Any:
        if x > 1.0:
            y = 2.0 * x
        if x > 2.0:
            z = y + 1.0
            y = z * x
        else:
            z = x
        return z

    agree(f, paths=2)

    def g(x: Any) -> Any:
        if x > 1.0:
            y = 2.0 * x
        if x > 0.5:
            y = y + 1.0
        elif x < 0.0:
            y = -x
        else:
            y = x
        return y

    compiled = jit(vmap(g), quiet=True)
    np.testing.assert_array_equal([0.25, 5.0], compiled(np.array([0.25, 2.0])))
    with pytest.raises(UnboundLocalError):
        compiled(np.array([0.25, 0.75, 2.0]))

    def h(x: Any) -> Any:
        n = 0
        while True:
            if n == 0:
                last = x
            elif n > 0:
                last = last + x
            n, x = n + 1, 0.5 * x
            if x < 1.0:
                break
        return last

    agree(h)


def long_body(x: Any) -> Any:
    """A loop whose body has more after its jumps than is written twice."""
    total, y = 0.0, x
    for k in range(6):
        if y > 30.0:
            total = total + 1.0
            if y > 500.0:
                break
        elif y < -2.0:
            y = -0.5 * y
            if k > 3:
                continue
        first = am.sin(y) * 0.5 + am.cos(0.5 * y) * 0.25 + am.exp(-y * y) * 0.125
        second = first * first - 0.5 * first + am.tanh(first * y) - am.sin(first) * 0.5
        third = second * first + am.cos(second) * am.sin(first) + am.tanh(second - first)
        if third > 1.25 and first < 0.5:
            total = total - third
            if total < -3.0:
                return total * x
        fourth = third * 0.5 + second * 0.25 + first * 0.125 + am.tanh(third * second * first)
        fifth = am.sin(fourth) + am.cos(third) * fourth - am.tanh(second) * third + first
        total = total + fifth * 0.5 + am.sin(fifth * fourth) * 0.25 + am.tanh(third)
        y = y * 0.75 + am.sin(total) * 0.5 + 0.125 * k
    return total * y


def test_long_bodies_with_jumps() -> None:
    """What follows a jump is written once, under a name that tells whether the step goes on."""
    agree(long_body)
    code = new_code(long_body)
    assert code is not None
    assert any("stays" in name for site in code.sites for name in site.names)


def test_equality_in_a_step() -> None:
    """A loop that ends when rounded numbers are equal ends where eager code does: machine code has its bits."""

    def f(x: Any) -> Any:
        y, n = abs(x) + 1.0, 0
        while True:
            new = am.log(2.0 + am.exp(am.sin(y)))
            n += 1
            if new == y or n == 200:
                break
            y = new
        return y * x + n

    agree(f)
