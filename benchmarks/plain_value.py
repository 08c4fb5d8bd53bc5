"""A pure-Python scalar engine in the style of microgpt, to compare the eager engine with.

Every node keeps its operands and its local derivatives by them, and nothing else.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any


class Value:
    """A number that remembers what it was computed from."""

    __slots__ = ("data", "grad", "operands", "slopes")

    def __init__(self, data: float, operands: tuple[Value, ...] = (), slopes: tuple[float, ...] = ()) -> None:
        self.data = data
        self.grad = 0.0
        self.operands = operands
        self.slopes = slopes

    def __add__(self, other: Any) -> Value:
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other: Any) -> Value:
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, power: float) -> Value:
        return Value(self.data**power, (self,), (power * self.data ** (power - 1),))

    def exp(self) -> Value:
        """e to the power of this."""
        result = math.exp(self.data)
        return Value(result, (self,), (result,))

    def log(self) -> Value:
        """Natural logarithm."""
        return Value(math.log(self.data), (self,), (1.0 / self.data,))

    def relu(self) -> Value:
        """The number, or zero if it is negative."""
        return Value(max(self.data, 0.0), (self,), (float(self.data > 0),))

    def __neg__(self) -> Value:
        return self.__mul__(-1.0)

    def __sub__(self, other: Any) -> Value:
        return self.__add__(-other)

    def __rsub__(self, other: Any) -> Value:
        return (-self).__add__(other)

    def __truediv__(self, other: Any) -> Value:
        return self.__mul__(other**-1)

    def __rtruediv__(self, other: Any) -> Value:
        return self.__pow__(-1).__mul__(other)

    __radd__ = __add__
    __rmul__ = __mul__

    def backward(self) -> None:
        """Add the derivative of this node by every node below it to that node's ``grad``."""
        order: list[Value] = []
        seen: set[Value] = set()
        waiting: list[tuple[Value, bool]] = [(self, False)]
        while waiting:
            node, ready = waiting.pop()
            if ready:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                waiting.append((node, True))
                waiting.extend((operand, False) for operand in node.operands)
        self.grad = 1.0
        for node in reversed(order):
            for operand, slope in zip(node.operands, node.slopes, strict=True):
                operand.grad += slope * node.grad


math_functions = SimpleNamespace(relu=Value.relu, exp=Value.exp, log=Value.log)
