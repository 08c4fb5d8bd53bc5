"""The batches of an epoch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nn.data import Array, Data


class Batch(NamedTuple):
    """What a step learns from.

    Attributes
    ----------
    inputs, targets : ndarray
        Rows; in a compiled step the last ones may be repeats with the weight 0.
    weights : ndarray
        The weight of each row in the loss: Σ weight · loss is the loss of the batch.
    factors : ndarray, shape (rows, factors of a row)
        For `Dropout`.
    filled : int
        How many rows are no repeats.
    share : float
        How much the batch counts among the others.
    """

    inputs: Array
    targets: Array
    weights: Array
    factors: Array
    filled: int
    share: float


class Batches:
    """The data set, cut into batches, in a new order in every epoch.

    Parameters
    ----------
    data : Data
        The observations.
    size : int
        How many of them are in a batch; in the last one there may be fewer.
    seed : int
        The random numbers of an epoch depend on the seed and on its number, and on nothing else.
    shuffle : bool
        Whether the order is random.
    rates : sequence of float
        The rates of the factors that `Dropout` needs for each observation.
    as_mean : bool
        Whether the weights of a batch add up to 1.
    fill : bool
        Whether the last batch is filled up with repeats of weight 0, so that all have one size.
    """

    def __init__(
        self, data: Data, size: int, seed: int, shuffle: bool, rates: Sequence[float], as_mean: bool, fill: bool
    ) -> None:
        self.data, self.size, self.seed, self.shuffle = data, size, seed, shuffle
        self.rates, self.as_mean = np.array(rates), as_mean
        self.starts = np.arange(0, len(data), size)
        self.missing = len(self.starts) * size - len(data) if fill else 0
        self._unweighted = self._weights(np.ones(len(data))) if data.weights is None else None
        self._always: list[Batch] | None = None  # if nothing is random

    def of_epoch(self, epoch: int) -> Iterable[Batch]:
        """The batches of an epoch, counted from 0."""
        if self.shuffle or len(self.rates):
            return self._cut(np.random.default_rng([self.seed, epoch + 1]))
        if self._always is None:
            self._always = list(self._cut(None))
        return self._always

    def _cut(self, random: Any) -> Iterable[Batch]:
        data, count = self.data, len(self.data)
        order = random.permutation(count) if self.shuffle else np.arange(count)
        if data.weights is not None:
            weights, shares = self._weights(data.weights[order])
        else:
            assert self._unweighted is not None
            weights, shares = self._unweighted
        factors = np.empty((count, 0))
        if len(self.rates):
            factors = (random.random((count, len(self.rates))) >= self.rates) / (1.0 - self.rates)
        if self.missing:
            repeated = np.full(self.missing, self.starts[-1])
            order, factors = np.append(order, order[repeated]), np.append(factors, factors[repeated], axis=0)
        columns = [data.inputs[order], data.targets[order], weights, factors]
        return map(Batch, *map(self._parts, columns), self._filled(), shares)

    def _weights(self, weights: Array) -> tuple[Array, list[float]]:
        """The weights of all rows, and how much each batch counts."""
        shares = np.add.reduceat(weights, self.starts)
        if self.as_mean:
            weights = weights / np.repeat(np.where(shares > 0.0, shares, 1.0), self.size)[: len(weights)]
        return np.append(weights, np.zeros(self.missing)), shares.tolist()

    def _parts(self, column: Array) -> Iterable[Array]:
        """A column, cut at the starts of the batches."""
        if len(column) == len(self.starts) * self.size:  # all at once: a slice for each batch takes longer
            return column.reshape(len(self.starts), self.size, *column.shape[1:])
        return [column[start : start + self.size] for start in self.starts.tolist()]

    def _filled(self) -> list[int]:
        return [min(self.size, len(self.data) - start) for start in self.starts.tolist()]
