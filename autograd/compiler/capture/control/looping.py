"""Loops whose condition is a number of the program: a step is captured once, and stands for all."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from autograd.compiler.capture.branches import begins_where_it_counts, path
from autograd.compiler.capture.control.choice import alike_texts
from autograd.compiler.capture.control.journal import Place, assign, besides, commit, refuse_assigned, under
from autograd.compiler.capture.control.merging import NOTHING, UNBOUND, Carry, alike, as_optional, blank, sometimes_none
from autograd.compiler.capture.control.pure import refuse_operators, used_by
from autograd.compiler.capture.control.sides import (
    MOST_IN_ROWS,
    Mark,
    Refused,
    is_for_others,
    outermost,
    present,
    refuse_long,
    sides_open,
    size,
    truth_of,
)
from autograd.compiler.capture.control.sites import Sites, reason_of, was_guard
from autograd.compiler.capture.control.steps import Steps
from autograd.compiler.capture.maps import finished
from autograd.compiler.source.rewrite import Site
from autograd.ir.block import calls_python

MOST_STEPS_IN_A_SIDE = 256  # that Python runs: a side that is not taken may have a loop that never ends
CONTAINED: tuple[Any, ...] = (
    list, tuple, dict, set, frozenset, str, range, type({}.keys()), type({}.values()), type({}.items()), np.ndarray,
)  # fmt: skip  # a list
MAKE_ITERATORS = frozenset([zip, enumerate, pairwise, reversed, type(reversed([])), type(reversed(range(0)))])


class Looping(Sites):
    """What the code of one function calls for its loops."""

    __slots__ = ()

    def loop(self, number: int, test: Any, step: Any, given: tuple[Any, ...]) -> Any:
        """A loop: what the names have after it."""
        site, trace = self.sites[number], present()
        carry = given
        while trace is not None and not was_guard(trace, site):
            mark = Mark(trace)
            try:
                with under(trace, None) as journal:
                    outcome = test(*carry)
                refuse_assigned(journal, "its test")
                found = truth_of(outcome)
                if found is not None:
                    carry = self._compiled(trace, site, test, step, carry, found[1])
                elif not outcome:
                    return carry
                else:
                    if not site.jumps:
                        carry = step(*carry)
                        continue
                    with under(trace, None, step=True) as journal:
                        following = step(*carry)
                        found = truth_of(test(*following))
                    if found is None:
                        commit(trace.root(), journal)
                        carry = following
                        continue
                    mark.undo()
                    carry = self._compiled(trace, site, test, step, carry, None)
            except Exception as error:
                mark.undo()
                if is_for_others(error, site):
                    raise
                self.note(trace, site, reason_of(error))
                break
            self.note(trace, site)
            return carry
        steps = 0
        while test(*carry):
            if steps == MOST_STEPS_IN_A_SIDE and sides_open():
                raise Refused("a loop in it does not end soon")
            carry = step(*carry)
            steps += 1
        return carry

    def _compiled(self, trace: Any, site: Site, test: Any, step: Any, carry: tuple[Any, ...], begins: Any) -> Any:
        """The last carry of a loop of the program; `begins` says whether it takes a step, None that it does."""
        if outermost(trace, site) is not None:
            raise Refused("the function calls itself")
        refuse_operators([*used_by(test), *used_by(step), *carry])
        if begins is not None and (unbound := [word for word, x in zip(site.names, carry) if x is UNBOUND]):
            raise Refused(f"{', '.join(unbound)} may be unbound after it")
        counts = path(trace)
        goes = trace.constant(1.0) if begins is None else trace.place(begins)
        if counts is not None:
            goes = trace.place(counts.select(trace.wrap(goes), 0.0))
        if any(x is UNBOUND or x is NOTHING for x in carry):  # a step tells what these names are numbers for
            probe = Steps(trace, site, goes, carry)
            with probe.open():
                following = probe.run(step)
            carry = tuple([blank(x, then) for x, then in zip(carry, following)])
        steps, places, after, goes_on = self._settled(trace, site, goes, carry, test, step)
        child, before = steps.child, steps.before
        if calls_python(child.code):
            raise Refused("it calls a rule written in Python")
        count = child.emit("add", (steps.made.counter, child.constant(1.0)))
        begins_where_it_counts(trace, steps.made, counts)
        loop = finished(trace, steps.made, [goes_on, count, *after.places], [])
        trace.root().spent += len(child.code)
        last = [trace.emit("item", (loop,), 2 + k) for k in range(len(before.places))]
        if any(before.wholes):
            trace.root().whole_numbers = True
        values = before.rebuilt(trace, last)
        for place, value in zip(places, values[len(site.names) :]):
            assign(trace.root(), place, value)
        return values[: len(site.names)]

    def _settled(
        self, trace: Any, site: Site, goes: int, carry: tuple[Any, ...], test: Any, step: Any
    ) -> tuple[Steps, list[Place], Carry, int]:
        """A step of a loop, the places that it assigns, what it hands on, and whether there is another one.

        It is captured again until it is known which places it assigns, which names may hold None, and which ints stay
        ints.
        """
        floats: set[int] = set()
        unsure: set[int] = set()
        nones: set[int] = set()
        places: list[Place] = []
        while True:
            steps = Steps(trace, site, goes, as_optional(carry, nones), floats, places, unsure)
            with steps.open() as journal:
                following = steps.run(step)
                begins = alike(carry, following)
                things = zip(begins, following, site.names)
                begins = tuple([alike_texts(x, y)[0] if w in site.texts else x for x, y, w in things])
                if any(one is not x for one, x in zip(begins, carry)):
                    carry = begins
                    continue
                if new := besides(journal, places):
                    places += new
                    continue
                if new_nones := sometimes_none(site, carry, following) - nones:
                    nones |= new_nones
                    continue
                following = as_optional(alike(following, carry), nones)
                after = Carry(steps.child, steps.before.names, [*following, *[place.read() for place in places]])
                refuse_long(steps.child)
                steps.before.check(after)
                if mixed := steps.before.mixes(after):
                    floats |= mixed
                    continue
                if new_unsure := steps.before.unsure_after(after):
                    unsure |= new_unsure
                    continue
                outcome = test(*following)
                if besides(journal, places):
                    raise Refused("its test assigns an attribute or an element")
                truth, child = truth_of(outcome), steps.child
                going = child.predicate(child.truth_constant(bool(outcome))) if truth is None else truth[1]
                return steps, places, after, child.place(steps.supposed(going))

    @staticmethod
    def bounds(numbers: range) -> tuple[int, int, int]:
        """The first number of a range, its end and its step."""
        return numbers.start, numbers.stop, numbers.step

    @staticmethod
    def within(number: Any, stop: int, step: int) -> Any:
        """Whether a number of a range comes before its end."""
        return number < stop if step > 0 else number > stop

    @staticmethod
    def begun() -> int:
        """Where a loop begins in the capture."""
        trace = present()
        return 0 if trace is None else size(trace)

    @staticmethod
    def is_over(going: Any, begun: int, things: Any, *given: Any) -> bool:
        """Whether Python takes no further step of a loop through things; if that differs, it does.

        Nothing else may notice that Python takes them, and they must not be too many: else it is a guard. `given` is
        what `zip` or the like goes through, if that has made the things.
        """
        found = truth_of(going)
        if found is None or size(found[0]) - begun > MOST_IN_ROWS or not is_repeatable(things, given):
            return not going
        return False


def is_repeatable(things: Any, given: tuple[Any, ...]) -> bool:
    """Whether nothing happens when a loop goes through more of these things than it needs."""
    if not given:
        return type(things) in CONTAINED
    return type(things) in MAKE_ITERATORS and all(type(x) in CONTAINED or type(x) is int for x in given)
