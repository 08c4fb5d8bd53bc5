"""A training step of the small GPT in notebooks/gpt.py: loss and gradient by its 4,192 parameters for one name.

    python benchmarks/microgpt.py [--peers PYTHON] [--only-ours] [--only step batch training] [--names emily …]

``step`` times a step for each name: the script as it is, eager and compiled, against the pure-Python class that it is
written for, JAX, PyTorch and a gradient written by hand in C++. "prepare" is the first call; for compiled code there is
also the first call for another name of the same length. Where each name is a function of its own, the second one is
compiled for all others, and has a column too. ``training`` compares the losses of compiled steps with those
of eager ones, Adam included.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np

import plain_value
from harness import Prepared, contender, parser, runner

sys.path.append(str(Path(__file__).parents[1] / "notebooks"))
import gpt

Array = np.ndarray[Any, np.dtype[np.float64]]
NAMES = ["emily", "benjamin", "christopher"]
BATCH = 16  # names


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
    others = {
        "a second name": lambda: compiled_step(name[::-1])(model),
        "another name": lambda: compiled_step(name[1:] + name[0])(model),
    }
    return Prepared(lambda: step(model), _listed, others=others)


class Rows:
    """Rows of a matrix, one of which is chosen by a number of the computation."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __getitem__(self, place: Any) -> list[Any]:
        return [chosen([row[i] for row in self.rows], place) for i in range(gpt.WIDTH)]


def chosen(numbers: Any, place: Any) -> Any:
    """The number at a place, by comparisons, which are found again as a loop."""
    import autograd.math as am

    return sum([am.where(place == k, number, 0.0) for k, number in enumerate(numbers)])


def surprise_at(model: Any, tokens: Any) -> Any:
    """The script's loss, but the tokens are data: one program serves all names of a length."""
    import autograd.math as am

    gpt.softmax = softmax
    model, seen = {**model, "token": Rows(model["token"])}, []
    logits = [gpt.predict(model, tokens[i], seen) for i in range(len(tokens) - 1)]
    losses = [-am.log(chosen(softmax(row), tokens[i + 1])) for i, row in enumerate(logits)]
    return sum(losses) / len(losses)


def surprise_of_any(model: Any, tokens: Any, steps: Any) -> Any:
    """The same loss for names of any length: `steps` of the tokens count. A step of each loop is plain code."""
    import autograd.math as am
    from autograd import scan

    def read(place: Any, row: Any) -> Any:
        token, position = row
        x = gpt.normalised(gpt.plus(Rows(model["token"])[token], position))
        normal = gpt.normalised(x)
        found = [x, *[gpt.apply(model[name], normal) for name in ("query", "key", "value")]]
        return place + 1.0, [np.array(numbers) for numbers in found]

    def lost(carry: Any, row: Any) -> Any:
        place, total = carry
        x, query, following = row
        attended, share = [], gpt.WIDTH // gpt.HEADS
        for first in range(0, gpt.WIDTH, share):
            part = range(first, first + share)
            scores = [sum([query[i] * keys[j][i] for i in part]) / share**0.5 for j in range(width)]
            weights = softmax([am.where(place < j, -np.inf, score) for j, score in enumerate(scores)])
            attended += [sum([weights[j] * values[j][i] for j in range(width)]) for i in part]
        x = gpt.plus(x, gpt.apply(model["mix"], attended))
        hidden = [am.relu(h) ** 2 for h in gpt.apply(model["expand"], gpt.normalised(x))]
        x = gpt.plus(x, gpt.apply(model["contract"], hidden))
        surprise = -am.log(chosen(softmax(gpt.apply(model["answer"], x)), following))
        return (place + 1.0, total + am.where(place < steps, surprise, 0.0)), None

    width = len(tokens) - 1
    _, (xs, queries, keys, values) = scan(read, 0.0, (tokens[:-1], model["position"][:width]))
    (_, total), _ = scan(lost, (0.0, 0.0), (xs, queries, tokens[1:]))
    return total / steps


def _listed(result: Any) -> list[Any]:
    return [result[0], np.concatenate([np.ravel(x) for x in result[1].values()])]


@contender("gpt", "ours, jit, tokens as data", "autograd.compiler")
def _(parameters: Array, name: str) -> Prepared:
    from autograd import jit, value_and_grad

    model, numbers, step = matrices(parameters), tokens(name), jit(value_and_grad(surprise_at))
    another = {"another name": lambda: step(model, tokens(name[::-1]))}
    return Prepared(lambda: step(model, numbers), _listed, others=another)


@contender("gpt", "ours, jit, any length", "autograd.compiler")
def _(parameters: Array, name: str) -> Prepared:
    from autograd import jit, value_and_grad

    model, step = matrices(parameters), jit(value_and_grad(surprise_of_any))
    (numbers,), (steps,) = padded([name])
    (others,), (fewer,) = padded([name[1:]])
    another = {"another name": lambda: step(model, others, float(fewer))}
    return Prepared(lambda: step(model, numbers, float(steps)), _listed, others=another)


def padded(names: list[str]) -> tuple[Array, Array]:
    """The tokens of names, filled up with edges, and how many steps each of them takes."""
    rows = [[*tokens(name), *[float(gpt.EDGE)] * gpt.CONTEXT][: gpt.CONTEXT + 1] for name in names]
    return np.array(rows), np.array([len(name) + 1.0 for name in names])


def batch_data(letters: int | None) -> dict[str, Any]:
    """Names of some length, or of any, for one step."""
    names = [name for name in gpt.first_names() if letters in (None, len(name))]
    random.Random(3).shuffle(names)
    found, steps = padded(names[:BATCH])
    return {"parameters": data("")["parameters"], "tokens": found, "steps": steps}


@contender("gpt batch", "ours, jit, one length", "autograd.compiler")
def _(parameters: Array, tokens: Array, steps: Array) -> Prepared:
    from autograd import jit, value_and_grad, vmap

    def loss(model: Any, tokens: Any) -> Any:
        return vmap(surprise_at, in_axes=(None, 0), reduce="mean")(model, tokens)

    model, step, numbers = matrices(parameters), jit(value_and_grad(loss)), tokens[:, : int(steps[0]) + 1].copy()
    return Prepared(lambda: step(model, numbers), _listed)


@contender("gpt batch", "ours, jit, any length", "autograd.compiler")
def _(parameters: Array, tokens: Array, steps: Array) -> Prepared:
    from autograd import jit, value_and_grad, vmap

    def loss(model: Any, tokens: Any, steps: Any) -> Any:
        return vmap(surprise_of_any, in_axes=(None, 0, 0), reduce="mean")(model, tokens, steps)

    model, step, numbers = matrices(parameters), jit(value_and_grad(loss)), tokens[:, : int(max(steps)) + 1].copy()
    return Prepared(lambda: step(model, numbers, steps), _listed)


def softmax(logits: Any) -> list[Any]:
    """The script's, but for the choice of the largest: Python's `max` branches, and each branch is compiled."""
    import autograd.math as am

    numbers = [getattr(logit, "data", logit) for logit in logits]
    largest = numbers[0]
    for number in numbers[1:]:
        largest = am.where(number > largest, number, largest)
    powers = [am.exp(logit - largest) for logit in logits]
    total = sum(powers)
    return [power / total for power in powers]


def training(steps: int) -> None:
    """The losses of compiled steps are those of eager ones, step after step."""
    from autograd import Value

    gpt.softmax = softmax

    generator = random.Random(42)
    names = [name for name in gpt.first_names() if 4 <= len(name) <= 6]
    generator.shuffle(names)
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
    chosen = arguments.only or ["step", "batch", "training"]
    run = runner(arguments).run
    for name in arguments.names if "step" in chosen else ():
        kinds = ("ours, jit", "ours, jit, tokens as data", "ours, jit, any length")
        ours = [("microgpt", who) for who in ("pure-Python class", "ours, eager", *kinds)]
        peers = [("peers", who) for who in ("JAX, device arrays", "PyTorch")]
        run(
            f"A step for {name}: loss and gradient of the small GPT",
            "gpt",
            data(name),
            [("cpp", "C++ by hand"), ("cpp", "C++ tape"), *ours, *peers],
        )
    for letters in (5, None) if "batch" in chosen else ():
        kinds = ("ours, jit, one length", "ours, jit, any length") if letters else ("ours, jit, any length",)
        run(
            f"A step for {BATCH} names of {letters or 'any number of'} letters",
            "gpt batch",
            batch_data(letters),
            [("cpp", "C++ by hand"), *[("microgpt", who) for who in kinds], ("peers", "JAX, device arrays")],
        )
    if "training" in chosen and not arguments.without_ours:
        training(arguments.steps)


if __name__ == "__main__":
    main()
