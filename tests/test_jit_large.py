"""Long programs, and many short ones that leave nothing behind."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autograd import Value, jit, value_and_grad, vmap

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
MANY = """
import gc, sys
import numpy as np
import autograd.math as am
from autograd import Value, custom_gradient, value_and_grad, vmap
from autograd import jit

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
    gc.collect()  # of types of arrays of ctypes, which the first one has freed the arrays of
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
    """350 compiled functions of all kinds leave no object, and less memory than one kept part of each would need.

    A kept engine, or the constants of the long ones in LLVM's context, would be 20 KB each.
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


@pytest.mark.parametrize("count", [100, 301, 1000])
def test_map_over_computed_rows(count: int) -> None:
    """Rows that are computed first, with a result each: more stores and loads than fit into one function."""
    x = np.random.default_rng(count).normal(size=count)

    def rows(w: Any, x: Any) -> Any:
        half = w * 0.5
        shifted = [(half - v) * v for v in x]
        return [y + v for y, v in zip(vmap(lambda a, b: a * b * half - b)(shifted, x), shifted)]

    def total(w: Any, x: Any) -> Any:
        return sum(y * y * (k % 3) for k, y in enumerate(rows(w, x)))

    expected = [y.data for y in rows(Value(0.3), x.tolist())]
    assert pytest.approx(expected, rel=1e-13) == jit(rows)(0.3, x)
    value, (by_w, by_x) = value_and_grad(total, argnums=(0, 1))(0.3, x)
    actual, (actual_by_w, actual_by_x) = jit(value_and_grad(total, argnums=(0, 1)))(0.3, x)
    assert pytest.approx([value, by_w], rel=1e-12) == [actual, actual_by_w]
    assert pytest.approx(by_x, rel=1e-12) == actual_by_x
