"""Numbers of a compiled gradient by many Values: their graph is made when something first reads it.

A node needs its local derivatives when it is made, and a gradient by n Values has n² of them. Most gradients are
never differentiated, so these are left out. If one is differentiated, it gets the graph that eager code makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context
from typing import Any

from autograd import rules
from autograd.compiler import locks
from autograd.compiler.capture.replay import replay
from autograd.compiler.capture.trace import is_capturing
from autograd.ir.block import Program
from autograd.rules import Rule
from autograd.value import Value, _fill


class PendingGraph:
    """The graph of one call of a compiled function, not made yet: the program, and the Values as they were.

    Attributes
    ----------
    leaves, numbers : sequences
        The numbers of the arguments, floats and Values, and what they were when the function was called.
    closed, before : sequences
        The Values from outside, and their numbers then.
    made : list
        The numbers of the result as nodes; empty until the graph is made.
    """

    def __init__(self, name: str, program: Program, leaves: Sequence[Any], closed: Sequence[Value]) -> None:
        self.name, self.program, self.leaves, self.closed = name, program, leaves, closed
        self.numbers = [x.data if isinstance(x, Value) else x for x in leaves]
        self.before = [x.data for x in closed]
        self.lock = locks.Lock()
        self.made: list[Any] = []

    def results(self) -> list[Any]:
        """The numbers of the result as nodes; makes the graph, after the graphs that it needs."""
        stack = [self]
        while stack:
            if needed := stack[-1].needed():
                stack += needed
            else:
                stack.pop().make()
        return self.made

    def needed(self) -> list[PendingGraph]:
        """The graphs that must be made before this one."""
        if self.made:
            return []
        earlier = [x._graph for x in (*self.leaves, *self.closed) if isinstance(x, Ungraphed)]
        return list(dict.fromkeys([graph for graph in earlier if graph is not None and not graph.made]))

    def make(self) -> None:
        """Make the graph, unless it exists."""
        with self.lock:
            if self.made:
                return
            for x, before in zip(self.closed, self.before):
                if x.data.hex() != before.hex():
                    raise ValueError(
                        f"the compiled function {self.name} closes over {x!r}, which was {before!r} when the gradient "
                        "was computed: the gradient's graph cannot be made any more. Differentiate before assigning "
                        ".data, or make the Value an argument"
                    )
            pairs = zip(self.leaves, self.numbers)
            given = [_as_it_was(x, n) if isinstance(x, Value) else n for x, n in pairs]
            inputs = [*given, *map(with_graph, self.closed)]
            self.made = Context().run(replay, self.program, inputs)  # at the top level, in no mode
            self.leaves, self.numbers = (), []  # the graph keeps them now


def _as_it_was(x: Value, number: float) -> Value:
    """A node with this number that hands its adjoint on to `x`, whose number may have changed since."""
    return Value.restore(number, rules.pos, (with_graph(x),), (1.0,))


def _field_of_graph(name: str) -> Any:
    """A field of a node that makes the graph when it is read."""
    field = getattr(Value, name)
    return property(lambda self: field.__get__(self.make_graph()), lambda self, new: field.__set__(self, new))


class Ungraphed(Value):
    """A number of a compiled gradient; it has no operands until something reads them."""

    __slots__ = ("_graph", "_index")
    _graph: PendingGraph | None
    _index: int
    op, operands, local_grads, parents = map(_field_of_graph, ("op", "operands", "local_grads", "parents"))

    @classmethod
    def of(cls, graph: PendingGraph, index: int, number: float) -> Ungraphed:
        """The number of this index in the result of a call."""
        node = cls(number)
        node._graph, node._index = graph, index
        return node

    def make_graph(self) -> Ungraphed:
        """Make the graph, unless it exists; return the node itself."""
        graph = getattr(self, "_graph", None)
        if graph is not None:
            results = graph.results()
            with graph.lock:
                if self._graph is not None:
                    result = results[self._index]
                    self._graph = None
                    if isinstance(result, Value):
                        _fill(self, self._data, rules.pos, (result,), (1.0,), self.label, self._grad, self.source)
        return self

    @classmethod
    def apply_rule(cls, rule: Rule, operands: Sequence[Any]) -> Value:
        """Make the node of one operation."""
        return Value.apply_rule(rule, operands if is_capturing() else [with_graph(x) for x in operands])

    def backward(self, seed: float = 1.0) -> None:
        """Add seed · ∂self/∂node to the `.grad` of every node that this one depends on."""
        Value.backward(self.make_graph(), seed)

    def zero_grad(self) -> None:
        """Set the `.grad` of this node, and of every node that it depends on, to 0."""
        Value.zero_grad(self.make_graph())


def with_graph(operand: Any) -> Any:
    """An operand; an `Ungraphed` one makes its graph first, so that a node can refer to it."""
    return operand.make_graph() if isinstance(operand, Ungraphed) else operand
