"""The problems of `sparse_derivatives.py`, in whole arrays: the same lines serve NumPy arrays of Values, and peers.

`cat` joins a list of arrays, `m` has the functions of numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import problems

Array = NDArray[np.float64]
Cat = Callable[[list[Any]], Any]

DIFFUSION_POINTS = 10_000
INTERVALS = 500
RODS = 1_000


def reaction_diffusion(w: Any, cat: Cat) -> Any:
    """The right-hand side of the Gray-Scott equations on a line, with no flux at its ends: 2 numbers a point."""
    n = w.shape[0] // 2
    u, v = w[:n], w[n:]
    reaction = u * v * v
    rates = []
    for x, sign, speed in ((u, -1.0, 0.16), (v, 1.0, 0.08)):
        left, right = cat([x[:1], x[:-1]]), cat([x[1:], x[-1:]])
        fed = 0.035 * (1.0 - x) if sign < 0.0 else -0.1 * x
        rates.append(speed * (left - 2.0 * x + right) + sign * reaction + fed)
    return cat(rates)


def diffusion_data() -> dict[str, Array]:
    """Concentrations at a point that nothing is special about."""
    return {"w": np.random.default_rng(0).uniform(0.1, 0.9, 2 * DIFFUSION_POINTS)}


def collocation(z: Any, cat: Cat, m: Any) -> Any:
    """The defects of a cart with a pole, by the trapezoidal rule: 4 states and a force at each node, 4 defects.

    The equations are those of Kelly, An introduction to trajectory optimization, SIAM Review 59 (2017), appendix E.
    """
    n = z.shape[0] // 5
    x, angle, speed, turning, force = [z[k * n : (k + 1) * n] for k in range(5)]
    sine, cosine = m.sin(angle), m.cos(angle)
    mass, pole, length, gravity = 1.0, 0.3, 0.5, 9.81
    below = mass + pole * sine * sine
    pull = length * pole * sine * turning * turning + force
    rates = [
        speed,
        turning,
        (pull + pole * gravity * cosine * sine) / below,
        -(cosine * pull + (mass + pole) * gravity * sine) / (length * below),
    ]
    half = 0.5 * 2.0 / (n - 1)
    return cat([s[1:] - s[:-1] - half * (f[1:] + f[:-1]) for s, f in zip([x, angle, speed, turning], rates)])


def collocation_data() -> dict[str, Array]:
    """States and forces at the nodes."""
    return {"z": np.random.default_rng(0).normal(0.0, 1.0, 5 * (INTERVALS + 1))}


def chain_energy(q: Any, m: Any, total: Callable[[Any], Any]) -> Any:
    """The energy of elastic rods that hang in a row: stretching, bending where two meet, and weight."""
    n = q.shape[0] // 2
    x, y = q[:n], q[n:]
    dx, dy = x[1:] - x[:-1], y[1:] - y[:-1]
    length = m.sqrt(dx * dx + dy * dy)
    stretched = length * RODS - 1.0
    turn = (dx[:-1] * dy[1:] - dy[:-1] * dx[1:]) / (length[:-1] * length[1:])
    return 50.0 * total(stretched * stretched) + 0.1 * total(turn * turn) + 9.81 * total(y) / RODS


def chain_data() -> dict[str, Array]:
    """Where the ends of the rods are: about evenly on a line."""
    noise = np.random.default_rng(0).normal(0.0, 0.1 / RODS, 2 * (RODS + 1))
    return {"q": np.concatenate([np.linspace(0.0, 1.0, RODS + 1), np.zeros(RODS + 1)]) + noise}


def bundle_data() -> dict[str, Array]:
    """The cameras, points and weights of `problems.bundle_data` as one vector, and which of them each feature is of."""
    random = np.random.default_rng(0)
    cameras, points, n = problems.BUNDLE_CAMERAS, problems.BUNDLE_POINTS, problems.BUNDLE_OBSERVATIONS
    rows = problems.bundle_data(max(cameras, points))["parameters"]
    p = np.concatenate([rows[:cameras, :11].ravel(), rows[:points, 11:14].ravel(), random.uniform(0.5, 1.5, n)])
    seen = random.integers(cameras, size=n).astype(float), random.integers(points, size=n).astype(float)
    return {"p": p, "camera": seen[0], "point": seen[1], "features": random.normal(0, 100, (n, 2))}


def of_bundle(p: Any) -> tuple[Any, Any, Any]:
    """Cameras (49, 11), points (7776, 3) and weights, cut from one vector."""
    end = 11 * problems.BUNDLE_CAMERAS
    last = end + 3 * problems.BUNDLE_POINTS
    return p[:end].reshape(-1, 11), p[end:last].reshape(-1, 3), p[last:]
