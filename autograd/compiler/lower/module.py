"""What all writers of LLVM IR use: a description of the machine, the module, and its workspace."""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from autograd.ir.block import Array, Extent
from autograd.rules import Rule

ALIGNMENT = 64
STATUS, LEFT = 0, 8  # slots of the workspace: the first guard that failed, why a loop was left
LOOP_MEMORY = 1 << 32


@dataclass(frozen=True)
class Machine:
    """What lowering needs to know of the machine, and the arithmetic that was asked for.

    Attributes
    ----------
    lanes : int
        Doubles in a vector register.
    vector_math : mapping
        Name in libm → symbol of the vector form; other functions are called lane by lane.
    flags : str
        LLVM's flags for floating-point operations; none for plain IEEE 754 arithmetic.
    from_python : frozenset
        Primitives for which Python is called, to get its bits.
    in_order : bool
        Whether rows that add to the same numbers do so one after the other.
    loop_memory : int
        The most bytes that loops may take in one call, for numbers of steps that nobody knew before.
    """

    lanes: int
    vector_math: dict[str, str]
    flags: str = ""
    from_python: frozenset[str] = frozenset()
    in_order: bool = False
    loop_memory: int = LOOP_MEMORY


class Place(NamedTuple):
    """The memory of a number or an array while the program runs.

    Attributes
    ----------
    base : str
        A pointer that every function has, or a symbol.
    offset : int
        Bytes from the base.
    strides : tuple of int
        Bytes between neighbours along each axis; none for a number.
    wide : bool
        Whether each lane has its own number; otherwise all lanes share one.
    moves : tuple of (slot, bytes)
        Offsets that are added: the whole number in a slot of the workspace, times a number of bytes.
    slot : int or None
        The slot of the workspace that has the pointer, in place of `base`.
    given : int or None
        The number of an array of the call, whose address and strides are in the table of the call.
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
        """The strides of an array that is stored row after row."""
        return tuple([8 * stride for stride in Array(tuple(shape)).strides()])

    def alignment(self, width: int) -> int:
        """To how many bytes a number is aligned, for lanes of this width; memory that grows is not in the workspace."""
        return width if self.wide and self.slot is None else 8

    def step(self, shape: Sequence[Extent], elements: int) -> int:
        """The bytes from an element to the one `elements` further, counted row after row in an array of this shape."""
        return Array(tuple(shape)).distance(self.strides, elements)

    def moved(self, distance: int, strides: tuple[int, ...]) -> Place:
        """A place `distance` bytes further, with other strides."""
        return self._replace(offset=self.offset + distance, strides=strides)

    def at(self, counters: Sequence[int]) -> Place:
        """The element whose indices along the first axes are in these slots."""
        count = len(counters)
        return self._replace(moves=(*self.moves, *zip(counters, self.strides)), strides=self.strides[count:])


@dataclass
class Layout:
    """The workspace: hands out its bytes."""

    size: int = 0

    def take(self, bytes_: int, alignment: int = ALIGNMENT) -> int:
        """Reserve bytes; return their offset."""
        start = -(-self.size // alignment) * alignment
        self.size = start + bytes_
        return start


class Growing(NamedTuple):
    """An array with a row for each step of a loop, in memory that grows: the slots of its address and its capacity."""

    slot: int
    capacity: int  # in steps; all arrays of a loop share one
    bytes: int  # of a row


@dataclass
class Memory:
    """The memory that a call takes besides the workspace: the slot for its bytes, and the arrays."""

    used: int
    unheard: int  # the slot for how many instructions ran since a loop looked for signals
    buffers: list[Growing] = field(default_factory=list)


# The parameters of the functions that a program is cut into, as they are declared and passed on.
ARGUMENTS = "ptr %inputs, ptr %rows, ptr %outputs, ptr %sums, ptr %work"


class Writer:
    """Collects the lines of a function."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.temporaries = 0

    def write(self, line: str) -> None:
        """Add a line to the function."""
        self.lines.append("  " + line)

    def temporary(self, expression: str) -> str:
        """Give an expression a new name; return the name."""
        self.temporaries += 1
        name = f"%t{self.temporaries}"
        self.write(f"{name} = {expression}")
        return name

    def address(self, base: str, offset: int) -> str:
        """The address `offset` bytes after a pointer."""
        return base if offset == 0 else self.temporary(f"getelementptr i8, ptr {base}, i64 {offset}")


@dataclass
class Module:
    """Collects the text of a module."""

    machine: Machine
    functions: list[str] = field(default_factory=list)
    declarations: dict[str, str] = field(default_factory=dict)  # symbol → its declaration
    helpers: dict[str, str] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)  # symbol of a function that many programs call → its text
    layout: Layout = field(default_factory=lambda: Layout(LEFT + 8))
    custom: dict[str, Rule] = field(default_factory=dict)  # symbol → the rule that it calls
    counter: int = 0
    flags: int = 0  # the place of the address of the rows' flags in the table of the call
    tables: dict[bytes, str] = field(default_factory=dict)  # constant arrays, by their bits
    nests: dict[Any, str] = field(default_factory=dict)  # what loops compute and are given → their function
    memory: Memory | None = None

    def layout_of_memory(self) -> Memory:
        """The memory that grows, with its slots in the workspace."""
        if self.memory is None:
            self.memory = Memory(self.layout.take(8, 8), self.layout.take(8, 8))
        return self.memory

    def table(self, numbers: tuple[float, ...]) -> str:
        """The symbol of an array of constants."""
        cells = array("d", numbers).tobytes()
        if cells not in self.tables:
            name = self.tables[cells] = f"@table{len(self.tables)}"
            text = "".join(["\\", cells.hex("\\")]) if cells else ""  # read much faster than numbers
            self.helpers[name] = f'{name} = private unnamed_addr constant [{len(cells)} x i8] c"{text}", align 64'
        return self.tables[cells]

    def share(self, symbol: str, arguments: str, body: str, *declarations: str) -> str:
        """A function that does not depend on the program, so it is compiled only once; return its symbol."""
        head = f"void {symbol}({arguments}) nounwind"
        self.declarations[symbol] = f"declare {re.sub(' %[a-z]+', '', head)}"
        self.shared[symbol] = "\n".join([*declarations, f"define {head} {{", body, "}"])
        return symbol

    def of_lanes(self, op: str, truth: str, lanes: int) -> str:
        """An expression: whether a truth holds in any lane ("or"), or in all of them ("and")."""
        bits, symbol = kind(lanes, "i1"), f"llvm.vector.reduce.{op}.v{lanes}i1"
        self.declarations[symbol] = f"declare i1 @{symbol}({bits})"
        return f"call i1 @{symbol}({bits} {truth})"

    def rarely(self) -> str:
        """What follows a branch of which the first side is hardly ever taken: registers are not saved for that side."""
        self.helpers["rarely"] = '!1 = !{!"branch_weights", i32 1, i32 1048576}'
        return ", !prof !1"  # !0 is that of copies between arrays and lanes

    def unique(self, stem: str) -> str:
        """A name for a function, used once."""
        self.counter += 1
        return f"{stem}{self.counter}"

    def text(self) -> str:
        """The whole module."""
        return "\n".join([*self.declarations.values(), *self.helpers.values(), *self.functions])

    def custom_symbol(self, rule: Rule, arity: int) -> str:
        """The symbol under which machine code calls a rule written in Python."""
        for name, known in self.custom.items():
            if known is rule and name.endswith(f".{arity}"):
                return name
        name = f"{rule.name}.{len(self.custom)}.{arity}"
        name = "autograd_call." + "".join(c if c.isalnum() or c in "._" else "_" for c in name)
        self.custom[name] = rule
        return name


def kind(lanes: int, element: str = "double") -> str:
    """LLVM's type of a value with this number of lanes."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


def literal(number: float | bool, lanes: int) -> str:
    """A constant, the same in all lanes."""
    if isinstance(number, bool):
        return str(number).lower() if lanes == 1 else f"splat (i1 {str(number).lower()})"
    bits = f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
    return bits if lanes == 1 else f"splat (double {bits})"
