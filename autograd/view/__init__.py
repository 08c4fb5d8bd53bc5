"""Pictures of graphs."""

from autograd.view._flow import Flow, Watch, flow

__all__ = ["Flow", "Watch", "flow"]
