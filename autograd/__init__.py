"""A scalar reverse-mode automatic differentiation engine."""

from autograd.modes import AnomalyError, detect_anomaly, no_grad, record_sources
from autograd.native import backend
from autograd.rules import Rule
from autograd.sweep import Message, backward, record_sweep, topological_order
from autograd.transforms import (
    checkpoint,
    custom_gradient,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    value_and_grad,
    vjp,
    vmap,
)
from autograd.value import Value

__all__ = [
    "AnomalyError",
    "Message",
    "Rule",
    "Value",
    "backend",
    "backward",
    "checkpoint",
    "custom_gradient",
    "detect_anomaly",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "no_grad",
    "record_sources",
    "record_sweep",
    "topological_order",
    "value_and_grad",
    "vjp",
    "vmap",
]
__version__ = "0.1.0"
