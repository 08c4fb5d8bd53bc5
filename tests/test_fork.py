"""A process that forks while another of its threads compiles: the child can continue to compile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
ROOT = Path(__file__).parents[1]

# `busy` compiles for ever, a new branch of one function or a map at a time, so forks happen in every phase.
PROLOGUE = """
import gc, multiprocessing, os, signal, sys, threading, time, traceback
import numpy as np
import autograd.math as am
from autograd import Value, grad, modes, vmap
from autograd import jit

usual = gc.get_threshold()

def slow(x):
    for k in range(40):
        x = am.sin(x) * 1.5 if x < 10.0 else x * 0.5
    return x

def turn(x):
    for k in range(100_000):
        if x < k + 0.5:
            return x * (k + 2.0)

w = Value(2.0)
old, outside = jit(slow), jit(lambda x: x * w)
turns, rows = jit(turn, max_paths=100_000), jit(vmap(turn), max_paths=100_000)
old(0.5), outside(1.0)
count = 0

def busy():
    global count
    while True:
        turns(float(count % 300))
        rows(np.array([float(count % 300)]))
        jit(grad(slow))(0.5)
        count += 1

def child(number):
    assert gc.isenabled()
    assert gc.get_threshold() == usual
    assert old(0.5) == expected
    assert outside(3.0).data == 6.0
    assert jit(lambda x: x * x + number)(3.0) == 9.0 + number
    assert turns(float(count + 2)) == (count + 2.0) * (count + 4.0)
    assert rows(np.array([count + 3.0]))[0] == (count + 3.0) * (count + 5.0)
    assert jit(grad(lambda x: x * x))(3.0) == 6.0
    assert modes.captures == []
    jit(slow)(0.25)

expected = old(0.5)

def end_of(pid):
    for _ in range(3000):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hangs"

threading.Thread(target=busy, daemon=True).start()
"""

FORKS = """
ends = []
for number in range(25):
    time.sleep(0.003 * (number % 13))
    pid = os.fork()
    if pid == 0:
        end = 1
        try:
            child(number)
            end = 0
        except BaseException:
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
        finally:
            os._exit(end)
    ends.append(end_of(pid))
    if ends[-1]:
        break
print(ends)
sys.stdout.flush()
os._exit(0)
"""

PROCESSES = """
context = multiprocessing.get_context("fork")
ends = []
for number in range(12):
    process = context.Process(target=child, args=(number,))
    process.start()
    process.join(30)
    ends.append(process.exitcode)
    if process.exitcode is None:
        process.kill()
        break
print(ends)
sys.stdout.flush()
os._exit(0)
"""

# The forking thread continues in the child what it was doing: here it captures a function.
INSIDE = """
pids = []

def f(x):
    if not pids:
        pids.append(os.fork())
    return x * w + 1.0

right = jit(f)(3.0).data == 7.0
if pids == [0]:
    os._exit(0 if right and modes.captures == [] and gc.isenabled() and turns(1.0) == 3.0 else 1)
print([right, end_of(pids[0])])
sys.stdout.flush()
os._exit(0)
"""

# Before Python 3.12, `functools.cached_property` would hold a lock here that nobody releases in the child.
ATTRIBUTE = """
from autograd.once import cached_property

class Thing:
    @cached_property
    def slow(self):
        time.sleep(2.0)
        return object()

thing, found = Thing(), []
thread = threading.Thread(target=lambda: found.append(thing.slow))
thread.start()
time.sleep(0.1)
pid = os.fork()
if pid == 0:
    os._exit(0 if thing.slow is thing.slow else 1)
thread.join()
print([found[0] is thing.slow, end_of(pid)])
sys.stdout.flush()
os._exit(0)
"""


def run(program: str) -> str:
    """The output of a program, run after the prologue in its own process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "AUTOGRAD_CACHE": "off"}
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROLOGUE + program]  # 3.12 warns of forks
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert 0 == done.returncode, done.stderr
    return done.stdout


@pytest.mark.slow
def test_forks() -> None:
    """Children call old, new and half compiled functions and end, in any phase of the other thread."""
    assert f"{[0] * 25}\n" == run(FORKS)


@pytest.mark.slow
def test_multiprocessing() -> None:
    """The same for children that multiprocessing forks."""
    assert f"{[0] * 12}\n" == run(PROCESSES)


def test_fork_inside_a_capture() -> None:
    """A function that forks while it is captured is captured in both processes."""
    assert "[True, 0]\n" == run(INSIDE)


def test_fork_while_an_attribute_is_computed() -> None:
    """An attribute that another thread is computing is computed again in the child."""
    assert "[True, 0]\n" == run(ATTRIBUTE)
