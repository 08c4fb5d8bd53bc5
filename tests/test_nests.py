"""Loops with short bodies in machine code: to the last bit what the evaluator computes, whichever loop is in lanes."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import jit, rules, value_and_grad, vmap
from autograd.compiler.lower import nested
from autograd.compiler.lower.module import Machine, Module
from autograd.compiler.lower.nests.tiles import tiling_of
from autograd.compiler.lower.parallel import is_parallel
from autograd.compiler.lower.program import lower
from autograd.compiler.lower.rows.layout import adds_in_lanes
from autograd.compiler.machine import llvm
from autograd.compiler.run.specialization import Frame
from autograd.ir.block import Array, Loop, Program, Window, numbers_in, types_of, whole
from autograd.ir.builder import Builder, LoopBuilder
from autograd.ir.evaluate import evaluate, flat
from autograd.ir.passes.simplify import prepare, simplify, unroll
from autograd.ir.verify import verify

SHAPES = [(1, 1), (2, 3), (3, 1000), (7, 9), (8, 8), (16, 16), (17, 5), (27, 16), (5, 0), (0, 5)]
Made = tuple[Program, list[int]]  # a program, and how many numbers each input has


def lowered(program: Program) -> Module:
    """The module of a program for this machine, after all passes."""
    return lower(unroll(prepare(simplify(program))), llvm.machine(False, False))


def compiled(program: Program, inputs: Sequence[Any]) -> list[float]:
    """The outputs of the machine code."""
    module = lowered(program)
    code = llvm.load(llvm.Needs.of(module), llvm.generate(module))
    types = types_of(program)
    sizes = numbers_in(program.inputs), numbers_in([types[o] for o in program.outputs])
    frame = Frame(*sizes, code.needs.work)
    frame.numbers[: sizes[0]] = np.concatenate([np.ravel(x) for x in inputs])
    assert code.function(*frame.block) == 0
    return list(frame.results[: sizes[1]])


def check(made: Made) -> None:
    """The machine code gives the bits of the evaluator."""
    program, sizes = made
    random = np.random.default_rng(0)
    inputs = [random.normal(size=n) if n >= 0 else random.integers(0, -n, 100) for n in sizes]
    inputs = [x[: program.inputs[k].size()] for k, x in enumerate(inputs)]  # type: ignore[union-attr]
    expected, _ = evaluate(program, [[float(x) for x in given] for given in inputs])
    assert np.array_equal(flat(expected), compiled(program, inputs), equal_nan=True)


def matrix_vector(n: int, m: int, backwards: bool = False) -> Made:
    """Each sum over a row of the matrix keeps its order."""
    b = Builder()
    table, x = b.input(Array((n, m))), b.input(Array((m,)))
    outer = LoopBuilder(b, i := b.inner(), n)
    shared, row = outer.shared(x), outer.element(table)
    inner = LoopBuilder(i, k := i.inner(), m, backwards)
    total = k.wrap(inner.carry(i.constant(0.5)))
    following = total + k.wrap(inner.element(row)) * k.wrap(inner.element(shared))
    loop = inner.finish([following.index], [(following.index, "each")])
    results = outer.finish([], [(i.emit("item", (loop,), 0), "each"), (i.emit("item", (loop,), 1), "each")])
    return b.program([b.emit("item", (results,), 0), b.emit("item", (results,), 1)]), [n * m, m]


def matrix_vector_backwards(n: int, m: int) -> Made:
    """The same from the last column to the first."""
    return matrix_vector(n, m, backwards=True)


def added(n: int, m: int, size: int, window: Window) -> Made:
    """For each element of a matrix, its product with a number of its row is added at a place affine in its indices."""
    b = Builder()
    table, x = b.input(Array((n, m))), b.input(Array((n,)))
    zeros = b.emit("zeros", (), (size,))
    outer = LoopBuilder(b, i := b.inner(), n)
    whole, into, factor = outer.shared(table), outer.accumulator(zeros), outer.element(x)
    inner = LoopBuilder(i, k := i.inner(), m)
    at = inner.shared(outer.counter), inner.counter
    value = k.emit("read", (inner.shared(whole), *at), Window((), 0, (), (m, 1)))
    product = k.emit("mul", (value, inner.shared(factor)))
    loop = inner.finish([k.emit("add_at", (inner.accumulator(into), product, *at), window)], [])
    results = outer.finish([i.emit("item", (loop,), 0)], [])
    return b.program([b.emit("item", (results,), 0)]), [n * m, n]


def transposed_matrix_vector(n: int, m: int) -> Made:
    """Sums over the rows."""
    return added(n, m, max(m, 1), Window((), 0, (), (0, 1)))


def messages(n: int, m: int) -> Made:
    """What a product of a matrix and a vector sends back: sums over the rows, and each product at its own place."""
    b = Builder()
    table, x, y = b.input(Array((n, m))), b.input(Array((n,))), b.input(Array((m,)))
    arrays = [b.emit("zeros", (), (size,)) for size in (m + 2, m + 2, n * m)]
    outer = LoopBuilder(b, i := b.inner(), n, backwards=True)
    row, factor, vector = outer.element(table), i.wrap(outer.element(x)), outer.shared(y)
    into = [outer.accumulator(array) for array in arrays]
    inner = LoopBuilder(i, k := i.inner(), m, backwards=True)
    scale = k.wrap(inner.shared((factor * 0.5).index))
    at, here, there = inner.counter, k.wrap(inner.element(row)), k.wrap(inner.element(vector))
    places = [inner.accumulator(array) for array in into]
    one = k.emit("add_at", (places[0], (scale * here).index, at), Window((), 1, (), (1,)))
    two = k.emit("add_at", (places[1], (here * here).index, at), Window((), 0, (), (1,)))
    all_of_them = (places[2], (scale * there).index, inner.shared(outer.counter), at)
    three = k.emit("add_at", all_of_them, Window((), 0, (), (m, 1)))
    loop = inner.finish([one, two, three], [])
    results = outer.finish([i.emit("item", (loop,), k) for k in range(3)], [])
    return b.program([b.emit("item", (results,), k) for k in range(3)]), [n * m, n, m]


def outer_product(n: int, m: int) -> Made:
    """Each product at its own place."""
    return added(n, m, max(n * m, 1), Window((), 0, (), (m, 1)))


def anti_diagonals(n: int, m: int) -> Made:
    """Sums over the elements whose indices have the same sum."""
    return added(n, m, max(n + m, 1), Window((), 0, (), (1, 1)))


def one_place(n: int, m: int) -> Made:
    """All products are added to one element: no loop has independent steps."""
    return added(n, m, 2, Window((), 1, (), (0, 0)))


def running_sums(n: int, m: int) -> Made:
    """Each step reads what the one before has made final."""
    b = Builder()
    x = b.input(Array((n + 1,)))
    first = b.emit("add_at", (b.emit("zeros", (), (n + 1,)), b.element(x, 0)), Window((), 0))
    made = LoopBuilder(b, i := b.inner(), n)
    given, memory = made.shared(x), made.accumulator(first)
    before = i.emit("read", (memory, made.counter), Window((), 0, (), (1,)))
    here = i.emit("read", (given, made.counter), Window((), 1, (), (1,)))
    after = i.emit("add_at", (memory, i.emit("add", (before, here)), made.counter), Window((), 1, (), (1,)))
    loop = made.finish([after], [])
    return b.program([b.emit("item", (loop,), 0)]), [n + 1]


def computed_places(n: int, m: int) -> Made:
    """Lanes that read at places of their own, and parts of rows that are packed, filled and added to."""
    b = Builder()
    x, places = b.input(Array((n,))), b.input(Array((n,)))
    made = LoopBuilder(b, i := b.inner(), n)
    all_of_x, place = made.shared(x), made.element(places)
    there = i.wrap(i.emit("read", (all_of_x, place), Window((), 0, (), (1,))))
    number = i.wrap(made.counter)
    packed = i.emit("pack", ((there * number).index, (there - number).index, (rules.relu(there)).index), (3,))
    scratch = i.emit("add_at", (i.emit("zeros", (), (2, 3)), packed), Window((3,), 3, (1,)))
    scratch = i.emit("add_at", (scratch, i.emit("read", (packed,), Window((2,), 2, (-1,)))), Window((2,), 0, (2,)))
    loop = made.finish([], [(packed, "each"), (scratch, "each"), (there.index, "each")])
    return b.program([b.emit("item", (loop,), k) for k in range(3)]), [n, -max(n, 1)]


def many_carries(n: int, m: int) -> Made:
    """More carries than registers, which move up by one place in each step: parts of them are arrays."""
    b = Builder()
    x = b.input(Array((20,)))
    made = LoopBuilder(b, i := b.inner(), n)
    carries = [made.carry(b.element(x, k)) for k in range(20)]
    parts = [i.emit("pack", tuple(carries[k : k + 18]), (18,)) for k in range(3)]
    inner = LoopBuilder(i, k := i.inner(), 18)
    one, two, three = [k.wrap(inner.element(part)) for part in parts]
    items = i.emit("item", (inner.finish([], [((one - two * 0.5 + three * one).index, "each")]),), 0)
    handed = [carries[1], *[i.element(items, k) for k in range(18)], carries[0]]
    copied = i.emit("add_at", (i.emit("zeros", (), (18,)), parts[1]), whole(Array((18,))))
    changed = i.emit("add_at", (copied, carries[3]), Window((), 2))
    outs = [*[(c, "each") for c in carries], (changed, "each"), (i.element(parts[0], 4), "sum"), (parts[2], "each")]
    loop = made.finish(handed, outs)
    return b.program([b.emit("item", (loop,), k) for k in range(20 + len(outs))]), [20]


def stencil(n: int, m: int, backwards: bool = False) -> Made:
    """Carries between two numbers that no step changes; a second loop goes back over what the first one kept."""
    b = Builder()
    x = b.input(Array((22,)))
    made = LoopBuilder(b, i := b.inner(), n, backwards)
    given = [made.carry(b.element(x, k)) for k in range(20)]
    carries = [made.shared(b.element(x, 20)), *given, made.shared(b.element(x, 21))]
    inner = LoopBuilder(i, k := i.inner(), 20)
    left, here, right = [k.wrap(inner.element(i.emit("pack", tuple(carries[d : d + 20]), (20,)))) for d in range(3)]
    items = i.emit("item", (inner.finish([], [((here + 0.2 * (left - right)).index, "each")]),), 0)
    scaled = i.emit("mul", (given[3], carries[0]))
    handed = [*[i.element(items, k) for k in range(20)]]
    loop = made.finish(handed, [*[(c, "each") for c in carries], (scaled, "sum")])
    ends = [b.emit("item", (loop,), k) for k in range(20)]
    kept = [b.emit("item", (loop,), 20 + k) for k in range(22)]
    made = LoopBuilder(b, i := b.inner(), n, not backwards)
    adjoints = [made.carry(end) for end in reversed(ends)]
    rows = [made.element(array) for array in kept]
    inner = LoopBuilder(i, k := i.inner(), 20)
    parts = [rows[:20], rows[2:], adjoints, adjoints[::-1]]
    one, two, three, four = [k.wrap(inner.element(i.emit("pack", tuple(part), (20,)))) for part in parts]
    items = i.emit("item", (inner.finish([], [((one * three - two * 0.25 + four).index, "each")]),), 0)
    handed = [i.element(items, 19), *[i.emit("add", (i.element(items, k), adjoints[k])) for k in range(18)], rows[5]]
    again = made.finish(handed, [(i.element(items, 7), "each")])
    total = b.emit("item", (loop,), 42)
    return b.program([total, *ends, *[b.emit("item", (again,), k) for k in range(21)]]), [22]


def stencil_backwards(n: int, m: int) -> Made:
    """The same from the last step to the first."""
    return stencil(n, m, backwards=True)


PROGRAMS: list[Callable[[int, int], Made]] = [
    matrix_vector,
    matrix_vector_backwards,
    transposed_matrix_vector,
    messages,
    outer_product,
    anti_diagonals,
    one_place,
    running_sums,
    computed_places,
    many_carries,
    stencil,
    stencil_backwards,
]


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("make", PROGRAMS, ids=lambda make: make.__name__)
def test_bits_of_the_evaluator(make: Callable[[int, int], Made], shape: tuple[int, int]) -> None:
    """Extents that fill lanes, that do not, of one step and of none."""
    made = make(*shape)
    verify(made[0])
    check(made)


@pytest.mark.parametrize("lanes", [2, 4])
@pytest.mark.parametrize("make", PROGRAMS, ids=lambda make: make.__name__)
def test_other_machines(make: Callable[[int, int], Made], lanes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines with shorter vectors."""
    monkeypatch.setattr(llvm, "lanes", lambda: lanes)
    check(make(11, 7))


def only_loop(made: Made) -> Loop:
    """The loop of a program that has one at its top."""
    (found,) = [i.data for i in made[0].code if i.op == "loop"]
    return found


def test_independent_steps() -> None:
    """Steps that add to places of their own are independent; those that add to the same ones are not."""
    assert is_parallel(only_loop(outer_product(7, 9)))
    assert not is_parallel(only_loop(transposed_matrix_vector(7, 9)))
    (inner,) = [i.data for i in only_loop(transposed_matrix_vector(7, 9)).body.code if i.op == "loop"]
    assert is_parallel(inner)
    assert not is_parallel(only_loop(anti_diagonals(7, 9)))
    assert not is_parallel(only_loop(one_place(7, 9)))
    assert not is_parallel(only_loop(running_sums(7, 9)))


def test_sums_over_rows_are_held_in_registers() -> None:
    """The outer loop hands them on; where places of different steps may be the same, they stay in memory."""
    for make, held in ((transposed_matrix_vector, 1), (messages, 2)):
        tiling = tiling_of(only_loop(make(7, 9)))
        assert tiling is not None
        assert len(tiling.held) == held
        assert re.search(r"phi <8 x double> \[%t\d+, %entry\]", _for_lanes(make(32, 16), 8))
    for make in (outer_product, anti_diagonals, one_place, running_sums):
        assert tiling_of(only_loop(make(7, 9))) is None


def _for_lanes(made: Made, lanes: int) -> str:
    return lower(unroll(prepare(simplify(made[0]))), Machine(lanes, {})).text()


def test_sums_over_rows_in_a_batch() -> None:
    """In lanes, each number of a sum is a vector."""

    def total(matrix: Any, x: Any) -> Any:
        def row(weights: Any, x: Any) -> Any:
            return am.tanh(vmap(lambda w, x: w * x, reduce="sum")(weights, x))

        return vmap(row, in_axes=(0, None), reduce="sum")(matrix, x)

    step = value_and_grad(total, argnums=(0, 1))
    random = np.random.default_rng(0)
    matrices, xs = random.normal(size=(300, 7, 19)), random.normal(size=(300, 19))
    value, (by_matrix, by_x) = jit(vmap(step))(matrices, xs)
    for k in (0, 7, 299):
        expected, (matrix, x) = step(matrices[k], xs[k])
        assert np.allclose([expected], [value[k]], rtol=1e-12)
        assert np.allclose(matrix, by_matrix[k], rtol=1e-12, atol=1e-14)
        assert np.allclose(x, by_x[k], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rows", [6, 8, 16, 23])
def test_rows_that_add_to_one_array_have_a_copy_in_each_lane(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copies are added up at the end; what the lanes without a row have added does not count."""
    monkeypatch.setattr(nested, "LONGEST", 0)  # the body of the map is no nest
    program, _ = transposed_matrix_vector(rows, 9)
    random = np.random.default_rng(0)
    inputs = [random.integers(0, 100, size).astype(float).tolist() for size in (9 * rows, rows)]  # sums are exact
    assert lowered(program).text().count("@map") > 0
    assert flat(evaluate(program, inputs)[0]) == compiled(program, inputs)


def test_which_rows_have_copies() -> None:
    """Rows that fill the lanes and do much for the size of the arrays, and hand nothing on."""
    assert adds_in_lanes(only_loop(transposed_matrix_vector(64, 9)), 8)
    assert not adds_in_lanes(only_loop(transposed_matrix_vector(9, 9)), 8)
    assert not adds_in_lanes(only_loop(transposed_matrix_vector(64, 20_000)), 8)
    assert not adds_in_lanes(only_loop(outer_product(64, 9)), 8)
    assert not adds_in_lanes(only_loop(running_sums(64, 9)), 8)


def test_rows_of_a_matrix_go_into_lanes() -> None:
    """A product of matrix and vector has vector additions although each of its sums keeps its order."""
    module = lower(unroll(prepare(simplify(matrix_vector(16, 16)[0]))), Machine(4, {}))
    assert "fadd <4 x double>" in module.text()


def test_equal_nests_share_a_function() -> None:
    """The same loop on other arrays is the same function."""
    b = Builder()
    x = b.input(Array((12,)))
    for _ in range(5):
        made = LoopBuilder(b, i := b.inner(), 12)
        row = i.wrap(made.element(x))
        x = b.emit("item", (made.finish([], [((row * row + 1.0).index, "each")]),), 0)
    program = b.program([x])
    names = [line for line in lowered(program).text().splitlines() if line.startswith("define internal void @nest")]
    assert len(names) <= 3  # from the inputs, in the workspace, and to the outputs
    check((program, [12]))
