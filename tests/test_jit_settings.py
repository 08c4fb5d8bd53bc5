"""What functions without Python source read, and lists that a compiled function appends to and reads."""

from __future__ import annotations

import abc
import decimal
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autograd import grad, jit, vmap

logger = logging.getLogger("autograd.tests.settings")
inner_logger = logging.getLogger("autograd.tests.settings.inner")
table: list[float] = []
log: list[float] = []


class Solid(abc.ABC):
    """A class of which others may be registered as subclasses."""

    @abc.abstractmethod
    def volume(self) -> float:
        """The volume."""


def third(x: Any) -> Any:
    """A number that depends on the precision of decimals."""
    return x * float(decimal.Decimal(1) / decimal.Decimal(3))


def logged(x: Any) -> Any:
    """What a logger above decides."""
    return x * 2.0 if inner_logger.isEnabledFor(logging.DEBUG) else x


def effective(x: Any) -> Any:
    """The same by its level."""
    return x * float(inner_logger.getEffectiveLevel())


def test_decimals() -> None:
    """A compiled function sees another precision, and one that is set for a block."""
    compiled, rows = jit(grad(third)), jit(vmap(third))
    for precision in (5, 28, 9, 5):
        with decimal.localcontext() as context:
            context.prec = precision
            assert grad(third)(1.0) == compiled(1.0)
            assert [third(x) for x in (1.0, 2.0)] == list(rows(np.array([1.0, 2.0])))


@pytest.mark.parametrize("function", [logged, effective])
def test_levels_of_loggers(function: Callable[[Any], Any]) -> None:
    """It sees the level of the loggers above, and that logging is disabled."""
    compiled, before = jit(function), logger.level
    try:
        for level in (logging.DEBUG, logging.WARNING, logging.DEBUG):
            logger.setLevel(level)
            assert function(3.0) == compiled(3.0)
        logging.disable(logging.ERROR)
        assert function(3.0) == compiled(3.0)
    finally:
        logging.disable(logging.NOTSET)
        logger.setLevel(before)


def test_classes_that_are_registered() -> None:
    """It sees that a class has been registered as a subclass."""

    class Ball:
        """It is no solid yet."""

    ball = Ball()

    def function(x: Any) -> Any:
        return 2.0 * x if isinstance(ball, Solid) else x

    compiled = jit(function)
    assert compiled(1.0) == 1.0
    Solid.register(Ball)
    assert compiled(1.0) == 2.0
    assert "ABCMeta.register" in {read.name for read in compiled.reads()}


def test_a_list_that_is_filled_once() -> None:
    """A list that the function fills when it is first needed is watched once it is full."""
    table.clear()

    def power(x: Any) -> Any:
        while len(table) < 3:
            table.append(0.5 ** len(table))
        return x * sum(table)

    compiled = jit(power, quiet=True)
    assert [1.75, 1.75, 1.75] == [compiled(1.0) for _ in range(3)]
    table[0] = 5.0
    assert power(1.0) == compiled(1.0) == 5.75
    table.clear()
    assert power(1.0) == compiled(1.0) == 1.75


def test_a_list_that_grows_and_is_read() -> None:
    """A list to which each call adds, and which it reads, is refused at the second call; one that is a log is not."""

    def growing(x: Any) -> Any:
        table.append(2.0)
        return x * len(table)

    def by_another_name(x: Any) -> Any:
        kept = table
        kept.append(2.0)
        return x * kept[-1] + kept[0]

    def logging_only(x: Any) -> Any:
        kept = log
        kept.append(1.0)
        log.extend([2.0])
        return x * 2.0

    for function in (growing, by_another_name):
        table[:] = [1.0]
        compiled = jit(function, quiet=True)
        assert compiled(3.0) == (6.0 if function is growing else 7.0)
        with pytest.raises(TypeError, match=r"appends to .*table\[\] at each call and reads it"):
            compiled(3.0)
    compiled = jit(logging_only, quiet=True)
    assert [6.0, 6.0, 6.0] == [compiled(3.0) for _ in range(3)]
    assert [1.0, 2.0] == log
