"""A name that holds one text or enum member in some rows and steps and another in others: its number in its place.

The source is searched for uses of the name that could tell it from a text: it is only compared.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from autograd.compiler.capture.control.merging import Parts
from autograd.compiler.capture.control.optional import either, negated
from autograd.compiler.capture.control.sides import Refused, present

COMPARED = (int, float, complex, tuple, list, dict, set, frozenset, bytes)  # no text equals one of these


def _is_plain(thing: Any) -> bool:
    kind: Any = type(thing)
    own = kind.__eq__ is not object.__eq__ or kind.__ne__ is not object.__ne__
    return thing is None or kind is str or (isinstance(thing, Enum) and not own)


def is_text(thing: Any) -> bool:
    """Whether a thing is a text, a member of an enum or None, or stands for them."""
    return type(thing) is Choice or _is_plain(thing)


class Choice(Parts):
    """One of several texts, members of enums or None, by its number."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def of(cls, thing: Any) -> Choice:
        """Any of them."""
        trace: Any = present()
        numbers = trace.root().numbers_of_texts
        return cls(numbers.setdefault(thing, len(numbers)))

    def like(self, thing: Any) -> Any:
        """A text, too, as its number."""
        return numbered(thing)

    def __eq__(self, other: object) -> Any:
        if is_text(other):
            (number,), (another,) = self.parts, self.like(other).parts
            return number == another
        if type(other) in COMPARED:
            return False
        raise Refused(f"it compares a text with a {type(other).__name__}")

    def __ne__(self, other: object) -> Any:
        return negated(self == other)


def numbered(thing: Any) -> Any:
    """A text as its number; anything else as it is."""
    return Choice.of(thing) if _is_plain(thing) else thing


def alike_texts(one: Any, other: Any) -> tuple[Any, Any]:
    """Two texts as their numbers, if they differ; anything else as it is."""
    return (one, other) if one is other or not (is_text(one) and is_text(other)) else (numbered(one), numbered(other))


def is_among(thing: Any, texts: Any) -> Any:
    """``thing in texts``."""
    if type(thing) is not Choice:
        return thing in texts
    found: Any = False
    for text in texts:
        found = either(found, thing == text)
    return found


def is_the(thing: Any, other: Any) -> Any:
    """``thing is other``."""
    if type(thing) is not Choice and type(other) is not Choice:
        return thing is other
    if str in (type(thing), type(other)):
        raise Refused("it compares a text by identity")
    return thing == other
