"""Code written for micrograd needs only other imports and gives the same numbers."""

import random

import numpy as np
import plain_value
import pytest
from sklearn.datasets import make_moons

from autograd import Value
from nn import MLP, Layer, Module, Neuron


def readme_example(value):
    """The example of micrograd's README, returned with its two inputs."""
    a, b = value(-4.0), value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    g = e**2 / 2.0
    g += 10.0 / e**2
    return g, a, b


def first_test(value):
    """The computation of micrograd's first test."""
    x = value(-4.0)
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    return (z * z).relu() + q + q * x, x


def all_operators(value):
    """Every operator of micrograd's Value, on either side of a number."""
    x, y = value(0.7), value(-1.3)
    total = sum([x, y, x * y], 3)
    return 1.5 / (total - x**-2) + (2 - y) / 4 + (-x * 3).relu() - (y - 0.5), x, y


def gradients(compute, value):
    """The numbers of a computation: the result and the derivative by each input."""
    result, *inputs = compute(value)
    result.backward()
    return [result.data, *[x.grad for x in inputs]]


@pytest.mark.parametrize("compute", [readme_example, first_test, all_operators])
def test_expressions_agree_with_a_second_engine(compute):
    """micrograd's own examples give the numbers that an engine of its style gives."""
    assert gradients(compute, plain_value.Value) == pytest.approx(gradients(compute, Value), rel=1e-14)


def test_numbers_printed_by_the_readme():
    """24.7041, 138.8338 and 645.5773 are the numbers in micrograd's README."""
    assert ["24.7041", "138.8338", "645.5773"] == [f"{x:.4f}" for x in gradients(readme_example, Value)]


def test_numbers_of_the_first_test():
    """y = -20 and dy/dx = 46 for x = -4, as algebra confirms."""
    assert [-20.0, 46.0] == gradients(first_test, Value)


def test_networks_look_and_answer_as_in_micrograd():
    """Constructors, `nonlin`, parameters, single outputs and reprs are those of micrograd."""
    model = MLP(3, [2, 1])
    assert "MLP of [Layer of [ReLUNeuron(3), ReLUNeuron(3)], Layer of [LinearNeuron(2)]]" == repr(model)
    assert isinstance(model([1.0, 2.0, 3.0]), Value)
    assert 11 == len(model.parameters())
    assert "LinearNeuron(2)" == repr(Neuron(2, nonlin=False))
    assert "Layer of [ReLUNeuron(2)]" == repr(Layer(2, 1, nonlin=True))
    assert isinstance(Layer(2, 1)([1.0, 2.0]), Value)
    assert [Value, Value] == [type(y) for y in Layer(2, 2)([1.0, 2.0])]
    assert isinstance(model, Module)


# Step → loss and accuracy, printed by micrograd 0.1.0 itself (PyPI) for the loop below, with
# scikit-learn 1.9.1 and NumPy 2.4.6. The first three are in micrograd's published notebook too.
MICROGRAD = {
    0: (0.8958441028683222, 0.50),
    1: (1.7235905336972022, 0.81),
    2: (0.7429006313851131, 0.77),
    5: (0.313545481918522, 0.86),
    10: (0.2450702385365805, 0.91),
    20: (0.18977522856087642, 0.91),
    50: (0.09875114765619636, 0.96),
    80: (0.012318500800515709, 1.00),
    99: (0.010978370135492719, 1.00),
}


@pytest.mark.slow
def test_two_moons_demo_gives_the_same_numbers():
    """100 steps of the demo, from seed to full accuracy, have the same losses."""
    np.random.seed(1337)  # noqa: NPY002 (the demo's own way)
    random.seed(1337)
    points, labels = make_moons(n_samples=100, noise=0.1)
    labels = labels * 2 - 1
    model = MLP(2, [16, 16, 1])
    actual = {}
    for step in range(100):
        scores = [model(list(map(Value, point))) for point in points]
        losses = [(1 + -label * score).relu() for label, score in zip(labels, scores, strict=True)]
        total = sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in model.parameters())
        accuracy = np.mean([(label > 0) == (score.data > 0) for label, score in zip(labels, scores, strict=True)])
        model.zero_grad()
        total.backward()
        for p in model.parameters():
            p.data -= (1.0 - 0.9 * step / 100) * p.grad
        actual[step] = pytest.approx((total.data, accuracy), rel=1e-9)
    assert {step: actual[step] for step in MICROGRAD} == MICROGRAD
