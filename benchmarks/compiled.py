"""Compiled programs: our ``jit`` against C++, JAX, PyTorch and CasADi, in one run.

    python benchmarks/compiled.py [--peers PYTHON] [--only PROBLEM …]

with the problems mlp, gmm, bundle, "least squares", options, lstm, k-means, determinant, lorenz, heat, bodies,
logsumexp, asian, saddle, particle, rosenbrock and expression.

"prepare" is the first call, with the compilation. Ratios are to the C++ program: hand-written with its gradient for the
network, only the value for the others, a tape for single calls. Every call of this project starts from ndarrays and
ends with ndarrays.

gcc computes ``a*b + c`` with one rounding (a fused multiply-add); `jit` keeps both, unless it is given ``fast_math``.
So where the C++ program is only the value, it is there twice: the ratio of "ours" is to that with both roundings, that
of "ours, fast_math" to the other. Lorenz's and the heat equation also have the reverse sweep by hand in C++.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import numpy as np

import loops
import problems
from cpp import BOTH_ROUNDINGS, BY_HAND
from harness import Prepared, calling, contender, parser, prepared, runner

Array = problems.Array
fast_math: ContextVar[bool] = ContextVar("fast_math", default=False)


def jit(function: Any) -> Any:
    """The compiled function, as the contender that is being prepared wants it."""
    import autograd

    return autograd.jit(function, fast_math=fast_math.get())


@contender("mlp", "ours", "autograd.compiler")
def _(parameters: Array, x: Array, y: Array) -> Prepared:
    import autograd.math as am
    from autograd import value_and_grad, vmap

    def sample(p: Any, x: Any, y: Any) -> Any:
        return problems.mlp_sample_loss(p, x, y, am)

    def loss(p: Any, x: Any, y: Any) -> Any:
        mean = vmap(sample, in_axes=(None, 0, 0), reduce="mean")
        return mean(p, x, y) + problems.mlp_decay(p)

    step = jit(value_and_grad(loss))
    return calling(step, parameters, x, y)


def _training_step(parameters: Array, x: Array, y: Array, decorate: Any) -> Prepared:
    """Loss and `backward()`; the loss closes over Values, like the parameters of a model."""
    import autograd.math as am
    from autograd import Value, vmap

    weights = [Value(p) for p in parameters.tolist()]

    @decorate
    def loss(x: Any, y: Any) -> Any:
        mean = vmap(lambda x, y: problems.mlp_sample_loss(weights, x, y, am), reduce="mean")
        return mean(x, y) + problems.mlp_decay(weights)

    def step() -> tuple[float, list[float]]:
        for weight in weights:
            weight.grad = 0.0
        error = loss(x, y)
        error.backward()
        return error.data, [weight.grad for weight in weights]

    return Prepared(step)


@contender("mlp", "ours, loss over Values, backward()", "autograd.compiler")
def _(parameters: Array, x: Array, y: Array) -> Prepared:
    return _training_step(parameters, x, y, jit)


@contender("mlp", "ours, the same without jit", "autograd.math")
def _(parameters: Array, x: Array, y: Array) -> Prepared:
    return _training_step(parameters, x, y, lambda function: function)


@contender("gmm", "ours", "autograd.compiler")
def _(alphas: Array, means: Array, icf: Array, x: Array) -> Prepared:
    import autograd.math as am
    from autograd import value_and_grad, vmap

    def log_posterior(alphas: Any, means: Any, icf: Any, x: Any) -> Any:
        return problems.gmm_log_posterior(alphas, means, icf, x, m=am, vmap=vmap)

    step = jit(value_and_grad(log_posterior, argnums=(0, 1, 2)))
    return calling(step, alphas, means, icf, x, arrays=lambda result: [result[0], *result[1]])


@contender("bundle", "ours", "autograd.compiler")
def _(parameters: Array, features: Array) -> Prepared:
    import autograd.math as am
    from autograd import jacobian, vmap

    def residual(p: Any, feature: Any) -> Any:
        return np.array(problems.bundle_residual(p, feature, am))

    rows = jit(vmap(jacobian(residual), in_axes=(0, 0)))
    return calling(rows, parameters, features, arrays=lambda result: [result])


@contender("least squares", "ours", "autograd.compiler")
def _(a: Array, b: Array, x: Array) -> Prepared:
    from autograd import value_and_grad, vmap

    total = vmap(problems.least_squares_row, in_axes=(None, 0, 0), reduce="sum")
    step = jit(value_and_grad(total))
    return calling(step, x, a, b)


@contender("options", "ours", "autograd.compiler")
def _(**columns: Array) -> Prepared:
    import autograd.math as am
    from autograd import hessian, value_and_grad, vmap

    everything = tuple(range(5))

    def price(*arguments: Any) -> Any:
        return problems.black_scholes(*arguments, m=am)

    def greeks(*arguments: Any) -> Any:
        value, first = value_and_grad(price, argnums=everything)(*arguments)
        second = hessian(price, argnums=everything)(*arguments)
        return [value, *first, *(second[i][j] for i in range(5) for j in range(i, 5))]

    arrays = [columns[name] for name in problems.OPTION_ARGUMENTS]
    mapped = jit(vmap(greeks, in_axes=(0,) * 5))
    return calling(mapped, *arrays)


@contender("rosenbrock", "ours", "autograd.compiler")
def _(x: Array) -> Prepared:
    from autograd import value_and_grad

    step = jit(value_and_grad(problems.rosenbrock))
    return calling(step, x)


@contender("expression", "ours", "autograd.compiler")
def _(x: Array) -> Prepared:
    import autograd.math as am
    from autograd import value_and_grad

    step = jit(value_and_grad(lambda numbers: problems.expression(*numbers, m=am)))
    return calling(step, x)


def _step(function: Any, argnums: Any, *arrays: Array) -> Prepared:
    """The value and gradient of a problem with loops, which is given our mathematics and loops by name."""
    import inspect

    import autograd.math as am
    from autograd import scan, value_and_grad, vmap

    known = {"m": am, "scan": scan, "vmap": vmap}
    given = {name: known[name] for name in inspect.signature(function).parameters if name in known}
    step = jit(value_and_grad(lambda *arguments: function(*arguments, **given), argnums=argnums))
    arguments = [float(array) if array.ndim == 0 else array for array in arrays]
    return calling(step, *arguments, arrays=lambda result: [result[0], *_listed(result[1])])


def _listed(gradient: Any) -> list[Any]:
    return [*gradient] if isinstance(gradient, tuple) else [gradient]


@contender("lstm", "ours", "autograd.compiler")
def _(main: Array, extra: Array, state: Array, sequence: Array) -> Prepared:
    return _step(loops.lstm_loss, (0, 1), main, extra, state, sequence)


@contender("k-means", "ours", "autograd.compiler")
def _(centres: Array, direction: Array, points: Array) -> Prepared:
    import autograd.math as am
    from autograd import hvp, vmap

    def cost(centres: Any, points: Any) -> Any:
        return loops.kmeans_cost(centres, points, m=am, vmap=vmap)

    product = jit(lambda centres, v, points: hvp(cost)(centres, v, points))
    return calling(product, centres, direction, points, arrays=lambda result: [result])


@contender("determinant", "ours", "autograd.compiler")
def _(matrix: Array) -> Prepared:
    return _step(loops.log_determinant, 0, matrix)


@contender("lorenz", "ours", "autograd.compiler")
def _(start: Array, parameters: Array) -> Prepared:
    return _step(loops.lorenz_end, (0, 1), start, parameters)


@contender("heat", "ours", "autograd.compiler")
def _(initial: Array, conduction: Array, target: Array) -> Prepared:
    return _step(loops.heat_misfit, (0, 1), initial, conduction, target)


@contender("bodies", "ours", "autograd.compiler")
def _(places: Array, speeds: Array, masses: Array) -> Prepared:
    return _step(loops.bodies_energy, (0, 1, 2), places, speeds, masses)


@contender("logsumexp", "ours", "autograd.compiler")
def _(x: Array) -> Prepared:
    return _step(loops.log_of_sum, 0, x)


@contender("asian", "ours", "autograd.compiler")
def _(contract: Array, normals: Array) -> Prepared:
    return _step(loops.asian_price, 0, contract, normals)


def forward(function: Any) -> Any:
    """The gradient by a list of a few numbers, in forward mode."""
    from autograd import jvp

    def gradient(x: Any) -> list[Any]:
        return [jvp(function, (x,), ([float(i == k) for k in range(len(x))],))[1] for i in range(len(x))]

    return gradient


def _search(function: Any, start: Array, gradient: Any) -> Prepared:
    """A program that descends along gradients, of numbers that do so themselves, or that a loop of data computes."""
    import autograd.math as am
    from autograd import while_loop

    found = jit(lambda start: np.array(function([*start], m=am, grad=gradient, while_loop=while_loop)))
    return calling(found, start, arrays=lambda result: [result])


@contender("saddle", "ours", "autograd.compiler")
def _(start: Array) -> Prepared:
    from autograd import grad

    return _search(loops.saddle, start, grad)


@contender("saddle", "ours, forward mode", "autograd.compiler")
def _(start: Array) -> Prepared:
    return _search(loops.saddle, start, forward)


@contender("particle", "ours", "autograd.compiler")
def _(start: Array) -> Prepared:
    from autograd import grad

    return _search(loops.particle, start, grad)


@contender("particle", "ours, forward mode", "autograd.compiler")
def _(start: Array) -> Prepared:
    return _search(loops.particle, start, forward)


def _with_fast_math(problem: str) -> None:
    """The same compiled with ``fast_math``."""

    @contender(problem, "ours, fast_math", "autograd.compiler")
    def _(**data: Any) -> Prepared:
        token = fast_math.set(True)
        try:
            return prepared(problem, "ours", data)
        finally:
            fast_math.reset(token)


for _problem in BOTH_ROUNDINGS:
    _with_fast_math(_problem)

OURS = {
    **{problem: ["ours", "ours, fast_math"] for problem in BOTH_ROUNDINGS},
    "saddle": ["ours", "ours, forward mode"],
    "particle": ["ours", "ours, forward mode"],
    "mlp": ["ours", "ours, loss over Values, backward()", "ours, the same without jit"],
}
SCALAR_PEERS = ["CasADi, buffers", "CasADi, buffers, as C", "CasADi, ndarrays, as C", "JAX, device arrays", "XAD"]
PROBLEMS: list[tuple[str, str, Any, str, list[str]]] = [
    (
        "Gradient step of a 2-16-16-1 network, 100 samples",
        "mlp",
        problems.mlp_data,
        "C++ SIMD by hand",
        [
            "JAX, device arrays",
            "JAX, device arrays, vmap",
            "JAX, data compiled in, gradient donated",
            "JAX, ndarrays",
            "PyTorch",
            "PyTorch, torch.compile",
            "CasADi, map",
            "CasADi, map, as C",
            "CasADi, matrices",
        ],
    ),
    *(
        (
            f"Gaussian mixture log-posterior gradient, d={d} k={k} n=1000",
            "gmm",
            lambda d=d, k=k: problems.gmm_data(d, k),
            "C++ objective",
            ["JAX, device arrays", "CasADi, map", "CasADi, map, as C"],
        )
        for d, k in problems.GMM_SIZES
    ),
    (
        f"Bundle adjustment Jacobian, {problems.BUNDLE_OBSERVATIONS:,} observations",
        "bundle",
        problems.bundle_data,
        "C++ residual",
        ["JAX, device arrays", "CasADi, map", "CasADi, map, as C"],
    ),
    (
        "Least squares gradient, 1/2 |Ax - b|^2, A of {} by {}".format(*problems.LEAST_SQUARES_SHAPE),
        "least squares",
        problems.least_squares_data,
        "C++ objective",
        ["JAX, device arrays", "PyTorch", "CasADi, matrices"],
    ),
    (
        "Black-Scholes price, first- and second-order Greeks, 1,000,000 options",
        "options",
        problems.options_data,
        "C++ price",
        ["JAX, device arrays", "CasADi, map", "CasADi, map, as C"],
    ),
    *(
        (title, problem, data, "C++ objective", ["JAX, device arrays"])
        for title, problem, data in (
            (f"LSTM of ADBench, 2 layers, {loops.LSTM_STEPS:,} steps, gradient", "lstm", loops.lstm_data),
            (f"k-means of {loops.KMEANS_POINTS:,} points, Hessian times vector", "k-means", loops.kmeans_data),
            (
                f"Determinant of a {loops.DETERMINANT_SIZE} by {loops.DETERMINANT_SIZE} matrix, gradient",
                "determinant",
                loops.determinant_data,
            ),
            (f"Lorenz's equations, {loops.ODE_STEPS:,} Runge-Kutta steps, gradient", "lorenz", loops.lorenz_data),
            (
                f"Heat equation, {loops.HEAT_POINTS} points, {loops.HEAT_STEPS:,} steps, gradient",
                "heat",
                loops.heat_data,
            ),
            (f"{loops.BODIES} bodies, {loops.BODY_STEPS:,} steps, gradient", "bodies", loops.bodies_data),
            (f"logsumexp of {loops.LONG_SUM:,} numbers, gradient", "logsumexp", loops.log_of_sum_data),
            (
                f"Asian option, {loops.ASIAN_PATHS:,} paths of {loops.ASIAN_DAYS} days, price and five Greeks",
                "asian",
                loops.asian_data,
            ),
        )
    ),
    (
        "Saddle point: a descent within a function whose gradient another descent takes",
        "saddle",
        loops.saddle_data,
        "C++ nested duals",
        ["JAX, device arrays"],
    ),
    (
        "Particle: a descent along the gradient of a path, whose steps take a gradient",
        "particle",
        loops.particle_data,
        "C++ nested duals",
        ["JAX, device arrays"],
    ),
    (
        "One call: Rosenbrock in 10 dimensions, value and gradient",
        "rosenbrock",
        problems.rosenbrock_data,
        "C++ tape",
        SCALAR_PEERS,
    ),
    (
        "One call: an expression of 20 operations, value and gradient",
        "expression",
        problems.expression_data,
        "C++ tape",
        SCALAR_PEERS,
    ),
]


def main() -> None:
    """Run the problems that the command line names, or all."""
    arguments = parser(__doc__).parse_args()
    run = runner(arguments).run
    for title, problem, data, reference, peers in PROBLEMS:
        if arguments.only is None or problem in arguments.only:
            ours = [("compiled", name) for name in OURS.get(problem, ["ours"])]
            native = [("cpp", reference)]
            ratios = {}
            if problem in BOTH_ROUNDINGS:
                native.append(("cpp", f"{reference}, both roundings"))
                ratios["ours"] = native[-1][1]
            if problem in BY_HAND:
                native.append(("cpp", BY_HAND[problem]))
            contenders = [*native, *ours, *(("peers", peer) for peer in peers)]
            run(title, problem, data(), contenders, references=ratios)


if __name__ == "__main__":
    main()
