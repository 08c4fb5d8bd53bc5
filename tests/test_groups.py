"""`draw`, `flow` and `deltas` name the same modules with the same nodes, because one rule decides for all three."""

import json
import random

import pytest
from graphs_for_views import small_graphs, training_loss
from hypothesis import given
from hypothesis import strategies as st

import autograd.math as am
from autograd import Value, topological_order
from autograd.view import deltas, draw, flow
from autograd.view.dot import layout
from autograd.view.groups import group_by_module, layer_of, weighted_sums
from autograd.view.inputs import find_inputs
from autograd.view.names import is_path, steps
from autograd.view.record import record
from nn import MLP, Module, Neuron, binary_cross_entropy_with_logits, hinge, mean_squared_error


def drawn(value):
    """Module → nodes in its frame, as Graphviz understood the drawing; nodes by their place in the graph."""
    parsed = json.loads(layout(draw(value, limit=10_000).source, "json"))
    box = {o["_gvid"]: o["name"] for o in parsed["objects"]}
    order = topological_order(value)
    inputs = find_inputs(order)
    place, boxes = {}, len(inputs.labels)
    for index, node in enumerate(order):
        place[f"n{boxes}"] = index
        constants = [slot for slot, o in enumerate(node.operands) if type(o) is float]
        boxes += 1 + sum((index, slot) not in inputs.uses for slot in constants)  # their boxes come next
    frames = {o["name"].removeprefix("cluster_"): o["nodes"] for o in parsed["objects"] if "nodes" in o}
    return {name: {place[box[i]] for i in nodes if box[i] in place} for name, nodes in frames.items()}


def flowing(value):
    """The same of the viewer's record, in which the plain numbers that a network takes come before the nodes."""
    recorded = record(value)
    first = sum(node.get("input", False) for node in recorded["nodes"])
    found = {group["path"]: set() for group in recorded["groups"] if group["kind"] == "module"}
    for index, node in enumerate(recorded["nodes"]):
        group = node["group"]
        while group is not None:
            found.get(recorded["groups"][group]["path"], set()).add(index - first)
            group = recorded["groups"][group]["parent"]
    return found


def operations(value, module):
    """The operations in a module, in the order in which they are computed."""
    nodes = topological_order(value)
    return " ".join(nodes[i].op.name for i in sorted(drawn(value).get(module, ())) if nodes[i].op)


class ByHand:
    """Parameters labelled by hand."""

    def __init__(self, seed=0):
        self.parameters = {}
        self.random = random.Random(seed)

    def __call__(self, label):
        """The parameter with a label."""
        if label not in self.parameters:
            self.parameters[label] = Value(self.random.uniform(-1, 1), label=label)
        return self.parameters[label]

    def neuron(self, path, inputs, bias=True):
        """The weighted sum, added up by Python's `sum`, which starts at 0."""
        total = sum(self(f"{path}.w[{i}]") * x for i, x in enumerate(inputs))
        return total + self(f"{path}.b") if bias else total


INPUTS = [Value(0.5, label="x0"), Value(-1.25, label="x1")]


def with_activations():
    """Hidden neurons with a scaled tanh, an output neuron without a bias, a loss of one sample."""
    net = ByHand()
    hidden = [1.7159 * (net.neuron(f"hidden[{j}]", INPUTS) * 0.6667).tanh() for j in range(2)]
    return net, -(net.neuron("output[0]", hidden, bias=False).sigmoid().log())


def in_layers():
    """Neurons within layers; what softmax does between two layers belongs to the first."""
    net = ByHand(1)
    hidden = [net.neuron(f"layers[0].neurons[{j}]", INPUTS).relu() for j in range(3)]
    exps = [h.exp() for h in hidden]
    total = am.sum(exps)
    y = net.neuron("layers[1].neurons[0]", [e / total for e in exps])
    return net, (y - 0.5) ** 2


def evaluated_twice():
    """The same weights at two inputs."""
    net = ByHand(2)
    a, b = [net.neuron("twin.neuron", [x * k for x in INPUTS]).tanh() for k in (1.0, 2.0)]
    return net, (net.neuron("head.neuron", [a - b]) - 1.0) ** 2


def with_labelled_nodes():
    """Nodes in between and outputs have labels of their own."""
    net = ByHand(3)
    z = net.neuron("a.unit", INPUTS)
    z.label = "a.unit.z"
    h = (z * 2.0).sin() + z
    h.label = "a.unit"
    y = net.neuron("b.unit", [h.exp()])
    y.label = "b.unit"
    return net, y.softplus() - 0.5 * y


def recurrent():
    """A cell, three steps long."""
    net = ByHand(4)
    h = 0.0
    for x in INPUTS + INPUTS[:1]:
        h = (net("rnn.cell.u") * x + net("rnn.cell.v") * h + net("rnn.cell.b")).tanh()
    return net, (net.neuron("head.unit", [h]) - 1.0) ** 2


HAND_LABELLED = [with_activations, in_layers, evaluated_twice, with_labelled_nodes, recurrent]


class Shared(Module):
    """One neuron held in two places, and used in both."""

    def __init__(self):
        self.first = [Neuron(2, activation="tanh", seed=1)]
        self.second = [self.first[0], Neuron(1, activation="linear", seed=2)]

    def __call__(self, x):
        """The one neuron twice, and what the other makes of the difference."""
        return self.second[1]([self.first[0](x) - self.second[0]([2.0 * v for v in x])])


def of_nn():
    """Models of nn with their losses."""
    model = MLP(2, [3, 2], activation=["tanh", lambda z: (z * 2.0).exp() + z], seed=1)
    yield model, am.sum(model([0.5, -0.25]))
    model = MLP(2, [3, 1], seed=2)
    yield model, hinge([model([0.1, 0.2 * i]) for i in range(4)], [1, -1, 1, -1])
    yield model, mean_squared_error([model([0.3, 0.4])], [1.0]) + 0.1 * am.sum([w**2 for w in model.parameters()])
    yield model, model([1.0, 2.0])
    model = MLP(2, [2, 1], activation="gelu", seed=3)
    yield model, binary_cross_entropy_with_logits([model([0.5, 0.25])], [1.0])
    shared = Shared()
    yield shared, (shared([0.5, -1.0]) - 1.0) ** 2
    yield training_loss([2, 4, 4, 1], 40)


@pytest.mark.parametrize("make", HAND_LABELLED)
def test_hand_labelled_graphs_have_one_answer(make):
    """`draw` and `flow` put the same nodes into the same modules; what `deltas` names is among them."""
    net, loss = make()
    frames = drawn(loss)
    assert frames == flowing(loss)
    check_deltas(net.parameters, loss, frames)


@pytest.mark.slow
def test_models_of_nn_have_one_answer():
    """The same for models of nn: a loss of one and of many samples, a bare output, shared weights."""
    for model, loss in of_nn():
        frames = drawn(loss)
        assert frames == flowing(loss)
        check_deltas(model, loss, frames)


def check_deltas(model, loss, frames):
    """Each layer of `deltas` has the neurons of the frames, each with a node in it for every δ."""
    adjoints = record(loss)["adjoints"][-len(topological_order(loss)) :]
    by_layer = {}
    for path in frames:
        own = any((node.label or "").startswith(f"{path}.") for node in leaves_in(loss, frames[path]))
        if own and not any(inner.startswith(f"{path}.") for inner in frames):
            by_layer.setdefault(layer_of(path), []).append(path)
    found = deltas(model, loss)
    assert {layer: len(neurons) for layer, neurons in by_layer.items()} == {k: len(v) for k, v in found.items()}
    for layer, neurons in found.items():
        inside = [{adjoints[i] for i in frames[path]} for path in sorted(by_layer[layer])]
        for values in neurons:
            assert any(set(values) <= those for those in inside)


def leaves_in(loss, places):
    """The leaves among some nodes of a graph."""
    nodes = topological_order(loss)
    return [nodes[i] for i in places if nodes[i].op is None]


def test_hidden_nodes_belong_to_their_layer_and_the_loss_to_none():
    """Sums that start at 0, unlabelled activations and what scales them are in; the logarithm of the loss is out."""
    _, loss = with_activations()
    assert "mul add mul add add mul tanh mul" == operations(loss, "hidden[0]")
    assert "mul add mul add sigmoid" == operations(loss, "output[0]")
    _, loss = in_layers()
    neuron = "mul add mul add add relu exp"
    assert [neuron] * 3 == [operations(loss, f"layers[0].neurons[{j}]") for j in range(3)]
    softmax = ["div"] * 3 + ["sum"]
    assert sorted(3 * neuron.split() + softmax) == sorted(operations(loss, "layers[0]").split())
    assert "mul add mul add mul add add" == operations(loss, "layers[1].neurons[0]")


def test_a_module_ends_at_the_output_that_is_labelled_with_its_path():
    """What is computed from the output is outside, functions of one number among it."""
    _, loss = with_labelled_nodes()
    assert "mul add mul add add mul sin add" == operations(loss, "a.unit")
    assert "mul add mul add add mul sin add exp" == operations(loss, "a")
    assert "mul add add" == operations(loss, "b.unit") == operations(loss, "b")
    model = MLP(2, [2, 1], seed=1)
    loss = binary_cross_entropy_with_logits([model([0.5, 0.25])], [1.0])
    assert "dot add" == operations(loss, "layers[1].neurons[0]") == operations(loss, "layers[1]")


def test_weights_shared_by_two_modules_belong_to_the_one_in_their_label():
    """A product with another module's weight is in that module; the sum with its own bias is in its own."""
    w, a, b = Value(0.5, label="first.w"), Value(0.1, label="first.b"), Value(0.2, label="second.b")
    h = (w * 3.0 + a).tanh()
    loss = ((w * h + b).tanh() - 1.0) ** 2
    assert drawn(loss) == flowing(loss)
    assert "mul add tanh mul" == operations(loss, "first")
    assert "add tanh" == operations(loss, "second")
    with pytest.raises(ValueError, match=r"no weighted sum of the parameters of 'second' was .*shared weights"):
        deltas({"first.w": w, "first.b": a, "second.b": b}, loss)


def test_levels_are_named_in_the_order_of_the_data():
    """The layer that is computed first is named first, whichever of its leaves comes first in the graph."""
    _, loss = with_activations()
    assert "by hidden, output" == flow(loss)._payload["views"][0]["name"]


@pytest.mark.slow
@given(small_graphs(), st.data())
def test_any_labels(graph, data):
    """Whatever the labels, every node has one place, both pictures show it, and no box of the viewer is empty."""
    output, _ = graph
    names = st.sampled_from([None, "a", "a.b", "a.b.w", "a.c.w", "d.w", "see fig. 3", "a..b", "a.b['x.y'].w"])
    for node in topological_order(output):
        node.label = data.draw(names)
    members = drawn(output)
    assert members == flowing(output)
    payload = flow(output)._payload
    groups, last = payload["record"]["groups"], len(payload["record"]["nodes"]) - 1
    for view in payload["views"]:
        boxes = view["boxes"]
        assert len(boxes) == len(set(boxes))
        assert view["group"] is not None or last in boxes
        assert all(members[groups[-1 - box]["path"]] - {last} for box in boxes if box < 0)


def test_the_output_is_a_box_of_its_own_in_the_viewer():
    """Where the sweep starts is seen even if the module around it is folded, and no folded box is empty."""
    model = MLP(2, [3, 1], activation="tanh", seed=1)
    w = Value(2.0, label="w")
    labelled = w * 3.0
    labelled.label = "model.loss"
    for value in (model([0.5, -0.25]), labelled):
        payload = flow(value)._payload
        output = len(payload["record"]["nodes"]) - 1
        for view in payload["views"]:
            assert view["group"] is not None or output in view["boxes"]
            assert len(set(view["boxes"])) == len(view["boxes"])
    assert [[1, 0]] == [sorted(view["boxes"], reverse=True) for view in payload["views"]]
    by_layers = flow(model([0.5, -0.25]))._payload["views"][0]
    assert ("by layers", 2 + 3) == (by_layers["name"], len(by_layers["boxes"]))  # two of them are inputs


def test_keys_with_dots_brackets_and_quotes_are_one_step():
    """A path is read as Python writes it."""
    for key in ("conv.1", "a].b[", "it's", 'say "x.y"', "both ' and \".[", "back\\slash.", 3, ("a.b", 1)):
        path = f"blocks[{key!r}].w[0]"
        assert [f"blocks[{key!r}]", "w[0]"] == steps(path)
        assert is_path(path)
    for text in ("a..b", "see fig. 3", "3.5", "a[", "a[.b", "", "a.", ".a", "a]b.c"):
        assert not is_path(text)
    assert not is_path("a" + "['" * 20_000)  # in linear time


@pytest.mark.slow
def test_a_weighted_sum_of_many_terms():
    """30,000 terms take no quadratic time, in a chain or side by side."""
    weights = [Value(1.0, label=f"m.w[{i}]") for i in range(30_000)]
    chain = Value(0.0)
    for w in weights:
        chain = chain + w * 2.0
    for total in (chain, am.sum([w * 2.0 for w in weights])):
        nodes = topological_order(total)
        assert {total: "m"} == weighted_sums(nodes, {"m": weights})
        assert {("m",)} == set(group_by_module(nodes, [n.label for n in nodes])) - {()}
