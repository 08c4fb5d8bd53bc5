"""Functions that were rewritten once are not rewritten again: not in the same process, and not in the next one."""

import marshal
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_jit_cache import private_cache, run_python  # noqa: F401  # the first is a fixture

import autograd.math as am
from autograd import jit, storage, vmap
from autograd.compiler.source import functions

Function = Callable[..., Any]


def branching(x: Any) -> Any:
    """Branches, loops, texts, lists and a `try`."""
    kind, found, total = "low", [], None
    for k in range(4):
        if x > k:
            kind = "high"
            found.append(x * k)
        if total is None:
            total = x
        else:
            total += am.sin(total)
    try:
        total = total / (x - 5.0 if kind == "high" and found[0] < 9.0 else x)
    except ZeroDivisionError:
        total = 0.0
    return total + sum(found)


class Shape:
    """A method with a private name and `super()`."""

    __size = 2.0

    def area(self, x: Any) -> Any:
        """A branch in a method."""
        return self.__size * x if x > 1.0 else -x


def scaled(by: float) -> Function:
    """A function with a variable from outside."""

    def inner(x: Any, power: int = 2) -> Any:
        while x > by:
            x = x / by
        return x**power

    return inner


def generator(x: Any) -> Any:
    """It stays as it is."""
    yield x


def with_own_range(x: Any) -> Any:
    """What it calls `range` is not Python's."""

    def range(n: int) -> list[int]:  # noqa: A001
        return [n, n]

    for k in range(3):
        if x > k:
            x = x * k
    return x


FUNCTIONS = [branching, Shape.area, scaled(3.0), generator, with_own_range, lambda x: x if x > 2.0 else am.exp(x)]


def code_of(made: functions.Rewritten | None) -> Any:
    """All of it as plain data."""
    return functions._packed(made)


@pytest.mark.parametrize("function", FUNCTIONS, ids=[f.__name__ for f in FUNCTIONS])
def test_the_same_code(function: Any, private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """What comes from disk is equal to what was written, in all places of its code and all of its sites."""
    expected = code_of(functions._rewritten(function))
    assert (expected is None) == (function is generator)
    assert expected == code_of(functions._made(function))
    assert 1 == len(list(private_cache.iterdir()))
    monkeypatch.setattr(functions, "_rewritten", None)
    found = functions._made(function)
    assert expected == code_of(found)
    if found is not None:
        made = functions._unpacked(marshal.loads(marshal.dumps(expected)))
        assert made is not None
        assert list(found.code.co_positions()) == list(made.code.co_positions())


def test_results_and_reports(private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Rows take the same branches, and the report names the same lines."""
    rows = np.linspace(-1.0, 4.1, 11)
    expected = [branching(x) for x in rows.tolist()]
    reports = []
    for _ in range(2):
        functions.codes.clear()
        compiled = jit(vmap(branching))
        assert expected == pytest.approx(compiled(rows).tolist(), rel=1e-13)
        reports.append((compiled.branches(), compiled.program()))
        monkeypatch.setattr(functions, "_rewritten", None)
    functions.codes.clear()
    assert reports[0] == reports[1]
    assert "line" in reports[0][0]


def test_what_the_code_depends_on(private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Its text, its place, what `range` is, whether it was adopted, and what rewrites: each makes another entry."""
    entries = {functions._entry(branching), functions._entry(Shape.area)}
    moved = branching.__code__.replace(co_firstlineno=1)
    entries.add(functions._entry(types.FunctionType(moved, globals())))
    entries.add(functions._entry(types.FunctionType(branching.__code__, {**globals(), "range": list})))
    marked = {**vars(__import__("builtins")), f"{functions.PREFIX}call": print}
    entries.add(functions._entry(types.FunctionType(branching.__code__, {**globals(), "__builtins__": marked})))
    lines = functions.linecache.getlines(__file__)
    with monkeypatch.context() as patch:
        patch.setattr(functions.linecache, "getlines", lambda *_: [*lines, "# more\n"])
        entries.add(functions._entry(branching))
    with monkeypatch.context() as patch:
        patch.setattr(storage, "sources", lambda *_: "others")
        entries.add(functions._entry(branching))
    assert 7 == len(entries)
    assert functions._entry(branching) in entries
    with monkeypatch.context() as patch:
        patch.setattr(storage, "sources", lambda *_: None)
        assert functions._entry(branching) is None
    assert functions._entry(eval("lambda x: x")) is None


def test_a_spoiled_file(private_cache: Path) -> None:  # noqa: F811
    """A file that is broken is written again."""
    function = scaled(2.0)
    expected = code_of(functions._made(function))
    (entry,) = private_cache.iterdir()
    whole = entry.read_bytes()
    for broken in (b"", whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
        entry.write_bytes(broken)
        assert expected == code_of(functions._made(function))
        assert whole == entry.read_bytes()


def test_too_deep_is_not_for_ever(private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Where the stack has no room left, a function stays as it is for now, and nothing is stored."""

    def too_deep(*given: Any) -> Any:
        raise RecursionError

    with monkeypatch.context() as patch:
        patch.setattr(functions, "rewritten", too_deep)
        assert functions._made(branching) is None
    assert not private_cache.exists() or not list(private_cache.iterdir())
    assert functions._made(branching) is not None


MODULE = """
def f(x):
    {}
    if x > 1.0:
        return 2.0 * x
    return x * {}
"""
CALL = """
import sys
sys.path.insert(0, {!r})
import numpy as np
from autograd import jit, vmap
from autograd.compiler.source import functions
rewritten, made = functions.rewritten, []
functions.rewritten = lambda *given: made.append(1) or rewritten(*given)
import written
compiled = jit(vmap(written.f))
print(compiled(np.array([0.5, 2.0])).tolist(), compiled.branches(), len(made))
"""


def test_the_next_process_and_a_changed_file(tmp_path: Path) -> None:
    """The next process rewrites nothing; after a change of the file it does, and tells the new lines."""
    file = tmp_path / "written.py"
    printed = []
    for first, factor in (("", 3.0), ("", 3.0), ("pass", 3.0), ("\n", 3.0), ("\n", 4.0), ("", 3.0)):
        file.write_text(MODULE.format(first, factor))
        printed.append(run_python(CALL.format(str(tmp_path)), PYTHONDONTWRITEBYTECODE="1").strip())
    assert [
        "[1.5, 4.0] line 4 of f: if is a branch 1",
        "[1.5, 4.0] line 4 of f: if is a branch 0",
        "[1.5, 4.0] line 4 of f: if is a branch 1",
        "[1.5, 4.0] line 5 of f: if is a branch 1",
        "[2.0, 4.0] line 5 of f: if is a branch 1",
        "[1.5, 4.0] line 4 of f: if is a branch 0",
    ] == printed
