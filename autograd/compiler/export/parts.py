"""What a function in C has besides its statements: names, tables, helpers, the workspace and the statuses."""

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
# What costs time in a statement: numbers that lie apart, calls, and arithmetic; and what each costs, in additions.
PAID = re.compile(r"(_apart\(|_put\(|_put_some\()|(?:_at|_all|_select|_some|_where)\(|(_\w+\(|[a-z]\()|/|[-+*]")
COSTS = MOST, 20, 1
COUNTERS = "ijklm"
MOST_NUMBERS = 2**31 - 1  # of an array of known size, whose places are of type int


class WorkArray(NamedTuple):
    """An array in the workspace; a `wide` one has numbers for each lane."""

    name: str
    shape: tuple[int | str, ...]
    wide: bool = False

    @property
    def size(self) -> int:
        """How many numbers it has, or has for each row of the call or step of a loop."""
        return Array(self.shape).size()

    @property
    def grows_with(self) -> str:
        """`CALL` or `STEPS` if it has numbers for each row of the call or each step of a loop; else empty."""
        return CALL if CALL in self.shape else STEPS if STEPS in self.shape else ""


class Parts:
    """Collects these parts while the statements are written.

    Parameters
    ----------
    function : str
        The name of the function in C.
    names : Names
        The names that are taken already.
    rows : str
        The name of the number of rows of a batch.

    Attributes
    ----------
    lines : list of str
        The statements so far.
    tables : dict
        Numbers of a constant array → its name.
    work_arrays : list of WorkArray
        The arrays in the workspace.
    helpers : dict
        The helpers that are called, as keys.
    statuses : dict
        (line of a comparison, its outcome here) → the status that it came out otherwise.
    counters : list of str
        The counter of a loop for each depth.
    carried : set of str
        The arrays of carries: a loop changes them at the end of each step.
    loops : list of Loop
        The loops of which several steps are taken at a time.
    lane_calls : dict
        Function that calls another one lane by lane → that function, and how many operands it takes.
    cost, weight : float
        What the statements cost, and how often the next one runs.
    counting, shared : str, frozenset of str
        The mask of the lanes that count when something is added to these arrays.
    steps : str
        The name of the parameter that says for how many steps there is room; empty if nothing needs it.
    """

    def __init__(self, function: str, names: Names, rows: str) -> None:
        self.function, self.names, self.rows = function, names, rows
        self.prefix = function.upper()
        self.lines: list[str] = []
        self.tables: dict[tuple[str, ...], str] = {}
        self.work_arrays: list[WorkArray] = []
        self.helpers: dict[str, None] = {}
        self.statuses: dict[tuple[str, bool], str] = {}
        self.counters: list[str] = []
        self.carried: set[str] = set()
        self.loops: list[Loop] = []
        self.lane_calls: dict[str, tuple[str, int]] = {}
        self.cost, self.weight = 0.0, 1.0
        self.counting, self.shared = "", frozenset[str]()
        self.steps = ""

    def line(self, depth: int, text: str) -> None:
        """Write a line; a long one is broken. `@` in it stands for the name of the function."""
        code, mark, note = text.partition("/*")
        self.cost += self.weight * _cost(code)
        text = code.replace("@", self.function) + mark + note
        indent = "    " * (depth + 1)
        while len(indent) + len(text) > WIDTH and (at := _break(text, WIDTH - len(indent))) > 0:
            self.lines.append(indent + text[:at])
            indent, text = "    " * (depth + 2), text[at + 1 :]
        self.lines.append(indent + text)

    def saved(self) -> Any:
        """A copy of what has been collected so far, for `restore`."""
        return {name: copy(part) for name, part in vars(self).items() if name != "names"}, self.names.saved()

    def restore(self, saved: Any) -> None:
        """Forget what has been collected since."""
        parts, names = saved
        vars(self).update({name: copy(part) for name, part in parts.items()})
        self.names.restore(names)

    @contextmanager
    def repeated(self, times: float) -> Iterator[None]:
        """The statements that are written in this `with` block run this number of times."""
        self.weight *= times
        yield
        self.weight /= times

    def uses(self, name: str, since: int = 0) -> bool:
        """Whether the statements use a name, from this line on."""
        word = re.compile(rf"\b{name}\b")
        return any(word.search(line.partition("/*")[0]) for line in self.lines[since:])

    def define(self, depth: int, kind: str, name: str, text: str) -> tuple[str, int, int]:
        """Write the definition of a name, for `drop_unused`."""
        first = len(self.lines)
        self.line(depth, f"const {kind} {name} = {text};")
        return name, first, len(self.lines)

    def drop_unused(self, name: str, first: int, end: int) -> None:
        """Take back a definition whose name no later statement uses."""
        if not self.uses(name, end):
            del self.lines[first:end]

    # ---- loops -----------------------------------------------------------------------------------------------

    def counter(self, depth: int) -> str:
        """The name of the counter of a loop that is inside `depth` others."""
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

    def work_array(self, shape: Sequence[int | str], wide: bool = False) -> View:
        """A new array in the workspace."""
        if any(extent in (CALL, STEPS) for extent in shape[1:]):
            raise NotImplementedError(
                f"an array of {Array(tuple(shape))} has no place in the workspace of {self.function}"
            )
        name = self.names.numbered("a")
        made = WorkArray(name, tuple(shape), wide)
        if made.size > MOST_NUMBERS:
            raise NotImplementedError(
                f"{self.function} needs an array of {Array(made.shape)}, too large for counters of type int"
            )
        self.work_arrays.append(made)
        if STEPS in shape:
            self.most_steps()
        return View.of(name, tuple(shape))

    def wide_work_array(self, shape: Sequence[int | str]) -> View:
        """A new array in the workspace with numbers for each lane."""
        found = self.work_array((*shape, MOST), wide=True)
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
        """The name of the function in C for a primitive that <math.h> lacks."""
        name = helper_for(op, operands)
        self.helpers[name] = None
        return f"{self.function}_{name}"

    def lane_by_lane(self, function: str, arity: int) -> str:
        """The name of a function that calls another one in each lane."""
        name = f"lanes_{function.removeprefix(f'{self.function}_')}"
        self.lane_calls[name] = function, arity
        return f"@_{name}"

    def guard(self, guard: Guard) -> str:
        """The status if a guard fails."""
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
    """The cost of a statement, in additions."""
    if code.lstrip().startswith("for ("):
        return 2.0
    found = 1.0
    for apart, call in PAID.findall(code):
        found += COSTS[0] if apart else COSTS[1] if call else COSTS[2]
    return found


def _break(text: str, width: int) -> int:
    """Where to break a line; 0 if there is no such place."""
    limit = min(width, text.index("/*")) if "/*" in text else width
    found = depth = 0
    for at, char in enumerate(text[:limit]):
        depth += (char == "[") - (char == "]")
        if char == " " and not depth and text[:at].strip():
            found = at
    return found
