"""Code that others wrote, made differentiable as it stands; `autograd.adopt` is the function that users call.

- `api`: `adopt`.
- `modules`, `functions`: private copies of modules, and of functions and classes without their modules.
- `rewrite`: operators and calls in the source become calls of `answers`, which treat Values like floats.
- `stand_ins`: `math` and other modules of the standard library, as adopted code sees them.
- `errors`: the error of code that cannot be adopted.
"""

from autograd.adoption.api import adopt
from autograd.adoption.errors import AdoptionError

__all__ = ["AdoptionError", "adopt"]
