"""Running: finds the machine code for a call, or captures the function and compiles it.

In the order of a call:

- `jit`: `jit` and `compile_graph`, which users call.
- `_call.c`: the fast path in C. `fast_path` describes arguments and results for it.
- `call`: a compiled function, and the slow path of its calls. `static`, `sparse`: those with static arguments, and
  sparse Jacobians and Hessians.
- `batch`: `vmap` at the top of the function.
- `dispatcher`: chooses among the specializations for one signature, or makes one more. `capturing`: a run on tracers.
- `families`: programs that several captures share.
- `specialization`: a program, its machine code and its buffers. `collection`: less garbage collection meanwhile.
- `with_derivatives`, `nodes`, `ungraphed`: results that are Values, and their graphs.
- `pickling`: compiled functions in pickles. `exports`: what is written in C.
"""
