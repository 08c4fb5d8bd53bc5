"""A gradient costs at most 4 times its function's instructions, on every problem of the benchmarks."""

from collections.abc import Callable
from typing import Any

import problems
import pytest

import autograd.math as am
from autograd import jit, value_and_grad, vmap
from autograd.compiler import Compiled

Problem = tuple[Callable[..., Any], Any, tuple[Any, ...]]  # a function, what it is differentiated by, its arguments


def mlp() -> Problem:
    """The loss of the small network, by its parameters."""

    def sample(p: Any, x: Any, y: Any) -> Any:
        return problems.mlp_sample_loss(p, x, y, am)

    mean = vmap(sample, in_axes=(None, 0, 0), reduce="mean")
    return lambda p, x, y: mean(p, x, y) + problems.mlp_decay(p), 0, tuple(problems.mlp_data().values())


def gmm(d: int, k: int) -> Problem:
    """The log-posterior of a Gaussian mixture, by weights, means and covariances."""

    def log_posterior(alphas: Any, means: Any, icf: Any, x: Any) -> Any:
        return problems.gmm_log_posterior(alphas, means, icf, x, m=am, vmap=vmap)

    return log_posterior, (0, 1, 2), tuple(problems.gmm_data(d, k, n=9).values())


def bundle() -> Problem:
    """Both residuals of one observation, by its parameters."""
    data = problems.bundle_data(1)
    return lambda p, f: am.sum(problems.bundle_residual(p, f, am)), 0, (data["parameters"][0], data["features"][0])


def least_squares() -> Problem:
    """The sum over all rows, by the point."""
    data = problems.least_squares_data()
    total = vmap(problems.least_squares_row, in_axes=(None, 0, 0), reduce="sum")
    return total, 0, (data["x"], data["a"], data["b"])


def options() -> Problem:
    """One price, by all its inputs."""
    data = problems.options_data(1)
    arguments = tuple([float(data[name][0]) for name in problems.OPTION_ARGUMENTS])
    return lambda *x: problems.black_scholes(*x, m=am), tuple(range(5)), arguments


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "mlp": mlp,
    **{f"gmm, d={d} k={k}": lambda d=d, k=k: gmm(d, k) for d, k in problems.GMM_SIZES},
    "bundle": bundle,
    "least squares": least_squares,
    "options": options,
    "rosenbrock": lambda: (problems.rosenbrock, 0, (problems.rosenbrock_data()["x"],)),
    "expression": lambda: (lambda x: problems.expression(*x, m=am), 0, (problems.expression_data()["x"],)),
    "chain": lambda: (lambda a, b: problems.chain(a, b, 100), (0, 1), (1.0, 0.5)),
    "readme": lambda: (lambda a, b: problems.readme_graph(a, b, am), (0, 1), (-4.0, 2.0)),
}


def instructions(compiled: Compiled, arguments: tuple[Any, ...]) -> int:
    """The number of instructions that compute, after all passes; those of a map's body count once."""
    compiled(*arguments)
    (counts,) = compiled.stats()["instructions"]
    count: int = counts["compiled"]
    return count


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBLEMS)
def test_gradient_is_cheap(name: str) -> None:
    """Value and gradient together have at most 4 times the instructions of the value alone."""
    function, argnums, arguments = PROBLEMS[name]()
    alone = instructions(jit(function), arguments)
    assert instructions(jit(value_and_grad(function, argnums)), arguments) <= 4 * alone
