"""A scalar reverse-mode automatic differentiation engine."""

from typing import TYPE_CHECKING, Any

from autograd.calls import checkpoint
from autograd.modes import AnomalyError, detect_anomaly, no_grad, record_sources
from autograd.native import backend
from autograd.rules import Rule
from autograd.sweep import Message, backward, record_sweep, topological_order
from autograd.transforms import (
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

if TYPE_CHECKING:
    from autograd.jit import compile_graph, jit

__all__ = [
    "AnomalyError",
    "Message",
    "Rule",
    "Value",
    "backend",
    "backward",
    "checkpoint",
    "compile_graph",
    "custom_gradient",
    "detect_anomaly",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jit",
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


def __getattr__(name: str) -> Any:
    """The compiler is loaded when it is first asked for."""
    if name not in ("jit", "compile_graph"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    package = importlib.import_module("autograd.jit")
    return package if name == "jit" else package.compile_graph
