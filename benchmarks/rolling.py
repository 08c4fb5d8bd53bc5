"""What rolling finds in plain loops, and what a first call costs with it and without.

    python benchmarks/rolling.py [--only lorenz gpt …] [--flat] [--huge]

Every program is traced, rolled, differentiated and compiled in its own process, without the cache on disk. Its
gradient is compared with the eager one first. ``--flat`` compiles each a second time with rolling turned off; the
largest takes a minute. ``--huge`` adds a trace of a million operations.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "notebooks"))


def lorenz(steps: int) -> tuple[Callable[[Any], Any], Any]:
    """The last state of the Lorenz equations, squared, by its parameters and start: Runge-Kutta steps."""

    def slope(p: Any, x: Any, y: Any, z: Any) -> tuple[Any, Any, Any]:
        return p[0] * (y - x), x * (p[1] - z) - y, x * y - p[2] * z

    def run(p: Any) -> Any:
        x, h = (p[3], p[4], p[5]), 0.01
        for _ in range(steps):
            a = slope(p, *x)
            b = slope(p, *[u + h / 2 * v for u, v in zip(x, a)])
            c = slope(p, *[u + h / 2 * v for u, v in zip(x, b)])
            d = slope(p, *[u + h * v for u, v in zip(x, c)])
            x = tuple([u + h / 6 * (k + 2 * (m + n) + o) for u, k, m, n, o in zip(x, a, b, c, d)])
        return x[0] * x[0] + x[1] * x[1] + x[2] * x[2]

    return run, [10.0, 28.0, 8 / 3, 1.0, 1.1, 1.2]


def heat(points: int, steps: int) -> tuple[Callable[[Any], Any], Any]:
    """Heat that spreads along a rod with fixed ends, by its start."""

    def run(u: Any) -> Any:
        for _ in range(steps):
            u = [u[0], *[u[i] + 0.2 * (u[i - 1] - 2.0 * u[i] + u[i + 1]) for i in range(1, len(u) - 1)], u[-1]]
        return sum([x * x for x in u])

    return run, np.linspace(0.1, 0.9, points).tolist()


def network(rows: int) -> tuple[Callable[[Any], Any], Any]:
    """A network 2-16-16-1 with tanh on some rows, without vmap: the squares of its results by its weights."""
    import autograd.math as am

    draw = random.Random(0)
    data = [[draw.gauss(0, 1), draw.gauss(0, 1)] for _ in range(rows)]
    shapes = [(16, 2), (16, 16), (1, 16)]

    def run(layers: Any) -> Any:
        total = 0.0
        for x in data:
            for weights in layers:
                x = [am.tanh(sum([w * v for w, v in zip(row, x)])) for row in weights]
            total = total + x[0] * x[0]
        return total

    return run, [[[draw.gauss(0, 0.3) for _ in range(n)] for _ in range(m)] for m, n in shapes]


def determinant(size: int) -> tuple[Callable[[Any], Any], Any]:
    """The determinant of a matrix by elimination."""

    def run(matrix: Any) -> Any:
        a = [list(row) for row in matrix]
        product = 1.0
        for k in range(size):
            product = product * a[k][k]
            for i in range(k + 1, size):
                factor = a[i][k] / a[k][k]
                for j in range(k + 1, size):
                    a[i][j] = a[i][j] - factor * a[k][j]
        return product

    draw = random.Random(0)
    return run, [[draw.gauss(0, 1) + 4.0 * (i == j) for j in range(size)] for i in range(size)]


def bodies(count: int, steps: int) -> tuple[Callable[[Any], Any], Any]:
    """Bodies in a plane that attract each other: a coordinate at the end, by all at the start."""

    def run(start: Any) -> Any:
        places, speeds = [list(p) for p in start], [[0.0, 0.0] for _ in start]
        for _ in range(steps):
            for i in range(count):
                for j in range(count):
                    if i != j:
                        x, y = places[j][0] - places[i][0], places[j][1] - places[i][1]
                        pull = 0.01 / (x * x + y * y + 0.1) ** 1.5
                        speeds[i][0], speeds[i][1] = speeds[i][0] + pull * x, speeds[i][1] + pull * y
            places = [[x + 0.1 * v for x, v in zip(p, s)] for p, s in zip(places, speeds)]
        return places[0][0]

    draw = random.Random(0)
    return run, [[draw.gauss(0, 1), draw.gauss(0, 1)] for _ in range(count)]


def likelihood(points: int) -> tuple[Callable[[Any], Any], Any]:
    """The log likelihood of a Gaussian process by Cholesky's decomposition, by its length, height and noise."""
    import autograd.math as am

    draw = random.Random(0)
    xs = [draw.uniform(0, 10) for _ in range(points)]
    ys = [draw.gauss(0, 1) for _ in range(points)]

    def run(p: Any) -> Any:
        kernel = [
            [p[1] * am.exp(-((a - b) ** 2) / (2 * p[0] * p[0])) + (p[2] if a == b else 0.0) for b in xs] for a in xs
        ]
        lower: list[list[Any]] = [[0.0] * points for _ in range(points)]
        z: list[Any] = []
        total = 0.0
        for i in range(points):
            for j in range(i + 1):
                s = kernel[i][j]
                for k in range(j):
                    s = s - lower[i][k] * lower[j][k]
                lower[i][j] = am.sqrt(s) if i == j else s / lower[j][j]
        for i in range(points):
            s = ys[i]
            for k in range(i):
                s = s - lower[i][k] * z[k]
            z.append(s / lower[i][i])
            total = total - 0.5 * z[i] * z[i] - am.log(lower[i][i])
        return total

    return run, [1.3, 1.1, 0.2]


def attention(positions: int) -> tuple[Callable[[Any], Any], Any]:
    """Causal attention with four numbers for each query, key and value; the sum of its squares."""
    import autograd.math as am

    def run(qkv: Any) -> Any:
        q, k, v = qkv
        total = 0.0
        for t in range(positions):
            weights = [am.exp(sum([a * b for a, b in zip(q[t], k[s])])) for s in range(t + 1)]
            mass = sum(weights)
            for e in range(4):
                out = 0.0
                for s in range(t + 1):
                    out = out + weights[s] / mass * v[s][e]
                total = total + out * out
        return total

    draw = random.Random(0)
    return run, [[[draw.uniform(-1, 1) for _ in range(4)] for _ in range(positions)] for _ in range(3)]


def gpt(name: str) -> tuple[Callable[[Any], Any], Any]:
    """A training step of the small GPT of the notebooks on one name."""
    import gpt as model

    return lambda parameters: model.surprise(parameters, name), model.matrices(float, random.Random(0))


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "lorenz, 300 steps": (lorenz, (300,)),
    "heat, 60 x 40": (heat, (60, 40)),
    "network, 10 rows": (network, (10,)),
    "determinant, 12 x 12": (determinant, (12,)),
    "8 bodies, 10 steps": (bodies, (8, 10)),
    "likelihood, 40 points": (likelihood, (40,)),
    "likelihood, 80 points": (likelihood, (80,)),
    "attention, 60 positions": (attention, (60,)),
    "gpt, 5 letters": (gpt, ("peter",)),
    "gpt, 8 letters": (gpt, ("florence",)),
}
HUGE = {"lorenz, 14,000 steps": (lorenz, (14_000,))}


def numbers_of(tree: Any) -> list[float]:
    """All numbers of a tree, in order."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    return [x for part in tree for x in numbers_of(part)] if isinstance(tree, (list, tuple)) else [float(tree)]


def measure(name: str, flat: bool) -> tuple[int, int, int, float, float]:
    """Operations, statements after rolling, instructions compiled; seconds of the first call and of a later one."""
    os.environ["AUTOGRAD_CACHE"] = "off"
    from autograd import jit, value_and_grad
    from autograd.ir.roll import nest, rolling

    make, arguments = {**PROGRAMS, **HUGE}[name]
    function, x = make(*arguments)
    found = [0, 0]
    if flat:
        rolling.FEWEST = sys.maxsize
    writer = rolling.Writer

    def watched(builder: Any, trace: Any, body: Any, guards: Any) -> Any:
        found[:] = [len(set(trace.code)), sum(1 for _ in nest.leaves(body))]
        return writer(builder, trace, body, guards)

    rolling.Writer = watched
    jit(lambda x: x + 1.0)(1.0)  # warm up: some work is done once per process
    compiled = jit(value_and_grad(function), quiet=True)
    start = time.process_time()
    value, gradient = compiled(x)
    first = time.process_time() - start
    later = min(timeit.repeat(lambda: compiled(x), number=1, repeat=30))
    if name not in HUGE:
        expected, slopes = value_and_grad(function)(x)
        one, other = numbers_of(slopes), numbers_of(gradient)
        assert abs(value - expected) <= 1e-12 * abs(expected), f"{name}: {value} is not {expected}"
        assert np.max(np.abs(np.subtract(one, other))) <= 1e-9 * np.max(np.abs(one)), f"{name}: gradients differ"
    instructions = sum(counts["compiled"] for counts in compiled.stats()["instructions"])
    return found[0], found[1], instructions, first, later


def main() -> None:
    """Measure the programs that the command line names."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", nargs="*", metavar="NAME", help="programs whose names start with these")
    options.add_argument("--flat", action="store_true", help="also with rolling turned off")
    options.add_argument("--huge", action="store_true", help="also a million operations")
    arguments = options.parse_args()
    names = [*PROGRAMS, *(HUGE if arguments.huge else ())]
    print(f"{'':32}{'operations':>11}{'statements':>11}{'compiled':>10}{'first call, s':>15}{'later, us':>11}")
    for name in [n for n in names if n.startswith(tuple(arguments.only or [""]))]:
        for flat in (False, True) if arguments.flat and name not in HUGE else (False,):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                operations, statements, compiled, first, later = pool.apply(measure, (name, flat))
            told = f"{operations:>11,}{statements:>11,}" if operations else f"{'':>11}{'':>11}"
            shown = name + (", flat" if flat else "")
            print(f"{shown:32}{told}{compiled:>10,}{first:>15.3f}{1e6 * later:>11.1f}", flush=True)


if __name__ == "__main__":
    main()
