"""Names of functions and labels are data in every picture: no markup, no link, no attribute, nothing breaks it."""

import html
import json
import re
import xml.etree.ElementTree as ET

import pytest

from autograd import Value, custom_gradient
from autograd.view import draw, explain, flow
from autograd.view.dot import layout
from autograd.view.page import still

HOSTILE = [
    '<a>, URL="javascript:alert(1)", target=<b>',
    '<TABLE HREF="javascript:alert(1)"><TR><TD>x</TD></TR></TABLE>',
    '" URL="javascript:alert(1)" x="',
    '\\" URL="javascript:alert(1)" x=\\"',
    '\\\\" URL="javascript:alert(1)" x=\\"',
    ']; evil [URL="javascript:alert(1)"]; x [label=\'',
    "</script><script>alert(1)</script>",
    "</text><script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    "<b>bold</b> & <img src=x onerror=alert(1)>",
    r"\N \G \E \L \n \l \r trailing \\",
    "\\",
    "<",
    ">",
    "&lt;&#0;&amp;",
    "new\nline\r\ttab",
    "\ufffe\uffff\0\x01\x1f\x7f\ud800\udfff",
    "-- > --> <!-- <?xml ?>",
    "node",
    "layers['<a href=\"javascript:alert(1)\">'].w",
    "layers['\ufffe\\N'].w[0]",
    "π \N{ROCKET} e\N{COMBINING ACUTE ACCENT}",
]


def graph(name):
    """A graph whose functions, symbols, labels and modules have the name."""

    def function(x):
        return 2.0 * x

    function.__name__ = name
    rule = custom_gradient(lambda x, y: 2.0)(function)
    other = custom_gradient(lambda x, y: 2.0, symbol="f")(function)
    x = Value(1.0, label=name)
    weights = [Value(2.0, label=f"outer['{name}'].inner.w[{i}]") for i in range(2)]
    y = rule(x) * other(weights[0]) + weights[1]
    y.label = name
    return y


def shown(text):
    """The text as it is shown: characters that XML cannot hold are replaced, white space becomes one blank."""
    text = re.sub("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "\N{REPLACEMENT CHARACTER}", text)
    return " ".join(text.split())


def check(picture):
    """Check that it is well-formed and contains nothing active."""
    root = ET.fromstring(picture)
    for element in root.iter():
        tag = element.tag.rpartition("}")[2]
        assert tag in {"svg", "g", "title", "polygon", "path", "text", "ellipse", "polyline", "a", "rect"}, tag
        for attribute, value in element.attrib.items():
            kind = attribute.rpartition("}")[2].lower()
            assert kind != "href", value
            assert not kind.startswith("on")
    return root


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("fold", [False, True])
def test_drawn_graphs(name, fold):
    """A drawing with the name in every place is well-formed, has nothing active and shows the name as it is."""
    source = draw(graph(name), fold=fold).source
    root = check(layout(source, "svg").decode())
    texts = {
        " ".join("".join(t.itertext()).replace("\xa0", " ").replace("\u200b", "").split())
        for t in root.findall(".//{*}text")
    }
    if not fold:
        assert any(shown(name) in text for text in texts), (name, texts)
    assert all(set(edge.attrib) <= {"id", "class"} for edge in root.findall(".//{*}g") if edge.get("class") == "edge")
    assert "alert(1)" not in re.sub(r'"(?:[^"\\]|\\.)*"|<<B>.*?</B>.*?>', "", source)  # outside quotes


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_pages_and_stills(name):
    """The viewer's page holds the name as data; the still picture is well-formed."""
    page = flow(graph(name))
    document = page.html()
    document.encode()
    assert 2 == document.count("<script")
    assert 2 == document.count("</script>")
    data = document.partition('id="gradient-flow-data">')[2].partition("</script>")[0]
    record = json.loads(data)["record"]
    kept = name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert {name, kept} & {node["label"] for node in record["nodes"]}
    assert {name, kept} & {node["op"] for node in record["nodes"]}
    check(still(json.loads(data)))
    title = re.search("<title>(.*?)</title>", document, re.DOTALL)[1]
    assert "<" not in title
    frame = page._repr_mimebundle_()["text/html"]
    frame.encode()
    assert not re.search("<script", frame.replace(re.search("srcdoc='.*?'", frame, re.DOTALL)[0], ""))
    assert html.unescape(re.search("srcdoc='(.*?)'", frame, re.DOTALL)[1]) == document


@pytest.mark.parametrize("name", HOSTILE)
def test_explanations(name):
    """The chain rule in text and LaTeX can use such names."""
    y = graph(name)
    leaf = y.parents[0].parents[0].parents[0]
    told = explain(y, leaf)
    str(told)
    told._repr_latex_()
