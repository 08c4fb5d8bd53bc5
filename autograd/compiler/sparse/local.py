"""The entries of a Jacobian from the derivatives of each step: no seeds, and no products with zeros.

A value has terms: its derivatives by the columns that it depends on. Where the steps of a loop are independent, each
computes the derivatives of its results by the elements that it reads, and multiplies them with the terms of these. So
the work is proportional to the entries, and the program does not grow with the number of steps. Terms that are the same
in every call (of sums, differences and products with constants) are added up here and not in the program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from autograd.compiler.sparse.pattern import Block
from autograd.ir.block import Array, Loop, Program, Window, size_of, types_of
from autograd.ir.builder import Symbol
from autograd.ir.derived_loop import Body
from autograd.ir.forward import States, forward, tangent_of
from autograd.ir.memory import memories
from autograd.ir.messages import WITHOUT_DERIVATIVE, added, depends_on, is_there, marked, part, where_there
from autograd.ir.reverse import reverse
from autograd.ir.seeded import started

MOST_COLUMNS = 500  # of a number outside loops: the terms of one with more are not multiplied one by one
LONGEST, LONGER = 10_000, 60  # instructions, and for each of the function's: a program that becomes longer is given up
LOOSE = -2
NOWHERE = -1  # the column of a step that has no such term


class UnfitError(Exception):
    """A program has steps that depend on one another, or parts that are computed in other ways."""


class Terms(NamedTuple):
    """Derivatives of the elements of a value: ``rows[k]`` by ``columns[k]``.

    They are `numbers`, or if there are none, elements `places` of an array of the program, number `array`. Of results
    of the program they may also be `LOOSE`: then `places` are numbers of the program.
    """

    rows: Any
    columns: Any
    numbers: Any
    array: int = -1
    places: Any = None

    def chosen(self, kept: Any, rows: Any) -> Terms:
        """Some of them, as terms of other rows."""
        numbers = None if self.numbers is None else self.numbers[kept]
        places = None if self.places is None else self.places[kept]
        return Terms(rows, self.columns[kept], numbers, self.array, places)


class Slab(NamedTuple):
    """At most one term for each step: its column (or `NOWHERE`), and where it is."""

    columns: Any
    numbers: Any  # of terms that are the same in every call
    array: int = -1
    places: Any = None
    value: int = -1  # a number outside the loop


class Local:
    """Goes through a program once, and appends what computes its terms."""

    def __init__(self, program: Program, columns: Mapping[int, int]) -> None:
        self.program, self.types = program, types_of(program)
        self.builder, self.place = started(program)
        self.longest = LONGEST + LONGER * len(program.code)
        self.known = Block(program, 1, 0, [], [lambda: None] * len(program.inputs))
        self.terms: dict[int, list[Terms]] = {}  # of values of the program
        self.tangents: dict[int, dict[int, int]] = {}  # column → value of the builder → its tangent
        self.by: dict[int, list[int]] = {}  # number of the program → the columns that it depends on
        self.results: dict[int, dict[int, list[Terms]]] = {}  # loop → item → its terms
        self.sorted: dict[int, Any] = {}
        self.first = columns
        # Elements of arrays that are only packed keep their terms where they are.
        self.wanted = {o for op, operands, _ in program.code if op != "pack" for o in operands} | {*program.outputs}

    def run(self) -> list[list[Terms]]:
        """The terms of each output."""
        for at, (op, operands, data) in enumerate(self.program.code):
            if op == "input":
                self._input(at, data)
            elif op == "loop":
                self.results[at] = self._loop(at)
            elif op == "item":
                self._set(at, self.results[operands[0]].get(data, []))
            elif op == "read":
                if operands[0] in self.terms:
                    self._read(at, operands, data)
            elif op == "pack":
                self._set(at, self._pack(at, operands))
            elif op == "add_at":
                self._add_at(at, operands, data)
            elif op == "pos" and isinstance(self.types[at], Array):
                self._set(at, self.terms.get(operands[0], []))
            elif op not in WITHOUT_DERIVATIVE:
                self._number(at, operands)
        return [self._of(o, loose=True) for o in self.program.outputs]

    def _set(self, at: int, terms: list[Terms]) -> None:
        terms = _constants_together([t for t in terms if len(t.rows)])
        if terms:
            self.terms[at] = terms

    def _of(self, value: int, loose: bool = False) -> list[Terms]:
        """The terms of any value; `loose`: nothing computes with them."""
        if value in self.terms or value not in self.by:
            return self.terms.get(value, [])
        columns = self.by[value]
        return self._gathered([(0, c, self.tangents[c][self.place[value]]) for c in columns], loose)

    def _gathered(self, entries: Sequence[tuple[int, int, int]], loose: bool = False) -> list[Terms]:
        """Terms from rows, columns and numbers of the program."""
        builder = self.builder
        constant = [(row, c, n) for row, c, t in entries if (n := builder.number(t)) is not None]
        others = [(row, c, t) for row, c, t in entries if builder.number(t) is None]
        found = []
        if constant:
            rows, columns, numbers = zip(*constant)
            found.append(Terms(np.array(rows), np.array(columns), np.array(numbers)))
        if others:
            rows, columns, values = zip(*others)
            if loose:
                found.append(Terms(np.array(rows), np.array(columns), None, LOOSE, np.array(values)))
                return found
            places = {value: k for k, value in enumerate(dict.fromkeys(values))}
            array = builder.emit("pack", tuple(places), (len(places),))
            if not builder.gaps.isdisjoint(values):
                builder.gaps.add(array)
            where = np.array([places[value] for value in values])
            found.append(Terms(np.array(rows), np.array(columns), None, array, where))
        return found

    def _input(self, at: int, number: int) -> None:
        if number not in self.first:
            return
        first, kind = self.first[number], self.types[at]
        if isinstance(kind, Array):
            rows = np.arange(kind.size())
            self._set(at, [Terms(rows, rows + first, np.ones(len(rows)))])
        else:
            self.by[at] = [first]
            self.tangents.setdefault(first, {})[self.place[at]] = self.builder.constant(1.0)

    # ---- numbers outside loops -------------------------------------------------------------------------------------

    def _columns(self, value: int) -> list[int]:
        """The columns of a number, whose tangents are there afterwards."""
        if value not in self.by:
            terms = self.terms.get(value, [])
            if sum(len(t.rows) for t in terms) > MOST_COLUMNS:
                raise UnfitError
            found: dict[int, list[int]] = {}
            for t in terms:
                for k, c in enumerate(t.columns.tolist()):
                    found.setdefault(c, []).append(self._value(t, k))
            for c, values in found.items():
                total = values[0]
                for v in values[1:]:
                    total = added(self.builder, total, v)
                self.tangents.setdefault(c, {})[self.place[value]] = total
            self.by[value] = sorted(found)
        return self.by[value]

    def _value(self, terms: Terms, k: int) -> int:
        if terms.numbers is not None:
            return self.builder.constant(float(terms.numbers[k]))
        return part(self.builder, self.builder.element(terms.array, int(terms.places[k])), terms.array)

    def _number(self, at: int, operands: Sequence[int]) -> None:
        columns = sorted({c for o in operands for c in self._columns(o)})
        if len(columns) > MOST_COLUMNS or len(self.builder.code) > self.longest:
            raise UnfitError
        new, found = self.place[at], []
        for c in columns:
            tangents = self.tangents[c]
            tangent = tangent_of(self.builder, new, tangents, States({}, {}))
            if tangent is not None:
                tangents[new] = tangent
                found.append(c)
        if found:
            self.by[at] = found

    # ---- arrays outside loops --------------------------------------------------------------------------------------

    def _read(self, at: int, operands: Sequence[int], window: Window) -> None:
        terms = self.terms[operands[0]]
        chosen = self.known.window(operands[1:], window, self._size(operands[0]))
        if chosen is None:
            raise UnfitError
        if not window.shape:
            if at in self.wanted:
                self._set(at, [self._row(t, int(chosen[0, 0])) for t in terms])
            return
        self._set(at, [self._taken(t, np.arange(chosen.shape[1]), chosen[0]) for t in terms])

    def _taken(self, terms: Terms, here: Any, there: Any) -> Terms:
        """The terms of some rows as those of others; a row may be taken several times."""
        low, high, order = self._found(terms, there)
        counts = high - low
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return terms.chosen(order[np.repeat(low, counts) + within], np.repeat(here, counts))

    def _row(self, terms: Terms, row: int) -> Terms:
        """The terms of one row, as those of a number."""
        low, high, order = self._found(terms, np.array([row]))
        kept = order[low[0] : high[0]]
        return terms.chosen(kept, np.zeros(len(kept), dtype=np.intp))

    def _found(self, terms: Terms, rows: Any) -> tuple[Any, Any, Any]:
        """From where to where, in what order, the terms of some rows are."""
        key = id(terms.rows)
        if key not in self.sorted:
            order = np.lexsort((terms.columns, terms.rows))
            self.sorted[key] = terms, order, terms.rows[order]  # the terms are kept, so the key is not used again
        _, order, rows_in_order = self.sorted[key]
        return np.searchsorted(rows_in_order, rows), np.searchsorted(rows_in_order, rows, side="right"), order

    def _size(self, value: int) -> int:
        return size_of(self.types[value])

    def _pack(self, at: int, operands: Sequence[int]) -> list[Terms]:
        """The terms of a packed array; elements of other arrays keep theirs where they are."""
        entries: list[tuple[int, int, int]] = []
        taken: dict[int, list[tuple[int, int]]] = {}  # array → elements here and there
        for k, o in enumerate(operands):
            op, given, window = self.program.code[o]
            if op == "read" and len(given) == 1 and given[0] in self.terms:
                taken.setdefault(given[0], []).append((k, window.offset))
            elif self._columns(o):
                entries += [(k, c, self.tangents[c][self.place[o]]) for c in self._columns(o)]
        found = self._gathered(entries)
        for array, pairs in taken.items():
            here, there = np.array(pairs).T
            found += [self._taken(t, here, there) for t in self.terms[array]]
        return found

    def _add_at(self, at: int, operands: Sequence[int], window: Window) -> None:
        array = operands[0]
        before, sent = self.terms.get(array, []), self._of(operands[1])
        if sent:
            chosen = self.known.window(operands[2:], window, self._size(array))
            if chosen is None:
                raise UnfitError
            sent = [t._replace(rows=chosen[0][t.rows]) for t in sent]
        self._set(at, [*before, *sent])

    # ---- loops -----------------------------------------------------------------------------------------------------

    def _loop(self, at: int) -> dict[int, list[Terms]]:
        """The terms of the results of a loop."""
        _, operands, loop = self.program.code[at]
        active = {k for k, o in enumerate(operands, 1) if o in self.terms or o in self.by}
        if not active:
            return {}
        if loop.carries or loop.test or not isinstance(loop.extent, int) or memories(loop):
            raise UnfitError
        if not loop.extent:
            handed = operands[loop.shared : loop.shared + loop.handed]
            return {k: self._of(o) for k, o in enumerate(handed)}
        return _Steps(self, loop, operands, active).run()


class _Number(NamedTuple):
    """A number of a loop's body that is a result: which item it belongs to, and the row of each step."""

    value: int  # of the body
    item: int
    rows: Any


class _Steps:
    """A loop whose steps are independent."""

    def __init__(self, around: Local, loop: Loop, operands: Sequence[int], active: set[int]) -> None:
        self.around, self.loop, self.operands, self.active = around, loop, operands, active
        builder, first = around.builder, loop.first_element
        self.extent = int(loop.extent)
        self.new = [around.place[o] for o in operands]
        self.body = body = Body(builder, loop, False, None)
        made, inner = body.made, body.inner
        body.inputs += [made.shared(o) for o in self.new[: loop.shared]]
        for kind in loop.body.inputs[loop.first_carry : first]:
            assert isinstance(kind, Array)
            body.inputs.append(inner.emit("zeros", (), kind.shape))
        body.inputs += [made.element(o) for o in self.new[loop.shared + loop.handed :]]
        body.copy()
        self.inner, self.made = inner, made
        step = np.arange(float(self.extent))
        again = np.zeros(self.extent, dtype=np.intp)
        known: list[Any] = [lambda: step]
        for k, o in enumerate(operands):
            extent = self.extent if k >= loop.shared + loop.handed else 0
            known.append(lambda o=o, extent=extent: around.known.known_in(o, again, extent))
        self.known = Block(loop.body, self.extent, 0, [], known)
        self.outs: list[tuple[int, str]] = []
        self.lifted: dict[Any, int] = {}

    def run(self) -> dict[int, list[Terms]]:
        """The terms of the results."""
        loop, inner = self.loop, self.inner
        targets = list(self._targets())
        results = list(self._results({value for value, _ in targets}))
        found: dict[int, list[Terms]] = {}
        for k, o in enumerate(self.operands[loop.shared : loop.shared + loop.handed]):
            found[k] = list(self.around._of(o))
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

    # ---- by what, and of what --------------------------------------------------------------------------------------

    def _targets(self) -> Iterator[tuple[int, list[Slab]]]:
        """The numbers of a step by which its derivatives are taken, as values of the new body, and their terms."""
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
        """The numbers of a step that are results, or are added to an accumulator."""
        loop, body, extent = self.loop, self.loop.body, self.extent
        depending = depends_on(self.inner, targets, len(self.inner.code)) if targets else set()
        step = np.arange(extent)
        for k, kind in enumerate(loop.kinds, loop.handed):
            b = body.outputs[k]
            if self.body.values[b] not in depending:
                continue
            op, operands, _ = body.code[b]
            size = size_of(self.known.types[b])
            if not isinstance(self.known.types[b], Array):
                yield _Number(b, k, step if kind == "each" else np.zeros(extent, dtype=np.intp))
            elif op == "pack":
                for e, o in enumerate(operands):
                    if self.body.values[o] in depending:
                        yield _Number(o, k, step * size + e)
            else:
                raise UnfitError
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
                yield from self._added(
                    operands[1], owner[b], np.broadcast_to(chosen, (extent, chosen.shape[1])), depending
                )
            elif op == "loop" and not owner.keys().isdisjoint(operands):
                raise UnfitError

    def _added(self, b: int, item: int, rows: Any, depending: set[int]) -> Iterator[_Number]:
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
        """The terms of one row of an operand in each step."""
        return [slab for t in self.around.terms[operand] for slab in self._aligned(t, rows)]

    def _aligned(self, terms: Terms, rows: Any) -> Iterator[Slab]:
        """Terms laid side by side: those of a diagonal, or if there are too many of these, the first, the second, …."""
        low, high, order = self.around._found(terms, rows)
        counts = high - low
        width = int(counts.max(initial=0))
        if not width:
            return
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        step = np.repeat(np.arange(self.extent), counts)
        at = order[np.repeat(low, counts) + within]
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
        """How many columns the terms of the next step are further on, in most steps."""
        if len(step) < 2 or step[0] == step[-1]:
            return 1
        return round((int(columns[-1]) - int(columns[0])) / (int(step[-1]) - int(step[0])))

    def _shared(self, operand: int) -> list[Slab]:
        """The terms of a number that all steps share."""
        around, found = self.around, []
        for c in around._columns(operand):
            value = around.tangents[c][around.place[operand]]
            number = around.builder.number(value)
            columns = np.full(self.extent, c)
            found.append(Slab(columns, None if number is None else np.full(self.extent, number), value=value))
        return found

    # ---- products --------------------------------------------------------------------------------------------------

    def _products(self, mine: Mapping[int, int], slabs: Mapping[int, list[Slab]]) -> Any:
        """The terms of one result: those that are always the same, and for each list of columns a value of the body."""
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
        step, columns, numbers = _summed(step, columns, numbers)
        found = []
        width = int(columns.max(initial=0)) + 1
        for group, value in groups.values():  # what is always the same is added to what is not
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
        """A derivative times a term, either of which may be missing."""
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
        """A number of each step, which is the same in every call."""
        if (numbers == numbers[0]).all():
            return self.inner.constant(float(numbers[0]))
        key = numbers.tobytes()
        if key not in self.lifted:
            table = self.around.builder.emit("table", (), ((self.extent,), tuple(numbers.tolist())))
            self.lifted[key] = self.made.element(table)
        return self.lifted[key]

    def _array_element(self, slab: Slab) -> int:
        """An element of an array of the program around for each step."""
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


def _constants_together(terms: list[Terms]) -> list[Terms]:
    """The terms that are always the same as one, without duplicates."""
    fixed = [t for t in terms if t.numbers is not None]
    if len(fixed) < 2:
        return terms
    rows, columns, numbers = (np.concatenate(parts) for parts in zip(*[t[:3] for t in fixed]))
    return [Terms(*_summed(rows, columns, numbers)), *[t for t in terms if t.numbers is None]]


def _summed(rows: Any, columns: Any, numbers: Any) -> tuple[Any, Any, Any]:
    """Entries in order, those of the same place added up."""
    order = np.lexsort((columns, rows))
    rows, columns, numbers = rows[order], columns[order], numbers[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    starts = np.flatnonzero(first)
    return rows[starts], columns[starts], np.add.reduceat(numbers, starts) if len(starts) else numbers
