"""A compiled row or step stands for all others: one that computes something else each time is refused."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import fori, grad, jit, scan, value_and_grad, vmap, while_loop
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
STATES = [*STEPS, object_in_rows, nested]


def read_after(k: Any) -> Any:
    """A variable that counts rows is read after them."""
    count = 0

    def row(x: Any) -> Any:
        nonlocal count
        count += 1
        return x * k

    return sum(vmap(row)(ROWS)) * count


def read_after_steps(k: Any) -> Any:
    """An element of a list, one of an array and an attribute count steps, and are read after them."""
    count, box, counts = [0], Box(), np.zeros(2)

    def step(i: Any, c: Any) -> Any:
        count[0] += 1
        box.count += 2
        counts[1] += 0.5
        return c * k

    return fori(7, step, k) * count[0] + box.count + counts[1]


def deciding(k: Any) -> Any:
    """A counter decides what rows and steps compute, by a comparison and by a flag."""
    counts, first = {"rows": 0}, [True]

    def row(x: Any) -> Any:
        counts["rows"] += 1
        return x * k if counts["rows"] < 4 else x + k

    def step(c: Any, x: Any) -> Any:
        if first[0]:
            first[0] = False
            return c * k, None
        return c + x * k, None

    return sum(vmap(row)(ROWS)) + scan(step, k, ROWS)[0]


def in_a_while_loop(k: Any) -> Any:
    """A counter ends a loop."""
    box = Box()

    def step(c: Any) -> Any:
        box.count += 1
        return c * k if box.count < 3 else c + 1.0

    return while_loop(lambda c: c < 9.0, step, k) * box.count


class Box:
    """A count."""

    def __init__(self) -> None:
        self.count = 0


REFUSED = r"computes something else when it runs again, at .*test_jit_repeats.py:\d+ in"


@pytest.mark.parametrize("function", STATES)
@pytest.mark.parametrize("form", [lambda f: f, grad])
def test_states_are_refused(function: Callable[[Any], Any], form: Callable[..., Any]) -> None:
    """What one row or step leaves for the next is not lost in silence, in values and in gradients."""
    with pytest.raises(TypeError, match=REFUSED):
        jit(form(function))(1.5)


@pytest.mark.parametrize("function", [counter, branching, read_after, read_after_steps, deciding, in_a_while_loop])
@pytest.mark.parametrize("form", [lambda f: f, grad])
def test_counters_of_a_call(function: Callable[[Any], Any], form: Callable[..., Any]) -> None:
    """Rows and steps that count run one after another, as in Python: in a single call and in the rows of a batch."""
    expected = [form(function)(k) for k in (1.5, 2.5)]
    assert expected == pytest.approx([jit(form(function), quiet=True)(k) for k in (1.5, 2.5)], rel=1e-13)
    batch = jit(vmap(form(function)), quiet=True)(np.array([1.5, 2.5]))
    assert expected == pytest.approx(list(batch), rel=1e-13)


def test_counters_from_outside() -> None:
    """Rows of a batch may count up an attribute from outside, once as it is said, but not read it besides."""
    box, counts = Box(), {"rows": 0}

    def counting(x: Any) -> Any:
        box.count += 1
        counts["rows"] += 1
        return 2.0 * x

    def reading(x: Any) -> Any:
        box.count += 1
        return x if box.count < 5 else 2.0 * x

    def reading_element(x: Any) -> Any:
        counts["rows"] += 1
        return x if counts["rows"] < 5 else 2.0 * x

    assert list(2.0 * ROWS) == list(jit(vmap(counting), quiet=True)(ROWS))
    for function in (reading, reading_element):
        for form in (vmap(function), lambda xs, function=function: vmap(function)(xs)):
            with pytest.raises(TypeError, match="such as a counter"):
                jit(form, quiet=True)(ROWS)


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


def first_row(k: Any) -> Any:
    """Rows less the first one."""
    kept: dict[str, Any] = {}

    def row(x: Any) -> Any:
        return (x - kept.setdefault("first", x)) * k

    return sum(vmap(row)(ROWS))


def of_first_row(k: Any) -> Any:
    """All rows take a number that the first has computed."""
    kept: dict[str, Any] = {}

    def row(x: Any) -> Any:
        if "sine" not in kept:
            kept["sine"] = am.sin(x * k)
        return kept["sine"] * (x if x > 1.0 else k)

    return sum(vmap(row)(ROWS))


def element_of_first_row(k: Any) -> Any:
    """The same with rows of an array."""
    kept: dict[str, Any] = {}
    return sum(vmap(lambda row: sum(row) * k - kept.setdefault("first", row[1]))(np.arange(24.0).reshape(6, 4)))


def first_carry(k: Any) -> Any:
    """Steps of a scan less the first carry."""
    kept: dict[str, Any] = {}
    return scan(lambda c, x: (c + x * k - kept.setdefault("first", c), None), 1.0, ROWS)[0]


def first_count(k: Any) -> Any:
    """Steps of a fori that take the first counter."""
    kept: dict[str, Any] = {}
    return fori(7, lambda i, c: c + kept.setdefault("first", i * k) + i, 1.0)


def first_while(k: Any) -> Any:
    """Steps that take the carry of the first."""
    kept: dict[str, Any] = {}
    return while_loop(lambda c: c < 20.0, lambda c: c + kept.setdefault("first", c * k), 1.0)


def second_condition(k: Any) -> Any:
    """A bound that the second test sets."""
    kept: dict[Any, Any] = {}

    def goes_on(c: Any) -> Any:
        kept.setdefault(len(kept) > 0, c * 2.0 + k)
        return c < kept.get(True, 50.0) + 20.0

    return while_loop(goes_on, lambda c: c * 1.5, 1.0)


KEPT = [first_row, of_first_row, element_of_first_row, first_carry, first_count, first_while, second_condition]


@pytest.mark.parametrize("function", KEPT)
@pytest.mark.parametrize("form", [lambda f: f, grad])
def test_what_the_first_row_keeps(function: Callable[[Any], Any], form: Callable[..., Any]) -> None:
    """What one row or step computes and keeps for all is refused: compiled, each would have its own."""
    with pytest.raises(TypeError, match=REFUSED):
        jit(form(function), quiet=True)(1.5)


def test_rows_that_keep_what_they_share() -> None:
    """What the first row or step computes of what all of them share may be kept for the others."""

    def rows(k: Any) -> Any:
        kept: dict[str, Any] = {}

        def row(x: Any) -> Any:
            if "sine" not in kept:
                kept["sine"] = am.sin(k)
            return kept["sine"] * (x if x > 1.0 else k)

        return sum(vmap(row)(ROWS)) + scan(lambda c, x: (c * kept.setdefault("k", k * 2.0) + x, None), k, ROWS)[0]

    def bound(k: Any) -> Any:
        kept: dict[str, Any] = {}
        return while_loop(lambda c: c < kept.setdefault("bound", 20.0 * k + c), lambda c: c * 1.5, 1.0)

    for function in (rows, bound):
        for form in (lambda f: f, grad):
            assert form(function)(1.5) == pytest.approx(jit(form(function), quiet=True)(1.5), rel=1e-13)


class Recorder:
    """Squares, and a list of what it was called with."""

    def __init__(self) -> None:
        self.history: list[Any] = []

    def __call__(self, x: Any) -> Any:
        """The square."""
        self.history.append(x)
        return x * x


def ones_in_rows(k: Any) -> Any:
    """Rows add to a list that is counted."""
    ones: list[float] = []
    return sum(vmap(lambda x: ones.append(1.0) or x * k)(ROWS)) * len(ones)


def numbers_in_rows(k: Any) -> Any:
    """Rows add numbers that are read."""
    seen: list[Any] = []
    return sum(vmap(lambda x: seen.append(x * k) or x)(ROWS)) + seen[1] * seen[-1]


def numbers_in_steps(k: Any) -> Any:
    """Steps of two kinds of loops do."""
    seen: list[Any] = []
    total, _ = scan(lambda c, x: (seen.append(c * k) or c + x, None), 0.0, ROWS)
    return fori(7, lambda i, c: seen.append(c) or c * k + i, total) + sum(seen)


def numbers_of_an_object(k: Any) -> Any:
    """An object notes what it is called with."""
    recorder = Recorder()
    return sum(vmap(lambda x: recorder(x * k))(ROWS)) + len(recorder.history) * recorder.history[-2]


@pytest.mark.parametrize("function", [ones_in_rows, numbers_in_rows, numbers_in_steps, numbers_of_an_object])
@pytest.mark.parametrize("form", [lambda f: f, grad])
def test_lists_that_rows_add_to(function: Callable[[Any], Any], form: Callable[..., Any]) -> None:
    """A list of the call to which rows or steps add has the elements that it has in Python."""
    assert form(function)(1.5) == pytest.approx(jit(form(function), quiet=True)(1.5), rel=1e-13)


def test_lists_from_outside() -> None:
    """A list from outside has the elements of one row of each capture, as it is said; it had those of two."""
    log: list[float] = []

    def row(x: Any) -> Any:
        log.append(1.0)
        return 2.0 * x

    for function in (vmap(row), lambda xs: vmap(row)(xs)):
        log.clear()
        compiled = jit(function, quiet=True)
        assert list(2.0 * ROWS) == list(compiled(ROWS)) == list(compiled(ROWS))
        assert [1.0] == log


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
        seen: dict[str, Any] = {}

        def row(x: Any) -> Any:
            print("row")
            seen.update(k=k)
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


def test_rows_with_loops_in_their_gradient_run_again() -> None:
    """What a second run leaves is dropped where loops have replaced flat code: the gradient is that of plain Python."""

    def row(x: Any) -> Any:
        table = [[am.sin(a * b) for b in x] for a in x]
        for k in range(300):  # assigned elements: the row runs again
            i, j = k % 4, (3 * k + 1) % 4
            table[i][j] = am.tanh(table[j][(i + 1) % 4] + 0.5 * am.sin(table[i][j]) * x[(k * k) % 4])
        return sum(map(sum, table))

    rows = np.array([[0.3, -0.8, 1.1, 0.6], [0.5, 0.2, -0.4, 0.9]])
    function = vmap(value_and_grad(row))
    compiled = jit(function)
    for expected, actual in zip(function(rows), compiled(rows), strict=True):
        np.testing.assert_allclose(expected, actual, rtol=1e-12)
    assert "for " in compiled.program()
