"""A table of what a model consists of."""

from __future__ import annotations

from collections import Counter
from typing import Any

from nn.layers import Layer, Neuron
from nn.module import Module, walk

HEADS = ("module", "kind", "shape", "parameters")


def summary(model: Module) -> str:
    """The modules within, with their shapes and parameters; one that appears twice is listed once."""
    rows = [(path, _kind(part), _shape(part), f"{count:,}") for path, part, count in _listed(model)]
    total = (type(model).__name__, "", "", f"{len(model.parameters()):,}")
    widths = [max(len(row[k]) for row in (HEADS, *rows, total)) for k in range(len(HEADS))]

    def line(row: tuple[str, ...]) -> str:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths)]
        return "    ".join([*cells, row[-1].rjust(widths[-1])])

    rule = "-" * len(line(total))
    return "\n".join([line(HEADS), rule, *map(line, rows), rule, line(total)])


def _listed(model: Module) -> list[tuple[str, Module, int]]:
    """The modules that hold parameters or nothing at all, by their paths, and how many parameters each holds itself.

    The neurons of a layer count as the layer, and a shared parameter counts once.
    """
    found = [(path, part) for path, part in walk(model) if isinstance(part, Module)]
    in_layers = {id(neuron) for _, layer in found if isinstance(layer, Layer) for neuron in layer.neurons}
    found = [(path, part) for path, part in found if id(part) not in in_layers]
    owner = {parameter: part for _, part in found for parameter in part.parameters()}  # parts come after the whole
    held = Counter(map(id, owner.values()))
    empty = {id(part) for _, part in found if not part.parameters()}
    return [(path or "(itself)", part, held[id(part)]) for path, part in found if held[id(part)] or id(part) in empty]


def _kind(module: Module) -> str:
    kinds = sorted({repr(neuron).partition("(")[0] for neuron in module.neurons}) if isinstance(module, Layer) else []
    return f"{type(module).__name__} of {', '.join(kinds)}" if kinds else type(module).__name__


def _shape(module: Any) -> str:
    if isinstance(module, Layer):
        return f"{len(module.neurons[0].w)} → {len(module.neurons)}"
    return f"{len(module.w)} → 1" if isinstance(module, Neuron) else ""
