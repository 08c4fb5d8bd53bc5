"""Things of which it is known that the captured function has made them, and where: nothing else has seen them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from autograd.compiler.capture.control.sides import Refused, present, sides_open

MOST_MADE = 100_000  # of which it is known


def note_made(root: Any, thing: Any) -> Any:
    """Note that the function has made a thing."""
    if len(root.made) < MOST_MADE:
        root.made[id(thing)] = thing, root.journal
    return thing


def made_here(root: Any, thing: Any) -> bool:
    """Whether the side or the step that is captured now has made a thing."""
    found, journal = root.made.get(id(thing), (None, None))
    return found is thing and journal is root.journal


def refuse_begun(thing: Any) -> None:
    """In a side, raise for an iterator from before: whatever the side takes from it, the other side would not find."""
    trace: Any = present()
    if trace is None or not sides_open() or not issubclass(type(thing), Iterator):
        return
    if not made_here(trace.root(), thing):
        raise Refused(f"it goes on with a {type(thing).__name__} from before")


def note_iterator(thing: Any) -> Any:
    """Note an iterator that a function has returned in a side."""
    trace: Any = present()
    return note_made(trace.root(), thing) if trace is not None and issubclass(type(thing), Iterator) else thing
