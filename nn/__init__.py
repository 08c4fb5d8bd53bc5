"""Small neural networks on scalar Values: neurons, layers, MLP, losses and optimisers."""

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
    "load",
    "load_state_dict",
    "mean_squared_error",
    "save",
    "state_dict",
    "step_decay",
    "warm_up",
]
