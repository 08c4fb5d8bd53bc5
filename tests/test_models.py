"""Models of parts: sequences, recurrent cells, dropout, initialisers; their predictions and summaries."""

import copy
import gc
import math
import pickle
import random
import weakref

import numpy as np
import pytest

import autograd.math as am
from autograd import Value, jit, value_and_grad
from autograd.testing import check_grads
from nn import (
    MLP,
    Dropout,
    ElmanCell,
    GRUCell,
    Layer,
    Module,
    Neuron,
    Recurrent,
    Sequential,
    half_sum_of_squares,
    mean_squared_error,
    training,
)
from nn.initialisers import INITIALISERS

SEQUENCE = [[0.1, 0.2], [0.3, -0.4], [0.5, 0.6], [0.2, 0.1], [-0.3, 0.8]]


def numbers(model):
    """The parameters as they are."""
    return [parameter.data for parameter in model.parameters()]


# ---- Sequential ------------------------------------------------------------------------------------------------------


def test_parts_follow_one_another():
    """Layers, names and rows of the table are applied to each number, other functions to all of them."""
    layer = Layer(2, 3, activation="linear", seed=0)
    model = Sequential(layer, "tanh", am.exp, lambda xs: [xs[0] - xs[1], xs[2]], MLP(2, [1], seed=1))
    inside = [math.exp(math.tanh(x.data)) for x in layer([0.5, -1.0])]
    expected = model.parts[-1]([inside[0] - inside[1], inside[2]]).data
    assert expected == pytest.approx(model([0.5, -1.0]).data, rel=1e-15)
    assert repr(model).startswith("Sequential of [Layer of [LinearNeuron(2), ")
    assert ["parts[0].neurons[0].w[0]", "parts[4].layers[0].neurons[0].b"] == [
        model.parameters()[i].label for i in (0, -1)
    ]


def test_a_shared_layer_has_one_gradient():
    """The gradient of weights that are used twice is the sum over both places."""
    shared = Layer(1, 1, activation="linear", seed=0)
    model = Sequential(shared, "tanh", shared)
    w, b = numbers(model)
    loss = half_sum_of_squares([model([0.7])], [1.0])
    loss.backward()
    h = math.tanh(w * 0.7 + b)
    error = w * h + b - 1.0
    assert error * (h + w * (1 - h * h) * 0.7) == pytest.approx(shared.neurons[0].w[0].grad, rel=1e-14)
    assert 2 == len(model.parameters())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (Sequential, ValueError, "at least one part"),
        (lambda: Sequential("tanhh"), ValueError, "not 'tanhh'"),
        (lambda: Sequential("linear"), ValueError, "'linear' is no part"),
        (lambda: Sequential(Layer), TypeError, r"make one, Layer\(...\)"),
        (lambda: Sequential([Layer(1, 1)]), TypeError, r"pass the parts one by one, Sequential\(\*parts\)"),
        (lambda: Sequential(3), TypeError, "not 3"),
        (lambda: Recurrent(Layer(1, 1)), TypeError, "Recurrent needs a cell"),
        (lambda: Recurrent(ElmanCell(1, 2))([]), ValueError, "at least one step"),
        (lambda: ElmanCell(1, 0), ValueError, "the size of the state must be a whole number of at least 1, not 0"),
        (lambda: GRUCell(0, 1), ValueError, "the number of inputs must be"),
        (lambda: Dropout(1.0), ValueError, "rate must be a number of at least 0 and below 1"),
        (lambda: Layer(1, 1, initialiser="zeros"), ValueError, "one of uniform, xavier_uniform, .* not 'zeros'"),
        (lambda: MLP(1, [1]).predict([[math.nan]]), ValueError, r"X\[0, 0\] is nan"),
        (lambda: MLP(1, [1]).predict([["a"]]), TypeError, "X must hold numbers only"),
        (lambda: MLP(2, [1]).predict([[1.0]]), ValueError, "takes a sequence of 2 inputs"),
    ],
)
def test_wrong_parts_are_named(make, error, message):
    """Each error says what was wrong."""
    with pytest.raises(error, match=message):
        make()


# ---- recurrent cells -------------------------------------------------------------------------------------------------


def test_elman_cell_is_that_of_pytorch():
    """The last state after three steps of PyTorch 2.13's RNN with these weights; its two biases are added."""
    inputs = [[0.5427704542528102, 0.23996970930833822], [-0.04690053743811316, 0.48583757737745087]]
    inputs += [[0.16745942958373375, 0.336188627848581]]
    states = [[-0.3711136225274598, -0.17192610627289664, 0.09392440389406984]]
    states += [[-0.2445241293597893, -0.05442236557141127, -0.3731997610970006]]
    states += [[-0.1671235520669772, 0.14076405628150718, -0.02095966138980555]]
    biases = [-0.06835769562526114, -0.10706201599905593, -0.340130214715655]
    more = [0.19056967039182712, 0.3289440462257218, -0.3344399873444218]
    cell = ElmanCell(2, 3)
    for neuron, *weights, b, c in zip(cell.layer.neurons, inputs, states, biases, more, strict=True):
        for parameter, number in zip(neuron.w, [x for part in weights for x in part], strict=True):
            parameter.data = number
        neuron.b.data = b + c
    expected = [0.42394136077629047, 0.6146077671211368, -0.3426175062630194]
    assert expected == pytest.approx([x.data for x in Recurrent(cell)(SEQUENCE[:3])], rel=1e-12)


def test_gru_cell_is_its_formula():
    """The update of Cho et al., in NumPy."""
    cell = GRUCell(2, 3, seed=0)

    def affine(layer, x):
        return np.array([[w.data for w in n.w] for n in layer.neurons]) @ x + [n.b.data for n in layer.neurons]

    h = np.zeros(3)
    for x in SEQUENCE:
        r, z = [1 / (1 + np.exp(-affine(layer, [*x, *h]))) for layer in (cell.reset, cell.update)]
        n = np.tanh(affine(cell.candidate, [*x, *(r * h)]))
        h = (1 - z) * n + z * h
    np.testing.assert_allclose(h, [x.data for x in Recurrent(cell)(SEQUENCE)], rtol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("cell", [ElmanCell, GRUCell])
def test_gradients_through_time_are_right(cell):
    """Against finite differences and, compiled as a loop, against the graph."""
    model = Sequential(Recurrent(cell(2, 2, seed=0)), Layer(2, 1, activation="linear", seed=1))

    def loss(model, sequence):
        return (model(sequence) - 1.0) ** 2

    check_grads(loss, (model, SEQUENCE), order=1, modes=("rev",))
    eager, compiled = value_and_grad(loss)(model, SEQUENCE), jit(value_and_grad(loss))(model, SEQUENCE)
    assert eager[0].data == pytest.approx(compiled[0].data)
    np.testing.assert_allclose(numbers(eager[1]), numbers(compiled[1]), rtol=1e-12)


def test_every_state_is_returned_if_asked_for():
    """The last of them is the one that is returned otherwise; a sequence of numbers has one input in each step."""
    cell = ElmanCell(1, 2, seed=0)
    states = Recurrent(cell, every=True)([0.1, 0.2, 0.3])
    assert 3 == len(states)
    assert [x.data for x in states[-1]] == [x.data for x in Recurrent(cell)([[0.1], [0.2], [0.3]])]


# ---- dropout ---------------------------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean_and_has_a_seed():
    """In training about the given share is 0 and the others are scaled up; outside nothing changes."""
    dropout, xs = Dropout(0.25), [1.0] * 4000
    assert dropout(xs) is xs
    with training(seed=3):
        first = dropout(xs)
    with training(seed=3):
        assert first == dropout(xs)
        assert first != dropout(xs)
    assert {0.0, 1 / 0.75} == set(first)
    assert 1.0 == pytest.approx(sum(first) / 4000, abs=0.03)
    with training(random.Random(0)):
        assert dropout(3.0) in (0.0, 4.0)
        assert xs == Dropout(0.0)(xs)


def test_an_output_that_is_dropped_has_no_gradient():
    """Its adjoint is 0, that of the others is scaled up."""
    xs = [Value(float(i)) for i in range(20)]
    with training(seed=0):
        kept = Dropout(0.5)(xs)
    am.sum(kept).backward()
    assert {0.0, 2.0} == {x.grad for x in xs}


# ---- initialisers ----------------------------------------------------------------------------------------------------

SPREAD = {
    "uniform": 1 / 3,
    "xavier_uniform": 2 / 150,
    "xavier_normal": 2 / 150,
    "he_uniform": 2 / 100,
    "he_normal": 2 / 100,
}


@pytest.mark.parametrize("name", INITIALISERS)
def test_initialisers_have_their_variance(name):
    """For a layer of 50 neurons with 100 inputs; the same seed gives the same weights, biases are 0."""
    layers = [Layer(100, 50, initialiser=name, seed=5) for _ in range(2)]
    weights = np.array([w.data for neuron in layers[0].neurons for w in neuron.w])
    assert SPREAD[name] == pytest.approx(weights.var(), rel=0.06)
    assert abs(weights.mean()) < 4 * math.sqrt(SPREAD[name] / 5000)
    assert numbers(layers[0]) == numbers(layers[1])
    assert {0.0} == {neuron.b.data for neuron in layers[0].neurons}


def test_initialisers_of_ones_own():
    """A function of the source, the inputs and the neurons."""
    model = MLP(3, [2, 1], initialiser=lambda source, nin, nout: 10 * nin + nout, seed=0)
    assert [32.0, 21.0] == [model.layers[k].neurons[0].w[0].data for k in (0, 1)]
    assert 31.0 == Neuron(3, initialiser=lambda source, nin, nout: 10 * nin + nout).w[0].data


# ---- predictions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: MLP(2, [3, 1], activation="tanh", seed=0),
        lambda: MLP(2, [3, 2], seed=0),
        lambda: Sequential(Recurrent(ElmanCell(1, 2, seed=0)), "tanh"),
        lambda: Sequential(Layer(2, 2, seed=0), lambda xs: [[xs[0], xs[1]], [xs[1], xs[0]], xs]),
        lambda: Sequential(Layer(2, 2, seed=0), lambda xs: xs[0] if xs[0] > xs[1] else -xs[1]),
        lambda: Sequential(Layer(2, 2, seed=0), np.array),
    ],
)
def test_predictions_are_the_outputs(make):
    """Compiled or not, for any shape of the output, and after the parameters or the settings have changed."""
    model, x = make(), np.random.default_rng(0).normal(size=(17, 2))

    def outputs():
        return np.array([np.vectorize(lambda y: y.data)(np.array(model(row))) for row in x])

    np.testing.assert_allclose(outputs(), model.predict(x), rtol=1e-12)
    np.testing.assert_allclose(outputs(), model.predict(x, jit=False), rtol=1e-15)
    model.parameters()[0].data += 1.0
    np.testing.assert_allclose(outputs(), model.predict(x.tolist()), rtol=1e-12)
    assert (0, *outputs().shape[1:]) == model.predict(np.empty((0, 2))).shape


def test_predictions_see_changed_settings():
    """An activation that was replaced, and one more layer."""
    model = MLP(1, [1], activation=["linear"], seed=0)
    before = model.predict([[1.0]])
    model.layers[0].neurons[0].activation = am.exp
    assert np.exp(before) == pytest.approx(model.predict([[1.0]]))
    model.layers.append(Layer(1, 1, activation="linear", seed=1))
    assert model([1.0]).data == pytest.approx(model.predict([[1.0]])[0])


def test_compiled_code_keeps_no_model_alive():
    """The code for a structure is kept, the parameters are not."""
    model = MLP(1, [2, 1], seed=0)
    model.predict([[1.0]])
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_modules_are_copied_and_pickled():
    """Recurrent and sequential models too: the copies give the same outputs and share nothing."""
    model = Sequential(Recurrent(GRUCell(1, 2, seed=0)), Dropout(0.5), Layer(2, 1, seed=1))
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert model([0.1, 0.2]).data == twin([0.1, 0.2]).data
        assert not set(model.parameters()) & set(twin.parameters())


# ---- summaries -------------------------------------------------------------------------------------------------------


class Mixed(Module):
    """A module with parameters of its own and others within."""

    def __init__(self):
        self.scale = Value(2.0)
        self.inner = Sequential(Layer(2, 2, seed=0), Dropout(0.1), Neuron(2, seed=1))


def test_summary_lists_every_parameter_once(capsys):
    """The parameters of the rows add up to the total, whatever the model is made of."""
    shared = Layer(2, 2, seed=0)
    models = [
        MLP(64, [32, 10]),
        Mixed(),
        Sequential(shared, "tanh", shared),
        Sequential(Recurrent(GRUCell(1, 4, seed=0)), Layer(4, 1, seed=1)),
        Layer(2, 3),
        Neuron(3),
    ]
    for model in models:
        model.summary()
        lines = capsys.readouterr().out.splitlines()
        rules = [i for i, line in enumerate(lines) if set(line) == {"-"}]
        counts = [int(line.split()[-1].replace(",", "")) for line in lines[rules[0] + 1 : rules[1]]]
        assert len(model.parameters()) == sum(counts) == int(lines[-1].split()[-1].replace(",", ""))
        assert 1 == len({len(line) for line in lines})


def test_loss_of_a_model_that_ignores_its_parameters_is_named():
    """Without a gradient there is nothing to learn."""
    from nn import fit

    class Constant(Module):
        def __init__(self):
            self.w = Value(1.0)

        def __call__(self, x):
            return 2.0

    with pytest.raises(TypeError, match="the loss must depend on the parameters"):
        fit(Constant(), [1.0, 2.0], [1.0, 2.0], mean_squared_error, epochs=1, jit=False)
