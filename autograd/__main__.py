"""The tour, `python -m autograd`: compute, differentiate, look inside, compile, check and train, in under a minute."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autograd import Value, __version__, backend, value_and_grad
from nn import MLP, Adam, binary_cross_entropy_with_logits, cosine, cross_entropy_with_logits, mean_squared_error

try:
    import matplotlib
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure
    from sklearn.datasets import load_digits, make_moons

    from autograd import jit
    from autograd.testing import check_grads
    from autograd.view import explain, flow, render
    from nn import fit
except ImportError as error:
    MISSING = str(error)  # which library the tour lacks; --help and --version need none
else:
    MISSING = ""

Rows = Any  # an ndarray of floats, one row for each observation
BLUE, ORANGE = "#0072b2", "#d55e00"
SHADES = ["#56b4e9", "#f5f5f5", "#e69f00"]  # from blue to orange


def heading(text: str) -> None:
    """Print the title of a stop."""
    print(f"\n── {text} {'─' * (76 - len(text))}\n")


def one_expression(output: Path) -> Path:
    """Compute something, differentiate it and draw it."""
    x, y = Value(3.0, label="x"), Value(-2.0, label="y")
    z = x * x + (x * y + 8).relu()
    z.label = "z"
    z.backward()
    print("x, y = Value(3.0), Value(-2.0)")
    print("z = x * x + (x * y + 8).relu()")
    print("z.backward()")
    print(f"z.data = {z.data}, x.grad = {x.grad} (that is 2x + y), y.grad = {y.grad} (that is x)")
    return render(z, output / "expression.png")


def one_neuron(output: Path) -> Path:
    """Draw a network of two neurons and its error with every number of the chain rule."""
    model = MLP(2, [1, 1], activation="tanh", seed=1)
    loss = mean_squared_error([model([Value(0.5, label="x₁"), Value(-0.25, label="x₂")])], [1.0])
    print(f"The smallest network of two layers, {model},")
    print(f"is wrong by {loss.data:.4f} on one observation. Its picture has, on every line, the local derivative")
    print("and the message that backpropagation sends; a node's gradient is the sum of its messages.")
    return render(loss, output / "neurons.png")


def step_by_step(output: Path) -> Path:
    """Write the chain rule out, and save the viewer that steps through it."""
    x, w, b = Value(0.5, label="x"), Value(0.8, label="w"), Value(0.1, label="b")
    y = (w * x + b).sigmoid()
    y.label = "y"
    print("What is the derivative of y = sigmoid(w·x + b) by w? explain(y, w) says:\n")
    print("\n".join(f"    {line}" for line in str(explain(y, w)).splitlines()[:4]))
    print("\nAnd flow(y) is a viewer: step forward through the computation and back through every message.")
    print("Open the page in a browser. Change a number there, and everything that depends on it follows.")
    return flow(y).save(output / "flow.html")


def machine_code(output: Path) -> Path:
    """Compile a loop with its derivative, and write down what was compiled."""

    def square_root(a: Any) -> Any:
        x = a
        while abs(x * x - a) > 1e-12 * a:
            x = (x + a / x) / 2
        return x

    slow, fast = value_and_grad(square_root), jit(value_and_grad(square_root))
    assert slow(2.0) == fast(2.0)
    times = []
    for function in (slow, fast):
        begun = time.perf_counter()
        for _ in range(2000):
            function(2.0)
        times.append(time.perf_counter() - begun)
    print("A square root by Newton's method, a loop that ends when it is close enough, and its derivative at 2:")
    print("square_root(2.0), 1/(2·√2) = {:.6f}, {:.6f}".format(*fast(2.0)))
    print(f"jit compiles both to machine code: the same numbers, {times[0] / times[1]:.0f} times as fast here.")
    path = output / "program.txt"
    path.write_text(str(fast.program()), encoding="utf-8")
    return path


def moons(output: Path) -> Path:
    """Train a classifier of two half moons, check its gradient, and draw where it decides."""
    inputs, targets = make_moons(n_samples=200, noise=0.15, random_state=0)
    model = MLP(2, [8, 8, 1], activation="tanh", seed=0)

    def loss(model: MLP) -> Any:
        return binary_cross_entropy_with_logits([model(row) for row in inputs[:3]], targets[:3])

    model.summary()
    print(f"\nIt learns to tell two half moons apart ({len(inputs)} points), compiled:")
    history = fit(model, inputs, targets, binary_cross_entropy_with_logits, epochs=200, seed=0)
    print(history)
    right = np.mean((model.predict(inputs) > 0) == targets)
    print(f"It classifies {right:.1%} of the points correctly.")
    print("Is its gradient right? It is compared with finite differences, on three points: ", end="", flush=True)
    check_grads(loss, (model,), order=1, modes=("rev",))
    print("it is.")
    return boundary(model, inputs, targets, output / "moons.png")


def boundary(model: MLP, inputs: Rows, targets: Rows, path: Path) -> Path:
    """Draw the probability that a classifier gives to each point of the plane."""
    across, up = [np.linspace(lo - 0.4, hi + 0.4, 45) for lo, hi in zip(inputs.min(axis=0), inputs.max(axis=0))]
    logits = model.predict([[x, y] for y in up for x in across]).reshape(len(up), len(across))
    probability = 1.0 / (1.0 + np.exp(-logits))
    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    colours = LinearSegmentedColormap.from_list("blue to orange", SHADES)
    shades = axes.contourf(across, up, probability, levels=20, cmap=colours, vmin=0, vmax=1)
    axes.contour(across, up, probability, levels=[0.5], colors="black", linewidths=1.5)
    for moon, colour, marker in ((0, BLUE, "o"), (1, ORANGE, "^")):
        axes.scatter(*inputs[targets == moon].T, color=colour, marker=marker, edgecolors="white", label=f"moon {moon}")
    axes.set(title="Where the network decides", xlabel="x₁", ylabel="x₂")
    axes.legend(loc="upper right")
    figure.colorbar(shades, ax=axes, label="probability of moon 1")
    figure.savefig(path, dpi=120)
    return path


def digits(output: Path) -> Path:
    """Train a classifier on scikit-learn's handwritten digits, and draw what it reads in those that were held out."""
    images, numbers = load_digits(return_X_y=True)
    inputs = images / 16.0
    chosen = np.random.default_rng(0).permutation(len(inputs))
    learned, held_out = chosen[:1400], chosen[1400:]
    model = MLP(64, [32, 10], activation="relu", initialiser="he_uniform", seed=0)
    print(f"An MLP with {len(model.parameters()):,} parameters learns to read digits of 8 × 8 pixels ({len(learned)}).")
    epochs, batches = 40, -(-len(learned) // 32)
    history = fit(
        model,
        inputs[learned],
        numbers[learned],
        cross_entropy_with_logits,
        Adam(learning_rate=cosine(0.01, steps=epochs * batches)),
        epochs=epochs,
        seed=0,
    )
    step = np.median(history["seconds"]) / batches
    answers = np.argmax(model.predict(inputs[held_out]), axis=1)
    right = np.mean(answers == numbers[held_out])
    print(f"A step on 32 images, with the gradient by all weights, took {1e6 * step:.0f} µs.")
    print(f"Of {len(held_out)} digits that it has never seen it reads {right:.1%} correctly.")
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    for axes, place, answer in zip(figure.subplots(3, 8).flat, held_out, answers):
        axes.imshow(images[place].reshape(8, 8), cmap="gray_r")
        axes.set_axis_off()
        text, colour = (answer, BLUE) if answer == numbers[place] else (f"{answer} (is {numbers[place]})", ORANGE)
        axes.set_title(text, color=colour, fontsize=9)
    figure.suptitle("What the network reads in digits that it has never seen")
    figure.savefig(output / "digits.png", dpi=120)
    return output / "digits.png"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the whole tour."""
    parser = argparse.ArgumentParser(prog="python -m autograd", description="A tour of the engine, under a minute.")
    parser.add_argument("--version", action="version", version=f"scalar-autograd {__version__} ({backend()} build)")
    parser.add_argument("--output", type=Path, default=Path("autograd-tour"), help="folder for the pictures")
    output: Path = parser.parse_args(arguments).output
    if MISSING:
        raise SystemExit(f"The tour needs more than the engine: pip install 'scalar-autograd[all]'. ({MISSING})")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"the folder {str(output)!r} cannot be made: {error.strerror}. Name another with --output")
    matplotlib.use("agg")
    begun = time.perf_counter()
    stops = [
        ("A number that remembers how it was computed", one_expression),
        ("The chain rule in a neuron", one_neuron),
        ("Backpropagation, step by step", step_by_step),
        ("From Python to machine code", machine_code),
        ("Two moons", moons),
        ("Handwritten digits", digits),
    ]
    for i, (title, stop) in enumerate(stops):
        heading(f"{i + 1} of {len(stops)}: {title}")
        print(f"\nWritten: {stop(output)}")
    heading("End of the tour")
    print(f"It took {time.perf_counter() - begun:.0f} seconds. All that it wrote is in {output.resolve()}")


if __name__ == "__main__":
    main()
