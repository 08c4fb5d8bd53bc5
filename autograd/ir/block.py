"""The program form: blocks of instructions on typed values, loops among them.

Instruction number i defines value number i. Operands are numbers of earlier values, so a program is in topological
order by construction. The same form holds a function, its derivatives of any order, and the body of a loop.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import prod
from typing import Any, Generic, NamedTuple, TypeGuard, TypeVar

NUMBER, TRUTH, LOOP = "number", "truth", "loop"  # a loop's value is the tuple of its results: see `item`
CALL = "n"  # an extent that is known at the call: the rows of a batch
STEPS = "steps"  # an extent that is known when a loop has run: it went on until a comparison came out false
GOING, COUNT = 0, 1  # carries of a loop with a test: whether there is another step, and how many there were
Extent = int | str
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Array:
    """The type of an array of numbers, which lie row after row.

    Examples
    --------
    >>> print(Array((3, 2)), Array((CALL, 2)).rest())
    number[3, 2] number[2]
    """

    shape: tuple[Extent, ...]

    def __str__(self) -> str:
        return f"number[{', '.join(map(str, self.shape))}]"

    def rest(self) -> Type:
        """The type of a row."""
        return Array(self.shape[1:]) if len(self.shape) > 1 else NUMBER

    def size(self) -> int:
        """How many numbers there are; with an extent of the call, in each of its rows."""
        return prod([extent for extent in self.shape if isinstance(extent, int)])

    def distance(self, strides: Sequence[int], elements: int) -> int:
        """How far apart in memory, with these `strides`, two elements are that are `elements` apart row after row."""
        dense = self.strides()
        if len({stride / unit for stride, unit in zip(strides, dense)}) == 1:
            return elements * strides[-1] // dense[-1]
        total = 0
        for stride, unit in zip(strides, dense):
            count, elements = divmod(elements, unit)
            total += count * stride
        return total

    def strides(self) -> tuple[int, ...]:
        """How many numbers lie between neighbours along each axis."""
        return tuple([Array(self.shape[k + 1 :]).size() for k in range(len(self.shape))])


Type = str | Array


def stacked(extent: Extent, row: Type) -> Array:
    """The type of an array of `extent` rows."""
    return Array((extent, *(row.shape if isinstance(row, Array) else ())))


def size_of(kind: Type) -> int:
    """How many numbers a value of this type holds."""
    return kind.size() if isinstance(kind, Array) else 1


def has_rows(kind: Type) -> TypeGuard[Array]:
    """Whether a value of this type has a part for each row of the call."""
    return isinstance(kind, Array) and CALL in kind.shape


def numbers_in(kinds: Iterable[Type]) -> int:
    """How many numbers values of these types hold, without the arrays that are known at the call only."""
    return sum([size_of(kind) for kind in kinds if not has_rows(kind)])


class Window(NamedTuple):
    """Which elements of an array a `read` takes or an `add_at` adds to.

    The element at `i, j, …` of the window is number ``offset + Σ steps · indices + i * strides[0] + …`` of the array,
    where the indices are the operands of the instruction behind the array: counters or computed numbers.
    """

    shape: tuple[Extent, ...]
    offset: int = 0
    strides: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()


class Used(Window):
    """The window of an `add_at` all of whose elements are read afterwards."""

    __slots__ = ()


class Final(Window):
    """The window of a `read` of elements to which nothing is added any more: they may be used when others change."""

    __slots__ = ()


def whole(kind: Array) -> Window:
    """All of an array."""
    return Window(kind.shape, 0, kind.strides())


class Instruction(NamedTuple):
    """One operation.

    `op` is a primitive of the table by name: its operands are numbers or, if it takes any number of them, the elements
    of an array (`dot` takes two arrays). Or it is one of these:

    ``input`` (data: its number), ``constant`` (data: the float or bool);
    ``custom`` (data: a Rule made by `custom_gradient`);
    ``stop`` (its operand without a gradient; data tells whether eager code has it as a float);
    a comparison (``< <= > >= == !=``), ``and or not`` of truths, ``select`` (condition, if true, if false);
    ``read`` (array, indices; data: a `Window`): a number, or an array that shares the numbers of the first;
    ``add_at`` (array, what is added, indices; data: a `Window`): the array with something added in place, so the
    operand is used nowhere afterwards;
    ``zeros`` (data: the shape) and ``pack`` (numbers; data: the shape): a new array;
    ``table`` (data: the shape and the numbers): an array of constants;
    ``loop`` (data: a `Loop`) and ``item`` (operand: a loop, data: which of its results).
    """

    op: str
    operands: tuple[int, ...] = ()
    data: Any = None


class Guard(NamedTuple):
    """A comparison that must come out as it did during capture, and the line that made it."""

    value: int
    expected: bool
    line: str


@dataclass(eq=False, slots=True)
class Program:
    """Instructions with the types of their inputs, the outputs, and the guards under which the program holds."""

    code: list[Instruction] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    inputs: tuple[Type, ...] = ()
    guards: list[Guard] = field(default_factory=list)

    def __str__(self) -> str:
        from autograd.ir.text import lines

        return "\n".join(lines(self))

    def uses(self) -> list[int]:
        """How often each value is used, as an operand, an output or a guard."""
        counts = [0] * len(self.code)
        for value in chain(self.outputs, [g.value for g in self.guards], *[i.operands for i in self.code]):
            counts[value] += 1
        return counts

    def users(self) -> list[list[int]]:
        """The instructions that use each value; one that uses it twice is there twice."""
        found: list[list[int]] = [[] for _ in self.code]
        for at, (_, operands, _) in enumerate(self.code):
            for o in operands:
                found[o].append(at)
        return found


class Roles(NamedTuple, Generic[T]):
    """What stands for each operand of a loop, by what the operand is: see `Loop`."""

    shared: Sequence[T]
    carries: Sequence[T]
    accumulators: Sequence[T]
    elements: Sequence[T]

    @property
    def handed(self) -> list[T]:
        """The carries and the accumulators."""
        return [*self.carries, *self.accumulators]


@dataclass(eq=False, frozen=True, slots=True)
class Loop:
    """A program for one step, to be run for each of `extent` steps.

    The body's inputs are, in order: the counter (0, 1, …), what all steps `shared`, what one step hands to the next
    (the `carries`, numbers), the `accumulators` (arrays into which the steps add, and of which they may read elements
    to which no step adds any more), and then one element of each array that the steps go through. The operands of the
    instruction are the same without the counter: initial values of the carries and accumulators, and whole arrays for
    the elements.

    The body's outputs are the carries for the next step, the accumulators, and what `kinds` tells of each further
    one: ``each`` (the results are stacked) or ``sum`` (they are added up). The results of the loop are, in the same
    order, the last carries, the accumulators, and the arrays and sums.

    A `backwards` loop runs from the last step to the first. `primal` is the loop of which this one is a derivative if
    it computes all results of that loop as well: `place` tells where. `stored` is the number of the first
    result that holds what the carries were at the start of each step, for a reverse sweep.

    The extent may be decided while the program runs (`STEPS`). A loop with a `test` goes on while its first carry is
    not 0: the number 1 or 0, which each step computes for the next. Its second carry counts the steps. Another loop of
    this extent is told the number of its steps by its first operand, which is one of those that are shared; such are
    the derivatives of a loop with a test, which go through the arrays that it stored.
    """

    body: Program
    extent: Extent
    shared: int
    carries: int = 0
    accumulators: int = 0
    kinds: tuple[str, ...] = ()
    backwards: bool = False
    primal: Loop | None = None
    stored: int | None = None
    test: bool = False
    known_types: list[Type] | None = field(default=None, init=False, repr=False)  # of the results, once found

    @property
    def first_carry(self) -> int:
        """The number of the body's first input that is a carry."""
        return 1 + self.shared

    @property
    def first_element(self) -> int:
        """The number of the body's first input that is an element."""
        return 1 + self.shared + self.handed

    @property
    def handed(self) -> int:
        """How many carries and accumulators there are."""
        return self.carries + self.accumulators

    @property
    def is_counted(self) -> bool:
        """Whether the first operand is the number of steps."""
        return self.extent == STEPS and not self.test

    def by_role(self, operands: Sequence[T]) -> Roles[T]:
        """The operands of the instruction, or what stands for them in their order, by what they are."""
        ends = self.shared, self.shared + self.carries, self.shared + self.handed
        return Roles(operands[: ends[0]], operands[ends[0] : ends[1]], operands[ends[1] : ends[2]], operands[ends[2] :])

    def is_map(self) -> bool:
        """Whether the steps are independent of one another."""
        return not self.handed

    def operand_types(self) -> list[Type]:
        """The types of the instruction's operands."""
        given = self.body.inputs[1 : self.first_element]
        return [*given, *[stacked(self.extent, kind) for kind in self.body.inputs[self.first_element :]]]

    def result_types(self, types: Sequence[Type] | None = None) -> list[Type]:
        """The types of the results, given those of the body's values; without them they are found once."""
        if types is None:
            if self.known_types is None:
                object.__setattr__(self, "known_types", self.result_types(types_of(self.body)))
            assert self.known_types is not None
            return self.known_types
        handed = list(self.body.inputs[self.first_carry : self.first_element])
        outs = [types[o] for o in self.body.outputs[self.handed :]]
        return handed + [stacked(self.extent, t) if kind == "each" else t for kind, t in zip(self.kinds, outs)]

    def place(self, item: int) -> int:
        """Which of the results is a result of the primal."""
        assert self.primal is not None
        if item < self.primal.carries:
            return item
        if item < self.primal.handed:
            return item - self.primal.carries + self.carries
        return item - self.primal.handed + self.handed


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip  # a table
LOGIC: dict[str, Callable[..., bool]] = {
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
    "not": lambda a: not a,
}
PREDICATES = frozenset({*COMPARISONS, *LOGIC})
# Operations whose values may be something else than a number.
TYPED = frozenset({"input", "constant", "read", "add_at", "pos", "zeros", "pack", "table", "loop", "item", *PREDICATES})


def with_inputs(code: Iterable[Instruction], order: Sequence[int]) -> list[Instruction]:
    """The same code with its inputs numbered anew: `order` has their old numbers."""
    place = {old: new for new, old in enumerate(order)}
    return [Instruction("input", (), place[i.data]) if i.op == "input" else i for i in code]


def loops(program: Program) -> Iterator[Loop]:
    """All loops of a program, those inside others too."""
    for op, _, data in program.code:
        if op == "loop":
            yield data
            yield from loops(data.body)


def calls_python(code: Iterable[Instruction]) -> bool:
    """Whether instructions, or those of loops among them, are rules that were written in Python."""
    return any(op == "custom" or (op == "loop" and calls_python(data.body.code)) for op, _, data in code)


def exact(op: str, data: Any) -> Any:
    """The data of an instruction, to be compared with that of others: 0.0 is not -0.0, and nan is nan."""
    if op == "table":
        return data[0], array("d", data[1]).tobytes()
    return repr(data) if op == "constant" else data


def type_of(instruction: Instruction, types: Sequence[Type], inputs: Sequence[Type]) -> Type:
    """The type of the value that an instruction defines, given those of the values before it."""
    op, operands, data = instruction
    if op == "input":
        return inputs[int(data)]
    if op in PREDICATES or (op == "constant" and isinstance(data, bool)):
        return TRUTH
    if op == "read":
        return Array(data.shape) if data.shape else NUMBER
    if op in ("zeros", "pack"):
        return Array(data)
    if op == "table":
        return Array(data[0])
    if op in ("add_at", "pos"):
        return types[operands[0]]
    return LOOP if op == "loop" else NUMBER  # the type of an item is for `types_of` to find


def types_of(program: Program) -> list[Type]:
    """The types of all values of a program."""
    code, inputs = program.code, program.inputs
    types: list[Type] = [NUMBER] * len(code)
    for at, instruction in enumerate(code):
        op, operands, data = instruction
        if op not in TYPED or (op == "read" and not data.shape):
            continue  # a number, as almost all are
        if op == "item":
            types[at] = code[operands[0]].data.result_types()[data]
        else:
            types[at] = type_of(instruction, types, inputs)
    return types
