"""Differentiation as a pass: sweeps over a program that append their own instructions to it.

Local derivatives come from the table, applied to symbols; there is no second table. The result is a program like any
other, so a higher derivative is the same pass once more. The derivative of a loop is a loop.

A branch that was not selected sends no message. In a program both branches are computed, so an adjoint that came
through a selection carries its `presence`: the comparison under which there is a message at all. Where it is
false the message is 0, whatever the local derivatives upstream of it are.

Where a derivative goes through an array or from one step of a loop to the next, its presence is no comparison of the
program. Such a derivative is in the builder's `gaps`: where it is 0, it may be missing, so it never becomes 0 times
infinity. It may as well be there, so what it does to finite derivatives stays part of the program: the next derivative
needs it.

Messages to elements of an array are added in place into one array of adjoints: a gradient costs a constant times what
its function costs. A reverse sweep needs the numbers that the function computed. The carries at the start of each step
are stored, one number each; the rest of a step is computed again from them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

from autograd.ir.block import STEPS, Array, Final, Used, Window, whole
from autograd.ir.builder import Builder, LoopBuilder, Predicate, Selected, Symbol, times
from autograd.ir.derive.adjoints import DENSE, Coverage, Memory, Total, by_memory, memories_of, without
from autograd.ir.derive.by_elements import derivatives_by_elements, messages
from autograd.ir.derive.messages import depending, local_derivatives
from autograd.ir.derive.presence import (
    added,
    both,
    either,
    is_there,
    marked,
    part,
    presence_of,
    where_there,
    zero_if_missing,
)
from autograd.ir.elements import takes_arrays
from autograd.ir.memory import arrays_written, last_states
from autograd.ir.rewrite import needed


class Sweep:
    """One reverse sweep over a builder's program."""

    def __init__(self, builder: Builder, active: set[int], memories: dict[int, Memory], local: Coverage) -> None:
        self.builder, self.active, self.memories = builder, active, memories
        self.local = local  # of memory that belongs to one step
        self.last = last_states({array: min(group) for group in by_memory(memories) for array in group})
        # value → adjoint, and when it is there (None: always)
        self.numbers: dict[int, tuple[int, Predicate | None]] = {}
        self.arrays: dict[int, Total] = {}
        self.results: dict[int, dict[int, int]] = {}  # loop → item → adjoint
        self.presences: dict[tuple[int, int], Predicate | None] = {}  # loop, item → when it is there, if one can tell
        self.doubtful = zero_if_missing(builder.code, range(min(active, default=0), max(active, default=-1) + 1))
        self.guessed: set[int] = set()  # values whose presence is that their adjoint, or one it came from, is not 0

    def run(
        self,
        seeds: Mapping[int, int],
        targets: Container[int],
        first: int,
        end: int,
        in_vain: Callable[[], object] | None = None,
        present: Mapping[int, Predicate] | None = None,
    ) -> None:
        """Go from the last value to the first; the adjoints of the targets are left where they were summed up.

        If the answer of `in_vain` after a loop is true, the sweep ends there. `present` tells when a seed is there.
        """
        from autograd.ir.derive.reverse_loop import LoopSweep  # which sweeps over the body in this way

        for value, seed in seeds.items():
            self.receive(value, seed, present.get(value) if present else None)
        between = range(first, end)
        if len(self.active) < len(between):  # flat code in place of which there are loops is not active
            active: Iterable[int] = sorted([value for value in self.active if value in between], reverse=True)
        else:
            active = reversed(between)
        for value in active:
            if value in targets or value not in self.active:
                continue
            op, operands, _ = self.builder.code[value]
            if op != "loop":
                self.send(value)
                continue
            if value in self.results or any(self.memories[o].current is not None for o in self.added(value)):
                LoopSweep(self, value, self.results.pop(value, {})).run()
            else:
                self.leave_out(operands)
            if in_vain is not None and in_vain():
                return

    def send(self, value: int) -> None:
        """Send the messages of a value that is not a loop: a result of a loop keeps its adjoint for the loop."""
        op, operands, data = self.builder.code[value]
        if value in self.memories:
            if op == "add_at" and operands[1] in self.active:
                self.memory_message(value)
        elif op == "read" and operands[0] in self.memories and self.adjoint(value) is None:
            self.memories[operands[0]].covered.broken = True
        elif op == "item":
            adjoint = self.adjoint(value)
            if adjoint is not None:
                if self.is_partial(value):
                    self.builder.gaps.add(adjoint)
                    self.presences[operands[0], data] = self.presence(value)
                self.results.setdefault(operands[0], {})[data] = adjoint
        elif value in self.arrays:
            self.array_messages(value)
        elif value in self.numbers:
            self.messages(value)

    def leave_out(self, operands: Sequence[int]) -> None:
        """No message comes from a loop: what it reads may have none."""
        for o in operands:
            if o in self.memories:
                self.memories[o].covered.broken = True

    def memory_message(self, value: int) -> None:
        """Send what was added to an array that steps read the adjoint that it has there."""
        builder, memory = self.builder, self.memories[value]
        _, operands, window = builder.code[value]
        if memory.current is None:
            return
        message = builder.emit("read", (memory.current, *operands[2:]), Final(*window))
        marked(builder, message, not (memory.covered.assumed and isinstance(window, Used)))
        self.receive(operands[1], message)

    def added(self, value: int) -> list[int]:
        """The arrays that a loop adds to, and that are read while it does."""
        return [o for o in arrays_written(self.builder.code[value]) if o in self.memories]

    def memory(self, array: int) -> int:
        """The array of adjoints of an array that steps read and add to."""
        found = self.memories[array]
        if found.current is None:
            found.current = self.builder.emit("zeros", (), found.kind.shape) if found.make is None else found.make()
        return found.current

    def adjoint(self, value: int) -> int | None:
        """The adjoint of a value, complete; None if no message came."""
        if value in self.memories:
            return self.memories[value].current
        if value in self.arrays:
            return self.complete(value)
        return self.numbers[value][0] if value in self.numbers else None

    def is_partial(self, value: int) -> bool:
        """Whether the adjoint of a value may be 0, or have elements that are 0, because no message arrived."""
        if value in self.numbers and self.numbers[value][1] is not None:
            return True
        return self.adjoint(value) in self.builder.gaps

    def presence(self, value: int) -> Predicate | None:
        """The comparison that tells whether the adjoint of a number is there; None if it is not known."""
        return None if value in self.guessed else self.numbers.get(value, (0, None))[1]

    def receive(self, value: int, message: int, present: Predicate | None = None) -> None:
        """Add a message to the adjoint of a value."""
        kind = self.builder.type_of(value)
        if isinstance(kind, Array):
            self.receive_array(value, message, whole(kind), ())
            return
        if present is None and message in self.builder.gaps:
            present = is_there(self.builder, message)
            self.guessed.add(value)
        if value not in self.numbers:
            self.numbers[value] = message, present
            return
        total, before = self.numbers[value]
        self.numbers[value] = self.builder.emit("add", (total, message)), either(before, present)

    def receive_array(self, value: int, message: int, window: Window, indices: tuple[int, ...]) -> None:
        """Add a message to a part of the adjoint of an array."""
        if value in self.memories:
            covered = self.memories[value].covered
            covered.broken |= message in self.builder.gaps
            added_to = Used(*window) if covered.assumed else Window(*window)
            found = self.builder.emit("add_at", (self.memory(value), message, *indices), added_to)
            self.memories[value].current = found
            return
        total = self.arrays.setdefault(value, Total())
        kind = self.builder.type_of(value)
        assert isinstance(kind, Array)
        if window == Window((kind.size(),), 0, (1,)) and len(kind.shape) > 1 and not indices:
            message = part(self.builder, self.builder.emit("read", (message,), whole(kind)), message)
            window = whole(kind)
        if not window.shape and not indices:
            before = total.elements.get(window.offset)
            total.elements[window.offset] = message if before is None else added(self.builder, before, message)
        elif window == whole(kind) and total.whole is None and total.sum is None and total.make is None:
            total.whole = message
        elif kind.shape[0] == STEPS and total.whole is not None:
            total.whole = _added_steps(self.builder, value, total.whole, message)
        else:
            self.add(value, message, window, indices)

    def own(self, value: int) -> int:
        """The array of this sweep's own into which the messages to an array are added."""
        if value in self.memories:
            return self.memory(value)
        total, kind = self.arrays.setdefault(value, Total()), self.builder.type_of(value)
        assert isinstance(kind, Array)
        if total.sum is None:
            total.sum = self.builder.emit("zeros", (), kind.shape) if total.make is None else total.make()
        if total.whole is not None:
            message, total.whole = total.whole, None
            total.covered = message not in self.builder.gaps
            total.sum = self.builder.emit("add_at", (total.sum, message), whole(kind))
        return total.sum

    def put_back(self, value: int, array: int) -> None:
        """The array that `own` gave, after a loop has added to it."""
        if value in self.memories:
            self.memories[value].current = array
        else:
            self.arrays[value].sum = array

    def add(self, value: int, message: int, window: Window, indices: tuple[int, ...]) -> None:
        """Add to the array of adjoints in place."""
        self.arrays.setdefault(value, Total())
        array, total = self.own(value), self.arrays[value]
        total.covered |= window == whole(self.builder.type_of(value)) and message not in self.builder.gaps  # type: ignore[arg-type]
        self.arrays[value].sum = self.builder.emit("add_at", (array, message, *indices), window)

    def complete(self, value: int) -> int:
        """The adjoint of an array as an array."""
        builder, total = self.builder, self.arrays[value]
        kind = builder.type_of(value)
        assert isinstance(kind, Array)
        if total.whole is None and total.sum is None and total.make is None:
            size = kind.size()
            if all(isinstance(e, int) for e in kind.shape) and size <= DENSE * len(total.elements):
                zero = builder.constant(0.0)
                places = tuple([total.elements.get(k, zero) for k in range(size)])
                partial = len(total.elements) < size or not builder.gaps.isdisjoint(places)
                total.elements, total.whole = {}, builder.emit("pack", places, kind.shape)
                if partial:
                    builder.gaps.add(total.whole)
        for offset, message in total.elements.items():
            self.add(value, message, Window((), offset), ())
        total.elements = {}
        if total.whole is not None:
            return total.whole
        found = self.own(value)
        if not total.covered:
            builder.gaps.add(found)
        return found

    # ---- messages of one instruction ---------------------------------------------------------------------------

    def messages(self, value: int) -> None:
        """Send what a number sends to its operands."""
        builder, active = self.builder, self.active
        op, operands, data = builder.code[value]
        adjoint, presence = self.numbers[value]
        if op == "read":
            message = adjoint
            if presence is not None:
                if value not in self.guessed:
                    message = builder.place(presence.select(builder.wrap(adjoint), 0.0))
                marked(builder, message, True)
            self.receive_array(operands[0], message, data, operands[1:])
            return
        if takes_arrays(builder, op, operands):
            self.messages_to_elements(value)
            return
        derivatives = local_derivatives(builder, value, [o in active for o in operands])
        for operand, derivative in zip(operands, derivatives):
            if derivative is None or operand not in active:
                continue
            sent = times(Symbol(builder, adjoint), derivative)
            present = presence
            if presence is not None and not _is_finite(derivative):
                sent = where_there(builder, presence, sent) if value in self.guessed else presence.select(sent, 0.0)
            factor = self.doubtful_factor(value, operand)
            if factor is not None:
                there = is_there(builder, factor)
                sent, present = where_there(builder, there, sent), both(presence, there)
                self.guessed.add(operand)
            if isinstance(derivative, Selected):
                present = both(presence, presence_of(derivative))
            if value in self.guessed:
                self.guessed.add(operand)
            self.receive(operand, builder.place(sent), present)

    def messages_to_elements(self, value: int) -> None:
        """Send what a primitive sends to the elements of an array, all at once."""
        builder = self.builder
        adjoint, presence = self.numbers[value]
        guessed = value in self.guessed
        for operand, derivative in zip(builder.code[value].operands, derivatives_by_elements(builder, value)):
            if operand in self.active:
                message, missing = messages(derivative, adjoint, presence, guessed)
                self.receive(operand, marked(builder, message, missing))

    def doubtful_factor(self, value: int, operand: int) -> int | None:
        """The other factor of a product if it may be missing: then what is sent to this one may be, too."""
        op, operands, _ = self.builder.code[value]
        if op != "mul" or operand in self.doubtful:
            return None
        return next((o for o in operands if o in self.doubtful), None)

    def array_messages(self, value: int) -> None:
        """Send what an array sends to its operands."""
        builder, adjoint = self.builder, self.complete(value)
        op, operands, data = builder.code[value]
        if op == "pos":
            self.receive(operands[0], adjoint)
        elif op == "read":
            self.receive_array(operands[0], adjoint, data, operands[1:])
        elif op == "pack":
            for k, operand in enumerate(operands):
                message = builder.element(adjoint, k)
                if operand in self.active and not (adjoint in builder.gaps and builder.number(message) == 0.0):
                    self.receive(operand, part(builder, message, adjoint))
        elif op == "add_at":
            if operands[1] in self.active:
                message = builder.emit("read", (adjoint, *operands[2:]), data)
                self.receive(operands[1], part(builder, message, adjoint))
            if operands[0] in self.active:
                self.receive(operands[0], adjoint)


def reverse(builder: Builder, seeds: Mapping[int, int], wanted: Iterable[int]) -> dict[int, int]:
    """One reverse sweep: appends the adjoints of the `wanted` values and returns their numbers.

    Parameters
    ----------
    builder : Builder
        The program so far.
    seeds : mapping
        Output → the value that its adjoint starts with.
    wanted : iterable of int
        Where the sweep ends. Values without a message are missing from the result.
    """
    targets = set(wanted)
    end = max(seeds, default=-1) + 1
    first = min(targets, default=end)
    # Flat code in place of which there are loops depends on the targets too, but nothing depends on it.
    active = depending(builder.code, targets, sorted(needed(builder.code, seeds, first) | targets))
    memories = memories_of(builder, active, None)
    local = Coverage()

    def doubtful() -> set[int]:
        """What was assumed to have all messages, and has not."""
        coverages = [local, *[memory.covered for memory in sweep.memories.values()]]
        return {id(c) for c in coverages if c.broken and c.assumed}

    in_vain: Callable[[], object] | None = doubtful  # the first sweep is not gone on with, a later one may find more
    while True:
        sweep = Sweep(builder, set(active), dict(memories), local)
        sweep.run(seeds, targets, first, end, in_vain)
        in_vain, broken = None, doubtful()
        if not broken:
            break
        memories = without(memories, broken)
        local = Coverage(local.assumed and id(local) not in broken)
    found = {x: sweep.adjoint(x) for x in targets}
    return {x: adjoint for x, adjoint in found.items() if adjoint is not None}


def _added_steps(builder: Builder, array: int, one: int, other: int) -> int:
    """The sum of two messages to an array with a number for each step of a loop that `array` is a result of."""
    steps = builder.steps_of(builder.code[array].operands[0])
    inner = builder.inner()
    made = LoopBuilder(builder, inner, STEPS, steps=steps)
    total = inner.emit("add", (made.element(one), made.element(other)))
    found = builder.emit("item", (made.finish([], [(total, "each")]),), 0)
    return marked(builder, found, one in builder.gaps and other in builder.gaps)


def _is_finite(derivative: Any) -> bool:
    """Whether it is known that a derivative is finite: an adjoint that is 0 stays 0."""
    if isinstance(derivative, Selected):
        return all(side is None or _is_finite(side) for side in (derivative.if_true, derivative.if_false))
    return isinstance(derivative, float) and isfinite(derivative)
