"""Blocks in C: the instructions of a program, or of the body of a loop, as statements. Loops stay loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from autograd.compiler.export.expressions import (
    FUNCTIONS,
    HELPED,
    SAME_IN_C,
    UNARY,
    Affine,
    Text,
    View,
    element,
)
from autograd.compiler.export.runs import FEWEST
from autograd.compiler.export.statements import WITHOUT_CALLS, Statements, added, changed
from autograd.ir.block import CALL, COUNT, GOING, STEPS, Array, Loop, Type, types_of
from autograd.ir.memory import root_of

BLOCK = 8  # steps of a loop that adds up: each has a sum of its own, so compilers may do them together
CALLS = frozenset({*FUNCTIONS, *HELPED, "custom"}) - {*SAME_IN_C, *WITHOUT_CALLS, "abs", "copysign"}


class Block(Statements):
    """Statements for a program or the body of a loop, with the loops in it."""

    def _item(self, at: int, operands: tuple[int, ...], data: Any) -> Text | View:
        found: Text | View = self.values[operands[0]][data]
        return found

    def _loop(self, at: int, operands: tuple[int, ...], loop: Loop) -> list[Text | View]:
        """A loop; its results."""
        types = loop.result_types(types_of(loop.body))
        shared = [self.values[o] if isinstance(self.types[o], Array) else self.name(o) for o in operands[: loop.shared]]
        if _adds_up(loop):
            found = self._in_blocks(at, operands, loop, types, shared)
            if found is not None:
                return found
        left_out = self._left_out(at, loop)
        carries = self._carries(loop, operands[loop.shared : loop.shared + loop.carries], left_out)
        handed = [Text("") if c is None else element(c)._replace(reads=frozenset([str(c)])) for c in carries]
        rest = [self.values[o] for o in operands[loop.shared + loop.carries :]]
        targets = self._places(at, loop, types, self._sums(loop.kinds.count("sum")))
        results: list[Text | View] = [Text("") if c is None else element(c) for c in carries]
        results += rest[: loop.accumulators]
        results += [target if target.shape else element(target) for target in targets]
        if loop.extent == 0:
            return results
        counter, flags = self.parts.counter(self.depth), self._flags(loop)
        self.line(f"{self._head(loop, operands, counter, carries)} {{")
        if loop.extent == STEPS and "each" in loop.kinds:
            self.parts.line(self.depth + 1, f"if ({counter} >= (ptrdiff_t){self.parts.most_steps()})")
            self.parts.line(self.depth + 2, f"return {self.parts.out_of_steps()};")
        index = Affine(0, ((counter, 1),))
        elements = self._elements(rest[loop.accumulators :], index)
        number = Text(f"(double){counter}", UNARY, whole=index)
        given = [number, *shared, *handed, *rest[: loop.accumulators], *elements]
        self._step(loop, given, carries, self._of_step(loop, targets, index), self.depth + 1, flags)
        self.line("}")
        self._look_at(flags, loop)
        return results

    def _places(self, at: int, loop: Loop, types: Sequence[Type], sums: Iterator[View]) -> list[View]:
        """Where the results of all steps go, besides what is handed on."""
        targets: list[View] = []
        stacked: dict[int, View] = {}  # what each step has of a value of the body
        together = self._stacked_together(at, loop, types)
        for k, kind in enumerate(loop.kinds, loop.handed):
            if kind == "sum":
                targets.append(next(sums))
                continue
            made, value = types[k], loop.body.outputs[k]
            assert isinstance(made, Array)
            item = self.item_of.get((at, k), -1)
            target = self.targets.get(item)
            if target is None and item not in self.last_change and value in stacked:
                target = stacked[value]
            elif k in together:
                target = together[k]
            elif target is None:
                target = self.parts.room(made.shape)
            if item not in self.last_change:
                stacked.setdefault(value, target)
            targets.append(target)
        return targets

    def _stacked_together(self, at: int, loop: Loop, types: Sequence[Type]) -> dict[int, View]:
        """Many numbers of which each step has one lie row by row in one array, a row for each step."""
        found: dict[int, int] = {}  # result → the value in the body
        for k, kind in enumerate(loop.kinds, loop.handed):
            item, made = self.item_of.get((at, k), -1), types[k]
            alone = isinstance(made, Array) and len(made.shape) == 1
            if kind == "each" and alone and item not in self.targets and item not in self.last_change:
                found[k] = loop.body.outputs[k]
        values = list(dict.fromkeys(found.values()))
        if len(values) < FEWEST:
            return {}
        rows = self.parts.room((loop.extent, len(values)))
        columns = {v: View(rows.base, Affine(n), rows.shape[:1], rows.strides[:1]) for n, v in enumerate(values)}
        return {k: columns[value] for k, value in found.items()}

    def _head(self, loop: Loop, operands: Sequence[int], counter: str, carries: Sequence[View | None]) -> str:
        """The head of a loop."""
        if loop.test:
            return f"for (ptrdiff_t {counter} = 0; {carries[GOING]} != 0.0; {counter}++)"
        extent: int | str = loop.extent
        if loop.is_counted:
            extent = str(self.index(operands[0]))
        return f"for ({self.parts.head(counter, extent, loop.backwards)})"

    def _step(
        self,
        loop: Loop,
        inputs: Sequence[Text | View],
        carries: Sequence[View | None],
        targets: Sequence[View],
        depth: int,
        flags: dict[str, str],
    ) -> None:
        """The body of a loop."""
        body = loop.body
        places: dict[int, View] = {}  # arrays that are made where they are to be stacked
        for o, target in zip(body.outputs[loop.handed :], targets):
            root = root_of(body, o)
            if target.shape and body.code[root].op in ("zeros", "pack", "item"):
                places.setdefault(root, target)
        inside = Block(self.parts, body, inputs, places, depth, is_parallel(loop))
        inside.flags = flags
        left = [k for k, place in enumerate(carries) if place is None]
        if left:  # what nothing needs is not written
            inside.uses = [0 if at == body.outputs[left[0]] else use for at, use in enumerate(inside.uses)]
        outputs = inside.run()
        done: set[View] = set()
        numbers: dict[View, Text] = {}
        for found, target, kind in zip(outputs[loop.handed :], targets, loop.kinds):
            if kind == "sum":
                continue
            if target in done:
                continue
            elif target.shape:
                if found != target:
                    inside.together(target, "=", found)
            else:
                numbers[target] = found
            done.add(target)
        inside.assign(list(numbers), list(numbers.values()))
        added = zip(outputs[loop.handed :], targets, loop.kinds)
        inside.add([(target, found) for found, target, kind in added if kind == "sum"])
        pairs = [(place, text) for place, text in zip(carries, outputs) if place is not None]
        inside.hand_on([(place, text) for place, text in pairs if text.text != str(place)])

    # ---- in blocks -------------------------------------------------------------------------------------------------

    def _in_blocks(
        self, at: int, operands: tuple[int, ...], loop: Loop, types: Sequence[Type], shared: Sequence[Text | View]
    ) -> list[Text | View] | None:
        """A loop whose steps only add up, in blocks: several sums at a time, as machine code has them.

        Compilers do the steps of a block together. None if a step has loops of its own, which keep them from it.
        """
        saved, count, flags = self.parts.saved(), loop.kinds.count("sum"), self._flags(loop)
        counter, lane = self.parts.counter(self.depth), self.parts.counter(self.depth + 1)
        sums = self._array("s", BLOCK * count)
        self.together(sums, "=", "0.0")
        lanes = iter([View(sums.base, Affine(BLOCK * k, ((lane, 1),)), (), ()) for k in range(count)])
        targets = self._places(at, loop, types, lanes)
        extent = f"(ptrdiff_t){self.parts.rows}" if loop.extent == CALL else str(loop.extent)
        kind = "ptrdiff_t" if loop.extent == CALL else "int"
        whole = loop.extent != CALL and int(loop.extent) % BLOCK == 0
        left = str(BLOCK) if whole else f"({extent} - {counter} < {BLOCK} ? {extent} - {counter} : {BLOCK})"
        self.line(f"for ({kind} {counter} = 0; {counter} < {extent}; {counter} += {BLOCK})")
        self.parts.line(self.depth + 1, f"for (int {lane} = 0; {lane} < {left}; {lane}++) {{")
        start, index = len(self.parts.lines), Affine(0, ((counter, 1), (lane, 1)))
        number = Text(f"(double)({counter} + {lane})", UNARY, whole=index)
        elements = self._elements([self.values[o] for o in operands[loop.shared :]], index)
        self._step(loop, [number, *shared, *elements], [], self._of_step(loop, targets, index), self.depth + 2, flags)
        if any(" for (" in line for line in self.parts.lines[start:]):
            self.parts.restore(saved)
            return None
        self.parts.line(self.depth + 1, "}")
        self.parts.blocks.append(loop)
        self._look_at(flags, loop)
        totals = iter(self._totals(sums, count))
        return [next(totals) if kind == "sum" else target for target, kind in zip(targets, loop.kinds)]

    def _totals(self, sums: View, count: int) -> list[Text]:
        """The sums of blocks added up."""

        def total(start: Affine) -> str:
            parts = [str(View(sums.base, start.moved(k), (), ())) for k in range(BLOCK)]
            while len(parts) > 2:
                parts = [f"({one} + {other})" for one, other in zip(parts[::2], parts[1::2])]
            return " + ".join(parts)

        if count < FEWEST:
            return [Text(self._variable("s", Text(total(Affine(BLOCK * k))))) for k in range(count)]
        made = self._array("s", count)
        self.each((count,), lambda at: f"{made.row(at[0])} = {total(Affine().plus(at[0], BLOCK))};")
        return [element(place) for place in made.numbers()]

    def _flags(self, loop: Loop) -> dict[str, str]:
        """A flag for each comparison in steps that may be done together: a return would keep compilers from it."""
        found: dict[str, str] = {}
        for guard in loop.body.guards if is_parallel(loop) else ():
            status = self.parts.guard(guard)
            if status not in found:
                found[status] = self.parts.names.numbered("b")
                self.line(f"int {found[status]} = 0;")
        return found

    def _look_at(self, flags: Mapping[str, str], loop: Loop) -> None:
        """Leave the function if a flag is set."""
        guards = {self.parts.guard(guard): guard for guard in reversed(loop.body.guards)}
        for status, flag in flags.items():
            self._leave(guards[status], flag)

    @staticmethod
    def _elements(arrays: Sequence[View], index: Affine) -> list[Text | View]:
        """What the arrays that a loop goes through have for a step."""
        rows = [view.row(index) for view in arrays]
        return [row if row.shape else element(row) for row in rows]

    @staticmethod
    def _of_step(loop: Loop, targets: Sequence[View], index: Affine) -> list[View]:
        """Where a step stores or adds its results."""
        return [target.row(index) if kind == "each" else target for target, kind in zip(targets, loop.kinds)]

    # ---- what one step hands to the next ---------------------------------------------------------------------------

    def _sums(self, count: int) -> Iterator[View]:
        """Where sums are added up: in variables, or in an array if there are many."""
        if count < FEWEST:
            for _ in range(count):
                yield View(f"={self._variable('s', Text('0.0'))}", Affine(), (), ())
        else:
            view = self._array("s", count)
            self.together(view, "=", "0.0")
            yield from view.numbers()

    def _carries(self, loop: Loop, operands: Sequence[int], left_out: set[int]) -> list[View | None]:
        """Where the carries are: in variables, or in an array if there are many; None for one that is left out."""
        apart = [k for k in range(loop.carries) if loop.test and k in (GOING, COUNT)]
        others = [k for k in range(loop.carries) if k not in apart]
        if len(others) < FEWEST:
            apart, others = [*apart, *others], []
        found: list[View | None] = [None] * loop.carries
        for k in apart:
            if k not in left_out:
                found[k] = View(f"={self._variable('c', self.number(operands[k]))}", Affine(), (), ())
        if others:
            array = self._array("c", len(others))
            self.parts.carried.add(array.base)
            self.assign(array.numbers(), [self.number(operands[k]) for k in others])
            for k, place in zip(others, array.numbers()):
                found[k] = place
        return found

    def _left_out(self, at: int, loop: Loop) -> set[int]:
        """The count of the steps, if nothing needs it."""
        if not loop.test or (at, COUNT) in self.item_of:
            return set()
        code, uses = loop.body.code, loop.body.uses()
        after = loop.body.outputs[COUNT]
        inputs = [k for k, i in enumerate(code) if i.op == "input" and i.data == loop.first_carry + COUNT]
        only = code[after].op == "add" and uses[after] == 1 and set(inputs) < set(code[after].operands)
        return {COUNT} if only and all(uses[k] == 1 for k in inputs) else set()

    def add(self, pairs: Sequence[tuple[View, Text]]) -> None:
        """Add numbers to sums, those that follow a pattern in a loop, unless these are sums of blocks."""
        if any(len(place.start.terms) for place, _ in pairs):
            for place, x in pairs:
                self.line(added(str(place), [x]))
        else:
            self._statements(pairs, lambda place, x: added(place, [x]))

    def hand_on(self, pairs: Sequence[tuple[View, Text]]) -> None:
        """Assign all carries at once: none before another one has used it."""
        left = dict(enumerate(pairs))
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
                self.line(f"const double {name} = {left[k][1].text};")
                left[k] = (left[k][0], Text(name))
                continue
            self._statements([left[k] for k in free], changed)
            for k in free:
                forget(k)
                del left[k]

    SPECIAL: ClassVar[dict[str, Callable[..., Any]]] = {**Statements.SPECIAL, "item": _item, "loop": _loop}


def is_parallel(loop: Loop) -> bool:
    """Whether compilers may do steps of a loop together: independent ones, but for sums, without loops and calls."""
    return loop.is_map() and not any(op == "loop" or op in CALLS for op, _, _ in loop.body.code)


def _adds_up(loop: Loop) -> bool:
    """Whether such steps add up, and are enough for several sums at a time."""
    enough = loop.extent >= 2 * BLOCK if isinstance(loop.extent, int) else loop.extent == CALL
    return is_parallel(loop) and "sum" in loop.kinds and enough
