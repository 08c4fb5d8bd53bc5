"""Write autograd/help_text.py: what `help(autograd.math.exp)` says, from the table.

    python tools/generate_help.py

Formulas of derivatives come from the rows: they are called on symbols. Only the words are written here, and for
functions that most people would look up, the formula. Tests compare these formulas with the rows, and prove that the
committed file is current.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from math import inf
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

# The package beside this script, installed or not.
from autograd.rules import TABLE, Interval, Rule  # noqa: E402
from autograd.view.symbols import Symbol, local_derivatives, show  # noqa: E402

FILE = ROOT / "autograd" / "help_text.py"

# Row → what it is, in words; and a formula that Python can evaluate, for a test, where the name does not say it all.
WORDS: dict[str, tuple[str, str]] = {
    "acos": ("The angle between 0 and π whose cosine is x.", ""),
    "acosh": ("The inverse of cosh: the number of at least 0 whose cosh is x.", "log(x + sqrt(x**2 - 1))"),
    "asin": ("The angle between -π/2 and π/2 whose sine is x.", ""),
    "asinh": ("The inverse of sinh.", "log(x + sqrt(x**2 + 1))"),
    "atan": ("The angle between -π/2 and π/2 whose tangent is x.", ""),
    "atanh": ("The inverse of tanh.", "0.5 * log((1 + x) / (1 - x))"),
    "cbrt": ("The cube root, also of negative numbers.", "sign(x) * abs(x) ** (1 / 3)"),
    "ceil": ("The smallest whole number that is not below x.", ""),
    "cos": ("The cosine of an angle in radians.", ""),
    "cosh": ("The hyperbolic cosine.", "(exp(x) + exp(-x)) / 2"),
    "digamma": ("The derivative of the logarithm of the gamma function, ψ; from SciPy.", ""),
    "erf": ("The error function, 2/√π ∫ exp(-t²) dt from 0 to x.", ""),
    "erfc": ("The complement of the error function, which keeps its digits where x is large.", "1 - erf(x)"),
    "exp": ("e to the power x.", "e**x"),
    "exp2": ("2 to the power x.", "2**x"),
    "expm1": ("e to the power x, less 1; it keeps its digits near 0.", "exp(x) - 1"),
    "abs": ("The absolute value.", "x * sign(x)"),
    "floor": ("The largest whole number that is not above x.", ""),
    "gamma": ("The gamma function: (x - 1)! for whole x.", "exp(lgamma(x))"),
    "gelu": ("The Gaussian error linear unit: x times the normal distribution.", "0.5 * x * erfc(-x / sqrt(2))"),
    "lgamma": ("The logarithm of the gamma function's absolute value.", ""),
    "log10": ("The logarithm to the base 10.", "log(x) / log(10)"),
    "log1p": ("The natural logarithm of 1 + x; it keeps its digits near 0.", "log(1 + x)"),
    "log2": ("The logarithm to the base 2.", "log(x) / log(2)"),
    "relu": ("The rectified linear unit.", "x * (x > 0)"),
    "rint": ("The nearest whole number; the even one if two are equally near.", ""),
    "sigmoid": ("The logistic function σ.", "1 / (1 + exp(-x))"),
    "sign": ("1, -1 or 0, as x is positive, negative or 0.", ""),
    "silu": ("The sigmoid linear unit, also called swish.", "x / (1 + exp(-x))"),
    "sin": ("The sine of an angle in radians.", ""),
    "sinh": ("The hyperbolic sine.", "(exp(x) - exp(-x)) / 2"),
    "softplus": ("A smooth relu.", "log(1 + exp(x))"),
    "sqrt": ("The square root.", "x**0.5"),
    "tan": ("The tangent of an angle in radians.", "sin(x) / cos(x)"),
    "tanh": ("The hyperbolic tangent.", "sinh(x) / cosh(x)"),
    "trunc": ("The whole part of x, towards 0.", ""),
    "atan2": ("The angle between -π and π of the point with height a over b.", ""),
    "clip": ("x, but not below a nor above b.", ""),
    "copysign": ("The size of a with the sign of b.", ""),
    "floordiv": ("a // b: the quotient, rounded down.", "floor(a / b)"),
    "fma": ("a * b + c, rounded once.", "a * b + c"),
    "fmod": ("The remainder of a / b with the sign of a, as in C.", "a - b * trunc(a / b)"),
    "logaddexp": ("The logarithm of a sum of exponentials, without overflow.", "log(exp(a) + exp(b))"),
    "mod": ("a % b: the remainder with the sign of b, as in Python.", "a - b * floor(a / b)"),
    "polygamma": ("The derivative of `digamma` of the whole order n; from SciPy.", ""),
    "pow": ("a to the power b.", "a**b"),
    "remainder": ("The remainder of a / b next to 0, as IEEE 754 defines it.", "a - b * rint(a / b)"),
    "where": ("a where c is not 0, else b; both are computed, and only one of them gets a message.", ""),
}  # fmt: skip  # a table
POINTS = (0.5, 2.0, 1.5)  # in examples and formulas: inside of every domain, and no kink
DIVISIONS = ("floordiv", "fmod", "mod", "remainder")  # whose examples are (5.5, 2)


def names(rule: Rule) -> list[str]:
    """The names of a row's operands."""
    return list(inspect.signature(rule.derivatives[0]).parameters)[:-1]


def inside(interval: Interval, wanted: float) -> float:
    """A number of the interval, the wanted one if it is in there."""
    low, high = interval
    if low < wanted < high:
        return wanted
    if low == high:  # no interval: an operand without a derivative, such as the order of polygamma
        return 1.0
    return low + 1.0 if low > -inf else high - 1.0


def example_operands(rule: Rule) -> list[float]:
    """Operands inside of the domain."""
    points = (5.5, 2.0) if rule.name in DIVISIONS else POINTS
    return [inside(interval, point) for interval, point in zip(rule.domain, points)]


def written(rule: Rule, operands: Sequence[float]) -> list[str | None]:
    """The local derivatives at these operands in symbols; None for an operand that was not selected."""
    y = rule.evaluate(operands)
    symbols = [Symbol(x, name) for x, name in zip(operands, names(rule))]
    slopes = local_derivatives(rule, symbols, Symbol(y, "y"))
    return [None if slope is None else str(slope) for slope in slopes]


def derivative_lines(rule: Rule) -> list[str]:
    """∂y/∂operand for each operand that has one; at a kink the sides are told apart by an example."""
    operands = example_operands(rule)
    sides = [
        [inside(interval, -3.0 * x) if i == 0 else x for i, (x, interval) in enumerate(zip(operands, rule.domain))]
    ]
    lines = []
    for slot, name in enumerate(names(rule)):
        if rule.domain[slot] == (0.0, 0.0):
            lines.append(f"∂y/∂{name}: none, it must be a whole number")
            continue
        found: dict[str, list[float]] = {}
        for point in [operands, *(sides if rule.kink is not None else [])]:
            found.setdefault(written(rule, point)[slot] or "no message, not selected", point)
        shown = [
            text
            + (f" (as where {', '.join(f'{n} = {show(x)}' for n, x in zip(names(rule), point))})") * (len(found) > 1)
            for text, point in found.items()
        ]
        lines.append(f"∂y/∂{name} = {', or '.join(shown)}".replace(" = no message", ": no message"))
    return lines


def domain_line(rule: Rule) -> str:
    """Where the value is real and finite and has derivatives."""
    parts = []
    for name, (low, high) in zip(names(rule), rule.domain):
        if low == high:
            continue
        if low == -inf and high == inf:
            continue
        left = "" if low == -inf else f"{show(low)} < "
        right = "" if high == inf else f" < {show(high)}"
        parts.append(f"{name} > {show(low)}" if high == inf else f"{left}{name}{right}")
    if rule.name == "clip":
        parts = ["a < b"]
    free = "all numbers" if len(rule.domain) == 1 else "any numbers"
    return f"domain: {', '.join(parts) or free}" + (", except where it jumps or has a kink" if rule.kink else "")


def corner_lines(rule: Rule) -> list[str]:
    """What is agreed on at kinks and at the ends of the domain."""
    lines = []
    for operands, (value, slopes) in list(rule.corners.items())[:3]:
        where = ", ".join(f"{name} = {show(x)}" for name, x in zip(names(rule), operands))
        slope = ", ".join("no message" if s is None else show(s) for s in slopes)
        lines.append(f"at {where}: y = {show(value)}, derivative{'s' * (len(slopes) > 1)} {slope}")
    return lines


def example(rule: Rule) -> list[str]:
    """A call, and the derivative there."""
    arguments = ", ".join(map(repr, example_operands(rule)))
    every = [i for i, interval in enumerate(rule.domain) if interval != (0.0, 0.0)]
    name = rule.name
    lines = [f">>> round(am.{name}({arguments}), 6)", repr(round(rule(*example_operands(rule)), 6))]
    slopes = rule.local_derivatives(example_operands(rule), rule(*example_operands(rule)))
    if len(rule.domain) == 1:
        return [*lines, f">>> round(grad(am.{name})({arguments}), 6)", repr(round(slopes[0], 6))]
    numbers = [round(slopes[i] or 0.0, 6) for i in every]
    return [*lines, f">>> [round(d, 6) for d in grad(am.{name}, argnums={tuple(every)!r})({arguments})]", repr(numbers)]


def help_text(rule: Rule) -> str:
    """The docstring of a function of `autograd.math`."""
    words, formula = WORDS[rule.name]
    call = f"{rule.name}({', '.join(names(rule))})"
    facts = [f"y = {formula or call}", *derivative_lines(rule), domain_line(rule), *corner_lines(rule)]
    return "\n".join(
        [
            words,
            "",
            "Operands may be floats, Values and arrays, which are handled element by element.",
            "",
            *(f"    {fact}" for fact in facts),
            "",
            "Examples",
            "--------",
            ">>> import autograd.math as am",
            ">>> from autograd import grad",
            *example(rule),
            "",
        ]
    )


def module() -> str:
    """The text of help_text.py."""
    entries = "\n".join(f'    "{name}": """{help_text(TABLE[name])}""",' for name in sorted(WORDS))
    return (
        '"""Help of `autograd.math` and `Value`: written by tools/generate_help.py from the table, do not edit."""\n'
        f"\n# ruff: noqa: E501\nHELP = {{\n{entries}\n}}\n"
    )


if __name__ == "__main__":
    FILE.write_text(module(), encoding="utf-8")
