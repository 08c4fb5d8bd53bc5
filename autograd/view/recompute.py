"""A graph once more, with other numbers in its leaves: what the live viewer asks Python for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autograd.calls import CallRule
from autograd.modes import mode
from autograd.sweep import topological_order
from autograd.transforms import value_and_grad
from autograd.value import Value
from autograd.view.inputs import find_inputs


def with_changes(output: Value, changes: Mapping[int, float]) -> Value:
    """The same graph with other numbers in some leaves; the Values of the first one do not change.

    Parameters
    ----------
    output : Value
        The output of the graph.
    changes : mapping of int to float
        New numbers for leaves, by their place in the record: the plain inputs of a network come first, then the nodes
        in topological order.

    Returns
    -------
    Value
        The output of the new graph, whose nodes have the operations and labels of the old ones. Choices between
        operands (max, where) are made again; Python's branches are not, as the graph does not have them.

    Raises
    ------
    ValueError
        If a number names a computed node or none at all.

    Examples
    --------
    >>> from autograd import Value
    >>> from autograd.view.recompute import with_changes
    >>> x = Value(3.0, label="x")
    >>> with_changes(x * x, {0: 5.0}).data, x.data
    (25.0, 3.0)
    """
    order = topological_order(output)
    inputs = find_inputs(order)
    first = len(inputs.labels)
    for place in changes:
        if not 0 <= place < first + len(order) or (place >= first and order[place - first].op is not None):
            raise ValueError(f"only leaves can be given other numbers, and node {place} is none")

    def operand(place: int, slot: int, old: Any) -> Any:
        if type(old) is not float:
            return now[old]
        number = inputs.uses.get((place, slot))
        return old if number is None else changes.get(number, old)

    now: dict[Any, Value] = {}
    with mode(recording=True, anomaly=False, sources=False):
        for place, node in enumerate(order):
            if node.op is None:
                now[node] = Value(changes.get(first + place, node.data), label=node.label)
            else:
                now[node] = _again(node, tuple([operand(place, slot, o) for slot, o in enumerate(node.operands)]))
                now[node].label = node.label
    return now[output]


def _again(node: Value, operands: tuple[Value | float, ...]) -> Value:
    """A node with the same operation on other operands."""
    rule = node.op
    if not isinstance(rule, CallRule):
        made: Value = Value.apply_rule(rule, operands)  # type: ignore[arg-type]  # it is a computed node
        return made
    numbers = [o.data if isinstance(o, Value) else o for o in operands]
    data, slopes = value_and_grad(rule.again())(numbers)
    return Value.restore(data, rule, operands, tuple(slopes))
