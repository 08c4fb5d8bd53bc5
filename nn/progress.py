"""The progress bar of `fit`: in a terminal or a notebook, and silent where nobody looks at it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nn.runs import Training

SECONDS = 0.1  # from one look of the bar to the next


class Bar:
    """A tqdm bar that counts batches, with the loss, the metrics and the learning rate.

    Attributes
    ----------
    next_time : float
        When `within_epoch` wants to be called next, on the clock of `time.perf_counter`.
    """

    def __init__(self, wanted: bool) -> None:
        self.wanted = bool(wanted)
        self.next_time = inf
        self._bar: Any = None

    @contextmanager
    def over(self, training: Training) -> Iterator[None]:
        """In its `with` block, the bar is shown."""
        kind = _tqdm() if self.wanted else None
        if kind is None:
            yield
            return
        total, done = training.epochs * training.batches, training.epoch * training.batches
        with kind(total=total, initial=done, unit="batch", dynamic_ncols=True, mininterval=SECONDS) as self._bar:
            self._bar.set_description("compiling" if training.settings.jit else "starting")
            self.next_time = 0.0
            try:
                yield
            finally:
                self._show(training, training.epoch * training.batches)
                self.next_time, self._bar = inf, None

    def within_epoch(self, training: Training, batches: int) -> None:
        """Show how far a long epoch is."""
        self._show(training, training.epoch * training.batches + batches)
        self.next_time = time.perf_counter() + SECONDS

    def _show(self, training: Training, batches: int) -> None:
        columns = training.history.columns
        numbers = {name: x[-1] for name, x in columns.items() if name != "seconds"}
        text = ", ".join(f"{name.replace('learning_rate', 'rate')}={number:.4g}" for name, number in numbers.items())
        self._bar.set_description(
            f"epoch {min(training.epoch + 1, training.epochs)} of {training.epochs}", refresh=False
        )
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(batches - self._bar.n)


def in_notebook() -> bool:
    """Whether the code runs in a Jupyter notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


def _tqdm() -> Any:
    """The bar for this place; None where it would only fill a file."""
    notebook = in_notebook()
    if not notebook and not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
        from tqdm.notebook import tqdm as bar_of_notebooks
    except ImportError:
        return None
    # No thread that looks after the bars: it would live on, and while there are other threads `jit` checks less.
    return type("Bar", (bar_of_notebooks if notebook else tqdm,), {"monitor_interval": 0})
