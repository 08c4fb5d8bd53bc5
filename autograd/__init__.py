"""A scalar reverse-mode automatic differentiation engine."""

from typing import TYPE_CHECKING, Any

from autograd import implicit, linalg, special
from autograd.calls import checkpoint
from autograd.modes import AnomalyError, detect_anomaly, no_grad, record_sources
from autograd.native import backend
from autograd.rules import Rule
from autograd.sweep import Message, backward, record_sweep, topological_order
from autograd.transforms import (
    custom_gradient,
    fori,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    scan,
    value_and_grad,
    vjp,
    vmap,
    while_loop,
)
from autograd.value import Value

if TYPE_CHECKING:
    from autograd.adoption import AdoptionError, adopt
    from autograd.compiler import ChangedMeanwhileError, TooManyPathsError, compile_graph, jit

__all__ = [
    "AdoptionError",
    "AnomalyError",
    "ChangedMeanwhileError",
    "Message",
    "Rule",
    "TooManyPathsError",
    "Value",
    "adopt",
    "backend",
    "backward",
    "checkpoint",
    "compile_graph",
    "custom_gradient",
    "detect_anomaly",
    "fori",
    "grad",
    "hessian",
    "hvp",
    "implicit",
    "jacobian",
    "jit",
    "jvp",
    "linalg",
    "no_grad",
    "record_sources",
    "record_sweep",
    "scan",
    "special",
    "topological_order",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]
LATER = {  # what is loaded when it is first asked for, and from where
    **dict.fromkeys(("ChangedMeanwhileError", "TooManyPathsError", "compile_graph", "jit"), "autograd.compiler"),
    **dict.fromkeys(("AdoptionError", "adopt"), "autograd.adoption"),
}
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load the compiler, or `adopt`, when it is first asked for."""
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    found = globals()[name] = getattr(importlib.import_module(LATER[name]), name)
    return found
