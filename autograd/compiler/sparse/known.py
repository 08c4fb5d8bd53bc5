"""Numbers of a program that do not depend on its inputs: they say which elements of arrays a step reads and adds to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autograd.ir.block import COMPARISONS, Array, Instruction, Program, Window, types_of
from autograd.ir.evaluate import evaluate_one

NUMPY: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "neg": np.negative, "rint": np.rint, "floor": np.floor,
    "and": np.logical_and, "or": np.logical_or, "not": np.logical_not, "select": np.where, **COMPARISONS,
}  # fmt: skip  # a table


class Part(NamedTuple):
    """An array in each step: its element e in step b is row ``start[b] + places[e]`` of a store, or of an ndarray."""

    store: Any
    start: Any
    places: Any

    def rows(self) -> Any:
        """The rows of all elements of all steps."""
        return (self.start[:, None] + self.places[None, :]).ravel()


class Known:
    """The numbers of a program, or of the body of a loop in many steps at once, as far as they are known.

    Parameters
    ----------
    program : Program
        The program or body.
    steps : int
        How many steps there are.
    given : sequence of callables
        Each returns the numbers of an input, one for each step; None if they are not known.
    """

    def __init__(self, program: Program, steps: int, given: Sequence[Callable[[], Any]]) -> None:
        self.program, self.steps, self.given = program, steps, given
        self.types = types_of(program)
        self._numbers: dict[int, Any] = {}

    def number(self, value: int) -> Any:
        """The numbers of a value, one for each step; a `Part` for an array; None if they are not known."""
        if value not in self._numbers:
            self._numbers[value] = self._computed(*self.program.code[value])
        return self._numbers[value]

    def _computed(self, op: str, operands: tuple[int, ...], data: Any) -> Any:
        if op == "constant":
            return np.full(self.steps, data)
        if op == "input":
            return self.given[data]()
        if op == "table":
            numbers = np.array(data[1], dtype=float)
            return Part(numbers, np.zeros(self.steps, dtype=np.intp), np.arange(len(numbers)))
        if op in ("loop", "item", "add_at", "zeros", "pack", "custom"):
            return None
        found = [self.number(o) for o in operands]
        if any(x is None for x in found):
            return None
        if op == "read":
            array, size = found[0], len(found[0].places)
            chosen = np.broadcast_to(self.window(operands[1:], data, size), (self.steps, -1 if size else 0))
            rows = array.start[:, None] + array.places[chosen]
            if not data.shape:
                return array.store[rows[:, 0]]
            return Part(array.store[rows].ravel(), np.arange(self.steps) * rows.shape[1], np.arange(rows.shape[1]))
        if op in NUMPY:
            return NUMPY[op](*found)
        one = np.frompyfunc(lambda *numbers: evaluate_one(Instruction(op, operands, data), numbers), len(found), 1)
        return one(*[np.asarray(x, dtype=float) for x in found]).astype(float)

    def window(self, indices: Sequence[int], window: Window, size: int) -> Any:
        """The elements of an array of this size that a window takes in each step; None if they are not known."""
        inside = window_places(window)
        if not indices:
            return inside[None, :]
        numbers = [self.number(index) for index in indices]
        if any(number is None for number in numbers):
            return None
        first = sum(
            step * np.asarray(number, dtype=float).astype(np.intp) for step, number in zip(window.steps, numbers)
        )
        return np.clip(np.broadcast_to(first, (self.steps,))[:, None] + inside[None, :], 0, size - 1)

    def in_loop(self, operand: int, again: Any, extent: int) -> Any:
        """The numbers of an operand in the steps of an inner loop.

        `again` has the outer step of each inner one. With an `extent`, the inner steps go through the operand.
        """
        found = self.number(operand)
        if not isinstance(found, Part):
            return found if found is None else np.broadcast_to(found, (self.steps,))[again]
        if not extent:
            return found._replace(start=found.start[again])
        row = len(found.places) // extent
        places = found.places.reshape(extent, row)
        rows = (found.start[:, None, None] + places[None]).reshape(-1, row)
        if isinstance(self.types[operand], Array) and len(self.types[operand].shape) == 1:  # type: ignore[union-attr]
            return found.store[rows[:, 0]]
        return Part(found.store[rows].ravel(), np.arange(len(rows)) * row, np.arange(row))


def window_places(window: Window) -> Any:
    """The indices of the elements of a window, row after row."""
    found = np.array([window.offset])
    for extent, stride in zip(window.shape, window.strides):
        found = (found[:, None] + stride * np.arange(1 if isinstance(extent, str) else extent)[None, :]).ravel()
    return found
