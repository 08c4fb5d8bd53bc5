"""Sides of branches in rows: what a side needs is computed in a block that is skipped where no lane is on it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import grad, hessian, jit, value_and_grad, vmap
from autograd.compiler.lower import bodies
from autograd.compiler.lower.rows.sides import ALWAYS, Literal, paths
from autograd.ir.builder import Builder


def long(x: Any, steps: int = 6) -> Any:
    """Operations enough for a block."""
    for _ in range(steps):
        x = am.sin(x) * am.exp(-x * x) + am.log(x * x + 2.0)
    return x


def either(x: Any) -> Any:
    """Two long sides."""
    return long(x) if x > 1.0 else long(0.5 - x) * x


def one_after_another(x: Any) -> Any:
    """Branches that end the function, each inside the other side of the one before."""
    if x > 2.0:
        return long(x)
    y = long(x - 1.0, 3)
    if y > 0.5:
        return y * x
    if x < -1.0:
        y = long(y) + x
    return y


def again(x: Any) -> Any:
    """One condition twice: the second side needs what was chosen by the first."""
    large = x > 1.0
    y = long(x) if large else x
    z = am.cos(y) + y
    return long(z) * y if large else z


def both(x: Any) -> Any:
    """Conditions that are computed only where others hold."""
    if x > 0.0 and long(x) > 1.2:
        return x * x
    if x < -1.0 or long(x + 0.25) < 0.9:
        return am.exp(x)
    return x


def undefined(x: Any) -> Any:
    """What is computed on a side is nan or infinite on the other."""
    if x > 0.0:
        return long(am.sqrt(x)) + am.log(x) + 1.0 / x
    return long(am.sqrt(-x)) if x < 0.0 else 0.0 * x


FUNCTIONS = [either, one_after_another, again, both, undefined]
ROWS = {
    "one side": np.linspace(1.5, 1.9, 21),
    "the other": np.linspace(-3.0, -2.5, 21),
    "in blocks": np.repeat([3.0, -2.0, 0.5, 0.0], 16) + np.tile(np.linspace(0.0, 0.3, 16), 4),
    "mixed": np.random.default_rng(0).normal(size=67) * 2.0,
    "not numbers": np.array([np.nan, np.inf, -np.inf, 1.5, -0.0, 0.0, 1e300] * 3),
}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_results_and_derivatives(function: Callable[[Any], Any], rows: str) -> None:
    """As without blocks, whichever sides the rows of a block of lanes are on."""
    x = ROWS[rows]
    for transform in (lambda f: f, value_and_grad, grad) if rows == "not numbers" else (value_and_grad, hessian):
        expected = np.array([transform(function)(a) for a in x.tolist()])
        np.testing.assert_allclose(np.array(jit(vmap(transform(function)))(x)).T, expected, rtol=1e-11, atol=1e-13)


def test_the_gradient_of_a_sum() -> None:
    """By what the rows share: factors of sums are kept, and rows that fail a guard add nothing."""

    def loss(w: Any, x: Any, y: Any) -> Any:
        error = either(w[0] * x + w[1]) - y
        seen = [error]
        if x > 1.9:
            seen.append(w[1])  # a guard
        return sum(seen) ** 2

    for x in ROWS.values():
        x = np.clip(np.nan_to_num(x), -3.0, 3.0)
        total = value_and_grad(vmap(loss, in_axes=(None, 0, 0), reduce="sum"))
        expected, actual = total([0.75, 0.25], x, np.cos(x)), jit(total)([0.75, 0.25], x, np.cos(x))
        assert actual[0] == pytest.approx(expected[0], rel=1e-12)
        assert actual[1] == pytest.approx(expected[1], rel=1e-11)


def test_what_becomes_a_block() -> None:
    """Long sides do, one for each side; short ones do not."""
    compiled = jit(vmap(either))
    compiled(ROWS["mixed"])
    assert 2 == len(re.findall(r"^side\.\w+:", compiled.llvm_ir(), re.MULTILINE))
    short = jit(vmap(lambda x: x * x + 1.0 if x > 0.0 else -x))
    short(ROWS["mixed"])
    assert "side." not in short.llvm_ir()


def test_paths() -> None:
    """A value is needed on a side if nothing else uses it; what both sides need, or an output is, always."""
    builder = Builder()
    x = builder.input()
    shared = builder.emit("sin", (x,))
    condition = builder.emit("<", (shared, builder.constant(0.5)))
    then = builder.emit("exp", (shared,))
    inner = builder.emit("<", (then, x))
    deep = builder.emit("cos", (then,))
    chosen = builder.emit("select", (inner, deep, then))
    otherwise = builder.emit("log", (x,))
    output = builder.emit("select", (condition, chosen, otherwise))
    found = paths(builder.program([output]), ())
    yes, no = Literal(condition, True), Literal(condition, False)
    assert [ALWAYS, ALWAYS, (yes,), (yes,)] == [found[k] for k in (shared, condition, then, inner)]
    assert [(yes, Literal(inner, True)), (yes,), (no,), ALWAYS] == [found[k] for k in (deep, chosen, otherwise, output)]


def test_blocks_inside_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a block for every side, however short, results are the same."""
    monkeypatch.setenv("AUTOGRAD_CACHE", "off")
    monkeypatch.setattr(bodies, "LEAST", 1)
    for function in FUNCTIONS:
        x = ROWS["mixed"]
        compiled = jit(vmap(value_and_grad(function)))
        expected = np.array([value_and_grad(function)(a) for a in x.tolist()])
        np.testing.assert_allclose(np.array(compiled(x)).T, expected, rtol=1e-11, atol=1e-13)
        assert math.isfinite(expected.sum())
