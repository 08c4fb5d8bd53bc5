"""Arguments by structure: what two calls must share to run the same machine code."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from inspect import signature
from typing import Any, cast

from autograd.ieee import to_float
from autograd.tree import as_doubles, children, is_array, is_leaf, leaf_names


def inspect(tree: Any, path: str, leaves: list[Any]) -> Hashable:
    """The structure of a tree; its leaves (floats, Values) are added to the list.

    Raises
    ------
    TypeError
        If a leaf is not a real number; the message gives its path.
    """
    if is_leaf(tree):
        leaves.append(tree)
        return 0
    if type(tree) in (list, tuple):
        if all(map(is_leaf, tree)):
            leaves += tree
            return (type(tree), len(tree))
        return (type(tree), tuple([inspect(x, f"{path}[{i}]", leaves) for i, x in enumerate(tree)]))
    if is_array(tree, path):
        return _inspect_array(tree, path, leaves)
    parts = children(tree)
    if parts is None:
        try:
            leaves.append(to_float(tree))
        except TypeError as error:
            raise TypeError(f"{path}: {error}") from None
        return 0
    named, _ = parts
    inside = tuple([(name, inspect(child, path + name, leaves)) for name, child in named])
    return (_identity(tree, named), inside)


def inspect_call(name: str, args: Sequence[Any], keywords: Mapping[str, Any], leaves: list[Any]) -> Hashable:
    """The structure of all arguments of a function called `name`."""
    given = tuple([inspect(arg, f"argument {k} of {name}", leaves) for k, arg in enumerate(args)])
    return given, tuple([(k, inspect(arg, f"argument {k!r} of {name}", leaves)) for k, arg in keywords.items()])


def _inspect_array(array: Any, path: str, leaves: list[Any]) -> Hashable:
    if array.dtype == object:
        for i, x in enumerate(array.ravel().tolist()):
            inspect(x, f"{path}[{i}]", leaves)
    else:
        leaves += as_doubles(array, path).ravel().tolist()
    return ("array", array.shape)


def argument_names(
    function: Callable[..., Any], args: Sequence[Any], keywords: Mapping[str, Any], axes: Sequence[int | None] = ()
) -> list[str]:
    """What the numbers among the arguments are called: by the parameters. Those mapped over `axes` are left out."""
    names = [f"args[{k}]" for k in range(len(args))]
    with suppress(TypeError, ValueError):  # it has no signature, or not this one
        parameters = signature(function).parameters.values()
        positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        names[: len(positional)] = positional[: len(args)]
    trees = [*zip(names, args), *keywords.items()]
    shared = [pair for k, pair in enumerate(trees) if k >= len(axes) or axes[k] is None]
    return [leaf for name, tree in shared for leaf in leaf_names(tree, name)]


def _identity(tree: Any, named: Sequence[tuple[str, Any]]) -> Hashable:
    """What else of a container, besides its children, a function may look at: its class and other attributes."""
    if tree is None or isinstance(tree, (list, tuple, dict)) or dataclasses.is_dataclass(tree):
        return cast(Hashable, type(tree))
    if not hasattr(tree, "__dict__"):
        return _Same(tree)
    inside = {name.removeprefix(".") for name, _ in named}
    rest = [(name, _hashable(x)) for name, x in vars(tree).items() if name not in inside]
    return (type(tree), frozenset(rest))


def _hashable(thing: Any) -> Hashable:
    try:
        hash(thing)
    except TypeError:
        return _Same(thing)
    return cast(Hashable, thing)


class _Same:
    """Equal only for the same object, which it keeps alive so that no other takes its identity."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.thing is other.thing

    def __hash__(self) -> int:
        return id(self.thing)
