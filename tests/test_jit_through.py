"""Loops through lists, `zip` and `enumerate` that are left by jumps, and the ``else`` of a loop: one program."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from agreement import ROWS, agree

import autograd.math as am

BRACKETS = [(1.0, 0.1), (2.0, 0.2), (4.0, 0.3), (float("inf"), 0.4)]


def tax(x: Any) -> Any:
    """Brackets, left at the one that is the last."""
    owed, before = 0.0, 0.0
    for top, rate in BRACKETS:
        if x <= top:
            owed += (x - before) * rate
            break
        owed += (top - before) * rate
        before = top
    return owed


def with_places(x: Any) -> Any:
    """Several things side by side, a return and steps that end early."""
    for k, ((top, rate), weight) in enumerate(zip(BRACKETS, reversed([1.0, 2.0, 3.0, 4.0])), 1):
        if x <= top:
            return x * rate + weight * k
        if x > 3.5 and k == 2:
            continue
        x = x * 0.99
    return 0.0


def interval(x: Any, points: Any = (0.1, 0.5, 2.0, 3.0)) -> Any:
    """The interval in which a number lies."""
    for left, right in pairwise(points):
        if left <= x < right:
            return left + (x - left) * (right - left)
    return -x


def in_one_another(x: Any) -> Any:
    """Loops that leave each other, with an ``else``."""
    total = x
    for a in [1.0, 2.0, 3.0]:
        for b in {"p": 0.5, "q": 0.7}.values():
            if x * b > 2.0:
                break
            total += a * b * x
            if total > 8.0:
                return total * x
        else:
            total = total - 1.0
        if total > 5.0:
            break
    else:
        total = total * x
    return total + a


def otherwise(x: Any) -> Any:
    """The ``else`` of loops that their condition or their range ends."""
    n, y = 0, min(x, 60.0)
    while y > 1.0:
        y = y * 0.5
        if y < 0.6:
            break
        n += 1
    else:
        y = y + 10.0
    for k in range(4):
        if y < k:
            break
    else:
        y = -y
    return y * (n + 1) + k


@pytest.mark.parametrize("function", [tax, with_places, interval, in_one_another, otherwise])
def test_loops_through_things(function: Any) -> None:
    """One program serves all rows, with the values and derivatives of eager code."""
    agree(function)


def test_iterators_are_left_where_python_leaves_them() -> None:
    """What is not taken from an iterator is there later: each number of steps is a path."""

    def of_a_list(x: Any) -> Any:
        numbers = iter([1.0, 2.0, 3.0])
        for v in numbers:
            if x < v:
                break
        return sum([w * x for w in numbers]) + v

    def counted(x: Any) -> Any:
        numbers = enumerate([1.0, 2.0, 3.0])
        for _, v in numbers:
            if x < v:
                break
        return sum([w * x for _, w in numbers]) + v

    def beside(x: Any) -> Any:
        numbers = iter([1.0, 2.0, 3.0])
        for v, _ in zip(numbers, range(9)):
            if x < v:
                break
        return sum([w * x for w in numbers]) + v

    def of_a_generator(x: Any) -> Any:
        seen = []

        def numbers() -> Iterator[float]:
            for k in range(4):
                seen.append(k)
                yield float(k)

        for v in numbers():
            if x < v:
                break
        return x * len(seen) + v

    rows = np.array([0.5, 1.5, 2.5, 3.5])
    for function, paths in ((of_a_list, 4), (counted, 4), (beside, 4), (of_a_generator, 4)):
        agree(function, rows, paths=paths)


def test_long_loops_are_guards() -> None:
    """Where the steps that no row takes would be very many, the number of steps is a guard."""

    def f(x: Any) -> Any:
        y = x
        for k in [0.01 * i for i in range(3000)]:
            if y < k:
                break
            y = am.sin(y) + k * am.cos(x * k) * am.exp(-k)
        return y

    compiled = agree(f, ROWS[:4], paths=1)
    assert "if is a branch" in compiled.branches()
    assert max(max(one.values()) for one in compiled.stats()["instructions"]) < 10_000
