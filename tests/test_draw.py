"""Pictures of graphs show what the engine computed, work without a system's Graphviz, and are readable."""

import base64
import builtins
import html
import importlib
import json
import math
import re
import sys

import pytest
from graphs_for_views import training_loss

from autograd import Value, record_sweep
from autograd.view import deltas, draw, flow, render
from autograd.view.dot import layout
from autograd.view.record import record
from nn import MLP, Layer, Module, Neuron, hinge, mean_squared_error


def picture(value, **options):
    """The drawing as Graphviz reads it: boxes by their text, lines as (from, to, text, look), frames."""
    parsed = json.loads(layout(draw(value, **options).source, "json"))
    objects = {o["_gvid"]: o for o in parsed["objects"]}
    text = {i: re.sub(r"<[^>]*>", " ", o.get("label", "").replace("<BR/>", "|")).strip() for i, o in objects.items()}
    boxes = {text[i]: o for i, o in objects.items() if "nodes" not in o and "subgraphs" not in o}
    labels = [e.get("label", "").replace("<BR/>", "\n") for e in parsed.get("edges", [])]
    plain = [html.unescape(re.sub(r"<[^>]*>", "", label)) for label in labels]
    lines = [(text[e["tail"]], text[e["head"]], t, e) for t, e in zip(plain, parsed.get("edges", []))]
    frames = {o["name"].removeprefix("cluster_"): o for o in objects.values() if "nodes" in o}
    return boxes, lines, {name: {text[i] for i in o["nodes"]} for name, o in frames.items()}


def small():
    """The example of the README: z = x² + relu(xy + 8)."""
    x, y = Value(3.0, label="x"), Value(-2.0, label="y")
    z = x * x + (x * y + 8).relu()
    z.label = "z"
    return z, x, y


def test_box_shows_operation_label_data_and_gradient():
    """Every node has its symbol, its label and its two numbers; a constant has its number."""
    boxes, _, _ = picture(small()[0])
    expected = [
        *("x |data 3|grad 4", "y |data -2|grad 3", "× |data 9|grad 1", "× |data -6|grad 1"),
        *("+ |data 2|grad 1", "relu |data 2|grad 1", "+  z |data 11|grad 1", "8"),
    ]
    assert sorted(expected) == sorted(boxes)


def test_line_shows_local_derivative_and_message_of_each_slot():
    """The lines are the messages of the recorded sweep, one per slot: two for x * x, none to a constant."""
    z, _, _ = small()
    _, lines, _ = picture(z)
    expected = sorted(f"∂ {m.local_derivative:.4g}\n← {m.message:.4g}" for m in record_sweep(z))
    assert expected == sorted(text for _, _, text, _ in lines if text)
    squares = [(tail, head) for tail, head, _, _ in lines if head == "× |data 9|grad 1"]
    assert [("x |data 3|grad 4", "× |data 9|grad 1")] * 2 == squares
    assert [("8", "dotted")] == [(tail, look.get("style")) for tail, _, text, look in lines if not text]


def test_drawing_changes_no_gradient():
    """The picture's gradients come from its own sweep; numbers already in .grad are shown too."""
    z, x, _ = small()
    draw(z)
    assert 0.0 == x.grad
    z.backward()
    assert "x |data 3|grad 4" in picture(z)[0]
    z.backward()
    assert "x |data 3|grad 4|.grad 8 (accumulated)" in picture(z)[0]
    assert 8.0 == x.grad


def test_colour_tells_sign_and_size():
    """Positive gradients are bluer, negative ones more orange, zero is neither; inf and nan are yellow."""
    a, b, c, d, e = (Value(1.0, label=name) for name in "abcde")
    boxes, lines, _ = picture(a * 4 + b * 1 + c * -4 + d * 0 + e)

    def colour(name):
        text = next(text for text in boxes if text.startswith(name))
        red, _, blue = bytes.fromhex(boxes[text]["fillcolor"][1:])
        return blue - red, red - blue

    assert colour("a")[0] > colour("b")[0] > 0
    assert colour("c")[1] > 0
    assert (0, 0) == colour("d")
    strokes = {tail[0]: look["color"] for tail, _, text, look in lines if text and tail[0] in "abcd"}
    assert strokes["a"] == strokes["b"] != strokes["c"]
    assert strokes["d"] not in (strokes["a"], strokes["c"])
    boxes, _, _ = picture(Value(0.0, label="x").log())
    assert "#f0e442" == boxes["x |data 0|grad inf"]["fillcolor"]
    assert "yellow: not finite" in draw(Value(0.0).log()).source
    assert "yellow" not in draw(Value(1.0).log()).source


def test_modules_are_frames():
    """A neuron's parameters and the nodes that it computes are in its frame, inside the frame of its layer."""
    model = MLP(1, [2, 1], activation="tanh", seed=1)
    loss = mean_squared_error([model([0.5])], [1.0])
    _, lines, frames = picture(loss)
    assert {"layers[0]", "layers[0].neurons[0]", "layers[0].neurons[1]", "layers[1]", "layers[1].neurons[0]"} == set(
        frames
    )
    inside = sorted(text.split("|")[0].strip() for text in frames["layers[0].neurons[1]"])
    assert ["+", "b", "tanh", "w[0]", "·"] == inside
    assert frames["layers[0].neurons[1]"] < frames["layers[0]"]
    framed = set().union(*frames.values())
    assert {"mean", "^", "−"} == {head.split()[0] for _, head, _, _ in lines if head not in framed}


def test_activation_of_several_nodes_stays_in_its_neuron():
    """Nodes that a user's function makes between parameters and output are in the frame; later nodes are not."""
    layer = Layer(1, 2, activation=lambda z: (z * 2.0).exp() + z, seed=1)
    first, second = layer([3.0])
    _, _, frames = picture(first - second)
    inside = sorted(text.split("|")[0].strip() for text in frames["neurons[0]"])
    assert ["+", "+", "2", "b", "exp", "w[0]", "·", "×"] == inside


def big_loss():
    """A batch of 50 through an MLP: 7,000 boxes."""
    model = MLP(2, [16, 16, 1], seed=1)
    return hinge([model([0.1 * i, 0.3 * (i % 7)]) for i in range(50)], [1 - 2 * (i % 2) for i in range(50)])


def test_too_large_a_graph_is_refused_with_its_size():
    """The error says how large it is and what to do."""
    with pytest.raises(ValueError, match=r"5,\d\d\d boxes .* 3\d,\d\d\d lines .* limit=200.*fold=True"):
        draw(big_loss())


def test_folded_to_modules():
    """One box for each layer and for each operation on the whole batch, with sizes and norms that add up."""
    loss = big_loss()
    boxes, lines, _ = picture(loss, fold=True)
    names = [text.split("|")[0].strip() for text in boxes]
    assert sorted(["layers[0]", "layers[1]", "layers[2]", "×", "−", "relu", "mean"]) == sorted(names)
    assert any("272 parameters" in text for text in boxes)
    between = [m for m in record_sweep(loss) if (m.operand.label or "").endswith("]") and m.slot >= 16]
    assert 50 * (16 * 16 + 16) == len(between)
    (text,) = [t for tail, head, t, _ in lines if tail.startswith("layers[0]") and head.startswith("layers[1]")]
    norm = sum(m.message**2 for m in between if m.operand.label.startswith("layers[0]")) ** 0.5
    assert f"12,800 messages\n‖·‖ {norm:.4g}" == text
    deeper = picture(loss, fold=2)[0]
    assert 33 == sum("neurons" in text for text in deeper)


@pytest.mark.slow
def test_a_hundred_thousand_nodes_are_refused_without_recursion():
    """A chain of 10⁵ nodes is measured and refused; folded it is one box, and one for the output."""
    chain = Value(0.0)
    for _ in range(10**5):
        chain = chain + 1.0
    with pytest.raises(ValueError, match=r"200,001 boxes and 200,000 lines"):
        draw(chain)
    boxes, _, _ = picture(chain, fold=True)
    assert {"+ |99,999 nodes|‖grad‖ 316.2", "data 0|grad 1", "+ |data 1e+05|grad 1"} == set(boxes)


def test_what_cannot_be_folded_is_refused_too():
    """The error says how many boxes are left."""
    chain = Value(1.0)
    for _ in range(300):
        chain = (chain + 1.0).sin()
    with pytest.raises(ValueError, match=r"601 nodes is too large to read: folded it still has 601 boxes"):
        draw(chain, fold=True)


@pytest.mark.parametrize("path", ["as it is", "without dot"])
def test_pictures_with_and_without_the_systems_dot(path, monkeypatch, tmp_path):
    """SVG and PNG files, and what Jupyter shows, from the system's dot or from graphviz-pure."""
    if path == "without dot":
        monkeypatch.setenv("PATH", str(tmp_path))
    z, _, _ = small()
    assert b"\x89PNG" == render(z, tmp_path / "z.png").read_bytes()[:4]
    assert "data 11" in render(z, tmp_path / "z.svg", digits=3).read_text(encoding="utf-8")
    assert "data 11" in draw(z)._repr_mimebundle_()["image/svg+xml"]
    assert str(tmp_path / "again.svg") == draw(z).render("again", tmp_path)
    assert "data 11" in (tmp_path / "again.svg").read_text(encoding="utf-8")


def test_labels_are_text_not_markup():
    """Characters with a meaning in HTML or DOT are drawn as they are."""
    label = '<b> & "x" \\n {a|b}'
    source = draw(Value(1.0, label=label)).source
    assert "&lt;b&gt; &amp; &quot;x&quot;" in source
    assert b"{a|b}" in layout(source, "svg")


def test_several_outputs():
    """Gradients are those of the sum, each output starts with 1."""
    x = Value(3.0, label="x")
    boxes, _, _ = picture([x * x, 2 * x])
    assert {"x |data 3|grad 8", "× |data 9|grad 1", "× |data 6|grad 1", "2"} == set(boxes)


def test_only_values_are_drawn():
    """The error names what was passed."""
    with pytest.raises(TypeError, match=r"not 3.0 of type float"):
        draw([3.0])
    with pytest.raises(TypeError, match=r"not None of type NoneType"):
        draw(None)
    with pytest.raises(ValueError, match=r"digits must be a whole number of at least 1, not -1"):
        draw(Value(1.0), digits=-1)


@pytest.mark.parametrize("character", ["\0", "\x1b", "\x0b", "\ud800"])
def test_labels_hold_what_no_picture_can(character):
    """A character that SVG may not contain is drawn as a missing character."""
    assert "a�b |data 1|grad 1" in picture(Value(1.0, label=f"a{character}b"))[0]


def test_a_dot_in_a_key_parts_no_modules():
    """Frames, folded boxes, groups and layers read ``blocks['conv.1']`` as one step and keep backslashes."""

    class Blocks(Module):
        def __init__(self):
            self.blocks = {"conv.1": Neuron(1, seed=1), "new\nline": Neuron(1, seed=2)}

    model = Blocks()
    loss = model.blocks["conv.1"]([1.0]) + model.blocks["new\nline"]([1.0])
    names = {"blocks['conv.1']", r"blocks['new\nline']"}
    assert names == set(picture(loss)[2])
    assert names <= {html.unescape(box.partition(" |")[0]) for box in picture(loss, fold=True)[0]}
    assert names == {group["name"] for group in record(loss)["groups"]}
    assert ["blocks"] == list(deltas(model, loss))


def test_a_file_needs_a_format():
    """The error names the file."""
    with pytest.raises(ValueError, match=r"'picture' must end in a format, such as \.svg or \.png"):
        render(Value(1.0), "picture")


def test_without_graphviz_all_but_drawing_works(monkeypatch):
    """Without the graphviz package only `draw` and `render` are refused, and the message names the extra."""
    real = builtins.__import__

    def without(name, *rest):
        if name == "graphviz":
            raise ImportError(name)
        return real(name, *rest)

    for name in [name for name in sys.modules if name.startswith("autograd.view")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    view = importlib.import_module("autograd.view")
    x = Value(3.0, label="x")
    assert "∂v1/∂x = 6" in str(view.explain(x * x, x))
    assert [3.0, 9.0] == view.record(x * x)["values"]["data"]
    assert {*view.__all__} <= {*dir(view)}
    for name in ("draw", "render"):
        with pytest.raises(ImportError, match=r"extra `view`: pip install 'scalar-autograd\[view\]'"):
            getattr(view, name)
    with pytest.raises(AttributeError, match="has no attribute 'drew'"):
        _ = view.drew


def test_notebooks_show_it_untrusted() -> None:
    """Jupyter shows no SVG and no frame in an untrusted notebook, but it shows an image in HTML: the bundle has all."""
    x = Value(3.0, label="x")
    bundle = draw(x * x)._repr_mimebundle_()
    assert {"text/plain", "image/svg+xml", "text/html"} == set(bundle)
    picture = re.search(r'<img [^>]*src="data:image/svg\+xml;base64,([^"]*)">', bundle["text/html"])[1]
    assert bundle["image/svg+xml"] == base64.b64decode(picture).decode()
    assert "<svg" in bundle["image/svg+xml"]
    assert "<iframe" in bundle["text/html"]


@pytest.mark.parametrize("sizes", [[2, 2, 2], [3, 2, 2, 1]])
def test_no_border_runs_through_a_label(sizes):
    """The numbers on lines lie within the frames of modules or outside of them."""
    laid = json.loads(layout(draw(training_loss(sizes, 1, activation="sigmoid")[1], limit=500).source, "json0"))
    frames = [[float(x) for x in o["bb"].split(",")] for o in laid["objects"] if o["name"].startswith("cluster")]
    assert len(frames) > 4
    for edge in laid["edges"]:
        if "lp" not in edge:
            continue
        x, y = map(float, edge["lp"].split(","))
        left, bottom, right, top = x - 24, y - 13, x + 24, y + 13
        for a, b, c, d in frames:
            apart = right <= a or left >= c or top <= b or bottom >= d
            assert apart or (a <= left and right <= c and b <= bottom and top <= d)


def test_texts_fit_in_any_usual_font():
    """A box is as wide as its longest line in DejaVu Sans, and the picture as wide as its legend."""
    x = Value(-0.123456, label="mmmmmmmm")
    laid = json.loads(layout(draw(x * 1e-7).source, "json0"))
    width = {node["name"]: 72 * float(node["width"]) for node in laid["objects"]}
    assert width["n0"] > 8 * 10.4 + 10  # bold
    assert float(laid["bb"].split(",")[2]) > 230


@pytest.mark.parametrize("sizes", [[2, 2, 2], [2, 3, 2]])
def test_neurons_and_weights_are_in_their_order(sizes):
    """From top to bottom: 0, 1, 2, …; a plain number that all neurons take is one box with a name."""
    drawn = draw(training_loss(sizes, 1)[1])
    laid = json.loads(layout(drawn.source, "json"))
    height = {o["name"]: float(o["bb"].split(",")[1]) for o in laid["objects"] if "bb" in o}
    for layer, size in enumerate(sizes[1:]):
        rows = [height[f"cluster_layers[{layer}].neurons[{i}]"] for i in range(size)]
        assert sorted(rows, reverse=True) == rows
    boxes, lines, frames = picture(training_loss(sizes, 1)[1])
    assert ["x[0]", "x[1]"] == sorted(box.split(" |")[0] for box in boxes if box.startswith("x["))
    assert sizes[1] == sum(tail.startswith("x[0]") and text == "" for tail, _, text, _ in lines)
    assert not any(text.startswith("x[") for frame in frames.values() for text in frame)


def test_text_of_a_drawing() -> None:
    """At a prompt that shows no pictures, the text says where they are shown."""
    picture = draw(Value(1.0) * 2.0)
    expected = "<graph: notebooks show it, autograd.view.render saves it>"
    assert expected == repr(picture) == picture._repr_mimebundle_()["text/plain"]


@pytest.mark.parametrize("show", [draw, flow, record])
def test_a_graph_with_changed_leaves_is_told(show):
    """A step of gradient descent leaves the loss as it was: a picture would show 7 × 7 = 9."""
    x = Value(3.0, label="x")
    y = x * x + math.nan * Value(0.0)
    show(y)
    x.data = 7.0
    with pytest.warns(
        UserWarning, match=r"mul\(x=7.0, x=7.0\) is 49.0, but the node holds 9.0.*Compute the graph again"
    ) as told:
        show(y)
    assert __file__ == told[0].filename
    show(x * x)
