"""Files for the next process, which need not make again what this machine has made before.

The environment variable ``AUTOGRAD_CACHE`` names the directory or turns the cache off (``off``). By default it is
``scalar-autograd`` in ``XDG_CACHE_HOME`` or ``~/.cache``. It may be deleted at any time.

``AUTOGRAD_CACHE_SIZE`` is its largest size in bytes, by default ``1G``; ``K``, ``M`` and ``G`` stand for 2¹⁰, 2²⁰ and
2³⁰. The entries unused for longest are removed first.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import stat
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

FORMAT = b"autograd stored 2\n"
OFF = ("off", "0", "no", "false")
ENTRY, PARTIAL = re.compile("[0-9a-f]{64}"), re.compile(r"[0-9a-f]{64}\.\w+\.partial")  # no other file is ever removed
IMPORTED = time.time()  # roughly when this process imported the package
STALE = 3600.0  # seconds; an older partial file belongs to a process that was killed
LOOKS = 64  # checks of the directory's size, on average, while as many bytes are written as it may have
FULL = 0.9  # the part of its largest size to which it shrinks
# Opening does not wait for the writer of a pipe and does not follow links; not every system has all flags.
OPENING = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_NOCTTY", "O_BINARY"))


def folder() -> Path | None:
    """The directory, made if it does not exist; None if it is turned off or not safe."""
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
    if not _is_private(found):
        warnings.warn(
            f"nothing is cached: {path} belongs to or can be written by others; "
            f"run chmod 700 on it, or set AUTOGRAD_CACHE to another directory or to off",
            stacklevel=2,
        )
        return None
    return path


def _is_private(found: os.stat_result) -> bool:
    """Whether a directory or file belongs to this user, and nobody else can write to it."""
    if sys.platform == "win32":
        return True  # no such owners and modes; a user's folders are private
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def entry(*parts: str, made_by: Sequence[str] = ()) -> Path | None:
    """The file of an entry that depends on these texts, and on the `sources` that make it.

    None if nothing is kept on disk, or the sources are not known.
    """
    where = folder()
    made = "" if where is None or not made_by else sources(*made_by)
    if where is None or made is None:
        return None
    return where / hashlib.sha256("\0".join([*parts, made]).encode(errors="surrogatepass")).hexdigest()


@functools.cache
def sources(*parts: str) -> str | None:
    """A digest of the sources in these folders and modules of the package: what they make depends on them.

    None if they cannot be read, as in an archive, or have changed since this process imported them.
    """
    found = hashlib.sha256()
    try:
        for path in source_files(*parts):
            if path.stat().st_ctime > IMPORTED:
                return None
            found.update(path.read_bytes())
    except OSError:
        return None
    return found.hexdigest()


def source_files(*parts: str) -> Iterator[Path]:
    """The files of these folders and modules of the package."""
    root = Path(__file__).parent
    for part in parts:
        yield from sorted((root / part).rglob("*.py")) or [root / f"{part}.py"]


def largest() -> int:
    """The largest size of the directory in bytes.

    Raises
    ------
    ValueError
        If ``AUTOGRAD_CACHE_SIZE`` is not a size.
    """
    text = os.environ.get("AUTOGRAD_CACHE_SIZE", "").strip() or "1G"
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kmg]?)", text, re.IGNORECASE)
    if found is None:
        raise ValueError(f"AUTOGRAD_CACHE_SIZE is {text!r}, not a size: set it to bytes, or to a number with K, M or G")
    return int(float(found[1]) * 2.0 ** (10 * " kmg".index(found[2].lower() or " ")))


def read(entry: Path) -> bytes | None:
    """The content of a file; None if it is not valid."""
    try:
        descriptor = os.open(entry, OPENING)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or not _is_private(found) or found.st_size > largest():
            return None
        with open(descriptor, "rb", closefd=False) as file:
            head = file.read(len(FORMAT) + 32)
            content = file.read() if head.startswith(FORMAT) else b""
    except OSError:
        return None
    finally:
        os.close(descriptor)
    if head != FORMAT + _checksum(entry, content):
        return None
    with contextlib.suppress(OSError):
        os.utime(entry)  # it is the last used now
    return content


def _checksum(entry: Path, content: bytes) -> bytes:
    """Of a file's name and content: a sound file under the name of another would be run in its place."""
    return hashlib.sha256(entry.name.encode() + content).digest()


def write(entry: Path, content: bytes) -> None:
    """Write a file at once: another process sees all of it or none."""
    limit = largest()
    with contextlib.suppress(OSError):  # a full or read-only disk: the next process makes it again
        descriptor, partial = tempfile.mkstemp(prefix=f"{entry.name}.", suffix=".partial", dir=entry.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(FORMAT + _checksum(entry, content) + content)
            os.replace(partial, entry)
        except BaseException:
            os.unlink(partial)
            raise
    # The size is checked with a probability proportional to the bytes written, so no count is kept between processes.
    # The hash supplies the randomness.
    if int(entry.name[:8], 16) / 2**32 * limit < LOOKS * len(content):
        trim(entry.parent, limit)


def trim(where: Path, limit: int) -> None:
    """Remove partial files of killed processes and, if the directory is too large, the entries unused for longest."""
    entries: list[tuple[float, int, str]] = []
    with contextlib.suppress(OSError), os.scandir(where) as files:
        for file in files:
            with contextlib.suppress(OSError):  # another process has removed it
                found = file.stat(follow_symlinks=False)
                if ENTRY.fullmatch(file.name):
                    entries.append((found.st_mtime, found.st_size, file.path))
                elif PARTIAL.fullmatch(file.name) and found.st_mtime < time.time() - STALE:
                    os.unlink(file.path)
    total = sum(size for _, size, _ in entries)
    if total <= limit:
        return
    for _, size, path in sorted(entries):
        if total <= FULL * limit:
            return
        with contextlib.suppress(OSError):
            os.unlink(path)
        total -= size
