"""Pictures of graphs, the gradient-flow viewer, and the chain rule in writing.

`explain`, `deltas` and the recorded sweep need nothing but the engine. `draw` and `render` need the library graphviz,
which is imported when one of them is first asked for; `flow` needs a program that lays out graphs, or `use_layout`.
"""

from typing import TYPE_CHECKING, Any

from autograd.view.chain_rule import Explanation, explain
from autograd.view.dot import use_layout
from autograd.view.neurons import Deltas, deltas
from autograd.view.record import record
from autograd.view.viewer import Flow, Watch, flow

if TYPE_CHECKING:
    from autograd.view.drawing import draw, render

__all__ = [
    "Deltas",
    "Explanation",
    "Flow",
    "Watch",
    "deltas",
    "draw",
    "explain",
    "flow",
    "record",
    "render",
    "use_layout",
]
DRAWING = ("draw", "render")  # what needs the library graphviz


def __getattr__(name: str) -> Any:
    """Load the drawing of graphs when it is first asked for."""
    if name not in DRAWING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    found = globals()[name] = getattr(importlib.import_module("autograd.view.drawing"), name)
    return found


def __dir__() -> list[str]:
    """What there is, loaded or not."""
    return sorted({*globals(), *__all__})
