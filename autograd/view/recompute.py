"""A graph once more, with other numbers in its leaves: what the live viewer asks Python for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autograd.calls import CallRule
from autograd.modes import mode
from autograd.sweep import topological_order
from autograd.transforms import value_and_grad
from autograd.value import Value


def with_changes(output: Value, changes: Mapping[int, float]) -> Value:
    """The same graph with other numbers in some leaves; the Values of the first one do not change.

    Parameters
    ----------
    output : Value
        The output of the graph.
    changes : mapping of int to float
        New numbers for leaves, by their place in the topological order.

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
    for place in changes:
        if not 0 <= place < len(order) or order[place].op is not None:
            raise ValueError(f"only leaves can be given other numbers, and node {place} is none")
    now: dict[Any, Value] = {}
    with mode(recording=True, anomaly=False, sources=False):
        for place, node in enumerate(order):
            if node.op is None:
                now[node] = Value(changes.get(place, node.data), label=node.label)
            else:
                now[node] = _again(node, tuple([o if type(o) is float else now[o] for o in node.operands]))
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
