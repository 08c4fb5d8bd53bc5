"""Greeks of an option.

The price of a call by the formula of Black and Scholes, and its first and second derivatives: delta, gamma and
vega, for 200 prices of the share, at three times.
"""

import matplotlib.pyplot as plt
import numpy as np

import autograd.math as am
from autograd import grad, jit, vmap


def call(spot, volatility, years):
    width = volatility * am.sqrt(years)
    d = (am.log(spot / 100.0) + 0.03 * years) / width + width / 2
    return spot * am.erfc(-d / 2**0.5) / 2 - 100.0 * am.exp(-0.03 * years) * am.erfc(-(d - width) / 2**0.5) / 2


curves = {
    "price": call,
    "delta = ∂price/∂spot": grad(call),
    "gamma = ∂²price/∂spot²": grad(grad(call)),
    "vega = ∂price/∂volatility": grad(call, argnums=1),
}
spots = np.linspace(50.0, 150.0, 200)
figure, axes = plt.subplots(2, 2, figsize=(8, 5), sharex=True, layout="constrained")
for (name, curve), axis in zip(curves.items(), axes.flat):
    compiled = jit(vmap(curve, in_axes=(0, None, None)))
    for years in (0.1, 0.5, 2.0):
        axis.plot(spots, compiled(spots, 0.2, years), label=f"{years} years")
    axis.set_title(name, fontsize=10)
axes[0, 0].legend()
plt.savefig("greeks.png", dpi=130)
