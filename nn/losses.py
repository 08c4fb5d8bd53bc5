"""Losses: how wrong the outputs for a whole batch are, as one number.

Outputs and targets are numbers, or nested sequences or arrays of them in the same shape: one number per
observation, or one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import autograd.math as am
from autograd import Value
from autograd.modes import current_recorder
from autograd.tree import pairs

Tree = Any  # nested sequences or arrays of numbers


def _is_traced(target: Any) -> bool:
    """Whether a target is given at each call of a function that is being compiled, where a branch on it is a guard."""
    return isinstance(target, Value) and current_recorder() is not None


def _nan_unless(valid: Any, loss: Any) -> Any:
    """The loss; nan, with nan derivatives, where a traced target is wrong. Without a branch, a map stays a loop."""
    return loss * am.where(valid, 1.0, am.nan)


def _of_traced_class(row: Sequence[Any], number: Any) -> Any:
    """The cross entropy if the class is traced, so that comparisons choose its logit."""
    chosen: Any = am.nan
    valid: Any = False
    for k, logit in enumerate(row):
        chosen = am.where(number == k, logit, chosen)
        valid = (number == k) | valid
    return _nan_unless(valid, am.logsumexp(row) - chosen)


def half_sum_of_squares(outputs: Tree, targets: Tree) -> Any:
    """Σ ½ (target - output)² over all outputs and observations: the error of the backpropagation textbooks.

    Raises
    ------
    ValueError
        If outputs and targets differ in shape.

    Examples
    --------
    >>> from nn import half_sum_of_squares
    >>> half_sum_of_squares([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 6.0]])
    2.0
    """
    return am.sum([0.5 * (target - output) ** 2 for output, target in pairs(outputs, targets, ("outputs", "targets"))])


def mean_squared_error(outputs: Tree, targets: Tree) -> Any:
    """The mean of (target - output)² over all outputs and observations.

    Raises
    ------
    ValueError
        If outputs and targets differ in shape, or there are none.

    Examples
    --------
    >>> from nn import mean_squared_error
    >>> mean_squared_error([1.0, 4.0], [1.0, 6.0])
    2.0
    """
    return am.mean([(target - output) ** 2 for output, target in pairs(outputs, targets, ("outputs", "targets"))])


def hinge(scores: Tree, labels: Tree) -> Any:
    """The mean of max(0, 1 - label · score): the max-margin loss of a support vector machine.

    Parameters
    ----------
    scores : tree of numbers
        Positive where the model says 1, negative where it says -1.
    labels : tree of numbers
        1 or -1 for each score.

    Raises
    ------
    ValueError
        If scores and labels differ in shape, there are none, or a label is neither 1 nor -1. If such a label is an
        argument of a compiled function, the loss is nan instead.

    Examples
    --------
    >>> from nn import hinge
    >>> hinge([2.0, 0.5, 0.5], [1, 1, -1])
    0.6666666666666666
    """
    losses = []
    for score, label in pairs(scores, labels, ("scores", "labels")):
        loss = am.relu(1.0 - label * score)
        if _is_traced(label):
            loss = _nan_unless((label == 1) | (label == -1), loss)
        elif label not in (1, -1):
            raise ValueError(f"a label must be 1 or -1, not {label!r}: for labels 0 and 1 pass 2 * label - 1")
        losses.append(loss)
    return am.mean(losses)


def binary_cross_entropy_with_logits(logits: Tree, targets: Tree) -> Any:
    """The mean of -t log p - (1 - t) log(1 - p) with p = sigmoid(logit), computed without overflow.

    In terms of the logit z it is softplus(z) - t z.

    Parameters
    ----------
    logits : tree of numbers
        The logarithm of the odds.
    targets : tree of numbers
        The probability, from 0 to 1, that the answer is yes; usually 0 or 1.

    Raises
    ------
    ValueError
        If logits and targets differ in shape, there are none, or a target is not in [0, 1]. If such a target is an
        argument of a compiled function, the loss is nan instead.

    Examples
    --------
    >>> from nn import binary_cross_entropy_with_logits
    >>> binary_cross_entropy_with_logits([1000.0, 0.0], [1, 0])
    0.34657359027997264
    """
    losses = []
    for logit, target in pairs(logits, targets, ("logits", "targets")):
        loss = am.softplus(logit) - target * logit
        if _is_traced(target):
            loss = _nan_unless((target >= 0) & (target <= 1), loss)
        elif not 0 <= target <= 1:
            raise ValueError(f"a target must be a probability from 0 to 1, not {target!r}")
        losses.append(loss)
    return am.mean(losses)


def cross_entropy_with_logits(logits: Sequence[Sequence[Any]], classes: Sequence[int]) -> Any:
    """The mean of -log p(class) with p = softmax(logits), computed without overflow.

    Parameters
    ----------
    logits : sequence of rows, shape (observations, number of classes)
        Any constant may be added to a row.
    classes : sequence of int, shape (observations,)
        The right class of each observation, counted from 0.

    Raises
    ------
    ValueError
        If there is not one class for each row, there are none, or a class is not an index of its row. If such a class
        is an argument of a compiled function, the loss is nan instead.

    Examples
    --------
    >>> from nn import cross_entropy_with_logits
    >>> cross_entropy_with_logits([[1000.0, 0.0], [0.0, 0.0]], [0, 1])
    0.34657359027997264
    """
    if len(logits) != len(classes):
        raise ValueError(f"{len(logits)} rows of logits need as many classes, not {len(classes)}")
    losses = []
    for row, number in zip(logits, classes):
        if isinstance(row, (Value, float, int)):
            raise ValueError(f"logits must be rows with one number per class, not {row!r} for an observation")
        if _is_traced(number):
            losses.append(_of_traced_class(row, number))
            continue
        if not hasattr(number, "__index__") or not 0 <= number.__index__() < len(row):
            raise ValueError(f"a class must be a whole number from 0 to {len(row) - 1}, not {number!r}")
        losses.append(am.logsumexp(row) - row[number])
    return am.mean(losses)
