"""The cost of compiling, stage by stage, as programs grow: it should be linear in their length.

    python benchmarks/compile_time.py [--sizes 1500 10000 100000] [--only recurrence sum …] [--huge]
    python benchmarks/compile_time.py --capture [--sizes 50000]
    python benchmarks/compile_time.py --again [--only "gpt step" …]

Each program is compiled in its own process, without the cache on disk, and its results are compared with those of
the eager engine. ``--huge`` adds programs of a million instructions. Read how the microseconds per instruction
change from size to size; the seconds depend on the machine.

A second table has programs that stay the same while their data grow: rows, steps of a `scan`, an array argument. There
the number of instructions should not depend on the size, nor should the seconds of the first call.

``--capture`` measures the first stage alone, as a ratio to the time in which the same operations make nodes.

``--again`` compares the first call in a process with that in the next one, which finds on disk what the first has made,
and with that without a cache, in processor seconds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
import timeit
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

import problems
from harness import peak_bytes

INPUTS = 8
STAGES = ("capture", "passes", "text", "parse", "codegen", "load", "first call")
Shape = Callable[[Any, int, Any], Any]


def recurrence(x: Sequence[Any], size: int, m: Any) -> Any:
    """Two numbers that depend on each other at every step: Duffing's oscillator by symplectic Euler steps."""
    place, speed = x[0], x[1]
    for _ in range(size // 6):
        place = place + 0.01 * speed
        speed = speed - 0.01 * (place * place * place)
    return place + speed


def recurrence_with_calls(x: Sequence[Any], size: int, m: Any) -> Any:
    """A pendulum under a decaying force: one sine and one exponential per step."""
    place, speed = x[0], x[1]
    for step in range(size // 8):
        place = place + 0.01 * speed
        speed = speed - 0.01 * m.sin(place) + m.exp(-0.01 * step * x[2])
    return place + speed


def wide_sum(x: Sequence[Any], size: int, m: Any) -> Any:
    """One sum of independent terms."""
    return m.sum([(x[k % INPUTS] + 0.001 * k) * x[(k // INPUTS) % INPUTS] for k in range(size // 3)])


def wide_sum_with_calls(x: Sequence[Any], size: int, m: Any) -> Any:
    """The same sum, of sines and exponentials."""
    return m.sum([(m.sin if k % 2 else m.exp)(x[k % INPUTS] - 0.0001 * k) for k in range(size // 3)])


def dense(x: Sequence[Any], size: int, m: Any) -> Any:
    """Layers of eight numbers, each computed from all eight before: every value is used far from where it was made."""
    for layer in range(size // (INPUTS * (2 * INPUTS + 1))):
        x = [
            m.tanh(m.sum([(0.3 + 0.01 * ((layer + i + j) % 13)) * x[j] for j in range(INPUTS)])) for i in range(INPUTS)
        ]
    return m.sum(list(x))


def lanes(x: Sequence[Any], size: int, m: Any) -> Any:
    """The dense layers, over the rows of a batch: a loop with one long body of vector code."""
    from autograd import vmap

    rows = [[0.1 * (row + k) for k in range(INPUTS)] for row in range(16)]
    return vmap(lambda w, row: dense([a + b for a, b in zip(w, row)], size, m), in_axes=(None, 0), reduce="mean")(
        x, rows
    )


def branches(x: Sequence[Any], size: int, m: Any) -> Any:
    """A loop that tests a number in every step: one guard for each."""
    total = x[0]
    for k in range(size // 3):
        total = total + 0.1 * x[k % INPUTS] if total < 0.7 * k + 1.0 else total * 0.5
    return total


SHAPES: dict[str, Shape] = {
    shape.__name__.replace("_", " "): shape
    for shape in (recurrence, recurrence_with_calls, wide_sum, wide_sum_with_calls, dense, lanes, branches)
}


def function_of(name: str, size: int, m: Any) -> Callable[[Sequence[Any]], Any]:
    """The function of a shape, or its gradient, with a program of about `size` instructions."""
    from autograd import value_and_grad

    shape = name.removesuffix(", gradient")
    if shape == name:
        return lambda x: SHAPES[shape](x, size, m)
    return value_and_grad(lambda x: SHAPES[shape](x, size * 2 // 5, m))


def measure(name: str, size: int) -> tuple[dict[str, float], int, float, int]:
    """Seconds for every stage, instructions compiled, bytes of peak memory and of machine code."""
    from llvmlite import binding

    import autograd.math as am
    from autograd import jit
    from autograd.compiler.capture.signature import read_call
    from autograd.compiler.capture.trace import Trace, finish
    from autograd.compiler.lower.program import lower
    from autograd.compiler.machine import llvm
    from autograd.compiler.run import capturing
    from autograd.ir.passes import simplify

    os.environ["AUTOGRAD_CACHE"] = "off"
    jit(lambda x: am.sin(x) + 1.0)(1.0)  # warm up: some work is done once per process
    function = function_of(name, size, am)
    x = np.linspace(0.1, 0.8, INPUTS).tolist()
    seconds: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - start

    with stage("capture"):
        trace, outputs, _ = capturing.trace_call(Trace(), function, read_call(name, (x,), {}), x)
        captured = finish(trace, outputs)
    with stage("passes"):
        program = simplify.unroll(simplify.prepare(simplify.simplify(captured)))
    with stage("text"):
        module = lower(program, llvm.machine(False, False))
        text = module.text()
    with stage("parse"):
        parsed = binding.parse_assembly(text)
    with stage("codegen"):
        code = llvm.target_machine(module).emit_object(parsed)
    with stage("load"):
        llvm.load(llvm.Needs.of(module), code)
    peak = peak_bytes()
    instructions = simplify.count(program)
    del trace, captured, program, module, text, parsed
    compiled = jit(function)
    with stage("first call"):
        actual = compiled(x)
    expected = function(x)
    expected = expected if isinstance(expected, tuple) else (expected, [])
    actual = actual if isinstance(actual, tuple) else (actual, [])
    one, other = np.hstack(expected).astype(float), np.hstack(actual)
    assert np.max(np.abs(one - other)) <= 1e-9 * np.max(np.abs(one)), f"{name} of {size}: {one} is not {other}"
    return seconds, instructions, peak, len(code)


def five_inputs(rows: int) -> tuple[Any, Any]:
    """The gradient of a sum over rows by five mapped inputs: prices by Black and Scholes."""
    import autograd.math as m
    from autograd import value_and_grad, vmap

    columns = problems.options_data(rows)
    total = vmap(lambda *row: problems.black_scholes(*row, m=m), in_axes=(0,) * 5, reduce="sum")
    return value_and_grad(total, argnums=tuple(range(5))), [columns[name] for name in problems.OPTION_ARGUMENTS]


def inner_map(rows: int) -> tuple[Any, Any]:
    """The gradient by two parameters of a function that has a map over rows in it."""
    import autograd.math as m
    from autograd import value_and_grad, vmap

    def loss(p: Any, rows: Any) -> Any:
        each = vmap(lambda p, row: m.sin(p[0] * row[0]) * m.exp(p[1] * row[1]), in_axes=(None, 0), reduce="mean")
        return each(p, rows) + p[0] * p[1]

    return value_and_grad(loss), [[0.3, 0.4], np.linspace(0.0, 1.0, 2 * rows).reshape(rows, 2)]


def scanned_steps(steps: int) -> tuple[Any, Any]:
    """The gradient by the start of a recurrence."""
    import autograd.math as m
    from autograd import scan, value_and_grad

    def step(x: Any, _: Any) -> Any:
        return x - 0.1 * (m.sin(x) - 0.3), None

    return value_and_grad(lambda x: scan(step, x, length=steps)[0]), [0.2]


def asian_option(paths: int, steps: int = 252) -> tuple[Any, Any]:
    """Price and five Greeks of a call on the arithmetic mean of the prices of each day, on given normal numbers."""
    import autograd.math as m
    from autograd import value_and_grad, vmap

    def payoff(spot: Any, strike: Any, drift: Any, deviation: Any, normals: Any) -> Any:
        total, price = 0.0, spot
        for normal in normals:
            price = price * m.exp(drift + deviation * normal)
            total = total + price
        return m.relu(total / steps - strike)

    def price(spot: Any, strike: Any, rate: Any, volatility: Any, maturity: Any, normals: Any) -> Any:
        day = maturity / steps
        drift, deviation = (rate - 0.5 * volatility * volatility) * day, volatility * m.sqrt(day)
        mean = vmap(payoff, in_axes=(None, None, None, None, 0), reduce="mean")
        return m.exp(-rate * maturity) * mean(spot, strike, drift, deviation, normals)

    normals = np.random.default_rng(0).normal(size=(paths, steps))
    return value_and_grad(price, argnums=tuple(range(5))), [100.0, 105.0, 0.02, 0.3, 1.5, normals]


def log_of_sum(count: int) -> tuple[Any, Any]:
    """A primitive of many operands over an array."""
    import autograd.math as m
    from autograd import value_and_grad

    return value_and_grad(lambda x: m.logsumexp(x)), [np.random.default_rng(0).normal(size=count)]


def plain_loop(count: int) -> tuple[Any, Any]:
    """A loop in plain Python over an array, and what it puts into a list."""
    import autograd.math as m
    from autograd import value_and_grad

    def function(x: Any) -> Any:
        last, kept = 0.0, []
        for number in x:
            last = 0.5 * last + m.sin(number) * number
            kept.append(last)
        return m.logsumexp(kept)

    return value_and_grad(function), [np.random.default_rng(0).normal(size=count)]


DATA: dict[str, tuple[Callable[[int], tuple[Any, Any]], list[int]]] = {
    "five inputs, rows": (five_inputs, [100, 1000, 10_000, 100_000]),
    "inner map, rows": (inner_map, [10, 100, 1000, 10_000]),
    "scan, steps": (scanned_steps, [10, 100, 1000, 10_000, 100_000]),
    "asian option, paths": (asian_option, [10, 100, 1000]),
    "logsumexp, numbers": (log_of_sum, [1000, 10_000, 100_000]),
    "plain loop, numbers": (plain_loop, [1000, 10_000, 100_000]),
}


def numbers_of(result: Any) -> Any:
    """All numbers of a tree in one array."""
    if isinstance(result, (list, tuple)):
        return np.hstack([numbers_of(part) for part in result])
    return np.ravel(np.asarray(result, dtype=float))


def measure_data(name: str, size: int) -> tuple[int, float, float, float]:
    """Instructions compiled, seconds of the first call and of a later one, bytes of peak memory."""
    import autograd.math as am
    from autograd import jit

    os.environ["AUTOGRAD_CACHE"] = "off"
    jit(lambda x: am.sin(x) + 1.0)(1.0)  # warm up: some work is done once per process
    function, arguments = DATA[name][0](size)
    compiled = jit(function)
    start = time.perf_counter()
    actual = compiled(*arguments)
    first = time.perf_counter() - start
    peak = peak_bytes()
    later = min(timeit.repeat(lambda: compiled(*arguments), number=1, repeat=20))
    one, other = (numbers_of(result) for result in (function(*arguments), actual))
    assert np.max(np.abs(one - other)) <= 1e-9 * np.max(np.abs(one)), f"{name} of {size}: {other} is not {one}"
    instructions = sum(counts["compiled"] for counts in compiled.stats()["instructions"])
    return instructions, first, later, peak


def fresh(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function that is called in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def measure_capture(name: str, size: int, runs: int = 15) -> tuple[int, float, float]:
    """Instructions, and the least processor seconds for capturing them and for making nodes of the same operations."""
    import autograd.math as am
    from autograd import Value
    from autograd.compiler.capture.signature import read_call
    from autograd.compiler.capture.trace import Trace
    from autograd.compiler.run import capturing

    function, x = function_of(name, size, am), np.linspace(0.1, 0.8, INPUTS).tolist()
    captures, nodes = [], []
    for _ in range(runs):
        reading = read_call(name, (x,), {})
        start = time.thread_time()
        trace, *_ = capturing.trace_call(Trace(), function, reading, x)
        captures.append(time.thread_time() - start)
        instructions = len(trace.code)
        del trace, _
        leaves = [Value(number) for number in x]
        start = time.thread_time()
        result = function(leaves)
        nodes.append(time.thread_time() - start)
        del result
    return instructions, min(captures), min(nodes)


def compare_captures(names: Sequence[str], sizes: Sequence[int]) -> None:
    """Print how long captures take, and how many times as long as nodes."""
    print(f"{'':31}{'instructions':>12}{'capture ms':>12}{'nodes ms':>12}{'ratio':>8}{'ns each':>9}")
    for name in names:
        for size in sizes:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                count, capture, nodes = pool.apply(measure_capture, (name, size))
            each = 1e9 * capture / count
            print(f"{name:31}{count:>12,}{1e3 * capture:>12.1f}{1e3 * nodes:>12.1f}{capture / nodes:>8.1f}{each:>9.0f}")


def branch(x: Any) -> Any:
    """A function of three lines."""
    import autograd.math as am

    if x > 1.0:
        return am.log(x) * x
    return am.sin(x) + x * x


def small_function() -> Any:
    """The derivative of a function of three lines."""
    from autograd import jit, value_and_grad

    return jit(value_and_grad(branch))(0.5)


def gpt_step(name: str) -> Any:
    """Loss and gradient of the small GPT for one name."""
    import microgpt
    from autograd import jit, value_and_grad

    matrices = {key: matrix.tolist() for key, matrix in microgpt.matrices(microgpt.data(name)["parameters"]).items()}
    loss, gradient = jit(value_and_grad(lambda model: microgpt.gpt.surprise(model, name)), quiet=True)(matrices)
    return loss, [row for matrix in gradient.values() for row in matrix]


def orbits() -> Any:
    """States and Jacobians of satellites, by the adopted package `sgp4`."""
    import adopted
    from autograd import adopt, jacobian, jit, vmap

    model = adopt("sgp4.model")

    def both(row: Any, t: Any) -> Any:
        return adopted.state(model, row, t), jacobian(lambda row: adopted.state(model, row, t))(row)

    return jit(vmap(both), quiet=True)(*adopted.satellites(10))


AGAIN: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "small function": (small_function, ()),
    "gpt step, five letters": (gpt_step, ("emily",)),
    "gpt step, eleven letters": (gpt_step, ("christopher",)),
    "orbits": (orbits, ()),
}


def measure_first_call(name: str, cache: str) -> tuple[float, Any]:
    """Processor seconds of a first call with this cache, and its numbers."""
    import autograd.math as am
    from autograd import jit

    os.environ["AUTOGRAD_CACHE"] = cache
    jit(lambda x: am.sin(x) + 1.0)(1.0)  # warm up: some work is done once per process
    function, arguments = AGAIN[name]
    start = time.process_time()
    result = function(*arguments)
    return time.process_time() - start, numbers_of(result)


def compare_processes(names: Sequence[str], runs: int = 3) -> None:
    """Print how long first calls take: without a cache, with an empty one, and in the next process."""
    print(f"{'':31}{'no cache':>12}{'first process':>15}{'next process':>14}{'ratio':>8}")
    for name in names:
        times = []
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as folder:
                found = [fresh(measure_first_call, name, cache) for cache in ("off", folder, folder)]
            assert all(np.array_equal(found[0][1], numbers) for _, numbers in found)
            times.append([seconds for seconds, _ in found])
        off, first, again = (min(column) for column in zip(*times))
        print(f"{name:31}{off:>12.4f}{first:>15.4f}{again:>14.4f}{off / again:>8.1f}", flush=True)


def main() -> None:
    """Measure the shapes and sizes that the command line names."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--sizes", nargs="*", type=int)
    options.add_argument("--only", nargs="*", metavar="SHAPE", help="shapes whose names start with these")
    options.add_argument("--huge", action="store_true", help="also a million instructions")
    options.add_argument("--capture", action="store_true", help="only captures, of 50,000 operations, and nodes")
    options.add_argument("--again", action="store_true", help="only first calls, in a process and in the next one")
    arguments = options.parse_args()
    wanted = tuple(arguments.only or [""])
    if arguments.again:
        compare_processes([name for name in AGAIN if name.startswith(wanted)])
        return
    if arguments.capture:
        names = [name for name in SHAPES if name.startswith(wanted) and name != "lanes"]  # a loop of the program
        compare_captures(names, arguments.sizes or [50_000])
        return
    sizes = (arguments.sizes or [1500, 10_000, 100_000]) + ([1_000_000] if arguments.huge else [])
    names = [name + suffix for name in SHAPES for suffix in ("", ", gradient") if name.startswith(wanted)]
    print(f"{'':31}{'instructions':>12}" + "".join(f"{stage:>11}" for stage in STAGES) + f"{'us each':>9}  MB peak")
    for name in names:
        for size in sizes:
            seconds, instructions, peak, _ = fresh(measure, name, size)
            times = "".join(f"{seconds[stage]:>11.3f}" for stage in STAGES)
            each = 1e6 * sum(seconds[stage] for stage in STAGES[:-1]) / instructions
            print(f"{name:31}{instructions:>12,}{times}{each:>9.1f}{peak / 1e6:>9.0f}", flush=True)
    print(f"\n{'':31}{'size':>12}{'instructions':>14}{'first call':>12}{'later, ms':>12}  MB peak")
    for name, (_, sizes) in DATA.items():
        if arguments.only and not any(name.startswith(wanted) for wanted in arguments.only):
            continue
        for size in sizes:
            instructions, first, later, peak = fresh(measure_data, name, size)
            row = f"{name:31}{size:>12,}{instructions:>14,}{first:>12.3f}{1e3 * later:>12.3f}{peak / 1e6:>9.0f}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
