"""Statements in C for the instructions of a program, without its loops.

A number that is used once is written where it is used; one that is used more often gets a name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any, ClassVar

from autograd.compiler.export.expressions import (
    FUNCTIONS,
    IN_HELPERS,
    LANE,
    SUM,
    UNARY,
    Affine,
    Text,
    View,
    call,
    constant,
    element,
    is_literal,
    literal,
    operation,
    without_minus,
)
from autograd.compiler.export.lanes import MOST, WRITTEN_FOR_LANES, NotInLanesError, in_all_lanes, operation_in_lanes
from autograd.compiler.export.names import comment
from autograd.compiler.export.parts import Parts
from autograd.compiler.export.runs import Pattern, array_of, segments
from autograd.ir.block import CALL, STEPS, TRUTH, Array, Guard, Program, types_of
from autograd.ir.memory import arrays_written, root_of
from autograd.rules import TABLE

LONGEST = 80  # characters of an expression that is written where it is used
SMALL = 16  # numbers; a larger array is in the workspace, not a variable
MOST_LINES = 64  # of code for lanes; after that many, numbers in memory are loaded again


class Statements:
    """Statements for a program or the body of a loop.

    Parameters
    ----------
    parts : Parts
        What the function has besides its statements.
    program : Program
        What is written.
    inputs : sequence of Text and View
        The inputs of the program as C.
    targets : mapping
        Instruction → where the array that it makes is stored, for some of them.
    depth : int
        How many loops are around it.
    wide : bool
        Whether each lane is a step of a loop.
    """

    def __init__(
        self,
        parts: Parts,
        program: Program,
        inputs: Sequence[Text | View],
        targets: Mapping[int, View],
        depth: int,
        wide: bool = False,
    ) -> None:
        self.parts, self.program, self.inputs, self.targets, self.depth = parts, program, inputs, targets, depth
        self.wide = wide
        self.kind = "@_lanes" if wide else "double"
        self.here = Affine(0, ((LANE, 1),)) if wide else Affine()  # where arrays begin that are made here
        self.types = types_of(program)
        self.uses = program.uses()
        self.values: list[Any] = []
        self.whole: dict[int, Affine] = {}
        self.last_change = _last_changes(program)
        self.item_of: dict[tuple[int, int], int] = {}
        self.reads = Counter([i.operands[0] for i in program.code if i.op == "read"])  # array → how many reads of it
        self.guards: dict[int, list[Guard]] = {}
        for guard in program.guards:
            self.guards.setdefault(guard.value, []).append(guard)
        for at, (op, operands, data) in enumerate(program.code):
            if op == "item":
                self.item_of.setdefault((operands[0], data), at)

    def run(self) -> list[Any]:
        """Write all instructions; return the outputs as C."""
        written = len(self.parts.lines)
        for at, (op, operands, data) in enumerate(self.program.code):
            if self.wide and len(self.parts.lines) - written >= MOST_LINES:
                self.line("@_in_memory();")
                written = len(self.parts.lines)
            special = self.SPECIAL.get(op)
            value = (
                special(self, at, operands, data) if special is not None else self._operation(at, op, operands, data)
            )
            self.values.append(value)
            if isinstance(value, Text) and self.uses[at] and (self.uses[at] > 1 or len(value.text) > LONGEST):
                self.name(at)
            for guard in self.guards.get(at, ()):
                self._guard(guard)
        return [self.values[o] for o in self.program.outputs]

    def line(self, text: str) -> None:
        """Write a line."""
        self.parts.line(self.depth, text)

    # ---- numbers ---------------------------------------------------------------------------------------------------

    def name(self, at: int) -> Text:
        """A number that may be written more than once: it gets a name, unless it is cheap or made of counters.

        Many numbers in memory get no names, because statements about them may become a loop.
        """
        text: Text = self.values[at]
        if self.program.code[at].op == "read" and self.reads[self.program.code[at].operands[0]] > SMALL:
            return text
        if not text.is_cheap() and text.whole is None:
            truth = self.types[at] == TRUTH
            name = self.parts.names.numbered("b" if truth else "t")
            kind = ("@_mask" if text.wide else "int") if truth else kind_of(text)
            self.line(f"const {kind} {name} = {text.text};")
            self.values[at] = text = Text(name, whole=text.whole, wide=text.wide)
        return text

    def number(self, o: int) -> Text:
        """An operand that is a number or a truth."""
        text: Text = self.values[o]
        return text

    def index(self, o: int) -> Affine:
        """An operand as a whole number."""
        text = self.number(o)
        if text.whole is not None:
            return text.whole
        if text.wide:
            raise NotInLanesError
        if o not in self.whole:
            name = self.parts.names.numbered("k")
            self.line(f"const ptrdiff_t {name} = (ptrdiff_t){text.above(UNARY)};")
            self.whole[o] = Affine(0, ((name, 1),))
        return self.whole[o]

    def _operation(self, at: int, op: str, operands: tuple[int, ...], data: Any) -> Any:
        given = [self.values[o] for o in operands]
        if op == "pos" and isinstance(given[0], View):
            return given[0]
        if op == "custom":
            op = data.name if data in TABLE.values() else op  # a primitive for which machine code calls Python
        if op == "custom":
            raise NotImplementedError(
                f"{self.parts.function} calls {data.name}, a primitive that custom_gradient made of Python code, which "
                "C cannot call: write it with the functions of autograd.math"
            )
        if any(x.wide for x in given) or (self.wide and op in WRITTEN_FOR_LANES):
            return self._operation_in_lanes(op, given)
        made = operation(op, given)
        if made is not None:
            return made
        if op not in IN_HELPERS:
            raise NotImplementedError(f"there is no C for the operation {op!r} of {self.parts.function}")
        return self._helped(op, given)

    def _operation_in_lanes(self, op: str, given: Sequence[Text]) -> Text:
        made = operation_in_lanes(op, given)
        if made is not None:
            return made
        if op == "fsum":
            raise NotInLanesError
        function = self.parts.helper(op, [x.text for x in given]) if op in IN_HELPERS else FUNCTIONS[op]
        found = call(self.parts.lane_by_lane(function, len(given)), [in_all_lanes(x) for x in given])
        return found._replace(wide=True)

    def _helped(self, op: str, given: Sequence[Text]) -> Text:
        helper = self.parts.helper(op, [x.text for x in given])
        if op != "fsum":
            return call(helper, given)
        numbers = ", ".join([x.text for x in given])
        reads = frozenset().union(*[x.reads for x in given])
        return Text(f"{helper}((const double[]){{{numbers}}}, {len(given)})", reads=reads)

    def _guard(self, guard: Guard) -> None:
        """Return a status if the guard fails."""
        truth = self.number(guard.value)
        if truth.wide:
            test = f"{truth.above(UNARY - 1)} == 0" if guard.expected else truth.text
            self._leave(guard, f"@_any(@_where({test}))")
        else:
            self._leave(guard, f"!{truth.above(UNARY)}" if guard.expected else truth.text)

    def _leave(self, guard: Guard, test: str) -> None:
        _, _, source = guard.line.partition(": ")
        self.line(f"if ({test})")
        self.line(f"    return {self.parts.guard(guard)};" + (f" /* {comment(source)} */" if source else ""))

    def _input(self, at: int, operands: tuple[int, ...], data: Any) -> Text | View:
        found: Text | View = self.inputs[data]
        return found

    def _constant(self, at: int, operands: tuple[int, ...], data: Any) -> Text:
        return constant(data)

    # ---- arrays ----------------------------------------------------------------------------------------------------

    def window(self, array: int, window: Any, indices: Sequence[int]) -> View:
        """A part of an array."""
        view: View = self.values[array]
        start = view.start.moved(view.distance(window.offset))
        for o, step in zip(indices, window.steps):
            start = start.plus(self.index(o), view.distance(step))
        return View(view.base, start, window.shape, tuple([view.distance(stride) for stride in window.strides]))

    def loop_over(self, shape: Sequence[int | str], statement: Callable[[Sequence[Affine]], str]) -> None:
        """Write a loop over all indices of an array, with one statement."""
        names = [self.parts.counter(self.depth + k) for k in range(len(shape))]
        for k, (name, extent) in enumerate(zip(names, shape)):
            self.parts.line(self.depth + k, f"for ({self.parts.head(name, extent)})")
        with self.parts.repeated(prod([extent if isinstance(extent, int) else 1 for extent in shape])):
            self.parts.line(self.depth + len(shape), statement([Affine(0, ((name, 1),)) for name in names]))

    def together(self, target: View, sign: str, source: View | str) -> None:
        """Assign one array to another, or add it to the other."""
        views = [view for view in (target, source) if isinstance(view, View)]
        if CALL not in target.shape and STEPS not in target.shape:
            if not prod([int(extent) for extent in target.shape]):
                return
            if all(view.dense() for view in views):
                flat = (prod([int(extent) for extent in target.shape]),)
                target = target._replace(shape=flat, strides=(1,))
                source = source._replace(shape=flat, strides=(1,)) if isinstance(source, View) else source

        def statement(indices: Sequence[Affine]) -> str:
            far, near = target, source
            for index in indices:
                far, near = far.row(index), near.row(index) if isinstance(near, View) else near
            number = element(near) if isinstance(near, View) else Text(near)
            return self.added_to(far, number) if sign == "+=" else stored(far, sign, number)

        self.loop_over(target.shape, statement)

    def assign(self, places: Sequence[View], numbers: Sequence[Text]) -> None:
        """Assign numbers to places; those that follow a pattern are assigned in a loop."""
        self._statements(list(zip(places, numbers, strict=True)), _set)

    def _statements(self, pairs: Sequence[tuple[View, Text]], statement: Callable[[View, Text], str]) -> None:
        """Write a statement for each place and number; those that follow a pattern become a loop."""
        rows = [[element(place), *x.parts()[1]] for place, x in pairs]
        forms = [x.parts()[0] for _, x in pairs]
        for at, count, patterns in segments(rows, forms):
            place, number = pairs[at]
            if count == 1:
                self.line(statement(place, number))
            else:
                self.loop_over((count,), partial(_patterned, statement, patterns, forms[at], number))

    def _variable(self, letter: str, first: Text) -> View:
        name = self.parts.names.numbered(letter)
        self.line(f"{self.kind} {name} = {(in_all_lanes(first) if self.wide else first).text};")
        return View(f"={name}", self.here, (), ())

    def work_array(self, shape: Sequence[int | str]) -> View:
        """A new array in the workspace."""
        return self.parts.wide_work_array(shape) if self.wide else self.parts.work_array(shape)

    def _local(self, letter: str, shape: Sequence[int]) -> tuple[View, str]:
        """A new array that is a variable, and its declaration."""
        name, lanes = self.parts.names.numbered(letter), MOST if self.wide else 1
        strides = tuple([lanes * stride for stride in Array(tuple(shape)).strides()])
        return View(name, self.here, tuple(shape), strides), f"double {name}[{lanes * made_size(shape)}]"

    def _array(self, letter: str, count: int) -> View:
        """A new array of some numbers: a variable if they are few."""
        if count > 4 * SMALL:
            return self.work_array((count,))
        view, declared = self._local(letter, (count,))
        self.line(f"{declared};")
        return view

    def _read(self, at: int, operands: tuple[int, ...], window: Any) -> Text | View:
        view = self.window(operands[0], window, operands[1:])
        if window.shape:
            return view
        found = element(view)
        if view.base in self.parts.carried:
            found = found._replace(reads=frozenset([view.base if view.start.terms else found.text]))
        if self.last_change.get(memory_of(self.program, operands[0]), -1) > at:  # read it now
            name = self.parts.names.numbered("t")
            self.line(f"const {kind_of(found)} {name} = {found.text};")
            return Text(name, wide=found.wide)
        return found

    def _add_at(self, at: int, operands: tuple[int, ...], window: Any) -> View:
        array, added, *indices = operands
        view = self.window(array, window, indices)
        if view.shape:
            source: View = self.values[added]
            self.together(view, "+=", source)
        else:
            self.line(self.added_to(view, self.number(added)))
        found: View = self.values[array]
        return found

    def _counts(self, view: View) -> bool:
        """Whether some lanes do not count when something is added to an array."""
        return bool(self.parts.counting) and view.base in self.parts.shared

    def added_to(self, view: View, number: Text) -> str:
        """A statement that adds a number to one in memory; lanes that do not count add -0.0, which changes nothing."""
        if self._counts(view):
            chosen = f"@_select({self.parts.counting}, {in_all_lanes(number).text}, @_all(-0.0))"
            return stored(view, "+=", Text(chosen, wide=True))
        minus = number.text.startswith("-") and number.rank == UNARY
        return stored(view, "-=" if minus else "+=", without_minus(number) if minus else number)

    def _zeros(self, at: int, operands: tuple[int, ...], shape: tuple[Any, ...]) -> View:
        made = self.targets.get(at)
        if made is None and self._is_small(shape):
            made, declared = self._local("a", shape)
            self.line(f"{declared} = {{0.0}};")
            return made
        made = made or self.work_array(shape)
        self.together(made, "=", "0.0")
        return made

    def _pack(self, at: int, operands: tuple[int, ...], shape: tuple[int, ...]) -> View:
        given = [self.number(o) for o in operands]
        changes = at in self.last_change
        made = self.targets.get(at)
        if made is None and not changes and (found := array_of(given, shape)) is not None:
            return found
        wide = self.wide and (changes or any(x.wide for x in given))
        if made is None and not changes and not wide and self._is_small(shape):
            made = View.of(self.parts.names.numbered("a"), shape)
            numbers = ", ".join([x.text for x in given])
            self.line(f"const double {made.base}[{len(given)}] = {{{numbers}}};")
            return made
        if made is None and not changes and all(is_literal(x.text) for x in given):
            return self._constants([x.text for x in given], shape)
        if made is None and wide and self._is_small(shape):
            made, declared = self._local("a", shape)
            self.line(f"{declared};")
        made = made or (self.work_array(shape) if wide else self.parts.work_array(shape))
        self.assign(made.numbers(), given)
        return made

    def _table(self, at: int, operands: tuple[int, ...], data: Any) -> View:
        shape, numbers = data
        return self._constants([literal(x) for x in numbers], shape)

    def _constants(self, numbers: Sequence[str], shape: tuple[int, ...]) -> View:
        """An array of constants."""
        if len(set(numbers)) == 1:
            return View(numbers[0], Affine(), shape, (0,) * len(shape))
        return View.of(self.parts.table(numbers), shape)

    @staticmethod
    def _is_small(shape: Sequence[int | str]) -> bool:
        return all(isinstance(extent, int) for extent in shape) and 0 < made_size(shape) <= SMALL

    # Operation → the method that writes it.
    SPECIAL: ClassVar[dict[str, Callable[..., Any]]] = {
        "input": _input,
        "constant": _constant,
        "read": _read,
        "add_at": _add_at,
        "zeros": _zeros,
        "pack": _pack,
        "table": _table,
    }


def kind_of(text: Text) -> str:
    """The type of a number."""
    return "@_lanes" if text.wide else "double"


def _patterned(
    statement: Callable[[View, Text], str],
    patterns: Sequence[Pattern],
    form: str,
    number: Text,
    indices: Sequence[Affine],
) -> str:
    """The statement for a place and a number that follow patterns."""
    place, *leaves = [pattern.at(indices[0]) for pattern in patterns]
    assert place.place is not None
    text = form.format(*[leaf.text for leaf in leaves])
    return statement(place.place, Text(text, number.rank, wide=number.wide))


def stored(place: View, sign: str, number: Text) -> str:
    """A statement that assigns a number to a place, or adds it."""
    if not place.is_wide():
        return f"{place} {sign} {number.text};"
    text = str(place)
    if sign == "=":
        number = in_all_lanes(number)
    if not text.startswith(("@_apart(", "@_some(")):
        return f"{text} {sign} {number.text};"
    if sign != "=":
        changed_number = operation("add" if sign == "+=" else "sub", [element(place), number])
        assert changed_number is not None
        number = changed_number
    where = text.partition("(")[2][:-1]
    return f"@_put{'_some' if text.startswith('@_some(') else ''}({where}, {number.text});"


def _set(place: View, number: Text) -> str:
    """A statement that assigns a number."""
    return stored(place, "=", number)


def changed(place: View, value: Text) -> str:
    """A statement that gives a variable a new value; ``x = x + y`` becomes ``x += y``."""
    name, text = str(place), value.text
    for sign in ("+", "-") if value.rank == SUM else ():
        if text.startswith(f"{name} {sign} ") and _is_one_term(text[len(name) + 3 :]):
            return stored(place, f"{sign}=", Text(text[len(name) + 3 :], wide=value.wide))
    if value.rank == SUM and text.endswith(f" + {name}"):
        return stored(place, "+=", Text(text[: -len(name) - 3], wide=value.wide))
    return stored(place, "=", value)


def _is_one_term(text: str) -> bool:
    """Whether an expression has no operator that binds as loosely as a sum."""
    depth, found = 0, []
    for char in text:
        depth += (char == "(" or char == "[") - (char == ")" or char == "]")
        if depth == 0:
            found.append(char)
    return " " not in "".join(found)


def made_size(shape: Sequence[int | str]) -> int:
    """How many numbers an array has, or has for each row of the call or step of a loop."""
    return Array(tuple(shape)).size()


def _last_changes(program: Program) -> dict[int, int]:
    """Array that is changed → the last instruction that changes it, or a window of it."""
    found: dict[int, int] = {}
    for at, instruction in enumerate(program.code):
        found.update({memory_of(program, o): at for o in arrays_written(instruction)})
    return found


def memory_of(program: Program, value: int) -> int:
    """The instruction that made the array of which a value is a part."""
    while True:
        value = root_of(program, value)
        if program.code[value].op != "read":
            return value
        value = program.code[value].operands[0]
