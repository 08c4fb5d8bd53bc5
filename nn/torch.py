"""PyTorch: weights come from `torch.nn.Linear` layers, and go back into them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.math as am
from autograd import Rule, rules
from nn.layers import MLP, Layer
from nn.state import load_state_dict

__all__ = ["from_torch", "to_torch"]

# PyTorch's modules without weights, what they are here, and the settings for which that is so.
ACTIVATIONS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "ReLU": (rules.relu, {}),
    "Tanh": (rules.tanh, {}),
    "Sigmoid": (rules.sigmoid, {}),
    "SiLU": (rules.silu, {}),
    "GELU": (rules.gelu, {"approximate": "none"}),
    "Softplus": (rules.softplus, {"beta": 1.0}),
    "ELU": (am.elu, {"alpha": 1.0}),
    "LeakyReLU": (am.leaky_relu, {"negative_slope": 0.01}),
}
LEFT_OUT = ("Identity", "Dropout")  # they change nothing in a prediction


def from_torch(module: Any) -> Layer | MLP:
    """A layer or an MLP with the weights of PyTorch's.

    Parameters
    ----------
    module : torch.nn.Linear or torch.nn.Sequential
        A linear layer; or several, one after another, each with an activation behind it or none: `ReLU`, `Tanh`,
        `Sigmoid`, `SiLU`, `GELU`, `Softplus`, `ELU`, `LeakyReLU`. `Dropout` and `Identity` are left out.

    Returns
    -------
    Layer or MLP
        Its numbers are float64, whatever PyTorch's are. A layer without biases gets biases of 0. PyTorch's `Softplus`
        is x itself for x > 20, which is 2e-9 less than here.

    Raises
    ------
    TypeError
        If it is neither a `Linear` nor a sequence of modules.
    ValueError
        If a module is unknown, or has a setting that has no counterpart here.

    Examples
    --------
    With PyTorch installed::

        net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
        model = from_torch(net)
        model([0.5, -1.0])  # the number in net(torch.tensor([[0.5, -1.0]]))
    """
    if _name(module) == "Linear":
        layer = Layer(module.in_features, module.out_features, activation="linear", seed=0)
        load_state_dict(layer, _state(module, ""))
        return layer
    linears, activations = _chain(module)
    sizes = [linears[0].in_features, *[linear.out_features for linear in linears]]
    model = MLP(sizes[0], sizes[1:], activation=activations, seed=0)
    state: dict[str, Any] = {}
    for i, linear in enumerate(linears):
        state |= _state(linear, f"layers[{i}].")
    load_state_dict(model, state)
    return model


def to_torch(model: Layer | MLP) -> Any:
    """The same model in PyTorch: linear layers with activations, in float64.

    Parameters
    ----------
    model : Layer or MLP
        The model to copy. Later changes of one do not reach the other.

    Returns
    -------
    torch.nn.Sequential
        Its inputs have the shape (observations, inputs) and its outputs (observations, outputs), also if there is one
        output. Call ``.float()`` on it for float32.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    TypeError
        If the model is neither a layer nor an MLP.
    ValueError
        If neurons of a layer differ in their activations, or PyTorch has no module for one.

    Examples
    --------
    With PyTorch installed::

        net = to_torch(MLP(2, [3, 1], activation="tanh", seed=1))
        net  # Sequential of Linear(2, 3), Tanh() and Linear(3, 1)
    """
    if type(model) not in (Layer, MLP):
        raise TypeError(f"only a Layer or an MLP can go to PyTorch, not {model!r:.80} of type {type(model).__name__}")
    layers = model.layers if isinstance(model, MLP) else [model]
    activations = [_activation(layer) for layer in layers]
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError("to_torch needs PyTorch: pip install torch") from None
    modules: list[Any] = []
    for layer, activation in zip(layers, activations):
        modules.append(_linear(torch, layer))
        if activation is not None:
            name, settings = activation
            modules.append(getattr(torch.nn, name)(**settings))
    return torch.nn.Sequential(*modules)


# ---- from PyTorch -----------------------------------------------------------------------------------------------


def _name(module: Any) -> str:
    return type(module).__name__


def _chain(module: Any) -> tuple[list[Any], list[Any]]:
    """The linear layers of a sequence, and the activation behind each."""
    if _name(module) != "Sequential":
        raise TypeError(f"pass a torch.nn.Linear or a torch.nn.Sequential of them, not {module!r:.80}")
    linears: list[Any] = []
    activations: list[Any] = []
    for i, part in enumerate(module):
        if _name(part) == "Linear":
            linears.append(part)
            activations.append("linear")
        elif _name(part) in LEFT_OUT:
            continue
        elif not linears or activations[-1] != "linear":
            raise ValueError(f"module {i}, {part!r:.80}, does not follow a Linear, and a layer has one activation here")
        else:
            activations[-1] = _row(i, part)
    if not linears:
        raise ValueError("there is no Linear in the sequence")
    return linears, activations


def _row(i: int, part: Any) -> Any:
    """What PyTorch's activation is here: its name, if a row of the table has one, for it reads better."""
    if _name(part) not in ACTIVATIONS:
        raise ValueError(f"module {i}, {part!r:.80}, has no counterpart here: {', '.join(ACTIVATIONS)} have one")
    function, settings = ACTIVATIONS[_name(part)]
    for setting, needed in settings.items():
        if getattr(part, setting) != needed:
            raise ValueError(f"module {i}, {part!r:.80}: here {setting} is {needed!r} and nothing else")
    return function.name if isinstance(function, Rule) else function


def _state(linear: Any, prefix: str) -> dict[str, Any]:
    """The weights of a linear layer, as `load_state_dict` takes them."""
    weights = _numbers(linear.weight)
    biases = [0.0] * linear.out_features if linear.bias is None else _numbers(linear.bias)
    return {f"{prefix}neurons.w": weights, f"{prefix}neurons.b": biases}


def _numbers(tensor: Any) -> Any:
    return tensor.detach().cpu().double().tolist()


# ---- to PyTorch -------------------------------------------------------------------------------------------------


def _activation(layer: Layer) -> tuple[str, dict[str, Any]] | None:
    """The name and the settings of PyTorch's module for a layer's activation; None for no activation."""
    functions = {neuron.activation for neuron in layer.neurons}
    if len(functions) > 1:
        raise ValueError(f"the neurons of {layer!r:.80} have different activations: PyTorch has one for a layer")
    (function,) = functions
    if function is None:
        return None
    for name, (known, settings) in ACTIVATIONS.items():
        if function in (known, getattr(am, getattr(known, "__name__", getattr(known, "name", "")))):
            # PyTorch's softplus is x itself above a threshold; from 40 on that is exact
            return name, {**settings, "threshold": 40.0} if name == "Softplus" else settings
    raise ValueError(f"PyTorch has no module for the activation of {layer!r:.80}: known are {', '.join(ACTIVATIONS)}")


def _linear(torch: Any, layer: Layer) -> Any:
    """A linear layer with the weights of a layer."""
    neurons = layer.neurons
    linear = torch.nn.Linear(len(neurons[0].w), len(neurons), dtype=torch.float64)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[w.data for w in neuron.w] for neuron in neurons], dtype=torch.float64))
        linear.bias.copy_(torch.tensor([neuron.b.data for neuron in neurons], dtype=torch.float64))
    return linear
