"""The site is right: programs print what the pages claim, formulas are those of the table, links lead somewhere."""

import contextlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import autograd
from autograd.rules import TABLE

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if not p.is_relative_to(DOCS / "reference" / "api"))
SCRIPTS = sorted((DOCS / "gallery").glob("*.py"))
FENCE = re.compile(r"^```(\{\w+\}|\w+)[ ]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"^:[\w-]+:.*$", re.MULTILINE)


@pytest.fixture(scope="module", autouse=True)
def own_modules():
    """The site's own modules can be imported."""
    added = [str(DOCS / "extensions"), str(ROOT / "tools")]
    sys.path[:0] = added
    yield
    for path in added:
        sys.path.remove(path)


def blocks(page):
    """The kind, the text and the line of every fenced block of a page."""
    text = page.read_text(encoding="utf-8")
    return [(m[1], m[2], text.count("\n", 0, m.start()) + 1) for m in FENCE.finditer(text)]


WITH_CODE = [page for page in PAGES if any(kind in ("python", "{run}") for kind, _, _ in blocks(page))]


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_a_page_prints_what_it_shows(page, tmp_path, monkeypatch):
    """The blocks of a page run in order, and print exactly the text blocks that follow them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOGRAD_QUIET", "1")
    namespace = {"__name__": "page"}
    printed = None
    for kind, text, line in blocks(page):
        if kind == "text":
            assert printed is not None, f"{page}:{line}: this output follows no program"
            assert text == printed, f"{page}:{line}"
            printed = None
        elif kind in ("python", "{run}"):
            assert not printed, f"{page}:{line}: the program before prints something that the page does not show"
            output = io.StringIO()
            code = OPTION.sub("", text) if kind == "{run}" else text
            with contextlib.redirect_stdout(output):
                exec(compile("\n" * line + code, page, "exec"), namespace)
            printed = output.getvalue()
    assert not printed, f"{page}: the last program prints something that the page does not show"


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_of_the_gallery_makes_its_picture(script, tmp_path):
    """Each script runs alone and writes one picture with its name."""
    environment = {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "PATH": "/usr/bin:/bin", "AUTOGRAD_CACHE": "off"}
    subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, check=True)
    made = [path.name for path in tmp_path.iterdir() if path.stat().st_size > 1000]
    assert [script.stem] == [name.rpartition(".")[0] for name in made]


def test_the_gallery_shows_every_script():
    """The gallery has at least twelve pictures, and leaves out no script."""
    (shown,) = [text.split() for kind, text, _ in blocks(DOCS / "gallery" / "index.md") if kind == "{gallery}"]
    assert {script.stem for script in SCRIPTS} == set(shown)
    assert len(shown) >= 12


def test_programs_for_the_playground_run_there():
    """Each program that a page opens in the playground has a result, without Graphviz and without the C build."""
    everything = [block for page in PAGES for block in blocks(page)]
    programs = [text for kind, text, _ in everything if kind == "{playground}"]
    programs += [OPTION.sub("", text) for kind, text, _ in everything if kind == "{run}" and ":try:" in text]
    run = """
import json, re, sys
from autograd.view import use_layout
from session import Session



def everything_at_one_place(source, format):
    frames = re.findall(r"subgraph (cluster_\\d+)", source)
    objects = [{"name": f"n{i}", "pos": "5,5"} for i in range(source.count("[width="))]
    objects += [{"name": frame, "bb": "0,0,10,10"} for frame in frames]
    edges = [{"id": i, "pos": "e,5,5 0,0 1,1 2,2 3,3"} for i in range(source.count(" -> "))]
    return json.dumps({"bb": "0,0,10,10", "objects": objects, "edges": edges})


use_layout(everything_at_one_place)
for code in json.load(sys.stdin):
    request = {"code": code, "moved": {}, "wrt": None, "seconds": 20, "again": False}
    print(json.loads(Session().run(json.dumps(request))).get("error"))
"""
    environment = {"PYTHONPATH": f"{ROOT}:{DOCS / 'playground'}", "AUTOGRAD_PURE_PYTHON": "1", "PATH": "/nowhere"}
    sent = json.dumps(programs)
    done = subprocess.run([sys.executable, "-c", run], input=sent, capture_output=True, text=True, env=environment)
    assert 0 == done.returncode, done.stderr
    assert ["None"] * len(programs) == done.stdout.split("\n")[:-1]
    assert len(programs) >= 10


@pytest.mark.parametrize("rule", TABLE.values(), ids=str)
def test_every_primitive_has_formulas_and_a_picture(rule):
    """Formulas are MathML, those of textbooks agree with the row, and the picture shows both curves."""
    pytest.importorskip("latex2mathml")
    import primitives
    from mathml import mathml

    for formula in [primitives.value_formula(rule), *primitives.derivative_formulas(rule)]:
        assert mathml(formula, "block").startswith("<math")
    picture = primitives.picture(rule)
    assert re.search(r'class="value" d="M[\d.]+ [\d.]+L', picture)
    assert re.search(r'class="slope" d="M[\d.]+ [\d.]+L', picture)


def test_a_wrong_formula_of_a_textbook_is_refused(monkeypatch):
    """A formula that has another value than its row ends the build."""
    pytest.importorskip("sphinx")
    import primitives
    from sphinx.errors import ExtensionError

    monkeypatch.setitem(primitives.DERIVATIVES, "sqrt", [lambda x, y: 1.0 / y])
    with pytest.raises(ExtensionError, match="a derivative of sqrt: the textbook's formula gives"):
        primitives.derivative_formulas(TABLE["sqrt"])


def test_the_reference_has_every_public_name():
    """Each name of each `__all__` is described, or refers to where it is."""
    pytest.importorskip("sphinx")
    import public_names

    modules = {module.__name__: module for module in public_names.public_modules()}
    assert {"autograd", "autograd.math", "autograd.testing", "autograd.view", "nn"} <= modules.keys()
    for module in modules.values():
        text = public_names.page(module)
        for name in public_names.names_of(module):
            if public_names.kind_of(module, name) != "automodule":
                assert re.search(rf"`{name} <[\w.]+\.{name}>`", text), f"{module.__name__}.{name}"
    assert ".. autofunction:: autograd.grad" in public_names.page(autograd)


def test_links_are_checked(tmp_path):
    """A link to nothing, a place that is not there, and anything loaded from elsewhere are told."""
    from check_site import check

    (tmp_path / "a.html").write_text(
        '<a href="b.html#here">1</a><a href="b.html#gone">2</a><a href="c.html">3</a><a href="b.html#code=x">4</a>'
        '<script src="https://elsewhere.example/x.js"></script><img src="no.png"><a href="https://fine.example">5</a>',
        encoding="utf-8",
    )
    (tmp_path / "b.html").write_text('<p id="here"></p>', encoding="utf-8")
    (tmp_path / "s.css").write_text(
        '@import "//elsewhere.example/y.css"; a { background: url(local.png) }', encoding="utf-8"
    )
    assert [
        "a.html loads https://elsewhere.example/x.js from elsewhere",
        "a.html loads no.png: there is no such file",
        "a.html links to b.html#gone: there is no place 'gone' on that page",
        "a.html links to c.html: there is no such file",
        's.css loads @import "//elsewhere.example/y.css from elsewhere',
    ] == check(tmp_path)
