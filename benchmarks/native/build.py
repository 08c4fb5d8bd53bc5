"""Compile the C++ reference programs of this folder and open them with ctypes.

Each ``NAME.cpp`` becomes one shared library in a cache folder of the user's temporary directory, keyed by
the source, the flags, the compiler and the processor, so that an edited file is built again and an old one is not.
"""

from __future__ import annotations

import ctypes
import getpass
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from contextvars import ContextVar
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FLAGS = ("-std=c++17", "-O3", "-march=native", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror")
SOURCES = Path(__file__).resolve().parent

# Further flags of the libraries that are opened in this context.
further: ContextVar[tuple[str, ...]] = ContextVar("further", default=())

Doubles = ctypes.POINTER(ctypes.c_double)


def load(name: str) -> ctypes.CDLL:
    """Build ``NAME.cpp`` if it is not in the cache and open it.

    Parameters
    ----------
    name : str
        A source of this folder without its suffix, such as ``"mlp"``.

    Raises
    ------
    FileNotFoundError
        If there is no such source, or no C++ compiler (set ``CXX`` to one).
    RuntimeError
        If the compiler refuses the source; the message holds what it said.
    """
    source = SOURCES / f"{name}.cpp"
    if not source.exists():
        known = ", ".join(sorted(path.stem for path in SOURCES.glob("*.cpp")))
        raise FileNotFoundError(f"no benchmark source {source.name}; there are: {known}")
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise FileNotFoundError("no C++ compiler found: install g++ or set CXX to a compiler")
    library = cache_folder() / f"{name}-{_key(source, compiler)}.so"
    if not library.exists():
        _compile(compiler, source, library)
    return ctypes.CDLL(str(library))


def pointer(array: NDArray[np.float64]) -> ctypes._Pointer[ctypes.c_double]:
    """Return the address of a C-contiguous float64 array; the caller keeps the array alive."""
    if array.dtype != np.float64 or not array.flags.c_contiguous:
        raise TypeError(f"expected a C-contiguous float64 array, got {array.dtype} {array.strides}")
    return array.ctypes.data_as(Doubles)


def _compile(compiler: str, source: Path, library: Path) -> None:
    """Build under a private name first, so that a second run never loads an unfinished library."""
    partial = library.with_suffix(f".{os.getpid()}.tmp")
    command = [compiler, *FLAGS, *further.get(), "-o", str(partial), str(source)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{outcome.stderr}")
    partial.replace(library)


def _key(source: Path, compiler: str) -> str:
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True).stdout
    parts = [source.read_bytes(), " ".join((*FLAGS, *further.get())).encode(), version, _processor().encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _processor() -> str:
    """What ``-march=native`` depends on."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        return "".join(sorted({line for line in lines if line.startswith(("model name", "flags"))}))
    return platform.processor() or platform.machine()


def cache_folder() -> Path:
    """A folder that only this user can write to."""
    folder = Path(tempfile.gettempdir()) / f"autograd-benchmarks-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.stat()
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
        raise PermissionError(f"{folder} can be written to by others: remove it and run again")
    return folder
