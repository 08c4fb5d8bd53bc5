"""What is done with gradients once backpropagation has found them."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

from autograd import Value
from autograd.ieee import to_float


class SGD:
    """Gradient descent: each step takes every parameter a little way down its gradient.

    Called stochastic when each step's gradient comes from a random batch of the data. Backpropagation is no part
    of it: `step` reads whatever is in `.grad`.

    Parameters
    ----------
    parameters : iterable of Value
        What to change; all must be leaves. One that is named twice is changed once.
    learning_rate : float
        The step: data ← data - learning_rate · grad. May be assigned between steps.

    Raises
    ------
    TypeError
        If a parameter is not a Value, or the learning rate is not a number.
    ValueError
        If there are none, one is a computed node, or the learning rate is not positive and finite.

    Examples
    --------
    >>> from autograd import Value
    >>> from nn import SGD
    >>> x = Value(5.0)
    >>> optimiser = SGD([x], learning_rate=0.1)
    >>> for _ in range(50):
    ...     optimiser.zero_grad()
    ...     ((x - 2.0) ** 2).backward()
    ...     optimiser.step()
    >>> round(x.data, 4)
    2.0
    """

    def __init__(self, parameters: Iterable[Value], learning_rate: float) -> None:
        if not isinstance(parameters, Iterable):
            raise TypeError(f"parameters must be a list of Values, such as model.parameters(), not {parameters!r:.80}")
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("there are no parameters to change")
        for parameter in self.parameters:
            if not isinstance(parameter, Value):
                raise TypeError(f"a parameter must be a Value, not {parameter!r} of type {type(parameter).__name__}")
            if parameter.op is not None:
                raise ValueError(f"a parameter must be a leaf, not the computed node {parameter.describe()}")
        self.parameters = list(dict.fromkeys(self.parameters))
        self.learning_rate = learning_rate

    @property
    def learning_rate(self) -> float:
        """The step."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, number: float) -> None:
        rate = to_float(number)
        if not (rate > 0 and isfinite(rate)):
            raise ValueError(f"the learning rate must be a positive number, not {number!r}")
        self._learning_rate = rate

    def zero_grad(self) -> None:
        """Set the `.grad` of every parameter to 0."""
        for parameter in self.parameters:
            parameter.grad = 0.0

    def step(self) -> None:
        """Change every parameter by its gradient."""
        for parameter in self.parameters:
            parameter.data -= self.learning_rate * parameter.grad
