"""The layout of the rows of a map in the stage, from which its body reads them and to which it writes results."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from itertools import accumulate
from math import prod

from autograd.compiler.lower.module import Place
from autograd.compiler.lower.parallel import only_added
from autograd.compiler.lower.whiles import executed, goes_through, is_long
from autograd.ir.block import CALL, STEPS, Array, Loop, Program, Type, calls_python, types_of

Shape = tuple[int, ...]
MOST_COPIED = 1 << 14  # numbers in the arrays of which each lane has a copy: more do not fit the caches
COPY = 4  # what a number of them costs, in instructions
FULL = 0.7  # of the lanes that rows must fill
ENTRY = 24  # bytes of a table entry: address, bytes from row to row, bytes from column to column


def entries(count: int) -> int:
    """The bytes of this number of entries."""
    return ENTRY * count


def fits_lanes(loop: Loop) -> bool:
    """Whether the steps of a loop can run in lanes: they are independent, and read the same parts of arrays.

    Rows of a call may also add to arrays: each lane adds to its own, and these are added up at the end.
    """
    return not (loop.accumulators and loop.extent != CALL) and _are_rows(loop)


def is_long_map(loop: Loop) -> bool:
    """Whether a map has very many rows, and so must look for signals between blocks of rows."""
    return isinstance(loop.extent, int) and is_long(loop) and not goes_through(loop) and fits_lanes(loop)


def adds_in_lanes(loop: Loop, lanes: int) -> bool:
    """Whether each lane of a loop of known extent should have its own copy of the arrays to which steps add.

    One step after the other puts loops inside a step into lanes, which fills them less well, but adds to one copy.
    """
    extent, body = loop.extent, loop.body
    if not loop.accumulators or not isinstance(extent, int) or body.guards:
        return False
    arrays = [kind for kind in body.inputs[loop.first_carry : loop.first_element] if isinstance(kind, Array)]
    if not all(isinstance(e, int) for kind in arrays for e in kind.shape) or not _are_rows(loop):
        return False
    copied, blocks = sum(kind.size() for kind in arrays), -(-extent // lanes)
    full = FULL * lanes * blocks <= extent
    return full and copied <= MOST_COPIED and copied * COPY <= blocks * executed(body)


def _are_rows(loop: Loop) -> bool:
    if loop.carries or loop.extent == STEPS:
        return False
    return _uniform(loop.body, frozenset()) and only_added(loop.body, range(loop.first_carry, loop.first_element))


def _uniform(program: Program, same: Set[int]) -> bool:
    """Whether all rows read the same parts of arrays; `same`: the inputs that are the same for all: inner counters."""
    code = program.code

    def is_same(o: int) -> bool:
        return code[o].op == "constant" or (code[o].op == "input" and code[o].data in same)

    for op, operands, data in code:
        if op in ("read", "add_at"):
            indices = operands[1:] if op == "read" else operands[2:]
            if data.shape and not all(map(is_same, indices)):
                return False
        elif op == "loop" and data.extent == STEPS and calls_python(data.body.code):
            return False  # Python code may raise in a lane that is done
        elif op == "loop":
            shared = [k for k, o in enumerate(operands[: data.shared], 1) if is_same(o)]
            if not _uniform(data.body, {0, *shared}):
                return False
    return True


@dataclass(frozen=True)
class Rows:
    """The columns of a map's rows and results.

    Attributes
    ----------
    shapes : tuple of shapes
        The shapes of the elements; that of a number is empty.
    kinds : tuple of str
        The kind of each output of the body: "each" or "sum".
    out_shapes : tuple of shapes
        The shapes of the outputs that are stacked.
    added : tuple of shapes
        The shapes of the arrays to which all rows add.
    counts : bool
        Whether the body uses the number of its row.
    guards : bool
        Whether a row may take another branch.
    """

    shapes: tuple[Shape, ...]
    kinds: tuple[str, ...]
    out_shapes: tuple[Shape, ...]
    added: tuple[Shape, ...]
    counts: bool
    guards: bool

    @classmethod
    def of(cls, loop: Loop) -> Rows:
        """The rows of a loop."""
        body, types = loop.body, types_of(loop.body)
        uses = body.uses()
        counts = any(uses[at] for at, i in enumerate(body.code) if i == ("input", (), 0))
        shapes = [_shape(kind) for kind in body.inputs[loop.first_element :]]
        outs = [_shape(types[o]) for o, kind in zip(body.outputs[loop.handed :], loop.kinds) if kind == "each"]
        added = [_shape(kind) for kind in body.inputs[loop.first_carry : loop.first_element]]
        return cls(tuple(shapes), loop.kinds, tuple(outs), tuple(added), counts, bool(body.guards))

    @property
    def widths(self) -> list[int]:
        """The number of columns of each element."""
        return [prod(shape) for shape in self.shapes]

    @property
    def out_widths(self) -> list[int]:
        """The number of columns of each stacked output."""
        return [prod(shape) for shape in self.out_shapes]

    @property
    def columns(self) -> int:
        """The number of columns of all elements."""
        return sum(self.widths)

    @property
    def results(self) -> int:
        """The number of columns of all stacked outputs."""
        return sum(self.out_widths)

    @property
    def reduced(self) -> list[bool]:
        """The outputs that are added up."""
        return [True for kind in self.kinds if kind == "sum"]

    def elements(self, lanes: int) -> list[Place]:
        """The places of the elements in the stage."""
        starts = accumulate(self.widths, initial=0)
        return [
            Place("%rows", 8 * lanes * start, _wide(shape, lanes), True) for start, shape in zip(starts, self.shapes)
        ]

    def sums(self, start: int, lanes: int) -> list[Place]:
        """The places of the arrays that each lane adds to, from an offset of the workspace on."""
        starts = accumulate([prod(shape) for shape in self.added], initial=0)
        return [
            Place("%work", start + 8 * lanes * before, _wide(shape, lanes), True)
            for before, shape in zip(starts, self.added)
        ]

    @property
    def vectors(self) -> int:
        """The number of vectors in these arrays."""
        return sum([prod(shape) for shape in self.added])

    def target(self, output: int, lanes: int) -> Place:
        """The place of an output: in the stage for results, or among the sums."""
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
