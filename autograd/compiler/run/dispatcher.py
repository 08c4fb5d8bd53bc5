"""Chooses among the specializations of a function for one signature, and makes one more where none serves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

from autograd.compiler.capture.outside import Outside, State
from autograd.compiler.capture.shared.taped import from_tape
from autograd.compiler.capture.shared.variants import Variant
from autograd.compiler.capture.signature import Reading
from autograd.compiler.run import fast_path
from autograd.compiler.run.capturing import Captured, capture, captured_from
from autograd.compiler.run.families import FEWEST_COMPARED, MOST_COMPARED, Families, families_of
from autograd.compiler.run.specialization import (
    Report,
    Specialization,
    computation,
    options_for,
    same_branches,
    usual_options,
)
from autograd.ir.block import Array, size_of
from autograd.ir.evaluate import evaluate, flat
from autograd.transforms.origin import described
from autograd.tree import only_floats

if TYPE_CHECKING:
    from autograd.compiler.run.call import Compiled

MOST_APART = 4  # programs that run one side of each branch; after these, a program has both sides
MOST_GROWTH = 2  # a program for many traces may have this many times the instructions of a program for one


class Dispatcher:
    """The specializations for one signature of the arguments, in one state of what the function reads outside them.

    Attributes
    ----------
    specializations : list of Specialization
        One for each path through the branches that was taken so far.
    fast_paths : dict
        (specialization, watch) → its fast path, or None if it has none.
    after : dict
        (index of a specialization, its guard that failed) → the index of the one to try next.
    current : int
        The index of the one that served last.
    refused : list of int
        The indices of those whose guards hold in eager arithmetic, but failed in machine code.
    """

    def __init__(self, owner: Compiled[..., Any], outside: Outside, state: State) -> None:
        self.owner, self.outside, self.state = owner, outside, state
        self.specializations: list[Specialization] = []
        self.fast_paths: dict[tuple[Specialization, Any], Any] = {}
        self.after: dict[tuple[int, int], int] = {}
        self.current = 0
        self.refused: list[int] = []

    def run(self, arguments: Reading, of_values: bool = False) -> tuple[Specialization, list[float]]:
        """The specialization whose guards hold for these arguments, and the numbers of its result.

        With `of_values` a specialization whose results depend on Values from outside is returned without numbers: the
        caller needs derivatives too, which another program computes.
        """
        leaves = arguments.leaves
        given = leaves if only_floats(leaves) else [x if type(x) is float else x.data for x in leaves]
        if not self.specializations:
            self.specialize(arguments, given, 0)
        at = self.current
        tried: list[int] = []
        while True:
            specialization = self.specializations[at]
            if of_values and specialization.parents:
                return specialization, []
            frame = specialization.frame()
            frame.inputs[: len(given)] = given
            for i, leaf in enumerate(specialization.leaves, len(given)):
                frame.inputs[i] = leaf.data
            failed = specialization.run(frame)
            outputs: list[float] = frame.outputs[: specialization.sizes[1]]
            specialization.pool.append(frame)
            if not failed:
                if specialization.options == self.owner.options:  # exact code serves few inputs: it is not tried first
                    self.current = at
                return specialization, outputs
            tried.append(at)
            following = self._next(at, failed, tried)
            if following is None:
                following, known = self.evaluated(given) or self.specialize(arguments, given, len(tried))
                if known is not None:
                    return self.specializations[following], known
                self.after[at, failed] = following
            at = following

    def _next(self, at: int, failed: int, tried: Sequence[int]) -> int | None:
        """The index of the specialization to try after a guard failed; None if all have been tried."""
        following = self.after.get((at, failed))
        if following is not None and following not in tried:
            return following
        return next((i for i in range(len(self.specializations)) if i not in tried), None)

    def evaluated(self, given: Sequence[float]) -> tuple[int, list[float]] | None:
        """Evaluate the programs in `refused`: the index of one whose guards hold, and its outputs; None if none holds.

        So inputs on which machine code always takes the wrong branch are not captured again at every call.
        """
        for at in self.refused:
            specialization = self.specializations[at]
            program, left = specialization.captured, iter([*given, *[leaf.data for leaf in specialization.leaves]])
            kinds = [(kind, [next(left) for _ in range(size_of(kind))]) for kind in program.inputs]
            numbers = [found if isinstance(kind, Array) else found[0] for kind, found in kinds]
            outputs, failed = evaluate(program, numbers)
            if failed < 0:
                return at, flat(outputs)
        return None

    def specialize(self, arguments: Reading, given: Sequence[float], tried: int) -> tuple[int, list[float] | None]:
        """Capture and compile a specialization for these arguments; return its index, and None.

        If another thread has added one since `tried` were tried, return the index of that one: it may serve them. If no
        machine code takes the right branches for these arguments, return their outputs in place of None.
        """
        owner = self.owner
        with owner.lock:
            if len(self.specializations) > tried:
                return tried, None
            families = families_of(owner.function, (arguments.signature, owner.options)) if owner.shares else None
            with self.outside.capturing(self.state, arguments.signature):
                captured = owner.prepared(self._captured(families, arguments, given, not tried))
            same = same_branches(captured.program, self.specializations, captured.common, captured.table)
            if same is not None and same.options.accurate:
                index = self.specializations.index(same)
                if index not in self.refused:
                    self.refused.append(index)
                return index, flat(evaluate(captured.program, captured.numbers)[0])
            wanted = usual_options(owner.options, captured.report)
            options = options_for(same, self.specializations, wanted, owner.__name__)
            specialization = captured.not_compiled(options) if captured.parents else captured.compiled(options)
            self.specializations.append(specialization)
            if families is not None and captured.variant is not None and options == owner.options:
                families.keep(captured.variant, captured.layout, specialization, captured.proven)
            if not arguments.settled():  # the function changed its arguments: no later call may use this
                self.state.dispatchers.pop(arguments.signature, None)
            if not arguments.settled() or arguments.signature in self.state.unsettled:
                self.fast_paths = {**self.fast_paths, (specialization, self.state.watch): None}
            return len(self.specializations) - 1, None

    def _captured(
        self, families: Families | None, arguments: Reading, given: Sequence[float], assumes: bool
    ) -> Captured:
        """A capture of the function, or what a tape noted of it if that leads to a program that many traces share."""
        function, look = self.owner.function, self.state.look
        usual = [one for one in self.specializations if self._is_usual(one)]
        if len({id(one.common or one) for one in usual}) >= MOST_APART:
            return capture(function, arguments, given, joins=True)
        if families is None or families.compared is False or look is None or not look.steady:
            return capture(function, arguments, given, assumes)
        if families.compared:
            start = time.perf_counter()
            variant = families.noted(function, arguments, given)
            if variant is not None and (not variant.floats or families.like(variant) is not None):
                name, seconds = getattr(function, "__name__", "a function"), time.perf_counter() - start
                report = Report(name, described(function), seconds, flow=variant.flow)
                return self._captured_from_tape(families, variant, report, arguments, given)
            found = capture(function, arguments, given, assumes)
        else:
            found = capture(function, arguments, given, assumes)
            compared = FEWEST_COMPARED <= found.length <= MOST_COMPARED and not found.closed and not found.raises
            families.compared = compared and look.watch.holds()
            variant = families.noted(function, arguments, given) if families.compared else None
        return replace(found, variant=None if found.raises or not look.watch.holds() else variant)

    def _captured_from_tape(
        self, families: Families, variant: Variant, report: Report, arguments: Reading, given: Sequence[float]
    ) -> Captured:
        """The capture of a run that a tape has noted. The function is not run again: it might do something else."""
        function, family = self.owner.function, families.like(variant)
        guess = layout = None
        if family is not None:
            known = family.find(variant)
            if known is not None:
                return captured_from(*known, given, report)
            guess = family.not_proven(variant)
            layout = family.layout_with(variant) if guess is None else None
        if family is not None and layout is not None:
            written = capture(from_tape(function, variant, layout), arguments, given)
            common = written.not_compiled(self.owner.options)
            sizes = [one.compiled.counts["simplified"] for one in family.alone]
            family.shares = common.simplified_size() <= MOST_GROWTH * min(sizes, default=inf)
            if family.shares:
                return written.shared(variant, layout, common)
        written = capture(from_tape(function, variant, None), arguments, given)
        if guess is not None and computation(written.program) == computation(guess.compiled.captured):
            guess.proven = True
            return captured_from(guess.compiled, (), given, report)
        return replace(written, report=replace(written.report, flow=variant.flow), variant=variant, proven=True)

    def _is_usual(self, specialization: Specialization) -> bool:
        """Whether it serves most inputs, not only those that need exact code."""
        return specialization.options == usual_options(self.owner.options, specialization.report)

    def fast_path(self, reading: Reading, specialization: Specialization) -> Any | None:
        """The fast path of a specialization, for arguments of this signature; None if it has none."""
        watch = self.state.watch
        if (specialization, watch) not in self.fast_paths:
            kept = {key: fast for key, fast in self.fast_paths.items() if key[1] is watch}
            usual = self._is_usual(specialization)
            new = fast_path.for_call(reading.signature.args, specialization, watch) if usual else None
            self.fast_paths = {**kept, (specialization, watch): new}
        return self.fast_paths.get((specialization, watch))
