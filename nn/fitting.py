"""`fit`: train a model on a data set."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nn.callbacks import Callback, as_callbacks
from nn.checks import whole
from nn.data import Data, as_data, with_class_weights
from nn.history import History
from nn.losses import LOSSES, Loss, reduction_of
from nn.optimisers import LBFGS, SGD, Adagrad, Adam, AdamW, Optimiser, RMSProp
from nn.prediction import as_metrics
from nn.progress import Bar
from nn.runs import Settings, Training
from nn.steps import takes_weights
from nn.watching import Watcher, refuse_without_notebook

OPTIMISERS: dict[str, type[Optimiser]] = {kind.__name__.lower(): kind for kind in (SGD, RMSProp, Adagrad, Adam, AdamW)}


def fit(
    model: Any,
    X: Any,
    y: Any,
    loss: str | Loss,
    optimizer: str | Optimiser | LBFGS | None = None,
    epochs: int = 100,
    batch_size: int | None = 32,
    *,
    validation: Any = None,
    callbacks: Callback | Callable[[Training], Any] | Sequence[Any] | None = None,
    seed: int | None = None,
    metrics: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    regulariser: Callable[[Any], Any] | None = None,
    shuffle: bool = True,
    progress: bool = True,
    jit: bool = True,
    resume: str | os.PathLike[str] | None = None,
    watch: bool = False,
) -> History:
    """Train a model: change its parameters so that the loss becomes small.

    Parameters
    ----------
    model : Module
        The model. It is called with one observation: a row of `X`. Its Values have the trained numbers afterwards.
    X : array_like, shape (observations, ...)
        What the model takes: a list, an ndarray, or a pandas DataFrame of numbers.
    y : array_like, shape (observations, ...)
        What it should return; for `cross_entropy_with_logits` classes counted from 0.
    loss : str or callable
        A loss of `nn`, or its name; or a function of the outputs and the targets of a batch. A loss of your own made
        with `per_observation` runs as fast as those of `nn`; any other one is right, but not as fast.
    optimizer : str or Optimiser or LBFGS, optional
        Adam with a learning rate of 0.01 by default. A name stands for its default settings. A schedule is a function
        of the number of steps, not of epochs. It need not be made with the parameters; if it is, with all of the
        model. Its memory begins empty. `LBFGS` needs ``batch_size=None``.
    epochs : int
        How often to go through the data.
    batch_size : int or None
        How many observations are in a step; the last batch of an epoch may be smaller. None for all of them.
    validation : (X, y) or (X, y, weights) or float, optional
        Data on which the loss and the metrics are computed after every epoch; or the share of the data, chosen at
        random with the seed, that is held out for this.
    callbacks : callback, function or list of them, optional
        See `Callback`, `EarlyStopping`, `Checkpoint`; a function is called with the `Training` after every epoch.
    seed : int, optional
        Fixes the order of the data and the masks of `Dropout`; the numbers with which the model starts come from its
        own seed.
    metrics : str, callable or list of them, optional
        Functions of outputs and targets, two ndarrays, or "accuracy", "r2", "mean_absolute_error". They are computed
        after every epoch, on the validation data if there are any. The accuracy by default, if the loss is one for
        classes and there are validation data.
    sample_weight : array_like, shape (observations,), optional
        How much each observation counts.
    class_weight : dict or "balanced", optional
        How much each class counts.
    regulariser : callable, optional
        A function of the model that is added to the loss of every batch: `L1`, `L2` or your own.
    shuffle : bool
        Whether the data get a new order in every epoch.
    progress : bool
        Show a bar with the loss, the metrics and the learning rate, in a notebook or a terminal; if the output goes
        somewhere else, nothing is shown.
    jit : bool
        Compile a whole step. Without it, the same numbers come from the graph (within rounding), slowly.
    resume : path, optional
        Continue from the file of a `Checkpoint` until `epochs` are complete, as if nothing had interrupted the run.
        Model, data and settings must be the same.
    watch : bool
        In a notebook, show the network while it learns: at most ten times a second, for at most a tenth of the time.

    Returns
    -------
    History
        The loss, the metrics and the learning rate of every epoch.

    Raises
    ------
    DivergedError
        If the loss is no longer a finite number.
    FileNotFoundError
        If there is no file to resume from.
    ImportError
        If a library is missing; the message says which.
    TypeError, ValueError
        If data or settings are wrong; the message says what to do.

    Notes
    -----
    Whatever ends the training (Ctrl-C too), the model has the numbers after the last complete step.

    Examples
    --------
    >>> import numpy as np
    >>> from nn import MLP, fit
    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> y = [0, 1, 1, 0]
    >>> model = MLP(2, [4, 1], activation="tanh", seed=0)
    >>> history = fit(model, X, y, "binary_cross_entropy_with_logits", "adam", epochs=500, seed=0)
    >>> (model.predict(X) > 0).astype(int)
    array([0, 1, 1, 0])
    """
    if watch:
        refuse_without_notebook()
    if not (hasattr(X, "__len__") and hasattr(y, "__len__")):
        raise TypeError("X and y must be lists, arrays or data frames with one row for each observation")
    criterion = _loss(loss)
    data = with_class_weights(as_data(X, y, sample_weight), class_weight)
    _check(criterion, data, regulariser, shuffle=shuffle, progress=progress, jit=jit)
    if seed is None and resume is None:
        seed = secrets.randbits(63)
    data, held_out = _validation(validation, data, seed)
    settings = Settings(
        whole("epochs", epochs),
        None if batch_size is None else whole("batch_size", batch_size),
        None if seed is None else _seed(seed),
        bool(shuffle),
        bool(jit),
    )
    training = Training(
        model,
        criterion,
        _optimizer(optimizer, settings),
        data,
        held_out,
        settings,
        as_metrics(metrics, criterion, held_out is not None),
        regulariser,
    )
    if resume is not None:
        training.load(resume)
    return training.run(as_callbacks(callbacks), Bar(progress), [Watcher()] if watch else [])


def _loss(loss: Any) -> Loss:
    named: Any = LOSSES.get(loss) if isinstance(loss, str) else loss
    if isinstance(loss, str) and named is None:
        raise ValueError(f"loss must be a function of outputs and targets or one of {', '.join(LOSSES)}; not {loss!r}")
    if not callable(named) or isinstance(named, type):
        raise TypeError(f"loss must be a function of outputs and targets, or a name, not {loss!r}")
    found: Loss = named
    return found


def _check(criterion: Loss, data: Data, regulariser: Any, **choices: Any) -> None:
    """Raise for a loss that cannot have weights, a regulariser that is no function, a choice that is no bool."""
    if data.weights is not None and not (reduction_of(criterion) or takes_weights(criterion)):
        raise TypeError(f"{_name(criterion)} takes no weights: give it a parameter `weights`, or use per_observation")
    if regulariser is not None and not callable(regulariser):
        raise TypeError(f"regulariser must be a function of the model, such as L2(0.01), not {regulariser!r:.80}")
    for name, choice in choices.items():
        if not isinstance(choice, bool | np.bool_):
            raise TypeError(f"{name} must be True or False, not {choice!r:.80}")


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", function))


def _optimizer(given: Any, settings: Settings) -> Optimiser | LBFGS:
    """The optimiser that users mean."""
    if given is None:
        return Adam(learning_rate=0.01)
    if isinstance(given, str):
        if given.lower() not in OPTIMISERS:
            names = ", ".join(OPTIMISERS)
            raise ValueError(
                f"optimizer must be an optimiser such as Adam(learning_rate=0.01) or one of {names}; not {given!r}"
            )
        return OPTIMISERS[given.lower()]()
    if isinstance(given, type) and issubclass(given, (Optimiser, LBFGS)):
        raise TypeError(f"optimizer must be made first: {given.__name__}(learning_rate=0.01)")
    if not isinstance(given, (Optimiser, LBFGS)):
        raise TypeError(f"optimizer must be an optimiser such as Adam(learning_rate=0.01) or a name, not {given!r}")
    if isinstance(given, LBFGS) and settings.batch_size is not None:
        raise ValueError("LBFGS needs all data in every step: pass batch_size=None")
    return given


def _seed(seed: Any) -> int:
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or seed.__index__() < 0:
        raise TypeError(f"seed must be a whole number of at least 0, not {seed!r}")
    return int(seed.__index__())


def _validation(given: Any, data: Data, seed: int | None) -> tuple[Data, Data | None]:
    """The data to learn from, and those to validate with."""
    if given is None:
        return data, None
    if isinstance(given, (tuple, list)) and len(given) in (2, 3):
        inputs, targets, *weights = given
        names = ("validation[0]", "validation[1]", "validation[2]")
        held_out = as_data(inputs, targets, weights[0] if weights else None, names)
        for name, here, there in (("X", data.inputs, held_out.inputs), ("y", data.targets, held_out.targets)):
            if here.shape[1:] != there.shape[1:]:
                raise ValueError(
                    f"the rows of {name} have shape {here.shape[1:]}, those for validation {there.shape[1:]}"
                )
        return data, held_out
    if isinstance(given, bool) or not isinstance(given, float) or not 0.0 < given < 1.0:
        raise ValueError(f"validation must be (X, y), (X, y, weights) or a share between 0 and 1, not {given!r:.80}")
    count = round(given * len(data))
    if not 0 < count < len(data):
        raise ValueError(
            f"validation={given} of {len(data)} observations leaves {len(data) - count} to learn from and {count} to "
            "validate with: pass a share that leaves at least one of each, or (X, y)"
        )
    if seed is None:
        raise ValueError("to resume with a share for validation, pass the same seed: it chooses the observations")
    order = np.random.default_rng([_seed(seed), 0]).permutation(len(data))
    parts = data.rows(np.sort(order[count:])), data.rows(np.sort(order[:count]))
    for part, purpose in zip(parts, ("learn from", "validate with")):
        if part.weights is not None and not part.weights.any():
            raise ValueError(
                f"all observations to {purpose} have the weight 0, as validation={given} chose them at random: pass "
                "another share or seed, or (X, y, weights)"
            )
    return parts
