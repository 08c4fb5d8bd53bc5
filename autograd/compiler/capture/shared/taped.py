"""What was noted on a tape, written as the program of a capture, with some places read from a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from functools import partial, wraps
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd.compiler.capture.results import flatten_result
from autograd.compiler.capture.shared.tape import ELEMENT, EVENT, TapeTrace, bits
from autograd.compiler.capture.shared.variants import Layout, Variant
from autograd.compiler.capture.signature import Reading, read, read_call, types_of_numbers
from autograd.compiler.capture.trace import tracing
from autograd.compiler.capture.tracer import FLOAT, Traced
from autograd.eager import active_recorder
from autograd.ir.block import Array, Guard, Instruction, Program, Window, size_of
from autograd.ir.builder import Builder, LoopBuilder
from autograd.ir.rewriters import number_values
from autograd.modes import inside_transform, mode
from autograd.rules import TABLE
from autograd.transforms.gradients import grad, value_and_grad
from autograd.transforms.origin import origin_of

if TYPE_CHECKING:
    from autograd.compiler.capture.trace import Trace

Function = Callable[..., Any]


def innermost_function(function: Function) -> Function:
    """The function of which a gradient is taken, or of which one is taken of that."""
    origin = origin_of(function)
    if origin is not None and origin.transform in ("grad", "value_and_grad"):
        return innermost_function(origin.function)
    return function


def with_innermost(function: Function, inner: Function) -> Function:
    """The same derivatives of another function."""
    origin = origin_of(function)
    if origin is None or origin.transform not in ("grad", "value_and_grad"):
        return inner
    transform: Any = grad if origin.transform == "grad" else value_and_grad
    found: Function = transform(with_innermost(origin.function, inner), *origin.parameters)
    return found


# ---- noting a run ----------------------------------------------------------------------------------------------------


def noted(function: Function, arguments: Reading, given: Sequence[float], real_bools: bool) -> Variant | None:
    """Run a function, of which perhaps derivatives are taken, on a tape; None if that does not tell all."""
    sizes = _sizes(arguments)
    trace = TapeTrace([list(given[end - size : end]) for end, size in zip(accumulate(sizes), sizes)], real_bools)
    tracers = [x for k, size in enumerate(sizes) for x in Traced.elements(trace, k, size)]
    inner = innermost_function(function)
    token = inside_transform.set(inside_transform.get() or inner is not function)
    try:
        args, keywords = arguments.rebuild(tracers)
        with tracing(trace), nullcontext() if inner is function else mode(recording=True):  # as in a `Run`
            leaves, rebuild = flatten_result(trace.followed(inner)(*args, **keywords))
            results = [_result(trace, leaf) for leaf in leaves]
    except Exception:  # whatever the function raises: a capture raises it again
        return None
    finally:
        inside_transform.reset(token)
    if trace.astray or None in results:
        return None
    shape, numbers, outcomes, lines, events = trace.tape.noted([x for x in results if not isinstance(x, float)])
    left = iter(events)
    results = [x if isinstance(x, float) else next(left) for x in results]
    known = tuple([("constant", bits(x)) if isinstance(x, float) else ("event", x) for x in results])
    structure = known, read(rebuild([0.0] * len(results))).signature
    found = [np.frombuffer(part, np.int64) for part in (numbers, outcomes)]
    return Variant(structure, shape, found[0], found[1], lines, trace.flow, results, rebuild, sizes, trace.floats)


def _sizes(arguments: Reading) -> list[int]:
    """How many numbers each array of the arguments has; a number is an array of one."""
    return [size_of(kind) for kind in types_of_numbers(arguments.signature)]


def _result(trace: TapeTrace, leaf: Any) -> Any:
    """A number of a result: a float, or the number of an event; None for a Value from outside."""
    if type(leaf) is float:
        return leaf
    return trace.place(leaf) if type(leaf) is Traced and leaf.builder is trace else None


# ---- writing it again ------------------------------------------------------------------------------------------------


def from_tape(function: Function, variant: Variant, layout: Layout | None) -> Function:
    """A function that records what a tape has noted of another one, and reads the places of a layout from a table.

    Without a layout, all that was noted is part of the program.
    """
    inner = innermost_function(function)

    @wraps(inner)
    def written(*args: Any, **options: Any) -> Any:
        trace: Any = active_recorder()
        return _Writer(trace, read_call("a function", args, options), variant, layout).write()

    return with_innermost(function, written)


class _Writer:
    """Records the events of a tape in a capture."""

    def __init__(self, trace: Trace, arguments: Reading, variant: Variant, layout: Layout | None) -> None:
        self.trace, self.variant, self.layout = trace, variant, layout
        self.made: list[Any] = [None] * len(variant.shapes)  # the tracer of each event
        self.packs: dict[tuple[int, ...], int] = {}
        self.leaves, sizes = arguments.leaves, variant.sizes  # of the call: an int among floats is an array by itself
        self.first = [end - size for end, size in zip(accumulate(sizes), sizes)]  # of the leaves of each array
        self.numbers, self.floats = variant.numbers.tolist(), variant.numbers.view(float).tolist()
        self.sources: dict[int, Callable[[], int]] = {}
        if layout is not None:
            numbers = list(layout.table(variant))
            self.table = trace.input(Array((len(numbers),)), numbers)
            self.outcomes = self._read_table(layout)

    def write(self) -> Any:
        """Record all events; the result of the function."""
        variant, made, numbers, tabled = self.variant, self.made, self.numbers, self.sources
        shapes, starts = variant.shapes.tolist(), variant.starts.tolist()
        kinds = [(op, TABLE.get(op), sources) for op, sources in variant.kinds]
        guards = {event: k for k, event in enumerate(variant.guards)}
        with mode(recording=True):  # where that was off, the tape has a `stop`
            for event in _in_order(variant, self.layout):
                op, rule, sources = kinds[shapes[event]]
                operands = tuple(
                    [
                        made[numbers[place]]
                        if where == EVENT and place not in tabled
                        else self._other(place, where, what)
                        for place, (where, what) in enumerate(sources, starts[event])
                    ]
                )
                if rule is not None:
                    made[event] = Traced.apply_rule(rule, operands)
                elif op == "guard":
                    self._guard(operands[0].index, guards[event])
                else:
                    made[event] = Traced.of(self.trace, self._record(op, operands))
        return variant.rebuild([x if isinstance(x, float) else made[x] for x in variant.results])

    def _record(self, op: str, operands: Sequence[Any]) -> int:
        """The value of an event that is no primitive."""
        places = tuple([self.trace.place(x) for x in operands])
        if op in ("read", "constant"):
            return places[0]
        return self.trace.emit("stop", places, FLOAT) if op == "number" else self.trace.emit(op, places)

    def _other(self, place: int, where: int, what: int) -> Any:
        """An operand that is not just an earlier event: a float or a tracer."""
        if place in self.sources:
            return Traced.of(self.trace, self.sources[place]())
        return self.leaves[self.first[what] + self.numbers[place]] if where == ELEMENT else self.floats[place]

    def _read_table(self, layout: Layout) -> int:
        """Find what each place of a layout reads, to be written when it is asked for; return where outcomes begin."""
        trace, sources, at = self.trace, self.sources, 0
        for array, places in layout.elements.items():
            read = _elements(trace, trace.array(self.leaves[self.first[array]]), self.table, at, len(places))
            for k, place in enumerate(places):
                sources[place] = partial(trace.element, read, k)
            at += len(places)
        for place in layout.constants:
            sources[place] = partial(trace.element, self.table, at)
            at += 1
        for place, among in layout.choices:
            sources[place] = partial(self._chosen, among, at)
            at += 1
        return at

    def _chosen(self, among: tuple[int, ...], at: int) -> int:
        """One of some results, as the table says."""
        trace = self.trace
        if among not in self.packs:
            self.packs[among] = trace.append(
                Instruction("pack", tuple([self.made[event].index for event in among]), (len(among),))
            )
        return trace.append(
            Instruction("read", (self.packs[among], trace.element(self.table, at)), Window((), 0, (), (1,)))
        )

    def _guard(self, value: int, number: int) -> None:
        """The program holds only while a comparison comes out as it did, or as the table says."""
        trace = self.trace
        if trace.code[value].op == "constant":
            return
        if self.layout is None:
            trace.guards.append(Guard(value, bool(self.variant.outcomes[number]), self.variant.lines[number]))
            return
        truth = trace.emit("select", (value, trace.constant(1.0), trace.constant(0.0)))
        same = trace.append(Instruction("==", (truth, trace.element(self.table, self.outcomes + number))))
        trace.guards.append(Guard(same, True, self.variant.lines[number]))


def _elements(trace: Trace, array: int, table: int, first: int, count: int) -> int:
    """The elements of an array whose numbers stand in the table, as an array."""
    numbers = trace.emit("read", (table,), Window((count,), first, (1,)))
    made = LoopBuilder(trace, inner := Builder((number_values,), trace.kept), count)
    element = inner.emit("read", (made.shared(array), made.element(numbers)), Window((), 0, (), (1,)))
    return trace.emit("item", (made.finish([], [(element, "each")]),), 0)


def _in_order(variant: Variant, layout: Layout | None) -> Iterable[int]:
    """The events in an order in which what depends on choices comes last: it is rolled apart from the rest."""
    if layout is None or not layout.choices:
        return range(len(variant.shapes))
    choices = dict(layout.choices)
    kinds, numbers, starts = variant.kinds, variant.numbers.tolist(), variant.starts.tolist()
    first = int(np.searchsorted(variant.starts, min(choices), "right")) - 1  # no event before it depends on a choice
    levels = [0] * first
    for shape, start in zip(variant.shapes[first:].tolist(), starts[first:]):
        level = 0
        for place, (where, _) in enumerate(kinds[shape].sources, start):
            if place in choices:
                level = max(level, 1 + max([levels[event] for event in choices[place]]))
            elif where == EVENT:
                level = max(level, levels[numbers[place]])
        levels.append(level)
    return sorted(range(len(levels)), key=levels.__getitem__)


def with_table(program: Program, table: tuple[float, ...]) -> Program:
    """A program whose last input is a table, with a table that does not change in its place."""
    last, code = len(program.inputs) - 1, list(program.code)
    at = next(at for at, instruction in enumerate(code) if instruction.op == "input" and instruction.data == last)
    code[at] = Instruction("table", (), ((len(table),), table))
    return Program(code, program.outputs, program.inputs[:-1], program.guards)
