"""A first call that takes long says so once, on stderr; an unrolled map says why."""

import copy
import pickle
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import Value, custom_gradient, grad, hessian, hvp, jacobian, jit, value_and_grad, vmap
from autograd.compiler.run import specialization

ROWS = [[1.0, 2.0], [-1.0, 3.0], [0.5, -2.0], [4.0, 1.0], [-2.0, -3.0]]


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has its own cache, and no environment variable silences the notices."""
    monkeypatch.setenv("AUTOGRAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AUTOGRAD_QUIET", raising=False)


@pytest.fixture
def foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every compilation be expected to take long."""
    monkeypatch.setattr(specialization, "SECONDS_AN_INSTRUCTION", 3600.0)


@pytest.fixture
def surprising(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every compilation turn out to have taken long, without being expected to."""
    monkeypatch.setattr(specialization, "SECONDS_AN_INSTRUCTION", -1e9)
    monkeypatch.setattr(specialization, "NOTICE_AFTER", 0.0)


@custom_gradient(lambda x, y: 1.0)
def same(x: float) -> float:
    """A primitive that changes nothing."""
    return x


def branching(k: Any, rows: Any) -> Any:
    """A loss whose rows branch on their own numbers, around a primitive written in Python."""
    return vmap(lambda row: same(row[0]) * k if row[0] > 0.0 else row[1], reduce="sum")(rows) * k


def bent(k: Any, rows: Any) -> Any:
    """A loss whose rows do not branch."""
    return vmap(lambda row: am.sin(row[0] * k) * row[1] * k, reduce="sum")(rows)


@pytest.mark.usefixtures("foreseen")
def test_before_the_long_part(capsys: pytest.CaptureFixture[str]) -> None:
    """If a long compilation is expected, one notice before it gives the reason and what would be shorter."""
    step = jit(branching)
    assert branching(2.0, ROWS) == step(2.0, ROWS)
    told = capsys.readouterr().err
    assert told.startswith("autograd: compiling branching takes about ")
    assert 1 == told.count("\n")
    assert "5 rows of a vmap were unrolled because of the comparison at " in told
    assert "test_jit_notices.py" in told
    assert "row[0] > 0.0" in told
    assert "autograd.math.where" in told
    step(3.0, ROWS)
    assert "" == capsys.readouterr().err


@pytest.mark.usefixtures("surprising")
def test_after_the_long_part(capsys: pytest.CaptureFixture[str]) -> None:
    """If it was not expected, the notice comes afterwards; for a function without a map it suggests vmap."""
    assert 6.0 == jit(lambda x: x * 2.0)(3.0)
    told = capsys.readouterr().err
    assert re.match(r"autograd: compiling <lambda> took \d+ s: 1 instructions; ", told)
    assert "autograd.vmap" in told
    jit(vmap(lambda x: x * 2.0))(np.array([1.0, 2.0]))
    told = capsys.readouterr().err
    assert re.match(r"autograd: compiling <lambda> took \d+ s: 1 instructions\n", told)


def outer(x: Any, w: Any) -> Any:
    """Any function of two numbers."""
    return x**4 * w


@pytest.mark.usefixtures("surprising")
@pytest.mark.parametrize(
    ("function", "words"),
    [
        (outer, "outer"),
        (grad(outer), "the gradient of outer"),
        (value_and_grad(outer), "outer with its gradient"),
        (jacobian(outer), "the Jacobian of outer"),
        (hessian(outer), "the Hessian of outer"),
        (jacobian(hessian(outer)), "the Jacobian of the Hessian of outer"),
    ],
)
def test_what_is_compiled_has_the_name_that_the_user_gave(
    function: Any, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says what is done with it; so do the programs for results that are Values, and rows."""
    compiled = jit(function)
    compiled(3.0, 2.0)
    assert re.match(rf"autograd: compiling {words} took \d+ s", capsys.readouterr().err)
    compiled(Value(3.0), Value(2.0)).backward() if function is outer else None
    told = capsys.readouterr().err
    assert re.match(rf"autograd: compiling {words} with the derivatives of its result took \d+ s" if told else "", told)
    w = Value(2.0)
    rows = jit(vmap(lambda x: outer(x, w)))(np.array([1.0, 2.0]))
    assert [2.0, 32.0] == [y.data for y in rows]
    assert re.search(r"compiling <lambda> with the derivatives of its result took \d+ s", capsys.readouterr().err)


def test_errors_name_the_users_function() -> None:
    """Also where it is traced for a result that is a Value."""

    def draws(x: Any) -> Any:
        return x * random.random()

    with pytest.raises(TypeError, match=r"^draws draws random numbers"):
        jit(draws)(Value(1.0))


@pytest.mark.usefixtures("foreseen")
def test_machine_code_on_disk_is_not_long(capsys: pytest.CaptureFixture[str]) -> None:
    """There is no notice if nothing must be compiled."""
    jit(bent)(2.0, ROWS)
    assert capsys.readouterr().err
    jit(bent)(2.0, ROWS)
    assert "" == capsys.readouterr().err


@pytest.mark.usefixtures("surprising")
def test_quiet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no notice with the option of jit, with the environment variable, or if nothing takes long."""
    w = Value(2.0)
    quiet = jit(branching, quiet=True)
    quiet(2.0, ROWS)
    jit(lambda x: x * w, quiet=True)(2.0)
    jit(vmap(lambda x: x * 2.0), quiet=True)(np.array([1.0, 2.0]))
    pickle.loads(pickle.dumps(jit(am.sin, quiet=True)))
    assert quiet.stats()["unrolled"] == copy.copy(quiet).stats()["unrolled"]
    monkeypatch.setenv("AUTOGRAD_QUIET", "1")
    jit(branching)(2.0, ROWS)
    monkeypatch.delenv("AUTOGRAD_QUIET")
    monkeypatch.setattr(specialization, "NOTICE_AFTER", 3600.0)
    jit(branching)(2.0, ROWS)
    assert "" == capsys.readouterr().err


def test_unrolling_says_why() -> None:
    """The program's text and its stats name the line that unrolled a map, and the number of rows."""
    compiled = jit(value_and_grad(branching))
    compiled(2.0, ROWS)
    (reason,) = compiled.stats()["unrolled"]
    assert reason.startswith("5 rows of a vmap were unrolled because of the comparison at ")
    assert "test_jit_notices.py" in reason
    assert f"# {reason}" == compiled.program().splitlines()[0]
    loop = jit(bent)
    loop(2.0, ROWS)
    assert [] == loop.stats()["unrolled"]
    assert "#" not in loop.program()


@pytest.mark.parametrize("derivative", [hvp, lambda f: lambda x, v, rows: grad(grad(f))(x, rows) * v])
def test_sweeps_keep_loops(derivative: Callable[..., Any]) -> None:
    """Neither a forward sweep nor a reverse one unrolls a map."""
    compiled = jit(lambda x: derivative(bent)(x, 1.0, ROWS))
    assert derivative(bent)(0.5, 1.0, ROWS) == pytest.approx(compiled(0.5), rel=1e-12)
    assert [] == compiled.stats()["unrolled"]
    assert " in 0.." in compiled.program()


def test_what_happens_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A function that collects or counts while it is traced says so; a cache that it fills does not matter."""
    seen: list[float] = []
    cache: dict[str, float] = {}

    class Model:
        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, x: Any) -> Any:
            self.calls += 1
            return 2.0 * x

    def collecting(x: Any) -> Any:
        seen.append(1.0)
        return x * cache.setdefault("factor", 3.0)

    model = Model()
    assert (6.0, 4.0) == (jit(collecting)(2.0), jit(lambda x: model(x))(2.0))
    told = capsys.readouterr().err.splitlines()
    assert ["collecting changes seen[]", "<lambda> changes model.calls"] == [
        line.removeprefix("autograd: ").partition(" while")[0] for line in told
    ]
