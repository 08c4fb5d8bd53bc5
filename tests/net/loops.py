"""Random loops: scans, maps and both inside one another, over rows, parts and views of arrays; their derivatives."""

from __future__ import annotations

from random import Random

from net.writer import Writer

# The arguments of f: a number, a list, a column and a table.
VIEWS = ["T", "T[::-1]", "T[:, ::-1]", "T[:, 1:]", "T * a", "T + L[0]", "T[::-1, ::2]"]
COLUMNS = ["X", "X[::-1]", "T[:, 0]", "T[:, -1]", "X * a", "T[::-1, 1]", "list(X)"]


def loops(random: Random) -> str:
    """Write a program."""
    w = Writer(random)
    rows, columns = w.pick([0, 1, 3, 4, 5, 7, 8, 9, 33, 34]), w.pick([2, 3, 4])
    w.numbers = ["a", "L[0]", "L[1]"]
    with w.block("def f(a, L, X, T):", new_function=True):
        results = [statement(w, rows) for _ in range(w.integer(1, 2))]
        w.line(f"return {', '.join([*results, w.expression(1)])}")
    with w.block("def total(a, L, X, T):", new_function=True):
        w.line("return sum([(1.0 + 0.25 * (k % 5)) * q for k, q in enumerate(flatten(f(a, L, X, T))[0])])")
    calls(w, rows, columns)
    return w.text()


def statement(w: Writer, rows: int) -> str:
    """A loop at the top; the name of its result."""
    new = w.name()
    depth = 2 if rows < 10 else 1  # a nest that branches is as long as all its steps together
    text = w.pick([scanned, scanned, mapped])(w, depth)
    if w.often(3):
        w.line("X = X[::-1]")
    w.line(f"{new} = {text}")
    if rows and w.often(6):
        w.line(f"{new}s = am.sin(sum(flatten({new})[0]) * {w.number()})")
        w.numbers.append(f"{new}s")
    return new


def rows_for(w: Writer) -> tuple[str, str, list[str]]:
    """What a loop goes through, the name of a row, and the numbers in it."""
    row = w.name("r")
    kind = w.pick(["column", "column", "table", "table", "both"])
    if kind == "column":
        return w.pick(COLUMNS), row, [row]
    if kind == "table":
        return w.pick(VIEWS), row, [f"{row}[0]", f"{row}[-1]"]
    return f'{{"p": {w.pick(COLUMNS)}, "q": {w.pick(VIEWS)}}}', row, [f'{row}["p"]', f'{row}["q"][0]']


def scanned(w: Writer, depth: int) -> str:
    """A loop whose steps hand something on."""
    through, row, numbers = rows_for(w)
    carry, before = w.name("c"), w.numbers[:]
    count = w.integer(1, 3)
    carries = [f"{carry}[{k}]" for k in range(count)]
    initial = ", ".join(w.pick([w.expression(0), w.expression(0), w.number()]) for _ in range(count))
    w.numbers = [*before, *2 * numbers, *3 * carries]
    after = ", ".join(
        w.pick([f"am.tanh({inside(w, depth)})", f"am.sin({w.expression(1)})", w.pick(carries), w.expression(0)])
        for _ in range(count)
    )
    y = w.pick(["None", carry, row, w.expression(1), f"({w.expression(0)}, {w.pick(carries)})", inside(w, depth)])
    w.numbers = before
    given = through if w.often(8) else f"None, length={w.integer(0, 9)}"
    step = f"lambda {carry}, {row}: (({after},), {y})"
    if not given.startswith("None"):
        return f"scan({step}, ({initial},), {given}{w.pick(['', ', reverse=True'])})"
    for number in numbers:
        step = step.replace(number, carries[0])
    step = step.replace(f"), {row})", "), None)").replace(f'{row}["q"]', "L")
    return f"scan({step}, ({initial},), {given})" if step.count(row) == 1 else w.expression(1)


def mapped(w: Writer, depth: int) -> str:
    """A map, maybe reduced."""
    through, row, numbers = rows_for(w)
    before, w.numbers = w.numbers[:], [*w.numbers, *3 * numbers]
    y = w.pick([row, inside(w, depth), inside(w, depth), f"({w.expression(1)}, {inside(w, depth)})"])
    w.numbers = before
    reduce = w.pick(["None", "None", '"sum"', '"mean"'])
    if y == row:
        reduce = "None"
    return f"vmap(lambda {row}: {y}, reduce={reduce})({through})"


def inside(w: Writer, depth: int) -> str:
    """A number that a row or step computes, maybe by a loop of its own or a derivative."""
    if depth and w.often(4):
        loop = w.pick([scanned, mapped])(w, depth - 1)
        return f"sum(flatten({loop})[0][-2:])" if w.often(3) else f"sum(flatten({loop})[0])"
    if w.often(2):
        inner = w.name("s")
        return f"grad(lambda {inner}: am.sin({inner} * {w.expression(0)}) * {inner})({w.expression(0)})"
    return w.expression(2) if w.often(7) else f"am.where({w.condition(0)}, {w.expression(1)}, {w.expression(0)})"


def calls(w: Writer, rows: int, columns: int) -> None:
    """A compiled transform of f, and its calls."""
    argnums = w.pick(["0", "1", "2", "3", "(0, 2)", "(0, 1, 2, 3)"])
    small = argnums if rows * columns < 12 else "0"
    transform = w.pick(
        [
            "f",
            f"value_and_grad(total, {argnums})",
            f"value_and_grad(total, {argnums})",
            f"jacobian(f, {small})",
            "lambda *z: jvp(f, z, z)",
            "lambda *z: jvp(f, z, (0.0, [1.0, 0.0], 0.0 * z[2], z[3]))",
            f"hessian(total, {small})",
            "lambda a, L, X, T: hvp(total)(a, a, L, X, T)",
            f"grad(lambda *z: grad(total)(*z), {small})",
            "lambda *z: vjp(f, *z)[1](f(*z))",
            "lambda *z: grad(lambda *y: flatten(f(*y))[0][0], 3)(*z)",
        ]
    )
    compiled = w.name("compiled")
    w.line(f"{compiled} = jit({transform}{w.pick(['', '', ', accurate=True'])})")
    call = "call_on_values" if transform == "f" and w.often(3) else "call"
    for _ in range(2):
        table = "[" + ", ".join(w.numbers_list(columns) for _ in range(rows)) + "]"
        arguments = [
            w.number(),
            w.numbers_list(2),
            f"np.array({w.numbers_list(rows)})",
            f"np.array({table}, dtype=float).reshape({rows}, {columns})",
        ]
        w.line(f"{call}({compiled}, {', '.join(arguments)})")
