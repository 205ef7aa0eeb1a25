"""Functions that run on several threads at the same time, each of which may wait for the others.

What ``concurrent.futures`` does with conditions and queues, which an interrupt leaves locked, needs two locks a thread
here, and interrupts are held while they are in use.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

from fastnn.interrupts import held

Call = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function and its arguments."""


def _carry_out(call: Call, on_abort: Callable[[], None]) -> BaseException | None:
    """Make a call; returns what it raised, after the others have been told not to wait for it."""
    function, arguments = call
    try:
        function(*arguments)
    except BaseException as error:
        on_abort()
        return error
    return None


class _Worker:
    """A thread that makes one call at a time."""

    def __init__(self, name: str) -> None:
        self._begin, self._end = threading.Lock(), threading.Lock()  # free: there is something to do; it is done
        self._begin.acquire()
        self._end.acquire()
        self._work: tuple[Call, Callable[[], None]] | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            self._begin.acquire()
            if self._work is None:
                return
            self._error = _carry_out(*self._work)
            self._work = None  # and with it the arrays
            self._end.release()

    def begin(self, call: Call, on_abort: Callable[[], None]) -> None:
        """Have a call made."""
        self._work = call, on_abort
        self._begin.release()

    def finish(self) -> BaseException | None:
        """Wait for the end of the call; returns what it raised."""
        self._end.acquire()
        error, self._error = self._error, None
        return error

    def dismiss(self) -> None:
        """Let the thread end, which is idle."""
        self._begin.release()

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join()


class Team:
    """Threads that stand ready; started when they are needed, and anew in a child process.

    One ``run`` at a time. Ends with ``close``, or when nobody knows it any more.

    Examples
    --------
    >>> seen = []
    >>> with Team() as team:
    ...     team.run([(seen.append, ("here",)), (seen.append, ("there",))], on_abort=lambda: None)
    >>> sorted(seen)
    ['here', 'there']
    """

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._process = os.getpid()

    def __enter__(self) -> "Team":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        for worker in self._own_workers():
            with contextlib.suppress(RuntimeError):
                worker.dismiss()

    def _own_workers(self) -> list[_Worker]:
        """The workers; threads did not come along through a fork."""
        if self._process != os.getpid():
            self._workers, self._process = [], os.getpid()
        return self._workers

    def run(self, calls: Sequence[Call], on_abort: Callable[[], None]) -> None:
        """Make all calls at the same time, the first one in this thread, and come back when all have ended.

        An interrupt waits until then. What a call raises is raised here, of several the first one's.

        Parameters
        ----------
        calls : sequence of (function, arguments)
            Functions that release the GIL where they work for long.
        on_abort : callable
            Called, in any thread and perhaps more than once, when a call has raised: it must make an end to the
            others' waiting for it.

        Raises
        ------
        RuntimeError
            If there are not enough threads to be had; then no call has been made.
        """
        with held():
            workers = self._ready(len(calls) - 1)
            for worker, call in zip(workers, calls[1:], strict=True):
                worker.begin(call, on_abort)
            errors = [_carry_out(calls[0], on_abort), *(worker.finish() for worker in workers)]
            for error in errors:
                if error is not None:
                    raise error

    def _ready(self, count: int) -> list[_Worker]:
        """So many workers."""
        workers = self._own_workers()
        try:
            while len(workers) < count:
                workers.append(_Worker(f"fastnn-{len(workers) + 1}"))
        except RuntimeError as error:
            have = f"the system gives no more than {len(workers) + 1} of {count + 1} threads"
            raise RuntimeError(f"{have} ({error}): pass a smaller number as threads") from error
        return workers[:count]

    def close(self) -> None:
        """End the threads, and wait for that."""
        with held():
            _end_all(self._own_workers())
            self._workers = []  # in here: an interrupt in what Python does when a thread is forgotten would be lost


def _end_all(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.dismiss()
    for worker in workers:
        worker.join()
