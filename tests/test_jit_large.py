"""Much compiled code: long programs, and many short ones that leave nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MANY = """
import gc, sys
import numpy as np
import autograd.math as am
from autograd import Value, custom_gradient, value_and_grad, vmap
from autograd.jit import jit

def closed_over(k, weight):
    jit(lambda x: weight * x + float(k))(1.0).backward()

def called_back(k):
    def rule(x):
        return x + float(k)
    rule.__name__ = f"rule{k}"
    assert jit(custom_gradient(lambda x, y: 1.0)(rule))(1.0) == 1.0 + k

KINDS = [
    lambda k: jit(lambda x: sum(x * (k + i / 128) for i in range(100)))(1.0),
    lambda k: jit(value_and_grad(lambda x: am.exp(x) * float(k) + x**3))(0.5),
    lambda k: jit(vmap(lambda x: x * x + float(k)))(np.ones(10)),
    lambda k: jit(lambda x: x * x if x > float(k) else x)(1.0),
    lambda k: jit(lambda x: am.sin(x) * float(k))(Value(0.5)).backward(),
    lambda k: closed_over(k, Value(0.4)),
    called_back,
]

def held():
    gc.collect()
    with open("/proc/self/statm") as sizes:
        return len(gc.get_objects()), int(sizes.read().split()[1]) * 4096

def many(numbers):
    for k in numbers:
        KINDS[k % len(KINDS)](k)
    return held()

many(range(70))
before, after = many(range(70, 140)), many(range(140, 490))
print(after[0] - before[0], after[1] - before[1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads memory from /proc")
def test_dropped_functions_leave_nothing() -> None:
    """350 compiled functions of all kinds: no object stays, and of the memory less than anything would leave.

    An engine, or the constants of the long ones in LLVM's context, would be 20 KB each.
    """
    done = subprocess.run(
        [sys.executable, "-c", MANY],
        env={**os.environ, "PYTHONPATH": str(ROOT), "AUTOGRAD_CACHE": "off"},
        capture_output=True,
        text=True,
        check=True,
    )
    objects, memory = map(int, done.stdout.split())
    assert objects < 35
    assert memory < 350 * 8000
