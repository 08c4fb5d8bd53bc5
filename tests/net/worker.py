"""A child process that checks programs one after the other; it may hang or crash without harm."""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from net.checks import Verdict, check

SECONDS = 30.0  # a program that takes longer fails
READY = b"ready\n"
WARM = "call(jit(lambda x: x * x), 1.0)"  # loads and starts everything that programs need
MEMORY = 4 << 30  # bytes that a process may use
TOGETHER = 25  # programs that share a process; memory bounds it


class Worker:
    """Checks programs in a child process."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self.process: subprocess.Popen[bytes] | None = None

    def check(self, program: str) -> Verdict:
        """The verdict on a program in its own process; a hang and a crash are verdicts too."""
        return next(self._verdicts([program]))

    def check_all(self, programs: Sequence[str]) -> Iterator[Verdict]:
        """The verdicts on programs that share processes, which takes half the time of a process for each.

        A program that fails there is checked again in its own process, and those after it go on in another one.
        """
        waiting = list(programs)
        while waiting:
            for verdict in self._verdicts(waiting[:TOGETHER]):
                program = waiting.pop(0)
                if verdict.failure:
                    alone = self.check(program)
                    if not alone.failure:
                        verdict.what += "\nIt does not fail alone: what earlier programs left in the process matters."
                    yield alone if alone.failure else verdict
                    break
                yield verdict

    def _verdicts(self, programs: Sequence[str]) -> Iterator[Verdict]:
        """The verdicts on programs in one process, up to the first failure."""
        if self.process is None:
            self.start()
        process = self.process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(programs).encode() + b"\n")
        for _ in programs:
            if not select.select([process.stdout], [], [], self.seconds)[0]:
                self.stop()
                yield Verdict("hangs", f"takes more than {self.seconds:g} s")
                return
            verdict = Verdict(**json.loads(process.stdout.readline()))
            yield verdict
            if verdict.failure:
                return

    def start(self) -> None:
        """A new child."""
        tests = Path(__file__).parents[1]
        path = os.pathsep.join([str(tests.parent), str(tests), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "net.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,  # `select` does not see what lies in a buffer
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": path, "AUTOGRAD_CACHE": os.environ.get("AUTOGRAD_CACHE", "off")},
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != READY:
            raise RuntimeError(f"the child does not start; see what it says: PYTHONPATH={path} python -m net.worker")

    def stop(self) -> None:
        """End the child, and the process that it has made for a program."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()
            self.process = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()


def main() -> None:
    """Check the programs of each line from standard input in a process of their own, up to the first failure."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    answers = os.dup(1)
    os.dup2(2, 1)  # output of a program must not mix with the answers
    check(WARM)
    gc.freeze()  # a collection would write to memory that the processes share
    os.write(answers, READY)
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            for program in json.loads(line):
                verdict = check(program)
                os.write(answers, json.dumps(vars(verdict)).encode() + b"\n")
                if verdict.failure:
                    break
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            crash = Verdict("crashes", f"the process ended with status {os.waitstatus_to_exitcode(status)}")
            os.write(answers, json.dumps(vars(crash)).encode() + b"\n")


if __name__ == "__main__":
    main()
