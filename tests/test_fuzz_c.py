"""The C modules' functions and methods on all kinds of objects: an exception or a result, never a crash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from two_builds import needs_c

import autograd

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parent


@needs_c
@pytest.mark.skipif(autograd.backend() != "c", reason="the C build is not in use")
def test_nothing_crashes() -> None:
    """Random calls with random objects, whose methods raise and change the arguments; results stay right after each."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent), "AUTOGRAD_CACHE": "off"}
    command = [sys.executable, "-W", "ignore", str(TESTS / "fuzz_c.py"), "150"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert 0 == done.returncode, f"{done.stdout[-300:]}\n{done.stderr[-3000:]}"
    assert int(done.stdout.split()[0]) > 500


@needs_c
@pytest.mark.skipif(autograd.backend() != "c", reason="the C build is not in use")
def test_set_up_once() -> None:
    """What the C build was set up with cannot be replaced."""
    with pytest.raises(RuntimeError, match="has been set up already"):
        autograd.native.extension.setup()


@needs_c
@pytest.mark.skipif(autograd.backend() != "c", reason="the C build is not in use")
def test_numbers_that_fill_the_node_themselves() -> None:
    """A node stays valid if the conversion of its local derivative fills that node."""
    from autograd import Value, rules
    from autograd.value import _fill

    node, x = Value.__new__(Value), Value(2.0)

    class Filling(float):
        apply_rule = None

        def __float__(self) -> float:
            _fill(node, 1.0, rules.sum, (x, x, x), (1.0, 1.0, 1.0), None, 0.0, None)
            return 1.0

    many = (x,) * 9
    with pytest.raises((AttributeError, TypeError)):
        _fill(node, 1.0, rules.sum, many, (Filling(1.0),) * 9, None, 0.0, None)
    node.backward()
    assert node.operands in ((), (x, x, x))
