"""Capture: one run of a function on tracers, each a Value whose operations are written down as instructions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from math import nan
from typing import Any

from autograd import transforms
from autograd.ieee import to_float
from autograd.jit import adjoint
from autograd.jit.builder import Builder, Predicate, Symbol
from autograd.jit.program import PREDICATES, Guard, Instruction, Map, Program, evaluate_one, with_inputs
from autograd.modes import caller, captures, current_mode, current_trace, mode
from autograd.rules import Rule
from autograd.tree import Rebuild, children, flatten
from autograd.value import Value

NUMBER = "number"  # marks a "stop" that eager code has as a float
FEWEST_ROWS = 4  # a map over fewer is unrolled


class Trace(Builder):
    """The program being captured, with the numbers of the run that is being watched."""

    def __init__(self, parent: Trace | None = None) -> None:
        super().__init__(adjoint.mapped_rewriters(), adjoint.FRESH)
        self.parent = parent
        self.numbers: dict[int, Any] = {}
        self.given: list[float] = []  # the number of every input
        self.leaves: dict[Any, int] = {}  # Values from outside → where they are
        self.leaf_inputs: list[tuple[Value, int]] = []  # in the order of their inputs
        self.lifted: dict[int, int] = {}  # values of the parent → where they are
        self.guarded: set[int] = set()
        self.rows_branch = True  # or else a guard that is not that of all rows unrolls the map
        self.samples: dict[Map, list[float]] = {}  # the inputs of the row that was captured

    def input(self, number: float) -> int:
        """A new input; `number` is what it is in this run."""
        self.given.append(number)
        return self.emit("input", (), len(self.given) - 1)

    def wrap(self, value: int) -> Traced:
        """The tracer of a value."""
        return Traced.of(self, value)

    # ---- what the engine asks of a capture that is going on ---------------------------------------------------

    def apply_rule(self, rule: Rule, operands: Sequence[Any]) -> Traced:
        """Write an operation down, whatever its operands are."""
        return Traced.apply_rule(rule, operands)

    def stand_in(self, node: Value) -> Traced:
        """The tracer of a Value that is not traced: its number may be another at the next call."""
        return self.wrap(self.place(node))

    def fresh(self, number: float) -> Traced:
        """A constant by which something is differentiated: no other one, equal or not, is confused with it."""
        return self.wrap(self.emit("pos", (self.constant(number),)))

    # ---- where things are -------------------------------------------------------------------------------------

    def place(self, operand: Any) -> int:
        """Where an operand of any kind is in this program."""
        if isinstance(operand, (Traced, Symbol, Predicate)):
            if operand.builder is self:
                return super().place(operand) if isinstance(operand, Predicate) else operand.index
            return self.lift(operand)
        if isinstance(operand, Value):
            return self.leaf(operand)
        return self.constant(operand if type(operand) is float else to_float(operand))

    def lift(self, operand: Any) -> int:
        """A value of the program around this one, as an input that all rows share."""
        if self.parent is None:
            raise TypeError(
                f"a number traced by one compilation was used in another, at {caller()}: do not keep traced "
                "values in globals or attributes"
            )
        outer = self.parent.place(operand)
        constant = self.parent.number(outer)
        if constant is not None:
            return self.constant(constant)
        if outer not in self.lifted:
            self.lifted[outer] = self.input(self.parent.value(outer))
            self.lifted_inputs.append((outer, self.code[self.lifted[outer]].data))
        return self.lifted[outer]

    def leaf(self, node: Value) -> int:
        """A Value that is not traced comes from outside, and is read afresh at every call."""
        if node not in self.leaves and self.parent is not None:
            self.leaves[node] = self.lift(node)
        elif node not in self.leaves:
            self.leaf_inputs.append((node, len(self.given)))
            self.leaves[node] = self.input(node._data)
        return self.leaves[node]

    def parents(self, outputs: Sequence[int]) -> list[Value]:
        """The Values from outside that results are computed from, if they are more to them than numbers."""
        reached = inputs_of_graph(self.code, outputs)
        return [node for node, number in self.leaf_inputs if number in reached]

    def value(self, wanted: int) -> Any:
        """The number (or truth) of a value in this run, computed when something asks for it."""
        stack = [wanted]
        while stack:
            at = stack[-1]
            instruction = self.code[at]
            missing = [o for o in instruction.operands if o not in self.numbers]
            if at in self.numbers or not missing:
                stack.pop()
            if at not in self.numbers:
                if missing:
                    stack += missing
                elif instruction.op == "input":
                    self.numbers[at] = self.given[instruction.data]
                else:
                    self.numbers[at] = evaluate_one(instruction, [self.numbers[o] for o in instruction.operands])
        return self.numbers[wanted]

    def needed(self, value: int) -> list[int]:
        """All values that a value depends on, and itself, in order."""
        wanted = {value}
        for at in range(value, -1, -1):
            if at in wanted:
                wanted.update(self.code[at].operands)
        return sorted(wanted)

    def is_constant(self, value: int) -> bool:
        """Whether a value depends on no input."""
        return all(self.code[at].op != "input" for at in self.needed(value))

    def hoist(self, value: int) -> int | None:
        """Where the program around has a value that is the same for all rows; None if it is not."""
        assert self.parent is not None
        place = {inner: outer for outer, inner in self.lifted.items()}
        for at in self.needed(value):
            op, operands, data = self.code[at]
            if op == "input" and at not in place:
                return None
            if op == "constant":
                place[at] = self.parent.constant(data) if type(data) is float else self.parent.truth_constant(data)
            elif op != "input":
                place[at] = self.parent.emit(op, tuple([place[o] for o in operands]), data)
        return place[value]

    def truth(self, predicate: int) -> bool:
        """What a comparison comes out as in this run; the program holds only while it does."""
        if not self.rows_branch and self.parent is not None and self.code[predicate].op != "constant":
            shared = self.hoist(predicate)
            if shared is None:
                raise NotImplementedError(adjoint.THROUGH_A_MAP)
            return self.parent.truth(shared)
        outcome = bool(self.value(predicate))
        if self.code[predicate].op != "constant" and predicate not in self.guarded:
            self.guarded.add(predicate)
            self.guards.append(Guard(predicate, outcome, caller(source=True)))
        return outcome

    # ---- maps ------------------------------------------------------------------------------------------------

    def inner(self, mapped: Map, shared_seeds: Sequence[int], seeds: Sequence[int]) -> Trace:
        """The adjoint of a map's body is captured too, on the same row: a derivative may branch."""
        child, sample = Trace(self), self.samples[mapped]
        child.rows_branch = mapped.rows is None
        first, then = [[self.value(s) if child.rows_branch else nan for s in part] for part in (shared_seeds, seeds)]
        child.given = [*sample[: mapped.shared], *first, *sample[mapped.shared :], *then]
        return child

    def watched(self) -> AbstractContextManager[None]:
        """In its `with` block, what derivatives ask of Values from outside is a matter of this program."""
        return tracing(self, None)

    def keep_sample(self, mapped: Map, inner: Builder, order: Sequence[int]) -> None:
        """The inputs of the row that was captured."""
        assert isinstance(inner, Trace)
        self.samples[mapped] = [inner.given[number] for number in order]

    def map_rows(self, function: Callable[..., Any], rows: Sequence[Sequence[Any]], reduce: str | None) -> Any:
        """`vmap` inside a capture: one row is captured, the others are a loop. NotImplemented: unroll it."""
        mapped = self._capture_row(function, rows)
        if mapped is None:
            return NotImplemented
        child, result, batched = mapped
        leaves, rebuild = flatten_result(result)
        outputs = [child.place(leaf) for leaf in leaves]
        shared = [*child.lifted_inputs]
        order = [number for _, number in shared] + [child.code[column[0]].data for column in batched]
        reduced = (reduce is not None,) * len(outputs)
        body = Program(with_inputs(child.code, order), outputs, len(order))
        data = Map(body, len(shared), reduced, len(rows))
        self.keep_sample(data, child, order)
        operands = [outer for outer, _ in shared]
        operands += [column[1][row] for row in range(len(rows)) for column in batched]
        at = self.emit("map", tuple(operands), data)

        starts = data.positions()

        def item(output: int, row: int = 0) -> Any:
            return self.wrap(self.emit("item", (at,), starts[output] + row))

        if reduce is None:
            return [rebuild([item(k, row) for k in range(len(outputs))]) for row in range(len(rows))]
        totals = [item(k) for k in range(len(outputs))]
        return rebuild([t / float(len(rows)) for t in totals] if reduce == "mean" else totals)

    def _capture_row(
        self, function: Callable[..., Any], rows: Sequence[Sequence[Any]]
    ) -> tuple[Trace, Any, list[tuple[int, list[int]]]] | None:
        """The first row in a trace of its own; with every input that differs, its operands over the rows."""
        if len(rows) < FEWEST_ROWS:
            return None
        child, batched, arguments = Trace(self), [], []
        child.rows_branch = False
        for position, part in enumerate(rows[0]):
            if all(row[position] is part for row in rows):
                arguments.append(part)  # the same for all rows: lifted when it is used
                continue
            flat = [flatten(row[position])[0] for row in rows]
            if len({len(leaves) for leaves in flat}) != 1:
                return None
            new: list[Any] = []
            for k, leaf in enumerate(flat[0]):
                column = [leaves[k] for leaves in flat]
                if all(other is leaf for other in column):
                    new.append(leaf)
                    continue
                places = [self.place(x) for x in column]
                at = child.input(self.value(places[0]))
                batched.append((at, places))
                new.append(Traced.of(child, at))
            arguments.append(flatten(part)[1](new))
        try:
            with tracing(child, None):
                return child, function(*arguments), batched
        except NotImplementedError as error:
            if error.args != (adjoint.THROUGH_A_MAP,):
                raise
            return None


def flatten_result(result: Any) -> tuple[list[Any], Rebuild]:
    """`flatten` for what a captured function returns: a comparison is 1 or 0."""
    try:
        return flatten(result, "the result of the compiled function")
    except TypeError:
        return flatten(_as_numbers(result), "the result of the compiled function")


def _as_numbers(tree: Any) -> Any:
    if isinstance(tree, Predicate):
        return tree.select(1.0, 0.0)
    parts = children(tree)
    return tree if parts is None else parts[1]([_as_numbers(child) for _, child in parts[0]])


@contextmanager
def tracing(trace: Trace, mapper: Callable[..., Any] | None) -> Iterator[None]:
    """Watch the operations of the `with` block; `vmap` asks the mapper, or loops if there is none."""
    before = transforms.map_rows.set(mapper)
    thread = threading.get_ident()
    captures.append(thread)
    try:
        with mode(trace=trace):
            yield
    finally:
        captures.remove(thread)
        transforms.map_rows.reset(before)


def inputs_of_graph(code: Sequence[Instruction], outputs: Sequence[int]) -> set[int]:
    """The inputs from which eager code computes the outputs as Values, not by way of `.data` or a comparison."""
    wanted, found = set(outputs), set()
    for at in range(len(code) - 1, -1, -1):
        op, operands, data = code[at]
        if at not in wanted or op in PREDICATES or (op == "stop" and data == NUMBER):
            continue
        if op == "input":
            found.add(data)
        elif op == "map":
            inner = inputs_of_graph(data.body.code, data.body.outputs)
            kept = range(data.shared), range(data.shared, data.body.inputs)
            wanted.update(operands[i] for i in kept[0] if i in inner)
            for i in kept[1]:
                wanted.update(operands[i :: data.columns] if i in inner else ())
        else:
            wanted.update(operands)
    return found


def _frozen(what: str, convert: Callable[[float], Any] | None = None) -> Callable[[Traced], Any]:
    def freeze(self: Traced) -> Any:
        if convert is not None and self.builder.is_constant(self.index):
            return convert(self.builder.value(self.index))
        raise TypeError(
            f"{what} of a number that depends on an argument or on a Value from outside would freeze it, at "
            f"{caller()}: compute with it (autograd.math), compare it, or fix an argument that is no number "
            "of the computation with functools.partial before jit"
        )

    return freeze


def _comparison(op: str) -> Callable[[Traced, Any], Any]:
    def compare(self: Traced, other: Any) -> Any:
        if not isinstance(other, (Value, Predicate, Symbol)):
            try:
                other = to_float(other)
            except TypeError:
                return NotImplemented
        trace = innermost((self, other))
        return Predicate(trace, trace.emit(op, (trace.place(self), trace.place(other))))

    return compare


def is_capturing() -> bool:
    """Whether a capture is going on."""
    return current_trace() is not None


def innermost(operands: Sequence[Any]) -> Trace:
    """The trace in which an operation on these operands is written down."""
    found: Trace | None = None
    for operand in operands:
        trace = getattr(operand, "builder", None)
        if isinstance(trace, Trace) and (found is None or _is_inside(trace, found)):
            found = trace
    current: Trace | None = current_trace()
    if current is not None and (found is None or _is_inside(current, found)):
        return current
    assert found is not None
    return found


def _is_inside(trace: Trace, other: Trace) -> bool:
    while trace is not other and trace.parent is not None:
        trace = trace.parent
    return trace is other


class Traced(Value):
    """A Value whose operations are captured; it stands for a number that differs from call to call."""

    __slots__ = ("builder", "index")
    builder: Trace
    index: int

    @classmethod
    def of(cls, trace: Trace, value: int) -> Traced:
        """The tracer of a value of a program."""
        node: Any = cls.restore(nan, None, (), ())
        node.builder, node.index = trace, value
        traced: Traced = node
        return traced

    @classmethod
    def apply_rule(cls, rule: Rule, operands: Sequence[Any]) -> Traced:
        """Write the operation down."""
        trace = innermost(operands)
        made = trace.apply(rule, operands)
        switches = current_mode()
        if switches is not None and not switches.recording:
            made = trace.emit("stop", (made,))
        return cls.of(trace, made)

    @property
    def data(self) -> Any:
        """The same number with its gradient cut; still traced."""
        return self._stop(NUMBER)

    @data.setter
    def data(self, number: float) -> None:
        raise AttributeError(
            f"data cannot be assigned inside a compiled function, at {caller()}: return the new number instead"
        )

    def detach(self) -> Traced:
        """The same number with its gradient cut."""
        return self._stop(None)

    def _stop(self, kind: str | None) -> Traced:
        trace = innermost((self,))
        return trace.wrap(trace.emit("stop", (trace.place(self),), kind))

    def backward(self, seed: float = 1.0) -> None:
        """Not inside a compiled function."""
        raise TypeError(
            f"backward() cannot be compiled, at {caller()}: use autograd.grad inside jit, or call backward() on the "
            "result of the compiled function"
        )

    def __bool__(self) -> bool:
        return bool(self != 0.0)

    def __repr__(self) -> str:
        return f"Traced(v{self.index}={self.builder.value(self.index)!r})"

    def __format__(self, spec: str) -> str:
        return format(self.builder.value(self.index), spec)

    def __copy__(self) -> Traced:
        return self

    def __deepcopy__(self, memo: object) -> Traced:
        return self.detach()

    __hash__ = Value.__hash__
    __int__, __index__ = _frozen("int()", int), _frozen("an index made")
    __float__, __complex__ = _frozen("float() (or a function of the math module)", float), _frozen("complex()", complex)
    __lt__, __le__ = _comparison("<"), _comparison("<=")
    __gt__, __ge__ = _comparison(">"), _comparison(">=")
    __eq__ = _comparison("==")
    __ne__ = _comparison("!=")

    # ---- what the transforms sweep in place of a graph -----------------------------------------------------------

    @classmethod
    def sweep_reverse(cls, seeds: Mapping[Value, Any], inputs: Sequence[Value]) -> list[Any]:
        """The adjoint of every input, given the seeds of some outputs."""
        trace = innermost([*seeds, *seeds.values(), *inputs])
        starts: dict[int, int] = {}
        for output, seed in seeds.items():
            at, weight = trace.place(output), trace.place(seed)
            starts[at] = trace.emit("add", (starts[at], weight)) if at in starts else weight
        places = [trace.place(x) for x in inputs]
        found = adjoint.reverse(trace, starts, places)
        return [_user(trace, found[x]) if x in found else 0.0 for x in places]

    @classmethod
    def sweep_forward(cls, outputs: Sequence[Any], seeds: Mapping[Value, Any]) -> list[Any]:
        """The tangent of every output, given those of some inputs."""
        trace = innermost([*outputs, *seeds, *seeds.values()])
        starts = {trace.place(x): trace.place(seed) for x, seed in seeds.items()}
        places = [trace.place(y) if isinstance(y, Value) else -1 for y in outputs]
        found = adjoint.forward(trace, starts)
        return [_user(trace, found[y]) if y in found else 0.0 for y in places]


def _user(trace: Trace, value: int) -> Any:
    """A value as user code sees it: a float if it is constant, else a tracer."""
    number = trace.number(value)
    return Traced.of(trace, value) if number is None else number


def finish(trace: Trace, outputs: Sequence[int]) -> Program:
    """The captured program."""
    return Program(trace.code, list(outputs), len(trace.given), trace.guards)
