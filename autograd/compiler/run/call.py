"""A compiled function: finds the machine code for a call, or captures the function and compiles it."""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Callable, Hashable, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic

from autograd.compiler import c_build, locks
from autograd.compiler.capture.control.sites import SINGLE_CALL
from autograd.compiler.capture.outside import Outsides, steadily
from autograd.compiler.capture.signature import Reading, read_call
from autograd.compiler.capture.trace import is_capturing
from autograd.compiler.capture.walk import Read
from autograd.compiler.machine import llvm
from autograd.compiler.run import pickling
from autograd.compiler.run.batch.derivatives import BatchDerivatives
from autograd.compiler.run.batch.function import Batch, RaggedRowsError, ValuesOutsideError, batch_of
from autograd.compiler.run.capturing import Captured, Function
from autograd.compiler.run.dispatcher import Dispatcher
from autograd.compiler.run.nodes import BatchCall, CompiledCall, copy_of, nodes_of
from autograd.compiler.run.specialization import Options, Specialization
from autograd.compiler.run.ungraphed import PendingGraph, Ungraphed, with_graph
from autograd.eager import active_recorder
from autograd.modes import current_mode, inside_transform
from autograd.transforms.origin import P, R, origin_of
from autograd.tree import only_floats
from autograd.value import Value

if TYPE_CHECKING:
    from autograd.compiler.run.with_derivatives import WithDerivatives

LARGEST_JACOBIAN = 256  # second derivatives that a gradient by Values computes at once; more only when they are read
VALUES_AMONG_ARGUMENTS = object()  # what `WithDerivatives` returns if there are Values where it expects plain numbers


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
        self.outside = Outsides(function, self.__name__)
        self.batch = batch_of(function, options, self.outside)
        self._closes = False  # whether results were Values because the function closes over Values
        # These two have one entry for calls inside a transform, and one for calls outside.
        self._derivatives: dict[tuple[tuple[int, ...], bool], WithDerivatives] = {}  # key: by which leaves, and inside?
        self._batch_derivatives: dict[bool, BatchDerivatives] = {}

    def __repr__(self) -> str:
        return f"<jit of {self.__name__}>"

    @property
    def shares(self) -> bool:
        """Whether its programs may serve other functions of the same code."""
        return True

    def prepared(self, captured: Captured) -> Captured:
        """The capture that is compiled; subclasses change its program."""
        return captured

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """The method of an instance, which becomes the first argument."""
        return self if instance is None else MethodType(self, instance)

    def _call(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """The slow path: call the function with any arguments, in any mode."""
        mode = current_mode()
        if mode is not None and mode.anomaly:
            return self.function(*args, **keywords)  # eager code finds the first node that is not finite
        if is_capturing():
            return active_recorder().followed(self.function)(*args, **keywords)  # becomes part of the outer program
        if self.batch is not None and not keywords:
            try:
                result = self._batched(self.batch, args)
            except RaggedRowsError:
                return self.function(*args)  # eager code: results of several shapes do not fit into arrays
            if result is not NotImplemented:
                return result
        recording = mode is None or mode.recording
        if self._closes and not keywords and recording:
            kept = [copy_of(arg) for arg in args]
            result = self._with_derivatives(())(*kept)
            if result is not VALUES_AMONG_ARGUMENTS:
                return self._nodes_with_derivatives(result, kept, (), ())
        reading = read_call(self.__name__, args, keywords)
        if not only_floats(reading.leaves):
            return self._on_values(reading)
        dispatcher, specialization, outputs = self._run(reading, recording and not self.returns_floats)
        if specialization.parents and not self.returns_floats:
            self._closes = True
            return self._on_values(reading)
        if not keywords and (fast := dispatcher.fast_path(reading, specialization)) is not None:
            self.prefer(fast)
        return specialization.rebuild(outputs)

    def _batched(self, rows: Batch, args: tuple[Any, ...]) -> Any:
        """The result of a map over rows, or NotImplemented if the call needs the slow path."""
        inside = inside_transform.get()
        if inside not in self._batch_derivatives:
            try:
                result = rows.call(args)
            except ValuesOutsideError:
                self._batch_derivatives[inside] = BatchDerivatives(rows)
            else:
                if result is not NotImplemented and (fast := rows.fast_path) is not None:
                    self.prefer(fast)
                return result
        kept = tuple([copy_of(arg) for arg in args])
        found = self._batch_derivatives[inside].call(kept)
        if found is NotImplemented:
            return NotImplemented
        result, derivatives, closed = found
        return nodes_of(result, derivatives, BatchCall(self, kept, result, closed), tuple(map(with_graph, closed)))

    def _dispatcher(self, signature: Hashable) -> Dispatcher:
        """The specializations for this signature, in the present state of what is read outside the arguments."""
        outside = self.outside.of(signature)
        outside.forget_unsettled(signature)
        state = outside.state()
        dispatcher: Dispatcher | None = state.dispatchers.get(signature)
        if dispatcher is None:
            with self.lock:
                dispatcher = state.dispatchers.setdefault(signature, Dispatcher(self, outside, state))
        return dispatcher

    def _run(self, reading: Reading, of_values: bool = False) -> tuple[Dispatcher, Specialization, list[float]]:
        """Run the specialization that is valid for these arguments: who chose it, itself, the numbers of the result.

        With `of_values` it does not run, and there are no numbers, if results depend on Values from outside.
        """

        def run() -> tuple[Dispatcher, Specialization, list[float]]:
            dispatcher = self._dispatcher(reading.signature)
            return dispatcher, *dispatcher.run(reading, of_values)

        return steadily(run)

    def __copy__(self) -> Compiled[..., Any]:
        """The function itself, as for any function in Python."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Compiled[..., Any]:
        """The same; but of a bound method, a partial or an object that is called, the copy is compiled."""
        function = copy.deepcopy(self.function, memo)
        return self if function is self.function else self.compiling(function)

    def compiling(self, function: Function) -> Compiled[..., Any]:
        """Another function, compiled in the same way."""
        return Compiled(function, self.options, self.returns_floats)

    def __reduce__(self) -> tuple[Any, ...]:
        packed = pickling.pack(self.function)
        return _restore, (packed, self.options, self.returns_floats, self.portable(pickling.is_lost(packed)))

    def portable(self, lost: bool) -> list[Any]:
        """What is pickled of the compiled code; `lost` says that the function itself is not pickled."""
        states = []
        # Other threads may add to the originals while the copies are pickled.
        for state in self.outside.present() if pickling.is_by_code() else self.outside.states():
            tokens = state.portable()
            if tokens is not None or lost:
                made = {key: (list(v.specializations), dict(v.after)) for key, v in list(state.dispatchers.items())}
                states.append((tokens, made, {key: list(rows) for key, rows in list(state.rows.items())}))
        return states

    def adopt(self, states: list[Any], lost: bool) -> None:
        """Take over what `portable` gave; the machine code is made again."""
        for tokens, made, rows in states:
            for signature, (specializations, after) in made.items():
                outside = self.outside.of(signature)
                state = outside.adopt(None if lost else tokens)
                dispatcher = state.dispatchers.setdefault(signature, Dispatcher(self, outside, state))
                if not dispatcher.specializations:
                    dispatcher.specializations, dispatcher.after = specializations, after
            for signature, codes in rows.items():
                self.outside.of(signature).adopt(None if lost else tokens).rows.setdefault(signature, codes)

    # ---- inside graphs: one node for each number of the result ------------------------------------------------

    def nodes(self, *args: Any, **keywords: Any) -> Any:
        """The result as Values that can be differentiated again, for any arguments."""
        return self._on_values(read_call(self.__name__, args, keywords), keep_graph=True)

    def _on_values(self, reading: Reading, keep_graph: bool = False) -> Any:
        """The result as nodes, with their local derivatives by every Value among the arguments and from outside."""
        leaves = reading.leaves
        active = tuple([i for i, x in enumerate(leaves) if isinstance(x, Value)])
        mode = current_mode()
        recording = mode is None or mode.recording
        keep_graph = keep_graph or not self.returns_floats or inside_transform.get()
        if not recording or not keep_graph:
            _, specialization, outputs = self._run(reading)
            if not recording:
                return specialization.rebuild([Value(y) for y in outputs])
            if len(outputs) * (len(active) + len(specialization.parents)) > LARGEST_JACOBIAN:
                graph = PendingGraph(self.__name__, specialization.captured, leaves, specialization.leaves)
                return specialization.rebuild([Ungraphed.of(graph, k, y) for k, y in enumerate(outputs)])
        numbers = [x if type(x) is float else x.data for x in leaves]
        args, keywords = reading.rebuild(numbers)
        found = self._with_derivatives(active)(*args, **keywords)
        return self._nodes_with_derivatives(found, numbers, active, [leaves[i] for i in active])

    def _nodes_with_derivatives(self, found: Any, numbers: Any, active: tuple[int, ...], given: Sequence[Value]) -> Any:
        """The result as nodes, from what a `WithDerivatives` returned for these numbers of the arguments."""
        index, result, rows, closed = found
        capture = self._with_derivatives(active).capture_of(int(index))
        operands = (*map(with_graph, given), *capture.closed)
        return nodes_of(result, rows, CompiledCall(capture.program, numbers, closed), operands)

    def _with_derivatives(self, active: tuple[int, ...]) -> WithDerivatives:
        """The compiled function that also computes the derivatives by the leaves of these indices, and from outside."""
        key = active, inside_transform.get()  # inside a transform, a copy of a Value keeps its derivative
        if key not in self._derivatives:
            from autograd.compiler.run.with_derivatives import WithDerivatives  # here, because it imports this module

            with self.lock:
                self._derivatives.setdefault(key, WithDerivatives(self, active))
        return self._derivatives[key]

    # ---- inspection ------------------------------------------------------------------------------------------

    def paths(self) -> list[Specialization]:
        """All specializations so far: each is for one path through the branches of the function."""
        states = self.outside.states()
        found = [
            one
            for state in states
            for dispatcher in list(state.dispatchers.values())
            for one in dispatcher.specializations
        ]
        found += [code.specialization for state in states for codes in list(state.rows.values()) for code in codes]
        return found + [one for of_rows in list(self._batch_derivatives.values()) for one in of_rows.specializations()]

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

    def _compiled_paths(self) -> list[Specialization]:
        """All specializations; an error if there are none yet."""
        found = self.paths()
        if not found:
            raise ValueError(f"{self.__name__} has not been compiled yet: call it once")
        return found

    def program(self) -> str:
        """The program of every specialization, as compiled."""
        return "\n\n".join(one.text() for one in self._compiled_paths())

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
        ...         seen.insert(0, x)
        ...     return x
        >>> compiled = jit(vmap(halved))
        >>> compiled(np.array([0.5, 3.0, 7.0])).tolist()
        [0.5, 0.75, 0.875]
        >>> print(compiled.branches())
        line 3 of halved: while is a loop
        line 5 of halved: if is a guard: it calls insert
        """
        found = {entry for one in self._compiled_paths() for entry in one.report.flow.items()}
        made = {site for site, why in found if why is None}
        told = {(x.function, x.line, x.told(why)) for x, why in found if why != SINGLE_CALL or x not in made}
        return "\n".join([text for _, _, text in sorted(told)])

    def llvm_ir(self) -> str:
        """The LLVM IR of every specialization."""
        return "\n\n".join(one.module().text() for one in self._compiled_paths())

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
        return exports.source_of(self, self._compiled_paths(), name, closed).text()

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
        return "\n\n".join(llvm.assembly(one.module()) for one in self._compiled_paths())

    def stats(self) -> dict[str, Any]:
        """Figures about what was compiled.

        ``"instructions"`` has their number after each stage, for each specialization, and ``"paths"`` the number of
        specializations; ``"unrolled"`` says which maps were unrolled and why. The seconds and the bytes of code
        include those of the derivatives of nodes.
        """
        found = self._compiled_paths()
        everything = found + [one for function in list(self._derivatives.values()) for one in function.paths()]
        for one in everything:
            one.compile()
        return {
            "instructions": [dict(one.counts) for one in found],
            "lanes": llvm.lanes(),
            "paths": len(found),
            "unrolled": list(dict.fromkeys(reason for one in found for reason in one.report.reasons())),
            "compile_seconds": sum(one.seconds for one in everything),
            "code_bytes": sum(one.code.code_bytes for one in everything),
            "work_bytes": sum(one.code.needs.work for one in found),
        }


def _restore(packed: Any, options: Options, returns_floats: bool, states: Any) -> Compiled[..., Any]:
    """The function from its pickle; the machine code is made again."""
    compiled = Compiled(pickling.unpack(packed), options, returns_floats)
    compiled.adopt(states, pickling.is_lost(packed))  # a lost function cannot be traced again, so it has one state
    return compiled
