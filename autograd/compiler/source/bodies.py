"""Which statements may become a branch or a loop of a program: those that only assign local names."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterable, Sequence
from typing import Any

from autograd.compiler.source.names import stores
from autograd.sources import nodes_in

ALLOWED: tuple[type[ast.AST], ...] = (
    *(ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.If, ast.While, ast.For, ast.Return, ast.Break),
    *(ast.Continue, ast.Pass, ast.Raise, ast.Assert),
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.keyword, ast.Name, ast.Constant),
    *(ast.Tuple, ast.List, ast.Dict, ast.Attribute, ast.Subscript, ast.Slice, ast.Starred, ast.JoinedStr),
    *(ast.FormattedValue, ast.ListComp, ast.GeneratorExp, ast.comprehension, ast.Lambda),
    *(ast.arguments, ast.arg, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context),
)
OWN_FRAME = frozenset({"__class__", "dir", "eval", "exec", "globals", "locals", "super", "vars"})  # need their function
TOLD: dict[type[ast.AST], str] = {
    ast.AsyncFor: "awaits",
    ast.AsyncWith: "awaits",
    ast.Await: "awaits",
    ast.ClassDef: "defines a class",
    ast.Delete: "deletes something",
    ast.FunctionDef: "defines a function",
    ast.Global: "rebinds a global variable",
    ast.Import: "imports something",
    ast.ImportFrom: "imports something",
    ast.Match: "has a match statement",
    ast.NamedExpr: "assigns inside an expression",
    ast.Nonlocal: "rebinds a variable of a function around it",
    ast.Try: "has a try statement",
    ast.With: "has a with statement",
    ast.Yield: "yields",
    ast.YieldFrom: "yields",
}


def is_place(target: ast.AST) -> bool:
    """Whether a target is an attribute, or an element that is no slice."""
    if isinstance(target, ast.Subscript):
        return not any(isinstance(x, (ast.Slice, ast.Starred)) for x in nodes_in(target.slice))
    return isinstance(target, ast.Attribute)


def has_place(target: ast.AST) -> bool:
    """Whether an attribute, an element or a slice is among the targets of an assignment."""
    return any(isinstance(x, (ast.Attribute, ast.Subscript)) and not _is_read(x) for x in nodes_in(target))


def _is_read(node: Any) -> bool:
    return isinstance(node.ctx, ast.Load)


def is_simple(target: ast.AST) -> bool:
    """Whether a target assigns names, or places one by one."""
    if not has_place(target) or is_place(target):
        return True
    if not isinstance(target, (ast.Tuple, ast.List)):
        return False
    return all(isinstance(x, ast.Name) or is_place(x) for x in target.elts)


class _Check(ast.NodeVisitor):
    """Looks for the first thing that does not belong to the class."""

    def __init__(self, kept: Container[str], functions: bool) -> None:
        self.kept, self.functions = kept, functions
        self.why: str | None = None

    def refuse(self, node: ast.AST, what: str) -> None:
        if self.why is None:
            self.why = f"line {getattr(node, 'lineno', '?')} {what}"

    def generic_visit(self, node: ast.AST) -> None:
        if not isinstance(node, ALLOWED):
            self.refuse(node, TOLD.get(type(node), f"has a {type(node).__name__} statement"))
        elif self.why is None:
            super().generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """To define a function changes nothing, if nothing else needs its name."""
        if not self.functions or node.decorator_list:
            self.refuse(node, TOLD[ast.FunctionDef])

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load) and node.id in self.kept:
            self.refuse(node, f"assigns {node.id}, which functions inside it or outside share")
        if isinstance(node.ctx, ast.Load) and node.id in OWN_FRAME:
            self.refuse(node, f"uses {node.id}")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load) and not is_place(node):
            self.refuse(node, "assigns a slice")
        else:
            self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if not all(map(is_simple, node.targets)):
            self.refuse(node, "assigns attributes or elements with others")
        else:
            self.generic_visit(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.refuse(node, "assigns to a starred name")
        else:
            self.visit(node.value)

    def visit_While(self, node: ast.While) -> None:
        self.loop(node)

    def visit_For(self, node: ast.For) -> None:
        if has_place(node.target):
            self.refuse(node, "is a loop over an attribute or an element")
        self.loop(node)

    def loop(self, node: ast.While | ast.For) -> None:
        if node.orelse:
            self.refuse(node.orelse[0], "belongs to the else of a loop")
        else:
            self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        if node.is_async:
            self.refuse(node.iter, "awaits")
        if has_place(node.target):
            self.refuse(node.target, "assigns an attribute or an element in a comprehension")
        self.visit(node.iter)
        for condition in node.ifs:
            self.visit(condition)


def refusal(nodes: Iterable[ast.AST], kept: Container[str] = (), functions: bool = False) -> str | None:
    """Why these statements or expressions are not of the class; None if they are.

    Parameters
    ----------
    nodes : iterable of ast.AST
        Statements or expressions.
    kept : container of str
        Names that must not be assigned: functions inside share them, or they are global.
    functions : bool
        Whether functions may be defined: in a whole function, but not in a part of it.
    """
    check = _Check(kept, functions)
    for node in nodes:
        check.visit(node)
        if check.why is not None:
            return check.why
    return None


def assigned_place(body: Sequence[ast.stmt]) -> str | None:
    """Which attribute or element statements assign first; None if they only assign names."""
    for node in [inner for statement in body for inner in nodes_in(statement)]:
        if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store):
            what = f"the attribute {node.attr}" if isinstance(node, ast.Attribute) else "an element"
            return f"line {node.lineno} assigns {what}"
    return None


def rebound(body: Sequence[ast.AST]) -> frozenset[str]:
    """The names that a function declares global or nonlocal."""
    declared = [node for x in body for node in nodes_in(x) if isinstance(node, (ast.Global, ast.Nonlocal))]
    return frozenset([name for node in declared for name in node.names])


def shared_names(body: Sequence[ast.stmt]) -> frozenset[str]:
    """The names of a function that functions inside it share, and those that it declares global or nonlocal.

    A generator that is stored computes later, like a function; one that is the only argument of a call does not.
    """
    found: set[str] = set(rebound(body))
    consumed = {
        id(call.args[0])
        for statement in body
        for call in nodes_in(statement)
        if isinstance(call, ast.Call) and len(call.args) == 1 and not call.keywords
    }
    for statement in body:
        for node in nodes_in(statement):
            later = isinstance(node, ast.GeneratorExp) and id(node) not in consumed
            if later or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
                found |= {inner.id for inner in nodes_in(node) if isinstance(inner, ast.Name)} - _own(node)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found.add(node.name)
    return frozenset(found)


def _own(node: Any) -> frozenset[str]:
    """The variables of a function or a generator inside, which are others than those of the same name around it."""
    if isinstance(node, ast.ClassDef):
        return frozenset()
    if isinstance(node, ast.GeneratorExp):
        return stores([part.target for part in node.generators])
    parameters = frozenset([inner.arg for inner in nodes_in(node.args) if isinstance(inner, ast.arg)])
    body: list[Any] = [node.body] if isinstance(node, ast.Lambda) else node.body
    return (parameters | stores(body)) - rebound(body)
