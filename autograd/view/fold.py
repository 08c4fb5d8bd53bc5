"""What the viewer folds: modules, then copies of one structure, then stretches of the order of computation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from autograd.view.groups import group_by_module
from autograd.view.inputs import Input
from autograd.view.names import steps

Kind = Literal["module", "stack", "part"]
STACK_ABOVE = 24  # nodes: in a larger group, copies of one structure are stacked
PART_ABOVE = 120  # entries: in a group that would show more, stretches are folded
PART = 60  # nodes in one stretch


@dataclass(slots=True)
class Group:
    """Nodes that are shown as one box when folded."""

    name: str
    kind: Kind
    parent: int | None  # index of the group around it
    path: str = ""  # of a module, its place in the model
    nodes: list[int] = field(default_factory=list)  # those that lie in this group and in none within it
    groups: list[int] = field(default_factory=list)


def find_groups(nodes: Sequence[Any], labels: Sequence[str | None]) -> tuple[list[Group], list[int | None]]:
    """The groups of a graph, and for every node the innermost one that it lies in.

    Parameters
    ----------
    nodes : sequence of Value
        In topological order; the last one is the output, which lies in no stack and no stretch.
    labels : sequence of str or None
        The name of each node.
    """
    place = {node: index for index, node in enumerate(nodes)}
    operands = [[place[o] if type(o) is not float else None for o in node.operands] for node in nodes]
    groups: list[Group] = []
    index: dict[str, int] = {}
    inside: list[int | None] = []
    for node, modules in enumerate(group_by_module(nodes, labels)):
        parent: int | None = None
        for path in modules:
            if path not in index:
                index[path] = len(groups)
                groups.append(Group(steps(path)[-1], "module", parent, path))
                if parent is not None:
                    groups[parent].groups.append(index[path])
            parent = index[path]
        inside.append(parent)
        if parent is not None:
            groups[parent].nodes.append(node)
    keys = _structures(nodes, labels, operands, inside)
    output = len(nodes) - 1
    loose = [node for node in range(output) if inside[node] is None]
    for parent, held in [(None, loose), *((g, groups[g].nodes) for g in range(len(groups)))]:
        members = [node for node in held if node != output]
        if len(members) > STACK_ABOVE:
            rest = _stack(groups, inside, nodes, labels, keys, parent, members)
            _cut(groups, inside, parent, rest)
    for position, group in enumerate(groups):
        group.nodes = [node for node in group.nodes if inside[node] == position]
    return groups, inside


def _structures(
    nodes: Sequence[Any],
    labels: Sequence[str | None],
    operands: Sequence[Sequence[int | None]],
    inside: Sequence[int | None],
) -> list[int]:
    """A number for every node; nodes that are computed in the same way from the same parameters share it."""
    numbers: dict[Any, int] = {}
    keys: list[int] = []
    runs: dict[int, str] = {}  # key of a running sum or product → its operation
    for node, (value, label, slots) in enumerate(zip(nodes, labels, operands, strict=True)):
        key: Any
        if slots:
            below: Sequence[int] = [-1 if o is None else keys[o] for o in slots]
            below = tuple(sorted(set(below))) if value.op.arity is None and len(slots) > 8 else tuple(below)
            name = value.op.name
            if (name in ("add", "mul") and -1 in below) or any(runs.get(k) == name for k in below):
                # `total = total + term` is the same step each time, however many terms came before
                key = (name, inside[node], "run", frozenset(k for k in below if k >= 0 and runs.get(k) != name))
                runs[numbers.setdefault(key, len(numbers))] = name
            else:
                key = (name, inside[node], below)
        elif label is None:
            key = "input"
        elif isinstance(value, Input) or (inside[node] is None and label.endswith("]")):
            key = ("input", label.split("[")[0])
        else:
            key = ("parameter", node)
        keys.append(numbers.setdefault(key, len(numbers)))
    return keys


def _add(groups: list[Group], inside: list[int | None], group: Group) -> None:
    position = len(groups)
    groups.append(group)
    if group.parent is not None:
        groups[group.parent].groups.append(position)
    for node in group.nodes:
        inside[node] = position


def _stack(
    groups: list[Group],
    inside: list[int | None],
    nodes: Sequence[Any],
    labels: Sequence[str | None],
    keys: Sequence[int],
    parent: int | None,
    members: Sequence[int],
) -> list[int]:
    """Fold copies of one structure; the nodes that are left."""
    same = defaultdict(list)
    for node in members:
        same[keys[node]].append(node)
    rest = []
    for copies in same.values():
        if len(copies) < 3:
            rest.extend(copies)
            continue
        first, label = nodes[copies[0]], labels[copies[0]]
        name = first.op.symbol if first.op else label.split("[")[0] if label else "inputs"
        _add(groups, inside, Group(f"{name} ×{len(copies)}", "stack", parent, nodes=copies))
        if len(copies) > PART_ABOVE:
            _cut(groups, inside, len(groups) - 1, copies)
    return sorted(rest)


def _cut(groups: list[Group], inside: list[int | None], parent: int | None, members: Sequence[int]) -> None:
    """If there are too many nodes to show, fold stretches of them, in the order of computation."""
    if len(members) <= PART_ABOVE:
        return
    size = PART if len(members) <= PART * PART_ABOVE else -(-len(members) // PART_ABOVE)
    for start in range(0, len(members), size):
        stretch = list(members[start : start + size])
        _add(groups, inside, Group(f"{start + 1}–{start + len(stretch)}", "part", parent, nodes=stretch))
        if len(stretch) > PART_ABOVE:
            _cut(groups, inside, len(groups) - 1, stretch)
