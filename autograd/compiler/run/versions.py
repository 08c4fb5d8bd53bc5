"""What was compiled of a function for one kind of call; a capture of the function for one more path."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any

from autograd.compiler.capture import outside
from autograd.compiler.capture.identity import reaches_code_that_asks
from autograd.compiler.capture.results import flatten_result
from autograd.compiler.capture.sides import Side, refuse_spoiled, with_less
from autograd.compiler.capture.signature import Inputs, Reading, argument_names, types_of_numbers
from autograd.compiler.capture.taped import from_tape, innermost_function, with_table
from autograd.compiler.capture.trace import Trace, finish, tracing
from autograd.compiler.capture.variants import Layout, Variant
from autograd.compiler.capture.watched import UnrollError
from autograd.compiler.run import fast_path
from autograd.compiler.run.collection import seldom_collected
from autograd.compiler.run.families import LONG, LONGEST, Families, families_of
from autograd.compiler.run.specialization import (
    Options,
    Specialization,
    Story,
    computation,
    options_for,
    same_branches,
    usual,
)
from autograd.ir.block import Array, Program, size_of
from autograd.ir.evaluate import evaluate, flat
from autograd.tree import only_floats, only_leaves, zeros_like
from autograd.value import Value

if TYPE_CHECKING:
    from autograd.compiler.run.call import Compiled

Function = Callable[..., Any]


MOST_APART = 4  # paths of which each runs one side of a branch; the next one has both sides in it
MOST_GROWTH = 2  # times the instructions of a function's own program: a longer one for many functions is not worth it
MOST_NAMES = 10_000  # if the arguments have more numbers than this, a printed program has no names for them


class Version:
    """The specializations compiled for one signature of the arguments and one state of what is read outside them."""

    def __init__(self, owner: Compiled[..., Any], outside: outside.Outside, state: outside.State) -> None:
        self.owner, self.outside, self.state = owner, outside, state
        self.specializations: list[Specialization] = []
        self.fast_paths: dict[tuple[Specialization, Any], Any] = {}  # the fast path of each, or None
        self.after: dict[tuple[int, int], int] = {}  # (number, guard that failed) → the number to try then
        self.current = 0
        self.refused: list[int] = []  # of which machine code fails guards that hold in eager arithmetic

    def numbers(
        self, arguments: Reading, leaves: list[Any], of_values: bool = False
    ) -> tuple[Specialization, list[float]]:
        """The specialization whose guards hold for these arguments, and its results.

        With `of_values` a specialization whose results depend as Values on Values from outside is not run: the caller
        needs derivatives as well, which another program computes.
        """
        given = leaves if only_floats(leaves) else [x if type(x) is float else x.data for x in leaves]
        if not self.specializations:
            self.capture(arguments, given, 0)
        at = self.current
        tried: list[tuple[int, int]] = []
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
                if specialization.options == self.owner.options:  # code for a few inputs only is not tried first
                    self.current = at
                return specialization, outputs
            tried.append((at, failed))
            following = self.after.get((at, failed))
            if following is None or any(following == number for number, _ in tried):
                numbers = range(len(self.specializations))
                following = next((i for i in numbers if all(i != number for number, _ in tried)), None)
            if following is None:
                following, known = self.evaluated(given) or self.capture(arguments, given, len(tried))
                if known is not None:
                    return self.specializations[following], known
                self.after[at, failed] = following
            at = following

    def evaluated(self, given: Sequence[float]) -> tuple[int, list[float]] | None:
        """The results of a program whose guards hold in eager arithmetic only, and its number, if there is one.

        So a call whose comparisons machine code never gets right is not captured again.
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

    def capture(self, arguments: Reading, given: Sequence[float], tried: int) -> tuple[int, list[float] | None]:
        """Capture and compile a specialization for these arguments; return its number.

        If another thread has added one since `tried` were tried, return that one's number: it may be the same. If no
        machine code takes the right branches for these arguments, return the results as well.
        """
        owner = self.owner
        with owner.lock:
            if len(self.specializations) > tried:
                return tried, None
            families = families_of(owner.function, (arguments.signature, owner.options)) if owner.shares else None
            with self.outside.capturing(self.state):
                captured = owner.prepared(self._captured(families, arguments, given, not tried))
            same = same_branches(captured.program, self.specializations, captured.common, captured.table)
            if same is not None and same.options.accurate:
                number = self.specializations.index(same)
                if number not in self.refused:
                    self.refused.append(number)
                return number, flat(evaluate(captured.program, captured.numbers)[0])
            wanted = usual(owner.options, captured.story)
            options = options_for(same, self.specializations, wanted, owner.__name__)
            specialization = captured.not_compiled(options) if captured.parents else captured.compiled(options)
            self.specializations.append(specialization)
            if families is not None and captured.noted is not None and options == owner.options:
                families.keep(captured.noted, captured.layout, specialization, captured.proven)
            if not arguments.settled():  # it is not known for which later call this would be right
                self.state.versions.pop(arguments.signature, None)
                self.fast_paths = {**self.fast_paths, (specialization, self.state.watch): None}
            return len(self.specializations) - 1, None

    def _captured(
        self, families: Families | None, arguments: Reading, given: Sequence[float], assumes: bool
    ) -> Capture:
        """A capture of the function; if a program for it is compiled already, or can be shared, it is not captured."""
        function, look = self.owner.function, self.state.look
        usual_ones = [one for one in self.specializations if one.options == usual(self.owner.options, one.story)]
        if len({id(one.common or one) for one in usual_ones}) >= MOST_APART:
            return capture(function, arguments, given, joins=True)
        if families is None or families.compared is False or look is None or not look.steady:
            return capture(function, arguments, given, assumes)
        if families.compared:
            start = time.perf_counter()
            noted = families.noted(function, arguments, given)
            if noted is not None:
                name, seconds = getattr(function, "__name__", "a function"), time.perf_counter() - start
                return self._like(families, noted, Story(name, seconds, flow=noted.flow), arguments, given)
            return capture(function, arguments, given, assumes)
        found = capture(function, arguments, given, assumes)
        families.compared = LONG <= found.length <= LONGEST and not found.closed and look.watch.holds()
        noted = families.noted(function, arguments, given) if families.compared else None
        return replace(found, noted=noted if look.watch.holds() else None)

    def _like(
        self, families: Families, noted: Variant, story: Story, arguments: Reading, given: Sequence[float]
    ) -> Capture:
        """What stands for a capture of a run that is noted; the function, which may do something else, runs no more."""
        function, family = self.owner.function, families.like(noted)
        guess = layout = None
        if family is not None:
            known = family.find(noted)
            if known is not None:
                return _known(*known, given, story)
            guess = family.not_proven(noted)
            layout = family.layout_with(noted) if guess is None else None
        if family is not None and layout is not None:
            written = capture(from_tape(function, noted, layout), arguments, given)
            common = written.not_compiled(self.owner.options)
            sizes = [one.compiled.counts["simplified"] for one in family.alone]
            family.shares = common.simplified_size() <= MOST_GROWTH * min(sizes, default=inf)
            if family.shares:
                return written.shared(noted, layout, common)
        written = capture(from_tape(function, noted, None), arguments, given)
        if guess is not None and computation(written.program) == computation(guess.compiled.captured):
            guess.proven = True
            return _known(guess.compiled, (), given, story)
        return replace(written, story=replace(written.story, flow=noted.flow), noted=noted, proven=True)

    def fast_path(self, reading: Reading, specialization: Specialization) -> Any | None:
        """The fast path of a specialization, for arguments of this signature; None if it has none."""
        watch = self.state.watch
        if (specialization, watch) not in self.fast_paths:
            kept = {key: fast for key, fast in self.fast_paths.items() if key[1] is watch}
            is_usual = specialization.options == usual(self.owner.options, specialization.story)
            new = fast_path.for_call(reading.signature.args, specialization, watch) if is_usual else None
            self.fast_paths = {**kept, (specialization, watch): new}
        return self.fast_paths.get((specialization, watch))


@dataclass
class Capture:
    """What a function did on tracers: the parts of a `Specialization`, and the numbers of the program's inputs.

    `length` is that of the code before loops were found in it. `common` is what is compiled if other captures use it
    too, with another `table`; `noted` and `layout` say which. `proven`: the program was written from what was noted.
    """

    program: Program
    numbers: Sequence[float]
    template: Any
    closed: list[Value]
    parents: list[Value]
    names: Sequence[str]
    story: Story
    finish: Callable[[Any], Any] | None = None
    length: int = 0
    common: Specialization | None = None
    table: tuple[float, ...] = ()
    noted: Variant | None = None
    layout: Layout | None = None
    proven: bool = False

    def shared(self, noted: Variant, layout: Layout, common: Specialization) -> Capture:
        """The same, of which the program reads a table: what is `common` to it and to others is compiled."""
        table = layout.table(noted)
        program, story = with_table(self.program, table), replace(self.story, flow=noted.flow)
        return replace(self, program=program, story=story, common=common, table=table, noted=noted, layout=layout)

    def compiled(self, options: Options) -> Specialization:
        """Compile it."""
        specialization = self.not_compiled(options)
        specialization.compile()
        return specialization

    def not_compiled(self, options: Options) -> Specialization:
        """What is compiled when something asks for its machine code."""
        shared = (self.common, self.table) if self.common and options == self.common.options else (None, ())
        return Specialization(
            self.program,
            self.template,
            options,
            self.closed,
            self.parents,
            self.names,
            self.story,
            self.finish,
            *shared,
        )


def _known(common: Specialization, table: tuple[float, ...], given: Sequence[float], story: Story) -> Capture:
    """What stands for a capture of which a program is compiled already."""
    program = with_table(common.captured, table) if table else common.captured
    return Capture(program, given, common.template, [], [], common.names, story, common=common, table=table)


def capture(
    function: Function, arguments: Reading, given: Sequence[float], assumes: bool = False, joins: bool = False
) -> Capture:
    """Run a function once on tracers.

    With `assumes`, what loops demand is a guard without a look at these arguments: to run a loop in Python takes long.
    If machine code finds that it does not hold, another capture looks, and raises the error. With `joins`, branches
    have both sides in the program, as in rows.
    """
    start = time.perf_counter()
    trace, outputs, template = _traced(function, arguments, given, assumes, joins)
    closed = [leaf for leaf, _ in trace.leaf_inputs]
    names = argument_names(function, arguments.signature) if len(given) <= MOST_NAMES else ()
    name = getattr(function, "__name__", "a function")
    story = Story(name, time.perf_counter() - start, trace.unrolled, trace.flow, trace.exact)
    length, parents = len(trace.code), trace.parents(outputs)
    return Capture(finish(trace, outputs), trace.given, template, closed, parents, names, story, length=length)


def _traced(
    function: Function, arguments: Reading, given: Sequence[float], assumes: bool, joins: bool
) -> tuple[Trace, list[int], Any]:
    """The capture, its outputs and its result; with less of what makes a program short if that cannot be captured."""
    trace = _new_trace(function, assumes, joins)
    while True:
        try:
            return trace_call(trace, function, arguments, given)
        except Exception as error:
            simpler = with_less(trace, error)
            if simpler is None:
                if not isinstance(error, UnrollError):
                    raise
                reason: Any = error.reason
            outside.begin_again(error)
        if simpler is None:
            break
        trace = _new_trace(function, assumes, joins)
        trace.ints, trace.flows, trace.texts.allowed = simpler
    trace = _new_trace(function, assumes)
    trace.maps = False
    found = trace_call(trace, function, arguments, given)
    trace.note_unrolled(0, reason)
    return found


def _new_trace(function: Function, assumes: bool, joins: bool = False) -> Trace:
    trace = Trace(real_bools=reaches_code_that_asks(function))
    trace.assumes = assumes
    if joins:
        trace.deciding = Side()
    return trace


def trace_call(
    trace: Trace, function: Function, arguments: Reading, given: Sequence[float]
) -> tuple[Trace, list[int], Any]:
    """The trace of a function run on tracers, the places of its results, and the tree of them with zeros."""
    types = types_of_numbers(arguments.signature)
    if innermost_function(function) is function:
        args, keywords = arguments.rebuild(trace.inputs_of(types, given))
    else:  # only our own code sees these: it makes the elements for the function of which it takes derivatives
        args, keywords = arguments.build(Inputs(trace.whole_inputs_of(types, given)))
    with seldom_collected(), tracing(trace), trace.texts:
        result = trace.followed(function)(*args, **keywords)
        leaves, rebuild = flatten_result(result)
        outputs = trace.outputs_of_call(leaves)
    refuse_spoiled(trace)
    return trace, outputs, rebuild([0.0] * len(leaves) if only_leaves(leaves) else list(map(zeros_like, leaves)))
