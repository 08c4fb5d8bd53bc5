"""The entries of a sparse Jacobian as a program, by the method that computes least."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd.compiler.sparse.by_colours import by_colours
from autograd.compiler.sparse.by_steps import by_steps
from autograd.compiler.sparse.pattern import pattern
from autograd.compiler.sparse.problem import Entries, Problem
from autograd.compiler.sparse.terms import UnfitError
from autograd.ir.block import Program
from autograd.ir.passes import simplify

CHEAP = 4  # times the operations of the function; sweeps for two colours execute more, for n colours at least 1 + n
FEW = 200  # operations more or less, which do not matter
UNKNOWN_STEPS = 10  # of a loop whose number of steps is not known


def entries(given: Problem, mode: str, symmetric: bool) -> tuple[Program, Entries]:
    """A program that computes the entries, by the method that computes less, and the sparse array they belong to."""
    steps = None
    if mode == "auto":
        try:
            steps = by_steps(given, symmetric)
        except UnfitError:
            pass
        else:
            sweeps = CHEAP if symmetric else max(CHEAP, 1 + _fewest_colours(steps[1].empty))
            if executed(steps[0]) <= sweeps * executed(given.program) + FEW:
                return steps
    found = pattern(given.program, given.columns, given.shape[1])[given.rows]
    if symmetric:
        found = _both(found)
    colouring = by_colours(given, found, mode, symmetric)
    if steps is not None and executed(steps[0]) <= executed(colouring[0]):
        return steps
    return colouring


def _fewest_colours(found: Any) -> int:
    """A lower bound of the number of colours: the entries of one row, or column, all have different ones."""
    rows, columns = np.diff(found.indptr), np.bincount(found.indices)
    return int(min(rows.max(initial=0), columns.max(initial=0)))


def executed(program: Program) -> int:
    """About how many operations a program executes."""
    total = 0
    for op, _, data in program.code:
        if op == "loop":
            total += (data.extent if isinstance(data.extent, int) else UNKNOWN_STEPS) * executed(data.body)
        elif op not in simplify.NOTHING_TO_COMPUTE:
            total += 1
    return total


def _both(found: Any) -> Any:
    """A pattern made symmetric: with each entry it has the transposed one."""
    union = (found + found.T).tocsr()
    union.sort_indices()
    return union
