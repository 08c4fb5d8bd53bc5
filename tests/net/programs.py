"""Random Python programs: a function of two numbers and a list, its compiled transforms, and their calls."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from net.writer import Writer

SIZE = 6  # the most statements in a block
TRANSFORMS = [  # of f(x, y, w), and whether its arguments are rows
    ("f", False),
    ("value_and_grad(f, (0, 1, 2))", False),
    ("hessian(f, 2)", False),
    ("hessian(f, (0, 1))", False),
    ("vmap(f, in_axes=(0, 0, None))", True),
    ("vmap(value_and_grad(f, (0, 2)), in_axes=(0, 0, None))", True),
    ('value_and_grad(vmap(f, in_axes=(0, 0, None), reduce="mean"), (0, 2))', True),
    ('value_and_grad(vmap(f, in_axes=(0, 0, None), reduce="sum"), 2)', True),
    ('hessian(vmap(f, in_axes=(0, 0, None), reduce="sum"), 2)', True),
    ("vmap(hessian(f, (0, 1)), in_axes=(0, 0, None))", True),
]


def programs(random: Random) -> str:
    """Write a program."""
    w = Writer(random)
    w.numbers = ["x", "y", "w[0]", "w[1]"]
    w.lists = ["w"]
    with w.block("def f(x, y, w):", new_function=True):
        body(w, SIZE)
        used = [*w.assignable, *[f"{g}({w.expression(0)})" for g in w.functions], *[f"sum({some})" for some in w.lists]]
        w.line(f"return {w.expression()} + {' + '.join(f'am.tanh({text})' for text in used)}")
    for _ in range(w.integer(1, 2)):
        calls(w)
    return w.text()


def calls(w: Writer) -> None:
    """A compiled transform, and several calls of it, which may take other branches."""
    transform, rows = w.pick(TRANSFORMS)
    accurate = w.pick(["", ", accurate=True"])
    compiled = w.name("compiled")
    w.line(f"{compiled} = jit({transform}{accurate})")
    inner = any(
        name in w.text().split("compiled")[0] for name in ("grad(", "jvp(", "vjp(", "hessian(", "hvp(", "jacob")
    )
    exact = accurate and transform in ("f", TRANSFORMS[4][0]) and not inner
    on_values = not rows and not w.often(7)
    call = "call_on_values" if on_values else "call_exact" if exact else "call"
    count = w.pick([1, 2, 3, 4, 9, 17])
    special = w.pick([0, 0, 0, 2])
    for _ in range(1 if rows and count > 4 else 3):
        if rows:
            container = w.pick(["{}", "np.array({})"])
            first, second = (container.format(w.numbers_list(count, special)) for _ in range(2))
        else:
            first, second = w.number(special), w.number(special)
        w.line(f"{call}({compiled}, {first}, {second}, {w.numbers_list(2, special)})")


def body(w: Writer, size: int) -> None:
    """Some statements."""
    for _ in range(size):
        if not w.often(8):
            break
        w.pick([form for weight, form in STATEMENTS for _ in range(weight)])(w, size)


def block(w: Writer, head: str, size: int) -> None:
    """Statements under a head; the last is an assignment."""
    with w.block(head):
        body(w, size // 3)
        assign(w, size)


def assign(w: Writer, size: int) -> None:
    """A new number, or a new value for an old name."""
    text = w.expression()
    if w.assignable and w.often(6):
        target = w.pick(w.assignable)
        w.line(w.pick([f"{target} = {text}", f"{target} += {text}", f"{target} = am.tanh({target} * {text})"]))
    else:
        new = w.name()
        w.line(f"{new} = {text}")
        w.numbers.append(new)
        w.assignable.append(new)


def branch(w: Writer, size: int) -> None:
    """A branch, with or without an else."""
    block(w, f"if {w.condition()}:", size)
    if w.often(3):
        block(w, f"elif {w.condition()}:", size)
    if w.often(6):
        block(w, "else:", size)


def for_loop(w: Writer, size: int) -> None:
    """A loop over a range, over a list, or over both."""
    new = w.name("i")
    some = w.pick([*w.lists, f"[{w.expression(1)}, {w.expression(1)}, {w.expression(0)}]"])
    count = w.integer(1, 4)
    head, names = w.pick(
        [
            (f"for {new} in range({count}):", [new]),
            (f"for {new} in {some}:", [new]),
            (f"for {new}, {new}b in enumerate({some}):", [new, f"{new}b"]),
            (f"for {new}, {new}b in zip({some}, {some}[::-1]):", [new, f"{new}b"]),
        ]
    )
    with w.block(head):
        w.numbers += names
        body(w, size // 3)
        assign(w, size)
        if not w.often(7):
            w.line(f"if {w.condition()}:")
            w.line(f"    {w.pick(['break', 'continue'])}")
            assign(w, size)


def while_loop(w: Writer, size: int) -> None:
    """A loop that ends when a number is small, or after a few rounds."""
    new, rounds = w.name(), w.name("n")
    w.line(f"{new}, {rounds} = {w.expression(1)}, 0")
    w.numbers.append(new)
    with w.block(f"while abs({new}) > {w.pick([0.25, 0.5, 1.0])} and {rounds} < 5:"):
        w.line(f"{rounds} += 1")
        w.assignable.append(new)
        assign(w, size)
        w.line(f"{new} = {new} * {w.pick(['0.5', 'am.tanh(' + w.expression(0) + ')'])}")
    w.assignable.append(new)


def make_list(w: Writer, size: int) -> None:
    """A list, and an operation on it."""
    new = w.name("some")
    a, b, c = w.expression(1), w.expression(1), w.expression(0)
    w.line(f"{new} = [{a}, {b}, {c}]")
    for _ in range(w.integer(0, 2)):
        w.line(
            w.pick(
                [
                    f"{new}.append({w.expression(1)})",
                    f"{new}[{w.integer(-2, 1)}] = {w.expression(1)}",
                    f"{new}[0] *= {w.expression(1)}",
                    f"{new}.reverse()",
                    f"{new} = [q * {w.expression(0)} for q in {new}]",
                    f"{new} = {new}[1:] + [{w.expression(0)}]",
                    f"{new}.insert(1, {new}.pop())",
                    f"{new}.extend({w.pick(w.lists)})",
                ]
            )
        )
    w.lists.append(new)


def make_dict(w: Writer, size: int) -> None:
    """A dict, and an operation on it."""
    new = w.name("d")
    w.line(f'{new} = {{"a": {w.expression(1)}, "b": {w.expression(0)}}}')
    for _ in range(w.integer(0, 2)):
        w.line(
            w.pick(
                [
                    f'{new}["a"] += {w.expression(1)}',
                    f'{new}["b"] = {new}.pop("a") * {w.expression(0)}; {new}["a"] = {w.expression(0)}',
                    f'{new} |= {{"b": {w.expression(1)}}}',
                    f"{new} = {{k: q * {w.expression(0)} for k, q in {new}.items()}}",
                ]
            )
        )
    w.numbers += [f'{new}["a"]', f'{new}["b"]']
    w.lists.append(f"list({new}.values())")


def make_tuple(w: Writer, size: int) -> None:
    """Numbers that are swapped by a tuple."""
    one, other = w.name(), w.name()
    w.line(f"{one}, {other} = {w.expression(1)}, {w.expression(1)}")
    if w.often(5):
        w.line(f"{one}, {other} = {other}, {one} * {w.expression(0)}")
    w.numbers += [one, other]
    w.assignable += [one, other]


def helper(w: Writer, size: int) -> None:
    """An inner function with a closure."""
    new, parameter = w.name("g"), w.name("t")
    with w.block(f"def {new}({parameter}):", new_function=True):
        w.numbers += [parameter] * 3
        body(w, size // 3)
        w.line(f"return {w.expression()} * {parameter}")
    w.functions.append(new)


def wrapped(w: Writer, size: int) -> None:
    """A function made by a transform."""
    new, g = w.name("g"), w.function(1)
    of = w.pick(["grad({})", "checkpoint({})", "jit({})", "jit(grad({}))", "lambda t: jvp({}, (t,), (1.0,))[1]"])
    w.line(f"{new} = {of.format(g)}")
    w.functions.append(new)


def recursion(w: Writer, size: int) -> None:
    """A function that calls itself."""
    new, parameter = w.name("g"), w.name("t")
    with w.block(f"def {new}({parameter}, n={w.integer(1, 4)}):", new_function=True):
        w.numbers += [parameter] * 3
        w.line(f"return {w.expression(1)} if n == 0 else {new}({w.expression(1)}, n - 1) * {w.expression(0)}")
    w.functions.append(new)


def late_closures(w: Writer, size: int) -> None:
    """Functions made in a loop, which see its variable as it is when they are called."""
    new, each = w.name("later"), w.name("i")
    bound = w.pick([f"lambda t: t * {each}", f"lambda t, {each}={each}: t * {each}"])
    w.line(f"{new} = [{bound} for {each} in [{w.expression(1)}, {w.expression(0)}]]")
    w.functions += [f"{new}[0]", f"{new}[1]"]


def layers(w: Writer, size: int) -> None:
    """A number passed through several functions."""
    new, each = w.name(), w.name("layer")
    many = ", ".join(w.function(1) for _ in range(2))
    w.line(f"{new} = {w.expression(1)}")
    with w.block(f"for {each} in [{many}]:"):
        w.line(f"{new} = {w.pick(['checkpoint', 'jit', 'grad', ''])}(lambda h: {each}(h))({new})")
    w.numbers.append(new)
    w.assignable.append(new)


def error(w: Writer, size: int) -> None:
    """An exception that the function raises or catches."""
    if w.often(5):
        w.line(f"if {w.condition(0)} and {w.expression(0)} > 1.75:")
        w.line('    raise ValueError("not here")')
    else:
        new = w.name()
        w.line("try:")
        w.line(f"    {new} = [{w.expression(0)}, {w.expression(0)}][2 if {w.condition(0)} else 0]")
        w.line("except IndexError:")
        w.line(f"    {new} = {w.expression(1)}")
        w.numbers.append(new)


def truth(w: Writer, size: int) -> None:
    """A comparison that is used as a bool."""
    new, truth = w.name(), w.name("c")
    w.line(f"{truth} = {w.condition(0)}")
    a, b = w.expression(0), w.expression(0)
    forms = [
        f"{{True: {a}, False: {b}}}[{truth}]",
        f"[{a}, {b}][{truth}]",
        f"{a} if {truth} is True else {b}",
        f'{{"True": {a}}}.get(str({truth}), {b})',
        f"{a} * isinstance({truth}, bool)",
        f"{a} * ({truth} | ({w.condition(0)}))",
        f"{a} * max({truth}, {w.condition(0)})",
        f"{b} + sum([{a} for _ in range({truth} + 1)])",
        f"{a} * sum([{truth}, {w.condition(0)}])",
        f"{a} if {truth} == ({w.condition(0)}) else {b}",
        f"({truth} * {a}) + (not {truth}) * {b}",
    ]
    w.line(f"{new} = {w.pick(forms)}")
    w.numbers.append(new)
    w.assignable.append(new)


# The weight and the writer of each kind of statement.
STATEMENTS: list[tuple[int, Callable[[Writer, int], None]]] = [
    (5, assign),
    (3, branch),
    (3, for_loop),
    (1, while_loop),
    (2, make_list),
    (1, make_dict),
    (1, make_tuple),
    (3, helper),
    (1, wrapped),
    (1, recursion),
    (1, late_closures),
    (1, layers),
    (1, error),
    (1, truth),
]
