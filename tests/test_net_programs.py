"""Random programs: value, gradient and Hessian, of one call and of rows, compiled and eager, agree.

The programs are written by `net.programs`, run in a child process and compared by `net.checks`;
``tools/hunt.py programs`` tries others until it is stopped.
"""

import pytest
from net import check_counts, examine

pytestmark = pytest.mark.slow


def test_random_programs() -> None:
    """No program differs, hangs, crashes or raises without permission; and only few calls prove nothing."""
    check_counts(examine("programs", 75), 5 * 75)
