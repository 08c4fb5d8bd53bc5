"""Derivatives of ordinary Python: exact gradients of code with numbers, loops and branches.

Think in graphs: compute on Values, call `backward()`, read `.grad`.

>>> from autograd import Value
>>> x, y = Value(3.0), Value(-2.0)
>>> z = x * x + (x * y + 8).relu()
>>> z.backward()
>>> x.grad, y.grad
(4.0, 3.0)

Or think in functions: `grad` takes one and returns its derivative.

>>> import autograd.math as am
>>> from autograd import grad
>>> grad(lambda x: x * am.sin(x))(0.0)
0.0

What you may want first:

- derivatives of functions: `grad`, `value_and_grad`, `jacobian`, `hessian`, `jvp`, `vjp`, `hvp`, `sparsity`
- many rows, and loops: `vmap`, `scan`, `fori`, `while_loop`
- speed: `jit` compiles a function, or a derivative of one, to machine code
- code that others wrote: `adopt` loads it so that it takes Values; `implicit` differentiates solutions
- many blocks of rows, on several processes or machines: `autograd.distributed`
- functions of numbers: `autograd.math`, the standard `math` module for Values, floats and arrays
- to see what happens: `autograd.view` with `flow` (step through backpropagation), `explain` (the chain rule in writing)
  and `draw`
- proof: `autograd.testing.check_grads` compares derivatives with finite differences
- networks, and training them with `fit`: the package `nn`

``python -m autograd`` starts a tour.
"""

from typing import TYPE_CHECKING, Any

from autograd import implicit, linalg, special
from autograd.calls import checkpoint
from autograd.clash import warn_of_other_package
from autograd.modes import AnomalyError, LostGradientWarning, detect_anomaly, no_grad, record_sources
from autograd.native import backend
from autograd.rules import Rule
from autograd.sweep import Message, backward, record_sweep, topological_order
from autograd.transforms import (
    custom_gradient,
    fori,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    scan,
    sparsity,
    value_and_grad,
    vjp,
    vmap,
    while_loop,
)
from autograd.value import Value

if TYPE_CHECKING:
    from autograd import compiler as compiler
    from autograd import distributed as distributed
    from autograd import ir as ir
    from autograd import math as math
    from autograd import rules as rules
    from autograd import testing as testing
    from autograd import tree as tree
    from autograd import view as view
    from autograd.adoption import AdoptionError, adopt
    from autograd.compiler import ChangedMeanwhileError, TooManyPathsError, compile_graph, jit

__all__ = [
    "AdoptionError",
    "AnomalyError",
    "ChangedMeanwhileError",
    "LostGradientWarning",
    "Message",
    "Rule",
    "TooManyPathsError",
    "Value",
    "adopt",
    "backend",
    "backward",
    "checkpoint",
    "compile_graph",
    "custom_gradient",
    "detect_anomaly",
    "fori",
    "grad",
    "hessian",
    "hvp",
    "implicit",
    "jacobian",
    "jit",
    "jvp",
    "linalg",
    "no_grad",
    "record_sources",
    "record_sweep",
    "scan",
    "sparsity",
    "special",
    "topological_order",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]
LATER = {  # what is loaded when it is first asked for, and from where
    **dict.fromkeys(("ChangedMeanwhileError", "TooManyPathsError", "compile_graph", "jit"), "autograd.compiler"),
    **dict.fromkeys(("AdoptionError", "adopt"), "autograd.adoption"),
}
MODULES = (
    "compiler",
    "distributed",
    "ir",
    "math",
    "rules",
    "testing",
    "tree",
    "view",
)  # what `import autograd` alone gives, lazily
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load the compiler, `adopt` or a module when it is first asked for."""
    if name not in LATER and name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    if name in MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    found = globals()[name] = getattr(importlib.import_module(LATER[name]), name)
    return found


def __dir__() -> list[str]:
    """What there is for users, loaded or not."""
    return sorted({*__all__, *MODULES, "__all__", "__doc__", "__file__", "__name__", "__path__", "__version__"})


warn_of_other_package()
