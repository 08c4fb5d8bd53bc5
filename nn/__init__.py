"""Small neural networks on scalar Values: neurons, layers, MLP, losses and optimisers."""

import autograd

if not hasattr(autograd, "Value"):
    raise ImportError(
        "nn needs scalar-autograd, and `import autograd` gives another package of that name (HIPS autograd), from "
        f"{autograd.__path__[0]}. The two cannot share an environment: run `pip uninstall autograd` and install "
        "scalar-autograd again, or give each an environment of its own."
    )

from nn.layers import MLP, Layer, Neuron
from nn.losses import (
    binary_cross_entropy_with_logits,
    cross_entropy_with_logits,
    half_sum_of_squares,
    hinge,
    mean_squared_error,
)
from nn.module import Module
from nn.optimisers import LBFGS, SGD, Adagrad, Adam, AdamW, Optimiser, RMSProp, clip_by_norm
from nn.schedules import constant, cosine, step_decay, warm_up

__all__ = [
    "LBFGS",
    "MLP",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Layer",
    "Module",
    "Neuron",
    "Optimiser",
    "RMSProp",
    "binary_cross_entropy_with_logits",
    "clip_by_norm",
    "constant",
    "cosine",
    "cross_entropy_with_logits",
    "half_sum_of_squares",
    "hinge",
    "mean_squared_error",
    "step_decay",
    "warm_up",
]
