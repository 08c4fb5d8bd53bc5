"""The process that checks random programs: each verdict is right, whatever the programs before it did."""

import pytest
from net.worker import Worker

pytestmark = pytest.mark.slow

RIGHT = "call(jit(lambda x: x * x), 1.5)\n"
WRONG = "call(jit(lambda x: x * (2.0 if jit.__name__ == 'plain' else 3.0)), 1.5)\n"
CRASHES = "import os\nos.kill(os.getpid(), 9)\n"
HANGS = "import time\ntime.sleep(100)\n"
LEAVES = "import sys\nsys.left_behind = 1\ncall(jit(lambda x: x), 1.0)\n"
FINDS = """
import sys
left = hasattr(sys, "left_behind") and jit.__name__ != "plain"
call(jit(lambda x: x + left), 1.0)
"""


def test_programs_that_share_a_process() -> None:
    """A failure ends a process and is told once, for the program that failed; all others have their own verdicts."""
    programs = [RIGHT, WRONG, RIGHT, CRASHES, RIGHT, LEAVES, FINDS, RIGHT]
    with Worker() as worker:
        verdicts = list(worker.check_all(programs))
        alone = worker.check(FINDS)
    expected = ["", "compiled: another number", "", "crashes", "", "", "compiled: another number", ""]
    assert expected == [verdict.failure for verdict in verdicts]
    assert "It does not fail alone" in verdicts[6].what
    assert "It does not fail alone" not in verdicts[1].what
    assert "" == alone.failure


def test_a_program_that_hangs() -> None:
    """It is stopped after the given time."""
    with Worker(seconds=1.0) as worker:
        assert ["hangs"] == [verdict.failure for verdict in worker.check_all([HANGS])]


BY_PLAIN_NUMBERS = """
def f(b, x):
    return grad(lambda s: am.sin(s * b))(1.25) * x
call_on_values(jit(f), 1.5, 2.0)
"""
LOSES_A_DERIVATIVE = """
def f(b, x):
    return b.data * x if jit.__name__ != "plain" else b * x
call_on_values(jit(f), 1.5, 2.0)
"""


POWER = """
def f(a, b):
    return am.tanh(a ** 0.5) * b
call(value_and_grad(f, 1), -0.75, 2.0)
"""


def test_floats_that_become_complex_are_no_failure() -> None:
    """Where a derivative is by another argument, plain Python has floats, and a root of a negative one is complex."""
    with Worker() as worker:
        assert ["", 1] == [(found := worker.check(POWER)).failure, found.counts["plain floats raise"]]


def test_derivatives_by_plain_numbers_are_plain_numbers() -> None:
    """Outside a transform, `backward` does not go through them, compiled or not; what else it loses is a failure."""
    with Worker() as worker:
        right, wrong = worker.check_all([BY_PLAIN_NUMBERS, LOSES_A_DERIVATIVE])
    assert ("", 1) == (right.failure, right.counts["derivatives by plain numbers, outside transforms"])
    assert "compiled: another number" == wrong.failure
