"""Compiled sparse Jacobians and Hessians: machine code computes the entries, which are put into a sparse array."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn

from autograd.compiler.capture.outside import Outsides
from autograd.compiler.capture.signature import Reading
from autograd.compiler.capture.trace import current_trace, is_capturing
from autograd.compiler.capture.walk import Read
from autograd.compiler.run import pickling
from autograd.compiler.run.call import Compiled
from autograd.compiler.run.capturing import Captured, Function
from autograd.compiler.run.specialization import Options, Specialization
from autograd.compiler.sparse.entries import entries
from autograd.compiler.sparse.problem import Entries, problem
from autograd.ir.block import numbers_in, types_of
from autograd.ir.roll.rolling import rolled
from autograd.modes import current_mode, inside_transform
from autograd.transforms.gradients import grad
from autograd.transforms.origin import origin_of
from autograd.transforms.run import Run
from autograd.tree import flatten, make_array


class CompiledEntries(Compiled[..., Any]):
    """The compiled function whose numbers are the entries; the pattern of each capture makes the sparse array of them.

    Attributes
    ----------
    columns : dict
        During a capture: input of the program → the column of its first number.
    width : int
        The number of columns.
    """

    def __init__(self, function: Function, options: Options) -> None:
        origin = origin_of(function)
        assert origin is not None
        argnums = origin.parameters[0]
        self.symmetric = origin.transform == "hessian"
        self.mode = "auto" if self.symmetric else origin.parameters[1]
        self.columns: dict[int, int] = {}
        self.width = 0
        differentiated = grad(origin.function, argnums) if self.symmetric else origin.function

        def results(*args: Any, **keywords: Any) -> Any:
            run = Run(differentiated, args, argnums, keywords)
            outputs, _ = flatten(run.result, f"the result of {run.name}")
            trace = current_trace()
            assert trace is not None
            self.columns, self.width = {}, len(run.leaves)
            for column, leaf in enumerate(run.leaves):
                self.columns.setdefault(trace.code[trace.target(leaf)].data, column)
            return make_array(outputs, (len(outputs),))

        results.__name__ = getattr(function, "__name__", repr(function))
        super().__init__(results, options, returns_floats=True)
        self.outside = Outsides(function, self.__name__)

    def _on_values(self, reading: Reading, keep_graph: bool = False) -> Any:
        """None: entries are not computed by Values."""
        return None

    @property
    def shares(self) -> bool:
        """No: a program of entries serves only its own function."""
        return False

    def prepared(self, captured: Captured) -> Captured:
        """The capture with a program that computes the entries of the derivative."""
        given = problem(rolled(captured.program), self.columns, self.width)
        program, found = entries(given.simplified(self.options.accurate), self.mode, self.symmetric)
        types = types_of(program)
        numbers = numbers_in([types[o] for o in program.outputs])
        return replace(captured, program=program, template=make_array([0.0] * numbers, (numbers,)), finish=found)


class SparseCompiled(Compiled[..., Any]):
    """A compiled sparse Jacobian or Hessian; `jit` returns it."""

    def __init__(self, function: Function, options: Options) -> None:
        super().__init__(function, options)
        self.entries = CompiledEntries(function, options)

    def _call(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """The sparse array."""
        mode = current_mode()
        if is_capturing() or inside_transform.get() or (mode is not None and mode.anomaly):
            return self.function(*args, **keywords)
        found = self.entries(*args, **keywords)
        return self.function(*args, **keywords) if found is None else found  # the function refuses Values

    def paths(self) -> list[Specialization]:
        """All specializations so far."""
        return self.entries.paths()

    def reads(self) -> list[Read]:
        """What the function reads outside its arguments: see `Compiled.reads`."""
        return self.entries.reads()

    def _patterns(self) -> list[Entries]:
        """The pattern of each specialization."""
        return [one.finish for one in self._compiled_paths() if isinstance(one.finish, Entries)]

    def program(self) -> str:
        """The program of every specialization, as compiled, and the method by which it computes the entries."""
        both = zip(self._patterns(), self._compiled_paths())
        return "\n\n".join(f"# {found.describe()}\n{one.text()}" for found, one in both)

    def stats(self) -> dict[str, Any]:
        """Figures about what was compiled, as `Compiled.stats` has them.

        ``"sparse"`` has those of each specialization: its ``"entries"``, by which ``"method"`` they are computed, and
        how many ``"sweeps"`` over the function that takes (0 where each step of a loop computes its own derivatives).
        """
        figures = [
            {"entries": found.empty.nnz, "method": found.method, "sweeps": found.sweeps} for found in self._patterns()
        ]
        return {**super().stats(), "sparse": figures}

    def c_source(self, *args: Any, **options: Any) -> NoReturn:
        """Refuse: a function in C returns dense arrays.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError(
            "a sparse Jacobian or Hessian is an array of scipy.sparse, which C does not have: export the dense one, "
            "without sparse=True"
        )

    export = c_source

    def __reduce__(self) -> tuple[Any, ...]:
        packed = pickling.pack(self.function)
        return _restore, (packed, self.options, self.entries.portable(pickling.is_lost(packed)))


def _restore(packed: Any, options: Options, states: Any) -> SparseCompiled:
    """The function from its pickle."""
    compiled = SparseCompiled(pickling.unpack(packed), options)
    compiled.entries.adopt(states, pickling.is_lost(packed))
    return compiled
