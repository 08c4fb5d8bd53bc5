"""Tables read at ints of the program: the elements of lists and tuples of numbers, and places found by `bisect`.

What Python does with each int apart, by an index, a program does with all of them at once. It is valid only while the
index is inside the table.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Any

from autograd import rules
from autograd.compiler.capture.control.merging import is_inexact, is_number, is_whole
from autograd.compiler.capture.control.plain import chosen
from autograd.compiler.capture.control.sides import present
from autograd.compiler.capture.control.whole import Bounds, Whole, bounds_of, has_ints
from autograd.rules import take, where
from autograd.value import Value

MOST_TAKEN = 4096  # numbers of a table
WIDEST_ROW = 16  # numbers of a row that is taken as a whole
TABLES = (list, tuple)
BISECTIONS = {bisect.bisect_right: True, bisect.bisect_left: False}


def taken(table: Any, keys: Sequence[Any]) -> Any:
    """``table[key]`` or ``table[key][other]``, some keys of which are ints of the program; None if ints are needed."""
    if type(table) not in TABLES or not 0 < len(table) <= MOST_TAKEN:
        return None
    if len(keys) == 1:
        return _of_rows(table, keys[0]) if type(table[0]) is tuple else _one(table, keys[0])
    widths = {len(row) if type(row) in TABLES else 0 for row in table}
    width = widths.pop()
    if len(keys) > 2 or widths or not width or width * len(table) > MOST_TAKEN:
        return None
    row, column = keys
    if type(column) is not Whole:
        return _one([row[column] for row in table], row) if type(column) is int and -width <= column < width else None
    if type(row) is not Whole:
        return None
    numbers = [x for line in table for x in line]
    if not _is_table(numbers):
        return None
    places = _place(row, len(table)), _place(column, width)
    return None if None in places else _element(numbers, places[0] * float(width) + places[1])


def _of_rows(table: Sequence[Any], key: Any) -> Any:
    """A row of a table of tuples."""
    widths = {len(row) if type(row) is tuple else 0 for row in table}
    if len(widths) > 1 or not 0 < max(widths) <= WIDEST_ROW:
        return None
    found = [_one(column, key) for column in zip(*table)]
    return None if any(x is None for x in found) else tuple(found)


def _is_table(numbers: Sequence[Any]) -> bool:
    """Whether a program can hold these: no more than it takes, and none that a float would round."""
    return 0 < len(numbers) <= MOST_TAKEN and all(map(is_number, numbers)) and not any(map(is_inexact, numbers))


def _one(numbers: Sequence[Any], key: Whole) -> Any:
    """The number in a place that is an int of the program."""
    place = _place(key, len(numbers)) if _is_table(numbers) else None
    return None if place is None else _element(numbers, place)


def _place(key: Whole, length: int) -> Any:
    """The place in a table, as a number; None if it is outside now."""
    if (key.low < -length and not key >= -length) or (key.high >= length and not key < length):
        return None
    number = key.detach()
    return number if key.low >= 0 else where(number < 0.0, number + float(length), number)


def _element(numbers: Sequence[Any], place: Any) -> Any:
    """The number in a place: an int if all of them are ints."""
    found: Any = take(place, *numbers)
    wholes = [is_whole(x) for x in numbers]
    if all(wholes):
        bounds: list[Bounds] = [b for x in numbers if (b := bounds_of(x)) is not None]
        if len(bounds) == len(numbers):
            return Whole.at(found.builder, found.index, (min(b[0] for b in bounds), max(b[1] for b in bounds)))
    if any(wholes):
        found.builder.mix(found.index)
    return chosen(found, *numbers)


def bisected(function: Any, *things: Any, **options: Any) -> Any:
    """`bisect.bisect_right` or `bisect_left`: where ints may be numbers of the program, the place is one."""
    table, x = things if len(things) == 2 else ((), None)
    known = not options and type(table) in TABLES and _is_table(table) and is_number(x)
    if not known or not any(isinstance(number, Value) for number in (x, *table)):
        return function(*things, **options)
    found = _searched(BISECTIONS[function], table, x)
    return function(*things) if found is None else found


def _searched(right: bool, table: Sequence[Any], x: Any) -> Any:
    """The place of a number, by the comparisons that Python makes; None if it must be an int now."""
    trace: Any = present()
    if trace is None or not has_ints(trace):
        return None
    low, high = 0.0, float(len(table))
    for step in range(len(table).bit_length()):
        middle = rules.floor(0.5 * (low + high))
        number = take(middle, *table)
        up, down = where(x < number, low, middle + 1.0), where(x < number, middle, high)
        if not right:
            up, down = where(number < x, middle + 1.0, low), where(number < x, high, middle)
        going = step == 0 or low < high
        low, high = where(going, up, low), where(going, down, high)
    trace.root().rounded = True
    return Whole.at(trace, trace.place(low), (0, len(table)))
