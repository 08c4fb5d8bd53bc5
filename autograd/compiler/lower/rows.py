"""How the rows of a map lie in the stage from which its body takes them, and to which it gives its results."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import prod

from autograd.compiler.lower.module import Place
from autograd.ir.block import Array, Loop, Program, Type, types_of

Shape = tuple[int, ...]
ENTRY = 24  # bytes of a table entry: address, bytes from row to row, bytes from column to column


def entries(count: int) -> int:
    """The bytes of so many entries."""
    return ENTRY * count


def fits_lanes(loop: Loop) -> bool:
    """Whether the steps of a loop are rows that can run side by side: each on its own, all at the same places."""
    return loop.is_map() and _uniform(loop.body, False)


def _uniform(program: Program, counts: bool) -> bool:
    """Whether all rows look at the same places; the counter is one of those if it is that of an inner loop."""
    code = program.code
    for op, operands, data in code:
        if op in ("read", "add_at"):
            indices = operands[1:] if op == "read" else operands[2:]
            known = [code[o].op == "constant" or (counts and code[o] == ("input", (), 0)) for o in indices]
            if not all(known):
                return False
        elif op == "loop" and not _uniform(data.body, True):
            return False
    return True


@dataclass(frozen=True)
class Rows:
    """The columns of a map's rows and results.

    Attributes
    ----------
    shapes : tuple of shapes
        Those of the elements; a number has none.
    kinds : tuple of str
        What becomes of each output of the body: "each" or "sum".
    out_shapes : tuple of shapes
        Those of the outputs that are stacked.
    counts : bool
        Whether the body uses the number of its row.
    guards : bool
        Whether rows may turn out to be of another branch.
    """

    shapes: tuple[Shape, ...]
    kinds: tuple[str, ...]
    out_shapes: tuple[Shape, ...]
    counts: bool
    guards: bool

    @classmethod
    def of(cls, loop: Loop) -> Rows:
        """The rows of a loop."""
        body, types = loop.body, types_of(loop.body)
        uses = body.uses()
        counts = any(uses[at] for at, i in enumerate(body.code) if i == ("input", (), 0))
        shapes = [_shape(kind) for kind in body.inputs[loop.first_element :]]
        outs = [_shape(types[o]) for o, kind in zip(body.outputs, loop.kinds) if kind == "each"]
        return cls(tuple(shapes), loop.kinds, tuple(outs), counts, bool(body.guards))

    @property
    def widths(self) -> list[int]:
        """How many columns each element has."""
        return [prod(shape) for shape in self.shapes]

    @property
    def out_widths(self) -> list[int]:
        """How many columns each stacked output has."""
        return [prod(shape) for shape in self.out_shapes]

    @property
    def columns(self) -> int:
        """How many columns the elements have."""
        return sum(self.widths)

    @property
    def results(self) -> int:
        """How many columns the stacked outputs have."""
        return sum(self.out_widths)

    @property
    def reduced(self) -> list[bool]:
        """The outputs that are added up."""
        return [True for kind in self.kinds if kind == "sum"]

    def elements(self, lanes: int) -> list[Place]:
        """Where the elements are in the stage."""
        starts = accumulate(self.widths, initial=0)
        return [
            Place("%rows", 8 * lanes * start, _wide(shape, lanes), True) for start, shape in zip(starts, self.shapes)
        ]

    def target(self, output: int, lanes: int) -> Place:
        """Where an output goes: to the stage for results, or to the sums."""
        kind = self.kinds[output]
        if kind == "sum":
            return Place("%sums", 8 * lanes * self.kinds[:output].count("sum"), (), True)
        number = self.kinds[:output].count("each")
        before = sum(self.out_widths[:number])
        return Place("%outputs", 8 * lanes * before, _wide(self.out_shapes[number], lanes), True)


def _shape(kind: Type) -> Shape:
    return tuple([int(extent) for extent in kind.shape]) if isinstance(kind, Array) else ()


def _wide(shape: Shape, lanes: int) -> tuple[int, ...]:
    """The strides of an array of vectors."""
    return tuple([lanes * stride for stride in Place.rows(shape)])
