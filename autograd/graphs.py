"""Copying and pickling whole graphs without recursion: a graph of ten million nodes is a flat list here."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, TypeVar

from autograd import rules
from autograd.modes import current_mode, current_recorder
from autograd.native import fast
from autograd.recorder import Node
from autograd.sweep import topological_order

N = TypeVar("N", bound=Node)


def copy_node(node: N, operands: Sequence[Any]) -> N:
    """A copy of a node, on the given operands."""
    fields = node.data, node.op, tuple(operands), node.local_grads, node.label, node.grad, node.source
    twin: N = type(node).restore(*fields)
    if hasattr(node, "__dict__"):  # an instance of a subclass
        twin.__dict__.update(node.__dict__)
    return twin


def connected_copy(node: N, memo: dict[int, Any] | None = None) -> N:
    """A new node with the number of this one; gradients pass through it, as copies inside a transform need.

    With a `memo`, that of `copy.deepcopy`, the attributes of a subclass are copied too.
    """
    twin: N = rules.pos(node)
    if current_recorder() is None and type(twin) is not type(node):  # an instance of a subclass
        twin = type(node).restore(twin.data, twin.op, twin.operands, twin.local_grads, source=twin.source)
        mode = current_mode()
        if mode is not None and mode.made is not None:
            mode.made.add(twin)
        if memo is not None:
            memo[id(node)] = twin  # an attribute may refer to its node
        if hasattr(node, "__dict__"):
            vars(twin).update(node.__dict__ if memo is None else copy.deepcopy(node.__dict__, memo))
    twin.label = node.label
    return twin


@fast
def copy_graph(output: N, memo: dict[int, Any]) -> N:
    """A copy of the whole graph of `output`; `memo` is that of `copy.deepcopy`, so sharing is kept."""
    for node in topological_order(output):
        if id(node) not in memo:
            memo[id(node)] = twin = copy_node(node, [memo.get(id(o), o) for o in node.operands])
            if hasattr(twin, "__dict__"):
                twin.__dict__.update(copy.deepcopy(twin.__dict__, memo))
    whole: N = memo[id(output)]
    return whole


@fast
def reduce_graph(output: Node) -> tuple[Any, ...]:
    """What pickle stores: for a leaf its fields, for a computed node its leaves and a flat list of the other nodes.

    All objects in one pickle share leaves (a model and its loss); each pickled root has its own copies of computed
    nodes.
    """
    kind = type(output)
    if not output.operands:
        fields = (output.data, output.op, (), (), output.label, output.grad, output.source)
        return kind.restore, fields, getattr(output, "__dict__", None) or None
    order = topological_order(output)
    leaves = [node for node in order if not node.operands]
    inner = [node for node in order if node.operands]
    place = {node: index for index, node in enumerate([*leaves, *inner])}
    records = []
    for node in inner:
        # a whole number is the place of a node, a float is a constant
        operands = [o if isinstance(o, float) else place[o] for o in node.operands]
        records.append((node.data, node.op, operands, node.local_grads, node.label, node.grad, node.source))
    return restore_graph, (kind, leaves, records)


@fast
def restore_graph(kind: type[N], leaves: list[N], records: list[tuple[Any, ...]]) -> N:
    """The node that `reduce_graph` took apart."""
    nodes = list(leaves)
    for data, op, operands, *rest in records:
        kept = tuple([o if isinstance(o, float) else nodes[o] for o in operands])
        nodes.append(kind.restore(data, op, kept, *rest))
    return nodes[-1]
