"""What the rows of a map and the steps of a loop use up: a row that is captured once must not take from it.

In Python each row or step takes the next element of an iterator, or pops one of a list. So these run one by one.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from functools import partial
from io import IOBase
from types import FunctionType, MethodType, NoneType
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd.compiler.capture.counters import Counters, Reached, changed, is_read
from autograd.compiler.capture.watched import DifferentRunError, InTurnError, Reason, UnrollError, Watched
from autograd.compiler.source.mentions import is_foreign_module, mentions
from autograd.compiler.watch import closure_of, own_attributes, static
from autograd.ir.block import CALL
from autograd.value import Value

if TYPE_CHECKING:
    from autograd.compiler.capture.trace import Trace

MOST_REACHED = 1000  # things that are looked at
WIDEST = 64  # elements of a container whose elements are looked at
SHRINKING: tuple[Any, ...] = (list, OrderedDict, dict, set, deque, bytearray)
KEYED = (OrderedDict, dict)
GROWING = (list, deque, bytearray)  # a set or a dict is mostly a table: the next row finds what the first has added
NEVER: frozenset[type] = frozenset([float, int, str, Value, NoneType])  # things with nothing to use up
FAKES = "unittest.mock"
MOST_IN_TURN = 16  # maps and loops that begin the capture again; after that many, all run in turn


def _inside(thing: Any) -> list[Any]:
    """What a thing refers to that a call of it may use."""
    kind: Any = type(thing)
    if kind is FunctionType:
        names = [thing.__globals__[name] for name in mentions(thing.__code__).names if name in thing.__globals__]
        return [*closure_of(thing), *(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values(), *names]
    if kind is MethodType:
        return [thing.__self__, thing.__func__]
    if kind is partial:
        return [thing.func, *thing.args, *thing.keywords.values()]
    if kind in (list, tuple, dict):
        return [] if len(thing) > WIDEST else list(thing.values() if kind is dict else thing)
    return []


def _attributes(thing: Any, names: set[str]) -> list[Any]:
    """The attributes of an instance that code with these names may use, methods among them."""
    own, bases = own_attributes(thing), type(thing).__mro__
    found = [own[name] for name in names if name in own]
    methods = [vars(base)[name] for base in bases for name in names if name in vars(base)]
    return found + [x.fget if type(x) is property else x for x in methods]


def _iterates(thing: Any) -> bool:
    """Whether it is an iterator. Proxies and mocks have the methods of all types; files may be written to."""
    kind = type(thing)
    if not static(kind, "__next__") or not static(kind, "__iter__") or kind in weakref.ProxyTypes:
        return False
    return IOBase not in kind.__mro__ and all(base.__module__ != FAKES for base in kind.__mro__)


def _shrinking(thing: Any) -> Any:
    """The class of containers that a thing belongs to, if any."""
    bases = type(thing).__mro__
    return next((base for base in SHRINKING if base in bases), None)


def _contents(base: Any, thing: Any) -> list[Any]:
    return list(base.items(thing) if base in KEYED else base.__iter__(thing))


def _reached(functions: tuple[Any, ...]) -> tuple[list[Any], list[Any], set[str]]:
    """The iterators and containers that functions may use, all other things, and names of attributes.

    As far as is easily seen.
    """
    waiting, seen, found, others = list(functions), set[int](), list[Any](), list[Any]()
    names, instances = {"__call__"}, list[Any]()
    while waiting and len(seen) < MOST_REACHED:
        thing = waiting.pop()
        bases = type(thing).__mro__
        if id(thing) not in seen and NEVER.isdisjoint(bases):
            if _shrinking(thing) is not None or _iterates(thing):
                found.append(thing)
            elif type(thing) is FunctionType:
                others.append(thing)
                names.update(thing.__code__.co_names, mentions(thing.__code__).attributes)
            elif type not in bases and not is_foreign_module(str(type(thing).__module__)):
                instances.append(thing)
            elif type(thing) is np.ndarray:
                others.append(thing)
            waiting += _inside(thing)
        seen.add(id(thing))
        if not waiting:
            waiting = [x for one in instances for x in _attributes(one, names) if id(x) not in seen]
    return found, [*others, *instances], names


@contextmanager
def unspent(trace: Watched, *functions: Callable[..., Any]) -> Iterator[None]:
    """Around the capture of one row or step of these functions.

    Raises
    ------
    UnrollError
        If they may use an iterator from before, have taken elements from a container, or have added some to a list of
        this call. Containers then are as before.
    """
    around, others, names = _reached(functions)
    # An `array.flat` is mostly indexed: `repeats` finds rows that go on with it.
    iterators = [thing for thing in around if _shrinking(thing) is None and np.flatiter not in type(thing).__mro__]
    if iterators:
        raise UnrollError(Reason("spent", f"a {type(iterators[0]).__name__}, with which each goes on"))
    before = [(base, thing, _contents(base, thing)) for thing in around if (base := _shrinking(thing)) is not None]
    root = trace.root()
    containers, root.around = root.around, [*root.around, *before]
    reached, root.reached = root.reached, [*root.reached, Reached([*around, *others], names, root.loops)]
    try:
        yield
        _refuse_changed(before, root.outside)
    except (UnrollError, DifferentRunError):
        try:
            _refuse_changed(before, root.outside)
        finally:
            for one in before:
                _restore(*one)
        raise
    finally:
        root.around, root.reached = containers, reached


@contextmanager
def as_now(trace: Watched) -> Iterator[None]:
    """After the `with` block, which is for a second run, the containers around are as before it."""
    now = [(base, thing, _contents(base, thing)) for base, thing, _ in trace.root().around]
    try:
        yield
    finally:
        for one in now:
            _restore(*one)


def counted(trace: Watched) -> Counters:
    """The plain numbers that the rows or steps around may change, as they are now."""
    return {at: pair for one in trace.root().reached for at, pair in one.numbers().items()}


def refuse_counters(trace: Watched, before: Counters) -> bool:
    """Whether a row or a step has counted nothing from outside that it reads.

    Raises
    ------
    UnrollError
        If it has counted something of this call: then each must do so.
    """
    root = trace.root()
    counters = changed(before, counted(trace))
    functions = [x for one in root.reached for x in one.things if type(x) is FunctionType]
    batch = trace.body_of is not None and trace.body_of.extent == CALL  # nothing there is of the call
    for counter in counters:
        if not batch and id(counter.owner) not in root.outside:
            raise UnrollError(Reason("spent", f"{counter.told}, which each changes"))
    return not any(is_read(counter, functions) for counter in counters)


@contextmanager
def captured_once(trace: Trace, *functions: Callable[..., Any]) -> Iterator[None]:
    """As `unspent`, for a map or loop whose rows or steps run in turn if one cannot stand for all.

    Raises
    ------
    UnrollError
        If it cannot be a loop of the program, and its functions have not run or change nothing that they read.
    InTurnError
        If they have run, and may have changed something: then the capture begins again.
    """
    root, began = trace.root(), False
    root.loops += 1
    number = root.loops
    if number in root.in_turn or len(root.in_turn) == MOST_IN_TURN:
        raise UnrollError(root.in_turn.get(number) or [*root.in_turn.values()][-1])
    try:
        with unspent(trace, *functions):
            began = True
            yield
    except UnrollError as error:
        if began and root.may_change:
            raise InTurnError(number, error.reason) from error
        raise


def _refuse_changed(before: list[tuple[Any, Any, list[Any]]], outside: Container[int]) -> None:
    for base, thing, contents in before:
        if base.__len__(thing) < len(contents):
            raise UnrollError(Reason("spent", f"a {type(thing).__name__}, from which each takes elements"))
        if base in GROWING and base.__len__(thing) > len(contents) and id(thing) not in outside:
            raise UnrollError(Reason("spent", f"a {type(thing).__name__}, to which each adds elements"))


def _restore(base: Any, thing: Any, contents: list[Any]) -> None:
    """Put a container back; one whose elements or keys have not changed is left alone."""
    was = [key for key, _ in contents] if base in KEYED else contents
    now = list(base.__iter__(thing))
    if len(now) != len(was) or any(one is not other for one, other in zip(now, was)):
        base.clear(thing)
        (base.update if base in KEYED or base is set else base.extend)(thing, contents)
