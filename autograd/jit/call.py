"""`jit`: what a user calls. Finds the machine code for a call, or captures and compiles it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from autograd import transforms
from autograd.jit import batch, fast, native, travel
from autograd.jit.adjoint import THROUGH_A_MAP
from autograd.jit.capture import Trace, Traced, finish, is_capturing, tracing
from autograd.jit.paths import Options, Path, check_paths
from autograd.jit.structure import inspect, only_floats
from autograd.jit.ungraphed import Call, Ungraphed, grown
from autograd.modes import current_mode
from autograd.rules import REAL, Rule
from autograd.sweep import topological_order
from autograd.tree import flatten
from autograd.value import Value

Function = Callable[..., Any]


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
    return Path(finish(trace, outputs), template, options, closed, trace.parents(outputs))


def _trace(function: Function, arguments: Any, given: Sequence[float], maps: bool) -> Any:
    trace = Trace()
    args, keywords = flatten(arguments)[1]([Traced.of(trace, trace.input(x)) for x in given])
    with tracing(trace, trace.map_rows if maps else None):
        result = function(*args, **keywords)
        leaves, rebuild = flatten(result, "the result of the compiled function")
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
        self._derivatives: dict[Hashable, Compiled] = {}

    def _call(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Call the function the general way: with any arguments, in any mode."""
        mode = current_mode()
        if mode is not None and mode.anomaly:
            return self.function(*args, **keywords)  # node by node, so that the first bad one is found
        if is_capturing():
            return self.function(*args, **keywords)  # inlined into the program around it
        if self.batch is not None and not keywords:
            result = self.batch.call(args)
            if result is not NotImplemented:
                if self.batch.caller is not None:
                    self.prefer(self.batch.caller)
                return result
        leaves: list[Any] = []
        structure = inspect((args, keywords), "argument ", leaves)
        if not only_floats(leaves):
            return self._on_values(structure, (args, keywords), leaves)
        version = self._version(structure)
        path, outputs = version.numbers((args, keywords), leaves)
        if path.parents and not self.lowers:
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

    def __reduce__(self) -> tuple[Any, ...]:
        versions = {key: (version.paths, version.after) for key, version in self.versions.items()}
        rows = self.batch.versions if self.batch is not None else {}
        return _restore, (travel.pack(self.function), self.options, self.lowers, versions, rows)

    # ---- inside graphs: one node for each number of the result ------------------------------------------------

    def nodes(self, *args: Any) -> Any:
        """The result as Values that can be differentiated again, whatever the arguments are."""
        if is_capturing():
            return self.function(*args)
        leaves: list[Any] = []
        structure = inspect((args, {}), "argument ", leaves)
        return self._on_values(structure, (args, {}), leaves, keep_graph=True)

    def _on_values(self, structure: Hashable, arguments: Any, leaves: list[Any], keep_graph: bool = False) -> Any:
        """Nodes with their own local derivatives, by every Value that flows in."""
        version = self._version(structure)
        path, outputs = version.numbers(arguments, leaves)
        mode = current_mode()
        if mode is not None and not mode.recording:
            return path.rebuild([Value(y) for y in outputs])
        active = [i for i, x in enumerate(leaves) if isinstance(x, Value)]
        operands = (*[leaves[i] for i in active], *path.parents)
        keep_graph = keep_graph or not self.lowers or transforms._inside.get()
        if not keep_graph and len(outputs) * len(operands) > LARGEST_JACOBIAN:
            call = Call(self.function, arguments, leaves, path.leaves)
            return path.rebuild([Ungraphed.of(call, k, y) for k, y in enumerate(outputs)])
        operands = tuple(map(grown, operands))
        numbers = [x if type(x) is float else x.data for x in leaves]
        rows = self._derivative(arguments, active, path.parents)
        local = rows(numbers)
        nodes = []
        for k, y in enumerate(outputs):
            rule = _node_rule(self.__name__, rows, k, leaves, active)
            nodes.append(Value.restore(y, rule, operands, tuple(local[k])))
        return path.rebuild(nodes)

    def _derivative(self, arguments: Any, active: Sequence[int], closed: Sequence[Value]) -> Compiled:
        """The compiled function of all leaves that returns, for each result, the derivatives wanted."""
        structure = inspect(arguments, "", [])
        key = (structure, tuple(active), tuple(map(id, closed)))
        if key not in self._derivatives:
            rebuild = flatten(arguments)[1]
            function = self.function

            def derivatives(numbers: Sequence[Any]) -> list[list[Any]]:
                args, keywords = rebuild(numbers)
                results, _ = flatten(function(*args, **keywords))
                wanted = [*[numbers[i] for i in active], *closed]
                return [
                    Traced.sweep_reverse({y: 1.0}, wanted) if isinstance(y, Value) else [0.0] * len(wanted)
                    for y in results
                ]

            derivatives.__name__ = f"derivatives of {self.__name__}"
            self._derivatives[key] = Compiled(derivatives, self.options, lowers=True)
        return self._derivatives[key]

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
        return "\n\n".join(str(path.program) for path in self._some())

    def llvm_ir(self) -> str:
        """The text in LLVM's language of every path."""
        return "\n\n".join(path.module().text() for path in self._some())

    def assembly(self) -> str:
        """The machine code of every path, as text."""
        return "\n\n".join(native.assembly(path.module()) for path in self._some())

    def stats(self) -> dict[str, Any]:
        """Instructions after each stage, lanes, paths, compile seconds and bytes of machine code."""
        found = self._some()
        return {
            "instructions": [dict(path.counts) for path in found],
            "lanes": native.lanes(),
            "paths": len(found),
            "compile_seconds": sum(path.seconds for path in found),
            "code_bytes": sum(path.code.code_bytes for path in found),
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


def _node_rule(name: str, rows: Compiled, output: int, leaves: Sequence[Any], active: Sequence[int]) -> Rule:
    """The rule of a node that stands for a whole compiled function."""

    def derivatives(operands: Sequence[Any], y: Any) -> list[Any]:
        numbers = list(leaves)
        for position, i in enumerate(active):
            numbers[i] = operands[position]
        row: list[Any] = rows.nodes(numbers)[output]
        return row

    def value(numbers: Sequence[float]) -> float:
        raise NotImplementedError(f"the node of the compiled function {name} cannot be computed again")

    return Rule(f"jit({name})", name, value, (derivatives,), None, (REAL,))


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
        path through its branches); then its recorded arithmetic runs as machine code.
    accurate : bool
        Arithmetic without contraction to fused multiply-adds, and the system's libm for every function: most
        results have the same bits as eager ones.
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
