"""Runs what is typed in the playground: finds its inputs and its result, and records the sweep for the viewer.

A program is a formula (`a*b + sin(a)`, a few assignments) or Python that makes Values itself. In a formula every name
that is not defined is an input, and so is a number with a decimal point that is given a name. Each leaf can be moved:
the program runs again with another number in its place, so branches and loops follow.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import json
import random
import symtable
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import autograd
import autograd.math as am
import nn
from autograd import Value, topological_order
from autograd.view import explain, flow, record
from autograd.view.inputs import find_inputs
from autograd.view.page import to_json

FILE = "<playground>"
NUMBERS = (2.0, -3.0, 0.5, 1.5, -0.8, 1.2)  # for the inputs of a formula, in turn
CHECKED = 40  # nodes: up to here finite differences are computed at every move
COMPARED = 150  # nodes: up to here they are computed at all
SLIDERS = 60
PATHS = 6
MAKERS = {
    "Value",
    "MLP",
    "Layer",
    "Neuron",
    "Module",
    "grad",
    "value_and_grad",
    "import",
}  # names that are not in formulas
NOT_HERE = {"jit", "compile_graph", "ChangedMeanwhileError", "TooManyPathsError", "adopt", "AdoptionError"}
make_leaf = Value.__init__


class MistakeError(Exception):
    """What is wrong with a program, in words, and the line."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def names() -> dict[str, Any]:
    """What a program can use without an import."""
    found: dict[str, Any] = {"__name__": "__main__", "am": am, "random": random}
    for module in (nn, autograd, am):
        for name in module.__all__:
            if name not in NOT_HERE:
                with contextlib.suppress(ImportError):  # what needs NumPy is not there either
                    found[name] = getattr(module, name)
    return found


# ---- reading a program -----------------------------------------------------------------------------------------------


def parse(code: str) -> ast.Module:
    """The program's syntax tree."""
    try:
        return ast.parse(code, FILE)
    except SyntaxError as error:
        raise MistakeError(f"{error.msg}", error.lineno) from None
    except ValueError as error:  # a null character
        raise MistakeError(str(error)) from None


def is_formula(tree: ast.Module) -> bool:
    """Whether a program leaves it to the playground to make its inputs."""
    imports = any(isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.walk(tree))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return not imports and not used & MAKERS


def undefined(tree: ast.Module, code: str) -> list[str]:
    """The names that a formula uses as numbers and does not define, in the order in which they occur."""
    known = names().keys() | vars(builtins).keys() | assigned(symtable.symtable(code, FILE, "exec"))
    not_numbers = {
        node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            not_numbers |= {n.id for n in [node.func.value] if isinstance(n, ast.Name)}  # np.sin(a)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            not_numbers.add(node.value.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and not hasattr(Value, node.attr):
            not_numbers.add(node.value.id)
    places = [(n.lineno, n.col_offset, n.id) for n in ast.walk(tree) if isinstance(n, ast.Name)]
    return list(dict.fromkeys(name for *_, name in sorted(places) if name not in known | not_numbers))


def assigned(table: symtable.SymbolTable) -> set[str]:
    """All names that a program binds anywhere."""
    found = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_parameter() or s.is_imported()}
    return found.union(
        *[assigned(child) for child in table.get_children()], {c.get_name() for c in table.get_children()}
    )


class Prepared(ast.NodeTransformer):
    """The tree that is run: loops look at the clock, and the numbers of a formula are inputs."""

    def __init__(self, formula: bool) -> None:
        self.formula = formula

    def looped(self, node: Any) -> Any:
        """Look at the clock at the start of each step and call."""
        self.generic_visit(node)
        tick = ast.Expr(ast.Call(ast.Name("__tick__", ast.Load()), [ast.Constant(node.lineno)], []))
        first = 1 if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) else 0
        node.body.insert(first, ast.copy_location(tick, node.body[0]))
        return node

    visit_While = visit_For = visit_FunctionDef = looped  # noqa: N815 (the names are those of ast)

    def visit_comprehension(self, node: ast.comprehension) -> ast.comprehension:
        """Look at the clock in each step of a comprehension."""
        self.generic_visit(node)
        node.ifs.insert(0, ast.Call(ast.Name("__tick__", ast.Load()), [ast.Constant(node.iter.lineno)], []))
        return node

    def top(self, statement: ast.stmt) -> ast.stmt:
        """Make inputs of the numbers that a formula gives names to."""
        if self.formula and isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            statement.value = as_input(statement.targets[0], statement.value)
        changed: ast.stmt = self.visit(statement)
        return changed


def as_input(target: ast.expr, value: ast.expr) -> ast.expr:
    """The right side of an assignment with its numbers as inputs: those with a decimal point."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        value.elts = [as_input(t, v) for t, v in zip(target.elts, value.elts, strict=True)]
    number = value.operand if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub) else value
    if isinstance(target, ast.Name) and isinstance(number, ast.Constant) and type(number.value) is float:
        return ast.Call(ast.Name("__input__", ast.Load()), [value, ast.Constant(target.id)], [])
    return value


def prepare(code: str) -> tuple[Any, list[str], list[str]]:
    """The compiled program; the names that it leaves to the playground; the names it assigns, in order."""
    tree = parse(code)
    formula = is_formula(tree)
    missing = undefined(tree, code) if formula else []
    targets = [name.id for s in tree.body for t in targets_of(s) for name in ast.walk(t) if isinstance(name, ast.Name)]
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = tree.body[-1]
        tree.body[-1] = ast.copy_location(ast.Assign([ast.Name("__result__", ast.Store())], last.value), last)
    change = Prepared(formula)
    tree.body = [change.top(statement) for statement in tree.body]
    return compile(ast.fix_missing_locations(tree), FILE, "exec"), missing, targets


def targets_of(statement: ast.stmt) -> list[ast.expr]:
    """What a statement assigns to; also within loops and branches."""
    found = []
    for node in ast.walk(statement):
        if isinstance(node, ast.Assign):
            found += node.targets
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
            found.append(node.target)
    return found


# ---- running it ------------------------------------------------------------------------------------------------------


class Leaves:
    """The leaves that a program makes, in order; some get other numbers than the program says."""

    def __init__(self, moved: dict[int, float]) -> None:
        self.moved = moved
        self.made: dict[int, Value] = {}

    def __call__(self, value: Value, data: Any, label: str | None = None) -> None:
        """Make a leaf, in place of `Value.__init__`."""
        index = len(self.made)
        make_leaf(value, self.moved.get(index, data), label)
        self.made[index] = value


@contextlib.contextmanager
def counting(leaves: Leaves) -> Iterator[None]:
    """Let `leaves` make every leaf."""
    Value.__init__ = lambda self, data, label=None: leaves(self, data, label)  # type: ignore[method-assign]
    try:
        yield
    finally:
        Value.__init__ = make_leaf  # type: ignore[method-assign]


def clock(seconds: float) -> Callable[[int], bool]:
    """A function that raises an error with its line once time is up."""
    end = time.perf_counter() + seconds

    def tick(line: int) -> bool:
        if time.perf_counter() > end:
            raise MistakeError(f"stopped: the program was still running after {seconds:.0f} s", line)
        return True

    return tick


class Session:
    """A program and what was shown of it last."""

    def __init__(self) -> None:
        self.shown: Any = None  # nodes and groups of the picture

    def run(self, request: str) -> str:
        """Run a program: JSON in, JSON out.

        The request has ``code``, ``moved`` (number of a leaf → its data), ``wrt`` (the number of the leaf whose
        derivative is written out), ``seconds``, and ``again``: true if the picture may stay as it is. The answer has
        ``error`` and ``line``, or ``payload`` for a new picture or ``numbers`` for the same one; ``leaves``, ``chain``
        and ``printed``.
        """
        asked = json.loads(request)
        output = io.StringIO()
        try:
            answer = self._answer(asked, output)
        except MistakeError as mistake:
            answer = {"error": str(mistake), "line": mistake.line}
        answer["printed"] = output.getvalue()[:10_000]
        return to_json(answer)

    def _answer(self, asked: dict[str, Any], output: io.StringIO) -> dict[str, Any]:
        leaves = Leaves({int(index): float(number) for index, number in asked["moved"].items()})
        space: dict[str, Any] = names()
        try:
            with contextlib.redirect_stdout(output), counting(leaves):
                result, given = run_program(asked["code"], space, asked["seconds"])
            return self._described(result, given, leaves, asked)
        except MistakeError:
            raise
        except BaseException as error:
            raise describe(error) from None
        finally:
            take_apart(space)

    def _described(self, result: Value, given: list[str], leaves: Leaves, asked: dict[str, Any]) -> dict[str, Any]:
        """All that the page shows of a result."""
        nodes = topological_order(result)
        first = len(find_inputs(nodes).labels)  # in the record, the plain inputs of a network come before the nodes
        if len(nodes) == 1:
            raise MistakeError(f"the result {result!r} is an input: compute something with it, such as x * x")
        place = {id(node): index for index, node in enumerate(nodes)}
        sliders = [(index, leaf) for index, leaf in leaves.made.items() if id(leaf) in place][:SLIDERS]
        wrt = next((leaf for index, leaf in sliders if index == asked["wrt"]), sliders[0][1] if sliders else None)
        answer = {
            "leaves": [
                {
                    "index": i,
                    "node": first + place[id(leaf)],
                    "name": leaf.label or f"v{place[id(leaf)]}",
                    "data": leaf.data,
                }
                for i, leaf in sliders
            ],
            "wrt": next((i for i, leaf in sliders if leaf is wrt), None),
            "given": given,
            "chain": "" if wrt is None else str(explain(result, wrt, paths=PATHS)),
        }
        return {**answer, **self._picture(result, len(nodes), asked["again"])}

    def _picture(self, result: Value, count: int, again: bool) -> dict[str, Any]:
        """The numbers for the picture that is shown, if it is of the same graph, or else a new picture."""
        if again and self.shown is not None:
            recorded = record(result, check=count <= CHECKED)
            if self.shown == (recorded["nodes"], recorded["groups"]):
                return {"numbers": {key: recorded[key] for key in recorded.keys() - {"nodes", "groups"}}}
        try:
            made = flow(result, check=count <= COMPARED)
        except ValueError as error:
            raise MistakeError(str(error)) from None
        self.shown = (made.record["nodes"], made.record["groups"])
        return {"payload": made.payload}


def take_apart(space: dict[str, Any]) -> None:
    """Free the graphs of a program node by node: a browser's stack is too small to free a long chain at once."""
    for found in list(space.values()):
        if isinstance(found, Value) and found.operands:
            for node in reversed(topological_order(found)):
                if node.op is not None:
                    node.operands = node.local_grads = ()


def run_program(code: str, space: dict[str, Any], seconds: float) -> tuple[Value, list[str]]:
    """Run a program in a namespace: its result, and the names of the inputs that the playground gave it."""
    compiled, missing, targets = prepare(code)
    space["__input__"] = Value
    space["__tick__"] = clock(seconds)
    for name, number in zip(missing, NUMBERS * (len(missing) // len(NUMBERS) + 1), strict=False):
        space[name] = Value(number, name)
    random.seed(0)
    exec(compiled, space)
    for name in targets:
        found = space.get(name)
        if isinstance(found, Value) and found.label is None:
            found.label = name
    return result_of(space, targets), missing


def result_of(space: dict[str, Any], targets: list[str]) -> Value:
    """The last expression, or else the Value that was computed and named last."""
    last = space.get("__result__")
    if isinstance(last, Value):
        return last
    if isinstance(last, (list, tuple)) and last and all(isinstance(v, Value) for v in last):
        raise MistakeError(f"the result is a list of {len(last)} Values: end with one number, such as their sum")
    for name in reversed(targets):
        found = space.get(name)
        if isinstance(found, Value) and found.op is not None:
            return found
    raise MistakeError(
        "there is no Value to show: end with an expression, such as a * b + sin(a), and write inputs with a decimal "
        "point, such as a = 2.0"
    )


def describe(error: BaseException) -> MistakeError:
    """An error of the program in one line, and the line of the program that led to it."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError):
        text += " in the browser: programs have the standard library, autograd and nn"
    elif isinstance(error, RecursionError):
        text = "RecursionError: a function calls itself too often"
    return MistakeError(text, lines[-1] if lines else None)
