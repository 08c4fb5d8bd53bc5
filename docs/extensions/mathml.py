"""Mathematics as MathML, which browsers draw by themselves: pages need no script and no font from elsewhere."""

from __future__ import annotations

import html
import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

REWRITES = (  # of LaTeX that latex2mathml does not know
    (re.compile(r"\\[td]frac\b"), r"\\frac"),
    (re.compile(r"\\displaystyle\b\s*"), ""),
    (re.compile(r"\\(begin|end)\{aligned\}"), r"\\\1{align*}"),
    (re.compile(r"\\\\\[[^]]*\]"), r"\\\\"),
)
MENDS = (  # of MathML: a minus after an operator is a sign, a brace is as wide as what it spans
    (
        re.compile(r"(<mo[^>]*>(?:&#x0003D;|&#x00028;|&#x0002C;|&#x0003C;|&#x0003E;)</mo>)<mo>&#x02212;</mo>"),
        r'\1<mo form="prefix">&#x02212;</mo>',
    ),
    (re.compile(r"<mo>(&#x23D[EF];)</mo>"), r'<mo stretchy="true">\1</mo>'),
)


def mathml(latex: str, display: str) -> str:
    """LaTeX as a MathML element; `display` is "inline" or "block".

    Raises
    ------
    ExtensionError
        If a command of LaTeX is not known: it would be shown as it stands.
    """
    for pattern, replacement in REWRITES:
        latex = pattern.sub(replacement, latex)
    element = convert(latex, display=display)
    for pattern, replacement in MENDS:
        element = pattern.sub(replacement, element)
    if unknown := re.search(r"<m(?:i|o|text)>(\\[a-zA-Z]+|&)<", element):
        raise ExtensionError(f"latex2mathml does not know {unknown[1]} in {latex!r}")
    return element


def visit_inline(translator: Any, node: nodes.math) -> None:
    """Write a formula within a line."""
    translator.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:
    """Write a formula on lines of its own, which scrolls if it is wider than the page."""
    name = f' id="{html.escape(node["ids"][0])}"' if node.get("ids") else ""
    translator.body.append(f'<div class="math"{name}>{mathml(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the way in which mathematics is written."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.connect("config-inited", lambda app, config: config.__setattr__("html_math_renderer", "mathml"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
