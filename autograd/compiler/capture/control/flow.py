"""What rewritten functions call while they are captured: branches and loops that become part of the program.

On plain numbers all of this does what Python does. Where a condition is a number of the program, both sides of a branch
are captured, each under its condition, and a selection of their results follows. A loop is captured once. What a side
compares besides is supposed to come out as it does now; the program is valid only where it does, or where the side is
not taken. Whatever cannot be captured so is left to Python, in which a condition is a guard.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from autograd.compiler.capture.control import gathered
from autograd.compiler.capture.control.branching import Branching
from autograd.compiler.capture.control.choice import Choice, is_among, is_the
from autograd.compiler.capture.control.journal import append, assign, attribute, element, extend, instance, new_list
from autograd.compiler.capture.control.kinds import as_index, asked, asks, best_of, refuse_mixed
from autograd.compiler.capture.control.looping import Looping
from autograd.compiler.capture.control.made import MOST_MADE, note_made, refuse_begun
from autograd.compiler.capture.control.merging import NOTHING, UNBOUND, is_number, is_truth
from autograd.compiler.capture.control.optional import is_none
from autograd.compiler.capture.control.printed import (
    Text,
    is_shown_plainly,
    number_of_now,
    tell_of_print,
    text_of,
    text_of_now,
)
from autograd.compiler.capture.control.pure import Checked, impure, refuse_operators
from autograd.compiler.capture.control.sides import Refused, present, refuse_long, sides_open
from autograd.compiler.capture.control.sites import SINGLE_CALL
from autograd.compiler.capture.control.tables import bisected, taken
from autograd.compiler.capture.control.whole import Whole, to_int
from autograd.compiler.capture.tracer import IN_PLACE_OF_THE_USER, Traced
from autograd.compiler.source.functions import codes, new_code, unreadable, with_code
from autograd.modes import caller
from autograd.native import extension, fast
from autograd.value import Value

HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: the class was made by a class statement
GROWS = {"append": append, "extend": extend}  # methods of lists


def followed(function: Any) -> Any:
    """A function as it is to be called in a capture: rewritten, if it is one in Python that can be."""
    trace = present()
    if trace is None:
        return function
    kind = type(function)  # what calls itself a function has its own way of being called
    if kind is FunctionType:
        found = new_code(function)
        if found is None and (site := unreadable(function)) is not None:
            trace.root().flow[site] = site.refused
        return function if found is None else with_code(function, found, Flow(found))
    if kind is MethodType and type(function.__func__) is FunctionType:
        inner = followed(function.__func__)
        return function if inner is function.__func__ else MethodType(inner, function.__self__)
    if kind is partial:
        inner = followed(function.func)
        return function if inner is function.func else partial(inner, *function.args, **function.keywords)
    return function


def _element(thing: Any, key: Any) -> Any:
    """``thing[key]``."""
    return thing[key]


IN_PLACE_OF_THE_USER.add(_element.__code__)


class Flow(Branching, Looping):
    """What the code of one function calls."""

    __slots__ = ()
    nothing = NOTHING

    # ---- names, attributes, elements, calls ----------------------------------------------------------------------

    @staticmethod
    def value(read: Callable[[], Any]) -> Any:
        """The value of a name that may be unbound."""
        try:
            return read()
        except NameError:
            return UNBOUND

    @staticmethod
    def is_unbound(value: Any) -> bool:
        """Whether a name has no value."""
        return value is UNBOUND

    @staticmethod
    def is_none(thing: Any) -> Any:
        """``thing is None``."""
        return is_the(thing, None) if type(thing) is Choice else is_none(thing)

    @staticmethod
    def is_the(thing: Any, other: Any) -> Any:
        """``thing is other``, where the thing may be one text or another."""
        return is_the(Flow.identified(thing), Flow.identified(other))

    @staticmethod
    def is_among(thing: Any, texts: Any) -> Any:
        """``thing in texts``."""
        return is_among(thing, texts)

    @staticmethod
    def appended(thing: Any, value: Any, asked: str) -> Any:
        """``thing.append(value)``, for a list of which only this is ever asked."""
        return gathered.appended(thing, value, asked)

    @staticmethod
    def gathered(thing: Any, asked: str, function: Any = None) -> Any:
        """What is asked of such a list, by a function or by an index."""
        if type(thing) is gathered.Gathered:
            return gathered.answer(thing, asked, function)
        if asked == "filled":
            return thing
        return gathered.OF_LISTS[asked](thing) if function is None else Flow.called(function)(thing)

    @staticmethod
    def identified(thing: Any) -> Any:
        """In a side, a number must not be told from an equal one: its tracers are others than Python's numbers."""
        if sides_open() and (is_number(thing) or is_truth(thing)):
            raise Refused("it compares a number by identity")
        return thing

    @staticmethod
    @fast
    def immutable(value: Any) -> None:
        """In a side, ``x += y`` may not change the thing itself."""
        if sides_open() and not (is_number(value) or is_truth(value) or type(value) in (tuple, str, complex)):
            raise Refused(f"it changes a {type(value).__name__} in place")

    @staticmethod
    @fast
    def made(thing: Any) -> Any:
        """A list, a dict or a generator that the code has made."""
        trace = present()
        return thing if trace is None else note_made(trace.root(), thing)

    @staticmethod
    @fast
    def set_attribute(value: Any, thing: Any, name: str) -> None:
        """``thing.name = value``; in a side it is noted."""
        trace = present()
        if trace is None or trace.root().journal is None:
            setattr(thing, name, value)
        else:
            assign(trace.root(), attribute(thing, name), value)

    @staticmethod
    def set_text(make: Callable[..., Any], shown: tuple[Any, ...], thing: Any, name: str) -> None:
        """``thing.name = make(None, *shown)``: a text that may be left unread."""
        trace = present()
        if trace is None or not all(map(is_shown_plainly, shown)):
            return Flow.set_attribute(make(None, *shown), thing, name)
        root = trace.root()
        try:
            place = attribute(thing, name)
        except Refused:  # to assign it runs code
            return Flow.set_attribute(make(None, *shown), thing, name)
        return assign(root, place, root.texts.made(make, shown, number_of_now, name))

    @staticmethod
    @fast
    def set_element(value: Any, thing: Any, key: Any) -> None:
        """``thing[key] = value``; in a side it is noted."""
        key = as_index(key)
        trace = present()
        if trace is None or trace.root().journal is None:
            thing[key] = value
        else:
            assign(trace.root(), element(thing, key), value)

    @staticmethod
    @fast
    def owner(thing: Any, name: str) -> Any:
        """In a side, to read an attribute must not run code."""
        if sides_open() and not isinstance(thing, (ModuleType, Value, float, int)):
            kind = type(thing)
            found = next((vars(c)[name] for c in kind.__mro__ if name in vars(c)), None)
            if found is None and name not in getattr(thing, "__dict__", ()) and not isinstance(thing, type):
                raise Refused(f"it reads the attribute {name} of a {kind.__name__}")
            if isinstance(found, property) or hasattr(type(found), "attrname"):
                raise Refused(f"it reads the property {name} of a {kind.__name__}")
            refuse_operators([getattr(thing, "__dict__", {}).get(name)])
        return thing

    @staticmethod
    @fast
    def container(thing: Any) -> Any:
        """In a side, to read an element must not run code."""
        if sides_open() and type(thing) not in (list, tuple, dict, str, bytes, range, np.ndarray):
            raise Refused(f"it reads an element of a {type(thing).__name__}")
        return thing

    @staticmethod
    @fast
    def item(thing: Any, *keys: Any) -> Any:
        """``thing[key]``, or ``thing[key][other]``."""
        for k, key in enumerate(keys):
            if any(type(x) is Whole for x in keys[k:]) and (found := taken(thing, keys[k:])) is not None:
                return found
            thing = _element(Flow.container(thing), as_index(key) if isinstance(thing, (dict, np.ndarray)) else key)
        return thing

    @staticmethod
    @fast
    def iterated(thing: Any) -> Any:
        """In a side, a loop must not use up anything."""
        if sides_open() and type(thing) not in ITERATED:
            raise Refused(f"it goes through a {type(thing).__name__}")
        refuse_begun(thing)
        return thing

    @staticmethod
    @fast
    def drawn(thing: Any) -> Any:
        """The same for what takes all elements of a thing in another way."""
        refuse_begun(thing)
        return thing

    @staticmethod
    def shown(thing: Any) -> Any:
        """What a text shows: an int that is a number of the program would look like a float."""
        trace = present()
        if trace is not None and trace.root().whole_numbers:
            for x in thing if type(thing) is tuple else (thing,):
                if isinstance(x, Traced):
                    refuse_mixed(x)
        return thing

    @staticmethod
    def error(make: Callable[[], Any]) -> Any:
        """An error whose message shows something: in a side no code reads it, as no handler there names it."""
        trace = present()
        if trace is None or not sides_open():
            return make()
        with trace.root().texts.left_unread():
            return make()

    @staticmethod
    def text(make: Callable[..., str], *shown: Any) -> Text:
        """An f-string that is printed, with what it shows."""
        return Text(make, shown)

    @staticmethod
    def printed(function: Any, *things: Any, **options: Any) -> Any:
        """``print(…)``: it shows the numbers of now, and holds for others too if only people read what is printed."""
        trace = present()
        if (
            function is not print
            or trace is None
            or trace.root().sides
            or not trace.root().texts.goes_to_people(options.get("file"))
            or not all(map(is_shown_plainly, things))
        ):
            return Flow.called(function)(*map(text_of, things), **options)
        if trace.root().repeating:
            return None
        trace.root().prints()
        with trace.root().texts.left_unread() as made:
            print(*map(text_of_now, things), **options)
            if made.shown:
                tell_of_print(caller())
        return None

    @staticmethod
    @fast
    def called(function: Any) -> Any:
        """A function as it is to be called."""
        trace = present()
        if trace is None:
            return function
        if function is min or function is max:
            return partial(_best, function)
        if function is int:
            return to_int
        if function is list:
            return new_list
        if function is bisect_right or function is bisect_left:
            return partial(bisected, function)
        if type(function) is type and function.__flags__ & HEAP_TYPE and not trace.root().sides:
            return partial(instance, followed, function)
        if trace.root().sides:
            refuse_long(trace)
            if type(function) is BuiltinFunctionType and type(function.__self__) is list and function.__name__ in GROWS:
                return partial(GROWS[function.__name__], function.__self__)
            if (why := impure(function, assigns=True)) is not None:
                raise Refused(why)
        if function is isinstance or function is type or (trace.root().whole_numbers and asks(function)):
            return partial(asked, function)
        new = followed(function)
        if trace.root().sides and new is function:
            return Checked(function, followed)
        return new


ITERATED: tuple[Any, ...] = (
    list, tuple, dict, str, range, zip, enumerate, reversed, map, type({}.keys()), type({}.values()), type({}.items()),
    np.ndarray,
)  # fmt: skip  # a list


def _best(function: Any, *things: Any, **options: Any) -> Any:
    """`max` or `min`; of numbers of the program, it is a choice and no guard."""
    numbers = things[0] if len(things) == 1 and type(things[0]) in (list, tuple) else things
    if (
        options
        or len(numbers) < 2
        or not all(map(is_number, numbers))
        or not any(isinstance(x, Value) for x in numbers)
    ):
        return (Checked(function, followed) if sides_open() else function)(*things, **options)
    return best_of(function, numbers)


if extension is not None:
    extension.flow(Flow, partial, min, max, bisect_left, bisect_right, isinstance, codes, SINGLE_CALL, MOST_MADE)
