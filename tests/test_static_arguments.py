"""`jit(static_argnums=…, static_argnames=…)`: text, flags and whole numbers that choose what is computed."""

import enum
import gc
import math
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import Value, fori, grad, jit, no_grad, value_and_grad, vmap
from autograd.compiler import c_build
from autograd.compiler.run.static import StaticCompiled

needs_c = pytest.mark.skipif(c_build.extension is None, reason=f"no C build: {c_build.why_python}")


class Kind(enum.Enum):
    """A member of an enum chooses, too."""

    SINE = 1
    HALF = 2


def chosen(x: Any, kind: str = "sine", times: int = 1, flag: bool = False) -> Any:
    """A function whose structure depends on what is no number of the computation."""
    for _ in range(times):
        x = am.sin(x) if kind == "sine" else 0.5 * x
    return -x if flag else x


@pytest.mark.parametrize(
    "compiled",
    [
        jit(chosen, static_argnums=(1, 2, 3)),
        jit(chosen, static_argnames=("kind", "times", "flag")),
        jit(chosen, static_argnums=(-3, 2), static_argnames="flag"),
    ],
)
def test_either_way(compiled: Any) -> None:
    """Static arguments are passed by place or by name, or left out; each combination has one specialization."""
    for args, keywords in [
        ((0.3,), {}),
        ((0.3, "half", 3), {}),
        ((0.3,), {"times": 2, "kind": "half"}),
        ((0.3, "sine", 2, True), {}),
        ((0.3, "sine"), {"flag": True, "times": 0}),
    ]:
        assert chosen(*args, **keywords) == compiled(*args, **keywords)
        paths = compiled.stats()["paths"]
        assert chosen(0.7, *args[1:], **keywords) == compiled(0.7, *args[1:], **keywords)
        assert paths == compiled.stats()["paths"]
    assert "sin" in compiled.program()
    assert compiled.paths()
    assert "chosen" in {read.name for read in compiled.reads()}


def test_what_they_may_be() -> None:
    """Text, bytes, flags, numbers, None, members of enums, and tuples of such; 1, 1.0 and True differ."""
    seen: list[Any] = []
    compiled = jit(lambda x, s: (seen.append(s), x * 2.0)[1], static_argnums=1)
    things = [
        "a",
        b"a",
        True,
        1,
        1.0,
        2.5,
        None,
        Kind.SINE,
        Kind.HALF,
        (1, ("b", None)),
        frozenset({1}),
        np.int64(3),
        1j,
    ]
    for _ in range(2):
        for thing in things:
            assert 4.0 == compiled(2.0, thing)
    assert len(things) == compiled.stats()["paths"]
    assert things == seen
    assert list(map(type, things)) == list(map(type, seen))


def test_with_transforms() -> None:
    """Gradients, batches of any number of rows, and gradients by rows, with static arguments among the others."""
    gradient = jit(value_and_grad(chosen), static_argnames=("kind", "times", "flag"))
    assert value_and_grad(chosen)(0.4, "sine", 3) == gradient(0.4, "sine", 3)
    assert value_and_grad(chosen)(0.4, "half", times=3) == gradient(0.4, "half", times=3)

    def power(kind: str, x: Any, n: int) -> Any:
        return x**n if kind == "power" else n * x

    rows = jit(vmap(power, in_axes=(None, 0, None)), static_argnums=(0, 2))
    by = jit(grad(vmap(power, in_axes=(None, 0, None), reduce="sum"), 1), static_argnums=(0, 2))
    for count in (3, 11, 100):
        xs = np.linspace(0.1, 2.0, count)
        np.testing.assert_allclose(xs**3, rows("power", xs, 3), rtol=1e-14)
        np.testing.assert_allclose(2 * xs, rows("times", xs, 2), rtol=1e-14)
        np.testing.assert_allclose(3 * xs**2, by("power", xs, 3), rtol=1e-14)
    assert 2 == rows.stats()["paths"]
    assert 1 == by.stats()["paths"]
    assert grad(jit(chosen, static_argnums=(1, 2)))(0.3, "half", 2) == 0.25
    outer = jit(lambda x: jit(chosen, static_argnums=(1, 2))(x, "half", 2) + x)
    assert 0.5 + 2.0 == outer(2.0)


def test_values_and_methods() -> None:
    """Values flow through the other arguments; a method has its instance as the first argument."""
    x = Value(0.5)
    compiled = jit(chosen, static_argnames=("kind", "times"))
    y = compiled(x, "half", times=2)
    y.backward()
    assert (0.125, 0.25) == (y.data, x.grad)

    class Holder:
        def __init__(self) -> None:
            self.w = 3.0

        @jit(static_argnames="kind")
        def run(self, x: Any, kind: str) -> Any:
            return self.w * x if kind == "times" else self.w + x

    holder = Holder()
    with pytest.raises(TypeError, match="argument 0 of run"):
        holder.run(2.0, "times")  # as without static arguments: an object of this class is no tree of numbers
    assert 5.0 == jit(lambda x, kind: holder.w * x if kind == "times" else holder.w + x, static_argnums=1)(2.0, "plus")


def test_what_is_outside_is_watched() -> None:
    """A number that the function reads outside its arguments and that has changed is seen for each combination."""
    scale = [2.0]
    compiled = jit(lambda x, kind: scale[0] * x if kind == "times" else scale[0] + x, static_argnums=1)
    assert (6.0, 5.0) == (compiled(3.0, "times"), compiled(3.0, "plus"))
    scale[0] = 10.0
    assert (30.0, 13.0) == (compiled(3.0, "times"), compiled(3.0, "plus"))


def test_pickled() -> None:
    """The compiled combinations travel in a pickle."""
    compiled = jit(chosen, static_argnums=(1, 2, 3))
    expected = [compiled(0.3, "half", 3), compiled(0.3, "sine", 2, True)]
    again = pickle.loads(pickle.dumps(compiled))
    assert 2 == again.stats()["paths"]
    assert expected == [again(0.3, "half", 3), again(0.3, "sine", 2, True)]
    assert chosen(0.3, "sine", 5) == again(0.3, "sine", times=5)


def test_static_lengths_of_loops() -> None:
    """A whole number that is static is a constant of the program; as a number it is data."""
    static = jit(lambda x, n: fori(n, lambda i, c: c * x + i, 1.0), static_argnums=1)
    data = jit(lambda x, n: fori(n, lambda i, c: c * x + i, 1.0))
    assert [static(0.5, n) for n in (2, 9)] == [data(0.5, n) for n in (2, 9)]
    assert (2, 1) == (static.stats()["paths"], data.stats()["paths"])


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        ([1, 2], r"static argument 1 of chosen, \[1, 2\] of type list, can change: pass text, .* or a tuple"),
        ({"a": 1}, "of type dict, can change"),
        (Value(2.0), "a number of the computation, for which nothing can be compiled apart"),
        ((1, [2]), r"\[2\] of type list, can change"),
        (chosen, r"of type function, is not text, a flag, .* let the function close over it"),
        (object(), "of type object, is not text"),
    ],
)
def test_refused(thing: Any, message: str) -> None:
    """What can change, what is a number of the computation, and other objects."""
    compiled = jit(chosen, static_argnums=1)
    with pytest.raises(TypeError, match=message):
        compiled(1.0, thing)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls that Python handles."""
    seen: list[Any] = []
    way = StaticCompiled._call

    def watched(self: Any, args: Any, keywords: Any) -> Any:
        seen.append((args, keywords))
        return way(self, args, keywords)

    monkeypatch.setattr(StaticCompiled, "_call", watched)
    return seen


def told(x: Any, *rest: Any, **named: Any) -> Any:
    """A number for exactly these static arguments."""
    return x * float(sum(map(ord, repr((rest, sorted(named.items()))))))


THINGS = [
    "a",
    "b" * 9,
    b"a",
    b"b",
    True,
    1,
    2,
    -(10**30),
    1.0,
    0.0,
    -0.0,
    math.nan,
    None,
    Kind.SINE,
    Kind.HALF,
    (),
    (1,),
    (True,),
    (1, ("b", None)),
]


@needs_c
def test_later_calls_are_made_in_c(slow: list[Any]) -> None:
    """A combination that was called before needs no Python, however it is passed; things that differ stay apart."""
    compiled = jit(told, static_argnums=(1, 2), static_argnames=("flag", "other"))
    ways: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((), {})]
    ways += [((thing,), {}) for thing in THINGS] + [((), {"flag": thing}) for thing in THINGS[::6]]
    ways += [(("a", 2), {"flag": None}), ((2, "a"), {"flag": None}), ((2, "a"), {"other": 1, "flag": None})]
    for args, named in ways:
        expected = told(2.0, *args, **named)
        assert expected == compiled(2.0, *args, **named)
        count = len(slow)
        equal = pickle.loads(pickle.dumps((args, named)))  # equal, but mostly not the same objects
        assert expected == compiled(2.0, *equal[0], **equal[1])
        assert told(3.0, *args, **named) == compiled(3.0, *args, **named)
        assert count == len(slow), (args, named)
    assert len(ways) == compiled.stats()["paths"]


@needs_c
def test_what_c_does_not_compare(slow: list[Any]) -> None:
    """Other static arguments, and calls of many arguments, are right by the slow path, every time."""

    class Text(str):
        __slots__ = ("mark",)

    compiled = jit(told, static_argnums=tuple(range(1, 40)))
    for rest in [(np.int64(3),), (frozenset({1}),), (1j,), (Text("a"),), ((1, np.float32(2.0)),), (1,) * 35]:
        for count in range(1, 3):
            assert told(2.0, *rest) == compiled(2.0, *rest)
            assert count == len(slow)
        slow.clear()


@needs_c
def test_modes_values_and_errors_take_the_way_of_the_function_inside(slow: list[Any]) -> None:
    """A Value, a mode, a capture, another structure and a wrong argument are handled as without static arguments."""
    compiled = jit(lambda x, kind: x["a"] * 2.0 if kind == "twice" else x["a"], static_argnums=1)
    for _ in range(2):
        assert 6.0 == compiled({"a": 3.0}, "twice")
    count = len(slow)
    x = Value(3.0)
    compiled({"a": x}, "twice").backward()
    assert 2.0 == x.grad
    with no_grad():
        assert [6.0, ()] == [(y := compiled({"a": x}, "twice")).data, y.parents]
    assert 12.0 == jit(lambda z: compiled({"a": z}, "twice") * z)(2.0) + 4.0
    with pytest.raises(KeyError, match="a"):
        compiled({"b": 1.0}, "twice")
    with pytest.raises(TypeError, match=r"argument 0 of .*'text'"):
        compiled({"a": "text"}, "twice")
    assert count == len(slow)
    assert 6.0 == compiled(x={"a": 3.0}, kind="twice")  # numbers by name
    with pytest.raises(TypeError, match="static argument 1"):
        compiled({"a": 3.0}, ["twice"])
    assert count + 2 == len(slow)


@needs_c
def test_more_combinations_than_are_kept(slow: list[Any]) -> None:
    """The last eight combinations are found in C, the others by the slow path; all are right."""
    compiled = jit(told, static_argnums=1)
    for _ in range(2):
        assert [told(2.0, n) for n in range(12)] == [compiled(2.0, n) for n in range(12)]
    count = len(slow)
    assert [told(2.0, n) for n in range(4, 12)] == [compiled(2.0, n) for n in range(4, 12)]
    assert count == len(slow)
    assert told(2.0, 0) == compiled(2.0, 0)
    assert count + 1 == len(slow)


@needs_c
def test_nothing_is_kept_too_long() -> None:
    """A compiled function with static arguments is freed with what it was compiled for."""

    class Big(enum.Enum):
        ONE = 1

    compiled = jit(told, static_argnums=1)
    for _ in range(3):
        compiled(2.0, Big.ONE)
    gone = weakref.ref(Big)
    del Big, compiled
    gc.collect()
    assert gone() is None


@needs_c
def test_what_the_c_type_refuses() -> None:
    """A description that does not fit together, and an entry that mixes both kinds."""
    compiled = jit(lambda x: x)
    for things, count, names, left in [
        (((),), 2, (), ()),
        (((1, 2),), 1, (), ()),
        (([],), 1, (), ()),
        (((1,),), 1, (), ("a",)),
        (((),) * 40, 40, (), ()),
        (((),), -1, ("a", "b"), ()),
    ]:
        with pytest.raises(ValueError, match="at most 32 arguments"):
            c_build.extension.Fixed(compiled, things, count, names, left)
    with pytest.raises(TypeError):
        c_build.extension.Fixed(3, ((),), 1, (), ())
    fixed = c_build.extension.Fixed(compiled, ((),), 1, (), ())
    assert 2.0 == compiled(2.0)
    with pytest.raises(TypeError, match="either FastPaths or Fixeds"):
        compiled.prefer(fixed)
    around = jit(told, static_argnums=1)
    around.prefer(c_build.extension.Fixed(around, ((),), 1, (), ()))  # it calls itself
    with pytest.raises(RecursionError):
        around(2.0)


def test_traced_ones() -> None:
    """A traced number is no static argument: inside another compiled function, where it would be frozen."""
    inner = jit(chosen, static_argnums=2)
    with pytest.raises(TypeError, match=r"static argument 2 of chosen, .* a number of the computation"):
        jit(lambda x, n: inner(x, 1.0, n))(1.0, 2.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jit(chosen, static_argnums=7), "static_argnums has 7, but chosen takes 4 positional arguments"),
        (lambda: jit(chosen, static_argnums=(0, -5)), "static_argnums has -5"),
        (lambda: jit(chosen, static_argnames="kinds"), "static_argnames has 'kinds', but chosen has no parameter"),
        (lambda: jit(static_argnames="kinds")(chosen), "static_argnames has 'kinds'"),
    ],
)
def test_wrong_places(make: Callable[[], Any], message: str) -> None:
    """Places and names that the function does not have."""
    with pytest.raises(ValueError, match=message):
        make()


def test_text_that_is_not_static() -> None:
    """The error for text says how to declare it."""
    with pytest.raises(TypeError, match=r"argument 1 of chosen: 'half' .* is text.*jit\(static_argnames="):
        jit(chosen)(1.0, "half")
