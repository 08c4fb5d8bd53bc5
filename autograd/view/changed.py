"""Graphs whose leaves got other numbers after they were computed: a picture would mix the old and the new ones."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

from autograd.modes import level_of_caller
from autograd.rules import TABLE
from autograd.value import Value

ROUNDING = 1e-12  # relative: a picture shows fewer digits


def warn_of_changes(order: Sequence[Value]) -> None:
    """Warn if a node is not what its operands give now.

    Parameters
    ----------
    order : sequence of Value
        The graph in topological order. A call of a checkpoint or a compiled function is not computed again.
    """
    for node in order:
        rule = node.op
        if rule is None or TABLE.get(rule.name) is not rule:
            continue
        now = rule.evaluate([o if type(o) is float else o.data for o in node.operands])
        if not (math.isclose(now, node.data, rel_tol=ROUNDING) or math.isnan(now)):
            warnings.warn(
                f"{node.describe()} is {now!r}, but the node holds {node.data!r}: a number has changed since it was "
                "computed, and the picture shows old results beside new numbers. Compute the graph again before you "
                "draw it",
                stacklevel=level_of_caller(),
            )
            return
