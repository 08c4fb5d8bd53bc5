"""Writes docs/adopted.md: the packages that the tests adopt, and what they cost against plain Python.

    python tools/adopted_table.py [--only NAME ...] [--seconds 0.05]

The costs are ratios within one run: each is the time of one evaluation divided by that of the plain package in a Python
loop, which computes the value alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from adopted_packages import CASES, Case, seconds  # noqa: E402  # from the tests

from autograd import Value, jacobian, jit, vmap  # noqa: E402

HEADER = """# Adopted packages

Written by `tools/adopted_table.py`. Each package is the unmodified one from PyPI (the last two are of Python's standard
library). The tests compare its values with the plain package (bit for bit, unless a note says otherwise), its gradients
with finite differences of the plain package, and machine code with the eager engine, for one row and for many.

The costs are those of one evaluation, divided by that of the plain package in a Python loop, which computes the value
alone; below 1 is faster than plain Python. "Eager" is the value on Values, "compiled" one call of `jit` with the value
*and* its whole Jacobian, "a row of n" the same in a batch, `jit(vmap(...))`. "First" is the processor time of the first
call of the batch, compilation included. The machine was not idle: read the order of magnitude.

| package | function | eager | compiled | a row of n | n | paths | first | note |
|---|---|---|---|---|---|---|---|---|
"""


def line(case: Case, least: float) -> str:
    """One row of the table."""
    plain, own = case.plain(), case.adopted()
    rows = case.points(case.rows)
    point = rows[0].tolist()

    def both(row: Any) -> Any:
        def f(row: Any) -> list[Any]:
            return list(case.call(own, *row))

        return f(row), jacobian(f)(row)

    one, batch = jit(both, quiet=True), jit(vmap(both), max_paths=200, quiet=True)
    start = time.process_time()
    batch(rows)
    first = time.process_time() - start
    array = np.array(point)
    one(array)
    base = seconds(lambda: case.call(plain, *point), least)
    eager = seconds(lambda: case.call(own, *map(Value, point)), least) / base
    compiled = seconds(lambda: one(array), least) / base
    a_row = seconds(lambda: batch(rows), least) / len(rows) / base
    note = (
        case.note if case.exact else "; ".join(["values to 1e-12: NumPy's own last digits", *filter(None, [case.note])])
    )
    costs = " | ".join(f"{cost:.2g}" for cost in (eager, compiled, a_row))
    cells = [
        case.package,
        f"`{case.function}`",
        costs,
        str(len(rows)),
        str(len(batch.paths())),
        f"{first:.1f}\N{NO-BREAK SPACE}s",
        note,
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the page, or print some of its rows."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", nargs="*", metavar="NAME")
    options.add_argument("--seconds", type=float, default=0.05)
    chosen = options.parse_args()
    cases = [case for case in CASES if not chosen.only or any(name in str(case) for name in chosen.only)]
    lines = []
    for case in cases:
        lines.append(line(case, chosen.seconds))
        print(lines[-1], flush=True)
    if not chosen.only:
        (ROOT / "docs" / "adopted.md").write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
