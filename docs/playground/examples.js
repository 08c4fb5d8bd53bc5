// The programs to choose from. The first one is shown at the start.

export const examples = [
  { name: "A formula", code: "a * b + sin(a)" },
  { name: "A neuron", code: "x1, x2 = 0.5, -1.0\nw1, w2, bias = 0.8, 0.3, 0.1\n\nz = w1 * x1 + w2 * x2 + bias\ny = tanh(z)\nerror = (y - 1) ** 2" },
  {
    name: "The worked example: 2-2-2",
    code:
      "# two inputs, two hidden neurons, two outputs\nx = [0.05, 0.10]\nw = [Value(v, label=f\"w{i}\") for i, v in enumerate(\n" +
      "    [0.15, 0.20, 0.25, 0.30, 0.40, 0.45, 0.50, 0.55], 1)]\n\nh1 = sigmoid(w[0] * x[0] + w[1] * x[1] + 0.35)\n" +
      "h2 = sigmoid(w[2] * x[0] + w[3] * x[1] + 0.35)\no1 = sigmoid(w[4] * h1 + w[5] * h2 + 0.60)\no2 = sigmoid(w[6] * h1 + w[7] * h2 + 0.60)\n" +
      "E = (0.01 - o1) ** 2 / 2 + (0.99 - o2) ** 2 / 2",
  },
  {
    name: "A small network",
    code:
      'model = MLP(2, [3, 1], activation="tanh", seed=0)\noutput = model([0.5, -1.0])\nloss = (output - 0.8) ** 2',
  },
  {
    name: "Training steps",
    code:
      "inputs, targets = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]\nmodel = MLP(2, [4, 1], activation=\"tanh\", seed=0)\n" +
      "optimiser = SGD(model.parameters(), learning_rate=0.5)\n\nfor step in range(100):\n    optimiser.zero_grad()\n" +
      "    loss = binary_cross_entropy_with_logits([model(x) for x in inputs], targets)\n    loss.backward()\n    optimiser.step()\n" +
      "    if step % 20 == 0:\n        print(step, round(loss.data, 4))\n\n" +
      "# the loss after the last step\nbinary_cross_entropy_with_logits([model(x) for x in inputs], targets)",
  },
  { name: "A branch", code: "x = 0.7\n\n# move x below 0.5: the graph changes\nif x > 0.5:\n    y = x ** 2\nelse:\n    y = exp(x) - 1\ny * a" },
  { name: "A loop: the square root", code: "a = 2.0\n\nroot = a\nwhile abs(root * root - a) > 1e-6:\n    root = (root + a / root) / 2\nroot" },
  { name: "Kinks: relu and max", code: "hidden = relu(w * x + b)\nmax(hidden, c) * 2" },
  { name: "A gradient that vanishes", code: "x = 3.0\ny = x\nfor layer in range(5):\n    y = sigmoid(w * y)\ny" },
  { name: "A nan: where does it come from?", code: "x = 0.0\nsqrt(x * x)" },
  { name: "Softmax and cross-entropy", code: "total = exp(a) + exp(b) + exp(c)\nloss = -log(exp(a) / total)" },
];
