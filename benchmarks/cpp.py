"""The C++ programs of ``native/`` as contenders: called through ctypes on prepared buffers.

Most compute only the value (the primal); the cost of a gradient is a multiple of it.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import loops
import problems
from harness import Prepared, contender, prepared
from native import build

Array = problems.Array


def native(library: str, function: str, *arguments: Any) -> Callable[[], float]:
    """Bind a C++ function that returns a double (or nothing) to its arguments, converted once."""
    convert: dict[type, Callable[[Any], Any]] = {int: ctypes.c_int, float: ctypes.c_double, np.ndarray: build.pointer}
    converted = [convert[type(argument)](argument) for argument in arguments]
    entry = getattr(build.load(library), function)
    entry.restype, entry.argtypes = ctypes.c_double, [type(c) for c in converted]
    return functools.partial(entry, *converted)


@contender("mlp", "C++ SIMD by hand")
def _(parameters: Array, x: Array, y: Array) -> Prepared:
    gradient = np.zeros_like(parameters)
    call = native("mlp", "mlp_step", parameters, x, y, len(x), problems.MLP_DECAY, gradient)
    return Prepared(call, lambda value: [value, gradient])


@contender("gmm", "C++ objective")
def _(alphas: Array, means: Array, icf: Array, x: Array) -> Prepared:
    (k, d), n = means.shape, len(x)
    prior = problems.WISHART_GAMMA, problems.WISHART_M
    return Prepared(native("gmm", "gmm_objective", d, k, n, alphas, means, icf, x, *prior), lambda value: [value])


@contender("bundle", "C++ residual")
def _(parameters: Array, features: Array) -> Prepared:
    residuals = np.zeros_like(features)
    call = native("bundle", "bundle_residuals", len(features), parameters, features, residuals)
    call()
    # The other contenders return the Jacobian, so this value is checked here.
    some = zip(parameters[:100].tolist(), features[:100].tolist(), strict=True)
    expected = [problems.bundle_residual(p, feature, problems.FloatMath) for p, feature in some]
    np.testing.assert_allclose(residuals[:100], expected, rtol=1e-9)
    return Prepared(call, lambda _: [])


@contender("bundle whole", "C++ objective")
def _(p: Array, camera: Array, point: Array, features: Array) -> Prepared:
    residuals = np.zeros((len(features), 3))
    call = native(
        "bundle", "bundle_whole", len(features), p, camera, point, features, problems.BUNDLE_CAMERAS,
        problems.BUNDLE_POINTS, residuals,
    )  # fmt: skip  # a list of arguments
    return Prepared(call, lambda _: [])


@contender("least squares", "C++ objective")
def _(a: Array, b: Array, x: Array) -> Prepared:
    return Prepared(native("least_squares", "least_squares", *a.shape, a, b, x), lambda value: [value])


@contender("options", "C++ price")
def _(**columns: Array) -> Prepared:
    arguments = [columns[name] for name in problems.OPTION_ARGUMENTS]
    price = np.zeros_like(arguments[0])
    call = native("black_scholes", "black_scholes", len(price), *arguments, price)
    return Prepared(call, lambda _: [price])


@contender("rosenbrock", "C++ tape")
def _(x: Array) -> Prepared:
    gradient = np.zeros_like(x)
    call = native("tape", "rosenbrock_step", x, len(x), gradient)
    return Prepared(call, lambda value: [value, gradient])


@contender("expression", "C++ tape")
def _(x: Array) -> Prepared:
    gradient = np.zeros_like(x)
    return Prepared(native("tape", "expression_step", x, gradient), lambda value: [value, gradient])


@contender("lstm", "C++ objective")
def _(main: Array, extra: Array, state: Array, sequence: Array) -> Prepared:
    sizes = loops.LSTM_LAYERS, loops.LSTM_WIDTH, loops.LSTM_STEPS
    return Prepared(native("loops", "lstm", *sizes, main, extra, state, sequence), lambda value: [value])


@contender("k-means", "C++ objective")
def _(centres: Array, direction: Array, points: Array) -> Prepared:
    call = native("loops", "kmeans", len(points), *centres.shape, centres, points)
    # The other contenders return a product with the Hessian, so this value is checked here.
    differences = points[:, None] - centres
    np.testing.assert_allclose(call(), np.sum(np.min(np.sum(differences**2, axis=2), axis=1)), rtol=1e-9)
    return Prepared(call, lambda _: [])


@contender("determinant", "C++ objective")
def _(matrix: Array) -> Prepared:
    return Prepared(native("loops", "log_determinant", len(matrix), matrix), lambda value: [value])


@contender("lorenz", "C++ objective")
def _(start: Array, parameters: Array) -> Prepared:
    step = loops.ODE_TIME / loops.ODE_STEPS
    return Prepared(native("loops", "lorenz", loops.ODE_STEPS, step, start, parameters), lambda value: [value])


@contender("heat", "C++ objective")
def _(initial: Array, conduction: Array, target: Array) -> Prepared:
    call = native("loops", "heat", len(initial), loops.HEAT_STEPS, initial, float(conduction), target)
    return Prepared(call, lambda value: [value])


@contender("bodies", "C++ objective")
def _(places: Array, speeds: Array, masses: Array) -> Prepared:
    call = native("loops", "bodies", len(masses), loops.BODY_STEPS, places, speeds, masses)
    return Prepared(call, lambda value: [value])


@contender("logsumexp", "C++ objective")
def _(x: Array) -> Prepared:
    return Prepared(native("loops", "log_of_sum", len(x), x), lambda value: [value])


@contender("asian", "C++ objective")
def _(contract: Array, normals: Array) -> Prepared:
    return Prepared(native("loops", "asian", *normals.shape, contract, normals), lambda value: [value])


@contender("saddle", "C++ nested duals")
def _(start: Array) -> Prepared:
    found = np.zeros_like(start)
    return Prepared(native("descents", "saddle", loops.DESCENT_TOLERANCE, start, found), lambda _: [found.ravel()])


@contender("particle", "C++ nested duals")
def _(start: Array) -> Prepared:
    found = np.zeros_like(start)
    call = native("descents", "particle", loops.DESCENT_TOLERANCE, loops.PARTICLE_STEP, start, found)
    return Prepared(call, lambda _: [found])


@contender("gpt", "C++ by hand")
def _(parameters: Array, name: str) -> Prepared:
    import microgpt

    numbers, gradient = microgpt.tokens(name), np.zeros_like(parameters)
    call = native("gpt", "gpt_step", len(numbers) - 1, numbers, parameters, gradient)
    return Prepared(call, lambda value: [value, gradient])


@contender("gpt", "C++ tape")
def _(parameters: Array, name: str) -> Prepared:
    import microgpt

    numbers, gradient = microgpt.tokens(name), np.zeros_like(parameters)
    call = native("tape", "gpt_tape", len(numbers) - 1, numbers, parameters, len(parameters), gradient)
    return Prepared(call, lambda value: [value, gradient])


@contender("gpt batch", "C++ by hand")
def _(parameters: Array, tokens: Array, steps: Array) -> Prepared:
    gradient = np.zeros_like(parameters)
    call = native("gpt", "gpt_batch", len(steps), steps, tokens, parameters, len(parameters), gradient)
    return Prepared(call, lambda value: [value, gradient])


def _without_contraction(problem: str, name: str) -> None:
    """The same program with both roundings of ``a*b + c``: gcc makes it a fused multiply-add otherwise."""

    @contender(problem, f"{name}, both roundings")
    def _(**data: Any) -> Prepared:
        token = build.further.set(("-ffp-contract=off",))
        try:
            return prepared(problem, name, data)
        finally:
            build.further.reset(token)


@contender("lorenz", "C++ gradient by hand")
def _(start: Array, parameters: Array) -> Prepared:
    step, gradient = loops.ODE_TIME / loops.ODE_STEPS, np.zeros(6)
    stored = np.zeros((loops.ODE_STEPS, 3))
    call = native("loops", "lorenz_gradient", loops.ODE_STEPS, step, start, parameters, stored, gradient)
    return Prepared(call, lambda value: [value, gradient[:3], gradient[3:]])


@contender("heat", "C++ gradient by hand")
def _(initial: Array, conduction: Array, target: Array) -> Prepared:
    points, by_initial, by_conduction = len(initial), np.zeros_like(initial), np.zeros(1)
    stored = np.zeros((loops.HEAT_STEPS, points))
    call = native(
        "loops", "heat_gradient", points, loops.HEAT_STEPS, initial, float(conduction), target, stored, by_initial,
        by_conduction,
    )  # fmt: skip  # a list of arguments
    return Prepared(call, lambda value: [value, by_initial, by_conduction[0]])


BY_HAND = dict.fromkeys(("lorenz", "heat"), "C++ gradient by hand")
BOTH_ROUNDINGS = {
    "gmm": "C++ objective",
    "bundle": "C++ residual",
    "least squares": "C++ objective",
    "options": "C++ price",
    **dict.fromkeys(
        ("lstm", "k-means", "determinant", "lorenz", "heat", "bodies", "logsumexp", "asian"), "C++ objective"
    ),
}
for _problem, _name in BOTH_ROUNDINGS.items():
    _without_contraction(_problem, _name)
