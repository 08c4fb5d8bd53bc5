"""What may happen between two epochs: stopping early, writing checkpoints, and what users add."""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Any

from autograd.ieee import to_float
from nn.checks import whole, within

if TYPE_CHECKING:
    from nn.runs import Training

OF_KERAS = {
    "on_train_begin": "before",
    "on_epoch_end": "after_epoch",
    "on_train_end": "after",
}  # methods there and here


class Callback:
    """The base of callbacks; define the methods that you need. A plain function is called after every epoch.

    All methods are given the running `Training`: its ``model`` (whose Values show the present numbers), ``history``,
    ``epoch`` (how many are complete), ``optimizer``, and ``stop(reason)``.

    Examples
    --------
    >>> from nn import MLP, Callback, fit
    >>> class Slower(Callback):
    ...     def after_epoch(self, training):
    ...         training.optimizer.learning_rate *= 0.5
    >>> model = MLP(1, [1], seed=0)
    >>> history = fit(model, [[0.0], [1.0]], [1.0, 3.0], "mean_squared_error", epochs=3, callbacks=[Slower()], seed=0)
    >>> history["learning_rate"]
    [0.01, 0.005, 0.0025]
    """

    last = False  # whether it comes after all others in each epoch
    changes = True  # whether it may change the model: its parameters or its settings

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, here in OF_KERAS.items():
            if hasattr(cls, name):
                raise TypeError(f"{cls.__name__}.{name} would never be called: here that method is {here}(training)")

    def before(self, training: Training) -> None:
        """Called once, before the first epoch."""

    def after_epoch(self, training: Training) -> None:
        """Called after every epoch."""

    def after(self, training: Training) -> None:
        """Called once, after the last epoch."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold of this callback: arrays and numbers by name."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with what `state` returned, as arrays."""


class EarlyStopping(Callback):
    """Stops when a column of the history has not improved for some epochs, and puts back the best parameters.

    Parameters
    ----------
    patience : int
        How many epochs in a row may pass without an improvement.
    monitor : str, optional
        The column; ``val_loss`` by default, or ``loss`` if there are no validation data.
    least : float
        By how much a number must be better to count as an improvement.
    largest : bool, optional
        Whether larger is better; by default for all columns whose name does not end in "loss" or "error".

    Examples
    --------
    >>> from nn import MLP, EarlyStopping, fit
    >>> model = MLP(1, [1], seed=0)
    >>> x, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
    >>> history = fit(model, x, y, "mean_squared_error", epochs=5000, callbacks=[EarlyStopping(20, least=1e-6)], seed=0)
    >>> len(history) < 5000, history.stopped
    (True, 'loss has not improved for 20 epochs')
    """

    def __init__(
        self, patience: int = 10, monitor: str | None = None, *, least: float = 0.0, largest: bool | None = None
    ) -> None:
        self.patience = whole("patience", patience)
        self.monitor = monitor
        self.least = within("least", least, 0.0)
        self.largest = largest
        self._forget()

    def _forget(self) -> None:
        self.best, self.best_epoch, self.parameters = inf, 0, None

    parameters: Any
    changes = False

    def before(self, training: Training) -> None:
        """Begin anew, unless a checkpoint is continued."""
        if not training.epoch:
            self._forget()

    def _column(self, training: Training) -> str:
        if self.monitor is None:
            return "val_loss" if "val_loss" in training.history.columns else "loss"
        if self.monitor not in training.history.columns:
            known = ", ".join(training.history.columns)
            raise ValueError(f"EarlyStopping watches {self.monitor!r}, which is not in the history: {known}")
        return self.monitor

    def after_epoch(self, training: Training) -> None:
        """Compare this epoch with the best one."""
        column = self._column(training)
        larger = not column.endswith(("loss", "error")) if self.largest is None else self.largest
        number = training.history[column][-1] * (-1.0 if larger else 1.0)
        if number < self.best - self.least or self.parameters is None:
            self.best, self.best_epoch, self.parameters = number, training.epoch, training.parameters.copy()
        elif training.epoch - self.best_epoch >= self.patience:
            training.stop(f"{column} has not improved for {self.patience} epochs")

    def after(self, training: Training) -> None:
        """Put back the best parameters."""
        if self.parameters is not None:
            training.assign(self.parameters)
            training.history.best_epoch = self.best_epoch

    def state(self) -> dict[str, Any]:
        """The best epoch, its number and its parameters."""
        if self.parameters is None:
            return {}
        return {"best": self.best, "best_epoch": self.best_epoch, "parameters": self.parameters}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue to compare with the best epoch."""
        self._forget()
        if state:
            self.best, self.best_epoch = to_float(state["best"]), int(state["best_epoch"])
            self.parameters = state["parameters"].copy()


class Checkpoint(Callback):
    """Writes the state of the training to a file, from which ``fit(..., resume=path)`` continues exactly.

    The file is replaced as a whole, so it is complete at any moment, whatever interrupts the training. It is a
    safetensors file: it holds numbers and text, and nothing in it is executed.

    Parameters
    ----------
    path : path
        The file.
    every : int
        After how many epochs it is written; always after the last one.

    Examples
    --------
    >>> import os, tempfile
    >>> from nn import MLP, Checkpoint, fit
    >>> x, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
    >>> def run(epochs, **options):
    ...     model = MLP(1, [4, 1], seed=0)
    ...     fit(model, x, y, "mean_squared_error", epochs=epochs, batch_size=2, seed=0, **options)
    ...     return [parameter.data for parameter in model.parameters()]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "run.safetensors")
    ...     part = run(10, callbacks=[Checkpoint(path)])
    ...     run(30) == run(30, resume=path)
    True
    """

    last = True  # what the others remember of the epoch belongs into the file
    changes = False

    def __init__(self, path: str | os.PathLike[str], *, every: int = 1) -> None:
        self.path, self.every = os.fspath(path), whole("every", every)
        self._written = -1

    def before(self, training: Training) -> None:
        """Refuse a folder that does not exist before hours of work are lost."""
        folder = os.path.dirname(os.path.abspath(self.path))
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"there is no folder {folder!r} for the checkpoint: make it first")
        self._written = training.epoch

    def after_epoch(self, training: Training) -> None:
        """Write the file, if it is time."""
        if training.epoch % self.every == 0:
            self._write(training)

    def after(self, training: Training) -> None:
        """Write the file if the last epochs are not in it."""
        if self._written != training.epoch:
            self._write(training)

    def _write(self, training: Training) -> None:
        training.save(self.path)
        self._written = training.epoch


class Called(Callback):
    """A plain function as a callback."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def after_epoch(self, training: Training) -> None:
        """Call the function."""
        self.function(training)


def as_callbacks(given: Any) -> list[Callback]:
    """A list of callbacks from what users pass."""
    if given is None:
        return []
    items = list(given) if isinstance(given, (list, tuple)) else [given]
    for item in items:
        if not isinstance(item, Callback) and (isinstance(item, type) or not callable(item)):
            made = f": make one, {item.__name__}(...)" if isinstance(item, type) else ""
            raise TypeError(f"a callback must be a nn.Callback or a function of the training, not {item!r}{made}")
    return [item if isinstance(item, Callback) else Called(item) for item in items]
