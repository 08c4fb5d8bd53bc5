"""The graph as a recorder: operations make nodes, and sweeps run along them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from typing import Any

from autograd import rules
from autograd.decisions import warn_of_lost
from autograd.modes import current_recorder, inside_transform, mode
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
        """Sweeps over the graph between them."""
        return GraphSweeps(outputs, inputs, differentiable)

    def derivative(self, number: Any, by: Any) -> Any:
        """A Value where the argument is one."""
        return Value(number) if isinstance(by, Value) and not isinstance(number, Value) else number


GRAPH = Graph()


def active_recorder() -> Recorder:
    """What records in this context."""
    return current_recorder() or GRAPH


class GraphSweeps:
    """Sweeps over the graph that a run left, from its outputs to its inputs and no further, or back."""

    def __init__(self, outputs: Sequence[Any], inputs: Sequence[Value], differentiable: bool) -> None:
        self.outputs, self.inputs, self.differentiable = outputs, inputs, differentiable

    @cached_property
    def _order(self) -> list[Value]:
        return topological_order(*[y for y in self.outputs if isinstance(y, Value)], leaves=self.inputs)

    @cached_property
    def _local(self) -> LocalDerivatives[Value]:
        """The recorded numbers, or the same as Values where results can be differentiated again."""
        if not self.differentiable:
            return recorded
        with mode(recording=True):
            return local_derivatives_on_values(self._order, self.inputs)

    def reverse(self, seeds: Mapping[Value, Any]) -> list[Any]:
        """The adjoint of every input."""
        plain = not self.differentiable and not any(isinstance(seed, Value) for seed in seeds.values())
        observer = watch() if plain else None  # operations on Values are watched anyway
        sweep = partial(reverse, observe=observer) if observer else reverse  # C takes the one without
        with mode(recording=True):
            adjoints = sweep(self._order, seeds, self._local)
        if observer:
            warn_of_lost(adjoints, self.inputs, self._order)
        return [adjoints.get(x, 0.0) for x in self.inputs]

    def forward(self, seeds: Mapping[Value, Any]) -> list[Any]:
        """The tangent of every output."""
        with mode(recording=True):
            tangents = forward(self._order, seeds, self._local)
        if watch() is not None:
            raise_for_tangents(self._order, tangents)
        return [tangents.get(y, 0.0) if isinstance(y, Value) else 0.0 for y in self.outputs]


def local_derivatives_on_values(order: Sequence[Value], inputs: Sequence[Value]) -> LocalDerivatives[Value]:
    """Local derivatives as Values, computed once, for the nodes that depend on the inputs and towards them only."""
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
