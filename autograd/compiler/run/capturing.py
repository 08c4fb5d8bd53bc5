"""A capture: the function runs once on tracers, and what it did is the parts of a specialization."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autograd.compiler.capture.control.sides import Side, refuse_spoiled, with_less
from autograd.compiler.capture.outside import begin_again, tell
from autograd.compiler.capture.results import flatten_result
from autograd.compiler.capture.shared.taped import innermost_function, with_table
from autograd.compiler.capture.shared.variants import Layout, Variant
from autograd.compiler.capture.signature import Inputs, Reading, argument_names, types_of_numbers
from autograd.compiler.capture.trace import Trace, finish, tracing
from autograd.compiler.capture.watched import UnrollError
from autograd.compiler.run.collection import seldom_collected, uncollected
from autograd.compiler.run.specialization import Options, Report, Specialization
from autograd.compiler.source.identity import reaches_code_that_asks
from autograd.ir.block import Program
from autograd.transforms.origin import described
from autograd.tree import only_leaves, zeros_like
from autograd.value import Value

Function = Callable[..., Any]

MOST_NAMES = 10_000  # numbers of the arguments that have names in a printed program


@dataclass
class Captured:
    """What a function did on tracers: the parts of a `Specialization`, and more.

    Attributes
    ----------
    numbers : sequence
        The inputs of the program.
    closed : list of Value
        Values that the function closes over: the `leaves` of the specialization.
    length : int
        The number of instructions before loops were found among them.
    variant : Variant or None
        The same run as a tape noted it.
    layout : Layout or None
        Which places of that run read the table, if `common` is compiled for many runs.
    proven : bool
        Whether the program was written from the variant, so that it is certainly the same run.
    raises : bool
        Whether arithmetic of plain numbers may raise in it, which no variant tells.
    """

    program: Program
    numbers: Sequence[float]
    template: Any
    closed: list[Value]
    parents: list[Value]
    names: Sequence[str]
    report: Report
    finish: Callable[[Any], Any] | None = None
    length: int = 0
    common: Specialization | None = None
    table: tuple[float, ...] = ()
    variant: Variant | None = None
    layout: Layout | None = None
    proven: bool = False
    raises: bool = False

    def shared(self, variant: Variant, layout: Layout, common: Specialization) -> Captured:
        """The capture with the machine code of `common`, which several share; each has its own table."""
        table = layout.table(variant)
        program, report = with_table(self.program, table), replace(self.report, flow=variant.flow)
        return replace(self, program=program, report=report, common=common, table=table, variant=variant, layout=layout)

    def compiled(self, options: Options) -> Specialization:
        """The specialization, compiled."""
        specialization = self.not_compiled(options)
        specialization.compile()
        return specialization

    def not_compiled(self, options: Options) -> Specialization:
        """The specialization; it is compiled when something reads its machine code."""
        shared = (self.common, self.table) if self.common and options == self.common.options else (None, ())
        return Specialization(
            self.program,
            self.template,
            options,
            self.closed,
            self.parents,
            self.names,
            self.report,
            self.finish,
            *shared,
        )


def captured_from(common: Specialization, table: tuple[float, ...], given: Sequence[float], report: Report) -> Captured:
    """What a run did whose program is compiled already."""
    program = with_table(common.captured, table) if table else common.captured
    return Captured(program, given, common.template, [], [], common.names, report, common=common, table=table)


def capture(
    function: Function, arguments: Reading, given: Sequence[float], assumes: bool = False, joins: bool = False
) -> Captured:
    """Run a function once on tracers.

    With `assumes`, the conditions of loops become guards and are not checked on these arguments: that would run the
    loop in Python. If such a guard fails in machine code, another capture checks it and raises the error. With `joins`,
    branches have both sides in the program, as in rows.
    """
    start = time.perf_counter()
    trace, outputs, template = _traced(function, arguments, given, assumes, joins)
    with uncollected():  # what the trace has noted becomes instructions
        closed = [leaf for leaf, _ in trace.leaf_inputs]
        names = argument_names(function, arguments.signature) if len(given) <= MOST_NAMES else ()
        name = getattr(function, "__name__", "a function")
        seconds = time.perf_counter() - start
        report = Report(name, described(function), seconds, trace.unrolled, trace.flow, trace.exact)
        length, parents = len(trace.code), trace.parents(outputs)
        program, raises = finish(trace, outputs), trace.raises
        return Captured(program, trace.given, template, closed, parents, names, report, length=length, raises=raises)


def _traced(
    function: Function, arguments: Reading, given: Sequence[float], assumes: bool, joins: bool
) -> tuple[Trace, list[int], Any]:
    """As `trace_call`. What cannot be captured with loops and branches of the source is captured with fewer of them."""
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
            begin_again(error)
        if simpler is None:
            break
        trace = _new_trace(function, assumes, joins)
        simpler.prepare(trace)
    trace = _new_trace(function, assumes)
    trace.maps = False
    found = trace_call(trace, function, arguments, given)
    trace.note_unrolled(0, reason)
    return found


def _new_trace(function: Function, assumes: bool, joins: bool = False) -> Trace:
    trace = Trace(real_bools=reaches_code_that_asks(function))
    trace.assumes = assumes
    tell(trace)
    if joins:
        trace.deciding = Side()
    return trace


def trace_call(
    trace: Trace, function: Function, arguments: Reading, given: Sequence[float]
) -> tuple[Trace, list[int], Any]:
    """Run a function on tracers: the trace, the places of the results in it, and the result with zeros."""
    types = types_of_numbers(arguments.signature)
    if innermost_function(function) is function:
        args, keywords = arguments.rebuild(trace.inputs_of(types, given))
    else:  # only the transform sees these whole arrays: it makes the elements that the function gets
        args, keywords = arguments.build(Inputs(trace.whole_inputs_of(types, given)))
    with seldom_collected(), tracing(trace), trace.texts:
        result = trace.followed(function)(*args, **keywords)
        leaves, rebuild = flatten_result(result)
        outputs = trace.outputs_of_call(leaves)
    refuse_spoiled(trace)
    return trace, outputs, rebuild([0.0] * len(leaves) if only_leaves(leaves) else list(map(zeros_like, leaves)))
