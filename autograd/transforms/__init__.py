"""Functions in, functions out: grad, jacobian, hessian and their like.

All of them are written against `autograd.recorder`, so they serve the graph and the compiler's trace alike.
"""

from autograd.transforms.custom import custom_gradient
from autograd.transforms.gradients import grad, hessian, jacobian, value_and_grad
from autograd.transforms.looping import fori, while_loop
from autograd.transforms.mapping import scan, vmap
from autograd.transforms.products import hvp, jvp, vjp
from autograd.transforms.sparse import sparsity
from autograd.transforms.static import with_static as with_static  # pickles of compiled functions find it here

__all__ = [
    "custom_gradient",
    "fori",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "scan",
    "sparsity",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]
