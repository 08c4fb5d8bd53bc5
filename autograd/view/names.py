"""The parameters of a model, and the parts of their names: ``layers[0].neurons[3].w[1]`` is a path into the model."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from autograd.value import Value

_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""  # the key of a dictionary, as `repr` writes it
_INDEX = rf"""(?>\[(?:{_QUOTED}|[^\[\]'"])*\]|\[[^\[\]]*\])"""
_PATH = re.compile(rf"[^\W\d]\w*{_INDEX}*(?:\.[^\W\d]\w*{_INDEX}*)*", re.DOTALL)
_STEP = re.compile(rf"(?:{_INDEX}|[^.])+", re.DOTALL)


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


def is_path(label: str) -> bool:
    """Whether a label reads like a path: names and indices, separated by dots.

    Examples
    --------
    >>> from autograd.view.names import is_path
    >>> is_path("layers[0].w"), is_path("see fig. 3")
    (True, False)
    """
    return _PATH.fullmatch(label) is not None


def steps(path: str) -> list[str]:
    """The steps of a path; a dot or a bracket in the key of a dictionary is part of its step.

    Examples
    --------
    >>> from autograd.view.names import steps
    >>> steps("layers[0].blocks['conv.1'].w[2]")
    ['layers[0]', "blocks['conv.1']", 'w[2]']
    """
    return _STEP.findall(path)


def outer(path: str) -> str:
    """The path without its last step."""
    return ".".join(steps(path)[:-1])
