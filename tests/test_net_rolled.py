"""Random nests of plain Python loops: rolled results equal flat and eager ones, in both builds, and no program hangs.

The programs are written by `net.rolled`, run in a child process and compared by `net.checks`;
``tools/hunt.py rolled`` tries others until it is stopped.
"""

import pytest
from net import check_counts, examine

pytestmark = pytest.mark.slow


def test_random_nests() -> None:
    """No program differs, hangs, crashes or raises without permission; and only few calls prove nothing."""
    check_counts(examine("rolled", 25), 5 * 25, raises=0.05)


def test_random_nests_in_pure_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same without the C build, which reads the trace and finds the loops."""
    monkeypatch.setenv("AUTOGRAD_PURE_PYTHON", "1")
    check_counts(examine("rolled", 10), 5 * 10, raises=0.05)
