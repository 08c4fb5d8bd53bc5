"""The C part of the compiler, if it is built: the fast path of calls, and the watch over what functions read.

Without it, the classes in Python are used: they define what is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd.compiler.watch import Place, Watch
from autograd.modes import active_mode
from autograd.native import load


class Entry:
    """The base class of compiled functions: every call takes the slow path.

    The C build has another one, which first tries the fast paths that were used last.
    """

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Call the function: the same result as without `jit`."""
        return self._call(args, keywords)

    def _call(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        raise NotImplementedError

    def prefer(self, fast: Any) -> None:
        """Try this fast path first from now on."""


extension, why_python = load("autograd.compiler.run._call", np, active_mode)
if not TYPE_CHECKING and extension is not None:
    Entry = extension.Entry


def watch(places: Sequence[Place]) -> Any:
    """A watch over these places, in C if it knows all their kinds."""
    if extension is None or any(place.kind in ("container", "local", "setting") for place in places):
        return Watch(places)
    return extension.Watch(tuple(places))
