"""Adopted packages: satellite orbits with their Jacobian against libraries made for them, others against themselves.

    python benchmarks/adopted.py [--peers PYTHON] [--only orbits times haversine volatility geodesic flash controller]

"orbits": 1,000 satellites near the earth, each at a time of its own: the state by SGP4 and, where a contender has it,
its Jacobian by the seven elements. The elements are new at each call, as in a fit. "times": the same where the elements
stay, and a contender may prepare them. Ours is the source of the package `sgp4`, adopted; the C++ of that package and
its Python compute no derivatives, so only the states are compared with theirs. The other problems are packages against
their plain selves: the value alone in a Python loop, value *and* gradient compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import Prepared, contender, parser, runner

Array = NDArray[np.float64]

EPOCH = 25545.69339541  # days since 1949 December 31 00:00 UT
JULIAN = 2433281.5  # of that day


def satellites(count: int = 1000) -> tuple[Array, Array]:
    """Elements of satellites near the earth, and minutes since their epoch.

    The columns of the elements are mean motion, eccentricity, inclination, node, argument of perigee, mean anomaly (all
    in radians and minutes), and drag.
    """
    random = np.random.default_rng(5)
    low, high = (0.0605, 1e-3, 0.5, 0.0, 0.0, 0.0, 1e-5), (0.0655, 1e-2, 1.7, 6.2, 6.2, 6.2, 1e-4)
    return random.uniform(low, high, (count, 7)), random.uniform(0.0, 90.0, count)


def state(m: Any, row: Any, t: Any) -> list[Any]:
    """Position and velocity from the elements of one satellite, by the package `sgp4`."""
    satellite = m.Satrec()
    no, ecco, inclo, nodeo, argpo, mo, bstar = row
    satellite.sgp4init(m.WGS72, "i", 5, EPOCH, bstar, 0.0, 0.0, ecco, argpo, inclo, mo, no, nodeo)
    _, position, velocity = satellite.sgp4_tsince(t)
    return [*position, *velocity]


# --- satellite orbits: ours -----------------------------------------------------------------------------------------


def _ours(elements: Array, times: Array) -> Prepared:
    from autograd import adopt, jacobian, jit, vmap

    m = adopt("sgp4.model")

    def both(row: Any, t: Any) -> Any:
        return state(m, row, t), jacobian(lambda row: state(m, row, t))(row)

    compiled = jit(vmap(both))
    return Prepared(lambda: compiled(elements, times), lambda found: [np.stack(found[0], 1), np.stack(found[1], 1)])


contender("orbits", "ours, state and Jacobian", "autograd.compiler", "sgp4.model")(_ours)
contender("times", "ours, state and Jacobian", "autograd.compiler", "sgp4.model")(_ours)


@contender("orbits", "sgp4 in Python, state", "sgp4.model")
def _(elements: Array, times: Array) -> Prepared:
    import sgp4.model as m

    rows = list(zip(elements.tolist(), times.tolist()))
    return Prepared(lambda: [state(m, row, t) for row, t in rows], lambda found: [np.array(found)])


@contender("orbits", "sgp4 in C++, state", "sgp4.api")
def _(elements: Array, times: Array) -> Prepared:
    import sgp4.api as m

    assert m.accelerated
    rows = list(zip(elements.tolist(), times.tolist()))
    return Prepared(lambda: [state(m, row, t) for row, t in rows], lambda found: [np.array(found)])


@contender("times", "sgp4 in C++, state", "sgp4.api")
def _(elements: Array, times: Array) -> Prepared:
    import sgp4.api as m

    made = []
    for no, ecco, inclo, nodeo, argpo, mo, bstar in elements.tolist():
        made.append(m.Satrec())
        made[-1].sgp4init(m.WGS72, "i", 5, EPOCH, bstar, 0.0, 0.0, ecco, argpo, inclo, mo, no, nodeo)
    pairs = list(zip(made, times.tolist()))
    return Prepared(
        lambda: [satellite.sgp4_tsince(t) for satellite, t in pairs],
        lambda found: [np.array([[*position, *velocity] for _, position, velocity in found])],
    )


# --- packages against themselves ------------------------------------------------------------------------------------

Function = Callable[..., Any]


def _haversine(m: Any, *x: Any) -> Any:
    return m.haversine(x[:2], x[2:])


def _volatility(m: Any, *x: Any) -> Any:
    return m.implied_volatility_from_a_transformed_rational_guess(*x, 0.5, 1.0)


def _controller(m: Any, kp: Any, ki: Any, kd: Any, x: Any) -> Any:
    controller = m.PID(kp, ki, kd, setpoint=10.0, time_fn=lambda: 0.0)
    for _ in range(5):
        x = x + 0.1 * controller(x, dt=0.1)
    return x


def _geodesic(m: Any, *x: Any) -> Any:
    return m.Geodesic.WGS84.Inverse(*x)["s12"]


def _flash(m: Any, *x: Any) -> Any:
    feed = [*x[:3], 1.0 - x[0] - x[1] - x[2]]
    return m.flash_inner_loop(feed, list(x[3:]))[0]


# name: module, other packages, function, the numbers of a row between these
PACKAGES: dict[str, tuple[str, tuple[str, ...], Function, tuple[float, ...], tuple[float, ...]]] = {
    "haversine": ("haversine", (), _haversine, (20.0, 10.0, 30.0, 20.0), (25.0, 15.0, 35.0, 40.0)),
    "volatility": (
        *("py_lets_be_rational", ("cody_special", "piecewise_rational"), _volatility),
        *((2.4, 99.5, 108.0), (2.8, 100.5, 112.0)),
    ),
    "geodesic": ("geographiclib.geodesic", (), _geodesic, (-80.0, -170.0) * 2, (80.0, 170.0) * 2),
    "flash": (
        *("chemicals.rachford_rice", ("chemicals", "fluids"), _flash),
        *((0.2, 0.2, 0.2, 1.5, 0.5, 0.1, 0.05), (0.3, 0.3, 0.3, 5.0, 1.5, 0.9, 0.5)),
    ),
    "controller": ("simple_pid", (), _controller, (0.5, 0.1, 0.01, 1.0), (1.5, 0.3, 0.05, 3.0)),
}


def rows_of(problem: str) -> Array:
    """Random rows of arguments."""
    *_, low, high = PACKAGES[problem]
    return np.random.default_rng(5).uniform(low, high, (1000, len(low)))


def _enter(problem: str) -> None:
    module, also, function, _, _ = PACKAGES[problem]

    @contender(problem, "ours, value and gradient", "autograd.compiler", module)
    def _(rows: Array) -> Prepared:
        from autograd import adopt, jit, value_and_grad, vmap

        m = adopt(module, also=also)
        compiled = jit(vmap(value_and_grad(lambda row: function(m, *row))))
        return Prepared(lambda: compiled(rows))

    @contender(problem, "plain Python, value", module)
    def _(rows: Array) -> Prepared:
        import importlib

        m = importlib.import_module(module)
        numbers = rows.tolist()
        return Prepared(lambda: [function(m, *row) for row in numbers], lambda found: [np.array(found)])


for _problem in PACKAGES:
    _enter(_problem)


if __name__ == "__main__":
    options = parser(__doc__).parse_args()
    run = runner(options).run
    wanted = options.only or ["orbits", "times", *PACKAGES]
    elements, times = satellites()
    data = {"elements": elements, "times": times}
    ours = ("adopted", "ours, state and Jacobian")
    if "orbits" in wanted:
        contenders = [
            ours,
            ("peers", "heyoka, state and Jacobian, new elements"),
            ("adopted", "sgp4 in C++, state"),
            ("adopted", "sgp4 in Python, state"),
            ("peers", "dSGP4, state and Jacobian"),
        ]
        run("SGP4, 1,000 satellites, new elements at each call", "orbits", data, contenders, 1e-6)
    if "times" in wanted:
        contenders = [ours, ("peers", "heyoka, state and Jacobian"), ("adopted", "sgp4 in C++, state")]
        run("SGP4, 1,000 satellites, the same elements", "times", data, contenders, 1e-6)
    for problem in PACKAGES:
        if problem in wanted:
            contenders = [("adopted", "ours, value and gradient"), ("adopted", "plain Python, value")]
            run(f"{problem}, 1,000 rows", problem, {"rows": rows_of(problem)}, contenders)
