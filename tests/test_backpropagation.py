"""The questions about backpropagation from which this project started, each answered with numbers."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd.math as am
from autograd import Value, grad, record_sweep, rules

TWO_BY_TWO = {  # weights[l][k][j] leads from neuron j of a layer to neuron k of the next
    "weights": [[[0.15, 0.20], [0.25, 0.30]], [[0.40, 0.45], [0.50, 0.55]]],
    "biases": [[0.35, 0.35], [0.60, 0.60]],
    "inputs": [0.05, 0.10],
    "targets": [0.01, 0.99],
}


def values(numbers):
    """The same nested lists with Values instead of numbers."""
    return [values(x) for x in numbers] if isinstance(numbers, list) else Value(numbers)


def layer(weights, biases, inputs):
    """The outputs of one layer of sigmoid neurons, written out in plain arithmetic."""
    outputs = []
    for row, bias in zip(weights, biases, strict=True):
        z = bias
        for w, a in zip(row, inputs, strict=True):
            z = z + w * a
        outputs.append(am.sigmoid(z))
    return outputs


def activations(weights, biases, inputs):
    """The outputs of every layer, the inputs first."""
    reached = [inputs]
    for matrix, vector in zip(weights, biases, strict=True):
        reached.append(layer(matrix, vector, reached[-1]))
    return reached


def half_square_error(outputs, targets):
    """E = Σ ½ (target - output)²."""
    return am.sum([0.5 * (t - o) ** 2 for o, t in zip(outputs, targets, strict=True)])


def network(sizes, seed):
    """Random weights and biases as Values, and random inputs and targets as floats."""
    random = np.random.default_rng(seed)
    weights = [random.normal(size=(after, before)) for before, after in itertools.pairwise(sizes)]
    biases = [random.normal(size=after) for after in sizes[1:]]
    inputs, targets = random.normal(size=sizes[0]), random.uniform(size=sizes[-1])
    as_values = [values(x.tolist()) for x in weights], [values(x.tolist()) for x in biases]
    return *as_values, inputs.tolist(), targets.tolist()


def two_by_two_after(steps):
    """Weights and error after `steps` steps of gradient descent with rate 0.5; the biases stay."""
    weights, error = values(TWO_BY_TWO["weights"]), None
    flat = [w for matrix in weights for row in matrix for w in row]
    for step in range(steps + 1):
        *_, outputs = activations(weights, TWO_BY_TWO["biases"], TWO_BY_TWO["inputs"])
        error = half_square_error(outputs, TWO_BY_TWO["targets"])
        if step < steps:
            error.zero_grad()
            error.backward()
            for w in flat:
                w.data -= 0.5 * w.grad
    return [w.data for w in flat], error.data


def test_a_two_by_two_network_error_and_first_step():
    """a) The 2-2-2 network's error, and its eight weights after one step, to the digits of the worked example."""
    _, before = two_by_two_after(0)
    assert 0.298371109 == round(before, 9)
    weights, _ = two_by_two_after(1)
    assert [0.149780716, 0.19956143, 0.24975114, 0.29950229] == pytest.approx(weights[:4], abs=5.1e-9)
    assert [0.35891648, 0.408666186, 0.51130127, 0.561370121] == pytest.approx(weights[4:], abs=5.1e-9)


def test_a_two_by_two_network_learns():
    """a) After 10,000 steps the error is 3.51e-5."""
    _, after = two_by_two_after(10_000)
    assert "3.51e-05" == f"{after:.2e}"


@pytest.mark.parametrize("seed", range(5))
def test_b_a_weight_in_the_middle_is_one_product(seed):
    """b) 3-3-3-1: ∂E/∂w(2,1,1) = (Out-T) · Out(1-Out) · w(3,1,1) · n(2,1)(1-n(2,1)) · n(1,1)."""
    weights, biases, inputs, targets = network([3, 3, 3, 1], seed)
    _, first, second, (out,) = activations(weights, biases, inputs)
    half_square_error([out], targets).backward()
    o, w311, n21, n11 = out.data, weights[2][0][0].data, second[0].data, first[0].data
    expected = (o - targets[0]) * o * (1 - o) * w311 * n21 * (1 - n21) * n11
    assert math.isclose(expected, weights[1][0][0].grad, rel_tol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_c_paths_are_summed(seed):
    """c) 2-4-3-2: ∂E/∂w31 is one product, ∂E/∂w21 the sum of the products along the two paths, through d1 and d2.

    Layers are a, b, c, d: w31 leads from c1 to d1, w21 from b1 to c1.
    """
    weights, biases, inputs, targets = network([2, 4, 3, 2], seed)
    _, b, c, d = activations(weights, biases, inputs)
    half_square_error(d, targets).backward()
    deltas = [(o.data - t) * o.data * (1 - o.data) for o, t in zip(d, targets, strict=True)]
    assert math.isclose(deltas[0] * c[0].data, weights[2][0][0].grad, rel_tol=1e-12)
    onwards = c[0].data * (1 - c[0].data) * b[0].data
    through_d1 = deltas[0] * weights[2][0][0].data * onwards
    through_d2 = deltas[1] * weights[2][1][0].data * onwards
    assert abs(through_d1 + through_d2 - weights[1][0][0].grad) <= 1e-14 * (abs(through_d1) + abs(through_d2))


def numpy_backpropagation(weights, biases, inputs, targets):
    """The algorithm of the textbooks, in matrices: ∂C/∂w and ∂C/∂b of every layer for C = Σ ½ (t - a)²."""

    def sigma(z):
        return 1.0 / (1.0 + np.exp(-z))

    def sigma_prime(z):
        return sigma(z) * (1.0 - sigma(z))

    zs, activated = [], [inputs]
    for w, b in zip(weights, biases, strict=True):
        zs.append(w @ activated[-1] + b)
        activated.append(sigma(zs[-1]))
    delta = (activated[-1] - targets) * sigma_prime(zs[-1])
    by_weight, by_bias = [np.outer(delta, activated[-2])], [delta]
    for level in range(len(weights) - 2, -1, -1):
        delta = (weights[level + 1].T @ delta) * sigma_prime(zs[level])
        by_weight.insert(0, np.outer(delta, activated[level]))
        by_bias.insert(0, delta)
    return by_weight, by_bias


@given(sizes=st.lists(st.integers(1, 5), min_size=2, max_size=6), seed=st.integers(0, 10**6))
@settings(max_examples=50)
def test_d_the_general_algorithm(sizes, seed):
    """d) z = w a + b, δ^L = ∇C ⊙ σ'(z^L), δ^l = (w^(l+1))ᵀ δ^(l+1) ⊙ σ'(z^l) agree with the engine at any depth."""
    weights, biases, inputs, targets = network(sizes, seed)
    *_, outputs = activations(weights, biases, inputs)
    half_square_error(outputs, targets).backward()
    data = np.vectorize(lambda v: v.data, otypes=[float])
    by_weight, by_bias = numpy_backpropagation(
        [data(np.array(w)) for w in weights], [data(np.array(b)) for b in biases], np.array(inputs), np.array(targets)
    )
    gradient = np.vectorize(lambda v: v.grad, otypes=[float])
    for expected, actual in zip([*by_weight, *by_bias], [*weights, *biases], strict=True):
        np.testing.assert_allclose(gradient(np.array(actual)), expected, rtol=1e-10, atol=1e-16)


def test_e_a_weight_before_two_hidden_layers():
    """e) With a layer j between h and o, ∂E/∂w1 = Σ over h1's direct neighbours on the right of their messages · local.

    The recorded sweep shows it: h1's adjoint is the sum of the messages from its products with the weights to layer j.
    """
    weights, biases, inputs, targets = network([2, 2, 3, 2], seed=7)
    _, h, j, outputs = activations(weights, biases, inputs)
    error = half_square_error(outputs, targets)
    sweep = record_sweep(error)
    into_h1 = [m for m in sweep if m.operand is h[0]]
    assert len(j) == len(into_h1)  # one message from every neuron on the right
    for message, row in zip(into_h1, reversed(weights[1]), strict=True):
        assert row[0] in message.node.operands
        assert row[0].data == message.local_derivative
        assert message.adjoint * message.local_derivative == message.message
    adjoint = rules.sum(*[m.message for m in into_h1])
    assert adjoint == into_h1[-1].total
    error.backward()
    assert adjoint == h[0].grad
    w1, (i1, *_) = weights[0][0][0], inputs
    assert math.isclose(adjoint * h[0].data * (1.0 - h[0].data) * i1, w1.grad, rel_tol=1e-13)


def test_f_a_time_series_sums_its_observations():
    """f) The gradient of the summed error is the sum of the gradients per observation; both are computed."""
    series = [(0.1 * t, math.sin(0.1 * t)) for t in range(50)]

    def error(parameters, observations):
        amplitude, frequency, phase = parameters
        return am.sum([0.5 * (amplitude * am.sin(frequency * t + phase) - x) ** 2 for t, x in observations])

    parameters = [0.8, 1.2, 0.1]
    whole = grad(error)(parameters, series)
    parts = [grad(error)(parameters, [observation]) for observation in series]
    for slot in range(3):
        by_parts = math.fsum(part[slot] for part in parts)
        assert math.isclose(by_parts, whole[slot], rel_tol=1e-13)
    residuals = [(0.8 * math.sin(1.2 * t + 0.1) - x, t) for t, x in series]
    by_hand = [
        math.fsum(r * math.sin(1.2 * t + 0.1) for r, t in residuals),
        math.fsum(r * 0.8 * math.cos(1.2 * t + 0.1) * t for r, t in residuals),
        math.fsum(r * 0.8 * math.cos(1.2 * t + 0.1) for r, t in residuals),
    ]
    assert by_hand == pytest.approx(whole, rel=1e-12)


def test_f_accumulation_over_observations():
    """f) The same with nodes: one backward per observation adds up to one backward of the sum."""
    series = [(float(t), 0.3 * t + 0.5) for t in range(10)]
    w, b = Value(0.1), Value(0.2)
    for t, x in series:
        (0.5 * (w * t + b - x) ** 2).backward()
    separate = w.grad, b.grad
    w.grad = b.grad = 0.0
    am.sum([0.5 * (w * t + b - x) ** 2 for t, x in series]).backward()
    assert separate == pytest.approx((w.grad, b.grad), rel=1e-14)
    assert (-70.5, -12.0) == pytest.approx(separate, rel=1e-12)
