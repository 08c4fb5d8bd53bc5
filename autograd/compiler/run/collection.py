"""Less garbage collection while a function is captured and compiled: almost all objects made then are in use."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 50_000  # objects made between two collections during a capture

_uncollected: list[int] = []  # threads that have turned garbage collection off and will turn it on again
_capturing: list[int] = []  # threads that have made it rare
_usual = gc.get_threshold()


@contextmanager
def uncollected() -> Iterator[None]:
    """Turn garbage collection off: it would visit millions of instructions that are all in use."""
    thread = threading.get_ident()
    collecting = gc.isenabled()
    if collecting:
        _uncollected.append(thread)
        gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()  # first: a child forked between these two lines only turns it on twice
            _uncollected.remove(thread)


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Let garbage be collected rarely, but not never: code of the user runs, which may make much garbage."""
    global _usual
    thread = threading.get_ident()
    thresholds = gc.get_threshold()
    if 0 < thresholds[0] < SELDOM:
        _usual = thresholds
        gc.set_threshold(SELDOM, *thresholds[1:])
    _capturing.append(thread)
    try:
        yield
    finally:
        _capturing.remove(thread)
        if not _capturing:
            _collect_as_usual()


def _collect_as_usual() -> None:
    if gc.get_threshold()[0] == SELDOM:  # else the user has changed it
        gc.set_threshold(*_usual)


def _after_fork() -> None:
    """In a child process, undo what threads did that no longer exist."""
    for threads, undo in ((_uncollected, gc.enable), (_capturing, _collect_as_usual)):
        own = [thread for thread in threads if thread == threading.get_ident()]
        if threads and not own:
            undo()
        threads[:] = own


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork)
