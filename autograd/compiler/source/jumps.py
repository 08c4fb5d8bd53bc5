"""``break``, ``continue`` and ``return`` inside branches, written with names: what follows goes to the other side.

``if c: break`` followed by more becomes ``if c: going = False``, ``else: more``, and the loop goes on while `going`.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, TypeVar

from autograd.compiler.source.bodies import refusal
from autograd.sources import children, nodes_in

FLOW = "__flow__"  # by which rewritten code finds the functions of the capture
OWN = "__flow_"  # what names of rewritten code begin with
SHORT = 150  # nodes that are written twice in any case
MOST_IN_STEPS = 500  # nodes of steps that are written twice
MOST_COPIES = 4000  # nodes that are written twice, because two ways lead to them
ITERATES = ("enumerate", "pairwise", "reversed", "zip")  # what they give is new, and goes through what they are given
INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)

Node = TypeVar("Node", bound=ast.AST)


class TooLongError(Exception):
    """Too much would be written twice."""


def at(node: Node, place: ast.AST) -> Node:
    """A new node, and all below it that have no place yet, at the place of another."""
    if not hasattr(node, "lineno"):
        ast.copy_location(node, place)
        for inner in children(node):
            at(inner, place)
    return node


def call(place: ast.AST, name: str, *arguments: ast.expr) -> ast.Call:
    """A call of a function of the capture."""
    function = ast.Attribute(ast.Name(FLOW, ast.Load()), name, ast.Load())
    return at(ast.Call(function, list(arguments), []), place)


def name(word: str) -> ast.Name:
    """A name that is read."""
    return ast.Name(word, ast.Load())


def assigned(place: ast.AST, word: str, value: ast.expr) -> ast.stmt:
    """``word = value``."""
    return at(ast.Assign([ast.Name(word, ast.Store())], value), place)


def jumps(block: Sequence[ast.stmt], in_loop: bool = True) -> bool:
    """Whether statements leave the loop, or the step, in which they are, or return."""
    for node in block:
        if isinstance(node, ast.Return) or (in_loop and isinstance(node, (ast.Break, ast.Continue))):
            return True
        inner = in_loop and not isinstance(node, (ast.For, ast.While, ast.AsyncFor))
        if not isinstance(node, INNER) and any(jumps(part, inner) for part in _blocks(node)):
            return True
    return False


def returns(block: Sequence[ast.stmt]) -> bool:
    """Whether statements return."""
    return jumps(block, False)


def _blocks(node: Any) -> list[list[ast.stmt]]:
    """The blocks of a compound statement."""
    found = [getattr(node, part) for part in ("body", "orelse", "finalbody") if hasattr(node, part)]
    found += [part.body for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ()))]
    return [part for part in found if isinstance(part, list)]


def falls(block: Sequence[ast.stmt]) -> bool:
    """Whether the end of a block may be reached."""
    for node in block:
        if isinstance(node, (ast.Return, ast.Raise, ast.Break, ast.Continue)):
            return False
        if isinstance(node, ast.If) and not falls(node.body) and not falls(node.orelse):
            return False
    return True


def is_true(node: ast.expr) -> bool:
    """Whether a condition always holds."""
    return isinstance(node, ast.Constant) and bool(node.value)


class WithoutElse(ast.NodeTransformer):
    """Writes the ``else`` of a loop as a branch after it; a name says whether the loop was left by ``break``."""

    def __init__(self) -> None:
        self.words: list[str] = []  # of the loops around, the innermost last; "" for one without an else
        self.made = 0

    def visit(self, node: ast.AST) -> Any:
        """A statement; expressions have no loops."""
        if isinstance(node, (ast.expr, *INNER)):
            return node
        return super().visit(node)

    def visit_For(self, node: Any) -> Any:
        """A loop."""
        self.made += bool(node.orelse)
        word = f"{OWN}left{self.made}" if node.orelse else ""
        orelse, node.orelse = node.orelse, []
        self.words.append(word)
        self.generic_visit(node)
        self.words.pop()
        if not word:
            return node
        otherwise = [new for x in orelse for new in as_list(self.visit(x))]
        test = at(ast.UnaryOp(ast.Not(), name(word)), node)
        return [assigned(node, word, ast.Constant(False)), node, at(ast.If(test, otherwise, []), orelse[0])]

    def visit_While(self, node: ast.While) -> Any:
        """A loop."""
        return self.visit_For(node)

    def visit_Break(self, node: ast.Break) -> Any:
        """It says that the loop was left."""
        return [assigned(node, self.words[-1], ast.Constant(True)), node] if self.words[-1] else node


class WithoutMatch(ast.NodeTransformer):
    """Writes a ``match`` whose patterns are values, None and ``_`` as branches."""

    def __init__(self) -> None:
        self.made = 0

    def visit(self, node: ast.AST) -> Any:
        """A statement; expressions have none."""
        return node if isinstance(node, (ast.expr, *INNER)) else super().visit(node)

    def visit_Match(self, node: ast.Match) -> Any:
        """A ``match``: what it looks at is computed once."""
        self.generic_visit(node)
        before, word = list[ast.stmt](), getattr(node.subject, "id", "")
        if not word:
            self.made += 1
            word = f"{OWN}matched{self.made}"
            before = [assigned(node, word, node.subject)]
        following: list[ast.stmt] = []
        for case in reversed(node.cases):
            test = _matches(word, case.pattern)
            if test is None:
                return node
            if case.guard is not None:
                test = ast.BoolOp(ast.And(), [test, case.guard])
            following = [at(ast.If(test, case.body, following), case.pattern)]
        return [*before, *following]


def _matches(word: str, pattern: ast.pattern) -> ast.expr | None:
    """The condition under which what a name has matches a pattern; None for patterns of other kinds."""
    if isinstance(pattern, ast.MatchValue):
        return ast.Compare(name(word), [ast.Eq()], [pattern.value])
    if isinstance(pattern, ast.MatchSingleton) and pattern.value is None:
        return ast.Compare(name(word), [ast.Is()], [ast.Constant(None)])
    if isinstance(pattern, ast.MatchAs) and pattern.pattern is None and pattern.name is None:
        return ast.Constant(True)
    if not isinstance(pattern, ast.MatchOr):
        return None
    tests = [_matches(word, one) for one in pattern.patterns]
    return None if None in tests else ast.BoolOp(ast.Or(), [test for test in tests if test is not None])


def as_list(found: Any) -> list[ast.stmt]:
    """The statements that are in place of one."""
    return found if isinstance(found, list) else [found]


class Lowering:
    """Rewrites one function.

    Parameters
    ----------
    kept : frozenset of str
        Names that must not be assigned in what becomes a branch or a loop.
    ranges : bool
        Whether `range` is Python's.
    """

    def __init__(self, kept: frozenset[str], ranges: bool) -> None:
        self.kept, self.ranges = kept, ranges
        self.made = 0
        self.copied = 0
        self.staying: list[str] = []  # names that are false after a jump out of the present step

    def unique(self, word: str) -> str:
        """A new name."""
        self.made += 1
        return f"{OWN}{word}{self.made}"

    def block(self, block: Sequence[ast.stmt], ending: bool) -> list[ast.stmt]:
        """The statements of a block; `ending`: the function ends with it."""
        done: list[ast.stmt] = []
        for k, node in enumerate(block):
            rest = block[k + 1 :]
            if isinstance(node, ast.If) and ending and returns([node]) and not refusal([node, *rest], self.kept):
                try:
                    return [*done, self.returning(deepcopy(node), deepcopy(list(rest)))]
                except TooLongError:
                    pass
            if isinstance(node, (ast.For, ast.While)) and jumps(node.body) and not refusal([node], self.kept):
                try:
                    before = self.loop(deepcopy(node))
                except TooLongError:
                    before = None
                if before is not None:
                    then = [before.pop()] if isinstance(before[-1], ast.If) else []
                    return [*done, *before, *self.block([*then, *rest], ending)]
            done.append(self.inside(node))
        return done

    def inside(self, node: Any) -> Any:
        """A statement that stays as it is, with the blocks in it."""
        if isinstance(node, INNER):
            return node
        for part in ("body", "orelse", "finalbody"):
            if getattr(node, part, None):
                setattr(node, part, self.block(getattr(node, part), False))
        for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            part.body = self.block(part.body, False)
        return node

    def returning(self, node: Any, rest: list[ast.stmt]) -> ast.stmt:
        """An `if` at the end of the function whose sides both return."""
        sides = self.sides(node, rest)
        node.body, node.orelse = [self.block([*side, *_nothing(node, side)], True) for side in sides]
        node.returns = True
        return node  # type: ignore[no-any-return]

    def sides(self, node: ast.If, rest: list[ast.stmt]) -> list[list[ast.stmt]]:
        """The sides of an `if`, each with what follows."""
        both = falls(node.body) and falls(node.orelse)
        if both and rest:
            self.copied += _size(rest)
            if self.copied > MOST_COPIES:
                raise TooLongError
        then = [*node.body, *(rest if falls(node.body) else [])]
        return [then, [*node.orelse, *((deepcopy(rest) if both else rest) if falls(node.orelse) else [])]]

    # ---- loops -----------------------------------------------------------------------------------------------

    def loop(self, node: Any) -> list[ast.stmt] | None:
        """A loop that is left by no jump; None if it cannot be. If it returns, an `if` that does so is the last."""
        around, self.staying = self.staying, []
        try:
            return self._loop(node)
        finally:
            self.staying = around

    def _loop(self, node: Any) -> list[ast.stmt] | None:
        going, returned, value = self.unique("going"), self.unique("returned"), self.unique("value")
        before = [assigned(node, going, ast.Constant(True))]
        start: list[ast.stmt] = []
        enters = False
        if isinstance(node, ast.For):
            if not (self.ranges and _is_range(node.iter)):
                return self.through(node, going, returned, value)
            place, stop, step = (self.unique(word) for word in ("place", "stop", "step"))
            before = [*self.range(node, place, stop, step), *before]
            start = [
                at(ast.Assign([node.target], name(place)), node.target),
                assigned(node.target, place, ast.BinOp(name(place), ast.Add(), name(step))),
            ]
            test: ast.expr = call(node.iter, "within", name(place), name(stop), name(step))
            counts: Any = node.iter
            enters = len(counts.args) == 1 and is_true(counts.args[0])
        else:
            test, enters = node.test, is_true(node.test)
        first, after = self.returned(node, returned, value)
        body = [*start, *self.step(node.body, (going, returned, value))]
        test = at(name(going), test) if is_true(test) else at(ast.BoolOp(ast.And(), [name(going), test]), test)
        made: Any = ast.copy_location(ast.While(test, body, []), node)
        made.jumps, made.enters, made.told = True, enters, "for" if isinstance(node, ast.For) else "while"
        return [*before, *first, made, *after]

    def returned(self, node: Any, returned: str, value: str) -> tuple[list[ast.stmt], list[ast.stmt]]:
        """What comes before a loop that returns, and after it."""
        if not returns(node.body):
            return [], []
        nothing = ast.Attribute(ast.Name(FLOW, ast.Load()), "nothing", ast.Load())
        before = [assigned(node, returned, ast.Constant(False)), assigned(node, value, nothing)]
        last = at(ast.Return(name(value)), node)
        return before, [at(ast.If(name(returned), [last], []), node)]

    def through(self, node: ast.For, going: str, returned: str, value: str) -> list[ast.stmt]:
        """A loop through anything but a range: Python takes its steps, and each is a branch on whether there is one."""
        things, thing, begun = (self.unique(word) for word in ("things", "thing", "begun"))
        parts: list[ast.stmt] = []
        given = self.named(node.iter, parts)
        before = [*parts, assigned(node.iter, things, node.iter), assigned(node, begun, call(node, "begun"))]
        before.append(assigned(node, going, ast.Constant(True)))
        first, after = self.returned(node, returned, value)
        target = at(ast.Assign([node.target], name(thing)), node.target)
        step = at(ast.If(name(going), [target, *self.step(node.body, (going, returned, value))], []), node)
        over = call(node, "is_over", name(going), name(begun), name(things), *map(name, given))
        left = at(ast.If(over, [at(ast.Break(), node)], []), node)
        made = ast.For(ast.Name(thing, ast.Store()), name(things), [step, left], [], None)
        return [*before, *first, ast.copy_location(at(made, node), node), *after]

    def named(self, node: Any, parts: list[ast.stmt]) -> list[str]:
        """The names that what `zip` and the like go through gets in `parts`, in order."""
        if not isinstance(node, ast.Call) or node.keywords:
            return []
        word = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if word not in ITERATES or any(isinstance(x, ast.Starred) for x in node.args):
            return []
        found: list[str] = []
        for k, thing in enumerate(node.args):
            inner = self.named(thing, parts)
            if not inner:
                inner = [self.unique("part")]
                parts.append(assigned(thing, inner[0], thing))
                node.args[k] = at(name(inner[0]), thing)
            found += inner
        return found

    def range(self, node: ast.For, *names: str) -> list[ast.stmt]:
        """The first number of a range, its end and its step."""
        targets = ast.Tuple([ast.Name(word, ast.Store()) for word in names], ast.Store())
        return [at(ast.Assign([targets], call(node.iter, "bounds", node.iter)), node.iter)]

    def is_long(self, node: ast.If, rest: list[ast.stmt]) -> bool:
        """Whether too much would be written twice after a branch in a step."""
        more = _size(rest)
        return falls(node.body) and falls(node.orelse) and more > SHORT and self.copied + more > MOST_IN_STEPS

    def stayed(self, node: ast.If, rest: list[ast.stmt], names: tuple[str, str, str]) -> list[ast.stmt]:
        """A branch that may jump, and what follows unless it does: a name tells whether."""
        word = self.unique("stays")
        self.staying.append(word)
        node.body = self.step(node.body, names) or [at(ast.Pass(), node)]
        node.orelse = self.step(node.orelse, names)
        self.staying.pop()
        following = at(ast.If(name(word), self.step(rest, names), []), node)
        return [assigned(node, word, ast.Constant(True)), node, following]

    def step(self, block: Sequence[ast.stmt], names: tuple[str, str, str]) -> list[ast.stmt]:
        """The statements of a step, which has no jumps out of the loop any more."""
        going, returned, value = names
        done: list[ast.stmt] = []
        left = [assigned(block[0], word, ast.Constant(False)) for word in self.staying] if block else []
        for k, node in enumerate(block):
            rest = list(block[k + 1 :])
            if isinstance(node, ast.Continue):
                return [*done, *left] or [at(ast.Pass(), node)]
            if isinstance(node, ast.Break):
                return [*done, *left, assigned(node, going, ast.Constant(False))]
            if isinstance(node, ast.Return):
                result = ast.Constant(None) if node.value is None else node.value
                flags = assigned(node, returned, ast.Constant(True)), assigned(node, going, ast.Constant(False))
                return [*done, assigned(node, value, result), *flags, *left]
            if isinstance(node, ast.If) and jumps([node]):
                if self.is_long(node, rest):
                    return [*done, *self.stayed(node, rest, names)]
                sides = [self.step(side, names) for side in self.sides(node, rest)]
                node.body = sides[0] or [at(ast.Pass(), node)]
                node.orelse = sides[1]
                return [*done, node]
            if isinstance(node, (ast.For, ast.While)) and jumps(node.body):
                made = self.loop(node)
                if made is None and not returns(node.body):  # it is left by its own jumps only
                    done.append(self.inside(node))
                    continue
                if made is None:
                    raise TooLongError
                then = [made.pop()] if isinstance(made[-1], ast.If) else []
                return [*done, *made, *self.step([*then, *rest], names)]
            done.append(self.inside(node))
        return done


def _size(block: Sequence[ast.stmt]) -> int:
    """How many nodes statements have."""
    return sum(1 for statement in block for _ in nodes_in(statement))


def _nothing(place: ast.AST, block: Sequence[ast.stmt]) -> list[ast.stmt]:
    """The end of a function that returns nothing."""
    return [at(ast.Return(ast.Constant(None)), place)] if falls(block) else []


def _is_range(node: ast.expr) -> bool:
    """``range(…)``, as it is written or as adopted code looks it up."""
    if not isinstance(node, ast.Call) or node.keywords or not 1 <= len(node.args) <= 3:
        return False
    function = node.func
    if isinstance(function, ast.Call) and len(function.args) == 1:
        function = function.args[0]
    return (
        isinstance(function, ast.Name)
        and function.id == "range"
        and not any(isinstance(x, ast.Starred) for x in node.args)
    )
