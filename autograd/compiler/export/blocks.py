"""Blocks in C: the instructions of a program, or of the body of a loop, as statements. Loops stay loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from autograd.compiler.export.carries import Carries, Carrying
from autograd.compiler.export.expressions import LANE, UNARY, Affine, Text, View, element
from autograd.compiler.export.factors import Kept, factors_of
from autograd.compiler.export.lanes import MOST, NotInLanesError
from autograd.compiler.export.runs import FEWEST, Pattern, segments
from autograd.compiler.export.sums import added
from autograd.compiler.lower.parallel import is_parallel, only_added
from autograd.ir.block import CALL, GOING, STEPS, Array, Loop, Program, Type
from autograd.ir.memory import root_of

MANY = 1000  # steps that a loop is taken to have if their number is not known
MOST_SUMS = 16  # that are variables of vectors; more are in an array
MADE = ("zeros", "pack", "item")  # operations whose arrays may be made where they are stored


class Block(Carrying):
    """Statements for a program or the body of a loop, with the loops in it."""

    def _item(self, at: int, operands: tuple[int, ...], data: Any) -> Text | View:
        found: Text | View = self.values[operands[0]][data]
        return found

    def _loop(self, at: int, operands: tuple[int, ...], loop: Loop) -> list[Text | View]:
        """Write a loop, in lanes if that costs less; return its results."""
        shared = [self.values[o] if isinstance(self.types[o], Array) else self.name(o) for o in operands[: loop.shared]]
        if self.wide and (loop.test or not isinstance(loop.extent, int)):
            raise NotInLanesError
        if self.wide or not _may_be_in_lanes(loop):
            return self._in_turn(at, operands, loop, shared)
        before = self.parts.saved()
        try:
            found = self._in_blocks(at, operands, loop, shared)
        except NotInLanesError:
            self.parts.restore(before)
            return self._in_turn(at, operands, loop, shared)
        if all(op != "loop" for op, _, _ in loop.body.code):
            return found
        after, cost = self.parts.saved(), self.parts.cost
        self.parts.restore(before)
        other = self._in_turn(at, operands, loop, shared)
        if self.parts.cost < cost:
            return other
        self.parts.restore(after)
        return found

    def _in_turn(
        self, at: int, operands: tuple[int, ...], loop: Loop, shared: Sequence[Text | View]
    ) -> list[Text | View]:
        """Write a loop whose steps follow one another."""
        types = loop.result_types()
        counter = self.parts.counter(self.depth)
        index = Affine(0, ((counter, 1),))
        carries = self.carries(at, loop, operands, index)
        roles = loop.by_role(operands)
        added = [self.values[o] for o in roles.accumulators]
        targets = self._places(at, loop, types, self._sums(loop.kinds.count("sum")), carries.stored)
        results: list[Text | View] = [Text("") if c is None else element(c) for c in carries.last]
        results += added
        results += [target if target.shape else element(target) for target in targets]
        if loop.extent == 0:
            return results
        self.line(f"{self._head(loop, operands, counter, carries.given)} {{")
        if loop.extent == STEPS and "each" in loop.kinds:
            self.parts.line(self.depth + 1, f"if ({counter} >= (ptrdiff_t){self.parts.most_steps()})")
            self.parts.line(self.depth + 2, f"return {self.parts.out_of_steps()};")
        elements = self._elements([self.values[o] for o in roles.elements], index)
        number = Text(f"(double){counter}", UNARY, whole=index)
        given = [number, *shared, *carries.inputs(), *added, *elements]
        for k, place in carries.between.items():
            given[k] = element(place)
        with self.parts.repeated(loop.extent if isinstance(loop.extent, int) else MANY):
            self._step(loop, given, carries, self._of_step(loop, targets, index), self.depth + 1, self.wide)
        self.line("}")
        return results

    def _places(
        self, at: int, loop: Loop, types: Sequence[Type], sums: Iterator[View], stored: Mapping[int, View]
    ) -> list[View]:
        """Where the results of all steps go, besides what is handed on; those in `stored` have a place already."""
        targets: list[View] = []
        stacked: dict[int, View] = {}  # what each step has of a value of the body
        together = self._stacked_together(at, loop, types, stored)
        for k, kind in enumerate(loop.kinds, loop.handed):
            if kind == "sum":
                targets.append(next(sums))
                continue
            if k in stored:
                targets.append(stored[k])
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
                target = self.work_array(made.shape)
            if item not in self.last_change:
                stacked.setdefault(value, target)
            targets.append(target)
        return targets

    def _stacked_together(
        self, at: int, loop: Loop, types: Sequence[Type], stored: Mapping[int, View]
    ) -> dict[int, View]:
        """Places for results with one number for each step: if there are many, one array has a row for each step."""
        found: dict[int, int] = {}  # result → the value in the body
        for k, kind in enumerate(loop.kinds, loop.handed):
            item, made = self.item_of.get((at, k), -1), types[k]
            alone = isinstance(made, Array) and len(made.shape) == 1
            if kind == "each" and alone and k not in stored and not self.is_placed(item):
                found[k] = loop.body.outputs[k]
        values = list(dict.fromkeys(found.values()))
        if len(values) < FEWEST:
            return {}
        rows = self.work_array((loop.extent, len(values)))
        places = [rows.start.moved(n * rows.strides[1]) for n in range(len(values))]
        columns = {v: View(rows.base, place, rows.shape[:1], rows.strides[:1]) for v, place in zip(values, places)}
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
        carries: Carries,
        targets: Sequence[View],
        depth: int,
        wide: bool,
        kept: Kept | None = None,
    ) -> None:
        """Write the body of a loop; with `kept` it keeps the factors of sums and adds nothing."""
        body = loop.body
        places = dict(carries.made)  # arrays that are made where they are to be stacked or handed on
        for o, target in zip(body.outputs[loop.handed :], targets):
            root = root_of(body, o)
            if target.shape and body.code[root].op in MADE and not (wide and _is_apart(body, root, target)):
                places.setdefault(root, target)
        inside = Block(self.parts, body, inputs, places, depth, wide)
        left = [k for k, place in enumerate(carries.handed) if place is None]
        if left:  # a carry that nothing needs is not computed
            inside.uses = [0 if at == body.outputs[left[0]] else use for at, use in enumerate(inside.uses)]
        for product in kept.products(loop) if kept else ():
            inside.uses[product] = 0
        inside.assign(list(carries.filled), list(carries.filled.values()))
        outputs = inside.run()
        of_steps = zip(outputs[loop.handed :], targets, loop.kinds)
        inside._stack(
            [(target, found) for found, target, kind in of_steps if kind == "each"],
            {*carries.given, *carries.between.values()},
        )
        if kept is not None:
            inside.assign([kept.here(o) for o in kept.order], [inside.number(o) for o in kept.order])
        else:
            added = zip(outputs[loop.handed :], targets, loop.kinds)
            inside.add([(target, found) for found, target, kind in added if kind == "sum"])
        inside.hand_on(carries, outputs)

    def _stack(self, pairs: Sequence[tuple[View, Any]], done: set[View | None]) -> None:
        """Store results of a step, except in places that are `done`."""
        numbers: dict[View, Text] = {}
        for target, found in pairs:
            if target in done:
                continue
            if not target.shape:
                numbers[target] = found
            elif found != target:
                self.together(target, "=", found)
            done.add(target)
        self.assign(list(numbers), list(numbers.values()))

    # ---- in lanes --------------------------------------------------------------------------------------------------

    def _in_blocks(
        self, at: int, operands: tuple[int, ...], loop: Loop, shared: Sequence[Text | View]
    ) -> list[Text | View]:
        """Write a loop with independent steps, as many steps at a time as there are lanes.

        If the steps do not fill whole blocks, the first block is shorter. Its other lanes take steps of the second
        block, or the last step again and again if there is no second block.

        Raises
        ------
        NotInLanesError
            If a step has no code for lanes.
        """
        counter, depth = self.parts.counter(self.depth), self.depth + 1
        sums = self._sums_of_lanes(loop.kinds.count("sum"))
        targets = self._places(at, loop, loop.result_types(), iter(sums), {})
        roles = loop.by_role(operands)
        added = [self.values[o] for o in roles.accumulators]
        kind, most, left = self._blocks(loop)
        kept = self._kept(loop) if len(sums) > MOST_SUMS else None
        step = f"{counter} ? @_LANES : {left}" if left else "@_LANES"
        self.line(f"for ({kind} {counter} = 0; {counter} < {most}; {counter} += {step}) {{")
        if len(sums) > MOST_SUMS:
            self.parts.line(depth, "@_in_memory();")
        lane, defined = LANE, []
        if loop.extent == CALL:
            name = self.parts.names.numbered("k")
            lane += name
            defined.append(self.parts.define(depth, "ptrdiff_t", name, step))
        before = self.parts.counting, self.parts.shared
        if added and left:
            name = self.parts.names.numbered("b")
            self.parts.counting, self.parts.shared = name, frozenset([x.base for x in added])
            defined.append(self.parts.define(depth, "@_mask", name, f"@_first({step})"))
        index = Affine(0, ((counter, 1), (lane, 1)))
        elements = self._elements([self.values[o] for o in roles.elements], index)
        number = Text(f"@_steps((double){counter})", whole=index, wide=True)
        with self.parts.repeated((loop.extent if isinstance(loop.extent, int) else MANY) / MOST):
            given = [number, *shared, *added, *elements]
            self._step(loop, given, Carries(), self._of_step(loop, targets, index), depth, True, kept)
        self.parts.counting, self.parts.shared = before
        if left and sums:
            self._clear(counter, left, [kept.here(o) for o in kept.order] if kept else sums)
        if kept is not None:
            self._add_kept(kept, sums, f"{counter} + ({step}) >= {most}" if left else f"{counter} + {step} >= {most}")
        for definition in reversed(defined):
            self.parts.drop_unused(*definition)
        self.line("}")
        self.parts.loops.append(loop)
        totals = iter(self._totals(sums))
        return [*added, *[next(totals) if kind == "sum" else target for target, kind in zip(targets, loop.kinds)]]

    def _blocks(self, loop: Loop) -> tuple[str, str, str]:
        """The type of the counter of a loop in lanes, the number of its steps, and the steps of its first block.

        The last is empty if all blocks are whole.
        """
        if isinstance(loop.extent, int) and loop.extent % MOST == 0:
            return "int", str(loop.extent), ""
        kind, most = "int", str(loop.extent)
        if loop.extent == CALL:
            kind, most = "ptrdiff_t", f"(ptrdiff_t){self.parts.rows}"
        name = self.parts.names.numbered("k")
        self.line(f"const {kind} {name} = {most} % @_LANES ? {most} % @_LANES : @_LANES;")
        return kind, most, name

    def _clear(self, counter: str, left: str, sums: Sequence[View]) -> None:
        """In the first block, set to 0 what lanes that do not count have added or kept."""

        def cleared(place: View) -> str:
            return f"{place} = @_select(@_first({left}), {place}, @_all(0.0));"

        self.parts.line(self.depth + 1, f"if ({counter} == 0) {{")
        inside = Block(self.parts, Program(), [], {}, self.depth + 2, True)
        if len(sums) <= MOST_SUMS:
            for place in sums:
                inside.line(cleared(place))
        else:
            inside.loop_over((len(sums),), lambda at: cleared(sums[0]._replace(start=_moved(sums[0], at))))
        self.parts.line(self.depth + 1, "}")

    def _kept(self, loop: Loop) -> Kept | None:
        """An array for the factors of sums in two blocks; None if there are too many factors."""
        found = factors_of(loop)
        if found is None:
            return None
        kept = Kept(*found, self.parts.wide_work_array((2, len(found[1]))).base, self.parts.names.numbered("k"))
        self.line(f"int {kept.half} = 0;")
        return kept

    def _add_kept(self, kept: Kept, sums: Sequence[View], is_last: str) -> None:
        """After every second block and the last one, add the products of the factors that they kept to the sums."""
        depth, half = self.depth + 1, kept.half
        self.parts.line(depth, f"if ({half} == 0 && !({is_last})) {{")
        self.parts.line(depth + 1, f"{half} = 1;")
        self.parts.line(depth, "} else {")
        self.parts.line(depth + 1, f"if ({half} == 0)")
        Block(self.parts, Program(), [], {}, depth + 2, True).assign(
            [kept.of(o, 1) for o in kept.order], [Text("0.0")] * len(kept.order)
        )
        inside = Block(self.parts, Program(), [], {}, depth + 1, True)
        rows = []
        for place, factors in zip(sums, kept.sums):
            known = [x for x in factors if x is not None]
            rows.append([element(place), *[element(kept.of(x, block)) for block in range(2) for x in known]])
        for at, count, patterns in segments(rows):
            if count == 1:
                inside.line(_two_products(rows[at]))
            else:
                inside.loop_over((count,), partial(_patterned_products, patterns))
        inside.line(f"{half} = 0;")
        self.parts.line(depth, "}")

    def _sums_of_lanes(self, count: int) -> list[View]:
        """New sums, one in each lane, which are 0: variables, or an array if there are many."""
        lanes = Affine(0, ((LANE, 1),))
        if count > MOST_SUMS:
            sums = self.parts.wide_work_array((count,))
            self.together(View.of(sums.base, (MOST * count,)), "=", "0.0")
            return [View(sums.base, lanes.moved(MOST * k), (), ()) for k in range(count)]
        names = [self.parts.names.numbered("s") for _ in range(count)]
        for name in names:
            self.line(f"@_lanes {name} = @_all(0.0);")
        return [View(f"={name}", lanes, (), ()) for name in names]

    def _totals(self, sums: Sequence[View]) -> list[Text]:
        """The sums of all lanes."""
        if len(sums) <= MOST_SUMS:
            return [element(self._variable("s", Text(f"@_sum({place})"))) for place in sums]
        made = self._array("s", len(sums))
        self.loop_over((len(sums),), lambda at: f"{made.row(at[0])} = @_total({sums[0].base} + {_moved(sums[0], at)});")
        return [element(place) for place in made.numbers()]

    @staticmethod
    def _elements(arrays: Sequence[View], index: Affine) -> list[Text | View]:
        """The elements that a step takes from the arrays that a loop goes through."""
        rows = [view.row(index) for view in arrays]
        return [row if row.shape else element(row) for row in rows]

    @staticmethod
    def _of_step(loop: Loop, targets: Sequence[View], index: Affine) -> list[View]:
        """Where a step stores or adds its results."""
        return [target.row(index) if kind == "each" else target for target, kind in zip(targets, loop.kinds)]

    # ---- what one step hands to the next ---------------------------------------------------------------------------

    def _sums(self, count: int) -> Iterator[View]:
        """New sums, which are 0: variables, or an array if there are many."""
        if count < FEWEST:
            for _ in range(count):
                yield self._variable("s", Text("0.0"))
        else:
            view = self._array("s", count)
            self.together(view, "=", "0.0")
            yield from view.numbers()

    def add(self, pairs: Sequence[tuple[View, Text]]) -> None:
        """Add numbers to sums; those that follow a pattern are added in a loop."""
        self._statements(pairs, lambda place, x: self.added_to(place, x) if self._counts(place) else added(place, [x]))

    SPECIAL: ClassVar[dict[str, Callable[..., Any]]] = {**Carrying.SPECIAL, "item": _item, "loop": _loop}


def _two_products(row: Sequence[Text]) -> str:
    """The statement that adds the products of the factors of two blocks, one block after the other."""
    place, *factors = [x.text for x in row]
    count = len(factors) // 2
    return f"{place} = {place} + {'*'.join(factors[:count])} + {'*'.join(factors[count:])};"


def _patterned_products(patterns: Sequence[Pattern], indices: Sequence[Affine]) -> str:
    return _two_products([pattern.at(indices[0]) for pattern in patterns])


def _may_be_in_lanes(loop: Loop) -> bool:
    """Whether several steps may be taken at a time: they are independent, and enough to fill the lanes."""
    if loop.extent == CALL:
        return loop.is_map()
    if not isinstance(loop.extent, int) or loop.extent < MOST or not is_parallel(loop):
        return False
    accumulators = range(loop.first_carry, loop.first_element)
    return loop.extent % MOST == 0 or not accumulators or only_added(loop.body, accumulators)


def _is_apart(body: Program, root: int, target: View) -> bool:
    """Whether an array of sums should be made elsewhere, because its lanes would lie apart here."""
    return body.code[root].op == "zeros" and target.start.lane() != (LANE, 1)


def _moved(view: View, at: Sequence[Affine]) -> Affine:
    """The start of the numbers that are `at` vectors behind those of a view."""
    return view.start.plus(at[0], MOST)
