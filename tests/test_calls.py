"""Nodes that stand for calls, checkpoints and compiled functions: the results of repeating the call are right.

Higher derivatives, other operands, copies and pickles all repeat the call. Its arguments may have changed
since: then the result is that of the first run, or an error.
"""

import copy
import functools
import gc
import json
import os
import pickle
import random
import subprocess
import sys
import threading
from collections import namedtuple
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import autograd.math as am
from autograd import (
    Value,
    checkpoint,
    compile_graph,
    custom_gradient,
    detect_anomaly,
    grad,
    hessian,
    hvp,
    jacobian,
    jit,
    jvp,
    no_grad,
    topological_order,
    vmap,
)
from autograd.compiler import Ungraphed
from autograd.tree import flatten, to_floats
from autograd.view import explain, flow

BOTH = pytest.mark.parametrize("keep", [checkpoint, jit])


def same(function):
    """In place of `checkpoint` or `jit`: the function itself."""
    return function


def close(expected, actual):
    """Equal except for the last digits; Values are compared by their numbers."""
    np.testing.assert_allclose(to_floats(actual), to_floats(expected), rtol=1e-12, atol=1e-14)


def derivatives(function):
    """A function and its first two derivatives."""
    return function, grad(function), grad(grad(function))


def second(function, x):
    """The second derivative, computed in four ways that must agree."""
    by_reverse = grad(grad(function))(x)
    close(by_reverse, jvp(grad(function), (x,), (1.0,))[1])
    close(by_reverse, hvp(function)(x, 1.0))
    close(by_reverse, hessian(function)(x))
    return by_reverse


# ---- what the second run sees ----------------------------------------------------------------------------------------


@BOTH
def test_closures_bound_late(keep):
    """A lambda in a loop sees the loop's variable as it was when the lambda was called."""
    layers = [lambda h: am.sin(h) * h, lambda h: h**3 + h, lambda h: am.exp(-h * h)]

    def deep(keep):
        def function(x):
            for layer in layers:
                x = keep(lambda h: layer(h))(x)  # noqa: B023  # that is the point
            return x

        return function

    close(second(deep(same), 0.7), second(deep(keep), 0.7))
    close(grad(grad(grad(deep(same))))(0.7), grad(grad(grad(deep(keep))))(0.7))


@BOTH
def test_an_argument_that_is_filled_anew(keep):
    """A list, a dict and a buffer change after the call: each call keeps its arguments as they were."""

    def looped(keep):
        step = keep(lambda s: am.sin(s[0]) * s[1])
        named = keep(lambda d: d["a"] * d["a"] * d["b"])
        weighted = keep(lambda b, h: b[0] * h**3 + b[1] * h**2)
        buffer = np.zeros(2)

        def function(x):
            s, d, total = [x, x * 2.0], {"a": x, "b": x * 3.0}, 0.0
            for i in range(3):
                s[0] = step(s)
                d["a"] = named(d)
                buffer[:] = [i, i + 1.0]
                total = total + weighted(buffer, x)
            return s[0] + d["a"] + total

        return function

    close(second(looped(same), 0.5), second(looped(keep), 0.5))


@dataclass
class State:
    """Two fields, and one that `__init__` does not take."""

    a: object
    b: list = field(default_factory=list)
    later: object = field(init=False)


Pair = namedtuple("Pair", "a b")


def test_arguments_of_all_kinds_are_kept():
    """Dataclasses, namedtuples, arrays of Values, subclasses of list and dict, and one list under two names."""

    class Stack(list):
        """A list with a name."""

        name = "stack"

    @checkpoint
    def step(state, pair, array, stack, one, other):
        one[0] = one[0] * 2.0  # visible through the other name
        return state.a * state.b[0] + pair.a * pair.b[0] + array[0] ** 2 * array[1] + stack[0] ** 3 + other[0] ** 2

    def function(x):
        state, pair = State(x, [x * 2.0]), Pair(x, [x])
        array, stack, shared = np.array([x, 3.0 * x]), Stack([x]), [x]
        y = step(state, pair, array, stack, shared, shared)
        state.a, state.b[0], pair.b[0], array[0], stack[0] = 7.0, 7.0, 7.0, 7.0, 7.0
        return y

    close(4.0 + 2.0 + 18.0 * 2.0 + 6.0 * 2.0 + 8.0, second(function, 2.0))


class Box:
    """A module with a number that is not a Value."""

    def __init__(self, number):
        self.number = number

    def tree_flatten(self):
        """Its child, and how to rebuild it."""
        return [(".number", self.number)], lambda new: Box(*new)


@pytest.mark.parametrize("argument", [Box(2.0), State(2.0, [3.0]), [2.0], {"a": [2.0]}, np.array([2.0])])
def test_arguments_of_a_function_that_closes_over_values_are_kept(argument):
    """Arguments without Values have a shorter code path; their contents may still change after the call."""

    def function(x):
        given = copy.deepcopy(argument)
        kept = jit(lambda tree: flatten(tree)[0][0] * x**3)
        kept(given)
        y = kept(given)
        if isinstance(given, Box):
            given.number = 100.0
        elif isinstance(given, State):
            given.a = 100.0
        elif isinstance(given, dict):
            given["a"][0] = 100.0
        else:
            given[0] = 100.0
        return y

    assert 24.0 == grad(grad(function))(2.0)


def test_functions_of_all_kinds_are_kept():
    """A function that calls itself, a partial, a method, defaults, a transform's result keep their variables."""

    def changed(number, keep):
        """The result of a kept function for this number; afterwards the function sees another factor."""

        def function(x):
            factor = 2.0

            def power(h, n):
                return h if n == 1 else h * power(h, n - 1) * factor

            class Model:
                def method(self, h):
                    return factor * h**3

            kinds = [
                lambda h: power(h, 3),
                functools.partial(power, n=3),
                lambda h, inner=power: inner(h, 3),
                Model().method,
                grad(lambda h: factor * h**4),
                functools.partial(lambda inner, h: inner(h), lambda h: factor * h**3),
            ]
            y = keep(kinds[number])(x)
            if keep is checkpoint:
                factor = 1000.0
            return y

        return function

    for number in range(6):
        expected = grad(grad(changed(number, lambda f: f)))(1.5)
        close(expected, grad(grad(changed(number, checkpoint)))(1.5))


def test_a_variable_rebound_between_the_runs():
    """The checkpoint keeps its closure's variables as they were, also those of functions that it calls."""

    def function(x):
        factor = 2.0

        def scaled(h):
            return factor * h**3

        y = checkpoint(lambda h: scaled(h))(x)
        factor = 100.0
        return y

    assert 24.0 == second(function, 2.0)


K = 2.0


def with_global(h):
    """A function of a global."""
    return K * (h - 2.0) ** 2


@pytest.mark.parametrize("at", [1.0, 2.0])
def test_a_global_rebound_between_the_runs(monkeypatch, at):
    """A checkpoint raises an error, even if value and gradient are the same; a compiled function keeps its number."""

    def through(keep):
        def function(x):
            monkeypatch.setattr(sys.modules[__name__], "K", 2.0)
            y = keep(with_global)(x)
            monkeypatch.setattr(sys.modules[__name__], "K", 3.0)
            return y

        return function

    with pytest.raises(
        ValueError, match=r"checkpoint\(with_global\) computed .* ran again.* global.*make it an argument"
    ):
        grad(grad(through(checkpoint)))(at)
    assert 4.0 == grad(grad(through(jit)))(at)


@BOTH
@pytest.mark.parametrize("at", [1.0, 2.0])
def test_data_assigned_between_value_and_second_derivative(keep, at):
    """Training between the two raises an error that says so."""
    w = Value(3.0)
    kept = keep(lambda h: w * (h - 2.0) ** 2)

    def function(x):
        w.data = 3.0
        y = kept(x)
        w.data = 4.0
        return y

    with pytest.raises(ValueError, match=r"(checkpoint|jit)\(<lambda>\) .*(Differentiate|differentiate) before"):
        grad(grad(function))(at)
    assert 6.0 == grad(grad(kept))(at) * 3.0 / w.data


def test_numbers_that_a_compiled_function_only_reads_stay_as_they_were():
    """A Value read by `.data` is not an operand: the second derivative uses its number at the call."""
    w = Value(3.0)
    kept = jit(lambda h: w.data * (h - 2.0) ** 2)

    def function(x):
        w.data = 3.0
        y = kept(x)
        w.data = 4.0
        return y

    assert 6.0 == grad(grad(function))(2.0)


def test_random_numbers_in_a_checkpoint_are_refused():
    """They differ in the second run; drawn outside, they are an argument like any other."""
    noisy = checkpoint(lambda h: h**2 * random.random())
    with pytest.raises(ValueError, match="random number"):
        grad(grad(noisy))(1.0)
    scaled = checkpoint(lambda h, r: h**2 * r)
    assert 0.5 == grad(grad(lambda x: scaled(x, 0.25)))(1.0)


def test_an_equal_value_in_place_of_another_is_not_confused():
    """Rebinding a name to an equal Value: the derivative still belongs to the one that the first run used."""
    box = [Value(3.0)]

    def function(w):
        box[0] = w
        y = checkpoint(lambda h: box[0] ** 2 * h)(2.0)
        box[0] = Value(w.data)
        return y

    assert 4.0 == grad(grad(function))(3.0)


def test_an_exception_in_the_second_run():
    """It reaches the user, with a note of where it happened; the next derivative is right again."""
    calls = []

    @checkpoint
    def fragile(h):
        calls.append(h)
        if len(calls) == 2:
            raise KeyError("gone")
        return h**3

    with pytest.raises(KeyError, match="gone") as caught:
        grad(grad(fragile))(2.0)
    assert "checkpoint(fragile) ran again" in caught.value.__notes__[0]
    assert 12.0 == grad(grad(fragile))(2.0)


def test_a_counter_in_the_closure_counts_once_for_each_run():
    """The first run changes the function's own variables; a second run starts where the first one started."""
    count = 0

    def function(h):
        nonlocal count
        count += 1
        return h**3 * count

    assert 12.0 == grad(grad(checkpoint(function)))(2.0)
    assert 1 == count
    assert 24.0 == grad(grad(checkpoint(function)))(2.0)


# ---- nested, and in transforms ---------------------------------------------------------------------------------------


def inner(keep, w):
    """A function with a branch, a sum and a Value from outside."""

    def function(h):
        big = keep(lambda t: t**3 * w if t > 1.0 else am.sin(t))(h)
        return keep(lambda t, u: [t * u, am.exp(0.1 * u) * w])(big, h)

    return function


@pytest.mark.slow
@pytest.mark.parametrize("outer", [checkpoint, jit])
@BOTH
def test_in_one_another(outer, keep):
    """Checkpoints of checkpoints and of compiled functions, and compiled checkpoints, to third order."""
    w = Value(1.5)

    def function(outer, keep):
        def total(x):
            a, b = outer(inner(keep, w))(x)
            return outer(lambda p, q: p * q + w * p)(a, b)

        return total

    for x in (0.7, 2.0):
        close(second(function(same, same), x), second(function(outer, keep), x))
        close(grad(grad(grad(function(same, same))))(x), grad(grad(grad(function(outer, keep))))(x))
        close(jacobian(grad(function(same, same)))(x), jit(jacobian(grad(function(outer, keep))))(x))
    expected, actual = [], []
    for found, kinds in ((expected, (same, same)), (actual, (outer, keep))):
        w.grad = 0.0
        grad(function(*kinds))(Value(2.0)).backward()
        found.append(w.grad)
    close(expected, actual)


@BOTH
def test_a_node_of_the_checkpoint_itself(keep):
    """A node that stands for an inner call is differentiated, and freed with the other nodes of the outer call."""
    x = Value(0.5)
    y = checkpoint(lambda h: keep(lambda t: t**3)(h) * h)(x)
    assert [x, y] == topological_order(y)
    close(12.0 * 0.25, grad(grad(checkpoint(lambda h: keep(lambda t: t**3)(h) * h)))(0.5))


@BOTH
def test_over_rows(keep):
    """Inside `vmap` and around it, with Values that all rows share."""
    xs, w = np.linspace(-1.0, 1.0, 7), Value(0.7)

    def function(keep):
        return keep(lambda a: am.sqrt(vmap(keep(lambda r: (w * r * a) ** 2 + 1.0), reduce="mean")(xs)) * a)

    close(second(function(same), 1.3), second(function(keep), 1.3))
    row = vmap(grad(grad(keep(lambda h: am.sin(h) * h))))
    close(vmap(grad(grad(lambda h: am.sin(h) * h)))(xs), row(xs))


@BOTH
def test_in_threads(keep):
    """Eight threads differentiate the same function; each has its own numbers."""
    w = Value(2.0)
    function = keep(lambda h: am.sin(w * h) * h)
    expected = [grad(grad(lambda h: am.sin(2.0 * h) * h))(0.1 * k) for k in range(8)]
    grad(grad(function))(0.3)
    found = [0.0] * 8

    def work(k):
        for _ in range(5):
            found[k] = grad(grad(function))(0.1 * k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close(expected, found)


@BOTH
def test_under_anomaly_detection_and_without_recording(keep):
    """The second run does not use the modes of its caller."""
    function = keep(lambda h: am.sin(h) * h)
    with detect_anomaly():
        close(second(lambda h: am.sin(h) * h, 0.5), grad(grad(function))(0.5))
    with no_grad():
        assert () == function(Value(0.5)).parents
        close(second(lambda h: am.sin(h) * h, 0.5), grad(grad(function))(0.5))


def test_what_is_not_selected_is_an_operand_without_a_message():
    """`max` sends no message to the smaller operand, but with other numbers the result depends on it."""
    x, z = Value(2.0), Value(1.0)
    y = checkpoint(lambda a, b: am.max(a, b) * 3.0)(x, z)
    assert ((x, z), (3.0, None)) == (y.operands, y.local_grads)
    again = compile_graph(y, [x, z])
    assert (6.0, 15.0) == (again(2.0, 1.0), again(2.0, 5.0))


# ---- on other operands -----------------------------------------------------------------------------------------------


@BOTH
def test_a_graph_with_such_a_node_is_compiled(keep):
    """`compile_graph` computes the call for the new numbers, like every other node (98, not 18)."""
    x, w = Value(2.0), Value(1.0)
    y = keep(lambda h: h * h * w)(x) * x + x * 5.0
    graph = compile_graph(y, [x, w])
    for at in (2.0, 3.0):
        assert at**3 * 2.0 + 5.0 * at == graph(at, 2.0)
        close([6.0 * at**2 + 5.0, at**3], grad(graph, argnums=(0, 1))(at, 2.0))
        close(12.0 * at, grad(grad(graph))(at, 2.0))
    w.data = 5.0
    only = compile_graph(y, [x, w]) if keep is jit else None
    assert only is None or only(1.0, 2.0) == 7.0


@BOTH
@pytest.mark.parametrize("outer", [checkpoint, jit, same])
def test_such_nodes_in_one_another_are_compiled(keep, outer):
    """The same for nested calls, several results and maps."""
    xs, w = np.linspace(-1.0, 1.0, 5), Value(1.5)

    def function(outer, keep):
        def whole(x):
            a, b = keep(lambda t: [t**3 * w, vmap(lambda r: am.exp(r * t) * w, reduce="sum")(xs)])(x)
            return keep(lambda p, q: p * q + w)(a, b)

        return outer(whole)

    x = Value(2.0)
    graph = compile_graph(function(outer, keep)(x), [x])
    for at in (2.0, 0.3):
        expected = function(same, same)
        close([f(at) for f in derivatives(expected)], [f(at) for f in derivatives(graph)])


@BOTH
def test_branches_are_those_that_were_recorded(keep):
    """A graph contains no branches; the call inside it also keeps the recorded one."""
    x = Value(2.0)
    graph = compile_graph(keep(lambda h: h**2 if h > 0.0 else -h)(x), [x])
    assert 9.0 == graph(-3.0)


@BOTH
def test_the_row_computes_the_value_for_other_numbers(keep):
    """On floats, and on Values, whose result has derivatives of all orders."""
    x, z = Value(2.0), Value(3.0)
    y = keep(lambda a, b: am.sin(a) * b)(x, z)
    assert y.op.value([2.0, 3.0]) == pytest.approx(y.data, rel=1e-14)
    assert y.op(1.0, 4.0) == y.op.evaluate([1.0, 4.0])
    close(-4.0 * np.sin(1.0), grad(grad(y.op))(1.0, 4.0))


@BOTH
def test_flow_checks_it_and_explain_shows_it(keep):
    """Finite differences go through the call."""
    x, w = Value(0.5, label="x"), Value(2.0, label="w")
    y = keep(lambda h: am.sin(h) * w)(x) * x
    checks = flow(y, check=True).record["checks"]
    assert 4 == len(checks)
    assert all(agrees for _, agrees in checks)
    assert f"{keep.__name__}(" in str(explain(y, x))


def test_a_checkpoint_that_has_changed_is_no_number_in_a_graph():
    """The second run is checked there too."""
    w, x = Value(3.0), Value(2.0)
    y = checkpoint(lambda h: h * w.data)(x)
    w.data = 4.0
    with pytest.raises(ValueError, match=r"checkpoint\(<lambda>\) computed 6\.0; .*it computed 8\.0"):
        compile_graph(y, [x])(1.0)
    with pytest.raises(ValueError, match=r"computed 6\.0"):
        flow(y, check=True)


# ---- copies and pickles ----------------------------------------------------------------------------------------------


@checkpoint
def kept_cube(x, scale):
    """A checkpoint at the top of a module."""
    return scale[0] * x**3


def cube(x):
    """A function at the top of a module."""
    return x**3


compiled_sine = jit(lambda x: am.sin(x) * x)
first = checkpoint(cube)


def graphs():
    """Graphs of nodes that stand for calls, each a function of x."""
    return [
        lambda x: kept_cube(x, [2.0]) * x,
        lambda x: first(x) * kept_cube(x * x, [x]),
        lambda x: compiled_sine(x) * jit(lambda t: t**3)(x),
        lambda x: first(compiled_sine(x)) * x,
    ]


@pytest.mark.parametrize("travel", [copy.deepcopy, lambda y: pickle.loads(pickle.dumps(y))], ids=["copy", "pickle"])
@pytest.mark.parametrize("number", range(4))
def test_first_and_second_derivatives_after_travel(travel, number):
    """They equal those of the original, and belong to the copy's own leaves."""
    function = graphs()[number]
    x = Value(0.8, label="x")
    gradient = grad(function)(x)  # its graph contains the second derivatives
    for y in (function(x), gradient):
        x.grad = 0.0
        twin = travel(y)
        (leaf,) = [node for node in topological_order(twin) if node.label == "x"]
        y.backward()
        twin.backward()
        assert (y.data, x.grad) == (twin.data, leaf.grad)
        meant = function if y is not gradient else grad(function)
        again = compile_graph(twin, [leaf])
        close([meant(1.3), grad(meant)(1.3)], [again(1.3), grad(again)(1.3)])


def test_second_derivatives_of_a_node_that_travelled():
    """The node itself, in a sweep that computes its derivatives again."""
    x = Value(0.8)
    for y in (first(x), jit(cube)(x)):
        for twin in (copy.deepcopy(y), pickle.loads(pickle.dumps(y))):
            (leaf,) = twin.parents
            (slope,) = twin.op.local_derivatives((leaf,), twin)
            assert slope.data == pytest.approx(3.0 * 0.64, rel=1e-14)
            slope.backward()
            assert leaf.grad == pytest.approx(6.0 * 0.8, rel=1e-14)
            assert 0.0 == x.grad


@pytest.mark.slow
def test_graphs_are_loaded_in_another_process(tmp_path):
    """They find functions by name; compiled functions need no name, because the pickle contains their programs."""
    x = Value(0.8, label="x")
    y = kept_cube(x, [2.0]) * jit(lambda t: am.sin(t))(x)
    (tmp_path / "graph.pickle").write_bytes(pickle.dumps(y))
    script = (
        "import json, pickle, sys\n"
        "from autograd import grad, topological_order\n"
        "from autograd import compile_graph\n"
        "y = pickle.load(open(sys.argv[1], 'rb'))\n"
        "x = topological_order(y)[0]\n"
        "y.backward()\n"
        "g = compile_graph(y, [x])\n"
        "print(json.dumps([y.data, x.grad, g(1.1), grad(grad(g))(1.1)]))\n"
    )
    root = Path(__file__).parent.parent
    told = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "graph.pickle")],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (root, root / "tests")))},
    )
    y.backward()
    plain = lambda t: 2.0 * t**3 * am.sin(t)  # noqa: E731
    close([y.data, x.grad, plain(1.1), grad(grad(plain))(1.1)], json.loads(told.stdout))


def test_a_checkpoint_without_a_name_is_refused_when_it_is_pickled():
    """The error is raised by `dumps` and says what to do."""
    y = checkpoint(lambda h: h**2)(Value(1.0)) * 2.0
    with pytest.raises(
        pickle.PicklingError, match=r"checkpoint\(<lambda>\) cannot be pickled: .* at the top of a module"
    ):
        pickle.dumps(y)
    assert 2.0 == copy.deepcopy(y).data


def test_a_pickle_does_not_grow_with_the_chain_twice():
    """A checkpoint has its own leaves as arguments in a pickle, so a pickle grows linearly with a chain."""

    def size(n):
        x = Value(0.5)
        for _ in range(n):
            x = first(x)
        return len(pickle.dumps(x))

    assert size(80) < 2.5 * size(40)


def test_a_compiled_function_is_itself_when_it_is_copied():
    """Like a plain function; the copy of a compiled lambda also compiles new branches."""
    function = jit(lambda x: x**2 if x > 0.0 else -x)
    assert 4.0 == function(2.0)
    for twin in (copy.copy(function), copy.deepcopy(function), copy.deepcopy({"f": function})["f"]):
        assert twin is function
        assert 3.0 == twin(-3.0)


# ---- long chains -----------------------------------------------------------------------------------------------------


def fed_to_itself(times, kept=jit):
    """A gradient by 20 Values, applied to its own result."""
    leaves = [Value(0.1 * i) for i in range(20)]

    def loss(v):
        return am.sum([a * a * b for a, b in pairwise(v)]) * 0.01 + am.sum([a * a for a in v]) * 0.45

    gradient, v = kept(grad(loss)), leaves
    for _ in range(times):
        v = gradient(v)
    return leaves, v


def test_a_gradient_fed_to_itself():
    """The graph of the result is that of eager code."""
    found = []
    for kept in (jit, same):
        leaves, v = fed_to_itself(30, kept)
        assert (kept is jit) == isinstance(v[0], Ungraphed)
        am.sum([x * x for x in v]).backward()
        found.append([x.grad for x in leaves])
    close(*found)


@pytest.mark.slow
def test_a_gradient_fed_to_itself_two_thousand_times():
    """There is no recursion, neither in differentiation nor when the graph is freed."""
    leaves, v = fed_to_itself(2000)
    v[0].backward()
    assert 0.0 != leaves[0].grad
    assert 10_000 < len(topological_order(v[1]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["checkpoint", "jit", "closure", "ungraphed"])
def test_long_chains_are_freed(kind):
    """Twenty thousand calls, each on the result of the last, are freed with a stack of 13 bytes for each."""
    steps = {
        "checkpoint": checkpoint(lambda h: h * 0.99),
        "jit": jit(lambda h: h * 0.99),
        "closure": lambda h: checkpoint(lambda: h * 0.99)(),
    }

    def work():
        if kind == "ungraphed":
            fed_to_itself(20_000)
        else:
            x = Value(1.0)
            for _ in range(20_000):
                x = steps[kind](x)
            x.backward()
        done.append(kind)

    done = []
    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert [kind] == done


def test_nothing_is_kept_by_a_cycle():
    """Nodes that stand for calls are freed at once, together with what they kept."""
    from weakref import ref

    gc.disable()
    try:
        for keep in (checkpoint, jit):
            array, function = np.arange(3.0), keep(lambda a, h: a[1] * h**2)
            for _ in range(2):
                y = function(array, Value(2.0))
                call = ref(y.op.call) if keep is checkpoint else ref(y)
                del y
                assert call() is None
    finally:
        gc.enable()


def test_a_user_primitive_inside():
    """The second run also runs a primitive that is written in Python."""

    @custom_gradient(lambda x, y: 3.0 * x**2)
    def own_cube(x):
        return x**3

    for keep in (checkpoint, jit):
        x = Value(2.0)
        y = keep(lambda h: own_cube(h) * h)(x)
        graph = compile_graph(y, [x])
        close([81.0, 108.0, 108.0], [graph(3.0), grad(graph)(3.0), grad(grad(graph))(3.0)])
