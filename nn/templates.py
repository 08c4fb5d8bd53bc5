"""A model as a function of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd import Value
from autograd.tree import flatten
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
        found, self._rebuild = flatten(model, "the model")
        values = [leaf for leaf in found if isinstance(leaf, Value)]
        self.parameters: list[Value] = leaves(values) if trainable else list(dict.fromkeys(values))
        place = {id(parameter): k for k, parameter in enumerate(self.parameters)}
        self._places = tuple([place.get(id(leaf)) for leaf in found])
        self._plain = [None if isinstance(leaf, Value) else leaf for leaf in found]

    def builder(self) -> Callable[[Sequence[Any]], Any]:
        """A function from numbers to the same model with these; it does not keep the parameters alive."""
        rebuild, places, plain = self._rebuild, self._places, self._plain
        return lambda numbers: rebuild([x if k is None else numbers[k] for k, x in zip(places, plain)])

    def numbers(self) -> Array:
        """The parameters as they are now."""
        return np.array([parameter.data for parameter in self.parameters])

    def assign(self, numbers: Sequence[float] | Array) -> None:
        """Give the parameters other numbers."""
        for parameter, number in zip(self.parameters, np.asarray(numbers).tolist()):
            parameter.data = number

    def shared(self) -> tuple[int | None, ...]:
        """Which leaves are the same parameter: models that differ in this are not of the same structure."""
        return tuple(self._places)
