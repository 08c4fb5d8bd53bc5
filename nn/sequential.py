"""Models made of other models and of plain functions, one after another."""

from __future__ import annotations

from typing import Any

import autograd.math as am
from autograd import Rule, rules
from nn.layers import MLP, Activation, Layer, Neuron, activation_of, apply_each
from nn.module import Module

OF_SEQUENCES = (Layer, MLP, Neuron)


class Sequential(Module):
    """The parts one after another: each is given what the one before returns.

    Parameters
    ----------
    *parts : Module, callable or str
        Modules; activations (by name, or such as ``autograd.math.tanh``), which are applied to each number; or
        functions of all outputs of the part before. A module that appears twice shares its weights.

    Raises
    ------
    TypeError
        If a part cannot be called.
    ValueError
        If there are no parts, or a name is unknown.

    Examples
    --------
    >>> from nn import Layer, Sequential
    >>> hidden = Layer(2, 2, activation="linear", seed=1)
    >>> model = Sequential(hidden, "tanh", hidden, "tanh", lambda outputs: outputs[0] - outputs[1])
    >>> len(model.parameters())
    6
    >>> model([0.5, -1.0]).op
    sub
    """

    def __init__(self, *parts: Activation | Module) -> None:
        if not parts:
            raise ValueError("Sequential needs at least one part")
        self.parts = [_part(part) for part in parts]

    def __call__(self, x: Any) -> Any:
        """What the last part returns."""
        for part in self.parts:
            if isinstance(part, OF_SEQUENCES) and not hasattr(x, "__len__"):
                x = [x]  # the only output of the part before
            x = apply_each(part, x) if is_of_one(part) else part(x)
        return x

    def __repr__(self) -> str:
        return f"Sequential of [{', '.join(map(_named, self.parts))}]"


def is_of_one(part: Any) -> bool:
    """Whether a part is a function of one number: a row of the table, or the function of `autograd.math` for it."""
    if isinstance(part, Rule):
        return part.arity == 1
    known = rules.TABLE.get(getattr(part, "__name__", ""))
    return known is not None and known.arity == 1 and part is getattr(am, known.name, None)


def _part(part: Any) -> Any:
    if isinstance(part, str):
        found = activation_of(part)
        if found is None:
            raise ValueError("'linear' is no part of Sequential: it does nothing")
        return found
    if not callable(part) or isinstance(part, type):
        advice = f": make one, {part.__name__}(...)" if isinstance(part, type) else ""
        if isinstance(part, (list, tuple)):
            advice = ": pass the parts one by one, Sequential(*parts)"
        raise TypeError(f"a part must be a module, a function or the name of an activation, not {part!r:.80}{advice}")
    return part


def _named(part: Any) -> str:
    return repr(part) if isinstance(part, (Module, Rule)) else str(getattr(part, "__name__", part))
