"""One sweep as plain data for JSON: every node, every message, and the first numbers that are not finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import frexp, isfinite, nan
from statistics import fmean
from typing import Any

from autograd.calls import CallRule
from autograd.rules import TABLE, Rule
from autograd.sweep import Message, record_sweep, topological_order
from autograd.value import Value
from autograd.view.changed import warn_of_changes
from autograd.view.fold import Group, find_groups
from autograd.view.groups import module_path, weighted_sums
from autograd.view.inputs import Input, Inputs, find_inputs, products
from autograd.view.symbols import Symbol, local_derivatives

Json = dict[str, Any]
LARGEST = 50_000  # nodes
LARGEST_CHECK = 3_000  # nodes whose adjoints are compared with finite differences: the cost is quadratic


def record(
    output: Value, check: bool = False, names: Mapping[Value, str] | None = None, inputs: Inputs | None = None
) -> Json:
    """Record the forward pass and the reverse sweep of a graph.

    Parameters
    ----------
    output : Value
        The value to differentiate.
    check : bool
        Compare every adjoint with a central finite difference.
    names : mapping of Value to str, optional
        Labels for nodes that have none.
    inputs : Inputs, optional
        Which constants are inputs, as of another graph with the same operations; by default they are looked for.

    Returns
    -------
    dict
        Plain data, which `autograd.view.page.to_json` writes as JSON (nan and inf included):

        - ``nodes``: what does not depend on the numbers: the plain numbers that a network takes (``input`` is true),
          ``first`` of them, then the nodes in topological order, the output last;
        - ``values``: what does, in columns with one entry per node: data, local derivatives, constants, formulas;
        - ``formulas``: templates in which ``{i}`` stands for operand i and ``{y}`` for the node;
        - ``messages``: columns ``node, slot, message, total`` in the order in which they are sent;
        - ``adjoints``: per node, None where no message arrived;
        - ``groups``, and per outermost one ``layers``;
        - ``weights``: for each product with a parameter of a module: the other operand, the parameter, the product;
        - ``deltas``: for each weighted sum of all parameters of a module its group and node: the z of a neuron;
        - ``unknown``: the nodes whose primitive is not in the table, which the viewer cannot compute by itself;
        - ``trouble``: the first node and the first message that are not finite;
        - ``checks``: per node the finite difference, and whether it agrees.

    Raises
    ------
    TypeError
        If the output is not a Value.
    ValueError
        If the graph is too large to be shown, or to be checked.
    """
    if not isinstance(output, Value):
        raise TypeError(
            f"flow shows the graph of a Value, not {output!r:.80} of type {type(output).__name__}: pass what a "
            "computation with Values ends in, such as a loss"
        )
    order = topological_order(output)
    warn_of_changes(order)
    inputs = find_inputs(order) if inputs is None else inputs
    nodes: list[Any] = [*inputs.of(order), *order]
    first = len(inputs.labels)  # the place of the first node
    _refuse_large(len(nodes), check)
    place = {node: index for index, node in enumerate(nodes)}
    uses = {(first + node, slot): number for (node, slot), number in inputs.uses.items()}
    operands = [
        [uses.get((index, slot)) if type(o) is float else place[o] for slot, o in enumerate(node.operands)]
        for index, node in enumerate(nodes)
    ]
    labels = [node.label or (names or {}).get(node) for node in nodes]
    groups, inside = find_groups(nodes, labels)
    sent = record_sweep(output)
    adjoints: list[float | None] = [None] * len(nodes)
    adjoints[-1] = 1.0
    for m in sent:
        adjoints[place[m.operand]] = m.total
    templates = _Templates()
    values = _values(nodes, operands, templates)
    return {
        "nodes": [_node(*described) for described in zip(nodes, labels, inside, operands)],
        "first": first,
        "values": values,
        "formulas": templates.texts,
        "messages": {
            "node": [place[m.node] for m in sent],
            "slot": [m.slot for m in sent],
            "message": [m.message for m in sent],
            "total": [m.total for m in sent],
        },
        "adjoints": adjoints,
        "groups": [_group(group) for group in groups],
        "unknown": [
            i for i, node in enumerate(nodes) if node.op is not None and TABLE.get(node.op.name) is not node.op
        ],
        "weights": [
            [operands[first + node][other], operands[first + node][slot], first + node]
            for node, slot, other in products(order)
            if operands[first + node][other] is not None
        ],
        "deltas": _deltas(nodes, labels, groups),
        "layers": _layers(nodes, groups, inside, adjoints),
        "trouble": _trouble(nodes, sent),
        "checks": [None] * first + _checks(order, adjoints[first:]) if check else None,
    }


def _refuse_large(count: int, check: bool) -> None:
    if count > LARGEST:
        raise ValueError(
            f"the graph has {count} nodes, more than the {LARGEST} that can be shown. Look at a smaller one: "
            "the loss of fewer samples, fewer steps of the loop, or one n-ary node (autograd.math.dot, sum) "
            "in place of a chain of additions"
        )
    if check and count > LARGEST_CHECK:
        raise ValueError(
            f"finite differences at all {count} nodes would take too long (at most {LARGEST_CHECK}): "
            "leave out check=True, or look at a smaller graph"
        )


def _values(nodes: Sequence[Any], operands: Sequence[Sequence[int | None]], templates: _Templates) -> Json:
    """What depends on the numbers, in columns; the templates that are used are added to `templates`."""
    formulas = [templates.of(node, own) for node, own in zip(nodes, operands)]
    return {
        "data": [node.data for node in nodes],
        "local": [list(node.local_grads) for node in nodes],
        "constants": [
            [o if place is None else None for o, place in zip(node.operands, own)] for node, own in zip(nodes, operands)
        ],
        "formula": [formula for formula, _ in formulas],
        "slopes": [slopes for _, slopes in formulas],
    }


def _node(node: Value | Input, label: str | None, group: int | None, operands: Sequence[int | None]) -> Json:
    return {
        "label": label,
        "op": None if node.op is None else node.op.name,
        "symbol": None if node.op is None else node.op.symbol,
        "operands": operands,
        "source": node.source,
        "group": group,
    } | ({"input": True} if isinstance(node, Input) else {})


def _deltas(nodes: Sequence[Any], labels: Sequence[str | None], groups: Sequence[Group]) -> list[list[int]]:
    """The z of every neuron: the group of the neuron, and the node in which all of its parameters are added up."""
    parameters: dict[str, list[Value]] = {}
    for node, label in zip(nodes, labels):
        if isinstance(node, Value) and node.op is None and module_path(label):
            parameters.setdefault(module_path(label)[-1], []).append(node)
    group = {g.path: index for index, g in enumerate(groups) if g.kind == "module"}
    place = {node: index for index, node in enumerate(nodes)}
    sums = weighted_sums([node for node in nodes if isinstance(node, Value)], parameters)
    return [[group[path], place[node]] for node, path in sums.items() if path in group]


def _group(group: Group) -> Json:
    return {"name": group.name, "kind": group.kind, "parent": group.parent, "path": group.path}


class _Templates:
    """The distinct formulas of a graph; nodes refer to them by number."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}
        self._seen: dict[Any, tuple[int | None, list[int | None]]] = {}

    def of(self, node: Value, places: Sequence[int | None]) -> tuple[int | None, list[int | None]]:
        """The formula of a node, None for a leaf; and of its local derivatives, None where no message is sent."""
        rule = node.op
        if rule is None:
            return None, []
        constants = tuple([o if place is None else None for o, place in zip(node.operands, places)])
        # where a row has a kink, the branch taken is part of the formula; elsewhere equal rows look alike
        alike = TABLE.get(rule.name) is rule and rule.kink is None and rule.name != "pow"
        key = (rule, constants, node.local_grads if not alike else None, node.data if not alike else None)
        if key not in self._seen:
            self._seen[key] = self._write(rule, node, constants)
        return self._seen[key]

    def _write(self, rule: Rule, node: Value, constants: Sequence[float | None]) -> tuple[int, list[int | None]]:
        data = [o if type(o) is float else o.data for o in node.operands]
        places = [Symbol(x, f"{{{i}}}") for i, x in enumerate(data)]
        exponent = rule.name == "pow" and type(node.operands[1]) is float
        literal = [places[0], Symbol(data[1])] if exponent and data[1] not in (0.0, 1.0) else places
        formula = Symbol.apply_rule(rule, literal)
        known = [p if constant is None else Symbol(constant) for constant, p in zip(constants, places)]
        slopes = local_derivatives(rule, known, Symbol(node.data, "{y}"))
        return self._number(_text(formula)), [
            None if local is None or slope is None else self._number(_text(slope))
            for local, slope in zip(node.local_grads, slopes)
        ]

    def _number(self, text: str) -> int:
        if text not in self._numbers:
            self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return self._numbers[text]


def _text(symbol: Symbol) -> str:
    return str(symbol).replace("·", " × ")


def _layers(
    nodes: Sequence[Value], groups: Sequence[Group], inside: Sequence[int | None], adjoints: Sequence[float | None]
) -> list[Json]:
    """Per outermost module the mean |adjoint| of the nodes computed in it (of its leaves, if it computes none).

    Modules are in the order in which they finish: the last one is nearest to the output.
    """
    finished: dict[int, int] = {}
    computed: dict[int, list[float]] = {}
    leaves: dict[int, list[float]] = {}
    for index, (node, group, adjoint) in enumerate(zip(nodes, inside, adjoints, strict=True)):
        if group is None:
            continue
        while (parent := groups[group].parent) is not None:
            group = parent
        if groups[group].kind == "module":
            (computed if node.operands else leaves).setdefault(group, []).append(abs(adjoint or 0.0))
            finished[group] = index
    found = sorted(finished, key=finished.__getitem__)
    return [{"group": g, "name": groups[g].name, "mean": fmean(computed.get(g) or leaves[g])} for g in found]


def _trouble(nodes: Sequence[Value], sent: Sequence[Message]) -> Json:
    return {
        "node": next((i for i, node in enumerate(nodes) if not isfinite(node.data)), None),
        "message": next((i for i, m in enumerate(sent) if not (isfinite(m.message) and isfinite(m.total))), None),
    }


def _checks(nodes: Sequence[Value], adjoints: Sequence[float | None]) -> list[list[Any] | None]:
    """Per node the finite difference, and whether the adjoint agrees with it within its accuracy."""
    noise = 1e-9 * max(1.0, abs(nodes[-1].data))
    return [
        None if slope is None else [slope, abs(slope - (a or 0.0)) <= noise + 1e-6 * max(abs(slope), abs(a or 0.0))]
        for slope, a in zip(finite_differences(nodes), adjoints, strict=True)
    ]


def finite_differences(nodes: Sequence[Value]) -> list[float | None]:
    """∂output/∂node for every node by central differences, from the values of the rows alone.

    Each node in turn is moved up and down, and what depends on it is computed again, without Values. The result is
    None where that is impossible: if a primitive is not in the table, or a number is not finite. A node that stands
    for a call (of a checkpoint or a compiled function) is computed again with the branches that the call took.
    """
    place = {node: index for index, node in enumerate(nodes)}
    rows = [node.op for node in nodes]
    if not all(rule is None or TABLE.get(rule.name) is rule or isinstance(rule, CallRule) for rule in rows):
        return [None] * len(nodes)
    formulas = [rule.again() if isinstance(rule, CallRule) else rule and rule.evaluate for rule in rows]
    data = [node.data for node in nodes]
    operands = [[(o, None) if type(o) is float else (0.0, place[o]) for o in node.operands] for node in nodes]

    def moved(start: int, by: float) -> float:
        changed = {start: data[start] + by}
        for index in range(start + 1, len(nodes)):
            compute = formulas[index]
            if compute is not None and any(o in changed for _, o in operands[index]):
                numbers = [c if o is None else changed.get(o, data[o]) for c, o in operands[index]]
                changed[index] = compute(numbers)
        return changed.get(len(nodes) - 1, data[-1])

    found: list[float | None] = []
    for index, x in enumerate(data):
        # near the cube root of the rounding unit, relative to x: where central differences are best
        step = 2.0 ** (max(frexp(x)[1], 0) - 17)
        slope = (moved(index, step) - moved(index, -step)) / (2.0 * step) if isfinite(x) else nan
        found.append(slope if isfinite(slope) else None)
    return found
