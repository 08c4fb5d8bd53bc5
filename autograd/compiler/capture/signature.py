"""One reading of the arguments, and their signature: what two calls must share to run the same machine code.

The function and other threads may change the arguments during a capture. So the arguments are read once: their
signature, their numbers and the containers that the function receives all come from that one `Reading`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from inspect import signature as signature_of
from itertools import chain, islice
from math import isinf, prod
from numbers import Rational
from types import NoneType
from typing import Any, NamedTuple

from autograd.compiler.capture.exact import PLAIN, Exact, exact
from autograd.ieee import to_float
from autograd.ir import block as ir
from autograd.ir.block import Type
from autograd.tree import LEAVES, ArrayLeaf, Parts, as_doubles, children, elements, is_array, make_array, only_leaves
from autograd.value import Value

new: Any = tuple.__new__  # makes a NamedTuple in half the time
NUMBER = "number"  # the signature of a leaf
Signature = Any  # NUMBER, Numbers, Array, Node or, for an argument that is mapped over rows, Rows or Listed
Build = Callable[[Iterator[Any]], Any]  # takes the numbers of a tree and makes the tree


class Numbers(NamedTuple):
    """The signature of a list or tuple of numbers."""

    kind: type
    length: int


class Array(NamedTuple):
    """The signature of an ndarray."""

    shape: tuple[int, ...]


class Rows(NamedTuple):
    """The signature of an ndarray with any number of rows."""

    axis: int
    shape: tuple[int, ...]


class Listed(NamedTuple):
    """The signature of a list whose elements are rows."""

    rows: tuple[Signature, ...]  # one, if there are any rows


class Node(NamedTuple):
    """The signature of any other container.

    Attributes
    ----------
    kind : type
        The class of the container.
    keys : tuple
        The keys of a dict (in an `Exact` unless they are text); of another container except lists and tuples, the names
        of the children in messages.
    kept : hashable
        The key, made by `exact`, of what else the container holds; None for nothing.
    parts : tuple of signatures
        The signatures of the children.
    """

    kind: type
    keys: tuple[Any, ...]
    kept: Hashable
    parts: tuple[Signature, ...]

    def names(self) -> list[str]:
        """The names of the children in messages."""
        if issubclass(self.kind, dict) and not hasattr(self.kind, "tree_flatten"):
            return [f"[{raw(key)!r}]" for key in self.keys]
        return list(self.keys) or [f"[{i}]" for i in range(len(self.parts))]


def raw(key: Any) -> Any:
    """The key of the dict, for a key in a signature."""
    return key.thing if type(key) is Exact else key


NOTHING = Node(NoneType, (), None, ())


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reading of the arguments found.

    Attributes
    ----------
    signature : hashable
        What two calls must share to run the same machine code. Later changes of the arguments do not affect it.
    leaves : list
        The numbers: floats and Values.
    build : callable
        Makes the same containers with other numbers; it does not read the arguments again.
    settled : callable
        Whether what the containers hold besides numbers is unchanged: it is not copied for the function.
    """

    signature: Signature
    leaves: list[Any]
    build: Build
    settled: Callable[[], bool]

    def rebuild(self, leaves: Sequence[Any]) -> Any:
        """The arguments with other numbers."""
        return self.build(iter(leaves))


class Reader:
    """Reads trees; the numbers of all of them are in one list.

    Raises
    ------
    TypeError
        From `read`, if a leaf is not a real number; the message gives its path.
    """

    def __init__(self) -> None:
        self.leaves: list[Any] = []
        self.kept: list[tuple[Any, Hashable]] = []

    def read(self, tree: Any, path: str) -> tuple[Signature, Build]:
        """The signature of a tree, and how to build it."""
        kind = type(tree)
        if kind is float or isinstance(tree, Value):
            self.leaves.append(tree)
            return NUMBER, next
        if kind is list or kind is tuple:
            items = tree[:]
            if LEAVES.issuperset(map(type, items)):  # the common case
                count = len(items)
                self.leaves += items
                return new(Numbers, (kind, count)), lambda given: kind(islice(given, count))
            return self._sequence(items, kind, path)
        if tree is None:
            return NOTHING, lambda given: None
        if is_array(tree, path):
            return self._array(tree, path)
        parts = children(tree)
        if parts is None:
            self.leaves.append(number(tree, path))
            return NUMBER, next
        rebuild = parts.rebuild
        signatures: list[Signature] = []
        builds: list[Build] = []
        for name, child in parts.named:
            if type(child) in LEAVES:  # the common case
                self.leaves.append(child)
                signatures.append(NUMBER)
                builds.append(next)
            else:
                signature, build = self.read(child, path + name)
                signatures.append(signature)
                builds.append(build)
        node = self.node(tree, parts, signatures)
        return node, lambda given: rebuild([build(given) for build in builds])

    def node(self, tree: Any, parts: Parts, signatures: Sequence[Signature]) -> Node:
        """The signature of a container, given those of its children."""
        if parts.keys:
            keys = tuple([key if type(key) is str else Exact(key) for key in parts.keys])
        else:
            keys = tuple([name for name, _ in parts.named])
        things = parts.kept
        kept: Hashable = None
        if things and PLAIN.issuperset(map(type, things.values())):  # the common case
            kept = tuple(things.items())
        elif things:
            kept = exact(things)
            self.kept.append((things, kept))
        node: Node = new(Node, (type(tree), keys, kept, tuple(signatures)))
        return node

    def _sequence(self, items: Sequence[Any], kind: type, path: str) -> tuple[Signature, Build]:
        if only_leaves(items):
            count = len(items)
            self.leaves += items
            return Numbers(kind, count), lambda given: kind(islice(given, count))
        read = [self.read(x, f"{path}[{i}]") for i, x in enumerate(items)]
        builds = [build for _, build in read]
        node = Node(kind, (), None, tuple([signature for signature, _ in read]))
        return node, lambda given: kind([build(given) for build in builds])

    def _array(self, array: Any, path: str) -> tuple[Signature, Build]:
        if array.dtype == object:
            found, shape = elements(array)
            numbers = [x if isinstance(x, Value) else number(x, f"{path}[{i}]") for i, x in enumerate(found)]
        else:
            numbers, shape = elements(as_doubles(array, path))
        count = len(numbers)
        self.leaves += numbers
        return Array(shape), lambda given: make_array(list(islice(given, count)), shape)

    def settled(self) -> bool:
        """Whether what the containers hold besides numbers is unchanged: it is not copied for the function."""
        return all(exact(things) == key for things, key in self.kept)


def read(tree: Any, path: str = "") -> Reading:
    """Read a tree."""
    reader = Reader()
    signature, build = reader.read(tree, path)
    return Reading(signature, reader.leaves, build, reader.settled)


class Inputs(Iterator[Any]):
    """The inputs of a program as arguments: a positional one that is an ndarray stays whole."""

    def __init__(self, inputs: Sequence[Any]) -> None:
        self.left = deque(inputs)
        self.each: Iterator[Any] = chain.from_iterable(self._numbers())

    def _numbers(self) -> Iterator[list[Any]]:
        while self.left:
            leaf = self.left.popleft()
            yield leaf.elements() if isinstance(leaf, ArrayLeaf) else [leaf]

    def __next__(self) -> Any:
        return next(self.each)

    def whole(self) -> Any:
        """The next input, which is an array."""
        return self.left.popleft()


def _is_whole(part: Signature) -> bool:
    """Whether an argument is one array of the program."""
    return isinstance(part, Array) and bool(part.shape) and prod(part.shape) > 0


class Call(NamedTuple):
    """The signature of all arguments of a call."""

    args: tuple[Signature, ...]
    keywords: tuple[tuple[str, Signature], ...]


def read_call(name: str, args: Sequence[Any], keywords: Mapping[str, Any]) -> Reading:
    """Read the arguments of a function called `name`; they are rebuilt as ``(args, keywords)``."""
    reader = Reader()
    given = [reader.read(arg, f"argument {k} of {name}") for k, arg in enumerate(args)]
    named = [(k, *reader.read(arg, f"argument {k!r} of {name}")) for k, arg in keywords.items()]
    signature = Call(tuple([part for part, _ in given]), tuple([(k, part) for k, part, _ in named]))

    def build(numbers: Iterator[Any]) -> Any:
        inputs = numbers if isinstance(numbers, Inputs) else None
        each = numbers if inputs is None else inputs.each
        args = [make(each) if inputs is None or not _is_whole(part) else inputs.whole() for part, make in given]
        return tuple(args), {k: make(each) for k, _, make in named}

    return Reading(signature, reader.leaves, build, reader.settled)


def number(leaf: Any, path: str) -> float:
    """A leaf as a float; an error message has its path.

    Raises
    ------
    TypeError
        If it is not a real number.
    OverflowError
        If it is an int or a fraction that no float comes near: Python code would have it, or raise where it computes.
    """
    try:
        found = to_float(leaf)
    except TypeError as error:
        hint = ", or say that it is static: jit(static_argnames=...)" if isinstance(leaf, (str, bytes)) else ""
        method = path.removeprefix("argument 0 of ")
        if hasattr(type(leaf), method):
            hint = f". Is it self? Or compile the method of one object: jit(it.{method})"
        raise TypeError(f"{path}: {error}{hint}") from None
    if isinf(found) and isinstance(leaf, Rational):
        kind = type(leaf).__name__
        raise OverflowError(f"{path}: this {kind} is beyond the range of floats: scale it, or pass float('inf')")
    return found


def argument_names(function: Callable[..., Any], call: Call, axes: Sequence[int | None] = ()) -> list[str]:
    """The names of the inputs for the arguments, from the parameters; without those mapped over `axes`."""
    names = parameter_names(function, len(call.args))
    trees = [*zip(names, call.args), *call.keywords]
    shared = [pair for k, pair in enumerate(trees) if k >= len(axes) or axes[k] is None]
    return [leaf for name, part in shared for leaf in leaf_names(part, name)]


def parameter_names(function: Callable[..., Any], count: int) -> list[str]:
    """The names of the first positional arguments of a function."""
    names = [f"args[{k}]" for k in range(count)]
    with suppress(TypeError, ValueError):  # Python knows no signature of it, or another one
        parameters = signature_of(function).parameters.values()
        positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        names[: len(positional)] = positional[:count]
    return names


def leaf_names(part: Signature, name: str) -> list[str]:
    """The names of the numbers and arrays in a tree of this signature."""
    if isinstance(part, Node) and not _shape(part):
        return [leaf for inside, child in zip(part.names(), part.parts) for leaf in leaf_names(child, name + inside)]
    if part is NUMBER:
        return [name]
    return [name] if prod(_shape(part)) else []


def _shape(part: Signature) -> tuple[int, ...]:
    """The shape of an array, or of nested lists in which all of a level are equally long; of nothing else."""
    if isinstance(part, Numbers):
        return (part.length,)
    if isinstance(part, Array):
        return tuple(part.shape)
    if not isinstance(part, Node) or part.kind not in (list, tuple) or part.kept is not None:
        return ()
    shapes = {_shape(child) for child in part.parts}
    inner = shapes.pop() if len(shapes) == 1 else ()
    return (len(part.parts), *inner) if inner and all(inner) else ()


def types_of_numbers(signature: Signature) -> list[Type]:
    """The types of a program's inputs for arguments of this signature.

    A list or array of numbers is one array, and so is a list of lists that are equally long.
    """
    if signature is NUMBER:
        return [ir.NUMBER]
    if isinstance(signature, Call):
        trees = [*signature.args, *[part for _, part in signature.keywords]]
        return [kind for part in trees for kind in types_of_numbers(part)]
    shape = _shape(signature)
    if isinstance(signature, Node) and not shape:
        return [kind for part in signature.parts for kind in types_of_numbers(part)]
    if not prod(shape):
        return []
    return [ir.Array(shape) if shape else ir.NUMBER]
