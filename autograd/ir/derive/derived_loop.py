"""The body of a loop, copied into the body of a loop derived from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from autograd.ir.block import Loop
from autograd.ir.builder import Builder, LoopBuilder
from autograd.ir.derive.messages import depending
from autograd.ir.memory import memories, split
from autograd.ir.rewriters import ordered


def active_inputs(loop: Loop, operands: Sequence[bool]) -> set[int]:
    """The body's inputs that depend on active operands, in this step or by way of earlier ones."""
    body = loop.body
    active = {k + 1 for k, is_active in enumerate(operands) if is_active}
    places = [at for at, i in enumerate(body.code) if i.op == "input"]
    while True:
        wanted = [at for at in places if body.code[at].data in active]
        found = depending(body.code, wanted, range(len(body.code)))
        new = {loop.first_carry + k for k in range(loop.handed) if body.outputs[k] in found} - active
        if not new:
            return active
        active |= new


def name_finished(builder: Builder, among: Iterable[int]) -> None:
    """Let the arrays that steps read and add to have an item after their loops, for what is derived from the loops."""
    code = builder.code
    wanted = [(at, k) for at in sorted(among) if code[at].op == "loop" for k in memories(code[at].data)]
    named = {(operands[0], data) for op, operands, data in code if op == "item"} if wanted else set()
    for at, k in wanted:
        if (at, k) not in named:
            builder.emit("item", (at,), k)


class Body:
    """The body of a loop, copied into the body of a loop derived from it."""

    def __init__(self, outer: Builder, loop: Loop, backwards: bool, steps: int | None, test: bool = False) -> None:
        self.loop, self.inner = loop, outer.inner()
        self.made = LoopBuilder(outer, self.inner, loop.extent, backwards, steps, test)
        self.inputs: list[int] = [self.made.counter]  # the body's inputs, as values of the new body
        self.values: list[int] = []

    def copy(self) -> None:
        """Append the body's instructions."""
        inner = self.inner
        self.values = inner.replay(self.loop.body.code, self.inputs, merged=False)
        for value in self.values:
            op, operands, data = inner.code[value]
            if op not in ("input", "constant", "zeros"):
                inner.known.setdefault((op, ordered(op, operands), data), value)
        inner.guards += [g._replace(value=self.values[g.value]) for g in self.loop.body.guards]

    def output(self, k: int) -> int:
        """One of the body's outputs, as a value of the new body."""
        return self.values[self.loop.body.outputs[k]]


def with_finished(
    builder: Builder, value: int, last: Mapping[int, int]
) -> tuple[tuple[int, ...], Loop, dict[int, int]]:
    """A loop that reads what it adds to in finished arrays, and its operands; accumulator → the finished array."""
    _, operands, loop = builder.code[value]
    numbers = memories(loop)
    if not numbers:
        return operands, loop, {}
    found = {k: last[operands[loop.shared + k]] for k in numbers}
    operands = (*operands[: loop.shared], *found.values(), *operands[loop.shared :])
    return operands, split(loop, numbers), found
