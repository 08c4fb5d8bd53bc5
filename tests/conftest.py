"""Settings for all tests: how Hypothesis runs them, and where the programs are that some of them run."""

import functools
import gc
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("benchmarks", "notebooks")]

# One worker, one core: threads of BLAS would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# The tests start hundreds of interpreters, and each would compile all modules again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# No deadlines: a timing is never a test, and on a shared machine it would fail at random. The same examples
# are drawn in every run, so that results change only with the code; `--hypothesis-profile=fresh` draws new ones.
# Which arguments of a failure do not matter is left for that profile, too: half the time of a failure goes into it,
# and many tests are about failures.
PHASES = [phase for phase in hypothesis.Phase if phase is not hypothesis.Phase.explain]
hypothesis.settings.register_profile("scalar-autograd", deadline=None, derandomize=True, phases=PHASES)
hypothesis.settings.register_profile("fresh", deadline=None, print_blob=True)
hypothesis.settings.load_profile("scalar-autograd")


def pytest_configure(config: Any) -> None:
    """Keep compiled code for the next run of the tests, in pytest's own cache (`--cache-clear` empties it)."""
    if hasattr(config, "cache"):
        os.environ.setdefault("AUTOGRAD_CACHE", str(config.cache.mkdir("compiled")))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Let no garbage be collected while modules and tests are made, most of which stay: a third of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Let no collection of garbage go through the modules and tests themselves: each would take a third of a second."""
    gc.collect()
    gc.freeze()


def _verify_every_pass() -> None:
    """Let the verifier look at every program that a pass of the compiler takes or makes; not twice at the same one."""
    try:
        from same_program import same_program

        from autograd.ir import verify
        from autograd.ir.passes import chains, simplify
    except ImportError:  # what some tests take away
        return

    class State(threading.local):
        """The passes that run in a thread, and what the last one has made: it was verified then."""

        def __init__(self) -> None:
            self.running: list[str] = []
            self.last: Any = None

    state = State()

    def checked(program: Any) -> Any:
        if program is not state.last:
            state.last = program if state.last and same_program(program, state.last) else verify.verify(program)
        return program

    def verified(name: str) -> Any:
        made = getattr(simplify, name)

        @functools.wraps(made)
        def run(program: Any, *args: Any, **options: Any) -> Any:
            if name in state.running:  # the body of a loop is verified with its program
                return made(program, *args, **options)
            state.running.append(name)
            try:
                return checked(made(checked(program), *args, **options))
            finally:
                state.running.remove(name)

        return run

    for name in ("fuse_loops", "gather", "prepare", "remove_dead_code", "simplify", "unroll"):
        setattr(simplify, name, verified(name))
    assert simplify.gather is not chains.gather


def _find_verified_programs_only() -> None:
    """Let the pure-Python build find the programs on disk that the verifier has seen in a run of the C build.

    Nothing is found or stored while a test has something else in the place of a part of a pass: no other test may
    find that.
    """
    try:
        from autograd import storage
        from autograd.compiler.machine import cache
        from autograd.compiler.run import specialization  # noqa: F401  # with it, all passes are imported
    except ImportError:
        return
    folders = tuple(f"autograd.{part.replace('/', '.')}" for part in cache.PREPARING)
    names = [name for name in sys.modules if name.startswith(folders)]
    imported = {name: dict(vars(sys.modules[name])) for name in names}
    sources, find = storage.sources, cache.find

    @functools.wraps(sources)
    def sources_as_imported(*parts: str) -> str | None:
        changed = parts == cache.PREPARING and any(vars(sys.modules[name]) != imported[name] for name in names)
        return None if changed else sources(*parts)

    @functools.wraps(find)
    def find_nothing(key: Any) -> None:
        return None

    storage.sources = sources_as_imported
    if not os.environ.get("AUTOGRAD_PURE_PYTHON"):
        cache.find = find_nothing


_verify_every_pass()
_find_verified_programs_only()
