"""Formulas for readers: run a row of the table on symbols, and print the result as text or LaTeX.

A symbol has a number beside its name. Comparisons look at the number, so a formula shows the branch that was
taken: the derivative of relu reads 1 or 0, not both cases.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Context
from math import isfinite, isnan, nan
from typing import Any, Literal

from autograd import rules
from autograd.rules import Rule
from autograd.symbols import Arithmetic

Style = Literal["text", "latex", "numbers"]
SUM, PRODUCT, POWER, ATOM = range(4)  # precedence
ELIDE_ABOVE = 8  # terms, factors or arguments: longer lists are shortened
FOUR_DIGITS = Context(prec=4, rounding=ROUND_HALF_UP)  # JavaScript rounds in the same way, so both print the same
SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_COPY = re.compile("(.+)⁽([⁰¹²³⁴⁵⁶⁷⁸⁹]+)⁾", re.DOTALL)


def name_of_copy(label: str, number: int) -> str:
    """The name of one of several nodes with the same label: of the neuron in observation 0, of that in observation 1.

    Examples
    --------
    >>> from autograd.view.symbols import latex_name, name_of_copy
    >>> name_of_copy("h1", 0), latex_name(name_of_copy("h1", 12))
    ('h1⁽⁰⁾', 'h_{1}^{(12)}')
    """
    return f"{label}⁽{str(number).translate(SUPERSCRIPTS)}⁾"


def show(number: float) -> str:
    """A number as pictures and formulas print it: four significant digits and a true minus sign.

    Examples
    --------
    >>> from autograd.view.symbols import show
    >>> show(-0.59326999), show(2.0), show(1.5e-7), show(float("inf"))
    ('−0.5933', '2', '1.5e−7', '∞')
    """
    if isnan(number):
        return "nan"
    if not isfinite(number):
        return "∞" if number > 0 else "−∞"
    rounded = float(FOUR_DIGITS.create_decimal_from_float(number))
    return re.sub(r"e(-?)\+?0*", r"e\1", f"{rounded:.4g}").replace("-", "−")


def latex_number(number: float) -> str:
    """`show` for LaTeX: powers of ten written out."""
    text = show(number).replace("−", "-").replace("∞", r"\infty").replace("nan", r"\mathrm{nan}")
    mantissa, exponent, power = text.partition("e")
    return rf"{mantissa} \cdot 10^{{{power}}}" if exponent else text


_LATEX_ESCAPES = {
    "\\": r"\backslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "^": r"\hat{}", "~": r"\sim{}", "<": r"\lt{}", ">": r"\gt{}", " ": r"\ ", "`": "'",
}  # fmt: skip  # a table of characters
_NAME = re.compile(r"([^\W\d_]+)_?(\w*)", re.ASCII)


def latex_name(label: str) -> str:
    r"""A label as LaTeX, in which no part of the label is a command.

    Examples
    --------
    >>> from autograd.view.symbols import latex_name
    >>> print(latex_name("w21"), latex_name("out_d1"), latex_name("layers[0].w[1]"))
    w_{21} \mathrm{out}_{d1} \mathrm{layers[0].w[1]}
    """
    if copy := _COPY.fullmatch(label):
        return f"{latex_name(copy[1])}^{{({copy[2].translate(DIGITS)})}}"
    match = _NAME.fullmatch(label)
    if not match:
        return rf"\mathrm{{{_escaped(label)}}}"
    stem, below = match[1], match[2].replace("_", r"\_")
    return (stem if len(stem) == 1 else rf"\mathrm{{{stem}}}") + (f"_{{{below}}}" if below else "")


def _escaped(label: str) -> str:
    return "".join([_LATEX_ESCAPES.get(c, c) for c in label if c.isprintable()])


class Symbol(Arithmetic):
    """A number with a formula; arithmetic on symbols writes down the arithmetic.

    Parameters
    ----------
    value : float
        The number.
    text : str, optional
        Its name; without one the symbol is a constant and prints as its number.

    Examples
    --------
    >>> from autograd import rules
    >>> from autograd.view.symbols import Symbol, local_derivatives
    >>> x, y = Symbol(0.5, "x"), Symbol(2.0, "y")
    >>> print(rules.tanh(x * y) + 1)
    tanh(x·y) + 1
    >>> print(local_derivatives(rules.div, (x, y), Symbol(0.25, "z"))[1])
    −z/y
    """

    __slots__ = ("value", "kind", "parts", "coefficient")
    kind: str  # "number", "name", "sum", "product" or "call"
    parts: tuple[Any, ...]  # terms; (base, exponent) of factors; rule and arguments
    __hash__ = object.__hash__

    def __init__(self, value: float, text: str | None = None) -> None:
        self.value = value
        self.coefficient = 1.0
        self.kind, self.parts = ("number", ()) if text is None else ("name", (text,))

    # ---- what a row needs of a number -----------------------------------------------------------------------

    @classmethod
    def apply_rule(cls, rule: Rule, operands: Sequence[Any]) -> Symbol:
        """Write down one operation."""
        symbols = [o if isinstance(o, Symbol) else cls(float(o)) for o in operands]
        value = _evaluate(rule, symbols)
        if all(s.kind == "number" for s in symbols):
            return cls(value)
        write = WRITE.get(rule.name)
        written = write(symbols) if write else _node("call", (rule, *symbols))
        if written.value != value:  # other formulas may share it, and keep their number
            written = written._copy()
            written.value = value
        return written

    def _copy(self) -> Symbol:
        twin = Symbol(self.value)
        twin.kind, twin.parts, twin.coefficient = self.kind, self.parts, self.coefficient
        return twin

    def __eq__(self, other: object) -> bool:
        return self.value == _value(other)

    def __lt__(self, other: Any) -> bool:
        return self.value < _value(other)

    def __gt__(self, other: Any) -> bool:
        return self.value > _value(other)

    def __le__(self, other: Any) -> bool:
        return self.value <= _value(other)

    def __ge__(self, other: Any) -> bool:
        return self.value >= _value(other)

    # ---- printing -------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return self.print("text")[0]

    def print(self, style: Style) -> tuple[str, int]:
        """The formula in a style, and its precedence."""
        if self.kind == "number" or (self.kind == "name" and style == "numbers"):
            text = latex_number(self.value) if style == "latex" else show(self.value)
            return text, PRODUCT if self.value < 0 or "10^" in text else ATOM
        if self.kind == "name":
            return latex_name(self.parts[0]) if style == "latex" else self.parts[0], ATOM
        if self.kind == "sum":
            return self._print_sum(style), SUM
        if self.kind == "product":
            return self._print_product(style)
        return self._print_call(style)

    def inside(self, style: Style, precedence: int) -> str:
        """The formula, in parentheses if its precedence is lower than that of what is around it."""
        text, own = self.print(style)
        return text if own >= precedence else _parenthesised(text, style)

    def _print_sum(self, style: Style) -> str:
        shown = ""
        for term in _elided(self.parts, style):
            text = term if isinstance(term, str) else term.inside(style, PRODUCT)
            minus = "-" if style == "latex" else "−"
            if not shown:
                shown = text
            elif text.startswith(minus):
                shown += f" {minus} {text.removeprefix(minus)}"
            else:
                shown += f" + {text}"
        return shown

    def _print_product(self, style: Style) -> tuple[str, int]:
        above = [(base, power) for base, power in self.parts if power > 0]
        below = [(base, -power) for base, power in self.parts if power < 0]
        coefficient = abs(self.coefficient)
        number = "" if coefficient == 1.0 and above else Symbol(coefficient).print(style)[0]
        minus = ("-" if style == "latex" else "−") if self.coefficient < 0 else ""
        alone = not number and len(above) == 1 and not below and not minus
        top = _product(number, above, style, SUM if style == "latex" and below and not number else POWER)
        if not below:
            return minus + top, POWER if alone else PRODUCT
        if style == "latex":
            return rf"{minus}\frac{{{top}}}{{{_product('', below, style, SUM)}}}", PRODUCT
        bottom = _product("", below, style, POWER)
        return f"{minus}{top}/{_parenthesised(bottom, style) if len(below) > 1 else bottom}", PRODUCT

    def _print_call(self, style: Style) -> tuple[str, int]:
        rule, arguments = self.parts[0], self.parts[1:]
        inner = ", ".join([a if isinstance(a, str) else a.inside(style, SUM) for a in _elided(arguments, style)])
        if rule.name == "pow":
            base, power = arguments[0].inside(style, ATOM), arguments[1].inside(style, SUM)
            return (f"{base}^{{{power}}}" if style == "latex" else f"{base}^{arguments[1].inside(style, ATOM)}"), POWER
        if rule.name == "abs":
            return (rf"\left|{inner}\right|" if style == "latex" else f"|{inner}|"), ATOM
        if style != "latex":
            return f"{rule.symbol if rule.symbol.isalpha() or rule.symbol in '√∛' else rule.name}({inner})", ATOM
        if rule.name == "sqrt":
            return rf"\sqrt{{{inner}}}", ATOM
        if rule.name == "exp":
            return f"e^{{{inner}}}", POWER
        name = LATEX_FUNCTIONS.get(rule.name) or rf"\operatorname{{{_escaped(rule.name)}}}"
        return rf"{name}\left({inner}\right)", ATOM


LATEX_FUNCTIONS = {
    "sigmoid": r"\sigma",
    "gamma": r"\Gamma",
    "digamma": r"\psi",
    "log2": r"\log_2",
    "log10": r"\log_{10}",
} | {name: rf"\{name}" for name in ("log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "max", "min")}


def _value(symbol: Any) -> float:
    return symbol.value if isinstance(symbol, Symbol) else symbol


def _evaluate(rule: Rule, symbols: Sequence[Symbol]) -> float:
    try:
        return rule.evaluate([s.value for s in symbols])
    except (ArithmeticError, ValueError, TypeError, ImportError, NotImplementedError):
        return nan


def _node(kind: str, parts: tuple[Any, ...], coefficient: float = 1.0) -> Symbol:
    made = Symbol(nan)
    made.kind, made.parts, made.coefficient = kind, parts, coefficient
    return made


def _elided(items: Sequence[Any], style: Style) -> Sequence[Any]:
    dots = r"\dots" if style == "latex" else "…"
    return items if len(items) <= ELIDE_ABOVE else [*items[: ELIDE_ABOVE - 3], dots, items[-1]]


def _parenthesised(text: str, style: Style) -> str:
    return rf"\left({text}\right)" if style == "latex" else f"({text})"


def _product(number: str, factors: Sequence[tuple[Symbol, float]], style: Style, alone: int) -> str:
    """A product of a number and powers; a single factor needs only the precedence `alone`."""
    times = {"text": "·", "latex": r" \, ", "numbers": " × "}[style]
    precedence = alone if len(factors) == 1 and not number and factors[0][1] == 1.0 else POWER
    shown = [
        f if isinstance(f, str) else _power(f[0], f[1], style, precedence if f[1] == 1.0 else ATOM)
        for f in _elided(factors, style)
    ]
    if style == "latex" and number and shown and shown[0][:1].isdigit():
        return times.join([rf"{number} \cdot {shown[0]}", *shown[1:]])
    return times.join([number, *shown] if number else shown)


def _power(base: Symbol, power: float, style: Style, precedence: int) -> str:
    text = base.inside(style, precedence)
    if power == 1.0:
        return text
    if style == "latex":
        return f"{{{text}}}^{{{latex_number(power)}}}"
    if power == int(power):
        return text + show(power).replace("−", "-").translate(SUPERSCRIPTS)
    return f"{text}^{show(power)}"


# ---- how each operation is written down ----------------------------------------------------------------------


def add(symbols: Sequence[Symbol]) -> Symbol:
    """A sum: nested sums are flattened, numbers are added up."""
    terms = [t for s in symbols for t in (s.parts if s.kind == "sum" else [s])]
    constant = sum(t.value for t in terms if t.kind == "number")
    named = [t for t in terms if t.kind != "number"]
    first = terms[0].kind == "number"
    if constant != 0.0:
        named.insert(0 if first else len(named), Symbol(constant))
    return named[0] if len(named) == 1 else _node("sum", tuple(named))


def multiply(symbols: Sequence[Symbol]) -> Symbol:
    """A product: nested products are flattened, numbers are multiplied, equal factors become powers."""
    coefficient = 1.0
    powers: dict[str, tuple[Symbol, float]] = {}
    for symbol in symbols:
        if symbol.kind == "number":
            coefficient *= symbol.value
            continue
        coefficient *= symbol.coefficient
        for base, power in symbol.parts if symbol.kind == "product" else [(symbol, 1.0)]:
            key = str(base)
            powers[key] = (base, power + (powers[key][1] if key in powers else 0.0))
    factors = tuple([(base, power) for base, power in powers.values() if power != 0.0])
    if coefficient == -1.0 and factors and _is_difference(factors[0]):  # −(a − b) reads better as (b − a)
        coefficient, factors = -coefficient, ((_swapped(factors[0][0]), 1.0), *factors[1:])
    if coefficient == 0.0 or not factors:
        return Symbol(coefficient)
    if coefficient == 1.0 and len(factors) == 1 and factors[0][1] == 1.0:
        return factors[0][0]
    return _node("product", factors, coefficient)


def _is_difference(factor: tuple[Symbol, float]) -> bool:
    base, power = factor
    return power == 1.0 and base.kind == "sum" and len(base.parts) == 2 and str(base.parts[1]).startswith("−")


def _swapped(difference: Symbol) -> Symbol:
    minuend, subtrahend = difference.parts
    swapped = _node("sum", (_negative(subtrahend), _negative(minuend)))
    swapped.value = -difference.value
    return swapped


def raise_to(base: Symbol, power: Symbol) -> Symbol:
    """A power; a product to the power of a whole number becomes a product of powers."""
    if power.kind != "number" or power.value == 0.0:
        return _node("call", (rules.pow, base, power)) if power.kind != "number" else Symbol(1.0)
    if base.kind == "product" and power.value == int(power.value):
        raised = tuple([(b, p * power.value) for b, p in base.parts])
        return _node("product", raised, base.coefficient**power.value)
    return multiply([_node("product", ((base, power.value),))])


def _negative(symbol: Symbol) -> Symbol:
    negated = add([multiply([Symbol(-1.0), t]) for t in symbol.parts]) if symbol.kind == "sum" else None
    result = negated or multiply([Symbol(-1.0), symbol])
    result.value = -symbol.value
    return result


def _reciprocal(symbol: Symbol) -> Symbol:
    if symbol.kind == "number":
        return Symbol(rules.div(1.0, symbol.value))
    return raise_to(symbol, Symbol(-1.0))


def _inner_product(symbols: Sequence[Symbol]) -> Symbol:
    half = len(symbols) // 2
    return add([_valued(multiply(pair), pair[0].value * pair[1].value) for pair in zip(symbols[:half], symbols[half:])])


def _valued(symbol: Symbol, value: float) -> Symbol:
    twin = symbol._copy()
    twin.value = value
    return twin


WRITE: dict[str, Callable[[Sequence[Symbol]], Symbol]] = {
    "add": add,
    "sum": add,
    "fsum": add,
    "sub": lambda s: add([s[0], _negative(s[1])]),
    "neg": lambda s: _negative(s[0]),
    "pos": lambda s: s[0],
    "mul": multiply,
    "prod": multiply,
    "div": lambda s: multiply([s[0], _reciprocal(s[1])]),
    "pow": lambda s: raise_to(*s),
    "fma": lambda s: add([multiply(s[:2]), s[2]]),
    "dot": _inner_product,
    "mean": lambda s: multiply([Symbol(1.0 / len(s)), add(s)]),
}

# The rows of the table keep their digits over the whole range; this is how textbooks write the same derivatives.
TEXTBOOK: dict[str, Callable[..., tuple[Any, ...]]] = {
    "sigmoid": lambda x, y: (y * (1.0 - y),),
    "tanh": lambda x, y: (1.0 - y * y,),
}


def local_derivatives(rule: Rule, operands: Sequence[Symbol], output: Symbol) -> tuple[Symbol | None, ...]:
    """∂output/∂operand in symbols, for every operand; None where no message is sent."""
    found: Sequence[Any]
    if rules.TABLE.get(rule.name) is not rule:  # a user's own primitive may only work on numbers
        found = [Symbol(nan, f"∂{rule.name}/∂{operand}") for operand in operands]
    elif rule.name in TEXTBOOK:
        found = TEXTBOOK[rule.name](*operands, output)
    elif rule.name == "prod" and len(operands) > ELIDE_ABOVE:  # written out, n factors for each of n operands
        found = [Symbol(nan, f"∏/{operand}") for operand in operands]
    else:
        found = rule.local_derivatives(operands, output)
    return tuple([d if d is None or isinstance(d, Symbol) else Symbol(float(d)) for d in found])
