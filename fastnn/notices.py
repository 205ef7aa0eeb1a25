"""Telling whoever waits what is being waited for."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import ClassVar

_PATIENCE = 1.0  # seconds that pass without a word


def is_open() -> bool:
    """Whether there is a standard error: a service may have none, or have closed it."""
    return sys.stderr is not None and not getattr(sys.stderr, "closed", False)


@contextlib.contextmanager
def unless_closed() -> Iterator[None]:
    """A context for warnings: Python writes them to a standard error that is closed, and that is an error.

    Where there is none at all, it does not write them.
    """
    try:
        yield
    except ValueError:
        if is_open():  # a warning that somebody has made an error
            raise


def is_terminal() -> bool:
    """Whether an open standard error is a terminal."""
    return bool(getattr(sys.stderr, "isatty", lambda: False)())


def _someone_reads() -> bool:
    """Whether standard error is a terminal or a notebook, and nobody has asked for silence."""
    if os.environ.get("FASTNN_QUIET") == "1" or not is_open():
        return False
    return is_terminal() or "ipykernel" in sys.modules


def _tell(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody reads any more
        sys.stderr.write(text)
        sys.stderr.flush()


class Compiling:
    """A context in which kernels are compiled, or loaded: says so after a second, and at the end how long it took.

    Within another one it says nothing.
    """

    _within: ClassVar[threading.local] = threading.local()

    def __enter__(self) -> "Compiling":
        self._outermost = not getattr(self._within, "any", False)
        self._timer: threading.Timer | None = None
        if self._outermost and _someone_reads():
            self._within.any = True
            self._began, self._said = time.perf_counter(), False
            self._timer = threading.Timer(_PATIENCE, self._say)
            self._timer.daemon = True
            self._timer.start()
        return self

    def _say(self) -> None:
        self._said = True
        _tell("fastnn: compiling kernels for this processor; they are kept for the next time ... ")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer.join()
        self._within.any = False
        if self._said:
            took = time.perf_counter() - self._began
            _tell(f"{'done' if error is None else 'stopped'} after {took:.1f} s\n")
