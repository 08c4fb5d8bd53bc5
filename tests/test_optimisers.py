"""Optimisers against PyTorch's own numbers, as pure functions and with `.grad`, eager and compiled."""

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest

import autograd.math as am
import nn
from autograd import Value, grad, jit
from nn import LBFGS, SGD, Adagrad, Adam, AdamW, Optimiser, RMSProp, clip_by_norm, constant, cosine, step_decay, warm_up

RECORD = json.loads((Path(__file__).parent / "torch_optimisers.json").read_text(encoding="utf-8"))
CASES = [
    pytest.param(case, id="-".join([case["optimiser"], *case["options"]]) + f"-{number}")
    for number, case in enumerate(RECORD["cases"])
]
START = RECORD["start"]
RULES = [
    SGD(learning_rate=0.1),
    SGD(learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=0.1, clip_norm=1.0),
    RMSProp(learning_rate=0.1, momentum=0.5),
    Adagrad(learning_rate=0.1),
    Adam(learning_rate=cosine(0.1, 10)),
    AdamW(learning_rate=warm_up(step_decay(0.1, 3), 4)),
]


def make(case, parameters=None):
    """The optimiser of a case."""
    options = dict(case["options"])
    if isinstance(options["learning_rate"], list):
        name, arguments = options["learning_rate"]
        options["learning_rate"] = getattr(nn, name)(**arguments)
    return getattr(nn, case["optimiser"])(parameters, **options)


def loss(parameters):
    """The function that PyTorch minimised."""
    terms = zip(parameters, RECORD["targets"], RECORD["weights"])
    return am.sum([w * (p - t) ** 2 + am.sin(p) for p, t, w in terms])


def assert_as_in_pytorch(expected, actual):
    """Equal to 1e-12, relative to the largest of the numbers."""
    assert max(abs(e - a) for e, a in zip(expected, actual)) <= 1e-12 * max(map(abs, expected))


@pytest.mark.parametrize("case", CASES)
def test_updates_are_those_of_pytorch(case):
    """A hundred updates as a pure function, on a plain list."""
    rule, parameters = make(case), START
    state = rule.init(parameters)
    for expected in case["steps"]:
        parameters, state = rule.update(grad(loss)(parameters), state, parameters)
        assert_as_in_pytorch(expected, parameters)
    assert 100.0 == state["count"]


@pytest.mark.parametrize("case", CASES)
def test_steps_are_those_of_pytorch(case):
    """A hundred steps through `.grad`, on Values."""
    parameters = [Value(x) for x in START]
    optimiser = make(case, parameters)
    for expected in case["steps"]:
        optimiser.zero_grad()
        loss(parameters).backward()
        optimiser.step()
        assert_as_in_pytorch(expected, [p.data for p in parameters])


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_compiled_updates_are_those_of_pytorch(case):
    """Gradient and update as one compiled function: one specialization for any step count."""
    rule = make(case)

    @jit
    def step(parameters, state):
        return rule.update(grad(loss)(parameters), state, parameters)

    parameters, state = START, rule.init(START)
    for expected in case["steps"]:
        parameters, state = step(parameters, state)
        assert_as_in_pytorch(expected, parameters)
    assert 1 == step.stats()["paths"]


def test_a_whole_epoch_compiles():
    """Twenty updates in one compiled function: the same numbers as one by one."""
    rule = Adam(learning_rate=warm_up(0.05, 10))

    def epoch(parameters, state):
        for _ in range(20):
            parameters, state = rule.update(grad(loss)(parameters), state, parameters)
        return parameters, state

    expected, actual = epoch(START, rule.init(START)), jit(epoch)(START, rule.init(START))
    assert 20.0 == actual[1]["count"]
    assert_as_in_pytorch(expected[0], actual[0])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_trees_keep_their_shape(rule):
    """Parameters, gradients and state may be any trees; the arguments do not change."""
    tree = {"w": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": [0.5, (Value(1.5),)]}
    gradients = {"w": np.ones((2, 2)), "b": [1.0, (1.0,)]}
    state = rule.init(tree)
    new, after = rule.update(gradients, state, tree)
    assert (2, 2) == new["w"].shape
    assert isinstance(new["b"][1], tuple)
    assert 0.0 == state["count"]
    assert 1.0 == after["count"]
    assert [1.0, 2.0, 3.0, 4.0] == tree["w"].ravel().tolist()
    flat = rule.update([1.0] * 6, rule.init([0.0] * 6), [1.0, 2.0, 3.0, 4.0, 0.5, 1.5])[0]
    assert flat == [*new["w"].ravel(), new["b"][0], new["b"][1][0]]
    again = pickle.loads(pickle.dumps(after))
    assert after["count"] == again["count"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_no_parameters_are_no_trouble(rule):
    """An empty tree stays empty."""
    new, state = rule.update([], rule.init([]), [])
    assert ([], 1.0) == (new, state["count"])


def test_shapes_must_agree():
    """The error says whether gradients or state are wrong."""
    rule = Adam()
    with pytest.raises(ValueError, match="parameters and gradients differ in shape"):
        rule.update([1.0], rule.init([1.0, 2.0]), [1.0, 2.0])
    with pytest.raises(ValueError, match="parameters and the state 'mean' differ in shape"):
        rule.update([1.0, 1.0], rule.init([1.0]), [1.0, 2.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SGD(momentum=1.0), "momentum must be a number of at least 0 and below 1, not 1.0"),
        (lambda: SGD(nesterov=True), "nesterov=True looks ahead along the momentum"),
        (lambda: SGD(weight_decay=-0.1), "weight_decay must be a number of at least 0, not -0.1"),
        (lambda: SGD(clip_norm=0.0), "clip_norm must be a positive number, not 0.0"),
        (lambda: RMSProp(smoothing=math.nan), "smoothing must be a number of at least 0 and below 1, not nan"),
        (lambda: RMSProp(epsilon=0), "epsilon must be a positive number, not 0"),
        (lambda: Adam(betas=(0.9,)), r"betas must be two numbers, such as \(0.9, 0.999\), not \(0.9,\)"),
        (lambda: Adam(betas=(0.9, 1.0)), r"betas\[1\] must be a number of at least 0 and below 1, not 1.0"),
        (lambda: LBFGS([Value(1.0)], iterations=0), "iterations must be a whole number of at least 1, not 0"),
        (lambda: LBFGS([]), "no parameters to change"),
        (lambda: constant(-1.0), "rate must be a positive number"),
        (lambda: cosine(0.1, 10, lowest=0.2), "lowest must be a number from 0 to the rate 0.1, not 0.2"),
        (lambda: step_decay(0.1, every=0), "every must be a positive number"),
        (lambda: warm_up(0.1, steps=0), "steps must be a positive number"),
        (lambda: clip_by_norm([1.0], -1.0), "the largest norm must be a positive number, not -1.0"),
        (lambda: Adam().step(), "Adam was made without parameters: pass them, or use update"),
    ],
)
def test_wrong_numbers_are_named(call, message):
    """Each error names the number that was wrong and what was expected."""
    with pytest.raises(ValueError, match=message):
        call()


def test_a_rule_of_ones_own():
    """A subclass needs only the update rule."""

    class SignDescent(Optimiser):
        def rule(self, parameter, gradient, rate, count, *remembered):
            return (parameter - rate * am.sign(gradient),)

    assert [0.5, 3.5] == SignDescent(learning_rate=0.5).update([7.0, -7.0], {"count": 0.0}, [1.0, 3.0])[0]
    with pytest.raises(NotImplementedError, match="Optimiser has no rule"):
        Optimiser().update(1.0, {"count": 0.0}, 1.0)


def test_clipping_shortens_and_never_lengthens():
    """The direction stays, the norm is at most the given one; Values keep their derivatives."""
    assert [0.3, -0.4] == clip_by_norm([0.3, -0.4], 1.0)
    clipped = clip_by_norm({"a": np.array([30.0, -40.0]), "b": 0.0}, 1.0)
    assert abs(1.0 - math.hypot(*clipped["a"])) < 1e-6
    assert [] == clip_by_norm([], 1.0)
    assert [0.0, 0.0] == clip_by_norm([0.0, 0.0], 1.0)
    for numbers in ([3e200, -4e200], [3e307, -4e307]):  # their squares overflow
        expected = [6.0, -8.0]
        assert expected == pytest.approx(clip_by_norm(numbers, 10.0), rel=1e-14)
        assert expected == pytest.approx(jit(lambda g: clip_by_norm(g, 10.0))(numbers), rel=1e-14)
    assert abs(grad(lambda x: clip_by_norm([x, 4.0], 1.0)[0])(3.0) - 16.0 / 125.0) < 1e-7


def test_lbfgs_finds_the_minimum_and_restores_after_an_error():
    """Rosenbrock's valley in one step; an error of the closure leaves the parameters as they were."""
    x = [Value(-1.2), Value(1.0)]
    optimiser = LBFGS(x, iterations=200)
    calls = []

    def closure():
        calls.append([v.data for v in x])
        optimiser.zero_grad()
        value = (1.0 - x[0]) ** 2 + 100.0 * (x[1] - x[0] ** 2) ** 2
        value.backward()
        if len(calls) == 5 and failing:
            raise KeyError("the fifth call")
        return value

    failing = True
    with pytest.raises(KeyError, match="fifth"):
        optimiser.step(closure)
    assert [-1.2, 1.0] == [v.data for v in x]
    failing = False
    assert optimiser.step(closure) < 1e-9
    assert max(abs(v.data - 1.0) for v in x) < 1e-4


def test_lbfgs_says_what_it_needs(monkeypatch):
    """Without SciPy the error says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"pip install 'scalar-autograd\[nn\]'"):
        LBFGS([Value(1.0)]).step(lambda: 0.0)


def test_lbfgs_without_backward():
    """A closure that forgets the sweep is refused: its gradient of 0 would look like a minimum."""
    x = Value(1.0)
    with pytest.raises(ValueError, match=r"the closure of LBFGS must call loss\.backward\(\)"):
        LBFGS([x]).step(lambda: x * x)
    assert 1.0 == x.data


def test_text() -> None:
    """repr shows the rule, its settings and how much it changes."""
    adam = "betas=(0.9, 0.999), epsilon=1e-08, weight_decay=0.0, clip_norm=None)"
    assert f"Adam(learning_rate=0.1, {adam} of 2 parameters" == repr(Adam([Value(1.0), Value(2.0)], 0.1))
    assert f"Adam(learning_rate=cosine, {adam}" == repr(Adam(learning_rate=cosine(0.1, 10)))
