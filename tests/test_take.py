"""`autograd.math.take`: an element at a computed place. Conventions, derivatives, compiled code, lanes, and errors."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd.math as am
from autograd import Value, fori, grad, hessian, jit, jvp, scan, vmap, while_loop
from autograd.testing import check_grads

TABLE = np.array([[0.1 * i + 0.01 * j * j + 0.2 for j in range(3)] for i in range(5)])


def looked_up(table: Any, k: Any) -> Any:
    """A function of a row of a table."""
    row = am.take(table, k)
    return row[0] * row[1] + am.sin(row[2])


def test_conventions() -> None:
    """The nearest place, the even one of two; nan where there is none; plain numbers, Values, arrays and trees."""
    numbers = [10.0, 20.0, 30.0]
    found = [am.take(numbers, k) for k in (0, 1.0, 0.5, 1.5, 2.5, -0.5, -0.4, 1.2, 1.8)]
    assert [10.0, 20.0, 10.0, 30.0, 30.0, 10.0, 10.0, 20.0, 30.0] == found
    for k in (-1, -0.6, 3, 2.6, math.inf, -math.inf, math.nan):
        assert math.isnan(am.take(numbers, k))
        assert math.isnan(jit(am.take)(numbers, k))
        assert all(map(math.isnan, am.take(TABLE, 2.0 * k)))
    assert 20.0 == am.take(np.array(numbers), 1) == am.take((10, 20, 30), Value(1.0)).data
    assert TABLE[3].tolist() == am.take(TABLE, 3).tolist()
    assert {"a": 3.0, "b": (4.0,)} == am.take([{"a": 1.0, "b": (2.0,)}, {"a": 3.0, "b": (4.0,)}], 1.0)
    assert "take" in repr(am.take([Value(1.0), 2.0], 0).op)


def test_derivatives() -> None:
    """The chosen element has the derivative 1, the others get no message: 0 times infinity is not seen."""
    values, index = [Value(1.0), Value(2.0), Value(3.0)], Value(1.0)
    am.take(values, index).backward(5.0)
    assert [0.0, 5.0, 0.0, 0.0] == [*[v.grad for v in values], index.grad]
    check_grads(lambda t: looked_up(t, 2.0), (TABLE,), order=2)

    def pole(x: Any, k: Any) -> Any:
        return am.take([x, am.log(x), 1.0 / x], k)

    assert 1.0 == grad(pole)(0.0, 0) == jit(grad(pole))(0.0, 0) == jvp(pole, (0.0, 0.0), (1.0, 0.0))[1]
    assert 0.0 == grad(pole)(0.0, 9)  # no element, no message


def test_one_compilation_for_every_index() -> None:
    """The index is data: value, gradient and second derivatives of one specialization are the eager ones."""
    for one in (looked_up, grad(looked_up), hessian(looked_up)):
        compiled = jit(one)
        for k in (0, 2, 4, 2.5, 3.5, 1.0):
            np.testing.assert_allclose(one(TABLE, k), compiled(TABLE, k), rtol=1e-12)
        assert 1 == compiled.stats()["paths"]
    nested = [list(row) for row in TABLE]
    np.testing.assert_allclose(grad(looked_up)(nested, 3), jit(grad(looked_up))(nested, 3), rtol=1e-12)


def test_in_lanes() -> None:
    """The rows of a batch read different places: one loop over any number of rows, and gradients by the rows too."""
    places = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 9.0, 2.0, 2.0, 4.0, 0.0, 1.0])
    mapped = jit(vmap(looked_up, in_axes=(None, 0)))
    np.testing.assert_allclose([looked_up(TABLE, k) for k in places], mapped(TABLE, places), rtol=1e-13)
    assert "0..n" in mapped.program()

    def own(row: Any, k: Any) -> Any:  # each row has a table of its own
        return am.take(row, k) * am.take([row[1], row[0] * 2.0, k], k)

    rows = np.arange(33.0).reshape(11, 3) / 7.0
    both = jit(vmap(grad(own, (0, 1))))
    expected = [grad(own, (0, 1))(row, k) for row, k in zip(rows, places % 3)]
    found = both(rows, places % 3)
    np.testing.assert_allclose([e[0] for e in expected], found[0], rtol=1e-12)
    np.testing.assert_allclose([e[1] for e in expected], found[1], rtol=1e-12)
    assert "0..n" in both.program()
    total = grad(vmap(looked_up, in_axes=(None, 0), reduce="sum"))
    np.testing.assert_allclose(total(TABLE, places % 5), jit(total)(TABLE, places % 5), rtol=1e-12)
    inside = jit(lambda table, places: vmap(grad(looked_up), in_axes=(None, 0))(table, places))
    np.testing.assert_allclose(
        vmap(grad(looked_up), in_axes=(None, 0))(TABLE, places), inside(TABLE, places), rtol=1e-12
    )


def test_in_loops() -> None:
    """Tokens as data: a loop reads a table at its own numbers, at those of an argument, and at what it computes."""

    def walk(table: Any, tokens: Any, n: Any) -> Any:
        def step(i: Any, carry: Any) -> Any:
            state, _ = carry
            row = am.take(table, am.take(tokens, i))
            return am.tanh(0.5 * state + row[0] * row[2]) + am.take([0.1, -0.2, 0.3], am.floor(abs(3.0 * state))), row[
                1
            ]

        return fori(n, step, (1.0, 0.0))[0]

    tokens = [3.0, 0.0, 4.0, 4.0, 1.0, 2.0]
    gradient = jit(grad(walk))
    for n in (0, 1, 4, 6):
        np.testing.assert_allclose(grad(walk)(TABLE, tokens, n), gradient(TABLE, tokens, n), rtol=1e-11)
    assert 1 == gradient.stats()["paths"]
    scales = np.linspace(0.5, 2.0, 11)
    lengths = np.arange(11.0) % 7
    rows = jit(vmap(grad(lambda s, n: walk([[x * s for x in row] for row in TABLE.tolist()], tokens, n))))
    expected = [grad(lambda s, n=n: walk(TABLE * s, tokens, n))(s) for s, n in zip(scales, lengths)]
    np.testing.assert_allclose(expected, rows(scales, lengths), rtol=1e-11)

    def chase(x: Any) -> Any:  # the place decides how long the loop is
        return while_loop(
            lambda c: c[0] < 4.0, lambda c: (c[0] + am.take([1.0, 2.0, 1.0], c[0] % 3), c[1] * x), (0.0, x)
        )[1]

    np.testing.assert_allclose(grad(chase)(1.3), jit(grad(chase))(1.3), rtol=1e-12)
    last, _ = jit(lambda x: scan(lambda c, k: (am.take([c, c * x, c + x], k), None), x, [0, 1, 2, 1]))(2.0)
    assert 12.0 == last


@settings(max_examples=15, deadline=None)
@given(
    values=st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=6),
    places=st.lists(st.floats(-1.5, 6.5), min_size=1, max_size=4),
)
def test_random_places(values: list[float], places: list[float]) -> None:
    """Sums of products of elements: compiled and in lanes equal eager."""

    def function(values: Any, place: Any) -> Any:
        found = am.take(values, place)
        return found * am.take([x * x for x in values], place / 2.0) + am.take([found, 1.0], abs(place) / 7.0)

    for one in (function, grad(function)):
        compiled = jit(one)
        for place in places:
            np.testing.assert_allclose(one(values, place), compiled(values, place), rtol=1e-12)
    expected = [function(values, place) for place in places]
    np.testing.assert_allclose(expected, jit(vmap(function, in_axes=(None, 0)))(values, np.array(places)), rtol=1e-12)


def test_errors() -> None:
    """No values, and values of different shapes."""
    with pytest.raises(ValueError, match="take of no values has no value"):
        am.take([], 0)
    with pytest.raises(ValueError, match="value 0 and value 1 differ in shape"):
        am.take([[1.0], [1.0, 2.0]], 0)
    with pytest.raises(TypeError):
        am.take([1.0, "2"], 0)
