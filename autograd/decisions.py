"""Decisions of a computation: comparisons, and functions whose derivative is 0 everywhere.

If a result depends on an argument only by decisions, its derivative is 0, which is rarely what is wanted: the result of
a bisection, or a rounded one. `detect_anomaly` and `check_grads` say where that happens.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from autograd.modes import Decision, LostGradientWarning, current_mode, level_of_caller, noting_decisions

STEPS = frozenset({"ceil", "floor", "floordiv", "rint", "round", "sign", "trunc"})  # primitives with a derivative of 0
MOST_LINES = 4


@contextmanager
def watched() -> Iterator[list[Decision]]:
    """Note the comparisons made in the `with` block, in order."""
    with noting_decisions():
        mode = current_mode()
        assert mode is not None
        assert mode.decisions is not None
        yield mode.decisions


def outcomes(decisions: Iterable[Decision]) -> tuple[bool, ...]:
    """The outcomes of comparisons: the path through the branches."""
    return tuple([decision.outcome for decision in decisions])


def dependents(order: Iterable[Any], x: Any) -> set[Any]:
    """The nodes, among those of a topological order, that depend on `x`."""
    found = {x}
    for node in order:
        if any(type(o) is not float and o in found for o in node.operands):
            found.add(node)
    return found


def deciding_lines(order: Sequence[Any], decisions: Iterable[Decision], x: Any) -> list[str]:
    """The lines that compare or round a number that depends on `x`, and how often; `order` has all its nodes."""
    depends = dependents(order, x)
    made = [decision for decision in decisions if any(o in depends for o in decision.operands)]
    lines = Counter([decision.line for decision in made])
    lines.update(
        [
            f"{node.source or 'an unknown line'}: {node.op.name}"
            for node in order
            if node in depends and node is not x and node.op is not None and node.op.name in STEPS
        ]
    )
    both = {d.line for d in made if d.outcome} & {d.line for d in made if not d.outcome}  # these decide something
    first = sorted(lines.most_common(), key=lambda entry: entry[0] not in both)[:MOST_LINES]
    shown = [f"{line} ({count} times)" if count > 1 else line for line, count in first]
    return [*shown, f"{len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else shown


def warn_of_lost(adjoints: Mapping[Any, Any], inputs: Iterable[Any], order: Sequence[Any]) -> None:
    """Under `detect_anomaly()`, warn of inputs with a derivative of 0 that were compared or rounded.

    `order` holds the nodes of the results; those that were only compared are found here.
    """
    mode = current_mode()
    if mode is None or mode.decisions is None:
        return
    everything: list[Any] | None = None
    for x in inputs:
        if adjoints.get(x, 0.0) == 0.0:
            if everything is None:
                compared = [o for decision in mode.decisions for o in decision.operands if hasattr(o, "operands")]
                everything = _with_ancestors(order, compared)
            if lines := deciding_lines(everything, mode.decisions, x):
                name = f" {x.label!r}" if x.label else f" {x.data!r}"
                warnings.warn(
                    f"the derivative by the argument{name} is 0, but the computation depends on it by comparisons or "
                    f"rounding: {'; '.join(lines)}. For the solution of an equation, autograd.implicit has the "
                    "derivative; for a choice, autograd.math.where",
                    LostGradientWarning,
                    stacklevel=level_of_caller(),
                )


def _with_ancestors(order: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    """The nodes of an order, and others with all that they were computed from, in topological order."""
    found = dict.fromkeys(order)
    for last in others:
        stack = [last]
        while stack:
            node = stack[-1]
            missing = [o for o in node.operands if type(o) is not float and o not in found] if node not in found else []
            if missing:
                stack += missing
            else:
                found.setdefault(stack.pop())
    return list(found)
