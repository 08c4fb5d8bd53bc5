"""Attributes and elements that branches and loops of the source assign."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agreement import ROWS, agree

import autograd.math as am
from autograd import adopt, grad, hessian, jit, vmap


class Box:
    """A plain object."""

    kind = 1.0

    def __init__(self, x: Any) -> None:
        self.x = x
        self.count = 0
        self.__hidden = 2.0

    def grow(self, by: Any) -> Any:
        """A method that assigns attributes."""
        self.x = self.x + by
        self.count += 1
        self.__hidden *= 1.5
        return self.x * self.__hidden


class Slots:
    """An object without a dict."""

    __slots__ = ("a", "b")

    def __init__(self, a: Any) -> None:
        self.a = a


# ---- branches ------------------------------------------------------------------------------------------------------


def test_attributes_and_elements_in_branches() -> None:
    """What one side assigns, or both, is a choice; the other places stay what they are."""

    def f(x: Any) -> Any:
        box, some, named = Box(x), [x, 1.0, 2.0], {"a": 1.0, 3: x}
        slots = Slots(1.0)
        if x > 1.0:
            box.x = x * x
            box.kind = 3.0
            some[1] = am.sin(x)
            named["a"] = x
            slots.b = x
        elif x > 0.0:
            some[-1] += x
            some[0], box.x = box.x, 3.0 * x
            named[3] = slots.a = box.kind = 0.5
            slots.b = 1.0
        else:
            slots.b = box.count
            box.kind = 1.0
        return box.x * some[0] + some[1] * some[2] + named["a"] * named[3] * slots.a + box.kind * slots.b

    agree(f)


def test_aliases_see_what_is_assigned() -> None:
    """Two names of one thing, a thing in another, and a method bound before: all have the new number at once."""

    def f(x: Any) -> Any:
        box = Box(x)
        same, held, grow = box, [box], box.grow
        row = [x, x]
        rows = [row, row]
        if x > 1.0:
            same.x = 2.0 * x
            held[0].x = box.x + 1.0
            y = grow(x) + same.x
            rows[0][1] = 5.0 * x
            y = y * rows[1][1] + row[1]
        else:
            y = box.x
            rows[1][0] = y + 1.0
        return y + held[0].x * same.count + row[0] * rows[0][1]

    agree(f)


def test_nested_branches_and_calls() -> None:
    """A side inside a side is undone before the side around it; functions that assign are called there."""

    def fill(some: Any, x: Any) -> None:
        for k in range(1, len(some)):
            some[k] = some[k - 1] * x

    def f(x: Any) -> Any:
        some, box = [1.0] * 4, Box(0.0)
        if x > 0.0:
            fill(some, x)
            if x > 1.0:
                some[0] = 0.5
                if x > 2.0:
                    fill(some, 1.0 / x)
                box.x = some[3]
            else:
                box.x = some[1]
        elif x < -1.0:
            fill(some, am.exp(x))
        return sum(some) + box.x

    agree(f)


def test_what_a_side_makes_itself() -> None:
    """A list that only one side knows needs no choice."""

    def f(x: Any) -> Any:
        y = x
        if x > 0.5:
            terms = [0.0] * 3
            terms[0] = x
            for k in range(1, 3):
                terms[k] = terms[k - 1] * x
            y = sum(terms)
        return y

    agree(f)


def test_a_side_that_raises_is_undone() -> None:
    """What was assigned before an exception is supposed not to be assigned."""

    def f(x: Any) -> Any:
        box = Box(x)
        if x > 100.0:
            box.x = -1.0
            box.count = 7
            raise ValueError("large")
        box.count += 1
        return box.x * box.count

    agree(f, ROWS[:-1])
    compiled = jit(vmap(f), quiet=True)
    np.testing.assert_array_equal([2.0, 3.0], compiled(np.array([2.0, 3.0])))
    with pytest.raises(ValueError, match="large"):
        compiled(np.array([2.0, 300.0]))

    def caught(x: Any) -> Any:
        box = Box(x)
        try:
            box.count = 1
            if x > 1.0:
                box.x = 2.0 * x
                raise ValueError
            box.count = 2
        except ValueError:
            box.x = box.x + 1.0
        return box.x * box.count

    agree(caught, paths=2)


def test_a_long_side_is_undone() -> None:
    """A side that turns out not to be captured leaves nothing behind; Python then runs one side."""
    outside: list[Any] = []

    def f(x: Any) -> Any:
        box, some = Box(x), [x, 1.0]
        if x > 1.0:
            box.x = 2.0 * x
            some[1] = 3.0
            if x > 2.0:
                some[0] = 4.0 * x
            outside.append(0)
        return box.x * some[0] * some[1]

    agree(f, paths=2)


# ---- loops ---------------------------------------------------------------------------------------------------------


def test_loops_hand_places_from_step_to_step() -> None:
    """An attribute or an element that a step assigns is like a name; the test may read it."""

    def f(x: Any) -> Any:
        box, some = Box(1.0 + abs(x)), [0, 0.0, abs(x)]
        while abs(box.x * box.x - some[2]) > 1e-12 * some[2] + 1e-12:
            box.x = 0.5 * (box.x + some[2] / box.x)
            some[0] += 1
            some[1] = some[1] + box.x
            if some[0] > 60:
                break
        return box.x + 0.1 * some[0] + some[1] * box.count

    assert "while is a loop" in agree(f).branches()


def test_methods_that_step() -> None:
    """The body of a loop calls a method that assigns, under a branch."""

    def f(x: Any) -> Any:
        box, last = Box(x), 0.0
        while box.x > 1.0:
            if box.x > 10.0:
                last = box.grow(-0.75 * box.x)
            else:
                box.grow(-1.5)
                box.count += 2
        return box.x * 2.0 + last * box.count

    agree(f, ROWS[:-1])


def test_loops_in_loops() -> None:
    """Places of the outer loop are those of the inner one too."""

    def f(x: Any) -> Any:
        some = [abs(x), 0.0, 1]
        while some[0] > 0.5:
            inner = some[0]
            while inner > 0.3:
                inner = inner * 0.5
                some[1] += inner
                some[2] += 1
            some[0] = some[0] * 0.25
        return some[0] + some[1] * some[2]

    agree(f)


def test_second_derivatives() -> None:
    """Hessians go through places."""

    def f(p: Any) -> Any:
        state = [p[0], p[1]]
        while state[0] * state[0] > p[1]:
            state[0] = 0.5 * state[0] - 0.01 * p[1]
            state[1] = state[1] * state[0]
        if state[1] > 0.1:
            state[0] *= p[0]
        return state[0] * state[1]

    rows = np.array([[5.0, 0.3], [0.1, 2.0], [90.0, 1.0]])
    expected = [hessian(f)(row) for row in rows.tolist()]
    np.testing.assert_allclose(jit(vmap(hessian(f)), quiet=True)(rows), expected, rtol=1e-11)


# ---- what stays as it is -------------------------------------------------------------------------------------------

shared = Box(1.0)
numbers = [1.0, 2.0]


class Watching:
    """Assignments run code."""

    def __init__(self, x: Any) -> None:
        self.values: dict[str, Any] = {}
        self.y = x

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name == "y":
            self.values[name] = value

    @property
    def z(self) -> Any:
        """A property with a setter."""
        return self.y

    @z.setter
    def z(self, value: Any) -> None:
        self.y = 2.0 * value


def test_assignments_that_run_code() -> None:
    """Properties, `__setattr__`, arrays, slices and subclasses of list stay guards."""

    class Rows(list[Any]):
        """Not a plain list."""

    def watched(x: Any) -> Any:
        thing = Watching(x)
        if x > 1.0:
            thing.y = x * x
        return thing.y + thing.values["y"]

    def by_property(x: Any) -> Any:
        thing = Watching(x)
        if x > 1.0:
            thing.z = x * x
        return thing.y

    def sliced(x: Any) -> Any:
        some = [x, x, 1.0]
        if x > 1.0:
            some[1:] = [2.0 * x]
        return some[-1] * len(some)

    def subclass(x: Any) -> Any:
        some = Rows([x, 1.0])
        if x > 1.0:
            some[1] = x
        return some[0] * some[1]

    def of_array(x: Any) -> Any:
        some = np.zeros(2, object)
        some[0] = some[1] = x
        if x > 1.0:
            some[1] = x * x
        return some[0] * some[1]

    for function in (watched, by_property, sliced, subclass, of_array):
        agree(function, paths=2)


def test_places_of_one_side() -> None:
    """What only one side makes is a guard: on the other it is missing, in the order of its dict too."""

    def made(x: Any) -> Any:
        box = Box(x)
        if x > 1.0:
            box.new = x * x
        return getattr(box, "new", x)

    def ordered(x: Any) -> Any:
        named = {}
        if x > 1.0:
            named["a"], named["b"] = x, 2.0
        else:
            named["b"], named["a"] = 3.0, x
        first, second = named.values()
        return first * 2.0 + second

    def both(x: Any) -> Any:
        named = {}
        if x > 1.0:
            named["a"] = x
        else:
            named["a"] = 3.0 * x
        return named["a"]

    def replaced(x: Any) -> Any:
        box = Box(x)
        if x > 1.0:
            box.x = [x, 2.0]
        return box.x[1] if type(box.x) is list else box.x

    agree(made, paths=2)
    agree(ordered, paths=2)
    agree(both)
    agree(replaced, paths=2)


def test_things_from_outside() -> None:
    """What was there before the call is changed only where Python changes it."""

    def f(x: Any) -> Any:
        y = x
        if x > 100.0:
            shared.x = 5.0
            y = 2.0 * x
        return y * shared.x

    def g(x: Any) -> Any:
        y = x
        if x > 100.0:
            numbers[0] = 7.0
            y = 2.0 * x
        return y

    rows = np.array([1.0, 2.0, 50.0])
    np.testing.assert_array_equal(rows, jit(vmap(f), quiet=True)(rows))
    np.testing.assert_array_equal(rows, jit(vmap(g), quiet=True)(rows))
    assert (1.0, [1.0, 2.0]) == (shared.x, numbers)


def test_an_argument_that_is_changed() -> None:
    """A list among the arguments is no thing of the function: it is a guard, with Python's result."""

    def f(pair: Any) -> Any:
        if pair[0] > 1.0:
            pair[1] = pair[0] * 2.0
        return pair[0] * pair[1]

    rows = np.array([[0.5, 3.0], [2.0, 3.0], [4.0, 1.0]])
    expected = [f(row) for row in rows.tolist()]
    np.testing.assert_array_equal(expected, jit(vmap(f), quiet=True)(rows.tolist()))
    made = jit(vmap(lambda a, b: f([a, b])))
    np.testing.assert_array_equal(expected, made(rows[:, 0], rows[:, 1]))
    assert 1 == made.stats()["paths"]


def test_an_index_that_is_data() -> None:
    """Which element is assigned must be known: else each is a path of its own."""

    def f(x: Any) -> Any:
        some = [1.0, 2.0, 3.0]
        if x > 0.0:
            some[int(x) % 3] = x
        return some[0] * some[1] + some[2]

    agree(adopt(f), paths=4)


def test_results_that_are_things() -> None:
    """A list that is changed and returned has the numbers of each row; none of them leaves the capture."""

    def f(x: Any) -> Any:
        some = [x, 0.0, 1.0]
        if x > 1.0:
            some[1] = x * x
        elif x > 0.0:
            some[0] = some[2] = 3.0
        return some

    compiled = jit(vmap(f))
    np.testing.assert_array_equal(np.transpose([f(x) for x in ROWS.tolist()]), compiled(ROWS))
    assert 1 == compiled.stats()["paths"]


def test_names_that_inner_branches_may_leave_unbound() -> None:
    """A name that an `if` inside another binds, or not, is bound after both where it was bound."""

    def f(x: Any, much: bool) -> Any:
        y = x
        if x > 0.0:
            y = am.sin(x)
            if much:
                z = y * y
            y = y + 1.0
        return y + z if much and x > 0.0 else y

    agree(lambda x: f(x, False))
    agree(lambda x: f(x, True), paths=2)


def test_gradients_of_one_call() -> None:
    """A single call takes one path for each way, and keeps things as Python has them."""

    def f(x: Any) -> Any:
        box = Box(x)
        if x > 1.0:
            box.x = x * int(x)
        return box.grow(1.0)

    compiled = jit(grad(adopt(f)), quiet=True)
    for x in (0.5, 1.5, 2.5, 0.75):
        assert grad(adopt(f))(x) == compiled(x)
