"""Basins of Newton's method.

From each point of the plane, Newton's method for z³ = 1, with a Jacobian from the engine. The colour is the
root that it reaches, the shade how fast. 40,000 starts, mapped and compiled.
"""

import matplotlib.pyplot as plt
import numpy as np

from autograd import jacobian, jit, vmap


def equations(z):
    x, y = z
    return [x**3 - 3 * x * y**2 - 1, 3 * x**2 * y - y**3]


def newton_step(z):
    (a, b), (c, d) = jacobian(equations)(z)
    f, g = equations(z)
    det = a * d - b * c
    return [z[0] - (d * f - b * g) / det, z[1] - (a * g - c * f) / det]


step = jit(vmap(newton_step))
side = np.linspace(-1.5, 1.5, 200)
z = np.stack([a.ravel() for a in np.meshgrid(side, side)], axis=1)
count = np.zeros(len(z))
for _ in range(25):
    z = np.stack(step(z), axis=1)
    roots = np.round(np.arctan2(z[:, 1], z[:, 0]) / (2 * np.pi / 3)) % 3
    count += np.abs(np.hypot(z[:, 0], z[:, 1]) - 1) > 1e-3
colours = plt.get_cmap("Set2")(roots.astype(int).reshape(200, 200))
colours[..., :3] *= (1 - 0.75 * np.clip(count / 14, 0, 1)).reshape(200, 200, 1)
plt.imsave("newton_basins.png", np.kron(colours, np.ones((2, 2, 1))), origin="lower")
