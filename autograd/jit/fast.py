"""The short way from a Python call to machine code: a description of the arguments and results, for C to follow.

`_call.c` has the way itself. Without it every call takes the general way of call.py: the same results, more slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from autograd.jit.paths import Path
from autograd.jit.watch import Place, Watch
from autograd.modes import active_mode
from autograd.native import load
from autograd.tree import children, is_array

DEEPEST = 64  # containers in one another: what is deeper takes the general way


class Part(NamedTuple):
    """One part of a description.

    Attributes
    ----------
    kind : str
        "none" (None), "float", "array" (of float64), "rows" (an array that a map goes over, of any length), or a
        container, which must be exactly a "list", a "tuple" or a "dict".
    detail : tuple
        The shape of an array or of one of its rows; the keys of a dict.
    parts : tuple of Part
        What is inside a container.
    """

    kind: str
    detail: tuple[Any, ...] = ()
    parts: tuple[Any, ...] = ()


class Entry:
    """How a compiled function is called: first by the callers that served last, if there is the C build.

    This is the definition for the build without it.
    """

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Call the function: the same result as without `jit`."""
        return self._call(args, keywords)

    def _call(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        raise NotImplementedError

    def prefer(self, caller: Any) -> None:
        """Try this caller first from now on."""


extension, why_python = load("autograd.jit._call", np, active_mode)
if not TYPE_CHECKING and extension is not None:
    Entry = extension.Entry


def watch(places: Sequence[Place]) -> Any:
    """A watch over these places: in C, if it knows them all."""
    if extension is None or any(place.kind == "container" for place in places):
        return Watch(places)
    return extension.Watch(tuple(places))


def caller(args: tuple[Any, ...], path: Path, watch: Any) -> Any | None:
    """The caller for arguments like these on a path, while the watch holds; None where only the general way will do."""
    if extension is None:
        return None
    return _caller([_describe(arg, _number) for arg in args], _describe(path.template, _number), path, watch)


def batch_caller(
    args: tuple[Any, ...], axes: Sequence[int | None], path: Path, row: Any | None, watch: Any
) -> Any | None:
    """The same for a map over the rows of ndarrays; `row`: what a row's results look like, if there are any."""
    if extension is None or any(axis not in (0, None) for axis in axes):
        return None
    arguments = [_describe(arg, _number if axis is None else _mapped) for arg, axis in zip(args, axes)]
    results = _describe(path.template, _number) if row is None else _describe(row, _stacked)
    return _caller(arguments, results, path, watch)


def _caller(arguments: Sequence[Part | None], results: Part | None, path: Path, watch: Any) -> Any | None:
    if path.code.calls_python or results is None or any(part is None for part in arguments) or type(watch) is Watch:
        return None
    code, program = path.code, path.program
    given = Part("tuple", (), tuple(arguments))
    sizes = (program.inputs, len(program.outputs), code.work)
    return extension.Caller(given, results, tuple(path.leaves), code, code.address, *sizes, watch)


def _describe(tree: Any, leaf: Callable[[Any], Part | None], depth: int = 1) -> Part | None:
    """The description of a tree; `leaf` has that of its numbers and arrays."""
    kind = type(tree)
    if tree is None:
        return Part("none")
    if is_array(tree) or children(tree) is None:
        return leaf(tree)
    if kind not in (list, tuple, dict) or depth == DEEPEST:
        return None
    if kind is list and leaf is _mapped:
        return None  # its elements are the rows
    parts = [_describe(child, leaf, depth + 1) for child in (tree.values() if kind is dict else tree)]
    return None if None in parts else Part(kind.__name__, tuple(tree) if kind is dict else (), tuple(parts))


def _number(leaf: Any) -> Part:
    return Part("array", leaf.shape) if is_array(leaf) else Part("float")


def _mapped(leaf: Any) -> Part | None:
    return Part("rows", leaf.shape[1:]) if is_array(leaf) and leaf.size else None


def _stacked(leaf: Any) -> Part:
    return Part("rows", getattr(leaf, "shape", ()))
