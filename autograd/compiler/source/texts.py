"""Texts that are made of plain names only, such as ``"{0:f} is too large".format(x)``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from autograd.refusals import PREFIX

Holder = tuple[Any, Any]  # a node and the name of a field, or a list and an index


def names_in_text(node: ast.expr) -> list[str] | None:
    """The names in an expression that makes a text of them and calls nothing else; None for any other expression."""
    found = [part for part, _ in shown_in(node) or ()]
    if not all(isinstance(part, (ast.Name, ast.Constant)) for part in found):
        return None
    names = list(dict.fromkeys([part.id for part in found if isinstance(part, ast.Name)]))
    return names or None


def shown_in(node: ast.expr) -> list[tuple[ast.expr, Holder]] | None:
    """What is shown in a text, and where it is in the tree; None if an expression makes no text in such a way."""
    if isinstance(node, ast.JoinedStr):
        return [_shown(field) for field in fields_of(node)]
    if isinstance(node, ast.Call) and not node.keywords and not any(isinstance(x, ast.Starred) for x in node.args):
        function, given = node.func, node.args
        if isinstance(function, ast.Call) and is_hidden(function, "answer"):  # as adopted functions have it
            function = function.args[0]
        if isinstance(function, ast.Attribute) and function.attr == "format" and _is_text(function.value):
            return _in_list(given)
        if is_hidden(node, "modulo") and len(given) == 2 and _is_text(given[0]):
            return _in_list(given[1].elts) if isinstance(given[1], ast.Tuple) else [(given[1], (given, 1))]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and _is_text(node.left):
        return _in_list(node.right.elts) if isinstance(node.right, ast.Tuple) else [(node.right, (node, "right"))]
    return None


def replace(holder: Holder, new: ast.expr) -> None:
    """Put another expression in the place of what is shown."""
    where, key = holder
    if isinstance(where, list):
        where[key] = new
    else:
        setattr(where, key, new)


def _in_list(things: list[ast.expr]) -> list[tuple[ast.expr, Holder]]:
    return [(thing, (things, k)) for k, thing in enumerate(things)]


def _shown(field: ast.FormattedValue) -> tuple[ast.expr, Holder]:
    """What a field of an f-string shows; adopted code calls a function with it."""
    value = field.value
    if isinstance(value, ast.Call) and is_hidden(value, "plain"):
        return value.args[0], (value.args, 0)
    return value, (field, "value")


def fields_of(node: ast.JoinedStr) -> Iterator[ast.FormattedValue]:
    """What an f-string shows, in the order in which it is computed; also what is in format specifications."""
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            yield part
            if isinstance(part.format_spec, ast.JoinedStr):
                yield from fields_of(part.format_spec)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def is_hidden(node: ast.expr, word: str) -> bool:
    """Whether this is a call of a function that adopted code calls in place of an operator or a name."""
    function = node.func if isinstance(node, ast.Call) else None
    return isinstance(function, ast.Name) and function.id == f"{PREFIX}{word}__"
