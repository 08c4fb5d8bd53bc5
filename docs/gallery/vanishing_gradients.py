"""Vanishing and exploding gradients.

The mean size of the gradient in each of twenty layers, for weights of several sizes. With sigmoids, each layer
takes away at least three quarters.
"""

import matplotlib.pyplot as plt

from nn import MLP

plt.figure(figsize=(6, 4), layout="constrained")
for activation, scale in (("tanh", 0.5), ("tanh", 1.6), ("tanh", 4.0), ("sigmoid", 1.6)):
    model = MLP(8, [8] * 20, activation=activation, seed=0)
    for parameter in model.parameters():
        if ".w[" in parameter.label:
            parameter.data *= scale
    outputs = model([0.3, -0.1, 0.5, 0.2, -0.4, 0.1, 0.0, 0.2])
    sum(o * o for o in outputs).backward()
    sizes = []
    for layer in model.layers:
        slopes = [abs(p.grad) for p in layer.parameters()]
        sizes.append(sum(slopes) / len(slopes))
    plt.semilogy(range(1, 21), sizes, marker=".", label=f"{activation}, weights × {scale}")
plt.xticks(range(2, 21, 2))
plt.xlabel("layer")
plt.ylabel("mean |gradient|")
plt.legend()
plt.savefig("vanishing_gradients.png", dpi=130)
