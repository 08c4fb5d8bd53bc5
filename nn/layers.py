"""Neurons, layers of neurons, and the multi-layer perceptron.

The names `nin`, `nouts` and `nonlin`, the order in which random numbers are drawn, and the reprs of small layers are
those of micrograd (https://github.com/karpathy/micrograd), so that code written for it gives the same numbers here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from autograd import Value, rules
from autograd.math import dot
from autograd.value import Operand
from nn.checks import Seed, generator, whole
from nn.initialisers import Initialiser
from nn.initialisers import initialiser as initialiser_of
from nn.module import Module

Activation: TypeAlias = str | Callable[[Any], Any]

LISTED = 3  # neurons: the repr of a layer with more of the same kind says how many
WRITTEN = {"relu": "ReLU", "gelu": "GELU", "silu": "SiLU"}  # all other names are capitalised


def activation_of(named: Activation) -> Callable[[Any], Any] | None:
    """The function that an activation names; None for no activation."""
    if callable(named):
        return named
    if named == "linear":
        return None
    unary = {name: rule for name, rule in rules.TABLE.items() if rule.arity == 1}
    if named not in unary:
        raise ValueError(f"activation must be a function, 'linear' or one of {', '.join(unary)}; not {named!r}")
    return unary[named]


def _chosen(nonlin: bool | None, activation: Activation | None) -> Activation:
    if nonlin is None:
        return "relu" if activation is None else activation
    if activation is not None:
        raise ValueError(f"give activation={activation!r} or nonlin={nonlin!r}, not both")
    return "relu" if nonlin else "linear"


def apply_each(function: Callable[[Any], Any], x: Any) -> Any:
    """A function of one number, of each number in nested lists."""
    return [apply_each(function, item) for item in x] if hasattr(x, "__len__") else function(x)


class Neuron(Module):
    """activation(w · x + b), with the inner product as one node.

    Parameters
    ----------
    nin : int
        Number of inputs.
    nonlin : bool, optional
        micrograd's way to choose between ReLU (True) and no activation (False).
    activation : str or callable, optional
        The name of a unary row of the table ("tanh", "sigmoid", …), "linear" for none, or a function of one
        number; "relu" by default.
    seed : int or random.Random, optional
        The source of the weights; the global `random` by default.
    initialiser : str or callable
        How the weights begin: "uniform" (from -1 to 1), "xavier_uniform", "xavier_normal", "he_uniform", "he_normal";
        or a function of the source, the number of inputs and the number of neurons in the layer.
    nout : int
        The number of neurons in the layer, for the initialiser.

    Attributes
    ----------
    w : list of Value
        `nin` weights, in the order in which they are drawn.
    b : Value
        The bias, 0 at first.

    Raises
    ------
    TypeError
        If the seed is neither a whole number nor a generator.
    ValueError
        If the activation is unknown, or both `nonlin` and `activation` are given; when called: if the number of
        inputs is wrong.

    Examples
    --------
    >>> from nn import Neuron
    >>> neuron = Neuron(2, activation="tanh", seed=1)
    >>> neuron
    TanhNeuron(2)
    >>> neuron([1.0, -2.0]).op, neuron.w[1].label
    (tanh, 'w[1]')
    """

    def __init__(
        self,
        nin: int,
        nonlin: bool | None = None,
        *,
        activation: Activation | None = None,
        seed: Seed = None,
        initialiser: str | Initialiser = "uniform",
        nout: int = 1,
    ) -> None:
        source, draw = generator(seed) or random, initialiser_of(initialiser)
        self.w = [Value(draw(source, nin, nout)) for _ in range(whole("the number of inputs", nin))]
        self.b = Value(0.0)
        chosen = _chosen(nonlin, activation)
        self.kind = str(getattr(chosen, "__name__", chosen))
        self.activation = activation_of(chosen)

    def __call__(self, x: Sequence[Operand]) -> Any:
        """The output, one number, for `nin` inputs."""
        if not hasattr(x, "__len__") or len(x) != len(self.w) or getattr(x, "ndim", 1) != 1:
            where = f"{self!r}{f' at {self.path}' if self.path else ''} takes a sequence of {len(self.w)} inputs"
            if not hasattr(x, "__len__"):
                raise ValueError(f"{where}, not one number: pass [x]; of a 1-d array X, X.reshape(-1, 1) makes rows")
            shape = getattr(x, "shape", ())
            given = f"an array of shape {shape}" if len(shape) > 1 else str(len(x))
            raise ValueError(f"{where}, not {given}: give it one observation at a time")
        output = dot(self.w, x) + self.b
        if self.activation is not None:
            output = self.activation(output)
        if self.path and getattr(output, "op", None) is not None:
            output.label = self.path
        return output

    def __repr__(self) -> str:
        return f"{WRITTEN.get(self.kind, self.kind.capitalize())}Neuron({len(self.w)})"


class Layer(Module):
    """Neurons with the same inputs.

    Parameters
    ----------
    nin, nout : int
        Number of inputs and of neurons.
    nonlin, activation, seed, initialiser
        As for `Neuron`.

    Examples
    --------
    >>> from nn import Layer
    >>> layer = Layer(3, 2, activation="sigmoid", seed=1)
    >>> layer
    Layer of [SigmoidNeuron(3), SigmoidNeuron(3)]
    >>> len(layer([1.0, 2.0, 3.0])), len(layer.parameters())
    (2, 8)
    """

    def __init__(
        self,
        nin: int,
        nout: int,
        nonlin: bool | None = None,
        *,
        activation: Activation | None = None,
        seed: Seed = None,
        initialiser: str | Initialiser = "uniform",
    ) -> None:
        source, count = generator(seed), whole("the number of neurons", nout)
        self.neurons = [
            Neuron(nin, nonlin, activation=activation, seed=source, initialiser=initialiser, nout=count)
            for _ in range(count)
        ]

    def outputs(self, x: Sequence[Operand]) -> list[Any]:
        """The outputs of all neurons."""
        return [neuron(x) for neuron in self.neurons]

    def __call__(self, x: Sequence[Operand]) -> Any:
        """The outputs of all neurons; a layer with one neuron returns its output, not a list."""
        outputs = self.outputs(x)
        return outputs[0] if len(outputs) == 1 else outputs

    def __repr__(self) -> str:
        shown = list(map(repr, self.neurons))
        if len(shown) > LISTED and len(set(shown)) == 1:
            return f"Layer of [{len(shown)} × {shown[0]}]"
        return f"Layer of [{', '.join(shown)}]"


class MLP(Module):
    """A multi-layer perceptron: each layer's outputs are the next one's inputs.

    Parameters
    ----------
    nin : int
        Number of inputs.
    nouts : sequence of int
        Number of neurons in each layer.
    activation : str, callable or sequence of them, optional
        One for all layers but the last, which has none; or a sequence with one for each layer. "relu" by
        default. See `Neuron` for the choices.
    seed, initialiser
        As for `Neuron`.

    Raises
    ------
    TypeError
        If `nouts` is not a sequence, or the seed is neither a whole number nor a generator.
    ValueError
        If a size is not a positive whole number, an activation is unknown, or there is not one per layer; when
        called: if the number of inputs is wrong.

    Examples
    --------
    >>> from nn import MLP
    >>> model = MLP(2, [3, 1], activation=["tanh", "sigmoid"], seed=1)
    >>> model
    MLP of [Layer of [TanhNeuron(2), TanhNeuron(2), TanhNeuron(2)], Layer of [SigmoidNeuron(3)]]
    >>> [name for name, _ in model.named_parameters()][-2:]
    ['layers[1].neurons[0].w[2]', 'layers[1].neurons[0].b']
    >>> 0.0 < model([0.5, -0.5]) < 1.0
    True
    """

    def __init__(
        self,
        nin: int,
        nouts: Sequence[int],
        activation: Activation | Sequence[Activation] = "relu",
        *,
        seed: Seed = None,
        initialiser: str | Initialiser = "uniform",
    ) -> None:
        if not isinstance(nouts, Iterable):
            raise TypeError(f"nouts must be a sequence with the size of each layer, such as [16, 1], not {nouts!r}")
        sizes = [nin, *nouts]
        if len(sizes) < 2:
            raise ValueError("an MLP needs at least one layer: pass the number of neurons of each, such as [16, 16, 1]")
        kinds: list[Any]
        if isinstance(activation, Sequence) and not isinstance(activation, str):
            kinds = list(activation)
        else:
            activation_of(activation)  # an unknown name is an error even if no layer uses it
            kinds = [*[activation] * (len(sizes) - 2), "linear"]
        if None in kinds:
            raise ValueError(f"an activation must be a function or a name, 'linear' for none; not None in {kinds!r}")
        if len(kinds) != len(sizes) - 1:
            raise ValueError(f"{len(sizes) - 1} layers need as many activations, not {len(kinds)}")
        source = generator(seed)
        self.layers = [
            Layer(inputs, outputs, activation=kind, seed=source, initialiser=initialiser)
            for inputs, outputs, kind in zip(sizes, sizes[1:], kinds)
        ]

    def __call__(self, x: Sequence[Operand]) -> Any:
        """The outputs of the last layer; a single output is returned as it is, not in a list."""
        for layer in self.layers:
            x = layer.outputs(x)
        return x[0] if len(x) == 1 else x

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(map(repr, self.layers))}]"
