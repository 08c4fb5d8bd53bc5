"""The compiler: captures a function as a program, differentiates and simplifies it, and runs it as machine code."""

from autograd.jit.call import Compiled, TooManyPathsError, compile_graph, jit

__all__ = ["Compiled", "TooManyPathsError", "compile_graph", "jit"]
