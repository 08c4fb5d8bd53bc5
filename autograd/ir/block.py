"""The program: a flat list of instructions (a Wengert list), the one form in which the compiler holds a function.

Instruction number i defines value number i. Operands are numbers of earlier values, so a program is in
topological order by construction. The same form holds a function, its adjoint, its tangent, and the rows of a map.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain
from typing import Any, NamedTuple

from autograd.rules import TABLE, Rule


class Instruction(NamedTuple):
    """One operation.

    `op` is a row of the table by name, or one of: ``input`` (data: its number), ``constant`` (data: the float),
    ``custom`` (data: a Rule made by `custom_gradient`), ``stop`` (its operand without a gradient; data tells
    whether eager code has it as a float), a comparison
    (``< <= > >= == !=``), ``and or not`` of comparisons, ``select`` (condition, if true, if false), ``map``
    (data: a `Map`) and ``item`` (operand: a map, data: which of its results).
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
    """Instructions with their outputs, the number of inputs, and the guards under which the program holds."""

    code: list[Instruction] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    inputs: int = 0
    guards: list[Guard] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def uses(self) -> list[int]:
        """How often each value is used, as an operand, an output or a guard."""
        counts = [0] * len(self.code)
        for value in chain(self.outputs, [g.value for g in self.guards], *[i.operands for i in self.code]):
            counts[value] += 1
        return counts

    def lines(self, names: Sequence[str] = (), indent: str = "") -> Iterable[str]:
        """The readable text, a line for each instruction; inputs go by their names, constants by their numbers."""
        guards: dict[int, list[Guard]] = {}
        for guard in self.guards:
            guards.setdefault(guard.value, []).append(guard)
        shown: list[str] = []
        for number, (op, operands, data) in enumerate(self.code):
            said = [shown[o] for o in operands]
            shown.append(f"v{number}")
            if op == "input":
                shown[-1] = names[data] if data < len(names) else f"input[{data}]"
            elif op == "constant":
                shown[-1] = repr(data)
            elif op == "item":
                shown[-1] = f"{said[0]}[{data}]"
            elif op == "map":
                yield f"{indent}v{number} = {data.headline()}"
                columns = [f"row[{k}]" for k in range(data.columns)]
                yield from data.body.lines([*said[: data.shared], *columns], indent + "    ")
            else:
                told = "" if data is None else data if isinstance(data, str) else repr(data)
                words = [op, *(_products(said) if op == "dot" else said), told]
                yield f"{indent}v{number} = {' '.join(filter(None, words))}"
            for guard in guards.get(number, []):
                place, _, source = guard.line.partition(": ")
                yield f"{indent}guard v{number} is {guard.expected}    # {source or place}"
        yield f"{indent}return {', '.join([shown[o] for o in self.outputs])}"


def with_inputs(code: Iterable[Instruction], order: Sequence[int]) -> list[Instruction]:
    """The same code with its inputs numbered anew: `order` has their old numbers."""
    place = {old: new for new, old in enumerate(order)}
    return [i._replace(data=place[i.data]) if i.op == "input" else i for i in code]


def _products(factors: Sequence[str]) -> list[str]:
    """What a `dot` adds up; a factor of 1 is left out."""
    half = len(factors) // 2
    return [" + ".join([x if y == "1.0" else f"{x}*{y}" for x, y in zip(factors[:half], factors[half:])])]


@dataclass(eq=False, frozen=True, slots=True)
class Map:
    """A program for one row, to be run on many.

    The body's first `shared` inputs are the same for all rows; the others differ from row to row. An output is
    added up over the rows if it is `reduced`, else there is one result for each row.

    The rows are operands of the instruction, row after row, or (`rows` is None) arrays given at the call, each of
    which holds so many numbers of a row as `widths` says; `results` says it of the arrays for results.
    The adjoint of a map computes the results of that map, its `primal`, first of all.
    """

    body: Program
    shared: int
    reduced: tuple[bool, ...]
    rows: int | None
    widths: tuple[int, ...] = ()
    results: tuple[int, ...] = ()
    primal: Map | None = None

    @property
    def columns(self) -> int:
        """How many numbers differ from row to row."""
        return self.body.inputs - self.shared

    def positions(self) -> list[int]:
        """Which item of the map is each of the body's outputs (of the first row, if it is not reduced)."""
        sizes = [1 if reduced else self.rows or 0 for reduced in self.reduced]
        return list(accumulate(sizes, initial=0))

    def headline(self) -> str:
        """How the instruction is printed, above its body."""
        kinds = ["sum" if reduced else "each" for reduced in self.reduced]
        counted = [f"{kinds.count(kind)} {kind}" for kind in ("sum", "each") if kind in kinds]
        rows = f"{self.rows} rows" if self.rows is not None else "the rows of the call"
        return f"map over {rows}, results: {', '.join(counted)}"


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip  # a table
LOGIC: dict[str, Callable[..., bool]] = {
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
    "not": lambda a: not a,
}
PREDICATES = frozenset({*COMPARISONS, *LOGIC})


def evaluate_one(instruction: Instruction, operands: Sequence[Any]) -> Any:
    """The result of one instruction on numbers, as the eager engine computes it."""
    op, _, data = instruction
    if op == "constant":
        return data
    if op == "select":
        return operands[1] if operands[0] else operands[2]
    if op == "stop":
        return operands[0]
    if op in COMPARISONS:
        return COMPARISONS[op](*operands)
    if op in LOGIC:
        return LOGIC[op](*operands)
    if op == "item":
        return operands[0][data]
    if op == "map":
        return _evaluate_map(data, operands)
    rule: Rule = data if op == "custom" else TABLE[op]
    return rule.evaluate(operands)


def _evaluate_map(mapped: Map, operands: Sequence[float]) -> list[float]:
    if mapped.rows is None:
        raise ValueError("a map over arrays has rows only at the call")
    shared, width = operands[: mapped.shared], mapped.columns
    results = []
    for row in range(mapped.rows):
        start = mapped.shared + row * width
        results.append(evaluate(mapped.body, [*shared, *operands[start : start + width]])[0])
    items: list[float] = []
    for output, reduced in enumerate(mapped.reduced):
        column = [result[output] for result in results]
        items += [TABLE["sum"].evaluate(column)] if reduced else column
    return items


def evaluate(program: Program, inputs: Sequence[float], row: Sequence[float] = ()) -> tuple[list[Any], int]:
    """Run a program on numbers, instruction by instruction: its outputs, and the first guard that fails (or -1).

    A map over the arrays of a call goes over one `row`; if it is an output, that is the list of its results.
    """
    values: list[Any] = []
    for instruction in program.code:
        op, operands, data = instruction
        numbers = [values[operand] for operand in operands]
        if op == "input":
            values.append(inputs[data])
        elif op == "map" and data.rows is None:
            values.append(_evaluate_map(replace(data, rows=1), [*numbers, *row]))
        else:
            values.append(evaluate_one(instruction, numbers))
    failed = [i for i, guard in enumerate(program.guards) if values[guard.value] != guard.expected]
    return [values[o] for o in program.outputs], failed[0] if failed else -1
