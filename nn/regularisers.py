"""Regularisers: what large parameters cost, beside the loss of the data."""

from __future__ import annotations

from collections import Counter
from typing import Any

import autograd.math as am
from autograd import vmap
from autograd.tree import flatten
from nn.checks import within


class L1:
    """factor · Σ |parameter|, which makes many parameters exactly or nearly 0.

    Parameters
    ----------
    factor : float
        How strong it is; at least 0.

    Raises
    ------
    ValueError
        If the factor is negative or not finite.

    Examples
    --------
    >>> from nn import L1
    >>> L1(0.1)([1.0, -2.0])
    0.30000000000000004
    """

    def __init__(self, factor: float) -> None:
        self.factor = within("factor", factor, 0.0)

    def __call__(self, model: Any) -> Any:
        """The penalty for the parameters of a model, or any tree of numbers; a shared one counts wherever it is."""
        return self.factor * vmap(am.abs, reduce="sum")(flatten(model)[0])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.factor:g})"


class L2(L1):
    """½ · factor · Σ parameter², whose gradient pulls every parameter towards 0.

    With plain SGD it is what ``weight_decay=factor`` does; with Adam the two differ.

    Parameters
    ----------
    factor : float
        How strong it is; at least 0.

    Examples
    --------
    >>> from nn import L2
    >>> L2(0.1)([1.0, -2.0])
    0.25
    """

    def decays(self, model: Any) -> list[float]:
        """The factor for each parameter of a model, times the number of places where it is: see `nn.steps`."""
        places = Counter(flatten(model)[0])
        return [self.factor * count for count in places.values()]

    def __call__(self, model: Any) -> Any:
        """The penalty for the parameters of a model, or any tree of numbers."""
        return 0.5 * self.factor * vmap(lambda x: x * x, reduce="sum")(flatten(model)[0])
