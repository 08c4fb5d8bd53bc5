"""Numbers of a compiled gradient by many Values: their own graph is made when it is first needed.

A node needs its local derivatives when it is made, and a gradient by n Values has n² of them. Most gradients are
never differentiated, so these are left out. If one is differentiated, it gets the graph of eager code.
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


class Call:
    """A call of a compiled function: its program can run again on the Values as they were."""

    def __init__(self, name: str, program: Program, leaves: Sequence[Any], closed: Sequence[Value]) -> None:
        self.name, self.program, self.leaves, self.closed = name, program, leaves, closed
        self.numbers = [x.data if isinstance(x, Value) else x for x in leaves]
        self.before = [x.data for x in closed]
        self.lock = locks.Lock()
        self.made: list[Any] = []

    def results(self) -> list[Any]:
        """The numbers of the result as nodes of a graph; the graphs that this one needs are made first."""
        stack = [self]
        while stack:
            if missing := stack[-1].missing():
                stack += missing
            else:
                stack.pop().make()
        return self.made

    def missing(self) -> list[Call]:
        """The calls whose graphs must be made before this one's."""
        if self.made:
            return []
        earlier = [x._call for x in (*self.leaves, *self.closed) if isinstance(x, Ungraphed)]
        return list(dict.fromkeys([call for call in earlier if call is not None and not call.made]))

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
            then = [Value.restore(n, rules.pos, (grown(x),), (1.0,)) if isinstance(x, Value) else n for x, n in pairs]
            inputs = [*then, *map(grown, self.closed)]
            self.made = Context().run(replay, self.program, inputs)  # at the top level, in no mode
            self.leaves, self.numbers = (), []  # the graph keeps them now


def _asked(name: str) -> Any:
    """A field that is filled when it is read."""
    field = getattr(Value, name)
    return property(lambda self: field.__get__(self.grow()), lambda self, new: field.__set__(self, new))


class Ungraphed(Value):
    """A number of a compiled gradient, without operands until something reads them."""

    __slots__ = ("_call", "_index")
    _call: Call | None
    _index: int
    op, operands, local_grads, parents = map(_asked, ("op", "operands", "local_grads", "parents"))

    @classmethod
    def of(cls, call: Call, index: int, number: float) -> Ungraphed:
        """The number of a result of a call."""
        node = cls(number)
        node._call, node._index = call, index
        return node

    def grow(self) -> Ungraphed:
        """Make the graph, unless it exists; return the node itself."""
        call = getattr(self, "_call", None)
        if call is not None:
            results = call.results()
            with call.lock:
                if self._call is not None:
                    result = results[self._index]
                    self._call = None
                    if isinstance(result, Value):
                        _fill(self, self._data, rules.pos, (result,), (1.0,), self.label, self._grad, self.source)
        return self

    @classmethod
    def apply_rule(cls, rule: Rule, operands: Sequence[Any]) -> Value:
        """Make the node of one operation."""
        return Value.apply_rule(rule, operands if is_capturing() else [grown(x) for x in operands])

    def backward(self, seed: float = 1.0) -> None:
        """Add seed · ∂self/∂node to the `.grad` of every node that this one depends on."""
        Value.backward(self.grow(), seed)

    def zero_grad(self) -> None:
        """Set the `.grad` of this node, and of every node that it depends on, to 0."""
        Value.zero_grad(self.grow())


def grown(operand: Any) -> Any:
    """An operand with its graph, so that a node can refer to it."""
    return operand.grow() if isinstance(operand, Ungraphed) else operand
