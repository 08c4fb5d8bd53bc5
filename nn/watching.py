"""`fit(..., watch=True)`: the network while it learns, in a notebook.

A panel shows the losses and, for two inputs, what the model answers everywhere in their plane. Below it the viewer's
`flow.watch` shows weights, activations and gradients of one observation, edge by edge.
"""

from __future__ import annotations

import base64
import json
import time
from functools import cache
from importlib.resources import files
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from nn.batches import Batch
from nn.callbacks import Callback
from nn.data import Array
from nn.losses import LOSSES
from nn.prediction import OF_CLASSES, forward, outputs_of
from nn.progress import in_notebook
from nn.steps import graph_of

if TYPE_CHECKING:
    from nn.runs import Training

SECONDS = 0.1  # at least, from one picture to the next
SHARE = 0.05  # of the time, at most, for each of the two pictures after the first
SIDE = 48  # cells of the plane in each direction
MOST_POINTS = 500  # observations that are drawn
MOST_EPOCHS = 300  # points of a curve
LARGEST_GRAPH = 3_000  # nodes and operands of one observation's graph; of a larger one only the panel is shown


def next_time(begun: float, ended: float) -> float:
    """When a picture that took this time may be drawn again: at most ten times a second, and for its share of the time.

    Examples
    --------
    >>> from nn.watching import next_time
    >>> next_time(10.0, 10.5)
    20.0
    """
    return begun + max(SECONDS, (ended - begun) / SHARE)


class Watcher(Callback):
    """Shows a training run in a notebook."""

    changes = False

    def __init__(self) -> None:
        self.panel: Any = None
        self.flow: Any = None
        self.next_time = inf  # when it wants to be called, on the clock of `time.perf_counter`
        self._next = {self._show_panel: 0.0}
        self._plane: Array | None = None
        self._forward: Any = None

    def before(self, training: Training) -> None:
        """Show the model before it learns."""
        from IPython import display

        from autograd.view import flow

        if training.settings.jit:
            self._forward = forward(training.model, training.template, training.data.inputs)
        fixed = self._fixed(training)
        self.panel = _panel_class()(fixed=json.dumps(fixed), now=json.dumps(self._now(training)))
        display.display(self.panel)  # type: ignore[no-untyped-call]
        if _is_small(training):
            self.flow = flow.watch(training.model)
            self._next[self._show_flow] = 0.0
            self._show_flow(training)
            display.display(self.flow)  # type: ignore[no-untyped-call]
        self.next_time = 0.0

    def within_epoch(self, training: Training, batches: int) -> None:
        """Draw what it is time for."""
        for show, when in self._next.items():
            begun = time.perf_counter()
            if begun >= when:
                show(training)
                self._next[show] = next_time(begun, time.perf_counter())
        self.next_time = min(self._next.values())

    def after_epoch(self, training: Training) -> None:
        """Draw what it is time for."""
        if time.perf_counter() >= self.next_time:
            self.within_epoch(training, 0)

    def after(self, training: Training) -> None:
        """Show the trained model."""
        for show in self._next:
            show(training)

    def _show_panel(self, training: Training) -> None:
        self.panel.now = json.dumps(self._now(training))

    def _show_flow(self, training: Training) -> None:
        training.template.assign(training.parameters)
        self.flow(_one(training))

    # ---- the panel ---------------------------------------------------------------------------------------------

    def _fixed(self, training: Training) -> dict[str, Any]:
        """What stays the same."""
        found: dict[str, Any] = {"epochs": training.epochs}
        inputs, targets = training.data.inputs[:MOST_POINTS], training.data.targets[:MOST_POINTS]
        if training.data.inputs.shape[1:] != (2,) or (targets.ndim > 1 and not _of_classes(training)):
            return found
        low, high = training.data.inputs.min(axis=0), training.data.inputs.max(axis=0)
        margin = 0.1 * np.where(high > low, high - low, 1.0)
        low, high = low - margin, high + margin
        across, up = [np.linspace(a, b, SIDE) for a, b in zip(low, high)]
        self._plane = np.stack([np.tile(across, SIDE), np.repeat(up, SIDE)], axis=1)
        self._levels = (float(targets.min()), float(targets.max()))
        several = outputs_of(training.model, None, training.parameters, inputs[:1]).ndim == 2
        self._kind = "classes" if several else "logits" if _of_classes(training) else "value"
        classes = np.argmax(targets, axis=1) if targets.ndim == 2 else targets
        shown = self._shades(targets) if self._kind == "value" else (classes if several else classes > 0)
        points = [[round(x, 4), round(y, 4), int(t)] for (x, y), t in zip(inputs.tolist(), shown.tolist())]
        caption = {"classes": "the class of every place", "logits": "the probability of the second class"}
        return {
            **found,
            "kind": self._kind,
            "box": [low[0], high[0], low[1], high[1]],
            "points": points,
            "caption": caption.get(self._kind, "the output at every place"),
        }

    def _now(self, training: Training) -> dict[str, Any]:
        """What changes."""
        columns = training.history.columns
        found: dict[str, Any] = {
            "text": f"epoch {training.epoch} of {training.epochs}",
            "history": {name: _thinned(columns[name]) for name in ("loss", "val_loss") if name in columns},
        }
        if self._plane is not None:
            if self._forward is None:
                training.template.assign(training.parameters)
            outputs = outputs_of(training.model, self._forward, training.parameters, self._plane)
            found["cells"] = base64.b64encode(self._cells(outputs).tobytes()).decode()
        return found

    def _cells(self, outputs: Array) -> Any:
        """A byte for each place: a class, or a shade from the lowest to the highest answer."""
        if self._kind == "classes":
            return np.argmax(outputs, axis=1).astype(np.uint8)
        if self._kind == "logits":
            return (255 * np.exp(-np.logaddexp(0.0, -outputs))).astype(np.uint8)
        return self._shades(outputs)

    def _shades(self, numbers: Array) -> Any:
        low, high = self._levels
        return (255 * np.clip((numbers - low) / (high - low or 1.0), 0.0, 1.0)).astype(np.uint8)


def refuse_without_notebook() -> None:
    """Say at once what is missing.

    Raises
    ------
    ImportError
        If anywidget is not installed.
    RuntimeError
        If this is no notebook.
    """
    if not in_notebook():
        raise RuntimeError("watch=True shows the network in a Jupyter notebook: elsewhere leave it out")
    _panel_class()


@cache
def _panel_class() -> Any:
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise ImportError("watch=True needs anywidget: pip install 'scalar-autograd[view]'") from error

    class Panel(anywidget.AnyWidget):
        """The losses, and what the model answers."""

        _esm = (files("nn") / "static" / "watch.js").read_text(encoding="utf-8")
        fixed = traitlets.Unicode().tag(sync=True)
        now = traitlets.Unicode().tag(sync=True)

    return Panel


def _of_classes(training: Training) -> bool:
    known = getattr(training.loss, "func", training.loss)
    return known in LOSSES.values() and known.__name__ in OF_CLASSES


def _one(training: Training) -> Any:
    """The loss of the first observation, as a graph."""
    data = training.data
    factors = np.ones((1, training.factors))
    batch = Batch(data.inputs[:1], data.targets[:1], np.ones(1), factors, 1, 1.0)
    loss = graph_of(training.model, training.problem._replace(regulariser=None), batch)
    loss.label = loss.label or "loss"
    return loss


def _is_small(training: Training) -> bool:
    """Whether the graph of one observation can be laid out and drawn quickly."""
    from autograd.sweep import topological_order

    return sum(1 + len(node.parents) for node in topological_order(_one(training))) <= LARGEST_GRAPH


def _thinned(numbers: list[float]) -> dict[str, list[float]]:
    """At most some hundred points of a curve, the last one among them."""
    epochs = np.unique(np.linspace(1, len(numbers), min(len(numbers), MOST_EPOCHS)).round().astype(int))
    return {"x": epochs.tolist(), "y": [float(f"{numbers[k - 1]:.5g}") for k in epochs.tolist()]}
