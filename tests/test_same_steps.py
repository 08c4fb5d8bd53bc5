"""Loops that take the same steps become one; what a step certainly leaves behind is never missing."""

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import grad, hessian, jacobian, jit, vmap, while_loop
from autograd.ir.evaluate import evaluate, flat
from autograd.ir.verify import verify


def kepler(m: Any, e: Any) -> Any:
    """The eccentric anomaly by Newton's method."""
    return while_loop(
        lambda c: abs(c[1]) >= 1e-12,
        lambda c: (c[0] - c[1], (c[0] - c[1] - e * am.sin(c[0] - c[1]) - m) / (1.0 - e * am.cos(c[0] - c[1]))),
        (m, 1e-3),
    )[0]


def place(x: list[Any]) -> list[Any]:
    """A place on an orbit: a first part that depends on few of the elements, then a loop, then what it gives."""
    a, e, m = x
    anomaly = kepler(am.fmod(m + a * a, 2.0 * math.pi), e)
    return [a * (am.cos(anomaly) - e), a * am.sqrt(1.0 - e * e) * am.sin(anomaly)]


X = [1.3, 0.2, 1.1]
WHOLE: dict[str, Callable[[Any], Any]] = {
    "twice": lambda x: [place(x), place(list(x))],
    "jacobian": lambda x: (place(x), jacobian(place)(x)),
    "forward": lambda x: (place(x), jacobian(place, mode="fwd")(x)),
    "reverse": lambda x: (place(x), jacobian(place, mode="rev")(x)),
    "hessian": lambda x: hessian(lambda x: sum(place(x)))(x),
}


def loops_of(compiled: Any) -> int:
    """How many loops with a test the program has."""
    return sum(line.lstrip().startswith("while ") for line in compiled.program().splitlines())


@pytest.mark.parametrize("name", WHOLE)
def test_a_loop_and_its_derivatives_are_one(name: str) -> None:
    """However often a loop and its tangents are captured, one loop is left, with the eager results."""
    compiled = jit(WHOLE[name])
    for x in (X, [0.7, 0.6, 2.5]):
        expected, found = (np.concatenate([np.ravel(part) for part in f(x)]) for f in (WHOLE[name], compiled))
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)
    assert 1 == loops_of(compiled)
    (path,) = compiled.paths()
    outputs, failed = evaluate(verify(path.program), [X])
    assert -1 == failed
    np.testing.assert_allclose(flat(outputs), np.concatenate([np.ravel(part) for part in compiled(X)]), rtol=1e-11)


def test_loops_with_other_steps_stay() -> None:
    """Other starts, other tests, or a loop that needs the other's result are loops of their own."""
    compiled = jit(lambda x, y: [kepler(x, 0.3), kepler(y, 0.3), kepler(kepler(x, 0.3), 0.3), kepler(x, 0.4)])
    found = compiled(1.0, 2.0)
    expected = [kepler(1.0, 0.3), kepler(2.0, 0.3), kepler(kepler(1.0, 0.3), 0.3), kepler(1.0, 0.4)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert 4 == loops_of(compiled)


def test_where_no_step_is_taken_nothing_is_sent() -> None:
    """Where there is no step, what one would leave is missing: it does not meet an infinite derivative."""

    def root_after(n: Any, x: Any) -> Any:
        counted = while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1.0, c[1] + x), (0.0, 0.0))[1]
        return am.sqrt(counted) + x

    for n in (0.0, 1.0, 3.0):
        expected = jacobian(root_after, 1, mode="fwd")(n, 2.0)
        assert grad(root_after, 1)(n, 2.0) == expected
        for mode in ("fwd", "rev"):
            assert jit(jacobian(root_after, 1, mode=mode))(n, 2.0) == pytest.approx(expected, rel=1e-14)


def test_a_jacobian_in_machine_code_takes_the_cheaper_mode() -> None:
    """As many outputs as inputs: what counts is how much lies between them."""

    def fans_in(x: Any) -> Any:
        start = [am.sin(y) for y in x]
        for _ in range(20):
            start = [am.cos(y) * y for y in start]  # for each input apart, up to here
        return [sum(start), *[k * start[0] for k in range(3)]]

    def fans_out(x: Any) -> Any:
        total = sum(x)
        ends = [k * total for k in range(4)]
        for _ in range(20):
            ends = [am.cos(y) * y for y in ends]
        return ends

    for function in (fans_in, fans_out):
        sizes = {}
        for mode in ("auto", "rev", "fwd"):
            compiled = jit(jacobian(function, mode=mode))
            np.testing.assert_allclose(
                compiled([0.1, 0.2, 0.3, 0.4]), jacobian(function)([0.1, 0.2, 0.3, 0.4]), rtol=1e-12
            )
            sizes[mode] = compiled.stats()["instructions"][0]["simplified"]
        assert sizes["auto"] == min(sizes.values())


def delayed(x: Any, n: Any) -> Any:
    """The root reaches the result from the second step on: a carry hands it on one step late."""
    root = am.sqrt(x)
    carry = while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1.0, c[2], 0.5 * c[2] + root), (0.0, 1.0, 2.0))
    return carry[1] + am.log(x + 1.0)


def at_first(x: Any, n: Any) -> Any:
    """The root is only there if no step is taken: each step forgets it."""
    carry = while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1.0, 3.0 * c[0], c[2] + x), (0.0, am.sqrt(x), 0.0))
    return carry[1] * 2.0 + carry[2] * carry[2]


def chosen(x: Any, n: Any) -> Any:
    """The root is taken in the step number 2 only."""
    root = am.sqrt(x)

    def step(c: Any) -> Any:
        return c[0] + 1.0, am.where(c[0] == 2.0, root * c[1], c[1] + x)

    return while_loop(lambda c: c[0] < n, step, (0.0, 1.0))[1]


def behind_a_branch(x: Any, n: Any) -> Any:
    """What the loop computes counts only where the number of steps is even."""
    counted = while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1.0, c[1] + am.sin(x) * c[1]), (0.0, am.sqrt(x)))[1]
    return am.where(n % 2.0 == 0.0, counted * counted + counted, x)


@pytest.mark.parametrize("function", [delayed, at_first, chosen, behind_a_branch])
def test_a_derivative_that_is_not_there_meets_no_infinite_one(function: Any) -> None:
    """Rows with 0 to 5 steps, at a root of 0 and elsewhere: derivatives of both modes and orders are eager code's."""
    steps = np.tile(np.arange(6.0), 3)
    x = np.repeat([0.0, 0.7, 2.0], 6)
    transforms: list[Any] = [
        grad(function),
        lambda x, n: jacobian(lambda z: [function(z[0], z[1]), z[0] * function(z[0], z[1])], mode="fwd")([x, n]),
        lambda x, n: jacobian(lambda z: [function(z[0], z[1]), z[0] * function(z[0], z[1])], mode="rev")([x, n]),
    ]
    second = [
        lambda x, n: hessian(lambda z: function(z, n))(x),
        lambda x, n: jacobian(grad(function), mode="fwd")(x, n),
    ]
    for number, one in enumerate([*transforms, *second]):
        rows = slice(None) if number < len(transforms) else slice(6, None)
        expected = [np.ravel(one(a, n)) for a, n in zip(x[rows].tolist(), steps[rows].tolist())]
        batch = jit(vmap(one))(x[rows], steps[rows])
        columns = np.array(batch, dtype=float).reshape(-1, len(expected)).T
        np.testing.assert_allclose(columns, expected, rtol=1e-12, atol=1e-14)
        alone = jit(one)
        for a, n, row in zip(x[rows].tolist(), steps[rows].tolist(), expected):
            np.testing.assert_allclose(np.ravel(alone(a, n)), row, rtol=1e-12, atol=1e-14)


def test_loops_without_carries() -> None:
    """Sweeps over the stored steps of a loop may hand nothing on; they are one loop, too."""

    def f(x: list[Any]) -> Any:
        def step(c: Any) -> Any:
            return c[0] + 1.0, am.sin(x[0] * c[0]) * am.cos(x[1] + c[0])  # the last step alone counts

        return while_loop(lambda c: c[0] < x[2], step, (0.0, 0.5))[1] * x[1]

    for n in (0.0, 1.0, 4.0):
        np.testing.assert_allclose(jit(hessian(f))([0.3, 0.7, n]), hessian(f)([0.3, 0.7, n]), rtol=1e-12, atol=1e-14)


def grown(n: Any, start: Any, rate: Any) -> Any:
    """A loop whose number of steps depends on n alone."""
    return while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1.0, c[1] + am.sin(rate * c[1])), (0.0, start))[1]


def test_loops_that_would_wait_for_one_another_stay_apart() -> None:
    """Each of two pairs could be one loop, but not both: in each, one needs a result of the other pair."""

    def f(n: Any, k: Any, x: Any) -> Any:
        first = grown(n, x, 0.5)
        after_first = grown(k, first, 0.5)
        second = grown(k, x, 0.7)
        return [after_first, grown(n, second, 0.7)]

    compiled = jit(lambda n, k, x: (f(n, k, x), grad(lambda x: sum(f(n, k, x)))(x)))
    for n, k in ((3.0, 5.0), (0.0, 2.0), (4.0, 0.0)):
        values, slope = compiled(n, k, 0.3)
        np.testing.assert_allclose(values, f(n, k, 0.3), rtol=1e-13)
        assert slope == pytest.approx(grad(lambda x, n=n, k=k: sum(f(n, k, x)))(0.3), rel=1e-12)
    assert 3 == loops_of(compiled)


@pytest.mark.parametrize("seed", range(6))
def test_random_orders_of_loops(seed: int) -> None:
    """Loops of three lengths that need one another's results in any way, with derivatives in both modes."""

    def f(z: Any) -> Any:
        draw = random.Random(seed)
        values = [z[0], z[1]]
        for _ in range(10):
            n = z[draw.choice((2, 3, 4))]
            values.append(grown(n, draw.choice(values), draw.choice((0.5, values[0], draw.choice(values)))))
        return values[-3:]

    both = jit(vmap(lambda z: (f(z), jacobian(f, mode="fwd")(z), jacobian(f, mode="rev")(z))))
    rows = np.array([[0.3, -0.4, 2.0, 3.0, 5.0], [0.1, 0.9, 0.0, 1.0, 4.0], [1.2, 0.5, 6.0, 0.0, 0.0]])
    values, forward, reverse = both(rows)
    for k, row in enumerate(rows):
        slopes = jacobian(f)(row)
        np.testing.assert_allclose([column[k] for column in values], f(row), rtol=1e-12)
        np.testing.assert_allclose([column[k] for column in forward], slopes, rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose([column[k] for column in reverse], slopes, rtol=1e-11, atol=1e-14)


def test_a_sum_over_no_steps_sends_nothing() -> None:
    """What all steps share gets no message where there is no step, whatever its own derivatives are."""

    def f(x: Any, n: Any) -> Any:
        rate = am.sqrt(x)  # its derivative is infinite at 0
        return while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1.0, c[1] + rate), (0.0, 1.0))[1] + x

    rows = np.zeros(3), np.array([0.0, 1.0, 2.0])
    expected = [grad(f)(x, n) for x, n in zip(*(column.tolist() for column in rows))]
    assert [1.0, math.inf, math.inf] == expected
    np.testing.assert_array_equal(jit(vmap(grad(f)))(*rows), expected)
    assert expected == [jit(grad(f))(x, n) for x, n in zip(*(column.tolist() for column in rows))]
