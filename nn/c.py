"""C: trained models for programs without Python, as one file."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import autograd.math as am
from nn.stages import nested, shape_of, stages_of

__all__ = ["to_c"]


def to_c(
    model: Callable[[Any], Any],
    path: str | os.PathLike[str] | None = None,
    *,
    inputs: int | tuple[int, ...] | None = None,
    classes: bool = False,
    name: str = "model",
) -> str:
    """A model as one self-contained C99 function of one observation, which gives the same outputs.

    The parameters are constants in the file, as they are now. The function is made as `Compiled.c_source` makes it: it
    needs nothing but ``<math.h>`` and ``<stddef.h>``, allocates nothing, and returns 0 or a status.

    Parameters
    ----------
    model : callable
        A module, or any other function of one observation. If it branches on an input, use `autograd.math.where`.
    path : path, optional
        A file to write, usually with the ending ``.c``.
    inputs : int or tuple of int, optional
        The number of inputs of an observation, or its shape, such as (steps, inputs) for a sequence of rows. Needed
        if the model is not made of layers alone.
    classes : bool
        The outputs are logits, and the function returns ``probabilities`` and ``chosen``, the number of the most
        probable class, in their place. A model of one output has the classes 0 and 1.
    name : str
        The name of the C function.

    Returns
    -------
    str
        The text of the file.

    Raises
    ------
    ImportError
        If NumPy or llvmlite is not installed.
    NotImplementedError
        If the model calls a primitive that `custom_gradient` made of Python code.
    ValueError
        If the number of inputs is needed, or is not that of the model; if an output is chosen of an empty list.

    Examples
    --------
    >>> from nn import MLP
    >>> from nn.c import to_c
    >>> text = to_c(MLP(2, [3, 1], activation="relu", seed=0), name="score")
    >>> print([line for line in text.splitlines() if line.startswith("int score(")][0])
    int score(const double x[2], double *y);
    >>> text = to_c(MLP(2, [3, 4], seed=0), classes=True)
    >>> print([line for line in text.splitlines() if line.startswith("int model(")][0])
    int model(const double x[2], double probabilities[4], double *chosen);
    """
    from autograd.compiler import jit
    from autograd.compiler.run.exports import example_of

    shape = shape_of(model, stages_of(model), inputs)

    def outputs(x: Any) -> Any:
        return _classified(model(x)) if classes else model(x)

    example = nested([0.5 + k / prod(shape) for k in range(prod(shape))], shape)
    results = ["probabilities", "chosen"] if classes else ["y"]
    text = example_of(jit(outputs, quiet=True), (example,), {}, name, "constants", results).source.text()
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def _classified(outputs: Any) -> tuple[Any, Any]:
    """Probabilities, and the number of the most probable class; of equal ones the first."""
    if not isinstance(outputs, (list, tuple)):
        probability = am.sigmoid(outputs)
        return [1.0 - probability, probability], am.where(outputs > 0.0, 1.0, 0.0)
    if not outputs:
        raise ValueError("the model has no outputs among which a class could be chosen")
    best, chosen = outputs[0], 0.0
    for number, output in enumerate(outputs[1:], 1):
        better = output > best
        best, chosen = am.where(better, output, best), am.where(better, float(number), chosen)
    return am.softmax(list(outputs)), chosen
