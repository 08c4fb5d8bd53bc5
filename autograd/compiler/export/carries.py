"""What each step of a loop hands to the next: in variables, in an array, or in rows as in machine code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from autograd.compiler.export.expressions import Affine, Text, View, element
from autograd.compiler.export.runs import FEWEST
from autograd.compiler.export.statements import changed, kind_of
from autograd.compiler.export.sums import Summing
from autograd.compiler.lower.nests.columns import Columns, columns_of, made_in_place
from autograd.ir.block import COUNT, GOING, Loop


@dataclass
class Carries:
    """Where the carries of a loop are.

    Attributes
    ----------
    given, handed, last : list of (View or None)
        Where a step finds them, where it stores the next ones, and where the last ones are. None if nothing needs it.
    between : dict
        Input of the body that all steps share → its place in the rows, between the carries.
    filled : dict
        Place in its row that a step must fill first → the number.
    made : dict
        Instruction of the body → the places in the next row where the array that it makes is stored.
    stored : dict
        Result of the loop → where the carries of all steps are that it consists of.
    turn : list of str
        Statements that end a step.
    """

    given: list[View | None] = field(default_factory=list)
    handed: list[View | None] = field(default_factory=list)
    last: list[View | None] = field(default_factory=list)
    between: dict[int, View] = field(default_factory=dict)
    filled: dict[View, Text] = field(default_factory=dict)
    made: dict[int, View] = field(default_factory=dict)
    stored: dict[int, View] = field(default_factory=dict)
    turn: list[str] = field(default_factory=list)

    def inputs(self) -> list[Text]:
        """The carries as a step reads them. If it stores the next ones in the same places, it must have read them."""
        reads = [frozenset([str(c)]) if c is h else frozenset[str]() for c, h in zip(self.given, self.handed)]
        return [Text("") if c is None else element(c)._replace(reads=r) for c, r in zip(self.given, reads)]


class Carrying(Summing):
    """Statements for carries."""

    def carries(self, at: int, loop: Loop, operands: Sequence[int], index: Affine) -> Carries:
        """Store the first carries of a loop; return where the carries are in the step with an index."""
        first = [self.number(o) for o in loop.by_role(operands).carries]
        columns = columns_of(
            loop, [k for (value, k), item in self.item_of.items() if value == at and self.is_placed(item)]
        )
        if columns is None:
            return self._in_variables(first, loop, self._left_out(at, loop))
        shared = {k: self.number(operands[k - 1]) for k in columns.shared(loop)}
        if columns.stored and isinstance(loop.extent, int):
            return self._in_rows_of_all_steps(first, shared, loop, loop.extent, columns, index)
        return self._in_two_rows(first, shared, loop, columns)

    def is_placed(self, item: int) -> bool:
        """Whether a result of a loop must be an array of its own."""
        return item in self.targets or item in self.last_change

    def _left_out(self, at: int, loop: Loop) -> set[int]:
        """The carry that counts the steps, if nothing needs it."""
        if not loop.test or (at, COUNT) in self.item_of:
            return set()
        code, uses = loop.body.code, loop.body.uses()
        after = loop.body.outputs[COUNT]
        inputs = [k for k, i in enumerate(code) if i.op == "input" and i.data == loop.first_carry + COUNT]
        only = code[after].op == "add" and uses[after] == 1 and set(inputs) < set(code[after].operands)
        return {COUNT} if only and all(uses[k] == 1 for k in inputs) else set()

    def _in_variables(self, first: Sequence[Text], loop: Loop, left_out: set[int]) -> Carries:
        """Carries in variables, or in an array if there are many."""
        apart = [k for k in range(loop.carries) if loop.test and k in (GOING, COUNT)]
        others = [k for k in range(loop.carries) if k not in apart]
        if len(others) < FEWEST:
            apart, others = [*apart, *others], []
        found: list[View | None] = [None] * loop.carries
        for k in apart:
            if k not in left_out:
                found[k] = self._variable("c", first[k])
        if others:
            array = self._array("c", len(others))
            self.parts.carried.add(array.base)
            self.assign(array.numbers(), [first[k] for k in others])
            for k, place in zip(others, array.numbers()):
                found[k] = place
        return Carries(found, found, found)

    # ---- in rows ---------------------------------------------------------------------------------------------------

    def _in_rows_of_all_steps(
        self, first: Sequence[Text], shared: dict[int, Text], loop: Loop, extent: int, columns: Columns, index: Affine
    ) -> Carries:
        """A row for each step, and one for what the last step hands on; a loop backwards begins with the last row."""
        rows = self.work_array((extent + 1, len(columns.of)))
        later, earlier = index.moved(1), index
        now, following = (later, earlier) if loop.backwards else (earlier, later)
        begin, end = (extent, 0) if loop.backwards else (0, extent)
        found = self._of_rows(loop, columns, rows.row(now), rows.row(following), rows.row(Affine(end)))
        self._fill(first, loop, columns, rows.row(Affine(begin)))
        found.filled = {place: shared[k] for k, place in found.between.items()}
        for item, column in columns.stored.items():
            first_place = rows.at([int(loop.backwards), column])
            found.stored[item] = first_place._replace(shape=(extent,), strides=rows.strides[:1])
        return found

    def _in_two_rows(self, first: Sequence[Text], shared: dict[int, Text], loop: Loop, columns: Columns) -> Carries:
        """Two rows that take turns: a step reads one and writes the other."""
        pair = self._array("a", 2 * len(columns.of))
        halves = pair._replace(shape=(2, len(columns.of)), strides=(len(columns.of) * pair.strides[0], *pair.strides))
        names = [self.parts.names.numbered("c") for _ in range(2)]
        self.line(f"double *{names[0]} = {pair.base}, *{names[1]} = {pair.base} + {halves.strides[0]};")
        now, following = [halves.row(Affine())._replace(base=name) for name in names]
        found = self._of_rows(loop, columns, now, following, now)
        self._fill(first, loop, columns, now)
        for row in (now, following):
            self.assign([row.at([columns.of[k]]) for k in shared], list(shared.values()))
        old = self.parts.names.numbered("c")
        found.turn = [f"double *const {old} = {names[0]};", f"{names[0]} = {names[1]};", f"{names[1]} = {old};"]
        return found

    @staticmethod
    def _of_rows(loop: Loop, columns: Columns, now: View, following: View, last: View) -> Carries:
        """The carries as columns of rows."""
        of = [columns.of[loop.first_carry + k] for k in range(loop.carries)]
        given, handed, final = ([row.at([column]) for column in of] for row in (now, following, last))
        found = Carries([*given], [*handed], [*final])
        found.between = {k: now.at([columns.of[k]]) for k in columns.shared(loop)}
        for at, (column, count) in made_in_place(loop, columns).items():
            found.made[at] = following._replace(start=following.at([column]).start, shape=(count,))
        return found

    def _fill(self, first: Sequence[Text], loop: Loop, columns: Columns, row: View) -> None:
        """Store the first carries, in the order of their columns."""
        columns_and_numbers = sorted([(columns.of[loop.first_carry + k], k) for k in range(loop.carries)])
        self.assign([row.at([column]) for column, _ in columns_and_numbers], [first[k] for _, k in columns_and_numbers])

    # ---- at the end of a step ---------------------------------------------------------------------------------------

    def hand_on(self, carries: Carries, outputs: Sequence[Text]) -> None:
        """Assign all carries; none is overwritten before the others have used it."""
        made = {str(place) for view in carries.made.values() for place in view.numbers()}
        pairs = [(place, text) for place, text in zip(carries.handed, outputs) if place is not None]
        if carries.handed is not carries.given:  # neighbours follow one another, so they may become a loop
            pairs.sort(key=lambda pair: pair[0].start.constant)
        left = dict(enumerate([(place, text) for place, text in pairs if str(place) not in {text.text, *made}]))
        readers: dict[str, set[int]] = {}
        for k, (_, text) in left.items():
            for name in text.reads:
                readers.setdefault(name, set()).add(k)

        def in_use(k: int) -> bool:
            place = left[k][0]
            return bool((readers.get(str(place), set()) | readers.get(place.base, set())) - {k})

        def forget(k: int) -> None:
            for name in left[k][1].reads:
                readers[name].discard(k)

        while left:
            free = [k for k in left if not in_use(k)]
            if not free:
                k = next(k for k in left if left[k][1].reads)
                forget(k)
                name = self.parts.names.numbered("t")
                self.line(f"const {kind_of(left[k][1])} {name} = {left[k][1].text};")
                left[k] = (left[k][0], Text(name, wide=left[k][1].wide))
                continue
            self._statements([left[k] for k in free], changed)
            for k in free:
                forget(k)
                del left[k]
        for statement in carries.turn:
            self.line(statement)
