"""The signature: what two calls must share to run the same machine code. Arguments are read once per call.

Every history is compared with eager code on fresh arguments: value, shape, class.
"""

import collections
import copy
import dataclasses
import functools
import math
import pickle
import threading
import types
from collections.abc import Callable
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pytest

import autograd.math as am
from autograd import Value, grad, jit, value_and_grad, vmap
from autograd.compiler import c_build
from autograd.compiler.capture.exact import exact
from autograd.compiler.capture.signature import read, read_call
from autograd.tree import flatten
from nn import Module, Neuron


def compiled_paths(function: Any) -> int:
    """The number of specializations that have been compiled."""
    return len(function.paths())


# ---- arguments that change while the function is captured --------------------------------------------------------


def test_a_list_that_the_function_shortens_while_it_is_captured() -> None:
    """The captured program is used only for arguments of the structure at the beginning of the captured call."""
    held = [1.0, 2.0, 3.0]

    def f(xs: list[Any]) -> Any:
        total = am.sum(list(xs))
        if len(held) == 3:
            held.pop()
        return total

    compiled = jit(f)
    assert 6.0 == compiled(held)
    assert [1.0, 2.0] == held
    assert [3.0, 60.0, 30.0] == [compiled([1.0, 2.0]), compiled([10.0, 20.0, 30.0]), compiled([10.0, 20.0])]


@pytest.mark.parametrize(
    ("start", "change"),
    [
        ([1.0, 2.0], lambda x: x.append(5.0)),
        ([1.0, 2.0], lambda x: x.clear()),
        ([1.0, 2.0], lambda x: x.__setitem__(0, [1.0])),
        ({"a": 1.0, "b": 2.0}, lambda x: x.update(c=3.0)),
        ({"a": 1.0, "b": 2.0}, lambda x: x.pop("a")),
        ({"a": 1.0, "b": 2.0}, lambda x: x.update({"a": x.pop("a")})),
        ([np.ones(3), np.ones(2)], lambda x: x.__setitem__(0, np.ones(5))),
        ([[1.0], [2.0, 3.0]], lambda x: x[0].append(7.0)),
        (np.ones(4), lambda x: x.resize((2,), refcheck=False)),
        (np.ones(4), lambda x: x.resize((400,), refcheck=False)),
        ([np.ones((2, 2))], lambda x: x.__setitem__(0, x[0].reshape(4))),
    ],
)
@pytest.mark.parametrize("transform", [lambda f: f, value_and_grad, grad], ids=["value", "value_and_grad", "grad"])
def test_arguments_that_the_function_changes(start: Any, change: Any, transform: Any) -> None:
    """A function that changes its arguments through another name is captured on the arguments as they were."""

    def total(tree: Any) -> Any:
        return am.sum([(i + 1.0) * x * x for i, x in enumerate(flatten(tree)[0])])

    outside = copy.deepcopy(start)
    changes = [lambda: change(outside)]

    def f(tree: Any) -> Any:
        result = total(tree)
        if changes:
            changes.pop()()
        return result

    expected, plain = seen(transform(total)(start)), transform(total)
    assert expected == seen(transform(f)(outside))  # eager
    outside, changes = copy.deepcopy(start), [lambda: change(outside)]
    compiled = jit(transform(f))
    assert expected == seen(compiled(outside))
    for _ in range(2):
        assert expected == seen(compiled(copy.deepcopy(start)))
        assert seen(plain(outside)) == seen(compiled(copy.deepcopy(outside)))


def seen(tree: Any) -> Any:
    """The parts of a result that can be compared."""
    if isinstance(tree, np.ndarray):
        return "array", tree.shape, tree.tolist()
    if isinstance(tree, dict):
        return type(tree).__name__, [(repr(key), seen(x)) for key, x in dict.items(tree)]
    if isinstance(tree, (list, tuple)):
        return type(tree).__name__, [seen(x) for x in tree]
    return tree


@pytest.mark.parametrize("kind", ["list", "array", "rows"])
def test_arguments_that_a_thread_changes_during_a_capture(kind: str) -> None:
    """Another thread changes the argument during the capture: later calls are right."""
    inside, changed = threading.Event(), threading.Event()

    def wait() -> None:
        if not changed.is_set():
            inside.set()
            assert changed.wait(30)

    argument: Any = [1.0, 2.0, 3.0] if kind == "list" else np.array([1.0, 2.0, 3.0])

    def change() -> None:
        assert inside.wait(30)
        if kind == "list":
            argument.clear()
        else:
            argument.resize((1,), refcheck=False)
        changed.set()

    def f(x: Any) -> Any:
        wait()
        return x * x if kind == "rows" else am.sum(list(x)) * 2.0

    compiled = jit(vmap(f)) if kind == "rows" else jit(f)
    thread = threading.Thread(target=change)
    thread.start()
    expected: Any = [1.0, 4.0, 9.0] if kind == "rows" else 12.0
    found = compiled(argument)
    thread.join()
    assert expected == (found.tolist() if kind == "rows" else found)
    if kind == "rows":
        assert [4.0] == compiled(np.array([2.0])).tolist()
        assert [4.0, 9.0, 16.0] == compiled(np.array([2.0, 3.0, 4.0])).tolist()
    else:
        kind_of = list if kind == "list" else np.array
        assert [14.0, 0.0, 18.0] == [
            compiled(kind_of([7.0])),
            compiled(kind_of([])),
            compiled(kind_of([2.0, 3.0, 4.0])),
        ]


def test_rows_that_the_function_replaces_while_it_is_captured() -> None:
    """Rows are computed as they were when the call began, whatever happens to the array or its container."""
    table = {"x": np.array([1.0, 2.0, 3.0])}
    array = table["x"]

    def row(d: Any) -> Any:
        table["x"] = np.array([[9.0, 9.0]])
        array.resize((100_000,), refcheck=False)
        array.resize((1,), refcheck=False)
        return d["x"] * 2.0

    compiled = jit(vmap(row))
    assert [2.0, 4.0, 6.0] == compiled(table).tolist()
    assert [8.0, 10.0] == compiled({"x": np.array([4.0, 5.0])}).tolist()


def test_rows_whose_array_shrinks_between_paths() -> None:
    """A second branch is captured in the middle of a call; its rows are those at the beginning of the call."""
    array = np.array([1.0, -2.0, 3.0, -4.0])

    def row(x: Any) -> Any:
        if x < 0.0:
            array.resize((1,), refcheck=False)
            return -x
        return x * 10.0

    compiled = jit(vmap(row))
    assert [10.0, 2.0, 30.0, 4.0] == compiled(array).tolist()
    assert [5.0, 50.0] == compiled(np.array([-5.0, 5.0])).tolist()


def test_rows_resized_while_machine_code_runs() -> None:
    """An array is not resized while its rows are read, because NumPy's own check sees that it is in use."""
    holder = {"x": np.full(200_000, 0.5)}
    compiled = jit(vmap(lambda d: am.sin(d["x"]) * am.exp(d["x"])))
    (expected,) = compiled({"x": np.array([0.5])})
    stop, sizes = threading.Event(), set()

    def resize() -> None:
        size = 200_000
        while not stop.is_set():
            try:
                holder["x"].resize((300_000 - size,))
            except ValueError:
                continue
            size = 300_000 - size
            if size == 200_000:
                holder["x"][100_000:] = 0.5

    thread = threading.Thread(target=resize)
    thread.start()
    for _ in range(200):
        found = compiled(holder)
        sizes.add(len(found))
        assert expected == found[0] == found[99_999]
        assert found[-1] in (expected, 0.0)
    stop.set()
    thread.join()
    assert sizes <= {100_000, 200_000}


def test_leaves_are_named_as_the_arguments_were() -> None:
    """The printed program has the names of the arguments at the beginning of the captured call."""
    held = {"a": 1.0, "b": 2.0}

    def f(d: Any) -> Any:
        held.clear()
        return d["a"] * d["b"]

    compiled = jit(f)
    assert 2.0 == compiled(held)
    assert "d['a']" in compiled.program()
    assert "d['b']" in compiled.program()


def test_arguments_that_the_caller_changes_later() -> None:
    """A second derivative through a compiled node is taken at the numbers of the call."""
    xs = [Value(2.0), 3.0]
    y = jit(lambda v: v[0] ** 2 * v[1])(xs)
    (first,) = [grad(lambda v: jit(lambda u: u[0] ** 2 * u[1])([v, 3.0]))(2.0)]
    xs[1] = 100.0
    xs.append(1.0)
    y.backward()
    assert (12.0, 12.0) == (xs[0].grad, first)


def test_equal_structures_share_machine_code() -> None:
    """The signature describes the fast path: all plain containers, also with keys that are not text."""
    compiled = jit(lambda d: d[5] * d[None][0] + d["x"])
    for k in range(3):
        assert 5.0 + k == compiled({5: 2.0, None: (2.0,), "x": 1.0 + k})
    assert 1 == compiled_paths(compiled)


# ---- settings ------------------------------------------------------------------------------------------------------


class Scaled(Module):
    """A module with one parameter and a setting."""

    def __init__(self, setting: Any) -> None:
        self.w = Value(2.0)
        self.setting = setting

    def __call__(self, x: Any) -> Any:
        """One number."""
        return self.w * x * number_of(self.setting)


def number_of(setting: Any) -> float:
    """A number that depends on everything in a setting."""
    text = repr(setting.tolist()) if isinstance(setting, np.ndarray) else repr(setting)
    return float(sum(ord(c) * (i + 1) for i, c in enumerate(text)) + 1000 * len(getattr(setting, "shape", ())))


@dataclasses.dataclass
class Config:
    """A setting that has settings."""

    rate: Any
    inner: Any = None


class Plain:
    """An object that is compared by identity and by its attributes."""

    def __init__(self, rate: Any) -> None:
        self.rate = rate

    def __repr__(self) -> str:
        return f"Plain({self.rate!r})"


PAIRS = [
    (1, 1.0),
    (1, True),
    (0.0, -0.0),
    ("a", "b"),
    ("1", 1),
    ([1, 2], [1, 3]),
    ([1, 2], (1, 2)),
    ([1], [1.0]),
    ([True], [1]),
    ({"a": 1}, {"a": 2}),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({1: 2}, {True: 2}),
    ({1, 2}, {1, 3}),
    (np.array([1.0, 2.0]), np.array([1.0, 3.0])),
    (np.array([1, 2]), np.array([1.0, 2.0])),
    (np.array([0.0]), np.array([-0.0])),
    (np.zeros((2, 1)), np.zeros((1, 2))),
    (np.zeros(1000), np.concatenate([np.zeros(999), [1.0]])),
    (np.float64(1.0), 1.0),
    (Config(1), Config(1.0)),
    (Config(1, [2]), Config(1, [3])),
    (types.SimpleNamespace(a=1), types.SimpleNamespace(a=2)),
    (functools.partial(max, 1), functools.partial(max, 2)),
    (bytearray(b"a"), bytearray(b"b")),
    (collections.deque([1]), collections.deque([2])),
    (collections.Counter("aab"), collections.Counter("abb")),
    (collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1)),
    (None, 0),
    (b"a", "a"),
    (1j, 2j),
    (range(3), range(4)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda x: type(x).__name__)
def test_settings_that_differ(first: Any, second: Any) -> None:
    """Settings that a function can tell apart never share machine code, wherever they are."""
    assert exact(first) != exact(second)
    assert exact(copy.deepcopy(first)) == exact(first)
    for wrap in (lambda x: x, lambda x: [x], lambda x: {"k": (x,)}):
        value, gradient = jit(lambda m, x: m(x)), jit(grad(lambda m, x: m(x)))
        for setting in (first, second, first, second):
            model = Scaled(wrap(setting))
            assert model(3.0).data == value(model, 3.0).data
            assert 3.0 * number_of(wrap(setting)) == gradient(model, 3.0).w.data
        assert 2 == len(gradient.paths())


@pytest.mark.parametrize(
    "setting", [one for pair in PAIRS for one in pair] + [float("nan")], ids=lambda x: type(x).__name__
)
def test_equal_settings_are_compiled_once(setting: Any) -> None:
    """Models with equal settings share machine code, also if they are made again."""
    compiled = jit(grad(lambda m, x: m(x)))
    for _ in range(3):
        compiled(Scaled(copy.deepcopy(setting)), 3.0)
    assert 1 == len(compiled.paths())


@pytest.mark.parametrize(
    ("setting", "change"),
    [
        ([1, 2], lambda s: s.append(3)),
        ({"a": [1]}, lambda s: s["a"].append(2)),
        ({1}, lambda s: s.add(2)),
        (np.array([1.0, 2.0]), lambda s: s.__setitem__(0, 5.0)),
        (np.arange(2000.0), lambda s: s.__setitem__(1500, 5.0)),
        (Config([1]), lambda s: s.rate.append(2)),
        (types.SimpleNamespace(a=1), lambda s: setattr(s, "a", 2)),
        (Plain(1), lambda s: setattr(s, "rate", 2)),
        (Plain(Plain([1])), lambda s: s.rate.rate.append(2)),
        ([Plain(1)], lambda s: setattr(s[0], "rate", 1.0)),
        (bytearray(b"ab"), lambda s: s.extend(b"c")),
        (collections.deque([1]), lambda s: s.append(2)),
        (collections.Counter("aab"), lambda s: s.update("b")),
        (collections.defaultdict(int, a=1), lambda s: s.update(b=1)),
        (functools.partial(max, [1]), lambda s: s.args[0].append(2)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_a_setting_that_is_changed_in_place(setting: Any, change: Any) -> None:
    """A setting changed in place between calls is noticed."""
    model, value, gradient = Scaled(setting), jit(lambda m, x: m(x)), jit(grad(lambda m, x: m(x)))
    for act in (lambda s: None, change, lambda s: None):
        act(setting)
        assert model(3.0).data == value(model, 3.0).data
        assert model(3.0).data == 2.0 * gradient(model, 3.0).w.data
    assert 2 == len(gradient.paths())


def test_functions_as_settings() -> None:
    """A function is compared by identity, a method by its function and its instance."""
    for first, second in ((am.sin, am.cos), (lambda x: x, lambda x: x * 2.0), (Plain(1).__repr__, Plain(1).__repr__)):
        assert exact(first) == exact(first)
        assert exact(first) != exact(second)
    compiled = jit(lambda m, x: m.setting(m.w * x))
    for function in (am.sin, am.cos, am.sin):
        assert function(6.0) == pytest.approx(compiled(Scaled(function), 3.0).data, rel=1e-15)


def test_a_setting_that_holds_itself() -> None:
    """A container that holds itself is described by its place."""
    one: list[Any] = [1]
    one.append(one)
    other: list[Any] = [1]
    other.append(other)
    assert exact(one) == exact(other)
    assert exact(one) != exact([1, [1]])
    plain = Plain(None)
    plain.rate = [plain]
    assert exact(plain) == exact(plain)


class Stack(Module):
    """Modules, functions and numbers in one list."""

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps)
        self.named = {"neuron": Neuron(1, seed=1, activation="tanh"), "repeat": 2, 5: "text"}

    def __call__(self, x: Any) -> Any:
        """One number."""
        for step in self.steps:
            x = step([x]) if isinstance(step, Module) else step(x) if callable(step) else x * step
        for _ in range(self.named["repeat"]):
            x = self.named["neuron"]([x])
        return x + len(self.named[5])


def test_settings_beside_modules_in_a_list_or_dict() -> None:
    """Things beside modules in a container are settings: eager and compiled derivatives agree, changes are seen."""

    def loss(m: Any, x: Any) -> Any:
        return m(x) ** 2

    model = Stack(Neuron(1, seed=2, activation="tanh"), am.exp, 3, Neuron(1, seed=3))
    compiled = jit(value_and_grad(loss))
    changes: list[Callable[[], Any]] = [
        lambda: None,
        lambda: model.steps.__setitem__(1, am.sin),
        lambda: model.steps.__setitem__(2, 3.5),
        lambda: model.named.update(repeat=3),
        lambda: model.named.update({5: "longer"}),
        lambda: model.steps.insert(1, am.tanh),
    ]
    for change in changes:
        change()
        value, gradient = value_and_grad(loss)(model, 0.7)
        found, by_model = compiled(model, 0.7)
        assert value.data == pytest.approx(found.data, rel=1e-13)
        assert flatten(gradient)[0] == pytest.approx(flatten(by_model)[0], rel=1e-12)
        assert [type(step) for step in model.steps] == [type(step) for step in by_model.steps]
        assert model.named.keys() == by_model.named.keys()
        assert (model.named["repeat"], model.named[5]) == (by_model.named["repeat"], by_model.named[5])
        assert 6 == len(flatten(by_model)[0]) == len(model.parameters())
    assert len(changes) == len(compiled.paths())
    twin = gradient.__class__
    assert twin is Stack
    again = value_and_grad(loss)(gradient, 0.7)[0]  # a twin is a model too
    assert again.data == pytest.approx(jit(value_and_grad(loss))(gradient, 0.7)[0].data, rel=1e-13)


class Keyed:
    """A key whose representation says nothing."""

    def __repr__(self) -> str:
        return "key"


def test_keys_that_share_a_representation() -> None:
    """Keys are compared as objects, not by their repr."""
    first, second = Keyed(), Keyed()
    compiled = jit(lambda d: d[first] * 2.0 if first in d else d[second] * 10.0)
    assert [2.0, 10.0, 2.0] == [compiled({first: 1.0}), compiled({second: 1.0}), compiled({first: 1.0})]
    order = jit(lambda d: [x * (1.0 if key is first else 10.0) for key, x in d.items()])
    assert [1.0, 20.0] == order({first: 1.0, second: 2.0})
    assert [10.0, 2.0] == order({second: 1.0, first: 2.0})
    kinds = jit(
        lambda d: [x * (2.0 if type(key) is bool else 3.0 if type(key) is int else 5.0) for key, x in d.items()]
    )
    for key, factor in ((1, 3.0), (True, 2.0), (1.0, 5.0), (1, 3.0), (np.int64(1), 5.0)):
        assert [factor] == kinds({key: 1.0})


def test_a_signature_never_changes() -> None:
    """A later change of the arguments changes neither the signature of a call nor what it rebuilds."""
    model = Scaled([1, {"a": [2]}])
    args = ([1.0, [2.0]], {"k": np.ones(2)}, model)
    reading = read_call("f", args, {"z": [3.0]})
    before, hashed = copy.copy(reading.signature), hash(reading.signature)
    built = repr(reading.rebuild(reading.leaves))
    args[0].append(5.0)
    args[1]["k"] = 1.0
    model.setting[1]["a"].append(3)
    assert before == reading.signature
    assert hashed == hash(reading.signature)
    assert not reading.settled()
    model.setting[1]["a"].pop()
    assert reading.settled()
    assert built == repr(reading.rebuild(reading.leaves))
    assert read_call("f", args, {}).signature != before


def test_a_setting_that_changes_during_a_capture() -> None:
    """A program captured while a setting changed is not kept: no later call runs it."""
    model = Scaled([1.0])

    def f(m: Any, x: Any) -> Any:
        first = m.setting[0]
        if len(model.setting) == 1:
            model.setting[:] = [5.0, 5.0]
        return m.w * x * (first + m.setting[0])

    compiled = jit(f)
    assert 2.0 * 3.0 * 6.0 == compiled(model, 3.0).data
    assert 2.0 * 3.0 * 10.0 == compiled(model, 3.0).data
    model.setting = [1.0, 1.0]
    assert 2.0 * 3.0 * 2.0 == compiled(model, 3.0).data
    fresh = Scaled([1.0])
    assert 2.0 * 3.0 * 2.0 == compiled(fresh, 3.0).data


@dataclasses.dataclass
class Row:
    """Rows with a setting."""

    x: Any
    how: Any = "twice"


def test_settings_of_rows() -> None:
    """Everything in a container of rows besides its arrays belongs to the signature."""
    compiled = jit(vmap(lambda r: r.x * (2.0 if r.how == "twice" else 3.0)))
    for how, factor in (("twice", 2.0), ("thrice", 3.0), ("twice", 2.0)):
        assert [factor, 2.0 * factor] == compiled(Row(np.array([1.0, 2.0]), how)).tolist()
        assert [factor, 2.0 * factor] == compiled([Row(1.0, how), Row(2.0, how)])
        assert [factor, 2.0 * factor] == vmap(compiled.function.__wrapped__)(Row(np.array([1.0, 2.0]), how)).tolist()
    mixed = [Row(1.0, "twice"), Row(2.0, "thrice")]
    assert [2.0, 6.0] == compiled(mixed)


class Shared:
    """A class that defines its own children, with a class attribute and a setting."""

    kind: ClassVar[str] = "shared"

    def __init__(self, weights: Any, power: Any) -> None:
        self.weights, self.power = weights, power

    def tree_flatten(self) -> Any:
        """Two children of one attribute, and how to rebuild."""
        named = [("weights[0]", self.weights[0]), (".weights[1]", self.weights[1])]
        return named, lambda new: Shared(list(new), self.power)


def test_a_class_with_tree_flatten() -> None:
    """Its settings belong to the signature, the attribute that holds its children does not."""
    compiled = jit(grad(lambda s: s.weights[0] ** s.power * s.weights[1]))
    for power in (2, 3, 2):
        for _ in range(2):
            gradient = compiled(Shared([3.0, 5.0], power))
            assert [power * 3.0 ** (power - 1) * 5.0, 3.0**power] == gradient.weights
    assert 2 == compiled_paths(compiled)


def test_pickles_of_compiled_functions_with_settings() -> None:
    """A compiled function that has seen settings can be pickled and still distinguishes them."""
    compiled = jit(value_of_module)
    assert 2.0 * 3.0 * number_of("a") == compiled(Scaled("a"), 3.0).data
    again = pickle.loads(pickle.dumps(compiled))
    for setting in ("b", "a", [1]):
        assert 2.0 * 3.0 * number_of(setting) == again(Scaled(setting), 3.0).data


def value_of_module(m: Any, x: Any) -> Any:
    """A function with a name."""
    return m(x)


def test_reading_costs_no_second_look() -> None:
    """Every container of the arguments is read once, also in a call that captures."""
    looks: list[str] = []

    class Counted(list[Any]):
        def __iter__(self) -> Any:
            looks.append("iter")
            return super().__iter__()

    class Asked:
        def __init__(self, x: Any) -> None:
            self.x = x

        def tree_flatten(self) -> Any:
            looks.append("flatten")
            return [(".x", self.x)], Asked

    jit(lambda c, a: a.x[0])(Counted([1.0]), Asked([2.0]))
    assert ["flatten"] == looks


@pytest.mark.parametrize("number", [10**400, -(10**5000), Fraction(10**400, 3)], ids=type)
def test_numbers_that_no_float_comes_near(number: Any) -> None:
    """Python computes with such an int, or raises; a compiled function refuses it wherever it stands."""
    double = jit(lambda x: x)
    double(1.0)
    for tree in (number, [number, 1.0], {"a": (1, number)}, np.array([number, 1.0], object)):
        with pytest.raises(OverflowError, match=r"argument 0 of <lambda>.*: this (int|Fraction) is beyond the range"):
            double(tree)
    with pytest.raises(OverflowError, match="beyond the range"):
        jit(vmap(lambda x: x * 2.0))([1.0, number])
    assert math.inf == double(math.inf)


def test_hostile_containers() -> None:
    """Overridden methods run only in the function; contents are read by the methods of the base class."""

    class Lying(list[Any]):
        def __iter__(self) -> Any:
            return iter([1.0] * 100)

        def __len__(self) -> int:
            return 50

        def __getitem__(self, i: Any) -> Any:
            raise RuntimeError("no")

    class Hiding(dict[Any, Any]):
        def items(self) -> Any:
            return [("z", 9.0)]

        keys = values = __iter__ = items  # type: ignore[assignment]

    total = lambda t: list.__getitem__(t[0], 0) * dict.__getitem__(t[1], "a")  # noqa: E731
    for f in (jit(total), total):
        assert 6.0 == f([Lying([2.0]), Hiding(a=3.0)])
    for g in (jit(grad(total)), grad(total)):
        lying, hiding = g([Lying([2.0]), Hiding(a=3.0)])
        assert (Lying, Hiding) == (type(lying), type(hiding))
        assert ([3.0], [("a", 2.0)]) == (list.copy(lying), list(dict.items(hiding)))
    assert jit(lambda t: am.sum(list(t)))(Lying([2.0])) == 100.0


def test_signatures_of_plain_trees() -> None:
    """Different structures have different signatures."""
    trees: list[Any] = [
        1.0, None, [], (), {}, [1.0], (1.0,), [[1.0]], {"a": 1.0}, {"b": 1.0}, {"a": [1.0]}, [1.0, 2.0], [None],
        np.ones(1), np.ones((1, 1)), np.ones(0), np.array(1.0), {1: 1.0}, {True: 1.0}, {1.0: 1.0}, {"1": 1.0},
        {None: 1.0}, {(1,): 1.0}, {(True,): 1.0}, [(), []], [[], ()], [[1.0], 2.0], [1.0, [2.0]],
        collections.OrderedDict(a=1.0), collections.defaultdict(int, a=1.0), collections.defaultdict(list, a=1.0),
        Config(1.0), Config(1.0, 2.0), Config(1.0, "a"), Config("a", 1.0),
    ]  # fmt: skip
    signatures = [read(tree).signature for tree in trees]
    assert len(trees) == len(set(signatures))
    assert signatures == [read(copy.deepcopy(tree)).signature for tree in trees]


def test_the_short_way_is_still_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain arguments take the fast path after the first call."""
    if c_build.extension is None:
        pytest.skip("the C build only")
    compiled = jit(lambda d, x: d["a"][0] * x + d["b"])
    assert 7.0 == compiled({"a": (2.0,), "b": 1.0}, 3.0)
    monkeypatch.setattr(type(compiled), "_call", None)
    assert 9.0 == compiled({"a": (2.0,), "b": 1.0}, 4.0)


def _changed(x: Any) -> Any:
    """A function that changes its array: only it sees these elements."""
    x[0] = x[1] * 2.0
    return am.dot(x, x)


X, Y, M = np.linspace(0.5, 2.0, 6), np.linspace(-1.0, 1.0, 6), np.arange(6.0).reshape(2, 3)
WHOLE: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "one": (value_and_grad(lambda x: am.logsumexp(x)), (X,)),
    "unused": (value_and_grad(lambda x, y: am.sum(y), (0, 1)), (X, Y)),
    "constant": (grad(lambda x: 3.0), (X,)),
    "another": (grad(lambda x, y: am.dot(x, y), 1), (X, Y)),
    "both": (grad(lambda x, y: am.dot(x, y) * x[0], (1, 0)), (X, Y)),
    "matrix": (grad(lambda m, x: am.sum((m @ x[:3]) ** 2), (0, 1)), (M, X)),
    "dict": (value_and_grad(lambda p, x: p["b"] * am.dot(p["w"], x)), ({"w": X, "b": 2.0}, Y)),
    "with a number": (grad(lambda a, x: a * am.sum(x), (0, 1)), (2.0, X)),
    "aux": (value_and_grad(lambda x: (am.sum(x * x), x[::-1]), has_aux=True), (X,)),
    "aux is the argument": (grad(lambda x: (am.sum(x), x), has_aux=True), (X,)),
    "empty": (grad(lambda x, y: am.sum(x) + am.sum(y), (0, 1)), (np.zeros(0), Y)),
    "no dimensions": (grad(lambda x, y: x * am.sum(y), (0, 1)), (np.array(2.0), Y)),
    "second": (grad(lambda x: am.sum(grad(lambda y: am.sum(y**3))(x))), (X,)),
    "twice": (grad(lambda x, y: am.dot(x, y), (0, 1)), (X, X)),
    "changed": (value_and_grad(_changed), (X,)),
    "branch": (value_and_grad(lambda x: x[0] * x[1] if am.sum(x) > 1.0 else x[2]), (X,)),
    "a row at a time": (value_and_grad(lambda m: am.sum(vmap(lambda row: am.dot(row, row))(m))), (M,)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_gradients_by_whole_arrays(name: str) -> None:
    """The array by which is differentiated stays one from the call to the function, and so does the gradient."""
    function, given = WHOLE[name]
    expected, actual = function(*given), jit(function)(*given)
    assert type(expected) is type(actual)
    (one, shape), (other, rebuilt) = flatten(expected), flatten(actual)
    assert str(shape(one)) == str(rebuilt(one))
    np.testing.assert_allclose(other, one, rtol=1e-14, atol=1e-14)


def test_the_self_of_a_method() -> None:
    """An object that is no tree is refused with the way out; that way works, and so does a dataclass."""

    class Plain:
        factor = 2.0

        @jit
        def scaled(self, x: float) -> float:
            return self.factor * x

        def plain(self, x: float) -> float:
            return self.factor * x

    @dataclasses.dataclass
    class Tree:
        factor: float

        @jit
        def scaled(self, x: float) -> float:
            return self.factor * x

    with pytest.raises(
        TypeError, match=r"make its class a dataclass.* compile the method of one object: jit\(it.scaled\)"
    ):
        Plain().scaled(3.0)
    one, other = Plain(), Tree(2.0)
    compiled = jit(one.plain)
    assert 6.0 == compiled(3.0) == other.scaled(3.0)
    one.factor = other.factor = 5.0
    assert 15.0 == compiled(3.0) == other.scaled(3.0)


def test_text_of_a_compiled_function() -> None:
    """repr names the function, in place of a class of the compiler."""

    def square(x: float) -> float:
        return x * x

    assert "<jit of square>" == repr(jit(square))
