"""Random control flow: branches, loops that depend on numbers, jumps out of them, and bodies that stay as they are.

Bodies assign names, attributes and elements; things have several names, and functions and methods assign too.
"""

from __future__ import annotations

from random import Random

from net.programs import calls
from net.writer import Writer

SIZE = 5  # the most statements in a block
DEEPEST = 3  # blocks in one another, of which the last is no loop
# Operations of which nothing is infinite, so that most programs prove something.
PLACES = ["box.p", "same.q", "held[1].p", "held[1].q", "some[0]", "held[0][1]", "other[-1]"]
FORMS = [
    *("({} + {})", "({} - {})", "({} * {})", "am.tanh({} * {})", "am.sin({} - {})", "max({}, {})", "min({}, {})"),
    *("({} / (1.25 + {} ** 2))", "am.sqrt(0.5 + ({} + {}) ** 2)", "am.log(1.5 + ({} * {}) ** 2)", "abs({} - {})"),
]


def flows(random: Random) -> str:
    """Write a program."""
    w = Writer(random)
    boxed = w.often(6)
    if boxed:
        with w.block("class Box:"):
            w.line("def __init__(self, p, q): self.p, self.q, self.old = p, q, []")
            with w.block("def turn(self, t):", new_function=True):
                w.numbers = ["t", "self.p", "self.q"]
                w.assignable += ["self.p", "self.q"]
                body(w, 2, loop=False)
                w.line("self.p, self.q = am.tanh(self.q), am.tanh(self.p)")
                w.line(f"return {number(w)}")
        with w.block("def h(some, t):", new_function=True):
            w.numbers = ["t", "some[0]", "some[-1]"]
            w.assignable += ["some[0]", "some[1]", "some[-1]"]
            body(w, 2, loop=False)
            w.line("for k in range(3):")
            w.line("    some[k] = am.tanh(some[k])")
    with w.block("def g(t, s):", new_function=True):
        w.numbers = ["t", "s"]
        body(w, 2, loop=False)
        if w.often(3):
            again = w.pick(["g(0.4 * t, am.tanh(s))", "g(0.3 * t, t)", "g(0.2 * t, s) * g(0.1 * t, 0.5)"])
            w.line(w.pick(["if 0.4 < abs(t) < 1e3:", "if abs(t) > 0.4 and abs(t) < 1e3:", "while 1.0 < abs(t) < 1e3:"]))
            w.line(f"    return 0.5 * {again} + {number(w)}")
        w.line(f"return {number(w)}")
    w.numbers = ["x", "y", "w[0]", "w[1]"]
    with w.block("def f(x, y, w):", new_function=True):
        w.line("a, b, terms = x, y * w[0], [x]")
        w.line("log = []")
        if w.often(4):
            w.line("half, full, rows = 0.5, 2.0, 1")
        w.line(f"mode = {w.pick(['None', chr(34) + 'p' + chr(34)])}")
        w.numbers += ["a", "b"]
        w.assignable += ["a", "b"]
        if w.often(5):
            w.line("first_none, other_none = None, None")
        if boxed:
            w.line("box, some = Box(x, 0.5), [y, a, 1]")
            w.line(
                f"same, held, other = box, [some, {w.pick(['box', 'Box(y, x)'])}], {w.pick(['some', '[1.0, x, y]'])}"
            )
            w.numbers += PLACES
            w.assignable += PLACES
        body(w, SIZE, loop=False)
        w.line(f"return {number(w)} + {' + '.join(f'am.tanh({v})' for v in w.assignable)} + len(log) + {ending(w)}")
    calls(w)
    return w.text()


def ending(w: Writer) -> str:
    """What lists add to the result."""
    return str(
        w.pick(
            ["am.tanh(sum(log))", "(max(log) if log else 1.0)", "am.tanh(terms[-1])", "sum(terms[:2])", "len(terms)"]
        )
    )


def number(w: Writer, depth: int = 2) -> str:
    """A number."""
    if depth == 0 or not w.often(7):
        return w.recent(w.numbers) if w.often(8) else w.number()
    if w.often(1):
        return f"({number(w, depth - 1)} if {truth(w)} else {number(w, depth - 1)})"
    if w.often(1) and ("def g(" in w.text()) == ("def f(" in w.text()):  # not in g itself
        return f"g({number(w, depth - 1)}, {number(w, 0)})"
    return str(w.pick(FORMS)).format(number(w, depth - 1), number(w, depth - 1))


def truth(w: Writer, depth: int = 1) -> str:
    """A condition."""
    a, b = number(w, 1), number(w, 0)
    chosen = w.pick(
        [f"{a} > {b}", f"{a} <= {b}", f"{a} < {w.number()}", f"{w.number()} < {a} < {b} + 1.0", f"not {a} > {b}"]
    )
    return f"({chosen} {w.pick(['and', 'or'])} {truth(w, depth - 1)})" if depth and w.often(3) else str(chosen)


def body(w: Writer, size: int, loop: bool) -> None:
    """Some statements, the last of them an assignment."""
    for _ in range(w.integer(1, size)):
        loops = [while_loop, for_loop] if w.depth < DEEPEST else []
        things = [change] if "held[1].q" in w.assignable else []
        things += [sometimes] if "first_none" in w.text() else []
        things += [collect, state] if "log = []" in w.text() else []
        things += [plain] if "half, full" in w.text() else []
        w.pick([assign, assign, branch, branch, *loops, *things, leave, unusual])(w, size, loop)
    assign(w, size, loop)


def assign(w: Writer, size: int, loop: bool) -> None:
    """A new number, or a new value for an old name."""
    if w.assignable and w.often(7):
        target = w.pick(w.assignable)
        w.line(w.pick([f"{target} = {number(w)}", f"{target} += {number(w, 1)}", f"{target} = am.tanh({number(w)})"]))
    else:
        new = w.name()
        w.line(f"{new} = {number(w)}")
        w.numbers.append(new)
        w.assignable.append(new)


def change(w: Writer, size: int, loop: bool) -> None:
    """Calls and statements that assign attributes and elements."""
    new = w.name()
    w.line(
        w.pick(
            [
                f"{new} = {w.pick(['box', 'same', 'held[1]'])}.turn({number(w, 1)})",
                f"{new} = h({w.pick(['some', 'other', 'held[0]'])}, {number(w, 1)}) or {number(w, 0)}",
                f"{new} = box.p = some[1] = {number(w, 1)}",
                f"{new}, same.q, other[0] = {number(w, 1)}, {number(w, 1)}, box.p",
                f"some[0], {new}, some[2] = some[2], some[0], {number(w, 1)}",
            ]
        )
    )
    w.numbers.append(new)
    w.assignable.append(new)


def sometimes(w: Writer, size: int, loop: bool) -> None:
    """Statements with names that hold None or a number."""
    one, other = w.pick([("first_none", "other_none"), ("other_none", "first_none")])
    target = w.pick(w.assignable)
    test = w.pick([f"{one} is not None", f"{one} is not None and {one} > {number(w, 0)}", f"not {one} is None"])
    lines = {
        f"if {truth(w)}:": [f"    {one} = {number(w)}", "else:", f"    {w.pick(['pass', f'{one} = {other}'])}"],
        f"if {test}:": [f"    {target} = {target} * 0.5 + {one} * 0.25", f"    {other} = {one}"],
        f"if {one} is None:": [f"    {one} = {number(w)}", "else:", f"    {target} = {number(w, 0)} - {one} * 0.5"],
        f"{one}, {other} = {other}, {w.pick([one, 'None'])}": [],
    }
    head = w.pick(list(lines))
    for text in [head, *lines[head]]:
        w.line(text)


def collect(w: Writer, size: int, loop: bool) -> None:
    """Statements with lists: one that is only asked for sums and the like, and one that is read in other ways."""
    target = w.pick(w.assignable)
    asked = w.pick(["sum(log)", "log[-1]", "log[0]", "max(log)", "min(log)", "sum(log) / len(log)", "len(log)"])
    found = w.pick(["terms[-1]", "len(terms)", "sum(terms)", "terms[0]", "sum([v * v for v in terms])"])
    lines = {
        f"log.append({number(w)})": [],
        f"if {truth(w)}:": [f"    log.append({number(w)})"],
        f"if {w.pick(['log', 'len(log) > 1', 'len(log) == 2 or not log'])}:": [f"    {target} = am.tanh({target})"],
        "if log:": [f"    {target} = am.tanh({asked})"],
        "if len(log) > 2:": ["    log = []"],
        f"if not {truth(w)}:": [f"    terms.append({number(w)})", "else:", f"    terms.append({number(w, 1)})"],
        f"{target} = am.tanh({found})": [],
    }
    head = w.pick(list(lines))
    for text in [head, *lines[head]]:
        w.line(text)


def plain(w: Writer, size: int, loop: bool) -> None:
    """Statements with plain numbers, by which Python divides: a few of them raise."""
    forms = ["{} + {}", "{} - {}", "{} * 0.5", "1.0 / (1.5 + {} * {})", "abs({})", "max({}, {})", "{} ** 2"]
    forms += ["[{}, {}, 0.5][rows % 3]", "{} / {}", "{} % {}", "{} ** -1.0", "({} > {}) * 0.5", "am.tanh({})"]
    names = ["half", "full", "rows"]
    target, number_of_rows = w.pick(w.assignable), w.pick(["1", "2", f"({truth(w)})"])
    lines = {
        f"{w.pick(names[:2])} = {w.pick(forms).format(w.pick([*names, '1.0']), w.pick(names))}": [],
        f"if {truth(w)}:": [f"    {w.pick(names[:2])} = {w.pick(['0.25', '1', *names])}"],
        f"rows = rows + {number_of_rows}": [],
        f"{target} = am.tanh({target} * {w.pick(names)})": [],
        f"{target} = {target} * (0.5 if isinstance({w.pick(names)}, {w.pick(['float', 'int'])}) else 0.75)": [],
    }
    head = w.pick(list(lines))
    for text in [head, *lines[head]]:
        w.line(text)


def state(w: Writer, size: int, loop: bool) -> None:
    """Statements with a name that holds a text."""
    target = w.pick(w.assignable)
    test = w.pick(["mode == 'p'", "mode in ('q', 'r')", "mode is None", "mode != 'r'", "not mode == 'p'"])
    lines = {
        f"if {truth(w)}:": [f"    mode = {w.pick(['None', repr('q'), repr('r')])}"],
        f"mode = 'p' if {truth(w)} else {w.pick([repr('q'), 'mode', 'None'])}": [],
        f"if {test} {w.pick(['and', 'or'])} {truth(w, 0)}:": [f"    {target} = am.sin({target})", "    mode = 'r'"],
        f"if {test}:": [f"    {target} = am.tanh({number(w, 1)})"],
        "if mode == 'p':": ["    mode = 'q'", "elif mode == 'q':", "    mode = 'p'"],
    }
    head = w.pick(list(lines))
    for text in [head, *lines[head]]:
        w.line(text)


def branch(w: Writer, size: int, loop: bool) -> None:
    """A branch, with or without an else; both sides may make the same name."""
    new = w.name() if w.often(3) else None
    sides = [
        f"if {truth(w)}:",
        *([f"elif {truth(w)}:"] if w.often(3) else []),
        *(["else:"] if new or w.often(6) else []),
    ]
    for head in sides:
        with w.block(head):
            if size > 1 and w.often(4):
                body(w, size // 2, loop)
            else:
                assign(w, size, loop)
            if new:
                w.line(f"{new} = {number(w)}")
    if new:
        w.numbers.append(new)
        w.assignable.append(new)


def while_loop(w: Writer, size: int, loop: bool) -> None:
    """A loop that ends when a number is small, or after some rounds."""
    new, rounds = w.name(), w.name("n")
    w.line(f"{new}, {rounds} = {number(w, 1)}, 0")
    w.numbers.append(new)
    with w.block(w.pick([f"while abs({new}) > {w.pick(['0.25', '0.5'])} and {rounds} < 7:", "while True:"])):
        w.line(f"{rounds} += 1")
        w.line(f"if {rounds} > 6 or {truth(w, 0)}:")
        w.line(f"    {w.pick(['break', 'break', f'return {number(w)}'])}")
        w.assignable.append(new)
        body(w, max(size // 2, 1), True)
        w.line(f"{new} = {new} * {w.pick(['0.5', 'am.tanh(' + number(w, 0) + ')'])}")
    w.assignable.append(new)
    if w.often(3):
        w.numbers.append(rounds)


def for_loop(w: Writer, size: int, loop: bool) -> None:
    """A loop over a range, or over some numbers."""
    i = w.name("i")
    ranges = [f"range({w.integer(1, 5)})", f"range({w.integer(1, 3)}, 0, -1)", f"({number(w, 0)}, {number(w, 0)})"]
    ranges.append(f"[{number(w, 0)}, {number(w, 0)}, {w.number()}]")
    ranges.append(f"iter([{number(w, 0)}, {w.number()}])")
    count = w.pick([*ranges, "w"] if "w[0]" in w.numbers else ranges)
    also = w.pick([f"for {i} in {count}:"] * 3 + [f"for _, {i} in enumerate({count}):"])
    with w.block(w.pick([also] * 4 + [f"for {i}, _ in zip({count}, reversed([0.25, 1.5, 2.5])):"])):
        w.numbers.append(i)
        body(w, max(size // 2, 1), True)
        if w.often(5):
            w.line(f"if {truth(w)}:")
            w.line(f"    {w.pick(['break', 'continue', f'return {number(w)}'])}")
            assign(w, size, loop)
    if w.often(2):
        with w.block("else:"):
            assign(w, size, loop)


def leave(w: Writer, size: int, loop: bool) -> None:
    """A jump under a condition."""
    w.line(f"if {truth(w)}:")
    if loop and w.often(7):
        w.line(f"    {w.pick(['break', 'continue'])}")
    elif w.often(4):
        w.line(f"    return {number(w)}")
    else:
        w.line("    pass")


def unusual(w: Writer, size: int, loop: bool) -> None:
    """What does not become a branch, or only if nothing is raised."""
    kind = w.integer(0, 4)
    if kind == 0 and "log = []" in w.text():
        with w.block(f"if {truth(w)}:"):
            w.line(f"{w.pick(['log', 'terms'])}.append({number(w)})")
            assign(w, size, loop)
    elif kind == 1:
        target = w.pick(w.assignable) if w.assignable else None
        w.line("try:")
        w.line(f"    {target or '_'} = {number(w)}")
        w.line(f"    if {truth(w)}:")
        w.line("        raise ValueError('no')")
        w.line("except ValueError:")
        w.line(f"    {target or '_'} = {number(w)}")
    elif kind == 2:
        w.line(f"if {number(w)} > 1e3:")
        w.line("    raise ValueError('large')")
    elif kind == 3 and "held[1].q" in w.assignable:
        with w.block(f"if {truth(w)}:"):
            w.line(w.pick(["some.append(1.0)", "box.old = [1.0]", "some[1:2] = [0.25]", "box.old.append(same.q)"]))
            assign(w, size, loop)
    else:
        assign(w, size, loop)
