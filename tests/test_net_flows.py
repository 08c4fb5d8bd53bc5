"""Random control flow: branches, loops and jumps in rows and single calls, compiled and eager, agree.

The programs are written by `net.flows`, run in a child process and compared by `net.checks`;
``tools/hunt.py flows`` tries others until it is stopped.
"""

import pytest
from net import check_counts, examine

pytestmark = pytest.mark.slow


def test_random_flows() -> None:
    """No program differs, hangs, crashes or raises without permission; and only few calls prove nothing."""
    check_counts(examine("flows", 40), 4 * 40)


def test_random_flows_with_both_sides() -> None:
    """The same for single calls that have both sides of their branches in the program."""
    check_counts(examine("joined", 15), 4 * 15)
