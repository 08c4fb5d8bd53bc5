"""Traces of a function that differ only in what they read: one program serves them all.

A function that looks up rows of a table by plain whole numbers, such as the letters of a name, leaves another trace for
each name. Most of these have the same operations in the same order; they differ in which elements of an array are
read, which of the earlier results is taken, in constants, and in how comparisons came out. The second such trace is
written again with these places read from a *table* of numbers, which is an input of the machine code. For all later
ones only the table is filled.

Nothing is supposed: a trace uses a program only if it is equal to it in everything but these places, and its numbers
are in the table of its own specialization.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from autograd.compiler.capture.shared.tape import CONSTANT, ELEMENT, EVENT, EXACTLY, OPERATIONS
from autograd.ir.block import COMPARISONS, LOGIC
from autograd.once import cached_property

Integers = np.ndarray[Any, np.dtype[np.int64]]
Truths = np.ndarray[Any, np.dtype[np.bool_]]
# Of the events: places that read the table, and results that are choices; with more, each trace is compiled alone.
MOST_PLACES = 0.25
LIKE_THEM = 8  # all places of a kind read the table if there are at most so many times more than those that differ
MOST_CHOICES = 1024  # results among which one is chosen
NO_NUMBERS = {*COMPARISONS, *LOGIC, "guard"}
LONGEST_STEP = 64  # statements from one result to the next, among which one is chosen


class Kind(NamedTuple):
    """What events have in common: the operation, and for each operand where it comes from and what belongs to that."""

    op: str
    sources: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Variant:
    """What a tape has noted of one run of a function.

    Attributes
    ----------
    structure : tuple
        What runs have in common that may share a program; `shape` besides.
    shape : bytes
        The operations, and where their operands come from: see `PythonTape`.
    numbers : array of int
        The numbers of all operands.
    outcomes : array of int
        How the comparisons came out that are guards.
    lines : list of str
        Where they are.
    flow : mapping
        What became of branches and loops of the source.
    results : list
        The numbers of the result: floats, and numbers of events.
    rebuild : callable
        Makes the result of such numbers.
    sizes : list of int
        How many numbers each array of the arguments has.
    floats : bool
        Whether the function has taken the float of a Value: only a capture knows where Python's arithmetic raises.
    """

    structure: tuple[Any, ...]
    shape: bytes
    numbers: Integers
    outcomes: Integers
    lines: list[str]
    flow: Mapping[Any, str | None]
    results: list[Any]
    rebuild: Callable[[Sequence[Any]], Any]
    sizes: list[int]
    floats: bool = False

    @cached_property
    def _decoded(self) -> tuple[list[Kind], Integers, Integers]:
        stream = np.frombuffer(self.shape, np.int32).tolist()
        known: dict[Kind, int] = {}
        seen: dict[bytes, int] = {}  # what events are that have no constants in them
        shapes, starts, at, start = [], [], 0, 0
        while at < len(stream):
            count = stream[at + 1]
            key = self.shape[4 * at : 4 * (at + 2 + count)]
            shape = seen.get(key)
            end = at + 2 + count
            if shape is None:
                kind, end = _kind(stream, at)
                shape = known.setdefault(kind, len(known))
                if end == at + 2 + count:
                    seen[key] = shape
            shapes.append(shape)
            starts.append(start)
            at, start = end, start + count
        return list(known), np.array(shapes, np.int64), np.array(starts, np.int64)

    @property
    def kinds(self) -> list[Kind]:
        """The kinds of its events."""
        return self._decoded[0]

    @property
    def shapes(self) -> Integers:
        """The kind of each event."""
        return self._decoded[1]

    @property
    def starts(self) -> Integers:
        """Where the numbers of each event begin."""
        return self._decoded[2]

    @property
    def guards(self) -> list[int]:
        """The events that are guards."""
        among = [shape for shape, kind in enumerate(self.kinds) if kind.op == "guard"]
        found: list[int] = np.flatnonzero(np.isin(self.shapes, among)).tolist()
        return found

    def is_like(self, other: Variant) -> bool:
        """Whether two runs differ at most in numbers and outcomes."""
        return self.structure == other.structure and self.shape == other.shape

    def equals(self, other: Variant) -> bool:
        """Whether two runs that are alike do not differ at all."""
        return np.array_equal(self.numbers, other.numbers) and np.array_equal(self.outcomes, other.outcomes)


def _kind(stream: Sequence[int], at: int) -> tuple[Kind, int]:
    """What begins here in the shapes of a tape, and its end."""
    op, count = stream[at : at + 2]
    sources, at = [], at + 2
    for _ in range(count):
        where, what = stream[at] & 3, stream[at] >> 2
        at += 1
        if where == EXACTLY:
            what = struct.unpack("q", struct.pack("ii", *stream[at : at + 2]))[0]
            at += 2
        sources.append((where, what))
    return Kind(OPERATIONS[op], tuple(sources)), at


@dataclass(frozen=True, eq=False)
class Layout:
    """Which places of a trace read the table, and what they find there. The last numbers are the outcomes of guards.

    Attributes
    ----------
    places : array of bool
        For each number of the trace whether it is from the table.
    elements : dict
        Array → the places of its elements that are read.
    constants : list of int
        The places of constants.
    choices : list of (int, tuple of int)
        The places of earlier results, each with the statements of which one computes it.
    """

    places: Truths
    elements: dict[int, list[int]] = field(default_factory=dict)
    constants: list[int] = field(default_factory=list)
    choices: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)

    def serves(self, variant: Variant, base: Variant) -> bool:
        """Whether a trace differs from the base only where the table is read, and what it takes there is a choice."""
        if np.any((variant.numbers != base.numbers) & ~self.places):
            return False
        return all(int(variant.numbers[place]) in among for place, among in self.choices)

    def table(self, variant: Variant) -> tuple[float, ...]:
        """The table of a trace that is served."""
        chosen = [float(among.index(int(variant.numbers[place]))) for place, among in self.choices]
        read = [place for places in self.elements.values() for place in places]
        offsets = variant.numbers[np.array(read, int)].astype(float).tolist()
        constants = variant.numbers[np.array(self.constants, int)].view(float).tolist()
        return (*offsets, *constants, *chosen, *variant.outcomes.astype(float).tolist())


class Shared(NamedTuple):
    """What serves all traces that differ from one only where a table is read.

    Attributes
    ----------
    base : Variant
        The trace that was written again.
    layout : Layout
        Where it reads the table.
    compiled : object
        What was compiled of it.
    """

    base: Variant
    layout: Layout
    compiled: Any


@dataclass(eq=False)
class Alone:
    """A trace that has a program of its own.

    Attributes
    ----------
    variant : Variant
        The trace.
    compiled : object
        What was compiled of it.
    proven : bool
        Whether the program is known to be that of the trace. It may be that of another run of the function, which
        read something else.
    """

    variant: Variant
    compiled: Any
    proven: bool


@dataclass(eq=False)
class Family:
    """Traces that are alike, and what was compiled of them.

    Attributes
    ----------
    first : Variant
        One of them.
    alone : tuple of Alone
        Those that have programs of their own.
    shared : Shared or None
        What serves many.
    shares : bool
        Whether a program for many is worth it.
    """

    first: Variant
    alone: tuple[Alone, ...] = ()
    shared: Shared | None = None  # another thread may replace it: read it once
    shares: bool = True

    def find(self, variant: Variant) -> tuple[Any, tuple[float, ...]] | None:
        """What was compiled that serves a trace, and its table."""
        for one in self.alone:
            if one.proven and variant.equals(one.variant):
                return one.compiled, ()
        shared = self.shared
        if shared is None or not shared.layout.serves(variant, shared.base):
            return None
        return shared.compiled, shared.layout.table(variant)

    def not_proven(self, variant: Variant) -> Alone | None:
        """An equal trace of which it is not known whether a program is its own."""
        return next((one for one in self.alone if not one.proven and variant.equals(one.variant)), None)

    def layout_with(self, variant: Variant) -> Layout | None:
        """Where all traces so far and one more differ; None if that cannot be read from a table."""
        shared, alone = self.shared, self.alone
        if not self.shares:
            return None
        differ = np.zeros(len(variant.numbers), bool) if shared is None else shared.layout.places.copy()
        others = [one.variant for one in alone] if shared is None else [shared.base]
        for other in others:
            differ |= other.numbers != variant.numbers
        choices = {} if shared is None else dict(shared.layout.choices)
        return _Differences(variant, others[-1], differ, choices).layout() if others else None


# ---- what differs ----------------------------------------------------------------------------------------------------


class _Differences:
    """The places in which a trace differs from another, and what is there."""

    def __init__(self, variant: Variant, other: Variant, differ: Truths, choices: dict[int, tuple[int, ...]]) -> None:
        self.variant, self.other, self.differ, self.choices = variant, other, differ, choices
        self.kinds, self.shapes, self.starts = variant.kinds, variant.shapes, variant.starts

    def layout(self) -> Layout | None:
        """Which places read the table; None if one of them cannot, or if there are too many."""
        found = Layout(np.zeros(len(self.differ), bool))
        for (shape, operand), places in self._classes():
            kind = self.kinds[shape]
            where, what = kind.sources[operand]
            if where == ELEMENT:
                found.elements.setdefault(what, []).extend(places)
            elif where == CONSTANT:
                found.constants.extend(places)
            elif where == EVENT:
                choices = self._choices(places)
                if choices is None:
                    return None
                found.choices.extend(choices)
            else:
                return None
            found.places[places] = True
        packed = sum([len(among) for among in {among for _, among in found.choices}])
        return found if found.places.sum() + packed <= MOST_PLACES * len(self.shapes) else None

    def _classes(self) -> Iterator[tuple[tuple[int, int], list[int]]]:
        """Kinds of operands that differ, and their places: all of the kind, if these are not many more.

        Else all that stand between the same kinds of events: a later trace may differ where two happened to be equal.
        """
        places = np.flatnonzero(self.differ)
        events = np.searchsorted(self.starts, places, "right") - 1
        shapes, operands = self.shapes[events], places - self.starts[events]
        for shape, operand in sorted(set(zip(shapes.tolist(), operands.tolist()))):
            mine = (shapes == shape) & (operands == operand)
            most, alike = LIKE_THEM * mine.sum(), np.flatnonzero(self.shapes == shape)
            if len(alike) > most:
                alike = alike[np.isin(self._between(alike), self._between(events[mine]))]
            found = places[mine] if len(alike) > most else self.starts[alike] + operand
            yield (shape, operand), found.tolist()

    def _between(self, events: Integers) -> Integers:
        """A number for the kinds of the events before and after each of some."""
        around: Integers = np.concatenate([[-1], self.shapes, [-1]])
        found: Integers = around[events] * (len(self.kinds) + 1) + around[events + 2]
        return found

    def _choices(self, places: Sequence[int]) -> list[tuple[int, tuple[int, ...]]] | None:
        """For each place the statements of which one is chosen: both traces' choices, and those between and around."""
        pairs = [sorted((int(self.variant.numbers[p]), int(self.other.numbers[p]))) for p in places]
        steps = [self._step(low, high) for low, high in pairs if low != high]
        found = []
        for place, (low, high) in zip(places, pairs):
            among = self.choices.get(place, ())
            if low not in among or high not in among:
                step = self._step(low, high) if low != high else steps[0] if steps else None
                if step is None or self.kinds[self.shapes[low]].op in NO_NUMBERS:
                    return None
                among = self._run(low, high, step, int(np.searchsorted(self.starts, place, "right")) - 1)
            if len(among) > MOST_CHOICES:
                return None
            found.append((place, among))
        return found

    def _step(self, low: int, high: int) -> int | None:
        """The distance of results that are computed alike, from one statement to another."""
        shapes = self.shapes
        for step in range(1, min(high - low, LONGEST_STEP) + 1):
            same = (high - low) % step == 0 and shapes[low] == shapes[low + step]
            if same and np.array_equal(shapes[low + 1 : high + 1 - step], shapes[low + 1 + step : high + 1]):
                return step
        return None

    def _run(self, low: int, high: int, step: int, end: int) -> tuple[int, ...]:
        """All results that are computed like these, one after the other, in front of the statement that uses one."""
        shapes = self.shapes
        one = shapes[low + 1 : low + 1 + step] if high > low else shapes[max(low + 1 - step, 0) : low + 1]
        while (
            low - step >= 0
            and shapes[low - step] == shapes[high]
            and np.array_equal(shapes[low - step + 1 : low + 1], one)
        ):
            low -= step
        while high + step < end and np.array_equal(shapes[high + 1 : high + 1 + step], one):
            high += step
        return tuple(range(low, high + 1, step))
