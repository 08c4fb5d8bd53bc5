"""Check the C++ references: values against the same formula in Python floats, gradients against finite differences.

    python benchmarks/check.py

Prints the largest relative error of each and ends with an error if one is too large.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

import cpp
import loops
import problems
from problems import Array, FloatMath

VALUE_TOLERANCE, GRADIENT_TOLERANCE = 1e-12, 1e-7


def finite_differences(function: Callable[[Array], float], x: Array, step: float = 1e-5) -> Array:
    """Central differences in every direction."""
    ahead = [function(x + step * unit) for unit in np.eye(len(x))]
    behind = [function(x - step * unit) for unit in np.eye(len(x))]
    return np.subtract(ahead, behind) / (2 * step)


def report(what: str, actual: Array | float, expected: Array | float, tolerance: float) -> None:
    """Print the error relative to the largest expected number; raise if it is above the tolerance."""
    error = float(np.max(np.abs(np.subtract(actual, expected))) / np.max(np.abs(expected)))
    print(f"{what:44} {error:.1e}")
    if not error <= tolerance:
        raise AssertionError(f"{what}: {error:.1e} is more than {tolerance:.0e}")


def gradient_step(
    what: str, call: Callable[[], float], gradient: Array, function: Callable[[Array], float], x: Array
) -> None:
    """Check a program that returns a value and fills a gradient."""
    report(f"{what}, value", call(), function(x), VALUE_TOLERANCE)
    report(f"{what}, gradient", gradient, finite_differences(function, x), GRADIENT_TOLERANCE)


def mlp() -> None:
    """Full and partial blocks of lanes."""
    data = problems.mlp_data()
    parameters, gradient = data["parameters"], np.zeros(337)
    for samples in (1, 7, 8, 9, 100):
        x, y = data["x"][:samples].copy(), data["y"][:samples].copy()
        xs, ys = x.tolist(), y.tolist()
        call = cpp.native("mlp", "mlp_step", parameters, x, y, samples, problems.MLP_DECAY, gradient)

        def loss(p: Array, xs: list[list[float]] = xs, ys: list[float] = ys) -> float:
            return float(problems.mlp_loss(p.tolist(), xs, ys, FloatMath))

        gradient_step(f"network, {samples} samples", call, gradient, loss, parameters)


def gmm() -> None:
    """All three sizes."""
    for d, k in problems.GMM_SIZES:
        data = problems.gmm_data(d, k)
        arrays = [data[name] for name in ("alphas", "means", "icf", "x")]
        prior = problems.WISHART_GAMMA, problems.WISHART_M
        value = cpp.native("gmm", "gmm_objective", d, k, len(data["x"]), *arrays, *prior)()
        lists = [array.tolist() for array in arrays]
        expected = problems.gmm_log_posterior(*lists, m=FloatMath, vmap=problems.loop_vmap)
        report(f"mixture, d={d} k={k}", value, expected, VALUE_TOLERANCE)


def bundle() -> None:
    """A thousand observations, one of them with no rotation."""
    data = problems.bundle_data(1000)
    parameters, features = data["parameters"], data["features"]
    parameters[0, :3] = 0
    residuals = np.zeros_like(features)
    cpp.native("bundle", "bundle_residuals", len(features), parameters, features, residuals)()
    rows = zip(parameters.tolist(), features.tolist(), strict=True)
    expected = np.array([problems.bundle_residual(p, feature, FloatMath) for p, feature in rows])
    report("bundle adjustment", residuals, expected, VALUE_TOLERANCE)


def least_squares() -> None:
    """Against NumPy and against the rows summed in Python."""
    data = problems.least_squares_data()
    a, b, x = (data[name] for name in ("a", "b", "x"))
    value = cpp.native("least_squares", "least_squares", *a.shape, a, b, x)()
    report("least squares, NumPy", value, 0.5 * float(np.sum((a @ x - b) ** 2)), VALUE_TOLERANCE)
    rows = zip(a.tolist(), b.tolist(), strict=True)
    expected = sum(problems.least_squares_row(x.tolist(), row, target) for row, target in rows)
    report("least squares, Python", value, expected, VALUE_TOLERANCE)


def options() -> None:
    """A thousand options."""
    data = problems.options_data(1000)
    columns = [data[name] for name in problems.OPTION_ARGUMENTS]
    price = np.zeros(1000)
    cpp.native("black_scholes", "black_scholes", 1000, *columns, price)()
    rows = zip(*(column.tolist() for column in columns), strict=True)
    expected = np.array([problems.black_scholes(*row, m=FloatMath) for row in rows])
    report("Black-Scholes", price, expected, VALUE_TOLERANCE)


def tape() -> None:
    """Both functions on the tape."""
    x = problems.rosenbrock_data()["x"]
    gradient = np.zeros_like(x)
    call = cpp.native("tape", "rosenbrock_step", x, len(x), gradient)
    gradient_step("tape, Rosenbrock", call, gradient, lambda x: float(problems.rosenbrock(x.tolist())), x)
    x = problems.expression_data()["x"]
    gradient = np.zeros_like(x)
    call = cpp.native("tape", "expression_step", x, gradient)
    gradient_step("tape, expression", call, gradient, lambda x: float(problems.expression(*x.tolist(), m=FloatMath)), x)


def with_loops() -> None:
    """Each problem of `loops`, but for the long sum in full length."""
    import autograd.math as am
    from autograd import scan, vmap

    def same(name: str, call: Callable[[], float], function: Callable[..., Any], *arrays: Array) -> None:
        known = {"m": am, "scan": scan, "vmap": vmap}
        given = {key: known[key] for key in inspect.signature(function).parameters if key in known}
        expected = function(*[float(array) if array.ndim == 0 else array for array in arrays], **given)
        report(name, call(), float(expected), VALUE_TOLERANCE)

    made = loops.lstm_data()
    call = cpp.native("loops", "lstm", loops.LSTM_LAYERS, loops.LSTM_WIDTH, loops.LSTM_STEPS, *made.values())
    same("LSTM", call, loops.lstm_loss, *made.values())
    made = loops.kmeans_data()
    centres, points = made["centres"], made["points"]
    call = cpp.native("loops", "kmeans", len(points), *centres.shape, centres, points)
    same("k-means", call, loops.kmeans_cost, centres, points)
    matrix = loops.determinant_data()["matrix"]
    same("determinant", cpp.native("loops", "log_determinant", len(matrix), matrix), loops.log_determinant, matrix)
    start, parameters = loops.lorenz_data().values()
    call = cpp.native("loops", "lorenz", loops.ODE_STEPS, loops.ODE_TIME / loops.ODE_STEPS, start, parameters)
    same("Lorenz's equations", call, loops.lorenz_end, start, parameters)
    initial, conduction, target = loops.heat_data().values()
    call = cpp.native("loops", "heat", len(initial), loops.HEAT_STEPS, initial, float(conduction), target)
    same("heat equation", call, loops.heat_misfit, initial, conduction, target)
    places, speeds, masses = loops.bodies_data().values()
    call = cpp.native("loops", "bodies", len(masses), loops.BODY_STEPS, places, speeds, masses)
    same("bodies", call, loops.bodies_energy, places, speeds, masses)
    x = loops.log_of_sum_data()["x"][:1000].copy()
    same("logarithm of a sum", cpp.native("loops", "log_of_sum", len(x), x), loops.log_of_sum, x)
    contract, normals = loops.asian_data().values()
    same(
        "Asian option",
        cpp.native("loops", "asian", *normals.shape, contract, normals),
        loops.asian_price,
        contract,
        normals,
    )


if __name__ == "__main__":
    for check in (mlp, gmm, bundle, least_squares, options, tape, with_loops):
        check()
