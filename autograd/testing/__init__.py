"""Tests of derivatives: a gradient check, and Hypothesis strategies in `autograd.testing.strategies`."""

from autograd.testing.expressions import Expression
from autograd.testing.gradients import Estimate, check_grads, finite_difference

__all__ = ["Estimate", "Expression", "check_grads", "finite_difference"]
