"""Attributes that are computed once, without a lock that a forked child would wait for.

Before Python 3.12, `functools.cached_property` holds a lock while it computes, one for all instances of a class. If
another thread computes when a process forks, that lock is never released in the child.
"""

from __future__ import annotations

import sys
from functools import cached_property

__all__ = ["cached_property"]

if sys.version_info < (3, 12):
    from typing import Any, TypeVar

    T = TypeVar("T")

    class _Unlocked(cached_property[T]):
        """What `functools.cached_property` is from Python 3.12 on."""

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            return vars(instance).setdefault(self.attrname, self.func(instance))

    cached_property = _Unlocked  # type: ignore[misc]
