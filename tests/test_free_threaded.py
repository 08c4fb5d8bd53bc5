"""Python without a GIL runs the pure build, and says why."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "AUTOGRAD_PURE_PYTHON": "0"}
FAKED = """
import sys
sys.version = "3.14.0 free-threading build (main) [GCC 12.2.0]"
import autograd
x = autograd.Value(3.0)
(x * x).backward()
print(autograd.backend(), x.grad, autograd.native.why_python)
"""


def test_the_c_build_is_refused() -> None:
    """In a free-threaded Python no C is loaded, even if it has been built."""
    printed = subprocess.check_output([sys.executable, "-c", FAKED], cwd=ROOT, env=ENVIRONMENT, text=True)
    assert "python 6.0 free-threaded Python: the C relies on the GIL\n" == printed


def test_the_compiler_has_no_short_way() -> None:
    """The compiler works there too, without the fast path."""
    more = FAKED + "from autograd import jit\nfrom autograd.compiler import c_build\n"
    more += "print(jit(lambda x: x * x)(3.0), c_build.why_python)\n"
    printed = subprocess.check_output([sys.executable, "-c", more], cwd=ROOT, env=ENVIRONMENT, text=True)
    assert "9.0 free-threaded Python: the C relies on the GIL" == printed.splitlines()[1]


def test_the_c_build_is_not_built(tmp_path: Path) -> None:
    """There setup.py builds no C."""
    checkout = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.so", "*.pyd")
    shutil.copytree(ROOT, checkout, ignore=ignored)
    faked = (
        "import sys, sysconfig\n"
        "sysconfig.get_config_vars()['Py_GIL_DISABLED'] = 1\n"
        "sys.argv = ['setup.py', '-q', 'build_ext', '--inplace']\n"
        "exec(compile(open('setup.py').read(), 'setup.py', 'exec'))\n"
    )
    subprocess.run([sys.executable, "-c", faked], cwd=checkout, check=True)
    assert [] == [path for path in (checkout / "autograd").rglob("_*") if path.suffix in {".so", ".pyd"}]
