"""The pattern of a Jacobian: which outputs of a program depend on which inputs.

Sets of columns are carried through its instructions. A number depends on a set of columns. All steps of a loop without
carries are looked at together: in them a number depends on a set of matrices, which have a row for each step. Arrays
have a row for each of their elements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse

from autograd.compiler.sparse.known import Known, Part
from autograd.ir.block import GOING, STEPS, Array, Loop, Program, Window, size_of
from autograd.ir.builder import Builder, Selected
from autograd.ir.derive.messages import WITHOUT_DERIVATIVE, differentiable, local_derivatives
from autograd.ir.memory import memories
from autograd.rules import TABLE

Columns = frozenset[int]
NONE: Columns = frozenset()


def matrix(rows: Any, columns: Any, shape: tuple[int, int]) -> Any:
    """A matrix of truths with these entries, each once, in order."""
    found = scipy.sparse.coo_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=shape).tocsr()
    found.sum_duplicates()
    return found


class Store:
    """The columns that the elements of arrays depend on: a matrix with a row for each element.

    Attributes
    ----------
    merged : csr_array or None
        The matrix so far.
    added : list of (ndarray, ndarray)
        Rows and columns of further entries, which are merged when the matrix is needed.
    """

    def __init__(self, shape: tuple[int, int], merged: Any = None) -> None:
        self.shape, self.merged = shape, merged
        self.added: list[tuple[Any, Any]] = []

    def add(self, rows: Any, columns: Any) -> None:
        """Let these elements also depend on these columns."""
        if len(rows):
            self.added.append((rows, columns))

    def matrix(self) -> Any:
        """The matrix."""
        if self.added or self.merged is None:
            entries = list(self.added)
            if self.merged is not None:
                coo = self.merged.tocoo()
                entries.append((coo.row, coo.col))
            none = np.empty(0, dtype=np.intp)
            rows, columns = (np.concatenate([none, *parts]) for parts in zip(*entries)) if entries else (none, none)
            self.merged, self.added = matrix(rows, columns, self.shape), []
        return self.merged


class Dependence:
    """What the values of a program depend on; or those of a loop's body, in all independent steps at once.

    Attributes
    ----------
    given : sequence
        What each input depends on.
    known : Known
        The numbers that do not depend on inputs.
    found : list
        What each value depends on: a set, or a `Part` of a `Store`; None for an array that depends on nothing.
    atoms : list of csr_array
        With more than one step, sets hold indices of these matrices in place of columns.
    elements : dict
        What elements that were read before depend on.
    merged : dict
        Set → the matrix that it stands for.
    """

    def __init__(
        self, program: Program, steps: int, columns: int, given: Sequence[Any], known: Sequence[Callable[[], Any]]
    ) -> None:
        self.program, self.steps, self.columns, self.given = program, steps, columns, given
        self.known = Known(program, steps, known)
        self.types = self.known.types
        self.found: list[Any] = []
        self.atoms: list[Any] = []
        self.elements: dict[Any, Columns] = {}
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
        """A new array, in as many steps and with as many elements as the shape says."""
        size = shape[1]
        store = Store((shape[0] * size, self.columns), known)
        return Part(store, np.arange(shape[0]) * size, np.arange(size))

    # ---- arrays ----------------------------------------------------------------------------------------------------

    def _input(self, at: int, operands: Sequence[int], data: int) -> Any:
        return self.given[data]

    def _read(self, at: int, operands: Sequence[int], window: Window) -> Any:
        array: Part | None = self.found[operands[0]]
        if array is None:
            return None if window.shape else NONE
        size = size_of(Array(window.shape)) if window.shape else 1
        chosen = self.known.window(operands[1:], window, len(array.places))
        if chosen is None:  # it may be any element
            union = self._any(array)
            if not window.shape:
                return self.of(union)
            every = union[np.repeat(np.arange(self.steps), size)]
            return self.part((self.steps, size), every)
        if not window.shape:
            key = id(array.store), array.start.tobytes(), array.places[chosen].tobytes(), len(array.store.added)
            if key not in self.elements:
                self.elements[key] = self._element(array, array.places[chosen][:, 0])
            return self.elements[key]
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
        chosen = self.known.window(operands[2:], window, len(array.places))
        if chosen is None:  # it may be added to any element
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
            return _StepByStep(self, loop, operands).run()
        assert isinstance(loop.extent, int)
        if not loop.extent:
            return [*[self.found[o] for o in loop.by_role(operands).handed], *[None] * len(loop.kinds)]
        again = np.repeat(np.arange(self.steps), loop.extent)
        given: list[Any] = [NONE]
        known: list[Any] = [lambda: np.tile(np.arange(float(loop.extent)), self.steps)]
        inner = Dependence(loop.body, self.steps * loop.extent, self.columns, given, known)
        for k, o in enumerate(operands):
            if k >= loop.shared + loop.handed:
                given.append(self._elements(inner, o, loop.extent))
                known.append(lambda o=o: self.known.in_loop(o, again, loop.extent))
            else:
                if k >= loop.shared and self.found[o] is None:
                    self.found[o] = self.part((self.steps, size_of(self.types[o])))
                given.append(self._shared(inner, o, again))
                known.append(lambda o=o: self.known.in_loop(o, again, 0))
        results = inner.run()
        handed = [self.found[o] for o in loop.by_role(operands).handed]
        return [*handed, *[self._result(inner, kind, r) for kind, r in zip(loop.kinds, results[loop.handed :])]]

    def _elements(self, inner: Dependence, operand: int, extent: int) -> Any:
        """What the element that each step of a loop takes from an array depends on."""
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

    def _shared(self, inner: Dependence, operand: int, again: Any) -> Any:
        found = self.found[operand]
        if isinstance(found, Part):
            return found._replace(start=found.start[again])
        if not found:
            return found
        return inner.of(self.rows(found)[again]) if inner.steps > 1 else found

    def _result(self, inner: Dependence, kind: str, result: Any) -> Any:
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


class _StepByStep:
    """A loop whose steps depend on one another: they are looked at one after another.

    If the number of steps is not known, one step stands for all; it is repeated until nothing changes.
    """

    def __init__(self, around: Dependence, loop: Loop, operands: Sequence[int]) -> None:
        self.around, self.loop, self.operands = around, loop, operands

    def run(self) -> list[Any]:
        """What the results depend on."""
        around, loop = self.around, self.loop
        open_ended = loop.extent == STEPS
        extent = 1 if open_ended else int(loop.extent)
        roles = loop.by_role(self.operands)
        handed = [around.found[o] for o in roles.carries]
        for o in roles.accumulators:
            known = around.found[o]
            handed.append(around.part((around.steps, size_of(around.types[o]))) if known is None else known)
        outs: list[list[tuple[int, Any]]] = [[] for _ in loop.kinds]
        before: Any = None
        steps = iter(reversed(range(extent)) if loop.backwards else range(extent))
        step = 0
        while open_ended or (step := next(steps, -1)) >= 0:
            block, results = self._step(step, handed, open_ended)
            after = [self._lifted(block, r) for r in results[: loop.carries]]
            if open_ended:
                after = [Dependence._union([old or NONE, new]) for old, new in zip(handed, after)]
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

    def _step(self, step: int, handed: Sequence[Any], open_ended: bool) -> tuple[Dependence, list[Any]]:
        around, loop = self.around, self.loop
        given: list[Any] = [NONE]
        known: list[Any] = [lambda: None if open_ended else np.full(around.steps, float(step))]
        block = Dependence(loop.body, around.steps, around.columns, given, known)
        block.atoms = list(around.atoms)
        for k, o in enumerate(self.operands):
            if loop.shared <= k < loop.shared + loop.handed:
                given.append(handed[k - loop.shared])
                known.append(lambda: None)
            elif k < loop.shared:
                given.append(around.found[o])
                known.append(lambda o=o: around.known.number(o))
            else:
                given.append(self._row(block, o, 0 if open_ended else step, open_ended))
                known.append(lambda o=o: None if open_ended else self._known_row(o, step))
        return block, block.run()

    def _row(self, block: Dependence, operand: int, step: int, open_ended: bool) -> Any:
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
        found, kind = self.around.known.number(operand), self.around.types[operand]
        if found is None:
            return None
        assert isinstance(kind, Array)
        row = size_of(kind.rest())
        places = found.places[step * row : (step + 1) * row]
        return found.store[found.start + places[0]] if len(kind.shape) == 1 else found._replace(places=places)

    def _lifted(self, block: Dependence, found: Columns) -> Columns:
        """A set in a step as one in the program around the loop."""
        if self.around.steps == 1 or not found:
            return found
        return self.around.of(block.rows(found))

    def _out(self, block: Dependence, result: Any) -> Any:
        """The matrix of a result of a step, and how many elements it has; None if it depends on nothing."""
        if not result:
            return None
        if isinstance(result, Part):
            return result.store.matrix()[result.rows()], len(result.places)
        return block.rows(result), 1

    def _together(self, kind: str, extent: int, column: list[tuple[int, Any]]) -> Any:
        """The result of the loop, from those of its steps."""
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
    "input": Dependence._input,
    "read": Dependence._read,
    "pack": Dependence._pack,
    "zeros": Dependence._zeros,
    "table": lambda block, at, operands, data: None,
    "add_at": Dependence._add_at,
    "pos": Dependence._same,
    "loop": Dependence._loop,
    "item": Dependence._item,
}


@lru_cache(maxsize=4096)
def _slots(op: str, count: int) -> tuple[int, ...]:
    """The operands of a primitive to which it may send a message."""
    if TABLE[op].arity is None:
        return tuple(range(count))
    builder = Builder()
    value = builder.emit(op, tuple([builder.input() for _ in range(count)]))
    derivatives = local_derivatives(builder, value, [True] * count)
    return tuple([k for k, d in enumerate(derivatives) if d is not None and not _never(d)])


def _never(derivative: Any) -> bool:
    """Whether a derivative sends no message, whichever sides are selected."""
    return isinstance(derivative, Selected) and all(
        side is None or _never(side) for side in (derivative.if_true, derivative.if_false)
    )


def pattern(program: Program, columns: Mapping[int, int], count: int) -> Any:
    """The pattern of a program: a matrix of truths with a row for each number of its outputs.

    Parameters
    ----------
    program : Program
        All its extents are known.
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
    block = Dependence(program, 1, count, given, [lambda: None] * len(given))
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
