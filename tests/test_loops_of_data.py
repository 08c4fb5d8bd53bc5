"""`fori` and `while_loop`: loops whose length is data. Results, derivatives, compiled code, batches, errors."""

import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd.math as am
from autograd import (
    Value,
    checkpoint,
    custom_gradient,
    fori,
    grad,
    hessian,
    jacobian,
    jit,
    jvp,
    scan,
    value_and_grad,
    vjp,
    vmap,
    while_loop,
)
from autograd.ir.evaluate import evaluate, flat
from autograd.ir.verify import verify
from autograd.testing import check_grads


def root(a: Any) -> Any:
    """The square root by Heron's steps, as many as it takes."""
    return while_loop(lambda x: abs(x * x - a) > 1e-13 * a, lambda x: 0.5 * (x + a / x), a)


def spiral(x: Any, n: Any) -> Any:
    """Two carries that mix, n times, with the number of the step."""

    def step(i: Any, carry: Any) -> Any:
        a, b = carry["a"], carry["b"]
        return {"a": a + 0.1 * am.sin(b) * x, "b": b - 0.1 * a + 0.01 * i}

    last = fori(n, step, {"a": x, "b": 1.0})
    return last["a"] * last["b"]


def unrolled_spiral(x: Any, n: int) -> Any:
    """The same as a plain loop."""
    a, b = x, 1.0
    for i in range(n):
        a, b = a + 0.1 * am.sin(b) * x, b - 0.1 * a + 0.01 * i
    return a * b


def collatz(n: Any) -> Any:
    """The steps to 1, with a branch in each step."""

    def step(carry: Any) -> Any:
        x, steps = carry
        return (x / 2, steps + 1) if x % 2 == 0 else (3 * x + 1, steps + 1)

    return while_loop(lambda c: c[0] != 1, step, (n, 0))[1]


def both_directions(x: Any) -> Any:
    """A loop in each step of a loop; how often each runs depends on x."""

    def outer(carry: Any) -> Any:
        y, k = carry
        z = while_loop(lambda z: z < y, lambda z: z * 1.5 + 0.1 * am.sin(x), x)
        return z * 0.7 + 0.5 * x * x, k + 1

    return while_loop(lambda c: (c[1] < 5) & (c[0] < 100), outer, (x * 10, 0.0))[0]


def path_of(compiled: Any) -> Any:
    """The only specialization."""
    (found,) = compiled.paths()
    return found


# ---- results --------------------------------------------------------------------------------------------------------


def test_results() -> None:
    """Both are plain loops: with trees, with numbers that become floats, and without a step."""
    assert 120.0 == fori(5, lambda i, c: c * (i + 1), 1)
    assert unrolled_spiral(0.5, 7) == spiral(0.5, 7)
    assert (1.0, [2.0]) == fori(0, lambda i, c: c, (1, [2]))
    assert 3.0 == fori(np.int64(3), lambda i, c: c + 1, 0) == fori(3.0, lambda i, c: c + 1, 0)
    assert 111.0 == collatz(27)
    assert 7.0 == while_loop(lambda c: False, lambda c: c + 1, 7)
    assert 5.0 == while_loop(lambda c: 5 - c, lambda c: c + 1, 0)  # a number is a condition, as in Python
    kinds: list[type] = []
    fori(2, lambda i, c: (kinds.append(type(i)), c + i)[1], 0)
    assert [int, int] == kinds


def test_the_arguments_stay_as_they_were() -> None:
    """A step may change its carry in place: the caller's containers are not changed."""

    def push(carry: Any) -> Any:
        carry[0] = carry[0] + 1
        return carry

    initial = [0.0]
    assert [3.0] == while_loop(lambda c: c[0] < 3, push, initial)
    assert [2.0] == fori(2, lambda i, c: push(c), initial)
    assert [0.0] == initial


def test_values() -> None:
    """Values in, Values out; one that the step closes over has its gradient. The number of steps has none."""
    w, n = Value(0.5), Value(3.0)
    y = fori(n, lambda i, c: c * w, 1.0)
    y.backward()
    assert (0.125, 0.75, 0.0) == (y.data, w.grad, n.grad)


# ---- derivatives ----------------------------------------------------------------------------------------------------


def test_derivatives() -> None:
    """Reverse, forward and second order are those of the plain loop bit by bit, and of finite differences."""
    for n in (0, 1, 2, 9):
        assert grad(unrolled_spiral)(0.7, n) == grad(spiral)(0.7, n)
        assert hessian(unrolled_spiral)(0.7, n) == hessian(spiral)(0.7, n)
        plain, counted = (lambda x, n=n: unrolled_spiral(x, n)), (lambda x, n=n: spiral(x, n))
        assert jvp(plain, (0.7,), (2.0,)) == jvp(counted, (0.7,), (2.0,))
        check_grads(lambda x, n=n: spiral(x, n), (0.7,), order=2)
    check_grads(root, (2.0,), order=2)
    check_grads(both_directions, (0.8,), order=2)
    assert math.isclose(0.5 / math.sqrt(7.0), grad(root)(7.0), rel_tol=1e-12)


@pytest.mark.parametrize("function", [root, both_directions, lambda x: spiral(x, 6.0), lambda x: spiral(x, 200.0)])
def test_compiled(function: Callable[[Any], Any]) -> None:
    """Value, gradient, second and third derivative, and forward mode are those of eager code, in one specialization."""
    transformed: list[Callable[[Any], Any]] = [
        function,
        grad(function),
        grad(grad(function)),
        grad(grad(grad(function))),
        lambda x: jvp(function, (x,), (1.5,)),
        lambda x: jvp(grad(function), (x,), (1.5,)),
        lambda x: grad(lambda t: jvp(function, (t,), (t,))[1])(x),
        lambda x: jacobian(lambda t: [function(t), t * function(t)], mode="fwd")(x),
    ]
    for one in transformed:
        compiled = jit(one)
        for x in (0.3, 0.9, 2.5):
            np.testing.assert_allclose(one(x), compiled(x), rtol=1e-9, atol=1e-12)
        assert 1 == compiled.stats()["paths"]
        assert [] == compiled.stats()["unrolled"]


@pytest.mark.parametrize("transform", [lambda f: f, grad, lambda f: grad(grad(f))])
def test_programs_are_valid(transform: Callable[[Any], Any]) -> None:
    """The verifier takes the captured and the prepared program, and the evaluator agrees with the machine code."""
    for function in (root, both_directions, lambda x: spiral(x, x * 8)):
        compiled = jit(transform(function))
        found = compiled(0.5)
        for program in (path_of(compiled).captured, path_of(compiled).program):
            outputs, failed = evaluate(verify(program), [0.5])
            assert -1 == failed
            np.testing.assert_allclose(found, flat(outputs), rtol=1e-12)


def test_one_compilation_for_every_length() -> None:
    """Lengths that are data, for which stored carries outgrow their memory again and again: one specialization."""
    compiled = jit(grad(spiral))
    for n in (0, 1, 2, 63, 64, 65, 127, 128, 129, 5000, 3):
        np.testing.assert_allclose(grad(unrolled_spiral)(0.4, n), compiled(0.4, n), rtol=1e-9)
    assert 1 == compiled.stats()["paths"]
    steps = jit(grad(lambda x, tiny: while_loop(lambda c: abs(c) > tiny, lambda c: c * am.cos(x), x)))
    for tiny in (1e-1, 1e-10, 1e-300):
        expected = grad(lambda x, tiny=tiny: while_loop(lambda c: abs(c) > tiny, lambda c: c * am.cos(x), x))(0.2)
        np.testing.assert_allclose(expected, steps(0.2, tiny), rtol=1e-9)
    assert 1 == steps.stats()["paths"]
    weight = Value(3.0)
    closed = jit(lambda x: fori(weight, lambda i, c: c * x, 1.0))
    assert 8.0 == closed(2.0).data if isinstance(closed(2.0), Value) else closed(2.0)
    weight.data = 10.0
    assert 1024.0 == (closed(2.0).data if isinstance(closed(2.0), Value) else closed(2.0))
    assert 1 == closed.stats()["paths"]


def test_program_is_readable() -> None:
    """The text shows the loop as one, and its reverse as a loop of as many steps backwards."""
    compiled = jit(grad(root))
    compiled(2.0)
    text = compiled.program()
    assert "while v" in text
    assert "backwards:" in text


def test_pickled() -> None:
    """A compiled loop travels in a pickle."""
    compiled = jit(grad(root))
    expected = compiled(2.0)
    assert expected == pickle.loads(pickle.dumps(compiled))(2.0)


# ---- batches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [root, both_directions, lambda x: spiral(x, am.floor(10.0 * x) % 7)])
def test_batches_that_diverge(function: Callable[[Any], Any]) -> None:
    """Each row ends on its own, in lanes and in maps inside a function: values, gradients and second derivatives."""
    rows = np.linspace(0.2, 2.9, 13)
    for transform in (lambda f: f, grad, lambda f: grad(grad(f))):
        one = transform(function)
        expected = [one(x) for x in rows]
        for mapped in (jit(vmap(one)), jit(lambda rows, one=one: vmap(one)(rows))):
            np.testing.assert_allclose(expected, mapped(rows), rtol=1e-8, atol=1e-10)
            assert [] == mapped.stats()["unrolled"]
            assert 1 == mapped.stats()["paths"]
    total = grad(vmap(function, reduce="sum"))
    np.testing.assert_allclose(total(rows), jit(total)(rows), rtol=1e-9)


def test_a_branch_in_each_step() -> None:
    """Comparisons of the carry are masks: one specialization, alone and in lanes."""
    compiled, rows = jit(collatz), jit(vmap(collatz))
    numbers = np.arange(1.0, 40.0)
    expected = [collatz(n) for n in numbers]
    assert expected == [compiled(n) for n in numbers]
    assert expected == rows(numbers).tolist()
    assert (1, 1) == (compiled.stats()["paths"], rows.stats()["paths"])


def test_a_finished_row_stays_as_it_was() -> None:
    """A step computed for a row that is done may overflow or divide by 0: neither values nor gradients notice."""

    def blows_up(x: Any) -> Any:  # after its end, a row would compute log of a negative number, and 1/0
        return while_loop(lambda c: c[0] > 1.0, lambda c: (c[0] - 1.0, c[1] + am.log(c[0]) / (c[0] - 0.5)), (x, x))[1]

    rows = np.array([0.5, 1.0, 1.5, 2.0, 700.25, 3.0, 0.0, -4.0, 30.0])
    expected = [grad(blows_up)(x) for x in rows]
    assert all(map(math.isfinite, expected))
    np.testing.assert_allclose(expected, jit(vmap(grad(blows_up)))(rows), rtol=1e-12)
    np.testing.assert_allclose([blows_up(x) for x in rows], jit(vmap(blows_up))(rows), rtol=1e-12)

    def towers(x: Any, n: Any) -> Any:  # the derivative of a step that does not count is infinite
        return fori(n, lambda i, c: am.exp(c) * x, x)

    count = np.array([0.0, 1.0, 2.0, 3.0, 0.0, 2.0, 1.0, 4.0, 9.0])
    expected = [grad(towers)(0.3, n) for n in count]
    np.testing.assert_allclose(expected, jit(vmap(grad(towers), in_axes=(None, 0)))(0.3, count), rtol=1e-12)


@custom_gradient(lambda x, y: 2.0 * x)
def small_square(x: Any) -> Any:
    """A rule in Python that raises where it must not be called."""
    if x > 100.0:
        raise ValueError("too large")
    return x * x


@pytest.mark.parametrize("nested", [False, True])
def test_python_is_not_called_for_a_finished_row(nested: bool) -> None:
    """A rule written in Python, also in a loop in the step, sees only the numbers of rows that are not done."""

    def step(c: Any) -> Any:
        return (
            scan(lambda d, _: (small_square(d) * 0.3 + 0.5, None), c, length=4)[0] if nested else small_square(c) + 1.0
        )

    def run(x: Any) -> Any:
        return while_loop(lambda c: c < 5.0, lambda c: step(c) + c, x)

    rows = np.array([1.5, 60.0, 2.0, 1e7, 3.0, 0.2, 0.1, 0.4, 7.0])
    for function in (run, grad(run)):
        expected = [function(x) for x in rows]
        np.testing.assert_allclose(expected, jit(vmap(function))(rows), rtol=1e-12)
        np.testing.assert_allclose(expected, jit(lambda rows, f=function: vmap(f)(rows))(rows), rtol=1e-12)


def test_python_is_not_called_on_a_side_that_is_not_taken() -> None:
    """A rule written in Python, also in a loop on one side of a branch: its steps run one after another instead."""

    def step(c: Any, _: Any) -> Any:
        if c < 100.0:
            c = scan(lambda d, _: (small_square(d) * 0.005 + 0.5, None), c, length=4)[0]
        return c + 60.0, None

    def run(x: Any) -> Any:
        return scan(step, x, length=5)[0]

    for x in (1.5, 99.0, 1e5):
        np.testing.assert_allclose(run(x), jit(run)(x), rtol=1e-12)
        np.testing.assert_allclose(grad(run)(x), jit(grad(run))(x), rtol=1e-12)


def test_a_side_that_is_not_taken_has_no_loop() -> None:
    """A loop behind a guard or in a branch that is not taken never runs: there it would never end."""

    def guarded(x: Any) -> Any:
        return while_loop(lambda y: y < 10.0, lambda y: y + x, 0.0) if x > 0.0 else 0.0 * x

    compiled = jit(guarded)
    assert [10.0, -0.0, 12.0] == [compiled(1.0), compiled(-1.0), compiled(3.0)]
    assert [10.0, -0.0, 12.0] == jit(vmap(guarded))(np.array([1.0, -1.0, 3.0])).tolist()

    def in_steps(x: Any) -> Any:
        def step(carry: Any) -> Any:
            y, k = carry
            z = while_loop(lambda z: z < 10.0, lambda z: z + y, y) if y > 0.0 else y
            return z - 11.0, k + 1

        return while_loop(lambda c: c[1] < 3, step, (x, 0))[0]

    compiled = jit(in_steps)
    for x in (1.0, -1.0, 2.5):
        assert in_steps(x) == compiled(x)
    assert 1 == compiled.stats()["paths"]
    rows = np.array([1.0, -1.0, 2.5, -3.0, 4.0])
    assert [in_steps(x) for x in rows] == jit(vmap(in_steps))(rows).tolist()


def halved_while_positive(x: Any, p: Any) -> Any:
    """The first part of the test is the same in all steps."""
    while p > 0.0 and x > 1.0:
        x *= 0.5
    return x


def shrunk(x: Any, p: Any) -> Any:
    """A branch in the step is the same in all of them."""
    while x > 1.0:
        x = x * p if p < 1.0 else x - 1.0
    return x


def shrunk_by_a_loop(x: Any, p: Any) -> Any:
    """The same in a `while_loop`."""
    return while_loop(lambda x: x > 1.0, lambda x: x * p if p < 1.0 else x - 1.0, x)


def shrunk_inside(x: Any, p: Any) -> Any:
    """The same in a loop in a loop, which goes on with what the inner one leaves."""
    while x > 1.0:
        y = x
        while y > 0.5:
            y = y * p if p < 1.0 else y - 1.0
        x = 0.5 * x + 0.1 * y
    return x


@pytest.mark.parametrize("f", [halved_while_positive, shrunk, shrunk_by_a_loop, shrunk_inside])
@pytest.mark.parametrize("transform", [lambda f: f, value_and_grad], ids=["value", "gradient"])
def test_a_loop_whose_guard_fails_ends(f: Any, transform: Any) -> None:
    """A comparison that is the same in all steps is a guard: where it fails, the loop of the other path has no step."""
    compiled = jit(transform(f))
    for x, p in ((3.0, -1.0), (50.0, 0.5), (50.0, 2.0), (3.0, -1.0), (7.25, 0.5), (7.25, 1.5)):
        if f is halved_while_positive or p > 0.0:
            np.testing.assert_allclose(transform(f)(x, p), compiled(x, p), rtol=1e-12)


# ---- together with the rest -----------------------------------------------------------------------------------------


def test_conditions_with_and() -> None:
    """`and`, `or` and `not` in a condition are masks."""

    def run(x: Any) -> Any:
        return while_loop(
            lambda c: (c[0] > 1e-3 and c[1] < 20) or not c[1] > 2, lambda c: (c[0] * x, c[1] + 1), (x, 0)
        )[0]

    compiled = jit(run)
    for x in (0.5, 0.001, 0.99):
        np.testing.assert_allclose(run(x), compiled(x), rtol=1e-12)
    assert 1 == compiled.stats()["paths"]


def test_more_branches_than_masks() -> None:
    """With many combinations of branches the steps run one after another, with guards: slow to compile, never wrong."""

    def sort_of(x: Any) -> Any:
        def step(carry: Any) -> Any:
            values, k = carry
            values = list(values)
            for i in range(5):
                if values[i] > values[i + 1]:
                    values[i : i + 2] = values[i + 1], values[i]
            return values, k + 1

        values, _ = while_loop(lambda c: c[1] < 2, step, ([x, 0.5, x * x, 0.1, 3.0, 1.0], 0))
        return sum(k * v for k, v in enumerate(values))

    compiled = jit(grad(sort_of))
    for x in (0.3, 0.9, 2.0):
        assert grad(sort_of)(x) == compiled(x)
    assert any("branches" in reason for reason in compiled.stats()["unrolled"])


def test_loops_in_a_scan_and_scans_in_a_loop() -> None:
    """All kinds of loops nest."""

    def run(x: Any, n: Any) -> Any:
        def step(carry: Any, y: Any) -> Any:
            inner = fori(n, lambda i, c: am.tanh(c + y * x), carry)
            return inner, while_loop(lambda c: c < 1.0, lambda c: c + 0.3 + inner * inner, inner)

        last, found = scan(step, x, [0.1, -0.2, 0.3, 0.4, 0.5])
        swept = fori(n, lambda i, c: scan(lambda d, _: (d * 0.9 + x, None), c, length=5)[0], last)
        return swept + am.sum(found)

    for transform in (lambda f: f, grad, lambda f: grad(grad(f))):
        one, compiled = transform(run), jit(transform(run))
        for n in (0, 1, 4):
            np.testing.assert_allclose(one(0.6, n), compiled(0.6, n), rtol=1e-9)
        assert 1 == compiled.stats()["paths"]


def test_checkpoints_and_products() -> None:
    """A checkpoint in each step, and a pullback of a compiled loop."""
    step = checkpoint(lambda c, x: am.sin(c) * x + 0.1)

    def run(x: Any) -> Any:
        return while_loop(lambda c: c < 0.9, lambda c: step(c, x) + c, x)

    for x in (0.2, 0.7):
        np.testing.assert_allclose(grad(run)(x), jit(grad(run))(x), rtol=1e-12)
        value, pullback = vjp(jit(run), x)
        np.testing.assert_allclose((run(x), grad(run)(x)), (value, pullback(1.0)[0]), rtol=1e-12)
    w = Value(0.3)
    y = jit(run)(w)
    y.backward()
    np.testing.assert_allclose(grad(run)(0.3), w.grad, rtol=1e-12)


def test_whole_numbers_in_a_compiled_function() -> None:
    """int() and what is rounded are guards: the function is traced again where the whole number differs."""

    def run(x: float) -> Any:
        total = 0.0
        for k in range(int(x)):
            total = total + [x, 2 * x, x * x][k % 3]
        return total + round(x) * 0.5 + (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)[round(x)]

    compiled = jit(run)
    for x in (2.2, 2.4, 2.6, 5.1, -0.4, 2.3):
        assert run(x) == compiled(x)
    assert 4 == compiled.stats()["paths"]
    rows = np.array([2.2, 5.1, 2.4, 0.3, 2.6])
    assert [run(x) for x in rows] == jit(vmap(run))(rows).tolist()
    assert [run(x) for x in rows] == jit(lambda rows: vmap(run)(rows))(rows).tolist()
    np.testing.assert_allclose(2.0 + 4.4, jit(grad(lambda x: x * int(x) + x * x))(2.2))
    with pytest.raises(ValueError, match="NaN"):
        jit(lambda x: x * int(x))(math.nan)
    with pytest.raises(TypeError, match="an index made of a number that depends on an argument"):
        jit(lambda x: [x, x][x])(1.0)


def test_a_whole_number_of_a_step() -> None:
    """A step in which Python needs an int is no loop of the program: steps run one after another, with guards."""

    def run(x: Any) -> Any:
        return scan(lambda c, _: (c * 1.5 + (ord("abc"[int(c) % 3 if c < 1e6 else 0]) - 96.0), None), x, length=6)[0]

    compiled = jit(run)
    for x in (0.3, 0.4, 2.2):
        assert run(float(x)) == compiled(x)
    assert any("whole number" in reason for reason in compiled.stats()["unrolled"])


# ---- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: fori(-1, lambda i, c: c, 0.0), ValueError, "n, the number of steps of fori, must be .* but is -1"),
        (lambda: fori(2.5, lambda i, c: c, 0.0), ValueError, "must be whole, not negative .* but is 2.5"),
        (lambda: fori(math.nan, lambda i, c: c, 0.0), ValueError, "but is nan"),
        (lambda: fori(math.inf, lambda i, c: c, 0.0), ValueError, "but is inf"),
        (lambda: fori(True, lambda i, c: c, 0.0), TypeError, "n must be a whole number, not True"),
        (lambda: fori("3", lambda i, c: c, 0.0), TypeError, "n must be a whole number, not '3' of type str"),
        (lambda: fori(3, lambda i, c: (c, c), 0.0), ValueError, "the carry before step 0 and .* differ in shape"),
        (lambda: fori(3, lambda i, c: "text", 0.0), TypeError, "the carry after step"),
        (lambda: fori(3, lambda i, c: c, "text"), TypeError, "the initial carry"),
        (lambda: while_loop(lambda c: c < 1, lambda c: [c], 0.0), ValueError, "differ in shape"),
        (lambda: while_loop(lambda c: "yes", lambda c: c, 0.0), TypeError, "must return a comparison or a number"),
        (
            lambda: while_loop(lambda c: c < 9, lambda c: c + 1, 0.0, at_most=3),
            RuntimeError,
            "more than at_most=3 steps",
        ),
        (
            lambda: while_loop(lambda c: c < 9, lambda c: c + 1, 0.0, at_most=0),
            RuntimeError,
            "more than at_most=0 steps",
        ),
        (lambda: while_loop(lambda c: c < 9, lambda c: c, 0.0, at_most=-1), ValueError, "not be negative, but is -1"),
        (lambda: while_loop(lambda c: c < 9, lambda c: c, 0.0, at_most=2.0), TypeError, "an int or None, not 2.0"),
        (lambda: while_loop(lambda c: c < 9, lambda c: c, 0.0, at_most=True), TypeError, "an int or None, not True"),
    ],
)
def test_errors(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    """Every error names what was wrong and what to do; inside a compiled function it is the same one."""
    with pytest.raises(kind, match=message):
        call()
    with pytest.raises(kind, match=message):
        jit(lambda x: [x, call()][0])(1.0)


def test_bounds_in_compiled_code() -> None:
    """What breaks a bound only for some arguments is an error for these, alone, in a batch and in a step."""
    bounded = jit(grad(lambda x: while_loop(lambda y: y < x, lambda y: y + x * 0.1, 0.1 * x, at_most=10)))
    climb = jit(lambda x: while_loop(lambda y: y < x, lambda y: y + 1, 0.0, at_most=10))
    assert 1.1 == round(bounded(2.0), 9)
    assert (3.0, 10.0) == (climb(3.0), climb(10.0))
    with pytest.raises(RuntimeError, match="more than at_most=10 steps"):
        climb(10.5)
    assert 7.0 == climb(6.5)
    with pytest.raises(RuntimeError, match="more than at_most=10 steps"):
        jit(vmap(lambda x: while_loop(lambda y: y < x, lambda y: y + 1, 0.0, at_most=10)))(np.array([1.0, 2.0, 11.0]))
    count = jit(lambda n: fori(n, lambda i, c: c + i, 1.0))
    assert 4.0 == count(3.0)
    for wrong in (-1.0, 2.5, math.nan, math.inf, 1e300):
        with pytest.raises(ValueError, match="the number of steps of fori"):
            count(wrong)
    inner = jit(lambda x, n: fori(n, lambda i, c: fori(c, lambda j, d: d + 1, c) + x, 1.0))
    assert 7.0 + 0.0 == inner(1.0, 2.0)
    with pytest.raises(ValueError, match="the number of steps of fori"):
        inner(0.5, 2.0)


def test_a_first_call_runs_no_loop_in_python() -> None:
    """What a loop demands is a guard: its steps are not counted in Python first, which would take minutes here."""
    count = jit(lambda x, n: while_loop(lambda c: c < n, lambda c: c + x, 0.0, at_most=10**9))
    assert 1e7 == count(1.0, 1e7)
    rows = jit(vmap(lambda n: while_loop(lambda c: c < n, lambda c: c + 1.0, 0.0, at_most=10**9)))
    assert [1e7, 5.0] == rows(np.array([1e7, 5.0])).tolist()
    with pytest.raises(RuntimeError, match="at_most=3"):
        jit(lambda x: while_loop(lambda c: c < x, lambda c: c + 1.0, 0.0, at_most=3))(9.0)
    with pytest.raises(RuntimeError, match="at_most=3"):
        jit(vmap(lambda x: while_loop(lambda c: c < x, lambda c: c + 1.0, 0.0, at_most=3)))(np.array([9.0, 1.0]))


def test_memory_is_bounded() -> None:
    """A derivative whose carries would take more memory than is allowed is an error, alone and in a batch."""
    compiled = jit(grad(spiral), loop_memory=20_000)
    np.testing.assert_allclose(grad(unrolled_spiral)(0.4, 500), compiled(0.4, 500), rtol=1e-9)
    with pytest.raises(MemoryError, match=r"more bytes, and loop_memory allows 20,000: .*jit\(loop_memory=...\)"):
        compiled(0.4, 5000)
    np.testing.assert_allclose(grad(unrolled_spiral)(0.4, 7), compiled(0.4, 7), rtol=1e-9)
    np.testing.assert_allclose(compiled(0.4, 500), jit(grad(spiral))(0.4, 500), rtol=1e-12)
    with pytest.raises(MemoryError, match="steps of its loops"):
        jit(hessian(spiral), loop_memory=20_000)(0.4, 5000)
    with pytest.raises(MemoryError, match="steps of its loops"):
        jit(vmap(grad(spiral), in_axes=(0, None)), loop_memory=20_000)(np.linspace(0.1, 0.5, 5), 5000.0)


def test_a_loop_without_memory_ends_the_loop_around_it() -> None:
    """A descent needs the slopes of a loop, which are missing without memory: it would go on for ever."""

    def descend(x: Any, steps: Any) -> Any:
        slope = grad(lambda y: fori(steps, lambda _, z: am.sin(z), y))
        return while_loop(lambda y: y > 0.1, lambda y: y - 0.5 * (1.0 - slope(y)), x)

    compiled, rows = jit(descend, loop_memory=20_000), jit(vmap(descend), loop_memory=20_000)
    for start, steps in ((0.3, 3.0), (0.4, 40.0)):
        assert compiled(start, steps) == pytest.approx(descend(start, steps), rel=1e-12)
        with pytest.raises(MemoryError, match="more bytes"):
            compiled(start, 1e5)
        with pytest.raises(MemoryError, match="more bytes"):
            rows(np.array([start, 0.5]), np.array([steps, 1e5]))


def test_memory_of_loops_of_known_length_is_bounded() -> None:
    """What a loop of known length stores counts too; its value needs nothing of the kind."""

    def decay(x: Any) -> Any:
        return scan(lambda y, _: (y - 0.01 * y * y, None), x, length=5000)[0]

    assert jit(decay, loop_memory=20_000)(0.5) == decay(0.5)
    with pytest.raises(MemoryError, match=r"takes 4\d,\d\d\d bytes, and loop_memory allows 20,000"):
        jit(grad(decay), loop_memory=20_000)(0.5)
    assert jit(grad(decay), loop_memory=50_000)(0.5) == pytest.approx(grad(decay)(0.5), rel=1e-9)


@pytest.mark.parametrize("size", [-1, 1 << 63, 1e9, True, "1G"])
def test_memory_is_a_number_of_bytes(size: Any) -> None:
    """Anything else is refused, with the value."""
    with pytest.raises(ValueError, match="loop_memory must be a number of bytes"):
        jit(spiral, loop_memory=size)


ENDLESS = """
import _thread, signal, sys, threading, traceback
import numpy as np
from autograd import fori, grad, jit, vmap, while_loop

signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background begins without it

def endless(x):
    return while_loop(lambda y: y > x, lambda y: y * 0.5 + 1.0, 1.0)

def endless_around(x):  # the loop in its step sees the signal
    return while_loop(lambda y: y > x, lambda y: fori(x * 1e7, lambda _, z: z * 0.5 + 1.0, y), 1.0)

how = sys.argv[1]
function = endless_around if "around" in how else endless
lanes = jit(vmap(function), threads=1 + ("threads" in how)) if "lanes" in how else None
rows = 2048 if "threads" in how else 2  # both threads have endless rows
compiled = lanes or jit(function)
assert 1.0 == (compiled(np.full(rows, 5.0))[0] if lanes else compiled(5.0))

def late(number, frame):
    raise TimeoutError(signal.Signals(number).name)

signal.signal(signal.SIGALRM, late)
for interrupt in (_thread.interrupt_main, lambda: signal.raise_signal(signal.SIGALRM)):
    for arguments in ((0.5,), (0.5,)):
        threading.Timer(0.3, interrupt).start()
        try:
            compiled(np.array([*arguments, 5.0] * (rows // 2))) if lanes else compiled(*arguments)
        except (KeyboardInterrupt, TimeoutError) as error:
            print(repr(error), "late" in [frame.name for frame in traceback.extract_tb(error.__traceback__)])
            assert not hasattr(sys, "autograd_raised")
assert 1.0 == (compiled(np.full(rows, 5.0))[0] if lanes else compiled(5.0))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["alone", "lanes", "around", "around in lanes", "lanes, threads"])
def test_an_endless_loop_can_be_interrupted(how: str) -> None:
    """Ctrl-C, or another signal, ends a compiled loop that never would; the function works afterwards."""
    ran = subprocess.run([sys.executable, "-c", ENDLESS, how], capture_output=True, text=True, timeout=60, check=False)
    raised = [*["KeyboardInterrupt() False"] * 2, *["TimeoutError('SIGALRM') True"] * 2]
    assert (raised, "") == (ran.stdout.splitlines(), ran.stderr)


WAITED = """
import signal, sys
import numpy as np
import autograd.math as am
from autograd import fori, grad, jit, scan, vmap, while_loop

FAR = 10**13  # so many steps that nobody waits for the last one
TABLE = [0.1 * k for k in range(1000)]

def much(x):
    return sum([am.sin(x + 0.1 * k) * am.exp(-x * k) for k in range(40)])

FUNCTIONS = {
    "carries": lambda x: fori(FAR, lambda i, y: y * 0.5 + x, 1.0),
    "total": lambda x: fori(FAR, lambda i, y: y + x * am.sin(i), 0.0),
    "total of much": lambda x: fori(FAR, lambda i, y: y + much(x * i), 0.0),
    "gradient": grad(lambda x: fori(FAR, lambda i, y: y + am.sin(x * i), 0.0)),
    "inside": lambda x: fori(10**7, lambda i, y: y * 0.5 + fori(10**7, lambda k, z: am.cos(z + x), y), 0.0),
    "inside a walk": lambda x: scan(
        lambda y, t: (fori(10**6, lambda i, z: am.cos(z + fori(10**4, lambda k, u: u + am.sin(z * k), t)), y), None),
        x, TABLE)[0],
    "short ones inside": lambda x: while_loop(
        lambda y: y < 2.0, lambda y: y + 0.0 * while_loop(lambda z: z < 1e4, lambda z: z + 1.0, y), x),
}
function = FUNCTIONS[sys.argv[2]]
compiled = {
    "alone": jit(function), "accurate": jit(function, accurate=True), "rows": jit(vmap(function)),
    "threads": jit(vmap(function), threads=2),
}[sys.argv[1]]

def late(number, frame):
    if frame.f_code.co_name == "attempt":  # machine code runs
        raise TimeoutError("late")

signal.signal(signal.SIGALRM, late)
signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
try:
    compiled(0.5 if sys.argv[1] in ("alone", "accurate") else np.linspace(0.5, 0.6, 200))
except TimeoutError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["alone", "accurate", "rows", "threads"])
@pytest.mark.parametrize(
    "what",
    ["carries", "total", "total of much", "gradient", "inside", "inside a walk", "short ones inside"],
)
def test_a_long_loop_can_be_interrupted(how: str, what: str) -> None:
    """Loops of known length look for signals too, wherever they are; so do those around many short ones."""
    arguments = [sys.executable, "-c", WAITED, how, what]
    ran = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert ("late\n", "") == (ran.stdout, ran.stderr)


def test_errors_of_a_step_pass_through() -> None:
    """What a step raises comes out as it is."""

    def divide(*_: Any) -> Any:
        raise ZeroDivisionError("in the step")

    for call in (lambda: fori(3, divide, 0.0), lambda: while_loop(lambda c: c < 1, divide, 0.0)):
        with pytest.raises(ZeroDivisionError, match="in the step"):
            call()
        with pytest.raises(ZeroDivisionError, match="in the step"):
            jit(lambda x, call=call: [x, call()][0])(1.0)


# ---- random loops ---------------------------------------------------------------------------------------------------


@st.composite
def steps(draw: Any) -> Callable[..., Any]:
    """A random step of two carries and two arguments, which stays bounded; some have branches and loops in them."""
    kinds = ["sin", "product", "branch", "where", "inner for", "inner while", "quotient"]
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=3))
    factors = [draw(st.sampled_from([0.3, -0.7, 0.9])) for _ in chosen]

    def step(a: Any, b: Any, x: Any, y: Any) -> tuple[Any, Any]:
        for kind, f in zip(chosen, factors):
            if kind == "sin":
                a, b = am.sin(b + f * x), 0.9 * a
            elif kind == "product":
                a, b = am.tanh(a * b + y), b * f + 0.1
            elif kind == "branch":
                if a > f * b:
                    a = a - 0.2 * y
                else:
                    b = b + 0.2 * x
            elif kind == "where":
                a = am.where(b > 0.0, a * f, am.tanh(a + x))
            elif kind == "inner for":
                a = fori(am.floor(3.0 + 2.0 * am.tanh(b)), lambda i, c, b=b, f=f: c * f + 0.1 * am.cos(b + i), a)
            elif kind == "inner while":
                a = while_loop(lambda c, f=f: abs(c) > 0.4, lambda c, f=f, x=x: c * f * am.cos(x), a)
            else:
                a = f * a / (1.5 + am.tanh(b * y))
        return a, b

    return step


@settings(max_examples=25, deadline=None)
@given(step=steps(), bound=st.integers(0, 12), counted=st.booleans())
def test_random_loops(step: Callable[..., Any], bound: int, counted: bool) -> None:
    """Compiled equals eager: value, gradient, a batch of rows whose lengths differ."""

    def run(x: Any, y: Any, n: Any) -> Any:
        def next_of(a: Any, b: Any) -> Any:
            return step(a, b, x, y)

        if counted:
            a, b = fori(n, lambda i, c: next_of(*c), (x, y))
        else:
            a, b, _ = while_loop(
                lambda c: (c[2] < n) & (abs(c[0] + c[1]) < 3.0), lambda c: (*next_of(c[0], c[1]), c[2] + 1), (x, y, 0)
            )
        return a * b + a

    gradient = grad(run, (0, 1))
    compiled, compiled_gradient = jit(run), jit(gradient)
    points = [(0.4, -0.8, float(bound)), (1.3, 0.6, 3.0), (-0.9, 0.2, 0.0)]
    for point in points:
        np.testing.assert_allclose(run(*point), compiled(*point), rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(gradient(*point), compiled_gradient(*point), rtol=1e-7, atol=1e-9)
    columns = [np.array(column) for column in zip(*points)]
    expected = np.array([gradient(*point) for point in points]).T
    np.testing.assert_allclose(expected, jit(vmap(gradient))(*columns), rtol=1e-7, atol=1e-9)
