"""The short way from a Python call to machine code: a description of the arguments and results, for C to follow.

`_call.c` has the way itself. Without it every call takes the general way of call.py: the same results, more slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from autograd.compiler.c_build import extension
from autograd.compiler.capture.signature import NOTHING, NUMBER, Array, Node, Numbers, Rows, Signature, raw, read
from autograd.compiler.run.specialization import Path
from autograd.compiler.watch import Watch

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


def caller(args: Sequence[Signature], path: Path, watch: Any) -> Any | None:
    """The caller for arguments of these signatures on a path, which serves while the watch holds.

    None where only the general way will do.
    """
    if extension is None:
        return None
    return _caller([_describe(arg, _number) for arg in args], _results(path.template, _number), path, watch)


def batch_caller(args: Sequence[Signature], path: Path, row: Any | None, watch: Any) -> Any | None:
    """The same for a map over the rows of ndarrays; `row`: what a row's results look like, if there are any."""
    if extension is None:
        return None
    results = _results(path.template, _number) if row is None else _results(row, _stacked)
    return _caller([_describe(arg, _number) for arg in args], results, path, watch)


def _caller(arguments: Sequence[Part | None], results: Part | None, path: Path, watch: Any) -> Any | None:
    if path.code.calls_python or results is None or any(part is None for part in arguments) or type(watch) is Watch:
        return None
    code, program = path.code, path.program
    given = Part("tuple", (), tuple(arguments))
    sizes = (program.inputs, len(program.outputs), code.work)
    return extension.Caller(given, results, tuple(path.leaves), code, code.address, *sizes, watch)


def _results(template: Any, leaf: Callable[[Any], Part | None]) -> Part | None:
    return _describe(read(template).signature, leaf)


def _describe(signature: Signature, leaf: Callable[[Any], Part | None], depth: int = 1) -> Part | None:
    """The description of a tree of this signature; `leaf` has that of its numbers and arrays."""
    if not isinstance(signature, (Node, Numbers)):
        return leaf(signature)
    if signature == NOTHING:
        return Part("none")
    if signature.kind not in (list, tuple, dict) or depth == DEEPEST:
        return None
    keys = tuple(map(raw, signature.keys)) if isinstance(signature, Node) else ()
    inside = signature.parts if isinstance(signature, Node) else [NUMBER] * signature.length
    parts = [_describe(part, leaf, depth + 1) for part in inside]
    return None if None in parts else Part(signature.kind.__name__, keys, tuple(parts))


def _number(leaf: Signature) -> Part | None:
    if isinstance(leaf, Rows):
        return Part("rows", leaf.shape) if leaf.axis == 0 and 0 not in leaf.shape else None
    if isinstance(leaf, Array):
        return Part("array", leaf.shape)
    return Part("float") if leaf == NUMBER else None


def _stacked(leaf: Signature) -> Part:
    return Part("rows", leaf.shape if isinstance(leaf, Array) else ())
