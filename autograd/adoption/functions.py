"""A function, or a class, adopted without its module: new code that keeps the globals and the closure it has."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import functools
import inspect
import linecache
import operator
import sys
import textwrap
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from autograd.adoption import answers
from autograd.adoption.errors import AdoptionError
from autograd.adoption.rewrite import Rewriter, hidden, rewritten
from autograd.adoption.stand_ins import LATER, MODULES, over_statistics, singledispatch, stand_in
from autograd.refusals import PREFIX
from autograd.sources import adapters, inner_locals, path_to, recompiled

ANSWER = hidden("answer")
DISPATCHER: Any = functools.singledispatch(lambda x: x)
MADE_FROM_METHODS = (functools.cached_property, functools.singledispatchmethod)
GENERATED = "<string>"  # the file of what dataclasses and `exec` make
LRU_CACHED = type(functools.lru_cache(lambda: None))


def adopt_function(thing: Any, also: tuple[str, ...]) -> Any:
    """The adopted version of a function, method or class."""
    home = getattr(thing, "__module__", None)
    found = Answers({home, _top(home), *also} if isinstance(home, str) else set(also)).answer(thing)
    if found is thing:
        raise _not_adoptable(thing)
    return found


def _not_adoptable(thing: Any) -> Exception:
    name = getattr(thing, "__qualname__", repr(thing))
    if callable(thing):
        return AdoptionError(
            f"{name} ({type(thing).__name__} of {getattr(thing, '__module__', None)}) has no Python source that could "
            "be adopted: write it with autograd.math, or give it a derivative with autograd.custom_gradient"
        )
    return TypeError(f"adopt takes the name of a module, a module, a function or a class, not {thing!r:.80}")


def _top(module: Any) -> str:
    return str(module).partition(".")[0]


class Rewritten(Rewriter):
    """Also looks up the names that are not local through the answers."""

    def __init__(self, local: frozenset[str]) -> None:
        self.local = local

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """A global, builtin or closure variable that is read."""
        free = isinstance(node.ctx, ast.Load) and node.id not in self.local and not node.id.startswith(PREFIX)
        return self.call(node, "answer", node) if free else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """`super` needs its own name and the original class; `float` and the like are looked at with their argument."""
        if isinstance(node.func, ast.Name):
            if node.func.id != "super":
                asks = node.func.id == "type"  # an object of the original class has the class that the name means
                found: Any = super().visit_Call(node)
                return self.call(node, "answer", found) if asks else found
            node.args = [*node.args[:1], *[self.visit(x) for x in node.args[1:]]]
            return node
        visited = super().visit_Call(node)  # of an attribute, an element or a result
        node.func = self.call(node.func, "answer", node.func)
        return visited

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """`x.__class__`: as `type(x)`."""
        found: Any = super().visit_Attribute(node)
        return found if found is node else self.call(node, "answer", found)

    def visit_Import(self, node: ast.Import) -> Any:
        """An import inside the function: what it binds is looked up as well."""
        names = [alias.asname or alias.name.partition(".")[0] for alias in node.names]
        return [node, *[self.answered(name, node) for name in names]]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        """An import inside the function, of names from a module."""
        return [node, *[self.answered(alias.asname or alias.name, node) for alias in node.names]]

    def answered(self, name: str, node: ast.AST) -> ast.stmt:
        """``name = answer(name)``."""
        value = self.call(node, "answer", ast.copy_location(ast.Name(name, ast.Load()), node))
        return ast.copy_location(ast.Assign([ast.copy_location(ast.Name(name, ast.Store()), node)], value), node)


class Answers:
    """What the names of adopted functions mean: math is ours, functions of their own packages are adopted too."""

    def __init__(self, homes: set[Any]) -> None:
        self.homes = homes
        self.made: dict[int, tuple[Any, Any]] = {}  # id → the thing, which is kept alive, and its adopted version
        self.defaults: dict[Any, Any] = {}  # adopted function → the defaults that the original had
        self.known: dict[int, tuple[Any, Any]] = {}
        self.modules: set[str] = set()  # of which the stand-ins are known
        self.learn()
        import statistics

        for name, function in over_statistics().items():
            self.know(getattr(statistics, name), function)
        for name, function in answers.BUILTINS.items():
            self.know(getattr(builtins, name), function)

    def learn(self) -> None:
        """Know the stand-ins of modules that have been imported."""
        for name in (*MODULES, *LATER):
            if name in sys.modules and name not in self.modules:
                self.modules.add(name)
                original, module = sys.modules[name], stand_in(name)
                self.know(original, module)
                for attribute, thing in list(vars(module).items()):
                    before = vars(original).get(attribute)
                    if before is not None and before is not thing and not attribute.startswith("__"):
                        self.know(before, thing)

    def know(self, thing: Any, instead: Any) -> None:
        """Answer a thing with another."""
        self.known[id(thing)] = thing, instead

    def answer(self, thing: Any) -> Any:
        """What a name means that stands for this."""
        at = id(thing)
        if at in self.known:
            return self.known[at][1]
        if type(thing) in PLAIN:
            return thing
        if not self.modules.issuperset(LATER):
            self.learn()
            if at in self.known:
                return self.known[at][1]
        if at in self.made and not self.changed(*self.made[at]):
            return self.made[at][1]
        adopted = self.adopted(thing)
        if adopted is not thing and not isinstance(thing, MethodType):  # a method is another object each time
            self.made[at] = thing, adopted
        return adopted

    def changed(self, thing: Any, made: Any) -> bool:
        """Whether a function has got other code or defaults since it was adopted."""
        if not isinstance(thing, FunctionType) or made not in self.defaults:
            return False
        defaults, kwdefaults = self.defaults[made]
        return thing.__defaults__ is not defaults or thing.__kwdefaults__ is not kwdefaults

    def adopted(self, thing: Any) -> Any:
        """The adopted version of a function, method, class or module of these packages; of all else, itself."""
        if isinstance(thing, MethodType):
            function = self.answer(thing.__func__)
            return thing if function is thing.__func__ else MethodType(function, thing.__self__)
        if isinstance(thing, LRU_CACHED):
            return self.answer(thing.__wrapped__)
        if isinstance(thing, functools.partial):
            return functools.partial(self.answer(thing.func), *thing.args, **thing.keywords)
        if isinstance(thing, ModuleType):
            return AnsweringModule(thing, self) if self.is_ours(thing.__name__) else thing
        if not self.is_ours(getattr(thing, "__module__", None)):
            return thing
        if isinstance(thing, FunctionType):
            return self.dispatcher(thing) if thing.__code__ is DISPATCHER.__code__ else self.function(thing)
        return self.cls(thing) if isinstance(thing, type) else thing

    def dispatcher(self, function: Any) -> Any:
        """A function that `functools.singledispatch` made."""
        made = singledispatch(self.answer(function.registry[object]))
        for cls, implementation in function.registry.items():
            if cls is not object:
                made.register(cls, self.answer(implementation))
        return made

    def is_ours(self, module: Any) -> bool:
        """Whether a module belongs to what is adopted."""
        return module in self.homes or _top(module) in self.homes

    def function(self, function: FunctionType) -> Any:
        """The same function with rewritten code."""
        if not {ANSWER, *answers.HIDDEN}.isdisjoint(function.__code__.co_freevars):  # it is part of adopted code
            return function
        code = rewritten_code(function)
        if code is None:
            return function
        own = {ANSWER: self.answer, **answers.HIDDEN}
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
        closure = tuple([cells[name] if name in cells else CellType(own[name]) for name in code.co_freevars])
        made = FunctionType(code, function.__globals__, function.__name__, None, closure)
        functools.update_wrapper(made, function)
        self.defaults[made] = function.__defaults__, function.__kwdefaults__
        made.__defaults__ = function.__defaults__ and tuple(map(self.answer, function.__defaults__))
        made.__kwdefaults__ = function.__kwdefaults__ and {
            name: self.answer(default) for name, default in function.__kwdefaults__.items()
        }
        if "__wrapped__" not in vars(function):
            del made.__wrapped__  # type: ignore[attr-defined]  # it is not a wrapper
        return made

    def cls(self, cls: type) -> type:
        """A subclass whose methods are adopted, so that its objects are objects of the class."""
        if (
            issubclass(cls, (float, BaseException))
            or getattr(cls, "_member_map_", None)
            or answers.ORIGINAL in vars(cls)
        ):
            return cls
        members: dict[str, Any] = {"__slots__": (), "__doc__": cls.__doc__, "__module__": cls.__module__}
        members[answers.ORIGINAL] = cls
        for base in reversed(cls.__mro__[:-1]):
            if self.is_ours(base.__module__):
                members |= {name: self.member(member) for name, member in vars(base).items() if _is_code(member)}
        members["__qualname__"] = cls.__qualname__
        if dataclasses.is_dataclass(cls):
            members |= {name: _ordered(cls, name) for name in ORDERS if _is_generated(getattr(cls, name))}
        kind: Any = type(cls)
        made: type = _metaclass(kind)(cls.__name__, (cls,), members)
        return made

    def member(self, member: Any) -> Any:
        """A method, property or the like."""
        if isinstance(member, (staticmethod, classmethod)):
            return type(member)(self.answer(member.__func__))
        if isinstance(member, property):
            own = [function and self.answer(function) for function in (member.fget, member.fset, member.fdel)]
            return property(own[0], own[1], own[2], member.__doc__)
        if isinstance(member, functools.singledispatchmethod):
            dispatched = functools.singledispatchmethod(self.answer(member.func))
            dispatched.dispatcher = self.dispatcher(member.dispatcher)
            return dispatched
        if isinstance(member, functools.cached_property):
            made = functools.cached_property(self.answer(member.func))
            made.attrname = member.attrname
            return made
        return self.answer(member)


PLAIN = frozenset({float, int, str, bool, bytes, type(None), list, tuple, dict, set, frozenset})


def _is_code(member: Any) -> bool:
    return isinstance(member, (FunctionType, staticmethod, classmethod, property, *MADE_FROM_METHODS))


class Equal(type):
    """The metaclass of adopted classes: as a key, or compared, such a class is the original one."""

    def __eq__(cls, other: object) -> bool:
        return other is cls or other is _original(cls)

    def __hash__(cls) -> int:
        return type.__hash__(_original(cls))


@functools.cache
def _metaclass(kind: Any) -> Any:
    """The metaclass of adopted versions of the classes of this one."""
    return Equal if kind is type else type(kind.__name__, (Equal, kind), {"__slots__": ()})


ORDERS = ("__eq__", "__lt__", "__le__", "__gt__", "__ge__")


def _is_generated(method: Any) -> bool:
    """Whether `dataclass` has made a method: that compares objects of the very same class only."""
    return isinstance(method, FunctionType) and method.__code__.co_filename.startswith("<")


def _ordered(cls: Any, name: str) -> Any:
    """A comparison of a dataclass that takes objects of the original class and of the adopted one for the same."""
    compare, names = getattr(operator, name), [field.name for field in dataclasses.fields(cls) if field.compare]

    def method(self: Any, other: Any) -> Any:
        if _original(type(self)) is not _original(type(other)):
            return NotImplemented
        return compare(*[tuple([getattr(x, name) for name in names]) for x in (self, other)])

    method.__name__ = name
    return method


def _original(cls: type) -> Any:
    """The class for which an adopted one stands, or the class itself."""
    return vars(cls).get(answers.ORIGINAL, cls)


class AnsweringModule:
    """A module of an adopted package, as functions see it that were adopted alone."""

    def __init__(self, module: ModuleType, answering: Answers) -> None:
        self.__module, self.__answering = module, answering

    def __getattr__(self, name: str) -> Any:
        return self.__answering.answer(getattr(self.__module, name))


# ---- from a function to its definition -----------------------------------------------------------------------------


def rewritten_code(function: FunctionType) -> CodeType | None:
    """The rewritten code of a function; None if its source is not there, as for a generated method."""
    code = function.__code__
    lines = linecache.getlines(code.co_filename, function.__globals__)
    if not lines:
        if code.co_filename.startswith("<"):  # made by exec, as the methods of dataclasses are
            return None
        raise AdoptionError(f"the source of {function.__qualname__} is not there: {code.co_filename}")
    tree = _parsed(function, lines)
    path = path_to(tree, code)
    made = None if path is None else _code_of(path, code)
    if made is None and code.co_filename == GENERATED:
        return None  # of a dataclass, and since Python 3.13 the text of `python -c` has the same name
    if path is None:
        raise AdoptionError(
            f"{function.__qualname__} is not found at {code.co_filename}:{code.co_firstlineno}: has the file changed "
            "since it was imported, or do several lambdas stand in this line?"
        )
    if made is None:
        raise AdoptionError(
            f"the code of {function.__qualname__} at {code.co_filename}:{code.co_firstlineno} has "
            "changed since it was defined: run its definition again"
        )
    return made


def _parsed(function: FunctionType, lines: list[str]) -> ast.AST:
    """The tree of the file, or that of the function alone if the file is not Python: a text with examples."""
    code = function.__code__
    try:
        return ast.parse("".join(lines), code.co_filename)
    except SyntaxError:
        block = inspect.getblock(lines[code.co_firstlineno - 1 :])
        tree = ast.parse(textwrap.dedent("".join(block)), code.co_filename)
        return ast.increment_lineno(tree, code.co_firstlineno - 1)


def _code_of(path: tuple[Any, ...], code: CodeType) -> CodeType | None:
    """Compile the definition alone, inside functions that have the variables around it."""
    node = path[-1]
    answered(node, code)
    classes = [outer.name for outer in path[:-1] if isinstance(outer, ast.ClassDef)]
    return recompiled(node, classes, code, [ANSWER, *answers.HIDDEN])


def answered(node: Any, code: CodeType) -> None:
    """Let the names in a definition be looked up through the answers, in place."""
    rewriter = Rewritten(frozenset(code.co_varnames) | frozenset(code.co_cellvars) | inner_locals(node))
    if isinstance(node, ast.Lambda):
        node.body = rewriter.visit(node.body)
    else:
        node.body = [line for statement in node.body for line in _listed(rewriter.visit(statement))]


def _listed(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def adapt(function: Any, node: Any) -> bool:
    """Change the tree of an adopted function as its code was changed."""
    if any(name.startswith(PREFIX) for name in function.__code__.co_freevars):
        answered(node, function.__code__)
    elif hidden("call") in function.__builtins__:  # of an adopted module
        rewritten(node)
    return True


adapters.append(adapt)
