"""From a function to its definition, and to new code that keeps the variables around it."""

from __future__ import annotations
import __future__

import ast
import dis
import functools
import inspect
import linecache
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from types import CodeType, FunctionType
from typing import Any, NamedTuple

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
PREPARING = frozenset(
    {"COPY_FREE_VARS", "EXTENDED_ARG", "KW_NAMES", "MAKE_CELL", "PRECALL", "PUSH_NULL", "RESUME"}
)  # instructions without a text
NESTED = 0x10  # whether a function is inside another, which its new code always is: inspect.CO_NESTED
FUTURE = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)


# For functions whose code differs from their source: each adapter changes the tree of a function as its code was
# changed, and returns whether that is possible.
adapters: list[Callable[[FunctionType, Any], bool]] = []


def adapted(function: FunctionType, node: Any) -> bool:
    """Change the tree of a function as its code was changed; False if that cannot be done."""
    return all(adapt(function, node) for adapt in adapters)


class Definition(NamedTuple):
    """The tree of a function, and the names of the classes around it, the innermost last."""

    node: Any
    classes: tuple[str, ...]


def definition(code: CodeType, namespace: dict[str, Any] | None = None) -> Definition | None:
    """The definition of a code object; None if its source is not there or does not have it."""
    lines = linecache.getlines(code.co_filename, namespace)
    if not lines:
        return None
    tree = _block(code, lines)
    found = None if tree is None else _only(tree, code)
    if found is None:
        try:
            found = _only(ast.parse("".join(lines), code.co_filename), code)
        except SyntaxError:
            return None
    return None if found is None else Definition(found, _classes(code))


def _block(code: CodeType, lines: Sequence[str]) -> ast.AST | None:
    """The tree of the statement that begins where the code does; each node has its place in the file."""
    try:
        text = "".join(inspect.getblock(lines[code.co_firstlineno - 1 :]))
        inner = text[:1].isspace()
        tree = ast.parse(f"if 1:\n{text}" if inner else text, code.co_filename)
    except (SyntaxError, IndentationError):
        return None
    return ast.increment_lineno(tree, code.co_firstlineno - 1 - inner)


def path_to(tree: ast.AST, code: CodeType) -> tuple[Any, ...] | None:
    """The definition of a code object, after those around it; of nested lambdas the innermost."""
    found = [path for path in definitions(tree) if is_of(path[-1], code)]
    return found[-1] if found else None


def _only(tree: ast.AST, code: CodeType) -> Any:
    path = path_to(tree, code)
    return None if path is None else path[-1]


def _classes(code: CodeType) -> tuple[str, ...]:
    """The classes around a function, by its qualified name."""
    parts = code.co_qualname.split(".")
    return tuple([name for name, then in pairwise(parts) if name != "<locals>" and then != "<locals>"])


def children(node: ast.AST) -> list[Any]:
    """The child nodes, without those that say whether a name is read or assigned."""
    found: list[Any] = []
    for name in node._fields:
        part = getattr(node, name, None)
        if type(part) is list:
            found += [inner for inner in part if isinstance(inner, ast.AST)]
        elif name != "ctx" and isinstance(part, ast.AST):
            found.append(part)
    return found


def nodes_in(node: ast.AST) -> list[Any]:
    """A node and all nodes in it, like `ast.walk`, but in half the time."""
    found = [node]
    for inner in found:  # it grows
        found += children(inner)
    return found


def definitions(tree: ast.AST, around: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All functions in a tree, each with the classes and functions around it."""
    for node in children(tree):
        inside = isinstance(node, (*Function.__args__, ast.ClassDef))
        path = (*around, node) if inside else around
        if isinstance(node, Function.__args__):
            yield path
        yield from definitions(node, path)


def is_of(node: Any, code: CodeType) -> bool:
    """Whether a definition is that of a code object: its name and first line are, or the columns of a lambda."""
    if isinstance(node, ast.Lambda):
        if code.co_name != "<lambda>" or node.lineno != code.co_firstlineno:
            return False
        places = [place for place in code.co_positions() if None not in place and place[0] is not None]
        bodies = [place for place in places if place[2] or place[3]]
        body = node.body
        first, last = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
        return all(first <= (p[0], p[2]) and (p[1], p[3]) <= last for p in bodies)
    first_line = min([node.lineno, *[d.lineno for d in node.decorator_list]])
    return node.name == code.co_name and code.co_firstlineno in (first_line, node.lineno)  # new code has the second


def recompiled(node: Any, classes: Sequence[str], code: CodeType, added: Sequence[str]) -> CodeType | None:
    """The code of a changed definition; `added` are free variables that it has besides those of `code`.

    None if the definition has other parameters than the code.
    """
    if isinstance(node, ast.Lambda):
        statement: ast.stmt = ast.copy_location(ast.Expr(node), node)
    else:
        node.decorator_list = []
        node.args.defaults = [ast.copy_location(ast.Constant(None), d) for d in node.args.defaults]
        node.args.kw_defaults = [d and ast.copy_location(ast.Constant(None), d) for d in node.args.kw_defaults]
        _without_annotations(node)
        statement = node
    for name in reversed(classes):  # private names carry its name, and `super()` refers to it
        statement = ast.copy_location(_class(name, [statement]), node)
    variables = [*[name for name in code.co_freevars if name != "__class__"], *added]
    given: str | None = getattr(statement, "name", None)
    own = [] if given is None or given in variables else [ast.copy_location(ast.Global([given]), statement)]
    module = ast.Module([_function("factory", variables, [*own, statement])], [])
    compiled = compile(ast.fix_missing_locations(module), code.co_filename, "exec", code.co_flags & FUTURE, True)
    found = [inner for inner in all_code(compiled) if inner.co_name == code.co_name]
    made = next((inner for inner in found if inner.co_firstlineno == node.lineno), None)
    if made is None or made.co_varnames[: code.co_argcount] != code.co_varnames[: code.co_argcount]:
        return None
    return made.replace(co_qualname=code.co_qualname)


def is_same_code(one: CodeType, other: CodeType) -> bool:
    """Whether two code objects come from the same text: a file may have changed since a function was defined."""
    if one.co_names != other.co_names or len(one.co_consts) != len(other.co_consts) or _steps(one) != _steps(other):
        return False
    if (one.co_flags ^ other.co_flags) & ~NESTED:
        return False
    variables = one.co_varnames, one.co_freevars, one.co_cellvars
    if variables != (other.co_varnames, other.co_freevars, other.co_cellvars):
        return False
    pairs = zip(one.co_consts, other.co_consts)
    return all(
        is_same_code(a, b)
        if isinstance(a, CodeType) and isinstance(b, CodeType)
        else type(a) is type(b) and repr(a) == repr(b)
        for a, b in pairs
    )


@functools.lru_cache(maxsize=256)
def instructions(code: CodeType) -> Sequence[dis.Instruction]:
    """The instructions of a code object. They are kept: several readers ask for them, and to make them takes long."""
    return tuple(dis.get_instructions(code))


def _steps(code: CodeType) -> list[Any]:
    """The instructions and their places, in a form that does not depend on the imports around the function."""
    found = instructions(code)
    names = {at - 1 for at, i in enumerate(found) if i.opname == "CALL_KW"}  # of keywords, from Python 3.13 on
    steps = [i for at, i in enumerate(found) if i.opname not in PREPARING and at not in names]
    return [("LOAD_ATTR" if i.opname == "LOAD_METHOD" else i.opname, i.positions) for i in steps]


def inner_locals(node: ast.AST) -> frozenset[str]:
    """The variables of functions and comprehensions inside."""
    found: set[str] = set()
    for inner in nodes_in(node):
        if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load):
            found.add(inner.id)
        elif isinstance(inner, ast.arg):
            found.add(inner.arg)
        elif inner is not node and isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(inner.name)
    rebound = {n for inner in nodes_in(node) if isinstance(inner, (ast.Global, ast.Nonlocal)) for n in inner.names}
    return frozenset(found - rebound)


def _without_annotations(node: Any) -> None:
    node.returns = None
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
    for argument in arguments:
        if argument is not None:
            argument.annotation = None


def _class(name: str, body: list[ast.stmt]) -> ast.ClassDef:
    made: ast.ClassDef = ast.parse(f"class {name}: pass").body[0]  # type: ignore[assignment]
    made.body = body
    return made


def _function(name: str, variables: Sequence[str], body: list[ast.stmt]) -> ast.stmt:
    made: ast.FunctionDef = ast.parse(f"def {name}({', '.join(variables)}): pass").body[0]  # type: ignore[assignment]
    made.body = body
    return made


def all_code(code: CodeType) -> Iterator[CodeType]:
    """All code objects inside another."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from all_code(constant)
