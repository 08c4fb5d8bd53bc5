"""A network of two layers, number by number.

The example that many courses work through by hand: two inputs, two hidden neurons, two outputs. Each box has
its value and its gradient, each line its local derivative and its message.
"""

from autograd import Value
from autograd.view import render

x = [0.05, 0.1]
w = [Value(v, label=f"w{i}") for i, v in enumerate([0.15, 0.2, 0.25, 0.3, 0.4, 0.45, 0.5, 0.55], 1)]
h = [(w[2 * i] * x[0] + w[2 * i + 1] * x[1] + 0.35).sigmoid() for i in range(2)]
o = [(w[4 + 2 * i] * h[0] + w[5 + 2 * i] * h[1] + 0.6).sigmoid() for i in range(2)]
for i in range(2):
    h[i].label, o[i].label = f"h{i + 1}", f"o{i + 1}"
error = sum((t - out) ** 2 / 2 for t, out in zip([0.01, 0.99], o))
error.label = "E"
render(error, "worked_example.svg")
