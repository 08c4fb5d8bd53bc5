"""The compiler as a user meets it: calls, trees, branches, closures, errors, pickles, threads."""

import copy
import dataclasses
import functools
import math
import os
import pickle
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import autograd
import autograd.math as am
from autograd import (
    TooManyPathsError,
    Value,
    checkpoint,
    compile_graph,
    custom_gradient,
    detect_anomaly,
    grad,
    hessian,
    hvp,
    jacobian,
    jit,
    jvp,
    no_grad,
    record_sweep,
    rules,
    topological_order,
    value_and_grad,
    vjp,
    vmap,
)
from autograd.compiler import Compiled, Ungraphed
from nn import MLP, Module

ROOT = Path(__file__).parent.parent


@dataclasses.dataclass
class Pair:
    """Two numbers."""

    a: Any
    b: Any


class Point(NamedTuple):
    """Two other numbers."""

    x: Any
    y: Any


@jit
def decorated(x: Any) -> Any:
    """A compiled function at the top of a module."""
    return am.sin(x) if x > 0.0 else x * x


def poly(x: Any, y: Any) -> Any:
    """A function with all second derivatives."""
    return x**3 * y + am.exp(x * y) / (1.0 + y * y)


# ---- calls and trees ---------------------------------------------------------------------------------------------


def test_public_names() -> None:
    """The package is also the decorator, and `autograd` exports both names lazily."""
    assert autograd.compile_graph is compile_graph
    assert autograd.jit(poly)(1.0, 2.0) == jit(poly)(1.0, 2.0)
    with pytest.raises(AttributeError, match="no attribute 'jot'"):
        autograd.jot  # noqa: B018


def test_engine_does_not_load_the_compiler() -> None:
    """`import autograd` loads neither llvmlite nor NumPy."""
    code = "import autograd, sys; print(sorted({'llvmlite', 'numpy'} & set(sys.modules)))"
    assert "[]" == run_python(code).strip()


def test_error_without_llvmlite() -> None:
    """Without llvmlite the error names the extra."""
    code = (
        "import sys; sys.modules['llvmlite'] = None\ntry: from autograd import jit\nexcept ImportError as e: print(e)"
    )
    assert "pip install 'scalar-autograd[jit]'" in run_python(code)


@pytest.mark.parametrize(
    "tree",
    [
        2.0,
        [1.0, 2.0],
        (1.0, [2.0, (3.0,)]),
        {"a": 1.0, "b": [2.0, 3.0]},
        Pair(1.0, [2.0]),
        Point(1.0, 2.0),
        np.array([1.0, 2.0, 3.0]),
        np.arange(6.0).reshape(2, 3),
        np.arange(12.0).reshape(3, 4)[:, ::2],
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(3.0),
        [np.array([1.0]), {"x": (np.array([[2.0]]), 5.0)}],
        [float(i) for i in range(20)],
        np.array([1, 2, 3]),
        np.array([1.5, 2.5], dtype=np.float32),
    ],
    ids=repr,
)
def test_trees(tree: Any) -> None:
    """Arguments and results of every shape: the gradient of a sum of squares, called three times, is right."""

    def square(t: Any) -> Any:
        leaves, _ = autograd.tree.flatten(t)
        return am.sum([x * x for x in leaves])

    expected = value_and_grad(square)(tree)
    step = jit(value_and_grad(square))
    for _ in range(3):
        assert repr(expected) == repr(step(tree))


def test_structures_do_not_mix() -> None:
    """One compiled function takes arguments of many structures, also by keyword."""
    total = jit(lambda x, scale=1.0: am.sum(x) * scale)
    assert 3.0 == total([1.0, 2.0])
    assert 6.0 == total((1.0, 2.0, 3.0))
    assert 10.0 == total(np.arange(5.0))
    assert 6.0 == total([1.0, 2.0], 2.0)
    assert 9.0 == total([1.0, 2.0], scale=3)
    assert 3.0 == total([1, True, 1.0])


def test_refused_arguments() -> None:
    """An object that is not a number is refused with its place; so are dtypes that NumPy would not cast."""
    double = jit(lambda t: t["x"] * 2.0)
    with pytest.raises(TypeError, match=r"\['x'\].*text"):
        double({"x": "2"})
    with pytest.raises(TypeError, match="complex128 cannot be used as float64"):
        double({"x": np.array([1j])})
    with pytest.raises(TypeError, match="jit takes a function, not"):
        jit(3.0)
    with pytest.raises(ValueError, match="max_paths"):
        jit(poly, max_paths=0)


def test_results_are_fresh() -> None:
    """An array that a call returned does not change in the next call."""
    double = jit(lambda x: x * 2.0)
    first = double(np.array([1.0, 2.0]))
    double(np.array([5.0, 6.0]))
    assert [2.0, 4.0] == first.tolist()


# ---- transforms --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compiled", "eager"),
    [
        (jit(poly), poly),
        (jit(grad(poly)), grad(poly)),
        (jit(value_and_grad(poly, argnums=(0, 1))), value_and_grad(poly, argnums=(0, 1))),
        (jit(hessian(poly, argnums=(0, 1))), hessian(poly, argnums=(0, 1))),
        (jit(jacobian(lambda x, y: [x * y, x / y], (0, 1))), jacobian(lambda x, y: [x * y, x / y], (0, 1))),
        (jit(grad(grad(grad(poly)))), grad(grad(grad(poly)))),
        (grad(jit(poly)), grad(poly)),
        (grad(grad(jit(poly))), grad(grad(poly))),
        (hessian(jit(poly), (0, 1)), hessian(poly, (0, 1))),
        (grad(jit(grad(poly))), grad(grad(poly))),
        (jit(grad(jit(poly))), grad(poly)),
        (lambda x, y: jvp(jit(poly), (x, y), (1.0, 2.0)), lambda x, y: jvp(poly, (x, y), (1.0, 2.0))),
        (jit(lambda x, y: jvp(poly, (x, y), (1.0, 2.0))), lambda x, y: jvp(poly, (x, y), (1.0, 2.0))),
        (jit(lambda x, y: vjp(poly, x, y)[1](2.0)), lambda x, y: vjp(poly, x, y)[1](2.0)),
        (jit(lambda x, y: hvp(poly)(x, 2.0, y)), lambda x, y: hvp(poly)(x, 2.0, y)),
        (jit(checkpoint(poly)), poly),
    ],
)
def test_compositions(compiled: Any, eager: Any) -> None:
    """Transforms of compiled functions and compiled transforms equal the eager ones."""
    for values in ((1.25, 0.75), (1.875, 1.125)):
        np.testing.assert_allclose(
            np.array(autograd.tree.flatten(compiled(*values))[0]),
            np.array(autograd.tree.flatten(eager(*values))[0]),
            rtol=1e-13,
        )


def test_fresh_inputs_of_nested_derivatives() -> None:
    """Perturbations are not confused: an inner derivative sees only its own input."""

    def outer(x: Any) -> Any:
        return x * grad(lambda y: x * y)(x)

    assert 2.0 * 3.0 == jit(grad(outer))(3.0)


def test_one_node_in_a_graph() -> None:
    """Called on Values, a compiled function is one node with its local derivatives."""
    x, y = Value(1.5), Value(2.0)
    z = jit(poly)(x, y)
    assert {x, y, z} == set(topological_order(z))
    z.backward()
    expected = grad(poly, (0, 1))(1.5, 2.0)
    assert expected == pytest.approx((x.grad, y.grad), rel=1e-14)
    with no_grad():
        assert () == jit(poly)(x, y).operands


def test_inner_jit_is_inlined() -> None:
    """A compiled function in another is part of its program."""
    inner = jit(lambda x: am.exp(x))
    outer = jit(lambda x: inner(x) + inner(x))
    assert 2.0 * math.exp(0.5) == pytest.approx(outer(0.5), rel=1e-15)
    assert 1 == outer.program().count("exp")


def test_no_grad_and_data_cut_the_gradient() -> None:
    """`.data`, `.detach()` and `no_grad` keep the number and cut the gradient."""

    def function(x: Any) -> Any:
        with no_grad():
            frozen = x * x
        return frozen * x + x.data * x + x.detach()

    assert value_and_grad(lambda x: x * x)(3.0)[0] + 3.0 + 9.0 + 9.0 != 0.0
    assert (27.0 + 9.0 + 3.0, 9.0 + 3.0) == jit(value_and_grad(function))(3.0)
    assert (8.0 + 4.0 + 2.0, 4.0 + 2.0) == jit(value_and_grad(function))(2.0)


def test_poisoned_branch() -> None:
    """A branch that `where` did not select sends no message, at any order."""

    def safe(x: Any) -> Any:
        return am.where(x > 0.0, am.log(x) * am.sqrt(x), 2.0 * x)

    compiled = jit(lambda x: [safe(x), grad(safe)(x), grad(grad(safe))(x)])
    for x in (0.0, -1.0, 2.0):
        expected = [safe(Value(x)).data, grad(safe)(x), grad(grad(safe))(x)]
        assert expected == pytest.approx(compiled(x), rel=1e-14)
    batch = jit(vmap(grad(safe)))(np.array([0.0, -1.0, 2.0, 3.0, 0.0]))
    assert [grad(safe)(x) for x in (0.0, -1.0, 2.0, 3.0, 0.0)] == pytest.approx(batch.tolist(), rel=1e-14)


# ---- maps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9, 100])
@pytest.mark.parametrize("reduce", [None, "sum", "mean"])
def test_maps(count: int, reduce: Any) -> None:
    """`vmap` with every axis, layout and reduction; wide rows are transposed in square blocks."""
    random = np.random.default_rng(count)
    x, y = random.normal(size=(count, 19)), random.normal(size=(count,))

    def row(w: Any, x: Any, y: Any) -> Any:
        return {"s": am.dot(x, [w] * len(x)) * y, "t": x * w}

    eager = vmap(row, in_axes=(None, 0, 0), reduce=reduce)
    compiled = jit(eager)
    for first in (x, np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2]):
        for _ in range(2):
            expected, actual = eager(0.5, first, y), compiled(0.5, first, y)
            np.testing.assert_allclose(actual["s"], expected["s"], rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(
                np.array(actual["t"], dtype=float), np.array(expected["t"], dtype=float), rtol=1e-12, atol=1e-12
            )
    turned = jit(vmap(row, in_axes=(None, 1, 0), reduce=reduce))(0.5, np.ascontiguousarray(x.T), y)
    np.testing.assert_allclose(turned["s"], eager(0.5, x, y)["s"], rtol=1e-12, atol=1e-12)


def test_map_over_lists_and_trees() -> None:
    """Rows of lists, tuples, dicts and dataclasses; results come back in lists."""

    def row(a: Any, b: Any) -> Any:
        return (a["x"] + b.a, b.b[1] * 2.0)

    arguments = ({"x": [1.0, 2.0, 3.0]}, Pair([10.0, 20.0, 30.0], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    assert vmap(row)(*arguments) == jit(vmap(row))(*arguments)


@pytest.mark.parametrize("count", [0, 1, 4, 30])
def test_map_inside(count: int) -> None:
    """A map inside the compiled function is a loop in its program; its gradient is the map of the gradient."""
    x = np.linspace(-1.0, 1.0, count)

    def loss(w: Any, x: Any) -> Any:
        errors = vmap(lambda w, x: am.tanh(w[0] * x + w[1]) ** 2, in_axes=(None, 0), reduce="sum")
        return am.log(1.0 + errors(w, x)) + w[0] * w[0]

    step = jit(value_and_grad(loss))
    expected = value_and_grad(loss)([0.3, 0.2], x)
    value, gradient = step([0.3, 0.2], x)
    assert expected[0] == pytest.approx(value, rel=1e-13)
    assert expected[1] == pytest.approx(gradient, rel=1e-12)
    assert (count >= 4) == (f" in 0..{count}:" in step.program())
    second = jit(hessian(loss))([0.3, 0.2], x)
    np.testing.assert_allclose(second, hessian(loss)([0.3, 0.2], x), rtol=1e-11)
    np.testing.assert_allclose(
        jit(hvp(loss))([0.3, 0.2], [1.0, 2.0], x), hvp(loss)([0.3, 0.2], [1.0, 2.0], x), rtol=1e-11
    )
    by_rows = jit(grad(loss, 1))([0.3, 0.2], x)
    np.testing.assert_allclose(by_rows, grad(loss, 1)([0.3, 0.2], x), rtol=1e-11)


def test_map_inside_with_branches() -> None:
    """A map whose rows branch is unrolled; the result is the eager one for any mixture of branches."""

    def total(w: Any, x: Any) -> Any:
        return vmap(lambda w, x: w * x if x > 0.5 else w * w, in_axes=(None, 0), reduce="sum")(w, x) * 2.0

    step = jit(grad(total))
    for seed in range(4):
        x = np.random.default_rng(seed).uniform(size=7)
        assert grad(total)(3.0, x) == pytest.approx(step(3.0, x), rel=1e-14)


def test_threads_of_a_map() -> None:
    """Rows that are split among threads give the same numbers."""
    x = np.random.default_rng(0).normal(size=1001)
    single = jit(vmap(am.tanh))
    several = jit(vmap(am.tanh), threads=3)
    assert single(x).tolist() == several(x).tolist()
    mean = vmap(lambda w, x: w * x, in_axes=(None, 0), reduce="mean")
    assert jit(mean)(2.0, x) == pytest.approx(jit(mean, threads=2)(2.0, x), rel=1e-12)


# ---- branches ----------------------------------------------------------------------------------------------------


def test_branches_and_loops() -> None:
    """`if`, `while`, early return, `max`, `sorted` and `in` on numbers of the arguments."""

    def newton(x: Any) -> Any:
        y = x if x > 1.0 else 1.0 * x + 1.0
        steps = 0
        while abs(y * y - x) > 1e-12:
            y = 0.5 * (y + x / y)
            steps += 1
            if steps > 50:
                return -1.0
        return y

    compiled = jit(value_and_grad(newton))
    for x in (2.0, 0.5, 9.0, 100.0, 2.0, 1e4, 0.01):
        assert value_and_grad(newton)(x) == pytest.approx(compiled(x), rel=1e-13)
    assert [3.0, 2.0, 1.0] == [jit(lambda v: max(v))(v) for v in ([1.0, 3.0], [2.0, 1.0], [1.0, 1.0])]
    order = jit(lambda v: sorted(v))
    assert [[1.0, 2.0, 3.0]] * 3 == [order(v) for v in ([3.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 1.0])]


def test_truth_and_tests() -> None:
    """Truth, `not`, chained comparisons, `isnan` and arithmetic with comparisons give the eager results."""

    def function(x: Any) -> Any:
        if not x:
            return 100.0 * (x + 1.0)
        if am.isnan(x):
            return 7.0 + 0.0 * am.where(x != x, 0.0, x)
        if am.isinf(x):
            return 8.0
        return (x > 1.0) * 2.0 + (0.0 < x < 3.0) + x

    compiled = jit(function)
    for x in (0.0, -0.0, 2.0, 5.0, -1.0, math.nan, math.inf, -math.inf, 2.5):
        expected = function(Value(x))
        assert getattr(expected, "data", expected) == pytest.approx(compiled(x), nan_ok=True)


def test_mixed_batches() -> None:
    """Rows that take different branches are regrouped; results are in order, sums are complete."""

    def row(w: Any, x: Any) -> Any:
        total, steps = w, set()
        while total < x:
            total = total * 2.0
            steps.add(len(steps))  # so each comparison is a guard
        return [total, x - total] if x > 0.0 else [x * w, x]

    x = np.random.default_rng(3).uniform(-2.0, 40.0, size=203)
    eager = vmap(row, in_axes=(None, 0))
    expected, actual = eager(1.0, x), jit(eager)(1.0, x)
    assert np.array(expected).tolist() == np.array(actual).tolist()
    mean = vmap(lambda w, x: row(w, x)[0], in_axes=(None, 0), reduce="mean")
    compiled = jit(value_and_grad(mean))
    assert value_and_grad(mean)(1.0, x) == pytest.approx(compiled(1.0, x), rel=1e-12)
    assert value_and_grad(mean)(1.1, x[:9]) == pytest.approx(compiled(1.1, x[:9]), rel=1e-12)
    assert compiled.stats()["paths"] > 3


def test_too_many_paths() -> None:
    """The error for too many specializations names the line and suggests `where`."""

    def count(x: Any) -> Any:
        steps = set()
        while x > 0.0:  # the loop of the test
            x = x - 1.0
            steps.add(len(steps))  # so each comparison is a guard
        return x

    compiled = jit(count, max_paths=5)
    for k in range(5):
        compiled(float(k))
    with pytest.raises(TooManyPathsError, match=r"test_jit.py:\d+ in count.*where"):
        compiled(7.0)
    assert 0.0 == compiled(2.0)
    with pytest.raises(TooManyPathsError, match=r"test_jit.py:\d+ in count.*where"):
        jit(vmap(count), max_paths=5)(np.arange(10.0))


def test_too_many_paths_of_a_function_without_source() -> None:
    """The error says that branches typed at a prompt are not compiled, and where to write them."""
    names: dict[str, Any] = {}
    exec("def count(x):\n    while x > 0.0:\n        x = x - 1.0\n    return x", names)
    with pytest.raises(TooManyPathsError, match=r"<string>:2 in count: define it in a file or a notebook"):
        jit(vmap(names["count"]), max_paths=5)(np.arange(10.0))


def test_frozen_numbers() -> None:
    """Code that would freeze a number raises and names the line; numbers independent of the arguments may be frozen."""
    for freeze in (float, lambda x: [1, 2][x], math.exp, lambda x: range(x), complex):
        with pytest.raises(TypeError, match=r"freeze it, at .*test_jit.py:\d+"):
            jit(lambda x, freeze=freeze: freeze(x) and x)(1.0)
    with pytest.raises(TypeError, match="backward"):
        jit(lambda x: (x * x).backward())(1.0)
    with pytest.raises(AttributeError, match=r"test_jit.py:\d+"):
        jit(lambda x: setattr(x, "data", 1.0))(1.0)
    assert 6.0 == jit(lambda x: x * int(3.7))(2.0)


def test_no_traces_escape() -> None:
    """A tracer kept from one capture is refused in another."""
    kept: list[Any] = []
    jit(lambda x: kept.append(x) or x * 2.0)(1.0)
    with pytest.raises(TypeError, match="traced by one compilation was used in another"):
        jit(lambda x: x * kept[0])(1.0)


def test_anomalies() -> None:
    """Under `detect_anomaly` the function runs node by node and the first bad one raises."""
    compiled = jit(value_and_grad(lambda x: am.log(x) * 2.0))
    compiled(1.0)
    with detect_anomaly(), pytest.raises(autograd.AnomalyError, match="log"):
        compiled(0.0)


# ---- closures ----------------------------------------------------------------------------------------------------


def test_parameters_closed_over() -> None:
    """Values closed over are read again, what the function makes of them is made again, gradients reach them."""
    w, b = Value(2.0), Value(1.0)
    compiled = jit(lambda x: w * w * x + b)
    y = compiled(3.0)
    y.backward()
    assert (13.0, 12.0, 1.0) == (y.data, w.grad, b.grad)
    w.data = 5.0
    b.data = 2.0
    assert 77.0 == compiled(3.0).data
    gradient = jit(grad(lambda x: w * x * x))
    assert [30.0, 30.0] == [gradient(3.0), gradient(3.0)]
    w.data = 1.0
    assert 6.0 == gradient(3.0)


def test_computed_values_closed_over() -> None:
    """A Value computed outside keeps its number, as in eager code, and its gradient reaches its parents."""
    w = Value(2.0)
    square = w * w
    compiled = jit(lambda x: square * x)
    w.data = 10.0
    y = compiled(3.0)
    y.backward()
    assert (12.0, 12.0) == (y.data, w.grad)
    nested = grad(lambda x: grad(lambda y: jit(lambda z: x * x * y * z)(2.0))(x))
    assert grad(lambda x: grad(lambda y: x * x * y * 2.0)(x))(3.0) == nested(3.0)
    inside = jit(grad(lambda x: jit(lambda y: x * x * y)(2.0)))
    assert 12.0 == inside(3.0)


def test_closed_over_only() -> None:
    """A function without arguments, only of Values, is one node too."""
    w = Value(3.0)
    compiled = jit(lambda: w * w)
    for number in (3.0, 4.0):
        w.data, w.grad = number, 0.0
        y = compiled()
        y.backward()
        assert (number * number, 2.0 * number) == (y.data, w.grad)


def test_module() -> None:
    """A module of `nn` as an argument and in a closure: value and gradients are the eager ones."""
    import random

    random.seed(0)
    model = MLP(2, [3, 1])
    x = [0.5, -0.3]

    def loss(model: Any, x: Any) -> Any:
        out = model(x)
        out = out[0] if isinstance(out, (list, tuple)) else out
        return out * out

    expected = loss(model, [Value(v) for v in x])
    expected.backward()
    gradients = [p.grad for p in model.parameters()]
    model.zero_grad()
    compiled = jit(lambda x: loss(model, x))
    actual = compiled(x)
    actual.backward()
    assert expected.data == pytest.approx(actual.data, rel=1e-14)
    assert gradients == pytest.approx([p.grad for p in model.parameters()], rel=1e-13)
    value, by_model = jit(value_and_grad(loss))(model, x)
    assert expected.data == pytest.approx(value.data, rel=1e-14)
    assert gradients == pytest.approx([p.data for p in by_model.parameters()], rel=1e-13)


def large_gradient() -> tuple[Any, Any, list[Value], Value, list[Any]]:
    """A gradient by 40 Values, eager and compiled, with a list that grows when its function runs."""
    runs: list[Any] = []
    leaves, w = [Value(0.1 * i) for i in range(40)], Value(2.0)

    def loss(v: Any) -> Any:
        runs.append(v)
        return am.sum([x * x * y * w for x, y in pairwise(v)])

    return grad(loss), jit(grad(loss)), leaves, w, runs


def norm(gradient: Any) -> Any:
    """The squared length."""
    return am.sum([g * g for g in gradient])


@pytest.mark.parametrize(
    "use",
    [
        lambda gradient: norm(gradient).backward(),
        lambda gradient: (2.0 * gradient[7] + gradient[7] * gradient[9]).backward(),
        lambda gradient: gradient[3].backward(2.0),
        lambda gradient: autograd.backward(gradient[2:5], [1.0, 2.0, 3.0]),
        lambda gradient: jit(lambda g: g * g)(gradient[3]).backward(),
        lambda gradient: jit(lambda: gradient[3] * gradient[4])().backward(),
        lambda gradient: grad(norm)(gradient)[5].backward(),
        lambda gradient: max(gradient, key=lambda g: g.data).backward(),
        lambda gradient: (np.array(gradient) * 2.0).sum().backward(),
        lambda gradient: topological_order(gradient[3])[-1].backward(),
        lambda gradient: copy.copy(gradient[3]).backward(),
        lambda gradient: [m.operand.zero_grad() for m in record_sweep(gradient[3])],
    ],
)
def test_large_gradient_by_values_has_its_graph_on_demand(use: Any) -> None:
    """A gradient by many Values costs one call; code that then reads its graph gets that of eager code."""
    eager, compiled, leaves, w, runs = large_gradient()

    def outcome(function: Any, count: int) -> Any:
        for x in (*leaves, w):
            x.grad = 1.0
        function(leaves)
        before, gradient = len(runs), function(leaves)
        assert before + 1 - count == len(runs)
        numbers = [g.data for g in gradient]
        for x in leaves:
            x.data += 1.0  # later changes have no effect
        use(gradient)
        for k, x in enumerate(leaves):
            x.data = 0.1 * k
        assert before + 1 - count == len(runs)  # the function does not run again for the graph
        return [*numbers, *[x.grad for x in leaves], w.grad]

    assert outcome(eager, 0) == pytest.approx(outcome(compiled, 1), rel=1e-13)


def test_large_gradient_by_values_travels() -> None:
    """Its numbers are copied and pickled with their graphs; a graph that can no longer be made is refused."""
    eager, compiled, leaves, w, _ = large_gradient()
    for k, x in enumerate([w, *leaves]):
        x.label = f"x{k}"
    assert all(isinstance(g, Ungraphed) for g in compiled(leaves))

    def twice(x: Any) -> Any:
        return pickle.loads(pickle.dumps(x))

    for travel in (copy.deepcopy, twice):
        both = []
        for function in (eager, compiled):
            twin = travel(function(leaves)[3])
            twin.backward()
            both.append({x.label: x.grad for x in topological_order(twin) if x.op is None and x.label})
        assert both[0] == pytest.approx(both[1], rel=1e-13)
        assert both[0]["x4"] != 0.0 == leaves[3].grad
    gradient = compiled(leaves)
    w.data = 3.0
    with pytest.raises(ValueError, match=r"was 2\.0 when the gradient was computed"):
        gradient[0] * 2.0
    small = jit(grad(lambda v: v[0] ** 3))([Value(2.0)])
    small[0].backward()
    assert 12.0 == small[0].data


def test_compile_graph() -> None:
    """A graph built node by node becomes a function; its other leaves are read again at each call."""
    x, y, w = Value(2.0), Value(3.0), Value(10.0)
    u = x * y
    compiled = compile_graph({"a": u + w, "b": [u * x]}, [x, y])
    assert {"a": 16.0, "b": [12.0]} == plain(compiled(2.0, 3.0))
    w.data = 20.0
    assert {"a": 21.0, "b": [1.0]} == plain(compiled(1.0, 1.0))
    inner = compile_graph(u * 2.0, [u])
    assert 14.0 == inner(7.0)
    with pytest.raises(TypeError, match="must be a Value"):
        compile_graph(u, [3.0])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="2 inputs"):
        compiled(1.0)


def plain(tree: Any) -> Any:
    """The numbers of Values."""
    return autograd.tree.to_floats(tree)


# ---- rules of users ----------------------------------------------------------------------------------------------


def test_custom_rules() -> None:
    """A primitive written in Python is called back, in lanes too; its derivative may branch."""

    @custom_gradient(lambda x, y: 3.0 * x**2 if x > 0.0 else -3.0 * x**2)
    def cube(x: float) -> float:
        return abs(x) ** 3

    compiled = jit(value_and_grad(lambda x: cube(x) * 2.0))
    assert [(16.0, 24.0), (16.0, -24.0)] == [compiled(2.0), compiled(-2.0)]
    assert [8.0, 1.0, 27.0, 0.0, 1.0] == jit(vmap(cube))(np.array([2.0, -1.0, 3.0, 0.0, 1.0])).tolist()


def test_rules_of_one_name() -> None:
    """Each compiled function calls its own rules, even if other rules have the same name or are gone."""

    def adding(k: float) -> Compiled:
        @custom_gradient(lambda x, y: 1.0)
        def add(x: float) -> float:
            return x + k

        compiled: Compiled = jit(lambda x: add(x) * 2.0)
        assert 2.0 + 2.0 * k == compiled(1.0)
        return compiled

    kept = [adding(float(k)) for k in range(40)][::2]
    assert [2.0 + 4.0 * k for k in range(20)] == [compiled(1.0) for compiled in kept]


def test_errors_of_custom_rules() -> None:
    """An exception in a primitive reaches the caller, but only if it is in the branch that is taken."""

    @custom_gradient(lambda x, y: 1.0)
    def picky(x: float) -> float:
        if x < 0.0:
            raise ZeroDivisionError("negative")
        return x

    compiled = jit(lambda x: picky(x) if x >= 0.0 else x * 2.0)
    assert [3.0, -6.0, 4.0] == [compiled(3.0), compiled(-3.0), compiled(4.0)]
    always = jit(lambda x: picky(x))
    assert 1.0 == always(1.0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match="negative"):
            always(-1.0)
    assert 2.0 == always(2.0)


# ---- looking inside ----------------------------------------------------------------------------------------------


def test_inspection() -> None:
    """The program, LLVM's text, the assembly and the numbers."""
    compiled = jit(value_and_grad(lambda x: am.tanh(x * x)))
    with pytest.raises(ValueError, match="call it once"):
        compiled.program()
    compiled(0.5)
    assert "v1 = mul x x" in compiled.program()
    assert "tanh" in compiled.program()
    assert "define i64 @run" in compiled.llvm_ir()
    assert "vmulsd" in compiled.assembly() or "mul" in compiled.assembly()
    stats = compiled.stats()
    assert 1 == stats["paths"]
    assert stats["instructions"][0]["captured"] >= stats["instructions"][0]["compiled"] > 0
    assert stats["code_bytes"] > 0
    assert stats["compile_seconds"] > 0.0


def test_options() -> None:
    """`accurate` gives the bits of eager arithmetic; `fast_math` gives nearby numbers."""
    x = np.random.default_rng(0).normal(size=50)

    def function(x: Any) -> Any:
        return sum(am.exp(a) * b + a for a, b in pairwise(x))

    expected = function([Value(v) for v in x.tolist()]).data
    assert expected == jit(function, accurate=True)(x)
    assert expected == pytest.approx(jit(function, fast_math=True)(x), rel=1e-12)


def test_long_programs() -> None:
    """A program of many functions passes values through the workspace, in scalar code and in lanes."""

    def long(x: Any) -> Any:
        a, b, c = x, x * 0.5, x + 1.0
        for k in range(700):
            a, b, c = a * 0.9 + b * 0.1, am.where(b < c, c * 0.99, a), am.sin(c) if k % 50 == 0 else c - 0.001 * a
        return a + b + c

    assert value_and_grad(long)(0.7) == pytest.approx(jit(value_and_grad(long), accurate=True)(0.7), rel=1e-13)
    x = np.linspace(-1.0, 1.0, 11)
    actual = jit(vmap(long))(x)
    assert [long(Value(v)).data for v in x.tolist()] == pytest.approx(actual.tolist(), rel=1e-12)


# ---- pickles, copies, threads ------------------------------------------------------------------------------------


def run_python(code: str, **environment: str) -> str:
    """The output of a new Python process."""
    folders = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": folders, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.slow
def test_pickle(tmp_path: Path) -> None:
    """The program is pickled to another process; a function that cannot be imported runs its stored programs."""
    lost = jit(vmap(lambda x: am.exp(x) if x > 0.0 else x))
    named = jit(grad(poly))
    for compiled, arguments in ((lost, (np.array([1.0, -1.0]),)), (named, (1.0, 2.0)), (decorated, (2.0,))):
        expected = compiled(*arguments)
        (tmp_path / "pickle").write_bytes(pickle.dumps((compiled, arguments, expected)))
        code = f"""if True:
            import pickle, numpy as np
            f, arguments, expected = pickle.load(open({str(tmp_path / "pickle")!r}, "rb"))
            assert np.array_equal(f(*arguments), expected)
            print(len(f.paths()))"""
        assert str(len(compiled.paths())) == run_python(code).strip()
    travelled = pickle.loads(pickle.dumps(jit_of_lambda()))
    assert 4.0 == travelled(2.0)
    with pytest.raises(RuntimeError, match="could not be pickled"):
        travelled([2.0])
    assert 0.25 == pickle.loads(pickle.dumps(decorated))(-0.5)


def jit_of_lambda() -> Compiled:
    """A compiled function that cannot be imported."""
    compiled: Compiled = jit(lambda x: x * x if isinstance(x, (Value, float)) else x)
    compiled(3.0)
    return compiled


def test_copies() -> None:
    """Copies compute the same."""
    compiled = jit_of_lambda()
    assert [9.0, 9.0] == [copy.copy(compiled)(3.0), copy.deepcopy(compiled)(3.0)]


def test_threads() -> None:
    """One compiled function is called from several threads at once, also with new branches and structures."""
    compiled = jit(lambda x: x[0] * 2.0 if x[0] > 50.0 else am.sum(x) + x[0])
    wrong: list[Any] = []

    def work(start: int) -> None:
        for k in range(start, start + 300):
            x = float(k % 100)
            expected = x * 2.0 if x > 50.0 else x + x + 1.0 + x * (k % 3 == 0)
            actual = compiled([x, 1.0, x] if k % 3 == 0 else [x, 1.0])
            if expected != actual:
                wrong.append((k, expected, actual))

    threads = [threading.Thread(target=work, args=(7 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == wrong


def test_rules_stay_whole() -> None:
    """The rules themselves can be compiled, like any function of numbers."""
    assert rules.tanh(0.3) == pytest.approx(jit(rules.tanh)(0.3), rel=1e-15)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: [x] * 200 if x > 1.5 else [x],
        lambda x: {"a": x} if x > 1.0 else {"b": x},
        lambda x: (x, x) if x > 1.5 else x,
    ],
)
def test_rows_of_several_shapes(function: Any) -> None:
    """Rows whose results differ in shape from branch to branch give the results or errors of eager code."""
    compiled, mapped = jit(vmap(function)), vmap(function)
    for _ in range(2):
        assert mapped([1.0, 2.0, 1.2]) == compiled([1.0, 2.0, 1.2])
        assert mapped([1.0, 1.0]) == compiled([1.0, 1.0])
    with pytest.raises(ValueError, match="row") as eager:
        mapped(np.arange(100.0))
    with pytest.raises(ValueError, match="row") as other:
        compiled(np.arange(100.0))
    assert str(eager.value) == str(other.value)


def test_methods() -> None:
    """A method is compiled once for all instances; the instance is an argument like any other."""

    class Line(Module):
        def __init__(self, slope: float) -> None:
            self.slope = Value(slope)

        @jit
        def at(self, x: Any) -> Any:
            return self.slope * x + 1.0

    one, other = Line(2.0), Line(3.0)
    assert (7.0, 10.0) == (one.at(3.0).data, other.at(3.0).data)
    one.at(3.0).backward()
    assert (3.0, 0.0) == (one.slope.grad, other.slope.grad)
    assert Line.at(one, 1.0) == 3.0


def test_comparisons_as_results() -> None:
    """A comparison that is returned is a number: 1.0 or 0.0 for True or False."""
    compiled = jit(lambda x: {"big": x > 1.0, "parts": [x < 0.0, x]})
    for x in (2.0, -2.0, 0.5):
        assert {"big": x > 1.0, "parts": [x < 0.0, x]} == compiled(x)


def test_errors_name_the_argument() -> None:
    """The error names the argument that is not a number; for arguments that must be fixed first it says how."""
    compiled = jit(lambda x, n: [x * k for k in range(n)][-1])
    with pytest.raises(TypeError, match=r"argument 1 of <lambda>: 'abc' of type str is text"):
        compiled(1.0, "abc")
    with pytest.raises(TypeError, match=r"argument 'n' of <lambda>\[0\]: <class 'object'>"):
        compiled(1.0, n=[object])
    with pytest.raises(TypeError, match=r"test_jit.py.*jit\(static_argnames=...\)"):
        compiled(1.0, 3)
    assert 2.0 == jit(compiled.function, static_argnames="n")(1.0, 3)
    assert 2.0 == jit(functools.partial(compiled.function, n=3))(1.0)
