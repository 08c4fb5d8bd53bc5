"""Training: `nn.fit` against PyTorch, JAX with optax, scikit-learn and micrograd, in one run.

    python benchmarks/training.py [--peers PYTHON] [--only moons digits "one epoch"]

All train the same network from the same numbers, on the same batches in the same order, for as many epochs with Adam,
in float64 on one core, so all end at the same loss: the losses of all epochs are compared before anything is timed. A
call is a whole training. The second table adds what the first call took more than the others: tracing and compiling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import problems
from harness import Prepared, Timing, contender, parser, runner

Array = problems.Array


def _ours(layers: Sequence[tuple[Array, Array]], x: Array, y: Array, epochs: int, batch: int, rate: float) -> Prepared:
    import nn

    sizes = [len(biases) for _, biases in layers]
    model = nn.MLP(x.shape[1], sizes, activation="relu")
    start: dict[str, Array] = {}
    for i, (weights, biases) in enumerate(layers):
        start |= {f"layers[{i}].neurons.w": weights, f"layers[{i}].neurons.b": biases}
    loss = "cross_entropy_with_logits" if sizes[-1] > 1 else "binary_cross_entropy_with_logits"

    def train() -> Array:
        nn.load_state_dict(model, start)
        optimizer = nn.Adam(learning_rate=rate)
        history = nn.fit(model, x, y, loss, optimizer, epochs, batch, shuffle=False, seed=0, progress=False)
        return np.array(history["loss"])

    return Prepared(train, lambda losses: [losses])


@contender("training", "ours", "nn", "autograd.compiler")
def _(**data: Any) -> Prepared:
    return _ours(**data)


PEERS = [
    "PyTorch",
    "PyTorch, torch.compile",
    "JAX with optax, a call for each step",
    "JAX with optax, one call",
    "scikit-learn",
]
PROBLEMS: list[tuple[str, str, Any, list[str]]] = [
    ("Two moons, 2-16-16-1, 384 points in batches of 32, 50 epochs", "moons", problems.moons_to_learn, PEERS),
    ("Digits, 64-32-10, 1,440 images in batches of 32, 20 epochs", "digits", problems.digits_to_learn, PEERS),
    (
        "Two moons, 2-16-16-1, 96 points in batches of 32, a single epoch",
        "one epoch",
        lambda: problems.moons_to_learn(epochs=1, samples=96),
        ["PyTorch", "micrograd"],
    ),
]


def with_first_call(timings: Sequence[Timing]) -> str:
    """Text with one row per contender: what the first call took more, and a first training as a whole."""
    width = max(len(timing.name) for timing in timings)
    rows = [f"{'':{width}}  {'compile':>9} {'first call':>11} {'ratio':>7}"]
    for timing in timings:
        compiling = max(0.0, timing.prepare - timing.median)
        ratio = timing.prepare / timings[0].prepare
        rows.append(f"{timing.name:{width}}  {compiling:>8.2f}s {timing.prepare:>10.2f}s {ratio:>7.2f}")
    return "\n".join(rows)


def main() -> None:
    """Run the problems that the command line names, or all."""
    arguments = parser(__doc__).parse_args()
    run = runner(arguments).run
    for title, problem, data, peers in PROBLEMS:
        if arguments.only is None or problem in arguments.only:
            contenders = [("training", "ours"), *(("peers", peer) for peer in peers)]
            timings = run(title, "training", data(), contenders, tolerance=1e-4)
            print(with_first_call(timings), flush=True)


if __name__ == "__main__":
    main()
