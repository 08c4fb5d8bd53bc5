"""Which names a statement assigns, which are read after it, and which are certainly bound before it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from autograd.sources import children, nodes_in

Names = frozenset[str]
NOTHING: Names = frozenset()
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Around(NamedTuple):
    """What is read after a loop is left by ``break``, at the start of its next step, and by the handlers of a `try`."""

    after: Names = NOTHING
    again: Names = NOTHING
    handlers: Names = NOTHING


def loads(*nodes: Any) -> Names:
    """All names that expressions or whole statements may read."""
    every = [n for node in nodes if node is not None for n in nodes_in(node)]
    return frozenset([n.id for n in every if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)])


def stores(nodes: Iterable[ast.AST]) -> Names:
    """The names that statements assign in their own function."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.AnnAssign) and node.value is None:
            continue
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update([(alias.asname or alias.name).partition(".")[0] for alias in node.names])
        if isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        if isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
            found.add(node.name)
        if isinstance(node, ast.MatchMapping) and node.rest:
            found.add(node.rest)
        if isinstance(node, SCOPES):
            continue
        if isinstance(node, COMPREHENSIONS):  # its targets are its own
            waiting += [x for x in nodes_in(node) if isinstance(x, ast.NamedExpr)]
            continue
        waiting += children(node)
    return frozenset(found)


def unstable(nodes: Iterable[ast.AST]) -> Names:
    """The names that are deleted somewhere, which are never certainly bound."""
    found: set[str] = set()
    for node in nodes:
        for inner in nodes_in(node):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Del):
                found.add(inner.id)
            if isinstance(inner, ast.ExceptHandler) and inner.name:
                found.add(inner.name)
    return frozenset(found)


# ---- what is read later ----------------------------------------------------------------------------------------------


def live(block: Sequence[ast.stmt], after: Names, around: Around) -> Names:
    """The names that are read from the start of a block on.

    Notes at each `if` and loop which are read after it, and which its own blocks may read before they assign them.
    """
    for statement in reversed(block):
        after = _live(statement, after, around) | around.handlers
    return after


def _live(node: Any, after: Names, around: Around) -> Names:
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        return _live_assignment(node, after)
    if isinstance(node, ast.If):
        return _live_branch(node, after, around)
    if isinstance(node, (ast.While, ast.For, ast.AsyncFor)):
        return _live_loop(node, after, around)
    if isinstance(node, (ast.Return, ast.Raise)):
        return loads(node)
    if isinstance(node, ast.Break):
        return around.after
    if isinstance(node, ast.Continue):
        return around.again
    if isinstance(node, (ast.With, ast.AsyncWith)):
        inside = live(node.body, after, around._replace(handlers=around.handlers | after))
        return loads(*node.items) | inside | after
    if isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
        return _live_try(node, after, around)
    if isinstance(node, ast.Match):
        return loads(node) | after.union(*[live(case.body, after, around) for case in node.cases])
    return loads(node) | after  # a definition, an import, an expression, `del`: nothing is known to be overwritten


def _live_branch(node: Any, after: Names, around: Around) -> Names:
    if not hasattr(node, "read_first"):
        node.read_first = live(node.body, NOTHING, Around()) | live(node.orelse, NOTHING, Around())
    node.read_after = after
    return loads(node.test) | live(node.body, after, around) | live(node.orelse, after, around)


def _live_assignment(node: Any, after: Names) -> Names:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    if isinstance(node, ast.AugAssign):
        return after | loads(node) | stores([node.target])
    if node.value is None:
        return after
    return (after - stores(targets)) | loads(node.value, *targets)


def _live_loop(node: Any, after: Names, around: Around) -> Names:
    if not hasattr(node, "read_first"):
        node.read_first = live(node.body, NOTHING, Around())
    node.read_after = after
    test = loads(node.test) if isinstance(node, ast.While) else NOTHING
    beyond = live(node.orelse, after, around) if node.orelse else after
    again = test | beyond
    while True:
        inside = live(node.body, again, Around(after, again, around.handlers))
        following = again | (inside - (NOTHING if isinstance(node, ast.While) else stores([node.target])))
        if following == again:
            break
        again = following
    node.read_again = again
    return again if isinstance(node, ast.While) else again | loads(node.iter, node.target)


def _live_try(node: Any, after: Names, around: Around) -> Names:
    if not hasattr(node, "read_first"):
        parts = [node.body, *[handler.body for handler in node.handlers]]
        node.read_first = NOTHING.union(*[live(part, NOTHING, Around()) for part in parts])
    node.read_after = after
    node.read_by_handlers = NOTHING.union(*[loads(h.type) | live(h.body, after, around) for h in node.handlers])
    final = live(node.finalbody, after, around)
    inner = around._replace(handlers=around.handlers | final)
    handlers = final.union(*[loads(h.type) | live(h.body, final, inner) for h in node.handlers])
    beyond = live(node.orelse, final, inner)
    return live(node.body, beyond, inner._replace(handlers=inner.handlers | handlers)) | handlers | final


# ---- what is bound ---------------------------------------------------------------------------------------------------

Bound = Names | None  # None: the place is not reached


def both(one: Bound, other: Bound) -> Bound:
    """What is bound where two ways meet."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


class Binding:
    """Goes through a function, and notes at each `if` and loop what is bound before it."""

    def __init__(self, never: Names) -> None:
        self.never = never
        self.breaks: list[Bound] = []

    def block(self, block: Sequence[ast.stmt], bound: Bound) -> Bound:
        """What is bound after a block."""
        for statement in block:
            bound = self.statement(statement, bound)
        return bound

    def statement(self, node: Any, bound: Bound) -> Bound:
        """What is bound after a statement."""
        if bound is None:
            bound = NOTHING  # it is never reached, but it may be looked at
        if isinstance(node, ast.If):
            return self.branch(node, bound)
        if isinstance(node, (ast.While, ast.For, ast.AsyncFor)):
            return self.loop(node, bound)
        if isinstance(node, (ast.Return, ast.Raise, ast.Continue)):
            return None
        if isinstance(node, ast.Break):
            if self.breaks:
                self.breaks[-1] = both(self.breaks[-1], bound)
            return None
        if isinstance(node, (ast.With, ast.AsyncWith)):
            self.block(node.body, bound)
            return bound | (stores(node.items) - self.never)
        if isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
            node.bound_before = bound
            self.block(node.body, bound)
            for handler in node.handlers:
                self.block(handler.body, bound)
            self.block(node.orelse, bound)
            after = self.block(node.finalbody, bound)
            return bound if after is None else bound | after
        if isinstance(node, ast.Match):
            for case in node.cases:
                self.block(case.body, bound)
            return bound
        return bound | (stores([node]) - self.never)

    def branch(self, node: Any, bound: Names) -> Bound:
        """An `if`."""
        node.bound_before = bound
        return both(self.block(node.body, bound), self.block(node.orelse, bound))

    def loop(self, node: Any, bound: Names) -> Bound:
        """A loop: a ``while True`` is only left by ``break``."""
        node.bound_before = bound
        self.breaks.append(None)
        inside = bound if isinstance(node, ast.While) else bound | (stores([node.target]) - self.never)
        node.bound_after_step = self.block(node.body, inside)
        left = self.breaks.pop()
        endless = isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and bool(node.test.value)
        beyond = self.block(node.orelse, bound)
        if getattr(node, "enters", False):
            return node.bound_after_step  # type: ignore[no-any-return]
        normal = None if endless else beyond
        return both(normal, left)
