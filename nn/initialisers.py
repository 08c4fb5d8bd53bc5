"""How weights begin: random numbers whose spread fits the size of a layer. Biases begin at 0."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import sqrt
from typing import Any, TypeAlias

Initialiser: TypeAlias = Callable[[Any, int, int], float]


def uniform(source: random.Random | Any, nin: int, nout: int) -> float:
    """A weight from (-1, 1), whatever the size of the layer: as in micrograd."""
    return float(source.uniform(-1, 1))


def xavier_uniform(source: random.Random | Any, nin: int, nout: int) -> float:
    """A weight from (-√(6 / (nin + nout)), √(6 / (nin + nout))), for tanh and sigmoid.

    After X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010, equation 16.

    Examples
    --------
    >>> import random
    >>> from nn import xavier_uniform
    >>> abs(xavier_uniform(random.Random(0), 4, 2)) <= 1.0
    True
    """
    bound = sqrt(6.0 / (nin + nout))
    return float(source.uniform(-bound, bound))


def xavier_normal(source: random.Random | Any, nin: int, nout: int) -> float:
    """A weight from a normal distribution with the variance 2 / (nin + nout), for tanh and sigmoid."""
    return float(source.gauss(0.0, sqrt(2.0 / (nin + nout))))


def he_uniform(source: random.Random | Any, nin: int, nout: int) -> float:
    """A weight from (-√(6 / nin), √(6 / nin)), for ReLU and its relatives.

    After K. He et al., "Delving deep into rectifiers", ICCV 2015, equation 10.
    """
    bound = sqrt(6.0 / nin)
    return float(source.uniform(-bound, bound))


def he_normal(source: random.Random | Any, nin: int, nout: int) -> float:
    """A weight from a normal distribution with the variance 2 / nin, for ReLU and its relatives."""
    return float(source.gauss(0.0, sqrt(2.0 / nin)))


INITIALISERS: dict[str, Initialiser] = {
    function.__name__: function for function in (uniform, xavier_uniform, xavier_normal, he_uniform, he_normal)
}


def initialiser(named: str | Initialiser) -> Initialiser:
    """The initialiser that a name stands for."""
    if callable(named):
        return named
    if named not in INITIALISERS:
        raise ValueError(f"initialiser must be a function or one of {', '.join(INITIALISERS)}; not {named!r}")
    return INITIALISERS[named]
