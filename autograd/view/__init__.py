"""Pictures of graphs, the gradient-flow viewer, and the chain rule in writing.

`explain`, `deltas` and the recorded sweep need nothing but the engine. `draw` and `render` need the library graphviz,
which is imported when one of them is first asked for; `flow` needs a program that lays out graphs, or `use_layout`.

- `chain_rule`: `explain`. `neurons`: `deltas`. `drawing`: `draw` and `render`. `viewer`: `flow`.
- `record`: a sweep as plain data, which the viewer steps through. `recompute`: the graph again, with other numbers.
- `changed`: the warning of a graph in which leaves got other numbers after it was computed.
- `groups`, `names`, `inputs`: which module of a model a node belongs to, and what parameters and inputs are called.
- `fold`, `layout`, `dot`: what the viewer folds, where nodes are, and the programs that say so.
- `symbols`: rows of the table as formulas. `page`, `bundle`: a page with everything in it.
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
