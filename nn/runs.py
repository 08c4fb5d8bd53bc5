"""A training run: its epochs, what it remembers between them, and how it is saved and continued."""

from __future__ import annotations

import functools
import json
import os
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf, isfinite, nan
from operator import mul
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from autograd import Value
from autograd.modes import no_grad
from autograd.tree import to_floats
from nn.architecture import describe, difference
from nn.batches import Batch, Batches
from nn.callbacks import Callback
from nn.data import Array, Data, check_targets, row_of
from nn.dropout import rates_of
from nn.history import History
from nn.losses import Loss, reduction_of
from nn.optimisers import LBFGS, Optimiser, State
from nn.prediction import Metric, forward, loss_of, measure, outputs_of
from nn.progress import Bar
from nn.regularisers import L1
from nn.saving import TRAINING, read_arrays, write_arrays
from nn.steps import (
    DECAYS,
    NOT_SETTINGS,
    Problem,
    compiled_gradient,
    compiled_step,
    eager_gradient,
    eager_step,
    first_wrong,
    refuse_others,
)
from nn.templates import Template
from nn.unchanged import refuse_memory

if TYPE_CHECKING:
    from nn.watching import Watcher

Step = Callable[[Array, State, Batch], tuple[float, Array, State]]
VERSION = 1  # of a checkpoint
MOST_LISTED = 10  # settings that an error lists


class DivergedError(ArithmeticError):
    """The loss is no longer a finite number; the model has the last parameters with which it was.

    Attributes
    ----------
    epoch, batch : int
        Where, counted from 1.
    layer : str
        Where in the model the first number arises that is not finite.
    history : History
        The complete epochs.
    """

    def __init__(self, message: str, epoch: int, batch: int, layer: str, history: History) -> None:
        super().__init__(message)
        self.epoch, self.batch, self.layer, self.history = epoch, batch, layer, history


class Settings(NamedTuple):
    """How to go through the data."""

    epochs: int
    batch_size: int | None
    seed: int | None
    shuffle: bool
    jit: bool


class Training:
    """A training run; callbacks are given it.

    Attributes
    ----------
    model : Module
        Its Values show the present numbers whenever a callback runs.
    loss : callable
        The loss of a batch.
    optimizer : Optimiser or LBFGS
        Its learning rate may be assigned between epochs.
    data, validation : Data
        What it learns from, and what it is validated with (or None).
    history : History
        The complete epochs.
    epoch, epochs : int
        How many are complete, and how many there will be.
    parameters : ndarray
        The numbers of all parameters, in the order of ``model.parameters()``.
    state : dict
        What the optimiser remembers.
    """

    def __init__(
        self,
        model: Any,
        loss: Loss,
        optimizer: Optimiser | LBFGS,
        data: Data,
        validation: Data | None,
        settings: Settings,
        metrics: dict[str, Metric],
        regulariser: Callable[[Any], Any] | None,
    ) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.data, self.validation, self.settings, self.metrics = data, validation, settings, metrics
        self.template = Template(model)
        self.parameters = self.template.numbers()
        self.history, self.epoch, self.epochs = History(), 0, settings.epochs
        self.state: State = optimizer.init(self.parameters) if isinstance(optimizer, Optimiser) else {}
        self._good = self.parameters  # the last with a finite loss
        self._saved: dict[str, Any] = {}  # of callbacks, in a checkpoint
        self._callbacks: Sequence[Callback] = ()
        self._rates = self._look_at_a_row()
        rule = optimizer if isinstance(optimizer, Optimiser) else None
        self.problem = Problem(loss, rule, regulariser, data.weights is not None, len(self._rates) > 0)
        self._decays = np.array(getattr(regulariser, DECAYS)(model) if self.problem.decays else [0.0])
        if optimizer.parameters and set(optimizer.parameters) != set(self.template.parameters):
            name = type(optimizer).__name__
            raise ValueError(
                f"{name} was made with other parameters than the model has: pass {name}(model.parameters())"
            )

    def _look_at_a_row(self) -> list[float]:
        """Run the model once, so that what does not fit is named at once; the rates of its dropouts."""
        seen: list[Any] = []
        if self.settings.jit:
            refuse_memory(self.template, self.data.inputs)
        with no_grad():
            model = self.template.copy()  # a call may set attributes
            rates = rates_of(lambda: seen.append(to_floats(model(row_of(self.data.inputs, 0)))))
            for data in (self.data, self.validation):
                if data is not None:
                    check_targets(self.loss, seen[0], data.targets)
        return rates

    # ---- the run -----------------------------------------------------------------------------------------------

    def run(self, callbacks: Sequence[Callback], bar: Bar, watchers: Sequence[Watcher] = ()) -> History:
        """All epochs that are left."""
        callbacks = [*callbacks, *watchers]
        self._looks: Sequence[Bar | Watcher] = [bar, *watchers]
        self._callbacks = sorted(callbacks, key=lambda callback: callback.last)
        for number, callback in enumerate(self._callbacks):
            if self._saved:
                callback.restore(self._saved.get(str(number), {}))
            callback.before(self)
        self._structure = self.template.structure(self.model) if self.settings.jit else None
        self._step = self._new_step()
        self._batches = Batches(
            self.data,
            self.batch_size,
            self.settings.seed or 0,
            self.settings.shuffle,
            self._rates,
            as_mean=reduction_of(self.loss) == "mean",
            fill=self.settings.jit and reduction_of(self.loss) is not None,
        )
        try:
            with bar.over(self):
                while self.epoch < self.epochs and self.history.stopped is None:
                    self._one_epoch()
        finally:
            self.template.assign(self.parameters)
        for callback in reversed(self._callbacks):
            callback.after(self)
        return self.history

    def _one_epoch(self) -> None:
        begun = time.perf_counter()
        step, losses, shares = self._step, [], []
        next_look = min([look.next_time for look in self._looks])
        for number, batch in enumerate(self._batches.of_epoch(self.epoch), 1):
            given = self.parameters
            loss, parameters, state = step(given, self.state, batch)
            if isinstance(loss, Value):
                refuse_others(loss, self.template)
            self.parameters, self.state = parameters, state
            if not isfinite(loss):
                self._diverged(loss, number, batch, given)
            self._good = given
            losses.append(loss)
            shares.append(batch.share)
            if time.perf_counter() > next_look:
                next_look = self._look(number)
        if not np.isfinite(self.parameters).all():  # the loss of the next step would not be finite
            self._diverged(loss, number, batch, given)
        self.epoch += 1
        rate = self.rate(-1) if isinstance(self.optimizer, Optimiser) else 1.0
        mean = sum(losses) if self._is_sum else sum(map(mul, losses, shares)) / sum(shares)
        numbers = {"loss": mean, **self._measured(), "learning_rate": rate}
        self.history.add(**numbers, seconds=time.perf_counter() - begun)
        if self._callbacks:
            self.template.assign(self.parameters)
            for callback in self._callbacks:
                callback.after_epoch(self)
            if any(callback.changes for callback in self._callbacks):
                self._look_for_changes()

    def _look_for_changes(self) -> None:
        """Take up what a callback has done to the model: other parameters, or other settings."""
        numbers = self.template.numbers()
        if not np.array_equal(numbers, self.parameters, equal_nan=True):
            self.parameters = self._good = numbers
        template = Template(self.model)
        if list(map(id, template.parameters)) != list(map(id, self.template.parameters)):
            raise ValueError("a callback changed which parameters the model has: train the new model with another fit")
        if not self.settings.jit or (structure := self.template.structure(self.model)) == self._structure:
            return
        self.template, self._structure, self._forward = template, structure, None
        self._step = self._new_step()

    def _look(self, batches: int) -> float:
        """Let the bar and the pictures show how far the epoch is; when one of them wants to do so again."""
        for look in self._looks:
            if time.perf_counter() > look.next_time:
                look.within_epoch(self, batches)
        return min([look.next_time for look in self._looks])

    def rate(self, ahead: int = 0) -> float:
        """The learning rate of the next step; with ``ahead=-1`` that of the last one."""
        assert isinstance(self.optimizer, Optimiser)
        return self._rate_after(self.state["count"] + ahead)

    def _rate_after(self, count: float) -> float:
        assert isinstance(self.optimizer, Optimiser)
        rate = self.optimizer.rate_after(count)
        try:
            value = float(rate)
        except (TypeError, ValueError):
            value = nan
        if not 0.0 <= value < inf:
            raise ValueError(
                f"the schedule gives the learning rate {rate!r} after {count:g} steps: it must be at least 0"
            )
        return value

    def stop(self, reason: str) -> None:
        """End the training after this epoch; the history says why."""
        self.history.stopped = reason

    def assign(self, parameters: Array) -> None:
        """Give the model other parameters."""
        if len(parameters) != len(self.parameters):
            raise ValueError(f"the model has {len(self.parameters)} parameters, not {len(parameters)}")
        self.parameters = self._good = np.array(parameters, dtype=float)
        self.template.assign(self.parameters)

    # ---- steps -------------------------------------------------------------------------------------------------

    def _new_step(self) -> Step:
        """A function from parameters, state and batch to the loss before the step, and parameters and state after."""
        if isinstance(self.optimizer, LBFGS):
            return self._step_of_lbfgs(self.optimizer)
        if not self.settings.jit:
            eager = eager_step(self.template, self.model, self.problem)
            return lambda parameters, state, batch: eager(parameters, state, self.rate(), batch)
        compiled = compiled_step(self.template, self.model, self.problem, self.batch_size)
        rate_after, decays = self._rate_after, self._decays
        return lambda parameters, state, batch: compiled(
            parameters, state, rate_after(state["count"]), *batch[:4], decays
        )

    def _step_of_lbfgs(self, optimizer: LBFGS) -> Step:
        """One run of SciPy's minimiser over all data."""
        if self.settings.jit:
            compiled = compiled_gradient(self.template, self.model, self.problem)
        template, model, problem = self.template, self.model, self.problem

        def step(parameters: Array, state: State, batch: Batch) -> tuple[float, Array, State]:
            def closure() -> float:
                if not self.settings.jit:
                    return eager_gradient(template, model, problem, batch)[0]
                numbers = template.numbers()
                loss, gradient = compiled(numbers, *batch[:4], self._decays)
                if isinstance(loss, Value):
                    refuse_others(loss, template)
                for parameter, slope in zip(template.parameters, gradient.tolist()):
                    parameter.grad = slope
                return float(loss)

            template.assign(parameters)
            return optimizer.step(closure), template.numbers(), state

        return step

    @property
    def batch_size(self) -> int:
        """How many observations are in a step."""
        return min(self.settings.batch_size or len(self.data), len(self.data))

    @property
    def batches(self) -> int:
        """How many steps are in an epoch."""
        return -(-len(self.data) // self.batch_size)

    @property
    def factors(self) -> int:
        """How many factors `Dropout` draws for each observation."""
        return len(self._rates)

    @property
    def _is_sum(self) -> bool:
        return reduction_of(self.loss) == "sum"

    def _measured(self) -> dict[str, float]:
        """The loss on the validation data, and the metrics."""
        data = self.data if self.validation is None else self.validation
        if self.validation is None and not self.metrics:
            return {}
        if not self.settings.jit:
            self.template.assign(self.parameters)
        compiled = (
            forward(self.model, self.template, data.inputs)
            if self.settings.jit and self._forward is None
            else self._forward
        )
        self._forward = compiled
        outputs = outputs_of(self.model, compiled, self.parameters, data.inputs)
        found, prefix = {}, "" if self.validation is None else "val_"
        if self.validation is not None:
            found["val_loss"] = loss_of(self.loss, outputs, data, self.settings.jit)
        return {
            **found,
            **{prefix + name: measure(name, metric, outputs, data.targets) for name, metric in self.metrics.items()},
        }

    _forward: Any = None

    def _diverged(self, loss: float, number: int, batch: Batch, given: Array) -> None:
        """Put back the last good parameters, and say where the first number arises that is not finite."""
        self.template.assign(given)
        layer = "the loss"
        with suppress(Exception):  # what went wrong is known: a second error must not hide it
            layer = first_wrong(self.template, self.model, self.problem, batch)
        self.assign(self._good)
        advice = [f"use a smaller learning rate (it is {self.rate(-1):g})"] if self.problem.rule is not None else []
        if self.problem.rule is not None and self.problem.rule.clip_norm is None:
            advice.append("clip_norm=1.0 in the optimiser")
        largest = float(np.abs(self.data.inputs).max())
        if largest > 10.0:
            advice.append(f"inputs scaled to about -1 to 1 (the largest is {largest:g})")
        if (most := float(np.abs(self.data.targets).max())) > 1000.0:
            advice.append(f"targets scaled to about -1 to 1 (the largest is {most:g})")
        raise DivergedError(
            f"{f'the loss is {loss}' if not isfinite(loss) else 'parameters are no longer finite'} in epoch "
            f"{self.epoch + 1}, batch {number}. It begins in {layer}. The model has the last parameters whose loss was "
            f"finite. Try: {'; '.join(advice) or 'a smaller model or other data'}.",
            self.epoch + 1,
            number,
            layer,
            self.history,
        )

    # ---- files -------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all that is needed to continue: parameters, the optimiser's memory, the history, callbacks."""
        arrays = {"parameters": self.parameters}
        arrays |= {f"state.{name}": np.array(x) for name, x in self.state.items()}
        arrays |= {f"history.{name}": np.array(x) for name, x in self.history.columns.items()}
        for number, callback in enumerate(self._callbacks):
            arrays |= {f"callbacks.{number}.{name}": np.array(x) for name, x in callback.state().items()}
        rate = getattr(self.optimizer, "learning_rate", None)
        if isinstance(rate, float):
            arrays["learning_rate"] = np.array(rate)
        metadata = {
            "format": TRAINING,
            "version": str(VERSION),
            "epoch": str(self.epoch),
            "seed": str(self.settings.seed),
            "stopped": json.dumps(self.history.stopped),
            "settings": json.dumps(self._described()),
            "architecture": json.dumps(describe(self.model)),
        }
        write_arrays(path, arrays, metadata)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Take up what `save` has written.

        Raises
        ------
        ValueError
            If the file is not one, or is that of another run: the message says where they differ.
        """
        name = os.fspath(path)
        arrays, metadata = read_arrays(path)
        if metadata.get("format") != TRAINING or metadata.get("version") != str(VERSION):
            raise ValueError(f"{name!r} is not a checkpoint of this version of fit")
        other = difference(json.loads(metadata["architecture"]), json.loads(json.dumps(describe(self.model))))
        if other:
            raise ValueError(f"{name!r} is of another model: {other[0]} is {other[1]} there and {other[2]} here")
        there, here = json.loads(metadata["settings"]), json.loads(json.dumps(self._described()))
        wrong = [f"{key} is {there.get(key)} there and {x} here" for key, x in here.items() if there.get(key) != x]
        seed = int(metadata["seed"])
        if self.settings.seed not in (None, seed):
            wrong.append(f"seed is {seed} there and {self.settings.seed} here")
        if wrong:
            raise ValueError(f"{name!r} is of another run: {'; '.join(wrong[:MOST_LISTED])}")
        self.settings = self.settings._replace(seed=seed)
        self.assign(arrays["parameters"])
        self.epoch = int(metadata["epoch"])
        self.history.stopped = json.loads(metadata["stopped"])
        if "learning_rate" in arrays and isinstance(self.optimizer, Optimiser):
            self.optimizer.learning_rate = float(arrays["learning_rate"])
        self._saved = {"": {}}
        for key, array in arrays.items():
            kind, _, rest = key.partition(".")
            if kind == "state":
                self.state[rest] = float(array) if array.ndim == 0 else array
            elif kind == "history":
                self.history.columns[rest] = array.tolist()
            elif kind == "callbacks":
                number, _, field = rest.partition(".")
                self._saved.setdefault(number, {})[field] = array

    def _described(self) -> dict[str, Any]:
        """What must be the same in a run that continues this one."""
        optimizer = self.optimizer
        kept = sorted(key for key in vars(optimizer) if key not in NOT_SETTINGS)
        settings = [f"{key}={_named(getattr(optimizer, key))}" for key in kept]
        return {
            "optimizer": f"{type(optimizer).__name__}({', '.join(settings)})",
            "loss": _named(self.loss),
            "regulariser": _named(self.problem.regulariser),
            "batch_size": self.settings.batch_size,
            "shuffle": self.settings.shuffle,
            "X": _fingerprint(self.data.inputs),
            "y": _fingerprint(self.data.targets),
            "weights": None if self.data.weights is None else _fingerprint(self.data.weights),
        }


def _named(thing: Any) -> str:
    """A setting in words that are the same in the next process."""
    if isinstance(thing, L1):
        return f"{type(thing).__name__}({thing.factor!r})"
    if isinstance(thing, functools.partial):
        return f"{_named(thing.func)}, {thing.args}, {thing.keywords}"
    return str(getattr(thing, "__name__", type(thing).__name__)) if callable(thing) else repr(thing)


def _fingerprint(array: Array) -> str:
    return f"{array.shape} {zlib.crc32(array.tobytes()):08x}"
