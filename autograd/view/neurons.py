"""The δ of every neuron: what the backpropagation algorithm of the textbooks passes from layer to layer."""

from __future__ import annotations

from typing import Any

from autograd.sweep import record_sweep, topological_order
from autograd.value import Value
from autograd.view.groups import layer_of, weighted_sums
from autograd.view.names import named_parameters, outer
from autograd.view.symbols import show

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

    Parameters whose names are equal up to the last dot belong to one neuron: ``layers[0].neurons[3].w[1]`` is a
    parameter of ``layers[0].neurons[3]``. The z of a neuron is the node in which all of them have been added up.

    Parameters
    ----------
    model : object with ``named_parameters()``, or mapping of names to Values
        The network.
    loss : Value
        The value to differentiate. If it adds up many samples, a neuron has one δ for each.

    Returns
    -------
    dict
        Layer → one list per neuron → one δ per evaluation of the neuron. Layers are in the order of the parameters,
        evaluations in the order of computation. The gradient of a neuron's bias is the sum of its δ.

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
    sums: dict[str, list[Value]] = {neuron: [] for neuron in neurons}
    for node, neuron in weighted_sums(topological_order(loss), neurons).items():
        sums[neuron].append(node)
    adjoints = {loss: 1.0} | {message.operand: message.total for message in record_sweep(loss)}
    found = Deltas()
    for neuron in neurons:
        if not sums[neuron]:
            raise ValueError(
                f"no weighted sum of the parameters of {neuron or 'the model'!r} was found in the graph of the loss: "
                "the loss does not depend on all of them, they are not combined by additions and products alone, or "
                "parameters of another neuron (shared weights, say) are in the same sum"
            )
        found.setdefault(layer_of(neuron), []).append([adjoints.get(z, 0.0) for z in sums[neuron]])
    return found
