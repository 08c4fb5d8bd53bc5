"""Pictures of graphs, and the gradient-flow viewer."""

from autograd.view._draw import draw, render
from autograd.view._flow import Flow, Watch, flow

__all__ = ["Flow", "Watch", "draw", "flow", "render"]
