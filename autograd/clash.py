"""A warning about HIPS autograd: it has the import name of this package, so an environment can hold only one of them.

`import autograd` looks for traces of the other package; `nn` checks that `autograd` is not the other package.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
REMEDY = (
    "The two cannot share an environment. Either run `pip uninstall autograd` and install scalar-autograd again, or "
    "give each an environment of its own."
)


def other_package() -> Path | None:
    """The folder of HIPS autograd, if it can be imported from somewhere; perhaps this one, if pip mixed the two."""
    for entry in sys.path:
        folder = Path(entry, "autograd")
        if (folder / "tracer.py").exists() and (folder / "numpy").exists():  # two parts of every version of it
            return folder
    return None


def warn_of_other_package() -> None:
    """Warn if HIPS autograd is installed too."""
    other = other_package()
    if other is None:
        return
    where = (
        "in the same folder, so files of one may have replaced files of the other" if other == HERE else f"in {other}"
    )
    warnings.warn(
        f"`import autograd` gives scalar-autograd, from {HERE}. HIPS autograd is there too, {where}. {REMEDY}",
        RuntimeWarning,
        stacklevel=3,
    )
