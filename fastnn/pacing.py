"""How many batches the next kernel call takes, and on how many threads."""

from collections import deque

STRETCH_SECONDS = 0.05
"""How long a kernel call should last: Ctrl-C and the clock are looked at in between."""
_MAX_GROWTH = 8  # a call takes at most so many times the batches of the one before: its time is only an estimate
_CALLS_BETWEEN_TRIALS = 48
_CALLS_COMPARED = 3  # the fastest of so many counts: a core that was asleep, or busy, makes calls slower, never faster


class Pace:
    """Learns from the time of every call; the bits of the result do not depend on what it decides.

    Several threads on one small network are fast on idle cores, and slow where other processes hold them. So both
    ways are timed, one alone and all together, the faster one is taken, and the other tried again now and then.

    Parameters
    ----------
    threads : int
        How many threads there are.

    Examples
    --------
    >>> pace = Pace(1)
    >>> pace.next_call()
    (1, 1)
    >>> pace.record(1, 1, seconds=0.01)
    >>> pace.next_call()
    (1, 5)
    """

    def __init__(self, threads: int) -> None:
        self._batches = dict.fromkeys((threads, 1), 1)  # for each number of threads, the batches of its next call
        # And what one batch took, in the latest calls that were long enough to tell.
        self._seconds = {count: deque[float](maxlen=_CALLS_COMPARED) for count in self._batches}
        self._calls = 0

    def next_call(self) -> tuple[int, int]:
        """Threads and batches."""
        unknown = [count for count, seen in self._seconds.items() if len(seen) < _CALLS_COMPARED]
        if unknown:
            threads = unknown[0]
        else:
            self._calls += 1
            trial = self._calls % _CALLS_BETWEEN_TRIALS == 0
            threads = (max if trial else min)(self._seconds, key=lambda count: min(self._seconds[count]))
        return threads, self._batches[threads]

    def record(self, threads: int, batches: int, seconds: float) -> None:
        """Take in how long a call took."""
        growth = min(STRETCH_SECONDS / max(seconds, 1e-9), _MAX_GROWTH)
        self._batches[threads] = max(1, int(batches * growth))
        if seconds > STRETCH_SECONDS / _MAX_GROWTH:
            self._seconds[threads].append(seconds / batches)
