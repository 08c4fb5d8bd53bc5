"""Nests with loops whose extent is decided while they run, in scalar code: counters and carries stay in registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autograd.compiler.lower.module import Growing, Module, literal
from autograd.compiler.lower.nests import Nest
from autograd.compiler.lower.views import Index, Number, Operand, View
from autograd.compiler.lower.whiles import PATIENCE, write_growth, write_signals
from autograd.ir.block import GOING, STEPS, Array, Loop

EXPECTED = 100  # steps, for what a way to write a nest costs


def is_decided(loop: Loop) -> bool:
    """Whether the extent of a loop, or of one in it, is decided while it runs."""
    return loop.extent == STEPS or any(is_decided(i.data) for i in loop.body.code if i.op == "loop")


def fits_registers(loop: Loop, inside: bool = False) -> bool:
    """Whether such a loop may be a nest: one inside another stores nothing for its steps."""
    shapes = [kind.shape for kind in loop.body.inputs if isinstance(kind, Array)]
    if not all(isinstance(e, int) for shape in shapes for e in shape):
        return False
    if loop.extent == STEPS and inside and "each" in loop.kinds:
        return False
    known = isinstance(loop.extent, int) or loop.extent == STEPS
    return known and all(fits_registers(i.data, True) for i in loop.body.code if i.op == "loop")


class DecidedNest(Nest):
    """The function of such a nest; `growing` has the memory of the outermost loop's results, by their numbers."""

    def __init__(self, module: Module, growing: Mapping[int, Growing]) -> None:
        super().__init__(module, 1)
        self.growing: Mapping[int, Growing] = growing

    def run_loop(
        self, loop: Loop, operands: Sequence[Operand], targets: Sequence[View | None], rows: View | None = None
    ) -> list[Operand]:
        """Write a loop; its results."""
        if loop.extent != STEPS:
            return (
                self.in_turn(loop, operands, targets, rows)
                if is_decided(loop)
                else super().run_loop(loop, operands, targets, rows)
            )
        growing, self.growing = self.growing, {}  # those of a loop inside are none
        written = self._decided if loop.test else self._counted
        return written(loop, operands, targets, growing)

    def _handed_first(self, loop: Loop, operands: Sequence[Operand]) -> list[str]:
        """What the first step is handed: the carries, and zeros for the sums."""
        carries = [self.name(self.number(x)) for x in operands[loop.shared : loop.shared + loop.carries]]
        return carries + [literal(0.0, 1) for kind in loop.kinds if kind == "sum"]

    def _counted(
        self,
        loop: Loop,
        operands: Sequence[Operand],
        targets: Sequence[View | None],
        growing: Mapping[int, Growing],
    ) -> list[Operand]:
        """A loop of so many steps as its first operand tells: in between, it looks for signals now and then."""
        first, last = loop.shared, loop.shared + loop.carries
        given = self._handed_first(loop, operands)
        limit = self._limit(self.name(self.number(operands[0])))
        memory = self.module.layout_of_memory()
        failed = self.temporary(f"load i64, ptr {self.address('%work', memory.failed)}")
        fine = self.temporary(f"icmp eq i64 {failed}, 0")
        if growing:
            room = f"{write_growth(self.module, list(growing.values()))}(ptr %work, i64 {limit})"
            fine = self.temporary(f"and i1 {fine}, {self.temporary(f'call i1 {room}')}")
        limit = self.temporary(f"select i1 {fine}, i64 {limit}, i64 0")
        self.temporaries += 1
        head, made, weight, before = f"count{self.temporaries}", dict(self.made), self.weight, self.block
        names, outer = [f"%{head}.x{k}" for k in range(len(given))], [f"%{head}.o{k}" for k in range(len(given))]
        counter, following, more = f"%{head}.i", f"%{head}.next", f"%{head}.some"
        self.write(f"br label %{head}.stretch")
        self.lines.append(f"{head}.stretch:")
        places = range(len(self.lines), len(self.lines) + len(names) + 1)
        self.lines += [""] * len(places)
        self.write(f"{more} = icmp slt i64 %{head}.first, {limit}")
        stretch = self.temporary(f"add i64 %{head}.first, {PATIENCE}")
        within = self.temporary(f"icmp slt i64 {stretch}, {limit}")
        end = self.temporary(f"select i1 {within}, i64 {stretch}, i64 {limit}")
        self.write(f"br i1 {more}, label %{head}, label %{head}.done")
        self.lines.append(f"{head}:")
        inner = range(len(self.lines), len(self.lines) + len(names) + 1)
        self.lines += [""] * len(inner)
        self.block, self.weight = head, weight * EXPECTED
        number = counter
        if loop.backwards:
            after = self.temporary(f"sub i64 {limit}, {counter}")
            number = self.temporary(f"sub i64 {after}, 1")
        index = Index(number)
        arrays = [self.at(x, index) for x in operands[loop.shared + loop.handed :] if isinstance(x, View)]
        handed = [Number(name) for name in names[: loop.carries]]
        step = [*operands[:first], *handed, *operands[last : loop.shared + loop.handed], *arrays]
        after_step, added = self._step(loop, index, step, self._grown(targets, growing))
        then = [*[self.name(self.number(x)) for x in after_step], *self._added(names[loop.carries :], added)]
        self.write(f"{following} = add nsw i64 {counter}, 1")
        again = self.temporary(f"icmp slt i64 {following}, {end}")
        self.write(f"br i1 {again}, label %{head}, label %{head}.pause")
        self.lines[inner[0]] = f"  {counter} = phi i64 [%{head}.first, %{head}.stretch], [{following}, %{self.block}]"
        for place, name, start, value in zip(inner[1:], names, outer, then, strict=True):
            self.lines[place] = f"  {name} = phi double [{start}, %{head}.stretch], [{value}, %{self.block}]"
        self.lines.append(f"{head}.pause:")
        due = self.temporary(f"icmp slt i64 {following}, {limit}")
        self.write(f"br i1 {due}, label %{head}.signals, label %{head}.stretch")
        self.lines.append(f"{head}.signals:")
        stop = self.temporary(f"call i1 @{write_signals(self.module)}(ptr %work)")
        on = self.temporary(f"select i1 {stop}, i64 {limit}, i64 {following}")
        self.write(f"br label %{head}.stretch")
        ways = f"[{following}, %{head}.pause], [{on}, %{head}.signals]"
        self.lines[places[0]] = f"  %{head}.first = phi i64 [0, %{before}], {ways}"
        for place, name, start, value in zip(places[1:], outer, given, then, strict=True):
            ways = f"[{value}, %{head}.pause], [{value}, %{head}.signals]"
            self.lines[place] = f"  {name} = phi double [{start}, %{before}], {ways}"
        self.lines.append(f"{head}.done:")
        self.block, self.made, self.weight = f"{head}.done", made, weight
        numbers = [Number(name) for name in outer]
        return self._results(loop, operands, targets, numbers[: loop.carries], numbers[loop.carries :])

    def _grown(self, targets: Sequence[View | None], growing: Mapping[int, Growing]) -> list[View | None]:
        """Where results are stacked, once there is room for them."""
        reached: list[View | None] = list(targets)
        for k, buffer in growing.items():
            target = reached[k]
            assert target is not None
            where = self.temporary(f"load ptr, ptr {self.address('%work', buffer.slot)}")
            reached[k] = target._replace(pointer=where)
        return reached

    def _decided(
        self,
        loop: Loop,
        operands: Sequence[Operand],
        targets: Sequence[View | None],
        growing: Mapping[int, Growing],
    ) -> list[Operand]:
        """A loop that is tested before each step."""
        first, last = loop.shared, loop.shared + loop.carries
        given = self._handed_first(loop, operands)
        memory = self.module.layout_of_memory()
        failed = self.temporary(f"load i64, ptr {self.address('%work', memory.failed)}")
        fine = self.temporary(f"icmp eq i64 {failed}, 0")
        buffers = list(growing.values())
        self.temporaries += 1
        head, made, weight = f"while{self.temporaries}", dict(self.made), self.weight
        names, counter = [f"%{head}.x{k}" for k in range(len(given))], f"%{head}.i"
        before = self.block
        self.write(f"br label %{head}")
        self.lines.append(f"{head}:")
        places = range(len(self.lines), len(self.lines) + len(names) + 1)
        self.lines += [""] * len(places)
        self.block, self.weight = head, weight * EXPECTED
        more = self.temporary(f"fcmp une double {names[GOING]}, 0.0")
        more = self.temporary(f"and i1 {more}, {fine}")
        self.write(f"br i1 {more}, label %{head}.look, label %{head}.done")
        self._look(head, counter, f"{head}.done")
        if buffers:
            self._room(head, counter, buffers)
        reached = self._grown(targets, growing)
        index = Index(counter)
        arrays = [self.at(x, index) for x in operands[loop.shared + loop.handed :] if isinstance(x, View)]
        handed = [Number(name) for name in names[: loop.carries]]
        step = [*operands[:first], *handed, *operands[last : loop.shared + loop.handed], *arrays]
        after_step, added = self._step(loop, index, step, reached)
        following = [*[self.name(self.number(x)) for x in after_step], *self._added(names[loop.carries :], added)]
        self.write(f"{counter}.next = add nsw i64 {counter}, 1")
        self.lines[places[0]] = f"  {counter} = phi i64 [0, %{before}], [{counter}.next, %{self.block}]"
        for place, name, start, then in zip(places[1:], names, given, following, strict=True):
            self.lines[place] = f"  {name} = phi double [{start}, %{before}], [{then}, %{self.block}]"
        self.write(f"br label %{head}")
        self.lines.append(f"{head}.done:")
        self.block, self.made, self.weight = f"{head}.done", made, weight
        numbers = [Number(name) for name in names]
        return self._results(loop, operands, targets, numbers[: loop.carries], numbers[loop.carries :])

    def _limit(self, count: str) -> str:
        symbol = "llvm.fptosi.sat.i64.f64"
        self.module.declarations[symbol] = f"declare i64 @{symbol}(double)"
        return self.temporary(f"call i64 @{symbol}(double {count})")

    def _look(self, head: str, counter: str, done: str) -> None:
        """Look for signals now and then: a loop may never end."""
        self.lines.append(f"{head}.look:")
        since = self.temporary(f"and i64 {counter}, {PATIENCE - 1}")
        due = self.temporary(f"icmp eq i64 {since}, {PATIENCE - 1}")
        self.write(f"br i1 {due}, label %{head}.signals, label %{head}.body")
        self.lines.append(f"{head}.signals:")
        stop = self.temporary(f"call i1 @{write_signals(self.module)}(ptr %work)")
        self.write(f"br i1 {stop}, label %{done}, label %{head}.body")
        self.lines.append(f"{head}.body:")
        self.block = f"{head}.body"

    def _room(self, head: str, counter: str, buffers: Sequence[Growing]) -> None:
        """Make room for the numbers of this step."""
        capacity = self.temporary(f"load i64, ptr {self.address('%work', buffers[0].capacity)}")
        needed = self.temporary(f"add nsw i64 {counter}, 1")
        full = self.temporary(f"icmp sgt i64 {needed}, {capacity}")
        self.write(f"br i1 {full}, label %{head}.grow, label %{head}.enough")
        self.lines.append(f"{head}.grow:")
        grown = self.temporary(f"call i1 {write_growth(self.module, buffers)}(ptr %work, i64 {needed})")
        self.write(f"br i1 {grown}, label %{head}.enough, label %{head}.done")
        self.lines.append(f"{head}.enough:")
        self.block = f"{head}.enough"
