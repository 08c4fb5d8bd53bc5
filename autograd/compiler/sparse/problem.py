"""A sparse derivative that is to be computed, and the sparse array of its entries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse

from autograd.ir.block import NUMBER, Instruction, Program, size_of, types_of
from autograd.ir.passes import simplify
from autograd.ir.passes.fusion import fused
from autograd.transforms.sparse import index_type


@dataclass(eq=False)
class Entries:
    """A sparse array without its numbers, and where these are among the numbers of a program's result.

    Attributes
    ----------
    empty : csr_array
        The array with zeros for its numbers.
    places : ndarray or None
        For each entry, its number in the result; None if the result is the entries in order.
    sums : csr_array or None
        If entries are sums of numbers of the result: the matrix that adds them up.
    method : str
        How the numbers are computed, for readers.
    sweeps : int
        How many sweeps over the function compute them.
    """

    empty: Any
    places: Any
    sums: Any
    method: str
    sweeps: int

    def __call__(self, numbers: Any) -> Any:
        """The sparse array of a result; it may keep the memory of the result."""
        if self.sums is not None:
            data = self.sums @ numbers[: self.sums.shape[1]]
        else:
            data = numbers if self.places is None else numbers.take(self.places)
        empty = self.empty
        found = empty.__class__.__new__(empty.__class__)
        found.__dict__.update(empty.__dict__, data=data, indices=empty.indices.copy(), indptr=empty.indptr.copy())
        return found

    def describe(self) -> str:
        """One line for readers: the number of entries, the shape and the method."""
        rows, columns = self.empty.shape
        return f"{self.empty.nnz:,} entries of {rows:,} × {columns:,}: {self.method}"


@dataclass(eq=False)
class Problem:
    """What is differentiated: a program, the columns of its inputs, and the rows of its outputs.

    Attributes
    ----------
    program : Program
        Its outputs are whole arrays, if results are elements of them.
    columns : dict
        Input → the column of its first number.
    rows : ndarray
        For each row, the index of its number among all numbers of the outputs.
    shape : tuple of int
        Of the Jacobian.
    """

    program: Program
    columns: dict[int, int]
    rows: Any
    shape: tuple[int, int]

    def simplified(self, accurate: bool) -> Problem:
        """The problem with a simpler program: its loops hand on only what changes, and adjacent loops are fused."""
        simple = simplify.simplify(self.program, accurate)
        if any(data.carries for op, _, data in simple.code if op == "loop"):
            simple = simplify.simplify(simplify.share_unchanged(simple), accurate)
        if any(op == "loop" for op, _, _ in simple.code):
            simple = simplify.simplify(fused(simple), accurate)
        return replace(self, program=simple)


def problem(program: Program, columns: dict[int, int], width: int) -> Problem:
    """The problem of all outputs of a program by some inputs; `columns` has the first column of each input."""
    program = _shared_items(simplify.remove_dead_code(program))
    types = types_of(program)
    arrays: dict[int, None] = {}
    places: list[tuple[int, int]] = []  # value, and which of its elements
    for output in program.outputs:
        op, operands, window = program.code[output]
        kind = types[output]
        if op == "read" and len(operands) == 1 and kind == NUMBER:
            places.append((operands[0], window.offset))
        else:
            places += [(output, k) for k in range(size_of(kind))]
        arrays[places[-1][0] if places else output] = None
    used = {value for value, _ in places}
    outputs = [value for value in arrays if value in used]
    ends = np.cumsum([0, *[size_of(types[value]) for value in outputs]]).tolist()
    first = dict(zip(outputs, ends))
    rows = np.array([first[value] + k for value, k in places], dtype=np.intp)
    left = simplify.remove_dead_code(replace(program, outputs=outputs))
    return Problem(left, columns, rows, (len(rows), width))


def _shared_items(program: Program) -> Program:
    """The program with one item in place of several that are the same result of a loop."""
    known: dict[Any, int] = {}
    code = list(program.code)

    def moved(value: int) -> int:
        op, operands, data = code[value]
        return known.get((operands[0], data), value) if op == "item" else value

    for at, (op, operands, data) in enumerate(code):
        if op == "item" and data >= (loop := code[operands[0]].data).handed:
            results = [*zip(loop.body.outputs[loop.handed :], loop.kinds)]
            same = loop.handed + results.index(results[data - loop.handed])
            code[at] = Instruction(op, operands, same)
            known.setdefault((operands[0], same), at)
        else:
            code[at] = Instruction(op, tuple([moved(o) for o in operands]), data)
    return replace(program, code=code, outputs=[moved(o) for o in program.outputs])


def without_numbers(columns: Any, ends: Any, shape: tuple[int, int]) -> Any:
    """A sparse array in CSR form with these columns, and the places where rows end; its numbers are 0."""
    index = index_type(len(columns), shape)
    given = np.zeros(len(columns)), columns.astype(index), ends.astype(index)
    found = scipy.sparse.csr_array(given, shape=shape)
    assert found.has_canonical_format
    return found
