"""Notices of the compiler on stderr; AUTOGRAD_QUIET=1 silences them."""

from __future__ import annotations

import os
import sys


def notice(text: str) -> None:
    """Print a notice to the user that is no error."""
    if os.environ.get("AUTOGRAD_QUIET", "0") in ("", "0"):
        print(f"autograd: {text}", file=sys.stderr)
