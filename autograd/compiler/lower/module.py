"""What the writers of LLVM's language share: the machine, the module in the making, and its workspace."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

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
