"""Curvature: where gradients point, and where Newton would go.

At points of a landscape with a saddle, minus the gradient (blue) and Newton's step with the exact Hessian
(orange). Newton runs to the saddle, too.
"""

import matplotlib.pyplot as plt
import numpy as np

import autograd.math as am
from autograd import grad, hessian, jit


def landscape(p):
    return am.cos(p[0]) * am.sin(p[1]) + 0.1 * (p[0] ** 2 + p[1] ** 2)


slope, curvature = jit(grad(landscape)), jit(hessian(landscape))
x, y = np.meshgrid(np.linspace(-3, 3, 100), np.linspace(-3, 3, 100))
heights = np.cos(x) * np.sin(y) + 0.1 * (x**2 + y**2)
plt.figure(figsize=(6, 5), layout="constrained")
plt.contour(x, y, heights, levels=22, colors="0.75", linewidths=0.8)
for px in np.linspace(-2.6, 2.6, 10):
    for py in np.linspace(-2.6, 2.6, 10):
        g, h = np.array(slope([px, py])), np.array(curvature([px, py]))
        newton = -np.linalg.solve(h, g)
        for step, colour in ((-g, "tab:blue"), (newton / max(1.0, np.hypot(*newton)), "tab:orange")):
            plt.arrow(px, py, *(0.25 * step), color=colour, head_width=0.05, lw=1)
plt.axis("off")
plt.savefig("curvature.png", dpi=130)
