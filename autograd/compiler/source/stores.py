"""Assignments to attributes and elements, each made a statement of its own, so that a capture can note it."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from autograd.compiler.source.bodies import has_place, is_place, is_simple
from autograd.compiler.source.jumps import OWN, at, name


class Stores:
    """Rewrites the statements of one function."""

    def __init__(self) -> None:
        self.made = 0

    def block(self, block: Sequence[ast.stmt]) -> list[ast.stmt]:
        """The statements of a block."""
        return [new for node in block for new in self.statement(node)]

    def statement(self, node: Any) -> list[ast.stmt]:
        """A statement, as one or more."""
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            return [node]
        if isinstance(node, ast.Assign) and any(map(has_place, node.targets)):
            return self.assignment(node)
        if isinstance(node, ast.AugAssign) and is_place(node.target):
            return self.augmented(node)
        if isinstance(node, ast.AnnAssign) and node.value is None:
            return [at(ast.Pass(), node)]  # in a function inside, it would make another variable of the name
        if isinstance(node, ast.AnnAssign) and node.value is not None and is_place(node.target):
            return [at(ast.Assign([node.target], node.value), node)]
        for part in ("body", "orelse", "finalbody"):
            if isinstance(getattr(node, part, None), list):
                setattr(node, part, self.block(getattr(node, part)))
        for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            part.body = self.block(part.body)
        return [node]

    def new(self, node: ast.AST, value: ast.expr) -> tuple[str, ast.stmt]:
        """A new name, and the statement that gives it a value."""
        self.made += 1
        word = f"{OWN}part{self.made}"
        return word, at(ast.Assign([ast.Name(word, ast.Store())], value), node)

    def assignment(self, node: ast.Assign) -> list[ast.stmt]:
        """``a = b.c = value``, and ``a, b.c = value``: names first get the value, or its parts."""
        if not all(map(is_simple, node.targets)):
            return [node]
        if len(node.targets) > 1:
            word, first = self.new(node, node.value)
            each = [at(ast.Assign([target], name(word)), node) for target in node.targets]
            return [first, *self.block(each)]
        (target,) = node.targets
        if not isinstance(target, (ast.Tuple, ast.List)):
            return [node]
        words = []
        for _ in target.elts:
            self.made += 1
            words.append(f"{OWN}part{self.made}")
        parts = at(ast.Tuple([ast.Name(word, ast.Store()) for word in words], ast.Store()), target)
        found: list[ast.stmt] = [at(ast.Assign([parts], node.value), node)]
        return [*found, *[at(ast.Assign([one], name(word)), node) for one, word in zip(target.elts, words)]]

    def augmented(self, node: ast.AugAssign) -> list[ast.stmt]:
        """``a.b += value``: the thing and the index are evaluated once."""
        target: Any = node.target
        owner, first = self.new(node, target.value)
        statements = [first]

        def place(context: ast.expr_context) -> Any:
            if isinstance(target, ast.Attribute):
                return at(ast.Attribute(name(owner), target.attr, context), target)
            return at(ast.Subscript(name(owner), index, context), target)

        index: ast.expr = target.slice if isinstance(target, ast.Subscript) else target
        if isinstance(target, ast.Subscript) and not isinstance(index, ast.Constant):
            key, second = self.new(node, target.slice)
            statements.append(second)
            index = name(key)
        value, read = self.new(node, place(ast.Load()))
        changed = at(ast.AugAssign(ast.Name(value, ast.Store()), node.op, node.value), node)
        return [*statements, read, changed, at(ast.Assign([place(ast.Store())], name(value)), node)]
