"""The directive `primitives`: every row of the table with its formula, derivatives, domain, kinks and a picture.

The formulas are printed by running rows on symbols. Where a textbook writes the same thing in another way, the
textbook's formula stands here as code: it is printed in the same manner, and compared with the row on numbers first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import inf, isclose, isfinite, pi
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

import autograd.math as am
from autograd import Value, rules
from autograd.rules import TABLE, Rule
from autograd.view.symbols import Symbol, latex_number, local_derivatives, show

Formula = Callable[..., Any]
Point = tuple[float, ...]


def whole(number: int) -> Symbol:
    """A number that formulas keep as it is: 1/3, not 0.3333."""
    return Symbol(float(number), str(number))


PI = Symbol(pi, "π")
# How textbooks write a value or the derivatives of a row, in the rows' own arithmetic.
VALUES: dict[str, Formula] = {
    "hypot": lambda a, b: rules.sqrt(a * a + b * b),
    "expm1": lambda x: rules.exp(x) - 1.0,
    "log1p": lambda x: rules.log(1.0 + x),
    "exp2": lambda x: rules.pow(2.0, x),
    "erfc": lambda x: 1.0 - rules.erf(x),
    "lgamma": lambda x: rules.log(rules.abs(rules.gamma(x))),
    "sigmoid": lambda x: 1.0 / (1.0 + rules.exp(-x)),
    "silu": lambda x: x * rules.sigmoid(x),
    "gelu": lambda x: x / whole(2) * (1.0 + rules.erf(x / rules.sqrt(whole(2)))),
    "softplus": lambda x: rules.log(1.0 + rules.exp(x)),
    "logaddexp": lambda a, b: rules.log(rules.exp(a) + rules.exp(b)),
    "mean": lambda *xs: rules.sum(*xs) / whole(3),
    "logsumexp": lambda *xs: rules.log(rules.sum(*map(rules.exp, xs))),
}
DERIVATIVES: dict[str, Sequence[Formula]] = {
    "sqrt": [lambda x, y: 1.0 / (whole(2) * y)],
    "cbrt": [lambda x, y: 1.0 / (whole(3) * y * y)],
    "exp2": [lambda x, y: y * rules.log(whole(2))],
    "log2": [lambda x, y: 1.0 / (x * rules.log(whole(2)))],
    "log10": [lambda x, y: 1.0 / (x * rules.log(whole(10)))],
    "hypot": [lambda a, b, y: a / y, lambda a, b, y: b / y],
    "asin": [lambda x, y: 1.0 / rules.sqrt(1.0 - x * x)],
    "acos": [lambda x, y: -1.0 / rules.sqrt(1.0 - x * x)],
    "atan": [lambda x, y: 1.0 / (1.0 + x * x)],
    "atan2": [lambda a, b, y: b / (a * a + b * b), lambda a, b, y: -a / (a * a + b * b)],
    "asinh": [lambda x, y: 1.0 / rules.sqrt(1.0 + x * x)],
    "acosh": [lambda x, y: 1.0 / rules.sqrt(x * x - 1.0)],
    "atanh": [lambda x, y: 1.0 / (1.0 - x * x)],
    "erf": [lambda x, y: 2.0 / rules.sqrt(PI) * rules.exp(-x * x)],
    "erfc": [lambda x, y: -2.0 / rules.sqrt(PI) * rules.exp(-x * x)],
    "gelu": [
        lambda x, y: (
            (1.0 + rules.erf(x / rules.sqrt(whole(2)))) / whole(2)
            + x * rules.exp(-x * x / whole(2)) / rules.sqrt(whole(2) * PI)
        )
    ],
    "fmod": [lambda a, b, y: 1.0, lambda a, b, y: (y - a) / b],
    "remainder": [lambda a, b, y: 1.0, lambda a, b, y: (y - a) / b],
    "mean": [lambda a, b, c, y: 1.0 / whole(3)] * 3,
}
DOMAINS = dict.fromkeys(("div", "floordiv", "mod", "fmod", "remainder"), "b ≠ 0") | {"clip": "a ≤ b"}
# Rows that are written piece by piece: the condition, and a point at which it holds.
PIECES: dict[str, Sequence[tuple[str, Point]]] = {
    "abs": [("x > 0", (1.5,)), ("x = 0", (0.0,)), ("x < 0", (-1.5,))],
    "sign": [("x > 0", (1.5,)), ("x = 0", (0.0,)), ("x < 0", (-1.5,))],
    "relu": [("x > 0", (1.5,)), (r"x \le 0", (-1.5,))],
    "leaky_relu": [("x > 0", (1.5, 0.25)), (r"x \le 0", (-1.5, 0.25))],
    "elu": [("x > 0", (1.5, 0.25)), (r"x \le 0", (-1.5, 0.25))],
    "where": [(r"c \ne 0", (1.0, 2.0, 3.0)), ("c = 0", (0.0, 2.0, 3.0))],
    "clip": [("x < a", (-2.0, -1.0, 1.0)), (r"a \le x \le b", (0.5, -1.0, 1.0)), ("x > b", (2.0, -1.0, 1.0))],
    "max": [("a > b", (2.0, 1.0)), ("a = b", (1.0, 1.0)), ("a < b", (1.0, 2.0))],
    "min": [("a < b", (1.0, 2.0)), ("a = b", (1.0, 1.0)), ("a > b", (2.0, 1.0))],
}
NAMES: dict[str, str] = {
    "where": "cab", "clip": "xab", "leaky_relu": "xs", "elu": "xs", "round": "xn", "polygamma": "nx", "fma": "abc",
    "dot": "abcd", "max": "ab", "min": "ab",
}  # fmt: skip  # a table of letters
POINTS: dict[str, Point] = {
    "polygamma": (1.0, 1.5), "round": (1.25, 1.0), "acosh": (1.5,), "clip": (0.5, -1.0, 1.0), "hypot": (0.6, 0.8),
    "dot": (0.6, 0.8, 1.7, 0.4), "pow": (1.5, 0.7), "atan2": (0.6, 0.8),
}  # fmt: skip  # where a formula is taken; elsewhere at 0.6, 1.7, 0.4
HEADINGS = (
    ("Arithmetic", "add"),
    ("Roots, exponentials, logarithms", "sqrt"),
    ("Trigonometry, circular and hyperbolic", "sin"),
    ("Special functions", "erf"),
    ("Steps", "floor"),
    ("Remainders", "mod"),
    ("Choices and kinks", "abs"),
    ("Activations", "relu"),
    ("Many operands", "sum"),
)
OPERATORS = {
    "add": "a + b", "sub": "a - b", "mul": "a * b", "div": "a / b", "neg": "-x", "pos": "+x", "pow": "a ** b",
    "abs": "abs(x)", "floordiv": "a // b", "mod": "a % b", "round": "round(x, n)",
}  # fmt: skip


def letters(rule: Rule) -> str:
    """The names of the operands in formulas."""
    return NAMES.get(rule.name) or ("x" if rule.arity == 1 else "ab" if rule.arity == 2 else "abc"[: rule.arity or 3])


def point_of(rule: Rule) -> Point:
    """A point in the domain at which the general formula holds."""
    return POINTS.get(rule.name) or (0.6, 1.7, 0.4)[: len(letters(rule))]


def latex(symbol: Any) -> str:
    """A formula as LaTeX."""
    text = symbol.print("latex")[0] if isinstance(symbol, Symbol) else latex_number(float(symbol))
    return (
        re.sub(r"\\mathrm\{(\d+)\}", r"\1", text)
        .replace(r"\mathrm{π}", r"\pi")
        .replace(r"\operatorname{cbrt}\left(x\right)", r"\sqrt[3]{x}")
    )


def compare(rule: Rule, what: str, textbook: Any, own: Any) -> None:
    """Refuse a textbook's formula that has another value than the row."""
    expected, actual = (float(getattr(n, "value", n)) for n in (own, textbook))
    if not isclose(expected, actual, rel_tol=1e-12):
        raise ExtensionError(f"{what} of {rule.name}: the textbook's formula gives {actual}, the row {expected}")


def value_at(rule: Rule, point: Point) -> Symbol:
    """The value of a row in symbols."""
    symbols = [Symbol(x, name) for x, name in zip(point, letters(rule), strict=False)]
    own = rule.evaluate(list(point))
    if rule.name in VALUES:
        written = VALUES[rule.name](*symbols)
        compare(rule, "the value", written, own)
        return written
    if rule.name in PIECES and rule.formula is not None:
        return _symbol(rule.expand(symbols))
    return Symbol.apply_rule(rule, symbols)


def derivatives_at(rule: Rule, point: Point) -> list[Symbol | None]:
    """The local derivatives of a row in symbols."""
    symbols = [Symbol(x, name) for x, name in zip(point, letters(rule), strict=False)]
    output = Symbol(rule.evaluate(list(point)), "y")
    own = local_derivatives(rule, symbols, output)
    if rule.name not in DERIVATIVES:
        return list(own)
    written = [_symbol(formula(*symbols, output)) for formula in DERIVATIVES[rule.name]]
    for textbook, row in zip(written, rule.local_derivatives(list(point), output.value), strict=True):
        compare(rule, "a derivative", textbook, row)
    return list(written)


def _symbol(number: Any) -> Symbol:
    return number if isinstance(number, Symbol) else Symbol(float(number))


def value_formula(rule: Rule) -> str:
    """The row's value as LaTeX."""
    if rule.name in PIECES and rule.formula is not None and rule.arity is not None:
        rows = [rf"{latex(value_at(rule, point))} & \text{{if }} {when}" for when, point in PIECES[rule.name]]
        return r"y = \begin{cases}" + r" \\ ".join(rows) + r"\end{cases}"
    own = latex(Symbol.apply_rule(rule, [Symbol(x, n) for x, n in zip(point_of(rule), letters(rule), strict=False)]))
    textbook = latex(value_at(rule, point_of(rule))) if rule.name in VALUES else own
    return f"y = {textbook if own == textbook or rule.name == 'mean' else f'{own} = {textbook}'}"


def message(derivative: Symbol | None) -> str:
    """A local derivative as LaTeX, or that there is none."""
    if derivative is None:
        return r"\text{no message}"
    return r"\text{none}" if derivative.value != derivative.value else latex(derivative)


def derivative_formulas(rule: Rule) -> list[str]:
    """One line of LaTeX for each operand's local derivative."""
    names = letters(rule)[: None if rule.arity else 2]
    pieces = PIECES.get(rule.name) or [("", point_of(rule))]
    columns = [derivatives_at(rule, point) for _, point in pieces]
    lines = []
    for slot, name in enumerate(names):
        shown = [message(c[slot]) for c in columns]
        left = rf"\frac{{\partial y}}{{\partial {name}}} = "
        if len(set(shown)) == 1:
            lines.append(left + shown[0])
        else:
            rows = [rf"{text} & \text{{if }} {when}" for text, (when, _) in zip(shown, pieces, strict=True)]
            lines.append(left + r"\begin{cases}" + r" \\ ".join(rows) + r"\end{cases}")
    return lines


def domain_text(rule: Rule) -> str:
    """The domain in words."""
    if rule.name in DOMAINS:
        return DOMAINS[rule.name]
    names = letters(rule)
    shown = []
    for name, (low, high) in zip(names, rule.domain, strict=False):
        if (low, high) == (0.0, 0.0):
            shown.append(f"{name}: a whole number, without a derivative")
        elif (low, high) != (-inf, inf):
            sides = [f"{show(low)} < "] if isfinite(low) else [""]
            shown.append(f"{sides[0]}{name}" + (f" < {show(high)}" if isfinite(high) else ""))
    return "; ".join(shown) or "all real numbers"


def corners_text(rule: Rule) -> str:
    """The conventions at kinks and boundary points."""
    parts = []
    for point, (value, slopes) in rule.corners.items():
        where = ", ".join([show(x) for x in point])
        sent = ", ".join(["no message" if s is None else show(s) for s in slopes])
        parts.append(
            f"at ({where}) the value is {show(value)}, the derivative{'' if len(slopes) == 1 else ' by operand'} {sent}"
        )
    return "; ".join(parts)


def spellings(rule: Rule) -> str:
    """How a user writes the primitive."""
    names = ", ".join(letters(rule)[: rule.arity or 2]) + ("" if rule.arity else ", …")
    found = [f"`{OPERATORS[rule.name]}`"] if rule.name in OPERATORS else []
    if rule.name in am.__all__:
        call = {"dot": "dot([a, b], [c, d])", "fsum": "fsum([a, b, …])", "take": "take([b, …], a)"}.get(
            rule.name, f"{rule.name}({names})"
        )
        found.append(f"`autograd.math.{call}`")
    if hasattr(Value, rule.name) and rule.arity in (1, 2) and rule.name not in OPERATORS:
        rest = ", ".join(letters(rule)[1 : rule.arity])
        found.append(f"`{letters(rule)[0]}.{rule.name}({rest})`")
    return ", ".join(found) or f"`autograd.rules.{rule.name}`"


# ---- pictures --------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT, SAMPLES = 240, 160, 241
FIXED: dict[str, tuple[int, Point]] = {
    "polygamma": (1, (1.0, 0.0)), "clip": (0, (0.0, -1.0, 1.0)), "leaky_relu": (0, (0.0, 0.1)),
    "round": (0, (0.0, 0.0)), "pow": (0, (0.0, 2.5)), "where": (1, (1.0, 0.0, 1.0)),
    "fma": (0, (0.0, 2.0, -1.0)), "dot": (0, (0.0, 2.0, 1.5, 0.5)), "max": (0, (0.0, 1.0)),
    "min": (0, (0.0, 1.0)), "sum": (0, (0.0, 1.0)), "fsum": (0, (0.0, 1.0)), "sub": (0, (0.0, 1.0)),
    "prod": (0, (0.0, 2.0)), "mul": (0, (0.0, 2.0)), "mean": (0, (0.0, 1.0)), "logsumexp": (0, (0.0, 1.0)),
    "div": (1, (1.0, 0.0)),
}  # fmt: skip  # which operand is drawn, and the others


def curves(rule: Rule) -> tuple[list[float], list[float], list[float], str]:
    """Samples of x, the value and the derivative by x; and what the other operands are."""
    slot, rest = FIXED.get(rule.name, (0, (0.0, *[1.0] * ((rule.arity or 2) - 1))))
    low, high = rule.domain[min(slot, len(rule.domain) - 1)]
    low, high = max(low, -3.0), min(high, 4.0 if low >= 0.0 else 3.0)
    xs = [low + (high - low) * (i + 0.5) / SAMPLES for i in range(SAMPLES)]
    ys, slopes = [], []
    for x in xs:
        operands = [*rest[:slot], x, *rest[slot + 1 :]]
        y = rule.evaluate(operands)
        slope = rule.local_derivatives(operands, y)[slot]
        ys.append(y)
        slopes.append(0.0 if slope is None else slope)
    others = [f"{n} = {show(r)}" for i, (n, r) in enumerate(zip(letters(rule), rest, strict=False)) if i != slot]
    return xs, ys, slopes, ", ".join(others)


def picture(rule: Rule) -> str:
    """An SVG of the value and of its derivative, which takes its colours from the page."""
    xs, ys, slopes, others = curves(rule)
    finite = sorted(y for y in [*ys, *slopes] if isfinite(y))
    bottom, top = max(finite[0], -3.2), min(finite[-1], 3.2)
    bottom, top = min(bottom, -0.4) - 0.2, max(top, 0.4) + 0.2
    left, right = xs[0], xs[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        return 8 + (WIDTH - 16) * (x - left) / (right - left), 8 + (HEIGHT - 16) * (top - y) / (top - bottom)

    def path(values: Sequence[float], jump: Callable[[int], bool]) -> str:
        parts, pen = [], "M"
        for i, (x, y) in enumerate(zip(xs, values, strict=True)):
            if not bottom <= y <= top or (i and jump(i)):
                pen = "M"
            if bottom <= y <= top:
                across, down = place(x, y)
                parts.append(f"{pen}{across:.1f} {down:.1f}")
                pen = "L"
        return "".join(parts)

    step = xs[1] - xs[0]
    value = path(ys, lambda i: abs(ys[i] - ys[i - 1]) > 0.2 + 3 * step * max(abs(slopes[i]), abs(slopes[i - 1])))
    slope = path(slopes, lambda i: rule.kink is not None and abs(slopes[i] - slopes[i - 1]) > 0.08)
    (x0, y0), (x1, _) = place(left, 0.0), place(right, 0.0)
    axes = f"M{x0:.1f} {y0:.1f}H{x1:.1f}"
    ticks = [f"M{place(x, 0.0)[0]:.1f} {y0 - 2:.1f}v4" for x in range(-4, 5) if left <= x <= right]
    if left <= 0.0 <= right or left < 0.05:
        across = place(max(left, 0.0), 0.0)[0]
        axes += f"M{across:.1f} 8V{HEIGHT - 8}"
        ticks += [f"M{across - 2:.1f} {place(0.0, y)[1]:.1f}h4" for y in range(-4, 5) if bottom <= y <= top]
    drawn = f"{rule.name} and its derivative from {show(round(left, 1))} to {show(round(right, 1))}" + (
        f", {others}" if others else ""
    )
    return (
        f'<figure class="curve"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{drawn}">'
        f'<path class="axes" d="{axes}{"".join(ticks)}"/><path class="slope" d="{slope}"/>'
        f'<path class="value" d="{value}"/></svg>'
        + (f"<figcaption>{others}</figcaption>" if others else "")
        + "</figure>"
    )


def entry(rule: Rule) -> list[str]:
    """The description of one row, as MyST."""
    pow_note = ["If b is a constant and whole, a may be negative.", ""] if rule.name == "pow" else []
    kink = " It has kinks or jumps." if rule.kink is not None else ""
    corners = corners_text(rule)
    formulas = [f"$$ {line} $$\n" for line in [value_formula(rule), *derivative_formulas(rule)]]
    more = ["It takes any number of operands; the formulas show a few.", ""] if rule.arity is None else []
    return [
        f"(primitive-{rule.name})=",
        f"### `{rule.name}`",
        "",
        "::::{container} primitive",
        "",
        "```{raw} html",
        picture(rule),
        "```",
        "",
        f"Written {spellings(rule)}.",
        "",
        *formulas,
        *more,
        f"Domain: {domain_text(rule)}.{kink}",
        "",
        *pow_note,
        *([f"By convention {corners}.", ""] if corners else []),
        "::::",
        "",
    ]


class Primitives(SphinxDirective):
    """All rows of the table, under the headings of `rules.py`."""

    def run(self) -> list[nodes.Node]:
        """Write the rows as MyST and let Sphinx parse it."""
        first = {name: title for title, name in HEADINGS}
        lines: list[str] = []
        for rule in TABLE.values():
            if rule.name in first:
                lines += [f"## {first.pop(rule.name)}", ""]
            lines += entry(rule)
        if first:
            raise ExtensionError(f"headings without a row: {', '.join(first)}")
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("primitives", Primitives)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
