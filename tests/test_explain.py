"""The chain rule written out: every path, its product, their sum, and the δ of the layers."""

import itertools
import math
import random
import re

import pytest
from graphs_for_views import EVIL_LABELS, small_graphs, training_loss, worked_example
from hypothesis import assume, given
from hypothesis import strategies as st

import autograd.math as am
from autograd import Value, rules
from autograd.view import deltas, explain
from autograd.view.symbols import Symbol, latex_name, local_derivatives, show
from nn import MLP

SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
MEANING = {
    "σ": rules.sigmoid, "√": rules.sqrt, "∛": rules.cbrt, "Γ": rules.gamma, "ψ": rules.digamma, "logΓ": rules.lgamma,
    "ψₙ": rules.polygamma, "nan": math.nan,
} | dict(rules.TABLE)  # fmt: skip  # a table


def read_back(text, **names):
    """The number that a printed formula stands for."""
    text = re.sub(r"([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)", lambda m: "**" + m[1].translate(SUPERSCRIPT), text)
    text = re.sub(r"\|([^|]*)\|", r"abs(\1)", text)
    text = text.replace("logΓ", "lgamma").replace("ψₙ", "polygamma").replace("√", "sqrt").replace("∛", "cbrt")
    text = text.replace("·", "*").replace("−", "-").replace("^", "**").replace("∞", "inf")
    return eval(text, {"inf": math.inf, **MEANING, **names})


def all_paths(output, wrt):
    """Every path from output to wrt by naive recursion: the reference for counting and ranking."""
    if output is wrt:
        return [()]
    slots = zip(output.operands, output.local_grads)
    return [(d, *rest) for o, d in slots if d is not None for rest in all_paths(o, wrt)]


def weakest(rule):
    """Distinct numbers inside the domain of a primitive."""
    domain = rule.domain * (4 if rule.arity is None else 1)
    if rule.name == "clip":
        return [0.2, -1.0, 1.0]
    return [1.3 if low == 1.0 else 0.0 if low == high else 0.3 + 0.2 * i for i, (low, high) in enumerate(domain)]


@pytest.mark.parametrize("rule", rules.TABLE.values(), ids=str)
def test_printed_formulas_mean_what_the_row_computes(rule):
    """Every primitive's formula and derivatives, evaluated from their text, give the primitive's numbers."""
    numbers = weakest(rule)
    if "polygamma" in rule.name or "digamma" in rule.name or "gamma" in rule.name:
        pytest.importorskip("scipy")
        numbers = [1.0, 0.7] if rule.arity == 2 else numbers
    names = dict(zip("abcd", numbers))
    symbols = [Symbol(x, name) for name, x in names.items()]
    output = rule.evaluate(numbers)
    if rule.name not in ("mod", "floordiv", "round", "dot"):
        assert output == pytest.approx(read_back(str(Symbol.apply_rule(rule, symbols)), **names), rel=1e-3)
    expected = rule.local_derivatives(numbers, output)
    printed = local_derivatives(rule, symbols, Symbol(output, "out"))
    for slope, symbol in zip(expected, printed, strict=True):
        assert (slope is None) == (symbol is None)
        if slope is not None:
            assert slope == pytest.approx(symbol.value, rel=1e-12, nan_ok=True)
            assert slope == pytest.approx(read_back(str(symbol), out=output, **names), rel=1e-3, nan_ok=True)


OPERATIONS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "negative": lambda a, b: -a,
    "square": lambda a, b: rules.pow(a, 2.0),
}


@st.composite
def formulas(draw):
    """A symbol built by arithmetic, and its number."""
    pool = [(Symbol(v, n), v) for n, v in (("a", 2.0), ("b", -3.0), ("c", 0.5))]
    pool += [(Symbol(v), v) for v in (-1.0, 1.0, 2.0, -4.0)]
    for _ in range(draw(st.integers(1, 7))):
        (left, x), (right, y) = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
        name = draw(st.sampled_from(list(OPERATIONS)))
        assume(abs(x) < 1e6 and (name != "/" or abs(y) > 1e-6))
        pool.append((OPERATIONS[name](left, right), OPERATIONS[name](x, y)))
    return pool[-1]


@given(formulas())
def test_parentheses_are_where_they_have_to_be(formula):
    """Nested sums, products, quotients, signs and powers are printed without a change of meaning."""
    symbol, expected = formula
    a, b, c = 2.0, -3.0, 0.5
    assert expected == pytest.approx(symbol.value, rel=1e-9, abs=1e-9)
    size = 1e-2 * (1 + abs(expected))
    text = str(symbol)
    assume("e−" not in text and "e" not in text.replace("−", ""))
    assert expected == pytest.approx(read_back(text, a=a, b=b, c=c), rel=1e-2, abs=size)


@given(small_graphs())
def test_the_paths_add_up_to_the_gradient(graph):
    """Paths are counted exactly and all listed: their exact sum is that of the reverse sweep, except for rounding."""
    output, leaf = graph
    expected = all_paths(output, leaf)
    assume(len(expected) <= 200)
    explained = explain(output, leaf, paths=200)
    output.backward()
    assert len(expected) == explained.path_count == len(explained.paths)
    assert 0 == explained.left_out
    assert leaf.grad == explained.gradient
    if expected:
        assert explained.agrees is True
        assert float(explained.exact) == pytest.approx(leaf.grad, rel=1e-9, abs=1e-9)


@given(small_graphs(), st.integers(1, 5))
def test_the_largest_paths_come_first(graph, wanted):
    """Best-first search finds the same paths as sorting all of them by magnitude."""
    output, leaf = graph
    everything = all_paths(output, leaf)
    assume(0 < len(everything) <= 200)
    expected = sorted((abs(math.prod(p)) for p in everything), reverse=True)[:wanted]
    explained = explain(output, leaf, paths=wanted)
    assert expected == pytest.approx([abs(p.product) for p in explained.paths])
    assert len(everything) - len(expected) == explained.left_out
    total = sum(p.product for p in explained.paths) + explained.remainder
    assert explained.gradient == pytest.approx(total, rel=1e-12, abs=1e-12)


@pytest.mark.slow
def test_path_counts_are_exact_however_large():
    """2^500 paths are counted, the two largest found and the rest added up, without a list of all paths."""
    x = Value(1.0, label="x")
    y = x
    for _ in range(500):
        y = y * 0.5 + y * 0.25
    explained = explain(y, x, paths=2)
    assert 2**500 == explained.path_count
    assert 2**500 - 2 == explained.left_out
    assert [0.5**500, 0.5**499 * 0.25] == [p.product for p in explained.paths]
    assert 0.75**500 == pytest.approx(explained.gradient)
    assert "about 10^151 paths" in str(explained)


def test_a_long_chain_is_explained_without_recursion():
    """A graph may have any depth."""
    x = Value(1.0, label="x")
    y = x
    for _ in range(20_000):
        y = y * 0.9999
    assert [20_000] == [len(p.steps) for p in explain(y, x).paths]


def test_worked_example_reads_like_the_textbook():
    """∂E/∂w5 of the 2-2-2 network is (o1 − t1)·o1(1 − o1)·h1, in symbols, numbers and δ."""
    nodes, error = worked_example()
    written = str(explain(error, nodes["w5"]))
    assert (
        written
        == """∂E/∂w5 = 0.08217, the sum over 1 path:

    (o1 − 0.01)·o1·(1 − o1)·h1
        = 0.5 × (−1.483) × (−1) × 0.1868 × 0.5933 = 0.08217

Exact sum: 0.0821670405642308. Reverse sweep: 0.0821670405642308 (equal but for rounding).

By layers, from the output back:

    δ(E) = 1
    δ(o1) = δ(E)·(o1 − 0.01) = 0.7414
    δ(w5) = δ(o1)·o1·(1 − o1)·h1 = 0.08217"""
    )


def test_two_paths_through_two_outputs():
    """In a 2-4-3-2 network ∂E/∂w21 is the sum of the path products through d1 and d2."""
    rng = random.Random(3)
    leaf = {f"{kind}{i}": Value(rng.uniform(-1, 1), label=f"{kind}{i}") for kind in "wxy" for i in range(40)}
    a = [Value(0.3, label="out_a1"), Value(-0.7, label="out_a2")]
    weights = iter(leaf.values())
    layers = [a]
    for name, size in (("b", 4), ("c", 3), ("d", 2)):
        layers.append([am.sum([next(weights) * o for o in layers[-1]]).sigmoid() for _ in range(size)])
        for i, o in enumerate(layers[-1]):
            o.label = f"out_{name}{i + 1}"
    targets = [Value(0.1, label="t_d1"), Value(0.9, label="t_d2")]
    error = am.sum([0.5 * (o - t) ** 2 for o, t in zip(layers[3], targets)])
    error.label = "E"
    w21 = layers[2][0].operands[0].operands[0].operands[0]  # c1 = σ(w·b1 + …)
    explained = explain(error, w21)
    shown = {str(explained._factors(p.steps)) for p in explained.paths}
    w = [layers[3][i].operands[0].operands[0].operands[0].label for i in (0, 1)]
    assert {
        f"(out_d{i} − t_d{i})·out_d{i}·(1 − out_d{i})·{w[i - 1]}·out_c1·(1 − out_c1)·out_b1" for i in (1, 2)
    } == shown
    assert "δ(out_c1) = " in str(explained)


def test_latex_uses_the_labels():
    """Subscripts come from the label; fractions, products and δ are set as mathematics."""
    nodes, error = worked_example()
    latex = explain(error, nodes["w5"]).latex()
    assert r"\frac{\partial E}{\partial w_{5}}&= \left(o_{1} - 0.01\right) \, o_{1}" in latex
    assert r"\delta_{w_{5}}" in latex
    assert explain(error, nodes["w5"])._repr_latex_() == f"$\\displaystyle {latex}$"


@pytest.mark.parametrize("label", [*EVIL_LABELS, r"\input{/etc/passwd}", "100%", "a_b_c", "$x$", "w_{1}", "x y"])
def test_labels_are_no_latex(label):
    """A label adds no command, group or dollar sign to the mathematics."""
    written = latex_name(label)
    plain = re.sub(r"\\(mathrm|backslash|hat|sim|lt|gt)\b|\\[{}$&#%_ ]", "", written)
    assert not re.search(r"[\\$%#&<>]", plain)
    assert plain.count("{") == plain.count("}")
    assert all(c.isprintable() for c in written)


def test_zero_nan_and_missing_paths():
    """The text mentions a zero in a path, a number that is not finite and a variable without influence."""
    x, y = Value(0.0, label="x"), Value(2.0, label="y")
    assert "there is no path" in str(explain(x * 2.0, y))
    assert 0.0 == explain(x * 2.0, y).gradient
    assert "∂v1/∂v2 = 0\nv1 does not depend on v2: there is no path." == str(explain(x * 2.0, Value(1.0)))
    bad = explain(x.log() * x, x)
    assert 2 == bad.path_count
    assert bad.exact is None
    assert "not added up exactly" in bad.proof
    assert [0.0, 0.0] == [p.product for p in explain(x * x, x).paths]
    same = explain(x, x)
    assert (1.0, 1) == (same.gradient, same.path_count)


def test_what_cannot_be_explained():
    """The errors say what to pass."""
    x = Value(1.0)
    with pytest.raises(
        TypeError, match=r"wrt must be a Value, not 2.0 of type float: explain\(output, wrt\) takes two"
    ):
        explain(x, 2.0)
    with pytest.raises(ValueError, match=r"paths must be at least 1, not 0"):
        explain(x, x, paths=0)


def test_a_primitive_of_the_user_is_named():
    """The derivative of a primitive outside the table is written as ∂f/∂x."""
    row = rules.Rule("cube", "cube", lambda x: x**3, (lambda x, y: 3 * x * x,), 1, (rules.REAL,))
    x = Value(2.0, label="x")
    explained = explain(row(x), x)
    assert "∂cube/∂x" in str(explained)
    assert 12.0 == explained.gradient


# ---- δ -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(2, 3, 2), (3, 1), (1, 4, 4, 2), (2, 2, 2, 2, 1)])
def test_deltas_are_those_of_the_algorithm(sizes):
    """δ^L = ∇C ⊙ σ'(z), δ^l = (w^(l+1))ᵀδ^(l+1) ⊙ σ'(z), written out with floats, for one sample."""
    network = MLP(sizes[0], sizes[1:], ["sigmoid"] * (len(sizes) - 1), seed=5)
    x = [0.3 * i - 0.2 for i in range(sizes[0])]
    hidden = x
    for layer in network.layers[:-1]:
        hidden = layer.outputs(hidden)
    error = am.sum([0.5 * (y - 0.25) ** 2 for y in network.layers[-1].outputs(hidden)])
    activations = [x]
    for layer in network.layers:
        below = activations[-1]
        z = [sum(w.data * a for w, a in zip(n.w, below)) + n.b.data for n in layer.neurons]
        activations.append([1 / (1 + math.exp(-v)) for v in z])
    delta = [(a - 0.25) * a * (1 - a) for a in activations[-1]]
    expected = [delta]
    for layer, out in zip(reversed(network.layers), reversed(activations[1:-1])):
        above = expected[0]
        sums = [sum(d * n.w[j].data for d, n in zip(above, layer.neurons)) for j in range(len(out))]
        expected.insert(0, [s * a * (1 - a) for s, a in zip(sums, out)])
    found = deltas(network, error)
    assert [f"layers[{i}]" for i in range(len(sizes) - 1)] == list(found)
    for by_hand, layer in zip(expected, found.values(), strict=True):
        assert by_hand == pytest.approx(list(itertools.chain(*layer)))


def test_one_delta_per_sample():
    """A loss over many samples has a δ for each, and they add up to the gradient of the bias."""
    network, loss = training_loss([2, 3, 1], 7)
    loss.backward()
    found = deltas(network, loss)
    for layer, neurons in zip(network.layers, found.values(), strict=True):
        for neuron, values in zip(layer.neurons, neurons, strict=True):
            assert 7 == len(values)
            assert neuron.b.grad == pytest.approx(math.fsum(values))


def test_a_penalty_on_the_weights_is_no_neuron():
    """Products of parameters with themselves are not mistaken for weighted sums."""
    network, loss = training_loss([2, 1], 1)
    penalty = 0.0
    for _, w in network.named_parameters():
        penalty = penalty + w * w
    found = deltas(
        network, loss + 0.1 * penalty + am.dot(network.layers[0].neurons[0].w, network.layers[0].neurons[0].w)
    )
    assert deltas(network, loss) == found


def test_deltas_of_what_is_not_there():
    """The errors name a neuron without influence, and objects that are not a model."""
    network, loss = training_loss([2, 1], 1)
    stranger = MLP(2, [1], seed=9)
    with pytest.raises(ValueError, match=r"no weighted sum of the parameters of 'layers\[0\].neurons\[0\]'"):
        deltas(stranger, loss)
    with pytest.raises(TypeError, match=r"expected a model with named_parameters\(\).* not 3 of type int"):
        deltas(3, loss)
    with pytest.raises(TypeError, match=r"\('w', 1.0\) is not a name and a Value"):
        deltas({"w": 1.0}, loss)
    with pytest.raises(TypeError, match=r"loss must be a Value, not 'loss' of type str"):
        deltas(network, "loss")


def test_deltas_print_as_a_table():
    """`print` shows a line per neuron."""
    network, loss = training_loss([1, 2], 1)
    lines = str(deltas(network, loss)).splitlines()
    assert ["layers[0]  neuron 0  δ ", "layers[0]  neuron 1  δ "] == [line.partition("=")[0] for line in lines]


def test_show_rounds_as_javascript_does():
    """Halves go up, exponents are short, the minus sign is a minus sign."""
    assert ["1235", "−0.0625", "1e−5", "1.234e4", "0", "nan"] == [
        show(x) for x in (1234.5, -0.0625, 1e-5, 12344.0, 0.0, math.nan)
    ]


def test_observations_have_names_of_their_own():
    """A neuron in two observations is two nodes: their δ have two names, and a formula multiplies no wrong pair."""
    w = Value(0.5, label="w")
    hidden = [(w * x).tanh() for x in (1.0, -2.0)]
    for h in hidden:
        h.label = "h"
    loss = hidden[0] * hidden[1] + 3.0 * hidden[0]
    explained = explain(loss, w)
    text = str(explained)
    deltas = dict(re.findall(r"δ\((h⁽.⁾)\) = .* = (\S+)$", text, re.MULTILINE))
    assert {"h⁽⁰⁾", "h⁽¹⁾"} == set(deltas)
    assert [show(hidden[1].data + 3.0), show(hidden[0].data)] == [deltas["h⁽⁰⁾"], deltas["h⁽¹⁾"]]
    assert "h²" not in text
    assert text.endswith("observation 0, observation 1, …")
    assert "h^{(0)}" in explained.latex()
    assert explained.agrees


def test_names_stay_plain_where_they_are_unique():
    """One observation: no numbers, and no line about them."""
    x = Value(0.5, label="x")
    assert "⁽" not in str(explain(x.tanh() * x, x))


def test_plain_numbers_that_a_network_takes_have_names():
    """As in pictures: x[1], and one name for each observation."""
    model = MLP(2, [1], ["tanh"], seed=0)
    weight = model.layers[0].neurons[0].w[1]
    assert "δ(layers[0].neurons[0])·(1 − layers[0].neurons[0]²)·x[1] = " in str(explain(model([0.5, 0.25]), weight))
    total = model([0.5, 0.25]) + model([1.0, -2.0])
    assert {"x[1]⁽⁰⁾", "x[1]⁽¹⁾"} <= set(re.findall(r"x\[1\]⁽.⁾", str(explain(total, weight))))


@pytest.mark.parametrize(
    ("start", "step"),
    [
        (1.0, lambda t: t + t),
        (-1.0, lambda t: (t + t).relu() - 1.0),
        (3.0, lambda t: t * t + t),
        (math.nan, lambda t: t * t + t),
    ],
)
def test_many_paths_of_one_size(start, step):
    """The largest of 2⁶⁰ paths are found at once where all are equal, 0, infinite or nan."""
    x = Value(start, label="x")
    y = x
    for _ in range(60):
        y = step(y)
    found = explain(y, x)
    assert len(found.paths) > 1
    assert found.path_count >= 2**60
    assert {x} == {path.steps[-1].operand for path in found.paths}
