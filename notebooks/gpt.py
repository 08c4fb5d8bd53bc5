"""A generative pre-trained transformer, number by number: it learns to spell and invents names.

Run it with `python notebooks/gpt.py`. It follows the plan of Andrej Karpathy's microgpt:
characters in, one layer of causal attention and a two-layer network, probabilities of the
next character out, trained with Adam. All arithmetic is on scalars, so `Value` may be ours or
that of any engine with + * ** exp log relu.
"""

import argparse
import random
from itertools import pairwise
from pathlib import Path

WIDTH = 16  # numbers per character
HEADS = 4  # of attention, each works on its part of the width
CONTEXT = 16  # characters that it can look back at
LETTERS = "abcdefghijklmnopqrstuvwxyz"
EDGE = len(LETTERS)  # the token before the first and after the last letter


def first_names():
    """The first names of the 1990 census of the United States, in the PyPI package `names`."""
    import names

    files = [names.FILES[kind] for kind in ("first:female", "first:male")]
    found = {
        line.split()[0].lower()
        for file in files
        for line in Path(file).read_text().splitlines()
    }
    return sorted(name for name in found if set(name) <= set(LETTERS) and len(name) < CONTEXT)


def matrices(value, generator):
    """The 4,192 parameters: random matrices, each a list of rows, by their names."""

    def matrix(rows, columns):
        return [[value(generator.gauss(0, 0.08)) for _ in range(columns)] for _ in range(rows)]

    return {
        "token": matrix(EDGE + 1, WIDTH),
        "position": matrix(CONTEXT, WIDTH),
        "query": matrix(WIDTH, WIDTH),
        "key": matrix(WIDTH, WIDTH),
        "value": matrix(WIDTH, WIDTH),
        "mix": matrix(WIDTH, WIDTH),
        "expand": matrix(4 * WIDTH, WIDTH),
        "contract": matrix(WIDTH, 4 * WIDTH),
        "answer": matrix(EDGE + 1, WIDTH),
    }


def apply(matrix, x):
    """Matrix times vector."""
    return [sum(w * xi for w, xi in zip(row, x, strict=True)) for row in matrix]


def plus(x, y):
    """The sum of two vectors."""
    return [a + b for a, b in zip(x, y, strict=True)]


def normalised(x):
    """The vector scaled so that the root of its mean square is 1 (RMSNorm)."""
    scale = (sum(xi * xi for xi in x) / len(x) + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def softmax(logits):
    """Probabilities in proportion to the exponentials; none of them overflows."""
    largest = max(logit.data for logit in logits)
    powers = [(logit - largest).exp() for logit in logits]
    total = sum(powers)
    return [power / total for power in powers]


def attend(query, keys, values):
    """Per head, the mean of the earlier values, weighted by how their keys match the query."""
    share, attended = WIDTH // HEADS, []
    for head in range(HEADS):
        part = slice(head * share, (head + 1) * share)
        scores = [
            sum(q * k for q, k in zip(query[part], key[part], strict=True)) / share**0.5
            for key in keys
        ]
        weights = softmax(scores)
        attended += [
            sum(w * v[i] for w, v in zip(weights, values, strict=True))
            for i in range(WIDTH)[part]
        ]
    return attended


def predict(model, token, seen):
    """Logits of the next token; `seen` holds the earlier keys and values, and gets new ones."""
    x = normalised(plus(model["token"][token], model["position"][len(seen)]))
    normal = normalised(x)
    seen.append((apply(model["key"], normal), apply(model["value"], normal)))
    keys, values = zip(*seen, strict=True)
    x = plus(x, apply(model["mix"], attend(apply(model["query"], normal), keys, values)))
    hidden = [h.relu() ** 2 for h in apply(model["expand"], normalised(x))]
    x = plus(x, apply(model["contract"], hidden))
    return apply(model["answer"], x)


def surprise(model, name):
    """The mean of -log p(next letter) over a name and its end: the loss."""
    tokens = [EDGE, *map(LETTERS.index, name), EDGE]
    seen = []
    losses = [
        -softmax(predict(model, token, seen))[following].log()
        for token, following in pairwise(tokens)
    ]
    return sum(losses) / len(losses)


class Adam:
    """Gradient descent with a separate momentum and step size for every parameter.

    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
    """

    def __init__(self, parameters, momentum=0.85, memory=0.99):
        self.parameters, self.momentum, self.memory = parameters, momentum, memory
        self.mean, self.square = [0.0] * len(parameters), [0.0] * len(parameters)
        self.steps = 0

    def step(self, rate):
        """Change every parameter, and set its `.grad` to 0 for the next step."""
        self.steps += 1
        for i, p in enumerate(self.parameters):
            self.mean[i] += (1 - self.momentum) * (p.grad - self.mean[i])
            self.square[i] += (1 - self.memory) * (p.grad**2 - self.square[i])
            mean = self.mean[i] / (1 - self.momentum**self.steps)
            square = self.square[i] / (1 - self.memory**self.steps)
            p.data -= rate * mean / (square**0.5 + 1e-8)
            p.grad = 0.0


def train(value, steps, seed=42):
    """Learn one name after the other; yield the model with the loss of each step."""
    generator = random.Random(seed)
    names = first_names()
    generator.shuffle(names)
    model = matrices(value, generator)
    optimiser = Adam([p for matrix in model.values() for row in matrix for p in row])
    for step in range(steps):
        loss = surprise(model, names[step % len(names)])
        loss.backward()
        optimiser.step(rate=0.01 * (1 - step / steps))
        yield model, loss.data


def invent(model, generator, temperature=0.7):
    """A new name; each letter is drawn by its probability."""
    name, token, seen = "", EDGE, []
    while len(seen) < CONTEXT:
        weights = [
            p.data
            for p in softmax([logit / temperature for logit in predict(model, token, seen)])
        ]
        (token,) = generator.choices(range(EDGE + 1), weights)
        if token == EDGE:
            break
        name += LETTERS[token]
    return name


def main():
    """Train, and print invented names."""
    from autograd import Value, no_grad

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300, help="names to learn from")
    steps = parser.parse_args().steps
    for step, (model, loss) in enumerate(train(Value, steps), start=1):  # noqa: B007 (the model is used below)
        print(
            f"step {step:4} of {steps}: loss {loss:.4f}",
            end="\r" if step < steps else "\n",
            flush=True,
        )
    generator = random.Random(0)
    with no_grad():
        print("Invented:", ", ".join(invent(model, generator).capitalize() for _ in range(20)))


if __name__ == "__main__":
    main()
