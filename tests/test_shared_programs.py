"""Traces that differ only in what they read share one program: results, derivatives, and what is not shared."""

import copy
import io
import itertools
import pickle
import queue
import random
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cloudpickle
import numpy as np
import pytest

import autograd.math as am
from autograd import Value, backend, custom_gradient, grad, hessian, jit, no_grad, value_and_grad, vmap
from autograd.compiler.capture.shared import tape, taped, variants
from autograd.compiler.capture.signature import read_call
from autograd.compiler.capture.walk import Look
from autograd.compiler.run import families
from autograd.compiler.run.specialization import Specialization
from autograd.native import extension

Function = Callable[..., Any]
ROWS, WIDTH = 7, 6
TABLE = np.random.default_rng(0).normal(size=(ROWS, WIDTH)).round(3)
WEIGHTS = np.random.default_rng(1).normal(size=(WIDTH, WIDTH)).round(3) / 2


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the functions of which programs are compiled; nothing is known of earlier tests."""
    found: list[str] = []
    original = Specialization._compile

    def counted(self: Specialization) -> None:
        found.append(self.report.name)
        original(self)

    monkeypatch.setattr(Specialization, "_compile", counted)
    families.forget()
    yield found
    families.forget()


def plain(number: Any) -> Any:
    """A number without its gradient."""
    return number.data if isinstance(number, Value) else number


def softmax(logits: Sequence[Any], compares: bool) -> list[Any]:
    """With Python's `max`, which compares, or without."""
    largest = max(plain(logit) for logit in logits) if compares else 1.5
    powers = [am.exp(logit - largest) for logit in logits]
    return [power / sum(powers) for power in powers]


def of_word(word: Sequence[int], rate: float = 0.5, compares: bool = True) -> Function:
    """A recurrent model of a word: each letter is a row of the table, and chooses one of the results."""

    def loss(table: Any, weights: Any) -> Any:
        state, total = [0.1] * WIDTH, 0.0
        for k, (letter, following) in enumerate(zip(word, [*word[1:], word[0]], strict=True)):
            state = [
                am.tanh(sum([w * s for w, s in zip(row, state, strict=True)]) + (rate + 0.137 * k) * x)
                for row, x in zip(weights, table[letter], strict=True)
            ]
            scores = [sum([x * s for x, s in zip(row, state, strict=True)]) for row in table]
            total = total - am.log(softmax(scores, compares)[following])
        return total / len(word)

    return loss


def check(function: Function, *args: Any, transform: Function = value_and_grad, rtol: float = 1e-11) -> Any:
    """Compile a function; compare it with eager code, twice: the second call takes the fast path."""
    expected = transform(function)(*args)
    compiled = jit(transform(function))
    for _ in range(2):
        for one, other in zip(leaves(expected), leaves(compiled(*args)), strict=True):
            np.testing.assert_allclose(other, one, rtol=rtol, atol=1e-13)
    return compiled


def leaves(tree: Any) -> list[Any]:
    """The numbers and arrays of tuples and lists."""
    return [x for part in tree for x in leaves(part)] if isinstance(tree, (tuple, list)) else [tree]


WORDS = [(0, 3, 1, 5, 2, 6), (4, 0, 6, 1, 3, 2), (2, 2, 2, 2, 2, 2), (0, 1, 2, 3, 4, 5), (6, 4, 2, 0, 1, 1), (1, 0) * 3]


@pytest.mark.parametrize("compares", [False, True])
@pytest.mark.parametrize("argnums", [0, (0, 1)])
def test_words(compiled: list[str], compares: bool, argnums: Any) -> None:
    """The second word is compiled for all others: equal letters, equal strides, any order of outcomes."""
    for k, word in enumerate(WORDS):
        check(of_word(word, compares=compares), TABLE, WEIGHTS, transform=lambda f: value_and_grad(f, argnums=argnums))
        assert len(compiled) == min(k + 1, 2)


@pytest.mark.parametrize("always", [True, False])
def test_division_of_floats(compiled: list[str], always: bool) -> None:
    """The float of a Value is divided as in Python, also if only a later word does so: by 0 it raises."""

    def of(word: Sequence[int], last: bool) -> Function:
        inner = of_word(word)

        def loss(table: Any, weights: Any) -> Any:
            return inner(table, weights) * (1.0 / plain(table[0][0]) if always or last else 1.0)

        return loss

    zero = np.where(np.arange(TABLE.size).reshape(TABLE.shape) == 0, 0.0, TABLE)
    for word in WORDS[:3]:
        check(of(word, False), TABLE, WEIGHTS)
    last = of(WORDS[3], True)
    check(last, TABLE, WEIGHTS)
    for function in (value_and_grad(last), jit(value_and_grad(last)), jit(value_and_grad(of(WORDS[4], True)))):
        with pytest.raises(ZeroDivisionError):
            function(zero, WEIGHTS)


def test_an_int_among_floats(compiled: list[str]) -> None:
    """An int in a list of floats is an array by itself. Programs written from a tape read the right numbers."""

    def of(factors: Sequence[float]) -> Function:
        def loss(xs: Any, ys: Any) -> Any:
            total = 0.0
            for k in range(300):
                total = total + am.sin(xs[k % len(xs)] * factors[k % len(factors)] + k * ys[k % 2])
            return total

        return loss

    for factors in ([1.41, 2, -1.96], [2, 1.41, 0.5], [0.34, 1.23, 1.62]):
        check(of(factors), [-1.95, 1.2, 2, 0.97], [0.5, 3])


def test_function_alone(compiled: list[str]) -> None:
    """A function that is not differentiated shares programs too."""
    for word in WORDS:
        check(of_word(word), TABLE, WEIGHTS, transform=lambda f: f)
    assert len(compiled) == 2


def test_without_recording(compiled: list[str]) -> None:
    """Where nothing is recorded, functions share programs too."""
    for word in WORDS:
        with no_grad():
            check(of_word(word), TABLE, WEIGHTS, transform=lambda f: f)
    assert len(compiled) == 2


@pytest.mark.parametrize("accurate", [False, True])
def test_bits(compiled: list[str], accurate: bool) -> None:
    """With `accurate`, values have eager bits; programs are shared among functions of the same options."""
    for word in WORDS[:4]:
        expected = of_word(word)(*[array.tolist() for array in (TABLE, WEIGHTS)])
        found = jit(value_and_grad(of_word(word)), accurate=accurate)(TABLE, WEIGHTS)[0]
        assert found == (expected if accurate else pytest.approx(expected, rel=1e-14))
    assert len(compiled) == 2
    jit(value_and_grad(of_word(WORDS[4])), accurate=not accurate)(TABLE, WEIGHTS)
    assert len(compiled) == 3


def test_same_again(compiled: list[str]) -> None:
    """A function that is made again, with nothing changed, is not compiled again."""
    for _ in range(3):
        check(of_word(WORDS[0]), TABLE, WEIGHTS)
    assert len(compiled) == 1


def test_static_arguments(compiled: list[str]) -> None:
    """A static argument chooses the rows; each value of it has its own table."""

    def loss(table: Any, weights: Any, word: Any) -> Any:
        return of_word(word)(table, weights)

    step = jit(value_and_grad(loss), static_argnames="word")
    for word in WORDS * 2:
        value, slopes = value_and_grad(of_word(word))(TABLE, WEIGHTS)
        found = step(TABLE, WEIGHTS, word=word)
        assert found[0] == pytest.approx(value, rel=1e-13)
        np.testing.assert_allclose(found[1], slopes, rtol=1e-11, atol=1e-13)
    assert len(compiled) == 2
    assert step.stats()["paths"] == len(WORDS)


def test_closure(compiled: list[str]) -> None:
    """One function whose closure variable changes: nothing is stale, and going back needs no capture."""
    word: Sequence[int] = ()

    @jit
    def step(table: Any, weights: Any) -> Any:
        return of_word(word)(table, weights)

    for word in WORDS[:4] * 2:
        assert step(TABLE, WEIGHTS) == pytest.approx(of_word(word)(TABLE, WEIGHTS), rel=1e-13)
    assert len(compiled) == 2


def test_constants(compiled: list[str]) -> None:
    """Constants that differ are in the table too, those that are exponents are not."""
    for rate in (0.5, 0.25, 0.75, -1.5, 1e300, 3.0):
        check(of_word(WORDS[0], rate), TABLE, WEIGHTS, rtol=1e-9)
    assert len(compiled) == 2

    def power(n: float) -> Function:
        return lambda x: sum([(v + 1.5 * k) ** n for k in range(300) for v in x])

    for n in (2.0, 3.0, 2.5):
        check(power(n), np.array([1.0, 2.0, 3.5, 4.0]), rtol=1e-12)
    assert len(compiled) == 5


def test_outcomes(compiled: list[str]) -> None:
    """One function whose comparisons come out differently: paths of one program, and each call takes its own."""
    step = jit(value_and_grad(of_word(WORDS[0])))
    tables = [np.random.default_rng(k).normal(size=TABLE.shape).round(3) for k in range(8)]
    for table in tables * 2:
        value, slopes = value_and_grad(of_word(WORDS[0]))(table, WEIGHTS)
        found = step(table, WEIGHTS)
        assert found[0] == pytest.approx(value, rel=1e-13)
        np.testing.assert_allclose(found[1], slopes, rtol=1e-11, atol=1e-13)
    assert len(compiled) == 2
    assert step.stats()["paths"] == len(tables)


def test_new_places(compiled: list[str]) -> None:
    """A trace that differs in more places than all before makes a program for these, too; then they are known."""

    def lookups(first: int, second: int) -> Function:
        def loss(x: Any) -> Any:
            total = 0.0
            for k in range(400):
                total = total + am.sin(x[first] + 0.01 * k) * am.cos(x[k % 5])
            for k in range(400):
                total = total * 0.5 + am.exp(x[second] - 0.01 * k)
            return total

        return loss

    x = np.array([0.1, 0.2, -0.3, 0.4, 0.5, -0.6])
    for first, second in [(0, 0), (1, 0), (2, 0), (2, 3), (4, 5), (5, 1), (-1, -2)]:
        check(lookups(first, second), x)
    assert len(compiled) == 3


def test_places_that_were_equal_at_first(compiled: list[str]) -> None:
    """What differs among later traces only, but stands where others differ, is in the table from the second one on."""

    def chosen(places: Sequence[int]) -> Function:
        def loss(x: Any) -> Any:
            total = 0.0
            for k, place in enumerate(places):
                powers = [am.exp(v * (0.1 + 0.07 * k)) for v in x]
                total = total - am.log([power / sum(powers) for power in powers][place])
                total = total + sum([(power / (power + x[k])) ** 2 for power in powers])
            return total

        return loss

    x = np.linspace(0.1, 1.0, 16)
    draw = random.Random(3)
    words = [[draw.randrange(16) for _ in range(12)] for _ in range(6)]
    words[1][4], words[1][7] = words[0][4], words[0][7]
    for k, word in enumerate(words):
        check(chosen(word), x)
        assert len(compiled) == min(k + 1, 2)


def test_choices_grow(compiled: list[str]) -> None:
    """A result that was no choice so far is compiled apart, or becomes one."""

    def chosen(k: int) -> Function:
        def loss(x: Any) -> Any:
            roots = [am.sqrt(am.exp(v) + 1.0) for v in x]
            others = [am.sin(v * 3.0) for v in x]
            return sum([(roots + others)[k] * v * 0.01 for v in x]) + sum(roots)

        return loss

    x = np.linspace(-1.0, 1.0, 300)
    for k in (3, 7, 299, 0, 11, 302, 599, 305, -1):
        check(chosen(k), x)
    assert len(compiled) < 9


def test_programs_that_grow_are_not_shared(compiled: list[str]) -> None:
    """Where each step takes one of the results of the step before, loops would be lost: all are compiled alone."""

    def function(places: Sequence[int]) -> Function:
        def loss(x: Any) -> Any:
            values = [v * 0.5 for v in x]
            for place in places:
                values = [am.sin(values[place] + v * 0.25) + am.cos(v) for v in values]
            return sum(values)

        return loss

    x = np.linspace(-1.0, 1.0, 40)
    draw = random.Random(7)
    for _ in range(4):
        check(function([draw.randrange(40) for _ in range(12)]), x, rtol=1e-9)
    assert len(compiled) == 4


def test_not_shared(compiled: list[str]) -> None:
    """Another structure, another shape, another result: each is compiled apart, and right."""
    check(of_word(WORDS[0]), TABLE, WEIGHTS)
    check(of_word(WORDS[0][:5]), TABLE, WEIGHTS)  # a shorter word
    check(of_word(WORDS[0]), TABLE[:-1].repeat(2, 0)[:9], WEIGHTS)  # another number of rows
    assert len(compiled) == 3
    check(of_word(WORDS[1]), TABLE, WEIGHTS, transform=lambda f: value_and_grad(f, argnums=1))  # another argument
    check(of_word(WORDS[1]), TABLE, WEIGHTS, transform=lambda f: lambda *args: -f(*args))  # another function
    assert len(compiled) == 5

    def result(k: int) -> Function:
        def function(table: Any, weights: Any) -> Any:
            value = of_word(WORDS[k])(table, weights)
            return [value, 1.0] if k == 0 else (value, 1.0) if k == 1 else {"value": value, "one": 1.0}

        return function

    kinds = [type(jit(result(k))(TABLE, WEIGHTS)) for k in range(3)]
    assert [list, tuple, dict] == kinds


def test_results_that_are_constants(compiled: list[str]) -> None:
    """A plain number of the result is part of the structure: it is never that of another capture."""

    def function(k: int) -> Function:
        return lambda table, weights: (of_word(WORDS[k])(table, weights), float(k))

    assert [0.0, 1.0, 2.0, 3.0] == [jit(function(k))(TABLE, WEIGHTS)[1] for k in range(4)]


def test_values_outside(compiled: list[str]) -> None:
    """Values that a function closes over: each function has its own, and gradients reach them."""

    def function(bias: Value, word: Sequence[int]) -> Function:
        return lambda table, weights: of_word(word)(table, weights) * bias

    for k, word in enumerate(WORDS[:3]):
        bias = Value(1.0 + k)
        found = jit(function(bias, word))(TABLE, WEIGHTS)
        expected = of_word(word)(TABLE, WEIGHTS)
        assert found.data == pytest.approx(expected * bias.data, rel=1e-13)
        found.backward()
        assert bias.grad == pytest.approx(expected, rel=1e-13)


def test_second_derivatives(compiled: list[str]) -> None:
    """Gradients of gradients share programs; Hessians, Jacobians and batches stay as they are, and right."""

    def loss(k: int) -> Function:
        def function(x: Any) -> Any:
            return sum([am.sin(x[k] * v + 0.1 * n) * am.exp(-v) for n in range(120) for v in x])

        return function

    x = np.array([0.3, -0.4, 0.5])
    for k in (0, 1, 2, -1):
        check(loss(k), x, transform=lambda f: grad(lambda x: sum([g * g for g in grad(f)(x)])), rtol=1e-9)
        check(loss(k), x, transform=hessian, rtol=1e-9)
        rows = np.array([x, x + 0.1, -x])
        np.testing.assert_allclose(vmap(grad(loss(k)))(rows), jit(vmap(grad(loss(k))))(rows), rtol=1e-10, atol=1e-12)


def test_values_as_arguments(compiled: list[str]) -> None:
    """Values as arguments of compiled functions that share a program: results are nodes, with all derivatives."""
    for word in WORDS[:4]:
        step = jit(of_word(word))
        step(TABLE, WEIGHTS)
        table = [[Value(x) for x in row] for row in TABLE]
        found = step(table, WEIGHTS)
        found.backward()
        value, slopes = value_and_grad(of_word(word))(TABLE, WEIGHTS)
        assert found.data == pytest.approx(value, rel=1e-13)
        np.testing.assert_allclose([[x.grad for x in row] for row in table], slopes, rtol=1e-11, atol=1e-13)


def test_what_can_be_seen(compiled: list[str]) -> None:
    """Programs, C sources, copies and pickles of what shares a program have its table."""
    steps = [check(of_word(word), TABLE, WEIGHTS) for word in WORDS[:4]]
    assert "table" in steps[3].program()
    assert "define" in steps[3].llvm_ir()
    assert steps[2].c_source() != steps[3].c_source()
    assert all(step.stats()["paths"] == 1 for step in steps)
    for word, step in zip(WORDS, steps, strict=False):
        again = pickle.loads(cloudpickle.dumps(step))
        np.testing.assert_allclose(again(TABLE, WEIGHTS)[1], step(TABLE, WEIGHTS)[1], rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(copy.deepcopy(step)(TABLE, WEIGHTS)[1], step(TABLE, WEIGHTS)[1])
        assert again(TABLE, WEIGHTS)[0] == pytest.approx(of_word(word)(TABLE, WEIGHTS), rel=1e-13)


def test_threads(compiled: list[str]) -> None:
    """Threads that compile functions of one structure at the same time all get their own results."""
    wrong: list[Any] = []

    def run(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(3):
            word = [draw.randrange(ROWS) for _ in range(6)]
            found, expected = jit(of_word(word))(TABLE, WEIGHTS), of_word(word)(TABLE, WEIGHTS)
            if abs(found - expected) > 1e-12 * abs(expected):
                wrong.append((word, found, expected))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == wrong


def test_little_is_kept(compiled: list[str]) -> None:
    """A bounded number of programs is kept for a function's code."""

    def of_length(n: int) -> Function:
        return lambda x: sum([am.sin(v + 0.1 * k) for k in range(n) for v in x])

    x = np.linspace(0.0, 1.0, 10)
    for n in range(150, 150 + families.MOST_FAMILIES + 3):
        jit(of_length(n))(x)
    (calls,) = [calls for code, calls in families._known.items() if code.co_name == "<lambda>"]
    assert [families.MOST_FAMILIES] == [len(kept.found) for kept in calls.values()]
    for size in range(11, 11 + families.MOST_CALLS + 1):
        jit(of_length(150))(np.linspace(0.0, 1.0, size))
    assert len(calls) == families.MOST_CALLS


def test_operations_of_many_kinds(compiled: list[str]) -> None:
    """Choices by `where`, operands in lists, cut gradients, counts of comparisons and branches are noted too."""

    def function(places: Sequence[int], offset: float) -> Function:
        def loss(x: Any) -> Any:
            values = [am.sin(x[places[k % len(places)]] * (0.1 + 0.01 * k)) + x[k % 7] for k in range(200)]
            largest = values[0]
            for v in values[1:]:
                largest = am.where(v > largest, v, largest)
            with no_grad():
                held = am.hypot(values[1], x[places[0]])
            count = sum([(v > 0.5) & (v < 1.5) for v in values[:20]])
            many = am.sum(values) + am.dot(values[:100], values[100:]) + am.max(*values[:9]) + am.logsumexp(values)
            total = largest + held + 0.25 * count + many + am.atan2(values[5], 2.0)
            if values[3] > values[4]:
                total = total * 2.0
            return total - offset * am.relu(values[7]) ** 2 if values[8] != values[9] else total + plain(values[2])

        return loss

    x = np.array([0.3, -0.2, 0.9, 0.4, -0.7, 0.1, 0.6])
    for places in [(0, 1, 2), (3, 5, 1), (6, 6, 6), (-1, 2, -3), (4, 3, 2)]:
        check(function(places, 1.5 + sum(places)), x, rtol=1e-10)
    assert len(compiled) == 2


def test_what_a_tape_does_not_note(compiled: list[str]) -> None:
    """Computed places, maps, Values and rules of users, whole numbers, text: the function is captured as ever."""

    @custom_gradient(lambda x, y: 3.0 * x**2)
    def cube(x: float) -> float:
        return x**3

    def with_caught(values: Any, k: int) -> Any:
        try:
            return values[int(values[0])] * k  # a guard
        except IndexError:
            return values[1]

    def with_text(values: Any, k: int) -> Any:
        return float(f"{values[1]:.3f}") * k + values[0]

    odd: list[Callable[[Any, int], Any]] = [
        lambda values, k: am.take(values, am.floor(values[0]) + k),
        lambda values, k: sum(vmap(lambda v: v * k)(np.array(values[:4], object))),
        lambda values, k: Value(2.0) * values[k],
        lambda values, k: cube(values[k]),
        lambda values, k: grad(lambda v: am.sin(v) * k)(values[k]),
        with_caught,
        with_text,
        lambda values, k: round(values[k]) + values[k],
    ]

    def function(use: Callable[[Any, int], Any], k: int) -> Function:
        def loss(x: Any) -> Any:
            values = [am.exp(x[(k + j) % 5] * 0.1) + 0.01 * j for j in range(600)]
            return sum([v * w for v, w in itertools.pairwise(values)]) + use(values, k)

        return loss

    x = np.array([0.3, -0.2, 0.9, 0.4, -0.7])
    for use in odd:
        for k in (1, 2, 3, 1):
            expected = function(use, k)(x)
            found = jit(function(use, k))
            for _ in range(2):
                assert plain(found(x)) == pytest.approx(plain(expected))


def runs_of(name: str, call: Callable[[], Any]) -> int:
    """How often a function of this name runs in a call."""
    found = itertools.count()

    def look(frame: Any, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_name == name:
            next(found)

    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)
    return next(found)


def test_how_often_it_runs(compiled: list[str]) -> None:
    """A function runs once more at its first capture, and then once for each; not if it changes what it reads."""

    def function(k: int, *kept: list[int]) -> Function:
        def loss(x: Any) -> Any:
            for notes in kept:
                notes.append(k)
            return sum([am.sin(x[k] * 0.1 * j) * x[j % 3] for j in range(500)])

        return loss

    x = np.array([0.3, -0.2, 0.9])
    runs = [runs_of("loss", lambda k=k: jit(function(k))(x)) for k in (0, 1, 2, 0)]  # type: ignore[misc]
    assert [2, 1, 1, 1] == runs
    assert len(compiled) == 2
    notes: list[int] = []
    for k in (0, 1):
        jit(function(k, notes), quiet=True)(x)
    assert [0, 1] == notes


class Counter:
    """Counts its calls, in an attribute."""

    def __init__(self, places: Sequence[int]) -> None:
        self.places, self.calls = places, 0

    def __next__(self) -> int:
        self.calls += 1
        return self.places[self.calls - 1]


def queue_of(places: Sequence[int]) -> Any:
    """A queue with something in it."""
    found: queue.Queue[int] = queue.Queue()
    for place in places:
        found.put(place)
    return found


SOURCES: dict[str, tuple[Callable[[Sequence[int]], Any], Callable[[Any], int]]] = {
    "iterator": (iter, next),
    "generator": (lambda places: (place for place in places), next),
    "method": (lambda places: iter(places).__next__, lambda source: source()),
    "cycle": (itertools.cycle, next),
    "list": (list, lambda source: source.pop(0)),
    "counter": (Counter, next),
    "queue": (queue_of, lambda source: source.get()),
    "text": (lambda places: io.StringIO("".join(map(str, places))), lambda source: int(source.read(1))),
}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("steady_first", [False, True])
def test_what_reads_something_else_in_each_run(compiled: list[str], kind: str, steady_first: bool) -> None:
    """A function that takes the next of some places takes one at its capture, and no program of another place."""
    make, take = SOURCES[kind]

    def function(source: Any, take: Callable[[Any], int] = take) -> Function:
        def loss(x: Any) -> Any:
            k = take(source)
            return sum([am.sin(x[k] * 0.1 * j) * x[j % 3] for j in range(500)])

        return loss

    x = np.array([0.3, -0.2, 0.9])
    expected = [function(k, lambda k: k)(x) for k in range(3)]
    if steady_first:
        for k in range(2):
            assert jit(function(k, lambda k: k))(x) == pytest.approx(expected[k])
    for places in ([0, 1, 2], [1, 2, 0], [2, 0, 0], [1, 0, 0]):
        source = make(places)
        assert jit(function(source), quiet=True)(x) == pytest.approx(expected[places[0]])
        assert take(source) == places[1]  # the function has run once


def test_a_program_of_another_run_is_not_used(compiled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a first program belongs to what was noted is looked at before it serves another function."""

    def function(source: Any) -> Function:
        def loss(x: Any) -> Any:
            k = next(source)
            return sum([am.sin(x[k] * 0.1 * j) * x[j % 3] for j in range(500)])

        return loss

    monkeypatch.setattr(Look, "steady", True)  # as if nobody knew that iterators change
    x = np.array([0.3, -0.2, 0.9])
    expected = [function(iter([k]))(x) for k in range(3)]
    jit(function(iter([0, 1, 2])))(x)
    for k in (1, 1, 0, 2):
        assert jit(function(iter([k, 2, 2])))(x) == pytest.approx(expected[k])


def test_branches_are_told(compiled: list[str]) -> None:
    """What became of branches of the source is told of functions that share a program, too."""

    def function(k: int) -> Function:
        def loss(x: Any) -> Any:
            total = sum([am.sin(x[k] * 0.1 * j) * x[j % 3] for j in range(500)])
            if total > 1.0:
                total = total * 2.0
            return total

        return loss

    x = np.array([0.3, -0.2, 0.9])
    told = set()
    for k in (0, 1, 2, 0):
        found = jit(function(k))
        found(x)
        told.add(found.branches())
    assert len(told) == 1
    assert "if is a guard" in told.pop()


def random_function(seed: int) -> Callable[[Sequence[int]], Function]:
    """A random structure: a function of places that makes a function of an array."""

    def make(places: Sequence[int]) -> Function:
        def function(x: Any) -> Any:
            draw, left = random.Random(seed), iter(places * 400)
            values: list[Any] = [v * (1.0 + 0.1 * k) for k, v in enumerate(x)]
            for _ in range(draw.randint(3, 6)):
                kind, count = draw.choice(["rows", "results", "loop", "max", "constants"]), draw.randint(40, 90)
                if kind == "rows":
                    values = [am.sin(values[k % len(values)] + x[next(left)]) for k in range(count)]
                elif kind == "results":
                    values = [values[next(left) % len(values)] * 0.5 + v for v in values]
                elif kind == "loop":
                    for k in range(1, count):
                        values[k % len(values)] = am.tanh(values[k % len(values)] * values[(k - 1) % len(values)])
                elif kind == "max":
                    largest = max(plain(v) for v in values)
                    values = [am.exp(v - largest) + values[next(left) % len(values)] for v in values]
                else:
                    values = [v * (1.5 + next(left)) + 0.25 for v in values[:count]]
                values = [v + 0.01 * w for v in values for w in x[:3]][: draw.randint(50, 150)]
            return sum([values[k] * values[k - 1] for k in range(len(values))])

        return function

    return make


SLOW = range(4 if backend() == "c" else 5, 24, 2)  # the two builds draw different programs


@pytest.mark.parametrize("seed", [*range(4), *[pytest.param(k, marks=pytest.mark.slow) for k in SLOW]])
def test_random_functions(compiled: list[str], seed: int) -> None:
    """Random structures with random places, repeated, at equal strides or negative: compiled equals eager."""
    make, draw = random_function(seed), random.Random(1000 + seed)
    x = np.random.default_rng(seed).normal(size=8).round(2)
    words = [[draw.randrange(-8, 8) for _ in range(5)] for _ in range(3)]
    words += [[3], [0, 2, 4, 6], words[0]]
    for word in words:
        check(make(word), x, rtol=1e-8)
        check(make(word), x, transform=lambda f: f, rtol=1e-11)
    assert len(compiled) <= 2 * len(words)


@pytest.mark.skipif(extension is None, reason="no C build")
@pytest.mark.parametrize("seed", range(8))
def test_both_builds_note_the_same(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """A tape of the C build has what one of the Python definition has."""

    def both(function: Function, *args: Any) -> Any:
        reading = read_call("a function", args, {})
        found = []
        for kind in (tape.Tape, tape.PythonTape):
            with monkeypatch.context() as patch:
                patch.setattr(tape, "Tape", kind)
                found.append(taped.noted(function, reading, reading.leaves, False))
        assert found[0] is not None
        assert found[1] is not None
        assert found[0].equals(found[1])
        assert found[0].is_like(found[1])
        assert found[0].lines == found[1].lines
        return found[0]

    both(random_function(seed)([1, 2, 3]), np.linspace(-1.0, 1.0, 8))
    both(grad(of_word(WORDS[seed % len(WORDS)])), TABLE, WEIGHTS)


def test_limits_are_used() -> None:
    """Choices and places are bounded."""
    assert 0 < variants.MOST_PLACES < 1
    assert variants.MOST_CHOICES > 1
