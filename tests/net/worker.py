"""A child process that checks programs one after the other; it may hang or crash without harm."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from net.checks import Verdict, check

SECONDS = 30.0  # a program that takes longer fails
READY = "ready\n"
WARM = "call(jit(lambda x: x * x), 1.0)"  # loads and starts everything that programs need
MEMORY = 4 << 30  # bytes that a program may use


class Worker:
    """Checks programs in a child process."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self.process: subprocess.Popen[str] | None = None

    def check(self, program: str) -> Verdict:
        """The verdict on a program; a hang and a crash are verdicts too."""
        if self.process is None:
            self.start()
        process = self.process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(program) + "\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], self.seconds)[0]:
            self.stop()
            return Verdict("hangs", f"takes more than {self.seconds:g} s")
        return Verdict(**json.loads(process.stdout.readline()))

    def start(self) -> None:
        """A new child."""
        tests = Path(__file__).parents[1]
        path = os.pathsep.join([str(tests.parent), str(tests), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "net.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
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
    """Check programs from standard input, each in its own process, so that none affects another."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    answers = os.dup(1)
    os.dup2(2, 1)  # output of a program must not mix with the answers
    check(WARM)
    os.write(answers, READY.encode())
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            answer = json.dumps(vars(check(json.loads(line))))
            os.write(answers, answer.encode() + b"\n")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            crash = Verdict("crashes", f"the process ended with status {os.waitstatus_to_exitcode(status)}")
            os.write(answers, json.dumps(vars(crash)).encode() + b"\n")


if __name__ == "__main__":
    main()
