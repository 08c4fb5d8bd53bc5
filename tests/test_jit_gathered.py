"""Lists that grow in branches and loops: as data, where both sides append or only a sum and the like is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agreement import agree

import autograd.math as am
from autograd import jit, vmap
from autograd.compiler.source.functions import new_code


def both_append(x: Any) -> Any:
    """Each side appends the same number of elements, under either of two names; they are read in any way."""
    out = [x]
    same = out
    for k in range(3):
        if x > k:
            out.append(x * same[-1] / (1.0 + x * x))
            same.extend([1.0, x])
            out[-1] = out[-3] + 1.0
        elif x > 0.5:
            out.extend((x, 2.0 * x, k))
        else:
            out.append(-x)
            out += []
            out.append(x)
            same.append(len(out))
    return sum([v * (k + 1) for k, v in enumerate(out)]) + same[1] * len(out)


def both_append_in_order(x: Any) -> Any:
    """The same without a statement that changes a list in place."""
    out = [x]
    for k in range(3):
        if x > k:
            out.append(x * out[-1] / (1.0 + x * x))
            out.extend([1.0, x])
            out[-1] = out[-3] + 1.0
        elif x > 0.5:
            out.extend((x, 2.0 * x, k))
        else:
            out.append(-x)
            out.append(x)
            out.append(len(out))
    return sum([v * (k + 1) for k, v in enumerate(out)]) + out[1] * len(out)


def noted(out: Any, value: Any) -> None:
    """Appends to a list that its caller has made."""
    if value > 1.0:
        out.append(am.sqrt(value))
    else:
        out.append(value * value)


def by_a_function(x: Any) -> Any:
    """A function appends on either side."""
    out: list[Any] = []
    for k in range(5):
        noted(out, x - k)
    return out[0] + sum(out)


def some(x: Any) -> Any:
    """Elements on one side only, of which every question is asked."""
    out: list[Any] = []
    for k in range(5):
        if x > k:
            out.append((x - k) * (2.5 - k))
    if len(out) >= 2:
        return max(out) - min(out) + out[0] * out[-1] + sum(out)
    if not out:
        return x
    return max(out)


def while_it_goes(x: Any) -> Any:
    """A loop whose length is data appends."""
    out = []
    y = min(x, 50.0)
    while y > 0.3:
        if y < 3.0:
            out.append(y * y)
        y = 0.5 * y
    return sum(out) / len(out) if out else -x


def until_it_settles(x: Any) -> Any:
    """The last element says when the loop ends."""
    history = []
    y = 1.0 + abs(x)
    for _ in range(30):
        history.append(y)
        y = 0.5 * (y + 2.0 / y)
        if abs(y - history[-1]) < 1e-9:
            break
    return y * (x + len(history)) + history[0]


def lists_in_steps(x: Any) -> Any:
    """Each step has a list of its own."""
    total, y = x, min(x, 5.0)
    while y > 0.2:
        found = []
        for k in range(3):
            if y > k:
                found.append(y + k)
        total = total + sum(found) * len(found)
        if found and found[-1] > 2.0:
            total = total + found[0]
        y = y * 0.6
    return total


def ints_and_truths(x: Any) -> Any:
    """Ints stay ints, and truths are counted."""
    ints, truths = [], []
    for k in range(6):
        if x * k > 2.0:
            ints.append(k)
        if x * k > 1.0:
            truths.append(x > 2.0)
    largest = max(ints) * 2 + ints[0] if ints else 0
    return x * largest + (1 if isinstance(largest, int) else 100) + sum(truths)


@pytest.mark.parametrize(
    "function", [both_append_in_order, by_a_function, some, while_it_goes, until_it_settles, lists_in_steps]
)
def test_lists_are_data(function: Any) -> None:
    """One program serves all rows, with the values and derivatives of eager code."""
    agree(function)


@pytest.mark.parametrize(("function", "paths"), [(both_append, 3), (ints_and_truths, 1)])
def test_what_python_says_of_lists(function: Any, paths: int) -> None:
    """A list that is changed in place is one for Python; and what is asked for is of the right type."""
    agree(function, paths=paths)


def test_an_empty_list_does_what_python_does() -> None:
    """To ask for what is not there raises, and only then."""

    def largest(x: Any) -> Any:
        out = []
        if x > 1.0:
            out.append(x)
        return max(out)

    def mean(x: Any) -> Any:
        out = []
        if x > 1.0:
            out.append(x)
        return sum(out) / len(out)

    for function, error in ((largest, ValueError), (mean, ZeroDivisionError)):
        compiled = jit(vmap(function), quiet=True)
        assert [2.0, 3.0] == compiled(np.array([2.0, 3.0])).tolist()
        with pytest.raises(error):
            compiled(np.array([2.0, 0.5]))
        with pytest.raises(error):
            jit(vmap(function), quiet=True)(np.array([0.5, 2.0]))


def test_lists_that_others_see() -> None:
    """What is returned, shared, gone through or asked by a function of another name is a list."""

    def returned(x: Any) -> Any:
        out = []
        if x > 1.0:
            out.append(x)
        return [*out, x][0]

    def shared(x: Any) -> Any:
        out: list[Any] = []

        def add(value: Any) -> None:
            if value > 1.0:
                out.append(value)

        add(x)
        add(0.5 * x)
        return sum(out) + x

    def renamed(x: Any) -> Any:
        out = []
        sum = lambda things: am.fsum(things) * 2.0  # noqa: A001, E731  # a name of the user's
        if x > 1.0:
            out.append(x)
        return sum(out) + x

    def tuples(x: Any) -> Any:
        out = []
        if x > 1.0:
            out.append((x, 1))
        return out[-1][0] if out else -x

    for function, paths in ((returned, 2), (shared, 3), (renamed, 2), (tuples, 2)):
        agree(function, paths=paths)


outside: list[int] = []


def test_lists_from_outside() -> None:
    """A list that the function has not made is changed when the function is traced, on each path as in Python."""

    def noting(x: Any) -> Any:
        if x > 1.0:
            outside.append(1)
        else:
            outside.append(2)
        return x * x

    outside.clear()
    compiled = jit(vmap(noting), quiet=True)
    assert [0.25, 4.0] == compiled(np.array([0.5, 2.0])).tolist()
    assert {1, 2} == set(outside)
    assert "it calls append" in compiled.branches()


def test_the_sum_of_a_user_is_asked_afresh() -> None:
    """The names are those of the call: a `max` that is rebound later is called."""
    source = "def f(x):\n    out = []\n    if x > 1.0:\n        out.append(x)\n    return max(out) if out else x\n"
    scope: dict[str, Any] = {}
    exec(compile(source, __file__, "exec"), scope)
    assert new_code(scope["f"]) is None  # no source: nothing is rewritten

    def f(x: Any) -> Any:
        out = []
        if x > 1.0:
            out.append(x)
        return best(out) if out else x

    rows = np.array([0.5, 2.0])
    compiled = jit(vmap(f), quiet=True)
    assert [0.5, 2.0] == compiled(rows).tolist()
    globals()["best"] = lambda things: max(things) + 1.0
    try:
        assert [0.5, 3.0] == compiled(rows).tolist()
    finally:
        globals()["best"] = max


best = max
