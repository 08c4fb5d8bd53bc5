"""Functions in, functions out: grad, jacobian, hessian and their like."""

from autograd.transforms.gradients import (
    Function,
    _on_values,
    _rows,
    custom_gradient,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    made_by,
    map_rows,
    value_and_grad,
    vjp,
    vmap,
)

__all__ = [
    "Function",
    "_on_values",
    "_rows",
    "custom_gradient",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "made_by",
    "map_rows",
    "value_and_grad",
    "vjp",
    "vmap",
]
