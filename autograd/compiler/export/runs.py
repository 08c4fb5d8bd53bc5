"""Statements whose numbers follow a pattern: they are written as one loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from autograd.compiler.export.expressions import Affine, Text, View, element

FEWEST = 5  # statements that become a loop


class Pattern(NamedTuple):
    """A number in each of several statements: always the same, or `apart` further on in memory each time."""

    first: Text
    apart: int

    def at(self, index: Affine) -> Text:
        """The number in the statement of this index."""
        if self.first.place is None or not self.apart:
            return self.first
        return element(self.first.place._replace(start=self.first.place.start.plus(index, self.apart)))


def distance(one: Text, other: Text) -> int | None:
    """How far apart two numbers lie in memory: 0 if they are the same, None if it is not a constant."""
    if one.text == other.text:
        return 0
    a, b = one.place, other.place
    if a is None or b is None or a.base != b.base:
        return None
    apart = b.start.plus(a.start, -1)
    return None if apart.terms else apart.constant


def run_from(rows: Sequence[Sequence[Text]], at: int, forms: Sequence[str] = ()) -> tuple[int, list[Pattern]]:
    """How many rows from `at` on follow a pattern in each column and have one form, and the patterns."""
    first = rows[at]
    if at + 1 == len(rows) or len(rows[at + 1]) != len(first) or (forms and forms[at] != forms[at + 1]):
        return 1, []
    apart = [distance(x, y) for x, y in zip(first, rows[at + 1])]
    if None in apart:
        return 1, []
    end = at + 1
    while end < len(rows) and len(rows[end]) == len(first) and (not forms or forms[end] == forms[at]):
        if [distance(x, y) for x, y in zip(rows[end - 1], rows[end])] != apart:
            break
        end += 1
    return end - at, [Pattern(x, step or 0) for x, step in zip(first, apart)]


def segments(rows: Sequence[Sequence[Text]], forms: Sequence[str] = ()) -> list[tuple[int, int, list[Pattern]]]:
    """The rows cut into runs: where each begins, how long it is, and its patterns; a run of one has none."""
    found, at = [], 0
    while at < len(rows):
        count, patterns = run_from(rows, at, forms)
        if count < FEWEST:
            count, patterns = 1, []
        found.append((at, count, patterns))
        at += count
    return found


def array_of(numbers: Sequence[Text], shape: tuple[int, ...]) -> View | None:
    """A view of numbers that lie evenly spaced in memory; None if they do not."""
    if len(numbers) < 2 or len(shape) != 1:
        return None
    count, patterns = run_from([[x] for x in numbers], 0)
    place = numbers[0].place
    if count < len(numbers) or place is None or not patterns[0].apart:
        return None
    return View(place.base, place.start, shape, (patterns[0].apart,))
