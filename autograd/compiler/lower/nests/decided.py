"""Nests with loops whose extent is decided while they run: counters and carries stay in registers.

In lanes, a loop goes on until its last lane is done: the carries of a lane that is done stay as they are, and it adds
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from autograd.compiler.lower.module import LEFT, Growing, Module, literal
from autograd.compiler.lower.nests.counted import one_of
from autograd.compiler.lower.nests.nest import Nest
from autograd.compiler.lower.nests.ordered import Ordered, ordered_sums
from autograd.compiler.lower.nests.views import Index, Number, Operand, Task, View
from autograd.compiler.lower.parallel import is_parallel
from autograd.compiler.lower.whiles import (
    executed,
    has_decided,
    patience,
    write_growth,
    write_signals,
    write_unheard,
)
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
    """The function of such a nest; `growing` has the memory of the outermost loop's results, by their numbers.

    In lanes, `active` is the name of the truth that says which of them take part in a step; without one, all do.
    """

    holds = False

    def __init__(self, module: Module, lanes: int, growing: Mapping[int, Growing], active: str = "") -> None:
        super().__init__(module, lanes)
        self.growing: Mapping[int, Growing] = growing
        self.active = active and self.temporary(f"fcmp une {self.type} {active}, zeroinitializer")

    def run_loop(self, task: Task, rows: View | None = None) -> list[Operand]:
        """Write a loop; its results."""
        if task.loop.extent != STEPS:
            return self.in_turn(task, rows) if is_decided(task.loop) else super().run_loop(task, rows)
        growing, self.growing = self.growing, {}  # those of a loop inside are none
        active = self.active
        found = self._decided(task, growing) if task.loop.test else self._counted(task, growing)
        self.active = active
        return found

    def add_to(self, x: Number, view: View) -> None:
        """Add a number to one in memory, in the lanes that take part: to add -0.0 changes nothing."""
        super().add_to(Number(self._chosen(self.name(x), literal(-0.0, self.lanes)), True) if self.active else x, view)

    def _chosen(self, name: str, other: str) -> str:
        """A number in the lanes that take part, another one in those that do not."""
        if not self.active:
            return name
        return self.temporary(f"select {self.bit} {self.active}, {self.type} {name}, {self.type} {other}")

    def _following(
        self, names: Sequence[str], carries: Sequence[Operand], added: Sequence[Number], loop: Loop
    ) -> list[str]:
        """What the next step is handed, given that of this one: the carries, and the sums with what this one adds."""
        after = [self._chosen(self.name(self.number(x)), before) for x, before in zip(carries, names)]
        nothing = literal(-0.0, self.lanes)
        parts = [Number(self._chosen(self.name(x), nothing), self.lanes > 1) for x in added]
        return [*after, *self._added(names[loop.carries :], parts)]

    def _handed_first(self, task: Task) -> list[str]:
        """What the first step is handed: the carries, and zeros for the sums."""
        carries = [self.name(self.number(x)) for x in task.roles().carries]
        return carries + [literal(0.0, self.lanes) for kind_ in task.loop.kinds if kind_ == "sum"]

    def _after_step(
        self, task: Task, index: Index, growing: Mapping[int, Growing], names: Sequence[str]
    ) -> tuple[list[Operand], list[str]]:
        """Write a step: the carries after it, and what the next step is handed."""
        loop, roles, wide = task.loop, task.roles(), self.lanes > 1
        elements = [self.at(x, index) for x in roles.elements if isinstance(x, View)]
        carries = [Number(name, wide) for name in names[: loop.carries]]
        given = [*roles.shared, *carries, *roles.accumulators, *elements]
        after, added = self._step(loop, index, given, self._grown(task.targets, growing))
        return after, self._following(names, after, added, loop)

    def _counted(self, task: Task, growing: Mapping[int, Growing]) -> list[Operand]:
        """A loop of as many steps as its first operand tells."""
        loop, given = task.loop, self._handed_first(task)
        count, limit = self._steps_of(self.number(task.operands[0]))
        fine = self._fine()
        if growing:
            room = f"{write_growth(self.module, list(growing.values()))}(ptr %work, i64 {limit})"
            fine = self.temporary(f"and i1 {fine}, {self.temporary(f'call i1 {room}')}")
        limit = self.temporary(f"select i1 {fine}, i64 {limit}, i64 0")
        begin, backwards = "0", loop.backwards
        ordered = ordered_sums(loop) if self.lanes == 1 else None
        if self.lanes == 1 and self._fits_lanes(loop, ordered):
            begin, given = self._blocks_of(task, limit, given, ordered)
            backwards = False

        def step(counter: str, names: Sequence[str]) -> list[str]:
            number = counter
            if backwards:
                after = self.temporary(f"sub i64 {limit}, {counter}")
                number = self.temporary(f"sub i64 {after}, 1")
            index = Index(number)
            if self.lanes > 1:
                step_of_all = self.name(Number("", counter=index))
                self.active = self.temporary(f"fcmp olt {self.type} {step_of_all}, {count}")
            return self._after_step(task, index, growing, names)[1]

        names = self._in_stretches(loop, begin, limit, given, step)
        numbers = [Number(name, self.lanes > 1) for name in names]
        return task.results(numbers[: loop.carries], numbers[loop.carries :])

    def _in_stretches(
        self, loop: Loop, begin: str, limit: str, given: Sequence[str], step: Callable[[str, Sequence[str]], list[str]]
    ) -> list[str]:
        """Write the steps from `begin` up to `limit`; what the last one hands on.

        They go in stretches, and after each of these the loop looks for signals.
        """
        self.temporaries += 1
        head, made, weight, before = f"count{self.temporaries}", dict(self.made), self.weight, self.block
        names, outer = [f"%{head}.x{k}" for k in range(len(given))], [f"%{head}.o{k}" for k in range(len(given))]
        first, counter, following, more = f"%{head}.first", f"%{head}.i", f"%{head}.next", f"%{head}.some"
        types = ["i64", *[self.type] * len(given)]
        self.write(f"br label %{head}.stretch")
        stretches = self.begin(f"{head}.stretch", len(types))
        self.write(f"{more} = icmp slt i64 {first}, {limit}")
        stretch = self.temporary(f"add i64 {first}, {patience(loop.body)}")
        within = self.temporary(f"icmp slt i64 {stretch}, {limit}")
        end = self.temporary(f"select i1 {within}, i64 {stretch}, i64 {limit}")
        self.write(f"br i1 {more}, label %{head}, label %{head}.done")
        steps = self.begin(head, len(types))
        self.weight = weight * EXPECTED
        after = step(counter, names)
        self.write(f"{following} = add nsw i64 {counter}, 1")
        again = self._unless_left(loop, self.temporary(f"icmp slt i64 {following}, {end}"))
        self.write(f"br i1 {again}, label %{head}, label %{head}.pause")
        ends = zip([first, *outer], [following, *after], strict=True)
        ways = [[(start, f"{head}.stretch"), (number, self.block)] for start, number in ends]
        self.choose(steps, [counter, *names], types, ways)
        self.begin(f"{head}.pause")
        due = self.temporary(f"icmp slt i64 {following}, {limit}")
        self.write(f"br i1 {due}, label %{head}.signals, label %{head}.stretch")
        self.begin(f"{head}.signals")
        stop = self.temporary(f"call i1 @{write_signals(self.module)}(ptr %work)")
        on = self.temporary(f"select i1 {stop}, i64 {limit}, i64 {following}")
        self.write(f"br label %{head}.stretch")
        three = zip([begin, *given], [following, *after], [on, *after], strict=True)
        ways = [[(start, before), (x, f"{head}.pause"), (y, f"{head}.signals")] for start, x, y in three]
        self.choose(stretches, [first, *outer], types, ways)
        self.begin(f"{head}.done")
        self._count_unheard(loop, first)
        self.made, self.weight = made, weight
        return outer

    def _steps_of(self, x: Number) -> tuple[str, str]:
        """The number of steps, in each lane, and the most of them."""
        if self.lanes == 1 and x.counter is not None and not x.name:
            return "", x.counter.name
        count = self._chosen(self.name(x), literal(0.0, self.lanes))
        return count, self._limit(count)

    def _fits_lanes(self, loop: Loop, ordered: Ordered | None) -> bool:
        """Whether steps may go in lanes: they only add to arrays, each to elements of its own, and to sums in order."""
        plain = not loop.kinds and all(i.op != "loop" for i in loop.body.code)
        return plain and (ordered is not None or is_parallel(loop))

    def _blocks_of(
        self, task: Task, limit: str, given: Sequence[str], ordered: Ordered | None
    ) -> tuple[str, list[str]]:
        """Write the steps that fill lanes; the first step that is left and the sums."""
        lanes, made, weight, before = self.module.machine.lanes, dict(self.made), self.weight, self.block
        end = self.temporary(f"and i64 {limit}, {-lanes}")
        some = self.temporary(f"icmp sgt i64 {end}, 0")
        self.temporaries += 1
        head = f"block{self.temporaries}"
        counter = f"%{head}.i"
        self.write(f"br i1 {some}, label %{head}, label %{head}.done")
        names = [f"%{head}.x{k}" for k in range(len(given))]
        places = self.begin(head, 1 + len(names))
        self.set_lanes(lanes)
        self.weight = weight * EXPECTED / lanes
        nothing = Ordered([], frozenset())
        after = self.ordered_block(task._replace(targets=[]), Index(counter, 1), ordered or nothing, names)
        self.set_lanes(1)
        self.write(f"{counter}.next = add nsw i64 {counter}, {lanes}")
        more, last = self.temporary(f"icmp slt i64 {counter}.next, {end}"), self.block
        self.write(f"br i1 {more}, label %{head}.look, label %{head}.done")
        self.begin(f"{head}.look")
        self._look(head, f"{counter}.next", max(patience(task.loop.body), lanes), at=0)
        self.write(f"br label %{head}")
        ends = zip(["0", *given], [f"{counter}.next", *after], strict=True)
        ways = [[(start, before), (number, self.block)] for start, number in ends]
        self.choose(places, [counter, *names], ["i64", *["double"] * len(names)], ways)
        self.begin(f"{head}.done")
        self.made, self.weight = made, weight
        left = [[(start, before), (then, last), (then, f"{head}.signals")] for start, then in zip(given, after)]
        return end, [self.temporary(one_of("double", several)) for several in left]

    def _grown(self, targets: Sequence[View | None], growing: Mapping[int, Growing]) -> list[View | None]:
        """Where results are stacked, once there is room for them."""
        reached: list[View | None] = list(targets)
        for k, buffer in growing.items():
            target = reached[k]
            assert target is not None
            where = self.temporary(f"load ptr, ptr {self.address('%work', buffer.slot)}")
            reached[k] = target._replace(pointer=where)
        return reached

    def _decided(self, task: Task, growing: Mapping[int, Growing]) -> list[Operand]:
        """A loop that is tested before each step: at first, and at the end of each step for the next."""
        loop, given = task.loop, self._handed_first(task)
        given[GOING] = self._chosen(given[GOING], literal(0.0, self.lanes))
        fine = self._fine()
        going = self._going(Number(given[GOING], self.lanes > 1))
        more = self.temporary(f"and i1 {self._any(going)}, {fine}")
        self.temporaries += 1
        head, made, weight, before = f"while{self.temporaries}", dict(self.made), self.weight, self.block
        names, counter = [f"%{head}.x{k}" for k in range(len(given))], f"%{head}.i"
        self.write(f"br i1 {more}, label %{head}, label %{head}.done")
        places = self.begin(head, 2 + len(names))
        self.weight = weight * EXPECTED
        self.active = f"%{head}.active" if self.lanes > 1 else ""
        self._look(head, counter, patience(loop.body))
        ways_out = [before, f"{head}.signals"]
        if growing:
            self._room(head, counter, list(growing.values()))
            ways_out.append(f"{head}.grow")
        after, following = self._after_step(task, Index(counter), growing, names)
        again = self._going(self.number(after[GOING]))
        if self.active:
            again = self.temporary(f"and {self.bit} {again}, {self.active}")
        self.write(f"{counter}.next = add nsw i64 {counter}, 1")
        more, latch = self._unless_left(loop, self._any(again)), self.block
        self.write(f"br i1 {more}, label %{head}, label %{head}.done")
        self.choose(places[:1], [counter], ["i64"], [[("0", before), (f"{counter}.next", latch)]])
        if self.active:
            self.choose(places[1:2], [self.active], [self.bit], [[(going, before), (again, latch)]])
        self.begin(f"{head}.done")
        stopped = [("0" if way == before else counter, way) for way in ways_out]
        steps = self.temporary(one_of("i64", [*stopped, (f"{counter}.next", latch)]))
        numbers = []
        for place, name, start, then in zip(places[2:], names, given, following, strict=True):
            self.lines[place] = f"  {name} = {one_of(self.type, [(start, before), (then, latch)])}"
            left = [(start if way == before else name, way) for way in ways_out]
            numbers.append(Number(self.temporary(one_of(self.type, [*left, (then, latch)])), self.lanes > 1))
        self._count_unheard(loop, steps)
        self.made, self.weight = made, weight
        return task.results(numbers[: loop.carries], numbers[loop.carries :])

    def _count_unheard(self, loop: Loop, steps: str) -> None:
        """Count the steps since this loop looked for signals."""
        unheard = write_unheard(self.module)
        mask = patience(loop.body) - 1
        self.write(f"call void @{unheard}(ptr %work, i64 {steps}, i64 {mask}, i64 {executed(loop.body)})")

    def _fine(self) -> str:
        """The truth that no loop of this call was left."""
        failed = self.temporary(f"load i64, ptr {self.address('%work', LEFT)}")
        return self.temporary(f"icmp eq i64 {failed}, 0")

    def _unless_left(self, loop: Loop, more: str) -> str:
        """The truth that a loop goes on, given whether it has another step: not if a loop in its step was left."""
        return self.temporary(f"and i1 {more}, {self._fine()}") if has_decided(loop) else more

    def _going(self, x: Number) -> str:
        """The truth that there is another step: in each lane."""
        if x.condition and x.wide == (self.lanes > 1):
            return x.condition
        return self.temporary(f"fcmp une {self.type} {self.name(x)}, {literal(0.0, self.lanes)}")

    def _any(self, going: str) -> str:
        """Whether a truth holds in any lane."""
        if self.lanes == 1:
            return going
        return self.temporary(self.module.of_lanes("or", going, self.lanes))

    def _limit(self, count: str) -> str:
        """The number of steps: in lanes, the largest."""
        if self.lanes > 1:
            largest = f"llvm.vector.reduce.fmax.v{self.lanes}f64"
            self.module.declarations[largest] = f"declare double @{largest}({self.type})"
            count = self.temporary(f"call double @{largest}({self.type} {count})")
        symbol = "llvm.fptosi.sat.i64.f64"
        self.module.declarations[symbol] = f"declare i64 @{symbol}(double)"
        return self.temporary(f"call i64 @{symbol}(double {count})")

    def _look(self, head: str, counter: str, steps: int, at: int = -1) -> None:
        """Look for signals once in this number of steps, in the last of them or in step `at`: a loop may never end."""
        since = self.temporary(f"and i64 {counter}, {steps - 1}")
        due = self.temporary(f"icmp eq i64 {since}, {at % steps}")
        self.write(f"br i1 {due}, label %{head}.signals, label %{head}.body{self.module.rarely()}")
        self.begin(f"{head}.signals")
        stop = self.temporary(f"call i1 @{write_signals(self.module)}(ptr %work)")
        self.write(f"br i1 {stop}, label %{head}.done, label %{head}.body")
        self.begin(f"{head}.body")

    def _room(self, head: str, counter: str, buffers: Sequence[Growing]) -> None:
        """Make room for the numbers of this step."""
        capacity = self.temporary(f"load i64, ptr {self.address('%work', buffers[0].capacity)}")
        needed = self.temporary(f"add nsw i64 {counter}, 1")
        full = self.temporary(f"icmp sgt i64 {needed}, {capacity}")
        self.write(f"br i1 {full}, label %{head}.grow, label %{head}.enough{self.module.rarely()}")
        self.begin(f"{head}.grow")
        grown = self.temporary(f"call i1 {write_growth(self.module, buffers)}(ptr %work, i64 {needed})")
        self.write(f"br i1 {grown}, label %{head}.enough, label %{head}.done")
        self.begin(f"{head}.enough")
