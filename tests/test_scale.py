"""Large graphs: a million nodes built, swept and freed at once, fewer copied and pickled, all without recursion."""

import copy
import gc
import io
import operator
import pickle
import weakref
from contextlib import contextmanager

import pytest

import autograd
from autograd import Value, grad, hessian, record_sweep, rules, topological_order

pytestmark = pytest.mark.slow
MILLION = 10**6


class Watched(Value):
    """A leaf that reports when it is freed."""


@contextmanager
def without_collector():
    """Turn off the collector: only reference counts free objects."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def chain(leaf, count):
    """A chain of this many additions and multiplications; the derivative stays 1."""
    y = leaf
    for _ in range(count // 2):
        y = (y + 1.0) * 1.0
    return y


def tree(leaf, count):
    """A balanced tree of sums with this many nodes over one leaf; the derivative is the number of tree leaves."""
    level = [leaf * 1.0 for _ in range((count + 1) // 2)]
    while len(level) > 1:
        pairs = [a + b for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0]


@pytest.mark.parametrize(("build", "slope"), [(chain, 1.0), (tree, MILLION / 2)])
def test_a_million_nodes(build, slope):
    """Built, ordered, swept, set to zero, and freed with the output, without the collector."""
    with without_collector():
        leaf = Watched(1.0, label="leaf")
        output = build(leaf, MILLION)
        assert MILLION <= len(topological_order(output)) <= MILLION + 1
        output.backward()
        assert slope == leaf.grad
        output.zero_grad()
        assert 0.0 == leaf.grad
        freed = weakref.ref(leaf)
        inner = weakref.ref(output.operands[0])
        del leaf, output
        assert freed() is None
        assert inner() is None


@pytest.mark.parametrize("again", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v, protocol=5))])
@pytest.mark.parametrize(("build", "slope"), [(chain, 1.0), (tree, 50_000)])
def test_copies_of_a_hundred_thousand_nodes(build, slope, again):
    """Copied and pickled without recursion, and freed without the collector; the original keeps its gradients."""
    with without_collector():
        leaf = Watched(1.0, label="leaf")
        output = build(leaf, 10**5)
        twin = again(output)
        twin.backward()
        first = topological_order(twin)[0]
        assert (output.data, "leaf", slope) == (twin.data, first.label, first.grad)
        assert 0.0 == leaf.grad
        freed, twins = weakref.ref(leaf), weakref.ref(first)
        del leaf, output, twin, first
        assert freed() is None
        assert twins() is None


def test_functional_transforms_on_a_long_chain():
    """grad over 10⁵ operations and second derivatives over 10⁴ need no recursion either."""
    assert 1.0 == grad(lambda x: chain(x, 10**5))(1.0)

    def second(x):
        y = x
        for _ in range(10**4):
            y = y * 1.0 + 0.0 * y * y
        return y * y

    assert 2.0 == grad(grad(second))(1.0)


def test_a_recorded_sweep_of_a_long_chain():
    """One message for each node."""
    assert 10**5 == len(record_sweep(chain(Value(1.0), 10**5)))


def test_graphs_with_shared_nodes_take_linear_time():
    """2^200 paths, 200 nodes: each is visited once."""
    x = y = Value(1.0)
    for _ in range(200):
        y = y + y
    assert 201 == len(topological_order(y))
    y.backward()
    assert 2.0**200 == x.grad
    assert 2.0**200 == copy.deepcopy(y).data == pickle.loads(pickle.dumps(y)).data


def test_freed_at_once_after_transforms():
    """Neither backward, nor grad, nor a copy leaves a cycle behind."""
    with without_collector():
        leaf = Watched(2.0)
        y = (leaf * leaf).exp() + leaf.sin()
        y.backward()
        record_sweep(y)
        copy.deepcopy(y)
        node = weakref.ref(y.operands[0])
        freed = weakref.ref(leaf)
        del leaf, y
        assert node() is None
        assert freed() is None
        weight = Watched(3.0)
        freed = weakref.ref(weight)
        grad(operator.mul)(1.0, weight)
        hessian(operator.mul)(2.0, weight)
        del weight
        assert freed() is None


# ---- copies and pickles, small ------------------------------------------------------------------------------


def test_a_deep_copy_is_a_graph_of_its_own():
    """Sharing, labels, gradients, constants and rules are kept; nothing is shared with the original."""
    x = Value(3.0, label="x")
    y = rules.dot(x, 2.0, x, x) + x
    y.label = "y"
    y.backward()
    twin = copy.deepcopy(y)
    leaf = topological_order(twin)[0]
    assert ("x", "y") == (leaf.label, twin.label)
    assert (y.data, y.grad, x.grad) == (twin.data, twin.grad, leaf.grad)
    assert y.op is twin.op
    assert y.local_grads == twin.local_grads
    twin.zero_grad()
    twin.backward()
    assert 9.0 == leaf.grad
    leaf.data = 5.0
    assert 3.0 == x.data


def test_copies_share_within_one_container():
    """Two outputs over one leaf, copied or pickled together, still share one leaf."""
    x = Value(3.0)
    pair = [x * 2, x + 1, x]
    for again in (copy.deepcopy(pair), pickle.loads(pickle.dumps(pair))):
        autograd.backward(again[:2])
        assert 3.0 == again[2].grad
    assert 0.0 == x.grad


def test_a_shallow_copy_stands_on_the_same_operands():
    """copy.copy makes a second node on the same operands."""
    x = Value(3.0)
    y = x * x
    twin = copy.copy(y)
    assert twin is not y
    assert y.operands == twin.operands
    twin.backward()
    assert (6.0, 0.0) == (x.grad, y.grad)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol(protocol):
    """Leaves and graphs are the same after every protocol."""
    x = Value(2.0, label="x")
    y = pickle.loads(pickle.dumps(x.exp() * x, protocol=protocol))
    y.backward()
    leaf = topological_order(y)[0]
    assert 3.0 * rules.exp(2.0) == leaf.grad
    again = pickle.loads(pickle.dumps(x, protocol=protocol))
    assert ("x", 2.0, 0.0) == (again.label, again.data, again.grad)


def test_subclasses_and_their_fields_are_kept():
    """A leaf of a subclass keeps its class and attributes."""
    leaf = Watched(2.0)
    leaf.note = ["mine"]
    for twin in (copy.copy(leaf), copy.deepcopy(leaf), pickle.loads(pickle.dumps(leaf))):
        assert Watched is type(twin)
        assert (2.0, ["mine"]) == (twin.data, twin.note)
    assert copy.deepcopy(leaf).note is not leaf.note


def test_pickles_hold_no_code():
    """A pickled graph contains only names of primitives and plain numbers."""
    found = set()

    class Watcher(pickle.Unpickler):
        def find_class(self, module, name):
            found.add(f"{module}.{name}")
            return super().find_class(module, name)

    Watcher(io.BytesIO(pickle.dumps(Value(2.0).exp() * 3.0))).load()
    assert all(name.startswith(("autograd.", "builtins.getattr")) for name in found), found
