"""A map over rows that closes over Values: every row with its derivatives by them, as one batch.

Its results are Values, so each needs its local derivatives when it is made. They are results of the row like the
numbers themselves: rows branch one by one, and the machine code does not depend on how many there are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd import transforms
from autograd.compiler.capture.outside import Outsides
from autograd.compiler.capture.trace import current_trace, flatten_result
from autograd.compiler.run.batch import Batch, RaggedRowsError
from autograd.compiler.run.specialization import Path
from autograd.modes import mode
from autograd.tree import flatten, lower, make_array
from autograd.value import Value


class Derived:
    """What computes the numbers of a batch and their derivatives by the Values that its function closes over."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.closed: dict[int, Value] = {id(x): x for x in batch.parents}  # those of all paths; it only grows
        self.inner = self._compiled()

    def _compiled(self) -> Batch:
        def row(*args: Any) -> Any:
            return self._row(args)

        row.__name__ = f"{self.batch.name} with derivatives"
        mapped = transforms.vmap(row, self.batch.in_axes, self.batch.reduce)
        around = Outsides(self.batch.function, row.__name__)  # what a row reads is what the function reads
        return Batch(mapped, mapped, [], self.batch.options, around)

    def _row(self, args: Any) -> Any:
        """The results of a row and their derivatives, as numbers that have no derivatives themselves."""
        leaves, rebuild = flatten_result(self.batch.inner(*args))
        trace = current_trace()
        assert trace is not None
        self.closed.update({id(x): x for x in trace.parents([trace.place(y) for y in leaves])})
        closed = list(self.closed.values())
        sweeps = trace.sweeps(leaves, closed, differentiable=True)
        rows = [sweeps.reverse({y: 1.0} if isinstance(y, Value) else {}) for y in leaves]
        is_value = [float(bool(trace.parents([trace.place(y)]))) for y in leaves]  # in eager code, on this path
        derivatives = [lower(d) for row, truth in zip(rows, is_value) for d in (truth, *row)]
        return rebuild([lower(y) for y in leaves]), make_array(derivatives, (len(leaves), len(closed) + 1))

    def paths(self) -> list[Path]:
        """All that has been compiled."""
        states = self.inner.outside.states()
        return [captured.path for state in states for rows in list(state.rows.values()) for captured in rows]

    def call(self, args: tuple[Any, ...]) -> Any:
        """The result in numbers, the derivatives of each, and what they are by; NotImplemented as in `Batch.call`.

        A number that is no Value in eager code has no derivatives: None.
        """
        while True:
            known, inner = len(self.closed), self.inner
            try:
                with mode(recording=True):
                    found = inner.call(args)
            except RaggedRowsError:
                if len(self.closed) == known:
                    raise
                self.inner = self._compiled()  # rows of another path have more Values to have derivatives by
                continue
            if found is NotImplemented:
                return NotImplemented
            result, rows = self._unpacked(found)
            width = len(rows[0]) - 1 if rows else 0
            return result, [row[1:] if row[0] else None for row in rows], list(self.closed.values())[:width]

    def _unpacked(self, found: Any) -> tuple[Any, list[Any]]:
        if self.batch.reduce is not None:
            return found[0], found[1].tolist()
        if isinstance(found, list):  # a pair for each row
            return [result for result, _ in found], [d for _, rows in found for d in rows.tolist()]
        result, derivatives = found
        blocks, start = [np.empty((0, derivatives.shape[2]))], 0
        for leaf in flatten(result, arrays=True)[0]:  # an array for each number, or array, of a row's result
            stop = start + leaf[0].size
            blocks.append(derivatives[:, start:stop].reshape(-1, derivatives.shape[2]))
            start = stop
        return result, np.concatenate(blocks).tolist()
