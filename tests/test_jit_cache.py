"""Machine code on disk is found again, made again, and stays within its size limit."""

import inspect
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from autograd import jit, storage

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has its own cache."""
    monkeypatch.setenv("AUTOGRAD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def start_python(code: str, **environment: str) -> Any:
    """Start a new Python process."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def run_python(code: str, **environment: str) -> str:
    """The output of a new Python process."""
    process = start_python(code, **environment)
    printed: str = process.communicate()[0]
    assert 0 == process.returncode
    return printed


# Functions without a source are not rewritten: of these, only machine code is stored.
scaled, shifted = eval("lambda x: x.exp() * 3.0"), eval("lambda x: x + 4.0")
CACHED = "from autograd import jit; import autograd.math as am; print(jit(lambda x: am.exp(x) * 3.0)(0.0))"


def test_cache(private_cache: Path) -> None:
    """The second process finds the object code; a truncated entry is made again; two processes can run at once."""
    first = [start_python(CACHED) for _ in range(2)]
    assert ["3.0\n"] * 2 == [process.communicate()[0] for process in first]
    (entry,) = list(private_cache.iterdir())
    assert 0o700 == stat.S_IMODE(private_cache.stat().st_mode)
    whole, number = entry.read_bytes(), entry.stat().st_ino
    assert "3.0\n" == run_python(CACHED)
    assert number == entry.stat().st_ino
    for broken in (whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 1])):
        entry.write_bytes(broken)
        assert 3.0 == jit(scaled)(0.0)
        assert [entry] == list(private_cache.iterdir())
        assert whole == entry.read_bytes()


def test_cache_off_and_unsafe(private_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache can be turned off, follows XDG_CACHE_HOME, and refuses a directory that others can write to."""
    assert "3.0\n" == run_python(CACHED, AUTOGRAD_CACHE="off")
    assert not private_cache.exists()
    assert "3.0\n" == run_python(CACHED, AUTOGRAD_CACHE="", XDG_CACHE_HOME=str(tmp_path))
    assert 1 == len(list((tmp_path / "scalar-autograd").iterdir()))
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv("AUTOGRAD_CACHE", str(shared))
    with pytest.warns(UserWarning, match="can be written by others"):
        assert 5.0 == jit(lambda x: x + 4.0)(1.0)
    assert [] == list(shared.iterdir())


@pytest.mark.parametrize("size", ["much", "-1", "1T", "1 2"])
def test_bad_sizes(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid size is refused, with the text and what to write instead."""
    monkeypatch.setenv("AUTOGRAD_CACHE_SIZE", size)
    with pytest.raises(ValueError, match=f"AUTOGRAD_CACHE_SIZE is '{size}', not a size: set it to bytes"):
        jit(lambda x: x + 4.0)(1.0)


def test_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes, or a number with a letter; a gigabyte by default."""
    sizes = {"": 2**30, "4096": 4096, "2k": 2048, "1.5M": 3 * 2**19, " 10G ": 10 * 2**30, "0": 0}
    for text, size in sizes.items():
        monkeypatch.setenv("AUTOGRAD_CACHE_SIZE", text)
        assert size == storage.largest()


def entry(where: Path, number: int, age: float, size: int = 1000) -> Path:
    """A file that looks like an entry, used `age` seconds ago."""
    path = where / f"{number:064x}"
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_unused_entries_go_first(private_cache: Path) -> None:
    """The oldest are removed until there is room, and the files of killed processes; other files stay."""
    private_cache.mkdir()
    entries = [entry(private_cache, k, age=1000.0 - k) for k in range(20)]
    foreign = [private_cache / "notes.txt", private_cache / ("f" * 63), private_cache / f"{1:064x}.partial"]
    left, fresh = (private_cache / f"{1:064x}.{name}.partial" for name in ("a_1", "b_2"))
    for path in (*foreign, left, fresh):
        path.write_bytes(bytes(5000))
    for path in (*foreign, left):
        os.utime(path, (0.0, 0.0))
    storage.trim(private_cache, 20_000)
    assert {*entries, *foreign, fresh} == set(private_cache.iterdir())
    storage.trim(private_cache, 10_000)
    assert {*entries[11:], *foreign, fresh} == set(private_cache.iterdir())
    storage.trim(private_cache / "missing", 0)


def test_a_hit_counts_as_a_use(private_cache: Path) -> None:
    """An entry that was compiled long ago but is used today stays."""
    jit(shifted)(1.0)
    (used,) = private_cache.iterdir()
    os.utime(used, (1.0, 1.0))
    others = [entry(private_cache, k, age=1000.0) for k in range(20)]
    jit(shifted)(1.0)
    storage.trim(private_cache, used.stat().st_size + 5000)
    assert used.exists()
    assert sum(other.exists() for other in others) <= 5


MANY = """
from autograd import jit
for k in range(30):
    assert jit(lambda x: x * (k % 10 + 2.0) + {})(1.0) == k % 10 + 2.0 + {}
"""


@pytest.mark.slow
def test_bound_with_several_processes(private_cache: Path) -> None:
    """Processes that write, read and remove the same files give right results and stay within the size limit."""
    processes = [start_python(MANY.format(k, k), AUTOGRAD_CACHE_SIZE="20K") for k in (1.0, 1.0, 2.0)]
    for process in processes:
        process.communicate()
        assert 0 == process.returncode
    files = list(private_cache.iterdir())
    assert files
    assert all(storage.ENTRY.fullmatch(file.name) for file in files)
    assert sum(file.stat().st_size for file in files) <= 20 * 1024


def test_entries_that_cannot_be_used(private_cache: Path) -> None:
    """An entry or directory that cannot be read or written costs only a compilation."""
    jit(shifted)(1.0)
    (used,) = private_cache.iterdir()
    used.chmod(0)
    assert 5.0 == jit(shifted)(1.0)
    used.unlink()
    used.mkdir()
    assert 5.0 == jit(shifted)(1.0)
    assert [used] == list(private_cache.iterdir())
    private_cache.chmod(0o500)
    assert 6.0 == jit(lambda x: x + 5.0)(1.0)
    private_cache.chmod(0o700)


def test_adopted_code_is_kept(private_cache: Path, tmp_path: Path) -> None:
    """The rewritten code of a module is found again by its source, and made again where the file is damaged."""
    module = tmp_path / "adoptable.py"
    code = "from autograd import adopt, Value; print(adopt('adoptable').f(Value(4.0)))"
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    for formula, result in (("x / 2", "2.0"), ("x / 2", "2.0"), ("x / 8", "0.5")):
        module.write_text(f"import math\n\ndef f(x):\n    return math.sqrt(({formula}) ** 2)\n")
        assert f"Value(data={result}, grad=0.0)\n" == run_python(code, PYTHONPATH=path)
    assert 2 == len(list(private_cache.iterdir()))
    for kept in private_cache.iterdir():
        kept.write_bytes(kept.read_bytes()[:-1])
    assert "Value(data=0.5, grad=0.0)\n" == run_python(code, PYTHONPATH=path)


def test_adopted_code_depends_on_how_python_was_started(private_cache: Path, tmp_path: Path) -> None:
    """Under ``python -O``, adopted code has no assertions; what was kept without the flag is not used."""
    (tmp_path / "asserting.py").write_text("def f(x):\n    assert x > 0\n    return 1 / x\n")
    code = """
from autograd import adopt
try:
    print(adopt("asserting").f(-2.0))
except AssertionError:
    print("refused")
"""
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    assert ["refused\n", "-0.5\n"] == [
        run_python(code, PYTHONPATH=path, PYTHONOPTIMIZE=optimise) for optimise in ("", "1")
    ]


def test_sources_that_changed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that runs old code stores nothing under the name of the new sources."""
    digest = inspect.unwrap(storage.sources)
    assert digest("ir", "rules") == digest("ir", "rules")
    assert digest("ir") != digest("rules") != digest("rules", "ieee")
    newest = max(path.stat().st_ctime for path in storage.source_files("ir"))
    monkeypatch.setattr(storage, "IMPORTED", newest - 1.0)
    assert digest("ir") is None
    monkeypatch.setattr(storage, "IMPORTED", newest)
    assert digest("ir") is not None
    assert digest("no such module") is None
