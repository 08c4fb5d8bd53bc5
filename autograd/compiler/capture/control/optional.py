"""A name that holds None in some rows or steps, and a number in others: a truth beside the number."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from autograd.compiler.capture.control.sides import is_predicate


class Maybe:
    """None or a number; the source is searched for uses of the name that could tell it from them.

    What computes with it supposes that it is a number, for with None Python raises.
    """

    __slots__ = ("has", "value")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, has: Any, value: Any) -> None:
        self.has, self.value = has, value

    def number(self) -> Any:
        """The number."""
        if not self.has:
            raise TypeError("unsupported operand: None")
        return self.value

    def __eq__(self, other: object) -> Any:
        if other is None:
            return self.absent()
        has, value = parts(other)
        same = _both(self.has, _both(has, self.value == value))
        return same if has is True else either(same, _both(self.absent(), negated(has)))

    def __ne__(self, other: object) -> Any:
        return negated(self == other)

    def __bool__(self) -> bool:
        return bool(self.has) and bool(self.value != 0.0)

    def absent(self) -> Any:
        """The truth that it is None."""
        return negated(self.has)


def parts(thing: Any) -> tuple[Any, Any]:
    """Whether a thing is a number, and which."""
    return (thing.has, thing.value) if type(thing) is Maybe else (thing is not None, thing)


def is_none(thing: Any) -> Any:
    """``thing is None``."""
    return thing.absent() if type(thing) is Maybe else thing is None


def negated(truth: Any) -> Any:
    """``not truth``."""
    return truth.negated() if is_predicate(truth) else not truth


def _both(one: Any, other: Any) -> Any:
    """``one and other``."""
    if not is_predicate(one):
        return other if one else False
    if not is_predicate(other):
        return one if other else False
    return one & other


def either(one: Any, other: Any) -> Any:
    """``one or other``."""
    return negated(_both(negated(one), negated(other)))


def _forwarded(function: Callable[..., Any], reflected: bool) -> Callable[..., Any]:
    def operate(self: Maybe, *others: Any) -> Any:
        given = [self.number(), *[x.number() if type(x) is Maybe else x for x in others]]
        return function(*(reversed(given) if reflected else given))

    return operate


for _name in ("neg", "add", "sub", "mul", "lt", "le", "gt", "ge"):
    setattr(Maybe, f"__{_name}__", _forwarded(getattr(operator, f"__{_name}__"), False))
for _name in ("add", "sub", "mul"):
    setattr(Maybe, f"__r{_name}__", _forwarded(getattr(operator, f"__{_name}__"), True))
