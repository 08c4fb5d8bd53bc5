"""Closures of compiled functions: Values that they read, compare and differentiate change from call to call."""

import copy
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd
import autograd.math as am
from autograd import (
    AnomalyError,
    Value,
    checkpoint,
    custom_gradient,
    detect_anomaly,
    grad,
    hvp,
    jit,
    no_grad,
    record_sweep,
    value_and_grad,
    vmap,
)
from autograd.compiler.run import specialization
from autograd.tree import to_floats
from nn import MLP, SGD, hinge


def fixed(x: Any, w: Value, v: Value) -> Any:
    """A gradient by a number made in the function."""
    return x * grad(lambda t: w * t * t)(2.0)


def unrecorded(x: Any, w: Value, v: Value) -> Any:
    """Numbers made without a graph."""
    with no_grad():
        scale = w * v + w
    return scale * x


def branching(x: Any, w: Value, v: Value) -> Any:
    """Every kind of comparison, of closed-over Values only."""
    total = 0.0 * x
    for k, truth in enumerate(
        (w > 0.0, w >= v, w == 0.0, w != v, v < w, 0.0 <= w, w == v, bool(w), not v, 0.0 < w < v, w.data > v.data)
    ):
        if truth:
            total = total + 2.0**k
    return total


def newton(x: Any, w: Value, v: Value) -> Any:
    """A loop whose length depends on a closed-over Value."""
    root, steps = 1.0, 0
    while abs(root * root - abs(w.data)) > 1e-10 and steps < 50:
        root, steps = 0.5 * (root + abs(w.data) / root), steps + 1
    return root + x


def arrays(x: Any, w: Value, v: Value) -> Any:
    """NumPy's functions on arrays of closed-over Values."""
    both = np.array([w, v])
    total = np.exp(both) @ np.array([x, 2.0]) + np.maximum(both, 0.5).sum() + both.max()
    counted = 5.0 * (both > 0.0).sum() + np.where(both < v, 1.0, x).sum()
    return total + counted + (3.0 if np.isfinite(w) and not np.signbit(v) and not np.isnan(w) else x)


FUNCTIONS: list[Callable[[Any, Value, Value], Any]] = [
    fixed,
    unrecorded,
    branching,
    newton,
    arrays,
    lambda x, w, v: w.data * x,
    lambda x, w, v: w.detach() * x + w * v,
    lambda x, w, v: (w * v).data * w + x,
    lambda x, w, v: x * 2.0 if w > 0 else x * w,
    lambda x, w, v: max(w, v) * x - min(v, w, 0.5),
    lambda x, w, v: sorted([w, v, Value(0.25)])[1] * x,
    lambda x, w, v: am.max(w, v, 0.0) + x,
    lambda x, w, v: am.where(w > v, w, x * v),
    lambda x, w, v: (w > v) * x + (w > 0.0) * w,
    lambda x, w, v: am.clip(w, -1.0, 1.0) * x if am.isfinite(w) else x,
    lambda x, w, v: x if am.isclose(w, v, rel_tol=0.5) else v,
    lambda x, w, v: [1.0, 2.0][w > v] * x,
    lambda x, w, v: checkpoint(lambda: w * w * v)() * x,
    lambda x, w, v: checkpoint(lambda t: w * t if w > 0.0 else v * t)(x),
    lambda x, w, v: copy.deepcopy(w) * w * x,
    lambda x, w, v: to_floats([w, {"v": v}])[0] * x,
    lambda x, w, v: grad(lambda t: t * w if w > v else t * t * v)(w) * x,
    lambda x, w, v: grad(grad(lambda t: t * t * w * x))(3.0) + grad(lambda t: t * x)(2.0),
    lambda x, w, v: grad(lambda t: t * t * x)(w) * v,
    lambda x, w, v: hvp(lambda t: t**3 * w)(2.0, 3.0) * x,
    lambda x, w, v: vmap(lambda t: t * w.data if w > v else t * v)([x, 2.0, 3.0, x, 4.0])[3],
    lambda x, w, v: vmap(lambda t: t * w.data + t * w, reduce="sum")([x, 2.0, 3.0, x, 4.0]),
    lambda x, w, v: jit(lambda t: t * w.data if w < v else t)(x),
    lambda x, w, v: {"a": w.data, "b": [x * w.data, 1.0]}["b"][0],
    lambda x, w, v: Value(2.0) * x if v else w * w.data,
]


def outcome(function: Callable[..., Any], x: Any, w: Value, v: Value) -> Any:
    """The result and its type, with the gradients of x, w and v if it is a Value."""
    for leaf in (w, v):
        leaf.grad = 0.0
    y = function(x)
    if isinstance(y, Value):
        y.backward()
    return [isinstance(y, Value), y.data if isinstance(y, Value) else y, w.grad, v.grad]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(FUNCTIONS)))
def test_as_eager_whatever_changes(number: int) -> None:
    """After any change in its closure, a compiled function and its gradient are those of eager code."""
    w, v = Value(1.0), Value(2.0)
    function = FUNCTIONS[number]

    def closed(x: Any) -> Any:
        return function(x, w, v)

    compiled, gradient = jit(closed), jit(value_and_grad(closed))
    for w.data, v.data in ((1.0, 2.0), (-1.0, 2.0), (3.0, 2.0), (0.0, 0.0), (2.0, 2.0), (-3.0, -0.0), (1.0, 2.0)):
        for x in (1.5, -2.0):
            expected, actual = outcome(closed, x, w, v), outcome(compiled, x, w, v)
            assert expected[0] == actual[0]
            assert expected[1:] == pytest.approx(actual[1:], rel=1e-13, nan_ok=True)
            assert value_and_grad(closed)(x) == pytest.approx(gradient(x), rel=1e-13, nan_ok=True)


def test_batches_as_eager_whatever_changes() -> None:
    """The same over rows: results of numbers are float arrays, and a branch divides a batch only if necessary."""
    w, v = Value(1.0), Value(2.0)
    rows = np.linspace(-2.0, 2.0, 11)

    def by_number(x: Any) -> Any:
        return x * w.data if v > 1.0 else x + w.data

    def by_row(x: Any) -> Any:
        return x * w if x > v else x

    for function in (by_number, by_row):

        def scaled(k: Any, x: Any, function: Any = function) -> Any:
            return k * function(x)

        each, total, mean = vmap(function), vmap(function, reduce="sum"), vmap(scaled, (None, 0), "mean")
        compiled, summed, gradient = jit(each), jit(total), jit(value_and_grad(mean))
        for w.data, v.data in ((1.0, 2.0), (5.0, 0.0), (-3.0, -0.5), (4.0, 3.0)):
            expected, actual = each(rows), compiled(rows)
            assert expected.dtype == actual.dtype
            assert to_floats(expected).tolist() == to_floats(actual).tolist()
            assert to_floats(total(rows)) == pytest.approx(to_floats(summed(rows)), rel=1e-13)
            assert value_and_grad(mean)(2.0, rows) == pytest.approx(gradient(2.0, rows), rel=1e-13)


def test_branches_that_rows_share_keep_a_map_a_loop() -> None:
    """A branch in a row on something that all rows share is a guard of the program; others become masks."""
    w = Value(1.0)

    def shared(x: Any, rows: Any) -> Any:
        def row(t: Any) -> Any:
            scale = abs(w.data) + 1.0
            while scale < 4.0:
                scale = scale * 2.0
            return t * scale + w if x * w > 0.0 else t * t

        return vmap(row, reduce="sum")(rows) * x

    def of_rows(x: Any, rows: Any) -> Any:
        return vmap(lambda t: t if t > w else t * x, reduce="sum")(rows)

    rows = [1.0, 2.0, 3.0, 4.0, 0.5]
    for function in (shared, of_rows):
        step = jit(value_and_grad(function))
        for w.data in (1.0, -1.0, 2.5, 5.0):
            for x in (1.5, -2.0):
                assert value_and_grad(function)(x, rows) == pytest.approx(step(x, rows), rel=1e-13)
        assert " in 0.." in step.program()


def test_a_row_that_closes_over_a_parameter() -> None:
    """If only some rows use a parameter, its gradient comes from those rows."""
    w = Value(3.0)
    compiled = jit(vmap(lambda x: x * w if x > 0.0 else x))
    result = compiled(np.array([-1.0, -2.0, 4.0, -3.0, 5.0]))
    assert [-1.0, -2.0, 12.0, -3.0, 15.0] == [getattr(y, "data", y) for y in result.tolist()]
    sum(result.tolist()).backward()
    assert 9.0 == w.grad


def test_parameters_of_a_module() -> None:
    """A penalty that branches on the weights and reads their numbers trains as in eager code."""
    inputs, labels = [[0.5, -0.3], [0.1, 0.9], [-0.7, 0.2]], [1, -1, 1]

    def trained(compile_: Callable[..., Any]) -> list[float]:
        model = MLP(2, [3, 1], activation="tanh", seed=1)

        def loss() -> Any:
            scores = [model(x) for x in inputs]
            penalty = sum(p if p > 0.1 else -p for p in model.parameters())
            largest = max(abs(p.data) for p in model.parameters())
            return hinge(scores, labels) + 0.1 * penalty / largest

        step, optimiser = compile_(loss), SGD(model.parameters(), 0.1)
        for _ in range(6):
            optimiser.zero_grad()
            step().backward()
            optimiser.step()
        return [p.data for p in model.parameters()]

    assert trained(lambda function: function) == pytest.approx(trained(jit), rel=1e-12)


def refused(w: Value) -> dict[str, Callable[[Any], Any]]:
    """Side effects that would happen only once, and code that freezes a number, each with a word of its message."""
    return {
        "data cannot be assigned": lambda x: setattr(w, "data", 2.0) or x,
        "reading .grad": lambda x: x * w.grad,
        "assigning .grad": lambda x: setattr(w, "grad", 0.0) or x,
        "zero_grad": lambda x: (w * x).zero_grad() or w.zero_grad() or x,
        "backward": lambda x: w.backward() or x,
        r"backward\(\)": lambda x: autograd.backward([w * w]) or x,
        "another sweep": lambda x: x * record_sweep(w * w)[0].message,
        "float": lambda x: x * float(w.data),
        "math module": lambda x: x * math.exp(w.data),
        "index": lambda x: [x, x, x][w.data],
        "of a number that": lambda x: x * am.frexp(w)[0],
    }


@pytest.mark.parametrize("word", refused(Value(1.0)))
def test_refusals_name_the_line(word: str) -> None:
    """An effect that a program cannot repeat at every call raises at the capture, and changes nothing."""
    w = Value(1.0)
    w.grad = 7.0
    with pytest.raises((TypeError, AttributeError), match=rf"(?s){word}.*test_jit_closures.py:\d+ in <lambda>"):
        jit(refused(w)[word])(3.0)
    assert (1.0, 7.0) == (w.data, w.grad)
    assert 3.0 == jit(lambda x: x * w.data)(3.0)


def test_numbers_that_never_change_may_be_frozen() -> None:
    """int() and similar functions take numbers that depend neither on an argument nor on anything outside."""
    assert 3.0 * 8.0 == jit(lambda x: x * int(grad(lambda t: t * t)(4.0)))(3.0)
    assert 3.0 * 4.0 == jit(lambda x: x * math.sqrt(vmap(grad(lambda t: t * t))([8.0, 1.0])[0]))(3.0)
    with pytest.raises(TypeError, match="freeze"):
        jit(lambda x: math.sqrt(grad(lambda t: t * t * x)(8.0)))(3.0)


def test_other_threads_see_numbers() -> None:
    """While one thread captures, the Values of other threads are plain Values; afterwards all are."""
    w = Value(2.0)
    inside, done = threading.Event(), threading.Event()
    seen: list[Any] = []

    def look() -> None:
        inside.wait(10.0)
        w.data += 1.0
        seen.extend([w.data, w > 2.5, bool(w), (w * w).op is not None, w.detach().data, w.grad, (w + 1.0) == 4.0])
        (w * w).backward()
        seen.append(w.grad)
        done.set()

    def function(x: Any) -> Any:
        inside.set()
        done.wait(10.0)
        return w.data * x

    thread = threading.Thread(target=look)
    thread.start()
    assert 30.0 == jit(function)(10.0)
    thread.join()
    assert [3.0, True, True, True, 3.0, 0.0, True, 6.0] == seen
    assert all(type(thing) in (float, bool) for thing in seen)
    with pytest.raises(ZeroDivisionError):
        jit(lambda x: x * (1 // 0))(1.0)
    assert type(w.data) is float


# ---- derivatives that branch, in rows ------------------------------------------------------------------------------


@custom_gradient(lambda x, y: 3.0 * x**2 if x > 0.5 else -am.exp(x) if x > -0.5 else x % 2.0)
def bent(x: float) -> float:
    """A function with a custom derivative that branches and is not the derivative of its value."""
    return abs(x) ** 3


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 5, 64, 203])
def test_branching_derivatives_in_rows(count: int) -> None:
    """A branch in a derivative is a branch of the row, at first and second order, by shared arguments and by rows."""
    rows = np.random.default_rng(count).uniform(-2.0, 2.0, size=count)

    def row(w: Any, x: Any) -> Any:
        return bent(w * x) * w + x

    for reduce in ("sum", "mean"):
        loss = vmap(row, (None, 0), reduce)  # type: ignore[arg-type]
        step = jit(value_and_grad(loss))
        for w in (1.0, 0.3, -1.0):
            assert value_and_grad(loss)(w, rows) == pytest.approx(step(w, rows), rel=1e-12)
    each = vmap(grad(row, 1), (None, 0))
    np.testing.assert_allclose(jit(each)(1.5, rows), each(1.5, rows), rtol=1e-12)
    twice = grad(grad(vmap(row, (None, 0), "sum")))
    assert twice(1.5, rows) == pytest.approx(jit(twice)(1.5, rows), rel=1e-12)


def test_branching_derivatives_in_a_map_inside() -> None:
    """The same if the map is a part of the function."""
    rows = np.linspace(-2.0, 2.0, 7)

    def loss(w: Any, x: Any) -> Any:
        return am.log(1.0 + vmap(lambda w, x: bent(w * x), (None, 0), "sum")(w, x)) * w

    step = jit(value_and_grad(loss))
    for w in (1.0, 0.3, -1.0, 0.2):
        assert value_and_grad(loss)(w, rows) == pytest.approx(step(w, rows), rel=1e-12)
    by_rows = jit(grad(loss, 1))
    np.testing.assert_allclose(by_rows(0.7, rows), grad(loss, 1)(0.7, rows), rtol=1e-12)


def test_derivatives_in_rows_that_close_over_values() -> None:
    """A derivative may use a Value from outside, also in rows."""
    scale = Value(2.0)

    @custom_gradient(lambda x, y: scale.data * x if scale > 0.0 else x)
    def scaled(x: float) -> float:
        return x * x

    rows = np.linspace(-1.0, 1.0, 9)
    loss = vmap(lambda w, x: scaled(w * x), (None, 0), "sum")
    step = jit(value_and_grad(loss))
    for scale.data in (2.0, 5.0, -1.0, 3.0):
        expected = value_and_grad(loss)(1.5, rows)
        assert expected == pytest.approx(step(1.5, rows), rel=1e-12)


def test_training_step() -> None:
    """A loss that closes over a model trains as without jit, in one compiled call for each step."""

    def descend(decorate: Any) -> list[float]:
        model = MLP(2, [4, 1], activation="tanh", seed=1)

        @decorate
        def loss(xs: Any, ys: Any) -> Any:
            return vmap(lambda x, y: (model(x) - y) ** 2, reduce="mean")(xs, ys)

        optimiser, losses = SGD(model.parameters(), learning_rate=0.1), []
        xs = np.random.default_rng(0).normal(size=(20, 2))
        for _ in range(20):
            optimiser.zero_grad()
            now = loss(xs, xs[:, 0] * xs[:, 1])
            now.backward()
            optimiser.step()
            losses.append(now.data)
        return losses

    assert descend(lambda f: f) == pytest.approx(descend(jit), rel=1e-11)


def test_after_values_from_outside_were_found() -> None:
    """Later calls with other kinds of arguments, in other modes and with other branches are right too."""
    w, v = Value(3.0), Value(5.0)

    @jit
    def function(x: Any, y: Any = 1.0) -> Any:
        if x > 10.0:
            return x * y
        return w * x * y if x > 0.0 else v * w * x * y

    eager = function.function
    for _ in range(2):
        for x in (2.0, -2.0, 20.0, 4):
            assert eager(x) == function(x)
            assert type(eager(x)) is type(function(x)) or not isinstance(eager(x), Value)
        with no_grad():
            assert (6.0, ()) == (function(2.0).data, function(2.0).operands)
        assert 12.0 == function(2.0, y=2.0).data
        x = Value(2.0)
        function(x, 7.0).backward()
        assert (21.0, 14.0) == (x.grad, w.grad)
        w.grad = 0.0
        function(-2.0).backward()
        assert (-10.0, -6.0) == (w.grad, v.grad)
        w.grad = v.grad = 0.0
        assert grad(function)(2.0) == grad(eager)(2.0)
        second = grad(grad(lambda x: function(x) ** 2))
        assert second(2.0) == pytest.approx(grad(grad(lambda x: eager(x) ** 2))(2.0))
    with pytest.raises(AnomalyError), detect_anomaly():
        function(-math.inf, 0.0)


def test_a_loss_over_values_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call whose result is a Value needs the program with derivatives only; the other is made when it is used."""
    w = Value(0.5)
    compiled: list[Any] = []
    load = specialization.cache.load

    def noting(module: Any, *rest: Any) -> Any:
        compiled.append(module)
        return load(module, *rest)

    monkeypatch.setattr(specialization.cache, "load", noting)

    def loss(x: Any) -> Any:
        return am.sin(w * x) * w if x > 0.0 else x * 2.0

    fast = jit(loss)
    for x in (1.5, 2.5):
        expected, actual = loss(x), fast(x)
        assert expected.data == pytest.approx(actual.data, rel=1e-15)
        w.grad = 0.0
        expected.backward()
        expected_slope, w.grad = w.grad, 0.0
        actual.backward()
        assert expected_slope == pytest.approx(w.grad, rel=1e-15)
    assert 1 == len(compiled)
    assert "sin" in fast.program()
    with no_grad():
        assert loss(1.5).data == pytest.approx(fast(1.5).data, rel=1e-15)
    assert 2 == len(compiled)
    assert -3.0 == fast(-1.5)
    assert 0 < fast.stats()["code_bytes"]
