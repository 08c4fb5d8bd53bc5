"""Functions that call themselves under a condition on numbers: calls inside one another are branches in one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agreement import agree

import autograd.math as am
from autograd import jit, vmap

ROWS = np.array([0.5, -3.0, 0.0, 1.5, 3.0, 9.0, 40.0])


def power(x: Any) -> Any:
    """One call in each."""
    return x if x < 1.0 else 1.5 * power(x * 0.25)


def counted(x: Any, n: int = 0) -> Any:
    """A condition of which a part is plain."""
    if n >= 6 or x < 0.1:
        return x
    return am.sin(x) + counted(x * 0.4, n + 1)


def one_calls_the_other(x: Any) -> Any:
    """Two functions that call each other."""
    return the_other(x * 0.5) + 1.0 if x > 4.0 else x * x


def the_other(x: Any) -> Any:
    """The second of them."""
    if x > 1.0:
        return one_calls_the_other(x - 0.25)
    return x


def euclid(a: Any, b: Any = 1.37) -> Any:
    """A remainder."""
    if b < 0.01:
        return a
    return euclid(b, a % b)


class Tree:
    """A tree of decisions, of which each node is a call."""

    def __init__(self, cut: float, left: Any, right: Any) -> None:
        self.cut, self.left, self.right = cut, left, right

    def at(self, x: Any) -> Any:
        """The number of a leaf, times x."""
        side = self.left if x < self.cut else self.right
        return side.at(x) if isinstance(side, Tree) else side * x

    def of(self, x: Any) -> Any:
        """The same, with a branch."""
        if x < self.cut:
            return self.left.of(x) if isinstance(self.left, Tree) else self.left * x
        return self.right.of(x) if isinstance(self.right, Tree) else self.right * x


TREE = Tree(1.0, Tree(0.3, 1.0, 2.0), Tree(3.0, Tree(2.0, 3.0, 4.0), 5.0))


@pytest.mark.parametrize("function", [power, counted, one_calls_the_other, euclid, TREE.of])
def test_recursion_is_branches(function: Any) -> None:
    """One program serves rows that go to different depths, with the values and derivatives of eager code."""
    agree(function, ROWS)


def test_which_thing_goes_on_is_a_path() -> None:
    """A name that holds one object or another is a guard, as anywhere."""
    agree(TREE.at, np.array([0.1, 0.5, 1.5, 2.5, 3.5]), paths=3)


def test_deeper_rows_take_another_path() -> None:
    """A program goes some calls further than the row of its capture; a row that goes deeper still has its own."""

    def depth(x: Any) -> Any:
        return x if x < 1.0 else depth(x * 0.5) + 1.0

    compiled = jit(vmap(depth), quiet=True)
    for x, paths in ((0.5, 1), (2.0**7.5, 1), (2.0**12.5, 2), (2.0**19.5, 2), (3.0, 2), (2.0**50, 3)):
        assert depth(x) == compiled(np.array([x, 0.25]))[0]
        assert paths == len(compiled.paths()), x


def test_two_calls_in_each() -> None:
    """Calls that split are branches as far as there are not too many of them."""

    def f(x: Any) -> Any:
        return x if x < 2.0 else f(x - 1.0) + 0.3 * f(x - 2.0)

    agree(f, np.array([6.5, 1.0, 2.5, 3.5, 4.5, 5.5, -1.0]))


def test_endless_recursion_of_rows_that_are_not_there() -> None:
    """A side that would call itself for ever ends where no row takes it; one that a row takes raises as in Python."""

    def f(x: Any) -> Any:
        return x if x > -1.0 else f(x - 1.0)

    compiled = jit(vmap(f), quiet=True)
    assert [0.5, 2.0] == compiled(np.array([0.5, 2.0])).tolist()
    with pytest.raises(RecursionError):
        compiled(np.array([0.5, -2.0]))


def test_long_functions_are_guards() -> None:
    """What would be too many instructions takes a path for each depth."""

    def f(x: Any) -> Any:
        y = x
        for k in range(200):
            y = am.sin(y) + 0.01 * k
        return y if x < 1.0 else y + f(x * 0.5)

    agree(f, np.array([0.5, 1.5, 3.0]), paths=3)


def test_sides_with_effects() -> None:
    """A function that notes its calls is called as in Python."""
    calls = []

    def f(x: Any) -> Any:
        if x < 1.0:
            return x
        calls.append(1)
        return f(x * 0.5) + 1.0

    rows = [0.5, 1.0, 4.0, 2.0]
    compiled = jit(vmap(f), quiet=True)
    assert [f(x) for x in rows] == compiled(np.array(rows)).tolist()
    calls.clear()
    assert [0.25, 0.5] == compiled(np.array([0.25, 0.5])).tolist()
    assert [] == calls
