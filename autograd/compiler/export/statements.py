"""Statements in C for the instructions of a program, without its loops.

A number that is used once is written where it is used; one that is used more often gets a name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any, ClassVar

from autograd.compiler.export.expressions import (
    HELPED,
    PRODUCT,
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
from autograd.compiler.export.names import comment
from autograd.compiler.export.parts import Parts
from autograd.compiler.export.runs import Pattern, array_of, run_from, segments
from autograd.ir.block import CALL, STEPS, TRUTH, Array, Guard, Program, types_of
from autograd.ir.chains import ACCUMULATORS, IN_ORDER
from autograd.ir.memory import root_of
from autograd.rules import TABLE

WITHOUT_CALLS = frozenset({"exp", "log", "log1p", "tanh"})  # they come along as C where steps may be done together
LONGEST = 80  # characters of an expression that is written where it is used
SMALL = 16  # numbers of an array that is a variable; others are in the workspace


class Statements:
    """Statements for a program or the body of a loop.

    Parameters
    ----------
    parts : Parts
        What the function consists of besides its statements.
    program : Program
        What is written.
    inputs : sequence of Text and View
        What the inputs of the program are in C.
    targets : mapping
        Where some of the arrays that the program makes belong.
    depth : int
        How many loops are around it.
    is_parallel : bool
        Whether it is a step that a compiler may do together with others: without a loop and without a call.
    """

    def __init__(
        self,
        parts: Parts,
        program: Program,
        inputs: Sequence[Text | View],
        targets: Mapping[int, View],
        depth: int,
        is_parallel: bool = False,
    ) -> None:
        self.parts, self.program, self.inputs, self.targets, self.depth = parts, program, inputs, targets, depth
        self.is_parallel = is_parallel
        self.flags: dict[str, str] = {}  # status → the flag that is set in place of a return
        self.types = types_of(program)
        self.uses = program.uses()
        self.values: list[Any] = []
        self.whole: dict[int, Affine] = {}
        self.last_change = _last_changes(program)
        self.item_of: dict[tuple[int, int], int] = {}
        self.guards: dict[int, list[Guard]] = {}
        for guard in program.guards:
            self.guards.setdefault(guard.value, []).append(guard)
        for at, (op, operands, data) in enumerate(program.code):
            if op == "item":
                self.item_of.setdefault((operands[0], data), at)

    def run(self) -> list[Any]:
        """Write all instructions; what the outputs are."""
        for at, (op, operands, data) in enumerate(self.program.code):
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
        """A number as something cheap: it gets a name if need be. One made of counters is written where it is used."""
        text: Text = self.values[at]
        if not text.is_cheap() and text.whole is None:
            truth = self.types[at] == TRUTH
            name = self.parts.names.numbered("b" if truth else "t")
            self.line(f"const {'int' if truth else 'double'} {name} = {text.text};")
            self.values[at] = text = Text(name, whole=text.whole)
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
            op = data.name if data in TABLE.values() else op  # a row that machine code leaves to Python
        if op == "custom":
            raise NotImplementedError(
                f"{self.parts.function} calls {data.name}, a primitive that custom_gradient made of Python code, which "
                "C cannot call: write it with the functions of autograd.math"
            )
        if self.is_parallel and op in WITHOUT_CALLS:
            return self._helped(op, given)
        made = operation(op, given)
        if made is not None:
            return made
        if op not in HELPED:
            raise NotImplementedError(f"there is no C for the operation {op!r} of {self.parts.function}")
        return self._helped(op, given)

    def _helped(self, op: str, given: Sequence[Text]) -> Text:
        helper = self.parts.helper(op, [x.text for x in given])
        if op != "fsum":
            return call(helper, given)
        numbers = ", ".join([x.text for x in given])
        reads = frozenset().union(*[x.reads for x in given])
        return Text(f"{helper}((const double[]){{{numbers}}}, {len(given)})", reads=reads)

    def _guard(self, guard: Guard) -> None:
        """Leave the function where a comparison comes out otherwise, or note it for the end of the loop."""
        truth, status = self.number(guard.value), self.parts.guard(guard)
        test = f"!{truth.above(UNARY)}" if guard.expected else truth.text
        if status in self.flags:
            self.line(f"{self.flags[status]} |= {test};")
        else:
            self._leave(guard, test)

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

    def each(self, shape: Sequence[int | str], statement: Callable[[Sequence[Affine]], str]) -> None:
        """A statement for all indices of an array."""
        names = [self.parts.counter(self.depth + k) for k in range(len(shape))]
        for k, (name, extent) in enumerate(zip(names, shape)):
            self.parts.line(self.depth + k, f"for ({self.parts.head(name, extent)})")
        self.parts.line(self.depth + len(shape), statement([Affine(0, ((name, 1),)) for name in names]))

    def together(self, target: View, sign: str, source: View | str) -> None:
        """Assign an array to another, or add it, number by number."""
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
            return f"{far} {sign} {near};"

        self.each(target.shape, statement)

    def assign(self, places: Sequence[View], numbers: Sequence[Text]) -> None:
        """Assign numbers to places, those that follow a pattern in a loop."""
        self._statements(list(zip(places, numbers, strict=True)), _set)

    def _statements(self, pairs: Sequence[tuple[View, Text]], statement: Callable[[str, Text], str]) -> None:
        """A statement about each place and number, those that follow a pattern in a loop."""
        rows = [[element(place), *x.parts()[1]] for place, x in pairs]
        forms = [x.parts()[0] for _, x in pairs]
        for at, count, patterns in segments(rows, forms):
            place, number = pairs[at]
            if count == 1:
                self.line(statement(str(place), number))
            else:
                self.each((count,), partial(_patterned, statement, patterns, forms[at], number.rank))

    def _variable(self, letter: str, first: Text) -> str:
        name = self.parts.names.numbered(letter)
        self.line(f"double {name} = {first.text};")
        return name

    def _array(self, letter: str, count: int) -> View:
        """Room for some numbers: a variable if they are few."""
        if count > 4 * SMALL:
            return self.parts.room((count,))
        view = View.of(self.parts.names.numbered(letter), (count,))
        self.line(f"double {view.base}[{count}];")
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
            self.line(f"const double {name} = {found.text};")
            return Text(name)
        return found

    def _add_at(self, at: int, operands: tuple[int, ...], window: Any) -> View:
        array, added, *indices = operands
        view = self.window(array, window, indices)
        if view.shape:
            self.together(view, "+=", self.values[added])
        else:
            text = self.number(added)
            minus = text.text.startswith("-") and text.rank == UNARY
            self.line(f"{view} {'-=' if minus else '+='} {text.text[1:] if minus else text.text};")
        found: View = self.values[array]
        return found

    def _zeros(self, at: int, operands: tuple[int, ...], shape: tuple[Any, ...]) -> View:
        made = self.targets.get(at)
        if made is None and self._is_small(shape):
            made = View.of(self.parts.names.numbered("a"), shape)
            self.line(f"double {made.base}[{made_size(shape)}] = {{0.0}};")
            return made
        made = made or self.parts.room(shape)
        self.together(made, "=", "0.0")
        return made

    def _pack(self, at: int, operands: tuple[int, ...], shape: tuple[int, ...]) -> View:
        given = [self.number(o) for o in operands]
        changes = at in self.last_change
        made = self.targets.get(at)
        if made is None and not changes and (found := array_of(given, shape)) is not None:
            return found
        if made is None and not changes and self._is_small(shape):
            made = View.of(self.parts.names.numbered("a"), shape)
            numbers = ", ".join([x.text for x in given])
            self.line(f"const double {made.base}[{len(given)}] = {{{numbers}}};")
            return made
        if made is None and not changes and all(is_literal(x.text) for x in given):
            return self._constants([x.text for x in given], shape)
        made = made or self.parts.room(shape)
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

    # ---- sums of many ----------------------------------------------------------------------------------------------

    def _sum(self, at: int, operands: tuple[int, ...], data: Any) -> Text:
        """The numbers added up, those that follow a pattern in a loop; in `spread`'s order."""
        terms = [[self.number(o)] for o in operands]
        return self._in_order(terms) if data == IN_ORDER else self._in_lanes(terms)

    def _dot(self, at: int, operands: tuple[int, ...], data: Any) -> Text:
        half = len(operands) // 2
        factors = zip(operands[:half], operands[half:])
        terms = [
            [self.number(x)] if self.number(y).text == "1.0" else [self.number(x), self.number(y)] for x, y in factors
        ]
        return self._in_order(terms) if data == IN_ORDER else self._in_lanes(terms)

    def _in_order(self, terms: Sequence[Sequence[Text]]) -> Text:
        """From left to right."""
        total: Text | None = None
        for at, count, patterns in segments(terms):
            if count == 1:
                total = self._plus(total, terms[at])
                continue
            name = self._variable("s", total or Text("-0.0"))
            self.each((count,), partial(_added_of, name, patterns))
            total = Text(name)
        assert total is not None
        return total

    def _in_lanes(self, terms: Sequence[Sequence[Text]]) -> Text:
        """In several sums at a time, as `spread` does where the order is free."""
        lanes = ACCUMULATORS if len(terms) >= 2 * ACCUMULATORS else 1
        whole = len(terms) // lanes * lanes
        count, patterns = run_from(terms[:whole], 0)
        if count < whole or lanes == 1:
            totals = []
            for lane in range(lanes):
                total = Text("0.0") if lane == 0 else None
                for term in terms[lane::lanes]:
                    total = self._plus(total, term)
                assert total is not None
                totals.append(total)
            return self._paired(totals)
        names = [self.parts.names.numbered("s") for _ in range(lanes)]
        self.line(f"double {', '.join([f'{name} = 0.0' for name in names])};")
        counter = self.parts.counter(self.depth)
        self.line(f"for (int {counter} = 0; {counter} < {whole}; {counter} += {lanes}) {{")
        for lane, name in enumerate(names):
            index = Affine(lane, ((counter, 1),))
            self.parts.line(self.depth + 1, _added_of(name, patterns, [index]))
        self.line("}")
        for name, term in zip(names, terms[whole:]):
            self.line(added(name, term))
        return self._paired([Text(name) for name in names])

    def _paired(self, totals: Sequence[Text]) -> Text:
        """The sum of sums, two by two."""
        while len(totals) > 1:
            pairs = [totals[k : k + 2] for k in range(0, len(totals), 2)]
            totals = [self._plus(pair[0], [pair[1]]) if len(pair) == 2 else pair[0] for pair in pairs]
        return totals[0]

    def _plus(self, total: Text | None, term: Sequence[Text]) -> Text:
        """A sum and one more term; a long one gets a name."""
        minus, product = _product(term)
        if total is None:
            made = Text(f"-{product.above(UNARY)}", UNARY, product.reads) if minus else product
        else:
            found = operation("sub" if minus else "add", [total, product])
            assert found is not None
            made = found
        if len(made.text) <= LONGEST:
            return made
        name = self.parts.names.numbered("t")
        self.line(f"const double {name} = {made.text};")
        return Text(name)

    # Operation → what writes it.
    SPECIAL: ClassVar[dict[str, Callable[..., Any]]] = {
        "input": _input,
        "constant": _constant,
        "read": _read,
        "add_at": _add_at,
        "zeros": _zeros,
        "pack": _pack,
        "table": _table,
        "sum": _sum,
        "dot": _dot,
    }


def _patterned(
    statement: Callable[[str, Text], str],
    patterns: Sequence[Pattern],
    form: str,
    rank: int,
    indices: Sequence[Affine],
) -> str:
    """The statement about a place and a number that follow patterns."""
    place, *leaves = [pattern.at(indices[0]).text for pattern in patterns]
    return statement(place, Text(form.format(*leaves), rank))


def _set(place: str, number: Text) -> str:
    """A statement that assigns a number."""
    return f"{place} = {number.text};"


def added(name: str, term: Sequence[Text]) -> str:
    """A statement that adds a term to a sum."""
    minus, product = _product(term)
    return f"{name} {'-=' if minus else '+='} {product.text};"


def _added_of(name: str, patterns: Sequence[Pattern], indices: Sequence[Affine]) -> str:
    """A statement that adds a patterned term to a sum."""
    return added(name, [pattern.at(indices[0]) for pattern in patterns])


def changed(name: str, value: Text) -> str:
    """A statement that gives a variable another value; what is a sum of it and something else is added to it."""
    text = value.text
    for sign in ("+", "-") if value.rank == SUM else ():
        if text.startswith(f"{name} {sign} ") and _is_one_term(text[len(name) + 3 :]):
            return f"{name} {sign}= {text[len(name) + 3 :]};"
    if value.rank == SUM and text.endswith(f" + {name}"):
        return f"{name} += {text[: -len(name) - 3]};"
    return f"{name} = {text};"


def _is_one_term(text: str) -> bool:
    """Whether no operator of an expression binds as loosely as a sum."""
    depth, found = 0, []
    for char in text:
        depth += (char == "(" or char == "[") - (char == ")" or char == "]")
        if depth == 0:
            found.append(char)
    return " " not in "".join(found)


def _product(term: Sequence[Text]) -> tuple[bool, Text]:
    """Whether a term is subtracted, and what; a minus of the first factor comes last, as in `spread`."""
    first = term[0]
    minus = first.text.startswith("-") and first.rank in (UNARY, PRODUCT) and not is_literal(first.text)
    if minus:
        first = without_minus(first)
    if len(term) == 1:
        return minus, first
    found = operation("mul", [first, term[1]])
    assert found is not None
    return minus, found


def made_size(shape: Sequence[int | str]) -> int:
    """How many numbers an array has, or has in each row of the call or step of a loop."""
    return Array(tuple(shape)).size()


def _last_changes(program: Program) -> dict[int, int]:
    """The last instruction that changes each array that is changed, windows' arrays included."""
    found: dict[int, int] = {}
    for at, (op, operands, data) in enumerate(program.code):
        if op == "add_at":
            found[memory_of(program, operands[0])] = at
        elif op == "loop":
            for o in operands[data.shared + data.carries : data.shared + data.handed]:
                found[memory_of(program, o)] = at
    return found


def memory_of(program: Program, value: int) -> int:
    """The instruction that made the array of which a value is a part."""
    while True:
        value = root_of(program, value)
        if program.code[value].op != "read":
            return value
        value = program.code[value].operands[0]
