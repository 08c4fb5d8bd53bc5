"""Derivatives of solutions by the implicit function theorem: eager, compiled, scalar, systems, any solver."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import Value, adopt, grad, hessian, implicit, jacobian, jit, special, value_and_grad, vmap
from autograd.testing import check_grads


def anomaly(mean: Any, e: Any) -> Any:
    """Kepler's equation."""
    return implicit.root(lambda x, mean, e: x - e * am.sin(x) - mean, mean, mean, e)


def test_keplers_equation() -> None:
    """Derivatives of two orders are those of the theorem, eager and compiled, in rows whose numbers of steps differ."""
    check_grads(anomaly, [1.0, 0.3])
    rows = np.random.default_rng(0).uniform([0.1, 0.0], [6.0, 0.9], (60, 2))

    def everything(r: Any) -> Any:
        return anomaly(r[0], r[1]), grad(lambda r: anomaly(r[0], r[1]))(r), hessian(lambda r: anomaly(r[0], r[1]))(r)

    x, first, second = jit(vmap(everything))(rows)
    mean, e = rows.T
    s, c = np.sin(x), 1.0 / (1.0 - e * np.cos(x))
    np.testing.assert_allclose(x - e * s, mean, rtol=1e-14)
    np.testing.assert_allclose(first, np.stack([c, s * c], 1), rtol=1e-12)
    np.testing.assert_allclose(second[:, 0, 0], -e * s * c**3, rtol=1e-10, atol=1e-13)
    for row, each in zip(rows[:5], second):
        np.testing.assert_allclose(hessian(lambda r: anomaly(r[0], r[1]))(row), each, rtol=1e-11, atol=1e-13)


def test_higher_orders_are_asked_for() -> None:
    """The third derivative is right with order=3, and not a wrong number without."""

    def solution(a: Any, order: int) -> Any:
        return implicit.root(lambda x, a: x * x - a, 1.0, a, order=order)

    third = 0.375 * 4.0**-2.5
    assert grad(grad(grad(lambda a: solution(a, 3))))(4.0) == pytest.approx(third, rel=1e-13)
    for order in (1, 2):
        function: Any = lambda a, order=order: solution(a, order)  # noqa: E731
        for _ in range(order + 1):
            assert math.isfinite(function(4.0))
            function = grad(function)
        assert not math.isfinite(function(4.0))
        assert not math.isfinite(jit(function)(4.0))


def test_values_that_f_closes_over_are_arguments_too() -> None:
    """They get their gradient, in both builds and compiled."""
    k = Value(3.0)
    x = implicit.root(lambda x: x * x - k, 1.0)
    x.backward()
    assert (x.data, k.grad) == (pytest.approx(math.sqrt(3.0)), pytest.approx(0.5 / math.sqrt(3.0)))
    compiled = jit(lambda a: implicit.root(lambda x, a: x * x - k * a, 1.0, a))
    k.grad = 0.0
    y = compiled(2.0)
    y.backward()
    assert (y.data, k.grad) == (pytest.approx(math.sqrt(6.0)), pytest.approx(1.0 / math.sqrt(6.0)))


def test_a_bracket_finds_what_newton_misses() -> None:
    """Newton's method on arctan diverges from 3; in a bracket every start will do, eager and compiled."""

    def f(x: Any, a: Any) -> Any:
        return am.atan(x - a)

    assert implicit.root(f, 9.0, 1.0, bracket=(-50.0, 80.0)) == pytest.approx(1.0)
    check_grads(lambda a: implicit.root(f, 9.0, a, bracket=(-50.0, 80.0)), [1.0], order=1)
    compiled = jit(value_and_grad(lambda a: implicit.root(f, 9.0, a, bracket=(-50.0, 80.0))))
    for a in (1.0, 2.5, -7.0):
        assert compiled(a) == pytest.approx((a, 1.0), rel=1e-12)
    assert implicit.root(lambda x, a: x - a, 0.0, 2.0, bracket=(2.0, 3.0)) == 2.0
    with pytest.raises(ValueError, match=r"no change of sign between 2.0 and 5.0, where it is 0.7\d+ and 1.3"):
        implicit.root(f, 3.0, 1.0, bracket=(2.0, 5.0))
    with pytest.raises(ValueError, match="a bracket is for one unknown, not for 2"):
        implicit.root(lambda x: x, [1.0, 2.0], bracket=(0.0, 1.0))


def test_systems_keep_their_containers() -> None:
    """Several unknowns in a dict, several arguments in arrays."""

    def f(x: Any, a: Any) -> Any:
        return [x["r"] * am.cos(x["t"]) - a[0], x["r"] * am.sin(x["t"]) - a[1]]

    def polar(a: Any) -> Any:
        return implicit.root(f, {"r": 1.0, "t": 0.5}, a)

    a = np.array([3.0, 4.0])
    assert polar(a) == pytest.approx({"r": 5.0, "t": math.atan2(4.0, 3.0)})
    check_grads(lambda a: polar(a), [a])
    eager, compiled = jacobian(polar)(a), jit(jacobian(polar))(a)
    for name in ("r", "t"):
        np.testing.assert_allclose(eager[name], compiled[name], rtol=1e-13)
    np.testing.assert_allclose(eager["r"], [0.6, 0.8], rtol=1e-13)


def test_implied_volatility() -> None:
    """The volatility of a price: its derivative is 1/vega, of a solver that is adopted or anything else."""

    def price(sigma: Any, forward: Any, strike: Any, time: Any) -> Any:
        total = sigma * am.sqrt(time)
        d = am.log(forward / strike) / total + 0.5 * total
        return forward * special.ndtr(d) - strike * special.ndtr(d - total)

    def solver(p: float, forward: float, strike: float, time: float) -> float:
        low, high = 1e-6, 5.0
        for _ in range(80):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if price(middle, forward, strike, time) < p else (low, middle)
        return low

    volatility = implicit.solution_of(solver, lambda s, p, *rest: price(s, *rest) - p)
    point = (2.5, 100.0, 110.0, 0.5)
    sigma = volatility(*point)
    assert sigma == solver(*point)
    vega = grad(price)(sigma, *point[1:])
    assert grad(volatility)(*point) == pytest.approx(1.0 / vega, rel=1e-12)
    check_grads(volatility, point, rtol=1e-5)
    compiled = jit(vmap(lambda r: value_and_grad(lambda r: volatility(*r))(r)))
    rows = np.array([point, (3.0, 100.0, 105.0, 0.7), (8.0, 100.0, 95.0, 0.2)])
    values, gradients = compiled(rows)
    for row, value, gradient in zip(rows, values, gradients):
        assert value == solver(*row.tolist())
        np.testing.assert_allclose(gradient, grad(lambda r: volatility(*r))(row), rtol=1e-12)
    assert grad(solver)(*point) == 0.0  # what differentiating the iterations gives


def test_colebrook() -> None:
    """The friction factor of a rough pipe, by the bracketed root."""

    def friction(reynolds: Any, roughness: Any) -> Any:
        def f(y: Any, reynolds: Any, roughness: Any) -> Any:  # y = 1/√friction
            return y + 2.0 * am.log10(roughness / 3.7 + 2.51 * y / reynolds)

        y = implicit.root(f, 7.0, reynolds, roughness, bracket=(1.0, 30.0))
        return 1.0 / (y * y)

    assert friction(1e5, 1e-4) == pytest.approx(0.018513866077, rel=1e-9)
    check_grads(friction, [1e5, 1e-4])
    compiled = jit(grad(friction, argnums=(0, 1)))
    assert compiled(1e5, 1e-4) == pytest.approx(grad(friction, argnums=(0, 1))(1e5, 1e-4), rel=1e-12)


def test_wet_bulb() -> None:
    """psychrolib's bisection: the theorem's derivative, which its iterations and short finite differences miss."""
    pytest.importorskip("psychrolib")
    p = adopt("psychrolib")
    p.SetUnitSystem(p.SI)
    pressure = 101325.0
    wet_bulb = implicit.solution_of(
        lambda t, w: p.GetTWetBulbFromHumRatio(t, w, pressure),
        lambda wet, t, w: p.GetHumRatioFromTWetBulb(t, wet, pressure) - w,
    )
    t, w = 30.0, 0.012
    assert wet_bulb(t, w) == p.GetTWetBulbFromHumRatio(t, w, pressure)
    right = grad(wet_bulb)(t, w)
    long = (p.GetTWetBulbFromHumRatio(t + 4.0, w, pressure) - p.GetTWetBulbFromHumRatio(t - 4.0, w, pressure)) / 8.0
    assert right == pytest.approx(long, rel=1e-3)
    assert jit(grad(wet_bulb))(t, w) == pytest.approx(right, rel=1e-12)
    assert abs(grad(lambda t: p.GetTWetBulbFromHumRatio(t, w, pressure))(t) / right - 1.0) > 0.05


def test_scipy_solves() -> None:
    """A solver of compiled code, which takes no Values at all."""
    from scipy.optimize import brentq

    def solver(a: float) -> float:
        return brentq(lambda x: x * math.exp(x) - a, 0.0, 5.0)

    omega = implicit.solution_of(solver, lambda x, a: x * am.exp(x) - a)
    check_grads(omega, [1.0], rtol=1e-5)
    assert grad(omega)(1.0) == pytest.approx(grad(special.lambertw)(1.0), rel=1e-11)
    assert jit(grad(omega))(1.0) == pytest.approx(grad(omega)(1.0), rel=1e-13)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: implicit.root(lambda x, a: [x, x], 1.0, 2.0), ValueError, "f returned 2 numbers for 1 unknowns"),
        (lambda: implicit.root(lambda x, a: x * x + a, 1.0, 2.0), ArithmeticError, "no solution of f|by x is"),
        (lambda: implicit.root(lambda x, a: a + 0 * x, 1.0, 2.0), ArithmeticError, r"the derivative of f by x is 0\.0"),
        (lambda: implicit.root(lambda x: [x[0] + x[1], 0.0], [1.0, 2.0]), ArithmeticError, "by x is singular"),
        (lambda: implicit.root(lambda x: x, 1.0, order=0), ValueError, "order must be a whole number of at least 1"),
        (
            lambda: implicit.solution_of(lambda a: a / 2, lambda x, a: x * x - a)(9.0),
            ArithmeticError,
            r"4\.5 is no solution of f\(x, \.\.\.\) = 0: a step of Newton's method leads on by -1\.25",
        ),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    """What is not solved is no result."""
    with pytest.raises(error, match=message):
        call()


def test_compiled_code_refuses_what_is_no_solution() -> None:
    """Also where it was one when it was compiled."""
    solution = jit(grad(implicit.solution_of(lambda a: 2.0, lambda x, a: x * x - a)))
    assert solution(4.0) == 0.25
    with pytest.raises(ArithmeticError, match="is no solution"):
        solution(16.0)


def test_one_compilation_serves_all_numbers_of_steps() -> None:
    """A root of one unknown is a loop of the program: rows that take different numbers of steps are one path."""
    rows = np.random.default_rng(3).uniform([0.1, 0.0], [6.0, 0.95], (200, 2))
    compiled = jit(vmap(lambda r: anomaly(r[0], r[1])))
    x = compiled(rows)
    np.testing.assert_allclose(x - rows[:, 1] * np.sin(x), rows[:, 0], rtol=1e-13)
    assert len(compiled.paths()) == 1


def test_adopted_equations_compile_in_loops() -> None:
    """An equation whose divisions and logarithms may raise is solved too."""

    def f(x: Any, a: Any) -> Any:
        return math.log(x) / a + 1 / x - 1.5

    own = adopt(f)
    solution = jit(value_and_grad(lambda a: implicit.root(own, 3.0, a, bracket=(1.5, 50.0))))
    for a in (1.0, 1.4, 2.0):
        x, slope = solution(a)
        assert f(x, a) == pytest.approx(0.0, abs=1e-13)
        assert slope == pytest.approx(math.log(x) / a**2 / (1 / (a * x) - 1 / x**2), rel=1e-10)
