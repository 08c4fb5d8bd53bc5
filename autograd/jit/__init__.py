"""The compiler: captures a function as a program, differentiates and simplifies it, and runs it as machine code.

The package may be called like its function: ``from autograd import jit`` and ``from autograd.jit import jit`` both
give a decorator.
"""

import sys
from types import ModuleType
from typing import Any

from autograd.jit import native as native  # first: it says what is not installed
from autograd.jit.call import Compiled, compile_graph, jit
from autograd.jit.outside import ChangedMeanwhileError
from autograd.jit.paths import TooManyPathsError
from autograd.jit.ungraphed import Ungraphed

__all__ = ["ChangedMeanwhileError", "Compiled", "TooManyPathsError", "Ungraphed", "compile_graph", "jit"]


class _Callable(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:
        return jit(*args, **options)


sys.modules[__name__].__class__ = _Callable
