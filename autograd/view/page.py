"""A page with everything in it: data, style and viewer; and a still picture where no script may run."""

from __future__ import annotations

import base64
import html
import json
from functools import cache
from math import isfinite, isnan
from pathlib import Path
from typing import Any

from autograd.view.bundle import bundle
from autograd.view.layout import short_name
from autograd.view.symbols import show

Json = dict[str, Any]
STATIC = Path(__file__).parent / "static"
HEIGHT = 640  # pixels, in a notebook
POSITIVE, NEGATIVE, ZERO, BAD = "#0a5fc2", "#b84a00", "#7b8494", "#c2003f"  # as in flow.css


@cache
def style() -> str:
    """The viewer's style sheet."""
    return (STATIC / "flow.css").read_text(encoding="utf-8")


@cache
def script() -> str:
    """The viewer's JavaScript as one ES module: it exports `start` for a page, and for anywidget its default."""
    return bundle(STATIC / "flow" / "main.js")


def to_json(data: Any) -> str:
    """JSON for a script element: no label can end the element; nan and inf are strings."""
    try:
        text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_spell_out(data), allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _spell_out(data: Any) -> Any:
    if isinstance(data, float):
        return data if isfinite(data) else "nan" if isnan(data) else "inf" if data > 0 else "-inf"
    if isinstance(data, dict):
        return {key: _spell_out(value) for key, value in data.items()}
    return [_spell_out(value) for value in data] if isinstance(data, (list, tuple)) else data


def page(payload: Json) -> str:
    """A page that needs no server, no network and no kernel."""
    title = html.escape(payload["title"].encode("utf-8", "replace").decode())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>
{style()}
html, body {{ margin: 0; height: 100%; }}
main > .gradient-flow {{ height: 100vh; border: 0; border-radius: 0; }}
h1 {{ position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); }}
</style>
</head>
<body>
<main><h1>Gradient flow: {title}</h1><div id="gradient-flow"></div></main>
<script type="application/json" id="gradient-flow-data">{to_json(payload)}</script>
<script type="module">
{script()}
start();
</script>
</body>
</html>
"""


@cache
def drawing_script() -> str:
    """The JavaScript that lets a drawing be moved and zoomed; it exports `start`."""
    return bundle(STATIC / "flow" / "drawing.js")


def drawing(svg: str, height: float) -> str:
    """A drawing for the output of a notebook, in a frame that zooms; as an image for where frames are removed.

    A frame whose colour scheme is that of its page is transparent. On a dark page it would be white without one.
    """
    document = f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Graph</title><style>
html, body, main {{ margin: 0; height: 100%; overflow: hidden; }}
svg {{ display: block; width: 100%; height: 100%; touch-action: none; cursor: grab; }}
.zoom {{ position: absolute; right: 4px; top: 4px; display: flex; gap: 4px; opacity: 0.5; }}
.zoom:hover, .zoom:focus-within {{ opacity: 1; }}
.button {{ width: 28px; height: 26px; padding: 4px; border: 1px solid #a3acba; border-radius: 6px; background: #fff; }}
.icon {{ width: 16px; height: 16px; fill: none; stroke: #1b2230; stroke-width: 1.8; }}
</style></head><body><main>{svg[svg.index("<svg") :]}</main><script type="module">
{drawing_script()}
start();
</script></body></html>"""
    quoted = document.replace("&", "&amp;").replace("'", "&#39;")
    picture = base64.b64encode(svg.encode()).decode()
    looks = f"width:100%;height:{height:.0f}px;border:0;color-scheme:light"
    return (
        f'<div><img class="gradient-flow-picture" alt="graph" src="data:image/svg+xml;base64,{picture}">'
        f'<iframe title="Graph" style="{looks}" srcdoc=\'{quoted}\'></iframe></div>'
    )


def frame(payload: Json) -> str:
    """The page in a frame, for the output of a notebook; with a still picture for where frames are removed."""
    document = page(payload).replace("&", "&amp;").replace("'", "&#39;")
    picture = base64.b64encode(still(payload).encode()).decode()
    title = html.escape(f"Gradient flow of {payload['title']}".encode("utf-8", "replace").decode())
    return (
        f'<div><img class="gradient-flow-picture" alt="{title}" src="data:image/svg+xml;base64,{picture}">'
        f'<iframe title="{title}" style="width:100%;height:{HEIGHT}px;border:0" srcdoc=\'{document}\'></iframe></div>'
    )


def still(payload: Json) -> str:
    """The first view at the end of the sweep, as an SVG picture."""
    view = payload["views"][payload["first"]]
    layout = payload["layouts"][view["layout"]]
    width, height = layout["size"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 -12 {width + 24} {height + 24}" '
        f'width="{min(width + 24, 960):.0f}" font-family="monospace" font-size="12">',
        f'<rect x="-12" y="-12" width="{width + 24}" height="{height + 24}" fill="#ffffff"/>',
    ]
    for x, y, w, h in layout["places"]:
        parts.append(f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="12" fill="#eef0f4"/>')
    for curve in layout["curves"]:
        points = " ".join(map(str, curve[2:]))
        parts.append(f'<path d="M{curve[0]} {curve[1]}C{points}" fill="none" stroke="#a3acba"/>')
    for box, centre, size in zip(view["boxes"], layout["centres"], layout["sizes"]):
        parts += _still_box(payload["record"], box, centre, size)
    return "\n".join([*parts, "</svg>"])


def _still_box(record: Json, box: int, centre: list[float], size: list[float]) -> list[str]:
    (x, y), (w, h) = centre, size
    left, top = x - w / 2, y - h / 2
    if box < 0:
        lines = [(record["groups"][-1 - box]["name"], "#1b2230"), ("folded", ZERO)]
    else:
        adjoint = record["adjoints"][box]
        slope = ("", ZERO) if adjoint is None else (f"∂ {show(adjoint)}", colour(adjoint))
        lines = [(short_name(record, box), "#1b2230"), (show(record["values"]["data"][box]), "#1b2230"), slope]
    rows = [
        f'<text x="{left + 10:.1f}" y="{top + 18 + 15.5 * i:.1f}" fill="{ink}">{html.escape(_cut(text))}</text>'
        for i, (text, ink) in enumerate(lines)
    ]
    fill = "#ffffff" if box >= 0 else "#f1eefb"
    return [
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{w}" height="{h}" rx="9" fill="{fill}" stroke="#a3acba"/>',
        *rows,
    ]


def colour(number: float) -> str:
    """The colour of a sign."""
    return BAD if not isfinite(number) else POSITIVE if number > 0 else NEGATIVE if number < 0 else ZERO


def _cut(text: str) -> str:
    text = "".join([c for c in text if c.isprintable()])
    return text if len(text) <= 20 else f"{text[:11]}…{text[-8:]}"
