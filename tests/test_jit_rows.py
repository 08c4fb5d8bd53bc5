"""Maps over rows that close over Values: each row branches on its own, and the code does not grow with their number."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import Value, custom_gradient, grad, jacobian, jit, no_grad, topological_order, value_and_grad, vmap
from autograd.eager import local_derivatives_on_values
from autograd.sweep import reverse
from autograd.tree import flatten, to_floats
from nn import MLP

W, V, U = Value(1.5, label="w"), Value(-0.5, label="v"), Value(0.75, label="u")
ROWS: dict[str, Callable[[Any], Any]] = {
    "branch": lambda x: x * W if x > 0.0 else x * x,
    "other parents": lambda x: x * W if x > 0.5 else am.sin(x) * V if x > -0.5 else U + x,
    "some rows without": lambda x: x if x < 0.0 else x * W * V,
    "tree": lambda x: {"a": x * W, "b": [V * W if x > 0.0 else V, x]},
    "array": lambda x: np.array([x * W, V, x]) if x > 0.0 else np.array([x, x * x, U]),
    "array in a tree": lambda x: (np.array([[x * W, V], [x, 1.0]]), x * V),
    "number": lambda x: x * W.data + V if x > W else x * V.data,
    "gradient": lambda x: grad(lambda t: t * t * W * x)(V) + x,
    "second": lambda x: W * W * x * V,
    "constant": lambda x: W,
    "modulus": lambda x: abs(W * x) + am.max(x, V),
}
XS = np.array([-1.0, 0.25, 2.0, 0.75, -0.25, 1.25, -2.0])


def outcome(result: Any) -> list[float]:
    """The numbers of a result and the gradients of a weighted sum of them."""
    leaves, _ = flatten(result)
    total = am.sum([(k + 1.0) * y for k, y in enumerate(leaves)])
    for leaf in (W, V, U):
        leaf.grad = 0.0
    total.backward()
    return [*to_floats(leaves), W.grad, V.grad, U.grad]


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("kind", ["array", "list", "sum", "mean"])
def test_as_eager(name: str, kind: str) -> None:
    """Numbers, structure and gradients are those of eager code, after any change between calls."""
    mapped = vmap(ROWS[name], reduce=kind if kind in ("sum", "mean") else None)  # type: ignore[arg-type]
    compiled = jit(mapped)
    for change in (1.0, -2.0, 0.5):
        W.data, V.data, U.data = 1.5 * change, -0.5 * change, 0.75 + change
        for rows in (XS, XS[::-1], XS[2:4], XS * change):
            rows = rows.tolist() if kind == "list" else rows
            expected, actual = mapped(rows), compiled(rows)
            assert outcome(expected) == pytest.approx(outcome(actual), rel=1e-12, abs=1e-14)
            assert type(expected) is type(actual)
            assert repr(shape(expected)) == repr(shape(actual))
            assert [type(y) for y in flatten(expected)[0]] == [type(y) for y in flatten(actual)[0]]


def shape(tree: Any) -> Any:
    """A tree with zeros in place of its numbers."""
    leaves, rebuild = flatten(tree)
    return rebuild([0.0] * len(leaves))


def test_the_code_does_not_grow() -> None:
    """Two programs of six instructions are enough for 200 rows and any other rows."""
    compiled = jit(vmap(lambda x: x * W if x > 0.0 else x * x))
    for count in (200, 7, 1000):
        rows = np.random.default_rng(count).normal(size=count)
        result = compiled(rows)
        np.testing.assert_allclose(to_floats(result), np.where(rows > 0.0, rows * W.data, rows * rows))
    assert 2 == compiled.stats()["paths"]
    assert max(counts["compiled"] for counts in compiled.stats()["instructions"]) <= 6
    assert [] == compiled.stats()["unrolled"]


def test_a_model() -> None:
    """Outputs of a model over rows are nodes with its weights as parents; the program for ten rows is that for one."""
    model = MLP(6, [4, 3], activation="tanh", seed=2)
    rows = np.random.default_rng(1).normal(size=(10, 6))
    mapped = vmap(model)
    compiled = jit(mapped)

    def gradients(result: Any) -> list[float]:
        for p in model.parameters():
            p.grad = 0.0
        am.sum([(k % 5 - 2.0) * y for k, y in enumerate(flatten(result)[0])]).backward()
        return [p.grad for p in model.parameters()]

    compiled(rows[:1])
    length = compiled.stats()["instructions"]
    assert gradients(mapped(rows)) == pytest.approx(gradients(compiled(rows)), rel=1e-12)
    for p in model.parameters():
        p.data *= 0.9
    assert gradients(mapped(rows)) == pytest.approx(gradients(compiled(rows)), rel=1e-12)
    assert length == compiled.stats()["instructions"]


def test_second_derivatives() -> None:
    """The nodes can be differentiated again, at the top level and in another compiled function."""
    compiled = jit(vmap(ROWS["other parents"]))

    def curved(mapped: Any) -> list[float]:
        first = grad(lambda k: am.sum([y * y * k for y in flatten(mapped(XS))[0]]))
        y = first(Value(2.0))
        for leaf in (W, V, U):
            leaf.grad = 0.0
        y.backward()
        return [y.data, W.grad, V.grad, U.grad]

    assert curved(vmap(ROWS["other parents"])) == pytest.approx(curved(compiled), rel=1e-12)
    W.data, V.data = 1.5, -0.5
    inside = jit(lambda k: grad(lambda t: am.sum([y * y * t for y in flatten(compiled(XS))[0]]))(k))
    expected = grad(lambda t: am.sum([y * y * t for y in flatten(vmap(ROWS["other parents"])(XS))[0]]))(2.0)
    assert to_floats(expected) == pytest.approx(to_floats(inside(2.0)), rel=1e-12)


def test_a_buffer_that_is_used_again() -> None:
    """Second derivatives use the rows as they were when the nodes were made."""
    compiled, buffer = jit(vmap(lambda x: am.exp(x * W))), np.array([0.5, 1.0])
    W.data = 1.5

    def slope_of_slope(mapped: Any) -> float:
        total = am.sum([(k + 1.0) * y for k, y in enumerate(mapped(buffer).tolist())])
        buffer[:] = 7.0
        order = topological_order(total)
        slope = reverse(order, {total: 1.0}, local_derivatives_on_values(order, [W]))[W]
        buffer[:] = 0.5, 1.0
        W.grad = 0.0
        slope.backward()
        return W.grad

    assert slope_of_slope(vmap(lambda x: am.exp(x * W))) == pytest.approx(slope_of_slope(compiled), rel=1e-12)


def test_modes_and_other_calls() -> None:
    """Without recording, results have no graph; keywords and Values among the arguments take the slow path."""
    row = ROWS["branch"]
    compiled = jit(vmap(row))
    with no_grad():
        silent = compiled(XS)
    assert not any(y.parents for y in silent.tolist() if isinstance(y, Value))
    assert outcome(vmap(row)(XS)) == pytest.approx(outcome(compiled(XS)))
    xs = [Value(x) for x in XS]  # their signs select the same branches as before
    assert outcome(vmap(row)(xs)) == pytest.approx(outcome(compiled(xs)))
    assert compiled([]) == []


def test_branches_of_rows_inside_a_function() -> None:
    """A map inside a function stays a loop if its rows branch on their own numbers."""

    def function(k: Any, rows: Any) -> Any:
        return vmap(lambda x: x * k if x > 0.0 else x * x, reduce="sum")(rows) * k

    for derivative in (lambda f: f, grad, lambda f: grad(f, (0, 1)), lambda f: grad(grad(f))):
        compiled = jit(derivative(function))
        for rows in (XS.tolist(), [1.0] * 9, [-1.0] * 9, [*[-2.0] * 8, 3.0]):
            found, expected = compiled(2.0, rows), derivative(function)(2.0, rows)
            np.testing.assert_allclose(flatten(found)[0], flatten(expected)[0], rtol=1e-13)
        assert [] == compiled.stats()["unrolled"]


def test_rows_of_several_branches_inside_a_function() -> None:
    """Combinations of branches become masks; one that did not occur at the capture is a guard."""

    def row(x: Any) -> Any:
        y, steps = x, []
        while y > 1.0:
            y = y / 2.0
            steps.insert(0, y)  # so the loop stays as it is
        return am.sqrt(y) if y > 0.0 else 0.0 * y

    def function(rows: Any) -> Any:
        return am.exp(vmap(row, reduce="sum")(rows))

    compiled = jit(value_and_grad(function))
    for rows in ([0.5, 1.5, -1.0, 0.25], [0.5, 3.0, 1.5, 0.75], [5.0, 0.5, 0.25, 0.125], [-1.0, -2.0, 0.5, 0.25]):
        value, gradient = value_and_grad(function)(rows)
        found, by_rows = compiled(rows)
        assert value == pytest.approx(found, rel=1e-13)
        assert gradient == pytest.approx(by_rows, rel=1e-13)
    assert [] == compiled.stats()["unrolled"]
    assert 3 == compiled.stats()["paths"]


def test_python_code_does_not_run_for_rows_of_another_branch() -> None:
    """A primitive written in Python may raise where its branch is not taken: such rows are unrolled."""

    @custom_gradient(lambda x, y: 1.0 / x)
    def strict_log(x: float) -> float:
        if x <= 0.0:
            raise ValueError(f"no logarithm of {x}")
        return math.log(x)

    def function(k: Any, rows: Any) -> Any:
        return vmap(lambda x: strict_log(x * k) if x > 0.0 else x, reduce="sum")(rows) * k

    rows = [1.0, -1.0, 2.0, 3.0]
    compiled = jit(function)
    assert function(2.0, rows) == pytest.approx(compiled(2.0, rows), rel=1e-14)
    (reason,) = compiled.stats()["unrolled"]
    assert "Python code may raise" in reason


def turns(x: Any) -> Any:
    """Two numbers of each row, one after the other."""
    return vmap(lambda a, b: np.array([a * b, am.sin(a) - b]))(x[:40], x[40:80]).ravel()


TAKEN_IN_TURN: dict[str, Callable[[Any], Any]] = {
    "turns": turns,
    "three, one of them twice": lambda x: [y for a, b in zip(turns(x)[::2], x) for y in (a, b, a)],
    "every other one": lambda x: (x * x)[::2],
    "of inputs": lambda x: [y for a, b in zip(x[:64], x[5:69]) for y in (a, b)],
    "not quite": lambda x: np.concatenate([turns(x)[:-1], x[:1]]),
    "backwards": lambda x: [y for a, b in zip((x * x)[::-1], x) for y in (a, b)],
    "one short": lambda x: np.concatenate([turns(x), (x * x)[:33]])[:-1],
    "too often": lambda x: [*turns(x)[:-2], *turns(x)[:2]],
}


@pytest.mark.parametrize("function", TAKEN_IN_TURN.values(), ids=TAKEN_IN_TURN)
def test_results_that_are_taken_in_turn(function: Callable[[Any], Any]) -> None:
    """Elements of several arrays in turn are rows of one array; results and derivatives are right in any case."""
    x = np.linspace(0.1, 0.9, 80)
    fast = jit(function)
    for _ in range(2):
        np.testing.assert_allclose(fast(x), function(x), rtol=1e-14)
    sparse = jit(jacobian(function, sparse=True))(x)
    np.testing.assert_allclose(sparse.toarray(), jacobian(function)(x), rtol=1e-13, atol=1e-300)
    if function is turns:
        assert fast.stats()["instructions"][0]["captured"] < 20


def test_tables_that_differ_in_the_sign_of_zero_are_two_tables() -> None:
    """0.0 equals -0.0, but constants of rows must not be merged where their signs matter."""
    xs = [float(k) for k in range(1, 21)]
    plain = [0.0, 1.0, 2.0, 3.0, 4.0] * 4
    turned = [-0.0, 1.0, 2.0, 3.0, 4.0] * 4

    def signed(table: list[float], xs: list[Value]) -> list[Value]:
        return vmap(lambda number, x: am.copysign(1.0, number) * x)(table, xs)

    def both(xs: list[Value]) -> list[Value]:
        return [a + 10.0 * b for a, b in zip(signed(plain, xs), signed(turned, xs))]

    expected = [(11.0 if k % 5 else -9.0) * x for k, x in enumerate(xs)]
    assert expected == both(xs) == jit(both)(xs)


def test_long_rows_are_rolled_before_they_are_differentiated() -> None:
    """The gradient of a row of 25,000 operations is compiled from few instructions, and has the eager numbers."""

    def row(weights: Any, x: Any) -> Any:
        state = [x, 1.0 - x, 0.5 * x]
        for k in range(1500):
            mixed = [weights[i % 7] * state[i] + weights[(i + k) % 7] * state[i - 1] for i in range(3)]
            state = [am.tanh(s) if i else s / (1.0 + s * s) for i, s in enumerate(mixed)]
        return state[0] + state[1] * state[2]

    def loss(weights: Any, xs: Any) -> Any:
        return vmap(row, in_axes=(None, 0), reduce="sum")(weights, xs)

    weights, xs = np.linspace(-0.8, 0.9, 7), np.linspace(0.1, 0.7, 5)
    fast = jit(value_and_grad(loss))
    value, gradient = fast(weights, xs)
    expected, slopes = value_and_grad(loss)(weights, xs)
    (counts,) = fast.stats()["instructions"]
    assert counts["compiled"] < 5_000
    np.testing.assert_allclose(value, expected, rtol=1e-11)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-9, atol=1e-12)


PAIRS: dict[str, Callable[[Any], Any]] = {
    "numbers": lambda x: [2.0 * x, 2.0 * x],
    "constants": lambda x: [x, math.nan, math.nan],
    "arrays": lambda x: (np.array([x, 1.0]), np.array([x, 1.0])),
}


@pytest.mark.parametrize("name", PAIRS)
def test_results_that_are_equal_are_compiled_for_any_number_of_rows(name: str) -> None:
    """Each of two equal results of a row has an array of its own, and the rows are not unrolled for that."""
    function = PAIRS[name]
    batch = jit(vmap(function))
    for count in (3, 20):
        numbers = [flatten(function(x))[0] for x in map(float, range(count))]
        found = batch(np.arange(float(count)))
        np.testing.assert_array_equal(np.concatenate([np.reshape(a, (count, -1)) for a in found], axis=1), numbers)
    assert batch.stats()["paths"] == 1
    assert batch.stats()["instructions"][0]["captured"] <= 1
