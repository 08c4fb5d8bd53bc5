"""Rewrites the syntax tree of adopted code: a few operations become calls of the functions in `answers.py`.

Division, remainder and power become calls because they raise where Python raises; calls of `float`, `int`, `str` and
`type` become calls because these names must stay classes. Everything keeps its place in the file, so tracebacks show
the lines of the original source.
"""

from __future__ import annotations

import ast
from typing import TypeVar

from autograd.refusals import PREFIX

OPERATORS: dict[type[ast.operator], str] = {
    ast.Div: "divide",
    ast.FloorDiv: "floor_divide",
    ast.Mod: "modulo",
    ast.Pow: "power",
}
CLASSES = frozenset({"complex", "float", "int", "repr", "str", "type"})  # called by name
CONVERSIONS = frozenset({"float", "int"})  # kept under other names, and called later
CONVERTERS = frozenset({"converter", "default_factory", "key"})  # keywords for a function

Node = TypeVar("Node", bound=ast.AST)


def hidden(name: str) -> str:
    """The name by which rewritten code finds one of the answers; it does not begin like a private name of a class."""
    return f"{PREFIX}{name}__"


class Rewriter(ast.NodeTransformer):
    """Rewrites a module."""

    def call(self, node: ast.AST, name: str, *arguments: ast.expr) -> ast.Call:
        """A call of an answer in the place of a node."""
        function = ast.copy_location(ast.Name(hidden(name), ast.Load()), node)
        return ast.copy_location(ast.Call(function, list(arguments), []), node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """`a / b` becomes a call, unless `b` is a number that cannot raise."""
        self.generic_visit(node)
        name = OPERATORS.get(type(node.op))
        if name is None or _never_raises(node):
            return node
        return self.call(node, name, node.left, node.right)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        """`a /= b`: the target is evaluated once and may be an array, so only `b` is looked at."""
        self.generic_visit(node)
        name = OPERATORS.get(type(node.op))
        if name is not None:
            node.value = self.call(node.value, "in_place", ast.Constant(name), node.value)
            ast.copy_location(node.value.args[0], node.value)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """`float(x)` becomes a call that looks at `float` and `x`; `getattr(x, "__class__")` is `x.__class__`."""
        if _asks_for_class(node):
            return self.visit_Attribute(ast.copy_location(ast.Attribute(node.args[0], "__class__", ast.Load()), node))
        named = isinstance(node.func, ast.Name) and node.func.id in CLASSES
        self.generic_visit(node)
        if named:
            name = ast.copy_location(ast.Name(hidden("call"), ast.Load()), node.func)
            node.args.insert(0, node.func)
            node.func = name
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """`x.__class__` becomes a call that looks at `x`."""
        self.generic_visit(node)
        asks = node.attr == "__class__" and isinstance(node.ctx, ast.Load)
        return self.call(node, "class_of", node.value) if asks else node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """`convert = float`: what is called under another name later."""
        return self.converting(node, node.value)

    def visit_Return(self, node: ast.Return) -> ast.AST:
        """`return float`."""
        return self.converting(node, node.value)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        """`float if exact else round`."""
        return self.converting(node, node.body, node.orelse)

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        """`{"number": float}`."""
        return self.converting(node, *node.values)

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        """`sorted(numbers, key=float)`."""
        return self.converting(node, node.value) if node.arg in CONVERTERS else self.generic_visit(node)

    def converting(self, node: ast.AST, *uses: ast.expr | None) -> ast.AST:
        """Mark the uses of `float` and `int` in which they may be called later: there, they stand for a conversion."""
        for use in uses:
            if isinstance(use, ast.Name) and use.id in CONVERSIONS:
                use.id = hidden(use.id)
        return self.generic_visit(node)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        """A number in an f-string."""
        self.generic_visit(node)
        node.value = self.call(node.value, "plain", node.value)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """`x in container`: sets and dicts would look for the identity of a Value."""
        self.generic_visit(node)
        if len(node.ops) == 1 and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            found = self.call(node, "contains", node.comparators[0], node.left)
            return found if isinstance(node.ops[0], ast.In) else ast.copy_location(ast.UnaryOp(ast.Not(), found), node)
        return node

    def visit_MatchClass(self, node: ast.MatchClass) -> ast.AST:
        """`case float(x):` asks what `isinstance` asks; the class must stay a name."""
        if isinstance(node.cls, ast.Name) and node.cls.id in CONVERSIONS:
            node.cls.id = hidden(node.cls.id)
        node.patterns = [self.visit(pattern) for pattern in node.patterns]
        node.kwd_patterns = [self.visit(pattern) for pattern in node.kwd_patterns]
        return node

    def visit_MatchMapping(self, node: ast.MatchMapping) -> ast.AST:
        """The keys must stay literals or dotted names."""
        node.patterns = [self.visit(pattern) for pattern in node.patterns]
        return node

    def visit_MatchValue(self, node: ast.MatchValue) -> ast.AST:
        """`case math.pi:` must stay a literal or a dotted name."""
        return node


def _asks_for_class(node: ast.Call) -> bool:
    """Whether this is ``getattr(x, "__class__")``, perhaps with a plain default: every object has one."""
    if (
        not isinstance(node.func, ast.Name)
        or node.func.id != "getattr"
        or node.keywords
        or len(node.args) not in (2, 3)
    ):
        return False
    thing, name, *default = node.args
    plain = not isinstance(thing, ast.Starred) and all(isinstance(x, (ast.Constant, ast.Name)) for x in default)
    return plain and isinstance(name, ast.Constant) and name.value == "__class__"


def _never_raises(node: ast.BinOp) -> bool:
    """Division by a number other than 0; a text with a tuple after ``%`` may hold anything."""
    right = node.right
    number = isinstance(right, ast.Constant) and type(right.value) in (int, float) and right.value != 0
    return number and not isinstance(node.op, ast.Pow) and not isinstance(node.left, (ast.Constant, ast.JoinedStr))


def rewritten(tree: Node) -> Node:
    """The tree after rewriting, in place."""
    done: Node = Rewriter().visit(tree)
    return done
