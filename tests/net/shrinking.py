"""Shrink failing programs: leave out statements, parts of expressions and rows while the failure stays."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Iterator


def shrunk(program: str, fails: Callable[[str], bool], seconds: float = 300.0) -> str:
    """The smallest program found in the given time that still fails in the same way."""
    end = time.monotonic() + seconds
    found = True
    while found and time.monotonic() < end:
        found = False
        for candidate in smaller(program):
            if len(candidate) < len(program) and fails(candidate):
                program, found = candidate, True
                break
            if time.monotonic() > end:
                break
    return program


def smaller(program: str) -> Iterator[str]:
    """Programs with one thing left out, the largest first."""
    tree = ast.parse(program)
    for change in (without_statements, without_rows, without_parts):
        for node in list(ast.walk(tree)):
            for name, value in list(ast.iter_fields(node)):
                for new in change(node, value):
                    setattr(node, name, new)
                    yield ast.unparse(tree) + "\n"
                setattr(node, name, value)


def without_statements(node: ast.AST, value: object) -> Iterator[list[ast.stmt]]:
    """A block without some of its statements, or with a statement replaced by its body."""
    if not (isinstance(value, list) and value and isinstance(value[0], ast.stmt)):
        return
    size = len(value)
    while size:
        for start in range(0, len(value), size):
            kept = value[:start] + value[start + size :]
            yield kept if kept or isinstance(node, ast.Module) else [ast.Pass()]
        size //= 2
    for k, statement in enumerate(value):
        for block in ("body", "orelse"):
            if not isinstance(statement, ast.FunctionDef | ast.ClassDef) and getattr(statement, block, None):
                inside = getattr(statement, block)
                if isinstance(inside, list):
                    yield value[:k] + inside + value[k + 1 :]


def without_rows(node: ast.AST, value: object) -> Iterator[ast.expr]:
    """A call in which all lists of the same length are cut to one element, to half, or by one element."""
    if not (isinstance(node, ast.Expr) and isinstance(value, ast.Call)):
        return
    lists = [part for part in ast.walk(value) if isinstance(part, ast.List)]
    for count in sorted({len(part.elts) for part in lists}, reverse=True):
        for kept in sorted({1, count // 2, count - 1}):
            if 0 < kept < count:
                chosen = [part for part in lists if len(part.elts) == count]
                before = [part.elts for part in chosen]
                for part in chosen:
                    part.elts = part.elts[:kept]
                yield value
                for part, elements in zip(chosen, before):
                    part.elts = elements


def without_parts(node: ast.AST, value: object) -> Iterator[object]:
    """Replace an expression by a part of it, by a plain number, or by a container or call without one of its parts."""
    if isinstance(value, ast.expr):
        yield from parts(value)
    elif isinstance(value, list) and value and isinstance(value[0], ast.expr):
        for k, part in enumerate(value):
            if not isinstance(node, ast.Compare | ast.Dict):
                yield value[:k] + value[k + 1 :]
            for inner in parts(part):
                yield [*value[:k], inner, *value[k + 1 :]]


def parts(expression: ast.expr) -> Iterator[ast.expr]:
    """The expressions that may replace an expression."""
    for child in ast.iter_child_nodes(expression):
        if isinstance(child, ast.expr):
            yield child
