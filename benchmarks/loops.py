"""The benchmark problems with long or nested loops, each written once for any number type, and their seeded data.

As in `problems`, a function takes its mathematical functions as ``m``, and its loops as ``scan`` and ``vmap``: those of
this package, which are plain Python loops unless the function is compiled.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from problems import Array, Number

# --- long short-term memory (ADBench) ----------------------------------------------------------------------------

LSTM_LAYERS, LSTM_WIDTH, LSTM_STEPS = 2, 14, 1024


def lstm_loss(main: Any, extra: Any, state: Any, sequence: Any, *, m: Any, scan: Any, vmap: Any) -> Number:
    """How badly a network predicts the next row of a sequence.

    main (layers, 8, width): weights and biases of the four gates; extra (3, width): those of input and output;
    state (layers, 2, width): hidden numbers and cells at the start; sequence (steps, width). Source: Srajer, Kukelova,
    Fitzgibbon, "A benchmark of selected algorithmic differentiation tools" (2018).
    """

    def unit(w: Any, hidden: Number, cell: Number, x: Number) -> Any:
        forget, enter = m.sigmoid(x * w[0] + w[4]), m.sigmoid(hidden * w[1] + w[5])
        leave, change = m.sigmoid(x * w[2] + w[6]), m.tanh(hidden * w[3] + w[7])
        cell = cell * forget + enter * change
        return [leave * m.tanh(cell), cell]

    def predict(carry: Any, x: Any, following: Any) -> Any:
        rows, x = [], vmap(lambda w, x: w * x)(extra[0], x)
        for layer in range(LSTM_LAYERS):
            found = vmap(unit, in_axes=(1, 0, 0, 0))(main[layer], carry[layer][0], carry[layer][1], x)
            rows.append(found)
            x = found[0]
        y = vmap(lambda x, w, b: x * w + b)(x, extra[1], extra[2])
        scale = m.log(vmap(m.exp, reduce="sum")(y))
        return rows, vmap(lambda y, z: z * (y - scale), reduce="sum")(y, following)

    def step(carry: Any, pair: Any) -> Any:
        rows, gain = predict(carry[0], *pair)
        return (rows, carry[1] + gain), None

    (_, total), _ = scan(step, (state, 0.0), (sequence[:-1], sequence[1:]))
    return -total / ((LSTM_STEPS - 1) * LSTM_WIDTH)


def lstm_data(seed: int = 0) -> dict[str, Array]:
    """Parameters, state and a sequence of zeros and ones."""
    random = np.random.default_rng(seed)
    return {
        "main": random.normal(0, 0.5, (LSTM_LAYERS, 8, LSTM_WIDTH)),
        "extra": random.normal(0, 0.5, (3, LSTM_WIDTH)),
        "state": random.normal(0, 0.5, (LSTM_LAYERS, 2, LSTM_WIDTH)),
        "sequence": random.integers(0, 2, (LSTM_STEPS, LSTM_WIDTH)).astype(float),
    }


# --- k-means -----------------------------------------------------------------------------------------------------

KMEANS_POINTS, KMEANS_CENTRES, KMEANS_DIMENSIONS = 10_000, 8, 3


def kmeans_cost(centres: Any, points: Any, *, m: Any, vmap: Any) -> Number:
    """The sum of the squared distances of all points (n, d) to the nearest of the centres (k, d)."""

    def nearest(centres: Any, point: Any) -> Number:
        return m.min([sum((x - c) * (x - c) for x, c in zip(point, centre, strict=True)) for centre in centres])

    return vmap(nearest, in_axes=(None, 0), reduce="sum")(centres, points)


def kmeans_data(seed: int = 0) -> dict[str, Array]:
    """Points around the centres, and a direction."""
    random = np.random.default_rng(seed)
    centres = random.normal(0, 3, (KMEANS_CENTRES, KMEANS_DIMENSIONS))
    points = centres[random.integers(0, KMEANS_CENTRES, KMEANS_POINTS)]
    return {
        "centres": centres + random.normal(0, 0.1, centres.shape),
        "direction": random.normal(size=centres.shape),
        "points": points + random.normal(0, 1, points.shape),
    }


# --- determinant -------------------------------------------------------------------------------------------------

DETERMINANT_SIZE = 12


def log_determinant(matrix: Any, *, m: Any) -> Number:
    """The logarithm of a determinant by elimination without pivoting; the matrix is read number by number."""
    rows, total = [list(row) for row in matrix], 0.0
    for k in range(len(rows)):
        total = total + m.log(rows[k][k])
        for i in range(k + 1, len(rows)):
            factor = rows[i][k] / rows[k][k]
            for j in range(k + 1, len(rows)):
                rows[i][j] = rows[i][j] - factor * rows[k][j]
    return total


def determinant_data(seed: int = 0) -> dict[str, Array]:
    """A positive definite matrix."""
    random = np.random.default_rng(seed).normal(size=(DETERMINANT_SIZE, DETERMINANT_SIZE))
    return {"matrix": random @ random.T + DETERMINANT_SIZE * np.eye(DETERMINANT_SIZE)}


# --- an ordinary differential equation ---------------------------------------------------------------------------

ODE_STEPS, ODE_TIME = 10_000, 5.0


def lorenz_end(start: Any, parameters: Any, *, scan: Any) -> Number:
    """The first coordinate at the end of a path of Lorenz's equations, by Runge and Kutta's method of order 4."""
    sigma, rho, beta = parameters
    h = ODE_TIME / ODE_STEPS

    def slope(p: Any) -> list[Number]:
        return [sigma * (p[1] - p[0]), p[0] * (rho - p[2]) - p[1], p[0] * p[1] - beta * p[2]]

    def moved(p: Any, v: Any, time: float) -> list[Number]:
        return [x + time * y for x, y in zip(p, v, strict=True)]

    def step(p: Any, _: Any) -> Any:
        k1 = slope(p)
        k2 = slope(moved(p, k1, h / 2))
        k3 = slope(moved(p, k2, h / 2))
        k4 = slope(moved(p, k3, h))
        return moved(p, [a + 2.0 * b + 2.0 * c + d for a, b, c, d in zip(k1, k2, k3, k4, strict=True)], h / 6), None

    return scan(step, [*start], length=ODE_STEPS)[0][0]


def lorenz_data() -> dict[str, Array]:
    """Where the path starts, and the parameters σ, ρ and β."""
    return {"start": np.array([1.0, 2.0, 20.0]), "parameters": np.array([10.0, 28.0, 8 / 3])}


# --- the heat equation -------------------------------------------------------------------------------------------

HEAT_POINTS, HEAT_STEPS = 66, 1000


def heat_misfit(initial: Any, conduction: Number, target: Any, *, scan: Any, vmap: Any) -> Number:
    """How far temperatures (points,) are from a target after explicit steps; both ends keep their temperature."""

    def step(u: Any, _: Any) -> Any:
        inner = vmap(lambda a, b, c: b + conduction * (a - 2.0 * b + c))(u[:-2], u[1:-1], u[2:])
        return [u[0], *[inner[i] for i in range(len(u) - 2)], u[-1]], None

    end, _ = scan(step, [initial[i] for i in range(HEAT_POINTS)], length=HEAT_STEPS)
    return vmap(lambda x, y: (x - y) * (x - y), reduce="sum")(end, target)


def heat_data(seed: int = 0) -> dict[str, Array]:
    """A random start and target."""
    random = np.random.default_rng(seed)
    return {
        "initial": random.normal(size=HEAT_POINTS),
        "conduction": np.array(0.2),
        "target": random.normal(size=HEAT_POINTS),
    }


# --- bodies that attract one another -----------------------------------------------------------------------------

BODIES, BODY_STEPS = 8, 1000


def bodies_energy(places: Any, speeds: Any, masses: Any, *, m: Any, scan: Any, vmap: Any) -> Number:
    """The kinetic energy after leapfrog steps; places and speeds (bodies, 3), masses (bodies,)."""
    time, softening = 1e-3, 0.05

    def pulled(x: Any, v: Any, places: Any, masses: Any) -> Any:
        total = [0.0, 0.0, 0.0]
        for other, mass in zip(places, masses, strict=True):
            d = [a - b for a, b in zip(other, x, strict=True)]
            square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2] + softening
            factor = mass / (square * m.sqrt(square))
            total = [t + factor * a for t, a in zip(total, d, strict=True)]
        return [a + time * b for a, b in zip(v, total, strict=True)]

    def step(carry: Any, _: Any) -> Any:
        places, speeds = carry
        pull = vmap(pulled, in_axes=(0, 0, None, None))
        speeds = pull(places, speeds, places, masses)
        places = [[a + time * b for a, b in zip(p, v, strict=True)] for p, v in zip(places, speeds, strict=True)]
        return (places, speeds), None

    start = [[[row[k] for k in range(3)] for row in table] for table in (places, speeds)]
    (_, end), _ = scan(step, tuple(start), length=BODY_STEPS)
    return sum(0.5 * masses[i] * sum(v * v for v in end[i]) for i in range(BODIES))


def bodies_data(seed: int = 0) -> dict[str, Array]:
    """Random places, speeds and masses."""
    random = np.random.default_rng(seed)
    return {
        "places": random.normal(size=(BODIES, 3)),
        "speeds": random.normal(0, 0.1, (BODIES, 3)),
        "masses": random.uniform(0.5, 1.5, BODIES),
    }


# --- logarithm of a sum of exponentials --------------------------------------------------------------------------

LONG_SUM = 1_000_000


def log_of_sum(x: Any, *, m: Any) -> Number:
    """The logarithm of the sum of the exponentials of many numbers, without overflow."""
    return m.logsumexp(x)


def log_of_sum_data(seed: int = 0) -> dict[str, Array]:
    """Random numbers."""
    return {"x": np.random.default_rng(seed).normal(size=LONG_SUM)}


# --- an Asian option ---------------------------------------------------------------------------------------------

ASIAN_PATHS, ASIAN_DAYS = 1000, 252


def asian_price(contract: Any, normals: Any, *, m: Any, scan: Any, vmap: Any) -> Number:
    """A call on the arithmetic mean of each day's price.

    contract (5,): spot, strike, rate, volatility, maturity; normals (paths, days): the random numbers of each path.
    """
    spot, strike, rate, volatility, maturity = contract
    day = maturity / ASIAN_DAYS
    drift, deviation = (rate - 0.5 * volatility * volatility) * day, volatility * m.sqrt(day)

    def payoff(spot: Number, strike: Number, drift: Number, deviation: Number, path: Any) -> Number:
        def step(carry: Any, normal: Number) -> Any:
            price = carry[0] * m.exp(drift + deviation * normal)
            return (price, carry[1] + price), None

        (_, total), _ = scan(step, (spot, 0.0), path)
        return m.relu(total / ASIAN_DAYS - strike)

    mean = vmap(payoff, in_axes=(None, None, None, None, 0), reduce="mean")
    return m.exp(-rate * maturity) * mean(spot, strike, drift, deviation, normals)


def asian_data(seed: int = 0) -> dict[str, Array]:
    """A contract and normal numbers."""
    normals = np.random.default_rng(seed).normal(size=(ASIAN_PATHS, ASIAN_DAYS))
    return {"contract": np.array([100.0, 105.0, 0.02, 0.3, 1.5]), "normals": normals}


# --- derivatives within loops within derivatives -----------------------------------------------------------------

# Source: A. Siskind, B. Pearlmutter, "Using polyvariant union-free flow analysis to compile a higher-order functional-
# programming language with a first-class derivative operator to efficient Fortran-like code" (2008).
DESCENT_RATE, DESCENT_TOLERANCE = 1e-5, 1e-5
PARTICLE_STEP = 0.1


def descent(function: Any, start: Any, *, m: Any, grad: Any, while_loop: Any) -> Any:
    """Where a function of a list of numbers is least, by steps along its gradient.

    The rate doubles after ten steps in a row that help, and halves after a step that does not, which is not taken.
    """

    def length(x: Any) -> Number:
        return m.sqrt(sum(a * a for a in x))

    def goes_on(carry: Any) -> Any:
        _, _, slope, _, _, moved = carry
        return m.min([length(slope), moved]) > DESCENT_TOLERANCE

    def step(carry: Any) -> Any:
        x, value, slope, rate, helped, _ = carry
        tried = [a - rate * g for a, g in zip(x, slope, strict=True)]
        moved, reached, new = (
            length([a - b for a, b in zip(x, tried, strict=True)]),
            function(tried),
            grad(function)(tried),
        )
        helps = reached < value

        def chosen(one: Any, other: Any) -> Any:
            return [m.where(helps, a, b) for a, b in zip(one, other, strict=True)]

        tenth = m.where(helped > 8.5, 1.0, 0.0)
        return (
            chosen(tried, x),
            m.where(helps, reached, value),
            chosen(new, slope),
            m.where(helps, rate * (1.0 + tenth), 0.5 * rate),
            m.where(helps, (helped + 1.0) * (1.0 - tenth), 0.0),
            moved,
        )

    start = [*start]
    first = (start, function(start), grad(function)(start), DESCENT_RATE, 0.0, 1.0)
    return while_loop(goes_on, step, first)[0]


def saddle(start: Any, **given: Any) -> list[Number]:
    """Where x₁² + y₁² - x₂² - y₂² is least in (x₁, y₁) of what is greatest in (x₂, y₂): a descent in a descent.

    start (2, 2): where each of the two begins.
    """

    def height(one: Any, other: Any) -> Number:
        return one[0] * one[0] + one[1] * one[1] - other[0] * other[0] - other[1] * other[1]

    def highest(one: Any) -> Any:
        return descent(lambda other: -height(one, other), start[1], **given)

    one = descent(lambda one: height(one, highest(one)), start[0], **given)
    return [*one, *highest(one)]


def saddle_data() -> dict[str, Array]:
    """Where both descents begin."""
    return {"start": np.ones((2, 2))}


def particle(start: Any, *, m: Any, grad: Any, while_loop: Any) -> list[Number]:
    """Where one of two charges must be so that a particle which they repel crosses the x axis at 0.

    The particle begins at (0, 8) with the speed (0.75, 0) and moves in Euler's steps; the charges are at (10, 10 - w)
    and (10, 0). start (1,): the first w.
    """

    def crossing(w: Any) -> Number:
        def potential(x: Any) -> Number:
            charges = ((10.0, 10.0 - w[0]), (10.0, 0.0))
            return sum(1.0 / m.sqrt((x[0] - a) * (x[0] - a) + (x[1] - b) * (x[1] - b)) for a, b in charges)

        def moved(x: Any, v: Any, time: Any) -> Any:
            return [a + time * b for a, b in zip(x, v, strict=True)]

        def step(carry: Any) -> Any:
            x, v = carry
            return moved(x, v, PARTICLE_STEP), moved(v, grad(potential)(x), -PARTICLE_STEP)

        above = while_loop(
            lambda carry: carry[0][1] + PARTICLE_STEP * carry[1][1] > 0.0, step, ([0.0, 8.0], [0.75, 0.0])
        )
        x, v = above
        end = moved(x, v, -x[1] / v[1])
        return end[0] * end[0]

    return descent(crossing, start, m=m, grad=grad, while_loop=while_loop)


def particle_data() -> dict[str, Array]:
    """The first place of the charge."""
    return {"start": np.zeros(1)}
