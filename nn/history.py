"""What happened in a training run, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


class History:
    """The loss, the metrics and the learning rate of every epoch.

    Attributes
    ----------
    columns : dict of str to list
        One number per epoch: ``loss`` (of the batches while the model learned), ``learning_rate`` (of the last step),
        ``seconds``; with validation data also ``val_loss``, and ``val_`` before the name of each metric.
    stopped : str or None
        Why the training ended before the last epoch.
    best_epoch : int or None
        The epoch, counted from 1, whose parameters the model has, if an `EarlyStopping` put them back.

    Examples
    --------
    >>> from nn import MLP, fit
    >>> history = fit(MLP(1, [1], seed=0), [[0.0], [1.0]], [1.0, 3.0], "mean_squared_error", epochs=3, seed=0)
    >>> history
    History of 3 epochs: loss 3.059
    >>> len(history), len(history["loss"])
    (3, 3)
    >>> list(history), "val_loss" in history
    (['loss', 'learning_rate', 'seconds'], False)
    """

    def __init__(self) -> None:
        self.columns: dict[str, list[float]] = {}
        self.stopped: str | None = None
        self.best_epoch: int | None = None

    def __len__(self) -> int:
        return len(self.columns.get("loss", ()))

    def __getitem__(self, column: str) -> list[float]:
        if column not in self.columns:
            raise KeyError(f"the history has no column {column!r}; it has {', '.join(self.columns) or 'none yet'}")
        return self.columns[column]

    def __iter__(self) -> Iterator[str]:
        """The names of the columns, so that ``"val_loss" in history`` asks for one."""
        return iter(self.columns)

    def add(self, **numbers: float) -> None:
        """Note the numbers of one more epoch."""
        for name, number in numbers.items():
            self.columns.setdefault(name, []).append(number)

    def to_pandas(self) -> Any:
        """A pandas DataFrame with a row for each epoch, counted from 1.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("to_pandas needs pandas: pip install pandas; or use .columns, a dict of lists") from None
        index = pandas.RangeIndex(1, len(self) + 1, name="epoch")
        return pandas.DataFrame(self.columns, index=index)

    def plot(self, axes: Any = None, *, log: bool | None = None) -> Any:
        """Draw the losses, and below them the metrics if there are any.

        Parameters
        ----------
        axes : matplotlib Axes, optional
            Where to draw the losses only; a new figure by default.
        log : bool, optional
            Whether the losses have a logarithmic axis; by default if they are positive and span more than a factor of
            30.

        Returns
        -------
        matplotlib Figure
            A notebook shows it.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there is no epoch to draw.
        """
        if not len(self):
            raise ValueError("there is nothing to plot: the history has no epoch")
        losses = [name for name in ("loss", "val_loss") if name in self.columns]
        metrics = [name for name in self.columns if name not in (*losses, "learning_rate", "seconds")]
        if axes is not None:
            self._draw(axes, losses, log)
            return axes.figure
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError("plot needs matplotlib: pip install 'scalar-autograd[nn]'") from None
        figure = _shown_by_notebooks(Figure)(figsize=(6.4, 4.8 if metrics else 3.2), layout="constrained")
        panels = figure.subplots(2 if metrics else 1, squeeze=False, sharex=True)[:, 0]
        self._draw(panels[0], losses, log)
        if metrics:
            self._draw(panels[1], metrics, False)
        panels[-1].set_xlabel("epoch")
        return figure

    def _draw(self, axes: Any, columns: Sequence[str], log: bool | None) -> None:
        epochs = range(1, len(self) + 1)
        numbers = [x for name in columns for x in self.columns[name]]
        for name, colour in zip(columns, ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")):
            axes.plot(epochs, self.columns[name], label=name.replace("_", " "), color=colour, linewidth=1.5)
        if log or (log is None and min(numbers) > 0 and max(numbers) > 30 * min(numbers)):
            axes.set_yscale("log")
        if self.best_epoch is not None:
            axes.axvline(self.best_epoch, color="#888888", linewidth=1, linestyle=":", label="best")
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)

    def __repr__(self) -> str:
        if not len(self):
            return "History of 0 epochs"
        hidden = ("learning_rate", "seconds")
        last = ", ".join(f"{name} {x[-1]:.4g}" for name, x in self.columns.items() if name not in hidden)
        return f"History of {len(self)} epochs: {last}" + (f"; stopped: {self.stopped}" if self.stopped else "")


def _shown_by_notebooks(kind: type) -> Any:
    """A figure that a notebook shows whether or not pyplot has been imported."""

    class Shown(kind):  # type: ignore[misc]
        def _repr_png_(self) -> bytes:
            from io import BytesIO

            written = BytesIO()
            self.savefig(written, format="png", dpi=110)
            return written.getvalue()

    Shown.__name__ = kind.__name__
    return Shown
