"""A batch whose function closes over Values: each row also returns its derivatives by them.

The results are Values, and a Value needs its local derivatives when it is made. Because each row returns its own,
rows may take different branches, and the machine code does not depend on the number of rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd import transforms
from autograd.compiler.capture.outside import Outsides
from autograd.compiler.capture.results import flatten_result
from autograd.compiler.capture.trace import current_trace
from autograd.compiler.run.batch.function import Batch, RaggedRowsError
from autograd.compiler.run.specialization import Specialization
from autograd.modes import mode
from autograd.transforms.origin import describe
from autograd.tree import flatten, make_array, to_floats
from autograd.value import Value


class BatchDerivatives:
    """Computes the numbers of a batch and their derivatives by the Values that its function closes over.

    Attributes
    ----------
    closed : dict
        Id → each Value from outside that any specialization uses; it only grows.
    inner : Batch
        The batch of the rows with their derivatives by these Values.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.closed: dict[int, Value] = {id(x): x for x in batch.parents}
        self.inner = self._new_batch()

    def _new_batch(self) -> Batch:
        def row(*args: Any) -> Any:
            return self._row(args)

        mapped, row.__name__ = self.batch.mapped, self.batch.name
        describe(row, "nodes", mapped.function)
        function = transforms.vmap(row, mapped.in_axes, mapped.reduce)
        outside = Outsides(mapped.function, row.__name__)  # a row reads the same as the function
        return Batch(mapped._replace(function=function, inner=row), self.batch.options, outside)

    def _row(self, args: Any) -> Any:
        """The results of a row and their derivatives, as plain numbers."""
        leaves, rebuild = flatten_result(self.batch.mapped.inner(*args))
        trace = current_trace()
        assert trace is not None
        self.closed.update({id(x): x for x in trace.parents([trace.place(y) for y in leaves])})
        closed = list(self.closed.values())
        sweeps = trace.sweeps(leaves, closed, differentiable=True)
        rows = [sweeps.reverse({y: 1.0} if isinstance(y, Value) else {}) for y in leaves]
        is_value = [float(bool(trace.parents([trace.place(y)]))) for y in leaves]  # in eager code, on this path
        derivatives = [to_floats(d) for row, truth in zip(rows, is_value) for d in (truth, *row)]
        return rebuild([to_floats(y) for y in leaves]), make_array(derivatives, (len(leaves), len(closed) + 1))

    def specializations(self) -> list[Specialization]:
        """All specializations of the batch with derivatives."""
        states = self.inner.outside.states()
        return [captured.specialization for state in states for rows in list(state.rows.values()) for captured in rows]

    def call(self, args: tuple[Any, ...]) -> Any:
        """The numbers of the result, the derivatives of each, and the Values by which they are taken.

        NotImplemented as in `Batch.call`. The derivatives of a number that is no Value in eager code are None.
        """
        while True:
            known, inner = len(self.closed), self.inner
            try:
                with mode(recording=True):
                    found = inner.call(args)
            except RaggedRowsError:
                if len(self.closed) == known:
                    raise
                self.inner = self._new_batch()  # another specialization uses more Values
                continue
            if found is NotImplemented:
                return NotImplemented
            result, rows = self._unpacked(found)
            width = len(rows[0]) - 1 if rows else 0
            return result, [row[1:] if row[0] else None for row in rows], list(self.closed.values())[:width]

    def _unpacked(self, found: Any) -> tuple[Any, list[Any]]:
        """The result, and for each number of it in order: whether it is a Value, and its derivatives."""
        if self.batch.mapped.reduce is not None:
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
