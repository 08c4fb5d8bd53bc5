"""Numbers of a compiled gradient by many Values: their own graph is made when something asks for it.

A node needs its local derivatives when it is made, and a gradient by n Values has n² of them. Most gradients are
never differentiated, so theirs are left out; who does differentiate one gets the graph of eager code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any

from autograd import rules
from autograd.jit import native
from autograd.jit.capture import is_capturing
from autograd.jit.structure import Reading
from autograd.rules import Rule
from autograd.tree import flatten
from autograd.value import Value, _fill


class Call:
    """A call of a function, to be made again on Values as they were."""

    def __init__(self, function: Callable[..., Any], arguments: Reading, closed: Sequence[Value]):
        self.function, self.arguments = function, arguments
        self.numbers = [x.data if isinstance(x, Value) else x for x in arguments.leaves]
        self.closed = [(x, x.data.hex()) for x in closed]
        self.lock = native.Lock()
        self.made: list[Any] = []

    def results(self) -> list[Any]:
        """The numbers of the result as nodes of a graph."""
        if not self.made:
            for x, before in self.closed:
                if x.data.hex() != before:
                    raise ValueError(
                        f"a compiled gradient closes over {x!r}, which was {float.fromhex(before)!r} when the gradient "
                        "was computed: the gradient's graph cannot be made any more. Differentiate before assigning "
                        ".data, or make the Value an argument"
                    )
            pairs = zip(self.arguments.leaves, self.numbers)
            then = [Value.restore(n, rules.pos, (grown(x),), (1.0,)) if isinstance(x, Value) else n for x, n in pairs]
            args, keywords = self.arguments.rebuild(then)
            result = Context().run(self.function, *args, **keywords)  # at the top level, in no mode
            self.made = flatten(result)[0]
        return self.made


def _asked(name: str) -> Any:
    """A field that is filled when it is read."""
    field = getattr(Value, name)
    return property(lambda self: field.__get__(self.grow()), lambda self, new: field.__set__(self, new))


class Ungraphed(Value):
    """A number of a compiled gradient; it learns how it was computed when something asks for that."""

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
        """Make the graph, if that has not happened; the node itself."""
        call = getattr(self, "_call", None)
        if call is not None:
            with call.lock:
                if self._call is not None:
                    result = call.results()[self._index]
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
    """An operand that is ready for a graph."""
    return operand.grow() if isinstance(operand, Ungraphed) else operand
