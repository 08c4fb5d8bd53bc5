"""Object code on disk, so that the same program is compiled once per machine and not once per process."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
import warnings
from pathlib import Path

from autograd.jit import native
from autograd.jit.module import Module

FORMAT = b"autograd object 1\n"
OFF = ("off", "0", "no", "false")


def folder() -> Path | None:
    """The directory, made if need be; None if it is turned off or not safe.

    ``AUTOGRAD_CACHE`` names it or turns it off (``off``); else it is ``scalar-autograd`` in ``XDG_CACHE_HOME``, else
    in ``~/.cache``.
    """
    chosen = os.environ.get("AUTOGRAD_CACHE", "")
    if chosen.lower() in OFF:
        return None
    if chosen:
        path = Path(chosen)
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        path = (Path(base) if os.path.isabs(base) else Path("~/.cache").expanduser()) / "scalar-autograd"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except (OSError, RuntimeError):
        return None
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        warnings.warn(
            f"compiled code is not cached: {path} belongs to or can be written by others; "
            f"run chmod 700 on it, or set AUTOGRAD_CACHE to another directory or to off",
            stacklevel=2,
        )
        return None
    return path


def key(text: str) -> str:
    """The name of an entry: the module's text, the CPU and the versions."""
    parts = [text, *map(str, native.host()[1:]), native.versions(), sys.version, sys.byteorder]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def load(module: Module) -> native.Native:
    """The module's machine code, from disk if it is there and sound."""
    where = None if module.custom else folder()  # calls into Python have no address in another process
    if where is None:
        return native.load(module, native.generate(module))
    entry = where / key(module.text())
    code = _read(entry)
    if code is None:
        code = native.generate(module)
        _write(entry, code)
    return native.load(module, code)


def _read(entry: Path) -> bytes | None:
    """The object code, if the file is whole; whatever is wrong with it, it is compiled again."""
    try:
        content = entry.read_bytes()
    except OSError:
        return None
    head, code = content[: len(FORMAT) + 32], content[len(FORMAT) + 32 :]
    if head[: len(FORMAT)] != FORMAT or head[len(FORMAT) :] != hashlib.sha256(code).digest():
        return None
    return code


def _write(entry: Path, code: bytes) -> None:
    """All or nothing: another process sees the whole file or none."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=entry.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(FORMAT + hashlib.sha256(code).digest() + code)
        os.replace(temporary, entry)
    except OSError:  # a full or read-only disk: the next process compiles again
        return
