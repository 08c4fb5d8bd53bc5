"""The δ of every neuron: what the backpropagation algorithm of the textbooks passes from layer to layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autograd.sweep import record_sweep, topological_order
from autograd.value import Value
from autograd.view._names import named_parameters, outer
from autograd.view._symbols import show

LINEAR = {"add", "sub", "neg", "pos", "sum", "mul", "dot", "fma"}  # what a weighted sum is made of
Table = dict[str, list[list[float]]]


class Deltas(Table):
    """Layer → one list per neuron → δ per evaluation of that neuron; prints as a table."""

    def __str__(self) -> str:
        lines = []
        for layer, neurons in self.items():
            for index, values in enumerate(neurons):
                shown = [show(x) for x in values[:8]] + (["…"] if len(values) > 8 else [])
                lines.append(f"{layer or 'model'}  neuron {index}  δ = {', '.join(shown)}")
        return "\n".join(lines)


def deltas(model: Any, loss: Value) -> Deltas:
    """δ = ∂loss/∂z of every neuron, per layer; z is the weighted sum before the activation.

    A neuron is what shares the label of its parameters up to the last dot: ``layers[0].neurons[3]`` has the
    parameters ``layers[0].neurons[3].w[1]`` and so on. Its z is the node in which all of them have been added up.

    Parameters
    ----------
    model : object with ``named_parameters()``, or mapping of names to Values
        The network.
    loss : Value
        What is differentiated. It may add up many samples: a neuron then has one δ for each.

    Returns
    -------
    dict
        Layer → neurons × evaluations, layers in the order of the parameters, evaluations in that in which the loss
        depends on them. The gradient of a neuron's bias is the sum of its δ.

    Raises
    ------
    TypeError
        If `loss` is not a Value, or `model` has no named parameters.
    ValueError
        If the loss does not depend on a neuron, or does not take a weighted sum of its parameters.

    Notes
    -----
    δ in the sense of Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors",
    Nature 323 (1986).

    Examples
    --------
    >>> from autograd import Value
    >>> from autograd.view import deltas
    >>> w, b = Value(2.0), Value(1.0)
    >>> y = (w * 3.0 + b).relu()
    >>> deltas({"neurons[0].w[0]": w, "neurons[0].b": b}, 0.5 * (y - 5.0) ** 2)
    {'neurons': [[2.0]]}
    """
    if not isinstance(loss, Value):
        raise TypeError(f"loss must be a Value, not {loss!r} of type {type(loss).__name__}")
    neurons: dict[str, list[Value]] = {}
    for name, parameter in named_parameters(model):
        neurons.setdefault(outer(name), []).append(parameter)
    sums = _weighted_sums(topological_order(loss), neurons)
    adjoints = {loss: 1.0} | {message.operand: message.total for message in record_sweep(loss)}
    found = Deltas()
    for neuron in neurons:
        if not sums[neuron]:
            raise ValueError(
                f"no weighted sum of the parameters of {neuron or 'the model'!r} was found in the graph of the loss: "
                "the loss does not depend on all of them, or they are not combined by additions and products alone"
            )
        found.setdefault(_layer(neuron), []).append([adjoints.get(z, 0.0) for z in sums[neuron]])
    return found


def _layer(neuron: str) -> str:
    """The layer that a neuron is in: its path without the last step, or without the last index."""
    return outer(neuron) or (neuron.rpartition("[")[0] if neuron.endswith("]") else neuron)


def _weighted_sums(order: list[Value], neurons: Mapping[str, list[Value]]) -> dict[str, list[Value]]:
    """For every neuron the nodes in which the last of its parameters comes in, by sums and products with others."""
    home: dict[Value, tuple[str, int]] = {}  # parameter or unfinished sum → its neuron, and a bit per parameter in it
    complete: dict[str, int] = {}
    for neuron, parameters in neurons.items():
        complete[neuron] = (1 << len(parameters)) - 1
        home.update({p: (neuron, 1 << i) for i, p in enumerate(parameters)})
    sums: dict[str, list[Value]] = {neuron: [] for neuron in neurons}
    for node in order:
        parts = [home.get(o) if isinstance(o, Value) else None for o in node.operands]
        mine = [p for p in parts if p]
        if not mine or node.op is None or node.op.name not in LINEAR or len({p[0] for p in mine}) > 1:
            continue
        if _is_quadratic(node.op.name, parts):
            continue
        neuron, bits = mine[0][0], 0
        for _, more in mine:
            bits |= more
        if bits == complete[neuron]:
            sums[neuron].append(node)
        else:
            home[node] = neuron, bits
    return sums


def _is_quadratic(name: str, parts: list[Any]) -> bool:
    """Whether parameters are multiplied with one another (a penalty on the weights, say), not with inputs."""
    if name == "mul" or name == "fma":
        return bool(parts[0] and parts[1])
    half = len(parts) // 2
    return name == "dot" and any(a and b for a, b in zip(parts[:half], parts[half:]))
