"""The reverse sweep over a loop."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from autograd.ir.block import STEPS, Array, Instruction, Loop, Program, Window
from autograd.ir.builder import Builder, LoopBuilder, Predicate
from autograd.ir.derive.adjoints import Memory, Total, memories_of
from autograd.ir.derive.derived_loop import Body, active_inputs, with_finished
from autograd.ir.derive.messages import WITHOUT_DERIVATIVE, depending, depends_on, differentiable
from autograd.ir.derive.presence import added, both, is_there, marked, part
from autograd.ir.derive.reverse import Sweep
from autograd.ir.first_step import has_stepped, takes_a_step
from autograd.ir.memory import follow

WRITTEN_OUT = 300  # instructions of a step that may be written out
NOT_FLAT = frozenset({"loop", "add_at", "zeros"})
# When a reverse sweep has an adjoint of a carry: in each step, in the first one that it comes to, in all others.
ALWAYS, FIRST, LATER, SOMETIMES, NEVER = "always", "first", "later", "sometimes", "never"


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


class _Result(NamedTuple):
    """A result of a reverse loop: of which kind, whether it may be missing, and what is done with it.

    `used` is the first instruction of the primal's step that uses what this is the adjoint of. `present` tells in which
    steps there is a message, if only in some and one can tell.
    """

    value: int
    kind: str
    missing: bool
    used: int
    then: Callable[..., None]
    present: Predicate | None = None


class LoopSweep:
    """The reverse sweep over a loop: a loop over the same steps, backwards if a step needs the one before.

    Its carries are the adjoints of the carries. What all steps share receives the sum of their messages; an array of
    which elements are read at computed places receives them in an accumulator.
    """

    def __init__(self, around: Sweep, value: int, seeds: Mapping[int, int]) -> None:
        self.around, self.builder, self.value = around, around.builder, value
        self.seeds = seeds
        self.operands, self.loop, finished = with_finished(self.builder, value, around.last)
        for k, array in finished.items():
            state = self.builder.code[value].operands[self.loop.shared - len(finished) + k]
            around.memories[array] = around.memories[state]
            if state in around.active or value in around.active:
                around.active.add(array)
        wanted = [o in around.active for o in self.operands]
        self.active = active_inputs(self.loop, wanted)
        self.wanted = [k for k, want in enumerate(wanted, 1) if want]
        self.kept: dict[int, Memory] = {}  # the body's inputs that are states of arrays that steps read and add to
        self.present = self._presence()
        self.rows: int | None = None  # how many elements of arrays are left for the loop, if not all

    def _presence(self) -> Predicate | None:
        """The comparison that tells whether any of the seeds is there, if it is the same for all.

        Then the steps are swept over as if it were true, and their results are only sent where it is.
        """
        found = [self.around.presences.get((self.value, k)) for k in self.seeds]
        inputs, first = self.loop.body.inputs, self.loop.first_element
        if not found or found[0] is None or any(k >= first or isinstance(inputs[k], Array) for k in self.wanted):
            return None
        return found[0] if all(one is not None and one.index == found[0].index for one in found) else None

    def _is_missing(self, seed: int) -> bool:
        """Whether a seed may be missing, for a reason of its own."""
        return self.present is None and seed in self.builder.gaps

    def run(self) -> None:
        """Emit the loop, and pass on its results as messages."""
        loop = self.loop
        stored = _store_carries(self.builder, self.value) if loop.carries else 0
        carries = [k for k in range(loop.carries) if loop.first_carry + k in self.active]
        if self._last_step_is_special(carries):
            self._write_last_step(carries, stored)
        there = {k: self._begins(k) for k in carries}
        while True:  # until it is known when there are adjoints of carries, in this step and in those after it
            self.body = self._copied(stored)
            self.sweep(there)
            following = {k: self._goes_on(k, when) for k, when in there.items()}
            following = {k: when for k, when in following.items() if when != NEVER}
            if following == there:
                break
            there = following
        self._emit(there)

    def _last_step_is_special(self, carries: Sequence[int]) -> bool:
        """Whether carries whose adjoints may be missing after the last step certainly have some before it.

        Then that step is written out, so that no step of the loop has to look whether a message is there.
        """
        loop, body = self.loop, self.loop.body
        flat = not loop.accumulators and not body.guards and len(body.code) <= WRITTEN_OUT
        counted = any(code.op == "input" and code.data == 0 and uses for code, uses in zip(body.code, body.uses()))
        if not flat or (loop.backwards and counted) or loop.test or not isinstance(loop.extent, int) or loop.extent < 3:
            return False
        if any(op in NOT_FLAT for op, _, _ in body.code) or any(o in self.around.memories for o in self.operands):
            return False
        there = {k for k, seed in self.seeds.items() if not self._is_missing(seed)}
        sent = {body.outputs[k] for k in there}
        for at in range(len(body.code) - 1, -1, -1):
            op, operands, _ = body.code[at]
            if at in sent and op not in WITHOUT_DERIVATIVE and op != "select":
                sent.update(differentiable(op, operands))
        inputs = {body.code[at].data for at in sent if body.code[at].op == "input"}
        return any(k not in there and loop.first_carry + k in inputs for k in carries)

    def _write_last_step(self, carries: Sequence[int], stored: int) -> None:
        """Append the last step to the program around, and sweep over it there."""
        loop, builder, around = self.loop, self.builder, self.around
        left = int(loop.extent) - 1
        last = 0 if loop.backwards else left
        inputs = [builder.constant(float(last)), *self.operands[: loop.shared]]
        inputs += [self._row(builder.emit("item", (self.value,), stored + k), last) for k in range(loop.carries)]
        targets = {k: inputs[loop.first_carry + k] for k in carries}
        start = len(builder.code)
        inputs += [self._row(o, last) for o in self.operands[loop.shared + loop.carries :]]
        values = builder.replay(loop.body.code, inputs, merged=False)  # the sweep has passed what is equal to it
        seeds: dict[int, int] = {}
        for k, seed in self.seeds.items():
            output = values[loop.body.outputs[k]]
            row = k >= loop.carries and loop.kinds[k - loop.carries] == "each"
            given = part(builder, self._row(seed, last), seed) if row else seed
            seeds[output] = added(builder, seeds[output], given) if output in seeds else given
        end = len(builder.code)
        around.active |= depending(builder.code, {*around.active, *targets.values()}, range(start, end))
        around.run(seeds, set(targets.values()), start, end)
        self.seeds = {k: seed for k, seed in self.seeds.items() if k >= loop.carries}
        for k, target in targets.items():
            adjoint = around.adjoint(target)
            if adjoint is not None:
                self.seeds[k] = marked(builder, adjoint, around.is_partial(target))
        self.loop, self.rows = replace(loop, extent=left), left

    def _row(self, array: int, at: int) -> int:
        """A row of an array, by an instruction of its own: the sweep has passed those that it might be merged with."""
        kind = self.builder.type_of(array)
        assert isinstance(kind, Array)
        strides = kind.strides()
        window = Window(kind.shape[1:], at * strides[0], strides[1:])
        return self.builder.append(Instruction("read", (array,), window))

    def _left(self, array: int) -> int:
        """The rows of an array that are left for the loop."""
        return array if self.rows is None else self.builder.emit("read", (array,), self._window(array))

    def _window(self, array: int) -> Window:
        kind = self.builder.type_of(array)
        assert isinstance(kind, Array)
        assert self.rows is not None
        strides = kind.strides()
        return Window((self.rows, *kind.shape[1:]), strides[0] if self.loop.backwards else 0, strides)

    def _copied(self, stored: int) -> Body:
        """The body of the new loop, so far a copy of the loop's."""
        loop, builder, roles = self.loop, self.builder, self.loop.by_role(self.operands)
        in_turn = bool(loop.carries or self.around.added(self.value))
        body = Body(builder, loop, loop.backwards != in_turn, builder.steps_of(self.value))
        made = body.made
        body.inputs += [made.shared(self.around.last.get(o, o)) for o in roles.shared]
        for k in range(loop.carries):
            body.inputs.append(made.element(self._left(builder.emit("item", (self.value,), stored + k))))
        for o in roles.accumulators:
            body.inputs.append(body.inner.emit("zeros", (), builder.type_of(o).shape))  # type: ignore[union-attr]
        body.inputs += [made.element(self._left(o)) for o in roles.elements]
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

    def sweep(self, there: Mapping[int, str]) -> None:
        """Sweep over the body; `there` tells when there are adjoints of the carries."""
        loop, body, builder = self.loop, self.body, self.builder
        inner, made, gaps = body.inner, body.made, body.inner.gaps
        zero = builder.constant(0.0)
        seeds: dict[int, int] = {}
        present: dict[int, Predicate] = {}
        exact = self._exact(there)

        def seed(output: int, value: int, missing: bool) -> None:
            if missing and inner.number(value) is None:
                gaps.add(value)
            seeds[output] = added(inner, seeds[output], value) if output in seeds else value

        for k, when in there.items():
            if k in exact:
                present[body.output(k)] = self.later if when == LATER else self.later.negated()
            seed(body.output(k), made.carry(self.seeds.get(k, zero)), when != ALWAYS and k not in exact)
        for k in range(loop.carries, loop.handed):
            if k in self.seeds and loop.first_carry + k not in self.kept:
                seed(body.output(k), made.shared(self.seeds[k]), self._is_missing(self.seeds[k]))
        for k, kind in enumerate(loop.kinds, loop.handed):
            if k in self.seeds:
                given = self.seeds[k]
                value = made.shared(given) if kind == "sum" else made.element(self._left(given))
                seed(body.output(k), value, self._is_missing(given))
        targets = self.targets = {k: body.inputs[k] for k in sorted(self.active)}
        states = {body.inputs[k]: memory for k, memory in self.kept.items()}
        follow(inner.code, states)
        active = depends_on(inner, targets.values(), len(inner.code))
        local = memories_of(inner, active, self.around.local)
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
            sweep.run(seeds, set(targets.values()), min(targets.values(), default=end), end, present=present)

    def _begins(self, k: int) -> str:
        """When there is an adjoint of a carry, as far as its seed tells."""
        if k not in self.seeds:
            return LATER
        return SOMETIMES if self._is_missing(self.seeds[k]) else ALWAYS

    def _goes_on(self, k: int, when: str) -> str:
        """When there is an adjoint of a carry, given what a step hands on."""
        target = self.targets[self.loop.first_carry + k]
        if self.inside.adjoint(target) is None:
            return {ALWAYS: FIRST, LATER: NEVER}.get(when, when)
        return SOMETIMES if self.inside.is_partial(target) else when

    def _exact(self, there: Mapping[int, str]) -> set[int]:
        """The carries about whose adjoints a comparison of the number of the step tells whether they are there."""
        body, inner, outputs = self.body, self.body.inner, self.loop.body.outputs
        found = {k for k, when in there.items() if when in (FIRST, LATER) and outputs.count(outputs[k]) == 1}
        if self.loop.extent != STEPS or not found:
            return set()
        last = inner.constant(0.0)
        if not self.loop.backwards:
            steps = self.builder.steps_of(self.value)
            assert steps is not None
            last = inner.emit("sub", (body.made.shared(steps), inner.constant(1.0)))
        self.later = inner.predicate(inner.emit("!=", (body.made.counter, last)))
        return found

    def _accumulator(self, made: LoopBuilder, k: int) -> Callable[[], int]:
        def last() -> int | None:
            return self.inside.arrays[self.targets[k]].sum

        def make() -> int:
            self.totals[self.operands[k - 1]] = k
            return self._adjoints(made, self.operands[k - 1], last)

        return make

    def _emit(self, there: Mapping[int, str]) -> None:
        """Emit the loop and pass its results on.

        Its results are the adjoints of the carries, the accumulators, those of the primal if both are maps, the
        messages to what the steps share and to the elements, and how often the condition of a message holds.
        """
        loop, builder, body = self.loop, self.builder, self.body
        inner, zero, stepped = body.inner, body.inner.constant(0.0), has_stepped(builder, self.value)
        found = [self.inside.adjoint(self.targets[loop.first_carry + k]) for k in there]
        handed = [zero if adjoint is None else adjoint for adjoint in found]
        handed += [last() for _, last in self.owners]
        outs = [(body.output(k), kind) for k, kind in enumerate(loop.kinds)] if loop.is_map() else []
        # Adjoints of what the step uses together are computed together: few values are alive, and close in memory.
        messages = sorted(self._messages(stepped), key=lambda one: one.used)
        first = len(handed) + len(outs)
        outs += [(one.value, one.kind) for one in messages]
        conditions = {one.present.index: one.present for one in messages if one.present is not None}
        counts = {index: len(handed) + len(outs) + k for k, index in enumerate(conditions)}
        outs += [(inner.place(condition), "sum") for condition in conditions.values()]
        result = body.made.finish(handed, outs, loop if loop.is_map() and not self.owners else None)
        self._send_carries(there, result, stepped)
        self._put_back(len(there), result)
        for item, one in enumerate(messages, first):
            message = self._item(result, item, one.missing)
            if one.present is None:
                one.then(message)
            else:
                steps = builder.emit("item", (result,), counts[one.present.index])
                one.then(message, present=is_there(builder, steps))
        for k in range(loop.carries, loop.handed):
            o = self.operands[loop.shared + k]
            if k in self.seeds and o in self.around.active:
                self.around.receive(o, self.seeds[k])

    def _messages(self, stepped: Predicate | None) -> list[_Result]:
        """The messages to what the steps share, and to the elements; `stepped` tells whether the loop took a step."""
        loop, inner, inside, around = self.loop, self.body.inner, self.inside, self.around
        uses = _first_uses(loop.body)
        found: list[_Result] = []
        for k in self.wanted:
            operand, target, used = self.operands[k - 1], self.targets[k], uses.get((k, 0), -1)
            role = self._role(k)
            if k in self.kept or role == "handed":
                continue
            if role == "shared" and isinstance(loop.body.inputs[k], Array):
                for offset, message in inside.arrays[target].elements.items():
                    then = functools.partial(around.receive_array, operand, window=Window((), offset), indices=())
                    found.append(_Result(message, "sum", message in inner.gaps, uses.get((k, offset), -1), then))
            elif (adjoint := inside.adjoint(target)) is None:
                continue
            elif role == "shared":
                present, partial = inside.presence(target), inside.is_partial(target)
                always = not partial and present is None  # in each step, but there may be none
                then = functools.partial(self._send, operand, present=stepped if always else None)
                found.append(_Result(adjoint, "sum", partial and present is None, used, then, present))
            else:
                then = functools.partial(self._send, operand)
                if self.rows is not None:
                    window = self._window(operand)
                    then = functools.partial(around.receive_array, operand, window=window, indices=())
                found.append(_Result(adjoint, "each", inside.is_partial(target), used, then))
        return found

    def _send_carries(self, there: Mapping[int, str], result: int, stepped: Predicate | None) -> None:
        """Send the carries of the new loop, which are the adjoints of what the loop began with."""
        certain = takes_a_step(self.builder, self.value)
        for position, (k, when) in enumerate(there.items()):
            o = self.operands[self.loop.shared + k]
            if o not in self.around.active or (certain and when == FIRST):
                continue
            if stepped is not None and when in (FIRST, LATER):
                self._send(o, self._item(result, position, False), stepped if when == LATER else stepped.negated())
            else:
                self._send(o, self._item(result, position, when != ALWAYS and not (certain and when == LATER)))

    def _put_back(self, first: int, result: int) -> None:
        """Give the accumulators of the new loop back to the sweep around; `first` is the number of the first one."""
        loop, inside = self.loop, self.inside
        for position, (operand, _) in enumerate(self.owners, first):
            self.around.put_back(operand, self.builder.emit("item", (result,), position))
            total = self.around.arrays.get(operand)
            if total is not None and operand in self.totals and isinstance(loop.extent, int) and loop.extent:
                total.covered |= inside.arrays[self.targets[self.totals[operand]]].covered  # by each step

    def _send(self, operand: int, message: int, present: Predicate | None = None) -> None:
        """Send a message, which may be there only sometimes."""
        if self.present is not None and message not in self.builder.gaps:
            present = both(self.present, present)
        self.around.receive(operand, message, present)

    def _item(self, result: int, item: int, missing: bool) -> int:
        """A result of the new loop, which may be 0 because no message arrived."""
        found = self.builder.emit("item", (result,), item)
        if self.present is not None:
            found = self.builder.place(self.present.select(self.builder.wrap(found), 0.0))
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
