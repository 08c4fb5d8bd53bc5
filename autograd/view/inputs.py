"""Plain numbers that a network takes: they are no nodes of a graph, and pictures show them as if they were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from autograd.value import Value
from autograd.view.groups import layer_of, module_path
from autograd.view.names import outer, steps
from autograd.view.symbols import name_of_copy


@dataclass(eq=False)
class Input:
    """A number beside the nodes, with the fields of a leaf."""

    label: str
    data: float
    op: None = None
    operands: tuple[Any, ...] = ()
    local_grads: tuple[Any, ...] = ()
    source: None = None


@dataclass
class Inputs:
    """The inputs of a graph, and where they are used: (place of the node, operand slot) → number of the input."""

    labels: list[str] = field(default_factory=list)
    uses: dict[tuple[int, int], int] = field(default_factory=dict)

    def of(self, order: Sequence[Value]) -> list[Input]:
        """The inputs with the numbers that they have in a graph."""
        found = {number: order[place].operands[slot] for (place, slot), number in self.uses.items()}
        return [Input(label, found[number]) for number, label in enumerate(self.labels)]


def products(order: Sequence[Value]) -> Iterator[tuple[int, int, int]]:
    """Where a parameter of a module is multiplied: place of the product, slot of the parameter, slot of the other."""
    for place, node in enumerate(order):
        name = node.op.name if node.op is not None else ""
        half = len(node.operands) // 2
        pairs = {"mul": [(0, 1)], "fma": [(0, 1)], "dot": [(i, half + i) for i in range(half)]}.get(name, [])
        for left, right in pairs:
            for slot, other in ((left, right), (right, left)):
                operand = node.operands[slot]
                if isinstance(operand, Value) and operand.op is None and module_path(operand.label):
                    yield place, slot, other


def find_inputs(order: Sequence[Value]) -> Inputs:
    """The plain numbers that parameters of modules are multiplied by.

    Neurons of a layer share an input if their parameters have the same name and the number is the same. The n-th
    time that a parameter is used belongs to the n-th observation.
    """
    found = Inputs()
    numbers: dict[Any, int] = {}
    times: Counter[Value] = Counter()
    for place, slot, other in products(order):
        parameter, number = order[place].operands[slot], order[place].operands[other]
        if type(number) is not float:
            continue
        last = steps(parameter.label)[-1]
        key = layer_of(outer(parameter.label)), last, times[parameter], number
        times[parameter] += 1
        if key not in numbers:
            numbers[key] = len(found.labels)
            found.labels.append(f"x[{last.partition('[')[2]}" if last.endswith("]") else "x")
        found.uses[place, other] = numbers[key]
    several = [key[2] for key in numbers if max(times.values()) > 1]
    if several:
        found.labels = [name_of_copy(label, time) for label, time in zip(found.labels, several)]
    return found
