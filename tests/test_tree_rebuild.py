"""Containers of every class are rebuilt as they were: with their attributes and without their constructors."""

import collections
import dataclasses
import decimal
import os
import time
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest

import autograd.math as am
from autograd import Rule, Value, grad, jacobian, jit, jvp, value_and_grad, vjp, vmap
from autograd.tree import flatten, pairs, to_floats
from nn import Module


@dataclasses.dataclass
class Doubling:
    """A dataclass whose constructor changes a field."""

    x: Any
    y: Any = 1.0

    def __post_init__(self) -> None:
        """Twice the number."""
        self.x = self.x * 2.0


@dataclasses.dataclass
class Derived:
    """A dataclass with a field that the constructor does not take."""

    x: Any
    square: Any = dataclasses.field(init=False)
    unset: Any = dataclasses.field(init=False, repr=False)
    fixed: Any = dataclasses.field(init=False, default=3.0)

    def __post_init__(self) -> None:
        """The square of the number."""
        self.square = self.x * self.x


@dataclasses.dataclass
class Scaling:
    """A dataclass with a constructor argument that is not a field, and a class constant."""

    x: Any
    scale: dataclasses.InitVar[float]
    power: ClassVar[int] = 2

    def __post_init__(self, scale: float) -> None:
        """The number in other units."""
        self.x = self.x * scale


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen dataclass without a `__dict__`."""

    x: Any
    name: str = "frozen"
    both: Any = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        """Set a field in the way of frozen classes."""
        object.__setattr__(self, "both", [self.x, self.x])


@dataclasses.dataclass
class Described:
    """A dataclass with numbers, and with fields that are not numbers."""

    x: Any
    name: str = "a"
    tags: list[str] = dataclasses.field(default_factory=lambda: ["p", "q"])
    function: Any = am.tanh
    nothing: None = None
    options: dict[str, str] = dataclasses.field(default_factory=dict)


class Bag(list[Any]):
    """A list with its own constructor and an attribute."""

    def __init__(self, label: str, *items: Any) -> None:
        super().__init__(items)
        self.label = label

    def __iter__(self) -> Any:
        """Iterate in the wrong order."""
        return reversed(list.copy(self))


class Slotted(list[Any]):
    """A list with a slot."""

    __slots__ = ("label",)


class Pair(tuple[Any, ...]):
    """A tuple with its own constructor and an attribute."""

    label: str

    def __new__(cls, x: Any, y: Any, label: str = "pair") -> "Pair":
        """Twice the first."""
        made = super().__new__(cls, (x * 2.0, y))
        made.label = label
        return made


class Point(NamedTuple):
    """A named tuple."""

    x: Any
    y: Any


class Shifted(Point):
    """A named tuple with its own constructor."""

    def __new__(cls, x: Any, y: Any) -> "Shifted":
        """Shift the number by one."""
        return super().__new__(cls, x + 1.0, y + 1.0)


class Table(dict[str, Any]):
    """A dict with its own constructor, an attribute, and other methods to set and list items."""

    def __init__(self, title: str, **items: Any) -> None:
        super().__init__(items)
        self.title = title

    def __setitem__(self, key: str, x: Any) -> None:
        """Store something else."""
        super().__setitem__(key, x * 100.0)

    update = None  # type: ignore[assignment]


class Adding(collections.Counter[str]):
    """A counter with an attribute."""

    step = 1


def bag() -> Any:
    """A list with an attribute."""
    return Bag("bag", 2.0, 3.0)


def slotted() -> Any:
    """A list with a slot."""
    made = Slotted([2.0, 3.0])
    made.label = "slot"
    return made


def moved() -> Any:
    """An ordered dict whose order is not that of insertion."""
    made = collections.OrderedDict(a=2.0, b=3.0)
    made.move_to_end("a")
    return made


def counter() -> Any:
    """A counter with an attribute."""
    made = Adding(a=2, b=3)
    made.step = 7
    return made


def extended() -> Any:
    """A dataclass with an attribute that is not a field."""
    made = Doubling(1.0, 3.0)
    made.more = "more"  # type: ignore[attr-defined]
    return made


def of_rule() -> Any:
    """A dataclass with a class in a field."""
    made = Described(2.0, "b", ["r"])
    made.function = Rule  # type: ignore[assignment]
    return made


MADE: dict[str, tuple[Any, list[float]]] = {
    "post_init": (lambda: Doubling(1.0, 3.0), [2.0, 3.0]),
    "post_init in a list": (lambda: [Doubling(1.0, 3.0), 5.0], [2.0, 3.0, 5.0]),
    "init=False": (lambda: Derived(2.0), [2.0, 4.0, 3.0]),
    "InitVar": (lambda: Scaling(2.0, 10.0), [20.0]),
    "frozen": (lambda: Frozen(2.0), [2.0, 2.0, 2.0]),
    "described": (lambda: Described(2.0), [2.0]),
    "a class in a field": (of_rule, [2.0]),
    "more attributes": (extended, [2.0, 3.0]),
    "list": (bag, [2.0, 3.0]),
    "list with a slot": (slotted, [2.0, 3.0]),
    "tuple": (lambda: Pair(1.0, 3.0, "other"), [2.0, 3.0]),
    "named tuple": (lambda: Shifted(1.0, 2.0), [2.0, 3.0]),
    "dict": (lambda: Table("table", a=2.0, b=3.0), [2.0, 3.0]),
    "counter": (counter, [2.0, 3.0]),
    "plain counter": (lambda: collections.Counter("aabbb"), [2.0, 3.0]),
    "default": (lambda: collections.defaultdict(list, a=2.0, b=3.0), [2.0, 3.0]),
    "ordered": (moved, [3.0, 2.0]),
    "array": (lambda: np.array([[2.0, 3.0]]), [2.0, 3.0]),
    "nested": (lambda: {"k": [bag(), Frozen(Pair(1.0, 3.0))]}, [2.0, 3.0] + [2.0, 3.0] * 3),
}
ALL = pytest.mark.parametrize("name", MADE)


def looks(tree: Any) -> Any:
    """Everything in a tree except its numbers: classes, keys, attributes."""
    if isinstance(tree, (Value, float, int, np.floating)) and not isinstance(tree, bool):
        return "number"
    if isinstance(tree, np.ndarray):
        return "array", tree.shape
    inside: list[Any] = []
    if isinstance(tree, collections.OrderedDict):
        inside = [(key, looks(x)) for key, x in collections.OrderedDict.items(tree)]
    elif isinstance(tree, dict):
        inside = [(key, looks(x)) for key, x in dict.items(tree)]
    elif isinstance(tree, list):
        inside = [looks(x) for x in list.copy(tree)]
    elif isinstance(tree, tuple):
        inside = [looks(x) for x in tuple.__iter__(tree)]
    known = isinstance(tree, (list, tuple, dict)) or hasattr(tree, "__dataclass_fields__")
    state: Any = object.__getstate__(tree) if known else None
    found = {key: x for part in (state if isinstance(state, tuple) else [state]) if part for key, x in part.items()}
    for name in getattr(type(tree), "__dataclass_fields__", ()):
        if hasattr(tree, name):
            found[name] = getattr(tree, name)
    parts = [(key, looks(x)) for key, x in found.items()]
    factory = getattr(tree, "default_factory", None)
    return type(tree).__name__, inside, sorted(parts), factory, tree if not (inside or parts) else None


def total(tree: Any) -> Any:
    """Σ c·x² over the leaves."""
    return am.sum([(i + 1.0) * x * x for i, x in enumerate(flatten(tree)[0])])


@ALL
def test_rebuilt(name: str) -> None:
    """Other numbers in the same container: class, order, keys and attributes stay, the constructor does not run."""
    make, leaves = MADE[name]
    tree = make()
    found, rebuild = flatten(tree)
    assert leaves == found
    again = rebuild([x + 1.0 for x in found])
    assert [x + 1.0 for x in leaves] == flatten(again)[0]
    assert looks(make()) == looks(again) == looks(to_floats(again)) == looks(tree)
    assert leaves == flatten(tree)[0]


@ALL
def test_transforms_agree(name: str) -> None:
    """Value, gradient, tangent and Jacobian by every container, eager and compiled, agree."""
    make, leaves = MADE[name]
    expected = sum((i + 1.0) * x * x for i, x in enumerate(leaves))
    slopes = [2.0 * (i + 1.0) * x for i, x in enumerate(leaves)]
    tangent = flatten(make())[1]([1.0] * len(leaves))
    for way in (lambda f: f, jit):
        for _ in range(2):
            assert expected == pytest.approx(way(total)(make()), rel=1e-14)
            value, gradient = way(value_and_grad(total))(make())
            assert expected == pytest.approx(value, rel=1e-14)
            assert slopes == pytest.approx(flatten(gradient)[0], rel=1e-14)
            assert looks(make()) == looks(gradient)
            primal, moved_by = way(lambda t, d: jvp(total, (t,), (d,)))(make(), tangent)
            assert [expected, sum(slopes)] == pytest.approx([primal, moved_by], rel=1e-14)
            rows = way(jacobian(lambda t: [total(t), flatten(t)[0][0]]))(make())
            assert looks([make(), make()]) == looks(rows) or isinstance(make(), np.ndarray)
    (pulled,) = vjp(total, make())[1](1.0)
    assert looks(make()) == looks(pulled)


@ALL
def test_what_the_function_is_given(name: str) -> None:
    """A function sees the same container, eager and compiled: its class, its attributes, its own methods."""
    make, _ = MADE[name]
    seen: list[Any] = []

    def f(tree: Any) -> Any:
        seen.append(looks(tree))
        return total(tree)

    grad(f)(make())
    jit(f)(make())
    jit(grad(f))(make())
    assert [looks(make())] * 3 == seen


@ALL
def test_returned(name: str) -> None:
    """A compiled function returns containers of the classes that the function returns."""
    make, leaves = MADE[name]
    compiled = jit(lambda t, k: flatten(t)[1]([k * x for x in flatten(t)[0]]))
    for k in (2.0, 3.0):
        result = compiled(make(), k)
        assert looks(make()) == looks(result)
        assert [k * x for x in leaves] == flatten(result)[0]


def test_the_numbers_of_the_issue() -> None:
    """A constructor that doubles does not run again, eager or compiled."""
    f = lambda d: d.x * d.y  # noqa: E731
    assert [6.0] * 2 == [f(Doubling(1.0, 3.0)), jit(f)(Doubling(1.0, 3.0))]
    for way in (lambda g: g, jit):
        gradient = way(grad(f))(Doubling(1.0, 3.0))
        assert (3.0, 2.0) == (gradient.x, gradient.y)
    assert 8.0 == jit(lambda d: d.x**3)(Doubling(1.0))


def test_fields_that_the_constructor_does_not_take() -> None:
    """Such a field with a number is a child like any other: it is traced and has a derivative."""
    for way in (lambda g: g, jit):
        g = way(value_and_grad(lambda d: d.x * d.square * d.fixed))
        for x in (2.0, 3.0):
            value, gradient = g(Derived(x))
            assert 3.0 * x**3 == value
            assert (3.0 * x * x, 3.0 * x, x**3) == (gradient.x, gradient.square, gradient.fixed)
            assert not hasattr(gradient, "unset")


def test_fields_without_numbers_belong_to_the_signature() -> None:
    """A function may read text, functions and lists of names in fields; each state has its own machine code."""

    def f(d: Any) -> Any:
        return d.function(d.x) * (2.0 if d.name == "a" else 3.0) + len(d.tags) + len(d.options)

    compiled = jit(value_and_grad(f))
    made = [
        Described(0.5), Described(0.5, "b"), Described(0.5, "a", ["p"]), Described(0.5, function=am.exp),
        Described(0.5, options={"k": "v"}), Described(0.7),
    ]  # fmt: skip
    for d in made * 2:
        value, gradient = value_and_grad(f)(d)
        found, by_d = compiled(d)
        assert (value, gradient.x) == pytest.approx((found, by_d.x), rel=1e-14)
        assert (d.name, d.tags, d.function) == (by_d.name, by_d.tags, by_d.function)
    assert 5 == len(compiled.paths())
    made[0].tags.append("s")
    assert f(made[0]) == pytest.approx(compiled(made[0])[0], rel=1e-14)


def test_constants_of_the_class_belong_to_the_signature() -> None:
    """A changed ClassVar is seen."""
    compiled = jit(lambda s: s.x**s.power)
    try:
        for power in (2, 3, 2):
            Scaling.power = power
            assert 20.0**power == compiled(Scaling(2.0, 10.0))
    finally:
        Scaling.power = 2
    assert 2 == len(compiled.paths())


class Cached(Module):
    """A module that caches a result."""

    def __init__(self, w: Any) -> None:
        self.w = Value(w)

    @cached_property
    def square(self) -> Any:
        """w²."""
        return self.w * self.w


@dataclasses.dataclass
class Norm:
    """A dataclass that caches a result."""

    x: Any

    @cached_property
    def square(self) -> Any:
        """x²."""
        return self.x * self.x


def test_what_was_computed_once_is_computed_again() -> None:
    """A cached property of an argument is computed again for other numbers."""
    for way in (lambda g: g, jit):
        for make, part in ((lambda: Norm(3.0), "x"), (lambda: Cached(3.0), "w")):
            argument = make()
            assert 9.0 == to_floats(argument.square)
            g = way(grad(lambda m: m.square * 2.0))
            assert [12.0, 12.0] == [to_floats(getattr(g(a), part)) for a in (argument, make())]


@pytest.mark.parametrize(
    ("tree", "error"),
    [
        (time.gmtime(0), "a struct_time cannot hold other numbers"),
        (os.stat_result(range(10)), "a stat_result cannot hold other numbers"),
    ],
    ids=["struct_time", "stat_result"],
)
def test_what_only_its_constructor_can_make(tree: Any, error: str) -> None:
    """A container that cannot be rebuilt is refused by name, eager and compiled."""
    for g in (grad(total), jit(total), jit(grad(total))):
        with pytest.raises(TypeError, match=error):
            g(tree)


@dataclasses.dataclass
class FailureError(Exception):
    """A dataclass on another base."""

    x: float


@pytest.mark.parametrize(
    ("tree", "error"),
    [
        (FailureError(1.0), "a FailureError cannot hold other numbers"),
        (collections.deque([1.0]), r"argument 0 of total: deque\(\[1.0\]\) of type deque is not a real number"),
        ({1.0}, "of type set is not a real number"),
        (Described(decimal.Decimal("1.5")), r"argument 0 of total\.x: Decimal\('1.5'\)"),
        (Described(1j), r"argument 0 of total\.x: 1j of type complex"),
        (Described([1.0, "a"]), r"argument 0 of total\.x\[1\]: 'a' of type str is text"),
        (Bag("b", "text"), r"argument 0 of total\[0\]: 'text' of type str is text"),
        ({"a": "text"}, r"argument 0 of total\['a'\]: 'text' of type str is text"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_refused_by_name(tree: Any, error: str) -> None:
    """Anything else in the place of a number is refused by name, eager and compiled."""
    for g in (grad(total), jit(total), jit(grad(total))):
        with pytest.raises(TypeError, match=error):
            g(tree)


@dataclasses.dataclass
class Link:
    """One link of a chain."""

    next: Any
    x: Any = None
    name: str = "link"


def test_a_chain_of_dataclasses() -> None:
    """The time to look for numbers does not grow exponentially with the depth."""
    chain = Link(None, 2.0)
    for _ in range(60):
        chain = Link(chain)
    assert [2.0] == flatten(chain)[0]
    assert 4.0 == flatten(jit(grad(total))(chain))[0][0]
    chain.next, chain.x = chain, 1.0
    with pytest.raises(RecursionError):
        flatten(chain)


def test_trees_are_paired_by_keys() -> None:
    """Keys with the same repr are different keys; the second dict may have another order."""

    class Key:
        def __repr__(self) -> str:
            return "key"

    first, second = Key(), Key()
    with pytest.raises(ValueError, match="differ in shape"):
        pairs({first: 1.0}, {second: 1.0})
    assert [(1.0, 4.0), (2.0, 3.0)] == pairs({first: 1.0, second: 2.0}, {second: 3.0, first: 4.0})
    assert [(3.0, 5.0), (2.0, 4.0)] == pairs(moved(), Table("t", a=4.0, b=5.0))


def test_jvp_ignores_settings() -> None:
    """A tangent may have other settings than its primal."""
    assert (12.0, 12.0) == jvp(lambda d: d.x * d.x * 3.0, (Described(2.0),), (Described(1.0, "b"),))


@pytest.mark.parametrize("way", [lambda f: f, jit], ids=["eager", "compiled"])
def test_rows(way: Any) -> None:
    """Rows that are containers of every class, and containers of rows."""
    rows = [Doubling(1.0, 3.0), Doubling(2.0, 5.0)]
    assert [6.0, 20.0] == way(vmap(lambda d: d.x * d.y))(rows)
    columns = Doubling(np.array([1.0, 2.0]), np.array([3.0, 5.0]))
    assert [6.0, 20.0] == way(vmap(lambda d: d.x * d.y))(columns).tolist()
    assert [2.0, 12.0] == way(vmap(lambda x, y: x * y))(Bag("b", 1.0, 3.0), [2.0, 4.0])
    by_row = way(vmap(grad(lambda d: d.x * d.y)))(columns)
    assert (Doubling, [3.0, 5.0], [2.0, 4.0]) == (type(by_row), by_row.x.tolist(), by_row.y.tolist())
    table = Table("t", a=np.array([1.0, 2.0]), b=np.array([3.0, 4.0]))
    assert [3.0, 8.0] == way(vmap(lambda t: t["a"] * t["b"] if t.title == "t" else 0.0))(table).tolist()


def test_gradients_of_arguments_that_the_function_changes() -> None:
    """The gradient has the shape that the argument had when the call began."""
    held = [1.0, 2.0, 3.0]

    def f(xs: Any) -> Any:
        held.pop()
        return am.sum([x * x for x in xs])

    assert [2.0, 4.0, 6.0] == grad(f)(held)
    assert [2.0, 4.0] == jit(grad(f))(held)
    table = {"x": np.array([1.0, 2.0])}

    def row(d: Any) -> Any:
        table.clear()
        return d["x"] * 2.0

    assert [2.0, 4.0] == vmap(row)(table).tolist()


def test_a_result_that_the_caller_changes() -> None:
    """A pullback keeps the shape of the result, even if the result is changed."""
    xs = [Value(2.0), Value(3.0)]
    result, pullback = vjp(lambda x: [x[0] * x[1], x[0]], xs)
    result.clear()
    (gradient,) = pullback([1.0, 10.0])
    assert [13.0, 2.0] == to_floats(gradient)


def test_a_traced_number_in_an_attribute_of_a_result() -> None:
    """The number would be frozen, so it is refused by name."""

    def f(x: Any) -> Any:
        made = Bag("label", x * 2.0)
        made.label = x
        return {"k": [made]}

    with pytest.raises(TypeError, match=r"the attribute 'label' of the result of the compiled function\['k'\]\[0\]"):
        jit(f)(1.0)
