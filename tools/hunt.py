"""Search for programs on which the compiler and plain Python disagree, shrink each one and print it.

``python tools/hunt.py [KIND ...] [--seed N] [--minutes M]``; the kinds are programs, maps, loops, rolled, flows,
joined and histories. The same seed gives the same program. Without ``--minutes`` it does not stop. ``--once`` tries
only one seed. The exit status is 1 if anything was found.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]

from net import GENERATORS
from net.checks import HEADER, Verdict
from net.shrinking import shrunk
from net.worker import SECONDS, Worker

# What a program needs to run alone. With the argument "eager" it prints the right results.
ALONE = """
import sys
from autograd.tree import flatten

EAGER = "eager" in sys.argv[1:]
if EAGER:
    jit = checkpoint = lambda function=None, **_: function or (lambda function: function)

def call(function, *args):
    leaves, rebuild = flatten(args)
    try:
        print(function(*(rebuild([Value(x) if type(x) is float else x for x in leaves]) if EAGER else args)))
    except Exception as error:
        print(repr(error))

def call_on_values(function, *args):
    leaves, rebuild = flatten(args)
    inputs = [Value(x) for x in leaves]
    result = function(*rebuild(inputs))
    for k, y in enumerate(flatten(result)[0]):
        if isinstance(y, Value):
            y.backward(1.0 + 0.5 * (k % 7))
    print(result, [x.grad for x in inputs])

def call_in_threads(function, *calls):
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(lambda args: call(function, *args), calls))

call_exact, note = call, print
"""


def main() -> int:
    """Search until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kinds", nargs="*", metavar="|".join(GENERATORS), help="by default all of them")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9), help="the first seed")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--once", action="store_true", help="try only the program of the seed")
    asked = parser.parse_args()
    kinds = asked.kinds or list(GENERATORS)
    if unknown := set(kinds) - set(GENERATORS):
        parser.error(f"unknown: {', '.join(unknown)}")
    end, seed, known = time.monotonic() + 60 * asked.minutes, asked.seed, set()
    with Worker() as worker:
        while time.monotonic() < end:
            for kind in kinds:
                program = GENERATORS[kind](random.Random(seed))
                verdict = worker.check(program)
                if verdict.failure and (found := small(program, verdict)) and like(found) not in known:
                    known.add(like(found))
                    print(report(kind, seed, found), flush=True)
            seed += 1
            if asked.once:
                break
    print(f"{seed - asked.seed} seeds from {asked.seed}, {len(known)} distinct failures", file=sys.stderr)
    return bool(known)


def small(program: str, verdict: Verdict) -> str:
    """The shrunk program; while a program that hangs is shrunk, its time limit is shorter."""
    with Worker(3.0 if verdict.failure == "hangs" else SECONDS) as worker:
        return shrunk(program, lambda candidate: worker.check(candidate).failure == verdict.failure, 120.0)


def like(program: str) -> str:
    """A program without its numbers and names, to recognise similar ones."""
    return re.sub(r"[\d.]+", "#", program)


def report(kind: str, seed: int, program: str) -> str:
    """A script that shows the failure and says what it is."""
    with Worker() as worker:
        verdict = worker.check(program)
    what = "\n".join("# " + line for line in verdict.what.splitlines())
    return f"# ---- {kind}, seed {seed} {'-' * 80}\n{what}\n{HEADER}{ALONE}\n{program}"


if __name__ == "__main__":
    sys.exit(main())
