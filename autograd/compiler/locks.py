"""Locks that a forked child can use."""

from __future__ import annotations

import os
import sys
import threading
import weakref

llvm_lock = threading.RLock()  # held while LLVM works, never while user code runs


class Lock:
    """A reentrant lock that is free in a child process even if another thread held it when the process forked.

    Examples
    --------
    >>> with (lock := Lock()), lock:
    ...     pass
    """

    __slots__ = ("_lock", "__weakref__")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Replace the lock unless it is free or belongs to this thread."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
        else:
            self._lock = threading.RLock()


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def _after_fork() -> None:
    llvm_lock.release()
    for lock in list(_locks):
        lock.renew()


if sys.platform != "win32":  # LLVM's locks cannot be replaced: a fork waits until no thread is inside LLVM
    os.register_at_fork(before=llvm_lock.acquire, after_in_parent=llvm_lock.release, after_in_child=_after_fork)
