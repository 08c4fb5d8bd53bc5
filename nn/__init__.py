"""Small neural networks on scalar Values: neurons, layers, losses, optimisers and training."""

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
from nn.saving import load, save
from nn.schedules import constant, cosine, step_decay, warm_up
from nn.state import load_state_dict, state_dict

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
    "huber",
    "mean_absolute_error",
    "mean_squared_error",
    "per_observation",
    "poisson_with_log_rates",
    "load",
    "load_state_dict",
    "save",
    "state_dict",
    "step_decay",
    "warm_up",
]
