"""check_grads finds derivatives that are right only at the point where they are checked."""

import math
import random

import pytest

import autograd.math as am
from autograd import custom_gradient, rules
from autograd.testing import check_grads
from autograd.testing.gradients import _check_beside, _flat

pytestmark = pytest.mark.slow


@custom_gradient(lambda x, y: 0.0)
def flat_cosine(x):
    """A cosine whose derivative is right at 0."""
    return math.cos(x)


@custom_gradient(lambda x, y: x)
def even(x):
    """cosh, whose slope and curvature this derivative has at 0."""
    return math.cosh(2.0 * x) / 4.0 + x


@custom_gradient(lambda a, b, y: a + b, lambda a, b, y: a + b)
def swapped(a, b):
    """(a + b)² / 2 + (a - b)², without its second term: right on the diagonal."""
    return (a + b) ** 2 / 2.0 + (a - b) ** 2


@custom_gradient(lambda x, y: 0.0)
def small(x):
    """A bell curve whose width is proportional to its centre."""
    return math.exp(-(((x - 1e-9) * 1e9) ** 2))


@pytest.mark.parametrize(
    ("rule", "point"),
    [
        (flat_cosine, [0.0]),
        (flat_cosine, [2.0 * math.pi]),
        (swapped, [1.0, 1.0]),
        (swapped, [0.0, 0.0]),
        (small, [1e-9]),
    ],
)
@pytest.mark.parametrize("mode", ["rev", "fwd"])
def test_right_by_symmetry(rule, point, mode):
    """A wrong derivative that is right at a symmetric point is found at order 2 and higher, in either mode."""
    with pytest.raises(AssertionError, match=rf"is wrong \(order 1, {mode}\):[\s\S]*near the given point"):
        check_grads(rule, point, modes=[mode])
    check_grads(rule, point, order=1, modes=[mode])


def test_other_errors_are_found_as_before():
    """A derivative that is wrong at the point is reported for that point."""
    with pytest.raises(AssertionError, match=r"at argument 0 = 1\.0$"):
        check_grads(even, [1.0], order=1)
    with pytest.raises(AssertionError, match="is wrong"):
        check_grads(even, [0.0])


def test_no_value_beside_the_point():
    """A function that has no value near the point, or a kink there, is checked only at the point."""

    def bounded(x):
        if abs(x) > 0.01:
            raise ValueError("out of range")
        return am.exp(x)

    check_grads(bounded, [0.0])
    check_grads(lambda x: am.log(1e-3 - x), [0.0])
    check_grads(lambda x: abs(x - 2.0**-6), [0.0])
    check_grads(lambda x: am.floor(x + 1.0 - 2.0**-6) + x, [0.0])
    check_grads(lambda x: am.relu(x + 0.7 * 2.0**-6) - am.relu(x - 2.0**-6), [0.0])


@pytest.mark.parametrize("seed", range(2))
def test_no_false_alarm(seed):
    """Correct primitives are never called wrong at thousands of random points, some near kinks and ends of domains."""
    source = random.Random(seed)
    for name, rule in rules.TABLE.items():
        if name == "polygamma":
            continue
        for _ in range(15):
            size = 10.0 ** source.uniform(-3.0, 1.5)
            intervals = rule.domain if rule.arity else rule.domain * source.choice([2, 4])
            point = [1.0 if a == b else _inside(source, a, b, size) for a, b in intervals]
            fixed = [a == b for a, b in intervals]

            def function(xs, rule=rule, point=point, fixed=fixed):
                return rule(*[p if f else x for p, f, x in zip(point, fixed, xs)])

            flat, y = _flat(function, (point,))
            _check_beside(y, flat, ("rev", "fwd"), 1e-6)


def _inside(source, low, high, size):
    """A number in an interval, sometimes close to its end."""
    while True:
        x = source.choice([low, high, 0.0]) + source.uniform(-size, size)
        if low < x < high and math.isfinite(x):
            return x
        if math.isinf(low) and math.isinf(high):
            return source.uniform(-size, size)
