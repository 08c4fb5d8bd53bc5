"""Compiled functions as C: every primitive, loops, batches, names, statuses and files, compiled by gcc and clang."""

from __future__ import annotations

import functools
import math
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from c_functions import Library, defined, exported, in_the_same_order, run_compiler, same_bits
from net.checks import HEADER
from net.loops import loops
from net.maps import maps
from test_jit_rules import eager, gradient_bound, points, ulps, value_bound

import autograd.math as am
from autograd import (
    Value,
    custom_gradient,
    fori,
    grad,
    hessian,
    jacobian,
    jit,
    rules,
    scan,
    value_and_grad,
    vmap,
    while_loop,
)
from autograd.compiler.export.names import Names
from autograd.compiler.export.parts import Parts
from autograd.compiler.run.exports import Example
from autograd.rules import TABLE

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
pytestmark = pytest.mark.skipif("gcc" not in COMPILERS, reason="needs gcc")


# ---- primitives --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Library, dict[str, Example]]:
    """Value and gradient of each row of the table, in one library."""
    found = {}
    for name, rule in TABLE.items():
        argnums = tuple(range(rule.arity or 3))
        step = jit(value_and_grad(lambda *x, rule=rule: rule(*x), argnums=argnums))
        found[name] = exported(step, *points(rule)[0], name=f"row_{name}")
    return Library(list(found.values()), tmp_path_factory.mktemp("table")), found


@pytest.mark.parametrize("name", TABLE)
def test_primitive(name: str, table: tuple[Library, dict[str, Example]]) -> None:
    """Each row of the table has eager's value and gradient in C, at special numbers and corners too."""
    library, examples = table
    for row, (value, gradient) in zip(points(TABLE[name]), eager(name), strict=True):
        status, outputs = library.call(examples[name], [[x] for x in row])
        assert status == 0
        actual = [x for (x,) in outputs]
        assert ulps(value, actual[0]) <= value_bound(name), (row, value, actual[0])
        for expected, number in zip(gradient, actual[1:], strict=True):
            assert ulps(expected, number) <= gradient_bound(name), (row, gradient, actual)


# ---- programs with loops -----------------------------------------------------------------------------------------


def spring(x0: Any, stiffness: Any) -> Any:
    """The end of an oscillation in 50 steps, and the sum of all places."""

    def step(state: Any, _: None) -> Any:
        x, v = state
        return (x + 0.01 * v, v - 0.01 * stiffness * x), x

    (x, _), places = scan(step, (x0, 0.0), None, length=50)
    return x * x + sum(places)


def chain(x: Any) -> Any:
    """Rosenbrock's function, written as a plain loop that the compiler finds again."""
    return sum(100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2 for i in range(len(x) - 1))


def newton(a: Any) -> Any:
    """The square root, by a loop whose length is data."""
    return while_loop(lambda x: am.fabs(x * x - a) > 1e-12, lambda x: 0.5 * (x + a / x), a)


def powers(x: Any, n: Any) -> Any:
    """x to the power n, in n steps."""
    return fori(n, lambda i, y: y * x + 0.1 * i, 1.0)


def chosen(table: Any, k: Any) -> Any:
    """Elements at computed places."""
    return am.take(table, k) * table[0] + am.take([table[1], k, 3.0], 1.0)


def matrix(a: Any, b: Any) -> Any:
    """The product of two matrices, and the sum of its squares."""
    rows = [[am.dot(row, column) for column in zip(*b, strict=True)] for row in a]
    return rows, sum([x * x for row in rows for x in row])


def of_matrix(a: Any, b: Any) -> Any:
    """The sum of squares alone."""
    return matrix(a, b)[1]


def row_loss(w: Any, row: Any) -> Any:
    """The loss of a row."""
    return am.log1p(am.exp(-(am.dot(w, row) + row[0])))


def nested_loops(a: Any) -> Any:
    """Loops whose length is data, in the steps of another one."""

    def step(before: Any, x: Any) -> Any:
        after = newton(before * before + x * x)
        return after, after

    return sum(scan(step, a, [1.0, 2.0, 3.0])[1])


CLOSED = [Value(0.1 * k, label="w") for k in range(30)]


def closed_loop(x: Any) -> Any:
    """A loop whose steps use Values from outside, one by one and all together."""

    def step(total: Any, row: Any) -> Any:
        return total * CLOSED[3] + row * CLOSED[7] + am.sum([w * total for w in CLOSED]), None

    return scan(step, x, [1.0, 2.0, 3.0])[0]


def turning(x: Any) -> Any:
    """Steps that hand numbers on in circles."""

    def step(before: Any, _: None) -> Any:
        c = list(before)
        return (*c[1:4], 0.5 * c[0] + c[3], c[5], c[4], c[7], c[6] + c[0]), c[2]

    return scan(step, tuple(x), None, length=7)


def stencil(x: Any, speed: Any, steps: Any = 7) -> Any:
    """Temperatures of a rod with fixed ends; more numbers than a step hands on in registers."""

    def step(u: Any, _: Any) -> Any:
        inner = vmap(lambda a, b, c: b + speed * (a - 2.0 * b + c))(u[:-2], u[1:-1], u[2:])
        return [u[0], *[inner[k] for k in range(len(u) - 2)], u[-1]], u[3]

    return scan(step, [x[k] for k in range(20)], None, length=steps)


def stencil_loss(x: Any, speed: Any) -> Any:
    """A sum over all temperatures at the end, and over one of them at all times."""
    end, times = stencil(x, speed)
    return sum([u * u for u in end]) + am.sum(times)


def shared_log(w: Any, x: Any) -> Any:
    """Comparisons of what all steps share, which gcc 12 must not simplify where it has no more than SSE 2."""
    a = vmap(lambda r: r * 1.1 * r, reduce="mean")(x)
    b = vmap(lambda r: am.log(w[1]) * r + r, reduce="mean")(x)
    c = vmap(lambda r: grad(lambda s: am.sin(s * -1.66) * s**2)(r), reduce="sum")(x)
    return a * b * c + a


def circle(x: Any) -> Any:
    """Numbers that change places and signs, until their sum is large; how many steps that took is a carry, too."""

    def step(u: Any) -> Any:
        return (u[1], -u[0], *u[3:18], 0.5 * u[2] + u[18], u[18] + 1.0)

    return while_loop(lambda u: u[17] + u[18] < 6.0, step, tuple(x[k] for k in range(19)))


A, B = [[1.0, 2.0, 0.5], [-1.0, 0.25, 3.0]], [[0.5, 1.5], [2.0, -1.0], [0.125, 4.0]]
WEIGHTS, ROWS = [0.5, -0.25, 2.0], np.arange(12.0).reshape(4, 3) / 7.0 - 0.5
mean_loss = vmap(row_loss, in_axes=(None, 0), reduce="mean")
LONG = [0.1 * math.sin(k) + 1.0 for k in range(300)]
STENCIL = [0.3 * math.cos(k) + 1.0 for k in range(20)]


def only_a_guard(x: Any, y: Any, w: Any) -> Any:
    """Rows of which one loop does nothing but compare, and reads no row for that."""
    if w[0] < -2.0:
        raise ValueError
    return am.tanh(x + y) + am.tanh(w[0]) + am.tanh(w[1]) + am.tanh(sum(w)) + am.tanh(x)


CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "spring": (jit(spring), (1.0, 2.0)),
    "spring_gradient": (jit(value_and_grad(spring, (0, 1))), (1.0, 2.0)),
    "spring_hessian": (jit(hessian(spring, (0, 1))), (1.0, 2.0)),
    "chain_gradient": (jit(value_and_grad(chain)), (LONG,)),
    "chain_accurate": (jit(value_and_grad(chain), accurate=True), (LONG,)),
    "newton": (jit(value_and_grad(newton)), (7.0,)),
    "newton_twice": (jit(grad(grad(newton))), (7.0,)),
    "powers": (jit(value_and_grad(powers)), (1.25, 6.0)),
    "no_steps": (jit(value_and_grad(powers)), (1.25, 0.0)),
    "chosen": (jit(value_and_grad(chosen, (0, 1))), ([1.0, 2.0, 5.0, 7.0], 2.0)),
    "outside": (jit(value_and_grad(chosen, (0, 1))), ([1.0, 2.0, 5.0, 7.0], 9.0)),
    "matrix": (jit(matrix), (A, B)),
    "matrix_jacobian": (jit(jacobian(lambda a, b: matrix(a, b)[0], (0, 1))), (A, B)),
    "of_matrix": (jit(grad(of_matrix, (0, 1))), (A, B)),
    "rows": (jit(vmap(row_loss, in_axes=(None, 0))), (WEIGHTS, ROWS)),
    "rows_gradient": (jit(vmap(value_and_grad(row_loss), in_axes=(None, 0))), (WEIGHTS, ROWS)),
    "mean_gradient": (jit(value_and_grad(mean_loss)), (WEIGHTS, ROWS)),
    "by_rows": (jit(value_and_grad(mean_loss, (0, 1))), (WEIGHTS, ROWS)),
    "columns": (jit(vmap(lambda x: [x[0] * x[2], am.exp(x[1])], in_axes=1)), (ROWS.T,)),
    "listed": (jit(vmap(lambda x: {"a": x["p"] * 2.0, "b": [x["q"][1]]})), ([{"p": 1.0, "q": [2.0, 3.0]}] * 3,)),
    "nested": (
        jit(lambda t: {"sum": t["a"] + t["b"][1], "all": (t["b"], [[t["a"]] * 2])}),
        ({"a": 1.0, "b": [2.0, 3.0]},),
    ),
    "empty": (jit(lambda x, y: (x, [y, y], [])), ([], 2.0)),
    "constant": (jit(lambda x: (1.5, [math.nan, -0.0, math.inf], x)), (5e-324,)),
    "no_argument": (jit(lambda: [1.0, 2.0]), ()),
    "rows_of_loops": (jit(vmap(value_and_grad(newton))), (np.array([1.0, 2.0, 9.0, 4.0]),)),
    "loops_in_steps": (jit(value_and_grad(nested_loops)), (1.5,)),
    "closed": (jit(closed_loop), (0.5,)),
    "views": (jit(lambda a: (a[::-1, :2], a.T, a[1])), (ROWS,)),
    "same": (jit(lambda x: (x, x, [x] * 7)), (2.0,)),
    "truths": (jit(lambda x, y: (x < y, (x < y) | (y < 1.0), am.where((x < y) & (x != 0.0), x, y))), (1.0, 2.0)),
    "turning": (jit(turning), ([0.3 * k + 0.1 for k in range(8)],)),
    "turning_gradient": (jit(grad(lambda x: sum(turning(x)[1]) + turning(x)[0][0])), ([0.3 * k for k in range(8)],)),
    "stencil": (jit(stencil), (STENCIL, 0.2)),
    "stencil_gradient": (jit(value_and_grad(stencil_loss, (0, 1))), (STENCIL, 0.2)),
    "stencil_hessian": (jit(jacobian(grad(lambda speed: stencil_loss(STENCIL, speed)))), (0.2,)),
    "stencil_rows": (jit(vmap(stencil_loss, in_axes=(None, 0))), (STENCIL, LONG[:11])),
    "stencil_rows_gradient": (jit(vmap(value_and_grad(stencil_loss), in_axes=(None, 0))), (STENCIL, LONG[:11])),
    "stencil_no_steps": (jit(lambda x: stencil(x, 0.2, 0)[0]), (STENCIL,)),
    "circle": (jit(circle), (STENCIL,)),
    "circle_gradient": (jit(grad(lambda x: am.sum(list(circle(x))))), (STENCIL,)),
    "circle_rows": (jit(vmap(lambda x: circle(x)[3])), ([STENCIL, STENCIL[::-1]],)),
    "shared_log": (jit(value_and_grad(shared_log, 1), accurate=True), ([1.2, 1.3], LONG[:9])),
    "nothing": (jit(lambda x: None), (1.0,)),
    "only_a_guard": (
        jit(value_and_grad(vmap(only_a_guard, (0, 0, None), "mean"), (0, 2))),
        ([1.05], [-0.13], [0.5, -0.81]),
    ),
    "named_in_a_note": (jit(lambda w, x: w * 2.0 if w > 1.0 else x), (1.5, 2.0)),
    "many": (jit(lambda x: am.sum(x) * am.sum(x[::-1]) + am.fsum(x)), (LONG,)),
}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Library, dict[str, Example]]:
    """All cases in one library, with the optimisations that users have."""
    found = {name: exported(fast, *args, name=name) for name, (fast, args) in CASES.items()}
    return Library(list(found.values()), tmp_path_factory.mktemp("cases"), flags=("-O2",)), found


@pytest.mark.parametrize("name", CASES)
def test_program(name: str, cases: tuple[Library, dict[str, Example]]) -> None:
    """A function in C has the bits of the program that it is written from, and the numbers of eager code."""
    library, examples = cases
    example = examples[name]
    status, outputs = library.call(example)
    assert status == 0
    assert same_bits(defined(example), in_the_same_order(example, outputs))
    for expected, actual in zip(example.outputs, outputs, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("compiler", "level"), [(name, level) for name in COMPILERS for level in ("-O0", "-O3")])
def test_no_warning(compiler: str, level: str, cases: tuple[Library, dict[str, Example]], tmp_path: Path) -> None:
    """All cases compile without a warning, with helpers and closed-over Values among them."""
    Library(list(cases[1].values()), tmp_path, compiler, [level])


def paths_in_lanes(xs: Any, table: Any) -> Any:
    """Rows with steps that hand on, sums that add to one array, functions, comparisons, and elements at places."""

    def row(x: Any, shared: Any) -> Any:
        def step(state: Any, k: Any) -> Any:
            after = am.where(state > 1.5, state - 0.25 * k, state * am.exp(-x * 0.1) + am.sin(k * x))
            return after, after * shared[1]

        last, all_ = scan(step, x, [0.5, 1.5, -1.0, 2.0, 0.25])
        inside = (last > 0.0) & ((x < 0.5) | (shared[0] > 2.0)) & ~(x == 3.0)
        return [am.where(inside, last, am.copysign(am.log1p(am.fabs(last)), x)), am.atan2(all_[2], last), am.floor(x)]

    found = vmap(row, in_axes=(0, None))(xs, table)
    return am.sum([x * x + y * am.tanh(z) for x, y, z in zip(*found, strict=True)])


def added_at(xs: Any, table: Any) -> Any:
    """Steps each of which adds to a place of its own, and reads its neighbours."""
    made = [x * t for x, t in zip(xs, table, strict=True)]
    return am.sum([(made[k + 1] - 2.0 * made[k] + made[k - 1]) ** 2 for k in range(1, len(made) - 1)])


def cells(xs: Any, table: Any) -> Any:
    """Steps of cells in parallel, whose weights' gradients add up over the steps."""

    def step(before: Any, k: Any) -> Any:
        return vmap(lambda h, w: am.tanh(h * w + k))(before, table), None

    return am.sum(scan(step, xs, [0.1, -0.5, 0.7])[0])


def layer(rows: Any, weights: Any) -> Any:
    """The loss of a layer over rows: its gradient by the weights consists of sums of products of few factors."""

    def loss(row: Any, weights: Any) -> Any:
        made = [am.tanh(am.dot(w[:6], row) + w[6]) for w in weights]
        return am.sum([x * x for x in made]) * made[0]

    return vmap(loss, in_axes=(0, None), reduce="sum")(rows, weights)


WIDE = {
    f"{name}_{n}": (jit(value_and_grad(function, argnums=by)), shapes)
    for n in (8, 11, 16, 21, 24)
    for name, function, by, shapes in (
        ("paths", paths_in_lanes, (0, 1), ((n,), (n,))),
        ("added", added_at, (0, 1), ((n,), (n,))),
        ("cells", cells, (0, 1), ((n,), (n,))),
        ("layer", layer, 1, ((n, 6), (12, 7))),
    )
}
FLAGS = {1: [], 2: [], 4: ["-mavx"], 8: ["-mavx512f"]}
KNOWN = Path("/proc/cpuinfo").read_text().split() if Path("/proc/cpuinfo").exists() else []
HERE = [lanes for lanes, flags in FLAGS.items() if all(flag.removeprefix("-m") in KNOWN for flag in flags)]


@functools.cache
def wide_examples() -> list[Example]:
    """Programs whose steps are taken together."""
    random = np.random.default_rng(2)
    return [
        exported(fast, *[random.normal(size=shape) for shape in shapes], name=name)
        for name, (fast, shapes) in WIDE.items()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("lanes", HERE)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_lanes(lanes: int, compiler: str, tmp_path: Path) -> None:
    """Steps taken together have the bits of the program with sums in as many lanes, and the numbers of eager code."""
    examples = wide_examples()
    assert "        } else {" in examples[3].source.text()  # the factors of two blocks are kept
    counts = [f"-D{example.source.name}_LANES={lanes}" for example in examples]
    library = Library(examples, tmp_path, compiler, ["-O2", "-U__FP_FAST_FMA", "-U__FMA__", *FLAGS[lanes], *counts])
    for example in examples:
        assert example.source.loops
        status, outputs = library.call(example)
        assert status == 0
        assert same_bits(defined(example, lanes), in_the_same_order(example, outputs)), example.source.name
        for expected, actual in zip(example.outputs, outputs, strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.skipif("fma" not in KNOWN or "avx2" not in KNOWN, reason="needs a CPU with fused multiply-adds")
@pytest.mark.parametrize("compiler", COMPILERS)
def test_fused_multiply_adds(compiler: str, tmp_path: Path) -> None:
    """Functions that come along are as good where the machine has fused multiply-adds."""
    examples = [
        exported(jit(vmap(lambda x, f=f: f(x))), np.array([0.5]), name=f"f_{k}") for k, (f, _) in FUNCTIONS.items()
    ]
    library = Library(examples, tmp_path, compiler, ["-O2", "-mavx2", "-mfma"])
    xs = np.concatenate([np.random.default_rng(0).normal(size=999) * 10.0, 10.0 ** np.linspace(-320.0, 300.0, 999)])
    for example, (function, bound) in zip(examples, FUNCTIONS.values(), strict=True):
        status, (found,) = library.call(replace(example, rows=len(xs)), [xs.tolist()])
        assert status == 0
        for x, actual in zip(xs, found, strict=True):
            expected = function(float(x))
            assert same_bits([expected], [actual]) or ulps(expected, actual) <= bound, (x, expected, actual)


FUNCTIONS = {"exp": (am.exp, 1), "log": (am.log, 1), "log1p": (am.log1p, 1), "tanh": (am.tanh, 2)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_that_come_along(name: str, tmp_path: Path) -> None:
    """Where steps of a loop may be done together, functions without branches differ from libm's in the last digit."""
    function, bound = FUNCTIONS[name]
    example = exported(jit(vmap(lambda x: function(x))), np.array([0.5]), name="only")
    assert f"only_{name}(only_some(x + i, 1, k2))" in example.source.text()
    library, random = Library([example], tmp_path, flags=("-O3",)), np.random.default_rng(0)
    numbers = [random.normal(size=4000) * 10.0, random.uniform(-746.0, 710.0, 4000), random.normal(1.0, 0.02, 4000)]
    numbers += [10.0 ** random.uniform(-324.0, 308.0, 4000), random.uniform(-1.0, 1.0, 4000)]
    special = [0.0, 5e-324, 2.2250738585072014e-308, 0.625, 709.782712893384, 709.7827128933841, 745.2, 1e308]
    for xs in (np.concatenate(numbers), [*special, *[-x for x in special]], [math.inf, -math.inf, math.nan]):
        status, (found,) = library.call(replace(example, rows=len(xs)), [list(xs)])
        assert status == 0
        for x, actual in zip(xs, found, strict=True):
            expected = function(float(x))
            assert same_bits([expected], [actual]) or ulps(expected, actual) <= bound, (x, expected, actual)


def many_sums(x: Any) -> Any:
    """Sums of each row: few, with functions that come along, a comparison, and many."""
    scaled = am.where(x > 0.5, am.exp(-x), am.log(x + 2.0)) * x
    return [scaled, am.tanh(x) + am.log1p(x * x), *[x * float(k) for k in range(6)]]


def test_sums_in_blocks(tmp_path: Path) -> None:
    """Any number of rows: blocks of them have sums of their own, and the last block may be shorter."""
    few, many = vmap(lambda x: many_sums(x)[0], reduce="sum"), vmap(many_sums, reduce="sum")
    examples = []
    for n in (7, 8, 16, 19):
        xs = np.random.default_rng(n).normal(size=n)
        for k, function in enumerate((few, many)):
            examples.append(exported(jit(function), xs, name=f"rows{k}_{n}"))
            examples.append(exported(jit(lambda xs, function=function: [function(xs)]), xs, name=f"known{k}_{n}"))
    library = Library(examples, tmp_path, flags=("-O3",))
    for example in examples:
        assert bool(example.source.loops) == (bool(example.source.rows) or len(example.given[0]) >= 8)
        status, outputs = library.call(example)
        assert status == 0
        assert same_bits(defined(example), in_the_same_order(example, outputs)), example.source.name
        for expected, actual in zip(example.outputs, outputs, strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("last", [0.5, -0.5])
def test_comparisons_in_blocks(last: float, tmp_path: Path) -> None:
    """A comparison that comes out otherwise in any row ends the function with its status, after the loop."""

    def row(x: Any) -> Any:
        found = {}
        if x > 0.0:
            found.setdefault("y", x * 2.0)  # a call of a dict: the comparison is a guard
        else:
            found.setdefault("y", -x)
        return found["y"]

    rows = np.full(21, 0.75)
    functions = {"each": vmap(row), "total": vmap(row, reduce="sum")}
    examples = {name: exported(jit(function), rows, name=name) for name, function in functions.items()}
    library, given = Library(list(examples.values()), tmp_path), [*rows[:-1].tolist(), last]
    for name, function in functions.items():
        assert "_any(" in examples[name].source.text()
        status, (outputs,) = library.call(examples[name], [given])
        assert status == (0 if last > 0.0 else 1)
        if last > 0.0:
            np.testing.assert_allclose(outputs, np.atleast_1d(function(np.array(given))), rtol=1e-15)


def test_stored_outputs_are_those_of_eager_code() -> None:
    """What a test compares with is what the plain function returns."""
    example = exported(CASES["nested"][0], *CASES["nested"][1])
    assert [[6.0 - 2.0], [2.0, 3.0], [1.0, 1.0]] == example.outputs
    assert ["result_sum", "result_all_0", "result_all_1"] == [p.name for p in example.source.parameters if p.is_output]
    example = exported(CASES["by_rows"][0], *CASES["by_rows"][1])
    value, (by_weights, by_rows) = value_and_grad(mean_loss, (0, 1))(WEIGHTS, ROWS)
    names = ["value", "gradient_w", "gradient_row"]
    assert names == [p.name for p in example.source.parameters if p.is_output]
    for expected, actual in zip([[value], by_weights, by_rows.ravel()], example.outputs, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-14)


def test_special_numbers(cases: tuple[Library, dict[str, Example]]) -> None:
    """Infinities, nan and -0.0 go through as in the program's definition."""
    library, examples = cases
    example = examples["mean_gradient"]
    for number in (math.inf, -math.inf, math.nan, -0.0, 5e-324, 1e308):
        for k in range(3):
            changed = [number if j == k else w for j, w in enumerate(WEIGHTS)]
            given = [changed, *example.given[1:]]
            there = replace(example, given=given, inputs=[changed, example.inputs[1]])
            status, outputs = library.call(there)
            assert status == 0
            assert same_bits(defined(there), in_the_same_order(there, outputs))


def test_any_number_of_rows(cases: tuple[Library, dict[str, Example]]) -> None:
    """The number of rows is that of the call, also none."""
    library, examples = cases
    example = examples["rows_gradient"]
    for count in (0, 1, 1000):
        rows = np.random.default_rng(count).normal(size=(count, 3))
        there = replace(example, rows=count, inputs=[WEIGHTS, rows.ravel().tolist()])
        status, (values, *gradients) = library.call(there)
        assert status == 0
        expected = [value_and_grad(row_loss)(WEIGHTS, row.tolist()) for row in rows]
        np.testing.assert_allclose(values, [value for value, _ in expected], rtol=1e-13)
        np.testing.assert_allclose(np.transpose(gradients), [gradient for _, gradient in expected] or np.empty((0, 3)))


# ---- branches ----------------------------------------------------------------------------------------------------


def branching(x: Any, y: Any) -> Any:
    """Two comparisons."""
    if x > 0.0:
        return x * y
    return x - y if y < 1.0 else x + y


def test_a_status_says_which_comparison_left_the_path(tmp_path: Path) -> None:
    """0 on the path of the example; else the number of the comparison, whose line is in the header."""
    one, two = exported(jit(branching), 2.0, 3.0, name="one"), exported(jit(branching), -2.0, 0.5, name="two")
    library = Library([one, two], tmp_path)
    assert (0, [[6.0]]) == library.call(one)
    assert 1 == library.call(one, [[-2.0], [3.0]])[0]
    assert 1 == library.call(one, [[math.nan], [3.0]])[0]
    assert (0, [[-2.5]]) == library.call(two)
    assert 1 == library.call(two, [[2.0], [0.5]])[0]
    assert 2 == library.call(two, [[-2.0], [1.5]])[0]
    text = two.source.text()
    assert "TWO_LEFT_1 = 1," in text
    assert "a comparison came out true at test_export_c.py" in text
    assert "return x - y if y < 1.0 else x + y" in text


def test_a_status_in_a_row(tmp_path: Path) -> None:
    """A row on another path gives a status; rows of an example on several paths are refused with the line."""

    def guarded(x: Any, y: Any) -> Any:
        found = {}
        if x > 0.0:  # it calls a dict, so it is a guard
            found.setdefault("z", x * y)
        else:
            found.setdefault("z", x + y)
        return found["z"]

    fast = jit(vmap(guarded))
    example = exported(fast, np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    library = Library([example], tmp_path)
    assert (0, [[3.0, 8.0]]) == library.call(example)
    assert 1 == library.call(example, [[1.0, -2.0], [3.0, 4.0]])[0]
    with pytest.raises(ValueError, match=r"do not take one path.*if x > 0\.0"):
        fast.c_source(np.array([1.0, -2.0]), np.array([3.0, 4.0]))


def test_too_many_steps(tmp_path: Path) -> None:
    """A loop that stores what each step needs says when there is no room for more of them."""
    example = exported(jit(grad(newton)), 7.0, name="root")
    library = Library([example], tmp_path)
    assert -1 == library.call(example, steps=2)[0]
    status, ((derivative,),) = library.call(example, steps=40)
    assert status == 0
    assert derivative == pytest.approx(0.5 / math.sqrt(7.0), rel=1e-12)


# ---- names -------------------------------------------------------------------------------------------------------


def test_names_of_arguments(tmp_path: Path) -> None:
    """Arguments keep their names, unless C, C++ or <math.h> has them; different names stay different."""

    def odd(σ: Any, double: Any, exp: Any, x_0: Any, x: Any, rows: Any, work: Any, i: Any, t1: Any, _p: Any) -> Any:
        total = sum([q * am.exp(σ) for q in x])
        return total * double + exp - x_0 * rows + work * i + t1 * t1 * _p + am.sum([i * q for q in x])

    args = (0.5, 2.0, 3.0, 4.0, [1.0, 2.0], 5.0, 6.0, 7.0, 8.0, 9.0)
    example = exported(jit(odd), *args, name="printf")
    names = ["sigma", "double_", "exp_", "x_0", "x", "rows", "work_2", "i", "t1", "p"]
    assert names == [p.name for p in example.source.parameters if not p.is_output]
    assert "printf_" == example.source.name
    status, outputs = Library([example], tmp_path).call(example)
    assert (0, example.outputs) == (status, outputs)


def test_names_of_macros(tmp_path: Path) -> None:
    """No argument has the name of a macro of <math.h>, or of what comes along with the function."""

    # ruff: noqa: N803 (macros are in capitals)
    def digits(M_PI: Any, F_WORK: Any, f_digamma: Any, F_LEFT_1: Any, f: Any, most_steps: Any) -> Any:
        total = am.digamma(M_PI) * f_digamma if F_LEFT_1 > 0.0 else f
        return newton(total + F_WORK + most_steps * 2.0)

    example = exported(jit(grad(digits)), 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, name="f")
    names = ["M_PI_", "F_WORK_2", "f_digamma_2", "F_LEFT_1_2", "f_2", "most_steps"]
    assert names == [p.name for p in example.source.parameters if not p.is_output]
    for flags in (["-O1"], ["-O1", "-std=gnu99"]):
        folder = tmp_path / str(len(flags))
        folder.mkdir()
        status, ((actual,),) = Library([example], folder, flags=flags).call(example)
        assert (status, actual) == (0, pytest.approx(example.outputs[0][0], rel=1e-12))
    with pytest.raises(TypeError, match="name must be text, not 5"):
        jit(newton).c_source(2.0, name=5)


@pytest.mark.parametrize(
    "name", ["math", "stddef", "stdio", "differences", "status", "given_x", "len", "ctypes", "def"]
)
def test_names_of_functions(name: str, tmp_path: Path) -> None:
    """A function and its arguments may have any name: that of a header, of Python, or of something in the test."""
    arguments = dict.fromkeys(["len", "max", "ctypes", "status", "list"], 3.0)
    fast = jit(lambda x, len, max: am.sum([*x.values(), len, max]))  # noqa: A006
    files = fast.export(tmp_path, arguments, 4.0, 5.0, name=name)
    own = files[1].removesuffix(".c")
    assert files == [f"{own}.h", f"{own}.c", "CMakeLists.txt", files[3], f"test_{own}.c"]
    run_compiler("gcc", ["-I."], Path(files[1]), Path(files[4]), folder=tmp_path, output="t")
    assert subprocess.run([tmp_path / "t"], capture_output=True, check=False).returncode == 0
    (tmp_path / "build").mkdir()
    run_compiler("gcc", ["-shared", "-fPIC"], tmp_path / files[1], folder=tmp_path, output=f"build/lib{own}.so")
    module = files[3].removesuffix(".py")
    program = f"import {module} as m; print(m.{module}(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0))"
    found = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout == "[28.0]\n"


@pytest.mark.parametrize("flag", ["-ffast-math", "-Ofast", "-ffinite-math-only"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_no_fast_math(compiler: str, flag: str, tmp_path: Path) -> None:
    """A compiler that may change the arithmetic refuses the file."""
    (tmp_path / "f.c").write_text(jit(newton).c_source(2.0))
    command = [compiler, "-std=c99", flag, "-c", "f.c"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode != 0
    assert "without -ffast-math" in found.stderr


def test_hostile_labels_and_keys(tmp_path: Path) -> None:
    """Texts from outside cannot end a comment or a name."""
    w = Value(2.0, label="*/ int main(void) {} /*")
    fast = jit(lambda t: t["*/ #error"] * w + t["??/"])
    for closed in ("constants", "parameters"):
        example = exported(fast, {"*/ #error": 3.0, "??/": 1.0}, name=f"hostile_{closed}", closed=closed)
        folder = tmp_path / closed
        folder.mkdir()
        assert (0, [[7.0]]) == Library([example], folder).call(example)

    def double(x: Any) -> Any:
        return 2.0 * x

    double.__name__ = "double */ int y; /* ??/"
    example = exported(jit(double), 3.0)
    assert (0, [[6.0]]) == Library([example], tmp_path).call(example)


# ---- what is read outside ----------------------------------------------------------------------------------------


def test_values_from_outside(tmp_path: Path) -> None:
    """They are constants as they are now, or parameters; the text is never of an older number."""
    weights, rate = [Value(float(k), label=f"w{k}") for k in range(20)], Value(0.5, label="rate")
    few = jit(lambda x: x * rate)
    many = jit(lambda x: sum([w * x for w in weights]) + rate)
    assert few(2.0).data == 1.0
    examples = [exported(few, 2.0, name="few"), exported(many, 2.0, name="many")]
    rate.data = 3.0
    examples += [exported(few, 2.0, name="few_later"), exported(few, 2.0, name="few_given", closed="parameters")]
    examples += [exported(many, 2.0, name="many_given", closed="parameters")]
    library = Library(examples, tmp_path)
    assert [[1.0], [380.5], [6.0], [6.0], [383.0]] == [library.call(example)[1][0] for example in examples]
    assert ["x", "rate", "result"] == [p.name for p in examples[3].source.parameters]
    assert ["x", "closed", "result"] == [p.name for p in examples[4].source.parameters]
    assert [[20.0]] == library.call(examples[3], [[2.0], [10.0]])[1]
    assert few.c_source() == few.c_source(2.0)


def test_a_batch_over_values_from_outside(tmp_path: Path) -> None:
    """A map over rows may close over Values too."""
    w = [Value(2.0, label="w0"), Value(3.0, label="w1")]
    fast = jit(vmap(lambda x: w[0] * x[0] + w[1] * am.sin(x[1])))
    example = exported(fast, ROWS[:, :2].copy(), name="line")
    status, (numbers,) = Library([example], tmp_path).call(example)
    assert status == 0
    np.testing.assert_allclose(numbers, 2.0 * ROWS[:, 0] + 3.0 * np.sin(ROWS[:, 1]), rtol=1e-15)


FACTOR = 2.0


def test_plain_numbers_from_outside() -> None:
    """A plain number is the one that the function reads now, whether it was compiled before or not."""
    global FACTOR
    fast = jit(lambda x: x * FACTOR)
    assert fast(1.0) == 2.0
    FACTOR = 7.0
    try:
        assert "x*7.0" in fast.c_source(1.0)
    finally:
        FACTOR = 2.0


def test_static_arguments(tmp_path: Path) -> None:
    """They are constants of the function, given in either way."""

    @jit(static_argnames=("kind", "times"))
    def repeated(x: Any, kind: str = "sine", times: int = 1) -> Any:
        for _ in range(times):
            x = am.sin(x) if kind == "sine" else 0.5 * x
        return x

    with pytest.raises(ValueError, match="call it once"):
        repeated.c_source()
    repeated.export(tmp_path, 8.0, "half", times=3, name="halved")
    assert "0.5*(0.5*(0.5*x))" in (tmp_path / "halved.c").read_text()
    assert "sin(x)" in repeated.c_source(8.0)


# ---- errors ------------------------------------------------------------------------------------------------------


def test_what_cannot_be_written() -> None:
    """Python code, very large arrays, several paths without arguments, and unknown settings are refused in words."""
    with pytest.raises(
        NotImplementedError, match=r"f needs an array of number\[134217728, 20\], too large for counters of type int"
    ):
        Parts("f", Names(), "").work_array((2**27, 20))

    @custom_gradient
    def squared(x: Any) -> Any:
        return float(x) ** 2, lambda g: 2.0 * float(x) * g

    squared_rule = rules.Rule("mine", "mine", lambda x: x * x, (lambda x, y: 2.0 * x,), 1, ((-math.inf, math.inf),))
    with pytest.raises(NotImplementedError, match="calls mine, a primitive that custom_gradient made"):
        jit(lambda x: squared_rule(x)).c_source(1.0)
    fast = jit(branching)
    with pytest.raises(ValueError, match="has not been compiled yet"):
        fast.c_source()
    fast(1.0, 2.0)
    assert "x*y" in fast.c_source()
    fast(-1.0, 2.0)
    with pytest.raises(ValueError, match="compiled for 2 paths: say for which arguments"):
        fast.c_source()
    with pytest.raises(ValueError, match="closed must be 'constants' or 'parameters', not 'both'"):
        fast.c_source(1.0, 2.0, closed="both")


# ---- files -------------------------------------------------------------------------------------------------------

FILES = ["mean_gradient", "newton", "nested", "by_rows", "constant", "empty", "chosen"]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_exported_files(compiler: str, tmp_path: Path) -> None:
    """The C test of the files passes under a strict compiler, and fails if a number is wrong."""
    for name in FILES:
        fast, args = CASES[name]
        folder = tmp_path / name
        fast.export(folder, *args, name=name)
        run_compiler(compiler, ["-O1"], folder / f"{name}.c", folder / f"test_{name}.c", folder=folder, output="t")
        found = subprocess.run([folder / "t"], capture_output=True, text=True, check=False)
        assert (0, f"{name}: 0 numbers differ\n") == (found.returncode, found.stdout)
    folder = tmp_path / "mean_gradient"
    source = folder / "mean_gradient.c"
    source.write_text(source.read_text().replace("*value = ", "*value = 1e-6 + "))
    run_compiler(compiler, [], source, folder / "test_mean_gradient.c", folder=folder, output="t")
    found = subprocess.run([folder / "t"], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "value[0] is" in found.stdout


def test_the_loader(tmp_path: Path) -> None:
    """The module calls the library with sequences, and raises for a status and for too few numbers."""
    for name in ("mean_gradient", "newton", "nested"):
        CASES[name][0].export(tmp_path, *CASES[name][1], name=name)
        (tmp_path / "build").mkdir(exist_ok=True)
        run_compiler("gcc", ["-shared", "-fPIC"], tmp_path / f"{name}.c", folder=tmp_path, output=f"build/lib{name}.so")
    program = """
import math, mean_gradient, nested, newton
rows = ROWS
value, gradient = mean_gradient.mean_gradient(WEIGHTS, rows)
print(value, gradient)
print(newton.newton(4.0), nested.nested(1.0, [2.0, 3.0]))
for wrong in (lambda: newton.newton(2.0, most_steps=1), lambda: nested.nested(1.0, [2.0])):
    try:
        wrong()
    except ValueError as error:
        print(error)
""".replace("ROWS", repr(ROWS.ravel().tolist())).replace("WEIGHTS", repr(WEIGHTS))
    found = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    value, gradient = value_and_grad(mean_loss)(WEIGHTS, ROWS)
    lines = found.stdout.splitlines()
    first, _, rest = lines[0].partition(" ")
    np.testing.assert_allclose([float(first), *eval(rest)], [value, *gradient], rtol=1e-13)
    assert "[4.0, [2.0, 3.0], [1.0, 1.0]]" == lines[1].partition("] ")[2]
    np.testing.assert_allclose(eval(lines[1].partition("] ")[0] + "]"), [2.0, 0.25], rtol=1e-12)
    assert lines[2] == "newton returned the status -1: see newton.h"
    assert lines[3] == "expected 2 numbers, row after row, not 1"


def test_header_in_cpp(tmp_path: Path) -> None:
    """The header is one for C++ too."""
    CASES["newton"][0].export(tmp_path, 2.0, name="newton")
    (tmp_path / "use.cpp").write_text(
        '#include "newton.h"\nint main() { return NEWTON_DONE + 0 * (int)NEWTON_WORK(2); }\n'
    )
    subprocess.run(["g++", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c", "use.cpp"], cwd=tmp_path, check=True)


def test_two_threads(cases: tuple[Library, dict[str, Example]]) -> None:
    """The function is reentrant: threads with workspaces of their own do not disturb one another."""
    library, examples = cases
    example, found = examples["spring_gradient"], {}
    alone = {k: library.call(example, [[1.0 + k], [2.0]]) for k in range(4)}

    def work(k: int) -> None:
        found[k] = [library.call(example, [[1.0 + k], [2.0]]) for _ in range(200)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {k: [alone[k]] * 200 for k in range(4)} == found
    assert not any(name in examples["spring_gradient"].source.text() for name in ("malloc", "static double"))


@pytest.mark.slow
@pytest.mark.parametrize("write", [loops, maps], ids=["loops", "maps"])
def test_random_programs(write: Any, tmp_path: Path) -> None:
    """Random programs with loops, their derivatives among them, have the bits of their definition in C."""
    examples = []
    for seed in range(12):
        names: dict[str, Any] = {}
        calls: list[Any] = []

        def call(*arguments: Any, calls: list[Any] = calls) -> None:
            calls.append(arguments)

        exec(HEADER, names)
        names |= {"call": call, "call_exact": call, "call_on_values": call}
        exec(write(Random(seed)), names)
        fast, *args = calls[0]
        examples.append(exported(fast, *args, name=f"random_{seed}", closed=("constants", "parameters")[seed % 2]))
    library = Library(examples, tmp_path)
    for example in examples:
        status, outputs = library.call(example)
        assert (0, True) == (status, same_bits(defined(example), in_the_same_order(example, outputs)))


@pytest.mark.slow
def test_sanitisers(tmp_path: Path) -> None:
    """Nothing is read or written outside its array, and nothing is undefined: gcc's sanitisers stay silent."""
    flags = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    more = ["rows_gradient", "loops_in_steps", "views", "nothing", "stencil_rows_gradient", "circle_gradient"]
    for name in [*FILES, *more]:
        fast, args = CASES[name]
        fast.export(tmp_path, *args, name=name)
        run_compiler("gcc", flags, tmp_path / f"{name}.c", tmp_path / f"test_{name}.c", folder=tmp_path, output="t")
        found = subprocess.run([tmp_path / "t"], capture_output=True, text=True, check=False)
        assert (0, "") == (found.returncode, found.stderr), name
