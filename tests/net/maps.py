"""Random compositions of maps: reduced or not, nested, with shared arguments; their gradients and Hessians."""

from __future__ import annotations

from random import Random

from net.writer import Writer

# The arguments of f: two shared numbers, a shared list, a column, a list, a table, and a dict of columns.
ARGUMENTS = ["a", "b", "w", "X", "L", "T", "D"]


def maps(random: Random) -> str:
    """Write a program."""
    w = Writer(random)
    w.numbers = ["a", "b", "w[0]", "w[1]"]
    rows, columns = w.pick([1, 2, 3, 5, 8, 9, 17]), w.pick([1, 2, 3])
    with w.block("def f(a, b, w, X, L, T, D):", new_function=True):
        for _ in range(w.integer(1, 4)):
            statement(w, rows, columns)
        w.line(f"return {' * '.join(w.assignable)} + {w.expression(1)}")
    for _ in range(2):
        calls(w, rows, columns)
    return w.text()


def statement(w: Writer, rows: int, columns: int) -> None:
    """A number or a column, computed by a map."""
    new = w.name()
    reduce = w.pick(['"sum"', '"mean"', '"mean"', "None"])
    text = mapped(w, rows, columns, reduce)
    if reduce == "None":
        w.line(f"{new}s = {text}")
        w.lists.append(f"{new}s")  # a new column, for later maps
        text = w.pick(
            [f"sum({new}s)", f"am.mean({new}s)", f"{new}s[0]", f"sum([q * {w.expression(0)} for q in {new}s])"]
        )
    w.line(f"{new} = {text}")
    w.numbers.append(new)
    w.assignable.append(new)


def mapped(w: Writer, rows: int, columns: int, reduce: str) -> str:
    """A map over columns, tables and shared arguments."""
    names: list[str] = []
    kinds = [w.pick(["column", "column", "column", "table", "dict", "shared"]) for _ in range(w.integer(1, 3))]
    if all(kind == "shared" for kind in kinds):
        kinds[0] = "column"
    axes, given, numbers, before = [], [], [], w.numbers[:]
    for kind in kinds:
        name = w.name("r")
        names.append(name)
        if kind == "column":
            given.append(w.pick(["X", "L", *w.lists]))
            axes.append("0")
            numbers.append(name)
        elif kind == "table":
            given.append("T")
            axes.append(w.pick(["0", "-2"]))
            numbers += [f"{name}[0]", f"{name}[-1]", f"sum({name})"]
        elif kind == "dict":
            given.append("D")
            axes.append("0")
            numbers += [f'{name}["p"]', f'{name}["q"]']
        else:
            given.append(w.pick(["w", "T"]))
            axes.append("None")
            numbers += [f"{name}[0]" if given[-1] == "w" else f"{name}[0][0]"]
    w.numbers = before * (1 if w.often(7) else 0) + numbers * 2
    lists, w.lists = w.lists, []
    body = row(w)
    w.numbers, w.lists = before, lists
    spec = w.pick([f"({', '.join(axes)},)", f"[{', '.join(axes)}]"]) if set(axes) != {"0"} or w.often(3) else "0"
    return f"vmap(lambda {', '.join(names)}: {body}, in_axes={spec}, reduce={reduce})({', '.join(given)})"


def row(w: Writer) -> str:
    """The computation on a row: a number, maybe with an inner map."""
    plain = f"{w.expression(1)} * {w.expression(0)} + {w.expression(0)}"
    inner, a, b = w.name("s"), w.expression(0), w.expression(0)
    reduction = w.pick(['"sum"', '"mean"'])
    return str(
        w.pick(
            [
                plain,
                plain,
                w.expression(2),
                f"{plain} if {w.condition(0)} else {b}",
                f"vmap(lambda {inner}: {inner} * {a} + {b}, reduce={reduction})(w)",
                f"vmap(lambda {inner}: am.sin({inner} * {a}), reduce={reduction})(X) * {b}",
                f"sum(vmap(lambda {inner}: {inner} * {a} * {b})([{a}, {w.expression(0)}]))",
                f"grad(lambda {inner}: am.sin({inner} * {a}) * {inner} ** 2)({b})",
            ]
        )
    )


def calls(w: Writer, rows: int, columns: int) -> None:
    """A compiled transform of f by shared and mapped arguments, and its calls."""
    argnums = w.pick(["0", "2", "3", "4", "(0, 1)", "(0, 3)", "(2, 5)", "6", "(0, 2, 4, 6)", "1"])
    small = "0" if rows > 5 else argnums
    transform = w.pick(
        [
            "f",
            f"value_and_grad(f, {argnums})",
            f"value_and_grad(f, {argnums})",
            f"hessian(f, {w.pick(['0', '(0, 1)', '2', small])})",
            f"grad(lambda *z: grad(f, 0)(*z) * {w.number()}, {argnums})",
            "lambda *z: jvp(f, z, z)",
            "vmap(lambda a, b, w, X, L, T, D: f(a, b, w, X, L, T, D), in_axes=(0, None, None, None, None, None, None))",
            "lambda a, b, w, X, L, T, D: hvp(f)(a, b, b, w, X, L, T, D)",
        ]
    )
    compiled = w.name("compiled")
    w.line(f"{compiled} = jit({transform}{w.pick(['', '', ', accurate=True'])})")
    call = "call_on_values" if not w.often(8) and rows < 6 else "call"
    for _ in range(2):
        first = w.numbers_list(3) if transform.startswith("vmap") else w.number()
        column = w.pick(["{}", "np.array({})"])
        table = "[" + ", ".join(w.numbers_list(columns) for _ in range(rows)) + "]"
        parts = column.format(w.numbers_list(rows)), column.format(w.numbers_list(rows))
        arguments = [
            first,
            w.number(),
            w.numbers_list(2),
            column.format(w.numbers_list(rows)),
            w.numbers_list(rows),
            f"np.array({table})",
            f'{{"p": {parts[0]}, "q": {parts[1]}}}',
        ]
        w.line(f"{call}({compiled}, {', '.join(arguments)})")
