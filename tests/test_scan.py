"""`scan`: results, derivatives against the same loop in Python, inside the other transforms, and every error."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

import autograd.math as am
from autograd import Value, checkpoint, grad, hessian, jacobian, jit, jvp, scan, topological_order, vjp, vmap
from autograd.testing import check_grads

XS = [0.3, -1.2, 0.7, 2.0]


def step(carry, x):
    """A step with two carries that mix, and a result."""
    position, velocity = carry
    velocity = velocity - 0.1 * am.sin(position) * x
    return (position + 0.2 * velocity, velocity), position * velocity


def looped(initial, xs):
    """What `scan(step, initial, xs)` means."""
    carry, ys = initial, []
    for x in xs:
        carry, y = step(carry, x)
        ys.append(y)
    return carry, ys


def energy(run):
    """A number that depends on everything that a loop computes."""

    def function(initial, xs):
        (position, velocity), ys = run(initial, xs)
        return position * velocity + am.sum(ys) ** 2

    return function


scanned = energy(lambda initial, xs: scan(step, initial, xs))
unrolled = energy(looped)


# ---- results -------------------------------------------------------------------------------------------------------


def test_carry_and_results():
    """The last carry, and the results of the steps in their order: a list for a list."""
    carry, ys = scan(lambda total, x: (total + x, total * x), 1.0, [1.0, 2.0, 3.0])
    assert (7.0, [1.0, 4.0, 12.0]) == (carry, ys)
    assert looped((0.5, -0.25), XS) == scan(step, (0.5, -0.25), XS)


def test_results_in_arrays():
    """Rows of an ndarray are its first axis, and results are stacked in ndarrays, leaf by leaf."""
    table = np.arange(6.0).reshape(3, 2)
    carry, ys = scan(lambda c, row: (c + row, {"sum": row[0] + row[1], "row": row * c}), np.zeros(2), table)
    assert [6.0, 9.0] == carry.tolist()
    assert [1.0, 5.0, 9.0] == ys["sum"].tolist()
    assert [[0.0, 0.0], [0.0, 3.0], [8.0, 20.0]] == ys["row"].tolist()


def test_parts_of_xs():
    """A tuple, dict or dataclass is cut part by part; an array in one of them decides about the results."""

    @dataclass
    class Inputs:
        rates: list[float]
        paid: np.ndarray

    xs = Inputs([0.5, 1.0], np.array([10.0, 20.0]))
    carry, ys = scan(lambda c, x: (c * (1 + x.rates) + x.paid, c), 100.0, xs)
    assert 340.0 == carry
    assert isinstance(ys, np.ndarray)
    assert [100.0, 160.0] == ys.tolist()
    assert (14.0, [2.0, 12.0]) == scan(
        lambda c, x: (c + x["a"] * x["b"], x["a"] * x["b"]), 0.0, {"a": [1, 3], "b": [2, 4]}
    )


def test_without_xs():
    """`length` alone: the step is given None."""
    given = []

    def twice(carry, x):
        given.append(x)
        return 2 * carry, carry

    assert (8.0, [1.0, 2.0, 4.0]) == scan(twice, 1.0, length=3)
    assert [None, None, None] == given
    assert (8.0, [1.0, 2.0, 4.0]) == scan(twice, 1.0, length=np.int64(3))


def test_reverse():
    """From the last row to the first; the results stay with their rows."""
    carry, ys = scan(lambda c, x: (10 * c + x, c), 0.0, [1.0, 2.0, 3.0], reverse=True)
    assert (321.0, [32.0, 3.0, 0.0]) == (carry, ys)


def test_no_results():
    """None from every step is None for all."""
    assert (6.0, None) == scan(lambda c, x: (c + x, None), 0.0, [1.0, 2.0, 3.0])
    assert (6.0, None) == scan(lambda c, x: (c + x, None), 0.0, np.array([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("compile_it", [False, True])
def test_no_step_and_one(compile_it):
    """Without a step the carry is the initial one, and the results are empty; one step is one call."""
    around = jit if compile_it else lambda function: function

    def run(initial, xs):
        return scan(step, initial, xs)

    carry, ys = around(run)((1.0, 2), [])
    assert ((1.0, 2.0), []) == (carry, ys)
    carry, ys = around(run)((1.0, 2.0), np.zeros(0))
    assert ((1.0, 2.0), (0,)) == (carry, ys.shape)
    assert (5.0, []) == scan(lambda c, _: (c, c), 5, length=0)
    assert looped((1.0, 2.0), [3.0]) == around(run)((1.0, 2.0), [3.0])


def test_numbers_are_floats():
    """Whole numbers of the carry become floats before the first step, as compiled numbers are."""
    kinds = []

    def note(carry, x):
        kinds.append(type(carry["n"]))
        return {"n": 1}, None

    assert ({"n": 1.0}, None) == scan(note, {"n": 0}, length=2)
    assert [float, float] == kinds


def test_containers_may_be_of_another_kind():
    """The structure is the names and sizes: a step may return a list where a tuple was; the next one is given it."""
    carry, _ = scan(lambda c, x: ([c[0] + x, c[1]], None), (0.0, 1.0), [1.0, 2.0])
    assert [3.0, 1.0] == list(carry)


def test_the_arguments_stay_as_they_were():
    """A step may change its carry in place: the caller's containers are not changed."""

    def push(carry, x):
        carry[0] = carry[0] + x
        return carry, carry[0]

    initial, xs = [0.0], [1.0, 2.0]
    assert ([3.0], [1.0, 3.0]) == scan(push, initial, xs)
    assert ([0.0], [1.0, 2.0]) == (initial, xs)


# ---- derivatives ---------------------------------------------------------------------------------------------------


def test_derivatives():
    """Reverse, forward and second order are those of the same loop in Python, bit by bit, and of finite differences."""
    initial = (0.5, -0.25)
    for argnums in (0, 1, (0, 1)):
        assert grad(unrolled, argnums)(initial, XS) == grad(scanned, argnums)(initial, XS)
        assert hessian(unrolled, argnums)(initial, XS) == hessian(scanned, argnums)(initial, XS)
    direction = ((1.0, 2.0), [1.0, 0.0, -1.0, 0.5])
    assert jvp(unrolled, (initial, XS), direction) == jvp(scanned, (initial, XS), direction)
    for mode in ("rev", "fwd"):
        assert jacobian(looped, 1, mode)(initial, XS) == jacobian(lambda a, b: scan(step, a, b), 1, mode)(initial, XS)
    check_grads(scanned, (initial, XS), order=2)


def test_derivatives_backwards():
    """With `reverse`, they are those of the loop over the rows from the last to the first."""

    def backwards(initial, xs):
        carry, ys = looped(initial, xs[::-1])
        return carry, ys[::-1]

    value, pullback = vjp(energy(lambda initial, xs: scan(step, initial, xs, reverse=True)), (0.5, -0.25), XS)
    expected, expected_pullback = vjp(energy(backwards), (0.5, -0.25), XS)
    assert expected == value
    assert expected_pullback(1.0) == pullback(1.0)


def test_values():
    """Values in, Values out; a Value that the step closes over has its gradient."""
    w, x = Value(0.9), Value(1.5)
    carry, ys = scan(lambda c, x: (w * c + x, c), 1.0, [x, 2.0])
    (carry + ys[1]).backward()
    assert (0.9 * (0.9 + 1.5) + 2.0, 0.9 + 1.0) == (carry.data, x.grad)
    assert math.isclose(2 * 0.9 + 1.5 + 1.0, w.grad)


def test_inside_vmap():
    """Each row of a map has a loop of its own."""
    starts = np.array([[0.5, -0.25], [1.0, 0.0], [2.0, 0.5], [-1.0, 1.0], [0.1, 0.2]])

    def one(start):
        return scanned((start[0], start[1]), XS)

    def plain(start):
        return unrolled((start[0], start[1]), XS)

    assert [plain(row) for row in starts] == vmap(one)(starts).tolist()
    assert [grad(plain)(row).tolist() for row in starts] == vmap(grad(one))(starts).tolist()
    np.testing.assert_allclose(vmap(plain)(starts), jit(vmap(one))(starts), rtol=1e-14)
    np.testing.assert_allclose(vmap(grad(plain))(starts), jit(vmap(grad(one)))(starts), rtol=1e-13)


def test_a_map_in_each_step():
    """A step may map over rows itself, compiled too."""
    weights = np.linspace(0.5, 1.5, 6)

    def run(start):
        layer = vmap(lambda w, c: am.tanh(w * c), in_axes=(0, None), reduce="sum")
        return scan(lambda c, _: (layer(weights, c), c), start, length=3)[0]

    np.testing.assert_allclose(run(0.3), jit(run)(0.3), rtol=1e-14)
    np.testing.assert_allclose(grad(run)(0.3), jit(grad(run))(0.3), rtol=1e-13)


def test_inside_jit():
    """A compiled loop gives the numbers and the derivatives of the plain one, for other arguments too."""
    compiled, gradient, second = jit(scanned), jit(grad(scanned, (0, 1))), jit(hessian(scanned, 1))
    for initial in ((0.5, -0.25), (2.0, 1.0)):
        np.testing.assert_allclose(unrolled(initial, XS), compiled(initial, XS), rtol=1e-14)
        found, expected = gradient(initial, XS), grad(unrolled, (0, 1))(initial, XS)
        np.testing.assert_allclose([*expected[0], *expected[1]], [*found[0], *found[1]], rtol=1e-13)
        np.testing.assert_allclose(hessian(unrolled, 1)(initial, XS), second(initial, XS), rtol=1e-12)


def test_inside_jit_on_arrays_backwards():
    """Arrays, a reversed loop and stacked results, compiled."""

    def run(start, xs):
        return scan(lambda c, x: (c * x[0] + x[1], {"c": c, "x": x * c}), start, xs, reverse=True)

    table = np.arange(1.0, 9.0).reshape(4, 2) / 5
    (carry, ys), (found, stacked) = run(0.5, table), jit(run)(0.5, table)
    np.testing.assert_allclose(carry, found, rtol=1e-14)
    np.testing.assert_allclose(ys["c"], stacked["c"], rtol=1e-14)
    np.testing.assert_allclose(ys["x"], stacked["x"], rtol=1e-14)


def test_branches_in_steps():
    """A branch inside a step is taken as the numbers say, compiled too."""

    def run(xs):
        return scan(lambda c, x: (c + x if x > 0 else c * x, c > 1.0), 1.0, xs)[0]

    for xs in ([1.0, -2.0, 3.0], [-1.0, 2.0, -3.0]):
        assert run(xs) == jit(run)(xs)
        assert grad(run)(xs) == jit(grad(run))(xs)


def test_checkpoints():
    """A checkpoint around the loop, and one around each step: the same derivatives, to second order."""
    initial = (0.5, -0.25)
    whole = checkpoint(scanned)
    each = energy(lambda initial, xs: scan(checkpoint(step), initial, xs))
    for function in (whole, each):
        for mine, plain in zip(grad(function, (0, 1))(initial, XS), grad(unrolled, (0, 1))(initial, XS)):
            np.testing.assert_allclose(plain, mine, rtol=1e-14)
        np.testing.assert_allclose(hessian(unrolled, 1)(initial, XS), hessian(function, 1)(initial, XS), rtol=1e-13)
    x = Value(0.5)
    assert 2 == len(topological_order(checkpoint(lambda x: scan(lambda c, _: (c * c, None), x, length=9)[0])(x)))


def test_a_long_loop():
    """A hundred thousand steps are a size, not an error."""
    assert math.isclose(100_001.0, grad(lambda x: scan(lambda c, _: (c + x, None), x, length=100_000)[0])(1.0))


# ---- errors --------------------------------------------------------------------------------------------------------


def keep(carry, x):
    """A step that changes nothing."""
    return carry, x


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: scan(keep, 0.0), ValueError, "how often: pass xs, whose rows the steps take, or length"),
        (lambda: scan(keep, 0.0, length=-1), ValueError, "length must not be negative, but is -1"),
        (lambda: scan(keep, 0.0, length=2.0), TypeError, "length must be an int, not 2.0 of type float"),
        (lambda: scan(keep, 0.0, length=True), TypeError, "length must be an int, not True of type bool"),
        (lambda: scan(keep, 0.0, [1.0, 2.0], 3), ValueError, "length is 3, but xs has 2 rows: leave out length"),
        (lambda: scan(keep, 0.0, ([1.0], [1.0, 2.0])), ValueError, "the parts of .* have different numbers of rows"),
        (
            lambda: scan(keep, 0.0, {"a": [1.0], "b": 2.0}),
            TypeError,
            "2.0 of type float has no rows: .* function close",
        ),
        (lambda: scan(keep, 0.0, 5.0), TypeError, "5.0 of type float has no rows"),
        (lambda: scan(keep, 0.0, np.array(5.0)), ValueError, r"xs names axis 0 of an ndarray of shape \(\)"),
        (lambda: scan(keep, 0.0, np.array(["a"])), TypeError, "xs: an ndarray of .* cannot be used as float64"),
        (lambda: scan(keep, {"a": "text"}, [1.0]), TypeError, r"the initial carry\['a'\]: "),
        (lambda: scan(lambda c, x: c, 0.0, [1.0]), TypeError, r"<lambda> must return a pair \(carry, y\), not 0.0"),
        (
            lambda: scan(lambda c, x: [c, x], 0.0, [1.0]),
            TypeError,
            r"must return a pair \(carry, y\), not \[0.0, 1.0\]",
        ),
        (
            lambda: scan(lambda c, x: ((c, c), x), 0.0, [1.0]),
            ValueError,
            "the carry before step 0 and the carry after step 0 differ in shape: one number, 2 numbers",
        ),
        (
            lambda: scan(lambda c, x: ({"a": c["a"], "c": x}, x), {"a": 0.0, "b": 0.0}, [1.0]),
            ValueError,
            r"differ in shape: the keys \['a', 'b'\], the keys \['a', 'c'\]",
        ),
        (
            lambda: scan(lambda c, x: (c if x < 2 else [c, c], x), 0.0, [1.0, 2.0]),
            ValueError,
            "the carry before step 1 and the carry after step 1 differ in shape: one number, 2 numbers",
        ),
        (
            lambda: scan(lambda c, x: (None, x), 0.0, [1.0]),
            ValueError,
            "the carry before step 0 and the carry after step 0 differ in shape: one number, 0 numbers",
        ),
        (lambda: scan(lambda c, x: ("text", x), 0.0, [1.0]), TypeError, "the carry after step 0: "),
        (
            lambda: scan(lambda c, x: (c, x if x > 1 else [x, x]), 0.0, np.array([1.0, 2.0])),
            ValueError,
            "row 0 and row 1 differ in shape: 2 numbers, one number",
        ),
        (
            lambda: scan(lambda c, x: (c, x if x > 1 else None), 0.0, np.array([1.0, 2.0])),
            ValueError,
            "row 0 and row 1 differ in shape: 0 numbers, one number",
        ),
    ],
)
def test_errors(call, kind, message):
    """Every error names what was wrong and what to do; inside a compiled function it is the same one."""
    with pytest.raises(kind, match=message):
        call()
    with pytest.raises(kind, match=message):
        jit(lambda x: [x, call()][0])(1.0)


def test_errors_of_the_function_pass_through():
    """What a step raises comes out as it is."""

    def divide(carry, x):
        raise ZeroDivisionError("in the step")

    with pytest.raises(ZeroDivisionError, match="in the step"):
        scan(divide, 0.0, [1.0])
