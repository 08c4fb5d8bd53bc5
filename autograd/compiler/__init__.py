"""The compiler: captures a function as a program, differentiates and simplifies it, and runs it as machine code.

The rooms are the phases of a first call, in order:

- `source`: rewrites branches and loops in the source so that they can be captured.
- `capture`: runs the function once on tracers, which record a program. `autograd.ir` holds programs.
- `sparse`: programs that compute only the entries of a sparse Jacobian or Hessian.
- `lower`: writes a program as LLVM IR.
- `machine`: makes machine code of that.
- `run`: finds the machine code for a call, or asks for all this. `jit` is here.

`export` writes a program as C. `c_build`, `watch`, `locks` and `notices` serve several rooms.
"""

from autograd.compiler.capture.outside import ChangedMeanwhileError
from autograd.compiler.machine import llvm as llvm  # first: its error says what is not installed
from autograd.compiler.run.call import Compiled
from autograd.compiler.run.jit import compile_graph, jit
from autograd.compiler.run.specialization import TooManyPathsError
from autograd.compiler.run.ungraphed import Ungraphed

__all__ = ["ChangedMeanwhileError", "Compiled", "TooManyPathsError", "Ungraphed", "compile_graph", "jit"]
