"""Expressions in C: whole numbers that index arrays, and operations on numbers with as few parentheses as C needs."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from autograd.compiler.lower.expressions import LIBM
from autograd.ir.block import COMPARISONS, Array

CHOICE, OR, AND, EQUALITY, RELATION, SUM, PRODUCT, UNARY, ATOM = range(9)  # how tightly operators bind
OPERATORS = {"add": ("+", SUM), "sub": ("-", SUM), "mul": ("*", PRODUCT), "div": ("/", PRODUCT)}
LOGIC = {"and": ("&&", AND), "or": ("||", OR)}
SAME_IN_C = ("sqrt", "floor", "ceil", "trunc", "rint", "fma")
FUNCTIONS = {**LIBM, **{name: name for name in SAME_IN_C}, "abs": "fabs"}  # primitives that <math.h> has
MOST_LEAVES = 12  # of an expression with a form
IN_HELPERS = frozenset({"copysign", "digamma", "polygamma", "round", "fsum"})  # primitives that `helpers` has in C
LANE = "@"  # in an `Affine` the number of the lane; a name may follow, that of the number of lanes that count


class Affine(NamedTuple):
    """A whole number: a constant, and names times constants.

    Examples
    --------
    >>> print(Affine(2, (("i", 3), ("j", -1))))
    3*i - j + 2
    """

    constant: int = 0
    terms: tuple[tuple[str, int], ...] = ()

    def plus(self, other: Affine, factor: int = 1) -> Affine:
        """The sum with `factor` times another one."""
        terms = dict(self.terms)
        for name, count in other.terms:
            terms[name] = terms.get(name, 0) + factor * count
        return Affine(self.constant + factor * other.constant, tuple([(n, c) for n, c in terms.items() if c]))

    def moved(self, distance: int) -> Affine:
        """The sum with a constant."""
        return Affine(self.constant + distance, self.terms)

    def lane(self) -> tuple[str, int] | None:
        """The term with the number of the lane."""
        return next((term for term in self.terms if term[0].startswith(LANE)), None)

    def __str__(self) -> str:
        terms = [term for term in self.terms if not term[0].startswith(LANE)]
        ordered = sorted(terms, key=lambda term: term[1] < 0)
        parts = [(count < 0, name if abs(count) == 1 else f"{abs(count)}*{name}") for name, count in ordered]
        if self.constant or not parts:
            parts.insert(0 if parts and parts[0][0] else len(parts), (self.constant < 0, str(abs(self.constant))))
        text = "".join([f" {'-' if minus else '+'} {part}" for minus, part in parts])
        return text[3:] if text.startswith(" +") else f"-{text[3:]}"


class View(NamedTuple):
    """An array in C: from element `start` of `base` on, with distances between neighbours along each axis.

    A variable is an array without axes, and so is the number behind a pointer; the base is ``=name`` or ``*name``. If
    all elements are one constant, the base is that constant.
    """

    base: str
    start: Affine
    shape: tuple[int | str, ...]
    strides: tuple[int, ...]

    @staticmethod
    def of(base: str, shape: tuple[int | str, ...], start: int = 0) -> View:
        """An array that lies row after row."""
        return View(base, Affine(start), shape, Array(shape).strides())

    def dense(self) -> bool:
        """Whether it lies row after row."""
        return self.strides == Array(self.shape).strides()

    def distance(self, elements: int) -> int:
        """How far apart in memory two elements are that are `elements` apart, counted row after row."""
        return Array(self.shape).distance(self.strides, elements)

    def row(self, index: Affine) -> View:
        """The element at an index along the first axis."""
        return View(self.base, self.start.plus(index, self.strides[0]), self.shape[1:], self.strides[1:])

    def at(self, indices: Sequence[int]) -> View:
        """The number at fixed indices."""
        distance = sum(i * stride for i, stride in zip(indices, self.strides))
        return View(self.base, self.start.moved(distance), (), ())

    def numbers(self) -> list[View]:
        """All its numbers in order, if the extents are known."""
        found = [self]
        for extent in self.shape:
            found = [row.row(Affine(k)) for row in found for k in range(int(extent))]
        return found

    def is_wide(self) -> bool:
        """Whether each lane has a number of its own."""
        return self.start.lane() is not None and not is_literal(self.base)

    def __str__(self) -> str:
        if self.base.startswith(("*", "=")) or is_literal(self.base):
            return self.base.removeprefix("=")
        lane = self.start.lane()
        if lane is None:
            return f"{self.base}[{self.start}]"
        first = self.base if str(self.start) == "0" else f"{self.base} + {self.start}"
        if lane[0] != LANE:
            return f"@_some({first}, {lane[1]}, {lane[0].removeprefix(LANE)})"
        return f"@_at({first})" if lane[1] == 1 else f"@_apart({first}, {lane[1]})"


class Text(NamedTuple):
    """An expression.

    Attributes
    ----------
    text : str
        The expression in C.
    rank : int
        How tightly its outermost operator binds.
    reads : frozenset of str
        The variables in it that a loop changes at the end of each step.
    whole : Affine or None
        The whole number that it is, if that is known.
    place : View or None
        Its place in memory, if it is just a number there.
    form : str
        The text with a pair of braces in place of each leaf; empty for an expression that is not taken apart.
    leaves : tuple of Text
        The names, numbers and elements in it, in order.
    wide : bool
        Whether it has a number for each lane.
    """

    text: str
    rank: int = ATOM
    reads: frozenset[str] = frozenset()
    whole: Affine | None = None
    place: View | None = None
    form: str = ""
    leaves: tuple[Text, ...] = ()
    wide: bool = False

    def parts(self) -> tuple[str, tuple[Text, ...]]:
        """The form and the leaves; without a form the expression is one leaf."""
        return (self.form, self.leaves) if self.form else ("{}", (self,))

    def above(self, rank: int) -> str:
        """The text, in parentheses unless it binds more tightly than this rank."""
        return self.text if self.rank > rank else f"({self.text})"

    def first(self, rank: int) -> str:
        """The text as the first operand of a left-associative operator of this rank."""
        return self.text if self.rank >= rank else f"({self.text})"

    def last(self, rank: int) -> str:
        """The text as the last operand of such an operator."""
        return self.text if self.rank > rank and not self.text.startswith("-") else f"({self.text})"

    def is_cheap(self) -> bool:
        """Whether it may be written wherever it is used: a name, a number, or an element of an array."""
        return re.fullmatch(r"-?[\w.]+(e[+-]\d+)?|\(double\)\w+|\w+\[[^][()]*\]", self.text) is not None


def constant(number: float | bool) -> Text:
    """A number as C."""
    if isinstance(number, bool):
        return Text(str(int(number)))
    whole = Affine(int(number)) if math.isfinite(number) and number == int(number) and abs(number) < 2**53 else None
    return Text(literal(number), UNARY if literal(number).startswith("-") else ATOM, whole=whole)


def literal(number: float) -> str:
    """A literal in C with the same bits as a number."""
    if math.isnan(number):
        return "NAN"
    if math.isinf(number):
        return "INFINITY" if number > 0 else "-INFINITY"
    return repr(number)


def element(view: View) -> Text:
    """A number in memory."""
    return Text(str(view), place=view, wide=view.is_wide())


def call(function: str, operands: Sequence[Text]) -> Text:
    """A call of a function."""
    template = f"{function}({', '.join(['{}'] * len(operands))})"
    return composed(template, [x.text for x in operands], operands, ATOM)


def operation(op: str, operands: Sequence[Text]) -> Text | None:
    """An operation of the program, or None if C has neither an operator nor a function for it."""
    reads = _reads(operands)
    if op in ("add", "sub") and operands[1].text.startswith("-") and operands[1].rank in (PRODUCT, UNARY):
        # a + (-b)*c is a - b*c to the last bit
        op, operands = "sub" if op == "add" else "add", [operands[0], without_minus(operands[1])]
    if op in OPERATORS:
        sign, rank = OPERATORS[op]
        space = " " if rank == SUM else ""
        wrapped = operands[0].first(rank), operands[1].last(rank)
        return composed(f"{{}}{space}{sign}{space}{{}}", wrapped, operands, rank, _whole(op, operands))
    if op in COMPARISONS:
        rank = EQUALITY if op in ("==", "!=") else RELATION
        return composed(f"{{}} {op} {{}}", [x.above(RELATION) for x in operands], operands, rank)
    if op in LOGIC:
        sign, rank = LOGIC[op]
        return Text(f" {sign} ".join([_beside(x, rank) for x in operands]), rank, reads)
    if op == "not":
        return Text(f"!{operands[0].above(UNARY)}", UNARY, reads)
    if op == "neg":
        whole = Affine().plus(operands[0].whole, -1) if operands[0].whole is not None else None
        return composed("-{}", [operands[0].above(UNARY)], operands, UNARY, whole)
    if op == "select":
        condition, yes, no = operands
        return composed("{} ? {} : {}", [condition.above(CHOICE), yes.above(CHOICE), no.text], operands, CHOICE)
    if op in ("pos", "stop"):
        return operands[0]
    return call(FUNCTIONS[op], operands) if op in FUNCTIONS else None


def composed(
    template: str, wrapped: Sequence[str], operands: Sequence[Text], rank: int, whole: Affine | None = None
) -> Text:
    """An operation on operands; `wrapped` are their texts, in parentheses if need be."""
    forms: list[str] = []
    leaves: list[Text] = []
    for text, operand in zip(wrapped, operands, strict=True):
        form, parts = operand.parts()
        forms.append(form if text == operand.text else f"({form})")
        leaves += parts
    form = template.format(*forms) if len(leaves) <= MOST_LEAVES else ""
    parts, wide = tuple(leaves) if form else (), any(operand.wide for operand in operands)
    return Text(template.format(*wrapped), rank, _reads(operands), whole, None, form, parts, wide)


def _beside(text: Text, rank: int) -> str:
    """An operand of && or ||: compilers want parentheses where the two are mixed."""
    return text.text if text.rank == rank or text.rank > AND else f"({text.text})"


def without_minus(text: Text) -> Text:
    """The expression without the minus with which it begins."""
    rank = PRODUCT if text.rank == PRODUCT else ATOM
    whole = Affine().plus(text.whole, -1) if text.whole is not None else None
    form, leaves = text.parts()
    if form.startswith("-"):
        form = form[1:]
    elif text.form:
        leaves = (Text(leaves[0].text[1:]), *leaves[1:])
    else:
        form, leaves = "", ()
    return Text(text.text[1:], rank, text.reads, whole, None, form, leaves, text.wide)


def is_literal(text: str) -> bool:
    """Whether an expression is a number."""
    return re.fullmatch(r"-?\d[\w.]*(e[+-]\d+)?|-?INFINITY|NAN", text) is not None


def _reads(operands: Sequence[Text]) -> frozenset[str]:
    return frozenset().union(*[x.reads for x in operands])


def _whole(op: str, operands: Sequence[Text]) -> Affine | None:
    """A sum or product of counters and constants as a whole number; None for any other."""
    a, b = operands[0].whole, operands[1].whole
    if a is None or b is None or not (a.terms or b.terms):
        return None
    if op in ("add", "sub"):
        return a.plus(b, 1 if op == "add" else -1)
    if op == "mul" and not (a.terms and b.terms):
        return Affine().plus(a, b.constant) if a.terms else Affine().plus(b, a.constant)
    return None
