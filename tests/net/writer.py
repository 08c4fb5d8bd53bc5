"""Write random programs: names in scope, lines, expressions and conditions of ordinary Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any


class Writer:
    """Writes a program line by line; a source of random numbers makes every choice.

    Attributes
    ----------
    numbers, assignable : list of str
        Names (or texts) of numbers in scope, and those among them that this function may assign.
    lists, functions : list of str
        Names of lists of numbers, and of functions of one number.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.lines: list[str] = []
        self.depth = 0
        self.count = 0
        self.numbers: list[str] = []
        self.assignable: list[str] = []
        self.lists: list[str] = []
        self.functions: list[str] = []

    # ---- choices -------------------------------------------------------------------------------------------------

    def pick(self, options: Sequence[Any]) -> Any:
        """One of the options."""
        return self.random.choice(options)

    def integer(self, low: int, high: int) -> int:
        """A whole number between two others, both included."""
        return self.random.randint(low, high)

    def often(self, tenths: int = 5) -> bool:
        """True with a probability of `tenths` tenths."""
        return self.random.random() * 10 < tenths

    def number(self, special: int = 0) -> str:
        """A number of two decimals between -2 and 2, mostly unique; with some probability a special one."""
        if special and self.often(special):
            return str(self.pick(["0.0", "1.0", "-1.0", "0.5", "-0.0", "2", "1e-9", "30.0"]))
        return repr((self.integer(-200, 200) or 50) / 100)

    def recent(self, names: Sequence[str]) -> str:
        """One of the names, more likely one of the last few, so that new names are used."""
        return str(self.pick(names[-4:] if self.often(6) else names))

    def numbers_list(self, count: int, special: int = 0) -> str:
        """A list of numbers."""
        return "[" + ", ".join(self.number(special) for _ in range(count)) + "]"

    # ---- lines and names -------------------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        """Write a line."""
        self.lines.append("    " * self.depth + text)

    def name(self, prefix: str = "v") -> str:
        """A name that is not in use."""
        self.count += 1
        return f"{prefix}{self.count}"

    @contextmanager
    def block(self, head: str, new_function: bool = False) -> Iterator[None]:
        """Indented lines under a head; names made in them are out of scope afterwards."""
        kept = self.numbers[:], self.assignable[:], self.lists[:], self.functions[:]
        self.line(head)
        self.depth += 1
        if new_function:
            self.assignable = []
        yield
        self.depth -= 1
        self.numbers, self.assignable, self.lists, self.functions = kept

    def text(self) -> str:
        """The text written so far."""
        return "\n".join(self.lines) + "\n"

    # ---- expressions -----------------------------------------------------------------------------------------------

    def expression(self, depth: int = 2) -> str:
        """A number."""
        if depth == 0 or not self.often(8):
            return self.recent(self.numbers) if self.often(9) else self.number()
        write: Any = self.pick([form for weight, form in FORMS for _ in range(weight)])
        return str(write(self, depth - 1))

    def condition(self, depth: int = 1) -> str:
        """A truth."""
        a, b = self.expression(depth), self.expression(depth)
        simple = [f"{a} > {b}", f"{a} <= {b}", f"{a} < {self.number()}", f"{a} >= {self.number()}"]
        rare = [f"{a} != {b}", f"{self.number()} < {a} < {b}", f"not {a} > {b}"]
        chosen = self.pick(simple * 3 + rare)
        if depth and not self.often(8):
            return f"({chosen} {self.pick(['and', 'or'])} {self.condition(depth - 1)})"
        return str(chosen)

    def transform(self, depth: int) -> str:
        """A number from a transform of a function in scope, or of a new one."""
        g = self.function(depth)
        a, b, c = self.expression(0), self.expression(0), self.expression(depth)
        some = self.pick(self.lists) if self.lists and self.often() else f"[{a}, {b}, {c}]"
        return str(
            self.pick(
                [
                    f"grad({g})({a})",
                    f"checkpoint({g})({a})",
                    f"jit({g})({a})",
                    f"jvp({g}, ({a},), ({b},))[1]",
                    f"sum(vmap({g})({some}))",
                    f'vmap({g}, reduce="{self.pick(["sum", "mean"])}")({some})',
                    f"value_and_grad({g})({a})[{self.integer(0, 1)}]",
                    f"grad(grad({g}))({a})",
                    f"hessian(lambda p: ({g})(p[0]) * ({g})(p[1]))([{a}, {b}])[0][{self.integer(0, 1)}]",
                    f"hvp({g})({a}, {b})",
                    f"vjp({g}, {a})[1]({b})[0]",
                    f"jacobian(lambda p: [({g})(q) * p[0] for q in p])([{a}, {b}])[1][0]",
                    f'sum(grad(vmap({g}, reduce="sum"))({some}))',
                    f"grad(checkpoint({g}))({a})",
                    f'grad(lambda p: vmap(lambda q: ({g})(q * p), reduce="mean")({some}))({a})',
                    f"sum(vmap(grad({g}))({some}))",
                ]
            )
        )

    def function(self, depth: int) -> str:
        """A function of one number: one in scope, or a lambda that closes over names in scope."""
        if self.functions and self.often(6):
            return self.recent(self.functions)
        parameter = self.name("t")
        self.numbers.append(parameter)
        body = self.expression(max(depth, 1))
        self.numbers.remove(parameter)
        return f"(lambda {parameter}: {body} * {parameter})"


def _binary(operator: str) -> Callable[[Writer, int], str]:
    return lambda w, depth: f"({w.expression(depth)} {operator} {w.expression(depth)})"


def _call(template: str) -> Callable[[Writer, int], str]:
    """A template with a number in place of each #."""

    def write(w: Writer, depth: int) -> str:
        first, *rest = template.split("#")
        return first + "".join(w.expression(depth) + part for part in rest)

    return write


def _list_form(template: str) -> Callable[[Writer, int], str]:
    """A template with a list in place of each @, a number in place of each #."""

    def write(w: Writer, depth: int) -> str:
        some = w.pick(w.lists) if w.lists else f"[{w.expression(0)}, {w.expression(0)}]"
        return _call(template.replace("@", str(some)))(w, 0)

    return write


# The weight and the writer of each kind of expression.
FORMS: list[tuple[int, Callable[[Writer, int], str]]] = [
    (6, _binary("+")),
    (6, _binary("*")),
    (4, _binary("-")),
    (3, _call("am.tanh(#)")),
    (3, _call("am.sin(#)")),
    (1, _call("am.exp(-abs(#))")),
    (1, _call("am.sigmoid(#)")),
    (1, _call("am.log(1.5 + # ** 2)")),
    (1, _call("am.sqrt(0.5 + # ** 2)")),
    (1, _call("(# / (1.25 + # ** 2))")),
    (1, _call("(0.5 + # ** 2) ** 1.5")),
    (1, _call("# ** 3")),
    (1, _call("abs(#)")),
    (1, _call("am.relu(#)")),
    (1, _call("-#")),
    (1, _call("max(#, #)")),
    (1, _call("am.min(#, #, #)")),
    (1, _call("(# / #)")),
    (1, _call("am.log(#)")),
    (1, _call("am.sqrt(#)")),
    (1, _call("am.hypot(#, #)")),
    (1, _call("(# % 1.25)")),
    (2, lambda w, depth: f"am.where({w.condition(0)}, {w.expression(depth)}, {w.expression(depth)})"),
    (2, lambda w, depth: f"({w.expression(depth)} if {w.condition(0)} else {w.expression(depth)})"),
    (1, lambda w, depth: f"({w.condition(0)}) * {w.expression(depth)}"),
    (1, lambda w, depth: f"(({w.condition(0)}) and {w.expression(0)} or {w.expression(depth)})"),
    (1, _list_form("sum(@)")),
    (1, _list_form("@[-1]")),
    (1, _list_form("sum([q * # for q in @])")),
    (1, _list_form("sum([q > # for q in @])")),
    (1, _list_form("am.dot(@, @)")),
    (1, _list_form("am.mean(@)")),
    (1, _list_form("max(@)")),
    (1, _list_form("sorted(@)[0]")),
    (1, _list_form("len([q for q in @ if q > #])")),
    (1, _list_form("(# if any(q > # for q in @) else #)")),
    (3, lambda w, depth: f"{w.function(depth)}({w.expression(depth)})"),
    (5, Writer.transform),
]
