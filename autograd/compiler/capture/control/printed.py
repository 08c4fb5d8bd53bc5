"""Texts with numbers of the program that are left unread: what is printed, or kept beside an error flag."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from autograd.compiler.capture.control.rounded import Rounded
from autograd.compiler.capture.control.whole import Whole
from autograd.compiler.capture.tracer import Traced
from autograd.compiler.notices import notice

SHOWN = (float, int, bool, str, type(None))  # besides numbers of the program, in a text that may be left unread
CONTAINERS = (list, tuple, dict, set, frozenset)


class Text(NamedTuple):
    """An f-string that is to be printed: what makes it, and what it shows."""

    make: Callable[..., str]
    shown: tuple[Any, ...]


def is_shown_plainly(thing: Any) -> bool:
    """Whether no code of the user's runs when a text shows this thing."""
    if type(thing) in CONTAINERS:
        return all(map(is_shown_plainly, thing.items() if type(thing) is dict else thing))
    if type(thing) is Text:
        return all(map(is_shown_plainly, thing.shown))
    if type(thing) is np.ndarray:
        return is_shown_plainly(thing.tolist())
    return isinstance(thing, Traced) or type(thing) in SHOWN


def text_of(thing: Any) -> Any:
    """What is printed."""
    return thing.make(None, *thing.shown) if type(thing) is Text else thing


def text_of_now(thing: Any) -> Any:
    """The same where no code reads it: a text shows the numbers of now, of which it tells that it has them."""
    return thing.make(None, *map(number_of_now, thing.shown)) if type(thing) is Text else thing


def number_of_now(thing: Any) -> Any:
    """The number of now, in a text that is left unread."""
    if not isinstance(thing, Traced):
        return thing
    trace = thing.builder
    trace.check_in_use()
    trace.root().texts.shown = True
    number = trace.value(thing.index)
    whole = type(thing) in (Whole, Rounded) or trace.is_count(thing.index)
    return int(number) if whole and isfinite(number) else float(number)


@cache
def tell_of_print(line: str) -> None:
    """Tell once that a line prints no more than once."""
    notice(f"print() at {line} runs while the function is traced, and not at every call: print results instead")
