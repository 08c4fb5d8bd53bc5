"""Exported C: the C that `c_source` writes against our own machine code, and against the C that CasADi writes.

    python benchmarks/export.py [--peers PYTHON] [--only PROBLEM …]

with the problems of ``compiled.py`` whose arguments are arrays. Each contender is a function on buffers that are ready.
Short functions are called a thousand times by a loop in C, so that nothing of Python is timed. gcc compiles our C and
CasADi's for the same machine with -O3; ours needs -ffp-contract=off as well. "prepare" is capturing, writing and
compiling; ratios are to our machine code.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import compiled  # registers our functions
import problems
from harness import Prepared, contender, parser, prepared, runner

Array = problems.Array
FLAGS = [
    "-O3",
    "-march=native",
    "-std=c99",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-shared",
    "-fPIC",
]
SHORT = ("rosenbrock", "expression")  # problems whose functions take less time than a call from Python
REPEATS = 1000
NAMES = [problem for _, problem, _, _, _ in compiled.PROBLEMS]
CASADI = {
    "mlp": "CasADi, map, as C",
    "gmm": "CasADi, map, as C",
    "bundle": "CasADi, map, as C",
    "options": "CasADi, map, as C",
    "rosenbrock": "CasADi, a thousand calls in C",
    "expression": "CasADi, a thousand calls in C",
}


class Results:
    """Buffers for the numbers of a result, which has the form of an example."""

    def __init__(self, ready: Prepared, example: Any) -> None:
        from autograd.tree import flatten

        leaves, self.rebuild = flatten(example, arrays=True)
        self.shapes = [np.shape(leaf) for leaf in leaves]
        self.ready = ready

    def arrays(self, numbers: Array) -> Any:
        """The arrays that are compared, from all numbers of a result in order."""
        cuts = np.cumsum([int(np.prod(shape)) for shape in self.shapes])[:-1]
        parts = [part.reshape(shape) for part, shape in zip(np.split(numbers, cuts), self.shapes, strict=True)]
        return self.ready.arrays(self.rebuild([part if part.shape else float(part) for part in parts]))


def machine_code(problem: str, data: dict[str, Any]) -> Prepared:
    """Our machine code on its buffers; a batch is called as users call it, which copies no rows."""
    from autograd.compiler.capture.signature import read_call

    ready = prepared(problem, "ours", data)
    assert ready.compiled is not None
    function, arguments = ready.compiled
    first = function(*arguments)
    if function.batch is not None and not function.batch.outside.states()[0].dispatchers:
        return ready
    results = Results(ready, first)
    (specialization,) = function.paths()
    frame = specialization.frame()
    given = read_call(problem, arguments, {}).leaves
    frame.numbers[: len(given)] = given
    count, block = specialization.sizes[1], list(frame.block)
    if problem in SHORT:
        run = _library(_REPEAT_MACHINE_CODE).repeat
        run.argtypes = [ctypes.c_void_p, *[ctypes.c_void_p] * 4, ctypes.c_int]
        passed = [ctypes.cast(specialization.function, ctypes.c_void_p), *block, REPEATS]
    else:
        run, passed = specialization.function, block

    def call() -> Any:
        run(*passed)
        return frame  # which owns the memory of the block

    return Prepared(call, lambda frame: results.arrays(frame.results[:count]))


_REPEAT_MACHINE_CODE = """
typedef long long function(void *, void *, void *, void *);
void repeat(function *run, void *in, void *rows, void *out, void *work, int times)
{
    for (int i = 0; i < times; i++)
        run(in, rows, out, work);
}
"""


def exported(problem: str, data: dict[str, Any]) -> Prepared:
    """The C that is written for the same function and arguments."""
    from autograd.compiler.run.exports import example_of

    ready = prepared(problem, "ours", data)
    assert ready.compiled is not None
    function, arguments = ready.compiled
    example = example_of(function, arguments, {}, "exported", "constants")
    source, rows = example.source, example.rows
    text = source.text()
    given = [p for p in source.parameters if not p.is_output]
    made = [p for p in source.parameters if p.is_output]
    held = [np.array(numbers, dtype=float) for numbers in example.inputs]
    sizes = [p.size() * (rows if p.shape is not None and "n" in p.shape else 1) for p in made]
    outputs = [np.zeros(size) for size in sizes]
    fixed, by_row, by_step = source.work
    steps = 100_000
    work = np.zeros(fixed + by_row * rows + by_step * steps + 1)
    passed: list[Any] = [ctypes.c_size_t(rows)] if source.rows else []
    passed += [ctypes.c_double(x[0]) if p.shape is None else _pointer(x) for p, x in zip(given, held, strict=True)]
    passed += [_pointer(x) for x in outputs]
    passed += [ctypes.c_size_t(steps)] if source.steps else []
    passed += [_pointer(work)] if any(source.work) else []
    if problem in SHORT:
        head = source.prototype.replace("int exported(", "void repeat(int times, ", 1)
        names = [p.name for p in source.parameters] + (["work"] if any(source.work) else [])
        loop = f"for (int i = 0; i < times; i++) exported({', '.join(names)});"
        text += f"{head}\n{{\n    {loop}\n}}\n"
        passed.insert(0, ctypes.c_int(REPEATS))
    library = _library(text)
    call = library.repeat if problem in SHORT else library.exported
    assert call(*passed) == 0 or problem in SHORT, "a status that is not 0"
    results = Results(ready, function(*arguments))

    def arrays(_: Any) -> Any:
        _ = held, work
        return results.arrays(np.concatenate(outputs))

    return Prepared(lambda: call(*passed), arrays, {"lines of C": float(len(text.splitlines()))})


def _pointer(array: Array) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_double))


def _library(text: str) -> ctypes.CDLL:
    folder = Path(tempfile.mkdtemp())
    (folder / "f.c").write_text(text)
    subprocess.run(["gcc", *FLAGS, "f.c", "-o", "f.so", "-lm"], cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "f.so"))


def _enter(problem: str) -> None:
    @contender(problem, "machine code", "autograd.compiler")
    def _(**data: Any) -> Prepared:
        return machine_code(problem, data)

    @contender(problem, "exported C", "autograd.compiler")
    def _(**data: Any) -> Prepared:
        return exported(problem, data)


for _problem in dict.fromkeys(NAMES):
    _enter(_problem)


def main() -> None:
    """Run the problems that the command line names, or all."""
    arguments = parser(__doc__).parse_args()
    run = runner(arguments).run
    for title, problem, data, _, _ in compiled.PROBLEMS:
        if arguments.only is None or problem in arguments.only:
            peers = [("peers", CASADI[problem])] if problem in CASADI else []
            run(title, problem, data(), [("export", "machine code"), ("export", "exported C"), *peers])


if __name__ == "__main__":
    main()
