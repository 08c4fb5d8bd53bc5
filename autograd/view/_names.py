"""The parameters of a model and what they are called."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autograd.value import Value


def named_parameters(model: Any) -> list[tuple[str, Value]]:
    """Name and Value of every parameter of a model, a mapping, or pairs of the two.

    Raises
    ------
    TypeError
        If what is given is none of these.
    """
    named: Any = model.named_parameters() if hasattr(model, "named_parameters") else model
    wanted = "a model with named_parameters(), a mapping of names to Values, or pairs of a name and a Value"
    if not isinstance(named, Iterable):
        raise TypeError(f"expected {wanted}, not {model!r} of type {type(model).__name__}")
    pairs = list(named.items() if isinstance(named, dict) else named)
    for pair in pairs:
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], Value)):
            raise TypeError(f"expected {wanted}; {pair!r} is not a name and a Value")
    return pairs
