"""Random call histories: compiled functions, and all changes between two calls to the things that they read."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from net.writer import Writer

# The things that functions read from outside. Each name may be rebound or changed in place between two calls.
WORLD = """\
K = 1.5
MODE = "plus"
S = [0.3, 0.7]
D = {"a": 0.5, "b": -0.25}
A = np.array([0.4, 0.8])
W = Value(0.6, label="W")
U = [Value(0.2), Value(-0.9)]
P = [0.35, -0.45]  # an argument
Q = np.array([0.15, 0.65])  # another

class Box:
    def __init__(self, k):
        self.k, self.some = k, [k, 0.5]

    def scaled(self, t):
        return t * self.k + self.some[0]

box = Box(1.25)

def helper(t):
    return t * K + 0.125

def twice(t):
    return helper(t) * 2.0

def pickled(function):
    if "lambda" in function.__name__:
        return function
    try:
        return pickle.loads(pickle.dumps(function))
    except pickle.PicklingError:  # a plain function that a transform made
        return function

def swept(y):
    closed = [u for u in (W, *U) if isinstance(u, Value)]
    for u in closed:
        u.grad = 0.0
    for part in y if isinstance(y, tuple) else [y]:
        if isinstance(part, Value):
            part.backward()
    return [u.grad for u in closed]

def around(c):
    def inner(t):
        return t * c + 0.75

    def rebind(new):
        nonlocal c
        c = new

    return inner, rebind

inside, rebind = around(0.55)
"""
READS = [  # numbers, some of them functions of the number t
    "K", "S[0]", "sum(S)", "len(S)", "S[-1]", 'D["a"]', "sum(D.values())", "len(D)", "A[0]", "A.sum()", "W", "W * W",
    "U[0]", "sum(U)", "len(U)", "box.k", "box.some[1]", "box.scaled({t})", "helper({t})", "twice({t})", "inside({t})",
    "W.data", "sum([layer({t}) for layer in (helper, inside)])", '({t} if MODE == "plus" else -{t})',
    "sum([q * {t} for q in S])", "sum([q * {t} for q in U])", "am.dot(S, S)",
    "(K if {t} > 0.1 else {t})", "(S[0] if W > 0.5 else S[-1])", "checkpoint(helper)({t})", "grad(helper)({t})",
    "vmap(lambda q: q * {t} * W, reduce=\"sum\")(S)", "sum(vmap(helper)(S))",
    "checkpoint(lambda h: inside(h) * K)({t})",
    "twice(grad(twice)({t}))",
]  # fmt: skip  # a list of words


def histories(random: Random) -> str:
    """Write a program."""
    w = Writer(random)
    w.lines = WORLD.splitlines()
    for name, parameters in (("f", "t"), ("g", "t, v")):
        with w.block(f"def {name}({parameters}):", new_function=True):
            function_body(w, name)
    w.line(f"F = jit({w.pick(['f', 'f', 'grad(f)', 'value_and_grad(f)', 'lambda t: f(t) * K', 'vmap(f)'])})")
    w.line(f"G = jit({w.pick(['g', 'g', 'grad(g)', 'grad(g, 1)', 'value_and_grad(g, (0, 1))'])})")
    rows = "F = jit(vmap(f))" in w.lines
    call_f(w, rows)
    call_g(w, rows)
    for _ in range(w.integer(3, 9)):
        for _ in range(w.integer(1, 2)):
            w.pick([form for weight, form in EVENTS for _ in range(weight)])(w)
        w.pick([call_f, call_g])(w, rows)
    return w.text()


def function_body(w: Writer, name: str) -> None:
    """The body of a function of t (and of a list v)."""
    reads = [w.pick(READS).format(t="t") for _ in range(w.integer(1, 3))]
    if name == "g":
        reads.append(w.pick(["v[0]", "sum(v)", "len(v) * t", "v[-1] * t", "sum([q * q for q in v])", "max(v)"]))
        if not w.often(9):
            w.line(w.pick(["v[0] = v[0] * t", "v = list(v) + [t]", "v[-1] = K * t"]))
    w.line(f"y = {' + '.join(f'{read} * {w.number()}' for read in reads)}")
    if w.often(4):
        with w.block(f"if {w.pick(['t > 0.2', 'y < 0.5', 'K > 2.0', 'W < t', 'len(S) > 2'])}:"):
            w.line(f"y = {w.pick(['y * t', 'am.tanh(y)', 't - y', 'y * K'])}")
    if not w.often(9):
        w.line('if t > 1.5: raise ValueError("too large")')
    w.line(f"return {w.pick(['y * t', 'y', 'am.sin(y) * t', 'y + t * t'])}")


# ---- calls -------------------------------------------------------------------------------------------------------


def call_f(w: Writer, rows: bool) -> None:
    """Write a call of F, maybe on Values, in another thread, in several threads or without recording."""
    given = [w.numbers_list(w.pick([1, 3, 9])) if rows else w.number() for _ in range(4)]
    calls = [f"call(F, {given[0]})"] * 6 + [
        f"call_on_values(F, {given[0]})",
        f"call_in_threads(F, [{given[0]}])",
        f"call_in_threads(F, {', '.join(f'[{x}]' for x in given)})",
        f"with no_grad(): call(F, {given[0]})",
        f"call(F, {'[1, 2]' if rows else w.pick(['2', 'True', 'np.float64(0.5)'])})",
        'call(F, "text")',
        "call(F)",
    ]
    w.line(w.pick(calls))
    if not w.often(8) and ("F = jit(f)" in w.lines or "F = jit(lambda t: f(t) * K)" in w.lines):
        number = w.number()
        w.line(f"call(lambda t: swept(F(t)), {number})")


def call_g(w: Writer, rows: bool) -> None:
    """Write a call of G on a list or an array; on its own one if G changes it."""
    given = w.pick(["P", "P", "Q", w.numbers_list(2), w.numbers_list(3), f"({w.numbers_list(2)})", "tuple(P)"])
    if "\n    v[" in w.text():
        given = f"list({given})"
    w.line(w.pick([f"call(G, {w.number()}, {given})"] * 4 + [f"call_on_values(G, {w.number()}, {given})"]))


# ---- what happens in between ---------------------------------------------------------------------------------------


def change(w: Writer) -> None:
    """Change something in place."""
    x = w.number()
    w.line(
        w.pick(
            [
                f"S[0] = {x}",
                f"S.append({x})",
                "S.pop(0) if len(S) > 1 else None",
                f"S[:] = [{x}]",
                f'D["a"] = {x}',
                f'D["c"] = {x}',
                'D["b"] = D.pop("b")',
                f"A[0] = {x}",
                "A *= 2.0",
                f"W.data = {x}",
                f"U[0].data = {x}",
                f"U.append(Value({x}))",
                f"U[0] = Value({x})",
                f"U[0] = {x}",
                f"box.k = {x}",
                f"box.some[1] = {x}",
                f"box.some = [{x}, {w.number()}]",
                f"box.k = Value({x})",
            ]
        )
    )


def rebind(w: Writer) -> None:
    """Bind a name to something else."""
    x, y = w.number(), w.number()
    w.line(
        w.pick(
            [
                f"K = {x}",
                f"K = {w.pick(['1', '3', 'Value(0.5)', 'np.float64(0.25)'])}",
                'MODE = "minus" if MODE == "plus" else "plus"',
                f"S = [{x}, {y}]",
                f"S = ({x}, {y})",
                f'D = {{"a": {x}, "b": {y}}}',
                f"A = np.array([{x}, {y}])",
                f"W = Value({x})",
                f"U = [Value({x})]",
                "U = [W, W]",
                f"box = Box({x})",
                f"helper = lambda t: t * K * {x}",
                f"rebind({x})",
                "rebind(W)",
                f"inside, rebind = around({x})",
                f"Box.scaled = lambda self, t: t * {x} - self.k",
            ]
        )
    )


def argument(w: Writer) -> None:
    """Change an argument in place, or bind its name to another."""
    x, y = w.number(), w.number()
    w.line(
        w.pick(
            [
                f"P[0] = {x}",
                f"P.append({x})",
                "P.pop() if len(P) > 1 else None",
                f"P = [{x}, {y}]",
                f"Q[0] = {x}",
                f"Q = np.array([{x}, {y}, 0.1])",
                "Q = Q[::-1]",
                "Q = Q.astype(np.float32).astype(float)",
            ]
        )
    )


def renew(w: Writer) -> None:
    """Copy or pickle a compiled function, or compile it again."""
    name = w.pick(["F", "G"])
    w.line(
        w.pick(
            [
                f"{name} = copy.copy({name})",
                f"{name} = copy.deepcopy({name})",
                f"{name} = pickled({name})",
                f"{name} = jit({name})",
                f"{name}, old = jit({name}), {name}",
                "W = copy.copy(W)",
                "W, U = copy.deepcopy((W, U))",
                "box = copy.deepcopy(box)",
            ]
        )
    )


EVENTS: list[tuple[int, Callable[[Writer], None]]] = [(4, change), (4, rebind), (2, argument), (1, renew)]
