"""Programs on pages: directives that show code, and what it makes.

A plain fence is text; the tests run it. ``{playground}`` is a program for the playground, with a link that opens it
there. ``{run}`` is also run when the site is built, and shows the viewer of a Value. ``{gallery}`` runs the scripts of
a folder and shows their pictures.
"""

from __future__ import annotations

import ast
import hashlib
import html
import os
import subprocess
import sys
import urllib.parse
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from autograd import Value
from autograd.view import flow

FRAMES = "viewers"  # the folder of the built site for the pages of viewers


def playground_link(code: str) -> str:
    """The part of a link that carries a program, as the playground reads it."""
    return "#code=" + urllib.parse.quote(code, safe="")


def run(code: str, name: str, where: str) -> Value:
    """Run a program, and return the Value of a name in it."""
    namespace: dict[str, Any] = {"__name__": "program"}
    exec(compile(code, where, "exec"), namespace)
    found = namespace.get(name)
    if not isinstance(found, Value):
        raise ExtensionError(f"{where}: {name!r} should be a Value after the program has run, not {found!r}")
    return found


class Playground(SphinxDirective):
    """A program for the playground, with a link that opens it there."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Show the code and the link."""
        code = "\n".join(self.content)
        block = nodes.literal_block(code, code, language="python")
        self.set_source_info(block)
        return [block, self._link(code)]

    @property
    def _root(self) -> str:
        """From this page to the top of the site."""
        return "../" * self.env.docname.count("/")

    def _link(self, code: str) -> nodes.Node:
        address = f"{self._root}playground/index.html{playground_link(code)}"
        link = f'<p class="try"><a href="{html.escape(address)}">Open in the playground</a></p>'
        return nodes.raw("", link, format="html")


class Run(Playground):
    """Code that is run: ``:flow: y`` shows the viewer of y, ``:try:`` a link to the playground."""

    option_spec: ClassVar = {
        "flow": directives.unchanged_required,
        "try": directives.flag,
        "check": directives.flag,
        "height": directives.positive_int,
    }

    def run(self) -> list[nodes.Node]:
        """Show the code, and then what was asked for."""
        code = "\n".join(self.content)
        block = nodes.literal_block(code, code, language="python")
        self.set_source_info(block)
        shown: list[nodes.Node] = [block]
        if "try" in self.options:
            shown.append(self._link(code))
        if "flow" in self.options:
            shown.append(self._viewer(code))
        return shown

    def _viewer(self, code: str) -> nodes.Node:
        where = f"{self.env.doc2path(self.env.docname)}:{self.lineno}"
        shown = flow(run(code, self.options["flow"], where), check="check" in self.options)
        name = hashlib.sha256(f"{code}{self.options}".encode()).hexdigest()[:12]
        folder = Path(self.env.app.outdir) / FRAMES
        folder.mkdir(parents=True, exist_ok=True)
        shown.save(folder / f"{name}.html")
        title = f"The viewer of {self.options['flow']}"
        height = self.options.get("height", 640)
        frame = (
            f'<div class="viewer"><iframe loading="lazy" title="{html.escape(title)}" style="height:{height}px" '
            f'src="{self._root}{FRAMES}/{name}.html"></iframe>'
            f'<p><a href="{self._root}{FRAMES}/{name}.html">This viewer on a page of its own</a></p></div>'
        )
        return nodes.raw("", frame, format="html")


class Gallery(Playground):
    """The pictures that scripts make, each with its title, its text and its script."""

    def run(self) -> list[nodes.Node]:
        """Run each script in a folder of its own, and show what it wrote."""
        here = Path(self.env.doc2path(self.env.docname)).parent
        thumbnails, lines = [], []
        for name in self.content:
            script = here / f"{name}.py"
            self.env.note_dependency(str(script))
            picture = self._picture(script)
            place = f"picture-{name}".replace("_", "-")
            title, text, code = describe(script)
            thumbnails.append(
                f'<a href="#{place}"><img loading="lazy" src="{self._root}{picture}" alt="">'
                f"<span>{html.escape(title)}</span></a>"
            )
            lines += [
                f"({place})=", f"## {title}", "", text, "",
                "```{raw} html",
                f'<a href="{self._root}{picture}" title="The picture alone, in its full size">'
                f'<img class="large" loading="lazy" src="{self._root}{picture}" alt="{html.escape(title)}"></a>',
                "```", "",
                "```python", code, "```", "",
            ]  # fmt: skip  # lines of MyST
        grid = nodes.raw("", f'<div class="gallery">{"".join(thumbnails)}</div>', format="html")
        self.state_machine.node.append(grid)  # what is returned comes after the sections
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)

    def _picture(self, script: Path) -> str:
        """Run a script; the address of its picture within the site."""
        folder = Path(self.env.app.outdir) / "pictures"
        folder.mkdir(parents=True, exist_ok=True)
        source = Path(__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": str(source), "MPLBACKEND": "agg"}
        done = subprocess.run([sys.executable, script], cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise ExtensionError(f"{script} failed:\n{done.stderr}")
        (made,) = [p for p in folder.glob(f"{script.stem}.*") if p.suffix in (".svg", ".png", ".webp")]
        return f"pictures/{made.name}"


def describe(script: Path) -> tuple[str, str, str]:
    """The title and the text of a script (the first line of its docstring, and the rest), and its code."""
    source = script.read_text(encoding="utf-8")
    tree = ast.parse(source)
    title, _, text = (ast.get_docstring(tree) or "").partition("\n\n")
    code = "".join(source.splitlines(keepends=True)[tree.body[0].end_lineno :])
    return title.strip().rstrip("."), text.strip(), code.strip()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("playground", Playground)
    app.add_directive("run", Run)
    app.add_directive("gallery", Gallery)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
