"""Weights from PyTorch and back. PyTorch is not needed: its outputs are recorded, and small classes stand in for it."""

import contextlib
import json
import sys
import types
from pathlib import Path

import pytest

from nn import MLP, Layer, Neuron
from nn.torch import from_torch, to_torch

RECORD = json.loads((Path(__file__).parent / "torch_linear.json").read_text(encoding="utf-8"))


class Tensor:
    """As much of a tensor as is asked for."""

    def __init__(self, numbers, dtype=None):
        self.numbers, self.dtype = numbers, dtype

    def detach(self):
        """The same, as in PyTorch without its graph."""
        return self

    cpu = double = detach

    def tolist(self):
        """Its numbers."""
        return self.numbers

    def copy_(self, other):
        """Take the numbers of another tensor of the same shape and type."""
        assert shape(self.numbers) == shape(other.numbers)
        assert self.dtype == other.dtype
        self.numbers = other.numbers


def shape(numbers):
    """The shape of nested lists."""
    return (len(numbers), *shape(numbers[0])) if isinstance(numbers, list) else ()


class Linear:
    """A stand-in for torch.nn.Linear."""

    def __init__(self, in_features, out_features, bias=True, dtype="float32"):
        self.in_features, self.out_features = in_features, out_features
        self.weight = Tensor([[0.5] * in_features for _ in range(out_features)], dtype)
        self.bias = Tensor([0.25] * out_features, dtype) if bias else None


class Sequential(list):
    """A stand-in for torch.nn.Sequential."""

    def __init__(self, *modules):
        super().__init__(modules)


def module(name, **settings):
    """A stand-in for a module without weights."""
    return type(name, (), settings)()


@pytest.fixture
def torch(monkeypatch):
    """A stand-in for PyTorch, as far as `to_torch` uses it."""
    made = types.ModuleType("torch")
    made.nn = types.SimpleNamespace(Linear=Linear, Sequential=Sequential)
    for name in ("ReLU", "Tanh", "Sigmoid", "SiLU", "GELU", "Softplus", "ELU", "LeakyReLU"):
        setattr(made.nn, name, lambda name=name, **settings: module(name, **settings))
    made.float64, made.tensor, made.no_grad = "float64", Tensor, contextlib.nullcontext
    monkeypatch.setitem(sys.modules, "torch", made)
    return made


def recorded():
    """The model whose outputs were recorded."""
    net = Sequential(Linear(2, 3), module("Tanh"), Linear(3, 2), module("GELU", approximate="none"), Linear(2, 1))
    for linear, (weight, bias) in zip(net[::2], RECORD["modules"], strict=True):
        linear.weight, linear.bias = Tensor(weight), Tensor(bias)
    return net


def test_outputs_are_those_of_pytorch():
    """Recorded weights, inputs and outputs."""
    model = from_torch(recorded())
    assert pytest.approx(RECORD["outputs"], rel=1e-14) == [model(x).data for x in RECORD["inputs"]]


def test_a_linear_layer():
    """It becomes a layer without an activation; without biases they are 0."""
    layer = from_torch(Linear(2, 3, bias=False))
    assert type(layer) is Layer
    assert ["linear"] * 3 == [neuron.kind for neuron in layer.neurons]
    assert [0.5, 0.5, 0.0] * 3 == [parameter.data for parameter in layer.parameters()]


def test_what_does_nothing_is_left_out():
    """Dropout and Identity; two linear layers have no activation between them."""
    net = Sequential(module("Dropout"), Linear(1, 2), module("Identity"), Linear(2, 1), module("Sigmoid"))
    assert ["linear", "sigmoid"] == [layer.neurons[0].kind for layer in from_torch(net).layers]


@pytest.mark.parametrize(
    ("net", "error", "message"),
    [
        (Sequential(), ValueError, "there is no Linear"),
        (Sequential(module("Tanh"), Linear(1, 1)), ValueError, "module 0, .*Tanh.* does not follow a Linear"),
        (Sequential(Linear(1, 1), module("Tanh"), module("Tanh")), ValueError, "module 2, .* has one activation here"),
        (
            Sequential(Linear(1, 1), module("Softmax")),
            ValueError,
            "module 1, .*Softmax.* has no counterpart here: ReLU,",
        ),
        (Sequential(Linear(1, 1), module("GELU", approximate="tanh")), ValueError, "approximate is 'none' and nothing"),
        (Sequential(Linear(1, 1), module("ELU", alpha=2.0)), ValueError, "alpha is 1.0 and nothing else"),
        (module("Conv1d"), TypeError, "pass a torch.nn.Linear or a torch.nn.Sequential of them, not .*Conv1d"),
        (Sequential(Linear(2, 3), Linear(2, 1)), ValueError, r"the shape \(1, 2\) in the state and \(1, 3\)"),
    ],
)
def test_what_cannot_come(net, error, message):
    """The message names the module."""
    with pytest.raises(error, match=message):
        from_torch(net)


@pytest.mark.parametrize(
    ("activation", "name", "settings"),
    [
        ("relu", "ReLU", {}),
        ("tanh", "Tanh", {}),
        ("sigmoid", "Sigmoid", {}),
        ("silu", "SiLU", {}),
        ("gelu", "GELU", {"approximate": "none"}),
        ("softplus", "Softplus", {"beta": 1.0, "threshold": 40.0}),
    ],
)
def test_activations_there_and_back(activation, name, settings, torch):
    """PyTorch gets its own module with the right settings, and it comes back as the same model."""
    model = MLP(2, [3, 1], activation=activation, seed=1)
    net = to_torch(model)
    assert ["Linear", name, "Linear"] == [type(part).__name__ for part in net]
    assert settings == {setting: getattr(net[1], setting) for setting in settings}
    again = from_torch(net)
    assert repr(model) == repr(again)
    assert [p.data for p in model.parameters()] == [p.data for p in again.parameters()]


def test_functions_are_known_by_what_they_are(torch):
    """`elu` and `leaky_relu` are functions of autograd.math, and so may tanh be."""
    import autograd.math as am

    model = MLP(1, [1, 1, 1], activation=[am.elu, am.leaky_relu, am.tanh], seed=1)
    net = to_torch(model)
    assert ["ELU", "LeakyReLU", "Tanh"] == [type(part).__name__ for part in net[1::2]]
    assert model([0.3]).data == from_torch(net)([0.3]).data


def test_a_layer_to_pytorch(torch):
    """Its weights as float64, in PyTorch's shape."""
    layer = Layer(2, 3, activation="linear", seed=1)
    (linear,) = to_torch(layer)
    assert (3, 2) == shape(linear.weight.tolist())
    assert layer.neurons[2].w[1].data == linear.weight.tolist()[2][1]
    assert "float64" == linear.weight.dtype


def test_what_cannot_go(torch):
    """The message says why."""
    layer = Layer(1, 2, activation="tanh")
    layer.neurons[1] = Neuron(1, activation="relu")
    with pytest.raises(ValueError, match="different activations: PyTorch has one"):
        to_torch(layer)
    with pytest.raises(ValueError, match=r"PyTorch has no module for the activation of .*Sin"):
        to_torch(Layer(1, 1, activation="sin"))
    with pytest.raises(TypeError, match="only a Layer or an MLP can go to PyTorch, not 3"):
        to_torch(3)


def test_without_pytorch(monkeypatch):
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="pip install torch"):
        to_torch(Layer(1, 1))
