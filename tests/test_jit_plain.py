"""Plain floats that branches and counts make in compiled programs: Python's own arithmetic, and its errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from agreement import ROWS, agree

import autograd.math as am
from autograd import adopt, fori, grad, jit, scan, value_and_grad, vmap, while_loop

BELOW = ROWS[ROWS <= 1.0]


def chosen(x: Any, zero: Any = 0.0) -> Any:
    """2, or another number where x is above 1."""
    b = 2.0
    if x > 1:
        b = zero
    return b


def both_ways(function: Callable[[Any], Any], error: type[Exception], match: str) -> None:
    """Rows below 1 agree with eager code, and rows above, a single call and eager code raise the same."""
    agree(function, BELOW)
    for call in (
        lambda: value_and_grad(function)(3.0),
        lambda: jit(vmap(value_and_grad(function)), quiet=True)(ROWS),
        lambda: jit(grad(function), quiet=True)(3.0),
    ):
        with pytest.raises(error, match=match):
            call()
    one_after_another = jit(value_and_grad(function), quiet=True)
    one_after_another(0.5)
    with pytest.raises(error, match=match):
        one_after_another(3.0)


DIVISIONS: dict[str, Callable[[Any], Any]] = {
    "1.0 / b": lambda x: x + 1.0 / chosen(x),
    "1 / b": lambda x: x + 1 / chosen(x),
    "b / b": lambda x: x + chosen(x) / chosen(x),
    "1.0 // b": lambda x: x + 1.0 // chosen(x),
    "1.0 % b": lambda x: x + 1.0 % chosen(x),
    "divmod": lambda x: x + divmod(5.0, chosen(x))[1],
    "an int on one side": lambda x: x + 1.0 / chosen(x, 0),
    "computed": lambda x: x + 1.0 / (2.0 * chosen(x, 0.5) - 1.0),
    "by am": lambda x: x + 1.0 / am.log(chosen(x, 1.0)),
    "abs and minus": lambda x: x + 1.0 / -abs(chosen(x)),
    "a count times a float": lambda x: x + 1.0 / (((x <= 1) + (x > 7)) * 0.5 if x < 7 else 0.0),
    "a comparison times a float": lambda x: x + 1.0 / ((x <= 1) * 0.5),
    "a quotient of counts": lambda x: x + 1.0 / ((x <= 1) / 2),
    "where": lambda x: x + 1.0 / am.where(x > 1, 0.0, 2.0),
    "an element of a table": lambda x: x + 1.0 / [0.5, 0.0, 0.0][(x > 1) + (x > 2)],
    "max": lambda x: x + 1.0 / max(chosen(x), 0.0),
    "data": lambda x: x + 1.0 / (1.0 if x <= 1 else x.data - x.data),
}


@pytest.mark.parametrize("name", DIVISIONS)
def test_divisions_of_plain_floats(name: str) -> None:
    """What a branch chooses between floats, and what is computed of it, is divided by as in Python: by 0 it raises."""
    both_ways(DIVISIONS[name], ZeroDivisionError, "division|div|modulo")


def test_powers_of_plain_floats() -> None:
    """0 to a negative power and a power that is too large raise, and a root of a negative number is complex."""
    both_ways(lambda x: x + chosen(x) ** -1.0, ZeroDivisionError, "negative power")
    both_ways(lambda x: x + chosen(x) ** -2, ZeroDivisionError, "negative power")
    both_ways(lambda x: x + 0.0 ** chosen(x, -1.0), ZeroDivisionError, "negative power")
    both_ways(lambda x: x + chosen(x, 1e200) ** 2, OverflowError, "out of range")
    both_ways(lambda x: x + chosen(x, -2.0) ** 0.5, TypeError, "complex")
    agree(lambda x: x + chosen(x, -3.0) ** -3 + chosen(x, 0.5) ** 0.5 + 2.0 ** chosen(x))
    agree(lambda x: x + (-1.5) ** chosen(x, 4.0), paths=2)


def test_values_are_still_divided_as_in_ieee_arithmetic() -> None:
    """A Value divided by a plain 0, or a float by a Value, is infinite or nan, without a further path."""
    rows = np.array([0.0, 0.5, 2.0, 0.0, 3.0])
    agree(lambda x: x / chosen(x), rows)
    agree(lambda x: (1.0 / x if x < 1 else x) + x**-1.0, rows)


@pytest.mark.filterwarnings("error")
def test_a_value_on_one_side_and_a_float_on_the_other() -> None:
    """Division by what is a Value on one side only raises on the other; a float that is not 0 needs no comparison."""

    def mixed(x: Any) -> Any:
        d = x - 1.0
        if x > 1:
            d = 0.0
        return x + 1.0 / d

    def far_from_zero(x: Any) -> Any:
        d = abs(x)
        if d < 1e-6:
            d = 1e-6
        return 1.0 / d

    rows = np.array([-1.0, 0.5, 0.25, 0.75, 1.0])
    expected = [value_and_grad(mixed)(x) for x in rows]
    np.testing.assert_array_equal(np.transpose(expected), jit(vmap(value_and_grad(mixed)), quiet=True)(rows))
    for x in (np.array([0.5, 2.0, 0.25, 0.75]), np.array([2.0, 0.5, 0.25, 0.75])):
        with pytest.raises(ZeroDivisionError):
            jit(vmap(mixed), quiet=True)(x)
    compiled = agree(far_from_zero)
    assert " == " not in compiled.program()


def test_attributes_elements_and_carries_are_plain_too() -> None:
    """What a side assigns to a place, and what a step hands to the next one, is divided by as in Python."""

    class Box:
        def __init__(self) -> None:
            self.b = 2.0

    def attribute(x: Any) -> Any:
        box = Box()
        if x > 1:
            box.b = 0.0
        return x + 1.0 / box.b

    def element(x: Any) -> Any:
        some = [1.0, 2.0]
        if x > 1:
            some[-1] = 0.0
        return x + 1.0 / some[1]

    def carry(x: Any) -> Any:
        h, k = 2.0, 0
        while h * x > 1.0 and k < 4:
            h, k = h - 0.5, k + 1
        return x + 1.0 / h

    both_ways(attribute, ZeroDivisionError, "division")
    both_ways(element, ZeroDivisionError, "division")
    agree(carry, ROWS[ROWS < 1])
    with pytest.raises(ZeroDivisionError):
        jit(vmap(carry))(ROWS)


def test_steps_of_fori_and_the_like_begin_with_plain_floats() -> None:
    """The first step divides the float that it is given as Python does."""

    def by_fori(x: Any, start: float) -> Any:
        return x * fori(6, lambda i, c: 1.0 / c, start)

    def by_scan(x: Any, start: float) -> Any:
        return x * scan(lambda c, _: (1.0 / c, None), start, None, 6)[0]

    def by_while(x: Any, start: float) -> Any:
        return x * while_loop(lambda c: c < 9.0, lambda c: c + 1.0 / c, start)

    for function in (by_fori, by_scan, by_while):
        agree(lambda x, function=function: function(x, 0.5))
        for call in (function, jit(function, quiet=True)):
            with pytest.raises(ZeroDivisionError):
                call(1.5, 0.0) if call is function else jit(lambda x: function(x, 0.0), quiet=True)(1.5)  # noqa: B023


def test_what_needs_the_float_itself() -> None:
    """The standard math module, an int, a key, a text and `isinstance` get the float that was chosen."""

    def by_math(x: Any) -> Any:
        return x * math.sqrt(chosen(x, 3.0)) + math.floor(chosen(x, 3.5)) + round(chosen(x, 2.75)) + math.ceil(0.1)

    def by_key(x: Any) -> Any:
        return x * {2.0: 3.0, 4.0: 5.0}[chosen(x, 4.0)]

    def by_index(x: Any) -> Any:
        return x * [3.0, 5.0, 7.0, x][int(chosen(x, 3.0))]

    def by_text(x: Any) -> Any:
        return x * float(f"{chosen(x, 4.0):.2f}")

    def by_class(x: Any) -> Any:
        b = chosen(x, x)
        return (x if isinstance(chosen(x), float) else 2.0 * x) + (1.0 if isinstance(b, float) else 5.0)

    for function in (by_math, by_key, by_index, by_text, by_class):
        own = value_and_grad(function)
        expected = np.transpose([own(x) for x in ROWS.tolist()])
        np.testing.assert_allclose(jit(vmap(own), quiet=True)(ROWS), expected, rtol=1e-14)
        single = jit(own, quiet=True)
        np.testing.assert_allclose(np.transpose([single(x) for x in ROWS.tolist()]), expected, rtol=1e-14)
    with pytest.raises(ValueError, match="math domain error"):
        jit(vmap(lambda x: x * math.log(chosen(x))), quiet=True)(ROWS)


def test_adopted_code_with_lambdas_that_only_divide() -> None:
    """A lambda in adopted code that divides, and names nothing, is adopted once."""

    def f(x: Any) -> Any:
        inverse = lambda r: 1.0 / (1.0 if r > 1 else 0.5)  # noqa: E731
        return x * (inverse(x) + inverse(2.0 * x))

    agree(adopt(f), plain=f)
