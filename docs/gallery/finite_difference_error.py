"""The error of finite differences.

A long step misses the curvature, a short one drowns in rounding. The reverse sweep has no step: its error is
the dotted line.
"""

import matplotlib.pyplot as plt
import mpmath as mp
import numpy as np

import autograd.math as am
from autograd import grad


def f(x):
    return am.exp(x) / (am.sin(x) ** 3 + am.cos(x) ** 3)


mp.mp.dps = 50
exact = mp.diff(lambda x: mp.exp(x) / (mp.sin(x) ** 3 + mp.cos(x) ** 3), mp.mpf("1.5"))
steps = np.logspace(-15, 0, 200)
forward = [abs((f(1.5 + h) - f(1.5)) / h / exact - 1) for h in steps]
central = [abs((f(1.5 + h) - f(1.5 - h)) / (2 * h) / exact - 1) for h in steps]
sweep = max(abs(grad(f)(1.5) / exact - 1), 1e-16)
plt.figure(figsize=(6, 4), layout="constrained")
plt.loglog(steps, forward, label="one-sided", lw=1.2)
plt.loglog(steps, central, label="central", lw=1.2)
plt.axhline(float(sweep), ls=":", color="black", label="reverse sweep")
plt.xlabel("step h")
plt.ylabel("relative error")
plt.ylim(1e-17, 10)
plt.legend()
plt.savefig("finite_difference_error.png", dpi=130)
