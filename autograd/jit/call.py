"""`jit`: what a user calls. Finds the machine code for a call, or captures and compiles it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Any

from autograd import calls, transforms
from autograd.calls import CallRule
from autograd.jit import batch, fast, native, travel
from autograd.jit.adjoint import THROUGH_A_MAP
from autograd.jit.capture import Trace, Traced, finish, flatten_result, is_capturing, tracing
from autograd.jit.paths import Options, Path, check_paths
from autograd.jit.program import Program
from autograd.jit.replay import replay
from autograd.jit.structure import argument_names, inspect_call
from autograd.jit.ungraphed import Call, Ungraphed, grown
from autograd.modes import current_mode, current_trace
from autograd.sweep import topological_order
from autograd.tree import flatten, is_array, make_array, only_floats
from autograd.value import Value, _node

Function = Callable[..., Any]


MOST_NAMES = 10_000  # arguments' numbers that have names in a printed program
LARGEST_JACOBIAN = 256  # second derivatives that a gradient by Values computes whether they are asked for or not


class Version:
    """The paths that were compiled for one structure of arguments."""

    def __init__(self, owner: Compiled) -> None:
        self.owner = owner
        self.paths: list[Path] = []
        self.callers: dict[Path, Any] = {}  # the short way for each of them, or None
        self.after: dict[tuple[int, int], int] = {}  # (path, guard that failed) → the path to try then
        self.current = 0

    def numbers(self, arguments: Any, leaves: list[Any]) -> tuple[Path, list[float]]:
        """The path that holds for these arguments, and its results."""
        given = leaves if only_floats(leaves) else [x if type(x) is float else x.data for x in leaves]
        if not self.paths:
            self.capture(arguments, given)
        at = self.current
        tried: list[tuple[int, int]] = []
        while True:
            path = self.paths[at]
            frame = path.frame()
            frame.inputs[: len(given)] = given
            for i, leaf in enumerate(path.leaves, len(given)):
                frame.inputs[i] = leaf.data
            failed = path.run(frame)
            outputs: list[float] = frame.outputs[: len(path.program.outputs)]
            path.pool.append(frame)
            if not failed:
                self.current = at
                return path, outputs
            tried.append((at, failed))
            following = self.after.get((at, failed))
            if following is None or any(following == number for number, _ in tried):
                following = next((i for i in range(len(self.paths)) if all(i != number for number, _ in tried)), None)
            if following is None:
                following = self.capture(arguments, given)
                self.after[at, failed] = following
            at = following

    def capture(self, arguments: Any, given: Sequence[float]) -> int:
        """Capture and compile the path that these arguments take; its number."""
        owner = self.owner
        with owner.lock:
            guards = [guard for path in self.paths for guard in path.captured_guards]
            check_paths(len(self.paths), owner.options, owner.__name__, guards)
            path = capture(owner.function, arguments, given, owner.options)
            self.paths.append(path)
            return len(self.paths) - 1

    def caller(self, args: tuple[Any, ...], path: Path) -> Any | None:
        """The short way for arguments of this structure on a path."""
        if path not in self.callers:
            self.callers[path] = fast.caller(args, path)
        return self.callers[path]


def capture(function: Function, arguments: Any, given: Sequence[float], options: Options) -> Path:
    """Run a function once on tracers and compile what it did."""
    try:
        trace, outputs, rebuild = _trace(function, arguments, given, maps=True)
    except NotImplementedError as error:
        if error.args != (THROUGH_A_MAP,):
            raise
        trace, outputs, rebuild = _trace(function, arguments, given, maps=False)
    template = rebuild([0.0] * len(outputs))
    closed = [leaf for leaf, _ in trace.leaf_inputs]
    names = argument_names(function, *arguments) if len(given) <= MOST_NAMES else ()
    return Path(finish(trace, outputs), template, options, closed, trace.parents(outputs), names)


def _trace(function: Function, arguments: Any, given: Sequence[float], maps: bool) -> Any:
    trace = Trace()
    args, keywords = flatten(arguments)[1]([Traced.of(trace, trace.input(x)) for x in given])
    with tracing(trace, trace.map_rows if maps else None):
        result = function(*args, **keywords)
        leaves, rebuild = flatten_result(result)
        outputs = [trace.place(leaf) for leaf in leaves]
    return trace, outputs, rebuild


class Compiled(fast.Entry):
    """A function that runs as machine code; what `jit` returns."""

    def __init__(self, function: Function, options: Options, lowers: bool = False) -> None:
        functools.update_wrapper(self, function)
        self.__name__ = getattr(function, "__name__", repr(function))
        made = batch.made_by(function)
        self.lowers = lowers or (made is not None and made[0] != "vmap")  # plain numbers give plain numbers
        self.function = function
        self.options = options
        self.lock = threading.RLock()
        self.versions: dict[Hashable, Version] = {}
        self.batch = batch.find(function, options)
        self._closes = False  # whether results were Values because the function closes over some
        self._rows: dict[tuple[int, ...], _WithRows] = {}

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
        if self._closes and not keywords and (mode is None or mode.recording):
            result = self._with_rows(())(*args)
            if result is not _VALUES_AMONG_ARGUMENTS:
                return self._nodes(result, [_kept(arg) for arg in args], (), ())
        if self.batch is not None and not keywords:
            try:
                result = self.batch.call(args)
            except batch.RaggedRowsError:
                return self.function(*args)  # results of several shapes are not for arrays
            if result is not NotImplemented:
                if self.batch.caller is not None:
                    self.prefer(self.batch.caller)
                return result
        leaves: list[Any] = []
        structure = inspect_call(self.__name__, args, keywords, leaves)
        if not only_floats(leaves):
            return self._on_values(structure, (args, keywords), leaves)
        version = self._version(structure)
        path, outputs = version.numbers((args, keywords), leaves)
        if path.parents and not self.lowers:
            self._closes = True
            return self._on_values(structure, (args, keywords), leaves)
        if not keywords and (caller := version.caller(args, path)) is not None:
            self.prefer(caller)
        return path.rebuild(outputs)

    def _version(self, structure: Hashable) -> Version:
        version = self.versions.get(structure)
        if version is None:
            with self.lock:
                version = self.versions.setdefault(structure, Version(self))
        return version

    def __copy__(self) -> Compiled:
        """A compiled function is itself, as a function is."""
        return self

    def __deepcopy__(self, memo: object) -> Compiled:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        versions = {key: (version.paths, version.after) for key, version in self.versions.items()}
        rows = self.batch.versions if self.batch is not None else {}
        return _restore, (travel.pack(self.function), self.options, self.lowers, versions, rows)

    # ---- inside graphs: one node for each number of the result ------------------------------------------------

    def nodes(self, *args: Any, **keywords: Any) -> Any:
        """The result as Values that can be differentiated again, whatever the arguments are."""
        leaves: list[Any] = []
        structure = inspect_call(self.__name__, args, keywords, leaves)
        return self._on_values(structure, (args, keywords), leaves, keep_graph=True)

    def _on_values(self, structure: Hashable, arguments: Any, leaves: list[Any], keep_graph: bool = False) -> Any:
        """Nodes with their own local derivatives, by every Value that flows in."""
        active = tuple([i for i, x in enumerate(leaves) if isinstance(x, Value)])
        mode = current_mode()
        recording = mode is None or mode.recording
        keep_graph = keep_graph or not self.lowers or transforms._inside.get()
        if not recording or not keep_graph:
            path, outputs = self._version(structure).numbers(arguments, leaves)
            if not recording:
                return path.rebuild([Value(y) for y in outputs])
            if len(outputs) * (len(active) + len(path.parents)) > LARGEST_JACOBIAN:
                call = Call(self.__name__, path.captured, leaves, path.leaves)
                return path.rebuild([Ungraphed.of(call, k, y) for k, y in enumerate(outputs)])
        numbers = [x if type(x) is float else x.data for x in leaves]
        args, keywords = flatten(arguments)[1](numbers)
        found = self._with_rows(active)(*args, **keywords)
        return self._nodes(found, numbers, active, [leaves[i] for i in active])

    def _nodes(self, found: Any, numbers: Any, active: tuple[int, ...], given: Sequence[Value]) -> Any:
        """The result as nodes, from what `_with_rows` returns; `numbers` are the arguments as they were."""
        number, result, rows, closed = found
        recorded = self._with_rows(active).recorded(int(number))
        operands = (*map(grown, given), *recorded.closed)
        if not operands:
            return result
        values, rebuild = flatten(result)
        call = _Call(recorded.again, numbers, closed)
        nodes = [_node(y, _Compiled(call, k), operands, tuple(row)) for k, (y, row) in enumerate(zip(values, rows))]
        return rebuild(nodes)

    def _with_rows(self, active: tuple[int, ...]) -> _WithRows:
        """The compiled function that returns its result with the local derivatives by some of the arguments' leaves."""
        if active not in self._rows:
            with self.lock:
                self._rows.setdefault(active, _WithRows(self, active))
        return self._rows[active]

    # ---- a look inside ---------------------------------------------------------------------------------------

    def paths(self) -> list[Path]:
        """All that has been compiled."""
        found = [path for version in self.versions.values() for path in version.paths]
        return found + (self.batch.paths() if self.batch is not None else [])

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
        """Instructions after each stage, lanes, paths; compile seconds and bytes, with those of nodes' derivatives."""
        found = self._some()
        everything = found + [path for rows in self._rows.values() for path in rows.paths()]
        return {
            "instructions": [dict(path.counts) for path in found],
            "lanes": native.lanes(),
            "paths": len(found),
            "compile_seconds": sum(path.seconds for path in everything),
            "code_bytes": sum(path.code.code_bytes for path in everything),
            "work_bytes": sum(path.code.work for path in found),
        }


def _restore(packed: Any, options: Options, lowers: bool, versions: Any, rows: Any) -> Compiled:
    """What pickle calls: the programs travelled, the machine code is made anew."""
    compiled = Compiled(travel.unpack(packed), options, lowers)
    for key, (paths, after) in versions.items():
        version = compiled.versions[key] = Version(compiled)
        version.paths, version.after = paths, after
    if compiled.batch is not None:
        compiled.batch.versions.update(rows)
    return compiled


_VALUES_AMONG_ARGUMENTS = object()


class _WithRows(Compiled):
    """A compiled function with the derivatives of its results by some leaves and by what it closes over.

    It returns the number of an entry of `closed`, the result, the row of derivatives for each number of it, and the
    numbers that it read from outside.
    A node of its result keeps the captured program: higher derivatives do not run the function again, so they do not
    see what has changed since.
    """

    def __init__(self, owner: Compiled, active: tuple[int, ...]) -> None:
        self.closed: list[list[Value]] = []  # for each capture, the Values from outside that have derivatives
        self.active = active
        self.name = owner.__name__
        self.found: dict[int, _Recorded] = {}

        def with_rows(*args: Any, **keywords: Any) -> Any:
            result, rows, closed = _rows_of(owner.function, (args, keywords), active)
            self.closed.append(closed)
            trace = current_trace()
            numbers = [trace.stand_in(leaf) for leaf, _ in trace.leaf_inputs]
            return float(len(self.closed) - 1), result, rows, make_array(numbers, (len(numbers),))

        with_rows.__name__ = f"{owner.__name__} with derivatives"
        super().__init__(with_rows, owner.options, lowers=True)

    def recorded(self, number: int) -> _Recorded:
        """The capture that belongs to an entry of `closed`, ready for a graph."""
        if number not in self.found:
            self.found[number] = self._find(number)
        return self.found[number]

    def _find(self, number: int) -> _Recorded:
        (path,) = [p for p in self.paths() if p.captured.code[p.captured.outputs[0]].data == number]
        program, closed = path.captured, self.closed[number]
        place = {x: i for i, x in enumerate(path.leaves, program.inputs - len(path.leaves))}
        operands = (*self.active, *[place[x] for x in closed])
        for x in closed:
            grown(x)
        return _Recorded(_Again(self.name, program, operands, len(path.leaves), self.options), closed)

    def _on_values(self, structure: Hashable, arguments: Any, leaves: list[Any], keep_graph: bool = False) -> Any:
        return super()._on_values(structure, arguments, leaves, True) if keep_graph else _VALUES_AMONG_ARGUMENTS


def _rows_of(function: Function, arguments: Any, active: Sequence[int]) -> tuple[Any, list[list[Any]], list[Value]]:
    """Of a function being captured: the result, its derivatives, and the Values from outside that it has some by."""
    inputs, _ = flatten(arguments)
    result = function(*arguments[0], **arguments[1])
    results, _ = flatten_result(result)
    trace = current_trace()
    assert trace is not None
    outside = trace.parents([trace.place(y) for y in results])
    wanted = [*[inputs[i] for i in active], *outside]
    rows = [Traced.sweep_reverse({y: 1.0}, wanted) if isinstance(y, Value) else [0.0] * len(wanted) for y in results]
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

    def __reduce__(self) -> tuple[Any, ...]:
        return _Call, (self.again, flatten(self.arguments)[0], self.closed)


def _kept(argument: Any) -> Any:
    """The numbers of an argument as they are now."""
    return argument.copy() if is_array(argument) else flatten(argument)[0]


class _Compiled(CallRule):
    """The row of a node that stands for one number of a compiled function's result."""

    __slots__ = ()
    kind = "jit"
    call: _Call

    def again(self) -> Callable[[Sequence[Any]], Any]:
        """The number as a function of the operands: the program, run again."""
        call, again, index = self.call, self.call.again, self.index

        def compute(operands: Sequence[Any]) -> Any:
            inputs = call.on(operands)
            if only_floats(inputs) and not is_capturing():
                return again.values(inputs)[index]
            return replay(again.program, inputs, [again.results[index]])[0]

        return compute

    def local_derivatives(
        self, operands: Sequence[Any], output: Any, wanted: Sequence[bool] | None = None
    ) -> tuple[Any, ...]:
        """The local derivatives as Values: the program's, compiled with their own derivatives."""
        again, before = self.call.again, self.call.inputs()
        for i, x in zip(again.operands, operands):
            if x._data.hex() != before[i].hex():
                raise ValueError(
                    f"{self.name} was computed from {before[i]!r}, which has been changed to {x!r} since: a higher "
                    "derivative would mix the two. Differentiate before assigning .data"
                )
        inputs, start = self.call.on(operands), self.index * len(operands)
        if is_capturing():
            row = replay(again.program, inputs, again.rows[start : start + len(operands)])
        else:
            row = again.derivatives.nodes(inputs)[start : start + len(operands)]
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
) -> Any:
    """Compile a function of numbers to machine code; results equal those without `jit`.

    Values that it closes over are read afresh at every call, other numbers once.

    Parameters
    ----------
    function : callable
        Takes and returns trees of numbers. It is run once on Values for each structure of arguments (and for each
        path through its branches); then its recorded arithmetic runs as machine code. Values that it closes over are
        read at every call; if results depend on them, they are nodes, and `backward` reaches these Values.
    accurate : bool
        Arithmetic without contraction to fused multiply-adds, sums in the order in which they are written, and the
        system's libm for every function: values have the same bits as eager ones, gradients nearly always. Without
        it a product and a sum may be rounded once, together: then ``x * x - inf`` is -inf where eager code, in which
        the product overflows, finds nan.
    fast_math : bool
        Let LLVM reorder sums and use reciprocals; results may differ in more than the last digits.
    max_paths : int
        How many paths through branches to compile for one structure of arguments.
    threads : int
        Split the rows of a `vmap` among so many threads.

    Returns
    -------
    Compiled
        The function, with ``program()``, ``llvm_ir()``, ``assembly()`` and ``stats()`` to look inside.

    Raises
    ------
    TypeError
        When called: for arguments that are not trees of numbers, or where the function freezes a number that
        depends on an argument or on a Value from outside (``int(x)``, ``math.exp(w.data)``, ``w.grad``), naming the
        line.
    TooManyPathsError
        When called: if the function branches into more than `max_paths` paths.
    ImportError
        If llvmlite is not installed.

    Examples
    --------
    >>> from autograd import grad
    >>> from autograd.jit import jit
    >>> @jit
    ... def power(x, n):
    ...     return x**n if x > 0.0 else 0.0
    >>> power(2.0, 3.0), power(-2.0, 3.0)
    (8.0, 0.0)
    >>> jit(grad(power))(2.0, 3.0)
    12.0
    """
    if max_paths < 1 or threads < 1:
        raise ValueError(f"max_paths and threads must be at least 1, not {max_paths} and {threads}")
    options = Options(accurate, fast_math, max_paths, threads)
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
    >>> from autograd.jit import compile_graph
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
