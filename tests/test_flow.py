"""The gradient-flow viewer: record, folding, layout and output; test_flow_browser.py tests the page."""

import html
import json
import math
import os
import random
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
from graphs_for_views import EVIL_LABELS, evil_graph, long_chain, small_graphs, training_loss, worked_example
from hypothesis import given

import autograd.math as am
from autograd import Value, checkpoint, jit, record_sources, rules, topological_order
from autograd.view import explain, flow, viewer
from autograd.view.groups import module_path
from autograd.view.layout import READABLE, ROUTED, _routed, lay_out
from autograd.view.page import STATIC, to_json
from autograd.view.record import record
from autograd.view.symbols import show

JS_TESTS = Path(__file__).parent / "js"


# ---- the record ------------------------------------------------------------------------------------------------------


@given(small_graphs())
def test_messages_into_a_node_sum_to_its_adjoint(graph):
    """The record has the numbers of the sweep: data, adjoints, and messages (adjoint × local derivative)."""
    output, _ = graph
    recorded = record(output)
    nodes = topological_order(output)
    output.backward()
    columns = [recorded["messages"][c] for c in ("node", "slot", "message", "total")]
    arrived = {}
    for node, slot, message, total in zip(*columns, strict=True):
        operand = recorded["nodes"][node]["operands"][slot]
        assert message == recorded["adjoints"][node] * recorded["values"]["local"][node][slot]
        arrived[operand] = arrived[operand] + message if operand in arrived else message
        assert total == arrived[operand]
    assert [node.data for node in nodes] == recorded["values"]["data"]
    assert [node.grad for node in nodes] == [a or 0.0 for a in recorded["adjoints"]]
    assert arrived == {i: a for i, a in enumerate(recorded["adjoints"][:-1]) if a is not None}


def test_formulas_are_templates():
    """A formula has places for operands and result; the derivative of a constant power has its exponent."""
    x, y = Value(0.5, label="x"), Value(2.0, label="y")
    recorded = record(am.tanh((x * y) ** 2))
    by_op = {
        node["op"]: (recorded["formulas"][f], [None if s is None else recorded["formulas"][s] for s in slopes])
        for node, f, slopes in zip(recorded["nodes"], recorded["values"]["formula"], recorded["values"]["slopes"])
        if node["op"]
    }
    assert by_op == {
        "mul": ("{0} × {1}", ["{1}", "{0}"]),
        "pow": ("{0}²", ["2 × {0}", None]),
        "tanh": ("tanh({0})", ["1 − {y}²"]),
    }


def test_the_branch_taken_is_shown():
    """The derivative of relu is shown as 1 or 0; for max and where only the selected operand has one."""
    for x, expected in ((2.0, "1"), (-2.0, "0")):
        recorded = record(Value(x).relu())
        assert expected == recorded["formulas"][recorded["values"]["slopes"][1][0]]
    recorded = record(am.where(Value(1.0), Value(2.0), Value(3.0)))
    assert [None, "1", None] == [s if s is None else recorded["formulas"][s] for s in recorded["values"]["slopes"][-1]]


def test_source_lines():
    """Under record_sources() every node stores the line that made it, and keeps it afterwards."""
    x = Value(2.0)
    with record_sources():
        y = x * x
    z = y + 1.0
    recorded = record(z)
    file, line = recorded["nodes"][1]["source"].split(" in ")[0].rsplit(":", 1)
    assert (__file__, int(line)) == (file, test_source_lines.__code__.co_firstlineno + 4)
    assert [None, None] == [recorded["nodes"][i]["source"] for i in (0, 2)]

    @record_sources()
    def decorated():
        return x + x

    assert "in decorated" in decorated().source


def test_the_first_number_that_is_not_finite():
    """The first bad node and the first bad message are marked: -inf in the computation, nan in the sweep."""
    x = Value(0.0, label="x")
    recorded = record(x.log() * x + 1.0)
    assert 1 == recorded["trouble"]["node"]
    at = recorded["trouble"]["message"]
    assert not math.isfinite(recorded["messages"]["message"][at])
    assert all(math.isfinite(m) for m in recorded["messages"]["message"][:at])
    assert {"node": None, "message": None} == record(Value(1.0).exp())["trouble"]


def test_finite_differences_find_a_wrong_derivative():
    """Every adjoint of a correct graph agrees; a wrong local derivative makes only those of earlier nodes wrong."""
    _, error = worked_example()
    assert all(agrees for _, agrees in record(error, check=True)["checks"])
    x = Value(0.5, label="x")
    wrong = Value.restore(math.sin(0.5), rules.sin, (x,), (0.5,))
    assert [False, True, True] == [agrees for _, agrees in record(wrong * 3.0, check=True)["checks"]]
    black_box = rules.Rule("cube", "cube", lambda x: x**3, (lambda x, y: 3 * x * x,), 1, (rules.REAL,))
    assert [None, None] == record(black_box(x), check=True)["checks"]


def test_layers_show_vanishing_gradients():
    """Mean |adjoint| per outermost module, in order; it falls towards the input in a deep sigmoid net."""
    _, loss = training_loss([2, 4, 4, 4, 4, 4, 1], 3, activation="sigmoid")
    layers = {layer["name"]: layer["mean"] for layer in record(loss)["layers"]}
    assert [f"layers[{i}]" for i in range(6)] == list(layers)
    assert layers["layers[0]"] < 1e-2 * layers["layers[5]"]


# ---- folding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("layers[0].neurons[3].w[1]", ("layers[0]", "layers[0].neurons[3]")),
        ("encoder.b", ("encoder",)),
        ("blocks['conv.1'].w", ("blocks['conv.1']",)),
        ("x", ()),
        ("x[3]", ()),
        ("3.5", ()),
        ("see fig. 3", ()),
        ("a..b", ()),
        (None, ()),
        ("layers[0].</b>.w", ()),
    ],
)
def test_module_paths(label, expected):
    """A label is a module path only if it has the form of one."""
    assert expected == module_path(label)


def test_nodes_belong_to_the_neuron_whose_parameters_they_use():
    """Weighted sum and activation are in their neuron, the error is outside."""
    _, loss = training_loss([2, 3, 1], 1)
    recorded = record(loss)
    paths = [None if n["group"] is None else recorded["groups"][n["group"]]["path"] for n in recorded["nodes"]]
    by_op = [(n["op"], p) for n, p in zip(recorded["nodes"], paths) if n["op"]]
    neuron = [("dot", "{}"), ("add", "{}"), ("tanh", "{}")]
    inner = [(op, f"layers[0].neurons[{j}]") for j in range(3) for op, _ in neuron]
    last = [(op, "layers[1].neurons[0]") for op, _ in neuron]
    assert [*inner, *last, ("sub", None), ("pow", None), ("add", None), ("div", None)] == by_op


def test_the_output_of_a_module_lies_in_it():
    """A node whose label is the path of a module belongs to that module."""
    w = Value(2.0, label="net.neuron.w")
    z = w * 3.0
    y = z + 1.0  # no parameter is used here
    y.label = "net.neuron"
    recorded = record(y * 2.0)
    paths = [None if n["group"] is None else recorded["groups"][n["group"]]["path"] for n in recorded["nodes"]]
    assert [None, "net.neuron", "net.neuron", "net.neuron", None] == paths  # the first is the input, 3.0


def test_copies_of_one_structure_are_stacked():
    """The 90 copies of a sample's nodes become one box for each operation, inside their neuron."""
    _, loss = training_loss([2, 4, 1], 90)
    names = {(g["kind"], g["name"]) for g in record(loss)["groups"]}
    assert {"dot ×90", "· ×90", "+ ×90", "tanh ×90", "− ×90", "^ ×90"} - {"dot ×90"} <= {
        n for k, n in names if k == "stack"
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda: training_loss([2, 8, 8, 1], 90)[1],
        lambda: long_chain(1250),
        lambda: am.sum([Value(i) * i for i in range(2500)]),
        lambda: am.sum([Value(i, label=f"x[{i}]").sin() for i in range(2500)]),
    ],
    ids=["network", "chain", "sum", "inputs"],
)
def test_large_graphs_open_folded(make):
    """About 5,000 nodes: a first view of few boxes, no view with many, and every node in one of them."""
    value = make()
    payload = flow(value)._payload
    sizes = [len(view["boxes"]) for view in payload["views"]]
    assert 4_500 <= len(payload["record"]["nodes"]) <= 5_500
    assert sizes[payload["first"]] <= 1.5 * READABLE
    assert max(sizes) <= 400
    shown = {box for view in payload["views"] for box in view["boxes"] if box >= 0}
    assert set(range(len(payload["record"]["nodes"]))) == shown


@given(small_graphs())
def test_every_box_and_arrow_has_a_place(graph):
    """Boxes do not overlap, and each arrow is a chain of Bézier curves from tail to head."""
    payload = flow(graph[0])._payload
    for view in payload["views"]:
        layout = payload["layouts"][view["layout"]]
        places = list(zip(layout["centres"], layout["sizes"], strict=True))
        for i, ((x, y), (w, h)) in enumerate(places):
            for (u, v), (s, t) in places[:i]:
                assert abs(x - u) >= (w + s) / 2 - 1 or abs(y - v) >= (h + t) / 2 - 1
        for (tail, head, _), curve in zip(layout["arrows"], layout["curves"], strict=True):
            assert 2 == len(curve) % 6
            for box, end in ((tail, curve[:2]), (head, curve[-2:])):
                (x, y), (w, h) = places[box]
                assert abs(end[0] - x) <= w / 2 + 3
                assert abs(end[1] - y) <= h / 2 + 3


def test_twice_the_same_operand_is_two_arrows():
    """x * x has two arrows."""
    x = Value(3.0, label="x")
    (layout,) = flow(x * x)._payload["layouts"]
    assert [(0, 1, 0), (0, 1, 1)] == layout["arrows"]


def test_crowded_views_route_the_arrows_that_decide():
    """Of many arrows Graphviz gets those that no chain implies, so that boxes keep their order; all have a curve."""
    source = random.Random(0)
    nodes = [Value(source.random()) for _ in range(12)]
    for _ in range(120):
        nodes.append(am.sum([source.choice(nodes) for _ in range(5)]))
    payload = flow(am.sum(nodes), unfold=True).payload
    layout = payload["layouts"][payload["views"][payload["first"]]["layout"]]
    arrows = [(tail, head) for tail, head, _ in layout["arrows"]]
    routed = [arrows[i] for i in _routed(layout["arrows"], len(layout["sizes"]))]

    def reached(some):
        below = {box: set() for pair in some for box in pair}
        for tail, head in sorted(set(some), reverse=True):  # boxes are in topological order
            below[tail] |= {head} | below[head]
        return below

    assert len(arrows) > ROUTED
    assert len(routed) < len(arrows) / 2
    assert reached(arrows) == reached(routed)
    assert all(layout["centres"][tail][0] < layout["centres"][head][0] for tail, head in arrows)
    assert all(layout["curves"])


def test_arrows_of_a_cycle_of_folded_groups_are_routed():
    """Groups may each hold what the other is computed from: arrows that close a cycle are given to Graphviz."""
    ring = [(i, (i + 1) % 100, None) for i in range(100)]
    chords = [(i, j, None) for i in range(0, 90, 3) for j in range(i + 2, 100, 9)]
    routed = _routed([*ring, *chords], 100)
    assert list(range(100)) == list(routed)


def test_neurons_share_a_layout():
    """Graphviz lays out equal groups only once."""
    _, loss = training_loss([2, 16, 16, 1], 1)
    payload = flow(loss)._payload
    assert len(payload["layouts"]) < len(payload["views"]) / 2


def test_unfolding_is_an_option():
    """`unfold=True` shows all nodes at first."""
    _, loss = training_loss([2, 6, 1], 20)
    payload = flow(loss, unfold=True)._payload
    view = payload["views"][payload["first"]]
    assert "all nodes" == view["name"]
    assert len(payload["record"]["nodes"]) == len(view["boxes"])


def test_the_node_of_a_compiled_function_is_shown():
    """The node has its numbers, and its name as the formula."""
    x = Value(2.0, label="x")
    y = jit(lambda x: x**3)(x) * x
    y.label = "y"
    for value in (y, checkpoint(lambda x: x**3)(x) * x):
        assert [2.0, 8.0, 16.0] == record(value, check=True)["values"]["data"]
    assert "∂y/∂x = 32" in str(explain(y, x))


def test_what_cannot_be_shown():
    """Too large, too slow, or not a Value: the error says so and what to do."""
    with pytest.raises(TypeError, match=r"flow shows the graph of a Value, not 3.0 of type float: pass what"):
        flow(3.0)
    with pytest.raises(ValueError, match=r"the graph has 50001 nodes.*loss of fewer samples"):
        flow(long_chain(12_500))
    with pytest.raises(ValueError, match=r"finite differences at all 4001 nodes"):
        flow(long_chain(1000), check=True)
    with pytest.raises(ValueError, match=r"8001 nodes one by one .*leave out unfold=True"):
        flow(long_chain(2000), unfold=True)


# ---- the page --------------------------------------------------------------------------------------------------------


def test_labels_cannot_break_the_page():
    """The data element ends only at its end tag, and holds every label unchanged."""
    page = flow(evil_graph()).html()
    assert 1 == len(re.findall(r"<script type=\"application/json\"", page))
    assert 2 == page.count("</script>") == page.count("<script ")
    data = re.search(r'id="gradient-flow-data">(.*?)</script>', page, re.DOTALL)[1]
    assert not re.search(r"[<>&\u2028\u2029]", data)
    labels = {node["label"] for node in json.loads(data)["record"]["nodes"]}
    assert set(EVIL_LABELS) <= labels
    assert "<title>&lt;b&gt;out&lt;/b&gt;</title>" in page
    page.encode()


def test_json_knows_nan_and_infinity():
    """Numbers that JSON cannot write are strings."""
    assert '{"x":["nan","inf","-inf",0.5,null,[]]}' == to_json({"x": [math.nan, math.inf, -math.inf, 0.5, None, ()]})


def test_the_page_asks_for_nothing(tmp_path):
    """The saved file refers to no other file or host, and its policy forbids loading any."""
    _, error = worked_example()
    path = flow(error).save(tmp_path / "flow.html")
    page = path.read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    addresses = set(re.findall(r"https?://[\w./-]+", page))
    assert {"http://www.w3.org/2000/svg"} == addresses
    assert not re.search(r"\b(src|href)=[\"']?(?!data:)[\w/.]", page)


def test_notebooks_store_the_viewer_and_a_picture():
    """The output of a cell is the whole page in a frame, and an image for viewers that remove frames."""
    _, error = worked_example()
    bundle = flow(error)._repr_mimebundle_()
    assert {"text/plain", "text/html"} == set(bundle)
    assert "<flow of E: 39 nodes, 44 messages>" == bundle["text/plain"]
    document = re.search(r"srcdoc='([^']*)'", bundle["text/html"])[1]
    assert flow(error).html() == html.unescape(document)
    assert 'src="data:image/svg+xml;base64,' in bundle["text/html"]


@pytest.mark.slow
def test_an_exported_notebook_has_the_viewer():
    """nbconvert's HTML, as on a static site, keeps the frame with the whole page in it."""
    import nbconvert
    import nbformat

    bundle = flow(worked_example()[1])._repr_mimebundle_()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("flow(E)", execution_count=1)])
    notebook.cells[0].outputs = [nbformat.v4.new_output("execute_result", bundle, execution_count=1)]
    exported, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    frames = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: frames.append(dict(attributes)) if tag == "iframe" else None
    parser.feed(exported)
    assert [flow(worked_example()[1]).html()] == [frame["srcdoc"] for frame in frames]


@pytest.mark.parametrize("make", [evil_graph, lambda: worked_example()[1], lambda: training_loss([2, 4, 1], 50)[1]])
def test_the_picture_is_well_formed(make):
    """The still picture parses, with a box for every box of the view."""
    shown = flow(make())
    picture = ET.fromstring(shown.picture())
    rectangles = picture.findall("{http://www.w3.org/2000/svg}rect")
    view = shown._payload["views"][shown._payload["first"]]
    frames = shown._payload["layouts"][view["layout"]]["places"]
    assert 1 + len(frames) + len(view["boxes"]) == len(rectangles)


# ---- while training --------------------------------------------------------------------------------------------------


def test_watching_sends_numbers_only(monkeypatch):
    """The structure is laid out once; every update sends the numbers of its sweep, and the history grows."""
    layouts = []
    monkeypatch.setattr(viewer, "lay_out", lambda *a: layouts.append(1) or lay_out(*a))
    w = Value(3.0)
    watched = flow.watch({"w": w})
    widget = watched.widget()
    assert "message" in json.loads(widget.payload)
    for _ in range(4):
        loss = (w - 1.0) ** 2
        w.grad = 0.0
        loss.backward()
        watched(loss)
        w.data -= 0.25 * w.grad
    assert 1 == len(layouts)
    sent = json.loads(widget.numbers)
    assert [4.0, 1.0, 0.25, 0.0625] == sent["history"] == watched.history
    assert 1.25 == sent["record"]["values"]["data"][0]
    assert "w" == json.loads(widget.payload)["record"]["nodes"][0]["label"]
    assert widget is watched.widget()
    watched((w - 1.0) ** 2 + w)
    assert 2 == len(layouts)


def test_watching_every_so_many(tmp_path):
    """`every` reduces the updates of the picture, not the history; nothing can be saved before the first update."""
    w = Value(1.0, label="w")
    watched = flow.watch(every=3)
    with pytest.raises(ValueError, match="nothing to save yet"):
        watched.save(tmp_path / "flow.html")
    for i in range(5):
        w.data = float(i)
        watched(w * 2.0)
    assert [0.0, 2.0, 4.0, 6.0, 8.0] == watched.history
    assert 6.0 == watched._payload["record"]["values"]["data"][-1]
    assert watched.save(tmp_path / "flow.html").stat().st_size > 10_000
    with pytest.raises(ValueError, match="every must be at least 1, not 0"):
        flow.watch(every=0)
    with pytest.raises(TypeError, match="is not a name and a Value"):
        flow.watch([w])


# ---- the JavaScript --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed (on Debian: apt-get install nodejs)")
def test_javascript_units(tmp_path):
    """Node.js runs the tests of the viewer's pure functions, on records that Python made."""
    rng = random.Random(0)
    numbers = [0.0, -0.0, 1234.5, 0.00012345, 9999.5, 99995.0, math.nan, math.inf, -math.inf, 1e300, -5e-324]
    numbers += [rng.uniform(-1, 1) * 10.0 ** rng.randint(-9, 9) for _ in range(500)]
    x = Value(3.0, label="x")
    samples = {
        "square": x * x,
        "example": worked_example()[1],
        "network": training_loss([2, 3, 2], 1)[1],
        "training": training_loss([2, 8, 8, 1], 30)[1],
        "evil": evil_graph(),
        "bad": Value(0.0, label="x").log() * Value(0.0, label="y"),
    }
    for name, value in samples.items():
        (tmp_path / f"{name}.json").write_text(to_json(flow(value, check=name == "example")._payload))
    (tmp_path / "numbers.json").write_text(to_json([[x, show(x)] for x in numbers]))
    shutil.copytree(STATIC / "flow", tmp_path / "flow")
    (tmp_path / "flow" / "package.json").write_text('{"type": "module"}')  # node takes .js files for something else
    files = sorted(map(str, JS_TESTS.glob("*.test.mjs")))
    done = subprocess.run(
        ["node", "--test", *files], env={**os.environ, "FLOW_SAMPLES": str(tmp_path)}, capture_output=True, text=True
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert re.search(r"^# pass (\d+)", done.stdout, re.MULTILINE)
