"""`jit`: what a user calls. Finds the machine code for a call, or captures and compiles it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Hashable, Sequence
from contextvars import Context
from dataclasses import dataclass
from itertools import count
from math import isclose
from types import MethodType
from typing import Any

from autograd import calls
from autograd.calls import CallRule, Snapshot
from autograd.compiler import c_build, locks
from autograd.compiler.capture import outside
from autograd.compiler.capture.identity import reaches_code_that_asks
from autograd.compiler.capture.replay import replay
from autograd.compiler.capture.signature import Reading, argument_names, read_call, types_of_numbers
from autograd.compiler.capture.trace import (
    Trace,
    UnrollError,
    current_trace,
    finish,
    flatten_result,
    is_capturing,
    tracing,
)
from autograd.compiler.capture.walk import Read
from autograd.compiler.machine import native
from autograd.compiler.run import batch, fast_path, pickling
from autograd.compiler.run.derived import Derived
from autograd.compiler.run.specialization import Options, Path, Story, options_for, same_branches
from autograd.compiler.run.ungraphed import Call, Ungraphed, grown
from autograd.ir.block import Program
from autograd.ir.evaluate import evaluate, flat
from autograd.ir.rewrite import with_numbers_only
from autograd.modes import current_mode, inside_transform
from autograd.sweep import topological_order
from autograd.transforms.origin import origin_of
from autograd.tree import flatten, is_array, make_array, only_floats
from autograd.value import Value, _node

Function = Callable[..., Any]


MOST_NAMES = 10_000  # arguments' numbers that have names in a printed program
MOST_CAPTURES = 64  # with derivatives by Values that are kept, besides those of paths that are still there
SAME = 1e-9  # relative: what two programs for the same rows may differ by in rounding
LARGEST_JACOBIAN = 256  # second derivatives that a gradient by Values computes whether they are asked for or not


class Version:
    """The paths that were compiled for one structure of arguments, and one state of what is read outside them."""

    def __init__(self, owner: Compiled, outside: outside.Outside, state: outside.State) -> None:
        self.owner, self.outside, self.state = owner, outside, state
        self.paths: list[Path] = []
        self.callers: dict[tuple[Path, Any], Any] = {}  # the short way for each of them, or None
        self.after: dict[tuple[int, int], int] = {}  # (path, guard that failed) → the path to try then
        self.current = 0

    def numbers(self, arguments: Reading, leaves: list[Any]) -> tuple[Path, list[float]]:
        """The path that holds for these arguments, and its results."""
        given = leaves if only_floats(leaves) else [x if type(x) is float else x.data for x in leaves]
        if not self.paths:
            self.capture(arguments, given, 0)
        at = self.current
        tried: list[tuple[int, int]] = []
        while True:
            path = self.paths[at]
            frame = path.frame()
            frame.inputs[: len(given)] = given
            for i, leaf in enumerate(path.leaves, len(given)):
                frame.inputs[i] = leaf.data
            failed = path.run(frame)
            outputs: list[float] = frame.outputs[: path.sizes[1]]
            path.pool.append(frame)
            if not failed:
                if path.options == self.owner.options:  # what is there for a few inputs only is not tried first
                    self.current = at
                return path, outputs
            tried.append((at, failed))
            following = self.after.get((at, failed))
            if following is None or any(following == number for number, _ in tried):
                following = next((i for i in range(len(self.paths)) if all(i != number for number, _ in tried)), None)
            if following is None:
                following, known = self.capture(arguments, given, len(tried))
                if known is not None:
                    return self.paths[following], known
                self.after[at, failed] = following
            at = following

    def capture(self, arguments: Reading, given: Sequence[float], tried: int) -> tuple[int, list[float] | None]:
        """Capture and compile the path that these arguments take: its number.

        If another thread has made a path since so many were tried, the number of that one: it may be the same. Where
        no machine code takes that path for these arguments, also the results.
        """
        owner = self.owner
        with owner.lock:
            if len(self.paths) > tried:
                return tried, None
            with self.outside.capturing(self.state):
                captured = capture(owner.function, arguments, given)
            same = same_branches(captured.program, self.paths)
            if same is not None and same.options.accurate:
                return self.paths.index(same), flat(evaluate(captured.program, captured.numbers)[0])
            path = captured.compiled(options_for(same, self.paths, owner.options, owner.__name__))
            self.paths.append(path)
            if not arguments.settled():  # nothing says which call this path would be right for
                self.state.versions.pop(arguments.signature, None)
                self.callers = {**self.callers, (path, self.state.watch): None}
            return len(self.paths) - 1, None

    def caller(self, reading: Reading, path: Path) -> Any | None:
        """The short way for arguments of this structure on a path."""
        watch = self.state.watch
        if (path, watch) not in self.callers:
            kept = {key: caller for key, caller in self.callers.items() if key[1] is watch}
            same = path.options == self.owner.options  # else it serves few inputs, which other code gets wrong
            new = fast_path.caller(reading.signature.args, path, watch) if same else None
            self.callers = {**kept, (path, watch): new}
        return self.callers.get((path, watch))


@dataclass
class Capture:
    """What a function did on tracers: what a `Path` is made of, and the numbers of the program's inputs."""

    program: Program
    numbers: Sequence[float]
    template: Any
    closed: list[Value]
    parents: list[Value]
    names: Sequence[str]
    story: Story

    def compiled(self, options: Options) -> Path:
        """Compile it."""
        return Path(self.program, self.template, options, self.closed, self.parents, self.names, self.story)


def capture(function: Function, arguments: Reading, given: Sequence[float]) -> Capture:
    """Run a function once on tracers."""
    start = time.perf_counter()
    try:
        trace, outputs, template = _trace(function, arguments, given, maps=True)
    except UnrollError as error:
        trace, outputs, template = _trace(function, arguments, given, maps=False)
        trace.note_unrolled(0, str(error))
    closed = [leaf for leaf, _ in trace.leaf_inputs]
    names = argument_names(function, arguments.signature) if len(given) <= MOST_NAMES else ()
    story = Story(getattr(function, "__name__", "a function"), time.perf_counter() - start, trace.unrolled)
    return Capture(finish(trace, outputs), trace.given, template, closed, trace.parents(outputs), names, story)


def _trace(function: Function, arguments: Reading, given: Sequence[float], maps: bool) -> Any:
    trace = Trace(real_bools=reaches_code_that_asks(function), maps=maps)
    args, keywords = arguments.rebuild(trace.inputs_of(types_of_numbers(arguments.signature), given))
    with tracing(trace):
        result = function(*args, **keywords)
        leaves, rebuild = flatten_result(result)
        outputs = trace.outputs(leaves)
    return trace, outputs, rebuild([0.0] * len(leaves))


class Compiled(c_build.Entry):
    """A function that runs as machine code; what `jit` returns."""

    def __init__(self, function: Function, options: Options, lowers: bool = False) -> None:
        functools.update_wrapper(self, function)
        self.__name__ = getattr(function, "__name__", repr(function))
        origin = origin_of(function)
        self.lowers = lowers or (origin is not None and origin.transform != "vmap")  # plain numbers give plain numbers
        self.function = function
        self.options = options
        self.lock = locks.Lock()
        self.outside = outside.Outsides(function, self.__name__)
        self.batch = batch.find(function, options, self.outside)
        self._derived: dict[bool, Derived] = {}  # rows with derivatives by Values outside; by whether in a transform
        self._closes = False  # whether results were Values because the function closes over some
        self._rows: dict[tuple[tuple[int, ...], bool], _WithRows] = {}

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: the instance is the first argument."""
        return self if instance is None else MethodType(self, instance)

    def _call(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Call the function the general way: with any arguments, in any mode."""
        mode = current_mode()
        if mode is not None and mode.anomaly:
            return self.function(*args, **keywords)  # node by node, so that the first bad one is found
        if is_capturing():
            return self.function(*args, **keywords)  # inlined into the program around it
        if self.batch is not None and not keywords:
            try:
                result = self._batched(self.batch, args)
            except batch.RaggedRowsError:
                return self.function(*args)  # results of several shapes are not for arrays
            if result is not NotImplemented:
                return result
        if self._closes and not keywords and (mode is None or mode.recording):
            kept = [_kept(arg) for arg in args]
            result = self._with_rows(())(*kept)
            if result is not _VALUES_AMONG_ARGUMENTS:
                return self._nodes_with_rows(result, kept, (), ())
        reading = read_call(self.__name__, args, keywords)
        if not only_floats(reading.leaves):
            return self._on_values(reading)
        version, path, outputs = self._numbers(reading)
        if path.parents and not self.lowers:
            self._closes = True
            return self._on_values(reading)
        if not keywords and (caller := version.caller(reading, path)) is not None:
            self.prefer(caller)
        return path.rebuild(outputs)

    def _batched(self, rows: batch.Batch, args: tuple[Any, ...]) -> Any:
        """The result of a map over rows, or NotImplemented where the general way must take the call."""
        inside = inside_transform.get()  # as for `_with_rows`
        if inside not in self._derived:
            try:
                result = rows.call(args)
            except batch.ValuesOutsideError:
                self._derived[inside] = Derived(rows)
            else:
                if result is not NotImplemented and (caller := rows.caller) is not None:
                    self.prefer(caller)
                return result
        kept = tuple([_kept(arg) for arg in args])
        found = self._derived[inside].call(kept)
        if found is NotImplemented:
            return NotImplemented
        result, derivatives, closed = found
        return _nodes(result, derivatives, _BatchCall(self, kept, result, closed), tuple(map(grown, closed)))

    def _version(self, structure: Hashable) -> Version:
        around = self.outside.of(structure)
        state = around.state()
        version: Version | None = state.versions.get(structure)
        if version is None:
            with self.lock:
                version = state.versions.setdefault(structure, Version(self, around, state))
        return version

    def _numbers(self, reading: Reading) -> tuple[Version, Path, list[float]]:
        """The version and its path that hold for these arguments, and the results' numbers."""

        def run() -> tuple[Version, Path, list[float]]:
            version = self._version(reading.signature)
            return version, *version.numbers(reading, reading.leaves)

        return outside.steadily(run)

    def __copy__(self) -> Compiled:
        """A compiled function is itself, as a function is."""
        return self

    def __deepcopy__(self, memo: object) -> Compiled:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        packed = pickling.pack(self.function)
        states = []
        for state in self.outside.states():  # other threads may add to the originals while the copies are pickled
            tokens = state.portable()
            if tokens is not None or pickling.is_lost(packed):
                versions = {key: (list(v.paths), dict(v.after)) for key, v in list(state.versions.items())}
                states.append((tokens, versions, {key: list(rows) for key, rows in list(state.rows.items())}))
        return _restore, (packed, self.options, self.lowers, states)

    # ---- inside graphs: one node for each number of the result ------------------------------------------------

    def nodes(self, *args: Any, **keywords: Any) -> Any:
        """The result as Values that can be differentiated again, whatever the arguments are."""
        return self._on_values(read_call(self.__name__, args, keywords), keep_graph=True)

    def _on_values(self, reading: Reading, keep_graph: bool = False) -> Any:
        """Nodes with their own local derivatives, by every Value that flows in."""
        leaves = reading.leaves
        active = tuple([i for i, x in enumerate(leaves) if isinstance(x, Value)])
        mode = current_mode()
        recording = mode is None or mode.recording
        keep_graph = keep_graph or not self.lowers or inside_transform.get()
        if not recording or not keep_graph:
            _, path, outputs = self._numbers(reading)
            if not recording:
                return path.rebuild([Value(y) for y in outputs])
            if len(outputs) * (len(active) + len(path.parents)) > LARGEST_JACOBIAN:
                call = Call(self.__name__, path.captured, leaves, path.leaves)
                return path.rebuild([Ungraphed.of(call, k, y) for k, y in enumerate(outputs)])
        numbers = [x if type(x) is float else x.data for x in leaves]
        args, keywords = reading.rebuild(numbers)
        found = self._with_rows(active)(*args, **keywords)
        return self._nodes_with_rows(found, numbers, active, [leaves[i] for i in active])

    def _nodes_with_rows(self, found: Any, numbers: Any, active: tuple[int, ...], given: Sequence[Value]) -> Any:
        """The result as nodes, from what `_with_rows` returns; `numbers` are the arguments as they were."""
        number, result, rows, closed = found
        recorded = self._with_rows(active).recorded(int(number))
        operands = (*map(grown, given), *recorded.closed)
        return _nodes(result, rows, _Call(recorded.again, numbers, closed), operands)

    def _with_rows(self, active: tuple[int, ...]) -> _WithRows:
        """The compiled function that returns its result with the local derivatives by some of the arguments' leaves."""
        key = active, inside_transform.get()  # a function that copies a Value has other derivatives inside
        if key not in self._rows:
            with self.lock:
                self._rows.setdefault(key, _WithRows(self, active))
        return self._rows[key]

    # ---- a look inside ---------------------------------------------------------------------------------------

    def paths(self) -> list[Path]:
        """All that has been compiled."""
        states = self.outside.states()
        found = [path for state in states for version in list(state.versions.values()) for path in version.paths]
        found += [captured.path for state in states for rows in list(state.rows.values()) for captured in rows]
        return found + [path for derived in list(self._derived.values()) for path in derived.paths()]

    def reads(self) -> list[Read]:
        """What the function reads outside its arguments, as it is now, and whether changes of it are noticed.

        Values are read afresh at every call; of everything else that is `watched` a change makes the next call trace
        the function again. What is not watched must not change: containers that are too large or that the function
        itself changes, objects of C extensions, clocks and files.

        Examples
        --------
        >>> import time
        >>> from autograd import jit
        >>> scale, table = 2.0, [1.0, 2.0]
        >>> for read in jit(lambda x: scale * x + table[1] + time.time()).reads():
        ...     print(read.name, read.kind, read.watched)
        <lambda> function True
        scale global True
        table global True
        time global True
        time clock, file or system False
        table[] list True
        """
        return self.outside.reads()

    def _some(self) -> list[Path]:
        found = self.paths()
        if not found:
            raise ValueError(f"{self.__name__} has not been compiled yet: call it once")
        return found

    def program(self) -> str:
        """The instructions of every path, as compiled."""
        return "\n\n".join(path.text() for path in self._some())

    def llvm_ir(self) -> str:
        """The text in LLVM's language of every path."""
        return "\n\n".join(path.module().text() for path in self._some())

    def assembly(self) -> str:
        """The machine code of every path, as text."""
        return "\n\n".join(native.assembly(path.module()) for path in self._some())

    def stats(self) -> dict[str, Any]:
        """Instructions after each stage, lanes, paths, maps that were unrolled and why; compile seconds and bytes.

        The last two include those of nodes' derivatives.
        """
        found = self._some()
        everything = found + [path for rows in list(self._rows.values()) for path in rows.paths()]
        return {
            "instructions": [dict(path.counts) for path in found],
            "lanes": native.lanes(),
            "paths": len(found),
            "unrolled": list(dict.fromkeys(reason for path in found for reason in path.story.reasons())),
            "compile_seconds": sum(path.seconds for path in everything),
            "code_bytes": sum(path.code.code_bytes for path in everything),
            "work_bytes": sum(path.code.work for path in found),
        }


def _restore(packed: Any, options: Options, lowers: bool, states: Any) -> Compiled:
    """What pickle calls: the programs travelled, the machine code is made anew."""
    compiled = Compiled(pickling.unpack(packed), options, lowers)
    lost = pickling.is_lost(packed)  # it cannot be traced again, so it has one state
    for tokens, versions, rows in states:
        for key, (paths, after) in versions.items():
            around = compiled.outside.of(key)
            state = around.adopt(None if lost else tokens)
            version = state.versions.setdefault(key, Version(compiled, around, state))
            if not version.paths:
                version.paths, version.after = paths, after
        for key, captured in rows.items():
            compiled.outside.of(key).adopt(None if lost else tokens).rows.setdefault(key, captured)
    return compiled


_VALUES_AMONG_ARGUMENTS = object()


class _WithRows(Compiled):
    """A compiled function with the derivatives of its results by some leaves and by what it closes over.

    It returns the number of the capture, the result, the row of derivatives for each number of it, and the
    numbers that it read from outside.
    A node of its result keeps the captured program: higher derivatives do not run the function again, so they do not
    see what has changed since.
    """

    def __init__(self, owner: Compiled, active: tuple[int, ...]) -> None:
        self.active = active
        self.name = owner.__name__
        self.closed: dict[int, list[Value]] = {}  # capture → the Values from outside that have derivatives
        self.found: dict[int, _Recorded] = {}  # capture → what its nodes keep
        captures = count()

        def with_rows(*args: Any, **keywords: Any) -> Any:
            result, rows, closed = _rows_of(owner.function, (args, keywords), active)
            number = next(captures)
            self.closed[number] = closed
            trace = current_trace()
            assert trace is not None
            numbers = [trace.read(leaf) for leaf, _ in trace.leaf_inputs]
            return float(number), result, rows, make_array(numbers, (len(numbers),))

        with_rows.__name__ = f"{owner.__name__} with derivatives"
        super().__init__(with_rows, owner.options, lowers=True)

    def recorded(self, number: int) -> _Recorded:
        """The capture of this number, ready for a graph."""
        return self.found[number]

    def _numbers(self, reading: Reading) -> tuple[Version, Path, list[float]]:
        version, path, outputs = super()._numbers(reading)
        number = int(outputs[0])
        with self.lock:
            if number not in self.found:
                self.found[number] = self._record(path, self.closed.pop(number))
                if len(self.found) > MOST_CAPTURES:  # a function that is traced again and again leaves nothing behind
                    live = {id(path) for path in self.paths()}
                    self.found = {k: found for k, found in self.found.items() if k == number or id(found.path) in live}
        return version, path, outputs

    def _record(self, path: Path, closed: list[Value]) -> _Recorded:
        program = with_numbers_only(path.captured)
        place = {x: i for i, x in enumerate(path.leaves, path.sizes[0] - len(path.leaves))}
        operands = (*self.active, *[place[x] for x in closed])
        for x in closed:
            grown(x)
        return _Recorded(path, _Again(self.name, program, operands, len(path.leaves), self.options), closed)

    def _on_values(self, reading: Reading, keep_graph: bool = False) -> Any:
        return super()._on_values(reading, True) if keep_graph else _VALUES_AMONG_ARGUMENTS


def _rows_of(function: Function, arguments: Any, active: Sequence[int]) -> tuple[Any, list[list[Any]], list[Value]]:
    """Of a function being captured: the result, its derivatives, and the Values from outside that it has some by."""
    inputs, _ = flatten(arguments)
    result = function(*arguments[0], **arguments[1])
    results, _ = flatten_result(result)
    trace = current_trace()
    assert trace is not None
    outside = trace.parents([trace.place(y) for y in results])
    wanted = [*[inputs[i] for i in active], *outside]
    sweeps = trace.sweeps(results, wanted, differentiable=True)
    rows = [sweeps.reverse({y: 1.0} if isinstance(y, Value) else {}) for y in results]
    return result, rows, outside


class _Again:
    """What a compiled function with its derivatives did, as a program that can be run again, on any numbers.

    Attributes
    ----------
    program : Program
        Its first output is not of interest; then follow the results, for each of them its row of derivatives, and
        the `closed` inputs, those from outside.
    operands : tuple of int
        Which of the program's inputs the derivatives are by.
    """

    def __init__(self, name: str, program: Program, operands: tuple[int, ...], closed: int, options: Options) -> None:
        self.name, self.program, self.operands, self.closed, self.options = name, program, operands, closed, options
        outputs = program.outputs[1 : len(program.outputs) - closed]
        results = len(outputs) // (1 + len(operands))
        self.results, self.rows = outputs[:results], outputs[results:]

    @functools.cached_property
    def values(self) -> Compiled:
        """A compiled function from all inputs to the results."""
        return self._compiled(self.results)

    @functools.cached_property
    def derivatives(self) -> Compiled:
        """A compiled function from all inputs to the rows, one after the other."""
        return self._compiled(self.rows)

    def _compiled(self, outputs: Sequence[int]) -> Compiled:
        def again(inputs: list[Any]) -> list[Any]:
            return replay(self.program, inputs, outputs)

        again.__name__ = self.name
        return Compiled(again, self.options, lowers=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Again, (self.name, self.program, self.operands, self.closed, self.options)


@dataclass(frozen=True)
class _Recorded:
    """A capture of a compiled function with its derivatives, and the Values from outside that it has some by."""

    path: Path
    again: _Again
    closed: Sequence[Value]


class _Call:
    """A call of a compiled function: its program, the arguments, and the numbers that it read from outside."""

    def __init__(self, again: _Again, arguments: Any, closed: Any) -> None:
        self.again, self.arguments, self.closed = again, arguments, closed

    @property
    def name(self) -> str:
        """What the function is called."""
        return self.again.name

    def inputs(self) -> list[Any]:
        """The program's inputs as they were."""
        return [*flatten(self.arguments)[0], *self.closed.tolist()]

    def on(self, operands: Sequence[Any]) -> list[Any]:
        """The inputs with other operands."""
        inputs = self.inputs()
        for i, operand in zip(self.again.operands, operands, strict=True):
            inputs[i] = operand
        return inputs

    def value(self, index: int, operands: Sequence[Any]) -> Any:
        """A number of the result for other operands: floats, Values or tracers."""
        inputs = self.on(operands)
        if only_floats(inputs) and not is_capturing():
            return self.again.values(inputs)[index]
        return replay(self.again.program, inputs, [self.again.results[index]])[0]

    def row(self, index: int, operands: Sequence[Any]) -> Sequence[Any]:
        """The derivatives of a number of the result, as Values or tracers."""
        before = self.inputs()
        for i, x in zip(self.again.operands, operands):
            _refuse_change(self.name, before[i], x)
        inputs, count = self.on(operands), len(operands)
        chosen = slice(index * count, (index + 1) * count)
        if is_capturing():
            return replay(self.again.program, inputs, self.again.rows[chosen])
        row: Sequence[Any] = self.again.derivatives.nodes(inputs)[chosen]
        return row

    def __reduce__(self) -> tuple[Any, ...]:
        return _Call, (self.again, flatten(self.arguments)[0], self.closed)


class _BatchCall:
    """A call of a map over rows that closes over Values: its program is captured when something asks for it."""

    def __init__(self, compiled: Compiled, arguments: Any, result: Any, closed: Sequence[Value]) -> None:
        self.compiled, self.arguments, self.result, self.closed = compiled, arguments, result, closed
        self.name, self.before = compiled.__name__, [x.data for x in closed]

    @functools.cached_property
    def _program(self) -> tuple[_Call, list[int]]:
        """The call of the program, and where its operands are among those of the nodes.

        Raises
        ------
        ValueError
            If something that the function reads has changed since.
        """
        for x, before in zip(self.closed, self.before):
            _refuse_change(self.name, before, x)
        with_rows = self.compiled._with_rows(())
        number, result, _, numbers = Context().run(with_rows, *self.arguments)  # at the top level, in no mode
        for old, new in zip(flatten(self.result)[0], flatten(result)[0]):
            if not (isclose(old, new, rel_tol=SAME) or old != old):
                raise ValueError(
                    f"jit({self.name}) computed {old!r}, and {new!r} when it was captured again, for a higher "
                    "derivative or for other operands: something that it reads has changed since. Differentiate before "
                    "changing it, or make it an argument"
                )
        recorded = with_rows.recorded(int(number))
        place = {id(x): k for k, x in enumerate(self.closed)}
        return _Call(recorded.again, self.arguments, numbers), [place[id(x)] for x in recorded.closed]

    def value(self, index: int, operands: Sequence[Any]) -> Any:
        """A number of the result for other operands: floats, Values or tracers."""
        call, places = self._program
        return call.value(index, [operands[place] for place in places])

    def row(self, index: int, operands: Sequence[Any]) -> Sequence[Any]:
        """The derivatives of a number of the result, as Values or tracers."""
        call, places = self._program
        row: list[Any] = [0.0] * len(operands)
        for place, derivative in zip(places, call.row(index, [operands[place] for place in places])):
            row[place] = derivative
        return row

    def __reduce__(self) -> tuple[Any, ...]:
        return _batch_call, (self.name, *self._program)


def _batch_call(name: str, call: _Call, places: list[int]) -> _BatchCall:
    restored = _BatchCall.__new__(_BatchCall)
    vars(restored).update(name=name, _program=(call, places))
    return restored


def _refuse_change(name: str, before: float, now: Any) -> None:
    if now._data.hex() != before.hex():
        raise ValueError(
            f"jit({name}) was computed from {before!r}, which has been changed to {now!r} since: a higher derivative "
            "would mix the two. Differentiate before assigning .data"
        )


def _kept(argument: Any) -> Any:
    """An argument as it is now; Values stay the same ones."""
    return argument.copy() if is_array(argument) else Snapshot().tree(argument)


def _nodes(result: Any, rows: Sequence[Sequence[float] | None], call: Any, operands: tuple[Value, ...]) -> Any:
    """The result as nodes; `rows` has the derivatives of each number by the operands (None: no node)."""
    if not operands:
        return result
    values, rebuild = flatten(result)
    made = enumerate(zip(values, rows))
    return rebuild([y if row is None else _node(y, _Compiled(call, k), operands, tuple(row)) for k, (y, row) in made])


class _Compiled(CallRule):
    """The row of a node that stands for one number of a compiled function's result."""

    __slots__ = ()
    kind = "jit"
    call: _Call | _BatchCall

    def again(self) -> Callable[[Sequence[Any]], Any]:
        """The number as a function of the operands: the program, run again."""
        return functools.partial(self.call.value, self.index)

    def local_derivatives(
        self, operands: Sequence[Any], output: Any, wanted: Sequence[bool] | None = None
    ) -> tuple[Any, ...]:
        """The local derivatives as Values: the program's, compiled with their own derivatives."""
        row = self.call.row(self.index, operands)
        return tuple([d if wanted is None or wanted[k] else None for k, d in enumerate(row)])

    def __reduce__(self) -> tuple[Any, ...]:
        return _Compiled, (self.call, self.index)


def jit(
    function: Function | None = None,
    *,
    accurate: bool = False,
    fast_math: bool = False,
    max_paths: int = 64,
    threads: int = 1,
    quiet: bool = False,
) -> Any:
    """Compile a function of numbers to machine code; results equal those without `jit`.

    Values that it closes over are read afresh at every call; when a plain number that it reads outside its arguments
    changes, the next call traces the function again.

    Parameters
    ----------
    function : callable
        Takes and returns trees of numbers. It is run once on Values for each structure of arguments (and for each
        path through its branches); then its recorded arithmetic runs as machine code. Values that it closes over are
        read at every call; if results depend on them, they are nodes, and `backward` reaches these Values. All else
        that its code, and that of functions and methods it uses, reads outside the arguments is watched: globals and
        closure cells, defaults, attributes, what is in containers and arrays, the functions themselves. When any of it
        changes, the next call traces the function again; up to eight such states are kept, so going back costs nothing.
        Not watched are containers that are very large or that the function itself changes, objects of C extensions,
        clocks and files, and the code of installed packages but for the first hundred functions and classes of it
        that are reached: ``reads()`` lists what is read.
    accurate : bool
        Compute every row of the table as eager code does: values have the same bits, gradients nearly always. Without
        it, the following may have another last digit: `autograd.math.sum` and `dot`, which promise no order; the
        small powers x², x³, x⁴ and 1/x, which are products and quotients; `hypot`, `gamma` and `lgamma`, for which
        libm is called; and in the rows of a `vmap` all functions of libm, whose vector forms are off by up to 4 units
        in the last place. Sums over the rows of a `vmap` are added up in the order of the lanes in any case.
    fast_math : bool
        Let LLVM contract products and sums to fused multiply-adds, reorder sums and use reciprocals. Results may
        differ in more than the last digits: where terms cancel, 0 becomes a small number of either sign, whose square
        root may be nan. Without it, additions, multiplications, divisions and square roots are those of eager code.
    max_paths : int
        How many paths through branches to compile for one structure of arguments.
    threads : int
        Split the rows of a `vmap` among so many threads.
    quiet : bool
        Say nothing when a first call takes more than 2 seconds. Without it one line on stderr says what is long; the
        environment variable ``AUTOGRAD_QUIET=1`` turns it off for all functions.

    Returns
    -------
    Compiled
        The function, with ``program()``, ``reads()``, ``llvm_ir()``, ``assembly()`` and ``stats()`` to look inside.

    Raises
    ------
    TypeError
        When called: for arguments that are not trees of numbers, or where the function freezes a number that
        depends on an argument or on a Value from outside (``int(x)``, ``math.exp(w.data)``, ``w.grad``), or counts up
        a number outside (``nonlocal n; n += 1``), naming the line; or if it draws random numbers.
    TooManyPathsError
        When called: if the function branches into more than `max_paths` paths.
    ImportError
        If llvmlite is not installed.

    Examples
    --------
    >>> from autograd import grad
    >>> from autograd import jit
    >>> @jit
    ... def power(x, n):
    ...     return x**n if x > 0.0 else 0.0
    >>> power(2.0, 3.0), power(-2.0, 3.0)
    (8.0, 0.0)
    >>> jit(grad(power))(2.0, 3.0)
    12.0
    >>> rate = 2.0
    >>> scaled = jit(lambda x: rate * x)
    >>> before, rate = scaled(1.0), 3.0
    >>> before, scaled(1.0)
    (2.0, 3.0)
    """
    if max_paths < 1 or threads < 1:
        raise ValueError(f"max_paths and threads must be at least 1, not {max_paths} and {threads}")
    options = Options(accurate, fast_math, max_paths, threads, quiet)
    if function is None:
        return lambda function: Compiled(function, options)
    if not callable(function):
        raise TypeError(f"jit compiles a function, not {function!r:.80}")
    return Compiled(function, options)


def compile_graph(outputs: Any, inputs: Sequence[Value], **options: Any) -> Compiled:
    """Compile a graph that was built node by node: a function from the numbers of `inputs` to those of `outputs`.

    Parameters
    ----------
    outputs : tree of Values
        What the function returns, as floats.
    inputs : sequence of Value
        Leaves or inner nodes, one for each argument of the function. Other leaves are read afresh at every call.

    Raises
    ------
    TypeError
        If an input is not a Value.

    Examples
    --------
    >>> from autograd import Value
    >>> from autograd import compile_graph
    >>> x, y = Value(2.0), Value(3.0)
    >>> f = compile_graph(x * y + x, [x, y])
    >>> f(2.0, 3.0), f(10.0, 1.0)
    (8.0, 20.0)
    """
    for x in inputs:
        if not isinstance(x, Value):
            raise TypeError(f"an input of a graph must be a Value, not {x!r:.80}")
    results, rebuild = flatten(outputs, "outputs")
    order = topological_order(*[y for y in results if isinstance(y, Value)], leaves=inputs)

    def graph(*numbers: Any) -> Any:
        if len(numbers) != len(inputs):
            raise TypeError(f"the graph has {len(inputs)} inputs, not {len(numbers)}")
        now: dict[Any, Any] = dict(zip(inputs, numbers))
        calls.replay(order, now)
        return rebuild([now.get(y, y) for y in results])

    compiled: Compiled = jit(graph, **options)
    return compiled
