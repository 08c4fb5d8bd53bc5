"""The compiler: captures a function as a program, differentiates and simplifies it, and runs it as machine code.

The rooms are the phases of a first call, in order: `capture` runs the function on tracers, `autograd.ir` holds the
program, `lower` writes it as LLVM IR, `machine` makes machine code of that, and `run` finds the code for a call.
`export` writes a program as C.
"""

from autograd.compiler.capture.outside import ChangedMeanwhileError
from autograd.compiler.machine import llvm as llvm  # first: its error says what is not installed
from autograd.compiler.run.call import Compiled
from autograd.compiler.run.jit import compile_graph, jit
from autograd.compiler.run.specialization import TooManyPathsError
from autograd.compiler.run.ungraphed import Ungraphed

__all__ = ["ChangedMeanwhileError", "Compiled", "TooManyPathsError", "Ungraphed", "compile_graph", "jit"]
