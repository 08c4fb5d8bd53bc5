"""Activations and their derivatives.

Eight activations in blue, their derivatives in orange, from the rows of the table.
"""

import matplotlib.pyplot as plt
import numpy as np

import autograd.math as am
from autograd import grad

x = np.linspace(-4, 4, 161)
names = ["relu", "leaky_relu", "elu", "softplus", "sigmoid", "tanh", "silu", "gelu"]
second = {"leaky_relu": (0.1,), "elu": (1.0,)}
figure, axes = plt.subplots(2, 4, figsize=(9, 4.2), sharex=True, layout="constrained")
for name, axis in zip(names, axes.flat):
    function = getattr(am, name)
    rest = second.get(name, ())
    axis.axhline(0, color="0.8", lw=0.8)
    axis.plot(x, [function(v, *rest) for v in x], lw=2)
    axis.plot(x, [grad(function)(v, *rest) for v in x], lw=1.6)
    axis.set_title(name, fontsize=10)
    axis.set_ylim(-1.3, 3)
plt.savefig("activations.png", dpi=130)
