"""Compiled functions as C: every primitive, loops, batches, names, statuses and files; compiled by gcc, and by clang if it is there."""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd.math as am
from autograd import (
    Value,
    custom_gradient,
    fori,
    grad,
    hessian,
    jacobian,
    jit,
    rules,
    scan,
    value_and_grad,
    vmap,
    while_loop,
)
from autograd.compiler.run.exports import Example
from autograd.rules import TABLE
from c_functions import Library, defined, exported, in_the_same_order, run_compiler, same_bits
from test_jit_rules import eager, gradient_bound, points, ulps, value_bound

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
pytestmark = pytest.mark.skipif("gcc" not in COMPILERS, reason="needs gcc")


# ---- primitives -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Library, dict[str, Example]]:
    """Value and gradient of each row of the table, in one library."""
    found = {}
    for name, rule in TABLE.items():
        argnums = tuple(range(rule.arity or 3))
        step = jit(value_and_grad(lambda *x, rule=rule: rule(*x), argnums=argnums))
        found[name] = exported(step, *points(rule)[0], name=f"row_{name}")
    return Library(list(found.values()), tmp_path_factory.mktemp("table")), found


@pytest.mark.parametrize("name", TABLE)
def test_primitive(name: str, table: tuple[Library, dict[str, Example]]) -> None:
    """Each row of the table has eager's value and gradient in C, at special numbers and corners too."""
    library, examples = table
    for row, (value, gradient) in zip(points(TABLE[name]), eager(name), strict=True):
        status, outputs = library.call(examples[name], [[x] for x in row])
        assert status == 0
        actual = [x for (x,) in outputs]
        assert ulps(value, actual[0]) <= value_bound(name), (row, value, actual[0])
        for expected, number in zip(gradient, actual[1:], strict=True):
            assert ulps(expected, number) <= gradient_bound(name), (row, gradient, actual)
