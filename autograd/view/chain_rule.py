"""The chain rule in writing: every path from a variable to an output, as a product of local derivatives."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from math import fsum, inf, isfinite, log, log2, log10, prod
from typing import Any

from autograd.once import cached_property
from autograd.sweep import record_sweep, topological_order
from autograd.value import Value
from autograd.view.inputs import find_inputs
from autograd.view.symbols import (
    Style,
    Symbol,
    add,
    latex_name,
    latex_number,
    local_derivatives,
    multiply,
    name_of_copy,
    show,
)

INLINE = 24  # characters: up to this length, a formula replaces the name of a node without a label
LARGEST_LIST = 40  # δ that are listed
LOG10_2 = log10(2.0)
SMALLEST = 2.0**-1074
EXACT_WORK = 200_000  # factors of all paths together, up to which their sum is also computed exactly


@dataclass(frozen=True, slots=True)
class Step:
    """One arrow of a path: from a node to one of its operands."""

    node: Value
    slot: int
    operand: Value
    local_derivative: float


@dataclass(frozen=True, slots=True)
class Path:
    """A way from the output back to the variable, and the product of the local derivatives along it."""

    steps: tuple[Step, ...]
    product: float


@dataclass(frozen=True, slots=True)
class Delta:
    """∂output/∂node as a sum over the nodes that use it directly (or through nodes that only pass it on)."""

    node: Value
    value: float
    terms: tuple[Path, ...]


class Explanation:
    """The chain rule from one variable to one output, in symbols and in numbers; `explain` makes it.

    Attributes
    ----------
    output, wrt : Value
        The two ends.
    gradient : float
        ∂output/∂wrt as the reverse sweep computes it.
    path_count : int
        How many paths lead from `wrt` to `output`: counted exactly, without listing them.
    paths : tuple of Path
        The paths with the largest products in magnitude, largest first.
    left_out : int
        How many paths are not in `paths`.
    remainder : float
        What the paths that are left out add up to: `gradient` minus the sum of the listed products.
    deltas : tuple of Delta
        The δ form: ∂output/∂node for the nodes between the two, from the output to `wrt`, each from the ones before.
    """

    def __init__(self, output: Value, wrt: Value, paths: int) -> None:
        self.output, self.wrt = output, wrt
        self._order = topological_order(output)
        self._ways = _count_paths(self._order, wrt)
        self.path_count = self._ways.get(output, 0)
        self._adjoints: dict[Value, float] = {output: 1.0}
        for message in record_sweep(output):
            self._adjoints[message.operand] = message.total
        self.gradient = self._adjoints.get(wrt, 0.0) if self.path_count else 0.0
        self.paths = tuple(_largest_paths(output, wrt, self._order, self._ways, paths))
        self.left_out = self.path_count - len(self.paths)
        self.remainder = self.gradient - fsum(p.product for p in self.paths) if self._finite else self.gradient
        self._names = _Names(list(dict.fromkeys([*self._order, wrt])))

    @property
    def _finite(self) -> bool:
        return isfinite(self.gradient) and all(isfinite(p.product) for p in self.paths)

    # ---- the proof --------------------------------------------------------------------------------------------

    @cached_property
    def exact(self) -> Fraction | None:
        """The sum over all paths in exact rational arithmetic.

        A local derivative is a float, and a float is a fraction, so nothing is rounded. None if paths are left out, if
        there are too many, or if a number is not finite.
        """
        work = sum(len(p.steps) for p in self.paths)
        if self.left_out or work > EXACT_WORK or not self._finite:
            return None
        products = [prod((Fraction(s.local_derivative) for s in p.steps), start=Fraction(1)) for p in self.paths]
        return sum(products, Fraction(0))

    @property
    def proof(self) -> str:
        """What was checked, in a sentence."""
        if self.path_count == 0:
            return f"{self._names.text(self.output)} does not depend on {self._names.text(self.wrt)}: there is no path."
        if self.left_out:
            return (
                f"The {_count(len(self.paths))} shown add up to {show(self.gradient - self.remainder)}; "
                f"{_count(self.left_out)} left out add the other {show(self.remainder)}."
            )
        if self.exact is None:
            return "No path is left out; the sum was not added up exactly."
        verdict = "equal but for rounding" if self.agrees else "NOT EQUAL: please report this"
        return f"Exact sum: {float(self.exact)!r}. Reverse sweep: {self.gradient!r} ({verdict})."

    @property
    def agrees(self) -> bool | None:
        """Whether the sum over all paths equals the gradient of the sweep within the sweep's rounding errors.

        A sweep rounds once per message and once per addition on a path. None if the sum was not computed exactly.
        """
        if self.exact is None:
            return None
        roundings = sum(len(p.steps) for p in self.paths) + self.path_count
        bound = roundings * (2.0**-52 * fsum(abs(p.product) for p in self.paths) + SMALLEST)
        return abs(float(self.exact - Fraction(self.gradient))) <= bound

    # ---- the δ form -------------------------------------------------------------------------------------------

    @cached_property
    def deltas(self) -> tuple[Delta, ...]:
        """∂output/∂node for every labelled node between the two ends, and for those where paths part or meet."""
        consumers: dict[Value, list[Step]] = {}
        for node in reversed(self._order):
            for slot, (operand, local) in enumerate(zip(node.operands, node.local_grads)):
                if local is not None and self._ways.get(operand):
                    consumers.setdefault(operand, []).append(Step(node, slot, operand, local))
        found = [Delta(self.output, 1.0, ())]
        named = {self.output}
        for node in reversed(self._order):
            uses = consumers.get(node, [])
            onward = sum(self._ways.get(o, 0) > 0 for o in node.operands if isinstance(o, Value))
            if node is self.output or not uses or not (node is self.wrt or node.label or len(uses) > 1 or onward > 1):
                continue
            named.add(node)
            terms = []
            for use in uses:
                chain = [use]
                while chain[-1].node not in named:  # a node without a name has one consumer only
                    chain.append(consumers[chain[-1].node][0])
                steps = tuple(reversed(chain))
                terms.append(Path(steps, _product(steps)))
            found.append(Delta(node, self._adjoints[node], tuple(terms)))
        return tuple(found)

    # ---- writing ----------------------------------------------------------------------------------------------

    def text(self) -> str:
        """The whole explanation as plain text."""
        name = self._names.text
        head = f"∂{name(self.output)}/∂{name(self.wrt)}"
        if not self.path_count:
            return f"{head} = 0\n{self.proof}"
        lines = [f"{head} = {show(self.gradient)}, the sum over {_count(self.path_count)}:", ""]
        for path in self.paths:
            lines += [f"    {self._symbols(path.steps, 'text')}", f"        = {self._numbers(path)}"]
        if self.left_out:
            lines.append(f"    … and {_count(self.left_out, 'more ')}, together {show(self.remainder)}")
        lines += ["", self.proof, "", "By layers, from the output back:", ""]
        lines += [f"    {line}" for line in self._delta_lines("text")]
        if self._names.copies:
            lines += ["", "⁽⁰⁾, ⁽¹⁾, … tell nodes with the same label apart: observation 0, observation 1, …"]
        return "\n".join(lines)

    def latex(self) -> str:
        """The whole explanation as LaTeX (without the dollar signs)."""
        name = self._names.latex
        head = rf"\frac{{\partial {name(self.output)}}}{{\partial {name(self.wrt)}}}"
        if not self.path_count:
            return f"{head} = 0"
        terms = [self._symbols(path.steps, "latex") for path in self.paths]
        rows = [f"&= {terms[0]}"] + [rf"&\quad {'' if term.startswith('-') else '+ '}{term}" for term in terms[1:]]
        if self.left_out:
            more = _count(self.left_out, "more ")
            rows.append(rf"&\quad + \dots \; (\text{{{more}: }} {latex_number(self.remainder)})")
        values = " + ".join([latex_number(path.product) for path in self.paths[:8]]).replace("+ -", "- ")
        more = r" + \dots" if self.left_out or len(self.paths) > 8 else ""
        rows.append(rf"&= {values}{more} = {latex_number(self.gradient)}")
        body = r" \\ ".join([head + rows[0], *rows[1:]])
        deltas = r" \\ ".join(self._delta_lines("latex"))
        return rf"\begin{{aligned}} {body} \\[1ex] {deltas} \end{{aligned}}"

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        name = self._names.text
        slope = f"∂{name(self.output)}/∂{name(self.wrt)} = {show(self.gradient)}"
        return f"<explanation of {slope}: {_count(self.path_count)}>"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def _factors(self, steps: Sequence[Step]) -> Symbol:
        return multiply([self._names.local_derivative(step) for step in steps])

    def _symbols(self, steps: Sequence[Step], style: Style) -> str:
        return self._factors(steps).print(style)[0]

    def _numbers(self, path: Path) -> str:
        factors = [s.local_derivative for s in path.steps if s.local_derivative != 1.0]
        shown = " × ".join(f"({show(f)})" if f < 0 and i else show(f) for i, f in enumerate(factors[:16]))
        more = " × …" if len(factors) > 16 else ""
        return f"{shown}{more} = {show(path.product)}" if len(factors) > 1 else show(path.product)

    def _delta_lines(self, style: Style) -> list[str]:
        lines = []
        shown = self.deltas if len(self.deltas) <= LARGEST_LIST else (*self.deltas[: LARGEST_LIST - 1], self.deltas[-1])
        for delta in shown:
            if len(self.deltas) > LARGEST_LIST and delta is self.deltas[-1]:
                left_out = f"{len(self.deltas) - LARGEST_LIST} more"
                lines.append(f"… {left_out} …" if style == "text" else rf"&\dots \text{{ {left_out} }}")
            terms = [
                multiply([self._delta_name(term.steps[0].node), self._factors(term.steps)]) for term in delta.terms
            ]
            formula = (add(terms) if terms else Symbol(1.0)).print(style)[0]
            value = Symbol(delta.value).print(style)[0]
            name = self._delta_name(delta.node).print(style)[0]
            what = self._names.latex(delta.node) if style == "latex" else self._names.text(delta.node)
            output = self._names.latex(self.output) if style == "latex" else self._names.text(self.output)
            same = formula == value
            if style == "latex":
                slope = rf"\frac{{\partial {output}}}{{\partial {what}}}"
                lines.append(rf"{name} = {slope} &= {formula}" + ("" if same else f" = {value}"))
            else:
                lines.append(f"{name} = {formula}" + ("" if same else f" = {value}"))
        return lines

    def _delta_name(self, node: Value) -> Symbol:
        return _Quoted(self._adjoints[node], f"δ({self._names.text(node)})", rf"\delta_{{{self._names.latex(node)}}}")


class _Quoted(Symbol):
    """A name that has its own LaTeX form."""

    __slots__ = ("latex_form",)

    def __init__(self, value: float, text: str | None = None, latex_form: str = "") -> None:
        super().__init__(value, text)
        self.latex_form = latex_form

    def print(self, style: Style) -> tuple[str, int]:
        """The name in a style, as it was given."""
        return (self.latex_form, 3) if style == "latex" else super().print(style)


class _Names:
    """What the nodes of a graph are called in formulas: their label, a short formula, or a number.

    Nodes with the same label are told apart by a number: the same neuron is evaluated once in each observation.
    """

    def __init__(self, order: Sequence[Value]) -> None:
        alike: dict[str, list[Value]] = {}
        for node in order:
            if node.label:
                alike.setdefault(node.label, []).append(node)
        self._names = {node: node.label or f"v{index}" for index, node in enumerate(order)}
        for label, nodes in alike.items():
            if len(nodes) > 1:
                self._names |= {node: name_of_copy(label, number) for number, node in enumerate(nodes)}
        self.copies = any(len(nodes) > 1 for nodes in alike.values())
        self._symbols: dict[Value, Symbol] = {}
        inputs = find_inputs(order)
        self._inputs = {(order[place], slot): inputs.labels[number] for (place, slot), number in inputs.uses.items()}

    def text(self, node: Value) -> str:
        """The name in plain text."""
        return self._names[node]

    def latex(self, node: Value) -> str:
        """The name in LaTeX."""
        return latex_name(self.text(node))

    def symbol(self, node: Value) -> Symbol:
        """A node in a formula: without a label it is written out if its formula is short."""
        if node not in self._symbols:
            self._symbols[node] = self._write(node)
        return self._symbols[node]

    def operands(self, node: Value) -> list[Symbol]:
        """The operands of a node in a formula; a plain number has a name if it is an input of a network."""
        return [
            self.symbol(o) if isinstance(o, Value) else Symbol(o, self._inputs.get((node, slot)))
            for slot, o in enumerate(node.operands)
        ]

    def _write(self, node: Value) -> Symbol:
        name = Symbol(node.data, self.text(node))
        if node.label or node.op is None or len(node.operands) > 3:
            return name
        if any(isinstance(o, Value) and not o.label for o in node.operands):
            return name
        formula = Symbol.apply_rule(node.op, self.operands(node))
        return formula if len(str(formula)) <= INLINE else name

    def local_derivative(self, step: Step) -> Symbol:
        """∂node/∂operand in symbols, with the number that the sweep used."""
        node = step.node
        assert node.op is not None, "a step starts at a computed node"
        slope = local_derivatives(node.op, self.operands(node), self.symbol(node))[step.slot]
        return Symbol(step.local_derivative) if slope is None else slope


def explain(output: Value, wrt: Value, *, paths: int = 8) -> Explanation:
    """Write down the chain rule: ∂output/∂wrt as the sum over all paths of the products of local derivatives.

    The number of paths grows exponentially with the depth. So paths are only counted, in one sweep over whole numbers,
    and a best-first search finds those with the largest products without visiting the others.

    Parameters
    ----------
    output : Value
        The value to differentiate.
    wrt : Value
        The variable: a node from which `output` was computed.
    paths : int
        How many paths to list at most.

    Returns
    -------
    Explanation
        Jupyter shows it as mathematics. `str()` is plain text for a terminal, `.latex()` LaTeX for a paper.

    Raises
    ------
    TypeError
        If one of the two is not a Value.
    ValueError
        If `paths` is not at least 1.

    Notes
    -----
    The sum over paths is Bauer's formula: F. L. Bauer, "Computational graphs and rounding error", SIAM Journal on
    Numerical Analysis 11 (1974).

    Examples
    --------
    >>> from autograd import Value
    >>> from autograd.view import explain
    >>> x, w = Value(0.5, label="x"), Value(0.8, label="w")
    >>> y = (w * x).sigmoid()
    >>> y.label = "y"
    >>> print(explain(y, w))
    ∂y/∂w = 0.1201, the sum over 1 path:
    <BLANKLINE>
        y·(1 − y)·x
            = 0.2403 × 0.5 = 0.1201
    <BLANKLINE>
    Exact sum: 0.12013037287076457. Reverse sweep: 0.12013037287076457 (equal but for rounding).
    <BLANKLINE>
    By layers, from the output back:
    <BLANKLINE>
        δ(y) = 1
        δ(w) = δ(y)·y·(1 − y)·x = 0.1201
    """
    for name, value in (("output", output), ("wrt", wrt)):
        if not isinstance(value, Value):
            raise TypeError(
                f"{name} must be a Value, not {value!r:.80} of type {type(value).__name__}: explain(output, wrt) takes "
                "two Values of one graph"
            )
    if paths < 1:
        raise ValueError(f"paths must be at least 1, not {paths!r}: it says how many paths to list")
    return Explanation(output, wrt, paths)


def _count(number: int, more: str = "") -> str:
    if number >= 10**15:
        return f"about 10^{round(log2(number) * LOG10_2)} {more}paths"
    return f"{number:,} {more}path" + ("" if number == 1 else "s")


def _count_paths(order: Sequence[Value], wrt: Value) -> dict[Value, int]:
    """The number of paths from `wrt` to every node that depends on it."""
    ways = {wrt: 1}
    for node in order:
        if node is not wrt:
            found = sum(ways.get(o, 0) for o, d in zip(node.operands, node.local_grads) if d is not None)
            if found:
                ways[node] = found
    return ways if order[-1] in ways else {}


def _largest_paths(
    output: Value, wrt: Value, order: Sequence[Value], ways: Mapping[Value, int], wanted: int
) -> list[Path]:
    """The paths with the largest |product|, best first.

    One sweep finds for every node the largest product of a path from it, so a best-first search extends only paths that
    end up in the answer. Magnitudes are compared as logarithms, which neither overflow nor underflow.
    """
    if output not in ways:
        return []
    best: dict[Value, float] = {wrt: 0.0}
    for node in order:
        if node is not wrt and node in ways:
            slopes = zip(node.operands, node.local_grads)
            best[node] = max(_plus(best[o], _log(d)) for o, d in slopes if d is not None and o in best)
    ticket = count(
        0, -1
    )  # of paths that may be as large the last comes first, or all of them would be extended together
    waiting: list[Any] = [(-best[output], next(ticket), 0.0, output, None)]
    found: list[Path] = []
    while waiting and len(found) < wanted:
        _, _, size, node, trail = heapq.heappop(waiting)
        if node is wrt:
            steps = _unroll(trail)
            found.append(Path(steps, _product(steps)))
            continue
        for slot, operand, local in reversed(list(zip(count(), node.operands, node.local_grads))):
            if local is None or operand not in best:
                continue
            longer = _plus(size, _log(local))
            ahead = _plus(longer, best[operand])
            heapq.heappush(waiting, (-ahead, next(ticket), longer, operand, (Step(node, slot, operand, local), trail)))
    return found


def _log(derivative: float) -> float:
    """The logarithm of a magnitude; infinity and nan count as the largest."""
    if not isfinite(derivative):
        return inf
    return log(abs(derivative)) if derivative else -inf


def _plus(a: float, b: float) -> float:
    return inf if a == inf or b == inf else a + b


def _unroll(trail: Any) -> tuple[Step, ...]:
    steps = []
    while trail is not None:
        step, trail = trail
        steps.append(step)
    return tuple(reversed(steps))


def _product(steps: Sequence[Step]) -> float:
    """The product, multiplied from the output back, in the order of the sweep."""
    return prod([s.local_derivative for s in steps], start=1.0)
