"""Losses: their values against PyTorch's, weights and reductions, gradients, and targets that cannot be."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd.math as am
import nn
from autograd import grad, jit, value_and_grad
from autograd.testing import check_grads
from nn import L1, L2, per_observation
from nn.losses import LOSSES, reduction_of

OUTPUTS, TARGETS = [0.3, -1.2, 2.5, 0.0], [1.0, -1.0, 0.0, 0.2]
LOGITS, CLASSES = [[1.0, -2.0, 0.5], [0.0, 3.0, 3.0], [-1.0, 0.2, 0.1]], [2, 0, 1]
FIT_FOR = {
    "hinge": [1, -1, -1, 1],
    "binary_cross_entropy_with_logits": [1, 0, 1, 0],
    "poisson_with_log_rates": [1, 0, 3, 2],
}
numbers = st.floats(-5, 5)


def example(name):
    """Outputs and targets for a loss."""
    return (LOGITS, CLASSES) if name == "cross_entropy_with_logits" else (OUTPUTS, FIT_FOR.get(name, TARGETS))


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (0.44749999999999995, lambda: nn.huber(OUTPUTS, TARGETS, delta=0.7)),
        (0.9, lambda: nn.mean_absolute_error(OUTPUTS, TARGETS)),
        (1.7583867450479196, lambda: nn.poisson_with_log_rates(OUTPUTS, [1, 0, 3, 2])),
        (1.3312162922547344, lambda: nn.cross_entropy_with_logits(LOGITS, CLASSES, class_weights=[1, 2, 4])),
        (
            9.318514045783141,
            lambda: nn.cross_entropy_with_logits(LOGITS, CLASSES, class_weights={1: 2, 2: 4}, reduction="sum"),
        ),
        (3.7177359186667025, lambda: nn.cross_entropy_with_logits(LOGITS, CLASSES, reduction="none")[1]),
        (
            2.1045093599608795,
            lambda: nn.cross_entropy_with_logits(LOGITS, [[0.2, 0.3, 0.5], [1, 0, 0], [0.1, 0.6, 0.3]]),
        ),
        (
            2.8561645841812067,
            lambda: nn.binary_cross_entropy_with_logits(OUTPUTS, [1, 0, 1, 0], class_weights=[1, 3], reduction="sum"),
        ),
    ],
)
def test_values_are_those_of_pytorch(expected, actual):
    """The expected numbers were printed by PyTorch 2.13."""
    assert expected == pytest.approx(actual(), rel=1e-14)


@pytest.mark.parametrize("name", LOSSES)
def test_weights_and_reductions(name):
    """Σ w l, Σ w l / Σ w and the list of all w l; a weight of 2 counts as two observations."""
    loss, (outputs, targets) = LOSSES[name], example(name)
    weights = list(range(len(outputs)))
    each = loss(outputs, targets, reduction="none")
    assert [w * x for w, x in zip(weights, each, strict=True)] == loss(
        outputs, targets, weights=weights, reduction="none"
    )
    total = loss(outputs, targets, weights=weights, reduction="sum")
    assert sum(w * x for w, x in zip(weights, each, strict=True)) == pytest.approx(total)
    assert total / sum(weights) == pytest.approx(loss(outputs, targets, weights=weights, reduction="mean"))
    by_default = loss(outputs, targets)
    assert by_default == pytest.approx(sum(each) / (len(each) if reduction_of(loss) == "mean" else 1))
    repeated = [[x for w, x in zip(weights, xs, strict=True) for _ in range(w)] for xs in (outputs, targets)]
    assert loss(*repeated, reduction="mean") == pytest.approx(total / sum(weights))


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_right(name):
    """Against finite differences, weighted, eager and compiled."""
    loss, (outputs, targets) = LOSSES[name], example(name)

    def weighted(outputs):
        return loss(outputs, targets, weights=[1.0, 2.0, 0.5, 3.0][: len(outputs)])

    check_grads(weighted, (outputs,), order=1)
    np.testing.assert_allclose(grad(weighted)(outputs), jit(grad(weighted))(outputs), rtol=1e-14)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4), st.floats(0.1, 3.0))
def test_huber_is_its_definition(pairs, delta):
    """½ e² inside, δ (|e| - ½ δ) outside."""
    errors = [abs(t - o) for o, t in pairs]
    expected = [e * e / 2 if e <= delta else delta * (e - delta / 2) for e in errors]
    actual = nn.huber([o for o, _ in pairs], [t for _, t in pairs], delta=delta, reduction="none")
    assert expected == pytest.approx(actual, rel=1e-12, abs=1e-12)


def test_several_outputs_count_as_one_observation():
    """The mean over outputs, then over observations; in half_sum_of_squares the sum."""
    outputs, targets = [[1.0, 2.0], [0.0, 0.0]], [[0.0, 0.0], [3.0, 1.0]]
    assert [2.5, 5.0] == nn.mean_squared_error(outputs, targets, reduction="none")
    assert [2.5, 5.0] == nn.half_sum_of_squares(outputs, targets, reduction="none")
    assert 3.125 == nn.mean_squared_error(outputs, targets, weights=[3, 1])
    assert 3.75 == nn.mean_squared_error(np.array(outputs), np.array(targets))


def test_loss_of_ones_own():
    """A function of one observation becomes a loss like the others; its name and docstring stay."""

    @per_observation
    def cubic(output, target):
        """|output - target|³."""
        return am.abs(output - target) ** 3

    assert 4.5 == cubic([1.0, 2.0], [0.0, 0.0])
    assert 9.0 == cubic([1.0, 2.0], [0.0, 0.0], reduction="sum")
    assert ("cubic", "mean") == (cubic.__name__, reduction_of(cubic))
    assert [1.5, 6.0] == grad(cubic)([1.0, 2.0], [0.0, 0.0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.mean_squared_error([1.0], [1.0], reduction="max"), "'mean', 'sum' or 'none', not 'max'"),
        (
            lambda: nn.mean_squared_error([1.0, 2.0], [1.0, 2.0], weights=[1.0]),
            "2 observations need as many weights, not 1",
        ),
        (lambda: nn.mean_squared_error([1.0], [1.0], weights=[-1.0]), r"weights\[0\] must be a number of at least 0"),
        (lambda: nn.mean_squared_error([1.0], [1.0], weights=[0.0]), "all weights are 0"),
        (lambda: nn.mean_squared_error([1.0], [1.0], weights=1.0), "1 observations need as many weights, not 1.0"),
        (lambda: nn.mean_squared_error(1.0, 1.0, weights=[1.0]), "outputs must be a sequence"),
        (lambda: nn.huber([1.0], [1.0], delta=0.0), "delta must be a positive number"),
        (lambda: nn.poisson_with_log_rates([1.0], [-1]), "a count must be a number of at least 0, not -1"),
        (
            lambda: nn.cross_entropy_with_logits(LOGITS, CLASSES, class_weights=[1, 2]),
            "3 classes need as many class_weights",
        ),
        (lambda: nn.cross_entropy_with_logits(LOGITS, CLASSES, class_weights={3: 1}), "names the class 3; .* 0 to 2"),
        (lambda: nn.cross_entropy_with_logits(LOGITS, [[1.0, 0.0]] * 3), "3 logits need as many probabilities, not 2"),
        (
            lambda: nn.cross_entropy_with_logits(LOGITS, [[1.0, 0, 0]] * 3, class_weights=[1, 1, 1]),
            "class_weights needs classes as whole numbers",
        ),
        (
            lambda: nn.cross_entropy_with_logits([[1.0, 2.0]], [[-1.0, 2.0]]),
            "a target must hold probabilities of at least 0, not -1.0",
        ),
        (lambda: L2(-1.0), "factor must be a number of at least 0"),
    ],
)
def test_wrong_input_is_named(make, message):
    """Each error names the number that was wrong."""
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("compiled", [False, True])
def test_infinite_outputs_have_the_limit_of_the_loss(compiled):
    """What cannot happen costs nothing, though the formula has 0 times infinity; gradients are finite."""
    inf = math.inf
    for name, output, target, expected in [
        ("binary_cross_entropy_with_logits", inf, 1.0, (0.0, 0.0)),
        ("binary_cross_entropy_with_logits", -inf, 0.0, (0.0, 0.0)),
        ("binary_cross_entropy_with_logits", inf, 0.0, (inf, 1.0)),
        ("binary_cross_entropy_with_logits", -inf, 1.0, (inf, -1.0)),
        ("binary_cross_entropy_with_logits", inf, 0.5, (inf, 0.5)),
        ("poisson_with_log_rates", -inf, 0.0, (0.0, 0.0)),
        ("poisson_with_log_rates", -inf, 2.0, (inf, -2.0)),
    ]:
        function = value_and_grad(lambda z, t, loss=LOSSES[name]: loss([z], [t]))
        assert expected == (jit(function) if compiled else function)(output, target)


@given(st.floats(-700, 700), st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]))
def test_binary_cross_entropy_keeps_its_digits(logit, target):
    """The loss of a sure and right answer is tiny, and not 0: softplus(z) - t z would lose all digits."""
    with mpmath.workdps(700):
        z = mpmath.mpf(logit)
        expected = mpmath.log1p(mpmath.exp(z)) - target * z
        assert float(expected) == pytest.approx(
            nn.binary_cross_entropy_with_logits([logit], [target]), rel=1e-14, abs=0
        )


def test_derivatives_by_targets_stay():
    """Targets may be Values: the derivative by a target of 0 or 1 is minus the logit."""
    loss = nn.binary_cross_entropy_with_logits
    for target in (0.0, 0.4, 1.0):
        assert -3.0 == grad(lambda t: loss([3.0], [t]))(target) == jit(grad(lambda t: loss([3.0], [t])))(target)


def test_traced_targets_that_cannot_be_give_nan():
    """In a compiled function there is no error: the loss is nan, so the training stops."""
    for name, wrong in [("hinge", 0.5), ("binary_cross_entropy_with_logits", 2.0), ("poisson_with_log_rates", -1.0)]:
        compiled = jit(lambda output, target, loss=LOSSES[name]: loss([output], [target]))
        assert np.isnan(compiled(0.5, wrong))
        assert not np.isnan(compiled(0.5, 1.0))


def test_regularisers_are_their_formulas():
    """On the parameters of a model, wherever they are; with their gradients."""
    model = nn.MLP(2, [3, 1], seed=0)
    parameters = [parameter.data for parameter in model.parameters()]
    assert 0.1 * sum(map(abs, parameters)) == pytest.approx(L1(0.1)(model).data)
    assert 0.05 * sum(x * x for x in parameters) == pytest.approx(L2(0.1)(model).data)
    assert [0.1 * x for x in parameters] == pytest.approx([x.data for x in grad(L2(0.1))(model).parameters()])
    assert ("L1(0.1)", "L2(0.1)") == (repr(L1(0.1)), repr(L2(0.1)))
