"""Dropout, and the mode in which it works: training."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from nn.checks import generator, within
from nn.module import Module

Draw = Callable[[float], Any]  # takes a rate, returns a factor: 0 for an output to drop
_draw: ContextVar[Draw | None] = ContextVar("draw", default=None)


@contextmanager
def training(seed: int | random.Random | None = None) -> Iterator[None]:
    """In its `with` block, `Dropout` drops outputs; outside, it passes them on.

    `fit` does this itself.

    Parameters
    ----------
    seed : int or random.Random, optional
        The source of the masks; the global `random` by default.

    Examples
    --------
    >>> from nn import Dropout, training
    >>> dropout = Dropout(0.5)
    >>> dropout([1.0, 2.0, 3.0])
    [1.0, 2.0, 3.0]
    >>> with training(seed=1):
    ...     dropout([1.0, 2.0, 3.0])
    [0.0, 4.0, 6.0]
    """
    source = generator(seed) or random
    with drawing(lambda rate: 0.0 if source.random() < rate else 1.0 / (1.0 - rate)):
        yield


@contextmanager
def drawing(draw: Draw) -> Iterator[None]:
    """In its `with` block, `Dropout` asks this function for the factor of each output."""
    token = _draw.set(draw)
    try:
        yield
    finally:
        _draw.reset(token)


class Dropout(Module):
    """In training, sets outputs to 0 at random and scales up the others; otherwise it changes nothing.

    After N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15 (2014).

    Parameters
    ----------
    rate : float
        The probability of an output to become 0. The others are divided by 1 - rate, so the mean stays.

    Raises
    ------
    ValueError
        If the rate is not at least 0 and below 1.

    Examples
    --------
    >>> from nn import Dropout, Layer, Sequential
    >>> model = Sequential(Layer(2, 8, activation="tanh", seed=1), Dropout(0.2), Layer(8, 1, nonlin=False, seed=2))
    >>> model([1.0, 2.0]) == model([1.0, 2.0])  # outside training
    True
    """

    def __init__(self, rate: float) -> None:
        self.rate = within("rate", rate, 0.0, below=1.0)

    def __call__(self, x: Any) -> Any:
        """The outputs of the layer before, or some of them."""
        draw = _draw.get()
        if draw is None or not self.rate:
            return x
        if hasattr(x, "__len__"):
            return [value * draw(self.rate) for value in x]
        return x * draw(self.rate)

    def __repr__(self) -> str:
        return f"Dropout({self.rate:g})"


def rates_of(run: Callable[[], Any]) -> list[float]:
    """The rates of all factors that are drawn in one run, in order."""
    rates: list[float] = []

    def note(rate: float) -> float:
        rates.append(rate)
        return 1.0

    with drawing(note):
        run()
    return rates


@contextmanager
def masked(factors: Sequence[Any]) -> Iterator[None]:
    """In its `with` block, these are the factors, in order.

    Raises
    ------
    RuntimeError
        If not all are used, or more are needed: eager and compiled code would have different masks.
    """
    left = iter(factors)
    used = 0

    def draw(rate: float) -> Any:
        nonlocal used
        used += 1
        return next(left, 1.0)

    with drawing(draw):
        yield
    if used != len(factors):
        raise RuntimeError(
            f"Dropout was asked for {used} factors here, and for {len(factors)} in the first observation: a model with "
            "Dropout must use it equally often in every observation, and compiled not inside scan (pass jit=False)"
        )
