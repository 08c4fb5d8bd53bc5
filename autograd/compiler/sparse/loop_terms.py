"""The terms of the results of a loop whose steps are independent: each step computes its own derivatives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from autograd.compiler.sparse.known import Known
from autograd.compiler.sparse.terms import Terms, UnfitError, summed
from autograd.ir.block import Array, Loop, Window, size_of
from autograd.ir.builder import Symbol
from autograd.ir.derive.derived_loop import Body
from autograd.ir.derive.forward import forward
from autograd.ir.derive.messages import depends_on
from autograd.ir.derive.presence import added, is_there, marked, where_there
from autograd.ir.derive.reverse import reverse

if TYPE_CHECKING:
    from autograd.compiler.sparse.program_terms import ProgramTerms

NOWHERE = -1  # in place of a column: the step has no such term


class Slab(NamedTuple):
    """At most one term for each step.

    Attributes
    ----------
    columns : ndarray of int
        The column of each step's term, or `NOWHERE`.
    numbers : ndarray or None
        The terms, if they are the same in every call.
    array, places : int, ndarray of int
        Else the array of the program that has the terms, and where in it they are.
    value : int
        Or the number of the program that all terms are.
    """

    columns: Any
    numbers: Any
    array: int = -1
    places: Any = None
    value: int = -1


class _Number(NamedTuple):
    """A number of a loop's body that is a result: its value, the item of the loop, and the row in it for each step."""

    value: int
    item: int
    rows: Any


class LoopTerms:
    """The terms of a loop whose steps are independent; a new loop computes them."""

    def __init__(self, around: ProgramTerms, loop: Loop, operands: Sequence[int], active: set[int]) -> None:
        self.around, self.loop, self.operands, self.active = around, loop, operands, active
        builder, first = around.builder, loop.first_element
        self.extent = int(loop.extent)
        self.new = [around.place[o] for o in operands]
        roles = loop.by_role(self.new)
        self.body = body = Body(builder, loop, False, None)
        made, inner = body.made, body.inner
        body.inputs += [made.shared(o) for o in roles.shared]
        for kind in loop.body.inputs[loop.first_carry : first]:
            assert isinstance(kind, Array)
            body.inputs.append(inner.emit("zeros", (), kind.shape))
        body.inputs += [made.element(o) for o in roles.elements]
        body.copy()
        self.inner, self.made = inner, made
        step = np.arange(float(self.extent))
        again = np.zeros(self.extent, dtype=np.intp)
        known: list[Any] = [lambda: step]
        for k, o in enumerate(operands):
            extent = self.extent if k >= loop.shared + loop.handed else 0
            known.append(lambda o=o, extent=extent: around.known.in_loop(o, again, extent))
        self.known = Known(loop.body, self.extent, known)
        self.outs: list[tuple[int, str]] = []
        self.lifted: dict[Any, int] = {}

    def run(self) -> dict[int, list[Terms]]:
        """The terms of each result."""
        loop, inner = self.loop, self.inner
        targets = list(self._targets())
        results = list(self._results({value for value, _ in targets}))
        found: dict[int, list[Terms]] = {}
        for k, o in enumerate(loop.by_role(self.operands).handed):
            found[k] = list(self.around.terms_of(o))
        pending: list[tuple[_Number, Any, int]] = []
        if loop.is_map():
            self.outs += [(self.body.output(k), kind) for k, kind in enumerate(loop.kinds)]
        with inner.watched():
            derivatives = self._derivatives([t for t, _ in targets], [self.body.values[r.value] for r in results])
        slabs = dict(targets)
        for r in results:
            constant, groups = self._products(derivatives.get(self.body.values[r.value], {}), slabs)
            for columns, value in groups:
                pending.append((r, columns, len(self.outs)))
                self.outs.append((value, "each"))
            if constant is not None:
                step, columns, numbers = constant
                found.setdefault(r.item, []).append(Terms(r.rows[step], columns, numbers))
        if len(self.outs) > (len(loop.kinds) if loop.is_map() else 0):
            made = self.made.finish([], self.outs, loop if loop.is_map() else None)
            for r, columns, out in pending:
                array = self.around.builder.emit("item", (made,), out)
                if self.outs[out][0] in inner.gaps:
                    self.around.builder.gaps.add(array)
                kept = np.flatnonzero(columns != NOWHERE)
                found.setdefault(r.item, []).append(Terms(r.rows[kept], columns[kept], None, array, kept))
        return found

    # ---- which derivatives -----------------------------------------------------------------------------------------

    def _targets(self) -> Iterator[tuple[int, list[Slab]]]:
        """The values of the new body by which each step is differentiated, and their terms."""
        loop, extent = self.loop, self.extent
        arrays: dict[int, tuple[int, Any]] = {}  # value of the body → operand, and where its row begins in each step
        for b, (op, operands, data) in enumerate(loop.body.code):
            if op == "input" and data in self.active:
                o, kind = self.operands[data - 1], loop.body.inputs[data]
                element = data >= loop.first_element
                if isinstance(kind, Array):
                    arrays[b] = o, (np.arange(extent) if element else np.zeros(extent, dtype=np.intp)) * kind.size()
                elif element:
                    yield self.body.values[b], self._slabs(o, np.arange(extent))
                else:
                    yield self.body.values[b], self._shared(o)
            elif arrays and not arrays.keys().isdisjoint(operands):
                if op == "add_at" and operands[0] in arrays and arrays.keys().isdisjoint(operands[1:]):
                    arrays[b] = arrays[operands[0]]
                    continue
                if op != "read" or operands[0] not in arrays or not arrays.keys().isdisjoint(operands[1:]):
                    raise UnfitError
                o, start = arrays[operands[0]]
                chosen = self.known.window(operands[1:], data, size_of(self.known.types[operands[0]]))
                if chosen is None:
                    raise UnfitError
                if data.shape:
                    raise UnfitError
                yield self.body.values[b], self._slabs(o, start + chosen[:, 0])

    def _results(self, targets: set[int]) -> Iterator[_Number]:
        """The numbers of the body that are results, or that are added to an accumulator."""
        loop, body, extent = self.loop, self.loop.body, self.extent
        depending = depends_on(self.inner, targets, len(self.inner.code)) if targets else set()
        step = np.arange(extent)
        for k, kind in enumerate(loop.kinds, loop.handed):
            b = body.outputs[k]
            if self.body.values[b] not in depending:
                continue
            size = size_of(self.known.types[b])
            first = step * size if kind == "each" else np.zeros(extent, dtype=np.intp)
            yield from self._numbers(b, k, first[:, None] + np.arange(size), depending)
        owner: dict[int, int] = {}
        for b, (op, operands, data) in enumerate(body.code):
            if op == "input" and loop.first_carry <= data < loop.first_element:
                owner[b] = data - loop.first_carry
            elif op == "add_at" and operands[0] in owner:
                owner[b] = owner[operands[0]]
                if self.body.values[operands[1]] not in depending:
                    continue
                chosen = self.known.window(operands[2:], data, size_of(self.known.types[operands[0]]))
                if chosen is None:
                    raise UnfitError
                rows = np.broadcast_to(chosen, (extent, chosen.shape[1]))
                yield from self._numbers(operands[1], owner[b], rows, depending)
            elif op == "loop" and not owner.keys().isdisjoint(operands):
                raise UnfitError

    def _numbers(self, b: int, item: int, rows: Any, depending: set[int]) -> Iterator[_Number]:
        """The numbers of a value of the body; `rows` has a row for each step, and a column for each number."""
        op, operands, _ = self.loop.body.code[b]
        if not isinstance(self.known.types[b], Array):
            yield _Number(b, item, rows[:, 0])
        elif op == "pack":
            for e, o in enumerate(operands):
                if self.body.values[o] in depending:
                    yield _Number(o, item, rows[:, e])
        else:
            raise UnfitError

    def _derivatives(self, targets: Sequence[int], results: Sequence[int]) -> dict[int, dict[int, int]]:
        """Result → target → the derivative of one step, by as few sweeps as possible."""
        inner, one = self.inner, self.inner.constant(1.0)
        results = list(dict.fromkeys(results))
        found: dict[int, dict[int, int]] = {}
        if len(results) <= len(targets):
            for y in results:
                found[y] = reverse(inner, {y: one}, targets)
            return found
        for t in targets:
            tangents = forward(inner, {t: one}, results)
            for y in results:
                if y in tangents:
                    found.setdefault(y, {})[t] = tangents[y]
        return found

    # ---- terms of what a step reads --------------------------------------------------------------------------------

    def _slabs(self, operand: int, rows: Any) -> list[Slab]:
        """The terms of an operand, of which each step takes one row."""
        return [slab for t in self.around.terms[operand] for slab in self._aligned(t, rows)]

    def _aligned(self, terms: Terms, rows: Any) -> Iterator[Slab]:
        """The terms of one row for each step, as slabs: one for each diagonal, or for the first term, the second, …."""
        counts, within, at = self.around.terms_in(terms, rows)
        width = int(counts.max(initial=0))
        if not width:
            return
        step = np.repeat(np.arange(self.extent), counts)
        distance = terms.columns[at] - step * self._slope(terms.columns[at], step)
        diagonals, which = np.unique(distance, return_inverse=True)
        if len(diagonals) > width + 2:
            which, diagonals = within, np.arange(width)
        for k in range(len(diagonals)):
            mine = which == k
            columns = np.full(self.extent, NOWHERE)
            columns[step[mine]] = terms.columns[at[mine]]
            if terms.numbers is not None:
                numbers = np.zeros(self.extent)
                numbers[step[mine]] = terms.numbers[at[mine]]
                yield Slab(columns, numbers)
            else:
                places = np.full(self.extent, terms.places[at[mine]][0])
                places[step[mine]] = terms.places[at[mine]]
                yield Slab(columns, None, terms.array, places)

    def _slope(self, columns: Any, step: Any) -> int:
        """How far the columns move from one step to the next, on average."""
        if len(step) < 2 or step[0] == step[-1]:
            return 1
        return round((int(columns[-1]) - int(columns[0])) / (int(step[-1]) - int(step[0])))

    def _shared(self, operand: int) -> list[Slab]:
        """The terms of a number that all steps share."""
        around, found = self.around, []
        for c in around.columns_of(operand):
            value = around.tangents[c][around.place[operand]]
            number = around.builder.number(value)
            columns = np.full(self.extent, c)
            found.append(Slab(columns, None if number is None else np.full(self.extent, number), value=value))
        return found

    # ---- products --------------------------------------------------------------------------------------------------

    def _products(self, mine: Mapping[int, int], slabs: Mapping[int, list[Slab]]) -> Any:
        """One result's terms that are the same in every call, and a value of the body for each list of columns."""
        inner = self.inner
        fixed: list[tuple[Any, Any, Any]] = []
        groups: dict[bytes, tuple[Any, int]] = {}
        for t, derivative in mine.items():
            number = inner.number(derivative)
            for slab in slabs[t]:
                if number is not None and slab.numbers is not None:
                    kept = np.flatnonzero(slab.columns != NOWHERE)
                    fixed.append((kept, slab.columns[kept], number * slab.numbers[kept]))
                    continue
                value = self._product(derivative, slab)
                key = slab.columns.tobytes()
                if key in groups:
                    value = added(inner, groups[key][1], value)
                groups[key] = slab.columns, value
        if not fixed:
            return None, list(groups.values())
        step, columns, numbers = (np.concatenate(parts) for parts in zip(*fixed))
        step, columns, numbers = summed(step, columns, numbers)
        found = []
        width = int(columns.max(initial=0)) + 1
        for group, value in groups.values():  # a constant term is added to another one of the same entry
            key = step * width + columns
            wanted = np.where((group >= 0) & (group < width), np.arange(self.extent) * width + group, -1)
            at = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
            hit = key[at] == wanted if len(key) else np.zeros(self.extent, dtype=bool)
            if hit.any():
                value = inner.emit("add", (value, self._element(np.where(hit, numbers[at], 0.0))))
                left = np.ones(len(key), dtype=bool)
                left[at[hit]] = False
                step, columns, numbers = step[left], columns[left], numbers[left]
            found.append((group, value))
        return ((step, columns, numbers) if len(step) else None), found

    def _product(self, derivative: int, slab: Slab) -> int:
        """A derivative times a term; in some steps either may be missing."""
        inner = self.inner
        if slab.numbers is not None:
            if (slab.numbers[slab.columns != NOWHERE] == 1.0).all():
                return derivative
            other = self._element(slab.numbers)
        elif slab.value >= 0:
            other = self.made.shared(slab.value)
            marked(inner, other, slab.value in self.around.builder.gaps)
        else:
            other = self._array_element(slab)
        found: Any = Symbol(inner, derivative) * Symbol(inner, other)
        for one in (derivative, other):
            if one in inner.gaps:
                found = where_there(inner, is_there(inner, one), found)
        value: int = inner.place(found)
        return marked(inner, value, derivative in inner.gaps or other in inner.gaps)

    def _element(self, numbers: Any) -> int:
        """A value of the body with a number for each step that is the same in every call."""
        if (numbers == numbers[0]).all():
            return self.inner.constant(float(numbers[0]))
        key = numbers.tobytes()
        if key not in self.lifted:
            table = self.around.builder.emit("table", (), ((self.extent,), tuple(numbers.tolist())))
            self.lifted[key] = self.made.element(table)
        return self.lifted[key]

    def _array_element(self, slab: Slab) -> int:
        """A value of the body with an element of an array outside the loop for each step."""
        builder, places = self.around.builder, slab.places
        key = slab.array, places.tobytes()
        if key not in self.lifted:
            steps = np.diff(places)
            stride = int(steps[0]) if len(steps) else 1
            if (steps == stride).all() and stride >= 0:
                window = Window((self.extent,), int(places[0]), (stride,))
                part = builder.emit("read", (slab.array,), window)
                value = self.made.element(part)
            else:
                index = self._element(places.astype(float))
                value = self.inner.emit("read", (self.made.shared(slab.array), index), Window((), 0, (), (1,)))
            self.lifted[key] = marked(self.inner, value, slab.array in builder.gaps)
        return self.lifted[key]
