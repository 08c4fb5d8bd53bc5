"""Describes the arguments and results of a call, so that the fast path in `_call.c` can read and make them.

Without the C build, every call takes the slow path in call.py, with the same results.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from autograd.compiler.c_build import extension
from autograd.compiler.capture.signature import NOTHING, NUMBER, Array, Node, Numbers, Rows, Signature, raw, read
from autograd.compiler.run.specialization import Specialization
from autograd.compiler.watch import Watch

DEEPEST = 64  # nested containers; calls with more take the slow path


class Part(NamedTuple):
    """One part of a description.

    Attributes
    ----------
    kind : str
        "none" (None), "float", "array" (of float64), "rows" (an array of any length, over whose rows a map runs), or a
        container: exactly a "list", a "tuple" or a "dict". A result may be "made" from its only part by a callable.
    detail : tuple
        The shape of an array or of one of its rows; the keys of a dict; the callable.
    parts : tuple of Part
        The contents of a container.
    """

    kind: str
    detail: tuple[Any, ...] = ()
    parts: tuple[Any, ...] = ()


def for_call(args: Sequence[Signature], specialization: Specialization, watch: Any) -> Any | None:
    """The fast path of a specialization, for arguments of these signatures; None if such calls need the slow path.

    It serves calls while the watch holds.
    """
    if extension is None:
        return None
    results = _results(specialization.template, _number)
    if results is not None and specialization.finish is not None:
        results = Part("made", (specialization.finish,), (results,))
    return _make([_describe(arg, _number) for arg in args], results, specialization, watch)


def for_batch(args: Sequence[Signature], specialization: Specialization, row: Any | None, watch: Any) -> Any | None:
    """The fast path of a batch over ndarrays; `row` is the template of the result of one row, if each row has one.

    If a guard fails for a row, the call takes the slow path, and so do all later calls.
    """
    if extension is None:
        return None
    results = _results(specialization.template, _number) if row is None else _results(row, _stacked)
    guards = specialization.notes.guarded
    return _make([_describe(arg, _number) for arg in args], results, specialization, watch, guards)


def _make(
    arguments: Sequence[Part | None],
    results: Part | None,
    specialization: Specialization,
    watch: Any,
    guards: bool = False,
) -> Any | None:
    code = specialization.code
    if code.needs.calls_python or results is None or any(part is None for part in arguments) or type(watch) is Watch:
        return None
    given, leaves = Part("tuple", (), tuple(arguments)), tuple(specialization.leaves)
    table = array("d", specialization.table).tobytes()
    return extension.FastPath(
        given,
        results,
        leaves,
        code,
        code.address,
        *specialization.sizes,
        code.needs.work,
        watch,
        guards,
        table,
        *specialization.notes.skews,
    )


def _results(template: Any, leaf: Callable[[Any], Part | None]) -> Part | None:
    return _describe(read(template).signature, leaf)


def _describe(signature: Signature, leaf: Callable[[Any], Part | None], depth: int = 1) -> Part | None:
    """The description of a tree of this signature; `leaf` describes its numbers and arrays."""
    if not isinstance(signature, (Node, Numbers)):
        return leaf(signature)
    if signature == NOTHING:
        return Part("none")
    if signature.kind not in (list, tuple, dict) or depth == DEEPEST:
        return None
    keys: tuple[Any, ...] = ()
    if isinstance(signature, Numbers):
        parts = [leaf(NUMBER)] * signature.length
    else:
        keys = tuple(map(raw, signature.keys))
        parts = [_describe(part, leaf, depth + 1) for part in signature.parts]
    return None if None in parts else Part(signature.kind.__name__, keys, tuple(parts))


def _number(leaf: Signature) -> Part | None:
    if isinstance(leaf, Rows):
        return Part("rows", leaf.shape) if leaf.axis == 0 and 0 not in leaf.shape else None
    if isinstance(leaf, Array):
        return Part("array", leaf.shape)
    return Part("float") if leaf == NUMBER else None


def _stacked(leaf: Signature) -> Part:
    return Part("rows", leaf.shape if isinstance(leaf, Array) else ())
