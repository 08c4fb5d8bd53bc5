"""One captured path of a function, from its program to something that can be called with buffers."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from autograd.compiler.lower.code import lower
from autograd.compiler.lower.module import ALIGNMENT, Module
from autograd.compiler.machine import cache, native
from autograd.compiler.notices import notice
from autograd.ir import simplify
from autograd.ir.block import Guard, Program
from autograd.tree import flatten
from autograd.value import Value

LONG = 2.0  # seconds of a first call that nobody wonders about
SECONDS_AN_INSTRUCTION = 2.5e-4  # that LLVM takes, roughly


@dataclass(frozen=True)
class Options:
    """How `jit` was asked to compile."""

    accurate: bool = False
    fast_math: bool = False
    max_paths: int = 64
    threads: int = 1
    quiet: bool = False


@dataclass
class Story:
    """What there is to tell of a capture that takes long.

    Attributes
    ----------
    name : str
        What the function is called.
    seconds : float
        How long running it on tracers took.
    unrolled : dict
        Why maps became as many copies of their row as they have rows → how many rows those were (0: not known).
    """

    name: str = "a function"
    seconds: float = 0.0
    unrolled: dict[str, int] = field(default_factory=dict)
    told: bool = False

    def reasons(self) -> list[str]:
        """A sentence for each reason why maps were unrolled."""
        return [
            f"{f'{rows:,} rows of a' if rows else 'the rows of every'} vmap were unrolled because of {why}"
            for why, rows in self.unrolled.items()
        ]

    def advice(self, mapped: bool) -> list[str]:
        """What would be shorter; `mapped`: whether there is a map in the program."""
        if any("the comparison" in why for why in self.unrolled):
            return ["with autograd.math.where in place of the branch the rows stay a loop"]
        return [] if mapped or self.unrolled else ["steps that are rows of an autograd.vmap are compiled once for all"]


class TooManyPathsError(RuntimeError):
    """A function took more paths through its branches than `max_paths`."""


def all_guards(program: Program) -> list[Guard]:
    """The guards of a program, those in its maps too."""
    maps = [instruction.data.body.guards for instruction in program.code if instruction.op == "map"]
    return [*program.guards, *[guard for guards in maps for guard in guards]]


def same_branches(program: Program, paths: Sequence[Path]) -> Path | None:
    """The last path that has the branches of a program that was captured because no path held.

    Then a comparison came out otherwise in machine code than at capture, which computes as eager code does: a function
    or a sum is off by a last digit.
    """
    taken = all_guards(program)
    return next((path for path in reversed(paths) if all_guards(path.captured) == taken), None)


def options_for(same: Path | None, paths: Sequence[Path], options: Options, name: str) -> Options:
    """How to compile a path that was captured: with eager's bits if the same one did not hold without them.

    Raises
    ------
    TooManyPathsError
        If it is one path too many.
    """
    if same is not None:
        return replace(options, accurate=True, fast_math=False)
    if sum(path.options == options for path in paths) < options.max_paths:
        return options
    lines = sorted({guard.line for path in paths for guard in path.captured_guards})
    raise TooManyPathsError(
        f"{name} takes more than {options.max_paths} paths through the branches at {'; '.join(lines[:4])}: choose with "
        "autograd.math.where instead of branching, or allow more with jit(max_paths=...)"
    )


_uncollected: list[int] = []  # the threads that have turned the garbage collection off and will turn it on again


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection: it would look through millions of instructions that are all in use."""
    thread = threading.get_ident()
    collecting = gc.isenabled()
    if collecting:
        _uncollected.append(thread)
        gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()  # first: a child that is forked between the two lines turns it on once more
            _uncollected.remove(thread)


def _collect_again() -> None:
    """In a child process, do what the threads that are not there any more would have done."""
    own = [thread for thread in _uncollected if thread == threading.get_ident()]
    if _uncollected and not own:
        gc.enable()
    _uncollected[:] = own


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_collect_again)


class Frame:
    """The buffers of one call at a time."""

    __slots__ = ("address", "block", "inputs", "outputs", "work", "numbers", "results")

    def __init__(self, inputs: int, outputs: int, work: int) -> None:
        self.inputs = (ctypes.c_double * max(inputs, 1))()
        self.outputs = (ctypes.c_double * max(outputs, 1))()
        self.work = (ctypes.c_char * (work + ALIGNMENT))()
        start = ctypes.addressof(self.work)
        aligned = start + (-start) % ALIGNMENT
        self.block = (ctypes.c_int64 * 4)(ctypes.addressof(self.inputs), 0, ctypes.addressof(self.outputs), aligned)
        self.address = ctypes.addressof(self.block)
        self.numbers = np.frombuffer(memoryview(self.inputs), dtype=float)
        self.results = np.frombuffer(memoryview(self.outputs), dtype=float)


@dataclass(eq=False)
class Path:
    """A program that holds under its guards, its machine code, and how its results become what was returned.

    Attributes
    ----------
    captured : Program
        As captured; `program` is what is compiled.
    leaves : list of Value
        Values that the function closes over; their numbers are inputs after the arguments.
    parents : list of Value
        Those among them that results are computed from as from Values: if there are any, results are Values.
    template : tree
        What the result looks like.
    names : sequence of str
        What the numbers among the arguments are called when the program is printed; none if they are very many.
    story : Story
        What is told when compiling takes long.
    """

    captured: Program
    template: Any
    options: Options
    leaves: list[Value] = field(default_factory=list)
    parents: list[Value] = field(default_factory=list)
    names: Sequence[str] = ()
    story: Story = field(default_factory=Story)
    counts: dict[str, int] = field(default_factory=dict)
    program: Program = field(init=False)
    code: native.Native = field(init=False)
    rebuild: Callable[[Sequence[Any]], Any] = field(init=False)  # the result, given its numbers
    seconds: float = 0.0
    pool: list[Frame] = field(default_factory=list)

    def __post_init__(self) -> None:
        start = time.perf_counter()
        self.rebuild = flatten(self.template)[1]
        self.counts["captured"] = simplify.count(self.captured)
        with uncollected():
            simple = simplify.simplify(self.captured, self.options.accurate)
            self.counts["simplified"] = simplify.count(simple)
            self.program = simplify.prepare(simple, self.options.accurate)
            unrolled = simplify.unroll(self.program)
            self.counts["compiled"] = simplify.count(unrolled)
            module = self._lowered(unrolled)
        passed = self.story.seconds + time.perf_counter() - start
        foreseen = passed + SECONDS_AN_INSTRUCTION * self.counts["compiled"]
        self.code = cache.load(module, lambda: self._tell("takes about", foreseen))
        self.function = self.code.function
        taken = time.perf_counter() - start
        self.seconds += taken
        self._tell("took", self.story.seconds + taken)

    def _tell(self, verb: str, seconds: float) -> None:
        """Say what is long if that has not been said, and is not to be kept quiet."""
        if seconds < LONG or self.options.quiet or self.story.told:
            return
        self.story.told = True
        mapped = any(instruction.op == "map" for instruction in self.program.code)
        reasons = [f"{self.counts['compiled']:,} instructions", *self.story.reasons(), *self.story.advice(mapped)]
        notice(f"compiling {self.story.name} {verb} {seconds:.0f} s: {'; '.join(reasons)}")

    def text(self) -> str:
        """The program for people to read."""
        given = self.names or [f"input[{k}]" for k in range(self.captured.inputs - len(self.leaves))]
        closed = [leaf.label or f"closed[{k}]" for k, leaf in enumerate(self.leaves)]
        reasons = [f"# {reason}" for reason in self.story.reasons()]
        return "\n".join([*reasons, *self.program.lines([*given, *closed])])

    def module(self) -> Module:
        """The module for this machine, made anew: its text is too long to be kept."""
        return self._lowered(simplify.unroll(self.program))

    def _lowered(self, unrolled: Program) -> Module:
        return lower(unrolled, native.machine(self.options.accurate, self.options.fast_math))

    def frame(self) -> Frame:
        """Buffers for a call: used ones if there are any."""
        try:
            return self.pool.pop()
        except IndexError:
            return Frame(self.program.inputs, len(self.program.outputs), self.code.work)

    @property
    def captured_guards(self) -> list[Guard]:
        """All guards, those in maps too."""
        return all_guards(self.program)

    def run(self, frame: Frame) -> int:
        """Call the machine code on a frame: 0, or the number of the guard that failed.

        What Python code that it called raised is raised, unless that was with numbers of another path.
        """
        status, error = self.attempt(frame)
        if error is not None and (status == 0 or not isinstance(error, Exception)):
            raise error
        return status

    def attempt(self, frame: Frame) -> tuple[int, BaseException | None]:
        """The same, with what was raised as a result."""
        status = self.function(frame.address)
        return status, native.take_pending() if self.code.calls_python else None

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        for name in ("code", "function", "pool", "program", "rebuild"):
            state.pop(name)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, pool=[])
        self.story = replace(self.story, seconds=0.0)
        self.__post_init__()
