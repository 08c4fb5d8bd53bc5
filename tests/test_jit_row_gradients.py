"""Gradients by the rows of a compiled map: one piece of machine code for any number of rows."""

from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import Value, grad, jit, scan, value_and_grad, vmap
from autograd.tree import flatten


def bent(w: Any, x: Any, y: Any) -> Any:
    """A function of a shared number and of two mapped trees, with a branch on a row that stays a guard."""
    found: dict[str, Any] = {}
    if x[0] > 0.0:
        found.setdefault("z", am.sin(w * x[0]) * x[1])
    else:
        found.setdefault("z", y["a"] * y["a"] * w)
    return found["z"]


def rows(count: int) -> tuple[Any, Any]:
    """So many rows in an array and in lists of a dictionary."""
    draw = np.random.default_rng(count)
    return draw.normal(size=(count, 2)), {"a": draw.normal(size=count).tolist(), "b": [0.5] * count}


def same(expected: Any, actual: Any) -> None:
    """Two results have the same containers, and numbers that agree."""
    assert type(expected) is type(actual)
    before, now = flatten(expected, arrays=True)[0], flatten(actual, arrays=True)[0]
    assert [type(x) for x in before] == [type(x) for x in now]
    assert [getattr(x, "shape", ()) for x in before] == [getattr(x, "shape", ()) for x in now]
    assert flatten(expected)[0] == pytest.approx(flatten(actual)[0], rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("argnums", [1, 2, (1, 2), (2, 0, 1), -1, (0, -2), [1]])
@pytest.mark.parametrize("transform", [grad, value_and_grad])
@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_gradients(argnums: Any, transform: Any, reduce: Any) -> None:
    """Any choice of arguments, mapped or shared, for rows that take both branches."""
    function = transform(vmap(bent, in_axes=(None, 0, 0), reduce=reduce), argnums)
    compiled = jit(function)
    for count in (1, 3, 8, 9, 40):
        same(function(2.0, *rows(count)), compiled(2.0, *rows(count)))
    assert 2 == compiled.stats()["paths"]


def test_one_compilation_serves_any_number_of_rows() -> None:
    """The program does not grow with the rows."""
    compiled = jit(grad(vmap(lambda x, y: am.exp(x) * y, reduce="sum"), (0, 1)))
    for count in (1, 10, 1000):
        by_x, by_y = compiled(np.linspace(0.0, 1.0, count), np.ones(count))
        np.testing.assert_allclose(np.exp(np.linspace(0.0, 1.0, count)), by_x, rtol=1e-15)
        np.testing.assert_allclose(by_x, by_y, rtol=1e-15)
    assert 1 == compiled.stats()["paths"]
    assert "in 0..n:" in compiled.program()


def test_axes_and_views() -> None:
    """Columns, negative axes and views that are not contiguous."""
    x = np.random.default_rng(3).normal(size=(5, 22))[:, ::2]
    function = grad(vmap(lambda w, x: am.tanh(w * x[0] + x[4] * x[1]), in_axes=(None, -1), reduce="sum"), (1, 0))
    same(function(0.5, x), jit(function)(0.5, x))


def test_arguments_without_a_message() -> None:
    """What the result does not depend on has a gradient of zeros, on one branch or on all."""
    function = grad(vmap(lambda x, y: x * 2.0 if x > 0.0 else y * 1.0, reduce="sum"), (0, 1))
    xs = [1.0, -1.0, 2.0]
    same(function(xs, [5.0, 6.0, 7.0]), jit(function)(xs, [5.0, 6.0, 7.0]))
    unused = grad(vmap(lambda x, y: x[0] * 2.0, reduce="sum"), (1, 0))
    table = np.ones((4, 3))
    same(unused(table, np.ones((4, 2))), jit(unused)(table, np.ones((4, 2))))


def test_other_ways() -> None:
    """No rows, Values among the arguments, and wrong argnums take the slow path, with eager's results."""
    function = grad(vmap(lambda x: x**3, reduce="sum"))
    compiled = jit(function)
    assert [] == compiled([])
    assert [12.0, 27.0] == compiled([2.0, 3.0])
    twice = jit(grad(vmap(lambda w, x: x**3 * w, in_axes=(None, 0), reduce="sum"), 1))
    (result,) = twice(2.0, [Value(3.0)])
    assert 54.0 == result.data
    with pytest.raises(ValueError, match="names argument 3"):
        jit(grad(vmap(lambda x: x, reduce="sum"), 3))([1.0])
    with pytest.raises(ValueError, match="twice"):
        jit(grad(vmap(lambda x: x, reduce="sum"), (0, -1)))([1.0])


def test_threads() -> None:
    """Parts of the rows in several threads."""
    function = value_and_grad(vmap(lambda x, y: am.log(x) * y, reduce="mean"), (0, 1))
    x, y = np.linspace(1.0, 2.0, 1001), np.linspace(-1.0, 1.0, 1001)
    same(jit(function)(x, y), jit(function, threads=3)(x, y))


def recurrence(v: Any, x: Any) -> Any:
    """A row that scans shared parameters."""
    return scan(lambda c, w: (am.tanh(c * w + x[0]), None), x[1] if x[0] > 0.0 else 0.1, v)[0]


def layer(w: Any, x: Any) -> Any:
    """A row that maps over shared parameters, which are so many that the map is a loop."""
    return vmap(lambda unit: am.tanh(unit[0] * x[0] + unit[1] * x[1]), reduce="sum")(w)


@pytest.mark.parametrize("row", [recurrence, layer])
@pytest.mark.parametrize("argnums", [0, (0, 1)])
def test_steps_that_add_to_one_array(row: Any, argnums: Any) -> None:
    """Gradients by what loops inside the rows read: all rows add to one array, for any number of rows."""
    draw = np.random.default_rng(5)
    shared = draw.normal(size=40) if row is recurrence else draw.normal(size=(40, 2))
    function = value_and_grad(vmap(row, in_axes=(None, 0), reduce="mean"), argnums)
    compiled = jit(function)
    for count in (1, 5, 9, 5):
        x = draw.normal(size=(count, 2))
        same(function(shared, x), compiled(shared, x))
    assert 1 == len(compiled.paths())  # by branches that stay guards, not by the number of rows


def test_what_rows_cannot_do_is_compiled_once() -> None:
    """The slow path keeps its machine code: later calls capture nothing again."""
    runs: list[int] = []

    def row(v: Any, x: Any) -> Any:
        runs.append(1)
        return scan(lambda c, w: (c * w + x, None), 0.0, v)[0]

    compiled = jit(grad(vmap(row, in_axes=(None, 0), reduce="sum")))
    xs, v = [1.0, 2.0, 3.0, 4.0], [0.5] * 6
    expected = compiled(v, xs)
    before = len(runs)
    assert expected == compiled(v, xs)
    assert before == len(runs)
