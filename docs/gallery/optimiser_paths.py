"""Five ways down a valley.

The same gradient, used by five methods on Rosenbrock's function: plain descent, momentum, RMSProp, Adam, and
Newton's method with the exact Hessian.
"""

import matplotlib.pyplot as plt
import numpy as np

from autograd import Value, hessian, jit, value_and_grad
from nn import SGD, Adam, RMSProp


def valley(p):
    return (1 - p[0]) ** 2 + 20 * (p[1] - p[0] ** 2) ** 2


def path_of(make, steps):
    p = [Value(-1.2), Value(1.4)]
    optimiser, path = make(p), [[-1.2, 1.4]]
    for _ in range(steps):
        optimiser.zero_grad()
        valley(p).backward()
        optimiser.step()
        path.append([v.data for v in p])
    return np.array(path)


def newton(steps):
    path, slope, curvature = [np.array([-1.2, 1.4])], jit(value_and_grad(valley)), jit(hessian(valley))
    for _ in range(steps):
        path.append(path[-1] - np.linalg.solve(curvature(path[-1]), slope(path[-1])[1]))
    return np.array(path)


paths = {
    "descent": path_of(lambda p: SGD(p, learning_rate=0.005), 150),
    "momentum": path_of(lambda p: SGD(p, learning_rate=0.005, momentum=0.85), 150),
    "RMSProp": path_of(lambda p: RMSProp(p, learning_rate=0.03), 150),
    "Adam": path_of(lambda p: Adam(p, learning_rate=0.1), 150),
    "Newton": newton(8),
}
x, y = np.meshgrid(np.linspace(-1.7, 1.7, 120), np.linspace(-0.8, 2.2, 120))
plt.figure(figsize=(7, 4.6), layout="constrained")
plt.contour(x, y, np.log(valley([x, y]) + 0.05), levels=18, colors="0.8", linewidths=0.8)
for name, path in paths.items():
    plt.plot(*path.T, label=name, lw=1.5, marker=".", ms=3)
plt.plot(1, 1, "k*", ms=10)
plt.xlim(-1.7, 1.7)
plt.ylim(-0.8, 2.2)
plt.legend()
plt.savefig("optimiser_paths.png", dpi=130)
