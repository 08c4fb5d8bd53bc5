"""The entries of a Jacobian from the derivatives of each step of a loop: no seeds, and no products with zeros.

A value has terms: its derivatives by the columns that it depends on. If the steps of a loop are independent, each step
computes the derivatives of its results by the elements that it reads, and multiplies them with the terms of these
elements. So the work is proportional to the entries, and the program does not grow with the number of steps. Terms that
are the same in every call (of sums, differences and products with constants) are added up here and not in the program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autograd.compiler.sparse.known import Known
from autograd.compiler.sparse.loop_terms import LoopTerms
from autograd.compiler.sparse.terms import LOOSE, Terms, UnfitError, constants_together
from autograd.ir.block import Array, Program, Window, size_of, types_of
from autograd.ir.derive.forward import States, tangent_of
from autograd.ir.derive.messages import WITHOUT_DERIVATIVE
from autograd.ir.derive.presence import added, part
from autograd.ir.derive.seeded import started
from autograd.ir.memory import memories

MOST_COLUMNS = 500  # that a number outside loops may depend on
LONGEST, LONGER = 10_000, 60  # instructions that the program may have, and more for each instruction of the function


class ProgramTerms:
    """The terms of all values of a program; a builder writes the program that computes them.

    Attributes
    ----------
    place : sequence of int
        Value of the program → the same value in the builder.
    known : Known
        The numbers that do not depend on inputs.
    first : mapping
        Input → the column of its first number.
    terms : dict
        Value of the program → its terms.
    by, tangents : dicts
        The same for numbers outside loops: number → the columns that it depends on; column → value of the builder →
        its tangent.
    results : dict
        Loop → item → its terms.
    wanted : set of int
        The values that something uses. Elements of arrays that are only packed keep their terms where they are.
    """

    def __init__(self, program: Program, columns: Mapping[int, int]) -> None:
        self.program, self.types = program, types_of(program)
        self.builder, self.place = started(program)
        self.longest = LONGEST + LONGER * len(program.code)
        self.known = Known(program, 1, [lambda: None] * len(program.inputs))
        self.terms: dict[int, list[Terms]] = {}
        self.tangents: dict[int, dict[int, int]] = {}
        self.by: dict[int, list[int]] = {}
        self.results: dict[int, dict[int, list[Terms]]] = {}
        self.sorted: dict[int, Any] = {}
        self.first = columns
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
        return [self.terms_of(o, loose=True) for o in self.program.outputs]

    def _set(self, at: int, terms: list[Terms]) -> None:
        terms = constants_together([t for t in terms if len(t.rows)])
        if terms:
            self.terms[at] = terms

    def terms_of(self, value: int, loose: bool = False) -> list[Terms]:
        """The terms of any value. If nothing computes with them they may be `loose`, not packed in an array."""
        if value in self.terms or value not in self.by:
            return self.terms.get(value, [])
        columns = self.by[value]
        return self._gathered([(0, c, self.tangents[c][self.place[value]]) for c in columns], loose)

    def _gathered(self, entries: Sequence[tuple[int, int, int]], loose: bool = False) -> list[Terms]:
        """Terms from entries: row, column, and value of the builder."""
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

    def columns_of(self, value: int) -> list[int]:
        """The columns that a number depends on; afterwards `tangents` has its tangents."""
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
        columns = sorted({c for o in operands for c in self.columns_of(o)})
        if len(columns) > MOST_COLUMNS or len(self.builder.code) > self.longest:
            raise UnfitError
        new, found = self.place[at], []
        for c in columns:
            tangents = self.tangents[c]
            tangent = tangent_of(self.builder, new, tangents, {}, States({}, {}))
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
        """The terms of the rows `there` as those of the rows `here`; a row may be taken several times."""
        counts, _, chosen = self.terms_in(terms, there)
        return terms.chosen(chosen, np.repeat(here, counts))

    def _row(self, terms: Terms, row: int) -> Terms:
        """The terms of one row, as those of a number."""
        _, _, chosen = self.terms_in(terms, np.array([row]))
        return terms.chosen(chosen, np.zeros(len(chosen), dtype=np.intp))

    def terms_in(self, terms: Terms, rows: Any) -> tuple[Any, Any, Any]:
        """How many terms each of these rows has; and for each of these terms its place in its row, and its index."""
        key = id(terms.rows)
        if key not in self.sorted:
            order = np.lexsort((terms.columns, terms.rows))
            self.sorted[key] = terms, order, terms.rows[order]  # the terms are kept, so the key is not used again
        _, order, rows_in_order = self.sorted[key]
        low, high = np.searchsorted(rows_in_order, rows), np.searchsorted(rows_in_order, rows, side="right")
        counts = high - low
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return counts, within, order[np.repeat(low, counts) + within]

    def _size(self, value: int) -> int:
        return size_of(self.types[value])

    def _pack(self, at: int, operands: Sequence[int]) -> list[Terms]:
        """The terms of a packed array; those of elements of other arrays are not copied."""
        entries: list[tuple[int, int, int]] = []
        taken: dict[int, list[tuple[int, int]]] = {}  # array → elements here and there
        for k, o in enumerate(operands):
            op, given, window = self.program.code[o]
            if op == "read" and len(given) == 1 and given[0] in self.terms:
                taken.setdefault(given[0], []).append((k, window.offset))
            elif self.columns_of(o):
                entries += [(k, c, self.tangents[c][self.place[o]]) for c in self.columns_of(o)]
        found = self._gathered(entries)
        for array, pairs in taken.items():
            here, there = np.array(pairs).T
            found += [self._taken(t, here, there) for t in self.terms[array]]
        return found

    def _add_at(self, at: int, operands: Sequence[int], window: Window) -> None:
        array = operands[0]
        before, sent = self.terms.get(array, []), self.terms_of(operands[1])
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
            return {k: self.terms_of(o) for k, o in enumerate(loop.by_role(operands).handed)}
        return LoopTerms(self, loop, operands, active).run()
