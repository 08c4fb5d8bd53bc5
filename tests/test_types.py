"""Type checkers, at their strictest, accept a user's program, know what it computes, and find what is wrong in it."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "tests" / "typed_user.py"
MYPY = ["-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(ROOT / ".mypy_cache")]
STRICT = '{"typeCheckingMode": "strict", "extraPaths": ["%s"], "include": ["."]}'
WRONG = """\
from autograd import grad, jit, value_and_grad, vjp

def area(width: float, height: float) -> float:
    return width * height

grad(area)(1.0)
value_and_grad(area)(1.0, depth=2.0)
jit(area)("1", 2.0)
text: str = jit(area)(1.0, 2.0)
grad(3.0)
slope: str = grad(area)(1.0, 2.0)
vjp(area, 1.0, 2.0, 3.0)
"""


def run(*arguments, folder, **environment):
    """Run a checker in a folder; its exit status and what it printed."""
    environment = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", **environment}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=folder, env=environment)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def check(tmp_path):
    """Check a program with one of the two checkers."""

    def with_checker(checker, program):
        (tmp_path / "user.py").write_text(program, encoding="utf-8")
        if checker == "mypy":
            return run(*MYPY, "user.py", folder=tmp_path, MYPYPATH=str(ROOT))
        (tmp_path / "pyrightconfig.json").write_text(STRICT % ROOT)
        return run("-m", "pyright", "--pythonpath", sys.executable, folder=tmp_path)

    return with_checker


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_users_program(check, checker):
    """Strictly checked, the program has no error, and its `assert_type` lines hold."""
    status, printed = check(checker, PROGRAM.read_text(encoding="utf-8"))
    assert 0 == status, printed


def test_the_users_program_runs(tmp_path):
    """What the checkers accept also runs, with the types that it asserts."""
    status, printed = run("-W", "error", str(PROGRAM), folder=tmp_path, PYTHONPATH=str(ROOT))
    assert 0 == status, printed
    assert "∂" in printed


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_wrong_lines_are_found(check, checker):
    """A missing argument, one too many, a wrong type in or out, and a number in place of a function."""
    status, printed = check(checker, WRONG)
    assert 1 == status
    found = {int(line.split(":")[1]) for line in printed.splitlines() if "user.py:" in line and "error" in line}
    assert {6, 7, 8, 9, 10, 11, 12} == found, printed


def test_an_editable_install_is_a_path_file(tmp_path):
    """Type checkers follow a path file to the sources, and cannot follow an import hook."""
    checkout = tmp_path / "checkout"
    without = shutil.ignore_patterns(".*", "__pycache__", "build", "*.egg-info", "*.so", "*.c")  # types need no C build
    shutil.copytree(ROOT, checkout, ignore=without)
    build = f"from setuptools import build_meta; build_meta.build_editable({str(tmp_path)!r})"
    assert 0 == run("-c", build, folder=checkout)[0]
    (wheel,) = tmp_path.glob("*.whl")
    assert not any("finder" in name for name in zipfile.ZipFile(wheel).namelist())
    assert 0 == run("-m", "venv", "--without-pip", str(tmp_path / "venv"), folder=tmp_path)[0]
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(packages)
    python = str(tmp_path / "venv" / "bin" / "python")
    (tmp_path / "user.py").write_text(
        "from typing import assert_type\nfrom autograd import Value, jit\nassert_type(Value(1.0).exp() * 2.0, Value)\n"
    )
    status, printed = run(*MYPY, "--python-executable", python, "user.py", folder=tmp_path)
    assert 0 == status, printed
    status, printed = run("-m", "pyright", "--pythonpath", python, "user.py", folder=tmp_path)
    assert 0 == status, printed
