"""Graphs for the tests of the viewer."""

import random

from hypothesis import strategies as st

import autograd.math as am
from autograd import Value
from nn import MLP

BINARY = (lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a - b, lambda a, b: am.max(a, b))
UNARY = (am.sin, am.tanh, am.relu, lambda a: a * a, lambda a: 2.0 * a - 0.5, lambda a: am.where(a > 0, a, 0.0))


@st.composite
def small_graphs(draw):
    """An output and a leaf, with sharing, constants, kinks and branches that are not selected."""
    numbers = st.floats(-2.0, 2.0).map(lambda x: round(x, 3))
    nodes = [Value(draw(numbers), label=f"x{i}") for i in range(draw(st.integers(1, 3)))]
    leaf = nodes[0]
    for _ in range(draw(st.integers(1, 10))):
        picked = st.sampled_from(nodes)
        if draw(st.booleans()):
            nodes.append(draw(st.sampled_from(BINARY))(draw(picked), draw(picked)))
        else:
            nodes.append(draw(st.sampled_from(UNARY))(draw(picked)))
    return am.sum(nodes[-3:]), leaf


def training_loss(sizes, samples, seed=0, activation="tanh"):
    """A network, and its mean squared error on random samples."""
    network, rng = MLP(sizes[0], sizes[1:], [activation] * (len(sizes) - 1), seed=seed), random.Random(seed + 1)
    total = 0.0
    for _ in range(samples):
        y = network([rng.uniform(-1, 1) for _ in range(sizes[0])])
        for output in y if isinstance(y, list) else [y]:
            total = total + (output - rng.choice([-1.0, 1.0])) ** 2
    loss = total / samples
    loss.label = "loss"
    return network, loss


def worked_example():
    """The 2-2-2 sigmoid network of the backpropagation tutorials: its nodes by name, and its error E."""
    nodes = {"i1": Value(0.05), "i2": Value(0.10), "b1": Value(0.35), "b2": Value(0.60)}
    nodes |= {f"w{i + 1}": Value(w) for i, w in enumerate((0.15, 0.20, 0.25, 0.30, 0.40, 0.45, 0.50, 0.55))}
    n = nodes
    n["h1"] = (n["w1"] * n["i1"] + n["w2"] * n["i2"] + n["b1"]).sigmoid()
    n["h2"] = (n["w3"] * n["i1"] + n["w4"] * n["i2"] + n["b1"]).sigmoid()
    n["o1"] = (n["w5"] * n["h1"] + n["w6"] * n["h2"] + n["b2"]).sigmoid()
    n["o2"] = (n["w7"] * n["h1"] + n["w8"] * n["h2"] + n["b2"]).sigmoid()
    n["E"] = 0.5 * (0.01 - n["o1"]) ** 2 + 0.5 * (0.99 - n["o2"]) ** 2
    for name, node in nodes.items():
        node.label = name
    return nodes, nodes["E"]


def long_chain(steps):
    """A loop without labels: four nodes a turn."""
    x = Value(0.5, label="x")
    for _ in range(steps):
        x = x * 1.01 + 0.1 * x.sin()
    return x


EVIL_LABELS = (
    "</script><script>window.hacked = 1</script>",
    "\"'><img src=x onerror='window.hacked = 1'>",
    "שלום עולם \u202e txet desrever",
    "👩‍👩‍👧‍👦 a family, and a label that is far too long for its box",
    "__proto__",
    "a\u2028b\nc\x00d",
    "layers[0].</b>.w",
    "]]>&lt;!--{0}{y}",
    "constructor",
    "\ud800",
)


def evil_graph():
    """A product-sum of leaves whose labels try to break the page."""
    total = Value(1.5)
    for i, label in enumerate(EVIL_LABELS):
        leaf = Value(0.5 + i / 8, label=label)
        total = total * leaf + leaf
    total.label = "<b>out</b>"
    return total
