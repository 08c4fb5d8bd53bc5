"""Random compositions of maps: compiled as eager, and none of them hangs.

The programs are written by `net.maps`, run in a child process and compared by `net.checks`;
``tools/hunt.py maps`` tries others without end.
"""

import pytest
from net import examine

pytestmark = pytest.mark.slow


def test_random_maps() -> None:
    """No program differs, hangs, crashes or raises but where it may; and few calls prove nothing."""
    counts = examine("maps", 200)
    calls = counts["calls"]
    assert calls > 5 * 200
    refused = {name: count for name, count in counts.items() if name.startswith("refused")}
    assert sum(refused.values()) <= 0.02 * calls, refused
    assert counts["raises"] <= 0.15 * calls  # as plain Python does
    assert counts["plain floats raise"] <= 0.02 * calls
    assert counts["blind"] <= 0.02 * calls
    assert counts["near a branch"] <= 0.02 * calls
