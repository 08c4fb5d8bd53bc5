"""Several threads call a compiled function: each specialization is compiled once, and every result is right."""

from __future__ import annotations

import math
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import TooManyPathsError, Value, grad, jit, value_and_grad, vmap


def together(count: int, work: Callable[[int], Any]) -> list[Any]:
    """The results of `work`, or the exceptions that it raises, in this many threads that start at the same moment."""
    barrier = threading.Barrier(count)
    found: list[Any] = [None] * count

    def run(number: int) -> None:
        barrier.wait(60)
        try:
            found[number] = work(number)
        except Exception as error:
            found[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    return found


def slow(x: Any) -> Any:
    """A function whose capture takes long enough for others to arrive."""
    for _ in range(300):
        x = am.sin(x) * 1.5
    return x


def turn(x: Any) -> Any:
    """A function with a branch for each whole number from 0 to 45."""
    before = set()
    for k in range(45):
        if x < k + 0.5:
            return x * (k + 2.0)
        before.add(k)  # so each comparison is a guard
    return x * 47.0


@pytest.mark.parametrize("options", [{}, {"max_paths": 1}])
def test_first_call(options: dict[str, Any]) -> None:
    """Eight threads at the first call share one specialization, and none gets the error that there are too many."""
    f = jit(slow, **options)
    assert [slow(0.25)] * 8 == pytest.approx(together(8, lambda _: f(0.25)), rel=1e-12)
    assert 1 == len(f.paths())


def test_many_branches() -> None:
    """46 branches taken by 32 threads at once make 46 specializations, and every result is right."""
    f = jit(turn)

    def work(number: int) -> list[float]:
        return [f(float((number + k) % 46)) for k in range(46)]

    for number, found in enumerate(together(32, work)):
        assert [turn(float((number + k) % 46)) for k in range(46)] == found
    assert 46 == len(f.paths())


def test_as_many_paths_as_are_allowed() -> None:
    """The specialization above the limit is refused in any thread, and the others continue."""
    f = jit(lambda x: x if x < 0.0 else x * 2.0 if x < 1.0 else x * 3.0, max_paths=2)
    found = together(12, lambda number: f((-1.0, 0.5, 2.0)[number % 3]))
    assert all(isinstance(y, TooManyPathsError) or y == (-1.0, 1.0, 6.0)[number % 3] for number, y in enumerate(found))
    assert 4 == sum(isinstance(y, TooManyPathsError) for y in found)
    assert 2 == len(f.paths())


@pytest.mark.parametrize("reduce", [None, "sum"])
def test_batches(reduce: Any) -> None:
    """A map over rows is captured once by all threads."""
    f = jit(vmap(slow, reduce=reduce), max_paths=1)
    rows = np.linspace(-1.0, 1.0, 19)
    expected = vmap(slow, reduce=reduce)(rows)
    for found in together(8, lambda _: f(rows)):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    assert 1 == len(f.paths())


def test_batches_that_branch() -> None:
    """Rows that take several branches; each thread begins with another row."""
    f = jit(vmap(turn))
    rows = np.arange(46.0)
    expected = [turn(x) for x in rows]
    for number, found in enumerate(together(8, lambda number: f(np.roll(rows, number)))):
        np.testing.assert_array_equal(found, np.roll(expected, number))
    assert 46 == len(f.paths())


@pytest.mark.parametrize("options", [{}, {"max_paths": 1}])
def test_gradients(options: dict[str, Any]) -> None:
    """A compiled gradient, and one over rows."""
    f = jit(value_and_grad(slow), **options)
    assert [pytest.approx(value_and_grad(slow)(0.25), rel=1e-9)] * 8 == together(8, lambda _: f(0.25))
    assert 1 == len(f.paths())
    over_rows = jit(grad(vmap(lambda w, x: slow(w * x), in_axes=(None, 0), reduce="mean")), **options)
    rows = np.linspace(0.1, 0.9, 11)
    expected = grad(vmap(lambda w, x: slow(w * x), in_axes=(None, 0), reduce="mean"))(0.5, rows)
    assert [pytest.approx(expected, rel=1e-6)] * 8 == together(8, lambda _: over_rows(0.5, rows))
    assert 1 == len(over_rows.paths())


@pytest.mark.parametrize("options", [{}, {"max_paths": 1}])
def test_nodes(options: dict[str, Any]) -> None:
    """Results that are nodes, with their derivatives by arguments and by a Value from outside."""
    w = Value(0.25)
    f = jit(lambda x: slow(x * w), **options)

    def work(number: int) -> tuple[float, float, float]:
        if number % 2:
            y = f(2.0)
            return y.data, 0.0, y.local_grads[-1]
        x = Value(2.0)
        y = f(x)
        y.backward()
        return y.data, x.grad, y.local_grads[-1]

    x, outside = Value(2.0), Value(0.25)
    y = slow(x * outside)
    y.backward()
    for number, found in enumerate(together(8, work)):
        assert pytest.approx((y.data, 0.0 if number % 2 else x.grad, outside.grad), rel=1e-9) == found


def test_exceptions() -> None:
    """Captures that raise do not affect the others."""
    calls = threading.local()

    def f(x: Any) -> Any:
        if getattr(calls, "fails", False):
            raise ZeroDivisionError("on purpose")
        return slow(x)

    compiled, rows = jit(f, max_paths=1), jit(vmap(f), max_paths=1)

    def work(number: int) -> Any:
        calls.fails = number % 2
        return compiled(0.25) if number % 4 < 2 else rows(np.array([0.25]))[0]

    found = together(12, work)
    right = [y for y in found if not isinstance(y, ZeroDivisionError)]
    assert pytest.approx([slow(0.25)] * len(right), rel=1e-9) == right
    assert 6 <= len(right)
    assert 1 == len(compiled.paths()) == len(rows.paths())


def test_values_that_another_thread_assigns() -> None:
    """A result computed while a Value from outside changes belongs to one of its numbers."""
    w = Value(1.0)
    f, g = jit(lambda x: x * w + w), jit(value_and_grad(lambda x: x * w.data))
    stop = threading.Event()

    def work(number: int) -> bool:
        if number == 0:
            while not stop.is_set():
                w.data = 3.0 - w.data
            return True
        try:
            return all(f(1.0).data in (2.0, 4.0) and g(3.0) in ((3.0, 1.0), (6.0, 2.0)) for _ in range(3000))
        finally:
            stop.set()

    assert [True] * 4 == together(4, work)


def test_looking_inside_meanwhile() -> None:
    """`paths`, `stats` and `program` may be called while other threads compile."""
    f = jit(turn)
    f(0.0)

    def work(number: int) -> Any:
        if number < 2:
            return [f(float(k)) for k in range(46)] + [f(k) for k in range(46)]
        return [math.isfinite(f.stats()["compile_seconds"]) and bool(f.program()) for _ in range(20)]

    found = together(4, work)
    assert [[turn(float(k)) for k in range(46)] * 2] * 2 == found[:2]
    assert [[True] * 20] * 2 == found[2:]


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_are_not_copied(threads: int) -> None:
    """A call that traces nothing takes no memory for rows, however they lie, and the parts are those of the whole."""
    rows = np.random.default_rng(0).normal(size=(100_000, 4))
    fast = jit(vmap(lambda x: am.sum([z * z for z in x]), reduce="sum"), threads=threads)
    columns = jit(vmap(lambda x: am.sum([z * z for z in x]), in_axes=1, reduce="sum"), threads=threads)
    turned = np.asfortranarray(rows)
    for call in (lambda: fast(rows), lambda: fast(turned), lambda: fast(rows[::2]), lambda: columns(turned.T)):
        call()
        tracemalloc.start()
        found = call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < rows.nbytes / 40
        assert found == pytest.approx(np.sum(rows[::2] ** 2) if found < 3e5 else np.sum(rows**2), rel=1e-10)
