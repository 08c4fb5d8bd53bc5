"""Random compositions of maps: compiled results equal eager ones, and no program hangs.

The programs are written by `net.maps`, run in a child process and compared by `net.checks`;
``tools/hunt.py maps`` tries others until it is stopped.
"""

import pytest
from net import check_counts, examine

pytestmark = pytest.mark.slow


def test_random_maps() -> None:
    """No program differs, hangs, crashes or raises without permission; and only few calls prove nothing."""
    check_counts(examine("maps", 100), 5 * 100)
