"""Comparisons come out as in eager code; where machine code cannot do that, the results are still the eager ones."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import TooManyPathsError, Value, jit, value_and_grad, vmap
from autograd.compiler.lower.module import Machine
from autograd.compiler.machine import llvm


def roots(a: Any, b: Any, c: Any) -> Any:
    """The real roots of a quadratic, none, one or two."""
    d = b * b - 4 * a * c
    if d < 0.0:
        return ()
    if d == 0.0:
        return (-b / (2 * a),)
    return (-b - am.sqrt(d)) / (2 * a), (-b + am.sqrt(d)) / (2 * a)


def test_quadratics() -> None:
    """A discriminant that is 0 in plain arithmetic is 0 in machine code: one specialization per number of roots."""
    compiled = jit(roots)
    for abc in [(0.1, 0.2, 0.1), (0.7, 1.4, 0.7), (0.3, 0.6, 0.3), (1.0, 3.0, 1.0), (1.0, 1.0, 1.0), (0.1, 0.2, 0.1)]:
        assert roots(*abc) == compiled(*abc)
    assert 3 == compiled.stats()["paths"]


def solve(m: Any, b: Any) -> Any:
    """The first unknown of two linear equations; 0 if they have no unique solution."""
    d = m[0] * m[3] - m[1] * m[2]
    return (b[0] * m[3] - b[1] * m[1]) / d if d != 0.0 else 0.0


def test_singular_systems_in_a_batch() -> None:
    """The determinant of proportional rows is 0 in every lane."""
    random = np.random.default_rng(0)
    rows = random.uniform(-1.0, 1.0, size=(100, 2))
    singular = np.concatenate([rows, 3.0 * rows[:, ::-1]], axis=1)[:, [0, 1, 3, 2]]
    right = random.normal(size=(100, 2))
    expected = [solve(m, b) for m, b in zip(singular.tolist(), right.tolist(), strict=True)]
    assert expected == jit(vmap(solve))(singular, right).tolist()
    assert 50 < expected.count(0.0)


@pytest.mark.parametrize("lanes", [False, True])
def test_differences_of_equal_squares(lanes: bool) -> None:
    """√(x² - y²) at x = y is 0, not the root of the difference of two roundings."""

    def leg(x: Any, y: Any) -> Any:
        return am.sqrt(x * x - y * y)

    x = [k / 100.0 for k in range(1, 100)]
    compiled = jit(vmap(leg)) if lanes else jit(leg)
    actual = compiled(np.array(x), np.array(x)).tolist() if lanes else [compiled(a, a) for a in x]
    assert [0.0] * 99 == actual


@pytest.mark.parametrize("count", [2, 3, 8, 11, 16])
def test_deviation_of_equal_numbers(count: int) -> None:
    """The standard deviation has eager's bits, and a nan only where eager code has one."""

    def deviation(x: Any) -> Any:
        mean = sum(x) / float(len(x))
        return am.sqrt(sum(v * v for v in x) / float(len(x)) - mean * mean)

    compiled = jit(deviation)
    for k in range(1, 60):
        x = [k / 7.0] * count
        expected = deviation(list(map(Value, x))).data  # from Python 3.12 on, its `sum` of floats is another one
        assert repr(expected) == repr(compiled(x))


# ---- machine code whose last digit differs -------------------------------------------------------------------------


def is_cube(x: Any, y: Any) -> Any:
    """1 if y is the cube as the system's `pow` computes it, else 0, by two branches."""
    return x * 0.0 + 1.0 if x**3 == y else x * 0.0


ONE_MORE = [x for x in np.random.default_rng(0).uniform(1.0, 2.0, 200).tolist() if x**3 != x * x * x]


def test_other_last_digit_in_a_call() -> None:
    """A power is a product in machine code, which flips a comparison: eager code's branch is still taken."""
    compiled = jit(is_cube, max_paths=1)
    assert 10 < len(ONE_MORE)
    for x in ONE_MORE:
        assert 1.0 == is_cube(x, x**3) == compiled(x, x**3)
    assert 2 == compiled.stats()["paths"]


def test_other_last_digit_in_rows() -> None:
    """The same in a batch, with the sum over rows of both branches and with its gradient."""
    x = np.array(ONE_MORE * 3)
    cubes = np.array([v**3 for v in x.tolist()])
    assert [1.0] * len(x) == jit(vmap(is_cube), max_paths=1)(x, cubes).tolist()

    def weighted(w: Any, x: Any, y: Any) -> Any:
        return w * x if x**3 == y else w * 0.5

    total = vmap(weighted, in_axes=(None, 0, 0), reduce="sum")
    value, slope = jit(value_and_grad(total), max_paths=1)(2.0, x, cubes)
    assert (pytest.approx(2.0 * x.sum(), rel=1e-14), pytest.approx(x.sum(), rel=1e-14)) == (value, slope)


@pytest.fixture
def wrong_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine on which exp is expm1, with `accurate` too."""
    monkeypatch.setenv("AUTOGRAD_CACHE", "off")
    whole = llvm._address(llvm._libm().expm1)
    llvm._add_library_symbols()
    llvm.binding.add_symbol("autograd_libm.exp", whole)
    monkeypatch.setattr(llvm, "machine", lambda *options: Machine(llvm.lanes(), {}))
    yield
    llvm.binding.add_symbol("autograd_libm.exp", llvm._address(llvm._libm().exp))


def two_branches(w: Any, x: Any, one: Any, other: Any) -> Any:
    """One of two functions, by a comparison that is right; an earlier comparison is wrong on the wrong machine."""
    assert am.exp(x[0]) > 0.5
    return one(w, x) if x[1] > 0.0 else other(w, x)


def test_never_the_right_branch(wrong_machine: None) -> None:
    """If no machine code agrees with eager code, the captured program is evaluated; this adds no specializations."""

    def function(x: Any) -> Any:
        return two_branches(3.0, x, lambda w, x: (w * x[0], x[1]), lambda w, x: [x[0] / w])

    compiled = jit(function, max_paths=2)
    for a, b in [(0.1, 1.0), (0.2, 2.0), (0.3, -1.0), (0.2, -2.0), (0.15, 1.0)]:
        assert function([a, b]) == compiled([a, b])
    assert 4 == compiled.stats()["paths"]


def test_never_the_right_branch_settles(wrong_machine: None) -> None:
    """Later calls of the kind that no machine code gets right capture nothing."""
    captured = []

    def function(x: Any) -> Any:
        captured.append(1)
        return two_branches(3.0, x, lambda w, x: w * x[0], lambda w, x: x[0] / w)

    compiled = jit(function, max_paths=2)
    for a, b in [(0.1, 1.0), (0.3, -1.0), (0.12, 2.0), (0.2, -2.0)]:
        assert function([a, b]) == compiled([a, b])
    captured.clear()
    for a, b in [(0.15, 1.0), (0.25, -3.0), (0.22, 7.0)]:
        found = compiled([a, b])
        assert [] == captured
        assert found == (3.0 * a if b > 0.0 else a / 3.0)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_never_the_right_branch_in_rows(wrong_machine: None, threads: int) -> None:
    """The same for rows: in arrays, of a sum, and of its gradient."""

    def row(w: Any, x: Any) -> Any:
        return two_branches(w, x, lambda w, x: {"a": w * x[0], "b": x}, lambda w, x: {"a": x[0], "b": x * w})

    x = np.random.default_rng(0).uniform(0.0, 0.4, size=(150, 2)) - [0.0, 0.2]
    actual = jit(vmap(row, in_axes=(None, 0)), max_paths=2, threads=threads)(0.5, x)
    expected = vmap(row, in_axes=(None, 0))(0.5, x)
    assert all(np.array_equal(expected[name], actual[name]) for name in ("a", "b"))

    def weighted(w: Any, x: Any) -> Any:
        return two_branches(w, x, lambda w, x: w * w * x[0], lambda w, x: w * x[1])

    total = vmap(weighted, in_axes=(None, 0), reduce="mean")
    value, slope = jit(value_and_grad(total), max_paths=2, threads=threads)(0.5, x)
    expected_value, expected_slope = value_and_grad(total)(0.5, x)
    assert (pytest.approx(expected_value, rel=1e-12), pytest.approx(expected_slope, rel=1e-12)) == (value, slope)


def test_some_rows_are_never_on_the_right_branch(wrong_machine: None) -> None:
    """Rows that are evaluated, beside others that machine code computes, are evaluated at the next call too."""

    def row(x: Any) -> Any:
        return two_branches(0.5, x, lambda w, x: w * x[0], lambda w, x: x[0])

    x = np.random.default_rng(0).uniform(0.0, 1.0, size=(60, 2)) - [0.0, 0.2]
    compiled, expected = jit(vmap(row), max_paths=2), vmap(row)(x)
    for _ in range(3):
        np.full(60, 7.5)  # what memory holds that nobody writes to
        assert np.array_equal(expected, compiled(x))


def test_too_many_paths_are_still_too_many() -> None:
    """Specializations that do differ count, however they were compiled."""
    compiled = jit(lambda x: x * 2.0 if x > 1.0 else x * 3.0 if x > 0.0 else x, max_paths=2)
    assert [compiled(2.0), compiled(0.5)] == [4.0, 1.5]
    with pytest.raises(TooManyPathsError, match="more than 2 paths"):
        compiled(-1.0)


def test_values_closed_over() -> None:
    """Nodes of a graph are also those of the branch that eager code takes."""
    w = Value(0.0)

    def function(x: Any, y: Any) -> Any:
        return w * x if x**3 == y else w * 7.0

    compiled = jit(function)
    for x in ONE_MORE[:5]:
        w.grad = 0.0
        compiled(x, x**3).backward()
        assert x == w.grad


def test_results_do_not_depend_on_what_was_called_before() -> None:
    """Code that was compiled again for a few inputs does not run for others, whose last digits differ."""

    def cube(x: Any, y: Any) -> Any:
        return x**3 if x**3 != y else 0.0

    compiled = jit(cube)
    for x in ONE_MORE:
        assert x**3 == compiled(x, x * x * x)
        assert x * x * x == compiled(x, 0.0)


def test_rows_that_go_straight_to_their_paths() -> None:
    """The next call of as many rows begins with the paths of the last one, whichever they take now."""

    def f(x: Any) -> Any:
        parts = {"square": x * x}
        if x > 2.0:
            parts.setdefault("high", 3.0 * x)
        if x < -1.0:
            parts.setdefault("low", am.exp(x))
        return sum(parts.values())

    compiled = jit(vmap(value_and_grad(f)))
    random = np.random.default_rng(1)
    kept = []
    for call, count in enumerate([40, 40, 40, 17, 17, 40, 8, 40, 40]):
        rows = random.uniform(-4.0, 4.0, count)
        if call == 5:
            rows = np.full(count, 3.0)
        given = rows[:, None][:, 0] if call % 2 else np.repeat(rows, 2)[::2]
        values, slopes = compiled(given)
        kept.append((rows, values, slopes))
    for rows, values, slopes in kept:  # no result shares memory with another
        expected = [value_and_grad(f)(x) for x in rows.tolist()]
        np.testing.assert_allclose(np.stack([values, slopes], 1), expected, rtol=1e-14)
    assert compiled.stats()["paths"] == 3


def test_paths_of_rows_from_many_threads() -> None:
    """Threads that call one batch at the same time do not share the memory of its paths."""

    def f(x: Any) -> Any:
        parts = {"square": x * x}
        if x > 2.0:
            parts.setdefault("high", 3.0 * x)
        return sum(parts.values())

    compiled = jit(vmap(f))
    rows = np.linspace(-4.0, 4.0, 50)
    compiled(rows)

    def work(seed: int) -> bool:
        random = np.random.default_rng(seed)
        for _ in range(200):
            given = random.permutation(rows)
            if compiled(given).tolist() != [f(x) for x in given.tolist()]:
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
