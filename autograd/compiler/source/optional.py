"""Names that hold None or a number, and are used so that no one can tell how a capture represents that."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from autograd.compiler.source.names import COMPREHENSIONS, SCOPES
from autograd.sources import nodes_in

ARITHMETIC = (ast.Add, ast.Sub, ast.Mult)


def is_none(node: ast.expr) -> bool:
    """Whether an expression is None."""
    return isinstance(node, ast.Constant) and node.value is None


class _Uses(ast.NodeVisitor):
    """Finds how names are used: which are set to None, which are copied to which, and which are used in another way."""

    def __init__(self) -> None:
        self.nones: set[str] = set()
        self.copies: set[tuple[str, str]] = set()
        self.others: set[str] = set()

    def visit_Name(self, node: ast.Name) -> None:
        """A use about which nothing is known; `operand` leaves out those that are known."""
        if not isinstance(node.ctx, ast.Store):
            self.others.add(node.id)

    def operand(self, node: ast.expr) -> None:
        """An operand of arithmetic, or of a comparison."""
        if not isinstance(node, ast.Name):
            self.visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        for part in (node.left, node.right):
            (self.operand if isinstance(node.op, ARITHMETIC) else self.visit)(part)

    def visit_Compare(self, node: ast.Compare) -> None:
        parts = [node.left, *node.comparators]
        same = any(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops)
        fine = len(parts) == 2 and is_none(parts[1]) if same else not any(map(_is_membership, node.ops))
        for part in parts:
            (self.operand if fine else self.visit)(part)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self.assigned(target, node.value)
        if all(isinstance(target, ast.Name) for target in node.targets):
            self.operand(node.value)
        elif isinstance(node.value, (ast.Tuple, ast.List)) and all(_pairs(t, node.value) for t in node.targets):
            for part in node.value.elts:
                self.operand(part)
        else:
            self.visit(node.value)

    def assigned(self, target: Any, value: Any) -> None:
        """What a name gets."""
        if isinstance(target, ast.Name):
            if is_none(value):
                self.nones.add(target.id)
            elif isinstance(value, ast.Name):
                self.copies.add((value.id, target.id))
        elif _pairs(target, value):
            for one, other in zip(target.elts, value.elts):
                self.assigned(one, other)
        else:
            self.visit(target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """The name may have had a method of its own for this."""
        self.others.update([n.id for n in nodes_in(node.target) if isinstance(n, ast.Name)])
        self.visit(node.value)


def _is_membership(op: ast.cmpop) -> bool:
    return isinstance(op, (ast.In, ast.NotIn))


def _pairs(target: Any, value: Any) -> bool:
    """Whether names get the parts of a tuple one by one."""
    tuples = isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List))
    return tuples and len(target.elts) == len(value.elts) and all(isinstance(x, ast.Name) for x in target.elts)


def optional_names(body: Sequence[ast.stmt], kept: frozenset[str]) -> frozenset[str]:
    """The names of a function that are only compared, computed with, and copied to such names; None is among them."""
    uses = _Uses()
    for statement in body:
        for node in nodes_in(statement):
            if isinstance(node, (*SCOPES, *COMPREHENSIONS)):
                uses.others.update([n.id for n in nodes_in(node) if isinstance(n, ast.Name)])
        uses.visit(statement)
    found = {*uses.nones, *[target for _, target in uses.copies]} - uses.others - kept
    while wrong := {source for source, target in uses.copies if source in found and target not in found}:
        found -= wrong
    return frozenset(found)
