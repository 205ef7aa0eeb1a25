"""SIGINT at every place where Python could see it: what tests and campaigns of interrupts share."""

import contextlib
import linecache
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from types import CodeType, FrameType
from typing import Any, NamedTuple

import numpy as np

import fastnn
from fastnn import EarlyStopping

_OURS = os.sep + "fastnn" + os.sep


class Outcome(NamedTuple):
    """One run with an interrupt in it."""

    place: str  # file:line where it came
    interrupted: bool  # whether KeyboardInterrupt came out


@cache
def _ends_of_blocks(code: CodeType) -> tuple[range, ...]:
    """Instructions that call the end of a ``with`` block: all of its first line but those that begin it.

    They are traced as a line of its own, but Python looks for no signals there, or nothing could ever be locked.
    """
    spans: dict[int, list[range]] = {}
    for start, end, line in code.co_lines():
        if line is not None and linecache.getline(code.co_filename, line).lstrip().startswith("with "):
            spans.setdefault(line, []).append(range(start, end))
    return tuple(span for line in spans.values() for span in line if span.start > _end_of_first(line))


def _end_of_first(spans: list[range]) -> int:
    """Where the first run of spans without a gap ends."""
    end = spans[0].stop
    for span in spans[1:]:
        end = span.stop if span.start == end else end
    return end


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
        # In handlers of errors that are not ours an error of another one's would stay for the rest of the process.
        if sys.exc_info()[0] is not None and _OURS not in frame.f_code.co_filename:
            return self
        is_place = event == ("opcode" if frame.f_trace_opcodes else "line")
        if is_place and not any(frame.f_lasti in span for span in _ends_of_blocks(frame.f_code)):
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


class ShortFit:
    """A fit that goes through all that a fit may, in few lines of Python."""

    def __init__(self, threads: int = 1) -> None:
        self.net, self._threads = fastnn.Network([64, 8, 10]), threads
        self._X, self._y, self._Xt, self._yt = fastnn.datasets.load_digits()

    def __call__(self) -> None:
        """Train."""
        self.net.fit(
            self._X[:40],
            self._y[:40],
            epochs=2,
            batch_size=20,
            optimizer=fastnn.SGD(0.1, momentum=0.9),
            l2=0.01,
            validation_data=(self._Xt[:20], self._yt[:20]),
            callbacks=[lambda *_: None, EarlyStopping("val_cost", patience=5)],
            shuffle=lambda n: np.arange(n)[::-1],
            max_time=1000.0,
            threads=self._threads,
        )

    def problems(self, outcome: Outcome) -> list[str]:
        """What is wrong after an interrupt: it is lost, something is left locked or torn, or the end of it."""
        net = self.net
        history = net.history or fastnn.History()
        lengths = {len(figures) for figures in (history.train_cost, history.train_accuracy, history.seconds)}
        found = {
            "it is lost": not outcome.interrupted,
            "a number is not finite": not _is_finite(net),
            "fit is left locked": net._fitting.here.locked(),
            "the handler is not the one before": signal.getsignal(signal.SIGINT) is not signal.default_int_handler,
            "the history is torn": len(lengths) != 1 or len(history.val_cost) != len(history.val_accuracy),
            "threads are left": any(thread.name.startswith("fastnn") for thread in threading.enumerate()),
        }
        str(history)
        self()
        found["training does not go on"] = net.history is None or net.history.stopped_by != "epochs"
        return [f"{outcome.place}: {text}" for text, is_so in found.items() if is_so]


def _is_finite(net: fastnn.Network) -> bool:
    return all(bool(np.isfinite(array).all()) for array in [*net.weights, *net.biases])
