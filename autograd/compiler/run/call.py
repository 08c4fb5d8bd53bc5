"""`jit`, which users call: finds the machine code for a call, or captures the function and compiles it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Hashable, Sequence
from contextvars import Context
from dataclasses import asdict, dataclass
from itertools import count
from math import isclose
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, overload

from autograd import calls
from autograd.calls import CallRule, Snapshot
from autograd.compiler import c_build, locks
from autograd.compiler.capture import outside
from autograd.compiler.capture.identity import reaches_code_that_asks
from autograd.compiler.capture.replay import replay
from autograd.compiler.capture.results import flatten_result
from autograd.compiler.capture.sides import was_used
from autograd.compiler.capture.signature import Reading, argument_names, read_call, types_of_numbers
from autograd.compiler.capture.trace import Trace, current_trace, finish, is_capturing, tracing
from autograd.compiler.capture.walk import Read
from autograd.compiler.capture.watched import UnrollError
from autograd.compiler.machine import llvm
from autograd.compiler.run import batch, fast_path, pickling
from autograd.compiler.run.derived import Derived
from autograd.compiler.run.specialization import Options, Specialization, Story, options_for, same_branches
from autograd.compiler.run.ungraphed import Call, Ungraphed, grown
from autograd.eager import active_recorder
from autograd.ir.block import Program
from autograd.ir.evaluate import evaluate, flat
from autograd.ir.rewrite import with_numbers_only
from autograd.modes import current_mode, inside_transform
from autograd.sweep import topological_order
from autograd.transforms.origin import P, R, check_function, origin_of
from autograd.tree import flatten, is_array, make_array, only_floats
from autograd.value import Value, _node

Function = Callable[..., Any]


MOST_NAMES = 10_000  # if the arguments have more numbers than this, a printed program has no names for them
MOST_CAPTURES = 64  # with derivatives by Values that are kept, besides those whose specializations still exist
SAME = 1e-9  # relative: rounding differences that two programs for the same rows may have
LARGEST_JACOBIAN = 256  # second derivatives that a gradient by Values computes in any case, asked for or not


class Version:
    """The specializations compiled for one signature of the arguments and one state of what is read outside them."""

    def __init__(self, owner: Compiled[..., Any], outside: outside.Outside, state: outside.State) -> None:
        self.owner, self.outside, self.state = owner, outside, state
        self.specializations: list[Specialization] = []
        self.fast_paths: dict[tuple[Specialization, Any], Any] = {}  # the fast path of each, or None
        self.after: dict[tuple[int, int], int] = {}  # (number, guard that failed) → the number to try then
        self.current = 0

    def numbers(self, arguments: Reading, leaves: list[Any]) -> tuple[Specialization, list[float]]:
        """The specialization whose guards hold for these arguments, and its results."""
        given = leaves if only_floats(leaves) else [x if type(x) is float else x.data for x in leaves]
        if not self.specializations:
            self.capture(arguments, given, 0)
        at = self.current
        tried: list[tuple[int, int]] = []
        while True:
            specialization = self.specializations[at]
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
                following, known = self.capture(arguments, given, len(tried))
                if known is not None:
                    return self.specializations[following], known
                self.after[at, failed] = following
            at = following

    def capture(self, arguments: Reading, given: Sequence[float], tried: int) -> tuple[int, list[float] | None]:
        """Capture and compile a specialization for these arguments; return its number.

        If another thread has added one since `tried` were tried, return that one's number: it may be the same. If no
        machine code takes the right branches for these arguments, return the results as well.
        """
        owner = self.owner
        with owner.lock:
            if len(self.specializations) > tried:
                return tried, None
            with self.outside.capturing(self.state):
                captured = capture(owner.function, arguments, given, assumes=not tried)
            same = same_branches(captured.program, self.specializations)
            if same is not None and same.options.accurate:
                return self.specializations.index(same), flat(evaluate(captured.program, captured.numbers)[0])
            specialization = captured.compiled(options_for(same, self.specializations, owner.options, owner.__name__))
            self.specializations.append(specialization)
            if not arguments.settled():  # it is not known for which later call this would be right
                self.state.versions.pop(arguments.signature, None)
                self.fast_paths = {**self.fast_paths, (specialization, self.state.watch): None}
            return len(self.specializations) - 1, None

    def fast_path(self, reading: Reading, specialization: Specialization) -> Any | None:
        """The fast path of a specialization, for arguments of this signature; None if it has none."""
        watch = self.state.watch
        if (specialization, watch) not in self.fast_paths:
            kept = {key: fast for key, fast in self.fast_paths.items() if key[1] is watch}
            usual = specialization.options == self.owner.options  # else it is for the few inputs that need it
            new = fast_path.for_call(reading.signature.args, specialization, watch) if usual else None
            self.fast_paths = {**kept, (specialization, watch): new}
        return self.fast_paths.get((specialization, watch))


@dataclass
class Capture:
    """What a function did on tracers: the parts of a `Specialization`, and the numbers of the program's inputs."""

    program: Program
    numbers: Sequence[float]
    template: Any
    closed: list[Value]
    parents: list[Value]
    names: Sequence[str]
    story: Story

    def compiled(self, options: Options) -> Specialization:
        """Compile it."""
        return Specialization(self.program, self.template, options, self.closed, self.parents, self.names, self.story)


def capture(function: Function, arguments: Reading, given: Sequence[float], assumes: bool = False) -> Capture:
    """Run a function once on tracers.

    With `assumes`, what loops demand is a guard without a look at these arguments: to run a loop in Python takes long.
    If machine code finds that it does not hold, another capture looks, and raises the error.
    """
    start = time.perf_counter()
    trace, outputs, template = _traced(function, arguments, given, assumes)
    closed = [leaf for leaf, _ in trace.leaf_inputs]
    names = argument_names(function, arguments.signature) if len(given) <= MOST_NAMES else ()
    name = getattr(function, "__name__", "a function")
    story = Story(name, time.perf_counter() - start, trace.unrolled, trace.flow)
    return Capture(finish(trace, outputs), trace.given, template, closed, trace.parents(outputs), names, story)


def _traced(function: Function, arguments: Reading, given: Sequence[float], assumes: bool) -> Any:
    """The capture, its outputs and its result; with less of what makes a program short if that cannot be captured."""
    trace = _new_trace(function, assumes)
    try:
        return _trace(trace, function, arguments, given)
    except Exception as error:
        if not was_used(trace):
            if not isinstance(error, UnrollError):
                raise
            reason: Any = error.reason
        else:  # Python code may not do what it does with numbers of the program; then it does as it is written
            trace, reason = _new_trace(function, assumes), None
            trace.flows = False
            try:
                return _trace(trace, function, arguments, given)
            except UnrollError as unrolled:
                reason = unrolled.reason
    trace = _new_trace(function, assumes)
    trace.maps = False
    found = _trace(trace, function, arguments, given)
    trace.note_unrolled(0, reason)
    return found


def _new_trace(function: Function, assumes: bool) -> Trace:
    trace = Trace(real_bools=reaches_code_that_asks(function))
    trace.assumes = assumes
    return trace


def _trace(trace: Trace, function: Function, arguments: Reading, given: Sequence[float]) -> Any:
    args, keywords = arguments.rebuild(trace.inputs_of(types_of_numbers(arguments.signature), given))
    with tracing(trace):
        result = trace.followed(function)(*args, **keywords)
        leaves, rebuild = flatten_result(result)
        outputs = trace.outputs(leaves)
    return trace, outputs, rebuild([0.0] * len(leaves))


class Compiled(c_build.Entry, Generic[P, R]):
    """A function that runs as machine code; `jit` returns it."""

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **keywords: P.kwargs) -> R:
            """Call the function: the same result as without `jit`."""

    def __init__(self, function: Callable[P, R], options: Options, returns_floats: bool = False) -> None:
        functools.update_wrapper(self, function)
        self.__name__ = getattr(function, "__name__", repr(function))
        origin = origin_of(function)
        # As in eager code: a gradient of plain numbers is plain numbers.
        self.returns_floats = returns_floats or (origin is not None and origin.transform != "vmap")
        self.function: Function = function
        self.options = options
        self.lock = locks.Lock()
        self.outside = outside.Outsides(function, self.__name__)
        self.batch = batch.find(function, options, self.outside)
        self._derived: dict[
            bool, Derived
        ] = {}  # a batch with derivatives by Values from outside; key: inside a transform?
        self._closes = False  # whether results were Values because the function closes over Values
        self._differentiated: dict[tuple[tuple[int, ...], bool], _WithDerivatives] = {}

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """The method of an instance, which becomes the first argument."""
        return self if instance is None else MethodType(self, instance)

    def _call(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """The slow path: call the function with any arguments, in any mode."""
        mode = current_mode()
        if mode is not None and mode.anomaly:
            return self.function(*args, **keywords)  # node by node: that finds the first bad node
        if is_capturing():
            return active_recorder().followed(self.function)(*args, **keywords)  # inlined into the program around it
        if self.batch is not None and not keywords:
            try:
                result = self._batched(self.batch, args)
            except batch.RaggedRowsError:
                return self.function(*args)  # results of several shapes do not fit into arrays
            if result is not NotImplemented:
                return result
        if self._closes and not keywords and (mode is None or mode.recording):
            kept = [_kept(arg) for arg in args]
            result = self._with_derivatives(())(*kept)
            if result is not _VALUES_AMONG_ARGUMENTS:
                return self._nodes_with_derivatives(result, kept, (), ())
        reading = read_call(self.__name__, args, keywords)
        if not only_floats(reading.leaves):
            return self._on_values(reading)
        version, specialization, outputs = self._numbers(reading)
        if specialization.parents and not self.returns_floats:
            self._closes = True
            return self._on_values(reading)
        if not keywords and (fast := version.fast_path(reading, specialization)) is not None:
            self.prefer(fast)
        return specialization.rebuild(outputs)

    def _batched(self, rows: batch.Batch, args: tuple[Any, ...]) -> Any:
        """The result of a map over rows, or NotImplemented if the call needs the slow path."""
        inside = inside_transform.get()  # as for `_with_derivatives`
        if inside not in self._derived:
            try:
                result = rows.call(args)
            except batch.ValuesOutsideError:
                self._derived[inside] = Derived(rows)
            else:
                if result is not NotImplemented and (fast := rows.fast_path) is not None:
                    self.prefer(fast)
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

    def _numbers(self, reading: Reading) -> tuple[Version, Specialization, list[float]]:
        """The version and the specialization that are valid for these arguments, and the numbers of the results."""

        def run() -> tuple[Version, Specialization, list[float]]:
            version = self._version(reading.signature)
            return version, *version.numbers(reading, reading.leaves)

        return outside.steadily(run)

    def __copy__(self) -> Compiled[..., Any]:
        """A copy of a compiled function is the function itself, as for any function."""
        return self

    def __deepcopy__(self, memo: object) -> Compiled[..., Any]:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        packed = pickling.pack(self.function)
        states = []
        for state in self.outside.states():  # other threads may add to the originals while the copies are pickled
            tokens = state.portable()
            if tokens is not None or pickling.is_lost(packed):
                versions = {key: (list(v.specializations), dict(v.after)) for key, v in list(state.versions.items())}
                states.append((tokens, versions, {key: list(rows) for key, rows in list(state.rows.items())}))
        return _restore, (packed, self.options, self.returns_floats, states)

    # ---- inside graphs: one node for each number of the result ------------------------------------------------

    def nodes(self, *args: Any, **keywords: Any) -> Any:
        """The result as Values that can be differentiated again, for any arguments."""
        return self._on_values(read_call(self.__name__, args, keywords), keep_graph=True)

    def _on_values(self, reading: Reading, keep_graph: bool = False) -> Any:
        """The result as nodes, with their local derivatives by every Value that flows in."""
        leaves = reading.leaves
        active = tuple([i for i, x in enumerate(leaves) if isinstance(x, Value)])
        mode = current_mode()
        recording = mode is None or mode.recording
        keep_graph = keep_graph or not self.returns_floats or inside_transform.get()
        if not recording or not keep_graph:
            _, specialization, outputs = self._numbers(reading)
            if not recording:
                return specialization.rebuild([Value(y) for y in outputs])
            if len(outputs) * (len(active) + len(specialization.parents)) > LARGEST_JACOBIAN:
                call = Call(self.__name__, specialization.captured, leaves, specialization.leaves)
                return specialization.rebuild([Ungraphed.of(call, k, y) for k, y in enumerate(outputs)])
        numbers = [x if type(x) is float else x.data for x in leaves]
        args, keywords = reading.rebuild(numbers)
        found = self._with_derivatives(active)(*args, **keywords)
        return self._nodes_with_derivatives(found, numbers, active, [leaves[i] for i in active])

    def _nodes_with_derivatives(self, found: Any, numbers: Any, active: tuple[int, ...], given: Sequence[Value]) -> Any:
        """The result as nodes, from what `_with_derivatives` returns; `numbers` are the arguments as they were."""
        number, result, rows, closed = found
        recorded = self._with_derivatives(active).recorded(int(number))
        operands = (*map(grown, given), *recorded.closed)
        return _nodes(result, rows, _Call(recorded.again, numbers, closed), operands)

    def _with_derivatives(self, active: tuple[int, ...]) -> _WithDerivatives:
        """The compiled function that returns its result and the local derivatives by some leaves of the arguments."""
        key = active, inside_transform.get()  # inside a transform, a copy of a Value keeps its derivative
        if key not in self._differentiated:
            with self.lock:
                self._differentiated.setdefault(key, _WithDerivatives(self, active))
        return self._differentiated[key]

    # ---- inspection ------------------------------------------------------------------------------------------

    def paths(self) -> list[Specialization]:
        """All specializations that have been compiled: each is one path through the branches of the function."""
        states = self.outside.states()
        found = [
            one for state in states for version in list(state.versions.values()) for one in version.specializations
        ]
        found += [one.specialization for state in states for rows in list(state.rows.values()) for one in rows]
        return found + [one for derived in list(self._derived.values()) for one in derived.specializations()]

    def reads(self) -> list[Read]:
        """What the function reads outside its arguments now, and whether a change of it is noticed.

        Values are read afresh at every call. If anything else that is `watched` changes, the next call traces the
        function again. The rest must not change: containers that are too large or that the function itself changes,
        objects of C extensions, clocks and files.

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

    def _some(self) -> list[Specialization]:
        found = self.paths()
        if not found:
            raise ValueError(f"{self.__name__} has not been compiled yet: call it once")
        return found

    def program(self) -> str:
        """The program of every specialization, as compiled."""
        return "\n\n".join(one.text() for one in self._some())

    def branches(self) -> str:
        """What became of the branches and loops in the source that depend on numbers of the program: a line for each.

        A branch runs both sides under masks, a loop is compiled once; a guard makes a path of its own for each outcome,
        and the line says why. Statements that depend on plain Python values alone are not listed.

        Examples
        --------
        >>> import numpy as np
        >>> from autograd import jit, vmap
        >>> def halved(x):
        ...     seen = []
        ...     while x > 1.0:
        ...         x = 0.5 * x
        ...     if x > 0.75:
        ...         seen.append(x)
        ...     return x
        >>> compiled = jit(vmap(halved))
        >>> compiled(np.array([0.5, 3.0, 7.0])).tolist()
        [0.5, 0.75, 0.875]
        >>> print(compiled.branches())
        line 3 of halved: while is a loop
        line 5 of halved: if is a guard: it calls append
        """
        found = {entry for one in self._some() for entry in one.story.flow.items()}
        told = {(site.function, site.line, site.told(why)) for site, why in found}
        return "\n".join([text for _, _, text in sorted(told)])

    def llvm_ir(self) -> str:
        """The LLVM IR of every specialization."""
        return "\n\n".join(one.module().text() for one in self._some())

    def assembly(self) -> str:
        """The machine code of every specialization, in assembly language."""
        return "\n\n".join(llvm.assembly(one.module()) for one in self._some())

    def stats(self) -> dict[str, Any]:
        """Figures about what was compiled.

        ``"instructions"`` has their number after each stage, for each specialization, and ``"paths"`` the number of
        specializations; ``"unrolled"`` says which maps were unrolled and why. The seconds and the bytes of code
        include those of the derivatives of nodes.
        """
        found = self._some()
        everything = found + [one for function in list(self._differentiated.values()) for one in function.paths()]
        return {
            "instructions": [dict(one.counts) for one in found],
            "lanes": llvm.lanes(),
            "paths": len(found),
            "unrolled": list(dict.fromkeys(reason for one in found for reason in one.story.reasons())),
            "compile_seconds": sum(one.seconds for one in everything),
            "code_bytes": sum(one.code.code_bytes for one in everything),
            "work_bytes": sum(one.code.work for one in found),
        }


def _restore(packed: Any, options: Options, returns_floats: bool, states: Any) -> Compiled[..., Any]:
    """Called by pickle: the programs come from the pickle, the machine code is made again."""
    compiled = Compiled(pickling.unpack(packed), options, returns_floats)
    lost = pickling.is_lost(packed)  # it cannot be traced again, so it has one state
    for tokens, versions, rows in states:
        for key, (specializations, after) in versions.items():
            around = compiled.outside.of(key)
            state = around.adopt(None if lost else tokens)
            version = state.versions.setdefault(key, Version(compiled, around, state))
            if not version.specializations:
                version.specializations, version.after = specializations, after
        for key, captured in rows.items():
            compiled.outside.of(key).adopt(None if lost else tokens).rows.setdefault(key, captured)
    return compiled


_VALUES_AMONG_ARGUMENTS = object()


class _WithDerivatives(Compiled[..., Any]):
    """A compiled function with the derivatives of its results by some leaves and by what it closes over.

    It returns the number of the capture, the result, for each number of it the row of its derivatives, and the
    numbers that it read from outside.
    A node of its result keeps the captured program. Higher derivatives do not run the function again, so later changes
    have no effect on them.
    """

    def __init__(self, owner: Compiled[..., Any], active: tuple[int, ...]) -> None:
        self.active = active
        self.name = owner.__name__
        self.closed: dict[int, list[Value]] = {}  # capture → the Values from outside that have derivatives
        self.found: dict[int, _Recorded] = {}  # capture → what its nodes keep
        captures = count()

        def with_derivatives(*args: Any, **keywords: Any) -> Any:
            result, rows, closed = _results_with_derivatives(owner.function, (args, keywords), active)
            number = next(captures)
            self.closed[number] = closed
            trace = current_trace()
            assert trace is not None
            numbers = [trace.read(leaf) for leaf, _ in trace.leaf_inputs]
            return float(number), result, rows, make_array(numbers, (len(numbers),))

        with_derivatives.__name__ = f"{owner.__name__} with derivatives"
        super().__init__(with_derivatives, owner.options, returns_floats=True)

    def recorded(self, number: int) -> _Recorded:
        """The capture of this number, ready for a graph."""
        return self.found[number]

    def _numbers(self, reading: Reading) -> tuple[Version, Specialization, list[float]]:
        version, specialization, outputs = super()._numbers(reading)
        number = int(outputs[0])
        with self.lock:
            if number not in self.found:
                self.found[number] = self._record(specialization, self.closed.pop(number))
                if len(self.found) > MOST_CAPTURES:  # a function that is traced often leaves nothing behind
                    live = {id(one) for one in self.paths()}
                    self.found = {k: x for k, x in self.found.items() if k == number or id(x.specialization) in live}
        return version, specialization, outputs

    def _record(self, specialization: Specialization, closed: list[Value]) -> _Recorded:
        program, leaves = with_numbers_only(specialization.captured), specialization.leaves
        place = {x: i for i, x in enumerate(leaves, specialization.sizes[0] - len(leaves))}
        operands = (*self.active, *[place[x] for x in closed])
        for x in closed:
            grown(x)
        return _Recorded(specialization, _Again(self.name, program, operands, len(leaves), self.options), closed)

    def _on_values(self, reading: Reading, keep_graph: bool = False) -> Any:
        return super()._on_values(reading, True) if keep_graph else _VALUES_AMONG_ARGUMENTS


def _results_with_derivatives(
    function: Function, arguments: Any, active: Sequence[int]
) -> tuple[Any, list[list[Any]], list[Value]]:
    """Of a function during its capture: the result, its derivatives, and the Values from outside in these."""
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
    """What a compiled function with its derivatives did: a program that can run again, on any numbers.

    Attributes
    ----------
    program : Program
        Its first output is ignored. Then follow the results, the row of derivatives of each result, and the `closed`
        inputs, which come from outside.
    operands : tuple of int
        The inputs of the program by which the derivatives are taken.
    """

    def __init__(self, name: str, program: Program, operands: tuple[int, ...], closed: int, options: Options) -> None:
        self.name, self.program, self.operands, self.closed, self.options = name, program, operands, closed, options
        outputs = program.outputs[1 : len(program.outputs) - closed]
        results = len(outputs) // (1 + len(operands))
        self.results, self.rows = outputs[:results], outputs[results:]

    @functools.cached_property
    def values(self) -> Compiled[..., Any]:
        """A compiled function from all inputs to the results."""
        return self._compiled(self.results)

    @functools.cached_property
    def derivatives(self) -> Compiled[..., Any]:
        """A compiled function from all inputs to the rows, one after the other."""
        return self._compiled(self.rows)

    def _compiled(self, outputs: Sequence[int]) -> Compiled[..., Any]:
        def again(inputs: list[Any]) -> list[Any]:
            return replay(self.program, inputs, outputs)

        again.__name__ = self.name
        return Compiled(again, self.options, returns_floats=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Again, (self.name, self.program, self.operands, self.closed, self.options)


@dataclass(frozen=True)
class _Recorded:
    """A capture of a compiled function with its derivatives, and the Values from outside in these."""

    specialization: Specialization
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
    """A call of a map over rows that closes over Values: its program is captured when it is first needed."""

    def __init__(self, compiled: Compiled[..., Any], arguments: Any, result: Any, closed: Sequence[Value]) -> None:
        self.compiled, self.arguments, self.result, self.closed = compiled, arguments, result, closed
        self.name, self.before = compiled.__name__, [x.data for x in closed]

    @functools.cached_property
    def _program(self) -> tuple[_Call, list[int]]:
        """The call of the program, and the places of its operands among those of the nodes.

        Raises
        ------
        ValueError
            If something that the function reads has changed since.
        """
        for x, before in zip(self.closed, self.before):
            _refuse_change(self.name, before, x)
        with_derivatives = self.compiled._with_derivatives(())
        number, result, _, numbers = Context().run(with_derivatives, *self.arguments)  # at the top level, in no mode
        for old, new in zip(flatten(self.result)[0], flatten(result)[0]):
            if not (isclose(old, new, rel_tol=SAME) or old != old):
                raise ValueError(
                    f"jit({self.name}) computed {old!r}, and {new!r} when it was captured again, for a higher "
                    "derivative or for other operands: something that it reads has changed since. Differentiate before "
                    "changing it, or make it an argument"
                )
        recorded = with_derivatives.recorded(int(number))
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
    """A copy of an argument as it is now; Values are not copied."""
    return argument.copy() if is_array(argument) else Snapshot().tree(argument)


def _nodes(result: Any, rows: Sequence[Sequence[float] | None], call: Any, operands: tuple[Value, ...]) -> Any:
    """The result as nodes; `rows` has the derivatives of each number by the operands (None: no node)."""
    if not operands:
        return result
    values, rebuild = flatten(result)
    made = enumerate(zip(values, rows))
    return rebuild([y if row is None else _node(y, _Compiled(call, k), operands, tuple(row)) for k, (y, row) in made])


class _Compiled(CallRule):
    """The rule of a node that stands for one number of a compiled function's result."""

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


@overload
def jit(
    function: Callable[P, R],
    *,
    accurate: bool = False,
    fast_math: bool = False,
    max_paths: int = 64,
    threads: int = 1,
    quiet: bool = False,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
) -> Compiled[P, R]: ...
@overload
def jit(
    function: None = None,
    *,
    accurate: bool = False,
    fast_math: bool = False,
    max_paths: int = 64,
    threads: int = 1,
    quiet: bool = False,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
) -> Callable[[Callable[P, R]], Compiled[P, R]]: ...
def jit(
    function: Function | None = None,
    *,
    accurate: bool = False,
    fast_math: bool = False,
    max_paths: int = 64,
    threads: int = 1,
    quiet: bool = False,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
) -> Any:
    """Compile a function of numbers to machine code; results equal those without `jit`.

    Values that it closes over are read afresh at every call. If a plain number that it reads outside its arguments
    changes, the next call traces the function again.

    Parameters
    ----------
    function : callable
        Takes and returns trees of numbers. It runs once on Values for each structure of the arguments and each path
        through its branches; then its recorded arithmetic runs as machine code. Values that it closes over are read at
        every call; if results depend on them, these are nodes, and `backward` reaches the Values. Everything else is
        watched that the code of the function, and of the functions and methods that it uses, reads outside the
        arguments: globals, closure cells, defaults, attributes, the contents of containers and arrays, the functions
        themselves. If any of it changes, the next call traces the function again. Up to eight such states are kept, so
        going back costs nothing. Not watched are very large containers and those that the function itself changes,
        objects of C extensions, clocks and files, and the code of installed packages beyond the first hundred functions
        and classes that are reached; ``reads()`` lists what is read.
    accurate : bool
        Compute every primitive as eager code does: values have the same bits, gradients nearly always. Otherwise the
        last digit of the following may differ: `autograd.math.sum` and `dot`, which promise no order; the small powers
        x², x³, x⁴ and 1/x, which are products and quotients; `hypot`, `gamma` and `lgamma`, for which libm is called;
        and, in the rows of a `vmap`, all functions of libm, whose vector forms are off by up to 4 units in the last
        place. Sums over the rows of a `vmap` are added up in the order of the lanes in any case.
    fast_math : bool
        Let LLVM contract products and sums to fused multiply-adds, reorder sums and use reciprocals. Results may
        differ in more than the last digits: where terms cancel, 0 becomes a small number of either sign, whose square
        root may be nan. Without it, additions, multiplications, divisions and square roots are those of eager code.
    max_paths : int
        How many paths through its branches to compile for one structure of the arguments. The code for one path is a
        specialization.
    threads : int
        The number of threads among which the rows of a `vmap` are split.
    quiet : bool
        Say nothing when a first call takes more than 2 seconds. Without it one line on stderr says what is long; the
        environment variable ``AUTOGRAD_QUIET=1`` turns it off for all functions.
    static_argnums, static_argnames : int or text, or a sequence of such
        The places or names of arguments that are no numbers of the computation, but choose what is computed: text,
        flags, whole numbers, members of an enum, None, and tuples of such. The function is given them as they are, and
        is compiled for each combination of them. An argument of which the place or the name is given may be passed
        either way.

    Returns
    -------
    Compiled
        The function, with ``program()``, ``reads()``, ``llvm_ir()``, ``assembly()`` and ``stats()`` to look inside.

    Raises
    ------
    TypeError
        When called: for arguments that are not trees of numbers; if the function freezes a number that depends on an
        argument or on a Value from outside (``math.exp(w.data)``, ``w.grad``) or counts up a number outside
        (``nonlocal n; n += 1``), with the line; or if it draws random numbers. Also for a static argument that can
        change (a list), that is a number of the computation (a Value), or any other object.
    ValueError
        If the function has no parameter at a static place or of a static name.
    TooManyPathsError
        When called: if the function takes more than `max_paths` paths through its branches.
    ImportError
        If llvmlite is not installed.

    Examples
    --------
    >>> import autograd.math as am
    >>> from autograd import grad, jit
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
    >>> @jit(static_argnames=("kind", "times"))
    ... def repeated(x, kind="sine", times=1):
    ...     for _ in range(times):
    ...         x = am.sin(x) if kind == "sine" else 0.5 * x
    ...     return x
    >>> repeated(8.0, "half", 3), repeated(0.0, times=2)
    (1.0, 0.0)
    """
    if max_paths < 1 or threads < 1:
        raise ValueError(f"max_paths and threads must be at least 1, not {max_paths} and {threads}")
    options = Options(accurate, fast_math, max_paths, threads, quiet)
    numbers = [static_argnums] if isinstance(static_argnums, int) else list(static_argnums)
    names = [static_argnames] if isinstance(static_argnames, str) else list(static_argnames)
    if function is None:
        given: Any = {**asdict(options), "static_argnums": numbers, "static_argnames": names}
        return lambda function: jit(function, **given)
    check_function("jit", function)
    if numbers or names:
        from autograd.compiler.run.static import StaticCompiled

        return StaticCompiled(function, options, numbers, names)
    return Compiled(function, options)


def compile_graph(outputs: Any, inputs: Sequence[Value], **options: Any) -> Compiled[..., Any]:
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

    compiled: Compiled[..., Any] = jit(graph, **options)
    return compiled
