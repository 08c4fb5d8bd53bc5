"""Random blocks in random nests of plain Python loops, rolled and flat: their values and derivatives."""

from __future__ import annotations

from random import Random

from net.algorithms import ALGORITHMS, BRANCHING
from net.writer import Writer

LENGTHS = [0, 1, 2, 2, 3, 3, 4, 5, 7, 8, 8, 9, 9, 12]
LONG = 1000  # steps of a loop around all others
MOST = [300, 800, 1200]  # operations of a program, roughly
SIZE = 8  # numbers in the lists that programs change
ROWS, COLUMNS = 5, 6
FEW = [6, 6, 6, 40, 1000]  # statements from which on code is rolled: mostly fewer than without a test
SMALLEST = [0, 0, 3, 16]

HEAD = """\
from autograd.compiler.capture import sweeps
from autograd.ir.roll import nest, rolling
def set_fewest(statements, smallest):
    rolling.FEWEST = sweeps.FEWEST_AGAIN = rolling.FEWEST_IN_MAPS = statements
    rolling.LEAST_GAIN, rolling.SUMS, nest.SMALLEST = 1.0, 1.0, smallest
    rolling.MANY_LEFT, rolling.TRIANGLES_GAIN = 1, 1.0
"""


class Nests(Writer):
    """Writes nests; knows the greatest value of each counter, and how often the current line runs."""

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.counters: dict[str, int] = {}
        self.locals: list[str] = []
        self.branches = False  # whether rows may take paths of their own
        self.steps = 1
        self.long = self.often(1)
        self.left = 8 * LONG if self.long else self.pick(MOST)

    # ---- numbers -------------------------------------------------------------------------------------------------

    def index(self, size: int) -> str:
        """A place in a list: affine in the counters, or what is left of it after a division."""
        text, least, greatest = str(base := self.integer(0, size - 1)), base, base
        names = list(self.counters)
        for name in names[-2:] if names and self.often(9) else []:
            step = self.pick([0, 1, 1, 1, -1, 2, 3])
            if name != names[-1] and self.often(4):
                step = 0
            if step:
                text = f"{text} + {step} * {name}"
                least, greatest = (
                    least + min(step * self.counters[name], 0),
                    greatest + max(step * self.counters[name], 0),
                )
        if names and self.often(1):
            return f"({text} * {self.pick(names)}) % {size}"  # not affine
        if names and self.often(3) and self.counters[names[-1]] < size:
            return names[-1]
        return text if 0 <= least and greatest < size else f"({text}) % {size}"

    def place(self) -> str:
        """A number that was made before, at a place that the counters move."""
        kinds = ["x", "x", "m", "M", "kept", "early", "p", "register", "register", "table", "counter"]
        kind = self.pick(kinds + ["local"] * 4 * bool(self.locals))
        if kind == "x":
            return f"x[{self.index(self.length)}]"
        if kind == "m":
            return f"m[{self.index(SIZE)}]"
        if kind == "M":
            return f"M[{self.index(ROWS)}][{self.index(COLUMNS)}]"
        if kind == "kept":
            return f"kept[-{self.integer(1, 5)}]"
        if kind == "early":
            return f"kept[{self.index(5)}]"
        if kind == "p":
            return f"p[{self.index(3)}]"
        if kind == "table":
            return f"C[{self.index(7)}]"
        if kind == "counter" and self.counters:
            return f"{self.pick([0.1, 0.25, 1.0])} * {self.pick(list(self.counters))}"
        if kind == "local":
            return str(self.recent(self.locals))
        return str(self.pick(["a", "b", "s"]))

    def term(self, depth: int = 2) -> str:
        """An expression."""
        if depth == 0 or self.often(3):
            return self.place() if self.often(9) else self.number(2)
        a, b, c = self.term(depth - 1), self.term(depth - 1), self.place()
        return str(
            self.pick(
                [
                    *2 * [f"({a} + {b})", f"({a} * {b})", f"({a} - {b})"],
                    f"am.sin({a})",
                    f"am.tanh({a})",
                    f"{a} * {b} + {c}",
                    self.pick(
                        [
                            f"am.exp(-abs({a}))",
                            f"am.relu({a})",
                            f"am.sqrt(0.5 + {a} ** 2)",
                            f"am.sqrt({c})",
                            f"am.log(1.5 + {c} ** 2)",
                            f"({a} / (1.25 + {c} ** 2))",
                            f"({a} / {c})",
                            f"{c} ** 2",
                            f"{c} ** {self.pick([3, 0.5, -1])}",
                            f"max({a}, {c})",
                            f"am.min({a}, {c}, 0.25)",
                            f"am.where({c} > {self.place()}, {a}, {b})",
                            f"am.hypot({c}, {a})",
                            f"g({c}, {self.place()})",
                            f"am.sigmoid({a})",
                            f"({c} > {self.place()}) * {b}",
                            f"am.atan2({c}, {self.place()})",
                            f"({c} % 1.25)",
                            f"am.max({a}, {c}, {self.place()}, 0.1)",
                            f"am.logsumexp([{a}, {c}, {self.place()}])",
                            f"am.sum([{c}, {self.place()}, {self.place()}, {self.place()}])",
                            f"{c} ** {self.place()}",
                            f"abs({a})",
                            f"-{c}",
                            f"am.take(m, 3.0 + 4.0 * am.sin({c}))",
                            f"grad(g)({c}, {self.place()})",
                        ]
                    ),
                ]
            )
        )

    def tame(self) -> str:
        """A number that is small, mostly, so that long recurrences stay finite and well conditioned."""
        a, b = self.term(), self.place()
        return str(
            self.pick(
                [
                    f"am.tanh({a})",
                    f"0.5 * am.tanh({a} + {b})",
                    f"am.sin({a})",
                    f"0.3 * ({b}) + 0.4 * am.sin({a})",
                    f"0.5 * ({b})",
                    f"0.1 * ({a})" if self.steps < LONG else f"0.1 * ({b})",
                    b,
                ]
            )
        )

    def truth(self) -> str:
        """A condition: of counters, known where the loop is written, or of numbers."""
        names = list(self.counters)
        if names and self.often(6):
            i = self.pick(names)
            other = [f"{i} != {self.pick(names)}", f"{i} < {self.pick(names)}"] if len(names) > 1 else []
            return str(
                self.pick(
                    [
                        f"{i} == 0",
                        f"{i} != 2",
                        f"{i} < 3",
                        f"{i} == {self.counters[i]}",
                        f"{i} % 2",
                        f"{i} % 3 == 1",
                        *other,
                    ]
                )
            )
        self.branches = True
        return f"{self.place()} {self.pick(['>', '<', '>=', '<='])} {self.pick([self.place(), self.number()])}"

    def reduced(self) -> str:
        """A sum, or such, of a list: of parts of the lists, or of terms with a counter of its own."""
        k, n = self.name("k"), self.pick([1, 2, 3, 4, 5, 7, 8])
        self.counters[k] = n - 1
        terms = f"[{self.term(1)} for {k} in range({n})]"
        del self.counters[k]
        first, second = self.integer(0, 2), self.integer(0, 2)
        some = self.pick(["m", "p", "x[:7]", f"M[{self.index(ROWS)}]"])
        return str(
            self.pick(
                [
                    f"0.2 * sum({terms})",
                    f"0.2 * am.sum({terms})",
                    f"am.logsumexp({terms})",
                    f"max({terms})",
                    f"am.mean({terms})",
                    f"0.2 * am.dot(m[{first}:{first + 5}], x[{second}:{second + 5}])",
                    f"0.2 * am.dot(M[{self.index(ROWS)}], m[{first}:{first + COLUMNS}])",
                    f"0.2 * sum([q * {self.place()} for q in {some}])",
                ]
            )
        )

    # ---- statements ----------------------------------------------------------------------------------------------

    def statement(self) -> None:
        """A statement that is no loop."""
        self.left -= 4 * self.steps
        kind = self.pick(STATEMENTS)
        if kind == "hand":
            self.line(f"{self.pick('ab')} = {self.tame()}")
        elif kind == "swap":
            self.line(f"a, b = b, {self.tame()}")
        elif kind == "add":
            self.line(f"s {self.pick(['+=', '+=', '-='])} {self.term()}")
        elif kind == "scale":
            self.line(f"s = s * (1.0 + 0.01 * {self.tame()})")
        elif kind == "keep":
            self.line(
                f"kept.append({self.pick([self.tame(), self.tame(), 'a', 's', f'0.9 * kept[-{self.integer(1, 5)}]'])})"
            )
        elif kind == "set":
            self.line(f"m[{self.index(SIZE)}] = {self.tame()}")
        elif kind == "table":
            self.line(f"M[{self.index(ROWS)}][{self.index(COLUMNS)}] = {self.tame()}")
        elif kind == "local":
            new = self.name("t")
            self.line(f"{new} = {self.term()}")
            self.locals.append(new)
        elif kind == "if":
            self.branch()
        elif kind == "reduce" and self.left > 40 * self.steps:
            self.left -= 20 * self.steps
            self.line(f"{self.pick(['a', 's', 'm[0]'])} = {self.reduced()}")
        elif kind == "sweep" and self.left > 60 * self.steps:
            self.left -= 50 * self.steps
            k = self.name("k")
            self.counters[k] = SIZE - 2
            inner = f"m[{k}] + 0.2 * (m[{k} - 1] - 2.0 * m[{k}] + m[{k} + 1]) * {self.place()}"
            self.line(f"m = [m[0], *[{inner} for {k} in range(1, {SIZE - 1})], m[-1]]")
            del self.counters[k]
        else:
            self.line(f"kept.append({self.tame()})")

    def branch(self) -> None:
        """A branch; what is named in it is out of scope afterwards."""
        kept = self.locals[:]
        with self.block(f"if {self.truth()}:"):
            self.statement()
            if self.counters and self.often(1):
                self.line(self.pick(["break", "continue"]))
        self.locals = kept[:]
        if self.often(4):
            with self.block("else:"):
                self.statement()
        self.locals = kept

    def loop(self, depth: int) -> None:
        """A loop; its length may depend on the counter around it."""
        i, around = self.name("i"), list(self.counters)
        length = self.pick(LENGTHS)
        if not around and self.left == 8 * LONG:
            length = LONG
        heads = [f"range({length})"] * 4 + [f"range({length} - 1, -1, -1)"]
        greatest = length - 1
        if self.often(3):
            stride = self.pick([2, 3])
            heads, greatest = (
                [f"range(0, {length}, {stride})", f"range({length} % {stride}, {length}, {stride})"],
                length,
            )
        if around and self.often(4):
            outer, size = around[-1], max(self.counters[around[-1]], 1)
            heads = [
                f"range({outer})",
                f"range({outer} + 1)",
                f"range({outer}, {size + 1})",
                f"range({outer} + 1, {size + 2})",
            ]
            length = greatest = size + 1
        if self.steps * max(length, 1) * 6 > self.left and length:
            self.statement()
            return
        kept, before = self.locals[:], self.steps
        self.steps *= max(length, 1)
        with self.block(f"for {i} in {self.pick(heads)}:"):
            self.counters[i] = max(greatest, 0)
            self.body(depth - 1)
            del self.counters[i]
        self.locals, self.steps = kept, before

    def scan(self, depth: int) -> None:
        """A loop that says what it hands on, with plain loops in its step."""
        step, new = self.name("step"), self.name("c")
        kept, before = self.locals[:], self.steps
        self.steps *= 6
        if self.steps * 20 > self.left:
            self.steps = before
            self.statement()
            return
        with self.block(f"def {step}(carry, row):"):
            self.line("a, b, s = carry")
            self.line("kept, m = [a, b, s, row, 0.5 * row], [a, b, s, row, *x[:4]]")
            self.line(f"M = [[row * q for q in x[:{COLUMNS}]] for _ in range({ROWS})]")
            self.body(depth)
            self.line("return (a, b, am.tanh(s)), kept[-1]")
        self.locals, self.steps = kept, before
        self.line(f"(a, b, s), {new} = scan({step}, (a, b, 0.0 + s), x[: {self.pick([0, 1, 3, 5, 8])}])")
        self.line(f"kept += [*{new}]")

    def body(self, depth: int) -> None:
        """Statements and loops."""
        self.statement()
        for _ in range(self.integer(0, 2 if self.steps < LONG else 1)):
            if depth and self.often(6):
                self.loop(depth)
            else:
                self.statement()


STATEMENTS = [
    *2 * ["hand", "add", "keep", "set", "local", "if"],
    *["swap", "scale", "table", "reduce", "sweep"],
]
TRANSFORMS = [  # and whether the first argument has rows
    ("f", False),
    ("value_and_grad(total, (0, 1))", False),
    ("value_and_grad(total, (0, 1))", False),
    ("value_and_grad(total, 1)", False),
    ("jacobian(f, 1)", False),
    ("hessian(total, 1)", False),
    ("lambda x, p: hvp(total)(x, x, p)", False),
    ("lambda x, p: hvp(lambda z: total(*z))((x, p), (x[::-1], p))", False),
    ("lambda x, p: jvp(f, (x, p), (x, p))", False),
    ("lambda x, p: jvp(grad(total), (x, p), (x, p))", False),
    ("lambda x, p: grad(lambda q: sum(grad(total)(x, q)))(p)", False),
    ("lambda x, p: vjp(f, x, p)[1](f(x, p))", False),
    ("vmap(f, in_axes=(0, None))", True),
    ("vmap(value_and_grad(total, (0, 1)), in_axes=(0, None))", True),
    ('value_and_grad(vmap(total, in_axes=(0, None), reduce="sum"), (0, 1))', True),
    ("vmap(hessian(total, 1), in_axes=(0, None))", True),
    ("lambda x, p: jvp(grad(lambda *z: sum(vmap(total, in_axes=(0, None))(*z))), (x, p), (x, p))", True),
]


OUTPUTS = ["a", "b", "s", "sum(kept)", "kept[-1]", "kept[-3]", "kept[5 % len(kept)]", "m[2]", "sum(m)", "M[1][2]"]
OUTPUTS += ["sum(map(sum, M))", "*kept[-9:]", "*m", "*M[2]", "*kept[2:30:4]"]
TWO = [
    "return am.sin(u) * v",
    "return u * v + 0.5 * u * u",
    "return am.where(u > v, u * v, am.tanh(u))",
    "return u if u > v else 0.5 * v * u",
    "return sum([am.sin(u * k) * v for k in range(4)])",
]


def rolled(random: Random) -> str:
    """Write a program."""
    w = Nests(random)
    w.length = w.pick([8, 8, 9, 17])
    w.lines = HEAD.splitlines()
    w.line(f"C = {w.numbers_list(7, 2)}")
    algorithm = w.pick(list(ALGORITHMS)) if w.often(5) else ""
    if algorithm:
        w.long, w.left = False, w.pick(MOST)
        w.lines += ALGORITHMS[algorithm].strip().splitlines()
    if w.often(2):
        w.line("@checkpoint")
    with w.block("def g(u, v):"):
        w.line(w.pick(TWO))
    with w.block("def f(x, p):"):
        w.line("a, b, s = x[0], p[1], 0.0")
        w.line(f"m, kept = [*x[:{SIZE}]], [x[1], p[0], 0.5, x[2] * p[2], 0.25]")
        w.line(f"M = [[x[(i + 2 * j) % {w.length}] * C[(i + j) % 7] for j in range({COLUMNS})] for i in range({ROWS})]")
        if w.long or not algorithm or w.often(3):
            w.loop(3)
        if algorithm:
            v = w.pick(["[*x]", "[*m, *p]", "kept", "m", f"[*M[{w.integer(0, ROWS - 1)}], *x]"])
            w.line(f"kept += {algorithm}({v}, {w.pick(LENGTHS)})")
        for _ in range(w.integer(0, 2)):
            w.pick([w.loop, w.loop, w.scan])(2)
        if w.often(5):
            w.statement()
        w.line(f"return [{', '.join([text for text in OUTPUTS if w.often(4)] or ['s', '*kept[:9]'])}]")
    with w.block("def total(x, p):"):
        w.line("return sum([(1.0 + 0.25 * (k % 5)) * am.tanh(0.1 * q) for k, q in enumerate(f(x, p))])")
    for _ in range(1 if w.long else w.integer(1, 2)):
        calls(w, few_rows=w.long or w.branches or algorithm in BRANCHING)
    return w.text()


def calls(w: Nests, few_rows: bool) -> None:
    """A compiled transform, rolled and flat, and its calls, which may take other branches."""
    transform, rows = w.pick(TRANSFORMS)
    options = w.pick(["", "", ", accurate=True"])
    many = rows and not few_rows and transform.startswith(("vmap", "value"))
    count = w.pick([1, 2, 3, 4, 8, 9, 17] if many else [1, 2, 3])
    special = w.pick([0, 0, 0, 1])
    given = []
    for _ in range(1 if rows and count > 3 else 2):
        x = w.numbers_list(w.length, special)
        if rows:
            x = f"np.array([{', '.join([x, *[w.numbers_list(w.length) for _ in range(count - 1)]])}])"
        given.append(f"{x}, {w.numbers_list(3, special)}")
    few = f"{w.pick(FEW)}, {w.pick(SMALLEST)}"
    call = "call_on_values" if transform == "f" and w.often(3) else "call"
    for settings in (few, "10 ** 9, 16")[: 1 + (w.often(3) and not w.long)]:
        compiled = w.name("compiled")
        w.line(f"set_fewest({settings})")
        w.line(f"{compiled} = jit({transform}{options})")
        for arguments in given:
            w.line(f"{call}({compiled}, {arguments})")
