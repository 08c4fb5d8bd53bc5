"""If memory runs out at any moment, there is an exception or the right result, never a crash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from two_builds import needs_c

import autograd

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parent
CLOSURES = """
import sys

sys.path.insert(0, sys.argv[1])
import fail_allocation


def outer(y):
    return (lambda x: x < y)(1.0)


for n in list(range(1, 40)) * 3:
    try:
        fail_allocation.arm(n)
        outer(2.0)
    except MemoryError:
        pass
    finally:
        fail_allocation.disarm()
    outer(2.0)
"""
HEADERS = sysconfig.get_path("include")


@pytest.fixture(scope="module")
def injector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a module that makes allocations fail."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not Path(HEADERS, "Python.h").exists():
        pytest.skip("no C compiler, or no headers of Python, to build fail_allocation.c with")
    folder = tmp_path_factory.mktemp("injector")
    target = folder / "fail_allocation.so"
    flags = ["-shared", "-fPIC", "-O1", f"-I{HEADERS}"]
    subprocess.run([compiler, *flags, str(TESTS / "fail_allocation.c"), "-o", str(target)], check=True)
    if subprocess.run([sys.executable, "-X", "dev", "-c", CLOSURES, str(folder)], capture_output=True).returncode < 0:
        pytest.skip("this CPython (3.13.0 is one) crashes by itself if there is no memory for a closure")
    return folder


@needs_c
@pytest.mark.skipif(sys.platform != "linux", reason="the compiler's options are those of Linux")
@pytest.mark.parametrize("group", ["operators", "table", "sweeps", "transforms", "compiled", "captures"])
def test_every_allocation_fails_once(group: str, injector: Path) -> None:
    """Each operation raises or is right, and is right the next time; each group has its own process."""
    if autograd.backend() != "c":
        pytest.skip("the C build is not in use")
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent), "AUTOGRAD_CACHE": "off", "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-X", "dev", "-W", "ignore", str(TESTS / "failing_allocations.py"), str(injector), group]
    if "PYTHONMALLOC" in environment:
        command[1:3] = []  # "-X dev" would hide allocations from the sanitizers
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert 0 == done.returncode, f"{done.stdout[-300:]}\n{done.stderr[-3000:]}"
    assert done.stdout.count("\n") >= 8
