"""The losses of nn in compiled functions: targets that are arguments are checked without a branch for each row."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autograd import Value, grad, jit, value_and_grad, vmap
from autograd.tree import flatten, to_floats
from nn import (
    MLP,
    binary_cross_entropy_with_logits,
    cross_entropy_with_logits,
    half_sum_of_squares,
    hinge,
    mean_squared_error,
)

ROWS = 375
GENERATOR = np.random.default_rng(3)
INPUTS = GENERATOR.normal(size=(ROWS, 3))
SIGNS = [-1.0 if u < 0.5 else 1.0 for u in GENERATOR.uniform(size=ROWS)]
SHARES = [0.5 * (sign + 1.0) for sign in SIGNS]
CLASSES = GENERATOR.integers(0, 3, size=ROWS).tolist()
SINGLE: list[tuple[Callable[..., Any], list[Any], float]] = [  # a loss of one score, valid targets, and an invalid one
    (hinge, SIGNS, 0.0),
    (hinge, SIGNS, math.nan),
    (binary_cross_entropy_with_logits, SHARES, 1.5),
    (binary_cross_entropy_with_logits, SHARES, -0.5),
    (binary_cross_entropy_with_logits, [0.25, *SHARES[1:]], math.nan),
]
WRONG_CLASSES = [3.0, -1.0, 0.5, math.nan, math.inf]


def instructions(compiled: Any) -> int:
    """The number of instructions of the longest program."""
    return max(counts["compiled"] for counts in compiled.stats()["instructions"])


def close(expected: Any, actual: Any) -> None:
    """Compare two trees of numbers."""
    np.testing.assert_allclose(flatten(to_floats(actual))[0], flatten(to_floats(expected))[0], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("loss", "targets", "wrong"), SINGLE)
def test_rows_of_a_map(loss: Any, targets: list[float], wrong: float) -> None:
    """A map over rows stays a loop with one body, at the top and inside, and a wrong target gives nan."""

    def each(w: list[Any], x: Any, target: Any) -> Any:
        return loss([w[0] * x[0] + w[1] * x[1] + w[2] * x[2]], [target])

    mapped = vmap(each, (None, 0, 0), "mean")
    weights = [0.3, -0.2, 0.5]
    rows = np.array(targets)
    top, inside = jit(value_and_grad(mapped)), jit(value_and_grad(lambda w, t: mapped(w, INPUTS, t) * w[0]))
    close(value_and_grad(mapped)(weights, INPUTS, rows), top(weights, INPUTS, rows))
    close(value_and_grad(lambda w, t: mapped(w, INPUTS, t) * w[0])(weights, targets), inside(weights, targets))
    assert instructions(top) < 100
    assert instructions(inside) < 100
    assert "guard" not in top.program() + inside.program()
    rows[7] = wrong
    for value, gradient in (top(weights, INPUTS, rows), inside(weights, rows.tolist())):
        assert np.isnan([value, *gradient]).all()


@pytest.mark.parametrize(("loss", "targets", "wrong"), SINGLE)
def test_whole_batches(loss: Any, targets: list[float], wrong: float) -> None:
    """With all targets in one argument there is no guard for each of them, and a wrong one gives nan."""
    scores = INPUTS[:20, 0].tolist()
    compiled = jit(value_and_grad(loss), max_paths=1)
    for order in (targets[:20], targets[20:40]):
        close(value_and_grad(loss)(scores, order), compiled(scores, order))
    value, gradient = compiled(scores, [*targets[:19], wrong])
    assert math.isnan(value)
    assert math.isnan(gradient[19])


def test_plain_targets_are_checked_as_before() -> None:
    """Wrong targets that are plain numbers, or Values outside a capture, raise the error."""
    w = Value(0.5)
    for check in (
        lambda: jit(lambda z: hinge([z], [0]))(1.0),
        lambda: jit(lambda z: hinge([z * w], [0.0]))(1.0),
        lambda: hinge([1.0], [w]),
        lambda: jit(lambda z: binary_cross_entropy_with_logits([z], [2]))(1.0),
        lambda: binary_cross_entropy_with_logits([1.0], [-w]),
        lambda: jit(lambda z: cross_entropy_with_logits([[z, 1.0]], [2]))(1.0),
        lambda: jit(lambda z: cross_entropy_with_logits([[z, 1.0]], [0.5]))(1.0),
        lambda: vmap(lambda z: hinge([z], [0]))([1.0, 2.0]),
    ):
        with pytest.raises(ValueError, match="must be"):
            check()


def test_gradient_by_targets() -> None:
    """The losses are differentiated by targets as well."""
    for loss, targets in ((hinge, SIGNS[:5]), (binary_cross_entropy_with_logits, [0.25, 0.5, 0.0, 1.0, 0.75])):
        scores = INPUTS[:5, 1].tolist()
        close(grad(loss, 1)(scores, targets), jit(grad(loss, 1))(scores, targets))


def test_classes_as_arguments() -> None:
    """The cross entropy takes classes that are arguments, in whole batches and in rows of a map."""
    logits = INPUTS.tolist()
    compiled = jit(value_and_grad(cross_entropy_with_logits), max_paths=1)
    for start in (0, 10):
        chosen = logits[start : start + 10], CLASSES[start : start + 10]
        close(value_and_grad(cross_entropy_with_logits)(*chosen), compiled(*chosen))
    for wrong in WRONG_CLASSES:
        value, gradient = compiled(logits[:10], [*CLASSES[:9], wrong])
        assert math.isnan(value)
        assert np.isnan(gradient[9]).all()

    def each(scale: Any, row: Any, number: Any) -> Any:
        return cross_entropy_with_logits([[scale * z for z in row]], [number])

    mapped = vmap(each, (None, 0, 0), "mean")
    expected = value_and_grad(lambda k: cross_entropy_with_logits([[k * z for z in row] for row in logits], CLASSES))(
        2.0
    )
    step = jit(value_and_grad(mapped))
    numbers = np.array(CLASSES)
    close(expected, step(2.0, INPUTS, numbers))
    assert instructions(step) < 100
    for wrong in WRONG_CLASSES:
        rows = numbers.astype(float)
        rows[11] = wrong
        assert np.isnan(step(2.0, INPUTS, rows)).all()


def test_a_model_in_rows() -> None:
    """A model with its loss over 375 rows is one body, whose length does not depend on their number."""
    counts = []
    for rows in (20, ROWS):
        model = MLP(3, [4, 1], activation="tanh", seed=1)
        mapped = vmap(lambda m, x, t: binary_cross_entropy_with_logits([m(x)], [t]), (None, 0, 0), "mean")
        step = jit(value_and_grad(mapped))
        data = model, INPUTS[:rows], np.array(SHARES[:rows])
        close(value_and_grad(mapped)(*data)[0], step(*data)[0])
        counts.append(instructions(step))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("loss", [half_sum_of_squares, mean_squared_error])
def test_losses_without_a_check(loss: Any) -> None:
    """The other losses have nothing to check."""
    compiled = jit(value_and_grad(loss))
    close(value_and_grad(loss)([1.0, 2.0], [0.5, 4.0]), compiled([1.0, 2.0], [0.5, 4.0]))
