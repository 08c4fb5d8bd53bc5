"""A compiled function: finds the machine code for a call, or captures the function and compiles it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Hashable, Sequence
from itertools import count
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic

from autograd.compiler import c_build, locks
from autograd.compiler.capture import outside
from autograd.compiler.capture.control.flow import SINGLE_CALL
from autograd.compiler.capture.results import flatten_result
from autograd.compiler.capture.signature import Reading, read_call
from autograd.compiler.capture.trace import current_trace, is_capturing
from autograd.compiler.capture.walk import Read
from autograd.compiler.machine import llvm
from autograd.compiler.run import batch, pickling
from autograd.compiler.run.derived import Derived
from autograd.compiler.run.nodes import Again, BatchCall, CompiledCall, Recorded, as_it_is, nodes_of
from autograd.compiler.run.specialization import Options, Specialization
from autograd.compiler.run.ungraphed import Call, Ungraphed, grown
from autograd.compiler.run.versions import Capture, Function, Version
from autograd.eager import active_recorder
from autograd.ir.rewrite import with_numbers_only
from autograd.modes import current_mode, inside_transform
from autograd.transforms.origin import P, R, origin_of
from autograd.tree import flatten, make_array, only_floats
from autograd.value import Value

MOST_CAPTURES = 64  # with derivatives by Values that are kept, besides those whose specializations still exist
LARGEST_JACOBIAN = 256  # second derivatives that a gradient by Values computes in any case, asked for or not


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

    @property
    def shares(self) -> bool:
        """Whether its programs may serve other functions of the same code."""
        return True

    def prepared(self, captured: Capture) -> Capture:
        """What is compiled of a capture: all of it."""
        return captured

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
        recording = mode is None or mode.recording
        if self._closes and not keywords and recording:
            kept = [as_it_is(arg) for arg in args]
            result = self._with_derivatives(())(*kept)
            if result is not _VALUES_AMONG_ARGUMENTS:
                return self._nodes_with_derivatives(result, kept, (), ())
        reading = read_call(self.__name__, args, keywords)
        if not only_floats(reading.leaves):
            return self._on_values(reading)
        version, specialization, outputs = self._numbers(reading, recording and not self.returns_floats)
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
        kept = tuple([as_it_is(arg) for arg in args])
        found = self._derived[inside].call(kept)
        if found is NotImplemented:
            return NotImplemented
        result, derivatives, closed = found
        return nodes_of(result, derivatives, BatchCall(self, kept, result, closed), tuple(map(grown, closed)))

    def _version(self, structure: Hashable) -> Version:
        around = self.outside.of(structure)
        state = around.state()
        version: Version | None = state.versions.get(structure)
        if version is None:
            with self.lock:
                version = state.versions.setdefault(structure, Version(self, around, state))
        return version

    def _numbers(self, reading: Reading, of_values: bool = False) -> tuple[Version, Specialization, list[float]]:
        """The version and the specialization that are valid for these arguments, and the numbers of the results.

        With `of_values` there are no numbers if the results depend as Values on Values from outside.
        """

        def run() -> tuple[Version, Specialization, list[float]]:
            version = self._version(reading.signature)
            return version, *version.numbers(reading, reading.leaves, of_values)

        return outside.steadily(run)

    def __copy__(self) -> Compiled[..., Any]:
        """A copy of a compiled function is the function itself, as for any function."""
        return self

    def __deepcopy__(self, memo: object) -> Compiled[..., Any]:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        packed = pickling.pack(self.function)
        return _restore, (packed, self.options, self.returns_floats, self.portable(pickling.is_lost(packed)))

    def portable(self, lost: bool) -> list[Any]:
        """What was compiled, as it is pickled; `lost`: the function is not pickled with it."""
        states = []
        # Other threads may add to the originals while the copies are pickled.
        for state in self.outside.present() if pickling.is_by_code() else self.outside.states():
            tokens = state.portable()
            if tokens is not None or lost:
                versions = {key: (list(v.specializations), dict(v.after)) for key, v in list(state.versions.items())}
                states.append((tokens, versions, {key: list(rows) for key, rows in list(state.rows.items())}))
        return states

    def adopt(self, states: list[Any], lost: bool) -> None:
        """Take over what `portable` gave: the machine code is made again."""
        for tokens, versions, rows in states:
            for key, (specializations, after) in versions.items():
                around = self.outside.of(key)
                state = around.adopt(None if lost else tokens)
                version = state.versions.setdefault(key, Version(self, around, state))
                if not version.specializations:
                    version.specializations, version.after = specializations, after
            for key, captured in rows.items():
                self.outside.of(key).adopt(None if lost else tokens).rows.setdefault(key, captured)

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
        return nodes_of(result, rows, CompiledCall(recorded.again, numbers, closed), operands)

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
        and the line says why. Statements that depend on plain Python values alone are not listed. In single calls a
        branch is a guard until a function has taken four paths.

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
        made = {site for site, why in found if why is None}
        told = {(x.function, x.line, x.told(why)) for x, why in found if why != SINGLE_CALL or x not in made}
        return "\n".join([text for _, _, text in sorted(told)])

    def llvm_ir(self) -> str:
        """The LLVM IR of every specialization."""
        return "\n\n".join(one.module().text() for one in self._some())

    def c_source(self, *args: Any, name: str | None = None, closed: str = "constants", **keywords: Any) -> str:
        """One self-contained C99 function that computes the same, without this package: the text of a file.

        It needs nothing but ``<math.h>`` and ``<stddef.h>``, allocates nothing and keeps nothing. Loops stay loops, and
        arguments keep their names. It returns 0; or, if a comparison comes out otherwise than for these arguments, a
        status that says which, and then its outputs are not to be used. Static arguments, plain numbers that the
        function reads outside, and the lengths of lists and arrays are constants in it; the number of rows of a `vmap`
        is an argument.

        Parameters
        ----------
        *args, **keywords
            The arguments of a call, for whose structure and path through the branches the function is. Without any, it
            is that of the only path that has been compiled.
        name : str, optional
            The name of the C function; by default that of the Python function, ``f_gradient`` for ``grad(f)``.
        closed : {"constants", "parameters"}
            What becomes of Values that the function closes over: the numbers that they have now, as constants, or
            parameters after the arguments, each with its label, or in one array ``closed`` if they are more than 16.

        Raises
        ------
        ValueError
            Without arguments, if not exactly one path has been compiled; if rows of a batch take several paths.
        NotImplementedError
            If the function calls a primitive that `custom_gradient` made of Python code.

        Examples
        --------
        >>> from autograd import grad, jit
        >>> fast = jit(grad(lambda x: x[0] * x[0] + 2.0 * x[1], argnums=0))
        >>> print(fast.c_source([1.0, 2.0], name="slope").partition("int ")[2].rpartition("int ")[2])
        slope(const double x[restrict 2], double gradient[restrict 2])
        {
            gradient[0] = x[0] + x[0];
            gradient[1] = 2.0;
            return SLOPE_DONE;
        }
        <BLANKLINE>
        """
        from autograd.compiler.run import exports  # most processes need none of it

        if args or keywords:
            return exports.example_of(self, args, keywords, name, closed).source.text()
        return exports.source_of(self, self._some(), name, closed).text()

    def export(
        self,
        directory: str | os.PathLike[str],
        *args: Any,
        name: str | None = None,
        closed: str = "constants",
        **keywords: Any,
    ) -> list[str]:
        """Write what `c_source` gives as files: header and source, with what builds, loads and tests them.

        Parameters
        ----------
        directory : path
            Where the files go; it is made if need be, and files of these names in it are replaced.
        *args, **keywords
            The arguments of a call, as for `c_source`. They and the result are stored in the test, so a few rows of a
            batch are enough.
        name, closed
            As for `c_source`.

        Returns
        -------
        list of str
            The files' names: ``f.h``, ``f.c``, ``CMakeLists.txt``; ``f.py``, a module that calls the built library
            through ctypes; and ``test_f.c``, a program that compares with the stored result and exits with 1 if a
            number differs by more than rounding.

        Raises
        ------
        ValueError, NotImplementedError
            As for `c_source`.

        Examples
        --------
        >>> import tempfile
        >>> from autograd import jit
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     jit(lambda x, y: x * y).export(folder, 2.0, 3.0, name="product")
        ['product.h', 'product.c', 'CMakeLists.txt', 'product.py', 'test_product.c']
        """
        from autograd.compiler.run import exports

        example = exports.example_of(self, args, keywords, name, closed)
        return exports.write_files(directory, example)

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
        for one in everything:
            one.compile()
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
    compiled.adopt(states, pickling.is_lost(packed))  # a lost function cannot be traced again, so it has one state
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
        self.found: dict[int, Recorded] = {}  # capture → what its nodes keep
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

    @property
    def shares(self) -> bool:
        """Its nodes belong to one capture of one function."""
        return False

    def recorded(self, number: int) -> Recorded:
        """The capture of this number, ready for a graph."""
        return self.found[number]

    def _numbers(self, reading: Reading, of_values: bool = False) -> tuple[Version, Specialization, list[float]]:
        version, specialization, outputs = super()._numbers(reading)
        number = int(outputs[0])
        with self.lock:
            if number not in self.found:
                self.found[number] = self._record(specialization, self.closed.pop(number))
                if len(self.found) > MOST_CAPTURES:  # a function that is traced often leaves nothing behind
                    live = {id(one) for one in self.paths()}
                    self.found = {k: x for k, x in self.found.items() if k == number or id(x.specialization) in live}
        return version, specialization, outputs

    def _record(self, specialization: Specialization, closed: list[Value]) -> Recorded:
        program, leaves = with_numbers_only(specialization.captured), specialization.leaves
        place = {x: i for i, x in enumerate(leaves, specialization.sizes[0] - len(leaves))}
        operands = (*self.active, *[place[x] for x in closed])
        for x in closed:
            grown(x)
        return Recorded(specialization, Again(self.name, program, operands, len(leaves), self.options), closed)

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
    trace.refused = None  # the arguments are Values, from which eager code makes no floats either
    outside = trace.parents([trace.place(y) for y in results])
    wanted = [*[inputs[i] for i in active], *outside]
    sweeps = trace.sweeps(results, wanted, differentiable=True)
    rows = [sweeps.reverse({y: 1.0} if isinstance(y, Value) else {}) for y in results]
    return result, rows, outside
