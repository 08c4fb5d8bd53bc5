"""Every primitive against finite differences and mpmath, at its corners and over the whole double range.

Every test goes through the table, so a new primitive is tested as soon as it exists.
"""

import copy
import pickle
from math import inf, isnan

import mpmath
import pytest
from exact import relative_error
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from references import REFERENCES

import autograd.math as am
from autograd import Value, grad, jacobian, rules
from autograd.rules import TABLE, Rule
from autograd.testing import check_grads
from autograd.testing.strategies import finite_points

MIDDLE = 1e75  # up to this size the squares and products in second derivatives stay in range
ROWS = pytest.mark.parametrize("name", TABLE)
MODES = pytest.mark.parametrize("mode", ["rev", "fwd"])


def examples(count):
    """`count` random points; a filter may reject many points outside a domain."""
    return settings(max_examples=count, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])


def active_slots(rule, point):
    """The operands by which there is a derivative."""
    return [i for i in range(len(point)) if rule.arity is None or rule.domain[i][0] < rule.domain[i][1]]


def of_active(rule, point):
    """The rule as a function of a list of its active operands, and their values."""
    slots = active_slots(rule, point)

    def function(xs):
        operands = list(point)
        for slot, x in zip(slots, xs, strict=True):
            operands[slot] = x
        return rule(*operands)

    return function, [point[slot] for slot in slots]


def extreme_points(name, largest=inf, max_operands=4):
    """Points of the whole double range, or of the part that the reference allows."""
    largest = min(largest, REFERENCES[name].within)
    points = finite_points(TABLE[name], magnitude=largest, margin=0.0, max_operands=max_operands)
    return points.filter(lambda point: all(x == 0.0 or abs(x) >= 1.0 / largest for x in point))


def unit(count, *slots):
    """Orders of derivation: one for each given slot."""
    return [slots.count(i) for i in range(count)]


def same(expected, actual):
    """Equal, or both nan, or both missing."""
    if expected is None or actual is None:
        return expected is actual
    return expected == actual or (isnan(expected) and isnan(actual))


def test_every_row_has_a_reference():
    """Every primitive has a reference in mpmath, and every reference has a primitive."""
    assert set(REFERENCES) == set(TABLE)


@ROWS
def test_every_kink_and_boundary_has_a_convention(name):
    """A primitive that is not smooth everywhere says what it does there."""
    rule = TABLE[name]
    bounds = {bound for interval in rule.domain for bound in interval}
    if rule.kink is not None or bounds - {-inf, inf}:
        assert rule.corners


@pytest.mark.slow
@ROWS
@given(data=st.data())
@examples(8)
def test_finite_differences(name, data):
    """First and second derivatives of every primitive agree with differences, in both modes and all combinations."""
    rule = TABLE[name]
    points = finite_points(rule, magnitude=6.0, margin=0.05, max_operands=3)
    point = data.draw(points.filter(lambda point: all(x == 0.0 or abs(x) >= 0.01 for x in point)))
    function, active = of_active(rule, point)
    check_grads(function, [active])


@pytest.mark.slow
@ROWS
@given(data=st.data())
@examples(60)
def test_value(name, data):
    """Every primitive's value is right to the last digits over the whole double range."""
    rule, reference = TABLE[name], REFERENCES[name]
    point = data.draw(extreme_points(name))
    error = relative_error(name, point, unit(len(point)), rule(*point))
    assert error <= reference.ulps * 2.0**-52, (point, rule(*point))


@ROWS
@given(data=st.data())
@examples(40)
def test_first_derivatives(name, data):
    """Every primitive's local derivatives have 12 right digits over the whole double range, even if they are tiny."""
    rule = TABLE[name]
    point = data.draw(extreme_points(name))
    found = rule.local_derivatives(point, rule.evaluate(point))
    for slot in active_slots(rule, point):
        assert relative_error(name, point, unit(len(point), slot), found[slot] or 0.0) <= 1e-12, (slot, found)


@pytest.mark.slow
@ROWS
@MODES
@given(data=st.data())
@examples(15)
def test_derivatives_by_sweeps(name, mode, data):
    """First derivatives by a sweep, and second ones by the same mode twice, have 12 right digits."""
    rule = TABLE[name]
    point = data.draw(extreme_points(name, MIDDLE, max_operands=3))
    function, active = of_active(rule, point)
    slots = active_slots(rule, point)
    gradient = jacobian(function, mode=mode)(active)
    second = jacobian(jacobian(function, mode=mode), mode=mode)(active)
    for i, first in zip(slots, gradient, strict=True):
        assert relative_error(name, point, unit(len(point), i), first) <= 1e-12, (i, first)
    for i, row in zip(slots, second, strict=True):
        for j, entry in zip(slots, row, strict=True):
            assert relative_error(name, point, unit(len(point), i, j), entry) <= 1e-12, (i, j, entry)


@pytest.mark.parametrize(("name", "operands"), [(name, corner) for name in TABLE for corner in TABLE[name].corners])
def test_corners(name, operands):
    """At every kink and boundary point, value and local derivatives are exactly those that the rule states."""
    rule = TABLE[name]
    value, derivatives = rule.corners[operands]
    assert same(value, rule(*operands))
    found = rule.local_derivatives(operands, rule.evaluate(operands))
    assert len(derivatives) == len(found)
    assert all(map(same, derivatives, found)), found
    node = rule(*map(Value, operands))
    assert all(map(same, derivatives, node.local_grads)), node.local_grads


@pytest.mark.parametrize(("name", "operands"), [(name, corner) for name in TABLE for corner in TABLE[name].corners])
@MODES
def test_corners_by_sweeps(name, operands, mode):
    """Both modes give a corner's derivatives; an operand that was not selected has gradient 0."""
    expected = [d or 0.0 for d in TABLE[name].corners[operands][1]]
    found = jacobian(lambda xs: TABLE[name](*xs), mode=mode)(list(operands))
    assert all(map(same, expected, found)), found


@pytest.mark.parametrize("name", ["logsumexp", "logaddexp"])
@given(
    base=st.floats(-1e300, 1e300, allow_subnormal=False),
    offsets=st.lists(st.floats(-40.0, 40.0, allow_subnormal=False), min_size=2, max_size=2),
)
def test_sums_of_exponentials_of_large_numbers(name, base, offsets):
    """If logsumexp is too large to have digits after the point, its derivatives still have all their digits."""
    point = tuple(base + offset for offset in offsets)
    found = TABLE[name].local_derivatives(point, TABLE[name](*point))
    for slot, derivative in enumerate(found):
        assert relative_error(name, point, unit(2, slot), derivative) <= 1e-12


@pytest.mark.parametrize("x", [0.0, 1e-300, 19.0, 37.0, 400.0, 710.0, 745.0, 1e5, 1e300])
@pytest.mark.parametrize("name", ["sigmoid", "softplus", "silu", "gelu", "tanh", "atan", "asinh", "erf"])
def test_no_derivative_of_any_order_overflows_on_the_way(name, x):
    """The first three derivatives of functions that are bounded everywhere are finite everywhere."""
    function = TABLE[name]
    for _ in range(3):
        function = grad(function)
        for point in (x, -x):
            assert abs(function(point)) <= 4.0


def test_power_at_exponent_zero_depends_on_the_exponent():
    """∂(a^b)/∂a is 0 at b = 0, and its derivative by b is 1/a there: the branch at 0 is not a constant."""
    by_base = grad(lambda a, b: a**b)
    assert 0.0 == by_base(4.0, 0.0)
    assert 0.25 == grad(by_base, argnums=1)(4.0, 0.0)
    assert 2.0 * am.log(4.0) / 4.0 == grad(grad(by_base, argnums=1), argnums=1)(4.0, 0.0)


@pytest.mark.parametrize(
    ("base", "exponent", "expected"),
    [
        (0.0, 0.0, 1.0),
        (0.0, 3.0, 0.0),
        (-0.0, 3.0, -0.0),
        (0.0, -1.0, inf),
        (-0.0, -1.0, -inf),
        (-2.0, 3.0, -8.0),
        (-2.0, -2.0, 0.25),
        (-8.0, 1.0 / 3.0, float("nan")),
        (-1e200, 3.0, -inf),
        (-1e200, 2.0, inf),
        (inf, 0.0, 1.0),
        (float("nan"), 0.0, 1.0),
    ],
)
def test_power_is_real(base, exponent, expected):
    """Powers follow IEEE 754 at every corner; they are floats, never complex, and nothing overflows with an error."""
    for result in (rules.pow(base, exponent), (Value(base) ** exponent).data, (base ** Value(exponent)).data):
        assert type(result) is float
        assert same(expected, result)
        assert isnan(result) or str(expected) == str(result)  # the sign of a zero too


@pytest.mark.parametrize("count", [1, 2, 5])
def test_nary_rows_are_one_node(count):
    """A sum, mean, maximum, … of many operands is a single node with one local derivative each."""
    leaves = [Value(float(i)) for i in range(2 * count)]
    for rule in (rules.sum, rules.prod, rules.mean, rules.dot, rules.logsumexp, rules.max, rules.min):
        node = rule(*leaves)
        assert tuple(leaves) == node.operands
        assert 2 * count == len(node.local_grads)


def test_a_product_with_zeros_has_its_gradient():
    """There is no division by a factor: with one zero one derivative is not 0, with two all are 0."""
    assert [6.0, 0.0, 0.0] == grad(lambda xs: am.prod(xs))([0.0, 2.0, 3.0])
    assert [0.0, 0.0, 0.0] == grad(lambda xs: am.prod(xs))([0.0, 0.0, 3.0])


def test_an_unselected_branch_sends_no_message():
    """An operand that `where`, `max` or `clip` did not select may have an infinite derivative; no nan results."""
    assert 1.0 == grad(lambda x: am.where(x > 0.0, am.sqrt(x), x))(0.0)
    assert 0.0 == grad(lambda x: am.max(am.sqrt(x), 1.0))(0.0)
    assert 0.0 == grad(lambda x: am.clip(am.sqrt(x), 1.0, 2.0))(0.0)


@ROWS
def test_a_row_is_one_object(name):
    """A copy or pickle of a rule is the same object, so operations of unpickled graphs can still be compared."""
    rule = TABLE[name]
    assert rule is copy.copy(rule)
    assert rule is copy.deepcopy(rule)
    assert rule is pickle.loads(pickle.dumps(rule))
    assert name == repr(rule)


def test_unpickling_an_unknown_primitive_says_what_to_do():
    """A user's primitive that cannot be found is named, with its module."""
    lost = Rule("lost", "lost", abs, (lambda x, y: 1.0,), 1, ((-inf, inf),), module=__name__)
    with pytest.raises(LookupError, match=r"'lost' is not defined in '.*test_rules'.*import it"):
        pickle.loads(pickle.dumps(lost))


@pytest.mark.parametrize("order", range(4))
def test_derivatives_of_gamma_keep_their_digits_beside_poles(order):
    """Close to a pole, on either side, the distance from it decides; the nearest number is 2^-53 away."""
    for pole in (-1.0, -2.0, -7.0):
        for distance in (2.0**-50, 2.0**-30, -(2.0**-50), 2.0**-3, 0.24):
            x = pole + distance
            with mpmath.workdps(60):
                expected = mpmath.polygamma(order, mpmath.mpf(x))
                assert float(expected) == pytest.approx(rules.polygamma(float(order), x), rel=1e-13, abs=0)
    assert rules.digamma(-1.0 + 2.0**-53) == pytest.approx(-(2.0**53), rel=1e-15)
