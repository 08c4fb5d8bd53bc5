"""Triangles: plain loops whose inner extents depend on an outer counter, rolled against flat and eager."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from c_functions import Library, exported
from hypothesis import given, settings
from hypothesis import strategies as st
from test_roll import START, captured, close, everything_rolled, lines_executed

import autograd.math as am
from autograd import hessian, jit, jvp, value_and_grad, vmap
from autograd.compiler.capture import sweeps
from autograd.compiler.capture.signature import read_call
from autograd.compiler.capture.trace import Trace, finish
from autograd.compiler.run import capturing
from autograd.ir.block import STEPS, Program, loops
from autograd.ir.evaluate import evaluate, flat
from autograd.ir.passes.simplify import count, remove_dead_code, simplify
from autograd.ir.roll import rolling
from autograd.ir.verify import verify

# ---- programs that people write --------------------------------------------------------------------------------------


def cholesky(p: Sequence[Any], n: int = 12) -> Any:
    """The log likelihood of a Gaussian process, by its length and its noise."""
    points = [0.7 * k + 0.3 * (k * k % 5) for k in range(n)]
    kernel = [[am.exp(-((a - b) ** 2) / (2 * p[0] * p[0])) + (p[1] if a == b else 0.0) for b in points] for a in points]
    lower: list[list[Any]] = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            s = kernel[i][j]
            for k in range(j):
                s = s - lower[i][k] * lower[j][k]
            lower[i][j] = am.sqrt(s) if i == j else s / lower[j][j]
    z: list[Any] = []
    for i in range(n):
        s = am.sin(points[i]) if isinstance(points[i], float) else points[i]
        for k in range(i):
            s = s - lower[i][k] * z[k]
        z.append(s / lower[i][i])
    return sum([-0.5 * z[i] * z[i] - am.log(lower[i][i]) for i in range(n)])


def determinant(x: Sequence[Any], n: int = 12) -> Any:
    """By elimination: the loops within become shorter."""
    a = [[am.sin((j + 1) * x[i]) + (3.0 if i == j else 0.0) for j in range(n)] for i in range(n)]
    product = 1.0
    for k in range(n):
        product = product * (0.25 * a[k][k])
        for i in range(k + 1, n):
            factor = a[i][k] / a[k][k]
            for j in range(k + 1, n):
                a[i][j] = a[i][j] - factor * a[k][j]
    return product


def attention(x: Sequence[Any], n: int = 12) -> Any:
    """Each position looks at those so far."""
    total = 0.0
    for t in range(n):
        weights = [am.exp(x[t] * x[s]) for s in range(t + 1)]
        mass = weights[0]
        for w in weights[1:]:
            mass = mass + w
        out = 0.0
        for s in range(t + 1):
            out = out + weights[s] / mass * am.sin(x[s])
        total = total + out * out
    return total


def pairs(x: Sequence[Any], n: int = 16) -> Any:
    """The energy of all pairs, with a branch inside."""
    y = [am.sin(0.3 * k + x[k]) for k in range(n)]
    energy = 0.0
    for i in range(n):
        for j in range(i):
            d = y[i] - y[j] + 0.1
            energy = energy + (1 / (0.1 + d * d) if d * d < 9.0 else 0.7 * d)
    return energy


def products(x: Sequence[Any], n: int = 12) -> Any:
    """What inner loops hand on is not linear: a reverse sweep needs it from each step."""
    total = x[0]
    for i in range(n):
        p = x[1]
        for j in range(i):
            p = p * am.sin(x[2] + 0.1 * j) + 0.3 * total
        total = 0.5 * total + am.tanh(p)
    return total


def prefixes(x: Sequence[Any], n: int = 14) -> Any:
    """Outer loops of no inner steps, at the end as well."""
    last, total = x[0], 0.0
    for i in range(n):
        for j in range(n - 1 - i):
            last = am.sin(last) + x[3] * (0.01 * j + 0.1)
        total = total + last * last
    return total


PROGRAMS = [cholesky, determinant, attention, pairs, products, prefixes]
AT = [1.31, *[0.1 + 0.07 * (5 * k % 13) for k in range(23)]]


def traced(function: Any) -> Program:
    """What a capture of the function gives."""
    trace, outputs, _ = capturing.trace_call(Trace(), function, read_call("f", (AT,), {}), AT)
    return remove_dead_code(verify(finish(trace, outputs)))


def rolled(program: Program) -> Program:
    """The program with loops, which must be triangles."""
    new = verify(rolling.rolled(program))
    assert any(loop.extent == STEPS for loop in loops(new))
    return new


@pytest.fixture(autouse=True)
def _short_code_is_rolled() -> Any:
    with mock.patch.object(rolling, "FEWEST", 100), mock.patch.object(rolling, "MANY_LEFT", 20):
        yield


@pytest.mark.parametrize("function", PROGRAMS)
def test_statements_do_not_grow(function: Any) -> None:
    """More points give the same loops, the gradient included, with the bits of the flat trace."""
    counts = []
    for n in (14, 20):
        of_points = partial(function, n=n)
        program, gradient = traced(of_points), traced(value_and_grad(of_points))
        new = rolled(program)
        assert repr(evaluate(program, [AT])) == repr(evaluate(new, [AT]))
        assert repr(evaluate(simplify(new), [AT])) == repr(evaluate(new, [AT]))
        counts.append((count(remove_dead_code(new)), count(remove_dead_code(gradient))))
    assert counts[1] <= counts[0]


@pytest.mark.parametrize("function", PROGRAMS)
def test_derivatives(function: Any) -> None:
    """Value, gradient, tangent and Hessian, single and in batches, are the eager ones."""
    (value, slopes), (expected, eager) = jit(value_and_grad(function))(AT), value_and_grad(function)(AT)
    close([expected, *eager], [value, *slopes])
    direction = [0.1 * k - 0.5 for k in range(len(AT))]
    close(jvp(function, (AT,), (direction,)), jit(lambda x: jvp(function, (x,), (direction,)))(AT))
    rows = [[x + 0.01 * k for x in AT] for k in range(10)]
    for row, (value, slopes) in [*zip(rows, jit(vmap(value_and_grad(function)))(rows))][::4]:
        expected, eager = value_and_grad(function)(row)
        close([expected, *eager], [value, *slopes])


@pytest.mark.parametrize("function", PROGRAMS)
def test_hessian(function: Any) -> None:
    """Derivatives of derivatives are those of the loops."""

    def of_few(p: Sequence[Any]) -> Any:
        return function([*p, *AT[2:]], n=9)

    with everything_rolled(16):
        found = jit(hessian(of_few))(AT[:2])
    for one, other in zip(hessian(of_few)(AT[:2]), found, strict=True):
        close(one, other)


def test_another_branch() -> None:
    """A comparison in a triangle is a guard: numbers for which it comes out differently are traced anew."""
    compiled = jit(pairs)
    for shift in (0.0, 0.5, 1.5, 0.0):
        x = [a + shift * k for k, a in enumerate(AT)]
        assert compiled(x) == pytest.approx(pairs(x), rel=1e-13)


def test_printed() -> None:
    """The text of an inner loop says how it ends by the outer counter."""
    text = str(remove_dead_code(rolled(traced(products))))
    assert re.search(r"(v\d+\.\d+) = add 1\.0 v\d+\.i\n(.*\n)*.*for v\d+\.\d+\.i in 0\.\.\1:", text)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_in_c(tmp_path: Path) -> None:
    """Generated C has the loops, and the same numbers."""
    functions = [cholesky, products]
    examples = [exported(jit(value_and_grad(f)), AT, name=f.__name__) for f in functions]
    library = Library(examples, tmp_path)
    for function, example in zip(functions, examples):
        value, slopes = value_and_grad(function)(AT)
        status, outputs = library.call(example)
        assert status == 0
        close([value, *slopes], [x for output in outputs for x in output])


@pytest.mark.parametrize("function", PROGRAMS)
def test_sparse(function: Any) -> None:
    """A sparse Hessian has the entries of the dense one."""

    def of_few(x: Sequence[Any]) -> Any:
        return function([*x, *AT[3:]])

    found = jit(hessian(of_few, sparse=True))(AT[:3])
    for one, other in zip(hessian(of_few)(AT[:3]), found.toarray(), strict=True):
        close(one, other)


# ---- any programs ----------------------------------------------------------------------------------------------------


places = st.one_of(
    st.tuples(st.just("x"), st.integers(0, 6), st.sampled_from([0, 1]), st.sampled_from([0, 1])),
    st.tuples(st.just("register"), st.integers(0, 1)),
    st.tuples(st.just("row"), st.sampled_from(["inner", "outer"]), st.integers(0, 1)),
)
statements = st.tuples(st.integers(0, 2), st.sampled_from(["hand 0", "hand 1", "keep"]), places, places)
inner_counts = st.tuples(st.sampled_from([-1, 0, 1]), st.integers(0, 3))


@st.composite
def plans(draw: Any) -> Any:
    """A number of steps, statements before, in and after one or two inner loops, and how long these are."""
    blocks = []
    for _ in range(draw(st.integers(1, 2))):
        before = draw(st.lists(statements, max_size=1))
        blocks.append((before, draw(inner_counts), draw(st.lists(statements, min_size=1, max_size=2))))
    return draw(st.integers(7, 10)), blocks, draw(st.lists(statements, max_size=1))


MEETS: list[Callable[[Any, Any], Any]] = [
    lambda a, b: 0.7 * a + 0.2 * am.sin(b),
    lambda a, b: am.tanh(a) * b + 0.1,
    lambda a, b: a - 0.5 * b,
]


def function_of(plan: Any) -> Any:
    """The function of a plan: nested loops over registers and a table of rows."""
    n, blocks, after = plan

    def function(x: Sequence[Any]) -> Any:
        registers, rows = [x[0], x[1]], [[x[2], x[3], 0.4]]

        def find(place: Any, i: int, j: int) -> Any:
            kind, number, *steps = place
            if kind == "x":
                return x[(number + steps[0] * j + steps[1] * i) % 7]
            if kind == "register":
                return registers[number]
            row = rows[max(len(rows) - 1 - steps[0], 0)] if number == "inner" else rows[min(i, len(rows) - 1)]
            return row[j % len(row)]

        def run(block: Any, i: int, j: int) -> None:
            for meet, where, a, b in block:
                found = MEETS[meet](find(a, i, j), find(b, i, j))
                if where == "keep":
                    rows[-1].append(found)
                else:
                    registers[int(where[-1])] = found

        for i in range(n):
            rows.append([registers[0] * 0.5])
            for before, (slope, least), inside in blocks:
                run(before, i, 0)
                for j in range(least + slope * i if slope >= 0 else n + 1 - least - i):
                    run(inside, i, j)
            run(after, i, 0)
        return am.tanh(0.1 * (registers[0] + registers[1] + rows[-1][-1] + rows[n // 2][-1]))

    return function


@given(plans())
@settings(max_examples=25)
def test_random_triangles(plan: Any) -> None:
    """Rolled programs have the bits of the flat ones; gradients equal them but for the order of sums."""
    function = function_of(plan)
    program = captured(function)
    with everything_rolled():
        new = verify(rolling.rolled(program))
        other = captured(value_and_grad(function))
    with mock.patch.object(rolling, "FEWEST", 10**9), mock.patch.object(sweeps, "FEWEST_AGAIN", 10**9):
        one = captured(value_and_grad(function))
    assert repr(evaluate(program, [START])) == repr(evaluate(new, [START]))
    (a, failed), (b, missed) = evaluate(one, [START]), evaluate(other, [START])
    assert failed == missed == -1
    close(flat(a), flat(b))


# ---- time ------------------------------------------------------------------------------------------------------------


def test_linear_time() -> None:
    """The steps by which triangles are found grow no faster than the trace."""
    names = ("rolling", "written", "places", "nest", "triangles", "laid_out", "fitted")
    modules = [f"ir/roll/{name}.py" for name in names]
    programs = [traced(partial(attention, n=n)) for n in (12, 24)]
    counts = [lines_executed(partial(rolling.rolled, program), *modules) / len(program.code) for program in programs]
    assert counts[1] < 1.5 * counts[0]
