"""Cheap results of maps that are computed again where another map reads their neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import hessian, jit, scan, value_and_grad, vmap
from autograd.ir.block import Array, Program, Window
from autograd.ir.builder import Builder, LoopBuilder
from autograd.ir.evaluate import evaluate
from autograd.ir.passes.recompute import compute_again
from autograd.ir.passes.simplify import remove_dead_code


def heat(initial: Any, conduction: Any, steps: int = 4) -> Any:
    """The squares of temperatures after some explicit steps; both ends keep theirs."""

    def step(u: Any, _: None) -> Any:
        inner = vmap(lambda a, b, c: b + conduction * (a - 2.0 * b + c))(u[:-2], u[1:-1], u[2:])
        return [u[0], *[inner[i] for i in range(len(u) - 2)], u[-1]], None

    end, _ = scan(step, [initial[i] for i in range(len(initial))], None, length=steps)
    return am.sum([x * x for x in end])


@pytest.mark.parametrize("points", [17, 18, 20, 26, 40, 66, 99])
def test_stencil(points: int) -> None:
    """Value, gradient and Hessian of a stencil are those of eager code, for any number of points."""
    initial, conduction = np.random.default_rng(points).normal(size=points), np.float64(0.2)
    expected, slopes = value_and_grad(heat, argnums=(0, 1))(initial, conduction)
    fast = jit(value_and_grad(heat, argnums=(0, 1)))
    actual, found = fast(initial, conduction)
    np.testing.assert_allclose(actual, expected, rtol=1e-13)
    for one, other in zip(slopes, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-12, atol=1e-13)
    if points < 20:
        np.testing.assert_allclose(jit(hessian(heat))(initial, conduction), hessian(heat)(initial, conduction), 1e-11)


def chain(extent: int = 20, operations: int = 2, changes: bool = False, at_place: bool = False) -> Program:
    """A map over an array, and one that adds up neighbours among its results; the array changes in between."""
    builder = Builder()
    given = builder.input(Array((extent,)))
    x = builder.emit("add_at", (builder.emit("zeros", (), (extent,)), given), Window((extent,), 0, (1,)))
    made = LoopBuilder(builder, Builder(), extent)
    value = element = made.element(x if changes else given)
    for _ in range(operations):
        value = made.inner.emit("mul", (value, element))
    first = builder.emit("item", (made.finish([], [(value, "each")]),), 0)
    one = builder.constant(1.0)
    x = builder.emit("add_at", (x, one), Window((), 1))
    place = [builder.emit("read", (first, one), Window((), 0, (), (1,)))] if at_place else []
    parts = [builder.emit("read", (first,), Window((extent - 2,), k, (1,))) for k in range(3)]
    made = LoopBuilder(builder, Builder(), extent - 2)
    a, b, c = [made.element(part) for part in parts]
    total = made.inner.emit("add", (made.inner.emit("add", (a, b)), c))
    last = builder.emit("item", (made.finish([], [(total, "each")]),), 0)
    number = builder.emit("read", (first,), Window((), extent - 1))
    return Program(builder.code, [last, number, x, *place], tuple(builder.inputs))


def reads_of_results(program: Program) -> int:
    """How many parts of results of loops are read."""
    return sum(op == "read" and program.code[operands[0]].op == "item" for op, operands, _ in program.code)


@pytest.mark.parametrize(
    ("kwargs", "again"),
    [
        ({}, True),
        ({"extent": 15}, False),
        ({"operations": 5}, False),
        ({"changes": True}, False),
        ({"at_place": True}, False),
    ],
)
def test_program(kwargs: dict[str, Any], again: bool) -> None:
    """Only what is cheap, long, read at known places, and made of arrays that stay as they are is computed again."""
    program = chain(**kwargs)
    changed = remove_dead_code(compute_again(program))
    assert (reads_of_results(changed) == 0) == again
    xs = [0.1 * k - 1.0 for k in range(kwargs.get("extent", 20))]
    expected, actual = evaluate(program, [xs])[0], evaluate(changed, [xs])[0]
    assert repr(expected) == repr(actual)
