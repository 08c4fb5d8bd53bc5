"""Numbers that Python's own rounding makes ints: numbers of the program, except where Python needs the int itself.

What `round(x)`, `math.floor(x)` and the like give, and sums, differences and products of these and ints, is the int in
a text, as an index, as a key and as an end of a range: there it is guarded. `autograd.math.floor` gives a float, as it
does for floats.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import isfinite
from typing import Any

from autograd.compiler.capture.control.whole import Whole
from autograd.compiler.capture.tracer import Traced


class Rounded(Traced):
    """A tracer of a number that has been rounded; plain Python has an int here."""

    __slots__ = ()
    __index__ = Traced.__int__
    __hash__ = Whole.__hash__

    def __invert__(self) -> int:
        return ~int(self)

    def __pow__(self, other: Any, modulus: Any = None) -> Any:
        return super().__pow__(other) if modulus is None else pow(int(self), int(other), int(modulus))

    def __getattr__(self, name: str) -> Any:
        """What ints have besides, such as `bit_length`: of the int, which is guarded."""
        if not hasattr(int, name):
            raise AttributeError(f"an int has no attribute {name!r}", name=name, obj=self)
        return getattr(int(self), name)

    @classmethod
    def apply_rule(cls, rule: Any, operands: Any) -> Traced:
        """What is computed with other things than ints is a float."""
        return Traced.apply_rule(rule, operands)

    def __format__(self, spec: str) -> str:
        self.builder.check_in_use()
        number, texts = self.builder.value(self.index), self.builder.root().texts
        if not isfinite(number):
            return super().__format__(spec)
        texts.shown = texts.shown or texts.showing
        return format(int(number) if texts.showing else int(self), spec)


def as_rounded(number: Any) -> Any:
    """A number that has been rounded, as the int that Python has."""
    return Rounded.of(number.builder, number.index) if type(number) is Traced else number


def _among_ints(operate: Callable[..., Any]) -> Callable[..., Any]:
    def operator(self: Rounded, *others: Any) -> Any:
        ints = all(isinstance(x, (int, Rounded)) for x in others)
        return as_rounded(operate(self, *others)) if ints else operate(self, *others)

    return operator


for _name in ("add", "sub", "mul", "floordiv", "mod", "radd", "rsub", "rmul", "rfloordiv", "rmod", "neg", "pos", "abs"):
    setattr(Rounded, f"__{_name}__", _among_ints(getattr(Traced, f"__{_name}__")))


def _of_bits(name: str) -> None:
    """An operator that only ints have: with the ints of now, which are guarded."""
    function = getattr(operator, f"__{name}__")

    def operate(self: Rounded, other: Any) -> Any:
        return function(int(self), int(other)) if isinstance(other, (int, Rounded)) else NotImplemented

    def reflected(self: Rounded, other: Any) -> Any:
        return function(int(other), int(self)) if isinstance(other, int) else NotImplemented

    setattr(Rounded, f"__{name}__", operate)
    setattr(Rounded, f"__r{name}__", reflected)


for _name in ("and", "or", "xor", "lshift", "rshift"):
    _of_bits(_name)
