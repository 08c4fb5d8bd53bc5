"""Positions: Graphviz lays out each view of a graph (folded, unfolded, one group opened) once."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from autograd.view.dot import layout as run_dot

Json = dict[str, Any]
Entity = tuple[str, int]  # ("node", index) or ("group", index)
POINTS = 72.0
READABLE = 60  # boxes: a larger view is not the one that is shown first
COMPLETE = 600  # nodes: of a larger graph there is no view of all nodes
CROWDED = 120  # boxes: a larger view that still folds something is left out
ROOM_FOR_MESSAGES = 90  # arrows: in a larger view they have no room for numbers …
DENSE = 1.8  # … nor in one with more arrows than this per box
ORDERED = 200  # boxes: in a larger view Graphviz alone decides on the order from top to bottom
ROUTED = 200  # arrows: in a larger view Graphviz is given only those that no chain of others implies
_NUMBERED = re.compile(r"(.*?)(\d+|[₀-₉]+)\]?", re.DOTALL)  # neurons[3], w[1], x2, x₂


@dataclass(frozen=True, slots=True)
class View:
    """What is shown at one time: some boxes are single nodes, others are folded groups."""

    name: str
    group: int | None  # the opened group; None: the whole graph
    boxes: tuple[Entity, ...]
    opened: tuple[int, ...] = ()  # groups drawn as frames


class Tree:
    """The groups of a record, which lies in which, and what is connected.

    The output is where the reverse sweep starts, so it is a box of its own even where its group is folded.
    """

    def __init__(self, record: Json) -> None:
        self.groups: list[Json] = record["groups"]
        self.symbols: list[str] = [node["symbol"] or "" for node in record["nodes"]]
        self.group_of: list[int | None] = [node["group"] for node in record["nodes"]]
        self.output: Entity = ("node", len(self.group_of) - 1)
        occupied = self._occupied()
        while (group := self.group_of[-1]) is not None and group not in occupied:
            self.group_of[-1] = self.groups[group]["parent"]
        self.children: dict[int | None, list[Entity]] = {group: [] for group in occupied}
        for index, group in enumerate(self.groups):
            if index in occupied:
                self.children[group["parent"]].append(("group", index))
        for index, parent in enumerate(self.group_of):
            self.children[parent].append(("node", index))
        self.edges = [
            (operand, index, slot)
            for index, node in enumerate(record["nodes"])
            for slot, operand in enumerate(node["operands"])
            if operand is not None
        ]
        self.touching: list[list[int]] = [[] for _ in self.group_of]  # the edges at every node
        for position, (tail, head, _) in enumerate(self.edges):
            self.touching[tail].append(position)
            self.touching[head].append(position)

    def _occupied(self) -> set[int | None]:
        """The whole graph, and the groups that hold more than the output."""
        found: set[int | None] = {None}
        for group in self.group_of[:-1]:
            while group is not None and group not in found:
                found.add(group)
                group = self.groups[group]["parent"]
        return found

    def ancestors(self, entity: Entity) -> list[Entity]:
        """The entity itself and the groups around it, from the inside out."""
        chain = [entity]
        parent = self.group_of[entity[1]] if entity[0] == "node" else self.groups[entity[1]]["parent"]
        while parent is not None:
            chain.append(("group", parent))
            parent = self.groups[parent]["parent"]
        return chain

    def nodes_within(self, group: int) -> list[int]:
        """All nodes of a group and of the groups within it."""
        boxes, _ = self.opened(lambda g: True, group)
        return [index for _, index in boxes]

    def box_of(self, node: int, boxes: Container[Entity]) -> Entity | None:
        """The box that a node is shown in: its own, or that of a group around it."""
        return next((e for e in self.ancestors(("node", node)) if e in boxes), None)

    def opened(self, opens: Callable[[int], bool], start: int | None = None) -> tuple[list[Entity], list[int]]:
        """The boxes and the frames, when the groups that `opens` says are open."""
        boxes: list[Entity] = []
        frames: list[int] = []
        todo = list(reversed(self.children[start]))
        while todo:
            entity = todo.pop()
            if entity[0] == "group" and opens(entity[1]):
                frames.append(entity[1])
                todo.extend(reversed(self.children[entity[1]]))
            else:
                boxes.append(entity)
        if start is None and self.output not in boxes:
            boxes.append(self.output)
        return boxes, frames


def list_views(tree: Tree, everything: bool | None = None) -> tuple[list[View], int]:
    """The views, and the number of the one to show first.

    Parameters
    ----------
    tree : Tree
        The groups of the record.
    everything : bool, optional
        Whether to make a view of all nodes, and to show it first. By default it is made if the graph is not too
        large, and shown first if it has few boxes.
    """
    depth = [len(tree.ancestors(("group", g))) for g in range(len(tree.groups))]
    module = [g["kind"] == "module" for g in tree.groups]
    levels: list[View] = []
    for level in range(max((d for d, m in zip(depth, module) if m), default=0) + 1):
        boxes, frames = tree.opened(lambda g, level=level: module[g] and depth[g] <= level)  # type: ignore[misc]
        if tree.groups and (not levels or len(boxes) <= CROWDED):
            levels.append(View(_level_name(tree, boxes), None, tuple(boxes), tuple(frames)))
    if everything or (everything is None and len(tree.group_of) <= COMPLETE) or not tree.groups:
        boxes, frames = tree.opened(lambda g: True)
        levels = [v for v in levels if len(v.boxes) < len(boxes)]
        levels.append(View("all nodes", None, tuple(boxes), tuple(f for f in frames if module[f])))
    levels = [v for i, v in enumerate(levels) if i == 0 or len(v.boxes) != len(levels[i - 1].boxes)]
    first = max((i for i, v in enumerate(levels) if len(v.boxes) <= READABLE), default=0)
    if everything:
        first = len(levels) - 1
    return levels + [_inside(tree, g) for g in range(len(tree.groups)) if g in tree.children], first


def _level_name(tree: Tree, boxes: Sequence[Entity]) -> str:
    folded = [i for kind, i in boxes if kind == "group"]
    groups = [tree.groups[i] for i in sorted(folded, key=lambda i: max(tree.nodes_within(i)))]  # as they finish
    names = dict.fromkeys(g["name"].split("[")[0] for g in groups if g["kind"] == "module")
    return "by " + ", ".join(names) if names else "by operation" if len(groups) > 0 else "all nodes"


def _inside(tree: Tree, group: int) -> View:
    """The view of one opened group: what is in it, and its neighbours outside, folded."""
    within = tree.nodes_within(group)
    own = set(within)
    around = set(tree.ancestors(("group", group)))
    neighbours: dict[Entity, None] = {}
    for node in within:
        for position in tree.touching[node]:
            for end in tree.edges[position][:2]:
                if ("node", end) == tree.output:
                    neighbours[tree.output] = None
                elif end not in own:  # the widest group around it that does not contain this one as well
                    neighbours[[e for e in tree.ancestors(("node", end)) if e not in around][-1]] = None
    name = tree.groups[group]["path"] or tree.groups[group]["name"]
    return View(name, group, tuple(dict.fromkeys([*tree.children[group], *neighbours])))


def arrows(tree: Tree, view: View) -> list[tuple[int, int, int | None]]:
    """What is connected in a view: tail box, head box, and the operand slot where both are single nodes."""
    place = {entity: index for index, entity in enumerate(view.boxes)}
    if view.group is None:
        edges: Iterable[int] = range(len(tree.edges))
    else:
        edges = sorted({e for node in tree.nodes_within(view.group) for e in tree.touching[node]})
    home: dict[int, Entity | None] = {}
    found: dict[tuple[int, int, int | None], None] = {}
    for position in edges:
        tail, head, slot = tree.edges[position]
        for end in (tail, head):
            if end not in home:
                home[end] = tree.box_of(end, place)
        a, b = home[tail], home[head]
        if a is not None and b is not None and a != b:
            found[place[a], place[b], slot if a[0] == b[0] == "node" else None] = None
    return list(found)


def short_name(record: Json, node: int) -> str:
    """The name in the box of a node: its label within its module, or a number."""
    label: str | None = record["nodes"][node]["label"]
    if label is None:
        return f"v{node - record['first']}"  # as in `explain`: inputs are no nodes of the graph
    if node == len(record["nodes"]) - 1:  # the output is also shown outside of its module
        return label
    group = record["nodes"][node]["group"]
    while group is not None:
        path = record["groups"][group]["path"]
        if path and label.startswith(f"{path}."):
            return label[len(path) + 1 :]
        group = record["groups"][group]["parent"]
    return label


def width_of(text: str) -> int:
    """How many character cells a text takes in a monospaced font."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def box_size(name: str, symbol: str) -> tuple[float, float]:
    """Width and height in pixels of a box for a name and an operation; long names are cut when they are drawn."""
    return max(124.0, 30.0 + 7.3 * (min(width_of(name), 22) + min(width_of(symbol), 7))), 60.0


def lay_out(tree: Tree, views: Sequence[View], names: Sequence[str]) -> Json:
    """Views with the positions of everything in them.

    Views with the same DOT source and the same order share a layout, as the neurons of a layer do.
    """
    layouts: list[Json] = []
    numbers: dict[tuple[str, str], int] = {}
    laid_out = []
    for view in views:
        found = arrows(tree, view)
        sizes = [
            box_size(names[i], tree.symbols[i]) if kind == "node" else box_size(tree.groups[i]["name"], "")
            for kind, i in view.boxes
        ]
        routed = _routed(found, len(sizes))
        source = _dot_source(tree, view, found, sizes, routed)
        rows = _rows(tree, view, names) if len(view.boxes) <= ORDERED else []
        key = source, str([[view.boxes.index(e) if e in view.boxes else e for e in row] for row in rows])
        if key not in numbers:
            numbers[key] = len(layouts)
            places = _places(json.loads(run_dot(source, "json0")), len(sizes), len(found))
            layouts.append({"sizes": sizes, "arrows": found, **places})
            _draw_the_others(layouts[-1])
            _put_in_order(tree, view, rows, layouts[-1])
        laid_out.append(
            {
                "name": view.name,
                "group": view.group,
                "boxes": [i if k == "node" else -1 - i for k, i in view.boxes],
                "frames": view.opened,
                "layout": numbers[key],
            }
        )
    return {"views": laid_out, "layouts": layouts}


def _routed(found: Sequence[tuple[int, int, int | None]], count: int) -> Sequence[int]:
    """The arrows that Graphviz is given: all, or in a crowded view those that no chain of other arrows implies.

    A box is to the right of what it is computed from in both cases. But the time that Graphviz takes grows steeply with
    the number of arrows that pass many boxes, and most of them are implied.
    """
    if len(found) <= ROUTED:
        return range(len(found))
    heads: list[list[int]] = [[] for _ in range(count)]
    for tail, head, _ in found:
        heads[tail].append(head)
    finished, backward = _finishing(heads)
    reached = [0] * count  # the boxes that chains of arrows lead to, as bits
    needed = set(backward)
    for tail in sorted(range(count), key=finished.__getitem__):
        for head in sorted(set(heads[tail]), key=finished.__getitem__, reverse=True):
            if (tail, head) not in backward:
                if not reached[tail] >> head & 1:
                    needed.add((tail, head))
                reached[tail] |= reached[head] | 1 << head
    return [index for index, (tail, head, _) in enumerate(found) if (tail, head) in needed]


def _finishing(heads: Sequence[Sequence[int]]) -> tuple[list[int], set[tuple[int, int]]]:
    """When each box is finished by a search in depth, its heads first; and the arrows that close a cycle.

    Folded groups may have cycles: each may hold what the other is computed from.
    """
    finished = [-1] * len(heads)
    backward: set[tuple[int, int]] = set()
    begun: set[int] = set()
    count = 0
    for start in range(len(heads)):
        stack = [] if start in begun else [(start, iter(heads[start]))]
        begun.add(start)
        while stack:
            box, left = stack[-1]
            head = next(left, None)
            if head is None:
                stack.pop()
                finished[box], count = count, count + 1
            elif head not in begun:
                begun.add(head)
                stack.append((head, iter(heads[head])))
            elif finished[head] < 0:
                backward.add((box, head))
    return finished, backward


def _draw_the_others(layout: Json) -> None:
    """Draw the arrows that Graphviz was not given, from box to box."""
    for position, (tail, head, _) in enumerate(layout["arrows"]):
        if layout["curves"][position] is None:
            ends = [(layout["centres"][box], layout["sizes"][box]) for box in (tail, head)]
            layout["curves"][position], _ = _arrow(*ends[0], *ends[1])


def _rows(tree: Tree, view: View, names: Sequence[str]) -> list[list[Entity]]:
    """Boxes and frames that belong together and have numbers, in their order: neurons, weights, inputs."""
    rows: dict[Any, list[tuple[int, Entity]]] = defaultdict(list)
    frames: list[Entity] = [("group", frame) for frame in view.opened]
    for kind, index in [*view.boxes, *frames]:
        if kind == "group":
            parent, name = tree.groups[index]["parent"], tree.groups[index]["name"]
        elif tree.symbols[index]:
            continue
        else:
            parent, name = tree.group_of[index], names[index]
        if match := _NUMBERED.fullmatch(name):
            rows[kind, parent, match[1]].append((int(match[2]), (kind, index)))
    return [[entity for _, entity in sorted(row)] for row in rows.values() if len(row) > 1]


def _put_in_order(tree: Tree, view: View, rows: Sequence[Sequence[Entity]], layout: Json) -> None:
    """Let what has numbers change places, so that 0 lies above 1 above 2, wherever places are alike.

    Graphviz has no way to ask for that which also holds within frames. Arrows whose ends moved by different
    amounts are drawn anew.
    """
    centres, sizes, places = layout["centres"], layout["sizes"], layout["places"]
    box_at = {entity: i for i, entity in enumerate(view.boxes)}
    frame_at = {group: i for i, group in enumerate(view.opened)}
    rise = [0.0] * len(view.boxes)
    for row in rows:
        spots: dict[Any, list[tuple[float, Entity]]] = defaultdict(list)
        for entity in row:  # places in one column and of one size
            if entity in box_at:
                (x, y), (w, h) = centres[box_at[entity]], sizes[box_at[entity]]
            else:
                x, y, w, h = places[frame_at[entity[1]]]
            spots[round(x), round(w), round(h)].append((y, entity))
        for column in spots.values():
            for y, (old, entity) in zip(sorted(y for y, _ in column), column):
                _move(tree, view, entity, y - old, layout, rise)
    for position, (tail, head, _) in enumerate(layout["arrows"]):
        if rise[tail] == rise[head]:
            layout["curves"][position] = [c + rise[tail] * (i % 2) for i, c in enumerate(layout["curves"][position])]
            if layout["spots"][position]:
                x, y = layout["spots"][position]
                layout["spots"][position] = (x, round(y + rise[tail], 1))
        else:
            layout["curves"][position], middle = _arrow(centres[tail], sizes[tail], centres[head], sizes[head])
            layout["spots"][position] = layout["spots"][position] and middle


def _move(tree: Tree, view: View, entity: Entity, by: float, layout: Json, rise: list[float]) -> None:
    """Move a box, or a frame with all that is in it, down."""
    if not by:
        return
    for i, box in enumerate(view.boxes):
        if entity in tree.ancestors(box):
            x, y = layout["centres"][i]
            layout["centres"][i] = (x, round(y + by, 1))
            rise[i] = round(rise[i] + by, 1)
    for i, frame in enumerate(view.opened):
        if entity in tree.ancestors(("group", frame)):
            layout["places"][i][1] = round(layout["places"][i][1] + by, 1)


def _arrow(
    tail: Sequence[float], tail_size: Sequence[float], head: Sequence[float], head_size: Sequence[float]
) -> tuple[list[float], tuple[float, float]]:
    """A curve from the right side of one box to the left side of another, and its middle."""
    x0, y0, x1, y1 = tail[0] + tail_size[0] / 2, tail[1], head[0] - head_size[0] / 2, head[1]
    bend = max((x1 - x0) / 2, 24.0)
    points = [x0, y0, x0 + bend, y0, x1 - bend, y1, x1, y1]
    return [round(c, 1) for c in points], (round((x0 + x1) / 2, 1), round((y0 + y1) / 2, 1))


def _dot_source(
    tree: Tree,
    view: View,
    found: Sequence[tuple[int, int, int | None]],
    sizes: Sequence[tuple[float, float]],
    routed: Sequence[int],
) -> str:
    large = len(found) > 1500
    labelled = len(found) <= ROOM_FOR_MESSAGES and len(found) <= DENSE * len(sizes)
    apart = 0.5 if labelled else min(0.7 + 0.25 * len(found) / len(sizes), 2.5)
    lines = [
        "digraph {",
        f"graph [rankdir=LR, ranksep={apart:.2f}, nodesep=0.24, pad=0, splines={'line' if large else 'true'}"
        + (", nslimit=2, nslimit1=2, mclimit=0.2]" if large else "]"),
        'node [shape=box, fixedsize=true, label=""]',
        "edge [arrowhead=none]",
    ]
    frame_of = {e: next((a[1] for a in tree.ancestors(e)[1:] if a[1] in view.opened), None) for e in view.boxes}
    inner: dict[int | None, list[str]] = {None: [], **{f: [] for f in view.opened}}
    for index, (entity, (width, height)) in enumerate(zip(view.boxes, sizes)):
        # an entity may lie in a folded group of an opened one: the innermost frame holds it
        inner[frame_of[entity]].append(f"n{index} [width={width / POINTS:.3f}, height={height / POINTS:.3f}]")
    for position in reversed(range(len(view.opened))):  # frames come after the frames around them
        frame = view.opened[position]
        parent = next((a[1] for a in tree.ancestors(("group", frame))[1:] if a[1] in view.opened), None)
        inner[parent].append(f"subgraph cluster_{position} {{ margin=22; {'; '.join(inner[frame])} }}")
    lines += inner[None]
    room = '<<TABLE BORDER="0" FIXEDSIZE="TRUE" WIDTH="66" HEIGHT="15"><TR><TD></TD></TR></TABLE>>'
    label = f", label={room}" if labelled else ""
    lines += [f'n{found[index][0]} -> n{found[index][1]} [id="{index}"{label}]' for index in routed]
    return "\n".join([*lines, "}"])


def _places(laid: Json, boxes: int, edges: int) -> Json:
    """Graphviz's answer as rounded pixels, y pointing down."""
    _, _, width, height = map(float, laid["bb"].split(","))

    def point(text: str) -> tuple[float, float]:
        x, y = text.split(",")[-2:]
        return round(float(x), 1), round(height - float(y), 1)

    centres: list[Any] = [None] * boxes
    frames: dict[int, list[float]] = {}
    for thing in laid.get("objects", ()):
        if thing["name"].startswith("cluster_"):
            x0, y0, x1, y1 = map(float, thing["bb"].split(","))
            frames[int(thing["name"][8:])] = [round(x0, 1), round(height - y1, 1), round(x1 - x0, 1), round(y1 - y0, 1)]
        else:
            centres[int(thing["name"][1:])] = point(thing["pos"])
    curves: list[Any] = [None] * edges
    spots: list[Any] = [None] * edges
    for edge in laid.get("edges", ()):
        index = int(edge["id"])
        points = [point(p) for p in edge["pos"].split() if p[1] != ","]
        curves[index] = [c for p in points for c in p]
        spots[index] = point(edge["lp"]) if "lp" in edge else None
    return {
        "size": [round(width, 1), round(height, 1)],
        "centres": centres,
        "curves": curves,
        "spots": spots,
        "places": [frames[i] for i in sorted(frames)],
    }
