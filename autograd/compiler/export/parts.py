"""What a function in C consists of besides its statements: names, tables, helpers, the workspace and the statuses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, NamedTuple

from autograd.compiler.export.expressions import LANE, Affine, View
from autograd.compiler.export.helpers import helper_for
from autograd.compiler.export.lanes import MOST
from autograd.compiler.export.names import Names, comment
from autograd.ir.block import CALL, STEPS, Array, Guard, Loop

WIDTH = 100  # columns of a line
# What a statement pays for: numbers that lie apart, other calls, and arithmetic.
PAID = re.compile(r"(_apart\(|_put\(|_put_some\()|(?:_at|_all|_select|_some|_where)\(|(_\w+\(|[a-z]\()|/|[-+*]")
COSTS = MOST, 20, 1
COUNTERS = "ijklm"
MOST_NUMBERS = 2**31 - 1  # of an array of known size, whose places are of type int


class Room(NamedTuple):
    """An array in the workspace: its name, and how many numbers it has, or has for each row or step.

    One that is `wide` has numbers for each lane.
    """

    name: str
    shape: tuple[int | str, ...]
    wide: bool = False

    @property
    def size(self) -> int:
        """The numbers, or those for each row of the call or step of a loop."""
        return Array(self.shape).size()

    @property
    def of(self) -> str:
        """`CALL` or `STEPS` if it has numbers for each row of the call or step of a loop, else empty."""
        return CALL if CALL in self.shape else STEPS if STEPS in self.shape else ""


class Parts:
    """Collects the parts while the statements are written.

    Parameters
    ----------
    function : str
        The name of the function in C.
    names : Names
        The names that are taken already.
    rows : str
        What the number of rows of a batch is called.
    """

    def __init__(self, function: str, names: Names, rows: str) -> None:
        self.function, self.names, self.rows = function, names, rows
        self.prefix = function.upper()
        self.lines: list[str] = []
        self.tables: dict[tuple[str, ...], str] = {}
        self.rooms: list[Room] = []
        self.helpers: dict[str, None] = {}
        self.statuses: dict[tuple[str, bool], str] = {}
        self.counters: list[str] = []
        self.carried: set[str] = set()  # arrays of carries: a loop changes them at the end of each step
        self.loops: list[Loop] = []  # loops of which several steps are taken at a time
        self.each: dict[str, tuple[str, int]] = {}  # functions that are called lane by lane: what they call, operands
        self.cost, self.weight = 0.0, 1.0  # what the statements cost, and how often the next one runs
        self.counting, self.shared = "", frozenset[str]()  # the lanes that count, in what is added to these arrays
        self.steps = ""  # what the number of steps for which there is room is called, if it is needed

    def line(self, depth: int, text: str) -> None:
        """Write a line; a long one goes on below. `@` in it stands for the name of the function."""
        code, mark, told = text.partition("/*")
        self.cost += self.weight * _cost(code)
        text = code.replace("@", self.function) + mark + told
        indent = "    " * (depth + 1)
        while len(indent) + len(text) > WIDTH and (at := _break(text, WIDTH - len(indent))) > 0:
            self.lines.append(indent + text[:at])
            indent, text = "    " * (depth + 2), text[at + 1 :]
        self.lines.append(indent + text)

    def saved(self) -> Any:
        """What has been collected so far, for `restore`."""
        return {name: copy(part) for name, part in vars(self).items() if name != "names"}, self.names.saved()

    def restore(self, saved: Any) -> None:
        """Forget what has been collected since."""
        parts, names = saved
        vars(self).update({name: copy(part) for name, part in parts.items()})
        self.names.restore(names)

    @contextmanager
    def repeated(self, times: float) -> Iterator[None]:
        """What is written meanwhile runs so many times."""
        self.weight *= times
        yield
        self.weight /= times

    def uses(self, name: str) -> bool:
        """Whether the statements use a name."""
        word = re.compile(rf"\b{name}\b")
        return any(word.search(line) for line in self.lines)

    # ---- loops -----------------------------------------------------------------------------------------------

    def counter(self, depth: int) -> str:
        """What the counter of a loop inside so many others is called."""
        while len(self.counters) <= depth:
            letter = COUNTERS[len(self.counters) % len(COUNTERS)]
            self.counters.append(self.names.take(letter))
        return self.counters[depth]

    def head(self, counter: str, extent: int | str, backwards: bool = False) -> str:
        """The head of a loop over an extent: a number, one that is known at the call, or a name."""
        kind = "int" if isinstance(extent, int) else "ptrdiff_t"
        last = f"(ptrdiff_t){self.rows}" if extent == CALL else str(extent)
        if backwards:
            first = str(extent - 1) if isinstance(extent, int) else f"{last} - 1"
            return f"{kind} {counter} = {first}; {counter} >= 0; {counter}--"
        return f"{kind} {counter} = 0; {counter} < {last}; {counter}++"

    # ---- memory ----------------------------------------------------------------------------------------------

    def room(self, shape: Sequence[int | str], wide: bool = False) -> View:
        """A new array in the workspace."""
        if any(extent in (CALL, STEPS) for extent in shape[1:]):
            raise NotImplementedError(
                f"an array of {Array(tuple(shape))} has no place in the workspace of {self.function}"
            )
        name = self.names.numbered("a")
        room = Room(name, tuple(shape), wide)
        if room.size > MOST_NUMBERS:
            raise NotImplementedError(
                f"{self.function} needs an array of {Array(room.shape)}, too large for counters of type int"
            )
        self.rooms.append(room)
        if STEPS in shape:
            self.most_steps()
        return View.of(name, tuple(shape))

    def wide_room(self, shape: Sequence[int | str]) -> View:
        """A new array with numbers for each lane."""
        found = self.room((*shape, MOST), wide=True)
        return View(found.base, Affine(0, ((LANE, 1),)), tuple(shape), found.strides[:-1])

    def most_steps(self) -> str:
        """The parameter that says for how many steps there is room."""
        self.steps = self.steps or self.names.take("most_steps")
        return self.steps

    def out_of_steps(self) -> str:
        """The status if a loop takes more steps."""
        return f"{self.prefix}_OUT_OF_STEPS"

    def table(self, numbers: Sequence[str]) -> str:
        """The name of an array of constants, given as C."""
        key = tuple(numbers)
        if key not in self.tables:
            self.tables[key] = self.names.numbered(f"{self.function}_table")
        return self.tables[key]

    # ---- what is called, and what is returned -----------------------------------------------------------------

    def helper(self, op: str, operands: Sequence[str]) -> str:
        """The name of the function for a row of the table that <math.h> lacks."""
        name = helper_for(op, operands)
        self.helpers[name] = None
        return f"{self.function}_{name}"

    def lane_by_lane(self, function: str, arity: int) -> str:
        """The name of the function that calls another one in each lane."""
        name = f"lanes_{function.removeprefix(f'{self.function}_')}"
        self.each[name] = function, arity
        return f"@_{name}"

    def guard(self, guard: Guard) -> str:
        """The status that says that a comparison came out otherwise."""
        key = guard.line, guard.expected
        return self.statuses.setdefault(key, f"{self.prefix}_LEFT_{len(self.statuses) + 1}")

    def status_lines(self) -> list[str]:
        """The statuses, as the members of an enum."""
        lines = []
        for (line, expected), name in self.statuses.items():
            place, _, source = line.partition(": ")
            where = f"{place.rpartition('/')[2]}: {source}" if source else line
            other = "false" if expected else "true"
            lines.append(f"/* {comment(f'a comparison came out {other} at {where}')} */")
            lines.append(f"{name} = {name.rpartition('_')[2]},")
        if self.steps:
            lines += [f"/* A loop takes more steps than {self.steps}. */", f"{self.out_of_steps()} = -1,"]
        return [*lines, f"{self.prefix}_DONE = 0"]


def _cost(code: str) -> float:
    """What a statement costs, in additions."""
    if code.lstrip().startswith("for ("):
        return 2.0
    found = 1.0
    for apart, call in PAID.findall(code):
        found += COSTS[0] if apart else COSTS[1] if call else COSTS[2]
    return found


def _break(text: str, width: int) -> int:
    """Where a line of text may end."""
    limit = min(width, text.index("/*")) if "/*" in text else width
    found = depth = 0
    for at, char in enumerate(text[:limit]):
        depth += (char == "[") - (char == "]")
        if char == " " and not depth and text[:at].strip():
            found = at
    return found
