"""A program whose machine code is on disk needs no passes: not in the same process, and not in the next one."""

import ast
import math
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_jit_cache import private_cache, run_python, start_python  # noqa: F401  # the first is a fixture

import autograd
import autograd.math as am
from autograd import Value, fori, grad, hessian, jit, scan, storage, value_and_grad, vmap
from autograd.compiler.machine import cache
from autograd.compiler.run import specialization
from autograd.ir.block import Array, Final, Guard, Instruction, Loop, Program, Used, Window
from autograd.ir.digest import digest
from autograd.ir.passes import simplify
from autograd.rules import TABLE

ROWS = np.linspace(0.5, 2.0, 9)
WEIGHTS = [0.1 * k - 0.7 for k in range(16)]
Function = Callable[..., Any]


@pytest.fixture(autouse=True)
def stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs of any length are found on disk, also those that the verifier has not seen."""
    monkeypatch.setattr(specialization, "FEWEST_STORED", 0)
    monkeypatch.setattr(storage, "sources", storage.sources.__wrapped__)
    monkeypatch.setattr(cache, "find", vars(cache.find).get("__wrapped__", cache.find))


def network(weights: Any, x: Any) -> Any:
    """A number that depends on all weights."""
    hidden = [am.tanh(w * x + b) for w, b in zip(weights[:8], weights[8:])]
    return sum(h * h for h in hidden) - x


def branching(weights: Any, x: Any) -> Any:
    """Both sides of a branch, one of which no program can have: it calls what it does not know."""
    seen: set[int] = set()
    if x > 1.0:
        seen.add(1)
        return network(weights, x) * 2.0
    return network(weights, x) * len(seen)


def stepped(weights: Any, x: Any) -> Any:
    """A loop whose length is a number of the program, in a loop of constant length."""
    total, _ = scan(lambda c, w: (am.sin(c + w * x), None), x, weights)
    return fori(3 * len(weights), lambda i, c: c * 0.5 + am.take(weights, i % 16), total)


CALLS: list[tuple[Function, tuple[Any, ...]]] = [
    (network, (WEIGHTS, 0.5)),
    (value_and_grad(network), (WEIGHTS, 0.5)),
    (value_and_grad(stepped), (np.array(WEIGHTS), 0.5)),
    (hessian(stepped), (WEIGHTS, 0.5)),
    (vmap(grad(network), in_axes=(None, 0)), (WEIGHTS, ROWS)),
    (value_and_grad(vmap(network, in_axes=(None, 0), reduce="sum")), (WEIGHTS, ROWS)),
    (vmap(branching, in_axes=(None, 0)), (WEIGHTS, ROWS)),
    (grad(branching), (WEIGHTS, 1.5)),
    (grad(branching), (WEIGHTS, 0.5)),
]


def flat(result: Any) -> list[float]:
    """All numbers of a result."""
    return np.hstack([np.ravel(part) for part in (result if isinstance(result, tuple) else (result,))]).tolist()


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_found_without_passes(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers and figures by the same machine code. The program is made when somebody reads it."""
    function, arguments = CALLS[number]
    first = jit(function)
    expected = flat(first(*arguments))
    with monkeypatch.context() as patch:
        for name in ("simplify", "prepare", "unroll"):
            patch.setattr(simplify, name, None)
        second = jit(function)
        assert expected == flat(second(*arguments))
        assert expected == flat(second(*arguments))
        figures = [
            {key: value for key, value in compiled.stats().items() if key != "compile_seconds"}
            for compiled in (first, second)
        ]
        assert figures[0] == figures[1]
    assert first.program() == second.program()
    assert first.llvm_ir() == second.llvm_ir()
    assert expected == flat(second(*arguments))


def test_guards_of_a_stored_program() -> None:
    """A comparison that comes out otherwise leads to another program, which is found, too; rows as well."""
    for _ in range(2):
        fast, rows = jit(branching), jit(vmap(branching, in_axes=(None, 0)))
        for x in (0.5, 1.5, 0.75, 2.0):
            assert branching(WEIGHTS, x) == pytest.approx(fast(WEIGHTS, x), rel=1e-14)
        assert [branching(WEIGHTS, x) for x in ROWS.tolist()] == pytest.approx(rows(WEIGHTS, ROWS), rel=1e-14)
        assert 2 == fast.stats()["paths"] == rows.stats()["paths"]


def test_values_from_outside() -> None:
    """Numbers of Values that the function closes over are inputs: a stored program serves other numbers."""
    for number in (0.5, -0.25):
        weights = [Value(number + w) for w in WEIGHTS]
        expected = network(weights, 0.5)
        expected.backward()
        slopes = [w.grad for w in weights]
        for w in weights:
            w.grad = 0.0
        actual = jit(lambda x, weights=weights: network(weights, x))(0.5)
        actual.backward()
        assert expected.data == pytest.approx(actual.data, rel=1e-14)
        assert slopes == pytest.approx([w.grad for w in weights], rel=1e-13)


def test_pickled() -> None:
    """A compiled function from a pickle finds its machine code; its own pickle is complete as well."""
    first = jit(value_and_grad(network))
    expected = first(WEIGHTS, 0.5)
    second = pickle.loads(pickle.dumps(first))
    third = pickle.loads(pickle.dumps(second))
    assert expected == second(WEIGHTS, 0.5) == third(WEIGHTS, 0.5)
    assert first.program() == second.program() == third.program()


def test_object_code_that_is_gone(private_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Where one of the two files is missing or broken, the program is compiled again, and found again after that."""
    made: list[Any] = []
    generate = cache.llvm.generate
    monkeypatch.setattr(cache.llvm, "generate", lambda module: made.append(module) or generate(module))
    expected = jit(network)(WEIGHTS, 0.5)
    files = list(private_cache.iterdir())
    sizes = {file: file.stat().st_size for file in files}
    assert 1 == len(made)
    code = max(files, key=sizes.__getitem__)
    for spoil in (code.unlink, lambda: code.write_bytes(b"broken")):
        spoil()
        made.clear()
        assert expected == jit(network)(WEIGHTS, 0.5)
        assert expected == jit(network)(WEIGHTS, 0.5)
        assert 1 == len(made)
    for file in files:
        if file != code:
            file.unlink()
    made.clear()
    assert expected == jit(network)(WEIGHTS, 0.5)
    assert [] == made
    assert sizes == {file: file.stat().st_size for file in private_cache.iterdir()}


def test_other_sources_are_other_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of a pass, of an option or of a library leads to another entry; sources that cannot be read, to none."""
    key = "digest", False, False, 1 << 32
    entries = {cache._entry_of_program(key)}
    entries |= {cache._entry_of_program(("digest", True, False, 1 << 32))}
    monkeypatch.setattr(cache.llvm, "vector_math", lambda lanes: {})
    entries |= {cache._entry_of_program(key)}
    monkeypatch.setattr(storage, "sources", lambda *parts: "others")
    entries |= {cache._entry_of_program(key)}
    assert 4 == len(entries)
    monkeypatch.setattr(storage, "sources", lambda *parts: None)
    assert cache._entry_of_program(key) is None
    assert cache.find(key) is None
    assert jit(network)(WEIGHTS, 0.5) == pytest.approx(network(WEIGHTS, 0.5), rel=1e-14)


def imported(path: Path) -> Iterator[str]:
    """The modules of the package that a module imports when it is imported."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autograd"):
            yield node.module or ""
            yield from [f"{node.module}.{name.name}" for name in node.names]


def test_all_that_prepares_programs_is_in_the_key() -> None:
    """What passes and lowering import is among the sources on which an entry depends."""
    root = Path(autograd.__file__).parent
    files = set(storage.source_files(*cache.PREPARING))
    assert root / "ir" / "derive" / "reverse.py" in files
    assert all(file.is_file() for file in files)
    for file in sorted(files):
        if not file.is_relative_to(root / "ir") and not file.is_relative_to(root / "compiler" / "lower"):
            continue
        for module in imported(file):
            path = root.parent / (module.replace(".", "/") + ".py")
            assert not path.is_file() or path in files, f"{file} imports {path}"


AGAIN = """

from autograd.compiler.run import specialization
from autograd.ir.passes import simplify
from autograd import jit, value_and_grad
import autograd.math as am
if sys.argv[1] == "found":
    simplify.prepare = None
f = jit(value_and_grad(lambda x: sum(am.sin(x * k) for k in range(120))))
print(f(0.5), f(0.25))
"""


def test_the_next_process() -> None:
    """It needs no passes, for functions that call libm, too."""
    made = run_python(AGAIN.replace("sys.argv[1]", "'made'"))
    found = run_python(AGAIN.replace("sys.argv[1]", "'found'"))
    assert made == found


# ---- digests -------------------------------------------------------------------------------------------------------


def captured(function: Function, arguments: tuple[Any, ...]) -> Program:
    """The program of a call."""
    compiled = jit(function)
    compiled(*arguments)
    return compiled.paths()[0].captured


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_digests_of_two_captures_are_equal(number: int) -> None:
    """Names and lines are not in them, nor what is shared by chance."""
    function, arguments = CALLS[number]
    program = captured(function, arguments)
    again = captured(function, arguments)
    again.guards = [guard._replace(line="elsewhere") for guard in again.guards]
    assert program is not again
    assert digest(program) == digest(again)
    assert digest(program) == digest(pickle.loads(pickle.dumps(program)))


def variants(program: Program) -> Iterator[Program]:
    """Programs that differ in one place: an operation, an operand, data, an output, an input, a guard."""
    code = program.code
    for at, (op, operands, data) in enumerate(code):
        others = [Instruction("other", operands, data), Instruction(op, (*operands, 0), data)]
        others += [Instruction(op, operands[1:], data)] if operands else []
        others += [Instruction(op, operands, other) for other in changed(data)]
        for other in others:
            yield Program([*code[:at], other, *code[at + 1 :]], program.outputs, program.inputs, program.guards)
    yield Program(code, [*program.outputs, 0], program.inputs, program.guards)
    yield Program(code, program.outputs, (*program.inputs, "number"), program.guards)
    yield Program(code, program.outputs, (*program.inputs, Array((2,))), program.guards)
    for guard in (Guard(0, True, ""), Guard(0, False, ""), Guard(1, True, "")):
        yield Program(code, program.outputs, program.inputs, [*program.guards, guard])


def changed(data: Any) -> list[Any]:
    """Other data of an instruction."""
    if isinstance(data, Loop):
        numbers = "shared", "carries", "accumulators"
        found = [replace(data, **{name: getattr(data, name) + 1}) for name in numbers]
        found += [
            replace(data, stored=7),
            replace(data, backwards=not data.backwards),
            replace(data, test=not data.test),
        ]
        found += [replace(data, extent=1234), replace(data, kinds=(*data.kinds, "sum")), replace(data, primal=data)]
        return found + [replace(data, body=body) for body in variants(data.body)]
    if isinstance(data, Window):
        other = Final(*data) if isinstance(data, Used) else Used(*data)
        return [data._replace(offset=data.offset + 1), data._replace(steps=(*data.steps, 3)), other]
    if isinstance(data, float):
        return [0.5 if math.isnan(data) else math.nextafter(data, math.inf), True] if data else [-data, math.nan]
    return [(data, 0)]


@pytest.mark.parametrize("number", [0, 2, 6])
def test_digests_tell_programs_apart(number: int) -> None:
    """Each change in any place of a program, or of the body of a loop, has a digest of its own."""
    program = captured(*CALLS[number])
    found = [digest(program), *map(digest, variants(program))]
    assert len(found) == len(set(found))
    assert {64} == {len(one) for one in found if one}


def test_digests_see_which_loops_are_one() -> None:
    """Passes know the derivative of a loop by identity; so that of a copy of the loop makes another program."""
    step = Program([Instruction("input", (), 0), Instruction("sin", (0,))], [1], ("number",))
    loop = Loop(step, 3, 0, kinds=("sum",))

    def pair(primal: Loop) -> Program:
        derived = replace(loop, primal=primal)
        code = [Instruction("loop", (), loop), Instruction("loop", (), derived)]
        return Program([*code, Instruction("item", (0,), 0), Instruction("item", (1,), 0)], [2, 3])

    assert digest(pair(loop)) == digest(pair(loop))
    assert digest(pair(loop)) != digest(pair(replace(loop)))


def test_rules_in_python_have_no_digest() -> None:
    """Other processes have other functions under the same names."""
    rule = TABLE["sin"]
    inner = Program([Instruction("input", (), 0), Instruction("custom", (0,), rule)], [1], ("number",))
    loop = Instruction("loop", (), Loop(inner, 3, 0, kinds=("sum",)))
    assert digest(inner) is None
    assert digest(Program([loop, Instruction("item", (0,), 0)], [1])) is None


def test_nothing_is_stored_without_a_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the cache turned off, programs are made anew."""
    monkeypatch.setenv("AUTOGRAD_CACHE", "off")
    assert jit(network)(WEIGHTS, 0.5) == jit(network)(WEIGHTS, 0.5)
    assert cache.find(("digest",)) is None
    assert storage.folder() is None
