"""The matrix of adopted packages: values of the plain package, gradients by finite differences, compiled as eager."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from adopted_packages import CASES, Case, orbit_of, verification_satellites

from autograd import Value, adopt, grad, jacobian, jit, value_and_grad, vmap
from autograd.testing import finite_difference

CHECKED = 4  # rows of a batch whose derivatives are compared with eager ones


def parameters() -> list[Any]:
    """One for each case; those that take long are marked."""
    marks = [[pytest.mark.slow] if case.slow else [] for case in CASES]
    return [pytest.param(case, id=str(case), marks=mark) for case, mark in zip(CASES, marks)]


def assert_close(expected: Any, found: Any, rtol: float) -> None:
    """Close, relative to the largest of each row: a coordinate may be 0 by chance."""
    expected, found = np.asarray(expected), np.asarray(found)
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def along(case: Case, plain: Any, point: list[float], i: int, k: int) -> Callable[[float], float]:
    """Number k of the result of the plain package, as a function of argument i."""

    def function(x: float) -> float:
        try:
            return case.call(plain, *point[:i], x, *point[i + 1 :])[k]
        except TypeError as refused:  # of complex numbers, outside the domain
            raise ValueError(refused) from refused

    return function


@pytest.mark.slow
@pytest.mark.parametrize("case", parameters())
def test_adopted(case: Case) -> None:
    """One row and many: value, gradient and machine code."""
    pytest.importorskip(case.module.partition(".")[0])
    plain, own = case.plain(), case.adopted()
    rows = case.points(case.rows)
    values = [list(case.call(plain, *row)) for row in rows.tolist()]

    point, value = rows[0].tolist(), values[0]
    assert list(case.call(own, *point)) == value
    found = [y.data for y in case.call(own, *map(Value, point))]
    if case.exact:
        assert found == value
    else:
        assert_close(value, found, 1e-12)

    def f(row: Any) -> list[Any]:
        return list(case.call(own, *row))

    gradient = np.array(jacobian(f)(rows[0]))
    for k in range(len(value)):
        for i, x in enumerate(point):
            numeric, error, _ = finite_difference(along(case, plain, point, i, k), x)
            assert gradient[k][i] == pytest.approx(numeric, rel=1e-6, abs=3 * error + 1e-13 * abs(value[k])), (k, i)

    both = jit(lambda row: (f(row), jacobian(f)(row)))
    compiled = both(rows[0])
    assert_close(value, compiled[0], 1e-13)
    assert_close(gradient, compiled[1], 1e-11)

    batch = jit(vmap(lambda row: (f(row), jacobian(f)(row))), max_paths=200, quiet=True)
    numbers, gradients = batch(rows)
    assert_close(np.array(values), np.array(numbers).T, 1e-12)
    for k in range(0, len(rows), max(1, len(rows) // CHECKED)):
        assert_close(jacobian(f)(rows[k]), [each[k] for each in gradients], 1e-10)


def test_all_verification_satellites() -> None:
    """sgp4's 33, deep space and resonances included: values bit for bit, gradients by finite differences."""
    pytest.importorskip("sgp4")
    import sgp4.model as plain

    own = adopt("sgp4.model")
    times = (0.0, 360.0, 1440.0, -720.0)
    satellites = verification_satellites()
    assert len(satellites) == 33
    for number, elements in enumerate(satellites):
        for t in times:
            expected = orbit_of(plain, t, elements)
            found = orbit_of(own, Value(t), list(map(Value, elements)))
            numbers = [y.data if isinstance(y, Value) else y for y in found]
            assert all((math.isnan(x) and math.isnan(y)) or x == y for x, y in zip(expected, numbers)), (number, t)
        t = times[number % len(times)]
        if any(map(math.isnan, orbit_of(plain, t, elements))):
            continue
        k, i = number % 6, (1, 4, 5, 6, 7, 9)[number % 6]  # an output, and an element that matters
        exact = grad(partial(coordinate, own, t, elements, i, k))(elements[i])
        slope, error, _ = finite_difference(partial(coordinate, plain, t, elements, i, k), elements[i])
        assert exact == pytest.approx(slope, rel=1e-5, abs=20 * error), (number, t)


@pytest.mark.slow
def test_all_verification_satellites_at_once() -> None:
    """As one batch they take few paths: near, deep, with resonance, and each row whose message has a number in it."""
    pytest.importorskip("sgp4")
    own = adopt("sgp4.model")
    satellites = verification_satellites()
    rows = [[t, *elements] for elements in satellites for t in (0.0, 360.0, 1440.0, -720.0)]
    rows = [row for row in rows if not any(map(math.isnan, orbit_of(own, row[0], row[1:])))]
    assert len(rows) > 120

    def weighted(row: Any) -> Any:
        return sum(k * y for k, y in enumerate(orbit_of(own, row[0], list(row[1:])), 1))

    batch = jit(vmap(value_and_grad(weighted)), quiet=True)
    values, gradients = batch(np.array(rows))
    assert batch.stats()["paths"] <= 8
    np.testing.assert_allclose(values, list(map(weighted, rows)), rtol=1e-12)
    for k in range(0, len(rows), 9):
        assert_close(grad(weighted)(np.array(rows[k])), gradients[k], 1e-12)


def coordinate(m: Any, t: float, elements: list[float], i: int, k: int, x: Any) -> Any:
    """Number k of the state of a satellite, as a function of element i."""
    return orbit_of(m, t, [*elements[:i], x, *elements[i + 1 :]])[k]
