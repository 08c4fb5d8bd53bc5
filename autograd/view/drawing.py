"""A graph as a picture: every number of the chain rule at its node and on its edge."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import defaultdict
from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import hypot, isfinite, sqrt
from os import PathLike
from pathlib import Path
from typing import Any

try:
    import graphviz
except ImportError as error:
    raise ImportError("drawing graphs needs the extra `view`: pip install 'scalar-autograd[view]'") from error

from autograd.sweep import Message, record_sweep, topological_order
from autograd.value import Value
from autograd.view.changed import warn_of_changes
from autograd.view.dot import layout
from autograd.view.groups import Modules, group_by_module
from autograd.view.inputs import Inputs, find_inputs
from autograd.view.names import steps
from autograd.view.page import drawing as zoomable

# Blue and orange of Okabe and Ito's palette: colour-blind readers can tell them apart (https://jfly.uni-koeln.de/color/).
# Boxes are light with dark text; lines and free text have a middle brightness. All can be read on white and on black.
PALE, BLUE, ORANGE, YELLOW = (245, 245, 245), (86, 180, 233), (230, 159, 0), "#f0e442"
INK, GREY, LINE_BLUE, LINE_ORANGE = "#1a1a1a", "#7a7a7a", "#0f7fbf", "#d55e00"
KEY = (
    "data; grad = ∂output/∂node",
    "∂ local derivative; ← message = grad × ∂",
    "blue: positive, orange: negative",
)
LOWEST, HIGHEST = 120, 640  # pixels: the height of a drawing in a notebook
_SIZE = re.compile(r'<svg[^>]* height="(\d+)pt"')
# Advance widths of DejaVu Sans, the widest of the usual fonts, in points at a size of 10: [letters, plain, bold].
# Graphviz measures text in a font of its own, and the reader's may be wider: boxes must hold it all the same.
_WIDTHS = (("ijlI.,:;'|! ", 3.4, 4.0), ("ftr()[]-/", 4.3, 5.0), ("mwMW@%∏Σ", 9.9, 10.6))
_ADVANCE = {letter: (plain, bold) for letters, plain, bold in _WIDTHS for letter in letters}

FRAME = {"color": GREY, "style": "rounded", "labelloc": "t", "labeljust": "l"}

_UNPRINTABLE = re.compile("[\0-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")  # characters that XML 1.0 forbids
_NAMES = re.compile(r"\\(?=[GNETHL\\])")  # a backslash that Graphviz would read as the start of an escape


class Drawing(graphviz.Digraph):  # type: ignore[misc]  # graphviz ships no types
    """A `graphviz.Digraph` that works without `dot`: graphviz-pure is enough."""

    def pipe(self, format: str | None = None, *unused: Any, encoding: str | None = None, **options: Any) -> Any:  # noqa: A002
        """The picture as bytes, or as text if an encoding is given; Jupyter calls this."""
        picture = layout(self.source, format or self.format)
        return picture.decode(encoding) if encoding else picture

    def __repr__(self) -> str:
        return "<graph: notebooks show it, autograd.view.render saves it>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **options: Any) -> dict[str, str]:
        """What a notebook stores: the picture, and a frame in which it can be moved and zoomed.

        Jupyter shows SVG only in notebooks that it trusts, so the HTML has the picture once more, as an image.
        """
        picture: str = self.pipe("svg", encoding="utf-8")
        size = _SIZE.search(picture)
        height = min(max(1.35 * float(size[1]) + 100 if size else HIGHEST, LOWEST), HIGHEST)
        return {"text/plain": repr(self), "image/svg+xml": picture, "text/html": zoomable(picture, height)}

    def render(self, filename: Any = None, directory: Any = None, *unused: Any, **options: Any) -> str:
        """Write ``filename.format`` (or `outfile`) and return its path."""
        kind = options.get("format") or self.format
        target = Path(options.get("outfile") or f"{filename or self.filename}.{kind}")
        return str(render(self, Path(directory or "") / target))


@dataclass
class _Box:
    """One box of the picture."""

    title: str
    lines: list[str]
    grad: float | None = None  # decides the colour
    modules: Modules = ()  # around it, from the outside in
    look: dict[str, str] = field(default_factory=dict)


@dataclass
class _Line:
    """One line of the picture, in the direction in which data flow."""

    tail: Hashable
    head: Hashable
    text: str
    message: float | None = None  # decides the colour


def draw(
    outputs: Value | Iterable[Value], *, fold: bool | int = False, digits: int = 4, limit: int = 200
) -> graphviz.Digraph:
    """Draw the graph of one or several Values, with the numbers of one reverse sweep.

    Each node is a box with its operation and label, its data and its gradient; each operand slot is a line
    with the local derivative and the message, so ``x * x`` has two. A module is a frame around its nodes; the
    labels of parameters, such as ``layers[0].w``, name the modules. A plain number that a network takes is a box
    with a dashed border and a name such as ``x[0]``; other constants are bare numbers. The gradients are those of
    one sweep from the outputs, whether or not `backward` was called. Where the `.grad` of a node differs, it is
    shown too.

    Jupyter shows the result as a picture. No `.grad` changes.

    Parameters
    ----------
    outputs : Value or iterable of Value
        What to draw. The sweep starts here.
    fold : bool or int
        Draw each module as one box, and outside of modules each kind of operation as one box. A number is a depth:
        1, like True, makes a box of ``layers[0]``, 2 one of ``layers[0].neurons[3]``. Constants are left out.
    digits : int
        Significant digits.
    limit : int
        The largest number of boxes to draw.

    Returns
    -------
    graphviz.Digraph
        Its `source` is the DOT text, `pipe("svg")` the picture as bytes; `render` writes a file.

    Raises
    ------
    TypeError
        If an output is not a Value.
    ValueError
        If the graph has more boxes than `limit`; the message says how many, and what to do. If `digits` is below 1.

    Examples
    --------
    >>> from autograd import Value
    >>> from autograd.view import draw
    >>> x = Value(3.0, label="x")
    >>> picture = draw(x * x)
    >>> picture.source.count("->")
    2
    """
    roots = list(outputs) if isinstance(outputs, Iterable) else [outputs]
    for root in roots:
        if not isinstance(root, Value):
            raise TypeError(
                f"only the graph of a Value can be drawn, not {root!r:.80} of type {type(root).__name__}: pass what a "
                "computation with Values ends in, such as a loss"
            )
    if not isinstance(digits, int) or digits < 1:
        raise ValueError(f"digits must be a whole number of at least 1, not {digits!r}")
    order = topological_order(*roots)
    lines = sum(len(node.operands) for node in order)
    inputs = find_inputs(order)
    constants = sum(type(o) is float for node in order for o in node.operands) - len(inputs.uses)
    count = len(order) + len(inputs.labels) + constants
    if count > limit and not fold:
        raise ValueError(
            f"a graph of {count:,} boxes and {lines:,} lines is too large to read (more than limit={limit:,}): "
            "draw(…, fold=True) draws one box for each module; draw an earlier Value to see a smaller part"
        )
    warn_of_changes(order)
    picture = _Graph(roots, order, digits, inputs)
    if not fold:
        return picture.whole()
    boxes, between = picture.folded(int(fold))
    if len(boxes) > limit:
        raise ValueError(
            f"the graph of {len(order):,} nodes is too large to read: folded it still has {len(boxes):,} boxes (more "
            f"than limit={limit:,}). Draw an earlier Value, or one observation"
            + (f", or fold less deep than {fold}" if fold > 1 else "")
        )
    return _compose(boxes, between)


def render(value: Value | Iterable[Value] | graphviz.Digraph, path: str | PathLike[str], **options: Any) -> Path:
    """Draw to a file.

    Parameters
    ----------
    value : Value, iterable of Value or Digraph
        What to draw, or what `draw` returned.
    path : path
        The file; its suffix is the format, such as ``.svg`` or ``.png``.
    **options
        For `draw`.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    ValueError
        If the suffix is missing or names no format, or as `draw`.
    RuntimeError
        If neither `dot` nor `graphviz-pure` is installed.

    Examples
    --------
    >>> import tempfile
    >>> from autograd import Value
    >>> from autograd.view import render
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     render(Value(3.0, label="x") ** 2, f"{folder}/square.svg").name
    'square.svg'
    """
    path = Path(path)
    if not path.suffix:
        raise ValueError(f"the file name {str(path)!r} must end in a format, such as .svg or .png")
    drawing = value if isinstance(value, graphviz.Digraph) else draw(value, **options)
    picture = layout(drawing.source, path.suffix[1:].lower())
    path.write_bytes(picture)
    return path


class _Graph:
    """A graph and the messages of one sweep over it."""

    def __init__(self, roots: Sequence[Value], order: Sequence[Value], digits: int, inputs: Inputs) -> None:
        self.order, self.digits, self.inputs = order, digits, inputs
        self.outputs = set(roots)  # by identity: == compares the data
        self.messages = {(m.node, m.slot): m for m in record_sweep(roots)}
        self.adjoints = dict.fromkeys(order, 0.0) | dict.fromkeys(roots, 1.0)
        self.adjoints |= {m.operand: m.total for m in self.messages.values()}
        self.modules = dict(zip(order, group_by_module(order, [node.label for node in order])))

    def number(self, x: float) -> str:
        """A number as it is printed."""
        return f"{x:.{self.digits}g}"

    def box(self, node: Value) -> _Box:
        """The box of one node."""
        adjoint = self.adjoints[node]
        name = node.label or ""
        modules = self.modules[node]
        if modules:
            name = "" if node.op is not None and name == modules[-1] else name.removeprefix(f"{modules[-1]}.")
        title = f"{node.op.symbol}  {name}" if node.op is not None else name
        lines = [f"data {self.number(node.data)}", f"grad {self.number(adjoint)}"]
        if node.grad not in (0.0, adjoint):
            lines.append(f".grad {self.number(node.grad)} (accumulated)")
        look = {"style": "filled,rounded", "tooltip": _quoted(node.op.name)} if node.op is not None else {}
        look |= {"penwidth": "2.5"} if node in self.outputs else {}
        return _Box(title.strip(), lines, adjoint, modules, look)

    def line(self, tail: Hashable, head: Hashable, message: Message | None) -> _Line:
        """The line of one operand slot."""
        if message is None:
            return _Line(tail, head, "")
        text = f"∂ {self.number(message.local_derivative)}\n← {self.number(message.message)}"
        return _Line(tail, head, text, message.message)

    def whole(self) -> Drawing:
        """Every node a box, every operand slot a line."""
        boxes: dict[Hashable, _Box] = {}
        lines = []
        for number, x in enumerate(self.inputs.of(self.order)):  # no nodes, so they have no gradient
            look = {"style": "filled,dashed", "tooltip": "input"}
            boxes[number] = _Box(x.label, [f"data {self.number(x.data)}"], look=look)
        for place, node in enumerate(self.order):
            boxes[node] = self.box(node)
            for slot, operand in enumerate(node.operands):
                tail: Hashable = operand
                if (place, slot) in self.inputs.uses:
                    tail = self.inputs.uses[place, slot]
                elif type(operand) is float:  # a constant is a box of its own wherever it is used
                    tail = (node, slot)
                    look = {"shape": "plaintext", "style": "", "fontcolor": GREY, "width": "0", "height": "0"}
                    boxes[tail] = _Box(self.number(operand), [], None, self.modules[node], look)
                lines.append(self.line(tail, node, self.messages.get((node, slot))))
        return _compose(boxes, lines)

    def folded(self, depth: int) -> tuple[dict[Hashable, _Box], list[_Line]]:
        """A box for each group of nodes, a line for all messages between two groups."""
        group = _groups(self.order, self.modules, depth, self.outputs)
        members: dict[Hashable, list[Value]] = defaultdict(list)
        between: dict[tuple[Hashable, Hashable], list[Message | None]] = defaultdict(list)
        for node in self.order:
            members[group[node]].append(node)
            for slot, operand in enumerate(node.operands):
                if type(operand) is not float and group[operand] != group[node]:
                    between[group[operand], group[node]].append(self.messages.get((node, slot)))
        boxes = {key: self.group_box(key, nodes) for key, nodes in members.items()}
        return boxes, [self.group_line(tail, head, sent) for (tail, head), sent in between.items()]

    def group_box(self, key: Hashable, nodes: Sequence[Value]) -> _Box:
        """The box of a group; a group of one node looks like the node."""
        if len(nodes) == 1:
            return self.box(nodes[0])
        parameters = [node for node in nodes if node.op is None]
        norm = self.number(hypot(*[self.adjoints[node] for node in parameters or nodes]))
        if isinstance(key, str):
            lines = [f"{len(nodes):,} nodes", f"{len(parameters):,} parameters", f"‖grad‖ {norm}"]
            return _Box(key, lines, look={"style": "filled,rounded", "penwidth": "2"})
        op = nodes[0].op
        look = {} if op is None else {"style": "filled,rounded"}
        return _Box("leaves" if op is None else op.symbol, [f"{len(nodes):,} nodes", f"‖grad‖ {norm}"], look=look)

    def group_line(self, tail: Hashable, head: Hashable, sent: Sequence[Message | None]) -> _Line:
        """The line for all messages from one group to another."""
        if len(sent) == 1:
            return self.line(tail, head, sent[0])
        arrived = [m.message for m in sent if m is not None]
        return _Line(tail, head, f"{len(arrived):,} messages\n‖·‖ {self.number(hypot(*arrived))}")


def _groups(
    order: Sequence[Value], modules: Mapping[Value, Modules], depth: int, outputs: Container[Value]
) -> dict[Value, Hashable]:
    """Which nodes become one box: those of a module, those with the same operation on the same groups, and leaves.

    A node with the operation of its operand (a sum, term by term) joins its operand's group. An output outside of
    modules is a box of its own.
    """
    group: dict[Value, Hashable] = {}
    operation: dict[Hashable, Any] = {}
    numbered: dict[Hashable, int] = {}
    for node in order:
        if modules[node]:
            group[node] = modules[node][:depth][-1]
            continue
        if node in outputs:
            group[node] = node
            continue
        below = frozenset(group[o] for o in node.operands if type(o) is not float)
        joined = [key for key in below if not isinstance(key, str) and operation.get(key) is node.op]
        key = joined[0] if joined else numbered.setdefault((node.op, below), len(numbered))
        group[node] = key
        operation[key] = node.op
    return group


def _compose(boxes: Mapping[Hashable, _Box], lines: Sequence[_Line]) -> Drawing:
    """The picture, each box in the frame of its module."""
    free = {"fontname": "Helvetica,Arial,sans-serif", "fontsize": "10", "fontcolor": GREY}
    shown = [box.grad for box in boxes.values()] + [line.message for line in lines]
    words = KEY if all(x is None or isfinite(x) for x in shown) else (*KEY, "yellow: not finite")
    drawing = Drawing(
        format="svg",
        graph_attr=free | {"rankdir": "LR", "bgcolor": "transparent", "label": _cell(words), "labelloc": "b"},
        node_attr=free
        | {
            "shape": "box",
            "style": "filled",
            "margin": "0.16,0.06",
            "fontcolor": INK,
            "color": GREY,
            "fillcolor": _rgb(PALE),
        },
        edge_attr=free | {"color": GREY, "arrowsize": "0.6"},
    )
    names = {key: f"n{i}" for i, key in enumerate(boxes)}
    frames: dict[Modules, graphviz.Digraph] = {(): drawing}
    largest = _largest(box.grad for box in boxes.values())
    if any(box.modules for box in boxes.values()):
        # inches; with less, a frame's border may run through a label outside of it
        drawing.graph_attr["nodesep"] = "0.6"
        # with more rounds of untangling, Graphviz would no longer keep neurons in their order: 0 above 1 above 2
        drawing.graph_attr["mclimit"] = "0.2"
    for modules in sorted({box.modules[: n + 1] for box in boxes.values() for n in range(len(box.modules))}):
        label = _quoted(steps(modules[-1])[-1])
        name = _printable(f"cluster_{modules[-1]}")
        frames[modules] = graphviz.Digraph(name, graph_attr=FRAME | {"label": label})
    for key, box in boxes.items():
        title = _markup(box.title)
        text = "<BR/>".join([f"<B>{title}</B>"] * bool(title) + [*map(html.escape, box.lines)])
        width = max([_width(box.title, 1), *[_width(line) for line in box.lines]])
        look = {"fillcolor": _fill(box.grad, largest), "width": f"{(width + 18) / 72:.3f}"} | box.look
        frames[box.modules].node(names[key], f"<{text or ' '}>", **look)
    for modules in sorted(frames, key=len, reverse=True)[:-1]:  # the inner ones first
        frames[modules[:-1]].subgraph(frames[modules])
    largest = _largest(line.message for line in lines)
    for line in lines:
        text = _cell(line.text.split("\n")) if line.text else ""
        drawing.edge(names[line.tail], names[line.head], text, **_stroke(line, largest))
    return drawing


def _width(text: str, bold: int = 0) -> float:
    """How wide a text may be in the reader's font, in points."""
    wide = (10.0, 10.0) if any(unicodedata.east_asian_width(c) in "WF" for c in text) else (6.4, 7.2)
    return sum(_ADVANCE.get(letter, wide)[bold] for letter in text)


def _cell(lines: Sequence[str]) -> str:
    """Lines of free text as a label that is wide enough for the reader's font."""
    text = "<BR/>".join(map(html.escape, lines))
    cell = f'<TD WIDTH="{max(map(_width, lines)):.0f}">{text}</TD>'
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLPADDING="0" CELLSPACING="0"><TR>{cell}</TR></TABLE>>'


def _printable(text: str) -> str:
    """Text that XML can hold, on one line, without anything that Graphviz would pass on as a character reference."""
    text = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", re.sub(r"[\t\n\r]", " ", text))
    return re.sub(r"&(?=#?\w+;)", "&\N{ZERO WIDTH SPACE}", text)


def _markup(text: str) -> str:
    r"""Text for a label in Graphviz's HTML, in which Graphviz would replace ``\N`` and other escapes."""
    return _NAMES.sub(r"\\\\", html.escape(_printable(text)))


def _quoted(text: str) -> str:
    """Text for an attribute: names and labels are data, never markup, an escape or another attribute."""
    quoted: str = graphviz.escape(_printable(text))
    return quoted


def _largest(numbers: Iterable[float | None]) -> float:
    return max((abs(x) for x in numbers if x is not None and isfinite(x)), default=0.0) or 1.0


def _rgb(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _fill(grad: float | None, largest: float) -> str:
    """From pale to blue (positive) or orange (negative), by the square root of the size, so that small ones show."""
    if grad is None:
        return _rgb(PALE)
    if not isfinite(grad):
        return YELLOW
    share = sqrt(abs(grad) / largest)
    red, green, blue = [round(pale + share * (full - pale)) for pale, full in zip(PALE, BLUE if grad > 0 else ORANGE)]
    return _rgb((red, green, blue))


def _stroke(line: _Line, largest: float) -> dict[str, str]:
    """Colour by sign, width by size; dotted where no message is sent."""
    if line.message is None:
        return {} if line.text else {"style": "dotted"}
    if not isfinite(line.message):
        return {"color": YELLOW, "penwidth": "3"}
    colour = GREY if line.message == 0.0 else LINE_BLUE if line.message > 0.0 else LINE_ORANGE
    return {"color": colour, "penwidth": f"{1 + 2 * sqrt(abs(line.message) / largest):.2f}"}
