"""Locks that outlive a fork: a child process has one thread, and would wait for ever for what another one held."""

import os
import threading
import time
from typing import Any
from weakref import WeakValueDictionary

from fastnn.interrupts import held

_PATIENCE = 30.0
"""Seconds that a fork waits for locks: for a kernel call, or for a compiler. After that it goes on without."""


class ForkSafeLock:
    """A lock that is new and free in a child process: ``with lock.here: ...``.

    Parameters
    ----------
    awaited : bool, default False
        Whether a fork waits until nobody holds it, so that the child finds whole what it guards. Not for a lock that
        is held for long, nor while other people's code runs.

    Attributes
    ----------
    here : threading.Lock
        The lock of this process. Ask for it anew every time.

    Examples
    --------
    >>> lock = ForkSafeLock()
    >>> with lock.here:
    ...     lock.here.locked()
    True
    """

    def __init__(self, awaited: bool = False) -> None:
        self.here = threading.Lock()
        self.awaited = awaited
        _locks[id(self)] = self


_locks: WeakValueDictionary[int, ForkSafeLock] = WeakValueDictionary()
_forking = threading.RLock()  # two forks at once
_others: list[Any] = []
_taken: list[Any] = []  # from before a fork until after it


def _known() -> list[ForkSafeLock]:
    """All that there are; other threads may be making more."""
    return [lock for lock in (reference() for reference in _locks.valuerefs()) if lock is not None]


def await_lock(lock: Any) -> None:
    """Let every fork wait for somebody else's lock too, such as Numba's: the child then finds a whole compiler.

    Parameters
    ----------
    lock : threading.RLock
        One that the same thread may take again. Kept for the life of the process.
    """
    _others.append(lock)


def _before() -> None:
    deadline = time.monotonic() + _PATIENCE
    # A kernel's lock is held while its code is compiled, never the other way round: hence the order.
    wanted = [_forking, *(lock.here for lock in _known() if lock.awaited), *_others]
    with held():
        for lock in wanted:
            if lock.acquire(timeout=max(deadline - time.monotonic(), 0)):
                _taken.append(lock)


def _in_parent() -> None:
    with held():
        while _taken:
            _taken.pop().release()


def _in_child() -> None:
    _in_parent()
    for lock in _known():
        lock.here = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
