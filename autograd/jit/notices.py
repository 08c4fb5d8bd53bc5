"""What the compiler tells people while it works."""

import os
import sys


def notice(text: str) -> None:
    """Print a line to stderr, unless the environment variable AUTOGRAD_QUIET is set."""
    if not os.environ.get("AUTOGRAD_QUIET"):
        print(f"autograd: {text}", file=sys.stderr)
