"""A compiled function that returns its result and its derivatives, from which the nodes of the result are made."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from autograd.compiler.capture.results import flatten_result
from autograd.compiler.capture.signature import Reading
from autograd.compiler.capture.trace import current_trace
from autograd.compiler.run.call import VALUES_AMONG_ARGUMENTS, Compiled
from autograd.compiler.run.capturing import Function
from autograd.compiler.run.dispatcher import Dispatcher
from autograd.compiler.run.nodes import DerivativeCapture, DerivativeProgram
from autograd.compiler.run.specialization import Specialization
from autograd.compiler.run.ungraphed import with_graph
from autograd.ir.rewrite import with_numbers_only
from autograd.transforms.origin import describe
from autograd.tree import flatten, make_array
from autograd.value import Value

MOST_CAPTURES = 64  # that are kept, besides those whose specializations still exist


class WithDerivatives(Compiled[..., Any]):
    """A compiled function with the derivatives of its results by some leaves and by Values from outside.

    It returns the index of the capture, the result, for each number of the result the row of its derivatives, and the
    numbers that it read from outside. A node of the result keeps the captured program. Higher derivatives do not run
    the function again, so later changes have no effect on them.

    Attributes
    ----------
    active : tuple of int
        The indices of the leaves by which it is differentiated.
    closed : dict
        Index of a capture → the Values from outside by which it is differentiated.
    found : dict
        Index of a capture → the capture.
    """

    def __init__(self, owner: Compiled[..., Any], active: tuple[int, ...]) -> None:
        self.active = active
        self.name = owner.__name__
        self.closed: dict[int, list[Value]] = {}
        self.found: dict[int, DerivativeCapture] = {}
        captures = count()

        def with_derivatives(*args: Any, **keywords: Any) -> Any:
            result, rows, closed = _results_with_derivatives(owner.function, (args, keywords), active)
            index = next(captures)
            self.closed[index] = closed
            trace = current_trace()
            assert trace is not None
            numbers = [trace.read(leaf) for leaf, _ in trace.leaf_inputs]
            return float(index), result, rows, make_array(numbers, (len(numbers),))

        with_derivatives.__name__ = owner.__name__
        describe(with_derivatives, "nodes", owner.function)
        super().__init__(with_derivatives, owner.options, returns_floats=True)

    @property
    def shares(self) -> bool:
        """No: its nodes belong to one capture of one function."""
        return False

    def capture_of(self, index: int) -> DerivativeCapture:
        """The capture of this index."""
        return self.found[index]

    def _run(self, reading: Reading, of_values: bool = False) -> tuple[Dispatcher, Specialization, list[float]]:
        dispatcher, specialization, outputs = super()._run(reading)
        index = int(outputs[0])
        with self.lock:
            if index not in self.found:
                self.found[index] = self._capture(specialization, self.closed.pop(index))
                if len(self.found) > MOST_CAPTURES:  # a function that is traced often leaves nothing behind
                    live = {id(one) for one in self.paths()}
                    self.found = {k: x for k, x in self.found.items() if k == index or id(x.specialization) in live}
        return dispatcher, specialization, outputs

    def _capture(self, specialization: Specialization, closed: list[Value]) -> DerivativeCapture:
        program, leaves = with_numbers_only(specialization.captured), specialization.leaves
        place = {x: i for i, x in enumerate(leaves, specialization.sizes[0] - len(leaves))}
        operands = (*self.active, *[place[x] for x in closed])
        for x in closed:
            with_graph(x)
        derivatives = DerivativeProgram(self.name, program, operands, len(leaves), self.options)
        return DerivativeCapture(specialization, derivatives, closed)

    def _on_values(self, reading: Reading, keep_graph: bool = False) -> Any:
        return super()._on_values(reading, True) if keep_graph else VALUES_AMONG_ARGUMENTS


def _results_with_derivatives(
    function: Function, arguments: Any, active: Sequence[int]
) -> tuple[Any, list[list[Any]], list[Value]]:
    """During a capture: the result of a function, the rows of its derivatives, and the Values from outside in these."""
    inputs, _ = flatten(arguments)
    result = function(*arguments[0], **arguments[1])
    results, _ = flatten_result(result)
    trace = current_trace()
    assert trace is not None
    trace.refused = None  # the arguments are Values, from which eager code makes no floats either
    outside = trace.parents([trace.place(y) for y in results])
    wanted = [*[inputs[i] for i in active], *outside]
    sweeps = trace.sweeps(results, wanted, differentiable=True)
    rows = [sweeps.reverse({y: 1.0} if isinstance(y, Value) else {}) for y in results]
    return result, rows, outside
