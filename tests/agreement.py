"""Compiled code against eager code: values and derivatives of one call and of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autograd import jit, value_and_grad, vmap

ROWS = np.array([-3.0, -1.0, -0.25, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 7.0, 40.0, 1e3])


def agree(function: Callable[[Any], Any], rows: Any = ROWS, paths: int = 1, plain: Any = None) -> Any:
    """Values and derivatives of one call and of rows are those of eager code; rows take so many paths.

    The values are exactly those of `plain`, a function of floats, if it is given. Returns the compiled map over rows.
    """
    both = value_and_grad(function)
    expected = [both(x) for x in rows.tolist()]
    compiled = jit(vmap(both), quiet=True)
    value, slope = compiled(rows)
    np.testing.assert_allclose(value, [v for v, _ in expected], rtol=1e-12)
    np.testing.assert_allclose(slope, [d for _, d in expected], rtol=1e-11)
    assert paths == compiled.stats()["paths"], compiled.branches()
    if plain is not None:
        assert value.tolist() == [plain(x) for x in rows.tolist()]
    single = jit(both, quiet=True)
    for x, pair in zip(rows.tolist(), expected, strict=True):
        assert pair == pytest.approx(single(x), rel=1e-11, nan_ok=True)
    return compiled
