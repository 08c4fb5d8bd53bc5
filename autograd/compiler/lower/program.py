"""Lowering: writes a program as LLVM IR.

The program itself becomes scalar code. A loop with independent steps computes as many rows at a time as the machine's
vectors have lanes; any other loop runs step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from autograd.compiler.lower.bodies import Looping
from autograd.compiler.lower.long_loops import with_signals
from autograd.compiler.lower.module import STATUS, Machine, Module, Place
from autograd.compiler.lower.rows.layout import entries
from autograd.compiler.lower.whiles import begin_memory, end_memory
from autograd.ir.block import Array, Program, has_rows, size_of


class TopCode(Looping):
    """The program itself: scalar code, whose results go to the outputs."""

    ends_in_memory = True

    def prepare(self) -> None:
        """Find where each output goes."""
        self.failed = ""  # the number of the first guard that failed so far, in this function
        self.guards_at: dict[int, list[int]] = {}
        for position, guard in enumerate(self.program.guards):
            self.guards_at.setdefault(guard.value, []).append(position)
        sizes = [0 if self._given(o) else size_of(self.types[o]) for o in self.program.outputs]
        starts = [8 * start for start in accumulate(sizes, initial=0)]
        self.targets = [
            Place("%outputs", start, Place.rows(self.types[o].shape) if isinstance(self.types[o], Array) else (), False)  # type: ignore[union-attr]
            for start, o in zip(starts, self.program.outputs)
        ]
        self.left = dict(enumerate(self.program.outputs))  # those still to be stored
        self.early: dict[int, list[Place]] = {}
        self.direct: dict[tuple[int, int], int] = {}  # results of loops that are outputs
        given = 0
        for output, o in enumerate(self.program.outputs):
            op, operands, data = self.program.code[o]
            if self._given(o):
                self.targets[output] = Place("", given=self.inputs_given() + given)
                given += 1
            if isinstance(self.types[o], Array) and op == "item" and o not in self.changed:
                self.direct.setdefault((operands[0], data), output)
            early = {} if self._given(o) else self.store_early(o, self.targets[output])
            for value, places in early.items():
                self.early[value] = [*self.early.get(value, []), *places]
            if early:
                del self.left[output]

    def inputs_given(self) -> int:
        """How many arrays of the call are inputs."""
        return sum(has_rows(t) for t in self.program.inputs)

    def _given(self, o: int) -> bool:
        return has_rows(self.types[o])

    def destination(self, value: int, item: int, row: Sequence[Any]) -> Place:
        """An output, or room in the workspace."""
        output = self.direct.get((value, item))
        if output is None:
            return self.room(row)
        self.left.pop(output)
        return self.targets[output]

    def is_output(self, value: int, item: int) -> bool:
        """Whether a result of a loop is an output."""
        return (value, item) in self.direct

    def pointer(self, place: Place) -> str:
        """The address of a place; those of arrays of the call are in their table."""
        if place.given is None:
            return super().pointer(place)
        return self.temporary(f"load ptr, ptr {self.address('%rows', 8 + entries(place.given))}")

    def begin(self) -> None:
        """Begin a function."""
        super().begin()
        self.failed = ""

    def finish(self) -> None:
        """End a function; the first guard that failed is in front of the workspace."""
        if self.failed:
            self.write(f"store i64 {self.failed}, ptr %sums")
        super().finish()

    def computed(self, value: int) -> None:
        """Store outputs and check guards as soon as they are there."""
        for place in self.early.pop(value, ()):
            self.store(value, place)
        for position in self.guards_at.get(value, ()):
            self._guard(position)

    def end(self) -> None:
        """Store inputs, constants, results of loops, and arrays."""
        for value, places in self.early.items():
            for place in places:
                self.make_room()
                self.store(value, place)
        for output, o in self.left.items():
            self.make_room()
            if self._given(o):
                raise NotImplementedError("an output over the rows of a call that no loop makes")
            self.copy_array(o, self.targets[output])

    def lasting(self) -> Sequence[int]:
        """What is not stored as soon as it is computed: arrays, and what is read from other places."""
        return [*[value for value in self.early if self.is_free(value)], *self.left.values()]

    def _guard(self, position: int) -> None:
        """Note the first guard that fails, counted from 1."""
        guard = self.program.guards[position]
        number, none = position + 1, 1 << 62
        yes, no = (none, number) if guard.expected else (number, none)
        failed = self.temporary(f"select i1 {self.get(guard.value)}, i64 {yes}, i64 {no}")
        before = self.failed or self.temporary("load i64, ptr %sums")
        self.failed = self.temporary(f"call i64 @llvm.umin.i64(i64 {before}, i64 {failed})")
        self.module.declarations["llvm.umin.i64"] = "declare i64 @llvm.umin.i64(i64, i64)"


def lower(program: Program, machine: Machine) -> Module:
    """The module of a prepared program, with the entry that Python calls.

    ``i64 run(inputs, rows, outputs, workspace)`` takes addresses: of the numbers, the table of a map over arrays, the
    results and the workspace. It returns 0, the number of the first guard that failed, from 1, or `OUT_OF_MEMORY`.
    A program that is one function is the entry itself.
    """
    module, program = Module(machine), with_signals(program, machine)
    where, offset, given = [], 0, 0
    for made in program.inputs:
        if has_rows(made):
            where.append(Place("", 0, (0,) * len(made.shape), False, (), None, given))
            given += 1
            continue
        where.append(Place("%inputs", offset, Place.rows(made.shape) if isinstance(made, Array) else (), False))
        offset += 8 * size_of(made)
    code = TopCode(module, program, "program", 1, where)
    given += sum(has_rows(t) for t in [code.types[o] for o in program.outputs])
    module.flags = 8 + entries(given)
    body = code.lower_into()
    begin, end = "\n  ".join(begin_memory(module)), "\n  ".join(end_memory(module))
    arguments = "ptr noalias %inputs, ptr noalias %rows, ptr noalias %outputs, ptr noalias %work"
    module.functions.append(f"""define i64 @run({arguments}) nounwind alignstack(64) {{
  %sums = getelementptr i8, ptr %work, i64 {STATUS}
  store i64 {1 << 62}, ptr %sums
  {begin}
{body}
  %failed = load i64, ptr %sums
  %fine = icmp eq i64 %failed, {1 << 62}
  %result = select i1 %fine, i64 0, i64 %failed
  {end}
  ret i64 %answer
}}""")
    return module
