"""What the compiler says on stderr; AUTOGRAD_QUIET=1 silences it."""

from __future__ import annotations

import os
import sys


def notice(text: str) -> None:
    """Say something that no exception can say."""
    if os.environ.get("AUTOGRAD_QUIET", "0") in ("", "0"):
        print(f"autograd: {text}", file=sys.stderr)
