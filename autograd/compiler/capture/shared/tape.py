"""A run of a function of which only the operations are noted, in numbers: enough to tell whether its program is known.

It takes a fraction of the time of a capture: nothing is looked up or put in another form. Events are operations on
numbers, reads of arguments, comparisons and guards. Whatever else the function asks of a trace makes the tape useless,
and the function is captured as usual. `_c/tape.h` has the common case in C.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from autograd.compiler.capture.trace import Trace
from autograd.compiler.capture.tracer import FLOAT, Traced
from autograd.ir.block import COMPARISONS, LOGIC, Instruction
from autograd.ir.builder import CALLED, Predicate
from autograd.ir.evaluate import Evaluator
from autograd.ir.roll.statements import EXACT
from autograd.modes import calling_frame, place_of
from autograd.native import extension
from autograd.rules import TABLE, Rule, take
from autograd.value import Value

EVENT, CONSTANT, ELEMENT, EXACTLY = range(4)  # where an operand comes from; the last: a constant that is part of a kind
ONE = Evaluator({})


class AstrayError(Exception):
    """The function asks what a tape cannot answer."""


def bits(number: float) -> int:
    """The bits of a float as an integer."""
    found: int = struct.unpack("q", struct.pack("d", number))[0]
    return found


def halves(number: int) -> tuple[int, int]:
    """An integer of 64 bits as two of 32, in the order in which they lie in memory."""
    first, second = struct.unpack("ii", struct.pack("q", number))
    return first, second


class PythonTape:
    """The events of a run.

    ``shapes`` has for each event the number of its operation and how many operands it has; then, for each operand,
    where it comes from, with the number of an argument's array, and the bits of a constant in two halves if it is part
    of what the operation is. ``numbers`` has one number for each operand: an
    event, the bits of a constant, or an offset in the array.
    """

    def __init__(self, arrays: Sequence[Sequence[float]]) -> None:
        self.arrays = arrays
        self.shapes, self.numbers, self.outcomes = array("i"), array("q"), array("q")
        self.lines: list[str] = []
        self.events: list[tuple[str, tuple[int, ...]]] = []
        self.starts = [(0, 0)]  # where each event begins in `shapes` and in `numbers`, and the end
        self.values: list[float] = []
        self.kept: list[int] = []  # for each event the one to be used in its place
        self.guarded: set[int] = set()

    def _note(self, op: str, sources: Sequence[tuple[int, int, int]], value: float, raw: tuple[int, ...] = ()) -> int:
        self.shapes.extend((NUMBERS[op], len(sources)))
        for where, what, number in sources:
            exact = op in EXACT and where == CONSTANT
            self.shapes.extend((EXACTLY, *halves(number)) if exact else (where | what << 2,))
            self.numbers.append(number)
        self.events.append((op, raw))
        self.starts.append((len(self.shapes), len(self.numbers)))
        self.values.append(value)
        self.kept.append(len(self.kept))
        return len(self.kept) - 1

    def _event(self, event: int) -> tuple[int, int, int]:
        return EVENT, 0, self.kept[event]

    def place(self, traced: Any) -> int | None:
        """The event of a tracer; an element is read."""
        if type(traced) is not Traced:
            return None
        if traced._index >= 0:
            return traced._index
        value = self.arrays[traced._array][traced._offset]
        return self._note("read", [(ELEMENT, traced._array, traced._offset)], value)

    def constant(self, number: float) -> int:
        """The event of a constant."""
        return self._note("constant", [(CONSTANT, 0, bits(number))], float(number))

    def operate(self, trace: TapeTrace, op: str, operands: tuple[Any, ...]) -> int | None:
        """The event of a primitive on operands of any kind; None if an operand is not a number."""
        sources: list[tuple[int, int, int]] = []
        given: list[float] = []
        for x in operands:
            if type(x) is Traced and x.builder is trace:
                sources.append(self._event(x._index) if x._index >= 0 else (ELEMENT, x._array, x._offset))
                given.append(self.values[x._index] if x._index >= 0 else self.arrays[x._array][x._offset])
            elif isinstance(x, (float, int)) and not isinstance(x, (Value, bool)):
                sources.append((CONSTANT, 0, bits(x)))
                given.append(float(x))
            else:
                return None
        return self._operation(op, sources, given)

    def emit(self, op: str, places: tuple[int, ...]) -> int | None:
        """The event of an operation on events; None if it is no operation of a tape."""
        return self._operation(op, [self._event(k) for k in places], [self.values[k] for k in places], places)

    def _operation(
        self, op: str, sources: list[tuple[int, int, int]], given: list[float], raw: tuple[int, ...] = ()
    ) -> int | None:
        if not given or ARITIES.get(op, -2) not in (-1, len(given)):
            return None
        try:
            value = given[0] if op in ("number", "stop") else ONE.instruction(Instruction(op, (0,) * len(given)), given)
        except ArithmeticError:
            return None
        return self._note(op, sources, float(value), raw)

    def truth(self, trace: TapeTrace, event: int) -> bool:
        """The outcome of a comparison, which becomes a guard.

        What the comparisons of `max` and `min` keep is their selection, as in `kept_by_comparisons`.
        """
        outcome = self.values[event] != 0.0
        if event in self.guarded:
            return outcome
        self.guarded.add(event)
        self.lines.append(trace.line())
        self._note("guard", [self._event(event)], 0.0)
        self.outcomes.append(outcome)
        op, raw = self.events[event]
        if op in ("<", ">") and len(raw) == 2 and all(self.events[k][0] in ("number", "stop") for k in raw):
            value = self.values[raw[0 if outcome else 1]]
            self.kept[raw[0 if outcome else 1]] = self._note("select", [self._event(k) for k in (event, *raw)], value)
        return outcome

    def noted(self, results: list[int]) -> tuple[bytes, bytes, bytes, list[str], list[int]]:
        """What was noted, as far as some events and the guards need it, and the numbers of these events in it."""
        needed = {*results, *[k for k, (op, _) in enumerate(self.events) if op == "guard"]}
        for k in range(len(self.events) - 1, -1, -1):
            if k in needed:
                needed.update([number for where, number in self._operands(k) if where == EVENT])
        place = {k: at for at, k in enumerate(sorted(needed))}
        shapes, numbers = array("i"), array("q")
        for k in place:
            shapes.extend(self.shapes[self.starts[k][0] : self.starts[k + 1][0]])
            numbers.extend([place[number] if where == EVENT else number for where, number in self._operands(k)])
        found = shapes.tobytes(), numbers.tobytes(), self.outcomes.tobytes()
        return *found, self.lines, [place[k] for k in results]

    def _operands(self, event: int) -> list[tuple[int, int]]:
        """Where the operands of an event come from, and their numbers."""
        at, number = self.starts[event]
        found: list[tuple[int, int]] = []
        end, at = self.starts[event + 1][0], at + 2
        while at < end:
            found.append((self.shapes[at], self.numbers[number + len(found)]))
            at += 3 if self.shapes[at] == EXACTLY else 1
        return found


class _NoCode:
    """Stands for the code of a trace that has none: whoever looks at it asks too much."""

    def __init__(self, trace: TapeTrace) -> None:
        self.trace = trace

    def __getattr__(self, name: str) -> NoReturn:
        self.trace.go_astray()

    def __getitem__(self, at: Any) -> NoReturn:
        self.trace.go_astray()

    def __len__(self) -> NoReturn:
        self.trace.go_astray()


class TapeTrace(Trace):
    """Records on a tape in place of a program."""

    __slots__ = ("tape", "astray", "floats")

    def __init__(self, arrays: list[list[float]], real_bools: bool) -> None:
        super().__init__(real_bools=real_bools)
        self.tape: Any = Tape(arrays)
        self.astray = False
        self.floats = False  # whether the function has taken the float of a Value
        self.code: Any = _NoCode(self)

    def go_astray(self, *given: Any, **options: Any) -> NoReturn:
        """Note that the function asks too much, also if it catches the exception."""
        self.astray = True
        raise AstrayError

    def line(self) -> str:
        """The line of the comparison that is made now."""
        frame = calling_frame()
        at = id(frame.f_code), frame.f_lasti
        if at not in self.lines:
            self.lines[at] = frame.f_code, place_of(frame, source=True)
        return self.lines[at][1]

    def emit(self, op: str, operands: tuple[int, ...] = (), data: Any = None) -> int:
        """The event of an operation."""
        name = "number" if op == "stop" and data == FLOAT else op
        found: int | None = self.tape.emit(name, operands) if data is None or name == "number" else None
        return self.go_astray() if found is None else found

    def place(self, operand: Any) -> int:
        """The event of an operand of any kind."""
        found = None
        if isinstance(operand, (Traced, Predicate)) and operand.builder is self:
            found = self.tape.place(operand) if isinstance(operand, Traced) else super().place(operand)
        elif isinstance(operand, (float, int)) and not isinstance(operand, Value):
            found = self.constant(float(operand))
        return self.go_astray() if found is None else found

    def constant(self, number: float) -> int:
        """The event of a constant."""
        found: int = self.tape.constant(number)
        return found

    def apply(self, rule: Rule, operands: Sequence[Any]) -> int:
        """The event of a primitive of the table."""
        if TABLE.get(rule.name) is not rule or rule.name in CALLED or rule is take:
            self.go_astray()
        found: int | None = self.tape.operate(self, rule.name, tuple(operands))
        return self.emit(rule.name, tuple([self.place(x) for x in operands])) if found is None else found

    def is_decided(self, predicate: int) -> bool:
        """Whether a comparison comes out the same in every run: a tape does not tell, and takes it as any other."""
        return False

    def truth(self, predicate: int) -> bool:
        """The outcome of a comparison, which becomes a guard."""
        self.check_in_use()
        if self.deciding is not None or self.taken is not None:
            self.go_astray()
        found: bool = self.tape.truth(self, predicate)
        return found

    def as_int(self, rounded: Value) -> Value:
        """The number itself; where an int is needed, the tape is left."""
        return rounded

    def of_ints(self, function: Any, a: Any, b: Any) -> Any:
        """Counts of comparisons are plain numbers on a tape."""
        return NotImplemented

    def as_plain(self, number: Any) -> Any:
        """The number itself. A tape does not tell where Python's arithmetic of its float raises."""
        self.floats = True
        return number

    def is_count(self, value: int) -> bool:
        """Whether eager code has an int: no number on a tape stands for one."""
        return False

    is_mixed = is_count

    append = input = element = truth_constant = fresh_leaves = sweeps = demand = prints = go_astray
    map = loop = repeat = loop_while = go_astray


OTHERS = ["<", "<=", ">", ">=", "==", "!=", "and", "or", "not", "select", "stop", "constant", "input"]
Tape: Any = PythonTape
OPERATIONS = [*TABLE, *OTHERS, "guard", "read", "number"]
if extension is not None:
    Tape, OPERATIONS = extension.tape(TapeTrace)
NUMBERS: Mapping[str, int] = {op: number for number, op in enumerate(OPERATIONS)}
ARITIES: dict[str, int] = {
    **{name: -1 if rule.arity is None else rule.arity for name, rule in TABLE.items() if name not in ("fsum", "take")},
    **dict.fromkeys([*COMPARISONS, "and", "or"], 2),
    **dict.fromkeys(["not", "stop", "number"], 1),
    "select": 3,
}
assert {*COMPARISONS, *LOGIC} <= {*OTHERS}
