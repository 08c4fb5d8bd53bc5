"""Which loops have independent steps: none of them touches what another one adds to."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from autograd.ir.block import Array, Loop, Program, Window, exact
from autograd.ir.memory import continued, written

MANY = 1 << 40  # steps of a loop whose number of steps is a value


class Affine(NamedTuple):
    """A whole number: a sum of counters and of numbers that are the same in all steps, times factors.

    Those of the latter are in `fixed`. `low` and `high` bound the rest, in which the counter of the loop, with
    factor `step`, is not included.
    """

    step: int = 0
    low: int = 0
    high: int = 0
    fixed: frozenset[tuple[object, int]] = frozenset()

    def plus(self, other: Affine, factor: int) -> Affine:
        """The sum with a multiple of another one."""
        ends = sorted((factor * other.low, factor * other.high))
        terms = dict(self.fixed)
        for term, k in other.fixed:
            terms[term] = terms.get(term, 0) + factor * k
        fixed = frozenset((term, k) for term, k in terms.items() if k)
        return Affine(self.step + factor * other.step, self.low + ends[0], self.high + ends[1], fixed)


@dataclass
class _Accesses:
    """What a step does to each array that the steps add to: whether it adds, and where."""

    extent: int
    found: dict[int, list[tuple[bool, Affine]]] = field(default_factory=dict)
    known: bool = True

    def add(self, array: int, adds: bool, place: Affine | None) -> None:
        if place is None:
            self.known = False
        else:
            self.found.setdefault(array, []).append((adds, place))


def is_parallel(loop: Loop) -> bool:
    """Whether the steps of a loop may run at the same time: sums of array elements then keep their order, too."""
    return not loop.carries and steps_are_apart(loop)


def steps_are_apart(loop: Loop) -> bool:
    """Whether no step of a loop touches what another one adds to."""
    extent = MANY if loop.is_counted else loop.extent
    if not isinstance(extent, int):
        return False
    if not loop.accumulators:
        return True
    accesses = _Accesses(extent)
    first = loop.first_carry
    arrays = {k: k for k in range(first, loop.first_element)}
    numbers: dict[int, Affine] = {0: Affine(1)}
    for k in range(1, first):
        if not isinstance(loop.body.inputs[k], Array):
            numbers[k] = Affine(fixed=frozenset({(k, 1)}))
    _look(loop.body, arrays, numbers, accesses)
    return accesses.known and all(
        _apart(one, other, extent)
        for places in accesses.found.values()
        for adds, one in places
        if adds
        for _, other in places
    )


def _apart(one: Affine, other: Affine, extent: int) -> bool:
    """Whether two places are different in different steps."""
    if one.fixed != other.fixed:
        return False
    if one.step == other.step and one.step:
        return max(one.high, other.high) - min(one.low, other.low) < abs(one.step)
    ends = [(p.low + min(0, p.step * (extent - 1)), p.high + max(0, p.step * (extent - 1))) for p in (one, other)]
    return ends[0][1] < ends[1][0] or ends[1][1] < ends[0][0]


def _look(program: Program, arrays: Mapping[int, int], numbers: Mapping[int, Affine], accesses: _Accesses) -> None:
    """Collect the accesses of a body to some of its inputs; `numbers` are inputs that are known."""
    which: dict[int, int] = {}  # value → the array that it is
    affine: dict[int, Affine] = {}
    for at, (op, operands, data) in enumerate(program.code):
        if op == "input":
            if data in arrays:
                which[at] = arrays[data]
            elif data in numbers:
                affine[at] = numbers[data]
        elif op == "constant" and not isinstance(data, bool) and data == data and abs(data) < 2**53:
            affine[at] = Affine(low=int(data), high=int(data))
        elif op == "pos" and operands[0] in which:
            which[at] = which[operands[0]]
        elif op in ("read", "add_at") and operands[0] in which:
            indices = operands[1:] if op == "read" else operands[2:]
            place = _place(data, [affine.get(o) for o in indices])
            accesses.add(which[operands[0]], op == "add_at", place)
            if op == "add_at":
                which[at] = which[operands[0]]
            elif data.shape:
                accesses.known = False  # a part of an array that is added to goes elsewhere
        elif op == "loop":
            _look_inside(program, operands, data, which, affine, accesses)
        elif (before := continued(program.code, at)) in which:
            which[at] = which[before]
        elif any(o in which for o in operands):
            accesses.known = False


def _look_inside(
    program: Program,
    operands: Sequence[int],
    loop: Loop,
    which: Mapping[int, int],
    affine: Mapping[int, Affine],
    accesses: _Accesses,
) -> None:
    """Collect what an inner loop does."""
    if not isinstance(loop.extent, int):
        accesses.known = False
        return
    count = loop.shared + loop.handed
    arrays = {k: which[o] for k, o in enumerate(operands[:count], 1) if o in which}
    numbers = {k: affine[o] for k, o in enumerate(operands[: loop.shared], 1) if o in affine}
    numbers[0] = Affine(low=0, high=max(loop.extent - 1, 0))
    if any(o in which for o in operands[count:]):
        accesses.known = False
    _look(loop.body, arrays, numbers, accesses)


def _place(window: Window, indices: Sequence[Affine | None]) -> Affine | None:
    """Where a window is; None if that is not known."""
    place = Affine(low=window.offset, high=window.offset)
    for step, index in zip(window.steps, indices):
        if index is None:
            return None
        place = place.plus(index, step)
    for extent, stride in zip(window.shape, window.strides):
        if not isinstance(extent, int):
            return None
        place = place.plus(Affine(low=0, high=max(extent - 1, 0)), stride)
    return place


def only_added(program: Program, inputs: Container[int]) -> bool:
    """Whether a body adds to some of its inputs without reading them."""
    ours: set[int] = set()
    for at, (op, operands, data) in enumerate(program.code):
        if op == "input":
            if data in inputs and isinstance(program.inputs[data], Array):
                ours.add(at)
        elif continued(program.code, at) in ours and (op == "item" or operands[1] not in ours):
            ours.add(at)
        elif op == "loop":
            taken = written(op, data)
            passed = [k for k, o in enumerate(operands) if o in ours]
            if any(k not in taken for k in passed) or not only_added(data.body, [k + 1 for k in passed]):
                return False
        elif any(o in ours for o in operands):
            return False
    return True


def size_of_nest(loop: Loop) -> int:
    """How many instructions are written for a loop, with those of the loops in it."""
    code = loop.body.code
    own = sum(op not in ("input", "constant", "item", "pos") for op, _, _ in code)
    return own + sum(size_of_nest(data) for op, _, data in code if op == "loop")


def key(loop: Loop) -> tuple[object, ...]:
    """What two loops share that compute the same."""
    code = tuple([(op, of, key(data) if op == "loop" else exact(op, data)) for op, of, data in loop.body.code])
    form = (loop.extent, loop.test, loop.shared, loop.carries, loop.accumulators, loop.kinds, loop.backwards)
    return (*form, loop.body.inputs, code, tuple(loop.body.outputs))


def has_known_extents(loop: Loop) -> bool:
    """Whether the extents of a loop, of its arrays and of the loops in it are known when compiling."""
    shapes = [kind.shape for kind in loop.body.inputs if isinstance(kind, Array)]
    known = isinstance(loop.extent, int) and all(isinstance(e, int) for shape in shapes for e in shape)
    return known and all(has_known_extents(i.data) for i in loop.body.code if i.op == "loop")


def stored_carries(loop: Loop) -> dict[int, int]:
    """The results of a loop that are its carries at the start of each step, numbered: they lie side by side."""
    code, first = loop.body.code, loop.first_carry
    carries = range(first, first + loop.carries)
    outs = zip(loop.body.outputs[loop.handed :], loop.kinds)
    found = [
        item
        for item, (o, kind) in enumerate(outs, loop.handed)
        if kind == "each" and code[o].op == "input" and code[o].data in carries
    ]
    return {item: k for k, item in enumerate(found)}
