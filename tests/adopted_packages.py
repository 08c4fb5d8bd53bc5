"""Packages from PyPI, and modules of Python, adopted unmodified: for the tests, and for the table of the docs."""

from __future__ import annotations

import datetime
import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from autograd import adopt

Call = Callable[..., Any]
WHEN = datetime.datetime(2026, 6, 21, 9, 30, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Case:
    """One function of one package.

    Attributes
    ----------
    package, function : str
        Names for the table.
    module : str
        What is imported and adopted.
    call : callable
        Takes the module and the numbers; returns a list of numbers.
    low, high : sequences of float
        The rows are uniformly distributed between these.
    also : tuple of str
        Other packages to adopt.
    exact : bool
        Whether the values are those of the plain package bit for bit; else NumPy's functions have other last digits.
    rows : int
        How many rows are compiled as a batch; 1,000 unless there are too many paths through the branches.
    slow : bool
        Whether it takes several seconds.
    """

    package: str
    function: str
    module: str
    call: Call
    low: Sequence[float]
    high: Sequence[float]
    also: tuple[str, ...] = ()
    exact: bool = True
    rows: int = 1000
    slow: bool = False
    note: str = ""

    def plain(self) -> Any:
        """The module itself."""
        return importlib.import_module(self.module)

    def adopted(self) -> Any:
        """The private copy; one for all cases of a package, as adopting large packages takes a second or two."""
        return _adopted(self.module, self.also)

    def points(self, count: int) -> Any:
        """Random rows, the same ones at each call."""
        return np.random.default_rng(7).uniform(self.low, self.high, (count, len(self.low)))

    def __str__(self) -> str:
        return f"{self.package}: {self.function}"


@cache
def _adopted(module: str, also: tuple[str, ...]) -> Any:
    return adopt(module, also=also)


def orbit(m: Any, t: Any, bstar: Any, ecco: Any, argpo: Any, inclo: Any, mo: Any, no: Any, nodeo: Any) -> list[Any]:
    """Position and velocity of a satellite near the earth, t minutes after the epoch of its elements."""
    satellite = m.Satrec()
    satellite.sgp4init(m.WGS72, "i", 5, 25545.69339541, bstar, 0.0, 0.0, ecco, argpo, inclo, mo, no, nodeo)
    _, position, velocity = satellite.sgp4_tsince(t)
    return [*position, *velocity]


def verification_satellites() -> list[list[float]]:
    """The elements of the 33 satellites with which sgp4 is verified, deep space included."""
    import sgp4.model as m

    lines = (Path(m.__file__).parent / "SGP4-VER.TLE").read_text().splitlines()
    found = []
    for one, two in pairwise(lines):
        if one.startswith("1 ") and two.startswith("2 "):
            s = m.Satrec.twoline2rv(one[:69], two[:69])
            epoch = s.jdsatepoch + s.jdsatepochF - 2433281.5
            elements = [epoch, s.bstar, s.ndot, s.nddot, s.ecco, s.argpo, s.inclo, s.mo, s.no_kozai, s.nodeo]
            found.append([float(x) for x in elements])
    return found


def orbit_of(m: Any, t: Any, elements: Sequence[Any]) -> list[Any]:
    """Position and velocity from all elements of a satellite."""
    satellite = m.Satrec()
    satellite.sgp4init(m.WGS72, "i", 5, *elements)
    _, position, velocity = satellite.sgp4_tsince(t)
    return [*position, *velocity]


def _ratings(m: Any, *numbers: Any) -> list[Any]:
    winner, loser = m.rate_1vs1(m.Rating(*numbers[:2]), m.Rating(*numbers[2:]), env=m.TrueSkill())
    return [winner.mu, winner.sigma, loser.mu, loser.sigma]


def _controlled(m: Any, kp: Any, ki: Any, kd: Any, x: Any) -> list[Any]:
    controller = m.PID(kp, ki, kd, setpoint=10.0, time_fn=lambda: 0.0)
    outputs = []
    for _ in range(5):
        outputs.append(controller(x, dt=0.1))
        x = x + 0.1 * outputs[-1]
    return outputs


def _field(m: Any, latitude: Any, longitude: Any, altitude: Any) -> list[Any]:
    found = _model(m).calculate(glat=latitude, glon=longitude, alt=altitude, time=2026.5)
    return [found.x, found.y, found.z]


@cache
def _model(m: Any) -> Any:
    return m.GeoMag()


def _humid(m: Any, *numbers: Any) -> list[Any]:
    m.SetUnitSystem(m.SI)
    ratio = m.GetHumRatioFromRelHum(*numbers)
    return [ratio, m.GetMoistAirEnthalpy(numbers[0], ratio)]


def _wet_bulb(m: Any, *numbers: Any) -> list[Any]:
    m.SetUnitSystem(m.SI)
    return [m.GetTWetBulbFromHumRatio(*numbers, 101325.0)]


def _statistics(m: Any, *xs: Any) -> list[Any]:
    return [m.mean(xs), m.stdev(xs), m.median(xs), m.geometric_mean(xs), m.correlation(xs, (1.0, 2.0, 5.0))]


def _difference(m: Any, *rgb: Any) -> list[Any]:
    return [m.Color("srgb", list(rgb)).delta_e(m.Color("srgb", [0.9, 0.1, 0.1]), method="2000")]


def _split(m: Any, a: Any, b: Any, k: Any, c: Any) -> list[Any]:
    vapour, _, _ = m.rachford_rice.flash_inner_loop([a, b, 1.0 - a - b], [k, c, 0.1])
    return [vapour]


# ruff: noqa: E501 (one case is one line)
CODY = ("cody_special", "piecewise_rational")
CASES = [
    Case("sgp4", "Satrec.sgp4_tsince", "sgp4.model", orbit, (0.0, 3e-5, 1e-3, 0.3, 0.9, 1.0, 0.0645, 3.0), (90.0, 5e-5, 2e-3, 0.5, 1.1, 2.0, 0.0675, 4.0)),
    Case("iapws", "_PSat_T", "iapws.iapws97", lambda m, t: [m._PSat_T(t)], (300.0,), (600.0,)),
    Case("iapws", "_Region1", "iapws.iapws97", lambda m, t, p: [m._Region1(t, p)[k] for k in ("v", "h", "s", "cp")], (300.0, 5.0), (420.0, 50.0), exact=False),
    Case("fluids", "friction_factor", "fluids", lambda m, re, e: [m.friction_factor(re, e)], (1e4, 1e-5), (1e6, 1e-3), slow=True),
    Case("fluids", "Colebrook", "fluids", lambda m, re, e: [m.friction.Colebrook(re, e)], (1e4, 1e-5), (1e6, 1e-3), rows=50, slow=True, note="calls SciPy's `lambertw` for each row"),
    Case("chemicals", "Psat_IAPWS", "chemicals", lambda m, t: [m.Psat_IAPWS(t)], (300.0,), (600.0,), ("fluids",), slow=True),
    Case("chemicals", "flash_inner_loop", "chemicals", _split, (0.3, 0.2, 3.0, 0.6), (0.5, 0.4, 5.0, 0.8), ("fluids",), slow=True),
    Case("py-lets-be-rational", "black", "py_lets_be_rational", lambda m, *x: [m.black(*x, 0.5, 1.0)], (99.0, 105.0, 0.18), (101.0, 115.0, 0.25), CODY),
    Case("py-lets-be-rational", "implied volatility", "py_lets_be_rational", lambda m, *x: [m.implied_volatility_from_a_transformed_rational_guess(*x, 0.5, 1.0)], (2.4, 99.5, 108.0), (2.8, 100.5, 112.0), CODY, slow=True),
    Case("pygeomag", "GeoMag.calculate", "pygeomag", _field, (20.0, 10.0, 0.0), (50.0, 60.0, 5.0), slow=True),
    Case("geographiclib", "Geodesic.Inverse", "geographiclib.geodesic", lambda m, *x: [m.Geodesic.WGS84.Inverse(*x)["s12"]], (-80.0, -170.0, -80.0, -170.0), (80.0, 170.0, 80.0, 170.0), slow=True, note="any two points of the earth"),
    Case("geographiclib", "Geodesic.Direct", "geographiclib.geodesic", lambda m, *x: [m.Geodesic.WGS84.Direct(*x)[k] for k in ("lat2", "lon2")], (20.0, 10.0, 40.0, 1e5), (40.0, 50.0, 60.0, 2e6), slow=True),
    Case("utm", "from_latlon", "utm", lambda m, *x: m.from_latlon(*x)[:2], (48.0, 6.5), (55.0, 11.5), exact=False),
    Case("utm", "to_latlon", "utm", lambda m, *x: m.to_latlon(*x, 32, "U"), (4e5, 5.3e6), (6e5, 5.6e6), exact=False),
    Case("haversine", "haversine", "haversine", lambda m, *x: [m.haversine(x[:2], x[2:])], (20.0, 10.0, 30.0, 20.0), (25.0, 15.0, 35.0, 40.0)),
    Case("astral", "sun.elevation", "astral.sun", lambda m, *x: [m.elevation(m.Observer(*x), WHEN)], (40.0, 5.0), (55.0, 25.0)),
    Case("pysolar", "get_altitude", "pysolar.solar", lambda m, *x: [m.get_altitude(*x, WHEN)], (40.0, 5.0), (55.0, 25.0)),
    Case("coloraide", "convert to Oklab", "coloraide", lambda m, *x: m.Color("srgb", list(x)).convert("oklab").coords(), (0.1, 0.1, 0.1), (0.9, 0.9, 0.9), slow=True),
    Case("coloraide", "delta_e 2000", "coloraide", _difference, (0.1, 0.3, 0.3), (0.3, 0.5, 0.5), slow=True),
    Case("psychrolib", "moist air", "psychrolib", _humid, (20.0, 0.3, 1.0e5), (35.0, 0.8, 1.02e5)),
    Case("psychrolib", "wet bulb", "psychrolib", _wet_bulb, (25.0, 0.004), (40.0, 0.012), slow=True, note="the steps of a bisection are differentiated; `implicit.solution_of` gives the derivative of the solution"),
    Case("trueskill", "rate_1vs1", "trueskill", _ratings, (24.0, 7.0, 25.0, 5.0), (26.0, 8.0, 30.0, 6.0), rows=50, slow=True),
    Case("simple-pid", "PID", "simple_pid", _controlled, (0.5, 0.1, 0.01, 1.0), (1.5, 0.3, 0.05, 3.0)),
    Case("colorsys", "rgb_to_hls", "colorsys", lambda m, *x: list(m.rgb_to_hls(*x)), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    Case("statistics", "mean, stdev, …", "statistics", _statistics, (0.5, 1.0, 2.0), (1.0, 2.0, 4.0), rows=20, note="calls Python for exact sums"),
]  # fmt: skip  # a table


def seconds(function: Callable[[], object], least: float = 0.02) -> float:
    """The time of one call: the best of three runs that are long enough."""
    count, best = 1, float("inf")
    while True:
        start = time.perf_counter()
        for _ in range(count):
            function()
        taken = time.perf_counter() - start
        if taken >= least:
            break
        count *= max(2, int(1.2 * least / max(taken, 1e-9)))
    for _ in range(2):
        start = time.perf_counter()
        for _ in range(count):
            function()
        best = min(best, (time.perf_counter() - start) / count)
    return min(best, taken / count)
