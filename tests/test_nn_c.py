"""Models as C: a network that classifies digits, from one file that gcc compiles."""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_functions import run_compiler
from sklearn.datasets import load_digits

import autograd.math as am
from autograd import Value
from nn import MLP, Sequential
from nn.c import to_c

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
Numbers = ctypes.POINTER(ctypes.c_double)


def loaded(text: str, folder: Path, name: str) -> Any:
    """The function of a file, called with an array: its status and its outputs."""
    (folder / f"{name}.c").write_text(text)
    run_compiler("gcc", ["-O2", "-shared", "-fPIC"], folder / f"{name}.c", folder=folder, output=f"{name}.so")
    function = getattr(ctypes.CDLL(str(folder / f"{name}.so")), name)

    def call(x: Any, *sizes: int, work: int = 10_000) -> Any:
        given = np.ascontiguousarray(x, dtype=float)
        made = [np.full(size, np.nan) for size in (*sizes, work)]
        arrays = [array.ctypes.data_as(Numbers) for array in (given, *made)]
        return function(*arrays), *made[:-1]

    return call


def nearest_mean(x: Any, y: Any) -> MLP:
    """A network that chooses the class whose mean is nearest: its hidden units are the scores, and these negated."""
    means = np.array([x[y == k].mean(axis=0) for k in range(10)])
    model = MLP(64, [20, 10], activation="relu", seed=0)
    hidden, last = model.layers
    for k, neuron in enumerate(hidden.neurons):
        sign, mean = (1.0, means[k]) if k < 10 else (-1.0, means[k - 10])
        for w, number in zip(neuron.w, sign * mean, strict=True):
            w.data = float(number)
        neuron.b.data = float(-sign * 0.5 * mean @ mean)
    for k, neuron in enumerate(last.neurons):
        for j, w in enumerate(neuron.w):
            w.data = 3.0 * ((j == k) - (j == k + 10))
    return model


def test_digits(tmp_path: Path) -> None:
    """One file below 100 kB classifies digits: the classes and probabilities of the model on the test set."""
    x, y = load_digits(return_X_y=True)
    x = x / 16.0
    model = nearest_mean(x[:1200], y[:1200])
    path = tmp_path / "digits.c"
    text = to_c(model, path, classes=True, name="digits")
    assert path.stat().st_size < 100_000
    assert text == path.read_text()
    call = loaded(text, tmp_path, "digits")
    logits = np.array([[q.data for q in model(row.tolist())] for row in x[1200:1300]])
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    right = 0
    for row, target, probabilities in zip(x[1200:1300], y[1200:1300], expected, strict=True):
        status, found, (chosen,) = call(row, 10, 1)
        assert status == 0
        np.testing.assert_allclose(found, probabilities, rtol=1e-11, atol=1e-14)
        assert chosen == probabilities.argmax()
        right += int(chosen) == target
    classes = np.array([call(row, 10, 1)[2][0] for row in x[1300:]])
    assert right + np.sum(classes == y[1300:]) > 0.8 * len(y[1200:])


def test_other_models(tmp_path: Path) -> None:
    """Outputs of one number, two classes of one logit, and a model of one's own on a table of inputs."""
    model = MLP(3, [4, 1], activation="tanh", seed=1)
    x = [0.5, -1.0, 2.0]
    status, (found,) = loaded(to_c(model, name="score"), tmp_path, "score")(x, 1)
    assert (status, found) == (0, pytest.approx(model(x).data, rel=1e-14))
    status, both, (chosen,) = loaded(to_c(model, name="sign", classes=True), tmp_path, "sign")(x, 2, 1)
    probability = am.sigmoid(model(x).data)
    assert (status, chosen) == (0, float(probability > 0.5))
    np.testing.assert_allclose(both, [1.0 - probability, probability], rtol=1e-14)

    weight = Value(0.5, label="weight")

    def own(rows: Any) -> Any:
        return [am.sum([am.sin(weight * q) for q in row]) for row in rows]

    table = np.arange(6.0).reshape(2, 3)
    status, found = loaded(to_c(own, inputs=(2, 3), name="own"), tmp_path, "own")(table, 2)
    assert status == 0
    np.testing.assert_allclose(found, np.sin(0.5 * table).sum(axis=1), rtol=1e-14)


def test_the_parameters_are_those_of_now() -> None:
    """After training goes on, the text has the new numbers."""
    model = MLP(2, [1], seed=0)
    model.parameters()[0].data = 0.123456
    assert "0.123456" in to_c(model)
    model.parameters()[0].data = 0.654321
    assert "0.654321" in to_c(model)


def test_errors() -> None:
    """What is missing is said."""
    with pytest.raises(ValueError, match="pass inputs"):
        to_c(lambda x: x[0])
    with pytest.raises(ValueError, match="takes 2 inputs"):
        to_c(MLP(2, [1]), inputs=3)
    with pytest.raises(ValueError, match="no outputs among which a class"):
        to_c(lambda x: [], inputs=1, classes=True)
    assert "LEFT_1" in to_c(Sequential(MLP(2, [1]), lambda y: y if y > 0.0 else -y), inputs=2)
