"""Maps that go through what other maps computed, step by step, become one loop with them.

Code on whole arrays is rolled into one loop for each operation. As one loop, a step has all of its operations: what
they hand on stays in registers, and the derivative of the step is taken at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import product

from autograd.ir.block import NUMBER, Array, Guard, Instruction, Loop, Program, Type, Window, types_of
from autograd.ir.passes.simplify import in_order_of_need
from autograd.ir.rewrite import dependencies

MOST_PLACES = 1_000_000  # of parts of arrays that are compared


def fused(program: Program) -> Program:
    """An equal program in which maps of the same extent are one loop, where the order allows it."""
    program = _forwarded(program)
    groups, of = _groups(program)
    if all(len(group.members) < 2 for group in groups):
        return program
    code: list[Instruction] = []
    place: dict[int, int] = {}
    last = {group.members[-1] for group in groups}
    needs = dependencies(program)
    waiting = list(range(len(program.code)))
    # An instruction is written when all that it needs is there, a group when that is so for all of its members.
    while waiting:
        left = []
        for at in waiting:
            op, operands, data = program.code[at]
            if at in of:
                group = of[at]
                if at in last and all(o in place for o in group.outside(program)):
                    place.update(dict.fromkeys(group.members, len(code)))
                    code.append(group.written(program, place))
                else:
                    left.append(at)
            elif all(o in place for o in needs[at]):
                if op == "item" and operands[0] in of:
                    data = of[operands[0]].first[operands[0]] + data
                place[at] = len(code)
                code.append(Instruction(op, tuple([place[o] for o in operands]), data))
            else:
                left.append(at)
        assert len(left) < len(waiting), "maps that wait for one another: this is a bug in the compiler"
        waiting = [at for at in left if at not in place]
    guards = [Guard(place[g.value], g.expected, g.line) for g in program.guards]
    return in_order_of_need(Program(code, [place[o] for o in program.outputs], program.inputs, guards))


@dataclass(eq=False)
class _Group:
    """Maps of one extent that become one loop.

    Attributes
    ----------
    members : list of int
        The loops, in order.
    needs : set
        Groups that must come before it.
    first : dict
        Member → the number of its first result in the new loop.
    """

    extent: int
    members: list[int] = field(default_factory=list)
    needs: set[int] = field(default_factory=set)
    first: dict[int, int] = field(default_factory=dict)

    def inner(self, program: Program, value: int) -> bool:
        """Whether a value is a result of one of the members."""
        op, operands, _ = program.code[value]
        return op == "item" and operands[0] in self.first

    def outside(self, program: Program) -> list[int]:
        """What the members are given from outside."""
        given = [o for member in self.members for o in program.code[member].operands]
        return [o for o in dict.fromkeys(given) if not self.inner(program, o)]

    def written(self, program: Program, place: dict[int, int]) -> Instruction:
        """The instruction of the new loop."""
        shared: dict[int, int] = {}
        elements: dict[int, int] = {}
        kinds: dict[int, Type] = {}
        code: list[Instruction] = [Instruction("input", (), 0)]
        outputs: list[int] = []
        guards: list[Guard] = []
        for member in self.members:
            _, operands, loop = program.code[member]
            values: list[int] = []
            for op, inside, data in loop.body.code:
                if op != "input":
                    values.append(len(code))
                    code.append(Instruction(op, tuple([values[o] for o in inside]), data))
                    continue
                if data == 0:
                    values.append(0)
                    continue
                o = operands[data - 1]
                if data >= loop.first_element and self.inner(program, o):
                    source, k = program.code[o].operands[0], program.code[o].data
                    values.append(outputs[self.first[source] + k])
                    continue
                known = elements if data >= loop.first_element else shared
                if o not in known:
                    known[o] = len(code)
                    kinds[len(code)] = loop.body.inputs[data]
                    code.append(Instruction("input", (), o))
                values.append(known[o])
            outputs += [values[o] for o in loop.body.outputs]
            guards += [g._replace(value=values[g.value]) for g in loop.body.guards]
        order = [*shared.values(), *elements.values()]
        number = {at: k for k, at in enumerate(order, 1)}
        code = [i._replace(data=number[at]) if i.op == "input" and at else i for at, i in enumerate(code)]
        body = Program(code, outputs, (NUMBER, *[kinds[at] for at in order]), guards)
        result_kinds = tuple([kind for member in self.members for kind in program.code[member].data.kinds])
        loop = Loop(body, self.extent, len(shared), kinds=result_kinds)
        return Instruction("loop", tuple([place[o] for o in (*shared, *elements)]), loop)


def _groups(program: Program) -> tuple[list[_Group], dict[int, _Group]]:
    """The groups of maps, and that of each map."""
    groups: list[_Group] = []
    of: dict[int, _Group] = {}
    number: dict[int, int] = {}  # of the group of a map
    uses: list[frozenset[int]] = []  # the groups whose results a value was computed from, not by way of other groups
    for at, needed in enumerate(dependencies(program)):
        op, operands, loop = program.code[at]
        if op != "loop" or not (loop.is_map() and isinstance(loop.extent, int)) or loop.primal is not None:
            uses.append(frozenset((number[at],)) if at in number else _all(uses, needed))
            continue
        chosen = None
        for k in range(len(groups) - 1, -1, -1):
            group = groups[k]
            if group.extent != loop.extent:
                continue
            direct = [o for o in operands[loop.shared :] if group.inner(program, o) and _is_each(program, o)]
            others = _all(uses, [o for o in needed if o not in direct or o in operands[: loop.shared]])
            if k not in _closure(groups, others):
                chosen = k
                break
        if chosen is None:
            chosen = len(groups)
            groups.append(_Group(loop.extent))
        group = groups[chosen]
        before = [program.code[m].data for m in group.members]
        group.first[at] = sum(len(one.kinds) for one in before)
        group.members.append(at)
        group.needs |= _all(uses, needed) - {chosen}
        of[at], number[at] = group, chosen
        uses.append(frozenset((chosen,)))
    return groups, of


def _all(uses: list[frozenset[int]], values: Iterable[int]) -> frozenset[int]:
    """The groups that some values use."""
    none: frozenset[int] = frozenset()
    return none.union(*[uses[value] for value in values])


def _is_each(program: Program, item: int) -> bool:
    _, (loop,), k = program.code[item]
    return bool(program.code[loop].data.kinds[k] == "each")


def _closure(groups: list[_Group], some: Iterable[int]) -> set[int]:
    """Groups, and all that must come before them."""
    found: set[int] = set()
    left = list(some)
    while left:
        k = left.pop()
        if k not in found:
            found.add(k)
            left += groups[k].needs
    return found


# ---- parts of arrays that are put together from others -------------------------------------------------------------


def _forwarded(program: Program) -> Program:
    """The same program, in which a part of an array that was added to zeros is read where it came from."""
    code = list(program.code)
    types = types_of(program)
    added: dict[int, list[tuple[Window, int]] | None] = {}  # array → its parts; None: something else is in it
    for at, (op, operands, data) in enumerate(code):
        if op == "zeros" or (op == "item" and _is_empty(program, operands[0], data)):
            added[at] = []
        elif op == "add_at" and (before := added.get(operands[0])) is not None:
            added[at] = [*before, (data, operands[1])] if len(operands) == 2 else None
        elif op == "read" and len(operands) == 1 and (parts := added.get(operands[0])):
            found = _source(parts, data)
            if found is not None:
                value, window = found
                kind = types[value]
                if window is None or not isinstance(kind, Array):
                    code[at] = Instruction("pos", (value,))
                else:
                    code[at] = Instruction("read", (value,), window)
    return replace(program, code=code)


def _is_empty(program: Program, loop: int, item: int) -> bool:
    """Whether a result of a map is -0.0 everywhere: adding to it changes nothing."""
    made: Loop = program.code[loop].data
    if not made.is_map() or made.kinds[item] != "each":
        return False
    op, _, data = made.body.code[made.body.outputs[item]]
    return op == "constant" and data == 0.0


def _source(parts: list[tuple[Window, int]], read: Window) -> tuple[int, Window | None] | None:
    """The one part in which all that is read lies, if no other part has any of it, and where there."""
    wanted = _places(read)
    if wanted is None:
        return None
    found: tuple[int, Window | None] | None = None
    inside = set(wanted)
    for window, value in parts:
        places = _places(window)
        if places is None:
            return None
        position = {place: k for k, place in enumerate(places)}
        common = inside & position.keys()
        if not common:
            continue
        if found is not None or len(common) < len(inside) or len(position) < len(places):
            return None
        where = [position[place] for place in wanted]
        found = value, _as_window(where, len(places), read.shape)
        if found[1] is None and where != list(range(len(places))):
            return None
    return found


def _as_window(where: list[int], size: int, shape: tuple[int | str, ...]) -> Window | None:
    """Evenly spaced elements of an array as a window; None for all of them in order, or if they are not."""
    if where == list(range(size)) and len(shape) == 1:
        return None
    if not shape:
        return Window((), where[0])
    step = where[1] - where[0] if len(where) > 1 else 1
    if len(shape) == 1 and step >= 0 and where == [where[0] + step * k for k in range(len(where))]:
        return Window(shape, where[0], (step,))
    return None


def _places(window: Window) -> list[int] | None:
    """The numbers of the elements of a window, if they are known and not too many."""
    if any(isinstance(extent, str) for extent in window.shape):
        return None
    extents = [range(int(extent)) for extent in window.shape]
    count = 1
    for extent in extents:
        count *= len(extent)
    if count > MOST_PLACES:
        return None
    return [window.offset + sum(i * s for i, s in zip(at, window.strides)) for at in product(*extents)]
