"""A program as a function in C: its parameters, its header and its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from autograd.compiler.export import lanes
from autograd.compiler.export.blocks import Block
from autograd.compiler.export.expressions import UNARY, Affine, Text, View, element, literal
from autograd.compiler.export.helpers import INCLUDES, TEXTS, with_needs
from autograd.compiler.export.names import Names, comment, function_name
from autograd.compiler.export.parts import WIDTH, Parts, WorkArray
from autograd.ir.block import CALL, STEPS, Array, Loop, Program, has_rows, types_of
from autograd.ir.memory import root_of

ARITHMETIC = """\
/* No product and sum may become one operation; gcc needs -ffp-contract=off for it (or -std=c99). */
#if !defined(__GNUC__) || defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(_M_FP_FAST) || \\
    (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ > 0)
#error "Compile this without -ffast-math and -Ofast (/fp:fast), which compute other numbers."
#endif
"""
FEW = 16  # Values from outside; more than this become one array, fewer have names


@dataclass(frozen=True)
class Parameter:
    """A parameter of the function in C: a number, or a pointer to numbers that lie row after row."""

    name: str
    shape: tuple[int | str, ...] | None  # None: a number
    python_name: str = ""
    is_output: bool = False

    def size(self) -> int:
        """How many numbers it has, or has in each row."""
        return 1 if self.shape is None else Array(self.shape).size()

    @property
    def by_row(self) -> bool:
        """Whether it has numbers for each row of the call."""
        return self.shape is not None and CALL in self.shape

    def declared(self, restrict: bool) -> str:
        """The declaration."""
        const = "" if self.is_output else "const "
        limit = " restrict " if restrict else ""
        if self.shape is None and not self.is_output:
            return f"double {self.name}"
        if self.shape is None or self.by_row:
            return f"{const}double *{limit.lstrip()}{self.name}"
        return f"{const}double {self.name}[{limit.lstrip()}{max(self.size(), 1)}]"


@dataclass(frozen=True)
class Result:
    """A part of the result: its name, and its shape or None for a number."""

    name: str
    shape: tuple[int | str, ...] | None


@dataclass
class Subject:
    """What is to be written.

    Attributes
    ----------
    name : str
        The name of the function.
    program : Program
        Ready to be written.
    names : sequence of str
        The names of the inputs that are arguments, in the order of the program.
    count : int or None
        The input that is the number of rows, in a batch.
    closed : sequence of (str, float)
        The labels and numbers of Values from outside, which are the last inputs that are numbers.
    results : sequence of Result
        The parts of the result, which the outputs of the program fill in order.
    as_parameters : bool
        Whether Values from outside are parameters; else their numbers are constants.
    summary : str
        What the function computes, for the comment.
    """

    name: str
    program: Program
    names: Sequence[str]
    closed: Sequence[tuple[str, float]]
    results: Sequence[Result]
    count: int | None = None
    as_parameters: bool = False
    summary: str = ""


@dataclass
class Source:
    """A function in C.

    Attributes
    ----------
    parameters : list of Parameter
        Those for arguments, Values from outside and results.
    steps : str
        The name of the parameter that says for how many steps of loops there is room, or empty.
    rows : str
        The name of the number of rows of a batch, or empty.
    work : tuple of int
        How many numbers the workspace has: a fixed number, more for each row, and more for each step.
    places : list of int
        For each parameter that is an input, the input of the program; -1 for Values from outside.
    loops : list of Loop
        The loops of which several steps are taken at a time.
    """

    name: str
    parameters: list[Parameter]
    steps: str
    rows: str
    work: tuple[int, int, int]
    declarations: str
    definition: str
    includes: list[str]
    summary: str
    places: list[int] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)

    def text(self) -> str:
        """The whole as one file."""
        return "\n".join([self.summary, *self.includes, "", self.declarations, self.definition])


def write_source(subject: Subject) -> Source:
    """Write a program as a function in C."""
    return _Writer(subject).source()


class _Writer:
    """Writes a function: its statements, and what is around them."""

    def __init__(self, subject: Subject) -> None:
        self.subject, self.program = subject, subject.program
        self.types = types_of(self.program)
        self.name = function_name(subject.name)
        names = Names()
        helpers = [*TEXTS, *lanes.TEXTS, *lanes.TYPES]
        names.taken.update([self.name, "work", *[f"{self.name}_{helper}" for helper in helpers]])
        ends = ["WORK", "DONE", "OUT_OF_STEPS", *[f"LEFT_{k}" for k in range(1, 100)]]
        names.taken.update([f"{self.name.upper()}_{end}" for end in ends])
        self.arguments = self._arguments(names)
        self.closed = self._closed(names)
        self.outputs = [Parameter(names.take(r.name), r.shape, r.name, True) for r in subject.results]
        self.rows = names.take("rows") if self._is_batch() else ""
        self.parts = Parts(self.name, names, self.rows)

    def _is_batch(self) -> bool:
        kinds = [*self.program.inputs, *[self.types[o] for o in self.program.outputs]]
        return self.subject.count is not None or any(has_rows(k) for k in kinds)

    # ---- parameters --------------------------------------------------------------------------------------------

    def _arguments(self, names: Names) -> dict[int, Parameter]:
        """Input of the program → parameter, for the arguments."""
        inputs, found = self.program.inputs, {}
        closed = len(self.subject.closed)
        numbers = [k for k, kind in enumerate(inputs) if not has_rows(kind)]
        own = numbers[: len(numbers) - closed] if closed else numbers
        order = [k for k in range(len(inputs)) if has_rows(inputs[k]) or k in own]
        for k in order:
            if k == self.subject.count:
                continue
            name = self.subject.names[k] if k < len(self.subject.names) else f"x{k}"
            kind = inputs[k]
            found[k] = Parameter(names.take(name), kind.shape if isinstance(kind, Array) else None, name)
        self.closed_inputs = numbers[len(numbers) - closed :] if closed else []
        return found

    def _closed(self, names: Names) -> list[Parameter]:
        """The parameters or constants for Values from outside: a few have names, more are one array."""
        labels = [label for label, _ in self.subject.closed]
        if not labels:
            return []
        if len(labels) > FEW:
            return [Parameter(names.take("closed"), (len(labels),), "Values from outside")]
        return [Parameter(names.take(label or f"closed_{k}"), None, label) for k, label in enumerate(labels)]

    def _is_one_array(self) -> bool:
        """Whether all Values from outside are one array."""
        return len(self.closed) == 1 and self.closed[0].shape is not None

    def _inputs(self) -> list[Text | View]:
        """Each input of the program as C."""
        found: list[Any] = [None] * len(self.program.inputs)
        for k, parameter in self.arguments.items():
            kind = self.program.inputs[k]
            found[k] = View.of(parameter.name, kind.shape) if isinstance(kind, Array) else Text(parameter.name)
        if self.subject.count is not None:
            found[self.subject.count] = Text(f"(double){self.rows}", UNARY)
        for at, k in enumerate(self.closed_inputs):
            found[k] = element(_place(self.closed[0], at)) if self._is_one_array() else Text(self.closed[at].name)
        return found

    # ---- outputs -----------------------------------------------------------------------------------------------

    def _places(self) -> list[list[tuple[Parameter, int, int]]]:
        """For each output of the program the parts of parameters that it fills: parameter, first number, how many."""
        given = [p for p in self.outputs if p.by_row]
        cells = [(p, k) for p in self.outputs if p not in given for k in range(p.size())]
        found, at, rows = [], 0, iter(given)
        for o in self.program.outputs:
            kind = self.types[o]
            if has_rows(kind):
                found.append([(next(rows), 0, -1)])
                continue
            size = kind.size() if isinstance(kind, Array) else 1
            pieces: list[tuple[Parameter, int, int]] = []
            for parameter, k in cells[at : at + size]:
                if pieces and pieces[-1][0] is parameter:
                    pieces[-1] = (parameter, pieces[-1][1], pieces[-1][2] + 1)
                else:
                    pieces.append((parameter, k, 1))
            found.append(pieces)
            at += size
        assert at == len(cells), "the results are not those of the program"
        return found

    def _targets(self, places: Sequence[Sequence[tuple[Parameter, int, int]]]) -> dict[int, View]:
        """Arrays of the program that are made in the parameter that they become."""
        found: dict[int, View] = {}
        for o, pieces in zip(self.program.outputs, places):
            kind, root = self.types[o], root_of(self.program, o)
            if isinstance(kind, Array) and len(pieces) == 1 and self.program.code[root].op in ("zeros", "pack", "item"):
                parameter, start, _ = pieces[0]
                found.setdefault(root, View.of(parameter.name, kind.shape, start))
        return found

    def _store(self, block: Block, found: View, pieces: Sequence[tuple[Parameter, int, int]]) -> None:
        """Store an array in the parameters that it fills, unless it was made there."""
        if len(pieces) == 1 and pieces[0][0].shape is not None:
            parameter, start, _ = pieces[0]
            target_view = View.of(parameter.name, found.shape, start)
            if target_view != found:
                block.together(target_view, "=", found)
            return
        places = [_place(p, k) for p, start, count in pieces for k in range(start, start + count)]
        block.assign(places, [element(number) for number in found.numbers()])

    # ---- the text ----------------------------------------------------------------------------------------------

    def source(self) -> Source:
        """The whole function."""
        places = self._places()
        block = Block(self.parts, self.program, self._inputs(), self._targets(places), 0)
        outputs = block.run()
        cells: list[View] = []
        numbers: list[Text] = []
        for found, pieces in zip(outputs, places):
            if isinstance(found, Text):
                parameter, start, _ = pieces[0]
                cells.append(_place(parameter, start))
                numbers.append(found)
            elif pieces:
                self._store(block, found, pieces)
        block.assign(cells, numbers)
        block.line(f"return {self.parts.prefix}_DONE;")
        closed = self.closed if self.subject.as_parameters else []
        arrays, work = self._workspace([array for array in self.parts.work_arrays if self.parts.uses(array.name)])
        parameters = [*self.arguments.values(), *closed, *self.outputs]
        lists = [self._list(parameters, any(work), restrict) for restrict in (False, True)]
        includes = ["#include <math.h>", "#include <stddef.h>"]
        helpers = with_needs(self.parts.helpers)
        includes += [f"#include {name}" for helper in helpers for name in INCLUDES.get(helper, ())]
        return Source(
            self.name,
            parameters,
            self.parts.steps,
            self.rows,
            work,
            self._declarations(lists[0], work),
            self._definition(lists[1], arrays, helpers, bool(work[1])),
            includes,
            self._comment(parameters, work),
            [*self.arguments, *[-1 for _ in closed]],
            self.parts.loops,
        )

    def _list(self, parameters: Sequence[Parameter], has_work: bool, restrict: bool) -> list[str]:
        """The parameters in their order, as they are declared."""
        found = [f"size_t {self.rows}"] if self.rows else []
        found += [p.declared(restrict) for p in parameters]
        found += [f"size_t {self.parts.steps}"] if self.parts.steps else []
        return found + ([f"double *{'restrict ' if restrict else ''}work"] if has_work else []) or ["void"]

    def _macro(self, work: tuple[int, int, int]) -> str:
        """The macro for the size of the workspace."""
        fixed, rows, steps = work
        names = [*(["rows"] if rows else []), *(["steps"] if steps else [])]
        parts = [str(fixed)] if fixed or not names else []
        parts += [
            f"{f'{count} * ' * (count > 1)}(size_t)({name})"
            for name, count in (("rows", rows), ("steps", steps))
            if count
        ]
        of = f"({', '.join(names)})" if names else ""
        return f"#define {self.parts.prefix}_WORK{of} {parts[0] if not names else '(' + ' + '.join(parts) + ')'}"

    def _declarations(self, parameters: Sequence[str], work: tuple[int, int, int]) -> str:
        """The statuses, the size of the workspace, and the prototype."""
        members = [f"    {line}" for line in self.parts.status_lines()]
        about = "/* The numbers of type double that `work` must have room for. */"
        macro = [about, self._macro(work), ""] if any(work) else []
        return "\n".join(["enum {", *members, "};", "", *macro, f"{_signature(self.name, parameters)};", ""])

    def _definition(
        self, parameters: Sequence[str], arrays: Sequence[str], helpers: Sequence[str], counts_rows: bool
    ) -> str:
        """The helpers, the constants and the function; `arrays` declares those in its workspace."""
        lines = [ARITHMETIC]
        lines += [TEXTS[helper].replace("@", self.name) for helper in helpers]
        lines += self._lanes()
        for key, name in self.parts.tables.items():
            if self.parts.uses(name):
                lines += [*table(name, key), ""]
        body = list(self.parts.lines)
        lines += [_signature(self.name, parameters), "{"]
        lines += self._constants()
        lines += arrays
        lines += [f"    (void){p.name};" for p in self.arguments.values() if not self.parts.uses(p.name)]
        if self.subject.as_parameters:
            lines += [f"    (void){p.name};" for p in self.closed if not self.parts.uses(p.name)]
        if self.rows and not self.parts.uses(self.rows) and not counts_rows:
            lines.append(f"    (void){self.rows};")
        return "\n".join([*lines, *body, "}", ""])

    def _lanes(self) -> list[str]:
        """What code for lanes needs: the types and the helpers."""
        calls = [lanes.lane_by_lane(name, *call) for name, call in self.parts.lane_calls.items()]
        helpers = lanes.helpers_in("\n".join(self.parts.lines), self.name)
        if not helpers:
            return []
        return [text.replace("@", self.name) for text in (lanes.VECTORS, *helpers, *calls)]

    def _constants(self) -> list[str]:
        """The numbers of Values from outside, unless these are parameters."""
        if self.subject.as_parameters:
            return []
        numbers = [number for _, number in self.subject.closed]
        if self._is_one_array():
            if not self.parts.uses(self.closed[0].name):
                return []
            return [f"    {line}" for line in table(self.closed[0].name, [literal(x) for x in numbers])]
        pairs = zip(self.closed, numbers)
        return [f"    const double {p.name} = {literal(x)};" for p, x in pairs if self.parts.uses(p.name)]

    def _workspace(self, used: Sequence[WorkArray]) -> tuple[list[str], tuple[int, int, int]]:
        """The declarations of the arrays in the workspace, those of known size first, and its size as `Source.work`."""
        lines, counts = [], {"": 0, CALL: 0, STEPS: 0}
        names = {CALL: self.rows, STEPS: self.parts.steps}
        is_wide = any(array.wide for array in used)
        if is_wide:
            lines += [
                "    /* Vectors do not cross the lines of the cache. */",
                f"    work += ({lanes.MOST} - (size_t)work/sizeof(double) % {lanes.MOST}) % {lanes.MOST};",
            ]
        for array in sorted(used, key=lambda array: (array.grows_with != "", not array.wide)):
            before = [str(counts[""])] if counts[""] else []
            before += [f"{counts[of]} * {name}" for of, name in names.items() if counts[of]]
            shape = _extents(array.shape, names.get(array.grows_with, ""))
            lines.append(f"    double *restrict {array.name} = {' + '.join(['work', *before])}; /* {shape} */")
            counts[array.grows_with] += array.size
        return lines, (counts[""] + (lanes.MOST - 1) * is_wide, counts[CALL], counts[STEPS])

    def _comment(self, parameters: Sequence[Parameter], work: tuple[int, int, int]) -> str:
        """The comment for the users of the function."""
        lines = [comment(self.subject.summary), ""]
        for p in parameters:
            shape = "a number" if p.shape is None else f"{_extents(p.shape, self.rows)} numbers"
            other = f" ({comment(p.python_name)})" if p.python_name not in ("", p.name) else ""
            lines.append(f"{p.name}: {'output, ' if p.is_output else ''}{shape}{other}")
        if self.parts.steps:
            lines.append(f"{self.parts.steps}: for how many steps of a loop without a known end there is room")
        if any(work):
            lines.append(f"work: room for {self.parts.prefix}_WORK numbers; what is in it does not matter")
        if self.subject.closed and not self.subject.as_parameters:
            count = len(self.subject.closed)
            lines.append(
                f"Constants: {count} number{'s' * (count > 1)} that the Python function took from Values outside"
            )
        lines += [
            "",
            "Arrays lie row after row; outputs must not overlap with anything. Returns 0, or another status, after",
        ]
        lines += ["which the outputs are not to be used. The function is reentrant: it allocates and keeps nothing."]
        return "\n".join(["/*", *[f" * {line}".rstrip() for line in lines], " */"])


def _place(parameter: Parameter, k: int) -> View:
    """One number of a parameter."""
    return View(f"*{parameter.name}" if parameter.shape is None else parameter.name, Affine(k), (), ())


def _extents(shape: Sequence[int | str], named: str) -> str:
    """A shape in words."""
    return " by ".join([named if isinstance(extent, str) else str(extent) for extent in shape])


def _signature(name: str, parameters: Sequence[str]) -> str:
    """The head of the function, over several lines if it is long."""
    line = f"int {name}({', '.join(parameters)})"
    if len(line) <= WIDTH:
        return line
    return f"int {name}(\n    " + ",\n    ".join(parameters) + ")"


def table(name: str, numbers: Sequence[str]) -> list[str]:
    """An array of constants."""
    lines, row = [f"static const double {name}[{len(numbers)}] = {{"], ""
    for number in numbers:
        if row and len(row) + len(number) + 2 > WIDTH - 8:
            lines.append(f"    {row.rstrip()}")
            row = ""
        row += f"{number}, "
    return [*lines, f"    {row.rstrip()}", "};"]
