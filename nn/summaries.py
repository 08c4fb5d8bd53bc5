"""A table of what a model consists of."""

from __future__ import annotations

from typing import Any

from nn.layers import Layer, Neuron
from nn.module import Module, walk

HEADS = ("module", "kind", "shape", "parameters")


def summary(model: Module) -> str:
    """The modules within, with their shapes and parameters; one that appears twice is listed once."""
    rows = [(path, _kind(found), _shape(found), f"{len(found.parameters()):,}") for path, found in _listed(model)]
    total = (type(model).__name__, "", "", f"{len(model.parameters()):,}")
    widths = [max(len(row[k]) for row in (HEADS, *rows, total)) for k in range(len(HEADS))]

    def line(row: tuple[str, ...]) -> str:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths)]
        return "    ".join([*cells, row[-1].rjust(widths[-1])])

    rule = "-" * len(line(total))
    return "\n".join([line(HEADS), rule, *map(line, rows), rule, line(total)])


def _listed(model: Module) -> list[tuple[str, Module]]:
    """The modules with parameters of which no part is listed, by their paths; neurons only if they stand alone."""
    if isinstance(model, Layer):
        return [("", model)]
    found = [(path, part) for path, part in walk(model) if isinstance(part, Module) and path]
    inside_layers = {id(part) for _, layer in found if isinstance(layer, Layer) for part in layer.neurons}
    kept = [(path, part) for path, part in found if id(part) not in inside_layers]
    whole = [(path, part) for path, part in kept if isinstance(part, (Layer, Neuron)) or not _has_modules(part)]
    own = [p for p in vars(model).values() if not isinstance(p, Module)] and _own_parameters(model, whole)
    return [*whole, *([("", model)] if own and not whole else [])] or [("", model)]


def _has_modules(module: Module) -> bool:
    return any(isinstance(part, Module) and path for path, part in walk(module))


def _own_parameters(model: Module, listed: list[tuple[str, Module]]) -> bool:
    inside = {id(p) for _, part in listed for p in part.parameters()}
    return any(id(p) not in inside for p in model.parameters())


def _kind(module: Module) -> str:
    kinds = sorted({repr(neuron).partition("(")[0] for neuron in module.neurons}) if isinstance(module, Layer) else []
    return f"{type(module).__name__} of {', '.join(kinds)}" if kinds else type(module).__name__


def _shape(module: Any) -> str:
    if isinstance(module, Layer):
        return f"{len(module.neurons[0].w)} → {len(module.neurons)}"
    return f"{len(module.w)} → 1" if isinstance(module, Neuron) else ""
