"""Sums of many terms in C, in the order of `spread`; terms that follow a pattern are added in a loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from autograd.compiler.export.expressions import (
    PRODUCT,
    UNARY,
    Affine,
    Text,
    View,
    element,
    is_literal,
    operation,
    without_minus,
)
from autograd.compiler.export.lanes import in_all_lanes
from autograd.compiler.export.runs import Pattern, run_from, segments
from autograd.compiler.export.statements import LONGEST, Statements, kind_of, stored
from autograd.ir.passes.chains import ACCUMULATORS, IN_ORDER


class Summing(Statements):
    """Statements for sums."""

    def _sum(self, at: int, operands: tuple[int, ...], data: Any) -> Text:
        terms = [[self.number(o)] for o in operands]
        return self._in_order(terms) if data == IN_ORDER else self._in_lanes(terms)

    def _dot(self, at: int, operands: tuple[int, ...], data: Any) -> Text:
        half = len(operands) // 2
        factors = zip(operands[:half], operands[half:])
        terms = [
            [self.number(x)] if self.number(y).text == "1.0" else [self.number(x), self.number(y)] for x, y in factors
        ]
        return self._in_order(terms) if data == IN_ORDER else self._in_lanes(terms)

    def _in_order(self, terms: Sequence[Sequence[Text]]) -> Text:
        """The sum from left to right."""
        total: Text | None = None
        for at, count, patterns in segments(terms):
            if count == 1:
                total = self._plus(total, terms[at])
                continue
            place = self._variable("s", total or Text("-0.0"))
            self.loop_over((count,), partial(_added_of, place, patterns))
            total = element(place)
        assert total is not None
        return total

    def _in_lanes(self, terms: Sequence[Sequence[Text]]) -> Text:
        """The sum in several accumulators, as `spread` does if the order is free."""
        lanes = ACCUMULATORS if len(terms) >= 2 * ACCUMULATORS else 1
        whole = len(terms) // lanes * lanes
        count, patterns = run_from(terms[:whole], 0)
        if count < whole or lanes == 1:
            totals = []
            for lane in range(lanes):
                total = Text("0.0") if lane == 0 else None
                for term in terms[lane::lanes]:
                    total = self._plus(total, term)
                assert total is not None
                totals.append(total)
            return self._paired(totals)
        names = [self.parts.names.numbered("s") for _ in range(lanes)]
        places = [View(f"={name}", self.here, (), ()) for name in names]
        zero = in_all_lanes(Text("0.0")).text if self.wide else "0.0"
        self.line(f"{self.kind} {', '.join([f'{name} = {zero}' for name in names])};")
        counter = self.parts.counter(self.depth)
        self.line(f"for (int {counter} = 0; {counter} < {whole}; {counter} += {lanes}) {{")
        for lane, place in enumerate(places):
            index = Affine(lane, ((counter, 1),))
            self.parts.line(self.depth + 1, _added_of(place, patterns, [index]))
        self.line("}")
        for place, term in zip(places, terms[whole:]):
            self.line(added(place, term))
        return self._paired([element(place) for place in places])

    def _paired(self, totals: Sequence[Text]) -> Text:
        """The sum of several sums, added in pairs."""
        while len(totals) > 1:
            pairs = [totals[k : k + 2] for k in range(0, len(totals), 2)]
            totals = [self._plus(pair[0], [pair[1]]) if len(pair) == 2 else pair[0] for pair in pairs]
        return totals[0]

    def _plus(self, total: Text | None, term: Sequence[Text]) -> Text:
        """A sum plus one more term; a long expression gets a name."""
        minus, product = _product(term)
        if total is None:
            made = Text(f"-{product.above(UNARY)}", UNARY, product.reads) if minus else product
        else:
            found = operation("sub" if minus else "add", [total, product])
            assert found is not None
            made = found
        if len(made.text) <= LONGEST:
            return made
        name = self.parts.names.numbered("t")
        self.line(f"const {kind_of(made)} {name} = {made.text};")
        return Text(name, wide=made.wide)

    SPECIAL: ClassVar[dict[str, Callable[..., Any]]] = {**Statements.SPECIAL, "sum": _sum, "dot": _dot}


def added(place: View, term: Sequence[Text]) -> str:
    """A statement that adds a term to a sum."""
    minus, product = _product(term)
    return stored(place, "-=" if minus else "+=", product)


def _added_of(place: View, patterns: Sequence[Pattern], indices: Sequence[Affine]) -> str:
    """A statement that adds a patterned term to a sum."""
    return added(place, [pattern.at(indices[0]) for pattern in patterns])


def _product(term: Sequence[Text]) -> tuple[bool, Text]:
    """A term as (whether it is subtracted, product): a minus of its first factor is applied last, as in `spread`."""
    first = term[0]
    minus = first.text.startswith("-") and first.rank in (UNARY, PRODUCT) and not is_literal(first.text)
    if minus:
        first = without_minus(first)
    if len(term) == 1:
        return minus, first
    found = operation("mul", [first, term[1]])
    assert found is not None
    return minus, found
