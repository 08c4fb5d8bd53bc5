"""The graph as a recorder: operations make nodes, and sweeps run along them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from math import inf
from typing import Any

from autograd import rules
from autograd.decisions import warn_of_lost
from autograd.modes import current_recorder, inside_transform, mode
from autograd.once import cached_property
from autograd.recorder import Recorder, Sweeps
from autograd.rows import loop_in_turn, map_in_turn, repeat_in_turn, while_in_turn
from autograd.rules import Rule
from autograd.sweep import LocalDerivatives, forward, raise_for_tangents, recorded, reverse, topological_order, watch
from autograd.value import Value


class Graph:
    """The recorder of the plain engine; `autograd.recorder.Recorder` says what each method is for."""

    map = staticmethod(map_in_turn)
    loop = staticmethod(loop_in_turn)
    repeat = staticmethod(repeat_in_turn)
    loop_while = staticmethod(while_in_turn)

    def apply_rule(self, rule: Rule, operands: Sequence[Any]) -> Value:
        """A new node."""
        return Value.apply_rule(rule, operands)

    def read(self, node: Value) -> Value:
        """The node itself."""
        return node

    def now(self, node: Value) -> float:
        """Its number."""
        return node.data

    def integer(self, rounded: Value) -> None:
        """None: it must be the int of this run."""

    def best_of(self, function: Any, numbers: Sequence[Any]) -> Any:
        """`max` or `min` of numbers: one of them."""
        return function(numbers)

    def is_integer(self, node: Value) -> bool:
        """A Value stands for a float."""
        return False

    def refuse(self, what: str) -> None:
        """Nothing is refused: each operation runs when Python comes to it."""

    def note_made(self, node: Any) -> None:
        """Any thread may make nodes."""

    def fresh_leaves(self, numbers: Sequence[Any]) -> list[Value]:
        """New leaves; on Values, new nodes."""
        return [rules.pos(x) if isinstance(x, Value) else Value(x) for x in numbers]

    def followed(self, function: Any) -> Any:
        """The function itself: eager code runs as it is written."""
        return function

    def sweeps(self, outputs: Sequence[Any], inputs: Sequence[Value], differentiable: bool) -> Sweeps:
        """Sweeps over the graph between outputs and inputs."""
        return GraphSweeps(outputs, inputs, differentiable)

    def derivative(self, number: Any, by: Any) -> Any:
        """A Value if the argument is one."""
        return Value(number) if isinstance(by, Value) and not isinstance(number, Value) else number


GRAPH = Graph()
FEWEST_VISITS, PATIENCE = 10_000, 8  # nodes that reverse sweeps may visit at first, and more for each node of the graph
FORWARD_COST = 2.0  # of a product in Python, where the visit of a node in C costs 1


def active_recorder() -> Recorder:
    """The recorder of this context."""
    return current_recorder() or GRAPH


class GraphSweeps:
    """Sweeps over the graph of a run, between its outputs and its inputs."""

    def __init__(self, outputs: Sequence[Any], inputs: Sequence[Value], differentiable: bool) -> None:
        self.outputs, self.inputs, self.differentiable = outputs, inputs, differentiable

    @cached_property
    def _order(self) -> list[Value]:
        return topological_order(*[y for y in self.outputs if isinstance(y, Value)], leaves=self.inputs)

    @cached_property
    def _local(self) -> LocalDerivatives[Value]:
        """The local derivatives: the recorded numbers, or Values if results can be differentiated again."""
        if not self.differentiable:
            return recorded
        with mode(recording=True):
            return local_derivatives_on_values(self._order, self.inputs)

    def reverse(self, seeds: Mapping[Value, Any]) -> list[Any]:
        """The adjoint of every input."""
        adjoints = self._adjoints(self._order, seeds)
        return [adjoints.get(x, 0.0) for x in self.inputs]

    def _adjoints(self, order: Sequence[Value], seeds: Mapping[Value, Any]) -> dict[Value, Any]:
        """The adjoint of every node that a message reaches."""
        plain = not self.differentiable and not any(isinstance(seed, Value) for seed in seeds.values())
        observer = watch() if plain else None  # operations on Values are watched anyway
        sweep = partial(reverse, observe=observer) if observer else reverse  # C takes the one without
        with mode(recording=True):
            adjoints = sweep(order, seeds, self._local)
        if observer:
            warn_of_lost(adjoints, self.inputs, order)
        return adjoints

    def forward(self, seeds: Mapping[Value, Any]) -> list[Any]:
        """The tangent of every output."""
        with mode(recording=True):
            tangents = forward(self._order, seeds, self._local)
        if watch() is not None:
            raise_for_tangents(self._order, tangents)
        return [tangents.get(y, 0.0) if isinstance(y, Value) else 0.0 for y in self.outputs]

    def cheaper(self) -> str:
        """The mode with fewer sweeps."""
        return "rev" if len(self.outputs) <= len(self.inputs) else "fwd"

    def rows(self, mode: str) -> list[dict[int, Any]]:
        """The derivatives of every output by the inputs that it depends on.

        A reverse sweep for each output visits nothing but its own subgraph. The forward sweep visits each node once,
        and computes a derivative there for each input that the node depends on. Which costs less is known only
        afterwards. So each gets a budget in turn, and if neither finishes, both get twice as much.
        """
        number = {x: k for k, x in enumerate(self.inputs)}
        allowed = inf if mode != "auto" else FEWEST_VISITS + PATIENCE * (len(self._order) + len(self.outputs))
        while True:
            for one in [self._rows_in_reverse] * (mode != "fwd") + [self._rows_forward] * (mode != "rev"):
                if (found := one(number, allowed)) is not None:
                    return found
            allowed *= 2.0

    def _rows_in_reverse(self, number: Mapping[Value, int], allowed: float) -> list[dict[int, Any]] | None:
        """The rows, each by a sweep over its own subgraph; None if that visits more nodes than `allowed`."""
        known: dict[Value, dict[int, Any]] = {}
        for y in self.outputs:
            if isinstance(y, Value) and y not in known:
                order = topological_order(y)
                allowed -= len(order)
                if allowed < 0.0:
                    return None
                adjoints = self._adjoints(order, {y: 1.0})
                inside = adjoints if len(adjoints) < len(number) else number
                known[y] = {number[x]: adjoints[x] for x in inside if x in number and x in adjoints}
        return [known[y] if isinstance(y, Value) else {} for y in self.outputs]

    def _rows_forward(self, number: Mapping[Value, int], allowed: float) -> list[dict[int, Any]] | None:
        """The rows by one sweep over all nodes; None if that costs more than `allowed`."""
        tangents = {x: {k: 1.0} for x, k in number.items()}
        for node in self._order:
            if node in number:
                continue
            found: dict[int, Any] = {}
            for operand, derivative in zip(node.operands, self._local(node)):
                if derivative is None or operand not in tangents:
                    continue
                allowed -= FORWARD_COST * len(tangents[operand])
                if allowed < 0.0:
                    return None
                for k, tangent in tangents[operand].items():
                    change = tangent * derivative
                    found[k] = found[k] + change if k in found else change
            if found:
                tangents[node] = found
        if watch() is not None:
            for k in number.values():
                raise_for_tangents(self._order, {node: by[k] for node, by in tangents.items() if k in by})
        return [tangents.get(y, {}) if isinstance(y, Value) else {} for y in self.outputs]


def local_derivatives_on_values(order: Sequence[Value], inputs: Sequence[Value]) -> LocalDerivatives[Value]:
    """Local derivatives as Values, each computed once, by those operands that depend on the inputs."""
    active = set(inputs)
    known: dict[Value, Sequence[Any]] = dict.fromkeys(inputs, ())
    for node in order:
        if node not in active and any(type(o) is not float and o in active for o in node.operands):
            active.add(node)
    nothing: Sequence[Any] = ()

    def local(node: Value) -> Sequence[Any]:
        if node not in known:
            if node not in active or node.op is None:
                return nothing
            wanted = [type(o) is not float and o in active for o in node.operands]
            token = inside_transform.set(True)  # a derivative may take a gradient itself
            try:
                with nullcontext() if watch() is None else mode(anomaly=False):  # a branch that is not taken may be nan
                    known[node] = node.op.local_derivatives(node.operands, node, wanted)
            finally:
                inside_transform.reset(token)
        return known[node]

    return local
