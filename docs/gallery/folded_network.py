"""A network with one box for each layer.

Thousands of operations, folded by the names of the parameters: what comes in, what is computed, how large the
gradients are.
"""

from autograd.view import render
from nn import MLP, mean_squared_error

model = MLP(3, [8, 8, 1], activation="tanh", seed=0)
inputs = [[0.1 * i, 0.5, -0.2 * i] for i in range(5)]
loss = mean_squared_error([model(x) for x in inputs], [0.3 * i for i in range(5)])
loss.label = "loss"
render(loss, "folded_network.svg", fold=True)
