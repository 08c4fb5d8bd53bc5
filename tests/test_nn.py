"""Networks compute what the algebra says, find and name their parameters, and refuse invalid arguments."""

import copy
import math
import pickle
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd.math as am
from autograd import Value, grad, topological_order, value_and_grad
from autograd.tree import flatten, to_floats
from nn import (
    MLP,
    SGD,
    Layer,
    Module,
    Neuron,
    binary_cross_entropy_with_logits,
    cross_entropy_with_logits,
    half_sum_of_squares,
    hinge,
    mean_squared_error,
)

LOSSES = [half_sum_of_squares, mean_squared_error, hinge, binary_cross_entropy_with_logits]
numbers = st.floats(-5, 5)


def test_neuron_is_activation_of_one_dot_plus_bias():
    """w · x + b is two nodes for any number of inputs, and the activation one more."""
    neuron = Neuron(10, activation="tanh", seed=0)
    neuron.b.data = 0.5
    x = [0.1 * i for i in range(10)]
    output = neuron(x)
    z = sum(w.data * xi for w, xi in zip(neuron.w, x, strict=True)) + 0.5
    assert math.tanh(z) == pytest.approx(output.data, abs=1e-15)
    assert ["dot", "add", "tanh"] == [node.op.name for node in topological_order(output) if node.op]


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.data())
def test_mlp_equals_matrix_algebra(sizes, data):
    """For any widths and depth: layer by layer tanh(W a + b), the last layer without tanh."""
    model = MLP(sizes[0], sizes[1:], activation="tanh", seed=3)
    x = data.draw(st.lists(numbers, min_size=sizes[0], max_size=sizes[0]))
    a = np.array(x)
    for layer in model.layers:
        z = np.array([[w.data for w in n.w] for n in layer.neurons]) @ a + [n.b.data for n in layer.neurons]
        a = np.tanh(z) if layer is not model.layers[-1] else z
    outputs = model(x)
    np.testing.assert_allclose(a, [o.data for o in (outputs if sizes[-1] > 1 else [outputs])], atol=1e-12)


def test_activation_per_layer():
    """A sequence names one activation for each layer: names of unary primitives, 'linear', or functions."""
    model = MLP(1, [1, 1, 1], activation=["sigmoid", am.leaky_relu, "linear"], seed=1)
    assert "MLP of [Layer of [SigmoidNeuron(1)], Layer of [Leaky_reluNeuron(1)], Layer of [LinearNeuron(1)]]" == repr(
        model
    )
    ops = [node.op.name for node in topological_order(model([1.0])) if node.op]
    assert ["dot", "add", "sigmoid", "dot", "add", "leaky_relu", "dot", "add"] == ops


def test_same_seed_same_network():
    """A seed fixes the weights, even if other code draws random numbers; without one the global `random` is used."""
    first = [p.data for p in MLP(2, [3, 1], seed=7).parameters()]
    random.random()
    assert first == [p.data for p in MLP(2, [3, 1], seed=7).parameters()]
    assert first != [p.data for p in MLP(2, [3, 1], seed=8).parameters()]
    weights = [w for w in first if w != 0.0]
    assert len(set(weights)) == len(weights) == 9  # all different: no neuron repeats the random numbers of another
    random.seed(5)
    expected = [random.uniform(-1, 1) for _ in range(6)]
    random.seed(5)
    assert expected == [w.data for neuron in Layer(2, 3).neurons for w in neuron.w]


def test_every_parameter_has_its_path_as_label():
    """Label, name in named_parameters and place in the network are the same."""
    model = MLP(2, [2, 1], seed=0)
    expected = [
        *("layers[0].neurons[0].w[0]", "layers[0].neurons[0].w[1]", "layers[0].neurons[0].b"),
        *("layers[0].neurons[1].w[0]", "layers[0].neurons[1].w[1]", "layers[0].neurons[1].b"),
        *("layers[1].neurons[0].w[0]", "layers[1].neurons[0].w[1]", "layers[1].neurons[0].b"),
    ]
    assert expected == [name for name, _ in model.named_parameters()]
    assert expected == [parameter.label for parameter in model.parameters()]
    assert model.layers[0].neurons[1].b is dict(model.named_parameters())["layers[0].neurons[1].b"]


def test_outputs_carry_the_path_of_their_neuron():
    """The label of an output says which neuron made it."""
    hidden = MLP(1, [2, 1], activation="tanh", seed=0)([1.0]).parents[0].parents
    labels = [node.label for node in hidden]
    assert ["layers[1].neurons[0].w[0]", "layers[1].neurons[0].w[1]"] == labels[:2]
    assert ["layers[0].neurons[0]", "layers[0].neurons[1]"] == labels[2:]


class Custom(Module):
    """A user's module: parameters in every kind of container, shared ones, and settings."""

    def __init__(self):
        self.scale = 2.0
        self.table = {"a": Value(1.0), "b": [Value(2.0)]}
        self.array = np.array([Value(3.0), Value(4.0)])
        self.inner = Neuron(1, activation="linear", seed=0)
        self.tied = self.inner
        self.data = np.zeros(100)

    def __call__(self, x):
        """A number that depends on every parameter."""
        return self.scale * x * self.table["a"] + self.table["b"][0] * self.array.sum() + self.inner([x])


def test_parameters_of_a_module_of_ones_own():
    """Values are found in lists, dictionaries, arrays and modules, a shared one once; floats are settings."""
    names = [name for name, _ in Custom().named_parameters()]
    assert ["table['a']", "table['b'][0]", "array[0]", "array[1]", "inner.w[0]", "inner.b"] == names


def test_gradient_by_a_module_is_a_module():
    """grad takes a model and returns a model, with the numbers that backward stores in .grad."""
    model = Custom()
    x = 1.5
    value, gradient = value_and_grad(lambda model, x: model(x) ** 2)(model, x)
    loss = model(x) ** 2
    loss.backward()
    assert isinstance(gradient, Custom)
    assert 2.0 == gradient.scale
    assert loss.data == value.data
    w, b = [gradient.inner.w[0].data + gradient.tied.w[0].data, gradient.inner.b.data + gradient.tied.b.data]
    table, array = gradient.table, gradient.array
    expected = [table["a"].data, table["b"][0].data, array[0].data, array[1].data, w, b]
    assert expected == pytest.approx([p.grad for p in model.parameters()])


def test_module_of_plain_numbers():
    """With floats as parameters a module computes floats, and is still a tree of those numbers."""
    model = MLP(2, [3, 1], activation="tanh", seed=1)
    plain = to_floats(model)
    leaves, rebuild = flatten(plain)
    assert [p.data for p in model.parameters()] == leaves
    assert model([1.0, 2.0]).data == plain([1.0, 2.0]) == rebuild(leaves)([1.0, 2.0])
    assert isinstance(grad(lambda model: model([1.0, 2.0]))(plain).layers[0].neurons[0].b, float)


def test_second_derivative_through_a_module():
    """grad of grad works through a network: d²/dx² of tanh(w x + b)."""
    neuron = Neuron(1, activation="tanh", seed=4)
    (w,) = neuron.w
    second = grad(grad(lambda x: neuron([x])))(0.3)
    y = math.tanh(w.data * 0.3)
    assert -2 * y * (1 - y * y) * w.data**2 == pytest.approx(second, rel=1e-12)


def test_zero_grad_resets_parameters():
    """After zero_grad a second backward gives the same gradients as the first, not twice as much."""
    model = MLP(2, [3, 1], seed=1)
    model([1.0, 2.0]).backward()
    first = [p.grad for p in model.parameters()]
    model.zero_grad()
    assert [0.0] * 13 == [p.grad for p in model.parameters()]
    model([1.0, 2.0]).backward()
    assert first == [p.grad for p in model.parameters()]


@pytest.mark.parametrize("remake", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_independent(remake):
    """A copied or pickled model gives the same outputs and shares no parameter."""
    model = MLP(2, [3, 1], activation="tanh", seed=1)
    twin = remake(model)
    expected = model([1.0, 2.0]).data
    assert expected == twin([1.0, 2.0]).data
    for parameter in model.parameters():
        parameter.data = 0.0
    assert expected == twin([1.0, 2.0]).data
    assert [p.label for p in model.parameters()] == [p.label for p in twin.parameters()]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Neuron(0), "number of inputs must be a whole number of at least 1, not 0"),
        (lambda: Layer(2, 2.5), "number of neurons must be a whole number of at least 1, not 2.5"),
        (lambda: MLP(2, []), "at least one layer"),
        (lambda: MLP(2, [3, 1], activation=["tanh"]), "2 layers need as many activations, not 1"),
        (lambda: MLP(2, [3, 1], activation="tanhh"), "'linear' or one of .*tanh.*; not 'tanhh'"),
        (lambda: MLP(2, [1], activation="tanhh"), "'linear' or one of .*tanh.*; not 'tanhh'"),
        (lambda: MLP(2, [3, 1], activation=["tanh", None]), r"'linear' for none; not None in \['tanh', None\]"),
        (lambda: MLP(2, [3, 1], activation=None), "activation must be a function, .*; not None"),
        (lambda: Neuron(2, activation="dot"), "not 'dot'"),
        (lambda: Neuron(2, True, activation="tanh"), "activation='tanh' or nonlin=True, not both"),
        (lambda: MLP(2, [3, 1])([1.0]), r"ReLUNeuron\(2\) at layers\[0\].neurons\[0\] takes a sequence of 2 .* not 1"),
        (lambda: MLP(3, [2, 1])(np.zeros((3, 1))), r"takes a sequence of 3 inputs, not an array of shape \(3, 1\)"),
        (
            lambda: Neuron(2)(3.0),
            r"takes a sequence of 2 inputs, not one number: pass \[x\]; of a 1-d array X, X.reshape\(-1, 1\)",
        ),
        (lambda: hinge([0.5], [0]), "1 or -1, not 0"),
        (lambda: binary_cross_entropy_with_logits([0.5], [-1]), "from 0 to 1, not -1"),
        (lambda: mean_squared_error([[1.0], [2.0]], [[1.0], [2.0, 3.0]]), r"outputs\[1\] and targets\[1\].*1 .*2 "),
        (lambda: half_sum_of_squares([1.0], 1.0), "1 numbers, one number"),
        (lambda: mean_squared_error(np.ones((2, 3)), np.ones((3, 2))), r"shape \(2, 3\), an array of shape \(3, 2\)"),
        (lambda: hinge({"a": 1.0}, {"b": 1}), r"scores and labels differ in shape: the keys \['a'\], the keys \['b'\]"),
        (lambda: cross_entropy_with_logits([[1.0, 2.0]], [2]), "from 0 to 1, not 2"),
        (lambda: cross_entropy_with_logits([[1.0, 2.0]], [0.5]), "from 0 to 1, not 0.5"),
        (lambda: cross_entropy_with_logits([[1.0, 2.0]], [1, 0]), "1 rows of logits need as many classes, not 2"),
        (lambda: cross_entropy_with_logits([1.0, 2.0], [1, 0]), "rows with one number per class, not 1.0"),
        (lambda: SGD([], 0.1), "no parameters"),
        (lambda: SGD([Value(1.0) * 2], 0.1), r"leaf, not the computed node mul\(1.0, 2.0\)"),
        (lambda: SGD([Value(1.0)], -0.1), "positive number, not -0.1"),
        (lambda: SGD([Value(1.0)], math.nan), "positive number, not nan"),
    ],
)
def test_wrong_input_is_named(make, message):
    """Each error names the number that was wrong."""
    with pytest.raises(ValueError, match=message):
        make()


def test_what_is_held_twice_has_one_name():
    """A layer in two places has one name, its label, and a module may refer to the one that holds it."""

    class Tied(Module):
        def __init__(self):
            self.inner, self.weight = Neuron(1, seed=1), Value(1.0)
            self.again, self.once_more, self.inner.owner = self.inner, self.weight, self

    tied = Tied()
    names = ["inner.w[0]", "inner.b", "weight"]
    assert names == [name for name, _ in tied.named_parameters()]
    assert names == [parameter.label for parameter in tied.parameters()]
    assert "inner" == tied.again.path


def test_losses_match_arrays_with_lists_and_keys_with_keys():
    """Targets may be an ndarray if the outputs are lists; dictionaries may differ in order."""
    assert 2.0 == half_sum_of_squares([[1.0, 2.0], [3.0, 4.0]], np.array([[1.0, 2.0], [3.0, 6.0]]))
    assert 0.0 == mean_squared_error({"a": 1.0, "b": 2.0}, {"b": 2.0, "a": 1.0})


@pytest.mark.parametrize("seed", ["a", 1.5, np.random.default_rng(0)])
def test_seeds_that_would_repeat_are_refused(seed):
    """Only whole numbers and generators may seed a network: other objects would seed every neuron alike."""
    with pytest.raises(TypeError, match=r"seed must be a whole number or a random.Random, not"):
        MLP(2, [3, 1], seed=seed)
    assert repr(MLP(2, [3], seed=7).parameters()) == repr(MLP(2, [3], seed=np.int64(7)).parameters())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLP(2, 3), r"nouts must be a sequence with the size of each layer, such as \[16, 1\], not 3"),
        (lambda: SGD(MLP(1, [1]), 0.1), r"such as model.parameters\(\), not MLP of"),
        (lambda: SGD([MLP(1, [1]).parameters()], 0.1), r"a parameter must be a Value, not \[Value.* of type list"),
        (lambda: SGD([Value(1.0)], "0.1"), "'0.1' of type str is text, not a number"),
        (lambda: SGD([Value(1.0)], None), "None is not a number"),
    ],
)
def test_wrong_types_are_named(make, message):
    """Each error says what to pass instead."""
    with pytest.raises(TypeError, match=message):
        make()


def test_sgd_changes_a_shared_parameter_once():
    """A parameter that is in two lists of parameters takes one step, not two."""
    shared = Value(1.0)
    shared.grad = 1.0
    SGD([shared, shared], learning_rate=0.25).step()
    assert 0.75 == shared.data


def test_sgd_takes_values_only():
    """The error names what was passed and its type."""
    with pytest.raises(TypeError, match=r"must be a Value, not 1.0 of type float"):
        SGD([1.0], 0.1)


@given(st.lists(st.tuples(numbers, st.sampled_from([-1, 1])), min_size=1, max_size=5))
def test_losses_equal_their_formulas(pairs):
    """Each loss of a batch against its definition, in plain floats."""
    outputs, labels = [o for o, _ in pairs], [t for _, t in pairs]
    n = len(pairs)
    yes = [(t + 1) // 2 for t in labels]
    p = [1 / (1 + math.exp(-z)) for z in outputs]
    likelihood = [q if t else 1 - q for q, t in zip(p, yes, strict=True)]
    squares = [(t - o) ** 2 for o, t in pairs]
    expected = [
        sum(squares) / 2,
        sum(squares) / n,
        sum(max(0.0, 1 - t * o) for o, t in pairs) / n,
        -sum(map(math.log, likelihood)) / n,
    ]
    targets = [labels, labels, labels, yes]
    actual = [loss(outputs, t) for loss, t in zip(LOSSES, targets, strict=True)]
    assert expected == pytest.approx(actual, rel=1e-12, abs=1e-12)
    rows = [[0.0, z] for z in outputs]  # two classes with these logits are the binary case
    assert expected[3] == pytest.approx(cross_entropy_with_logits(rows, yes), rel=1e-12, abs=1e-12)


def test_gradient_of_cross_entropy_is_softmax_minus_one_hot():
    """The identity that every textbook derives, here for a batch of two."""
    logits = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 3.0]])
    classes = [2, 0]
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = (softmax - np.eye(3)[classes]) / 2
    np.testing.assert_allclose(expected, grad(cross_entropy_with_logits)(logits, classes), atol=1e-15)


def test_cross_entropies_do_not_overflow():
    """Logits of ±1000 give the exact loss and gradient."""
    assert 1000.0 == binary_cross_entropy_with_logits([1000.0], [0])
    assert [1.0] == grad(binary_cross_entropy_with_logits)([1000.0], [0])
    assert 2000.0 == cross_entropy_with_logits([[1000.0, -1000.0]], [1])
    assert [[1.0, -1.0]] == grad(cross_entropy_with_logits)([[1000.0, -1000.0]], [1])


def test_sgd_follows_the_gradient():
    """One step is data - rate · grad, and does no backpropagation."""
    x, y = Value(1.0), Value(2.0)
    x.grad, y.grad = 10.0, -4.0
    optimiser = SGD([x, y], learning_rate=0.5)
    optimiser.step()
    optimiser.learning_rate = 0.25
    optimiser.step()
    assert [1.0 - 5.0 - 2.5, 2.0 + 2.0 + 1.0] == [x.data, y.data]
    assert [10.0, -4.0] == [x.grad, y.grad]
    optimiser.zero_grad()
    assert [0.0, 0.0] == [x.grad, y.grad]


def test_training_learns_exclusive_or():
    """The whole training loop: an MLP learns what no single neuron can."""
    inputs, targets = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    model = MLP(2, [4, 1], activation="tanh", seed=0)
    optimiser = SGD(model.parameters(), learning_rate=0.5)
    for _ in range(300):
        optimiser.zero_grad()
        loss = binary_cross_entropy_with_logits([model(x) for x in inputs], targets)
        loss.backward()
        optimiser.step()
    assert loss.data < 0.05
    assert targets == [int(model(x) > 0) for x in inputs]
