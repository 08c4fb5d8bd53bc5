"""`jit`: what a user calls. Finds the machine code for a call, or captures and compiles it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Any

from autograd.jit import batch, fast, native, travel
from autograd.jit.adjoint import UnrollError
from autograd.jit.capture import Trace, Traced, finish, flatten_result, is_capturing, tracing
from autograd.jit.derived import Derived
from autograd.jit.identity import reaches_code_that_asks
from autograd.jit.paths import Options, Path, Story, options_for, same_branches
from autograd.jit.program import Program, evaluate
from autograd.jit.structure import Reading, argument_names, read_call
from autograd.jit.ungraphed import Call, Ungraphed, grown
from autograd.modes import current_mode, current_trace, inside_transform
from autograd.rules import REAL, Rule
from autograd.sweep import topological_order
from autograd.tree import flatten, lower, only_floats
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
            outputs: list[float] = frame.outputs[: len(path.program.outputs)]
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
            captured = capture(owner.function, arguments, given)
            same = same_branches(captured.program, self.paths)
            if same is not None and same.options.accurate:
                return self.paths.index(same), evaluate(captured.program, captured.numbers)[0]
            path = captured.compiled(options_for(same, self.paths, owner.options, owner.__name__))
            self.paths.append(path)
            if not arguments.settled():  # nothing says which call this path would be right for
                owner.versions.pop(arguments.signature, None)
                self.callers[path] = None
            return len(self.paths) - 1, None

    def caller(self, reading: Reading, path: Path) -> Any | None:
        """The short way for arguments of this structure on a path."""
        if path not in self.callers:
            same = path.options == self.owner.options  # else it serves few inputs, which other code gets wrong
            self.callers[path] = fast.caller(reading.signature.args, path) if same else None
        return self.callers[path]


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
        trace, outputs, rebuild = _trace(function, arguments, given, maps=True)
    except UnrollError as error:
        trace, outputs, rebuild = _trace(function, arguments, given, maps=False)
        trace.note_unrolled(0, str(error))
    template = rebuild([0.0] * len(outputs))
    closed = [leaf for leaf, _ in trace.leaf_inputs]
    names = argument_names(function, arguments.signature) if len(given) <= MOST_NAMES else ()
    story = Story(getattr(function, "__name__", "a function"), time.perf_counter() - start, trace.unrolled)
    return Capture(finish(trace, outputs), trace.given, template, closed, trace.parents(outputs), names, story)


def _trace(function: Function, arguments: Reading, given: Sequence[float], maps: bool) -> Any:
    trace = Trace(real_bools=reaches_code_that_asks(function))
    args, keywords = arguments.rebuild([Traced.of(trace, trace.input(x)) for x in given])
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
        self.lock = native.Lock()
        self.versions: dict[Hashable, Version] = {}
        self.batch = batch.find(function, options)
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
            result = self._with_rows(())(*args)
            if result is not _VALUES_AMONG_ARGUMENTS:
                return self._nodes_with_rows(result, (args, {}), (), ())
        reading = read_call(self.__name__, args, keywords)
        if not only_floats(reading.leaves):
            return self._on_values(reading)
        version = self._version(reading.signature)
        path, outputs = version.numbers(reading, reading.leaves)
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
        found = self._derived[inside].call(args)
        if found is NotImplemented:
            return NotImplemented
        result, derivatives, closed = found
        reading = read_call(self.__name__, args, {})  # as they are now: second derivatives run the function again
        return self._nodes(result, derivatives, reading, (), (), [grown(x) for x in closed])

    def _version(self, structure: Hashable) -> Version:
        version = self.versions.get(structure)
        if version is None:
            with self.lock:
                version = self.versions.setdefault(structure, Version(self))
        return version

    def __reduce__(self) -> tuple[Any, ...]:
        # Other threads may add to the originals while the copies are pickled.
        versions = {key: (list(version.paths), dict(version.after)) for key, version in list(self.versions.items())}
        rows = {key: list(paths) for key, paths in list(self.batch.versions.items())} if self.batch is not None else {}
        return _restore, (travel.pack(self.function), self.options, self.lowers, versions, rows)

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
            path, outputs = self._version(reading.signature).numbers(reading, leaves)
            if not recording:
                return path.rebuild([Value(y) for y in outputs])
            if len(outputs) * (len(active) + len(path.parents)) > LARGEST_JACOBIAN:
                call = Call(self.function, reading, path.leaves)
                return path.rebuild([Ungraphed.of(call, k, y) for k, y in enumerate(outputs)])
        args, keywords = reading.rebuild([x if type(x) is float else x.data for x in leaves])
        found = self._with_rows(active)(*args, **keywords)
        return self._nodes_with_rows(found, reading, active, [leaves[i] for i in active])

    def _nodes_with_rows(self, found: Any, arguments: Any, active: tuple[int, ...], given: Sequence[Value]) -> Any:
        """The result as nodes, from what `_with_rows` returns."""
        number, result, rows = found
        closed = self._with_rows(active).operands(int(number))
        return self._nodes(result, rows, arguments, active, given, closed)

    def _nodes(
        self,
        result: Any,
        rows: Sequence[Sequence[float] | None],
        arguments: Any,
        active: tuple[int, ...],
        given: Sequence[Value],
        closed: Sequence[Value],
    ) -> Any:
        """The result as nodes; `rows` has the derivatives of each by what is given and closed over (None: no node)."""
        values, rebuild = flatten(result)
        operands = (*map(grown, given), *closed)
        if not operands:
            return result
        rules = [_Node(self, k, arguments, active, closed).rule() for k in range(len(values))]
        made = zip(values, rules, rows)
        return rebuild([y if row is None else _node(y, rule, operands, tuple(row)) for y, rule, row in made])

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
        found = [path for version in list(self.versions.values()) for path in version.paths]
        found += self.batch.paths() if self.batch is not None else []
        return found + [path for derived in list(self._derived.values()) for path in derived.paths()]

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

    It returns the number of an entry of `closed`, the result, and the row of derivatives for each number of it.
    """

    def __init__(self, owner: Compiled, active: tuple[int, ...]) -> None:
        self.closed: list[list[Value]] = []  # for each capture, the Values from outside that have derivatives
        self.ready: set[int] = set()

        def with_rows(*args: Any, **keywords: Any) -> Any:
            result, rows, closed = _rows_of(owner.function, (args, keywords), active, None)
            self.closed.append(closed)
            return float(len(self.closed) - 1), result, rows

        with_rows.__name__ = f"{owner.__name__} with derivatives"
        super().__init__(with_rows, owner.options, lowers=True)

    def operands(self, number: int) -> list[Value]:
        """An entry of `closed`, ready for a graph."""
        if number not in self.ready:
            for x in self.closed[number]:
                grown(x)
            self.ready.add(number)
        return self.closed[number]

    def _on_values(self, reading: Reading, keep_graph: bool = False) -> Any:
        return super()._on_values(reading, True) if keep_graph else _VALUES_AMONG_ARGUMENTS


def _rows_of(
    function: Function, arguments: Any, active: Sequence[int], closed: Sequence[Value] | None
) -> tuple[Any, list[list[Any]], list[Value]]:
    """Of a function being captured: the result, its derivatives, and the Values from outside that it has some by."""
    inputs, _ = flatten(arguments)
    result = function(*arguments[0], **arguments[1])
    results, _ = flatten_result(result)
    trace = current_trace()
    assert trace is not None
    outside = trace.parents([trace.place(y) for y in results]) if closed is None else list(closed)
    wanted = [*[inputs[i] for i in active], *outside]
    rows = [Traced.sweep_reverse({y: 1.0}, wanted) if isinstance(y, Value) else [0.0] * len(wanted) for y in results]
    return result, rows, outside


@dataclass(frozen=True)
class _Node:
    """A node that stands for one number of a compiled function's result."""

    compiled: Compiled
    output: int
    arguments: Any
    active: tuple[int, ...]
    closed: Sequence[Value]

    def rule(self) -> Rule:
        """The row of the table that it would have."""
        name = self.compiled.__name__
        return Rule(f"jit({name})", name, self._value, (self._derivatives,), None, (REAL,))

    def _derivatives(self, operands: Sequence[Any], y: Any) -> list[Any]:
        reading = self.arguments
        if not isinstance(reading, Reading):
            reading = read_call(self.compiled.__name__, *reading)
        leaves = reading.leaves.copy()
        for i, operand in zip(self.active, operands):
            leaves[i] = operand
        again = reading.rebuild(leaves)
        if is_capturing():
            _, rows, outside = _rows_of(self.compiled.function, again, self.active, self.closed)
        else:
            with_rows = self.compiled._with_rows(self.active)
            number, _, rows = with_rows.nodes(*again[0], **again[1])
            outside = with_rows.operands(int(lower(number)))
        row: list[Any] = rows[self.output]
        place = {id(x): derivative for x, derivative in zip(outside, row[len(self.active) :])}
        return [*row[: len(self.active)], *[place.get(id(x), 0.0) for x in self.closed]]

    def _value(self, numbers: Sequence[float]) -> float:
        name = self.compiled.__name__
        raise NotImplementedError(f"the node of the compiled function {name} cannot be computed again")


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

    Values that it closes over are read afresh at every call, other numbers once.

    Parameters
    ----------
    function : callable
        Takes and returns trees of numbers. It is run once on Values for each structure of arguments (and for each
        path through its branches); then its recorded arithmetic runs as machine code. Values that it closes over are
        read at every call; if results depend on them, they are nodes, and `backward` reaches these Values.
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

    def replay(*numbers: Any) -> Any:
        if len(numbers) != len(inputs):
            raise TypeError(f"the graph has {len(inputs)} inputs, not {len(numbers)}")
        now: dict[Any, Any] = dict(zip(inputs, numbers))
        for node in order:
            if node not in now:
                now[node] = node if node.op is None else node.op(*[now.get(o, o) for o in node.operands])
        return rebuild([now.get(y, y) for y in results])

    replay.__name__ = "graph"
    compiled: Compiled = jit(replay, **options)
    return compiled
