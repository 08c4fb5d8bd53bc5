"""Code for other processors: four lanes, two lanes, no fused multiply-add, ARM."""

import ctypes
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import problems
import pytest
from llvmlite import binding
from test_jit_rules import eager, points, ulps, value_bound

import autograd.math as am
from autograd import jit, value_and_grad, vmap
from autograd.compiler.lower import program
from autograd.compiler.lower.expressions import LIBM
from autograd.compiler.lower.module import Machine
from autograd.compiler.machine import llvm
from autograd.ir.passes import simplify
from autograd.rules import TABLE

SSE2 = "+sse,+sse2"
AVX = f"{SSE2},+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx"
MACHINES = {  # the name of a processor: its features, its lanes, and what its code does not contain
    "haswell": (f"{AVX},+avx2,+fma", 4, "zmm"),
    "ivybridge": (AVX, 4, "zmm|vfm|vfnm"),
    "x86-64": (SSE2, 2, "[yz]mm|vfm|vfnm"),
}
NAMES = ["exp", "log1p", "sin", "tan", "erf", "pow", "atan2", "fmod", "cbrt", "tanh", "lgamma", "floor", "round"]
NAMES += ["sigmoid", "mod", "where", "max", "logsumexp", "gelu", "copysign", "clip"]


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Let the compiler see a processor with fewer features; its code runs on this one."""
    target, triple, _, available = llvm.host()
    features, lanes, _ = MACHINES[request.param]
    if not triple.startswith("x86_64") or not {*features.split(",")} <= {*available.split(",")}:
        pytest.skip("this machine does not have that one's instructions")
    monkeypatch.setattr(llvm, "host", lambda: (target, triple, request.param, features))
    monkeypatch.setenv("AUTOGRAD_CACHE", "off")
    llvm.vector_math.cache_clear()
    assert lanes == llvm.lanes()
    yield request.param
    llvm.vector_math.cache_clear()


@pytest.mark.slow
def test_rows(machine: str) -> None:
    """Primitives in lanes give the eager values, over a batch that does not fill its last block."""
    for name in NAMES:
        columns = [np.array(column) for column in zip(*points(TABLE[name]), strict=True)]
        mapped = jit(vmap(lambda *x, name=name: TABLE[name](*x)))
        for k, (actual, (expected, _)) in enumerate(zip(mapped(*columns), eager(name), strict=True)):
            assert ulps(expected, actual) <= value_bound(name), (name, [column[k] for column in columns])
        assert not re.search(MACHINES[machine][2], mapped.assembly())


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 101])
def test_maps(machine: str, count: int) -> None:
    """Rows with branches, the gradient of each row and of their sum, in batches of every remainder."""
    rows = np.random.default_rng(count).normal(size=(count, 3))

    def loss(w: Any, x: Any) -> Any:
        y = am.tanh(w * x[0] + x[1]) if x[2] > 0.0 else x[2] * x[2] - w
        return am.where(y < 0.0, y * y, am.exp(y) * x[0])

    each = vmap(value_and_grad(loss), in_axes=(None, 0))
    for expected, actual in zip(each(0.7, rows), jit(each)(0.7, rows), strict=True):
        assert pytest.approx(expected, rel=1e-13) == actual
    total = value_and_grad(vmap(loss, in_axes=(None, 0), reduce="sum"))
    assert pytest.approx(total(0.7, rows), rel=1e-12) == jit(total)(0.7, rows)


def test_single_calls(machine: str) -> None:
    """Scalar code without a batch."""
    x = problems.rosenbrock_data()["x"]
    (value, gradient), step = value_and_grad(problems.rosenbrock)(x), jit(value_and_grad(problems.rosenbrock))
    assert pytest.approx(value, rel=1e-13) == step(x)[0]
    assert pytest.approx(gradient, rel=1e-12) == step(x)[1]
    assert not re.search(MACHINES[machine][2], step.assembly())


@pytest.mark.parametrize("triple", ["aarch64-unknown-linux-gnu", "arm64-apple-darwin"])
def test_another_processor(triple: str) -> None:
    """Code for ARM's vectors is generated, with fused multiply-adds on request; this machine cannot run it."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    try:
        target = binding.Target.from_triple(triple)
    except RuntimeError:
        pytest.skip("this LLVM knows its own processor only")

    def row(w: Any, x: Any) -> Any:
        return am.exp(w * x[0]) * x[1] + w * x[2] if x[2] > 0.0 else w

    compiled = jit(value_and_grad(vmap(row, in_axes=(None, 0), reduce="sum")))
    compiled(0.7, np.ones((5, 3)))
    (path,) = compiled.paths()
    generator = target.create_target_machine(codemodel="jitdefault", jit=True)
    for flags in ("", "contract "):
        module = program.lower(simplify.unroll(path.program), Machine(2, {}, flags))
        parsed = binding.parse_assembly(module.text(), binding.create_context())
        text = generator.emit_assembly(parsed)
        assert "fmul" in text
        assert bool(flags) == bool(re.search(r"fml[as].*2d", text))
    assert generator.emit_object(parsed)


def test_libm_of_an_interpreter_that_has_not_loaded_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the library is searched for: its functions are the same."""
    loaded, load = llvm._libm(), ctypes.CDLL
    monkeypatch.setattr(llvm.ctypes, "CDLL", lambda name: load(name) if name else object())
    found = llvm._libm.__wrapped__()
    assert loaded is not found
    assert all(llvm._address(getattr(loaded, name)) == llvm._address(getattr(found, name)) for name in LIBM.values())
