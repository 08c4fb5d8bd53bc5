"""Learning rates that change from step to step: functions from the number of steps so far to a rate.

They use `autograd.math`, so the number of steps may also be a tracer of the compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import Any, TypeAlias

import autograd.math as am
from autograd.ieee import to_float
from nn.checks import positive

Schedule: TypeAlias = Callable[[Any], Any]


def constant(rate: float) -> Schedule:
    """The same rate at every step.

    Examples
    --------
    >>> from nn import constant
    >>> constant(0.1)(1000)
    0.1
    """
    number = positive("rate", rate)
    return lambda steps: number


def step_decay(rate: float, every: float, factor: float = 0.1) -> Schedule:
    """rate · factor^⌊steps / every⌋: the rate is a staircase.

    Parameters
    ----------
    rate : float
        The first rate.
    every : float
        How many steps have the same rate.
    factor : float
        By what the rate is then multiplied.

    Raises
    ------
    ValueError
        If a number is not positive and finite.

    Examples
    --------
    >>> from nn import step_decay
    >>> [step_decay(1.0, every=10, factor=0.5)(steps) for steps in (0, 9, 10, 20)]
    [1.0, 1.0, 0.5, 0.25]
    """
    first, stair, by = positive("rate", rate), positive("every", every), positive("factor", factor)
    return lambda steps: first * by ** am.floor(steps / stair)


def cosine(rate: float, steps: float, lowest: float = 0.0) -> Schedule:
    """From `rate` to `lowest` along half a cosine in the given number of steps; after that, `lowest`.

    After I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.

    Parameters
    ----------
    rate, lowest : float
        The rate at the first step, and after the last one.
    steps : float
        The number of steps.

    Raises
    ------
    ValueError
        If `rate` or `steps` is not positive and finite, or `lowest` is not from 0 to `rate`.

    Examples
    --------
    >>> from nn import cosine
    >>> [round(cosine(1.0, steps=100)(step), 4) for step in (0, 50, 100, 200)]
    [1.0, 0.5, 0.0, 0.0]
    """
    first, length, last = positive("rate", rate), positive("steps", steps), to_float(lowest)
    if not 0.0 <= last <= first:
        raise ValueError(f"lowest must be a number from 0 to the rate {rate!r}, not {lowest!r}")
    return lambda step: last + (first - last) * 0.5 * (1.0 + am.cos(am.min(step / length, 1.0) * pi))


def warm_up(then: float | Schedule, steps: float) -> Schedule:
    """A schedule times a factor that grows linearly to 1 in the given number of steps and then stays 1.

    Parameters
    ----------
    then : float or callable
        The rate or the schedule, which is multiplied by (step + 1) / steps as long as that is below 1.
    steps : float
        The number of steps in which the factor grows.

    Raises
    ------
    ValueError
        If a number is not positive and finite.

    Examples
    --------
    >>> from nn import cosine, warm_up
    >>> [warm_up(0.8, steps=4)(step) for step in range(5)]
    [0.2, 0.4, 0.6000000000000001, 0.8, 0.8]
    >>> round(warm_up(cosine(1.0, steps=100), steps=10)(50), 4)
    0.5
    """
    schedule = then if callable(then) else constant(then)
    length = positive("steps", steps)
    return lambda step: schedule(step) * am.min((step + 1.0) / length, 1.0)
