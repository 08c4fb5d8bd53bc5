"""Two moons.

Where a network of two layers draws the line between two half-moons, and how sure it is. Each of 400 steps is
one call of compiled code.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from autograd import jit, vmap
from nn import MLP, Adam, binary_cross_entropy_with_logits

points, labels = make_moons(200, noise=0.15, random_state=3)
model = MLP(2, [12, 1], activation="tanh", seed=1)
optimiser = Adam(model.parameters(), learning_rate=0.05)


@jit
def loss(points, labels):
    return vmap(lambda x, t: binary_cross_entropy_with_logits([model(x)], [t]), reduce="mean")(points, labels)


for _ in range(400):
    optimiser.zero_grad()
    loss(points, labels.astype(float)).backward()
    optimiser.step()

x, y = np.meshgrid(np.linspace(-1.6, 2.6, 90), np.linspace(-1.1, 1.6, 60))
grid = np.stack([x.ravel(), y.ravel()], axis=1)
logits = np.array([v.data for v in jit(vmap(model))(grid)]).reshape(x.shape)
plt.figure(figsize=(6, 4), layout="constrained")
plt.contourf(x, y, 1 / (1 + np.exp(-logits)), levels=20, cmap="PuOr")
plt.contour(x, y, logits, levels=[0.0], colors="black")
plt.scatter(*points.T, c=labels, cmap="PuOr", edgecolors="black", s=22)
plt.axis("off")
plt.savefig("two_moons.png", dpi=130)
