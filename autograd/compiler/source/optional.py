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


class _Texts(_Uses):
    """The same for names that are set to texts or members of enums, and only compared."""

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        parts = [node.left, *node.comparators]
        equal = all(isinstance(op, (ast.Eq, ast.NotEq)) for op in node.ops)
        first = is_membership(node) or is_identity(node)
        for k, part in enumerate(parts):
            (self.operand if equal or (k == 0 and first) else self.visit)(part)

    def assigned(self, target: Any, value: Any) -> None:
        """What a name gets."""
        if isinstance(target, ast.Name) and _is_start(value):
            self.nones.add(target.id)
        elif isinstance(target, ast.Name) and is_none(value):
            return
        else:
            super().assigned(target, value)


def _is_start(node: ast.expr) -> bool:
    """Whether an expression is a text, or may be a member of an enum."""
    text = isinstance(node, ast.Constant) and type(node.value) is str
    return text or (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name))


def is_identity(node: ast.Compare) -> bool:
    """Whether a comparison is ``a is b`` or ``a is not b``."""
    return len(node.ops) == 1 and isinstance(node.ops[0], (ast.Is, ast.IsNot))


def is_membership(node: ast.Compare) -> bool:
    """Whether a comparison asks whether something is among constants or names that are written there."""
    if len(node.ops) != 1 or not isinstance(node.ops[0], (ast.In, ast.NotIn)):
        return False
    among = node.comparators[0]
    named = (ast.Constant, ast.Attribute, ast.Name)
    return isinstance(among, (ast.Tuple, ast.List, ast.Set)) and all(isinstance(x, named) for x in among.elts)


class TextChoices(ast.NodeTransformer):
    """Writes ``state = a if c else b`` as a branch, for names of texts."""

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        """An assignment."""
        (target, *others), value = node.targets, node.value
        if others or not isinstance(target, ast.Name) or not isinstance(value, ast.IfExp) or not _gives_text(value):
            return node
        sides = [
            [self.visit_Assign(ast.copy_location(ast.Assign([ast.Name(target.id, ast.Store())], side), side))]
            for side in (value.body, value.orelse)
        ]
        for side in sides:
            ast.fix_missing_locations(side[0])
        return ast.copy_location(ast.If(value.test, *sides), node)


def _gives_text(node: ast.expr) -> bool:
    """Whether one of the ends of a conditional expression is a text, or may be a member of an enum."""
    return _gives_text(node.body) or _gives_text(node.orelse) if isinstance(node, ast.IfExp) else _is_start(node)


def optional_names(body: Sequence[ast.stmt], kept: frozenset[str]) -> frozenset[str]:
    """The names of a function that are only compared, computed with, and copied to such names; None is among them."""
    return _found(_Uses(), body, kept)


def text_names(body: Sequence[ast.stmt], kept: frozenset[str]) -> frozenset[str]:
    """The names of a function that are only compared, and copied to such names; a text is among them."""
    return _found(_Texts(), body, kept)


def _found(uses: _Uses, body: Sequence[ast.stmt], kept: frozenset[str]) -> frozenset[str]:
    for statement in body:
        for node in nodes_in(statement):
            if isinstance(node, (*SCOPES, *COMPREHENSIONS)):
                uses.others.update([n.id for n in nodes_in(node) if isinstance(n, ast.Name)])
        uses.visit(statement)
    found = {*uses.nones, *[target for _, target in uses.copies]} - uses.others - kept
    while wrong := {source for source, target in uses.copies if source in found and target not in found}:
        found -= wrong
    return frozenset(found)
