"""Tests of the gradient check: finite differences estimate their error, and the check fails where it should."""

import math
import subprocess
import sys
from dataclasses import dataclass

import mpmath
import numpy as np
import pytest
from exact import exact_partial
from hypothesis import HealthCheck, Phase, find, given, reject, settings
from hypothesis import strategies as st

import autograd.math as am
from autograd import Value, checkpoint, custom_gradient, record_sweep, rules, topological_order
from autograd.rules import TABLE
from autograd.testing import Expression, check_grads, finite_difference
from autograd.testing.strategies import expressions, finite_points

SMOOTH = [name for name, row in TABLE.items() if row.arity == 1 and row.kink is None]

FINDING = settings(max_examples=2000, phases=[Phase.generate], database=None)
SHRINKING = settings(FINDING, phases=[Phase.generate, Phase.shrink])


# ---- finite_difference ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMOOTH)
@given(data=st.data())
@settings(max_examples=15)
def test_the_error_estimate_holds(name, data):
    """The true error is below the estimate (times 3, as in check_grads), and the estimate is not too large."""
    (x,) = data.draw(finite_points(TABLE[name], magnitude=20.0, margin=0.01))
    found = finite_difference(TABLE[name], x)
    exact = exact_partial(name, (x,), (1,))
    assert abs(mpmath.mpf(found.derivative) - exact) <= 3.0 * found.error
    assert found.error <= 1e-6 * max(abs(exact), abs(TABLE[name](x)), 1.0)


@pytest.mark.parametrize(
    ("function", "x", "expected", "within"),
    [
        (math.exp, 1.0, math.e, 1e-12),
        (math.log, 1e-300, 1e300, 1e-9),
        (math.sin, 1e6, math.cos(1e6), 1e-12),
        (math.sqrt, 1e-9, 0.5 / math.sqrt(1e-9), 1e-11),
        (abs, 1e-5, 1.0, 1e-12),
        (lambda x: 1.0 + 1e-9 * x, 1.0, 1e-9, 1e-5),
        (lambda x: (1e8 + x) - 1e8, 1.0, 1.0, 1e-6),
        (math.atan, 1e10, 1e-20, 1e-3),
    ],
)
def test_the_step_fits_the_function(function, x, expected, within):
    """Tiny and huge arguments, a kink nearby, a small slope on a large value, cancellation: the step fits all."""
    found = finite_difference(function, x)
    assert abs(expected - found.derivative) <= within * abs(expected)
    assert abs(expected - found.derivative) <= 3.0 * found.error


def test_a_staircase_does_not_deceive():
    """Long steps over a fine staircase agree with each other; short ones show that it is flat."""
    found = finite_difference(lambda x: round(3.0 * x, 2), 0.001)
    assert abs(found.derivative) <= 3.0 * found.error


def test_no_value_close_by_is_said():
    """At the end of a function's domain, central differences find no derivative."""
    found = finite_difference(math.sqrt, 0.0)
    assert math.isnan(found.derivative)
    assert math.inf == found.error
    with pytest.raises(ValueError, match="math domain error"):
        finite_difference(math.sqrt, -1.0)


# ---- check_grads: what passes ---------------------------------------------------------------------------------


@dataclass
class Curve:
    """A container with its own children."""

    height: float
    times: list[float]


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (lambda x: x * am.sin(x), [0.7]),
        (lambda p: {"a": p["w"][0] * p["w"][1], "b": [am.exp(p["b"])]}, [{"w": (2.0, 3.0), "b": 0.1}]),
        (lambda c, s: c.height * am.sum([am.cos(s * t) for t in c.times]), [Curve(1.5, [0.1, 0.2]), 3]),
        (lambda x, w: np.tanh(x @ w), [np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([0.3, 0.2])]),
        (lambda x: x.log() + x**0.5, [Value(2.0)]),
        (checkpoint(lambda x, y: am.exp(x) / y), [0.3, 2.0]),
        (rules.hypot, [3.0, 4.0]),
        (rules.logsumexp, [0.1, 0.2, 0.3]),
        (lambda x: am.sin(x) ** 2 + am.cos(x) ** 2, [0.7]),
        (lambda x: 1e-9 * x * x, [1.0]),
    ],
)
def test_right_derivatives_pass(function, args):
    """Functions of trees and arrays, methods, primitives, checkpoints, hidden constants and tiny functions pass."""
    check_grads(function, args)


def test_orders_above_two():
    """The third derivative is compared with differences of the second."""
    check_grads(lambda x: am.exp(2.0 * x), [0.3], order=3)


def test_a_user_primitive_passes():
    """A black box with a right derivative passes like a primitive of the table, to second order."""

    @custom_gradient(lambda x, n, y: n * x ** (n - 1.0), lambda x, n, y: y * am.log(x))
    def power(x, n):
        return math.pow(x, n)

    check_grads(power, [1.5, 2.5])
    check_grads(lambda x: am.sin(power(x, 3.0)), [1.1])


def agrees(expression, order):
    """Check an expression if differences can measure its derivatives; if not, as near an extremum, draw another."""
    try:
        check_grads(expression, expression.leaves, order=order)
    except AssertionError as verdict:
        if "cannot be checked" in str(verdict):
            reject()
        raise


@given(expressions())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_random_expressions_pass(expression):
    """The engine's derivatives of whole random expressions agree with differences of their values."""
    agrees(expression, order=1)


@given(expressions(max_steps=5, max_leaves=3))
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
def test_second_derivatives_of_random_expressions_pass(expression):
    """Second derivatives do too, in all four pairs of modes."""
    agrees(expression, order=2)


# ---- check_grads: what fails ----------------------------------------------------------------------------------


def scaled_wrong(size, wrong_by):
    """A primitive of a given size whose derivative is off by a factor."""

    @custom_gradient(lambda x, y: size * wrong_by * am.cos(x))
    def wave(x):
        return size * math.sin(x)

    return wave


@pytest.mark.parametrize("size", [1e300, 1.0, 1e-9, 1e-30, 1e-300])
@pytest.mark.parametrize("wrong_by", [2.0, -1.0, 0.0, 1.001, 1.00001])
def test_a_wrong_gradient_of_any_size_fails(size, wrong_by):
    """Only relative error counts: a wrong gradient of size 1e-9 or 1e-300 fails like one of size 1."""
    check_grads(scaled_wrong(size, 1.0), [0.7], order=1)
    with pytest.raises(AssertionError, match="is wrong"):
        check_grads(scaled_wrong(size, wrong_by), [0.7], order=1)


def test_a_small_wrong_gradient_on_a_large_value_fails():
    """1 + 1e-9·x with twice its derivative fails, although the values hardly change."""
    tilted = custom_gradient(lambda x, y: 2e-9)(lambda x: 1.0 + 1e-9 * x)
    with pytest.raises(AssertionError, match="is wrong"):
        check_grads(tilted, [1.0], order=1)


def test_one_wrong_component_among_many_fails():
    """The message has the argument, both numbers, the error estimate, order and mode."""
    product = custom_gradient(lambda a, b, y: b, lambda a, b, y: 1.1 * a)(lambda a, b: a * b)

    def model(p, q):
        return {"out": [q, product(p["w"][1], p["b"])]}

    with pytest.raises(AssertionError) as failure:
        check_grads(model, [{"w": [1.0, 2.0], "b": 3.0}, 4.0], modes=["fwd"])
    first, analytic, numeric, where = str(failure.value).splitlines()
    assert "∂(result of model['out'][1])/∂(argument 0['b']) is wrong (order 1, fwd):" == first
    assert "  analytic   2.2" == analytic
    assert numeric.startswith("  numeric    2.0")
    assert " ± " in numeric
    expected = "at argument 0['w'][0] = 1.0, argument 0['w'][1] = 2.0, argument 0['b'] = 3.0, argument 1 = 4.0"
    assert expected == where


def test_a_wrong_second_derivative_fails():
    """A first derivative that is right as a number but not as a function is found at order 2, with its modes."""

    def frozen(x, y):  # the derivative 2x, with the graph cut
        return 2.0 * x.data if isinstance(x, Value) else 2.0 * x

    square = custom_gradient(frozen)(lambda x: x * x)
    check_grads(square, [3.0], order=1)
    with pytest.raises(AssertionError, match=r"is wrong \(order 2, rev over rev\)"):
        check_grads(square, [3.0])


@pytest.mark.parametrize("at", [0.0, -0.0])
def test_a_kink_is_no_wrong_derivative(at):
    """At a kink, central differences agree on the mean of both slopes: this does not show a wrong derivative."""
    for kinked in (am.relu, am.abs, lambda x: am.relu(x) ** 2, lambda x: 1e6 + am.leaky_relu(x, 0.5)):
        with pytest.raises(AssertionError, match=r"cannot be checked"):
            check_grads(kinked, [at])
    check_grads(lambda x: x * am.abs(x) ** 4, [at])
    with pytest.raises(TypeError, match=r"args must be a tuple or list with an entry for each argument, not 2.0"):
        check_grads(am.relu, 2.0)
    with pytest.raises(
        TypeError, match=r"args must be a tuple or list with an entry for each argument, not \{'a': 2.0\}"
    ):
        check_grads(lambda p: p["a"] ** 2, {"a": 2.0})


def test_kinks_and_poles_are_not_passed_over():
    """At a kink the check fails; where differences cannot decide, it says so and does not pass."""
    with pytest.raises(AssertionError, match=r"cannot be checked.*\n.*\n.*\n.*is there a kink, a jump or a pole"):
        check_grads(am.floor, [2.0 + 1e-9])
    with pytest.raises(AssertionError, match="cannot be checked"):
        check_grads(am.floor, [2.0])
    with pytest.raises(AssertionError, match="cannot be checked"):
        check_grads(am.atan2, [0.0, 1e-38])  # the scale is neither 1 nor the operand's size
    with pytest.raises(AssertionError, match="no finite values close to the point"):
        check_grads(am.sqrt, [0.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 0}, "order must be a whole number of at least 1, not 0"),
        ({"order": True}, "order must be"),
        ({"modes": ("reverse",)}, r"modes must be a sequence of 'rev' and 'fwd', not \('reverse',\)"),
        ({"modes": "rev"}, "modes must be a sequence"),
        ({"modes": ()}, "modes must be a sequence"),
        ({"rtol": -1e-6}, "rtol must be a number of at least 0, such as 1e-6, not -1e-06"),
        ({"rtol": float("nan")}, "rtol must be"),
    ],
)
def test_options_are_checked(options, message):
    """An option that makes no sense is named."""
    with pytest.raises(ValueError, match=message):
        check_grads(lambda x: x, [1.0], **options)


def test_an_empty_check_is_an_error():
    """A check that compares nothing raises an error."""
    with pytest.raises(ValueError, match="nothing to check: 0 numbers in the arguments and 1 in the result"):
        check_grads(lambda x: 1.0, [[]])
    with pytest.raises(ValueError, match="1 numbers in the arguments and 0 in the result"):
        check_grads(lambda x: None, [1.0])
    with pytest.raises(TypeError, match="args\\[0\\]: 'a' of type str is text"):
        check_grads(lambda x: x, ["a"])


# ---- strategies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLE)
@given(data=st.data())
@settings(max_examples=30)
def test_points_are_smooth_and_inside_the_domain(name, data):
    """Points from finite_points have finite value and derivatives, and keep the margin."""
    rule = TABLE[name]
    point = data.draw(finite_points(rule, magnitude=5.0, margin=0.1))
    value = rule(*point)
    wanted = [rule.arity is None or rule.domain[i][0] < rule.domain[i][1] for i in range(len(point))]
    derivatives = rule.local_derivatives(point, value, wanted)
    assert all(math.isfinite(d) for d in (value, *derivatives) if d is not None)
    domain = rule.domain if rule.arity is not None else rule.domain * len(point)
    for x, (low, high) in zip(point, domain, strict=True):
        assert low == high or (low + 0.1 <= x <= high - 0.1 and abs(x) <= 5.0)
    if rule.kink is not None:
        assert abs(rule.kink(*point) if rule.arity is not None else rule.kink(point)) >= 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_every_primitive_is_drawn(name):
    """expressions() draws every primitive; the smallest example is one step, at most with constants."""
    expression = find(expressions(rules=[TABLE[name]], max_steps=1), lambda e: len(e.steps) == 1, settings=FINDING)
    assert name == expression.steps[0][0].name


def test_sharing_constants_and_large_sums_are_drawn():
    """Some expressions use a node twice, some have constants, some have nodes with four operands."""
    assert find(expressions(), lambda e: any(len(set(o)) < len(o) for _, o in e.steps), settings=FINDING)
    assert find(expressions(), lambda e: any(isinstance(x, float) for _, o in e.steps for x in o), settings=FINDING)
    assert find(expressions(), lambda e: any(len(o) >= 4 for _, o in e.steps), settings=FINDING)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sin", "mul", "dot", "where", "softplus"])
def test_expressions_shrink_to_the_culprit(name):
    """A fault in one primitive shrinks to that primitive alone, on simple numbers."""
    culprit = TABLE[name]
    found = find(expressions(), lambda e: any(rule is culprit for rule, _ in e.steps), settings=SHRINKING)
    assert 1 == len(found.leaves)
    assert culprit is found.steps[-1][0]
    assert len(found.steps) <= (2 if culprit is rules.where else 1)  # 0 is a kink of where: one step leads away
    assert all(x == round(x) and abs(x) <= 2.0 for x in found.leaves), found


@pytest.mark.slow
def test_expressions_take_primitives_of_the_user():
    """A user's primitive can be drawn, alone or with primitives of the table."""
    triple = custom_gradient(lambda x, y: 3.0)(lambda x: 3.0 * x)
    found = find(
        expressions(rules=[rules.add, triple]), lambda e: len({rule for rule, _ in e.steps}) == 2, settings=SHRINKING
    )
    assert {rules.add, triple} == {rule for rule, _ in found.steps}


@given(expressions())
def test_expressions_give_the_same_on_floats_and_values(expression):
    """An expression gives the same numbers on floats and on Values, and has no step that its result does not need."""
    leaves = [Value(x) for x in expression.leaves]
    result = expression(*leaves)
    assert expression() == result.data
    assert list(expression.numbers()) == [v.data if isinstance(v, Value) else v for v in expression.numbers(*leaves)]
    nodes = [node for node in topological_order(result) if node.op is not None]
    assert len(nodes) <= len(expression.steps)
    assert expression == expression.pruned()
    namespace = {**{row.name: row for row in TABLE.values()}, "Expression": Expression}
    assert expression == eval(repr(expression), namespace)  # the text that Hypothesis prints can be run


@given(expressions())
def test_record_sweep_sums_to_the_adjoints(expression):
    """The sum of the messages to each node of a random expression is its gradient."""
    leaves = [Value(x) for x in expression.leaves]
    result = expression(*leaves)
    sums = {result: 1.0}
    for message in record_sweep(result):
        assert message.message == message.adjoint * message.local_derivative
        assert message.node.operands[message.slot] is message.operand
        assert message.adjoint == sums[message.node]
        sums[message.operand] = sums[message.operand] + message.message if message.operand in sums else message.message
        assert message.total == sums[message.operand]
    assert all(node.grad == 0.0 for node in sums)
    result.backward()
    assert [sums.get(node, 0.0) for node in topological_order(result)] == [n.grad for n in topological_order(result)]


def test_an_expression_reads_as_a_program():
    """It prints line by line, and refuses a wrong number of leaves with its listing."""
    expression = Expression((1.0, 2.0), ((rules.mul, (0, 1)), (rules.add, (2, 0.5))))
    assert "v0 = 1.0\nv1 = 2.0\nv2 = mul(v0, v1)\nv3 = add(v2, 0.5)" == str(expression)
    assert 6.5 == expression(2.0, 3.0)
    with pytest.raises(TypeError, match=r"has 2 leaves, not 1:\nv0 = 1.0"):
        expression(1.0)


def test_pruning_keeps_leaves_and_drops_what_is_not_needed():
    """Indices are renumbered after unused steps are removed."""
    wasteful = Expression((1.0,), ((rules.sin, (0,)), (rules.exp, (0,)), (rules.mul, (2, 2.0))))
    assert Expression((1.0,), ((rules.exp, (0,)), (rules.mul, (1, 2.0)))) == wasteful.pruned()


def test_strategies_without_hypothesis_name_the_extra():
    """The gradient check works without Hypothesis; the strategies say what to install."""
    program = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from autograd.testing import check_grads\n"
        "check_grads(lambda x: x * x, [3.0])\n"
        "import autograd.testing.strategies"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "ImportError: autograd.testing.strategies needs Hypothesis" in done.stderr
    assert "pip install 'scalar-autograd[testing]'" in done.stderr
