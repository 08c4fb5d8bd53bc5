"""Anything in the place of a cached file costs only a compilation: nothing hangs, and the file is not run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autograd import jit, storage

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and links as Unix has them")
PROGRAM = "from autograd import jit; print(jit(lambda x: x * 3.0 + 4.0)(1.0))"


def run(where: Path) -> str:
    """The output of a process with this cache directory; a failure if it takes too long."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "AUTOGRAD_CACHE": str(where)}
    return subprocess.check_output([sys.executable, "-c", PROGRAM], env=environment, text=True, timeout=60)


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    """A valid entry."""
    assert "7.0\n" == run(tmp_path / "cache")
    (found,) = (tmp_path / "cache").iterdir()
    return found


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        os.chdir(path.parent)  # the path of a socket must be short
        end.bind(path.name)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.write(storage.FORMAT)
        file.truncate(2**40)


REPLACEMENTS: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo if hasattr(os, "mkfifo") else Path.touch,
    "socket": _socket,
    "directory": Path.mkdir,
    "link to a fifo": lambda path: (os.mkfifo(path.parent.parent / "fifo"), path.symlink_to("../fifo")),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to nothing": lambda path: path.symlink_to("nothing"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "huge file": _sparse,
    "empty file": Path.touch,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REPLACEMENTS)
def test_other_kinds_of_file(name: str, entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipes, sockets, devices, directories, links and files that are far too large are ignored, then replaced."""
    monkeypatch.chdir(entry.parent)
    sound = entry.read_bytes()
    entry.unlink()
    REPLACEMENTS[name](entry)
    assert "7.0\n" == run(entry.parent)
    assert name == "directory" or (entry.is_file() and not entry.is_symlink() and sound == entry.read_bytes())


def test_link_to_a_sound_entry(entry: Path) -> None:
    """A link is not followed, even to a valid entry."""
    other = entry.rename(entry.parent.parent / entry.name)
    entry.symlink_to(other)
    assert storage.read(entry) is None
    assert storage.read(other) is not None


def test_an_entry_under_another_name(entry: Path) -> None:
    """A sound entry that has the name of another is made again: its code computes something else."""
    other = entry.rename(entry.parent / ("0" * 64))
    assert storage.read(other) is None
    assert storage.read(other.rename(entry)) is not None


def test_files_of_others(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If another user owns a file, or may write to it, the program is compiled again."""
    assert storage.read(entry) is not None
    entry.chmod(0o622)
    assert storage.read(entry) is None
    entry.chmod(0o600)
    assert storage.read(entry) is not None
    own = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: own + 1)
    assert storage.read(entry) is None


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() != 0, reason="only root can give files away")
def test_a_file_that_really_is_of_another_user(entry: Path) -> None:
    """The same with a file of another user, and with one larger than the limit of the whole cache."""
    os.chown(entry, 65534, -1)
    assert storage.read(entry) is None
    assert "7.0\n" == run(entry.parent)
    assert os.getuid() == entry.stat().st_uid


def test_no_descriptor_is_left_open(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a thousand entries of all kinds opens no more files than it closes."""
    monkeypatch.setenv("AUTOGRAD_CACHE", str(entry.parent))
    fifo, cut = entry.parent / ("a" * 64), entry.parent / ("b" * 64)
    os.mkfifo(fifo)
    cut.write_bytes(entry.read_bytes()[:-1])
    first = os.open(entry, os.O_RDONLY)
    os.close(first)
    for _ in range(1000):
        assert [False, True, True] == [storage.read(path) is None for path in (entry, fifo, cut)]
    then = os.open(entry, os.O_RDONLY)
    os.close(then)
    assert first == then
    assert 7.0 == jit(lambda x: x * 3.0 + 4.0)(1.0)
