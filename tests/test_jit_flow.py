"""Branches and loops of the source as part of a compiled program: results, derivatives, and what stays a guard."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import importlib
import io
import itertools
import math
import operator
import pickle
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from agreement import ROWS, agree

import autograd.math as am
from autograd import Value, adopt, grad, hessian, jacobian, jit, jvp, value_and_grad, vmap
from autograd.compiler.run import dispatcher, specialization
from autograd.compiler.run.specialization import TooManyPathsError
from autograd.compiler.source.functions import new_code
from autograd.sources import all_code

# ---- branches ------------------------------------------------------------------------------------------------------


def test_branches_in_rows() -> None:
    """`if`, `elif`, conditional expressions, `and`, `or`, `not`, chains: one program for all rows."""

    def f(x: Any) -> Any:
        if (x > 2.0 and x < 5.0) or x == 40.0:
            y = am.sin(x)
        elif not x > 0.0:
            y = x * x
        else:
            y, z = 3.0 * x, 1.0
            y = y + z
        return y * (am.exp(-x) if 0.0 < x <= 1.0 < 1.0 + x else 1.0)

    agree(f)


def test_branches_in_expressions() -> None:
    """Conditional expressions in comprehensions, in what these go through, in lambdas and in one another."""

    def f(x: Any) -> Any:
        weights = [2.0 if k else 0.5 * x for k in ((1, 0, 1) if ROWS.ndim else (1,))]
        parts = [(w * x if w > 1.0 else w - x) if x > 1.0 else w for w in weights]
        larger = (lambda y: y * x if y > x else (y if y < 0.0 else x))(parts[0])
        return sum(parts[k] if parts[k] > k else am.sin(x) for k in range(3)) + larger

    agree(f)


def test_code_of_many_alternatives() -> None:
    """Sides that are there twice, as they were and as functions, do not double at each level."""

    def f(x: Any) -> Any:
        low = 0.0
        if x > 30.0:
            y, low = 2.0 * x, 1.0
        elif x > 10.0:
            y = x * x
        elif x > 5.0:
            y = x * x * x
        elif x > 4.0:
            y = am.sin(x)
        elif x > 3.0:
            y = am.cos(x)
        elif x > 2.0:
            y = am.exp(x)
        elif x > 1.0:
            y = am.log(x)
        elif x > 0.5:
            y = am.sqrt(x)
        elif x > 0.0:
            y = -x
        else:
            y = x + 1.0
        return y + low

    agree(f)
    new = new_code(f)
    assert new is not None
    size, before = (sum([len(part.co_code) for part in (code, *all_code(code))]) for code in (new.code, f.__code__))
    assert 20 * before > size


def test_decided_branches_make_no_functions() -> None:
    """A branch whose condition is plain, or becomes a guard, runs as it was written: no function is called for it."""
    depths: list[int] = []

    def f(x: Any) -> Any:
        y = x
        if x > 1.0:
            depths.append(len(traceback.extract_stack()))
        if y is x:
            depths.append(len(traceback.extract_stack()))
        depths.append(len(traceback.extract_stack()))
        return y * (2.0 if depths else 1.0)

    assert f(2.0) == jit(f, quiet=True)(2.0)
    assert 6 == len(depths)
    assert 2 == len(set(depths))


def test_returns_in_branches() -> None:
    """What follows an `if` that returns is its other side."""

    def f(x: Any) -> Any:
        if x < 0.0:
            if x < -2.0:
                return -x
            x = x * 2.0
        if x == 0.0:
            return 1.0
        y = am.sqrt(abs(x))
        if y > 1.0:
            return y * y * y
        return am.log(abs(x))

    agree(f)


def test_a_side_that_is_not_taken_sends_no_message() -> None:
    """0 times infinity reaches no gradient, whichever side it is on, in second derivatives either."""

    def f(x: Any) -> Any:
        if x > 0.0:
            y = am.sqrt(x)
            y = y + am.log(x) / x
        else:
            y = 2.0 * x
        return y * y

    agree(f)
    second = vmap(grad(grad(f)))
    rows = ROWS[ROWS != 0.0]
    np.testing.assert_allclose(jit(second)(rows), [grad(grad(f))(x) for x in rows.tolist()], rtol=1e-11)
    forward = vmap(lambda x: jvp(f, (x,), (1.0,))[1])
    np.testing.assert_allclose(jit(forward)(ROWS), [grad(f)(x) for x in ROWS.tolist()], rtol=1e-12)


def test_names_of_one_side() -> None:
    """A name that only one side has is used only there; one that neither needs is no matter of the other."""

    def f(x: Any) -> Any:
        if x > 0.0:
            inner = x * 3.0
            y = inner + 1.0
        else:
            y = -x
        if x > 0.0:
            inner = y
            y = inner * 2.0
        return y

    agree(f)

    def unbound(x: Any) -> Any:
        if x > 0.0:
            y = x
        return y

    with pytest.raises(UnboundLocalError):
        unbound(-1.0)
    compiled = jit(vmap(unbound))
    np.testing.assert_array_equal([1.0, 2.0], compiled(np.array([1.0, 2.0])))
    with pytest.raises(UnboundLocalError):
        compiled(np.array([1.0, -1.0]))


def test_tuples_truths_and_whole_numbers() -> None:
    """What two sides give may be tuples, truths and whole numbers."""

    def f(x: Any) -> Any:
        pair, large, sign = (x, 1.0), False, 1
        if x > 1.0:
            pair, large = (x * x, x), x > 5.0
        elif x < 0.0:
            sign = -1
        if large:
            sign = sign * 2
        return pair[0] * sign + pair[1] * (3 if large else 4)

    agree(f)


def test_a_whole_number_that_chooses_in_python() -> None:
    """Where Python needs the int itself, each number is a path of its own; its type needs none."""

    def f(x: Any) -> Any:
        k = 0
        if x > 1.0:
            k = 2
        elif x > 0.0:
            k = 1
        return [am.sin, am.cos, am.exp][k](x * 0.1)

    def typed(x: Any) -> Any:
        k = 1 if x > 1.0 else 2
        return x * 2.0 if isinstance(k, int) else x

    def shifted(x: Any) -> Any:
        k = 1 if x > 1.0 else 3
        return x * (k << 1)

    agree(f, paths=3)
    agree(typed)
    agree(shifted)


def test_functions_without_source_are_told() -> None:
    """At a prompt or in ``python -c`` the source is not there: all comparisons are guards, and `branches` says why."""
    namespace: dict[str, Any] = {}
    exec("def bent(x):\n    return x * x if x > 0.0 else -x\ndef twice(x):\n    return 2.0 * bent(x)", namespace)
    for name in ("bent", "twice"):
        compiled = jit(vmap(namespace[name]))
        factor = 2.0 if name == "twice" else 1.0
        assert [factor, 2.0 * factor] == compiled(np.array([1.0, -2.0])).tolist()
        assert re.search(rf"of {name}: each comparison .* is a guard: its source cannot be read", compiled.branches())
    assert "cannot be read" not in jitted_branches(lambda x: -x if x < 0.0 else x)


def jitted_branches(function: Any) -> str:
    """What is told of the branches of a function of rows."""
    compiled = jit(vmap(function))
    compiled(np.array([1.0, -2.0]))
    return compiled.branches()


def test_branches_in_a_single_call_are_guards() -> None:
    """One call runs one side only."""
    compiled = jit(lambda x: am.sin(x) if x > 0.0 else x)
    assert (compiled(1.0), compiled(-1.0)) == (math.sin(1.0), -1.0)
    assert 2 == compiled.stats()["paths"]
    assert "if expression is a guard: a single call runs one side only" in compiled.branches()


def left_to_python(x: Any, y: Any) -> Any:
    """A loop that no program has, since a tuple grows, with a condition that is the same in all steps."""
    n, steps = 0.0, ()
    while n < 3.0 and not x > 50.0:
        if not am.sin(y) >= 0.0:
            x = x * 2.0
            break
        x = x + 1.0
        steps = (*steps, x)
        n = n + 1.0
    return x + len(steps)


@pytest.mark.parametrize("apart", [0, 4])
def test_what_a_loop_has_supposed_is_forgotten(apart: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it is left to Python, its conditions are guards in the side around it, too."""
    monkeypatch.setattr(dispatcher, "MOST_APART", apart)

    def row(x: Any, y: Any) -> Any:
        return left_to_python(x, y) if x > 0.0 else x * y

    points = [(0.5, 1.0), (0.5, -1.0), (3.0, 2.0), (-1.0, 1.0), (2.0, -2.0)]
    compiled = jit(row)
    assert [row(*p) for p in points] == [compiled(*p) for p in points]
    rows = jit(vmap(row))(*map(np.array, zip(*points)))
    assert [row(*p) for p in points] == rows.tolist()


def test_after_four_paths_a_single_call_has_both_sides() -> None:
    """A function with many branches does not make a path for each combination of them."""

    def f(*xs: Any) -> Any:
        total = 0.0
        for k, x in enumerate(xs):
            if x > 0.0:
                total = total + am.log(x) * k
            elif x < -1.0:
                total = total * x
            else:
                total = total - am.sqrt(1.0 + x)
        if total > 3.0:
            return total * xs[0]
        return -total

    by = tuple(range(4))
    compiled, eager = jit(value_and_grad(f, by)), value_and_grad(f, by)
    for xs in itertools.product((-2.5, -1.0, 0.5), repeat=4):
        value, slope = compiled(*xs)
        assert (value, *slope) == pytest.approx((eager(*xs)[0], *eager(*xs)[1]), rel=1e-14)
    assert 5 == compiled.stats()["paths"]
    assert "guard" not in compiled.branches()


def test_a_long_side_is_a_path_after_four_too() -> None:
    """Both sides cost more than paths do there; and what has an effect stays as Python has it."""

    def long(x: Any, depth: int) -> Any:
        for k in range(depth):
            x = am.sin(x) + k
        return x

    def f(x: Any) -> Any:
        seen = []
        for k in range(6):
            if x > k:
                seen.insert(0, k)
        y = long(x, 300) if x > 2.5 else x
        return y + len(seen)

    compiled = jit(f)
    for x in (-0.5, 0.5, 1.5, 2.25, 2.75, 3.5, 4.5, 5.5, 0.25):
        assert f(x) == compiled(x)
    assert 8 == compiled.stats()["paths"]


def test_equality_of_rounded_numbers_is_a_guard() -> None:
    """What machine code may round in another way is compared as eager code says."""
    xs = [x for x in np.random.default_rng(0).uniform(1.0, 2.0, 200).tolist() if x**3 != x * x * x]
    assert len(xs) > 5
    found = jit(vmap(lambda x, y: 1.0 if x**3 == y else 0.0), quiet=True)(xs, [x**3 for x in xs])
    assert [1.0] * len(xs) == found


# ---- loops ---------------------------------------------------------------------------------------------------------


def newton(a: Any) -> Any:
    """A root by Newton's method: a `while` with a tolerance."""
    x = 1.0 + a
    while abs(x * x - a) > 1e-12 * a:
        x = 0.5 * (x + a / x)
    return x


def root(a: Any) -> Any:
    """The same: the loop returns."""
    x = 1.0 + a
    for _ in range(60):
        new = 0.5 * (x + a / x)
        if abs(new - x) <= 1e-14 * new:
            return new
        x = new
    raise ValueError("no root")


def bisection(a: Any) -> Any:
    """A loop of a fixed length with a branch."""
    low, high = 0.0, 1.0 + a
    for _ in range(30):
        middle = 0.5 * (low + high)
        if middle * middle > a:
            high = middle
        else:
            low = middle
    return a * (low + high)


def collatz(x: Any) -> Any:
    """A loop with a branch and a counter."""
    n, total = 0, x
    while x > 1.5:
        if x % 2 == 0:
            x = x / 2
            n += 1
        else:
            x = 3 * x + 1
            n += 2
        total = total + 0.1 * x
    return total * n


def jumps(x: Any) -> Any:
    """Loops in one another with `break`, `continue` and `return`."""
    total = 0.0 * x
    for i in range(6):
        if x > 5.0 and i > 3:
            continue
        y = x + i
        while True:
            y = 0.5 * y - 0.125
            if y < 0.5:
                break
            if y > 400.0:
                return y * 2.0
            total += y
        if total > 30.0:
            break
        total = total + am.sin(y)
    else_ = total * 2.0
    return else_ + i


@pytest.mark.parametrize(
    ("function", "rows"),
    [
        (newton, np.array([1e-3, 0.3, 1.0, 2.0, 50.0, 1e6])),
        (root, np.array([1e-3, 0.3, 1.0, 2.0, 50.0, 1e6])),
        (bisection, np.array([1e-3, 0.3, 1.0, 2.0, 50.0, 1e6])),
        (collatz, np.arange(1.0, 40.0)),
        (jumps, ROWS),
    ],
    ids=["while", "return", "for", "counter", "jumps"],
)
def test_loops(function: Any, rows: Any) -> None:
    """One program for rows that take different numbers of steps."""
    compiled = agree(function, rows)
    if function is not bisection:
        single = jit(function)
        for x in rows.tolist():
            assert function(x) == pytest.approx(single(x), rel=1e-13)
        assert (3 if function is jumps else 1) == single.stats()["paths"]  # outside loops, an `if` is a guard
        assert "is a loop" in compiled.branches()


def test_second_derivatives_of_loops() -> None:
    """Hessians and Jacobians go through loops."""

    def f(p: Any) -> Any:
        x = p[0]
        while x * x > p[1]:
            x = 0.5 * x - 0.01 * p[1]
        return x * p[0] * p[1]

    point = [5.0, 0.3]
    np.testing.assert_allclose(jit(hessian(f))(point), hessian(f)(point), rtol=1e-12)
    rows = np.array([[5.0, 0.3], [0.1, 2.0], [90.0, 1.0]])
    np.testing.assert_allclose(
        jit(vmap(lambda p: jacobian(lambda q: [f(q), q[0]])(p)))(rows),
        np.swapaxes([jacobian(lambda q: [f(q), q[0]])(p) for p in rows], 0, 1),
        rtol=1e-12,
    )


def test_a_loop_that_raises() -> None:
    """A row for which the loop raises raises as in Python, at its line; others stay one program."""

    def f(x: Any) -> Any:
        steps = 0
        while x > 1.0:
            x = 0.5 * x
            steps += 1
            if steps > 9:
                raise ValueError("too many steps")  # the line of the test
        return x

    compiled = jit(vmap(f))
    np.testing.assert_array_equal([f(x) for x in (8.0, 0.5, 3.0)], compiled(np.array([8.0, 0.5, 3.0])))
    assert 1 == compiled.stats()["paths"]
    with pytest.raises(ValueError, match="too many steps") as caught:
        compiled(np.array([8.0, 1e9, 3.0]))
    lines = [frame.line for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert 'raise ValueError("too many steps")  # the line of the test' in lines
    with pytest.raises(ValueError, match="too many steps"):
        jit(f)(1e9)


def test_a_loop_that_never_ends_for_wrong_rows() -> None:
    """What a step supposes is looked at after each step, so that a loop that would raise ends."""

    def f(x: Any) -> Any:
        n = 0
        while x != 1.0:
            x = 2.0 - x
            n = n + 1
            if n == 50:
                return -1.0
        return x + n

    agree(f, np.array([1.0, 3.0, 5.0]))


def test_names_after_a_loop_without_steps() -> None:
    """A name that the steps bind is unbound after no step, as in Python."""

    def f(x: Any) -> Any:
        while x > 1.0:
            y = x
            x = x - 1.0
        return y

    compiled = jit(vmap(f), quiet=True)
    np.testing.assert_array_equal([1.5, 2.0], compiled(np.array([3.5, 2.0])))
    with pytest.raises(UnboundLocalError):
        compiled(np.array([3.5, 0.0]))


# ---- what stays as it is -------------------------------------------------------------------------------------------


def appended(x: Any) -> Any:
    """A body that changes a list, which is returned in one way or another."""
    terms = [x]
    if x > 1.0:
        terms.append(am.sin(x))
    return terms[-1] + am.fsum(terms)


def in_place(x: Any) -> Any:
    """A body that changes what two names have in common."""
    some = [x]
    same = some
    if x > 1.0:
        some += [2.0 * x]
    return sum(same)


def caught(x: Any) -> Any:
    """A body that raises where it is caught, after it has assigned a name."""
    y = x
    try:
        y = 2.0 * x
        if x > 1.0:
            y = 3.0 * x
            raise ValueError
    except ValueError:
        pass
    return y


def nonlocal_(x: Any) -> Any:
    """A body that rebinds a variable of the function around it, and one that a function reads later."""
    y = x

    def double() -> None:
        nonlocal y
        y = y * 2.0

    def read() -> Any:
        return y

    if x > 1.0:
        double()
        y = y + 1.0
    return read()


def walrus(x: Any) -> Any:
    """An assignment inside an expression."""
    y = 0.0
    if x > 1.0 and (y := x * x) > 2.0:
        x = x + 1.0
    return x + y


@pytest.mark.parametrize("function", [appended, in_place, caught, nonlocal_, walrus])
def test_bodies_with_effects(function: Any) -> None:
    """They stay guards, with the results of Python."""
    agree(function, paths=2)


def test_calls_of_unknown_functions() -> None:
    """A function that does more than compute is called only where Python calls it."""
    seen = []

    def noting(x: Any) -> Any:
        seen.append(1)
        return x * x

    def pure(x: Any) -> Any:
        return x * x if x < 100.0 else x

    compiled = agree(lambda x: noting(x) if x > 1.0 else x, paths=2)
    assert "it calls" in compiled.branches()
    agree(lambda x: pure(x) if x > 1.0 else x)
    seen.clear()
    jit(vmap(lambda x: noting(x) if x > 1.0 else x))(np.array([0.5, 0.25]))
    assert [] == seen


def test_functions_without_source() -> None:
    """They are guards, as before."""
    scope: dict[str, Any] = {}
    exec("def f(x):\n    return x * x if x > 1.0 else x", scope)
    agree(scope["f"], paths=2)


def test_generators() -> None:
    """They stay as they are: a path for each number of steps."""

    def halves(x: Any) -> Any:
        while x > 1.0:
            x = x * 0.5
            yield x

    agree(lambda x: sum(halves(x), x), np.array([0.5, 1.5, 3.0, 9.0]), paths=4)


class Shape:
    """Methods, properties, defaults and private names."""

    __scale = 2.0

    def __init__(self, a: Any) -> None:
        self.a = a
        self.reads = 0

    @property
    def area(self) -> Any:
        """A property that notes that it was read."""
        self.reads += 1
        return self.a * self.a

    def bent(self, x: Any, *, slope: Any = 3.0) -> Any:
        """Uses a private name and the class."""
        y = x
        if x > 1.0:
            y = x * self.__scale + slope
        return y * self.a * len(__class__.__name__)  # type: ignore[name-defined]

    def noted(self, x: Any) -> Any:
        """Reads the property on one side."""
        return x + self.area if x > 1.0 else x


def test_methods_closures_and_defaults() -> None:
    """New code has the variables, defaults, cells and private names of the function."""
    shape, factor = Shape(3.0), 2.0

    def closure(x: Any, power: int = 2) -> Any:
        y = x
        if x > factor:
            y = x**power
        return y + sum(y * k for k in range(3))

    agree(shape.bent)
    agree(closure)
    agree(shape.noted, paths=2)
    weight = Value(2.0)
    compiled = jit(vmap(lambda x: x * weight if x > 1.0 else x))
    total = sum(compiled([0.5, 2.0, 3.0]))
    total.backward()
    assert (10.5, 5.0) == (total.data, weight.grad)


def test_changes_outside_are_seen() -> None:
    """A number that the new code reads outside is watched as before."""
    limit = 1.0

    def f(x: Any) -> Any:
        y = x
        if x > limit:
            y = x * 10.0
        return y

    compiled = jit(vmap(f))
    rows = np.array([0.5, 2.0])
    np.testing.assert_array_equal([0.5, 20.0], compiled(rows))
    limit = 5.0
    np.testing.assert_array_equal([0.5, 2.0], compiled(rows))


def test_adopted_functions() -> None:
    """Adopted code has branches and loops too; what Python would raise is supposed not to happen."""

    def f(x: Any) -> Any:
        y = 1.0
        for _ in range(50):
            step = (math.exp(y) - x) / math.exp(y)
            y = y - step
            if abs(step) < 1e-13:
                break
        if y > 0.0:
            y = y / x + math.log(x)
        return y

    own = adopt(f)
    rows = np.array([0.1, 0.5, 1.5, 2.0, 30.0])
    agree(own, rows)
    with pytest.raises(ValueError, match="math domain error"):
        jit(vmap(lambda x: own(x * 0.0 + 2.0) + (adopt(math_log)(x))))(np.array([1.0, -1.0]))


def math_log(x: Any) -> Any:
    """A logarithm on one side."""
    return math.log(x) if x < 0.5 else x


def decorated(function: Any) -> Any:
    """A decorator of more than one line above its function."""
    return function


@decorated
@decorated
def several_lines(x: Any) -> Any:
    """Its line numbers must not move."""
    if x > 1.0:
        x = x * 2.0
    if x > 3.0:
        raise ValueError("large")  # this very line
    return x


@pytest.mark.parametrize("function", [several_lines, adopt(several_lines)], ids=["own", "adopted"])
def test_lines_of_decorated_functions(function: Any) -> None:
    """Tracebacks and guards name the lines of the file, decorators or not."""
    compiled = jit(vmap(function))
    np.testing.assert_array_equal([0.5, 2.4], compiled(np.array([0.5, 1.2])))
    guards = [guard.line for one in compiled.paths() for guard in specialization.all_guards(one.program)]
    assert all(line.endswith("if x > 3.0:") for line in guards)
    with pytest.raises(ValueError, match="large") as caught:
        compiled(np.array([0.5, 7.0]))
    lines = [frame.line for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert 'raise ValueError("large")  # this very line' in lines


def test_too_many_paths_without_loops() -> None:
    """A loop that must stay as it is takes a path for each number of steps."""

    def f(x: Any) -> Any:
        steps = []
        while x > 0.0:
            x = x - 1.0
            steps.insert(0, x)
        return x

    with pytest.raises(TooManyPathsError):
        jit(vmap(f), max_paths=3, quiet=True)(np.arange(9.0))


def test_branches_tells_what_became_of_a_statement() -> None:
    """`branches()` has a line for each branch and loop on numbers of the program, with the reason if it is a guard."""

    def f(x: Any) -> Any:
        some = []
        while x > 1.0:
            x = 0.5 * x
        if x > 0.75:
            x = x + 1.0
        if x > 1.5:
            some.insert(0, x)
        return x

    compiled = jit(vmap(f))
    compiled(np.array([0.5, 3.0, 7.0]))
    text = compiled.branches().splitlines()
    first = f.__code__.co_firstlineno
    assert f"line {first + 2} of f: while is a loop" in text
    assert f"line {first + 4} of f: if is a branch" in text
    assert f"line {first + 6} of f: if is a guard: it calls insert" in text


def test_changed_files_are_not_read(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """New code is made only of the text that a function was made of, not of what its file holds now."""
    file = tmp_path / "changing.py"
    file.write_text("def f(x):\n    y = x\n    if x > 1.0:\n        y = x * 2.0\n    return y\n")
    monkeypatch.syspath_prepend(tmp_path)
    changing: Any = importlib.import_module("changing")
    file.write_text("def f(x):\n    y = x\n    if x > 1.0:\n        y = x * 7.0\n    return y\n")
    agree(changing.f, paths=2)


def test_what_is_not_called_in_a_side() -> None:
    """Arrays, operators in place and functions given to others: only where Python calls them."""
    notes: list[int] = []

    def noted(x: Any) -> Any:
        notes.append(1)
        return x

    target = np.zeros(1)

    def by_key(x: Any) -> Any:
        return max(x, 2.0, key=noted) if x > 1.0 else x

    def mapped(x: Any) -> Any:
        return sum(map(noted, [x, x])) if x > 1.0 else x

    def into_array(x: Any) -> Any:
        return x + np.add(1.0, 1.0, out=target)[()] if x > 1.0 else x

    for function in (by_key, mapped, into_array):
        notes.clear()
        target[:] = 0.0
        rows = np.array([0.25, 0.5])
        np.testing.assert_array_equal(rows, jit(vmap(function))(rows))
        assert [] == notes
        assert 0.0 == target[0]
    agree(by_key, paths=3)
    agree(mapped, paths=2)


def test_a_caught_question_for_a_type() -> None:
    """Code that catches the refusal of a question for a type gets Python's answer all the same."""

    def f(x: Any) -> Any:
        k = 1 if x > 1.0 else 2.0
        try:
            whole = isinstance(k, int)
        except Exception:
            whole = False
        return x * k if whole else x * 100.0

    agree(f, paths=2)


def test_whole_numbers_as_keys_and_texts() -> None:
    """An int that a branch or loop chooses finds its key, its element and its text, as in Python."""
    table = {0: 10.0, 1: 20.0, 2: 30.0}

    def by_key(x: Any) -> Any:
        k = 1 if x > 1.0 else 2
        return x * table.get(k, 1e3) + (7.0 if k + 0 in {2} else 0.0)

    def by_text(x: Any) -> Any:
        k = 0
        if x > 1.0:
            k = 1
        return x * {"0": 10.0, "1": 20.0}.get(f"{k}", 1e3) * len("%s" % k) * len(str(k))  # noqa: UP031  # each way to a text

    def counted(x: Any) -> Any:
        n = 0
        while x > 1.0:
            x = 0.5 * x
            n += 1
        return x * table.get(n, 50.0) + [1.0, 2.0, 3.0, 4.0, 5.0][n]

    agree(by_key, paths=2)
    agree(by_text, paths=2)
    agree(counted, np.array([0.5, 1.5, 3.0, 5.0, 0.25]), paths=4)


def test_long_sides_are_guards() -> None:
    """Outside loops a long side would cost more than a path of its own; short branches inside it are branches."""

    def long(x: Any) -> Any:
        y = x
        for k in range(300):
            y = y * 0.99 + am.sin(y + k) * 0.01
        if y > 1.0:
            y = y * 0.5
        return y

    def f(x: Any) -> Any:
        if x > 1.0:
            return long(x)
        if x > 0.5:
            x = -x
        return x

    compiled = agree(f, paths=2)
    assert "it takes more than 1024 instructions" in compiled.branches()
    assert "of long: if is a branch" in compiled.branches()


def test_loops_with_code_that_tells_truths_from_bools() -> None:
    """Comparisons that are bools at once, as `np.mean` asks for, stay guards of a loop that Python runs."""
    steps = np.array([0.5, 1.5, 2.5, 4.0])

    def climb(x: Any) -> Any:
        while x < 4.0:
            x = x + np.mean(steps)
        return x

    compiled = jit(climb)
    for x in (0.0, 5.0, 3.0, -4.0):
        assert climb(x) == compiled(x)


def test_numbers_compared_by_identity() -> None:
    """In a loop or a side of a branch, Python decides whether two numbers are one thing."""

    def kept(x: Any) -> Any:
        t = prev = x
        while t < 4.0:
            t = t + 1.0 if prev is t else t + 2.0
        return t

    def same(x: Any) -> Any:
        last, t = x, x
        for _ in range(4):
            if t > 8.0:
                break
            if last is not t:
                t = t * 1.5
            last = t
            t = t + (0.5 if id(last) == id(t) else 1.0)
        return t

    rows = np.array([0.5, 1.5, 5.0, 3.0])
    for function in (kept, same):
        expected = [function(x) for x in rows.tolist()]
        single = jit(function, quiet=True)
        assert expected == [single(x) for x in rows.tolist()]
        np.testing.assert_array_equal(expected, jit(vmap(function), quiet=True)(rows))


def test_long_straight_code_in_loops() -> None:
    """The time of a capture grows with what is computed, not with the ways through it."""

    def f(x: Any) -> Any:
        t = x
        for _ in range(30):
            if t > 50.0:
                break
            for k in range(200):
                t = t * 1.001 + am.sin(k * t) * 0.001
                if k == 199 and t > 20.0:
                    t = t * 0.5
        return t

    assert f(1.0) == pytest.approx(jit(f, quiet=True)(1.0), rel=1e-9)


def test_numbers_in_texts() -> None:
    """A text with a number in it holds for that number only; nan and the sign of 0 are told apart."""

    def rounded(x: Any) -> Any:
        return x * float(f"{x:.1f}") if x == x else float(f"{x}")

    def signed(x: Any) -> Any:
        return x + len(format(x, ".1f"))

    def digits(x: Any) -> Any:
        return x * len(str(x).partition(".")[2]) + len(repr(x)) + len(f"{[x]!s}")

    rows = np.array([-6.5, -3.0, 0.0, -0.0, 2.0, np.nan, -6.5, 2.125])
    for function in (rounded, signed, digits):
        expected = [function(x) for x in rows.tolist()]
        single = jit(function, quiet=True)
        np.testing.assert_array_equal(expected, [single(x) for x in rows.tolist()])
        np.testing.assert_array_equal(expected, jit(vmap(function), quiet=True)(rows))


class Report:
    """What packages keep beside a number."""

    def __init__(self) -> None:
        self.text: Any = None
        self.flag = 0

    @property
    def length(self) -> int:
        """Code that reads a text, and that is not rewritten."""
        return len(self.text)

    def __len__(self) -> int:
        return len(self.text)


KEPT: list[Report] = []


def reported(x: Any) -> Any:
    """A report that nobody reads, with texts in all their forms, in a branch and outside."""
    report = Report()
    if x > 1.0:
        report.flag = 1
        report.text = f"{x:.3f} is more than {1.0}"
    y = x * x + report.flag
    report.text = "%s and %s" % (x, y)  # noqa: UP031
    if y > 20.0:
        report.text = "{0:f} is too large".format(y)  # noqa: UP030, UP032
        return 2.0 * y
    return y


def test_texts_that_nobody_reads() -> None:
    """They make no path for each number; values and derivatives are those of eager code."""
    compiled = agree(reported, ROWS)
    assert compiled.stats()["paths"] == 1
    assert jit(grad(reported))(1.5) == 3.0


def read_by(reader: Any) -> Any:
    """A function whose result depends on a text that is read in some way."""

    def f(x: Any) -> Any:
        report = Report()
        report.text = f"{x:.0f}"
        return x * 2.0 + reader(report)

    return f


def test_print_makes_no_path(capsys: pytest.CaptureFixture[str]) -> None:
    """It shows the numbers of the call that is traced, once, and holds for others; texts elsewhere are guards."""
    wide = 8

    def f(x: Any) -> Any:
        y = am.sin(x) + x
        print("y =", y, [y], end=";\n")
        print(f"{y:.3f} {x * 2:>{wide}.1f} {y=} {{}} {'a'!r}")
        return y * x

    f(0.5)
    shown = capsys.readouterr().out
    compiled = jit(value_and_grad(f))
    expected = [value_and_grad(lambda x: (am.sin(x) + x) * x)(x) for x in (0.5, 1.0, 2.0)]
    assert expected == [compiled(x) for x in (0.5, 1.0, 2.0)]
    assert 1 == compiled.stats()["paths"]
    told = capsys.readouterr()
    assert shown == told.out
    assert [f"print() at {__file__}:{f.__code__.co_firstlineno + k}" in told.err for k in (2, 3)] == [True, True]


def test_print_in_a_branch_or_a_long_function(capsys: pytest.CaptureFixture[str]) -> None:
    """In a side of a branch it is a guard, so rows that do not come there print nothing; a long function runs once."""

    def noted(x: Any) -> Any:
        if x > 1.0:
            print(f"large: {x}")
        return 2.0 * x

    rows = jit(vmap(noted))
    assert [1.0, 2.0] == rows(np.array([0.5, 1.0])).tolist()
    assert "" == capsys.readouterr().out
    assert [1.0, 3.0] == rows(np.array([0.5, 1.5])).tolist()
    assert "large: 1.5\n" == capsys.readouterr().out

    def long(x: Any) -> Any:
        for _ in range(1500):
            x = am.sin(x) + 1.0
        print(x)
        return x

    assert long(0.25) == jit(long)(0.25)
    assert 2 == capsys.readouterr().out.count("\n")


class Noted:
    """An object that keeps what it shows."""

    def __init__(self, x: Any) -> None:
        self.x, self.text = x, ""

    def __repr__(self) -> str:
        self.text = f"{self.x:.1f}"
        return self.text


def to_a_file(x: Any) -> Any:
    """What is printed is read."""
    file = io.StringIO()
    print(f"{x:.2f}", x, file=file)
    return x * len(file.getvalue())


def to_another_stream(x: Any) -> Any:
    """The same."""
    file = io.StringIO()
    with contextlib.redirect_stdout(file):
        print(f"{x:.2f}")
    return x * float(file.getvalue())


def of_an_object(x: Any) -> Any:
    """What is shown is kept."""
    noted = Noted(x)
    print([noted])
    return x * float(noted.text)


def in_a_specification(x: Any) -> Any:
    """A name and a text in the specification of an f-string."""
    kept: list[Any] = []
    print(f"{x:{(width := 8)}.1f} {1:{kept.append(float(f'{x:.1f}')) or 3}}")
    return x * width + kept[0]


def as_texts(x: Any) -> Any:
    """Texts that a built-in function makes."""
    texts = list(map(str, [x]))
    return x * len(texts[0])


@pytest.mark.parametrize("f", [to_a_file, to_another_stream, of_an_object, in_a_specification, as_texts])
def test_a_text_that_is_read_is_a_guard(f: Callable[[Any], Any]) -> None:
    """Also if it is printed."""
    compiled = jit(f)
    assert [f(x) for x in (2.5, 12.25, 2.125)] == [compiled(x) for x in (2.5, 12.25, 2.125)]


def test_what_is_called_print_but_is_not() -> None:
    """A function of that name is called with what it is given."""

    def f(x: Any) -> Any:
        def print(text: str) -> int:  # noqa: A001
            return len(text)

        return x * print(f"{x:.2f}")

    compiled = jit(f)
    assert [f(2.5), f(12.5)] == [compiled(2.5), compiled(12.5)]


BY_TEXT = operator.attrgetter("text")


def pattern(report: Any) -> int:
    """By the names in a class pattern."""
    match report:
        case Report(text=found):
            return len(found)
    return 0


@pytest.mark.parametrize(
    "reader",
    [
        lambda report: len(report.text),
        lambda report: len(getattr(report, "text")),  # noqa: B009
        lambda report: len(vars(report)["text"]),
        lambda report: len(report.__dict__["text"]),
        lambda report: report.length,
        len,
        lambda report: len(operator.attrgetter("text")(report)),
        lambda report: sum(map(len, map(BY_TEXT, [report]))),
        lambda report: len(object.__getattribute__(report, "text")),
        lambda report: len(copy.copy(report).__dict__["text"]),
        lambda report: len(pickle.dumps(report)),
        lambda report: eval("len(report.text)"),
        lambda report: sum(map(len, [report])),
        pattern,
    ],
)
def test_texts_that_are_read(reader: Any) -> None:
    """However a text is read, another number takes another path."""
    rows = np.array([1.0, 22.0, 333.0, 4444.0, 1.0])
    f = read_by(reader)
    expected = [f(x) for x in rows.tolist()]
    assert expected == jit(vmap(f), quiet=True)(rows).tolist()
    assert expected == [jit(f, quiet=True)(x) for x in rows.tolist()]


def test_texts_that_outlive_the_function() -> None:
    """A text that is a result, or that something outside has, is a guard."""

    @dataclasses.dataclass
    class Told:
        value: Any
        text: str = ""

    def returned(x: Any) -> Any:
        told = Told(x * 2.0)
        told.text = f"{x:.0f}"
        return told

    single = jit(returned)
    assert [single(x) for x in (1.0, 22.0, 1.0)] == [Told(2.0, "1"), Told(44.0, "22"), Told(2.0, "1")]

    def kept(x: Any) -> Any:
        report = Report()
        report.text = f"{x:.0f}"
        KEPT.append(report)
        return x * 2.0

    single = jit(kept)
    assert [single(x) for x in (1.0, 22.0)] == [2.0, 44.0]
    assert {report.text for report in KEPT} == {"1", "22"}


def test_texts_under_a_profiler() -> None:
    """A profiler of the user stays in place, and sees the function."""
    seen = []
    sys.setprofile(lambda frame, event, argument: seen.append(frame.f_code.co_name))
    try:
        found = jit(vmap(reported), quiet=True)(ROWS)
        assert sys.getprofile() is not None
    finally:
        sys.setprofile(None)
    assert found.tolist() == [reported(x) for x in ROWS.tolist()]
    jit(vmap(reported), quiet=True)(ROWS)
    assert sys.getprofile() is None


def test_deep_recursion() -> None:
    """A function that calls itself as deep as Python allows is captured, as it is written."""

    def deep(x: Any, n: int) -> Any:
        return am.sin(x + n) + (deep(x, n - 1) * 0.9 if n else 0.0)

    assert jit(lambda x: deep(x, 600))(0.3) == pytest.approx(deep(0.3, 600), rel=1e-13)
    assert jit(vmap(lambda x: deep(x, 600)))(np.array([0.3, 0.4]))[1] == pytest.approx(deep(0.4, 600), rel=1e-13)
    with pytest.raises(RecursionError):
        jit(lambda x: deep(x, -1))(0.3)


def test_keywords_of_a_module() -> None:
    """A call of a module's function with keywords does not keep a function from being rewritten."""

    def f(x: Any) -> Any:
        both = np.array([x, 2.0 * x], dtype=object)
        total = both[0] + both[1]
        while total < 100.0:
            total = total * 1.5
        return total

    compiled = jit(vmap(f))
    np.testing.assert_array_equal([f(x) for x in (1.0, 2.0, 70.0)], compiled(np.array([1.0, 2.0, 70.0])))
    assert 1 == compiled.stats()["paths"], compiled.branches()


def test_annotations_alone() -> None:
    """A name that is only annotated is not bound, and one that is annotated in a side is that of the function."""

    def f(x: Any) -> Any:
        result: float
        y = 2.0 * x
        if x > 1.0:
            y: float  # type: ignore[no-redef]
            result = y * x
        else:
            result = -y
        while y < 10.0:
            step: float
            step = 1.0 + y * y
            y = y + step
        return result + y

    compiled = jit(vmap(f))
    np.testing.assert_array_equal([f(x) for x in (0.5, 2.0, 7.0)], compiled(np.array([0.5, 2.0, 7.0])))
    assert 1 == compiled.stats()["paths"], compiled.branches()


def test_the_class_of_a_traced_number() -> None:
    """To code, a traced number is a Value, by `type` as by `isinstance`."""

    def f(x: Any) -> Any:
        name = f"{type(x)}"
        return x * 2.0 if type(x) is Value and isinstance(x, type(x)) and "compiler" not in name else x

    assert 4.0 == jit(f)(2.0)
    assert [4.0, 6.0] == jit(vmap(f))(np.array([2.0, 3.0])).tolist()


def by_sector(h: Any) -> Any:
    """Six sectors, after which nothing is returned."""
    i = int(h) % 6
    if i == 0:
        return h
    if i == 1:
        return h * h
    if i == 5:
        return h - 1.0
    if i < 5:
        return am.sin(h)


def test_functions_that_fall_off_their_end() -> None:
    """A last branch after which nothing is returned supposes that it is taken: one path for all rows that are right."""
    own = adopt(by_sector)
    agree(lambda h: own(h) * 2.0, np.array([0.5, 1.5, 5.25, 3.0, 7.5]), plain=lambda h: by_sector(h) * 2.0)

    def missing(x: Any) -> Any:
        def area(r: Any) -> Any:
            if r > 0.0:
                return r * r

        found = area(x)
        return -x if found is None else found

    agree(missing, paths=2)


def test_equal_numbers_among_the_largest_and_smallest() -> None:
    """What `max` and `min` choose is compared by `==` without rounding: a branch."""

    def hue(r: Any, g: Any = 0.5, b: Any = 0.25) -> Any:
        largest, smallest = max(r, g, b), min(r, g, b)
        if largest == smallest:
            return 0.0 * r
        if r == largest:
            return (g - b) / (largest - smallest)
        if g == largest:
            return 2.0 + (b - r) / (largest - smallest)
        return 4.0 + (r - g) / (largest - smallest)

    agree(hue, np.array([0.1, 0.3, 0.9, 0.5, 0.25]))
