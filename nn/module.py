"""The base class of networks: it finds, names and zeroes their parameters, and makes them a tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType, NoneType
from typing import Any

from autograd import Rule, Value
from autograd.tree import Rebuild, cached_properties, children, is_array

PLAIN = frozenset({str, float, int, bool, NoneType, FunctionType, Rule})  # types that hold no parameters


class _LabelsItsParameters(type):
    """Makes every module, whatever its class, label its parameters once it is constructed."""

    def __call__(cls, *args: Any, **options: Any) -> Any:
        module = super().__call__(*args, **options)
        module.label_parameters()
        return module


class Module(metaclass=_LabelsItsParameters):
    """The base of everything with parameters.

    A parameter is a `Value` held by an attribute: directly, in another module, or in lists, tuples,
    dictionaries and arrays of them. Everything else is a setting: other attributes, and other objects beside
    parameters in a list, tuple or dictionary (``[Linear(2, 3), am.tanh, 0.5]``). Settings do not change: `fit` and
    `predict` refuse a model in which a call leaves what the next one reads, such as a running mean, unless they are
    given ``jit=False``. Compiled, what a call only notes in an attribute stays as it was.

    A module is a tree of its parameters, so ``grad(loss)(model, x)`` returns a module of the same shape that
    holds the gradient. If a parameter is held in two places, each of them has a part of its gradient.

    Attributes
    ----------
    path : str
        The place of the module in the outermost one, such as ``layers[0].neurons[3]``; empty for the outermost.

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
    _held: Mapping[str, Any] = {}  # in a rebuilt module: what held parameters in the original; here they may be floats

    def tree_flatten(self) -> tuple[list[tuple[str, Any]], Rebuild, dict[str, Any]]:
        """What holds parameters, how to build the same module with other parameters, and the settings."""
        kept = vars(self).copy()
        for name in cached_properties(type(self)):
            kept.pop(name, None)
        held = kept.pop("_held", None) or {
            name: how for name, x in kept.items() if type(x) not in PLAIN and (how := _holds_parameters(x))
        }
        named = []
        for name, how in held.items():
            found = kept.pop(name)
            named.append((f".{name}", found if how is True else _Mixed(found, how)))

        def rebuild(new: Sequence[Any]) -> Module:
            twin = object.__new__(type(self))
            vars(twin).update(kept, _held=held)
            vars(twin).update(zip(held, new))
            return twin

        return named, rebuild, kept

    def named_parameters(self) -> Iterator[tuple[str, Value]]:
        """Every parameter once, with its path from here, such as ``layers[0].neurons[3].w[1]``."""
        for path, found in walk(self):
            if isinstance(found, Value):
                yield path, found

    def parameters(self) -> list[Value]:
        """Every parameter once."""
        found: dict[Value, None] = {}
        passed: set[int] = set()  # modules seen so far: one may refer to another that holds it
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
                stack.extend(child for _, child in reversed(parts.named))
        return list(found)

    def zero_grad(self) -> None:
        """Set the `.grad` of every parameter to 0."""
        for parameter in self.parameters():
            parameter.grad = 0.0

    def label_parameters(self) -> None:
        """Label every parameter and set the `path` of every module within; call it again if the structure changes."""
        for path, found in walk(self):
            if isinstance(found, Value):
                found.label = path
            elif isinstance(found, Module):
                found.path = path

    def predict(self, X: Any, *, jit: bool = True) -> Any:
        """The outputs for a whole array of observations, compiled.

        Models of the same structure share the compiled code. `Dropout` drops nothing here.

        Parameters
        ----------
        X : array_like, shape (observations, ...)
            The model is called with each row, as in `fit`.
        jit : bool
            Without it, the model runs as it is, row by row, without recording a graph.

        Returns
        -------
        ndarray, shape (observations, ...)
            One number for each observation, or a row.

        Raises
        ------
        ImportError
            If NumPy or, with ``jit``, llvmlite is not installed.
        TypeError, ValueError
            If X does not hold rows of finite numbers.

        Examples
        --------
        >>> from nn import MLP
        >>> MLP(2, [3, 1], seed=0).predict([[0.0, 0.0], [1.0, 2.0]])
        array([0.        , 0.97664251])
        """
        from nn.prediction import predict

        return predict(self, X, compiled=jit)

    def summary(self) -> None:
        """Print the modules within, with their shapes and how many parameters each of them has.

        Examples
        --------
        >>> from nn import MLP
        >>> MLP(2, [3, 1], activation="tanh", seed=0).summary()
        module       kind                     shape    parameters
        ---------------------------------------------------------
        layers[0]    Layer of TanhNeuron      2 → 3             9
        layers[1]    Layer of LinearNeuron    3 → 1             4
        ---------------------------------------------------------
        MLP                                                    13
        """
        from nn.summaries import summary

        print(summary(self))

    def __repr__(self) -> str:
        held = ", ".join(f"{name[1:]}={child!r}" for name, child in self.tree_flatten()[0])
        return f"{type(self).__name__}({held})"


def walk(module: Module) -> Iterator[tuple[str, Any]]:
    """Everything in a module, depth first, with its path from there; the module itself has the empty path.

    A parameter or module that is held in several places is visited once, with its first path.
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
            stack.extend((path + name, child) for name, child in reversed(parts.named))


class _Mixed:
    """A container with parameters beside settings, as a tree of the parameters alone.

    Attributes
    ----------
    container : tree
        The container to flatten and rebuild.
    held : mapping
        The positions of the children that hold parameters, and for each what `_holds_parameters` says of it.
    """

    def __init__(self, container: Any, held: Mapping[int, Any]) -> None:
        self.container, self.held = container, held

    def tree_flatten(self) -> tuple[list[tuple[str, Any]], Rebuild, dict[str, Any]]:
        """As for a module."""
        parts = children(self.container)
        assert parts is not None  # a container
        named, inside = [], [child for _, child in parts.named]
        for i, how in self.held.items():
            named.append((parts.named[i][0], inside[i] if how is True else _Mixed(inside[i], how)))
        settings = {str(i): child for i, child in enumerate(inside) if i not in self.held}

        def rebuild(new: Sequence[Any]) -> Any:
            changed = dict(zip(self.held, new))
            return parts.rebuild([changed.get(i, child) for i, child in enumerate(inside)])

        return named, rebuild, {"class": type(self.container), "keys": parts.keys, "kept": parts.kept, "in": settings}

    def __repr__(self) -> str:
        return repr(self.container)


def _holds_parameters(found: Any) -> bool | Mapping[int, Any]:
    """True if an object holds nothing but parameters; with settings beside them, which children hold parameters."""
    if isinstance(found, (Value, Module)):
        return True
    if type(found) in PLAIN:
        return False
    if type(found) in (list, tuple):
        kinds = set(map(type, found))
        if kinds <= PLAIN:
            return False
        if kinds == {Value} or all(issubclass(kind, (Value, Module)) for kind in kinds):
            return True
    if str(getattr(found, "dtype", "object")) != "object":  # an array of floats holds no parameters
        return False
    parts = children(found)
    inside = [_holds_parameters(child) for _, child in parts.named] if parts else []
    if all(how is True for how in inside) or (is_array(found) and any(inside)):
        return bool(inside)
    return {i: how for i, how in enumerate(inside) if how}
