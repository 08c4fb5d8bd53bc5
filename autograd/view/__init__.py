"""Pictures of graphs, the gradient-flow viewer, and the chain rule in writing."""

from autograd.view._deltas import Deltas, deltas
from autograd.view._draw import draw, render
from autograd.view._explain import Explanation, explain
from autograd.view._flow import Flow, Watch, flow

__all__ = ["Deltas", "Explanation", "Flow", "Watch", "deltas", "draw", "explain", "flow", "render"]
