"""A transformer of scalars that learns to spell names: 4,192 parameters, about 59,000 nodes a training step.

The sizes are those of Karpathy's microgpt (2026): one layer, embedding 16, 4 heads, block of 16, an alphabet of 26
letters and a boundary mark. Any class with ``+ * - / **``, ``exp``, ``log``, ``relu`` and ``backward`` can stand for a
number.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyz"
BOUNDARY = len(LETTERS)
EMBEDDING, HEADS, BLOCK = 16, 4, 16
HEAD = EMBEDDING // HEADS

Number = Any
Vector = list[Number]
Matrix = list[Vector]


class Model:
    """Weights from a seeded generator, held as matrices of ``value``."""

    def __init__(self, value: Any, seed: int) -> None:
        generator = random.Random(seed)

        def matrix(rows: int, columns: int) -> Matrix:
            return [[value(generator.gauss(0.0, 0.08)) for _ in range(columns)] for _ in range(rows)]

        symbols = len(LETTERS) + 1
        self.weights: dict[str, Matrix] = {
            "token": matrix(symbols, EMBEDDING),
            "position": matrix(BLOCK, EMBEDDING),
            "query": matrix(EMBEDDING, EMBEDDING),
            "key": matrix(EMBEDDING, EMBEDDING),
            "value": matrix(EMBEDDING, EMBEDDING),
            "mix": matrix(EMBEDDING, EMBEDDING),
            "widen": matrix(4 * EMBEDDING, EMBEDDING),
            "narrow": matrix(EMBEDDING, 4 * EMBEDDING),
            "output": matrix(symbols, EMBEDDING),
        }

    def parameters(self) -> Vector:
        """All weights in one list."""
        return [weight for matrix in self.weights.values() for row in matrix for weight in row]

    def loss(self, name: str) -> Number:
        """Mean of ``-log p(next letter)`` over the letters of a name and its closing mark."""
        symbols = [BOUNDARY, *map(LETTERS.index, name), BOUNDARY]
        keys: Matrix = []
        values: Matrix = []
        losses = []
        for position, (symbol, following) in enumerate(pairwise(symbols)):
            probabilities = softmax(self.logits(symbol, position, keys, values))
            losses.append(-probabilities[following].log())
        return sum(losses) * (1.0 / len(losses))

    def logits(self, symbol: int, position: int, keys: Matrix, values: Matrix) -> Vector:
        """Scores of the next symbol; appends this position to what attention looks back on."""
        weights = self.weights
        x = normalised(add(weights["token"][symbol], weights["position"][position]))
        x = add(x, self.attention(normalised(x), keys, values))
        wide = [unit.relu() ** 2 for unit in linear(normalised(x), weights["widen"])]
        x = add(x, linear(wide, weights["narrow"]))
        return linear(x, weights["output"])

    def attention(self, x: Vector, keys: Matrix, values: Matrix) -> Vector:
        """Causal attention: each head weighs the values seen so far by how its query meets their keys."""
        query = linear(x, self.weights["query"])
        keys.append(linear(x, self.weights["key"]))
        values.append(linear(x, self.weights["value"]))
        mixed: Vector = []
        for start in range(0, EMBEDDING, HEAD):
            part = slice(start, start + HEAD)
            scores = [dot(query[part], key[part]) / HEAD**0.5 for key in keys]
            attention = softmax(scores)
            columns = zip(*(value[part] for value in values), strict=True)
            mixed += [dot(attention, column) for column in columns]
        return linear(mixed, self.weights["mix"])


class Adam:
    """Adam (Kingma and Ba, 2015) on scalars; a step also clears the gradients."""

    def __init__(self, parameters: Vector, rate: float = 0.01) -> None:
        self.parameters, self.rate, self.steps = parameters, rate, 0
        self.means = [0.0] * len(parameters)
        self.squares = [0.0] * len(parameters)

    def step(self, decay: float = 0.85, square_decay: float = 0.99, tiny: float = 1e-8) -> None:
        """Move every parameter against its gradient."""
        self.steps += 1
        unbias, square_unbias = 1 - decay**self.steps, 1 - square_decay**self.steps
        for i, parameter in enumerate(self.parameters):
            gradient = parameter.grad
            self.means[i] = decay * self.means[i] + (1 - decay) * gradient
            self.squares[i] = square_decay * self.squares[i] + (1 - square_decay) * gradient**2
            scale = (self.squares[i] / square_unbias) ** 0.5 + tiny
            parameter.data -= self.rate * (self.means[i] / unbias) / scale
            parameter.grad = 0.0


def add(a: Vector, b: Vector) -> Vector:
    """Element by element."""
    return [x + y for x, y in zip(a, b, strict=True)]


def dot(a: Sequence[Number], b: Sequence[Number]) -> Number:
    """Sum of products."""
    return sum(x * y for x, y in zip(a, b, strict=True))


def linear(x: Vector, weights: Matrix) -> Vector:
    """Matrix times vector."""
    return [dot(row, x) for row in weights]


def normalised(x: Vector) -> Vector:
    """Scale to root mean square one."""
    scale = (dot(x, x) / len(x) + 1e-5) ** -0.5
    return [element * scale for element in x]


def softmax(scores: Vector) -> Vector:
    """Exponentials that sum to one, shifted so that none overflows."""
    largest = max(score.data for score in scores)
    exponentials = [(score - largest).exp() for score in scores]
    total = sum(exponentials)
    return [exponential / total for exponential in exponentials]
