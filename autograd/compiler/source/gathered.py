"""Lists of which only a sum, a length, the largest, the smallest, the first or the last number is ever asked for.

Such a list need not exist: the answers are numbers, which a branch chooses and a step of a loop hands to the next.
"""

from __future__ import annotations

import ast
from collections.abc import Container, Sequence
from typing import Any

from autograd.compiler.source.jumps import at, call, name
from autograd.compiler.source.names import COMPREHENSIONS, SCOPES
from autograd.sources import nodes_in

REDUCTIONS = {"sum": "total", "len": "count", "max": "largest", "min": "smallest"}
ENDS = {0: "first", -1: "last"}


class _Uses(ast.NodeVisitor):
    """Finds how names are used: which begin as empty lists, what is asked of which, and which are used otherwise."""

    def __init__(self) -> None:
        self.empty: set[str] = set()
        self.grown: set[str] = set()  # on one side of a branch, or in a loop that its condition ends
        self.asked: dict[str, set[str]] = {}
        self.others: set[str] = set()
        self.inside = 0

    def visit_Name(self, node: ast.Name) -> None:
        """A use about which nothing is known."""
        self.others.add(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        """``name = []``, and ``name, other = [], []``."""
        target, value = node.targets[0], node.value
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            pairs = list(zip(target.elts, value.elts))
        for one, part in pairs:
            if len(node.targets) == 1 and isinstance(one, ast.Name) and _is_empty(part):
                self.empty.add(one.id)
            else:
                self.assigned(one)
                self.visit(part)
        for one in node.targets[1:]:
            self.assigned(one)

    def assigned(self, target: ast.expr) -> None:
        """Anything else that is assigned to names."""
        self.others.update([node.id for node in nodes_in(target) if isinstance(node, ast.Name)])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """``name: list[float] = []``."""
        if isinstance(node.target, ast.Name) and node.value is not None and _is_empty(node.value):
            self.empty.add(node.target.id)
        else:
            self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        """``name.append(value)``."""
        word = appended(node)
        if word is None:
            self.generic_visit(node)
            return
        if self.inside:
            self.grown.add(word)
        self.visit(node.value.args[0])  # type: ignore[attr-defined]

    def visit_Call(self, node: ast.Call) -> None:
        """``sum(name)`` and the like."""
        self.question(node, reduced(node))

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """``name[0]`` and ``name[-1]``."""
        self.question(node, end_of(node))

    def question(self, node: ast.expr, found: tuple[str, str] | None) -> None:
        if found is None:
            self.generic_visit(node)
        else:
            self.asked.setdefault(found[0], set()).add(found[1])

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        """``not name``."""
        if isinstance(node.op, ast.Not):
            self.condition(node.operand)
        else:
            self.visit(node.operand)

    def condition(self, node: ast.expr) -> None:
        """A condition, which may ask whether a list has elements."""
        if isinstance(node, ast.BoolOp):
            for part in node.values:
                self.condition(part)
        elif not isinstance(node, ast.Name):
            self.visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.condition(node.test)
        self.visit(node.body)
        self.visit(node.orelse)

    def visit_If(self, node: ast.If | ast.While) -> None:
        self.condition(node.test)
        self.inside += 1
        for statement in [*node.body, *node.orelse]:
            self.visit(statement)
        self.inside -= 1

    def visit_While(self, node: ast.While) -> None:
        self.visit_If(node)

    def visit_For(self, node: ast.For) -> None:
        self.visit(node.iter)
        self.visit(node.target)
        left = any(isinstance(x, (ast.Break, ast.Continue, ast.Return)) for x in nodes_in(node))
        self.inside += left
        for statement in [*node.body, *node.orelse]:
            self.visit(statement)
        self.inside -= left


def _is_empty(node: ast.expr) -> bool:
    return isinstance(node, ast.List) and not node.elts


def appended(node: Any) -> str | None:
    """The name in a statement ``name.append(value)``."""
    found = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(found, ast.Call) or found.keywords or len(found.args) != 1:
        return None
    function = found.func
    if isinstance(found.args[0], ast.Starred) or not isinstance(function, ast.Attribute) or function.attr != "append":
        return None
    return function.value.id if isinstance(function.value, ast.Name) else None


def reduced(node: ast.Call) -> tuple[str, str] | None:
    """The name in ``sum(name)`` and the like, and what is asked."""
    function = node.func
    if not isinstance(function, ast.Name) or function.id not in REDUCTIONS:
        return None
    if node.keywords or len(node.args) != 1 or not isinstance(node.args[0], ast.Name):
        return None
    return node.args[0].id, REDUCTIONS[function.id]


def end_of(node: ast.Subscript) -> tuple[str, str] | None:
    """The name in ``name[0]`` or ``name[-1]``, where it is read, and which of them it is."""
    if not isinstance(node.value, ast.Name) or not isinstance(node.ctx, ast.Load):
        return None
    key = node.slice.operand if isinstance(node.slice, ast.UnaryOp) else node.slice
    if not isinstance(key, ast.Constant) or type(key.value) is not int:
        return None
    sign = 1 if key is node.slice else -1 if isinstance(node.slice.op, ast.USub) else 0  # type: ignore[attr-defined]
    which = ENDS.get(sign * key.value) if sign and (key.value or sign > 0) else None
    return None if which is None else (node.value.id, which)


def gathered_names(body: Sequence[ast.stmt], kept: Container[str]) -> dict[str, str]:
    """The names of a function that hold lists of the kind, and what is asked of each, as one text."""
    uses = _Uses()
    for statement in body:
        for node in nodes_in(statement):
            if isinstance(node, (*SCOPES, *COMPREHENSIONS)):
                uses.others.update([n.id for n in nodes_in(node) if isinstance(n, ast.Name)])
            if isinstance(node, (ast.ExceptHandler, ast.Import, ast.ImportFrom, ast.Match, ast.Delete)):
                return {}  # these bind names, or unbind them, in ways that are not looked at
        uses.visit(statement)
    found = [word for word in sorted((uses.empty & uses.grown) - uses.others) if word not in kept]
    return {word: " ".join(sorted(uses.asked.get(word, ()))) for word in found}


class Gathering(ast.NodeTransformer):
    """Writes calls of the capture in place of what is done with such names."""

    def __init__(self, asked: dict[str, str]) -> None:
        self.asked = asked

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        """``name = appended(name, value)``."""
        word = appended(node)
        if word not in self.asked:
            self.generic_visit(node)
            return node
        value = self.visit(node.value.args[0])  # type: ignore[attr-defined]
        made = call(node, "appended", name(word), value, ast.Constant(self.asked[word]))
        return at(ast.Assign([ast.Name(word, ast.Store())], made), node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """What a list adds up to, and the like."""
        return self.answer(node, reduced(node), node.func)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """Its first and its last number."""
        return self.answer(node, end_of(node))

    def answer(self, node: ast.expr, found: tuple[str, str] | None, *function: ast.expr) -> ast.AST:
        """A question to one of the names, or the expression as it is."""
        if found is not None and found[0] in self.asked:
            return call(node, "gathered", name(found[0]), ast.Constant(found[1]), *function)
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Any other use asks whether it has elements."""
        if node.id in self.asked and isinstance(node.ctx, ast.Load):
            return call(node, "gathered", node, ast.Constant("filled"))
        return node
