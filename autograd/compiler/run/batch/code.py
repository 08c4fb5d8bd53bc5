"""The machine code of a batch for one path, and the buffers of the rows that it runs on."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autograd.compiler.lower.module import LEFT
from autograd.compiler.lower.whiles import STOPPED
from autograd.compiler.run.specialization import Frame, Specialization
from autograd.ir.block import Type, types_of


@dataclass
class RowCode:
    """A specialization that computes any number of rows, and the form of its results.

    Attributes
    ----------
    specialization : Specialization
        Its program has a loop over the rows.
    row : tree
        The results of one row, if each row has its own.
    shapes : list of tuple
        For each array of results the shape of one row's part of it.
    """

    specialization: Specialization
    row: Any
    shapes: list[tuple[int, ...]]

    def outputs(self, count: int) -> list[Any]:
        """New arrays for the results of this number of rows."""
        return [np.empty((count, *shape)) for shape in self.shapes]

    def output_types(self) -> list[Type]:
        """The types of the program's outputs."""
        program = self.specialization.captured
        types = types_of(program)
        return [types[o] for o in program.outputs]


class RowBuffers:
    """Rows for one machine code: the arrays that it reads, and those that it writes.

    Attributes
    ----------
    arrays : list of ndarray
        The rows of the arguments.
    targets : list of ndarray
        The results that each row has.
    failed : ndarray of uint8
        For each row whether a guard failed; empty if there are no guards.
    table : ndarray of int64
        What the machine code is given: the number of rows; the address and both strides of each array and target; the
        address of `failed`.
    """

    def __init__(self, code: RowCode, arrays: list[Any], targets: list[Any] | None = None, failed: Any = None) -> None:
        self.code, self.arrays, count = code, arrays, len(arrays[0])
        self.targets = code.outputs(count) if targets is None else targets
        guarded = code.specialization.notes.guarded
        self.failed = np.zeros(count if guarded else 0, dtype=np.uint8) if failed is None else failed
        self.frame: Frame | None = None  # in a thread, the one that is used; else one from the pool
        table = [count]
        for array in arrays:
            if array.shape[1]:
                table += (array.ctypes.data, *array.strides)
        for target in self.targets:
            table += (target.ctypes.data, target.strides[0] if count else 8, 8)
        table.append(self.failed.ctypes.data)
        self.table = np.array(table, dtype=np.int64)

    def part(self, start: int, stop: int) -> RowBuffers:
        """Some of the rows, in the same memory."""
        arrays, targets = ([array[start:stop] for array in arrays] for arrays in (self.arrays, self.targets))
        return RowBuffers(self.code, arrays, targets, self.failed[start:stop])

    def run(self, shared: Sequence[float]) -> Any:
        """Run the machine code, given the numbers that all rows share; return the totals over the rows.

        Raises
        ------
        Exception
            What a rule written in Python raised, unless only rows of which a guard failed raised it.
        """
        error, totals = self._attempt(shared)
        if error is not None:
            self._raise(error, shared)
        return totals

    def stop(self) -> None:
        """Let the thread that runs these rows leave its loops soon; before it runs them, this does nothing."""
        assert self.frame is not None
        ctypes.c_int64.from_address(self.frame.block[3] + LEFT).value = -STOPPED

    def _attempt(self, shared: Sequence[float]) -> tuple[BaseException | None, Any]:
        specialization = self.code.specialization
        frame = self.frame or specialization.frame()
        given = [*shared, *[leaf.data for leaf in specialization.leaves]]
        frame.numbers[: len(given)] = given
        frame.block[1] = self.table.ctypes.data
        _, error = specialization.attempt(frame)
        totals = frame.results.copy()[: specialization.sizes[1]]
        if self.frame is None:
            specialization.pool.append(frame)
        return error, totals

    def _raise(self, error: BaseException, shared: Sequence[float]) -> None:
        """Raise the error, unless only rows of which a guard failed raised it.

        All lanes call the rule, and it is not known which of them raised. So the other rows run again without those.
        """
        held = np.flatnonzero(self.failed == 0)
        if len(held) == len(self.failed) or not isinstance(error, Exception):
            raise error
        if len(held):
            again = RowBuffers(self.code, [array[held] for array in self.arrays])
            again.frame = self.frame
            again.run(shared)
