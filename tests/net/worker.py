"""A child process that checks programs one after the other, and may hang or crash without harm."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

from net.checks import Verdict, check

SECONDS = 30.0  # a program that takes longer has failed
READY = "ready\n"
MEMORY = 4 << 30  # bytes that a program may use


class Worker:
    """Checks programs in a child process."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self.process: subprocess.Popen[str] | None = None

    def check(self, program: str) -> Verdict:
        """The verdict on a program; a hang and a crash are verdicts, too."""
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
        answer = process.stdout.readline()
        if not answer:
            self.stop()
            return Verdict("crashes", f"the process ended with {process.returncode}")
        return Verdict(**json.loads(answer))

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
            env={**os.environ, "PYTHONPATH": path, "AUTOGRAD_CACHE": "off"},
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != READY:
            raise RuntimeError(f"the child does not start; see what it says: PYTHONPATH={path} python -m net.worker")

    def stop(self) -> None:
        """End the child."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()


def main() -> None:
    """Check programs from standard input until it ends."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a program prints is no answer
    answers.write(READY)
    answers.flush()
    for line in sys.stdin:
        verdict = check(json.loads(line))
        answers.write(json.dumps(vars(verdict)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
