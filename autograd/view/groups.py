"""Which module of a model each node of a graph belongs to: the one rule behind `draw`, `flow` and `deltas`.

A module is known by the labels of its parameters: ``layers[0].neurons[3].w[1]`` belongs to the module
``layers[0].neurons[3]``, which lies in the module ``layers[0]``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from autograd.value import Value
from autograd.view.names import is_path, outer, steps

LINEAR = {"add", "sub", "neg", "pos", "sum", "mul", "dot", "fma"}  # what a weighted sum is made of
Modules: TypeAlias = tuple[str, ...]  # the paths of the modules around a node, from the outside in


def module_path(label: str | None) -> Modules:
    """The modules that a parameter's label names, from the outside in.

    Examples
    --------
    >>> from autograd.view.groups import module_path
    >>> module_path("layers[0].neurons[3].w[1]"), module_path("x")
    (('layers[0]', 'layers[0].neurons[3]'), ())
    """
    if not label or not is_path(label):
        return ()
    parts = steps(label)
    return tuple([".".join(parts[: n + 1]) for n in range(len(parts) - 1)])


def layer_of(neuron: str) -> str:
    """The layer that a neuron is in: its path without the last step, or without the last index.

    Examples
    --------
    >>> from autograd.view.groups import layer_of
    >>> layer_of("layers[0].neurons[3]"), layer_of("neurons[3]")
    ('layers[0]', 'neurons')
    """
    return outer(neuron) or (neuron.rpartition("[")[0] if neuron.endswith("]") else neuron)


def group_by_module(nodes: Sequence[Value], labels: Sequence[str | None]) -> list[Modules]:
    """The modules around every node, from the outside in; empty for a node outside of all modules.

    The first of these that applies decides:

    1. Its label. A label ``layers[0].z`` puts a node into ``layers[0]``. A computed node whose label is the path of
       a module is the output of that module, and belongs to it.
    2. Its operands. A node that works on the parameters of a module belongs to the module, and so does the node
       that completes a weighted sum of all of them.
    3. The activation. A function of one number belongs to the module if its operand is a node of kind 2, unless
       that operand is the output of the module.
    4. What follows. A node that is computed from one module only, and from which a node of some module is computed,
       is a hidden intermediate node of the module that it comes from. A loss leads into no module, so it stays
       outside.

    What is computed from the output of a module comes from the module around it.

    Parameters
    ----------
    nodes : sequence of Value
        In topological order.
    labels : sequence of str or None
        The name of each node.
    """
    place = {node: index for index, node in enumerate(nodes)}
    operands = [[place[o] for o in node.operands if type(o) is not float] for node in nodes]
    leaf = [node.op is None for node in nodes]
    paths = [module_path(label) for label in labels]
    known = {path[depth]: path[: depth + 1] for path in set(paths) for depth in range(len(path))}
    is_output = [not leaf[i] and label in known for i, label in enumerate(labels)]
    paths = [known[label] if end and label else path for path, label, end in zip(paths, labels, is_output)]
    sums = _sums_of_modules(nodes, paths)
    activated = set()  # nodes of kind 2: a function of one of them is an activation
    origins: list[Modules | None] = []  # the one module that a node comes from; None: from no module
    for i, node in enumerate(nodes):
        if not leaf[i]:
            own = sums.get(node) or common([paths[o] for o in operands[i] if leaf[o] and paths[o]])
            if own and not is_output[i]:
                activated.add(i)
            if not paths[i]:
                unary = len(node.operands) == 1 and operands[i][0] in activated
                paths[i] = own or (paths[operands[i][0]] if unary else ())
        if paths[i]:
            origins.append(paths[i][:-1] if is_output[i] else paths[i])
        else:
            below = [origin for o in operands[i] if (origin := origins[o]) is not None]
            origins.append(common(below) if below else None)
    leads_on = [False] * len(nodes)
    for i in reversed(range(len(nodes))):
        if leads_on[i] and not leaf[i]:
            paths[i] = paths[i] or origins[i] or ()
        for o in operands[i] if paths[i] else ():
            leads_on[o] = True
    return paths


def common(modules: Sequence[Modules]) -> Modules:
    """The modules around all of these."""
    shared = []
    for step in zip(*modules, strict=False):
        if len(set(step)) > 1:
            break
        shared.append(step[0])
    return tuple(shared)


def _sums_of_modules(nodes: Sequence[Value], paths: Sequence[Modules]) -> dict[Value, Modules]:
    parameters: dict[Modules, list[Value]] = defaultdict(list)
    for node, path in zip(nodes, paths):
        if node.op is None and path:
            parameters[path].append(node)
    return weighted_sums(nodes, parameters)


def weighted_sums(order: Sequence[Value], modules: Mapping[Any, Sequence[Value]]) -> dict[Value, Any]:
    """The nodes in which the last parameter of a module is added, by sums and products with others; and the module.

    Parameters
    ----------
    order : sequence of Value
        In topological order.
    modules : mapping to sequences of Value
        The parameters of each module.
    """
    linear = [node for node in order if node.op is not None and node.op.name in LINEAR]
    uses = Counter(o for node in linear for o in node.operands if isinstance(o, Value))
    # parameter or unfinished sum → its module, and which of the module's parameters are in it
    home: dict[Value, tuple[Any, set[int]]] = {}
    for module, parameters in modules.items():
        home.update({parameter: (module, {i}) for i, parameter in enumerate(parameters)})
    found = {}
    for node in linear:
        values = [o if isinstance(o, Value) and o in home else None for o in node.operands]
        mine = [o for o in values if o is not None]
        if len({home[o][0] for o in mine}) != 1 or _is_quadratic(node, values):
            continue
        largest = max(mine, key=lambda o: len(home[o][1]))
        module, inside = home[largest]
        inside = inside if uses[largest] == 1 else set(inside)  # without a copy, n terms take n steps and not n²
        inside.update(*[home[o][1] for o in mine if o is not largest])
        if len(inside) == len(modules[module]):
            found[node] = module
        else:
            home[node] = module, inside
    return found


def _is_quadratic(node: Value, parts: Sequence[Value | None]) -> bool:
    """Whether parameters are multiplied with one another (a penalty on the weights, say), not with inputs."""
    name = node.op.name if node.op is not None else ""
    if name in ("mul", "fma"):
        return parts[0] is not None and parts[1] is not None
    half = len(parts) // 2
    return name == "dot" and any(a is not None and b is not None for a, b in zip(parts[:half], parts[half:]))
