"""A compiled row or step stands for all others: one that computes something else each time is refused."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import fori, grad, jit, scan, vmap, while_loop
from autograd.compiler.capture.repeats import same_computation
from autograd.ir.block import Instruction

ROWS = np.linspace(0.5, 3.0, 6)


class Integral:
    """A controller with a state."""

    def __init__(self) -> None:
        self.total = 0.0

    def __call__(self, x: Any) -> Any:
        """The sum of all inputs so far."""
        self.total = self.total + 0.1 * x
        return self.total


def object_in_rows(k: Any) -> Any:
    """An object adds up rows."""
    integral = Integral()
    return sum(vmap(lambda x: integral(x * k))(ROWS))


def object_in_steps(k: Any) -> Any:
    """An object adds up steps of a scan."""
    integral = Integral()
    return scan(lambda c, x: (c + integral(x * k), None), 0.0, ROWS)[0]


def object_in_fori(k: Any) -> Any:
    """An object adds up steps of a fori."""
    integral = Integral()
    return fori(6, lambda i, c: c + integral(k), 0.0)


def object_in_while(k: Any) -> Any:
    """An object adds up steps of a loop that goes on while a condition holds."""
    integral = Integral()
    return while_loop(lambda c: c < 3.0, lambda c: c + integral(k), 0.0)


def condition(k: Any) -> Any:
    """The condition of a loop counts."""
    left = [10.0]

    def goes_on(c: Any) -> Any:
        left[0] = left[0] - k
        return left[0] > 0.0

    return while_loop(goes_on, lambda c: c + 1.0, 0.0)


def counter(k: Any) -> Any:
    """A variable counts rows."""
    count = 0

    def row(x: Any) -> Any:
        nonlocal count
        count += 1
        return count * x * k

    return sum(vmap(row)(ROWS))


def iterator(k: Any) -> Any:
    """Each row takes the next number of an iterator."""
    numbers = itertools.count(1)
    return sum(vmap(lambda x: x * next(numbers) * k)(ROWS))


def used_up(k: Any) -> Any:
    """Each step takes a number from a list."""
    weights = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    return scan(lambda c, x: (c + x * weights.pop() * k, None), 0.0, ROWS)[0]


def used_up_at_once(k: Any) -> Any:
    """The second row finds nothing."""
    weights = {"a": 1.0}
    return sum(vmap(lambda x: x * weights.pop("a") * k)(ROWS[:1].repeat(6)))


def branching(k: Any) -> Any:
    """Rows that branch, and count."""
    count = [0]

    def row(x: Any) -> Any:
        count[0] += 1
        return x * k if x > 1.5 else count[0] * k

    return sum(vmap(row)(ROWS))


def nested(k: Any) -> Any:
    """The rows of a map in the steps of a loop."""

    def step(c: Any, x: Any) -> Any:
        integral = Integral()
        return c + sum(vmap(lambda y: integral(x * y * k))(ROWS)), None

    return scan(step, 0.0, ROWS)[0]


STEPS = [object_in_steps, object_in_fori, object_in_while, condition]
STATES = [*STEPS, object_in_rows, counter, branching, nested]
REFUSED = r"computes something else when it runs again, at .*test_jit_repeats.py:\d+ in"


@pytest.mark.parametrize("function", STATES)
@pytest.mark.parametrize("form", [lambda f: f, grad])
def test_states_are_refused(function: Callable[[Any], Any], form: Callable[..., Any]) -> None:
    """What one row or step leaves for the next is not lost in silence, in values and in gradients."""
    with pytest.raises(TypeError, match=REFUSED):
        jit(form(function))(1.5)


@pytest.mark.parametrize("function", [iterator, used_up])
@pytest.mark.parametrize("form", [lambda f: f, grad])
def test_what_is_used_up(function: Callable[[Any], Any], form: Callable[..., Any]) -> None:
    """Rows and steps that take from an iterator or a list run one after another, as in Python."""
    assert form(function)(1.5) == pytest.approx(jit(form(function))(1.5), rel=1e-14)


def test_what_is_used_up_at_once() -> None:
    """The second row raises what it raises in Python."""
    with pytest.raises(KeyError, match="a"):
        jit(used_up_at_once)(1.5)


@pytest.mark.parametrize("function", STEPS)
def test_states_of_steps_in_rows(function: Callable[[Any], Any]) -> None:
    """Loops in the rows of a batch are no exception."""
    with pytest.raises(TypeError, match=REFUSED):
        jit(vmap(function))(np.array([1.5, 2.5]))


def test_rows_of_a_batch() -> None:
    """An object from outside that adds up the rows of a call is refused, and so is one that counts them."""
    integral = Integral()
    with pytest.raises(TypeError, match="such as a counter, an iterator or an attribute"):
        jit(vmap(lambda x: integral(x)))(ROWS)


def test_few_rows_run_one_after_another() -> None:
    """Fewer rows than a loop needs keep their state."""

    def function(k: Any) -> Any:
        integral = Integral()
        return sum(vmap(lambda x: integral(x * k))(ROWS[:3]))

    assert function(1.5) == jit(function)(1.5)


def test_what_is_no_state() -> None:
    """Lists of a row itself, tables that are filled once, logs and derivatives inside a row are as before."""
    log: list[Any] = []
    table: dict[int, float] = {}

    def power(n: int) -> float:
        if n not in table:
            table[n] = 0.5**n
        return table[n]

    def row(x: Any) -> Any:
        parts = []
        for n in range(3):
            parts.append(power(n) * x)
        log.append(x)
        slope = grad(lambda t: am.sin(t) * parts[1])(x)
        inner, _ = scan(lambda c, p: (c * p + slope, None), x, np.ones(5))
        return inner + (am.tanh(x) if x > 1.0 else parts.pop())

    def function(k: Any) -> Any:
        return sum(vmap(lambda x: row(x * k))(ROWS))

    assert function(1.5) == pytest.approx(jit(function)(1.5), rel=1e-14)
    assert grad(function)(1.5) == pytest.approx(jit(grad(function))(1.5), rel=1e-13)
    assert vmap(row)(ROWS) == pytest.approx(jit(vmap(row))(ROWS), rel=1e-14)


def test_printing_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """What a row prints is printed once."""

    def function(k: Any) -> Any:
        parts: list[Any] = []

        def row(x: Any) -> Any:
            print("row")
            parts.append(1.0)
            return x * k

        return sum(vmap(row)(ROWS))

    assert function(2.0) == jit(function)(2.0)
    assert 7 == capsys.readouterr().out.count("row")


def test_the_same_computation() -> None:
    """Instructions are compared with their data, and zeros of other signs and other orders are told apart."""
    zero, minus, nan, again = (Instruction("constant", (), x) for x in (0.0, -0.0, float("nan"), float("nan")))
    code = [
        Instruction("input", (), 0),
        zero,
        minus,
        nan,
        again,
        Instruction("sub", (0, 1)),
        Instruction("sub", (1, 0)),
    ]
    assert not same_computation(code, [1], code, [2])
    assert same_computation(code, [3, 5], code, [4, 5])
    assert not same_computation(code, [5], code, [6])
    assert not same_computation(code, [5], code, [5, 5])


def test_a_loop_between_guards_is_the_same_loop() -> None:
    """A loop takes steps only where the guards before it hold, also in the run that is compared: no more paths."""
    seen: list[Any] = []
    held = [1.0]

    def row(x: Any) -> Any:
        while x > 1.0:
            x = 0.5 * x * held[0]
        if x > 0.75:
            seen.clear()
        while x < 3.0:
            x = x * 1.5
        held[0] = 1.0
        return x

    for function in (vmap(row), lambda xs: vmap(row)(xs)):
        compiled = jit(function, quiet=True)
        assert [row(x) for x in ROWS.tolist()] == list(compiled(ROWS))
        assert len(compiled.paths()) <= 2, compiled.branches()
        assert "while is a loop" in compiled.branches()


def test_sides_that_are_too_long() -> None:
    """A row with a side that is too long for a branch is the same row when it runs again: its other branches stay."""

    def row(x: Any) -> Any:
        seen: dict[str, Any] = {}
        seen.update(x=x)  # code that may change something runs again
        y = x
        if x > 1.0:
            for _ in range(600):
                y = 0.5 * am.sin(y) + x
        return 2.0 * y if x < 2.0 else -y

    compiled = jit(vmap(row), quiet=True)
    assert vmap(row)(ROWS) == pytest.approx(compiled(ROWS), rel=1e-12)
    assert 2 == compiled.stats()["paths"]
    assert "if is a guard: it takes more than 1024 instructions" in compiled.branches()
