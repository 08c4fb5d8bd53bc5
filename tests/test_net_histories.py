"""Random call histories: after any change between calls, the compiled function gives the results of the plain one.

The programs are written by `net.histories`, run in a child process and compared by `net.checks`;
``tools/hunt.py histories`` tries others until it is stopped.
"""

import pytest
from net import check_counts, examine

pytestmark = pytest.mark.slow


def test_random_histories() -> None:
    """No program differs, hangs, crashes or raises without permission; and only few calls prove nothing."""
    check_counts(examine("histories", 150), 5 * 150)
