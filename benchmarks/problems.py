"""The benchmark problems, each written once as plain scalar Python, and their seeded data.

A function takes its mathematical functions as an argument ``m``: `FloatMath` here for floats, ``autograd.math`` for our
Values, a peer's functions for a peer's numbers. The same source runs for every number type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Number = Any  # a float, or a replacement for one: a Value, a tracer, a symbol, an active double


def _log_sum_exp(values: Sequence[float]) -> float:
    largest = max(values)
    return math.log(sum(math.exp(value - largest) for value in values)) + largest


FloatMath = SimpleNamespace(
    **{name: getattr(math, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tanh", "erfc")},
    relu=lambda x: x if x > 0 else 0.0,
    logsumexp=_log_sum_exp,
)


def loop_vmap(function: Callable[..., Any], in_axes: Sequence[int | None], reduce: str) -> Callable[..., Any]:
    """Map over rows with a loop: a ``vmap`` for number types that have none."""

    def mapped(*arguments: Any) -> Any:
        rows = next(len(a) for a, axis in zip(arguments, in_axes, strict=True) if axis == 0)
        results = [
            function(*(a if axis is None else a[i] for a, axis in zip(arguments, in_axes, strict=True)))
            for i in range(rows)
        ]
        total = sum(results[1:], results[0])
        return total / rows if reduce == "mean" else total

    return mapped


# --- the 2-16-16-1 network on two moons --------------------------------------------------------------------------

MLP_SIZES = (2, 16, 16, 1)
MLP_DECAY = 1e-4


def mlp_layers(parameters: Sequence[Number]) -> list[list[tuple[list[Number], Number]]]:
    """Cut 337 parameters, W1 b1 W2 b2 W3 b3 in this order, into layers of (weights, bias)."""
    layers, start = [], 0
    for fan_in, fan_out in pairwise(MLP_SIZES):
        biases = start + fan_in * fan_out
        rows = range(start, biases, fan_in)
        layers.append([([*parameters[row : row + fan_in]], parameters[biases + i]) for i, row in enumerate(rows)])
        start = biases + fan_out
    return layers


def mlp_score(layers: list[list[tuple[list[Number], Number]]], x: Sequence[Number], m: Any) -> Number:
    """The network's output: relu in the hidden layers, none in the last."""
    for depth, layer in enumerate(layers, start=1):
        x = [sum((wi * xi for wi, xi in zip(w, x, strict=True)), b) for w, b in layer]
        if depth < len(layers):
            x = [m.relu(unit) for unit in x]
    return x[0]


def mlp_sample_loss(parameters: Sequence[Number], x: Sequence[Number], y: Number, m: Any) -> Number:
    """Hinge loss of one sample, ``relu(1 - y score)``."""
    return m.relu(1 - y * mlp_score(mlp_layers(parameters), x, m))


def mlp_decay(parameters: Sequence[Number]) -> Number:
    """The penalty on the squares of all parameters."""
    return MLP_DECAY * sum(p * p for p in parameters)


def mlp_loss(parameters: Sequence[Number], xs: Sequence[Any], ys: Sequence[float], m: Any) -> Number:
    """Mean hinge loss plus penalty, sample after sample, as an eager program writes it."""
    layers = mlp_layers(parameters)
    losses = [m.relu(1 - y * mlp_score(layers, x, m)) for x, y in zip(xs, ys, strict=True)]
    return sum(losses[1:], losses[0]) * (1.0 / len(losses)) + mlp_decay(parameters)


def mlp_data(samples: int = 100, seed: int = 0) -> dict[str, Array]:
    """Parameters (337,), and two interleaved half circles: x (samples, 2), y of -1 and 1 (samples,)."""
    random = np.random.default_rng(seed)
    layers = pairwise(MLP_SIZES)
    parameters = [
        np.append(random.uniform(-1, 1, fan_in * fan_out), random.uniform(-0.1, 0.1, fan_out))
        for fan_in, fan_out in layers
    ]
    angle = random.uniform(0, np.pi, samples)
    y = np.where(np.arange(samples) % 2 == 0, -1.0, 1.0)
    upper = np.column_stack([np.cos(angle), np.sin(angle)])
    lower = np.column_stack([1 - np.cos(angle), 0.5 - np.sin(angle)])
    x = np.where(y[:, None] < 0, upper, lower) + random.normal(0, 0.1, (samples, 2))
    return {"parameters": np.concatenate(parameters), "x": x, "y": y}


# --- training networks -------------------------------------------------------------------------------------------


def _network_to_train(sizes: Sequence[int], seed: int) -> list[tuple[Array, Array]]:
    """The first weights, of shape (outputs, inputs), and biases of each layer: He's uniform distribution."""
    random = np.random.default_rng(seed)
    bounds = [np.sqrt(6.0 / fan_in) for fan_in in sizes[:-1]]
    shapes = [(fan_out, fan_in) for fan_in, fan_out in pairwise(sizes)]
    return [
        (random.uniform(-bound, bound, shape), np.zeros(shape[0])) for bound, shape in zip(bounds, shapes, strict=True)
    ]


def moons_to_learn(epochs: int = 50, samples: int = 384) -> dict[str, Any]:
    """Two moons as classes 0 and 1, and a 2-16-16-1 network."""
    data = mlp_data(samples)
    y = (data["y"] > 0).astype(float)
    return {
        "layers": _network_to_train(MLP_SIZES, seed=0),
        "x": data["x"],
        "y": y,
        "epochs": epochs,
        "batch": 32,
        "rate": 0.01,
    }


def digits_to_learn(epochs: int = 20) -> dict[str, Any]:
    """Handwritten digits of 8 by 8 pixels, and a 64-32-10 network."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))[:1440]
    return {
        "layers": _network_to_train((64, 32, 10), seed=0),
        "x": x[order] / 16.0,
        "y": y[order].astype(float),
        "epochs": epochs,
        "batch": 32,
        "rate": 0.005,
    }


# --- Gaussian mixture log-posterior (ADBench) --------------------------------------------------------------------

GMM_SIZES = ((2, 5), (10, 5), (10, 25))
WISHART_GAMMA, WISHART_M = 1.0, 0


def gmm_log_posterior(
    alphas: Sequence[Number],
    means: Sequence[Any],
    icf: Sequence[Any],
    x: Sequence[Any],
    *,
    m: Any,
    vmap: Callable[..., Any],
) -> Number:
    """Log-posterior of a Gaussian mixture with a Wishart prior.

    alphas (k,), means (k, d), icf (k, d (d + 1) / 2): logarithms of the diagonal of each inverse covariance factor,
    then its strict lower triangle column by column; x (n, d). Source: Srajer, Kukelova, Fitzgibbon, "A benchmark
    of selected algorithmic differentiation tools" (2018).
    """
    offsets, diagonals, triangles = gmm_components(alphas, means, icf, m)

    def log_likelihood(*components_and_row: Any) -> Number:
        return gmm_log_likelihood(*components_and_row, m=m)

    total = vmap(log_likelihood, in_axes=(None, None, None, None, 0), reduce="sum")
    likelihood = total(offsets, means, diagonals, triangles, x)
    return likelihood + gmm_prior(alphas, means, icf, len(x), m)


def gmm_components(
    alphas: Sequence[Number], means: Sequence[Any], icf: Sequence[Any], m: Any
) -> tuple[list[Number], list[list[Number]], list[list[Number]]]:
    """The parts that all points share: log weight times determinant, diagonal and triangle of each factor."""
    d = len(means[0])
    offsets = [sum(factor[:d], alpha) for alpha, factor in zip(alphas, icf, strict=True)]
    diagonals = [[m.exp(q) for q in factor[:d]] for factor in icf]
    return offsets, diagonals, [list(factor[d:]) for factor in icf]


def gmm_log_likelihood(
    offsets: Sequence[Number],
    means: Sequence[Any],
    diagonals: Sequence[Any],
    triangles: Sequence[Any],
    row: Sequence[Number],
    *,
    m: Any,
) -> Number:
    """Log-likelihood of one point, up to the constant."""
    components = zip(offsets, means, diagonals, triangles, strict=True)
    return m.logsumexp(
        [
            offset - 0.5 * _squared_distance(row, mean, diagonal, triangle)
            for offset, mean, diagonal, triangle in components
        ]
    )


def gmm_prior(alphas: Sequence[Number], means: Sequence[Any], icf: Sequence[Any], n: int, m: Any) -> Number:
    """The part that does not depend on the points: normalisation of the weights, Wishart prior, constant."""
    d = len(means[0])
    squares = sum(m.exp(q) ** 2 for factor in icf for q in factor[:d]) + sum(
        q * q for factor in icf for q in factor[d:]
    )
    log_determinants = sum(q for factor in icf for q in factor[:d])
    wishart = 0.5 * WISHART_GAMMA**2 * squares - WISHART_M * log_determinants
    return wishart - n * m.logsumexp(list(alphas)) + gmm_constant(n, len(alphas), d)


def _squared_distance(
    x: Sequence[Number], mean: Sequence[Number], diagonal: Sequence[Number], triangle: Sequence[Number]
) -> Number:
    centred = [xi - mi for xi, mi in zip(x, mean, strict=True)]
    transformed = [q * c for q, c in zip(diagonal, centred, strict=True)]
    below = iter(triangle)
    for i in range(len(centred)):
        for j in range(i + 1, len(centred)):
            transformed[j] = transformed[j] + next(below) * centred[i]
    return sum(t * t for t in transformed)


def gmm_constant(n: int, k: int, d: int) -> float:
    """The part of the log-posterior that depends only on the sizes."""
    freedom = d + WISHART_M + 1
    log_gamma = 0.25 * d * (d - 1) * math.log(math.pi) + sum(
        math.lgamma(0.5 * freedom + 0.5 * (1 - j)) for j in range(1, d + 1)
    )
    wishart = freedom * d * (math.log(WISHART_GAMMA) - 0.5 * math.log(2)) - log_gamma
    return -0.5 * n * d * math.log(2 * math.pi) - k * wishart


def gmm_data(d: int, k: int, n: int = 1000, seed: int = 0) -> dict[str, Array]:
    """alphas (k,), means (k, d), icf (k, d (d + 1) / 2) and points x (n, d)."""
    random = np.random.default_rng(seed)
    return {
        "alphas": random.normal(size=k),
        "means": random.uniform(0, 1, (k, d)),
        "icf": random.normal(0, 0.5, (k, d * (d + 1) // 2)),
        "x": random.normal(size=(n, d)),
    }


# --- bundle adjustment (ADBench) ---------------------------------------------------------------------------------

BUNDLE_CAMERAS, BUNDLE_POINTS, BUNDLE_OBSERVATIONS = 49, 7776, 31_843


def _cross(a: Sequence[Number], b: Sequence[Number]) -> list[Number]:
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def rotate(rotation: Sequence[Number], x: Sequence[Number], m: Any) -> list[Number]:
    """Rotate ``x`` about the axis ``rotation`` by its length in radians; to first order at length zero."""
    if rotation[0] == 0 and rotation[1] == 0 and rotation[2] == 0:
        return [xi + ci for xi, ci in zip(x, _cross(rotation, x), strict=True)]
    return rotate_away_from_zero(rotation, x, m)


def rotate_away_from_zero(rotation: Sequence[Number], x: Sequence[Number], m: Any) -> list[Number]:
    """Rodrigues' formula without the branch, for number types that cannot branch on themselves."""
    theta = m.sqrt(rotation[0] * rotation[0] + rotation[1] * rotation[1] + rotation[2] * rotation[2])
    cosine, sine = m.cos(theta), m.sin(theta)
    axis = [rotation[0] / theta, rotation[1] / theta, rotation[2] / theta]
    along = (axis[0] * x[0] + axis[1] * x[1] + axis[2] * x[2]) * (1 - cosine)
    parts = zip(x, _cross(axis, x), axis, strict=True)
    return [xi * cosine + ci * sine + ai * along for xi, ci, ai in parts]


def bundle_residual(
    parameters: Sequence[Number],
    feature: Sequence[float],
    m: Any,
    rotate: Callable[..., list[Number]] = rotate,
) -> list[Number]:
    """Weighted reprojection error: 2 residuals from 15 parameters.

    The parameters are the camera (rotation 3, centre 3, focal length, principal point 2, radial distortion 2), the
    point (3) and the observation's weight (1).
    """
    p = [parameters[i] for i in range(15)]
    rotation, centre, focal, principal, radial, point, weight = p[:3], p[3:6], p[6], p[7:9], p[9:11], p[11:14], p[14]
    seen = rotate(rotation, [xi - ci for xi, ci in zip(point, centre, strict=True)], m)
    u, v = seen[0] / seen[2], seen[1] / seen[2]
    r2 = u * u + v * v
    distortion = 1 + r2 * (radial[0] + r2 * radial[1])
    return [
        weight * (principal[0] + focal * distortion * u - feature[0]),
        weight * (principal[1] + focal * distortion * v - feature[1]),
    ]


def bundle_data(observations: int = BUNDLE_OBSERVATIONS, seed: int = 0) -> dict[str, Array]:
    """Parameters (observations, 15), each row its camera, point and weight; features (observations, 2)."""
    random = np.random.default_rng(seed)
    cameras = np.column_stack(
        [
            random.normal(0, 0.3, (BUNDLE_CAMERAS, 3)),
            random.normal(0, 1, (BUNDLE_CAMERAS, 3)),
            random.uniform(400, 600, BUNDLE_CAMERAS),
            random.normal(0, 5, (BUNDLE_CAMERAS, 2)),
            random.normal(0, 0.01, (BUNDLE_CAMERAS, 2)),
        ]
    )
    points = random.normal((0, 0, 12), 2, (BUNDLE_POINTS, 3))
    rows = np.column_stack(
        [
            cameras[random.integers(BUNDLE_CAMERAS, size=observations)],
            points[random.integers(BUNDLE_POINTS, size=observations)],
            random.uniform(0.5, 1.5, observations),
        ]
    )
    return {"parameters": rows, "features": random.normal(0, 100, (observations, 2))}


# --- least squares -----------------------------------------------------------------------------------------------

LEAST_SQUARES_SHAPE = (128, 128)


def least_squares_row(x: Sequence[Number], row: Sequence[float], target: float) -> Number:
    """One row's part of ``f(x) = 1/2 || A x - b ||^2``."""
    residual = sum((a * xi for a, xi in zip(row, x, strict=True)), -target)
    return 0.5 * (residual * residual)


def least_squares_data(seed: int = 0) -> dict[str, Array]:
    """A dense matrix a (m, n), b (m,) and the point x (n,), m = n = 128."""
    m, n = LEAST_SQUARES_SHAPE
    random = np.random.default_rng(seed)
    return {"a": random.normal(size=(m, n)), "b": random.normal(size=m), "x": random.normal(size=n)}


# --- Black-Scholes -----------------------------------------------------------------------------------------------

OPTION_ARGUMENTS = ("spot", "strike", "rate", "volatility", "maturity")


def black_scholes(
    spot: Number, strike: Number, rate: Number, volatility: Number, maturity: Number, *, m: Any
) -> Number:
    """Price of a European call: volatility and rate per year, maturity in years."""
    deviation = volatility * m.sqrt(maturity)
    drift = (rate + 0.5 * volatility * volatility) * maturity
    d1 = (m.log(spot / strike) + drift) / deviation
    discounted = strike * m.exp(-rate * maturity)
    return spot * _normal_cdf(d1, m) - discounted * _normal_cdf(d1 - deviation, m)


def _normal_cdf(x: Number, m: Any) -> Number:
    return 0.5 * m.erfc(-x * math.sqrt(0.5))


def options_data(options: int = 1_000_000, seed: int = 0) -> dict[str, Array]:
    """One array (options,) per argument of `black_scholes`."""
    random = np.random.default_rng(seed)
    ranges = ((80, 120), (80, 120), (0.0, 0.05), (0.1, 0.5), (0.1, 2.0))
    return {
        name: random.uniform(low, high, options) for name, (low, high) in zip(OPTION_ARGUMENTS, ranges, strict=True)
    }


# --- single scalar calls -----------------------------------------------------------------------------------------


def rosenbrock(x: Sequence[Number]) -> Number:
    """Rosenbrock's valley in the dimensions of ``x``."""
    total = 0.0
    for here, following in pairwise(x):
        valley, slope = following - here * here, 1.0 - here
        total = total + 100.0 * (valley * valley) + slope * slope
    return total


def rosenbrock_data(dimensions: int = 10, seed: int = 0) -> dict[str, Array]:
    """A point x (dimensions,)."""
    return {"x": np.random.default_rng(seed).normal(size=dimensions)}


def expression(a: Number, b: Number, c: Number, d: Number, *, m: Any) -> Number:
    """Twenty operations on four numbers."""
    p = m.sin(a * b) + m.exp(c / d)
    q = m.log(a * a + b) * m.tanh(c - d)
    r = m.sqrt(c + d) * m.cos(p)
    return p * q + r / (q * q + 1.0)


def expression_data() -> dict[str, Array]:
    """The point x (4,) at which `expression` is called."""
    return {"x": np.array([0.7, 1.3, 0.4, 1.9])}


# --- graphs that an eager engine builds --------------------------------------------------------------------------


def chain(start: Number, factor: Number, links: int) -> Number:
    """``links`` multiply-adds in sequence, two nodes each: the depth grows with the length."""
    value = start
    for _ in range(links):
        value = value * factor + 0.5
    return value


def readme_graph(a: Number, b: Number, m: Any) -> Number:
    """The arithmetic of micrograd's README (Karpathy, 2020): about 32 nodes, much of it shared."""
    c = a + b
    d = a * b + b**3
    c = c + c + 1
    c = c + 1 + c + (-a)
    d = d + d * 2 + m.relu(b + a)
    d = d + 3 * d + m.relu(b - a)
    e = c - d
    f = e**2
    return f / 2.0 + 10.0 / f
