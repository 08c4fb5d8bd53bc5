"""Rolling: the roller alone, and programs of random blocks in random loop nests, rolled against flat and eager."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import product
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd.math as am
from autograd import Value, fori, grad, hessian, jacobian, jit, jvp, scan, value_and_grad, vmap, while_loop
from autograd.compiler.capture import sweeps
from autograd.compiler.capture.signature import read_call
from autograd.compiler.capture.trace import Trace, finish
from autograd.compiler.run import capturing, families
from autograd.ir.block import Program
from autograd.ir.evaluate import evaluate, flat
from autograd.ir.passes.simplify import remove_dead_code, simplify
from autograd.ir.rewrite import needed, occurrences
from autograd.ir.roll import nest, rolling, statements
from autograd.ir.roll.recognition import is_loop, roll, unroll
from autograd.ir.verify import verify

LENGTHS = [0, 1, 2, 3, 3, 4, 7, 8, 9]
X = 7  # numbers of the argument
MOST = 120  # operations of a program


@contextmanager
def everything_rolled(smallest: int = 0) -> Iterator[None]:
    """Roll however short the code is, and keep all loops that were found."""
    with (
        mock.patch.object(rolling, "FEWEST", 6),
        mock.patch.object(sweeps, "FEWEST_AGAIN", 6),
        mock.patch.object(rolling, "FEWEST_IN_MAPS", 6),
        mock.patch.object(rolling, "LEAST_GAIN", 1.0),
        mock.patch.object(rolling, "MANY_LEFT", 1),
        mock.patch.object(rolling, "TRIANGLES_GAIN", 1.0),
        mock.patch.object(nest, "SMALLEST", smallest),
    ):
        yield


# ---- the roller alone ------------------------------------------------------------------------------------------------

blocks = st.recursive(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2), st.integers(-1, 3)), min_size=1, max_size=4),
    lambda inner: st.lists(st.tuples(st.sampled_from([1, 2, 3, 4, 7, 9]), inner), min_size=1, max_size=3),
    max_leaves=6,
)


def written_out(block: Sequence[Any], counters: tuple[int, ...] = ()) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The trace of nested loops over statements with affine numbers."""
    for one in block:
        if len(one) == 3:
            kind, base, step = one
            numbers = (base + sum(counters) * step, step)[: 1 + kind % 2]
            yield kind, tuple(numbers)
        else:
            count, inner = one
            for k in range(count):
                yield from written_out(inner, (*counters, k))


@given(blocks, st.sampled_from([2, 4, 64]))
@settings(max_examples=50)
def test_unrolling_gives_the_trace_back(block: Sequence[Any], longest: int) -> None:
    """Whatever the roller finds, written out it is the trace."""
    trace = [one for one, _ in zip(written_out(block), range(3000))]
    found = roll([kind for kind, _ in trace], [numbers for _, numbers in trace], longest)
    assert trace == list(unroll(found, [1, 2, 1, 2]))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), max_size=60))
def test_any_trace_comes_back(trace: list[tuple[int, int]]) -> None:
    """The same for traces without a plan, of which parts repeat by chance."""
    found = roll([kind for kind, _ in trace], [(number,) for _, number in trace])
    assert [(kind, (number,)) for kind, number in trace] == list(unroll(found, [1, 1]))


def test_nests_are_found() -> None:
    """Three loops in one another are one statement."""
    trace = [(0, (i * 100 + j * 10 + k, j)) for i in range(5) for j in range(4) for k in range(6)]
    found = roll([kind for kind, _ in trace], [numbers for _, numbers in trace])
    assert len(found.shapes) == 1
    assert is_loop(found.shapes[0])
    assert len(found.bodies) == 3


TRACES = {
    "nests": lambda n: [(0, (i * 100 + j * 10 + k, j)) for i in range(n // 20) for j in range(4) for k in range(5)],
    "triangles": lambda n: [(1, (i, j)) for i in range(int((2 * n) ** 0.5)) for j in range(i)],
    "no structure": lambda n: (lambda draw: [(draw.randrange(4), (draw.randrange(99),)) for _ in range(n)])(
        random.Random(1)
    ),
    "nearly loops": lambda n: [(k % 7, (k // 7 + (k % 63 == 62),)) for k in range(n)],
    "loops that end": lambda n: [(k % 3, (k % 40 * k,)) for k in range(n)],
    "one statement": lambda n: [(0, (0,))] * n,
    "places that jump": lambda n: [(0, (k * k,)) for k in range(n)],
}


def lines_executed(function: Any, *folders: str) -> int:
    """How many lines of the modules in some folders a call of a function executes, those of comprehensions included."""
    count = 0

    def trace(frame: Any, event: str, _: object) -> Any:
        nonlocal count
        if event == "call":
            return trace if any(folder in frame.f_code.co_filename for folder in folders) else None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("name", TRACES)
def test_rolling_takes_linear_time(name: str) -> None:
    """The steps of the roller grow like the trace, whether it has loops or none, and what it finds is the trace."""
    steps, again = [], []
    for n in (300, 1200):
        trace = TRACES[name](n)
        shapes, vectors = [kind for kind, _ in trace], [numbers for _, numbers in trace]
        lines = []
        for pairs in (0, 4 * n):  # of which what is left after a first reading is read again
            with mock.patch("autograd.ir.roll.recognition.PAIRS", pairs):
                lines.append(
                    lines_executed(partial(roll, shapes, vectors, longest=3), "roll/recognition.py") / len(trace)
                )
        steps.append(lines[0])
        again.append(lines[1])
        widths = [len(vectors[shapes.index(kind)]) if kind in shapes else 0 for kind in range(max(shapes) + 1)]
        assert trace == list(unroll(roll(shapes, vectors), widths))
    assert steps[1] < 1.25 * steps[0]
    assert again[1] < 1.25 * again[0]


# ---- programs --------------------------------------------------------------------------------------------------------

UNARY = [am.sin, am.tanh, lambda a: 0.5 * a, lambda a: a * a, am.exp, lambda a: am.relu(a - 0.1), abs]
BINARY = [
    lambda a, b: 0.7 * a + 0.2 * b,
    lambda a, b: am.sin(a) * b,
    lambda a, b: a - 0.5 * b,
    lambda a, b: am.where(a > b, 0.9 * a, b),
]

places = st.one_of(
    st.tuples(st.just("register"), st.integers(0, 2)),
    st.tuples(st.just("x"), st.integers(0, X - 1), st.sampled_from([0, 0, 1, 1, -1, 2]), st.sampled_from([0, 0, 1, 3])),
    st.tuples(st.just("back"), st.integers(1, 9)),
    st.tuples(st.just("first"), st.integers(0, 5), st.sampled_from([0, 1, 2])),
    st.tuples(st.just("number"), st.sampled_from([0.3, 0.5, 0.25]), st.sampled_from([0.0, 0.01])),
)
operations = st.one_of(
    st.tuples(st.just("push"), st.integers(0, len(BINARY) - 1), places, places),
    st.tuples(st.just("push1"), st.integers(0, len(UNARY) - 1), places),
    st.tuples(st.just("hand"), st.integers(0, 2), st.integers(0, len(BINARY) - 1), places, places),
    st.tuples(st.just("if"), places, places, st.integers(0, 2)),
    st.tuples(st.just("unless"), st.integers(0, 3), st.integers(0, 2)),
)
counts = st.one_of(st.sampled_from(LENGTHS), st.tuples(st.just("triangle"), st.integers(0, 2)))


@st.composite
def plans(draw: Any, depth: int = 3) -> list[Any]:
    """Statements and loops in loops."""
    plan: list[Any] = []
    for _ in range(draw(st.integers(1, 3))):
        if depth and draw(st.integers(0, 2)):
            plan.append(("loop", draw(counts), draw(plans(depth - 1))))
        else:
            plan.append(draw(operations))
    return plan


programs = plans()


class _EnoughError(Exception):
    pass


class Run:
    """Runs a plan of nested loops on any numbers: registers hand over, a memory keeps everything."""

    def __init__(self, x: Sequence[Any]) -> None:
        self.x, self.registers, self.memory = x, [x[0], x[1], 0.4], [x[2], x[3], x[4]]
        self.operations = 0

    def operand(self, place: Any, counters: Sequence[int]) -> Any:
        """A number at a place that the counters move."""
        kind, number, *steps = place
        inner, outer = (counters[-1] if counters else 0), (counters[-2] if len(counters) > 1 else 0)
        if kind == "register":
            return self.registers[number]
        if kind == "x":
            return self.x[(number + steps[0] * inner + steps[1] * outer) % X]
        if kind == "back":
            return self.memory[-min(number, len(self.memory))]
        if kind == "first":
            return self.memory[min(number + steps[0] * inner, len(self.memory) - 1)]
        return number + steps[0] * inner

    def block(self, block: Sequence[Any], counters: tuple[int, ...] = ()) -> None:
        """Run a block once."""
        for kind, *rest in block:
            self.operations += 1
            if self.operations > MOST:
                raise _EnoughError
            if kind == "loop":
                count, inner = rest
                if isinstance(count, tuple):
                    count = (counters[-1] if counters else 2) + count[1]
                for k in range(count):
                    self.block(inner, (*counters, k))
            elif kind == "push":
                self.memory.append(BINARY[rest[0]](*[self.operand(p, counters) for p in rest[1:]]))
            elif kind == "push1":
                self.memory.append(UNARY[rest[0]](self.operand(rest[1], counters)))
            elif kind == "hand":
                self.registers[rest[0]] = BINARY[rest[1]](*[self.operand(p, counters) for p in rest[2:]])
            elif kind == "if":
                if self.operand(rest[0], counters) > self.operand(rest[1], counters):
                    self.memory.append(0.3 * self.registers[rest[2]])
                else:
                    self.registers[rest[2]] = 0.6 * self.registers[rest[2]] + 0.1
            elif not counters or counters[-1] != rest[0]:
                self.registers[rest[1]] = 0.9 * self.registers[rest[1]] - 0.2 * self.memory[-1]


def function_of(plan: Sequence[Any]) -> Any:
    """The function of a plan: tame numbers in, one tame number out."""

    def function(x: Sequence[Any]) -> Any:
        run = Run(x)
        with suppress(_EnoughError):
            run.block(plan)
        results = [*run.registers, *run.memory[-3:], *run.memory[3:6]]
        return am.tanh(0.1 * sum(results))

    return function


START = [0.31, -0.42, 0.53, 0.14, -0.25, 0.66, 0.37]
WAY = [0.3, -0.2, 0.5, 0.1, 0.7, -0.4, 0.2]


def captured(function: Any) -> Program:
    """What a capture of the function gives."""
    trace, outputs, _ = capturing.trace_call(Trace(), function, read_call("f", (START,), {}), START)
    return remove_dead_code(verify(finish(trace, outputs)))


def close(one: Sequence[float], other: Sequence[float]) -> None:
    """Equal but for the order of sums."""
    for a, b in zip(one, other, strict=True):
        assert (math.isnan(a) and math.isnan(b)) or b == pytest.approx(a, rel=1e-9, abs=1e-11)


@given(programs)
@settings(max_examples=25)
def test_rolled_equals_flat(plan: Sequence[Any]) -> None:
    """The rolled program computes the same bits, and its gradient and Hessian equal those of the flat one."""
    function = function_of(plan)
    program = captured(function)
    with everything_rolled():
        rolled = verify(rolling.rolled(program))
    assert evaluate(program, [START]) == evaluate(rolled, [START])
    assert evaluate(simplify(rolled), [START]) == evaluate(rolled, [START])
    along = grad(lambda x: jvp(function, (x,), (WAY,))[1])
    for derivative in (value_and_grad(function), hessian(function), along):
        one = captured(derivative)
        with everything_rolled():
            other = captured(derivative)
        (a, failed), (b, missed) = evaluate(one, [START]), evaluate(other, [START])
        assert failed == missed == -1
        close(flat(a), flat(b))


# ---- as users see it -------------------------------------------------------------------------------------------------


def heat(u: Sequence[Any], steps: int = 12) -> Any:
    """Heat along a rod with fixed ends."""
    u = list(u)
    for _ in range(steps):
        u = [u[0], *[u[i] + 0.2 * (u[i - 1] - 2.0 * u[i] + u[i + 1]) for i in range(1, len(u) - 1)], u[-1]]
    return sum([x * x for x in u])


def triangle(x: Sequence[Any]) -> Any:
    """Sums over all pairs of different numbers, with a branch that comes out differently in its steps."""
    total = 0.0
    for i in range(len(x)):
        for j in range(i):
            d = x[i] - x[j]
            total = total + (am.exp(d) if d > 0.1 else d * d)
    return am.log(1.0 + total)


def running(x: Sequence[Any]) -> Any:
    """Registers that hand over, a table of numbers, and a recurrence over a distance of three."""
    y, seen = 0.0, [x[0], x[1], x[2]]
    for k in range(30):
        seen.append(am.sin(seen[-3]) + 0.1 * k * x[k % len(x)])
        y = y + am.relu(seen[-1]) * x[0]
    return y * seen[-2]


USERS = [heat, triangle, running]
ROWS = [[0.1 * k - 0.25, 0.3, 0.9 - 0.2 * k, 0.5, 0.7, 0.2 + 0.05 * k, 0.35] for k in range(5)]


def numbers(tree: Any) -> list[float]:
    """All numbers of a tree."""
    return [x for part in tree for x in numbers(part)] if hasattr(tree, "__len__") else [float(tree)]


@pytest.mark.slow
@pytest.mark.parametrize("function", USERS)
def test_compiled_rolled_code_equals_eager_code(function: Any) -> None:
    """The value, gradient, Hessian and Hessian-vector product, of one row and of a batch with other branches."""
    along = [0.3, -0.2, 0.1, 0.4, -0.5, 0.6, 0.2]
    with everything_rolled(3):
        for transform in (lambda f: f, value_and_grad, hessian, lambda f: lambda x: jvp(grad(f), (x,), (along,))[1]):
            compiled, eager = jit(transform(function)), transform(function)
            close(numbers(eager(ROWS[0])), numbers(compiled(ROWS[0])))
            close(numbers(eager(ROWS[4])), numbers(compiled(ROWS[4])))
            assert any(" in 0.." in line for line in compiled.program().splitlines())
        batch = jit(vmap(value_and_grad(function)))
        close(numbers(vmap(value_and_grad(function))(ROWS)), numbers(batch(ROWS)))


def test_guards_keep_their_lines() -> None:
    """A comparison in a loop is a guard with its line, and another outcome is another specialization."""
    with everything_rolled(3):
        compiled = jit(value_and_grad(triangle))
        for row in ROWS:
            close(numbers(value_and_grad(triangle)(row)), numbers(compiled(row)))
        assert compiled.stats()["paths"] > 1
        assert "if d > 0.1" in compiled.program()


def test_nothing_is_extrapolated() -> None:
    """A loop whose length is data in disguise: a longer argument is a new capture."""
    with everything_rolled(3):
        compiled = jit(heat)
        for size in (5, 9, 20):
            row = [0.1 * k for k in range(size)]
            assert compiled(row) == pytest.approx(heat(row), rel=1e-12)


def test_loops_are_written_in_linear_time() -> None:
    """The steps by which a program gets its loops grow no faster than its trace; what is written does not grow."""
    programs = [captured(partial(heat, steps=steps)) for steps in (60, 240)]
    counts = [lines_executed(partial(rolling.rolled, program), "ir/roll/") for program in programs]
    sizes = [len(remove_dead_code(rolling.rolled(program)).code) for program in programs]
    assert 3.5 < len(programs[1].code) / len(programs[0].code) < 4.5
    assert counts[1] < 5 * counts[0]
    assert sizes[0] == sizes[1]


def test_code_without_structure_stays_flat() -> None:
    """What does not roll is compiled as it is."""

    def function(x: Sequence[Any]) -> Any:
        draw, found = random.Random(0), list(x)
        for _ in range(300):
            kind = draw.choice([am.sin, am.tanh, am.exp, lambda a: 0.3 * a])
            found.append(kind(draw.choice(found) - draw.choice(found)))
        return am.tanh(sum(found[-5:]))

    program = captured(function)
    with mock.patch.object(rolling, "FEWEST", 100):
        assert rolling.rolled(program) is program


@pytest.mark.skipif(statements.extension is None, reason="needs the C build")
@given(programs)
@settings(max_examples=40)
def test_both_builds_find_the_same_loops(plan: Sequence[Any]) -> None:
    """The C build is its definition in Python, on programs and on their gradients."""
    for function in (function_of(plan), value_and_grad(function_of(plan))):
        program = captured(function)
        wanted, lines = [*program.outputs], {g.value: g.line for g in program.guards}
        wanted += lines
        for first, ordinals in product((0, len(program.code) // 2), (False, True)):
            expected = statements.find_loops(program.code, first, wanted, lines, 1, ordinals)
            assert expected == statements.find_loops_fast(program.code, first, wanted, lines, 1, ordinals)


@pytest.mark.skipif(statements.extension is None, reason="needs the C build")
@given(programs)
@settings(max_examples=20)
def test_both_builds_find_what_values_depend_on(plan: Sequence[Any]) -> None:
    """What looks through all the code of a program in C is its definition in Python."""
    for function in (function_of(plan), value_and_grad(function_of(plan))):
        code = captured(function).code
        for first, wanted in product((0, len(code) // 3), ([len(code) - 1], range(0, len(code), 7), [])):
            expected = needed.__wrapped__(code, wanted, first)
            assert expected == needed(code, wanted, first)
            for op in ("add", "read", "loop", "no operation"):
                expected = occurrences.__wrapped__(code, op, first)
                assert expected == occurrences(code, op, first)


def test_values_outside_the_code_are_refused() -> None:
    """A number that is no value of the code is an error in both builds, not a place somewhere in memory."""
    code = captured(lambda x: x[0] * x[1] + x[2]).code
    for value in (len(code), 10**9):
        with pytest.raises(IndexError):
            needed(code, [value], 0)


def test_a_long_trace_compiles_fast() -> None:
    """A program does not grow with the number of equal steps."""

    def orbit(x: Sequence[Any], steps: int) -> Any:
        place, speed = x[0], x[1]
        for _ in range(steps):
            place = place + 0.01 * speed
            speed = speed - 0.01 * am.sin(place)
        return place

    counts = []
    for steps in (1000, 3000):
        compiled = jit(value_and_grad(partial(orbit, steps=steps)))
        close(numbers(value_and_grad(partial(orbit, steps=steps))([0.3, 0.4])), numbers(compiled([0.3, 0.4])))
        counts.append(compiled.stats()["instructions"])
    assert counts[0][0]["compiled"] == counts[1][0]["compiled"] < 60


@pytest.mark.parametrize("kind", ["scan", "fori", "while_loop"])
def test_plain_loops_in_a_step_are_rolled_before_it_is_differentiated(kind: str) -> None:
    """A step that has plain loops in it is a loop in a loop, and so is its gradient."""

    def step(carry: Any, weight: Any) -> Any:
        place, speed = carry
        for _ in range(200):
            place, speed = place + 0.01 * speed, speed - 0.01 * weight * am.sin(place)
        return place, speed

    def run(x: Sequence[Any]) -> Any:
        start = (x[0], x[1])
        if kind == "scan":
            return scan(lambda carry, weight: (step(carry, weight), carry[0]), start, x)[1][-1]
        if kind == "fori":
            return fori(6.0 + 0.0 * x[0], lambda k, carry: step(carry, x[2] + 0.1 * k), start)[0]
        return while_loop(lambda carry: carry[0] < 2.0, lambda carry: step(carry, x[3] - 1.0), start)[0]

    row = [0.3, 0.4, 0.9, 0.2, 0.5, 0.7]
    compiled = jit(value_and_grad(run))
    close(numbers(value_and_grad(run)(row)), numbers(compiled(row)))
    assert compiled.stats()["instructions"][0]["compiled"] < 150


# ---- attacks ---------------------------------------------------------------------------------------------------------


def growing(x: Sequence[Any]) -> tuple[Any, list[Any]]:
    """A chain, all of whose values are kept."""
    seen = [x[0]]
    for k in range(20):
        seen.append(am.sin(seen[-1]) * x[k % 3])
    return sum(seen), seen


POINT = [0.5, 0.6, 0.7]


def third(x: Sequence[Any]) -> Any:
    """A loop over a gradient: its own derivatives go through the loops of the sweep."""
    slopes, total = grad(lambda y: growing(y)[0])(x), 0.0
    for k in range(15):
        total = total + slopes[k % 3] * am.cos(x[k % 3] * k)
    return total


def cut(x: Sequence[Any]) -> Any:
    """Numbers that are cut off from their gradient in each step."""
    t = x[0]
    for _ in range(12):
        t = t * (t.detach() if isinstance(t, Value) else t) + 0.5 * x[1]
    return t


def nowhere(x: Sequence[Any]) -> Any:
    """Messages that are 0 meet infinite derivatives, in memory: nan, as in eager code."""
    seen = [0.0 * x[0]]
    for k in range(12):
        seen.append(am.sqrt(seen[-1] * seen[max(0, k - 3)]) + 0.0 * x[k % 3])
    return 0.0 * sum(seen) + x[1]


ATTACKS = {
    "values kept by the caller": value_and_grad(growing, has_aux=True),
    "all values as outputs": jacobian(lambda x: growing(x)[1]),
    "forward": jacobian(lambda x: growing(x)[1], mode="fwd"),
    "derivatives of loops over derivatives": value_and_grad(third),
    "third order": hessian(third),
    "cut": value_and_grad(cut),
    "infinite derivatives": value_and_grad(nowhere),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_flat_code_that_is_used_later(name: str) -> None:
    """Values of rolled code may be used by anything afterwards, and nan is nan."""
    with everything_rolled(3):
        compiled = jit(ATTACKS[name])
        close(numbers(ATTACKS[name](POINT)), numbers(compiled(POINT)))


def test_values_from_outside_are_elements_too() -> None:
    """Closed Values are read in a loop, afresh at each call, and get their gradients."""
    weights = [Value(0.1 * k - 0.3) for k in range(20)]

    def function(x: Sequence[Any]) -> Any:
        total = 0.0
        for k in range(20):
            total = total + am.tanh(weights[k] * x[k % 3] + weights[(k + 1) % 20])
        return total

    with everything_rolled(3):
        compiled = jit(function)
        for number in (0.2, 0.9):
            weights[3].data = number
            found = []
            for one in (compiled, function):
                result = one(POINT)
                result.backward()
                found.append([result.data, *[w.grad for w in weights]])
                for w in weights:
                    w.grad = 0.0
            close(found[1], found[0])


def test_an_output_that_no_loop_computes() -> None:
    """An output outside all loops is found where it was: the search for it ends."""

    def pair(x: Sequence[Any]) -> list[Any]:
        s = x[2]
        for _ in range(20):
            s = am.sin(s * x[0]) + x[1]
        return [x[0] * x[1], s]

    def tangents(x: Sequence[float]) -> Any:
        return jvp(pair, (x,), ([1.0, 0.5, 0.25],))

    x = [0.3, -0.4, 0.7]
    with everything_rolled():
        primal, tangent = jit(tangents)(x)
    expected = tangents(x)
    assert primal == pytest.approx(expected[0], rel=1e-14)
    assert tangent == pytest.approx(expected[1], rel=1e-14)


def test_memory_keeps_the_sign_of_zero() -> None:
    """A -0.0 that a loop reads again from memory is still negative: its angle is -π."""

    def angles(x: Sequence[Any]) -> list[Any]:
        y = list(x)
        for i in range(3, 40):
            y.append(y[i - 3] * 0.5)
        return [am.atan2(v, -1.0) for v in y]

    with everything_rolled():
        assert jit(angles)([-0.0, 0.0, 1.0]) == pytest.approx(angles([-0.0, 0.0, 1.0]), rel=1e-14)


def heads(x: Sequence[Any], count: int, seen: int) -> Any:
    """What heads of attention do: weights from scores, of which the largest is taken away as a plain number."""
    total = x[0] * 0.0
    for head in range(count):
        scores = [x[seen * head + k] * x[k] for k in range(seen)]
        largest = max(score.data for score in scores)
        powers = [am.exp(score - largest) for score in scores]
        total = total + am.log(sum(powers)) * powers[0] + min(power.data for power in powers)
    return total


@pytest.mark.parametrize("seen", [2, 3, 5, 9])
def test_the_largest_of_plain_numbers(seen: int) -> None:
    """Which number is the largest differs from step to step, and yet the steps are those of one loop."""
    count, draw = 8, random.Random(seen)
    found: list[int] = []
    tree = rolling.tree

    def watched(*given: Any) -> Any:
        body = tree(*given)
        found.append(sum(1 for _ in nest.leaves(body)))
        return body

    with everything_rolled(), mock.patch.object(rolling, "tree", watched):
        compiled = jit(lambda x: value_and_grad(lambda x: heads(x, count, seen))(x))
        for _ in range(3):
            x = [draw.gauss(0.0, 1.0) for _ in range(count * seen)]
            value, slopes = compiled(x)
            expected, gradient = value_and_grad(lambda x: heads(x, count, seen))(x)
            assert value == pytest.approx(expected, rel=1e-13)
            assert slopes == pytest.approx(gradient, rel=1e-11, abs=1e-13)
    assert max(found) < 20 * seen


def test_nothing_else_is_taken_for_the_largest() -> None:
    """What comparisons keep is used where another number is, or before them, or in one branch only."""

    def choose(x: Sequence[Any]) -> Any:
        total = x[0] * 1.0
        for k in range(12):
            a, b, c = x[k].data, x[k + 1].data, x[(5 * k) % 13].data
            before = a - b
            smaller = b if a > b else a
            larger = a if a > c else c
            total = total + (x[k] - smaller) * (a + b) + before * x[k + 1] - larger * x[k]
        return total

    draw = random.Random(1)
    with everything_rolled():
        for _ in range(4):
            x = [round(draw.gauss(0.0, 1.0), 1) for _ in range(13)]
            value, slopes = jit(value_and_grad(choose))(x)
            expected, gradient = value_and_grad(choose)(x)
            assert value == pytest.approx(expected, rel=1e-13)
            assert slopes == pytest.approx(gradient, rel=1e-12, abs=1e-13)


def test_long_bodies() -> None:
    """A step of more statements than are looked at once is found when what is left is read again."""
    trace = [(kind, (step * (kind % 3),)) for step in range(5) for kind in range(200)]
    found = roll([kind for kind, _ in trace], [numbers for _, numbers in trace])
    assert 1 == len(found.shapes)
    assert trace == list(unroll(found, [1] * 200))


def test_long_steps() -> None:
    """The same for a function: a step of a hundred different operations; both builds find one loop."""

    def steps(x: Sequence[Any]) -> Any:
        a, b = x[0], x[1]
        for _ in range(12):
            for k in range(100):
                a, b = (a * 0.5 + am.sin(b), b) if k % 7 and k % 5 else (am.tanh(b - a), a * 0.25 * (k + 1))
        return a + b

    found: list[int] = []
    tree = rolling.tree

    def watched(*given: Any) -> Any:
        body = tree(*given)
        found.append(sum(1 for _ in nest.leaves(body)))
        return body

    x = [0.3, 0.7]
    for find in (statements.find_loops, statements.find_loops_fast):
        with mock.patch.object(rolling, "tree", watched), mock.patch.object(rolling, "find_loops_fast", find):
            families.forget()  # or there is nothing to roll the second time
            value, slopes = jit(value_and_grad(steps))(x)
        expected, gradient = value_and_grad(steps)(x)
        assert value == pytest.approx(expected, rel=1e-12)
        assert slopes == pytest.approx(gradient, rel=1e-10, abs=1e-13)
    assert found[0] == found[1] < 700


def test_every_capture_gives_the_same_program() -> None:
    """Loops are written in the order of the trace, wherever objects lie in memory: so processes share the cache."""

    def layer(weights: Any, x: Any) -> Any:
        return am.sum([am.tanh(am.dot(list(row), list(x))) ** 2 for row in weights.T])

    weights, x = np.random.default_rng(0).random((7, 5)), np.random.default_rng(1).random(7)
    found, elsewhere = set(), []
    for k in range(8):
        elsewhere.append([object() for _ in range(997 * k)])
        found.add(jit(grad(layer)).c_source(weights, x))
    assert 1 == len(found)
