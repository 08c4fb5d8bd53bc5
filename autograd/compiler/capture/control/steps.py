"""A step of a loop of the source while it is captured, with the names and places that it hands to the next."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from autograd.compiler.capture.control.journal import Journal, Place, assign, close_journal, open_journal
from autograd.compiler.capture.control.merging import Carry
from autograd.compiler.capture.control.sides import MOST_IN_LOOP, Side, not_supposed, size
from autograd.compiler.source.rewrite import Site
from autograd.ir.block import STEPS
from autograd.ir.builder import LoopBuilder

if TYPE_CHECKING:
    from autograd.compiler.capture.trace import Trace


def _is_real(trace: Any, goes: int) -> bool:
    """Whether the watched numbers take a step."""
    return getattr(trace.deciding, "real", True) and bool(trace.value(goes))


class Steps:
    """The steps of a loop that is captured: a program in the program."""

    def __init__(
        self,
        trace: Trace,
        site: Site,
        goes: int,
        carry: Sequence[Any],
        floats: Container[int] = (),
        places: Sequence[Place] = (),
        unsure: Container[int] = (),
    ) -> None:
        self.trace = trace
        self.made = LoopBuilder(trace, child := trace.inner(), STEPS, test=True)
        self.made.carry(goes)
        self.made.carry(trace.constant(0.0))
        self.child, self.places = child, places
        names = [*site.names, *map(str, places)]
        self.before = Carry(trace, names, [*carry, *[place.read() for place in places]], floats, unsure)
        self.numbers = [self.made.carry(place) for place in self.before.places]
        child.deciding = Side((), None, {}, site, True, _is_real(trace, goes), size(trace), MOST_IN_LOOP)

    @contextmanager
    def open(self) -> Iterator[Journal]:
        """In the `with` block, operations are those of a step; what it assigns is undone."""
        root = self.trace.root()
        root.sides += 1
        journal = open_journal(root)
        try:
            with self.child.watched():
                yield journal
        finally:
            close_journal(root, journal)
            root.sides -= 1

    def run(self, step: Any) -> tuple[Any, ...]:
        """What a step hands to the next one, captured in the `with` block of `open`."""
        values = self.before.rebuilt(self.child, self.numbers)
        count = len(values) - len(self.places)
        for place, value in zip(self.places, values[count:]):
            assign(self.trace.root(), place, value)
        found: tuple[Any, ...] = step(*values[:count])
        return found

    def supposed(self, going: Any) -> Any:
        """The truth that there is another step: none after one in which something does not hold that was supposed."""
        wrong = self.child.demands
        if not wrong:
            return going
        any_wrong = wrong[0][0]
        for one, _ in wrong[1:]:
            any_wrong = any_wrong.with_("or", one)
        if all(error is not_supposed for _, error in wrong):
            self.child.demands = [(any_wrong, not_supposed)]
        return going.with_("and", any_wrong.negated())
