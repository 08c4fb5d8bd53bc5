"""The eager programs: each call builds, sweeps and drops a graph, for any number type with micrograd's interface.

``value`` is a class with ``.data``, ``.grad`` and ``.backward()``, ``m`` its mathematical functions. Used for
our own Values, micrograd's, and the pure-Python class of `plain_value`.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import problems
from harness import Prepared, peak_bytes

sys.path.append(str(Path(__file__).parents[1] / "notebooks"))
import gpt as transformer

NODES_WORTH_WEIGHING = 100_000


def mlp(value: Any, m: Any, parameters: Any, x: Any, y: Any) -> Prepared:
    """Forward, backward and zeroed gradients of the 2-16-16-1 network, one `value` per number."""
    leaves = [value(p) for p in parameters.tolist()]
    xs, ys = x.tolist(), y.tolist()

    def step() -> tuple[float, list[float]]:
        for leaf in leaves:
            leaf.grad = 0.0
        loss = problems.mlp_loss(leaves, xs, ys, m)
        loss.backward()
        return loss.data, [leaf.grad for leaf in leaves]

    return Prepared(step)


def chain(value: Any, links: int) -> Prepared:
    """A chain of multiply-adds, two nodes per link, and the peak memory per node."""

    def step() -> tuple[float, float, float]:
        start, factor = value(1.0), value(0.999)
        end = problems.chain(start, factor, links)
        end.backward()
        return end.data, start.grad, factor.grad

    return weighed(step, 2 * links)


def weighed(step: Any, nodes: int) -> Prepared:
    """Note the number of nodes, and the peak bytes per node if there are enough nodes to measure it."""
    notes: dict[str, float | str] = {"nodes": nodes}
    if nodes >= NODES_WORTH_WEIGHING:
        before = peak_bytes()
        step()
        notes["peak bytes per node"] = (peak_bytes() - before) / nodes
    return Prepared(step, notes=notes)


def readme(value: Any, m: Any, a: float, b: float) -> Prepared:
    """The graph of micrograd's README, built and swept."""

    def step() -> tuple[float, float, float]:
        first, second = value(a), value(b)
        end = problems.readme_graph(first, second, m)
        end.backward()
        return end.data, first.grad, second.grad

    return Prepared(step)


def greeks(value: Any, m: Any, **columns: Any) -> Prepared:
    """Price and first-order Greeks of one option after another, each with its own graph."""
    rows = list(zip(*(columns[name].tolist() for name in problems.OPTION_ARGUMENTS), strict=True))

    def step() -> list[list[float]]:
        results = []
        for row in rows:
            arguments = [value(number) for number in row]
            price = problems.black_scholes(*arguments, m=m)
            price.backward()
            results.append([price.data, *[a.grad for a in arguments]])
        return results

    return Prepared(step, lambda results: [results])


def gpt(value: Any, name: str, seed: int) -> Prepared:
    """One training step of the small GPT: loss over the letters of a name, gradient, Adam; training continues."""
    model = transformer.matrices(value, random.Random(seed))
    optimiser = transformer.Adam([p for matrix in model.values() for row in matrix for p in row])

    def step() -> tuple[float, list[float]]:
        loss = transformer.surprise(model, name)
        loss.backward()
        gradient = [p.grad for p in optimiser.parameters]
        optimiser.step(rate=0.01)
        return loss.data, gradient

    return Prepared(step, notes={"parameters": len(optimiser.parameters)})
