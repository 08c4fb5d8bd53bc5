"""Sums over the rows of a map that keep their factors for two blocks of rows at a time."""

from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import jit, value_and_grad, vmap
from autograd.compiler.lower.rows.layout import Rows
from autograd.compiler.lower.rows.sums import keep_factors
from autograd.ir.passes.simplify import prepare, simplify, unroll


def loss(w: Any, b: Any, x: Any, y: Any) -> Any:
    """Squared error of a layer of four units of five inputs, and a sum of their products."""
    units = [sum((a * v for a, v in zip(row, x)), bias) for row, bias in zip(w, b)]
    return sum((unit - y) ** 2 for unit in units) + units[0] * units[1]


def expected(w: Any, b: Any, x: Any, y: Any) -> tuple[float, Any, Any]:
    """The same with its gradient, by hand."""
    units = x @ w.T + b
    delta = 2.0 * (units - y[:, None])
    delta[:, 0] += units[:, 1]
    delta[:, 1] += units[:, 0]
    return np.sum((units - y[:, None]) ** 2) + np.sum(units[:, 0] * units[:, 1]), delta.T @ x, delta.sum(0)


@pytest.mark.parametrize("accurate", [False, True])
def test_every_remainder(accurate: bool) -> None:
    """No rows, one block that is not full, odd and even numbers of blocks: one specialization for all of them."""
    random = np.random.default_rng(0)
    w, b = random.normal(size=(4, 5)), random.normal(size=4)
    total = vmap(loss, in_axes=(None, None, 0, 0), reduce="sum")
    step = jit(value_and_grad(total, argnums=(0, 1)), accurate=accurate)
    for count in range(1, 40):
        x, y = random.normal(size=(count, 5)), random.normal(size=count)
        value, (by_w, by_b) = step(w, b, x, y)
        for ours, theirs in zip((value, by_w, by_b), expected(w, b, x, y)):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    assert 1 == step.stats()["paths"]
    assert ".sums0" in step.llvm_ir()


def test_what_is_kept() -> None:
    """Twenty-five sums of the layer's gradient need four factors besides the five columns; few sums keep nothing."""
    x, y = np.ones((9, 5)), np.ones(9)
    total = vmap(loss, in_axes=(None, None, 0, 0), reduce="sum")
    step = jit(value_and_grad(total, argnums=(0, 1)))
    step(np.ones((4, 5)), np.ones(4), x, y)
    loop = next(i.data for i in _unrolled(step).code if i.op == "loop")
    kept = keep_factors(loop, Rows.of(loop))
    assert kept is not None
    assert 1 + 4 * 5 + 4 == len(kept.sums)
    assert 1 + 4 == len(kept.new)
    assert 4 * 5 == len(kept.unneeded)
    small = jit(vmap(lambda w, x: w * x, in_axes=(None, 0), reduce="sum"))
    small(2.0, y)
    loop = next(i.data for i in _unrolled(small).code if i.op == "loop")
    assert keep_factors(loop, Rows.of(loop)) is None


def _unrolled(step: Any) -> Any:
    return unroll(prepare(simplify(step.paths()[0].captured)))


def test_constant_and_shared_factors() -> None:
    """Factors that are the same for all rows are kept like any other."""

    def function(w: Any, x: Any) -> Any:
        return [[a * b for a in [w, 2.0, 3.0, x[3], x[4]]] for b in [*x[:3], *[am.exp(v) for v in x[:3]]]]

    x = np.random.default_rng(1).normal(size=(21, 5))
    mapped = vmap(function, in_axes=(None, 0), reduce="sum")
    compiled = jit(mapped)
    np.testing.assert_allclose(compiled(0.3, x), mapped(0.3, x), rtol=1e-13, atol=1e-13)
    assert ".sums0" in compiled.llvm_ir()
