"""What the writers of LLVM's language share: the machine, the module in the making, and its workspace."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from autograd.ir.block import Array, Extent
from autograd.rules import Rule

ALIGNMENT = 64


@dataclass(frozen=True)
class Machine:
    """What lowering must know of the machine, and how it is asked to compute.

    Attributes
    ----------
    lanes : int
        Doubles in a vector register.
    vector_math : mapping
        libm's name → the symbol of its vector form; what is missing goes lane by lane.
    flags : str
        LLVM's flags of floating-point operations: none of them for plain IEEE 754 arithmetic.
    from_python : frozenset
        Rows of the table for which Python is called, to have its bits.
    """

    lanes: int
    vector_math: dict[str, str]
    flags: str = ""
    from_python: frozenset[str] = frozenset()


class Place(NamedTuple):
    """Where a number or an array lies while the program runs.

    Attributes
    ----------
    base : str
        A pointer that every function has, or a symbol.
    offset : int
        Bytes from there.
    strides : tuple of int
        Bytes between neighbours along each axis; none for a number.
    wide : bool
        Whether there is a number for each lane; else all lanes share it.
    moves : tuple of (slot, bytes)
        What is added: the whole number in a slot of the workspace, times so many bytes.
    slot : int or None
        Where in the workspace the pointer is kept, in place of `base`.
    given : int or None
        Which array of the call it is; its address and strides are in the table of the call.
    """

    base: str
    offset: int = 0
    strides: tuple[int, ...] = ()
    wide: bool = False
    moves: tuple[tuple[int, int], ...] = ()
    slot: int | None = None
    given: int | None = None

    @staticmethod
    def rows(shape: Sequence[Extent]) -> tuple[int, ...]:
        """The strides of an array that lies row after row."""
        return tuple([8 * stride for stride in Array(tuple(shape)).strides()])

    def step(self, shape: Sequence[Extent], elements: int) -> int:
        """The bytes that so many elements are, counted row after row in an array of this shape."""
        dense = Array(tuple(shape)).strides()
        if len({stride / unit for stride, unit in zip(self.strides, dense)}) == 1:
            return elements * self.strides[-1] // dense[-1]
        total = 0
        for stride, unit in zip(self.strides, dense):
            count, elements = divmod(elements, unit)
            total += count * stride
        return total

    def moved(self, distance: int, strides: tuple[int, ...]) -> Place:
        """So many bytes further, with other strides."""
        return self._replace(offset=self.offset + distance, strides=strides)

    def at(self, counters: Sequence[int]) -> Place:
        """The element that these slots tell, along the first axes."""
        count = len(counters)
        return self._replace(moves=(*self.moves, *zip(counters, self.strides)), strides=self.strides[count:])


@dataclass
class Layout:
    """The workspace: who has which bytes."""

    size: int = 0

    def take(self, bytes_: int, alignment: int = ALIGNMENT) -> int:
        """The offset of so many new bytes."""
        start = -(-self.size // alignment) * alignment
        self.size = start + bytes_
        return start


class Writer:
    """The lines of a function in the making."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.temporaries = 0

    def write(self, line: str) -> None:
        """One more line of the function."""
        self.lines.append("  " + line)

    def temporary(self, expression: str) -> str:
        """A new name for an expression."""
        self.temporaries += 1
        name = f"%t{self.temporaries}"
        self.write(f"{name} = {expression}")
        return name

    def address(self, base: str, offset: int) -> str:
        """The address so many bytes behind a pointer."""
        return base if offset == 0 else self.temporary(f"getelementptr i8, ptr {base}, i64 {offset}")


@dataclass
class Module:
    """The text of a module in the making."""

    machine: Machine
    functions: list[str] = field(default_factory=list)
    declarations: dict[str, str] = field(default_factory=dict)  # symbol → its declaration
    helpers: dict[str, str] = field(default_factory=dict)
    layout: Layout = field(default_factory=Layout)
    custom: dict[str, Rule] = field(default_factory=dict)  # symbol → the rule that it calls
    counter: int = 0
    flags: int = 0  # where in the table of the call the address of the rows' flags is
    tables: dict[tuple[float, ...], str] = field(default_factory=dict)  # constant arrays

    def table(self, numbers: tuple[float, ...]) -> str:
        """The symbol of an array of constants."""
        if numbers not in self.tables:
            name = self.tables[numbers] = f"@table{len(self.tables)}"
            cells = ", ".join([f"double {literal(x, 1)}" for x in numbers])
            self.helpers[name] = f"{name} = private unnamed_addr constant [{len(numbers)} x double] [{cells}], align 64"
        return self.tables[numbers]

    def unique(self, stem: str) -> str:
        """A name that no other function has."""
        self.counter += 1
        return f"{stem}{self.counter}"

    def text(self) -> str:
        """The whole module."""
        return "\n".join([*self.declarations.values(), *self.helpers.values(), *self.functions])

    def custom_symbol(self, rule: Rule, arity: int) -> str:
        """The symbol by which machine code calls back a rule written in Python."""
        for name, known in self.custom.items():
            if known is rule and name.endswith(f".{arity}"):
                return name
        name = f"{rule.name}.{len(self.custom)}.{arity}"
        name = "autograd_call." + "".join(c if c.isalnum() or c in "._" else "_" for c in name)
        self.custom[name] = rule
        return name


def kind(lanes: int, element: str = "double") -> str:
    """LLVM's type of a value in so many lanes."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


def literal(number: float | bool, lanes: int) -> str:
    """A constant in all lanes."""
    if isinstance(number, bool):
        return str(number).lower() if lanes == 1 else f"splat (i1 {str(number).lower()})"
    bits = f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
    return bits if lanes == 1 else f"splat (double {bits})"
