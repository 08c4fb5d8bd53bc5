"""The wing of a butterfly.

How far apart do two Lorenz systems drift that differ by a hair at the start? The derivative of the state by the
start says it: it grows until no forecast is left.
"""

import matplotlib.pyplot as plt
import numpy as np

from autograd import jit, scan, value_and_grad


def lorenz(state):
    x, y, z = state
    return [x + 0.005 * 10 * (y - x), y + 0.005 * (x * (28 - z) - y), z + 0.005 * (x * y - 8 / 3 * z)]


def after(x, steps):
    state, _ = scan(lambda s, _: (lorenz(s), None), [x, 1.0, 20.0], length=steps)
    return state[0]


lengths = range(50, 3000, 150)
slopes = [abs(jit(value_and_grad(lambda x, n=n: after(x, n)), quiet=True)(1.0)[1]) for n in lengths]
path = [[1.0, 1.0, 20.0]]
for _ in range(3000):
    path.append(lorenz(path[-1]))
path = np.array(path)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.plot(path[:, 0], path[:, 2], lw=0.6)
left.axis("off")
right.semilogy([0.005 * n for n in lengths], slopes, marker=".")
right.set_xlabel("time")
right.set_ylabel("|∂x(t) / ∂x(0)|")
plt.savefig("butterfly.png", dpi=130)
