"""Loops in the program form: derivatives of any order against finite differences, their cost, and the rules."""

import random
from dataclasses import replace
from typing import Any

import pytest
from same_program import same_program

from autograd import rules
from autograd.ir.block import NUMBER, Array, Instruction, Program, Window, whole
from autograd.ir.builder import Builder, LoopBuilder
from autograd.ir.derive.forward import forward
from autograd.ir.derive.messages import FRESH, mapped_rewriters
from autograd.ir.derive.reverse import reverse
from autograd.ir.evaluate import Counts, evaluate, flat
from autograd.ir.passes.in_place import add_in_place
from autograd.ir.passes.simplify import count, prepare, rewrite, simplify, unroll
from autograd.ir.rewrite import dependencies
from autograd.ir.verify import InvalidProgramError, verify

SIZES = {"number": (), "steps": (6,), "table": (5,)}


def new() -> Builder:
    """A program in the middle of differentiation."""
    return Builder(mapped_rewriters(), FRESH)


def descent(steps: int) -> tuple[Builder, list[int], int]:
    """x ← x - a (sin x - u[i] p[1 + ⌊|x|⌋]) p[0]: a carry, elements, shared numbers, and reads at computed places."""
    b = new()
    inputs = [b.input(), b.input(), b.input(Array((steps,))), b.input(Array((5,)))]
    made = LoopBuilder(b, body := b.inner(), steps)
    x, a = body.wrap(made.carry(inputs[0])), body.wrap(made.shared(inputs[1]))
    u, p = body.wrap(made.element(inputs[2])), made.shared(inputs[3])
    looked = body.wrap(body.emit("read", (p, body.place(rules.floor(abs(x)))), Window((), 1, (), (1,))))
    following = x - a * (rules.sin(x) - u * looked) * body.wrap(body.element(p, 0))
    outs = [(body.place(following * following * looked), "sum"), (body.place(following * a), "each")]
    loop = made.finish([body.place(following)], outs)
    last, total, path = [b.wrap(b.emit("item", (loop,), k)) for k in range(3)]
    return b, inputs, b.place(last + total * b.wrap(b.element(path.index, 2)))


def rows(steps: int) -> tuple[Builder, list[int], int]:
    """Σ sin(w · row) over the rows of a table, and the sum of squares of a stacked result: no carries."""
    b = new()
    inputs = [b.input(Array((3,))), b.input(Array((steps, 3)))]
    made = LoopBuilder(b, body := b.inner(), steps)
    w, row = made.shared(inputs[0]), made.element(inputs[1])
    products = [body.wrap(body.element(w, k)) * body.wrap(body.element(row, k)) for k in range(3)]
    y = rules.sin(products[0] + products[1] * products[2])
    packed = body.emit("pack", (y.index, body.place(y * products[0])), (2,))
    loop = made.finish([], [(y.index, "sum"), (packed, "each")])
    total, table = [b.emit("item", (loop,), k) for k in range(2)]
    second = LoopBuilder(b, inner := b.inner(), steps)
    pair = second.element(table)
    square = inner.place(inner.wrap(inner.element(pair, 0)) * inner.wrap(inner.element(pair, 1)))
    squares = b.wrap(b.emit("item", (second.finish([], [(square, "sum")]),), 0))
    return b, inputs, b.place(b.wrap(total) * squares)


def nested(steps: int) -> tuple[Builder, list[int], int]:
    """A loop with hand-over inside a map, over an array that the inner steps read at the outer counter."""
    b = new()
    inputs = [b.input(), b.input(Array((steps, 4)))]
    outer = LoopBuilder(b, body := b.inner(), steps)
    start, table = outer.shared(inputs[0]), outer.shared(inputs[1])
    within = LoopBuilder(body, inner := body.inner(), 4)
    x, grid = inner.wrap(within.carry(start)), within.shared(table)
    row = within.shared(outer.counter)
    cell = inner.wrap(inner.emit("read", (grid, row, within.counter), Window((), 0, (), (4, 1))))
    step = x + rules.tanh(x * cell)
    last = body.emit("item", (within.finish([step.index], []),), 0)
    loop = outer.finish([], [(last, "sum")])
    return b, inputs, b.emit("item", (loop,), 0)


def recurrence(steps: int) -> tuple[Builder, list[int], int]:
    """a[i + 2] = a[i + 1] sin a[i] + x[i]: steps that read what earlier ones have added to an accumulator."""
    b = new()
    inputs = [b.input(), b.input(Array((steps,)))]
    start = b.emit("zeros", (), (steps + 2,))
    start = b.emit("add_at", (start, inputs[0]), Window((), 0))
    start = b.emit("add_at", (start, b.place(b.wrap(inputs[0]) * 0.5)), Window((), 1))
    made = LoopBuilder(b, body := b.inner(), steps)
    array, x = made.accumulator(start), body.wrap(made.element(inputs[1]))
    one, two = [body.wrap(body.emit("read", (array, made.counter), Window((), k, (), (1,)))) for k in range(2)]
    added = body.emit("add_at", (array, body.place(two * rules.sin(one) + x), made.counter), Window((), 2, (), (1,)))
    again = body.emit("read", (added, made.counter), Window((), 2, (), (1,)))
    loop = made.finish([added], [(body.place(body.wrap(again) * x), "sum")])
    path, total = [b.emit("item", (loop,), k) for k in range(2)]
    return b, inputs, b.place(b.wrap(b.element(path, steps + 1)) * b.wrap(b.element(path, steps)) + b.wrap(total))


def heat(steps: int) -> tuple[Builder, list[int], int]:
    """Rows of a grid from the rows before: inner loops that read a window of it, or read it and add to it."""
    b = new()
    inputs = [b.input(), b.input(Array((4,)))]
    start = b.emit("add_at", (b.emit("zeros", (), (2 * steps + 1, 4)), inputs[1]), Window((4,), 0, (1,)))
    made = LoopBuilder(b, body := b.inner(), steps)
    grid, rate, i = made.accumulator(start), made.shared(inputs[0]), made.counter
    within = LoopBuilder(body, inner := body.inner(), 4)
    here = within.element(body.emit("read", (grid, i), Window((4,), 0, (1,), (8,))))
    left = within.element(body.emit("read", (grid, i), Window((4,), 3, (-1,), (8,))))
    after = inner.wrap(here) + inner.wrap(within.shared(rate)) * rules.sin(inner.wrap(left))
    row = body.emit("item", (within.finish([], [(inner.place(after), "each")]),), 0)
    grid = body.emit("add_at", (grid, row, i), Window((4,), 4, (1,), (8,)))
    within = LoopBuilder(body, inner := body.inner(), 4)
    cells, k, j = within.accumulator(grid), within.counter, within.shared(i)
    near = inner.emit("read", (cells, j, k), Window((), 4, (), (8, 1)))
    first = inner.wrap(inner.emit("read", (cells, j), Window((), 4, (), (8,))))
    after = rules.tanh(inner.wrap(near)) * rules.sin(first) + inner.wrap(within.shared(rate))
    cells = inner.emit("add_at", (cells, inner.place(after), j, k), Window((), 8, (), (8, 1)))
    grid = body.emit("item", (within.finish([cells], []),), 0)
    loop = made.finish([grid], [])
    last = b.emit("item", (loop,), 0)
    ends = [b.wrap(b.emit("read", (last,), Window((), 8 * steps + k))) for k in range(4)]
    return b, inputs, b.place(ends[0] * ends[1] + ends[2] * ends[3])


PROGRAMS = [descent, rows, nested, recurrence, heat]
STEPS = 6


def numbers(b: Builder, inputs: list[int], seed: int) -> list[Any]:
    """Random numbers for the inputs."""
    draw = random.Random(seed)
    kinds = [b.type_of(x) for x in inputs]
    return [
        [draw.uniform(0.2, 0.9) for _ in range(kind.size())] if isinstance(kind, Array) else draw.uniform(0.2, 0.9)
        for kind in kinds
    ]


def shaped(like: list[Any], leaves: list[float]) -> list[Any]:
    """Numbers in the shape of others."""
    left = iter(leaves)
    return [[next(left) for _ in x] if isinstance(x, list) else next(left) for x in like]


def slopes(function: Any, given: list[Any], h: float = 1e-6) -> list[float]:
    """Central differences of a function by all numbers of its arguments."""
    leaves = flat(given)
    found = []
    for k in range(len(leaves)):
        up, down = list(leaves), list(leaves)
        up[k] += h
        down[k] -= h
        found.append((function(shaped(given, up)) - function(shaped(given, down))) / (2 * h))
    return found


def snapshot(b: Builder, outputs: list[int]) -> Program:
    """The program so far; what is appended later is not in it."""
    return verify(Program(list(b.code), outputs, tuple(b.inputs)))


def versions(program: Program) -> list[Program]:
    """A program after each stage of the compiler."""
    simple = simplify(program)
    return [program, simple, prepare(simple), unroll(prepare(simple))]


@pytest.mark.parametrize("make", PROGRAMS)
def test_gradients(make: Any) -> None:
    """The reverse sweep over a loop is a loop, and its results are those of finite differences."""
    b, inputs, y = make(STEPS)
    value = snapshot(b, [y])
    given = numbers(b, inputs, 1)
    found = reverse(b, {y: b.constant(1.0)}, inputs)
    expected = slopes(lambda x: evaluate(value, x)[0][0], given)
    for program in versions(snapshot(b, [found[x] for x in inputs])):
        assert expected == pytest.approx(flat(evaluate(program, given)[0]), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("make", PROGRAMS)
def test_second_order(make: Any) -> None:
    """Hessian times vector, by a forward sweep over a reverse one and by two reverse ones."""
    b, inputs, y = make(STEPS)
    given = numbers(b, inputs, 2)
    found = reverse(b, {y: b.constant(1.0)}, inputs)
    gradient = simplify(snapshot(b, [found[x] for x in inputs]))
    directions = numbers(b, inputs, 3)
    vector = [b.input(b.type_of(x)) for x in inputs]
    along = forward(b, dict(zip(inputs, vector)))
    twice = reverse(b, {found[x]: v for x, v in zip(inputs, vector)}, inputs)

    def projected(x: list[Any]) -> float:
        return sum(g * d for g, d in zip(flat(evaluate(gradient, x)[0]), flat(directions)))

    expected = slopes(projected, given)
    for outputs in ([along[found[x]] for x in inputs], [twice[x] for x in inputs]):
        for program in versions(snapshot(b, outputs)):
            result = flat(evaluate(program, [*given, *directions])[0])
            assert expected == pytest.approx(result, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("make", PROGRAMS)
def test_third_order(make: Any) -> None:
    """The form is closed under differentiation: a third sweep goes through what the second one made."""
    b, inputs, y = make(STEPS)
    given = numbers(b, inputs, 4)
    found = reverse(b, {y: b.constant(1.0)}, inputs)
    first = [b.input(b.type_of(x)) for x in inputs]
    twice = reverse(b, {found[x]: v for x, v in zip(inputs, first)}, inputs)
    product = simplify(snapshot(b, [twice[x] for x in inputs]))
    second = [b.input(b.type_of(x)) for x in inputs]
    thrice = reverse(b, {twice[x]: v for x, v in zip(inputs, second)}, inputs)
    along, across = numbers(b, inputs, 5), numbers(b, inputs, 6)

    def projected(x: list[Any]) -> float:
        return sum(g * d for g, d in zip(flat(evaluate(product, [*x, *along])[0]), flat(across)))

    expected = slopes(projected, given, 1e-5)
    program = simplify(snapshot(b, [thrice[x] for x in inputs]))
    result = flat(evaluate(program, [*given, *along, *across])[0])
    assert expected == pytest.approx(result, rel=1e-4, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("make", PROGRAMS)
def test_a_gradient_costs_a_constant_times_its_function(make: Any) -> None:
    """Instructions executed and numbers stored grow with the steps alone, and the program does not grow at all."""
    ratios, sizes = [], []
    for steps in (10, 100, 1000):
        b, inputs, y = make(steps)
        given = numbers(b, inputs, 7)
        value = simplify(snapshot(b, [y]))
        found = reverse(b, {y: b.constant(1.0)}, inputs)
        gradient = simplify(snapshot(b, [y, *[found[x] for x in inputs]]))
        once, both = Counts(), Counts()
        evaluate(value, given, counts=once)
        evaluate(gradient, given, counts=both)
        assert both.executed <= 8 * once.executed
        assert both.allocated <= 30 * steps + 20
        ratios.append(both.executed / once.executed)
        sizes.append(count(gradient))
    assert ratios[0] == pytest.approx(ratios[2], rel=0.1)
    assert 1 == len(set(sizes))


def test_text_of_a_loop() -> None:
    """A printed loop reads as its source: elements by counter, sums with +=, and what a step hands on."""
    b, _, y = descent(STEPS)
    text = str(simplify(snapshot(b, [y]))).splitlines()
    assert "v4[0] = input[0]" == text[0]
    assert "for v4.i in 0..6:" == text[1]
    assert any("input[2][v4.i] input[3][1 + v4." in line for line in text)
    assert any(line.startswith("    v4[1] += ") for line in text)
    assert any(line.startswith("    v4[2][v4.i] = ") for line in text)
    assert text[-1].startswith("return ")


# ---- the verifier ----------------------------------------------------------------------------------------------------


def block(*code: tuple[Any, ...], inputs: tuple[Any, ...] = (NUMBER, Array((3,)))) -> Program:
    """A program of these instructions; the first are its inputs."""
    given = [Instruction("input", (), k) for k in range(len(inputs))]
    made = [*given, *[Instruction(*i) for i in code]]
    return Program(made, [len(made) - 1], inputs)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (block(("neg", (7,))), "operand 0 is not an earlier value"),
        (block(("neg", (1,))), r"takes numbers, not number\[3\]"),
        (block(("add", (0,))), "takes 2 operands, not 1"),
        (block(("frobnicate", (0,))), "there is no such operation"),
        (block(("select", (0, 0, 0))), "takes truth, number, number, not number, number, number"),
        (block(("read", (0,), Window(()))), "takes an array, not number"),
        (block(("read", (1,), Window((), 3))), "the window is not inside the array"),
        (block(("read", (1,), Window((2,), 2, (1,)))), "the window is not inside the array"),
        (block(("read", (1, 0), Window(()))), "has not a step for each index"),
        (block(("add_at", (1, 0), Window(()))), "v1 is not an array of this block that may be changed"),
        (block(("zeros", (), (3,)), ("add_at", (2, 1), Window(()))), "adds number"),
        (
            block(("zeros", (), (3,)), ("add_at", (2, 0), Window(())), ("read", (2,), Window(()))),
            "an array that v3 has changed",
        ),
        (block(("pack", (0, 0), (3,))), "2 numbers do not fill the shape"),
        (block(("table", (), ((2,), (1.0,)))), "1 numbers do not fill the shape"),
        (block(("constant", (), 1)), "a constant is a float or a bool"),
        (block(("item", (0,), 0)), "takes a loop, not number"),
        (block(("input", (), 5)), "there is no such input"),
    ],
)
def test_rules_are_checked(program: Program, message: str) -> None:
    """A program that breaks a rule is named with the instruction and the rule."""
    with pytest.raises(InvalidProgramError, match=message):
        verify(program)


def test_programs_that_the_verifier_need_not_see_again() -> None:
    """A copy is the same program, in its loops too; with another operand, type, constant or step it is not."""
    _, _, y = (made := descent(4))
    program = simplify(snapshot(made[0], [y]))
    assert same_program(program, rewrite(program))
    assert not same_program(program, simplify(snapshot(made[0], [y, y])))
    other_steps = descent(5)
    assert not same_program(program, simplify(snapshot(other_steps[0], [other_steps[2]])))
    (at, loop), *_ = [(at, i.data) for at, i in enumerate(program.code) if i.op == "loop"]
    for changed in (replace(loop, body=changed_last(loop.body)), replace(loop, shared=loop.shared + 1)):
        code = list(program.code)
        code[at] = code[at]._replace(data=changed)
        assert not same_program(program, replace(program, code=code))
    one = block(("constant", (), 1.0))
    assert not same_program(one, block(("constant", (), True)))
    assert not same_program(block(("neg", (0.0,))), block(("neg", (0,))))
    assert not same_program(block(("neg", (0,))), block(("neg", (1,))))


def changed_last(program: Program) -> Program:
    """The same with another last instruction."""
    last = program.code[-1]
    return replace(program, code=[*program.code[:-1], last._replace(op=f"not {last.op}")])


@pytest.mark.parametrize("step", [1, 0])
def test_what_steps_read_is_final(step: int) -> None:
    """A step may read what others have added, but not an element to which something is added later."""
    b = new()
    made = LoopBuilder(b, body := b.inner(), 4)
    array = made.accumulator(b.emit("zeros", (), (5,)))
    number = body.emit("read", (array, made.counter), Window((), 0, (), (1,)))
    one = body.place(body.wrap(number) + 1.0)
    added = body.emit("add_at", (array, one, made.counter), Window((), 1, (), (step,)))
    loop = made.finish([added], [])
    program = verify(b.program([b.emit("item", (loop,), 0)]))
    if step:
        assert [[0.0, 1.0, 2.0, 3.0, 4.0]] == evaluate(program, [])[0]
    else:
        with pytest.raises(ValueError, match="element 1 of an accumulator is added to after a step has read it"):
            evaluate(program, [])


def test_windows_of_windows() -> None:
    """A part of a part of an array, of rows and columns, is read and added to where it belongs."""
    grid = Array((3, 4))
    b = Builder()
    table = b.input(grid)
    column = b.emit("read", (table,), Window((3,), 1, (4,)))
    last = b.emit("read", (column,), Window((2,), 1, (1,)))
    total = b.emit("add_at", (b.emit("zeros", (), (3, 4)), last), Window((2,), 0, (5,)))
    program = verify(b.program([last, total]))
    cells = [float(k) for k in range(12)]
    found, whole_grid = evaluate(program, [cells])[0]
    assert [5.0, 9.0] == found
    assert [5.0, 0.0, 0.0, 0.0, 0.0, 9.0, *[0.0] * 6] == whole_grid
    assert whole(grid) == Window((3, 4), 0, (4, 1))


def test_all_results_of_a_loop_are_added_in_place() -> None:
    """Each addition that can move into the loop does, with the same sums; results that stay keep their numbers."""
    b = new()
    x, indices = b.input(Array((6,))), [b.input(), b.input()]
    made = LoopBuilder(b, body := b.inner(), 6)
    total, e = body.wrap(made.carry(b.constant(0.5))), body.wrap(made.element(x))
    numbers = [e * e, rules.sin(e), rules.exp(e), e + 1.0, e * 3.0, e - 2.0]
    kinds = ["each", "each", "sum", "each", "each", "each"]
    loop = made.finish([body.place(total * e)], [(body.place(y), kind) for y, kind in zip(numbers, kinds, strict=True)])
    last, squares, sines, summed, more, triple, less = [b.emit("item", (loop,), k) for k in range(7)]
    every, second = Window((6,), 0, (1,)), Window((6,), 1, (2,))
    far = Window((6,), 0, (1,), (6, 1))  # at computed places
    arrays = [
        b.emit("add_at", (b.emit("zeros", (), (6,)), squares), every),
        b.emit("add_at", (b.emit("zeros", (), (12,)), more), second),
        b.emit("add_at", (b.emit("zeros", (), (18,)), triple, *indices), far),
    ]
    arrays.append(b.emit("add_at", (b.emit("zeros", (), (6,)), less), every))
    arrays[-1] = b.emit("add_at", (arrays[-1], sines), every)  # to an array that is there only after the loop
    program = b.program([*arrays, last, summed])
    changed = add_in_place(program)
    verify(changed)
    (only,) = [i.data for i in changed.code if i.op == "loop"]
    assert (4, 1) == (only.accumulators, sum(i.op == "add_at" for i in changed.code))
    numbers_given = [[0.1 * k for k in range(6)], 1.0, 3.0]
    assert flat(evaluate(program, numbers_given)[0]) == flat(evaluate(changed, numbers_given)[0])
    assert len(changed.code) == len(add_in_place(changed).code)


@pytest.mark.parametrize("seed", range(10))
def test_a_change_of_an_array_comes_after_all_that_looks_at_it(seed: int) -> None:
    """Directly or by way of an earlier change; what is waited for grows with the program, not with its square."""
    choice, b = random.Random(seed), Builder()
    arrays = [b.emit("zeros", (), (4,)) for _ in range(2)]
    numbers = [b.input()]
    looks: list[list[int]] = [[], []]  # at each array, so far
    expected: dict[int, list[int]] = {}
    for _ in range(60):
        k = choice.randrange(2)
        if choice.random() < 0.6:
            numbers.append(b.emit("read", (arrays[k],), Window((), choice.randrange(4))))
            looks[k].append(numbers[-1])
        else:
            arrays[k] = b.emit("add_at", (arrays[k], choice.choice(numbers)), Window((), choice.randrange(4)))
            expected[arrays[k]] = [*looks[k]]
            looks[k].append(arrays[k])
    needs = dependencies(b.program(arrays))
    assert sum(map(len, needs)) < 4 * len(needs)
    comes_after: list[set[int]] = []
    for direct in needs:
        comes_after.append(set(direct).union(*[comes_after[o] for o in direct]))
    assert all(comes_after[change].issuperset(before) for change, before in expected.items())


def test_equal_results_that_change_apart() -> None:
    """Two results of a loop that are equal are one array, unless something is added to one of them later."""
    b = Builder()
    x = b.input()
    made = LoopBuilder(b, b.inner(), 3)
    same = made.shared(x)
    loop = made.finish([], [(same, "each"), (same, "each"), (same, "each")])
    first, second, third = [b.emit("item", (loop,), k) for k in range(3)]
    place = Window((), 1, (), ())
    changed = b.emit("add_at", (first, x), place)
    program = verify(b.program([b.emit("read", (array,), place) for array in (changed, second, third)]))
    simpler = verify(prepare(program))
    assert [10.0, 5.0, 5.0] == flat(evaluate(program, [5.0])[0]) == flat(evaluate(simpler, [5.0])[0])
    assert ("each", "each") == next(data.kinds for op, _, data in simpler.code if op == "loop")
