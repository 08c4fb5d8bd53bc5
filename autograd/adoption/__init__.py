"""Code that others wrote, made differentiable as it stands; `autograd.adopt` is the function that users call."""

from autograd.adoption.adopt import adopt
from autograd.adoption.errors import AdoptionError

__all__ = ["AdoptionError", "adopt"]
