"""Random functions, random batches: compiled equals eager, in values and in first and second derivatives."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from amount import examples
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from test_jit_rules import ulps

from autograd import Value, hessian, jit, rules, topological_order, value_and_grad, vmap
from autograd.rules import TABLE
from autograd.sweep import reverse

UNARY = [
    "neg", "exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "relu", "softplus", "abs", "erf", "atan", "log1p",
    "expm1", "cbrt", "floor", "silu",
]  # fmt: skip  # a list of words
BINARY = ["add", "sub", "mul", "div", "add", "mul", "atan2", "hypot", "logaddexp", "copysign", "fmod", "mod"]
NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 0.5, math.inf, -math.inf, math.nan, 5e-324, -1e-310, 1e200, -3.0]),
    st.floats(-10.0, 10.0, allow_subnormal=True),
)
Step = tuple[str, int, int, int]


def run(steps: Sequence[Step], inputs: Sequence[Any], branching: bool = False) -> Any:
    """Run a program of steps; each is an operation on earlier values."""
    values = list(inputs)
    for name, i, j, k in steps:
        a, b, c = values[i % len(values)], values[j % len(values)], values[k % len(values)]
        if name == "branch":
            values.append((a if a < b else c) if branching else rules.where(rules.sign(a - b), a, c))
        elif name in ("max", "min", "sum"):
            values.append(TABLE[name](a, b, c))
        elif name in BINARY:
            values.append(TABLE[name](a, b))
        else:
            values.append(TABLE[name](a))
    return values[-1] * 1.0 if len(values) > len(inputs) else values[-1] * values[0]


INDEX = st.integers(0, 50)
STEPS = st.lists(
    st.tuples(st.sampled_from([*UNARY, *BINARY, "branch", "max", "min", "sum"]), INDEX, INDEX, INDEX),
    min_size=1,
    max_size=12,
)


def expected_of(function: Callable[..., Any], row: Sequence[float]) -> tuple[float, list[float], list[float]]:
    """Value, gradient and, for each derivative, the sum of the sizes of all its terms."""
    leaves = [Value(x) for x in row]
    y = function(leaves)
    y = y if isinstance(y, Value) else Value(y)
    y.backward()
    order = topological_order(y)
    sizes = reverse(order, {y: 1.0}, lambda node: [None if d is None else abs(d) for d in node.local_grads])
    return y.data, [x.grad for x in leaves], [sizes.get(x, 0.0) for x in leaves]


def condition_of(function: Callable[..., Any], row: Sequence[float]) -> float:
    """The largest factor by which a relative error in any step may grow until the result."""
    y = function([Value(x) for x in row])
    if not isinstance(y, Value):
        return 0.0
    order = topological_order(y)
    sizes = reverse(order, {y: 1.0}, lambda node: [None if d is None else abs(d) for d in node.local_grads])
    return sum(abs(node.data) * size for node, size in sizes.items())


def close(expected: float, actual: float, size: float, relative: float) -> bool:
    """The same pattern of nan and inf; other numbers differ by a small fraction of the size of their terms."""
    if not (math.isfinite(expected) and math.isfinite(actual)):
        return ulps(expected, actual) == 0.0 or not size < 1e300  # if sums overflow, the result depends on their order
    return abs(expected - actual) <= relative * size + 1e-300 or ulps(expected, actual) <= 16


@pytest.mark.slow
@settings(max_examples=examples(150), suppress_health_check=list(HealthCheck))
@given(STEPS, st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=9), st.booleans())
def test_random_functions(steps: list[Step], rows: list[tuple[float, float, float]], branching: bool) -> None:
    """With libm and ordered sums, values have the eager bits; gradients differ by the order of sums."""

    def function(x: Sequence[Any]) -> Any:
        return run(steps, x, branching)

    one = jit(value_and_grad(function), accurate=True)
    batch = jit(vmap(value_and_grad(function)), accurate=True)
    values, gradients = batch(np.array(rows))
    for k, row in enumerate(rows):
        value, gradient, sizes = expected_of(function, row)
        for actual_value, actual_gradient in (one(list(row)), (values[k], gradients[k])):
            assert ulps(value, actual_value) <= 4, (row, value, actual_value)
            for expected, actual, size in zip(gradient, actual_gradient, sizes, strict=True):
                assert close(expected, actual, size, 1e-13), (row, gradient, actual_gradient)


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 1000])
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(steps=STEPS, seed=st.integers(0, 1000), branching=st.booleans())
def test_random_batches(count: int, steps: list[Step], seed: int, branching: bool) -> None:
    """A reduced map, its gradient and the rows themselves, over batches of every remainder."""
    rows = np.random.default_rng(seed).normal(size=(count, 2))

    def function(w: Any, x: Any) -> Any:
        return run(steps, [w, *x], branching)

    assume(
        not any(condition_of(lambda v: function(v[0], v[1:]), [0.7, *row]) > 1e5 for row in rows)
    )  # sin(exp(exp(x)))
    singles = jit(vmap(function, in_axes=(None, 0)))(0.7, rows)
    assert len(rows) == len(singles)
    results = [expected_of(lambda v, row=row: function(v[0], v[1:]), [0.7, *row]) for row in rows]
    for (value, _, _), actual in zip(results, singles, strict=True):
        assert close(value, actual, 1e3 + abs(value), 1e-11), (value, actual)
    value, derivative = jit(value_and_grad(vmap(function, in_axes=(None, 0), reduce="sum")))(0.7, rows)
    size = sum(abs(y) for y, _, _ in results) + 1e3
    assert close(sum(y for y, _, _ in results), value, size, 1e-11)
    size = sum(s[0] for _, _, s in results) + 1e3
    assert close(sum(g[0] for _, g, _ in results), derivative, size, 1e-9)


def test_sign_of_nan() -> None:
    """The sign of a nan has no meaning: here log(-x), for which libraries give either sign."""

    def function(x: Any) -> Any:
        return rules.copysign(x, rules.log(-x))

    rows = [0.7, 1e300, 2.0, 3.0, 5.0]
    assert rows == [function(x) for x in rows] == [function(Value(x)).data for x in rows]
    assert rows == jit(vmap(function))(rows) == [jit(function)(x) for x in rows]


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(STEPS, st.floats(-3.0, 3.0), st.floats(-3.0, 3.0))
def test_second_derivatives(steps: list[Step], a: float, b: float) -> None:
    """Hessians of random functions, compiled and eager."""

    def function(x: Sequence[Any]) -> Any:
        return run(steps, x)

    try:
        expected = np.array(hessian(function)([a, b]))
    except TypeError:  # the function does not depend on its arguments
        return
    actual = np.array(jit(hessian(function), accurate=True)([a, b]))
    scale = np.max(np.abs(expected[np.isfinite(expected)]), initial=1.0)
    if scale < 1e100:
        assert np.array_equal(np.isnan(expected), np.isnan(actual))
        assert np.allclose(expected, actual, rtol=1e-9, atol=1e-9 * scale, equal_nan=True)
