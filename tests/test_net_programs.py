"""Random programs: value, gradient and Hessian, of one call and of rows, compiled and eager, agree.

The programs are written by `net.programs`, run in a child process and compared by `net.checks`;
``tools/hunt.py programs`` tries others until it is stopped.
"""

import pytest
from net import examine

pytestmark = pytest.mark.slow


def test_random_programs() -> None:
    """No program differs, hangs, crashes or raises without permission; and only few calls prove nothing."""
    counts = examine("programs", 300)
    calls = counts["calls"]
    assert calls > 5 * 300
    refused = {name: count for name, count in counts.items() if name.startswith("refused")}
    assert sum(refused.values()) <= 0.02 * calls, refused
    assert counts["raises"] <= 0.15 * calls  # plain Python raises too
    assert counts["plain floats raise"] <= 0.02 * calls
    assert counts["blind"] <= 0.02 * calls
    assert counts["near a branch"] <= 0.02 * calls
