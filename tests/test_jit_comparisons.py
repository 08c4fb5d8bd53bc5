"""Under `jit` a comparison acts like the bool of eager code in every use."""

import copy
import functools
import json
import math
import operator
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import TooManyPathsError, Value, grad, jit, value_and_grad, vmap
from autograd.compiler.source.identity import reaches_code_that_asks


def is_true(truth: Any) -> bool:
    """A helper that distinguishes a bool from an object that acts like one."""
    return truth is True


class Judge:
    """An object whose method distinguishes a bool from an object that acts like one."""

    def approves(self, truth: Any) -> bool:
        """Whether it is a bool and true."""
        return type(truth) is bool and truth


class Sign:
    """An object that is true if its number is positive."""

    def __init__(self, number: Any) -> None:
        self.number = number

    def __bool__(self) -> bool:
        return self.number > 0.0  # type: ignore[no-any-return]  # a comparison of tracers is no bool


JUDGE = Judge()
CHECKS = {"is_true": is_true}


@functools.singledispatch
def weight(thing: Any) -> float:
    """Anything but a bool weighs 7."""
    return 7.0


@weight.register
def _(thing: bool) -> float:
    return 3.0 if thing else 4.0


def matched(c: Any) -> float:
    """A match against True and False."""
    match c:
        case True:
            return 2.0
        case False:
            return 3.0
        case _:
            return 5.0


def matched_class(c: Any) -> float:
    """A match against the class."""
    match c:
        case bool(truth):
            return 2.0 if truth else 3.0
        case _:
            return 5.0


def nested(c: Any) -> Any:
    """The check is in an inner function."""

    def inner() -> bool:
        return c is False

    return inner()


USES: dict[str, Callable[[Any, Any, Any, Any], Any]] = {  # of two comparisons c and d, and two numbers x and y
    "get": lambda c, d, x, y: {True: x, False: y}.get(c, 55.0),
    "item": lambda c, d, x, y: {True: x, False: y}[c],
    "key": lambda c, d, x, y: {c: x, d: y}[True] if c or d else y,
    "set": lambda c, d, x, y: x * len({c, d}),
    "is True": lambda c, d, x, y: x if c is True else y,
    "is False": lambda c, d, x, y: x if c is False else y,
    "is not True": lambda c, d, x, y: x if c is not True else y,
    "True is": lambda c, d, x, y: x if True is c else y,
    "type": lambda c, d, x, y: x if type(c) is bool else y,
    "nested": lambda c, d, x, y: x if nested(c) else y,
    "helper": lambda c, d, x, y: x if is_true(c) else y,
    "helper in a dict": lambda c, d, x, y: x if CHECKS["is_true"](c) else y,
    "bool of an object": lambda c, d, x, y: x if Sign(x) and not Sign(y) else y,
    "method": lambda c, d, x, y: x if JUDGE.approves(c) else y,
    "match": lambda c, d, x, y: x * matched(c),
    "match class": lambda c, d, x, y: x * matched_class(c),
    "isinstance": lambda c, d, x, y: x if isinstance(c, bool) else y,
    "isinstance int": lambda c, d, x, y: x if isinstance(c, int) else y,
    "__class__": lambda c, d, x, y: x if c.__class__ is bool else y,
    "dispatch": lambda c, d, x, y: x * weight(c),
    "str": lambda c, d, x, y: x if str(c) == "True" else y,
    "repr": lambda c, d, x, y: x if repr(c) == "True" else y,
    "format": lambda c, d, x, y: x * len(f"{c}") + y * int(f"{d:d}"),
    "%": lambda c, d, x, y: x * len("%s" % c) + int("%d" % d) * y,  # noqa: UP031  # the old way too
    "or int": lambda c, d, x, y: x * (c | 4) + (2 | d),
    "and int": lambda c, d, x, y: x * (c & 3) + (1 & d),
    "xor int": lambda c, d, x, y: x * (c ^ 5) + (2 ^ d),
    "xor": lambda c, d, x, y: x if c ^ d else y,
    "xor bool": lambda c, d, x, y: x if c ^ True else y,
    "and, or": lambda c, d, x, y: (x if c & d else y) + (x if c | d else 2.0 * y),
    "and bool": lambda c, d, x, y: (x if c & True else y) + (x if False | d else 2.0 * y),
    "max": lambda c, d, x, y: x * max(c, d) + y * min(c, d),
    "sorted": lambda c, d, x, y: sum((k + 1.0) * t for k, t in enumerate(sorted([c, d, True]))) * x,
    "order": lambda c, d, x, y: (x if c < d else y) + (x if c >= d else 2.0 * y) + (x if c > 0.5 else 3.0 * y),
    "equal": lambda c, d, x, y: (x if c == d else y) + (x if c != True else 2.0 * y) + (x if c == 1 else y),  # noqa: E712
    "equal to text": lambda c, d, x, y: x if c == "True" or d is None or c in ("a", None) else y,
    "in": lambda c, d, x, y: x if c in (False, "no") else y,
    "index": lambda c, d, x, y: [x, y][c] + (x, 2.0 * y)[d],
    "slice": lambda c, d, x, y: sum([x, y, 3.0][c:]),
    "range": lambda c, d, x, y: x * len(range(c)) + y * len(range(c + 1)),
    "counted": lambda c, d, x, y: [x, y, x * y][c + d] + [1.0, 2.0, 3.0][2 - c - d] * x,
    "sum as an index": lambda c, d, x, y: [x, y, x * y][sum([c, d])] + len([1] * (2 * c + d)) * x,
    "int": lambda c, d, x, y: x * int(c) + y * int(c + d),
    "float": lambda c, d, x, y: x * float(c) + math.exp(d),
    "complex": lambda c, d, x, y: x * complex(c).real,
    "round": lambda c, d, x, y: x * round(c) + math.trunc(d) + math.floor(c) + math.ceil(d),
    "invert": lambda c, d, x, y: x * -(c ^ -1) + y,
    "pos": lambda c, d, x, y: x * +c + y * -d + abs(c),
    "not": lambda c, d, x, y: x if not c else y,
    "whole": lambda c, d, x, y: x * (c // 2) + y * ((c + 0) % 2) + divmod(c, 2)[1] + 3 // (d or 1) + (7 % (c | 2)),
    "shift": lambda c, d, x, y: x * (c << 2) + (4 >> d),
    "mod": lambda c, d, x, y: (c % 2) * x + 5.0 % (c or 2),
    "with numbers": lambda c, d, x, y: c % x + c // y,
    "repeated": lambda c, d, x, y: sum([x] * c + [y, x] * d) + len("ab" * c) * x,
    "repeated left": lambda c, d, x, y: sum(c * [x] + d * [y, x]) + len(c * "ab") * x,
    "attributes": lambda c, d, x, y: x * c.real + y * c.bit_length() + c.numerator,
    "no attribute": lambda c, d, x, y: x if hasattr(c, "append") or hasattr(c, "data") else y,
    "copy": lambda c, d, x, y: (x if copy.copy(c) else y) + (x if copy.deepcopy([d])[0] else 2.0 * y),
    "pickle": lambda c, d, x, y: x if pickle.loads(pickle.dumps(c)) == c else y,
    "any": lambda c, d, x, y: (x if any([c, d]) else y) + (x if all([c, d]) else 2.0 * y),
    "np.where": lambda c, d, x, y: np.where(c, x, y).item() + np.where([c, d], [x, y], 1.0).sum(),
    "np.any": lambda c, d, x, y: (x if np.any([c, d]) else y) + (x if np.all([c, d]) else 2.0 * y),
    "np.array": lambda c, d, x, y: (x if np.array(c).dtype == bool else y) + np.array([c, d]).sum() * x,
    "np.logical_and": lambda c, d, x, y: (x if np.logical_and(c, d) else y) + np.logical_xor(c, True) * x,
    "np.add": lambda c, d, x, y: x * float(np.add(c, d)) + np.add(c, 1) * y,
    "np.multiply": lambda c, d, x, y: np.multiply(c, x) + np.multiply(np.array([x, y]), d).sum(),
    "array of numbers": lambda c, d, x, y: (c * np.array([1.0, 2.0]) + np.array([3.0, 4.0]) * d).sum() * x,
    "np.bool_": lambda c, d, x, y: (x if np.bool_(True) & c else y) + (x if d | np.False_ else 2.0 * y),
    "mask": lambda c, d, x, y: np.array([x, y])[[c, d]].sum() + x,
    "array of comparisons": lambda c, d, x, y: (np.array([x, y]) > 0.0).sum() * x
    + np.where(np.array([x, y]) > 1, 1.0, x)[0],
    "np.select": lambda c, d, x, y: np.select([c, d], [x, y], 1.0).item(),
    "max of arrays": lambda c, d, x, y: np.max(np.array([x, y])) + np.sort(np.array([y, x, 0.5 * x]))[1],
    "where": lambda c, d, x, y: am.where(c, x, y) + am.where(c & d, x, 2.0 * y) + am.where(c | d, x * y, y),
    "where arrays": lambda c, d, x, y: am.where(c, np.array([x, 1.0]), y).sum() + d * np.array([x, y]).sum(),
    "array of truths": lambda c, d, x, y: am.where(np.array([d, True]), x, y).sum(),
    "number": lambda c, d, x, y: c * x + (c + d) * y + (1.0 - c) * 2.0 + d / 2.0 + 2.0**c,
    "sum": lambda c, d, x, y: sum([c, d, c]) * x + am.sum([c, x, d]) + am.max(c, d) * y,
    "module": lambda c, d, x, y: operator.truth(c) * x + (operator.and_(c, d) or 0.0) * y,
    "json": lambda c, d, x, y: x * len(str(json.loads(str(c).lower()))),
    "statistics": lambda c, d, x, y: math.fsum([c, d, c + d]) * x + math.hypot(c, d) * y,
}  # fmt: skip  # a table of uses
POINTS = [(1.5, 2.0), (-1.5, 2.0), (1.5, -2.0), (-1.5, -2.0), (2.0, 0.5), (0.25, 3.0)]
ONE_PROGRAM = ("where", "where arrays", "number", "sum", "isinstance", "isinstance int", "no attribute")


def used(use: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """A function of two numbers that uses comparisons of them."""

    def function(x: Any, y: Any) -> Any:
        result = use(x > 0.0, x < y, x, y)
        return (result if isinstance(result, Value | float) else result * 1.0) * x

    return function


@pytest.mark.slow
@pytest.mark.parametrize("name", USES)
def test_one_call(name: str) -> None:
    """Value and gradient are those of eager code, for all results of the comparisons."""
    function = used(USES[name])
    compiled, gradient = jit(function), jit(value_and_grad(function, (0, 1)))
    for point in [*POINTS, *POINTS]:
        assert function(*point) == pytest.approx(compiled(*point), rel=1e-13)
        (value, expected), (compiled_value, actual) = value_and_grad(function, (0, 1))(*point), gradient(*point)
        assert (value, *expected) == pytest.approx((compiled_value, *actual), rel=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("name", USES)
def test_batches(name: str) -> None:
    """The same over the rows of a batch."""
    function = used(USES[name])
    xs, ys = (np.array(column) for column in zip(*POINTS))
    total = grad(vmap(lambda k, x, y: function(k * x, y), (None, 0, 0), "sum"))
    for mapped, args in ((vmap(function), ()), (vmap(grad(function, 1)), ()), (total, (1.0,))):
        np.testing.assert_allclose(jit(mapped)(*args, xs, ys), mapped(*args, xs, ys), rtol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("name", USES)
def test_maps_inside(name: str) -> None:
    """The same if the map is a part of the function."""
    function = used(USES[name])
    rows = [list(point) for point in POINTS]

    def total(k: Any) -> Any:
        return vmap(lambda row: function(row[0] * k, row[1]), reduce="sum")(rows) * k

    compiled = jit(value_and_grad(total))
    for k in (1.0, -1.0):
        assert value_and_grad(total)(k) == pytest.approx(compiled(k), rel=1e-12)


def test_what_stays_one_program() -> None:
    """Comparisons that are combined, select or count leave no guard, so one program is valid for every outcome."""
    for name in ONE_PROGRAM:
        compiled = jit(used(USES[name]), max_paths=1)
        for point in POINTS:
            compiled(*point)
        assert "guard" not in compiled.program()
    asks = jit(used(USES["is True"]), max_paths=1)
    asks(*POINTS[0])
    with pytest.raises(TooManyPathsError, match=r"test_jit_comparisons.py:\d+ in function"):
        asks(*POINTS[1])


def sinh(truth: Any) -> bool:
    """Asks whether it has a bool, and has the name of a function of a module."""
    return truth is True


def test_attributes_are_not_taken_for_globals_of_their_name() -> None:
    """A branch stays part of the program, though a function that nothing calls has the name of an attribute."""
    compiled = jit(vmap(lambda x: am.sinh(x) if x > 0.0 else x))
    compiled(np.array([-1.0, 1.0]))
    assert 1 == len(compiled.paths())


class Asking(Value):
    """A user's class on one of the engine's, with a method that asks."""

    def chosen(self, truth: Any) -> float:
        """One number or another."""
        return 2.0 if truth is True else 3.0


PLAIN_VALUE, ASKING = Value(1.0), Asking(1.0)


def test_classes_of_the_engine_are_not_searched_but_those_of_a_user_are() -> None:
    """A Value from outside leads to no code that asks; a method of a subclass does, also through `jit`."""
    assert not reaches_code_that_asks(lambda x: x * PLAIN_VALUE)
    assert not reaches_code_that_asks(jit(lambda x: x * PLAIN_VALUE))
    assert reaches_code_that_asks(lambda x: ASKING.chosen(x > 0.0))
    compiled = jit(lambda x: x * ASKING.chosen(x > 0.0))
    assert reaches_code_that_asks(compiled)
    for x, expected in ((1.5, 3.0), (-1.5, -4.5)):
        assert expected == compiled(x)
        assert expected == compiled(Value(x)).data


def stored(x: Any) -> Any:
    """A comparison with a name indexes an ndarray."""
    positive = x > 0.0
    return np.array([x, 2.0 * x])[positive].sum()


def assigned(x: Any) -> Any:
    """A comparison is the index of an assignment to an ndarray."""
    array = np.array([1.0, 2.0 * x])
    array[x > 0.0] = x
    return array.sum()


def mixed(x: Any) -> Any:
    """The same comparison is an index of an ndarray, a key and an index of a list."""
    array, positive = np.array([[x, 2.0 * x], [3.0, x * x]], dtype=object), x > 0.0
    found = array[positive].sum() if x > 1.0 else array[int(x > 0.0), 1]
    return found + {True: 2.0, False: 3.0}[positive] * x + [1.0, x][positive]


@pytest.mark.parametrize("function", [stored, assigned, mixed, lambda x: np.array([x, 2.0 * x])[x > 0.0].sum() + x])
def test_index_of_an_ndarray(function: Callable[[Any], Any]) -> None:
    """An ndarray takes a comparison as a mask, like a bool."""
    compiled, gradient = jit(function), jit(grad(lambda x: function(x) * 1.0 + x))
    for x in (3.0, -3.0, 0.5):
        assert function(x) == compiled(x)
        assert grad(lambda x: function(x) * 1.0 + x)(x) == gradient(x)


def test_results() -> None:
    """A comparison that is returned is 1 or 0, in any container, in one program."""
    compiled = jit(lambda x, y: {"a": x > y, "b": [x, (x < 0.0) & (y < 0.0)]}, max_paths=1)
    for x, y in POINTS:
        assert {"a": float(x > y), "b": [x, float(x < 0.0 and y < 0.0)]} == compiled(x, y)


def test_comparisons_of_different_maps() -> None:
    """A comparison that all rows share is combined with one of the row."""
    xs = np.linspace(-2.0, 2.0, 9)

    def function(k: Any, rows: Any) -> Any:
        positive = k > 0.0
        return vmap(lambda x: am.where(positive & (x > 0.0), x * k, x) + ((x < 1.0) | positive) * k, reduce="sum")(rows)

    compiled = jit(value_and_grad(function))
    for k in (1.5, -0.5):
        assert value_and_grad(function)(k, xs) == pytest.approx(compiled(k, xs), rel=1e-13)
    assert " in 0..9:" in compiled.program()


def test_counts_as_keys() -> None:
    """A count of comparisons finds the entry of the whole number, and so does one that is divided by an int."""
    for function in (
        lambda x: {1.0: x, 2.0: 3.0 * x}.get((x > 0.0) + 1, 55.0),
        lambda x: {1.0: x, 2.0: 3.0 * x}.get(int((x > 0.0) + 1), 55.0),
        lambda x: [7.0, x, 3.0 * x][((x > 0.0) + 9) // 2 % 4 - 3 + (x > 0.0)],
        lambda x: 3.0 * x if (x > 0.0) * 2 in {2} else x,
    ):
        found = jit(function)
        assert [function(2.0), function(-2.0)] == [found(2.0), found(-2.0)]


def test_fractions_are_no_indices() -> None:
    """Only a whole number made of comparisons is an index; others are refused as before."""
    for bad in (lambda x: [x, x][0.5 * (x > 0.0)], lambda x: [x, x][x + (x > 0.0)]):
        with pytest.raises(TypeError, match=r"an index made of a number.*test_jit_comparisons.py:\d+"):
            jit(bad)(2.0)
