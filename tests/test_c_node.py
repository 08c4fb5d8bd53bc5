"""The C build is the class of value.py: the same results bit for bit, the same attributes and errors, no leaks."""

from __future__ import annotations

import array
import asyncio
import copy
import importlib.util
import math
import operator
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import weakref
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import ClassVar

import numpy as np
import pytest
from amount import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from two_builds import PYTHON, C, bits, needs_c, outcome, seen

import autograd

ROOT = Path(__file__).parents[1]
OURS = autograd.Value  # from the build that this process imports; pickle finds this one
pytestmark = [needs_c, pytest.mark.filterwarnings("ignore::RuntimeWarning")]  # NumPy and SciPy warn of extreme numbers

floats = st.floats(width=64) | st.sampled_from([0.0, -0.0, 0.5, 1.0, -1.0, 2.0, -2.0, 3.0, 1e-310, 709.0, -745.0])
FIXED = [name for name, rule in C.rules_module.TABLE.items() if rule.arity is not None]
FROM_SCIPY = ("digamma", "polygamma")
MANY = [name for name, rule in C.rules_module.TABLE.items() if rule.arity is None]


def both(run):
    """Run something on each build and return the two outcomes, which must be equal."""
    return outcome(run, PYTHON), outcome(run, C)


# ---- formulas -------------------------------------------------------------------------------------------------------


def test_the_generated_header_is_current():
    """autograd/_c/rules.h is what tools/generate_rules.py makes of the table."""
    script = ROOT / "tools" / "generate_rules.py"
    spec = importlib.util.spec_from_file_location("generate_rules", script)
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert generator.header() == generator.HEADER.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", FIXED)
@given(data=st.data())
@settings(max_examples=examples(200))
def test_rows_agree_bit_for_bit(name, data):
    """Value and local derivatives of every primitive, on Values and constants of any size."""
    arity = C.rules_module.TABLE[name].arity
    moderate = st.floats(-50.0, 50.0)  # SciPy's zeta function takes one step per whole number below 0
    numbers = data.draw(st.tuples(*[moderate if name in FROM_SCIPY else floats] * arity))
    constant = data.draw(st.tuples(*[st.booleans()] * arity))

    def run(build):
        operands = [x if fixed else build.Value(x) for x, fixed in zip(numbers, constant)]
        return build.rules_module.TABLE[name](*operands)

    expected, actual = both(run)
    assert expected == actual


@pytest.mark.parametrize("name", MANY)
@given(data=st.data())
@settings(max_examples=examples(200))
def test_rows_of_many_operands_agree_bit_for_bit(name, data):
    """The same for sums, products, maxima and other n-ary primitives, with ties and nans."""
    some = st.lists(floats | st.integers(-2, 2).map(float), max_size=9)
    numbers = data.draw(some)
    constant = data.draw(st.lists(st.booleans(), min_size=len(numbers), max_size=len(numbers)))

    def run(build):
        operands = [x if fixed else build.Value(x) for x, fixed in zip(numbers, constant)]
        return build.rules_module.TABLE[name](*operands)

    expected, actual = both(run)
    assert expected == actual


# ---- the whole class, on anything -----------------------------------------------------------------------------------

ANYTHING = st.sampled_from(
    [
        0, 1, -3, 10**400, -(10**400), True, False, 0.0, -0.0, 2.5, math.inf, math.nan, None, "3", b"3", 1j, 2 + 0j,
        Decimal("1.5"), Fraction(3, 2), Fraction(10**400), np.float64(1.5), np.float32(0.1), np.int64(7),
        np.bool_(True), np.complex128(1j), np.array(2.0), np.array([1.0, 2.0]), np.array([1, 2]),
        np.array([[1.0], [2.0]]), [], [1.0], [1.0, 2.0], (3.0,), {}, {"a": 1.0}, {1.0}, range(3),
        array.array("d", [1.0, 2.0]), array.array("f", [1.0]),
        bytearray(b"12345678"), object, len, NotImplemented, Ellipsis, "VALUE", "VALUES", "MIXED", "ROW", "SUBCLASS",
    ]
)  # fmt: skip  # a list of oddities

OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow, divmod,
    operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge, operator.iadd, operator.matmul,
    math.atan2, isinstance,
]  # fmt: skip
UNARY = [
    operator.neg, operator.pos, abs, round, math.floor, math.ceil, math.trunc, bool, float, int, complex, str, repr,
    len, iter, operator.index, math.exp, copy.copy, copy.deepcopy, callable,
]  # fmt: skip
METHODS = sorted(set(dir(C.Value)) - {n for n in dir(C.Value) if n.startswith("__")} - {"restore", *FROM_SCIPY})
DUNDERS = [
    "__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__", "__rtruediv__", "__mod__",
    "__rmod__", "__floordiv__", "__rfloordiv__", "__pow__", "__rpow__", "__lt__", "__eq__", "__ne__", "__ge__",
    "__divmod__", "__rdivmod__", "__round__", "__format__",
]  # fmt: skip
FUNCTIONS = sorted({n for n in C.math_module.__all__ if callable(getattr(C.math_module, n))} - set(FROM_SCIPY))


def subclass(build):
    """Return a subclass of a build's Value, the same for the same build."""
    if "Sub" not in vars(build):
        build.Sub = type("Sub", (build.Value,), {})
    return build.Sub


def real(build, thing, x):
    """Return the thing, or its counterpart in a build."""
    kinds = {
        "VALUE": lambda: build.Value(x),
        "VALUES": lambda: [build.Value(x), build.Value(2.0), x],
        "MIXED": lambda: (build.Value(x), 1, True, 2.5),
        "ROW": lambda: np.array([build.Value(x), build.Value(1.0), 3.0], dtype=object),
        "SUBCLASS": lambda: subclass(build)(x),
    }
    return kinds[thing]() if isinstance(thing, str) and thing in kinds else thing


def without_names(result):
    """Remove from a message what may differ: Python's own names of built-in functions."""
    if isinstance(result, tuple) and result[:2] == ("raised", "TypeError") and "argument" in result[2]:
        return result[:2]
    return result


@given(x=floats, other=ANYTHING, operation=st.sampled_from(OPERATORS))
@settings(max_examples=examples(1500))
def test_operators_agree_on_anything(x, other, operation):
    """Every binary operator, from both sides, on every kind of object: the same results or the same error messages."""
    for run in (
        lambda build: operation(build.Value(x, "x"), real(build, other, x)),
        lambda build: operation(real(build, other, x), build.Value(x, "x")),
        lambda build: operation(subclass(build)(x), real(build, other, x)),
    ):
        expected, actual = both(run)
        assert expected == actual


@given(x=floats, operation=st.sampled_from(UNARY))
@settings(max_examples=examples(300))
def test_conversions_and_unary_operators_agree(x, operation):
    """Every conversion and unary operator of Python."""
    expected, actual = both(lambda build: operation(build.Value(x, "x")))
    assert expected == actual


@pytest.mark.slow
@given(x=floats, name=st.sampled_from(METHODS + DUNDERS), others=st.lists(ANYTHING, max_size=3))
@settings(max_examples=examples(2500))
def test_methods_and_attributes_agree_on_anything(x, name, others):
    """Every method on up to three arguments of any kind, every attribute."""

    def run(build):
        attribute = getattr(build.Value(x, "x"), name)
        return attribute(*[real(build, other, x) for other in others]) if callable(attribute) else attribute

    if name in ("__pow__", "__rpow__") and len(others) > 1:
        return  # C and Python pass the modulus on differently; see the test of three arguments
    expected, actual = map(without_names, both(run))
    assert expected == actual


@pytest.mark.slow
@given(x=floats, name=st.sampled_from(FUNCTIONS), others=st.lists(ANYTHING, max_size=3), generator=st.booleans())
@settings(max_examples=examples(2500))
def test_functions_of_the_math_module_agree_on_anything(x, name, others, generator):
    """Every function of autograd.math, on arguments of any kind, also generators."""

    def run(build):
        operands = [real(build, other, x) for other in others]
        if generator:
            return getattr(build.math_module, name)(o for o in operands)
        return getattr(build.math_module, name)(*operands)

    expected, actual = map(without_names, both(run))
    assert expected == actual


@given(name=st.sampled_from(["data", "grad", "label", "nothing"]), thing=ANYTHING, computed=st.booleans())
@settings(max_examples=examples(400))
def test_assignments_agree_on_anything(name, thing, computed):
    """Assigning and deleting attributes of leaves and of computed nodes."""

    def run(build):
        node = build.Value(1.5) * 2.0 if computed else build.Value(1.5)
        setattr(node, name, real(build, thing, 0.5))
        return node

    def delete(build):
        node = build.Value(1.5) * 2.0 if computed else build.Value(1.5)
        delattr(node, name)

    expected, actual = both(run)
    assert expected == actual
    if name != "label":
        expected, actual = both(delete)
        assert expected == actual


@given(arguments=st.lists(ANYTHING, max_size=3), label=st.none() | ANYTHING)
@settings(max_examples=examples(400))
def test_construction_agrees_on_anything(arguments, label):
    """Value of anything, with and without a label, too few and too many arguments; the same for restore."""

    def run(build):
        options = {} if label is None else {"label": real(build, label, 1.0)}
        return build.Value(*[real(build, a, 1.0) for a in arguments], **options)

    def restore(build):
        given = [real(build, a, 1.0) for a in arguments]
        return build.Value.restore(2.0, build.rules_module.add, *given)

    for each in (run, restore):
        expected, actual = both(each)
        assert expected == actual


@given(
    outputs=st.sampled_from(["node", "nodes", "twice", "none", 3.0, None, ["x"]]),
    seeds=st.none() | ANYTHING | st.lists(ANYTHING, max_size=3),
    name=st.sampled_from(["backward", "record_sweep"]),
)
@settings(max_examples=examples(500))
def test_sweeps_agree_on_anything(outputs, seeds, name):
    """backward and record_sweep on one output, several, none and nonsense, with seeds of any kind."""

    def run(build):
        x, y = build.Value(2.0, "x"), build.Value(-3.0, "y")
        z = (x * y).where(x, y) if hasattr(x, "where") else x * y + x**2 * build.math_module.max(x, y, 1.0)
        chosen = {"node": z, "nodes": [z, x], "twice": [z, z, x], "none": []}
        what = chosen[outputs] if isinstance(outputs, str) else outputs
        weights = [real(build, s, 1.0) for s in seeds] if isinstance(seeds, list) else real(build, seeds, 1.0)
        result = getattr(build, name)(what, weights)
        return [x.grad, y.grad, z.grad, [tuple(m) for m in result or []]]

    expected, actual = both(run)
    assert expected == actual


def test_three_argument_pow_is_refused_alike():
    """pow(v, 2, 5) has no meaning for real numbers, in either build."""
    expected, actual = both(lambda build: pow(build.Value(2.0), 2, 5))
    assert expected == actual
    assert "TypeError" == actual[1]


def test_errors_name_the_class_as_python_does():
    """The interpreter's own messages say 'Value', not a dotted name."""
    with pytest.raises(TypeError, match=r"unsupported operand type\(s\) for \+: 'Value' and 'str'"):
        C.Value(1.0) + "x"
    assert ("Value", "autograd.value") == (C.Value.__name__, C.Value.__module__)


# ---- whole graphs ---------------------------------------------------------------------------------------------------


def random_graph(build, seed, size=60):
    """Return leaves and nodes of a random graph: the same for each build."""
    random = Random(seed)
    leaves = [build.Value(random.uniform(-2.0, 2.0), f"x{i}") for i in range(4)]
    nodes = list(leaves)
    for _ in range(size):
        name = random.choice([*FIXED, *MANY])
        if name in ("digamma", "polygamma", "gamma", "lgamma"):
            continue
        rule = build.rules_module.TABLE[name]
        count = random.randint(1, 5) if rule.arity is None else rule.arity
        operands = [random.choice(nodes) if random.random() < 0.8 else random.uniform(-2.0, 2.0) for _ in range(count)]
        made = rule(*operands)
        if not isinstance(made, float):
            nodes.append(made)
    return leaves, nodes


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_random_graphs_agree(seed):
    """Order, messages, gradients, forward and reverse sweeps, copies and pickles of the same random graph."""

    def run(build):
        _, nodes = random_graph(build, seed)
        places = {id(node): i for i, node in enumerate(nodes)}
        end = nodes[-1]
        order = build.topological_order(end, nodes[len(nodes) // 2])
        sent = build.record_sweep(end)
        adjoints = build.sweep_module.reverse(order, {end: 1.5})
        tangents = build.sweep_module.forward(order, {nodes[0]: 0.5})
        build.backward([end, nodes[5], end], [1.0, -2.0, 0.25])
        return [
            [places[id(node)] for node in order],
            [(places[id(m.node)], m.slot, places[id(m.operand)], *m[3:]) for m in sent],
            sorted((places[id(node)], bits(a)) for node, a in adjoints.items()),
            sorted((places[id(node)], bits(t)) for node, t in tangents.items()),
            nodes,
            copy.deepcopy(nodes),
            pickle.loads(pickle.dumps(nodes[-1])) if build.Value is OURS else copy.deepcopy(nodes[-1]),
        ]

    expected, actual = both(run)
    assert expected == actual


def test_pickles_are_portable_between_the_builds(tmp_path):
    """A process with one build reads the pickles of the other, and the reverse."""
    program = (
        "import pickle, sys, autograd\n"
        "graph = pickle.load(open(sys.argv[1], 'rb'))\n"
        "pickle.dump(graph, open(sys.argv[1], 'wb'))\n"
        "print(autograd.backend(), end='')"
    )
    x = OURS(1.25, "x")
    y = x * x + x.sin()
    y.backward()
    file = tmp_path / "graph"
    for pure, build in (("1", "python"), ("0", "c")):
        file.write_bytes(pickle.dumps([y, x]))
        environment = {**os.environ, "AUTOGRAD_PURE_PYTHON": pure, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", program, file], env=environment, capture_output=True, text=True)
        assert (build, "") == (done.stdout, done.stderr)
        y2, x2 = pickle.loads(file.read_bytes())
        assert (seen(y), seen(x)) == (seen(y2), seen(x2))
        assert y2.operands[0].operands[0] is x2


# ---- memory ---------------------------------------------------------------------------------------------------------


def references():
    """Return the reference count of every rule: each node holds a reference to its rule."""
    return {name: sys.getrefcount(rule) for name, rule in C.rules_module.TABLE.items()}


def test_a_node_is_small_and_unknown_to_the_garbage_collector():
    """At most 112 bytes with two operands, and not tracked by the collector."""
    import gc

    node = C.Value(1.0) * C.Value(2.0)
    assert 112 >= sys.getsizeof(node)
    assert not gc.is_tracked(node)
    assert 112 + 17 * 100 == sys.getsizeof(C.math_module.sum([C.Value(1.0)] * 100))


@pytest.mark.slow
def test_references_are_balanced_over_a_million_operations():
    """Random operations of all kinds, most of them nodes on nodes: no reference is left when they are freed."""
    rows = [C.rules_module.TABLE[name] for name in FIXED if "gamma" not in name]
    many = [getattr(C.math_module, name) for name in ("sum", "max", "mean", "logsumexp", "prod")]
    operators = [operator.add, operator.mul, operator.sub, operator.truediv, operator.pow]
    label = f"a label of its own: {len(rows)}"
    before, label_before = references(), sys.getrefcount(label)

    def work(pick):
        kept = []
        for step in range(1_000_000):
            if step % 500 == 0:
                kept = [C.Value(pick(), label) for _ in range(50)]
            a, b = kept[int(pick() * 50)], kept[int(pick() * 50)]
            if step % 32:
                made = operators[step % 5](a, b if step % 3 else pick())
            elif step % 64:
                made = many[step // 64 % 5]([a, b, 1.0, 2])
            else:
                made = rows[step // 64 % len(rows)](*(a, b, a)[: rows[step // 64 % len(rows)].arity])
            if step % 1000 == 499:
                made.backward()
                C.record_sweep(made)
                copy.deepcopy(made).zero_grad()
                made = pickle.loads(pickle.dumps(made)) if C.Value is OURS else made
            kept[int(pick() * 50)] = made

    work(Random(0).random)
    assert (before, label_before) == (references(), sys.getrefcount(label))


def test_errors_leave_no_half_built_node():
    """An exception while a node is made, from every place that can raise one, leaks nothing."""
    x, before = C.Value(-1.0), references()
    bad = C.custom_gradient(lambda x, y: "no number")(lambda x: x)
    worse = C.custom_gradient(lambda x, y: 1.0)(lambda x: 1 / 0)
    for _ in range(100):
        with pytest.raises(TypeError, match="is text"):
            bad(x)
        with pytest.raises(ZeroDivisionError):
            worse(x)
        with pytest.raises(C.AnomalyError), C.detect_anomaly():
            x.log()
        with pytest.raises(TypeError):
            C.math_module.sum([x, "1"])
        with pytest.raises(TypeError):
            C.Value.restore(1.0, C.rules_module.add, (x, x), (1.0, "1"))
        with pytest.raises(ValueError, match="2 operands need as many local derivatives, not 1"):
            C.Value.restore(1.0, C.rules_module.add, (x, x), (1.0,))
        with pytest.raises(RuntimeError, match="stop"):
            C.math_module.sum(stop_after(x))
    assert before == references()


def stop_after(x):
    """Yield a Value, then fail."""
    yield x
    raise RuntimeError("stop")


def test_missing_scipy_is_told_and_leaves_nothing(monkeypatch):
    """The primitive that needs SciPy raises ImportError through the C build too."""
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    monkeypatch.setitem(sys.modules, "scipy", None)
    x, before = C.Value(2.0), references()
    with pytest.raises(ImportError, match="scalar-autograd\\[special\\]"):
        x.lgamma()
    assert before == references()


@pytest.mark.slow
def test_a_deep_graph_is_freed_without_recursion():
    """A chain of a million nodes is freed at once; so is one of subclass instances, with and without a dict."""
    plain, slotted = type("Plain", (C.Value,), {}), type("Slotted", (C.Value,), {"__slots__": ()})
    for kind in (C.Value, plain, slotted):
        node = first = kind(1.0)
        for _ in range(300_000):
            node = kind.restore(1.0, C.rules_module.neg, (node,), (-1.0,))
        node.backward()
        assert 1.0 == first.grad
        gone = weakref.ref(node)
        del node
        assert gone() is None
        assert 2 == sys.getrefcount(first)


@pytest.mark.slow
def test_memory_comes_back_in_order():
    """Graphs that are freed in any order return their memory; the next graph uses it."""
    import resource

    random = Random(1)

    def build():
        kept = [C.Value(0.5) for _ in range(1000)]
        for _ in range(300_000):
            kept[random.randrange(1000)] = random.choice(kept) * 0.5 + 1.0
        return kept

    for _ in range(2):
        build()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(4):
        build()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert 1.2 > after / before


def test_weak_references_and_their_callbacks():
    """Weak references end with the node, their callbacks run once, and a callback may use the engine."""
    called = []
    x = C.Value(1.0)
    node = x * 2.0
    top = node + 1.0
    references = [weakref.ref(n, lambda r: called.append((r(), (C.Value(1.0) * 2.0).data))) for n in (node, top)]
    cache = weakref.WeakValueDictionary({"node": node})
    assert node is references[0]()
    del node
    assert 1 == len(cache)
    del top
    assert [(None, 2.0), (None, 2.0)] == called
    assert [] == list(cache)


# ---- subclasses -----------------------------------------------------------------------------------------------------


class Tracer(C.Value):
    """A subclass that sees every operation, like the compiler's."""

    seen: ClassVar[list[str]] = []

    @classmethod
    def apply_rule(cls, rule, operands):
        """Record the operation and make a node of this class."""
        cls.seen.append(rule.name)
        node = super().apply_rule(rule, operands)
        return cls.restore(node.data, node.op, node.operands, node.local_grads)

    def __lt__(self, other):
        self.seen.append("<")
        return super().__lt__(other)


def test_a_subclass_sees_every_operation():
    """Operators, methods and functions, with a Value, a float or many other operands."""
    Tracer.seen.clear()
    am, x, plain = C.math_module, Tracer(2.0), C.Value(3.0)
    results = [
        x + plain, plain + x, x * 2.0, 2 * x, -x, x**2, abs(x), x.exp(), am.sin(x), am.sum([plain, x, 1.0]),
        am.dot([plain, x], [1.0, 2.0]), am.max(plain, x), am.where(plain, x, 1.0), C.rules_module.mul(plain, x),
    ]  # fmt: skip
    expected = ["add", "add", "mul", "mul", "neg", "pow", "abs", "exp", "sin", "sum", "dot", "max", "where", "mul"]
    assert expected == Tracer.seen
    assert {Tracer} == set(map(type, results))
    assert x < plain
    assert "<" == Tracer.seen[-1]
    results[0].backward()
    assert (1.0, 1.0) == (x.grad, plain.grad)


def test_a_subclass_with_a_dict_is_collected_copied_and_pickled():
    """Copies keep the attributes of instances; the collector finds a cycle that goes through the dict only."""
    import gc

    kind = type("Noted", (C.Value,), {})
    node = kind(2.0, label="n")
    node.note = [1, 2]
    twin = copy.deepcopy(node)
    assert (2.0, "n", [1, 2]) == (twin.data, twin.label, twin.note)
    assert twin.note is not node.note
    node.itself = node
    gone = weakref.ref(node)
    del node
    gc.collect()
    assert gone() is None


def test_the_class_of_a_node_cannot_be_swapped():
    """Memory of one class is never returned as memory of another."""
    kind = type("Other", (C.Value,), {"__slots__": ()})
    with pytest.raises(TypeError):
        C.Value(1.0).__class__ = kind
    with pytest.raises(TypeError):
        kind(1.0).__class__ = C.Value


def test_what_a_node_was_made_of_is_read_only():
    """Links that cannot be changed cannot form a cycle."""
    node = C.Value(1.0) * 2.0
    for name in ("op", "operands", "local_grads", "parents"):
        with pytest.raises(AttributeError):
            setattr(node, name, ())
    with pytest.raises(AttributeError, match=r"mul\(1.0, 2.0\) is computed already: make a new Value"):
        node.__init__(3.0)


# ---- signals, threads, contexts -------------------------------------------------------------------------------------


def chain(build, links):
    """Return the first and last node of a long chain."""
    first = node = build.Value(1.0)
    for _ in range(links):
        node = node + 1.0
    return first, node


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer signals on this system")
@pytest.mark.parametrize("build", [C, PYTHON], ids=["c", "python"])
def test_a_signal_interrupts_a_long_sweep(build):
    """Ctrl-C in the middle of a sweep raises there, and no gradient has changed; the next sweep works."""
    first, last = chain(build, 1_500_000 if build is C else 200_000)

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.004)
        with pytest.raises(KeyboardInterrupt):
            last.backward()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert (0.0, 0.0) == (first.grad, last.grad)
    last.backward()
    assert (1.0, 1.0) == (first.grad, last.grad)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer signals on this system")
def test_a_signal_handler_may_sweep_the_same_graph():
    """If a sweep is interrupted by another sweep of the same nodes, both give the right result."""
    first, last = chain(C, 1_000_000)
    sweeps = []

    def sweep(number, frame):
        if len(sweeps) < 3:
            sweeps.append(1)
            last.backward()

    before = signal.signal(signal.SIGALRM, sweep)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
        for _ in range(5):
            last.backward()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert 3 == len(sweeps)
    assert (8.0, 8.0) == (first.grad, last.grad)


def test_threads_share_a_graph():
    """Threads that use and sweep the same leaves add up to the same gradients."""
    x = C.Value(2.0)
    shared = chain(C, 2000)[1] * x

    def work():
        for _ in range(20):
            (shared * 1.0).backward()
            time.sleep(0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 160 * 2001.0 == x.grad


def test_modes_belong_to_their_context():
    """no_grad and detect_anomaly nest, and threads and tasks do not affect each other."""
    x = C.Value(3.0, "x")
    with C.no_grad():
        assert () == (x * x).parents
        with C.detect_anomaly(), pytest.raises(C.AnomalyError, match=r"div\(x=3.0, 0.0\) made inf at .*test_c_node"):
            x / 0.0
        with C.modes_module.mode(recording=True):
            assert (x, x) == (x * x).parents
        found = []
        thread = threading.Thread(target=lambda: found.append((x * x).parents))
        thread.start()
        thread.join()
        assert [(x, x)] == found
    assert (x, x) == (x * x).parents

    async def recording():
        await asyncio.sleep(0)
        return len((x * x).parents)

    async def not_recording():
        with C.no_grad():
            await asyncio.sleep(0)
            return len((x * x).parents)

    async def together():
        return await asyncio.gather(recording(), not_recording(), recording())

    assert [2, 0, 2] == asyncio.run(together())


def test_collecting_the_nodes_that_are_made():
    """A mode with a set sees every node that is recorded."""
    made = set()
    x = C.Value(3.0)
    with C.modes_module.mode(made=made):
        y = x * x + C.math_module.sum([x, x])
    assert set(C.topological_order(y)) - {x} == made


def test_an_anomalous_sweep_changes_nothing():
    """Under detect_anomaly the first message that is not finite raises and names its node, before any .grad changes."""
    x = C.Value(0.0, "x")
    y = x.sqrt()
    with C.detect_anomaly(), pytest.raises(C.AnomalyError, match=r"local derivative inf.* from sqrt\(x=0.0\)"):
        (y * 2.0).backward()
    assert 0.0 == x.grad


# ---- arrays and lists -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "numbers",
    [
        [1.0, 2.0, 3.0], (1.0, 2.0, 3.0), array.array("d", [1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]),
        np.array([1.0, 0.0, 2.0, 0.0, 3.0])[::2], np.array([1, 2, 3]), np.array([1.0, 2.0, 3.0], dtype=">f8"),
        np.array([1.0, 2.0, 3.0], dtype=np.float32), memoryview(array.array("d", [1.0, 2.0, 3.0])),
    ],
    ids=lambda x: f"{type(x).__name__} {getattr(x, 'dtype', '')}",
)  # fmt: skip
def test_inner_products_take_numbers_from_anywhere(numbers):
    """Lists, tuples and arrays of any layout make one node whose constants are their numbers."""
    x = [C.Value(4.0), C.Value(5.0), C.Value(6.0)]
    for left, right in ((x, numbers), (numbers, x), (tuple(x), numbers), (np.array(x, dtype=object), numbers)):
        node = C.math_module.dot(left, right)
        assert 32.0 == node.data
        node.backward()
    assert [4.0, 8.0, 12.0] == [v.grad for v in x]


# ---- which build ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pure", "expected"), [("", "c "), ("0", "c "), ("1", "python AUTOGRAD_PURE_PYTHON is set")])
def test_the_environment_may_refuse_the_c_build(pure, expected):
    """backend() names the build in use, and `why_python` says why it is not the C build."""
    environment = {**os.environ, "AUTOGRAD_PURE_PYTHON": pure, "PYTHONPATH": str(ROOT)}
    program = "import autograd; print(autograd.backend(), autograd.native.why_python, end='')"
    assert expected == subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)


def test_a_second_copy_of_the_package_falls_back_to_python():
    """The C build works for one copy of the package; another copy says so and works in Python."""
    program = (
        "import sys, autograd\n"
        "for name in [n for n in sys.modules if n.startswith('autograd')]: del sys.modules[name]\n"
        "first, again = autograd, __import__('autograd')\n"
        "x = again.Value(3.0); (x * x).backward(); y = first.Value(3.0); (y * y).backward()\n"
        "print(first.backend(), again.backend(), x.grad, y.grad, again.native.why_python)"
    )
    environment = {**os.environ, "AUTOGRAD_PURE_PYTHON": "", "PYTHONPATH": str(ROOT)}
    expected = "c python 6.0 6.0 the C build serves one copy of the package in one interpreter\n"
    assert expected == subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)
