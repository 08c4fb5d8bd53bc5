"""Code that others wrote, made differentiable as it stands; `autograd.adopt` is the function that users call."""

from autograd.adoption.api import adopt
from autograd.adoption.errors import AdoptionError

__all__ = ["AdoptionError", "adopt"]
