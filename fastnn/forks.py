"""Locks that outlive a fork: a child process has one thread, and would wait for ever for what another one held."""

import logging  # noqa: F401  (its lock is taken in every fork, and must be after these: what runs under them may log)
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

from fastnn.interrupts import held

_PATIENCE = 120.0
"""Seconds that a fork waits for locks: of a kernel call, or a compiler on a busy machine. Then it goes on without."""


class ForkSafeLock:
    """A lock that is new and free in a child process: ``with lock.here: ...``.

    Parameters
    ----------
    awaited : bool, default False
        Whether a fork waits until nobody holds it, so that the child finds whole what it guards. Not for a lock that
        is held for long, nor while other people's code runs.
    again : bool, default False
        Whether the thread that holds it may take it once more.

    Attributes
    ----------
    here : threading.Lock or threading.RLock
        The lock of this process. Ask for it anew every time.

    Examples
    --------
    >>> lock = ForkSafeLock()
    >>> with lock.here:
    ...     lock.here.locked()
    True
    """

    def __init__(self, awaited: bool = False, again: bool = False) -> None:
        self._make: Callable[[], Any] = threading.RLock if again else threading.Lock
        self.awaited = awaited
        self.renew()
        _locks[id(self)] = self

    def renew(self) -> None:
        """Become free, whoever held it: what it was before a fork."""
        self.here = self._make()


_locks: WeakValueDictionary[int, ForkSafeLock] = WeakValueDictionary()
_forking = threading.RLock()  # two forks at once
_taken: list[Any] = []  # from before a fork until after it


def _known() -> list[ForkSafeLock]:
    """All that there are; other threads may be making more."""
    return [lock for lock in (reference() for reference in _locks.valuerefs()) if lock is not None]


def _compilers_locks() -> list[Any]:
    """Numba's lock, if Numba is there: a child that found it taken could compile nothing, or with half a compiler."""
    module = sys.modules.get("numba.core.compiler_lock")
    lock = getattr(getattr(module, "global_compiler_lock", None), "_lock", None)
    return [] if lock is None else [lock]


def _before() -> None:
    deadline = time.monotonic() + _PATIENCE
    # A kernel's lock is held while its code is compiled, never the other way round: hence the order.
    wanted = [_forking, *(lock.here for lock in _known() if lock.awaited), *_compilers_locks()]
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
        lock.renew()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
