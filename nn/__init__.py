"""Small neural networks on scalar Values: neurons, layers, losses, optimisers and training.

- `module`, `layers`, `sequential`, `recurrent`, `dropout`: models. `initialisers`: the numbers that they begin with.
- `losses`, `regularisers`, `optimisers`, `schedules`: what is minimised, and how.
- `fitting`: `fit`, in front of `data`, `batches`, `steps`, `templates`, `unchanged` and `runs`, which train.
- `callbacks`, `watching`, `progress`, `history`: what is done, shown and kept during a training.
- `prediction`, `summaries`: a model on many rows, and its layers as a table.
- `state`, `saving`, `architecture`: parameters by name, and models in files.
- `sklearn`: estimators. `stages`, `onnx`, `c`, `torch`: models for other programs.
- `checks`: the messages of wrong settings.
"""

from typing import TYPE_CHECKING, Any

import autograd

if not hasattr(autograd, "Value"):
    raise ImportError(
        "nn needs scalar-autograd, and `import autograd` gives another package of that name (HIPS autograd), from "
        f"{autograd.__path__[0]}. The two cannot share an environment: run `pip uninstall autograd` and install "
        "scalar-autograd again, or give each an environment of its own."
    )

from nn.callbacks import Callback, Checkpoint, EarlyStopping
from nn.dropout import Dropout, training
from nn.initialisers import he_normal, he_uniform, uniform, xavier_normal, xavier_uniform
from nn.layers import MLP, Layer, Neuron
from nn.losses import (
    binary_cross_entropy_with_logits,
    cross_entropy_with_logits,
    half_sum_of_squares,
    hinge,
    huber,
    mean_absolute_error,
    mean_squared_error,
    per_observation,
    poisson_with_log_rates,
)
from nn.module import Module
from nn.optimisers import LBFGS, SGD, Adagrad, Adam, AdamW, Optimiser, RMSProp, clip_by_norm
from nn.recurrent import Cell, ElmanCell, GRUCell, Recurrent
from nn.regularisers import L1, L2
from nn.saving import load, save
from nn.schedules import constant, cosine, step_decay, warm_up
from nn.sequential import Sequential
from nn.state import load_state_dict, state_dict

if TYPE_CHECKING:
    from nn.fitting import fit
    from nn.history import History
    from nn.runs import DivergedError, Training

__all__ = [
    "L1", "L2", "LBFGS", "MLP", "SGD", "Adagrad", "Adam", "AdamW", "Callback", "Cell", "Checkpoint", "DivergedError",
    "Dropout", "EarlyStopping", "ElmanCell", "GRUCell", "History", "Layer", "Module", "Neuron", "Optimiser", "RMSProp",
    "Recurrent", "Sequential", "Training", "binary_cross_entropy_with_logits", "clip_by_norm", "constant", "cosine",
    "cross_entropy_with_logits", "fit", "half_sum_of_squares", "he_normal", "he_uniform", "hinge", "huber", "load",
    "load_state_dict", "mean_absolute_error", "mean_squared_error", "per_observation", "poisson_with_log_rates", "save",
    "state_dict", "step_decay", "training", "uniform", "warm_up", "xavier_normal", "xavier_uniform",
]  # fmt: skip
FOR_ARRAYS = {"DivergedError": "runs", "History": "history", "Training": "runs", "fit": "fitting"}


def __getattr__(name: str) -> Any:
    """Load what needs NumPy when it is first asked for."""
    if name not in FOR_ARRAYS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    found = globals()[name] = getattr(importlib.import_module(f"nn.{FOR_ARRAYS[name]}"), name)
    return found
