"""A journal of what sides of branches and steps of loops assign to attributes and elements.

Each side runs on the things themselves, so that every alias sees what it assigns, and is undone at its end. Then a
place that a side has assigned gets a number by selection, and one that a step has assigned is handed from step to step.
Only things that the captured function has made itself are changed so: nothing else has seen them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from math import inf
from types import FunctionType, MemberDescriptorType
from typing import Any

from autograd.compiler.capture.control.made import note_made, refuse_begun
from autograd.compiler.capture.control.merging import merged
from autograd.compiler.capture.control.sides import Refused, Side, present
from autograd.value import Value

MISSING = object()


class Place:
    """An attribute, an element of a list, or an item of a dict."""

    __slots__ = ("key", "kind", "thing")

    def __init__(self, kind: str, thing: Any, key: Any) -> None:
        self.kind, self.thing, self.key = kind, thing, key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self.thing is other.thing and bool(self.key == other.key)

    def __hash__(self) -> int:
        return hash((id(self.thing), self.key))

    def __str__(self) -> str:
        return f"the {self.kind} {self.key}"

    def read(self) -> Any:
        """What is there, or `MISSING`."""
        if self.kind == "attribute":
            slots = _in_class(type(self.thing), self.key)
            if isinstance(slots, MemberDescriptorType):
                return getattr(self.thing, self.key, MISSING)
            return vars(self.thing).get(self.key, MISSING)
        if self.kind == "item":
            return self.thing.get(self.key, MISSING)
        return self.thing[self.key] if self.key < len(self.thing) else MISSING

    def put(self, value: Any) -> None:
        """Put something there, or take it away."""
        if self.kind == "attribute":
            if value is MISSING:
                delattr(self.thing, self.key)
            else:
                setattr(self.thing, self.key, value)
        elif value is MISSING:
            del self.thing[self.key]
        elif self.kind == "element" and self.key == len(self.thing):
            self.thing.append(value)
        else:
            self.thing[self.key] = value


class Journal:
    """What one side has assigned: places with what was there before, in the order in which they were assigned first."""

    def __init__(self, around: Journal | None) -> None:
        self.around = around
        self.before: dict[Place, Any] = {}
        self.after: dict[Place, Any] = {}

    def undo(self) -> None:
        """Put everything back, and keep what was assigned."""
        self.after = {place: place.read() for place in self.before}
        for place, value in reversed(self.before.items()):
            place.put(value)

    def created(self) -> dict[int, list[Place]]:
        """Places that were not there: those of each thing, in order."""
        found: dict[int, list[Place]] = {}
        for place, value in self.before.items():
            if value is MISSING:
                found.setdefault(id(place.thing), []).append(place)
        return found


def open_journal(root: Any) -> Journal:
    """A new journal, in which assignments are noted from now on."""
    root.journal = Journal(root.journal)
    found: Journal = root.journal
    return found


def close_journal(root: Any, journal: Journal) -> None:
    """Undo what the journal has, and go back to the one around it."""
    journal.undo()
    root.journal = journal.around


def assign(root: Any, place: Place, value: Any) -> None:
    """Assign; inside a side, note what was there."""
    journal = root.journal
    if journal is not None:
        thing, made_in = root.made.get(id(place.thing), (None, None))
        if thing is not place.thing:
            raise Refused(f"it assigns {place} of a {type(place.thing).__name__} that it has not made")
        if made_in is not journal and place not in journal.before:
            journal.before[place] = place.read()
    place.put(value)


def attribute(thing: Any, name: str) -> Place:
    """The place of an attribute; refused if to assign it runs code."""
    kind: Any = type(thing)
    found = _in_class(kind, name)
    own = isinstance(thing, (type, Value)) or not hasattr(thing, "__dict__") or hasattr(kind, "__getattr__")
    if isinstance(found, MemberDescriptorType):
        own = isinstance(thing, (type, Value))
    elif hasattr(type(found), "__set__") or hasattr(type(found), "__delete__"):
        own = True
    if own or kind.__setattr__ is not object.__setattr__ or kind.__getattribute__ is not object.__getattribute__:
        raise Refused(f"it assigns the attribute {name} of a {kind.__name__}")
    return Place("attribute", thing, name)


def element(thing: Any, key: Any) -> Place:
    """The place of an element of a list, or of an item of a dict; refused for anything else."""
    if type(thing) is list and type(key) is int and -len(thing) <= key < len(thing):
        return Place("element", thing, key % len(thing))
    if type(thing) is dict and type(key) in (int, str):
        return Place("item", thing, key)
    raise Refused(f"it assigns an element of a {type(thing).__name__} at {key!r:.40}")


def append(thing: list[Any], value: Any) -> None:
    """``thing.append(value)`` in a side: a new element is assigned."""
    trace: Any = present()
    if trace.root().made.get(id(thing), (None,))[0] is not thing:
        raise Refused("it calls append of a list that it has not made")
    assign(trace.root(), Place("element", thing, len(thing)), value)


def extend(thing: list[Any], values: Any) -> None:
    """``thing.extend(values)`` in a side."""
    refuse_begun(values)
    for value in list(values):
        append(thing, value)


def _in_class(kind: type, name: str) -> Any:
    return next((vars(c)[name] for c in kind.__mro__ if name in vars(c)), None)


@contextmanager
def under(
    trace: Any,
    site: Any,
    condition: int | None = None,
    outcome: bool = True,
    start: int = 0,
    most: float = inf,
    step: bool = False,
) -> Iterator[Journal]:
    """Capture a side of a branch, or a step of a loop, in the `with` block; what it assigns is undone."""
    around, root = trace.deciding, trace.root()
    taken = {} if condition is None else {condition: outcome}
    trace.deciding = Side((), around, taken, site, step, getattr(around, "real", True), start, most)
    root.sides += 1
    journal = open_journal(root)
    try:
        yield journal
    finally:
        close_journal(root, journal)
        trace.deciding = around
        root.sides -= 1


# ---- after a branch --------------------------------------------------------------------------------------------------


def commit(root: Any, journal: Journal) -> None:
    """Assign what the one side has assigned that counts."""
    for place, value in journal.after.items():
        assign(root, place, value)


def joined(trace: Any, condition: Any, then: Journal, otherwise: Journal) -> list[tuple[Place, Any]]:
    """What each place has after a branch that has assigned it on either side, both of them undone."""
    if then.created() != otherwise.created():
        one, other = ({*chain(*side.created().values())} for side in (then, otherwise))
        if any(place.kind == "element" for place in one ^ other):
            raise Refused("a list gets more elements on one side")
        raise Refused(f"{', '.join(sorted(map(str, one ^ other or one)))} is made on one side, or in another order")
    found = []
    for place in dict.fromkeys([*then.after, *otherwise.after]):
        one, other = (side.after[place] if place in side.after else place.read() for side in (then, otherwise))
        if place.kind == "attribute" and trace.root().texts.is_unread(place.key, one, other):
            found.append((place, one if trace.value(condition.index) else other))
        else:
            found.append((place, merged(trace, condition, one, other, str(place))))
    return found


def besides(journal: Journal, known: Iterable[Place]) -> list[Place]:
    """What a step assigns besides places that are known."""
    known = set(known)
    found = [place for place in journal.before if place not in known]
    if any(journal.before[place] is MISSING for place in found):
        raise Refused(f"{', '.join(map(str, found))} is made in a step")
    return found


def refuse_assigned(journal: Journal, what: str) -> None:
    """Raise if something was assigned where a truth is asked for."""
    if journal.after:
        raise Refused(f"{what} assigns {next(iter(journal.after))}")


# ---- things that the code makes --------------------------------------------------------------------------------------


def new_list(*things: Any) -> Any:
    """`list`, called in a capture."""
    trace: Any = present()
    for thing in things:
        refuse_begun(thing)
    return list(*things) if trace is None else note_made(trace.root(), list(*things))


def instance(follow: Callable[[Any], Any], kind: Any, *things: Any, **options: Any) -> Any:
    """An instance of a class, of which it is known that the function has made it; its ``__init__`` is rewritten too."""
    trace: Any = present()
    own = kind.__init__
    if trace is None:
        return kind(*things, **options)
    if kind.__new__ is not object.__new__ or not isinstance(own, FunctionType):
        made = kind(*things, **options)
        return note_made(trace.root(), made) if type(made) is kind else made
    made = note_made(trace.root(), object.__new__(kind))
    if follow(own)(made, *things, **options) is not None:
        raise TypeError(f"{kind.__name__}.__init__() returned a result")
    return made
