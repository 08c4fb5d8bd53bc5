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

import functools
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any, NamedTuple

from autograd.ir.block import PREDICATES, STEPS, Array, Final, Instruction, Loop, Program, Used, Window, whole
from autograd.ir.builder import Builder, LoopBuilder, Predicate, Rewriter, Selected, Symbol, times
from autograd.ir.memory import follow, last_states, memories, roots, split
from autograd.rules import TABLE, Rule

WITHOUT_DERIVATIVE = frozenset({"input", "constant", "stop", "table", "zeros", *PREDICATES})
FRESH = ("pos",)  # an input of a derivative: it is not merged with what it is equal to
DENSE = 4  # an array of which one element in so many has a message is packed; a sparser one is zeros with additions


def differentiable(op: str, operands: Sequence[int]) -> Sequence[int]:
    """The operands that messages go to."""
    if op == "select":
        return operands[1:]
    if op == "read":
        return operands[:1]
    return operands[:2] if op == "add_at" else operands


def depends_on(builder: Builder, wanted: Iterable[int], end: int) -> set[int]:
    """The values before `end` that depend on one of those wanted through differentiable operations.

    Nothing before the first of those wanted is looked at, so gradients inside a long program cost what they add to it.
    """
    active = set(wanted)
    return _depending(builder.code, active, range(min(active, default=end), end))


def _depending(code: Sequence[Instruction], wanted: Iterable[int], among: Iterable[int]) -> set[int]:
    active = set(wanted)
    for value in among:
        op, operands, _ = code[value]
        if op not in WITHOUT_DERIVATIVE and not active.isdisjoint(differentiable(op, operands)):
            active.add(value)
    return active


def local_derivatives(builder: Builder, value: int, wanted: Sequence[bool]) -> Sequence[Any]:
    """∂value/∂operand for every operand wanted, as symbols and floats, from the table."""
    op, operands, data = builder.code[value]
    if op == "select":
        condition = builder.predicate(operands[0])
        return None, Selected(condition, 1.0, None), Selected(condition, None, 1.0)
    rule: Rule = data if op == "custom" else TABLE[op]
    symbol = builder.symbol if op != "custom" else builder.wrap
    return rule.local_derivatives([symbol(o) for o in operands], symbol(value), wanted)


@dataclass
class Total:
    """The adjoint of an array while its messages arrive.

    Attributes
    ----------
    elements : dict
        Offset → the sum of the messages to that element.
    whole : int or None
        The message to the whole array that came first. It may be used elsewhere, so nothing is added to it.
    sum : int or None
        An array of this sweep's own, into which messages are added.
    make : callable or None
        Makes that array when it is needed; zeros if there is none.
    covered : bool
        Whether each element has a message in `sum`.
    """

    elements: dict[int, int] = field(default_factory=dict)
    whole: int | None = None
    sum: int | None = None
    make: Callable[[], int] | None = None
    covered: bool = False


@dataclass(eq=False)
class Coverage:
    """Whether each element of some memory that is read has a message; assumed until a message may be missing."""

    assumed: bool = True
    broken: bool = False


@dataclass(eq=False)
class Memory:
    """The adjoint of an array that steps read and add to: one array for all its states, since it shrinks never.

    Attributes
    ----------
    kind : Array
        Its type.
    current : int or None
        The array of adjoints, with the messages that came so far.
    make : callable or None
        Makes that array when it is needed; zeros if there is none.
    covered : Coverage
        Whether elements that are read later have messages.
    """

    kind: Array
    current: int | None = None
    make: Callable[[], int] | None = None
    covered: Coverage = field(default_factory=lambda: Coverage())


class Sweep:
    """One reverse sweep over a builder's program."""

    def __init__(self, builder: Builder, active: set[int], memories: dict[int, Memory], local: Coverage) -> None:
        self.builder, self.active, self.memories = builder, active, memories
        self.local = local  # of memory that belongs to one step
        self.last = last_states({array: min(group) for group in _by_memory(memories) for array in group})
        self.numbers: dict[
            int, tuple[int, Predicate | None]
        ] = {}  # value → adjoint, and when it is there (None: always)
        self.arrays: dict[int, Total] = {}
        self.results: dict[int, dict[int, int]] = {}  # loop → item → adjoint
        self.guessed: set[int] = set()  # values whose presence is that their adjoint, or one it came from, is not 0

    def run(self, seeds: Mapping[int, int], targets: Container[int], first: int, end: int) -> None:
        """Go from the last value to the first; the adjoints of the targets are left where they were summed up."""
        for value, seed in seeds.items():
            self.receive(value, seed)
        for value in range(end - 1, first - 1, -1):
            if value in targets or value not in self.active:
                continue
            op, operands, data = self.builder.code[value]
            if op == "loop":
                if value in self.results or any(self.memories[o].current is not None for o in self.added(value)):
                    _LoopSweep(self, value, self.results.pop(value, {})).run()
                else:
                    self.leave_out(operands)
            elif value in self.memories:
                if op == "add_at" and operands[1] in self.active:
                    self.memory_message(value)
            elif op == "read" and operands[0] in self.memories and self.adjoint(value) is None:
                self.memories[operands[0]].covered.broken = True
            elif op == "item":
                adjoint = self.adjoint(value)
                if adjoint is not None:
                    if self.is_partial(value):
                        self.builder.gaps.add(adjoint)
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
        _, operands, loop = self.builder.code[value]
        return [o for o in operands[loop.shared + loop.carries : loop.shared + loop.handed] if o in self.memories]

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
        either = None if before is None or present is None else before.with_("or", present)
        self.numbers[value] = self.builder.emit("add", (total, message)), either

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
        derivatives = local_derivatives(builder, value, [o in active for o in operands])
        for operand, derivative in zip(operands, derivatives):
            if derivative is None or operand not in active:
                continue
            sent = times(Symbol(builder, adjoint), derivative)
            present = presence
            if presence is not None and not (isinstance(derivative, float) and isfinite(derivative)):
                sent = where_there(builder, presence, sent) if value in self.guessed else presence.select(sent, 0.0)
            if isinstance(derivative, Selected):
                present = _both(presence, _presence(derivative))
            if value in self.guessed:
                self.guessed.add(operand)
            self.receive(operand, builder.place(sent), present)

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


def _without(memories: Mapping[int, Memory], doubtful: Container[int]) -> dict[int, Memory]:
    """The same memories before a sweep, in which some may have elements without a message."""
    new: dict[int, Memory] = {}
    for memory in memories.values():
        assumed = memory.covered.assumed and id(memory.covered) not in doubtful
        new.setdefault(id(memory), Memory(memory.kind, covered=Coverage(assumed)))
    return {array: new[id(memory)] for array, memory in memories.items()}


def _memories(builder: Builder, active: Iterable[int], covered: Coverage | None) -> dict[int, Memory]:
    """The memory of a block, each array with one adjoint for all its states."""
    found: dict[int, Memory] = {}
    states = roots(builder.code, active)
    for array, root in states.items():
        kind = builder.type_of(root)
        assert isinstance(kind, Array)
        found[array] = found[root] if root in found else Memory(kind, covered=covered or Coverage())
    return found


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
    active = _depending(builder.code, targets, sorted(_needed(builder.code, seeds, first) | targets))
    memories = _memories(builder, active, None)
    local = Coverage()
    while True:
        sweep = Sweep(builder, set(active), dict(memories), local)
        sweep.run(seeds, targets, first, end)
        coverages = [local, *[memory.covered for memory in sweep.memories.values()]]
        doubtful = {id(c) for c in coverages if c.broken and c.assumed}
        if not doubtful:
            break
        memories = _without(memories, doubtful)
        local = Coverage(local.assumed and id(local) not in doubtful)
    found = {x: sweep.adjoint(x) for x in targets}
    return {x: adjoint for x, adjoint in found.items() if adjoint is not None}


def part(builder: Builder, found: int, array: int) -> int:
    """A part of a derivative, which has gaps if it was read from an array with gaps."""
    return marked(builder, found, array in builder.gaps and builder.code[found].op == "read")


def added(builder: Builder, one: int, other: int) -> int:
    """The sum of two messages; it may be missing if both may be."""
    total = builder.emit("add", (one, other))
    if one in builder.gaps and other in builder.gaps:
        builder.gaps.add(total)
    return total


def _added_steps(builder: Builder, array: int, one: int, other: int) -> int:
    """The sum of two messages to an array with a number for each step of a loop that `array` is a result of."""
    steps = builder.steps_of(builder.code[array].operands[0])
    inner = builder.inner()
    made = LoopBuilder(builder, inner, STEPS, steps=steps)
    total = inner.emit("add", (made.element(one), made.element(other)))
    found = builder.emit("item", (made.finish([], [(total, "each")]),), 0)
    return marked(builder, found, one in builder.gaps and other in builder.gaps)


def is_there(builder: Builder, derivative: int) -> Predicate:
    """The comparison that a derivative is not 0."""
    return builder.predicate(builder.emit("!=", (derivative, builder.constant(0.0))))


def where_there(builder: Builder, presence: Predicate, sent: Any) -> Any:
    """What is sent, given a presence that may be false of what is there but 0: only 0 times infinity is left out."""
    value = builder.place(sent)
    is_number = builder.predicate(builder.emit("==", (value, value)))
    return presence.with_("or", is_number).select(sent, 0.0)


def _presence(derivative: Any) -> Predicate | None:
    """When a derivative sends a message: None for always."""
    if not isinstance(derivative, Selected):
        return None
    condition, yes, no = derivative.condition, derivative.if_true, derivative.if_false
    if yes is None:
        return _both(condition.negated(), _presence(no))
    if no is None:
        return _both(condition, _presence(yes))
    when_true, when_false = _both(condition, _presence(yes)), _both(condition.negated(), _presence(no))
    assert when_true is not None
    assert when_false is not None
    return when_true.with_("or", when_false)


def _both(one: Predicate | None, other: Predicate | None) -> Predicate | None:
    if one is None or other is None:
        return other if one is None else one
    return one.with_("and", other)


# ---- loops -----------------------------------------------------------------------------------------------------------


def _active_inputs(loop: Loop, operands: Sequence[bool]) -> set[int]:
    """The body's inputs that depend on active operands, in this step or by way of earlier ones."""
    body = loop.body
    active = {k + 1 for k, is_active in enumerate(operands) if is_active}
    places = [at for at, i in enumerate(body.code) if i.op == "input"]
    while True:
        wanted = [at for at in places if body.code[at].data in active]
        depending = _depending(body.code, wanted, range(len(body.code)))
        new = {loop.first_carry + k for k in range(loop.handed) if body.outputs[k] in depending} - active
        if not new:
            return active
        active |= new


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
        for op, operands, data in self.loop.body.code:
            if op == "input":
                self.values.append(self.inputs[data])
            elif op == "constant":
                place = inner.truth_constant(data) if isinstance(data, bool) else inner.constant(data)
                self.values.append(place)
            else:
                new = tuple([self.values[o] for o in operands])
                self.values.append(inner.append(Instruction(op, new, data)))
                if op != "zeros":
                    inner.known.setdefault((op, new, data), self.values[-1])
        inner.guards += [g._replace(value=self.values[g.value]) for g in self.loop.body.guards]

    def output(self, k: int) -> int:
        """One of the body's outputs, as a value of the new body."""
        return self.values[self.loop.body.outputs[k]]


def _store_carries(builder: Builder, value: int) -> int:
    """Let a loop keep what its carries are at the start of each step: the number of the first such result."""
    loop: Loop = builder.code[value].data
    if loop.stored is not None:
        return loop.stored
    body, first = loop.body, loop.first_carry
    places = {i.data: at for at, i in enumerate(body.code) if i.op == "input"}
    code, outputs = list(body.code), list(body.outputs)
    for k in range(first, first + loop.carries):
        if k not in places:
            places[k] = len(code)
            code.append(Instruction("input", (), k))
        outputs.append(places[k])
    stored = loop.handed + len(loop.kinds)
    new = Program(code, outputs, body.inputs, body.guards)
    kept = replace(loop, body=new, kinds=(*loop.kinds, *["each"] * loop.carries), stored=stored)
    builder.replace_loop(value, kept)
    return stored


def _by_memory(memories: Mapping[int, Memory]) -> list[list[int]]:
    """The states of each array."""
    groups: dict[int, list[int]] = {}
    for array, memory in memories.items():
        groups.setdefault(id(memory), []).append(array)
    return list(groups.values())


def _finished(builder: Builder, value: int, last: Mapping[int, int]) -> tuple[tuple[int, ...], Loop, dict[int, int]]:
    """A loop that reads what it adds to in finished arrays, and its operands; accumulator → the finished array."""
    _, operands, loop = builder.code[value]
    numbers = memories(loop)
    if not numbers:
        return operands, loop, {}
    found = {k: last[operands[loop.shared + k]] for k in numbers}
    operands = (*operands[: loop.shared], *found.values(), *operands[loop.shared :])
    return operands, split(loop, numbers), found


class _Result(NamedTuple):
    """A result of a reverse loop: of which kind, whether it may be missing, and what is done with it.

    `used` is the first instruction of the primal's step that uses what this is the adjoint of.
    """

    value: int
    kind: str
    missing: bool
    used: int
    then: Callable[[int], None]


class _LoopSweep:
    """The reverse sweep over a loop: a loop over the same steps, backwards if a step needs the one before.

    Its carries are the adjoints of the carries. What all steps share receives the sum of their messages; an array of
    which elements are read at computed places receives them in an accumulator.
    """

    def __init__(self, around: Sweep, value: int, seeds: Mapping[int, int]) -> None:
        self.around, self.builder, self.value = around, around.builder, value
        self.seeds = seeds
        self.operands, self.loop, finished = _finished(self.builder, value, around.last)
        for k, array in finished.items():
            state = self.builder.code[value].operands[self.loop.shared - len(finished) + k]
            around.memories[array] = around.memories[state]
            if state in around.active or value in around.active:
                around.active.add(array)
        wanted = [o in around.active for o in self.operands]
        self.active = _active_inputs(self.loop, wanted)
        self.wanted = [k for k, want in enumerate(wanted, 1) if want]
        self.kept: dict[int, Memory] = {}  # the body's inputs that are states of arrays that steps read and add to

    def run(self) -> None:
        """Emit the loop, and pass on its results as messages."""
        loop, gaps = self.loop, self.builder.gaps
        stored = _store_carries(self.builder, self.value) if loop.carries else 0
        carries = [k for k in range(loop.carries) if loop.first_carry + k in self.active]
        partial = {k for k in carries if k not in self.seeds or self.seeds[k] in gaps}
        while True:  # until it is known which adjoints of carries may be missing: in some step, or in one after it
            self.body = self._copied(stored)
            self.sweep(carries, partial)
            more = {k for k in carries if self._may_be_missing(k)} - partial
            if not more:
                break
            partial |= more
        self._emit(carries, partial)

    def _copied(self, stored: int) -> Body:
        """The body of the new loop, so far a copy of the loop's."""
        loop, builder, operands = self.loop, self.builder, self.operands
        in_turn = bool(loop.carries or self.around.added(self.value))
        body = Body(builder, loop, loop.backwards != in_turn, builder.steps_of(self.value))
        made = body.made
        body.inputs += [made.shared(self.around.last.get(o, o)) for o in operands[: loop.shared]]
        for k in range(loop.carries):
            body.inputs.append(made.element(builder.emit("item", (self.value,), stored + k)))
        for o in operands[loop.shared + loop.carries : loop.shared + loop.handed]:
            body.inputs.append(body.inner.emit("zeros", (), builder.type_of(o).shape))  # type: ignore[union-attr]
        body.inputs += [made.element(o) for o in operands[loop.shared + loop.handed :]]
        body.copy()
        self._remember(body)
        return body

    def _remember(self, body: Body) -> None:
        """Give each array that the steps read and add to one adjoint in the body, an accumulator."""
        around, loop = self.around, self.loop
        self.kept = {}
        inside: dict[int, Memory] = {}  # by the memory of the block around, which it belongs to
        inputs = [*range(1, loop.first_carry), *range(loop.first_carry + loop.carries, loop.first_element)]
        for k in inputs:
            o = self.operands[k - 1]
            if o in around.memories and k in self.active:
                outer = around.memories[o]
                if id(outer) not in inside:
                    memory = inside[id(outer)] = Memory(outer.kind, covered=outer.covered)
                    last = functools.partial(getattr, memory, "current")
                    memory.make = functools.partial(self._adjoints, body.made, o, last)
                self.kept[k] = inside[id(outer)]
        self.owners: list[tuple[int, Callable[[], int]]] = []  # operands with accumulators; what is in them at the end
        self.totals: dict[int, int] = {}  # those of them that are shared: operand → its number

    def _adjoints(self, made: LoopBuilder, operand: int, last: Callable[[], int | None]) -> int:
        """A new accumulator for the messages to an operand."""
        found = made.accumulator(self.around.own(operand))

        def at_end() -> int:
            total = last()
            assert total is not None
            return total

        self.owners.append((operand, at_end))
        return found

    def sweep(self, carries: Sequence[int], partial: Container[int]) -> None:
        """Sweep over the body; the adjoints of some carries may be missing."""
        loop, body, builder = self.loop, self.body, self.builder
        inner, made, gaps = body.inner, body.made, body.inner.gaps
        zero = builder.constant(0.0)
        seeds: dict[int, int] = {}

        def seed(output: int, value: int, missing: bool) -> None:
            if missing and inner.number(value) is None:
                gaps.add(value)
            seeds[output] = added(inner, seeds[output], value) if output in seeds else value

        for k in carries:
            seed(body.output(k), made.carry(self.seeds.get(k, zero)), k in partial)
        for k in range(loop.carries, loop.handed):
            if k in self.seeds and loop.first_carry + k not in self.kept:
                seed(body.output(k), made.shared(self.seeds[k]), self.seeds[k] in builder.gaps)
        for k, kind in enumerate(loop.kinds, loop.handed):
            if k in self.seeds:
                given = self.seeds[k]
                value = made.shared(given) if kind == "sum" else made.element(given)
                seed(body.output(k), value, given in builder.gaps)
        targets = self.targets = {k: body.inputs[k] for k in sorted(self.active)}
        states = {body.inputs[k]: memory for k, memory in self.kept.items()}
        follow(inner.code, states)
        active = depends_on(inner, targets.values(), len(inner.code))
        local = _memories(inner, active, self.around.local)
        sweep = self.inside = Sweep(inner, active, {**local, **states}, self.around.local)
        sweep.last = {array: last for array, last in sweep.last.items() if array not in states}
        for k, memory in self.kept.items():
            if k >= loop.first_carry and memory.current is None:
                sweep.memory(body.inputs[k])
        for k in self.wanted:
            if k <= loop.shared and isinstance(loop.body.inputs[k], Array) and k not in self.kept:
                sweep.arrays[targets[k]] = Total(make=self._accumulator(made, k))
        with inner.watched():
            end = len(inner.code) if self.kept else max(seeds, default=-1) + 1
            sweep.run(seeds, set(targets.values()), min(targets.values(), default=end), end)

    def _may_be_missing(self, k: int) -> bool:
        """Whether a step may hand on no adjoint for a carry."""
        target = self.targets[self.loop.first_carry + k]
        return self.inside.adjoint(target) is None or self.inside.is_partial(target)

    def _accumulator(self, made: LoopBuilder, k: int) -> Callable[[], int]:
        def last() -> int | None:
            return self.inside.arrays[self.targets[k]].sum

        def make() -> int:
            self.totals[self.operands[k - 1]] = k
            return self._adjoints(made, self.operands[k - 1], last)

        return make

    def _emit(self, carries: Sequence[int], partial: Container[int]) -> None:
        """Emit the loop and pass its results on."""
        loop, builder, body, sweep = self.loop, self.builder, self.body, self.inside
        inner, targets = body.inner, self.targets
        zero = inner.constant(0.0)
        outs: list[tuple[int, str]] = []
        if loop.is_map():
            outs += [(body.output(k), kind) for k, kind in enumerate(loop.kinds)]
        first, uses = len(outs), _first_uses(loop.body)
        further: list[_Result] = []
        for k in self.wanted:
            operand, kind = self.operands[k - 1], loop.body.inputs[k]
            role = self._role(k)
            if k in self.kept:
                continue
            if role == "shared" and isinstance(kind, Array):
                for offset, message in sweep.arrays[targets[k]].elements.items():
                    then = functools.partial(self.around.receive_array, operand, window=Window((), offset), indices=())
                    further.append(_Result(message, "sum", message in inner.gaps, uses.get((k, offset), -1), then))
            elif role != "handed" and (adjoint := sweep.adjoint(targets[k])) is not None:
                missing, sort = sweep.is_partial(targets[k]), "sum" if role == "shared" else "each"
                then = functools.partial(self.around.receive, operand)
                further.append(_Result(adjoint, sort, missing, uses.get((k, 0), -1), then))
        handed = []
        for k in carries:
            found = sweep.adjoint(targets[loop.first_carry + k])
            handed.append(zero if found is None else found)
        handed += [last() for _, last in self.owners]
        # Adjoints of what the step uses together are computed together: few values are alive, and close in memory.
        order = sorted(range(len(further)), key=lambda k: further[k].used)
        outs += [(further[k].value, further[k].kind) for k in order]
        result = body.made.finish(handed, outs, loop if loop.is_map() and not self.owners else None)
        for position, k in enumerate(carries):
            if (o := self.operands[loop.shared + k]) in self.around.active:
                self.around.receive(o, self._item(result, position, k in partial))
        for position, (operand, _) in enumerate(self.owners, len(carries)):
            self.around.put_back(operand, builder.emit("item", (result,), position))
            total = self.around.arrays.get(operand)
            if total is not None and operand in self.totals and isinstance(loop.extent, int) and loop.extent:
                total.covered |= sweep.arrays[targets[self.totals[operand]]].covered  # by each step
        item = {k: position for position, k in enumerate(order, len(handed) + first)}
        for k, one in enumerate(further):
            one.then(self._item(result, item[k], one.missing))
        for k in range(loop.carries, loop.handed):
            o = self.operands[loop.shared + k]
            if k in self.seeds and o in self.around.active:
                self.around.receive(o, self.seeds[k])

    def _item(self, result: int, item: int, missing: bool) -> int:
        """A result of the new loop, which may be 0 because no message arrived."""
        found = self.builder.emit("item", (result,), item)
        if missing:
            self.builder.gaps.add(found)
        return found

    def _role(self, k: int) -> str:
        """What the body's input number k is."""
        if k <= self.loop.shared:
            return "shared"
        return "handed" if k < self.loop.first_element else "element"


def _first_uses(program: Program) -> dict[tuple[int, int], int]:
    """Which instruction is the first to use an input, or an element of it: (input, offset) → its number."""
    found: dict[tuple[int, int], int] = {}
    for at, (op, operands, data) in enumerate(program.code):
        for o in operands:
            if program.code[o].op == "input":
                found.setdefault((program.code[o].data, data.offset if op == "read" else 0), at)
    return found


def mapped_rewriters() -> Sequence[Rewriter]:
    """The rewriters of a program during differentiation; they leave its `FRESH` instructions alone."""
    from autograd.ir.simplify import fold_constants, identities, known_elements, number_values

    return [fold_constants, identities, known_elements, number_values]


def forward(
    builder: Builder,
    seeds: Mapping[int, int],
    wanted: Iterable[int] | None = None,
    finished: Mapping[int, Sequence[int]] | None = None,
) -> dict[int, int]:
    """One forward sweep: appends the tangents of all values that depend on the seeds and returns their numbers.

    Parameters
    ----------
    builder : Builder
        The program so far.
    seeds : mapping
        Value → its tangent.
    wanted : iterable of int, optional
        Only what these values depend on has tangents.
    finished : mapping, optional
        State of an array → the finished arrays that are read in its place: they have its tangent.
    """
    tangents = dict(seeds)
    active = depends_on(builder, seeds, len(builder.code)) - seeds.keys()
    if wanted is not None:
        active &= _needed(builder.code, wanted, min(seeds, default=0))
    states = dict(finished or {})
    if states:
        follow(builder.code, states)
    last = {array: end for array, end in last_states(roots(builder.code, active)).items() if array not in states}
    for value in sorted(active):
        tangent = tangent_of(builder, value, tangents, States(states, last))
        if tangent is not None:
            tangents[value] = tangent
            tangents.update(dict.fromkeys(states.get(value, ()), tangent))
    return tangents


class States(NamedTuple):
    """Of arrays that steps read and add to: which finished arrays are read in place of one, and its last state."""

    finished: Mapping[int, Sequence[int]]
    last: Mapping[int, int]


def _needed(code: Sequence[Instruction], wanted: Iterable[int], first: int) -> set[int]:
    """The values from `first` on that some depend on."""
    found = set(wanted)
    for value in range(max(found, default=-1), first - 1, -1):
        if value in found:
            found.update(code[value].operands)
    return found


def tangent_of(builder: Builder, value: int, tangents: Mapping[int, int], states: States) -> int | None:
    """The tangent of a value, given those of its operands; None if it has none."""
    op, operands, data = builder.code[value]
    if op == "loop":
        return _tangent_loop(builder, value, tangents, states)
    if op == "item":
        results = builder.tangent_items[operands[0]]
        if data not in results:
            return None
        found = builder.emit("item", (tangents[operands[0]],), results[data])
        if data in builder.tangent_gaps[operands[0]]:
            builder.gaps.add(found)
        return found
    if op in ("read", "pack", "add_at") or (op == "pos" and isinstance(builder.type_of(value), Array)):
        return _tangent_array(builder, builder.code[value], tangents)
    total: Any = None
    partial = True
    derivatives = local_derivatives(builder, value, [o in tangents for o in operands])
    for operand, derivative in zip(operands, derivatives):
        if derivative is None or operand not in tangents:
            continue
        tangent = tangents[operand]
        change = times(Symbol(builder, tangent), derivative)
        if tangent in builder.gaps and not (isinstance(derivative, float) and isfinite(derivative)):
            change = where_there(builder, is_there(builder, tangent), change)
        partial = partial and (tangent in builder.gaps or isinstance(derivative, Selected))
        total = change if total is None else total + change
    return None if total is None else marked(builder, builder.place(total), partial)


def marked(builder: Builder, derivative: int, partial: bool) -> int:
    """A derivative, which may be 0 because no message arrived."""
    if partial and builder.code[derivative].op != "constant":
        builder.gaps.add(derivative)
    return derivative


def _tangent_array(builder: Builder, instruction: Instruction, tangents: Mapping[int, int]) -> int | None:
    """The tangent of what reads an array or makes one."""
    op, operands, data = instruction
    if not any(o in tangents for o in differentiable(op, operands)):
        return None  # a result of a loop that has no tangent, though others have one
    if op == "pos":
        return tangents[operands[0]]
    if op == "read":
        found = builder.emit("read", (tangents[operands[0]], *operands[1:]), data)
        if builder.number(found) == 0.0:
            return None  # 0 times infinity is no tangent
        return part(builder, found, tangents[operands[0]])
    if op == "pack":
        zero = builder.constant(0.0)
        places = tuple([tangents.get(o, zero) for o in operands])
        partial = any(o not in tangents or tangents[o] in builder.gaps for o in operands)
        return marked(builder, builder.emit("pack", places, data), partial)
    kind = builder.type_of(operands[0])
    assert isinstance(kind, Array)
    array = tangents[operands[0]] if operands[0] in tangents else builder.emit("zeros", (), kind.shape)
    if operands[1] not in tangents:
        return array
    found = builder.emit("add_at", (array, tangents[operands[1]], *operands[2:]), data)
    return marked(builder, found, operands[0] not in tangents or array in builder.gaps)


def _tangent_loop(builder: Builder, value: int, tangents: Mapping[int, int], states: States) -> int:
    """The loop that computes a loop's results and their tangents."""
    given, loop, finished = _finished(builder, value, states.last)
    first = loop.first_carry
    read_in = {loop.shared - len(finished) + k: first + number for k, number in enumerate(finished, 1)}
    for k in range(loop.carries, loop.handed):
        for array in states.finished.get(given[loop.shared + k], ()):
            read_in.update({number: first + k for number, o in enumerate(given[: loop.shared], 1) if o == array})
    return _with_tangents(builder, value, _Copied(loop, given, read_in, states.last), tangents)


class _Copied(NamedTuple):
    """A loop, its operands, and its inputs that are finished arrays: which accumulator each belongs to.

    `last` has the last states of arrays.
    """

    loop: Loop
    operands: tuple[int, ...]
    read_in: Mapping[int, int]
    last: Mapping[int, int]


def _with_tangents(builder: Builder, value: int, copied: _Copied, tangents: Mapping[int, int]) -> int:
    loop, operands, read_in, _ = copied
    active = _active_inputs(loop, [o in tangents for o in operands])
    while not (more := {k for k, number in read_in.items() if number in active}) <= active:
        active = _active_inputs(loop, [k in active or k in more for k in range(1, len(operands) + 1)])
    partial = {k for k in active if (o := operands[k - 1]) not in tangents or tangents[o] in builder.gaps}
    handed = [(k, loop.first_carry + k) for k in range(loop.handed) if loop.first_carry + k in active]
    while True:  # until it is known which tangents of carries may be missing: in some step, or in one after it
        body, found = _tangent_body(builder, copied, tangents, active, partial)
        after = [(k, found.get(body.output(number))) for number, k in handed]
        more = {k for k, tangent in after if tangent is None or tangent in body.inner.gaps} - partial
        if not more:
            return _emit_tangents(builder, value, body, found, dict(handed), partial)
        partial |= more


def _tangent_body(
    builder: Builder, copied: _Copied, tangents: Mapping[int, int], active: Container[int], partial: Container[int]
) -> tuple[Body, dict[int, int]]:
    """A copy of a loop's body, and the tangents in it; those of some of its inputs may be missing."""
    loop, operands, read_in, last = copied
    body = Body(builder, loop, loop.backwards, operands[0] if loop.is_counted else None, loop.test)
    made, inner = body.made, body.inner
    ends = loop.first_carry, loop.first_carry + loop.carries, loop.first_element
    seeds: dict[int, int] = {}

    def seed(k: int, tangent: int) -> None:
        seeds[body.inputs[k]] = marked(inner, tangent, k in partial)

    def start(k: int) -> int:
        """The tangent of an operand, or zeros."""
        if operands[k - 1] in tangents:
            return tangents[operands[k - 1]]
        kind = loop.body.inputs[k]
        return builder.emit("zeros", (), kind.shape) if isinstance(kind, Array) else builder.constant(0.0)

    for k in range(1, ends[0]):
        body.inputs.append(made.shared(last.get(operands[k - 1], operands[k - 1])))
        if k in active and k not in read_in:
            seed(k, made.shared(tangents[operands[k - 1]]))
    roles = [(made.carry, range(*ends[:2])), (made.accumulator, range(*ends[1:]))]
    body.inputs += [made.carry(operands[k - 1]) for k in range(*ends[:2])]
    for k in range(*ends[1:]):  # what the primal adds up is not computed twice: its accumulator is taken over
        body.inputs.append(inner.emit("zeros", (), loop.body.inputs[k].shape))  # type: ignore[union-attr]
    for add, numbers in roles:
        for k in numbers:
            if k in active:
                seed(k, add(start(k)))
    for k in range(ends[2], len(loop.body.inputs)):
        body.inputs.append(made.element(operands[k - 1]))
        if k in active:
            seed(k, made.element(tangents[operands[k - 1]]))
    body.copy()
    finished: dict[int, list[int]] = {}
    for k, number in read_in.items():
        if number in active:
            seed(k, seeds[body.inputs[number]])
            finished.setdefault(body.inputs[number], []).append(body.inputs[k])
    with inner.watched():
        return body, forward(inner, seeds, finished=finished)


def _emit_tangents(
    builder: Builder,
    value: int,
    body: Body,
    found: Mapping[int, int],
    active: Mapping[int, int],
    partial: Container[int],
) -> int:
    """Emit the loop of the results and their tangents; `active` has the input of each carry that has a tangent."""
    loop, inner = body.loop, body.inner
    none = inner.constant(0.0)
    kept = [body.output(k) for k in range(loop.carries)]
    handed = kept + [found.get(body.output(k), none) for k in active]
    outs = [(body.output(k), kind) for k, kind in enumerate(loop.kinds, loop.handed)]
    places = {k: loop.carries + position for position, k in enumerate(active)}
    gaps = {k for k, number in active.items() if number in partial}
    for k, kind in enumerate(loop.kinds, loop.handed):
        if body.output(k) in found:
            places[k] = len(handed) + len(outs)
            outs.append((found[body.output(k)], kind))
            if found[body.output(k)] in inner.gaps:
                gaps.add(k)
    builder.tangent_items[value], builder.tangent_gaps[value] = places, gaps
    return body.made.finish(handed, outs, None if loop.accumulators else loop)
