"""A function with some arguments fixed: static arguments, which are no numbers of the computation."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from autograd.transforms.gradients import grad, value_and_grad
from autograd.transforms.mapping import vmap
from autograd.transforms.origin import Function, origin_of, set_origin


def with_static(function: Function, positions: Mapping[int, Any], keywords: Mapping[str, Any]) -> Function:
    """The function of the other arguments; a gradient or map stays a gradient or map.

    Parameters
    ----------
    function : callable
        Takes all arguments.
    positions : mapping
        Index → the positional argument that is fixed there.
    keywords : mapping
        Name → the keyword argument that is fixed.
    """
    origin = origin_of(function)
    if origin is not None and origin.transform == "vmap" and (positions or keywords):
        axes, reduce = origin.parameters
        if not positions or (isinstance(axes, Sequence) and all(axes[i] is None for i in positions if i < len(axes))):
            left = [a for i, a in enumerate(axes) if i not in positions] if isinstance(axes, Sequence) else axes
            return vmap(with_static(origin.function, positions, keywords), left, reduce)
    if origin is not None and origin.transform in ("grad", "value_and_grad"):
        argnums, has_aux = origin.parameters
        numbers = [argnums] if isinstance(argnums, int) else list(argnums)
        if not any(i < 0 or i in positions for i in numbers):
            left = [i - sum(k < i for k in positions) for i in numbers]
            transform = grad if origin.transform == "grad" else value_and_grad
            inner = with_static(origin.function, positions, keywords)
            return transform(inner, left[0] if isinstance(argnums, int) else left, has_aux)
    return _bound(function, positions, keywords)


def _bound(function: Function, positions: Mapping[int, Any], keywords: Mapping[str, Any]) -> Function:
    places = sorted(positions)

    @functools.wraps(function)
    def bound(*args: Any, **options: Any) -> Any:
        given = list(args)
        for i in places:
            given.insert(i, positions[i])
        return function(*given, **options, **keywords)

    with suppress(TypeError, ValueError):  # Python knows no signature of it
        signature = inspect.signature(function)
        named = list(signature.parameters.values())
        left = [p for i, p in enumerate(named) if i not in positions and p.name not in keywords]
        bound.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
    set_origin(bound, "with_static", function, dict(positions), dict(keywords))
    return bound
