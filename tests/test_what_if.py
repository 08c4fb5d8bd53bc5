"""What if a leaf had another number: the viewer's JavaScript, and Python for the live widget, give the new sweep."""

import json
import shutil
import subprocess

import pytest
from graphs_for_views import small_graphs, training_loss, worked_example
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd.math as am
from autograd import Value, checkpoint, custom_gradient, jit, no_grad, record_sweep, topological_order
from autograd.view import deltas, flow, record
from autograd.view.page import STATIC, to_json
from autograd.view.recompute import with_changes
from autograd.view.viewer import numbers_of
from nn import MLP

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed (on Debian: apt-get install nodejs)")
PROGRAM = """
import { readFileSync } from "fs";
import { WhatIf } from "%s";
const special = (x) => (Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf");
const spell = (key, x) => (typeof x !== "number" || Number.isFinite(x) ? x : special(x));
const answers = JSON.parse(readFileSync(0)).map(([record, changes]) => {
  const whatIf = new WhatIf(record);
  for (const [leaf, value] of changes) whatIf.set(leaf, value);
  if (whatIf.blocked() >= 0) return { blocked: whatIf.blocked() };
  const { values, messages, adjoints, layers, trouble } = whatIf.numbers();
  const { data, local } = values;
  return { values: { data, local }, messages, adjoints, layers, trouble, blocked: -1 };
});
console.log(JSON.stringify(answers, spell));
"""


def in_javascript(cases):
    """The numbers that the viewer computes, for pairs of a record and changes."""
    program = PROGRAM % (STATIC / "flow" / "whatif.js").as_uri()
    command = [NODE, "--experimental-default-type=module", "--input-type=module", "-e", program]
    asked = f"[{','.join(f'[{to_json(recorded)},{json.dumps([*changes.items()])}]' for recorded, changes in cases)}]"
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def place_of(leaf, output):
    """The place of a leaf in the topological order."""
    return next(i for i, node in enumerate(topological_order(output)) if node is leaf)


def leaves(output):
    """The places of the leaves in the record, inputs among them."""
    return [i for i, node in enumerate(record(output)["nodes"]) if node["op"] is None]


def numbers(tree):
    """All numbers of a tree of lists and dictionaries, in order; what is no number is kept for comparison."""
    if isinstance(tree, dict):
        return [x for key in sorted(tree) for x in numbers(tree[key])]
    if isinstance(tree, list):
        return [x for part in tree for x in numbers(part)]
    return [float(tree) if isinstance(tree, (int, float)) or tree in ("nan", "inf", "-inf") else tree]


def assert_same_sweep(expected, found, exact):
    """The numbers of Python and JavaScript are equal, or close if libm has a part in them."""
    for part in ("values", "messages", "adjoints", "layers", "trouble"):
        ours = expected[part] if part != "values" else {k: expected[part][k] for k in ("data", "local")}
        ours, theirs = numbers(json.loads(to_json(ours))), numbers(found[part])
        assert [type(x) for x in ours] == [type(x) for x in theirs], part
        close = [x if isinstance(x, float) else 0.0 for x in ours]
        tolerance = {} if not exact else {"rel": 0.0, "abs": 0.0}
        assert pytest.approx(close, nan_ok=True, **(tolerance or {"rel": 1e-9, "abs": 1e-12})) == [
            x if isinstance(x, float) else 0.0 for x in theirs
        ], part


def collected(count):
    """Graphs that Hypothesis draws, each with another number for a leaf; in one list, for a single run of node."""
    cases = []

    @settings(max_examples=count, database=None, deadline=None)
    @given(small_graphs(), st.floats(-2.0, 2.0))
    def collect(graph, x):
        cases.append((graph[0], {place: round(x, 3) for place in leaves(graph[0])[:1]}))

    collect()
    return cases


@needs_node
def test_changed_graphs_are_those_of_python():
    """A leaf gets another number: values, local derivatives, every message, and which messages there are."""
    cases = collected(200)
    answers = in_javascript([(record(output), changes) for output, changes in cases])
    for (output, changes), found in zip(cases, answers, strict=True):
        assert_same_sweep(record(with_changes(output, changes)), found, exact=False)


@needs_node
def test_a_trained_network_follows_every_parameter():
    """All parameters of a network move, and the layers' means; exactly, where no function of the browser is used."""
    for activation, exact in (("relu", True), ("tanh", False)):
        _, loss = training_loss((2, 3, 1), samples=2, activation=activation)
        data = record(loss)["values"]["data"]
        changes = {i: data[i] * 1.1 - 0.2 for i in leaves(loss)}
        (found,) = in_javascript([(record(loss), changes)])
        assert_same_sweep(record(with_changes(loss, changes)), found, exact)


@needs_node
def test_a_change_taken_back_is_the_record():
    """Giving a leaf its own number changes nothing."""
    recorded = record(worked_example()[1])
    (found,) = in_javascript([(recorded, {0: recorded["values"]["data"][0]})])
    assert numbers(found["adjoints"]) == recorded["adjoints"]


@custom_gradient(lambda x, y: 3.0 * x * x)
def cube(x):
    """A primitive that only Python knows."""
    return x**3


def calls():
    """A graph with a primitive of one's own, a checkpoint and a compiled function."""
    x, w, free = Value(0.5, label="x"), Value(2.0, label="w"), Value(1.0, label="free")
    compiled = jit(lambda a: am.tanh(a * w) * a)
    y = cube(x) + checkpoint(lambda a, b: am.sin(a * b) + a)(w, x) + compiled(x) + free
    return y, x, w, free


@needs_node
def test_what_only_python_can_compute_is_named():
    """The first such node that depends on the change; a change elsewhere is computed."""
    y, x, _, free = calls()
    order = topological_order(y)
    recorded = record(y)
    assert [order[i].op.name for i in recorded["unknown"]] == ["cube", "checkpoint(<lambda>)", "jit(<lambda>)"]
    changed, elsewhere = in_javascript([(recorded, {place_of(x, y): 1.0}), (recorded, {place_of(free, y): 3.0})])
    assert order[changed["blocked"]].op is cube
    assert -1 == elsewhere["blocked"]
    assert y.data + 2.0 == pytest.approx(elsewhere["values"]["data"][-1])


def test_python_computes_everything():
    """Checkpoints, compiled functions and primitives of one's own with other numbers, as if written with these."""
    y, x, w, _ = calls()
    moved = with_changes(y, {place_of(x, y): -0.25, place_of(w, y): 3.0})
    assert (0.5, 2.0) == (x.data, w.data)
    x.data, w.data = -0.25, 3.0
    again = cube(x) + checkpoint(lambda a, b: am.sin(a * b) + a)(w, x) + (am.tanh(x * w) * x) + 1.0
    assert again.data == pytest.approx(moved.data, rel=1e-14)
    again.backward()
    adjoints = record(moved)["adjoints"]
    assert [x.grad, w.grad] == pytest.approx([adjoints[place_of(x, y)], adjoints[place_of(w, y)]], rel=1e-12)


def test_inputs_are_leaves_without_messages():
    """The plain numbers that a network takes are nodes with names, which a layer shares, and can be changed."""
    network = MLP(2, [3, 1], activation="tanh", seed=0)
    rows = [[0.05, 0.1], [0.05, -0.3]]
    loss = am.sum([network(row) for row in rows])
    recorded = record(loss)
    inputs = [i for i, node in enumerate(recorded["nodes"]) if node.get("input")]
    assert ["x[0]⁽⁰⁾", "x[1]⁽⁰⁾", "x[0]⁽¹⁾", "x[1]⁽¹⁾"] == [recorded["nodes"][i]["label"] for i in inputs]
    assert [0.05, 0.1, 0.05, -0.3] == [recorded["values"]["data"][i] for i in inputs]
    assert [None] * 4 == [recorded["adjoints"][i] for i in inputs]
    heads = [i for i, node in enumerate(recorded["nodes"]) if inputs[0] in node["operands"]]
    assert 3 == len(heads)
    moved = with_changes(loss, {inputs[1]: 0.7})
    assert am.sum([network([0.05, 0.7]), network(rows[1])]).data == moved.data
    assert len(recorded["messages"]["node"]) == len(record_sweep(loss))


def test_weights_and_deltas_of_neurons():
    """Each product with a weight is known with what it is multiplied by, and the z of each neuron with its δ."""
    network = MLP(2, [2, 1], activation=["tanh", "sigmoid"], seed=0)
    loss = (network([0.05, 0.1]) - 1.0) ** 2
    recorded = record(loss)
    names = [node["label"] for node in recorded["nodes"]]
    pairs = {(names[other], names[parameter]) for other, parameter, _ in recorded["weights"]}
    first = {(f"x[{i}]", f"layers[0].neurons[{j}].w[{i}]") for i in range(2) for j in range(2)}
    assert first | {(f"layers[0].neurons[{i}]", f"layers[1].neurons[0].w[{i}]") for i in range(2)} == pairs
    found = {recorded["groups"][group]["path"]: recorded["adjoints"][node] for group, node in recorded["deltas"]}
    expected = deltas(network, loss)
    by_path = {f"layers[{i}].neurons[{j}]": d[0] for i, row in enumerate(expected.values()) for j, d in enumerate(row)}
    assert by_path == found


def test_only_leaves_can_be_changed():
    """A computed node, or none, is named."""
    x = Value(3.0)
    for place in (1, 7, -1):
        with pytest.raises(ValueError, match=f"node {place} is none"):
            with_changes(x * x, {place: 1.0})


def test_modes_do_not_matter():
    """Under no_grad the widget still has a graph to show."""
    x = Value(3.0)
    y = x * x
    with no_grad():
        assert (x.data * 2, 25.0) == (y.local_grads[0] * 2, with_changes(y, {0: 5.0}).data)
        assert 10.0 == record(with_changes(y, {0: 5.0}))["adjoints"][0]


def test_the_widget_answers():
    """A change that comes from the browser, or from Python, is answered with the numbers of the new sweep."""
    y, x, *_ = calls()
    place = str(place_of(x, y))
    widget = flow(y).widget()
    widget.changes = {place: 1.5}
    answer = json.loads(widget.numbers)
    expected = with_changes(y, {int(place): 1.5})
    assert {place: 1.5} == answer["changes"]
    assert json.loads(to_json(numbers_of(record(expected)))) == answer["record"]
    assert (expected.data, 0.5) == (widget.output, x.data)
    widget.changes = {"nonsense": 1.0}
    assert json.loads(widget.numbers)["error"].startswith("ValueError: ")
