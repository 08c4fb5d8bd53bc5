"""Ints in compiled programs: numbers of the program that behave like ints, and guards where Python needs an int."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from agreement import ROWS, agree

import autograd.math as am
from autograd import adopt, jit, vmap


def test_ints_are_numbers_of_the_program() -> None:
    """What `int`, `round` and `math.floor` give is computed and compared like an int, one program for all rows."""

    def f(x: Any) -> Any:
        n = int(x)
        k = round(x / 3.0) + math.floor(x) * 2 - math.ceil(-x) // 3
        if k % 4 == 1:
            n = n + 2
        elif k % -3 == -1:
            n = -n
        q, r = divmod(n, 7)
        return x * n + abs(k) * 0.5 + q * r - n**2 / 8 + (x if n == 3 or isinstance(k, int) else 0.0)

    agree(adopt(f), plain=f)


def test_ints_have_no_minus_zero() -> None:
    """0 times -1, -0 and int(-0.5) are 0, which copysign and atan2 tell."""

    def f(x: Any) -> Any:
        n = int(x)
        return math.copysign(2.0, n) + math.copysign(4.0, -n) + math.atan2(n * -1, -1.0) + math.atan2(0 % (n - 9), -1.0)

    agree(adopt(lambda x: f(x) + 0.0 * x), np.array([-0.5, 0.0, 0.5, 3.0, -3.0]))
    own = adopt(f)
    rows = np.array([-0.5, 0.0, 0.5, 3.0, -3.0])
    np.testing.assert_array_equal([f(x) for x in rows.tolist()], jit(vmap(own))(rows))


def test_ints_where_python_needs_one() -> None:
    """An index, a shift, a text, a key and the length of a range are guards, each with Python's result."""
    table = {0: 10.0, 1: 20.0, 2: 30.0}

    def by_index(x: Any) -> Any:
        return [1.0, 2.0, 3.0][int(x) % 3] * x

    def by_text(x: Any) -> Any:
        return len(f"{int(x)}") * x

    def by_shift(x: Any) -> Any:
        return ((int(x) << 2) | 1) * x

    def by_key(x: Any) -> Any:
        return table.get(int(x), 0.5) * x

    def by_length(x: Any) -> Any:
        return sum([x * k for k in range(int(x))], x)

    rows = np.array([0.5, 0.75, 1.5, 2.5, 2.25])
    for function in (by_index, by_text, by_shift, by_key, by_length):
        expected = [function(x) for x in rows.tolist()]
        for own in (function, adopt(function)):
            np.testing.assert_array_equal(expected, jit(vmap(own), quiet=True)(rows))


def test_a_key_alone() -> None:
    """A counter is found as a key where nothing else asks for the int."""
    table = {0: 1.0, 1: 5.0, 2: 7.0}

    def counted(x: Any) -> Any:
        for i in range(3):
            if x > 4.0:
                break
            x = x + table.get(i, 100.0)
        return x

    compiled = jit(counted)
    for x in (0.0, 3.5, 5.0):
        assert counted(x) == compiled(x)


def test_ints_as_keys() -> None:
    """A counter of a loop and an int of a row find their keys, in dicts and sets, and are keys."""
    table = {0: 1.0, 1: 5.0, 2: 7.0}

    def counted(x: Any) -> Any:
        t = x
        for i in range(3):
            if t > 4.0:
                break
            t = t + table.get(i, 100.0) + {0: 0.5, 1: 0.25}.pop(i, 0.125) + (0.0625 if i in {1, 2} else 0.0)
        return t

    def rounded(x: Any) -> Any:
        n, made = int(x), {}
        made[n] = x
        made.setdefault(n + 1, 2.0 * x)
        return made[2] * len({n, 2}) if 2 in made else made.get(n) * len(f"{n:3d}%d{n!s}" % n) * hash(n)

    rows = np.array([0.5, 2.0, 3.5, 5.0, 1.5])
    for function in (counted, rounded):
        expected = [function(x) for x in rows.tolist()]
        for own in (function, adopt(function)):
            single = jit(own, quiet=True)
            assert expected == [single(x) for x in rows.tolist()]
            np.testing.assert_array_equal(expected, jit(vmap(own), quiet=True)(rows))


def test_large_ints() -> None:
    """Ints that are no floats any more take a path on which they are ints."""

    def f(x: Any) -> Any:
        n = int(x)
        return (n * n + 1) % 2 + 0.0 * x

    def grown(x: Any) -> Any:
        n = 1
        while x > 1.0:
            n = n * 11 + 1
            x = x * 0.5
        return (n % 10) * 1.0

    rows = np.array([3.0, 2.0, 1e8, 1e15, 2.0**60, -(2.0**62)])
    np.testing.assert_array_equal([f(x) for x in rows.tolist()], jit(vmap(adopt(f)), quiet=True)(rows))
    rows = np.array([3.0, 1e3, 1e8])
    np.testing.assert_array_equal([grown(x) for x in rows.tolist()], jit(vmap(grown), quiet=True)(rows))


def test_divisions_of_ints_raise() -> None:
    """Between plain numbers a division by 0 raises, also where the int is one of the program."""

    def f(x: Any) -> Any:
        return x + 1 / int(x)

    def g(x: Any) -> Any:
        return x + 7 % int(x)

    def h(x: Any) -> Any:
        k = 1 if x > 1.0 else 0
        return x + 2.0 / k

    for function in (f, g, h, adopt(f), adopt(g)):
        compiled = jit(vmap(function), quiet=True)
        np.testing.assert_allclose(compiled(np.array([2.5, 3.5])), [function(2.5), function(3.5)])
        with pytest.raises(ZeroDivisionError):
            compiled(np.array([2.5, 0.5]))


def test_ints_that_are_not_finite() -> None:
    """int(nan) and int(inf) raise as in Python."""
    own = adopt(lambda x: x * int(x))
    compiled = jit(vmap(own), quiet=True)
    np.testing.assert_array_equal([4.0, 12.0], compiled(np.array([2.0, 3.5])) * np.array([1.0, 12.0 / 10.5]))
    with pytest.raises(ValueError, match="NaN"):
        compiled(np.array([2.0, math.nan]))
    with pytest.raises(OverflowError):
        compiled(np.array([2.0, math.inf]))


def test_ints_in_powers_have_no_derivative() -> None:
    """No message goes to an int: a power with a negative base has a derivative."""
    agree(adopt(lambda x: (x - 50.0) ** int(x * 0.1) + x), ROWS[:-1])


def test_what_ints_have() -> None:
    """Their attributes, and `max`, `min` and `sum` of them, are those of ints."""

    def f(x: Any) -> Any:
        n, k = int(x), round(x / 2.0)
        most, total = max(n, 3, k), sum([n, k, 1])
        ratio, bits = n.as_integer_ratio(), (n % 4).bit_length()
        whole = isinstance(most, int) and isinstance(total, int) and isinstance(min(n, 7), int)
        return x * most + total * ratio[1] + bits + n.numerator if whole else 0.0 * x

    rows = np.array([0.5, 1.5, 2.5, 2.75])
    np.testing.assert_array_equal([f(x) for x in rows.tolist()], jit(vmap(adopt(f)), quiet=True)(rows))


def test_ints_in_some_steps_and_floats_in_others() -> None:
    """Where the type of a number differs from step to step, its question gets Python's answer."""

    def first_float(x: Any) -> Any:
        last, found = 0.5, 0.0
        while x > 1.0:
            found = found + (10.0 if isinstance(last, int) else 1.0)
            last, x = 2, x * 0.5
        return found + last

    def sometimes(x: Any) -> Any:
        last, found = 0.5, 0.0
        while x > 1.0:
            found = found + (10.0 if isinstance(last, int) else 1.0)
            last = 2 if x > 3.0 else x
            x = x * 0.5
        return found + last

    rows = np.array([0.5, 3.0, 5.0, 9.0, 9.5, 40.0])
    for function in (first_float, sometimes):
        expected = [function(x) for x in rows.tolist()]
        for own in (function, adopt(function)):
            np.testing.assert_array_equal(expected, jit(vmap(own), quiet=True)(rows))
            single = jit(own, quiet=True)
            assert expected == [single(x) for x in rows.tolist()]


def test_types_of_ints_in_adopted_code() -> None:
    """`isinstance` and `type` tell ints from floats in adopted code too."""

    def f(x: Any) -> Any:
        k = 1 if x > 1.0 else 2
        n = int(x)
        return x * 2.0 if isinstance(k, int) and type(n) is int and not isinstance(x, int) else x

    agree(adopt(f), plain=f)
    agree(adopt(lambda x: x * len(str(int(x) % 20))), paths=7)


def generator(x: Any) -> Any:
    """A pseudo-random generator with its own state, whose products are beyond 2**53."""
    state, total = 1, 0.0
    while total < x:
        state = (state * 1103515245 + 12345) % 2147483648
        total = total + state / 2147483648
    return total


def fibonacci(x: Any) -> Any:
    """Sums that grow beyond 2**53."""
    a, b, k = 0, 1, 0.0
    while k < x:
        a, b, k = b, a + b, k + 1
    return a % 1000 + 0.0 * x


def sevens(x: Any) -> Any:
    """A power that grows in branches."""
    n = 1
    for i in range(20):
        if x > i:
            n = n * 7
    return n % 10 + 0.0 * x


def large_steps(x: Any) -> Any:
    """Many steps add a large int."""
    n, k = 0, 0.0
    while k < x:
        n += 2**50 + 1
        k += 1.0
    return n % 1000 + 0.0 * x


@pytest.mark.parametrize(
    ("function", "rows"),
    [
        (generator, [0.5, 1.5, 3.0]),
        (fibonacci, [10.0, 50.0, 100.0, 300.0]),
        (sevens, [1.5, 19.5]),
        (large_steps, [3.0, 10.0, 40.0]),
    ],
    ids=["generator", "fibonacci", "sevens", "steps"],
)
def test_ints_beyond_floats(function: Any, rows: list[float]) -> None:
    """Where an int is no float any more, Python computes it: in one call and in rows."""
    expected = [function(x) for x in rows]
    single = jit(function, quiet=True)
    assert expected == [single(x) for x in rows]
    np.testing.assert_array_equal(expected, jit(vmap(function), quiet=True)(np.array(rows)))


def test_counts_that_are_0() -> None:
    """A count has no sign, and a division by it raises where Python raises, also where that is caught."""

    def signed(x: Any) -> Any:
        n = 0
        if x > 1.0:
            n = 1
        return am.copysign(x, -n)

    def caught(x: Any) -> Any:
        n = 0
        if x > 0.0:
            n = n + 1
        try:
            return 1 / n
        except ZeroDivisionError:
            return -1.0

    np.testing.assert_array_equal([0.5, -2.0], jit(vmap(signed))(np.array([0.5, 2.0])))
    np.testing.assert_array_equal([1.0, -1.0], jit(vmap(caught))(np.array([0.5, -1.0])))
    for divide in (lambda n: 1 / n, lambda n: 5 // n, lambda n: 2.0 / n, lambda n: divmod(3, n)[0]):

        def count(x: Any, divide: Any = divide) -> Any:
            n = 0
            for i in range(3):
                if x > i:
                    n = n + 1
            return divide(n)

        compiled = jit(vmap(count), quiet=True)
        np.testing.assert_array_equal([count(x) for x in (0.5, 2.5)], compiled(np.array([0.5, 2.5])))
        with pytest.raises(ZeroDivisionError):
            compiled(np.array([0.5, -1.0]))


def test_what_python_rounds_is_an_int_where_one_is_needed() -> None:
    """A text, a key, an index and the end of a range have the int of `round` and `math.floor`, and of sums of these."""
    table = {3: 10.0, 4: 20.0}

    def f(x: Any) -> Any:
        n, k = round(x), math.floor(x)
        text = f"{n}|{n + 1:03d}|{-k * 2!s}|{abs(k - 5) // 2 % 7}|{n * 1.0}|{k}"
        total = len(text) * 1000.0 + table.get(n, 7.0) + [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0][n]
        for i in range(round(x) - 1, k + 3):
            total = total + x * i
        return total + x * n - k

    for x in (3.2, 3.7, 0.2, 2.5, 3.5):
        assert f(x) == jit(f)(x)
    rows = np.array([3.2, 3.7, 0.2, 2.5, 3.5])
    np.testing.assert_array_equal([f(x) for x in rows.tolist()], jit(vmap(f), quiet=True)(rows))


def test_rounding_by_autograd_math_gives_floats() -> None:
    """The text of `autograd.math.floor` is that of a float, compiled too; one that is not finite has its name."""

    def f(x: Any) -> Any:
        return x * len(f"{am.floor(x)}{am.rint(x)}{am.trunc(x) + 1}")

    assert f(3.2) == jit(f)(3.2)
    assert 3.0 * math.inf == jit(lambda x: x * len(f"{round(x)}"))(math.inf)
    assert jit(lambda x: x - round(x))(-0.25) == -0.25
    compiled = jit(lambda x: x - round(x))
    assert [0.25, -0.25, 0.0] == [compiled(x) for x in (7.25, 7.75, 1e300)]
    assert 1 == compiled.stats()["paths"]


def test_rounded_keys_of_a_dict() -> None:
    """A dict finds an item under an equal int, in a tuple too, where the key has been rounded."""

    def f(x: Any) -> Any:
        found: dict[Any, Any] = {}
        for i in range(5):
            k = round(x * i)
            found[k] = found.get(k, 0) + 1
        found[round(x), 1] = x
        found[math.floor(x + 0.5), 1] += 2.0
        if x > 1.0:
            found[round(x)] = 7.0
        return len(found) * 100.0 + sum(found.values())

    rows = [0.125, 0.25, 1.25, 1.75, 0.375, 0.625, 2.25, 3.0]
    compiled = jit(f, quiet=True)
    assert [f(x) for x in rows] == [compiled(x) for x in rows]
    np.testing.assert_array_equal([f(x) for x in rows], jit(vmap(f), quiet=True)(np.array(rows)))


def test_rounded_ints_that_are_clamped_or_taken_apart_into_bits() -> None:
    """`max` and `min` of rounded numbers and ints are ints, and the operators of bits take the int."""
    table = [1.0, 2.0, 4.0, 8.0]

    def clamped(x: Any) -> Any:
        i = max(0, min(math.floor(x), len(table) - 2))
        counts = [0.0] * max(1, round(x))
        return table[i] * (1.0 - x + i) + table[i + 1] * (x - i) + sum(table[i : max(round(x), 2)]) + len(counts)

    def bits(x: Any) -> Any:
        k = round(x)
        return (k & 3) * x + (k | 4) + (k ^ 1) + (1 << (k & 3)) + (k >> 1) + ~k + (5 & k & round(2.0 * x))

    rows = [0.25, 1.25, 1.75, -2.5, 2.25, 3.0, 9.5, -0.25]
    for f in (clamped, bits):
        compiled = jit(f, quiet=True)
        assert [f(x) for x in rows] == [compiled(x) for x in rows]
        np.testing.assert_array_equal([f(x) for x in rows], jit(vmap(f), quiet=True)(np.array(rows)))
    with pytest.raises(TypeError):
        jit(lambda x: x & round(x))(1.5)


def test_counts_of_comparisons_are_keys_of_a_dict() -> None:
    """An item that is assigned under a count of comparisons is found under the equal int."""

    def f(x: Any) -> Any:
        found = {0: 1.0, 1: 2.0}
        found[(x > 3.0) * 1] = x
        found[(x > 1.0) + (x > 2.0)] = 3.0
        found[(x > 1.0) * 1] += x
        return len(found) * 10.0 + found[0] + 2.0 * found[1] + found[(x > 0.5) * 1]

    rows = [0.25, 1.25, 2.75, 3.5, -0.25, 0.75, 5.0, 2.25]
    compiled = jit(f, quiet=True)
    assert [f(x) for x in rows] == [compiled(x) for x in rows]
    np.testing.assert_array_equal([f(x) for x in rows], jit(vmap(f), quiet=True)(np.array(rows)))


def test_counts_of_comparisons_are_ints() -> None:
    """What comparisons add up to is an int: for its type, its bits and its text, and it has no -0."""

    def kinds(x: Any) -> Any:
        n = sum([x > k for k in range(3)])
        c = x > 1.0
        x = x + (1.0 if isinstance(n, int) else 100.0) + (1.0 if type(c + 1) is int else 100.0)
        return x + (3.0 if f"{n}" == "2" else 0.0) + math.copysign(1.0, -c) + math.copysign(1.0, -1 * c)

    def bits(x: Any) -> Any:
        n = (x > 0.0) + (x > 1.0)
        return x + (n & 1) + (1 << n) + (n ^ 3) + ~n + abs(x > 1.0) - 2 * ((x > 1.0) - (x > 2.0))

    rows = [0.25, 1.25, 1.75, -2.5, 2.25, 3.0, 0.0, -0.25]
    for f in (kinds, bits):
        compiled = jit(f, quiet=True)
        assert [f(x) for x in rows] == [compiled(x) for x in rows]
        np.testing.assert_array_equal([f(x) for x in rows], jit(vmap(f), quiet=True)(np.array(rows)))


def test_counts_of_comparisons_that_are_0_divide_nothing() -> None:
    """A plain number divided by one, or by a comparison that is false, raises as in Python, and so does a power."""
    for divide in (
        lambda x: 7 % ((x > 0.0) + (x > 1.0)),
        lambda x: 7 // sum([x > 0.0, x > 1.0]),
        lambda x: (x > -9.0) / ((x > 0.0) + 0),
        lambda x: 1 / (x > 0.0),
        lambda x: 1.0 / (x > 0.0),
        lambda x: (x > 2.0) / (x > 0.0),
        lambda x: 7.5 % ((x > 0.0) + (x > 1.0)),
        lambda x: ((x > 0.0) + (x > 1.0)) ** -0.5,
        lambda x: (x > 0.0) ** -1,
    ):
        compiled = jit(vmap(lambda x, divide=divide: x + divide(x)), quiet=True)
        np.testing.assert_array_equal([x + divide(x) for x in (0.5, 2.5)], compiled(np.array([0.5, 2.5])))
        with pytest.raises(ZeroDivisionError):
            compiled(np.array([0.5, -1.0, 2.5]))
    for always in (lambda x: ((x > 0.0) + 1) % 0.0, lambda x: ((x > 0.0) + 1) / 0.0):
        with pytest.raises(ZeroDivisionError):
            jit(vmap(lambda x, always=always: x + always(x)), quiet=True)(np.array([0.5, -1.0]))


def test_shifts_and_masks_of_ints_are_arithmetic() -> None:
    """Shifts by a plain int, and masks of the lowest bits, need no int of now, also for negative ints."""

    def f(x: Any) -> Any:
        n = int(x)
        return x * (n >> 3) + (n << 2) + 0.5 * (n & 7) + (15 & n) + (n & 0)

    agree(adopt(f), plain=f)

    def odd_mask(x: Any) -> Any:
        return x * (int(x) & 5)

    agree(adopt(odd_mask), np.array([0.5, 5.5, 7.5, 5.25]), paths=3, plain=odd_mask)
