"""Loops that take the same steps become one, in which what they have in common is computed once.

A function and its derivatives each have a copy of a `while` loop, and each sweep has a loop of its own. Two loops go on
under the same condition if the carries that decide about it are equal. Carries that begin alike are supposed to be
equal, until what a step makes of them shows that they are not. Whether there is a first step may also depend on guards:
where one fails, no result counts, so loops may be one if they differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autograd.ir.block import COUNT, GOING, STEPS, Instruction, Loop, Program, exact
from autograd.ir.builder import Builder, LoopBuilder
from autograd.ir.first_step import conditions
from autograd.ir.rewrite import Special, copy, dependencies, reordered, with_bodies
from autograd.ir.rewriters import COMMUTATIVE, number_values

MOST_TOGETHER = 800  # instructions of a step: machine code keeps the carries of a longer one in memory
NOT_FLAT = frozenset({"loop", "item", "custom", "zeros", "add_at"})
GIVEN = frozenset({"input", "constant"})


def join_same_steps(program: Program) -> Program:
    """An equal program in which such loops are one, in the bodies of loops too; itself if there are none."""
    inner = with_bodies(program, join_same_steps)
    if any(new.data is not old.data for new, old in zip(inner.code, program.code) if new.op == "loop"):
        program = inner
    while groups := (steps := _Steps(program)).alike():
        program = _joined(program, groups, steps)
    return program


class _Steps:
    """The loops of a program whose extent is decided while they run, and numbers for what they compute.

    Two values of their bodies have the same number if they are equal in each step that both loops take.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.loops = [at for at, i in enumerate(program.code) if i.op == "loop" and _is_flat(i.data)]
        self.numbers: dict[Any, int] = {}
        self.carries: dict[tuple[int, int], int] = {}  # loop, number of its carry → the class of the carry
        self.values: dict[int, list[int]] = {}  # loop → the numbers of the values of its body

    def alike(self) -> list[list[int]]:
        """Groups of loops, each of which becomes one."""
        if len(self.loops) < 2:
            return []
        self._number_carries()
        candidates: dict[Any, list[int]] = {}
        for at in self.loops:
            _, operands, loop = self.program.code[at]
            decides = self.carries[at, GOING] if loop.test else (operands[0], loop.backwards)
            candidates.setdefault(decides, []).append(at)
        if all(len(some) < 2 for some in candidates.values()):
            return []
        order = _Order(self.program, self.loops)
        groups: list[list[int]] = []
        for some in candidates.values():
            group: list[int] = []
            computed: set[int] = set()
            for at in some:
                more = self._computed(at)
                fits = computed & more and len(computed | more) <= MOST_TOGETHER
                if not group or (fits and order.allows(group, at)):
                    order.join(group, at)
                    group.append(at)
                    computed |= more
            if len(group) > 1:
                groups.append(group)
        return groups

    def _number_carries(self) -> None:
        for at in self.loops:
            _, operands, loop = self.program.code[at]
            kind = loop.test, loop.backwards, None if loop.test else operands[0]
            for k, o in enumerate(loop.by_role(operands).carries):
                goes = loop.test and k == GOING
                start = conditions(self.program.code, self.program.guards, o) if goes else o
                self.carries[at, k] = self._number(
                    ("begins", kind, goes or (loop.test and k == COUNT and "count"), start)
                )
        classes = -1  # loops may have no carries
        while classes < (classes := len(set(self.carries.values()))):
            for at in self.loops:
                self.values[at] = self._number_values(at)
            self.carries = {
                (at, k): self._number((number, self.values[at][self.program.code[at].data.body.outputs[k]]))
                for (at, k), number in self.carries.items()
            }

    def _number(self, key: Any) -> int:
        return self.numbers.setdefault(key, len(self.numbers))

    def _number_values(self, at: int) -> list[int]:
        _, operands, loop = self.program.code[at]
        found: list[int] = []
        for op, inside, data in loop.body.code:
            if op == "input":
                key: Any = "input", self._input(at, operands, loop, data)
            else:
                given = [found[o] for o in inside]
                key = op, *(sorted(given) if op in COMMUTATIVE else given), exact(op, data)
            found.append(self._number(key))
        return found

    def _input(self, at: int, operands: Sequence[int], loop: Loop, number: int) -> Any:
        if number == 0:
            return "counter", loop.backwards
        k = number - loop.first_carry
        if 0 <= k < loop.carries:
            return "carry", self.carries[at, k]
        return "shared" if k < 0 else "element", operands[number - 1]

    def _computed(self, at: int) -> set[int]:
        """The numbers of what a step computes."""
        code = self.program.code[at].data.body.code
        return {number for number, i in zip(self.values[at], code) if i.op not in GIVEN}


class _Order:
    """Which loops need others, when some have become one: a loop must not need what it becomes one with."""

    def __init__(self, program: Program, loops: Sequence[int]) -> None:
        self.program = program
        self.number = {at: k for k, at in enumerate(loops)}
        self.values: list[int] = []  # the loops that a value depends on, as bits, when none has been joined
        for at, needs in enumerate(dependencies(program)):
            bits = 1 << self.number[at] if at in self.number else 0
            for o in needs:
                bits |= self.values[o]
            self.values.append(bits)
        self.needs = [self.values[at] & ~(1 << k) for at, k in self.number.items()]  # of each loop

    def needed(self, at: int) -> int:
        """What a loop needs besides the number that tells whether it has a first step."""
        _, operands, loop = self.program.code[at]
        bits = 0
        for k, o in enumerate(operands):
            if not (loop.test and k == loop.shared + GOING):
                bits |= self.values[o]
        return bits | self._closure(bits)

    def _closure(self, bits: int) -> int:
        found = 0
        for k, needs in enumerate(self.needs):
            if bits >> k & 1:
                found |= needs
        return found

    def allows(self, group: Sequence[int], at: int) -> bool:
        """Whether a loop may join others."""
        own, needed = 1 << self.number[at], self.needed(at)
        return not any(needed >> self.number[one] & 1 or self.needs[self.number[one]] & own for one in group)

    def join(self, group: Sequence[int], at: int) -> None:
        """Let a loop join others."""
        if not group:
            return
        together = 1 << self.number[at]
        needs = self.needed(at)
        for one in group:
            together |= 1 << self.number[one]
            needs |= self.needs[self.number[one]]
        for k, before in enumerate(self.needs):
            if together >> k & 1:
                self.needs[k] = needs
            elif before & together:
                self.needs[k] = before | needs | together


def _is_flat(loop: Loop) -> bool:
    """Whether it may become one with others: it adds to no array, and has no loops, guards or calls of Python in it."""
    flat = loop.extent == STEPS and not loop.accumulators and not loop.body.guards
    return flat and all(op not in NOT_FLAT for op, _, _ in loop.body.code)


def _joined(program: Program, groups: Sequence[Sequence[int]], steps: _Steps) -> Program:
    """The program with one loop in place of each group."""
    program = _with_one_start(program, groups)
    order = _together(program, groups)
    place_of = {at: new for new, at in enumerate(order)}
    results: dict[tuple[int, int], int] = {}  # loop, number of its result → number of the result of the new loop
    special: dict[int, Special] = {}
    for group in groups:

        def write(
            builder: Builder, at: int, _: Instruction, place: Mapping[int, int], group: Sequence[int] = group
        ) -> int:
            where = {o: place[place_of[o]] for one in group for o in program.code[one].operands}
            return _write(builder, program, group, steps, where, results)

        def same(
            builder: Builder, at: int, _: Instruction, place: Mapping[int, int], first: int = place_of[group[0]]
        ) -> int:
            return place[first]

        special.update({place_of[at]: same for at in group})
        special[place_of[group[0]]] = write

    def item(builder: Builder, at: int, instruction: Instruction, place: Mapping[int, int]) -> int:
        loop = program.code[order[at]].operands[0]
        return builder.emit("item", instruction.operands, results[loop, instruction.data])

    joined = {at for group in groups for at in group}
    items = [at for at, (op, operands, _) in enumerate(program.code) if op == "item" and operands[0] in joined]
    special.update({place_of[at]: item for at in items})
    return copy(reordered(program, order), (number_values,), special)


def _with_one_start(program: Program, groups: Sequence[Sequence[int]]) -> Program:
    """The program in which the loops of a group have a first step where the first of them has."""
    code = list(program.code)
    for group in groups:
        _, given, first = code[group[0]]
        for at in group if first.test else ():
            _, operands, loop = code[at]
            k = loop.shared + GOING
            code[at] = code[at]._replace(operands=(*operands[:k], given[first.shared + GOING], *operands[k + 1 :]))
    return Program(code, program.outputs, program.inputs, program.guards)


def _together(program: Program, groups: Sequence[Sequence[int]]) -> list[int]:
    """An order of the instructions in which the loops of a group follow one another."""
    needs = dependencies(program)
    group_of = {at: group for group in groups for at in group}
    order: dict[int, None] = {}
    for root in range(len(needs)):
        stack = [root]
        while stack:
            members = group_of.get(stack[-1], (stack[-1],))
            missing = [o for one in members for o in needs[one] if o not in order]
            if missing and stack[-1] not in order:
                stack += reversed(missing)
            else:
                order.update(dict.fromkeys(members))
                stack.pop()
    return list(order)


def _write(
    builder: Builder,
    program: Program,
    members: Sequence[int],
    steps: _Steps,
    place: Mapping[int, int],
    results: dict[tuple[int, int], int],
) -> int:
    """Emit one loop in place of several, and note where their results are."""
    _, operands, first = program.code[members[0]]
    inner = Builder((number_values,))
    counted = place[operands[0]] if first.is_counted else None
    made = LoopBuilder(builder, inner, STEPS, first.backwards, counted, first.test)
    carries: dict[int, int] = {}  # class → the new carry
    elements: dict[int, int] = {}
    for at in members:
        _, operands, loop = program.code[at]
        for k in range(loop.carries):
            if steps.carries[at, k] not in carries:
                carries[steps.carries[at, k]] = made.carry(place[operands[loop.shared + k]])
    position = {number: k for k, number in enumerate(carries)}
    handed: dict[int, int] = {}
    outs: dict[tuple[int, str], int] = {}  # value of the new body, kind → its number among the results
    for at in members:
        _, operands, loop = program.code[at]
        inputs = [made.counter, *[made.shared(place[o]) for o in operands[: loop.shared]]]
        inputs += [carries[steps.carries[at, k]] for k in range(loop.carries)]
        for o in operands[loop.shared + loop.carries :]:
            if place[o] not in elements:
                elements[place[o]] = made.element(place[o])
            inputs.append(elements[place[o]])
        values = inner.replay(loop.body.code, inputs)
        for k in range(loop.carries):
            number = steps.carries[at, k]
            handed.setdefault(number, values[loop.body.outputs[k]])
            results[at, k] = position[number]
        for k, out in enumerate(zip([values[o] for o in loop.body.outputs[loop.carries :]], loop.kinds), loop.carries):
            results[at, k] = len(carries) + outs.setdefault(out, len(outs))
    return made.finish([handed[number] for number in carries], list(outs))
