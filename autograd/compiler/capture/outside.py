"""States of what a function reads outside its arguments: code compiled in one state is valid for that state only."""

from __future__ import annotations

import pickle
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import BuiltinFunctionType, CodeType, ModuleType
from typing import Any, TypeVar

import numpy as np

from autograd.compiler import locks
from autograd.compiler.capture.exact import Exact, Same
from autograd.compiler.capture.tracer import Traced
from autograd.compiler.capture.walk import ITERATOR, TEXTS, AllSame, Look, Read, Walk, global_generators
from autograd.compiler.capture.watched import DifferentRunError, Watched
from autograd.compiler.notices import notice
from autograd.compiler.watch import LIVE, Place, all_same, same, vars_of

MOST_STATES = 8  # that are kept for one function
LARGE_ARRAYS = 1 << 20  # bytes; larger arrays, compared at every call, are worth a notice
TRIES = 100  # at tracing a function while other threads change what it reads
TOO_OFTEN = 8  # changes of one name before a notice

CONTENTS = ("list", "set", "container")  # kinds of places in which a function collects
IN_NAME = re.compile(r"[^\W\d]\w*")  # in the name of a place, such as ``box.log[]``
MISSING = object()
Result = TypeVar("Result")


class ChangedMeanwhileError(RuntimeError):
    """Something that a function reads was changed while it was traced, but not by the function."""


@dataclass(eq=False)
class State:
    """One state of what a function reads, with all code compiled in it.

    Attributes
    ----------
    look : Look or None
        What was found when this state was last seen; None for a state that only a pickle has had so far.
    tokens : list or None
        The tokens of the pickle.
    dispatchers, rows : dicts
        What `call` and `batch` compiled, by the signature of the arguments.
    unsettled : set
        Signatures whose code is for one call: the function changed what it reads when it was traced, so the next call
        finds another state.
    """

    look: Look | None
    tokens: list[Any] | None = None
    dispatchers: dict[Hashable, Any] = field(default_factory=dict)
    rows: dict[Hashable, list[Any]] = field(default_factory=dict)
    unsettled: set[Hashable] = field(default_factory=set)

    @property
    def watch(self) -> Any:
        """Checks whether this is the present state."""
        return None if self.look is None else self.look.watch

    def is_as(self, look: Look) -> bool:
        """Whether something found now is this state."""
        return self.tokens == portable(look.tokens) if self.look is None else self.look.tokens == look.tokens

    def portable(self) -> list[Any] | None:
        """The tokens to compare with in another process."""
        return self.tokens if self.look is None else portable(self.look.tokens)


class Outside:
    """What a function reads outside arguments of certain classes, in the states seen so far.

    Parameters
    ----------
    roots : sequence
        The function, and the classes and settings of its arguments.
    name : str
        The name of the function in messages.
    """

    def __init__(self, roots: Sequence[Any], name: str) -> None:
        self.roots, self.name = roots, name
        self.lock = locks.Lock()
        self.states: tuple[State, ...] = ()  # the last used first
        self.attributes: frozenset[str] = frozenset()
        self.ignored: frozenset[tuple[str, str]] = frozenset()
        self.left: dict[tuple[Any, ...], tuple[Any, ...]] = {}  # place, signature → what the last trace left there
        self.changes: Counter[str] = Counter()

    def look(self) -> Look:
        """Walk through what the function reads now."""
        with self.lock:
            while True:
                walk = Walk(self.roots, self.attributes, self.ignored)
                if walk.mentioned == self.attributes:
                    return walk.look
                self.attributes = frozenset(walk.mentioned)

    def state(self) -> State:
        """The present state."""
        for state in self.states:
            if state.look is not None and state.look.watch.holds():
                return state
        with self.lock:
            look = self.look()
            state = next((state for state in self.states if state.is_as(look)), None) or self._new(look)
            state.look = look
            others = [other for other in self.states if other is not state]
            self.states = (state, *others[: MOST_STATES - 1])
        return state

    def _new(self, look: Look) -> State:
        """A new state; prints a notice if the same name changes again and again."""
        copies = [place.found[0] for place in look.places if place.kind == "array"]
        size = sum([copy.nbytes for copy in copies if copy.flags.owndata])
        if not self.states and size > LARGE_ARRAYS:
            notice(
                f"{self.name} reads arrays of {size >> 20} MB, which are compared at every call: pass them as "
                "arguments, or make them of bytes, which never change: "
                "np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)"
            )
        if not self.states and look.once:
            notice(
                f"{self.name} reads `{'`, `'.join(look.once)}` while it is traced: that happens once, and not at every "
                "call. Pass what it reads as an argument"
            )
        before = self.states[0].look if self.states else None
        for name in {before.names[i] for i in before.changed()} if before is not None else ():
            self.changes[name] += 1
            if self.changes[name] == TOO_OFTEN:
                notice(
                    f"{self.name} was traced again {TOO_OFTEN} times because `{name}` changed: pass it as an argument"
                )
        return State(look)

    def forget_unsettled(self, signature: Hashable) -> None:
        """Before another call: code for one call of this signature is not used again."""
        for state in self.states:
            if signature in state.unsettled:
                state.unsettled.discard(signature)
                state.dispatchers.pop(signature, None)
                state.rows.pop(signature, None)

    def adopt(self, tokens: list[Any] | None) -> State:
        """A state from a pickle; without tokens it is the present one."""
        if tokens is None:
            return self.state()
        with self.lock:
            state = next((state for state in self.states if state.tokens == tokens), State(None, tokens))
            self.states = (*[other for other in self.states if other is not state], state)
        return state

    # ---- a capture -------------------------------------------------------------------------------------------

    @contextmanager
    def capturing(self, state: State, signature: Hashable, repeated: bool = False) -> Iterator[None]:
        """Around a capture in a state: check that it draws no random numbers, and what it changes of what it reads.

        With `repeated`, the function runs twice in it, and the second run has read what the first one left.

        Raises
        ------
        TypeError
            If the function draws random numbers, or counts up a global or a variable of an enclosing function.
        ChangedMeanwhileError
            If something else changed what the function reads.
        """
        look = state.look
        if look is None or not look.watch.holds():
            raise ChangedMeanwhileError(f"what {self.name} reads changes all the time")
        others = () if threading.active_count() > 1 else global_generators()  # other threads may use them
        generators = [*look.generators, *others]
        before = list(map(_state_of, generators))
        token = _being_captured.set((self.name, look))
        try:
            yield
        except DifferentRunError:
            self._refuse_counting(look)  # with the line
            raise
        finally:
            _being_captured.reset(token)
        if any(_state_of(generator) != drawn for generator, drawn in zip(generators, before)):
            raise TypeError(
                f"{self.name} draws random numbers while it is traced: every call would use the same ones. Draw them "
                "outside and pass them as an argument"
            )
        if not look.watch.holds():
            try:
                self._changed(state, look, signature, repeated)
            except ChangedMeanwhileError as error:
                _refuse_iterators(self.name, look, error)
                raise
        elif self.left:
            self.left = {key: left for key, left in self.left.items() if key[-1] != signature}

    def _changed(self, state: State, look: Look, signature: Hashable, repeated: bool) -> None:
        """Decide about each change during a capture: refuse it, ignore its place from now on, or capture again."""
        ignored, later, once = set(self.ignored), False, []
        for i in look.changed():
            place, name = look.places[i], look.names[i]
            if place.kind in ("item", "cell"):
                if name.rpartition(".")[2] not in look.rebound:
                    raise ChangedMeanwhileError(f"{name} changes all the time while {self.name} is traced")
                self._refuse_counting(look)
                if any(isinstance(thing, Traced) for thing in LIVE[place.kind](place.where, place.key)):
                    ignored.add((place.kind, name))  # a traced number that is kept for inspection
                else:
                    later = True  # something made when it is first needed: the next call finds it
            elif threading.active_count() > 1 and not look.changes:
                raise ChangedMeanwhileError(f"{name} changes all the time while {self.name} is traced")
            elif place.kind == "array" and _is_workspace(place):
                ignored.add((place.kind, name))
            elif self._fills(look, place, name, signature, repeated):
                state.unsettled.add(signature)
            elif place.kind == "attributes":
                before, now = dict(zip(place.found[::2], place.found[1::2])), dict(vars_of(place.where))
                keys = [key for key in now | before if not same(before.get(key, MISSING), now.get(key, MISSING))]
                ignored.update([("attribute", f"{name}{key}") for key in keys])
                once += [f"{name}{key}" for key in keys if _counts(before.get(key), now.get(key))]
            else:
                ignored.add((place.kind, name))
                live = LIVE[place.kind](place.where, place.key) if place.kind in LIVE else ()
                if place.kind in CONTENTS or (live and place.found and _counts(place.found[0], live[0])):
                    once.append(name)
        for name in once:
            notice(
                f"{self.name} changes {name} while it is traced: that happens once, and not at every call. Return what "
                "it adds up or collects"
            )
        with self.lock:
            new = ignored != self.ignored
            self.ignored = frozenset(ignored)
            if new and later:
                raise ChangedMeanwhileError(f"{self.name} changes what it reads each time that it is traced")
            if new:
                state.look = self.look()

    def _refuse_counting(self, look: Look) -> None:
        """Raise if the function has changed a number that a name has."""
        for place, name in [(look.places[i], look.names[i]) for i in look.changed()]:
            line = look.rebound.get(name.rpartition(".")[2])
            numbers = any(type(x) in (int, float) or isinstance(x, np.number) for x in place.found)
            if place.kind in ("item", "cell") and line is not None and numbers:
                raise TypeError(
                    f"{self.name} changes {name}, at {line}: that would happen only once, when the function is "
                    "traced. Return the new number instead"
                )

    def _fills(self, look: Look, place: Place, name: str, signature: Hashable, repeated: bool) -> bool:
        """Whether the next call may find what it needs there, such as a table of results that is made once.

        It may not if the function counts or collects there, or changed again what the trace before left there.

        Raises
        ------
        TypeError
            If it appends to a list again and does more with it than that.
        """
        key, before, now = (place.kind, name, signature), place.before(), place.now()
        again = key in self.left and all_same(self.left.pop(key), before)
        traced = any(isinstance(thing, Traced) for thing in now)
        grows = place.kind == "list" and all_same(before, now[: len(before)])
        if grows and not traced and IN_NAME.findall(name)[-1] in look.used:
            if again:
                raise TypeError(
                    f"{self.name} appends to {name} at each call and reads it: compiled, that would happen only once, "
                    "when the function is traced. Pass the list as an argument and return the new one"
                )
        elif again or (repeated and traced) or place.kind in CONTENTS or any(map(_counts, before, now)):
            return False
        self.left[key] = now
        return True


def _is_workspace(place: Place) -> bool:
    """Whether an array had only numbers of the last trace, and has only others now: the function fills it first."""
    return all(isinstance(x, Traced) for array in (place.found[0], place.where) for x in array.ravel().tolist())


_being_captured: ContextVar[tuple[str, Look] | None] = ContextVar("being captured", default=None)


def begin_again(why: Exception) -> None:
    """Before a function that is being captured runs once more: what it has changed of what it reads is put back.

    Raises
    ------
    TypeError
        If it reads an iterator, of which the first run may have used up a part.
    """
    found = _being_captured.get()
    if found is None:
        return
    name, look = found
    _refuse_iterators(name, look, why)
    if look.changes or threading.active_count() == 1:  # or else another thread has made the change
        for i in reversed(look.changed()):
            look.places[i].restore()


def tell(trace: Watched) -> None:
    """Tell a trace whether the function may change what it reads, so that another run differs, and name its lists."""
    found = _being_captured.get()
    if found is not None:
        look = found[1]
        trace.may_change = bool(look.changes or look.rebound) or any(read.kind == ITERATOR for read in look.reads)
        trace.outside = frozenset([*look.lists, *[id(place.where) for place in look.places]])


def _refuse_iterators(name: str, look: Look, why: Exception) -> None:
    found = next((read.name for read in look.reads if read.kind == ITERATOR), None)
    if found is not None:
        raise TypeError(
            f"{name} reads {found}, which it may use up, and must be traced once more ({why}): there it "
            "would find less. Make it a list before, or pass its numbers as an argument"
        ) from why


def _counts(before: Any, now: Any) -> bool:
    """Whether a number became another one, as that of a counter does."""
    return type(before) in (int, float) and type(now) in (int, float) and not same(before, now)


def _state_of(generator: Any) -> Any:
    """The state of a generator of random numbers, for comparison."""
    if isinstance(generator, random.Random):
        return generator.getstate()
    if type(generator).__name__ == "RandomState":
        return pickle.dumps(generator.get_state(legacy=False))
    return pickle.dumps(getattr(generator, "bit_generator", generator).state)


def portable(tokens: Sequence[Any]) -> list[Any] | None:
    """The tokens for another process; None if some of them identify things in this process only."""
    found = []
    for token in tokens:
        if isinstance(token, CodeType):
            token = _code(token)
        elif isinstance(token, Same):
            name = getattr(token.thing, "__qualname__", None) or getattr(token.thing, "__name__", None)
            if not isinstance(token.thing, (type, ModuleType, BuiltinFunctionType)):
                return None
            token = (getattr(token.thing, "__module__", None), name)
        elif isinstance(token, AllSame):
            return None
        found.append(token)
    return found


def _code(code: CodeType) -> tuple[Any, ...]:
    constants = tuple([_code(x) if isinstance(x, CodeType) else repr(x) for x in code.co_consts])
    return code.co_name, code.co_code, code.co_names, code.co_freevars, constants


class Outsides:
    """What one compiled function reads, for each signature: methods of the arguments' classes may read more."""

    def __init__(self, function: Any, name: str) -> None:
        self.function, self.name = function, name
        self.lock = locks.Lock()
        self.by_structure: dict[Hashable, Outside] = {}
        self.by_roots: dict[tuple[int, ...], Outside] = {}

    def of(self, structure: Hashable) -> Outside:
        """What it reads when called with arguments of this signature."""
        found = self.by_structure.get(structure)
        if found is None:
            with self.lock:
                roots = [self.function, *_things(structure)]
                found = self.by_roots.setdefault(tuple(map(id, roots)), Outside(roots, self.name))
                self.by_structure[structure] = found
        return found

    def states(self) -> list[State]:
        """All states in which something was compiled."""
        return [state for around in list(self.by_roots.values()) for state in around.states]

    def present(self) -> list[State]:
        """The states in which what it reads is now."""
        return [around.state() for around in list(self.by_roots.values())]

    def is_elsewhere(self) -> bool:
        """Whether it came in a pickle, and what it reads is not here as it was there."""
        arounds = [one for one in list(self.by_roots.values()) if any(state.tokens is not None for state in one.states)]
        return any(around.state().tokens is None for around in arounds)

    def reads(self) -> list[Read]:
        """Everything that it reads now."""
        arounds = list(self.by_roots.values()) or [Outside([self.function], self.name)]
        return list(dict.fromkeys(read for around in arounds for read in around.look().reads))


def steadily(attempt: Callable[[], Result]) -> Result:
    """The result of an attempt, repeated if something changed what the function reads."""
    for _ in range(TRIES - 1):
        with suppress(ChangedMeanwhileError):
            return attempt()
    return attempt()


def _things(structure: Hashable) -> list[Any]:
    """The classes and settings in a signature: everything but texts and numbers."""
    found: dict[int, Any] = {}
    stack: list[Any] = [structure]
    while stack:
        at = stack.pop()
        if isinstance(at, (tuple, frozenset)):
            stack.extend(at)
        elif isinstance(at, (Same, Exact)):
            stack.append(at.thing)
        elif type(at) not in (*TEXTS, float) and not any(at is base for base in (list, tuple, dict, type(None))):
            found[id(at)] = at
    return list(found.values())
