"""Transforms: they take a function and return its derivative, its map over rows, or its loop.

- `gradients`: gradients, Jacobians and Hessians. `products`: their products with vectors.
- `sparse`: the pattern of a Jacobian, and sparse Jacobians and Hessians.
- `mapping`: `vmap`. `looping`: `scan`, `fori` and `while_loop`.
- `custom`: primitives that users define.
- `run`: one run of a function on fresh leaves, with which every derivative begins.
- `origin`: which transform made a function. `static`: a function with some arguments fixed.

All of them are written against `autograd.recorder`, so they serve the graph and the compiler's trace alike.
"""

from autograd.transforms.custom import custom_gradient
from autograd.transforms.gradients import grad, hessian, jacobian, value_and_grad
from autograd.transforms.looping import fori, scan, while_loop
from autograd.transforms.mapping import vmap
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
