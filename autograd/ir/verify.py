"""The rules of the program form, checked: types, order, shapes, guards, and that nothing reads what was overwritten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from autograd.ir.block import (
    COMPARISONS,
    COUNT,
    LOGIC,
    LOOP,
    NUMBER,
    STEPS,
    TRUTH,
    TYPED,
    Array,
    Final,
    Instruction,
    Loop,
    Program,
    Type,
    Window,
    size_of,
    type_of,
)
from autograd.ir.elements import MANY
from autograd.ir.memory import arrays_written, continued
from autograd.rules import TABLE

# op → the types of its operands, where they are always the same
FIXED: dict[str, tuple[Type, ...]] = {
    "select": (TRUTH, NUMBER, NUMBER),
    "not": (TRUTH,),
    **dict.fromkeys(COMPARISONS, (NUMBER, NUMBER)),
    **dict.fromkeys(LOGIC.keys() - {"not"}, (TRUTH, TRUTH)),
}
PLAIN = {name: rule.arity for name, rule in TABLE.items() if rule.arity is not None and name not in TYPED}
NEW = frozenset({"zeros", "add_at", "item"})  # what makes an array that may be added to


class InvalidProgramError(Exception):
    """A program breaks a rule of the form; the code that made it has a bug."""


def verify(program: Program) -> Program:
    """The same program, if it keeps all rules.

    Raises
    ------
    InvalidProgramError
        With the instruction and the rule that it breaks.

    Examples
    --------
    >>> verify(Program([Instruction("neg", (0,))], [0]))
    Traceback (most recent call last):
        ...
    autograd.ir.verify.InvalidProgramError: v0 = neg (0,): operand 0 is not an earlier value
    """
    _Verifier(program, frozenset()).run()
    return program


class _Verifier:
    """Checks one block; `added` are the numbers of its inputs that may be added to."""

    def __init__(self, program: Program, added: frozenset[int]) -> None:
        self.program, self.added = program, added
        self.types: list[Type] = []
        self.results: dict[int, list[Type]] = {}
        self.root: list[int] = []  # whose storage the value of an array is
        self.gone: dict[int, int] = {}  # storage → the instruction that took it over

    def run(self) -> list[Type]:
        """Check the block; the types of its values."""
        types, root = self.types, self.root
        for at, instruction in enumerate(self.program.code):
            op, operands, _ = instruction
            if self._is_plain(at, op, operands):
                types.append(NUMBER)
                root.append(at)
            else:
                self.instruction(at, instruction)
        for o in self.program.outputs:
            if not 0 <= o < len(self.types) or self.types[o] == LOOP:
                raise InvalidProgramError(f"output {o} is no value")
            self._check_there(f"output {o}", o)
        for guard in self.program.guards:
            if not 0 <= guard.value < len(self.types) or self.types[guard.value] != TRUTH:
                raise InvalidProgramError(f"guard v{guard.value} is no truth")
        return self.types

    def instruction(self, at: int, instruction: Instruction) -> None:
        """Check an instruction, and note the type and the storage of its value."""
        op, operands, data = instruction
        self.at = at
        types = self.types
        for k, o in enumerate(operands):
            if not (isinstance(o, int) and 0 <= o < at):
                self.fail(f"operand {k} is not an earlier value")
            if self.gone and isinstance(types[o], Array) and self.root[o] in self.gone:
                self._check_there(f"{self.where}: operand {k}", o)
        given = [types[o] for o in operands]
        check = CHECKS.get(op)
        if check is not None:
            check(self, at, instruction, given)
        elif op in FIXED:
            if tuple(given) != FIXED[op]:
                self.fail(f"takes {_said(FIXED[op])}, not {_said(given)}")
        elif op != "pos" or not isinstance(given[0], Array):
            self._primitive(op, operands, given)
        if op == "item":
            types.append(self.results[operands[0]][data])
        else:
            types.append(type_of(instruction, types, self.program.inputs))
        self.root.append(self._root(at, instruction) if isinstance(types[at], Array) else at)

    def _primitive(self, op: str, operands: Sequence[int], given: Sequence[Type]) -> None:
        self.demand(op in TABLE, "there is no such operation")
        arity = TABLE[op].arity
        if op in MANY and given and isinstance(given[0], Array):
            self._elements(op, given)
            given = []
        if any(kind != NUMBER for kind in given):
            self.fail(f"takes numbers, not {_said(given)}")
        if arity not in (None, len(operands)):
            self.fail(f"takes {arity} operands, not {len(operands)}")

    def _is_plain(self, at: int, op: str, operands: Sequence[int]) -> bool:
        """Whether it is a primitive that keeps all rules: numbers before it are its operands, as many as it takes."""
        if PLAIN.get(op) != len(operands):
            return False
        types = self.types
        for o in operands:  # noqa: SIM110  # in half the time of `all`
            if not (isinstance(o, int) and 0 <= o < at and types[o] == NUMBER):
                return False
        return True

    @property
    def where(self) -> str:
        """The instruction that is checked, in messages."""
        op, operands, _ = self.program.code[self.at]
        return f"v{self.at} = {op} {operands if operands else ''}".rstrip()

    def _root(self, at: int, instruction: Instruction) -> int:
        """Whose storage a value is: an array that is read, added to or accumulated into stays where it was."""
        op, operands, _ = instruction
        before = operands[0] if op in ("read", "pos") else continued(self.program.code, at)
        return at if before is None else self.root[before]

    def demand(self, holds: bool, rule: str) -> None:
        """Raise unless the rule holds."""
        if not holds:
            self.fail(rule)

    def fail(self, rule: str) -> NoReturn:
        """Raise for a rule that does not hold; where its text is long, it is made only then."""
        raise InvalidProgramError(f"{self.where}: {rule}")

    def _check_there(self, what: str, value: int) -> None:
        if isinstance(self.types[value], Array) and self.root[value] in self.gone:
            taker = self.gone[self.root[value]]
            if value < taker and not isinstance(self.program.code[value].data, Final):
                raise InvalidProgramError(f"{what} is an array that v{taker} has changed")

    def take(self, at: int, array: int) -> None:
        """An instruction changes an array in place."""
        root = self.root[array]
        op, _, data = self.program.code[root]
        ours = op in NEW or (op == "input" and data in self.added)
        if not ours:
            self.fail(f"v{array} is not an array of this block that may be changed")
        self.gone[root] = at

    # ---- the operations that are no primitives ---------------------------------------------------------------

    def _input(self, at: int, instruction: Instruction, given: Sequence[Type]) -> None:
        self.demand(not given and 0 <= instruction.data < len(self.program.inputs), "there is no such input")

    def _constant(self, at: int, instruction: Instruction, given: Sequence[Type]) -> None:
        self.demand(not given and type(instruction.data) in (float, bool), "a constant is a float or a bool")

    def _custom(self, at: int, instruction: Instruction, given: Sequence[Type]) -> None:
        self._numbers(given, "takes")

    def _stop(self, at: int, instruction: Instruction, given: Sequence[Type]) -> None:
        self.demand(list(given) == [NUMBER], f"takes a number, not {_said(given)}")

    def _zeros(self, at: int, instruction: Instruction, given: Sequence[Type]) -> None:
        self.demand(not given and bool(instruction.data), "takes no operands, and has a shape")
        self.demand(STEPS not in instruction.data, "has as many elements as a loop has steps, which nobody knows")

    def _table(self, at: int, instruction: Instruction, given: Sequence[Type]) -> None:
        shape, numbers = instruction.data
        self.demand(not given and Array(shape).size() == len(numbers), f"{len(numbers)} numbers do not fill the shape")

    def _pack(self, at: int, instruction: Instruction, given: Sequence[Type]) -> None:
        self._numbers(given, "takes")
        self.demand(Array(instruction.data).size() == len(given), f"{len(given)} numbers do not fill the shape")

    def _read(self, at: int, instruction: Instruction, given: Sequence[Type]) -> None:
        self._window(instruction.data, given[0], given[1:])

    def _add_at(self, at: int, instruction: Instruction, given: Sequence[Type]) -> None:
        window: Window = instruction.data
        self._window(window, given[0], given[2:])
        expected = Array(window.shape) if window.shape else NUMBER
        if given[1] != expected:
            self.fail(f"adds {given[1]} to a window that is {expected}")
        array, added = instruction.operands[:2]
        self.demand(not isinstance(given[1], Array) or self.root[array] != self.root[added], "adds an array to itself")
        self.take(at, array)

    def _window(self, window: Window, array: Type, indices: Sequence[Type]) -> None:
        if not isinstance(array, Array):
            self.fail(f"takes an array, not {array}")
        self._numbers(indices, "indices are")
        self.demand(len(window.steps) == len(indices), "has not a step for each index")
        self.demand(len(window.strides) == len(window.shape), "has not a stride for each axis")
        if not indices:
            ends = [(e - 1) * s for e, s in zip(window.shape, window.strides) if isinstance(e, int)]
            low = window.offset + sum(min(end, 0) for end in ends)
            high = window.offset + sum(max(end, 0) for end in ends)
            self.demand(0 <= low and high < size_of(array), "the window is not inside the array")

    def _numbers(self, given: Sequence[Type], what: str) -> None:
        if given and set(given) != {NUMBER}:
            self.fail(f"{what} numbers, not {_said(given)}")

    def _elements(self, op: str, given: Sequence[Type]) -> None:
        count = 2 if op == "dot" else 1
        self.demand(len(given) == count and len(set(given)) == 1, f"takes {count} arrays of one length")
        self.demand(isinstance(given[0], Array) and len(given[0].shape) == 1, f"takes one axis, not {given[0]}")

    def _item(self, at: int, instruction: Instruction, given: Sequence[Type]) -> None:
        if list(given) != [LOOP]:
            self.fail(f"takes a loop, not {_said(given)}")
        count = len(self.results[instruction.operands[0]])
        self.demand(0 <= instruction.data < count, f"the loop has {count} results")

    def _loop(self, at: int, instruction: Instruction, given: Sequence[Type]) -> None:
        loop: Loop = instruction.data
        body = loop.body
        self.demand(len(body.inputs) == len(given) + 1, f"{len(given)} operands for {len(body.inputs)} inputs")
        self.demand(body.inputs[0] == NUMBER, "the counter is a number")
        if list(given) != loop.operand_types():
            self.fail(f"takes {_said(loop.operand_types())}, not {_said(given)}")
        self.demand(all(t == NUMBER for t in loop.by_role(given).carries), "carries are numbers")
        self.demand(len(body.outputs) == loop.handed + len(loop.kinds), "has not a kind for each result")
        self._extent(loop)
        first = loop.first_carry + loop.carries
        inside = _Verifier(body, frozenset(range(first, loop.first_element)))
        try:
            types = inside.run()
        except InvalidProgramError as error:
            raise InvalidProgramError(f"{self.where}: in its body, {error}") from None
        for k, o in enumerate(body.outputs[: loop.handed]):
            if types[o] != body.inputs[loop.first_carry + k]:
                self.fail(f"a step hands on {types[o]} as carry {k}")
        for k in range(loop.carries, loop.handed):
            root = body.code[inside.root[body.outputs[k]]]
            self.demand(
                root.op == "input" and root.data == loop.first_carry + k,
                f"accumulator {k} is another array after a step",
            )
        for kind, o in zip(loop.kinds, body.outputs[loop.handed :]):
            self.demand(kind in ("each", "sum"), f"a result cannot be of the kind {kind!r}")
            self.demand(kind == "each" or types[o] == NUMBER, f"only numbers are added up, not {types[o]}")
            self.demand(types[o] != TRUTH, "a truth is no result")
        for o in arrays_written(instruction):
            self.take(at, o)
        self.results[at] = loop.result_types(types)

    def _extent(self, loop: Loop) -> None:
        """A loop whose extent is decided while it runs has what decides."""
        if loop.extent != STEPS:
            self.demand(not loop.test, "a loop with a test has no other extent")
            return
        if loop.test:
            self.demand(loop.carries > COUNT and not loop.backwards, "a test needs two carries, and goes forwards")
        else:
            self.demand(loop.shared > 0 and loop.body.inputs[1] == NUMBER, "the first operand is the number of steps")


# What checks an operation that is no primitive. `pos` of an array, and truths, have rules of their own.
CHECKS: dict[str, Callable[[_Verifier, int, Instruction, Sequence[Type]], None]] = {
    "input": _Verifier._input,
    "constant": _Verifier._constant,
    "custom": _Verifier._custom,
    "stop": _Verifier._stop,
    "zeros": _Verifier._zeros,
    "table": _Verifier._table,
    "pack": _Verifier._pack,
    "read": _Verifier._read,
    "add_at": _Verifier._add_at,
    "item": _Verifier._item,
    "loop": _Verifier._loop,
}


def _said(types: Sequence[Type]) -> str:
    return ", ".join(map(str, types)) or "nothing"
