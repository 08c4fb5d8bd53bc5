"""A list that is only asked for a sum, a length and the like, where its elements differ from row to row or are many.

In its place there are these numbers. Outside of sides and steps it is a list, as it is written.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from typing import Any

from autograd.compiler.capture.control.kinds import best_of
from autograd.compiler.capture.control.merging import Parts, is_number, is_truth, merged
from autograd.compiler.capture.control.sides import Refused, expected, sides_open, truth_of

COMPENSATED = sys.version_info >= (3, 12)  # how `sum` adds floats


PARTS = ("count", "total", "largest", "smallest", "first", "last")


class Gathered(Parts):
    """What is asked of a list; None for what is never asked. Without elements, all but the count means nothing."""

    __slots__ = ()

    @property
    def count(self) -> Any:
        """How many elements it has."""
        return self.parts[0]

    def like(self, thing: Any) -> Any:
        """A list as what is asked of this one."""
        if type(thing) is not list:
            return thing
        return as_gathered(thing, " ".join([word for word, x in zip(PARTS, self.parts) if x is not None]))

    def with_(self, value: Any) -> Gathered:
        """With one more element."""
        count, total, largest, smallest, first, last = self.parts
        known = is_number(value) or (is_truth(value) and largest is smallest is None)
        if any(x is not None for x in self.parts[1:]) and not known:
            raise Refused(f"it appends a {type(value).__name__}")
        if COMPENSATED and type(total) is type(value) is float:
            raise Refused("it appends floats, of which sum() corrects the rounding")
        return Gathered(
            count + 1,
            None if total is None else total + value,
            None if largest is None else self._or_first(best_of(max, [largest, value]), value),
            None if smallest is None else self._or_first(best_of(min, [smallest, value]), value),
            None if first is None else self._or_first(first, value),
            None if last is None else value,
        )

    def _or_first(self, thing: Any, value: Any) -> Any:
        """A thing, or the new element if it is the first."""
        found = truth_of(self.count == 0)
        if found is None:
            return thing if self.count else value
        return merged(*found, value, thing, "an element")


def as_gathered(thing: Any, asked: str) -> Gathered:
    """A list as what is asked of it."""
    if type(thing) is Gathered:
        return thing
    found = Gathered(*[0 if part in ("count", *asked.split()) else None for part in PARTS])
    for element in thing:
        found = found.with_(element)
    return found


def appended(thing: Any, value: Any, asked: str) -> Any:
    """The list with one more element: the same list, if no side or step is captured now."""
    if type(thing) is list and not sides_open():
        thing.append(value)
        return thing
    return as_gathered(thing, asked).with_(value)


OF_LISTS: dict[str, Callable[[Any], Any]] = {
    "total": sum,
    "count": len,
    "largest": max,
    "smallest": min,
    "first": operator.itemgetter(0),
    "last": operator.itemgetter(-1),
}


def answer(thing: Gathered, asked: str, function: Any = None) -> Any:
    """What is asked of a list by a function, or by an index; where it is empty, what Python does."""
    if asked == "filled":
        return thing.count > 0
    known = OF_LISTS[asked]
    if function is not None and function is not known:
        raise Refused(f"{known.__name__}() is not Python's")
    if asked in ("count", "total") or expected(thing.count > 0):
        return thing.parts[PARTS.index(asked)]
    return known([])
