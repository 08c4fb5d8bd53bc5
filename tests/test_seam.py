"""The seam: nodes and transforms ask a recorder, and nothing else of what records."""

import functools
import pickle
import weakref

import numpy as np
import pytest

import autograd.math as am
from autograd import Value, grad, jit, jvp, modes, rules, scan, value_and_grad, vjp, vmap
from autograd.eager import GRAPH, Graph, active_recorder
from autograd.transforms.origin import origin_of


class Spy:
    """A recorder that notes what it is asked, and leaves the answers to the graph."""

    def __init__(self):
        self.asked = set()

    def __getattr__(self, name):
        def answer(*args):
            if name != "note_made":  # of the nodes that the answers are
                self.asked.add(name)
            with modes.mode(recorder=None):
                return getattr(GRAPH, name)(*args)

        return answer


@pytest.mark.parametrize(
    ("ask", "asked"),
    [
        (lambda x: x * 2.0, {"apply_rule"}),
        (lambda x: am.exp(x), {"apply_rule"}),
        (lambda x: x.data, {"read"}),
        (lambda x: x > 1.0, {"read"}),
        (lambda x: x == x, {"read"}),
        (lambda x: bool(x), {"read"}),
        (lambda x: x.detach(), {"read"}),
        (lambda x: x.backward(), {"refuse"}),
        (lambda x: x.grad, {"refuse"}),
        (lambda x: x.zero_grad(), {"refuse"}),
        (lambda x: grad(lambda y: y)(x), {"fresh_leaves", "followed", "sweeps", "derivative"}),
        (lambda x: jvp(lambda y: y, (x,), (1.0,)), {"fresh_leaves", "followed", "sweeps"}),
        (lambda x: vmap(lambda y: y)([x]), {"map"}),
        (lambda x: scan(lambda c, y: (c, y), x, [1.0]), {"loop"}),
    ],
)
def test_who_is_asked(ask, asked):
    """While a recorder is in place, every operation, read, effect and transform goes to it; afterwards none does."""
    x = Value(3.0)
    spy = Spy()
    with modes.recording_with(spy):
        ask(x)
    assert asked == spy.asked
    ask(x)
    assert asked == spy.asked
    assert active_recorder() is GRAPH


def test_the_graph_is_a_recorder():
    """Asked directly, the graph does what plain code does."""
    graph, x = Graph(), Value(3.0)
    assert 6.0 == graph.apply_rule(rules.mul, (x, 2.0)).data
    assert graph.read(x) is x
    graph.refuse("anything")
    graph.note_made(x)
    leaves = graph.fresh_leaves([x, 2.0])
    assert [(x,), ()] == [leaf.parents for leaf in leaves]
    sweeps = graph.sweeps([leaves[0] * leaves[1]], leaves, differentiable=False)
    assert [2.0, 3.0] == sweeps.reverse({sweeps.outputs[0]: 1.0})
    assert [3.0] == sweeps.forward({leaves[1]: 1.0})


# ---- sweeps of a run that was made elsewhere -------------------------------------------------------------------------


def cubed(x):
    """Two results."""
    return [x * x * x, am.sin(x)]


def test_a_pullback_called_in_rows():
    """A pullback made outside a map and called in its rows: compiled, its adjoints were 0."""

    def pulled(x, seeds):
        _, pullback = vjp(cubed, x)
        return vmap(lambda a, b: pullback([a, b * x])[0])(seeds, 2 * seeds)

    seeds = np.arange(1.0, 7.0)
    np.testing.assert_allclose(pulled(1.5, seeds), jit(pulled)(1.5, seeds), rtol=1e-14)
    total = grad(lambda x: am.sum(pulled(x, seeds)))
    np.testing.assert_allclose(total(1.5), jit(total)(1.5), rtol=1e-14)
    assert 0.0 != jit(total)(1.5)


def test_seeds_that_are_values():
    """A pullback at plain numbers with Values for seeds: compiled, the result did not depend on them."""

    def pulled(seeds, other=1.0):
        return vjp(cubed, 2.0)[1]([*seeds, other])[0]

    for function in (pulled, jit(pulled)):
        seed = Value(3.0)
        result = function([seed])
        result.backward()
        np.testing.assert_allclose((3.0 * 12.0 + np.cos(2.0), 12.0), (result.data, seed.grad), rtol=1e-15)
        assert isinstance(function([3.0]), float)


def test_seeds_that_are_values_and_values_outside():
    """As in plain code, the result depends on the seeds and not on what the derivatives were computed from."""
    w = Value(5.0)

    def pulled(seed):
        return vjp(lambda x: [w * x * x, 7.0], 2.0)[1]([seed, 0.0])[0]

    for function in (pulled, jit(pulled)):
        seed, w.grad = Value(3.0), 0.0
        result = function(seed)
        result.backward()
        assert (60.0, 20.0, 0.0) == (result.data, seed.grad, w.grad)
        assert isinstance(function(3.0), float)


def test_infinite_seeds_send_nothing_where_nothing_goes():
    """An input that no message reaches has the adjoint 0, whatever the seeds are."""

    def pulled(seed):
        return vjp(lambda x, y: x * 2.0, 1.0, 1.0)[1](seed)

    for function in (pulled, jit(pulled)):
        assert (np.inf, 0.0) == function(np.inf)


# ---- where functions come from -------------------------------------------------------------------------------------


def square(w, x):
    """A row."""
    return w * x * x


def test_origins():
    """A transform notes what it made of what, and functions that only look like its own have none."""
    mapped = vmap(square, (None, 0), "sum")
    gradient = value_and_grad(mapped, 0, False)
    origin = origin_of(gradient)
    assert ("value_and_grad", mapped, (0, False)) == (origin.transform, origin.function, origin.parameters)
    origin = origin_of(mapped)
    assert ("vmap", square, ((None, 0), "sum")) == (origin.transform, origin.function, origin.parameters)
    assert origin_of(square) is origin_of(3) is origin_of(jit(mapped)) is origin_of(vmap) is None


def test_a_wrapper_is_not_what_it_wraps():
    """`functools.wraps` copies attributes: a wrapper is compiled as what it does, not as what it wraps."""
    mapped = vmap(square, (None, 0), "sum")

    @functools.wraps(mapped)
    def doubled(w, xs):
        return 2.0 * mapped(w, xs)

    assert origin_of(doubled) is None
    xs = np.arange(1.0, 6.0)
    assert 330.0 == doubled(3.0, xs) == jit(doubled)(3.0, xs)
    assert 110.0 == jit(grad(doubled))(3.0, xs)


def test_origins_keep_nothing_alive():
    """A transformed function that is dropped is freed at once."""
    dropped = weakref.ref(vmap(square, (None, 0)))
    assert dropped() is None


def test_pickles_that_take_functions_apart():
    """The attributes of a transformed function go into any pickle; it is that of the original function only."""
    mapped = vmap(square, (None, 0))
    assert {None} == {pickle.loads(pickle.dumps(x)) for x in vars(mapped).values() if x is not square}
