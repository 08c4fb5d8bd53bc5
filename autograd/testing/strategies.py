"""Hypothesis strategies: points where a primitive can be tested, and whole random computations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf, isfinite
from typing import Any

from autograd.rules import TABLE, Interval, Rule
from autograd.testing.expressions import Expression, Operand, Step

try:
    from hypothesis import strategies as st
except ImportError:
    raise ImportError(
        "autograd.testing.strategies needs Hypothesis, which is not installed: pip install 'scalar-autograd[testing]'"
    ) from None

__all__ = ["expressions", "finite_points"]

RawStep = tuple[Rule, list[tuple[int, float | None]], int]


def finite_points(
    rule: Rule, *, magnitude: float = 10.0, margin: float = 1e-3, max_operands: int = 5
) -> st.SearchStrategy[tuple[float, ...]]:
    """Operands at which a primitive is differentiable and its value and local derivatives are finite.

    The rule gives everything: the arity, the domain, the kinks.

    Parameters
    ----------
    rule : Rule
        A primitive of the table, or one from `custom_gradient`.
    magnitude : float
        The largest absolute value of an operand; ``math.inf`` for all doubles except subnormal numbers.
    margin : float
        The least distance of an operand from the ends of the domain, and of the rule's `kink` from 0. With 0,
        operands are only not exactly there.
    max_operands : int
        The largest number of operands of an n-ary primitive.

    Returns
    -------
    SearchStrategy
        Of tuples of floats, one for each operand. An operand whose domain is an empty interval is a whole number by
        which there is no derivative, such as the order of `polygamma`: 0, 1, 2 or 3.

    Examples
    --------
    >>> from hypothesis import find
    >>> from autograd import rules
    >>> from autograd.testing.strategies import finite_points
    >>> find(finite_points(rules.log), lambda point: point[0] > 3.0)
    (4.0,)
    """
    if rule.arity is not None:
        points = st.tuples(*[_operand(interval, magnitude, margin) for interval in rule.domain])
    else:
        each = _operand(rule.domain[0], magnitude, margin)
        counts = st.integers(1, max_operands).filter(lambda n: _fits(rule, n))
        points = counts.flatmap(lambda n: st.tuples(*[each] * n))
    return points.filter(lambda point: _is_smooth(rule, point, inf, margin))


def expressions(
    *,
    rules: Iterable[Rule] = tuple(TABLE.values()),
    max_leaves: int = 4,
    max_steps: int = 12,
    magnitude: float = 100.0,
    margin: float = 1e-2,
) -> st.SearchStrategy[Expression]:
    """Random expressions with sharing, constants, every arity and every primitive, finite and smooth at their leaves.

    A step is left out if it leaves its primitive's domain, comes close to a kink, grows too large or cancels more than
    four digits. So every draw is an expression, and a failing one shrinks to a few steps on simple numbers.

    Parameters
    ----------
    rules : iterable of Rule
        The primitives to choose from: the whole table, unless you add your own or leave some out.
    max_leaves, max_steps : int
        The largest size of an expression.
    magnitude : float
        The largest absolute value of a leaf, of the result of a step and of its local derivatives.
    margin : float
        As for `finite_points`.

    Examples
    --------
    >>> from hypothesis import find
    >>> from autograd.testing.strategies import expressions
    >>> print(find(expressions(max_leaves=1, max_steps=3), lambda e: "= sin(" in str(e)))
    v0 = 0.0
    v1 = sin(v0)
    """
    table = list(rules)
    small = st.floats(-3.0, 3.0, allow_subnormal=False)
    numbers = small | st.floats(-magnitude, magnitude, allow_subnormal=False)
    reference = st.tuples(st.integers(0, max_steps + max_leaves - 1), st.none() | st.none() | numbers)
    step = st.tuples(st.sampled_from(table), st.lists(reference, min_size=1, max_size=5), st.integers(0, 3))
    steps = st.integers(0, max_steps).flatmap(lambda count: st.lists(step, min_size=count, max_size=count))
    return st.builds(
        lambda leaves, raw: _expression(tuple(leaves), raw, TABLE["sum"] in table, magnitude, margin),
        st.lists(numbers, min_size=1, max_size=max_leaves),
        steps,  # the length is drawn first: Hypothesis shrinks this better than a list of open length
    )


def _operand(interval: Interval, magnitude: float, margin: float) -> st.SearchStrategy[float]:
    low, high = interval
    if low == high:
        return st.integers(0, 3).map(float)
    low, high = max(low + margin, -magnitude), min(high - margin, magnitude)
    return st.floats(
        low if isfinite(low) else None,
        high if isfinite(high) else None,
        exclude_min=low == interval[0] and isfinite(low),
        exclude_max=high == interval[1] and isfinite(high),
        allow_nan=False,
        allow_infinity=False,
        allow_subnormal=False,
    )


def _fits(rule: Rule, count: int) -> bool:
    """Whether the primitive can take this many operands."""
    if rule.arity is not None:
        return count == rule.arity
    try:
        return len(rule.local_derivatives([1.0] * count, 1.0)) == count and not (rule.name == "dot" and count % 2)
    except (ValueError, IndexError):
        return False


def _is_smooth(rule: Rule, point: Sequence[float], magnitude: float, margin: float) -> bool:
    """Whether value and local derivatives are finite and at most the magnitude, and no kink is near."""
    if rule.kink is not None:
        distance = rule.kink(point) if rule.arity is None else rule.kink(*point)
        if not abs(distance) >= margin or distance == 0.0:
            return False
    return all(isfinite(x) and abs(x) <= magnitude for x in _linear(rule, point))


def _keeps_digits(rule: Rule, point: Sequence[float]) -> bool:
    """Whether only few leading digits cancel, unlike in a difference of almost equal numbers."""
    value, *derivatives = _linear(rule, point)
    return sum(abs(d * x) for d, x in zip(derivatives, point)) <= 1e4 * abs(value)


def _linear(rule: Rule, point: Sequence[float]) -> list[float]:
    """The value and its local derivatives, 0 where there is none."""
    value = rule.evaluate(point)
    wanted = [not whole for whole in _whole_numbers(rule, len(point))]
    return [value, *[0.0 if d is None else d for d in rule.local_derivatives(point, value, wanted)]]


def _expression(
    leaves: tuple[float, ...], raw: Sequence[RawStep], gather: bool, magnitude: float, margin: float
) -> Expression:
    """The expression of the steps that are possible; if `gather`, results that no step uses are added up."""
    numbers = list(leaves)
    steps: list[Step] = []
    unused: list[int] = []
    for rule, references, whole in raw:
        for turn in range(len(numbers)):  # until there are operands that the primitive can take
            operands = _operands(rule, references, whole, len(numbers), turn)
            point = [numbers[o] if isinstance(o, int) else o for o in operands]
            smooth = _inside(rule, point, margin) and _is_smooth(rule, point, magnitude, margin)
            if smooth and _keeps_digits(rule, point):
                unused = [place for place in unused if place not in operands] + [len(numbers)]
                steps.append((rule, operands))
                numbers.append(rule.evaluate(point))
                break
    if gather and len(unused) > 1:
        steps.append((TABLE["sum"], tuple(unused)))
    return Expression(leaves, tuple(steps)).pruned()


def _operands(
    rule: Rule, references: list[tuple[int, float | None]], whole: int, count: int, turn: int
) -> tuple[Operand, ...]:
    """The operands of a step: numbers, counted back from the last one, and constants."""
    wanted = rule.arity if rule.arity is not None else len(references)
    if not _fits(rule, wanted):
        wanted += 1
    chosen: list[Operand] = []
    for slot, whole_number in enumerate(_whole_numbers(rule, wanted)):
        back, constant = references[slot % len(references)]
        back += turn + slot // len(references)
        if whole_number:
            chosen.append(float(whole))
        elif constant is not None and any(isinstance(o, int) for o in chosen):
            chosen.append(constant)
        else:
            chosen.append(count - 1 - back % count)
    return tuple(chosen)


def _whole_numbers(rule: Rule, count: int) -> list[bool]:
    """For each operand, whether it is a whole number by which there is no derivative."""
    return [low == high for low, high in rule.domain] if rule.arity is not None else [False] * count


def _inside(rule: Rule, point: Sequence[float], margin: float) -> bool:
    domains: Any = rule.domain if rule.arity is not None else rule.domain * len(point)
    return all(low == high or low + margin <= x <= high - margin for x, (low, high) in zip(point, domains))
