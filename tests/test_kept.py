"""Expensive values of a loop's steps that a later loop loads in place of computing them again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd.math as am
from autograd import hessian, jit, scan, value_and_grad, vmap
from autograd.ir.block import Array, Program, Window, loops
from autograd.ir.builder import Builder, LoopBuilder
from autograd.ir.evaluate import evaluate
from autograd.ir.passes import simplify
from autograd.ir.passes.kept import EXPENSIVE, keep_expensive


def captured(function: Any, *args: Any) -> Program:
    """The program of a function, simplified."""
    fast = jit(function, quiet=True)
    fast(*args)
    return simplify.simplify(fast.paths()[0].captured)


def prepared(function: Any, *args: Any) -> Program:
    """What machine code is made of."""
    return simplify.prepare(captured(function, *args))


def expensive(program: Program, backwards: bool | None = None) -> int:
    """How many instructions of loops call the library; of those that run backwards, or do not, if that is asked for."""
    found = [loop for loop in loops(program) if backwards in (None, loop.backwards)]
    return sum(i.op in EXPENSIVE for loop in found for i in loop.body.code)


def agree(function: Any, *args: Any, argnums: Any = 0) -> Program:
    """Value and gradient are those of eager code, in one call and in rows; the program."""
    both = value_and_grad(function, argnums=argnums)
    expected = [np.asarray(x, float) for x in flat(both(*args))]
    for x, y in zip(expected, flat(jit(both, quiet=True)(*args)), strict=True):
        np.testing.assert_allclose(y, x, rtol=1e-11, atol=1e-13)
    rows = [np.stack([np.asarray(x, float) * (1.0 + 0.125 * k) for k in range(5)]) for x in args]
    several = flat(jit(vmap(both), quiet=True)(*rows))
    for k in range(5):
        for x, y in zip(flat(both(*[row[k] for row in rows])), several, strict=True):
            np.testing.assert_allclose(y[k], np.asarray(x, float), rtol=1e-11, atol=1e-13)
    return prepared(both, *args)


def flat(tree: Any) -> list[Any]:
    """The numbers and arrays of a result."""
    return [x for part in tree for x in flat(part)] if isinstance(tree, (list, tuple)) else [tree]


def recurrent(weights: Any, inputs: Any) -> Any:
    """A recurrent network: each of its units goes through a map in each step."""

    def unit(w: Any, x: Any, y: Any) -> Any:
        return am.tanh(w * x + y) * am.sigmoid(y - x)

    def step(hidden: Any, x: Any) -> Any:
        return [*vmap(unit, in_axes=(0, 0, None))(weights, np.array(hidden, dtype=object), x)], hidden[0]

    end, seen = scan(step, [weights[k] * 1.0 for k in range(len(weights))], inputs)
    return am.sum([x * x for x in end]) + seen[2]


def test_maps_in_steps() -> None:
    """The reverse sweep over a network's steps calls the library only for what the steps did not compute."""
    random = np.random.default_rng(0)
    program = agree(recurrent, random.normal(size=6), random.normal(size=9), argnums=(0, 1))
    swept = [i.data.body for i in program.code if i.op == "loop" and i.data.backwards]
    inside = [i.op for body in swept for loop in loops(body) for i in loop.body.code]
    assert expensive(program) - sum(op in EXPENSIVE for op in inside) == 2  # tanh, and the exponential of a sigmoid
    assert [op for op in inside if op in EXPENSIVE] == ["exp"]  # of the derivative of tanh


def path(x: Any) -> Any:
    """The mean of a price that grows by random factors."""

    def step(carry: Any, normal: Any) -> Any:
        price = carry[0] * am.exp(x[1] + x[2] * normal)
        return (price, carry[1] + price), None

    return scan(step, (x[0], 0.0), x[3:])[0][1]


@pytest.mark.parametrize("steps", [2, 3, 8, 21])
def test_steps(steps: int) -> None:
    """The exponentials of a path are computed once, also where the last step is swept over on its own."""
    x = np.random.default_rng(steps).normal(size=3 + steps)
    program = agree(path, x)
    assert expensive(program, backwards=True) == 0
    if steps == 3:
        expected = hessian(path)(x)
        np.testing.assert_allclose(jit(hessian(path))(x), expected, rtol=1e-10, atol=1e-12)


def test_sides_of_selections_are_not_kept() -> None:
    """What may be skipped in the first loop is not stored: then it would be computed in every step."""

    def function(x: Any) -> Any:
        def step(carry: Any, y: Any) -> Any:
            return am.where(carry > y, am.sin(carry * y), carry - 0.25 * y), None

        return scan(step, x[0], x[1:])[0]

    program = agree(function, np.array([0.5, 0.1, 0.9, 0.2, 0.7]))
    assert expensive(program, backwards=True) > 0


def test_no_more_than_fits() -> None:
    """Beyond so many numbers, values are computed again."""
    x = np.random.default_rng(0).normal(size=23)
    simple = captured(value_and_grad(path), x)
    for most, left in ((20, 0), (18, 1), (0, 1)):
        assert left == expensive(simplify.prepare(simple, most_kept=most), backwards=True)


def two_maps(changed: bool = False, first: int = 0, again: int = 0, extent: int = 6) -> Program:
    """A map of exponentials and one over rows of the same array from some row on; the array may change in between."""
    builder = Builder()
    given = builder.input(Array((8,)))
    array = builder.emit("add_at", (builder.emit("zeros", (), (8,)), given), Window((8,), 0, (1,)))

    def part(start: int, count: int) -> int:
        return builder.emit("read", (array,), Window((count,), start, (1,)))

    def mapped(rows: int, count: int) -> int:
        made = LoopBuilder(builder, Builder(), count)
        x = made.inner.emit("exp", (made.element(rows),))
        return builder.emit("item", (made.finish([], [(made.inner.emit("mul", (x, x)), "each")]),), 0)

    one = mapped(part(first, extent), extent)
    if changed:
        array = builder.emit("add_at", (array, builder.constant(1.0)), Window((), 3))
    other = mapped(part(again, 3), 3)
    return Program(builder.code, [one, other, array], tuple(builder.inputs))


@pytest.mark.parametrize(
    ("kwargs", "calls"),
    [
        ({}, 1),
        ({"again": 3}, 1),
        ({"first": 2, "again": 3}, 1),
        ({"first": 2, "again": 1}, 2),
        ({"again": 4}, 2),
        ({"changed": True}, 2),
        ({"extent": 2}, 2),
    ],
)
def test_only_the_same_rows(kwargs: dict[str, Any], calls: int) -> None:
    """A map loads what another one computed of the same elements, if it goes through no others."""
    program = two_maps(**kwargs)
    given = [np.random.default_rng(0).normal(size=8).tolist()]
    kept = simplify.remove_dead_code(keep_expensive(program))
    assert calls == expensive(kept)
    assert evaluate(program, given)[0] == evaluate(kept, given)[0]


@pytest.mark.parametrize(("starts", "calls"), [((0, 3, 1), 4), ((3, 0, 3, 2), 4), ((1, 4, 0), 6)])
def test_several_later_loops(starts: tuple[int, ...], calls: int) -> None:
    """Each of several maps loads the rows that it goes through, of two arrays that the first map goes through too."""
    builder = Builder()
    arrays = [builder.input(Array((8,))) for _ in range(2)]

    def mapped(start: int, other: int, count: int) -> int:
        made = LoopBuilder(builder, Builder(), count)
        rows = [builder.emit("read", (a,), Window((count,), k, (1,))) for a, k in zip(arrays, (start, other))]
        x, y = [made.element(row) for row in rows]
        both = made.inner.emit("exp", (made.inner.emit("mul", (x, y)),))
        each = made.inner.emit("exp", (x,))
        out = made.inner.emit("add", (made.inner.emit("mul", (both, made.counter)), each))
        return builder.emit("item", (made.finish([], [(out, "each")]),), 0)

    outputs = [mapped(0, 0, 6), *[mapped(start, start, 3) for start in starts], *[mapped(k, 0, 3) for k in starts]]
    program = Program(builder.code, outputs, tuple(builder.inputs))
    given = [np.random.default_rng(k).normal(size=8).tolist() for k in range(2)]
    kept = simplify.remove_dead_code(keep_expensive(program))
    assert calls == expensive(kept)
    assert evaluate(program, given) == evaluate(kept, given)


FUNCTIONS = [am.exp, am.tanh, am.sin, am.sigmoid, am.softplus, lambda x: am.log(1.5 + x * x), am.erf, am.atan]


def spread(x: Any) -> Any:
    """Heat in a rod with fixed ends, by start and conduction."""

    def step(u: Any, _: Any) -> Any:
        inner = vmap(lambda a, b, c: b + x[0] * (a - 2.0 * b + c))(u[:-2], u[1:-1], u[2:])
        return [u[0], *[inner[i] for i in range(len(u) - 2)], u[-1]], None

    end, _ = scan(step, [x[i] for i in range(1, len(x))], length=5)
    return am.sum([u * u for u in end])


def test_in_place_of_carries() -> None:
    """A sweep that needs fewer numbers of a step than the carries of which they are made finds these stored."""
    program = agree(spread, np.random.default_rng(0).normal(size=23))
    first, sweep = [i.data for i in program.code if i.op == "loop" and i.data.carries]
    assert first.carries > 16
    assert first.kinds == ("each",)  # the second differences, which are an array in each step
    assert sweep.backwards


def quadratic(x: Any) -> Any:
    """A carry whose reverse sweep needs a product of all carries, and a sum."""

    def step(carry: Any, y: Any) -> Any:
        a, b, c = carry
        product = (a + b) * (c - a)
        return (a, b + 0.5 * y, c), x[3] * product + am.where(product > 0.0, product * x[4], 0.25 * product)

    end, seen = scan(step, (x[0], x[1], x[2]), x[3:])
    return end[1] + am.sum([*seen])


def test_truths_are_computed_again() -> None:
    """A comparison is made again of the numbers that are stored."""
    for seed in range(4):
        agree(quadratic, np.random.default_rng(seed).normal(size=9))


@settings(max_examples=25)
@given(st.data())
def test_random_linear_steps(data: st.DataObject) -> None:
    """Steps that are linear in what they hand on, with random factors of parameters and of rows."""
    draw = data.draw
    width, steps = draw(st.sampled_from([1, 2, 3, 18, 21])), draw(st.sampled_from([1, 2, 3, 6]))
    few = st.integers(0, 99)
    plan = draw(st.lists(st.tuples(few, few, few), min_size=1, max_size=5))
    is_map = draw(st.booleans())

    def mixed(own: Any, near: Any, p: Any, q: Any) -> Any:
        known = [own, near, p * own]
        for kind, i, j in plan:
            a, b = known[i % len(known)], known[j % len(known)]
            known.append([a + b, a - 0.5 * b, p * a, q * b, am.where(a > b, a, p * b), p * (a - b)][kind % 6])
        return own + 0.125 * known[-1]

    def function(x: Any) -> Any:
        def step(u: Any, q: Any) -> Any:
            rows = np.array([*u], dtype=object)
            moved = np.array([*u[1:], u[0]], dtype=object)
            if is_map:
                new = vmap(mixed, in_axes=(0, 0, None, None))(rows, moved, x[0], q)
                return [new[k] for k in range(width)], u[0]
            return [mixed(a, b, x[0], q) for a, b in zip(rows, moved)], u[0] * x[0]

        end, seen = scan(step, [x[k] for k in range(width)], x[width:])
        return am.sum([u * u for u in end]) + seen[0]

    agree(function, np.random.default_rng(width + steps).uniform(-1.0, 1.0, width + steps))


@settings(max_examples=25)
@given(st.data())
def test_random_steps(data: st.DataObject) -> None:
    """Random steps with maps in them: values and gradients are those of eager code."""
    draw = data.draw
    width, steps = draw(st.sampled_from([1, 2, 4, 5])), draw(st.sampled_from([1, 2, 3, 7]))
    plan = draw(st.lists(st.tuples(*[st.integers(0, 99)] * 4), min_size=2, max_size=7))

    def grown(known: list[Any]) -> list[Any]:
        for kind, f, i, j in plan:
            x, y = known[i % len(known)], known[j % len(known)]
            z = x * y if kind % 3 else x - y
            if kind % 5 == 0:
                z = am.where(x < y, FUNCTIONS[f % 8](z), z)
            elif kind % 2:
                z = FUNCTIONS[f % 8](0.5 * z)
            known = [*known, z]
        return known

    def unit(a: Any, b: Any, c: Any) -> Any:
        return am.tanh(am.sum(grown([a, b, c])[-2:]))

    def function(x: Any) -> Any:
        def step(carry: Any, y: Any) -> Any:
            row, total = carry
            new = vmap(unit, in_axes=(0, 0, None))(x[:width], np.array([*row], dtype=object), y)
            scalar = am.tanh(grown([total, y, x[0]])[-1])
            return ([new[k] for k in range(width)], scalar), scalar * y

        (row, total), seen = scan(step, ([x[k] for k in range(width)], 0.5), x[width:])
        return am.sum([*row]) + total + seen[0]

    agree(function, np.random.default_rng(width + steps).uniform(-1.0, 1.0, width + steps))


def test_kept_in_loops_of_loops() -> None:
    """A loop whose body has two loops keeps what the first of them computes for the second."""

    def inner(x: Any, y: Any) -> Any:
        return scan(lambda c, z: (am.exp(0.25 * c * z + x), None), 0.5 * y, 0.5 * x * np.arange(1.0, 5.0))[0]

    def function(x: Any) -> Any:
        return scan(lambda c, y: (c + value_and_grad(inner)(y, c)[1], None), x[0], x)[0]

    x = np.array([0.3, 0.7, -0.4])
    assert expensive(prepared(function, x)) < expensive(simplify.prepare(captured(function, x), most_kept=0))
    agree(function, x)


def test_one_exponential() -> None:
    """The derivatives of `sigmoid` and `logaddexp` need no exponential but that of the value."""
    for function, args in (
        (am.sigmoid, (0.7,)),
        (am.silu, (-0.4,)),
        (am.logaddexp, (0.3, 1.9)),
        (am.logaddexp, (2.5, 1)),
    ):
        both = value_and_grad(function, argnums=tuple(range(len(args))))
        program = prepared(both, *args)
        assert [i.op for i in program.code].count("exp") == 1
        assert jit(both)(*args) == both(*args)
