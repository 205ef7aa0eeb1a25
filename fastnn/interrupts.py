"""Ctrl-C waits where an exception would do harm: while a lock is held, while Numba compiles, while threads are at work.

Python raises KeyboardInterrupt in the main thread between any two of its instructions. Code that is made for exceptions
everywhere hardly exists, neither here nor in Numba nor in the standard library. So whoever must not be torn enters
``held()``, and says where an interrupt may come.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, ClassVar


class Hold:
    """What ``held`` gives: a handler of SIGINT that remembers, and hands on when it is told to."""

    __slots__ = ("_closed", "_outer", "_pending", "_previous", "_thread")
    innermost: ClassVar["Hold | None"] = None  # of the main thread, the only one that runs handlers

    def __init__(self) -> None:
        self._closed, self._pending = True, False
        self._previous: Callable[[int, FrameType | None], Any] | None = None  # None: this one holds nothing
        self._outer: Hold | None = None
        self._thread = threading.get_ident()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Python calls this when SIGINT has come."""
        place = None if frame is None else frame.f_code
        # On the way back into the hold it is late: raised there, it would leave the hold open.
        if self._closed or self._previous is None or place is _ENTRY_AGAIN:
            self._pending = True
            return
        self._closed = place is _RELEASE  # on the way out of it nobody else would close it, if this raises
        self._previous(number, frame)
        self._closed = False

    def __enter__(self) -> "Hold":
        outer = Hold.innermost
        if self._thread != threading.main_thread().ident or (outer is not None and outer._closed):
            return self
        previous = signal.getsignal(signal.SIGINT)
        if not callable(previous):  # ignored, or the end of the process without a word: nothing of Python runs then
            return self
        self._outer, self._previous = outer, previous
        signal.signal(signal.SIGINT, self)  # up to here an interrupt only means that this was never entered
        Hold.innermost = self
        return self

    def __exit__(self, *_: object) -> None:
        previous = self._previous
        if previous is None:
            return
        Hold.innermost = self._outer
        found = signal.signal(signal.SIGINT, previous)
        if found is not self:  # somebody wants another one from now on
            signal.signal(signal.SIGINT, found)
        self.check()

    def check(self) -> None:
        """Let an interrupt come now, if there was one; where another hold is around this one, that one decides."""
        if self._pending and self._previous is not None:
            self._pending = False
            self._previous(signal.SIGINT, sys._getframe(1))

    def released(self) -> "_Release":
        """A context in which interrupts come at once again: for other people's code."""
        return _Release(self)


class _Release:
    """The inside of a hold where nothing is held."""

    __slots__ = ("_hold",)

    def __init__(self, hold: Hold) -> None:
        self._hold = hold

    def __enter__(self) -> None:
        hold = self._hold
        hold.check()
        hold._closed = False
        while hold._pending:  # it came between these two lines
            hold._closed = True
            hold.check()
            hold._closed = False

    def __exit__(self, *_: object) -> None:
        self._hold._closed = True


_RELEASE, _ENTRY_AGAIN = _Release.__enter__.__code__, _Release.__exit__.__code__


def held() -> Hold:
    """Hold SIGINT back until the end of a ``with`` block, and then let the handler that was there before see it.

    In any thread but the main one, where no handler ever runs, inside of another hold, and where SIGINT is ignored or
    ends the process at once, this does nothing. Entering and leaving takes some microseconds, inside of another hold
    less than one. File descriptors of ``signal.set_wakeup_fd`` are written to at once, as ever.

    Returns
    -------
    Hold
        A context manager. Long work calls its ``check()`` where an interrupt may come, and runs other people's code
        ``with hold.released()``.

    Examples
    --------
    >>> import signal
    >>> from fastnn.interrupts import held
    >>> done = []
    >>> try:
    ...     with held():
    ...         signal.raise_signal(signal.SIGINT)
    ...         done.append("all of it")
    ... except KeyboardInterrupt:
    ...     done.append("and then the interrupt")
    >>> done
    ['all of it', 'and then the interrupt']
    """
    return Hold()


def _in_child() -> None:
    """After a fork: what came before it was for the parent; and a hold of a thread that is not here never ends."""
    hold = Hold.innermost
    if hold is None:
        return
    if hold._thread == threading.get_ident():
        hold._pending = False
        return
    while hold._outer is not None:
        hold = hold._outer
    Hold.innermost = None
    if hold._previous is not None:
        signal.signal(signal.SIGINT, hold._previous)


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_in_child)
