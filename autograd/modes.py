"""Modes: switches for what the engine does besides computing, such as recording and looking for anomalies.

The mode belongs to the current context, so threads and asynchronous tasks do not affect each other.
"""

from __future__ import annotations

import linecache
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from autograd.recorder import Recorder

if TYPE_CHECKING:
    from contextlib import _GeneratorContextManager  # the only type that is a decorator too

PACKAGES = tuple(str(Path(__file__).parent.parent / name) for name in ("autograd", "nn"))


class Decision(NamedTuple):
    """A comparison of nodes, or the truth of a node: the operands, the outcome and the line."""

    operands: tuple[Any, ...]
    outcome: bool
    line: str


@dataclass(frozen=True, slots=True)
class Mode:
    """The current switches; in plain use the context variable is None, which means these defaults."""

    recording: bool = True
    anomaly: bool = False
    sources: bool = False
    made: set[Any] | None = None  # collects the nodes that are made
    recorder: Recorder | None = None  # records in place of the graph: the compiler, while it captures a program
    decisions: list[Decision] | None = None  # collects the comparisons


active_mode: ContextVar[Mode | None] = ContextVar("autograd_mode", default=None)
active_mode.set(None)  # every new node reads it: the interpreter caches a value that was set, but not a default
current_mode = active_mode.get
inside_transform: ContextVar[bool] = ContextVar("autograd_inside_a_transform", default=False)
PLAIN = Mode()
captures: list[tuple[int, Recorder]] = []  # of all threads; while it is empty, new nodes need not call `note_made`


def _forget_other_threads() -> None:
    """In a child process only the thread that forked lives on: drop the captures of the others."""
    captures[:] = [(thread, recorder) for thread, recorder in captures if thread == threading.get_ident()]


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget_other_threads)


@contextmanager
def mode(**switches: Any) -> Iterator[None]:
    """Change some switches inside a `with` block."""
    before = active_mode.get() or PLAIN
    # Not by items(): where there is no memory for its iterator, CPython 3.11 crashes.
    same = all(getattr(before, name) is switches[name] for name in switches)  # most often
    changed = before if same else replace(before, **switches)
    token = active_mode.set(None if changed is PLAIN or changed == PLAIN else changed)
    try:
        yield
    finally:
        active_mode.reset(token)


@contextmanager
def recording_with(recorder: Recorder) -> Iterator[None]:
    """Let a recorder take the place of the graph in a `with` block."""
    capture = threading.get_ident(), recorder
    captures.append(capture)
    try:
        with mode(recorder=recorder):
            yield
    finally:
        captures.remove(capture)


class _Watcher:
    """A member of `captures` while comparisons are noted, so that nodes call the notes; it captures nothing."""

    def note_made(self, node: Any) -> None:
        """Do nothing: other threads may make nodes."""


@contextmanager
def noting_decisions(**switches: Any) -> Iterator[None]:
    """Collect the comparisons made in a `with` block, in the mode's `decisions`."""
    watcher: Any = threading.get_ident(), _Watcher()
    captures.append(watcher)
    try:
        with mode(decisions=[], **switches):
            yield
    finally:
        captures.remove(watcher)


def note_decision(operands: tuple[Any, ...], outcome: bool) -> None:
    """Note a comparison of the user's code, if comparisons are noted in this context."""
    mode = current_mode()
    if mode is not None and mode.decisions is not None and not _is_own(sys._getframe(2)):
        mode.decisions.append(Decision(operands, outcome, caller(source=True)))


def note_without_derivative(node: Any) -> None:
    """Note that adopted code makes an int or a text of a node, which has no derivative."""
    mode = current_mode()
    if mode is not None and mode.decisions is not None:
        mode.decisions.append(Decision((node,), True, caller(source=True)))


def _is_own(frame: FrameType) -> bool:
    """Whether a frame runs code of these packages: their formulas compare too."""
    return frame.f_code.co_filename.startswith(PACKAGES)


def no_grad() -> _GeneratorContextManager[None]:
    """Compute without recording: results are leaves that do not keep how they were made.

    Works as a `with` block and as a decorator.

    Examples
    --------
    >>> from autograd import Value, no_grad
    >>> x = Value(3.0)
    >>> with no_grad():
    ...     y = x * x
    >>> y.data, y.parents
    (9.0, ())
    """
    return mode(recording=False)


def detect_anomaly() -> _GeneratorContextManager[None]:
    """Raise an error at the first number that is not finite, in the computation or in a sweep.

    Inside the block every new node stores the source line that made it. An operation whose value is not finite
    raises at once. So does a reverse sweep with a message or adjoint that is not finite, before any `.grad` has
    changed. The error names the operation, its operands with their labels, and the line.

    A derivative of 0 by an argument that is compared or rounded is a warning (`LostGradientWarning`) with the lines: a
    bisection, or a result that is rounded, depends on its argument in no other way.

    Raises
    ------
    AnomalyError
        A FloatingPointError, from inside the block.

    Examples
    --------
    >>> from autograd import Value, detect_anomaly
    >>> x = Value(0.0, label="x")
    >>> with detect_anomaly():  # doctest: +ELLIPSIS
    ...     x.log()
    Traceback (most recent call last):
        ...
    autograd.modes.AnomalyError: log(x=0.0) made -inf at ...
    """
    return noting_decisions(anomaly=True, sources=True)


def record_sources():  # type: ignore[no-untyped-def]  # as above
    """Let every new node store the source line that made it, in its `.source`.

    For pictures and the viewer; `detect_anomaly()` does the same. Works as a `with` block and as a decorator.

    Examples
    --------
    >>> from autograd import Value, record_sources
    >>> x = Value(3.0)
    >>> with record_sources():  # doctest: +ELLIPSIS
    ...     print((x * x).source)
    <doctest ...>:2 in <module>
    """
    return mode(sources=True)


def current_recorder() -> Recorder | None:
    """The recorder in place of the graph in this context: the compiler's trace during a capture, else None."""
    mode = current_mode()
    return None if mode is None else mode.recorder


def now(x: Any) -> Any:
    """The number of a Value in this run; anything else as it is. Code that decides by it must make a guard."""
    if not hasattr(type(x), "apply_rule"):
        return x
    recorder = current_recorder()
    return x.data if recorder is None else recorder.now(x)


def keeps_copies() -> bool:
    """Whether a copy of a Value stays connected to it: inside a transform or `checkpoint`."""
    mode = current_mode()
    return inside_transform.get() or (mode is not None and mode.made is not None)


def note_made(node: Any) -> None:
    """Tell all captures of a node that another thread makes, because they do not see it being made."""
    if current_recorder() is None:
        for _, recorder in list(captures):
            recorder.note_made(node)


def refuse_in_capture(what: str) -> None:
    """Raise if a program is being captured: a side effect would happen now, and not at each call."""
    if (recorder := current_recorder()) is not None:
        recorder.refuse(what)


class LostGradientWarning(UserWarning):
    """A result depends on an argument only by comparisons or rounding, so its derivative is 0."""


class AnomalyError(FloatingPointError):
    """A number that is not finite was made under `detect_anomaly()`."""


def caller(source: bool = False) -> str:
    """The nearest line outside these packages, as ``file:line in function``, followed by its text if `source`."""
    return place_of(calling_frame(), source)


def calling_frame() -> FrameType:
    """The frame of the nearest caller outside these packages."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGES):
        frame = frame.f_back
    return frame


def level_of_caller() -> int:
    """The `stacklevel` with which the function that calls this one warns about the nearest line of the user's code."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGES):
        frame, level = frame.f_back, level + 1
    return level


def place_of(frame: FrameType, source: bool = False) -> str:
    """Where a frame is: ``file:line in function``, followed by the line's text if `source`."""
    code = frame.f_code
    file = "notebook cell" if f"{os.sep}ipykernel_" in code.co_filename else code.co_filename
    text = linecache.getline(code.co_filename, frame.f_lineno).strip() if source else ""
    return f"{file}:{frame.f_lineno} in {code.co_name}" + (f": {text}" if text else "")
