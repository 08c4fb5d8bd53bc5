"""Nests whose inner loop adds to the same elements in every step of the outer one: these are held in registers.

The outer loop runs once for each tile, a few vectors of elements next to one another, and holds them meanwhile. Every
element is added to in the same order as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from autograd.compiler.lower.expressions import ARITHMETIC
from autograd.compiler.lower.nests.steps import Step
from autograd.compiler.lower.nests.views import Index, Number, Operand, Task, View
from autograd.compiler.lower.parallel import is_parallel
from autograd.ir.block import LOGIC, PREDICATES, Loop, Program

if TYPE_CHECKING:
    from autograd.compiler.lower.nests.nest import Nest

MOST_HELD = 16  # vectors
SHORT = 8  # instructions of a step of the outer loop: each tile computes them again
CHEAP = frozenset({*ARITHMETIC, *PREDICATES, *LOGIC, "input", "constant", "read", "item", "neg", "select", "not"}) - {
    "div"
}


class Tiling(NamedTuple):
    """The inner loop of such a nest, and what it adds to elements that all steps of the outer loop share.

    Attributes
    ----------
    inner : int
        The instruction of the outer body that is the inner loop.
    held : dict
        Instruction of the inner body that adds to such elements → the accumulator of the outer loop.
    """

    inner: int
    held: dict[int, int]


def tiling_of(loop: Loop) -> Tiling | None:
    """How a loop may be written in tiles, if it may."""
    body = loop.body
    inside = [at for at, i in enumerate(body.code) if i.op == "loop"]
    if loop.carries or loop.kinds or len(inside) != 1 or not isinstance(loop.extent, int) or loop.extent < 2:
        return None
    inner: Loop = body.code[inside[0]].data
    if inner.carries or inner.kinds or not isinstance(inner.extent, int) or not is_parallel(inner):
        return None
    if sum(op not in ("input", "constant", "item") for op, _, _ in body.code) > SHORT:
        return None
    if any(op not in CHEAP for at, (op, _, _) in enumerate(body.code) if at != inside[0]):
        return None
    return _tiling(loop, inside[0], inner)


def _tiling(loop: Loop, at: int, inner: Loop) -> Tiling | None:
    body, operands = loop.body, loop.body.code[at].operands
    first = loop.first_carry
    accumulators = range(first, first + loop.accumulators)
    roots: dict[int, int] = {}  # accumulator of the inner loop, by its number among the inputs → that of the outer one
    for k in range(inner.first_carry, inner.first_element):
        op, _, data = body.code[operands[k - 1]]
        if op != "input" or data not in accumulators or data in roots.values():
            return None
        roots[k] = data
    if not _only_added(body, at, set(roots.values())):
        return None
    if not _only_added(inner.body, None, set(roots)):
        return None
    held: dict[int, int] = {}
    for place, (op, given, window) in enumerate(inner.body.code):
        if op != "add_at":
            continue
        source = inner.body.code[given[0]]
        if source.op != "input" or source.data not in roots or window.shape:
            return None
        root = roots.pop(source.data)
        steps = _steps(loop, at, inner, given[2:], window.steps)
        if steps is None:
            return None
        outer, own, fixed = steps
        if outer == 0 and own == 1 and fixed:
            held[place] = root
        elif not outer or abs(outer) < abs(own) * int(inner.extent):
            return None
    return Tiling(at, held) if held and not roots else None


def _only_added(body: Program, inner: int | None, arrays: set[int]) -> bool:
    """Whether nothing but additions, or the inner loop, touches these arrays."""
    touching = {k for k, i in enumerate(body.code) if i.op == "input" and i.data in arrays}
    others = (i.operands[1:] if i.op == "add_at" else i.operands for k, i in enumerate(body.code) if k != inner)
    return all(touching.isdisjoint(operands) for operands in others)


def _steps(
    loop: Loop, at: int, inner: Loop, indices: tuple[int, ...], steps: tuple[int, ...]
) -> tuple[int, int, bool] | None:
    """How far a place moves with a step of the outer loop and of the inner one; whether nothing else is in it."""
    outer, own, fixed = 0, 0, True
    for index, step in zip(indices, steps, strict=True):
        op, _, data = inner.body.code[index]
        if op != "input":
            return None
        if data == 0:
            own += step
            continue
        if data >= inner.first_carry:
            return None
        given = loop.body.code[loop.body.code[at].operands[data - 1]]
        if given.op != "input" or given.data >= loop.first_carry:
            return None
        outer += step if given.data == 0 else 0
        fixed = fixed and given.data == 0
    return outer, own, fixed


class Tile:
    """Some neighbouring steps of the inner loop, each a vector or a number, and the sums that are held for them."""

    def __init__(self, tiling: Tiling, steps: Sequence[tuple[Index, int]]) -> None:
        self.held, self.steps = list(tiling.held), steps  # a step: its index, and how many lanes count
        self.names: list[str] = []  # of the sums: those of the first step first
        self.step = 0

    def add(self, nest: Nest, at: int, x: Number) -> None:
        """Add a number to a sum."""
        place = self.step * len(self.held) + self.held.index(at)
        nest.spend(1)
        total = f"fadd {nest.module.machine.flags}{nest.type} {self.names[place]}, {nest.name(x)}"
        self.names[place] = nest.temporary(total)

    def run(self, nest: Nest, inner: Loop, operands: Sequence[Operand]) -> list[Operand]:
        """Write the steps of the inner loop; its results, the accumulators."""
        count = inner.shared + inner.handed
        given = nest.with_numbers(Task(inner, operands, [])).operands
        arrays = [x for x in given[count:] if isinstance(x, View)]
        for step, (index, valid) in enumerate(self.steps):
            self.step, before, nest.valid = step, nest.valid, valid
            elements = [nest.at(x, index) for x in arrays]
            Step(nest, inner.body, [Number("", counter=index), *given[:count], *elements], tile=self).run()
            nest.valid = before
        return inner.by_role(operands).handed


def write_tiles(nest: Nest, loop: Loop, operands: Sequence[Operand], tiling: Tiling) -> list[Operand]:
    """Write a loop in tiles; its results."""
    inner: Loop = loop.body.code[tiling.inner].data
    own, lanes = nest.lanes, nest.module.machine.lanes
    unit = 1 if own > 1 else lanes
    nest.set_lanes(lanes)
    whole, rest = divmod(int(inner.extent), unit)
    most = max(1, MOST_HELD // (2 * len(tiling.held)))
    count, left = (0, whole) if whole <= 2 * most else divmod(whole, most)

    def tile(base: str, several: int, some: int = 0) -> None:
        indices = [Index(nest.plus(base, k * unit), 1 if own == 1 else 0) for k in range(several + bool(some))]
        steps = [(index, unit if own == 1 else nest.valid) for index in indices]
        if some:
            steps[-1] = steps[-1][0], some
        _write_tile(nest, loop, operands, tiling, Tile(tiling, steps))

    def several(i: str, names: list[str]) -> list[str]:
        tile(i, most)
        return names

    nest.counted(count, most * unit, False, [], several)
    if left or rest:
        tile(str(count * most * unit), left, rest)
    nest.set_lanes(own)
    return loop.by_role(operands).handed


def _write_tile(nest: Nest, loop: Loop, operands: Sequence[Operand], tiling: Tiling, tile: Tile) -> None:
    body, count = loop.body, loop.shared + loop.handed
    places = [(view, valid) for index, valid in tile.steps for view in _places(nest, loop, operands, tiling, index)]
    before = nest.valid

    def loaded(view: View, valid: int) -> str:
        nest.valid = valid
        return nest.name(nest.load(view))

    given = [loaded(view, valid) for view, valid in places]
    nest.valid = before
    arrays = [x for x in operands[count:] if isinstance(x, View)]

    def step(i: str, names: list[str]) -> list[str]:
        tile.names = list(names)
        elements = [nest.at(x, Index(i)) for x in arrays]
        Step(nest, body, [Number("", counter=Index(i)), *operands[:count], *elements], tile=tile).run()
        return list(tile.names)

    names = nest.counted(int(loop.extent), 1, loop.backwards, given, step)
    for name, (view, valid) in zip(names, places, strict=True):
        nest.valid = valid
        nest.store(Number(name, True), view)
    nest.valid = before


def _places(nest: Nest, loop: Loop, operands: Sequence[Operand], tiling: Tiling, index: Index) -> list[View]:
    """Where the sums lie that are held for a step of the inner loop."""
    inner: Loop = loop.body.code[tiling.inner].data
    found = []
    for at, root in tiling.held.items():
        array = operands[root - 1]
        assert isinstance(array, View)
        window = inner.body.code[at].data
        indices = [Number("", counter=index)] * len(window.steps)
        found.append(nest.window(array, window, indices))
    return found
