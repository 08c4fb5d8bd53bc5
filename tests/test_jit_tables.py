"""Tables read at ints of the program: one program for all rows, and the elements and errors of plain Python."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from agreement import agree

from autograd import Value, adopt, grad, jit, vmap

XS = [0.0, 0.5, 1.0, 2.0, 3.0, 5.0]
YS = [1.0, 2.0, 1.5, 0.5, 0.75, 3.0]
PAIRS = [(0, 0.125), (10, 0.25), (40, 0.5), (80, 0.75)]
GRID = [[float(i * j + i) for j in range(4)] for i in range(3)]
ROWS = np.array([0.25, 0.75, 1.5, 2.25, 4.0, 0.0, 0.5, 4.75])


def _interpolated(x: Any) -> Any:
    i = max(0, min(bisect.bisect_right(XS, x) - 1, len(XS) - 2))
    t = (x - XS[i]) / (XS[i + 1] - XS[i])
    return YS[i] + t * (YS[i + 1] - YS[i])


def _found_by_a_loop(x: Any) -> Any:
    for i in range(len(XS) - 1):
        if XS[i] <= x < XS[i + 1]:
            return YS[i] + (x - XS[i]) / (XS[i + 1] - XS[i]) * (YS[i + 1] - YS[i])
    return YS[-1]


def _from_the_end(x: Any) -> Any:
    return x * YS[-1 - int(x)] + YS[int(x) - 3]


def _row_of_pairs(x: Any) -> Any:
    low, rate = PAIRS[int(x) % 4]
    return x * rate + low


def _of_a_grid(x: Any) -> Any:
    i, j = int(x) % 3, int(2.0 * x) % 4
    return x * GRID[i][j] + GRID[i][1] + GRID[2][j] + GRID[-1][-1]


def _of_numbers_of_the_program(x: Any) -> Any:
    made = [x * x, x + 1.0, 3.0, -x, 2.0 * x]
    return x * made[int(x)] + made[int(x) - 2]


def _ints_of_ints(x: Any) -> Any:
    following, state = (3, 0, 4, 1, 2), int(x)
    for _ in range(4):
        state = following[state]
    return x * state + [10, 20, 30, 40, 50][state] // 7


def _left(x: Any) -> Any:
    return x * bisect.bisect_left(YS, x) + bisect.bisect([x, 2.0 * x, 9.0], 3.0)


FUNCTIONS = [
    _interpolated, _found_by_a_loop, _from_the_end, _row_of_pairs, _of_a_grid, _of_numbers_of_the_program,
    _ints_of_ints, _left,
]  # fmt: skip  # a list


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_one_program_for_all_places(function: Callable[[Any], Any]) -> None:
    """In rows, an element at a computed place is a number of the program, and so is a place found by `bisect`."""
    agree(adopt(function), ROWS, plain=function)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_single_calls_take_few_paths(function: Callable[[Any], Any]) -> None:
    """In single calls an int is a guard until there are four paths; the next program serves all others."""
    compiled = jit(adopt(function), quiet=True)
    places = [0.25 + 0.5 * k for k in range(9)] * 2
    assert [function(x) for x in places] == [compiled(x) for x in places]
    assert compiled.stats()["paths"] <= 5


def test_every_place_of_bisect() -> None:
    """The place is Python's for tables of all lengths, in order or not, with repeats and nan."""
    for length in range(1, 12):
        for table in (
            [float(k // 2) for k in range(length)],
            [float(k * 7 % 5) for k in range(length)],
            [math.nan if k == length // 2 else float(k) for k in range(length)],
        ):
            rows = [-1.0, 0.0, 0.5, 1.0, 2.5, 3.0, 4.0, 5.0, 20.0, math.inf, math.nan]
            for search in (bisect.bisect_left, bisect.bisect_right):
                function = adopt(lambda x, search=search, table=table: 0.0 * 1.0 + search(table, x))
                found = jit(vmap(function), quiet=True)(np.array(rows))
                assert [float(search(table, x)) for x in rows] == found.tolist()


def test_beyond_the_end() -> None:
    """An index outside raises Python's error, in the row whose index it is."""

    def f(x: Any) -> Any:
        return x * YS[int(x)]

    compiled = jit(vmap(adopt(f)))
    assert [f(x) for x in (0.5, 5.5)] == compiled(np.array([0.5, 5.5])).tolist()
    for outside in (6.0, 7.5, -8.0):
        with pytest.raises(IndexError):
            compiled(np.array([0.5, outside]))
    assert [f(-6.0)] == compiled(np.array([-6.0])).tolist()


def test_tables_that_steps_write() -> None:
    """A table that a loop writes has, at a computed place, what was written last."""

    def f(x: Any) -> Any:
        table, total = [0.0, x, 2.0 * x, 5.0], 0.0
        k = 0
        while total < 40.0 and k < 9:
            table[1] = table[1] + table[k % 4] * 0.5
            total = total + table[(k + 1) % 4]
            k = k + 1
        return total + table[1]

    rows = np.array([0.5, 1.0, 3.0, 8.0])
    np.testing.assert_allclose([f(x) for x in rows.tolist()], jit(vmap(f), quiet=True)(rows), rtol=1e-14)


def test_rows_that_are_written_to() -> None:
    """A row of lists at a computed place is the row itself, which code may write to."""

    def f(x: Any) -> Any:
        table = [[1.0, 2.0], [3.0, 4.0]]
        row = table[int(x) % 2]
        row[0] = x
        table[int(x) % 2][1] = 2.0 * x
        return table[0][0] + 10.0 * table[0][1] + 100.0 * table[1][0] + 1000.0 * table[1][1]

    rows = np.array([0.5, 1.0, 3.0, 8.0])
    np.testing.assert_array_equal([f(x) for x in rows.tolist()], jit(vmap(adopt(f)), quiet=True)(rows))


def test_derivatives_of_tables_from_outside() -> None:
    """The element that is taken has the derivative 1, also where the table's numbers are Values or arguments."""

    def f(table: Any, x: Any) -> Any:
        return table[int(x)] ** 2 * x

    own = adopt(f)
    table, rows = [1.0, 2.0, 3.0], np.array([0.5, 2.5, 1.5])
    expected = [grad(own, argnums=0)(table, x) for x in rows.tolist()]
    found = jit(vmap(grad(own, argnums=0), in_axes=(None, 0)), quiet=True)(table, rows)
    np.testing.assert_allclose(expected, np.transpose(found))
    closed = [Value(1.0), Value(2.0)]
    total = jit(vmap(adopt(lambda x: closed[int(x)] * x), reduce="sum"), quiet=True)(np.array([0.5, 1.5, 1.25]))
    total.backward()
    assert [0.5, 2.75] == [v.grad for v in closed]


LARGE = 2**60


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x if [LARGE, LARGE + 1, LARGE + 2][int(x) % 3] == LARGE + 1 else -x,
        lambda x: x * ([[LARGE, LARGE + 1], [LARGE + 2, LARGE + 3]][int(x) % 2][int(2.0 * x) % 2] - LARGE),
        lambda x: x * ([LARGE, LARGE + 1, 0.5][int(x) % 2] - LARGE),
        lambda x: x * (max(int(x), LARGE + 1) - min(LARGE, int(x) + LARGE)),
        lambda x: x * bisect.bisect_left([LARGE, LARGE + 1, LARGE + 2], LARGE + int(x)),
    ],
)
def test_ints_that_floats_do_not_hold(f: Callable[[Any], Any]) -> None:
    """Ints beyond 2**53 are exact in a table, too."""
    rows = [0.25, 1.25, 2.75, 0.75, 1.5, 3.0, 4.25, 5.0]
    compiled = jit(f, quiet=True)
    assert [f(x) for x in rows] == [compiled(x) for x in rows]
    np.testing.assert_array_equal([f(x) for x in rows], jit(vmap(f), quiet=True)(np.array(rows)))
