"""The operators of symbols. A symbol is passed to a rule in place of a number, to see what the rule does.

The compiler's symbols emit instructions, and the generator writes C from these; the viewer's symbols write formulas.
"""

from __future__ import annotations

from typing import Any

from autograd import rules


class Arithmetic:
    """The operators, each a rule of the table; a subclass defines in ``apply_rule`` what a rule does."""

    __slots__ = ()

    def __add__(self, other: Any) -> Any:
        return rules.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return rules.add(other, self)

    def __sub__(self, other: Any) -> Any:
        return rules.sub(self, other)

    def __rsub__(self, other: Any) -> Any:
        return rules.sub(other, self)

    def __mul__(self, other: Any) -> Any:
        return rules.mul(self, other)

    def __rmul__(self, other: Any) -> Any:
        return rules.mul(other, self)

    def __truediv__(self, other: Any) -> Any:
        return rules.div(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return rules.div(other, self)

    def __pow__(self, other: Any) -> Any:
        return rules.pow(self, other)

    def __rpow__(self, other: Any) -> Any:
        return rules.pow(other, self)

    def __neg__(self) -> Any:
        return rules.neg(self)

    def __abs__(self) -> Any:
        return rules.abs(self)
