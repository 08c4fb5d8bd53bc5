"""Sweeps while a function is captured: derivatives become instructions of its program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autograd.compiler.capture.tracer import Traced, TracedArray
from autograd.compiler.capture.watched import Reason, UnrollError, innermost
from autograd.ir.block import Array, Instruction
from autograd.ir.derive.forward import forward
from autograd.ir.derive.messages import depending
from autograd.ir.derive.reverse import reverse
from autograd.ir.passes.simplify import count
from autograd.ir.rewrite import needed
from autograd.ir.roll.rolling import FEWEST_AGAIN, roll_code
from autograd.modes import caller, inside_transform
from autograd.tree import only_leaves, to_floats, zeros_like
from autograd.value import Value

if TYPE_CHECKING:
    from autograd.compiler.capture.trace import Trace


FAR = 4  # of inputs and outputs, if there are more than so many times as many, nothing is counted


class TraceSweeps:
    """Sweeps between the inputs and the outputs of a run in a trace: each adds its instructions to the program."""

    def __init__(self, trace: Trace, outputs: Sequence[Any], inputs: Sequence[Any], differentiable: bool) -> None:
        self.trace, self.outputs, self.inputs, self.differentiable = trace, outputs, inputs, differentiable
        self.targets = trace.arrays_among(inputs)
        self.rolled = False

    def reverse(self, seeds: Mapping[Any, Any]) -> list[Any]:
        """The adjoint of every input."""
        self._check(seeds)
        if self.differentiable:
            return self._zero_without_message(self._adjoints(seeds))
        nodes = {y: seed for y, seed in seeds.items() if isinstance(seed, Value)}
        totals = to_floats(self._adjoints({y: seed for y, seed in seeds.items() if y not in nodes}))
        for y, seed in nodes.items():  # the result depends on the seeds, but not on what the derivatives depend on
            terms = [None if d is None else seed * d for d in to_floats(self._adjoints({y: 1.0}))]
            totals = [b if a is None else a if b is None else a + b for a, b in zip(totals, terms)]
        return self._zero_without_message(totals)

    def forward(self, seeds: Mapping[Any, Any]) -> list[Any]:
        """The tangent of every output."""
        self._check(seeds)
        self._roll()
        trace = self.trace
        starts: dict[int, int] = {}
        elements: dict[int, dict[int, Any]] = {}  # array → the directions of its elements
        for x, direction in seeds.items():
            target = trace.target(x)
            if isinstance(trace.type_of(target), Array):
                elements.setdefault(target, {})[x._offset] = direction
            else:
                starts[target] = trace.place(direction)
        for array, directions in elements.items():
            kind = trace.type_of(array)
            assert isinstance(kind, Array)
            starts[array] = trace.array_of([directions.get(k, 0.0) for k in range(kind.size())], kind)
            if len(directions) < kind.size():
                trace.gaps.add(starts[array])
        targets = [trace.where(trace.target(y)) if isinstance(y, Value) else -1 for y in self.outputs]
        found = forward(trace, starts, [t for t in targets if t >= 0])
        tangents = _zero_without_message([_result(trace, found.get(t), y) for t, y in zip(targets, self.outputs)])
        return tangents if self.differentiable else list(map(to_floats, tangents))

    def cheaper(self) -> str:
        """The mode whose sweeps go over fewer instructions: each over those between its seed and what is wanted."""
        outputs, inputs = len(self.outputs), len(self.inputs)
        if outputs == 1 or outputs * FAR < inputs:
            return "rev"
        if inputs * FAR < outputs:
            return "fwd"
        self._roll()
        code, trace = self.trace.code, self.trace
        ends = [trace.where(trace.target(y)) for y in self.outputs if isinstance(y, Value)]
        first = min([target for target, _ in self.targets], default=0)
        before = [needed(code, [end], first) for end in ends]
        among = sorted(set().union(*before))
        after = [depending(code, self._begun(x, among), among) for x in self.inputs]
        active, used = set().union(*after), set().union(*before)
        backward = sum(_length(code, one & active) for one in before)
        return "rev" if backward <= sum(_length(code, one & used) for one in after) else "fwd"

    def _begun(self, x: Any, among: Iterable[int]) -> list[int]:
        """What is computed from an input at once: of an array with more in it, what may read this element."""
        trace, target = self.trace, self.trace.target(x)
        if not isinstance(trace.type_of(target), Array):
            return [target]
        users = [at for at in among if target in trace.code[at].operands]
        return [at for at in users if _may_take(trace.code[at], x._offset)]

    def rows(self, mode: str) -> list[dict[int, Any]]:
        """No array of `scipy.sparse` holds numbers of a program: `jit` compiles the entries themselves.

        Raises
        ------
        TypeError
            Always, with what to write instead.
        """
        raise TypeError(
            f"a sparse Jacobian or Hessian is taken inside a compiled function, at {caller()}: compile it alone, as "
            "jit(jacobian(f, sparse=True)) or jit(hessian(f, sparse=True))"
        )

    def _roll(self) -> None:
        """Find the loops in what the run computed, before its derivatives are taken: they have no such pattern."""
        if not self.rolled:
            self.rolled = True
            trace = self.trace
            targets = [target for target, _ in self.targets]
            outputs = [trace.target(y) for y in self.outputs if isinstance(y, Value)]
            fewest = FEWEST_AGAIN if inside_transform.get() else None
            roll_code(trace, min(targets, default=0), len(trace.code), outputs, fewest)

    def _check(self, seeds: Mapping[Any, Any]) -> None:
        """Raise where the seeds belong to a row of a map, but the run does not: it has no place for them."""
        if seeds and innermost([*seeds, *seeds.values()]) is not self.trace:
            raise UnrollError(Reason("sweep", f"the sweep at {caller(source=True)}, which goes beyond the row"))

    def _adjoints(self, seeds: Mapping[Any, Any]) -> list[Any]:
        """The adjoint of every input; None where no message arrives."""
        self._roll()
        trace, starts = self.trace, dict[int, int]()
        for output, seed in seeds.items():
            at, weight = trace.where(trace.place(output)), trace.place(seed)
            starts[at] = trace.emit("add", (starts[at], weight)) if at in starts else weight
        found = reverse(trace, starts, [target for target, _ in self.targets])
        adjoints: list[Any] = []
        for target, size in self.targets:
            adjoint, by = found.get(target), self.inputs[len(adjoints)]
            if isinstance(by, TracedArray):
                adjoints.append(None if adjoint is None else TracedArray(trace, adjoint, by.shape))
            elif size == 1:
                adjoints.append(_result(trace, adjoint, by))
            else:
                adjoints += [None] * size if adjoint is None else Traced.elements(trace, adjoint, size)
        return adjoints

    def _zero_without_message(self, derivatives: Sequence[Any]) -> list[Any]:
        """Derivatives by the inputs, with zeros where no message arrived."""
        if only_leaves(derivatives):
            return list(derivatives)
        return [zeros_like(x) if d is None else d for x, d in zip(self.inputs, derivatives)]


def _may_take(user: Instruction, offset: int) -> bool:
    """Whether what uses an array may take an element of it."""
    op, operands, data = user
    return op != "read" or len(operands) > 1 or bool(data.shape) or data.offset == offset


def _length(code: Sequence[Instruction], among: Iterable[int]) -> int:
    """How many instructions there are among some, those of loops included."""
    return sum([count(code[at].data.body) if code[at].op == "loop" else 1 for at in among])


def _zero_without_message(derivatives: Sequence[Any]) -> list[Any]:
    return list(derivatives) if only_leaves(derivatives) else [0.0 if d is None else d for d in derivatives]


def _result(trace: Trace, value: int | None, of: Any) -> Any:
    """The adjoint or tangent of a number as user code sees it, given that of the number or of its array."""
    if value is None:
        return None
    return Traced.element(trace, value, of._offset) if isinstance(trace.type_of(value), Array) else _user(trace, value)


def _user(trace: Trace, value: int) -> Any:
    """A value as user code sees it: a float if it is constant, else a tracer."""
    number = trace.number(value)
    return Traced.of(trace, value) if number is None else number
