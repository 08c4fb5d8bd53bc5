"""The viewer's modules become one module that does the same, or an error says which line is not understood."""

import re
import shutil
import subprocess

import pytest

from autograd.view.bundle import bundle
from autograd.view.page import STATIC, drawing_script, script, style

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed (on Debian: apt-get install nodejs)")


@pytest.fixture
def write(tmp_path):
    """Write modules to a folder; the first is the entry."""

    def write_modules(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.js").write_text(text, encoding="utf-8")
        return tmp_path / f"{next(iter(texts))}.js"

    return write_modules


def run(path, program):
    """What node prints for a program that imports a module as `bundled`."""
    program = f"import * as bundled from '{path.as_uri()}'; {program}"
    done = subprocess.run([NODE, "--input-type=module", "-e", program], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout.strip()


@needs_node
def test_modules_keep_their_scopes_and_the_entry_its_exports(write, tmp_path):
    """Two modules may use the same top-level name; a module that two import is run once; imports may take lines."""
    entry = write(
        main='import {\n  count,\n  twice,\n} from "./a.js";\nimport { seen } from "./b.js";\nconst hidden = 3;\n'
        "export const total = twice(hidden) + count() + count();\n"
        "export function both() {\n  return [total, seen()];\n}\n"
        'export default { name: "main" };\n',
        a='import { next } from "./c.js";\nconst hidden = 10;\nexport class Unused {}\n'
        "export function twice(x) {\n  return 2 * x + hidden;\n}\nexport const count = () => next();\n",
        b='import { next } from "./c.js";\nconst hidden = 100;\nexport const seen = () => next() + hidden;\n',
        c="let hidden = 0;\nexport const next = () => ++hidden;\n",
    )
    path = tmp_path / "bundle.mjs"
    path.write_text(bundle(entry), encoding="utf-8")
    printed = run(path, "console.log(JSON.stringify([Object.keys(bundled).sort(), bundled.both(), bundled.default]))")
    assert '[["both","default","total"],[19,103],{"name":"main"}]' == printed


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ('import d3 from "./b.js";', r"main\.js, line 2: 'import d3 from .*' is not bundled; what is known: import \{"),
        ('import * as b from "./b.js";', r"main\.js, line 2: 'import \* as b"),
        ('import "./b.js";', r"main\.js, line 2"),
        ('import { b } from "d3";', r"main\.js, line 2: 'import \{ b \} from \"d3\";' is not bundled"),
        ('import { b } from "https://example.org/b.js";', r"main\.js, line 2"),
        ('import { b } from "../b.js";', r"main\.js, line 2"),
        ('import { b } from "./b.js"', r"main\.js, line 2"),
        ('  import b from "./b.js";', r"main\.js, line 2"),
        ('import { b as c } from "./b.js";', r"main\.js imports b as c, which b\.js does not export"),
        ('import { c } from "./b.js";', r"main\.js imports c, which b\.js does not export"),
        ('import { b } from "./d.js";', r"main\.js imports d\.js, and there is no such file"),
        ('import { x } from "./circle.js";', r"in a circle: circle\.js → again\.js → circle\.js"),
        ('import { x } from "./defaults.js";', r"defaults\.js, line 1: 'export default 1;'"),
        ('const later = import("./b.js");', r"main\.js, line 2: 'const later = import"),
        ("const here = import.meta.url;", r"main\.js, line 2"),
        ("export { start };", r"main\.js, line 2"),
        ("export let n = 1;", r"main\.js, line 2"),
        ("export const { n } = {};", r"main\.js, line 2"),
        ("export async function f() {}", r"main\.js, line 2"),
        ('export * from "./b.js";', r"main\.js, line 2"),
        ('const html = "</SCRIPT>";', r"'</SCRIPT' in the JavaScript could end the script element"),
        ('const html = "<!--";', r"'<!--' in the JavaScript"),
    ],
)
def test_what_is_not_understood_is_refused(write, statement, complaint):
    """The error names the file and the line, and what could stand there."""
    entry = write(
        main=f"const start = 1;\n{statement}\n",
        b="export const b = 1;\n",
        circle='import { y } from "./again.js";\nexport const x = y;\n',
        again='import { x } from "./circle.js";\nexport const y = x;\n',
        defaults="export default 1;\n",
    )
    with pytest.raises(ValueError, match=complaint):
        bundle(entry)


def test_every_module_of_the_viewer_is_in_the_bundle():
    """No file in the folder is left out, and the bundle has no import but the exports of the two ways in.

    A drawing of a notebook has a bundle of its own.
    """
    files = sorted((STATIC / "flow").iterdir())
    assert len(files) >= 10
    assert all(".js" == file.suffix for file in files)
    for file in files:
        first = file.read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("// ")
        assert first in (drawing_script() if file.name == "drawing.js" else script())
    assert not re.search(r"^\s*import\b", script(), re.MULTILINE)
    assert ["export function start", "export default {"] == re.findall(r"^export [\w ]+\{?", script(), re.MULTILINE)


@pytest.mark.slow
@needs_node
def test_every_module_of_the_viewer_is_a_module(tmp_path):
    """Without the bundler each can be imported as it is, and what it imports exists."""
    shutil.copytree(STATIC / "flow", tmp_path / "flow")
    (tmp_path / "flow" / "package.json").write_text('{"type": "module"}')
    files = sorted((tmp_path / "flow").glob("*.js"))
    imports = ", ".join(f"import('{file.as_uri()}')" for file in files)
    counts = run(files[0], f"console.log(...(await Promise.all([{imports}])).map((it) => Object.keys(it).length))")
    assert len(files) == len(counts.split())
    assert "0" not in counts.split()


def test_the_widget_takes_the_bundle():
    """anywidget gets the JavaScript and the style as texts, with the default export that it calls."""
    pytest.importorskip("anywidget")
    from autograd import Value
    from autograd.view import flow

    widget = flow(Value(2.0) * 3.0).widget()
    assert (script(), style()) == (widget._esm, widget._css)
