"""Random loops: compiled results equal eager ones, and no program hangs.

The programs are written by `net.loops`, run in a child process and compared by `net.checks`;
``tools/hunt.py loops`` tries others until it is stopped.
"""

import pytest
from net import examine

pytestmark = pytest.mark.slow


def test_random_loops() -> None:
    """No program differs, hangs, crashes or raises without permission; and only few calls prove nothing."""
    counts = examine("loops", 150)
    calls = counts["calls"]
    assert calls >= 4 * 150
    refused = {name: count for name, count in counts.items() if name.startswith("refused")}
    assert sum(refused.values()) <= 0.02 * calls, refused
    assert counts["raises"] <= 0.05 * calls  # plain Python raises too
    assert counts["plain floats raise"] <= 0.02 * calls
    assert counts["blind"] <= 0.02 * calls
    assert counts["near a branch"] <= 0.02 * calls
