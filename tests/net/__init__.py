"""Random programs, maps, loops and call histories, and the comparison of compiled code with plain Python.

A program is source text. It calls functions through `call`, `call_exact`, `call_on_values` and `call_in_threads`;
`checks` runs it with the real `jit` and with a `jit` that returns the function, and compares call by call.
"""

from collections import Counter
from random import Random

from autograd import backend
from net.flows import flows
from net.histories import histories
from net.loops import loops
from net.maps import maps
from net.programs import programs
from net.rolled import rolled
from net.worker import Worker

# Single calls are captured with both sides of their branches at once, and not after four paths.
JOINED = "from autograd.compiler.run import dispatcher\ndispatcher.MOST_APART = 0\n"
MOST_FAILURES = 5  # then a test stops: further failures would show nothing new
GENERATORS = {
    "programs": programs,
    "maps": maps,
    "loops": loops,
    "rolled": rolled,
    "flows": flows,
    "joined": lambda random: JOINED + flows(random),
    "histories": histories,
}


def examine(kind: str, count: int) -> Counter[str]:
    """Check the programs of `count` seeds; count the results, and raise if a program failed.

    The two builds of the engine check different programs, so that both runs of the tests together check twice as many.
    """
    counts: Counter[str] = Counter()
    failures = []
    first = 0 if backend() == "c" else count
    with Worker() as worker:
        seeds = range(first, first + count)
        for seed, verdict in zip(seeds, worker.check_all([GENERATORS[kind](Random(seed)) for seed in seeds])):
            counts.update(verdict.counts)
            if verdict.failure:
                failures.append(f"python tools/hunt.py {kind} --once --seed {seed}\n{verdict.what}")
                if len(failures) == MOST_FAILURES:
                    break
    assert not failures, f"{len(failures)} programs or more fail; to see them made small:\n\n" + "\n\n".join(failures)
    return counts


def check_counts(counts: Counter[str], least: float, raises: float = 0.15) -> None:
    """Raise unless there were more than `least` calls, and only few of them prove nothing about compiled code."""
    calls = counts["calls"]
    refused = sum(count for name, count in counts.items() if name.startswith("refused"))
    few = {
        "refused": (refused, 0.02),
        "raises": (counts["raises"], raises),  # plain Python raises too
        "plain floats raise": (counts["plain floats raise"], 0.02),
        "blind": (counts["blind"], 0.02),
        "near a branch": (counts["near a branch"], 0.02),
    }
    assert calls > least, counts
    assert [] == [name for name, (count, share) in few.items() if count > share * calls], counts
