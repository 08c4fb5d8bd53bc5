"""What a model is made of, for those who write it down for other programs: its layers, and the shape of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from nn.dropout import Dropout
from nn.layers import MLP, Layer, Neuron
from nn.sequential import Sequential, is_of_one

Stage = Sequence[Neuron] | Callable[[Any], Any]  # the neurons of a layer, or a function of each of their outputs


def stages_of(model: Any) -> list[Stage] | None:
    """The layers of a model that is nothing but layers; None for another model."""
    kind = type(model)
    if kind is Neuron:
        return [[model]]
    if kind is Layer:
        return [model.neurons] if _is_matrix(model.neurons) else None
    if kind in (MLP, Sequential):
        found = [_part(part) for part in (model.layers if kind is MLP else model.parts)]
        stages = [stage for stages in found if stages is not None for stage in stages]
        return stages if None not in found and stages and not callable(stages[0]) else None
    return None


def _part(part: Any) -> list[Stage] | None:
    """The stages of a part of a model; `Dropout` changes nothing in a prediction."""
    if is_of_one(part):
        return [part]
    return [] if type(part) is Dropout else stages_of(part)


def _is_matrix(neurons: Sequence[Any]) -> bool:
    """Whether the neurons differ in their numbers only."""
    same = {(type(neuron), len(neuron.w), id(neuron.activation)) for neuron in neurons}
    return len(same) == 1 and type(neurons[0]) is Neuron


def shape_of(model: Any, stages: list[Stage] | None, inputs: int | Sequence[int] | None) -> tuple[int, ...]:
    """The shape of one observation."""
    first = stages[0] if stages else None
    known = None if first is None or callable(first) else len(first[0].w)
    if inputs is None:
        if known is None:
            raise ValueError(f"pass inputs, the number of inputs of an observation or its shape, for {model!r:.80}")
        return (known,)
    shape = tuple([inputs] if hasattr(inputs, "__index__") else inputs)
    if not shape or not all(hasattr(n, "__index__") and not isinstance(n, bool) and n.__index__() > 0 for n in shape):
        raise ValueError(f"inputs must be a positive whole number, or a shape, not {inputs!r}")
    if known is not None and shape != (known,):
        raise ValueError(f"the model takes {known} inputs, not {inputs!r}")
    return tuple([n.__index__() for n in shape])


def nested(flat: Sequence[Any], shape: Sequence[int]) -> Any:
    """The elements in nested lists."""
    if len(shape) == 1:
        return list(flat)
    size = prod(shape[1:])
    return [nested(flat[i * size : (i + 1) * size], shape[1:]) for i in range(shape[0])]
