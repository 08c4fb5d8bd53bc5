"""Rewrites a function: its branches and loops become calls, about which the capture decides while it runs.

On plain numbers every call does what Python does. A side of a branch, the test of a loop and its body become functions
inside the function, with the names that they assign as parameters and results. Everything keeps its line.

A short side is also there as it was: if the capture decides the condition at once, no function is made for it.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from autograd.compiler.source.bodies import OWN_FRAME, assigned_place, is_place, rebound, refusal, shared_names
from autograd.compiler.source.gathered import Gathering, gathered_names
from autograd.compiler.source.jumps import (
    FLOW,
    OWN,
    Lowering,
    WithoutElse,
    WithoutMatch,
    as_list,
    assigned,
    at,
    call,
    name,
)
from autograd.compiler.source.names import Around, Binding, Names, live, loads, stores, unstable
from autograd.compiler.source.optional import (
    TextChoices,
    is_identity,
    is_membership,
    is_none,
    optional_names,
    text_names,
)
from autograd.compiler.source.stores import Stores
from autograd.compiler.source.texts import Holder, is_hidden, names_in_text, replace, shown_in
from autograd.refusals import PREFIX
from autograd.sources import Definition, children, inner_locals, nodes_in, recompiled

LONGEST_SIDES = 200  # nodes of sides that are also there as they were: sides within sides would double at each level
ORDERS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}


@dataclass(frozen=True, eq=False)
class Site:
    """A statement or an expression that may become a branch or a loop."""

    kind: str  # "if", "while", "for", "if expression", "and", "or"
    line: int
    function: str = ""
    refused: str | None = None  # why it stays as it is, if that is known from the source
    names: tuple[str, ...] = ()  # what it assigns
    optional: frozenset[str] = frozenset()  # names that may hold None and a number
    texts: frozenset[str] = frozenset()  # names that may hold one text or another
    jumps: bool = False  # of a loop: whether it was left by jumps

    @property
    def leaves(self) -> bool:
        """Whether it may leave a loop, or the rest of a step."""
        return any(word.startswith(OWN) for word in self.names)

    def told(self, why: str | None) -> str:
        """What became of it: a guard, and why, or a part of the program."""
        made = "a loop" if self.kind in ("while", "for") else "a branch"
        return f"line {self.line} of {self.function}: {self.kind} is {made if why is None else f'a guard: {why}'}"


@dataclass
class Rewritten:
    """The new code of a function.

    Attributes
    ----------
    code : CodeType
        It has one more variable from outside, `FLOW`.
    sites : list of Site
        In the order of their numbers.
    impure : str or None
        Why a call of the function may do more than compute its result and assign attributes and elements, if it may.
    assigns : str or None
        Which attribute or element it assigns first, if any.
    """

    code: CodeType
    impure: str | None
    assigns: str | None
    sites: list[Site] = field(default_factory=list)


def rewritten(found: Definition, code: CodeType, ranges: bool) -> Rewritten | None:
    """The new code of a function; None if it is not of a kind that is rewritten.

    Parameters
    ----------
    found : Definition
        Its tree, which is changed.
    code : CodeType
        Its code.
    ranges : bool
        Whether the name `range` is Python's in it.
    """
    node: Any = found.node
    if isinstance(node, ast.AsyncFunctionDef) or code.co_flags & GENERATOR:
        return None
    if OWN_FRAME - {"super", "__class__"} & loads(node):
        return None
    body = [at(ast.Return(node.body), node.body)] if isinstance(node, ast.Lambda) else node.body
    for plain in (WithoutMatch(), WithoutElse()):
        body = [new for statement in body for new in as_list(plain.visit(statement))]
    kept = shared_names(body)
    impure = refusal(body, rebound(body), functions=True)
    assigns = assigned_place(body)
    parameters = frozenset(code.co_varnames[: _parameters(code)])
    gathered = gathered_names(body, kept | parameters)
    optional = optional_names(body, kept) - parameters
    body = list(map(TextChoices().visit, body))
    texts = text_names(body, kept) - parameters
    if gathered:
        body = list(map(Gathering(gathered).visit, body))
    body = Stores().block(body)
    lowering = Lowering(kept, ranges and "range" not in inner_locals(node))
    body = lowering.block(body, True)
    live(body, frozenset(), Around())
    Binding(unstable(body)).block(body, parameters)
    emitted = _Emitter(kept, found.classes, code.co_name, optional, texts)
    new = emitted.block(body)
    if isinstance(node, ast.Lambda):
        node.body = new[0].value  # type: ignore[attr-defined]
    else:
        node.body = new
    made = recompiled(node, found.classes, code, [FLOW])
    if made is None:
        return None
    return Rewritten(_named(made, code), impure, assigns, emitted.sites)


LATER = f"{OWN}later"  # the parameter of functions for expressions that are evaluated later; it is not given
COMPREHENSIONS = frozenset({"<dictcomp>", "<genexpr>", "<listcomp>", "<setcomp>"})
GENERATOR = 0x20 | 0x80 | 0x200  # of generators and coroutines: inspect.CO_GENERATOR and so on


def _parameters(code: CodeType) -> int:
    stars = bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
    return code.co_argcount + code.co_kwonlyargcount + stars


def _named(code: CodeType, original: CodeType) -> CodeType:
    """The functions that rewriting has put inside have the name of the function, for messages and tracebacks."""
    constants: list[Any] = []
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            own = constant.co_name.startswith(OWN) or constant.co_varnames[:1] == (LATER,)
            if own:
                constant = constant.replace(co_name=original.co_name, co_qualname=original.co_qualname)
            if own or constant.co_name in COMPREHENSIONS:
                constant = _named(constant, original)
        constants.append(constant)
    return code.replace(co_consts=tuple(constants))


class _Emitter(ast.NodeTransformer):
    """Writes the calls."""

    def __init__(self, kept: Names, classes: Sequence[str], named: str, optional: Names, texts: Names) -> None:
        self.kept, self.classes, self.named, self.optional, self.texts = kept, classes, named, optional, texts
        self.sites: list[Site] = []
        self.iterable = False  # whether this is what a comprehension goes through
        self.outside: str | None = None  # why nothing here is a branch, such as a `try` around it

    def site(self, kind: str, place: ast.AST, **more: Any) -> ast.Constant:
        """The number of a new site."""
        self.sites.append(Site(kind, getattr(place, "lineno", 0), self.named, **more))
        return at(ast.Constant(len(self.sites) - 1), place)

    # ---- statements ------------------------------------------------------------------------------------------

    def block(self, block: Sequence[ast.stmt]) -> list[ast.stmt]:
        """The statements of a block."""
        return [new for node in block for new in self.statement(node)]

    def statement(self, node: Any) -> list[ast.stmt]:
        """A statement, as one or more."""
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            return [node]  # its own code is rewritten when it is called
        if isinstance(node, ast.If):
            return self.branch(node)
        if isinstance(node, ast.While):
            return self.loop(node)
        if isinstance(node, ast.Try) and (tried := self.attempt(node)) is not None:
            return tried
        if isinstance(node, (ast.Try, ast.With, ast.AsyncWith)) or type(node).__name__ == "TryStar":
            return [self.guarded(node)]
        for part in ("body", "orelse"):
            if getattr(node, part, None):
                setattr(node, part, self.block(getattr(node, part)))
        for case in getattr(node, "cases", ()):
            case.body = self.block(case.body)
        shown = names_in_text(node.value) if isinstance(node, ast.Assign) else None
        for part, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                setattr(node, part, self.visit(value))
        if (
            isinstance(node, ast.Raise)
            and node.exc is not None
            and any(isinstance(x, ast.FormattedValue) for x in nodes_in(node))
        ):
            node.exc = call(node, "error", at(_later(node.exc), node))
        if isinstance(node, ast.For):
            node.iter = call(node.iter, "iterated", node.iter)
        if isinstance(node, ast.Assign):
            if len(node.targets) == 1 and is_place(node.targets[0]):
                return [self.place(node, node.targets[0], shown)]
            if any(isinstance(target, (ast.Tuple, ast.List)) for target in node.targets):
                node.value = node.value if isinstance(node.value, ast.Tuple) else call(node, "drawn", node.value)
            node.targets = [self.visit(target) for target in node.targets]
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            return [at(ast.Expr(call(node, "immutable", name(node.target.id))), node), node]
        return [node]

    def place(self, node: Any, target: Any, shown: Sequence[str] | None) -> ast.stmt:
        """``a.b = value``, or ``a[b] = value``, whose value is visited already: a text if names are shown in it."""
        thing = self.visit(target.value)
        if isinstance(target, ast.Attribute) and shown is not None:
            make = _later(node.value)
            make.args.args += [ast.arg(word) for word in shown]
            make.args.defaults += [ast.Constant(None) for _ in shown]
            values = ast.Tuple([name(word) for word in shown], ast.Load())
            made = call(node, "set_text", at(make, node), values, thing, ast.Constant(self.mangled(target.attr)))
        elif isinstance(target, ast.Attribute):
            made = call(node, "set_attribute", node.value, thing, ast.Constant(self.mangled(target.attr)))
        else:
            made = call(node, "set_element", node.value, thing, self.visit(target.slice))
        return at(ast.Expr(made), node)

    def mangled(self, word: str) -> str:
        """The name of an attribute; of a private one, with the class."""
        if word.startswith("__") and not word.endswith("__") and self.classes:
            return f"_{self.classes[-1].lstrip('_')}{word}"
        return word

    def guarded(self, node: Any) -> ast.stmt:
        """A statement that may catch what is raised inside: there everything is as Python does it."""
        around, self.outside = self.outside, f"it is inside the {type(node).__name__.lower()} of line {node.lineno}"
        for item in getattr(node, "items", ()):
            item.context_expr = self.visit(item.context_expr)
        for part in ("body", "orelse", "finalbody"):
            if getattr(node, part, None):
                setattr(node, part, self.block(getattr(node, part)))
        for handler in getattr(node, "handlers", ()):
            handler.body = self.block(handler.body)
        self.outside = around
        return node  # type: ignore[no-any-return]

    def attempt(self, node: ast.Try) -> list[ast.stmt] | None:
        """A `try` as branches; None if its handlers may read what its body has assigned before it raises."""
        blocks = [node.body, *[handler.body for handler in node.handlers]]
        everything = [statement for block in blocks for statement in block]
        ends = all(isinstance(block[-1], (ast.Return, ast.Raise)) for block in blocks)
        left = _jumps_out([x for block in blocks for x in block[:-1]] if ends else everything)
        more = node.orelse or node.finalbody or any(handler.name for handler in node.handlers)
        assigned = stores(node.body[:-1] if isinstance(node.body[-1], (ast.Assign, ast.AugAssign)) else node.body)
        place: Any = node
        if self.outside or more or left or assigned & place.read_by_handlers or refusal(everything, self.kept):
            return None
        names = stores(everything)
        results = [] if ends else sorted(names & place.read_after)
        given = sorted((place.read_first & names) | frozenset(results))
        number = self.site("try", node, names=tuple(results), optional=self.optional, texts=self.texts)
        functions = []
        for k, block in enumerate(blocks):
            word, body = f"{OWN}try{number.value!r}_{k}", self.block(block)
            functions.append(self.function(word, given, body, None if ends else results, node))
        caught = [ast.Constant(None) if h.type is None else self.later(h.type) for h in node.handlers]
        pairs = [ast.Tuple([x, name(one.name)], ast.Load()) for x, one in zip(caught, functions[1:])]
        values = at(ast.Tuple([self.value(word, node) for word in given], ast.Load()), node)
        handlers = at(ast.Tuple(list(pairs), ast.Load()), node)
        made = call(node, "tried_last" if ends else "tried", number, name(functions[0].name), handlers, values)
        if ends:
            return [*functions, at(ast.Return(made), node)]
        return [*functions, *self.unpacked(node, results, made, place.bound_before)]

    def branch(self, node: Any) -> list[ast.stmt]:
        """An `if`."""
        ends = getattr(node, "returns", False)
        names = stores([*node.body, *node.orelse])
        why = self.outside or refusal([*node.body, *node.orelse], self.kept)
        if why is None and not ends and _jumps_out([*node.body, *node.orelse]):
            why = "it returns, or leaves a loop that stays as it is"
        first = node.read_first & names
        if why is not None:
            number = self.site("if", node, refused=why)
            node.test = call(node.test, "guard", number, self.visit(node.test))
            node.body, node.orelse = self.block(node.body), self.block(node.orelse)
            return [node]
        results = sorted(names & node.read_after) if not ends else []
        given = sorted((first | frozenset(results)) if not ends else first)
        number = self.site("if", node, names=tuple(results), optional=self.optional, texts=self.texts)
        then, otherwise = self.block(node.body), self.block(node.orelse)
        functions = [
            self.function(f"{OWN}{word}{number.value!r}", given, body, None if ends else results, node)
            for body, word in ((then, "then"), (otherwise, "otherwise"))
        ]
        values = at(ast.Tuple([self.value(word, node) for word in given], ast.Load()), node)
        test, twice = self.visit(node.test), _are_short([*then, *otherwise])
        asked, outcome = f"{OWN}asked{number.value!r}", f"{OWN}outcome{number.value!r}"
        sides = [at(name(function.name), node) for function in functions]
        condition = at(name(asked), node.test) if twice else test
        made = call(node.test, "returned" if ends else "branch", number, condition, *sides, values)
        ending = [at(ast.Return(made), node)] if ends else self.unpacked(node, results, made, node.bound_before)
        if not twice:
            return [*functions, *ending]
        decided = call(node.test, "decided", number, at(name(asked), node.test))
        first = [assigned(node.test, asked, test), assigned(node.test, outcome, decided)]
        other = at(ast.If(name(outcome), otherwise or [ast.Pass()], [*functions, *ending]), node)
        return [*first, at(ast.If(_above_zero(name(outcome)), then or [ast.Pass()], [other]), node)]

    def loop(self, node: Any) -> list[ast.stmt]:
        """A `while`, or what was another loop with jumps."""
        kind, with_jumps = getattr(node, "told", "while"), getattr(node, "jumps", False)
        why = self.outside or refusal([node], self.kept)
        if why is None and _jumps_out(node.body):
            why = "it is left by a jump"
        names = stores(node.body)
        first = names & (node.read_first | loads(node.test))
        carried = sorted(first | (names & (node.read_after | node.read_again)))
        if why is not None:
            number = self.site(kind, node, refused=why)
            node.test = call(node.test, "guard", number, self.visit(node.test))
            node.body = self.block(node.body)
            node.orelse = self.block(node.orelse)
            return [node]
        number = self.site(kind, node, names=tuple(carried), optional=self.optional, texts=self.texts, jumps=with_jumps)
        test = at(ast.Return(self.visit(node.test)), node.test)
        asks = self.function(f"{OWN}test{number.value!r}", carried, [test], None, node)
        step = self.function(f"{OWN}step{number.value!r}", carried, self.block(node.body), carried, node)
        values = at(ast.Tuple([self.value(word, node) for word in carried], ast.Load()), node)
        made = call(node, "loop", number, name(asks.name), name(step.name), values)
        return [asks, step, *self.unpacked(node, carried, made, node.bound_before)]

    def value(self, word: str, node: Any) -> ast.expr:
        """The value of a name before a statement, where it may have none."""
        if word in node.bound_before:
            return at(name(word), node)
        return call(node, "value", at(_later(name(word)), node))

    def function(self, word: str, given: Sequence[str], body: list[ast.stmt], results: Any, place: Any) -> Any:
        """A function inside the function; a name that is unbound before it is so in it."""
        start = [self.unbinding(place, x) for x in given if x not in place.bound_before and not x.startswith(OWN)]
        ending: list[ast.stmt] = []
        if results is not None:
            last = body[-1] if body else place
            values = [self.value(word, place) for word in results]
            ending = [at(ast.Return(ast.Tuple(values, ast.Load())), last)]
        arguments = ast.arguments([], [ast.arg(x) for x in given], None, [], [], None, [])
        made = ast.FunctionDef(word, arguments, [*start, *body, *ending] or [ast.Pass()], [], None, None)
        if "type_params" in ast.FunctionDef._fields:
            made.type_params = []  # type: ignore[attr-defined]
        return at(made, place)

    def unpacked(self, node: Any, names: Sequence[str], made: ast.expr, bound: Names) -> list[ast.stmt]:
        """The statements that assign what a branch or loop gives; a name that got nothing is unbound, as before."""
        if not names:
            return [at(ast.Expr(made), node)]
        targets = at(ast.Tuple([ast.Name(x, ast.Store()) for x in names], ast.Store()), node)
        found: list[ast.stmt] = [at(ast.Assign([targets], made), node)]
        for word in names:
            if word not in bound and not word.startswith(OWN):
                found.append(self.unbinding(node, word))
        return found

    def unbinding(self, place: ast.AST, word: str) -> ast.stmt:
        """The statement that unbinds a name if it has no value."""
        none = call(place, "is_unbound", name(word))
        return at(ast.If(none, [ast.Delete([ast.Name(word, ast.Del())])], []), place)

    # ---- expressions -----------------------------------------------------------------------------------------

    def later(self, node: ast.expr) -> ast.expr:
        """An expression that is evaluated when it is called for."""
        return at(_later(self.visit(node)), node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        """Its own code is rewritten when it is called."""
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A function that is called is rewritten too."""
        function = node.func
        hidden = isinstance(function, ast.Name) and function.id.startswith((PREFIX, FLOW))
        own = isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == FLOW
        if own:
            node.args = [self.visit(x) for x in node.args]
            return node
        if isinstance(function, ast.Name) and function.id == "super":
            return node
        if _is_print(function):
            return self.printed(node)
        self.generic_visit(node)
        if is_hidden(node, "contains"):
            node.args[0] = call(node, "drawn", node.args[0])
        if not hidden:
            node.func = call(function, "called", node.func)
        return node

    def printed(self, node: ast.Call) -> ast.AST:
        """``print(…)``: its texts are made apart from the numbers in them."""
        node.args = [self.visit(x) if (shown := shown_in(x)) is None else self.text(x, shown) for x in node.args]
        for keyword in node.keywords:
            keyword.value = self.visit(keyword.value)
        made = call(node, "printed", node.func, *node.args)
        made.keywords = node.keywords
        return made

    def text(self, node: ast.expr, parts: Sequence[tuple[ast.expr, Holder]]) -> ast.expr:
        """A function that makes a text, and what it shows."""
        make, shown = _later(node), list[ast.expr]()
        for value, holder in parts:
            word = f"{OWN}shown{len(shown)}"
            shown.append(call(value, "shown", self.visit(value)))
            replace(holder, at(name(word), value))
            make.args.args.append(ast.arg(word))
            make.args.defaults.append(ast.Constant(None))
        return call(node, "text", at(make, node), *shown)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """To read an attribute may run code, of a property."""
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Load) and not (isinstance(node.value, ast.Name) and node.value.id == FLOW):
            node.value = call(node, "owner", node.value, ast.Constant(self.mangled(node.attr)))
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        """A number in a text."""
        self.generic_visit(node)
        node.value = call(node.value, "shown", node.value)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """``"%d" % number``."""
        self.generic_visit(node)
        if isinstance(node.op, ast.Mod) and isinstance(node.left, (ast.Constant, ast.JoinedStr)):
            text = isinstance(node.left, ast.JoinedStr) or isinstance(node.left.value, str)
            node.right = call(node.right, "shown", node.right) if text else node.right
        if isinstance(node.op, ast.Mult) and (_is_made(node.left) or _is_made(node.right)):
            return call(node, "made", node)
        return node

    def visit_List(self, node: ast.List) -> ast.AST:
        """A new list, to whose elements may be assigned."""
        self.generic_visit(node)
        return call(node, "made", node) if isinstance(node.ctx, ast.Load) else node

    def visit_ListComp(self, node: ast.ListComp) -> ast.AST:
        """A new list."""
        self.generic_visit(node)
        return call(node, "made", node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.AST:
        """A new generator, which is used up once."""
        self.generic_visit(node)
        return call(node, "made", node)

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        """What a comprehension goes through may be used up by it."""
        around, self.iterable = self.iterable, True  # where nothing may be assigned
        node.iter = self.visit(node.iter)
        self.iterable = around
        node.target, node.ifs = self.visit(node.target), list(map(self.visit, node.ifs))
        node.iter = call(node.iter, "drawn", node.iter)
        return node

    def visit_Starred(self, node: ast.Starred) -> ast.AST:
        """So does a star."""
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Load):
            node.value = call(node.value, "drawn", node.value)
        return node

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        """A new dict."""
        self.generic_visit(node)
        return call(node, "made", node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """To read an element may run code too, and its index may be a number of the program."""
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load):
            return node
        inner = node.value
        if not isinstance(node.slice, (ast.Slice, ast.Tuple)) and _is_item(inner):
            inner.args.append(node.slice)  # type: ignore[attr-defined]
            return inner
        if not isinstance(node.slice, (ast.Slice, ast.Tuple, ast.Constant)):
            return call(node, "item", inner, node.slice)
        node.value = call(node, "container", inner)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        """``a if c else b``."""
        if self.outside or refusal([node.body, node.orelse]):
            return self.generic_visit(node)
        number = self.site("if expression", node)
        test, then, otherwise = self.visit(node.test), self.visit(node.body), self.visit(node.orelse)
        later = [at(_later(side), side) for side in (then, otherwise)]
        if self.iterable or not _are_short([then, otherwise]):
            return call(node, "choose", number, test, *later)
        asked, outcome = f"{OWN}asked{number.value!r}", f"{OWN}outcome{number.value!r}"
        decided = call(node, "decided", number, at(ast.NamedExpr(ast.Name(asked, ast.Store()), test), node))
        first = _above_zero(ast.NamedExpr(ast.Name(outcome, ast.Store()), decided))
        made = call(node, "choose", number, at(name(asked), node), *later)
        return at(ast.IfExp(first, then, ast.IfExp(name(outcome), otherwise, made)), node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        """``a and b``, ``a or b``."""
        if self.outside or refusal(node.values[1:]):
            return self.generic_visit(node)
        word = "and" if isinstance(node.op, ast.And) else "or"
        number = self.site(word, node)
        first = self.visit(node.values[0])
        return call(node, "combined", number, first, *[self.later(x) for x in node.values[1:]])

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        """``not a``."""
        self.generic_visit(node)
        return call(node, "negated", node.operand) if isinstance(node.op, ast.Not) else node

    def question(self, node: ast.Compare) -> str:
        """What a comparison asks of a name that may hold texts, or None and a number; empty if it is any other."""
        word = node.left.id if isinstance(node.left, ast.Name) else ""
        if word in self.texts and is_membership(node):
            return "is_among"
        if not is_identity(node):
            return ""
        if is_none(node.comparators[0]):
            return "is_none" if word in self.optional | self.texts else ""
        return "is_the" if word in self.texts else ""

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """``a < b < c``, and ``a is None``."""
        if question := self.question(node):
            others = [] if question == "is_none" else [self.visit(node.comparators[0])]
            made = call(node, question, node.left, *others)
            return made if isinstance(node.ops[0], (ast.In, ast.Is)) else call(node, "negated", made)
        if any(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops):
            self.generic_visit(node)
            if not any(map(_is_singleton, node.comparators)):
                node.left = call(node, "identified", node.left)
                node.comparators = [call(node, "identified", part) for part in node.comparators]
            return node
        if any(isinstance(op, (ast.In, ast.NotIn)) for op in node.ops):
            self.generic_visit(node)
            node.comparators = [call(node, "drawn", part) for part in node.comparators]
            return node
        orders = [ORDERS.get(type(op)) for op in node.ops]
        if len(orders) < 2 or None in orders or self.outside or refusal(node.comparators[1:]):
            return self.generic_visit(node)
        number = self.site("and", node)
        signs = at(ast.Tuple([ast.Constant(op) for op in orders], ast.Load()), node)
        first, second = self.visit(node.left), self.visit(node.comparators[0])
        return call(node, "chained", number, signs, first, second, *[self.later(x) for x in node.comparators[1:]])


def _later(node: ast.expr) -> ast.Lambda:
    return ast.Lambda(ast.arguments([], [ast.arg(LATER)], None, [], [], None, [ast.Constant(None)]), node)


def _above_zero(value: ast.expr) -> ast.expr:
    """``value > 0``; code with ``is True`` would get real bools from all its comparisons."""
    return ast.Compare(value, [ast.Gt()], [ast.Constant(0)])


def _are_short(sides: Sequence[ast.AST]) -> bool:
    """Whether there are few nodes in the sides of a branch."""
    found = list(sides)
    for node in found:  # it grows
        if len(found) > LONGEST_SIDES:
            return False
        found += children(node)
    return True


def _jumps_out(block: Sequence[ast.stmt]) -> bool:
    """Whether a jump leaves a block."""
    for node in block:
        if isinstance(node, (ast.Return, ast.Break, ast.Continue)):
            return True
        if isinstance(node, (ast.While, ast.For)):
            if any(isinstance(x, ast.Return) for x in nodes_in(node)):
                return True
            continue
        if isinstance(node, ast.If) and _jumps_out([*node.body, *node.orelse]):
            return True
    return False


def _is_print(node: ast.expr) -> bool:
    """Whether an expression is the name `print`, as it is written or as adopted functions look it up."""
    if is_hidden(node, "answer"):
        (node,) = node.args  # type: ignore[attr-defined]
    return isinstance(node, ast.Name) and node.id == "print"


def _is_item(node: ast.expr) -> bool:
    """Whether an expression reads an element, as it is rewritten."""
    return _is_flow(node, "item") and len(node.args) == 2  # type: ignore[attr-defined]


def _is_flow(node: ast.expr, word: str) -> bool:
    """Whether this is a call of one of the capture's functions."""
    function = node.func if isinstance(node, ast.Call) else None
    own = isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == FLOW
    return own and function.attr == word  # type: ignore[union-attr]


def _is_singleton(node: ast.expr) -> bool:
    """Whether an expression is None, True, False or ``...``, of each of which there is one."""
    return isinstance(node, ast.Constant) and (node.value is None or type(node.value) in (bool, type(...)))


def _is_made(node: ast.expr) -> bool:
    """Whether an expression is a new list, as it is rewritten."""
    return _is_flow(node, "made")
