"""The outputs of a model for a whole array of observations, compiled, and what is measured on them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Any

import numpy as np

from autograd import no_grad, vmap
from autograd.tree import to_floats
from nn.data import Array, Data, as_array, row_of, target_of
from nn.losses import LOSSES, Loss, reduction_of
from nn.templates import Template
from nn.unchanged import refuse_memory

MOST = 64  # compiled functions that are kept
Metric = Callable[[Array, Array], float]


class Kept:
    """Compiled functions by what they depend on; those that were not used for the longest time are dropped."""

    def __init__(self) -> None:
        self._found: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The function for a key, made if there is none."""
        with self._lock:
            if key not in self._found:
                self._found[key] = make()
                while len(self._found) > MOST:
                    self._found.popitem(last=False)
            self._found.move_to_end(key)
            return self._found[key]


_forward, _losses = Kept(), Kept()


def predict(model: Any, inputs: Any, *, compiled: bool = True) -> Any:
    """The outputs for all rows of an array: see `Module.predict`."""
    rows = as_array(inputs, "X")
    template = Template(model, trainable=False)
    return outputs_of(model, forward(model, template, rows) if compiled else None, template.numbers(), rows)


def forward(model: Any, template: Template, rows: Array) -> Any:
    """A compiled function from parameters and rows to outputs; models of the same structure share it."""
    from autograd.compiler import jit

    build = template.builder()

    def outputs(numbers: Any, row: Any) -> Any:
        return build(list(numbers))(row)

    def made() -> Any:
        if len(rows):
            refuse_memory(template, rows)
        return jit(vmap(outputs, in_axes=(None, 0)), quiet=True)

    return _forward.get(template.structure(model), made)


def outputs_of(model: Any, compiled: Any, numbers: Array, rows: Array) -> Any:
    """The outputs for these rows, in an array: by a compiled function of the parameters, or by the model as it is."""
    if not len(rows):  # the shape of an output is known when there is one
        return outputs_of(model, compiled, numbers, np.zeros((1, *rows.shape[1:])))[:0]
    if compiled is not None:
        found = compiled(numbers, rows)  # of a list of outputs: a list of arrays, one for each output
        if not isinstance(found, (np.ndarray, list, tuple)):
            raise TypeError(f"predict needs a model that returns numbers or rows, not a {type(found).__name__}")
        array = found if isinstance(found, np.ndarray) else np.ascontiguousarray(np.moveaxis(np.array(found), -1, 0))
        # They are Values if the model reads some that are not its parameters.
        return array if array.dtype != object else np.array(to_floats(array), dtype=float)
    with no_grad():
        found = [to_floats(model(row_of(rows, i))) for i in range(len(rows))]
    return np.array(found, dtype=float)


def loss_of(loss: Loss, outputs: Array, data: Data, compiled: bool) -> float:
    """The loss of outputs that are there already; weighted if the data are."""
    weights = None if data.weights is None else data.weights
    if not reduction_of(loss):
        targets = [target_of(loss, row_of(data.targets, i)) for i in range(len(data))]
        options = {} if weights is None else {"weights": weights.tolist()}
        return float(loss(outputs.tolist(), targets, **options))
    each = np.ones(len(data)) if weights is None else weights
    total = _total(loss, outputs, data.targets, each, compiled)
    return total / float(each.sum()) if reduction_of(loss) == "mean" else total


def _total(loss: Loss, outputs: Array, targets: Array, weights: Array, compiled: bool) -> float:
    if not compiled:
        rows = [target_of(loss, row_of(targets, i)) for i in range(len(targets))]
        return float(loss(outputs.tolist(), rows, weights=weights.tolist(), reduction="sum"))

    from autograd.compiler import jit
    from autograd.compiler.capture.exact import exact

    def of_row(output: Any, target: Any, weight: Any) -> Any:
        return loss([output], [target], weights=[weight], reduction="sum")

    function = _losses.get(exact(loss), lambda: jit(vmap(of_row, reduce="sum"), quiet=True))
    return float(function(outputs, targets, weights))


# ---- metrics ---------------------------------------------------------------------------------------------------------


def accuracy(outputs: Array, targets: Array) -> float:
    """The share of observations whose class is right.

    The class of a row of outputs is its largest; that of a single output is whether it is positive, as for logits. Then
    targets are 0 and 1, or -1 and 1.
    """
    if outputs.ndim == 1:
        return float(np.mean((outputs > 0) == (targets > 0)))
    right = np.argmax(targets, axis=1) if targets.ndim == 2 else targets
    return float(np.mean(np.argmax(outputs, axis=1) == right))


def r2(outputs: Array, targets: Array) -> float:
    """1 - Σ (target - output)² / Σ (target - mean)², the share of the variance that is explained."""
    rest = float(np.sum((targets - outputs) ** 2))
    variance = float(np.sum((targets - targets.mean(axis=0)) ** 2))
    return 1.0 - rest / variance if variance else float("nan")


def error(outputs: Array, targets: Array) -> float:
    """The mean of |target - output|."""
    return float(np.mean(np.abs(targets - outputs)))


COLUMNS = frozenset({"loss", "learning_rate", "seconds"})  # that every history has
METRICS: dict[str, Metric] = {"accuracy": accuracy, "r2": r2, "mean_absolute_error": error}
OF_CLASSES = frozenset({"hinge", "binary_cross_entropy_with_logits", "cross_entropy_with_logits"})


def as_metrics(given: Any, loss: Loss, validated: bool) -> dict[str, Metric]:
    """Metrics by name; by default the accuracy of a classifier if there are validation data."""
    if given is None:
        known = getattr(loss, "func", loss)
        by_classes = known in LOSSES.values() and known.__name__ in OF_CLASSES
        return {"accuracy": accuracy} if by_classes and validated else {}
    items: Sequence[Any] = list(given) if isinstance(given, (list, tuple)) else [given]
    found: dict[str, Metric] = {}
    for item in items:
        if isinstance(item, str) and item not in METRICS:
            raise ValueError(
                f"a metric must be a function of outputs and targets or one of {', '.join(METRICS)}; not {item!r}"
            )
        if not isinstance(item, str) and not callable(item):
            raise TypeError(f"a metric must be a function of outputs and targets, or a name, not {item!r}")
        name = item if isinstance(item, str) else getattr(item, "__name__", "metric")
        if name in found or name in COLUMNS:
            other = "another metric" if name in found else "a column of the history"
            raise ValueError(f"a metric is called {name!r}, as {other} is: give the function a `__name__` of its own")
        found[name] = METRICS[item] if isinstance(item, str) else item
    return found


def measure(name: str, metric: Metric, outputs: Array, targets: Array) -> float:
    """The number that a metric returns."""
    found = metric(outputs, targets)
    try:
        return float(found)
    except TypeError:
        raise TypeError(f"the metric {name} must return one number, not {found!r:.80}") from None
