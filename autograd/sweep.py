"""Backpropagation: a topological order, and the sweeps that run along it.

A sweep needs nothing of a node but its operands, its parents and its local derivatives. Adjoints and tangents
may be floats or Values: with Values (and derivatives recomputed on Values) the sweep itself is recorded and can
be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from math import isfinite
from typing import Any, NamedTuple, TypeVar

from autograd.decisions import warn_of_lost
from autograd.ieee import to_float
from autograd.modes import AnomalyError, captures, current_mode, refuse_in_capture
from autograd.native import fast
from autograd.recorder import Node

N = TypeVar("N", bound=Node)
LocalDerivatives = Callable[[N], Sequence[Any]]


def recorded(node: Node) -> Sequence[float | None]:
    """The local derivatives that were fixed when the node was made."""
    return node.local_grads


@fast
def topological_order(*outputs: N, leaves: Iterable[N] = ()) -> list[N]:
    """All nodes that the outputs were computed from, each once, every node after its parents.

    Parameters
    ----------
    *outputs : Value
        Where to start; they are part of the order.
    leaves : iterable of Value
        Nodes to treat as leaves: the order does not go above them.

    Examples
    --------
    >>> from autograd import Value, topological_order
    >>> x = Value(2.0, label="x")
    >>> y = x * x
    >>> topological_order(y + x) == [x, y, y + x]
    True
    """
    order = list(dict.fromkeys(leaves))
    seen = set(order)
    stack: list[N | None] = list(reversed(outputs))
    while stack:
        node = stack.pop()
        if node is None:  # all that was pushed after its node is in the order now: the node comes next
            order.append(stack.pop())  # type: ignore[arg-type]
        elif node not in seen:
            seen.add(node)
            stack.append(node)
            stack.append(None)
            for operand in reversed(node.operands):
                if type(operand) is not float and operand not in seen:
                    stack.append(operand)
    return order


@fast
def reverse(
    order: Sequence[N],
    seeds: Mapping[N, Any],
    local: LocalDerivatives[N] = recorded,
    observe: Callable[[Message], None] | None = None,
) -> dict[N, Any]:
    """One reverse sweep: the adjoint ∂output/∂node of every node that a message reaches.

    A node's adjoint is the sum of the messages from all its direct neighbours downstream; walking the order
    backwards, that sum is complete before the node sends messages of its own.
    """
    adjoints = dict(seeds)
    for node in reversed(order):
        if node not in adjoints:
            continue
        adjoint = adjoints[node]
        for slot, operand, derivative in zip(count(), node.operands, local(node)):
            if derivative is not None:  # neither a constant nor a branch that was not selected
                message = adjoint * derivative
                total = adjoints[operand] + message if operand in adjoints else message
                adjoints[operand] = total
                if observe is not None:
                    observe(Message(node, slot, operand, adjoint, derivative, message, total))
    return adjoints


@fast
def forward(order: Sequence[N], seeds: Mapping[N, Any], local: LocalDerivatives[N] = recorded) -> dict[N, Any]:
    """One forward sweep: the tangent of every node that depends on a seed, for given tangents of the seeds."""
    tangents = dict(seeds)
    for node in order:
        if node in seeds:
            continue
        for operand, derivative in zip(node.operands, local(node)):
            if derivative is not None and operand in tangents:
                change = tangents[operand] * derivative
                tangents[node] = tangents[node] + change if node in tangents else change
    return tangents


@fast
def backward(outputs: Node | Iterable[Node], seeds: float | Iterable[float] | None = None) -> None:
    """Add ∂(Σ seed · output)/∂node to the `.grad` of every node that the outputs depend on.

    Parameters
    ----------
    outputs : Value or iterable of Value
        What to differentiate.
    seeds : float or iterable of float, optional
        The adjoint that each output starts with; 1 by default.

    Raises
    ------
    TypeError
        If an output is not a Value.
    ValueError
        If there is not one seed per output.
    RuntimeError
        Under `no_grad()`, if no output has a graph: it was not recorded.
    AnomalyError
        Under `detect_anomaly()`, at the first message that is not finite; no `.grad` has changed then.

    Examples
    --------
    >>> from autograd import Value, backward
    >>> x = Value(3.0)
    >>> backward([x * x, 2 * x], seeds=[1.0, 10.0])
    >>> x.grad
    26.0
    """
    starts = _seeded(outputs, seeds)
    mode = current_mode()
    if mode is not None and not mode.recording and starts and not any(node.operands for node in starts):
        raise RuntimeError(
            "backward() has no graph to go through: under no_grad() nothing is recorded. Compute the output outside of "
            "the no_grad() block, or leave backward() out"
        )
    order = topological_order(*starts)
    adjoints = reverse(order, starts, observe=watch())
    for node, adjoint in adjoints.items():
        node.grad += adjoint
    warn_of_lost(adjoints, [node for node in order if node.op is None], order)


def watch() -> Callable[[Message], None] | None:
    """What observes a reverse sweep on floats: under `detect_anomaly()`, an error for what is not finite."""
    mode = current_mode()
    return _raise_anomaly if mode is not None and mode.anomaly else None


class Message(NamedTuple):
    """What a node sends to one operand slot in a reverse sweep, and the operand's running sum after it."""

    node: Any  # of the class that the sweep runs on: a Value
    slot: int
    operand: Any
    adjoint: float
    local_derivative: float
    message: float
    total: float


@fast
def record_sweep(outputs: Node | Iterable[Node], seeds: float | Iterable[float] | None = None) -> list[Message]:
    """The messages of a reverse sweep in the order in which they are sent; no `.grad` changes.

    Parameters and errors are those of `backward`.

    Examples
    --------
    >>> from autograd import Value, record_sweep
    >>> x = Value(3.0, label="x")
    >>> for m in record_sweep(x * x):
    ...     print(m.slot, m.adjoint, m.local_derivative, m.message, m.total)
    0 1.0 3.0 3.0 3.0
    1 1.0 3.0 3.0 6.0
    """
    starts = _seeded(outputs, seeds)
    messages: list[Message] = []
    reverse(topological_order(*starts), starts, observe=messages.append)
    return messages


def _seeded(outputs: Node | Iterable[Node], seeds: float | Iterable[float] | None) -> dict[Node, float]:
    """Output → seed; an output that is named twice has the sum of its seeds."""
    if captures:
        refuse_in_capture("backward() or another sweep")
    single = hasattr(outputs, "operands")
    nodes: list[Any] = [outputs] if single else list(outputs)  # type: ignore[arg-type]
    if seeds is None:
        numbers = [1.0] * len(nodes)
    else:
        numbers = [to_float(seed) for seed in (seeds if isinstance(seeds, Iterable) else [seeds])]
    if len(numbers) != len(nodes):
        raise ValueError(f"{len(nodes)} outputs need as many seeds, not {len(numbers)}")
    starts: dict[Node, float] = {}
    for node, number in zip(nodes, numbers):
        if not hasattr(node, "operands"):
            raise TypeError(f"an output must be a Value, not {node!r} of type {type(node).__name__}")
        starts[node] = starts.get(node, 0.0) + number
    return starts


def _raise_anomaly(sent: Message) -> None:
    if isfinite(sent.message) and isfinite(sent.total):
        return
    raise AnomalyError(
        f"the backward sweep made a message {sent.message!r} (adjoint {sent.adjoint!r} × local derivative "
        f"{sent.local_derivative!r}, sum so far {sent.total!r}) from {sent.node.describe()} to its operand "
        f"{sent.slot}{f' {sent.operand.label!r}' if sent.operand.label else ''}"
        + (f", made at {sent.node.source}" if sent.node.source else "")
    )


def raise_for_tangents(order: Sequence[N], tangents: Mapping[N, Any]) -> None:
    """An error for the first tangent of a forward sweep that is not a finite float (Values have raised already)."""
    for node in order:
        tangent = tangents.get(node, 0.0)
        if type(tangent) is float and not isfinite(tangent):
            made = f", made at {node.source}" if node.source else ""
            raise AnomalyError(f"the forward sweep made a tangent {tangent!r} at {node.describe()}{made}")
