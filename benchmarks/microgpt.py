"""A training step of the small GPT in notebooks/gpt.py: loss and gradient by its 4,192 parameters for one name.

    python benchmarks/microgpt.py [--peers PYTHON] [--only-ours] [--only step training] [--names emily …]

``step`` times a step for each name: the script as it is, eager and compiled, against the pure-Python class that it is
written for, JAX, PyTorch and a gradient written by hand in C++. "prepare" is the first call; for compiled code there is
also the first call for another name of the same length. ``training`` compares the losses of compiled steps with those
of eager ones, Adam included.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import plain_value
from harness import Prepared, contender, parser, runner

sys.path.append(str(Path(__file__).parents[1] / "notebooks"))
import gpt

Array = np.ndarray[Any, np.dtype[np.float64]]
NAMES = ["emily", "benjamin", "christopher"]


def data(name: str, seed: int = 1) -> dict[str, Any]:
    """The matrices one after the other in one array, and the name."""
    model = gpt.matrices(lambda number: number, random.Random(seed))
    return {"parameters": np.concatenate([np.ravel(matrix) for matrix in model.values()]), "name": name}


def matrices(parameters: Array) -> dict[str, Array]:
    """The matrices by their names."""
    found, at = {}, 0
    for name, matrix in gpt.matrices(lambda number: number, random.Random(0)).items():
        rows, columns = np.shape(matrix)
        found[name] = parameters[at : at + rows * columns].reshape(rows, columns)
        at += rows * columns
    return found


def tokens(name: str) -> Array:
    """The numbers of a name's letters, between its edges."""
    return np.array([gpt.EDGE, *map(gpt.LETTERS.index, name), gpt.EDGE], dtype=float)


def eager(value: Any, parameters: Array, name: str) -> Prepared:
    """The graph of a step is made, swept and dropped."""
    model = {key: [[value(x) for x in row] for row in matrix.tolist()] for key, matrix in matrices(parameters).items()}
    leaves = [leaf for matrix in model.values() for row in matrix for leaf in row]

    def step() -> tuple[float, list[float]]:
        for leaf in leaves:
            leaf.grad = 0.0
        loss = gpt.surprise(model, name)
        loss.backward()
        return loss.data, [leaf.grad for leaf in leaves]

    return Prepared(step)


@contender("gpt", "pure-Python class")
def _(parameters: Array, name: str) -> Prepared:
    return eager(plain_value.Value, parameters, name)


@contender("gpt", "ours, eager", "autograd")
def _(parameters: Array, name: str) -> Prepared:
    from autograd import Value

    return eager(Value, parameters, name)


def compiled_step(name: str) -> Any:
    """The compiled loss and gradient for a name."""
    from autograd import jit, value_and_grad

    return jit(value_and_grad(lambda model: gpt.surprise(model, name)))


@contender("gpt", "ours, jit", "autograd.compiler")
def _(parameters: Array, name: str) -> Prepared:
    model, step = matrices(parameters), compiled_step(name)
    prepared = Prepared(
        lambda: step(model), lambda result: [result[0], np.concatenate([np.ravel(x) for x in result[1].values()])]
    )
    step(model)
    start = time.perf_counter()
    compiled_step(name[::-1])(model)
    prepared.notes["ms for another name"] = 1e3 * (time.perf_counter() - start)
    return prepared


def softmax(logits: Any) -> list[Any]:
    """The script's, but for the choice of the largest: Python's `max` branches, and each branch is compiled."""
    import autograd.math as am

    largest = am.max([logit.data for logit in logits])
    powers = [am.exp(logit - largest) for logit in logits]
    total = am.sum(powers)
    return [power / total for power in powers]


def training(steps: int) -> None:
    """The losses of compiled steps are those of eager ones, step after step."""
    from autograd import Value

    gpt.softmax = softmax

    generator = random.Random(42)
    names = [name for name in gpt.first_names() if len(name) == 5]
    generator.shuffle(names)
    names = names[:3]  # each name is a program of its own
    start = gpt.matrices(lambda number: number, generator)
    losses: list[list[float]] = []
    for compiled in (False, True):
        model = {key: [[Value(x) for x in row] for row in matrix] for key, matrix in start.items()}
        optimiser = gpt.Adam([p for matrix in model.values() for row in matrix for p in row])
        functions = {name: compiled_step(name) for name in names}
        losses.append([])
        for step in range(steps):
            name = names[step % len(names)]
            if compiled:
                numbers = {key: [[x.data for x in row] for row in matrix] for key, matrix in model.items()}
                loss, gradient = functions[name](numbers)
                for key, matrix in model.items():
                    for row, slopes in zip(matrix, gradient[key], strict=True):
                        for p, slope in zip(row, slopes, strict=True):
                            p.grad = slope
            else:
                graph = gpt.surprise(model, name)
                graph.backward()
                loss = graph.data
            losses[-1].append(loss)
            optimiser.step(rate=0.01 * (1 - step / steps))
    apart = max(abs(a - b) / abs(a) for a, b in zip(*losses, strict=True))
    print(f"\n{steps:,} training steps: losses from {losses[0][0]:.3f} to {losses[0][-1]:.3f}, compiled and eager ones")
    print(f"apart by at most {apart:.1e} of their size")
    assert apart < 1e-6, "compiled training goes another way than eager training"


def main() -> None:
    """Run what the command line names, or all."""
    options = parser(__doc__)
    options.add_argument("--names", nargs="*", default=NAMES, help="the names to learn from")
    options.add_argument("--steps", type=int, default=1000, help="of training")
    arguments = options.parse_args()
    chosen = arguments.only or ["step", "training"]
    run = runner(arguments).run
    for name in arguments.names if "step" in chosen else ():
        ours = [("microgpt", who) for who in ("pure-Python class", "ours, eager", "ours, jit")]
        peers = [("peers", who) for who in ("JAX, device arrays", "PyTorch")]
        run(
            f"A step for {name}: loss and gradient of the small GPT",
            "gpt",
            data(name),
            [("cpp", "C++ by hand"), *ours, *peers],
        )
    if "training" in chosen and not arguments.without_ours:
        training(arguments.steps)


if __name__ == "__main__":
    main()
