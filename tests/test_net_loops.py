"""Random loops: compiled results equal eager ones, and no program hangs.

The programs are written by `net.loops`, run in a child process and compared by `net.checks`;
``tools/hunt.py loops`` tries others until it is stopped.
"""

import pytest
from net import check_counts, examine

pytestmark = pytest.mark.slow


def test_random_loops() -> None:
    """No program differs, hangs, crashes or raises without permission; and only few calls prove nothing."""
    check_counts(examine("loops", 75), 4 * 75 - 1, raises=0.05)
