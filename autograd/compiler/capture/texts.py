"""Texts with numbers in them that nobody reads, such as the message that a package keeps beside an error flag.

A text holds for the numbers in it only, so usually it is a guard. ``thing.name = f"{x}"`` is none if no code that runs
from there on reads an attribute of that name, and if the text is gone when the capture ends.
"""

from __future__ import annotations

import dis
import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from operator import attrgetter
from types import CodeType, FrameType
from typing import Any

from autograd.compiler.source.mentions import LIBRARY, is_package_file
from autograd.modes import PACKAGES
from autograd.native import extension
from autograd.sources import instructions

# What may read an attribute that the code does not name.
READERS = frozenset(
    [
        *("__dict__", "__getattribute__", "__getstate__", "__reduce_ex__", "asdict", "astuple", "attrgetter", "copy"),
        *("deepcopy", "eval", "exec", "getattr", "gc", "methodcaller", "pickle", "vars"),
    ]
)
LOADING = frozenset([opcode for opcode in dis.hasname if "LOAD" in dis.opname[opcode]])
IMPORTING = "<frozen importlib."
RUN = "autograd.compiler.run"  # what captures
HELD = 3  # references to a text that only this module has: of the list, of a variable and of the question itself


class Texts:
    """The texts of one capture, and the watch over the code that runs after the first of them was assigned."""

    def __init__(self) -> None:
        self.allowed = True  # whether texts may be left unread
        self.showing = False  # whether a text is being made now that is to be left unread
        self.shown = False  # whether a number of the program is in it
        self.names: set[str] = set()
        self.texts: list[str] = []
        self.harmless: dict[int, CodeType] = {}  # code that reads none of these, by id: to hash code takes long
        self.streams = sys.stdout, sys.stderr  # where what is printed goes to people
        self.read = False  # whether one of the attributes may have been read

    def made(self, make: Callable[..., str], things: Sequence[Any], now: Callable[[Any], Any], name: str) -> str:
        """The text, ``make(None, *things)``, that is assigned to an attribute of this name.

        If no one may read it, it has the numbers that `now` gives of things.
        """
        if not self.allowed or (not self.names and sys.getprofile() is not None):
            return make(None, *things)
        with self.left_unread():
            text, shown = make(None, *map(now, things)), self.shown
        if shown:
            self.texts.append(text)
            if name not in self.names:
                self.names.add(name)
                self._watch()
        return text

    def goes_to_people(self, file: Any) -> bool:
        """Whether no code reads what is printed to a file (None for the usual one), as far as one sees."""
        return (sys.stdout if file is None else file) in self.streams

    @contextmanager
    def left_unread(self) -> Iterator[Texts]:
        """No code reads the texts made in the `with` block; `shown` tells there whether numbers are in them."""
        before = self.showing, self.shown
        self.showing, self.shown = True, False
        try:
            yield self
        finally:
            self.showing, self.shown = before

    def is_unread(self, name: str, one: Any, other: Any) -> bool:
        """Whether nothing depends on which of two texts an attribute has."""
        return name in self.names and all(x is None or type(x) is str for x in (one, other))

    def _watch(self) -> None:
        """Look at all code that runs from now on, beginning with the functions that are running."""
        self.harmless.clear()
        frames: list[FrameType] = []
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            frames.append(frame)
            frame = frame.f_back
        ends = [k for k, one in enumerate(frames) if _captures(one)]
        for one in frames[: max(ends, default=len(frames))]:  # those that the capture has begun
            self._look(one)
        if extension is None:
            sys.setprofile(self._event)
        else:  # the same, but it does not come to Python for code that is harmless
            extension.watch_calls(self.harmless, self._event, getattr, vars)

    def _event(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            if id(frame.f_code) not in self.harmless:
                self._look(frame)
        elif event == "c_call" and argument in (getattr, vars) and not _is_ours(frame):
            self.read = True

    def _look(self, frame: FrameType) -> None:
        code = frame.f_code
        if any(type(frame.f_globals.get(name)) is attrgetter for name in code.co_names):
            self.read = True  # no profiler sees that it is called
        elif code.co_filename.startswith(PACKAGES) or (self.names | READERS).isdisjoint(reads(code)):
            self.harmless[id(code)] = code
        elif not _is_ours(frame):
            self.read = True

    def __enter__(self) -> None:
        """The capture begins."""

    def __exit__(self, *error: object) -> None:
        """The capture ends."""
        if self.names:
            sys.setprofile(None)

    def may_be_read(self) -> bool:
        """After the capture: whether a text may have been read, or something has it that may read it yet."""
        return self.read or any(sys.getrefcount(text) > HELD for text in self.texts) or self._is_named_by_a_getter()

    def _is_named_by_a_getter(self) -> bool:
        """Whether there is an ``operator.attrgetter`` of one of these attributes somewhere."""
        getters = [x for x in gc.get_objects() if type(x) is attrgetter] if self.names else []
        return any(not self.names.isdisjoint(name.split(".")) for x in getters for name in x.__reduce__()[1])


def _is_ours(frame: FrameType | None) -> bool:
    """Whether code of these packages runs, or what it has called in the standard library, or an import."""
    if frame is not None and frame.f_code.co_filename.startswith(PACKAGES):
        return True
    at = frame
    while at is not None and not _captures(at):
        if at.f_code.co_filename.startswith(IMPORTING):
            frame = at.f_back
        at = at.f_back
    while frame is not None and _is_library(frame):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(PACKAGES)


def _captures(frame: FrameType) -> bool:
    """Whether this is where a capture may have begun."""
    return str(frame.f_globals.get("__name__", "")).startswith(RUN)


def _is_library(frame: FrameType) -> bool:
    """Whether code of the standard library runs that is not adopted."""
    where = frame.f_code.co_filename
    module = sys.modules.get(frame.f_globals.get("__name__", ""))
    own = module is not None and vars(module) is frame.f_globals
    return own and where.startswith(LIBRARY) and not is_package_file(where)


@lru_cache(maxsize=4096)
def reads(code: CodeType) -> frozenset[str]:
    """The names that a function reads, of attributes and others, and those of functions inside it."""
    found = {str(i.argval) for i in instructions(code) if i.opcode in LOADING}
    if any(i.opname == "MATCH_CLASS" for i in instructions(code)):
        found.add("vars")
    inner = [reads(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return frozenset(found).union(*inner)
