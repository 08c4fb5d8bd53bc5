"""One training step: the gradient of a batch and the optimiser's update, compiled as one program or on the graph.

Compiled, the parameters are one flat array, the rows of a batch run in lanes, and the update is a loop over the
parameters. The program depends on the structure of the model and not on its numbers, so equal structures share it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

import autograd.math as am
from autograd import Value, value_and_grad, vmap
from autograd.sweep import topological_order
from autograd.tree import flatten
from nn.batches import Batch
from nn.data import Array, row_of, target_of
from nn.dropout import masked
from nn.losses import Loss, reduction_of
from nn.optimisers import Optimiser, State
from nn.prediction import Kept
from nn.templates import Template


class Problem(NamedTuple):
    """What a step minimises, and how."""

    loss: Loss
    rule: Optimiser | None  # None for L-BFGS
    regulariser: Callable[[Any], Any] | None
    weighted: bool  # whether observations have weights of their own
    dropping: bool  # whether the model uses Dropout

    def key(self) -> Hashable:
        """What two problems must share to use the same compiled step."""
        from autograd.compiler.capture.exact import exact

        settings = (
            {name: x for name, x in vars(self.rule or self).items() if name not in NOT_SETTINGS} if self.rule else {}
        )
        regulariser = DECAYS if self.decays else self.regulariser
        return exact((self.loss, type(self.rule), settings, regulariser, self.weighted, self.dropping))

    @property
    def decays(self) -> bool:
        """Whether the regulariser is ½ Σ dᵢ pᵢ²: then the numbers d are given to the compiled step, not compiled in."""
        return hasattr(self.regulariser, DECAYS)


DECAYS = "decays"  # the method of such a regulariser: from a model to one number for each of its parameters
LARGEST = 256  # rows that are inputs of a program: they are copied at every call
Build = Callable[[Sequence[Any]], Any]
NOT_SETTINGS = frozenset({"parameters", "state", "_learning_rate"})  # of an optimiser: what a step is given


# ---- compiled --------------------------------------------------------------------------------------------------------

_compiled = Kept()


def _kept(template: Template, model: Any, problem: Problem, kind: str, make: Callable[[], Any]) -> Any:
    """A compiled function that all models of this structure share."""
    from autograd.compiler import jit

    return _compiled.get((kind, template.structure(model), problem.key()), lambda: jit(make(), quiet=True))


def compiled_step(template: Template, model: Any, problem: Problem, size: int) -> Any:
    """The compiled step: from parameters, state, rate and batch to loss, parameters and state.

    It is one program. The rows of a large batch are not inputs of the program, but stay in their arrays: then the
    gradient and the update are two.
    """
    rule = problem.rule
    assert rule is not None
    if size <= LARGEST or not reduction_of(problem.loss):
        return _kept(template, model, problem, "step", lambda: _step(template.builder(), problem, rule))
    gradient_of = compiled_gradient(template, model, problem)
    update = _kept(template, model, problem, "update", lambda: _update(rule))

    def step(parameters: Any, state: State, rate: float, *batch: Any) -> tuple[Any, Any, State]:
        loss, gradient = gradient_of(parameters, *batch)
        return loss, *update(gradient, state, parameters, rate)

    return step


def compiled_gradient(template: Template, model: Any, problem: Problem) -> Any:
    """The compiled gradient: from parameters and batch to loss and gradient. The rows stay in their arrays."""
    if not reduction_of(problem.loss):
        return _kept(template, model, problem, "gradient", lambda: _of_batch(template.builder(), problem))
    rows = _kept(template, model, problem, "rows", lambda: _by_rows(template.builder(), problem))
    if problem.regulariser is None:
        return lambda parameters, *batch: rows(parameters, *batch[:-1])
    penalty = _kept(template, model, problem, "penalty", lambda: _penalty(template.builder(), problem))

    def gradient(parameters: Any, *batch: Any) -> tuple[float, Array]:
        *of_rows, decays = batch
        loss, slopes = rows(parameters, *of_rows)
        more, steeper = penalty(parameters, decays)
        return loss + more, slopes + steeper

    return gradient


def _step(build: Build, problem: Problem, rule: Optimiser) -> Callable[..., Any]:
    of_batch, update = _of_batch(build, problem), _update(rule)

    def step(parameters: Any, state: State, rate: Any, *batch: Any) -> tuple[Any, Any, State]:
        loss, gradient = of_batch(parameters, *batch)
        return loss, *update(gradient, state, parameters, rate)

    return step


def _update(rule: Optimiser) -> Callable[..., Any]:
    def update(gradient: Any, state: State, parameters: Any, rate: Any) -> tuple[Any, State]:
        return rule.updated(gradient, state, parameters, rate)

    return update


def _of_batch(build: Build, problem: Problem) -> Callable[..., Any]:
    """From parameters and batch to loss and gradient, with the regulariser."""
    of_data = _by_rows(build, problem) if reduction_of(problem.loss) else _by_batch(build, problem)
    if problem.regulariser is None:
        return lambda parameters, *batch: of_data(parameters, *batch[:-1])
    penalty = _penalty(build, problem)

    def of_batch(parameters: Any, *batch: Any) -> tuple[Any, Any]:
        *of_rows, decays = batch
        loss, slopes = of_data(parameters, *of_rows)
        more, steeper = penalty(parameters, decays)
        return loss + more, vmap(lambda a, b: a + b)(slopes, steeper)

    return of_batch


def _penalty(build: Build, problem: Problem) -> Callable[..., Any]:
    """From parameters and decays to the penalty and its gradient."""
    regulariser = problem.regulariser
    assert regulariser is not None
    if not problem.decays:
        return lambda parameters, decays: value_and_grad(lambda p: regulariser(build(list(p))))(parameters)

    def penalty(parameters: Any, decays: Any) -> tuple[Any, Any]:
        total = vmap(lambda p, d: 0.5 * d * p * p, reduce="sum")(parameters, decays)
        return total, vmap(lambda p, d: d * p)(parameters, decays)

    return penalty


def _by_rows(build: Build, problem: Problem) -> Callable[..., Any]:
    """The loss and the gradient of a batch as sums over its rows, which run in lanes."""

    def of_row(numbers: Any, row: Any, target: Any, weight: Any, factors: Any) -> Any:
        with masked(list(factors) if problem.dropping else ()):
            output = build(list(numbers))(row)
        return problem.loss([output], [target], weights=[weight], reduction="sum")

    axes = (None, 0, 0, 0, 0 if problem.dropping else None)
    return vmap(value_and_grad(of_row), in_axes=axes, reduce="sum")


def _by_batch(build: Build, problem: Problem) -> Callable[..., Any]:
    """The loss of a batch and its gradient, for a loss that need not be a sum over the rows."""

    def of_batch(numbers: Any, inputs: Any, targets: Any, weights: Any, factors: Any) -> Any:
        model = build(list(numbers))

        def output(row: Any, factors: Any) -> Any:
            with masked(list(factors) if problem.dropping else ()):
                return model(row)

        axes = (0, 0 if problem.dropping else None)
        outputs = vmap(output, in_axes=axes)(list(inputs), list(factors))  # of lists: one output after another
        loss = _loss_of(problem, outputs, list(targets), list(weights))
        _refuse_number(loss)
        return loss

    return value_and_grad(of_batch)


def _loss_of(problem: Problem, outputs: list[Any], targets: list[Any], weights: list[Any]) -> Any:
    """The loss of a batch, in the way in which the loss takes weights."""
    if reduction_of(problem.loss):
        return problem.loss(outputs, targets, weights=weights, reduction="sum")
    return problem.loss(outputs, targets, weights=weights) if problem.weighted else problem.loss(outputs, targets)


def _refuse_number(loss: Any) -> None:
    """Raise if a loss is a plain number: it has no gradient."""
    if isinstance(loss, (float, int)):
        raise TypeError(f"the loss must depend on the parameters of the model, but is the number {loss!r}")


def takes_weights(loss: Loss) -> bool:
    """Whether a loss has a parameter for the weights of observations."""
    try:
        return "weights" in inspect.signature(loss).parameters
    except (TypeError, ValueError):
        return False


# ---- on the graph ----------------------------------------------------------------------------------------------------


def graph_of(model: Any, problem: Problem, batch: Batch) -> Any:
    """The loss of a batch as a node above the parameters of the model."""
    return _graph_above(_outputs(model, problem, batch), model, problem, batch)


def _outputs(model: Any, problem: Problem, batch: Batch) -> list[Any]:
    outputs = []
    for i in range(batch.filled):
        with masked(batch.factors[i].tolist() if problem.dropping else ()):
            outputs.append(model(row_of(batch.inputs, i)))
    return outputs


def _graph_above(outputs: list[Any], model: Any, problem: Problem, batch: Batch) -> Any:
    targets = [target_of(problem.loss, row_of(batch.targets, i)) for i in range(batch.filled)]
    loss = _loss_of(problem, outputs, targets, batch.weights[: batch.filled].tolist())
    return loss if problem.regulariser is None else loss + problem.regulariser(model)


def eager_gradient(
    template: Template, model: Any, problem: Problem, batch: Batch, checked: bool = False
) -> tuple[float, Array]:
    """The loss of a batch and its gradient, which is also in the `.grad` of the parameters.

    If it is `checked`, no look is taken for Values that are not parameters.
    """
    for parameter in template.parameters:
        parameter.grad = 0.0
    loss = graph_of(model, problem, batch)
    _refuse_number(loss)
    if not checked:
        refuse_others(loss, template)
    loss.backward()
    return loss.data, np.array([parameter.grad for parameter in template.parameters])


def refuse_others(loss: Any, template: Template) -> None:
    """Refuse a loss that depends on Values besides the parameters: nobody would train them.

    Raises
    ------
    TypeError
        With their names.
    """
    known = set(template.parameters)
    others = [node for node in topological_order(loss) if node.op is None and node not in known]
    if others:
        raise TypeError(
            f"the model, the loss or the regulariser reads {', '.join([x.describe() for x in others[:4]])}, which is "
            "no parameter of the model: make it an attribute of the model to train it, or read its number, .data"
        )


def eager_step(template: Template, model: Any, problem: Problem) -> Any:
    """The same step, computed on the graph."""
    rule = problem.rule
    assert rule is not None

    def step(parameters: Array, state: State, rate: float, batch: Batch) -> tuple[float, Any, State]:
        template.assign(parameters)
        loss, gradient = eager_gradient(template, model, problem, batch, checked=state["count"] > 0)
        return loss, *rule.updated(gradient, state, parameters, rate)

    return step


def first_wrong(template: Template, model: Any, problem: Problem, batch: Batch) -> str:
    """Where the first number of a batch's graph or gradient arises that is not finite, in words."""
    for parameter in template.parameters:
        parameter.grad = 0.0
    outputs = _outputs(model, problem, batch)
    loss = _graph_above(outputs, model, problem, batch)
    inside = set(topological_order(*[y for y in flatten(outputs)[0] if isinstance(y, Value)]))
    order = topological_order(loss) if isinstance(loss, Value) else []
    for node in order:
        if not am.isfinite(node.data):
            where = _layer(node) if node in inside else "the loss"
            return f"{where}, where {node.describe()} is {node.data}"
    if order:
        loss.backward()
    for parameter in template.parameters:
        if not am.isfinite(parameter.grad):
            return f"{_outermost(parameter.label)}, where the gradient of {parameter.label} is {parameter.grad}"
    return "the update of the parameters"


def _layer(node: Value) -> str:
    """The layer to which a node belongs: by its label, or by the parameters and layers that it is computed from."""
    stack, seen = [node], {node}
    for at in stack:
        if at.label and ("[" in at.label or "." in at.label or not at.parents):
            return _outermost(at.label)
        for parent in at.parents:
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return "the loss"


def _outermost(label: str | None) -> str:
    """The layer in a path such as ``layers[1].neurons[3].w[0]``."""
    return (label or "a parameter").partition(".")[0]
