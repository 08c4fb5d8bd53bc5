"""Counted loops in the code of a nest, and what goes through arrays element by element."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from autograd.compiler.lower.module import kind, literal
from autograd.compiler.lower.nests.views import Access, Index, Number, Operand, View, neighbours, run_of
from autograd.compiler.lower.values import UNROLLED
from autograd.ir.block import Array

FEWEST_NEIGHBOURS = 4  # numbers that are copied as an array
STEP, HANDED = 2, 4  # what a step costs, and what handing on costs, in additions
Emit = Callable[[str, list[str]], list[str]]


def one_of(type_: str, ways: Iterable[tuple[str, str]]) -> str:
    """A phi node: a number for each block from which this one is reached."""
    return f"phi {type_} {', '.join([f'[{number}, %{label}]' for number, label in ways])}"


class Counted(Access):
    """Writes counted loops."""

    def counted(
        self,
        count: int,
        step: int,
        backwards: bool,
        given: Sequence[str],
        emit: Emit,
        types: Sequence[str] | None = None,
    ) -> list[str]:
        """A loop over a counter that hands numbers from step to step; `emit` writes a step.

        `types` are those of the numbers, if not all are in all lanes.
        """
        if count < 2:
            return emit("0", list(given)) if count else list(given)
        self.temporaries += 1
        head = f"loop{self.temporaries}"
        names = [f"%{head}.x{k}" for k in range(len(given))]
        counter, before, types = f"%{head}.i", self.block, types or [self.type] * len(given)
        self.write(f"br label %{head}")
        places = self.begin(head, 1 + len(names))
        self.weight *= count
        self.spend(STEP + (HANDED if names else 0))
        after = emit(counter, names)
        self.weight /= count
        first, stride, end = (step * (count - 1), -step, -step) if backwards else (0, step, step * count)
        self.write(f"{counter}.next = add nsw i64 {counter}, {stride}")
        self.write(f"%{head}.more = icmp ne i64 {counter}.next, {end}")
        ends = zip([str(first), *given], [f"{counter}.next", *after], strict=True)
        ways = [[(start, before), (following, self.block)] for start, following in ends]
        self.choose(places, [counter, *names], ["i64", *types], ways)
        self.write(f"br i1 %{head}.more, label %{head}, label %{head}.done")
        self.begin(f"{head}.done")
        return after

    def begin(self, label: str, choices: int = 0) -> range:
        """Begin a block of instructions; the lines left empty for its phi nodes, which `choose` writes."""
        self.lines.append(f"{label}:")
        self.block = label
        self.lines += [""] * choices
        return range(len(self.lines) - choices, len(self.lines))

    def choose(
        self, lines: range, names: Sequence[str], types: Sequence[str], ways: Iterable[Sequence[tuple[str, str]]]
    ) -> None:
        """Write phi nodes: the names for one of several numbers each, by the label of the block from which it came."""
        for line, name, type_, several in zip(lines, names, types, ways, strict=True):
            self.lines[line] = f"  {name} = {one_of(type_, several)}"

    def blocks(
        self,
        count: int,
        given: Sequence[str],
        emit: Callable[[Sequence[Index], list[str]], list[str]],
        again: bool = False,
        together: int = 1,
        types: Sequence[str] | None = None,
    ) -> list[str]:
        """A loop in lanes: whole blocks, some of them written together, then one with fewer lanes that count.

        If steps may run `again`, because all that they do is store results, the last block is a whole one as well.
        """
        lanes = self.module.machine.lanes
        self.set_lanes(lanes)
        full, rest = divmod(count, lanes)
        several, left = divmod(full, together)

        def some(i: str, names: list[str], blocks: int) -> list[str]:
            return emit([Index(self.plus(i, k * lanes), 1) for k in range(blocks)], names)

        names = self.counted(several, lanes * together, False, given, lambda i, names: some(i, names, together), types)
        if left:
            names = some(str((full - left) * lanes), names, left)
        if rest and full and again:
            names = emit([Index(str(count - lanes), 1)], names)
        elif rest:
            self.valid = rest
            names = emit([Index(str(full * lanes), 1)], names)
            self.valid = lanes
        self.set_lanes(1)
        return names

    def plus(self, base: str, more: int) -> str:
        """A whole number and a constant."""
        if base.isdigit():
            return str(int(base) + more)
        return self.temporary(f"add nsw i64 {base}, {more}") if more else base

    def total(self, name: str) -> Number:
        """The sum over the lanes of a vector: halves are added until one number is left."""
        lanes, flags = self.module.machine.lanes, self.module.machine.flags
        self.spend(2 * lanes.bit_length())
        while lanes > 1:
            half, type_ = lanes // 2, kind(lanes)
            parts = []
            for start in (0, half):
                order = ", ".join(f"i32 {start + k}" for k in range(half))
                shuffle = f"shufflevector {type_} {name}, {type_} poison, <{half} x i32> <{order}>"
                parts.append(self.temporary(shuffle))
            name = self.temporary(f"fadd {flags}{kind(half) if half > 1 else '<1 x double>'} {parts[0]}, {parts[1]}")
            lanes = half
        return Number(self.temporary(f"extractelement <1 x double> {name}, i64 0"))

    # ---- arrays --------------------------------------------------------------------------------------------

    def elementwise(self, views: Sequence[View], act: Callable[[Sequence[View]], None], again: bool = False) -> None:
        """Do something with the elements of arrays of the same shape, in lanes if they are neighbours.

        `again` tells whether it may be done twice.
        """
        shape = views[0].shape
        if not shape:
            act(views)
            return

        def row(index: Index, names: list[str]) -> list[str]:
            self.elementwise([self.at(view, index) for view in views], act, again)
            return names

        if Array(shape).size() <= UNROLLED and (self.lanes > 1 or shape[-1] < self.module.machine.lanes):
            for k in range(shape[0]):
                row(Index(str(k)), [])
        elif self.lanes == 1 and len(shape) == 1 and all(view.strides == (8,) for view in views):
            self.blocks(shape[0], [], lambda indices, names: row(indices[0], names), again)
        else:
            self.counted(shape[0], 1, False, [], lambda i, names: row(Index(i), names))

    def copy(self, source: View, target: View) -> None:
        """Copy an array."""
        self.elementwise([source, target], lambda pair: self.store(self.load(pair[0]), pair[1]), again=True)

    def copy_numbers(self, numbers: Sequence[Operand], targets: Sequence[View]) -> None:
        """Store numbers; those that are neighbours in memory, in both places, are copied as arrays."""
        at = 0
        while at < len(numbers):
            length = min(run_of(numbers, at), run_of(targets, at))
            if length < FEWEST_NEIGHBOURS:
                self.store(self.number(numbers[at]), targets[at])
                at += 1
                continue
            self.copy(neighbours(numbers[at : at + length]), neighbours(targets[at : at + length]))
            at += length

    def add_array(self, source: View, target: View) -> None:
        """Add an array to another."""
        self.elementwise([source, target], lambda pair: self.add_to(self.load(pair[0]), pair[1]))

    # ---- whole functions -----------------------------------------------------------------------------------

    def write_elements(self, how: str, source: View, target: View) -> str:
        """The text of a function that copies an array to another or adds it to that."""
        if how == "copy":
            self.copy(source, target)
        else:
            self.add_array(source, target)
        return self.text()

    def write_totals(self, source: View, target: View) -> str:
        """The text of a function that adds up the lanes of an array and adds the sums to another array."""
        lanes = self.module.machine.lanes

        def add(pair: Sequence[View]) -> None:
            self.set_lanes(lanes)
            name = self.temporary(f"load {self.type}, ptr {self.where(pair[0])}, align 8")
            self.set_lanes(1)
            self.add_to(self.total(name), pair[1])

        self.elementwise([source, target], add)
        return self.text()

    def write_chosen(self, source: View, target: View) -> str:
        """The text of a function that adds an array to another in the lanes where %ok is not 0, and clears it."""
        zero = literal(0.0, self.lanes)
        chosen = self.temporary(f"fcmp une {self.type} %ok, {zero}")

        def add(pair: Sequence[View]) -> None:
            name = self.name(self.load(pair[0]))
            name = self.temporary(f"select {self.bit} {chosen}, {self.type} {name}, {self.type} {zero}")
            self.add_to(Number(name, True), pair[1])
            self.store(Number("", constant=0.0), pair[0])

        self.elementwise([source, target], add)
        return self.text()

    def text(self) -> str:
        """The text of the function."""
        return "entry:\n" + "\n".join(self.lines) + "\n  ret void"
