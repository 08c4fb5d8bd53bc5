"""Run a program with the compiler and without, and compare the numbers as closely as their conditioning allows.

The reference is the eager engine: the arguments of every call are Values, `jit` and `checkpoint` return the function.
If a result differs in more than a few last bits, the reference runs again: the graph of each number shows how much a
rounding error in every step may grow (its margin), and slightly moved inputs show whether a branch is near.
"""

from __future__ import annotations

import linecache
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import isfinite, isnan, ulp
from types import ModuleType
from typing import Any

import numpy as np

from autograd import Value, backward, topological_order, vjp
from autograd.sweep import reverse
from autograd.transforms.origin import origin_of
from autograd.tree import children, flatten, is_array

HEADER = """\
import copy
import functools
import math
import pickle

import numpy as np

import autograd.math as am
from autograd import Value, checkpoint, grad, hessian, hvp, jacobian, jit, jvp, no_grad, scan, value_and_grad, vjp, vmap
from autograd.tree import flatten
"""
# The errors by which the compiler may refuse. Every other error that plain Python does not raise is a failure.
REFUSALS = {
    "too many paths": r"takes more than \d+ paths",
    "a number as an index or an int": r"would freeze it",
    "an effect": r"inside a compiled function",
}
ULPS = 16  # of the result itself: a primitive in a lane is within 4, a composed one within 16
ROUNDING = 64 * 2.0**-53  # of every intermediate number; the graph shows how it grows
MOVES = [2.0**-44, -(2.0**-44), 2.0**-38, -(2.0**-38), 2.0**-30, -(2.0**-30)]  # relative changes of inputs
PLAIN = (ZeroDivisionError, OverflowError)  # errors of arithmetic on Python's floats, not on Values
BLIND = 1e-6  # a margin larger than this fraction of the number proves little


SEEDS = [1.0 + 0.5 * (k % 7) for k in range(1000)]  # seeds of the sweep from all numbers of a result
REFERENCE_SECONDS = 10  # for plain Python; a program that takes longer is not compared


class TooSlowError(BaseException):
    """Plain Python takes too long; not an Exception, so that no program catches it."""


@dataclass
class Outcome:
    """The outcome of one call: numbers in a shape, or an exception; with margins if the reference ran again."""

    kind: str
    shape: str = ""
    numbers: list[float] = field(default_factory=list)
    error: BaseException | None = None
    margins: list[float] = field(default_factory=list)
    nearby: list[list[float]] = field(default_factory=list)

    def __str__(self) -> str:
        if self.error is not None:
            return f"{type(self.error).__name__}: {self.error!s:.300}"
        shown = ", ".join(map(repr, self.numbers[:12])) + (", …" if len(self.numbers) > 12 else "")
        return f"{self.shape:.200} of {shown}"


def lifted(tree: Any, factor: Callable[[int], float] = lambda k: 1.0) -> Any:
    """The same tree with Values instead of numbers, each times a factor."""
    leaves, rebuild = flatten(tree)
    return rebuild([Value((x.data if isinstance(x, Value) else x) * factor(k)) for k, x in enumerate(leaves)])


def shape_of(tree: Any) -> str:
    """The containers of a tree; a number of any type is a dot."""
    if is_array(tree):
        return f"array{tree.shape}"
    parts = children(tree) if not isinstance(tree, (str, Value)) else None
    if parts is None:
        return "."
    inner = ", ".join(
        f"{name}{shape_of(child)}" if isinstance(tree, dict) else shape_of(child) for name, child in parts[0]
    )
    return f"{type(tree).__name__}({inner})"


def numbers_of(tree: Any) -> list[float]:
    """The numbers of a tree as floats."""
    return [float(x.data) if isinstance(x, Value) else x for x in flatten(tree)[0]]


def condition(y: Any) -> float:
    """The largest factor by which a relative error in any earlier step may grow until this node."""
    if not isinstance(y, Value):
        return 0.0
    order = topological_order(y)
    sizes = reverse(order, {y: 1.0}, lambda node: [None if d is None else abs(d) for d in node.local_grads])
    return sum(abs(node.data) * size for node, size in sizes.items())


def derives(function: Any) -> bool:
    """Whether a function was made by a transform that puts Values in the place of numbers itself."""
    origin = origin_of(function)
    return origin is not None and (origin.transform != "vmap" or derives(origin.function))


class Run:
    """One run of a program, and the outcomes of its calls."""

    def __init__(self, program: str, mode: str, judged: int | None = None) -> None:
        self.mode, self.judged = mode, judged
        self.outcomes: list[Outcome] = []
        module = ModuleType("hunted")
        names = module.__dict__
        sys.modules["hunted"] = module  # for pickles
        linecache.cache["<program>"] = (len(program), None, program.splitlines(keepends=True), "<program>")
        exec(HEADER, names)
        names |= {"call": self.call, "call_exact": self.call_exact, "call_on_values": self.call_on_values}
        names |= {"call_in_threads": self.call_in_threads, "note": self.note}
        if mode != "compiled":
            names["jit"] = self.plain
        if mode in ("reference", "by backward"):
            names["checkpoint"] = self.plain
        try:
            exec(compile(program, "<program>", "exec"), names)
        except Exception as error:
            self.outcomes.append(Outcome("program", error=error))

    @staticmethod
    def plain(function: Any = None, **options: Any) -> Any:
        """The replacement for `jit`, with the same interface."""
        return (lambda function: function) if function is None else function

    def call(self, function: Any, *args: Any, kind: str = "close") -> None:
        """Call a function and keep the outcome."""
        self.outcomes.append(self.outcome(kind, function, args, self.judged == len(self.outcomes)))

    def call_exact(self, function: Any, *args: Any) -> None:
        """The same, for a function whose value must agree bit by bit."""
        self.call(function, *args, kind="exact")

    def call_on_values(self, function: Any, *args: Any) -> None:
        """Call a function on Values and sweep back from all of its results."""
        self.call(swept(function, self.mode not in ("compiled", "by backward")), *args)

    def call_in_threads(self, function: Any, *calls: Sequence[Any]) -> None:
        """Call a function with several arguments, each in its own thread."""
        found: list[Outcome | None] = [None] * len(calls)

        def work(k: int) -> None:
            found[k] = self.outcome("close", function, tuple(calls[k]), self.judged == start + k)

        start = len(self.outcomes)
        threads = [threading.Thread(target=work, args=(k,)) for k in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.outcomes += [outcome or Outcome("thread") for outcome in found]

    def note(self, number: Any) -> None:
        """Keep a number that is not the result of a call."""
        self.call(lambda: number)

    def outcome(self, kind: str, function: Any, args: tuple[Any, ...], judged: bool) -> Outcome:
        """The outcome of a call."""
        eager = self.mode == "reference" or (self.mode == "eager" and not derives(function))
        try:
            result = function(*(lifted(args) if eager else args))
            found = Outcome(kind, shape_of(result), numbers_of(result))
        except Exception as error:
            return Outcome(kind, error=error)
        if judged:
            found.margins = [ROUNDING * condition(y) for y in flatten(result)[0]]
            for move in MOVES:
                try:
                    moved = function(*lifted(args, lambda k, move=move: 1.0 + move * (1 + 0.37 * (-1) ** k)))
                    found.nearby.append(numbers_of(moved) if shape_of(moved) == found.shape else [])
                except Exception:
                    found.nearby.append([])  # judged by the other moves: an error nearby gives no number to compare
        return found


def swept(function: Any, eager: bool) -> Any:
    """A function that returns another one's result on Values with its gradient, by one sweep from the whole result."""

    def with_backward(*args: Any) -> Any:
        leaves, rebuild = flatten(args)
        inputs = [Value(x.data if isinstance(x, Value) else x) for x in leaves]
        result = function(*rebuild(inputs))
        outputs = [(y, seed) for y, seed in zip(flatten(result)[0], SEEDS) if isinstance(y, Value)]
        backward([y for y, _ in outputs], [seed for _, seed in outputs])
        return result, [x.grad for x in inputs]

    def with_vjp(*args: Any) -> Any:
        result, pullback = vjp(function, *args)  # on Values it leaves a graph, which gives the margin of each number
        leaves, rebuild = flatten(result)
        return result, flatten(pullback(rebuild([seed for _, seed in zip(leaves, SEEDS)])))[0]

    return with_vjp if eager else with_backward


# ---- the comparison ----------------------------------------------------------------------------------------------


@dataclass
class Verdict:
    """The result of comparing a program's runs; `failure` is empty if they agree."""

    failure: str = ""
    what: str = ""
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, name: str) -> None:
        """Count one more of a kind."""
        self.counts[name] = self.counts.get(name, 0) + 1


def check(program: str) -> Verdict:
    """Run a program with and without the compiler, and compare."""
    verdict = Verdict()
    try:
        with time_limit(REFERENCE_SECONDS):
            reference = Run(program, "reference").outcomes
    except TooSlowError:
        return failed(verdict, "takes too long", "plain Python", 0, "a result", "none")
    for mode in ("eager", "compiled"):
        actual = Run(program, mode).outcomes
        if len(actual) != len(reference) and not any(outcome.error for outcome in (reference[-1:] + actual[-1:])):
            return failed(verdict, "calls", mode, 0, f"{len(reference)} calls", f"{len(actual)} calls")
        for k, (one, other) in enumerate(zip(reference, actual)):
            verdict.count("calls")
            if mode == "eager" and is_of_floats(other.error) and one.error is None:
                verdict.count("plain floats raise")
                continue

            def judged(k: int = k) -> Outcome:
                return Run(program, "reference", k).outcomes[k]

            kind = difference(one, other, judged, verdict)
            if kind and mode == "compiled" and is_by_backward(program, k, other, judged, verdict):
                verdict.count("derivatives by plain numbers, outside transforms")
                continue
            if kind:
                return failed(verdict, kind, mode, k, one, other)
    return verdict


def is_of_floats(error: BaseException | None) -> bool:
    """Whether it is an error of Python's floats, whose arithmetic raises or is complex where that of Values is not."""
    return isinstance(error, PLAIN) or (isinstance(error, TypeError) and "of type complex" in str(error))


def is_by_backward(program: str, k: int, actual: Outcome, judged: Callable[[], Outcome], verdict: Verdict) -> bool:
    """Whether an outcome is that of plain Python where `backward` sweeps from results of functions called on Values.

    Outside a transform, a derivative by plain numbers is a plain number, so these sweeps end there. Those of `vjp`,
    with which the reference is made, do not.
    """
    expected = Run(program, "by backward").outcomes[k]
    return not difference(expected, actual, lambda: replace(judged(), numbers=expected.numbers, nearby=[]), verdict)


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise TooSlowError in the block after a number of seconds."""

    def stop(*_: Any) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def failed(verdict: Verdict, kind: str, mode: str, k: int, expected: Any, actual: Any) -> Verdict:
    """The verdict on a program that fails."""
    verdict.failure = f"{mode}: {kind}"
    verdict.what = f"call {k}, {mode}: {kind}\nexpected {expected}\nactual   {actual}"
    return verdict


def difference(expected: Outcome, actual: Outcome, judged: Callable[[], Outcome], verdict: Verdict) -> str:
    """The kind of difference between two outcomes of a call, empty if there is none."""
    if actual.error is not None and type(actual.error) is not type(expected.error):
        for name, pattern in REFUSALS.items():
            if re.search(pattern, str(actual.error)):
                verdict.count(f"refused: {name}")
                return ""
        return f"raises {type(actual.error).__name__} {re.sub('[0-9.e-]+', '#', str(actual.error)):.60}"
    if expected.error is not None:
        verdict.count("raises")
        return "" if actual.error is not None else f"does not raise {type(expected.error).__name__}"
    if expected.shape != actual.shape:
        return f"shape {actual.shape:.80} for {expected.shape:.80}"
    exact = expected.kind == "exact"
    if all(agree(x, y, 0 if exact else ULPS) for x, y in zip(expected.numbers, actual.numbers)):
        return ""
    if exact:
        return "other bits"
    return judge(judged(), actual.numbers, verdict)


def judge(expected: Outcome, actual: Sequence[float], verdict: Verdict) -> str:
    """Whether numbers that differ are within their margins, or belong to another branch nearby."""
    margins = [margin if margin == margin else float("inf") for margin in expected.margins]
    wrong = [
        k
        for k, (x, y, margin) in enumerate(zip(expected.numbers, actual, margins))
        if not (agree(x, y, ULPS) or near(x, y, margin))
    ]
    if any(margin > BLIND * abs(x) for x, margin in zip(expected.numbers, margins) if x):
        verdict.count("blind")
    if not wrong:
        return ""
    if all(any(numbers and similar(numbers[k], actual[k], margins[k]) for numbers in expected.nearby) for k in wrong):
        verdict.count("near a branch")
        return ""
    k = wrong[0]
    return "nan" if isnan(actual[k]) != isnan(expected.numbers[k]) else "another number"


def agree(x: float, y: float, ulps: int) -> bool:
    """The same number except for a few last bits; all nans are equal."""
    if x == y or (isnan(x) and isnan(y)):
        return True
    return isfinite(x) and isfinite(y) and abs(x - y) <= ulps * ulp(max(abs(x), abs(y)))


def near(x: float, y: float, margin: float) -> bool:
    """Both finite and within a margin; if sums overflow (an infinite margin), the result depends on their order."""
    return abs(x - y) <= margin + 1e-300 if isfinite(x) and isfinite(y) else margin == float("inf")


def similar(x: float, y: float, margin: float) -> bool:
    """Near a result for moved inputs."""
    return agree(x, y, ULPS) or near(x, y, margin + 1e-7 * abs(x))


np.seterr(all="ignore")  # like `autograd` on floats: IEEE arithmetic, no warnings
