"""Pictures of graphs, the gradient-flow viewer, and the chain rule in writing."""

from autograd.view.chain_rule import Explanation, explain
from autograd.view.drawing import draw, render
from autograd.view.neurons import Deltas, deltas
from autograd.view.viewer import Flow, Watch, flow

__all__ = ["Deltas", "Explanation", "Flow", "Watch", "deltas", "draw", "explain", "flow", "render"]
