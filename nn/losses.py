"""Losses: how wrong the outputs for a batch are, as one number.

Outputs and targets are numbers, or nested sequences or arrays of them in the same shape: one number per
observation, or one row. Each loss takes `weights`, one number for each observation, and a `reduction`:

- ``"mean"``: the mean of the losses of the observations, weighted if there are weights: Σ wᵢ lᵢ / Σ wᵢ;
- ``"sum"``: Σ wᵢ lᵢ;
- ``"none"``: the list of all wᵢ lᵢ.

The loss of an observation with several outputs is the mean over them (in `half_sum_of_squares` the sum).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, Literal

import autograd.math as am
from autograd import Value
from autograd.modes import current_recorder
from autograd.tree import pairs
from nn.checks import positive, within

Tree = Any  # nested sequences or arrays of numbers
Loss = Callable[..., Any]
Term = Callable[[Any, Any], Any]
Reduction = Literal["mean", "sum", "none"]


def per_observation(function: Term) -> Loss:
    """Make a loss of your own from a function of the output and the target of one observation.

    Parameters
    ----------
    function : callable
        Takes the output for one observation (a number or a row) and its target, and returns a number.

    Returns
    -------
    callable
        A loss of a batch, with `weights` and `reduction` like the others here. `fit` runs the observations of such a
        loss side by side, in the lanes of the processor.

    Examples
    --------
    >>> import autograd.math as am
    >>> from nn import per_observation
    >>> @per_observation
    ... def pinball(output, target):
    ...     return am.max(0.9 * (target - output), 0.1 * (output - target))
    >>> pinball([1.0, 1.0], [2.0, 0.0])
    0.5
    >>> pinball([1.0, 1.0], [2.0, 0.0], weights=[1, 3], reduction="none")
    [0.9, 0.30000000000000004]
    """

    @functools.wraps(function)
    def loss(
        outputs: Tree, targets: Tree, *, weights: Sequence[Any] | None = None, reduction: Reduction = "mean"
    ) -> Any:
        return _over(_each(outputs, targets, ("outputs", "targets"), function), weights, reduction)

    made: Loss = _by_default("mean", loss)
    return made


def reduction_of(loss: Loss) -> str | None:
    """How a loss reduces the losses of its observations by default; None if it may not be such a mean or sum."""
    return getattr(loss, "reduction_by_default", None)


def _by_default(reduction: str, loss: Any) -> Any:
    loss.reduction_by_default = reduction
    return loss


_mean = functools.partial(_by_default, "mean")
_sum = functools.partial(_by_default, "sum")


@_sum
def half_sum_of_squares(
    outputs: Tree, targets: Tree, *, weights: Sequence[Any] | None = None, reduction: Reduction = "sum"
) -> Any:
    """Σ ½ (target - output)² over all outputs and observations: the error of the backpropagation textbooks.

    Parameters
    ----------
    outputs, targets : tree of numbers
        In the same shape.
    weights, reduction
        See `nn.losses`.

    Raises
    ------
    ValueError
        If outputs and targets differ in shape, or a weight is negative.

    Examples
    --------
    >>> from nn import half_sum_of_squares
    >>> half_sum_of_squares([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 6.0]])
    2.0
    """
    return _reduced(outputs, targets, _half_square, weights, reduction, of_outputs="sum")


@_mean
def mean_squared_error(
    outputs: Tree, targets: Tree, *, weights: Sequence[Any] | None = None, reduction: Reduction = "mean"
) -> Any:
    """The mean of (target - output)² over all outputs and observations.

    Parameters
    ----------
    outputs, targets : tree of numbers
        In the same shape.
    weights, reduction
        See `nn.losses`.

    Raises
    ------
    ValueError
        If outputs and targets differ in shape, there are none, or a weight is negative.

    Examples
    --------
    >>> from nn import mean_squared_error
    >>> mean_squared_error([1.0, 4.0], [1.0, 6.0])
    2.0
    >>> mean_squared_error([1.0, 4.0], [1.0, 6.0], weights=[3, 1])
    1.0
    """
    return _reduced(outputs, targets, lambda output, target: am.pow(target - output, 2), weights, reduction)


@_mean
def mean_absolute_error(
    outputs: Tree, targets: Tree, *, weights: Sequence[Any] | None = None, reduction: Reduction = "mean"
) -> Any:
    """The mean of |target - output| over all outputs and observations; its derivative at 0 is 0.

    Arguments and errors are those of `mean_squared_error`.

    Examples
    --------
    >>> from nn import mean_absolute_error
    >>> mean_absolute_error([1.0, 4.0], [1.0, 6.0])
    1.0
    """
    return _reduced(outputs, targets, lambda output, target: am.abs(target - output), weights, reduction)


@_mean
def huber(
    outputs: Tree,
    targets: Tree,
    *,
    delta: float = 1.0,
    weights: Sequence[Any] | None = None,
    reduction: Reduction = "mean",
) -> Any:
    """The mean of ½ e² for errors e = target - output of at most `delta`, and of δ (|e| - ½ δ) for larger ones.

    After P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35 (1964).

    Parameters
    ----------
    outputs, targets : tree of numbers
        In the same shape.
    delta : float
        The size of an error from which on the loss grows linearly.
    weights, reduction
        See `nn.losses`.

    Raises
    ------
    ValueError
        As for `mean_squared_error`, and if delta is not positive.

    Examples
    --------
    >>> from nn import huber
    >>> huber([0.0, 0.0], [0.5, 3.0], reduction="none")
    [0.125, 2.5]
    """
    bound = positive("delta", delta)

    def term(output: Any, target: Any) -> Any:
        error = am.abs(target - output)
        inside = am.min(error, bound)  # above the bound it is a constant
        return inside * (error - 0.5 * inside)

    return _reduced(outputs, targets, term, weights, reduction)


@_mean
def hinge(scores: Tree, labels: Tree, *, weights: Sequence[Any] | None = None, reduction: Reduction = "mean") -> Any:
    """The mean of max(0, 1 - label · score): the max-margin loss of a support vector machine.

    Parameters
    ----------
    scores : tree of numbers
        Positive where the model says 1, negative where it says -1.
    labels : tree of numbers
        1 or -1 for each score.
    weights, reduction
        See `nn.losses`.

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

    def term(score: Any, label: Any) -> Any:
        loss = am.relu(1.0 - label * score)
        if _is_traced(label):
            return _nan_unless((label == 1) | (label == -1), loss)
        if label not in (1, -1):
            raise ValueError(f"a label must be 1 or -1, not {label!r}: for labels 0 and 1 pass 2 * label - 1")
        return loss

    return _reduced(scores, labels, term, weights, reduction, ("scores", "labels"))


@_mean
def binary_cross_entropy_with_logits(
    logits: Tree,
    targets: Tree,
    *,
    class_weights: Sequence[float] | Mapping[int, float] | None = None,
    weights: Sequence[Any] | None = None,
    reduction: Reduction = "mean",
) -> Any:
    """The mean of -t log p - (1 - t) log(1 - p) with p = sigmoid(logit), computed without overflow.

    In terms of the logit z it is t softplus(-z) + (1 - t) softplus(z), so no digits cancel.

    Parameters
    ----------
    logits : tree of numbers
        The logarithm of the odds.
    targets : tree of numbers
        The probability, from 0 to 1, that the answer is yes; usually 0 or 1.
    class_weights : sequence or mapping, optional
        The weights of the answers no (0) and yes (1), for one logit per observation. They multiply `weights`.
    weights, reduction
        See `nn.losses`.

    Raises
    ------
    ValueError
        If logits and targets differ in shape, there are none, a target is not in [0, 1], or a weight is negative. If
        such a target is an argument of a compiled function, the loss is nan instead.

    Examples
    --------
    >>> from nn import binary_cross_entropy_with_logits
    >>> binary_cross_entropy_with_logits([1000.0, 0.0], [1, 0])
    0.34657359027997264
    """

    def term(logit: Any, target: Any) -> Any:
        traced = _is_traced(target)
        if not traced and not 0 <= target <= 1:
            raise ValueError(f"a target must be a probability from 0 to 1, not {target!r}")
        if not isinstance(target, Value):
            return _of_known_target(logit, target)
        positive = logit > 0
        smaller = am.softplus(am.where(positive, -logit, logit))
        loss = _plus_product(smaller, am.where(positive, 1.0 - target, -target), logit, traced)
        return _nan_unless((target >= 0) & (target <= 1), loss) if traced else loss

    if class_weights is not None:
        no, yes = _of_classes(class_weights, 2)
        weights = _times([no + target * (yes - no) for target in targets], weights)
    return _reduced(logits, targets, term, weights, reduction, ("logits", "targets"))


@_mean
def cross_entropy_with_logits(
    logits: Sequence[Sequence[Any]],
    classes: Sequence[Any],
    *,
    class_weights: Sequence[float] | Mapping[int, float] | None = None,
    weights: Sequence[Any] | None = None,
    reduction: Reduction = "mean",
) -> Any:
    """The mean of -log p(class) with p = softmax(logits), computed without overflow.

    Parameters
    ----------
    logits : sequence of rows, shape (observations, number of classes)
        Any constant may be added to a row.
    classes : sequence of int, shape (observations,), or of rows, shape (observations, number of classes)
        The right class of each observation, counted from 0; or the probability of each class, of which the loss is
        -Σ t log p.
    class_weights : sequence or mapping, optional
        The weight of each class, where classes are whole numbers. They multiply `weights`.
    weights, reduction
        See `nn.losses`.

    Raises
    ------
    ValueError
        If there is not one class for each row, there are none, a class is not an index of its row, or a probability or
        a weight is negative. If such a class is an argument of a compiled function, the loss is nan instead.

    Examples
    --------
    >>> from nn import cross_entropy_with_logits
    >>> cross_entropy_with_logits([[1000.0, 0.0], [0.0, 0.0]], [0, 1])
    0.34657359027997264
    >>> cross_entropy_with_logits([[1000.0, 0.0], [0.0, 0.0]], [0, 1], class_weights=[3.0, 1.0])
    0.17328679513998632
    """
    if len(logits) != len(classes):
        raise ValueError(f"{len(logits)} rows of logits need as many classes, not {len(classes)}")
    losses = [_cross_entropy(row, target) for row, target in zip(logits, classes)]
    if class_weights is not None and losses:
        by_class = _of_classes(class_weights, len(logits[0]))
        weights = _times([_chosen(by_class, number) for number in classes], weights)
    return _over(losses, weights, reduction)


@_mean
def poisson_with_log_rates(
    log_rates: Tree, counts: Tree, *, weights: Sequence[Any] | None = None, reduction: Reduction = "mean"
) -> Any:
    """The mean of exp(z) - count · z, where z is the logarithm of the expected count.

    This is the negative log likelihood of a Poisson distribution without log(count!), which depends on no parameter.

    Parameters
    ----------
    log_rates : tree of numbers
        The logarithms of the expected counts.
    counts : tree of numbers
        What was counted: numbers of at least 0.
    weights, reduction
        See `nn.losses`.

    Raises
    ------
    ValueError
        If log_rates and counts differ in shape, there are none, a count is negative, or a weight is. If such a count is
        an argument of a compiled function, the loss is nan instead.

    Examples
    --------
    >>> from nn import poisson_with_log_rates
    >>> poisson_with_log_rates([0.0, 0.0], [1, 3])
    1.0
    """

    def term(log_rate: Any, count: Any) -> Any:
        traced = _is_traced(count)
        if not traced and not 0 <= count < inf:
            raise ValueError(f"a count must be a number of at least 0, not {count!r}")
        loss = _plus_product(am.exp(log_rate), -count, log_rate, traced)
        return _nan_unless(count >= 0, loss) if traced else loss

    return _reduced(log_rates, counts, term, weights, reduction, ("log_rates", "counts"))


LOSSES = {
    loss.__name__: loss
    for loss in (
        half_sum_of_squares,
        mean_squared_error,
        mean_absolute_error,
        huber,
        hinge,
        binary_cross_entropy_with_logits,
        cross_entropy_with_logits,
        poisson_with_log_rates,
    )
}


# ---- terms -----------------------------------------------------------------------------------------------------------


def _half_square(output: Any, target: Any) -> Any:
    return 0.5 * am.pow(target - output, 2)


def _cross_entropy(row: Any, target: Any) -> Any:
    """-log p(class) of one observation, or -Σ t log p if the target is a row of probabilities."""
    if isinstance(row, (Value, float, int)):
        raise ValueError(f"logits must be rows with one number per class, not {row!r} for an observation")
    if hasattr(target, "__len__"):
        if len(target) != len(row):
            raise ValueError(f"{len(row)} logits need as many probabilities, not {len(target)}")
        for share in target:
            if not isinstance(share, Value) and not share >= 0:
                raise ValueError(f"a target must hold probabilities of at least 0, not {share!r}")
        return am.sum(target) * am.logsumexp(row) - am.dot(target, row)
    if _is_traced(target):
        return _of_traced_class(row, target)
    if not hasattr(target, "__index__") or not 0 <= target.__index__() < len(row):
        raise ValueError(f"a class must be a whole number from 0 to {len(row) - 1}, not {target!r}")
    return am.logsumexp(row) - row[target]


def _of_known_target(logit: Any, target: float) -> Any:
    """The binary cross entropy if the target is a plain number: the graph is the same for all logits."""
    if target == 0:
        return am.softplus(logit)
    if target == 1:
        return am.softplus(-logit)
    return target * am.softplus(-logit) + (1.0 - target) * am.softplus(logit)


def _plus_product(term: Any, factor: Any, output: Any, traced: bool) -> Any:
    """term + factor · output, in which 0 times infinity is 0: what does not happen costs nothing."""
    if not traced and not isinstance(factor, Value):
        return term if factor == 0 else term + factor * output
    return term + am.where((factor == 0) & (abs(output) == inf), 0.0, factor * output)


def _of_traced_class(row: Sequence[Any], number: Any) -> Any:
    """The cross entropy if the class is traced, so that comparisons choose its logit."""
    chosen: Any = am.nan
    valid: Any = False
    for k, logit in enumerate(row):
        chosen = am.where(number == k, logit, chosen)
        valid = (number == k) | valid
    return _nan_unless(valid, am.logsumexp(row) - chosen)


def _is_traced(target: Any) -> bool:
    """Whether a target is given at each call of a function that is being compiled, where a branch on it is a guard."""
    return isinstance(target, Value) and current_recorder() is not None


def _nan_unless(valid: Any, loss: Any) -> Any:
    """The loss; nan, with nan derivatives, where a traced target is wrong. Without a branch, a map stays a loop."""
    return loss * am.where(valid, 1.0, am.nan)


# ---- weights and reductions ------------------------------------------------------------------------------------------


def _reduced(
    outputs: Tree,
    targets: Tree,
    term: Term,
    weights: Sequence[Any] | None,
    reduction: str,
    names: tuple[str, str] = ("outputs", "targets"),
    of_outputs: str = "mean",
) -> Any:
    """The loss of a batch, of which `term` is the loss of one output."""
    if weights is None and reduction == of_outputs:
        terms = [term(output, target) for output, target in pairs(outputs, targets, names)]
        return am.sum(terms) if reduction == "sum" else am.mean(terms)

    def of_row(output: Any, target: Any) -> Any:
        terms = [term(o, t) for o, t in pairs(output, target, names)]
        return terms[0] if len(terms) == 1 else am.sum(terms) if of_outputs == "sum" else am.mean(terms)

    return _over(_each(outputs, targets, names, of_row), weights, reduction)


def _each(outputs: Tree, targets: Tree, names: tuple[str, str], function: Term) -> list[Any]:
    """A function of the output and the target of every observation."""
    for tree, name in zip((outputs, targets), names):
        if not (hasattr(tree, "__len__") and hasattr(tree, "__getitem__")) or isinstance(tree, (Mapping, str)):
            raise ValueError(f"{name} must be a sequence with one number or row for each observation, not {tree!r:.80}")
    if len(outputs) != len(targets):
        raise ValueError(f"{len(outputs)} {names[0]} need as many {names[1]}, not {len(targets)}")
    return [function(output, target) for output, target in zip(outputs, targets)]


def _over(losses: list[Any], weights: Sequence[Any] | None, reduction: str) -> Any:
    """The losses of all observations, reduced."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
    total: Any = None
    if weights is not None:
        given = _checked(weights, len(losses))
        losses = [weight * loss for weight, loss in zip(given, losses)]
        total = am.sum(given)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return am.sum(losses)
    if total is None:
        return am.mean(losses)
    if type(total) is float and total == 0.0:
        raise ValueError("all weights are 0: a mean needs at least one observation that counts")
    return am.sum(losses) / total


def _checked(weights: Sequence[Any], count: int) -> list[Any]:
    """The weights, one for each observation."""
    if not hasattr(weights, "__len__") or len(weights) != count:
        given = len(weights) if hasattr(weights, "__len__") else repr(weights)
        raise ValueError(f"{count} observations need as many weights, not {given}")
    found = [w if isinstance(w, Value) else within(f"weights[{i}]", w, 0.0) for i, w in enumerate(weights)]
    return found


def _times(by_class: list[Any], weights: Sequence[Any] | None) -> list[Any]:
    return by_class if weights is None else [a * b for a, b in zip(by_class, _checked(weights, len(by_class)))]


def _of_classes(class_weights: Sequence[float] | Mapping[int, float], count: int) -> list[float]:
    """The weight of every class; a class that a mapping does not name has the weight 1."""
    if isinstance(class_weights, Mapping):
        unknown = [k for k in class_weights if k not in range(count)]
        if unknown:
            raise ValueError(f"class_weights names the class {unknown[0]!r}; the classes are 0 to {count - 1}")
        class_weights = [class_weights.get(k, 1.0) for k in range(count)]
    if len(class_weights) != count:
        raise ValueError(f"{count} classes need as many class_weights, not {len(class_weights)}")
    return [within(f"class_weights[{k}]", weight, 0.0) for k, weight in enumerate(class_weights)]


def _chosen(by_class: Sequence[float], number: Any) -> Any:
    """The weight of a class."""
    if hasattr(number, "__len__"):
        raise ValueError("class_weights needs classes as whole numbers, not rows of probabilities")
    if not _is_traced(number):
        return by_class[number]
    chosen: Any = by_class[0]
    for k, weight in enumerate(by_class[1:], 1):
        chosen = am.where(number == k, weight, chosen)
    return chosen
