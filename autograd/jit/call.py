"""`jit`: what a user calls. Finds the machine code for a call, or captures and compiles it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Any

from autograd import transforms
from autograd.jit import batch, fast, native, outside, travel
from autograd.jit.adjoint import THROUGH_A_MAP
from autograd.jit.capture import Trace, Traced, finish, flatten_result, is_capturing, tracing
from autograd.jit.paths import Options, Path, check_paths
from autograd.jit.structure import argument_names, inspect_call
from autograd.jit.ungraphed import Call, Ungraphed, grown
from autograd.jit.walk import Read
from autograd.modes import current_mode, current_trace
from autograd.rules import REAL, Rule
from autograd.sweep import topological_order
from autograd.tree import flatten, only_floats
from autograd.value import Value, _node

Function = Callable[..., Any]


MOST_NAMES = 10_000  # arguments' numbers that have names in a printed program
LARGEST_JACOBIAN = 256  # second derivatives that a gradient by Values computes whether they are asked for or not


class Version:
    """The paths that were compiled for one structure of arguments, and one state of what is read outside them."""

    def __init__(self, owner: Compiled, outside: outside.Outside, state: outside.State) -> None:
        self.owner, self.outside, self.state = owner, outside, state
        self.paths: list[Path] = []
        self.callers: dict[tuple[Path, Any], Any] = {}  # the short way for each of them, or None
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
            with self.outside.capturing(self.state):
                path = capture(owner.function, arguments, given, owner.options)
            self.paths.append(path)
            return len(self.paths) - 1

    def caller(self, args: tuple[Any, ...], path: Path) -> Any | None:
        """The short way for arguments of this structure on a path."""
        watch = self.state.watch
        if (path, watch) not in self.callers:
            kept = {key: caller for key, caller in self.callers.items() if key[1] is watch}
            self.callers = {**kept, (path, watch): fast.caller(args, path, watch)}
        return self.callers.get((path, watch))


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
        self.outside = outside.Outsides(function, self.__name__)
        self.batch = batch.find(function, options, self.outside)
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
                return self._nodes(result, (args, {}), (), ())
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
        version, path, outputs = self._numbers(structure, (args, keywords), leaves)
        if path.parents and not self.lowers:
            self._closes = True
            return self._on_values(structure, (args, keywords), leaves)
        if not keywords and (caller := version.caller(args, path)) is not None:
            self.prefer(caller)
        return path.rebuild(outputs)

    def _version(self, structure: Hashable) -> Version:
        around = self.outside.of(structure)
        state = around.state()
        version: Version | None = state.versions.get(structure)
        if version is None:
            with self.lock:
                version = state.versions.setdefault(structure, Version(self, around, state))
        return version

    def _numbers(self, structure: Hashable, arguments: Any, leaves: list[Any]) -> tuple[Version, Path, list[float]]:
        """The version and its path that hold for these arguments, and the results' numbers."""

        def run() -> tuple[Version, Path, list[float]]:
            version = self._version(structure)
            return version, *version.numbers(arguments, leaves)

        return outside.steadily(run)

    def __reduce__(self) -> tuple[Any, ...]:
        packed = travel.pack(self.function)
        states = [
            (tokens, {key: (v.paths, v.after) for key, v in state.versions.items()}, dict(state.rows))
            for state in self.outside.states()
            if (tokens := state.portable()) is not None or travel.is_lost(packed)
        ]
        return _restore, (packed, self.options, self.lowers, states)

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
            _, path, outputs = self._numbers(structure, arguments, leaves)
            if not recording:
                return path.rebuild([Value(y) for y in outputs])
            if len(outputs) * (len(active) + len(path.parents)) > LARGEST_JACOBIAN:
                call = Call(self.function, arguments, leaves, path.leaves)
                return path.rebuild([Ungraphed.of(call, k, y) for k, y in enumerate(outputs)])
        args, keywords = flatten(arguments)[1]([x if type(x) is float else x.data for x in leaves])
        found = self._with_rows(active)(*args, **keywords)
        return self._nodes(found, arguments, active, [leaves[i] for i in active])

    def _nodes(self, found: Any, arguments: Any, active: tuple[int, ...], given: Sequence[Value]) -> Any:
        """The result as nodes, from what `_with_rows` returns."""
        number, result, rows = found
        closed = self._with_rows(active).operands(int(number))
        values, rebuild = flatten(result)
        operands = (*map(grown, given), *closed)
        if not operands:
            return result
        rules = [_Node(self, k, arguments, active, closed).rule() for k in range(len(values))]
        return rebuild([_node(y, rule, operands, tuple(row)) for y, rule, row in zip(values, rules, rows)])

    def _with_rows(self, active: tuple[int, ...]) -> _WithRows:
        """The compiled function that returns its result with the local derivatives by some of the arguments' leaves."""
        if active not in self._rows:
            with self.lock:
                self._rows.setdefault(active, _WithRows(self, active))
        return self._rows[active]

    # ---- a look inside ---------------------------------------------------------------------------------------

    def paths(self) -> list[Path]:
        """All that has been compiled."""
        states = self.outside.states()
        found = [path for state in states for version in state.versions.values() for path in version.paths]
        return found + [captured.path for state in states for rows in state.rows.values() for captured in rows]

    def reads(self) -> list[Read]:
        """What the function reads outside its arguments, as it is now, and whether changes of it are noticed.

        Values are read afresh at every call; of everything else that is `watched` a change makes the next call trace
        the function again. What is not watched must not change: containers that are too large or that the function
        itself changes, objects of C extensions, clocks and files.

        Examples
        --------
        >>> import time
        >>> from autograd.jit import jit
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


def _restore(packed: Any, options: Options, lowers: bool, states: Any) -> Compiled:
    """What pickle calls: the programs travelled, the machine code is made anew."""
    compiled = Compiled(travel.unpack(packed), options, lowers)
    lost = travel.is_lost(packed)  # it cannot be traced again, so it has one state
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

    def _on_values(self, structure: Hashable, arguments: Any, leaves: list[Any], keep_graph: bool = False) -> Any:
        return super()._on_values(structure, arguments, leaves, True) if keep_graph else _VALUES_AMONG_ARGUMENTS


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
        leaves, rebuild = flatten(self.arguments)
        for i, operand in zip(self.active, operands):
            leaves[i] = operand
        again = rebuild(leaves)
        if is_capturing():
            _, rows, _ = _rows_of(self.compiled.function, again, self.active, self.closed)
        else:
            _, _, rows = self.compiled._with_rows(self.active).nodes(*again[0], **again[1])
        row: list[Any] = rows[self.output]
        return row

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
    >>> from autograd.jit import jit
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
