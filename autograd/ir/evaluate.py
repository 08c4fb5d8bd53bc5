"""The definition of what a program computes: an evaluator in plain Python."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from autograd.ir.block import COMPARISONS, GOING, LOGIC, Array, Extent, Instruction, Loop, Program, Window
from autograd.rules import TABLE, Rule


class Cells:
    """An array while a program is evaluated: some of the numbers of a list.

    Examples
    --------
    >>> matrix = Cells([1.0, 2.0, 3.0, 4.0], (2, 2))
    >>> matrix.window(Window((2,), 1, (2,))).numbers()
    [2.0, 4.0]
    """

    __slots__ = ("storage", "shape", "offset", "strides", "seen")

    def __init__(
        self,
        storage: list[Any],
        shape: tuple[int, ...],
        offset: int = 0,
        strides: tuple[int, ...] | None = None,
        seen: set[int] | None = None,
    ) -> None:
        self.storage, self.shape, self.offset = storage, shape, offset
        self.strides = Array(shape).strides() if strides is None else strides
        self.seen = seen  # of an accumulator: the places that the steps have read, which are final

    def places(self) -> Iterator[int]:
        """Where in the list the elements are, in order."""
        for at in product(*map(range, self.shape)):
            yield self.offset + sum(i * stride for i, stride in zip(at, self.strides))

    def numbers(self) -> list[Any]:
        """The elements in order."""
        if self.seen is None:
            return [self.storage[place] for place in self.places()]
        places = list(self.places())
        self.seen.update(places)
        return [self.storage[place] for place in places]

    def row(self, i: int) -> Any:
        """A number, or the array of a row."""
        offset = self.offset + i * self.strides[0]
        row = Cells(self.storage, self.shape[1:], offset, self.strides[1:], self.seen)
        return row if row.shape else row.numbers()[0]

    def window(self, window: Window, indices: Sequence[float] = (), extents: Mapping[str, int] | None = None) -> Cells:
        """The elements that a window tells, counted in the order of this array."""
        first = window.offset + sum(step * as_index(index) for step, index in zip(window.steps, indices))
        shape = tuple([extent_of(extent, extents) for extent in window.shape])
        if self.strides == Array(self.shape).strides():
            return Cells(self.storage, shape, self.offset + first, window.strides, self.seen)
        order = list(self.places())  # an array that does not lie row after row: a copy of the references
        inside = Cells(order, shape, first, window.strides)
        return _Scattered(self.storage, inside.numbers(), shape, self.seen)

    def accumulated(self) -> Cells:
        """The same array as an accumulator, whose places that are read must be final."""
        return self if self.seen is not None else Cells(self.storage, self.shape, self.offset, self.strides, set())


class _Scattered(Cells):
    """Elements at any places of the list."""

    __slots__ = ("where",)

    def __init__(
        self, storage: list[Any], where: list[int], shape: tuple[int, ...], seen: set[int] | None = None
    ) -> None:
        super().__init__(storage, shape, seen=seen)
        self.where = where

    def places(self) -> Iterator[int]:
        yield from self.where

    def row(self, i: int) -> Any:
        width = prod(self.shape[1:])
        part = _Scattered(self.storage, self.where[i * width : (i + 1) * width], self.shape[1:], self.seen)
        return part if part.shape else part.numbers()[0]

    def window(self, window: Window, indices: Sequence[float] = (), extents: Mapping[str, int] | None = None) -> Cells:
        first = window.offset + sum(step * as_index(index) for step, index in zip(window.steps, indices))
        shape = tuple([extent_of(extent, extents) for extent in window.shape])
        return _Scattered(self.storage, Cells(self.where, shape, first, window.strides).numbers(), shape, self.seen)

    def accumulated(self) -> Cells:
        return self if self.seen is not None else _Scattered(self.storage, self.where, self.shape, set())


def as_index(number: Any) -> int:
    """A whole number of the program, a float or a Value, as an int."""
    return int(number if isinstance(number, float) else number.data)


def extent_of(extent: Extent, extents: Mapping[str, int] | None) -> int:
    """An extent as a number.

    Raises
    ------
    ValueError
        If it is known at the call only, and was not given.
    """
    if isinstance(extent, int):
        return extent
    if not extents or extent not in extents:
        raise ValueError(f"the extent {extent!r} is known only at the call: give evaluate extents={{{extent!r}: …}}")
    return extents[extent]


class Counts:
    """How many instructions an evaluation executed, and how many numbers its arrays had that were made."""

    def __init__(self) -> None:
        self.executed = self.allocated = 0


# What `evaluate_one` does not evaluate: instructions that need more than numbers, and functions in Python.
UNFOLDED = frozenset({"input", "constant", "custom", "loop", "item", "read", "add_at", "zeros", "pack", "table"})


class Evaluator:
    """Runs programs instruction by instruction.

    `apply` computes a primitive, on floats if nothing else is given. With `copies`, arrays that are added to are
    copied first: for instructions that do not run in their order.
    """

    def __init__(
        self,
        extents: Mapping[str, int] | None = None,
        apply: Callable[[Rule, Sequence[Any]], Any] = lambda rule, operands: rule.evaluate(operands),
        counts: Counts | None = None,
        copies: bool = False,
    ) -> None:
        self.extents, self.apply, self.counts, self.copies = extents, apply, counts or Counts(), copies

    def run(self, program: Program, inputs: Sequence[Any]) -> list[Any]:
        """All values of a program; arrays are `Cells`."""
        values: list[Any] = []
        for instruction in program.code:
            if instruction.op == "input":
                values.append(inputs[instruction.data])
            else:
                values.append(self.instruction(instruction, [values[o] for o in instruction.operands]))
        return values

    def instruction(self, instruction: Instruction, operands: Sequence[Any]) -> Any:
        """The value that an instruction defines."""
        op, _, data = instruction
        special = _SPECIAL.get(op)
        if special is not None:
            return special(self, data, operands)
        self.counts.executed += 1
        if op in COMPARISONS:
            return COMPARISONS[op](*operands)
        if op in LOGIC:
            return LOGIC[op](*operands)
        if op == "pos" and isinstance(operands[0], Cells):
            return operands[0]
        if operands and isinstance(operands[0], Cells):
            operands = [x for cells in operands for x in cells.numbers()]
        return self.apply(data if op == "custom" else TABLE[op], operands)

    def _select(self, _: None, operands: Sequence[Any]) -> Any:
        self.counts.executed += 1
        return operands[1] if operands[0] else operands[2]

    def _read(self, window: Window, operands: Sequence[Any]) -> Any:
        found = operands[0].window(window, operands[1:], self.extents)
        return found if window.shape else found.numbers()[0]

    def _add_at(self, window: Window, operands: Sequence[Any]) -> Cells:
        array, added, *indices = operands
        if self.copies:
            array = Cells(array.numbers(), array.shape)
        numbers = added.numbers() if isinstance(added, Cells) else [added]
        for place, number in zip(array.window(window, indices, self.extents).places(), numbers, strict=True):
            self.counts.executed += 1
            if array.seen is not None and place in array.seen:
                raise ValueError(f"element {place} of an accumulator is added to after a step has read it")
            array.storage[place] = self.apply(TABLE["add"], [array.storage[place], number])
        cells: Cells = array
        return cells

    def _zeros(self, shape: tuple[Extent, ...], _: Sequence[Any]) -> Cells:
        sizes = tuple([extent_of(extent, self.extents) for extent in shape])
        self.counts.allocated += prod(sizes)
        return Cells([0.0] * prod(sizes), sizes)

    def _table(self, data: Any, _: Sequence[Any]) -> Cells:
        return Cells(list(data[1]), data[0])

    def _pack(self, shape: tuple[int, ...], operands: Sequence[Any]) -> Cells:
        self.counts.allocated += len(operands)
        return Cells(list(operands), shape)

    def _loop(self, loop: Loop, operands: Sequence[Any]) -> list[Any]:
        """The results of a loop."""
        roles, run = loop.by_role(operands), self.run
        handed = roles.handed
        if loop.accumulators:
            if self.copies:  # once: the steps themselves run in their order
                handed[loop.carries :] = [Cells(array.numbers(), array.shape) for array in handed[loop.carries :]]
                run = Evaluator(self.extents, self.apply, self.counts).run
            given = handed[loop.carries :]
            handed[loop.carries :] = [array.accumulated() for array in given]
        outs: list[list[Any]] = [[] for _ in loop.kinds]
        for i in self._steps(loop, operands):
            if loop.test and not handed[GOING]:
                break
            elements = [array.row(i) for array in roles.elements]
            values = run(loop.body, [float(i), *roles.shared, *handed, *elements])
            results = [values[o] for o in loop.body.outputs]
            handed = results[: loop.handed]
            for column, result in zip(outs, results[loop.handed :]):
                column.append(result)
        if loop.backwards:
            outs = [column[::-1] for column in outs]
        if loop.accumulators:
            handed[loop.carries :] = given
        return [*handed, *[self._out(loop, k, column) for k, column in enumerate(outs)]]

    def _steps(self, loop: Loop, operands: Sequence[Any]) -> Iterable[int]:
        """The numbers of the steps; a loop with a test ends by itself."""
        if loop.test:
            return itertools.count()
        steps = range(as_index(operands[0]) if loop.is_counted else extent_of(loop.extent, self.extents))
        return reversed(steps) if loop.backwards else steps

    def _out(self, loop: Loop, k: int, column: list[Any]) -> Any:
        if loop.kinds[k] == "sum":
            self.counts.executed += len(column)
            return self.apply(TABLE["sum"], column[::-1] if loop.backwards else column)
        rows = [cell.numbers() if isinstance(cell, Cells) else [cell] for cell in column]
        shape = column[0].shape if column and isinstance(column[0], Cells) else ()
        self.counts.allocated += len(rows) * prod(shape)
        return Cells([x for row in rows for x in row], (len(rows), *shape))


_SPECIAL: dict[str, Callable[[Evaluator, Any, Sequence[Any]], Any]] = {
    "constant": lambda evaluator, data, operands: data,
    "stop": lambda evaluator, data, operands: operands[0],
    "item": lambda evaluator, data, operands: operands[0][data],
    "select": Evaluator._select,
    "read": Evaluator._read,
    "add_at": Evaluator._add_at,
    "zeros": Evaluator._zeros,
    "pack": Evaluator._pack,
    "table": Evaluator._table,
    "loop": Evaluator._loop,
}


def evaluate_one(instruction: Instruction, operands: Sequence[Any]) -> Any:
    """The result of one instruction on numbers, as the eager engine computes it."""
    return Evaluator().instruction(instruction, operands)


def evaluate(
    program: Program,
    inputs: Sequence[Any],
    extents: Mapping[str, int] | None = None,
    counts: Counts | None = None,
) -> tuple[list[Any], int]:
    """Run a program on numbers: its outputs, and the number of the first guard that fails (or -1).

    Parameters
    ----------
    program : Program
        What to run.
    inputs : sequence
        A float for each number, a list of floats for each array.
    extents : mapping, optional
        The extents that are known at the call only.
    counts : Counts, optional
        Counts the instructions that are executed.

    Returns
    -------
    (outputs, failed)
        Arrays among the outputs are lists of floats.

    Examples
    --------
    >>> add_up = Program([Instruction("input", (), 0), Instruction("read", (0,), Window((), 2))], [1], (Array((3,)),))
    >>> evaluate(add_up, [[1.0, 2.0, 3.0]])
    ([3.0], -1)
    """
    values = Evaluator(extents, counts=counts).run(program, cells_of(program, inputs, extents))
    failed = [i for i, guard in enumerate(program.guards) if values[guard.value] != guard.expected]
    outputs = [x.numbers() if isinstance(x, Cells) else x for x in [values[o] for o in program.outputs]]
    return outputs, failed[0] if failed else -1


def cells_of(program: Program, inputs: Sequence[Any], extents: Mapping[str, int] | None = None) -> list[Any]:
    """Inputs of a program as an `Evaluator` takes them: lists as arrays."""
    return [
        Cells(list(x), tuple([extent_of(e, extents) for e in kind.shape])) if isinstance(kind, Array) else x
        for x, kind in zip(inputs, program.inputs, strict=True)
    ]


def flat(outputs: Sequence[Any]) -> list[Any]:
    """The numbers of outputs, those of arrays one after the other.

    Examples
    --------
    >>> flat([1.0, [2.0, 3.0]])
    [1.0, 2.0, 3.0]
    """
    return [x for output in outputs for x in (output if isinstance(output, list) else [output])]
