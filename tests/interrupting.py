"""SIGINT at every place where Python could see it: what tests and campaigns of interrupts share."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

_OURS = os.sep + "fastnn" + os.sep


class Outcome(NamedTuple):
    """One run with an interrupt in it."""

    place: str  # file:line where it came
    interrupted: bool  # whether KeyboardInterrupt came out


class _Tracer:
    """Does to one event of a run what Python does there when SIGINT has come; counts them.

    The handler is called as Python calls it, with the frame that is interrupted: a signal raised in here would be
    handled in here.
    """

    def __init__(self, at: int, instructions: bool) -> None:
        self.seen, self.place = 0, ""
        self._at, self._instructions = at, instructions

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        frame.f_trace_opcodes = self._instructions and _OURS in frame.f_code.co_filename
        if event == ("opcode" if frame.f_trace_opcodes else "line"):
            self.seen += 1
            if self.seen == self._at:
                sys.settrace(None)
                self.place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                handler = signal.getsignal(signal.SIGINT)
                assert callable(handler)
                handler(signal.SIGINT, frame)
        return self


@contextlib.contextmanager
def _traced(tracer: _Tracer) -> Iterator[None]:
    sys.settrace(tracer)
    try:
        yield
    finally:
        sys.settrace(None)


def count_places(action: Callable[[], object], instructions: bool = False) -> int:
    """How many lines of Python run in this thread in a call; of our own files also every bytecode instruction."""
    tracer = _Tracer(0, instructions)
    with _traced(tracer):
        action()
    return tracer.seen


def interrupt_at(action: Callable[[], object], place: int, instructions: bool = False) -> Outcome | None:
    """Make a call with SIGINT at its n-th place; None if it had fewer."""
    tracer, interrupted = _Tracer(place, instructions), False
    try:
        with _traced(tracer):
            action()
    except KeyboardInterrupt:
        interrupted = True
    return Outcome(tracer.place, interrupted) if tracer.place else None
