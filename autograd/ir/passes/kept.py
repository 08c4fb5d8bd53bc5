"""Values of a loop's steps are kept for a later loop that would compute them again.

A reverse sweep over a loop begins each step with the carries that were stored, and computes again what it needs of the
step. That is right for sums and products, but a function of the library costs more than to store its value and to load
it. So its value is kept. And if what the sweep needs of a step comes from numbers that are no more than the carries,
these numbers are kept in place of the carries.

Two values are the same if they are the same operation on the same values, where both loops go through the same arrays
or the later one goes through what the first one stacked. Maps in the steps are looked into.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from autograd.ir.block import NUMBER, PREDICATES, Array, Instruction, Loop, Program, Type, Window, exact, types_of
from autograd.ir.builder import Builder
from autograd.ir.rewrite import copy, reached, with_bodies
from autograd.ir.rewriters import COMMUTATIVE, number_values

EXPENSIVE = frozenset({
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "atan2",
    "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "cbrt", "hypot", "pow", "erf", "erfc", "gamma", "lgamma",
    "digamma", "polygamma",
})  # fmt: skip  # a list of words
MOST_KEPT = 1 << 19  # numbers that are kept: more do not stay in the caches until they are used
PART = 8  # the share of those that the body of a loop may keep: its steps may run in lanes, each with its own numbers
GIVEN = frozenset({"input", "constant"})
UNLIKE = frozenset({"zeros", "add_at", "custom"})  # operations that may differ where they look alike


class Place(NamedTuple):
    """A value of a body, or of the body of a map in it."""

    at: int
    inside: int | None = None  # the instruction that is the map


Key = tuple[int, int]  # of a value: its number, and the extent of the map to which it belongs, or 0
NO_NUMBER = -1


class Load(NamedTuple):
    """Which result of which loop is loaded, from which step on."""

    loop: int
    result: int
    first: int


@dataclass
class Kept:
    """What a loop stacks for others: value → the new result. What it loads in place of computing it: value → where."""

    stacks: dict[Place, int] = field(default_factory=dict)
    loads: dict[Place, Load] = field(default_factory=dict)


def keep_expensive(program: Program, most: int = MOST_KEPT) -> Program:
    """The same program; its loops store values for later loops, at most this many numbers in all."""
    if not any(op == "loop" for op, _, _ in program.code):
        return program
    found = _Search(program, most).run()
    if found:
        program = _written(program, found)
    inner = with_bodies(program, lambda body: keep_expensive(body, most // PART))
    pairs = zip(inner.code, program.code)
    return program if all(new.op != "loop" or new.data.body is old.data.body for new, old in pairs) else inner


class _Numbered(NamedTuple):
    """Numbers for the values of a body, and for those of each map in it; equal values have equal numbers."""

    values: list[int]
    inside: dict[int, list[int]]

    def among(self, body: Program, there: Mapping[Key, Place]) -> Iterator[tuple[Place, Place]]:
        """The values of the body, and of the maps in it, that are among some: which of those, and where they are."""
        yield from [(there[n, 0], Place(at)) for at, n in enumerate(self.values) if (n, 0) in there]
        for inside, numbers in self.inside.items():
            extent = _steps(body.code[inside].data)
            yield from [(there[n, extent], Place(at, inside)) for at, n in enumerate(numbers) if (n, extent) in there]

    def only(self, body: Program, places: Collection[Place]) -> dict[Key, Place]:
        """The number and the extent of some values → where they are."""
        found = {(number, 0): place for at, number in enumerate(self.values) if (place := Place(at)) in places}
        for inside, numbers in self.inside.items():
            extent = _steps(body.code[inside].data)
            for at, number in enumerate(numbers):
                if (place := Place(at, inside)) in places:
                    found[number, extent] = place
        return found


class _Numbers:
    """Gives a number to each operation on numbered values.

    When it is `complete`, nothing gets a new number: what a later loop computes is either known or of no interest.
    """

    def __init__(self) -> None:
        self.known: dict[Any, int] = {}
        self.row: dict[int, int] = {}  # array → the value of a step of which it is the stack
        self.complete = False

    def number(self, key: Any) -> int:
        """The number of a key; a new object gets a new number, or NO_NUMBER."""
        if self.complete:
            return self.known.get(key, NO_NUMBER)
        return self.known.setdefault(key, len(self.known))

    def element(self, extent: int, array: int) -> int:
        """The element of an array in each step of a loop of this extent."""
        return self.row[array] if array in self.row else self.number(("element", extent, array))

    def stack(self, extent: int, value: int) -> int:
        """The array of a value's numbers in the steps of a loop of this extent."""
        found = self.number(("stack", extent, value))
        if found != NO_NUMBER:
            self.row[found] = value
        return found

    def body(self, body: Program, inputs: Sequence[int], among: Sequence[int] | None = None) -> _Numbered:
        """The numbers of a body, given those of its inputs; NO_NUMBER for values that are not among those asked for."""
        values = [NO_NUMBER] * len(body.code)
        inside: dict[int, list[int]] = {}
        for at in range(len(body.code)) if among is None else among:
            op, operands, data = body.code[at]
            if op == "input":
                values[at] = inputs[data]
            elif op == "item" and operands[0] in inside and body.code[operands[0]].data.kinds[data] == "each":
                loop = body.code[operands[0]].data
                values[at] = self.stack(loop.extent, inside[operands[0]][loop.body.outputs[data]])
            elif op in UNLIKE or op in ("loop", "item"):
                if op == "loop" and _is_known_map(data):
                    given = [values[o] for o in operands]
                    rows = [self.element(data.extent, array) for array in given[data.shared :]]
                    counter = self.number(("counter", data.extent))
                    inside[at] = self.body(data.body, [counter, *given[: data.shared], *rows]).values
                values[at] = self.number(object())
            else:
                given = [values[o] for o in operands]
                if NO_NUMBER not in given:
                    key = (op, *(sorted(given) if op in COMMUTATIVE else given), exact(op, data))
                    values[at] = self.number(key)
        return _Numbered(values, inside)


class _Earlier(NamedTuple):
    """What later loops are compared with: an earlier one, its values in numbers, and those that it always computes."""

    numbers: _Numbers
    values: list[int]
    there: dict[Key, Place]


class _Search:
    """Looks for loops of a program that compute again what earlier ones have computed."""

    def __init__(self, program: Program, most: int) -> None:
        self.code, self.types, self.left = program.code, types_of(program), most
        self.users = program.users()
        self.outputs = set(program.outputs)
        self.elements: dict[int, list[tuple[int, int]]] = {}  # of `_elements`
        self.earlier: dict[int, _Earlier] = {}  # of `_as_earlier`
        self.needed: dict[int, list[int]] = {}  # of `_needed`
        self.found: dict[int, Kept] = {}

    def run(self) -> dict[int, Kept]:
        """What each loop stacks and loads."""
        wanted: dict[int, list[Place]] = {}  # loop → its expensive values
        through: dict[int, list[int]] = {}  # array → the loops that go through it
        for at, (op, _, loop) in enumerate(self.code):
            if op == "loop" and isinstance(loop.extent, int):
                values = _expensive(loop.body)
                arrays = self._arrays(at)
                related = {before for array in arrays for before in (*through.get(array, ()), self._maker(array))}
                for before in sorted(related & wanted.keys()):
                    if (wanted[before] and values) or self.code[before].data.carries:
                        self._compare(before, at, wanted[before], values)
                wanted[at] = values
                for array in arrays:
                    through.setdefault(array, []).append(at)
        return self.found

    def _arrays(self, at: int) -> set[int]:
        """The arrays that a loop goes through."""
        return {array for array, _ in self._elements(at)}

    def _maker(self, array: int) -> int:
        """The loop of which an array is a result; the array itself if it is none."""
        op, operands, _ = self.code[array]
        return operands[0] if op == "item" else array

    def _compare(self, before: int, at: int, others: Sequence[Place], values: Sequence[Place]) -> None:
        """Let a loop load what an earlier one computes in any case."""
        shift = self._shift(before, at)
        stored = {} if shift is None else self._stored_carries(before, at, shift)
        if shift is None or not (stored or (others and values)):
            return
        body: Program = self.code[at].data.body
        numbers, first, there = self._as_earlier(before)
        among = None if stored else self._needed(at, values)
        second = numbers.body(body, self._inputs_after(numbers, first, before, at, shift), among)
        # value of the later loop → the same one of the earlier loop
        same = {value: one for one, value in second.among(body, there) if _code_of(body, value).op not in PREDICATES}
        for value in values:
            if value in same and same[value] in others:
                self._load(before, at, shift, value, same[value])
        instead = _Cut(self.code[at].data, same, stored).values() if stored else []
        if sum([self._extent(at, value) or 1 for value in instead]) <= len(stored):
            for value in instead:
                self._load(before, at, shift, value, same[value], is_instead=True)

    def _needed(self, at: int, values: Sequence[Place]) -> list[int]:
        """What the expensive values of a loop's body depend on, and themselves, in order."""
        if at not in self.needed:
            found = [value.at if value.inside is None else value.inside for value in values]
            self.needed[at] = sorted(reached(self.code[at].data.body, found))
        return self.needed[at]

    def _as_earlier(self, before: int) -> _Earlier:
        """What later loops are compared with."""
        if before not in self.earlier:
            body, numbers = self.code[before].data.body, _Numbers()
            numbered = numbers.body(body, self._inputs(numbers, before))
            numbers.complete = True
            self.earlier[before] = _Earlier(numbers, numbered.values, numbered.only(body, _certain(body)))
        return self.earlier[before]

    def _load(self, before: int, at: int, shift: int, value: Place, one: Place, is_instead: bool = False) -> None:
        """Let a loop load a value if there is room for it; what is stored in place of something else takes none."""
        loop: Loop = self.code[before].data
        if at in self.found and value in self.found[at].loads:
            return
        stacks = self.found.setdefault(before, Kept()).stacks
        if one not in stacks:
            size = 0 if is_instead else _steps(loop) * (self._extent(at, value) or 1)
            if size > self.left:
                return
            self.left -= size
            stacks[one] = loop.handed + len(loop.kinds) + len(stacks)
        self.found.setdefault(at, Kept()).loads[value] = Load(before, stacks[one], shift)

    def _stored_carries(self, before: int, at: int, shift: int) -> dict[int, int]:
        """The inputs of a loop that are carries of an earlier one and that nothing else needs; all of them, or none."""
        first: Loop = self.code[before].data
        carries = range(first.first_carry, first.first_carry + first.carries)
        found: dict[int, int] = {}
        loop: Loop = self.code[at].data
        for k, (array, row) in enumerate(self._elements(at), loop.first_element):
            value = self._stacked(before, array)
            source = None if value is None else first.body.code[value]
            if source is not None and source.op == "input" and source.data in carries:
                if row != shift or not self._is_only_for(array, at):
                    return {}
                found[k] = source.data
        return found

    def _is_only_for(self, array: int, loop: int) -> bool:
        """Whether nothing but a loop needs an array, or rows of it."""
        users = self.users[array]
        if array in self.outputs:
            return False
        return all(user == loop or (self.code[user].op == "read" and self._is_only_for(user, loop)) for user in users)

    def _extent(self, loop: int, place: Place) -> int:
        """The extent of the map in a loop's body to which a value belongs; 0 if it belongs to none."""
        return 0 if place.inside is None else _steps(self.code[loop].data.body.code[place.inside].data)

    def _source(self, array: int) -> tuple[int, int]:
        """An array that a loop goes through: rows of another one, and from which row on."""
        first = 0
        while (row := self._first_row(array)) is not None:
            array, first = self.code[array].operands[0], first + row
        return array, first

    def _first_row(self, array: int) -> int | None:
        """Which row of another array is the first one of an array, if it is some of its rows."""
        op, operands, data = self.code[array]
        if op != "read" or len(operands) > 1:
            return None
        kind = self.types[operands[0]]
        assert isinstance(kind, Array)
        strides = kind.strides()
        rows = data.shape and (data.shape[1:], data.strides) == (kind.shape[1:], strides)
        return data.offset // strides[0] if rows and data.offset % strides[0] == 0 else None

    def _stacked(self, before: int, array: int) -> int | None:
        """The value of a loop's body of which an array is the stack."""
        op, operands, data = self.code[array]
        loop = self.code[before].data
        if op != "item" or operands[0] != before or data < loop.handed or loop.kinds[data - loop.handed] != "each":
            return None
        value: int = loop.body.outputs[data]
        return value

    def _elements(self, at: int) -> list[tuple[int, int]]:
        """The arrays that a loop goes through, and from which row on."""
        if at not in self.elements:
            _, operands, loop = self.code[at]
            self.elements[at] = [self._source(o) for o in loop.by_role(operands).elements]
        return self.elements[at]

    def _shift(self, before: int, at: int) -> int | None:
        """Which step of an earlier loop belongs to the first one of a later loop; None if they share no array."""
        given = self._elements(at)
        found = [first for array, first in given if self._stacked(before, array) is not None]
        own = dict(self._elements(before))
        found += [first - own[array] for array, first in given if array in own]
        fits = bool(found) and 0 <= found[0] <= _steps(self.code[before].data) - _steps(self.code[at].data)
        return found[0] if fits else None

    def _inputs(self, numbers: _Numbers, at: int) -> list[int]:
        """Numbers for the inputs of a loop's body."""
        _, operands, loop = self.code[at]
        shared = [numbers.number(("value", o)) for o in operands[: loop.shared]]
        handed = [numbers.number(object()) for _ in range(loop.handed)]
        rows = [numbers.number(("row", *source)) for source in self._elements(at)]
        return [numbers.number("counter"), *shared, *handed, *rows]

    def _inputs_after(self, numbers: _Numbers, first: Sequence[int], before: int, at: int, shift: int) -> list[int]:
        """Numbers for the inputs of a later loop's body; its first step belongs to step `shift` of the earlier loop."""
        loop: Loop = self.code[at].data
        found = self._inputs(numbers, at)
        found[0] = found[0] if shift == 0 else numbers.number(object())
        for k, (array, row) in enumerate(self._elements(at), loop.first_element):
            value = self._stacked(before, array)
            if value is not None:
                found[k] = first[value] if row == shift else numbers.number(object())
            else:
                found[k] = numbers.number(("row", array, row - shift))
        return found


class _Cut:
    """What a later loop needs of the steps of an earlier one, as late as both compute the same.

    Parameters
    ----------
    loop : Loop
        The later loop.
    same : mapping
        Its values that the earlier loop computes too.
    stored : collection
        The inputs of its body that are carries of the earlier loop.
    """

    def __init__(self, loop: Loop, same: Mapping[Place, Place], stored: Collection[int]) -> None:
        self.body, self.same, self.stored = loop.body, same, stored
        self.depends = _depending(self.body, stored)
        self.found: dict[Place, None] = {}
        self.fits = True

    def values(self) -> list[Place]:
        """Numbers to be stored in place of all these carries; none if the carries themselves, or arrays, are needed."""
        body = self.body
        for o in (*body.outputs, *[guard.value for guard in body.guards]):
            self._need(o)
        for at, (op, operands, data) in enumerate(body.code):
            if op == "loop" and _is_known_map(data):
                self._look_into(at, operands, data)
            elif op not in GIVEN and Place(at) not in self.same:
                for o in operands:
                    self._need(o)
        return list(self.found) if self.fits else []

    def _need(self, o: int) -> None:
        """Something that is not the same in both loops needs a value of the body."""
        if not self.depends[o] or Place(o) not in self.same:
            return
        self.fits = self.fits and self.body.code[o].op not in (*GIVEN, "item", "read", "pack", "pos")
        self.found[Place(o)] = None

    def _look_into(self, at: int, operands: Sequence[int], loop: Loop) -> None:
        """Find what the steps of a map in the body need."""
        code = loop.body.code
        depends = _depending(loop.body, {k for k, o in enumerate(operands, 1) if self.depends[o]})
        needed = {*loop.body.outputs, *[guard.value for guard in loop.body.guards]}
        for k, (op, given, _) in enumerate(code):
            if op not in GIVEN and Place(k, at) not in self.same:
                needed.update(given)
        for o in needed:
            if depends[o] and Place(o, at) in self.same:
                op, _, data = code[o]
                if op == "input":
                    self._need(operands[data - 1])
                else:
                    self.found[Place(o, at)] = None


def _depending(body: Program, inputs: Collection[int]) -> list[bool]:
    """Whether each value of a body was computed from some of its inputs."""
    found: list[bool] = []
    for op, operands, data in body.code:
        found.append((op == "input" and data in inputs) or any(found[o] for o in operands))
    return found


def _code_of(body: Program, place: Place) -> Instruction:
    return (body if place.inside is None else body.code[place.inside].data.body).code[place.at]


def _steps(loop: Loop) -> int:
    assert isinstance(loop.extent, int)
    return loop.extent


def _is_known_map(loop: Loop) -> bool:
    return loop.is_map() and isinstance(loop.extent, int)


def _expensive(body: Program) -> list[Place]:
    """The expensive values of a body and of the maps in it."""
    found: list[Place] = []
    for at, (op, _, data) in enumerate(body.code):
        if op in EXPENSIVE:
            found.append(Place(at))
        elif op == "loop" and _is_known_map(data):
            found += [Place(k, at) for k, (inner, _, _) in enumerate(data.body.code) if inner in EXPENSIVE]
    return found


def _certain(body: Program) -> set[Place]:
    """The values that are needed whatever conditions hold: those that one side of a selection needs may be skipped."""
    found: set[Place] = set()
    needed = {*body.outputs, *[guard.value for guard in body.guards]}
    for at in range(len(body.code) - 1, -1, -1):
        if at in needed:
            op, operands, data = body.code[at]
            found.add(Place(at))
            needed.update(operands[:1] if op == "select" else operands)
            if op == "loop" and _is_known_map(data):
                found.update([place._replace(inside=at) for place in _certain(data.body) if place.inside is None])
    return found


def _written(program: Program, found: Mapping[int, Kept]) -> Program:
    """The program with the new results and what loads them."""

    def loop(builder: Builder, at: int, instruction: Instruction, place: Mapping[int, int]) -> int:
        kept = found[at]
        rows: dict[Load, int] = {}
        for load in kept.loads.values():
            if load not in rows:
                item = builder.emit("item", (place[load.loop],), load.result)
                kind = builder.type_of(item)
                assert isinstance(kind, Array)
                part = Window(
                    (instruction.data.extent, *kind.shape[1:]), load.first * kind.strides()[0], kind.strides()
                )
                rows[load] = item if part.shape == kind.shape else builder.emit("read", (item,), part)
        inputs = {load: k for k, load in enumerate(rows)}
        body_loads = {value: inputs[load] for value, load in kept.loads.items()}
        kinds = [builder.type_of(o).rest() for o in rows.values()]  # type: ignore[union-attr]
        new = _extended(instruction.data, list(kept.stacks), body_loads, kinds)
        return builder.emit("loop", (*instruction.operands, *rows.values()), new)

    return copy(program, (number_values,), special=dict.fromkeys(found, loop))


def _extended(loop: Loop, stacks: Sequence[Place], loads: Mapping[Place, int], kinds: Sequence[Type]) -> Loop:
    """A loop with further elements, of these types, in place of some values, and that stacks others."""
    body, count = loop.body, len(kinds)
    code = [Instruction("input", (), len(body.inputs) + k) for k in range(count)]
    place: list[int] = []
    for at, (op, operands, data) in enumerate(body.code):
        operands = tuple([place[o] for o in operands])
        if op == "loop":
            inner = {value: k for value, k in loads.items() if value.inside == at}
            used = sorted(set(inner.values()))
            data = _extended(
                data,
                [Place(value.at) for value in stacks if value.inside == at],
                {Place(value.at): used.index(k) for value, k in inner.items()},
                [NUMBER] * len(used),
            )
            operands += tuple(used)
        load = loads.get(Place(at))
        place.append(len(code) if load is None else load)
        code.append(Instruction(op, operands, data))
    outputs = [place[o] for o in body.outputs]
    own: dict[int, int] = {}  # map → how many results it has so far
    for at, inside in stacks:
        if inside is not None:
            own[inside] = own.get(inside, len(body.code[inside].data.kinds)) + 1
            code.append(Instruction("item", (place[inside],), own[inside] - 1))
        outputs.append(place[at] if inside is None else len(code) - 1)
    guards = [guard._replace(value=place[guard.value]) for guard in body.guards]
    new = Program(code, outputs, (*body.inputs, *kinds), guards)
    return replace(loop, body=new, kinds=(*loop.kinds, *["each"] * len(stacks)), primal=None)
