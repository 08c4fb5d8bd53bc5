"""A model as a function of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from autograd import Value
from autograd.tree import flatten, leaf_names
from nn.checks import leaves
from nn.data import Array


class Template:
    """A model as a function of its parameters: each appears once, wherever it is used.

    Attributes
    ----------
    parameters : list of Value
        The parameters, each once.
    """

    def __init__(self, model: Any, trainable: bool = True) -> None:
        if isinstance(model, type):
            raise TypeError(f"the model must be made first, {model.__name__}(...): a class has no parameters")
        if not hasattr(model, "tree_flatten"):
            raise TypeError(f"the model must be a nn.Module, not {model!r:.80} of type {type(model).__name__}")
        found, self._rebuild = flatten(model, "the model")
        values = [leaf for leaf in found if isinstance(leaf, Value)]
        if trainable and not values:
            raise ValueError(f"there is nothing to train in {model!r:.80}: parameters are Values in its attributes")
        if trainable:
            _refuse_computed(model, found)
        self.parameters: list[Value] = leaves(values) if trainable else list(dict.fromkeys(values))
        place = {id(parameter): k for k, parameter in enumerate(self.parameters)}
        self._places = tuple([place.get(id(leaf)) for leaf in found])
        self._plain = [None if isinstance(leaf, Value) else leaf for leaf in found]

    def builder(self) -> Callable[[Sequence[Any]], Any]:
        """A function from numbers to the same model with these; it does not keep this model alive."""
        places, plain = self._places, self._plain
        _, rebuild = flatten(self._rebuild([0.0 if k is not None else x for k, x in zip(places, plain)]))
        return lambda numbers: rebuild([x if k is None else numbers[k] for k, x in zip(places, plain)])

    def copy(self) -> Any:
        """The same model with parameters of its own; calls of it change nothing in this one but what both refer to."""
        return self.builder()([Value(parameter.data) for parameter in self.parameters])

    def numbers(self) -> Array:
        """The parameters as they are now."""
        return np.array([parameter.data for parameter in self.parameters])

    def assign(self, numbers: Sequence[float] | Array) -> None:
        """Give the parameters other numbers."""
        for parameter, number in zip(self.parameters, np.asarray(numbers).tolist()):
            parameter.data = number

    def structure(self, model: Any) -> Hashable:
        """What two models must share to use the same compiled code: all but the numbers of their parameters."""
        from autograd.compiler.capture.signature import read

        return read(model).signature, self._places


def _refuse_computed(model: Any, found: Sequence[Any]) -> None:
    """Raise if a model holds a computed node, which is no parameter.

    Raises
    ------
    ValueError
        With the name of the attribute.
    """
    for place, leaf in enumerate(found):
        if isinstance(leaf, Value) and leaf.op is not None:
            name = leaf_names(model, "model")[place]
            raise ValueError(
                f"{name} holds the computed node {leaf.describe()}, and parameters are leaves: if a call of the model "
                f"has left it there, set {name} to None before training, or keep its .data only"
            )
