"""Small neural networks on scalar Values: neurons, layers, MLP, losses and gradient descent."""

from nn._layers import MLP, Layer, Neuron
from nn._losses import (
    binary_cross_entropy_with_logits,
    cross_entropy_with_logits,
    half_sum_of_squares,
    hinge,
    mean_squared_error,
)
from nn._module import Module
from nn._optimisers import SGD

__all__ = [
    "MLP",
    "SGD",
    "Layer",
    "Module",
    "Neuron",
    "binary_cross_entropy_with_logits",
    "cross_entropy_with_logits",
    "half_sum_of_squares",
    "hinge",
    "mean_squared_error",
]
