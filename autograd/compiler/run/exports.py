"""Exporting a compiled function: its program for example arguments, the names in it, and its numbers there.

The function is traced afresh, so the text in C shows what it computes now.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from autograd.compiler.capture.outside import steadily
from autograd.compiler.capture.signature import leaf_names, parameter_names, read, read_call, types_of_numbers
from autograd.compiler.capture.trace import finish
from autograd.compiler.export.files import files
from autograd.compiler.export.source import Result, Source, Subject, write_source
from autograd.compiler.run.batch.arguments import NotRowsError
from autograd.compiler.run.batch.function import Batch
from autograd.compiler.run.capturing import Function, capture
from autograd.compiler.run.collection import uncollected
from autograd.compiler.run.specialization import Options, Specialization
from autograd.ir.block import CALL, Array, Program, has_rows, loops, size_of, types_of
from autograd.ir.evaluate import Cells, Evaluator, cells_of, flat
from autograd.ir.passes import simplify
from autograd.ir.passes.chains import gather
from autograd.ir.roll.rolling import fewest_to_read, rolled
from autograd.once import cached_property
from autograd.transforms.origin import origin_of
from autograd.tree import children, is_array
from autograd.value import Value

if TYPE_CHECKING:
    from autograd.compiler.run.call import Compiled

T = TypeVar("T")

FEWEST_STATEMENTS = 64  # in a program in which short loops are found too
MOST_CHECKED = 64  # rows of the example; they are checked to take one path
LONG_SUM = 8  # terms of a sum that may become a loop
CLOSED = ("constants", "parameters")
SUFFIXES = {"grad": "_gradient", "value_and_grad": "_with_gradient"}


@dataclass
class Example:
    """A function in C, with the arguments and results of a call.

    Attributes
    ----------
    source : Source
        The function in C.
    program : Program
        The program from which it is written.
    given : sequence
        The inputs of the program: a number, or a list for an array.
    rows : int
        How many rows the arguments have, in a batch.
    inputs : list of lists
        The numbers of each parameter that is an input.
    captured : Program
        The program before it was simplified; it computes as eager code does.
    results : sequence of Result
        The parts of the result.
    function : str
        The name of the Python function.
    """

    source: Source
    program: Program
    given: Sequence[Any]
    rows: int
    inputs: list[list[float]]
    captured: Program
    results: Sequence[Result]
    function: str

    def first_rows(self, count: int) -> Example:
        """The example with its first rows only."""
        rows = min(count, self.rows)
        kinds = self.captured.inputs
        given = [x[: rows * size_of(k)] if has_rows(k) else x for x, k in zip(self.given, kinds, strict=True)]
        return replace(self, given=given, rows=rows)

    @cached_property
    def outputs(self) -> list[list[float]]:
        """The numbers of each parameter that is an output, as eager code computes them.

        Raises
        ------
        ValueError
            If rows of a batch, or steps of a loop, do not take one path.
        """
        try:
            outputs = _evaluated(self.captured, self.given, self.rows)
        except _LeftPathError as error:
            raise ValueError(
                f"the rows of the example do not take one path through the branches of {self.function}: the comparison "
                f"at {error} comes out in two ways, and code in C has one path. Choose with autograd.math.where "
                "instead, or give rows that take the same path"
            ) from None
        return _grouped(self.results, self.captured, outputs, self.rows)


class _Trace(NamedTuple):
    """What a capture of the function gave.

    Attributes
    ----------
    names : sequence of str
        The names of the inputs of the program.
    leaves : sequence of Value
        The Values from outside.
    results : sequence of Result
        The parts of the result.
    given : sequence
        The inputs of the program for the example.
    count_input : int or None
        The input that is the number of rows, in a batch.
    """

    program: Program
    names: Sequence[str]
    leaves: Sequence[Value]
    results: Sequence[Result]
    given: Sequence[Any] = ()
    count_input: int | None = None


class _LeftPathError(Exception):
    """A comparison in a row or step came out differently than in the first one."""


class _Checked(Evaluator):
    """An evaluator that checks the guards of all steps."""

    def run(self, program: Program, inputs: Sequence[Any]) -> list[Any]:
        """All values of a program, or of one step of a loop."""
        values = super().run(program, inputs)
        for guard in program.guards:
            if values[guard.value] != guard.expected:
                raise _LeftPathError(guard.line)
        return values


def example_of(
    compiled: Compiled[..., Any],
    args: tuple[Any, ...],
    keywords: dict[str, Any],
    name: str | None,
    closed: str,
    outputs: Sequence[str] = (),
) -> Example:
    """The function in C for the signature of these arguments and the path that they take, with its numbers.

    The parts of the result are named `outputs`, if there are as many of these.

    Raises
    ------
    ValueError
        If `closed` is unknown, or if the rows of a batch do not take one path.
    """
    return _with_short_loops(lambda: _example(compiled, args, keywords, name, closed, outputs))


def _example(
    compiled: Compiled[..., Any],
    args: tuple[Any, ...],
    keywords: dict[str, Any],
    name: str | None,
    closed: str,
    named: Sequence[str],
) -> Example:
    trace: _Trace = steadily(lambda: _traced(compiled, args, keywords))
    if len(named) == len(trace.results):
        trace = trace._replace(results=[Result(text, part.shape) for text, part in zip(named, trace.results)])
    subject = _subject(compiled, trace, name, closed)
    source = write_source(subject)
    given, captured = trace.given, trace.program
    rows = 0 if trace.count_input is None else int(given[trace.count_input])
    numbers = [_numbers(given[k]) for k in source.places if k >= 0]
    closed_numbers = [leaf.data for leaf in trace.leaves]
    if source.places.count(-1) == 1:
        numbers.append(closed_numbers)
    elif -1 in source.places:
        numbers += [[x] for x in closed_numbers]
    example = Example(source, subject.program, given, rows, numbers, captured, trace.results, compiled.__name__)
    if any(loop.body.guards for loop in loops(captured)):
        _ = example.first_rows(MOST_CHECKED).outputs  # raises if they do not take one path
    return example


def source_of(compiled: Compiled[..., Any], found: Sequence[Specialization], name: str | None, closed: str) -> Source:
    """The only specialization of a compiled function, in C.

    Raises
    ------
    ValueError
        If there are several.
    """
    if len(found) != 1 or compiled.batch is not None:
        what = "works on rows" if compiled.batch is not None else f"has been compiled for {len(found)} paths"
        raise ValueError(
            f"{compiled.__name__} {what}: say for which arguments the C function is, "
            f"{compiled.__name__}.c_source(...), with the arguments of a call"
        )
    one = found[0]
    trace = _Trace(one.captured, one.names, one.leaves, _results(compiled.function, one.template))
    return _with_short_loops(lambda: write_source(_subject(compiled, trace, name, closed)))


def _with_short_loops(write: Callable[[], T]) -> T:
    """Call a function so that rolling finds short loops too: they make C easier to read."""
    context = copy_context()
    context.run(fewest_to_read.set, FEWEST_STATEMENTS)
    return context.run(write)


def write_files(directory: str | os.PathLike[str], example: Example) -> list[str]:
    """Write the function and the files that go with it; return the names of the files."""
    texts = files(example.source, example.rows, example.inputs, example.outputs)
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    return list(texts)


def _subject(compiled: Compiled[..., Any], trace: _Trace, name: str | None, closed: str) -> Subject:
    """The subject of the function in C, from a trace."""
    if closed not in CLOSED:
        raise ValueError(f"closed must be 'constants' or 'parameters', not {closed!r}")
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be text, not {name!r:.80}")
    own = name or default_name(compiled.function, compiled.__name__)
    pairs = [(leaf.label or "", leaf.data) for leaf in trace.leaves]
    program = _prepared(trace.program, compiled.options)
    summary = f"{own}: {_described(compiled.function, compiled.__name__)}"
    return Subject(own, program, trace.names, pairs, trace.results, trace.count_input, closed == "parameters", summary)


def _prepared(captured: Program, options: Options) -> Program:
    """The program after the passes that machine code needs too, except that long sums stay whole."""
    with uncollected():
        simple = simplify.simplify(rolled(captured), options.accurate)
        return simplify.unroll(gather(simplify.prepare(simple, options.accurate), LONG_SUM), LONG_SUM)


def _traced(compiled: Compiled[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> _Trace:
    """Capture the function for these arguments."""
    if compiled.batch is not None and not keywords:
        try:
            return _traced_batch(compiled, compiled.batch, args)
        except NotRowsError:
            pass  # the call is like that of any other function
    reading = read_call(compiled.__name__, args, keywords)
    numbers = [x.data if isinstance(x, Value) else x for x in reading.leaves]
    outside = compiled.outside.of(reading.signature)
    state = outside.state()
    with compiled.lock, outside.capturing(state, reading.signature):
        made = capture(compiled.function, reading, numbers)
    results = _results(compiled.function, made.template)
    return _Trace(made.program, made.names, made.closed, results, made.numbers)


def _traced_batch(compiled: Compiled[..., Any], rows: Batch, args: tuple[Any, ...]) -> _Trace:
    """Capture a batch for these arguments."""
    call = rows.read(args)
    signature = call.signature()
    outside = rows.outside.of(signature)
    state = outside.state()
    call.arrays = [array.copy() for array in call.arrays]
    with rows.lock, outside.capturing(state, signature):
        trace, outputs, template = call.traced(0, assumes=False)
    program = finish(trace, outputs)
    types = types_of(program)
    if rows.mapped.stacks:
        kinds = [types[o] for o in program.outputs]
        named = _row_names(trace.row, "result", compiled.function)
        results = [Result(text, kind.shape if isinstance(kind, Array) else None) for text, kind in zip(named, kinds)]
    elif call.by is None:
        results = _results(compiled.function, template)
    else:
        results = _gradients_by_rows(rows, call)
    count = call.count_input()
    arrays = iter([array.ravel().tolist() for array in call.arrays if array.shape[1]])
    given = [next(arrays) if has_rows(k) else x for k, x in zip(program.inputs, trace.given)]
    given[count] = float(call.count)
    leaves = [leaf for leaf, _ in trace.leaf_inputs]
    return _Trace(program, call.names(), leaves, results, given, count)


def _evaluated(program: Program, given: Sequence[Any], rows: int) -> list[Any]:
    """The outputs as eager code computes them; arrays are lists.

    Raises
    ------
    _LeftPathError
        If a guard fails, in the program or in a step of a loop.
    """
    extents = {CALL: rows}
    values = _Checked(extents).run(program, cells_of(program, given, extents))
    return [x.numbers() if isinstance(x, Cells) else x for x in [values[o] for o in program.outputs]]


def _numbers(given: Any) -> list[float]:
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _grouped(results: Sequence[Result], program: Program, outputs: Sequence[Any], rows: int) -> list[list[float]]:
    """The numbers of each part of the result."""
    types = types_of(program)
    kinds = [types[o] for o in program.outputs]
    given = iter([out for out, kind in zip(outputs, kinds) if has_rows(kind)])
    numbers = iter(flat([o for o, kind in zip(outputs, kinds) if not has_rows(kind)]))
    found = []
    for result in results:
        if result.shape is not None and CALL in result.shape:
            found.append(list(next(given)))
        else:
            size = 1 if result.shape is None else Array(result.shape).size()
            found.append([next(numbers) for _ in range(size)])
    return found


# ---- names -------------------------------------------------------------------------------------------------------


def default_name(function: Function, name: str) -> str:
    """The name of the function in C if none is given: f_gradient for grad(f)."""
    origin = origin_of(function)
    if origin is None or origin.transform not in SUFFIXES:
        return name
    return default_name(origin.function, getattr(origin.function, "__name__", name)) + SUFFIXES[origin.transform]


def _described(function: Function, name: str) -> str:
    """Says from which function, and by which transforms, the C is written."""
    origin = origin_of(function)
    if origin is None:
        return f"written from the Python function {name}"
    inner = getattr(origin.function, "__name__", "f")
    inner_origin = origin_of(origin.function)
    inside = f"{inner_origin.transform}({inner})" if inner_origin is not None else inner
    return f"written from {origin.transform}({inside})"


def _results(function: Function, template: Any) -> list[Result]:
    """The parts of a result; of the template only the containers matter."""
    origin = origin_of(function)
    if origin is not None and origin.transform in SUFFIXES and not origin.parameters[1]:
        by = origin.parameters[0]
        if origin.transform == "grad":
            return _of_gradient(origin.function, by, template)
        value, gradient = template
        return [*_parts(value, "value"), *_of_gradient(origin.function, by, gradient)]
    return _parts(template, "result")


def _of_gradient(function: Function, by: Any, gradient: Any) -> list[Result]:
    """The parts of a gradient; if it is by several arguments, each part has the name of its argument."""
    if not isinstance(by, (tuple, list)):
        return _parts(gradient, "gradient")
    names = parameter_names(inner_function(function), max([i for i in by if i >= 0], default=0) + 1)
    named = [names[i] if 0 <= i < len(names) else str(i) for i in by]
    return [part for name, one in zip(named, gradient) for part in _parts(one, f"gradient_{name}")]


def inner_function(function: Function) -> Function:
    """The function that the user wrote, without the transforms around it."""
    while (origin := origin_of(function)) is not None:
        function = origin.function
    return function


def _parts(tree: Any, name: str) -> list[Result]:
    """The parts of a tree: each element of a tuple is a part, a list or array is one part."""
    if type(tree) is tuple:
        return [part for k, one in enumerate(tree) for part in _parts(one, f"{name}_{k}")]
    signature = read(tree).signature
    kinds = types_of_numbers(signature)
    shapes = [kind.shape if isinstance(kind, Array) else None for kind in kinds]
    return [Result(text, shape) for text, shape in zip(leaf_names(signature, name), shapes, strict=True)]


def _row_names(row: Any, name: str, function: Function) -> list[str]:
    """The names of the results of a row: one for each number, and one for each array."""
    inner = origin_of(function)
    of = origin_of(inner.function) if inner is not None else None
    if of is not None and of.transform in SUFFIXES and not of.parameters[1]:
        if of.transform == "grad":
            return _leaf_paths(row, "gradient")
        return [*_leaf_paths(row[0], "value"), *_leaf_paths(row[1], "gradient")]
    return _leaf_paths(row, name)


def _leaf_paths(tree: Any, name: str) -> list[str]:
    parts = None if is_array(tree) else children(tree)
    if parts is None:
        return [name]
    return [path for key, child in parts.named for path in _leaf_paths(child, name + key)]


def _gradients_by_rows(rows: Batch, call: Any) -> list[Result]:
    """The parts of a gradient by rows, and of the value if it is returned too."""
    found = [Result("value", None)] if rows.mapped.with_value else []
    names = parameter_names(rows.mapped.inner, len(call.arguments))
    several = not isinstance(rows.mapped.argnums[0], int)
    for i in call.by:
        name, argument = f"gradient_{names[i]}" if several else "gradient", call.arguments[i]
        if call.axes[i] is None:
            kinds = types_of_numbers(argument.signature)
            shapes = [kind.shape if isinstance(kind, Array) else None for kind in kinds]
            found += [Result(text, shape) for text, shape in zip(leaf_names(argument.signature, name), shapes)]
            continue
        arrays = [array.shape[1] for array in argument.arrays if array.shape[1]]
        for k, width in enumerate(arrays):
            text = name if len(arrays) == 1 else f"{name}{k}"
            found.append(Result(text, (CALL, width) if width > 1 else (CALL,)))
    return found
