"""Eager graphs, built, swept and dropped at every call: this Value, micrograd, XAD and pure Python, in one run.

    python benchmarks/eager.py [--peers PYTHON] [--large] [--only mlp gpt greeks readme chain nodes]

Ratios are to ours: 80 means that a peer takes 80 times as long.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

import problems
import steps
from harness import Prepared, Runner, Timing, contender, parser, runner

Array = problems.Array
MICRO, XAD, PLAIN = ("peers", "micrograd"), ("peers", "XAD"), ("peers", "plain Value")
CHAIN_LINKS = 100_000
NODES = (10_000, 100_000, 1_000_000)
MANY_NODES = 10_000_000
GPT_NAME = "camila"


def noted(prepared: Prepared) -> Prepared:
    """The same, with a note that says which build of the engine was timed."""
    from autograd import Value

    prepared.notes["engine"] = "Python" if isinstance(Value.__add__, FunctionType) else "C"
    return prepared


@contender("eager mlp", "ours", "autograd.math")
def _(parameters: Array, x: Array, y: Array) -> Prepared:
    import autograd.math as am
    from autograd import Value

    return noted(steps.mlp(Value, am, parameters, x, y))


@contender("chain", "ours", "autograd")
def _(links: int) -> Prepared:
    from autograd import Value

    return noted(steps.chain(Value, links))


@contender("readme graph", "ours", "autograd.math")
def _(a: float, b: float) -> Prepared:
    import autograd.math as am
    from autograd import Value

    return noted(steps.readme(Value, am, a, b))


@contender("eager greeks", "ours", "autograd.math")
def _(**columns: Any) -> Prepared:
    import autograd.math as am
    from autograd import Value

    return noted(steps.greeks(Value, am, **columns))


@contender("gpt", "ours", "autograd")
def _(name: str, seed: int) -> Prepared:
    from autograd import Value

    return noted(steps.gpt(Value, name, seed))


def per_node(timings: list[Timing]) -> str:
    """Nanoseconds per node for each contender, from its shortest time."""
    return "  ".join(f"{t.name} {t.least / float(t.notes['nodes']) * 1e9:.0f} ns a node" for t in timings)


def node_costs(run: Any, ours: list[tuple[str, str]], sizes: tuple[int, ...]) -> None:
    """The same chain at growing sizes: the cost of a node should not grow with it."""
    for nodes in sizes:
        data = {"links": nodes // 2}
        print(per_node(run(f"A chain of {nodes:,} nodes", "chain", data, [*ours, XAD])), flush=True)


def benchmarks(runner: Runner, ours: list[tuple[str, str]], large: bool) -> dict[str, Any]:
    """The benchmarks that ``--only`` can name, each a function without arguments."""
    run = runner.run
    return {
        "mlp": lambda: run(
            "Two-moons step of a 2-16-16-1 network, 100 samples",
            "eager mlp",
            problems.mlp_data(),
            [*ours, XAD, PLAIN, MICRO],
        ),
        "gpt": lambda: run(
            f"A training step of a small GPT on {GPT_NAME!r}",
            "gpt",
            {"name": GPT_NAME, "seed": 0},
            [*ours, PLAIN],
            tolerance=1e-7,
        ),
        "greeks": lambda: run(
            "Black-Scholes price and Greeks of 10,000 options, one graph each",
            "eager greeks",
            problems.options_data(10_000),
            [*ours, XAD, ("peers", "XAD, one recording of all")],
        ),
        "readme": lambda: run(
            "A README-sized graph of 32 nodes, rebuilt and swept",
            "readme graph",
            {"a": -4.0, "b": 2.0},
            [*ours, PLAIN, XAD, MICRO],
        ),
        "chain": lambda: run(
            f"A chain of {CHAIN_LINKS:,} multiply-adds",
            "chain",
            {"links": CHAIN_LINKS},
            [*ours, XAD, PLAIN, MICRO],
        ),
        "nodes": lambda: node_costs(run, ours, (*NODES, MANY_NODES) if large else NODES),
    }


def main() -> None:
    """Run the benchmarks that the command line names, or all."""
    options = parser(__doc__)
    options.add_argument("--large", action="store_true", help=f"also {MANY_NODES:,} nodes")
    arguments = options.parse_args()
    for name, benchmark in benchmarks(runner(arguments), [("eager", "ours")], arguments.large).items():
        if arguments.only is None or name in arguments.only:
            benchmark()


if __name__ == "__main__":
    main()
