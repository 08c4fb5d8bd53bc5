"""What all networks have in common: parameters that are found, named, zeroed and taken as a tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from autograd import Rule, Value
from autograd.tree import Rebuild, children


class _LabelsItsParameters(type):
    """Makes every module label its parameters as soon as it is constructed, whatever its class."""

    def __call__(cls, *args: Any, **options: Any) -> Any:
        module = super().__call__(*args, **options)
        module.label_parameters()
        return module


class Module(metaclass=_LabelsItsParameters):
    """The base of everything with parameters.

    A parameter is a `Value` held by an attribute: directly, in another module, or in lists, tuples,
    dictionaries and arrays of them. Every other attribute is a setting.

    A module is a tree of its parameters, so ``grad(loss)(model, x)`` returns a module of the same shape that
    holds the gradient; a parameter that is held in two places has a part of its gradient in each.

    Attributes
    ----------
    path : str
        Where the module is in the outermost one, such as ``layers[0].neurons[3]``; empty for the outermost.

    Examples
    --------
    >>> from autograd import Value, grad
    >>> from nn import Module
    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope, self.offset = Value(2.0), Value(1.0)
    ...     def __call__(self, x):
    ...         return self.slope * x + self.offset
    >>> line = Line()
    >>> line.parameters()
    [Value(data=2.0, grad=0.0, label='slope'), Value(data=1.0, grad=0.0, label='offset')]
    >>> grad(lambda line, x: line(x) ** 2)(line, 3.0).slope.data
    42.0
    """

    path: str = ""
    _held: tuple[str, ...] = ()  # in a twin: what held parameters in the original, for there they may be floats

    def tree_flatten(self) -> tuple[list[tuple[str, Any]], Rebuild]:
        """The attributes that hold parameters, and how to build the same module with others in their place."""
        names = self._held or tuple(name for name, found in vars(self).items() if _holds_parameters(found))

        def rebuild(new: Sequence[Any]) -> Module:
            twin = object.__new__(type(self))
            vars(twin).update(vars(self), _held=names)
            vars(twin).update(zip(names, new))
            return twin

        return [(f".{name}", getattr(self, name)) for name in names], rebuild

    def named_parameters(self) -> Iterator[tuple[str, Value]]:
        """Every parameter once, with its path from here, such as ``layers[0].neurons[3].w[1]``."""
        for path, found in _walk(self):
            if isinstance(found, Value):
                yield path, found

    def parameters(self) -> list[Value]:
        """Every parameter once."""
        found: dict[Value, None] = {}
        passed: set[int] = set()  # modules, of which one may refer to another that holds it
        stack: list[Any] = [self]
        while stack:
            at = stack.pop()
            if isinstance(at, Value):
                found[at] = None
            elif isinstance(at, Module) and id(at) in passed:
                continue
            elif type(at) in (list, tuple):
                stack.extend(reversed(at))
            elif (parts := children(at)) is not None:
                passed.add(id(at))
                stack.extend(child for _, child in reversed(parts[0]))
        return list(found)

    def zero_grad(self) -> None:
        """Set the `.grad` of every parameter to 0."""
        for parameter in self.parameters():
            parameter.grad = 0.0

    def label_parameters(self) -> None:
        """Label every parameter, and give every module within its `path`; needed again only after a change."""
        for path, found in _walk(self):
            if isinstance(found, Value):
                found.label = path
            elif isinstance(found, Module):
                found.path = path

    def __repr__(self) -> str:
        held = ", ".join(f"{name[1:]}={child!r}" for name, child in self.tree_flatten()[0])
        return f"{type(self).__name__}({held})"


def _walk(module: Module) -> Iterator[tuple[str, Any]]:
    """Everything in a module, depth first, with its path from there; the module itself has the empty path.

    A parameter or module that is held in several places comes once, with its first path.
    """
    stack: list[tuple[str, Any]] = [("", module)]
    seen: set[int] = set()
    while stack:
        path, found = stack.pop()
        if isinstance(found, (Value, Module)):
            if id(found) in seen:
                continue
            seen.add(id(found))
        yield path.removeprefix("."), found
        parts = children(found)
        if parts is not None:
            stack.extend((path + name, child) for name, child in reversed(parts[0]))


def _holds_parameters(found: Any) -> bool:
    stack = [found]
    while stack:
        found = stack.pop()
        if isinstance(found, (Value, Module)):
            return True
        if type(found) in (str, float, int):
            continue
        if type(found) in (list, tuple):
            stack.extend(found)
            continue
        if isinstance(found, Rule):  # a dataclass, but no container of ours
            continue
        if str(getattr(found, "dtype", "object")) == "object":  # the elements of an array of floats need no look
            parts = children(found)
            stack.extend(child for _, child in (parts[0] if parts else ()))
    return False
