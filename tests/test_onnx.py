"""Exported models give the same outputs in onnxruntime."""

import math

import numpy as np
import pytest

import autograd.math as am
from autograd import Value, custom_gradient, grad, rules, scan, vmap
from nn import MLP, Dropout, ElmanCell, GRUCell, Layer, Module, Neuron, Recurrent, Sequential
from nn.onnx import to_onnx

onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")

X = np.random.default_rng(0).normal(size=(40, 3))
WITHOUT = {"gamma", "lgamma", "digamma"}
UNARY = [name for name, rule in rules.TABLE.items() if rule.arity == 1 and name not in WITHOUT]
SPECIAL = [0.0, -0.0, 1e-300, -1e-300, 1e-17, 1e-9, -1e-9, 1e-3, 0.3, -0.3, 0.5, 1.0, -1.0, 1.5, 2.5, -2.5, 5.0, -5.0,
           30.0, -30.0, 300.0, -300.0, 710.2, -710.2, 1e10, -1e10, math.inf, -math.inf, math.nan]  # fmt: skip


def run(model, x, **options):
    """The outputs of the exported model in onnxruntime."""
    content = to_onnx(model, **options).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.asarray(x, dtype=options.get("dtype", "float64"))})[0]


def outputs(model, x):
    """The outputs of the model here."""
    return np.array([[getattr(y, "data", y) for y in row] if isinstance(row, list) else getattr(row, "data", row)
                     for row in (model(row.tolist()) for row in x)])  # fmt: skip


def assert_same(model, x, tolerance=1e-13, **options):
    """Equal in shape and, relative to the largest number, in value."""
    expected, actual = outputs(model, x), run(model, x, **options)
    np.testing.assert_allclose(
        actual, expected, rtol=tolerance, atol=tolerance * np.nanmax(np.abs(expected), initial=0)
    )


def inside_the_domain(activation):
    """A model, and observations for which its outputs are finite."""
    model, x = MLP(3, [4, 2], activation=activation, seed=1), X
    if activation == "acosh":
        x = abs(X) + 1.0
        for parameter in model.layers[0].parameters():
            parameter.data = abs(parameter.data) + 0.5
    x = x[np.isfinite(outputs(model, x)).all(axis=1)]
    assert len(x)
    return model, x


@pytest.mark.parametrize("activation", ["linear", *UNARY])
def test_every_activation(activation):
    """A layer with each row of the table that ONNX can express."""
    assert_same(*inside_the_domain(activation))


@pytest.mark.parametrize("name", UNARY)
def test_special_numbers(name):
    """Infinities, nan, huge and tiny numbers, and the borders of domains."""
    expected = np.array([rules.TABLE[name](x) for x in SPECIAL])
    actual = run(lambda x: rules.TABLE[name](x[0]), np.array(SPECIAL)[:, None], inputs=1)
    tail = 1e-14 if name in ("sigmoid", "silu") else 1e-16  # onnxruntime's sigmoid is below 1e-16 off
    np.testing.assert_allclose(actual, expected, rtol=2e-14, atol=tail)


@pytest.mark.parametrize("name", UNARY)
def test_every_activation_in_single_precision(name):
    """With float32, and still no other shape."""
    model, kept = inside_the_domain(name)
    assert "float32" == run(model, kept, dtype="float32").dtype
    assert_same(model, kept, tolerance=2e-3 if name == "tan" else 2e-5, dtype="float32")


@pytest.mark.parametrize(
    "function",
    [
        lambda x: am.atan(x[0]) + x[1] ** 2 / (1.0 + abs(x[2])),
        lambda x: am.where(x[0] > 0.0, x[1], x[2]),
        lambda x: (x[0] > 0.0) * x[1] + (x[0] <= x[1]),
        lambda x: am.where((x[0] > 0.0) & (x[1] != x[2]) | (x[2] < -1.0), 1.0, x[2]),
        lambda x: am.max(x) - am.min(x[0], 0.5),
        lambda x: am.logsumexp(x) + am.mean(x) + am.prod(x) + am.sum(x) + am.fsum(x),
        lambda x: am.hypot(*x) + am.logaddexp(x[0], x[1]) + am.leaky_relu(x[2]) + am.elu(x[0]),
        lambda x: am.fma(x[0], x[1], x[2]) + am.clip(x[0], -0.5, 0.5) + am.copysign(x[0], x[1]),
        lambda x: am.dot(x, x) + am.dot([1.0, 2.0, 3.0], x) + am.dot([x[0], 1.0], [2.0, x[1]]),
        lambda x: [x[0], 1.0, Value(2.0), x[1] > 0.0],
        lambda x: 3.0,
        lambda x: [x[0]],
        lambda x: sum(vmap(lambda y: am.tanh(y) * 2.0)(x)),
        lambda x: scan(lambda total, y: (am.tanh(total + y), total), 0.0, x)[0],
        lambda x: x[0].data * Value(3.0).tanh() + 2.0 ** x[1],
    ],
)
def test_functions(function):
    """Arithmetic, choices, sums, maps and loops."""
    expected = np.array([[float(getattr(y, "data", y)) for y in row] if isinstance(row, list)
                         else float(getattr(row, "data", row)) for row in
                         (function([Value(x) for x in row]) for row in X.tolist())])  # fmt: skip
    np.testing.assert_allclose(run(function, X, inputs=3), expected, rtol=1e-13, atol=1e-14)


class Attention(Module):
    """A module of a user: a weighted mean of the rows of a sequence."""

    def __init__(self):
        self.score, self.out = Layer(2, 1, activation="tanh", seed=1), MLP(2, [4, 2], "silu", seed=2)

    def __call__(self, x):
        """The outputs for a sequence."""
        scores = [am.exp(self.score(row)) for row in x]
        total = am.sum(scores)
        return self.out([am.dot(scores, [row[k] for row in x]) / total for k in range(2)])


def test_a_module_of_the_user_on_a_sequence():
    """Inputs of shape (steps, inputs)."""
    x = np.random.default_rng(1).normal(size=(20, 5, 2))
    assert_same(Attention(), x, inputs=(5, 2))


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (MLP(3, [4, 1], seed=1), (40,)),
        (MLP(3, [4, 2], seed=1), (40, 2)),
        (MLP(3, [2], activation=[lambda x: x * x + 1.0], seed=1), (40, 2)),
        (MLP(3, [2, 2], activation=[lambda x: 1.0, "tanh"], seed=1), (40, 2)),
        (Layer(3, 1, activation="sigmoid", seed=1), (40,)),
        (Neuron(3, activation="gelu", seed=1), (40,)),
    ],
)
def test_layers_and_their_shapes(model, shape):
    """One output is a vector, several are a matrix."""
    assert shape == run(model, X).shape
    assert_same(model, X)


@pytest.mark.parametrize(
    "model",
    [
        Sequential(Layer(3, 4, activation="tanh", seed=1), Dropout(0.5), Layer(4, 2, activation="linear", seed=2)),
        Sequential(Layer(3, 4, activation="linear", seed=1), "gelu", MLP(4, [3, 2], "relu", seed=2), "sigmoid"),
        Sequential(MLP(3, [4, 1], seed=1), "tanh"),
        Sequential(Layer(3, 1, seed=1), am.tanh, Layer(1, 2, seed=2)),
        Sequential(Sequential(Layer(3, 3, activation="silu", seed=1)), Sequential(Layer(3, 2, seed=2))),
    ],
)
def test_sequential_models_are_matrix_products(model):
    """A Sequential of layers and activations needs no number of inputs."""
    assert_same(model, X)
    assert "MatMul" not in {node.op_type for node in to_onnx(model).graph.node}


@pytest.mark.parametrize("cell", [ElmanCell(2, 3, seed=1), GRUCell(2, 3, seed=1)], ids=["Elman", "GRU"])
def test_recurrent_cells(cell):
    """The loop over a sequence of known length is written down step by step."""
    x = np.random.default_rng(1).normal(size=(20, 6, 2))
    model = Sequential(Recurrent(cell), Layer(3, 2, activation="linear", seed=2))
    with pytest.raises(ValueError, match="pass inputs"):
        to_onnx(model)
    assert_same(model, x, inputs=(6, 2))


def test_a_sequential_that_begins_with_a_function():
    """It is run on symbols."""
    model = Sequential(lambda x: [x[0] * x[1], x[2]], "tanh", Layer(2, 1, activation="linear", seed=1))
    assert_same(model, X, inputs=3)


def test_neurons_that_differ():
    """A layer whose neurons were replaced is no matrix, but a model all the same."""
    layer = Layer(3, 2, activation="tanh", seed=1)
    layer.neurons[1] = Neuron(3, activation="relu", seed=2)
    with pytest.raises(ValueError, match="pass inputs"):
        to_onnx(layer)
    assert_same(layer, X, inputs=3)


def test_a_subclass_is_run():
    """It may do something else than its base."""

    class Squared(MLP):
        def __call__(self, x):
            return super().__call__(x) ** 2

    assert_same(Squared(3, [2, 1], seed=1), X, inputs=3)


def test_layers_are_matrix_products():
    """Two nodes for each layer, whatever its size."""
    graph = to_onnx(MLP(64, [32, 10], activation="relu", seed=1)).graph
    assert 6 >= len(graph.node)
    assert 64 * 32 + 32 + 320 + 10 == sum(math.prod(c.dims) for c in graph.initializer if c.data_type == 11)


def test_no_observations_and_one():
    """The number of observations is known at the call only."""
    model = MLP(3, [2], seed=1)
    assert (0, 2) == run(model, X[:0]).shape
    assert (1, 2) == run(model, X[:1]).shape


def test_the_file(tmp_path):
    """It holds the model that is returned."""
    returned = to_onnx(MLP(3, [2], seed=1), tmp_path / "model.onnx")
    assert returned == onnx.load(tmp_path / "model.onnx")


def test_later_training_does_not_change_the_graph():
    """The weights are copied."""
    model = Neuron(1, seed=1)
    graph = to_onnx(model)
    before = graph.SerializeToString()
    model.w[0].data = 7.0
    assert before == graph.SerializeToString()


@custom_gradient
def smooth(x):
    """A primitive of the user."""
    return x * 2.0, lambda message: (message * 2.0,)


@pytest.mark.parametrize(
    ("model", "options", "error", "message"),
    [
        (MLP(3, [1]), {"inputs": 2}, ValueError, "takes 3 inputs, not 2"),
        (MLP(3, [1]), {"dtype": "float16"}, ValueError, "dtype must be 'float64' or 'float32', not 'float16'"),
        (lambda x: x[0], {}, ValueError, "pass inputs, the number of inputs of an observation"),
        (lambda x: x[0], {"inputs": 0}, ValueError, "a positive whole number, or a shape, not 0"),
        (lambda x: x[0], {"inputs": True}, ValueError, "a positive whole number, or a shape, not True"),
        (lambda x: x[0], {"inputs": ()}, ValueError, r"a positive whole number, or a shape, not \(\)"),
        (lambda x: x[0] if x[0] > 0 else 0.0, {"inputs": 1}, TypeError, "branches on an input.*test_onnx.py"),
        (lambda x: x[0] if x[0] else 0.0, {"inputs": 1}, TypeError, "branches on an input"),
        (lambda x: math.exp(x[0]), {"inputs": 1}, TypeError, "autograd.math"),
        (lambda x: am.gamma(x[0]), {"inputs": 1}, NotImplementedError, "ONNX has no gamma, which is applied at"),
        (lambda x: grad(lambda y: y * y)(x[0]), {"inputs": 1}, TypeError, "taking a derivative cannot be exported"),
        (lambda x: {"a": x[0]}, {"inputs": 1}, TypeError, "must return a number or a list of numbers, not {'a'"),
        (lambda x: [[x[0]]], {"inputs": 1}, TypeError, "must return a number or a list of numbers"),
        (lambda x: [], {"inputs": 1}, TypeError, "must return a number or a list of numbers"),
    ],
)
def test_errors(model, options, error, message):
    """Each names what is wrong."""
    with pytest.raises(error, match=message):
        to_onnx(model, **options)


def test_values_work_as_before_after_an_error():
    """The recorder is gone."""
    with pytest.raises(TypeError):
        to_onnx(lambda x: x[0] if x[0] > 0 else 0.0, inputs=1)
    x = Value(3.0)
    (x * x).backward()
    assert 6.0 == x.grad
