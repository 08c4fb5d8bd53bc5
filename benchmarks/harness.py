"""Time contenders in one run: compare their results first, interleave the rounds, print ratios.

Each contender runs in its own process, with the interpreter that has its library, and times itself there;
this module only starts the timing. A contender is a function of a problem's data that returns a `Prepared`, entered in
the registry of its module with `contender`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pickle
import platform
import resource
import statistics
import subprocess
import sys
import time
import traceback
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from native.build import cache_folder

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
PEERS = ("peers", "cpp")  # modules of other contenders
C_LEVEL, C_SECONDS = "BENCHMARK_C_LEVEL", "BENCHMARK_C_SECONDS"  # variables that say how peers compile their C
NAMES = {"sklearn": "scikit-learn"}  # of distributions, where they differ from that of the module
SHORTEST_BATCH = 2e-3  # seconds; faster calls are timed many at a time


class StoppedError(Exception):
    """Preparing a contender took longer than its limit: the table says so in place of its times."""


# --- what a contender's module contains --------------------------------------------------------------------------


@dataclass
class Prepared:
    """A call that is ready to be timed.

    Attributes
    ----------
    call : callable without arguments
        The timed call, with everything that a user of the library would wait for.
    arrays : callable
        Turns what ``call`` returned into the ndarrays that are compared; not timed.
    notes : dict
        Other things to print, such as bytes per node.
    others : dict
        Other calls that are timed once, after the first call, with what they are.
    compiled : tuple or None
        Of a contender that calls a compiled function of this project: the function and the arguments.
    """

    call: Callable[[], Any]
    arrays: Callable[[Any], Sequence[Any]] = lambda result: result
    notes: dict[str, float | str] = field(default_factory=dict)
    others: dict[str, Callable[[], Any]] = field(default_factory=dict)
    compiled: tuple[Any, tuple[Any, ...]] | None = None


def calling(function: Any, *arguments: Any, arrays: Callable[[Any], Sequence[Any]] = lambda result: result) -> Prepared:
    """A call of a compiled function of this project."""
    return Prepared(lambda: function(*arguments), arrays, compiled=(function, arguments))


Prepare = Callable[..., Prepared]
_registry: dict[tuple[str, str], tuple[Prepare, tuple[str, ...]]] = {}


def contender(problem: str, name: str, *imports: str) -> Callable[[Prepare], Prepare]:
    """Enter a function of the problem's data; ``imports`` are loaded before its preparation is timed."""

    def enter(prepare: Prepare) -> Prepare:
        _registry[problem, name] = (prepare, imports)
        return prepare

    return enter


def prepared(problem: str, name: str, data: dict[str, Any]) -> Prepared:
    """What a contender of a problem prepares."""
    return _registry[problem, name][0](**data)


def peak_bytes() -> int:
    """The most memory that this process has used so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


# --- the contender's side ----------------------------------------------------------------------------------------


def serve(module: str) -> None:
    """Answer requests on standard input until it ends; output of the libraries goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    call: Callable[[], Any] | None = None
    while request := _receive(sys.stdin.buffer):
        try:
            if request[0] == "prepare":
                importlib.import_module(module)
                call, answer = _prepare(*request[1:])
            else:
                assert call is not None, "measure before prepare"
                answer = _measure(call, *request[1:])
        except StoppedError as error:
            answer = error
        except Exception:
            answer = RuntimeError(traceback.format_exc())
        pickle.dump(answer, answers)
        answers.flush()


def _prepare(problem: str, name: str, data: dict[str, Any]) -> tuple[Callable[[], Any], Any]:
    prepare, imports = _registry[problem, name]
    for needed in imports:
        importlib.import_module(needed)
    start = time.perf_counter()
    prepared = prepare(**data)
    first = prepared.call()
    seconds = time.perf_counter() - start
    arrays = [np.asarray(array, dtype=float) for array in prepared.arrays(first)]
    for what, other in prepared.others.items():
        start = time.perf_counter()
        other()
        prepared.notes[f"ms for {what}"] = 1e3 * (time.perf_counter() - start)
    return prepared.call, (seconds, arrays, prepared.notes)


def _measure(call: Callable[[], Any], seconds: float) -> list[float]:
    """Seconds per call, one number for each batch; the collector runs as it would in a program."""
    call()
    repeats, elapsed = 1, 0.0
    while (elapsed := _batch(call, repeats)) < SHORTEST_BATCH:
        repeats *= 2 if elapsed > SHORTEST_BATCH / 4 else 4
    times = [elapsed / repeats]
    end = time.perf_counter() + seconds - elapsed
    while time.perf_counter() < end:
        times.append(_batch(call, repeats) / repeats)
    return times


def _batch(call: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return time.perf_counter() - start


def _receive(stream: IO[bytes]) -> Any:
    try:
        return pickle.load(stream)
    except EOFError:
        return None


# --- this side ---------------------------------------------------------------------------------------------------


class Worker:
    """One contender in its own process."""

    def __init__(self, python: str, module: str, ours: bool, settings: dict[str, str]) -> None:
        # Only our contenders get the path of this package: a peer's environment must not see it.
        paths = [str(HERE), *([*sys.path[1:], str(ROOT)] if ours else [])]
        environment = {**os.environ, **ONE_THREAD, **settings, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        environment["AUTOGRAD_CACHE"] = "off"  # preparing must compile, not load from the cache
        program = f"import harness; harness.serve({module!r})"
        self.name = f"{module} under {python}"
        self.process = subprocess.Popen(
            [python, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )

    def ask(self, *request: Any) -> Any:
        """Send one request and wait for its answer; raise if it is an error."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        pickle.dump(request, self.process.stdin)
        self.process.stdin.flush()
        answer = _receive(self.process.stdout)
        if answer is None:
            raise RuntimeError(f"{self.name} ended with status {self.process.wait()}")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@dataclass
class Timing:
    """The times of one contender: seconds to prepare, and per call in every batch of every round."""

    name: str
    prepare: float
    notes: dict[str, float | str]
    times: list[float] = field(default_factory=list)
    stopped: str = ""  # why there are no times

    @property
    def least(self) -> float:
        """The shortest time: the one least disturbed by other work of the machine."""
        return min(self.times)

    @property
    def median(self) -> float:
        """The median time."""
        return statistics.median(self.times)


@dataclass(frozen=True)
class Runner:
    """Which contenders run, where the peers are installed, and how long each contender is timed.

    Attributes
    ----------
    python : str or None
        The interpreter that has the peers' libraries; with None an environment is made for those that run.
    seconds, rounds : float, int
        The time of each contender in each round, and the number of rounds.
    peers, ours : bool
        Whether they run.
    settings : dict
        Variables in the environment of all contenders.
    """

    python: str | None = None
    seconds: float = 0.3
    rounds: int = 7
    peers: bool = True
    ours: bool = True
    settings: dict[str, str] = field(default_factory=dict)

    def run(
        self,
        title: str,
        problem: str,
        data: dict[str, Any],
        contenders: Sequence[tuple[str, str]],
        tolerance: float = 1e-9,
        references: Mapping[str, str] | None = None,
    ) -> list[Timing]:
        """Compare the results of all contenders, then time them in turn, round after round.

        Parameters
        ----------
        title, problem : str
            The title to print, and the key in the registry.
        data : dict
            Keyword arguments of every contender's function.
        contenders : sequence of (module, name)
            Ratios are to the first. The results of each are compared with the most complete results before it: one that
            computes only the value returns only that.
        tolerance : float
            Largest difference allowed, relative to the largest number in each result array.
        references : mapping, optional
            Contender → the one that its ratios are to, if that is not the first.

        Raises
        ------
        AssertionError
            If two contenders disagree; nothing is timed then.
        """
        contenders = [c for c in contenders if (self.peers if c[0] in PEERS else self.ours)]
        libraries = [(problem, name) for module, name in contenders if module == "peers"]
        python = (self.python or _environment_for(libraries)) if libraries else sys.executable
        workers: list[Worker] = []
        try:
            timings: list[Timing] = []
            fullest = ""
            results: list[NDArray[np.float64]] = []
            stopped: list[Timing] = []
            for module, name in contenders:
                ours = module != "peers"
                workers.append(Worker(sys.executable if ours else python, module, ours, self.settings))
                try:
                    seconds, arrays, notes = workers[-1].ask("prepare", problem, name, data)
                except StoppedError as error:
                    workers.pop().close()
                    stopped.append(Timing(name, 0.0, {}, stopped=str(error)))
                    continue
                _compare(f"{title}: {name} against {fullest}", results, arrays, tolerance)
                if len(arrays) > len(results):
                    fullest, results = name, arrays
                timings.append(Timing(name, seconds, notes))
            for _ in range(self.rounds):
                for worker, timing in zip(workers, timings, strict=True):
                    timing.times += worker.ask("measure", self.seconds)
        finally:
            for worker in workers:
                worker.close()
        print(table(title, [*timings, *stopped], references or {}), flush=True)
        return timings


def _compare(
    who: str, expected: Sequence[NDArray[np.float64]], actual: Sequence[NDArray[np.float64]], tolerance: float
) -> None:
    """Compare the results that both have: a primal program returns only the value."""
    for position, (one, other) in enumerate(zip(expected, actual, strict=False)):
        if one.shape != other.shape:
            raise AssertionError(f"{who}: result {position} has shape {other.shape}, not {one.shape}")
        scale = np.max(np.abs(one), initial=sys.float_info.min)
        error = np.max(np.abs(one - other), initial=0.0) / scale
        if not error <= tolerance:
            raise AssertionError(f"{who}: result {position} differs by {error:.1e}")


def table(title: str, timings: Sequence[Timing], references: Mapping[str, str] | None = None) -> str:
    """Text with one row per contender; ratios are to the first row, or to the one that `references` names."""
    measured = {timing.name: timing for timing in timings if not timing.stopped}
    width = max(len(timing.name) for timing in timings)
    heading = f"{'':{width}}  {'prepare':>9} {'least':>9} {'median':>9} {'ratio of least':>15} {'of medians':>11}"
    rows = []
    for t in timings:
        if t.stopped:
            rows.append(f"{t.name:{width}}  {t.stopped}")
            continue
        other = measured.get((references or {}).get(t.name, ""))
        reference = timings[0] if other is None else other
        row = (
            f"{t.name:{width}}  {_duration(t.prepare):>9} {_duration(t.least):>9} {_duration(t.median):>9} "
            f"{t.least / reference.least:>15.2f} {t.median / reference.median:>11.2f}"
        )
        row += "" if other is None else f"  to {other.name}"
        notes = [f"{key}: {note if isinstance(note, str) else f'{note:,.0f}'}" for key, note in t.notes.items()]
        rows.append("  ".join([row, *notes]))
    return "\n".join(["", title, heading, *rows])


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


# --- the command line --------------------------------------------------------------------------------------------


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options of every benchmark."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument(
        "--peers",
        metavar="PYTHON",
        default=os.environ.get("AUTOGRAD_PEERS_PYTHON"),
        help="interpreter of an environment with peers-requirements.txt; by default AUTOGRAD_PEERS_PYTHON, else"
        " one is made in the temporary directory with pip",
    )
    options.add_argument("--seconds", type=float, default=0.3, help="per contender and round")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--c-level", default="O3", metavar="LEVEL", help="optimisation of the C that peers generate")
    options.add_argument(
        "--c-seconds",
        type=int,
        default=600,
        metavar="SECONDS",
        help="processor time of the compiler of that C; when it has passed, the compiler is stopped, and the table says"
        " so in the peer's row",
    )
    options.add_argument("--only", nargs="*", metavar="PROBLEM", help="run only these problems")
    who = options.add_mutually_exclusive_group()
    who.add_argument("--only-ours", action="store_true", help="no peers: nothing is installed")
    who.add_argument("--without-ours", action="store_true", help="run only the peers")
    return options


def runner(options: argparse.Namespace) -> Runner:
    """A `Runner` with the options of the command line, on one core if the system allows it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"Python {platform.python_version()}, {platform.processor() or platform.machine()}, one core")
    settings = {C_LEVEL: f"-{options.c_level}", C_SECONDS: str(options.c_seconds)}
    ours, peers = not options.without_ours, not options.only_ours
    return Runner(options.peers, options.seconds, options.rounds, peers, ours, settings)


def _environment_for(names: Sequence[tuple[str, str]]) -> str:
    """The interpreter of an environment with only the libraries that these peers need."""
    importlib.import_module("peers")  # registers its contenders; libraries are imported only when these are prepared
    modules = {needed.partition(".")[0] for name in names for needed in _registry[name][1]}
    libraries = {"numpy", *[NAMES.get(module, module) for module in modules]}
    lines = (HERE / "peers-requirements.txt").read_text(encoding="utf-8").splitlines()
    requirements = [line for line in lines if line.partition("==")[0] in libraries]
    folder = cache_folder() / "peers"
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"making an environment for the peers in {folder}", flush=True)
        venv.create(folder, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
    return str(python)
