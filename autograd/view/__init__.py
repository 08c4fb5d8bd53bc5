"""Pictures of graphs."""

from autograd.view._draw import draw, render

__all__ = ["draw", "render"]
