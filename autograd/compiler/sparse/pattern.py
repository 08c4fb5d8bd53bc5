"""Which outputs of a program depend on which inputs: index sets are carried through its instructions and loops.

All steps of a loop without carries are looked at together. What a number depends on is a set of columns; inside such
loops it is a set of matrices, each of which has a row for each step. Arrays have a row for each of their elements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from autograd.ir.block import COMPARISONS, GOING, STEPS, Array, Instruction, Loop, Program, Window, size_of, types_of
from autograd.ir.builder import Builder, Selected
from autograd.ir.derive.messages import WITHOUT_DERIVATIVE, differentiable, local_derivatives
from autograd.ir.evaluate import evaluate_one
from autograd.ir.memory import memories
from autograd.rules import TABLE

Columns = frozenset[int]
NONE: Columns = frozenset()
NUMPY: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "neg": np.negative, "rint": np.rint, "floor": np.floor,
    "and": np.logical_and, "or": np.logical_or, "not": np.logical_not, "select": np.where, **COMPARISONS,
}  # fmt: skip  # a table


def matrix(rows: Any, columns: Any, shape: tuple[int, int]) -> Any:
    """A matrix of truths with these entries, each once, in order."""
    found = scipy.sparse.coo_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=shape).tocsr()
    found.sum_duplicates()
    return found


class Store:
    """The elements of arrays, a row each: which columns each one depends on. What is added is taken in when needed."""

    def __init__(self, shape: tuple[int, int], known: Any = None) -> None:
        self.shape, self.known = shape, known
        self.added: list[tuple[Any, Any]] = []

    def add(self, rows: Any, columns: Any) -> None:
        """Let elements depend on columns as well."""
        if len(rows):
            self.added.append((rows, columns))

    def matrix(self) -> Any:
        """All rows."""
        if self.added or self.known is None:
            entries = list(self.added)
            if self.known is not None:
                coo = self.known.tocoo()
                entries.append((coo.row, coo.col))
            none = np.empty(0, dtype=np.intp)
            rows, columns = (np.concatenate([none, *parts]) for parts in zip(*entries)) if entries else (none, none)
            self.known, self.added = matrix(rows, columns, self.shape), []
        return self.known


class Part(NamedTuple):
    """An array: element e of step b is row ``start[b] + places[e]`` of a store (or of a list of numbers)."""

    store: Any
    start: Any
    places: Any

    def rows(self) -> Any:
        """The rows of all elements of all steps."""
        return (self.start[:, None] + self.places[None, :]).ravel()


class Block:
    """A program, or the body of a loop, for all steps at once that are independent of one another."""

    def __init__(self, program: Program, steps: int, columns: int, given: Sequence[Any], known: Sequence[Any]) -> None:
        self.program, self.steps, self.columns = program, steps, columns
        self.given, self.known = given, known  # of each input: what it depends on; its numbers, if these are known
        self.types = types_of(program)
        self.found: list[Any] = []
        self.numbers: dict[int, Any] = {}
        self.atoms: list[Any] = []  # matrices, by their numbers in the sets
        self.places: dict[Any, Columns] = {}
        self.merged: dict[Columns, Any] = {}

    def run(self) -> list[Any]:
        """What each output depends on."""
        for at, (op, operands, data) in enumerate(self.program.code):
            special = _SPECIAL.get(op)
            if special is not None:
                self.found.append(special(self, at, operands, data))
            elif op in WITHOUT_DERIVATIVE:
                self.found.append(NONE)
            else:
                chosen = (
                    [operands[k] for k in _slots(op, len(operands))] if op in TABLE else differentiable(op, operands)
                )
                self.found.append(self._union([self.found[o] for o in chosen]))
        return [self.found[o] for o in self.program.outputs]

    @staticmethod
    def _union(sets: Sequence[Columns]) -> Columns:
        some = [s for s in sets if s]
        return some[0] if len(some) == 1 else NONE.union(*some)

    # ---- sets and matrices -----------------------------------------------------------------------------------------

    def of(self, rows: Any) -> Columns:
        """The set that stands for a matrix with a row for each step."""
        if self.steps == 1:
            return frozenset(rows.indices.tolist())
        if not rows.nnz:
            return NONE
        self.atoms.append(rows)
        return frozenset((len(self.atoms) - 1,))

    def rows(self, columns: Columns) -> Any:
        """The matrix that a set stands for."""
        if self.steps == 1:
            places = np.fromiter(sorted(columns), dtype=np.intp, count=len(columns))
            return scipy.sparse.csr_array(
                (np.ones(len(places), dtype=bool), places, np.array([0, len(places)])), shape=(1, self.columns)
            )
        if columns not in self.merged:
            matrices = [self.atoms[k] for k in columns]
            if not matrices:
                self.merged[columns] = scipy.sparse.csr_array((self.steps, self.columns), dtype=bool)
            elif len(matrices) == 1:
                self.merged[columns] = matrices[0]
            else:
                coo = [one.tocoo() for one in matrices]
                rows, places = np.concatenate([c.row for c in coo]), np.concatenate([c.col for c in coo])
                self.merged[columns] = matrix(rows, places, (self.steps, self.columns))
        return self.merged[columns]

    def part(self, shape: tuple[int, int], known: Any = None) -> Part:
        """A new array with so many elements in each step."""
        size = shape[1]
        store = Store((shape[0] * size, self.columns), known)
        return Part(store, np.arange(shape[0]) * size, np.arange(size))

    # ---- arrays ----------------------------------------------------------------------------------------------------

    def _input(self, at: int, operands: Sequence[int], data: int) -> Any:
        return self.given[data]

    def window(self, indices: Sequence[int], window: Window, size: int) -> Any:
        """The elements of an array of this size that a window has: for each step, or None if that is not known."""
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

    def _read(self, at: int, operands: Sequence[int], window: Window) -> Any:
        array: Part | None = self.found[operands[0]]
        if array is None:
            return None if window.shape else NONE
        size = size_of(Array(window.shape)) if window.shape else 1
        chosen = self.window(operands[1:], window, len(array.places))
        if chosen is None:  # somewhere: each element may be any
            union = self._any(array)
            if not window.shape:
                return self.of(union)
            every = union[np.repeat(np.arange(self.steps), size)]
            return self.part((self.steps, size), every)
        if not window.shape:
            key = id(array.store), array.start.tobytes(), array.places[chosen].tobytes(), len(array.store.added)
            if key not in self.places:
                self.places[key] = self._element(array, array.places[chosen][:, 0])
            return self.places[key]
        if len(chosen) == 1:
            return Part(array.store, array.start, array.places[chosen[0]])
        places = array.start[:, None] + array.places[chosen]
        if (places - places[:, :1] == places[:1] - places[0, 0]).all():
            return Part(array.store, places[:, 0], places[0] - places[0, 0])
        return self.part((self.steps, size), array.store.matrix()[places.ravel()])

    def _element(self, array: Part, places: Any) -> Columns:
        rows = array.start + places
        if self.steps == 1:
            known = array.store.matrix()
            return frozenset(known.indices[known.indptr[rows[0]] : known.indptr[rows[0] + 1]].tolist())
        return self.of(array.store.matrix()[rows])

    def _any(self, array: Part) -> Any:
        """What the elements of an array depend on together, in each step."""
        coo = array.store.matrix()[array.rows()].tocoo()
        return matrix(coo.row // len(array.places), coo.col, (self.steps, self.columns))

    def _pack(self, at: int, operands: Sequence[int], data: Any) -> Any:
        sets = [self.found[o] for o in operands]
        if not any(sets):
            return None
        size = len(operands)
        rows, columns = [], []
        for k, one in enumerate(sets):
            if one and self.steps == 1:
                rows.append(np.full(len(one), k))
                columns.append(np.fromiter(sorted(one), dtype=np.intp, count=len(one)))
            elif one:
                coo = self.rows(one).tocoo()
                rows.append(coo.row.astype(np.intp) * size + k)
                columns.append(coo.col)
        found = self.part((self.steps, size))
        found.store.add(np.concatenate(rows), np.concatenate(columns))
        return found

    def _zeros(self, at: int, operands: Sequence[int], shape: Any) -> Any:
        return self.part((self.steps, size_of(Array(shape))))

    def _add_at(self, at: int, operands: Sequence[int], window: Window) -> Any:
        array: Part | None = self.found[operands[0]]
        if array is None:
            array = self.part((self.steps, size_of(self.types[operands[0]])))
        added = self.found[operands[1]]
        if not added:
            return array
        chosen = self.window(operands[2:], window, len(array.places))
        if chosen is None:  # somewhere: to each element
            chosen = np.arange(len(array.places))[None, :]
            sent = self._any(added) if isinstance(added, Part) else self.rows(added)
            sent = sent[np.repeat(np.arange(self.steps), chosen.shape[1])]
        else:
            sent = added.store.matrix()[added.rows()] if isinstance(added, Part) else self.rows(added)
        coo = sent.tocoo()
        targets = np.broadcast_to(array.start[:, None] + array.places[chosen], (self.steps, chosen.shape[1])).ravel()
        array.store.add(targets[coo.row], coo.col)
        return array

    def _same(self, at: int, operands: Sequence[int], data: Any) -> Any:
        return self.found[operands[0]]

    # ---- loops -----------------------------------------------------------------------------------------------------

    def _loop(self, at: int, operands: Sequence[int], loop: Loop) -> list[Any]:
        if loop.carries or loop.test or loop.extent == STEPS or memories(loop):
            return _InTurn(self, loop, operands).run()
        assert isinstance(loop.extent, int)
        if not loop.extent:
            return [
                *[self.found[o] for o in operands[loop.shared : loop.shared + loop.handed]],
                *[None] * len(loop.kinds),
            ]
        again = np.repeat(np.arange(self.steps), loop.extent)
        given: list[Any] = [NONE]
        known: list[Any] = [lambda: np.tile(np.arange(float(loop.extent)), self.steps)]
        inner = Block(loop.body, self.steps * loop.extent, self.columns, given, known)
        for k, o in enumerate(operands):
            if k >= loop.shared + loop.handed:
                given.append(self._elements(inner, o, loop.extent))
                known.append(lambda o=o: self.known_in(o, again, loop.extent))
            else:
                if k >= loop.shared and self.found[o] is None:
                    self.found[o] = self.part((self.steps, size_of(self.types[o])))
                given.append(self._shared(inner, o, again))
                known.append(lambda o=o: self.known_in(o, again, 0))
        results = inner.run()
        handed = [self.found[o] for o in operands[loop.shared : loop.shared + loop.handed]]
        return [*handed, *[self._result(inner, kind, r) for kind, r in zip(loop.kinds, results[loop.handed :])]]

    def _elements(self, inner: Block, operand: int, extent: int) -> Any:
        """Of an array that a loop goes through: what its element in each step depends on."""
        array, kind = self.found[operand], self.types[operand]
        assert isinstance(kind, Array)
        number = len(kind.shape) == 1
        if array is None:
            return NONE if number else None
        places = array.places.reshape(extent, -1)
        start = (array.start[:, None] + places[None, :, 0]).ravel()
        if number:
            return inner._element(array._replace(start=start), 0)
        if (places - places[:, :1] == places[:1] - places[0, 0]).all():
            return Part(array.store, start, places[0] - places[0, 0])
        rows = (array.start[:, None, None] + places[None]).ravel()
        return inner.part((inner.steps, places.shape[1]), array.store.matrix()[rows])

    def _shared(self, inner: Block, operand: int, again: Any) -> Any:
        found = self.found[operand]
        if isinstance(found, Part):
            return found._replace(start=found.start[again])
        if not found:
            return found
        return inner.of(self.rows(found)[again]) if inner.steps > 1 else found

    def known_in(self, operand: int, again: Any, extent: int) -> Any:
        """The numbers of an operand in the steps of a loop, of its elements if it has an extent."""
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

    def _result(self, inner: Block, kind: str, result: Any) -> Any:
        extent = inner.steps // self.steps
        if kind == "sum":
            if not result:
                return NONE
            coo = inner.rows(result).tocoo()
            return self.of(matrix(coo.row // extent, coo.col, (self.steps, self.columns)))
        if result is None or result is NONE or not result:
            return None
        if not isinstance(result, Part):
            return self.part((self.steps, extent), inner.rows(result))
        return self.part((self.steps, extent * len(result.places)), result.store.matrix()[result.rows()])

    def _item(self, at: int, operands: Sequence[int], data: int) -> Any:
        found = self.found[operands[0]][data]
        return NONE if found is None and not isinstance(self.types[at], Array) else found

    # ---- numbers that are known before the program runs ------------------------------------------------------------

    def number(self, value: int) -> Any:
        """What a value is in each step: numbers, or a part of them for an array; None if it depends on the inputs."""
        if value not in self.numbers:
            self.numbers[value] = self._known_number(*self.program.code[value])
        return self.numbers[value]

    def _known_number(self, op: str, operands: tuple[int, ...], data: Any) -> Any:
        if op == "constant":
            return np.full(self.steps, data)
        if op == "input":
            return self.known[data]()
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


def window_places(window: Window) -> Any:
    """The numbers of the elements of a window, row after row."""
    found = np.array([window.offset])
    for extent, stride in zip(window.shape, window.strides):
        found = (found[:, None] + stride * np.arange(1 if isinstance(extent, str) else extent)[None, :]).ravel()
    return found


class _InTurn:
    """A loop whose steps depend on one another: they are looked at one after another.

    If their number is data, all of them are one step that is repeated until nothing changes any more.
    """

    def __init__(self, around: Block, loop: Loop, operands: Sequence[int]) -> None:
        self.around, self.loop, self.operands = around, loop, operands

    def run(self) -> list[Any]:
        """What the results depend on."""
        around, loop = self.around, self.loop
        open_ended = loop.extent == STEPS
        extent = 1 if open_ended else int(loop.extent)
        first = loop.shared + loop.handed
        handed = [around.found[o] for o in self.operands[loop.shared : first]]
        handed[loop.carries :] = [
            around.part((around.steps, size_of(around.types[o]))) if before is None else before
            for o, before in zip(self.operands[loop.shared + loop.carries : first], handed[loop.carries :])
        ]
        outs: list[list[tuple[int, Any]]] = [[] for _ in loop.kinds]
        before: Any = None
        steps = iter(reversed(range(extent)) if loop.backwards else range(extent))
        step = 0
        while open_ended or (step := next(steps, -1)) >= 0:
            block, results = self._step(step, handed, open_ended)
            after = [self._lifted(block, r) for r in results[: loop.carries]]
            if open_ended:
                after = [Block._union([old or NONE, new]) for old, new in zip(handed, after)]
            handed = [*after, *results[loop.carries : loop.handed]]
            for column, r in zip(outs, results[loop.handed :]):
                column.append((0 if open_ended else step, self._out(block, r)))
            if open_ended:
                now = after, [part and part.store.matrix().nnz for part in handed[loop.carries :]]
                if now == before:
                    break
                before = now
        if loop.test:
            handed[GOING] = NONE
        return [*handed, *[self._together(kind, extent, column) for kind, column in zip(loop.kinds, outs)]]

    def _step(self, step: int, handed: Sequence[Any], open_ended: bool) -> tuple[Block, list[Any]]:
        around, loop = self.around, self.loop
        given: list[Any] = [NONE]
        known: list[Any] = [lambda: None if open_ended else np.full(around.steps, float(step))]
        block = Block(loop.body, around.steps, around.columns, given, known)
        block.atoms = list(around.atoms)
        for k, o in enumerate(self.operands):
            if loop.shared <= k < loop.shared + loop.handed:
                given.append(handed[k - loop.shared])
                known.append(lambda: None)
            elif k < loop.shared:
                given.append(around.found[o])
                known.append(lambda o=o: around.number(o))
            else:
                given.append(self._row(block, o, 0 if open_ended else step, open_ended))
                known.append(lambda o=o: None if open_ended else self._known_row(o, step))
        return block, block.run()

    def _row(self, block: Block, operand: int, step: int, open_ended: bool) -> Any:
        """The element of an array in this step."""
        array, kind = self.around.found[operand], self.around.types[operand]
        assert isinstance(kind, Array)
        number = len(kind.shape) == 1
        if array is None:
            return NONE if number else None
        row = size_of(kind.rest())
        places = array.places[step * row : (step + 1) * row]
        return block._element(array, places[0]) if number else array._replace(places=places)

    def _known_row(self, operand: int, step: int) -> Any:
        found, kind = self.around.number(operand), self.around.types[operand]
        if found is None:
            return None
        assert isinstance(kind, Array)
        row = size_of(kind.rest())
        places = found.places[step * row : (step + 1) * row]
        return found.store[found.start + places[0]] if len(kind.shape) == 1 else found._replace(places=places)

    def _lifted(self, block: Block, found: Columns) -> Columns:
        """A set of a step's block as one of the block around."""
        if self.around.steps == 1 or not found:
            return found
        return self.around.of(block.rows(found))

    def _out(self, block: Block, result: Any) -> Any:
        """A matrix with the rows of a result: of all steps of the block around, and of its elements."""
        if not result:
            return None
        if isinstance(result, Part):
            return result.store.matrix()[result.rows()], len(result.places)
        return block.rows(result), 1

    def _together(self, kind: str, extent: int, column: list[tuple[int, Any]]) -> Any:
        """The result of a loop, from those of its steps."""
        around = self.around
        some = [(step, *out) for step, out in column if out is not None]
        if not some:
            return NONE if kind == "sum" else None
        if kind == "sum":
            coo = [rows.tocoo() for _, rows, _ in some]
            rows, columns = np.concatenate([c.row for c in coo]), np.concatenate([c.col for c in coo])
            return around.of(matrix(rows, columns, (around.steps, around.columns)))
        size = some[0][2]
        found = around.part((around.steps, extent * size))
        for step, rows, _ in some:
            coo = rows.tocoo()
            found.store.add((coo.row // size * extent + step) * size + coo.row % size, coo.col)
        return found


_SPECIAL: dict[str, Callable[..., Any]] = {
    "input": Block._input,
    "read": Block._read,
    "pack": Block._pack,
    "zeros": Block._zeros,
    "table": lambda block, at, operands, data: None,
    "add_at": Block._add_at,
    "pos": Block._same,
    "loop": Block._loop,
    "item": Block._item,
}


@lru_cache(maxsize=4096)
def _slots(op: str, count: int) -> tuple[int, ...]:
    """The operands of a row of the table that messages go to."""
    if TABLE[op].arity is None:
        return tuple(range(count))
    builder = Builder()
    value = builder.emit(op, tuple([builder.input() for _ in range(count)]))
    derivatives = local_derivatives(builder, value, [True] * count)
    return tuple([k for k, d in enumerate(derivatives) if d is not None and not _never(d)])


def _never(derivative: Any) -> bool:
    return isinstance(derivative, Selected) and all(
        side is None or _never(side) for side in (derivative.if_true, derivative.if_false)
    )


def pattern(program: Program, columns: Mapping[int, int], count: int) -> Any:
    """The pattern of a program: a matrix of truths with a row for each number of its outputs.

    Parameters
    ----------
    program : Program
        Without extents that are known at the call only.
    columns : mapping
        Input → the column of its first number, for those by which derivatives are taken.
    count : int
        The number of columns.
    """
    given: list[Any] = []
    for k, kind in enumerate(program.inputs):
        size = size_of(kind)
        if k not in columns:
            given.append(None if isinstance(kind, Array) else NONE)
        elif isinstance(kind, Array):
            rows = np.arange(size)
            store = Store((size, count), matrix(rows, rows + columns[k], (size, count)))
            given.append(Part(store, np.zeros(1, dtype=np.intp), rows))
        else:
            given.append(frozenset((columns[k],)))
    block = Block(program, 1, count, given, [lambda: None] * len(given))
    parts = []
    for output, found in zip(program.outputs, block.run()):
        if isinstance(found, Part):
            parts.append(found.store.matrix()[found.rows()])
        elif found is None:
            parts.append(scipy.sparse.csr_array((size_of(block.types[output]), count), dtype=bool))
        else:
            parts.append(block.rows(found))
    if not parts:
        return scipy.sparse.csr_array((0, count), dtype=bool)
    found = scipy.sparse.vstack(parts, format="csr", dtype=bool)
    found.sort_indices()
    return found
