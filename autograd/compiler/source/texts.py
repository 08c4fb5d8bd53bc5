"""Texts that are made of plain names only, such as ``"{0:f} is too large".format(x)``."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from autograd.refusals import PREFIX


def names_in_text(node: ast.expr) -> list[str] | None:
    """The names in an expression that makes a text of them and calls nothing else; None if it is another expression."""
    found = _parts(node)
    if found is None or not all(isinstance(part, (ast.Name, ast.Constant)) for part in found):
        return None
    names = list(dict.fromkeys([part.id for part in found if isinstance(part, ast.Name)]))
    return names or None


def _parts(node: ast.expr) -> list[ast.expr] | None:
    """What is shown in a text."""
    if isinstance(node, ast.JoinedStr):
        fields = [part for part in node.values if isinstance(part, ast.FormattedValue)]
        fixed = all(isinstance(x, ast.Constant) for f in fields for x in getattr(f.format_spec, "values", ()))
        return [_shown(field.value) for field in fields] if fixed else None
    if isinstance(node, ast.Call) and not node.keywords:
        function, given = node.func, node.args
        if isinstance(function, ast.Attribute) and function.attr == "format" and _is_text(function.value):
            return given
        if _is_hidden(function, "modulo") and len(given) == 2 and _is_text(given[0]):
            return _several(given[1])
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and _is_text(node.left):
        return _several(node.right)
    return None


def _shown(node: ast.expr) -> ast.expr:
    """A name in an f-string; adopted code calls a function with it."""
    if isinstance(node, ast.Call) and _is_hidden(node.func, "plain") and len(node.args) == 1:
        return node.args[0]
    return node


def fields_of(node: ast.JoinedStr) -> Iterator[ast.FormattedValue]:
    """What an f-string shows, in the order in which it is computed; also what is in format specifications."""
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            yield part
            if isinstance(part.format_spec, ast.JoinedStr):
                yield from fields_of(part.format_spec)


def _several(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_hidden(node: ast.expr, word: str) -> bool:
    """Whether this is a function that adopted code calls in place of an operator."""
    return isinstance(node, ast.Name) and node.id == f"{PREFIX}{word}"
