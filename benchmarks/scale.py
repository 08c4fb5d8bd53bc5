"""One core, two cores, two processes of Dask, and a cluster that is only simulated.

    python benchmarks/scale.py [--rows 1000000] [--rounds 7] [--bandwidth 1.25e9] [--latency 5e-4] [--overhead 1e-3]

The problem is the gradient of a fit: a pendulum of 200 steps for each row, and the squared error of its last angle by
two parameters that all rows share. First the results are compared, then all are timed in turn. The processor time says
what an idle machine would need: that of the longest thread or process, and of what runs before and after it.

The second table has what 10 to 1,000 workers would need for many more rows: the time of a block and of an addition is
measured, the network is what the options say, and each task costs the scheduler its overhead, one after the other.
"""

from __future__ import annotations

import argparse
import heapq
import os
import pickle
import statistics
import threading
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster

import autograd.math as am
from autograd import distributed, jit, value_and_grad, vmap
from autograd.compiler.run import batch
from autograd.distributed.plan import PARTS
from autograd.distributed.tasks import Sums, added

STEPS = 200
P = {"pull": 9.81, "drag": 0.1}
WORKERS = (10, 30, 100, 300, 1000)
ROWS_OF_A_BLOCK = 100_000


def error(p: Any, start: Any, seen: Any) -> Any:
    """The squared error of the last angle of a pendulum."""
    angle, speed = start, 0.0
    for _ in range(STEPS):
        speed = speed - 0.01 * (p["pull"] * am.sin(angle) + p["drag"] * speed)
        angle = angle + 0.01 * speed
    return (angle - seen) ** 2


GRADIENT = value_and_grad(vmap(error, in_axes=(None, 0, 0), reduce="mean"))


def numbers_of(tree: Any) -> list[float]:
    """Value and gradient in one list."""
    value, slopes = tree
    return [value, *slopes.values()]


# ---- measured --------------------------------------------------------------------------------------------------------


@dataclass
class Contender:
    """A way to compute the gradient, and what was measured of it.

    Attributes
    ----------
    call : callable
        Computes it.
    busy : callable
        The processor time that the parts of the rows have taken so far, by thread or process.
    more : float
        The processor time that Dask takes for a call besides.
    """

    name: str
    call: Callable[[], Any]
    busy: Callable[[], dict[Any, float]]
    more: float = 0.0
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def measure(self) -> None:
        """Run it once."""
        before, own, start = self.busy(), time.thread_time(), time.perf_counter()
        self.call()
        self.seconds.append(time.perf_counter() - start)
        own = time.thread_time() - own
        parts = {who: spent - before.get(who, 0.0) for who, spent in self.busy().items()}
        self.processor.append(
            own - parts.get(threading.get_ident(), 0.0) + max(parts.values(), default=0.0) + self.more
        )

    @property
    def least(self) -> tuple[float, float]:
        """The least seconds and the least processor time."""
        return min(self.seconds), min(self.processor)


def watch(in_worker: bool) -> None:
    """Note how much processor time the parts of a batch, or the blocks of a worker, take in each thread."""
    spent: dict[Any, float] = {}

    def timed(run: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any) -> Any:
            start = time.thread_time()
            result = run(*args)
            who = threading.get_ident()
            spent[who] = spent.get(who, 0.0) + time.thread_time() - start
            return result

        return noted

    if in_worker:
        Sums.of_rows = timed(Sums.of_rows)
    else:
        batch._Call._run_part = timed(batch._Call._run_part)  # in each thread of a call with several
    distributed.spent = spent


def spent() -> dict[Any, float]:
    """What `watch` has noted."""
    return dict(distributed.spent)


def dask_alone(client: Any, call: Callable[[], Any]) -> float:
    """The least processor time of this process and the busiest worker for a call with next to no rows."""
    found = []
    for _ in range(20):
        workers, own = client.run(time.process_time), time.process_time()
        call()
        own = time.process_time() - own
        found.append(own + max([now - workers[name] for name, now in client.run(time.process_time).items()]))
    return min(found)


def measured(rows: int, rounds: int) -> tuple[float, float]:
    """Compare and time everything; the processor time of a row, and the seconds of an addition."""
    rng = np.random.default_rng(0)
    start, seen = rng.uniform(-2.0, 2.0, rows), rng.normal(size=rows)
    compiled = {threads: jit(GRADIENT, threads=threads) for threads in (1, 2)}
    for fast in compiled.values():
        fast(P, start[:8], seen[:8])
        tracemalloc.start()
        fast(P, start, seen)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < start.nbytes / 10, f"a call takes {peak:,} bytes: rows were copied"
    watch(False)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, worker_dashboard_address=None
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        blocks, few = halves(client, start, seen), halves(client, start[:16], seen[:16])
        client.run(watch, True)

        def on_workers(blocks: Any) -> Any:
            return distributed.reduce(compiled[1], P, *blocks).compute(scheduler=client)

        def in_processes() -> dict[Any, float]:
            return {name: sum(parts.values()) for name, parts in client.run(spent).items()}

        on_workers(few)
        contenders = [
            Contender("one thread", lambda: compiled[1](P, start, seen), spent),
            Contender("threads=2", lambda: compiled[2](P, start, seen), spent),
            Contender("Dask, two processes", lambda: on_workers(blocks), in_processes),
        ]
        contenders[2].more = dask_alone(client, lambda: on_workers(few))
        expected = numbers_of(contenders[0].call())
        for contender in contenders[1:]:
            found = numbers_of(contender.call())
            assert np.allclose(expected, found, rtol=1e-11, atol=0.0), f"{contender.name}: {found}, not {expected}"
        for _ in range(rounds):
            for contender in contenders:
                contender.measure()
        one, two, there = contenders
        print(f"\n{rows:,} rows, {STEPS} steps each; least of {rounds} rounds in turn")
        print(f"{'':22}{'seconds':>10}{'faster':>8}{'processor, s':>15}{'faster':>8}")
        for contender in contenders:
            wall, busy = contender.least
            print(
                f"{contender.name:22}{wall:>10.3f}{one.least[0] / wall:>8.2f}{busy:>15.3f}{one.least[1] / busy:>8.2f}"
            )
        more = [100.0 * (a / b - 1.0) for a, b in zip(there.least, two.least)]
        print(f"Dask itself takes {1e3 * there.more:.0f} ms of processor time for a call")
        print(f"Dask takes {more[0]:+.1f} % more time than threads=2, {more[1]:+.1f} % more processor time")
        turn = statistics.median(seconds(client, 200) for _ in range(3)) / 200
        print(f"the scheduler here handles a task in {1e6 * turn:.0f} us")
    return one.least[1] / rows, adding()


def halves(client: Any, *arrays: Any) -> list[Any]:
    """Dask arrays with half of the rows on each worker."""
    workers, found = list(client.scheduler_info()["workers"]), []
    for array in arrays:
        parts = [client.scatter(half, workers=[worker]) for half, worker in zip(np.array_split(array, 2), workers)]
        sizes = [len(half) for half in np.array_split(array, 2)]
        found.append(da.concatenate([da.from_delayed(part, (n,), float) for part, n in zip(parts, sizes)]))
    return found


def seconds(client: Any, tasks: int) -> float:
    """The time of this many tasks that do nothing."""
    start = time.perf_counter()
    client.gather(client.map(abs, range(-tasks, 0), pure=False))
    return time.perf_counter() - start


def adding() -> float:
    """The seconds in which a task adds up its parts."""
    parts = [(1, [1.0, 2.0, 3.0])] * PARTS
    start = time.perf_counter()
    for _ in range(1000):
        added(parts)
    return (time.perf_counter() - start) / 1000


# ---- simulated -------------------------------------------------------------------------------------------------------


@dataclass
class Network:
    """What the simulation assumes."""

    bandwidth: float  # bytes in a second, of each machine
    latency: float  # seconds that a message takes
    overhead: float  # seconds of the scheduler for a task, half when it is sent and half when it is done


def tree(blocks: int, together: int) -> list[list[int]]:
    """The tasks of `reduce`: for each, the tasks that it adds up; none for a block."""
    tasks: list[list[int]] = [[] for _ in range(blocks)]
    level = list(range(blocks))
    while len(level) > 1:
        groups = [level[k : k + together] for k in range(0, len(level), together)]
        level = list(range(len(tasks), len(tasks) + len(groups)))
        tasks += groups
    return tasks


def simulated(workers: int, blocks: int, block: float, addition: float, size: int, network: Network) -> float:
    """The seconds of one `reduce`, whose blocks lie on the workers already, as many on each."""
    tasks = tree(blocks, PARTS)
    parent = {part: task for task, parts in enumerate(tasks) for part in parts}
    missing = [len(parts) for parts in tasks]
    worker = [k * workers // blocks for k in range(blocks)] + [0] * (len(tasks) - blocks)
    for task in range(blocks, len(tasks)):
        worker[task] = worker[tasks[task][0]]
    free, scheduler = [0.0] * workers, 0.0
    # A task is sent by the scheduler, and later it is done: the scheduler handles such events one after the other.
    events = [(0.0, task, False) for task in range(blocks)]
    heapq.heapify(events)
    while events:
        now, task, done = heapq.heappop(events)
        scheduler = max(now, scheduler) + network.overhead / 2
        if not done:
            others = sum(worker[part] != worker[task] for part in tasks[task])
            fetching = 2 * network.latency + others * size / network.bandwidth if others else 0.0
            ready = scheduler + network.latency + fetching
            free[worker[task]] = max(ready, free[worker[task]]) + (addition if tasks[task] else block)
            heapq.heappush(events, (free[worker[task]] + network.latency, task, True))
        elif task in parent:
            missing[parent[task]] -= 1
            if not missing[parent[task]]:
                heapq.heappush(events, (scheduler, parent[task], False))
    return scheduler + network.latency


def foretold(
    row: float, addition: float, network: Network, rows_of_a_block: int, blocks_of_a_worker: Sequence[int]
) -> None:
    """Print what clusters of several sizes would need."""
    size = len(pickle.dumps((1, [1.0, 2.0, 3.0])))
    block = row * rows_of_a_block
    print(
        f"\nSimulated. Measured: {1e6 * row:.3g} us a row, {1e6 * addition:.3g} us to add {PARTS} parts "
        f"of {size} bytes.\nAssumed: {network.bandwidth / 1e9:g} GB/s, {1e3 * network.latency:g} ms latency, "
        f"{1e3 * network.overhead:g} ms of the scheduler for a task; the rows lie on the workers, in blocks of "
        f"{rows_of_a_block:,};\nall workers are equally fast, none is lost; the function has been compiled."
    )
    print(
        f"{'workers':>8}{'blocks each':>13}{'rows':>16}{'one core, s':>13}{'seconds':>10}{'faster':>9}{'of ideal':>10}"
    )
    for each in blocks_of_a_worker:
        for workers in WORKERS:
            blocks = workers * each
            total, alone = simulated(workers, blocks, block, addition, size, network), block * blocks
            print(
                f"{workers:>8,}{each:>13}{blocks * rows_of_a_block:>16,}{alone:>13.1f}{total:>10.3f}"
                f"{alone / total:>9.1f}{alone / total / workers:>10.0%}"
            )


def main() -> None:
    """Measure, then simulate."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--bandwidth", type=float, default=1.25e9, help="bytes in a second")
    options.add_argument("--latency", type=float, default=5e-4, help="seconds of a message")
    options.add_argument("--overhead", type=float, default=1e-3, help="seconds of the scheduler for a task")
    options.add_argument("--block", type=int, default=ROWS_OF_A_BLOCK, help="rows of a simulated block")
    given = options.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    row, addition = measured(given.rows, given.rounds)
    foretold(row, addition, Network(given.bandwidth, given.latency, given.overhead), given.block, (1, 10))


if __name__ == "__main__":
    main()
