"""What a captured function returns, as numbers of the program."""

from __future__ import annotations

from typing import Any

from autograd.compiler.capture.tracer import Traced
from autograd.ir.builder import Predicate
from autograd.tree import Rebuild, children, elements, flatten, is_array, only_leaves

Known = dict[int, tuple[Any, bool]]  # arrays by id → each, and whether it holds only numbers


def flatten_result(result: Any) -> tuple[list[Any], Rebuild]:
    """`flatten` for what a captured function returns: a comparison is 1 or 0."""
    name = "the result of the compiled function"
    known: Known = {}
    _refuse_kept(result, name, known)
    return flatten(_as_numbers(result, known), name)


def _refuse_kept(tree: Any, path: str, known: Known) -> None:
    """Raise for a traced number that a result holds, but not as one of its numbers: it would be frozen."""
    if _has_only_numbers(tree, known):
        return
    parts = children(tree)
    for name, child in parts.named if parts else ():
        _refuse_kept(child, path + name, known)
    for name, kept in parts.kept.items() if parts else ():
        if _is_traced(kept):
            raise TypeError(
                f"the attribute {name!r} of {path}, a {type(tree).__name__}, holds a traced number, which "
                "would be that of the first call for ever: return it as an element or a field"
            )


def _has_only_numbers(tree: Any, known: Known) -> bool:
    """Whether it is a list, tuple or array of floats and Values, and nothing else; of arrays that is kept."""
    if type(tree) in (list, tuple):
        return only_leaves(tree)
    if hasattr(tree, "tree_flatten") or not is_array(tree):
        return False
    if id(tree) not in known:
        known[id(tree)] = tree, only_leaves(elements(tree)[0])
    return known[id(tree)][1]


def _is_traced(thing: Any) -> bool:
    if isinstance(thing, (Traced, Predicate)):
        return True
    parts = children(thing)
    return parts is not None and any(map(_is_traced, [child for _, child in parts.named]))


def _as_numbers(tree: Any, known: Known) -> Any:
    if isinstance(tree, Predicate):
        return tree.select(1.0, 0.0)
    parts = None if _has_only_numbers(tree, known) else children(tree)
    if parts is None:
        return tree
    before = [child for _, child in parts.named]
    now = [_as_numbers(child, known) for child in before]
    return tree if all(new is old for new, old in zip(now, before)) else parts.rebuild(now)
