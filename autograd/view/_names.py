"""The parameters of a model, what they are called, and the steps of which such a name is made."""

from __future__ import annotations

import re
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


def steps(path: str) -> list[str]:
    """The steps of a path; a dot in the key of a dictionary does not part them.

    Examples
    --------
    >>> from autograd.view._names import steps
    >>> steps("layers[0].blocks['conv.1'].w[2]")
    ['layers[0]', "blocks['conv.1']", 'w[2]']
    """
    return re.findall(r"(?:[^.\[]|\[[^\]]*\])+", path)


def outer(path: str) -> str:
    """The path without its last step."""
    return ".".join(steps(path)[:-1])
