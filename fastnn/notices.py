"""Telling whoever waits what is being waited for."""

import os
import sys
import threading
import time
from types import TracebackType
from typing import ClassVar

_PATIENCE = 1.0  # seconds that pass without a word


def _someone_reads() -> bool:
    """Whether standard error is a terminal or a notebook, and nobody has asked for silence."""
    if os.environ.get("FASTNN_QUIET") == "1" or sys.stderr is None:
        return False
    try:
        return sys.stderr.isatty() or "ipykernel" in sys.modules
    except ValueError:  # closed
        return False


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
        sys.stderr.write("fastnn: compiling kernels for this processor; they are kept for the next time ... ")
        sys.stderr.flush()

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
            sys.stderr.write(f"{'done' if error is None else 'stopped'} after {took:.1f} s\n")
            sys.stderr.flush()
