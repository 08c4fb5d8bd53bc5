"""Arrays as the operands of a primitive: what its formulas do with many operands becomes loops of the program.

An instruction of a primitive with any number of operands takes numbers, or an array in place of all of them (`dot`
takes two). The formulas of the table (`rules.py`) ask their operands for what is here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from autograd.ir.block import Array, Window, whole
from autograd.ir.builder import Builder, LoopBuilder, Symbol
from autograd.rules import TABLE, Rule

MANY = frozenset(name for name, rule in TABLE.items() if rule.arity is None and rule.formula is not None)
FEWEST_ELEMENTS = 64  # of an array that are one operand of a primitive: fewer are operands of their own
GROUPS = 8  # of operands, which are folded side by side
FEWEST_IN_GROUPS = 64  # operands


def takes_arrays(builder: Builder, op: str, operands: Sequence[int]) -> bool:
    """Whether an instruction is a primitive whose operands are the elements of an array."""
    return op in MANY and bool(operands) and isinstance(builder.type_of(operands[0]), Array)


def elements_of(builder: Builder, operands: Sequence[int]) -> Elements | Halves:
    """The operands of such a primitive."""
    parts = [Elements(builder, (o,)) for o in operands]
    return parts[0] if len(parts) == 1 else Halves(*parts)


class Elements:
    """Numbers side by side: a function of the elements of one or more arrays of the same length.

    Parameters
    ----------
    builder : Builder
        The program that has the arrays.
    arrays : tuple of int
        Arrays with one axis.
    function : callable, optional
        Takes one element of each. If there is none, the elements of the only array are the numbers.
    """

    def __init__(self, builder: Builder, arrays: tuple[int, ...], function: Callable[..., Any] | None = None) -> None:
        self.builder, self.arrays, self.function = builder, arrays, function

    def _extent(self) -> int:
        kind: Any = self.builder.type_of(self.arrays[0])
        extent: int = kind.shape[0]
        return extent

    def __len__(self) -> int:
        return self._extent()

    def _number(self, given: Sequence[Any]) -> Any:
        return given[0] if self.function is None else self.function(*given)

    def __getitem__(self, key: Any) -> Any:
        """One of the numbers, or some of them, evenly apart."""
        if isinstance(key, slice):
            start, _, step = key.indices(len(self))
            count = len(range(len(self))[key])
            return Elements(
                self.builder, tuple([self._part(a, start, step, count) for a in self.arrays]), self.function
            )
        return self._number([Symbol(self.builder, self.builder.element(array, key)) for array in self.arrays])

    def _part(self, array: int, start: int, step: int, count: int) -> int:
        """`count` elements of an array, evenly apart."""
        window, kind = Window((count,), start, (step,)), self.builder.type_of(array)
        return array if window == whole(kind) else self.builder.emit("read", (array,), window)  # type: ignore[arg-type]

    def _loop(self, extent: int | str | None = None, backwards: bool = False) -> tuple[LoopBuilder, Builder]:
        inner = self.builder.inner()
        return LoopBuilder(self.builder, inner, self._extent() if extent is None else extent, backwards), inner

    def _in(self, made: LoopBuilder) -> Any:
        """The number of one step of a loop."""
        return self._number([Symbol(made.inner, made.element(array)) for array in self.arrays])

    # ---- what formulas ask ---------------------------------------------------------------------------------------

    def each(self, function: Callable[..., Any], *others: Elements) -> Elements:
        """A function of these numbers, and of others side by side; a loop computes it when its results are used."""
        parts = (self, *others)
        ends: list[int] = []
        for part in parts:
            ends.append((ends[-1] if ends else 0) + len(part.arrays))

        def together(*given: Any) -> Any:
            numbers = [part._number(given[end - len(part.arrays) : end]) for part, end in zip(parts, ends)]
            return function(*numbers)

        return Elements(self.builder, tuple([a for part in parts for a in part.arrays]), together)

    def array(self) -> int:
        """The numbers as one array. To compute them again costs less than to keep long arrays, so this is not kept."""
        if self.function is None:
            return self.arrays[0]
        made, inner = self._loop()
        loop = made.finish([], [(inner.place(self._in(made)), "each")])
        return self.builder.emit("item", (loop,), 0)

    def of(self, rule: Rule) -> Symbol:
        """A primitive of these numbers."""
        return Symbol(self.builder, self.builder.emit(rule.name, (self.array(),)))

    def fold(self, step: Callable[[Any, Any], Any], start: Any) -> Symbol:
        """What a step makes of the start and the numbers, one after another."""
        made, inner = self._loop()
        carry = Symbol(inner, made.carry(self.builder.place(start)))
        loop = made.finish([inner.place(step(carry, self._in(made)))], [])
        return Symbol(self.builder, self.builder.emit("item", (loop,), 0))

    def before(self, step: Callable[[Any, Any], Any], start: Any) -> Elements:
        """For each number what a step made of the start and the numbers before it."""
        made, inner = self._loop()
        carry = Symbol(inner, made.carry(self.builder.place(start)))
        loop = made.finish([inner.place(step(carry, self._in(made)))], [(carry.index, "each")])
        return Elements(self.builder, (self.builder.emit("item", (loop,), 1),))

    def grouped(self, step: Callable[[Any, Any], Any]) -> Any:
        """What a step makes of the numbers in order, where groups of neighbours may go first."""
        count = len(self)
        if count < FEWEST_IN_GROUPS:
            return self[1:].fold(step, self[0]) if count > 1 else self[0]
        width = count // GROUPS
        made, inner = self._loop(GROUPS)
        rows = tuple([self._rows(array, width) for array in self.arrays])
        row = Elements(inner, tuple([made.element(array) for array in rows]), self.function)
        best = row[1:].fold(step, row[0])
        loop = made.finish([], [(inner.place(best), "each")])
        bests = Elements(self.builder, (self.builder.emit("item", (loop,), 0),))
        total = bests[1:].fold(step, bests[0])
        return self[GROUPS * width :].fold(step, total) if count % GROUPS else total

    def _rows(self, array: int, width: int) -> int:
        return self.builder.emit("read", (array,), Window((GROUPS, width), 0, (width, 1)))

    def total(self) -> Symbol:
        """The sum of the numbers, in any order."""
        made, inner = self._loop()
        loop = made.finish([], [(inner.place(self._in(made)), "sum")])
        return Symbol(self.builder, self.builder.emit("item", (loop,), 0))


class Halves:
    """The operands of `dot`: two sequences, one after the other."""

    def __init__(self, first: Elements, second: Elements) -> None:
        self.first, self.second = first, second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, half: slice) -> Elements:
        return self.first if half.start is None else self.second

    def swapped(self) -> Halves:
        """The second half, then the first."""
        return Halves(self.second, self.first)
