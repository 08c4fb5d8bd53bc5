"""Sparse derivatives as programs: only the entries of a sparse Jacobian or Hessian are computed.

- `problem`: which derivatives of which program are wanted, and the sparse array that the results become.
- `entries`: chooses between two methods, the one that computes less.
- `by_colours`: forward or reverse sweeps, one for each colour. `pattern` finds the entries, with numbers that are
  `known`; `colours` says which columns one sweep can take together.
- `by_steps`: each step of a loop computes its own derivatives, as `terms` of the results. `program_terms` goes through
  the program, `loop_terms` through a loop.
- `order`: lets the program compute the entries in the order of the sparse array.
"""
