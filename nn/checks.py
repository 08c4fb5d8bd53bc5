"""Checks of the numbers that users pass; an error names the number and its argument."""

from __future__ import annotations

import random
from collections.abc import Iterable
from math import inf, isfinite
from typing import TypeAlias

from autograd import Value
from autograd.ieee import to_float

Seed: TypeAlias = int | random.Random | None


def positive(what: str, number: float) -> float:
    """A positive and finite number."""
    value = to_float(number)
    if not (value > 0 and isfinite(value)):
        raise ValueError(f"{what} must be a positive number, not {number!r}")
    return value


def within(what: str, number: float, least: float, below: float = inf) -> float:
    """A number of at least `least` and below `below`."""
    value = to_float(number)
    if not least <= value < below:
        bound = f"of at least {least:g}" + (f" and below {below:g}" if below < inf else "")
        raise ValueError(f"{what} must be a number {bound}, not {number!r}")
    return value


def whole(what: str, number: int) -> int:
    """A whole number of at least 1."""
    if isinstance(number, bool) or not hasattr(number, "__index__") or number.__index__() < 1:
        raise ValueError(f"{what} must be a whole number of at least 1, not {number!r}")
    return number.__index__()


def leaves(parameters: Iterable[Value]) -> list[Value]:
    """Parameters that can be assigned, without repeats."""
    if not isinstance(parameters, Iterable):
        raise TypeError(f"parameters must be a list of Values, such as model.parameters(), not {parameters!r:.80}")
    found = list(parameters)
    if not found:
        raise ValueError("there are no parameters to change")
    for parameter in found:
        if not isinstance(parameter, Value):
            raise TypeError(f"a parameter must be a Value, not {parameter!r} of type {type(parameter).__name__}")
        if parameter.op is not None:
            raise ValueError(f"a parameter must be a leaf, not the computed node {parameter.describe()}")
    return list(dict.fromkeys(found))


def generator(seed: Seed) -> random.Random | None:
    """The source of random numbers; None for the global generator."""
    if seed is None or isinstance(seed, random.Random):
        return seed
    if not hasattr(seed, "__index__"):
        raise TypeError(f"seed must be a whole number or a random.Random, not {seed!r} of type {type(seed).__name__}")
    return random.Random(seed.__index__())
