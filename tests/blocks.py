"""Functions of rows and of blocks that worker processes import; this module imports little, so they start fast."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import autograd.math as am
from autograd import value_and_grad, vmap

RATE = 2.0


def bent(x: Any, y: Any) -> Any:
    """A function with three paths."""
    if x > 1.0:
        return am.exp(-x) * y
    if x > 0.0:
        return am.sin(x) + y
    return x * x - 1.1 * y


def loss(p: Any, x: Any, y: Any) -> Any:
    """The squared error of a curve with three paths."""
    return (p["scale"] * bent(x[0], x[1]) + am.sum([w * z for w, z in zip(p["w"], x)]) - y) ** 2


STEP = value_and_grad(vmap(loss, in_axes=(None, 0, 0), reduce="mean"))


def uses_rate(x: Any) -> Any:
    """A function that reads a number of its module."""
    return RATE * x


def raising(x: Any) -> Any:
    """A function that refuses some rows."""
    if x > 3.0:
        raise ZeroDivisionError("too large")
    return x * x


def lethal(rows: Any, flag: str) -> Any:
    """The rows; the first process that asks for them is killed."""
    if not os.path.exists(flag):
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return rows


def loaded() -> int:
    """How many functions have arrived in this process."""
    from autograd.distributed import tasks

    return len(tasks._functions)
