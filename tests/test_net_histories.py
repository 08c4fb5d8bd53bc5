"""Random call histories: after any change between calls, the compiled function gives the results of the plain one.

The programs are written by `net.histories`, run in a child process and compared by `net.checks`;
``tools/hunt.py histories`` tries others until it is stopped.
"""

import pytest
from net import examine

pytestmark = pytest.mark.slow


def test_random_histories() -> None:
    """No program differs, hangs, crashes or raises without permission; and only few calls prove nothing."""
    counts = examine("histories", 300)
    calls = counts["calls"]
    assert calls > 5 * 300
    refused = {name: count for name, count in counts.items() if name.startswith("refused")}
    assert sum(refused.values()) <= 0.02 * calls, refused
    assert counts["raises"] <= 0.15 * calls  # plain Python raises too
    assert counts["plain floats raise"] <= 0.02 * calls
    assert counts["blind"] <= 0.02 * calls
    assert counts["near a branch"] <= 0.02 * calls
