"""Capture: one run of a function on tracers, each a Value whose operations are written down as instructions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from math import nan
from threading import get_ident
from typing import Any, NoReturn
from weakref import WeakValueDictionary

from autograd.compiler.capture.identity import asks_for_real_bools, calling_code, indexes_by_comparison
from autograd.graphs import connected_copy
from autograd.ieee import to_float
from autograd.ir import derive
from autograd.ir.block import PREDICATES, Guard, Instruction, Map, Program, evaluate_one, with_inputs
from autograd.ir.builder import Builder, Predicate, Symbol
from autograd.modes import PACKAGES, caller, current_mode, current_recorder, keeps_copies, recording_with
from autograd.recorder import Sweeps
from autograd.rows import cut, loop_in_turn, together
from autograd.rules import Rule
from autograd.tree import Rebuild, children, flatten, lower, only_leaves
from autograd.value import Value

NUMBER = "number"  # marks a "stop" that eager code has as a float
COUNTING = frozenset({"select", "add", "sub", "mul", "neg", "abs", "sum"})  # of comparisons they make whole numbers
FEWEST_ROWS = 4  # a map over fewer is unrolled


class Trace(Builder):
    """The program being captured, with the numbers of the run that is being watched."""

    loop = staticmethod(loop_in_turn)

    def __init__(self, parent: Trace | None = None, real_bools: bool = False, maps: bool = False) -> None:
        super().__init__(derive.mapped_rewriters(), derive.FRESH)
        self.parent = parent
        self.real_bools = real_bools  # of the root: comparisons are guards at once
        self.maps = maps  # whether `vmap` is one instruction; or else its rows are computed one after another
        self.finished = False
        self.thread = get_ident()
        self.made_elsewhere: WeakValueDictionary[int, Value] = WeakValueDictionary()  # by id, by threads not traced
        self.numbers: dict[int, Any] = {}
        self.given: list[float] = []  # the number of every input
        self.leaves: dict[Any, int] = {}  # Values from outside → where they are
        self.leaf_inputs: list[tuple[Value, int]] = []  # in the order of their inputs
        self.lifted: dict[int, int] = {}  # values of the parent → where they are
        self.hoisted: dict[int, int | None] = {}  # values → where they are in the parent, if all rows share them
        self.constancy: dict[int, bool] = {}  # whether values depend on no input
        self.guarded: set[int] = set()
        self.rows_branch = True  # or else a guard that is not that of all rows unrolls the map
        self.samples: dict[Map, list[float]] = {}  # the inputs of the row that was captured
        self.unrolled: dict[str, int] = {}  # of the root: why maps were unrolled → how many rows they had

    def input(self, number: float) -> int:
        """A new input; `number` is what it is in this run."""
        self.given.append(number)
        return self.emit("input", (), len(self.given) - 1)

    def wrap(self, value: int) -> Traced:
        """The tracer of a value."""
        return Traced.of(self, value)

    def root(self) -> Trace:
        """The program around all others: that of the compiled function."""
        trace = self
        while trace.parent is not None:
            trace = trace.parent
        return trace

    def note_unrolled(self, rows: int, why: str) -> None:
        """A map becomes as many copies of its row as it has rows."""
        self.unrolled[why] = self.unrolled.get(why, 0) + rows

    def check_in_use(self) -> None:
        """Raise if the function that was captured has returned, or another thread runs now."""
        if self.finished and self.parent is not None:
            raise TypeError(
                f"a number of one row is used after its row, at {caller()}: compiled, all rows are computed at once. "
                "Return it from the mapped function instead of keeping it in a list, a variable or an attribute"
            )
        if self.finished:
            raise TypeError(
                f"a number traced by one compilation was used in another, or after it, at {caller()}: do not keep "
                "traced values in globals, lists or attributes; return them from the compiled function instead"
            )
        if self.thread != get_ident():
            raise TypeError(
                f"a number of a compiled function is used in another thread, at {caller()}: what threads do cannot be "
                "captured. Compute in the thread that calls the function, or compile what the threads run"
            )

    def decides_comparisons(self) -> bool:
        """Whether a comparison must be a real bool, because code sees what merely behaves like one for what it is."""
        root = self.root()
        if root.real_bools:
            return True
        code = calling_code()
        root.real_bools = asks_for_real_bools(code)
        return root.real_bools or indexes_by_comparison(code)

    def logic(self, op: str, predicates: Sequence[Predicate]) -> Predicate:
        """A comparison made of others, which may be of several programs."""
        if all(p.builder is self for p in predicates):
            return super().logic(op, predicates)
        trace = innermost(predicates)
        places = [
            p.index if p.builder is trace else trace.emit("!=", (trace.lift(p), trace.constant(0.0)))
            for p in predicates
        ]
        return Predicate(trace, trace.emit(op, tuple(places)))

    # ---- what the engine asks of a capture that is going on ---------------------------------------------------

    def apply_rule(self, rule: Rule, operands: Sequence[Any]) -> Traced:
        """Write an operation down, whatever its operands are."""
        return Traced.apply_rule(rule, operands)

    def read(self, node: Value) -> Traced:
        """The tracer of a Value that is not traced: its number may be another at the next call."""
        return self.wrap(self.place(node))

    def refuse(self, what: str) -> NoReturn:
        """Side effects are refused during capture: they would run once, not at every call."""
        raise TypeError(
            f"{what} inside a compiled function, at {caller()}: it would happen only once, when the function is "
            "captured. Use autograd.grad there, or do it outside, with what the compiled function returns"
        )

    def note_made(self, node: Any) -> None:
        """A node of another thread must not become a part of the program: see `leaf`."""
        self.made_elsewhere[id(node)] = node

    def fresh_leaves(self, numbers: Sequence[Any]) -> list[Traced]:
        """An instruction for each, which is not merged with any other."""
        return [self.wrap(self.emit("pos", (self.place(x),))) for x in numbers]

    def sweeps(self, outputs: Sequence[Any], inputs: Sequence[Any], differentiable: bool) -> Sweeps:
        """Sweeps that add their instructions to the program."""
        return TraceSweeps(self, outputs, inputs, differentiable)

    def derivative(self, number: Any, by: Any) -> Any:
        """A Value where the argument is one from outside: a tracer may stand for a float."""
        plain = isinstance(number, Value) or not isinstance(by, Value) or isinstance(by, Traced)
        return number if plain else Value(number)

    def map(
        self, function: Callable[..., Any], args: Sequence[Any], axes: Sequence[int | None], reduce: str | None
    ) -> Any:
        """One instruction where that is possible, else the rows one after another."""
        rows, as_arrays = cut(function, args, axes)
        results = self.map_rows(function, rows, reduce) if self.maps else NotImplemented
        if results is NotImplemented:
            results = [function(*row) for row in rows]
        elif reduce is not None:
            return results
        return together(results, as_arrays, reduce)

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
        if isinstance(trace := getattr(operand, "builder", None), Trace):
            trace.check_in_use()
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
            self.hoisted[self.lifted[outer]] = outer
            self.lifted_inputs.append((outer, self.code[self.lifted[outer]].data))
        return self.lifted[outer]

    def leaf(self, node: Value) -> int:
        """A Value that is not traced comes from outside, and is read afresh at every call."""
        if node not in self.leaves and self.parent is not None:
            self.leaves[node] = self.lift(node)
        elif node not in self.leaves:
            if self.made_elsewhere.get(id(node)) is node:
                raise TypeError(
                    f"{node!r} was made in another thread while the function was captured, and is used at {caller()}: "
                    "its number would never change again. Compute it in the thread that calls the function, or before"
                )
            self.leaf_inputs.append((node, len(self.given)))
            self.leaves[node] = self.input(node._data)
        return self.leaves[node]

    def parents(self, outputs: Sequence[int]) -> list[Value]:
        """The Values from outside that results are computed from, if they are more to them than numbers."""
        reached = inputs_of_graph(self.code, outputs)
        return [node for node, at in self.leaves.items() if self.code[at].data in reached]

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

    def needed(self, value: int, known: Container[int]) -> list[int]:
        """All values that a value depends on, and itself, in order; those that are known, and theirs, are left out."""
        found: set[int] = set()
        stack = [value]
        while stack:
            at = stack.pop()
            if at not in known and at not in found:
                found.add(at)
                stack += self.code[at].operands
        return sorted(found)

    def is_constant(self, value: int) -> bool:
        """Whether a value depends on no input."""
        for at in self.needed(value, self.constancy):
            op, operands, _ = self.code[at]
            self.constancy[at] = op != "input" and all(self.constancy[o] for o in operands)
        return self.constancy[value]

    def is_count(self, value: int) -> bool:
        """Whether eager code has an int: comparisons and whole numbers, added up or multiplied."""
        stack = [value]
        for at in stack:
            op, operands, data = self.code[at]
            if op in COUNTING:
                stack += operands[1:] if op == "select" else operands
            elif op != "constant" or not data.is_integer():
                return False
        return self.code[value].op != "constant"

    def hoist(self, value: int) -> int | None:
        """Where the program around has a value that is the same for all rows; None if it is not."""
        assert self.parent is not None
        for at in self.needed(value, self.hoisted):
            op, operands, data = self.code[at]
            places = tuple([place for o in operands if (place := self.hoisted[o]) is not None])
            if op == "constant":
                number = type(data) is float
                self.hoisted[at] = self.parent.constant(data) if number else self.parent.truth_constant(data)
            else:  # an input that is not lifted belongs to a row
                shared = op != "input" and len(places) == len(operands)
                self.hoisted[at] = self.parent.emit(op, places, data) if shared else None
        return self.hoisted[value]

    def truth(self, predicate: int) -> bool:
        """What a comparison comes out as in this run; the program holds only while it does."""
        self.check_in_use()
        if not self.rows_branch and self.parent is not None and self.code[predicate].op != "constant":
            shared = self.hoist(predicate)
            if shared is None:
                raise derive.UnrollError(f"the comparison at {caller(source=True)}")
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
        return tracing(self)

    def keep_sample(self, mapped: Map, inner: Builder, order: Sequence[int]) -> None:
        """The inputs of the row that was captured."""
        assert isinstance(inner, Trace)
        self.samples[mapped] = [inner.given[number] for number in order]

    def map_rows(self, function: Callable[..., Any], rows: Sequence[Sequence[Any]], reduce: str | None) -> Any:
        """`vmap` inside a capture: one row is captured, the others are a loop. NotImplemented: unroll it."""
        mapped = self._capture_row(function, rows)
        if mapped is None:
            return NotImplemented
        child, outputs, rebuild, batched = mapped
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
    ) -> tuple[Trace, list[int], Rebuild, list[tuple[int, list[int]]]] | None:
        """The first row in a trace of its own, its results, and every input that differs with its operands."""
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
            with tracing(child):
                leaves, rebuild = flatten_result(function(*arguments))
                return child, [child.place(leaf) for leaf in leaves], rebuild, batched
        except derive.UnrollError as error:
            self.root().note_unrolled(len(rows), str(error))
            return None


def flatten_result(result: Any) -> tuple[list[Any], Rebuild]:
    """`flatten` for what a captured function returns: a comparison is 1 or 0."""
    name = "the result of the compiled function"
    _refuse_kept(result, name)
    return flatten(_as_numbers(result), name)


def _refuse_kept(tree: Any, path: str) -> None:
    """Raise for a traced number that a result holds, but not as one of its numbers: it would be frozen."""
    if type(tree) in (list, tuple) and only_leaves(tree):
        return
    parts = children(tree)
    for name, child in parts.named if parts else ():
        _refuse_kept(child, path + name)
    for name, kept in parts.kept.items() if parts else ():
        if _is_traced(kept):
            raise TypeError(
                f"the attribute {name!r} of {path}, a {type(tree).__name__}, holds a traced number, which "
                "would be that of the first call for ever: return it as an element or a field"
            )


def _is_traced(thing: Any) -> bool:
    if isinstance(thing, (Traced, Predicate)):
        return True
    parts = children(thing)
    return parts is not None and any(map(_is_traced, [child for _, child in parts.named]))


def _as_numbers(tree: Any) -> Any:
    if isinstance(tree, Predicate):
        return tree.select(1.0, 0.0)
    parts = children(tree)
    if parts is None:
        return tree
    before = [child for _, child in parts.named]
    now = [_as_numbers(child) for child in before]
    return tree if all(new is old for new, old in zip(now, before)) else parts.rebuild(now)


@contextmanager
def tracing(trace: Trace) -> Iterator[None]:
    """Write down the operations of the `with` block."""
    try:
        with recording_with(trace):
            yield
    finally:
        trace.finished = True


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


def _frozen(
    what: str, convert: Callable[[float], Any] | None = None, whole: Callable[[float], Any] | None = None
) -> Callable[[Traced], Any]:
    """A method that makes a plain number: of constants by `convert`, of counts of comparisons by `whole`."""

    def freeze(self: Traced) -> Any:
        trace = self.builder
        trace.check_in_use()
        if convert is not None and trace.is_constant(self.index):
            return convert(trace.value(self.index))
        if whole is not None and trace.is_count(self.index):
            number = trace.value(self.index)
            trace.truth(trace.emit("==", (self.index, trace.constant(number))))
            return whole(number)
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
        found = Predicate(trace, trace.emit(op, (trace.place(self), trace.place(other))))
        return bool(found) if trace.decides_comparisons() else found

    return compare


def current_trace() -> Trace | None:
    """The trace that records in this context."""
    recorder = current_recorder()
    return recorder if isinstance(recorder, Trace) else None


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
    current = current_trace()
    if current is not None and (found is None or _is_inside(current, found)):
        found = current
    assert found is not None
    found.check_in_use()
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
        self.builder.check_in_use()
        return format(self.builder.value(self.index), spec)

    def __copy__(self) -> Value:
        return connected_copy(self)

    def __deepcopy__(self, memo: object) -> Value:
        return connected_copy(self) if keeps_copies() else self.detach()

    def __hash__(self) -> int:
        if not sys._getframe(1).f_code.co_filename.startswith(PACKAGES) and self.builder.is_count(self.index):
            raise TypeError(
                f"a count of comparisons is a key at {caller()}: it is a number of the program, and would not be found "
                "where an equal whole number is. Make it one with int()"
            )
        return object.__hash__(self)

    __int__, __index__ = _frozen("int()", int, int), _frozen("an index made", None, int)
    __float__ = _frozen("float() (or a function of the math module)", float, float)
    __complex__ = _frozen("complex()", complex, complex)
    __lt__, __le__ = _comparison("<"), _comparison("<=")
    __gt__, __ge__ = _comparison(">"), _comparison(">=")
    __eq__ = _comparison("==")
    __ne__ = _comparison("!=")


class TraceSweeps:
    """Sweeps between the inputs and the outputs of a run in a trace: each adds its instructions to the program."""

    def __init__(self, trace: Trace, outputs: Sequence[Any], inputs: Sequence[Any], differentiable: bool) -> None:
        self.trace, self.outputs, self.inputs, self.differentiable = trace, outputs, inputs, differentiable

    def reverse(self, seeds: Mapping[Any, Any]) -> list[Any]:
        """The adjoint of every input."""
        self._check(seeds)
        if self.differentiable:
            return _zero_without_message(self._adjoints(seeds))
        nodes = {y: seed for y, seed in seeds.items() if isinstance(seed, Value)}
        totals = lower(self._adjoints({y: seed for y, seed in seeds.items() if y not in nodes}))
        for y, seed in nodes.items():  # the result depends on the seeds, but not on what the derivatives depend on
            terms = [None if d is None else seed * d for d in lower(self._adjoints({y: 1.0}))]
            totals = [b if a is None else a if b is None else a + b for a, b in zip(totals, terms)]
        return _zero_without_message(totals)

    def forward(self, seeds: Mapping[Any, Any]) -> list[Any]:
        """The tangent of every output."""
        self._check(seeds)
        trace = self.trace
        found = derive.forward(trace, {trace.place(x): trace.place(seed) for x, seed in seeds.items()})
        places = [trace.place(y) if isinstance(y, Value) else -1 for y in self.outputs]
        tangents = _zero_without_message([_user(trace, found[y]) if y in found else None for y in places])
        return tangents if self.differentiable else list(map(lower, tangents))

    def _check(self, seeds: Mapping[Any, Any]) -> None:
        """Raise where the seeds belong to a row of a map, but the run does not: it has no place for them."""
        if seeds and innermost([*seeds, *seeds.values()]) is not self.trace:
            raise derive.UnrollError(f"the sweep at {caller(source=True)}, which goes beyond the row")

    def _adjoints(self, seeds: Mapping[Any, Any]) -> list[Any]:
        """The adjoint of every input; None where no message arrives."""
        trace, starts = self.trace, dict[int, int]()
        for output, seed in seeds.items():
            at, weight = trace.place(output), trace.place(seed)
            starts[at] = trace.emit("add", (starts[at], weight)) if at in starts else weight
        places = [trace.place(x) for x in self.inputs]
        found = derive.reverse(trace, starts, places)
        return [_user(trace, found[x]) if x in found else None for x in places]


def _zero_without_message(derivatives: Sequence[Any]) -> list[Any]:
    return [0.0 if d is None else d for d in derivatives]


def _user(trace: Trace, value: int) -> Any:
    """A value as user code sees it: a float if it is constant, else a tracer."""
    number = trace.number(value)
    return Traced.of(trace, value) if number is None else number


def finish(trace: Trace, outputs: Sequence[int]) -> Program:
    """The captured program."""
    return Program(trace.code, list(outputs), len(trace.given), trace.guards)
