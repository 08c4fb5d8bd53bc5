"""Questions that tell an int from a float, or a bool from a number, where a number of the program stands for it."""

from __future__ import annotations

from typing import Any

from autograd.compiler.capture.control.merging import is_inexact, is_mixed, is_whole
from autograd.compiler.capture.control.plain import Plain, chosen
from autograd.compiler.capture.control.rounded import Rounded, as_rounded
from autograd.compiler.capture.control.sides import Refused, is_predicate
from autograd.compiler.capture.control.whole import Whole, bounds_of
from autograd.compiler.capture.tracer import Traced
from autograd.rules import where
from autograd.value import Value

TRACERS = (Traced, Rounded)  # they stand for Values


def asks(function: Any) -> bool:
    """Whether a function tells an int from a float."""
    texts = getattr(function, "__name__", None) == "format" and isinstance(getattr(function, "__self__", None), str)
    return texts or any(function is one for one in (str, repr, format, hash, dict.get))


def refuse_mixed(thing: Any) -> bool:
    """Whether eager code has an int where a tracer is; raises if it may have an int or a float."""
    if isinstance(thing, Traced) and type(thing) is not Whole and (is_whole(thing) or is_mixed(thing)):
        thing.builder.root().spoiled = True  # whoever catches the exception
        raise Refused("it asks whether a number is an int, which differs from path to path")
    return type(thing) is Whole


def asked(function: Any, *things: Any, **options: Any) -> Any:
    """`isinstance`, `type` or a text where a number of the program may stand for an int or a float."""
    if function is isinstance or function is type:
        if function is type and len(things) == 1 and type(things[0]) in TRACERS:
            return Value
        return function(*map(_of_same_kind, things))
    given = [int(x) if isinstance(x, Traced) and refuse_mixed(x) else x for x in things]
    return function(*given, **{name: int(x) if refuse_mixed(x) else x for name, x in options.items()})


def _of_same_kind(thing: Any) -> Any:
    """A thing; in place of a number of the program that stands for an int or a float, some int or float."""
    if not isinstance(thing, Traced):
        return thing
    if refuse_mixed(thing):
        return 0
    if isinstance(thing, Plain):
        if not thing.sure:
            thing.builder.root().spoiled = True
            raise Refused("it asks whether a number is a Value, which differs from path to path")
        return 0.0
    return thing


def as_index(key: Any) -> Any:
    """An index or a key: an int is an int there, and a comparison is a bool, which an array tells from a number."""
    if type(key) is tuple:
        return tuple(map(as_index, key))
    if type(key) is Rounded or (isinstance(key, Traced) and is_whole(key)):
        return int(key)
    return bool(key) if is_predicate(key) else key


def best_of(function: Any, numbers: Any) -> Any:
    """`max` or `min` of numbers of the program, as a choice: of ints an int."""
    if any(map(is_inexact, numbers)):
        return function(numbers)
    best, rounded = numbers[0], all(isinstance(x, (int, Rounded)) for x in numbers)
    for x in numbers[1:]:
        ints = bounds_of(best), bounds_of(x)
        pair = best, x
        if not any(isinstance(one, Value) or is_predicate(one) for one in pair):
            best = function(pair)
            continue
        best = where(x > best if function is max else x < best, x, best)
        if isinstance(best, Traced) and None not in ints:
            best = Whole.at(best.builder, best.index, (min(b[0] for b in ints if b), max(b[1] for b in ints if b)))
        elif isinstance(best, Traced) and not rounded:
            best = chosen(best, *pair)
            if any(ints) or any(map(is_mixed, pair)):
                best.builder.mix(best.index)
    return as_rounded(best) if rounded else best
