"""A result that depends on its argument by comparisons or rounding alone: `detect_anomaly` and `check_grads` say so."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import autograd.math as am
from autograd import LostGradientWarning, Value, adopt, backward, detect_anomaly, grad, implicit, value_and_grad
from autograd.modes import captures
from autograd.testing import check_grads


def bisection(a: Any, high: Any = 9.0, steps: int = 60) -> Any:
    """The square root."""
    low = 0.0
    for _ in range(steps):
        middle = 0.5 * (low + high)
        if middle * middle < a:
            low = middle
        else:
            high = middle
    return low


def ends_early(a: Any) -> Any:
    """A bisection with wide steps on the way, and smooth pieces between them."""
    low, high = 0.0, a + 1.0
    while high - low > 1e-3:
        middle = 0.5 * (low + high)
        if middle * middle < a:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def rounded(x: Any) -> Any:
    """As `vincenty` returns a distance."""
    return round(x * x, 6)


def test_a_bisection_is_a_warning_with_its_line() -> None:
    """And how often the line compares, at the line that asked for the gradient."""
    with (
        detect_anomaly(),
        pytest.warns(
            LostGradientWarning, match=r"argument 4\.0 is 0.*in bisection: if middle \* middle < a.*60 times"
        ) as caught,
    ):
        assert grad(bisection)(4.0) == 0.0
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "function", [rounded, am.floor, am.sign, lambda x: x // 2.0, lambda x: 1.0 if x > 1.0 else 2.0]
)
def test_rounding_and_steps_are_warnings(function: Any) -> None:
    """In transforms and in `backward`, in forward and reverse mode."""
    with detect_anomaly(), pytest.warns(LostGradientWarning, match="test_decisions.py"):
        assert grad(function)(1.5) == 0.0
    with detect_anomaly():
        x = Value(1.5, label="x")
        y = function(x)
        if isinstance(y, Value):
            with pytest.warns(LostGradientWarning, match="argument 'x' is 0"):
                backward(y)


def test_no_warning_where_there_is_a_derivative() -> None:
    """A branch, a derivative that is 0 without any decision, and code outside `detect_anomaly`."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grad(bisection)(4.0)
        with detect_anomaly():
            assert grad(lambda x: x * x if x > 0 else x)(2.0) == 4.0
            assert grad(lambda x: x * 0.0)(2.0) == 0.0
            assert grad(am.relu)(-2.0) == 0.0
            assert value_and_grad(lambda x: x + am.floor(x))(2.5) == (4.5, 1.0)
    assert not captures


def test_adopted_ints_are_decisions() -> None:
    """int(v) and round(v) in adopted code have no derivative."""
    adopted = adopt(to_int)
    with detect_anomaly(), pytest.warns(LostGradientWarning, match="in to_int: return float"):
        assert grad(adopted)(2.5) == 0.0


def to_int(x: Any) -> Any:
    """Half of the whole part."""
    return float(int(x)) / 2


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (bisection, r"is wrong.*\n.*0\.0\n.*0\.25.*\n.*\nIt compares or rounds at .*in bisection: if middle.*60 times"),
        (lambda a: bisection(a, a + 1.0), r"is wrong.*\n.*\n.*0\.25.*\n.*\nIt compares or rounds at .*in bisection"),
        (ends_early, r"cannot be checked.*\n.* with steps up to .*\n.*0\.2(49|5).* with longer steps\n.*implicit"),
        (rounded, r"rounded.*\n.*\n.*\n.*\nIt compares or rounds at .*in rounded: round"),
    ],
)
def test_check_grads_tells(function: Any, message: str) -> None:
    """Wrong or accidental derivatives do not pass, and the message has the lines."""
    with pytest.raises(AssertionError, match=message):
        check_grads(function, [4.0], order=1)


def test_check_grads_passes_solutions_and_branches() -> None:
    """The derivative of the solution passes; so do kinks nearby, and smooth functions with a fine structure."""
    check_grads(implicit.solution_of(bisection, lambda x, a: x * x - a), [4.0], order=1, rtol=1e-5)
    check_grads(lambda x: x if x > 0 else 0.01 * x, [5e-4], order=1)
    check_grads(lambda x: x * x if x > 1.0 else (x if x > 0.99 else 2 * x), [1.002], order=1)
    check_grads(lambda x: am.softplus(1000.0 * x), [5e-4], order=1)
    check_grads(lambda x: am.sin(300.0 * x), [3.0], order=1)
    check_grads(lambda x: am.sqrt(x * x + 1e-8), [1e-4], order=1)
