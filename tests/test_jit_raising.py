"""Primitives written in Python raise for rows of their own branch, not for rows that take another."""

import math
import threading
from typing import Any

import numpy as np
import pytest

from autograd import custom_gradient, grad, jit, value_and_grad, vmap


@custom_gradient(lambda x, y: 0.5 / y)
def strict_sqrt(x: float) -> float:
    """The square root; it raises for negative numbers."""
    return math.sqrt(x)


def branching(x: Any) -> Any:
    """The root of x, or -x if x is negative."""
    return strict_sqrt(x) if x >= 0 else -x


ROWS = {
    "both": [4.0, -1.0, 9.0, -2.0, -3.0],
    "negative first": [-4.0, 1.0, -9.0, 16.0],
    "negative last": [1.0] * 8 + [-1.0],
    "negative only": [-1.0, -2.0, -3.0],
    "many": np.random.default_rng(0).normal(size=1000).tolist(),
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("threads", [1, 2])
def test_rows_of_another_path(rows: list[float], threads: int) -> None:
    """Lanes of another branch call the primitive with numbers that it refuses; this raises nothing."""
    x = np.array(rows)
    expected = [branching(v) for v in rows]
    mapped = jit(vmap(branching), threads=threads)
    assert expected == mapped(x).tolist() == mapped(x[::-1]).tolist()[::-1]
    total = jit(vmap(branching, reduce="sum"), threads=threads)
    assert sum(expected) == pytest.approx(total(x), rel=1e-12)
    slopes = jit(vmap(grad(branching)), threads=threads)(x)
    assert [grad(branching)(v) for v in rows] == pytest.approx(slopes.tolist(), rel=1e-12)


@pytest.mark.parametrize("threads", [1, 2])
def test_shared_by_rows(threads: int) -> None:
    """The gradient of a sum by arguments that the rows share."""
    x = np.random.default_rng(1).normal(size=300)
    loss = vmap(lambda w, x: w * strict_sqrt(x) if x >= 0 else w * w * x, in_axes=(None, 0), reduce="mean")
    (value, slope), (expected, expected_slope) = (
        f(0.5, x) for f in (jit(value_and_grad(loss), threads=threads), value_and_grad(loss))
    )
    assert (pytest.approx(expected, rel=1e-12), pytest.approx(expected_slope, rel=1e-12)) == (value, slope)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_of_the_path_raises(threads: int) -> None:
    """A row that needs the primitive raises its error, with or without rows of another branch."""

    def function(x: Any) -> Any:
        return strict_sqrt(x - 1.0) if x >= 0 else -x

    mapped = jit(vmap(function), threads=threads)
    good = np.array([2.0, 5.0, -1.0] * 50)
    expected = mapped(good).tolist()
    for bad in ([2.0, 0.5, -1.0] * 50, [0.5] * 10, [-1.0] * 100 + [0.5], [0.5] + [-1.0] * 100):
        with pytest.raises(ValueError, match="math domain error"):
            mapped(np.array(bad))
        assert expected == mapped(good).tolist()


def test_inside_a_program() -> None:
    """A map inside a program, whose rows branch."""

    def function(w: Any, x: Any) -> Any:
        return w * vmap(branching, reduce="sum")(x)

    compiled = jit(value_and_grad(function))
    for x in ([4.0, -1.0, 9.0, -2.0], [-4.0, -1.0, -9.0, -2.0], [1.0, 1.0, 1.0, 1.0]):
        assert value_and_grad(function)(2.0, x) == pytest.approx(compiled(2.0, x))


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_interrupts_are_never_lost(kind: type[BaseException]) -> None:
    """An interrupt is raised whichever row it came in."""
    interrupting = threading.Event()  # not watched: a change would be another state of the function

    def value(x: float) -> float:
        if interrupting.is_set() and x < 0.0:
            raise kind
        return x

    primitive = custom_gradient(lambda x, y: 1.0)(value)
    row = lambda x: primitive(x) if x >= 0 else -x  # noqa: E731  # the branch is what is tested
    one, many = jit(row), jit(vmap(row))
    assert [1.0, 2.0] == many(np.array([1.0, -2.0])).tolist() == [one(1.0), 2.0]
    interrupting.set()
    with pytest.raises(kind):
        many(np.array([-2.0, 1.0]))  # the rows begin with the paths that they took last
    with pytest.raises(kind):
        one(-2.0)
