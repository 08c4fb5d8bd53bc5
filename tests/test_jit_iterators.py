"""Iterators in compiled functions: what one run has taken is gone for a side, a step or a run that comes later."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from autograd import adopt, fori, jit, scan, value_and_grad, vmap

ROWS = np.array([-2.0, -1.0, 0.5, 3.0])


def _zip_in_both_sides(x: Any) -> Any:
    pairs = zip([1.0, 2.0], [3.0, 4.0])
    if x > 0:
        for a, b in pairs:
            x = x + a * b
    else:
        for a, b in pairs:
            x = x - a * b
    return x


def _enumerate_in_steps(x: Any) -> Any:
    pairs = enumerate([1.0, 2.0])
    while x < 4.0:
        for k, v in pairs:
            x = x + v * k
        x = x + 1.0
    return x


def _map_in_an_expression(x: Any) -> Any:
    numbers = map(abs, [1.0, 2.0, 3.0])
    return x * (sum(numbers) if x > 0 else -sum(numbers))


def _generator_in_both_sides(x: Any) -> Any:
    numbers = (a * x for a in [1.0, 2.0, 3.0])
    y = 0.0
    if x > 0:
        y = y + sum(numbers)
    else:
        y = y - sum(numbers)
        y = y - 1.0
    return x * y


def _in_a_test(x: Any) -> Any:
    numbers, y = iter([0.1, 0.2, 0.3]), x
    while y < 3.0 and any(q > 0.15 for q in numbers):
        y = y + 1.0
    return x * y


def _in_a_comprehension(x: Any) -> Any:
    numbers, y = iter([0.1, 0.2]), x
    while y < 3.0:
        y = y + 1.0 + len([a for a in numbers if a > 0.0])
    return x * y


def _in_a_star(x: Any) -> Any:
    numbers = iter([0.1, 0.2])
    return x * (max(*numbers, 0.0) if x > 0.0 else min(*numbers, 0.0))


def _in_a_list(x: Any) -> Any:
    numbers = zip([0.1, 0.2], [0.3, 0.4])
    return x * (len(list(numbers)) * 1.0 if x > 0.0 else len(list(numbers)) * 2.0)


def _unpacked(x: Any) -> Any:
    numbers = iter([0.5, 2.0])
    if x > 0.0:
        a, b = numbers
    else:
        b, a = numbers
    return x * a - b


def _searched(x: Any) -> Any:
    numbers = iter([0.5, 2.0, 3.0])
    return x * (0.5 + (0.5 in numbers) if x > 0.0 else 1.5 - (0.5 not in numbers))


USES = [
    _zip_in_both_sides, _enumerate_in_steps, _map_in_an_expression, _generator_in_both_sides, _in_a_test,
    _in_a_comprehension, _in_a_star, _in_a_list, _unpacked, _searched,
]  # fmt: skip  # a list


@pytest.mark.parametrize("function", USES, ids=lambda function: function.__name__)
def test_sides_go_on_with_an_iterator(function: Callable[[Any], Any]) -> None:
    """A side takes nothing from an iterator that the other side finds there too: it stays a guard."""
    expected = [function(x) for x in ROWS.tolist()]
    for own in (function, adopt(function)):
        compiled = jit(vmap(own), quiet=True)
        np.testing.assert_allclose(compiled(ROWS), expected, rtol=1e-14)
        assert "goes on with a" in compiled.branches()


def test_iterators_of_a_side() -> None:
    """What a side has made, it may use up: the branch stays a branch."""

    def f(x: Any) -> Any:
        if x > 0:
            pairs = list(zip([1.0, 2.0], [3.0, 4.0]))
            for a, b in enumerate(reversed([x, 2.0 * x])):
                pairs = [(p * b + a, q) for p, q in pairs]
            y = sum(p * q for p, q in pairs)
        else:
            numbers = (2.0 * c for c in [1.0, 2.0, 3.0])
            y = sum(numbers) + max(*map(abs, [x, 2.0]))
        return x * y

    compiled = jit(vmap(f), quiet=True)
    np.testing.assert_allclose(compiled(ROWS), [f(x) for x in ROWS.tolist()], rtol=1e-14)
    assert 1 == compiled.stats()["paths"], compiled.branches()


class Noted:
    """Something with a text."""

    text: str = ""


def _noted(x: Any, numbers: Any) -> Any:
    """A text that is read: the capture begins again."""
    note, total = Noted(), 0.0
    for number in numbers:
        total = total + x * number
        note.text = f"{total}"
    return total * len(note.text)


def _deep(x: Any, n: int) -> Any:
    """So many calls that the capture begins again."""
    if x > 1000.0 or n == 0:
        return x
    return _deep(x * 1.0001, n - 1) + 1.0


def _generated() -> Iterator[float]:
    yield from [1.0, 2.0, 3.0]


@pytest.mark.parametrize("make", [lambda: iter([1.0, 2.0, 3.0]), _generated, lambda: map(abs, [1.0, 2.0])])
def test_a_second_run_finds_less(make: Callable[[], Any]) -> None:
    """A function that reads an iterator from outside is not captured twice: it would find less the second time."""
    message = r"reads numbers, which it may use up, and must be traced once more"

    def with_text(numbers: Any) -> Callable[[Any], Any]:
        return lambda x: _noted(x, numbers)

    def with_calls(numbers: Any) -> Callable[[Any], Any]:
        return lambda x: _deep(x + sum(numbers), 900)

    with pytest.raises(TypeError, match=message):
        jit(with_text(make()))(2.0)
    for function in (with_text, with_calls):
        with pytest.raises(TypeError, match="the rows of vmap are compiled as one, but they share a"):
            jit(vmap(function(make())))(np.array([2.0, 3.0]))


class Counter:
    """Gives the numbers from 1 on."""

    def __init__(self) -> None:
        self.numbers = iter(range(1, 100))

    def times(self, x: Any) -> Any:
        """The next number, so many times."""
        return x * self.following()

    def following(self) -> int:
        """The next number."""
        return next(self.numbers)

    def scaled(self, x: Any) -> Any:
        """Something that takes no number."""
        return x * 3.0


def _made(kind: str) -> Callable[[Any], Any]:
    """A function that takes the next element of something at each call."""
    numbers, stack, waiting = iter(range(1, 100)), list(range(100, 0, -1)), {k: float(k) for k in range(100)}
    generated = (float(k) for k in range(1, 100))
    functions: dict[str, Callable[[Any], Any]] = {
        "next": lambda x: x * next(numbers),
        "generator": lambda x: x * generated.__next__(),
        "zip": lambda x: x * next(iter(zip([1], numbers)))[1],
        "pop": lambda x: x * stack.pop(),
        "del": lambda x: x * waiting.popitem()[1],
        "attribute": Counter().times,
        "partial": partial(lambda some, x: x * next(some), numbers),
        "branch": lambda x: x * (next(numbers) if x > 1.5 else stack.pop()),
    }
    return functions[kind]


KINDS = ["next", "generator", "zip", "pop", "del", "attribute", "partial", "branch"]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_and_steps_take_what_python_gives_them(kind: str) -> None:
    """Each row of a map and each step of a loop takes the next element, as in Python; what was made is used up once."""
    xs = [1.0, 2.0, 3.0, 4.0, 5.0]

    def rows(x: Any) -> Any:
        function = _made(kind)
        return sum(vmap(function)(x)) + function(1.0)

    def steps(x: Any) -> Any:
        function = _made(kind)
        return scan(lambda c, r: (c + function(r), None), 0.0, x)[0] + function(1.0)

    def repeated(x: Any) -> Any:
        function = _made(kind)
        return fori(5, lambda i, c: c + function(x[0]), 0.0) + function(1.0)

    for outer in (rows, steps, repeated):
        value, slope = value_and_grad(outer)(xs)
        found, compiled_slope = jit(value_and_grad(outer), quiet=True)(xs)
        assert value == found
        assert slope == compiled_slope


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_share_what_they_use_up_are_refused(kind: str) -> None:
    """The rows of a batch are compiled as one, whatever their number: that they share an iterator is an error."""
    with pytest.raises(TypeError, match="the rows of vmap are compiled as one, but they share a"):
        jit(vmap(_made(kind)), quiet=True)(np.array([1.0, 2.0, 3.0]))


def test_rows_may_share_what_they_do_not_use_up() -> None:
    """An iterator that only other methods use, and the elements of `array.flat` at an index, are no obstacle."""
    counter, flat, x = Counter(), np.array([2.0, 5.0]).flat, np.array([1.0, 2.0, 3.0])
    assert [3.0, 6.0, 9.0] == jit(vmap(counter.scaled))(x).tolist()
    assert 1 == next(counter.numbers)
    assert [5.0, 10.0, 15.0] == jit(vmap(lambda x: x * flat[1]))(x).tolist()
    with pytest.raises(TypeError, match="such as a counter, an iterator"):
        jit(vmap(lambda x: x * next(flat)))(x)


@pytest.mark.parametrize("others", [0, 1])
def test_a_second_run_finds_what_the_first_found(others: int) -> None:
    """Lists, dicts, sets, arrays and attributes are as they were when a capture begins again, beside threads too."""

    class Kept:
        __slots__ = ("slot",)

    class Counter:
        def __init__(self) -> None:
            self.calls = 0.0

    stack, table, names, cells = [3.0, 2.0, 1.0], {"a": 5.0}, {"x"}, np.array([1.0, 2.0])
    counter, kept = Counter(), Kept()
    kept.slot = 7.0

    def f(x: Any) -> Any:
        while stack:
            x = x + stack.pop()
        counter.calls = counter.calls + 1.0
        counter.last = x
        x = x + counter.calls + table.pop("a", 100.0) + len(names) + cells[0] + kept.slot
        names.add("y")
        cells[0] += 10.0
        kept.slot = kept.slot + 1.0
        return _deep(x, 900)

    def state() -> Any:
        return [list(stack), dict(table), set(names), cells.tolist(), counter.calls, kept.slot]

    done = threading.Event()
    threads = [threading.Thread(target=done.wait) for _ in range(others)]
    for thread in threads:
        thread.start()
    found = jit(f, quiet=True)(2.0)
    done.set()
    for thread in threads:
        thread.join()
    after = state()
    stack[:], table["a"], cells[:] = [3.0, 2.0, 1.0], 5.0, [1.0, 2.0]
    names.discard("y")
    counter.calls, kept.slot = 0.0, 7.0
    assert f(2.0) == found
    assert state() == after


def test_proxies_are_no_iterators() -> None:
    """Rows may read the attributes of an object through a weak reference's proxy."""

    class Settings:
        rate = 2.0

    settings = Settings()
    proxy = weakref.proxy(settings)
    compiled = jit(vmap(lambda x: x * proxy.rate))
    assert [2.0, 4.0] == compiled(np.array([1.0, 2.0])).tolist()
    settings.rate = 3.0
    assert [3.0, 6.0] == compiled(np.array([1.0, 2.0])).tolist()


class _Total:
    """What rows add up to, in an attribute, an element of a dict and of an array."""

    def __init__(self, start: Any) -> None:
        self.queue, self.seen = [1.0, 2.0, 3.0, 4.0, 5.0], 0
        self.total, self.table, self.cells = start, {"total": 0.0}, np.zeros(1)

    def add(self, a: Any) -> Any:
        taken = self.queue.pop()
        self.seen += 1
        self.total = self.total * 0.5 + a * taken
        self.table["total"] += taken
        self.cells[0] += taken
        return a * self.total + self.table["total"] * self.cells[0] * self.seen


def _rows_in_turn(x: Any) -> Any:
    return sum(vmap(_Total(x).add)([x, 2.0, 3.0, 4.0, 5.0]))


def _steps_in_turn(x: Any) -> Any:
    total, step = _Total(x), _Total(x * x)
    carry, found = scan(lambda c, a: (c * 0.5 + total.add(a), c * x), x, [1.0, 2.0, 3.0, 4.0, 5.0])
    return fori(5, lambda i, c: c + step.add(x), carry) + sum(found)


def _rows_in_rows(x: Any) -> Any:
    total = _Total(x)
    total.queue *= 5
    return sum(vmap(lambda a: fori(5, lambda i, c: c + total.add(a), a))([x, 2.0, 3.0, 4.0, 5.0]))


@pytest.mark.parametrize("f", [_rows_in_turn, _steps_in_turn, _rows_in_rows])
def test_rows_in_turn_start_from_what_was_there(f: Callable[[Any], Any]) -> None:
    """The attempt to capture one row that takes from a list leaves nothing behind: neither numbers nor counts."""
    compiled = jit(f, accurate=True, quiet=True)
    assert [f(2.0), f(3.0)] == [compiled(2.0), compiled(3.0)]
    assert value_and_grad(f)(2.0) == jit(value_and_grad(f), accurate=True, quiet=True)(2.0)


def test_many_loops_in_turn_need_few_captures() -> None:
    """After some maps that begin the capture again, all further ones run in turn from the start."""
    runs = [0]

    def f(x: Any) -> Any:
        runs[0] += 1
        return sum([sum(vmap(_Total(x).add)([x, 2.0, 3.0, 4.0, 5.0])) for _ in range(40)])

    expected = f(2.0)
    runs[0] = 0
    assert jit(f, accurate=True, quiet=True)(2.0) == expected
    assert runs[0] <= 20


rates = iter([7.0, 8.0])
several = iter([float(k) for k in range(1, 9)])


class _Rates:
    def __init__(self) -> None:
        self.rates = [2.0, 3.0]

    def row(self, a: Any) -> Any:
        return a * self.rates[1]


def test_attributes_with_the_name_of_an_iterator() -> None:
    """A global iterator is not used by rows that read an attribute of the same name; one that a lambda uses is."""
    assert [3.0, 6.0] == jit(vmap(_Rates().row))(np.array([1.0, 2.0])).tolist()
    compiled = jit(lambda rows: vmap(lambda a: (lambda: a * next(several))())(rows), quiet=True)
    assert [1.0, 2.0, 3.0, 4.0] == list(compiled([1.0, 1.0, 1.0, 1.0]))


def test_mocks_are_no_iterators() -> None:
    """The rows of a batch may call a mock, which has the methods of all types."""
    log = MagicMock()

    def row(a: Any) -> Any:
        log.info("a row")
        return a * 2.0

    assert [2.0, 4.0] == jit(vmap(row), quiet=True)(np.array([1.0, 2.0])).tolist()


class _Lies:
    """An object that raises when it is asked what it is."""

    rate = 2.0

    def __getattribute__(self, name: str) -> Any:
        if name == "rate":
            return _Lies.rate
        raise RuntimeError(name)


class _LiesOfItsDict:
    rate = 2.0

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("asked for its attributes")


class _SaysItIsADict:
    rate = 2.0

    @property
    def __class__(self) -> Any:
        return dict


class _List(list[float]):
    def __len__(self) -> int:
        raise RuntimeError("asked for its length")

    def __iter__(self) -> Iterator[float]:
        raise RuntimeError("asked for its elements")

    def copy(self) -> Any:
        raise RuntimeError("asked for a copy")

    @property
    def rate(self) -> float:
        return self[0]


class _Dict(dict[str, float]):
    def values(self) -> Any:
        raise RuntimeError("asked for its values")

    def copy(self) -> Any:
        raise RuntimeError("asked for a copy")

    @property
    def rate(self) -> float:
        return self["rate"]


@pytest.mark.parametrize(
    "make",
    [_Lies, _LiesOfItsDict, _SaysItIsADict, lambda: _List([2.0]), lambda: _Dict(rate=2.0)],
    ids=["everything", "dict", "class", "list", "table"],
)
def test_code_of_what_rows_read_does_not_run(make: Callable[[], Any]) -> None:
    """Objects that rows read are looked at without running their code, which may raise or say something false."""
    settings = make()
    compiled = jit(lambda x: x + sum(vmap(lambda a: a * settings.rate * x)([1.0, 2.0, 3.0, 4.0])))
    assert 3.0 + 60.0 == compiled(3.0)


def test_ordered_dicts_are_put_back() -> None:
    """An OrderedDict from which rows take has its keys, in their order, when the rows run in turn."""

    def f(x: Any) -> Any:
        queue = OrderedDict([("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 4.0), ("e", 5.0)])
        found = vmap(lambda a: a * queue.popitem(last=False)[1] * x)([1.0, 2.0, 3.0, 4.0])
        return sum(found) + next(iter(queue.values()))

    assert f(2.0) == jit(f, quiet=True)(2.0)
