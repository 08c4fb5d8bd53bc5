"""Cells that read a sequence step by step, and hand a state from one step to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd import scan
from nn.checks import Seed, generator, whole
from nn.initialisers import Initialiser
from nn.layers import Layer
from nn.module import Module


class Cell(Module):
    """The base of cells: from the state before and the inputs of a step to the state after.

    A cell of your own has an attribute ``size``, the length of its state, and this method:

    ``__call__(state, x)`` : a list of numbers and the inputs of a step, to the next state.
    """

    size: int

    def __call__(self, state: Sequence[Any], x: Sequence[Any]) -> list[Any]:
        """The state after a step."""
        raise NotImplementedError(f"{type(self).__name__} does not say what a step does: define __call__(state, x)")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size})"


class ElmanCell(Cell):
    """state' = activation(W · [x, state] + b), the simple recurrent network.

    After J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990).

    Parameters
    ----------
    nin, size : int
        Number of inputs in each step, and the length of the state.
    activation, seed, initialiser
        As for `Layer`; tanh by default.

    Examples
    --------
    >>> from nn import ElmanCell
    >>> cell = ElmanCell(1, 3, seed=1)
    >>> len(cell([0.0, 0.0, 0.0], [1.0])), len(cell.parameters())
    (3, 15)
    """

    def __init__(
        self,
        nin: int,
        size: int,
        *,
        activation: Any = "tanh",
        seed: Seed = None,
        initialiser: str | Initialiser = "xavier_uniform",
    ) -> None:
        self.size = whole("the size of the state", size)
        whole("the number of inputs", nin)
        self.layer = Layer(nin + size, size, activation=activation, seed=seed, initialiser=initialiser)

    def __call__(self, state: Sequence[Any], x: Sequence[Any]) -> list[Any]:
        """The state after a step."""
        return self.layer.outputs([*_row(x), *state])


class GRUCell(Cell):
    """A cell whose gates decide how much of the state is forgotten and replaced.

    With σ = sigmoid: r = σ(W_r · [x, h] + b_r), z = σ(W_z · [x, h] + b_z), n = tanh(W_n · [x, r ∘ h] + b_n), and
    h' = (1 - z) ∘ n + z ∘ h.

    After K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
    translation", EMNLP 2014 (as there, the reset gate acts on the state before the product; in PyTorch, after it).

    Parameters
    ----------
    nin, size : int
        Number of inputs in each step, and the length of the state.
    seed, initialiser
        As for `Layer`.

    Examples
    --------
    >>> from nn import GRUCell
    >>> cell = GRUCell(1, 3, seed=1)
    >>> len(cell([0.0, 0.0, 0.0], [1.0])), len(cell.parameters())
    (3, 45)
    """

    def __init__(
        self, nin: int, size: int, *, seed: Seed = None, initialiser: str | Initialiser = "xavier_uniform"
    ) -> None:
        self.size, source = whole("the size of the state", size), generator(seed)
        whole("the number of inputs", nin)

        def layer(activation: str) -> Layer:
            return Layer(nin + size, size, activation=activation, seed=source, initialiser=initialiser)

        self.reset, self.update, self.candidate = layer("sigmoid"), layer("sigmoid"), layer("tanh")

    def __call__(self, state: Sequence[Any], x: Sequence[Any]) -> list[Any]:
        """The state after a step."""
        inputs = _row(x)
        reset, update = self.reset.outputs([*inputs, *state]), self.update.outputs([*inputs, *state])
        candidate = self.candidate.outputs([*inputs, *[r * h for r, h in zip(reset, state)]])
        return [n + z * (h - n) for n, z, h in zip(candidate, update, state)]


class Recurrent(Module):
    """A cell over a whole sequence, as a `scan`: compiled, it stays a loop, and so do its gradients through time.

    Parameters
    ----------
    cell : Cell
        What happens in each step. The first state is 0.
    every : bool
        Return the states after all steps, not only the last one.

    Examples
    --------
    >>> from nn import ElmanCell, Layer, Recurrent, Sequential
    >>> model = Sequential(Recurrent(ElmanCell(1, 4, seed=1)), Layer(4, 1, activation="linear", seed=2))
    >>> sequence = [[0.1], [0.2], [0.3], [0.4], [0.5]]
    >>> model(sequence).backward()
    >>> all(parameter.grad != 0.0 for parameter in model.parameters())
    True
    """

    def __init__(self, cell: Cell, *, every: bool = False) -> None:
        if not isinstance(cell, Module) or not hasattr(cell, "size"):
            raise TypeError(f"Recurrent needs a cell such as ElmanCell(1, 8), not {cell!r:.80}")
        self.cell, self.every = cell, bool(every)

    def __call__(self, sequence: Sequence[Any]) -> Any:
        """The last state; or, if `every` is set, a list with the state after each step."""
        if not hasattr(sequence, "__len__") or not len(sequence):
            raise ValueError(f"{type(self).__name__} takes a sequence with at least one step, not {sequence!r:.80}")

        def step(state: Any, x: Any) -> tuple[Any, Any]:
            after = self.cell(state, x)
            return after, after if self.every else None

        last, states = scan(step, [0.0] * self.cell.size, _rows(sequence))
        return states if self.every else last

    def __repr__(self) -> str:
        return f"Recurrent({self.cell!r}{', every=True' if self.every else ''})"


def _row(x: Any) -> list[Any]:
    """The inputs of a step; a sequence of plain numbers has one in each."""
    return list(x) if hasattr(x, "__len__") else [x]


def _rows(sequence: Any) -> list[Any]:
    return [list(row) if hasattr(row, "__len__") else row for row in sequence]
